/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual scheduling algorithm, in whole numbers. A counter holds its theoretical arrival time
 * (TAT). Everything is computed as lag = TAT - now, in units of 1/count nanosecond, so that a
 * permit is exactly `period` units and the whole burst `burst * period`. Products of 64-bit numbers
 * fit 127 bits, and a sum of two of them 128. */
#include "engine/limit/rule.h"

/* A clock that seems this much behind is a worker that looked at it earlier; more is a step back.
 */
static const dv_time skew_max = 10 * DV_SECOND;

/* So that a TAT fits 63 bits until the year 2162. */
static const dv_time refill_max = (dv_time)100 * 365 * 86400 * DV_SECOND;

static uint64_t burst_of(const dv_limit_rate *rate)
{
    return rate->burst != 0 ? rate->burst : rate->count;
}

static dv_wide burst_units(const dv_limit_rate *rate)
{
    return (dv_wide)burst_of(rate) * (dv_wide)rate->period;
}

dv_result dv_limit_rate_check(const dv_limit_rate *rate, dv_error *error)
{
    if (rate->count == 0) {
        return DV_OK;
    }
    if (rate->period <= 0) {
        return dv_error_set(error, DV_ERR_INVALID, "a rate needs a period longer than nothing");
    }
    if (burst_units(rate) > (dv_wide)refill_max * rate->count) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "the burst of a rate must refill within a hundred years");
    }
    return DV_OK;
}

static dv_result check(dv_limit_charge *charge)
{
    DV_TRY(dv_limit_rate_check(&charge->rate, NULL));
    charge->own.unit = (uint64_t)charge->rate.period;
    charge->own.cost = (dv_wide)charge->cost * charge->own.unit;
    charge->own.ceiling = burst_units(&charge->rate);
    return DV_OK;
}

/* Its rate, so that a counter is only ever read in its own units. */
static void name(const dv_limit_charge *charge, uint8_t head[DV_LIMIT_NAME_HEAD])
{
    const uint64_t numbers[3] = {charge->rate.count, (uint64_t)charge->rate.period,
                                 burst_of(&charge->rate)};

    memcpy(head + 8, numbers, sizeof(numbers));
}

/* Nanoseconds that so many units take, rounded up. Most fit 64 bits, where a division is cheap. */
static dv_time units_to_time(dv_wide units, uint64_t count)
{
    if (units <= UINT64_MAX - count) {
        return (dv_time)(((uint64_t)units + count - 1) / count);
    }
    return (dv_time)((units + count - 1) / count);
}

/* How far the TAT lies ahead of now. */
static dv_wide lag_of(const dv_limit_charge *charge, dv_time now)
{
    dv_counter_time tat = dv_counter_get(charge->own.entry);

    return tat.ns < now ? 0 : (dv_wide)(tat.ns - now) * charge->rate.count + tat.part;
}

static void set_lag(const dv_limit_charge *charge, dv_wide lag, dv_time now)
{
    uint64_t count = charge->rate.count;
    bool narrow = lag <= UINT64_MAX; /* where a division is cheap */
    uint64_t whole = narrow ? (uint64_t)lag / count : (uint64_t)(lag / count);
    dv_counter_time tat = {now + (dv_time)whole, (uint64_t)(lag - (dv_wide)whole * count)};

    dv_counter_set(charge->own.entry, tat);
}

/* No clock that goes forward finds a TAT further ahead than the burst; one that was set back does,
 * and then the burst counts as used up at the new time. */
static dv_wide level(const dv_counters *counters, dv_limit_charge *charge, dv_time now)
{
    dv_wide lag = lag_of(charge, now);
    dv_wide burst = charge->own.ceiling;

    if (lag > burst && lag - burst > (dv_wide)skew_max * charge->rate.count) {
        set_lag(charge, burst, now);
        return burst;
    }
    return lag;
}

static void write_level(const dv_counters *counters, dv_limit_charge *charge, dv_time now)
{
    set_lag(charge, charge->own.level_after, now);
}

/* The charges before it on the same counter count. */
static dv_time wait(const dv_limit_charge *charge, dv_time now)
{
    dv_wide burst = charge->own.ceiling;
    dv_wide asked = charge->own.level_after - lag_of(charge, now);

    if (charge->own.level_after < charge->own.cost || asked > burst) {
        return DV_TIME_NEVER; /* overflow, or more than a whole burst */
    }
    return units_to_time(charge->own.level_after - burst, charge->rate.count);
}

static dv_time reset_after(const dv_limit_charge *charge, dv_wide lag, dv_time now)
{
    return units_to_time(lag, charge->rate.count);
}

/* Were all of it given back, a bucket that ran empty in between would have drained more than it
 * held: what would have drained since counts as used. What came on top is charged, even over the
 * burst: those who come later wait for it. */
static uint32_t settle(const dv_counters *counters, dv_limit_charge *charge,
                       const dv_limit_settlement *settlement)
{
    dv_wide took = (dv_wide)settlement->permits * charge->own.unit;
    dv_time now = settlement->now;
    dv_wide lag = lag_of(charge, now);

    if (took > charge->own.cost) {
        dv_wide most = charge->own.ceiling;
        dv_wide more = lag + (took - charge->own.cost);
        set_lag(charge, more > most ? DV_MAX(lag, most) : more, now);
        return 0;
    }
    dv_wide back = settlement->renewed ? 0 : charge->own.cost - took;
    dv_time since = DV_MAX(now - settlement->reserved_at, (dv_time)0);
    dv_wide drained = (dv_wide)since * charge->rate.count;
    if (back > drained && lag > 0) {
        back -= drained;
        set_lag(charge, lag > back ? lag - back : 0, now);
    }
    return 0;
}

static void reset(dv_limit_charge *charge, dv_time now)
{
    set_lag(charge, 0, now);
}

DV_LIMIT_RULE(rate);
