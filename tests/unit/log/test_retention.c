/* SPDX-License-Identifier: Apache-2.0 */
/* How long events are kept: the file at every byte, limits, and what holds keep. */
#include "engine/log/retention.h"

#include "engine/log/places.h"
#include "engine/log/retention_clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT_MAX = 256 << 10 };

static const int64_t minute = 60000, hour = 3600000, day = 86400000, noon = INT64_C(1790000000000);

static dv_retention retention, parsed;

static int start(void **state)
{
    memset(&retention, 0, sizeof(retention));
    return dv_retention_add_class(&retention, "main", 0, NULL) == DV_OK &&
                   dv_retention_add_class(&retention, "requests", 1000, NULL) == DV_OK &&
                   dv_retention_add_kind(&retention, "request.*", "requests", NULL) == DV_OK &&
                   dv_retention_add_hold(&retention,
                                         &(dv_retention_hold){"case-7", "requests", 5000, 6000},
                                         NULL) == DV_OK &&
                   dv_retention_add_hold(&retention, &(dv_retention_hold){"all", "", -1, INT64_MAX},
                                         NULL) == DV_OK
               ? 0
               : -1;
}

static void expect_same(void)
{
    dv_auto(buf) dv_buf a = dv_buf_init(TEXT_MAX), b = dv_buf_init(TEXT_MAX);
    assert_int_equal(dv_retention_format(&retention, &a), DV_OK);
    assert_int_equal(dv_retention_format(&parsed, &b), DV_OK);
    assert_true(dv_slice_eq(dv_buf_slice(&a), dv_buf_slice(&b)));
}

static void test_the_file_at_every_byte(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    assert_int_equal(dv_retention_format(&retention, &text), DV_OK);
    assert_int_equal(dv_retention_parse(dv_buf_slice(&text), &parsed, NULL), DV_OK);
    expect_same();
    for (size_t i = 0; i < text.len; i++) {
        text.ptr[i] ^= 1;
        assert_int_equal(dv_retention_parse(dv_buf_slice(&text), &parsed, NULL), DV_ERR_CORRUPT);
        text.ptr[i] ^= 1;
        assert_int_equal(dv_retention_parse(dv_slice_of(text.ptr, i), &parsed, NULL),
                         DV_ERR_CORRUPT);
    }
}

static void test_the_file_is_kept(void **state)
{
    char folder[] = "/tmp/dvara-retention-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(dv_retention_load(folder, &parsed, NULL), DV_OK);
    assert_int_equal(parsed.class_count + parsed.kind_count + parsed.hold_count, 0);
    assert_int_equal(dv_retention_save(folder, &retention, NULL), DV_OK);
    assert_int_equal(dv_retention_load(folder, &parsed, NULL), DV_OK);
    expect_same();
    snprintf(path, sizeof(path), "%s/retention", folder);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void test_what_is_refused(void **state)
{
    static const char *const names[] = {"",   "Main", "a b", "-a",
                                        "1a", "a/b",  "a.b", "abcdefghijklmnopqrstuvwxyzabcdefg"};
    static const char *const kinds[] = {"", "a*b", "**", "a b", "A", "a/b"};
    dv_retention_hold hold = {"twice", "", 0, 1};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        assert_int_equal(dv_retention_add_class(&retention, names[i], 0, NULL), DV_ERR_INVALID);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        assert_int_equal(dv_retention_add_kind(&retention, kinds[i], "main", NULL), DV_ERR_INVALID);
    }
    assert_int_equal(dv_retention_add_class(&retention, "main", 0, NULL), DV_ERR_CONFLICT);
    assert_int_equal(dv_retention_add_class(&retention, "minus", -1, NULL), DV_ERR_INVALID);
    assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_OK);
    assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_ERR_CONFLICT);
    hold = (dv_retention_hold){"backwards", "", 1, 1};
    assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_ERR_INVALID);
}

static void test_limits(void **state)
{
    char name[DV_LOG_NAME_MAX];
    dv_retention_hold hold = {"", "", 0, 1};
    for (size_t i = retention.class_count; i < DV_RETENTION_CLASSES_MAX; i++) {
        snprintf(name, sizeof(name), "c%zu", i);
        assert_int_equal(dv_retention_add_class(&retention, name, 0, NULL), DV_OK);
    }
    assert_int_equal(dv_retention_add_class(&retention, "more", 0, NULL), DV_ERR_TOO_LARGE);
    for (size_t i = retention.kind_count; i < DV_LOG_ROUTES_MAX; i++) {
        assert_int_equal(dv_retention_add_kind(&retention, "a", "main", NULL), DV_OK);
    }
    assert_int_equal(dv_retention_add_kind(&retention, "a", "main", NULL), DV_ERR_TOO_LARGE);
    for (size_t i = retention.hold_count; i < DV_RETENTION_HOLDS_MAX; i++) {
        snprintf(hold.name, sizeof(hold.name), "h%zu", i);
        assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_OK);
    }
    snprintf(hold.name, sizeof(hold.name), "more");
    assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_ERR_TOO_LARGE);
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    assert_int_equal(dv_retention_format(&retention, &text), DV_OK);
    assert_int_equal(dv_retention_parse(dv_buf_slice(&text), &parsed, NULL), DV_OK);
}

static void test_what_may_go(void **state)
{
    dv_prune_rule rule;
    dv_retention_rule(&retention, "main", 100000, &rule);
    assert_true(rule.before_ms == INT64_MIN);
    dv_retention_rule(&retention, "unknown", 100000, &rule);
    assert_true(rule.before_ms == INT64_MIN);
    dv_retention_rule(&retention, "requests", 100000, &rule);
    assert_int_equal(rule.before_ms, 99000);
    assert_true(rule.is_held(rule.data, "requests", 0, 10)); /* by "all" */
    assert_true(dv_retention_release(&retention, "all"));
    assert_false(dv_retention_release(&retention, "all"));
    assert_false(rule.is_held(rule.data, "requests", 0, 4999));
    assert_true(rule.is_held(rule.data, "requests", 0, 5000));
    assert_true(rule.is_held(rule.data, "requests", 5999, 7000));
    assert_false(rule.is_held(rule.data, "requests", 6000, 7000));
    assert_false(rule.is_held(rule.data, "main", 5500, 5600));
}

/* What can't be counted with, and what is more than a word. */
static void test_looks_that_can_not_be(void **state)
{
    static const dv_retention_seen bad[] = {
        {INT64_MAX, 0, ""}, {1, -1, ""}, {1, INT64_MAX, ""}, {1, 1, "a b"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
        retention.seen = bad[i];
        assert_int_equal(dv_retention_format(&retention, &text), DV_OK);
        assert_int_equal(dv_retention_parse(dv_buf_slice(&text), &parsed, NULL), DV_ERR_CORRUPT);
    }
}

static void test_reasons_are_kept(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(TEXT_MAX);
    dv_retention_hold hold = {"case-9", "", 1, 2, 3, "request of the court: \xc3\xa4 2"};
    assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_OK);
    retention.unsettled_ms = 4711;
    retention.seen = (dv_retention_seen){noon, 7, ""};
    assert_int_equal(dv_retention_set_archive(&retention, "relative", NULL), DV_ERR_INVALID);
    assert_int_equal(dv_retention_set_archive(&retention, "/a\nb", NULL), DV_ERR_INVALID);
    assert_int_equal(dv_retention_set_archive(&retention, "/srv/of the node", NULL), DV_OK);
    assert_int_equal(dv_retention_format(&retention, &text), DV_OK);
    assert_int_equal(dv_retention_parse(dv_buf_slice(&text), &parsed, NULL), DV_OK);
    expect_same();
    assert_string_equal(parsed.holds[2].reason, hold.reason);
    assert_int_equal(parsed.holds[2].created_ms, 3);
    assert_int_equal(parsed.unsettled_ms, 4711);
    assert_memory_equal(&parsed.seen, &retention.seen, sizeof(parsed.seen));
    snprintf(retention.seen.boot_id, sizeof(retention.seen.boot_id), "%s",
             "0198c0de-0000-7000-8000-0123456789ab");
    assert_int_equal(dv_retention_format(&retention, &text), DV_OK);
    assert_int_equal(dv_retention_parse(dv_buf_slice(&text), &parsed, NULL), DV_OK);
    assert_memory_equal(&parsed.seen, &retention.seen, sizeof(parsed.seen));
    assert_string_equal(parsed.archive, "/srv/of the node");
    /* No reason begins another line, or is no text. */
    static const char *const bad[] = {"a\nhold x * 0 1 0 ", "\x01", "\xff"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        hold = (dv_retention_hold){"bad", "", 1, 2};
        snprintf(hold.reason, sizeof(hold.reason), "%s", bad[i]);
        assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_ERR_INVALID);
    }
    memset(hold.reason, 'x', DV_RETENTION_REASON_MAX);
    assert_int_equal(dv_retention_add_hold(&retention, &hold, NULL), DV_OK);
    assert_int_equal(dv_retention_format(&retention, &text), DV_OK);
    assert_int_equal(dv_retention_parse(dv_buf_slice(&text), &parsed, NULL), DV_OK);
}

static void test_what_others_go_by_stays_in_the_main_log(void **state)
{
    static const char *const kept_back[] = {"audit.pruned", "audit.*", "a*",  "*",
                                            "alarm",        "alarm*",  "au*", "foreign.code"};
    static const char *const free_kinds[] = {"request.*", "alert.raised", "al",       "audi",
                                             "auditor.*", "alarms",       "session.*"};
    for (size_t i = 0; i < DV_ARRAY_LEN(kept_back); i++) {
        assert_true(dv_retention_kind_is_kept_back(kept_back[i]));
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(free_kinds); i++) {
        assert_false(dv_retention_kind_is_kept_back(free_kinds[i]));
    }
}

/* -- the clock --------------------------------------------------------------------------------- */

/* Without an earlier look. */
static void start_clock(dv_retention_clock *clock, int64_t newest, int64_t left, int64_t wall,
                        int64_t machine)
{
    const dv_retention_seen never = {0}, now = {wall, machine, "boot"};
    assert_false(dv_retention_clock_start(clock, newest, left, &never, &now));
}

static void test_a_steady_clock_is_believed(void **state)
{
    dv_retention_clock clock;
    start_clock(&clock, noon - hour, 0, noon, 5);
    for (int i = 0; i < 5000; i++) { /* a clock that is slewed by half a second an hour */
        int64_t at = i * minute;
        assert_false(dv_retention_clock_look(&clock, noon + at + at / 7200, 5 + at));
    }
    int64_t at = 5000 * minute;
    assert_int_equal(dv_retention_clock_now(&clock, noon + 7, noon + at, 5 + at), noon + 7);
    assert_int_equal(dv_retention_clock_now(&clock, noon + 2 * at, noon + at, 5 + at), noon + at);
}

static void test_a_jump_ahead_prunes_nothing_for_a_day(void **state)
{
    dv_retention_clock clock;
    start_clock(&clock, noon, 0, noon, 0);
    assert_false(dv_retention_clock_look(&clock, noon + minute, minute));
    int64_t later = noon + 400 * day; /* the log's newest entry is as far by then, too */
    assert_true(dv_retention_clock_look(&clock, later, 2 * minute));
    assert_int_equal(dv_retention_clock_now(&clock, later, later, 2 * minute), INT64_MIN);
    assert_false(dv_retention_clock_look(&clock, later + minute, 3 * minute));
    assert_int_equal(dv_retention_clock_left(&clock, 2 * minute), day);
    /* It goes on as it is: then it is right. */
    assert_false(dv_retention_clock_look(&clock, later + day, 2 * minute + day));
    assert_int_equal(dv_retention_clock_now(&clock, later, later + day, 2 * minute + day), later);
    /* A second jump begins the day anew. */
    assert_true(dv_retention_clock_look(&clock, later + 3 * day, 3 * minute + day));
    assert_int_equal(dv_retention_clock_left(&clock, 3 * minute + day), day);
}

static void test_a_clock_that_is_set_right_again(void **state)
{
    dv_retention_clock clock;
    start_clock(&clock, noon, 0, noon, 0);
    assert_true(dv_retention_clock_look(&clock, noon + 30 * day, minute));
    assert_false(dv_retention_clock_look(&clock, noon + 10 * day, 2 * minute)); /* not yet right */
    assert_int_not_equal(dv_retention_clock_left(&clock, 2 * minute), 0);
    start_clock(&clock, noon, 0, noon, 0);
    assert_true(dv_retention_clock_look(&clock, noon + 30 * day, minute));
    assert_false(dv_retention_clock_look(&clock, noon + 2 * minute, 2 * minute));
    assert_int_equal(dv_retention_clock_left(&clock, 2 * minute), 0);
}

/* What comes while it is behind would be old too soon. */
static void test_a_clock_that_is_set_back_prunes_nothing_for_a_day(void **state)
{
    dv_retention_clock clock;
    start_clock(&clock, noon, 0, noon, 0);
    assert_true(dv_retention_clock_look(&clock, noon - day, minute));
    assert_int_equal(clock.ahead_ms, -day - minute);
    assert_int_equal(dv_retention_clock_now(&clock, noon, noon - day, minute), INT64_MIN);
    /* A day later it is right: lets less go, never more. */
    assert_false(dv_retention_clock_look(&clock, noon, minute + day));
    assert_int_equal(dv_retention_clock_now(&clock, 2 * noon, noon, minute + day), noon);
    /* Set right soon, it is as if nothing had been. */
    assert_true(dv_retention_clock_look(&clock, noon - hour, 2 * minute + day));
    assert_false(dv_retention_clock_look(&clock, noon + 2 * minute, 3 * minute + day));
    assert_int_equal(dv_retention_clock_left(&clock, 3 * minute + day), 0);
    /* More than right is a jump. */
    assert_true(dv_retention_clock_look(&clock, noon - hour, 3 * minute + day));
    assert_true(dv_retention_clock_look(&clock, noon + 2 * hour, 4 * minute + day));
    assert_int_equal(dv_retention_clock_left(&clock, 4 * minute + day), day);
}

static void test_creeping_ahead_is_a_jump_too(void **state)
{
    dv_retention_clock clock;
    bool jumped = false;
    start_clock(&clock, noon, 0, noon, 0);
    for (int i = 1; i < 20 && !jumped; i++) { /* a minute too many in each */
        jumped = dv_retention_clock_look(&clock, noon + 2 * i * minute, i * minute);
    }
    assert_true(jumped);
}

static void test_a_start_after_a_long_time(void **state)
{
    dv_retention_clock clock;
    start_clock(&clock, noon, 0, noon + 2 * day, 0);
    assert_int_equal(dv_retention_clock_left(&clock, 0), day);
    start_clock(&clock, noon, 0, noon + hour, 0);
    assert_int_equal(dv_retention_clock_left(&clock, 0), 0);
    start_clock(&clock, 0, 0, noon, 0); /* a new log */
    assert_int_equal(dv_retention_clock_left(&clock, 0), 0);
    /* A restart does not settle what an earlier life saw; what stands in the file is no longer. */
    start_clock(&clock, noon, hour, noon, 0);
    assert_int_equal(dv_retention_clock_left(&clock, 0), hour);
    start_clock(&clock, noon, INT64_MAX, noon, 0);
    assert_int_equal(dv_retention_clock_left(&clock, 0), day);
}

/* Starts at wall after a look at noon, an hour after the machine's start. Returns whether it tells.
 */
static bool restart(dv_retention_clock *clock, int64_t left, int64_t wall, int64_t machine,
                    const char *boot)
{
    const dv_retention_seen seen = {noon, hour, "this"};
    dv_retention_seen now = {wall, machine, ""};
    snprintf(now.boot_id, sizeof(now.boot_id), "%s", boot);
    return dv_retention_clock_start(clock, noon, left, &seen, &now);
}

/* Less than a day, again and again: what the machine's own time does not explain is a jump. */
static void test_a_jump_over_a_restart_is_seen(void **state)
{
    dv_retention_clock clock;
    assert_false(restart(&clock, 0, noon + 5 * hour, 6 * hour, "this"));
    assert_int_equal(dv_retention_clock_left(&clock, 6 * hour), 0);
    assert_true(restart(&clock, 0, noon + 6 * hour, 6 * hour, "this"));
    assert_int_equal(clock.ahead_ms, hour);
    assert_int_equal(dv_retention_clock_left(&clock, 6 * hour), day);
    assert_true(restart(&clock, 0, noon + 4 * hour, 6 * hour, "this"));
    assert_int_equal(clock.ahead_ms, -hour);
    assert_int_equal(dv_retention_clock_left(&clock, 6 * hour), day);
    /* To set it right now undoes only what was seen whole. */
    assert_false(dv_retention_clock_look(&clock, noon + 5 * hour, 6 * hour));
    assert_int_equal(dv_retention_clock_left(&clock, 6 * hour), day);
    assert_true(restart(&clock, hour, noon + 6 * hour, 6 * hour, "this"));
    assert_int_equal(dv_retention_clock_left(&clock, 6 * hour), day);
}

/* What is remembered is what time it should have been: a jump right before is in the next look. */
static void test_creeping_over_restarts_is_seen(void **state)
{
    dv_retention_clock clock;
    dv_retention_seen seen = {noon, 0, "this"};
    bool jumped = false;
    start_clock(&clock, noon, 0, noon, 0);
    for (int i = 1; i < 10 && !jumped; i++) { /* four minutes too many in each life */
        dv_retention_seen now = {noon + 5 * i * minute, i * minute, "this"};
        jumped = dv_retention_clock_start(&clock, noon, 0, &seen, &now);
        seen = now;
        seen.wall_ms = dv_retention_clock_expected(&clock, now.machine_ms);
    }
    assert_true(jumped);
}

/* Nobody knows how long the machine was off. */
static void test_a_restart_of_the_machine(void **state)
{
    dv_retention_clock clock;
    static const char *const others[] = {"other", ""};
    for (size_t i = 0; i < DV_ARRAY_LEN(others); i++) {
        assert_false(restart(&clock, 0, noon + 5 * minute, 3 * minute, others[i]));
        assert_int_equal(dv_retention_clock_left(&clock, 3 * minute), 0);
        assert_false(restart(&clock, 0, noon + 7 * hour, hour, others[i]));
        assert_int_equal(dv_retention_clock_left(&clock, hour), 6 * hour);
        assert_false(restart(&clock, 0, noon + 70 * day, hour, others[i]));
        assert_int_equal(dv_retention_clock_left(&clock, hour), day);
        assert_true(restart(&clock, 0, noon - hour, minute, others[i])); /* certainly set back */
        assert_int_equal(dv_retention_clock_left(&clock, minute), day);
    }
    assert_true(restart(&clock, 0, noon, hour / 2, "this")); /* its time went back: another one */
}

/* -- places ------------------------------------------------------------------------------------ */

static void expect_places(const char *text, const char *again)
{
    dv_places places;
    dv_auto(buf) dv_buf out = dv_buf_init(DV_PLACES_TEXT_MAX);
    assert_int_equal(dv_places_read(dv_slice_str(text), &places), DV_OK);
    assert_int_equal(dv_places_write(&places, &out), DV_OK);
    assert_true(dv_slice_eq_str(dv_buf_slice(&out), again));
}

static void test_places(void **state)
{
    dv_places places = {.count = 0};
    char name[8];
    expect_places("", "");
    expect_places("4711", "4711");
    expect_places("main:4711", "4711");
    expect_places("requests:0", "requests:0");
    expect_places("main:1,a:2,b-3:9223372036854775807", "main:1,a:2,b-3:9223372036854775807");
    static const char *const bad[] = {
        "x",     ":1",  "a:",  "a:1,", ",a:1",  "a:1,a:2", "a:-1",     "a:01",
        "a:1:2", "A:1", "1,2", "a:1 ", "a/b:1", "a:+1 ",   "main:1,5", "a:18446744073709551616"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_places_read(dv_slice_str(bad[i]), &places), DV_ERR_INVALID);
    }
    places.count = 0;
    for (int i = 0; i < DV_PLACES_MAX; i++) {
        snprintf(name, sizeof(name), "l%d", i);
        assert_int_equal(dv_places_set(&places, dv_slice_str(name), 1), DV_OK);
    }
    assert_int_equal(dv_places_set(&places, DV_LIT("more"), 1), DV_ERR_TOO_LARGE);
    assert_int_equal(dv_places_set(&places, DV_LIT("l3"), 9), DV_OK);
    assert_int_equal(dv_places_find(&places, DV_LIT("l3"))->next, 9);
    assert_null(dv_places_find(&places, DV_LIT("l99")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_file_at_every_byte, start),
        cmocka_unit_test_setup(test_the_file_is_kept, start),
        cmocka_unit_test_setup(test_what_is_refused, start),
        cmocka_unit_test_setup(test_limits, start),
        cmocka_unit_test_setup(test_what_may_go, start),
        cmocka_unit_test_setup(test_reasons_are_kept, start),
        cmocka_unit_test_setup(test_what_others_go_by_stays_in_the_main_log, start),
        cmocka_unit_test_setup(test_a_steady_clock_is_believed, start),
        cmocka_unit_test_setup(test_a_jump_ahead_prunes_nothing_for_a_day, start),
        cmocka_unit_test_setup(test_a_clock_that_is_set_right_again, start),
        cmocka_unit_test_setup(test_creeping_ahead_is_a_jump_too, start),
        cmocka_unit_test_setup(test_looks_that_can_not_be, start),
        cmocka_unit_test_setup(test_a_start_after_a_long_time, start),
        cmocka_unit_test_setup(test_a_clock_that_is_set_back_prunes_nothing_for_a_day, start),
        cmocka_unit_test_setup(test_a_jump_over_a_restart_is_seen, start),
        cmocka_unit_test_setup(test_creeping_over_restarts_is_seen, start),
        cmocka_unit_test_setup(test_a_restart_of_the_machine, start),
        cmocka_unit_test_setup(test_places, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
