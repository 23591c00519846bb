/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/ed25519.h"

#include <openssl/evp.h>

dv_result dv_ed25519_public(const uint8_t seed[DV_ED25519_SEED_LEN],
                            uint8_t ret_public[DV_ED25519_PUBLIC_LEN])
{
    size_t len = DV_ED25519_PUBLIC_LEN;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, DV_ED25519_SEED_LEN);
    bool ok = key != NULL && EVP_PKEY_get_raw_public_key(key, ret_public, &len) == 1;
    EVP_PKEY_free(key);
    return ok ? DV_OK : DV_ERR_INTERNAL;
}

dv_result dv_ed25519_sign(const uint8_t seed[DV_ED25519_SEED_LEN], dv_slice message,
                          uint8_t ret_signature[DV_ED25519_SIGNATURE_LEN])
{
    size_t len = DV_ED25519_SIGNATURE_LEN;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, DV_ED25519_SEED_LEN);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = key != NULL && context != NULL &&
              EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestSign(context, ret_signature, &len, message.ptr, message.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return ok ? DV_OK : DV_ERR_INTERNAL;
}

dv_result dv_ed25519_verify(const uint8_t public_key[DV_ED25519_PUBLIC_LEN], dv_slice message,
                            const uint8_t signature[DV_ED25519_SIGNATURE_LEN])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, DV_ED25519_PUBLIC_LEN);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = key != NULL && context != NULL &&
              EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(context, signature, DV_ED25519_SIGNATURE_LEN, message.ptr,
                               message.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return ok ? DV_OK : DV_ERR_CORRUPT;
}
