/* SPDX-License-Identifier: Apache-2.0 */
#include "store/change.h"

#include "base/uuid.h"

enum { STORE_ID_LEN = DV_UUID_TEXT_LEN };

static dv_result counter_next(dv_store *store, int64_t *ret_sequence, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store, "UPDATE change_counter SET last = last + 1 RETURNING last",
                            &statement, error));
    DV_TRY(dv_statement_step(statement, error));
    *ret_sequence = dv_column_int(statement, 0);
    return DV_OK;
}

dv_result dv_change_append(dv_store *store, const char *kind, dv_slice key, dv_error *error)
{
    int64_t sequence;
    DV_TRY(counter_next(store, &sequence, error));
    return dv_store_run(store, error,
                        "INSERT INTO change_log (sequence, kind, key) VALUES (?1, ?2, ?3)", "its",
                        sequence, kind, key);
}

dv_result dv_change_range(dv_store *store, uint64_t *ret_last, uint64_t *ret_forgotten,
                          dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store,
                            "SELECT last, coalesce((SELECT min(sequence) FROM change_log) - 1,"
                            " last) FROM change_counter",
                            &statement, error));
    DV_TRY(dv_statement_step(statement, error));
    *ret_last = (uint64_t)dv_column_int(statement, 0);
    *ret_forgotten = (uint64_t)dv_column_int(statement, 1);
    return DV_OK;
}

static dv_result change_count(dv_store *store, uint64_t after, size_t *ret_count, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store, "SELECT count(*) FROM change_log WHERE sequence > ?1",
                            &statement, error));
    DV_TRY(dv_bind_int(statement, 1, (int64_t)after));
    DV_TRY(dv_statement_step(statement, error));
    *ret_count = (size_t)dv_column_int(statement, 0);
    return DV_OK;
}

static dv_result change_read(dv_statement *statement, dv_arena *arena, dv_change *ret_change)
{
    dv_change change = {.sequence = dv_column_int(statement, 0)};
    DV_TRY(dv_arena_copy(arena, dv_column_slice(statement, 1), &change.kind));
    DV_TRY(dv_arena_copy(arena, dv_column_slice(statement, 2), &change.key));
    *ret_change = change;
    return DV_OK;
}

dv_result dv_change_list(dv_store *store, uint64_t after, dv_arena *arena,
                         const dv_change **ret_changes, size_t *ret_count, dv_error *error)
{
    size_t max;
    DV_TRY(change_count(store, after, &max, error));
    dv_change *changes = dv_arena_alloc(arena, (max + 1) * sizeof(*changes));
    if (changes == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "store: too many changes to list");
    }
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store,
                            "SELECT min(sequence), kind, key FROM change_log WHERE sequence > ?1"
                            " GROUP BY kind, key ORDER BY min(sequence)",
                            &statement, error));
    DV_TRY(dv_bind_int(statement, 1, (int64_t)after));
    size_t count = 0;
    dv_result result;
    while ((result = dv_statement_step(statement, error)) == DV_OK && count < max) {
        DV_TRY(change_read(statement, arena, &changes[count++]));
    }
    if (result != DV_ERR_NOT_FOUND) {
        return result == DV_OK ? DV_ERR_INTERNAL : result;
    }
    *ret_changes = changes;
    *ret_count = count;
    return DV_OK;
}

dv_result dv_change_prune(dv_store *store, uint64_t keep, dv_error *error)
{
    return dv_store_run(store, error,
                        "DELETE FROM change_log WHERE sequence <="
                        " (SELECT last FROM change_counter) - ?1",
                        "i", (int64_t)keep);
}

static dv_result id_read(dv_store *store, dv_arena *arena, dv_slice *ret_id, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store, "SELECT id FROM store_identity", &statement, error));
    DV_TRY(dv_statement_step(statement, error));
    return dv_arena_copy(arena, dv_column_slice(statement, 0), ret_id);
}

static dv_result id_make(dv_store *store, dv_error *error)
{
    char text[STORE_ID_LEN + 1];
    dv_uuid id = dv_uuid_new(dv_time_now());
    dv_uuid_format(&id, text);
    return dv_store_run(store, error, "INSERT INTO store_identity (id) VALUES (?1)", "t", text);
}

dv_result dv_store_id(dv_store *store, dv_arena *arena, dv_slice *ret_id, dv_error *error)
{
    dv_result result = id_read(store, arena, ret_id, error);
    if (result != DV_ERR_NOT_FOUND) {
        return result;
    }
    DV_TRY(id_make(store, error));
    return id_read(store, arena, ret_id, error);
}
