/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/gate_private.h"

#include "base/codec.h"
#include "crypto/random.h"

/* Placeholders: <LABEL_xxxxxxxx>, where x are base62 digits of an HMAC over label and value.
 *
 * 1. The key belongs to one principal, so nobody can tell from another's placeholder what it
 *    stands for, nor have it restored.
 * 2. The same principal and value give the same placeholder in every turn; nothing is stored.
 * 3. Only exact placeholders that this request made are restored. */

enum {
    TAIL_LEN = 8,   /* base62 digits: 47 bits */
    LABEL_MAX = 24, /* as the generator of the detector table allows */
    TEXT_MAX = 1 + LABEL_MAX + 1 + TAIL_LEN + 1,
    SLOTS_START = 32,
};

typedef struct entry {
    dv_slice text; /* ptr NULL: a free slot */
    dv_slice value;
} entry;

struct dv_data_context {
    dv_data_gate *gate;
    dv_arena *arena;
    dv_slice principal;
    dv_hmac *hmac; /* made with the first placeholder */
    entry *slots;  /* open addressing; a power of two of them, half full at most */
    size_t slot_count;
    size_t count;
    dv_data_made_texts made;
};

dv_result dv_data_context_new(dv_data_gate *gate, dv_slice principal, dv_arena *arena,
                              dv_data_context **ret_context)
{
    dv_data_context *context = dv_arena_alloc(arena, sizeof(*context));
    if (context == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    context->gate = gate;
    context->arena = arena;
    DV_TRY(dv_arena_copy(arena, principal, &context->principal));
    *ret_context = context;
    return DV_OK;
}

dv_result dv_data_context_made(dv_data_context *context, dv_content_action action, dv_slice text,
                               size_t kept)
{
    return dv_data_made_add(&context->made, action, text, kept, context->arena);
}

bool dv_data_context_has_made(const dv_data_context *context, dv_content_action action, bool answer,
                              dv_slice text)
{
    return context != NULL && dv_data_made_has(&context->made, action, answer, text);
}

/* ---- the key ---- */

static void free_hmac(void *data)
{
    dv_hmac_free(data);
}

static dv_result make_key(dv_data_context *context)
{
    uint8_t key[DV_HMAC_KEY_LEN];
    dv_hmac *hmac = NULL;
    dv_hmac_sign(context->gate->principal_keys, context->principal, key);
    dv_result result = dv_hmac_new(key, &hmac);
    dv_wipe(key, sizeof(key));
    DV_TRY(result);
    result = dv_arena_on_free(context->arena, free_hmac, hmac);
    if (result != DV_OK) {
        dv_hmac_free(hmac);
        return result;
    }
    context->hmac = hmac;
    return DV_OK;
}

/* ---- the table ---- */

/* The tail is a keyed hash already. */
static size_t slot_of(const dv_data_context *context, dv_slice text)
{
    uint64_t tail = 0;
    memcpy(&tail, text.ptr + text.len - 1 - TAIL_LEN, TAIL_LEN);
    return (size_t)((tail * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (context->slot_count - 1);
}

/* The entry of that text, or the free slot where it belongs. */
static entry *find_slot(const dv_data_context *context, dv_slice text)
{
    size_t at = slot_of(context, text);
    while (context->slots[at].text.ptr != NULL && !dv_slice_eq(context->slots[at].text, text)) {
        at = (at + 1) & (context->slot_count - 1);
    }
    return &context->slots[at];
}

static dv_result grow(dv_data_context *context)
{
    dv_data_context bigger = *context;
    bigger.slot_count = context->slot_count == 0 ? SLOTS_START : context->slot_count * 2;
    bigger.slots = dv_arena_alloc(context->arena, bigger.slot_count * sizeof(entry));
    if (bigger.slots == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < context->slot_count; i++) {
        if (context->slots[i].text.ptr != NULL) {
            *find_slot(&bigger, context->slots[i].text) = context->slots[i];
        }
    }
    *context = bigger;
    return DV_OK;
}

static dv_result write_text(const dv_data_context *context, const char *label, dv_slice value,
                            unsigned attempt, char out[TEXT_MAX + 1], dv_slice *ret_text)
{
    static const uint64_t tails = UINT64_C(218340105584896); /* 62^8 */
    dv_auto(secret_buf) dv_buf message = dv_buf_init(value.len + LABEL_MAX + 2);
    uint8_t digest[DV_SHA256_LEN];
    char tail[TAIL_LEN];
    DV_TRY(dv_buf_reserve(&message, value.len + LABEL_MAX + 2));
    DV_TRY(dv_buf_append_str(&message, label));
    DV_TRY(dv_buf_append_byte(&message, (uint8_t)attempt));
    DV_TRY(dv_buf_append(&message, value));
    dv_hmac_sign(context->hmac, dv_buf_slice(&message), digest);
    DV_TRY(dv_base62_encode(dv_get_u64(digest) % tails, TAIL_LEN, tail));
    int len = snprintf(out, TEXT_MAX + 1, "<%s_%.*s>", label, TAIL_LEN, tail);
    if (len < 0 || len > TEXT_MAX) {
        return DV_ERR_INTERNAL;
    }
    *ret_text = dv_slice_of(out, (size_t)len);
    return DV_OK;
}

dv_result dv_data_placeholder_make(dv_data_context *context, const char *label, dv_slice value,
                                   dv_slice *ret_text)
{
    if (context->hmac == NULL) {
        DV_TRY(make_key(context));
    }
    if ((context->count + 1) * 2 > context->slot_count) {
        DV_TRY(grow(context));
    }
    /* Two values with one placeholder would be mixed up in the answer: the second gets another. */
    for (unsigned attempt = 0; attempt < 256; attempt++) {
        char text[TEXT_MAX + 1];
        dv_slice made;
        DV_TRY(write_text(context, label, value, attempt, text, &made));
        entry *slot = find_slot(context, made);
        if (slot->text.ptr == NULL) {
            entry fresh;
            DV_TRY(dv_arena_copy(context->arena, made, &fresh.text));
            DV_TRY(dv_arena_copy(context->arena, value, &fresh.value));
            *slot = fresh;
            context->count++;
        }
        if (dv_slice_eq(slot->value, value)) {
            *ret_text = slot->text;
            return DV_OK;
        }
    }
    return DV_ERR_INTERNAL;
}

/* ---- finding them again ---- */

static bool is_inner(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '_';
}

/* Length of what looks like a placeholder (or its beginning, at the text's end) at `at`; 0: none.
 */
static size_t looks_like(dv_slice text, size_t at, bool *ret_whole)
{
    size_t end = at + 1;
    while (end < text.len && is_inner(text.ptr[end])) {
        end++;
    }
    size_t len = end - at;
    *ret_whole = end < text.len && text.ptr[end] == '>';
    if (len > TEXT_MAX - 1 || (end < text.len && !*ret_whole)) {
        return 0;
    }
    return *ret_whole ? len + 1 : len;
}

static size_t next_open(dv_slice text, size_t from)
{
    ptrdiff_t at = dv_slice_find_byte(dv_slice_sub(text, from, text.len), '<');
    return at < 0 ? text.len : from + (size_t)at;
}

bool dv_data_placeholder_find(const dv_data_context *context, dv_slice text, size_t from,
                              dv_data_place *ret_place)
{
    if (context->count == 0) {
        return false;
    }
    for (size_t at = next_open(text, from); at < text.len; at = next_open(text, at + 1)) {
        bool whole = false;
        size_t len = looks_like(text, at, &whole);
        if (!whole || len < TAIL_LEN + 4) {
            continue;
        }
        const entry *found = find_slot(context, dv_slice_sub(text, at, len));
        if (found->text.ptr != NULL) {
            *ret_place = (dv_data_place){at, at + len, found->value};
            return true;
        }
    }
    return false;
}

static bool begins_one(const dv_data_context *context, dv_slice beginning)
{
    for (size_t i = 0; i < context->slot_count; i++) {
        if (context->slots[i].text.ptr != NULL &&
            dv_slice_starts_with(context->slots[i].text, beginning)) {
            return true;
        }
    }
    return false;
}

size_t dv_data_placeholder_hold(const dv_data_context *context, dv_slice text, size_t from)
{
    if (context->count == 0) {
        return text.len;
    }
    size_t begin = text.len - DV_MIN(text.len - from, (size_t)TEXT_MAX);
    for (size_t at = next_open(text, begin); at < text.len; at = next_open(text, at + 1)) {
        bool whole = false;
        size_t len = looks_like(text, at, &whole);
        if (len > 0 && !whole && begins_one(context, dv_slice_sub(text, at, len))) {
            return at;
        }
    }
    return text.len;
}
