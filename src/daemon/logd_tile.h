/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tiles and entry bundles by their path of C2SP tlog-tiles, wherever the log keeps them: in files
 * of that name, or in packs. */

#include "engine/log/tiles.h"

typedef struct dv_logd_tile_name {
    int level; /* or DV_TILE_ENTRIES */
    uint64_t index;
    uint32_t width;
} dv_logd_tile_name;

/* Reads "/tile/<L>/<N>[.p/<W>]" or "/tile/entries/<N>[.p/<W>]", in the one form that there is.
 * Errors: DV_ERR_INVALID. */
dv_must dv_result dv_logd_tile_parse(const char *path, dv_logd_tile_name *ret_name);
/* Appends its bytes. Errors: DV_ERR_NOT_FOUND, DV_ERR_CORRUPT, DV_ERR_IO. */
dv_must dv_result dv_logd_tile_read(const char *log_folder, const dv_logd_tile_name *name,
                                    dv_buf *out, dv_error *error);
