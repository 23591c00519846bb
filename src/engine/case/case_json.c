/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/case/case_store.h"

/* What people and programs see of cases. */

static json_t *time_json(dv_time time)
{
    char text[DV_TIME_TEXT_MAX];
    if (time == 0) {
        return json_null();
    }
    dv_time_format(time, text);
    return json_string(text);
}

/* Adds the members of the type's own details. Takes over nothing. */
static dv_result details_add(json_t *json, const char *details)
{
    json_t *own = json_loads(details, 0, NULL);
    int failed = own == NULL ? -1 : json_object_update_missing(json, own);
    json_decref(own);
    return failed ? DV_ERR_CORRUPT : DV_OK;
}

/* --- one case -------------------------------------------------------------------------------- */

/* {"pending": 3, "attested": 4}: every state of the type, in its order. */
static dv_result counts_set(dv_call *call, const dv_case *c, json_t *json, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    json_t *counts = json_object();
    dv_result result = DV_OK;
    if (json_object_set_new(json, "counts", counts) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < c->type->items.state_count; i++) {
        json_object_set_new(counts, c->type->items.states[i], json_integer(0));
    }
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT state, count(*) FROM case_item WHERE case_id = ?1"
                          " GROUP BY state",
                          "t", c->id));
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        const char *state =
            dv_arena_printf(call->arena, "%.*s", DV_SLICE_ARGS(dv_column_slice(rows, 0)));
        if (state == NULL ||
            json_object_set_new(counts, state, json_integer(dv_column_int(rows, 1))) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result case_fill(dv_call *call, const dv_case *c, json_t *json, dv_error *error)
{
    size_t undecided = 0;
    DV_TRY(dv_case_undecided_count(call->services->store, c->id, &undecided, error));
    if (json_object_set_new(json, "undecided", json_integer((json_int_t)undecided)) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(counts_set(call, c, json, error));
    return details_add(json, c->details);
}

dv_result dv_case_json(dv_call *call, const dv_case *c, json_t **ret_json, dv_error *error)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s}", "id", c->id, "title",
                             c->title, "state", c->state, "owner", c->owner, "created",
                             time_json(c->created), "deadline", time_json(c->deadline), "ended",
                             time_json(c->ended), "at_deadline", c->at_deadline);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : case_fill(call, c, json, error);
    if (result != DV_OK) {
        json_decref(json);
        return result;
    }
    *ret_json = json;
    return DV_OK;
}

/* --- one item -------------------------------------------------------------------------------- */

dv_result dv_case_item_json(const dv_case *c, const dv_case_item *item, json_t **ret_json)
{
    char name[DV_LIMIT_CASE_WORD + 64];
    snprintf(name, sizeof(name), "%s.%lld", c->id, (long long)item->number);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:o, s:s?, s:s?}", "item", name, "subject",
                  item->subject, "kind", item->kind, "object", item->object, c->type->assignee,
                  item->assignee, "state", item->state, "by", item->by, "when",
                  time_json(item->when), "reason", item->reason, "evidence", item->request_id);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : details_add(json, item->details);
    if (result != DV_OK) {
        json_decref(json);
        return result;
    }
    *ret_json = json;
    return DV_OK;
}

static json_t *step_json(const dv_case_item *item)
{
    return json_pack("{s:s, s:s, s:o, s:s?, s:s}", "answer", item->state, "by", item->by, "when",
                     time_json(item->when), "reason", item->reason, "evidence", item->request_id);
}

dv_result dv_case_answers(dv_call *call, const dv_case *c, json_t **ret_json, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_case_item item;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          DV_CASE_ITEM_SELECT " WHERE i.case_id = ?1 ORDER BY i.number", "t",
                          c->id));
    json_t *answers = json_array();
    while (result == DV_OK &&
           (result = dv_case_item_next(rows, call->arena, &item, error)) == DV_OK) {
        bool added = item.by == NULL || json_array_append_new(answers, step_json(&item)) == 0;
        result = added ? DV_OK : DV_ERR_NO_MEMORY;
    }
    if (result != DV_ERR_NOT_FOUND) {
        json_decref(answers);
        return result;
    }
    *ret_json = answers;
    return DV_OK;
}

/* --- lists ----------------------------------------------------------------------------------- */

/* {"items": []} of which the array is returned; NULL: memory is out. */
static json_t *answer_begin(dv_call *call)
{
    call->answer = json_pack("{s:[]}", "items");
    return json_object_get(call->answer, "items");
}

static int64_t limit_of(const dv_call *call)
{
    return json_integer_value(json_object_get(call->params, "limit"));
}

static dv_result next_set(dv_call *call, json_t *next)
{
    return json_object_set_new(call->answer, "next", next) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_case_list(dv_call *call, const dv_case_type *type, const char *state, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_case c;
    dv_result result;
    json_t *items = answer_begin(call), *json = NULL;
    size_t limit = (size_t)limit_of(call);
    const char *last = NULL;
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_CASE_COLUMNS " FROM case_case WHERE type = ?1"
                          " AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR id < ?3)"
                          " ORDER BY id DESC LIMIT ?4",
                          "ttti", type->id, state, dv_call_param(call, "cursor"),
                          (int64_t)limit + 1));
    while ((result = dv_case_next(rows, type, call->arena, &c, error)) == DV_OK) {
        if (json_array_size(items) == limit) {
            return next_set(call, json_string(last));
        }
        DV_TRY(dv_case_json(call, &c, &json, error));
        if (json_array_append_new(items, json) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        last = c.id;
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Appends the rows' items; at most limit, and whether there are more. */
static dv_result items_add(dv_call *call, const dv_case *c, dv_statement *rows, size_t limit,
                           json_t *items, bool *ret_more, dv_error *error)
{
    dv_case_item item;
    dv_result result;
    json_t *json = NULL;
    while ((result = dv_case_item_next(rows, call->arena, &item, error)) == DV_OK) {
        if (json_array_size(items) == limit) {
            *ret_more = true;
            return DV_OK;
        }
        DV_TRY(dv_case_item_json(c, &item, &json));
        if (json_array_append_new(items, json) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    *ret_more = false;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* A cursor is the number of the last item that was shown. */
static dv_result cursor_read(dv_call *call, int64_t *ret_after, dv_error *error)
{
    const char *cursor = dv_call_param(call, "cursor");
    size_t len = cursor == NULL ? 0 : strlen(cursor);
    int64_t after = 0;
    if (len > 9 || strspn(cursor == NULL ? "" : cursor, "0123456789") != len) {
        return dv_call_invalid(call, "cursor", error, "cursor is none of this list");
    }
    for (size_t i = 0; i < len; i++) {
        after = 10 * after + (cursor[i] - '0');
    }
    *ret_after = after;
    return DV_OK;
}

dv_result dv_case_item_list(dv_call *call, const dv_case *c, const char *state,
                            const char *assignee, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    int64_t after = 0;
    bool more = false;
    size_t limit = (size_t)limit_of(call);
    DV_TRY(cursor_read(call, &after, error));
    json_t *items = answer_begin(call);
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          DV_CASE_ITEM_SELECT " WHERE i.case_id = ?1 AND i.number > ?2"
                                              " AND (?3 IS NULL OR i.state = ?3)"
                                              " AND (?4 IS NULL OR i.assignee = ?4)"
                                              " ORDER BY i.number LIMIT ?5",
                          "titti", c->id, after, state, assignee, (int64_t)limit + 1));
    DV_TRY(items_add(call, c, rows, limit, items, &more, error));
    const char *last = json_string_value(json_object_get(json_array_get(items, limit - 1), "item"));
    return more ? next_set(call, json_string(strchr(last, '.') + 1)) : DV_OK;
}

/* --- the report ------------------------------------------------------------------------------ */

static json_t *column_json(dv_statement *row, int column)
{
    dv_slice text = dv_column_slice(row, column);
    return dv_column_is_null(row, column) ? json_null()
           : text.len == 0                ? json_string("")
                                          : json_stringn((const char *)text.ptr, text.len);
}

/* The steps of the case itself. */
static dv_result history_add(dv_call *call, const dv_case *c, json_t *history, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_result result;
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT step, to_state, actor, reason, request_id, time"
                          " FROM case_history WHERE case_id = ?1 AND item = 0 ORDER BY sequence",
                          "t", c->id));
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        json_t *step = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "step", column_json(rows, 0),
                                 "state", column_json(rows, 1), "by", column_json(rows, 2),
                                 "reason", column_json(rows, 3), "evidence", column_json(rows, 4),
                                 "when", time_json(dv_column_int(rows, 5)));
        if (json_array_append_new(history, step) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_case_report(dv_call *call, const dv_case *c, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    bool more = false;
    DV_TRY(dv_case_json(call, c, &call->answer, error));
    json_t *history = json_array(), *items = json_array();
    if (json_object_set_new(call->answer, "history", history) != 0 ||
        json_object_set_new(call->answer, "items", items) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(history_add(call, c, history, error));
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          DV_CASE_ITEM_SELECT " WHERE i.case_id = ?1 ORDER BY i.number", "t",
                          c->id));
    return items_add(call, c, rows, c->type->items_max, items, &more, error);
}
