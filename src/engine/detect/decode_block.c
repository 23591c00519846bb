/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"
#include "engine/detect/decode.h"
#include "engine/detect/decode_view.h"

enum {
    LINE_LEAST = 60, /* digits of a block's line that is not its last */
    CHUNK = 64,      /* digits that are decoded at once to see whether they are text */
    LATIN_PART = 4,  /* of UTF-16: at its beginning, a unit in so many is a Latin letter */
};

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
        hex = dv_digits_hex(in->bytes[at]) < 0 ? count + 1 : hex;
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
        dv_view_push(out, (uint8_t)(pair >> (4 - bit % 6)), in, places[first],
                     (size_t)places[first + 1] + 1);
    }
}

static void decode_hex(const dv_view *in, const uint32_t *places, size_t count, dv_view *out)
{
    for (size_t i = 0; i + 1 < count; i += 2) {
        unsigned high = (unsigned)dv_digits_hex(in->bytes[places[i]]) & 15;
        unsigned low = (unsigned)dv_digits_hex(in->bytes[places[i + 1]]) & 15;
        dv_view_push(out, (uint8_t)(high << 4 | low), in, places[i], (size_t)places[i + 1] + 1);
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
        !dv_view_looks_utf16(out->bytes + from, out->len - from, &high)) {
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
        bits =
            bits << (hex ? 4 : 6) | (unsigned)(hex ? dv_digits_hex(byte) : dv_digits_value(byte));
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
        hex = dv_digits_hex(digits->bytes[digits->places == NULL ? i : digits->places[i]]) >= 0;
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
            DV_TRY(dv_view_new(in->len, arena, &out));
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
