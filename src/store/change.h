/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The change sequence that SQL and snapshot share. A change writes its rows and its entries here in
 * one transaction; publishing then shows, for each entry after the snapshot's sequence, the thing
 * as SQL has it now. So publishing twice is harmless, and a crash between the two is repaired by
 * publishing again. */

#include "store/store.h"

/* What changed: the kind says which record, the key which one ("credential", "Ab3dEf9h"). */
typedef struct dv_change {
    int64_t sequence;
    dv_slice kind;
    dv_slice key;
} dv_change;

/* Notes a change within the running transaction. */
dv_must dv_result dv_change_append(dv_store *store, const char *kind, dv_slice key,
                                   dv_error *error);
/* The last sequence given out (0: none), and the one before the oldest entry still kept: a snapshot
 * that is older than that must be rebuilt. */
dv_must dv_result dv_change_range(dv_store *store, uint64_t *ret_last, uint64_t *ret_forgotten,
                                  dv_error *error);
/* The distinct changes after the sequence, in order of first appearance, copied into the arena. */
dv_must dv_result dv_change_list(dv_store *store, uint64_t after, dv_arena *arena,
                                 const dv_change **ret_changes, size_t *ret_count, dv_error *error);
/* Drops all but the newest entries, in a transaction of its own. */
dv_must dv_result dv_change_prune(dv_store *store, uint64_t keep, dv_error *error);
/* The id of this database (a UUIDv7 text): a snapshot of another store is told by it. */
dv_must dv_result dv_store_id(dv_store *store, dv_arena *arena, dv_slice *ret_id, dv_error *error);
