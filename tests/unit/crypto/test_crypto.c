/* SPDX-License-Identifier: Apache-2.0 */
/* Published vectors for each primitive; the Wycheproof conformance suites go further. */
#include "base/codec.h"
#include "crypto/aead.h"
#include "crypto/certificate.h"
#include "crypto/ed25519.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "crypto/siv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1024);
    assert_int_equal(dv_hex_encode(dv_slice_of(bytes, len), &text), DV_OK);
    assert_string_equal(dv_buf_cstr(&text), hex);
}

/* FIPS 180-4's example "abc", whole and in pieces. */
static void sha256_of_pieces(void **state)
{
    static const char expected[] =
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    uint8_t digest[DV_SHA256_LEN];
    dv_sha256(DV_LIT("abc"), (dv_slice){0}, (dv_slice){0}, digest);
    assert_hex(digest, sizeof(digest), expected);
    dv_sha256(DV_LIT("a"), DV_LIT("b"), DV_LIT("c"), digest);
    assert_hex(digest, sizeof(digest), expected);
}

/* RFC 4231 test case 1 (the key is shorter than ours, so it is padded with the zeros that HMAC
 * itself pads with) and a repetition, since the context is used again. */
static void hmac_of_rfc_4231(void **state)
{
    uint8_t key[DV_HMAC_KEY_LEN] = {0}, digest[DV_SHA256_LEN];
    memset(key, 0x0b, 20);
    dv_auto(hmac) dv_hmac *hmac = NULL;
    assert_int_equal(dv_hmac_new(key, &hmac), DV_OK);
    for (int i = 0; i < 2; i++) {
        dv_hmac_sign(hmac, DV_LIT("Hi There"), digest);
        assert_hex(digest, sizeof(digest),
                   "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }
}

/* RFC 4231 test cases 2 (a short key) and 6 (one that is longer than a block). */
static void hmac_with_a_key_of_any_length(void **state)
{
    uint8_t key[131], digest[DV_SHA256_LEN];
    dv_hmac_sha256(DV_LIT("Jefe"), DV_LIT("what do ya want for nothing?"), digest);
    assert_hex(digest, sizeof(digest),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    dv_hmac_sha256(dv_slice_of(key, sizeof(key)),
                   DV_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), digest);
    assert_hex(digest, sizeof(digest),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* RFC 5869 appendix A.3 (no salt, no info). */
static void hkdf_of_rfc_5869(void **state)
{
    uint8_t key[22], out[42];
    memset(key, 0x0b, sizeof(key));
    dv_slice none = {0};
    assert_int_equal(dv_hkdf(dv_slice_of(key, sizeof(key)), none, "", out, sizeof(out)), DV_OK);
    assert_hex(out, sizeof(out),
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a9"
               "6c8");
    assert_int_equal(dv_hkdf(dv_slice_of(key, sizeof(key)), none, "", out, 256 * 32),
                     DV_ERR_INVALID);
}

/* Both ways of sealing, of every length around the sizes of blocks, in place too. */
static void aead_seals_the_same_with_and_without_the_processor(void **state)
{
    enum { LONGEST = 700 };
    uint8_t key[DV_AEAD_KEY_LEN] = {7}, nonce[DV_AEAD_NONCE_LEN] = {0};
    uint8_t text[LONGEST], one[LONGEST + DV_AEAD_TAG_LEN], other[LONGEST + DV_AEAD_TAG_LEN];
    dv_auto(aead) dv_aead *aead = NULL;
    dv_auto(aead) dv_aead *portable = NULL;
    assert_int_equal(dv_aead_new(key, &aead), DV_OK);
    assert_int_equal(dv_aead_new_portable(key, &portable), DV_OK);
    for (size_t len = 0; len <= LONGEST; len++) {
        dv_slice about = dv_slice_of(text, len % 48);
        nonce[0] = (uint8_t)len;
        nonce[1] = (uint8_t)(len >> 8);
        memset(text, (int)len, sizeof(text));
        memcpy(other, text, len);
        assert_int_equal(dv_aead_seal(portable, nonce, about, dv_slice_of(text, len), one), DV_OK);
        assert_int_equal(dv_aead_seal(aead, nonce, about, dv_slice_of(other, len), other), DV_OK);
        assert_memory_equal(one, other, len + DV_AEAD_TAG_LEN);
        assert_int_equal(
            dv_aead_open(aead, nonce, about, dv_slice_of(other, len + DV_AEAD_TAG_LEN), other),
            DV_OK);
        assert_memory_equal(other, text, len);
    }
}

static void aead_seals_opens_and_refuses(void **state)
{
    uint8_t key[DV_AEAD_KEY_LEN] = {1}, nonce[DV_AEAD_NONCE_LEN] = {2}, sealed[64], plain[64];
    dv_auto(aead) dv_aead *aead = NULL;
    assert_int_equal(dv_aead_new(key, &aead), DV_OK);
    dv_slice text = DV_LIT("forty-two"), about = DV_LIT("about");
    size_t len = text.len + DV_AEAD_TAG_LEN;
    assert_int_equal(dv_aead_seal(aead, nonce, about, text, sealed), DV_OK);
    assert_int_equal(dv_aead_open(aead, nonce, about, dv_slice_of(sealed, len), plain), DV_OK);
    assert_memory_equal(plain, text.ptr, text.len);
    for (size_t i = 0; i < len; i++) {
        sealed[i] ^= 1;
        assert_int_equal(dv_aead_open(aead, nonce, about, dv_slice_of(sealed, len), plain),
                         DV_ERR_CORRUPT);
        assert_int_equal(plain[0], 0);
        sealed[i] ^= 1;
    }
    assert_int_equal(dv_aead_open(aead, nonce, DV_LIT("other"), dv_slice_of(sealed, len), plain),
                     DV_ERR_CORRUPT);
    assert_int_equal(dv_aead_open(aead, nonce, about, dv_slice_of(sealed, 15), plain),
                     DV_ERR_CORRUPT);
    assert_int_equal(dv_aead_seal(aead, nonce, (dv_slice){0}, (dv_slice){0}, sealed), DV_OK);
    assert_int_equal(dv_aead_open(aead, nonce, (dv_slice){0}, dv_slice_of(sealed, 16), plain),
                     DV_OK);
}

/* C2SP Wycheproof, aes_siv_cmac, tcId 296: the empty message under the empty associated text. */
static void siv_of_wycheproof(void **state)
{
    static const char key_text[] =
        "bc7635c1fd566aa8357fd103714bfaee1c9e5b3c578b3980401a981030254a54"
        "b1756a8c96e600b7252fd0aab12f39d115d256b3f3e7c2c41a7fece72ba7c3c4";
    uint8_t key[DV_SIV_KEY_LEN], sealed[DV_SIV_OVERHEAD];
    dv_auto(siv) dv_siv *siv = NULL;
    assert_int_equal(dv_hex_decode(dv_slice_str(key_text), key, sizeof(key)), DV_OK);
    assert_int_equal(dv_siv_new(key, &siv), DV_OK);
    assert_int_equal(dv_siv_seal(siv, (dv_slice){0}, (dv_slice){0}, sealed), DV_OK);
    assert_hex(sealed, sizeof(sealed), "44b1c6fe8a8c07dee5377b161f283c31");
}

/* Every length around the blocks of CMAC and of the key stream's turns. */
static void siv_seals_opens_and_refuses(void **state)
{
    enum { MOST = 2100 };
    static uint8_t plain[MOST], sealed[MOST + DV_SIV_OVERHEAD], again[MOST + DV_SIV_OVERHEAD];
    uint8_t key[DV_SIV_KEY_LEN];
    dv_auto(siv) dv_siv *siv = NULL, *other = NULL;
    dv_random(key, sizeof(key));
    dv_random(plain, sizeof(plain));
    assert_int_equal(dv_siv_new(key, &siv), DV_OK);
    key[0] ^= 1;
    assert_int_equal(dv_siv_new(key, &other), DV_OK);
    for (size_t len = 0; len <= MOST; len++) {
        dv_slice text = dv_slice_of(plain, len), whole = dv_slice_of(sealed, len + DV_SIV_OVERHEAD);
        assert_int_equal(dv_siv_seal(siv, (dv_slice){0}, text, sealed), DV_OK);
        assert_int_equal(dv_siv_seal(siv, (dv_slice){0}, text, again), DV_OK);
        assert_memory_equal(sealed, again, whole.len);
        assert_int_equal(dv_siv_open(siv, (dv_slice){0}, whole, again), DV_OK);
        assert_memory_equal(plain, again, len);
        assert_int_equal(dv_siv_open(siv, DV_LIT("x"), whole, again), DV_ERR_CORRUPT);
        assert_int_equal(dv_siv_open(other, (dv_slice){0}, whole, again), DV_ERR_CORRUPT);
        sealed[len / 2] ^= 1;
        assert_int_equal(dv_siv_open(siv, (dv_slice){0}, whole, again), DV_ERR_CORRUPT);
    }
    assert_int_equal(
        dv_siv_open(siv, (dv_slice){0}, dv_slice_of(sealed, DV_SIV_OVERHEAD - 1), again),
        DV_ERR_CORRUPT);
    assert_int_equal(
        dv_siv_seal(siv, (dv_slice){0}, dv_slice_of(plain, DV_SIV_TEXT_MAX + 1), again),
        DV_ERR_TOO_LARGE);
}

static void boxes_open_only_for_their_owner(void **state)
{
    uint8_t public_key[32], secret_key[32], other_public[32], other_secret[32];
    uint8_t sealed[5 + DV_BOX_OVERHEAD], plain[5];
    dv_box_keypair(public_key, secret_key);
    dv_box_keypair(other_public, other_secret);
    assert_int_equal(dv_box_seal(public_key, DV_LIT("hello"), sealed), DV_OK);
    dv_slice box = dv_slice_of(sealed, sizeof(sealed));
    assert_int_equal(dv_box_open(public_key, secret_key, box, plain), DV_OK);
    assert_memory_equal(plain, "hello", 5);
    assert_int_equal(dv_box_open(other_public, other_secret, box, plain), DV_ERR_CORRUPT);
    assert_int_equal(dv_box_open(public_key, secret_key, dv_slice_sub(box, 0, 47), plain),
                     DV_ERR_CORRUPT);
}

/* RFC 8032 section 7.1, test 2. */
static void ed25519_of_rfc_8032(void **state)
{
    uint8_t seed[32], public_key[32], signature[64];
    assert_int_equal(
        dv_hex_decode(DV_LIT("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
                      seed, sizeof(seed)),
        DV_OK);
    assert_int_equal(dv_ed25519_public(seed, public_key), DV_OK);
    assert_hex(public_key, 32, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_int_equal(dv_ed25519_sign(seed, DV_LIT("r"), signature), DV_OK);
    assert_hex(signature, 8, "92a009a9f0d4cab8");
    assert_int_equal(dv_ed25519_verify(public_key, DV_LIT("r"), signature), DV_OK);
    assert_int_equal(dv_ed25519_verify(public_key, DV_LIT("s"), signature), DV_ERR_CORRUPT);
    signature[63] ^= 1;
    assert_int_equal(dv_ed25519_verify(public_key, DV_LIT("r"), signature), DV_ERR_CORRUPT);
}

static void certificates_carry_their_names(void **state)
{
    dv_auto(secret_buf) dv_buf key = dv_buf_init(4096);
    dv_auto(buf) dv_buf certificate = dv_buf_init(4096);
    dv_error error;
    uint8_t digest[32];
    dv_time end, not_after = 1900000000 * DV_SECOND;
    assert_int_equal(dv_certificate_self_signed("localhost,127.0.0.1,::1", 1700000000 * DV_SECOND,
                                                not_after, &key, &certificate, &error),
                     DV_OK);
    assert_true(dv_slice_starts_with(dv_buf_slice(&key), DV_LIT("-----BEGIN PRIVATE KEY-----")));
    assert_int_equal(dv_certificate_fingerprint(dv_buf_slice(&certificate), digest, &end), DV_OK);
    assert_int_equal(end, not_after);
    static const char *const bad[] = {"", "a,,b", "a b", "x\nIP:1.2.3.4", "DNS:x;y"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(
            dv_certificate_self_signed(bad[i], 0, not_after, &key, &certificate, &error),
            DV_ERR_INVALID);
    }
    assert_int_equal(dv_certificate_fingerprint(DV_LIT("junk"), digest, &end), DV_ERR_INVALID);
}

static void random_texts_use_every_digit(void **state)
{
    unsigned seen[256] = {0};
    char text[62 * 200];
    dv_random_base62(text, sizeof(text));
    assert_true(dv_base62_is(dv_slice_of(text, sizeof(text))));
    for (size_t i = 0; i < sizeof(text); i++) {
        seen[(uint8_t)text[i]]++;
    }
    for (int digit = '0'; digit <= '9'; digit++) {
        assert_in_range(seen[digit], 100, 320); /* 200 expected, 7 sigma */
    }
    assert_true(dv_equal_constant_time(DV_LIT("ab"), DV_LIT("ab")));
    assert_false(dv_equal_constant_time(DV_LIT("ab"), DV_LIT("ac")));
    assert_false(dv_equal_constant_time(DV_LIT("ab"), DV_LIT("abc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_of_pieces),
        cmocka_unit_test(hmac_of_rfc_4231),
        cmocka_unit_test(hmac_with_a_key_of_any_length),
        cmocka_unit_test(hkdf_of_rfc_5869),
        cmocka_unit_test(aead_seals_opens_and_refuses),
        cmocka_unit_test(aead_seals_the_same_with_and_without_the_processor),
        cmocka_unit_test(siv_of_wycheproof),
        cmocka_unit_test(siv_seals_opens_and_refuses),
        cmocka_unit_test(boxes_open_only_for_their_owner),
        cmocka_unit_test(ed25519_of_rfc_8032),
        cmocka_unit_test(certificates_carry_their_names),
        cmocka_unit_test(random_texts_use_every_digit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
