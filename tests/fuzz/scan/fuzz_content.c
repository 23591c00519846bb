/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/scan/scan_private.h"

/* Content of any kind, archives within archives included: what is handed out stays within the
 * bounds, places have bounded names, and nothing but the visitor's own refusal ends it. PDF is left
 * to its program. */

typedef struct input {
    dv_slice rest;
    uint64_t told;
} input;

static dv_result take(dv_scan_source *source, uint8_t *out, size_t room, size_t *ret_len)
{
    input *in = source->data;
    dv_slice piece = dv_slice_sub(in->rest, 0, DV_MIN(room, (size_t)700)); /* in pieces */
    if (piece.len > 0) {
        memcpy(out, piece.ptr, piece.len);
    }
    in->rest = dv_slice_sub(in->rest, piece.len, in->rest.len);
    *ret_len = piece.len;
    return DV_OK;
}

static dv_result on_item(void *data, const dv_scan_item *item)
{
    return DV_OK;
}

static void check_place(const dv_scan_place *place)
{
    if (place->member.len >= DV_SCAN_PLACE_MAX) {
        abort();
    }
}

static dv_result on_text(void *data, const dv_scan_place *place, dv_slice text, bool last)
{
    input *in = data;
    check_place(place);
    in->told += text.len;
    return DV_OK;
}

static dv_result on_value(void *data, const dv_scan_place *place, dv_slice value)
{
    input *in = data;
    check_place(place);
    if (place->field.len == 0 && place->member.len > DV_SCAN_PLACE_MAX) {
        abort();
    }
    in->told += value.len;
    return DV_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dv_scan_source source;
    static dv_arena *arena;
    enum { MOST = 1 << 20 };
    dv_scan_limits limits = dv_scan_limits_usual;
    input in = {{data, size}, 0};
    const dv_scan_visitor visitor = {&in, on_item, on_text, on_value, on_item};
    if (size >= 5 && memcmp(data, "%PDF-", 5) == 0) {
        return 0;
    }
    arena = arena != NULL ? arena : dv_arena_new(DV_SCAN_ARENA);
    limits.members = 50;
    dv_scan scan = {.limits = &limits,
                    .visitor = &visitor,
                    .left = MOST,
                    .members_left = limits.members,
                    .until = dv_time_monotonic() + 10 * DV_SECOND,
                    .arena = arena};
    source = (dv_scan_source){.scan = &scan, .read = take, .data = &in, .fd = -1};
    scan.item.name = "fuzz";
    dv_result result = dv_scan_content(&scan, &source, (dv_slice){NULL, 0}, 0, &scan.item.kind);
    if (result != DV_OK && result != DV_ERR_NO_MEMORY) {
        abort();
    }
    /* A rest of a broken CSV is told twice at most, a line's pieces, too. */
    if (in.told > 4 * (uint64_t)MOST || scan.item.bytes > MOST) {
        abort();
    }
    dv_arena_recycle(arena);
    return 0;
}
