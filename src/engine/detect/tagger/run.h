/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Runs: the words that are looked at. A word is when it or one of its neighbours is a candidate;
 * all others are outside every span. Each run is decoded alone. */

#include "engine/detect/tagger/feature_keys.h"

enum { DV_RUN_MAX = 64 }; /* words; a longer one is cut, always at the same place */

extern const dv_tagger_token dv_tagger_no_token;

/* Is token i looked at? Token i + 1 is there. */
static inline bool dv_run_has(const dv_tagger_token *tokens, size_t i)
{
    return tokens[i].candidate || (tokens[i].gap != DV_GAP_BREAK && tokens[i - 1].candidate) ||
           (tokens[i + 1].gap != DV_GAP_BREAK && tokens[i + 1].candidate);
}

/* The token behind the run that begins at `start`. Of `count` tokens the last is not looked at: it
 * ends the run. */
static inline size_t dv_run_end(const dv_tagger_token *tokens, size_t count, size_t start)
{
    size_t end = start + 1;
    while (end + 1 < count && end - start < DV_RUN_MAX && tokens[end].gap != DV_GAP_BREAK &&
           dv_run_has(tokens, end)) {
        end++;
    }
    return end;
}

/* tokens[i] with its neighbours; two tokens before it and two behind it are there. */
static inline dv_tagger_around dv_run_around(const dv_tagger_token *tokens, size_t i)
{
    const dv_tagger_token *none = &dv_tagger_no_token;
    bool before = tokens[i].gap != DV_GAP_BREAK;
    bool before2 = before && tokens[i - 1].gap != DV_GAP_BREAK;
    bool after = tokens[i + 1].gap != DV_GAP_BREAK;
    bool after2 = after && tokens[i + 2].gap != DV_GAP_BREAK;
    return (dv_tagger_around){before2 ? &tokens[i - 2] : none, before ? &tokens[i - 1] : none,
                              &tokens[i], after ? &tokens[i + 1] : none,
                              after2 ? &tokens[i + 2] : none};
}
