/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

enum { DV_SHA256_LEN = 32, DV_HMAC_KEY_LEN = 32 };

/* SHA-256 (FIPS 180-4) of up to three pieces put behind each other; empty ones are allowed. Never
 * fails: a failing provider ends the process. */
void dv_sha256(dv_slice a, dv_slice b, dv_slice c, uint8_t out[DV_SHA256_LEN]);

/* The same of bytes that come piece by piece. */
typedef struct dv_sha256_stream dv_sha256_stream;
dv_must dv_result dv_sha256_stream_new(dv_sha256_stream **ret_stream);
void dv_sha256_stream_free(dv_sha256_stream *stream);
void dv_sha256_stream_add(dv_sha256_stream *stream, dv_slice bytes);
/* The hash of what was added; the stream then begins anew. */
void dv_sha256_stream_end(dv_sha256_stream *stream, uint8_t out[DV_SHA256_LEN]);

/* HMAC-SHA-256 (RFC 2104) prepared once, for the request path: no allocation for each message.
 * Not for two threads at once. */
typedef struct dv_hmac dv_hmac;

dv_must dv_result dv_hmac_new(const uint8_t key[DV_HMAC_KEY_LEN], dv_hmac **ret_hmac);
void dv_hmac_free(dv_hmac *hmac);
DV_DEFINE_AUTO_PTR(hmac, dv_hmac, dv_hmac_free)
void dv_hmac_sign(dv_hmac *hmac, dv_slice message, uint8_t out[DV_SHA256_LEN]);

/* HMAC-SHA-256 (RFC 2104) once, with a key of any length; it is for messages to other systems,
 * which choose their keys. */
void dv_hmac_sha256(dv_slice key, dv_slice message, uint8_t out[DV_SHA256_LEN]);

/* HKDF-SHA-256 (RFC 5869): one key from another, told apart by its purpose ("dvara placeholder
 * v1"). */
dv_must dv_result dv_hkdf(dv_slice key, dv_slice salt, const char *purpose, uint8_t *out,
                          size_t out_len);
/* The same for formats of others, whose purpose may be any bytes (at most 1024). */
dv_must dv_result dv_hkdf_info(dv_slice key, dv_slice salt, dv_slice info, uint8_t *out,
                               size_t out_len);
