/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The hash of the engine's own tables; private. Nobody but an administrator puts anything into
 * them, so that nobody can choose collisions. */

#include "base/slice.h"

static inline uint64_t dv_cedar_mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9fb21c651e98df25);
    return hash ^ (hash >> 29);
}

static inline uint64_t dv_cedar_hash(dv_slice text)
{
    uint64_t hash = text.len * UINT64_C(0x9e3779b97f4a7c15), word = 0;
    size_t i = 0;

    for (; i + 8 <= text.len; i += 8) {
        memcpy(&word, text.ptr + i, 8);
        hash = dv_cedar_mix(hash ^ word);
    }
    word = 0;
    if (i < text.len) {
        memcpy(&word, text.ptr + i, text.len - i);
    }
    return dv_cedar_mix(hash ^ word);
}
