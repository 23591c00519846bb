/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the engine: what a kind of limit is made of. Every kind has a level that a charge
 * raises and a ceiling that it may not pass; under the locks the level is read from the entry and
 * written back. */

#include "engine/limit/limit.h"

typedef unsigned __int128 dv_wide;

enum { DV_LIMIT_NAME_HEAD = 32 }; /* bytes of a counter's name before the key */

typedef struct dv_limit_rule {
    dv_counters_table table; /* unless it is an address's */
    /* Says whether the limit is good, and writes own.cost. */
    dv_result (*check)(dv_limit_charge *charge);
    /* What, with the key, names the counter. */
    void (*name)(const dv_limit_charge *charge, uint8_t head[DV_LIMIT_NAME_HEAD]);
    dv_result (*claim)(dv_counters_session *session, dv_limit_charge *charge, dv_time now,
                       dv_time *ret_room_at);
    /* Reads the level; mends what a clock that went back left. */
    dv_wide (*level)(dv_limit_charge *charge, dv_time now);
    dv_wide (*ceiling)(const dv_limit_charge *charge);
    /* Writes level_after. */
    void (*write)(dv_counters *counters, dv_limit_charge *charge, dv_time now);
    /* Until level_after, which is over the ceiling, would fit. */
    dv_time (*wait)(const dv_limit_charge *charge, dv_time now);
    uint64_t (*remaining)(const dv_limit_charge *charge, dv_wide level);
    dv_time (*reset_after)(const dv_limit_charge *charge, dv_wide level, dv_time now);
    /* settled: of the charge's unit; returns the percentage of a threshold that was passed, or 0.
     */
    uint32_t (*settle)(dv_counters *counters, dv_limit_charge *charge, uint64_t settled,
                       dv_time reserved_at, dv_time now, const dv_limit_thresholds *thresholds);
    void (*reset)(dv_limit_charge *charge, dv_time now);
} dv_limit_rule;

extern const dv_limit_rule dv_limit_rule_rate;
extern const dv_limit_rule dv_limit_rule_budget;
extern const dv_limit_rule dv_limit_rule_concurrent;

/* Claims an entry of the tables of keys or addresses. */
dv_must dv_result dv_limit_claim_counter(dv_counters_session *session, dv_limit_charge *charge,
                                         dv_time now, dv_time *ret_room_at);
