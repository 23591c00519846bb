/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/record.h"

#include "base/codec.h"
#include "base/utf8.h"

void dv_record_put(dv_record_writer *writer, const char *text, size_t len)
{
    if ((size_t)(writer->end - writer->at) < len) {
        writer->full = true;
        return;
    }
    memcpy(writer->at, text, len);
    writer->at += len;
}

void dv_record_put_int(dv_record_writer *writer, int64_t value)
{
    char room[DV_DECIMAL_MAX];
    uint64_t magnitude = value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value;
    dv_slice digits = dv_decimal_write(magnitude, room);
    if (value < 0) {
        dv_record_put(writer, "-", 1);
    }
    dv_record_put(writer, (const char *)digits.ptr, digits.len);
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* How the next character is written; returns the bytes of it in the text. */
static size_t encode_next(dv_slice text, char out[8], size_t *ret_len)
{
    static const char short_escapes[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    uint8_t byte = text.ptr[0];
    uint32_t code_point = 0;
    if (byte == '"' || byte == '\\' || (byte < sizeof short_escapes && short_escapes[byte] != 0)) {
        out[0] = '\\';
        out[1] = byte == '"' || byte == '\\' ? (char)byte : short_escapes[byte];
        *ret_len = 2;
        return 1;
    }
    if (byte < 0x20 && byte != 0) {
        *ret_len = (size_t)snprintf(out, 8, "\\u%04x", byte);
        return 1;
    }
    size_t taken = byte == 0 ? 0 : dv_utf8_decode(text, &code_point);
    if (taken == 0) {
        memcpy(out, "\xEF\xBF\xBD", 3);
        *ret_len = 3;
        return 1;
    }
    memcpy(out, text.ptr, taken);
    *ret_len = taken;
    return taken;
}

size_t dv_record_put_text(dv_record_writer *writer, dv_slice text, size_t max)
{
    size_t from = 0;
    size_t written = 0;
    dv_record_put(writer, "\"", 1);
    while (from < text.len && !writer->full) {
        size_t run = 0;
        size_t room = DV_MIN(text.len - from, max - written);
        while (run < room && is_plain(text.ptr[from + run])) {
            run++;
        }
        dv_record_put(writer, (const char *)text.ptr + from, run);
        from += run;
        written += run;
        char escape[8];
        size_t len = 0;
        if (from == text.len) {
            break;
        }
        size_t taken = encode_next(dv_slice_sub(text, from, text.len - from), escape, &len);
        if (written + len > max) {
            writer->cut = true;
            break;
        }
        dv_record_put(writer, escape, len);
        from += taken;
        written += len;
    }
    dv_record_put(writer, "\"", 1);
    return from;
}

void dv_record_name(dv_record_writer *writer, const char *text)
{
    if (writer->at > writer->start && writer->at[-1] != '{' && writer->at[-1] != '[') {
        dv_record_put(writer, ",", 1);
    }
    dv_record_put(writer, text, strlen(text));
}

void dv_record_open(dv_record_writer *writer, const char *text, bool firm)
{
    if (writer->depth == DV_RECORD_DEPTH) {
        writer->full = true;
        return;
    }
    writer->levels[writer->depth].before = writer->at;
    writer->levels[writer->depth].kept = firm;
    writer->depth++;
    dv_record_name(writer, text);
}

void dv_record_close(dv_record_writer *writer, const char *text)
{
    if (writer->depth == 0) {
        writer->full = true;
        return;
    }
    writer->depth--;
    if (!writer->levels[writer->depth].kept) {
        writer->at = writer->levels[writer->depth].before;
        return;
    }
    dv_record_put(writer, text, strlen(text));
    dv_record_keep(writer);
}

void dv_record_keep(dv_record_writer *writer)
{
    if (writer->depth > 0) {
        writer->levels[writer->depth - 1].kept = true;
    }
}
