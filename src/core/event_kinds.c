/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_kinds.h"

#include <string.h>

const char *const dv_event_kinds[] = {
    "access.change",
    "account.change",
    "alarm",
    "alert.raised",
    "alert.resolved",
    "audit.erased",
    "audit.hold",
    "audit.key_rotated",
    "audit.pruned",
    "authentication.logoff",
    "authentication.logon",
    "compliance.finding",
    "config.change",
    "config.state",
    "control.call",
    "data.access",
    "data.disposal",
    "data.finding",
    "entity.change",
    "evidence",
    "incident",
    "lifecycle",
    "network.refused",
    "refusals",
    "remediation",
    "request.close",
    "request.open",
    "session.authorize",
    NULL,
};
const size_t dv_event_kind_count = DV_ARRAY_LEN(dv_event_kinds) - 1;

bool dv_event_kind_is(const char *kind)
{
    size_t len = strlen(kind);
    bool open = len > 0 && kind[len - 1] == '*';
    for (size_t i = 0; i < dv_event_kind_count; i++) {
        if (open ? strncmp(dv_event_kinds[i], kind, len - 1) == 0
                 : strcmp(dv_event_kinds[i], kind) == 0) {
            return true;
        }
    }
    return false;
}
