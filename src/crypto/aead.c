/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead.h"

#include "crypto/random.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>

/* Records are sealed for every request. libsodium's code for the processor's AES instructions takes
 * a fifth of the cache lines of OpenSSL's way there, which a worker that has slept finds in no
 * cache; OpenSSL seals where there are no such instructions, and opens. */
struct dv_aead {
    crypto_aead_aes256gcm_state expanded; /* first: it wants an alignment of its own */
    EVP_CIPHER_CTX *seal;                 /* NULL: the expanded key is used */
    EVP_CIPHER_CTX *open;
};

/* Keeps a context with the key expanded; each message only sets a nonce. */
static EVP_CIPHER_CTX *context_new(const uint8_t *key, int encrypt)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context != NULL &&
        EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, NULL, encrypt) != 1) {
        EVP_CIPHER_CTX_free(context);
        return NULL;
    }
    return context;
}

static dv_result prepare(dv_aead *aead, const uint8_t *key, bool portable)
{
    if (portable || sodium_init() < 0 || crypto_aead_aes256gcm_is_available() != 1) {
        aead->seal = context_new(key, 1);
        DV_TRY(aead->seal == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    } else if (crypto_aead_aes256gcm_beforenm(&aead->expanded, key) != 0) {
        return DV_ERR_INTERNAL;
    }
    aead->open = context_new(key, 0);
    return aead->open == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result make(const uint8_t *key, bool portable, dv_aead **ret_aead)
{
    dv_aead *aead = aligned_alloc(_Alignof(dv_aead), sizeof(*aead));
    if (aead == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memset(aead, 0, sizeof(*aead));
    dv_result result = prepare(aead, key, portable);
    if (result != DV_OK) {
        dv_aead_free(aead);
        return result;
    }
    *ret_aead = aead;
    return DV_OK;
}

dv_result dv_aead_new(const uint8_t key[DV_AEAD_KEY_LEN], dv_aead **ret_aead)
{
    return make(key, false, ret_aead);
}

dv_result dv_aead_new_portable(const uint8_t key[DV_AEAD_KEY_LEN], dv_aead **ret_aead)
{
    return make(key, true, ret_aead);
}

void dv_aead_free(dv_aead *aead)
{
    if (aead != NULL) {
        EVP_CIPHER_CTX_free(aead->seal); /* OpenSSL cleanses the expanded key */
        EVP_CIPHER_CTX_free(aead->open);
        dv_wipe(&aead->expanded, sizeof(aead->expanded));
        free(aead);
    }
}

/* EVP treats a NULL input as "finish", so an empty piece is left out. */
static bool update(EVP_CIPHER_CTX *context, dv_slice in, uint8_t *out)
{
    int written;
    return in.len == 0 || (in.len <= INT_MAX &&
                           EVP_CipherUpdate(context, out, &written, in.ptr, (int)in.len) == 1);
}

/* The same as EVP_CTRL_AEAD_GET_TAG, whose translation costs as much again. */
static bool get_tag(EVP_CIPHER_CTX *context, uint8_t tag[DV_AEAD_TAG_LEN])
{
    OSSL_PARAM wanted[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, DV_AEAD_TAG_LEN),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CIPHER_CTX_get_params(context, wanted) == 1;
}

static bool seal_with_openssl(EVP_CIPHER_CTX *context, const uint8_t *nonce, dv_slice associated,
                              dv_slice plain, uint8_t *out)
{
    int written;
    return EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, 1) == 1 &&
           update(context, associated, NULL) && update(context, plain, out) &&
           EVP_CipherFinal_ex(context, out + plain.len, &written) == 1 &&
           get_tag(context, out + plain.len);
}

dv_result dv_aead_seal(dv_aead *aead, const uint8_t nonce[DV_AEAD_NONCE_LEN], dv_slice associated,
                       dv_slice plain, uint8_t *out)
{
    bool ok = aead->seal != NULL
                  ? seal_with_openssl(aead->seal, nonce, associated, plain, out)
                  : crypto_aead_aes256gcm_encrypt_detached_afternm(
                        out, out + plain.len, NULL, plain.ptr, plain.len, associated.ptr,
                        associated.len, NULL, nonce, &aead->expanded) == 0;
    return ok ? DV_OK : DV_ERR_INTERNAL;
}

dv_result dv_aead_open(dv_aead *aead, const uint8_t nonce[DV_AEAD_NONCE_LEN], dv_slice associated,
                       dv_slice sealed, uint8_t *out)
{
    uint8_t tag[DV_AEAD_TAG_LEN], none[DV_AEAD_TAG_LEN];
    int written;
    if (sealed.len < sizeof(tag)) {
        return DV_ERR_CORRUPT;
    }
    dv_slice hidden = dv_slice_sub(sealed, 0, sealed.len - sizeof(tag));
    memcpy(tag, sealed.ptr + hidden.len, sizeof(tag)); /* out may overlap */
    bool ok = EVP_CipherInit_ex(aead->open, NULL, NULL, NULL, nonce, 0) == 1 &&
              update(aead->open, associated, NULL) && update(aead->open, hidden, out) &&
              EVP_CIPHER_CTX_ctrl(aead->open, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1 &&
              EVP_CipherFinal_ex(aead->open, none, &written) == 1;
    if (!ok) {
        dv_wipe(out, hidden.len);
    }
    return ok ? DV_OK : DV_ERR_CORRUPT;
}

_Static_assert(DV_BOX_PUBLIC_LEN == crypto_box_PUBLICKEYBYTES, "box public key");
_Static_assert(DV_BOX_SECRET_LEN == crypto_box_SECRETKEYBYTES, "box secret key");
_Static_assert(DV_BOX_OVERHEAD == crypto_box_SEALBYTES, "box overhead");

void dv_box_keypair(uint8_t ret_public[DV_BOX_PUBLIC_LEN], uint8_t ret_secret[DV_BOX_SECRET_LEN])
{
    if (sodium_init() < 0 || crypto_box_keypair(ret_public, ret_secret) != 0) {
        abort(); /* no randomness: nothing is safe */
    }
}

dv_result dv_box_seal(const uint8_t public_key[DV_BOX_PUBLIC_LEN], dv_slice plain, uint8_t *out)
{
    if (sodium_init() < 0 || crypto_box_seal(out, plain.ptr, plain.len, public_key) != 0) {
        return DV_ERR_INVALID;
    }
    return DV_OK;
}

dv_result dv_box_open(const uint8_t public_key[DV_BOX_PUBLIC_LEN],
                      const uint8_t secret_key[DV_BOX_SECRET_LEN], dv_slice sealed, uint8_t *out)
{
    if (sodium_init() < 0 || sealed.len < DV_BOX_OVERHEAD ||
        crypto_box_seal_open(out, sealed.ptr, sealed.len, public_key, secret_key) != 0) {
        return DV_ERR_CORRUPT;
    }
    return DV_OK;
}
