/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The best labels of a run (Viterbi), in whole numbers of 16 bits, all labels of a word at once. */

#include "engine/detect/tagger/run.h"

typedef int16_t dv_lanes __attribute__((vector_size(2 * DV_TAGGER_LANES)));

typedef struct dv_decoder {
    dv_lanes weights[DV_RUN_MAX]; /* of each word's labels */
    dv_lanes back[DV_RUN_MAX];    /* the label before, when this one is the word's */
    uint8_t labels[DV_RUN_MAX];   /* the answer */
} dv_decoder;

/* Labels tokens[start] to tokens[end - 1], at most DV_RUN_MAX; two tokens stand before and behind.
 */
void dv_decode(const dv_tagger_model *model, const dv_tagger_token *tokens, size_t start,
               size_t end, dv_decoder *decoder);
