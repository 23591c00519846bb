/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/sieve.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- the tables ---- */

static bool set_holds(const uint64_t set[4], size_t byte)
{
    return ((set[byte / 64] >> (byte % 64)) & 1) != 0;
}

static void add_halves(dv_sieve *sieve, const dv_sieve_gram *gram)
{
    for (size_t i = 0; i < DV_SIEVE_WIDTH; i++) {
        const uint64_t *set = dv_sieve_sets[gram->sets[DV_SIEVE_BEHIND + i]];
        for (size_t byte = 0; byte < 256; byte++) {
            if (set_holds(set, byte)) {
                sieve->halves[i][0][byte & 15] |= (uint8_t)(1u << gram->bucket);
                sieve->halves[i][1][byte >> 4] |= (uint8_t)(1u << gram->bucket);
            }
        }
    }
}

void dv_sieve_build(dv_sieve *sieve, const dv_sieve_gram *grams, size_t count)
{
    memset(sieve, 0, sizeof(*sieve));
    for (size_t g = 0; g < count; g++) {
        add_halves(sieve, &grams[g]);
        for (size_t i = 0; i < DV_SIEVE_PLACES; i++) {
            const uint64_t *set = dv_sieve_sets[grams[g].sets[i]];
            for (size_t byte = 0; byte < 256; byte++) {
                sieve->grams[i][byte] |= set_holds(set, byte) ? UINT64_C(1) << g : 0;
            }
            sieve->grams[i][DV_SIEVE_OUTSIDE] |= grams[g].sets[i] == 0 ? UINT64_C(1) << g : 0;
        }
    }
}

/* ---- the pass ---- */

#if defined(__x86_64__)

enum { BLOCK = 64, LOOKED_AT = BLOCK + DV_SIEVE_WIDTH - 1 };

/* The tables of one of the bytes that are compared, in both halves of a register. */
typedef struct halves {
    __m256i low;
    __m256i high;
} halves;

typedef struct tables {
    halves first;
    halves second;
    halves third;
} tables;
_Static_assert(DV_SIEVE_WIDTH == 3, "a table for each");

bool dv_sieve_usable(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}

__attribute__((target("avx2"))) static inline __m256i load_table(const uint8_t *table)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

__attribute__((target("avx2"))) static inline tables load_tables(const dv_sieve *sieve)
{
    return (tables){
        {load_table(sieve->halves[0][0]), load_table(sieve->halves[0][1])},
        {load_table(sieve->halves[1][0]), load_table(sieve->halves[1][1])},
        {load_table(sieve->halves[2][0]), load_table(sieve->halves[2][1])},
    };
}

/* The buckets whose table has each of 32 bytes. */
__attribute__((target("avx2"))) static inline __m256i met_by(halves table, const uint8_t *bytes)
{
    const __m256i half = _mm256_set1_epi8(15);
    __m256i text = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
    __m256i low = _mm256_and_si256(text, half);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(text, 4), half);
    return _mm256_and_si256(_mm256_shuffle_epi8(table.low, low),
                            _mm256_shuffle_epi8(table.high, high));
}

__attribute__((target("avx2"))) static inline __m256i buckets_at(const tables *all,
                                                                 const uint8_t *bytes)
{
    return _mm256_and_si256(
        met_by(all->first, bytes),
        _mm256_and_si256(met_by(all->second, bytes + 1), met_by(all->third, bytes + 2)));
}

/* Bit i: some bucket is met at byte i of 64. */
__attribute__((target("avx2"))) static inline uint64_t stops_at(const tables *all,
                                                                const uint8_t *bytes)
{
    __m256i first = buckets_at(all, bytes);
    __m256i second = buckets_at(all, bytes + 32);
    __m256i both = _mm256_or_si256(first, second);
    if (_mm256_testz_si256(both, both) != 0) {
        return 0;
    }
    const __m256i none = _mm256_setzero_si256();
    uint32_t low = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(first, none));
    uint32_t high = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(second, none));
    return (uint64_t)high << 32 | low;
}

__attribute__((target("avx2"))) uint64_t dv_sieve_next(const dv_sieve *sieve, dv_slice text,
                                                       size_t *at)
{
    const tables all = load_tables(sieve);
    size_t place = *at;
    for (; place + LOOKED_AT <= text.len; place += BLOCK) {
        uint64_t stops = stops_at(&all, text.ptr + place);
        if (stops != 0) {
            *at = place;
            return stops;
        }
    }
    for (; place < text.len; place += BLOCK) { /* what would read past the end */
        uint8_t rest[LOOKED_AT + 32] = {0};
        size_t len = DV_MIN(text.len - place, (size_t)LOOKED_AT);
        memcpy(rest, text.ptr + place, len);
        uint64_t stops = stops_at(&all, rest);
        stops &= len < BLOCK ? (UINT64_C(1) << len) - 1 : UINT64_MAX;
        if (stops != 0) {
            *at = place;
            return stops;
        }
    }
    return 0;
}

#else

bool dv_sieve_usable(void)
{
    return false;
}

uint64_t dv_sieve_next(const dv_sieve *sieve, dv_slice text, size_t *at)
{
    return *at < text.len ? UINT64_MAX : 0; /* stops everywhere */
}

#endif

/* ---- where it stops ---- */

/* The grams that may have the text's byte at that place of theirs. */
static uint64_t grams_by(const dv_sieve *sieve, dv_slice text, size_t at, size_t place)
{
    size_t offset = at + place;
    bool inside = offset >= DV_SIEVE_BEHIND && offset - DV_SIEVE_BEHIND < text.len;
    return sieve->grams[place][inside ? text.ptr[offset - DV_SIEVE_BEHIND] : DV_SIEVE_OUTSIDE];
}

uint64_t dv_sieve_grams(const dv_sieve *sieve, dv_slice text, size_t at)
{
    /* From the middle, where halves of bytes were compared: few get past the first ones. */
    static const uint8_t order[DV_SIEVE_PLACES] = {4, 5, 6, 3, 7, 2, 8, 1, 9, 0, 10, 11};
    uint64_t met = UINT64_MAX;
    if (at < DV_SIEVE_BEHIND || at + DV_SIEVE_AHEAD > text.len) {
        for (size_t i = 0; i < DV_SIEVE_PLACES; i++) {
            met &= grams_by(sieve, text, at, i);
        }
        return met;
    }
    const uint8_t *bytes = text.ptr + at - DV_SIEVE_BEHIND;
    for (size_t i = 0; i < DV_SIEVE_PLACES && met != 0; i++) {
        met &= sieve->grams[order[i]][bytes[order[i]]];
    }
    return met;
}

bool dv_sieve_may_match(const dv_sieve *sieve, dv_slice text, size_t begin, size_t end)
{
    dv_slice part = dv_slice_sub(text, begin, end - begin);
    uint64_t stops = 0;
    for (size_t at = 0; (stops = dv_sieve_next(sieve, part, &at)) != 0; at += 64) {
        for (; stops != 0; stops &= stops - 1) {
            if (dv_sieve_grams(sieve, part, at + (size_t)__builtin_ctzll(stops)) != 0) {
                return true;
            }
        }
    }
    return false;
}
