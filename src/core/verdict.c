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
    verdict->others = (dv_slice){NULL, 0};
    dv_slice_copy(dv_slice_str(policy), verdict->policy, sizeof(verdict->policy));
}

/* Ids behind the first; what can't be named, as there is no room or it would not be one id any
 * more, is counted. */
static void name_others(dv_verdict *verdict, const dv_slice *ids, size_t count, dv_arena *arena)
{
    size_t len = 0, unnamed = 0;
    char *text = dv_arena_alloc_raw(arena, DV_VERDICT_OTHERS_MAX);
    for (size_t i = 0; i < count; i++) {
        dv_slice id = dv_slice_sub(ids[i], 0, DV_VERDICT_POLICY_MAX - 1);
        bool plain = text != NULL && id.len > 0 && dv_slice_find_byte(id, '\n') < 0 &&
                     dv_slice_find_byte(id, '\0') < 0;
        if (!plain || len + 1 + id.len > DV_VERDICT_OTHERS_MAX) {
            unnamed++;
            continue;
        }
        if (len > 0) {
            text[len++] = '\n';
        }
        memcpy(text + len, id.ptr, id.len);
        len += id.len;
    }
    verdict->others = dv_slice_of(text, len);
    verdict->unnamed = (uint16_t)DV_MIN(unnamed, (size_t)UINT16_MAX);
}

void dv_verdict_policies(dv_verdict *verdict, const dv_slice *ids, size_t count, dv_arena *arena)
{
    verdict->others = (dv_slice){NULL, 0};
    dv_slice_copy(count > 0 ? ids[0] : DV_LIT(""), verdict->policy, sizeof(verdict->policy));
    if (count > 1) {
        name_others(verdict, ids + 1, count - 1, arena);
    }
}

bool dv_verdict_others_next(dv_slice *rest, dv_slice *ret_id)
{
    ptrdiff_t end = dv_slice_find_byte(*rest, '\n');
    *ret_id = end < 0 ? *rest : dv_slice_sub(*rest, 0, (size_t)end);
    *rest = end < 0 ? (dv_slice){NULL, 0} : dv_slice_sub(*rest, (size_t)end + 1, rest->len);
    return ret_id->len > 0;
}
