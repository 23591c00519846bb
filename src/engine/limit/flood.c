/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limit/flood.h"

#include "base/siphash.h"

#include <stdlib.h>
#include <string.h>

enum { PROBES = 16 };

struct dv_flood_entry {
    uint64_t hash; /* 0: free */
    char name[DV_FLOOD_NAME_MAX];
    uint8_t name_len;
    unsigned kind;
    uint32_t held;
    dv_time tat;     /* theoretical arrival time, as in limit.h */
    uint64_t excess; /* since the last telling */
    dv_time since;
};

struct dv_flood {
    dv_flood_limits limits;
    uint8_t key[16];
    size_t mask;
    size_t pending;
    dv_flood_entry shared;                    /* of names that found no room */
    dv_flood_entry strangers[DV_FLOOD_KINDS]; /* what went over of those, by its kind */
    dv_flood_entry entries[];
};

dv_result dv_flood_new(size_t slots, const dv_flood_limits *limits, dv_flood **ret_flood)
{
    const uint8_t *key = NULL;
    if (slots < PROBES || (slots & (slots - 1)) != 0 || limits->burst == 0) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_siphash_process_key(&key));
    dv_flood *flood = calloc(1, sizeof(*flood) + slots * sizeof(flood->entries[0]));
    if (flood == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    flood->limits = *limits;
    flood->mask = slots - 1;
    memcpy(flood->key, key, sizeof(flood->key));
    *ret_flood = flood;
    return DV_OK;
}

void dv_flood_free(dv_flood *flood)
{
    free(flood);
}

static bool is_same(const dv_flood_entry *entry, uint64_t hash, dv_slice name, unsigned kind)
{
    return entry->hash == hash && entry->kind == kind &&
           dv_slice_eq(dv_slice_of(entry->name, entry->name_len), name);
}

/* Nothing would be forgotten with it. */
static bool is_idle(const dv_flood_entry *entry, dv_time now)
{
    return entry->hash == 0 || (entry->held == 0 && entry->excess == 0 && entry->tat <= now);
}

static void occupy(dv_flood_entry *entry, uint64_t hash, dv_slice name, unsigned kind)
{
    *entry = (dv_flood_entry){.hash = hash, .name_len = (uint8_t)name.len, .kind = kind};
    memcpy(entry->name, name.ptr, name.len);
}

/* Whose loss forgets least: nothing is held of it, nothing is to be told, and of all such in the
 * way it was seen longest ago. It may come with a whole burst again. NULL: there is none. */
static dv_flood_entry *find_least(dv_flood *flood, uint64_t hash)
{
    dv_flood_entry *least = NULL;
    for (size_t i = 0; i < PROBES; i++) {
        dv_flood_entry *entry = &flood->entries[((hash >> 8) + i) & flood->mask];
        bool free = entry->held == 0 && entry->excess == 0;
        if (free && (least == NULL || entry->tat < least->tat)) {
            least = entry;
        }
    }
    return least;
}

static dv_flood_entry *find(dv_flood *flood, dv_slice name, unsigned kind, dv_time now)
{
    dv_flood_entry *idle = NULL;
    name.len = DV_MIN(name.len, (size_t)DV_FLOOD_NAME_MAX);
    uint64_t hash = (dv_siphash(flood->key, name) ^ ((uint64_t)kind << 56)) | 1;
    for (size_t i = 0; i < PROBES; i++) {
        dv_flood_entry *entry = &flood->entries[((hash >> 8) + i) & flood->mask];
        if (is_same(entry, hash, name, kind)) {
            return entry;
        }
        if (idle == NULL && is_idle(entry, now)) {
            idle = entry;
        }
    }
    if (idle == NULL && flood->limits.strangers_pass) {
        idle = find_least(flood, hash);
    }
    if (idle == NULL) {
        return &flood->shared;
    }
    occupy(idle, hash, name, kind);
    return idle;
}

/* GCRA: admits while the theoretical arrival time is less than a burst ahead. */
static bool within_rate(const dv_flood_limits *limits, dv_flood_entry *entry, dv_time now)
{
    if (limits->per_second == 0) {
        return true;
    }
    dv_time step = DV_SECOND / limits->per_second;
    dv_time tat = DV_MAX(entry->tat, now) + step;
    if (tat - now > step * limits->burst) {
        return false;
    }
    entry->tat = tat;
    return true;
}

static void count_excess(dv_flood *flood, dv_flood_entry *entry, unsigned kind, dv_time now)
{
    if (entry == &flood->shared) {
        entry = &flood->strangers[kind];
        entry->kind = kind;
    }
    if (entry->excess++ == 0) {
        entry->since = now;
        flood->pending++;
    }
}

dv_flood_entry *dv_flood_take(dv_flood *flood, dv_slice name, unsigned kind, dv_time now)
{
    kind = DV_MIN(kind, DV_FLOOD_KINDS - 1u);
    dv_flood_entry *entry = find(flood, name, kind, now);
    if (entry == &flood->shared && flood->limits.strangers_pass) {
        return entry;
    }
    bool held = flood->limits.held != 0 && entry->held >= flood->limits.held;
    if (!held && within_rate(&flood->limits, entry, now)) {
        return entry;
    }
    count_excess(flood, entry, kind, now);
    return NULL;
}

dv_flood_entry *dv_flood_hold(dv_flood *flood, dv_slice name, unsigned kind, dv_time now)
{
    dv_flood_entry *entry = dv_flood_take(flood, name, kind, now);
    if (entry != NULL) {
        entry->held++;
    }
    return entry;
}

void dv_flood_release(dv_flood_entry *entry)
{
    entry->held--;
}

size_t dv_flood_pending(const dv_flood *flood)
{
    return flood->pending;
}

static void tell_one(dv_flood *flood, dv_flood_entry *entry, dv_time before,
                     dv_result (*tell)(void *data, const dv_flood_excess *excess), void *data)
{
    const dv_flood_excess excess = {dv_slice_of(entry->name, entry->name_len), entry->kind,
                                    entry->excess, entry->since};
    if (entry->excess > 0 && entry->since < before && tell(data, &excess) == DV_OK) {
        entry->excess = 0;
        flood->pending--;
    }
}

void dv_flood_tell(dv_flood *flood, dv_time before,
                   dv_result (*tell)(void *data, const dv_flood_excess *excess), void *data)
{
    for (size_t i = 0; i < DV_FLOOD_KINDS && flood->pending > 0; i++) {
        tell_one(flood, &flood->strangers[i], before, tell, data);
    }
    for (size_t i = 0; i <= flood->mask && flood->pending > 0; i++) {
        tell_one(flood, &flood->entries[i], before, tell, data);
    }
}
