/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* Private: decodes JSON that is told in pieces (tool-call arguments), and strings of it that are
 * JSON themselves, as deep as bodies are read. Whether a string is JSON only its whole could prove;
 * what begins as JSON counts until a byte contradicts, and from there on is text. */

enum {
    DV_NESTING_LEVELS = 4,  /* strings within strings that are decoded */
    DV_NESTING_ESCAPE = 12, /* bytes of the longest escape: a surrogate pair */
};

typedef struct dv_nesting_level {
    uint8_t state;
    uint8_t escape_len;
    uint8_t escape[DV_NESTING_ESCAPE]; /* one that is not whole yet */
    uint32_t at[DV_NESTING_ESCAPE];    /* where each of its bytes began in the raw text */
    uint32_t open;                     /* objects and arrays */
} dv_nesting_level;

typedef struct dv_nesting {
    dv_nesting_level levels[DV_NESTING_LEVELS];
} dv_nesting;

/* Takes the bytes that the raw ones mean, in order. at: where it began in the raw text; depth:
 * strings of JSON that it stands in; bare: in none at the innermost level, so that text there
 * needs quotes. A failure ends the reading. */
typedef dv_result (*dv_nesting_show)(void *context, uint8_t byte, uint32_t at, uint32_t depth,
                                     bool bare);

void dv_nesting_begin(dv_nesting *nesting);
/* Reads one more raw byte. Errors: those of `show`. */
dv_must dv_result dv_nesting_feed(dv_nesting *nesting, uint8_t byte, uint32_t at,
                                  dv_nesting_show show, void *context);
/* Where the raw text begins that was read but not shown yet; false: all was. */
bool dv_nesting_waits(const dv_nesting *nesting, uint32_t *ret_at);
/* The raw text lost its first `len` bytes, which were shown. */
void dv_nesting_shift(dv_nesting *nesting, uint32_t len);
