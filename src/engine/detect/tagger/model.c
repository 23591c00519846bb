/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/tagger/model.h"

#include <stdlib.h>

#include "base/siphash.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the model's file is read as it lies, which is little-endian"
#endif

uint64_t dv_tagger_digest(dv_slice content)
{
    static const uint8_t key[16] = {0};
    return dv_siphash(key, content);
}

/* Bytes of a file with such a header. */
static size_t file_size(const dv_tagger_header *header)
{
    return sizeof(*header) + sizeof(int16_t[DV_TAGGER_LABELS + 1][DV_TAGGER_LANES]) +
           sizeof(uint8_t[DV_TAGGER_TYPES][DV_TAGGER_BINS]) +
           (sizeof(dv_tagger_slot) << header->slot_bits) +
           (sizeof(uint32_t) << header->lexicon_bits);
}

static bool bits_fit(uint32_t bits)
{
    return bits >= 1 && bits <= DV_TAGGER_MAX_BITS;
}

static dv_result check_header(dv_slice file, const dv_tagger_header *header, dv_error *error)
{
    if (memcmp(header->magic, "DVTAGGER", sizeof(header->magic)) != 0) {
        return dv_error_set(error, DV_ERR_INVALID, "this is no model of names");
    }
    if (header->version != DV_TAGGER_VERSION) {
        return dv_error_set(
            error, DV_ERR_INVALID,
            "the model has version %u, this program reads version %d: train it anew",
            header->version, DV_TAGGER_VERSION);
    }
    if (!bits_fit(header->slot_bits) || !bits_fit(header->lexicon_bits) ||
        file_size(header) != file.len || header->outside < -10000 || header->outside > 10000) {
        return dv_error_set(error, DV_ERR_INVALID, "the model's header and size do not agree");
    }
    dv_slice content = dv_slice_sub(file, sizeof(*header), file.len);
    if (dv_tagger_digest(content) != header->digest) {
        return dv_error_set(error, DV_ERR_INVALID, "the model is damaged: its digest is another");
    }
    return DV_OK;
}

/* Sums of weights and transitions stay within 16 bits only while each is within its own bounds. */
static bool transitions_fit(const dv_tagger_model *model)
{
    for (size_t from = 0; from <= DV_TAGGER_LABELS; from++) {
        for (size_t to = 0; to < DV_TAGGER_LANES; to++) {
            int16_t weight = model->transitions[from][to];
            bool never = weight == DV_TAGGER_NEVER;
            if ((to >= DV_TAGGER_LABELS && !never) ||
                (!never && (weight < -4000 || weight > 4000))) {
                return false;
            }
        }
    }
    return true;
}

/* What follows the header, each part at a multiple of 16. */
static void lay_out(const dv_tagger_header *header, dv_tagger_model *model)
{
    const uint8_t *at = (const uint8_t *)(header + 1);
    model->header = header;
    model->transitions = (const void *)at;
    at += sizeof(int16_t[DV_TAGGER_LABELS + 1][DV_TAGGER_LANES]);
    model->scores = (const void *)at;
    at += sizeof(uint8_t[DV_TAGGER_TYPES][DV_TAGGER_BINS]);
    model->slots = (const void *)at;
    at += sizeof(dv_tagger_slot) << header->slot_bits;
    model->lexicon = (const void *)at;
    model->slot_shift = 64 - header->slot_bits;
    model->lexicon_shift = 64 - header->lexicon_bits;
}

dv_result dv_tagger_model_open(dv_slice file, dv_tagger_model **ret_model, dv_error *error)
{
    const dv_tagger_header *header = (const void *)file.ptr;
    if (file.len < sizeof(*header) || (uintptr_t)file.ptr % 16 != 0) {
        return dv_error_set(error, DV_ERR_INVALID, "this is no model of names: too short");
    }
    DV_TRY(check_header(file, header, error));
    dv_auto(tagger_model) dv_tagger_model *model = malloc(sizeof(*model));
    if (model == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    lay_out(header, model);
    if (!transitions_fit(model)) {
        return dv_error_set(error, DV_ERR_INVALID, "the model's transitions are out of bounds");
    }
    *ret_model = model;
    model = NULL;
    return DV_OK;
}

void dv_tagger_model_free(dv_tagger_model *model)
{
    free(model);
}
