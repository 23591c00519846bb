/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A search's helpers: threads that look at the blocks which it will come to, each with eyes of its
 * own, so that a search of many blocks uses the processors that are there. The search itself asks
 * block after block in its own order, and takes each that nobody has begun. */

#include "engine/log/pack.h"
#include "engine/log/search.h"

enum {
    DV_AHEAD_HELPERS_MAX = 3, /* with the search itself, four processors */
    DV_AHEAD_BLOCKS = 16,     /* that are looked at before the search comes to them, at most */
    DV_AHEAD_LEAVES = 16,     /* of a block that has no more for the search, they come along */
};

typedef struct dv_ahead dv_ahead;

typedef struct dv_ahead_found {
    enum { DV_AHEAD_UNWANTED, DV_AHEAD_LOOKED_AT, DV_AHEAD_NOT_BEGUN } state;
    /* DV_AHEAD_LOOKED_AT: as dv_block_search returns them. */
    dv_rows sure, maybe;
    /* The leaves of `maybe` in their order, one behind the other, where there are few; NULL: they
     * are in the block. Until the next block is given or taken. */
    const uint8_t *leaves;
    const uint32_t *leaf_ends;
} dv_ahead_found;

/* As many as there are processors beside the caller's; fewer where the system gives no more.
 * folder, query, reader and packs (of the folder, which the search reads with, too): borrowed, as
 * long as it lives. leaves: whole leaves are wanted, not columns alone. NULL: there are no helpers
 * (one processor; a reader that has no twin). */
dv_ahead *dv_ahead_new(const char *folder, const dv_query *query, const dv_search_reader *reader,
                       dv_pack_reader *packs, bool leaves);
/* Waits for what has been begun. */
void dv_ahead_free(dv_ahead *ahead);
DV_DEFINE_AUTO_PTR(ahead, dv_ahead, dv_ahead_free)

/* How many blocks can be handed over now. */
size_t dv_ahead_room(const dv_ahead *ahead);
/* Whether that block is the next to be taken. */
bool dv_ahead_has(const dv_ahead *ahead, uint64_t block);
/* The next block of the search; wanted: somebody has to look at it. There must be room. */
void dv_ahead_give(dv_ahead *ahead, uint64_t block, bool wanted);
/* Takes the oldest that was given, which must be that block; while a helper is at it, the caller
 * looks at another one, so that `packs` has no block any more.
 * Errors: of dv_pack_block and dv_block_search, DV_ERR_INTERNAL (it is another one). */
dv_must dv_result dv_ahead_take(dv_ahead *ahead, uint64_t block, dv_ahead_found *ret_found,
                                dv_error *error);
