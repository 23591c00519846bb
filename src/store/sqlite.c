/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "base/clock.h"
#include "store/migration.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

/* Invariants
 *
 * 1. One connection writes, and it also checkpoints: SQLite 3.40 can lose pages of the log when
 *    one connection resets it while another one commits.
 * 2. A commit is on the disk when it returns (WAL with synchronous=FULL).
 * 3. A cached statement has one user at a time; a second user of the same text gets a statement of
 *    its own.
 * 4. Migrations run one by one, each in one transaction together with the row that says so.
 */

enum {
    APPLICATION_ID = 0x44564152, /* "DVAR", in the file's header */
    BUSY_MILLISECONDS = 5000,
    CACHE_MAX = 128, /* statements; the code has fewer texts */
    VALUE_MAX = 16 << 20,
    SQL_MAX = 256 << 10,
};

struct dv_statement {
    dv_store *store;
    sqlite3_stmt *handle;
    bool cached;
    bool in_use;
    dv_statement *next;
};

struct dv_store {
    sqlite3 *db;
    dv_statement *statements; /* cached */
    size_t statement_count;
    bool in_transaction;
};

static dv_result result_of(int rc)
{
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

static dv_result failed(dv_store *store, int rc, const char *step, dv_error *error)
{
    dv_result result = result_of(rc);
    /* A step that should have ended otherwise has failed, too. */
    result = result == DV_OK ? DV_ERR_INTERNAL : result;
    return dv_error_set(error, result, "store: %s: %s", step, sqlite3_errmsg(store->db));
}

static dv_result run(dv_store *store, const char *sql, dv_error *error)
{
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? DV_OK : failed(store, rc, "setting up", error);
}

/* A value of one row and column, for PRAGMAs and counts. */
static dv_result query_int(dv_store *store, const char *sql, int64_t *ret_value, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store, sql, &statement, error));
    DV_TRY(dv_statement_step(statement, error));
    *ret_value = dv_column_int(statement, 0);
    return DV_OK;
}

/* --- opening --------------------------------------------------------------------------------- */

/* Made before SQLite opens it, so that it (and the log files, which take its mode) never has
 * another mode than 0600, whatever the umask. */
static dv_result file_make(const char *path, dv_error *error)
{
    dv_auto(fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, strerror(errno));
    }
    if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) != 0) {
        return dv_error_set(error, DV_ERR_IO, "store: %s is open to others: %s", path,
                            strerror(errno));
    }
    return DV_OK;
}

/* A file that was tampered with must not run code or reach outside its own tables. */
static dv_result defend(dv_store *store, dv_error *error)
{
    static const struct {
        int option;
        int on;
    } OPTIONS[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(OPTIONS); i++) {
        int rc = sqlite3_db_config(store->db, OPTIONS[i].option, OPTIONS[i].on, NULL);
        if (rc != SQLITE_OK) {
            return failed(store, rc, "setting a defensive option", error);
        }
    }
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    sqlite3_limit(store->db, SQLITE_LIMIT_SQL_LENGTH, SQL_MAX);
    sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_extended_result_codes(store->db, 1);
    return DV_OK;
}

static dv_result configure(dv_store *store, dv_error *error)
{
    int rc = sqlite3_busy_timeout(store->db, BUSY_MILLISECONDS);
    if (rc != SQLITE_OK) {
        return failed(store, rc, "setting the busy timeout", error);
    }
    DV_TRY(run(store, "PRAGMA cell_size_check=ON", error));
    DV_TRY(run(store, "PRAGMA journal_mode=WAL", error));
    DV_TRY(run(store, "PRAGMA synchronous=FULL", error));
    DV_TRY(run(store, "PRAGMA secure_delete=ON", error));
    DV_TRY(run(store, "PRAGMA cache_size=-32768", error)); /* KiB */
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

/* An empty file becomes ours; another program's is left alone. */
static dv_result claim(dv_store *store, const char *path, dv_error *error)
{
    int64_t application;
    int64_t tables;
    DV_TRY(query_int(store, "PRAGMA application_id", &application, error));
    DV_TRY(query_int(store, "SELECT count(*) FROM sqlite_master", &tables, error));
    if (application == APPLICATION_ID) {
        return DV_OK;
    }
    if (application != 0 || tables != 0) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED, "store: %s is another program's database",
                            path);
    }
    char sql[64];
    snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", (int)APPLICATION_ID);
    return run(store, sql, error);
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
                           : dv_error_set(error, result_of(rc), "store: migration %s: %s",
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
    DV_TRY(run(store,
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

static dv_result open_database(dv_store *store, const char *path, dv_error *error)
{
    DV_TRY(file_make(path, error));
    int rc = sqlite3_open_v2(path, &store->db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_FULLMUTEX |
                                 SQLITE_OPEN_EXRESCODE,
                             NULL);
    if (rc != SQLITE_OK) {
        return store->db == NULL ? DV_ERR_NO_MEMORY : failed(store, rc, path, error);
    }
    DV_TRY(defend(store, error));
    DV_TRY(claim(store, path, error));
    DV_TRY(configure(store, error));
    return migrate(store, path, error);
}

dv_result dv_store_open(const char *path, dv_store **ret_store, dv_error *error)
{
    dv_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "store: out of memory");
    }
    dv_result result = open_database(store, path, error);
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
    free(store);
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
        return failed(store, rc, "preparing", error);
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
    return result_of(sqlite3_bind_text64(statement->handle, index, from, text.len, SQLITE_TRANSIENT,
                                         SQLITE_UTF8));
}

dv_result dv_bind_blob(dv_statement *statement, int index, dv_slice bytes)
{
    const void *from = bytes.len > 0 ? (const void *)bytes.ptr : "";
    return result_of(
        sqlite3_bind_blob64(statement->handle, index, from, bytes.len, SQLITE_TRANSIENT));
}

dv_result dv_bind_int(dv_statement *statement, int index, int64_t value)
{
    return result_of(sqlite3_bind_int64(statement->handle, index, value));
}

dv_result dv_bind_null(dv_statement *statement, int index)
{
    return result_of(sqlite3_bind_null(statement->handle, index));
}

dv_result dv_statement_step(dv_statement *statement, dv_error *error)
{
    int rc = sqlite3_step(statement->handle);
    if (rc == SQLITE_ROW) {
        return DV_OK;
    }
    return rc == SQLITE_DONE ? DV_ERR_NOT_FOUND
                             : failed(statement->store, rc, "running a statement", error);
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
        return failed(store, rc, "beginning", error);
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
        dv_result result = failed(store, rc, "committing", error);
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
    return rc == SQLITE_OK ? DV_OK : failed(store, rc, "emptying its log", error);
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

/* --- backups --------------------------------------------------------------------------------- */

dv_result dv_store_copy_path(const char *state_dir, char ret_path[PATH_MAX])
{
    int len = snprintf(ret_path, PATH_MAX, "%s/" DV_STORE_COPY_NAME, state_dir);
    return len > 0 && len < PATH_MAX ? DV_OK : DV_ERR_TOO_LARGE;
}

void dv_store_copy_remove(const char *state_dir)
{
    char path[PATH_MAX];
    if (dv_store_copy_path(state_dir, path) == DV_OK) {
        (void)unlink(path);
    }
}

static dv_result copy_pages(dv_store *store, sqlite3 *target, const char *path, dv_error *error)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", store->db, "main");
    if (backup == NULL) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, sqlite3_errmsg(target));
    }
    int step = sqlite3_backup_step(backup, -1);
    int end = sqlite3_backup_finish(backup);
    if (step == SQLITE_DONE && end == SQLITE_OK) {
        return DV_OK;
    }
    int rc = end != SQLITE_OK ? end : step;
    return dv_error_set(error, rc == SQLITE_FULL ? DV_ERR_UNAVAILABLE : result_of(rc),
                        "store: copying to %s: %s", path, sqlite3_errstr(rc));
}

static dv_result copy_to(dv_store *store, const char *path, dv_error *error)
{
    sqlite3 *target = NULL;
    DV_TRY(file_make(path, error));
    int rc = sqlite3_open_v2(
        path, &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE, NULL);
    dv_result result =
        rc == SQLITE_OK ? copy_pages(store, target, path, error)
                        : dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, sqlite3_errstr(rc));
    sqlite3_close(target);
    return result;
}

dv_result dv_store_copy(dv_store *store, const char *path, dv_error *error)
{
    if (store->in_transaction) {
        return DV_ERR_INTERNAL;
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, strerror(errno));
    }
    dv_result result = copy_to(store, path, error);
    if (result != DV_OK) {
        (void)unlink(path);
    }
    return result;
}

dv_result dv_store_check(const char *path, dv_error *error)
{
    dv_store *store = NULL;
    DV_TRY(dv_store_open(path, &store, error));
    dv_statement *statement = NULL;
    dv_result result = dv_store_prepare(store, "PRAGMA quick_check(1)", &statement, error);
    if (result == DV_OK) {
        result = dv_statement_step(statement, error);
        dv_slice said = result == DV_OK ? dv_column_slice(statement, 0) : (dv_slice){0};
        if (result == DV_OK && !dv_slice_eq_str(said, "ok")) {
            result = dv_error_set(error, DV_ERR_CORRUPT, "store: %s is damaged: %.*s", path,
                                  DV_SLICE_ARGS(said));
        }
        dv_statement_done(statement);
    }
    dv_store_close(store);
    return result;
}
