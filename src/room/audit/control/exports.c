/* SPDX-License-Identifier: Apache-2.0 */
/* What dvara-export tells of itself: RUNTIME/export/status.json, written once a second. */
#include "api/operations.h"
#include "room/audit/control/audit_control.h"
#include "room/audit/control/internal.h"

/* The destinations; a new reference, or NULL: dvara-export does not run. */
static json_t *read_destinations(const char *runtime_dir, dv_time now)
{
    json_t *status = dv_program_status(runtime_dir, "export/status.json", "destinations", now);
    json_t *destinations = json_incref(json_object_get(status, "destinations"));
    json_decref(status);
    return destinations;
}

dv_result dv_op_audit_exports(dv_call *call, dv_error *error)
{
    json_t *destinations = read_destinations(call->services->runtime_dir, call->now);
    bool running = destinations != NULL;
    call->answer = json_pack("{s:b, s:o}", "running", running, "destinations",
                             running ? destinations : json_array());
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static uint64_t number(const json_t *item, const char *name)
{
    return (uint64_t)dv_event_int(item, name);
}

void dv_audit_exports_each(const char *runtime_dir,
                           void (*each)(void *data, const dv_audit_export *one), void *data)
{
    size_t i;
    json_t *item, *list = read_destinations(runtime_dir, dv_time_now());
    json_array_foreach(list, i, item)
    {
        const dv_audit_export one = {
            .name = dv_event_text(item, "name"),
            .log = dv_event_text(item, "log"),
            .failing = strcmp(dv_event_text(item, "state"), "ok") != 0,
            .behind = number(item, "behind"),
            .behind_seconds = number(item, "behind_seconds"),
            .sent = number(item, "sent"),
            .refused = number(item, "refused"),
            .lost = number(item, "lost"),
        };
        each(data, &one);
    }
    json_decref(list);
}
