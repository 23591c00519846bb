/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a reader is in each of a node's logs: "main:4711,requests:12". What reads on in all logs at
 * once keeps this in place of one index. */

#include "base/buf.h"

enum { DV_PLACES_MAX = 16, DV_PLACE_NAME_MAX = 32, DV_PLACES_TEXT_MAX = 1024 };

typedef struct dv_place {
    char log[DV_PLACE_NAME_MAX + 1];
    uint64_t next;
} dv_place;

typedef struct dv_places {
    dv_place items[DV_PLACES_MAX];
    size_t count;
} dv_places;

/* Reads the text; a number alone is of the log "main", nothing at all of none. Errors:
 * DV_ERR_INVALID. */
dv_must dv_result dv_places_read(dv_slice text, dv_places *ret_places);
/* Appends it; a number alone where there is no log but main. */
dv_must dv_result dv_places_write(const dv_places *places, dv_buf *out);
/* The place in that log, or NULL. */
const dv_place *dv_places_find(const dv_places *places, dv_slice log);
/* Errors: DV_ERR_TOO_LARGE (too many logs), DV_ERR_INVALID (no name of a log). */
dv_must dv_result dv_places_set(dv_places *places, dv_slice log, uint64_t next);
/* Whether both are at the same place in every log. */
bool dv_places_same(const dv_places *a, const dv_places *b);
