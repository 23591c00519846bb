/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Searches text of any size, piece by piece, in constant memory: what is found is the same as if it
 * lay there whole. */

#include "engine/detect/detect.h"

/* Where bytes come from: fills up to room bytes; 0: the end. */
typedef struct dv_walk_source {
    dv_result (*get)(void *data, uint8_t *out, size_t room, size_t *ret_len);
    void *data;
} dv_walk_source;

typedef struct dv_walk {
    const dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    dv_detector_set enabled;
    dv_arena *arena; /* emptied for each piece */
    /* Adds findings of another kind (names), sorted, without overlaps; NULL: none. until: before
     * which byte everything is final, which may come to be less when more follows. */
    dv_result (*also)(void *data, dv_slice text, size_t from, bool more, dv_arena *arena,
                      const dv_finding **found, size_t *count, size_t *until);
    void *also_data;
    /* Called in the order of the text: what holds no value (NULL: not asked for), and each value.
     * base: where text begins in the input. */
    dv_result (*passed)(void *data, dv_slice bytes);
    dv_result (*value)(void *data, dv_slice text, const dv_finding *finding, uint64_t base);
    void *data;
} dv_walk;

/* The input until its end. Errors: the source's, the callbacks', dv_detect_scan's. */
dv_must dv_result dv_walk_stream(dv_walk *walk, const dv_walk_source *source);
/* One text that is all there. */
dv_must dv_result dv_walk_text(dv_walk *walk, dv_slice text);
/* What a search of the whole text finds, without telling anybody; in the walk's arena, which is not
 * emptied. */
dv_must dv_result dv_walk_find(dv_walk *walk, dv_slice text, size_t from,
                               const dv_finding **ret_found, size_t *ret_count);
