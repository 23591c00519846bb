/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the model is asked about a word: each feature is one key, the hash of what it says. The
 * trainer and the tagger share this file; a change needs a new model and DV_TAGGER_VERSION. */

#include "engine/detect/tagger/token.h"

enum {
    DV_TAGGER_FEATURES = 27,
    DV_TAGGER_CONTEXT_FIRST = 6, /* from this feature */
    DV_TAGGER_CONTEXT_LAST = 16, /* to this they say which words stand around */
};

/* A word and the two on each side, within the context. */
typedef struct dv_tagger_around {
    const dv_tagger_token *before2;
    const dv_tagger_token *before;
    const dv_tagger_token *word;
    const dv_tagger_token *after;
    const dv_tagger_token *after2;
} dv_tagger_around;

#define DV_KEY_MIX UINT64_C(0xd6e8feb86659fd93)

static inline uint64_t dv_tagger_key(unsigned feature, uint64_t a, uint64_t b)
{
    uint64_t key = (a + feature * UINT64_C(0x632be59bd9b4e019)) * DV_KEY_MIX;
    key ^= key >> 32;
    key = (key ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    return key ^ (key >> 29);
}

/* Shapes and gaps around a word as one small number. */
static inline uint64_t dv_tagger_form(const dv_tagger_token *left, const dv_tagger_token *right)
{
    return (uint64_t)left->shape << 16 | (uint64_t)right->gap << 8 | right->shape;
}

__attribute__((always_inline)) static inline void
dv_tagger_features(const dv_tagger_around *a, uint64_t ret_keys[DV_TAGGER_FEATURES])
{
    const dv_tagger_token *w = a->word;
    uint64_t before_form = dv_tagger_form(a->before, w);
    uint64_t after_form = dv_tagger_form(w, a->after);
    uint64_t gaps = (uint64_t)w->gap << 8 | a->after->gap;
    uint64_t classes = (uint64_t)a->before->classes << 16 | (uint64_t)w->classes << 8;
    /* the word */
    ret_keys[0] = dv_tagger_key(0, w->hash, 0);
    ret_keys[1] = dv_tagger_key(1, w->suffix, w->shape);
    ret_keys[2] = dv_tagger_key(2, w->prefix, w->shape);
    ret_keys[3] = dv_tagger_key(3, w->suffix >> 8, w->shape);
    ret_keys[4] = dv_tagger_key(4, w->classes, w->shape);
    ret_keys[5] = dv_tagger_key(5, w->hash, w->shape << 16 | gaps);
    /* what stands around it */
    ret_keys[6] = dv_tagger_key(6, a->before->hash, w->gap);
    ret_keys[7] = dv_tagger_key(7, a->after->hash, a->after->gap);
    ret_keys[8] = dv_tagger_key(8, a->before2->hash, w->classes);
    ret_keys[9] = dv_tagger_key(9, a->after2->hash, w->classes);
    ret_keys[10] = dv_tagger_key(10, a->before2->hash, a->before->hash);
    ret_keys[11] = dv_tagger_key(11, a->after->hash, a->after2->hash);
    ret_keys[12] = dv_tagger_key(12, a->before->hash, w->hash);
    ret_keys[13] = dv_tagger_key(13, w->hash, a->after->hash);
    ret_keys[14] = dv_tagger_key(14, a->before->hash, before_form);
    ret_keys[15] = dv_tagger_key(15, a->after->hash, after_form);
    ret_keys[16] = dv_tagger_key(16, a->before->hash, a->after->hash);
    /* forms and classes */
    ret_keys[17] = dv_tagger_key(17, before_form, w->classes);
    ret_keys[18] = dv_tagger_key(18, after_form, w->classes);
    ret_keys[19] = dv_tagger_key(19, before_form, (uint64_t)a->after->gap << 8 | a->after->shape);
    ret_keys[20] = dv_tagger_key(20, classes | a->after->classes, w->shape);
    ret_keys[21] = dv_tagger_key(21, classes, before_form);
    ret_keys[22] = dv_tagger_key(22, (uint64_t)w->classes << 8 | a->after->classes, after_form);
    ret_keys[23] = dv_tagger_key(23, before_form, dv_tagger_form(a->before2, a->before));
    ret_keys[24] = dv_tagger_key(24, after_form, dv_tagger_form(a->after, a->after2));
    ret_keys[25] = dv_tagger_key(25, classes | a->before2->classes, gaps);
    ret_keys[26] = dv_tagger_key(
        26, (uint64_t)w->classes << 16 | (uint64_t)a->after->classes << 8 | a->after2->classes,
        gaps);
}
