/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool dv_slice_same_nocase(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

bool dv_slice_starts_with(dv_slice slice, dv_slice prefix)
{
    return slice.len >= prefix.len && dv_slice_eq(dv_slice_sub(slice, 0, prefix.len), prefix);
}

bool dv_slice_ends_with(dv_slice slice, dv_slice suffix)
{
    return slice.len >= suffix.len &&
           dv_slice_eq(dv_slice_sub(slice, slice.len - suffix.len, suffix.len), suffix);
}

int dv_slice_cmp(dv_slice a, dv_slice b)
{
    size_t common = DV_MIN(a.len, b.len);
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    if (order != 0) {
        return order;
    }
    return (a.len > b.len) - (a.len < b.len);
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

dv_slice dv_slice_trim(dv_slice slice)
{
    while (slice.len > 0 && is_space(slice.ptr[0])) {
        slice.ptr++;
        slice.len--;
    }
    while (slice.len > 0 && is_space(slice.ptr[slice.len - 1])) {
        slice.len--;
    }
    return slice;
}

ptrdiff_t dv_slice_find_byte(dv_slice slice, uint8_t byte)
{
    const uint8_t *at = slice.len == 0 ? NULL : memchr(slice.ptr, byte, slice.len);
    return at == NULL ? -1 : at - slice.ptr;
}

ptrdiff_t dv_slice_find(dv_slice slice, dv_slice needle)
{
    if (needle.len == 0) {
        return 0;
    }
    const uint8_t *at =
        slice.len < needle.len ? NULL : memmem(slice.ptr, slice.len, needle.ptr, needle.len);
    return at == NULL ? -1 : at - slice.ptr;
}

bool dv_slice_split(dv_slice *rest, uint8_t separator, dv_slice *ret_part)
{
    if (rest->ptr == NULL) {
        return false;
    }
    ptrdiff_t at = dv_slice_find_byte(*rest, separator);
    if (at < 0) {
        *ret_part = *rest;
        *rest = (dv_slice){0};
        return true;
    }
    *ret_part = dv_slice_sub(*rest, 0, (size_t)at);
    rest->ptr += at + 1;
    rest->len -= (size_t)at + 1;
    return true;
}
