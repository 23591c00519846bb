/* SPDX-License-Identifier: Apache-2.0 */
#include "core/verdict.h"

#include "base/slice.h"

#include <stdarg.h>

static const struct {
    const char *name;
    int status;
    const char *text;
} reasons[DV_REASON_COUNT] = {
#define DV_REASON_ROW(id, name, status, text) [DV_REASON_##id] = {name, status, text},
    DV_REASONS(DV_REASON_ROW)
#undef DV_REASON_ROW
};

/* What is out of range reads as not decided. */
static dv_reason checked(dv_reason reason)
{
    return (unsigned)reason < DV_REASON_COUNT ? reason : DV_REASON_UNSET;
}

const char *dv_reason_name(dv_reason reason)
{
    return reasons[checked(reason)].name;
}

int dv_reason_status(dv_reason reason)
{
    return reasons[checked(reason)].status;
}

const char *dv_reason_text(dv_reason reason)
{
    return reasons[checked(reason)].text;
}

void dv_verdict_deny(dv_verdict *verdict, dv_reason reason, const char *format, ...)
{
    bool denied_before = verdict->decision == DV_DENY && verdict->reason != DV_REASON_UNSET;
    verdict->decision = DV_DENY;
    if (denied_before) {
        return;
    }
    verdict->reason = reason;
    verdict->detail[0] = '\0';
    if (format != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(verdict->detail, sizeof(verdict->detail), format, args);
        va_end(args);
    }
}

void dv_verdict_allow(dv_verdict *verdict, const char *policy)
{
    if (verdict->decision == DV_DENY && verdict->reason != DV_REASON_UNSET) {
        return; /* a refusal stands */
    }
    verdict->decision = DV_ALLOW;
    verdict->reason = DV_REASON_OK;
    verdict->detail[0] = '\0';
    dv_slice_copy(dv_slice_str(policy), verdict->policy, sizeof(verdict->policy));
}
