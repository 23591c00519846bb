/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the values of a sensitive column within a group of records give away: how many there are,
 * and how far their spread is from that of the whole table. */

#include "base/arena.h"

typedef enum dv_spread_kind {
    DV_SPREAD_DISTINCT = 0, /* l different values */
    DV_SPREAD_ENTROPY,      /* as much to guess as l equally frequent ones: exp(H) >= l */
    DV_SPREAD_RECURSIVE,    /* the most frequent: fewer than c times the l-th and all below it */
} dv_spread_kind;

typedef struct dv_spread_demand {
    dv_spread_kind kind;
    uint32_t l; /* 1: not asked for */
    double c;   /* recursive */
    double t;   /* 1: not asked for */
} dv_spread_demand;

/* The whole table's column. Values are codes from 0, in their order; some may be of no record. */
typedef struct dv_spread_whole {
    uint32_t values;
    uint64_t records;
    bool ordered;    /* t by how far values are apart in their order; else all are equally far */
    uint32_t *times; /* how often each stands there */
    double *shares;  /* of the records, up to each */
    /* values + 1: before each of them, the sum of the shares of those that are there, and how many
     * these are. */
    double *sums;
    uint32_t *present;
} dv_spread_whole;

typedef struct dv_spread {
    uint32_t distinct;
    double entropy;  /* exp(H): as many equally frequent values are as hard to guess */
    double ratio;    /* the most frequent over the l-th and all below; infinite under l values */
    double distance; /* earth mover's, 0 to 1 */
} dv_spread;

/* Room to count one group in. */
typedef struct dv_spread_meter {
    uint32_t *tally;   /* of each value; zero between two uses */
    uint32_t *touched; /* values of the group */
    uint32_t *counts;
} dv_spread_meter;

/* Which records: codes[record * stride] is a record's value. */
typedef struct dv_spread_group {
    const uint32_t *codes;
    size_t stride;
    const uint32_t *records;
    size_t count;
} dv_spread_group;

/* For columns of up to `values` different values. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_spread_meter_new(dv_arena *arena, size_t values, dv_spread_meter *ret_meter);
/* Counts the whole; `values` are known. May be done again with other records. */
dv_must dv_result dv_spread_count(dv_arena *arena, const dv_spread_group *all,
                                  dv_spread_whole *whole);
/* l: of the ratio. */
void dv_spread_measure(const dv_spread_meter *meter, const dv_spread_whole *whole,
                       const dv_spread_group *group, uint32_t l, dv_spread *ret_spread);
/* Whether it is what is asked for. */
bool dv_spread_holds(const dv_spread_demand *demand, const dv_spread *spread);
