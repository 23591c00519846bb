/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where values stand in a request's record, noted while it is expanded from its code, so that
 * whoever seals them (core/event_personal.h) need not look for them in the text. */

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    DV_EVENT_SPOTS_MAX = 32,
    DV_EVENT_FIELD_LIMIT_KEY = UINT8_MAX, /* unmapped.dvara.limit.key, which no row tells of */
};

/* A member that is there. Offsets into the record. */
typedef struct dv_event_spot {
    uint8_t field;       /* number of its row in the table of the record's class */
    uint32_t member;     /* the quote before its name */
    uint32_t start, end; /* the value */
} dv_event_spot;

typedef struct dv_event_spots {
    bool known; /* false: nothing was noted, the record has to be looked at */
    bool is_close;
    size_t count;
    dv_event_spot spots[DV_EVENT_SPOTS_MAX];
} dv_event_spots;

/* The rows of a request's records: the number, the path ("actor.user.uid"), and whether spots tell
 * of it. Those of personal values are told of, and "time". */
void dv_event_spot_fields(bool is_close,
                          void (*visit)(void *data, size_t field, dv_slice path, bool noted),
                          void *data);
