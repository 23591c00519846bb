/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether a log's folder holds the large fields that its entries name (blob.h), and no others:
 * entries and large fields are gone through side by side, in order. For who verifies a folder and
 * who copies out of it. */

#include "engine/log/blob_entry.h"
#include "engine/log/blob_store.h"

typedef struct dv_blob_check {
    dv_blob_walk *walk;
    dv_blob_found next; /* of no entry once there is none */
    bool taken;         /* next is of an entry that was asked for */
    const char *prefix; /* of file names in messages, borrowed */
    bool may_miss;      /* one that is not there is counted, not refused */
    uint64_t missed;
} dv_blob_check;

/* Those of the entries [from, to); from: a pack's beginning, to: what a commit ended with. Errors:
 * dv_blob_walk_new's and dv_blob_walk_next's. */
dv_must dv_result dv_blob_check_open(const char *folder, const char *prefix, uint64_t from,
                                     uint64_t to, dv_blob_check *ret_check, dv_error *error);
void dv_blob_check_close(dv_blob_check *check);

/* Of the next entry. *ret_stored: its large field as it is stored, until the next call; empty: it
 * names none. Errors: DV_ERR_CORRUPT (missing, another one, or one that it does not name: the
 * message says which), DV_ERR_IO. */
dv_must dv_result dv_blob_check_entry(dv_blob_check *check, uint64_t index, dv_slice entry,
                                      dv_arena *arena, dv_slice *ret_stored, dv_error *error);
/* Behind the last entry: nothing follows. */
dv_must dv_result dv_blob_check_end(dv_blob_check *check, dv_error *error);
