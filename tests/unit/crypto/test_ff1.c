/* SPDX-License-Identifier: Apache-2.0 */
/* crypto/ff1: NIST's samples (SP 800-38G examples), limits, both ways of reckoning. */
#include "base/codec.h"
#include "crypto/ff1.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char digits36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

static void sample(const char *key, uint32_t radix, const char *tweak, const char *plain,
                   const char *sealed)
{
    uint8_t key_bytes[32], tweak_bytes[32];
    uint16_t text[64];
    size_t len = strlen(plain);
    dv_auto(ff1) dv_ff1 *ff1 = NULL;
    dv_slice tweak_slice = dv_slice_of(tweak_bytes, strlen(tweak) / 2);
    assert_int_equal(dv_hex_decode(dv_slice_str(key), key_bytes, strlen(key) / 2), DV_OK);
    assert_int_equal(dv_hex_decode(dv_slice_str(tweak), tweak_bytes, strlen(tweak) / 2), DV_OK);
    for (size_t i = 0; i < len; i++) {
        text[i] = (uint16_t)(strchr(digits36, plain[i]) - digits36);
    }
    assert_int_equal(dv_ff1_new(dv_slice_of(key_bytes, strlen(key) / 2), radix, &ff1), DV_OK);
    assert_int_equal(dv_ff1_encrypt(ff1, tweak_slice, text, len, text), DV_OK);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(digits36[text[i]], sealed[i]);
    }
    assert_int_equal(dv_ff1_decrypt(ff1, tweak_slice, text, len, text), DV_OK);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(digits36[text[i]], plain[i]);
    }
}

static void samples_of_nist(void **state)
{
    (void)state;
    static const char key[] = "2B7E151628AED2A6ABF7158809CF4F3C";
    sample(key, 10, "", "0123456789", "2433477484");
    sample(key, 10, "39383736353433323130", "0123456789", "6124200773");
    sample(key, 36, "3737373770717273373737", "0123456789abcdefghi", "a9tv40mll9kdu509eum");
}

/* Every radix and length comes back, whichever numbers it takes. */
static void comes_back(void **state)
{
    (void)state;
    static const uint32_t radixes[] = {2, 10, 62, 255, 256, 65535, 65536};
    static const uint8_t key[32] = {7};
    for (size_t r = 0; r < DV_ARRAY_LEN(radixes); r++) {
        dv_auto(ff1) dv_ff1 *ff1 = NULL;
        assert_int_equal(dv_ff1_new(dv_slice_of(key, 32), radixes[r], &ff1), DV_OK);
        for (size_t len = 8; len <= 200; len += 3) {
            uint16_t text[200], sealed[200];
            for (size_t i = 0; i < len; i++) {
                text[i] = (uint16_t)((i * 7919 + len) % radixes[r]);
            }
            assert_int_equal(dv_ff1_encrypt(ff1, dv_slice_of(key, len % 32), text, len, sealed),
                             DV_OK);
            assert_memory_not_equal(text, sealed, len * sizeof(*text));
            assert_int_equal(dv_ff1_decrypt(ff1, dv_slice_of(key, len % 32), sealed, len, sealed),
                             DV_OK);
            assert_memory_equal(text, sealed, len * sizeof(*text));
        }
    }
}

static void refuses(void **state)
{
    (void)state;
    static const uint8_t key[32];
    static uint8_t tweak[DV_FF1_TWEAK_MAX + 1];
    static uint16_t text[DV_FF1_DIGITS_MAX + 1];
    dv_auto(ff1) dv_ff1 *ff1 = NULL;
    assert_int_equal(dv_ff1_new(dv_slice_of(key, 31), 10, &ff1), DV_ERR_INVALID);
    assert_int_equal(dv_ff1_new(dv_slice_of(key, 32), 1, &ff1), DV_ERR_INVALID);
    assert_int_equal(dv_ff1_new(dv_slice_of(key, 32), DV_FF1_RADIX_MAX + 1, &ff1), DV_ERR_INVALID);
    assert_int_equal(dv_ff1_new(dv_slice_of(key, 32), 10, &ff1), DV_OK);
    dv_slice none = {NULL, 0};
    assert_int_equal(dv_ff1_encrypt(ff1, none, text, 1, text), DV_ERR_INVALID);
    assert_int_equal(dv_ff1_encrypt(ff1, none, text, DV_FF1_DIGITS_MAX, text), DV_OK);
    assert_int_equal(dv_ff1_encrypt(ff1, none, text, DV_FF1_DIGITS_MAX + 1, text),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(dv_ff1_encrypt(ff1, dv_slice_of(tweak, sizeof(tweak)), text, 6, text),
                     DV_ERR_TOO_LARGE);
    text[3] = 10;
    assert_int_equal(dv_ff1_encrypt(ff1, none, text, 6, text), DV_ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_of_nist),
        cmocka_unit_test(comes_back),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
