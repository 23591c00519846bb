/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* Borrowed bytes: never owned, never NUL-terminated by promise. {NULL, 0} is the empty slice. */
typedef struct dv_slice {
    const uint8_t *ptr;
    size_t len;
} dv_slice;

/* `%.*s` arguments for printf. */
#define DV_SLICE_ARGS(slice) (int)(slice).len, (const char *)(slice).ptr

/* A slice over a string literal, without its NUL. */
#define DV_LIT(literal) ((dv_slice){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline dv_slice dv_slice_of(const void *ptr, size_t len)
{
    return (dv_slice){(const uint8_t *)ptr, len};
}

/* The smallest ones are inline: requests spend their time in them. clang's analyzer, which would
 * follow the empty slice's NULL into every reader, only sees that they are there. */
#ifdef __clang_analyzer__
dv_slice dv_slice_str(const char *string);
bool dv_slice_eq(dv_slice a, dv_slice b);
bool dv_slice_eq_str(dv_slice a, const char *string);
dv_slice dv_slice_sub(dv_slice slice, size_t from, size_t len);
#else
/* Borrows a C string; NULL gives the empty slice. */
static inline dv_slice dv_slice_str(const char *string)
{
    return string == NULL ? (dv_slice){NULL, 0} : dv_slice_of(string, strlen(string));
}

static inline bool dv_slice_eq(dv_slice a, dv_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool dv_slice_eq_str(dv_slice a, const char *string)
{
    return dv_slice_eq(a, dv_slice_str(string));
}

/* Sub-slice [from, from+len), clamped to the slice. */
static inline dv_slice dv_slice_sub(dv_slice slice, size_t from, size_t len)
{
    if (from >= slice.len) {
        return (dv_slice){slice.ptr == NULL ? NULL : slice.ptr + slice.len, 0};
    }
    return dv_slice_of(slice.ptr + from, DV_MIN(len, slice.len - from));
}
#endif

/* ASCII case-insensitive equality. */
bool dv_slice_same_nocase(const uint8_t *a, const uint8_t *b, size_t len);
static inline bool dv_slice_eq_nocase(dv_slice a, dv_slice b)
{
    return a.len == b.len && dv_slice_same_nocase(a.ptr, b.ptr, a.len);
}

bool dv_slice_starts_with(dv_slice slice, dv_slice prefix);
bool dv_slice_ends_with(dv_slice slice, dv_slice suffix);

/* Byte order comparison as memcmp, a shorter prefix first. */
int dv_slice_cmp(dv_slice a, dv_slice b);

/* Copies into a C string, cut where the room ends; size > 0. */
static inline void dv_slice_copy(dv_slice slice, char *out, size_t size)
{
    size_t len = DV_MIN(slice.len, size - 1);
    if (len > 0) {
        memcpy(out, slice.ptr, len);
    }
    out[len] = '\0';
}

/* Without ASCII white space at both ends. */
dv_slice dv_slice_trim(dv_slice slice);

/* Index of the first such byte, or -1. */
ptrdiff_t dv_slice_find_byte(dv_slice slice, uint8_t byte);

/* Index of the first occurrence of needle, or -1; an empty needle is at 0. */
ptrdiff_t dv_slice_find(dv_slice slice, dv_slice needle);

/* Takes the text before the next separator off the front of *rest. Returns false when *rest is
 * exhausted (ptr NULL). "a,,b" gives "a", "", "b". */
bool dv_slice_split(dv_slice *rest, uint8_t separator, dv_slice *ret_part);
