/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes, as gzip and zip: pieces stay within the bounds, whatever their heads say. */
#include "engine/detect/packed.h"

#include <stdlib.h>

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Reads every byte of a piece. */
static dv_result take(void *data, dv_slice piece, bool contents)
{
    size_t *sum = data;
    (void)contents;
    require(piece.len > 0 && piece.len <= (size_t)DV_PACKED_MAX);
    for (size_t i = 0; i < piece.len; i++) {
        *sum += piece.ptr[i];
    }
    return DV_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t sum = 0;
    dv_auto(arena) dv_arena *arena = dv_arena_new(256 << 20);
    require(arena != NULL);
    dv_result result = dv_packed_open(dv_slice_of(data, DV_MIN(size, (size_t)1 << 20)),
                                      DV_PACKED_MAX, arena, take, &sum);
    require(result == DV_OK || result == DV_ERR_TOO_LARGE);
    return 0;
}
