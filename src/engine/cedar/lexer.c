/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/lexer.h"

#include "base/codec.h"

#include <stdarg.h>

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_ident_start(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

dv_result dv_cedar_fail_at(const dv_cedar_lexer *lexer, size_t offset, dv_result result,
                           const char *what)
{
    int line = 1;
    size_t line_start = 0;

    for (size_t i = 0; i < offset && i < lexer->text.len; i++) {
        if (lexer->text.ptr[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    return dv_error_set_at(lexer->error, result, line, (int)(offset - line_start) + 1, "%s", what);
}

dv_result dv_cedar_error_at(const dv_cedar_lexer *lexer, size_t offset, const char *format, ...)
{
    char message[DV_ERROR_MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return dv_cedar_fail_at(lexer, offset, DV_ERR_INVALID, message);
}

dv_result dv_cedar_check_utf8(const dv_cedar_lexer *lexer, const char *what)
{
    uint32_t c = 0;
    size_t at = 0, len = 0;

    if (dv_utf8_valid(lexer->text)) {
        return DV_OK;
    }
    while ((len = dv_utf8_decode(dv_slice_sub(lexer->text, at, 4), &c)) > 0) {
        at += len;
    }
    return dv_cedar_error_at(lexer, at, "%s not UTF-8", what);
}

/* White space of Unicode (property White_Space), as Cedar's own scanner skips it. */
static size_t white_space_at(dv_slice rest)
{
    uint32_t c = 0;
    size_t len = dv_utf8_decode(rest, &c);
    bool white = c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xa0 || c == 0x1680 ||
                 (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
                 c == 0x205f || c == 0x3000;

    return len > 0 && white ? len : 0;
}

static void skip_blank(dv_cedar_lexer *lexer)
{
    for (;;) {
        dv_slice rest = dv_slice_sub(lexer->text, lexer->at, lexer->text.len);
        size_t white = white_space_at(rest);
        if (white > 0) {
            lexer->at += white;
        } else if (dv_slice_starts_with(rest, DV_LIT("//"))) {
            while (lexer->at < lexer->text.len && lexer->text.ptr[lexer->at] != '\n' &&
                   lexer->text.ptr[lexer->at] != '\r') {
                lexer->at++;
            }
        } else {
            return;
        }
    }
}

/* The length of the string literal at the front, quotes included; 0: it has no end. */
static size_t string_length(dv_slice rest)
{
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.ptr[i] == '"') {
            return i + 1;
        }
        if (rest.ptr[i] == '\\') {
            i++;
        }
    }
    return 0;
}

static size_t run_length(dv_slice rest, bool digits_only)
{
    size_t len = 0;

    while (len < rest.len &&
           (is_digit(rest.ptr[len]) || (!digits_only && is_ident_start(rest.ptr[len])))) {
        len++;
    }
    return len;
}

static size_t punctuation_length(dv_slice rest)
{
    static const char *const two[] = {"::", "==", "!=", "<=", ">=", "&&", "||"};
    static const char one[] = "(){}[],;.:@<>+-*!=/%";

    for (size_t i = 0; i < DV_ARRAY_LEN(two); i++) {
        if (dv_slice_starts_with(rest, dv_slice_str(two[i]))) {
            return 2;
        }
    }
    return rest.ptr[0] != '\0' && strchr(one, rest.ptr[0]) != NULL ? 1 : 0;
}

static dv_cedar_token_kind classify(dv_slice rest, size_t *ret_len)
{
    uint8_t first = rest.ptr[0];

    if (is_ident_start(first)) {
        *ret_len = run_length(rest, false);
        return DV_CEDAR_TOKEN_IDENT;
    }
    if (is_digit(first)) {
        *ret_len = run_length(rest, true);
        return DV_CEDAR_TOKEN_INT;
    }
    if (first == '"') {
        *ret_len = string_length(rest);
        return DV_CEDAR_TOKEN_STRING;
    }
    if (first == '?') {
        *ret_len = 1 + run_length(dv_slice_sub(rest, 1, rest.len), false);
        return DV_CEDAR_TOKEN_SLOT;
    }
    *ret_len = punctuation_length(rest);
    return DV_CEDAR_TOKEN_PUNCTUATION;
}

dv_result dv_cedar_lex(dv_cedar_lexer *lexer, dv_cedar_token *ret_token)
{
    size_t len = 0;

    skip_blank(lexer);
    dv_slice rest = dv_slice_sub(lexer->text, lexer->at, lexer->text.len);
    if (rest.len == 0) {
        *ret_token = (dv_cedar_token){.kind = DV_CEDAR_TOKEN_END, .offset = lexer->at};
        return DV_OK;
    }
    dv_cedar_token_kind kind = classify(rest, &len);
    if (len == 0) {
        return dv_cedar_error_at(lexer, lexer->at,
                                 kind == DV_CEDAR_TOKEN_STRING
                                     ? "this string has no end"
                                     : "this character has no meaning here");
    }
    dv_slice text = dv_slice_sub(rest, 0, len);
    if (kind == DV_CEDAR_TOKEN_STRING) {
        text = dv_slice_sub(rest, 1, len - 2);
    }
    *ret_token = (dv_cedar_token){.kind = kind, .text = text, .offset = lexer->at};
    lexer->at += len;
    return DV_OK;
}

static int hex_digit(uint8_t byte)
{
    if (is_digit(byte)) {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The body of \xHH (ASCII only); returns the bytes read, 0: malformed. */
static size_t read_hex_escape(dv_slice rest, uint32_t *ret_code)
{
    int high = rest.len >= 2 ? hex_digit(rest.ptr[0]) : -1;
    int low = rest.len >= 2 ? hex_digit(rest.ptr[1]) : -1;

    *ret_code = (uint32_t)(high * 16 + low);
    return high < 0 || high > 7 || low < 0 ? 0 : 2;
}

/* The body of \u{1 to 6 digits}, with underscores between them as in Rust. */
static size_t read_unicode_escape(dv_slice rest, uint32_t *ret_code)
{
    uint32_t code = 0;
    size_t digits = 0, i = 1;

    if (rest.len < 3 || rest.ptr[0] != '{') {
        return 0;
    }
    for (; i < rest.len && rest.ptr[i] != '}'; i++) {
        int digit = hex_digit(rest.ptr[i]);
        if (rest.ptr[i] == '_' && digits > 0) {
            continue;
        }
        if (digit < 0 || ++digits > 6) {
            return 0;
        }
        code = code * 16 + (uint32_t)digit;
    }
    *ret_code = code;
    return i < rest.len && digits > 0 ? i + 1 : 0;
}

/* What follows a backslash; returns the bytes read, 0: no escape of Cedar's. */
static size_t read_escape(dv_slice rest, uint32_t *ret_code)
{
    static const char names[] = "nrt0\"'\\";
    static const uint8_t codes[] = {'\n', '\r', '\t', '\0', '"', '\'', '\\'};
    size_t len = 0;

    if (rest.len == 0) {
        return 0;
    }
    if (rest.ptr[0] == 'x') {
        len = read_hex_escape(dv_slice_sub(rest, 1, rest.len), ret_code);
    } else if (rest.ptr[0] == 'u') {
        len = read_unicode_escape(dv_slice_sub(rest, 1, rest.len), ret_code);
    } else {
        const char *name = memchr(names, rest.ptr[0], sizeof(names) - 1);
        if (name == NULL) {
            return 0;
        }
        *ret_code = codes[name - names];
        return 1;
    }
    return len == 0 ? 0 : len + 1;
}

/* Where the pieces of an unescaped string grow; nothing gets longer by unescaping. */
typedef struct pieces {
    uint8_t *bytes;
    size_t len;
    size_t start; /* of the current piece */
    dv_slice *list;
    size_t count;
} pieces;

static void end_piece(pieces *p)
{
    p->list[p->count++] = dv_slice_of(p->bytes + p->start, p->len - p->start);
    p->start = p->len;
}

static dv_result pieces_init(dv_slice raw, bool pattern, dv_arena *arena, pieces *p)
{
    size_t wildcards = 0;

    for (size_t i = 0; pattern && i < raw.len; i++) {
        wildcards += raw.ptr[i] == '*' || raw.ptr[i] == '\\';
    }
    p->bytes = dv_arena_alloc_raw(arena, raw.len + 1);
    p->list = dv_arena_alloc(arena, (wildcards + 1) * sizeof(*p->list));
    return p->bytes == NULL || p->list == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

dv_result dv_cedar_unescape(const dv_cedar_lexer *lexer, const dv_cedar_token *token, bool pattern,
                            dv_arena *arena, const dv_slice **ret_pieces, size_t *ret_count)
{
    dv_slice raw = token->text;
    pieces p = {0};

    DV_TRY(pieces_init(raw, pattern, arena, &p));
    for (size_t i = 0; i < raw.len; i++) {
        dv_slice rest = dv_slice_sub(raw, i + 1, raw.len);
        uint32_t code = 0;
        if (pattern && raw.ptr[i] == '*') {
            end_piece(&p);
        } else if (raw.ptr[i] == '\r') {
            return dv_cedar_error_at(lexer, token->offset + 1 + i,
                                     "a carriage return in a string is written \\r");
        } else if (raw.ptr[i] != '\\') {
            p.bytes[p.len++] = raw.ptr[i];
        } else if (pattern && dv_slice_starts_with(rest, DV_LIT("*"))) {
            p.bytes[p.len++] = '*';
            i++;
        } else {
            size_t len = read_escape(rest, &code);
            uint8_t encoded[4];
            size_t bytes = len == 0 ? 0 : dv_utf8_encode(code, encoded);
            if (bytes == 0) {
                return dv_cedar_error_at(lexer, token->offset + 1 + i,
                                         "this is no escape that Cedar knows");
            }
            if (pattern && code == '*') { /* only \* is a star that stands for itself */
                end_piece(&p);
            } else {
                memcpy(p.bytes + p.len, encoded, bytes);
                p.len += bytes;
            }
            i += len;
        }
    }
    end_piece(&p);
    *ret_pieces = p.list;
    *ret_count = p.count;
    return DV_OK;
}
