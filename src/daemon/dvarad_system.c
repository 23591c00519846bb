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

/* NULL: no memory. */
static json_t *health_json(const dv_call *call)
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
            return NULL;
        }
    }
    return json_pack("{s:b, s:o}", "ready", (int)ready, "checks", list);
}

dv_result dv_op_health_get(dv_call *call, dv_error *error)
{
    return answer(call, health_json(call));
}

dv_result dv_op_store_copy(dv_call *call, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(dv_store_copy_path(call->services->state_dir, path));
    DV_TRY(dv_store_copy(call->services->store, path, error));
    return answer(call, json_pack("{s:s}", "file", DV_STORE_COPY_NAME));
}

static dv_result snapshot_state(const dv_services *services, uint64_t *ret_sequence,
                                uint64_t *ret_generation)
{
    DV_TRY(dv_snapshot_change_sequence(services->snapshot, ret_sequence));
    DV_TRY(dv_snapshot_begin(services->snapshot));
    *ret_generation = dv_snapshot_generation(services->snapshot);
    dv_snapshot_end(services->snapshot);
    return DV_OK;
}

static dv_result add_migrations(dv_store *store, json_t *list, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    dv_result result;
    DV_TRY(dv_store_query(store, &statement, error,
                          "SELECT number, name, applied FROM migration ORDER BY number", ""));
    while ((result = dv_statement_step(statement, error)) == DV_OK) {
        char applied[DV_TIME_TEXT_MAX];
        dv_slice name = dv_column_slice(statement, 1);
        dv_time_format(dv_column_int(statement, 2), applied);
        json_t *row =
            json_pack("{s:I, s:s%, s:s}", "number", (json_int_t)dv_column_int(statement, 0), "name",
                      (const char *)name.ptr, name.len, "applied", applied);
        if (json_array_append_new(list, row) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_op_support_facts(dv_call *call, dv_error *error)
{
    const dv_services *services = call->services;
    char started[DV_TIME_TEXT_MAX];
    uint64_t sequence = 0, generation = 0;
    json_t *facts = health_json(call);
    json_t *migrations = json_array();
    dv_time_format(services->started, started);
    dv_result result = snapshot_state(services, &sequence, &generation);
    if (result == DV_OK) {
        result = add_migrations(services->store, migrations, error);
    }
    json_t *more = json_pack("{s:s, s:s, s:I, s:I, s:o}", "version", DV_VERSION, "started", started,
                             "generation", (json_int_t)generation, "change_sequence",
                             (json_int_t)sequence, "migrations", migrations);
    if (result == DV_OK && (facts == NULL || json_object_update(facts, more) != 0)) {
        result = DV_ERR_NO_MEMORY;
    }
    json_decref(more);
    if (result != DV_OK) {
        json_decref(facts);
        return result;
    }
    return answer(call, facts);
}

dv_result dv_op_status_get(dv_call *call, dv_error *error)
{
    const dv_services *services = call->services;
    char started[DV_TIME_TEXT_MAX];
    uint64_t sequence = 0, generation = 0;
    DV_TRY(snapshot_state(services, &sequence, &generation));
    dv_time_format(services->started, started);
    return answer(call,
                  json_pack("{s:s, s:i, s:s, s:I, s:I, s:s, s:s, s:I}", "version", DV_VERSION,
                            "pid", (int)getpid(), "started", started, "generation",
                            (json_int_t)generation, "change_sequence", (json_int_t)sequence,
                            "state_dir", services->state_dir, "runtime_dir", services->runtime_dir,
                            "operations", (json_int_t)dv_operation_count));
}
