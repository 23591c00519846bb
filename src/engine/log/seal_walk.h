/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: walking over an event, for the values that are sealed (seal.h) and for
 * what says whose they are. One pass over the bytes, without a tree. */

#include "core/event_personal.h"
#include "engine/log/seal.h"

enum {
    DV_SEAL_ROWS_MAX = 128,
    DV_SEAL_WANTED_MAX = 32, /* paths that name subjects, and those of ours */
    DV_SEAL_NONE = -1,
    DV_SEAL_KEY = -2,          /* in place of a row: of a blob */
    DV_SEAL_FRONT_LOOK = 2048, /* metadata is shorter */
};

/* Places in a walk's `found`. Made by the first walk. */
typedef struct dv_seal_paths {
    int count;
    int time, raw, raw_hash, subject, blob, key, group, query;
    int8_t subject_of[DV_SEAL_ROWS_MAX][DV_EVENT_SUBJECTS_MAX]; /* a row's subjects, or NONE */
} dv_seal_paths;
extern dv_seal_paths dv_seal_wanted;

/* A value at a personal path. Offsets into the event. */
typedef struct dv_seal_place {
    int row;         /* of dv_event_personal_paths; NONE: raw_data or its hash; KEY */
    uint32_t member; /* the quote before its name */
    uint32_t start, end;
} dv_seal_place;

typedef struct dv_seal_walk {
    dv_slice text;
    const uint8_t *end;
    dv_seal_place places[DV_SEAL_PLACES];
    size_t count;
    bool too_many;
    dv_slice found[DV_SEAL_WANTED_MAX]; /* raw values; the first of each */
} dv_seal_walk;

/* Finds all of them. Errors: DV_ERR_INVALID (the event is no JSON object). */
dv_must dv_result dv_seal_walk_event(dv_seal_walk *w, dv_slice event);
/* What a walk would find; false: the spots are not those of this text. */
bool dv_seal_walk_spots(dv_seal_walk *w, dv_slice event, const dv_event_spots *spots, size_t shift);

static inline dv_slice dv_seal_place_text(const dv_seal_walk *w, const dv_seal_place *at)
{
    return dv_slice_sub(w->text, at->start, at->end - at->start);
}

/* Over white space. */
const uint8_t *dv_seal_skip_space(const dv_seal_walk *w, const uint8_t *p);
/* From behind the opening quote to the closing one; NULL: there is none. */
const uint8_t *dv_seal_string_end(const dv_seal_walk *w, const uint8_t *p);
