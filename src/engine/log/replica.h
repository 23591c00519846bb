/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A copy of a log of another node, taken over piece by piece from somebody who is not believed:
 *
 *   FOLDER/              as a log's folder is (tree.h): `dvara audit verify --log FOLDER` reads it
 *   FOLDER/class/NAME/   the node's logs of other classes
 *   FOLDER/seen          the newest note that was verified; of another class FOLDER/class/NAME/seen
 *   FOLDER/pruned        how far the node's main log told that its logs were pruned
 *   FOLDER/../conflicts/ what contradicts it, with its signature, beside it
 *
 * Invariants:
 * 1. Entries are taken over only when the root that they give with all before them was proved to be
 *    a prefix of a tree that the node signed. What is not proved is neither parsed nor written.
 * 2. What was seen only grows, and is durable before what it proves is.
 * 3. A killed copier leaves a copy that goes on, at the last piece that was whole.
 * 4. The copy's checkpoint is one that the node signed; entries may already follow behind it.
 * 5. Nothing goes from a copy but what dv_replica_prune is asked for, and of that only what the
 * node told, in the log that was proved, that it pruned: neither side alone makes a copy forget. */

#include "engine/log/note.h"

enum {
    DV_REPLICA_ENTRIES_MAX = 8 << 20, /* bytes of entries in one piece */
    DV_REPLICA_PROOF_MAX = 128,       /* hashes */
    DV_REPLICA_EDGE_MAX = 6 * 255,    /* hashes */
};

/* One piece, as its source sent it; all of it borrowed. */
typedef struct dv_replica_piece {
    dv_slice note;        /* the newest checkpoint, signed */
    dv_slice entries;     /* framed as in a bundle (tiles.h), from the copy's end on; or empty */
    const dv_hash *proof; /* that the tree which ends with these entries is a prefix of the note's;
                           * empty when it is the note's */
    size_t proof_len;
    uint64_t from; /* index of the first entry */
    const dv_hash
        *edge; /* of a new copy that begins behind what was pruned: the hashes at the right
                * edge of the tree of `from` leaves, of level 2, then of level 3, ... */
    size_t edge_len;
    dv_hash seen_root;   /* the root at the size that was seen, and that this is a prefix, too; */
    const dv_hash *seen; /* empty when nothing was seen, or just that size */
    size_t seen_len;
} dv_replica_piece;

/* What came of it. */
typedef enum dv_replica_verdict {
    DV_REPLICA_SAME,       /* nothing new */
    DV_REPLICA_GREW,       /* some of it was taken over, maybe not all that there is */
    DV_REPLICA_UNSIGNED,   /* not signed by the key that is trusted, or no checkpoint of this log */
    DV_REPLICA_DAMAGED,    /* it proves nothing: entries, proofs and note do not fit together */
    DV_REPLICA_TAKEN_BACK, /* signed, but over less than what the node signed before */
    DV_REPLICA_FORKED,     /* signed, but over something else than what the node signed before */
} dv_replica_verdict;

typedef struct dv_replica dv_replica;

/* Opens the copy, or begins one. log: "main", or the name of another class. key: what is trusted of
 * the node, the verifier key of its main log; the copy follows when the log hands over to another
 * one. Errors: DV_ERR_CORRUPT (the copy is damaged), DV_ERR_CONFLICT (it is of another log),
 * DV_ERR_IO. */
dv_must dv_result dv_replica_open(const char *folder, const char *log, const dv_note_verifier *key,
                                  dv_replica **ret_replica, dv_error *error);
void dv_replica_close(dv_replica *replica);
DV_DEFINE_AUTO_PTR(replica, dv_replica, dv_replica_close)

/* Entries that the copy has. */
uint64_t dv_replica_size(const dv_replica *replica);
/* Entries under the newest note that was verified: what is known to be there. */
uint64_t dv_replica_seen(const dv_replica *replica);

/* Removes entries from the copy's beginning, in whole packs: those whose events are all older than
 * before_ms and that the node pruned itself. *ret_minimum: where the copy begins then. Only of a
 * copy that is up to date. Errors: DV_ERR_UNAVAILABLE (the disk is full), DV_ERR_IO,
 * DV_ERR_CORRUPT. */
dv_must dv_result dv_replica_prune(dv_replica *replica, int64_t before_ms, uint64_t *ret_minimum,
                                   dv_error *error);

/* Judges the piece and takes it over. Anything but DV_OK is trouble of ours (the disk, memory): the
 * replica is to be closed then, and can be opened again. */
dv_must dv_result dv_replica_take(dv_replica *replica, const dv_replica_piece *piece,
                                  dv_replica_verdict *ret_verdict, dv_error *error);
