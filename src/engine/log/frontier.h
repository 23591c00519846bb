/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: the right edge of a growing tree, as its rightmost tiles. */

#include "engine/log/tiles.h"

enum { DV_TILE_LEVELS = 8 };

typedef struct dv_frontier_tile {
    dv_hash hashes[DV_TILE_WIDTH];
    uint32_t width; /* 0..255 */
    uint64_t index;
} dv_frontier_tile;

typedef struct dv_frontier {
    dv_frontier_tile levels[DV_TILE_LEVELS];
} dv_frontier;

/* Adds a leaf; full(data, level, index, hashes) is called for every tile that it completes. */
dv_must dv_result dv_frontier_add(dv_frontier *frontier, const dv_hash *leaf,
                                  dv_result (*full)(void *data, int level, uint64_t index,
                                                    const dv_hash *hashes),
                                  void *data);

dv_hash dv_frontier_root(const dv_frontier *frontier);

/* The right edge of the folder's tree of that size, from its tiles. */
dv_must dv_result dv_frontier_load(dv_frontier *frontier, const char *folder, uint64_t size,
                                   dv_error *error);
