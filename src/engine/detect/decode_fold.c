/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "engine/detect/decode.h"
#include "engine/detect/decode_view.h"

#include <ctype.h>

enum {
    ENTITY_MAX = 40, /* bytes of the longest entity: zeros in front of a number do not change it */
    ESCAPE_MAX = 12, /* bytes of the longest way to write a character: a surrogate pair */
    NUMBER_REACH = 24, /* bytes on each side of a letter that are asked whether they are a number */
    NUMBER_LEAST = 9,  /* digits of the shortest such number */
};

/* Exactly `count` hexadecimal digits at `at`. */
static bool read_hex(dv_slice in, size_t at, size_t count, uint32_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = at + i < in.len ? dv_digits_hex(in.ptr[at + i]) : -1;
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
    while (i < rest.len && i - first < 7 && dv_digits_hex(rest.ptr[i]) >= 0 &&
           (hex || rest.ptr[i] <= '9')) {
        number = number * (hex ? 16 : 10) + (uint32_t)dv_digits_hex(rest.ptr[i++]);
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
    while (i < in.len && i - at - 3 < 6 && dv_digits_hex(in.ptr[i]) >= 0) {
        number = number << 4 | (uint32_t)dv_digits_hex(in.ptr[i++]);
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
        if (dv_digits_hex(rest.ptr[i]) < 0) {
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
        bool percent = rest.ptr[0] == '%' &&
                       (rest.len == 1 || (rest.len == 2 && dv_digits_hex(rest.ptr[1]) >= 0));
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
    DV_TRY(dv_view_new(in->len, arena, &out));
    for (size_t at = 0; at < in->len;) {
        uint8_t before = out.len == 0 ? 0 : out.bytes[out.len - 1];
        meaning m = what(text, at, before);
        if (m.len == 0) {
            dv_view_push(&out, in->bytes[at], in, at, at + 1);
            at++;
            continue;
        }
        changed = true;
        if (m.byte && !m.drop) {
            dv_view_push(&out, (uint8_t)m.code_point, in, at, at + m.len);
        } else if (!m.drop) {
            dv_view_push_code_point(&out, m.code_point, in, at, at + m.len);
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
