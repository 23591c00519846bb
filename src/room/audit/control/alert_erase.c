/* SPDX-License-Identifier: Apache-2.0 */
/* What alerts counted of a person who is erased, and what is not told yet: groups are by name, in
 * plain text. What was told is sealed in the log. */
#include "room/audit/control/alert.h"
#include "room/audit/control/internal.h"

/* alice of User::"alice"; all of a text that is no entity's. */
static dv_slice id_of(const char *subject)
{
    dv_slice whole = dv_slice_str(subject);
    const char *quote = strchr(subject, '"');
    return quote != NULL && dv_slice_ends_with(whole, DV_LIT("\"")) && quote[1] != '\0'
               ? dv_slice_of(quote + 1, strlen(quote) - 2)
               : whole;
}

/* Whether one of the values is the subject's: User::"alice", or alice. */
static bool is_of(const json_t *values, const char *subject)
{
    size_t i;
    const json_t *value;
    dv_slice id = id_of(subject);
    json_array_foreach(values, i, value)
    {
        const char *text = json_string_value(value);
        if (text != NULL && (strcmp(text, subject) == 0 || dv_slice_eq_str(id, text))) {
            return true;
        }
    }
    return false;
}

/* Adds the group texts that name the subject. */
static dv_result find(dv_store *store, const char *sql, const char *subject, json_t *found,
                      dv_error *error)
{
    dv_result result;
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error, sql, ""));
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        dv_slice text = dv_column_slice(row, 0);
        json_t *values = json_loadb((const char *)text.ptr, text.len, 0, NULL);
        bool named = is_of(values, subject);
        json_decref(values);
        if (named &&
            json_array_append_new(found, json_stringn((const char *)text.ptr, text.len)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result forget(dv_store *store, const json_t *found, dv_error *error)
{
    size_t i;
    const json_t *values;
    json_array_foreach(found, i, values)
    {
        const char *text = json_string_value(values);
        DV_TRY(dv_store_run(store, error,
                            "DELETE FROM audit_alert_outbox WHERE uid IN"
                            " (SELECT uid FROM audit_alert_group WHERE group_values = ?1)",
                            "t", text));
        DV_TRY(dv_store_run(store, error, "DELETE FROM audit_alert_bucket WHERE group_values = ?1",
                            "t", text));
        DV_TRY(dv_store_run(store, error, "DELETE FROM audit_alert_group WHERE group_values = ?1",
                            "t", text));
    }
    return DV_OK;
}

dv_result dv_alert_erase(dv_store *store, const char *subject, dv_error *error)
{
    json_t *found = json_array();
    dv_result result = found == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK) {
        result = find(store, "SELECT DISTINCT group_values FROM audit_alert_bucket", subject, found,
                      error);
    }
    if (result == DV_OK) {
        result = find(store, "SELECT DISTINCT group_values FROM audit_alert_group", subject, found,
                      error);
    }
    if (result == DV_OK) {
        result = forget(store, found, error);
    }
    json_decref(found);
    return result;
}
