/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/case/case_store.h"

/* Closed cases whose time is over: finding them, what of the cases still needs them, removing. */

dv_result dv_case_closed_list(const dv_call *call, const char *type, dv_time until,
                              const dv_case_closed *after, dv_case_closed *items, size_t most,
                              size_t *ret_count, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_result result = DV_OK;
    size_t count = 0;
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT id, ended FROM case_case WHERE type = ?1 AND ended IS NOT NULL"
                          " AND ended <= ?2 AND ended >= ?3 AND (ended > ?3 OR id > ?4)"
                          " ORDER BY ended, id LIMIT ?5",
                          "tiiti", type, until, after->ended, after->id, (int64_t)most));
    while (count < most && (result = dv_statement_step(rows, error)) == DV_OK) {
        dv_slice_copy(dv_column_slice(rows, 0), items[count].id, sizeof(items[count].id));
        items[count++].ended = dv_column_int(rows, 1);
    }
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_count = count;
    return DV_OK;
}

/* Whether the query has a row. */
static dv_result has_row(const dv_call *call, const char *sql, const char *id, bool *ret_has,
                         dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error, sql, "t", id));
    dv_result result = dv_statement_step(row, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_has = result == DV_OK;
    return DV_OK;
}

dv_result dv_case_is_closed(const dv_call *call, const char *id, bool *ret_is, dv_error *error)
{
    return has_row(call, "SELECT 1 FROM case_case WHERE id = ?1 AND ended IS NOT NULL", id, ret_is,
                   error);
}

dv_result dv_case_is_newest(const dv_call *call, const char *id, const char *owner, bool *ret_is,
                            dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(
        dv_store_query(call->services->store, &row, error,
                       "SELECT 1 FROM case_case c WHERE c.id = ?1 AND c.owner = ?2 AND NOT EXISTS"
                       " (SELECT 1 FROM case_case o WHERE o.type = c.type AND"
                       " o.owner = c.owner AND (o.created > c.created OR"
                       " (o.created = c.created AND o.id > c.id)))",
                       "tt", id, owner));
    dv_result result = dv_statement_step(row, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_is = result == DV_OK;
    return DV_OK;
}

/* Decided items count, too: a report of the open case tells them. */
dv_result dv_case_is_object(const dv_call *call, const char *object, bool *ret_is, dv_error *error)
{
    return has_row(call,
                   "SELECT 1 FROM case_item i JOIN case_case c ON c.id = i.case_id"
                   " WHERE i.decided IN (0, 1) AND i.object = ?1 AND c.ended IS NULL LIMIT 1",
                   object, ret_is, error);
}

dv_result dv_case_size(const dv_call *call, const char *id, size_t *ret_rows, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT (SELECT count(*) FROM case_item WHERE case_id = ?1) +"
                          " (SELECT count(*) FROM case_history WHERE case_id = ?1)",
                          "t", id));
    DV_TRY(dv_statement_step(row, error));
    *ret_rows = (size_t)dv_column_int(row, 0) + 1;
    return DV_OK;
}

dv_result dv_case_remove(dv_call *call, const char *id, dv_error *error)
{
    dv_store *store = call->services->store;
    bool closed = false;
    DV_TRY(dv_case_is_closed(call, id, &closed, error));
    if (!closed) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "no closed case has the id %s", id);
    }
    DV_TRY(dv_store_run(store, error, "DELETE FROM case_history WHERE case_id = ?1", "t", id));
    DV_TRY(dv_store_run(store, error, "DELETE FROM case_item WHERE case_id = ?1", "t", id));
    return dv_store_run(store, error, "DELETE FROM case_case WHERE id = ?1", "t", id);
}
