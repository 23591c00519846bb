/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/fingerprint/canary.h"

#include "crypto/random.h"

#include <stdio.h>

enum { SYLLABLES = 64 };

/* A number below `below`, which divides 2^64 or is so small beside it that nobody could tell. */
static uint64_t pick(uint64_t below)
{
    uint64_t value = 0;
    dv_random(&value, sizeof(value));
    return value % below;
}

/* A word of so many syllables: 6 bits each. */
static size_t put_word(char *out, size_t syllables)
{
    static const char first[] = "bdfgklmnprstvzjh";
    static const char second[] = "aeio";
    _Static_assert((sizeof(first) - 1) * (sizeof(second) - 1) == SYLLABLES, "6 bits a syllable");
    for (size_t i = 0; i < syllables; i++) {
        uint64_t which = pick(SYLLABLES);
        out[2 * i] = first[which / 4];
        out[2 * i + 1] = second[which % 4];
    }
    out[2 * syllables] = '\0';
    return 2 * syllables;
}

static void make_email(char out[DV_CANARY_MAX])
{
    char name[9], family[13];
    (void)put_word(name, 4);
    (void)put_word(family, 6);
    (void)snprintf(out, DV_CANARY_MAX, "%s.%s@example.com", name, family);
}

static void make_key(char out[DV_CANARY_MAX])
{
    static const char prefix[] = "cnry_";
    enum { DIGITS = 40 };
    memcpy(out, prefix, sizeof(prefix) - 1);
    dv_random_base62(out + sizeof(prefix) - 1, DIGITS);
    out[sizeof(prefix) - 1 + DIGITS] = '\0';
}

/* Luhn's sum of the digits. */
static unsigned luhn(const char *digits, size_t len)
{
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned)(digits[len - 1 - i] - '0') * (i % 2 == 1 ? 2 : 1);
        sum += digit > 9 ? digit - 9 : digit;
    }
    return sum % 10;
}

static void make_number(char out[DV_CANARY_MAX])
{
    enum { DIGITS = 18 };
    do {
        out[0] = (char)('1' + pick(9));
        for (size_t i = 1; i < DIGITS; i++) {
            out[i] = (char)('0' + pick(10));
        }
        out[DIGITS] = '\0';
    } while (luhn(out, DIGITS) == 0);
}

static void make_text(char out[DV_CANARY_MAX])
{
    size_t len = 0;
    for (size_t word = 0; word < 6; word++) {
        len += put_word(out + len, 3);
        out[len++] = word < 5 ? ' ' : '\0';
    }
}

void dv_canary_make(dv_canary_kind kind, char out[DV_CANARY_MAX])
{
    switch (kind) {
    case DV_CANARY_EMAIL:
        make_email(out);
        return;
    case DV_CANARY_KEY:
        make_key(out);
        return;
    case DV_CANARY_NUMBER:
        make_number(out);
        return;
    case DV_CANARY_TEXT:
        break;
    }
    make_text(out);
}
