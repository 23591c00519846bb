/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Words and what stands between them. Punctuation is no token: it is the class of the gap before
 * the next word, so sentences are short and whatever bytes stand between words cost little. */

#include "engine/detect/tagger/model.h"

enum {
    DV_TOKEN_MAX = 64, /* bytes; a longer word is no word (base64, a hash): it ends the context */
    DV_GAP_MAX = 32,   /* bytes; a longer gap ends the context, too */
};

/* How a word is written. */
typedef enum dv_shape {
    DV_SHAPE_NONE = 0, /* no word: the text's beginning or end */
    DV_SHAPE_LOWER,
    DV_SHAPE_TITLE,      /* Xxxx */
    DV_SHAPE_CAPS,       /* XXXX */
    DV_SHAPE_SINGLE,     /* X */
    DV_SHAPE_MIXED,      /* xXxx */
    DV_SHAPE_FOREIGN,    /* another script than Latin */
    DV_SHAPE_IDENTIFIER, /* with underscores */
    DV_SHAPE_DIGITS_1,
    DV_SHAPE_DIGITS_2,
    DV_SHAPE_DIGITS_3,
    DV_SHAPE_YEAR, /* 1900 to 2099 */
    DV_SHAPE_DIGITS_4,
    DV_SHAPE_DIGITS_5,
    DV_SHAPE_DIGITS_6,
    DV_SHAPE_DIGITS,       /* more */
    DV_SHAPE_DIGIT_FIRST,  /* 3rd, 12A */
    DV_SHAPE_LETTER_FIRST, /* B12 */
    DV_SHAPE_COUNT,
} dv_shape;

/* What stands before a word. */
typedef enum dv_gap {
    DV_GAP_BREAK =
        0, /* the text's beginning, NUL, a long word, a long gap: nothing before counts */
    DV_GAP_SPACE,
    DV_GAP_TIGHT, /* nothing, or a sign that has no class of its own, without white space */
    DV_GAP_COMMA,
    DV_GAP_STOP,        /* a full stop and white space */
    DV_GAP_STOP_TIGHT,  /* without */
    DV_GAP_EXCLAMATION, /* ! or ? */
    DV_GAP_HYPHEN_TIGHT,
    DV_GAP_DASH,
    DV_GAP_LINE,
    DV_GAP_PARAGRAPH, /* two line ends or more */
    DV_GAP_COLON,
    DV_GAP_COLON_TIGHT,
    DV_GAP_SEMICOLON,
    DV_GAP_SLASH,
    DV_GAP_AT,
    DV_GAP_OPEN,       /* a bracket opens */
    DV_GAP_CLOSE,      /* a bracket closes */
    DV_GAP_QUOTE,      /* double quotes */
    DV_GAP_APOSTROPHE, /* a single quote */
    DV_GAP_HASH,
    DV_GAP_AMPERSAND,
    DV_GAP_EQUALS,
    DV_GAP_CELL, /* tab or | */
    DV_GAP_SIGN, /* any other sign, with white space */
    DV_GAP_COUNT,
} dv_gap;

typedef struct dv_tagger_token {
    uint64_t hash;   /* of the word, letters folded; of a number only its shape */
    uint32_t prefix; /* its first three bytes, folded */
    uint32_t suffix; /* its last three */
    uint32_t start;
    uint32_t end;
    uint8_t shape;   /* dv_shape */
    uint8_t gap;     /* dv_gap, before it */
    uint8_t classes; /* DV_WORD_*, of the lexicon */
    bool candidate;  /* it might belong to a span: it and its neighbours are looked at */
} dv_tagger_token;

typedef struct dv_tokens {
    const dv_tagger_model *model;
    dv_slice text;
    size_t at;   /* all before is read */
    bool more;   /* text follows */
    bool broken; /* what was read last ends the context */
} dv_tokens;

/* Reads from byte `from` of the text on; when that is not its beginning, from the next word on, as
 * this may be the middle of one. */
void dv_tokens_start(dv_tokens *tokens, const dv_tagger_model *model, dv_slice text, size_t from,
                     bool more);

/* The next word; false when there is none, or (more) it may not be whole. */
bool dv_tokens_next(dv_tokens *tokens, dv_tagger_token *ret_token);
