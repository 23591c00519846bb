/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The files below "tile/" of a log's folder, whichever are there. */

#include "engine/log/tiles.h"

typedef struct dv_tile_file {
    int level; /* or DV_TILE_ENTRIES */
    uint64_t index;
    uint32_t width;   /* 256: the full tile */
    const char *name; /* relative to the log's folder; of this call */
} dv_tile_file;

/* Anything but DV_OK ends the walk and is passed on. A file of no tile's name has width 0. */
typedef dv_result (*dv_tile_visit)(void *data, const dv_tile_file *file);

/* Visits every file, in no order; folders that vanish meanwhile are passed over. */
dv_must dv_result dv_tile_files(const char *folder, dv_tile_visit visit, void *data,
                                dv_error *error);

/* How many hashes or entries a log of `size` has in the tile, 0 to 256. */
uint32_t dv_tile_width_at(uint64_t size, int level, uint64_t index);
