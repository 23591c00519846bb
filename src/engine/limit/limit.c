/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual scheduling algorithm, in whole numbers. A counter holds its theoretical arrival time
 * (TAT). Everything is computed as lag = TAT - now, in units of 1/count nanosecond, so that a
 * permit is exactly `period` units and the whole burst `burst * period`. Products of 64-bit numbers
 * fit 127 bits, and a sum of two of them 128. */
#include "engine/limit/limit.h"

#include "base/codec.h"

typedef unsigned __int128 wide;

/* A clock that seems this much behind is a worker that looked at it earlier; more is a step back.
 */
static const dv_time skew_max = 10 * DV_SECOND;

/* So that a TAT fits 63 bits until the year 2162. */
static const dv_time refill_max = (dv_time)100 * 365 * 86400 * DV_SECOND;

/* One charge on its way: the permits and the lags in its units. */
typedef struct charge_state {
    dv_limit_rate rate; /* burst filled in */
    dv_counter_key key;
    dv_counter *counter;
    uint32_t index; /* in the caller's list */
    wide cost;
    wide lag; /* before the request; when admitted, after it */
    wide lag_after;
} charge_state;

static uint64_t burst_of(const dv_limit_rate *rate)
{
    return rate->burst != 0 ? rate->burst : rate->count;
}

static wide burst_units(const dv_limit_rate *rate)
{
    return (wide)burst_of(rate) * (wide)rate->period;
}

dv_result dv_limit_rate_check(const dv_limit_rate *rate, dv_error *error)
{
    if (rate->count == 0) {
        return DV_OK;
    }
    if (rate->period <= 0) {
        return dv_error_set(error, DV_ERR_INVALID, "a rate needs a period longer than nothing");
    }
    if (burst_units(rate) > (wide)refill_max * rate->count) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "the burst of a rate must refill within a hundred years");
    }
    return DV_OK;
}

/* Nanoseconds that so many units take, rounded up. */
static dv_time units_to_time(wide units, uint64_t count)
{
    return (dv_time)((units + count - 1) / count);
}

/* The counter's name: its rate, so that a counter is only ever read in its own units, and its key.
 */
static dv_result key_of(const dv_counters *counters, const dv_limit_charge *charge,
                        charge_state *state)
{
    uint8_t name[24 + DV_LIMIT_KEY_MAX];

    if (charge->key.len > DV_LIMIT_KEY_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_put_u64(name, state->rate.count);
    dv_put_u64(name + 8, (uint64_t)state->rate.period);
    dv_put_u64(name + 16, state->rate.burst);
    if (charge->key.len > 0) {
        memcpy(name + 24, charge->key.ptr, charge->key.len);
    }
    state->key =
        dv_counters_key(counters, dv_slice_of(name, 24 + charge->key.len), charge->address);
    return DV_OK;
}

/* Takes over the charges that have a limit. */
static dv_result prepare(const dv_counters *counters, const dv_limit_charge *charges, size_t count,
                         dv_time now, charge_state *states, size_t *ret_count)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        if (charges[i].rate.count == 0) {
            continue;
        }
        DV_TRY(dv_limit_rate_check(&charges[i].rate, NULL));
        if (now > DV_TIME_NEVER - refill_max - 2 * DV_SECOND) {
            return DV_ERR_INVALID;
        }
        charge_state *state = &states[used++];
        *state = (charge_state){.rate = charges[i].rate, .index = (uint32_t)i};
        state->rate.burst = burst_of(&charges[i].rate);
        state->cost = (wide)charges[i].cost * (wide)charges[i].rate.period;
        DV_TRY(key_of(counters, &charges[i], state));
    }
    *ret_count = used;
    return DV_OK;
}

/* How far the TAT lies ahead of now. */
static wide lag_of(const charge_state *state, dv_time now)
{
    dv_counter_time tat = dv_counter_get(state->counter);

    return tat.ns < now ? 0 : (wide)(tat.ns - now) * state->rate.count + tat.part;
}

static dv_counter_time tat_of(const charge_state *state, wide lag, dv_time now)
{
    return (dv_counter_time){now + (dv_time)(lag / state->rate.count),
                             (uint64_t)(lag % state->rate.count)};
}

/* No clock that goes forward finds a TAT further ahead than the burst; one that was set back does,
 * and then the burst counts as used up at the new time. */
static void follow_clock_back(const charge_state *state, dv_time now)
{
    wide lag = lag_of(state, now);
    wide burst = burst_units(&state->rate);

    if (lag > burst && lag - burst > (wide)skew_max * state->rate.count) {
        dv_counter_set(state->counter, tat_of(state, burst, now));
    }
}

/* The lag that an earlier charge of this request on the same counter leaves. */
static wide lag_within(const charge_state *states, size_t i, dv_time now)
{
    for (size_t j = i; j > 0; j--) {
        if (states[j - 1].counter == states[i].counter) {
            return states[j - 1].lag_after;
        }
    }
    return lag_of(&states[i], now);
}

static bool fits(const charge_state *state)
{
    wide burst = burst_units(&state->rate);

    return state->cost == 0 || (state->lag_after >= state->cost && state->lag_after <= burst);
}

/* Until this charge (with those before it on the same counter) would be admitted. */
static dv_time wait_of(const charge_state *state, dv_time now)
{
    wide burst = burst_units(&state->rate);
    wide lag = lag_of(state, now);
    wide asked = state->lag_after - lag;

    if (state->lag_after < state->cost ||
        asked > burst) { /* overflow, or more than a whole burst */
        return DV_TIME_NEVER;
    }
    return units_to_time(state->lag_after - burst, state->rate.count);
}

static uint64_t remaining_of(const charge_state *state, wide lag)
{
    wide burst = burst_units(&state->rate);

    return lag >= burst ? 0 : (uint64_t)((burst - lag) / (wide)state->rate.period);
}

static void describe(const charge_state *state, wide lag, dv_time now, dv_limit_state *out)
{
    out->decided_by = state->index;
    out->limit = state->rate.burst;
    out->remaining = remaining_of(state, lag);
    out->reset_after = units_to_time(lag, state->rate.count);
    out->tat = now + out->reset_after;
}

/* Finds or makes every counter before any is changed. */
static dv_result claim_all(dv_counters_session *session, charge_state *states, size_t count,
                           dv_time now, dv_limit_state *out)
{
    for (size_t i = 0; i < count; i++) {
        dv_time room_at = 0;
        dv_result result =
            dv_counters_claim(session, &states[i].key, now, &states[i].counter, &room_at);
        if (result == DV_ERR_NOT_FOUND) {
            describe(&states[i], 0, now, out);
            out->full = true;
            out->remaining = 0;
            out->retry_after = room_at == DV_TIME_NEVER ? DV_SECOND : room_at - now;
            return DV_ERR_LIMITED;
        }
        DV_TRY(result);
        follow_clock_back(&states[i], now);
    }
    return DV_OK;
}

/* The refusing charge that holds longest, or none. */
static const charge_state *find_refusal(charge_state *states, size_t count, dv_time now,
                                        dv_time *ret_wait)
{
    const charge_state *refusal = NULL;

    for (size_t i = 0; i < count; i++) {
        charge_state *state = &states[i];
        state->lag = lag_within(states, i, now);
        state->lag_after = state->lag + state->cost;
        if (fits(state)) {
            continue;
        }
        dv_time wait = wait_of(state, now);
        if (refusal == NULL || wait > *ret_wait) {
            refusal = state;
            *ret_wait = wait;
        }
    }
    return refusal;
}

static void write_all(charge_state *states, size_t count, dv_time now)
{
    for (size_t i = 0; i < count; i++) {
        const charge_state *state = &states[i];
        if (state->cost != 0) {
            dv_counter_set(state->counter, tat_of(state, state->lag_after, now));
        }
    }
}

/* Fewest permits left; of equals the one that takes longer to be whole again. Of several on one
 * counter that is the last, which holds what they leave behind. */
static void describe_nearest(const charge_state *states, size_t count, dv_time now,
                             dv_limit_state *out)
{
    describe(&states[0], states[0].lag_after, now, out);
    for (size_t i = 1; i < count; i++) {
        dv_limit_state other = {.now = now, .admitted = out->admitted};
        describe(&states[i], states[i].lag_after, now, &other);
        if (other.remaining < out->remaining ||
            (other.remaining == out->remaining && other.reset_after > out->reset_after)) {
            *out = other;
        }
    }
}

static void decide(charge_state *states, size_t count, dv_time now, dv_limit_state *out)
{
    dv_time wait = 0;
    const charge_state *refusal = find_refusal(states, count, now, &wait);

    if (refusal != NULL) {
        describe(refusal, lag_of(refusal, now), now, out);
        out->retry_after = wait;
        return;
    }
    write_all(states, count, now);
    describe_nearest(states, count, now, out);
    out->admitted = true;
}

static dv_result charge_under_locks(dv_counters *counters, charge_state *states, size_t count,
                                    dv_time now, dv_limit_state *out)
{
    dv_counter_key keys[DV_LIMIT_CHARGES_MAX];
    dv_counters_session session;

    for (size_t i = 0; i < count; i++) {
        keys[i] = states[i].key;
    }
    DV_TRY(dv_counters_begin(counters, keys, count, &session));
    dv_result result = claim_all(&session, states, count, now, out);
    if (result == DV_OK) {
        decide(states, count, now, out);
    }
    dv_counters_end(&session);
    return result == DV_ERR_LIMITED ? DV_OK : result;
}

dv_result dv_limit_charge_all(dv_counters *counters, const dv_limit_charge *charges, size_t count,
                              dv_time now, dv_limit_state *ret_state)
{
    charge_state states[DV_LIMIT_CHARGES_MAX];
    size_t used = 0;

    *ret_state = (dv_limit_state){.now = now};
    if (count > DV_LIMIT_CHARGES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (now < 0) {
        return DV_ERR_INVALID;
    }
    DV_TRY(prepare(counters, charges, count, now, states, &used));
    if (used == 0) {
        ret_state->admitted = true;
        return DV_OK;
    }
    return charge_under_locks(counters, states, used, now, ret_state);
}
