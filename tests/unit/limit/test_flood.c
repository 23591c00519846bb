/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limit/flood.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static dv_flood *make(uint32_t per_second, uint32_t burst, uint32_t held)
{
    const dv_flood_limits limits = {per_second, burst, held};
    dv_flood *flood = NULL;
    assert_int_equal(dv_flood_new(64, &limits, &flood), DV_OK);
    return flood;
}

static size_t passed(dv_flood *flood, const char *name, size_t count, dv_time now)
{
    size_t passes = 0;
    for (size_t i = 0; i < count; i++) {
        passes += dv_flood_take(flood, dv_slice_str(name), 1, now) != NULL;
    }
    return passes;
}

static void rate_and_burst_hold_for_each_name(void **state)
{
    dv_flood *flood = make(10, 25, 0);
    assert_int_equal(passed(flood, "192.0.2.1", 100, DV_SECOND), 25);
    assert_int_equal(passed(flood, "192.0.2.2", 100, DV_SECOND), 25);
    assert_int_equal(passed(flood, "192.0.2.1", 100, 2 * DV_SECOND), 10);
    assert_int_equal(passed(flood, "192.0.2.1", 100, 100 * DV_SECOND), 25);
    dv_flood_free(flood);
}

static void no_more_are_held_than_said(void **state)
{
    dv_flood *flood = make(0, 1, 3);
    dv_flood_entry *held[3];
    for (size_t i = 0; i < 3; i++) {
        held[i] = dv_flood_hold(flood, DV_LIT("a"), 0, 1);
        assert_non_null(held[i]);
    }
    assert_null(dv_flood_hold(flood, DV_LIT("a"), 0, 1));
    assert_non_null(dv_flood_hold(flood, DV_LIT("b"), 0, 1));
    dv_flood_release(held[1]);
    assert_non_null(dv_flood_hold(flood, DV_LIT("a"), 0, 1));
    assert_null(dv_flood_hold(flood, DV_LIT("a"), 0, 1));
    dv_flood_free(flood);
}

typedef struct told {
    uint64_t count;
    size_t times;
    char name[DV_FLOOD_NAME_MAX + 1];
    dv_result result;
} told;

static dv_result hear(void *data, const dv_flood_excess *excess)
{
    told *heard = data;
    if (heard->result == DV_OK) {
        heard->times++;
        heard->count += excess->count;
        snprintf(heard->name, sizeof(heard->name), "%.*s", DV_SLICE_ARGS(excess->name));
    }
    return heard->result;
}

static void what_went_over_is_told_once(void **state)
{
    dv_flood *flood = make(1, 5, 0);
    told heard = {0};
    passed(flood, "192.0.2.1", 105, DV_SECOND);
    assert_int_equal(dv_flood_pending(flood), 1);
    dv_flood_tell(flood, DV_SECOND, hear, &heard); /* it did not begin before */
    assert_int_equal(heard.times, 0);
    heard.result = DV_ERR_UNAVAILABLE;
    dv_flood_tell(flood, DV_TIME_NEVER, hear, &heard);
    assert_int_equal(dv_flood_pending(flood), 1);
    heard.result = DV_OK;
    dv_flood_tell(flood, DV_TIME_NEVER, hear, &heard);
    dv_flood_tell(flood, DV_TIME_NEVER, hear, &heard);
    assert_int_equal(heard.times, 1);
    assert_int_equal(heard.count, 100);
    assert_string_equal(heard.name, "192.0.2.1");
    dv_flood_free(flood);
}

/* Ten thousand addresses in a table of 64: nothing that went over is forgotten, and none gets more
 * than its due. */
static void a_full_table_forgets_nothing(void **state)
{
    enum { NAMES = 10000, EACH = 4 };
    dv_flood *flood = make(1, 2, 0);
    told heard = {0};
    size_t passes = 0;
    for (size_t i = 0; i < NAMES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "2001:db8::%zx/64", i);
        passes += passed(flood, name, EACH, DV_SECOND);
    }
    dv_flood_tell(flood, DV_TIME_NEVER, hear, &heard);
    assert_true(passes <= 2 * 65);
    assert_int_equal(passes + heard.count, NAMES * EACH);
    dv_flood_free(flood);
}

typedef struct by_kind {
    uint64_t counts[3];
} by_kind;

static dv_result hear_kind(void *data, const dv_flood_excess *excess)
{
    by_kind *heard = data;
    assert_in_range(excess->kind, 0, 2);
    heard->counts[excess->kind] += excess->count;
    return DV_OK;
}

/* However many share an entry: what is told of a kind is what went over of it. */
static void names_without_room_are_told_by_kind(void **state)
{
    enum { NAMES = 3000, EACH = 4 };
    dv_flood *flood = make(1, 2, 0);
    by_kind heard = {{0}};
    uint64_t over[3] = {0};
    for (size_t i = 0; i < NAMES * EACH; i++) {
        char name[32];
        unsigned kind = (unsigned)(i % 3);
        int len = snprintf(name, sizeof(name), "2001:db8::%zx/64", i / EACH);
        over[kind] += dv_flood_take(flood, dv_slice_of(name, (size_t)len), kind, DV_SECOND) == NULL;
    }
    assert_true(dv_flood_pending(flood) > 0);
    dv_flood_tell(flood, DV_TIME_NEVER, hear_kind, &heard);
    assert_int_equal(dv_flood_pending(flood), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(over[i] > 0);
        assert_int_equal(heard.counts[i], over[i]);
    }
    dv_flood_free(flood);
}

/* Ten thousand others fill the table, each with something held or to be told: a stranger passes,
 * and theirs hold on. */
static void a_full_table_shuts_nobody_out(void **state)
{
    enum { OTHERS = 10000 };
    const dv_flood_limits limits = {.per_second = 1, .burst = 2, .held = 3, .strangers_pass = true};
    dv_flood *flood = NULL;
    char name[32];
    assert_int_equal(dv_flood_new(64, &limits, &flood), DV_OK);
    for (size_t i = 0; i < OTHERS; i++) {
        snprintf(name, sizeof(name), "2001:db8::%zx/64", i);
        assert_non_null(dv_flood_hold(flood, dv_slice_str(name), 0, DV_SECOND));
    }
    for (size_t i = 0; i < 10; i++) {
        assert_non_null(dv_flood_hold(flood, DV_LIT("192.0.2.7"), 0, DV_SECOND));
    }
    size_t more = 0;
    for (size_t i = 0; i < 10; i++) { /* one of the first has its own entry still */
        more += dv_flood_take(flood, DV_LIT("2001:db8::0/64"), 0, DV_SECOND) != NULL;
    }
    assert_int_equal(more, 1);
    dv_flood_free(flood);
}

/* Names that only came and went give their places to others, who get a whole burst. */
static void who_came_and_went_gives_way(void **state)
{
    enum { OTHERS = 1000 };
    const dv_flood_limits limits = {.per_second = 1, .burst = 2, .strangers_pass = true};
    dv_flood *flood = NULL;
    char name[32];
    assert_int_equal(dv_flood_new(64, &limits, &flood), DV_OK);
    for (size_t i = 0; i < OTHERS; i++) {
        snprintf(name, sizeof(name), "198.51.100.%zu", i);
        assert_int_equal(passed(flood, name, 2, DV_SECOND + (dv_time)i), 2);
    }
    assert_int_equal(passed(flood, "192.0.2.7", 10, 2 * DV_SECOND), 2);
    dv_flood_free(flood);
}

static void long_names_and_bad_sizes(void **state)
{
    const dv_flood_limits limits = {1, 1, 0};
    const dv_flood_limits none = {1, 0, 0};
    char name[200];
    dv_flood *flood = NULL;
    assert_int_equal(dv_flood_new(63, &limits, &flood), DV_ERR_INVALID);
    assert_int_equal(dv_flood_new(8, &limits, &flood), DV_ERR_INVALID);
    assert_int_equal(dv_flood_new(64, &none, &flood), DV_ERR_INVALID);
    flood = make(1, 1, 0);
    memset(name, 'x', sizeof(name));
    assert_non_null(dv_flood_take(flood, dv_slice_of(name, sizeof(name)), 0, 1));
    assert_null(dv_flood_take(flood, dv_slice_of(name, sizeof(name)), 0, 1));
    dv_flood_free(flood);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_and_burst_hold_for_each_name),
        cmocka_unit_test(no_more_are_held_than_said),
        cmocka_unit_test(what_went_over_is_told_once),
        cmocka_unit_test(a_full_table_forgets_nothing),
        cmocka_unit_test(names_without_room_are_told_by_kind),
        cmocka_unit_test(a_full_table_shuts_nobody_out),
        cmocka_unit_test(who_came_and_went_gives_way),
        cmocka_unit_test(long_names_and_bad_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
