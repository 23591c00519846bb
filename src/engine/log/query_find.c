/* SPDX-License-Identifier: Apache-2.0 */
/* Searching text for a needle, upper and lower case of ASCII alike. */
#include "engine/log/query_internal.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

static bool same_here(const uint8_t *text, dv_slice needle)
{
    for (size_t i = 0; i < needle.len; i++) {
        if (dv_query_lower_byte(text[i]) != needle.ptr[i]) {
            return false;
        }
    }
    return true;
}

static ptrdiff_t find_bytewise(dv_slice text, size_t from, dv_slice needle)
{
    for (size_t at = from; at + needle.len <= text.len; at++) {
        if (dv_query_lower_byte(text.ptr[at]) == needle.ptr[0] &&
            same_here(text.ptr + at, needle)) {
            return (ptrdiff_t)at;
        }
    }
    return -1;
}

#if defined(__x86_64__)

/* What a byte of the text is or'ed with before it is compared: letters lose their case. */
static uint8_t case_bit(uint8_t byte)
{
    return byte >= 'a' && byte <= 'z' ? 0x20 : 0;
}

static inline __m128i load_16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Looks at 16 places at once: those where the needle's first and last byte stand are compared. (W.
 * Muła, "SIMD-friendly algorithms for substring searching") */
static ptrdiff_t find_wide(dv_slice text, dv_slice needle, size_t *ret_rest)
{
    uint8_t first = needle.ptr[0], last = needle.ptr[needle.len - 1];
    __m128i firsts = _mm_set1_epi8((char)first), first_case = _mm_set1_epi8((char)case_bit(first));
    __m128i lasts = _mm_set1_epi8((char)last), last_case = _mm_set1_epi8((char)case_bit(last));
    size_t at = 0;
    for (; at + needle.len - 1 + 16 <= text.len; at += 16) {
        __m128i begin = _mm_or_si128(load_16(text.ptr + at), first_case);
        __m128i end = _mm_or_si128(load_16(text.ptr + at + needle.len - 1), last_case);
        __m128i both = _mm_and_si128(_mm_cmpeq_epi8(begin, firsts), _mm_cmpeq_epi8(end, lasts));
        for (unsigned hits = (unsigned)_mm_movemask_epi8(both); hits != 0; hits &= hits - 1) {
            size_t hit = at + (size_t)__builtin_ctz(hits);
            if (same_here(text.ptr + hit, needle)) {
                return (ptrdiff_t)hit;
            }
        }
    }
    *ret_rest = at;
    return -1;
}

#endif

ptrdiff_t dv_query_find(dv_slice text, dv_slice needle)
{
    size_t rest = 0;
    if (needle.len == 0 || needle.len > text.len) {
        return needle.len == 0 ? 0 : -1;
    }
#if defined(__x86_64__)
    ptrdiff_t found = find_wide(text, needle, &rest);
    if (found >= 0) {
        return found;
    }
#endif
    return find_bytewise(text, rest, needle);
}
