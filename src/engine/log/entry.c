/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/entry.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/json.h"
#include "core/event_code.h"

#include <inttypes.h>

static const char front[] = "{\"metadata\":{";
enum { FRONT_LEN = sizeof(front) - 1, FOREIGN_MAX = 8 << 10 };

/* Without printf, for every record passes here. */
static dv_result append_stamp(const dv_entry_stamp *stamp, dv_buf *out)
{
    char segment[DV_UUID_TEXT_LEN + 1];
    dv_uuid_format(&stamp->segment, segment);
    DV_TRY(dv_buf_append_str(out, front));
    DV_TRY(dv_buf_append_str(out, "\"log_source\":\""));
    DV_TRY(dv_buf_append_str(out, stamp->source));
    DV_TRY(dv_buf_append_byte(out, '/'));
    DV_TRY(dv_buf_append(out, dv_slice_of(segment, DV_UUID_TEXT_LEN)));
    DV_TRY(dv_buf_append_str(out, "\",\"sequence\":"));
    DV_TRY(dv_buf_append_u64(out, stamp->sequence));
    DV_TRY(dv_buf_append_str(out, ",\"logged_time\":"));
    return dv_buf_append_u64(out, (uint64_t)(stamp->logged / DV_MILLISECOND));
}

/* A code is bytes, of which text would lose some. */
static dv_result append_raw(dv_slice record, dv_buf *out)
{
    dv_slice kept = dv_slice_sub(record, 0, FOREIGN_MAX);
    if (!dv_event_is_code(record)) {
        return dv_buf_append_json_string(out, kept);
    }
    DV_TRY(dv_buf_append_byte(out, '"'));
    DV_TRY(dv_base64_encode(kept, out));
    return dv_buf_append_byte(out, '"');
}

/* OCSF's base event (class 0) around a record that is no event: only a writer that does not use
 * core/event.h can cause it. At most FOREIGN_MAX bytes are kept, so that it fits whatever has to be
 * escaped. */
dv_result dv_entry_stamp_foreign(const dv_entry_stamp *stamp, dv_slice record, dv_buf *out)
{
    const char *code = dv_event_is_code(record) ? "foreign.code" : "foreign";
    DV_TRY(append_stamp(stamp, out));
    DV_TRY(dv_buf_append_printf(
        out,
        ",\"version\":\"1.8.0\",\"product\":{\"name\":\"Dvara\"},\"event_code\":\"%s\"},"
        "\"time\":%" PRId64 ",\"class_uid\":0,\"category_uid\":0,\"type_uid\":0,\"activity_id\":0,"
        "\"severity_id\":0,\"raw_data_size\":%zu,\"raw_data\":",
        code, stamp->logged / DV_MILLISECOND, record.len));
    DV_TRY(append_raw(record, out));
    return dv_buf_append_byte(out, '}');
}

dv_result dv_entry_stamp_record(const dv_entry_stamp *stamp, dv_slice record, dv_buf *out)
{
    if (!dv_slice_starts_with(record, dv_slice_of(front, FRONT_LEN)) || record.len == FRONT_LEN ||
        record.ptr[FRONT_LEN] != '"') {
        return dv_entry_stamp_foreign(stamp, record, out);
    }
    DV_TRY(append_stamp(stamp, out));
    DV_TRY(dv_buf_append_byte(out, ','));
    return dv_buf_append(out, dv_slice_sub(record, FRONT_LEN, record.len));
}

/* "name/<uuid>" */
static bool read_source(dv_slice text, dv_uuid *ret_segment)
{
    if (text.len <= DV_UUID_TEXT_LEN + 1) {
        return false;
    }
    dv_slice id = dv_slice_sub(text, text.len - DV_UUID_TEXT_LEN, DV_UUID_TEXT_LEN);
    return text.ptr[text.len - DV_UUID_TEXT_LEN - 1] == '/' &&
           dv_uuid_parse(id, ret_segment) == DV_OK;
}

dv_result dv_entry_check(dv_slice entry, dv_arena *arena, dv_entry_origin *ret_origin,
                         dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX, .refuse_duplicate_keys = true};
    dv_json json;
    dv_slice source;
    int64_t sequence;
    dv_entry_origin origin;
    DV_TRY(dv_json_scan(entry, &limits, arena, &json, error));
    uint32_t metadata = dv_json_member(&json, 0, "metadata");
    uint32_t source_token = metadata == 0 ? 0 : dv_json_member(&json, metadata, "log_source");
    uint32_t sequence_token = metadata == 0 ? 0 : dv_json_member(&json, metadata, "sequence");
    if (source_token == 0 || sequence_token == 0 ||
        dv_json_string(&json, source_token, arena, &source) != DV_OK ||
        dv_json_int(&json, sequence_token, &sequence) != DV_OK || sequence < 0 ||
        !read_source(source, &origin.segment)) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "does not say which writer it came from");
    }
    origin.sequence = (uint64_t)sequence;
    *ret_origin = origin;
    return DV_OK;
}

bool dv_entry_is_own(dv_slice entry)
{
    static const char own[] = "{\"metadata\":{\"log_source\":\"dvara-logd/";
    enum { OWN_LEN = sizeof(own) - 1 };
    dv_uuid segment;
    return dv_slice_starts_with(entry, dv_slice_of(own, OWN_LEN)) &&
           entry.len > OWN_LEN + DV_UUID_TEXT_LEN && entry.ptr[OWN_LEN + DV_UUID_TEXT_LEN] == '"' &&
           dv_uuid_parse(dv_slice_sub(entry, OWN_LEN, DV_UUID_TEXT_LEN), &segment) == DV_OK;
}

/* A text of the metadata: name is with its quotes and the value's first one. */
static dv_slice metadata_text(dv_slice entry, dv_slice name)
{
    enum { LOOK_AT = 1024 }; /* metadata stands in front and is shorter */
    static const dv_slice none = {NULL, 0};
    dv_slice head = dv_slice_sub(entry, 0, LOOK_AT);
    ptrdiff_t at = dv_slice_find(head, name);
    if (at < 0) {
        return none;
    }
    dv_slice rest = dv_slice_sub(head, (size_t)at + name.len, head.len);
    ptrdiff_t quote = dv_slice_find_byte(rest, '"');
    return quote < 0 ? none : dv_slice_sub(rest, 0, (size_t)quote);
}

dv_slice dv_entry_request_id(dv_slice entry)
{
    return metadata_text(entry, DV_LIT("\"correlation_uid\":\""));
}

dv_slice dv_entry_kind(dv_slice entry)
{
    return metadata_text(entry, DV_LIT("\"event_code\":\""));
}

/* The number behind the name, of the entry's front; 0: there is none. */
static int64_t front_number(dv_slice entry, dv_slice name)
{
    ptrdiff_t at = dv_slice_find(dv_slice_sub(entry, 0, 2048), name);
    int64_t number = 0;
    if (at < 0) {
        return 0;
    }
    for (size_t i = (size_t)at + name.len; i < entry.len && number < INT64_MAX / 100; i++) {
        if (entry.ptr[i] < '0' || entry.ptr[i] > '9') {
            break;
        }
        number = number * 10 + (entry.ptr[i] - '0');
    }
    return number;
}

int64_t dv_entry_time(dv_slice entry)
{
    return front_number(entry, DV_LIT("},\"time\":"));
}

int64_t dv_entry_logged(dv_slice entry)
{
    return front_number(entry, DV_LIT("\"logged_time\":"));
}
