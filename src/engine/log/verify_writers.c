/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/verify_writers.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 1024 };

static dv_writer_seen *slot_of(const dv_writers_seen *all, const dv_uuid *segment)
{
    uint64_t hash;
    memcpy(&hash, segment->bytes + 8, sizeof(hash)); /* the random part */
    for (size_t i = hash & (all->slot_count - 1);; i = (i + 1) & (all->slot_count - 1)) {
        dv_writer_seen *slot = &all->slots[i];
        if (!slot->used || memcmp(&slot->segment, segment, sizeof(*segment)) == 0) {
            return slot;
        }
    }
}

static dv_result grow(dv_writers_seen *all)
{
    dv_writers_seen larger = {.slot_count = DV_MAX(all->slot_count * 2, (size_t)FIRST_SLOTS)};
    larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
    if (larger.slots == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < all->slot_count; i++) {
        if (all->slots[i].used) {
            *slot_of(&larger, &all->slots[i].segment) = all->slots[i];
        }
    }
    larger.count = all->count;
    free(all->slots);
    *all = larger;
    return DV_OK;
}

void dv_writers_seen_release(dv_writers_seen *all)
{
    free(all->slots);
    *all = (dv_writers_seen){.slots = NULL};
}

dv_result dv_writers_see(dv_writers_seen *all, const dv_uuid *segment, uint64_t sequence,
                         bool strict, uint64_t *ret_wanted)
{
    if (all->count * 2 >= all->slot_count) {
        DV_TRY(grow(all));
    }
    dv_writer_seen *seen = slot_of(all, segment);
    if (!seen->used) {
        *seen = (dv_writer_seen){.used = true, .segment = *segment};
        all->count++;
    }
    if (strict && sequence != seen->count) {
        *ret_wanted = seen->count;
        return DV_ERR_CORRUPT;
    }
    seen->count++;
    seen->largest = DV_MAX(seen->largest, sequence);
    seen->sum += sequence;
    seen->squares += sequence * sequence;
    return DV_OK;
}

/* 0 + 1 + ... + (n - 1) and 0 + 1 + ... + (n - 1)^2, modulo 2^64. */
static bool is_whole(const dv_writer_seen *seen)
{
    unsigned __int128 n = seen->count;
    uint64_t sum = (uint64_t)(n * (n - 1) / 2);
    unsigned __int128 product = n * (n - 1) / 2;
    uint64_t factor = 2 * seen->count - 1;
    uint64_t squares =
        product % 3 == 0 ? (uint64_t)(product / 3) * factor : (uint64_t)product * (factor / 3);
    return seen->largest == seen->count - 1 && seen->sum == sum && seen->squares == squares;
}

const dv_writer_seen *dv_writers_first_gap(const dv_writers_seen *all)
{
    for (size_t i = 0; i < all->slot_count; i++) {
        if (all->slots[i].used && !is_whole(&all->slots[i])) {
            return &all->slots[i];
        }
    }
    return NULL;
}
