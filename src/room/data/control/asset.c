/* SPDX-License-Identifier: Apache-2.0 */
/* Files and tables: showing them, and what people say of them. */
#include "core/audit.h"
#include "room/data/control/access/access.h"
#include "room/data/control/inventory.h"

#include "api/operations.h"

#define COLUMNS                                                                                    \
    "id, source, name, kind, size, rows_read, found, sensitivity, confidence, categories, labels," \
    " details, problem, own_sensitivity, own_categories, own_labels, owner, came_from, goes_to,"   \
    " note, set_by, first_seen, last_seen, gone"

enum column {
    ID,
    SOURCE,
    NAME,
    KIND,
    SIZE,
    ROWS,
    FOUND,
    SENSITIVITY,
    CONFIDENCE,
    CATEGORIES,
    LABELS,
    DETAILS,
    PROBLEM,
    OWN_SENSITIVITY,
    OWN_CATEGORIES,
    OWN_LABELS,
    OWNER,
    CAME_FROM,
    GOES_TO,
    NOTE,
    SET_BY,
    FIRST_SEEN,
    LAST_SEEN,
    GONE,
};

/* ---- as JSON ---- */

static json_t *words_column(dv_statement *row, enum column own, enum column scanned)
{
    return dv_data_words_json(
        dv_column_slice(row, dv_column_is_null(row, (int)own) ? (int)scanned : (int)own));
}

static int set_scanned(json_t *json, dv_statement *row)
{
    dv_slice text = dv_column_slice(row, DETAILS);
    json_t *details = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    json_t *scanned = json_pack("{s:s, s:I, s:o, s:o, s:o}", "sensitivity",
                                dv_data_level_word(dv_column_int(row, SENSITIVITY)), "confidence",
                                (json_int_t)dv_column_int(row, CONFIDENCE), "categories",
                                dv_data_words_json(dv_column_slice(row, CATEGORIES)), "labels",
                                dv_data_words_json(dv_column_slice(row, LABELS)), "details",
                                details != NULL ? details : json_object());
    return json_object_set_new(json, "scanned", scanned);
}

static json_t *row_json(dv_statement *row)
{
    bool own = !dv_column_is_null(row, OWN_SENSITIVITY);
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s, s:I}", "id", dv_data_column_text(row, ID),
        "source", dv_data_column_text(row, SOURCE), "name", dv_data_column_text(row, NAME), "kind",
        dv_data_column_text(row, KIND), "size", (json_int_t)dv_column_int(row, SIZE), "rows",
        (json_int_t)dv_column_int(row, ROWS), "values", (json_int_t)dv_column_int(row, FOUND),
        "sensitivity", dv_data_level_word(dv_column_int(row, own ? OWN_SENSITIVITY : SENSITIVITY)),
        "confidence", own ? (json_int_t)100 : (json_int_t)dv_column_int(row, CONFIDENCE));
    int failed =
        json_object_set_new(json, "categories", words_column(row, OWN_CATEGORIES, CATEGORIES));
    failed |= json_object_set_new(json, "labels", words_column(row, OWN_LABELS, LABELS));
    failed |= json_object_set_new(json, "owner", dv_data_column_text(row, OWNER));
    failed |=
        json_object_set_new(json, "came_from", dv_data_words_json(dv_column_slice(row, CAME_FROM)));
    failed |=
        json_object_set_new(json, "goes_to", dv_data_words_json(dv_column_slice(row, GOES_TO)));
    failed |= json_object_set_new(json, "note", dv_data_column_text(row, NOTE));
    failed |= json_object_set_new(json, "set_by", dv_data_column_text(row, SET_BY));
    failed |= set_scanned(json, row);
    failed |= json_object_set_new(json, "problem", dv_data_column_text(row, PROBLEM));
    failed |= json_object_set_new(json, "first_seen", dv_data_column_time(row, FIRST_SEEN));
    failed |= json_object_set_new(json, "last_seen", dv_data_column_time(row, LAST_SEEN));
    failed |= json_object_set_new(json, "gone", dv_data_column_time(row, GONE));
    if (failed != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* ---- list ---- */

/* "%,word,%" for LIKE; "": any. '_' of a word is no joker. */
static const char *like(dv_call *call, const char *param)
{
    const char *word = dv_call_param(call, param);
    const char *pattern = word == NULL ? "" : "%,";
    for (; word != NULL && *word != '\0' && pattern != NULL; word++) {
        pattern = dv_arena_printf(call->arena, "%s%s%c", pattern, *word == '_' ? "\\" : "", *word);
    }
    return pattern == NULL || pattern[0] == '\0' ? pattern
                                                 : dv_arena_printf(call->arena, "%s,%%", pattern);
}

dv_result dv_op_data_asset_list(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    const char *cursor = dv_call_param(call, "cursor"), *source = dv_call_param(call, "source");
    const char *owner = dv_call_param(call, "owner");
    const char *category = like(call, "category"), *label = like(call, "label");
    if (category == NULL || label == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_query(
        call->services->store, &rows, error,
        "SELECT " COLUMNS " FROM data_asset WHERE id > ?1"
        " AND COALESCE(own_sensitivity, sensitivity) >= ?2"
        " AND (?3 = '' OR ',' || COALESCE(own_categories, categories) || ',' LIKE ?3 ESCAPE '\\')"
        " AND (?4 = '' OR ',' || COALESCE(own_labels, labels) || ',' LIKE ?4 ESCAPE '\\')"
        " AND (?5 = '' OR owner = ?5) AND (?6 = 0 OR owner IS NULL)"
        " AND (?7 = '' OR source = ?7) AND (?8 = 1 OR gone = 0) ORDER BY id LIMIT ?9",
        "titttitii", cursor != NULL ? cursor : "",
        dv_data_level_number(dv_call_param(call, "sensitivity")), category, label,
        owner != NULL ? owner : "", (int64_t)json_is_true(json_object_get(call->params, "unowned")),
        source != NULL ? source : "", (int64_t)json_is_true(json_object_get(call->params, "gone")),
        json_integer_value(json_object_get(call->params, "limit"))));
    return dv_data_answer_rows(call, rows, row_json, error);
}

static dv_result read_asset(dv_call *call, json_t **ret_json, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    const char *id = dv_call_param(call, "id");
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT " COLUMNS " FROM data_asset WHERE id = ?1", "t", id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result,
                            "there is no file or table %s: see `dvara data asset list`", id);
    }
    DV_TRY(result);
    *ret_json = row_json(row);
    return *ret_json != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_asset_show(dv_call *call, dv_error *error)
{
    return read_asset(call, &call->answer, error);
}

/* ---- what people say ---- */

static dv_result set_text(dv_call *call, const char *sql, const char *value, dv_error *error)
{
    return dv_store_run(call->services->store, error, sql, "tt", dv_call_param(call, "id"), value);
}

/* One field of the body. Absent: stays; null: taken back. */
static dv_result set_field(dv_call *call, const char *field, const char *sql, dv_error *error)
{
    const json_t *value = json_object_get(call->body, field);
    if (value == NULL) {
        return DV_OK;
    }
    const char *text =
        json_is_array(value) ? dv_data_words_text(call->arena, value) : json_string_value(value);
    return json_is_array(value) && text == NULL ? DV_ERR_NO_MEMORY
                                                : set_text(call, sql, text, error);
}

static dv_result set_sensitivity(dv_call *call, dv_error *error)
{
    const char *id = dv_call_param(call, "id");
    const json_t *value = json_object_get(call->body, "sensitivity");
    if (value == NULL) {
        return DV_OK;
    }
    return json_is_null(value)
               ? dv_store_run(call->services->store, error,
                              "UPDATE data_asset SET own_sensitivity = NULL WHERE id = ?1", "t", id)
               : dv_store_run(call->services->store, error,
                              "UPDATE data_asset SET own_sensitivity = ?2 WHERE id = ?1", "ti", id,
                              dv_data_level_number(json_string_value(value)));
}

static dv_result update(dv_call *call, dv_error *error)
{
    static const struct {
        const char *field;
        const char *sql;
    } fields[] = {
        {"owner", "UPDATE data_asset SET owner = ?2 WHERE id = ?1"},
        {"categories", "UPDATE data_asset SET own_categories = ?2 WHERE id = ?1"},
        {"labels", "UPDATE data_asset SET own_labels = ?2 WHERE id = ?1"},
        {"came_from", "UPDATE data_asset SET came_from = ?2 WHERE id = ?1"},
        {"goes_to", "UPDATE data_asset SET goes_to = ?2 WHERE id = ?1"},
        {"note", "UPDATE data_asset SET note = ?2 WHERE id = ?1"},
    };
    json_t *before = NULL;
    DV_TRY(read_asset(call, &before, error));
    json_decref(before);
    for (size_t i = 0; i < DV_ARRAY_LEN(fields); i++) {
        DV_TRY(set_field(call, fields[i].field, fields[i].sql, error));
    }
    DV_TRY(set_sensitivity(call, error));
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_asset SET set_by = ?2, set_at = ?3 WHERE id = ?1", "tti",
                        dv_call_param(call, "id"), call->caller, call->now));
    return dv_audit_entity(call, DV_ENTITY_UPDATE, "data_asset", dv_call_param(call, "id"), NULL,
                           call->body, error);
}

dv_result dv_op_data_asset_update(dv_call *call, dv_error *error)
{
    DV_TRY(dv_audit_change(call, update, error));
    return read_asset(call, &call->answer, error);
}

static dv_result forget(dv_call *call, dv_error *error)
{
    const char *id = dv_call_param(call, "id");
    json_t *asset = NULL;
    DV_TRY(read_asset(call, &asset, error));
    bool there = json_is_null(json_object_get(asset, "gone"));
    json_decref(asset);
    if (there) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the last scan saw it: only what is gone can be forgotten");
    }
    DV_TRY(dv_data_access_asset_gone(call, id, error));
    DV_TRY(dv_store_run(call->services->store, error, "DELETE FROM data_asset WHERE id = ?1", "t",
                        id));
    return dv_audit_entity(call, DV_ENTITY_DELETE, "data_asset", id, NULL, NULL, error);
}

dv_result dv_op_data_asset_delete(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, forget, error);
}
