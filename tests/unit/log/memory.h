/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A source of bytes that lie in memory: data is the dv_slice of what is left. */

#include "base/slice.h"

static dv_result from_memory(void *data, uint8_t *out, size_t room, size_t *ret_len,
                             dv_error *error)
{
    dv_slice *rest = data;
    size_t len = DV_MIN(rest->len, room);
    if (len > 0) {
        memcpy(out, rest->ptr, len);
    }
    *rest = dv_slice_sub(*rest, len, rest->len);
    *ret_len = len;
    return DV_OK;
}
