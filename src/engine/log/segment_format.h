/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: the bytes of a segment, for its writer and its reader. */

#include "base/caps.h"
#include "crypto/aead.h"
#include "engine/log/segment.h"

enum {
    DV_SEALED_KEY_LEN = DV_AEAD_KEY_LEN + DV_BOX_OVERHEAD,
    DV_SEALED_MAX = DV_LIMIT_RECORD + DV_AEAD_TAG_LEN,
    DV_FRAME_MAX = DV_SEGMENT_RECORD_HEADER_LEN + DV_SEALED_MAX,
};

typedef struct dv_segment_header {
    dv_segment_info info;
    uint8_t log_key[DV_BOX_PUBLIC_LEN];
    uint8_t sealed_key[DV_SEALED_KEY_LEN];
} dv_segment_header;

/* A writer's name: lower-case letters, digits and '-', 1 to DV_SEGMENT_SOURCE_MAX of them. It
 * stands in every entry and in the state file, so it can hold nothing else. At least that many
 * bytes and a NUL are read, or up to the first NUL. */
bool dv_segment_source_is_good(const char *source);

void dv_segment_header_encode(const dv_segment_header *header, uint8_t out[DV_SEGMENT_HEADER_LEN]);
/* Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_segment_header_decode(const uint8_t in[DV_SEGMENT_HEADER_LEN],
                                           dv_segment_header *ret_header, dv_error *error);

/* Seals the text into a whole frame, which may be a shared mapping: its length is written last.
 * On an error what lies in out is no frame. */
dv_must dv_result dv_frame_seal(dv_aead *aead, const dv_uuid *segment, uint64_t sequence,
                                dv_slice text, uint8_t *out, size_t *ret_len);

/* Whether a frame begins here: false where the length is still zero. */
bool dv_frame_begins(const uint8_t header[DV_SEGMENT_RECORD_HEADER_LEN]);
/* Checks a frame's header and returns the length of the whole frame. Errors: DV_ERR_CORRUPT (its
 * CRC, another sequence, an impossible length). */
dv_must dv_result dv_frame_length(const uint8_t header[DV_SEGMENT_RECORD_HEADER_LEN],
                                  uint64_t sequence, size_t *ret_len);
/* Opens the seal of a whole frame whose header was checked; out holds DV_LIMIT_RECORD. */
dv_must dv_result dv_frame_open(dv_aead *aead, const dv_uuid *segment, uint64_t sequence,
                                dv_slice frame, uint8_t *out, size_t *ret_len);
