/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The head of an encrypted file: who can open it. It holds a secret of the file, sealed once for
 * each recipient, and no plaintext; what follows it is a stream (crypto/stream.h) under a key made
 * of that secret.
 *
 * A head has two slots of 2 KiB, of which one is in force and the other is zeros. To seal a file to
 * other recipients (rewrap), the other slot is written with the next generation and the first one
 * is zeroed then: whenever that is cut off, a whole slot is there, and the contents never move.
 *
 *   slot   0  magic "DVARAENC"            8
 *          8  version, 1                  1
 *          9  flags: 1 associated data    1
 *         10  how many recipients         2   little endian, as all numbers
 *         12  generation                  4
 *         16  id of the file, random     16
 *         32  hash of associated data    32   keyed: HMAC-SHA-256, or zeros
 *         64  recipients: kind (1), length (2), body
 *               1  key of a keystore: id (16), version (4), nonce (12), sealed secret (48)
 *               2  X25519: ephemeral share (32), sealed secret (48)
 *             MAC of all before it       32   HMAC-SHA-256
 *             zeros
 *       2044  CRC-32C of all before it    4   tells a slot that was not written to its end
 *
 * Keys made of the secret (HKDF-SHA-256, salt: the file's id): "dvara envelope stream v1" and
 * "dvara envelope header v1", which keys the MAC and the hash of the associated data. Both sealings
 * of the secret are AES-256-GCM with "dvara envelope v1" and the file's id as associated data, so
 * that none stands for another file; X25519's key is HKDF-SHA-256 of the shared point (salt: share
 * and recipient, "dvara envelope X25519 v1") with a nonce of zeros, as it seals one message. */

#include "crypto/aead.h"
#include "crypto/age.h"

enum {
    DV_ENVELOPE_SLOT = 2048,
    DV_ENVELOPE_HEAD = 2 * DV_ENVELOPE_SLOT,
    DV_ENVELOPE_RECIPIENTS_MAX = 16,
    DV_ENVELOPE_SECRET_LEN = 32,
    DV_ENVELOPE_ID_LEN = 16,
    DV_ENVELOPE_ASSOCIATED_MAX = 1024,
    DV_KEY_ID_LEN = 16,
    DV_KEY_WRAP_OVERHEAD = DV_AEAD_NONCE_LEN + DV_AEAD_TAG_LEN,
    DV_ENVELOPE_CONTEXT_MAX = 40,
};

/* Which key of a keystore. */
typedef struct dv_key_ref {
    uint8_t id[DV_KEY_ID_LEN];
    uint32_t version;
} dv_key_ref;

typedef enum dv_recipient_kind { DV_RECIPIENT_KEY = 1, DV_RECIPIENT_X25519 = 2 } dv_recipient_kind;

typedef struct dv_recipient {
    dv_recipient_kind kind;
    dv_key_ref key;                                                /* of a KEY */
    uint8_t share[DV_AGE_KEY_LEN];                                 /* of an X25519 */
    uint8_t sealed[DV_ENVELOPE_SECRET_LEN + DV_KEY_WRAP_OVERHEAD]; /* X25519's has no nonce */
} dv_recipient;

typedef struct dv_envelope {
    uint32_t generation;
    bool associated;
    uint8_t id[DV_ENVELOPE_ID_LEN];
    uint8_t associated_hash[32];
    size_t count;
    dv_recipient recipients[DV_ENVELOPE_RECIPIENTS_MAX];
    uint8_t mac[32]; /* as it was read */
} dv_envelope;

/* Finds the slot in force. Errors: DV_ERR_CORRUPT (no encrypted file, or damaged),
 * DV_ERR_UNSUPPORTED (a version, flag or kind of recipient that this program does not know),
 * DV_ERR_CONFLICT (a rewrap was cut off while it wrote the other slot: rewrap again; the envelope
 * and slot are written all the same). */
dv_must dv_result dv_envelope_read(const uint8_t head[DV_ENVELOPE_HEAD], dv_envelope *ret_envelope,
                                   unsigned *ret_slot, dv_error *error);

/* A new envelope without recipients, and its secret, which the caller wipes. */
void dv_envelope_begin(dv_envelope *ret_envelope, uint8_t ret_secret[DV_ENVELOPE_SECRET_LEN]);

/* What a recipient's sealing of the secret is bound to; text of at most DV_ENVELOPE_CONTEXT_MAX. */
size_t dv_envelope_context(const dv_envelope *envelope, uint8_t out[DV_ENVELOPE_CONTEXT_MAX]);

/* Seals the secret to one more recipient. Errors: DV_ERR_TOO_LARGE, DV_ERR_INVALID (no key). */
dv_must dv_result dv_envelope_add_x25519(dv_envelope *envelope,
                                         const uint8_t secret[DV_ENVELOPE_SECRET_LEN],
                                         const dv_age_key *recipient);
/* Errors: DV_ERR_NOT_FOUND (sealed to another one), DV_ERR_CORRUPT. */
dv_must dv_result dv_envelope_open_x25519(const dv_envelope *envelope, const dv_recipient *from,
                                          const dv_age_key *identity,
                                          uint8_t ret_secret[DV_ENVELOPE_SECRET_LEN]);

/* Sets the hash of associated data. Errors: DV_ERR_TOO_LARGE. */
dv_must dv_result dv_envelope_bind(dv_envelope *envelope,
                                   const uint8_t secret[DV_ENVELOPE_SECRET_LEN],
                                   dv_slice associated);

/* Proves that the head is as it was written by one who had the secret, for this associated data
 * (unless it is NULL: not looked at). Errors: DV_ERR_CORRUPT, DV_ERR_FORBIDDEN (other associated
 * data). */
dv_must dv_result dv_envelope_check(const dv_envelope *envelope,
                                    const uint8_t secret[DV_ENVELOPE_SECRET_LEN],
                                    const dv_slice *associated, dv_error *error);

/* Writes a slot. */
dv_must dv_result dv_envelope_write(const dv_envelope *envelope,
                                    const uint8_t secret[DV_ENVELOPE_SECRET_LEN],
                                    uint8_t ret_slot[DV_ENVELOPE_SLOT]);

/* The stream's key; the caller wipes it. */
dv_must dv_result dv_envelope_stream_key(const dv_envelope *envelope,
                                         const uint8_t secret[DV_ENVELOPE_SECRET_LEN],
                                         uint8_t ret_key[32]);
