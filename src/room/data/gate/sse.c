/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/sse.h"

enum { SPARE = 1024 }; /* bytes of each buffer that are kept from event to event */

void dv_sse_init(dv_sse_reader *reader, size_t max)
{
    *reader = (dv_sse_reader){.line = dv_buf_init(max), .data = dv_buf_init(max)};
}

void dv_sse_release(dv_sse_reader *reader)
{
    dv_buf_release(&reader->line);
    dv_buf_release(&reader->data);
}

size_t dv_sse_memory(const dv_sse_reader *reader)
{
    return DV_MIN(reader->line.cap, (size_t)SPARE) + DV_MIN(reader->data.cap, (size_t)SPARE);
}

/* Empties a buffer; room that only a large event needed goes back. */
static void empty(dv_buf *buf)
{
    dv_buf_clear(buf);
    dv_buf_trim(buf, SPARE);
}

/* ---- lines ---- */

static dv_result dispatch(dv_sse_reader *reader, const dv_sse_handler *handler)
{
    dv_result result = DV_OK;
    if (reader->has_data) {
        result = handler->event(handler->context, dv_slice_str(reader->name),
                                dv_buf_slice(&reader->data));
    }
    empty(&reader->data);
    reader->has_data = false;
    reader->name[0] = '\0';
    return result;
}

static bool is_letter(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* A name goes out as it came and nothing searches it: it has to be a word, with fewer digits than a
 * value has. */
static bool is_name(dv_slice text)
{
    size_t letters = 0;
    size_t digits = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        bool letter = is_letter(byte);
        bool digit = byte >= '0' && byte <= '9';
        if (!letter && !digit && byte != '_' && byte != '.' && byte != '-') {
            return false;
        }
        letters += letter ? 1 : 0;
        digits += digit ? 1 : 0;
    }
    return text.len == 0 ||
           (text.len <= DV_SSE_NAME_MAX && letters > 0 && digits <= DV_SSE_NAME_DIGITS);
}

static dv_result set_name(dv_sse_reader *reader, dv_slice value)
{
    if (!is_name(value)) {
        return DV_ERR_INVALID;
    }
    if (value.len > 0) {
        memcpy(reader->name, value.ptr, value.len);
    }
    reader->name[value.len] = '\0';
    return DV_OK;
}

/* One field. `id` and `retry` serve reconnections, which answers of models do not have; they and
 * unknown fields are dropped. */
static dv_result take_field(dv_sse_reader *reader, dv_slice line)
{
    ptrdiff_t colon = dv_slice_find_byte(line, ':');
    dv_slice name = colon < 0 ? line : dv_slice_sub(line, 0, (size_t)colon);
    dv_slice value = colon < 0 ? dv_slice_sub(line, line.len, 0)
                               : dv_slice_sub(line, (size_t)colon + 1, line.len);
    if (value.len > 0 && value.ptr[0] == ' ') {
        value = dv_slice_sub(value, 1, value.len);
    }
    if (dv_slice_eq_str(name, "event")) {
        return set_name(reader, value);
    }
    if (!dv_slice_eq_str(name, "data")) {
        return DV_OK;
    }
    if (reader->has_data) {
        DV_TRY(dv_buf_append_byte(&reader->data, '\n'));
    }
    reader->has_data = true;
    return dv_buf_append(&reader->data, value);
}

static dv_result take_line(dv_sse_reader *reader, dv_slice line, const dv_sse_handler *handler)
{
    if (!reader->began && dv_slice_starts_with(line, DV_LIT("\xEF\xBB\xBF"))) {
        line = dv_slice_sub(line, 3, line.len);
    }
    reader->began = true;
    if (line.len == 0) {
        return dispatch(reader, handler);
    }
    return line.ptr[0] == ':' ? handler->comment(handler->context) : take_field(reader, line);
}

/* The line that was gathered is whole. */
static dv_result take_gathered(dv_sse_reader *reader, const dv_sse_handler *handler)
{
    dv_result result = take_line(reader, dv_buf_slice(&reader->line), handler);
    empty(&reader->line);
    return result;
}

/* A line that came whole is not copied. */
static dv_result end_line(dv_sse_reader *reader, dv_slice rest, const dv_sse_handler *handler)
{
    if (reader->line.len == 0 && rest.len <= reader->line.max) {
        return take_line(reader, rest, handler);
    }
    DV_TRY(dv_buf_append(&reader->line, rest));
    return take_gathered(reader, handler);
}

static size_t line_length(dv_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '\n' || bytes.ptr[i] == '\r') {
            return i;
        }
    }
    return bytes.len;
}

dv_result dv_sse_feed(dv_sse_reader *reader, dv_slice bytes, const dv_sse_handler *handler)
{
    while (bytes.len > 0) {
        if (reader->skip_lf && bytes.ptr[0] == '\n') {
            reader->skip_lf = false;
            bytes = dv_slice_sub(bytes, 1, bytes.len);
            continue;
        }
        reader->skip_lf = false;
        size_t len = line_length(bytes);
        if (len == bytes.len) {
            return dv_buf_append(&reader->line, bytes);
        }
        dv_slice rest = dv_slice_sub(bytes, 0, len);
        reader->skip_lf = bytes.ptr[len] == '\r';
        bytes = dv_slice_sub(bytes, len + 1, bytes.len);
        DV_TRY(end_line(reader, rest, handler));
    }
    return DV_OK;
}

dv_result dv_sse_end(dv_sse_reader *reader, const dv_sse_handler *handler)
{
    if (reader->line.len > 0) {
        DV_TRY(take_gathered(reader, handler));
    }
    return dispatch(reader, handler);
}

/* ---- writing ---- */

dv_result dv_sse_write(dv_buf *out, dv_slice name, dv_slice data)
{
    dv_slice rest = data.ptr == NULL ? DV_LIT("") : data;
    dv_slice line;
    if (name.len > 0) {
        DV_TRY(dv_buf_append_str(out, "event: "));
        DV_TRY(dv_buf_append(out, name));
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    while (dv_slice_split(&rest, '\n', &line)) {
        DV_TRY(dv_buf_append_str(out, "data: "));
        DV_TRY(dv_buf_append(out, line));
        DV_TRY(dv_buf_append_byte(out, '\n'));
    }
    return dv_buf_append_byte(out, '\n');
}
