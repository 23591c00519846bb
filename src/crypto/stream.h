/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Streams of any size in constant memory, as Tink's AES256_GCM_HKDF_1MB has them (AES-GCM-HKDF
 * streaming AEAD, https://developers.google.com/tink/streaming-aead/aes_gcm_hkdf_streaming):
 *
 *   header    1 byte its own length (40), 32 bytes salt, 7 bytes nonce prefix
 *   segments  AES-256-GCM of up to 1 MiB each, tag included; the first one is shorter by the header
 *
 * The segments' key is HKDF-SHA-256 of the key, with the salt, for the associated data. A segment's
 * nonce is the prefix, its number (32 bits, big endian) and 1 for the last one, otherwise 0. So
 * nothing opens that was changed, left out, repeated, put elsewhere or cut short. */

#include "base/result.h"
#include "base/slice.h"

enum {
    DV_STREAM_KEY_LEN = 32,
    DV_STREAM_HEAD_LEN = 40,
    DV_STREAM_SEGMENT = 1 << 20, /* sealed */
    DV_STREAM_ASSOCIATED_MAX = 1024,
};

/* Where bytes come from: get fills up to `room`; 0: the end. */
typedef struct dv_stream_source {
    dv_result (*get)(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error);
    void *data;
} dv_stream_source;

/* Where they go, a segment at a time. */
typedef struct dv_stream_sink {
    dv_result (*put)(void *data, dv_slice bytes, dv_error *error);
    void *data;
} dv_stream_sink;

/* Seals all that the source gives. A key may seal any number of streams. Errors: DV_ERR_TOO_LARGE
 * (associated data; 2^32 segments), DV_ERR_NO_MEMORY, those of source and sink. */
dv_must dv_result dv_stream_seal(const uint8_t key[DV_STREAM_KEY_LEN], dv_slice associated,
                                 const dv_stream_source *source, const dv_stream_sink *sink,
                                 dv_error *error);

/* Opens it. The sink is only given segments that proved to be genuine, in their order; that nothing
 * is missing at the end is known when this returns DV_OK, so what the sink got before is not to be
 * used after an error. Errors: DV_ERR_CORRUPT (which also is another key or other associated data),
 * those of source and sink. */
dv_must dv_result dv_stream_open(const uint8_t key[DV_STREAM_KEY_LEN], dv_slice associated,
                                 const dv_stream_source *source, const dv_stream_sink *sink,
                                 dv_error *error);
