/* SPDX-License-Identifier: Apache-2.0 */
/* The store's files as they lie on the disk: sealed, and what comes of them when they are changed,
 * torn or exchanged. */
#include "base/file.h"
#include "store/store.h"
#include "unit/store/sealed_reader.h"
#include "unit/temp.h"

#include <endian.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PAGE = DV_SEALED_PAGE,
    LOG_HEAD = 32,
    FRAME_HEAD = 24,
    FRAME = FRAME_HEAD + PAGE,
    FILE_MAX = 64 << 20,
    NAMES = 300,
};

static const uint8_t KEY[DV_STORE_KEY_LEN] = "the key of a sealed store";
static const uint8_t OTHER_KEY[DV_STORE_KEY_LEN] = "another one";

typedef struct fixture {
    temp_dir dir;
    char path[PATH_MAX], log[PATH_MAX];
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    temp_dir_make(&f->dir);
    temp_path(&f->dir, "dvara.db", f->path);
    temp_path(&f->dir, "dvara.db-wal", f->log);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

/* -- the store --------------------------------------------------------------------------------- */

static dv_store *open_store(const fixture *f)
{
    dv_store *store = NULL;
    dv_error error = {0};
    dv_result result = dv_store_open(f->path, KEY, false, &store, &error);
    if (result != DV_OK) {
        fail_msg("%s", error.message);
    }
    return store;
}

static void run(dv_store *store, const char *sql)
{
    assert_int_equal(dv_store_run(store, NULL, sql, ""), DV_OK);
}

static void put_names(dv_store *store, const char *begin, int count)
{
    char name[64];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%s-%d", begin, i);
        assert_int_equal(dv_store_run(store, NULL, "INSERT INTO person VALUES (?1)", "t", name),
                         DV_OK);
    }
}

static int64_t names(dv_store *store)
{
    dv_auto(statement) dv_statement *statement = NULL;
    assert_int_equal(dv_store_prepare(store, "SELECT count(*) FROM person", &statement, NULL),
                     DV_OK);
    assert_int_equal(dv_statement_step(statement, NULL), DV_OK);
    return dv_column_int(statement, 0);
}

static dv_store *make_store(const fixture *f)
{
    dv_store *store = open_store(f);
    run(store, "CREATE TABLE person (name TEXT)");
    return store;
}

/* -- its files --------------------------------------------------------------------------------- */

static dv_buf contents(const char *path)
{
    dv_buf bytes = dv_buf_init(FILE_MAX);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    return bytes;
}

static void put(const char *path, dv_slice bytes)
{
    assert_int_equal(dv_file_write_atomic(path, bytes, 0600, NULL), DV_OK);
}

static bool holds(const char *path, const char *text)
{
    dv_auto(buf) dv_buf bytes = contents(path);
    return dv_slice_find(dv_buf_slice(&bytes), dv_slice_str(text)) >= 0;
}

/* Who opens a store may recover it, and so changes its files. */
static void put_both(const fixture *f, dv_slice database, dv_slice log)
{
    char shm[PATH_MAX];
    (void)unlink(temp_path(&f->dir, "dvara.db-shm", shm));
    put(f->path, database);
    put(f->log, log);
}

static void nothing_stands_in_clear(void **state)
{
    fixture *f = *state;
    char copy[PATH_MAX], shm[PATH_MAX];
    dv_store *store = make_store(f);
    put_names(store, "xanthippe", NAMES);
    assert_int_equal(dv_store_copy(store, temp_path(&f->dir, "copy.db", copy), NULL), DV_OK);
    temp_path(&f->dir, "dvara.db-shm", shm);
    assert_false(holds(f->log, "xanthippe") || holds(shm, "xanthippe") || holds(copy, "xanthippe"));
    assert_int_equal(dv_store_scrub(store, NULL), DV_OK);
    assert_false(holds(f->path, "xanthippe") || holds(f->path, "CREATE TABLE"));
    assert_int_equal(names(store), NAMES);
    dv_store_close(store);
    assert_false(holds(f->path, "SQLite format"));
    assert_int_equal(dv_store_check(copy, KEY, false, NULL), DV_OK);
}

static void another_key_opens_nothing(void **state)
{
    fixture *f = *state;
    dv_error error = {0};
    dv_store *store = make_store(f);
    dv_store_close(store);
    dv_auto(buf) dv_buf before = contents(f->path);
    store = NULL;
    assert_int_equal(dv_store_open(f->path, OTHER_KEY, true, &store, &error), DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "another key"));
    assert_null(store);
    dv_auto(buf) dv_buf after = contents(f->path);
    assert_true(dv_slice_eq(dv_buf_slice(&before), dv_buf_slice(&after)));
    store = open_store(f);
    dv_store_close(store);
}

/* Nor does it lose what stands in the log alone: with its own key the store opens again. */
static void another_key_leaves_the_log(void **state)
{
    fixture *f = *state;
    dv_store *store = make_store(f);
    put_names(store, "somebody", NAMES);
    dv_auto(buf) dv_buf database = contents(f->path);
    dv_auto(buf) dv_buf log = contents(f->log);
    dv_store_close(store);
    put_both(f, dv_buf_slice(&database), dv_buf_slice(&log));
    store = NULL;
    assert_int_equal(dv_store_open(f->path, OTHER_KEY, false, &store, NULL), DV_ERR_CORRUPT);
    dv_auto(buf) dv_buf after = contents(f->log);
    assert_true(dv_slice_eq(dv_buf_slice(&log), dv_buf_slice(&after)));
    store = open_store(f);
    assert_int_equal(names(store), NAMES);
    dv_store_close(store);
}

static int read_page(sealed_reader *r, int64_t at, uint8_t page[PAGE])
{
    return r->file->pMethods->xRead(r->file, page, PAGE, at);
}

static void every_changed_byte_is_found(void **state)
{
    fixture *f = *state;
    sealed_reader r;
    uint8_t page[PAGE];
    dv_store *store = make_store(f);
    put_names(store, "somebody", NAMES);
    dv_store_close(store);
    dv_auto(buf) dv_buf bytes = contents(f->path);
    assert_true(bytes.len > 4 * PAGE && bytes.len % PAGE == 0);
    for (size_t i = 0; i < 3 * PAGE; i++) {
        bytes.ptr[i] ^= (uint8_t)(1 << (i % 8));
        FILE *file = fopen(f->path, "r+");
        assert_true(file != NULL && fseek(file, (long)i, SEEK_SET) == 0 &&
                    fputc(bytes.ptr[i], file) != EOF && fclose(file) == 0);
        sealed_reader_must_open(&r, KEY, f->path, SQLITE_OPEN_MAIN_DB);
        assert_int_equal(read_page(&r, (int64_t)(i / PAGE * PAGE), page), SQLITE_IOERR_DATA);
        sealed_reader_close(&r);
        bytes.ptr[i] ^= (uint8_t)(1 << (i % 8));
        file = fopen(f->path, "r+");
        assert_true(file != NULL && fseek(file, (long)i, SEEK_SET) == 0 &&
                    fputc(bytes.ptr[i], file) != EOF && fclose(file) == 0);
    }
    sealed_reader_must_open(&r, KEY, f->path, SQLITE_OPEN_MAIN_DB);
    assert_int_equal(read_page(&r, 0, page), SQLITE_OK);
    sealed_reader_close(&r);
}

static void pages_can_not_change_places(void **state)
{
    fixture *f = *state;
    dv_store *store = make_store(f);
    dv_error error = {0};
    put_names(store, "somebody", NAMES);
    dv_store_close(store);
    dv_auto(buf) dv_buf bytes = contents(f->path);
    uint8_t kept[PAGE];
    memcpy(kept, bytes.ptr + PAGE, PAGE);
    memcpy(bytes.ptr + PAGE, bytes.ptr + 2 * PAGE, PAGE);
    memcpy(bytes.ptr + 2 * PAGE, kept, PAGE);
    put(f->path, dv_buf_slice(&bytes));
    assert_int_equal(dv_store_check(f->path, KEY, false, &error), DV_ERR_CORRUPT);
}

/* -- the log ----------------------------------------------------------------------------------- */

/* A store as it lies on the disk with all that was written in its log, the last change alone in the
 * last frame. */
static void leave_in_log(const fixture *f, dv_buf *ret_database, dv_buf *ret_log)
{
    dv_store *store = make_store(f);
    put_names(store, "somebody", NAMES);
    *ret_database = contents(f->path);
    *ret_log = contents(f->log);
    assert_true((ret_log->len - LOG_HEAD) % FRAME == 0 && ret_log->len > LOG_HEAD + 3 * FRAME);
    dv_store_close(store);
}

static int64_t names_with(const fixture *f, dv_slice database, dv_slice log)
{
    put_both(f, database, log);
    dv_store *store = open_store(f);
    int64_t count = names(store);
    dv_store_close(store);
    return count;
}

static void a_torn_log_ends_where_it_is_whole(void **state)
{
    fixture *f = *state;
    dv_buf database, log;
    leave_in_log(f, &database, &log);
    dv_slice all = dv_buf_slice(&log);
    assert_int_equal(names_with(f, dv_buf_slice(&database), all), NAMES);
    for (size_t cut = 1; cut <= FRAME; cut += cut < FRAME - 64 ? 127 : 7) {
        dv_slice torn = dv_slice_sub(all, 0, all.len - cut);
        assert_int_equal(names_with(f, dv_buf_slice(&database), torn), NAMES - 1);
    }
    for (size_t at = 1; at <= FRAME; at += 97) {
        log.ptr[log.len - at] ^= 1;
        assert_int_equal(names_with(f, dv_buf_slice(&database), all), NAMES - 1);
        log.ptr[log.len - at] ^= 1;
    }
    dv_buf_release(&database);
    dv_buf_release(&log);
}

/* A page that was deleted is zeros, as is what SQLite gets for one that does not open. */
static void a_torn_page_of_zeros_ends_the_log(void **state)
{
    fixture *f = *state;
    sealed_reader r;
    uint8_t page[PAGE];
    static const uint8_t zeros[PAGE];
    dv_store *store = make_store(f);
    put_names(store, "somebody", NAMES);
    assert_int_equal(dv_store_scrub(store, NULL), DV_OK);
    run(store, "DELETE FROM person");
    dv_auto(buf) dv_buf database = contents(f->path);
    dv_auto(buf) dv_buf log = contents(f->log);
    dv_store_close(store);
    put_both(f, dv_buf_slice(&database), dv_buf_slice(&log));
    size_t torn = 0;
    sealed_reader_must_open(&r, KEY, f->log, SQLITE_OPEN_WAL);
    for (size_t at = LOG_HEAD; at < log.len; at += FRAME) {
        assert_int_equal(read_page(&r, (int64_t)at + FRAME_HEAD, page), SQLITE_OK);
        if (memcmp(page, zeros, PAGE) == 0) {
            memset(log.ptr + at + FRAME_HEAD + PAGE / 2, 0, PAGE / 2);
            torn++;
        }
    }
    sealed_reader_close(&r);
    assert_true(torn > 0);
    assert_int_equal(names_with(f, dv_buf_slice(&database), dv_buf_slice(&log)), NAMES);
    assert_int_equal(dv_store_check(f->path, KEY, false, NULL), DV_OK);
}

/* Who makes SQLite's own check sum fit (it has no key) gets an error, not another page. */
static void a_page_of_the_log_is_what_was_written(void **state)
{
    fixture *f = *state;
    sealed_reader r;
    uint8_t page[PAGE], frame[FRAME];
    static const uint8_t zeros[PAGE];
    dv_buf database, log;
    leave_in_log(f, &database, &log);
    log.ptr[LOG_HEAD + FRAME_HEAD + 100] ^= 1;
    put_both(f, dv_buf_slice(&database), dv_buf_slice(&log));
    sealed_reader_must_open(&r, KEY, f->log, SQLITE_OPEN_WAL);
    assert_int_equal(read_page(&r, LOG_HEAD + FRAME_HEAD, page), SQLITE_IOERR_DATA);
    assert_int_equal(r.file->pMethods->xRead(r.file, frame, FRAME, LOG_HEAD), SQLITE_OK);
    assert_memory_equal(frame + FRAME_HEAD, zeros, PAGE);
    /* Another frame's page, and one for which the head names another page of the database. */
    memcpy(log.ptr + LOG_HEAD + FRAME_HEAD, log.ptr + LOG_HEAD + FRAME + FRAME_HEAD, PAGE);
    log.ptr[LOG_HEAD + FRAME + 3] ^= 1;
    put(f->log, dv_buf_slice(&log));
    sealed_reader_close(&r);
    sealed_reader_must_open(&r, KEY, f->log, SQLITE_OPEN_WAL);
    assert_int_equal(read_page(&r, LOG_HEAD + FRAME_HEAD, page), SQLITE_IOERR_DATA);
    assert_int_equal(read_page(&r, LOG_HEAD + FRAME + FRAME_HEAD, page), SQLITE_IOERR_DATA);
    assert_int_equal(read_page(&r, LOG_HEAD + 2 * FRAME + FRAME_HEAD, page), SQLITE_OK);
    sealed_reader_close(&r);
    dv_buf_release(&database);
    dv_buf_release(&log);
}

/* The power fails while SQLite writes the log's pages into the database: each page is half old,
 * half new there, the first one too, and the log is still whole. */
static void a_torn_checkpoint_loses_nothing(void **state)
{
    fixture *f = *state;
    dv_store *store = make_store(f);
    put_names(store, "first", NAMES);
    assert_int_equal(dv_store_scrub(store, NULL), DV_OK);
    put_names(store, "second", NAMES);
    run(store, "CREATE TABLE another (x TEXT)"); /* so that page 1 changes */
    dv_auto(buf) dv_buf before = contents(f->path);
    dv_auto(buf) dv_buf log = contents(f->log);
    assert_int_equal(dv_store_scrub(store, NULL), DV_OK);
    dv_store_close(store);
    dv_auto(buf) dv_buf after = contents(f->path);
    size_t pages = DV_MIN(before.len, after.len) / PAGE, torn = 0;
    for (size_t i = 0; i < pages; i++) {
        torn += memcmp(before.ptr + i * PAGE, after.ptr + i * PAGE, PAGE) != 0;
        memcpy(before.ptr + i * PAGE, after.ptr + i * PAGE, PAGE / 2);
    }
    assert_true(torn > 2);
    assert_int_equal(names_with(f, dv_buf_slice(&before), dv_buf_slice(&log)), 2 * NAMES);
    assert_int_equal(dv_store_check(f->path, KEY, false, NULL), DV_OK);
}

/* SQLite's, over bytes that are whole words. */
static void add_sum(uint32_t sum[2], const uint8_t *bytes, size_t len, bool big)
{
    for (size_t i = 0; i < len; i += 8) {
        uint32_t words[2];
        memcpy(words, bytes + i, sizeof(words));
        sum[0] += (big ? be32toh(words[0]) : le32toh(words[0])) + sum[1];
        sum[1] += (big ? be32toh(words[1]) : le32toh(words[1])) + sum[0];
    }
}

static void sum_in(const uint8_t *head, uint32_t sum[2])
{
    memcpy(sum, head + FRAME_HEAD - 8, 8);
    sum[0] = be32toh(sum[0]);
    sum[1] = be32toh(sum[1]);
}

/* They are linear in the pages: two of them tell how a page was changed. */
static void check_sums_tell_nothing(void **state)
{
    fixture *f = *state;
    sealed_reader r;
    uint8_t frame[FRAME];
    dv_buf database, log;
    leave_in_log(f, &database, &log);
    put_both(f, dv_buf_slice(&database), dv_buf_slice(&log));
    bool big = (log.ptr[3] & 1) != 0;
    uint32_t sum[2] = {0}, said[2];
    add_sum(sum, log.ptr, 24, big);
    sealed_reader_must_open(&r, KEY, f->log, SQLITE_OPEN_WAL);
    for (size_t at = LOG_HEAD; at < log.len; at += FRAME) {
        assert_int_equal(r.file->pMethods->xRead(r.file, frame, FRAME, (int64_t)at), SQLITE_OK);
        add_sum(sum, frame, 8, big);
        add_sum(sum, frame + FRAME_HEAD, PAGE, big);
        sum_in(frame, said);
        assert_memory_equal(sum, said, sizeof(sum));
        sum_in(log.ptr + at, said);
        assert_true(sum[0] != said[0] && sum[1] != said[1]);
    }
    sealed_reader_close(&r);
    dv_buf_release(&database);
    dv_buf_release(&log);
}

/* Not the log's end, which SQLite would cut off. */
static void a_failing_provider_does_not_end_the_log(void **state)
{
    fixture *f = *state;
    sealed_reader r;
    uint8_t frame[FRAME];
    dv_buf database, log;
    leave_in_log(f, &database, &log);
    put_both(f, dv_buf_slice(&database), dv_buf_slice(&log));
    sealed_reader_must_open(&r, KEY, f->log, SQLITE_OPEN_WAL);
    assert_int_equal(EVP_set_default_properties(NULL, "provider=none"), 1);
    int rc = r.file->pMethods->xRead(r.file, frame, FRAME, LOG_HEAD);
    assert_int_equal(EVP_set_default_properties(NULL, ""), 1);
    assert_int_equal(rc, SQLITE_IOERR);
    assert_int_equal(r.file->pMethods->xRead(r.file, frame, FRAME, LOG_HEAD), SQLITE_OK);
    sealed_reader_close(&r);
    dv_buf_release(&database);
    dv_buf_release(&log);
}

/* SQLite knows from page 1 how many there are, but not when its log says it. */
static void a_page_that_was_cut_off_is_found(void **state)
{
    fixture *f = *state;
    dv_store *store = make_store(f);
    dv_statement *statement = NULL;
    run(store, "CREATE TABLE large (x BLOB)");
    run(store, "INSERT INTO large VALUES (CAST(printf('%.6000c', 'x') AS BLOB))");
    assert_int_equal(dv_store_scrub(store, NULL), DV_OK);
    put_names(store, "somebody", 1);
    dv_auto(buf) dv_buf database = contents(f->path);
    dv_auto(buf) dv_buf log = contents(f->log);
    dv_store_close(store);
    put_both(f, dv_slice_sub(dv_buf_slice(&database), 0, database.len - PAGE), dv_buf_slice(&log));
    store = open_store(f);
    assert_int_equal(dv_store_prepare(store, "SELECT instr(x, x'00') FROM large", &statement, NULL),
                     DV_OK);
    assert_int_equal(dv_statement_step(statement, NULL), DV_ERR_CORRUPT);
    dv_statement_done(statement);
    dv_store_close(store);
}

static void a_journal_beside_it_is_nothing(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    dv_store_close(make_store(f));
    put(temp_path(&f->dir, "dvara.db-journal", path), DV_LIT("x"));
    dv_store_close(open_store(f));
}

static void pages_of_many_sessions_are_read(void **state)
{
    enum { SESSIONS = 40 };
    fixture *f = *state;
    dv_store_close(make_store(f));
    char sql[64];
    for (int i = 0; i < SESSIONS; i++) {
        dv_store *store = open_store(f);
        snprintf(sql, sizeof(sql), "CREATE TABLE t%d (x TEXT)", i);
        run(store, sql);
        put_names(store, "session", 1);
        dv_store_close(store);
    }
    assert_int_equal(dv_store_check(f->path, KEY, false, NULL), DV_OK);
    dv_store *store = open_store(f);
    assert_int_equal(names(store), SESSIONS);
    dv_store_close(store);
}

/* -- what is refused --------------------------------------------------------------------------- */

static void no_page_gets_out_in_clear(void **state)
{
    fixture *f = *state;
    sealed_reader r;
    char path[PATH_MAX];
    uint8_t page[PAGE] = {0};
    dv_store_close(make_store(f));
    static const int kinds[] = {SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_TEMP_DB,
                                SQLITE_OPEN_TEMP_JOURNAL, SQLITE_OPEN_SUBJOURNAL,
                                SQLITE_OPEN_TRANSIENT_DB, SQLITE_OPEN_SUPER_JOURNAL};
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        temp_path(&f->dir, "aside", path);
        assert_int_equal(sealed_reader_open(&r, KEY, path, kinds[i] | SQLITE_OPEN_CREATE),
                         SQLITE_CANTOPEN);
        sealed_reader_close(&r);
    }
    sealed_reader_must_open(&r, KEY, f->path, SQLITE_OPEN_MAIN_DB);
    const sqlite3_io_methods *m = r.file->pMethods;
    assert_int_equal(m->xWrite(r.file, page, PAGE, 0), SQLITE_OK);
    assert_int_equal(m->xWrite(r.file, page, PAGE / 2, 0), SQLITE_IOERR_WRITE);
    assert_int_equal(m->xWrite(r.file, page, PAGE, 100), SQLITE_IOERR_WRITE);
    assert_int_equal(m->xRead(r.file, page, PAGE, 100), SQLITE_IOERR_READ);
    page[PAGE - 1] = 1; /* where the seal stands */
    assert_int_equal(m->xWrite(r.file, page, PAGE, 0), SQLITE_IOERR);
    int64_t mapped = 1 << 20;
    assert_int_equal(m->xFileControl(r.file, SQLITE_FCNTL_MMAP_SIZE, &mapped), SQLITE_NOTFOUND);
    sealed_reader_close(&r);
    put(f->log, DV_LIT(""));
    memset(page, 0, sizeof(page));
    sealed_reader_must_open(&r, KEY, f->log, SQLITE_OPEN_WAL);
    m = r.file->pMethods;
    assert_int_equal(m->xWrite(r.file, page, 16, 0), SQLITE_IOERR_WRITE);
    assert_int_equal(m->xWrite(r.file, page, LOG_HEAD, 0), SQLITE_OK);
    assert_int_equal(m->xWrite(r.file, page, PAGE, LOG_HEAD), SQLITE_IOERR_WRITE);
    assert_int_equal(m->xWrite(r.file, page, FRAME_HEAD, LOG_HEAD), SQLITE_OK);
    assert_int_equal(m->xWrite(r.file, page, 100, LOG_HEAD + FRAME_HEAD), SQLITE_IOERR_WRITE);
    assert_int_equal(m->xWrite(r.file, page, PAGE, LOG_HEAD + FRAME_HEAD), SQLITE_OK);
    assert_int_equal(m->xRead(r.file, page, PAGE, LOG_HEAD + FRAME + FRAME_HEAD),
                     SQLITE_IOERR_SHORT_READ);
    sealed_reader_close(&r);
}

/* -- a store of an earlier version ------------------------------------------------------------- */

/* It died with its last change in SQLite's log. */
static void leave_plain(const char *path)
{
    pid_t child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        bool ok = sqlite3_open(path, &db) == SQLITE_OK &&
                  sqlite3_exec(db,
                               "PRAGMA journal_mode=WAL; PRAGMA application_id=1146503506;"
                               "CREATE TABLE person (name TEXT);"
                               "INSERT INTO person VALUES ('xanthippe'), ('sokrates');"
                               "CREATE TABLE migration (number BIGINT NOT NULL PRIMARY KEY,"
                               " name TEXT NOT NULL, applied BIGINT NOT NULL)",
                               NULL, NULL, NULL) == SQLITE_OK;
        raise(ok ? SIGKILL : SIGTERM);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static bool all_zero(int fd)
{
    uint8_t byte, any = 0;
    while (read(fd, &byte, 1) == 1) {
        any |= byte;
    }
    return any == 0;
}

/* What stood in its log alone, and what SQLite writes aside when it writes a database anew. */
static void a_plain_log_is_overwritten(void **state)
{
    fixture *f = *state;
    dv_store *store = NULL;
    leave_plain(f->path);
    int log = open(f->log, O_RDONLY);
    assert_int_equal(dv_store_open(f->path, KEY, true, &store, NULL), DV_OK);
    assert_int_equal(names(store), 2);
    assert_true(log >= 0 && all_zero(log));
    close(log);
    dv_store_close(store);
}

/* It died when the sealed one had the place, or before; and somebody's copy is theirs. */
static void who_dies_sealing_a_plain_store_leaves_nothing(void **state)
{
    fixture *f = *state;
    char left[PATH_MAX], copy[PATH_MAX];
    dv_store *store = NULL;
    temp_path(&f->dir, "dvara.db.to-erase", left);
    leave_plain(f->path);
    assert_int_equal(link(f->path, left), 0);
    assert_int_equal(dv_store_open(f->path, KEY, true, &store, NULL), DV_OK);
    assert_int_equal(names(store), 2);
    dv_store_close(store);
    assert_int_not_equal(access(left, F_OK), 0);
    leave_plain(left);
    int old = open(left, O_RDONLY);
    dv_store_close(open_store(f));
    assert_true(old >= 0 && all_zero(old) && access(left, F_OK) != 0);
    close(old);
    assert_int_equal(unlink(f->path), 0);
    leave_plain(f->path);
    assert_int_equal(link(f->path, temp_path(&f->dir, "copy", copy)), 0);
    assert_int_equal(dv_store_open(f->path, KEY, true, &store, NULL), DV_OK);
    dv_store_close(store);
    assert_true(holds(copy, "SQLite format"));
}

/* The largest part of it is cut off when it is written anew: SQLite leaves such blocks as they
 * were. */
static void a_plain_store_is_not_rewritten_in_its_place(void **state)
{
    fixture *f = *state;
    dv_store *store = NULL;
    sqlite3 *db = NULL;
    struct stat before, after;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA application_id=1146503506;"
                     "CREATE TABLE filler (x TEXT); CREATE TABLE person (name TEXT);"
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
                     "INSERT INTO filler SELECT hex(zeroblob(999)) FROM n;"
                     "INSERT INTO person VALUES ('xanthippe'); DELETE FROM filler",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    int old = open(f->path, O_RDONLY);
    assert_int_equal(fstat(old, &before), 0);
    assert_int_equal(dv_store_open(f->path, KEY, true, &store, NULL), DV_OK);
    assert_int_equal(names(store), 1);
    dv_store_close(store);
    assert_int_equal(fstat(old, &after), 0);
    assert_true(before.st_size > 100 * PAGE && before.st_size == after.st_size && all_zero(old));
    close(old);
}

static void a_plain_store_is_sealed_once(void **state)
{
    fixture *f = *state;
    dv_error error = {0};
    dv_store *store = NULL;
    leave_plain(f->path);
    assert_true(holds(f->log, "xanthippe"));
    assert_int_equal(dv_store_open(f->path, KEY, false, &store, &error), DV_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "not sealed"));
    int old = open(f->path, O_RDONLY);
    assert_int_equal(dv_store_open(f->path, KEY, true, &store, &error), DV_OK);
    assert_int_equal(names(store), 2);
    assert_false(holds(f->path, "xanthippe") || holds(f->log, "xanthippe"));
    put_names(store, "somebody", 1);
    dv_store_close(store);
    store = open_store(f);
    assert_int_equal(names(store), 3);
    dv_store_close(store);
    /* What it was is overwritten. */
    assert_true(all_zero(old));
    close(old);
    char left[PATH_MAX];
    assert_int_not_equal(access(temp_path(&f->dir, "dvara.db.new", left), F_OK), 0);
}

static void who_dies_making_a_store_leaves_nothing_in_the_way(void **state)
{
    fixture *f = *state;
    char left[PATH_MAX];
    put(temp_path(&f->dir, "dvara.db.new", left), DV_LIT("half of a page"));
    dv_store *store = make_store(f);
    put_names(store, "somebody", 1);
    /* Its log outlives it, and is not taken for the next one's. */
    dv_auto(buf) dv_buf log = contents(f->log);
    dv_store_close(store);
    assert_int_equal(unlink(f->path), 0);
    put(f->log, dv_buf_slice(&log));
    store = make_store(f);
    assert_int_equal(names(store), 0);
    dv_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_stands_in_clear, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_opens_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_leaves_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_changed_byte_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_can_not_change_places, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_log_ends_where_it_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_page_of_zeros_ends_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_of_the_log_is_what_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_checkpoint_loses_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(check_sums_tell_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failing_provider_does_not_end_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_page_that_was_cut_off_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_journal_beside_it_is_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_of_many_sessions_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_page_gets_out_in_clear, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plain_store_is_sealed_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plain_log_is_overwritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_plain_store_is_not_rewritten_in_its_place, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_dies_sealing_a_plain_store_leaves_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(who_dies_making_a_store_leaves_nothing_in_the_way, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
