/* SPDX-License-Identifier: Apache-2.0 */
/* Saved searches. */
#include "core/audit.h"
#include "room/audit/control/alert.h"

#include "api/operations.h"

#define COLUMNS "name, query, description, owner, created, updated"

static json_t *text_json(dv_statement *row, int column)
{
    dv_slice text = dv_column_slice(row, column);
    return dv_column_is_null(row, column) ? json_null()
                                          : json_stringn((const char *)text.ptr, text.len);
}

static json_t *time_json(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    dv_time_format(time, text);
    return json_string(text);
}

static json_t *search_json(dv_statement *row)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "name", text_json(row, 0), "query",
                     text_json(row, 1), "description", text_json(row, 2), "owner",
                     text_json(row, 3), "created", time_json(dv_column_int(row, 4)), "updated",
                     time_json(dv_column_int(row, 5)));
}

static dv_result read_search(dv_call *call, const char *name, json_t **ret_json, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT " COLUMNS " FROM audit_search WHERE name = ?1", "t", name));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "there is no saved search named %s", name);
    }
    DV_TRY(result);
    *ret_json = search_json(row);
    return *ret_json != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_op_search_list(dv_call *call, dv_error *error)
{
    const char *cursor = dv_call_param(call, "cursor");
    int64_t limit = json_integer_value(json_object_get(call->params, "limit"));
    dv_auto(statement) dv_statement *row = NULL;
    json_t *items = json_array();
    dv_result result = dv_store_query(call->services->store, &row, error,
                                      "SELECT " COLUMNS " FROM audit_search WHERE name > ?1"
                                      " ORDER BY name LIMIT ?2",
                                      "ti", cursor != NULL ? cursor : "", limit);
    while (result == DV_OK && (result = dv_statement_step(row, error)) == DV_OK) {
        json_array_append_new(items, search_json(row));
    }
    if (result != DV_ERR_NOT_FOUND) {
        json_decref(items);
        return result;
    }
    size_t count = json_array_size(items);
    call->answer = json_pack("{s:o}", "items", items);
    if (count > 0 && (int64_t)count == limit) {
        json_object_set(call->answer, "next",
                        json_object_get(json_array_get(items, count - 1), "name"));
    }
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result save(dv_call *call, dv_error *error)
{
    const char *name = dv_call_field(call, "name");
    DV_TRY(dv_store_run(call->services->store, error,
                        "INSERT INTO audit_search (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?5)"
                        " ON CONFLICT (name) DO UPDATE SET query = ?2, description = ?3,"
                        " owner = ?4, updated = ?5",
                        "tttti", name, dv_call_field(call, "query"),
                        dv_call_field(call, "description"), call->caller, call->now));
    json_t *now = json_pack("{s:s}", "query", dv_call_field(call, "query"));
    dv_result result =
        dv_audit_entity(call, DV_ENTITY_UPDATE, "saved_search", name, NULL, now, error);
    json_decref(now);
    return result;
}

dv_result dv_op_search_save(dv_call *call, dv_error *error)
{
    const dv_query *query;
    DV_TRY(dv_audit_query_check(call, "query", dv_call_field(call, "query"), false, &query, error));
    DV_TRY(dv_audit_change(call, save, error));
    return read_search(call, dv_call_field(call, "name"), &call->answer, error);
}

dv_result dv_op_search_show(dv_call *call, dv_error *error)
{
    return read_search(call, dv_call_param(call, "name"), &call->answer, error);
}

static dv_result remove_search(dv_call *call, dv_error *error)
{
    const char *name = dv_call_param(call, "name");
    DV_TRY(dv_store_run(call->services->store, error, "DELETE FROM audit_search WHERE name = ?1",
                        "t", name));
    if (dv_store_changes(call->services->store) == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no saved search named %s", name);
    }
    return dv_audit_entity(call, DV_ENTITY_DELETE, "saved_search", name, NULL, NULL, error);
}

dv_result dv_op_search_delete(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, remove_search, error);
}
