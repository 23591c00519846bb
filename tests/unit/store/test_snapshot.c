/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "store/snapshot.h"
#include "unit/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

typedef struct fixture {
    temp_dir dir;
    char folder[PATH_MAX];
    dv_snapshot *writer;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    temp_dir_make(&f->dir);
    temp_path(&f->dir, "snapshot", f->folder);
    if (dv_snapshot_open_writer(f->folder, &f->writer, NULL) != DV_OK) {
        return -1;
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    dv_snapshot_close(f->writer);
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

static void put_one(dv_snapshot *writer, const char *key, const char *value, uint64_t sequence)
{
    assert_int_equal(dv_snapshot_write_begin(writer, NULL), DV_OK);
    assert_int_equal(
        dv_snapshot_put(writer, DV_TABLE_CREDENTIALS, dv_slice_str(key), dv_slice_str(value)),
        DV_OK);
    assert_int_equal(dv_snapshot_commit(writer, sequence), DV_OK);
}

static void assert_value(dv_snapshot *snapshot, const char *key, const char *expected)
{
    dv_slice value;
    assert_int_equal(dv_snapshot_begin(snapshot), DV_OK);
    dv_result result = dv_snapshot_get(snapshot, DV_TABLE_CREDENTIALS, dv_slice_str(key), &value);
    if (expected == NULL) {
        assert_int_equal(result, DV_ERR_NOT_FOUND);
    } else {
        assert_int_equal(result, DV_OK);
        assert_true(dv_slice_eq_str(value, expected));
    }
    dv_snapshot_end(snapshot);
}

/* LMDB forbids two environments of one file in a process, so readers get a process of their own. */
typedef int (*child_fn)(const char *folder);

static pid_t in_child(child_fn run, const char *folder)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(120); /* whatever becomes of the test */
        _exit(run(folder));
    }
    return child;
}

static int wait_for(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void not_there_before_the_first_commit(void **state)
{
    fixture *f = *state;
    dv_snapshot *reader = NULL;
    dv_snapshot_close(f->writer);
    f->writer = NULL;
    assert_int_equal(dv_snapshot_open(f->folder, &reader, NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_snapshot_open("/tmp/dvara-no-such-folder", &reader, NULL),
                     DV_ERR_NOT_FOUND);
    assert_null(reader);
}

static void keeps_values_and_sequence(void **state)
{
    fixture *f = *state;
    uint64_t sequence = 99;
    assert_int_equal(dv_snapshot_change_sequence(f->writer, &sequence), DV_OK);
    assert_int_equal(sequence, 0);
    put_one(f->writer, "sequence", "a key may have any name", 7);
    put_one(f->writer, "Ab3dEf9h", "record", 8);
    assert_value(f->writer, "Ab3dEf9h", "record");
    assert_value(f->writer, "sequence", "a key may have any name");
    assert_value(f->writer, "nothing0", NULL);
    assert_int_equal(dv_snapshot_change_sequence(f->writer, &sequence), DV_OK);
    assert_int_equal(sequence, 8);
    dv_snapshot_close(f->writer);
    assert_int_equal(dv_snapshot_open_writer(f->folder, &f->writer, NULL), DV_OK);
    assert_value(f->writer, "Ab3dEf9h", "record");
    assert_int_equal(dv_snapshot_change_sequence(f->writer, &sequence), DV_OK);
    assert_int_equal(sequence, 8);
}

static void moves_generation_by_one(void **state)
{
    fixture *f = *state;
    put_one(f->writer, "a", "1", 1);
    assert_int_equal(dv_snapshot_generation(f->writer), 0);
    assert_int_equal(dv_snapshot_begin(f->writer), DV_OK);
    uint64_t before = dv_snapshot_generation(f->writer);
    dv_snapshot_end(f->writer);
    put_one(f->writer, "a", "1", 1);
    assert_int_equal(dv_snapshot_begin(f->writer), DV_OK);
    assert_int_equal(dv_snapshot_generation(f->writer), before + 1);
    dv_snapshot_end(f->writer);
}

static void aborts_leave_nothing(void **state)
{
    fixture *f = *state;
    put_one(f->writer, "a", "1", 1);
    assert_int_equal(dv_snapshot_write_begin(f->writer, NULL), DV_OK);
    assert_int_equal(dv_snapshot_write_begin(f->writer, NULL), DV_ERR_INTERNAL);
    assert_int_equal(dv_snapshot_clear(f->writer, DV_TABLE_CREDENTIALS), DV_OK);
    dv_snapshot_abort(f->writer);
    assert_value(f->writer, "a", "1");
    assert_int_equal(dv_snapshot_write_begin(f->writer, NULL), DV_OK);
    assert_int_equal(dv_snapshot_clear(f->writer, DV_TABLE_CREDENTIALS), DV_OK);
    assert_int_equal(dv_snapshot_delete(f->writer, DV_TABLE_CREDENTIALS, DV_LIT("absent")), DV_OK);
    assert_int_equal(dv_snapshot_commit(f->writer, 2), DV_OK);
    assert_value(f->writer, "a", NULL);
}

static void refuses_misuse(void **state)
{
    fixture *f = *state;
    dv_slice value;
    uint8_t longest[512];
    memset(longest, 'k', sizeof(longest));
    assert_int_equal(dv_snapshot_get(f->writer, DV_TABLE_META, DV_LIT("x"), &value),
                     DV_ERR_UNAVAILABLE);
    assert_int_equal(dv_snapshot_put(f->writer, DV_TABLE_META, DV_LIT("x"), DV_LIT("y")),
                     DV_ERR_INTERNAL);
    assert_int_equal(dv_snapshot_commit(f->writer, 1), DV_ERR_INTERNAL);
    assert_int_equal(dv_snapshot_write_begin(f->writer, NULL), DV_OK);
    assert_int_equal(dv_snapshot_put(f->writer, DV_TABLE_META, DV_LIT("sequence"), DV_LIT("y")),
                     DV_ERR_INVALID);
    assert_int_equal(dv_snapshot_put(f->writer, DV_TABLE_META, DV_LIT(""), DV_LIT("y")),
                     DV_ERR_INVALID);
    assert_int_equal(
        dv_snapshot_put(f->writer, DV_TABLE_META, dv_slice_of(longest, 512), DV_LIT("y")),
        DV_ERR_TOO_LARGE);
    assert_int_equal(
        dv_snapshot_put(f->writer, DV_TABLE_META, dv_slice_of(longest, 511), DV_LIT("y")), DV_OK);
    assert_int_equal(dv_snapshot_commit(f->writer, 1), DV_OK);
}

static mode_t mode_of(const fixture *f, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    int len = snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    assert_in_range(len, 1, sizeof(path) - 1);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void has_narrow_modes(void **state)
{
    fixture *f = *state;
    assert_int_equal(mode_of(f, "."), 0750);
    assert_int_equal(mode_of(f, "data.mdb"), 0640);
    assert_int_equal(mode_of(f, "header"), 0640);
    assert_int_equal(mode_of(f, "lock.mdb"), 0660);
}

static int read_record(const char *folder)
{
    dv_snapshot *reader = NULL;
    dv_slice value;
    if (dv_snapshot_open(folder, &reader, NULL) != DV_OK || dv_snapshot_begin(reader) != DV_OK ||
        dv_snapshot_get(reader, DV_TABLE_CREDENTIALS, DV_LIT("Ab3dEf9h"), &value) != DV_OK) {
        return 1;
    }
    bool ok = dv_slice_eq_str(value, "record") && dv_snapshot_write_begin(reader, NULL) != DV_OK;
    dv_snapshot_end(reader);
    dv_snapshot_close(reader);
    return ok ? 0 : 2;
}

static void other_processes_read(void **state)
{
    fixture *f = *state;
    put_one(f->writer, "Ab3dEf9h", "record", 1);
    assert_int_equal(wait_for(in_child(read_record, f->folder)), 0);
}

static int ready_pipe[2];
static int go_pipe[2];

static int hold_forever(const char *folder)
{
    dv_snapshot *reader = NULL;
    if (dv_snapshot_open(folder, &reader, NULL) != DV_OK || dv_snapshot_begin(reader) != DV_OK ||
        write(ready_pipe[1], "r", 1) != 1) {
        return 1;
    }
    for (;;) {
        pause();
    }
}

static off_t file_size(const fixture *f)
{
    char path[PATH_MAX];
    struct stat st;
    int len = snprintf(path, sizeof(path), "%s/data.mdb", f->folder);
    assert_in_range(len, 1, sizeof(path) - 1);
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void churn(dv_snapshot *writer, int commits)
{
    char value[512];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < commits; i++) {
        put_one(writer, "Ab3dEf9h", value, (uint64_t)i + 2);
    }
}

/* DESIGN section 3: a reader that holds a transaction makes the file grow without end; one that was
 * killed must not. */
static void killed_reader_does_not_grow_the_file(void **state)
{
    fixture *f = *state;
    char byte;
    put_one(f->writer, "Ab3dEf9h", "record", 1);
    assert_int_equal(pipe2(ready_pipe, O_CLOEXEC), 0);
    pid_t child = in_child(hold_forever, f->folder);
    assert_int_equal(read(ready_pipe[0], &byte, 1), 1);
    churn(f->writer, 50);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(wait_for(child), 128 + SIGKILL);
    churn(f->writer, 50);
    off_t before = file_size(f);
    churn(f->writer, 3000);
    assert_int_equal(file_size(f), before);
    close(ready_pipe[0]);
    close(ready_pipe[1]);
}

static int kill_self_in_write(const char *folder)
{
    dv_snapshot *writer = NULL;
    if (dv_snapshot_open_writer(folder, &writer, NULL) != DV_OK ||
        dv_snapshot_write_begin(writer, NULL) != DV_OK ||
        dv_snapshot_put(writer, DV_TABLE_CREDENTIALS, DV_LIT("Ab3dEf9h"), DV_LIT("half")) !=
            DV_OK) {
        return 1;
    }
    raise(SIGKILL);
    return 2;
}

static void killed_writer_leaves_the_last_commit(void **state)
{
    fixture *f = *state;
    put_one(f->writer, "Ab3dEf9h", "record", 5);
    dv_snapshot_close(f->writer);
    assert_int_equal(wait_for(in_child(kill_self_in_write, f->folder)), 128 + SIGKILL);
    assert_int_equal(dv_snapshot_open_writer(f->folder, &f->writer, NULL), DV_OK);
    assert_value(f->writer, "Ab3dEf9h", "record");
    put_one(f->writer, "Ab3dEf9h", "next", 6);
    assert_value(f->writer, "Ab3dEf9h", "next");
}

/* Overwrites a piece of a file of the closed snapshot, then opens it for writing again. */
static void damage_and_reopen(fixture *f, const char *name, off_t offset, size_t len)
{
    char path[PATH_MAX];
    uint8_t junk[8192];
    assert_in_range(len, 1, sizeof(junk));
    memset(junk, 0xa5, sizeof(junk));
    dv_snapshot_close(f->writer);
    f->writer = NULL;
    int path_len = snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    assert_in_range(path_len, 1, sizeof(path) - 1);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, junk, len, offset), len);
    close(fd);
    assert_int_equal(dv_snapshot_open_writer(f->folder, &f->writer, NULL), DV_OK);
}

static void assert_empty(dv_snapshot *writer)
{
    uint64_t sequence = 99;
    assert_int_equal(dv_snapshot_change_sequence(writer, &sequence), DV_OK);
    assert_int_equal(sequence, 0);
    assert_value(writer, "key00001", NULL);
}

static void fill(dv_snapshot *writer)
{
    char key[16];
    assert_int_equal(dv_snapshot_write_begin(writer, NULL), DV_OK);
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "key%05d", i);
        assert_int_equal(dv_snapshot_put(writer, DV_TABLE_CREDENTIALS, dv_slice_str(key),
                                         DV_LIT("a value of some bytes")),
                         DV_OK);
    }
    assert_int_equal(dv_snapshot_commit(writer, 42), DV_OK);
}

static void replaces_foreign_header(void **state)
{
    fixture *f = *state;
    fill(f->writer);
    damage_and_reopen(f, "header", 8, 4); /* layout */
    assert_empty(f->writer);
    fill(f->writer);
    damage_and_reopen(f, "header", 16, 36); /* boot */
    assert_empty(f->writer);
}

/* As when the clock was set back by an hour between two snapshots. */
static void never_gives_a_generation_twice(void **state)
{
    enum { BASE_OFFSET = 56 };
    fixture *f = *state;
    char path[PATH_MAX];
    uint64_t later = (uint64_t)dv_time_now() / 1000 + UINT64_C(3600) * 1000000;
    fill(f->writer);
    int len = snprintf(path, sizeof(path), "%s/header", f->folder);
    assert_in_range(len, 1, sizeof(path) - 1);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &later, sizeof(later), BASE_OFFSET), sizeof(later));
    close(fd);
    damage_and_reopen(f, "data.mdb", 0, 4096);
    fill(f->writer);
    assert_int_equal(dv_snapshot_begin(f->writer), DV_OK);
    assert_true(dv_snapshot_generation(f->writer) > later + 1000);
    dv_snapshot_end(f->writer);
}

static void replaces_torn_files(void **state)
{
    fixture *f = *state;
    fill(f->writer);
    damage_and_reopen(f, "data.mdb", 0, 4096); /* LMDB's own header pages */
    fill(f->writer);
    damage_and_reopen(f, "data.mdb", 4096, 4096);
    off_t size = 0;
    /* Each page of the tree in turn; those of no commit may be junk without harm. */
    for (off_t page = 2; page == 2 || page * 4096 < size; page++) {
        fill(f->writer);
        size = file_size(f);
        damage_and_reopen(f, "data.mdb", page * 4096, 4096);
        uint64_t sequence = 99;
        assert_int_equal(dv_snapshot_change_sequence(f->writer, &sequence), DV_OK);
        if (sequence == 42) {
            assert_value(f->writer, "key00001", "a value of some bytes");
            assert_value(f->writer, "key01999", "a value of some bytes");
        } else {
            assert_empty(f->writer);
        }
    }
}

static void finds_one_changed_byte(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    fill(f->writer);
    temp_path(&f->dir, "snapshot/data.mdb", path);
    FILE *file = fopen(path, "rbe");
    assert_non_null(file);
    static char bytes[1 << 20];
    size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    char *hit = memmem(bytes, len, "key01234a value", 15);
    assert_non_null(hit);
    damage_and_reopen(f, "data.mdb", hit - bytes + 10, 1);
    assert_empty(f->writer);
}

static void replaces_a_file_cut_short(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    fill(f->writer);
    dv_snapshot_close(f->writer);
    f->writer = NULL;
    assert_int_equal(truncate(temp_path(&f->dir, "snapshot/data.mdb", path), 4096 * 5), 0);
    assert_int_equal(dv_snapshot_open_writer(f->folder, &f->writer, NULL), DV_OK);
    assert_empty(f->writer);
}

/* Says "r" when it has read the old value, waits for "g", and must then see the new file. */
static int follow_replacement(const char *folder)
{
    dv_snapshot *reader = NULL;
    dv_slice value;
    char byte;
    if (dv_snapshot_open(folder, &reader, NULL) != DV_OK || dv_snapshot_begin(reader) != DV_OK ||
        dv_snapshot_get(reader, DV_TABLE_CREDENTIALS, DV_LIT("key00001"), &value) != DV_OK) {
        return 1;
    }
    uint64_t before = dv_snapshot_generation(reader);
    dv_snapshot_end(reader);
    if (write(ready_pipe[1], "r", 1) != 1 || read(go_pipe[0], &byte, 1) != 1) {
        return 2;
    }
    if (dv_snapshot_begin(reader) != DV_ERR_UNAVAILABLE) {
        return 3; /* replaced and not complete */
    }
    if (write(ready_pipe[1], "r", 1) != 1 || read(go_pipe[0], &byte, 1) != 1) {
        return 4;
    }
    if (dv_snapshot_begin(reader) != DV_OK || dv_snapshot_generation(reader) <= before) {
        return 5;
    }
    dv_result old = dv_snapshot_get(reader, DV_TABLE_CREDENTIALS, DV_LIT("key00001"), &value);
    dv_result new = dv_snapshot_get(reader, DV_TABLE_CREDENTIALS, DV_LIT("new"), &value);
    dv_snapshot_end(reader);
    dv_snapshot_close(reader);
    return old == DV_ERR_NOT_FOUND && new == DV_OK ? 0 : 6;
}

static void open_readers_move_to_the_new_file(void **state)
{
    fixture *f = *state;
    char byte;
    fill(f->writer);
    assert_int_equal(pipe2(ready_pipe, O_CLOEXEC), 0);
    assert_int_equal(pipe2(go_pipe, O_CLOEXEC), 0);
    pid_t child = in_child(follow_replacement, f->folder);
    assert_int_equal(read(ready_pipe[0], &byte, 1), 1);
    damage_and_reopen(f, "data.mdb", 0, 4096 * 2);
    assert_int_equal(write(go_pipe[1], "g", 1), 1);
    assert_int_equal(read(ready_pipe[0], &byte, 1), 1);
    put_one(f->writer, "new", "value", 1);
    assert_int_equal(write(go_pipe[1], "g", 1), 1);
    assert_int_equal(wait_for(child), 0);
    close(ready_pipe[0]);
    close(ready_pipe[1]);
    close(go_pipe[0]);
    close(go_pipe[1]);
}

/* A file that may not grow is what a full disk is to LMDB: its writes fail. */
static int fill_the_disk(const char *folder)
{
    dv_snapshot *writer = NULL;
    dv_slice value;
    uint8_t big[4000] = {1};
    struct rlimit limit = {400 << 10, 400 << 10};
    char key[16];
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0 ||
        dv_snapshot_open_writer(folder, &writer, NULL) != DV_OK ||
        dv_snapshot_write_begin(writer, NULL) != DV_OK) {
        return 1;
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "big%05d", i);
        if (dv_snapshot_put(writer, DV_TABLE_CREDENTIALS, dv_slice_str(key),
                            dv_slice_of(big, sizeof(big))) != DV_OK) {
            return 2;
        }
    }
    if (dv_snapshot_commit(writer, 2) == DV_OK) {
        return 3;
    }
    /* The last commit stands, and small changes go on. */
    if (dv_snapshot_begin(writer) != DV_OK ||
        dv_snapshot_get(writer, DV_TABLE_CREDENTIALS, DV_LIT("big00001"), &value) !=
            DV_ERR_NOT_FOUND ||
        dv_snapshot_get(writer, DV_TABLE_CREDENTIALS, DV_LIT("Ab3dEf9h"), &value) != DV_OK) {
        return 4;
    }
    dv_snapshot_end(writer);
    if (dv_snapshot_write_begin(writer, NULL) != DV_OK ||
        dv_snapshot_put(writer, DV_TABLE_CREDENTIALS, DV_LIT("small"), DV_LIT("x")) != DV_OK ||
        dv_snapshot_commit(writer, 3) != DV_OK) {
        return 5;
    }
    dv_snapshot_close(writer);
    return 0;
}

static void a_full_disk_costs_only_the_commit(void **state)
{
    fixture *f = *state;
    uint64_t sequence = 0;
    put_one(f->writer, "Ab3dEf9h", "record", 1);
    dv_snapshot_close(f->writer);
    f->writer = NULL;
    assert_int_equal(wait_for(in_child(fill_the_disk, f->folder)), 0);
    assert_int_equal(dv_snapshot_open_writer(f->folder, &f->writer, NULL), DV_OK);
    assert_value(f->writer, "Ab3dEf9h", "record");
    assert_value(f->writer, "small", "x");
    assert_int_equal(dv_snapshot_change_sequence(f->writer, &sequence), DV_OK);
    assert_int_equal(sequence, 3);
}

static void holds_a_million_credentials(void **state)
{
    fixture *f = *state;
    enum { COUNT = 1000000 };
    char key[16];
    uint8_t record[120] = {0};
    assert_int_equal(dv_snapshot_write_begin(f->writer, NULL), DV_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "%08x", i * 2654435761u);
        dv_put_u32(record, i);
        assert_int_equal(dv_snapshot_put(f->writer, DV_TABLE_CREDENTIALS, dv_slice_str(key),
                                         dv_slice_of(record, sizeof(record))),
                         DV_OK);
    }
    assert_int_equal(dv_snapshot_commit(f->writer, 1), DV_OK);
    assert_int_equal(dv_snapshot_begin(f->writer), DV_OK);
    for (uint32_t i = 0; i < COUNT; i += 997) {
        dv_slice value;
        snprintf(key, sizeof(key), "%08x", i * 2654435761u);
        assert_int_equal(
            dv_snapshot_get(f->writer, DV_TABLE_CREDENTIALS, dv_slice_str(key), &value), DV_OK);
        assert_int_equal(value.len, sizeof(record));
        assert_int_equal(dv_get_u32(value.ptr), i);
    }
    dv_snapshot_end(f->writer);
    dv_snapshot_close(f->writer);
    assert_int_equal(dv_snapshot_open_writer(f->folder, &f->writer, NULL), DV_OK);
    uint64_t sequence = 0;
    assert_int_equal(dv_snapshot_change_sequence(f->writer, &sequence), DV_OK);
    assert_int_equal(sequence, 1);
}

/* What was deleted stands in free pages and in gaps of others, until the file is another one. */
static bool file_holds(const fixture *f, const char *text)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf file = dv_buf_init(64 << 20);
    assert_true(snprintf(path, sizeof(path), "%s/data.mdb", f->folder) < (int)sizeof(path));
    assert_int_equal(dv_file_read(path, &file, NULL), DV_OK);
    return dv_slice_find(dv_buf_slice(&file), dv_slice_str(text)) >= 0;
}

/* Reads "kept" until it is "after"; a begin may be refused for a moment. 0: every value was right.
 */
static int reads_across_a_renewal(const char *folder)
{
    dv_snapshot *reader = NULL;
    dv_slice value;
    uint64_t generation = 0;
    for (dv_time end = dv_time_monotonic() + 20 * DV_SECOND; dv_time_monotonic() < end;) {
        if ((reader == NULL && dv_snapshot_open(folder, &reader, NULL) != DV_OK) ||
            dv_snapshot_begin(reader) != DV_OK) {
            continue;
        }
        if (dv_snapshot_generation(reader) < generation ||
            dv_snapshot_get(reader, DV_TABLE_CREDENTIALS, DV_LIT("kept"), &value) != DV_OK) {
            return 2;
        }
        generation = dv_snapshot_generation(reader);
        bool after = dv_slice_eq_str(value, "after");
        dv_snapshot_end(reader);
        if (after) {
            return 0;
        }
    }
    return 3;
}

static void renewed_it_holds_nothing_that_was_deleted(void **state)
{
    fixture *f = *state;
    char name[64];
    uint64_t sequence = 0;
    put_one(f->writer, "kept", "before", 1);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "xanthippe-%d", i);
        put_one(f->writer, name, "a record of hers", 2);
    }
    assert_int_equal(dv_snapshot_write_begin(f->writer, NULL), DV_OK);
    assert_int_equal(dv_snapshot_renew(f->writer, NULL), DV_ERR_UNAVAILABLE);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "xanthippe-%d", i);
        assert_int_equal(dv_snapshot_delete(f->writer, DV_TABLE_CREDENTIALS, dv_slice_str(name)),
                         DV_OK);
    }
    assert_int_equal(dv_snapshot_commit(f->writer, 3), DV_OK);
    assert_true(file_holds(f, "xanthippe"));
    pid_t reader = in_child(reads_across_a_renewal, f->folder);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(dv_snapshot_renew(f->writer, NULL), DV_OK);
        assert_false(file_holds(f, "xanthippe"));
        assert_value(f->writer, "kept", "before");
        assert_value(f->writer, "xanthippe-7", NULL);
    }
    assert_int_equal(dv_snapshot_change_sequence(f->writer, &sequence), DV_OK);
    assert_int_equal(sequence, 3);
    put_one(f->writer, "kept", "after", 4);
    assert_int_equal(wait_for(reader), 0);
    dv_snapshot_close(f->writer);
    assert_int_equal(dv_snapshot_open_writer(f->folder, &f->writer, NULL), DV_OK);
    assert_value(f->writer, "kept", "after");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(not_there_before_the_first_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keeps_values_and_sequence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(moves_generation_by_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(aborts_leave_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_misuse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(has_narrow_modes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_processes_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_reader_does_not_grow_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_writer_leaves_the_last_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaces_foreign_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(never_gives_a_generation_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaces_torn_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(finds_one_changed_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaces_a_file_cut_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(open_readers_move_to_the_new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_costs_only_the_commit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(holds_a_million_credentials, set_up, tear_down),
        cmocka_unit_test_setup_teardown(renewed_it_holds_nothing_that_was_deleted, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("store-snapshot", tests, NULL, NULL);
}
