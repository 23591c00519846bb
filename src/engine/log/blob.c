/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/blob.h"

#include "base/codec.h"
#include "crypto/aead.h"
#include "crypto/random.h"

#include <zstd.h>

enum { LEVEL = 1 /* of zstd: collecting is one thread */, MAGIC_LEN = 8 };
static const char magic[MAGIC_LEN] = "DVBLOB1";
static const uint8_t nonce[DV_AEAD_NONCE_LEN]; /* a key seals one text */

static void bind_key(const uint8_t key[DV_BLOB_KEY_LEN], uint8_t out[DV_SHA256_LEN])
{
    dv_sha256(DV_LIT("dvara blob key 1"), dv_slice_of(key, DV_BLOB_KEY_LEN), (dv_slice){NULL, 0},
              out);
}

static dv_slice magic_bytes(void)
{
    return dv_slice_of(magic, MAGIC_LEN);
}

/* Compresses behind the head and seals in place. */
static dv_result seal(const uint8_t key[DV_BLOB_KEY_LEN], dv_slice content, uint8_t *at,
                      size_t room, size_t *ret_len)
{
    dv_auto(aead) dv_aead *aead = NULL;
    size_t len = ZSTD_compress(at, room - DV_AEAD_TAG_LEN, content.ptr, content.len, LEVEL);
    if (ZSTD_isError(len)) {
        return DV_ERR_NO_MEMORY; /* there is room for anything */
    }
    DV_TRY(dv_aead_new(key, &aead));
    DV_TRY(dv_aead_seal(aead, nonce, magic_bytes(), dv_slice_of(at, len), at));
    *ret_len = len + DV_AEAD_TAG_LEN;
    return DV_OK;
}

dv_result dv_blob_make(dv_slice content, dv_buf *out, dv_blob_ref *ret_ref)
{
    dv_blob_ref ref = {.size = (uint32_t)content.len};
    size_t len = 0;
    if (content.len == 0 || content.len > DV_LIMIT_BLOB) {
        return content.len == 0 ? DV_ERR_INVALID : DV_ERR_TOO_LARGE;
    }
    size_t room = ZSTD_compressBound(content.len) + DV_AEAD_TAG_LEN;
    DV_TRY(dv_buf_reserve(out, DV_BLOB_HEAD_LEN + room));
    uint8_t *at = out->ptr + out->len;
    dv_random(ref.key, sizeof ref.key);
    memcpy(at, magic, MAGIC_LEN);
    bind_key(ref.key, at + MAGIC_LEN);
    DV_TRY(seal(ref.key, content, at + DV_BLOB_HEAD_LEN, room, &len));
    ref.stored = (uint32_t)(DV_BLOB_HEAD_LEN + len);
    dv_sha256(dv_slice_of(at, ref.stored), (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, ref.sha256);
    out->len += ref.stored;
    *ret_ref = ref;
    return DV_OK;
}

bool dv_blob_fits(const dv_blob_ref *ref, dv_slice stored)
{
    uint8_t hash[DV_SHA256_LEN];
    if (stored.len != ref->stored) {
        return false;
    }
    dv_sha256(stored, (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, hash);
    return memcmp(hash, ref->sha256, sizeof hash) == 0;
}

static bool has_head(const dv_blob_ref *ref, dv_slice stored)
{
    uint8_t bound[DV_SHA256_LEN];
    bind_key(ref->key, bound);
    return stored.len > (size_t)DV_BLOB_HEAD_LEN + DV_AEAD_TAG_LEN &&
           memcmp(stored.ptr, magic, MAGIC_LEN) == 0 &&
           memcmp(stored.ptr + MAGIC_LEN, bound, sizeof bound) == 0;
}

dv_result dv_blob_open(const dv_blob_ref *ref, dv_slice stored, dv_buf *out)
{
    dv_auto(aead) dv_aead *aead = NULL;
    dv_auto(secret_buf) dv_buf packed = dv_buf_init(DV_BLOB_STORED_MAX);
    if (!dv_blob_fits(ref, stored) || !has_head(ref, stored) || ref->size > DV_LIMIT_BLOB) {
        return DV_ERR_CORRUPT;
    }
    dv_slice sealed = dv_slice_sub(stored, DV_BLOB_HEAD_LEN, stored.len);
    DV_TRY(dv_buf_reserve(&packed, sealed.len));
    DV_TRY(dv_buf_reserve(out, ref->size));
    DV_TRY(dv_aead_new(ref->key, &aead));
    DV_TRY(dv_aead_open(aead, nonce, magic_bytes(), sealed, packed.ptr));
    packed.len = sealed.len - DV_AEAD_TAG_LEN;
    /* A writer that was taken over may claim what it likes: no more room than that is given. */
    size_t len = ZSTD_decompress(out->ptr + out->len, ref->size, packed.ptr, packed.len);
    if (ZSTD_isError(len) || len != ref->size) {
        return DV_ERR_CORRUPT;
    }
    out->len += len;
    return DV_OK;
}

dv_result dv_blob_ref_write(const dv_blob_ref *ref, const char *field, dv_buf *out)
{
    DV_TRY(dv_buf_append_printf(
        out, "\"blob\":{\"field\":\"%s\",\"size\":%u,\"stored\":%u,\"sha256\":\"", field, ref->size,
        ref->stored));
    DV_TRY(dv_hex_encode(dv_slice_of(ref->sha256, sizeof ref->sha256), out));
    DV_TRY(dv_buf_append_str(out, "\",\"key\":\""));
    DV_TRY(dv_base64url_encode(dv_slice_of(ref->key, sizeof ref->key), out));
    return dv_buf_append_str(out, "\"}");
}
