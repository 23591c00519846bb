/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of api/system.yaml. */
#include "api/operations.h"
#include "daemon/dvarad_pages.h"

#include <unistd.h>

static dv_result answer(dv_call *call, json_t *value)
{
    if (value == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    call->answer = value;
    return DV_OK;
}

dv_result dv_op_version_get(dv_call *call, dv_error *error)
{
    return answer(call, json_pack("{s:s, s:s}", "version", DV_VERSION, "api", "v1"));
}

dv_result dv_op_health_get(dv_call *call, dv_error *error)
{
    dv_health_check checks[DV_HEALTH_CHECKS];
    bool ready = dv_health_look(call->services, checks);
    json_t *list = json_array();
    for (size_t i = 0; i < DV_HEALTH_CHECKS; i++) {
        const char *detail = checks[i].detail[0] != '\0' ? checks[i].detail : NULL;
        json_t *check = json_pack("{s:s, s:b, s:s*}", "name", checks[i].name, "ok",
                                  (int)checks[i].ok, "detail", detail);
        if (json_array_append_new(list, check) != 0) {
            json_decref(list);
            return DV_ERR_NO_MEMORY;
        }
    }
    return answer(call, json_pack("{s:b, s:o}", "ready", (int)ready, "checks", list));
}

dv_result dv_op_store_copy(dv_call *call, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(dv_store_copy_path(call->services->state_dir, path));
    DV_TRY(dv_store_copy(call->services->store, path, error));
    return answer(call, json_pack("{s:s}", "file", DV_STORE_COPY_NAME));
}

dv_result dv_op_status_get(dv_call *call, dv_error *error)
{
    const dv_services *services = call->services;
    char started[DV_TIME_TEXT_MAX];
    uint64_t sequence = 0, generation = 0;
    DV_TRY(dv_snapshot_change_sequence(services->snapshot, &sequence));
    DV_TRY(dv_snapshot_begin(services->snapshot));
    generation = dv_snapshot_generation(services->snapshot);
    dv_snapshot_end(services->snapshot);
    dv_time_format(services->started, started);
    return answer(call,
                  json_pack("{s:s, s:i, s:s, s:I, s:I, s:s, s:s, s:I}", "version", DV_VERSION,
                            "pid", (int)getpid(), "started", started, "generation",
                            (json_int_t)generation, "change_sequence", (json_int_t)sequence,
                            "state_dir", services->state_dir, "runtime_dir", services->runtime_dir,
                            "operations", (json_int_t)dv_operation_count));
}
