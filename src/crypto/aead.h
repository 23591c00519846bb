/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

enum { DV_AEAD_KEY_LEN = 32, DV_AEAD_NONCE_LEN = 12, DV_AEAD_TAG_LEN = 16 };

/* AES-256-GCM (NIST SP 800-38D), a key prepared once. Not for two threads at once. The caller
 * never uses a nonce twice under a key: counters for one writer, random below 2^32 messages. */
typedef struct dv_aead dv_aead;

dv_must dv_result dv_aead_new(const uint8_t key[DV_AEAD_KEY_LEN], dv_aead **ret_aead);
/* The same as on a processor that has no AES instructions. */
dv_must dv_result dv_aead_new_portable(const uint8_t key[DV_AEAD_KEY_LEN], dv_aead **ret_aead);
void dv_aead_free(dv_aead *aead);
DV_DEFINE_AUTO_PTR(aead, dv_aead, dv_aead_free)

/* Writes plain.len + DV_AEAD_TAG_LEN bytes to out, which may be plain.ptr's own place. */
dv_must dv_result dv_aead_seal(dv_aead *aead, const uint8_t nonce[DV_AEAD_NONCE_LEN],
                               dv_slice associated, dv_slice plain, uint8_t *out);
/* Writes sealed.len - DV_AEAD_TAG_LEN bytes. Errors: DV_ERR_CORRUPT; out is wiped then. */
dv_must dv_result dv_aead_open(dv_aead *aead, const uint8_t nonce[DV_AEAD_NONCE_LEN],
                               dv_slice associated, dv_slice sealed, uint8_t *out);

/* Anonymous public-key boxes (libsodium's crypto_box_seal: X25519, XSalsa20-Poly1305), to hand a
 * key to one process that alone can open it. */
enum { DV_BOX_PUBLIC_LEN = 32, DV_BOX_SECRET_LEN = 32, DV_BOX_OVERHEAD = 48 };

void dv_box_keypair(uint8_t ret_public[DV_BOX_PUBLIC_LEN], uint8_t ret_secret[DV_BOX_SECRET_LEN]);
/* Writes plain.len + DV_BOX_OVERHEAD bytes. */
dv_must dv_result dv_box_seal(const uint8_t public_key[DV_BOX_PUBLIC_LEN], dv_slice plain,
                              uint8_t *out);
dv_must dv_result dv_box_open(const uint8_t public_key[DV_BOX_PUBLIC_LEN],
                              const uint8_t secret_key[DV_BOX_SECRET_LEN], dv_slice sealed,
                              uint8_t *out);
