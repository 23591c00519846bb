/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private: what is kept of a text from piece to piece, and the room to work in. */

#include "engine/detect/fingerprint/format.h"
#include "engine/detect/fingerprint/normal.h"
#include "engine/detect/fingerprint/winnow.h"

enum {
    DV_MATCH_TAIL = 160,   /* normalised bytes that are kept: a value, or SURE letters, with what is
                              between words */
    DV_MATCH_PIECE = 4096, /* that are worked on at once */
    DV_MATCH_ROOM = DV_MATCH_TAIL + DV_MATCH_PIECE,
    DV_MATCH_CELLS = 8, /* values of records that are remembered */
    DV_MATCH_SPANS = 5, /* parts of a document that were met, told apart */
};
_Static_assert((int)DV_MATCH_TAIL > DV_FINGERPRINT_VALUE_MAX + (int)DV_FINGERPRINT_WORDS_MAX,
               "a value fits");
_Static_assert((int)DV_MATCH_TAIL >= 2 * (int)DV_FINGERPRINT_SURE, "letters fit");

typedef struct dv_match_cell {
    uint32_t start; /* byte of the text that it begins with, of which the lower half is enough */
    uint32_t entry; /* index of the value's */
    uint32_t at;    /* normalised bytes of the text before its end */
} dv_match_cell;

/* Fingerprints of a document, by number: [first, last]. */
typedef struct dv_match_span {
    uint32_t first;
    uint32_t last;
} dv_match_span;

typedef struct dv_match_document {
    uint32_t index;
    uint32_t last; /* of the text's fingerprints, by number: the last that was one of these */
    uint16_t row;  /* and how many were without a gap */
    uint8_t span_count;
    bool told;
    uint32_t forgotten; /* fingerprints in spans that are not kept */
    dv_match_span spans[DV_MATCH_SPANS];
} dv_match_document;

typedef struct dv_match_memory {
    dv_match_cell cells[DV_MATCH_CELLS];
    dv_match_document documents[DV_FINGERPRINT_DOCUMENTS_SEEN];
    uint8_t cell_count, document_count;
    uint32_t selected; /* fingerprints of the text so far */
    uint32_t next;     /* the first letter that none of them begins at or behind */
} dv_match_memory;

struct dv_fingerprint_state {
    const dv_fingerprint_matcher *reader; /* that read last, */
    uint64_t turn;                        /* and which of its turns that was */
    uint64_t bytes;                       /* of the text so far */
    uint32_t read;                        /* the same, normalised */
    uint32_t letters;                     /* of these */
    dv_normal normal;
    uint8_t tail_len;
    bool cut; /* the tail begins within a word */
    uint8_t tail[DV_MATCH_TAIL];
    uint32_t set_count;
    dv_match_memory memory[];
};

struct dv_fingerprint_matcher {
    uint8_t text[DV_MATCH_ROOM + DV_SET_SPARE];  /* the tail, then what is new */
    dv_normal_word words[DV_MATCH_ROOM / 2 + 1]; /* of it */
    uint64_t quick[DV_MATCH_ROOM / 2 + 1];       /* of each word, under one set's key */
    uint8_t letters[DV_MATCH_ROOM];
    size_t word_count; /* of the tail that was kept */
    dv_winnow winnow;
    uint64_t turn; /* of the last piece: the state that has it knows where its tail comes from */
};

/* One piece while it is worked on. */
typedef struct dv_match {
    dv_fingerprint_matcher *m;
    const dv_fingerprint_job *job;
    dv_fingerprint_state *state;
    bool more;    /* text follows */
    bool goes_on; /* where the tail comes from is known */
    size_t len;   /* of m->text, */
    size_t old;   /* of which so many were there before */
    size_t words;
    size_t letters; /* of m->letters, where they are asked for */
    uint64_t hold;  /* byte of the text that waits */
} dv_match;

/* The piece under one of the sets. */
typedef struct dv_match_finder {
    dv_match *match;
    const dv_fingerprint_set *set;
    dv_match_memory *memory;
    uint32_t index;
} dv_match_finder;

/* The set of that index; a value of its that ends in what is new is told. */
dv_must dv_result dv_match_values(dv_match *match, uint32_t set);
dv_must dv_result dv_match_passages(dv_match *match, uint32_t set);
