/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A large field of an event, kept out of line: its event holds a readable beginning and a reference
 * at unmapped.dvara.blob,
 *
 *   {"field":"raw_data","size":<bytes>,"stored":<bytes>,"sha256":"<hex>","key":"<base64url>"}
 *
 * and the field's bytes lie beside the leaves (blob_store.h) in this form:
 *
 *   "DVBLOB1\0" | SHA-256("dvara blob key 1" | key) | AES-256-GCM(key, zstd(bytes))
 *
 * The key is random and of this blob alone, so a nonce of zeros is used once. sha256 is of the form
 * as it is stored: whoever holds the leaf and the blob finds any changed byte, without a key. It
 * confirms no guess at the content: without the key nobody can make the form again. The second part
 * binds the key, for AES-GCM alone opens under several keys to several texts. dvara-logd seals the
 * key in the leaf under those of the people that the event is of: with theirs, it is gone. */

#include "base/buf.h"
#include "base/caps.h"
#include "crypto/hash.h"

enum {
    DV_BLOB_KEY_LEN = 32,
    DV_BLOB_HEAD_LEN = 8 + DV_SHA256_LEN,
    DV_BLOB_STORED_MAX = DV_LIMIT_BLOB + (8 << 10), /* what zstd can not shorten grows a little */
    DV_BLOB_KEY_TEXT = 43,                          /* characters of a key in base64url */
};

typedef struct dv_blob_ref {
    uint32_t size;   /* bytes of the field; at most DV_LIMIT_BLOB */
    uint32_t stored; /* bytes as they lie beside the leaves */
    uint8_t sha256[DV_SHA256_LEN];
    uint8_t key[DV_BLOB_KEY_LEN];
} dv_blob_ref;

/* Appends the stored form of a field of 1 to DV_LIMIT_BLOB bytes, under a new key. */
dv_must dv_result dv_blob_make(dv_slice content, dv_buf *out, dv_blob_ref *ret_ref);

/* Appends the field's bytes. Errors: DV_ERR_CORRUPT (it is not what the reference says). */
dv_must dv_result dv_blob_open(const dv_blob_ref *ref, dv_slice stored, dv_buf *out);

/* Whether these are the bytes that the reference is to. */
bool dv_blob_fits(const dv_blob_ref *ref, dv_slice stored);

/* Appends the member "blob":{...}, which stands in unmapped.dvara. */
dv_must dv_result dv_blob_ref_write(const dv_blob_ref *ref, const char *field, dv_buf *out);
