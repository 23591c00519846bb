/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Values that stand in a text encoded: percent (RFC 3986), HTML entities, escapes of JSON and C,
 * full-width and other scripts' digits, letters in place of digits, characters without a width,
 * base64, hexadecimal, UTF-16. Each decoding keeps for every byte where it came from, so what is
 * found is told by the bytes of the original.
 *
 * 1. What the text itself says is found, too: decoding only adds.
 * 2. Work is bounded: no decoding is longer than what it was made from, folding is repeated
 *    DV_DECODE_FOLDS times at most, blocks lie in one another DV_DECODE_DEPTH deep. */

#include "engine/detect/walk.h"

enum {
    DV_DECODE_FOLDS = 3,      /* %2540 is %40 is @ */
    DV_DECODE_DEPTH = 3,      /* base64 of base64 of base64 */
    DV_DECODE_BLOCK_MIN = 16, /* base64 digits; twice as many hexadecimal ones */
};

/* A walk's `also`: adds what decodings of the text hold. data: the dv_walk itself, whose rules,
 * scratch and set of detectors are used; findings that overlap become one. */
dv_must dv_result dv_decode_also(void *walk, dv_slice text, size_t from, bool more, dv_arena *arena,
                                 const dv_finding **found, size_t *count, size_t *until);
