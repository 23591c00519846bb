/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/segment_format.h"

#include "base/codec.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

static const uint8_t magic[8] = {'D', 'V', 'S', 'P', 'O', 'O', 'L', '1'};

enum header_offset {
    AT_ID = 8,
    AT_CREATED = 24,
    AT_SOURCE = 32,
    AT_LOG_KEY = 64,
    AT_SEALED_KEY = 96,
    AT_CRC = DV_SEGMENT_HEADER_LEN - 4,
};
_Static_assert(AT_SEALED_KEY + DV_SEALED_KEY_LEN <= AT_CRC, "the header holds the key");

void dv_segment_header_encode(const dv_segment_header *header, uint8_t out[DV_SEGMENT_HEADER_LEN])
{
    memset(out, 0, DV_SEGMENT_HEADER_LEN);
    memcpy(out, magic, sizeof(magic));
    memcpy(out + AT_ID, header->info.id.bytes, sizeof(header->info.id.bytes));
    dv_put_u64(out + AT_CREATED, (uint64_t)header->info.created);
    memcpy(out + AT_SOURCE, header->info.source, strlen(header->info.source));
    memcpy(out + AT_LOG_KEY, header->log_key, sizeof(header->log_key));
    memcpy(out + AT_SEALED_KEY, header->sealed_key, sizeof(header->sealed_key));
    dv_put_u32(out + AT_CRC, dv_crc32c(0, dv_slice_of(out, AT_CRC)));
}

bool dv_segment_source_is_good(const char *source)
{
    size_t len = strnlen(source, DV_SEGMENT_SOURCE_MAX + 1);
    return len > 0 && len <= DV_SEGMENT_SOURCE_MAX &&
           strspn(source, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

dv_result dv_segment_header_decode(const uint8_t in[DV_SEGMENT_HEADER_LEN],
                                   dv_segment_header *ret_header, dv_error *error)
{
    dv_segment_header header = {.info.created = (dv_time)dv_get_u64(in + AT_CREATED)};
    if (memcmp(in, magic, sizeof(magic)) != 0) {
        return dv_error_set(error, DV_ERR_CORRUPT, "this is no spool segment");
    }
    if (dv_get_u32(in + AT_CRC) != dv_crc32c(0, dv_slice_of(in, AT_CRC))) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the segment's header is damaged");
    }
    if (memchr(in + AT_SOURCE, '\0', DV_SEGMENT_SOURCE_MAX + 1) == NULL ||
        !dv_segment_source_is_good((const char *)in + AT_SOURCE)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the segment's source is no name");
    }
    memcpy(header.info.id.bytes, in + AT_ID, sizeof(header.info.id.bytes));
    memcpy(header.info.source, in + AT_SOURCE, DV_SEGMENT_SOURCE_MAX);
    memcpy(header.log_key, in + AT_LOG_KEY, sizeof(header.log_key));
    memcpy(header.sealed_key, in + AT_SEALED_KEY, sizeof(header.sealed_key));
    *ret_header = header;
    return DV_OK;
}

enum frame_offset { AT_LENGTH = 0, AT_HEADER_CRC = 4, AT_SEQUENCE = 8 };

static void sequence_nonce(uint64_t sequence, uint8_t nonce[DV_AEAD_NONCE_LEN])
{
    memset(nonce, 0, DV_AEAD_NONCE_LEN);
    dv_put_u64(nonce, sequence);
}

/* Over length and sequence: a wrong length must not look like a record that is not there yet. What
 * is sealed has the seal's own tag. */
static uint32_t header_crc(const uint8_t length[4], const uint8_t sequence[8])
{
    return dv_crc32c(dv_crc32c(0, dv_slice_of(length, 4)), dv_slice_of(sequence, 8));
}

dv_result dv_frame_seal(dv_aead *aead, const dv_uuid *segment, uint64_t sequence, dv_slice text,
                        uint8_t *out, size_t *ret_len)
{
    uint8_t nonce[DV_AEAD_NONCE_LEN];
    if (text.len > DV_LIMIT_RECORD) {
        return DV_ERR_TOO_LARGE;
    }
    sequence_nonce(sequence, nonce);
    DV_TRY(dv_aead_seal(aead, nonce, dv_slice_of(segment->bytes, sizeof(segment->bytes)), text,
                        out + DV_SEGMENT_RECORD_HEADER_LEN));
    size_t len = DV_SEGMENT_RECORD_HEADER_LEN + text.len + DV_AEAD_TAG_LEN;
    uint8_t length[4];
    dv_put_u32(length, (uint32_t)(text.len + DV_AEAD_TAG_LEN));
    dv_put_u64(out + AT_SEQUENCE, sequence);
    dv_put_u32(out + AT_HEADER_CRC, header_crc(length, out + AT_SEQUENCE));
    /* The reader looks at the length first: everything else must be there before it. */
    atomic_thread_fence(memory_order_release);
    memcpy(out + AT_LENGTH, length, sizeof(length));
    *ret_len = len;
    return DV_OK;
}

bool dv_frame_begins(const uint8_t header[DV_SEGMENT_RECORD_HEADER_LEN])
{
    return dv_get_u32(header + AT_LENGTH) != 0;
}

dv_result dv_frame_length(const uint8_t header[DV_SEGMENT_RECORD_HEADER_LEN], uint64_t sequence,
                          size_t *ret_len)
{
    uint32_t sealed_len = dv_get_u32(header + AT_LENGTH);
    if (dv_get_u32(header + AT_HEADER_CRC) !=
            header_crc(header + AT_LENGTH, header + AT_SEQUENCE) ||
        dv_get_u64(header + AT_SEQUENCE) != sequence || sealed_len < DV_AEAD_TAG_LEN ||
        sealed_len > DV_SEALED_MAX) {
        return DV_ERR_CORRUPT;
    }
    *ret_len = DV_SEGMENT_RECORD_HEADER_LEN + sealed_len;
    return DV_OK;
}

dv_result dv_frame_open(dv_aead *aead, const dv_uuid *segment, uint64_t sequence, dv_slice frame,
                        uint8_t *out, size_t *ret_len)
{
    uint8_t nonce[DV_AEAD_NONCE_LEN];
    dv_slice sealed = dv_slice_sub(frame, DV_SEGMENT_RECORD_HEADER_LEN, frame.len);
    sequence_nonce(sequence, nonce);
    DV_TRY(dv_aead_open(aead, nonce, dv_slice_of(segment->bytes, sizeof(segment->bytes)), sealed,
                        out));
    *ret_len = sealed.len - DV_AEAD_TAG_LEN;
    return DV_OK;
}

void dv_segment_blob_name(const dv_uuid *segment, uint64_t sequence,
                          char out[DV_SEGMENT_BLOB_NAME_MAX])
{
    char id[DV_UUID_TEXT_LEN + 1];
    dv_uuid_format(segment, id);
    (void)snprintf(out, DV_SEGMENT_BLOB_NAME_MAX, "%s.%" PRIu64 DV_SEGMENT_BLOB_SUFFIX, id,
                   sequence);
}
