/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the engine: where in a text numbers or tokens stand at all. Values of the literal
 * family hold such a place (scan.c asks each), so vectorscan reads only what is near one: ordinary
 * prose has none.
 *
 * A place is five digits within sixteen bytes, or a run of twelve bytes that tokens are made of
 * ([A-Za-z0-9] and $%+-./:=@_~) with a digit among them. */

#include "base/slice.h"

enum {
    DV_PLACE_DIGITS = 5,
    DV_PLACE_WITHIN = 16,
    DV_PLACE_RUN = 12,
    DV_PLACE_FAR = 96, /* bytes behind a value's begin in which it has one */
};

/* Moves [*begin, *end) to the next part of the text, at or behind *end, in which places may be.
 * False when there is none. Needs AVX2 (dv_sieve_usable). */
bool dv_places_next(dv_slice text, size_t *begin, size_t *end);

/* Whether the value has a place near its begin. */
bool dv_places_has(dv_slice value);
