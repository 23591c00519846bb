/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Takes what writers left in their spools into the log, each record exactly once.
 *
 *   segment:  found ──► open ──► finished ──► (committed) ──► removed
 *                         └────► refused  ──► (committed) ──► renamed to ".refused"
 *
 * Invariants:
 * 1. A record enters the tree and its segment's position moves in one commit, so that a death at
 *    any point neither loses nor repeats one.
 * 2. A segment's file is removed only after a commit holds all of its records, and its position is
 *    forgotten only after the removal is durable.
 * 3. A segment that does not check out is never read further; an alarm in the log says so.
 * 4. While a commit fails (a full disk), nothing more is taken from the spools. */

#include "engine/log/segment.h"
#include "engine/log/tree.h"

typedef struct dv_sequencer dv_sequencer;

typedef struct dv_sequencer_options {
    const char *log_folder;
    const char *spools[2];   /* folders; NULL: none */
    const dv_log_keys *keys; /* borrowed, like the signer */
    const dv_tree_signer *signer;
    size_t batch_bytes; /* taken into memory before a commit is due */
} dv_sequencer_options;

typedef struct dv_sequencer_status {
    uint64_t size;                      /* committed and published */
    uint64_t segments;                  /* open now */
    uint64_t refused;                   /* since the start */
    bool blocked;                       /* the last commit failed; problem says why */
    char problem[DV_ERROR_MESSAGE_MAX]; /* the last one, or "" */
} dv_sequencer_status;

dv_must dv_result dv_sequencer_open(const dv_sequencer_options *options,
                                    dv_sequencer **ret_sequencer, dv_error *error);
void dv_sequencer_close(dv_sequencer *sequencer);
DV_DEFINE_AUTO_PTR(sequencer, dv_sequencer, dv_sequencer_close)

/* Reads what is in the spools into memory: up to the batch, for some 50 ms, from all segments in
 * turn. *ret_taken: records. */
dv_must dv_result dv_sequencer_collect(dv_sequencer *sequencer, size_t *ret_taken, dv_error *error);
/* Records in memory that a commit would make durable, and segments that it would remove. */
size_t dv_sequencer_pending(const dv_sequencer *sequencer);
/* The last collect read all that there was. */
bool dv_sequencer_is_level(const dv_sequencer *sequencer);
/* Nothing more is taken before a commit. */
bool dv_sequencer_batch_full(const dv_sequencer *sequencer);
/* Makes them durable, publishes a checkpoint, removes what is done with. After a failure the status
 * is blocked until a later call succeeds. */
dv_must dv_result dv_sequencer_commit(dv_sequencer *sequencer, dv_error *error);

/* An event of the sequencer's own, into the same log. */
dv_must dv_result dv_sequencer_note(dv_sequencer *sequencer, dv_slice event);

void dv_sequencer_status_get(const dv_sequencer *sequencer, dv_sequencer_status *ret_status);
