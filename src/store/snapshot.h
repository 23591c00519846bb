/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a gateway worker needs to decide, in LMDB. dvarad is the only writer. Tables are named
 * here; what a record looks like belongs to the room that owns the table. */

#include "base/arena.h"
#include "base/result.h"

typedef struct dv_snapshot dv_snapshot; /* a reader's (or the writer's) open environment */

typedef enum dv_snapshot_table {
    DV_TABLE_META,        /* generation, change sequence, pepper: store and crypto */
    DV_TABLE_CREDENTIALS, /* key id -> credential record: room/auth */
    DV_TABLE_PRINCIPALS,  /* entity -> principal record with its ancestors: room/auth */
    DV_TABLE_POLICIES,    /* the policy set: engine/cedar's text or compiled form */
    DV_TABLE_ROUTES,      /* configuration of routes, upstreams, limits, actions: room/api */
    DV_TABLE_COUNT
} dv_snapshot_table;

/* Opens for reading. Only in the process that reads (after fork). Errors: DV_ERR_NOT_FOUND (dvarad
 * has not made it yet), DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_snapshot_open(const char *folder, dv_snapshot **ret_snapshot, dv_error *error);
/* Opens for writing and makes what is missing: folder 0750, files 0640 (lock.mdb 0660, because
 * readers register there), group of the folder above. What does not check out, or is of another
 * layout or an earlier boot, is replaced by an empty snapshot: readers that are open move over by
 * themselves at their next begin. Verifies in a child process: call it before making threads.
 * A process opens one snapshot once, as writer or reader (LMDB); the writer's can read, too. */
dv_must dv_result dv_snapshot_open_writer(const char *folder, dv_snapshot **ret_snapshot,
                                          dv_error *error);
void dv_snapshot_close(dv_snapshot *snapshot);

/* Reads: begin renews the one read transaction of this process (no allocation), end resets it
 * before the event loop goes on. Slices of get are valid until end. */
dv_must dv_result dv_snapshot_begin(dv_snapshot *snapshot);
void dv_snapshot_end(dv_snapshot *snapshot);
/* Errors: DV_ERR_NOT_FOUND, DV_ERR_UNAVAILABLE (not begun, LMDB failed). */
dv_must dv_result dv_snapshot_get(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key,
                                  dv_slice *ret_value);
/* Increases with every commit; read within begin and end. */
uint64_t dv_snapshot_generation(dv_snapshot *snapshot);

/* Writes: one transaction at a time; it clears stale readers first. commit stores the change
 * sequence of SQL that the snapshot now shows, and moves the generation by one. */
dv_must dv_result dv_snapshot_write_begin(dv_snapshot *snapshot, dv_error *error);
dv_must dv_result dv_snapshot_put(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key,
                                  dv_slice value);
/* A key that is not there is no error. */
dv_must dv_result dv_snapshot_delete(dv_snapshot *snapshot, dv_snapshot_table table, dv_slice key);
/* Empties one table, for a rebuild. */
dv_must dv_result dv_snapshot_clear(dv_snapshot *snapshot, dv_snapshot_table table);
dv_must dv_result dv_snapshot_commit(dv_snapshot *snapshot, uint64_t change_sequence);
void dv_snapshot_abort(dv_snapshot *snapshot);
/* The same tables in another file, in which nothing stands that was deleted. Readers move over by
 * themselves; one that begins within some 100 microseconds is refused (DV_ERR_UNAVAILABLE), as at
 * the start. After an error that is no DV_ERR_UNAVAILABLE the snapshot has to be opened anew. */
dv_must dv_result dv_snapshot_renew(dv_snapshot *snapshot, dv_error *error);
/* The change sequence of the last commit; 0 for a new snapshot. */
dv_must dv_result dv_snapshot_change_sequence(dv_snapshot *snapshot, uint64_t *ret_sequence);
