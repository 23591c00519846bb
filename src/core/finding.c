/* SPDX-License-Identifier: Apache-2.0 */
#include "core/finding.h"

static const char *const names[DV_CONTENT_ACTIONS] = {
    [DV_ACTION_BLOCK] = "block",
    [DV_ACTION_ALERT] = "alert",
    [DV_ACTION_MASK] = "mask",
    [DV_ACTION_PLACEHOLDER] = "placeholder",
    [DV_ACTION_REDACT] = "redact",
    [DV_ACTION_ALLOW] = "allow",
    [DV_ACTION_MONITOR] = "monitor",
    [DV_ACTION_HASH] = "hash",
    [DV_ACTION_PSEUDONYM] = "pseudonym",
    [DV_ACTION_FPE] = "fpe",
    [DV_ACTION_DATE_SHIFT] = "date_shift",
    [DV_ACTION_GENERALISE] = "generalise",
    [DV_ACTION_TOKEN] = "token",
};

const char *dv_content_action_name(dv_content_action action)
{
    return names[(unsigned)action < DV_CONTENT_ACTIONS ? action : DV_ACTION_BLOCK];
}

bool dv_content_action_read(dv_slice name, dv_content_action *ret_action)
{
    for (unsigned i = 0; i < DV_CONTENT_ACTIONS; i++) {
        if (dv_slice_eq_str(name, names[i])) {
            *ret_action = (dv_content_action)i;
            return true;
        }
    }
    return false;
}

bool dv_content_action_read_policy(dv_slice name, dv_content_action *ret_action)
{
    dv_content_action action;
    if (!dv_content_action_read(name, &action) || action == DV_ACTION_MONITOR) {
        return false;
    }
    *ret_action = action;
    return true;
}

bool dv_content_action_rewrites(dv_content_action action)
{
    switch (action) {
    case DV_ACTION_MASK:
    case DV_ACTION_PLACEHOLDER:
    case DV_ACTION_REDACT:
    case DV_ACTION_HASH:
    case DV_ACTION_PSEUDONYM:
    case DV_ACTION_FPE:
    case DV_ACTION_DATE_SHIFT:
    case DV_ACTION_GENERALISE:
    case DV_ACTION_TOKEN:
        return true;
    case DV_ACTION_BLOCK:
    case DV_ACTION_ALERT:
    case DV_ACTION_ALLOW:
    case DV_ACTION_MONITOR:
        break;
    }
    return false;
}
