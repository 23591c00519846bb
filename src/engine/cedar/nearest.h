/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What somebody may have meant by a name that is not there; private to the engine. */

#include "base/slice.h"

/* The closest name so far. */
typedef struct dv_cedar_nearest {
    dv_slice wanted;
    dv_slice best; /* empty: none is close */
    size_t distance;
} dv_cedar_nearest;

static inline dv_cedar_nearest dv_cedar_nearest_to(dv_slice wanted)
{
    return (dv_cedar_nearest){.wanted = wanted, .distance = 1 + wanted.len / 3};
}

/* Keeps the name when fewer changes (letters put in, left out or replaced) make the wanted one of
 * it than of the best so far. Names over 64 bytes are passed over. */
void dv_cedar_nearest_try(dv_cedar_nearest *nearest, dv_slice name);
