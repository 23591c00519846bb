/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/tagger/decode.h"

const dv_tagger_token dv_tagger_no_token = {.shape = DV_SHAPE_NONE};

typedef int8_t small_lanes __attribute__((vector_size(DV_TAGGER_LANES)));
_Static_assert(DV_TAGGER_FEATURES * 128 + 2 * 10000 + 4000 < INT16_MAX + 1, "sums fit 16 bits");

#define LANES(x) ((dv_lanes){} + (int16_t)(x))

/* Without AVX2 the same is computed in halves. */
#if defined(__x86_64__) && !defined(DV_SANITIZED) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif

#define INLINE __attribute__((always_inline)) static inline

/* The sum of the weights of all features that the model knows. No branch depends on which it
 * knows: a guess would be wrong as often as not. */
INLINE void weigh(const dv_tagger_model *model, const dv_tagger_around *around, dv_lanes *ret_sum)
{
    uint64_t keys[DV_TAGGER_FEATURES];
    dv_lanes sum = {0};
    dv_tagger_features(around, keys);
    for (size_t i = 0; i < DV_TAGGER_FEATURES; i++) {
        const dv_tagger_slot *slot = &model->slots[keys[i] >> model->slot_shift];
        small_lanes packed;
        memcpy(&packed, slot, sizeof(packed));
        int16_t known = slot->check == (uint16_t)keys[i] ? -1 : 0;
        sum += __builtin_convertvector(packed, dv_lanes) & LANES(known);
    }
    sum[DV_LABEL_O] = (int16_t)(sum[DV_LABEL_O] + model->header->outside / 16);
    sum[DV_TAGGER_LABELS] = 0; /* that was the check */
    sum[DV_TAGGER_LABELS + 1] = 0;
    *ret_sum = sum;
}

INLINE void take_greater(dv_lanes *lanes, const dv_lanes *others)
{
    dv_lanes more = (dv_lanes)(*others > *lanes);
    *lanes = (*others & more) | (*lanes & ~more);
}

/* Only differences count: the best becomes 0, and what can't be stays far below. */
INLINE void level(dv_lanes *row)
{
    dv_lanes most = *row;
    dv_lanes turned =
        __builtin_shufflevector(most, most, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    take_greater(&most, &turned);
    turned =
        __builtin_shufflevector(most, most, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    take_greater(&most, &turned);
    turned =
        __builtin_shufflevector(most, most, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    take_greater(&most, &turned);
    turned =
        __builtin_shufflevector(most, most, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    take_greater(&most, &turned);
    *row -= most;
    dv_lanes least = LANES(DV_TAGGER_NEVER);
    take_greater(row, &least);
}

/* From the labels of the word before, weighed in row, the best way to each label. */
INLINE void step_on(const dv_tagger_model *model, dv_lanes *row, dv_lanes *ret_back)
{
    dv_lanes reached = LANES(INT16_MIN);
    dv_lanes back = {0};
    for (int from = 0; from < DV_TAGGER_LABELS; from++) {
        dv_lanes step;
        memcpy(&step, model->transitions[from], sizeof(step));
        step += LANES((*row)[from]);
        dv_lanes better = (dv_lanes)(step > reached);
        reached = (step & better) | (reached & ~better);
        back = (LANES(from) & better) | (back & ~better);
    }
    *row = reached;
    *ret_back = back;
}

CLONES void dv_decode(const dv_tagger_model *model, const dv_tagger_token *tokens, size_t start,
                      size_t end, dv_decoder *decoder)
{
    size_t count = end - start;
    size_t best = 0;
    dv_lanes row;
    memcpy(&row, model->transitions[DV_TAGGER_LABELS], sizeof(row));
    for (size_t i = 0; i < count; i++) {
        dv_tagger_around around = dv_run_around(tokens, start + i);
        weigh(model, &around, &decoder->weights[i]);
        if (i > 0) {
            step_on(model, &row, &decoder->back[i]);
        }
        row += decoder->weights[i];
        level(&row);
    }
    for (size_t label = 1; label < DV_TAGGER_LABELS; label++) {
        best = row[label] > row[best] ? label : best;
    }
    for (size_t i = count; i > 0; i--) {
        decoder->labels[i - 1] = (uint8_t)best;
        best = i > 1 ? (size_t)decoder->back[i - 1][best] : 0;
    }
}
