/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The model's file, and what its reader and its trainer (tools/tagger) share. All numbers are
 * little-endian:
 *
 *   header            dv_tagger_header, 64 bytes
 *   transitions       int16_t [DV_TAGGER_LABELS + 1][DV_TAGGER_LANES]; the last row: from the start
 *   scores            uint8_t [DV_TAGGER_TYPES][DV_TAGGER_BINS]
 *   weights           dv_tagger_slot [1 << slot_bits]
 *   lexicon           uint32_t [1 << lexicon_bits]: check << 8 | classes, 0: empty
 *
 * A feature has at most one slot: its weights count when the slot's check is its own. A word stands
 * in the lexicon at most DV_TAGGER_PROBES - 1 entries behind its place. So whatever a file's bytes
 * say, reading it is bounded, and no index leaves it. */

#include "engine/detect/tagger/tagger.h"

enum {
    DV_TAGGER_VERSION = 2, /* of the file, and of tokens and features: they change together */
    DV_TAGGER_LABELS = 14,
    DV_TAGGER_LANES = 16,
    DV_TAGGER_BINS = 16,
    DV_TAGGER_PROBES = 16,
    DV_TAGGER_MAX_BITS = 22,
    DV_TAGGER_NEVER = -10000, /* a transition that no sentence can have */
};

/* O, then for each type that may have several words its begin and its inside, then the rest. */
enum {
    DV_LABEL_O = 0,
    DV_LABEL_PERSON = 1,
    DV_LABEL_LOCATION = 3,
    DV_LABEL_ORGANIZATION = 5,
    DV_LABEL_ADDRESS = 7,
    DV_LABEL_DATE_TIME = 9,
    DV_LABEL_AGE = 11,
    DV_LABEL_NRP = 12,
    DV_LABEL_TITLE = 13,
};

/* What the lexicon says of a word. */
enum {
    DV_WORD_FIRST = 1,    /* a given name */
    DV_WORD_LAST = 2,     /* a family name */
    DV_WORD_PLACE = 4,    /* a city, or a part of its name */
    DV_WORD_COUNTRY = 8,  /* a country or state, or a part of its name */
    DV_WORD_ORG = 16,     /* a part of an organization's name: bank, ltd, a known company */
    DV_WORD_COMMON = 32,  /* an ordinary word of a dictionary */
    DV_WORD_ADDRESS = 64, /* street, nagar, block ... */
    DV_WORD_PEOPLE = 128, /* a nationality or religion */
};

typedef struct dv_tagger_header {
    char magic[8]; /* "DVTAGGER" */
    uint32_t version;
    uint32_t slot_bits;
    uint32_t lexicon_bits;
    int32_t outside; /* added to the weight of O: below zero finds more, and more that is wrong */
    uint64_t digest; /* SipHash-2-4 of all that follows the header, with a key of zeros */
    char name[32];   /* of the model, for listings; NUL-padded */
} dv_tagger_header;
_Static_assert(sizeof(dv_tagger_header) == 64, "as the file has it");

typedef struct dv_tagger_slot {
    int8_t weights[DV_TAGGER_LABELS];
    uint16_t check; /* of the feature whose slot it is */
} dv_tagger_slot;
_Static_assert(sizeof(dv_tagger_slot) == 16, "one load");

struct dv_tagger_model {
    const dv_tagger_header *header;
    const int16_t (*transitions)[DV_TAGGER_LANES];
    const uint8_t (*scores)[DV_TAGGER_BINS];
    const dv_tagger_slot *slots;
    const uint32_t *lexicon;
    unsigned slot_shift;    /* a feature's key >> this is its slot */
    unsigned lexicon_shift; /* a word's hash >> this is its place */
};

/* What was linked in: made from names.model by embed.py. */
extern const uint64_t dv_tagger_builtin[];
extern const size_t dv_tagger_builtin_len;

/* The digest of a file's content behind its header. */
uint64_t dv_tagger_digest(dv_slice content);

/* An entry of the lexicon without its classes. */
static inline uint32_t dv_tagger_word_check(uint64_t hash)
{
    return (uint32_t)(hash & 0xffffff) == 0 ? 1 : (uint32_t)(hash & 0xffffff);
}

/* The classes of the word with this hash, 0: unknown. */
static inline uint8_t dv_tagger_classes(const dv_tagger_model *model, uint64_t hash)
{
    uint32_t mask = (1u << model->header->lexicon_bits) - 1;
    uint32_t at = (uint32_t)(hash >> model->lexicon_shift);
    uint32_t check = dv_tagger_word_check(hash);
    for (uint32_t probe = 0; probe < DV_TAGGER_PROBES; probe++) {
        uint32_t entry = model->lexicon[(at + probe) & mask];
        if (entry == 0) {
            return 0;
        }
        if (entry >> 8 == check) {
            return (uint8_t)entry;
        }
    }
    return 0;
}
