/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/nesting.h"

#include "base/codec.h"

/* A stack of readers: what one decodes from a string is the input of the next.
 *
 * 1. Every byte that was read is shown once, or is part of an escape that still waits.
 * 2. The escape that waits at the deepest level began before those of the levels above it.
 * 3. Level 0 is JSON for certain and never becomes plain. */

enum {
    FIRST,   /* nothing but white space yet */
    PLAIN,   /* no JSON */
    OUTSIDE, /* JSON, between strings; behind it when nothing is open */
    INSIDE,  /* in a string of it */
};

typedef struct reader {
    dv_nesting *nesting;
    dv_nesting_show show;
    void *context;
} reader;

void dv_nesting_begin(dv_nesting *nesting)
{
    *nesting = (dv_nesting){0};
    nesting->levels[0].state = OUTSIDE;
}

static dv_result show(const reader *r, size_t level, uint8_t byte, uint32_t at)
{
    bool bare = level < DV_NESTING_LEVELS && r->nesting->levels[level].state == OUTSIDE;
    return r->show(r->context, byte, at, (uint32_t)level, bare);
}

/* The levels from this one on are over: escapes that will never be whole are text. */
static dv_result settle(const reader *r, size_t from)
{
    for (size_t k = DV_NESTING_LEVELS; k-- > from;) {
        dv_nesting_level *level = &r->nesting->levels[k];
        size_t len = level->escape_len;
        level->escape_len = 0;
        if (len > 0) {
            level->state = PLAIN;
        }
        for (size_t i = 0; i < len; i++) {
            DV_TRY(show(r, k, level->escape[i], level->at[i]));
        }
    }
    return DV_OK;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void open_string(dv_nesting *nesting, size_t k)
{
    nesting->levels[k].state = INSIDE;
    if (k + 1 < DV_NESTING_LEVELS) {
        nesting->levels[k + 1] = (dv_nesting_level){0};
    }
}

static void step_first(dv_nesting *nesting, size_t k, uint8_t byte)
{
    dv_nesting_level *level = &nesting->levels[k];
    if (byte == '"') {
        open_string(nesting, k);
    } else if (byte == '{' || byte == '[') {
        level->state = OUTSIDE;
        level->open = 1;
    } else if (!is_space(byte)) {
        level->state = PLAIN;
    }
}

static void step_outside(dv_nesting *nesting, size_t k, uint8_t byte)
{
    static const char others[] = ",:0123456789+-.eEtrufalsn"; /* numbers, true, false, null */
    dv_nesting_level *level = &nesting->levels[k];
    if (is_space(byte)) {
        return;
    }
    if (k > 0 && level->open == 0) {
        level->state = PLAIN; /* text that only began like JSON */
    } else if (byte == '"') {
        open_string(nesting, k);
    } else if (byte == '{' || byte == '[') {
        level->open++;
    } else if (byte == '}' || byte == ']') {
        level->open -= level->open > 0 ? 1 : 0;
    } else if (k > 0 && memchr(others, byte, sizeof(others) - 1) == NULL) {
        level->state = PLAIN;
    }
}

/* ---- escapes ---- */

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

/* Reads \uXXXX as far as it is there: its length, or 0 where a byte does not fit. */
static size_t read_unit(const uint8_t *escape, size_t len, uint32_t *ret_unit)
{
    uint8_t bytes[2] = {0};
    for (size_t i = 0; i < DV_MIN(len, (size_t)6); i++) {
        if (i == 0 ? escape[i] != '\\' : i == 1 ? escape[i] != 'u' : !is_hex(escape[i])) {
            return 0;
        }
    }
    if (len >= 6 && dv_hex_decode(dv_slice_of(escape + 2, 4), bytes, 2) != DV_OK) {
        return 0;
    }
    *ret_unit = (uint32_t)bytes[0] << 8 | bytes[1];
    return DV_MIN(len, (size_t)6);
}

enum { MORE = 0, BROKEN = 1 }; /* of an escape; otherwise its length */

/* RFC 8259 section 7. What is malformed is a backslash like any other byte. */
static size_t judge_unicode(const dv_nesting_level *level, uint32_t *ret_code_point)
{
    uint32_t high = 0;
    uint32_t low = 0;
    size_t len = read_unit(level->escape, level->escape_len, &high);
    if (len < 6) {
        return len == 0 ? BROKEN : MORE;
    }
    *ret_code_point = high;
    if (high < 0xD800 || high > 0xDBFF) {
        return 6;
    }
    size_t rest = (size_t)level->escape_len - 6;
    len = read_unit(level->escape + 6, rest, &low);
    if (rest == 0 || (len > 0 && len < 6)) {
        return MORE;
    }
    if (len == 6 && low >= 0xDC00 && low <= 0xDFFF) {
        *ret_code_point = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        return 12;
    }
    return 6;
}

static size_t judge_escape(const dv_nesting_level *level, uint32_t *ret_code_point)
{
    static const char names[] = "bfnrt";
    static const char values[] = "\b\f\n\r\t";
    if (level->escape_len < 2) {
        return MORE;
    }
    uint8_t byte = level->escape[1];
    if (byte == 'u') {
        return judge_unicode(level, ret_code_point);
    }
    const char *name = memchr(names, byte, sizeof(names) - 1);
    *ret_code_point = name != NULL ? (uint8_t)values[name - names] : byte;
    return 2;
}

static dv_result put(const reader *r, size_t k, uint8_t byte, uint32_t at);

static dv_result put_code_point(const reader *r, size_t k, uint32_t code_point, uint32_t at)
{
    uint8_t bytes[4];
    size_t len = dv_utf8_encode(code_point, bytes);
    dv_slice text = len > 0 ? dv_slice_of(bytes, len) : DV_LIT("\xEF\xBF\xBD");
    for (size_t i = 0; i < text.len; i++) {
        DV_TRY(put(r, k, text.ptr[i], at));
    }
    return DV_OK;
}

/* The raw byte of an escape of two, beyond ASCII, is no code point but a byte of one. */
static dv_result put_escaped(const reader *r, size_t k, size_t len, uint32_t code_point,
                             uint32_t at)
{
    return len == 2 ? put(r, k, (uint8_t)code_point, at) : put_code_point(r, k, code_point, at);
}

static dv_result put_backslash(const reader *r, size_t k, uint32_t at)
{
    if (k == 0) {
        return put(r, 1, '\\', at);
    }
    DV_TRY(settle(r, k + 1));
    r->nesting->levels[k].state = PLAIN;
    return show(r, k, '\\', at);
}

static dv_result put_escape(const reader *r, size_t k, uint8_t byte, uint32_t at)
{
    dv_nesting_level *level = &r->nesting->levels[k];
    uint32_t code_point = 0;
    level->escape[level->escape_len] = byte;
    level->at[level->escape_len++] = at;
    size_t len = judge_escape(level, &code_point);
    if (len == MORE) {
        return DV_OK;
    }
    dv_nesting_level was = *level;
    level->escape_len = 0;
    DV_TRY(len == BROKEN ? put_backslash(r, k, was.at[0])
                         : put_escaped(r, k + 1, len, code_point, was.at[0]));
    for (size_t i = len; i < was.escape_len; i++) {
        DV_TRY(put(r, k, was.escape[i], was.at[i]));
    }
    return DV_OK;
}

/* ---- bytes ---- */

static dv_result put_inside(const reader *r, size_t k, uint8_t byte, uint32_t at)
{
    dv_nesting_level *level = &r->nesting->levels[k];
    if (byte == '\\' || level->escape_len > 0) {
        return put_escape(r, k, byte, at);
    }
    if (byte != '"') {
        return put(r, k + 1, byte, at);
    }
    DV_TRY(settle(r, k + 1));
    level->state = OUTSIDE;
    return show(r, k, byte, at);
}

/* One byte of the text of level k. */
static dv_result put(const reader *r, size_t k, uint8_t byte, uint32_t at)
{
    if (k == DV_NESTING_LEVELS) {
        return show(r, k, byte, at);
    }
    switch (r->nesting->levels[k].state) {
    case INSIDE:
        return put_inside(r, k, byte, at);
    case FIRST:
        step_first(r->nesting, k, byte);
        break;
    case OUTSIDE:
        step_outside(r->nesting, k, byte);
        break;
    default:
        break;
    }
    return show(r, k, byte, at);
}

dv_result dv_nesting_feed(dv_nesting *nesting, uint8_t byte, uint32_t at, dv_nesting_show show_byte,
                          void *context)
{
    const reader r = {nesting, show_byte, context};
    return put(&r, 0, byte, at);
}

bool dv_nesting_waits(const dv_nesting *nesting, uint32_t *ret_at)
{
    for (size_t k = DV_NESTING_LEVELS; k-- > 0;) {
        if (nesting->levels[k].escape_len > 0) {
            *ret_at = nesting->levels[k].at[0];
            return true;
        }
    }
    return false;
}

void dv_nesting_shift(dv_nesting *nesting, uint32_t len)
{
    for (size_t k = 0; k < DV_NESTING_LEVELS; k++) {
        dv_nesting_level *level = &nesting->levels[k];
        for (size_t i = 0; i < level->escape_len; i++) {
            level->at[i] -= len;
        }
    }
}
