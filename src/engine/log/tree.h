/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A log's writer: appends entries, makes them durable, publishes signed checkpoints. Used by
 * dvara-logd alone; readers use tiles.h and pack.h.
 *
 *   append* ──► write ──► (the state file) ──► written ──► publish
 *   (memory)    (packs, tiles and bundles)     (memory)    (checkpoint)
 *
 * Entries are first in bundles and tiles of level 0; when a block of them is full, it is appended
 * to a pack, and they go.
 *
 * Invariants:
 * 1. What the state file says is durable before a checkpoint over it is signed, and a checkpoint is
 *    durable before anyone is told of it.
 * 2. A file that a committed tree needs is never written again, but a pack grows. Files beyond the
 *    committed size may be left over from a crash and are overwritten.
 * 3. The tree only grows; a checkpoint that is not a prefix of it stops the log from opening.
 * 4. A failed write leaves everything pending; it can be tried again.
 * 5. A block takes the place of bundles only after all its leaves came out of it again with their
 *    hashes. */

#include "engine/log/note.h"
#include "engine/log/state.h"

typedef struct dv_tree dv_tree;

/* Who signs. While a key is being replaced, the one before signs, too. */
typedef struct dv_tree_signer {
    dv_note_verifier verifier; /* its name is the log's origin */
    uint8_t seed[32];
    bool overlaps;
    dv_note_verifier old_verifier;
    uint8_t old_seed[32];
    bool copies; /* of a copy: nothing is signed, dv_tree_publish_copied takes what others signed */
} dv_tree_signer;

/* Opens the folder's log as the state says it is, or begins one with a checkpoint over the empty
 * tree. state is the caller's entry for this log and borrowed, like the signer; the tree reads it.
 * Errors: DV_ERR_CORRUPT (what and where), DV_ERR_IO. */
dv_must dv_result dv_tree_open(const char *folder, const dv_tree_signer *signer, dv_log_tree *state,
                               dv_tree **ret_tree, dv_error *error);
void dv_tree_close(dv_tree *tree);
DV_DEFINE_AUTO_PTR(tree, dv_tree, dv_tree_close)

/* Takes an entry of 1 to 65535 bytes into memory. After DV_ERR_NO_MEMORY the tree is to be closed;
 * what is on disk is right. */
dv_must dv_result dv_tree_append(dv_tree *tree, dv_slice entry, uint64_t *ret_index);
/* Leaves including the pending ones; bytes that a commit would write. */
uint64_t dv_tree_size(const dv_tree *tree);
size_t dv_tree_pending_bytes(const dv_tree *tree);

/* Makes everything appended so far durable, and says what the log's entry in the state is to be.
 * When the state is saved, its owner puts it into the entry and calls dv_tree_written. */
dv_must dv_result dv_tree_write(dv_tree *tree, dv_log_tree *ret_next, dv_error *error);
void dv_tree_written(dv_tree *tree);
/* Signs and publishes what the state says, then removes what is in packs or full tiles by now. */
dv_must dv_result dv_tree_publish(dv_tree *tree, dv_error *error);
/* Of a copy (replica.h): publishes the note, which is over just what the state says; the caller
 * checked it. */
dv_must dv_result dv_tree_publish_copied(dv_tree *tree, dv_slice note, dv_error *error);
/* Signs it anew, because the signer has changed. */
dv_must dv_result dv_tree_republish(dv_tree *tree, dv_error *error);
