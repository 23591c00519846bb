/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"

/* Private: whether a string that is told in pieces is JSON itself, and strings in it again, as far
 * as it was told. Only the whole could prove it; what begins as JSON counts until a byte
 * contradicts. */

enum { DV_NESTING_LEVELS = 3 }; /* with the arguments' own strings as deep as bodies are read */

typedef struct dv_nesting_level {
    uint8_t state;
    uint8_t hex_left; /* digits of a \u escape that are still to come */
    uint32_t code;
    size_t open; /* objects and arrays */
} dv_nesting_level;

typedef struct dv_nesting {
    dv_nesting_level levels[DV_NESTING_LEVELS];
} dv_nesting;

/* A string begins. */
void dv_nesting_begin(dv_nesting *nesting);
/* One more byte of it, decoded. */
void dv_nesting_feed(dv_nesting *nesting, uint8_t byte);

/* How many strings of JSON within the string the last byte stands in. */
uint32_t dv_nesting_depth(const dv_nesting *nesting);
/* The last byte stands in JSON within the string, but in none of its strings: in a number. */
bool dv_nesting_bare(const dv_nesting *nesting);
