/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/nesting.h"

enum {
    FIRST,   /* nothing but white space yet */
    PLAIN,   /* no JSON */
    OUTSIDE, /* JSON, between strings; behind it when nothing is open */
    INSIDE,  /* in a string of it */
    ESCAPE,  /* the same, behind a backslash */
    UNICODE, /* the same, in the digits of \u */
};

void dv_nesting_begin(dv_nesting *nesting)
{
    *nesting = (dv_nesting){0};
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static void step_first(dv_nesting_level *level, uint8_t byte)
{
    if (is_space(byte)) {
        return;
    }
    bool container = byte == '{' || byte == '[';
    level->open = container ? 1 : 0;
    level->state = container ? OUTSIDE : byte == '"' ? INSIDE : PLAIN;
}

static void step_outside(dv_nesting_level *level, uint8_t byte)
{
    static const char others[] = ",:0123456789+-.eEtrufalsn"; /* numbers, true, false, null */
    if (is_space(byte)) {
        return;
    }
    if (level->open == 0) {
        level->state = PLAIN; /* text that only began like JSON */
    } else if (byte == '"') {
        level->state = INSIDE;
    } else if (byte == '{' || byte == '[') {
        level->open++;
    } else if (byte == '}' || byte == ']') {
        level->open--;
    } else if (memchr(others, byte, sizeof(others) - 1) == NULL) {
        level->state = PLAIN;
    }
}

/* True: *byte is a byte of the string's content. */
static bool step_escape(dv_nesting_level *level, uint8_t *byte)
{
    if (*byte == 'u') {
        level->state = UNICODE;
        level->hex_left = 4;
        level->code = 0;
        return false;
    }
    level->state = INSIDE;
    *byte = memchr("bfnrt", *byte, 5) != NULL ? ' ' : *byte;
    return true;
}

static bool step_unicode(dv_nesting_level *level, uint8_t *byte)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *digit = memchr(digits, *byte, sizeof(digits) - 1);
    if (digit == NULL) {
        level->state = PLAIN;
        return false;
    }
    uint32_t value = (uint32_t)(digit - digits);
    level->code = level->code * 16 + (value > 15 ? value - 6 : value);
    if (--level->hex_left > 0) {
        return false;
    }
    level->state = INSIDE;
    *byte = level->code < 0x80 ? (uint8_t)level->code : 0x80;
    return true;
}

static bool step(dv_nesting_level *level, uint8_t *byte)
{
    switch (level->state) {
    case FIRST:
        step_first(level, *byte);
        return false;
    case OUTSIDE:
        step_outside(level, *byte);
        return false;
    case INSIDE:
        level->state = *byte == '"' ? OUTSIDE : *byte == '\\' ? ESCAPE : INSIDE;
        return level->state == INSIDE;
    case ESCAPE:
        return step_escape(level, byte);
    case UNICODE:
        return step_unicode(level, byte);
    default:
        return false;
    }
}

void dv_nesting_feed(dv_nesting *nesting, uint8_t byte)
{
    for (size_t i = 0; i < DV_NESTING_LEVELS; i++) {
        dv_nesting_level *level = &nesting->levels[i];
        if (!step(level, &byte)) {
            if (level->state == OUTSIDE && i + 1 < DV_NESTING_LEVELS) {
                nesting->levels[i + 1] = (dv_nesting_level){0}; /* its next string is another */
            }
            return;
        }
    }
}

static bool is_inside(const dv_nesting_level *level)
{
    return level->state == INSIDE || level->state == ESCAPE || level->state == UNICODE;
}

uint32_t dv_nesting_depth(const dv_nesting *nesting)
{
    uint32_t depth = 0;
    while (depth < DV_NESTING_LEVELS && is_inside(&nesting->levels[depth])) {
        depth++;
    }
    return depth;
}

bool dv_nesting_bare(const dv_nesting *nesting)
{
    uint32_t depth = dv_nesting_depth(nesting);
    return depth < DV_NESTING_LEVELS && nesting->levels[depth].state == OUTSIDE;
}
