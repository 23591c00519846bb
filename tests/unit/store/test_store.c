/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "store/change.h"
#include "store/store.h"
#include "unit/store/sealed_reader.h"
#include "unit/temp.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static const uint8_t KEY[DV_STORE_KEY_LEN] = "a key of the tests of the store";

typedef struct fixture {
    temp_dir dir;
    char path[PATH_MAX];
    dv_store *store;
    dv_arena *arena;
} fixture;

static void run_sql(dv_store *store, const char *sql)
{
    dv_auto(statement) dv_statement *statement = NULL;
    assert_int_equal(dv_store_prepare(store, sql, &statement, NULL), DV_OK);
    assert_int_equal(dv_statement_step(statement, NULL), DV_ERR_NOT_FOUND);
}

static int64_t count(dv_store *store, const char *sql)
{
    dv_auto(statement) dv_statement *statement = NULL;
    assert_int_equal(dv_store_prepare(store, sql, &statement, NULL), DV_OK);
    assert_int_equal(dv_statement_step(statement, NULL), DV_OK);
    return dv_column_int(statement, 0);
}

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    temp_dir_make(&f->dir);
    temp_path(&f->dir, "dvara.db", f->path);
    f->arena = dv_arena_new(16 << 20);
    assert_int_equal(dv_store_open(f->path, KEY, false, &f->store, NULL), DV_OK);
    run_sql(f->store, "CREATE TABLE parent (name TEXT PRIMARY KEY, data BLOB, age BIGINT)");
    run_sql(f->store, "CREATE TABLE child (name TEXT REFERENCES parent (name) ON DELETE CASCADE,"
                      " age BIGINT CHECK (age > 0))");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    dv_store_close(f->store);
    dv_arena_free(f->arena);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

static dv_result insert(dv_store *store, const char *name, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_prepare(store, "INSERT INTO parent (name, data, age) VALUES (?1, ?2, ?3)",
                            &statement, error));
    DV_TRY(dv_bind_text(statement, 1, dv_slice_str(name)));
    DV_TRY(dv_bind_blob(statement, 2, dv_slice_of("\0\1\2", 3)));
    DV_TRY(dv_bind_null(statement, 3));
    dv_result result = dv_statement_step(statement, error);
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static void reads_what_was_bound(void **state)
{
    fixture *f = *state;
    assert_int_equal(insert(f->store, "alice", NULL), DV_OK);
    dv_auto(statement) dv_statement *statement = NULL;
    assert_int_equal(
        dv_store_prepare(f->store, "SELECT name, data, age FROM parent", &statement, NULL), DV_OK);
    assert_int_equal(dv_statement_step(statement, NULL), DV_OK);
    assert_true(dv_slice_eq_str(dv_column_slice(statement, 0), "alice"));
    assert_true(dv_slice_eq(dv_column_slice(statement, 1), dv_slice_of("\0\1\2", 3)));
    assert_true(dv_column_is_null(statement, 2));
    assert_int_equal(dv_column_int(statement, 2), 0);
    assert_int_equal(dv_column_slice(statement, 2).len, 0);
    assert_int_equal(dv_statement_step(statement, NULL), DV_ERR_NOT_FOUND);
}

static void tells_constraints_apart(void **state)
{
    fixture *f = *state;
    dv_error error = {0};
    assert_int_equal(insert(f->store, "alice", &error), DV_OK);
    assert_int_equal(insert(f->store, "alice", &error), DV_ERR_EXISTS);
    dv_auto(statement) dv_statement *statement = NULL;
    assert_int_equal(
        dv_store_prepare(f->store, "INSERT INTO child VALUES ('nobody', 1)", &statement, &error),
        DV_OK);
    assert_int_equal(dv_statement_step(statement, &error), DV_ERR_CONFLICT);
    dv_auto(statement) dv_statement *check = NULL;
    assert_int_equal(
        dv_store_prepare(f->store, "INSERT INTO child VALUES ('alice', 0)", &check, &error), DV_OK);
    assert_int_equal(dv_statement_step(check, &error), DV_ERR_CONFLICT);
    dv_statement *bad = NULL;
    assert_int_equal(dv_store_prepare(f->store, "SELECT FROM nowhere", &bad, &error),
                     DV_ERR_INTERNAL);
    assert_null(bad);
}

static void one_text_serves_two_users_at_once(void **state)
{
    fixture *f = *state;
    assert_int_equal(insert(f->store, "alice", NULL), DV_OK);
    assert_int_equal(insert(f->store, "bob", NULL), DV_OK);
    static const char SQL[] = "SELECT name FROM parent ORDER BY name";
    dv_auto(statement) dv_statement *outer = NULL;
    dv_auto(statement) dv_statement *inner = NULL;
    assert_int_equal(dv_store_prepare(f->store, SQL, &outer, NULL), DV_OK);
    assert_int_equal(dv_statement_step(outer, NULL), DV_OK);
    assert_int_equal(dv_store_prepare(f->store, SQL, &inner, NULL), DV_OK);
    assert_ptr_not_equal(outer, inner);
    assert_int_equal(dv_statement_step(inner, NULL), DV_OK);
    assert_int_equal(dv_statement_step(outer, NULL), DV_OK);
    assert_true(dv_slice_eq_str(dv_column_slice(outer, 0), "bob"));
    assert_true(dv_slice_eq_str(dv_column_slice(inner, 0), "alice"));
}

static void statements_beyond_the_cache_work(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 300; i++) {
        char sql[64];
        snprintf(sql, sizeof(sql), "SELECT %d", i);
        assert_int_equal(count(f->store, sql), i);
    }
}

static void transactions_commit_and_roll_back(void **state)
{
    fixture *f = *state;
    assert_int_equal(dv_store_begin(f->store, NULL), DV_OK);
    assert_int_equal(dv_store_begin(f->store, NULL), DV_ERR_INTERNAL);
    assert_int_equal(insert(f->store, "alice", NULL), DV_OK);
    dv_store_rollback(f->store);
    assert_int_equal(count(f->store, "SELECT count(*) FROM parent"), 0);
    assert_int_equal(dv_store_commit(f->store, NULL), DV_ERR_INTERNAL);
    assert_int_equal(dv_store_begin(f->store, NULL), DV_OK);
    assert_int_equal(insert(f->store, "alice", NULL), DV_OK);
    assert_int_equal(dv_store_changes(f->store), 1);
    assert_int_equal(dv_store_commit(f->store, NULL), DV_OK);
    dv_store_rollback(f->store);
    assert_int_equal(count(f->store, "SELECT count(*) FROM parent"), 1);
}

static void survives_kill_after_commit(void **state)
{
    fixture *f = *state;
    dv_store_close(f->store);
    f->store = NULL;
    pid_t child = fork();
    if (child == 0) {
        dv_store *store = NULL;
        if (dv_store_open(f->path, KEY, false, &store, NULL) != DV_OK ||
            dv_store_begin(store, NULL) != DV_OK || insert(store, "kept", NULL) != DV_OK ||
            dv_store_commit(store, NULL) != DV_OK || dv_store_begin(store, NULL) != DV_OK ||
            insert(store, "lost", NULL) != DV_OK) {
            _exit(1);
        }
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(dv_store_open(f->path, KEY, false, &f->store, NULL), DV_OK);
    assert_int_equal(count(f->store, "SELECT count(*) FROM parent WHERE name = 'kept'"), 1);
    assert_int_equal(count(f->store, "SELECT count(*) FROM parent"), 1);
}

static void is_private_and_durable(void **state)
{
    fixture *f = *state;
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    char wal[PATH_MAX];
    assert_int_equal(stat(temp_path(&f->dir, "dvara.db-wal", wal), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(count(f->store, "PRAGMA synchronous"), 2);
    assert_int_equal(count(f->store, "PRAGMA foreign_keys"), 1);
    assert_int_equal(count(f->store, "PRAGMA trusted_schema"), 0);
}

static void refuses_a_newer_database(void **state)
{
    fixture *f = *state;
    dv_error error = {0};
    run_sql(f->store, "INSERT INTO migration VALUES (9999, 'from-tomorrow', 1)");
    dv_store_close(f->store);
    f->store = NULL;
    assert_int_equal(dv_store_open(f->path, KEY, false, &f->store, &error), DV_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "newer"));
    assert_null(f->store);
}

static void refuses_foreign_files(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    dv_store *store = NULL;
    assert_int_equal(dv_file_write_atomic(temp_path(&f->dir, "text.db", path),
                                          DV_LIT("this is certainly not a database, is it?"), 0600,
                                          NULL),
                     DV_OK);
    assert_int_equal(dv_store_open(path, KEY, false, &store, NULL), DV_ERR_CORRUPT);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(temp_path(&f->dir, "other.db", path), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(dv_store_open(path, KEY, false, &store, NULL), DV_ERR_UNSUPPORTED);
    assert_int_equal(symlink(f->path, temp_path(&f->dir, "link.db", path)), 0);
    assert_int_equal(dv_store_open(path, KEY, false, &store, NULL), DV_ERR_IO);
    assert_int_equal(dv_store_open("/tmp/dvara-no-such-folder/x.db", KEY, false, &store, NULL),
                     DV_ERR_IO);
    assert_null(store);
}

static void lists_changes_once_in_order(void **state)
{
    fixture *f = *state;
    const dv_change *changes;
    size_t n;
    uint64_t last;
    uint64_t forgotten;
    assert_int_equal(dv_change_range(f->store, &last, &forgotten, NULL), DV_OK);
    assert_int_equal(last, 0);
    assert_int_equal(forgotten, 0);
    assert_int_equal(dv_change_append(f->store, "credential", DV_LIT("b"), NULL), DV_OK);
    assert_int_equal(dv_change_append(f->store, "principal", DV_LIT("a"), NULL), DV_OK);
    assert_int_equal(dv_change_append(f->store, "credential", DV_LIT("b"), NULL), DV_OK);
    assert_int_equal(dv_change_list(f->store, 0, f->arena, &changes, &n, NULL), DV_OK);
    assert_int_equal(n, 2);
    assert_true(dv_slice_eq_str(changes[0].key, "b"));
    assert_true(dv_slice_eq_str(changes[1].kind, "principal"));
    assert_int_equal(dv_change_list(f->store, 2, f->arena, &changes, &n, NULL), DV_OK);
    assert_int_equal(n, 1);
    assert_int_equal(dv_change_list(f->store, 3, f->arena, &changes, &n, NULL), DV_OK);
    assert_int_equal(n, 0);
    assert_int_equal(dv_change_range(f->store, &last, &forgotten, NULL), DV_OK);
    assert_int_equal(last, 3);
    assert_int_equal(forgotten, 0);
    assert_int_equal(dv_change_prune(f->store, 1, NULL), DV_OK);
    assert_int_equal(dv_change_range(f->store, &last, &forgotten, NULL), DV_OK);
    assert_int_equal(last, 3);
    assert_int_equal(forgotten, 2);
    assert_int_equal(dv_change_prune(f->store, 0, NULL), DV_OK);
    assert_int_equal(dv_change_append(f->store, "x", DV_LIT("y"), NULL), DV_OK);
    assert_int_equal(dv_change_range(f->store, &last, &forgotten, NULL), DV_OK);
    assert_int_equal(last, 4);
}

static void rolled_back_changes_leave_no_gap(void **state)
{
    fixture *f = *state;
    uint64_t last;
    uint64_t forgotten;
    assert_int_equal(dv_store_begin(f->store, NULL), DV_OK);
    assert_int_equal(dv_change_append(f->store, "x", DV_LIT("y"), NULL), DV_OK);
    dv_store_rollback(f->store);
    assert_int_equal(dv_change_range(f->store, &last, &forgotten, NULL), DV_OK);
    assert_int_equal(last, 0);
}

static void keeps_its_identity(void **state)
{
    fixture *f = *state;
    dv_slice first;
    dv_slice second;
    assert_int_equal(dv_store_id(f->store, f->arena, &first, NULL), DV_OK);
    assert_int_equal(first.len, 36);
    dv_store_close(f->store);
    assert_int_equal(dv_store_open(f->path, KEY, false, &f->store, NULL), DV_OK);
    assert_int_equal(dv_store_id(f->store, f->arena, &second, NULL), DV_OK);
    assert_true(dv_slice_eq(first, second));
}

/* Behind the seals, page for page, whether SQLite still needs it or not. */
static bool file_holds(const char *path, int kind, const char *text)
{
    enum { LOG_HEAD = 32, FRAME_HEAD = 24 };
    sealed_reader r;
    int64_t size, step = kind == SQLITE_OPEN_WAL ? DV_SEALED_PAGE + FRAME_HEAD : DV_SEALED_PAGE;
    bool found = false;
    uint8_t page[DV_SEALED_PAGE];
    sealed_reader_must_open(&r, KEY, path, kind);
    assert_int_equal(r.file->pMethods->xFileSize(r.file, (sqlite3_int64 *)&size), SQLITE_OK);
    int64_t at = kind == SQLITE_OPEN_WAL ? LOG_HEAD + FRAME_HEAD : 0;
    for (; at + DV_SEALED_PAGE <= size; at += step) {
        assert_int_equal(r.file->pMethods->xRead(r.file, page, sizeof(page), at), SQLITE_OK);
        found = found || dv_slice_find(dv_slice_of(page, sizeof(page)), dv_slice_str(text)) >= 0;
    }
    sealed_reader_close(&r);
    return found;
}

static bool files_hold(const fixture *f, const char *text)
{
    char log[PATH_MAX + 8];
    snprintf(log, sizeof(log), "%s-wal", f->path);
    return file_holds(f->path, SQLITE_OPEN_MAIN_DB, text) || file_holds(log, SQLITE_OPEN_WAL, text);
}

static void scrubbed_it_holds_nothing_that_was_deleted(void **state)
{
    fixture *f = *state;
    char name[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "xanthippe-%d", i);
        assert_int_equal(insert(f->store, name, NULL), DV_OK);
    }
    assert_int_equal(dv_change_append(f->store, "user", DV_LIT("xanthippe"), NULL), DV_OK);
    run_sql(f->store, "DELETE FROM parent");
    assert_true(files_hold(f, "xanthippe"));
    assert_int_equal(dv_change_prune(f->store, 0, NULL), DV_OK);
    assert_int_equal(dv_store_scrub(f->store, NULL), DV_OK);
    assert_false(files_hold(f, "xanthippe"));
    assert_int_equal(dv_store_begin(f->store, NULL), DV_OK);
    assert_int_equal(dv_store_scrub(f->store, NULL), DV_ERR_INTERNAL);
    dv_store_rollback(f->store);
}

static void a_copy_is_the_store_as_it_was(void **state)
{
    fixture *f = *state;
    struct stat about;
    char path[PATH_MAX];
    dv_store *copy = NULL;
    temp_path(&f->dir, "copy.db", path);
    assert_int_equal(insert(f->store, "before", NULL), DV_OK); /* in the log of SQLite alone */
    assert_int_equal(dv_store_copy(f->store, path, NULL), DV_OK);
    assert_int_equal(insert(f->store, "after", NULL), DV_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(dv_store_check(path, KEY, false, NULL), DV_OK);
    assert_int_equal(dv_store_open(path, KEY, false, &copy, NULL), DV_OK);
    assert_int_equal(count(copy, "SELECT count(*) FROM parent WHERE name='before'"), 1);
    assert_int_equal(count(copy, "SELECT count(*) FROM parent WHERE name='after'"), 0);
    dv_store_close(copy);
    /* Again, over the one that is there; not in the middle of a change. */
    assert_int_equal(dv_store_copy(f->store, path, NULL), DV_OK);
    assert_int_equal(dv_store_begin(f->store, NULL), DV_OK);
    assert_int_equal(dv_store_copy(f->store, path, NULL), DV_ERR_INTERNAL);
    dv_store_rollback(f->store);
    assert_int_equal(dv_store_copy(f->store, "/nowhere/copy.db", NULL), DV_ERR_IO);
}

static void a_damaged_copy_is_told(void **state)
{
    enum { PAGE = 4096 };
    fixture *f = *state;
    char path[PATH_MAX];
    dv_error error = {0};
    dv_auto(buf) dv_buf bytes = dv_buf_init(64 << 20);
    temp_path(&f->dir, "copy.db", path);
    for (int i = 0; i < PAGE; i++) {
        char name[32];
        snprintf(name, sizeof(name), "somebody-%d", i);
        assert_int_equal(insert(f->store, name, NULL), DV_OK);
    }
    assert_int_equal(dv_store_copy(f->store, path, NULL), DV_OK);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    memset(bytes.ptr + bytes.len - 2 * PAGE, 0xa5, 2 * PAGE);
    assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&bytes), 0600, NULL), DV_OK);
    assert_int_equal(dv_store_check(path, KEY, false, &error), DV_ERR_CORRUPT);
    assert_true(error.message[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_what_was_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_constraints_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_text_serves_two_users_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(statements_beyond_the_cache_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transactions_commit_and_roll_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(survives_kill_after_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(is_private_and_durable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_newer_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_foreign_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lists_changes_once_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rolled_back_changes_leave_no_gap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_its_identity, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_is_the_store_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_copy_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scrubbed_it_holds_nothing_that_was_deleted, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
