/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite_private.h"

#include "base/buf.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_SUFFIX ".new"
#define OLD_SUFFIX ".to-erase" /* a plain one whose place a sealed one has taken */

static const char plain_head[16] = "SQLite format 3"; /* with its 0 */

/* How the file at the path begins. */
typedef enum { IS_NEW, IS_PLAIN, IS_SEALED } file_kind;

dv_result dv_sqlite_run(sqlite3 *db, const char *sql, dv_error *error)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? DV_OK : dv_sqlite_failed(db, rc, "setting up", error);
}

dv_result dv_sqlite_file_make(const char *path, dv_error *error)
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

dv_result dv_sqlite_defend(sqlite3 *db, dv_error *error)
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
        int rc = sqlite3_db_config(db, OPTIONS[i].option, OPTIONS[i].on, NULL);
        if (rc != SQLITE_OK) {
            return dv_sqlite_failed(db, rc, "setting a defensive option", error);
        }
    }
    sqlite3_extended_result_codes(db, 1);
    return DV_OK;
}

/* --- a new database -------------------------------------------------------------------------- */

static dv_result reserve(sqlite3 *db, dv_error *error)
{
    int bytes = DV_SEALED_RESERVED;
    int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_RESERVE_BYTES, &bytes);
    return rc == SQLITE_OK ? DV_OK : dv_sqlite_failed(db, rc, "reserving room for seals", error);
}

static dv_result set_application(sqlite3 *db, dv_error *error)
{
    char sql[64];
    snprintf(sql, sizeof(sql), "PRAGMA application_id=%d", (int)DV_SQLITE_APPLICATION);
    return dv_sqlite_run(db, sql, error);
}

static dv_result copy_pages(sqlite3 *from, sqlite3 *to, const char *path, dv_error *error)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == NULL) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, sqlite3_errmsg(to));
    }
    int step = sqlite3_backup_step(backup, -1);
    int end = sqlite3_backup_finish(backup);
    if (step == SQLITE_DONE && end == SQLITE_OK) {
        return DV_OK;
    }
    int rc = end != SQLITE_OK ? end : step;
    return dv_error_set(error, rc == SQLITE_FULL ? DV_ERR_UNAVAILABLE : dv_sqlite_result(rc),
                        "store: copying to %s: %s", path, sqlite3_errstr(rc));
}

/* Without a journal, which would hold pages in clear: who dies here leaves a file that nobody
 * opens. In the end the file says of itself that it has a log (WAL). */
static dv_result fill(sqlite3 *db, sqlite3 *from, const char *path, dv_error *error)
{
    DV_TRY(reserve(db, error));
    DV_TRY(dv_sqlite_run(db, "PRAGMA journal_mode=MEMORY", error));
    DV_TRY(dv_sqlite_run(db, "PRAGMA temp_store=MEMORY", error));
    DV_TRY(dv_sqlite_run(db, "PRAGMA synchronous=FULL", error));
    DV_TRY(from == NULL ? set_application(db, error) : copy_pages(from, db, path, error));
    return dv_sqlite_run(db, "PRAGMA journal_mode=WAL", error);
}

static dv_result sync_file(const char *path, dv_error *error)
{
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && fsync(fd) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, strerror(errno));
}

static dv_result make(const dv_sealed_files *files, sqlite3 *from, const char *path,
                      dv_error *error)
{
    sqlite3 *db = NULL;
    DV_TRY(dv_sqlite_file_make(path, error));
    int rc = sqlite3_open_v2(path, &db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE,
                             dv_sealed_files_name(files));
    dv_result result =
        rc == SQLITE_OK ? fill(db, from, path, error)
                        : dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, sqlite3_errstr(rc));
    rc = sqlite3_close(db);
    if (result == DV_OK && rc != SQLITE_OK) {
        result = dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, sqlite3_errstr(rc));
    }
    return result == DV_OK ? sync_file(path, error) : result;
}

dv_result dv_sqlite_make(const dv_sealed_files *files, sqlite3 *from, const char *path,
                         dv_error *error)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, strerror(errno));
    }
    dv_result result = make(files, from, path, error);
    if (result != DV_OK) {
        (void)unlink(path);
    }
    return result;
}

/* --- one of an earlier version --------------------------------------------------------------- */

static dv_result pragma_int(sqlite3 *db, const char *sql, int64_t *ret_value, dv_error *error)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(statement);
        *ret_value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? DV_OK : dv_sqlite_failed(db, rc, "looking at it", error);
}

/* An empty one is ours: an earlier version died right after it had made it. */
static dv_result check_owner(sqlite3 *db, const char *path, dv_error *error)
{
    int64_t application = 0, tables = 0;
    DV_TRY(pragma_int(db, "PRAGMA application_id", &application, error));
    DV_TRY(pragma_int(db, "SELECT count(*) FROM sqlite_master", &tables, error));
    return application == DV_SQLITE_APPLICATION || (application == 0 && tables == 0)
               ? DV_OK
               : dv_error_set(error, DV_ERR_UNSUPPORTED, "store: %s is another program's database",
                              path);
}

/* Written anew with room for seals, by SQLite's own means and in memory: what SQLite would write
 * aside, or cut off, stays on the disk in clear. */
static dv_result make_room(sqlite3 *db, sqlite3 *memory, const char *memory_name, dv_error *error)
{
    char sql[128];
    sqlite3_int64 limit = INT64_MAX; /* 1 GiB otherwise */
    int rc = sqlite3_file_control(memory, "main", SQLITE_FCNTL_SIZE_LIMIT, &limit);
    if (rc != SQLITE_OK) {
        return dv_sqlite_failed(memory, rc, "making room for seals", error);
    }
    DV_TRY(reserve(db, error));
    snprintf(sql, sizeof(sql), "VACUUM INTO '%s'", memory_name);
    DV_TRY(dv_sqlite_run(db, sql, error));
    return set_application(memory, error);
}

/* Alone with it, and with all of its log in it: the log is not needed any more. */
static dv_result take_hold(sqlite3 *db, const char *path, dv_error *error)
{
    DV_TRY(dv_sqlite_defend(db, error));
    int rc = sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc != SQLITE_OK) {
        return dv_sqlite_failed(db, rc, "looking at it", error);
    }
    DV_TRY(dv_sqlite_run(db, "PRAGMA locking_mode=EXCLUSIVE", error));
    DV_TRY(dv_sqlite_run(db, "PRAGMA temp_store=MEMORY", error));
    DV_TRY(check_owner(db, path, error));
    rc = sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL);
    return rc == SQLITE_OK ? DV_OK : dv_sqlite_failed(db, rc, "emptying its log", error);
}

static dv_result seal_plain(const dv_sealed_files *files, sqlite3 *db, const char *path,
                            const char *new_path, dv_error *error)
{
    char name[80];
    sqlite3 *memory = NULL;
    DV_TRY(take_hold(db, path, error));
    snprintf(name, sizeof(name), "file:/%s?vfs=memdb", dv_sealed_files_name(files));
    int rc = sqlite3_open_v2(name, &memory,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, NULL);
    dv_result result = rc == SQLITE_OK
                           ? make_room(db, memory, name, error)
                           : dv_error_set(error, DV_ERR_IO, "store: %s", sqlite3_errstr(rc));
    if (result == DV_OK) {
        result = dv_sqlite_make(files, memory, new_path, error);
    }
    sqlite3_close(memory);
    return result;
}

/* As well as it can be done: the disk may keep old blocks elsewhere. What has another name is
 * somebody's copy. The first block goes first: without it a log is none. */
static void overwrite(int fd)
{
    static const uint8_t zeros[64 << 10];
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink > 1) {
        return;
    }
    for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(zeros)) {
        size_t len = (size_t)DV_MIN(st.st_size - at, (off_t)sizeof(zeros));
        if (pwrite(fd, zeros, len, at) < 0 || (at == 0 && fdatasync(fd) != 0)) {
            return;
        }
    }
    (void)fdatasync(fd);
}

static dv_result erase(const char *path, const char *end, dv_error *error)
{
    char name[PATH_MAX + 16];
    snprintf(name, sizeof(name), "%s%s", path, end);
    dv_auto(fd) int fd = open(name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        overwrite(fd);
    }
    return unlink(name) == 0 || errno == ENOENT
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "store: %s: %s", name, strerror(errno));
}

static dv_result replace(const char *new_path, const char *path, dv_error *error)
{
    if (rename(new_path, path) != 0 || dv_file_sync_folder(path) != DV_OK) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, strerror(errno));
    }
    return DV_OK;
}

/* From here on the sealed one has all, and the plain one nothing that is in its log alone. It keeps
 * a name until it is overwritten: who dies in between finds it there (dv_sqlite_prepare). */
static dv_result exchange(const char *path, const char *new_path, dv_error *error)
{
    char old_path[PATH_MAX + 16];
    dv_auto(fd) int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, strerror(errno));
    }
    DV_TRY(erase(path, "-wal", error));
    DV_TRY(erase(path, "-shm", error));
    DV_TRY(erase(path, OLD_SUFFIX, error));
    snprintf(old_path, sizeof(old_path), "%s" OLD_SUFFIX, path);
    if (link(path, old_path) != 0 && errno != EPERM && errno != EOPNOTSUPP) { /* not all can */
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", old_path, strerror(errno));
    }
    DV_TRY(replace(new_path, path, error));
    overwrite(fd);
    return erase(path, OLD_SUFFIX, error);
}

static dv_result adopt_plain(const dv_sealed_files *files, const char *path, const char *new_path,
                             dv_error *error)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_URI |
                                 SQLITE_OPEN_EXRESCODE,
                             NULL);
    dv_result result =
        rc == SQLITE_OK ? seal_plain(files, db, path, new_path, error)
                        : dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, sqlite3_errstr(rc));
    sqlite3_close(db);
    DV_TRY(result);
    return exchange(path, new_path, error);
}

/* --- what is there --------------------------------------------------------------------------- */

static dv_result find_kind(const char *path, file_kind *ret_kind, dv_error *error)
{
    char head[sizeof(plain_head)];
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        *ret_kind = IS_NEW;
        return DV_OK;
    }
    ssize_t len = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
    if (len < 0) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: %s", path, strerror(errno));
    }
    bool plain = len == sizeof(head) && memcmp(head, plain_head, sizeof(head)) == 0;
    *ret_kind = len == 0 ? IS_NEW : plain ? IS_PLAIN : IS_SEALED;
    return DV_OK;
}

/* Of a database that is not there any more; it would come back from it. */
static void remove_log(const char *path)
{
    static const char *const ends[] = {"-wal", "-shm"};
    char name[PATH_MAX + 8];
    for (size_t i = 0; i < DV_ARRAY_LEN(ends); i++) {
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

dv_result dv_sqlite_prepare(const dv_sealed_files *files, const char *path, bool adopt,
                            dv_error *error)
{
    file_kind kind;
    char new_path[PATH_MAX];
    if (snprintf(new_path, sizeof(new_path), "%s" NEW_SUFFIX, path) >= (int)sizeof(new_path)) {
        return dv_error_set(error, DV_ERR_IO, "store: %s: the path is too long", path);
    }
    DV_TRY(find_kind(path, &kind, error));
    switch (kind) {
    case IS_NEW:
        remove_log(path);
        DV_TRY(dv_sqlite_make(files, NULL, new_path, error));
        return replace(new_path, path, error);
    case IS_PLAIN:
        return adopt ? adopt_plain(files, path, new_path, error)
                     : dv_error_set(error, DV_ERR_UNSUPPORTED,
                                    "store: %s is not sealed, and the one that was here is: "
                                    "somebody put it there; restore a backup",
                                    path);
    case IS_SEALED:
        DV_TRY(erase(path, OLD_SUFFIX, error));
        return dv_sqlite_file_make(path, error);
    }
    return DV_ERR_INTERNAL;
}
