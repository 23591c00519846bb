/* SPDX-License-Identifier: Apache-2.0 */
/* From a field's text to a JSON value. What does not look like the type that is wanted is absent:
 * an event that is written is always a valid one, and the line itself is kept. */
#include "base/codec.h"
#include "room/audit/collect/parser_private.h"
#include "room/audit/collect/times.h"

#include <arpa/inet.h>

enum { NUMBER_MAX = 40, NAME_MAX_BYTES = 254 };

static bool is_decimal(dv_slice text, bool fraction)
{
    size_t at = text.len > 0 && text.ptr[0] == '-';
    size_t start = at;
    bool point = false;
    for (; at < text.len; at++) {
        if (text.ptr[at] == '.' && fraction && !point && at > start && at + 1 < text.len) {
            point = true;
        } else if (text.ptr[at] < '0' || text.ptr[at] > '9') {
            return false;
        }
    }
    return at > start && text.len - start <= 15 &&
           (text.ptr[start] != '0' || at == start + 1 || text.ptr[start + 1] == '.');
}

static int64_t decimal_value(dv_slice text)
{
    char room[NUMBER_MAX];
    dv_slice_copy(text, room, sizeof room);
    return strtoll(room, NULL, 10);
}

static bool is_address(dv_slice text)
{
    char room[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (text.len == 0 || text.len >= sizeof room) {
        return false;
    }
    dv_slice_copy(text, room, sizeof room);
    return inet_pton(AF_INET, room, bytes) == 1 || inet_pton(AF_INET6, room, bytes) == 1;
}

static bool has_only(dv_slice text, const char *bytes)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(bytes, text.ptr[i]) == NULL || text.ptr[i] == '\0') {
            return false;
        }
    }
    return text.len > 0;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool is_host(dv_slice text)
{
    return text.len < NAME_MAX_BYTES && has_only(text, LETTERS DIGITS ".-_") && !is_address(text);
}

static bool is_email(dv_slice text)
{
    ptrdiff_t at = dv_slice_find_byte(text, '@');
    dv_slice domain = at < 0 ? text : dv_slice_sub(text, (size_t)at + 1, text.len);
    return at > 0 && has_only(dv_slice_sub(text, 0, (size_t)at), LETTERS DIGITS "._%+-") &&
           has_only(domain, LETTERS DIGITS "-.") && dv_slice_find_byte(domain, '.') > 0 &&
           domain.ptr[domain.len - 1] != '.';
}

static bool is_mac(dv_slice text)
{
    return text.len == 17 && has_only(text, DIGITS "abcdefABCDEF:-");
}

static bool is_method(dv_slice text)
{
    static const char *const known[] = {"GET",     "HEAD",  "POST",  "PUT",    "DELETE",
                                        "CONNECT", "TRACE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        if (dv_slice_eq_str(text, known[i])) {
            return true;
        }
    }
    return false;
}

static bool put_quoted(dv_record_writer *writer, dv_slice text)
{
    dv_record_put_text(writer, text, writer->text_max);
    return true;
}

static bool put_lower(dv_record_writer *writer, dv_slice text)
{
    char room[NAME_MAX_BYTES];
    size_t len = DV_MIN(text.len, sizeof room);
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = text.ptr[i];
        room[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    return put_quoted(writer, dv_slice_of(room, len));
}

/* "1.234" seconds are 1234 milliseconds. */
static bool put_seconds(dv_record_writer *writer, dv_slice text)
{
    if (!is_decimal(text, true)) {
        return false;
    }
    char room[NUMBER_MAX];
    dv_slice_copy(text, room, sizeof room);
    dv_record_put_int(writer, (int64_t)(strtod(room, NULL) * 1000 + 0.5));
    return true;
}

static bool put_bool(dv_record_writer *writer, dv_slice text)
{
    bool yes = dv_slice_eq_nocase(text, DV_LIT("true")) ||
               dv_slice_eq_nocase(text, DV_LIT("yes")) || dv_slice_eq_str(text, "1");
    bool no = dv_slice_eq_nocase(text, DV_LIT("false")) || dv_slice_eq_nocase(text, DV_LIT("no")) ||
              dv_slice_eq_str(text, "0");
    if (yes || no) {
        dv_record_put(writer, yes ? "true" : "false", yes ? 4 : 5);
    }
    return yes || no;
}

static bool put_raw(dv_record_writer *writer, dv_slice text, bool good)
{
    if (good) {
        dv_record_put(writer, (const char *)text.ptr, text.len);
    }
    return good;
}

static bool put_name(dv_record_writer *writer, dv_slice text)
{
    size_t from = text.len;
    while (from > 0 && text.ptr[from - 1] != '/') {
        from--;
    }
    dv_slice name = dv_slice_sub(text, from, text.len - from);
    return put_quoted(writer, name.len > 0 ? name : text);
}

/* Whether every reader takes the JSON as it is: no number that is out of a double's or an int64's
 * reach, no escape of NUL or of half a surrogate pair. */
static bool is_tame(dv_slice text)
{
    enum { DIGITS_MAX = 15 };
    bool quoted = false;
    size_t run = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '\\') {
            dv_slice escape = dv_slice_sub(text, i, 6);
            if (dv_slice_eq_str(escape, "\\u0000") ||
                (escape.len == 6 && escape.ptr[1] == 'u' && (escape.ptr[2] | 0x20) == 'd')) {
                return false;
            }
            i++;
            continue;
        }
        quoted ^= byte == '"';
        run = !quoted && strchr("0123456789.eE+-", byte) != NULL ? run + 1 : 0;
        if (run > DIGITS_MAX || (run > 1 && (byte | 0x20) == 'e')) {
            return false;
        }
    }
    return true;
}

static bool put_json(dv_record_writer *writer, const dv_field *field)
{
    bool fits = field->json && field->text.len <= writer->text_max && is_tame(field->text);
    return field->json &&
           (fits ? put_raw(writer, field->text, true) : put_quoted(writer, field->text));
}

/* auditd writes what could not stand in quotes as hex; NUL bytes part the words of a command. */
static bool put_hex(dv_record_writer *writer, const dv_field *field)
{
    uint8_t bytes[4096];
    dv_slice text = field->text;
    if (!field->bare || text.len % 2 != 0 || text.len > 2 * sizeof bytes || text.len == 0 ||
        dv_hex_decode(text, bytes, text.len / 2) != DV_OK) {
        return put_quoted(writer, text);
    }
    for (size_t i = 0; i < text.len / 2; i++) {
        bytes[i] = bytes[i] == 0 ? ' ' : bytes[i];
    }
    return put_quoted(writer, dv_slice_of(bytes, text.len / 2));
}

bool dv_field_time(const dv_field *field, const dv_parse_format *format, dv_time now,
                   dv_time *ret_time)
{
    size_t len = 0;
    for (size_t i = 0; field->there && format->times != NULL && format->times[i] != NULL; i++) {
        if (dv_log_time_parse(field->text, format->times[i], now, ret_time, &len) == DV_OK) {
            return true;
        }
    }
    return false;
}

static bool put_time(dv_record_writer *writer, const dv_field *field, const dv_parse_format *format,
                     dv_time now)
{
    dv_time time = 0;
    if (!dv_field_time(field, format, now, &time)) {
        return false;
    }
    dv_record_put_int(writer, time / DV_MILLISECOND);
    return true;
}

static bool put_list(dv_record_writer *writer, dv_slice text)
{
    dv_record_put(writer, "[", 1);
    dv_record_put_text(writer, text, writer->text_max);
    dv_record_put(writer, "]", 1);
    return true;
}

static bool put_as(dv_record_writer *writer, const dv_field *field, dv_parse_as as,
                   const dv_parse_format *format, dv_time now)
{
    dv_slice text = field->text;
    switch (as) {
    case DV_AS_TEXT:
        return put_quoted(writer, text);
    case DV_AS_LOWER:
        return put_lower(writer, text);
    case DV_AS_INT:
        return put_raw(writer, text, is_decimal(text, false));
    case DV_AS_FLOAT:
        return put_raw(writer, text, is_decimal(text, true));
    case DV_AS_SECONDS:
        return put_seconds(writer, text);
    case DV_AS_BOOL:
        return put_bool(writer, text);
    case DV_AS_IP:
        return is_address(text) && put_quoted(writer, text);
    case DV_AS_HOST:
        return is_host(text) && put_quoted(writer, text);
    case DV_AS_EMAIL:
        return is_email(text) && put_quoted(writer, text);
    case DV_AS_MAC:
        return is_mac(text) && put_quoted(writer, text);
    case DV_AS_LIST:
        return put_list(writer, text);
    case DV_AS_JSON:
        return put_json(writer, field);
    case DV_AS_NAME:
        return put_name(writer, text);
    case DV_AS_HEX:
        return put_hex(writer, field);
    case DV_AS_TIME:
        return put_time(writer, field, format, now);
    case DV_AS_METHOD:
        return is_method(text) && put_quoted(writer, text);
    }
    return false;
}

static const dv_parse_map *map_entry(const dv_parse_value *value, dv_slice text)
{
    for (size_t i = 0; i < value->map_count; i++) {
        if (dv_text_fits(text, value->map[i].from)) {
            return &value->map[i];
        }
    }
    return NULL;
}

/* Programs write "-" for what they do not know. */
static bool is_there(const dv_field *field)
{
    return field->there && field->text.len > 0 &&
           !(field->bare && field->text.len == 1 && field->text.ptr[0] == '-');
}

static bool write_field(const dv_parsers *parsers, const dv_parse_format *format,
                        const dv_parse_value *value, dv_time now, dv_record_writer *writer)
{
    for (size_t i = 0; i < value->field_count; i++) {
        const dv_field *field = &parsers->fields[value->fields[i]];
        if (!is_there(field)) {
            continue;
        }
        if (value->map_count == 0) {
            if (put_as(writer, field, (dv_parse_as)value->as, format, now)) {
                return true;
            }
            continue;
        }
        const dv_parse_map *entry = map_entry(value, field->text);
        if (entry != NULL) {
            dv_record_put(writer, entry->json, strlen(entry->json));
            return true;
        }
    }
    return false;
}

bool dv_value_write(const dv_parsers *parsers, const dv_parse_format *format,
                    const dv_parse_value *value, dv_time now, dv_record_writer *writer)
{
    if (value->fixed != NULL) {
        dv_record_put(writer, value->fixed, strlen(value->fixed));
        return true;
    }
    if (write_field(parsers, format, value, now, writer)) {
        return true;
    }
    if (value->otherwise != NULL) {
        dv_record_put(writer, value->otherwise, strlen(value->otherwise));
    }
    return value->otherwise != NULL;
}

int64_t dv_value_int(const dv_parsers *parsers, const dv_parse_value *value, int64_t otherwise)
{
    uint8_t room[NUMBER_MAX] = {0};
    dv_record_writer writer = {
        .start = room, .at = room, .end = room + sizeof room - 1, .text_max = NUMBER_MAX};
    static const dv_parse_format none = {0};
    if (!dv_value_write(parsers, &none, value, 0, &writer) || writer.full) {
        return otherwise;
    }
    dv_slice text = dv_slice_of(room, (size_t)(writer.at - room));
    return is_decimal(text, false) ? decimal_value(text) : otherwise;
}
