/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Forgetting a log's oldest entries (C2SP tlog-tiles, "Pruning"). Whole packs go; the tiles above
 * them stay as far as roots and proofs of what is kept need them. That it was done, and how far,
 * stands in the main log before anything goes: a verifier takes missing packs for a crime
 * otherwise. */

#include "engine/log/pack.h"
#include "engine/log/state.h"

#define DV_PRUNED_KIND "audit.pruned"

/* Times of packs that were looked at, for any thread. */
typedef struct dv_prune_memory dv_prune_memory;
dv_must dv_result dv_prune_memory_new(dv_prune_memory **ret_memory);
void dv_prune_memory_free(dv_prune_memory *memory);

/* What may go: events that the log took before before_ms, but for those that are held. What an
 * event says of its own time counts for holds alone: one that says none is held by any hold of its
 * log. */
typedef struct dv_prune_rule {
    int64_t before_ms;       /* INT64_MIN: nothing */
    uint64_t end;            /* and nothing from that index on; UINT64_MAX: any */
    dv_prune_memory *memory; /* NULL: every pack is read again */
    /* Whether something of [earliest, latest] is held; NULL: nothing ever is. Asked of all time
     * where an event says none. */
    bool (*is_held)(const void *data, const char *log, int64_t earliest_ms, int64_t latest_ms);
    const void *data;
} dv_prune_rule;

/* How far a log can be pruned: to the last end of a pack before which every event may go. Returns
 * the minimum that it has where nothing more can go. */
dv_must dv_result dv_prune_find(const char *folder, const dv_log_tree *tree,
                                const dv_prune_rule *rule, uint64_t *ret_minimum, dv_error *error);

/* The times of a whole pack's events, as the rule counts them: from the earliest that one says or
 * was taken, INT64_MIN where one says none, to when the log took the last of them. memory may be
 * NULL. Errors: DV_ERR_NOT_FOUND (there is no such pack), DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_prune_times(dv_prune_memory *memory, const char *folder, const char *log,
                                 uint64_t pack, int64_t *ret_earliest, int64_t *ret_latest,
                                 dv_error *error);

/* Removes the files that the minimum makes needless, also those that an earlier call left. What
 * can't be removed is tried again at the next call. */
void dv_prune_remove(const char *folder, uint64_t minimum);

/* The event that tells of it; out gets JSON. before_ms: what was asked for. */
dv_must dv_result dv_prune_event(const dv_log_tree *tree, uint64_t minimum, int64_t before_ms,
                                 dv_buf *out);
/* Reads the entry of such an event; false when it is another one, or not dvara-logd's own. */
bool dv_prune_event_read(dv_slice entry, dv_arena *arena, char ret_log[DV_LOG_NAME_MAX + 1],
                         uint64_t *ret_minimum);
