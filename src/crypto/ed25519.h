/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* Ed25519 (RFC 8032), from a 32-byte seed. */
enum { DV_ED25519_SEED_LEN = 32, DV_ED25519_PUBLIC_LEN = 32, DV_ED25519_SIGNATURE_LEN = 64 };

dv_must dv_result dv_ed25519_public(const uint8_t seed[DV_ED25519_SEED_LEN],
                                    uint8_t ret_public[DV_ED25519_PUBLIC_LEN]);
dv_must dv_result dv_ed25519_sign(const uint8_t seed[DV_ED25519_SEED_LEN], dv_slice message,
                                  uint8_t ret_signature[DV_ED25519_SIGNATURE_LEN]);
/* Errors: DV_ERR_CORRUPT when the signature does not verify. */
dv_must dv_result dv_ed25519_verify(const uint8_t public_key[DV_ED25519_PUBLIC_LEN],
                                    dv_slice message,
                                    const uint8_t signature[DV_ED25519_SIGNATURE_LEN]);
