/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/decode_view.h"

#include "base/codec.h"
#include "base/utf8.h"
#include "engine/detect/decode.h"

#include <ctype.h>

enum {
    ENTITY_MAX = 40, /* bytes of the longest entity: zeros in front of a number do not change it */
    ESCAPE_MAX = 12, /* bytes of the longest way to write a character: a surrogate pair */
    NUMBER_REACH = 24, /* bytes on each side of a letter that are asked whether they are a number */
    NUMBER_LEAST = 9,  /* digits of the shortest such number */
    LINE_LEAST = 60,   /* digits of a block's line that is not its last */
    CHUNK = 64,        /* digits that are decoded at once to see whether they are text */
    LATIN_PART = 4,    /* of UTF-16: at its beginning, a unit in so many is a Latin letter */
};

static dv_result view_new(size_t room, dv_arena *arena, dv_view *ret)
{
    *ret = (dv_view){
        .bytes = dv_arena_alloc_raw(arena, room + 1),
        .start = dv_arena_alloc_raw(arena, (room + 1) * sizeof(uint32_t)),
        .end = dv_arena_alloc_raw(arena, (room + 1) * sizeof(uint32_t)),
    };
    return ret->bytes == NULL || ret->start == NULL || ret->end == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

dv_result dv_view_of(dv_slice text, size_t from, dv_arena *arena, dv_view *ret)
{
    DV_TRY(view_new(text.len - from, arena, ret));
    for (size_t at = from; at < text.len; at++) {
        ret->bytes[ret->len] = text.ptr[at];
        ret->start[ret->len] = (uint32_t)at;
        ret->end[ret->len++] = (uint32_t)at + 1;
    }
    return DV_OK;
}

/* A byte made from bytes [from, to) of the other view. */
static void push(dv_view *out, uint8_t byte, const dv_view *in, size_t from, size_t to)
{
    out->bytes[out->len] = byte;
    out->start[out->len] = in->start[from];
    out->end[out->len++] = in->end[to - 1];
}

static void push_code_point(dv_view *out, uint32_t code_point, const dv_view *in, size_t from,
                            size_t to)
{
    uint8_t bytes[4];
    size_t len = dv_utf8_encode(code_point, bytes);
    for (size_t i = 0; i < len; i++) {
        push(out, bytes[i], in, from, to);
    }
}

/* -- folding ----------------------------------------------------------------------------------- */

static int hex_of(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Exactly `count` hexadecimal digits at `at`. */
static bool read_hex(dv_slice in, size_t at, size_t count, uint32_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = at + i < in.len ? hex_of(in.ptr[at + i]) : -1;
        if (digit < 0) {
            return false;
        }
        *ret = *ret << 4 | (uint32_t)digit;
    }
    return true;
}

/* What stands at `at` is `len` bytes that mean one character; len 0: nothing that is written in
 * another way. drop: it means none. */
typedef struct meaning {
    size_t len;
    uint32_t code_point;
    bool byte; /* code_point is a byte of UTF-8 */
    bool drop;
} meaning;

static const struct {
    const char *name;
    uint8_t character;
} entities[] = {
    {"amp;", '&'},    {"lt;", '<'},       {"gt;", '>'},    {"quot;", '"'},   {"apos;", '\''},
    {"commat;", '@'}, {"period;", '.'},   {"nbsp;", ' '},  {"hyphen;", '-'}, {"dash;", '-'},
    {"lowbar;", '_'}, {"plus;", '+'},     {"colon;", ':'}, {"sol;", '/'},    {"num;", '#'},
    {"Tab;", '\t'},   {"NewLine;", '\n'},
};

static meaning entity(dv_slice in, size_t at)
{
    dv_slice rest = dv_slice_of(in.ptr + at + 1, DV_MIN(in.len - at - 1, (size_t)ENTITY_MAX));
    bool named = rest.len > 0 && isalpha(rest.ptr[0]);
    for (size_t i = 0; named && i < DV_ARRAY_LEN(entities); i++) {
        dv_slice name = dv_slice_str(entities[i].name);
        if (dv_slice_starts_with(rest, name)) {
            return (meaning){.len = name.len + 1, .code_point = entities[i].character};
        }
    }
    if (rest.len < 3 || rest.ptr[0] != '#') {
        return (meaning){0};
    }
    bool hex = (rest.ptr[1] | 0x20) == 'x';
    uint32_t number = 0;
    size_t i = hex ? 2 : 1;
    while (i + 1 < rest.len && rest.ptr[i] == '0') {
        i++;
    }
    size_t first = i;
    while (i < rest.len && i - first < 7 && hex_of(rest.ptr[i]) >= 0 &&
           (hex || rest.ptr[i] <= '9')) {
        number = number * (hex ? 16 : 10) + (uint32_t)hex_of(rest.ptr[i++]);
    }
    if (i == first || number == 0 || number > 0x10FFFF) {
        return (meaning){0};
    }
    i += i < rest.len && rest.ptr[i] == ';'; /* browsers do without */
    return (meaning){.len = i + 1, .code_point = number};
}

/* \\u{40} of ECMAScript, Rust and Swift. */
static meaning braces(dv_slice in, size_t at)
{
    uint32_t number = 0;
    size_t i = at + 3;
    while (i < in.len && i - at - 3 < 6 && hex_of(in.ptr[i]) >= 0) {
        number = number << 4 | (uint32_t)hex_of(in.ptr[i++]);
    }
    bool good = i > at + 3 && i < in.len && in.ptr[i] == '}' && number > 0 && number <= 0x10FFFF &&
                (number < 0xD800 || number >= 0xE000);
    return good ? (meaning){.len = i + 1 - at, .code_point = number} : (meaning){0};
}

/* \\100 of C and shells: a byte. */
static meaning octal(dv_slice in, size_t at)
{
    uint32_t number = 0;
    for (size_t i = at + 1; i < at + 4; i++) {
        if (i >= in.len || in.ptr[i] < '0' || in.ptr[i] > '7') {
            return (meaning){0};
        }
        number = number << 3 | (uint32_t)(in.ptr[i] - '0');
    }
    return number > 0 ? (meaning){.len = 4, .code_point = number, .byte = true} : (meaning){0};
}

static meaning escape(dv_slice in, size_t at)
{
    static const char letters[] = "nrtbf/\"'\\", means[] = "\n\r\t\b\f/\"'\\";
    uint32_t number, low;
    if (at + 1 >= in.len) {
        return (meaning){0};
    }
    uint8_t next = in.ptr[at + 1];
    if (next == 'x' && read_hex(in, at + 2, 2, &number) && number > 0) {
        return (meaning){.len = 4, .code_point = number, .byte = true};
    }
    if (next >= '0' && next <= '3') {
        return octal(in, at);
    }
    if (next == 'u' && at + 2 < in.len && in.ptr[at + 2] == '{') {
        return braces(in, at);
    }
    if (next == 'U' && read_hex(in, at + 2, 8, &number) && number > 0 && number <= 0x10FFFF) {
        return (meaning){.len = 10, .code_point = number};
    }
    if (next == 'u' && read_hex(in, at + 2, 4, &number) && number > 0) {
        bool pair = number >= 0xD800 && number < 0xDC00 && at + 7 < in.len &&
                    in.ptr[at + 6] == '\\' && in.ptr[at + 7] == 'u' &&
                    read_hex(in, at + 8, 4, &low) && low >= 0xDC00 && low < 0xE000;
        return pair ? (meaning){.len = 12,
                                .code_point = 0x10000 + ((number - 0xD800) << 10) + low - 0xDC00}
                    : (meaning){.len = 6, .code_point = number};
    }
    const char *letter = next == '\0' ? NULL : strchr(letters, next);
    return letter == NULL ? (meaning){0}
                          : (meaning){.len = 2, .code_point = (uint8_t)means[letter - letters]};
}

/* Zeros of scripts whose ten digits follow one another (Unicode, general category Nd). */
static const uint32_t zeros[] = {0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6,
                                 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0,
                                 0x0F20, 0x1040, 0x17E0, 0x1810, 0xFF10, 0x104A0};

/* Unicode, Default_Ignorable_Code_Point. */
static bool has_no_width(uint32_t c)
{
    return c == 0xAD || c == 0x034F || c == 0x061C || c == 0x115F || c == 0x1160 || c == 0x17B4 ||
           c == 0x17B5 || (c >= 0x180B && c <= 0x180F) || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x202A && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0x3164 ||
           (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || c == 0xFFA0 ||
           (c >= 0xFFF0 && c <= 0xFFFB) || (c >= 0x1BCA0 && c <= 0x1BCA3) ||
           (c >= 0x1D173 && c <= 0x1D17A) || (c >= 0xE0000 && c <= 0xE0FFF);
}

/* ASCII for a character that looks like it or means it; 0: none. */
static uint8_t ascii_for(uint32_t c)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(zeros); i++) {
        if (c >= zeros[i] && c < zeros[i] + 10) {
            return (uint8_t)('0' + (c - zeros[i]));
        }
    }
    if (c >= 0x1D7CE && c <= 0x1D7FF) {
        return (uint8_t)('0' + (c - 0x1D7CE) % 10);
    }
    if (c >= 0x2460 && c <= 0x2468) {
        return (uint8_t)('1' + (c - 0x2460));
    }
    if (c >= 0xFF01 && c <= 0xFF5E) {
        return (uint8_t)(c - 0xFF01 + '!');
    }
    if (c == 0xA0 || (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F || c == 0x3000) {
        return ' ';
    }
    if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0xFE63) {
        return '-';
    }
    return c == 0x2024 || c == 0xFE52 ? '.' : c == 0xFE6B ? '@' : 0;
}

static meaning beyond_ascii(dv_slice in, size_t at)
{
    uint32_t c;
    size_t len = dv_utf8_decode(dv_slice_of(in.ptr + at, DV_MIN(in.len - at, (size_t)4)), &c);
    if (len == 0) {
        return (meaning){0};
    }
    if (has_no_width(c)) {
        return (meaning){.len = len, .drop = true};
    }
    uint8_t ascii = ascii_for(c);
    return ascii == 0 ? (meaning){0} : (meaning){.len = len, .code_point = ascii};
}

/* The first byte of a letter below. Of hexadecimal digits nearly each is asked. */
static bool begins_lookalike(uint8_t byte)
{
    switch (byte) {
    case 'O':
    case 'o':
    case 'l':
    case 'I':
    case '|':
    case 'S':
    case 'B':
    case 0xCE:
    case 0xD0:
        return true;
    default:
        return false;
    }
}

/* The digit that a letter looks like, between two digits: 4l11, 4О11 (Cyrillic). */
static meaning lookalike(dv_slice in, size_t at, uint8_t before)
{
    static const struct {
        const char *letter;
        char digit;
    } pairs[] = {{"O", '0'},        {"o", '0'},        {"l", '1'},        {"I", '1'},
                 {"|", '1'},        {"S", '5'},        {"B", '8'},        {"\xD0\x9E", '0'},
                 {"\xD0\xBE", '0'}, {"\xD0\x97", '3'}, {"\xCE\x9F", '0'}, {"\xCE\xBF", '0'}};
    if (before < '0' || before > '9' || !begins_lookalike(in.ptr[at])) {
        return (meaning){0};
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(pairs); i++) {
        size_t len = strlen(pairs[i].letter);
        if (at + len < in.len && memcmp(in.ptr + at, pairs[i].letter, len) == 0 &&
            in.ptr[at + len] >= '0' && in.ptr[at + len] <= '9') {
            return (meaning){.len = len, .code_point = (uint8_t)pairs[i].digit};
        }
    }
    return (meaning){0};
}

/* Digits, letters for them, and what groups of them are parted by. */
static bool is_of_number(uint8_t byte)
{
    return isdigit(byte) || byte >= 0x80 || (byte != '\0' && strchr(" -OolI|SB", byte) != NULL);
}

static meaning meaning_at(dv_slice in, size_t at, uint8_t before)
{
    uint8_t byte = in.ptr[at];
    uint32_t number;
    (void)before;
    if (byte == '%' && read_hex(in, at + 1, 2, &number) && number > 0) {
        return (meaning){.len = 3, .code_point = number, .byte = true};
    }
    if (byte == '&') {
        return entity(in, at);
    }
    if (byte == '\\') {
        return escape(in, at);
    }
    return byte >= 0x80 ? beyond_ascii(in, at) : (meaning){0};
}

/* Letters and digits of addresses and numbers, and what stands between them. */
static bool is_of_value(uint8_t byte)
{
    return isalnum(byte) || byte == '@' || byte == '.' || byte == '-';
}

/* Characters beyond ASCII that mean nothing in ordinary text, unless they stand within a value:
 * dashes between words, joiners of emoji, the commas of Chinese. */
static size_t element_beyond_ascii(dv_slice text, size_t at)
{
    meaning m = beyond_ascii(text, at);
    uint8_t before = at > 0 ? text.ptr[at - 1] : 0;
    uint8_t behind = m.len > 0 && at + m.len < text.len ? text.ptr[at + m.len] : 0;
    if (m.len == 0) {
        return 0;
    }
    if (m.drop) {
        return isalnum(before) || isalnum(behind) ? m.len : 0;
    }
    if (m.code_point == ' ' || m.code_point == '-') {
        return isdigit(before) || isdigit(behind) ? m.len : 0;
    }
    return is_of_value((uint8_t)m.code_point) ? m.len : 0;
}

/* Numbers that a letter within may be a digit of are long, and mostly digits; or they may come to
 * be. */
static bool in_number(dv_slice text, size_t at, bool more)
{
    size_t begin = at, end = at, digits = 0, letters = 0;
    while (begin > 0 && at - begin < NUMBER_REACH && is_of_number(text.ptr[begin - 1])) {
        begin--;
    }
    while (end < text.len && end - at < NUMBER_REACH && is_of_number(text.ptr[end])) {
        end++;
    }
    for (size_t i = begin; i < end; i++) {
        digits += isdigit(text.ptr[i]) != 0;
        letters += isalpha(text.ptr[i]) != 0 || text.ptr[i] == '|' || text.ptr[i] >= 0x80;
    }
    return (more && end == text.len) || (digits + letters >= NUMBER_LEAST && digits >= 2 * letters);
}

size_t dv_view_element(dv_slice text, size_t at, bool more)
{
    uint8_t byte = text.ptr[at];
    bool letter = (byte >= 0x80 || isalpha(byte) || byte == '|') && at > 0;
    meaning m = letter ? lookalike(text, at, text.ptr[at - 1]) : (meaning){0};
    if (m.len > 0) {
        return in_number(text, at, more) ? m.len : 0;
    }
    if (byte >= 0x80) {
        return element_beyond_ascii(text, at);
    }
    m = meaning_at(text, at, 0);
    return byte == '\\' && m.len == 2 ? 0 : m.len; /* \n is no part of a value */
}

bool dv_view_is_letter_escape(dv_slice text, size_t at)
{
    uint8_t letter = at + 1 < text.len && text.ptr[at] == '\\' ? text.ptr[at + 1] : 0;
    return letter == 'n' || letter == 'r' || letter == 't' || letter == 'b' || letter == 'f';
}

/* Whether `rest`, of which more follows, may be the beginning of an escape. */
static bool begins_escape(dv_slice rest)
{
    uint32_t number;
    uint8_t kind = rest.len > 1 ? rest.ptr[1] : 'u';
    if (kind >= '0' && kind <= '3') {
        return rest.len == 2 || (rest.len == 3 && rest.ptr[2] >= '0' && rest.ptr[2] <= '7');
    }
    size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
    if (kind != 'x' && kind != 'u' && kind != 'U') {
        return false;
    }
    if (kind == 'u' && rest.len > 2 && rest.ptr[2] == '{') {
        return rest.len < ESCAPE_MAX && dv_slice_find_byte(rest, '}') < 0;
    }
    for (size_t i = 2; i < rest.len && i < 2 + digits; i++) {
        if (hex_of(rest.ptr[i]) < 0) {
            return false;
        }
    }
    if (rest.len < 2 + digits) {
        return true;
    }
    bool high = kind == 'u' && read_hex(rest, 2, 4, &number) && number >= 0xD800 && number < 0xDC00;
    return high && rest.len < ESCAPE_MAX && (rest.len == 6 || rest.ptr[6] == '\\');
}

static bool begins_entity(dv_slice rest)
{
    for (size_t i = 1; i < rest.len; i++) {
        if (!isalnum(rest.ptr[i]) && rest.ptr[i] != '#') {
            return false;
        }
    }
    return rest.len <= ENTITY_MAX;
}

/* Two backslashes mean one, which may begin an escape in its turn, as often as texts are folded:
 * the first of those that stand before `at`. */
static size_t first_backslash(dv_slice text, size_t at)
{
    for (int i = 1; i < 1 << DV_DECODE_FOLDS && at > 0 && text.ptr[at - 1] == '\\'; i++) {
        at--;
    }
    return at;
}

size_t dv_view_whole(dv_slice text)
{
    size_t from = text.len > ENTITY_MAX ? text.len - ENTITY_MAX : 0;
    for (size_t at = from; at < text.len; at++) {
        dv_slice rest = dv_slice_sub(text, at, text.len);
        bool percent =
            rest.ptr[0] == '%' && (rest.len == 1 || (rest.len == 2 && hex_of(rest.ptr[1]) >= 0));
        if (percent || (rest.ptr[0] == '&' && begins_entity(rest))) {
            return at;
        }
        if (rest.ptr[0] == '\\' && begins_escape(rest)) {
            return first_backslash(text, at);
        }
    }
    return text.len;
}

size_t dv_view_whole_number(dv_slice text)
{
    static const char letters[] = "OolI|SB";
    size_t len = text.len;
    if (len >= 3 && text.ptr[len - 2] >= 0x80 && isdigit(text.ptr[len - 3])) {
        return len - 2; /* of two bytes */
    }
    bool open = len >= 2 && isdigit(text.ptr[len - 2]) && text.ptr[len - 1] != '\0' &&
                strchr(letters, text.ptr[len - 1]) != NULL;
    return open ? len - 1 : len;
}

/* before: the byte that was made last. */
typedef meaning (*meaning_of)(dv_slice in, size_t at, uint8_t before);

static bool has_any(dv_slice text, meaning_of what)
{
    for (size_t at = 0; at < text.len; at++) {
        if (what(text, at, at == 0 ? 0 : text.ptr[at - 1]).len > 0) {
            return true;
        }
    }
    return false;
}

static dv_result rewrite(const dv_view *in, meaning_of what, dv_arena *arena, dv_view *ret)
{
    dv_view out;
    dv_slice text = dv_slice_of(in->bytes, in->len);
    bool changed = false;
    if (!has_any(text, what)) {
        *ret = (dv_view){.len = 0};
        return DV_OK;
    }
    DV_TRY(view_new(in->len, arena, &out));
    for (size_t at = 0; at < in->len;) {
        uint8_t before = out.len == 0 ? 0 : out.bytes[out.len - 1];
        meaning m = what(text, at, before);
        if (m.len == 0) {
            push(&out, in->bytes[at], in, at, at + 1);
            at++;
            continue;
        }
        changed = true;
        if (m.byte && !m.drop) {
            push(&out, (uint8_t)m.code_point, in, at, at + m.len);
        } else if (!m.drop) {
            push_code_point(&out, m.code_point, in, at, at + m.len);
        }
        at += m.len;
    }
    out.len = changed ? out.len : 0;
    *ret = out;
    return DV_OK;
}

dv_result dv_view_fold(const dv_view *in, dv_arena *arena, dv_view *ret)
{
    return rewrite(in, meaning_at, arena, ret);
}

dv_result dv_view_digits(const dv_view *in, dv_arena *arena, dv_view *ret)
{
    return rewrite(in, lookalike, arena, ret);
}

/* -- UTF-16 ------------------------------------------------------------------------------------ */

/* Of ASCII in UTF-16 every other byte is a zero. */
static bool looks_utf16(const uint8_t *bytes, size_t len, size_t *ret_high)
{
    size_t zeros_at[2] = {0, 0};
    for (size_t i = 0; i < len; i++) {
        zeros_at[i % 2] += bytes[i] == 0;
    }
    *ret_high = zeros_at[0] > zeros_at[1] ? 0 : 1;
    return len >= 8 && zeros_at[*ret_high] > len / 4 && zeros_at[1 - *ret_high] <= len / 64;
}

dv_result dv_view_utf16(const dv_view *in, dv_arena *arena, dv_view *ret)
{
    size_t high;
    dv_view out = {.len = 0};
    if (looks_utf16(in->bytes, in->len, &high)) {
        DV_TRY(view_new(in->len * 2, arena, &out));
        for (size_t at = 0; at + 1 < in->len; at += 2) {
            uint32_t unit = (uint32_t)in->bytes[at + high] << 8 | in->bytes[at + 1 - high];
            if (unit == 0 || (unit >= 0xD800 && unit < 0xE000) || unit == 0xFEFF) {
                push(&out, ' ', in, at, at + 2);
            } else {
                push_code_point(&out, unit, in, at, at + 2);
            }
        }
    }
    *ret = out;
    return DV_OK;
}

/* -- blocks ------------------------------------------------------------------------------------ */

int dv_digits_value(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z') {
        return byte - 'A';
    }
    if (byte >= 'a' && byte <= 'z') {
        return byte - 'a' + 26;
    }
    if (byte >= '0' && byte <= '9') {
        return byte - '0' + 52;
    }
    return byte == '+' || byte == '-' ? 62 : byte == '/' || byte == '_' ? 63 : -1;
}

/* Whether at `at` a line of a block ends and another one begins (RFC 2045 section 6.8). */
static size_t line_break(const dv_view *in, size_t at, size_t line)
{
    size_t len = at < in->len && in->bytes[at] == '\r' ? 1 : 0;
    bool breaks = at + len + 1 < in->len && in->bytes[at + len] == '\n' && line >= LINE_LEAST &&
                  dv_digits_value(in->bytes[at + len + 1]) >= 0;
    return breaks ? len + 1 : 0;
}

/* Digits of a block from `at` on, over line ends or not, as places; returns where it ends. ret_hex:
 * from which of them on all are hexadecimal ("0x", "\\x" and others may stand before). */
static size_t collect(const dv_view *in, size_t at, bool lines, uint32_t *places, size_t *ret_count,
                      size_t *ret_hex)
{
    size_t count = 0, line = 0, hex = 0;
    for (;;) {
        size_t skip = lines ? line_break(in, at, line) : 0;
        if (skip > 0) {
            at += skip;
            line = 0;
        }
        if (at >= in->len || dv_digits_value(in->bytes[at]) < 0) {
            break;
        }
        hex = hex_of(in->bytes[at]) < 0 ? count + 1 : hex;
        places[count++] = (uint32_t)at++;
        line++;
    }
    *ret_count = count;
    *ret_hex = hex;
    return at;
}

static void decode_base64(const dv_view *in, const uint32_t *places, size_t count, dv_view *out)
{
    for (size_t bit = 0; bit + 8 <= count * 6; bit += 8) {
        size_t first = bit / 6;
        unsigned pair = (unsigned)dv_digits_value(in->bytes[places[first]]) << 6 |
                        (unsigned)dv_digits_value(in->bytes[places[first + 1]]);
        push(out, (uint8_t)(pair >> (4 - bit % 6)), in, places[first],
             (size_t)places[first + 1] + 1);
    }
}

static void decode_hex(const dv_view *in, const uint32_t *places, size_t count, dv_view *out)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        unsigned high = (unsigned)hex_of(in->bytes[places[i]]) & 15;
        unsigned low = (unsigned)hex_of(in->bytes[places[i + 1]]) & 15;
        push(out, (uint8_t)(high << 4 | low), in, places[i], (size_t)places[i + 1] + 1);
    }
}

/* Control characters that stand in texts: white space, backspace and escape of terminals. */
static bool is_odd_control(uint32_t character)
{
    static const uint32_t usual =
        1u << '\t' | 1u << '\n' | 1u << '\v' | 1u << '\f' | 1u << '\r' | 1u << '\b' | 1u << 0x1B;
    return character < 0x20 && (usual >> character & 1) == 0;
}

static bool has_controls(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_odd_control(bytes[i])) {
            return true;
        }
    }
    return false;
}

/* Text that somebody could have meant: UTF-8 without control characters. What C puts behind a
 * string may stand behind it. */
static bool is_text(const uint8_t *bytes, size_t len)
{
    while (len > 0 && bytes[len - 1] == 0) {
        len--;
    }
    size_t good = dv_utf8_prefix(dv_slice_of(bytes, len));
    if (good + 3 < len) { /* the last character may be cut */
        return false;
    }
    return len > 0 && !has_controls(bytes, good);
}

/* A block is UTF-16 when its first character says so, so that its beginning alone tells: a byte
 * order mark, or a zero beside a byte that is none. */
static bool begins_utf16(const uint8_t *bytes, size_t len)
{
    return len >= 2 &&
           ((bytes[0] == 0) != (bytes[1] == 0) || (bytes[0] == 0xFF && bytes[1] == 0xFE) ||
            (bytes[0] == 0xFE && bytes[1] == 0xFF));
}

/* It becomes ASCII in place; what is beyond it a space. */
static void narrow(dv_view *out, size_t from)
{
    size_t high, to = from;
    if (!begins_utf16(out->bytes + from, out->len - from) ||
        !looks_utf16(out->bytes + from, out->len - from, &high)) {
        return;
    }
    for (size_t at = from; at + 1 < out->len; at += 2) {
        uint8_t byte = out->bytes[at + 1 - high];
        bool ascii = out->bytes[at + high] == 0 && byte >= 0x20 && byte < 0x7F;
        out->bytes[to] = ascii ? byte : ' ';
        out->start[to] = out->start[at];
        out->end[to++] = out->end[at + 1];
    }
    out->len = to;
}

/* Keeps what was decoded behind `from` when it is text, with a NUL behind it. */
static bool keep(dv_view *out, size_t from)
{
    narrow(out, from);
    if (!is_text(out->bytes + from, out->len - from)) {
        out->len = from;
        return false;
    }
    out->bytes[out->len] = '\0';
    out->start[out->len] = out->start[out->len - 1];
    out->end[out->len] = out->end[out->len - 1];
    out->len++;
    return true;
}

static bool try_hex(const dv_view *in, const uint32_t *places, size_t count, dv_view *out)
{
    size_t from = out->len;
    if (count < 2 * (size_t)DV_DECODE_BLOCK_MIN) {
        return false;
    }
    decode_hex(in, places, count, out);
    return keep(out, from);
}

/* Looks at the front first: most blocks are none. */
static bool try_base64(const dv_view *in, const uint32_t *places, size_t count, dv_view *out)
{
    enum { FRONT = 64 };
    size_t from = out->len;
    if (count < DV_DECODE_BLOCK_MIN) {
        return false;
    }
    decode_base64(in, places, DV_MIN(count, (size_t)FRONT), out);
    bool text = keep(out, from);
    if (!text || count <= FRONT) {
        return text;
    }
    out->len = from;
    decode_base64(in, places, count, out);
    return keep(out, from);
}

/* Signs of base64 that stand between other words, too: "unsubscribe/Ym9i...". */
static bool may_separate(uint8_t byte)
{
    return byte == '/' || byte == '-' || byte == '_' || byte == '+';
}

/* hex: the first of the digits behind which all are hexadecimal. False: it holds no text. */
static bool decode_block(const dv_view *in, const uint32_t *places, size_t count, size_t hex,
                         dv_view *out)
{
    enum { STARTS = 8, NEAR = 128 };
    if (try_hex(in, places + hex, count - hex, out) ||
        (hex < count && try_hex(in, places + hex + 1, count - hex - 1, out)) ||
        try_base64(in, places, count, out)) {
        return true;
    }
    for (size_t i = 0, starts = 0; i < DV_MIN(count, (size_t)NEAR) && starts < STARTS; i++) {
        if (may_separate(in->bytes[places[i]])) {
            starts++;
            if (try_base64(in, places + i + 1, count - i - 1, out)) {
                return true;
            }
        }
    }
    return false;
}

/* The same of a block that is one from its first digit on: its beginning alone tells. */
static bool decode_whole(const dv_view *in, const dv_digits *digits, size_t hex, dv_view *out)
{
    return dv_digits_begin_text(digits) &&
           ((hex == 0 && try_hex(in, digits->places, digits->count, out)) ||
            try_base64(in, digits->places, digits->count, out));
}

/* ---- whether digits could be a text's ---- */

/* Decodes digits from `at` on, CHUNK of them at most; returns how many bytes they are. */
static size_t decode_chunk(const dv_digits *digits, size_t at, bool hex, uint8_t out[CHUNK])
{
    size_t count = DV_MIN(digits->count - at, (size_t)CHUNK), len = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < count; i++) {
        size_t place = digits->places == NULL ? at + i : digits->places[at + i];
        uint8_t byte = digits->bytes[place];
        bits = bits << (hex ? 4 : 6) | (unsigned)(hex ? hex_of(byte) : dv_digits_value(byte));
        have += hex ? 4 : 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (uint8_t)(bits >> have);
        }
    }
    return len;
}

/* Of the first CHUNK digits of what begins like UTF-16 enough must be Latin letters; of binary
 * data, any line in a hundred begins so. */
static bool is_latin(const uint8_t *bytes, size_t len, size_t high)
{
    size_t narrow = 0;
    for (size_t at = high; at < len; at += 2) {
        narrow += bytes[at] == 0;
    }
    return narrow >= len / 2 / LATIN_PART;
}

/* Whether a part of what is UTF-16 goes on as text: fonts, sounds and vectors may begin like it. */
static bool units_go_on(const uint8_t *bytes, size_t len, size_t high, bool *ended)
{
    for (size_t at = 0; at + 1 < len; at += 2) {
        uint32_t unit = (uint32_t)bytes[at + high] << 8 | bytes[at + 1 - high];
        if (unit != 0 &&
            (*ended || is_odd_control(unit) || (unit >= 0x7F && unit < 0xA0) || unit >= 0xFFFE)) {
            return false;
        }
        *ended |= unit == 0;
    }
    return true;
}

/* The same of UTF-8, of which `good` bytes are whole characters. */
static bool bytes_go_on(const uint8_t *bytes, size_t good, size_t len, bool *ended)
{
    const uint8_t *zero = *ended ? bytes : memchr(bytes, 0, good);
    size_t text = zero == NULL ? good : (size_t)(zero - bytes);
    for (size_t i = text; zero != NULL && i < len; i++) {
        if (bytes[i] != 0) {
            return false; /* behind what ends a string of C nothing stands */
        }
    }
    *ended = zero != NULL;
    return !has_controls(bytes, text);
}

static bool begin_text(const dv_digits *digits, bool hex)
{
    uint8_t bytes[4 + CHUNK];
    size_t carried = 0; /* bytes of a character that was not whole */
    size_t high = 0;    /* of UTF-16 */
    bool wide = false, ended = false;
    for (size_t at = 0; at < digits->count; at += CHUNK) {
        size_t len = carried + decode_chunk(digits, at, hex, bytes + carried);
        if (at == 0) {
            wide = begins_utf16(bytes, len);
            high = wide && bytes[0] != 0 && !(bytes[0] == 0xFE && bytes[1] == 0xFF);
        }
        if (wide) {
            bool whole = at == 0 && digits->count >= CHUNK;
            if ((whole && !is_latin(bytes, len, high)) || !units_go_on(bytes, len, high, &ended)) {
                return false;
            }
            continue;
        }
        size_t good = dv_utf8_prefix(dv_slice_of(bytes, len));
        bool empty = at == 0 && good > 0 && bytes[0] == 0;
        if (empty || good + 3 < len || !bytes_go_on(bytes, good, len, &ended)) {
            return false;
        }
        carried = len - good;
        memmove(bytes, bytes + good, carried);
    }
    return true;
}

bool dv_digits_begin_text(const dv_digits *digits)
{
    bool hex = true;
    for (size_t i = 0; i < digits->count && hex; i++) {
        hex = hex_of(digits->bytes[digits->places == NULL ? i : digits->places[i]]) >= 0;
    }
    return (hex && begin_text(digits, true)) || begin_text(digits, false);
}

bool dv_digits_has(uint8_t byte)
{
    return dv_digits_value(byte) >= 0;
}

size_t dv_digits_run(dv_slice text, size_t at)
{
    while (at < text.len && dv_digits_value(text.ptr[at]) >= 0) {
        at++;
    }
    return at;
}

/* ---- the blocks of a text ---- */

/* Whether the run that ends at `end` may go on with what follows the text. */
static bool is_open(const dv_view *in, size_t at, size_t end, size_t count)
{
    size_t line = 0;
    if (end == in->len) {
        return true;
    }
    if (in->bytes[end] == '=') { /* of two, one may be there */
        return end + 1 == in->len && count % 4 == 2 && count >= DV_DECODE_BLOCK_MIN;
    }
    while (end - line > at && dv_digits_value(in->bytes[end - line - 1]) >= 0) {
        line++;
    }
    size_t rest = in->len - end;
    bool line_end = in->bytes[end] == '\n' ||
                    (in->bytes[end] == '\r' && (rest == 1 || in->bytes[end + 1] == '\n'));
    return line >= LINE_LEAST && line_end && rest <= (in->bytes[end] == '\r' ? 2u : 1u);
}

/* Whether the run at `at` could be the first line of a block; a hash above one is not. */
static bool line_is_text(const dv_view *in, size_t at)
{
    const dv_digits line = {in->bytes + at, NULL,
                            dv_digits_run(dv_slice_of(in->bytes, in->len), at) - at};
    return dv_digits_begin_text(&line);
}

/* What is made of a run stands for all of it, padding (RFC 4648 section 4) included. */
static void spread(const dv_view *in, const uint32_t *places, size_t count, size_t end,
                   dv_view *out, size_t from)
{
    size_t padding = count % 4 == 2 ? 2 : count % 4 == 3;
    for (; padding > 0 && end < in->len && in->bytes[end] == '='; padding--) {
        end++;
    }
    for (size_t i = from; i < out->len; i++) {
        out->start[i] = in->start[places[0]];
        out->end[i] = in->end[end - 1];
    }
}

dv_result dv_view_blocks(const dv_view *in, dv_blocks *how, dv_arena *arena, dv_view *ret)
{
    dv_view out = {.len = 0};
    size_t alone = 0; /* lines before it are blocks by themselves */
    uint32_t *places = dv_arena_alloc_raw(arena, (in->len + 1) * sizeof(*places));
    if (places == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    how->open = in->len;
    for (size_t at = how->cut ? dv_digits_run(dv_slice_of(in->bytes, in->len), 0) : 0;
         at < in->len;) {
        size_t count, hex;
        if (dv_digits_value(in->bytes[at]) < 0) {
            at++;
            continue;
        }
        bool lines = at >= alone && (!how->whole || line_is_text(in, at));
        size_t end = collect(in, at, lines, places, &count, &hex);
        const dv_digits digits = {in->bytes, places, count};
        if (how->more && is_open(in, at, end, count) && dv_digits_begin_text(&digits)) {
            how->open = at;
            break;
        }
        if (count < DV_DECODE_BLOCK_MIN) {
            at = end;
            continue;
        }
        if (out.bytes == NULL) {
            DV_TRY(view_new(in->len, arena, &out));
        }
        size_t from = out.len;
        bool text = how->whole ? decode_whole(in, &digits, hex, &out)
                               : decode_block(in, places, count, hex, &out);
        if (text && how->whole) {
            spread(in, places, count, end, &out, from);
        }
        if (!text && end - at > count) { /* a long word may have stood on the line before */
            alone = end;
            continue;
        }
        at = end;
    }
    *ret = out;
    return DV_OK;
}
