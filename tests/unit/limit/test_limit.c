/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limit/limit.h"

#include "tests/unit/limit/scratch.h"

/* The rule itself, written as plainly as can be: a level of 1/count nanoseconds that drains. */
typedef unsigned __int128 wide;

typedef struct oracle {
    dv_limit_rate rate;
    wide level; /* in units of 1/count ns */
    dv_time at;
} oracle;

static void oracle_drain(oracle *o, dv_time now)
{
    wide gone = (wide)(now - o->at) * o->rate.count;

    o->level = o->level > gone ? o->level - gone : 0;
    o->at = now;
}

static bool oracle_admits(const oracle *o, uint64_t cost)
{
    return o->level + (wide)cost * (wide)o->rate.period <=
           (wide)o->rate.burst * (wide)o->rate.period;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static dv_limit_charge charge_of(const char *key, uint64_t count, dv_time period, uint64_t burst,
                                 uint64_t cost)
{
    return (dv_limit_charge){
        .key = dv_slice_str(key), .rate = {count, period, burst}, .cost = cost};
}

static dv_limit_state charge_one(scratch *s, dv_limit_charge charge, dv_time now)
{
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s->counters, &charge, 1, now, &state), DV_OK);
    return state;
}

enum { START = 1700000000 };
static const dv_time start = START * DV_SECOND;

static void tells_the_truth_about_one_limit(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge charge = charge_of("user/alice", 3, DV_SECOND, 0, 1);

    for (int i = 0; i < 3; i++) {
        dv_limit_state state = charge_one(&s, charge, start);
        assert_true(state.admitted);
        assert_int_equal(state.limit, 3);
        assert_int_equal(state.remaining, 2 - i);
        assert_int_equal(state.retry_after, 0);
    }
    dv_limit_state state = charge_one(&s, charge, start);
    assert_false(state.admitted);
    assert_false(state.full);
    assert_int_equal(state.remaining, 0);
    assert_int_equal(state.reset_after, DV_SECOND);
    assert_int_equal(state.retry_after, 333333334); /* a third of a second, rounded up */
    assert_false(charge_one(&s, charge, start + 333333333).admitted);
    state = charge_one(&s, charge, start + 333333334);
    assert_true(state.admitted);
    assert_int_equal(state.tat, start + 1333333334); /* 4/3 s, rounded up */
    assert_int_equal(state.now, start + 333333334);
    scratch_end(&s);
}

/* One long run for each of a few random rates: the decision and the promise about when to come
 * back are those of the oracle. */
static void run_against_oracle(scratch *s, uint64_t *seed, int run)
{
    oracle o = {.at = start};
    char key[32];
    dv_time now = start;

    snprintf(key, sizeof(key), "run/%d", run);
    o.rate.count = next_random(seed) % 1000 + 1;
    o.rate.period =
        (dv_time)(next_random(seed) % (UINT64_C(1) << (next_random(seed) % 40 + 1))) + 1;
    o.rate.burst = next_random(seed) % 50 + 1;
    dv_time step = o.rate.period / (dv_time)o.rate.count + 1;
    for (int i = 0; i < 4000; i++) {
        uint64_t cost = next_random(seed) % 4 == 0 ? next_random(seed) % 60 : 1;
        now += (dv_time)(next_random(seed) % (uint64_t)(3 * step));
        oracle_drain(&o, now);
        dv_limit_charge charge = {dv_slice_str(key), o.rate, cost, false};
        dv_limit_state state = charge_one(s, charge, now);
        assert_int_equal(state.admitted, oracle_admits(&o, cost));
        if (state.admitted) {
            o.level += (wide)cost * (wide)o.rate.period;
        } else if (cost <= o.rate.burst) { /* the promise holds to the nanosecond */
            oracle later = o, sooner = o;
            oracle_drain(&later, now + state.retry_after);
            oracle_drain(&sooner, now + state.retry_after - 1);
            assert_true(oracle_admits(&later, cost));
            assert_false(oracle_admits(&sooner, cost));
        } else {
            assert_int_equal(state.retry_after, DV_TIME_NEVER);
        }
        wide left = (wide)o.rate.burst * (wide)o.rate.period - o.level;
        assert_int_equal(state.remaining, (uint64_t)(left / (wide)o.rate.period));
        assert_int_equal(state.reset_after, (dv_time)((o.level + o.rate.count - 1) / o.rate.count));
    }
}

static void agrees_with_the_oracle(void **unused)
{
    scratch s = scratch_new(64);
    uint64_t seed = 0x9e3779b97f4a7c15;

    for (int run = 0; run < 60; run++) {
        run_against_oracle(&s, &seed, run);
    }
    scratch_end(&s);
}

static void charges_all_or_nothing(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge charges[3] = {charge_of("key/a", 10, DV_SECOND, 0, 1),
                                  charge_of("user/b", 2, DV_SECOND, 0, 1),
                                  charge_of("address/c", 5, DV_SECOND, 0, 1)};
    dv_limit_state state;

    charges[2].table = DV_COUNTERS_ADDRESSES;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(dv_limit_charge_all(s.counters, charges, 3, start, &state), DV_OK);
        assert_int_equal(state.admitted, i < 2);
        assert_int_equal(state.decided_by, 1);
        assert_int_equal(state.limit, 2);
    }
    /* The four refused ones took nothing from the others. */
    assert_int_equal(charge_one(&s, charges[0], start).remaining, 7);
    assert_int_equal(charge_one(&s, charges[2], start).remaining, 2);
    scratch_end(&s);
}

static void says_the_longest_wait_of_all_that_refuse(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge charges[2] = {charge_of("key/a", 1, DV_SECOND, 0, 1),
                                  charge_of("user/b", 1, 60 * DV_SECOND, 0, 1)};
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s.counters, charges, 2, start, &state), DV_OK);
    assert_true(state.admitted);
    assert_int_equal(dv_limit_charge_all(s.counters, charges, 2, start, &state), DV_OK);
    assert_false(state.admitted);
    assert_int_equal(state.decided_by, 1);
    assert_int_equal(state.retry_after, 60 * DV_SECOND);
    scratch_end(&s);
}

static void charges_the_same_counter_twice(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge twice[2] = {charge_of("key/a", 5, DV_SECOND, 0, 1),
                                charge_of("key/a", 5, DV_SECOND, 0, 2)};
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s.counters, twice, 2, start, &state), DV_OK);
    assert_true(state.admitted);
    assert_int_equal(state.remaining, 2);
    assert_int_equal(dv_limit_charge_all(s.counters, twice, 2, start, &state), DV_OK);
    assert_false(state.admitted);
    assert_int_equal(state.remaining, 2);
    assert_int_equal(state.retry_after, DV_SECOND / 5);
    scratch_end(&s);
}

static void counts_each_rate_of_a_key_apart(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge two[2] = {charge_of("key/a", 5, DV_SECOND, 0, 1),
                              charge_of("key/a", 100, 3600 * DV_SECOND, 0, 1)};
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s.counters, two, 2, start, &state), DV_OK);
    assert_int_equal(state.remaining, 4);
    assert_int_equal(charge_one(&s, two[1], start).remaining, 98);
    scratch_end(&s);
}

static void passes_over_what_has_no_limit(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge charges[2] = {charge_of("key/a", 0, 0, 0, 1),
                                  charge_of("user/b", 2, DV_SECOND, 0, 1)};
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s.counters, charges, 1, start, &state), DV_OK);
    assert_true(state.admitted);
    assert_int_equal(state.limit, 0);
    assert_int_equal(dv_limit_charge_all(s.counters, charges, 2, start, &state), DV_OK);
    assert_true(state.admitted);
    assert_int_equal(state.decided_by, 1);
    scratch_end(&s);
}

static void stays_exact_with_huge_numbers(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge fast = charge_of("fast", UINT64_MAX, 1, 0, UINT64_MAX);

    assert_true(charge_one(&s, fast, start).admitted);
    assert_false(charge_one(&s, fast, start).admitted);
    assert_true(charge_one(&s, fast, start + 1).admitted);
    fast.cost = UINT64_MAX / 2;
    assert_true(charge_one(&s, fast, start + 2).admitted);
    assert_true(charge_one(&s, fast, start + 2).admitted);
    assert_false(charge_one(&s, fast, start + 2).admitted);

    dv_time century = (dv_time)100 * 365 * 86400 * DV_SECOND;
    dv_limit_charge slow = charge_of("slow", 1, century, 0, 1);
    assert_true(charge_one(&s, slow, start).admitted);
    assert_int_equal(charge_one(&s, slow, start).retry_after, century);
    assert_int_equal(charge_one(&s, slow, start + century - 1).retry_after, 1);
    slow.cost = UINT64_MAX;
    assert_int_equal(charge_one(&s, slow, start).retry_after, DV_TIME_NEVER);
    scratch_end(&s);
}

static void refuses_overflowing_sums(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge three[3];
    dv_limit_state state;

    for (int i = 0; i < 3; i++) {
        three[i] = charge_of("slow", 1, (dv_time)100 * 365 * 86400 * DV_SECOND, 0, UINT64_MAX);
    }
    assert_int_equal(dv_limit_charge_all(s.counters, three, 3, start, &state), DV_OK);
    assert_false(state.admitted);
    assert_int_equal(state.retry_after, DV_TIME_NEVER);
    scratch_end(&s);
}

static void clock_going_back_neither_admits_more_nor_locks_out(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge charge = charge_of("user/alice", 10, DV_SECOND, 0, 1);

    for (int i = 0; i < 10; i++) {
        assert_true(charge_one(&s, charge, start).admitted);
    }
    /* A worker whose clock is a little behind: nothing more, and no refill either. */
    assert_false(charge_one(&s, charge, start - DV_SECOND).admitted);
    assert_false(charge_one(&s, charge, start).admitted);
    /* Set back by an hour: the bucket is empty then, and refills as always. */
    dv_time back = start - 3600 * DV_SECOND;
    dv_limit_state state = charge_one(&s, charge, back);
    assert_false(state.admitted);
    assert_int_equal(state.retry_after, DV_SECOND / 10);
    assert_false(charge_one(&s, charge, back + DV_SECOND / 10 - 1).admitted);
    for (int i = 1; i <= 10; i++) {
        assert_true(charge_one(&s, charge, back + i * DV_SECOND / 10).admitted);
    }
    scratch_end(&s);
}

static void refuses_bad_requests(void **unused)
{
    scratch s = scratch_new(16);
    dv_limit_charge many[DV_LIMIT_CHARGES_MAX + 1];
    char long_key[DV_LIMIT_KEY_MAX + 2] = {0};
    dv_limit_state state = {.admitted = true};

    for (size_t i = 0; i < DV_ARRAY_LEN(many); i++) {
        many[i] = charge_of("k", 10000, DV_SECOND, 0, 1);
    }
    assert_int_equal(dv_limit_charge_all(s.counters, many, DV_LIMIT_CHARGES_MAX, start, &state),
                     DV_OK);
    assert_true(state.admitted);
    assert_int_equal(dv_limit_charge_all(s.counters, many, DV_LIMIT_CHARGES_MAX + 1, start, &state),
                     DV_ERR_TOO_LARGE);
    assert_false(state.admitted);
    assert_int_equal(dv_limit_charge_all(s.counters, many, 1, -1, &state), DV_ERR_INVALID);
    assert_int_equal(dv_limit_charge_all(s.counters, many, 1, DV_TIME_NEVER, &state),
                     DV_ERR_INVALID);
    memset(long_key, 'k', DV_LIMIT_KEY_MAX + 1);
    many[0].key = dv_slice_str(long_key);
    assert_int_equal(dv_limit_charge_all(s.counters, many, 1, start, &state), DV_ERR_TOO_LARGE);
    many[0].key.len--;
    assert_int_equal(dv_limit_charge_all(s.counters, many, 1, start, &state), DV_OK);
    many[0].rate.period = 0;
    assert_int_equal(dv_limit_charge_all(s.counters, many, 1, start, &state), DV_ERR_INVALID);
    assert_false(state.admitted);
    scratch_end(&s);
}

static void checks_rates(void **unused)
{
    dv_time year = (dv_time)365 * 86400 * DV_SECOND;
    dv_error error = {0};

    assert_int_equal(dv_limit_rate_check(&(dv_limit_rate){0, 0, 0}, NULL), DV_OK);
    assert_int_equal(dv_limit_rate_check(&(dv_limit_rate){60, 60 * DV_SECOND, 60}, NULL), DV_OK);
    assert_int_equal(dv_limit_rate_check(&(dv_limit_rate){1, 100 * year, 1}, NULL), DV_OK);
    assert_int_equal(dv_limit_rate_check(&(dv_limit_rate){1, 100 * year, 2}, &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "hundred years"));
    assert_int_equal(dv_limit_rate_check(&(dv_limit_rate){1, -1, 1}, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "period"));
}

static void expect_address(const char *address, const char *key)
{
    char out[DV_LIMIT_ADDRESS_KEY_MAX];
    dv_slice got = {0};

    assert_int_equal(dv_limit_address_key(dv_slice_str(address), out, &got),
                     key == NULL ? DV_ERR_INVALID : DV_OK);
    assert_true(key == NULL || dv_slice_eq_str(got, key));
}

static void names_addresses(void **unused)
{
    expect_address("10.0.0.1", "address/10.0.0.1");
    expect_address("2001:db8:1:2:3:4:5:6", "address/2001:db8:1:2::/64");
    expect_address("2001:DB8:1:2::", "address/2001:db8:1:2::/64");
    expect_address("2001:db8:1:3::1", "address/2001:db8:1:3::/64");
    expect_address("::ffff:10.0.0.1", "address/10.0.0.1");
    expect_address("::FFFF:a00:1", "address/10.0.0.1");
    expect_address("::1", "address/::/64");
    expect_address("fe80::1%eth0", "address/fe80::/64");
    expect_address("10.0.0.1%eth0", NULL);
    expect_address("", NULL);
    expect_address("unix:", NULL);
    expect_address("10.0.0.1:80", NULL);
    expect_address("010.0.0.1", NULL);
    expect_address("1.2.3", NULL);
    expect_address("2001:db8:1:2:3:4:5:6:7", NULL);
    expect_address("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_truth_about_one_limit),
        cmocka_unit_test(agrees_with_the_oracle),
        cmocka_unit_test(charges_all_or_nothing),
        cmocka_unit_test(says_the_longest_wait_of_all_that_refuse),
        cmocka_unit_test(charges_the_same_counter_twice),
        cmocka_unit_test(counts_each_rate_of_a_key_apart),
        cmocka_unit_test(passes_over_what_has_no_limit),
        cmocka_unit_test(stays_exact_with_huge_numbers),
        cmocka_unit_test(refuses_overflowing_sums),
        cmocka_unit_test(clock_going_back_neither_admits_more_nor_locks_out),
        cmocka_unit_test(refuses_bad_requests),
        cmocka_unit_test(checks_rates),
        cmocka_unit_test(names_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
