/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/decode_view.h"

#include "base/codec.h"

dv_result dv_view_new(size_t room, dv_arena *arena, dv_view *ret)
{
    *ret = (dv_view){
        .bytes = dv_arena_alloc_raw(arena, room + 1),
        .start = dv_arena_alloc_raw(arena, (room + 1) * sizeof(uint32_t)),
        .end = dv_arena_alloc_raw(arena, (room + 1) * sizeof(uint32_t)),
    };
    return ret->bytes == NULL || ret->start == NULL || ret->end == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

dv_result dv_view_of(dv_slice text, size_t from, dv_arena *arena, dv_view *ret)
{
    DV_TRY(dv_view_new(text.len - from, arena, ret));
    for (size_t at = from; at < text.len; at++) {
        ret->bytes[ret->len] = text.ptr[at];
        ret->start[ret->len] = (uint32_t)at;
        ret->end[ret->len++] = (uint32_t)at + 1;
    }
    return DV_OK;
}

void dv_view_push_code_point(dv_view *out, uint32_t code_point, const dv_view *in, size_t from,
                             size_t to)
{
    uint8_t bytes[4];
    size_t len = dv_utf8_encode(code_point, bytes);
    for (size_t i = 0; i < len; i++) {
        dv_view_push(out, bytes[i], in, from, to);
    }
}

bool dv_view_looks_utf16(const uint8_t *bytes, size_t len, size_t *ret_high)
{
    size_t zeros_at[2] = {0, 0};
    for (size_t i = 0; i < len; i++) {
        zeros_at[i % 2] += bytes[i] == 0;
    }
    *ret_high = zeros_at[0] > zeros_at[1] ? 0 : 1;
    return len >= 8 && zeros_at[*ret_high] > len / 4 && zeros_at[1 - *ret_high] <= len / 64;
}

dv_result dv_view_utf16(const dv_view *in, dv_arena *arena, dv_view *ret)
{
    size_t high;
    dv_view out = {.len = 0};
    if (dv_view_looks_utf16(in->bytes, in->len, &high)) {
        DV_TRY(dv_view_new(in->len * 2, arena, &out));
        for (size_t at = 0; at + 1 < in->len; at += 2) {
            uint32_t unit = (uint32_t)in->bytes[at + high] << 8 | in->bytes[at + 1 - high];
            if (unit == 0 || (unit >= 0xD800 && unit < 0xE000) || unit == 0xFEFF) {
                dv_view_push(&out, ' ', in, at, at + 2);
            } else {
                dv_view_push_code_point(&out, unit, in, at, at + 2);
            }
        }
    }
    *ret = out;
    return DV_OK;
}
