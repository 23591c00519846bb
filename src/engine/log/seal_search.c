/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/seal_search.h"

#include "base/caps.h"
#include "core/event_personal.h"
#include "engine/log/block_format.h"
#include "engine/log/seal.h"

#include <stdlib.h>

enum {
    VALUE_MAX = 128 << 10,
    ARENA_MAX = 1 << 20,
    SLOTS = 1 << 16, /* values that are remembered, at most three quarters of these */
    SLOTS_FULL = SLOTS / 4 * 3,
    REMEMBERED_MAX = 16 << 20, /* bytes of them */
    REMEMBERED_EACH = 512,
};

/* A sealed text that was opened in this search: users and addresses come again in every block. */
typedef struct remembered {
    uint32_t at; /* in `bytes`: the sealed text, and the value behind it */
    uint16_t sealed_len, value_len;
    bool taken, gone;
    dv_json_type type;
} remembered;

struct dv_seal_search {
    dv_subjects *subjects;
    dv_search_reader reader;
    dv_buf value;
    dv_arena *arena;
    remembered *slots;
    size_t slots_taken;
    dv_buf bytes; /* of what is remembered; wiped in the end */
};

/* "actor.user.name": personal paths do not tell lists. False: too long for any. */
static bool dotted_path(dv_slice path, char out[DV_BLOCK_PATH_MAX], dv_slice *ret_path)
{
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] != DV_PATH_EACH[0]) {
            if (len == DV_BLOCK_PATH_MAX) {
                return false;
            }
            out[len++] = path.ptr[i] == DV_PATH_BELOW[0] ? '.' : (char)path.ptr[i];
        }
    }
    *ret_path = dv_slice_of(out, len);
    return true;
}

/* A dv_block_opener's. */
static bool is_personal(void *data, dv_slice path)
{
    char room[DV_BLOCK_PATH_MAX];
    dv_slice dotted;
    return dotted_path(path, room, &dotted) &&
           (dv_slice_eq_str(dotted, "raw_data") || dv_slice_eq_str(dotted, "raw_data_hash") ||
            dv_event_personal_path_find(dotted) != NULL);
}

/* What is gone reads as another member there, or as none (dv_event_open). */
static bool is_typed(dv_slice path)
{
    return dv_slice_ends_with(path, DV_LIT("ip")) || dv_slice_ends_with(path, DV_LIT("port")) ||
           dv_slice_ends_with(path, DV_LIT("email_addr")) ||
           dv_slice_ends_with(path, DV_LIT("mac")) ||
           dv_slice_ends_with(path, DV_LIT("raw_data_hash"));
}

/* One JSON value: a scalar is decoded, all else is for who reads the event. */
static dv_opened read_value(dv_seal_search *search, dv_slice *ret_text, dv_json_type *ret_type)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX};
    dv_json json;
    dv_arena_reset(search->arena);
    if (dv_json_scan(dv_buf_slice(&search->value), &limits, search->arena, &json, NULL) != DV_OK) {
        return DV_OPENED_ODD;
    }
    *ret_type = (dv_json_type)json.tokens[0].type;
    if (*ret_type == DV_JSON_OBJECT || *ret_type == DV_JSON_ARRAY) {
        return DV_OPENED_ODD;
    }
    if (*ret_type != DV_JSON_STRING) {
        *ret_text = dv_json_raw(&json, 0);
        return DV_OPENED_VALUE;
    }
    return dv_json_string(&json, 0, search->arena, ret_text) == DV_OK ? DV_OPENED_VALUE
                                                                      : DV_OPENED_ODD;
}

/* Sealed texts end with what is as good as random. raw: of 8 bytes at least. */
static size_t first_slot(dv_slice raw)
{
    uint64_t mixed;
    memcpy(&mixed, raw.ptr + raw.len - sizeof(mixed), sizeof(mixed));
    mixed = (mixed ^ raw.len) * 0x9e3779b97f4a7c15u;
    return mixed >> 48 & (SLOTS - 1);
}

/* NULL: there is no memory for it. */
static remembered *slot_of(dv_seal_search *search, dv_slice raw)
{
    if (search->slots == NULL) {
        search->slots = calloc(SLOTS, sizeof(*search->slots));
    }
    if (search->slots == NULL || raw.len < sizeof(uint64_t) || raw.len > REMEMBERED_EACH) {
        return NULL;
    }
    for (size_t at = first_slot(raw);; at = (at + 1) & (SLOTS - 1)) {
        remembered *slot = &search->slots[at];
        if (!slot->taken || (slot->sealed_len == raw.len &&
                             memcmp(search->bytes.ptr + slot->at, raw.ptr, raw.len) == 0)) {
            return slot;
        }
    }
}

static void forget_all(dv_seal_search *search)
{
    memset(search->slots, 0, SLOTS * sizeof(*search->slots));
    search->slots_taken = 0;
    dv_buf_clear(&search->bytes);
}

/* First the slot, then what it points to. */
static void expect_value(void *data, dv_slice raw, bool soon)
{
    const dv_seal_search *search = data;
    if (search->slots == NULL || raw.len < sizeof(uint64_t)) {
        return;
    }
    const remembered *slot = &search->slots[first_slot(raw)];
    if (!soon) {
        __builtin_prefetch(slot);
    } else if (slot->taken) {
        __builtin_prefetch(search->bytes.ptr + slot->at);
        __builtin_prefetch(search->bytes.ptr + slot->at + 64);
    }
}

/* What finds no room is opened again the next time. */
static void remember(dv_seal_search *search, remembered *slot, dv_slice raw, dv_slice value,
                     dv_json_type type, bool gone)
{
    if (slot == NULL || value.len > REMEMBERED_EACH) {
        return;
    }
    if (search->slots_taken == SLOTS_FULL ||
        search->bytes.len + raw.len + value.len > REMEMBERED_MAX) {
        forget_all(search);
        slot = slot_of(search, raw);
    }
    uint32_t at = (uint32_t)search->bytes.len;
    if (slot == NULL || dv_buf_append(&search->bytes, raw) != DV_OK ||
        dv_buf_append(&search->bytes, value) != DV_OK) {
        return;
    }
    *slot = (remembered){.at = at,
                         .sealed_len = (uint16_t)raw.len,
                         .value_len = (uint16_t)value.len,
                         .taken = true,
                         .gone = gone,
                         .type = type};
    search->slots_taken++;
}

/* For ODD, text and type say nothing. */
static dv_opened unseal_value(dv_seal_search *search, dv_slice raw, bool *ret_gone,
                              dv_slice *ret_text, dv_json_type *ret_type)
{
    dv_buf_clear(&search->value);
    dv_subjects_lock(search->subjects);
    dv_result result = dv_subjects_unseal(search->subjects, raw, &search->value);
    dv_subjects_unlock(search->subjects);
    *ret_gone = result == DV_ERR_NOT_FOUND;
    if (*ret_gone) {
        *ret_text = DV_LIT(DV_ERASED_TEXT);
        *ret_type = DV_JSON_STRING;
        return DV_OPENED_VALUE;
    }
    if (result == DV_ERR_INVALID || result == DV_ERR_CORRUPT) {
        return DV_OPENED_NOT;
    }
    return result == DV_OK ? read_value(search, ret_text, ret_type) : DV_OPENED_ODD;
}

static dv_opened open_value(void *data, dv_slice path, dv_slice raw, dv_slice *ret_text,
                            dv_json_type *ret_type)
{
    dv_seal_search *search = data;
    bool gone;
    if (!dv_subjects_is_sealed(raw)) {
        return DV_OPENED_NOT;
    }
    remembered *slot = slot_of(search, raw);
    if (slot != NULL && slot->taken) {
        *ret_text = dv_slice_of(search->bytes.ptr + slot->at + slot->sealed_len, slot->value_len);
        *ret_type = slot->type;
        return slot->gone && is_typed(path) ? DV_OPENED_ODD : DV_OPENED_VALUE;
    }
    dv_opened opened = unseal_value(search, raw, &gone, ret_text, ret_type);
    if (opened == DV_OPENED_VALUE) {
        remember(search, slot, raw, *ret_text, *ret_type, gone);
    }
    return gone && is_typed(path) ? DV_OPENED_ODD : opened;
}

/* Of one subject; a value of several is shorter still. */
static size_t longest_value(size_t sealed_len)
{
    size_t overhead = dv_subjects_sealed_len(1, 0) - 2; /* without quotes */
    return sealed_len <= overhead ? 0 : (sealed_len - overhead) * 3 / 4 + 1;
}

static dv_result open_event(void *data, dv_slice leaf, dv_buf *out)
{
    const dv_seal_search *search = data;
    return dv_event_open(search->subjects, leaf, out);
}

/* A path of the language as the table of personal paths has it: without lists' places and kinds.
 * False: it is too long for any. */
static bool personal_path(const dv_query_path *path, size_t segments, char separator,
                          char out[DV_BLOCK_PATH_MAX], dv_slice *ret_path)
{
    size_t len = 0;
    for (size_t i = 0; i < segments; i++) {
        dv_slice name = path->segments[i];
        ptrdiff_t open = dv_slice_find_byte(name, '[');
        name = open < 0 ? name : dv_slice_sub(name, 0, (size_t)open);
        size_t digits = 0;
        while (digits < name.len && name.ptr[digits] >= '0' && name.ptr[digits] <= '9') {
            digits++;
        }
        if (digits == name.len) {
            continue;
        }
        if (len + name.len + 1 > DV_BLOCK_PATH_MAX) {
            return false;
        }
        if (len > 0) {
            out[len++] = separator;
        }
        memcpy(out + len, name.ptr, name.len);
        len += name.len;
    }
    *ret_path = dv_slice_of(out, len);
    return true;
}

static dv_standing standing_at(const dv_query_path *path)
{
    char room[DV_BLOCK_PATH_MAX];
    dv_slice dotted;
    for (size_t segments = 1; segments <= path->count; segments++) {
        if (!personal_path(path, segments, '.', room, &dotted)) {
            return DV_STANDING_UNKNOWN;
        }
        if (!dv_slice_eq_str(dotted, "raw_data") && dv_event_personal_path_find(dotted) == NULL) {
            continue;
        }
        bool whole = segments == path->count &&
                     personal_path(path, segments, DV_PATH_BELOW[0], room, &dotted);
        return whole && dv_identity_is(dotted) ? DV_STANDING_SEALED : DV_STANDING_UNKNOWN;
    }
    return DV_STANDING_PLAIN;
}

static dv_standing standing(void *data, const char *folder, const dv_query_node *node,
                            dv_identity_tokens *ret_sealed)
{
    const dv_seal_search *search = data;
    dv_standing worst = DV_STANDING_PLAIN;
    if (dv_query_term_holds(node, DV_LIT(DV_ERASED_TEXT), DV_JSON_STRING)) {
        return DV_STANDING_UNKNOWN; /* what is gone reads so, in whatever place */
    }
    for (size_t i = 0; i < node->field->path_count; i++) {
        dv_standing one = standing_at(&node->field->paths[i]);
        worst = DV_MAX(worst, one);
    }
    if (worst == DV_STANDING_SEALED &&
        !dv_identities_find(search->subjects, folder, node->text, ret_sealed)) {
        return DV_STANDING_UNKNOWN;
    }
    return worst;
}

static dv_result make_twin(const void *data, const dv_search_reader **ret_twin)
{
    const dv_seal_search *search = data;
    dv_seal_search *twin;
    DV_TRY(dv_seal_search_new(search->subjects, &twin));
    *ret_twin = &twin->reader;
    return DV_OK;
}

static void drop_twin(const dv_search_reader *twin)
{
    dv_seal_search_free(twin->data);
}

dv_result dv_seal_search_new(dv_subjects *subjects, dv_seal_search **ret_search)
{
    dv_seal_search *search = calloc(1, sizeof(*search));
    if (search == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    search->subjects = subjects;
    search->value = dv_buf_init(VALUE_MAX);
    search->bytes = dv_buf_init(REMEMBERED_MAX);
    search->arena = dv_arena_new(ARENA_MAX);
    search->reader.data = search;
    search->reader.twin = make_twin;
    search->reader.drop_twin = drop_twin;
    if (subjects != NULL) {
        search->reader.open_event = open_event;
        search->reader.standing = standing;
        search->reader.opener = (dv_block_opener){.open = open_value,
                                                  .is_personal = is_personal,
                                                  .longest = longest_value,
                                                  .expect = expect_value,
                                                  .mark = DV_LIT(DV_SEALED_MARK),
                                                  .gone = DV_LIT(DV_ERASED_TEXT),
                                                  .data = search};
    }
    if (search->arena == NULL) {
        free(search);
        return DV_ERR_NO_MEMORY;
    }
    *ret_search = search;
    return DV_OK;
}

void dv_seal_search_free(dv_seal_search *search)
{
    if (search != NULL) {
        dv_buf_wipe(&search->value);
        dv_buf_wipe(&search->bytes);
        free(search->slots);
        dv_arena_free(search->arena);
        free(search);
    }
}

const dv_search_reader *dv_seal_search_reader(const dv_seal_search *search)
{
    return &search->reader;
}
