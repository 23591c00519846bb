/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/access/access.h"

/* The table of requests. */

/* The column as text; NULL stays NULL. */
static dv_result text(dv_statement *row, int column, dv_arena *arena, const char **ret_text)
{
    if (dv_column_is_null(row, column)) {
        *ret_text = NULL;
        return DV_OK;
    }
    return dv_data_column_copy(row, column, arena, ret_text);
}

dv_result dv_data_request_next(dv_statement *rows, dv_arena *arena, dv_data_request *ret_request,
                               dv_error *error)
{
    dv_data_request r = {0};
    const char **const texts[] = {&r.id,        &r.asset,    &r.source,  &r.name,    &r.subject,
                                  &r.requester, &r.approver, &r.actions, &r.purpose, &r.state,
                                  &r.ended_by,  &r.reason,   &r.role};
    dv_time *const times[] = {&r.lasts, &r.until, &r.created, &r.began, &r.expires, &r.ended};
    int column = 0;
    DV_TRY(dv_statement_step(rows, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        DV_TRY(text(rows, column++, arena, texts[i]));
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(times); i++) {
        *times[i] = dv_column_int(rows, column++);
    }
    r.approvals = dv_column_int(rows, column);
    *ret_request = r;
    return DV_OK;
}

dv_result dv_data_request_read(dv_call *call, const char *id, dv_data_request *ret_request,
                               dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT " DV_DATA_REQUEST_COLUMNS " FROM data_access r WHERE r.id = ?2",
                          "it", call->now, id));
    dv_result result = dv_data_request_next(row, call->arena, ret_request, error);
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result, "there is no request for data %s", id)
               : result;
}

dv_result dv_data_request_insert(dv_call *call, const dv_data_request *r, dv_error *error)
{
    return dv_store_run(
        call->services->store, error,
        "INSERT INTO data_access (id, asset, source, name, subject, requester, approver, actions,"
        " purpose, lasts, until, approvals, role, state, created, began, expires, ended) VALUES "
        "(?1, ?2,"
        " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 'pending', ?14, 0, 0, 0)",
        "tttttttttiiiti", r->id, r->asset, r->source, r->name, r->subject, r->requester,
        r->approver, r->actions, r->purpose, r->lasts, r->until, r->approvals, r->role, call->now);
}

dv_result dv_data_request_end(dv_call *call, const dv_data_request *request, const char *state,
                              const char *reason, dv_error *error)
{
    /* A grant whose time has passed and that nobody has ended yet stands as granted. */
    bool grant = request->began != 0;
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_access SET state = ?2, ended = ?3, ended_by = ?4, reason = ?5"
                        " WHERE id = ?1 AND state = ?6",
                        "ttittt", request->id, state, call->now, call->caller, reason,
                        grant ? "granted" : "pending"));
    return dv_store_changes(call->services->store) == 1
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "it has ended");
}

/* --- as JSON --------------------------------------------------------------------------------- */

json_t *dv_data_request_json(const dv_data_request *r)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:o,"
        " s:s?, s:s?, s:s?}",
        "id", r->id, "status", r->state, "asset", r->asset, "source", r->source, "name", r->name,
        "subject", r->subject, "requester", r->requester, "approver",
        r->approver[0] == '\0' ? json_null() : json_string(r->approver), "actions",
        dv_data_words_json(dv_slice_str(r->actions)), "purpose", r->purpose, "lasts",
        r->until != 0 ? json_null() : json_integer(r->lasts / DV_SECOND), "until",
        dv_data_time_json(r->until), "approvals", (json_int_t)r->approvals, "created",
        dv_data_time_json(r->created), "began", dv_data_time_json(r->began), "expires",
        dv_data_time_json(r->expires), "ended", dv_data_time_json(r->ended), "ended_by",
        r->ended_by, "reason", r->reason, "role", r->role);
}

/* --- of the inventory ------------------------------------------------------------------------ */

static dv_result thing_fill(dv_statement *row, dv_arena *arena, dv_data_thing *ret_thing)
{
    dv_data_thing thing = {0};
    DV_TRY(text(row, 0, arena, &thing.id));
    DV_TRY(text(row, 1, arena, &thing.source));
    DV_TRY(text(row, 2, arena, &thing.name));
    DV_TRY(text(row, 3, arena, &thing.owner));
    thing.labelled.level = dv_column_int(row, 4);
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, 5), &thing.labelled.categories));
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, 6), &thing.labelled.labels));
    thing.gone = dv_column_int(row, 7) != 0;
    *ret_thing = thing;
    return DV_OK;
}

/* `dvara data access sync` takes a role of a database away by the last grant of it that there was:
 * that one stays. */
/* The grants are looked through for the first of them alone, which stays: each other one finds it
 * soon.
 */
dv_result dv_data_request_closed(dv_call *call, const char *id, dv_time *ret_ended,
                                 const char **ret_needed, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    bool reviewed = dv_data_rules_period(call->services->data_rules).every > 0;
    *ret_ended = 0;
    *ret_needed = "";
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT r.state, r.ended, r.role IS NOT NULL AND r.began <> 0 AND NOT"
                          " EXISTS (SELECT 1 FROM data_access o WHERE o.source = r.source AND"
                          " o.name = r.name AND o.role = r.role AND o.subject = r.subject AND"
                          " o.began <> 0 AND o.id > r.id), CASE WHEN ?2 = 0 OR r.began = 0 THEN 0"
                          " ELSE NOT EXISTS (SELECT 1 FROM data_access o WHERE o.began <> 0 AND"
                          " o.began < r.began) END FROM data_access r WHERE r.id = ?1",
                          "ti", id, (int64_t)reviewed));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    dv_slice state = dv_column_slice(row, 0);
    bool open = dv_slice_eq_str(state, "pending") || dv_slice_eq_str(state, "granted");
    *ret_ended = dv_column_int(row, 1);
    *ret_needed = open ? "its grant has not ended"
                  : dv_column_int(row, 2) != 0
                      ? "it is the last grant of a role of a database, by which that is taken away"
                  : dv_column_int(row, 3) != 0
                      ? "it is the first grant, from which the first review is counted"
                      : "";
    return DV_OK;
}

dv_result dv_data_request_remove(dv_call *call, const char *id, dv_error *error)
{
    return dv_store_run(call->services->store, error, "DELETE FROM data_access WHERE id = ?1", "t",
                        id);
}

dv_result dv_data_thing_read(const dv_services *services, dv_arena *arena, dv_slice id,
                             dv_data_thing *ret_thing, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(services->store, &row, error,
                          "SELECT id, source, name, owner, COALESCE(own_sensitivity, sensitivity),"
                          " COALESCE(own_categories, categories), COALESCE(own_labels, labels),"
                          " gone FROM data_asset WHERE id = ?1",
                          "s", id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result,
                            "there is no file or table %.*s: see `dvara data asset list`",
                            DV_SLICE_ARGS(dv_slice_sub(id, 0, 64)));
    }
    DV_TRY(result);
    return thing_fill(row, arena, ret_thing);
}
