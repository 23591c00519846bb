/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"

#include "crypto/random.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/sha.h>

void dv_sha256(dv_slice a, dv_slice b, dv_slice c, uint8_t out[DV_SHA256_LEN])
{
    /* The low-level calls: EVP's set-up costs more than hashing a tree node. They are the same code
     * of the same library and can't fail. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, a.ptr, a.len);
    SHA256_Update(&context, b.ptr, b.len);
    SHA256_Update(&context, c.ptr, c.len);
    SHA256_Final(out, &context);
#pragma GCC diagnostic pop
}

/* RFC 2104 with both padded keys hashed ahead, so that a short message costs two compressions and
 * no look-up of providers. */
struct dv_hmac {
    SHA256_CTX inner;
    SHA256_CTX outer;
};

enum { HMAC_BLOCK = 64 };

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct dv_sha256_stream {
    SHA256_CTX context;
};

dv_result dv_sha256_stream_new(dv_sha256_stream **ret_stream)
{
    dv_sha256_stream *stream = malloc(sizeof(*stream));
    if (stream == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    SHA256_Init(&stream->context);
    *ret_stream = stream;
    return DV_OK;
}

void dv_sha256_stream_free(dv_sha256_stream *stream)
{
    free(stream);
}

void dv_sha256_stream_add(dv_sha256_stream *stream, dv_slice bytes)
{
    SHA256_Update(&stream->context, bytes.ptr, bytes.len);
}

void dv_sha256_stream_end(dv_sha256_stream *stream, uint8_t out[DV_SHA256_LEN])
{
    SHA256_Final(out, &stream->context);
    SHA256_Init(&stream->context);
}

static void absorb_padded_key(SHA256_CTX *context, const uint8_t *key, uint8_t pad)
{
    uint8_t block[HMAC_BLOCK];
    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = (uint8_t)((i < DV_HMAC_KEY_LEN ? key[i] : 0) ^ pad);
    }
    SHA256_Init(context);
    SHA256_Update(context, block, sizeof(block));
    dv_wipe(block, sizeof(block));
}

dv_result dv_hmac_new(const uint8_t key[DV_HMAC_KEY_LEN], dv_hmac **ret_hmac)
{
    dv_hmac *hmac = malloc(sizeof(*hmac));
    if (hmac == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    absorb_padded_key(&hmac->inner, key, 0x36);
    absorb_padded_key(&hmac->outer, key, 0x5c);
    *ret_hmac = hmac;
    return DV_OK;
}

void dv_hmac_free(dv_hmac *hmac)
{
    if (hmac != NULL) {
        dv_wipe(hmac, sizeof(*hmac));
        free(hmac);
    }
}

void dv_hmac_sign(dv_hmac *hmac, dv_slice message, uint8_t out[DV_SHA256_LEN])
{
    uint8_t digest[DV_SHA256_LEN];
    SHA256_CTX context = hmac->inner;
    SHA256_Update(&context, message.ptr, message.len);
    SHA256_Final(digest, &context);
    context = hmac->outer;
    SHA256_Update(&context, digest, sizeof(digest));
    SHA256_Final(out, &context);
    dv_wipe(&context, sizeof(context));
}

#pragma GCC diagnostic pop

void dv_hmac_sha256(dv_slice key, dv_slice message, uint8_t out[DV_SHA256_LEN])
{
    uint8_t block[HMAC_BLOCK] = {0}, pad[HMAC_BLOCK], digest[DV_SHA256_LEN];
    const dv_slice none = {0};
    if (key.len > sizeof(block)) {
        dv_sha256(key, none, none, block);
    } else if (key.len > 0) {
        memcpy(block, key.ptr, key.len);
    }
    for (size_t i = 0; i < sizeof(pad); i++) {
        pad[i] = block[i] ^ 0x36;
    }
    dv_sha256(dv_slice_of(pad, sizeof(pad)), message, none, digest);
    for (size_t i = 0; i < sizeof(pad); i++) {
        pad[i] = block[i] ^ 0x5c;
    }
    dv_sha256(dv_slice_of(pad, sizeof(pad)), dv_slice_of(digest, sizeof(digest)), none, out);
    dv_wipe(block, sizeof(block));
    dv_wipe(pad, sizeof(pad));
}

/* OSSL_PARAM wants pointers it may not write through; these are only read. */
static OSSL_PARAM octets(const char *name, dv_slice bytes)
{
    static uint8_t nothing;
    void *ptr = bytes.len == 0 ? &nothing : (void *)(uintptr_t)bytes.ptr;
    return OSSL_PARAM_construct_octet_string(name, ptr, bytes.len);
}

dv_result dv_hkdf(dv_slice key, dv_slice salt, const char *purpose, uint8_t *out, size_t out_len)
{
    return dv_hkdf_info(key, salt, dv_slice_str(purpose), out, out_len);
}

dv_result dv_hkdf_info(dv_slice key, dv_slice salt, dv_slice info, uint8_t *out, size_t out_len)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        octets(OSSL_KDF_PARAM_KEY, key),
        octets(OSSL_KDF_PARAM_SALT, salt),
        octets(OSSL_KDF_PARAM_INFO, info),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    int ok = context != NULL && EVP_KDF_derive(context, out, out_len, params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    return ok ? DV_OK : DV_ERR_INVALID;
}
