/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/places.h"

#include "engine/log/note.h"

#include <inttypes.h>

static const char main_log[] = "main";

static bool is_name(dv_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= '0' && byte <= '9') && byte != '-') {
            return false;
        }
    }
    return name.len > 0 && name.len <= DV_PLACE_NAME_MAX;
}

const dv_place *dv_places_find(const dv_places *places, dv_slice log)
{
    for (size_t i = 0; i < places->count; i++) {
        if (dv_slice_eq_str(log, places->items[i].log)) {
            return &places->items[i];
        }
    }
    return NULL;
}

dv_result dv_places_set(dv_places *places, dv_slice log, uint64_t next)
{
    dv_place *place = (dv_place *)(uintptr_t)dv_places_find(places, log);
    if (place == NULL && !is_name(log)) {
        return DV_ERR_INVALID;
    }
    if (place == NULL && places->count == DV_PLACES_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (place == NULL) {
        place = &places->items[places->count++];
        dv_slice_copy(log, place->log, sizeof(place->log));
    }
    place->next = next;
    return DV_OK;
}

static dv_result read_place(dv_slice text, dv_places *places)
{
    uint64_t next;
    dv_slice log = dv_slice_str(main_log), number = text;
    if (dv_slice_find_byte(text, ':') >= 0 && !dv_slice_split(&number, ':', &log)) {
        return DV_ERR_INVALID;
    }
    if (dv_decimal_parse(number, &next) != DV_OK || dv_places_find(places, log) != NULL) {
        return DV_ERR_INVALID;
    }
    return dv_places_set(places, log, next) == DV_OK ? DV_OK : DV_ERR_INVALID;
}

dv_result dv_places_read(dv_slice text, dv_places *ret_places)
{
    dv_slice one;
    dv_places places = {.count = 0};
    if (text.len == 0) {
        text.ptr = NULL;
    }
    while (dv_slice_split(&text, ',', &one)) {
        DV_TRY(read_place(one, &places));
    }
    *ret_places = places;
    return DV_OK;
}

dv_result dv_places_write(const dv_places *places, dv_buf *out)
{
    if (places->count == 1 && strcmp(places->items[0].log, main_log) == 0) {
        return dv_buf_append_printf(out, "%" PRIu64, places->items[0].next);
    }
    for (size_t i = 0; i < places->count; i++) {
        DV_TRY(dv_buf_append_printf(out, "%s%s:%" PRIu64, i > 0 ? "," : "", places->items[i].log,
                                    places->items[i].next));
    }
    return DV_OK;
}

bool dv_places_same(const dv_places *a, const dv_places *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const dv_place *other = dv_places_find(b, dv_slice_str(a->items[i].log));
        if (other == NULL || other->next != a->items[i].next) {
            return false;
        }
    }
    return a->count == b->count;
}
