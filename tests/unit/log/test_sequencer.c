/* SPDX-License-Identifier: Apache-2.0 */
/* From the spool into the tree, with a death or a full disk at every step. */
#include "base/caps.h"
#include "base/codec.h"
#include "base/file.h"
#include "core/event_code.h"
#include "engine/log/catalogue.h"
#include "engine/log/entry.h"
#include "engine/log/search.h"
#include "engine/log/sequencer.h"
#include "engine/log/spool.h"
#include "engine/log/verify.h"
#include "fault.h"
#include "fault_memory.h"
#include "stand_sequencer.h"

#include <dirent.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static char gateway_folder[96];

static int make_all(void **state)
{
    if (make_folders(state) != 0) {
        return -1;
    }
    snprintf(gateway_folder, sizeof(gateway_folder), "%s/gateway", spool_folder);
    return 0;
}
/* The log verifies, and holds each of the events exactly once. */
static void check_log(unsigned events)
{
    dv_log_report report;
    tally counted = {.others = 0};
    dv_result result = dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report);
    if (result != DV_OK) {
        print_message("the log does not verify: %s\n", report.problem);
    }
    assert_int_equal(result, DV_OK);
    assert_int_equal(
        dv_log_read(log_folder, report.size, 0, UINT64_MAX, count_entry, &counted, NULL), DV_OK);
    for (unsigned i = 0; i < events; i++) {
        assert_int_equal(counted.seen[i], 1);
    }
    assert_int_equal(report.entries, events + counted.others);
}

static size_t files_in_spool(const char *suffix)
{
    size_t count = 0;
    DIR *dir = opendir(gateway_folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        size_t len = strlen(entry->d_name);
        count += len > strlen(suffix) && strcmp(entry->d_name + len - strlen(suffix), suffix) == 0;
    }
    closedir(dir);
    return count;
}

/* -- tests ------------------------------------------------------------------------------------- */

static void test_spool_to_log(void **state)
{
    write_segment("gateway", 0, 300);
    write_segment("dvarad", 300, 10);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    check_log(310);
    assert_int_equal(files_in_spool(".seg"), 0);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK); /* again: nothing is added */
    check_log(310);
}

/* Takes the place of the number before; the numbers of a source only grow. */
static dv_result check_order(void *data, uint64_t index, dv_slice entry)
{
    unsigned *last = data, number;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", DV_SLICE_ARGS(dv_entry_request_id(entry)));
    if (sscanf(text, "request-%u", &number) == 1) {
        bool other = dv_slice_find(entry, DV_LIT("\"log_source\":\"dvarad/")) >= 0;
        assert_true(last[other] == 0 || number > last[other]);
        last[other] = number;
    }
    return DV_OK;
}

/* Several segments of one writer, found at once, and some larger than a turn: their events stay in
 * order, whatever others have their turns in between. */
static void test_older_segments_come_first(void **state)
{
    enum { EACH = 150, ALL = 6 * EACH };
    unsigned last[2] = {0, 0};
    for (unsigned i = 0; i < 5; i++) {
        write_segment("gateway", i * EACH, i % 2 == 0 ? EACH : 10);
        usleep(2000); /* ids tell milliseconds */
        write_segment("gateway", i * EACH + (i % 2 == 0 ? EACH : 10), i % 2 == 0 ? 0 : EACH - 10);
        usleep(2000);
    }
    write_segment("dvarad", ALL - EACH, EACH);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    check_log(ALL);
    assert_int_equal(dv_log_read(log_folder, ALL, 0, UINT64_MAX, check_order, last, NULL), DV_OK);
    assert_int_equal(last[0], ALL - EACH - 1);
    assert_int_equal(last[1], ALL - 1);
}

/* A living writer is not held up by what a dead one of the same name left, and holds up nobody. */
static void test_living_writers_do_not_wait_for_each_other(void **state)
{
    char text[256];
    dv_spool *living[2] = {NULL, NULL};
    for (size_t i = 0; i < DV_ARRAY_LEN(living); i++) {
        assert_int_equal(
            dv_spool_open(spool_folder, "gateway", keys.public_key, 1 << 20, &living[i], NULL),
            DV_OK);
        for (unsigned n = 0; n < 200; n++) {
            dv_slice event = event_text((unsigned)i * 200 + n, text);
            assert_int_equal(dv_spool_append(living[i], event, false), DV_OK);
        }
    }
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    check_log(400);
    for (size_t i = 0; i < DV_ARRAY_LEN(living); i++) {
        dv_spool_close(living[i]);
    }
}

static void test_small_batches(void **state)
{
    write_segment("gateway", 0, 300);
    assert_int_equal(run_once(1, NULL), DV_OK); /* one record a commit */
    check_log(300);
}

static void test_living_writer_is_followed(void **state)
{
    dv_spool *spool = NULL;
    char text[256];
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(1 << 20);
    assert_int_equal(dv_spool_open(spool_folder, "gateway", keys.public_key, 1 << 20, &spool, NULL),
                     DV_OK);
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(dv_spool_append(spool, event_text(i, text), false), DV_OK);
        assert_int_equal(drain(sequencer, NULL), DV_OK);
        check_log(i + 1);
        assert_int_equal(files_in_spool(".seg"), 1);
    }
    dv_spool_close(spool);
    assert_int_equal(drain(sequencer, NULL), DV_OK);
    assert_int_equal(files_in_spool(".seg"), 0);
}

/* Two processes' worth of work, ended before the Nth change to the disk; a new life completes it.
 */
static bool killed_at(long step, size_t batch)
{
    pid_t child = fork();
    if (child == 0) {
        dv_error error = {0};
        fault_arm(FAULT_KILL, step);
        _exit(run_once(batch, &error) == DV_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == FAULT_EXIT;
}

static void sweep_kills(size_t batch, unsigned events)
{
    bool killed = true;
    long step = 1;
    for (; killed; step++) {
        assert_int_equal(make_all(NULL), 0);
        write_segment("gateway", 0, events - 5);
        write_segment("dvarad", events - 5, 5);
        killed = killed_at(step, batch);
        assert_int_equal(run_once(batch, NULL), DV_OK);
        check_log(events);
        assert_int_equal(files_in_spool(".seg"), 0);
        assert_int_equal(remove_folders(NULL), 0);
    }
    print_message("killed at each of %ld steps\n", step - 2);
    assert_true(step > 20);
}

static void test_kill_at_every_step(void **state)
{
    sweep_kills(64 << 20, 300);
}

static void test_kill_at_every_step_of_small_commits(void **state)
{
    sweep_kills(20 << 10, 280);
}

/* Past the end of a block, which goes into a pack. */
static void test_kill_at_every_step_of_packing(void **state)
{
    sweep_kills(200 << 10, 4500);
}

/* One failing call after the other, in the same life: nothing is lost, nothing comes twice. */
static void sweep_faults(fault_kind kind, size_t batch, unsigned events)
{
    bool failed = true;
    long step = 1;
    for (; failed; step++) {
        dv_auto(sequencer) dv_sequencer *sequencer = NULL;
        dv_sequencer_options options = options_with(batch);
        dv_sequencer_status status;
        dv_error error = {0};
        assert_int_equal(make_all(NULL), 0);
        write_segment("gateway", 0, events);
        assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
        fault_arm(kind, step);
        failed = drain(sequencer, &error) != DV_OK;
        dv_sequencer_status_get(sequencer, &status);
        assert_int_equal(status.blocked, failed);
        bool reached = fault_countdown <= 0;
        fault_arm(FAULT_NONE, 0);
        if (failed) {
            assert_true(strlen(status.problem) > 0);
            if (kind == FAULT_SHORT) {
                fail_msg("step %ld: %s", step, status.problem); /* a short write goes on */
            }
            assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
        }
        assert_int_equal(drain(sequencer, NULL), DV_OK);
        check_log(events);
        assert_int_equal(remove_folders(NULL), 0);
        failed = reached; /* a step whose failure does no harm, such as a clean-up, goes on */
    }
    print_message("a fault at each of %ld steps\n", step - 2);
    assert_true(step > 20);
}

static void test_full_disk_at_every_step(void **state)
{
    sweep_faults(FAULT_ENOSPC, 20 << 10, 300);
    sweep_faults(FAULT_ENOSPC, 200 << 10, 4500);
}

static void test_broken_disk_at_every_step(void **state)
{
    sweep_faults(FAULT_EIO, 20 << 10, 300);
    sweep_faults(FAULT_EIO, 200 << 10, 4500);
}

static void test_short_write_at_every_step(void **state)
{
    sweep_faults(FAULT_SHORT, 20 << 10, 300);
    sweep_faults(FAULT_SHORT, 200 << 10, 4500);
}

/* Whichever allocation fails, no entry is half in the log, none is lost and none comes twice.
 * Returns whether it came to that one. */
static bool no_memory_at(size_t batch, unsigned events, long number, bool stays_out)
{
    char text[256];
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(batch);
    assert_int_equal(make_all(NULL), 0);
    write_segment("gateway", 0, events);
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    /* Of the sequencer's own, in no spool. */
    assert_int_equal(dv_sequencer_note(sequencer, event_text(events, text)), DV_OK);
    memory_calls = 0;
    memory_stays_out = stays_out;
    memory_countdown = number;
    bool failed = drain(sequencer, NULL) != DV_OK;
    bool came = memory_calls >= number;
    memory_countdown = 0;
    if (failed) { /* what is blocked takes nothing before a commit */
        assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    }
    assert_int_equal(drain(sequencer, NULL), DV_OK);
    check_log(events + 1);
    assert_int_equal(remove_folders(NULL), 0);
    return came;
}

/* The first ones one by one, then a choice. */
static void sweep_memory(size_t batch, unsigned events, bool stays_out)
{
    long tried = 0;
    for (long number = 1; no_memory_at(batch, events, number, stays_out);
         number += 1 + number / 128) {
        tried++;
    }
    print_message("%ld allocations failed\n", tried);
    assert_true(tried > 100);
}

static void test_no_memory_at_each_step(void **state)
{
    sweep_memory(20 << 10, 700, false);
}

static void test_no_memory_from_each_step_on(void **state)
{
    sweep_memory(20 << 10, 700, true);
}

/* Past the end of a block. */
static void test_no_memory_at_each_step_of_packing(void **state)
{
    sweep_memory(200 << 10, 4500, false);
}

static void test_blocked_sequencer_takes_nothing(void **state)
{
    size_t taken = 99;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(1 << 20);
    write_segment("gateway", 0, 10);
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
    fault_arm(FAULT_ENOSPC, 1);
    assert_int_not_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    fault_arm(FAULT_NONE, 0);
    write_segment("gateway", 10, 10);
    assert_int_equal(dv_sequencer_collect(sequencer, &taken, NULL), DV_OK);
    assert_int_equal(taken, 0);
    assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    assert_int_equal(drain(sequencer, NULL), DV_OK);
    check_log(20);
}

static void damage_only_segment(void)
{
    char path[PATH_MAX];
    DIR *dir = opendir(gateway_folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strstr(entry->d_name, ".seg") != NULL) {
            snprintf(path, sizeof(path), "%s/%s", gateway_folder, entry->d_name);
        }
    }
    closedir(dir);
    dv_auto(fd) int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t middle = lseek(fd, 0, SEEK_END) / 2;
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, middle), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, middle), 1);
}

static dv_result find_alarm(void *data, uint64_t index, dv_slice entry)
{
    bool *found = data;
    *found = *found || dv_slice_find(entry, DV_LIT("\"audit.corrupt\"")) >= 0;
    return DV_OK;
}

static void test_damaged_segment_is_refused_with_an_alarm(void **state)
{
    dv_log_report report;
    dv_sequencer_status status;
    bool found = false;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(1 << 20);
    write_segment("gateway", 0, 100);
    damage_only_segment();
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    assert_int_equal(drain(sequencer, NULL), DV_OK);
    dv_sequencer_status_get(sequencer, &status);
    assert_int_equal(status.refused, 1);
    assert_non_null(strstr(status.problem, "do not check out"));
    assert_int_equal(files_in_spool(".seg"), 0);
    assert_int_equal(files_in_spool(".refused"), 1);
    assert_int_equal(dv_log_verify(log_folder, NULL, NULL, NULL, &report), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report), DV_OK);
    assert_true(report.size > 30 && report.size < 100);
    assert_int_equal(dv_log_read(log_folder, report.size, 0, UINT64_MAX, find_alarm, &found, NULL),
                     DV_OK);
    assert_true(found);
}

static void test_killed_writers_torn_record_raises_an_alarm(void **state)
{
    int pipes[2];
    char text[256];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        dv_spool *spool = NULL;
        if (dv_spool_open(spool_folder, "gateway", keys.public_key, 1 << 20, &spool, NULL) ==
                DV_OK &&
            dv_spool_append(spool, event_text(0, text), false) == DV_OK &&
            dv_spool_append(spool, event_text(1, text), false) == DV_OK) {
            kill(getpid(), SIGKILL);
        }
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    char path[PATH_MAX];
    DIR *dir = opendir(gateway_folder);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strstr(entry->d_name, ".seg") != NULL) {
            snprintf(path, sizeof(path), "%s/%s", gateway_folder, entry->d_name);
        }
    }
    closedir(dir);
    dv_auto(buf) dv_buf bytes = dv_buf_init(4 << 20);
    assert_int_equal(dv_file_read(path, &bytes, NULL), DV_OK);
    size_t end = DV_SEGMENT_HEADER_LEN;
    for (int i = 0; i < 2; i++) {
        end += DV_SEGMENT_RECORD_HEADER_LEN + dv_get_u32(bytes.ptr + end);
    }
    assert_int_equal(truncate(path, (off_t)end - 3), 0);
    assert_int_equal(run_once(1 << 20, NULL), DV_OK);
    tally counted = {.others = 0};
    assert_int_equal(dv_log_read(log_folder, 2, 0, 2, count_entry, &counted, NULL), DV_OK);
    assert_int_equal(counted.seen[0], 1);
    assert_int_equal(counted.others, 1);
    close(pipes[0]);
    close(pipes[1]);
}

static void test_foreign_record_is_kept(void **state)
{
    dv_spool *spool = NULL;
    static char noise[DV_LIMIT_RECORD];
    memset(noise, 1, sizeof(noise));
    assert_int_equal(dv_spool_open(spool_folder, "gateway", keys.public_key, 1 << 20, &spool, NULL),
                     DV_OK);
    assert_int_equal(dv_spool_append(spool, DV_LIT("not an event"), false), DV_OK);
    assert_int_equal(dv_spool_append(spool, dv_slice_of(noise, sizeof(noise)), false), DV_OK);
    dv_spool_close(spool);
    assert_int_equal(run_once(1 << 20, NULL), DV_OK);
    check_log(0);
}

/* A record as the gate leaves it: request-N opened. */
static void append_code(dv_spool *spool, unsigned number, int version)
{
    char id[32];
    dv_auto(buf) dv_buf code = dv_buf_init(DV_LIMIT_RECORD);
    snprintf(id, sizeof(id), "request-%u", number);
    dv_event_request request = {.request_id = dv_slice_str(id), .method = DV_LIT("POST")};
    assert_int_equal(dv_event_code_open(&code, &request), DV_OK);
    code.ptr[0] = (uint8_t)version;
    assert_int_equal(dv_spool_append(spool, dv_buf_slice(&code), false), DV_OK);
}

static dv_result keep_entry(void *data, uint64_t index, dv_slice entry)
{
    return dv_buf_append(data, entry);
}

/* What stands in the log is what the builders of core/event.h write. */
static void test_codes_are_expanded(void **state)
{
    dv_spool *spool = NULL;
    dv_auto(buf) dv_buf wanted = dv_buf_init(DV_LIMIT_RECORD);
    dv_auto(buf) dv_buf entry = dv_buf_init(UINT16_MAX);
    assert_int_equal(dv_spool_open(spool_folder, "gateway", keys.public_key, 1 << 20, &spool, NULL),
                     DV_OK);
    for (unsigned i = 0; i < 20; i++) {
        append_code(spool, i, DV_EVENT_CODE_VERSION);
    }
    dv_spool_close(spool);
    assert_int_equal(run_once(1 << 20, NULL), DV_OK);
    check_log(20);
    dv_event_request request = {.request_id = DV_LIT("request-3"), .method = DV_LIT("POST")};
    assert_int_equal(dv_event_request_open(&wanted, &request), DV_OK);
    assert_int_equal(dv_log_find(log_folder, 0, 20, DV_LIT("request-3"), keep_entry, &entry, NULL),
                     DV_OK);
    dv_slice tail = dv_slice_sub(dv_buf_slice(&wanted), strlen("{\"metadata\":{"), wanted.len);
    assert_true(dv_slice_ends_with(dv_buf_slice(&entry), tail));
}

/* A writer that was taken over, or one of a later version: everything is kept, one alarm says so,
 * and what is right is read on. */
static void test_malformed_codes_are_kept_and_told(void **state)
{
    dv_spool *spool = NULL;
    dv_auto(buf) dv_buf all = dv_buf_init(1 << 20);
    assert_int_equal(dv_spool_open(spool_folder, "gateway", keys.public_key, 1 << 20, &spool, NULL),
                     DV_OK);
    append_code(spool, 0, DV_EVENT_CODE_VERSION);
    append_code(spool, 900, DV_EVENT_CODE_VERSION + 1);
    assert_int_equal(dv_spool_append(spool, DV_LIT("\x01\xff\xff"), false), DV_OK);
    append_code(spool, 1, DV_EVENT_CODE_VERSION);
    dv_spool_close(spool);
    assert_int_equal(run_once(1 << 20, NULL), DV_OK);
    check_log(2);
    assert_int_equal(files_in_spool(".refused"), 0);
    assert_int_equal(dv_log_read(log_folder, 5, 0, UINT64_MAX, keep_entry, &all, NULL), DV_OK);
    dv_slice text = dv_buf_slice(&all);
    ptrdiff_t alarm = dv_slice_find(text, DV_LIT("\"audit.malformed\""));
    assert_true(alarm >= 0);
    assert_true(dv_slice_find(text, DV_LIT("record 1 is kept as it came")) >= 0);
    assert_true(dv_slice_find(text, DV_LIT("unknown version 4")) >= 0);
    assert_true(dv_slice_find(text, DV_LIT("\"raw_data\":\"Af//\"")) >= 0);
    assert_true(dv_slice_find(dv_slice_sub(text, (size_t)alarm + 1, text.len),
                              DV_LIT("\"audit.malformed\"")) < 0);
}

static void find_all(unsigned events, uint64_t size, unsigned step)
{
    char id[32];
    for (unsigned i = 0; i < events; i += step) {
        uint64_t index = UINT64_MAX;
        snprintf(id, sizeof(id), "request-%u", i);
        assert_int_equal(
            dv_log_find(log_folder, 0, size, dv_slice_str(id), collect_index, &index, NULL), DV_OK);
        assert_int_equal(index, i);
    }
}

static void test_search_finds_every_request(void **state)
{
    enum { EVENTS = 9000, BLOCKS = 2 };
    char path[PATH_MAX];
    uint64_t index = UINT64_MAX;
    write_segment("gateway", 0, EVENTS);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    find_all(EVENTS, EVENTS, 7);
    assert_int_equal(
        dv_log_find(log_folder, 0, EVENTS, DV_LIT("request-9000"), collect_index, &index, NULL),
        DV_OK);
    assert_int_equal(index, UINT64_MAX);
    assert_int_equal(dv_log_find(log_folder, 0, EVENTS, DV_LIT(""), collect_index, &index, NULL),
                     DV_ERR_INVALID);
    /* Without the catalogue, with a damaged one, and with a rebuilt one. */
    snprintf(path, sizeof(path), "%s/catalogue", log_folder);
    assert_int_equal(truncate(path, 5000), 0);
    find_all(EVENTS, EVENTS, 100);
    assert_int_equal(unlink(path), 0);
    find_all(EVENTS, EVENTS, 1000);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    struct stat about;
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_size, BLOCKS * DV_CATALOGUE_ROW);
    find_all(EVENTS, EVENTS, 100);
}

static void test_a_request_is_found_whole_when_the_clock_was_set_back(void **state)
{
    enum { BLOCK = 4096, COUNT = 2 * BLOCK };
    char id[DV_UUID_TEXT_LEN + 1], text[256];
    uint64_t last = 0;
    dv_spool *spool = NULL;
    dv_time begin = dv_time_now();
    dv_uuid uuid = dv_uuid_new(begin);
    dv_uuid_format(&uuid, id);
    assert_int_equal(
        dv_spool_open(spool_folder, "gateway", keys.public_key, 64 << 20, &spool, NULL), DV_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        bool of_it = i == 7 || i == BLOCK + 7;
        dv_time time = i < BLOCK ? begin : begin - 3600 * DV_SECOND;
        int len = snprintf(text, sizeof text,
                           "{\"metadata\":{\"version\":\"1.8.0\",\"event_code\":\"request.open\","
                           "\"correlation_uid\":\"%s\"},\"time\":%lld,\"class_uid\":6003}",
                           of_it ? id : "another", (long long)(time / DV_MILLISECOND));
        assert_int_equal(dv_spool_append(spool, dv_slice_of(text, (size_t)len), false), DV_OK);
    }
    dv_spool_close(spool);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    assert_int_equal(
        dv_log_find(log_folder, 0, COUNT, dv_slice_str(id), collect_index, &last, NULL), DV_OK);
    assert_int_equal(last, BLOCK + 7);
}
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, make_all, remove_folders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_spool_to_log),
        LOG_TEST(test_older_segments_come_first),
        LOG_TEST(test_living_writers_do_not_wait_for_each_other),
        LOG_TEST(test_small_batches),
        LOG_TEST(test_living_writer_is_followed),
        LOG_TEST(test_a_request_is_found_whole_when_the_clock_was_set_back),
        cmocka_unit_test(test_kill_at_every_step),
        cmocka_unit_test(test_kill_at_every_step_of_small_commits),
        cmocka_unit_test(test_kill_at_every_step_of_packing),
        cmocka_unit_test(test_full_disk_at_every_step),
        cmocka_unit_test(test_broken_disk_at_every_step),
        cmocka_unit_test(test_short_write_at_every_step),
        cmocka_unit_test(test_no_memory_at_each_step),
        cmocka_unit_test(test_no_memory_from_each_step_on),
        cmocka_unit_test(test_no_memory_at_each_step_of_packing),
        LOG_TEST(test_blocked_sequencer_takes_nothing),
        LOG_TEST(test_damaged_segment_is_refused_with_an_alarm),
        LOG_TEST(test_killed_writers_torn_record_raises_an_alarm),
        LOG_TEST(test_foreign_record_is_kept),
        LOG_TEST(test_codes_are_expanded),
        LOG_TEST(test_malformed_codes_are_kept_and_told),
        LOG_TEST(test_search_finds_every_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
