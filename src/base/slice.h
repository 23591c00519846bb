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

/* Borrows a C string; NULL gives the empty slice. */
dv_slice dv_slice_str(const char *string);

bool dv_slice_eq(dv_slice a, dv_slice b);
bool dv_slice_eq_str(dv_slice a, const char *string);

/* ASCII case-insensitive equality. */
bool dv_slice_eq_nocase(dv_slice a, dv_slice b);

bool dv_slice_starts_with(dv_slice slice, dv_slice prefix);
bool dv_slice_ends_with(dv_slice slice, dv_slice suffix);

/* Byte order comparison as memcmp, a shorter prefix first. */
int dv_slice_cmp(dv_slice a, dv_slice b);

/* Sub-slice [from, from+len), clamped to the slice. */
dv_slice dv_slice_sub(dv_slice slice, size_t from, size_t len);

/* Without ASCII white space at both ends. */
dv_slice dv_slice_trim(dv_slice slice);

/* Index of the first such byte, or -1. */
ptrdiff_t dv_slice_find_byte(dv_slice slice, uint8_t byte);

/* Index of the first occurrence of needle, or -1; an empty needle is at 0. */
ptrdiff_t dv_slice_find(dv_slice slice, dv_slice needle);

/* Takes the text before the next separator off the front of *rest. Returns false when *rest is
 * exhausted (ptr NULL). "a,,b" gives "a", "", "b". */
bool dv_slice_split(dv_slice *rest, uint8_t separator, dv_slice *ret_part);
