/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/marks.h"

#include "engine/detect/decode.h"
#include "engine/detect/sieve.h"

#include <ctype.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* A block has one byte before the places that are looked for in it, and a run's length behind. */
enum { BLOCK = 64, BEFORE = 1, STEP = 48 };
_Static_assert(BEFORE + STEP + DV_DECODE_BLOCK_MIN - 1 <= BLOCK, "a run that begins last is seen");

typedef struct kinds {
    uint64_t base64; /* may stand in a block */
    uint64_t signs;  /* % & \ and what characters of interest begin with in UTF-8 */
    uint64_t digits;
    uint64_t letters; /* that look like digits */
} kinds;

static bool is_sign(uint8_t byte)
{
    static const char signs[] = "%&\\\xC2\xCD\xCE\xD0\xD8\xD9\xDB\xDF\xE0\xE1\xE2\xE3\xEF\xF0\xF3";
    return byte != 0 && strchr(signs, byte) != NULL;
}

static kinds kinds_plain(const uint8_t *bytes)
{
    kinds found = {0, 0, 0, 0};
    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t byte = bytes[i];
        bool base64 = isalnum(byte) || (byte != 0 && strchr("+/-_", byte) != NULL);
        found.base64 |= (uint64_t)base64 << i;
        found.signs |= (uint64_t)is_sign(byte) << i;
        found.digits |= (uint64_t)(isdigit(byte) != 0) << i;
        found.letters |= (uint64_t)(byte != 0 && strchr("OolI|SB", byte) != NULL) << i;
    }
    return found;
}

#if defined(__x86_64__)

/* Tables by the low half of a byte; a bit of each is a row of bytes with the same high half. */
enum { ROW_2 = 1, ROW_3 = 2, ROW_4 = 4, ROW_5 = 8, ROW_6 = 16, ROW_7 = 32 };
enum { ROW_C = 1, ROW_D = 2, ROW_E = 4, ROW_F = 8, SIGN_2 = 16, SIGN_5 = 32 };

static const uint8_t base64_rows[16] = {
    0x2a,                                                 /* 0 P p */
    0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, 0x3e, /* 1 to 9 and letters */
    0x3c,                                                 /* J Z j z */
    0x15,                                                 /* + K k */
    0x14,                                                 /* L l */
    0x15,                                                 /* - M m */
    0x14,                                                 /* N n */
    0x1d,                                                 /* / O _ o */
};

static const uint8_t sign_rows[16] = {
    [0x0] = ROW_D | ROW_E | ROW_F,
    [0x1] = ROW_E,
    [0x2] = ROW_C | ROW_E,
    [0x3] = ROW_E | ROW_F,
    [0x5] = SIGN_2,
    [0x6] = SIGN_2,
    [0x8] = ROW_D,
    [0x9] = ROW_D,
    [0xB] = ROW_D,
    [0xC] = SIGN_5,
    [0xD] = ROW_C,
    [0xE] = ROW_C,
    [0xF] = ROW_D | ROW_E,
};

static const uint8_t letter_rows[16] = {
    [0x2] = ROW_4, [0x3] = ROW_5, [0x9] = ROW_4, [0xC] = ROW_6 | ROW_7, [0xF] = ROW_4 | ROW_6,
};

static const uint8_t ascii_rows[16] = {
    [2] = ROW_2, [3] = ROW_3, [4] = ROW_4, [5] = ROW_5, [6] = ROW_6, [7] = ROW_7};
static const uint8_t upper_rows[16] = {
    [2] = SIGN_2, [5] = SIGN_5, [0xC] = ROW_C, [0xD] = ROW_D, [0xE] = ROW_E, [0xF] = ROW_F};

__attribute__((target("avx2"))) static inline __m256i load(const uint8_t *table)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

__attribute__((target("avx2"))) static inline uint32_t met(const uint8_t *table, __m256i low,
                                                           __m256i rows)
{
    __m256i both = _mm256_and_si256(_mm256_shuffle_epi8(load(table), low), rows);
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(both, _mm256_setzero_si256()));
}

__attribute__((target("avx2"))) static inline void kinds_of_32(const uint8_t *bytes, unsigned shift,
                                                               kinds *found)
{
    const __m256i half = _mm256_set1_epi8(15);
    const __m256i nine = _mm256_set1_epi8(9);
    __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
    __m256i low = _mm256_and_si256(text, half);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(text, 4), half);
    __m256i ascii = _mm256_shuffle_epi8(load(ascii_rows), high);
    __m256i upper = _mm256_shuffle_epi8(load(upper_rows), high);
    __m256i from_zero = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
    __m256i is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(from_zero, nine), from_zero);
    found->base64 |= (uint64_t)met(base64_rows, low, ascii) << shift;
    found->signs |= (uint64_t)met(sign_rows, low, upper) << shift;
    found->letters |= (uint64_t)met(letter_rows, low, ascii) << shift;
    found->digits |= (uint64_t)(uint32_t)_mm256_movemask_epi8(is_digit) << shift;
}

#endif

/* Bit i: a place at the block's byte i. */
static inline uint64_t places_of(const kinds *found)
{
    uint64_t run = found->base64;
    run &= run >> 1;
    run &= run >> 2;
    run &= run >> 4;
    run &= run >> 8;
    _Static_assert(DV_DECODE_BLOCK_MIN == 16, "four halvings");
    run &= ~(found->base64 << 1);
    uint64_t between = found->letters & (found->digits << 1) & (found->digits >> 1);
    const uint64_t own = ((UINT64_C(1) << STEP) - 1) << BEFORE;
    return (run | between | found->signs) & own;
}

/* The block whose places are those from `at` on; `rest` has room for it where the text does not. */
static inline const uint8_t *block_at(dv_slice text, size_t at, uint8_t rest[BLOCK])
{
    if (at >= BEFORE && text.len - at >= BLOCK - BEFORE) {
        return text.ptr + at - BEFORE;
    }
    size_t before = DV_MIN(at, (size_t)BEFORE);
    memset(rest, 0, BLOCK);
    memcpy(rest + BEFORE - before, text.ptr + at - before,
           DV_MIN(text.len - at, (size_t)BLOCK - BEFORE) + before);
    return rest;
}

static size_t next_plain(dv_slice text, size_t at)
{
    uint8_t rest[BLOCK];
    for (; at < text.len; at += STEP) {
        kinds found = kinds_plain(block_at(text, at, rest));
        uint64_t places = places_of(&found);
        if (places != 0) {
            return at + (size_t)__builtin_ctzll(places) - BEFORE;
        }
    }
    return text.len;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static size_t next_fast(dv_slice text, size_t at)
{
    uint8_t rest[BLOCK];
    for (; at < text.len; at += STEP) {
        const uint8_t *bytes = block_at(text, at, rest);
        kinds found = {0, 0, 0, 0};
        kinds_of_32(bytes, 0, &found);
        kinds_of_32(bytes + 32, 32, &found);
        uint64_t places = places_of(&found);
        if (places != 0) {
            return at + (size_t)__builtin_ctzll(places) - BEFORE;
        }
    }
    return text.len;
}

#else

static size_t next_fast(dv_slice text, size_t at)
{
    return next_plain(text, at);
}

#endif

size_t dv_marks_next(dv_slice text, size_t at)
{
    return dv_sieve_usable() ? next_fast(text, at) : next_plain(text, at);
}
