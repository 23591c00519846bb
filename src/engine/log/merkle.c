/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/merkle.h"

#include "crypto/hash.h"

_Static_assert(DV_HASH_LEN == (int)DV_SHA256_LEN, "the tree's hash is SHA-256");

static const dv_slice none = {NULL, 0};
static const uint8_t leaf_prefix = 0x00;
static const uint8_t node_prefix = 0x01;

bool dv_hash_eq(const dv_hash *a, const dv_hash *b)
{
    return memcmp(a->bytes, b->bytes, DV_HASH_LEN) == 0;
}

dv_hash dv_merkle_empty(void)
{
    dv_hash hash;
    dv_sha256(none, none, none, hash.bytes);
    return hash;
}

dv_hash dv_merkle_leaf(dv_slice entry)
{
    dv_hash hash;
    dv_sha256(dv_slice_of(&leaf_prefix, 1), entry, none, hash.bytes);
    return hash;
}

dv_hash dv_merkle_node(const dv_hash *left, const dv_hash *right)
{
    dv_hash hash;
    dv_sha256(dv_slice_of(&node_prefix, 1), dv_slice_of(left->bytes, DV_HASH_LEN),
              dv_slice_of(right->bytes, DV_HASH_LEN), hash.bytes);
    return hash;
}

/* The largest power of two below n (n > 1): where RFC 6962 splits a tree. */
static size_t split_of(size_t n)
{
    return (size_t)1 << (63 - __builtin_clzll(n - 1));
}

dv_hash dv_merkle_root(const dv_hash *hashes, size_t count)
{
    if (count == 1) {
        return hashes[0];
    }
    size_t k = split_of(count);
    dv_hash left = dv_merkle_root(hashes, k);
    dv_hash right = dv_merkle_root(hashes + k, count - k);
    return dv_merkle_node(&left, &right);
}

static dv_result expect(const dv_hash *got, const dv_hash *wanted)
{
    return dv_hash_eq(got, wanted) ? DV_OK : DV_ERR_CORRUPT;
}

/* RFC 9162 section 2.1.3.2 (the walk for RFC 6962's audit paths). */
dv_result dv_merkle_verify_inclusion(uint64_t index, uint64_t size, const dv_hash *leaf,
                                     const dv_hash *proof, size_t proof_len, const dv_hash *root)
{
    if (index >= size) {
        return DV_ERR_INVALID;
    }
    uint64_t node = index, last = size - 1;
    dv_hash hash = *leaf;
    for (size_t i = 0; i < proof_len; i++) {
        if (last == 0) {
            return DV_ERR_INVALID; /* longer than the way to the root */
        }
        if ((node & 1) == 1 || node == last) {
            hash = dv_merkle_node(&proof[i], &hash);
            while ((node & 1) == 0 && node != 0) {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = dv_merkle_node(&hash, &proof[i]);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 ? expect(&hash, root) : DV_ERR_INVALID;
}

/* The subtree is a node of the tree, or would be one if the tree ended with it. */
static bool is_subtree(uint64_t start, uint64_t end)
{
    if (start >= end) {
        return false;
    }
    uint64_t len = end - start;
    uint64_t ceil = len == 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(len - 1)) % 64;
    bool too_wide = len > UINT64_C(1) << 63;
    return too_wide ? start == 0 : start % ceil == 0;
}

dv_result dv_merkle_verify_subtree_inclusion(uint64_t index, uint64_t start, uint64_t end,
                                             const dv_hash *leaf, const dv_hash *proof,
                                             size_t proof_len, const dv_hash *root)
{
    if (!is_subtree(start, end) || index < start) {
        return DV_ERR_INVALID;
    }
    return dv_merkle_verify_inclusion(index - start, end - start, leaf, proof, proof_len, root);
}

/* Positions at one level of the tree: the subtree's first and last node, the tree's last. */
typedef struct level {
    uint64_t first, last, tree;
} level;

static void rise(level *at)
{
    at->first >>= 1;
    at->last >>= 1;
    at->tree >>= 1;
}

/* Up to the level at which the proof's first hash stands. */
static void rise_to_start(level *at)
{
    bool ends_together = at->last == at->tree;
    while (at->first != at->last && (ends_together || (at->last & 1) == 1)) {
        rise(at);
    }
}

/* Rebuilds the subtree's root and the tree's root side by side from the proof. */
static dv_result walk_consistency(level at, dv_hash subtree, dv_hash tree, const dv_hash *proof,
                                  size_t proof_len, const dv_hash *subtree_root,
                                  const dv_hash *root)
{
    for (size_t i = 0; i < proof_len; i++) {
        if (at.tree == 0) {
            return DV_ERR_INVALID;
        }
        if ((at.last & 1) == 1 || at.last == at.tree) {
            if (at.first < at.last) {
                subtree = dv_merkle_node(&proof[i], &subtree);
            }
            tree = dv_merkle_node(&proof[i], &tree);
            while ((at.last & 1) == 0 && at.last != 0) {
                rise(&at);
            }
        } else {
            tree = dv_merkle_node(&tree, &proof[i]);
        }
        rise(&at);
    }
    if (at.tree != 0) {
        return DV_ERR_INVALID;
    }
    DV_TRY(expect(&subtree, subtree_root));
    return expect(&tree, root);
}

dv_result dv_merkle_verify_subtree_consistency(uint64_t start, uint64_t end, uint64_t size,
                                               const dv_hash *subtree_root, const dv_hash *root,
                                               const dv_hash *proof, size_t proof_len)
{
    if (start == end && end <= size) { /* the empty subtree is part of every tree */
        dv_hash empty = dv_merkle_empty();
        return proof_len != 0 ? DV_ERR_INVALID : expect(&empty, subtree_root);
    }
    if (!is_subtree(start, end) || end > size) {
        return DV_ERR_INVALID;
    }
    level at = {start, end - 1, size - 1};
    rise_to_start(&at);
    if (at.first == at.last) { /* the subtree is one node: its hash begins the walk */
        return walk_consistency(at, *subtree_root, *subtree_root, proof, proof_len, subtree_root,
                                root);
    }
    if (proof_len == 0) {
        return DV_ERR_INVALID;
    }
    return walk_consistency(at, proof[0], proof[0], proof + 1, proof_len - 1, subtree_root, root);
}

dv_result dv_merkle_verify_consistency(uint64_t old_size, uint64_t new_size,
                                       const dv_hash *old_root, const dv_hash *new_root,
                                       const dv_hash *proof, size_t proof_len)
{
    if (old_size == 0) {
        return DV_ERR_INVALID; /* any tree contains the empty one: there is nothing to prove */
    }
    return dv_merkle_verify_subtree_consistency(0, old_size, new_size, old_root, new_root, proof,
                                                proof_len);
}
