/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads a binary format from its front: what is not there is taken as zeros, and says so once, at
 * the end (`good`). So a parser reads like the format, and looks at one flag. */

#include "base/codec.h"

typedef struct dv_cursor {
    dv_slice rest;
    bool bad; /* more was taken than there was */
} dv_cursor;

static inline dv_cursor dv_cursor_of(dv_slice bytes)
{
    return (dv_cursor){bytes, false};
}

/* The next bytes, borrowed; the empty slice where there are fewer. */
static inline dv_slice dv_cursor_take(dv_cursor *cursor, size_t len)
{
    if (cursor->bad || cursor->rest.len < len) {
        cursor->bad = true;
        return (dv_slice){NULL, 0};
    }
    dv_slice taken = dv_slice_sub(cursor->rest, 0, len);
    cursor->rest = dv_slice_sub(cursor->rest, len, cursor->rest.len);
    return taken;
}

static inline void dv_cursor_copy(dv_cursor *cursor, void *out, size_t len)
{
    dv_slice taken = dv_cursor_take(cursor, len);
    if (taken.len > 0) {
        memcpy(out, taken.ptr, taken.len);
    } else {
        memset(out, 0, len);
    }
}

static inline uint8_t dv_cursor_u8(dv_cursor *cursor)
{
    dv_slice taken = dv_cursor_take(cursor, 1);
    return taken.len == 0 ? 0 : taken.ptr[0];
}

static inline uint16_t dv_cursor_u16(dv_cursor *cursor)
{
    dv_slice taken = dv_cursor_take(cursor, sizeof(uint16_t));
    return taken.len == 0 ? 0 : dv_get_u16(taken.ptr);
}

static inline uint32_t dv_cursor_u32(dv_cursor *cursor)
{
    dv_slice taken = dv_cursor_take(cursor, sizeof(uint32_t));
    return taken.len == 0 ? 0 : dv_get_u32(taken.ptr);
}

static inline uint64_t dv_cursor_u64(dv_cursor *cursor)
{
    dv_slice taken = dv_cursor_take(cursor, sizeof(uint64_t));
    return taken.len == 0 ? 0 : dv_get_u64(taken.ptr);
}
