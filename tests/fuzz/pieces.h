/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What targets share that read their input piece by piece. */

#include "base/result.h"
#include "base/slice.h"

#include <stdlib.h>

static inline void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

typedef struct text_source {
    dv_slice rest;
    size_t piece; /* bytes at once, at most */
} text_source;

/* A source's `get`, over a text_source. */
static inline dv_result get_piece(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    text_source *source = data;
    size_t len = DV_MIN(DV_MIN(source->rest.len, source->piece), room);
    if (len > 0) {
        memcpy(out, source->rest.ptr, len);
    }
    source->rest = dv_slice_sub(source->rest, len, SIZE_MAX);
    *ret_len = len;
    return DV_OK;
}
