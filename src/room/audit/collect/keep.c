/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/keep.h"

#include "base/codec.h"
#include "crypto/hash.h"

enum { BEHIND = 256 /* bytes that size, hash and closing brackets take */, GROUP = 3 };

static bool put_base64(dv_record_writer *writer, dv_slice raw, size_t room)
{
    size_t fits = DV_MIN(raw.len, (room - 4) / 4 * GROUP);
    dv_auto(buf) dv_buf text = dv_buf_init(room + 8);
    if (dv_base64_encode(dv_slice_sub(raw, 0, fits), &text) != DV_OK) {
        fits = 0;
        dv_buf_clear(&text);
    }
    dv_record_put(writer, "\"", 1);
    dv_record_put(writer, (const char *)text.ptr, text.len);
    dv_record_put(writer, "\"", 1);
    return fits == raw.len;
}

static void put_hash(dv_record_writer *writer, const dv_line *line)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_auto(buf) dv_buf text = dv_buf_init(2 * DV_SHA256_LEN + 1);
    if (line->raw_size > line->raw.len) {
        memcpy(digest, line->raw_hash, sizeof digest);
    } else {
        dv_sha256(line->raw, (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, digest);
    }
    if (dv_hex_encode(dv_slice_of(digest, sizeof digest), &text) != DV_OK) {
        writer->full = true;
        return;
    }
    dv_record_name(writer,
                   "\"raw_data_hash\":{\"algorithm_id\":3,\"algorithm\":\"SHA-256\",\"value\":");
    dv_record_put_text(writer, dv_buf_slice(&text), 2 * DV_SHA256_LEN);
    dv_record_put(writer, "}", 1);
}

bool dv_keep_raw(dv_record_writer *writer, const dv_line *line, bool base64)
{
    size_t left = (size_t)(writer->end - writer->at);
    if (left <= 2 * (size_t)BEHIND) {
        writer->full = true;
        return false;
    }
    size_t room = left - BEHIND;
    room = line->blob == NULL ? room : DV_MIN(room, (size_t)DV_KEEP_BEGINNING);
    bool cut_before = writer->cut;
    dv_record_name(writer, "\"raw_data\":");
    bool whole = base64 ? put_base64(writer, line->raw, room)
                        : dv_record_put_text(writer, line->raw, room) == line->raw.len;
    writer->cut = cut_before;
    whole = whole && line->raw_size <= line->raw.len;
    if (!whole) {
        dv_record_name(writer, "\"raw_data_size\":");
        dv_record_put_int(writer, (int64_t)line->raw_size);
        put_hash(writer, line);
    }
    return whole;
}
