/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text as it is compared: letters and digits, capitals of ASCII and Latin-1 made small,
 * everything between two words one DV_NORMAL_SPACE. Punctuation of other blocks and no-break spaces
 * stand between words, what has no width is nothing. Bytes that are no UTF-8 are letters. */

#include "base/slice.h"

enum {
    DV_NORMAL_SPACE = 1,
    DV_NORMAL_BREAK = 0, /* no value goes on over it: a NUL, or too much between two words */
    DV_NORMAL_GAP = 64,  /* bytes between two words that are too much */
    DV_NORMAL_OPEN = 3,  /* bytes of a character that is not whole */
};

/* Carried from piece to piece. */
typedef struct dv_normal {
    uint8_t gap;  /* bytes behind the last word */
    bool in_word; /* the last byte that came out is a word's */
    uint8_t open_len;
    uint8_t open[DV_NORMAL_OPEN];
} dv_normal;

static inline bool dv_normal_is_letter(uint8_t byte)
{
    return byte > DV_NORMAL_SPACE;
}

/* A word of the output. */
typedef struct dv_normal_word {
    uint64_t from; /* the input's first byte of it, */
    uint64_t to;   /* and one past its last */
    uint16_t start;
    uint16_t end;
    bool digit; /* it has one */
} dv_normal_word;

/* Where the output stands. */
typedef struct dv_normal_out {
    uint8_t *text;
    size_t len;
    size_t room;
    dv_normal_word
        *words; /* half as many as there is room for bytes, and one; NULL: not asked for */
    size_t word_count;
} dv_normal_out;

/* Appends what the piece means, as far as there is room: at most one byte for each of its own and
 * those that were open. at: where the piece begins. more: a character at its end may go on. Answers
 * how many bytes were read. */
size_t dv_normal_feed(dv_normal *normal, dv_slice piece, uint64_t at, bool more,
                      dv_normal_out *out);
