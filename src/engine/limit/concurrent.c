/* SPDX-License-Identifier: Apache-2.0 */
/* How many at once. What a process holds ends with it (store/leases.c). */
#include "engine/limit/rule.h"

static dv_result check(dv_limit_charge *charge)
{
    if (charge->max == 0 || charge->max > DV_LIMIT_CONCURRENT_MAX || charge->cost != 1) {
        return DV_ERR_INVALID;
    }
    charge->own.cost = 1;
    return DV_OK;
}

static void name(const dv_limit_charge *charge, uint8_t head[DV_LIMIT_NAME_HEAD])
{
}

static dv_result claim(dv_counters_session *session, dv_limit_charge *charge, dv_time now,
                       dv_time *ret_room_at)
{
    dv_lease *lease = NULL;
    dv_result result = dv_leases_claim(session, &charge->own.key, &lease);

    *ret_room_at = DV_TIME_NEVER;
    charge->own.entry = lease;
    return result;
}

static dv_wide level(dv_limit_charge *charge, dv_time now)
{
    return dv_lease_total(charge->own.entry);
}

static dv_wide ceiling(const dv_limit_charge *charge)
{
    return charge->max;
}

static void write_level(dv_counters *counters, dv_limit_charge *charge, dv_time now)
{
    dv_lease_add(counters, charge->own.entry, 1);
}

/* Nobody knows when another ends. */
static dv_time wait_for(const dv_limit_charge *charge, dv_time now)
{
    return DV_SECOND;
}

static uint64_t remaining(const dv_limit_charge *charge, dv_wide held)
{
    return held >= charge->max ? 0 : charge->max - (uint64_t)held;
}

static dv_time reset_after(const dv_limit_charge *charge, dv_wide held, dv_time now)
{
    return 0;
}

static uint32_t settle(dv_counters *counters, dv_limit_charge *charge, uint64_t settled,
                       dv_time reserved_at, dv_time now, const dv_limit_thresholds *thresholds)
{
    dv_lease_add(counters, charge->own.entry, -1);
    return 0;
}

/* Requests that run can't be made to have ended. */
static void reset(dv_limit_charge *charge, dv_time now)
{
}

const dv_limit_rule dv_limit_rule_concurrent = {
    .table = DV_COUNTERS_LEASES,
    .check = check,
    .name = name,
    .claim = claim,
    .level = level,
    .ceiling = ceiling,
    .write = write_level,
    .wait = wait_for,
    .remaining = remaining,
    .reset_after = reset_after,
    .settle = settle,
    .reset = reset,
};
