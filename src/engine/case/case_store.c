/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/case/case_store.h"

#include "base/codec.h"
#include "base/uuid.h"

/* --- writing --------------------------------------------------------------------------------- */

dv_result dv_case_insert(dv_store *store, const dv_case *c, dv_error *error)
{
    return dv_store_run(store, error,
                        "INSERT INTO case_case (id, type, title, owner, state, at_deadline,"
                        " details, created, deadline) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                        "tttttttii", c->id, c->type->id, c->title, c->owner, c->state,
                        c->at_deadline, c->details, c->created, c->deadline);
}

dv_result dv_case_item_insert(dv_store *store, const char *case_id, int64_t number,
                              const dv_case_item *item, dv_error *error)
{
    return dv_store_run(store, error,
                        "INSERT INTO case_item (case_id, number, kind, subject, object, assignee,"
                        " state, details, decided) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
                        "tittttt"
                        "t",
                        case_id, number, item->kind, item->subject, item->object, item->assignee,
                        item->state, item->details);
}

dv_result dv_case_history_add(dv_call *call, const dv_case_entry *entry, dv_error *error)
{
    return dv_store_run(call->services->store, error,
                        "INSERT INTO case_history (case_id, sequence, item, step, from_state,"
                        " to_state, actor, reason, time, request_id) VALUES (?1,"
                        " (SELECT coalesce(max(sequence), 0) + 1 FROM case_history"
                        " WHERE case_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                        "tittttti"
                        "t",
                        entry->case_id, entry->item, entry->step, entry->from, entry->to, entry->by,
                        entry->reason, call->now, call->request_id);
}

static dv_result moved(dv_store *store, dv_error *error)
{
    return dv_store_changes(store) == 1
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "somebody else was faster");
}

dv_result dv_case_state_set(dv_call *call, const dv_case *c, const char *to, bool ends,
                            dv_error *error)
{
    dv_store *store = call->services->store;
    DV_TRY(dv_store_run(store, error,
                        "UPDATE case_case SET state = ?3, ended = CASE ?4 WHEN 1 THEN ?5 END"
                        " WHERE id = ?1 AND state = ?2",
                        "tttii", c->id, c->state, to, (int64_t)ends, call->now));
    return moved(store, error);
}

dv_result dv_case_item_state_set(dv_call *call, const dv_case *c, const dv_case_item *item,
                                 const char *to, bool decided, dv_error *error)
{
    dv_store *store = call->services->store;
    DV_TRY(dv_store_run(store, error,
                        "UPDATE case_item SET state = ?4, decided = ?5 WHERE case_id = ?1"
                        " AND number = ?2 AND state = ?3",
                        "titti", c->id, item->number, item->state, to, (int64_t)decided));
    return moved(store, error);
}

/* --- counting -------------------------------------------------------------------------------- */

static dv_result count_read(dv_store *store, const char *sql, const char *key, size_t *ret_count,
                            dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error, sql, "t", key));
    DV_TRY(dv_statement_step(row, error));
    *ret_count = (size_t)dv_column_int(row, 0);
    return DV_OK;
}

dv_result dv_case_open_count(dv_store *store, const char *type, size_t *ret_count, dv_error *error)
{
    return count_read(store, "SELECT count(*) FROM case_case WHERE type = ?1 AND ended IS NULL",
                      type, ret_count, error);
}

dv_result dv_case_undecided_count(dv_store *store, const char *case_id, size_t *ret_count,
                                  dv_error *error)
{
    return count_read(store, "SELECT count(*) FROM case_item WHERE case_id = ?1 AND decided = 0",
                      case_id, ret_count, error);
}

dv_result dv_case_has_undecided(dv_store *store, const char *case_id, bool *ret_has,
                                dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT 1 FROM case_item WHERE case_id = ?1 AND decided = 0 LIMIT 1", "t",
                          case_id));
    dv_result result = dv_statement_step(row, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_has = result == DV_OK;
    return DV_OK;
}

dv_result dv_case_last(const dv_call *call, const dv_case_type *type, const char *owner,
                       dv_time *ret_created, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT COALESCE(max(created), 0) FROM case_case WHERE type = ?1"
                          " AND owner = ?2",
                          "tt", type->id, owner));
    DV_TRY(dv_statement_step(row, error));
    *ret_created = dv_column_int(row, 0);
    return DV_OK;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Copies the columns from `first` on into texts; NULL stays NULL. */
static dv_result columns_copy(dv_statement *row, int first, const char **const texts[],
                              size_t count, dv_arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        dv_slice text;
        int column = first + (int)i;
        if (dv_column_is_null(row, column)) {
            *texts[i] = NULL;
            continue;
        }
        DV_TRY(dv_arena_copy(arena, dv_column_slice(row, column), &text));
        *texts[i] = (const char *)text.ptr;
    }
    return DV_OK;
}

dv_result dv_case_next(dv_statement *rows, const dv_case_type *type, dv_arena *arena,
                       dv_case *ret_case, dv_error *error)
{
    dv_case c = {.type = type};
    const char **const texts[] = {&c.id, &c.title, &c.owner, &c.state, &c.at_deadline, &c.details};
    DV_TRY(dv_statement_step(rows, error));
    DV_TRY(columns_copy(rows, 0, texts, DV_ARRAY_LEN(texts), arena));
    c.created = dv_column_int(rows, 6);
    c.deadline = dv_column_int(rows, 7);
    c.ended = dv_column_int(rows, 8);
    *ret_case = c;
    return DV_OK;
}

dv_result dv_case_item_next(dv_statement *rows, dv_arena *arena, dv_case_item *ret_item,
                            dv_error *error)
{
    dv_case_item item = {0};
    const char **const texts[] = {&item.kind,     &item.subject, &item.object,
                                  &item.assignee, &item.state,   &item.details,
                                  &item.by,       &item.reason,  &item.request_id};
    DV_TRY(dv_statement_step(rows, error));
    item.number = dv_column_int(rows, 0);
    DV_TRY(columns_copy(rows, 1, texts, DV_ARRAY_LEN(texts), arena));
    item.when = dv_column_int(rows, 10);
    *ret_item = item;
    return DV_OK;
}

dv_result dv_case_read(dv_call *call, const dv_case_type *type, const char *id, dv_case *ret_case,
                       dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT " DV_CASE_COLUMNS " FROM case_case WHERE id = ?1 AND type = ?2",
                          "tt", id, type->id));
    dv_result result = dv_case_next(row, type, call->arena, ret_case, error);
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result, "there is no %s %s", type->name, id)
               : result;
}

dv_result dv_case_item_read(dv_call *call, const dv_case *c, int64_t number, dv_case_item *ret_item,
                            dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          DV_CASE_ITEM_SELECT " WHERE i.case_id = ?1 AND i.number = ?2", "ti",
                          c->id, number));
    dv_result result = dv_case_item_next(row, call->arena, ret_item, error);
    return result == DV_ERR_NOT_FOUND ? dv_error_set(error, result, "the %s %s has no item %lld",
                                                     c->type->name, c->id, (long long)number)
                                      : result;
}

static dv_result open_check(const dv_call *call, const dv_case *c, dv_error *error)
{
    if (c->ended != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the request is %s", c->state);
    }
    return c->deadline > call->now
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "the time to answer it has passed");
}

dv_result dv_case_item_free(dv_call *call, const dv_case *c, dv_case_item *ret_item,
                            size_t *ret_left, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_case_item item;
    size_t left = 0;
    dv_result result = DV_OK;
    DV_TRY(open_check(call, c, error));
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          DV_CASE_ITEM_SELECT " WHERE i.case_id = ?1 ORDER BY i.number", "t",
                          c->id));
    while ((result = dv_case_item_next(rows, call->arena, &item, error)) == DV_OK) {
        if (item.by != NULL && strcmp(item.by, call->caller) == 0) {
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "you have answered: the other approvals are for others");
        }
        if (item.by == NULL && left++ == 0) {
            *ret_item = item;
        }
    }
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_left = left;
    return left > 0 ? DV_OK : dv_error_set(error, DV_ERR_CONFLICT, "it is decided");
}

/* --- what an item is called ------------------------------------------------------------------ */

dv_result dv_case_item_id_parse(dv_call *call, const char *text, const char **ret_id,
                                int64_t *ret_number, dv_error *error)
{
    dv_uuid uuid;
    dv_slice whole = dv_slice_str(text);
    dv_slice number = dv_slice_sub(whole, DV_UUID_TEXT_LEN + 1, whole.len);
    int64_t value = 0;
    bool good = whole.len > DV_UUID_TEXT_LEN + 1 && text[DV_UUID_TEXT_LEN] == '.' &&
                dv_uuid_parse(dv_slice_sub(whole, 0, DV_UUID_TEXT_LEN), &uuid) == DV_OK &&
                number.len <= 9 && number.ptr[0] != '0';
    for (size_t i = 0; good && i < number.len; i++) {
        good = number.ptr[i] >= '0' && number.ptr[i] <= '9';
        value = 10 * value + (number.ptr[i] - '0');
    }
    if (!good) {
        return dv_error_set(error, DV_ERR_INVALID, "an item is called ID.NUMBER");
    }
    *ret_id = dv_arena_printf(call->arena, "%.*s", DV_UUID_TEXT_LEN, text);
    *ret_number = value;
    return *ret_id == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}
