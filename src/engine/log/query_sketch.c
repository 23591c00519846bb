/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/query_sketch.h"

#include <math.h>

/* Bin i holds (gamma^(i-1), gamma^i], and is told as the middle that is 1 % from both its ends. */
static const double gamma_of_bins = 1.01 / 0.99;
static const double least = 1e-9;

enum { INDEX_LEAST = -1100, INDEX_MOST = 36000, SPARE = 32 };

static int32_t index_of(double value)
{
    double index = ceil(log(value) / log(gamma_of_bins));
    return (int32_t)fmin(fmax(index, INDEX_LEAST), INDEX_MOST);
}

/* Makes the window hold the index, with some room beside it. */
static dv_result widen(dv_sketch *sketch, int32_t index, dv_arena *arena)
{
    int32_t first = index, end = index + 1;
    if (sketch->len > 0) {
        first = DV_MIN(sketch->first, index < sketch->first ? index - SPARE : index);
        int32_t old_end = sketch->first + (int32_t)sketch->len;
        end = DV_MAX(old_end, index >= old_end ? index + 1 + SPARE : index + 1);
    }
    uint64_t *bins = dv_arena_alloc(arena, (size_t)(end - first) * sizeof(*bins));
    if (bins == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (sketch->len > 0) {
        memcpy(bins + (sketch->first - first), sketch->bins, sketch->len * sizeof(*bins));
    }
    sketch->bins = bins;
    sketch->first = first;
    sketch->len = (uint32_t)(end - first);
    return DV_OK;
}

dv_result dv_sketch_add_bin(dv_sketch *sketch, int64_t index, uint64_t times, dv_arena *arena)
{
    if (index < INDEX_LEAST || index > INDEX_MOST) {
        return DV_ERR_INVALID;
    }
    int32_t at = (int32_t)index;
    if (at < sketch->first || at >= sketch->first + (int32_t)sketch->len) {
        DV_TRY(widen(sketch, at, arena));
    }
    sketch->bins[at - sketch->first] += times;
    sketch->count += times;
    return DV_OK;
}

dv_result dv_sketch_add(dv_sketch *sketch, double value, uint64_t times, dv_arena *arena)
{
    if (!(value > least)) {
        sketch->zeros += times;
        sketch->count += times;
        return DV_OK;
    }
    return dv_sketch_add_bin(sketch, index_of(value), times, arena);
}

double dv_sketch_quantile(const dv_sketch *sketch, double quantile)
{
    if (sketch->count == 0) {
        return 0;
    }
    /* The lower nearest rank, as the paper has it. */
    uint64_t rank = (uint64_t)(quantile * (double)(sketch->count - 1));
    uint64_t seen = sketch->zeros;
    if (rank < seen) {
        return 0;
    }
    for (uint32_t i = 0; i < sketch->len; i++) {
        seen += sketch->bins[i];
        if (rank < seen) {
            return 2 * pow(gamma_of_bins, sketch->first + (int32_t)i) / (gamma_of_bins + 1);
        }
    }
    return 0;
}
