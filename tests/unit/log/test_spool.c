/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "base/codec.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "engine/log/entry.h"
#include "engine/log/segment.h"
#include "engine/log/segment_format.h"
#include "engine/log/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char base[64], folder[80];
static dv_log_keys keys;

static int make_folder(void **state)
{
    snprintf(base, sizeof(base), "/tmp/dvara-spool-XXXXXX");
    dv_box_keypair(keys.public_key, keys.secret_key);
    if (mkdtemp(base) == NULL) {
        return -1;
    }
    snprintf(folder, sizeof(folder), "%s/gateway", base);
    return mkdir(folder, 0700);
}

static void path_of(const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", folder, name);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return len > 4 && strcmp(entry->d_name + len - 4, DV_SEGMENT_SUFFIX) == 0;
}

/* Paths of all files, sorted: ids sort by time. Returns how many. */
static size_t list(char paths[][PATH_MAX], size_t max)
{
    struct dirent **names;
    int count = scandir(folder, &names, visible, by_name);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        if ((size_t)i < max) {
            path_of(names[i]->d_name, paths[i]);
        }
        free(names[i]);
    }
    free(names);
    return (size_t)count;
}

static int remove_folder(void **state)
{
    char path[PATH_MAX];
    struct dirent **names;
    int count = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < count; i++) {
        path_of(names[i]->d_name, path);
        unlink(path);
        free(names[i]);
    }
    free(names);
    return rmdir(folder) != 0 || rmdir(base) != 0;
}

static dv_spool *open_spool(uint64_t max_bytes)
{
    dv_spool *spool = NULL;
    dv_error error = {0};
    assert_int_equal(dv_spool_open(base, "gateway", keys.public_key, max_bytes, &spool, &error),
                     DV_OK);
    return spool;
}

static dv_slice record_text(unsigned number, char out[64])
{
    int len = snprintf(out, 64, "{\"metadata\":{\"number\":%u}}", number);
    return dv_slice_of(out, (size_t)len);
}

static void append_numbered(dv_spool *spool, unsigned from, unsigned count)
{
    char text[64];
    for (unsigned i = from; i < from + count; i++) {
        assert_int_equal(dv_spool_append(spool, record_text(i, text), false), DV_OK);
    }
}

static dv_segment *open_segment_at(const char *path)
{
    dv_segment *segment = NULL;
    dv_error error = {0};
    assert_int_equal(dv_segment_open(path, &keys, &segment, &error), DV_OK);
    return segment;
}

static dv_segment *open_only_segment(void)
{
    static char paths[2][PATH_MAX];
    assert_int_equal(list(paths, 2), 1);
    return open_segment_at(paths[0]);
}

/* Reads records with the numbers from..., until the segment says something else; returns that. */
static dv_result read_numbered(dv_segment *segment, unsigned from, unsigned *ret_next)
{
    dv_segment_record record;
    dv_error error = {0};
    char text[64];
    for (unsigned i = from;; i++) {
        dv_result result = dv_segment_next(segment, &record, &error);
        if (result != DV_OK) {
            *ret_next = i;
            return result;
        }
        assert_true(dv_slice_eq(record.text, record_text(i, text)));
    }
}

static void test_round_trip(void **state)
{
    unsigned next;
    dv_spool *spool = open_spool(1 << 20);
    append_numbered(spool, 0, 1000);
    dv_spool_close(spool);
    dv_auto(segment) dv_segment *segment = open_only_segment();
    assert_string_equal(dv_segment_about(segment)->source, "gateway");
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_NOT_FOUND);
    assert_int_equal(next, 1000);
    assert_false(dv_segment_was_torn(segment));
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_NOT_FOUND); /* stays at its end */
}

/* The page of the next records is taken behind each record, of every length, up to the end of what
 * is allocated; what is read is what was written. */
static void test_the_next_page_is_taken_ahead(void **state)
{
    static uint8_t text[9000];
    dv_spool *spool = open_spool(1 << 30);
    dv_spool_get_ready(spool); /* before any */
    for (size_t i = 0; i < 1000; i++) {
        size_t len = 1 + i * 37 % sizeof(text);
        memset(text, 'a' + (int)(i % 26), len);
        assert_int_equal(dv_spool_append(spool, dv_slice_of(text, len), false), DV_OK);
        dv_spool_get_ready(spool);
        dv_spool_get_ready(spool);
    }
    dv_spool_close(spool);
    dv_auto(segment) dv_segment *segment = open_only_segment();
    dv_segment_record record;
    for (size_t i = 0; i < 1000; i++) {
        size_t len = 1 + i * 37 % sizeof(text);
        memset(text, 'a' + (int)(i % 26), len);
        assert_int_equal(dv_segment_next(segment, &record, NULL), DV_OK);
        assert_true(dv_slice_eq(record.text, dv_slice_of(text, len)));
    }
    assert_int_equal(dv_segment_next(segment, &record, NULL), DV_ERR_NOT_FOUND);
}

static void test_nothing_readable_on_disk(void **state)
{
    static char paths[1][PATH_MAX];
    dv_spool *spool = open_spool(1 << 20);
    append_numbered(spool, 0, 3);
    dv_spool_close(spool);
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    list(paths, 1);
    assert_int_equal(dv_file_read(paths[0], &bytes, NULL), DV_OK);
    assert_int_equal(dv_slice_find(dv_buf_slice(&bytes), DV_LIT("metadata")), -1);
}

static void test_reader_follows_a_living_writer(void **state)
{
    unsigned next;
    dv_spool *spool = open_spool(1 << 20);
    dv_auto(segment) dv_segment *segment = open_only_segment();
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_AGAIN);
    append_numbered(spool, 0, 5);
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_AGAIN);
    assert_int_equal(next, 5);
    append_numbered(spool, 5, 1);
    dv_spool_close(spool);
    assert_int_equal(read_numbered(segment, 5, &next), DV_ERR_NOT_FOUND);
    assert_int_equal(next, 6);
}

static void test_seek_goes_on_behind_what_was_consumed(void **state)
{
    unsigned next;
    dv_segment_record record;
    dv_spool *spool = open_spool(1 << 20);
    append_numbered(spool, 0, 10);
    dv_spool_close(spool);
    dv_auto(segment) dv_segment *first = open_only_segment();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(dv_segment_next(first, &record, NULL), DV_OK);
    }
    dv_auto(segment) dv_segment *second = open_only_segment();
    dv_segment_seek(second, record.sequence + 1, record.end);
    assert_int_equal(read_numbered(second, 4, &next), DV_ERR_NOT_FOUND);
    assert_int_equal(next, 10);
}

static void test_full_segment_is_followed_by_another(void **state)
{
    static char paths[64][PATH_MAX];
    unsigned next = 0;
    dv_auto(buf) dv_buf big = dv_buf_init(DV_LIMIT_RECORD);
    assert_int_equal(dv_buf_reserve(&big, DV_LIMIT_RECORD), DV_OK);
    memset(big.ptr, 'x', DV_LIMIT_RECORD);
    dv_spool *spool = open_spool(100 << 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(dv_spool_append(spool, dv_slice_of(big.ptr, DV_LIMIT_RECORD), false),
                         DV_OK);
    }
    dv_spool_close(spool);
    size_t count = list(paths, 64);
    assert_int_equal(count, 10);
    for (size_t i = 0; i < count; i++) {
        dv_segment_record record;
        dv_auto(segment) dv_segment *segment = open_segment_at(paths[i]);
        while (dv_segment_next(segment, &record, NULL) == DV_OK) {
            assert_int_equal(record.text.len, DV_LIMIT_RECORD);
            next++;
        }
    }
    assert_int_equal(next, 10);
}

static void test_refuses_records_of_a_wrong_size(void **state)
{
    static uint8_t big[DV_LIMIT_RECORD + 1];
    dv_spool *spool = open_spool(1 << 20);
    assert_int_equal(dv_spool_append(spool, dv_slice_of(big, sizeof(big)), false),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(dv_spool_append(spool, (dv_slice){NULL, 0}, false), DV_ERR_INVALID);
    assert_int_equal(dv_spool_append(spool, DV_LIT("x"), true), DV_ERR_INVALID); /* none reserved */
    dv_spool_close(spool);
}

static void test_refuses_bad_sources(void **state)
{
    static const char *const bad[] = {"", "Gate way", "abcdefghijklmnopqrstuvwxyz0123456789",
                                      "a/b"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_spool *spool = NULL;
        assert_int_equal(dv_spool_open(base, bad[i], keys.public_key, 1 << 20, &spool, NULL),
                         DV_ERR_INVALID);
    }
}

/* -- damage ------------------------------------------------------------------------------------ */

static bool all_zeros(dv_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

/* A killed writer's segment of five records; the space that it had reserved is cut off. */
static void killed_segment(dv_buf *ret_bytes, char path[PATH_MAX], size_t frame_lens[5])
{
    static char paths[1][PATH_MAX];
    pid_t child = fork();
    if (child == 0) {
        dv_spool *spool = open_spool(1 << 20);
        append_numbered(spool, 0, 5);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(list(paths, 1), 1);
    memcpy(path, paths[0], PATH_MAX);
    assert_int_equal(dv_file_read(path, ret_bytes, NULL), DV_OK);
    size_t at = DV_SEGMENT_HEADER_LEN;
    for (int i = 0; i < 5; i++) {
        frame_lens[i] = DV_SEGMENT_RECORD_HEADER_LEN + dv_get_u32(ret_bytes->ptr + at);
        at += frame_lens[i];
    }
    assert_true(ret_bytes->len > at + DV_LIMIT_RECORD); /* room for the next record */
    assert_true(all_zeros(dv_slice_sub(dv_buf_slice(ret_bytes), at, ret_bytes->len)));
    ret_bytes->len = at;
}

static void rewrite(const char *path, dv_slice bytes)
{
    dv_auto(fd) int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(dv_fd_write_all(fd, bytes), DV_OK);
}

static void test_torn_end_at_every_byte(void **state)
{
    char path[PATH_MAX];
    size_t lens[5];
    unsigned next;
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    killed_segment(&bytes, path, lens);
    for (size_t cut = 0; cut <= lens[4]; cut++) {
        rewrite(path, dv_slice_of(bytes.ptr, bytes.len - cut));
        dv_auto(segment) dv_segment *segment = open_only_segment();
        assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_NOT_FOUND);
        assert_int_equal(next, cut == 0 ? 5 : 4);
        assert_int_equal(dv_segment_was_torn(segment), cut > 0 && cut < lens[4]);
    }
}

static void test_zeros_at_the_end_are_reserved_space(void **state)
{
    char path[PATH_MAX];
    size_t lens[5];
    unsigned next;
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    killed_segment(&bytes, path, lens);
    for (size_t zeros = 1; zeros < 100; zeros++) {
        uint8_t zero = 0;
        assert_int_equal(dv_buf_append(&bytes, dv_slice_of(&zero, 1)), DV_OK);
        rewrite(path, dv_buf_slice(&bytes));
        dv_auto(segment) dv_segment *segment = open_only_segment();
        assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_NOT_FOUND);
        assert_int_equal(next, 5);
        assert_false(dv_segment_was_torn(segment));
    }
}

/* A kill within the writing of a record: its bytes are there in part, its length is not. */
static void test_a_record_without_its_length_is_torn(void **state)
{
    char path[PATH_MAX];
    size_t lens[5];
    unsigned next;
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    killed_segment(&bytes, path, lens);
    size_t end = bytes.len;
    uint8_t *last = bytes.ptr + end - lens[4];
    memset(last, 0, 4);
    assert_int_equal(dv_buf_reserve(&bytes, DV_LIMIT_RECORD), DV_OK);
    memset(bytes.ptr + end, 0, DV_LIMIT_RECORD);
    bytes.len = end + DV_LIMIT_RECORD;
    for (size_t i = end; i > end - lens[4] + 4; i--) {
        rewrite(path, dv_buf_slice(&bytes));
        dv_auto(segment) dv_segment *segment = open_only_segment();
        assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_NOT_FOUND);
        assert_int_equal(next, 4);
        assert_true(dv_segment_was_torn(segment));
        bytes.ptr[i - 1] = 0;
    }
}

static void test_bytes_beyond_a_torn_record_are_corruption(void **state)
{
    char path[PATH_MAX];
    size_t lens[5];
    unsigned next;
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    killed_segment(&bytes, path, lens);
    size_t more = DV_LIMIT_RECORD + 1024;
    assert_int_equal(dv_buf_reserve(&bytes, more), DV_OK);
    memset(bytes.ptr + bytes.len, 0, more);
    bytes.len += more;
    bytes.ptr[bytes.len - 1] = 1;
    rewrite(path, dv_buf_slice(&bytes));
    dv_auto(segment) dv_segment *segment = open_only_segment();
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_CORRUPT);
    assert_int_equal(next, 5);
}

static void test_a_changed_byte_is_corruption(void **state)
{
    char path[PATH_MAX];
    size_t lens[5];
    unsigned next;
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    killed_segment(&bytes, path, lens);
    size_t at = DV_SEGMENT_HEADER_LEN + lens[0] + lens[1]; /* the third of five */
    for (size_t i = 0; i < lens[2]; i++) {
        bytes.ptr[at + i] ^= 0x01;
        rewrite(path, dv_buf_slice(&bytes));
        dv_auto(segment) dv_segment *segment = open_only_segment();
        assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_CORRUPT);
        assert_int_equal(next, 2);
        bytes.ptr[at + i] ^= 0x01;
    }
}

static void test_a_missing_record_is_corruption(void **state)
{
    char path[PATH_MAX];
    size_t lens[5];
    unsigned next;
    dv_error error = {0};
    dv_segment_record record;
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    killed_segment(&bytes, path, lens);
    uint8_t *second = bytes.ptr + DV_SEGMENT_HEADER_LEN + lens[0];
    size_t rest = bytes.len - DV_SEGMENT_HEADER_LEN - lens[0] - lens[1];
    memmove(second, second + lens[1], rest);
    rewrite(path, dv_slice_of(bytes.ptr, bytes.len - lens[1]));
    dv_auto(segment) dv_segment *segment = open_only_segment();
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_CORRUPT);
    assert_int_equal(next, 1);
    assert_int_equal(dv_segment_next(segment, &record, &error), DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "record 1"));
}

static void test_bytes_behind_the_end_mark_are_corruption(void **state)
{
    static char paths[1][PATH_MAX];
    unsigned next;
    dv_spool *spool = open_spool(1 << 20);
    append_numbered(spool, 0, 2);
    dv_spool_close(spool);
    list(paths, 1);
    dv_auto(fd) int fd = open(paths[0], O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "x", 1), 1);
    dv_auto(segment) dv_segment *segment = open_only_segment();
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_CORRUPT);
    assert_int_equal(next, 2);
}

static void test_header_damage_and_other_keys_are_refused(void **state)
{
    char path[PATH_MAX];
    size_t lens[5];
    dv_error error = {0};
    dv_segment *segment = NULL;
    dv_auto(buf) dv_buf bytes = dv_buf_init(1 << 20);
    killed_segment(&bytes, path, lens);
    dv_log_keys other;
    dv_box_keypair(other.public_key, other.secret_key);
    assert_int_equal(dv_segment_open(path, &other, &segment, &error), DV_ERR_CORRUPT);
    for (size_t i = 0; i < DV_SEGMENT_HEADER_LEN; i++) {
        bytes.ptr[i] ^= 0x80;
        rewrite(path, dv_buf_slice(&bytes));
        assert_int_equal(dv_segment_open(path, &keys, &segment, &error), DV_ERR_CORRUPT);
        bytes.ptr[i] ^= 0x80;
        rewrite(path, dv_slice_of(bytes.ptr, i));
        assert_int_equal(dv_segment_open(path, &keys, &segment, &error), DV_ERR_CORRUPT);
    }
    assert_null(segment);
}

static void test_symlinks_and_folders_are_refused(void **state)
{
    char path[PATH_MAX];
    dv_segment *segment = NULL;
    path_of("link.seg", path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_not_equal(dv_segment_open(path, &keys, &segment, NULL), DV_OK);
    assert_int_equal(dv_segment_open("/tmp", &keys, &segment, NULL), DV_ERR_CORRUPT);
}

/* -- kill -9 and a full disk ------------------------------------------------------------------- */

/* Appends until killed, telling the parent the number of each record that was acknowledged. */
static void write_and_tell(int pipe_fd)
{
    char text[64];
    dv_spool *spool = open_spool(1 << 16);
    for (unsigned i = 0;; i++) {
        if (dv_spool_append(spool, record_text(i, text), false) != DV_OK ||
            write(pipe_fd, &i, sizeof(i)) != sizeof(i)) {
            _exit(1);
        }
    }
}

/* The last record that the child acknowledged before it was killed; -1: none. */
static long run_and_kill(useconds_t after)
{
    int fds[2];
    unsigned number;
    long last = -1;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        close(fds[0]);
        write_and_tell(fds[1]);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &number, sizeof(number)), sizeof(number));
    usleep(after);
    kill(child, SIGKILL);
    last = number;
    while (read(fds[0], &number, sizeof(number)) == sizeof(number)) {
        last = number;
    }
    close(fds[0]);
    waitpid(child, NULL, 0);
    return last;
}

static void test_kill_loses_nothing_acknowledged(void **state)
{
    static char paths[64][PATH_MAX];
    for (useconds_t round = 0; round < 20; round++) {
        unsigned next = 0;
        long last = run_and_kill(round * 300);
        size_t count = DV_MIN(list(paths, 64), (size_t)64);
        for (size_t i = 0; i < count; i++) {
            dv_auto(segment) dv_segment *segment = open_segment_at(paths[i]);
            assert_int_equal(read_numbered(segment, next, &next), DV_ERR_NOT_FOUND);
            unlink(paths[i]);
        }
        assert_true((long)next > last);
    }
}

/* A file size limit makes writes short and allocations fail, as a full disk does. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int lift_file_size(void **state)
{
    limit_file_size(RLIM_INFINITY);
    return remove_folder(state);
}

/* Runs the body with a file system of 2 MiB mounted over the folder, in a process of its own with
 * its own mounts. Returns what the body said; -1 when this machine does not allow it. */
static int on_small_disk(bool (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
        if (unshare(flags) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("tmpfs", folder, "tmpfs", 0, "size=2m,mode=0755") != 0) {
            _exit(2);
        }
        _exit(body() ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status) == 2 ? -1 : WEXITSTATUS(status);
}

static void check_on_small_disk(bool (*body)(void))
{
    int outcome = on_small_disk(body);
    if (outcome < 0) {
        print_message("not run: this machine lets no test mount a small file system\n");
        skip();
    }
    assert_int_equal(outcome, 1);
}

static bool space_is_decided_at_the_reservation(void)
{
    dv_spool *spool = NULL;
    bool ok = dv_spool_open(base, "gateway", keys.public_key, 64 << 20, &spool, NULL) == DV_OK &&
              dv_spool_reserve(spool, 4) == DV_OK &&
              dv_spool_reserve(spool, 100) == DV_ERR_UNAVAILABLE &&
              dv_spool_reserve(spool, 4) == DV_OK;
    dv_spool_close(spool);
    return ok;
}

/* The space of a reservation is there when it is used, whoever else writes meanwhile. */
static bool reservations_are_not_eaten(void)
{
    static uint8_t big[DV_LIMIT_RECORD];
    dv_spool *spool = NULL;
    memset(big, 'x', sizeof(big));
    dv_slice record = dv_slice_of(big, sizeof(big));
    if (dv_spool_open(base, "gateway", keys.public_key, 64 << 20, &spool, NULL) != DV_OK ||
        dv_spool_reserve(spool, 3) != DV_OK) {
        return false;
    }
    unsigned others = 0;
    while (dv_spool_append(spool, record, false) == DV_OK) {
        others++;
    }
    bool ok = others > 10 && dv_spool_reserve(spool, 1) == DV_ERR_UNAVAILABLE;
    for (int i = 0; i < 3; i++) {
        ok = ok && dv_spool_append(spool, record, true) == DV_OK;
    }
    ok = ok && dv_spool_append(spool, record, true) == DV_ERR_INVALID;
    dv_spool_close(spool);
    return ok;
}

static void test_no_space_is_known_before(void **state)
{
    check_on_small_disk(space_is_decided_at_the_reservation);
}

static void test_reservations_are_not_eaten(void **state)
{
    check_on_small_disk(reservations_are_not_eaten);
}

static void test_a_refused_record_leaves_nothing(void **state)
{
    static char paths[4][PATH_MAX];
    struct stat about;
    unsigned count = 0;
    unsigned next;
    char text[64];
    dv_spool *spool = open_spool(64 << 20);
    assert_int_equal(list(paths, 4), 1);
    assert_int_equal(stat(paths[0], &about), 0);
    limit_file_size((rlim_t)about.st_size);
    while (dv_spool_append(spool, record_text(count, text), false) == DV_OK) {
        count++;
    }
    assert_true(count > 100);
    assert_int_equal(dv_spool_append(spool, record_text(count, text), false), DV_ERR_UNAVAILABLE);
    limit_file_size(RLIM_INFINITY);
    append_numbered(spool, count, 2);
    dv_spool_close(spool);
    assert_int_equal(list(paths, 4), 1);
    dv_auto(segment) dv_segment *segment = open_only_segment();
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_NOT_FOUND);
    assert_int_equal(next, count + 2);
}

/* As dvara-logd does with a segment that it refuses; the writer has some time to see it. */
static void set_aside(const char *path, char aside[PATH_MAX])
{
    assert_true(snprintf(aside, PATH_MAX, "%s.refused", path) < PATH_MAX);
    assert_int_equal(rename(path, aside), 0);
    usleep(150000);
}

/* Who can write into the spool can write any header. */
static void test_a_source_is_a_name(void **state)
{
    static const char *const bad[] = {"dvara-logd/x", "", "a b", "a\nb", "a\"b", "Gateway"};
    uint8_t bytes[DV_SEGMENT_HEADER_LEN];
    dv_segment_header header = {.info.source = "gateway"}, read;
    dv_segment_header_encode(&header, bytes);
    assert_int_equal(dv_segment_header_decode(bytes, &read, NULL), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        memset(header.info.source, 0, sizeof(header.info.source));
        memcpy(header.info.source, bad[i], strlen(bad[i]));
        dv_segment_header_encode(&header, bytes);
        assert_int_equal(dv_segment_header_decode(bytes, &read, NULL), DV_ERR_CORRUPT);
    }
}

static void test_what_is_dvara_logds_own(void **state)
{
#define STAMP(source) "{\"metadata\":{\"log_source\":\"" source
    static const char *const others[] = {
        STAMP("gateway/0198c0de-0000-7000-8000-0123456789ab\",\"x\":1"),
        STAMP("dvara-logd/x/0198c0de-0000-7000-8000-0123456789ab\",\"x\":1"),
        STAMP("dvara-logd/0198c0de-0000-7000-8000-0123456789abc\",\"x\":1"),
        STAMP("dvara-logd/0198c0de-0000-7000-8000-0123456789ab"),
        STAMP("dvara-logd/"),
    };
    assert_true(dv_entry_is_own(
        DV_LIT(STAMP("dvara-logd/0198c0de-0000-7000-8000-0123456789ab\",\"x\":1"))));
    for (size_t i = 0; i < DV_ARRAY_LEN(others); i++) {
        assert_false(dv_entry_is_own(dv_slice_str(others[i])));
    }
#undef STAMP
}

static void test_a_segment_that_was_set_aside_is_left(void **state)
{
    static char paths[2][PATH_MAX];
    char text[64], aside[PATH_MAX];
    unsigned next;
    dv_spool *spool = open_spool(1 << 20);
    append_numbered(spool, 0, 3);
    assert_int_equal(dv_spool_reserve(spool, 1), DV_OK);
    assert_int_equal(list(paths, 2), 1);
    set_aside(paths[0], aside);
    assert_int_equal(dv_spool_append(spool, record_text(3, text), true), DV_OK);
    append_numbered(spool, 4, 2);
    dv_spool_close(spool);
    dv_auto(segment) dv_segment *left = open_segment_at(aside);
    dv_auto(segment) dv_segment *current = open_only_segment();
    assert_int_equal(read_numbered(left, 0, &next), DV_ERR_NOT_FOUND);
    assert_int_equal(next, 3);
    assert_int_equal(read_numbered(current, 3, &next), DV_ERR_NOT_FOUND);
    assert_int_equal(next, 6);
}

/* Without a place to go on nothing is acknowledged any more, until there is one. */
static void test_without_its_folder_the_spool_takes_nothing(void **state)
{
    char away[PATH_MAX], text[64];
    unsigned next;
    dv_spool *spool = open_spool(1 << 20);
    append_numbered(spool, 0, 3);
    assert_int_equal(dv_spool_reserve(spool, 1), DV_OK);
    set_aside(folder, away);
    assert_int_equal(dv_spool_append(spool, record_text(3, text), true), DV_ERR_UNAVAILABLE);
    assert_int_equal(dv_spool_append(spool, record_text(3, text), false), DV_ERR_UNAVAILABLE);
    assert_int_equal(dv_spool_reserve(spool, 1), DV_ERR_UNAVAILABLE);
    assert_int_equal(rename(away, folder), 0);
    assert_int_equal(dv_spool_reserve(spool, 1), DV_OK);
    static char paths[2][PATH_MAX];
    assert_int_equal(list(paths, 2), 2);
    assert_int_equal(dv_spool_append(spool, record_text(0, text), true), DV_OK);
    dv_spool_close(spool);
    dv_auto(segment) dv_segment *segment = open_segment_at(paths[1]);
    assert_int_equal(read_numbered(segment, 0, &next), DV_ERR_NOT_FOUND);
    assert_int_equal(next, 1);
}

static long private_kilobytes(void)
{
    char line[256];
    long sum = 0, some = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "Private_%*[a-zA-Z_]: %ld", &some) == 1) {
            sum += some;
        }
    }
    (void)fclose(file);
    return sum;
}

/* What was written lies in the file, and no longer in the memory of its writer. */
static void test_the_writers_memory_stays_flat(void **state)
{
    enum { COUNT = 300, MEGABYTES = COUNT * DV_LIMIT_RECORD >> 20 };
    static uint8_t big[DV_LIMIT_RECORD];
    dv_segment_record record;
    int read = 0;
    memset(big, 'x', sizeof(big));
    dv_spool *spool = open_spool(64 << 20);
    long before = private_kilobytes();
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(dv_spool_append(spool, dv_slice_of(big, sizeof(big)), false), DV_OK);
    }
    assert_true(private_kilobytes() - before < MEGABYTES * 1024 / 4);
    dv_spool_close(spool);
    dv_auto(segment) dv_segment *segment = open_only_segment();
    while (dv_segment_next(segment, &record, NULL) == DV_OK) {
        assert_true(dv_slice_eq(record.text, dv_slice_of(big, sizeof(big))));
        read++;
    }
    assert_int_equal(read, COUNT);
}

#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, lift_file_size)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPOOL_TEST(test_round_trip),
        SPOOL_TEST(test_the_next_page_is_taken_ahead),
        SPOOL_TEST(test_nothing_readable_on_disk),
        SPOOL_TEST(test_reader_follows_a_living_writer),
        SPOOL_TEST(test_seek_goes_on_behind_what_was_consumed),
        SPOOL_TEST(test_full_segment_is_followed_by_another),
        SPOOL_TEST(test_refuses_records_of_a_wrong_size),
        SPOOL_TEST(test_refuses_bad_sources),
        SPOOL_TEST(test_torn_end_at_every_byte),
        SPOOL_TEST(test_zeros_at_the_end_are_reserved_space),
        SPOOL_TEST(test_a_record_without_its_length_is_torn),
        SPOOL_TEST(test_bytes_beyond_a_torn_record_are_corruption),
        SPOOL_TEST(test_a_changed_byte_is_corruption),
        SPOOL_TEST(test_a_missing_record_is_corruption),
        SPOOL_TEST(test_bytes_behind_the_end_mark_are_corruption),
        SPOOL_TEST(test_header_damage_and_other_keys_are_refused),
        SPOOL_TEST(test_symlinks_and_folders_are_refused),
        SPOOL_TEST(test_kill_loses_nothing_acknowledged),
        SPOOL_TEST(test_no_space_is_known_before),
        SPOOL_TEST(test_reservations_are_not_eaten),
        SPOOL_TEST(test_a_refused_record_leaves_nothing),
        SPOOL_TEST(test_a_segment_that_was_set_aside_is_left),
        SPOOL_TEST(test_a_source_is_a_name),
        SPOOL_TEST(test_what_is_dvara_logds_own),
        SPOOL_TEST(test_without_its_folder_the_spool_takes_nothing),
        SPOOL_TEST(test_the_writers_memory_stays_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
