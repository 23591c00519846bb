/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "base/siphash.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* RFC 3629 section 4's grammar, written down a second time and as plainly as can be. */
static size_t plain_prefix(const uint8_t *p, size_t len)
{
    static const uint8_t forms[][8] = {
        {0x00, 0x7f},
        {0xc2, 0xdf, 0x80, 0xbf},
        {0xe0, 0xe0, 0xa0, 0xbf, 0x80, 0xbf},
        {0xe1, 0xec, 0x80, 0xbf, 0x80, 0xbf},
        {0xed, 0xed, 0x80, 0x9f, 0x80, 0xbf},
        {0xee, 0xef, 0x80, 0xbf, 0x80, 0xbf},
        {0xf0, 0xf0, 0x90, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf1, 0xf3, 0x80, 0xbf, 0x80, 0xbf, 0x80, 0xbf},
        {0xf4, 0xf4, 0x80, 0x8f, 0x80, 0xbf, 0x80, 0xbf},
    };
    static const size_t lengths[] = {1, 2, 3, 3, 3, 3, 4, 4, 4};
    size_t at = 0;
    while (at < len) {
        size_t step = 0;
        for (size_t f = 0; f < DV_ARRAY_LEN(forms) && step == 0; f++) {
            size_t n = 0;
            while (n < lengths[f] && at + n < len && p[at + n] >= forms[f][2 * n] &&
                   p[at + n] <= forms[f][2 * n + 1]) {
                n++;
            }
            step = n == lengths[f] ? n : 0;
        }
        if (step == 0) {
            break;
        }
        at += step;
    }
    return at;
}

static void compare(const uint8_t *bytes, size_t len)
{
    size_t wanted = plain_prefix(bytes, len);
    size_t got = dv_utf8_prefix(dv_slice_of(bytes, len));
    if (got != wanted) {
        print_error("%zu instead of %zu of %zu\n", got, wanted, len);
    }
    assert_int_equal(got, wanted);
    assert_int_equal(dv_utf8_valid(dv_slice_of(bytes, len)), wanted == len);
}

/* All pairs and the interesting triples, across the border of two 32-byte blocks. */
static void test_all_pairs_at_every_border(void **state)
{
    uint8_t bytes[70];
    for (size_t at = 28; at < 34; at++) {
        for (unsigned pair = 0; pair < 65536; pair++) {
            memset(bytes, 'a', sizeof(bytes));
            bytes[at] = (uint8_t)(pair >> 8);
            bytes[at + 1] = (uint8_t)pair;
            compare(bytes, 64);
            bytes[at + 2] = 0x80;
            compare(bytes, 64);
            bytes[at + 3] = 0xbf;
            compare(bytes, 64);
            bytes[at + 4] = 0xbf;
            compare(bytes, 64);
        }
    }
}

/* Texts of edge bytes in pseudo-random order: mostly bad, some good. */
static void test_mixed_edges(void **state)
{
    static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
                                    0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
                                    0xf3, 0xf4, 0xf5, 0xff, 0x41, 0x41, 0x41, 0x41};
    uint64_t seed = 1;
    for (int round = 0; round < 300000; round++) {
        uint8_t bytes[40];
        memset(bytes, 'a', sizeof(bytes));
        size_t from = seed >> 33 & 31;
        for (size_t i = from; i < DV_MIN(from + 5, sizeof(bytes)); i++) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            bytes[i] = edges[(seed >> 33) % sizeof(edges)];
        }
        compare(bytes, sizeof(bytes));
        compare(bytes, from + 2);
    }
}

static void test_all_code_points(void **state)
{
    for (uint32_t code = 0; code <= 0x110000; code++) {
        uint8_t bytes[36];
        memset(bytes, 'a', sizeof(bytes));
        size_t len = dv_utf8_encode(code, bytes + 30);
        assert_int_equal(len == 0, (code >= 0xd800 && code <= 0xdfff) || code > 0x10ffff);
        assert_int_equal(dv_utf8_prefix(dv_slice_of(bytes, 30 + len)), 30 + len);
        if (len > 1) {
            assert_int_equal(dv_utf8_prefix(dv_slice_of(bytes, 30 + len - 1)), 30);
        }
    }
}

/* One byte or one letter that is not ASCII, at every place of a text of several large blocks. */
static void test_long_ascii(void **state)
{
    uint8_t bytes[400];
    for (size_t len = 250; len <= sizeof(bytes); len += 25) {
        for (size_t at = 0; at + 2 <= len; at++) {
            memset(bytes, 'a', sizeof(bytes));
            bytes[at] = 0xc3;
            compare(bytes, len);
            bytes[at + 1] = 0xa9;
            compare(bytes, len);
            bytes[at] = 'a';
            compare(bytes, len);
        }
    }
}

static void test_cut_short(void **state)
{
    uint8_t bytes[100];
    for (size_t len = 3; len < 97; len += 3) {
        for (size_t i = 0; i < len; i += 3) {
            memcpy(bytes + i, "\xe0\xa4\x95", 3);
        }
        compare(bytes, len);
        compare(bytes, len - 1);
        compare(bytes, len - 2);
    }
    assert_int_equal(dv_utf8_prefix((dv_slice){NULL, 0}), 0);
}

/* From the paper's appendix A, and one of the reference implementation's vectors. */
static void test_siphash(void **state)
{
    uint8_t key[16];
    uint8_t bytes[15];
    for (uint8_t i = 0; i < 16; i++) {
        key[i] = i;
    }
    for (uint8_t i = 0; i < 15; i++) {
        bytes[i] = i;
    }
    assert_true(dv_siphash(key, dv_slice_of(bytes, 15)) == 0xa129ca6149be45e5);
    assert_true(dv_siphash(key, (dv_slice){NULL, 0}) == 0x726fdb47dd0e0e31);
    assert_true(dv_siphash(key, dv_slice_of(bytes, 8)) == 0x93f5f5799a932462);
}

static void test_siphash_process_key(void **state)
{
    static const uint8_t zero[16];
    const uint8_t *first;
    const uint8_t *second;
    assert_int_equal(dv_siphash_process_key(&first), DV_OK);
    assert_int_equal(dv_siphash_process_key(&second), DV_OK);
    assert_ptr_equal(first, second);
    assert_memory_not_equal(first, zero, sizeof(zero));
}

static void test_hidden_characters(void **state)
{
    static const uint32_t hidden[] = {0,      0x1b,   0x1f,   0x7f,   0x9f,    0x61c,
                                      0x200b, 0x200f, 0x2028, 0x202e, 0x2066,  0x2069,
                                      0xfeff, 0xad,   0x2060, 0x2064, 0xe0000, 0xe007f};
    static const uint32_t shown[] = {0x20,   0x7e,   0xa0,   0x61b,   0x61d,  0x200a,  0x2010,
                                     0x2027, 0x202f, 0x2065, 0x206a,  0xfefe, 0x1f600, 0x10ffff,
                                     0xac,   0xae,   0x205f, 0xdffff, 0xe0080};
    for (size_t i = 0; i < DV_ARRAY_LEN(hidden); i++) {
        assert_true(dv_code_point_is_hidden(hidden[i]));
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(shown); i++) {
        assert_false(dv_code_point_is_hidden(shown[i]));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_pairs_at_every_border),
        cmocka_unit_test(test_mixed_edges),
        cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_long_ascii),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_hidden_characters),
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_siphash_process_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
