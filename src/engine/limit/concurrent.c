/* SPDX-License-Identifier: Apache-2.0 */
/* How many at once. What a process holds ends with it (store/leases.c). */
#include "engine/limit/rule.h"

static dv_result check(dv_limit_charge *charge)
{
    if (charge->max == 0 || charge->max > DV_LIMIT_CONCURRENT_MAX || charge->cost != 1) {
        return DV_ERR_INVALID;
    }
    charge->own.unit = 1;
    charge->own.cost = 1;
    charge->own.ceiling = charge->max;
    return DV_OK;
}

static void name(const dv_limit_charge *charge, uint8_t head[DV_LIMIT_NAME_HEAD])
{
}

static dv_wide level(const dv_counters *counters, dv_limit_charge *charge, dv_time now)
{
    return dv_lease_total(counters, charge->own.entry);
}

static void write_level(const dv_counters *counters, dv_limit_charge *charge, dv_time now)
{
    dv_lease_add(counters, charge->own.entry, 1);
}

/* Nobody knows when another ends. */
static dv_time wait(const dv_limit_charge *charge, dv_time now)
{
    return DV_SECOND;
}

static dv_time reset_after(const dv_limit_charge *charge, dv_wide held, dv_time now)
{
    return 0;
}

static uint32_t settle(const dv_counters *counters, dv_limit_charge *charge,
                       const dv_limit_settlement *settlement)
{
    dv_lease_add(counters, charge->own.entry, -1);
    return 0;
}

static void reset(dv_limit_charge *charge, dv_time now)
{
}

DV_LIMIT_RULE(concurrent);

/* -- what could not be given back -------------------------------------------------------------- */

dv_result dv_limit_owe(dv_limit_owed *owed, dv_limit_charge *charges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (charges[i].kind != DV_LIMIT_CONCURRENT || !charges[i].own.charged) {
            continue;
        }
        if (owed->count == DV_LIMIT_OWED_MAX) {
            return DV_ERR_TOO_LARGE;
        }
        charges[i].own.charged = false;
        owed->keys[owed->count++] = charges[i].own.key;
    }
    return DV_OK;
}

static dv_result pay_one(dv_counters *counters, const dv_counter_key *key)
{
    dv_counters_session session;

    dv_counters_prepare(counters, &session);
    dv_counters_want(&session, key);
    DV_TRY(dv_counters_lock(&session));
    dv_lease *lease = dv_leases_find(&session, key);
    if (lease != NULL) {
        dv_lease_add(counters, lease, -1);
    }
    dv_counters_end(&session);
    return DV_OK;
}

void dv_limit_pay(dv_counters *counters, dv_limit_owed *owed)
{
    while (owed->count > 0 && pay_one(counters, &owed->keys[owed->count - 1]) == DV_OK) {
        owed->count--;
    }
}
