/* SPDX-License-Identifier: Apache-2.0 */
#include "../pieces.h"

#include "engine/scan/scan_private.h"
#include "engine/scan/unpack.h"

/* Any input, packed or not: what is handed out stays within the bounds, the head is what comes
 * again, and what is refused says why. */

enum { MOST = 1 << 20, PIECE = 1000 };

static dv_result on_member(void *data, const dv_unpack_member *member, dv_error *error)
{
    uint64_t *told = data;
    uint8_t piece[PIECE];
    size_t at = 0;
    require(member->place.len < DV_SCAN_PLACE_MAX && member->head.len <= DV_SCAN_HEAD);
    for (size_t len = 1; len > 0; at += len) {
        DV_TRY(member->source.get(member->source.data, piece, sizeof(piece), &len));
        dv_slice again = dv_slice_sub(member->head, at, len);
        require(again.len == 0 || memcmp(again.ptr, piece, again.len) == 0);
        *told += len;
    }
    require(at >= member->head.len);
    return DV_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const dv_unpack_limits limits = {
        .bytes = MOST, .free = 1 << 12, .ratio = 200, .members = 50, .nesting = 4};
    text_source input = {dv_slice_of(data, size), 700};
    uint64_t told = 0;
    dv_error error = {0};
    const dv_unpack_source source = {get_piece, &input};
    const dv_unpack_visitor visitor = {on_member, &told};
    dv_result result = dv_unpack(&source, &limits, &visitor, &error);
    require(told <= (uint64_t)MOST + size);
    require(result == DV_OK || result == DV_ERR_NO_MEMORY || error.message[0] != '\0');
    return 0;
}
