/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/places.h"

#include <ctype.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BLOCK = 64 };

typedef unsigned __int128 bits128;

/* ---- one value ---- */

static bool in_token(uint8_t byte)
{
    return isalnum(byte) || (byte != '\0' && strchr("$%+-./:=@_~", byte) != NULL);
}

static bool in_run(dv_slice value, size_t digit)
{
    size_t begin = digit;
    size_t end = digit;
    while (begin > 0 && in_token(value.ptr[begin - 1]) && digit - begin < DV_PLACE_RUN) {
        begin--;
    }
    while (end < value.len && in_token(value.ptr[end]) && end - begin < DV_PLACE_RUN) {
        end++;
    }
    return end - begin >= DV_PLACE_RUN;
}

bool dv_places_has(dv_slice value)
{
    size_t last[DV_PLACE_DIGITS] = {0}; /* where the last digits stand, one more */
    size_t digits = 0;
    for (size_t i = 0; i < DV_MIN(value.len, (size_t)DV_PLACE_FAR); i++) {
        if (!isdigit(value.ptr[i])) {
            continue;
        }
        last[digits++ % DV_PLACE_DIGITS] = i;
        bool dense =
            digits >= DV_PLACE_DIGITS && i - last[digits % DV_PLACE_DIGITS] < DV_PLACE_WITHIN;
        if (dense || in_run(value, i)) {
            return true;
        }
    }
    return false;
}

/* ---- a text ---- */

/* Which bytes of a block are digits, and which may stand in a token. */
typedef struct kinds {
    uint64_t digits;
    uint64_t tokens;
} kinds;

#if defined(__x86_64__)

/* For each low half of a byte, in which rows of ASCII (bit = high half less 2) it is such a byte.
 */
static const uint8_t token_rows[16] = {
    0x2e,                                                 /* 0 @ P p */
    0x3e, 0x3e, 0x3e, 0x3f, 0x3f, 0x3e, 0x3e, 0x3e, 0x3e, /* 1 to 9, with $ and % */
    0x3e,                                                 /* : J Z j z */
    0x15,                                                 /* + K k */
    0x14,                                                 /* L l */
    0x17,                                                 /* - = M m */
    0x35,                                                 /* . N n ~ */
    0x1d,                                                 /* / O _ o */
};

__attribute__((target("avx2"))) static inline void kinds_of_32(const uint8_t *bytes,
                                                               uint32_t *digits, uint32_t *tokens)
{
    const __m256i half = _mm256_set1_epi8(15);
    const __m256i rows = _mm256_setr_epi8(0, 0, 1, 2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                                          2, 4, 8, 16, 32, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i table =
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)token_rows));
    __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
    __m256i low = _mm256_and_si256(text, half);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(text, 4), half);
    __m256i met =
        _mm256_and_si256(_mm256_shuffle_epi8(table, low), _mm256_shuffle_epi8(rows, high));
    __m256i none = _mm256_cmpeq_epi8(met, _mm256_setzero_si256());
    __m256i from_zero = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
    __m256i nine = _mm256_set1_epi8(9);
    __m256i is_digit = _mm256_cmpeq_epi8(_mm256_min_epu8(from_zero, nine), from_zero);
    *tokens = ~(uint32_t)_mm256_movemask_epi8(none);
    *digits = (uint32_t)_mm256_movemask_epi8(is_digit);
}

__attribute__((target("avx2"))) static kinds kinds_at(dv_slice text, size_t at)
{
    uint8_t rest[BLOCK] = {0};
    const uint8_t *bytes = text.ptr + at;
    uint32_t digits[2];
    uint32_t tokens[2];
    if (text.len - at < BLOCK) {
        memcpy(rest, bytes, text.len - at);
        bytes = rest;
    }
    kinds_of_32(bytes, &digits[0], &tokens[0]);
    kinds_of_32(bytes + 32, &digits[1], &tokens[1]);
    return (kinds){(uint64_t)digits[1] << 32 | digits[0], (uint64_t)tokens[1] << 32 | tokens[0]};
}

#else

static kinds kinds_at(dv_slice text, size_t at)
{
    kinds found = {0, 0};
    for (size_t i = 0; i < BLOCK && at + i < text.len; i++) {
        uint8_t byte = text.ptr[at + i];
        found.digits |= (uint64_t)(isdigit(byte) != 0) << i;
        found.tokens |= (uint64_t)in_token(byte) << i;
    }
    return found;
}

#endif

static bits128 joined(uint64_t before, uint64_t now)
{
    return (bits128)now << 64 | before;
}

/* A digit of this block, or of the end of the one before, in a run of token bytes. */
static bool has_run(kinds before, kinds now)
{
    _Static_assert(DV_PLACE_RUN == 12, "8 and 4");
    bits128 run = joined(before.tokens, now.tokens);
    run &= run >> 1;
    run &= run >> 2;
    bits128 four = run;
    run &= run >> 4;
    run &= four >> 8; /* bit i: twelve from i on */
    bits128 covered = run | run << 1;
    covered |= covered << 2;
    bits128 quarter = covered;
    covered |= covered << 4;
    covered |= quarter << 8;
    return (covered & joined(before.digits, now.digits)) != 0;
}

/* Five digits near each other, the last of them in this block. */
static bool has_digits(kinds before, kinds now)
{
    const unsigned tail = DV_PLACE_WITHIN - 1;
    unsigned last[DV_PLACE_DIGITS] = {0};
    unsigned count = 0;
    for (uint64_t rest = before.digits >> (BLOCK - tail); rest != 0; rest &= rest - 1) {
        last[count++ % DV_PLACE_DIGITS] = (unsigned)__builtin_ctzll(rest);
    }
    for (uint64_t rest = now.digits; rest != 0; rest &= rest - 1) {
        unsigned at = tail + (unsigned)__builtin_ctzll(rest);
        last[count++ % DV_PLACE_DIGITS] = at;
        if (count >= DV_PLACE_DIGITS && at - last[count % DV_PLACE_DIGITS] < DV_PLACE_WITHIN) {
            return true;
        }
    }
    return false;
}

bool dv_places_next(dv_slice text, size_t *begin, size_t *end)
{
    if (*end >= text.len) {
        return false;
    }
    size_t at = *end / BLOCK * BLOCK;
    kinds before = at > 0 ? kinds_at(text, at - BLOCK) : (kinds){0, 0};
    bool found = false;
    for (; at < text.len; at += BLOCK) {
        kinds now = kinds_at(text, at);
        bool here = now.digits != 0 || before.digits != 0;
        here = here && (has_run(before, now) || has_digits(before, now));
        before = now;
        if (here && !found) {
            *begin = at > BLOCK ? at - BLOCK : 0;
            found = true;
        }
        if (found && !here) {
            break;
        }
    }
    *end = DV_MIN(at, text.len);
    return found;
}
