/* SPDX-License-Identifier: Apache-2.0 */
#include "core/finding.h"

const char *dv_content_action_name(dv_content_action action)
{
    switch (action) {
    case DV_ACTION_ALERT:
        return "alert";
    case DV_ACTION_MASK:
        return "mask";
    case DV_ACTION_PLACEHOLDER:
        return "placeholder";
    case DV_ACTION_REDACT:
        return "redact";
    case DV_ACTION_ALLOW:
        return "allow";
    case DV_ACTION_MONITOR:
        return "monitor";
    case DV_ACTION_BLOCK:
        break;
    }
    return "block";
}
