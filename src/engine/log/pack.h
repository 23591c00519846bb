/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Packs: where a log's leaves lie once there are enough of them. A pack is a file of DV_PACK_BLOCKS
 * blocks (block.h), one behind the other; the last one of a log grows by whole blocks. Entry
 * bundles and the tiles of level 0 are made out of it, since they hold nothing that is not in it.
 *
 *   pack/000, pack/001, ..., pack/x001/000       named as tiles are */

#include "engine/log/block.h"
#include "engine/log/tiles.h"

enum {
    DV_PACK_BLOCKS = 16,
    DV_PACK_LEAVES = DV_PACK_BLOCKS * DV_BLOCK_LEAVES, /* 65,536: what a tile of level 1 is over */
};

/* "pack/x000/123". Returns the length. */
size_t dv_pack_path(uint64_t pack, char out[DV_TILE_PATH_MAX]);

/* -- reading ----------------------------------------------------------------------------------- */

/* Reads leaves block by block and remembers the block that it read last. Not for several threads at
 * a time. */
typedef struct dv_pack_reader dv_pack_reader;

/* folder: the log's, borrowed. */
dv_must dv_result dv_pack_reader_new(const char *folder, dv_pack_reader **ret_reader);
void dv_pack_reader_free(dv_pack_reader *reader);
DV_DEFINE_AUTO_PTR(pack_reader, dv_pack_reader, dv_pack_reader_free)

/* The block of that number (leaf / DV_BLOCK_LEAVES); valid until the next call. Errors:
 * DV_ERR_NOT_FOUND (it is not packed, or pruned), DV_ERR_CORRUPT (with the file), DV_ERR_IO. */
dv_must dv_result dv_pack_block(dv_pack_reader *reader, uint64_t block, dv_block **ret_block,
                                dv_error *error);
/* Where the block lies in its file; the same errors. Only headers are read. */
dv_must dv_result dv_pack_place(const char *folder, uint64_t block, uint64_t *ret_offset,
                                dv_block_info *ret_info, dv_error *error);
/* Appends the leaves [from, from + count), which are in one block, framed as in a bundle. */
dv_must dv_result dv_pack_bundle(dv_pack_reader *reader, uint64_t from, uint32_t count, dv_buf *out,
                                 dv_error *error);

/* -- writing (dvara-logd) ---------------------------------------------------------------------- */

/* Appends a block as the log's block `block` and syncs the file: whatever lies there already, left
 * over from a crash, is overwritten. Errors: DV_ERR_UNAVAILABLE (disk full), DV_ERR_IO. */
dv_must dv_result dv_pack_append(const char *folder, uint64_t block, dv_slice bytes,
                                 dv_error *error);
/* Cuts off what a crash left behind the first `blocks` blocks of the log. */
dv_must dv_result dv_pack_trim(const char *folder, uint64_t blocks, dv_error *error);
