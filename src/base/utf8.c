/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#include "base/codec.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static size_t prefix_by_steps(dv_slice bytes)
{
    size_t at = 0;
    while (at < bytes.len) {
        if (bytes.len - at >= 8 && (dv_get_u64(bytes.ptr + at) & 0x8080808080808080) == 0) {
            at += 8;
            continue;
        }
        uint32_t code_point;
        size_t len = dv_utf8_decode(dv_slice_sub(bytes, at, bytes.len), &code_point);
        if (len == 0) {
            break;
        }
        at += len;
    }
    return at;
}

#if defined(__x86_64__)

/* What can be wrong with two neighbouring bytes, one bit each. Three table look-ups (high half of
 * the first byte, its low half, high half of the second) that agree on a bit have found it. The
 * method is that of Keiser and Lemire, "Validating UTF-8 in less than one instruction per byte"
 * (2021). Bit PAIR is no error by itself: it marks two continuation bytes, which must stand where
 * a lead byte of three or four asked for them, and nowhere else. */
enum {
    SHORT = 1 << 0,      /* a lead byte, then no continuation */
    STRAY = 1 << 1,      /* ASCII, then a continuation */
    OVERLONG_3 = 1 << 2, /* E0 80..9F */
    BEYOND = 1 << 3,     /* F4 90..BF, F5..FF 90..BF: over U+10FFFF */
    SURROGATE = 1 << 4,  /* ED A0..BF */
    OVERLONG_2 = 1 << 5, /* C0, C1 */
    EDGE_4 = 1 << 6,     /* F0 80..8F (overlong), F5..FF 80..8F (over U+10FFFF) */
    PAIR = 1 << 7,
    ANY = SHORT | STRAY | PAIR, /* does not depend on the first byte's low half */
    SECOND = STRAY | PAIR | OVERLONG_2,
};

#define AVX2 __attribute__((target("avx2")))

typedef struct blocks {
    __m256i previous; /* the block before */
    __m256i open;     /* nonzero: it ended inside a sequence */
    __m256i bad;      /* nonzero: something was wrong */
} blocks;

#define TABLE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

AVX2 static inline __m256i look_up(__m256i table, __m256i halves)
{
    return _mm256_shuffle_epi8(table, halves);
}

AVX2 static inline __m256i high_half(__m256i bytes)
{
    return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0f));
}

AVX2 static inline __m256i pair_errors(__m256i first, __m256i second)
{
    const __m256i by_first_high =
        TABLE(STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, STRAY, (char)PAIR, (char)PAIR,
              (char)PAIR, (char)PAIR, SHORT | OVERLONG_2, SHORT, SHORT | OVERLONG_3 | SURROGATE,
              SHORT | BEYOND | EDGE_4);
    const __m256i by_first_low = TABLE(
        (char)(ANY | OVERLONG_2 | OVERLONG_3 | EDGE_4), (char)(ANY | OVERLONG_2), (char)ANY,
        (char)ANY, (char)(ANY | BEYOND), (char)(ANY | BEYOND | EDGE_4),
        (char)(ANY | BEYOND | EDGE_4), (char)(ANY | BEYOND | EDGE_4), (char)(ANY | BEYOND | EDGE_4),
        (char)(ANY | BEYOND | EDGE_4), (char)(ANY | BEYOND | EDGE_4), (char)(ANY | BEYOND | EDGE_4),
        (char)(ANY | BEYOND | EDGE_4), (char)(ANY | BEYOND | EDGE_4 | SURROGATE),
        (char)(ANY | BEYOND | EDGE_4), (char)(ANY | BEYOND | EDGE_4));
    const __m256i by_second_high =
        TABLE(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT,
              (char)(SECOND | OVERLONG_3 | EDGE_4), (char)(SECOND | OVERLONG_3 | BEYOND),
              (char)(SECOND | SURROGATE | BEYOND), (char)(SECOND | SURROGATE | BEYOND), SHORT,
              SHORT, SHORT, SHORT);
    __m256i first_low = _mm256_and_si256(first, _mm256_set1_epi8(0x0f));
    __m256i errors = _mm256_and_si256(look_up(by_first_high, high_half(first)),
                                      look_up(by_first_low, first_low));
    return _mm256_and_si256(errors, look_up(by_second_high, high_half(second)));
}

/* Bit 7 where the byte two or three places back is a lead byte that reaches to here. */
AVX2 static inline __m256i must_continue(__m256i two_back, __m256i three_back)
{
    __m256i third = _mm256_subs_epu8(two_back, _mm256_set1_epi8((char)(0xe0 - 0x80)));
    __m256i fourth = _mm256_subs_epu8(three_back, _mm256_set1_epi8((char)(0xf0 - 0x80)));
    return _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
}

/* Nonzero where one of the last three bytes leads a sequence that goes on in the next block. */
AVX2 static inline __m256i open_end(__m256i block)
{
    const __m256i most = _mm256_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                          -1, (char)(0xf0 - 1), (char)(0xe0 - 1), (char)(0xc0 - 1));
    return _mm256_subs_epu8(block, most);
}

AVX2 static inline void check_block(blocks *state, __m256i block)
{
    if (_mm256_movemask_epi8(block) == 0) {
        state->bad = _mm256_or_si256(state->bad, state->open);
        state->open = _mm256_setzero_si256();
        state->previous = block;
        return;
    }
    __m256i middle = _mm256_permute2x128_si256(state->previous, block, 0x21);
    __m256i one_back = _mm256_alignr_epi8(block, middle, 15);
    __m256i two_back = _mm256_alignr_epi8(block, middle, 14);
    __m256i three_back = _mm256_alignr_epi8(block, middle, 13);
    __m256i errors =
        _mm256_xor_si256(pair_errors(one_back, block), must_continue(two_back, three_back));
    state->bad = _mm256_or_si256(state->bad, errors);
    state->open = open_end(block);
    state->previous = block;
}

AVX2 static inline __m256i load_32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Bytes of ASCII at the beginning, in whole blocks of 128. */
AVX2 static size_t ascii_blocks(dv_slice bytes)
{
    size_t at = 0;
    for (; at + 128 <= bytes.len; at += 128) {
        const uint8_t *p = bytes.ptr + at;
        __m256i any = _mm256_or_si256(_mm256_or_si256(load_32(p), load_32(p + 32)),
                                      _mm256_or_si256(load_32(p + 64), load_32(p + 96)));
        if (_mm256_movemask_epi8(any) != 0) {
            break;
        }
    }
    return at;
}

AVX2 static bool valid_by_blocks(dv_slice bytes)
{
    blocks state = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t at = ascii_blocks(bytes);
    for (; at + 32 <= bytes.len; at += 32) {
        check_block(&state, load_32(bytes.ptr + at));
    }
    if (at < bytes.len) {
        /* The padding is ASCII, so a sequence that is cut short shows. */
        uint8_t rest[32] = {0};
        memcpy(rest, bytes.ptr + at, bytes.len - at);
        check_block(&state, load_32(rest));
    }
    state.bad = _mm256_or_si256(state.bad, state.open);
    return _mm256_testz_si256(state.bad, state.bad) != 0;
}

#endif

size_t dv_utf8_prefix(dv_slice bytes)
{
#if defined(__x86_64__)
    /* Shorter ones do not pay for the set-up. */
    if (bytes.len >= 32 && __builtin_cpu_supports("avx2") && valid_by_blocks(bytes)) {
        return bytes.len;
    }
#endif
    return prefix_by_steps(bytes);
}
