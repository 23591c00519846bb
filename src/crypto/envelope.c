/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/envelope.h"

#include "base/cursor.h"
#include "crypto/hash.h"
#include "crypto/random.h"

#include <sodium.h>

enum {
    VERSION = 1,
    FLAG_ASSOCIATED = 1,
    SECRET = DV_ENVELOPE_SECRET_LEN,
    MAC = DV_SHA256_LEN,
    CRC_AT = DV_ENVELOPE_SLOT - 4,
    KEY_BODY = DV_KEY_ID_LEN + 4 + SECRET + DV_KEY_WRAP_OVERHEAD,
    X25519_SEALED = SECRET + DV_AEAD_TAG_LEN,
    X25519_BODY = DV_AGE_KEY_LEN + X25519_SEALED,
};

static const char magic[] = "DVARAENC";
static const char context_text[] = "dvara envelope v1";

/* -- keys made of the secret ------------------------------------------------------------------- */

static dv_result derive(const dv_envelope *envelope, const uint8_t secret[SECRET],
                        const char *purpose, uint8_t ret_key[32])
{
    return dv_hkdf(dv_slice_of(secret, SECRET), dv_slice_of(envelope->id, sizeof(envelope->id)),
                   purpose, ret_key, 32);
}

dv_result dv_envelope_stream_key(const dv_envelope *envelope, const uint8_t secret[SECRET],
                                 uint8_t ret_key[32])
{
    return derive(envelope, secret, "dvara envelope stream v1", ret_key);
}

static dv_result header_mac(const dv_envelope *envelope, const uint8_t secret[SECRET],
                            dv_slice label, dv_slice bytes, uint8_t ret_mac[MAC])
{
    uint8_t key[DV_HMAC_KEY_LEN], hash[DV_SHA256_LEN];
    dv_auto(hmac) dv_hmac *hmac = NULL;
    DV_TRY(derive(envelope, secret, "dvara envelope header v1", key));
    dv_result result = dv_hmac_new(key, &hmac);
    dv_wipe(key, sizeof(key));
    DV_TRY(result);
    dv_sha256(label, bytes, (dv_slice){NULL, 0}, hash);
    dv_hmac_sign(hmac, dv_slice_of(hash, sizeof(hash)), ret_mac);
    return DV_OK;
}

size_t dv_envelope_context(const dv_envelope *envelope, uint8_t out[DV_ENVELOPE_CONTEXT_MAX])
{
    _Static_assert(sizeof(context_text) - 1 + DV_ENVELOPE_ID_LEN <= DV_ENVELOPE_CONTEXT_MAX,
                   "room");
    size_t len = sizeof(context_text) - 1;
    memcpy(out, context_text, len);
    memcpy(out + len, envelope->id, sizeof(envelope->id));
    return len + sizeof(envelope->id);
}

void dv_envelope_begin(dv_envelope *ret_envelope, uint8_t ret_secret[SECRET])
{
    *ret_envelope = (dv_envelope){.generation = 1};
    dv_random(ret_envelope->id, sizeof(ret_envelope->id));
    dv_random(ret_secret, SECRET);
}

/* -- X25519 (RFC 7748) ------------------------------------------------------------------------- */

/* A point of small order, which gives zeros, is refused by libsodium. */
static dv_result x25519_aead(const uint8_t *scalar, const uint8_t *point, const uint8_t *share,
                             const uint8_t *recipient, dv_aead **ret_aead)
{
    uint8_t shared[DV_AGE_KEY_LEN], salt[2 * DV_AGE_KEY_LEN], key[DV_AEAD_KEY_LEN];
    if (sodium_init() < 0 || crypto_scalarmult(shared, scalar, point) != 0) {
        return DV_ERR_INVALID;
    }
    memcpy(salt, share, DV_AGE_KEY_LEN);
    memcpy(salt + DV_AGE_KEY_LEN, recipient, DV_AGE_KEY_LEN);
    dv_result result = dv_hkdf(dv_slice_of(shared, sizeof(shared)), dv_slice_of(salt, sizeof(salt)),
                               "dvara envelope X25519 v1", key, sizeof(key));
    if (result == DV_OK) {
        result = dv_aead_new_portable(key, ret_aead);
    }
    dv_wipe(shared, sizeof(shared));
    dv_wipe(key, sizeof(key));
    return result;
}

static const uint8_t no_nonce[DV_AEAD_NONCE_LEN];

dv_result dv_envelope_add_x25519(dv_envelope *envelope, const uint8_t secret[SECRET],
                                 const dv_age_key *recipient)
{
    uint8_t context[DV_ENVELOPE_CONTEXT_MAX];
    dv_age_key share, ephemeral;
    dv_auto(aead) dv_aead *aead = NULL;
    if (envelope->count == DV_ENVELOPE_RECIPIENTS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_recipient to = {.kind = DV_RECIPIENT_X25519};
    size_t len = dv_envelope_context(envelope, context);
    DV_TRY(dv_age_keypair(&share, &ephemeral));
    dv_result result =
        x25519_aead(ephemeral.bytes, recipient->bytes, share.bytes, recipient->bytes, &aead);
    dv_wipe(&ephemeral, sizeof(ephemeral));
    DV_TRY(result);
    memcpy(to.share, share.bytes, sizeof(to.share));
    DV_TRY(dv_aead_seal(aead, no_nonce, dv_slice_of(context, len), dv_slice_of(secret, SECRET),
                        to.sealed));
    envelope->recipients[envelope->count++] = to;
    return DV_OK;
}

dv_result dv_envelope_open_x25519(const dv_envelope *envelope, const dv_recipient *from,
                                  const dv_age_key *identity, uint8_t ret_secret[SECRET])
{
    uint8_t context[DV_ENVELOPE_CONTEXT_MAX], secret[SECRET];
    dv_age_key recipient;
    dv_auto(aead) dv_aead *aead = NULL;
    size_t len = dv_envelope_context(envelope, context);
    DV_TRY(dv_age_recipient_of(identity, &recipient));
    dv_result result =
        x25519_aead(identity->bytes, from->share, from->share, recipient.bytes, &aead);
    if (result != DV_OK) {
        return result == DV_ERR_INVALID ? DV_ERR_CORRUPT : result;
    }
    if (dv_aead_open(aead, no_nonce, dv_slice_of(context, len),
                     dv_slice_of(from->sealed, X25519_SEALED), secret) != DV_OK) {
        return DV_ERR_NOT_FOUND;
    }
    memcpy(ret_secret, secret, SECRET);
    dv_wipe(secret, sizeof(secret));
    return DV_OK;
}

/* -- associated data --------------------------------------------------------------------------- */

static dv_result associated_hash(const dv_envelope *envelope, const uint8_t secret[SECRET],
                                 dv_slice associated, uint8_t ret_hash[MAC])
{
    return header_mac(envelope, secret, DV_LIT("associated\n"), associated, ret_hash);
}

dv_result dv_envelope_bind(dv_envelope *envelope, const uint8_t secret[SECRET], dv_slice associated)
{
    if (associated.len > DV_ENVELOPE_ASSOCIATED_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    envelope->associated = associated.len > 0;
    return envelope->associated
               ? associated_hash(envelope, secret, associated, envelope->associated_hash)
               : DV_OK;
}

static dv_result check_associated(const dv_envelope *envelope, const uint8_t secret[SECRET],
                                  dv_slice associated, dv_error *error)
{
    uint8_t hash[MAC];
    if (!envelope->associated && associated.len == 0) {
        return DV_OK;
    }
    if (!envelope->associated || associated.len == 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            envelope->associated
                                ? "it was encrypted with associated data: say the same"
                                : "it was encrypted without associated data: leave it out");
    }
    DV_TRY(associated_hash(envelope, secret, associated, hash));
    return dv_equal_constant_time(dv_slice_of(hash, sizeof(hash)),
                                  dv_slice_of(envelope->associated_hash, sizeof(hash)))
               ? DV_OK
               : dv_error_set(error, DV_ERR_FORBIDDEN,
                              "it was encrypted with other associated data");
}

/* -- writing ----------------------------------------------------------------------------------- */

static void put(uint8_t **at, const void *bytes, size_t len)
{
    memcpy(*at, bytes, len);
    *at += len;
}

static void put_recipient(uint8_t **at, const dv_recipient *to)
{
    bool key = to->kind == DV_RECIPIENT_KEY;
    *(*at)++ = (uint8_t)to->kind;
    dv_put_u16(*at, key ? KEY_BODY : X25519_BODY);
    *at += sizeof(uint16_t);
    if (key) {
        put(at, to->key.id, sizeof(to->key.id));
        dv_put_u32(*at, to->key.version);
        *at += sizeof(uint32_t);
        put(at, to->sealed, sizeof(to->sealed));
    } else {
        put(at, to->share, sizeof(to->share));
        put(at, to->sealed, X25519_SEALED);
    }
}

/* All that the MAC covers; returns its length. */
static size_t put_covered(const dv_envelope *envelope, uint8_t slot[DV_ENVELOPE_SLOT])
{
    uint8_t *at = slot;
    put(&at, magic, sizeof(magic) - 1);
    *at++ = VERSION;
    *at++ = envelope->associated ? FLAG_ASSOCIATED : 0;
    dv_put_u16(at, (uint16_t)envelope->count);
    at += sizeof(uint16_t);
    dv_put_u32(at, envelope->generation);
    at += sizeof(uint32_t);
    put(&at, envelope->id, sizeof(envelope->id));
    put(&at, envelope->associated_hash, sizeof(envelope->associated_hash));
    for (size_t i = 0; i < envelope->count; i++) {
        put_recipient(&at, &envelope->recipients[i]);
    }
    return (size_t)(at - slot);
}

dv_result dv_envelope_write(const dv_envelope *envelope, const uint8_t secret[SECRET],
                            uint8_t ret_slot[DV_ENVELOPE_SLOT])
{
    _Static_assert(64 + DV_ENVELOPE_RECIPIENTS_MAX * (3 + (int)KEY_BODY) + MAC <= CRC_AT, "room");
    memset(ret_slot, 0, DV_ENVELOPE_SLOT);
    size_t len = put_covered(envelope, ret_slot);
    DV_TRY(header_mac(envelope, secret, DV_LIT("header\n"), dv_slice_of(ret_slot, len),
                      ret_slot + len));
    dv_put_u32(ret_slot + CRC_AT, dv_crc32c(0, dv_slice_of(ret_slot, CRC_AT)));
    return DV_OK;
}

dv_result dv_envelope_check(const dv_envelope *envelope, const uint8_t secret[SECRET],
                            const dv_slice *associated, dv_error *error)
{
    uint8_t slot[DV_ENVELOPE_SLOT], mac[MAC];
    size_t len = put_covered(envelope, slot);
    DV_TRY(header_mac(envelope, secret, DV_LIT("header\n"), dv_slice_of(slot, len), mac));
    if (!dv_equal_constant_time(dv_slice_of(mac, sizeof(mac)),
                                dv_slice_of(envelope->mac, sizeof(mac)))) {
        return dv_error_set(error, DV_ERR_CORRUPT, "its head was changed");
    }
    return associated == NULL ? DV_OK : check_associated(envelope, secret, *associated, error);
}

/* -- reading ----------------------------------------------------------------------------------- */

static bool all_zeros(dv_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

static dv_result take_recipient(dv_cursor *from, dv_recipient *ret_recipient)
{
    uint8_t kind = dv_cursor_u8(from);
    uint16_t len = dv_cursor_u16(from);
    dv_recipient to = {.kind = (dv_recipient_kind)kind};
    if (kind == DV_RECIPIENT_KEY && len == KEY_BODY) {
        dv_cursor_copy(from, to.key.id, sizeof(to.key.id));
        to.key.version = dv_cursor_u32(from);
        dv_cursor_copy(from, to.sealed, sizeof(to.sealed));
    } else if (kind == DV_RECIPIENT_X25519 && len == X25519_BODY) {
        dv_cursor_copy(from, to.share, sizeof(to.share));
        dv_cursor_copy(from, to.sealed, X25519_SEALED);
    } else {
        return from->bad ? DV_ERR_CORRUPT : DV_ERR_UNSUPPORTED;
    }
    *ret_recipient = to;
    return from->bad ? DV_ERR_CORRUPT : DV_OK;
}

/* The parts between the magic and the MAC. A program that does not know a flag or a kind of
 * recipient opens nothing, as it could not check the MAC over them. */
static dv_result take_covered(dv_cursor *from, dv_envelope *e)
{
    uint8_t version = dv_cursor_u8(from), flags = dv_cursor_u8(from);
    e->count = dv_cursor_u16(from);
    e->generation = dv_cursor_u32(from);
    e->associated = (flags & FLAG_ASSOCIATED) != 0;
    dv_cursor_copy(from, e->id, sizeof(e->id));
    dv_cursor_copy(from, e->associated_hash, sizeof(e->associated_hash));
    if (version != VERSION || (flags & ~FLAG_ASSOCIATED) != 0) {
        return DV_ERR_UNSUPPORTED;
    }
    if (e->count == 0 || e->count > DV_ENVELOPE_RECIPIENTS_MAX) {
        return DV_ERR_CORRUPT;
    }
    for (size_t i = 0; i < e->count; i++) {
        DV_TRY(take_recipient(from, &e->recipients[i]));
    }
    return DV_OK;
}

static dv_result parse_slot(const uint8_t *slot, dv_envelope *ret_envelope)
{
    dv_envelope e = {0};
    if (dv_get_u32(slot + CRC_AT) != dv_crc32c(0, dv_slice_of(slot, CRC_AT))) {
        return DV_ERR_CORRUPT;
    }
    dv_cursor from = dv_cursor_of(dv_slice_of(slot, CRC_AT));
    if (!dv_slice_eq_str(dv_cursor_take(&from, sizeof(magic) - 1), magic)) {
        return DV_ERR_CORRUPT;
    }
    DV_TRY(take_covered(&from, &e));
    dv_cursor_copy(&from, e.mac, sizeof(e.mac));
    if (from.bad || !all_zeros(from.rest)) {
        return DV_ERR_CORRUPT;
    }
    *ret_envelope = e;
    return DV_OK;
}

static dv_result cut_off(dv_error *error)
{
    return dv_error_set(error, DV_ERR_CONFLICT,
                        "its head was left half written or was changed: `dvara key rewrap` "
                        "mends it");
}

static bool has_magic(const uint8_t *slot)
{
    return memcmp(slot, magic, sizeof(magic) - 1) == 0;
}

/* Two whole slots: the rewrap was cut off before it zeroed the older one. */
static dv_result choose(const uint8_t *head, const dv_result parsed[2], const dv_envelope both[2],
                        unsigned *ret_slot, dv_error *error)
{
    if (parsed[0] == DV_OK && parsed[1] == DV_OK) {
        *ret_slot = both[1].generation > both[0].generation ? 1 : 0;
        return DV_OK;
    }
    if (parsed[0] != DV_OK && parsed[1] != DV_OK) {
        if (parsed[0] == DV_ERR_UNSUPPORTED || parsed[1] == DV_ERR_UNSUPPORTED) {
            return dv_error_set(error, DV_ERR_UNSUPPORTED,
                                "it was encrypted by a newer Dvara: this one can not read it");
        }
        return dv_error_set(error, DV_ERR_CORRUPT,
                            has_magic(head) || has_magic(head + DV_ENVELOPE_SLOT)
                                ? "its head is damaged"
                                : "it is no file that `dvara encrypt` made");
    }
    *ret_slot = parsed[0] == DV_OK ? 0 : 1;
    const uint8_t *other = head + (size_t)(1 - *ret_slot) * DV_ENVELOPE_SLOT;
    return all_zeros(dv_slice_of(other, DV_ENVELOPE_SLOT)) ? DV_OK : cut_off(error);
}

dv_result dv_envelope_read(const uint8_t head[DV_ENVELOPE_HEAD], dv_envelope *ret_envelope,
                           unsigned *ret_slot, dv_error *error)
{
    dv_envelope both[2] = {{0}};
    unsigned slot = 0;
    dv_result parsed[2] = {parse_slot(head, &both[0]),
                           parse_slot(head + DV_ENVELOPE_SLOT, &both[1])};
    dv_result result = choose(head, parsed, both, &slot, error);
    if (result == DV_OK || result == DV_ERR_CONFLICT) {
        *ret_envelope = both[slot];
        *ret_slot = slot;
    }
    return result;
}
