/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/scan_private.h"
#include "engine/scan/unpack.h"

/* Any input, packed or not: what is handed out stays within the bounds, the head is what comes
 * again, and what is refused says why. */

enum { MOST = 1 << 20, PIECE = 1000 };

typedef struct input {
    dv_slice rest;
    uint64_t told;
} input;

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len)
{
    input *in = data;
    size_t len = DV_MIN(DV_MIN(room, in->rest.len), (size_t)700);
    if (len > 0) {
        memcpy(out, in->rest.ptr, len);
    }
    in->rest = dv_slice_sub(in->rest, len, SIZE_MAX);
    *ret_len = len;
    return DV_OK;
}

static dv_result on_member(void *data, const dv_unpack_member *member, dv_error *error)
{
    input *in = data;
    uint8_t piece[PIECE];
    size_t at = 0;
    if (member->place.len >= DV_SCAN_PLACE_MAX || member->head.len > DV_SCAN_HEAD) {
        abort();
    }
    for (size_t len = 1; len > 0; at += len) {
        DV_TRY(member->source.get(member->source.data, piece, sizeof(piece), &len));
        dv_slice again = dv_slice_sub(member->head, at, len);
        if (len > 0 && again.len > 0 && memcmp(again.ptr, piece, again.len) != 0) {
            abort();
        }
        in->told += len;
    }
    return at >= member->head.len ? DV_OK : (abort(), DV_ERR_INTERNAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const dv_unpack_limits limits = {
        .bytes = MOST, .free = 1 << 12, .ratio = 200, .members = 50, .nesting = 4};
    input in = {dv_slice_of(data, size), 0};
    dv_error error = {0};
    const dv_unpack_source source = {get, &in};
    const dv_unpack_visitor visitor = {on_member, &in};
    dv_result result = dv_unpack(&source, &limits, &visitor, &error);
    if (in.told > (uint64_t)MOST + size) {
        abort();
    }
    if (result != DV_OK && result != DV_ERR_NO_MEMORY && error.message[0] == '\0') {
        abort(); /* refused without a word */
    }
    return 0;
}
