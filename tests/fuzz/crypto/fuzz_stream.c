/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of any bytes opens never. The first byte says how many come at once. */
#include "crypto/stream.h"

#include <stdlib.h>

typedef struct reading {
    dv_slice rest;
    size_t most;
} reading;

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    reading *from = data;
    size_t len = DV_MIN(DV_MIN(from->rest.len, room), from->most);
    if (len > 0) {
        memcpy(out, from->rest.ptr, len);
    }
    from->rest = dv_slice_sub(from->rest, len, from->rest.len);
    *ret_len = len;
    return DV_OK;
}

static dv_result put(void *data, dv_slice bytes, dv_error *error)
{
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[DV_STREAM_KEY_LEN] = {7};
    if (size == 0) {
        return 0;
    }
    reading from = {dv_slice_of(data + 1, size - 1), (size_t)data[0] + 1};
    const dv_stream_source source = {get, &from};
    const dv_stream_sink sink = {put, NULL};
    if (dv_stream_open(key, DV_LIT("for"), &source, &sink, NULL) == DV_OK) {
        abort();
    }
    return 0;
}
