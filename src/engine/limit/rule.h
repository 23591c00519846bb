/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the engine: what a kind of limit is made of. Every kind has a level that a charge
 * raises and a ceiling that it may not pass; under the locks the level is read from the entry and
 * written back. */

#include "engine/limit/limit.h"

typedef unsigned __int128 dv_wide;

enum { DV_LIMIT_NAME_HEAD = 32 }; /* bytes of a counter's name before the key */

/* What a charge took after all. */
typedef struct dv_limit_settlement {
    uint64_t permits;
    dv_time reserved_at;
    dv_time now;
    bool renewed;                          /* the entry was reset since, or forgotten */
    const dv_limit_thresholds *thresholds; /* NULL: nobody is warned */
} dv_limit_settlement;

typedef struct dv_limit_rule {
    /* Says whether the limit is good; writes own.unit, own.cost and own.ceiling. */
    dv_result (*check)(dv_limit_charge *charge);
    /* What, with the key, names the counter. */
    void (*name)(const dv_limit_charge *charge, uint8_t head[DV_LIMIT_NAME_HEAD]);
    /* Reads the level; mends what a clock that went back left. */
    dv_wide (*level)(const dv_counters *counters, dv_limit_charge *charge, dv_time now);
    /* Writes level_after. */
    void (*write)(const dv_counters *counters, dv_limit_charge *charge, dv_time now);
    /* Until level_after, which is over the ceiling, would fit. */
    dv_time (*wait)(const dv_limit_charge *charge, dv_time now);
    /* Until that level is gone; 0: nobody knows. */
    dv_time (*reset_after)(const dv_limit_charge *charge, dv_wide level, dv_time now);
    /* Returns the percentage of a threshold that was passed, or 0. */
    uint32_t (*settle)(const dv_counters *counters, dv_limit_charge *charge,
                       const dv_limit_settlement *settlement);
    /* The entry has a new generation already. */
    void (*reset)(dv_limit_charge *charge, dv_time now);
} dv_limit_rule;

/* Every kind's file names its functions as the members above. */
#define DV_LIMIT_RULE(kind)                                                                        \
    const dv_limit_rule dv_limit_rule_##kind = {check, name,        level,  write_level,           \
                                                wait,  reset_after, settle, reset}

extern const dv_limit_rule dv_limit_rule_rate;
extern const dv_limit_rule dv_limit_rule_budget;
extern const dv_limit_rule dv_limit_rule_concurrent;

/* How much the budget, whose entry is found, has left in the period that it was charged in;
 * UINT64_MAX: that is over. */
uint64_t dv_limit_budget_room(const dv_limit_charge *charge);
