/* SPDX-License-Identifier: Apache-2.0 */
/* The keystore's file, little endian:
 *
 *   magic "DVARAKST", version 1, protection (1)
 *   argon2id: passes (4), KiB (4); salt (16); id (16); label of the token (33); sealed root (60)
 *   how many keys (2), each: id (16), type (1), name (64), how many versions (2), each:
 *     number (4), created (8), destroyed (8), public half (32), sealed (60)
 *   how many events there ever were (8), how many follow (2), each:
 *     time (8), activity (1), key (16), name (64), version (4), user (4)
 *   HMAC-SHA-256 of all before it (32) */
#include "crypto/keystore_private.h"

#include "base/cursor.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <stdlib.h>

enum {
    VERSION = 1,
    MAC = DV_SHA256_LEN,
    PASSES_MAX = 16,
    MEMORY_MAX = 1 << 20, /* KiB: 1 GiB */
    MEMORY_LEAST = 8,
};

static const char magic[] = "DVARAKST";

/* -- what both need ---------------------------------------------------------------------------- */

void dv_keystore_clear(dv_keystore *keystore)
{
    for (size_t i = 0; i < keystore->count; i++) {
        free(keystore->keys[i].versions);
    }
    memset(keystore->keys, 0, sizeof(keystore->keys));
    keystore->count = 0;
    keystore->event_count = 0;
}

dv_result dv_key_add_version(dv_key *key, const dv_key_version *version)
{
    if (key->count == DV_KEY_VERSIONS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_key_version *grown = reallocarray(key->versions, key->count + 1, sizeof(*grown));
    if (grown == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    grown[key->count] = *version;
    key->versions = grown;
    key->count++;
    return DV_OK;
}

static dv_result mac_of(const dv_keystore *keystore, dv_slice covered, uint8_t ret_mac[MAC])
{
    uint8_t key[DV_HMAC_KEY_LEN];
    DV_TRY(dv_keystore_derive(keystore, "dvara keystore mac v1", key));
    dv_hmac_sha256(dv_slice_of(key, sizeof(key)), covered, ret_mac);
    dv_wipe(key, sizeof(key));
    return DV_OK;
}

dv_result dv_keystore_check_mac(const dv_keystore *keystore)
{
    uint8_t mac[MAC];
    dv_slice text = dv_buf_slice(&keystore->text);
    if (text.len < MAC) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(mac_of(keystore, dv_slice_sub(text, 0, text.len - MAC), mac));
    return dv_equal_constant_time(dv_slice_of(mac, MAC), dv_slice_sub(text, text.len - MAC, MAC))
               ? DV_OK
               : DV_ERR_CORRUPT;
}

/* -- reading ----------------------------------------------------------------------------------- */

/* A text in a field of its own, with zeros to its end. */
static bool take_text(dv_cursor *from, char *out, size_t size)
{
    dv_cursor_copy(from, out, size);
    size_t len = strnlen(out, size);
    for (size_t i = len; i < size; i++) {
        if (out[i] != '\0') {
            return false;
        }
    }
    return len < size;
}

static bool take_name(dv_cursor *from, char out[DV_KEY_NAME_MAX])
{
    return take_text(from, out, DV_KEY_NAME_MAX) && dv_key_name_is(dv_slice_str(out));
}

static dv_result take_versions(dv_cursor *from, dv_key *key)
{
    size_t count = dv_cursor_u16(from);
    if (count == 0 || count > DV_KEY_VERSIONS_MAX) {
        return DV_ERR_CORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        dv_key_version version = {.number = dv_cursor_u32(from)};
        version.created = (dv_time)dv_cursor_u64(from);
        version.destroyed = (dv_time)dv_cursor_u64(from);
        dv_cursor_copy(from, version.recipient, sizeof(version.recipient));
        dv_cursor_copy(from, version.sealed, sizeof(version.sealed));
        if (from->bad || version.number == 0 || version.created < 0 || version.destroyed < 0 ||
            (i > 0 && version.number <= key->versions[i - 1].number)) {
            return DV_ERR_CORRUPT;
        }
        DV_TRY(dv_key_add_version(key, &version));
    }
    return DV_OK;
}

static dv_result take_keys(dv_cursor *from, dv_keystore *keystore)
{
    size_t count = dv_cursor_u16(from);
    if (count > DV_KEYS_MAX) {
        return DV_ERR_CORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        dv_key *key = &keystore->keys[keystore->count++];
        dv_cursor_copy(from, key->id, sizeof(key->id));
        key->type = (dv_key_type)dv_cursor_u8(from);
        if ((key->type != DV_KEY_AES256 && key->type != DV_KEY_X25519) ||
            !take_name(from, key->name)) {
            return DV_ERR_CORRUPT;
        }
        DV_TRY(take_versions(from, key));
    }
    return DV_OK;
}

static dv_result take_journal(dv_cursor *from, dv_keystore *keystore)
{
    keystore->events = dv_cursor_u64(from);
    size_t count = dv_cursor_u16(from);
    if (count > DV_KEY_JOURNAL_MAX || count > keystore->events) {
        return DV_ERR_CORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        dv_key_event *event = &keystore->journal[i];
        event->number = keystore->events - count + i + 1;
        event->time = (dv_time)dv_cursor_u64(from);
        event->activity = (dv_key_activity)dv_cursor_u8(from);
        dv_cursor_copy(from, event->key, sizeof(event->key));
        bool named = take_name(from, event->name);
        event->version = dv_cursor_u32(from);
        event->user = dv_cursor_u32(from);
        if (!named || event->time < 0 || event->activity < DV_KEY_GENERATED ||
            event->activity > DV_KEY_IMPORTED) {
            return DV_ERR_CORRUPT;
        }
    }
    keystore->event_count = count;
    return DV_OK;
}

/* What takes more of argon2id than this comes from somebody who wants to tie us up. */
static bool protection_is_sane(const dv_keystore *keystore)
{
    switch (keystore->protection) {
    case DV_KEYSTORE_PASSPHRASE:
        return keystore->passes >= 1 && keystore->passes <= PASSES_MAX &&
               keystore->memory >= MEMORY_LEAST && keystore->memory <= MEMORY_MAX &&
               keystore->token_label[0] == '\0';
    case DV_KEYSTORE_KEY_FILE:
        return keystore->token_label[0] == '\0';
    case DV_KEYSTORE_TOKEN:
        return keystore->token_label[0] != '\0';
    default:
        return false;
    }
}

dv_result dv_keystore_parse(dv_slice text, dv_keystore *keystore)
{
    dv_cursor from = dv_cursor_of(text);
    if (!dv_slice_eq_str(dv_cursor_take(&from, sizeof(magic) - 1), magic)) {
        return DV_ERR_CORRUPT;
    }
    if (dv_cursor_u8(&from) != VERSION) {
        return DV_ERR_UNSUPPORTED;
    }
    keystore->protection = (dv_keystore_protection)dv_cursor_u8(&from);
    keystore->passes = dv_cursor_u32(&from);
    keystore->memory = dv_cursor_u32(&from);
    dv_cursor_copy(&from, keystore->salt, sizeof(keystore->salt));
    dv_cursor_copy(&from, keystore->id, sizeof(keystore->id));
    bool good = take_text(&from, keystore->token_label, sizeof(keystore->token_label));
    dv_cursor_copy(&from, keystore->sealed_root, sizeof(keystore->sealed_root));
    if (!good || from.bad || !protection_is_sane(keystore)) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(take_keys(&from, keystore));
    DV_TRY(take_journal(&from, keystore));
    (void)dv_cursor_take(&from, MAC);
    return from.bad || from.rest.len > 0 ? DV_ERR_CORRUPT : DV_OK;
}

/* -- writing ----------------------------------------------------------------------------------- */

static dv_result put(dv_buf *out, const void *bytes, size_t len)
{
    return dv_buf_append(out, dv_slice_of(bytes, len));
}

static dv_result put_number(dv_buf *out, uint64_t value, size_t len)
{
    uint8_t bytes[sizeof(uint64_t)];
    dv_put_u64(bytes, value);
    return put(out, bytes, len);
}

static dv_result put_version(dv_buf *out, const dv_key_version *version)
{
    DV_TRY(put_number(out, version->number, 4));
    DV_TRY(put_number(out, (uint64_t)version->created, 8));
    DV_TRY(put_number(out, (uint64_t)version->destroyed, 8));
    DV_TRY(put(out, version->recipient, sizeof(version->recipient)));
    return put(out, version->sealed, sizeof(version->sealed));
}

static dv_result put_key(dv_buf *out, const dv_key *key)
{
    DV_TRY(put(out, key->id, sizeof(key->id)));
    DV_TRY(put_number(out, (uint64_t)key->type, 1));
    DV_TRY(put(out, key->name, sizeof(key->name)));
    DV_TRY(put_number(out, key->count, 2));
    for (size_t i = 0; i < key->count; i++) {
        DV_TRY(put_version(out, &key->versions[i]));
    }
    return DV_OK;
}

static dv_result put_event(dv_buf *out, const dv_key_event *event)
{
    DV_TRY(put_number(out, (uint64_t)event->time, 8));
    DV_TRY(put_number(out, (uint64_t)event->activity, 1));
    DV_TRY(put(out, event->key, sizeof(event->key)));
    DV_TRY(put(out, event->name, sizeof(event->name)));
    DV_TRY(put_number(out, event->version, 4));
    return put_number(out, event->user, 4);
}

static dv_result put_head(dv_buf *out, const dv_keystore *keystore)
{
    DV_TRY(dv_buf_append_str(out, magic));
    DV_TRY(put_number(out, VERSION, 1));
    DV_TRY(put_number(out, (uint64_t)keystore->protection, 1));
    DV_TRY(put_number(out, keystore->passes, 4));
    DV_TRY(put_number(out, keystore->memory, 4));
    DV_TRY(put(out, keystore->salt, sizeof(keystore->salt)));
    DV_TRY(put(out, keystore->id, sizeof(keystore->id)));
    DV_TRY(put(out, keystore->token_label, sizeof(keystore->token_label)));
    return put(out, keystore->sealed_root, sizeof(keystore->sealed_root));
}

dv_result dv_keystore_format(const dv_keystore *keystore, dv_buf *out)
{
    uint8_t mac[MAC];
    DV_TRY(put_head(out, keystore));
    DV_TRY(put_number(out, keystore->count, 2));
    for (size_t i = 0; i < keystore->count; i++) {
        DV_TRY(put_key(out, &keystore->keys[i]));
    }
    DV_TRY(put_number(out, keystore->events, 8));
    DV_TRY(put_number(out, keystore->event_count, 2));
    for (size_t i = 0; i < keystore->event_count; i++) {
        DV_TRY(put_event(out, &keystore->journal[i]));
    }
    DV_TRY(mac_of(keystore, dv_buf_slice(out), mac));
    return put(out, mac, sizeof(mac));
}
