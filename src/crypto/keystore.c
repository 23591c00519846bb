/* SPDX-License-Identifier: Apache-2.0 */
/* The life of keys. A version is made, seals until the next one is made, opens until it is
 * destroyed; its record stays, so that a file can say why it can't be read.
 *
 * 1. A version's bytes lie sealed under the root key, bound to keystore, key and number: none
 * stands for another. With a token they never were outside of it.
 * 2. Every change leaves an event in the journal, which is saved in the same step. */
#include "crypto/keystore_private.h"

#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <stdlib.h>
#include <unistd.h>

enum { KEY = 32, BOUND_MAX = 64, TOKEN_ID = DV_KEY_ID_LEN + 4 };

/* -- looking ----------------------------------------------------------------------------------- */

size_t dv_keystore_count(const dv_keystore *keystore)
{
    return keystore->count;
}

const dv_key *dv_keystore_at(const dv_keystore *keystore, size_t index)
{
    return &keystore->keys[index];
}

const dv_key *dv_keystore_find(const dv_keystore *keystore, dv_slice name)
{
    for (size_t i = 0; i < keystore->count; i++) {
        if (dv_slice_eq_str(name, keystore->keys[i].name)) {
            return &keystore->keys[i];
        }
    }
    return NULL;
}

const dv_key *dv_keystore_find_id(const dv_keystore *keystore, const uint8_t id[DV_KEY_ID_LEN])
{
    for (size_t i = 0; i < keystore->count; i++) {
        if (memcmp(id, keystore->keys[i].id, DV_KEY_ID_LEN) == 0) {
            return &keystore->keys[i];
        }
    }
    return NULL;
}

const dv_key_version *dv_key_find_version(const dv_key *key, uint32_t number)
{
    for (size_t i = 0; i < key->count; i++) {
        if (key->versions[i].number == number) {
            return &key->versions[i];
        }
    }
    return NULL;
}

const dv_key_version *dv_key_active(const dv_key *key)
{
    const dv_key_version *newest = &key->versions[key->count - 1];
    return newest->destroyed == 0 ? newest : NULL;
}

bool dv_key_is_destroyed(const dv_key *key)
{
    for (size_t i = 0; i < key->count; i++) {
        if (key->versions[i].destroyed == 0) {
            return false;
        }
    }
    return true;
}

bool dv_key_name_is(dv_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (i == 0 || (c != '.' && c != '_' && c != '-'))) {
            return false;
        }
    }
    return name.len > 0 && name.len < DV_KEY_NAME_MAX;
}

size_t dv_keystore_event_count(const dv_keystore *keystore)
{
    return keystore->event_count;
}

const dv_key_event *dv_keystore_event(const dv_keystore *keystore, size_t index)
{
    return &keystore->journal[index];
}

/* -- the bytes of a version -------------------------------------------------------------------- */

dv_result dv_keystore_derive(const dv_keystore *keystore, const char *purpose, uint8_t ret_key[32])
{
    return dv_hkdf(dv_slice_of(keystore->root, sizeof(keystore->root)),
                   dv_slice_of(keystore->id, sizeof(keystore->id)), purpose, ret_key, 32);
}

static dv_slice bound_to(const dv_keystore *keystore, const dv_key *key, uint32_t version,
                         uint8_t room[BOUND_MAX])
{
    static const char label[] = "dvara key v1";
    uint8_t *at = room;
    memcpy(at, label, sizeof(label));
    at += sizeof(label);
    memcpy(at, keystore->id, sizeof(keystore->id));
    at += sizeof(keystore->id);
    memcpy(at, key->id, sizeof(key->id));
    at += sizeof(key->id);
    dv_put_u32(at, version);
    return dv_slice_of(room, (size_t)(at - room) + sizeof(uint32_t));
}

static dv_result root_aead(const dv_keystore *keystore, dv_aead **ret_aead)
{
    uint8_t key[KEY];
    DV_TRY(dv_keystore_derive(keystore, "dvara keystore wrap v1", key));
    dv_result result = dv_aead_new_portable(key, ret_aead);
    dv_wipe(key, sizeof(key));
    return result;
}

/* Nonce, then what is sealed. */
static dv_result seal_under(dv_aead *aead, dv_slice associated, const uint8_t plain[KEY],
                            uint8_t out[DV_KEY_SEALED_LEN])
{
    dv_random(out, DV_AEAD_NONCE_LEN);
    return dv_aead_seal(aead, out, associated, dv_slice_of(plain, KEY), out + DV_AEAD_NONCE_LEN);
}

static dv_result open_under(dv_aead *aead, dv_slice associated,
                            const uint8_t sealed[DV_KEY_SEALED_LEN], uint8_t out[KEY])
{
    return dv_aead_open(
        aead, sealed, associated,
        dv_slice_of(sealed + DV_AEAD_NONCE_LEN, DV_KEY_SEALED_LEN - DV_AEAD_NONCE_LEN), out);
}

static dv_result seal_version(const dv_keystore *keystore, const dv_key *key,
                              dv_key_version *version, const uint8_t plain[KEY])
{
    uint8_t room[BOUND_MAX];
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(root_aead(keystore, &aead));
    return seal_under(aead, bound_to(keystore, key, version->number, room), plain, version->sealed);
}

static dv_result open_version(const dv_keystore *keystore, const dv_key *key,
                              const dv_key_version *version, uint8_t ret_plain[KEY])
{
    uint8_t room[BOUND_MAX];
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(root_aead(keystore, &aead));
    return open_under(aead, bound_to(keystore, key, version->number, room), version->sealed,
                      ret_plain);
}

static dv_slice token_id(const dv_key *key, uint32_t version, uint8_t room[TOKEN_ID])
{
    memcpy(room, key->id, DV_KEY_ID_LEN);
    dv_put_u32(room + DV_KEY_ID_LEN, version);
    return dv_slice_of(room, TOKEN_ID);
}

/* -- the journal ------------------------------------------------------------------------------- */

static void note(dv_keystore *keystore, dv_key_activity activity, const dv_key *key,
                 uint32_t version, dv_time now)
{
    if (keystore->event_count == DV_KEY_JOURNAL_MAX) {
        keystore->event_count--;
        memmove(keystore->journal, keystore->journal + 1,
                keystore->event_count * sizeof(keystore->journal[0]));
    }
    dv_key_event *event = &keystore->journal[keystore->event_count++];
    *event = (dv_key_event){.number = ++keystore->events,
                            .time = now,
                            .activity = activity,
                            .version = version,
                            .user = keystore->by_dvara ? DV_KEY_BY_DVARA : (uint32_t)geteuid()};
    memcpy(event->key, key->id, sizeof(event->key));
    memcpy(event->name, key->name, sizeof(event->name));
}

void dv_keystore_act_as_dvara(dv_keystore *keystore)
{
    keystore->by_dvara = true;
}

/* -- making ------------------------------------------------------------------------------------ */

static dv_result locked(const dv_keystore *keystore, dv_error *error)
{
    return keystore->unlocked ? DV_OK
                              : dv_error_set(error, DV_ERR_INTERNAL, "the keystore is locked");
}

static dv_result make_in_token(dv_keystore *keystore, const dv_key *key,
                               const dv_key_version *version, dv_error *error)
{
    char label[DV_KEY_NAME_MAX + 32];
    uint8_t room[TOKEN_ID];
    snprintf(label, sizeof(label), "dvara %s v%u", key->name, version->number);
    return dv_token_generate(keystore->token, token_id(key, version->number, room), label, error);
}

static dv_result make_bytes(dv_keystore *keystore, const dv_key *key, dv_key_version *version)
{
    dv_age_key recipient = {{0}}, identity;
    if (key->type == DV_KEY_X25519) {
        DV_TRY(dv_age_keypair(&recipient, &identity));
        memcpy(version->recipient, recipient.bytes, sizeof(version->recipient));
    } else {
        dv_random(identity.bytes, sizeof(identity.bytes));
    }
    dv_result result = seal_version(keystore, key, version, identity.bytes);
    dv_wipe(&identity, sizeof(identity));
    return result;
}

static dv_result make_version(dv_keystore *keystore, dv_key *key, dv_time now, dv_error *error)
{
    uint32_t number = key->count == 0 ? 1 : key->versions[key->count - 1].number + 1;
    dv_key_version version = {.number = number, .created = now};
    if (key->count == DV_KEY_VERSIONS_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "key %s has %d versions already: make another",
                            key->name, DV_KEY_VERSIONS_MAX);
    }
    DV_TRY(keystore->token != NULL ? make_in_token(keystore, key, &version, error)
                                   : make_bytes(keystore, key, &version));
    return dv_key_add_version(key, &version);
}

static dv_result check_new(dv_keystore *keystore, dv_slice name, dv_key_type type, dv_error *error)
{
    DV_TRY(locked(keystore, error));
    if (!dv_key_name_is(name)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "a key's name has 1 to %d letters, digits, '.', '_' and '-'",
                            DV_KEY_NAME_MAX - 1);
    }
    const dv_key *other = dv_keystore_find(keystore, name);
    if (other != NULL) {
        return dv_error_set(error, DV_ERR_EXISTS,
                            dv_key_is_destroyed(other)
                                ? "a key called %s was there and is destroyed: take another name"
                                : "there is a key called %s: `dvara key rotate` makes a new "
                                  "version of it",
                            other->name);
    }
    if (keystore->count == DV_KEYS_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "a keystore has %d keys at most", DV_KEYS_MAX);
    }
    if (type != DV_KEY_AES256 && keystore->token != NULL) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED,
                            "a token keeps keys of type aes256 only: x25519 wants another "
                            "keystore");
    }
    return DV_OK;
}

dv_result dv_keystore_generate(dv_keystore *keystore, dv_slice name, dv_key_type type, dv_time now,
                               const dv_key **ret_key, dv_error *error)
{
    DV_TRY(check_new(keystore, name, type, error));
    dv_key *key = &keystore->keys[keystore->count];
    *key = (dv_key){.type = type};
    dv_random(key->id, sizeof(key->id));
    dv_slice_copy(name, key->name, sizeof(key->name));
    DV_TRY(make_version(keystore, key, now, error));
    keystore->count++;
    note(keystore, DV_KEY_GENERATED, key, 1, now);
    *ret_key = key;
    return DV_OK;
}

/* The keystore's own, of a key that was looked up. */
static dv_key *own(dv_keystore *keystore, const dv_key *key)
{
    return &keystore->keys[key - keystore->keys];
}

dv_result dv_keystore_rotate(dv_keystore *keystore, const dv_key *key, dv_time now, dv_error *error)
{
    DV_TRY(locked(keystore, error));
    if (dv_key_is_destroyed(key)) {
        return dv_error_set(error, DV_ERR_CONFLICT, "key %s is destroyed", key->name);
    }
    DV_TRY(make_version(keystore, own(keystore, key), now, error));
    note(keystore, DV_KEY_ROTATED, key, key->versions[key->count - 1].number, now);
    return DV_OK;
}

/* -- destroying -------------------------------------------------------------------------------- */

static dv_result destroy_version(dv_keystore *keystore, const dv_key *key, dv_key_version *version,
                                 dv_time now, dv_error *error)
{
    uint8_t room[TOKEN_ID];
    if (keystore->token != NULL) {
        dv_result result =
            dv_token_destroy(keystore->token, token_id(key, version->number, room), error);
        if (result != DV_ERR_NOT_FOUND) { /* gone before: the keystore was not saved then */
            DV_TRY(result);
        }
    }
    dv_wipe(version->sealed, sizeof(version->sealed));
    version->destroyed = now;
    keystore->shredded = true;
    return DV_OK;
}

dv_result dv_keystore_destroy(dv_keystore *keystore, const dv_key *key, uint32_t version,
                              dv_time now, dv_error *error)
{
    DV_TRY(locked(keystore, error));
    if (version != 0 && dv_key_find_version(key, version) == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "key %s has no version %u", key->name,
                            version);
    }
    size_t gone = 0;
    dv_key *its = own(keystore, key);
    for (size_t i = 0; i < its->count; i++) {
        if (its->versions[i].destroyed == 0 &&
            (version == 0 || its->versions[i].number == version)) {
            DV_TRY(destroy_version(keystore, key, &its->versions[i], now, error));
            gone++;
        }
    }
    if (gone == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "that is destroyed already");
    }
    note(keystore, DV_KEY_DESTROYED, key, version, now);
    return DV_OK;
}

/* -- sealing and opening ----------------------------------------------------------------------- */

static dv_result seal_to_version(dv_keystore *keystore, const dv_key *key,
                                 const dv_key_version *version, dv_slice context,
                                 const uint8_t *secret, dv_recipient *to, dv_error *error)
{
    uint8_t plain[KEY], room[TOKEN_ID];
    if (keystore->token != NULL) {
        return dv_token_seal(keystore->token, token_id(key, version->number, room), context,
                             dv_slice_of(secret, KEY), to->sealed, error);
    }
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(open_version(keystore, key, version, plain));
    dv_result result = dv_aead_new_portable(plain, &aead);
    dv_wipe(plain, sizeof(plain));
    DV_TRY(result);
    return seal_under(aead, context, secret, to->sealed);
}

dv_result dv_keystore_seal(dv_keystore *keystore, const dv_key *key,
                           const uint8_t secret[DV_ENVELOPE_SECRET_LEN], dv_envelope *envelope,
                           dv_error *error)
{
    uint8_t context[DV_ENVELOPE_CONTEXT_MAX];
    DV_TRY(locked(keystore, error));
    const dv_key_version *version = dv_key_active(key);
    if (version == NULL) {
        return dv_error_set(
            error, DV_ERR_CONFLICT, "key %s has no version that seals: %s", key->name,
            dv_key_is_destroyed(key) ? "it is destroyed" : "`dvara key rotate` makes one");
    }
    if (key->type == DV_KEY_X25519) {
        dv_age_key recipient;
        memcpy(recipient.bytes, version->recipient, sizeof(recipient.bytes));
        return dv_envelope_add_x25519(envelope, secret, &recipient);
    }
    if (envelope->count == DV_ENVELOPE_RECIPIENTS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_recipient to = {.kind = DV_RECIPIENT_KEY, .key = {.version = version->number}};
    memcpy(to.key.id, key->id, sizeof(to.key.id));
    size_t len = dv_envelope_context(envelope, context);
    DV_TRY(seal_to_version(keystore, key, version, dv_slice_of(context, len), secret, &to, error));
    envelope->recipients[envelope->count++] = to;
    return DV_OK;
}

static dv_result unseal_key(dv_keystore *keystore, const dv_envelope *envelope,
                            const dv_recipient *from, uint8_t *ret_secret, dv_error *error)
{
    uint8_t context[DV_ENVELOPE_CONTEXT_MAX], plain[KEY], room[TOKEN_ID];
    const dv_key *key = dv_keystore_find_id(keystore, from->key.id);
    const dv_key_version *version =
        key == NULL ? NULL : dv_key_find_version(key, from->key.version);
    if (version == NULL || key->type != DV_KEY_AES256) {
        return DV_ERR_NOT_FOUND;
    }
    if (version->destroyed != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "its key, version %u of %s, was destroyed: nobody can read it any more",
                            version->number, key->name);
    }
    dv_slice bound = dv_slice_of(context, dv_envelope_context(envelope, context));
    if (keystore->token != NULL) {
        return dv_token_unseal(keystore->token, token_id(key, version->number, room), bound,
                               dv_slice_of(from->sealed, sizeof(from->sealed)), ret_secret, error);
    }
    dv_auto(aead) dv_aead *aead = NULL;
    DV_TRY(open_version(keystore, key, version, plain));
    dv_result result = dv_aead_new_portable(plain, &aead);
    dv_wipe(plain, sizeof(plain));
    DV_TRY(result);
    return open_under(aead, bound, from->sealed, ret_secret);
}

/* Such a recipient does not say whose it is. */
static dv_result unseal_x25519(dv_keystore *keystore, const dv_envelope *envelope,
                               const dv_recipient *from, uint8_t *ret_secret,
                               const dv_key **ret_key)
{
    dv_result result = DV_ERR_NOT_FOUND;
    for (size_t i = 0; i < keystore->count; i++) {
        const dv_key *key = &keystore->keys[i];
        for (size_t k = key->type == DV_KEY_X25519 ? key->count : 0;
             k > 0 && result == DV_ERR_NOT_FOUND; k--) {
            dv_age_key identity;
            if (key->versions[k - 1].destroyed == 0) {
                DV_TRY(open_version(keystore, key, &key->versions[k - 1], identity.bytes));
                result = dv_envelope_open_x25519(envelope, from, &identity, ret_secret);
                dv_wipe(&identity, sizeof(identity));
                *ret_key = key;
            }
        }
    }
    return result;
}

dv_result dv_keystore_unseal(dv_keystore *keystore, const dv_envelope *envelope,
                             uint8_t ret_secret[DV_ENVELOPE_SECRET_LEN], dv_error *error)
{
    bool destroyed = false;
    const dv_key *ignored = NULL;
    dv_error why = {0};
    DV_TRY(locked(keystore, error));
    for (size_t i = 0; i < envelope->count; i++) {
        const dv_recipient *from = &envelope->recipients[i];
        dv_result result = from->kind == DV_RECIPIENT_KEY
                               ? unseal_key(keystore, envelope, from, ret_secret, &why)
                               : unseal_x25519(keystore, envelope, from, ret_secret, &ignored);
        if (result == DV_ERR_CORRUPT) {
            return dv_error_set(error, result, "its head was changed");
        }
        if (result == DV_OK || (result != DV_ERR_NOT_FOUND && result != DV_ERR_CONFLICT)) {
            return result == DV_OK ? DV_OK : dv_error_set(error, result, "%s", why.message);
        }
        destroyed = destroyed || result == DV_ERR_CONFLICT;
    }
    return destroyed
               ? dv_error_set(error, DV_ERR_CONFLICT, "%s", why.message)
               : dv_error_set(error, DV_ERR_NOT_FOUND, "it is sealed to no key of this keystore");
}

const dv_key *dv_keystore_find_recipient(dv_keystore *keystore, const dv_envelope *envelope,
                                         const dv_recipient *recipient)
{
    const dv_key *key = NULL;
    uint8_t secret[KEY];
    if (recipient->kind == DV_RECIPIENT_KEY) {
        return dv_keystore_find_id(keystore, recipient->key.id);
    }
    dv_result result = keystore->unlocked
                           ? unseal_x25519(keystore, envelope, recipient, secret, &key)
                           : DV_ERR_NOT_FOUND;
    dv_wipe(secret, sizeof(secret));
    return result == DV_OK ? key : NULL;
}

/* -- taking keys elsewhere --------------------------------------------------------------------- */

static const char export_head[] = "dvara-key-v1\n";

static dv_result put_export_version(dv_keystore *keystore, const dv_key *key,
                                    const dv_key_version *version, dv_buf *out)
{
    uint8_t plain[KEY];
    if (version->destroyed != 0) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_printf(out, "version %u %lld ", version->number,
                                (long long)version->created));
    DV_TRY(open_version(keystore, key, version, plain));
    dv_result result = dv_hex_encode(dv_slice_of(plain, sizeof(plain)), out);
    dv_wipe(plain, sizeof(plain));
    DV_TRY(result);
    return dv_buf_append_str(out, "\n");
}

dv_result dv_keystore_export(dv_keystore *keystore, const dv_key *key, dv_time now, dv_buf *out,
                             dv_error *error)
{
    enum { LINE = 128 };
    DV_TRY(locked(keystore, error));
    if (keystore->token != NULL) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED, "key %s is in a token and never leaves it",
                            key->name);
    }
    if (dv_key_is_destroyed(key)) {
        return dv_error_set(error, DV_ERR_CONFLICT, "key %s is destroyed", key->name);
    }
    DV_TRY(dv_buf_reserve(out, (key->count + 4) * LINE)); /* at once: no copies are left behind */
    DV_TRY(dv_buf_append_str(out, export_head));
    DV_TRY(dv_buf_append_printf(out, "name %s\ntype %s\nid ", key->name,
                                key->type == DV_KEY_AES256 ? "aes256" : "x25519"));
    DV_TRY(dv_hex_encode(dv_slice_of(key->id, sizeof(key->id)), out));
    DV_TRY(dv_buf_append_str(out, "\n"));
    for (size_t i = 0; i < key->count; i++) {
        DV_TRY(put_export_version(keystore, key, &key->versions[i], out));
    }
    note(keystore, DV_KEY_EXPORTED, key, 0, now);
    return DV_OK;
}

static bool take_number(dv_slice text, uint64_t most, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.ptr[i] - '0');
        if (digit > 9 || number > (most - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *ret_number = number;
    return text.len > 0 && number <= most;
}

/* "version NUMBER CREATED HEX" */
static dv_result take_version_line(const dv_keystore *keystore, dv_slice line, dv_key *key)
{
    dv_slice word, number, created;
    uint8_t plain[KEY];
    uint64_t value = 0, time = 0;
    dv_key_version version = {0};
    if (!dv_slice_split(&line, ' ', &word) || !dv_slice_eq_str(word, "version") ||
        !dv_slice_split(&line, ' ', &number) || !take_number(number, UINT32_MAX - 1, &value) ||
        !dv_slice_split(&line, ' ', &created) || !take_number(created, INT64_MAX, &time) ||
        line.len != (size_t)2 * KEY || value == 0 ||
        (key->count > 0 && value <= key->versions[key->count - 1].number)) {
        return DV_ERR_INVALID;
    }
    version.number = (uint32_t)value;
    version.created = (dv_time)time;
    DV_TRY(dv_hex_decode(line, plain, sizeof(plain)));
    if (key->type == DV_KEY_X25519) {
        dv_age_key identity, recipient;
        memcpy(identity.bytes, plain, sizeof(plain));
        dv_result result = dv_age_recipient_of(&identity, &recipient);
        dv_wipe(&identity, sizeof(identity));
        DV_TRY(result);
        memcpy(version.recipient, recipient.bytes, sizeof(version.recipient));
    }
    dv_result result = seal_version(keystore, key, &version, plain);
    dv_wipe(plain, sizeof(plain));
    DV_TRY(result);
    return dv_key_add_version(key, &version);
}

static bool take_word_line(dv_slice *text, const char *word, dv_slice *ret_value)
{
    dv_slice line, first;
    return dv_slice_split(text, '\n', &line) && dv_slice_split(&line, ' ', &first) &&
           dv_slice_eq_str(first, word) && (*ret_value = line, line.len > 0);
}

static dv_result take_export(const dv_keystore *keystore, dv_slice text, dv_key *key)
{
    dv_slice name, type, id, line;
    if (!dv_slice_starts_with(text, dv_slice_str(export_head)) ||
        !dv_slice_ends_with(text, DV_LIT("\n"))) {
        return DV_ERR_INVALID;
    }
    text = dv_slice_sub(text, sizeof(export_head) - 1, text.len);
    if (!take_word_line(&text, "name", &name) || !dv_key_name_is(name) ||
        !take_word_line(&text, "type", &type) || !take_word_line(&text, "id", &id) ||
        id.len != (size_t)2 * DV_KEY_ID_LEN) {
        return DV_ERR_INVALID;
    }
    if (!dv_slice_eq_str(type, "aes256") && !dv_slice_eq_str(type, "x25519")) {
        return DV_ERR_INVALID;
    }
    key->type = dv_slice_eq_str(type, "aes256") ? DV_KEY_AES256 : DV_KEY_X25519;
    dv_slice_copy(name, key->name, sizeof(key->name));
    DV_TRY(dv_hex_decode(id, key->id, sizeof(key->id)));
    while (dv_slice_split(&text, '\n', &line) && line.len > 0) {
        DV_TRY(take_version_line(keystore, line, key));
    }
    return key->count > 0 && text.len == 0 ? DV_OK : DV_ERR_INVALID;
}

static dv_result import_as(dv_keystore *keystore, dv_key *key, dv_slice name, dv_error *error)
{
    if (name.len > 0) {
        if (!dv_key_name_is(name)) {
            return check_new(keystore, name, key->type, error);
        }
        memset(key->name, 0, sizeof(key->name));
        dv_slice_copy(name, key->name, sizeof(key->name));
    }
    const dv_key *same = dv_keystore_find_id(keystore, key->id);
    if (same != NULL) {
        return dv_error_set(error, DV_ERR_EXISTS, "this key is here already, as %s%s", same->name,
                            dv_key_is_destroyed(same) ? ", and was destroyed" : "");
    }
    return check_new(keystore, dv_slice_str(key->name), key->type, error);
}

dv_result dv_keystore_import(dv_keystore *keystore, dv_slice text, dv_slice name, dv_time now,
                             const dv_key **ret_key, dv_error *error)
{
    dv_key key = {0};
    DV_TRY(locked(keystore, error));
    if (keystore->token != NULL) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED,
                            "a token makes its keys itself and takes none");
    }
    dv_result result = take_export(keystore, text, &key);
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        result = dv_error_set(error, DV_ERR_INVALID, "it holds no key that was exported");
    }
    if (result == DV_OK) {
        result = import_as(keystore, &key, name, error);
    }
    if (result != DV_OK) {
        free(key.versions);
        return result;
    }
    keystore->keys[keystore->count] = key;
    *ret_key = &keystore->keys[keystore->count++];
    note(keystore, DV_KEY_IMPORTED, *ret_key, 0, now);
    return DV_OK;
}
