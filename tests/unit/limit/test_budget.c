/* SPDX-License-Identifier: Apache-2.0 */
/* Budgets, their settlement and the calendar; token rates that are settled; limits at once. */
#include "engine/limit/limit.h"

#include "tests/unit/limit/scratch.h"

#include <signal.h>
#include <sys/wait.h>

static const dv_time day = (dv_time)86400 * DV_SECOND;
static const dv_time start = (dv_time)1700000000 * DV_SECOND; /* 2023-11-14T22:13:20Z */
static const dv_limit_thresholds thresholds = {{80, 100}};

static dv_limit_charge budget_of(const char *key, uint64_t max, dv_limit_period period,
                                 uint64_t cost)
{
    return (dv_limit_charge){.key = dv_slice_str(key),
                             .kind = DV_LIMIT_BUDGET,
                             .unit = DV_LIMIT_TOKENS,
                             .period = period,
                             .max = max,
                             .cost = cost};
}

static dv_limit_charge tokens_of(const char *key, uint64_t count, uint64_t cost)
{
    return (dv_limit_charge){.key = dv_slice_str(key),
                             .rate = {count, DV_SECOND, count},
                             .unit = DV_LIMIT_TOKENS,
                             .cost = cost};
}

static dv_limit_charge at_once(const char *key, uint64_t max)
{
    return (dv_limit_charge){
        .key = dv_slice_str(key), .kind = DV_LIMIT_CONCURRENT, .max = max, .cost = 1};
}

static dv_limit_state charge(scratch *s, dv_limit_charge *charges, size_t count, dv_time now)
{
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s->counters, charges, count, now, &state), DV_OK);
    return state;
}

/* Returns the percentage that was warned of, or 0. */
static uint32_t settle(scratch *s, dv_limit_charge *charge, uint64_t tokens, dv_time reserved_at,
                       dv_time now)
{
    uint64_t settled[3] = {[DV_LIMIT_TOKENS] = tokens};
    dv_limit_warning warning = {0};
    size_t warnings = 0;

    assert_int_equal(dv_limit_settle_all(s->counters, charge, 1, settled, reserved_at, now,
                                         &thresholds, &warning, &warnings),
                     DV_OK);
    return warnings > 0 ? warning.percent : 0;
}

static uint64_t used(scratch *s, dv_limit_charge charge, dv_time now)
{
    dv_limit_usage usage;

    assert_int_equal(dv_limit_read(s->counters, &charge, now, &usage), DV_OK);
    return usage.used;
}

static void knows_the_calendar(void **unused)
{
    static const struct {
        const char *time;
        uint32_t days, months;
        const char *month_end;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, 0, "1970-02-01T00:00:00Z"},
        {"1970-01-31T23:59:59.999999Z", 30, 0, "1970-02-01T00:00:00Z"},
        {"1972-02-29T12:00:00Z", 789, 25, "1972-03-01T00:00:00Z"},
        {"1999-12-31T23:59:59Z", 10956, 359, "2000-01-01T00:00:00Z"},
        {"2000-02-29T00:00:00Z", 11016, 361, "2000-03-01T00:00:00Z"},
        {"2026-11-22T02:00:00Z", 20779, 682, "2026-12-01T00:00:00Z"},
        {"2026-12-31T23:59:59Z", 20818, 683, "2027-01-01T00:00:00Z"},
        {"2100-02-28T23:00:00Z", 47540, 1561, "2100-03-01T00:00:00Z"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(rows); i++) {
        dv_time time = 0, end = 0;
        char text[DV_LIMIT_LABEL_TEXT_MAX];
        assert_int_equal(dv_time_parse(dv_slice_str(rows[i].time), &time), DV_OK);
        assert_int_equal(dv_time_parse(dv_slice_str(rows[i].month_end), &end), DV_OK);
        assert_int_equal(dv_limit_label(DV_LIMIT_DAY, time), rows[i].days);
        assert_int_equal(dv_limit_label(DV_LIMIT_MONTH, time), rows[i].months);
        assert_int_equal(dv_limit_label_end(DV_LIMIT_MONTH, rows[i].months), end);
        assert_int_equal(dv_limit_label_end(DV_LIMIT_DAY, rows[i].days), (rows[i].days + 1) * day);
        dv_limit_label_text(DV_LIMIT_DAY, rows[i].days, text);
        assert_memory_equal(text, rows[i].time, 10);
        dv_limit_label_text(DV_LIMIT_MONTH, rows[i].months, text);
        assert_int_equal(strlen(text), 7);
        assert_memory_equal(text, rows[i].time, 7);
    }
    /* Every day until 2149 has a month that begins on or before it and ends after it. */
    for (int64_t days = 0; days < 65535; days++) {
        uint32_t month = dv_limit_label(DV_LIMIT_MONTH, days * day);
        assert_true(dv_limit_label_end(DV_LIMIT_MONTH, month) > days * day);
        assert_true(month == 0 || dv_limit_label_end(DV_LIMIT_MONTH, month - 1) <= days * day);
    }
}

static void a_budget_is_given_out_once_a_period(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge one = budget_of("group/ml", 1000, DV_LIMIT_DAY, 400);

    assert_true(charge(&s, &one, 1, start).admitted);
    assert_int_equal(one.remaining, 600);
    assert_true(charge(&s, &one, 1, start).admitted);
    dv_limit_state state = charge(&s, &one, 1, start);
    assert_false(state.admitted);
    assert_int_equal(state.limit, 1000);
    assert_int_equal(state.remaining, 200);
    dv_time end = dv_limit_label_end(DV_LIMIT_DAY, dv_limit_label(DV_LIMIT_DAY, start));
    assert_int_equal(state.retry_after, end - start);
    assert_int_equal(state.tat, end);
    assert_false(charge(&s, &one, 1, end - 1).admitted);
    assert_true(charge(&s, &one, 1, end).admitted);
    assert_int_equal(one.remaining, 600);
    one.cost = 1001; /* never */
    assert_int_equal(charge(&s, &one, 1, end).retry_after, DV_TIME_NEVER);
    scratch_end(&s);
}

static void settling_gives_back_what_was_not_used(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge one = budget_of("user/a", 1000, DV_LIMIT_MONTH, 900);

    assert_true(charge(&s, &one, 1, start).admitted);
    assert_int_equal(settle(&s, &one, 100, start, start + DV_SECOND), 0);
    assert_int_equal(used(&s, one, start), 100);
    assert_int_equal(settle(&s, &one, 0, start, start), 0); /* only once */
    assert_int_equal(used(&s, one, start), 100);
    /* What came on top of a reservation is charged as far as there is room. */
    one.cost = 100;
    assert_true(charge(&s, &one, 1, start).admitted);
    dv_limit_charge other = budget_of("user/a", 1000, DV_LIMIT_MONTH, 700);
    assert_true(charge(&s, &other, 1, start).admitted);
    assert_int_equal(settle(&s, &one, 5000, start, start), 100);
    assert_int_equal(used(&s, one, start), 1000);
    dv_limit_charge more = budget_of("user/a", 1000, DV_LIMIT_MONTH, 1);
    assert_false(charge(&s, &more, 1, start).admitted);
    assert_int_equal(more.remaining, 0);
    more.max = 1001;
    assert_true(charge(&s, &more, 1, start).admitted);
    /* Its period is over: the next one is left alone. */
    dv_time next = dv_limit_label_end(DV_LIMIT_MONTH, one.label);
    dv_limit_charge later = budget_of("user/a", 1000, DV_LIMIT_MONTH, 50);
    assert_true(charge(&s, &later, 1, next).admitted);
    assert_int_equal(settle(&s, &other, 0, start, next), 0);
    assert_int_equal(used(&s, later, next), 50);
    scratch_end(&s);
}

static void warns_once_for_each_threshold_and_period(void **unused)
{
    scratch s = scratch_new(16);
    dv_time now = start;

    for (int i = 0; i < 2; i++) {
        uint32_t told[10];
        for (int j = 0; j < 10; j++) {
            dv_limit_charge one = budget_of("key/k", 1000, DV_LIMIT_DAY, 100);
            assert_true(charge(&s, &one, 1, now).admitted);
            told[j] = settle(&s, &one, 100, now, now);
        }
        for (int j = 0; j < 10; j++) {
            assert_int_equal(told[j], j == 7 ? 80 : j == 9 ? 100 : 0);
        }
        now += day;
    }
    scratch_end(&s);
}

static void a_changed_budget_goes_on_with_what_was_used(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge one = budget_of("key/k", 1000, DV_LIMIT_DAY, 900);

    assert_true(charge(&s, &one, 1, start).admitted);
    one = budget_of("key/k", 500, DV_LIMIT_DAY, 1);
    assert_false(charge(&s, &one, 1, start).admitted);
    one.max = 901;
    assert_true(charge(&s, &one, 1, start).admitted);
    assert_int_equal(dv_limit_reset(s.counters, &one, start), DV_OK);
    assert_int_equal(used(&s, one, start), 0);
    scratch_end(&s);
}

static void units_and_periods_count_apart(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge four[4] = {budget_of("k", 10, DV_LIMIT_DAY, 10),
                               budget_of("k", 10, DV_LIMIT_MONTH, 9),
                               budget_of("k", 10, DV_LIMIT_DAY, 8), tokens_of("k", 10, 7)};

    four[2].unit = DV_LIMIT_COST;
    assert_true(charge(&s, four, 4, start).admitted);
    assert_int_equal(four[0].remaining, 0);
    assert_int_equal(four[1].remaining, 1);
    assert_int_equal(four[2].remaining, 2);
    assert_int_equal(four[3].remaining, 3);
    /* All or nothing over the kinds, too. */
    four[0].cost = 0;
    four[3].cost = 4;
    assert_false(charge(&s, four, 4, start).admitted);
    assert_int_equal(used(&s, four[1], start), 9);
    scratch_end(&s);
}

static void no_clock_grants_a_second_budget(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge one = budget_of("k", 100, DV_LIMIT_DAY, 100);

    assert_true(charge(&s, &one, 1, start).admitted);
    /* To the next day and back: the next day's budget is taken now, and not again then. */
    assert_true(charge(&s, &one, 1, start + day).admitted);
    assert_false(charge(&s, &one, 1, start).admitted);
    assert_false(charge(&s, &one, 1, start + day).admitted);
    assert_true(charge(&s, &one, 1, start + 2 * day).admitted);
    /* Far ahead and back: the present day counts as used up, the next is as always. */
    assert_true(charge(&s, &one, 1, start + 4000 * day).admitted);
    assert_false(charge(&s, &one, 1, start + 3 * day).admitted);
    dv_limit_state state = charge(&s, &one, 1, start + 3 * day);
    assert_false(state.admitted);
    assert_true(state.retry_after <= day);
    assert_true(charge(&s, &one, 1, start + 4 * day).admitted);
    scratch_end(&s);
}

static void refuses_bad_limits(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge bad[] = {budget_of("k", 0, DV_LIMIT_DAY, 1),
                             budget_of("k", DV_LIMIT_BUDGET_MAX + 1, DV_LIMIT_DAY, 1),
                             at_once("k", 0),
                             at_once("k", DV_LIMIT_CONCURRENT_MAX + 1),
                             {.kind = (dv_limit_kind)9}};
    dv_limit_state state;

    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_limit_charge_all(s.counters, &bad[i], 1, start, &state),
                         DV_ERR_INVALID);
        assert_false(state.admitted);
    }
    dv_limit_charge largest =
        budget_of("k", DV_LIMIT_BUDGET_MAX, DV_LIMIT_DAY, DV_LIMIT_BUDGET_MAX);
    assert_true(charge(&s, &largest, 1, start).admitted);
    assert_int_equal(used(&s, largest, start), DV_LIMIT_BUDGET_MAX);
    scratch_end(&s);
}

/* A plain bucket of what was settled, charged when it was reserved, must never run over. */
static void settled_rates_keep_every_interval(void **unused)
{
    enum { STEPS = 20000, OPEN = 8 };
    scratch s = scratch_new(16);
    uint64_t seed = 88172645463325252;
    dv_limit_charge open[OPEN];
    dv_time reserved_at[OPEN];
    size_t opened = 0, events = 0;
    static dv_time times[STEPS];
    static uint64_t costs[STEPS];
    static size_t of[OPEN];
    dv_time now = start;

    for (int i = 0; i < STEPS; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        now += (dv_time)(seed % 3000000);
        bool settles = opened == OPEN || (opened > 0 && (seed >> 20) % 2 == 0);
        if (settles) {
            size_t which = (seed >> 30) % opened;
            uint64_t took = (seed >> 40) % (open[which].cost + 1);
            costs[of[which]] = took;
            (void)settle(&s, &open[which], took, reserved_at[which], now);
            opened--;
            open[which] = open[opened];
            reserved_at[which] = reserved_at[opened];
            of[which] = of[opened];
            continue;
        }
        dv_limit_charge one = tokens_of("k", 1000, (seed >> 24) % 400 + 1);
        if (charge(&s, &one, 1, now).admitted) {
            times[events] = now;
            costs[events] = one.cost;
            of[opened] = events++;
            reserved_at[opened] = now;
            open[opened++] = one;
        }
    }
    unsigned __int128 level = 0;
    for (size_t i = 0; i < events; i++) {
        unsigned __int128 gone = i == 0 ? 0 : (unsigned __int128)(times[i] - times[i - 1]) * 1000;
        level = (level > gone ? level - gone : 0) + (unsigned __int128)costs[i] * DV_SECOND;
        assert_true(level <= (unsigned __int128)1000 * DV_SECOND);
    }
    assert_true(events > 1000);
    scratch_end(&s);
}

static void gives_a_reservation_back_at_once(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge one = tokens_of("k", 1000, 1000);

    assert_true(charge(&s, &one, 1, start).admitted);
    (void)settle(&s, &one, 10, start, start);
    dv_limit_charge rest = tokens_of("k", 1000, 990);
    assert_true(charge(&s, &rest, 1, start).admitted);
    assert_int_equal(rest.remaining, 0);
    (void)settle(&s, &rest, 2000, start, start); /* more than was reserved: nothing more fits */
    assert_int_equal(used(&s, rest, start), 1000);
    scratch_end(&s);
}

static void counts_what_runs_at_once(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge runs[3] = {at_once("model/m", 2), at_once("model/m", 2), at_once("model/m", 2)};
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s.counters, &runs[0], 1, start, &state),
                     DV_ERR_UNAVAILABLE); /* no seat yet */
    assert_false(state.admitted);
    assert_int_equal(dv_counters_sit(s.counters), DV_OK);
    assert_true(charge(&s, &runs[0], 1, start).admitted);
    assert_true(charge(&s, &runs[1], 1, start).admitted);
    state = charge(&s, &runs[2], 1, start);
    assert_false(state.admitted);
    assert_int_equal(state.retry_after, DV_SECOND);
    for (int i = 0; i < 2; i++) { /* the second time gives nothing back */
        assert_int_equal(
            dv_limit_settle_all(s.counters, runs, 1, NULL, start, start, NULL, NULL, NULL), DV_OK);
        assert_int_equal(used(&s, runs[0], start), 1);
    }
    assert_true(charge(&s, &runs[2], 1, start).admitted);
    assert_int_equal(used(&s, runs[0], start), 2);
    scratch_end(&s);
}

/* A child of its own mapping that holds what `take` took until it is killed. */
static pid_t holder(const scratch *s, bool (*take)(dv_counters *counters))
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();

    if (child == 0) {
        scratch own = *s;
        if (dv_counters_open(s->path, 16, &own.counters, &own.replaced, NULL) != DV_OK ||
            !take(own.counters) || write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

/* A seat with three leases, and a budget. */
static bool take_leases(dv_counters *counters)
{
    dv_limit_charge many[3] = {at_once("k", 3), at_once("k", 3), at_once("k", 3)};
    dv_limit_charge tokens = budget_of("k", 100, DV_LIMIT_DAY, 60);
    dv_limit_state state;
    return dv_counters_sit(counters) == DV_OK &&
           dv_limit_charge_all(counters, &many[0], 1, start, &state) == DV_OK &&
           dv_limit_charge_all(counters, &many[1], 1, start, &state) == DV_OK &&
           dv_limit_charge_all(counters, &many[2], 1, start, &state) == DV_OK &&
           dv_limit_charge_all(counters, &tokens, 1, start, &state) == DV_OK && state.admitted;
}

static void a_killed_process_holds_nothing_but_its_reservation(void **unused)
{
    scratch s = scratch_new(16), next = s;
    dv_limit_charge one = at_once("k", 3);
    dv_limit_charge tokens = budget_of("k", 100, DV_LIMIT_DAY, 41);

    assert_int_equal(dv_counters_sit(s.counters), DV_OK);
    pid_t child = holder(&s, take_leases);
    assert_false(charge(&s, &one, 1, start).admitted);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(charge(&s, &one, 1, start).admitted); /* nobody has noticed yet */
    scratch_open(&next, 16);
    assert_int_equal(dv_counters_sit(next.counters), DV_OK);
    assert_true(charge(&s, &one, 1, start).admitted);
    assert_int_equal(used(&s, one, start), 1);
    assert_false(charge(&s, &tokens, 1, start).admitted);
    assert_int_equal(used(&s, tokens, start), 60);
    dv_counters_close(next.counters);
    scratch_end(&s);
}

static void seats_are_as_many_as_said(void **unused)
{
    scratch s = scratch_new(16);
    static scratch more[DV_COUNTERS_SEATS];

    for (int i = 0; i < DV_COUNTERS_SEATS; i++) {
        more[i] = s;
        scratch_open(&more[i], 16);
        assert_int_equal(dv_counters_sit(more[i].counters), DV_OK);
    }
    assert_int_equal(dv_counters_sit(s.counters), DV_ERR_UNAVAILABLE);
    dv_counters_close(more[77].counters);
    assert_int_equal(dv_counters_sit(s.counters), DV_OK);
    for (int i = 0; i < DV_COUNTERS_SEATS; i++) {
        if (i != 77) {
            dv_counters_close(more[i].counters);
        }
    }
    scratch_end(&s);
}

static void full_table_of_leases_refuses_new_keys(void **unused)
{
    scratch s = scratch_new(16);
    char keys[2000][16];
    int taken = 0;

    assert_int_equal(dv_counters_sit(s.counters), DV_OK);
    for (int i = 0; i < 2000; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k/%d", i);
        dv_limit_charge one = at_once(keys[i], 5);
        dv_limit_state state = charge(&s, &one, 1, start);
        assert_int_equal(state.admitted, !state.full);
        taken += state.admitted;
    }
    assert_in_range(taken, 256, 512);
    scratch_end(&s);
}

/* A reset forgets reservations, too: those that end later give nothing back a second time. */
static void a_reset_is_not_given_back_twice(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge budget = budget_of("user/a", 1000, DV_LIMIT_MONTH, 900);
    dv_limit_charge rate = tokens_of("user/a", 1000, 900);
    dv_limit_charge *const both[] = {&budget, &rate};

    for (size_t i = 0; i < DV_ARRAY_LEN(both); i++) {
        dv_limit_charge before = *both[i];
        dv_limit_charge after = *both[i];
        assert_true(charge(&s, &before, 1, start).admitted);
        assert_int_equal(dv_limit_reset(s.counters, &before, start), DV_OK);
        assert_int_equal(used(&s, before, start), 0);
        assert_true(charge(&s, &after, 1, start).admitted);
        (void)settle(&s, &before, 0, start, start);
        assert_int_equal(used(&s, after, start), 900);
        (void)settle(&s, &after, 100, start, start);
        assert_int_equal(used(&s, after, start), 100);
    }
    scratch_end(&s);
}

/* A budget of which nothing is used takes no place: thousands of names that never got anything
 * leave room for others. */
static void an_unused_budget_gives_way(void **unused)
{
    scratch s = scratch_new(16);
    dv_time now = start;

    for (int i = 0; i < 5000; i++, now += 10 * DV_MILLISECOND) {
        char key[16];
        snprintf(key, sizeof(key), "model/%d", i);
        dv_limit_charge one = budget_of(key, 1000, DV_LIMIT_MONTH, 900);
        one.table = DV_COUNTERS_MODELS;
        assert_true(charge(&s, &one, 1, now).admitted);
        (void)settle(&s, &one, 0, now, now);
    }
    scratch_end(&s);
}

/* Names of models that are used fill their own table alone. */
static void models_fill_no_other_table(void **unused)
{
    scratch s = scratch_new(16);
    bool full = false;

    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "model/%d", i);
        dv_limit_charge one = budget_of(key, 1000, DV_LIMIT_MONTH, 900);
        one.table = DV_COUNTERS_MODELS;
        full = full || charge(&s, &one, 1, start).full;
    }
    dv_limit_charge other = budget_of("user/a", 1000, DV_LIMIT_MONTH, 900);
    assert_true(full);
    assert_true(charge(&s, &other, 1, start).admitted);
    scratch_end(&s);
}

/* What nobody reserved is charged all the same when it was used. */
static void what_comes_on_top_is_charged_without_a_reservation(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge budget = budget_of("user/a", 1000, DV_LIMIT_MONTH, 0);
    dv_limit_charge rate = tokens_of("user/a", 1000, 0);

    assert_true(charge(&s, &budget, 1, start).admitted);
    assert_true(charge(&s, &rate, 1, start).admitted);
    (void)settle(&s, &budget, 70, start, start);
    (void)settle(&s, &rate, 70, start, start);
    assert_int_equal(used(&s, budget, start), 70);
    assert_int_equal(used(&s, rate, start), 70);
    scratch_end(&s);
}

/* The sum of what is said to be settled stays within every budget that took part. */
static void what_comes_on_top_stops_at_the_first_budget(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge charges[] = {budget_of("user/a", 1000, DV_LIMIT_MONTH, 100),
                                 budget_of("group/g", 300, DV_LIMIT_DAY, 100),
                                 tokens_of("user/a", 1000, 100)};
    uint64_t settled[3] = {[DV_LIMIT_TOKENS] = 5000, [DV_LIMIT_COST] = 7};

    assert_true(charge(&s, charges, 3, start).admitted);
    assert_int_equal(
        dv_limit_settle_all(s.counters, charges, 3, settled, start, start, NULL, NULL, NULL),
        DV_OK);
    assert_int_equal(settled[DV_LIMIT_TOKENS], 300);
    assert_int_equal(settled[DV_LIMIT_COST], 7);
    assert_int_equal(used(&s, charges[0], start), 300);
    assert_int_equal(used(&s, charges[1], start), 300);
    assert_int_equal(used(&s, charges[2], start), 300);
    scratch_end(&s);
}

/* A process that is stopped within a session of its own keeps every lock of the leases. */
static bool take_locks(dv_counters *counters)
{
    dv_counters_session session;
    dv_counters_prepare(counters, &session);
    session.shards[DV_COUNTERS_LEASES] = 0xffff;
    return dv_counters_lock(&session) == DV_OK;
}

static void a_lease_that_could_not_be_given_back_is_owed(void **unused)
{
    scratch s = scratch_new(16);
    static dv_limit_owed owed;
    dv_limit_charge one = at_once("k", 3);

    assert_int_equal(dv_counters_sit(s.counters), DV_OK);
    assert_true(charge(&s, &one, 1, start).admitted);
    pid_t child = holder(&s, take_locks);
    assert_int_equal(dv_limit_settle_all(s.counters, &one, 1, NULL, 0, 0, NULL, NULL, NULL),
                     DV_ERR_UNAVAILABLE);
    assert_int_equal(dv_limit_owe(&owed, &one, 1), DV_OK);
    assert_int_equal(owed.count, 1);
    dv_limit_pay(s.counters, &owed);
    assert_int_equal(owed.count, 1);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    dv_limit_pay(s.counters, &owed);
    assert_int_equal(owed.count, 0);
    assert_int_equal(used(&s, one, start), 0);
    assert_int_equal(dv_limit_owe(&owed, &one, 1), DV_OK); /* once only */
    assert_int_equal(owed.count, 0);
    for (size_t i = 0; i < DV_LIMIT_OWED_MAX; i++) {
        one.own.charged = true;
        assert_int_equal(dv_limit_owe(&owed, &one, 1), DV_OK);
    }
    one.own.charged = true;
    assert_int_equal(dv_limit_owe(&owed, &one, 1), DV_ERR_TOO_LARGE);
    scratch_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_calendar),
        cmocka_unit_test(a_budget_is_given_out_once_a_period),
        cmocka_unit_test(settling_gives_back_what_was_not_used),
        cmocka_unit_test(warns_once_for_each_threshold_and_period),
        cmocka_unit_test(a_changed_budget_goes_on_with_what_was_used),
        cmocka_unit_test(units_and_periods_count_apart),
        cmocka_unit_test(no_clock_grants_a_second_budget),
        cmocka_unit_test(refuses_bad_limits),
        cmocka_unit_test(settled_rates_keep_every_interval),
        cmocka_unit_test(gives_a_reservation_back_at_once),
        cmocka_unit_test(counts_what_runs_at_once),
        cmocka_unit_test(a_killed_process_holds_nothing_but_its_reservation),
        cmocka_unit_test(seats_are_as_many_as_said),
        cmocka_unit_test(full_table_of_leases_refuses_new_keys),
        cmocka_unit_test(a_reset_is_not_given_back_twice),
        cmocka_unit_test(an_unused_budget_gives_way),
        cmocka_unit_test(models_fill_no_other_table),
        cmocka_unit_test(what_comes_on_top_is_charged_without_a_reservation),
        cmocka_unit_test(what_comes_on_top_stops_at_the_first_budget),
        cmocka_unit_test(a_lease_that_could_not_be_given_back_is_owed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
