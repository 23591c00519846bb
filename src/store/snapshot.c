/* SPDX-License-Identifier: Apache-2.0 */
#include "store/snapshot.h"

#include "base/codec.h"
#include "base/file.h"
#include "store/snapshot_header.h"

#include <errno.h>
#include <limits.h>
#include <lmdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Invariants
 *
 * 1. One process writes. It holds no read transaction over a write, and neither does anybody hold
 *    one over a return to his event loop: end resets it, which frees the reader's slot.
 * 2. Slots of readers that were killed are cleared before every write, so that pages which only
 *    they could still see are used again and the file does not grow.
 * 3. Commits do not sync (MDB_NOSYNC): the page cache outlives any process, so only the death of
 *    the kernel can tear the file. The header names the boot that made it; after another boot, the
 *    snapshot is thrown away and made anew from SQL, which is durable.
 * 4. A value has a CRC-32C behind it that also covers its table and key. The writer checks all of
 *    them when it opens an old file, in a child process: LMDB trusts its pages, and torn ones may
 *    crash it.
 * 5. The header's base is 0 while there is no complete snapshot. A reader whose base is not the
 *    header's reopens or refuses, so that nobody goes on reading a file that was replaced.
 */

enum {
    VALUE_CRC_LEN = 4,
    KEY_MAX = 511,      /* LMDB's */
    READERS_MAX = 1024, /* processes that read at once */
    VERIFY_SECONDS = 120,
    FREE_LIST = 0, /* LMDB's own table of free pages */
};

/* Only address space: the file is as large as what is in it. */
static const size_t MAP_SIZE = (size_t)16 << 30;

static const char SEQUENCE_KEY[] = "sequence";

static const char *const TABLE_NAMES[DV_TABLE_COUNT] = {
    [DV_TABLE_META] = "meta",
    [DV_TABLE_CREDENTIALS] = "credentials",
    [DV_TABLE_PRINCIPALS] = "principals",
    [DV_TABLE_POLICIES] = "policies",
    [DV_TABLE_ROUTES] = "routes",
};

struct dv_snapshot {
    char folder[PATH_MAX];
    bool writer;
    dv_snapshot_header *header; /* shared mapping */
    uint64_t base;              /* of the environment that is open */
    MDB_env *env;
    MDB_dbi tables[DV_TABLE_COUNT];
    MDB_txn *read;
    bool reading;
    MDB_txn *write;
};

static dv_result result_of(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return DV_OK;
    case MDB_NOTFOUND:
    case ENOENT:
        return DV_ERR_NOT_FOUND;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return DV_ERR_CORRUPT;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return DV_ERR_TOO_LARGE;
    case ENOMEM:
        return DV_ERR_NO_MEMORY;
    case ENOSPC:
    case EIO:
    case EACCES:
        return DV_ERR_IO;
    default:
        return DV_ERR_UNAVAILABLE;
    }
}

static dv_result failed(dv_error *error, int rc, const char *step)
{
    return dv_error_set(error, result_of(rc), "snapshot: %s: %s", step, mdb_strerror(rc));
}

static dv_result path_of(const dv_snapshot *snapshot, const char *name, char out[PATH_MAX],
                         dv_error *error)
{
    int len = snprintf(out, PATH_MAX, "%s/%s", snapshot->folder, name);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "snapshot: the folder's path is too long");
    }
    return DV_OK;
}

static dv_result snapshot_new(const char *folder, bool writer, dv_snapshot **ret_snapshot,
                              dv_error *error)
{
    dv_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "snapshot: out of memory");
    }
    snapshot->writer = writer;
    int len = snprintf(snapshot->folder, sizeof(snapshot->folder), "%s", folder);
    if (len < 0 || (size_t)len >= sizeof(snapshot->folder)) {
        free(snapshot);
        return dv_error_set(error, DV_ERR_TOO_LARGE, "snapshot: the folder's path is too long");
    }
    *ret_snapshot = snapshot;
    return DV_OK;
}

static void env_close(dv_snapshot *snapshot)
{
    if (snapshot->write != NULL) {
        mdb_txn_abort(snapshot->write);
    }
    if (snapshot->read != NULL) {
        mdb_txn_abort(snapshot->read);
    }
    if (snapshot->env != NULL) {
        mdb_env_close(snapshot->env);
    }
    snapshot->write = NULL;
    snapshot->read = NULL;
    snapshot->reading = false;
    snapshot->env = NULL;
}

void dv_snapshot_close(dv_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    env_close(snapshot);
    dv_snapshot_header_unmap(snapshot->header);
    free(snapshot);
}

static int tables_open(dv_snapshot *snapshot, MDB_dbi tables[DV_TABLE_COUNT])
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(snapshot->env, NULL, snapshot->writer ? 0 : MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    for (size_t i = 0; i < DV_TABLE_COUNT && rc == MDB_SUCCESS; i++) {
        rc = mdb_dbi_open(txn, TABLE_NAMES[i], snapshot->writer ? MDB_CREATE : 0, &tables[i]);
    }
    if (rc != MDB_SUCCESS) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

/* Opens LMDB and its tables; on failure nothing is left open. */
static dv_result env_open(dv_snapshot *snapshot, dv_error *error)
{
    unsigned flags = MDB_NOTLS | (snapshot->writer ? MDB_NOSYNC | MDB_NORDAHEAD : MDB_RDONLY);
    int rc = mdb_env_create(&snapshot->env);
    if (rc != MDB_SUCCESS) {
        snapshot->env = NULL;
        return failed(error, rc, "making an environment");
    }
    if ((rc = mdb_env_set_mapsize(snapshot->env, MAP_SIZE)) != MDB_SUCCESS ||
        (rc = mdb_env_set_maxdbs(snapshot->env, DV_TABLE_COUNT)) != MDB_SUCCESS ||
        (rc = mdb_env_set_maxreaders(snapshot->env, READERS_MAX)) != MDB_SUCCESS ||
        (rc = mdb_env_open(snapshot->env, snapshot->folder, flags, 0640)) != MDB_SUCCESS ||
        (rc = tables_open(snapshot, snapshot->tables)) != MDB_SUCCESS) {
        env_close(snapshot);
        return failed(error, rc, "opening");
    }
    return DV_OK;
}

/* --- reading --------------------------------------------------------------------------------- */

static dv_result reader_attach(dv_snapshot *snapshot, dv_error *error)
{
    uint64_t base = dv_snapshot_header_base(snapshot->header);
    if (base == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "snapshot: not made yet");
    }
    DV_TRY(env_open(snapshot, error));
    /* The base goes before the files do: what was opened under the same one is its file. */
    if (dv_snapshot_header_base(snapshot->header) != base) {
        env_close(snapshot);
        return dv_error_set(error, DV_ERR_NOT_FOUND, "snapshot: it is just being replaced");
    }
    snapshot->base = base;
    return DV_OK;
}

dv_result dv_snapshot_open(const char *folder, dv_snapshot **ret_snapshot, dv_error *error)
{
    dv_snapshot *snapshot = NULL;
    DV_TRY(snapshot_new(folder, false, &snapshot, error));
    dv_result result = dv_snapshot_header_map(folder, &snapshot->header, error);
    if (result == DV_OK) {
        result = reader_attach(snapshot, error);
    }
    if (result != DV_OK) {
        dv_snapshot_close(snapshot);
        return result;
    }
    *ret_snapshot = snapshot;
    return DV_OK;
}

/* The file was replaced since it was opened (invariant 5). */
static dv_result reader_follow(dv_snapshot *snapshot)
{
    if (snapshot->env != NULL && snapshot->base == dv_snapshot_header_base(snapshot->header)) {
        return DV_OK;
    }
    env_close(snapshot);
    return reader_attach(snapshot, NULL) == DV_OK ? DV_OK : DV_ERR_UNAVAILABLE;
}

dv_result dv_snapshot_begin(dv_snapshot *snapshot)
{
    if (snapshot->reading) {
        return DV_ERR_INTERNAL;
    }
    if (!snapshot->writer) {
        DV_TRY(reader_follow(snapshot));
    } else if (snapshot->env == NULL) {
        return DV_ERR_UNAVAILABLE;
    }
    int rc = snapshot->read != NULL
                 ? mdb_txn_renew(snapshot->read)
                 : mdb_txn_begin(snapshot->env, NULL, MDB_RDONLY, &snapshot->read);
    if (rc != MDB_SUCCESS) {
        return DV_ERR_UNAVAILABLE;
    }
    snapshot->reading = true;
    return DV_OK;
}

void dv_snapshot_end(dv_snapshot *snapshot)
{
    if (snapshot->reading) {
        mdb_txn_reset(snapshot->read);
        snapshot->reading = false;
    }
}

dv_result dv_snapshot_get(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key,
                          dv_slice *ret_value)
{
    if (!snapshot->reading || table >= DV_TABLE_COUNT) {
        return DV_ERR_UNAVAILABLE;
    }
    MDB_val name = {key.len, (void *)key.ptr};
    MDB_val value;
    int rc = mdb_get(snapshot->read, snapshot->tables[table], &name, &value);
    if (rc == MDB_NOTFOUND || rc == MDB_BAD_VALSIZE) {
        return DV_ERR_NOT_FOUND;
    }
    if (rc != MDB_SUCCESS || value.mv_size < VALUE_CRC_LEN) {
        return DV_ERR_UNAVAILABLE;
    }
    *ret_value = dv_slice_of(value.mv_data, value.mv_size - VALUE_CRC_LEN);
    return DV_OK;
}

uint64_t dv_snapshot_generation(dv_snapshot *snapshot)
{
    return snapshot->reading ? snapshot->base + mdb_txn_id(snapshot->read) : 0;
}

static dv_result sequence_read(dv_snapshot *snapshot, uint64_t *ret_sequence)
{
    dv_slice value;
    dv_result result = dv_snapshot_get(snapshot, DV_TABLE_META, dv_slice_str(SEQUENCE_KEY), &value);
    if (result == DV_OK && value.len != sizeof(uint64_t)) {
        return DV_ERR_CORRUPT;
    }
    if (result == DV_OK) {
        *ret_sequence = dv_get_u64(value.ptr);
    } else if (result == DV_ERR_NOT_FOUND) {
        *ret_sequence = 0;
        return DV_OK;
    }
    return result;
}

dv_result dv_snapshot_change_sequence(dv_snapshot *snapshot, uint64_t *ret_sequence)
{
    bool began = !snapshot->reading;
    if (began) {
        DV_TRY(dv_snapshot_begin(snapshot));
    }
    dv_result result = sequence_read(snapshot, ret_sequence);
    if (began) {
        dv_snapshot_end(snapshot);
    }
    return result;
}

/* --- checking an old file -------------------------------------------------------------------- */

static uint32_t value_crc(dv_snapshot_table table, dv_slice key, dv_slice value)
{
    uint8_t number = (uint8_t)table;
    uint32_t crc = dv_crc32c(0, dv_slice_of(&number, 1));
    crc = dv_crc32c(crc, key);
    return dv_crc32c(crc, value);
}

static bool record_ok(dv_snapshot_table table, const MDB_val *key, const MDB_val *value)
{
    if (value->mv_size < VALUE_CRC_LEN) {
        return false;
    }
    dv_slice body = dv_slice_of(value->mv_data, value->mv_size - VALUE_CRC_LEN);
    uint32_t crc = value_crc(table, dv_slice_of(key->mv_data, key->mv_size), body);
    return crc == dv_get_u32(body.ptr + body.len);
}

/* A record of LMDB's list of free pages: how many, then their numbers, descending. A wrong one
 * would have a later write overwrite pages in use. */
static bool free_pages_ok(const MDB_val *value, size_t last_page)
{
    const uint8_t *at = value->mv_data;
    size_t room = value->mv_size / sizeof(uint64_t);
    if (room == 0 || value->mv_size % sizeof(uint64_t) != 0 || dv_get_u64(at) >= room) {
        return false;
    }
    uint64_t above = last_page + 1;
    for (size_t left = dv_get_u64(at); left > 0; left--) {
        at += sizeof(uint64_t);
        uint64_t page = dv_get_u64(at);
        if (page < 2 || page >= above) {
            return false;
        }
        above = page;
    }
    return true;
}

static bool free_list_ok(MDB_txn *txn, size_t last_page)
{
    MDB_cursor *cursor = NULL;
    if (mdb_cursor_open(txn, FREE_LIST, &cursor) != MDB_SUCCESS) {
        return false;
    }
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == MDB_SUCCESS && free_pages_ok(&value, last_page)) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND;
}

static bool table_ok(MDB_txn *txn, MDB_dbi dbi, dv_snapshot_table table)
{
    MDB_stat stat;
    MDB_cursor *cursor = NULL;
    if (mdb_stat(txn, dbi, &stat) != MDB_SUCCESS ||
        mdb_cursor_open(txn, dbi, &cursor) != MDB_SUCCESS) {
        return false;
    }
    MDB_val key;
    MDB_val value;
    size_t count = 0;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == MDB_SUCCESS && count < stat.ms_entries && record_ok(table, &key, &value)) {
        count++;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND && count == stat.ms_entries;
}

/* A file cut short would answer the touch of its missing pages with SIGBUS. */
static bool file_is_whole(MDB_env *env, size_t *ret_last_page)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    mdb_filehandle_t fd;
    if (mdb_env_info(env, &info) != MDB_SUCCESS || mdb_env_stat(env, &stat) != MDB_SUCCESS ||
        mdb_env_get_fd(env, &fd) != MDB_SUCCESS || fstat(fd, &file) != 0) {
        return false;
    }
    *ret_last_page = info.me_last_pgno;
    return (uint64_t)file.st_size >= (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

static bool records_ok(dv_snapshot *snapshot)
{
    size_t last_page = 0;
    bool ok = file_is_whole(snapshot->env, &last_page) && dv_snapshot_begin(snapshot) == DV_OK &&
              free_list_ok(snapshot->read, last_page);
    for (size_t i = 0; i < DV_TABLE_COUNT && ok; i++) {
        ok = table_ok(snapshot->read, snapshot->tables[i], (dv_snapshot_table)i);
    }
    return ok;
}

/* In a child: whatever torn pages do to LMDB there, they do not do it here (invariant 4). */
static _Noreturn void verify_in_child(const char *folder)
{
    static const struct rlimit NO_CORE = {0, 0};
    static const int FATAL[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM};
    dv_snapshot *reader = NULL;
    for (size_t i = 0; i < DV_ARRAY_LEN(FATAL); i++) {
        signal(FATAL[i], SIG_DFL);
    }
    if (setrlimit(RLIMIT_CORE, &NO_CORE) != 0) {
        _exit(1);
    }
    alarm(VERIFY_SECONDS);
    if (dv_snapshot_open(folder, &reader, NULL) != DV_OK || !records_ok(reader)) {
        _exit(1);
    }
    _exit(0);
}

static bool file_verifies(const char *folder)
{
    pid_t child = fork();
    if (child == 0) {
        verify_in_child(folder);
    }
    int status = 1;
    pid_t waited = -1;
    while (child > 0 && (waited = waitpid(child, &status, 0)) < 0 && errno == EINTR) {
    }
    return waited == child && child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- writing --------------------------------------------------------------------------------- */

static dv_result remove_file(const dv_snapshot *snapshot, const char *name, dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(path_of(snapshot, name, path, error));
    if (unlink(path) != 0 && errno != ENOENT) {
        return dv_error_set(error, DV_ERR_IO, "snapshot: removing %s: %s", path, strerror(errno));
    }
    return DV_OK;
}

/* Group of the folder above, so that the workers can read; only root can give it away, and an
 * ordinary user's workers run as himself. */
static void adopt_group(const char *path, gid_t group)
{
    struct stat st;
    if (stat(path, &st) == 0 && st.st_gid != group && chown(path, (uid_t)-1, group) != 0) {
        errno = 0;
    }
}

static dv_result set_access(const dv_snapshot *snapshot, const char *name, mode_t mode, gid_t group,
                            dv_error *error)
{
    char path[PATH_MAX];
    DV_TRY(path_of(snapshot, name, path, error));
    adopt_group(path, group);
    if (chmod(path, mode) != 0) {
        return dv_error_set(error, DV_ERR_IO, "snapshot: mode of %s: %s", path, strerror(errno));
    }
    return DV_OK;
}

static dv_result folder_make(const dv_snapshot *snapshot, gid_t *ret_group, dv_error *error)
{
    char above[PATH_MAX];
    struct stat st;
    DV_TRY(dv_dir_make(snapshot->folder, 0750, error));
    DV_TRY(path_of(snapshot, "..", above, error));
    if (stat(above, &st) != 0) {
        return dv_error_set(error, DV_ERR_IO, "snapshot: %s: %s", above, strerror(errno));
    }
    adopt_group(snapshot->folder, st.st_gid);
    *ret_group = st.st_gid;
    return DV_OK;
}

static dv_result writer_attach(dv_snapshot *snapshot, dv_error *error)
{
    gid_t group;
    DV_TRY(folder_make(snapshot, &group, error));
    DV_TRY(dv_snapshot_header_make(snapshot->folder, &snapshot->header, error));
    if (!dv_snapshot_header_ok(snapshot->header) || !file_verifies(snapshot->folder)) {
        dv_snapshot_header_reset(snapshot->header);
        DV_TRY(remove_file(snapshot, "data.mdb", error));
        DV_TRY(remove_file(snapshot, "lock.mdb", error));
    }
    DV_TRY(env_open(snapshot, error));
    snapshot->base = dv_snapshot_header_base(snapshot->header);
    DV_TRY(set_access(snapshot, "header", 0640, group, error));
    DV_TRY(set_access(snapshot, "data.mdb", 0640, group, error));
    return set_access(snapshot, "lock.mdb", 0660, group, error);
}

dv_result dv_snapshot_open_writer(const char *folder, dv_snapshot **ret_snapshot, dv_error *error)
{
    dv_snapshot *snapshot = NULL;
    DV_TRY(snapshot_new(folder, true, &snapshot, error));
    dv_result result = writer_attach(snapshot, error);
    if (result != DV_OK) {
        dv_snapshot_close(snapshot);
        return result;
    }
    *ret_snapshot = snapshot;
    return DV_OK;
}

dv_result dv_snapshot_write_begin(dv_snapshot *snapshot, dv_error *error)
{
    if (!snapshot->writer || snapshot->write != NULL) {
        return dv_error_set(error, DV_ERR_INTERNAL, "snapshot: no second write transaction");
    }
    int dead = 0;
    int rc = mdb_reader_check(snapshot->env, &dead); /* invariant 2 */
    if (rc != MDB_SUCCESS) {
        return failed(error, rc, "clearing stale readers");
    }
    rc = mdb_txn_begin(snapshot->env, NULL, 0, &snapshot->write);
    if (rc != MDB_SUCCESS) {
        snapshot->write = NULL;
        return failed(error, rc, "beginning a write");
    }
    return DV_OK;
}

static dv_result put(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key, dv_slice value)
{
    MDB_val name = {key.len, (void *)key.ptr};
    MDB_val place = {value.len + VALUE_CRC_LEN, NULL};
    int rc = mdb_put(snapshot->write, snapshot->tables[table], &name, &place, MDB_RESERVE);
    if (rc != MDB_SUCCESS) {
        return result_of(rc);
    }
    uint8_t *out = place.mv_data;
    if (value.len > 0) {
        memcpy(out, value.ptr, value.len);
    }
    dv_put_u32(out + value.len, value_crc(table, key, value));
    return DV_OK;
}

dv_result dv_snapshot_put(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key,
                          dv_slice value)
{
    if (snapshot->write == NULL || table >= DV_TABLE_COUNT) {
        return DV_ERR_INTERNAL;
    }
    if (key.len == 0 || (table == DV_TABLE_META && dv_slice_eq_str(key, SEQUENCE_KEY))) {
        return DV_ERR_INVALID;
    }
    return key.len > KEY_MAX ? DV_ERR_TOO_LARGE : put(snapshot, table, key, value);
}

dv_result dv_snapshot_delete(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key)
{
    if (snapshot->write == NULL || table >= DV_TABLE_COUNT) {
        return DV_ERR_INTERNAL;
    }
    MDB_val name = {key.len, (void *)key.ptr};
    int rc = mdb_del(snapshot->write, snapshot->tables[table], &name, NULL);
    return rc == MDB_NOTFOUND || rc == MDB_BAD_VALSIZE ? DV_OK : result_of(rc);
}

dv_result dv_snapshot_clear(dv_snapshot *snapshot, dv_snapshot_table table)
{
    if (snapshot->write == NULL || table >= DV_TABLE_COUNT) {
        return DV_ERR_INTERNAL;
    }
    return result_of(mdb_drop(snapshot->write, snapshot->tables[table], 0));
}

dv_result dv_snapshot_commit(dv_snapshot *snapshot, uint64_t change_sequence)
{
    if (snapshot->write == NULL) {
        return DV_ERR_INTERNAL;
    }
    uint8_t sequence[sizeof(uint64_t)];
    dv_put_u64(sequence, change_sequence);
    dv_result result = put(snapshot, DV_TABLE_META, dv_slice_str(SEQUENCE_KEY),
                           dv_slice_of(sequence, sizeof(sequence)));
    if (result != DV_OK) {
        dv_snapshot_abort(snapshot);
        return result;
    }
    int rc = mdb_txn_commit(snapshot->write);
    snapshot->write = NULL;
    if (rc != MDB_SUCCESS) {
        return result_of(rc);
    }
    if (snapshot->base == 0) {
        snapshot->base = dv_snapshot_header_publish(snapshot->header);
    }
    return DV_OK;
}

void dv_snapshot_abort(dv_snapshot *snapshot)
{
    if (snapshot->write != NULL) {
        mdb_txn_abort(snapshot->write);
        snapshot->write = NULL;
    }
}

/* --- making it anew -------------------------------------------------------------------------- */

/* LMDB leaves what was deleted in free pages and in the gaps of others; only another file is
 * without it. */
static int copy_table(MDB_txn *from, MDB_dbi old, MDB_txn *to, MDB_dbi new)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_cursor_open(from, old, &cursor);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    for (rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); rc == MDB_SUCCESS;
         rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        rc = mdb_put(to, new, &key, &value, MDB_APPEND);
        if (rc != MDB_SUCCESS) {
            break;
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

static int copy_tables(dv_snapshot *snapshot, dv_snapshot *next)
{
    MDB_txn *from = NULL, *to = NULL;
    int rc = mdb_txn_begin(snapshot->env, NULL, MDB_RDONLY, &from);
    if (rc != MDB_SUCCESS) {
        return rc;
    }
    rc = mdb_txn_begin(next->env, NULL, 0, &to);
    for (size_t i = 0; i < DV_TABLE_COUNT && rc == MDB_SUCCESS; i++) {
        rc = copy_table(from, snapshot->tables[i], to, next->tables[i]);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_txn_commit(to);
    } else if (to != NULL) {
        mdb_txn_abort(to);
    }
    mdb_txn_abort(from);
    return rc;
}

static dv_result move_file(const dv_snapshot *from, const dv_snapshot *to, const char *name,
                           mode_t mode, gid_t group, dv_error *error)
{
    char old[PATH_MAX], new[PATH_MAX];
    DV_TRY(set_access(from, name, mode, group, error));
    DV_TRY(path_of(from, name, old, error));
    DV_TRY(path_of(to, name, new, error));
    return rename(old, new) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "snapshot: renaming %s: %s", old, strerror(errno));
}

static dv_result move_files(const dv_snapshot *from, const dv_snapshot *to, dv_error *error)
{
    struct stat st;
    if (stat(to->folder, &st) != 0) {
        return dv_error_set(error, DV_ERR_IO, "snapshot: %s: %s", to->folder, strerror(errno));
    }
    DV_TRY(move_file(from, to, "lock.mdb", 0660, st.st_gid, error));
    return move_file(from, to, "data.mdb", 0640, st.st_gid, error);
}

/* The readers are refused from here until the header hands the new file out. A death in between
 * leaves no base, and the next start makes all of it from SQL; so does a failure, after which
 * nothing can be written. */
static dv_result take_over(dv_snapshot *snapshot, dv_snapshot *next, dv_error *error)
{
    dv_snapshot_header_reset(snapshot->header);
    snapshot->base = 0;
    env_close(snapshot);
    DV_TRY(move_files(next, snapshot, error));
    snapshot->env = next->env;
    memcpy(snapshot->tables, next->tables, sizeof(snapshot->tables));
    next->env = NULL;
    snapshot->base = dv_snapshot_header_publish(snapshot->header);
    return DV_OK;
}

static dv_result make_next(dv_snapshot *snapshot, dv_snapshot *next, dv_error *error)
{
    DV_TRY(dv_dir_make(next->folder, 0700, error));
    DV_TRY(remove_file(next, "data.mdb", error));
    DV_TRY(remove_file(next, "lock.mdb", error));
    DV_TRY(env_open(next, error));
    int rc = copy_tables(snapshot, next);
    DV_TRY(rc != MDB_SUCCESS ? failed(error, rc, "copying") : DV_OK);
    return take_over(snapshot, next, error);
}

dv_result dv_snapshot_renew(dv_snapshot *snapshot, dv_error *error)
{
    char folder[PATH_MAX];
    dv_snapshot *next = NULL;
    if (!snapshot->writer || snapshot->write != NULL || snapshot->reading || snapshot->base == 0) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "snapshot: in use, or not complete yet");
    }
    DV_TRY(path_of(snapshot, "next", folder, error));
    DV_TRY(snapshot_new(folder, true, &next, error));
    dv_result result = make_next(snapshot, next, error);
    dv_snapshot_close(next);
    (void)rmdir(folder);
    return result;
}
