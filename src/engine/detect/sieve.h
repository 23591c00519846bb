/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the engine: where in a text one of a few expressions could match, told by a pass over
 * it that reads 32 bytes at a time. It misses none, and stops in ordinary text seldom.
 *
 * A gram is a row of sets of bytes that every match of an expression has somewhere (sieve.py
 * derives it). The pass compares three of its bytes, each by the halves of the byte, against eight
 * buckets of grams at once (the way of the "Teddy" matchers); where it stops, the bytes around are
 * compared with the grams' own sets. */

#include "base/slice.h"

enum {
    DV_SIEVE_WIDTH = 3,  /* bytes that the pass compares */
    DV_SIEVE_BEHIND = 4, /* bytes of a gram before those, */
    DV_SIEVE_AHEAD = 8,  /* and from the first of those on */
    DV_SIEVE_PLACES = DV_SIEVE_BEHIND + DV_SIEVE_AHEAD,
    DV_SIEVE_GRAMS = 64,
    DV_SIEVE_OUTSIDE = 256, /* stands for a byte before the text's begin or behind its end */
};

typedef struct dv_sieve_gram {
    uint16_t
        ahead;     /* a match ends at most so many bytes behind where the pass stops; 0: anywhere */
    uint8_t back;  /* the match begins so many bytes before it */
    uint8_t owner; /* the expression */
    uint8_t bucket;
    uint8_t sets[DV_SIEVE_PLACES]; /* in dv_sieve_sets; 0: any byte, or none */
} dv_sieve_gram;

extern const uint64_t dv_sieve_sets[][4];

typedef struct dv_sieve {
    uint8_t halves[DV_SIEVE_WIDTH][2][16];                 /* buckets by low and high half */
    uint64_t grams[DV_SIEVE_PLACES][DV_SIEVE_OUTSIDE + 1]; /* that may have the byte there */
} dv_sieve;

/* Whether this processor has what the pass needs (AVX2). Without it there is no sieve, and texts
 * are searched as a whole. */
bool dv_sieve_usable(void);

/* Fills the sieve's tables. count: at most DV_SIEVE_GRAMS. */
void dv_sieve_build(dv_sieve *sieve, const dv_sieve_gram *grams, size_t count);

/* The next places at or after *at where a gram may be: bit i of the answer stands for *at + i, and
 * *at is moved to the 64 bytes they are in. 0: there are none until the text's end. Only for
 * processors that are usable. */
uint64_t dv_sieve_next(const dv_sieve *sieve, dv_slice text, size_t *at);

/* Which grams the bytes around a place are: bit i is gram i. */
uint64_t dv_sieve_grams(const dv_sieve *sieve, dv_slice text, size_t at);

/* Whether some match could stand within [begin, end) of the text. */
bool dv_sieve_may_match(const dv_sieve *sieve, dv_slice text, size_t begin, size_t end);
