/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/frontier.h"

dv_result dv_frontier_add(dv_frontier *frontier, const dv_hash *leaf,
                          dv_result (*full)(void *data, int level, uint64_t index,
                                            const dv_hash *hashes),
                          void *data)
{
    dv_hash hash = *leaf;
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        dv_frontier_tile *right = &frontier->levels[level];
        right->hashes[right->width++] = hash;
        if (right->width < DV_TILE_WIDTH) {
            return DV_OK;
        }
        hash = dv_merkle_root(right->hashes, DV_TILE_WIDTH);
        DV_TRY(full(data, level, right->index, right->hashes));
        right->width = 0;
        right->index++;
    }
    return DV_ERR_TOO_LARGE;
}

/* The perfect subtrees of a tree stand in the bits of its size, the smallest at the right. */
dv_hash dv_frontier_root(const dv_frontier *frontier)
{
    dv_hash root = dv_merkle_empty();
    bool any = false;
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        const dv_frontier_tile *right = &frontier->levels[level];
        uint32_t end = right->width;
        for (uint32_t len = 1; len < DV_TILE_WIDTH; len <<= 1) {
            if ((right->width & len) != 0) {
                end -= len;
                dv_hash left = dv_merkle_root(right->hashes + end, len);
                root = any ? dv_merkle_node(&left, &root) : left;
                any = true;
            }
        }
    }
    return root;
}

dv_result dv_frontier_load(dv_frontier *frontier, const char *folder, uint64_t size,
                           dv_error *error)
{
    for (int level = 0; level < DV_TILE_LEVELS; level++) {
        dv_frontier_tile *right = &frontier->levels[level];
        uint64_t nodes = size >> (DV_TILE_HEIGHT * level);
        right->index = nodes / DV_TILE_WIDTH;
        right->width = (uint32_t)(nodes % DV_TILE_WIDTH);
        if (right->width > 0) {
            DV_TRY(dv_tile_read(folder, level, right->index, right->width, right->hashes, error));
        }
    }
    return DV_OK;
}
