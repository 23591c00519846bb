/* SPDX-License-Identifier: Apache-2.0 */
/* A sequencer of several logs: where events go, what is pruned and when, and what is told of it. */
#include "base/caps.h"
#include "engine/log/erasure.h"
#include "engine/log/search.h"
#include "engine/log/sequencer.h"
#include "engine/log/verify.h"
#include "fault.h"
#include "stand_sequencer.h"

#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { MANY = 70000, PACK = 65536 }; /* more than a pack */

/* Requests go to a log of their own. */
static dv_result run_routed(int64_t prune_before, dv_error *error)
{
    uint64_t pruned;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(64 << 20);
    DV_TRY(dv_sequencer_open(&options, &sequencer, error));
    DV_TRY(dv_sequencer_route(sequencer, "request.*", "requests", error));
    DV_TRY(drain(sequencer, error));
    dv_prune_rule rule = {.before_ms = prune_before, .end = UINT64_MAX};
    if (prune_before == 0) {
        return DV_OK;
    }
    DV_TRY(dv_sequencer_prune(sequencer, "requests", &rule, &pruned, error));
    dv_sequencer_forget(sequencer);
    return DV_OK;
}

static void verify_logs(uint64_t logs, uint64_t entries, uint64_t pruned)
{
    dv_log_report report;
    if (dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report) != DV_OK) {
        fail_msg("%s", report.problem);
    }
    assert_int_equal(report.logs, logs);
    assert_int_equal(report.entries, entries);
    assert_int_equal(report.pruned, pruned);
}

static void class_path(const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/" DV_LOG_OTHERS "/requests/%s", log_folder, name);
}

static void test_events_go_to_the_log_of_their_kind(void **state)
{
    char folder[PATH_MAX];
    dv_log_report report;
    tally counted = {.others = 0};
    write_segment("gateway", 0, 500);
    assert_int_equal(run_routed(0, NULL), DV_OK);
    verify_logs(2, 500, 0);
    class_path("", folder);
    assert_int_equal(dv_log_read(folder, 500, 0, UINT64_MAX, count_entry, &counted, NULL), DV_OK);
    assert_int_equal(counted.seen[0] + counted.seen[499], 2);
    /* Without the routes, and in another life, the same logs go on. */
    write_segment("gateway", 500, 20);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    verify_logs(2, 520, 0);
    /* A log of its own is no place to hide the loss of one. */
    class_path("checkpoint", folder);
    assert_int_equal(unlink(folder), 0);
    assert_int_equal(dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report),
                     DV_ERR_CORRUPT);
}

static void test_pruned_logs_verify(void **state)
{
    char path[PATH_MAX];
    uint64_t index = UINT64_MAX;
    dv_log_report report;
    write_segment("gateway", 0, MANY);
    assert_int_equal(run_routed(0, NULL), DV_OK);
    verify_logs(2, MANY, 0);
    assert_int_equal(run_routed(1, NULL), DV_OK); /* nothing is as old as that */
    verify_logs(2, MANY, 0);
    assert_int_equal(run_routed(INT64_MAX, NULL), DV_OK);
    verify_logs(2, MANY - PACK + 1, PACK);
    class_path("pack/000", path);
    assert_int_equal(access(path, F_OK), -1);
    class_path("tile/1/000", path);
    assert_int_equal(access(path, F_OK), -1);
    class_path("", path);
    assert_int_equal(
        dv_log_find(path, PACK, MANY, DV_LIT("request-69999"), collect_index, &index, NULL), DV_OK);
    assert_int_equal(index, 69999);
    /* Missing packs that no event tells of. */
    class_path("pack/001", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report),
                     DV_ERR_CORRUPT);
}

/* A pack of events of 2020 but for two: one says no time, one says a time that is to come. */
static dv_result note_odd_pack(dv_sequencer *sequencer)
{
    char event[128];
    static const char *const times[] = {",\"time\":1600000000000", "", ",\"time\":253370764800000"};
    for (int i = 0; i < MANY; i++) {
        snprintf(event, sizeof(event), "{\"metadata\":{\"event_code\":\"test\"}%s,\"class_uid\":0}",
                 times[i == 70     ? 1
                       : i == 7000 ? 2
                                   : 0]);
        DV_TRY(dv_sequencer_note(sequencer, dv_slice_str(event)));
    }
    return dv_sequencer_commit(sequencer, NULL);
}

static bool held_before_2000(const void *data, const char *log, int64_t earliest, int64_t latest)
{
    return earliest < INT64_C(946684800000);
}

static const int64_t hour = 3600000, said = INT64_C(1600000000000);

static void test_events_without_a_time_are_of_when_they_came(void **state)
{
    uint64_t pruned;
    int64_t earliest, latest, now = dv_time_now() / DV_MILLISECOND;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(64 << 20);
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    assert_int_equal(note_odd_pack(sequencer), DV_OK);
    assert_int_equal(dv_prune_times(NULL, log_folder, "main", 0, &earliest, &latest, NULL), DV_OK);
    assert_true(earliest == INT64_MIN && latest >= now - hour && latest <= now + hour);
    dv_prune_rule rule = {.before_ms = now - hour, .end = UINT64_MAX};
    assert_int_equal(dv_sequencer_prune(sequencer, "main", &rule, &pruned, NULL), DV_OK);
    assert_int_equal(pruned, 0);
    /* Any hold may be meant for what says no time. */
    rule = (dv_prune_rule){.before_ms = now + hour, .end = UINT64_MAX, .is_held = held_before_2000};
    assert_int_equal(dv_sequencer_prune(sequencer, "main", &rule, &pruned, NULL), DV_OK);
    assert_int_equal(pruned, 0);
    rule = (dv_prune_rule){.before_ms = now + hour, .end = PACK - 1};
    assert_int_equal(dv_sequencer_prune(sequencer, "main", &rule, &pruned, NULL), DV_OK);
    assert_int_equal(pruned, 0);
    rule.end = PACK;
    assert_int_equal(dv_sequencer_prune(sequencer, "main", &rule, &pruned, NULL), DV_OK);
    assert_int_equal(pruned, PACK);
}

/* A pack of events that say they are of 2020, written now; each `odd`th says a second time when the
 * log took it, which only the stamp tells. */
static void note_claims(dv_sequencer *sequencer, int odd)
{
    char event[256];
    for (int i = 0; i < PACK; i++) {
        snprintf(event, sizeof(event),
                 "{\"metadata\":{\"event_code\":\"test\"%s},\"time\":%" PRId64 ",\"class_uid\":0}",
                 i % odd == odd - 1 ? ",\"logged_time\":1" : "", said + i);
        assert_int_equal(dv_sequencer_note(sequencer, dv_slice_str(event)), DV_OK);
    }
    assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
}

static bool held_in_2020(const void *data, const char *log, int64_t earliest, int64_t latest)
{
    return earliest < said + 10 && latest >= said;
}

static bool held_now(const void *data, const char *log, int64_t earliest, int64_t latest)
{
    const int64_t *now = data;
    return earliest < *now + 1 && latest >= *now - 10 * hour;
}

static uint64_t pruned_by(dv_sequencer *sequencer, const dv_prune_rule *rule)
{
    uint64_t pruned;
    assert_int_equal(dv_sequencer_prune(sequencer, "main", rule, &pruned, NULL), DV_OK);
    return pruned;
}

/* Neither can a writer have its lines pruned early, nor out of a hold. */
static void age_is_since_the_log_took_it(int odd)
{
    int64_t earliest, latest, now = dv_time_now() / DV_MILLISECOND;
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_sequencer_options options = options_with(64 << 20);
    dv_prune_memory *memory = NULL;
    assert_int_equal(dv_prune_memory_new(&memory), DV_OK);
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    note_claims(sequencer, odd);
    for (int i = 0; i < 2; i++) { /* found out, then remembered */
        assert_int_equal(dv_prune_times(memory, log_folder, "main", 0, &earliest, &latest, NULL),
                         DV_OK);
        assert_int_equal(earliest, said);
        assert_true(latest >= now && latest < now + hour);
    }
    dv_prune_rule rule = {.before_ms = now, .end = UINT64_MAX, .memory = memory};
    assert_int_equal(pruned_by(sequencer, &rule), 0);
    rule.before_ms = now + hour;
    rule.is_held = held_in_2020;
    assert_int_equal(pruned_by(sequencer, &rule), 0);
    rule.is_held = held_now;
    rule.data = &now;
    assert_int_equal(pruned_by(sequencer, &rule), 0);
    rule.is_held = NULL;
    assert_int_equal(pruned_by(sequencer, &rule), PACK);
    dv_prune_memory_free(memory);
}

static void test_age_is_since_the_log_took_it(void **state)
{
    age_is_since_the_log_took_it(INT_MAX);
}

static void test_a_second_time_of_logging_counts_for_nothing(void **state)
{
    age_is_since_the_log_took_it(5000);
}

/* A pack that was looked at is not read again. */
static void test_times_of_packs_are_remembered(void **state)
{
    char path[PATH_MAX];
    int64_t earliest, latest;
    dv_prune_memory *memory = NULL;
    assert_int_equal(dv_prune_memory_new(&memory), DV_OK);
    write_segment("gateway", 0, MANY);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    assert_int_equal(dv_prune_times(memory, log_folder, "main", 0, &earliest, &latest, NULL),
                     DV_OK);
    snprintf(path, sizeof(path), "%s/pack/000", log_folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dv_prune_times(memory, log_folder, "main", 0, &earliest, &latest, NULL),
                     DV_OK);
    assert_int_equal(dv_prune_times(memory, log_folder, "other", 0, &earliest, &latest, NULL),
                     DV_ERR_NOT_FOUND);
    dv_prune_memory_free(memory);
}

/* Only dvara-logd's own word makes missing packs right. */
static void test_who_may_tell_of_pruning(void **state)
{
    static const char *const sources[] = {"dvara-logd", "gateway", "dvara-logd2"};
    for (size_t i = 0; i < DV_ARRAY_LEN(sources); i++) {
        char entry[512], log[DV_LOG_NAME_MAX + 1];
        uint64_t minimum = 0;
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        snprintf(entry, sizeof(entry),
                 "{\"metadata\":{\"log_source\":\"%s/0198c0de-0000-7000-8000-0123456789ab\","
                 "\"sequence\":1,\"event_code\":\"audit.pruned\"},\"entity\":{\"uid\":\"requests\","
                 "\"data\":{\"minimum\":65536}}}",
                 sources[i]);
        assert_int_equal(dv_prune_event_read(dv_slice_str(entry), arena, log, &minimum), i == 0);
        assert_int_equal(minimum, i == 0 ? PACK : 0);
    }
}

static dv_result count_id(void *data, dv_slice key_id)
{
    int *count = data;
    *count += dv_slice_eq_str(key_id, "AbCdEfGh_-1");
    return DV_OK;
}

/* What is told again before the beginning that told it goes. */
static void test_erasures_are_found(void **state)
{
    int count = 0;
    const dv_event_actor actor = {.time = dv_time_now()};
    dv_auto(sequencer) dv_sequencer *sequencer = NULL;
    dv_auto(buf) dv_buf event = dv_buf_init(DV_LIMIT_RECORD);
    dv_sequencer_options options = options_with(64 << 20);
    assert_int_equal(dv_sequencer_open(&options, &sequencer, NULL), DV_OK);
    assert_int_equal(dv_erasure_event(&event, &actor, DV_LIT("AbCdEfGh_-1"), DV_LIT("case 7")),
                     DV_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(dv_sequencer_note(sequencer, dv_buf_slice(&event)), DV_OK);
    }
    assert_int_equal(dv_sequencer_commit(sequencer, NULL), DV_OK);
    assert_int_equal(dv_erasures_each(log_folder, 0, 3, count_id, &count, NULL), DV_OK);
    assert_int_equal(count, 3);
    assert_int_equal(dv_erasures_each(log_folder, 1, 2, count_id, &count, NULL), DV_OK);
    assert_int_equal(count, 4);
}

static void run_program(const char *program, const char *a, const char *b, const char *c)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        execlp(program, program, a, b, c, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* The state says that more is pruned than the main log tells: someone helped the pruning along. */
static void test_pruning_is_believed_only_when_told(void **state)
{
    char state_file[PATH_MAX];
    dv_log_report report;
    static dv_log_state forged;
    write_segment("gateway", 0, MANY);
    assert_int_equal(run_routed(0, NULL), DV_OK);
    assert_int_equal(dv_log_state_load(log_folder, &forged, NULL), DV_OK);
    dv_log_state_tree(&forged, "requests")->minimum = PACK;
    assert_int_equal(dv_log_state_save(log_folder, &forged, NULL), DV_OK);
    class_path("pack/000", state_file);
    assert_int_equal(unlink(state_file), 0);
    assert_int_equal(dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report),
                     DV_ERR_CORRUPT);
    assert_non_null(strstr(report.problem, "that they were pruned"));
}

static bool pruning_killed_at(long step)
{
    pid_t child = fork();
    if (child == 0) {
        uint64_t pruned;
        dv_auto(sequencer) dv_sequencer *sequencer = NULL;
        dv_sequencer_options options = options_with(64 << 20);
        dv_prune_rule rule = {.before_ms = INT64_MAX, .end = UINT64_MAX};
        dv_result result = dv_sequencer_open(&options, &sequencer, NULL);
        fault_arm(FAULT_KILL, step);
        if (result == DV_OK) {
            result = dv_sequencer_prune(sequencer, "main", &rule, &pruned, NULL);
            dv_sequencer_forget(sequencer);
        }
        _exit(result == DV_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_not_equal(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == FAULT_EXIT;
}

static void test_pruning_killed_at_every_step(void **state)
{
    char kept[PATH_MAX];
    dv_log_report report;
    bool killed = true;
    long step = 1;
    write_segment("gateway", 0, MANY);
    assert_int_equal(run_once(64 << 20, NULL), DV_OK);
    snprintf(kept, sizeof(kept), "%s.kept", log_folder);
    run_program("cp", "-a", log_folder, kept);
    for (; killed; step += 7) { /* verifying takes its time */
        killed = pruning_killed_at(step);
        dv_result result = dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report);
        assert_true(result == DV_OK);
        assert_int_equal(run_once(64 << 20, NULL), DV_OK);
        assert_int_equal(dv_log_verify(log_folder, &signer.verifier, NULL, NULL, &report), DV_OK);
        run_program("rm", "-r", "--", log_folder);
        run_program("cp", "-a", kept, log_folder);
    }
    assert_true(step > 50);
    run_program("rm", "-r", "--", kept);
}

/* A request that begins before the clock is set back by an hour ends in a block of earlier times.
 */

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, make_folders, remove_folders)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_events_go_to_the_log_of_their_kind),
        LOG_TEST(test_pruned_logs_verify),
        LOG_TEST(test_erasures_are_found),
        LOG_TEST(test_who_may_tell_of_pruning),
        LOG_TEST(test_events_without_a_time_are_of_when_they_came),
        LOG_TEST(test_age_is_since_the_log_took_it),
        LOG_TEST(test_a_second_time_of_logging_counts_for_nothing),
        LOG_TEST(test_times_of_packs_are_remembered),
        LOG_TEST(test_pruning_is_believed_only_when_told),
        LOG_TEST(test_pruning_killed_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
