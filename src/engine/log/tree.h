/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The log's writer: appends entries, makes them durable, publishes signed checkpoints. Used by
 * dvara-logd alone; readers use tiles.h.
 *
 *   append* ──► commit ──► publish
 *   (memory)   (tiles and bundles on disk, then the state file)   (checkpoint)
 *
 * Invariants:
 * 1. What the state file says is durable before a checkpoint over it is signed, and a checkpoint is
 *    durable before anyone is told of it.
 * 2. A file that a committed tree needs is never written again. Files beyond the committed size may
 *    be left over from a crash and are overwritten.
 * 3. The tree only grows; a checkpoint that is not a prefix of it stops the log from opening.
 * 4. A failed commit leaves everything pending; it can be tried again. */

#include "engine/log/note.h"
#include "engine/log/state.h"

typedef struct dv_tree dv_tree;

/* Who signs. */
typedef struct dv_tree_signer {
    dv_note_verifier verifier; /* its name is the log's origin */
    uint8_t seed[32];
} dv_tree_signer;

/* Opens the folder's log, or begins one with a checkpoint over the empty tree. The state is the
 * caller's: the tree reads it from disk now and writes it at each commit. signer is borrowed.
 * Errors: DV_ERR_CORRUPT (what and where), DV_ERR_IO. */
dv_must dv_result dv_tree_open(const char *folder, const dv_tree_signer *signer,
                               dv_log_state *state, dv_tree **ret_tree, dv_error *error);
void dv_tree_close(dv_tree *tree);
DV_DEFINE_AUTO_PTR(tree, dv_tree, dv_tree_close)

/* Takes an entry of 1 to 65535 bytes into memory. After DV_ERR_NO_MEMORY the tree is to be closed;
 * what is on disk is right. */
dv_must dv_result dv_tree_append(dv_tree *tree, dv_slice entry, uint64_t *ret_index);
/* Leaves including the pending ones; bytes that a commit would write. */
uint64_t dv_tree_size(const dv_tree *tree);
size_t dv_tree_pending_bytes(const dv_tree *tree);

/* Makes everything appended so far durable, together with the state's positions; sets the state's
 * size and root. */
dv_must dv_result dv_tree_commit(dv_tree *tree, dv_error *error);
/* Signs and publishes what is committed, then removes partial tiles that have become full. */
dv_must dv_result dv_tree_publish(dv_tree *tree, dv_error *error);
