/* SPDX-License-Identifier: Apache-2.0 */
/* Charging and settling several limits at once. Every counter is found or made before any is
 * changed, and all locks are held meanwhile. */
#include "engine/limit/limit.h"

#include "base/codec.h"
#include "engine/limit/rule.h"

/* The last time at which the longest refill still fits 63 bits. */
static const dv_time now_max = DV_TIME_NEVER - (dv_time)(100 * 365 + 2) * 86400 * DV_SECOND;

static const dv_limit_rule *rule_of(const dv_limit_charge *charge)
{
    static const dv_limit_rule *const rules[] = {
        [DV_LIMIT_RATE] = &dv_limit_rule_rate,
        [DV_LIMIT_BUDGET] = &dv_limit_rule_budget,
        [DV_LIMIT_CONCURRENT] = &dv_limit_rule_concurrent,
    };
    return rules[charge->kind];
}

/* A rate that counts nothing. */
static bool is_void(const dv_limit_charge *charge)
{
    return charge->kind == DV_LIMIT_RATE && charge->rate.count == 0;
}

/* Leases have one table for all. */
static dv_counters_table table_of(const dv_limit_charge *charge)
{
    return charge->kind == DV_LIMIT_CONCURRENT ? DV_COUNTERS_LEASES : charge->table;
}

/* The counter's name: kind and unit, what the kind adds, and the key. */
static dv_result make_key(const dv_counters *counters, dv_limit_charge *charge)
{
    uint8_t name[DV_LIMIT_NAME_HEAD + DV_LIMIT_KEY_MAX];

    if (charge->key.len > DV_LIMIT_KEY_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    memset(name, 0, DV_LIMIT_NAME_HEAD);
    name[0] = (uint8_t)charge->kind;
    name[1] = (uint8_t)charge->unit;
    rule_of(charge)->name(charge, name);
    if (charge->key.len > 0) {
        memcpy(name + DV_LIMIT_NAME_HEAD, charge->key.ptr, charge->key.len);
    }
    dv_slice bytes = dv_slice_of(name, DV_LIMIT_NAME_HEAD + charge->key.len);
    charge->own.key = dv_counters_key(counters, bytes, table_of(charge));
    return DV_OK;
}

static dv_result prepare(dv_counters_session *session, dv_limit_charge *charge)
{
    charge->own.claimed = false;
    charge->own.charged = false;
    if ((unsigned)charge->kind > DV_LIMIT_CONCURRENT ||
        (unsigned)charge->table >= DV_COUNTERS_LEASES) {
        return DV_ERR_INVALID;
    }
    if (is_void(charge)) {
        return DV_OK;
    }
    DV_TRY(rule_of(charge)->check(charge));
    DV_TRY(make_key(session->counters, charge));
    dv_counters_want(session, &charge->own.key);
    charge->own.claimed = true;
    return DV_OK;
}

/* The charge's entry, a new one where it has none. */
static dv_result claim(dv_counters_session *session, dv_limit_charge *charge, dv_time now,
                       dv_time *ret_room_at)
{
    dv_counter *counter = NULL;
    dv_lease *lease = NULL;

    if (charge->kind == DV_LIMIT_CONCURRENT) {
        *ret_room_at = DV_TIME_NEVER;
        DV_TRY(dv_leases_claim(session, &charge->own.key, &lease));
        charge->own.entry = lease;
        return DV_OK;
    }
    DV_TRY(dv_counters_claim(session, &charge->own.key, now, &counter, ret_room_at));
    charge->own.entry = counter;
    charge->own.generation = dv_counter_generation(counter);
    return DV_OK;
}

static uint64_t limit_of(const dv_limit_charge *charge)
{
    if (charge->kind != DV_LIMIT_RATE) {
        return charge->max;
    }
    return charge->rate.burst != 0 ? charge->rate.burst : charge->rate.count;
}

/* Most fit 64 bits, where a division is cheap. */
static uint64_t remaining_of(const dv_limit_charge *charge, dv_wide level)
{
    dv_wide left = level >= charge->own.ceiling ? 0 : charge->own.ceiling - level;

    if (charge->own.unit == 1) {
        return (uint64_t)left;
    }
    return left <= UINT64_MAX ? (uint64_t)left / charge->own.unit
                              : (uint64_t)(left / charge->own.unit);
}

/* What is told of one limit at that level. */
static void describe(dv_limit_charge *charge, dv_wide level, dv_time now)
{
    charge->remaining = remaining_of(charge, level);
    charge->reset_after = rule_of(charge)->reset_after(charge, level, now);
}

static void tell(const dv_limit_charge *charge, size_t index, dv_limit_state *out)
{
    out->decided_by = (uint32_t)index;
    out->limit = limit_of(charge);
    out->remaining = charge->remaining;
    out->reset_after = charge->reset_after;
    out->tat = out->now + charge->reset_after;
}

/* Finds or makes every counter, and reads its level. */
static dv_result claim_all(dv_counters_session *session, dv_limit_charge *charges, size_t count,
                           dv_limit_state *out)
{
    for (size_t i = 0; i < count; i++) {
        dv_limit_charge *charge = &charges[i];
        dv_time room_at = 0;
        if (!charge->own.claimed) {
            continue;
        }
        dv_result result = claim(session, charge, out->now, &room_at);
        if (result == DV_ERR_NOT_FOUND) {
            charge->remaining = 0;
            charge->reset_after = 0;
            tell(charge, i, out);
            out->full = true;
            out->retry_after = room_at == DV_TIME_NEVER ? DV_SECOND : room_at - out->now;
            return DV_ERR_LIMITED;
        }
        DV_TRY(result);
        charge->own.level = rule_of(charge)->level(session->counters, charge, out->now);
    }
    return DV_OK;
}

/* The level that an earlier charge of this request on the same counter leaves. */
static void stack_on_earlier(dv_limit_charge *charges, size_t i)
{
    for (size_t j = i; j > 0; j--) {
        const dv_limit_charge *earlier = &charges[j - 1];
        if (earlier->own.claimed && earlier->own.entry == charges[i].own.entry) {
            charges[i].own.level = earlier->own.level_after;
            return;
        }
    }
}

static bool fits(const dv_limit_charge *charge)
{
    return charge->own.cost == 0 || (charge->own.level_after >= charge->own.cost &&
                                     charge->own.level_after <= charge->own.ceiling);
}

/* The refusing charge that holds longest, or `count`. */
static size_t find_refusal(dv_limit_charge *charges, size_t count, dv_time now, dv_time *ret_wait)
{
    size_t refusal = count;

    for (size_t i = 0; i < count; i++) {
        dv_limit_charge *charge = &charges[i];
        if (!charge->own.claimed) {
            continue;
        }
        stack_on_earlier(charges, i);
        charge->own.level_after = charge->own.level + charge->own.cost;
        if (fits(charge)) {
            continue;
        }
        dv_time wait = rule_of(charge)->wait(charge, now);
        if (refusal == count || wait > *ret_wait) {
            refusal = i;
            *ret_wait = wait;
        }
    }
    return refusal;
}

/* Fewest permits left; of equals the one that takes longer to be whole again. Of several on one
 * counter that is the last, which holds what they leave behind. */
static bool is_nearer(const dv_limit_charge *charge, const dv_limit_state *than)
{
    return charge->remaining < than->remaining ||
           (charge->remaining == than->remaining && charge->reset_after > than->reset_after);
}

static void admit(dv_counters *counters, dv_limit_charge *charges, size_t count,
                  dv_limit_state *out)
{
    bool first = true;

    for (size_t i = 0; i < count; i++) {
        dv_limit_charge *charge = &charges[i];
        if (!charge->own.claimed) {
            continue;
        }
        if (charge->own.cost != 0) {
            rule_of(charge)->write(counters, charge, out->now);
        }
        charge->own.charged = true;
        describe(charge, charge->own.level_after, out->now);
        if (first || is_nearer(charge, out)) {
            tell(charge, i, out);
            first = false;
        }
    }
    out->admitted = true;
}

/* Told as it was before this request. */
static void refuse(const dv_counters *counters, dv_limit_charge *charges, size_t count,
                   size_t refusal, dv_time wait, dv_limit_state *out)
{
    for (size_t i = 0; i < count; i++) {
        if (charges[i].own.claimed) {
            dv_wide level = rule_of(&charges[i])->level(counters, &charges[i], out->now);
            describe(&charges[i], level, out->now);
        }
    }
    tell(&charges[refusal], refusal, out);
    out->retry_after = wait;
}

static void decide(dv_counters *counters, dv_limit_charge *charges, size_t count,
                   dv_limit_state *out)
{
    dv_time wait = 0;
    size_t refusal = find_refusal(charges, count, out->now, &wait);

    if (refusal < count) {
        refuse(counters, charges, count, refusal, wait, out);
    } else {
        admit(counters, charges, count, out);
    }
}

static dv_result prepare_all(dv_counters_session *session, dv_limit_charge *charges, size_t count,
                             size_t *ret_used)
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        DV_TRY(prepare(session, &charges[i]));
        used += charges[i].own.claimed;
    }
    *ret_used = used;
    return DV_OK;
}

dv_result dv_limit_charge_all(dv_counters *counters, dv_limit_charge *charges, size_t count,
                              dv_time now, dv_limit_state *ret_state)
{
    dv_counters_session session;
    size_t used = 0;

    *ret_state = (dv_limit_state){.now = now};
    if (count > DV_LIMIT_CHARGES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (now < 0 || now > now_max) {
        return DV_ERR_INVALID;
    }
    dv_counters_prepare(counters, &session);
    DV_TRY(prepare_all(&session, charges, count, &used));
    if (used == 0) {
        ret_state->admitted = true;
        return DV_OK;
    }
    DV_TRY(dv_counters_lock(&session));
    dv_result result = claim_all(&session, charges, count, ret_state);
    if (result == DV_OK) {
        decide(counters, charges, count, ret_state);
    }
    dv_counters_end(&session);
    return result == DV_ERR_LIMITED ? DV_OK : result;
}

/* -- settling ---------------------------------------------------------------------------------- */

/* Requests' own rates are never settled: they were made. */
static bool is_settled_later(const dv_limit_charge *charge)
{
    return charge->own.charged &&
           (charge->kind == DV_LIMIT_CONCURRENT || charge->unit != DV_LIMIT_REQUESTS);
}

static void *find_entry(const dv_counters_session *session, const dv_limit_charge *charge)
{
    return charge->kind == DV_LIMIT_CONCURRENT
               ? (void *)dv_leases_find(session, &charge->own.key)
               : (void *)dv_counters_find(session, &charge->own.key);
}

/* What was forgotten since was whole; only what came on top is charged anew then. */
static uint32_t settle_one(dv_counters_session *session, dv_limit_charge *charge,
                           dv_limit_settlement *settlement)
{
    bool over = settlement->permits > charge->cost && charge->kind != DV_LIMIT_CONCURRENT;
    uint64_t generation = charge->own.generation;
    dv_time room_at = 0;

    charge->own.charged = false;
    charge->own.entry = find_entry(session, charge);
    if (charge->own.entry == NULL &&
        (!over || claim(session, charge, settlement->now, &room_at) != DV_OK)) {
        return 0;
    }
    settlement->renewed = charge->kind != DV_LIMIT_CONCURRENT &&
                          dv_counter_generation(charge->own.entry) != generation;
    return rule_of(charge)->settle(session->counters, charge, settlement);
}

static bool takes_part(const dv_limit_charge *charge, const uint64_t settled[3])
{
    return is_settled_later(charge) && (settled != NULL || charge->kind == DV_LIMIT_CONCURRENT);
}

/* What came on top of the reservations stops where the first budget of its unit does. */
static void stop_at_budgets(const dv_counters_session *session, dv_limit_charge *charges,
                            size_t count, uint64_t settled[3])
{
    for (size_t i = 0; i < count; i++) {
        dv_limit_charge *charge = &charges[i];
        uint64_t *permits = &settled[charge->unit];
        if (charge->kind != DV_LIMIT_BUDGET || !takes_part(charge, settled) ||
            *permits <= charge->cost) {
            continue;
        }
        charge->own.entry = find_entry(session, charge);
        uint64_t room = charge->own.entry != NULL ? dv_limit_budget_room(charge) : charge->max;
        *permits = charge->cost + DV_MIN(*permits - charge->cost, room);
    }
}

dv_result dv_limit_settle_all(dv_counters *counters, dv_limit_charge *charges, size_t count,
                              uint64_t settled[3], dv_time reserved_at, dv_time now,
                              const dv_limit_thresholds *thresholds, dv_limit_warning *ret_warnings,
                              size_t *ret_warning_count)
{
    dv_counters_session session;
    dv_limit_settlement settlement = {.reserved_at = reserved_at,
                                      .now = now,
                                      .thresholds = ret_warnings != NULL ? thresholds : NULL};
    bool any = false;
    size_t warnings = 0;

    if (ret_warning_count != NULL) {
        *ret_warning_count = 0;
    }

    dv_counters_prepare(counters, &session);
    for (size_t i = 0; i < count; i++) {
        if (takes_part(&charges[i], settled)) {
            dv_counters_want(&session, &charges[i].own.key);
            any = true;
        }
    }
    if (!any) {
        return DV_OK;
    }
    DV_TRY(dv_counters_lock(&session));
    if (settled != NULL) {
        stop_at_budgets(&session, charges, count, settled);
    }
    for (size_t i = 0; i < count; i++) {
        if (!takes_part(&charges[i], settled)) {
            continue;
        }
        settlement.permits = settled != NULL ? settled[charges[i].unit] : 0;
        uint32_t percent = settle_one(&session, &charges[i], &settlement);
        if (percent > 0 && ret_warnings != NULL) {
            ret_warnings[warnings++] = (dv_limit_warning){(uint32_t)i, percent};
        }
    }
    dv_counters_end(&session);
    if (ret_warning_count != NULL) {
        *ret_warning_count = warnings;
    }
    return DV_OK;
}

/* -- looking and resetting --------------------------------------------------------------------- */

static dv_result visit(dv_counters *counters, const dv_limit_charge *charge, dv_time now,
                       void (*with)(const dv_counters *counters, dv_limit_charge *charge,
                                    dv_time now, void *data),
                       void *data)
{
    dv_counters_session session;
    dv_limit_charge copy = *charge;

    dv_counters_prepare(counters, &session);
    DV_TRY(prepare(&session, &copy));
    if (!copy.own.claimed) {
        return DV_OK;
    }
    DV_TRY(dv_counters_lock(&session));
    copy.own.entry = find_entry(&session, &copy);
    if (copy.own.entry != NULL) {
        with(counters, &copy, now, data);
    }
    dv_counters_end(&session);
    return DV_OK;
}

static void read_usage(const dv_counters *counters, dv_limit_charge *charge, dv_time now,
                       void *data)
{
    dv_limit_usage *usage = data;
    dv_wide level = rule_of(charge)->level(counters, charge, now);
    uint64_t remaining = remaining_of(charge, level);

    usage->used = charge->kind == DV_LIMIT_RATE ? limit_of(charge) - remaining : (uint64_t)level;
    usage->reset_after = rule_of(charge)->reset_after(charge, level, now);
}

dv_result dv_limit_read(dv_counters *counters, const dv_limit_charge *charge, dv_time now,
                        dv_limit_usage *ret_usage)
{
    dv_limit_usage usage = {0};

    if (charge->kind == DV_LIMIT_BUDGET) {
        usage.reset_after =
            dv_limit_label_end(charge->period, dv_limit_label(charge->period, now)) - now;
    }
    DV_TRY(visit(counters, charge, now, read_usage, &usage));
    *ret_usage = usage;
    return DV_OK;
}

static void reset_one(const dv_counters *counters, dv_limit_charge *charge, dv_time now, void *data)
{
    if (charge->kind != DV_LIMIT_CONCURRENT) {
        dv_counter_renew(counters, charge->own.entry);
    }
    rule_of(charge)->reset(charge, now);
}

dv_result dv_limit_reset(dv_counters *counters, const dv_limit_charge *charge, dv_time now)
{
    return visit(counters, charge, now, reset_one, NULL);
}
