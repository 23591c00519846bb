/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading a C2SP tlog-tiles log from its folder: checkpoint, tile/<L>/<N>[.p/<W>],
 * tile/entries/<N>[.p/<W>]. Everything that is read is outside data: lengths are checked, nothing
 * is trusted before its hash is. */

#include "base/arena.h"
#include "base/buf.h"
#include "engine/log/note.h"

enum {
    DV_TILE_WIDTH = 256,                              /* hashes in a full tile */
    DV_TILE_HEIGHT = 8,                               /* levels of the tree in one tile */
    DV_TILE_PATH_MAX = 96,                            /* relative to the folder, with NUL */
    DV_BUNDLE_MAX = DV_TILE_WIDTH * (2 + UINT16_MAX), /* bytes */
};

/* Level of entry bundles in the functions below. */
enum { DV_TILE_ENTRIES = -1 };

/* "tile/0/x001/234.p/17"; width 256 is the full tile. Returns the length. */
size_t dv_tile_path(int level, uint64_t index, uint32_t width, char out[DV_TILE_PATH_MAX]);

/* Reads the first `width` hashes of a tile, or entries of a bundle, from the partial file of that
 * width, the full one, or a wider partial one; bundles and tiles of level 0 that are no files any
 * more out of the pack that they are in (pack.h). packs: a reader for that, which is quicker over
 * many bundles in order; NULL: one for this call. Errors: DV_ERR_NOT_FOUND, DV_ERR_CORRUPT (length,
 * framing), DV_ERR_IO. */
dv_must dv_result dv_tile_read(const char *folder, int level, uint64_t index, uint32_t width,
                               dv_hash ret_hashes[DV_TILE_WIDTH], dv_error *error);
struct dv_pack_reader;
dv_must dv_result dv_bundle_read(const char *folder, struct dv_pack_reader *packs, uint64_t index,
                                 uint32_t width, dv_buf *out, dv_error *error);

/* Takes the next entry (big-endian 16-bit length, bytes) off the front of *bundle. Errors:
 * DV_ERR_NOT_FOUND at the end, DV_ERR_CORRUPT. */
dv_must dv_result dv_bundle_next(dv_slice *bundle, dv_slice *ret_entry);

/* The root of the first `size` leaves, from the tiles. */
dv_must dv_result dv_tiles_root(const char *folder, uint64_t size, dv_hash *ret_root,
                                dv_error *error);
/* Where tiles come from when they are in no folder of ours. Reads the first `width` hashes. */
typedef struct dv_tile_source {
    dv_result (*read)(void *data, int level, uint64_t index, uint32_t width,
                      dv_hash ret_hashes[DV_TILE_WIDTH], dv_error *error);
    void *data;
} dv_tile_source;

/* size from 1. */
dv_must dv_result dv_tiles_root_from(const dv_tile_source *source, uint64_t size, dv_hash *ret_root,
                                     dv_error *error);
dv_must dv_result dv_tiles_inclusion_from(const dv_tile_source *source, uint64_t index,
                                          uint64_t size, dv_hash *ret_proof, size_t *ret_len,
                                          dv_error *error);
/* old_size from 1 to new_size. */
dv_must dv_result dv_tiles_consistency_from(const dv_tile_source *source, uint64_t old_size,
                                            uint64_t new_size, dv_hash *ret_proof, size_t *ret_len,
                                            dv_error *error);

/* Proofs from the tiles; ret_proof holds DV_PROOF_MAX. */
dv_must dv_result dv_tiles_inclusion(const char *folder, uint64_t index, uint64_t size,
                                     dv_hash *ret_proof, size_t *ret_len, dv_error *error);
dv_must dv_result dv_tiles_consistency(const char *folder, uint64_t old_size, uint64_t new_size,
                                       dv_hash *ret_proof, size_t *ret_len, dv_error *error);

/* Reads and checks the folder's checkpoint. */
dv_must dv_result dv_tiles_checkpoint(const char *folder, const dv_note_verifier *verifier,
                                      dv_checkpoint *ret_checkpoint, dv_error *error);
/* Reads the verifier key that dvara-logd left beside the checkpoint (file "vkey"; the first line,
 * when a key is being replaced). */
dv_must dv_result dv_tiles_vkey(const char *folder, dv_note_verifier *ret_verifier,
                                dv_error *error);
