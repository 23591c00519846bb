/* SPDX-License-Identifier: Apache-2.0 */
/* Large fields: from a writer into the log, with a death or a full disk at every step; every byte
 * changed; erased; pruned. */
#include "base/codec.h"
#include "base/file.h"
#include "crypto/aead.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"
#include "engine/log/blob_read.h"
#include "engine/log/blob_store.h"
#include "engine/log/pack.h"
#include "engine/log/seal.h"
#include "engine/log/search.h"
#include "engine/log/sequencer.h"
#include "engine/log/spool.h"
#include "engine/log/verify.h"
#include "fault.h"
#include "folders.h"

#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

static char collect_folder[96], subjects_folder[80];

static int make_all(void **state)
{
    if (make_folders(state) != 0) {
        return -1;
    }
    snprintf(collect_folder, sizeof(collect_folder), "%s/collect", spool_folder);
    snprintf(subjects_folder, sizeof(subjects_folder), "%s/subjects", root);
    return mkdir(collect_folder, 0700);
}

/* -- what is written --------------------------------------------------------------------------- */

/* The same for the same number: letters that zstd shortens a little. */
static void fill(unsigned number, uint8_t *out, size_t len)
{
    uint64_t x = 88172645463325252u + number;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)('a' + x % 23);
    }
}

static size_t length_of(unsigned number)
{
    return 300 + (size_t)number * 7;
}

static void write_event(unsigned number, const char *subject, const dv_blob_ref *ref, dv_buf *out)
{
    assert_int_equal(dv_buf_append_printf(
                         out,
                         "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"collected.raw\","
                         "\"is_truncated\":true},\"time\":1795363262000,\"class_uid\":0,"
                         "\"count\":%u,\"unmapped\":{\"dvara\":{%s",
                         number, subject),
                     DV_OK);
    assert_int_equal(dv_blob_ref_write(ref, "raw_data", out), DV_OK);
    assert_int_equal(dv_buf_append_str(out, "}},\"message\":\"by user bob: the beginning\","
                                            "\"raw_data\":\"the beginning\",\"raw_data_hash\":"
                                            "{\"algorithm_id\":3,\"value\":\"00\"}}"),
                     DV_OK);
}

/* One record with its large field, of that length. */
static dv_result append_length(dv_spool *spool, unsigned number, const char *subject, size_t len)
{
    dv_blob_ref ref;
    dv_auto(buf) dv_buf record = dv_buf_init(4096), stored = dv_buf_init(2 * DV_BLOB_STORED_MAX);
    dv_auto(free) uint8_t *content = malloc(len);
    assert_non_null(content);
    fill(number, content, len);
    assert_int_equal(dv_blob_make(dv_slice_of(content, len), &stored, &ref), DV_OK);
    write_event(number, subject, &ref, &record);
    dv_spool_attach(spool, dv_buf_slice(&stored));
    assert_true(dv_spool_has_attached(spool));
    dv_result result = dv_spool_append(spool, dv_buf_slice(&record), false);
    assert_false(dv_spool_has_attached(spool));
    return result;
}

static dv_result append(dv_spool *spool, unsigned number, const char *subject)
{
    return append_length(spool, number, subject, length_of(number));
}

static dv_spool *open_spool(uint64_t max)
{
    dv_spool *spool = NULL;
    assert_int_equal(dv_spool_open(spool_folder, "collect", keys.public_key, max, &spool, NULL),
                     DV_OK);
    return spool;
}

static void write_segment(unsigned from, unsigned count)
{
    dv_spool *spool = open_spool(64 << 20);
    for (unsigned i = from; i < from + count; i++) {
        assert_int_equal(append(spool, i, ""), DV_OK);
    }
    dv_spool_close(spool);
}

static size_t spool_files(const char *suffix)
{
    size_t count = 0;
    DIR *dir = opendir(collect_folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        count += dv_slice_ends_with(dv_slice_str(entry->d_name), dv_slice_str(suffix));
    }
    closedir(dir);
    return count;
}

/* -- what comes of it -------------------------------------------------------------------------- */

static dv_result run(dv_subjects *subjects, size_t batch, dv_error *error)
{
    size_t taken;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = {.log_folder = log_folder,
                                    .spools = {spool_folder, NULL},
                                    .keys = &keys,
                                    .signer = &signer,
                                    .subjects = subjects,
                                    .batch_bytes = batch};
    DV_TRY(dv_sequencer_open(&options, &sequencer, error));
    do {
        DV_TRY(dv_sequencer_collect(sequencer, &taken, error));
        DV_TRY(dv_sequencer_commit(sequencer, error));
    } while (taken > 0);
    return DV_OK;
}

static uint64_t log_size; /* when it was verified last */

static dv_log_report verify(dv_result wanted)
{
    dv_log_report report;
    dv_result result = dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report);
    if (result != wanted) {
        print_message("verify: %s: %s\n", dv_result_name(result), report.problem);
    }
    assert_int_equal(result, wanted);
    log_size = report.size;
    return report;
}

typedef struct tally {
    unsigned seen[64];
    unsigned alarms, lost;
    uint64_t index_of[64];
} tally;

static dv_result count_entry(void *data, uint64_t index, dv_slice entry)
{
    tally *counted = data;
    dv_slice name = DV_LIT("\"count\":");
    ptrdiff_t at = dv_slice_find(entry, name);
    counted->alarms += dv_slice_find(entry, DV_LIT("audit.lost")) >= 0;
    counted->lost += dv_slice_find(entry, DV_LIT("\"lost\":{\"field\"")) >= 0;
    if (at >= 0) {
        unsigned long number = strtoul((const char *)entry.ptr + at + name.len, NULL, 10);
        assert_in_range(number, 0, 63);
        counted->seen[number]++;
        counted->index_of[number] = index;
    }
    return DV_OK;
}

static tally count_log(void)
{
    tally counted = {.alarms = 0};
    dv_log_report report = verify(DV_OK);
    assert_int_equal(
        dv_log_read(log_folder, report.size, 0, UINT64_MAX, count_entry, &counted, NULL), DV_OK);
    return counted;
}

static void expect_field(dv_subjects *subjects, uint64_t index, unsigned number, size_t len)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf got = dv_buf_init(DV_LIMIT_BLOB);
    dv_auto(free) uint8_t *content = malloc(len);
    fill(number, content, len);
    dv_result result = dv_blob_field_read(log_folder, log_size, index, subjects, &got, &error);
    if (result != DV_OK) {
        print_message("%s\n", error.message);
    }
    assert_int_equal(result, DV_OK);
    assert_true(dv_slice_eq(dv_buf_slice(&got), dv_slice_of(content, len)));
}

/* Each is in the log once, with its field. */
static void expect_all(unsigned count)
{
    tally counted = count_log();
    assert_int_equal(counted.lost, 0);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(counted.seen[i], 1);
        expect_field(NULL, counted.index_of[i], i, length_of(i));
    }
    assert_int_equal(spool_files(".blob"), 0);
    assert_int_equal(spool_files(".seg"), 0);
}

/* -- the form ---------------------------------------------------------------------------------- */

static void test_sizes(void **state)
{
    static const size_t lengths[] = {1, 2, 4096, DV_LIMIT_BLOB - 1, DV_LIMIT_BLOB};
    dv_blob_ref ref;
    dv_auto(free) uint8_t *content = malloc(DV_LIMIT_BLOB + 1);
    for (int random = 0; random < 2; random++) {
        random != 0 ? dv_random(content, DV_LIMIT_BLOB) : fill(1, content, DV_LIMIT_BLOB);
        for (size_t i = 0; i < DV_ARRAY_LEN(lengths); i++) {
            dv_slice text = dv_slice_of(content, lengths[i]);
            dv_auto(buf) dv_buf stored = dv_buf_init(2 * DV_BLOB_STORED_MAX);
            dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_BLOB);
            assert_int_equal(dv_blob_make(text, &stored, &ref), DV_OK);
            assert_in_range(stored.len, 1, DV_BLOB_STORED_MAX);
            assert_int_equal(dv_blob_open(&ref, dv_buf_slice(&stored), &out), DV_OK);
            assert_true(dv_slice_eq(dv_buf_slice(&out), text));
        }
    }
    dv_auto(buf) dv_buf none = dv_buf_init(2 * DV_BLOB_STORED_MAX);
    assert_int_equal(dv_blob_make(dv_slice_of(content, DV_LIMIT_BLOB + 1), &none, &ref),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(dv_blob_make(dv_slice_of(content, 0), &none, &ref), DV_ERR_INVALID);
    assert_int_equal(none.len, 0);
}

/* Without the hash in its leaf each byte is bound, too, by the key. */
static void test_every_byte_of_the_form(void **state)
{
    uint8_t content[400];
    dv_blob_ref ref;
    dv_auto(buf) dv_buf stored = dv_buf_init(4096), out = dv_buf_init(4096);
    fill(3, content, sizeof content);
    assert_int_equal(dv_blob_make(dv_slice_of(content, sizeof content), &stored, &ref), DV_OK);
    for (size_t i = 0; i < stored.len; i++) {
        dv_blob_ref forged = ref;
        stored.ptr[i] ^= 1;
        assert_false(dv_blob_fits(&ref, dv_buf_slice(&stored)));
        assert_int_equal(dv_blob_open(&ref, dv_buf_slice(&stored), &out), DV_ERR_CORRUPT);
        dv_sha256(dv_buf_slice(&stored), (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, forged.sha256);
        assert_int_equal(dv_blob_open(&forged, dv_buf_slice(&stored), &out), DV_ERR_CORRUPT);
        stored.ptr[i] ^= 1;
    }
    for (size_t i = 0; i < sizeof ref.key; i++) {
        dv_blob_ref other = ref;
        other.key[i] ^= 1;
        assert_int_equal(dv_blob_open(&other, dv_buf_slice(&stored), &out), DV_ERR_CORRUPT);
    }
    ref.size--;
    assert_int_equal(dv_blob_open(&ref, dv_buf_slice(&stored), &out), DV_ERR_CORRUPT);
    ref.size += 2;
    assert_int_equal(dv_blob_open(&ref, dv_buf_slice(&stored), &out), DV_ERR_CORRUPT);
    assert_int_equal(out.len, 0);
}

static void test_the_hash_confirms_no_guess(void **state)
{
    dv_blob_ref one, two;
    dv_auto(buf) dv_buf a = dv_buf_init(4096), b = dv_buf_init(4096);
    assert_int_equal(dv_blob_make(DV_LIT("alice has a cold"), &a, &one), DV_OK);
    assert_int_equal(dv_blob_make(DV_LIT("alice has a cold"), &b, &two), DV_OK);
    assert_memory_not_equal(one.sha256, two.sha256, sizeof one.sha256);
    assert_int_equal(dv_slice_find(dv_buf_slice(&a), DV_LIT("alice")), -1);
}

/* Only at its own path, in a line's event, in the form that is written. */
#define HEAD(kind) "{\"metadata\":{\"event_code\":\"" kind "\",\"is_truncated\":true},\"unmapped\":"

static bool is_reference(const char *before, const dv_blob_ref *ref, const char *behind,
                         dv_buf *text, dv_blob_place *ret_place)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_buf_clear(text);
    assert_int_equal(dv_buf_append_str(text, before), DV_OK);
    assert_int_equal(dv_blob_ref_write(ref, "raw_data", text), DV_OK);
    assert_int_equal(dv_buf_append_str(text, behind), DV_OK);
    return dv_blob_find(dv_buf_slice(text), arena, ret_place);
}

static void test_what_is_a_reference(void **state)
{
    static const char *const others[][2] = {
        {"{\"unmapped\":{\"dvara\":{", "}}}"},
        {"{\"metadata\":{\"event_code\":\"collected.raw\"},\"unmapped\":{\"dvara\":{", "}}}"},
        {HEAD("request.open") "{\"dvara\":{", "}}}"},
        {HEAD("collected.raw") "{\"app\":{", "}}}"},
        {HEAD("collected.raw") "{\"dvara\":{\"x\":{", "}}}}"},
        {HEAD("collected.raw") "{\"dvara\":{", ",\"blob\":1}}}"},
        {HEAD("collected.raw") "{\"dvara\":{", "}}"},
    };
    static const char good[] = HEAD("collected.raw") "{\"dvara\":{", end[] = "}}}";
    dv_blob_place place;
    dv_blob_ref ref = {.size = DV_LIMIT_BLOB, .stored = DV_BLOB_STORED_MAX};
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_true(is_reference(good, &ref, end, &text, &place));
    assert_int_equal(place.ref.size, DV_LIMIT_BLOB);
    dv_blob_mark_lost(text.ptr, &place);
    assert_false(dv_blob_find(dv_buf_slice(&text), arena, &place));
    for (size_t i = 0; i < DV_ARRAY_LEN(others); i++) {
        assert_false(is_reference(others[i][0], &ref, others[i][1], &text, &place));
    }
    ref.size++;
    assert_false(is_reference(good, &ref, end, &text, &place));
    ref.size = 0;
    assert_false(is_reference(good, &ref, end, &text, &place));
    ref = (dv_blob_ref){.size = 1, .stored = DV_BLOB_STORED_MAX + 1};
    assert_false(is_reference(good, &ref, end, &text, &place));
}

/* -- from the spool into the log --------------------------------------------------------------- */

static void test_into_the_log_and_out(void **state)
{
    write_segment(0, 20);
    dv_spool *spool = open_spool(64 << 20);
    assert_int_equal(append_length(spool, 20, "", DV_LIMIT_BLOB), DV_OK);
    assert_true(dv_spool_waiting(spool_folder, "collect") > DV_LIMIT_BLOB / 2);
    dv_spool_close(spool);
    assert_int_equal(spool_files(".blob"), 21);
    assert_int_equal(run(NULL, 64 << 20, NULL), DV_OK);
    tally counted = count_log();
    expect_field(NULL, counted.index_of[20], 20, DV_LIMIT_BLOB);
    assert_int_equal(counted.seen[20] + counted.lost, 1);
    expect_all(20);
    assert_int_equal(verify(DV_OK).blobs, 21);
}

/* Segments are so small that each record has one of its own. */
static void test_a_rotation_takes_the_field_along(void **state)
{
    dv_spool *spool = open_spool(DV_LIMIT_RECORD + 4096);
    for (unsigned i = 0; i < 3; i++) {
        char filler[DV_LIMIT_RECORD - 512];
        assert_int_equal(append(spool, i, ""), DV_OK);
        memset(filler, 'x', sizeof filler);
        assert_int_equal(dv_spool_append(spool, dv_slice_of(filler, sizeof filler), false), DV_OK);
    }
    dv_spool_close(spool);
    assert_true(spool_files(".seg") > 2);
    assert_int_equal(run(NULL, 64 << 20, NULL), DV_OK);
    expect_all(3);
}

/* A batch takes no more than it may, whatever comes. */
static void test_small_batches(void **state)
{
    write_segment(0, 20);
    assert_int_equal(run(NULL, 1, NULL), DV_OK);
    expect_all(20);
}

static void find_spooled(char path[PATH_MAX])
{
    DIR *dir = opendir(collect_folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (dv_slice_ends_with(dv_slice_str(entry->d_name), DV_LIT(".blob"))) {
            snprintf(path, PATH_MAX, "%s/%s", collect_folder, entry->d_name);
        }
    }
    closedir(dir);
}

/* The writer says that there is one, and there is none, or another, or something else. */
static void test_what_does_not_come_is_told(void **state)
{
    for (int how = 0; how < 4; how++) {
        char path[PATH_MAX] = "";
        write_segment((unsigned)how, 1);
        find_spooled(path);
        if (how == 0) {
            assert_int_equal(unlink(path), 0);
        } else if (how == 1) {
            assert_int_equal(truncate(path, 10), 0);
        } else {
            assert_int_equal(unlink(path), 0);
            assert_int_equal(how == 2 ? symlink("/etc/passwd", path) : mkfifo(path, 0600), 0);
        }
        assert_int_equal(run(NULL, 64 << 20, NULL), DV_OK);
        tally counted = count_log();
        assert_int_equal(counted.lost, how + 1);
        assert_int_equal(counted.alarms, how + 1);
        assert_int_equal(counted.seen[how], 1);
        assert_int_equal(spool_files(".blob"), 0);
    }
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_BLOB);
    assert_int_equal(dv_blob_field_read(log_folder, 8, 0, NULL, &out, NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(verify(DV_OK).blobs, 0);
}

static void test_logs_of_other_classes_have_their_own(void **state)
{
    size_t taken;
    char path[PATH_MAX];
    struct stat about;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = {.log_folder = log_folder,
                                    .spools = {spool_folder, NULL},
                                    .keys = &keys,
                                    .signer = &signer,
                                    .batch_bytes = 1 << 20};
    write_segment(0, 5);
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    assert_int_equal(dv_sequencer_route(sequencer, "collected.*", "lines", NULL), DV_OK);
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
    assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    assert_int_equal(verify(DV_OK).blobs, 5);
    snprintf(path, sizeof(path), "%s/class/lines/blob/0/0", log_folder);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(unlink(path), 0);
    assert_non_null(strstr(verify(DV_ERR_CORRUPT).problem, "class/lines/blob/0"));
}

/* -- a death, a full disk ---------------------------------------------------------------------- */

static bool killed_at(long step, void (*work)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        fault_arm(FAULT_KILL, step);
        work();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) &&
                (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == FAULT_EXIT));
    return WEXITSTATUS(status) == FAULT_EXIT;
}

static void log_once(void)
{
    if (run(NULL, 4096, NULL) != DV_OK) {
        _exit(1);
    }
}

static void test_dvara_logd_killed_at_every_step(void **state)
{
    bool killed = true;
    long step = 1;
    for (; killed; step++) {
        assert_int_equal(make_all(NULL), 0);
        write_segment(0, 6);
        write_segment(6, 6);
        killed = killed_at(step, log_once);
        assert_int_equal(run(NULL, 4096, NULL), DV_OK);
        expect_all(12);
        assert_int_equal(verify(DV_OK).blobs, 12);
        assert_int_equal(remove_folders(NULL), 0);
    }
    print_message("killed at each of %ld steps\n", step - 2);
    assert_true(step > 40);
}

static int acknowledged[2]; /* a pipe: the numbers that the writer was told of */

static void write_and_tell(void)
{
    dv_spool *spool = NULL;
    if (dv_spool_open(spool_folder, "collect", keys.public_key, 1 << 20, &spool, NULL) != DV_OK) {
        _exit(1);
    }
    for (unsigned i = 0; i < 4; i++) {
        uint8_t number = (uint8_t)i;
        if (append(spool, i, "") != DV_OK || __real_write(acknowledged[1], &number, 1) != 1) {
            _exit(1);
        }
    }
    _exit(0); /* without closing it */
}

/* What was acknowledged is there, whole; what was not leaves nothing behind. */
static void test_the_writer_killed_at_every_step(void **state)
{
    bool killed = true;
    for (long step = 1; killed; step++) {
        uint8_t number;
        unsigned told = 0;
        assert_int_equal(make_all(NULL), 0);
        assert_int_equal(pipe(acknowledged), 0);
        killed = killed_at(step, write_and_tell);
        close(acknowledged[1]);
        while (read(acknowledged[0], &number, 1) == 1) {
            told++;
        }
        close(acknowledged[0]);
        assert_int_equal(run(NULL, 1 << 20, NULL), DV_OK);
        assert_true(killed || told == 4);
        assert_int_equal(count_log().lost, 0);
        expect_all(told);
        assert_int_equal(remove_folders(NULL), 0);
    }
}

/* In the same life: what failed is tried again. */
static void sweep_faults(fault_kind kind)
{
    bool reached = true;
    for (long step = 1; reached; step++) {
        size_t taken;
        dv_sequencer_status status;
        dv_auto(sequencer) dv_sequencer *sequencer = NULL;
        assert_int_equal(make_all(NULL), 0);
        dv_sequencer_options options = {.log_folder = log_folder,
                                        .spools = {spool_folder, NULL},
                                        .keys = &keys,
                                        .signer = &signer,
                                        .batch_bytes = 2048};
        write_segment(0, 6);
        assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
        fault_arm(kind, step);
        dv_result result = DV_OK;
        do {
            result = dv_sequencer_collect(sequencer, &taken, NULL);
            result = result == DV_OK ? dv_sequencer_commit(sequencer, NULL) : result;
        } while (taken > 0 && result == DV_OK);
        reached = fault_countdown <= 0;
        fault_arm(FAULT_NONE, 0);
        dv_sequencer_status_get(sequencer, &status);
        assert_int_equal(status.blocked, result != DV_OK);
        assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
        do {
            assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
            assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
        } while (taken > 0);
        expect_all(6);
        assert_int_equal(remove_folders(NULL), 0);
    }
}

static void test_a_fault_of_the_disk_at_every_step(void **state)
{
    sweep_faults(FAULT_ENOSPC);
    sweep_faults(FAULT_EIO);
    sweep_faults(FAULT_SHORT);
}

/* The writer is told, nothing of it is there, and it goes on when there is room. */
static void test_a_full_disk_refuses_the_record(void **state)
{
    dv_spool *spool = open_spool(64 << 20);
    assert_int_equal(append(spool, 0, ""), DV_OK);
    fault_arm(FAULT_EIO, 1); /* while it is written, ... */
    assert_int_equal(append(spool, 1, ""), DV_ERR_UNAVAILABLE);
    fault_arm(FAULT_NONE, 0);
    assert_int_equal(spool_files(".blob"), 1);
    struct rlimit none = {100, 1 << 30}, all;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &all), 0);
    none.rlim_max = all.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0); /* ... and while it gets its blocks */
    assert_int_equal(append(spool, 1, ""), DV_ERR_UNAVAILABLE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
    assert_int_equal(spool_files(".blob"), 1);
    assert_int_equal(append(spool, 1, ""), DV_OK);
    dv_spool_close(spool);
    assert_int_equal(run(NULL, 1 << 20, NULL), DV_OK);
    expect_all(2);
}

/* -- verifying --------------------------------------------------------------------------------- */

static void blob_path(const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/blob/%s", log_folder, name);
}

static void put_file(const char *path, dv_slice bytes)
{
    dv_auto(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(dv_fd_write_all(fd, bytes), DV_OK);
}

static void expect_told(const char *what)
{
    dv_log_report report = verify(DV_ERR_CORRUPT);
    if (strstr(report.problem, what) == NULL) {
        fail_msg("%s does not say %s", report.problem, what);
    }
}

static void test_every_byte_and_every_file_is_verified(void **state)
{
    char path[PATH_MAX], other[PATH_MAX];
    dv_auto(buf) dv_buf file = dv_buf_init(1 << 20);
    write_segment(0, 3);
    assert_int_equal(run(NULL, 1 << 20, NULL), DV_OK);
    blob_path("0/0", path);
    assert_int_equal(dv_file_read(path, &file, NULL), DV_OK);
    for (size_t i = 0; i < file.len; i++) { /* changed, ... */
        file.ptr[i] ^= 0x10;
        put_file(path, dv_buf_slice(&file));
        expect_told("blob/0");
        file.ptr[i] ^= 0x10;
    }
    for (size_t i = 0; i < file.len; i++) { /* ... cut short, ... */
        put_file(path, dv_slice_sub(dv_buf_slice(&file), 0, i));
        expect_told("blob/0");
    }
    assert_int_equal(dv_buf_append_byte(&file, 0), DV_OK); /* ... with something behind, ... */
    put_file(path, dv_buf_slice(&file));
    expect_told("cut short");
    file.len--;
    assert_int_equal(unlink(path), 0); /* ... missing, ... */
    expect_told("missing");
    put_file(path, dv_buf_slice(&file));
    verify(DV_OK);
    blob_path("0/junk", other); /* ... and foreign */
    put_file(other, DV_LIT("x"));
    expect_told("blob/0/junk");
    assert_int_equal(unlink(other), 0);
    blob_path("junk", other);
    put_file(other, DV_LIT("x"));
    expect_told("blob/junk");
    assert_int_equal(unlink(other), 0);
    blob_path("0/1", other);
    put_file(other, dv_buf_slice(&file));
    expect_told("blob/0/1");
    assert_int_equal(unlink(other), 0);
    verify(DV_OK);
}

/* A blob, whole, of an entry that names none. */
static void test_a_blob_that_nobody_names(void **state)
{
    char path[PATH_MAX];
    uint8_t frame[13] = {0};
    dv_spool *spool = open_spool(1 << 20);
    assert_int_equal(dv_spool_append(spool, DV_LIT("{\"metadata\":{\"version\":\"1\"}}"), false),
                     DV_OK);
    assert_int_equal(append(spool, 1, ""), DV_OK);
    dv_spool_close(spool);
    assert_int_equal(run(NULL, 1 << 20, NULL), DV_OK);
    blob_path("0/0", path);
    dv_put_u32(frame + 8, 1);
    put_file(path, dv_slice_of(frame, sizeof frame));
    expect_told("blob/0/0: entry 0 names no large field");
}

/* -- erasing and pruning ----------------------------------------------------------------------- */

static dv_result open_entry(void *data, uint64_t index, dv_slice entry)
{
    dv_buf *out = ((dv_buf **)data)[0];
    dv_subjects *subjects = ((void **)data)[1];
    return dv_event_open(subjects, entry, out);
}

static void expect_opened(dv_subjects *subjects, uint64_t index, const char *there,
                          const char *not_there)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    void *data[] = {&out, subjects};
    assert_int_equal(dv_log_read(log_folder, 2, index, 1, open_entry, data, NULL), DV_OK);
    assert_true(dv_slice_find(dv_buf_slice(&out), dv_slice_str(there)) >= 0);
    assert_int_equal(dv_slice_find(dv_buf_slice(&out), dv_slice_str(not_there)), -1);
    /* The key is nobody's to read. */
    assert_true(dv_slice_find(dv_buf_slice(&out), DV_LIT("\"key\":\"~1.")) >= 0);
}

static void test_erasing_a_person_or_a_day(void **state)
{
    static const char *const subjects_of[] = {"Account::\"alice@web1\"", "Day::\"2026-11-22\""};
    dv_auto(subjects) dv_subjects *subjects = NULL;
    dv_spool *spool = open_spool(1 << 20);
    assert_int_equal(append(spool, 0, "\"subject\":\"Account::\\\"alice@web1\\\"\","), DV_OK);
    assert_int_equal(append(spool, 1, ""), DV_OK);
    dv_spool_close(spool);
    assert_int_equal(dv_subjects_open(subjects_folder, &subjects, NULL), DV_OK);
    assert_int_equal(run(subjects, 1 << 20, NULL), DV_OK);
    for (unsigned i = 0; i < 2; i++) {
        char id[DV_SUBJECT_ID_TEXT + 1];
        dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_BLOB);
        verify(DV_OK);
        expect_field(subjects, i, i, length_of(i));
        expect_opened(subjects, i, "\"the beginning\"", DV_ERASED_TEXT);
        expect_opened(subjects, i, "\"raw_data_hash\":{", DV_ERASED_TEXT);
        assert_int_equal(dv_subjects_find(subjects, dv_slice_str(subjects_of[i]), id), DV_OK);
        dv_slice one = dv_slice_str(id);
        assert_int_equal(dv_subjects_destroy(subjects, &one, 1, NULL), DV_OK);
        assert_int_equal(dv_blob_field_read(log_folder, 2, i, subjects, &out, NULL),
                         DV_ERR_CONFLICT);
        expect_opened(subjects, i, "\"raw_data\":\"" DV_ERASED_TEXT "\"", "the beginning");
        expect_opened(subjects, i, DV_ERASED_TEXT, "raw_data_hash");
        assert_int_equal(verify(DV_OK).blobs, 2); /* the leaves stay as they are */
    }
}

/* Writes blobs of these entries as one commit does. */
static void store(const uint64_t *entries, size_t count)
{
    dv_blob_batch batch;
    dv_blob_ref ref;
    dv_uuid segment = dv_uuid_new(dv_time_now());
    dv_auto(fd) int fd = open(collect_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dv_blob_batch_init(&batch);
    for (size_t i = 0; i < count; i++) {
        char name[DV_SEGMENT_BLOB_NAME_MAX], path[PATH_MAX];
        dv_auto(buf) dv_buf stored = dv_buf_init(4096);
        assert_int_equal(dv_blob_make(DV_LIT("x"), &stored, &ref), DV_OK);
        dv_segment_blob_name(&segment, i, name);
        snprintf(path, sizeof(path), "%s/%s", collect_folder, name);
        put_file(path, dv_buf_slice(&stored));
        assert_int_equal(dv_blob_batch_take(&batch, fd, &segment, i, &ref, entries[i]), DV_OK);
    }
    assert_int_equal(dv_blob_batch_write(&batch, log_folder, NULL), DV_OK);
    dv_blob_batch_done(&batch);
}

static void expect_walk(uint64_t from, uint64_t to, const uint64_t *entries, size_t count)
{
    dv_blob_found found;
    dv_auto(blob_walk) dv_blob_walk *walk = NULL;
    assert_int_equal(dv_blob_walk_new(log_folder, from, to, &walk, NULL), DV_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(dv_blob_walk_next(walk, &found, NULL), DV_OK);
        assert_int_equal(found.entry, entries[i]);
    }
    assert_int_equal(dv_blob_walk_next(walk, &found, NULL), DV_ERR_NOT_FOUND);
}

static void test_pruning_and_trimming(void **state)
{
    enum { PACK = DV_PACK_LEAVES };
    static const uint64_t one[] = {3, 4, PACK - 1, PACK, PACK + 5};
    static const uint64_t two[] = {PACK + 6, (uint64_t)10 * PACK, (uint64_t)10 * PACK + 7};
    static const uint64_t all[] = {
        3, 4, PACK - 1, PACK, PACK + 5, PACK + 6, (uint64_t)10 * PACK, (uint64_t)10 * PACK + 7};
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    assert_int_equal(mkdir(log_folder, 0700), 0);
    store(one, DV_ARRAY_LEN(one));
    store(two, DV_ARRAY_LEN(two));
    expect_walk(0, (uint64_t)11 * PACK, all, 8);
    expect_walk(PACK, (uint64_t)10 * PACK, all + 3, 3);
    for (size_t i = 0; i < DV_ARRAY_LEN(all); i++) {
        assert_int_equal(dv_blob_store_read(log_folder, all[i], &out, NULL), DV_OK);
        assert_int_equal(dv_blob_store_read(log_folder, all[i] + 100, &out, NULL),
                         DV_ERR_NOT_FOUND);
    }
    dv_prune_remove(log_folder, PACK);
    expect_walk(PACK, (uint64_t)11 * PACK, all + 3, 5);
    assert_int_equal(dv_blob_store_read(log_folder, 3, &out, NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_blob_store_trim(log_folder, (uint64_t)10 * PACK, NULL), DV_OK);
    expect_walk(PACK, (uint64_t)11 * PACK, all + 3, 3);
    assert_int_equal(dv_blob_store_trim(log_folder, PACK + 6, NULL), DV_OK);
    expect_walk(0, (uint64_t)11 * PACK, all + 3, 2);
    dv_prune_remove(log_folder, (uint64_t)2 * PACK);
    expect_walk(0, (uint64_t)11 * PACK, NULL, 0);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, make_all, remove_folders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_every_byte_of_the_form),
        cmocka_unit_test(test_the_hash_confirms_no_guess),
        cmocka_unit_test(test_what_is_a_reference),
        LOG_TEST(test_into_the_log_and_out),
        LOG_TEST(test_a_rotation_takes_the_field_along),
        LOG_TEST(test_small_batches),
        LOG_TEST(test_what_does_not_come_is_told),
        LOG_TEST(test_logs_of_other_classes_have_their_own),
        cmocka_unit_test(test_dvara_logd_killed_at_every_step),
        cmocka_unit_test(test_the_writer_killed_at_every_step),
        cmocka_unit_test(test_a_fault_of_the_disk_at_every_step),
        LOG_TEST(test_a_full_disk_refuses_the_record),
        LOG_TEST(test_every_byte_and_every_file_is_verified),
        LOG_TEST(test_a_blob_that_nobody_names),
        LOG_TEST(test_erasing_a_person_or_a_day),
        LOG_TEST(test_pruning_and_trimming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
