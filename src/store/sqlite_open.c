/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "store/migration.h"
#include "store/sqlite_private.h"

enum {
    BUSY_MILLISECONDS = 5000,
    VALUE_MAX = 16 << 20,
    SQL_MAX = 256 << 10,
};

/* A value of one row and column, for PRAGMAs and counts. */
static dv_result query_int(dv_store *store, const char *sql, int64_t *ret_value, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store, sql, &statement, error));
    DV_TRY(dv_statement_step(statement, error));
    *ret_value = dv_column_int(statement, 0);
    return DV_OK;
}

static void limit(sqlite3 *db)
{
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, SQL_MAX);
    sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
}

/* The database is in WAL mode: dv_sqlite_make put it there, and the file says so. */
static dv_result configure(dv_store *store, dv_error *error)
{
    int rc = sqlite3_busy_timeout(store->db, BUSY_MILLISECONDS);
    if (rc != SQLITE_OK) {
        return dv_sqlite_failed(store->db, rc, "setting the busy timeout", error);
    }
    DV_TRY(dv_sqlite_run(store->db, "PRAGMA cell_size_check=ON", error));
    DV_TRY(dv_sqlite_run(store->db, "PRAGMA temp_store=MEMORY", error));
    DV_TRY(dv_sqlite_run(store->db, "PRAGMA synchronous=FULL", error));
    DV_TRY(dv_sqlite_run(store->db, "PRAGMA secure_delete=ON", error));
    DV_TRY(dv_sqlite_run(store->db, "PRAGMA cache_size=-32768", error)); /* KiB */
    int64_t synchronous;
    int64_t keys;
    DV_TRY(query_int(store, "PRAGMA synchronous", &synchronous, error));
    DV_TRY(query_int(store, "PRAGMA foreign_keys", &keys, error));
    if (synchronous != 2 || keys != 1) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED,
                            "store: this SQLite does not keep durability or foreign keys");
    }
    return DV_OK;
}

/* Reads the first page, and with it whether this is the file's key. */
static dv_result look(dv_store *store, const char *path, dv_error *error)
{
    int64_t application;
    DV_TRY(query_int(store, "PRAGMA application_id", &application, error));
    return application == DV_SQLITE_APPLICATION
               ? DV_OK
               : dv_error_set(error, DV_ERR_CORRUPT, "store: %s is no store", path);
}

static dv_result migration_note(dv_store *store, const dv_migration *migration, dv_error *error)
{
    return dv_store_run(store, error,
                        "INSERT INTO migration (number, name, applied) VALUES (?1, ?2, ?3)", "iti",
                        (int64_t)migration->number, migration->name, dv_time_now());
}

static dv_result migration_run(dv_store *store, const dv_migration *migration, dv_error *error)
{
    DV_TRY(dv_store_begin(store, error));
    int rc = sqlite3_exec(store->db, migration->sql, NULL, NULL, NULL);
    dv_result result = rc == SQLITE_OK
                           ? migration_note(store, migration, error)
                           : dv_error_set(error, dv_sqlite_result(rc), "store: migration %s: %s",
                                          migration->name, sqlite3_errmsg(store->db));
    if (result == DV_OK) {
        result = dv_store_commit(store, error);
    }
    if (result != DV_OK) {
        dv_store_rollback(store);
    }
    return result;
}

static dv_result migrate(dv_store *store, const char *path, dv_error *error)
{
    DV_TRY(dv_sqlite_run(store->db,
                         "CREATE TABLE IF NOT EXISTS migration (number BIGINT NOT NULL PRIMARY KEY,"
                         " name TEXT NOT NULL, applied BIGINT NOT NULL)",
                         error));
    int64_t done;
    DV_TRY(query_int(store, "SELECT coalesce(max(number), 0) FROM migration", &done, error));
    if (done > (int64_t)DV_MIGRATION_COUNT) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED,
                            "store: %s was made by a newer Dvara (migration %lld, this one knows "
                            "%zu): run that version or restore a backup",
                            path, (long long)done, DV_MIGRATION_COUNT);
    }
    for (size_t i = (size_t)done; i < DV_MIGRATION_COUNT; i++) {
        DV_TRY(migration_run(store, &DV_MIGRATIONS[i], error));
    }
    return DV_OK;
}

/* Whether SQLite, when it closes the database, takes its log over and removes it. */
static dv_result keep_log(dv_store *store, bool keep, dv_error *error)
{
    int rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)keep, NULL);
    return rc == SQLITE_OK ? DV_OK
                           : dv_sqlite_failed(store->db, rc, "setting what closing does", error);
}

/* Under another key the log is one that ends at once, and an end of it is what SQLite removes: not
 * before the key has opened something. */
static dv_result open_database(dv_store *store, const char *path, dv_error *error)
{
    int rc = sqlite3_open_v2(path, &store->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_FULLMUTEX |
                                 SQLITE_OPEN_EXRESCODE,
                             dv_sealed_files_name(store->files));
    if (rc != SQLITE_OK) {
        return store->db == NULL ? DV_ERR_NO_MEMORY : dv_sqlite_failed(store->db, rc, path, error);
    }
    DV_TRY(dv_sqlite_defend(store->db, error));
    limit(store->db);
    DV_TRY(keep_log(store, true, error));
    DV_TRY(look(store, path, error));
    DV_TRY(keep_log(store, false, error));
    DV_TRY(configure(store, error));
    return migrate(store, path, error);
}

dv_result dv_store_open(const char *path, const uint8_t key[DV_STORE_KEY_LEN], bool adopt,
                        dv_store **ret_store, dv_error *error)
{
    dv_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "store: out of memory");
    }
    dv_result result = dv_sealed_files_new(key, &store->files);
    result = result == DV_OK ? dv_sqlite_prepare(store->files, path, adopt, error)
                             : dv_error_set(error, result, "store: its seals can not be set up");
    if (result == DV_OK) {
        result = open_database(store, path, error);
    }
    if (result != DV_OK) {
        dv_store_close(store);
        return result;
    }
    *ret_store = store;
    return DV_OK;
}

void dv_store_close(dv_store *store)
{
    if (store == NULL) {
        return;
    }
    while (store->statements != NULL) {
        dv_statement *statement = store->statements;
        store->statements = statement->next;
        sqlite3_finalize(statement->handle);
        free(statement);
    }
    sqlite3_close(store->db);
    dv_sealed_files_free(store->files);
    free(store);
}
