/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_private.h"

#include <stdarg.h>

enum { CACHE_MAX = 128 }; /* statements; the code has fewer texts */

dv_result dv_sqlite_result(int rc)
{
    if (rc == SQLITE_IOERR_DATA) {
        return DV_ERR_CORRUPT; /* sealed_file.c: a page is not what was written */
    }
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return DV_OK;
    case SQLITE_NOMEM:
        return DV_ERR_NO_MEMORY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return DV_ERR_UNAVAILABLE;
    case SQLITE_TOOBIG:
        return DV_ERR_TOO_LARGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return DV_ERR_CORRUPT;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return DV_ERR_IO;
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY
                   ? DV_ERR_EXISTS
                   : DV_ERR_CONFLICT;
    default:
        return DV_ERR_INTERNAL;
    }
}

dv_result dv_sqlite_failed(sqlite3 *db, int rc, const char *step, dv_error *error)
{
    if (rc == SQLITE_IOERR_DATA) { /* of which SQLite says "disk I/O error" */
        return dv_error_set(error, DV_ERR_CORRUPT,
                            "store: %s is damaged, or was sealed with another key: restore it with "
                            "its keys from a backup",
                            sqlite3_db_filename(db, "main"));
    }
    /* A step that should have ended otherwise has failed, too. */
    dv_result result = dv_sqlite_result(rc);
    result = result == DV_OK ? DV_ERR_INTERNAL : result;
    return dv_error_set(error, result, "store: %s: %s", step, sqlite3_errmsg(db));
}

/* --- statements ------------------------------------------------------------------------------ */

static dv_statement *cache_find(dv_store *store, const char *sql)
{
    for (dv_statement *s = store->statements; s != NULL; s = s->next) {
        if (!s->in_use && strcmp(sqlite3_sql(s->handle), sql) == 0) {
            return s;
        }
    }
    return NULL;
}

static dv_result statement_new(dv_store *store, const char *sql, dv_statement **ret_statement,
                               dv_error *error)
{
    dv_statement *statement = calloc(1, sizeof(*statement));
    if (statement == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "store: out of memory");
    }
    int rc =
        sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->handle, NULL);
    if (rc != SQLITE_OK) {
        free(statement);
        return dv_sqlite_failed(store->db, rc, "preparing", error);
    }
    statement->store = store;
    statement->cached = store->statement_count < CACHE_MAX;
    if (statement->cached) {
        statement->next = store->statements;
        store->statements = statement;
        store->statement_count++;
    }
    *ret_statement = statement;
    return DV_OK;
}

dv_result dv_store_prepare(dv_store *store, const char *sql, dv_statement **ret_statement,
                           dv_error *error)
{
    dv_statement *statement = cache_find(store, sql);
    if (statement == NULL) {
        DV_TRY(statement_new(store, sql, &statement, error));
    }
    statement->in_use = true;
    *ret_statement = statement;
    return DV_OK;
}

void dv_statement_done(dv_statement *statement)
{
    if (statement == NULL) {
        return;
    }
    if (!statement->cached) {
        sqlite3_finalize(statement->handle);
        free(statement);
        return;
    }
    sqlite3_reset(statement->handle);
    sqlite3_clear_bindings(statement->handle);
    statement->in_use = false;
}

/* The empty slice is the empty text or blob, not NULL. */
dv_result dv_bind_text(dv_statement *statement, int index, dv_slice text)
{
    const char *from = text.len > 0 ? (const char *)text.ptr : "";
    return dv_sqlite_result(sqlite3_bind_text64(statement->handle, index, from, text.len,
                                                SQLITE_TRANSIENT, SQLITE_UTF8));
}

dv_result dv_bind_blob(dv_statement *statement, int index, dv_slice bytes)
{
    const void *from = bytes.len > 0 ? (const void *)bytes.ptr : "";
    return dv_sqlite_result(
        sqlite3_bind_blob64(statement->handle, index, from, bytes.len, SQLITE_TRANSIENT));
}

dv_result dv_bind_int(dv_statement *statement, int index, int64_t value)
{
    return dv_sqlite_result(sqlite3_bind_int64(statement->handle, index, value));
}

dv_result dv_bind_null(dv_statement *statement, int index)
{
    return dv_sqlite_result(sqlite3_bind_null(statement->handle, index));
}

dv_result dv_statement_step(dv_statement *statement, dv_error *error)
{
    int rc = sqlite3_step(statement->handle);
    if (rc == SQLITE_ROW) {
        return DV_OK;
    }
    return rc == SQLITE_DONE
               ? DV_ERR_NOT_FOUND
               : dv_sqlite_failed(statement->store->db, rc, "running a statement", error);
}

dv_slice dv_column_slice(dv_statement *statement, int column)
{
    const void *bytes = sqlite3_column_blob(statement->handle, column);
    int len = sqlite3_column_bytes(statement->handle, column);
    return bytes == NULL ? (dv_slice){0} : dv_slice_of(bytes, (size_t)len);
}

int64_t dv_column_int(dv_statement *statement, int column)
{
    return sqlite3_column_int64(statement->handle, column);
}

bool dv_column_is_null(dv_statement *statement, int column)
{
    return sqlite3_column_type(statement->handle, column) == SQLITE_NULL;
}

static dv_result bind_one(dv_statement *statement, int index, char type, va_list *args)
{
    switch (type) {
    case 't': {
        const char *text = va_arg(*args, const char *);
        return text == NULL ? dv_bind_null(statement, index)
                            : dv_bind_text(statement, index, dv_slice_str(text));
    }
    case 's':
        return dv_bind_text(statement, index, va_arg(*args, dv_slice));
    case 'b':
        return dv_bind_blob(statement, index, va_arg(*args, dv_slice));
    case 'i':
        return dv_bind_int(statement, index, va_arg(*args, int64_t));
    default:
        return DV_ERR_INTERNAL;
    }
}

static dv_result query(dv_store *store, const char *sql, dv_statement **ret_statement,
                       dv_error *error, const char *types, va_list *args)
{
    dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store, sql, &statement, error));
    for (int i = 0; types[i] != '\0'; i++) {
        dv_result result = bind_one(statement, i + 1, types[i], args);
        if (result != DV_OK) {
            dv_statement_done(statement);
            return dv_error_set(error, result, "store: binding value %d", i + 1);
        }
    }
    *ret_statement = statement;
    return DV_OK;
}

dv_result dv_store_query(dv_store *store, dv_statement **ret_statement, dv_error *error,
                         const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    dv_result result = query(store, sql, ret_statement, error, types, &args);
    va_end(args);
    return result;
}

dv_result dv_store_run(dv_store *store, dv_error *error, const char *sql, const char *types, ...)
{
    dv_auto(statement) dv_statement *statement = NULL;
    va_list args;
    va_start(args, types);
    dv_result result = query(store, sql, &statement, error, types, &args);
    va_end(args);
    while (result == DV_OK) {
        result = dv_statement_step(statement, error);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* --- transactions ---------------------------------------------------------------------------- */

/* IMMEDIATE: the lock is taken at the beginning, where waiting for it harms nothing. */
dv_result dv_store_begin(dv_store *store, dv_error *error)
{
    if (store->in_transaction) {
        return dv_error_set(error, DV_ERR_INTERNAL, "store: a transaction is already running");
    }
    int rc = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        return dv_sqlite_failed(store->db, rc, "beginning", error);
    }
    store->in_transaction = true;
    return DV_OK;
}

dv_result dv_store_commit(dv_store *store, dv_error *error)
{
    if (!store->in_transaction) {
        return dv_error_set(error, DV_ERR_INTERNAL, "store: no transaction is running");
    }
    int rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        dv_result result = dv_sqlite_failed(store->db, rc, "committing", error);
        dv_store_rollback(store);
        return result;
    }
    store->in_transaction = false;
    return DV_OK;
}

dv_result dv_store_scrub(dv_store *store, dv_error *error)
{
    if (store->in_transaction) {
        return dv_error_set(error, DV_ERR_INTERNAL, "store: a transaction is running");
    }
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return rc == SQLITE_OK ? DV_OK : dv_sqlite_failed(store->db, rc, "emptying its log", error);
}

void dv_store_rollback(dv_store *store)
{
    if (!store->in_transaction) {
        return;
    }
    store->in_transaction = false;
    /* SQLite rolls some failures back by itself; then there is nothing left to do. */
    if (sqlite3_get_autocommit(store->db) == 0) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

int64_t dv_store_changes(dv_store *store)
{
    return sqlite3_changes64(store->db);
}
