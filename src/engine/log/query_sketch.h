/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Quantiles of numbers that come one by one, in bounded memory, mergeable: DDSketch (Masson, Rim
 * and Lee, VLDB 2019). A quantile it gives is within 1 % of a value that has that rank; what is
 * below zero counts as zero. */

#include "base/arena.h"
#include "base/buf.h"

typedef struct dv_sketch {
    uint64_t count;
    uint64_t zeros; /* too small to tell from zero */
    int32_t first;  /* index of bins[0] */
    uint32_t len;   /* of bins, 0: none yet */
    uint64_t *bins; /* in the arena */
} dv_sketch;

/* Adds the value that many times. Errors: DV_ERR_NO_MEMORY; the sketch is as it was. */
dv_must dv_result dv_sketch_add(dv_sketch *sketch, double value, uint64_t times, dv_arena *arena);
/* The same by the index of a bin, for merging. Errors: DV_ERR_INVALID (no such bin). */
dv_must dv_result dv_sketch_add_bin(dv_sketch *sketch, int64_t index, uint64_t times,
                                    dv_arena *arena);
/* quantile: 0 to 1. 0 for an empty sketch. */
double dv_sketch_quantile(const dv_sketch *sketch, double quantile);
