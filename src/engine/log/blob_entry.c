/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/blob_entry.h"

#include "base/codec.h"
#include "base/json.h"
#include "crypto/random.h"
#include "engine/log/entry.h"

enum { FRONT_LOOK = 4096 /* metadata is shorter */, NAME_LEN = 4 };

static uint32_t member(const dv_json *json, uint32_t object, const char *name)
{
    return json->tokens[object].type == DV_JSON_OBJECT ? dv_json_member(json, object, name) : 0;
}

static bool read_size(const dv_json *json, uint32_t token, int64_t most, uint32_t *ret_size)
{
    int64_t size = 0;
    if (token == 0 || dv_json_int(json, token, &size) != DV_OK || size <= 0 || size > most) {
        return false;
    }
    *ret_size = (uint32_t)size;
    return true;
}

static bool read_reference(const dv_json *json, uint32_t blob, dv_blob_place *place)
{
    uint32_t hash = member(json, blob, "sha256"), key = member(json, blob, "key");
    if (hash == 0 || json->tokens[hash].type != DV_JSON_STRING || key == 0 ||
        json->tokens[key].type != DV_JSON_STRING || json->tokens[key].escaped) {
        return false;
    }
    place->key = dv_json_raw(json, key);
    dv_slice hex = dv_json_raw(json, hash);
    return hex.len == (size_t)2 * DV_SHA256_LEN &&
           dv_hex_decode(hex, place->ref.sha256, sizeof place->ref.sha256) == DV_OK &&
           read_size(json, member(json, blob, "size"), DV_LIMIT_BLOB, &place->ref.size) &&
           read_size(json, member(json, blob, "stored"), DV_BLOB_STORED_MAX, &place->ref.stored);
}

/* Quick, and never false of an entry that has one: those of collected lines alone have blobs, and
 * what has one says that it is cut. */
static bool may_have(dv_slice entry)
{
    return dv_slice_starts_with(dv_entry_kind(entry), DV_LIT("collected.")) &&
           dv_slice_find(dv_slice_sub(entry, 0, FRONT_LOOK), DV_LIT("\"is_truncated\":true")) >=
               0 &&
           dv_slice_find(entry, DV_LIT("\"blob\":{\"field\":")) >= 0;
}

bool dv_blob_find(dv_slice entry, dv_arena *arena, dv_blob_place *ret_place)
{
    static const dv_json_limits limits = {
        .depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX, .refuse_duplicate_keys = true};
    dv_json json;
    dv_blob_place place = {.name_at = 0};
    if (!may_have(entry) || dv_json_scan(entry, &limits, arena, &json, NULL) != DV_OK) {
        return false;
    }
    uint32_t unmapped = member(&json, 0, "unmapped");
    uint32_t ours = unmapped == 0 ? 0 : member(&json, unmapped, "dvara");
    uint32_t blob = ours == 0 ? 0 : member(&json, ours, "blob");
    /* The name is the token before its value. */
    if (blob == 0 || !dv_slice_eq_str(dv_json_raw(&json, blob - 1), "blob") ||
        !read_reference(&json, blob, &place)) {
        return false;
    }
    place.name_at = json.tokens[blob - 1].start;
    *ret_place = place;
    return true;
}

void dv_blob_mark_lost(uint8_t *entry, const dv_blob_place *place)
{
    memcpy(entry + place->name_at, "lost", NAME_LEN);
}

static dv_result decode_key(dv_slice text, uint8_t ret_key[DV_BLOB_KEY_LEN])
{
    dv_auto(secret_buf) dv_buf key = dv_buf_init(DV_BLOB_KEY_LEN);
    if (text.len != DV_BLOB_KEY_TEXT || dv_buf_reserve(&key, DV_BLOB_KEY_LEN) != DV_OK ||
        dv_base64url_decode(text, &key) != DV_OK || key.len != DV_BLOB_KEY_LEN) {
        return DV_ERR_CORRUPT;
    }
    memcpy(ret_key, key.ptr, key.len);
    return DV_OK;
}

dv_result dv_blob_key(dv_subjects *subjects, dv_slice text, uint8_t ret_key[DV_BLOB_KEY_LEN])
{
    enum { VALUE_MAX = 256 };
    dv_auto(secret_buf) dv_buf value = dv_buf_init(VALUE_MAX);
    if (subjects == NULL || !dv_subjects_is_sealed(text)) {
        return decode_key(text, ret_key);
    }
    DV_TRY(dv_buf_reserve(&value, VALUE_MAX));
    dv_subjects_lock(subjects);
    dv_result result = dv_subjects_unseal(subjects, text, &value);
    dv_subjects_unlock(subjects);
    if (result != DV_OK) {
        return result == DV_ERR_NOT_FOUND || result == DV_ERR_NO_MEMORY ? result : DV_ERR_CORRUPT;
    }
    dv_slice quoted = dv_buf_slice(&value);
    return quoted.len < 2 ? DV_ERR_CORRUPT
                          : decode_key(dv_slice_sub(quoted, 1, quoted.len - 2), ret_key);
}
