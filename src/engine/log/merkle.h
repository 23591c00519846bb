/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The hash tree of RFC 6962 section 2.1: hashes and proofs over memory, no files. */

#include "base/result.h"
#include "base/slice.h"

enum {
    DV_HASH_LEN = 32,
    DV_PROOF_MAX = 128, /* hashes; a tree of 2^63 leaves needs fewer */
};

typedef struct dv_hash {
    uint8_t bytes[DV_HASH_LEN];
} dv_hash;

bool dv_hash_eq(const dv_hash *a, const dv_hash *b);

/* The root of the tree without leaves: SHA-256 of nothing. */
dv_hash dv_merkle_empty(void);
/* SHA-256(0x00 || entry). */
dv_hash dv_merkle_leaf(dv_slice entry);
/* SHA-256(0x01 || left || right). */
dv_hash dv_merkle_node(const dv_hash *left, const dv_hash *right);
/* The root over `count` hashes that stand beside each other (RFC 6962's MTH with these as leaves'
 * hashes). count is at least 1. */
dv_hash dv_merkle_root(const dv_hash *hashes, size_t count);

/* Does the proof lead from the leaf to the root of the tree of that size? (RFC 6962 section 2.1.1.)
 * Errors: DV_ERR_INVALID (no such leaf, wrong length), DV_ERR_CORRUPT (another root). */
dv_must dv_result dv_merkle_verify_inclusion(uint64_t index, uint64_t size, const dv_hash *leaf,
                                             const dv_hash *proof, size_t proof_len,
                                             const dv_hash *root);

/* Is the tree of old_size a prefix of that of new_size? (RFC 6962 section 2.1.2.) */
dv_must dv_result dv_merkle_verify_consistency(uint64_t old_size, uint64_t new_size,
                                               const dv_hash *old_root, const dv_hash *new_root,
                                               const dv_hash *proof, size_t proof_len);

/* The same for the subtree over the leaves [start, end), start being a multiple of the smallest
 * power of two that is not below end - start: is the leaf `index` in it; is it part of the tree of
 * `size`? */
dv_must dv_result dv_merkle_verify_subtree_inclusion(uint64_t index, uint64_t start, uint64_t end,
                                                     const dv_hash *leaf, const dv_hash *proof,
                                                     size_t proof_len, const dv_hash *root);
dv_must dv_result dv_merkle_verify_subtree_consistency(uint64_t start, uint64_t end, uint64_t size,
                                                       const dv_hash *subtree_root,
                                                       const dv_hash *root, const dv_hash *proof,
                                                       size_t proof_len);
