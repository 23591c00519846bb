/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The places of one asset, by name. */

#include "base/buf.h"
#include "room/data/scan/find.h"

/* A part, and the values of it that wait to be searched together. */
typedef struct dv_data_place {
    dv_data_part part;
    uint64_t hash;
    dv_slice member; /* in the arena */
    dv_slice field;
    dv_buf batch;        /* words NUL value NUL ... */
    uint32_t *starts;    /* of each value in it */
    size_t waiting;      /* values */
    size_t room;         /* of starts */
    uint64_t first_cell; /* number of the first that waits */
} dv_data_place;

typedef struct dv_data_places {
    dv_arena *arena;
    dv_data_place **slots; /* open addressing; NULL: free */
    dv_data_place *items[DV_DATA_PARTS_MAX + 1];
    size_t count;
} dv_data_places;

/* Forgets all places, and what waits. */
void dv_data_places_clear(dv_data_places *places);
/* The place, made when it is new; past the limit the one for all others. ret_new: it was made. */
dv_must dv_result dv_data_places_get(dv_data_places *places, const dv_scan_place *at, bool column,
                                     dv_data_place **ret_place, bool *ret_new);
/* Says that the field's name is itself a value, and not to be told. */
void dv_data_place_hide(dv_data_place *place);
/* Counts one value. cell: its number; of running text 0. */
dv_must dv_result dv_data_place_count(dv_data_places *places, dv_data_place *place, size_t kind,
                                      uint8_t score, uint64_t cell);
