/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/anonymize/spread.h"

#include <math.h>
#include <stdlib.h>

static const double ROUNDING = 1e-9;

dv_result dv_spread_meter_new(dv_arena *arena, size_t values, dv_spread_meter *ret_meter)
{
    dv_spread_meter meter = {
        .tally = dv_arena_alloc(arena, (values + 1) * sizeof(uint32_t)),
        .touched = dv_arena_alloc(arena, (values + 1) * sizeof(uint32_t)),
        .counts = dv_arena_alloc(arena, (values + 1) * sizeof(uint32_t)),
    };
    if (meter.tally == NULL || meter.touched == NULL || meter.counts == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_meter = meter;
    return DV_OK;
}

static uint32_t code_of(const dv_spread_group *group, size_t i)
{
    return group->codes[group->records[i] * group->stride];
}

dv_result dv_spread_count(dv_arena *arena, const dv_spread_group *all, dv_spread_whole *whole)
{
    if (whole->times == NULL) {
        size_t room = (size_t)whole->values + 1;
        whole->times = dv_arena_alloc(arena, room * sizeof(*whole->times));
        whole->shares = dv_arena_alloc(arena, room * sizeof(*whole->shares));
        whole->sums = dv_arena_alloc(arena, room * sizeof(*whole->sums));
        whole->present = dv_arena_alloc(arena, room * sizeof(*whole->present));
        if (whole->times == NULL || whole->shares == NULL || whole->sums == NULL ||
            whole->present == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    memset(whole->times, 0, whole->values * sizeof(*whole->times));
    whole->records = all->count;
    for (size_t i = 0; i < all->count; i++) {
        whole->times[code_of(all, i)]++;
    }
    uint64_t up_to = 0;
    for (size_t v = 0; v < whole->values; v++) {
        up_to += whole->times[v];
        whole->shares[v] = (double)up_to / (double)DV_MAX(all->count, (size_t)1);
        bool there = whole->times[v] > 0;
        whole->sums[v + 1] = whole->sums[v] + (there ? whole->shares[v] : 0);
        whole->present[v + 1] = whole->present[v] + there;
    }
    return DV_OK;
}

static int upwards(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Half the sum of differences is what the group has too much of, over its own values. */
static double equal_distance(const dv_spread_meter *meter, const dv_spread_whole *whole,
                             uint32_t distinct, size_t count)
{
    double distance = 0;
    for (uint32_t i = 0; i < distinct; i++) {
        double more = (double)meter->counts[i] / (double)count -
                      (double)whole->times[meter->touched[i]] / (double)whole->records;
        distance += more > 0 ? more : 0;
    }
    return distance;
}

/* The sum of |share - whole's share| over the values from `from` to before `to`. The whole's share
 * only grows, so it is below up to some value and above from there on. */
static double between(const dv_spread_whole *whole, double share, uint32_t from, uint32_t to)
{
    uint32_t low = from, high = to;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (whole->shares[middle] > share) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    double below = share * (whole->present[low] - whole->present[from]) -
                   (whole->sums[low] - whole->sums[from]);
    double above =
        whole->sums[to] - whole->sums[low] - share * (whole->present[to] - whole->present[low]);
    return below + above;
}

/* What must be carried over how many places, one place being 1 / (values - 1) (Li 2007, 4.2). */
static double ordered_distance(const dv_spread_meter *meter, const dv_spread_whole *whole,
                               uint32_t distinct, size_t count)
{
    double distance = 0;
    uint64_t up_to = 0;
    uint32_t at = 0;
    uint32_t there = whole->present[whole->values];
    if (there < 2) {
        return 0;
    }
    qsort(meter->touched, distinct, sizeof(*meter->touched), upwards);
    for (uint32_t i = 0; i < distinct; i++) {
        distance += between(whole, (double)up_to / (double)count, at, meter->touched[i]);
        at = meter->touched[i];
        up_to += meter->tally[at];
    }
    distance += between(whole, 1, at, whole->values);
    return distance / (there - 1);
}

static double entropy_of(const dv_spread_meter *meter, uint32_t distinct, size_t count)
{
    double entropy = 0;
    for (uint32_t i = 0; i < distinct; i++) {
        double share = (double)meter->counts[i] / (double)count;
        entropy -= share * log(share);
    }
    return exp(entropy);
}

/* Sorts the counts, so it comes last. */
static double ratio_of(const dv_spread_meter *meter, uint32_t distinct, uint32_t l)
{
    uint64_t rest = 0;
    qsort(meter->counts, distinct, sizeof(*meter->counts), upwards);
    for (uint32_t i = 0; i + DV_MAX(l, 1U) <= distinct; i++) {
        rest += meter->counts[i];
    }
    return rest == 0 ? INFINITY : (double)meter->counts[distinct - 1] / (double)rest;
}

void dv_spread_measure(const dv_spread_meter *meter, const dv_spread_whole *whole,
                       const dv_spread_group *group, uint32_t l, dv_spread *ret_spread)
{
    dv_spread spread = {.distinct = 0};
    for (size_t i = 0; i < group->count; i++) {
        uint32_t code = code_of(group, i);
        if (meter->tally[code]++ == 0) {
            meter->touched[spread.distinct++] = code;
        }
    }
    for (uint32_t i = 0; i < spread.distinct; i++) {
        meter->counts[i] = meter->tally[meter->touched[i]];
    }
    if (spread.distinct > 0) {
        spread.distance = whole->ordered
                              ? ordered_distance(meter, whole, spread.distinct, group->count)
                              : equal_distance(meter, whole, spread.distinct, group->count);
        spread.entropy = entropy_of(meter, spread.distinct, group->count);
        spread.ratio = ratio_of(meter, spread.distinct, l);
    }
    for (uint32_t i = 0; i < spread.distinct; i++) {
        meter->tally[meter->touched[i]] = 0;
    }
    *ret_spread = spread;
}

bool dv_spread_holds(const dv_spread_demand *demand, const dv_spread *spread)
{
    bool diverse = spread->distinct >= demand->l;
    if (demand->kind == DV_SPREAD_ENTROPY) {
        diverse = spread->entropy + ROUNDING >= demand->l;
    } else if (demand->kind == DV_SPREAD_RECURSIVE) {
        diverse = spread->ratio < demand->c;
    }
    return diverse && spread->distance <= demand->t + ROUNDING;
}
