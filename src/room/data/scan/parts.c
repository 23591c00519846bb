/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/scan/parts.h"

#include "base/siphash.h"

#include <stdlib.h>

enum { SLOTS = 4096, WORDS_MAX = 200, NAME_SHOWN = 200 };

void dv_data_places_clear(dv_data_places *places)
{
    for (size_t i = 0; i < places->count; i++) {
        dv_buf_wipe(&places->items[i]->batch);
        free(places->items[i]->starts);
    }
    places->count = 0;
    places->slots = NULL;
    dv_arena_reset(places->arena);
}

/* ---- names ---- */

static bool is_upper(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z';
}

static bool is_word(uint8_t byte)
{
    return is_upper(byte) || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte >= 0x80;
}

/* "users[].dateOfBirth", "DATE_OF_BIRTH" -> "users date of birth", "date of birth". */
const char *dv_data_field_words(dv_arena *arena, dv_slice field)
{
    char out[WORDS_MAX];
    size_t len = 0;
    bool lower = false;
    for (size_t i = 0; i < field.len && len + 3 < sizeof(out); i++) {
        uint8_t byte = field.ptr[i];
        bool begins = is_upper(byte) && lower;
        if ((begins || !is_word(byte)) && len > 0 && out[len - 1] != ' ') {
            out[len++] = ' ';
        }
        if (is_word(byte)) {
            out[len++] = (char)(is_upper(byte) ? byte + ('a' - 'A') : byte);
        }
        lower = byte >= 'a' && byte <= 'z';
    }
    len -= len > 0 && out[len - 1] == ' ';
    return dv_arena_printf(arena, "%.*s", (int)len, out);
}

static dv_slice shown(dv_slice name)
{
    return dv_slice_sub(name, 0, NAME_SHOWN);
}

static const char *name_of(dv_arena *arena, dv_slice member, dv_slice field)
{
    const char *between = member.len > 0 && field.len > 0 ? ": " : "";
    return dv_arena_printf(arena, "%.*s%s%.*s", DV_SLICE_ARGS(shown(member)), between,
                           DV_SLICE_ARGS(shown(field)));
}

/* ---- look-up ---- */

static uint64_t hash_of(const dv_scan_place *at, bool column)
{
    static const uint8_t key[16]; /* the table is bounded, so nobody gains by collisions */
    return dv_siphash(key, at->member) * 31 + dv_siphash(key, at->field) * 2 + column;
}

static bool is_place(const dv_data_place *place, const dv_scan_place *at, uint64_t hash,
                     bool column)
{
    return place->hash == hash && place->part.column == column &&
           dv_slice_eq(place->member, at->member) && dv_slice_eq(place->field, at->field);
}

static dv_result add(dv_data_places *places, const dv_scan_place *at, uint64_t hash, bool column,
                     dv_data_place **ret_place)
{
    dv_data_place *place = dv_arena_alloc(places->arena, sizeof(*place));
    if (place == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_arena_copy(places->arena, at->member, &place->member));
    DV_TRY(dv_arena_copy(places->arena, at->field, &place->field));
    place->hash = hash;
    place->part.column = column;
    place->part.name = name_of(places->arena, at->member, at->field);
    place->part.words = dv_data_field_words(places->arena, at->field);
    if (place->part.name == NULL || place->part.words == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    place->batch = dv_buf_init(SIZE_MAX / 2);
    places->items[places->count++] = place;
    *ret_place = place;
    return DV_OK;
}

static dv_result find_slot(dv_data_places *places, const dv_scan_place *at, uint64_t hash,
                           bool column, size_t *ret_slot)
{
    if (places->slots == NULL) {
        places->slots = dv_arena_alloc(places->arena, SLOTS * sizeof(dv_data_place *));
        if (places->slots == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    size_t slot = hash % SLOTS;
    while (places->slots[slot] != NULL && !is_place(places->slots[slot], at, hash, column)) {
        slot = (slot + 1) % SLOTS;
    }
    *ret_slot = slot;
    return DV_OK;
}

dv_result dv_data_places_get(dv_data_places *places, const dv_scan_place *at, bool column,
                             dv_data_place **ret_place, bool *ret_new)
{
    static const dv_scan_place others = {.member = {(const uint8_t *)"(others)", 8}};
    uint64_t hash = hash_of(at, column);
    size_t slot = 0;
    DV_TRY(find_slot(places, at, hash, column, &slot));
    *ret_new = places->slots[slot] == NULL;
    if (!*ret_new) {
        *ret_place = places->slots[slot];
        return DV_OK;
    }
    /* One for columns and one for texts go beyond. */
    if (places->count >= DV_DATA_PARTS_MAX - 1 && at != &others) {
        return dv_data_places_get(places, &others, column, ret_place, ret_new);
    }
    DV_TRY(add(places, at, hash, column, &places->slots[slot]));
    *ret_place = places->slots[slot];
    return DV_OK;
}

void dv_data_place_hide(dv_data_place *place)
{
    place->part.name = "*";
    place->part.words = "";
}

/* ---- counting ---- */

static dv_result tally_of(dv_data_places *places, dv_data_part *part, size_t kind,
                          dv_data_tally **ret_tally)
{
    for (size_t i = 0; i < part->count; i++) {
        if (part->tallies[i].kind == kind) {
            *ret_tally = &part->tallies[i];
            return DV_OK;
        }
    }
    dv_data_tally *tallies = dv_arena_grow(places->arena, part->tallies, part->count,
                                           &part->capacity, sizeof(*tallies), 4);
    if (tallies == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    part->tallies = tallies;
    *ret_tally = &tallies[part->count++];
    **ret_tally = (dv_data_tally){.kind = (uint16_t)kind, .last_cell = UINT64_MAX};
    return DV_OK;
}

dv_result dv_data_place_count(dv_data_places *places, dv_data_place *place, size_t kind,
                              uint8_t score, uint64_t cell)
{
    dv_data_tally *tally = NULL;
    DV_TRY(tally_of(places, &place->part, kind, &tally));
    tally->values++;
    tally->score_sum += score;
    tally->score = DV_MAX(tally->score, score);
    tally->cells += tally->last_cell != cell;
    tally->last_cell = cell;
    return DV_OK;
}
