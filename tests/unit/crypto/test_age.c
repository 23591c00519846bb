/* SPDX-License-Identifier: Apache-2.0 */
/* The format of age: there and back, every byte, limits. That the program `age` reads and writes
 * the same: tests/integration/log/test_backup.py. */
#include "crypto/age.h"
#include "crypto/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROOM = 1 << 20, CHUNK = 64 << 10, QUICK = 2 /* log2 of scrypt's N */ };

/* 32 bytes of 0x42, as filippo.io/age has it among its tests. */
static const char known_identity[] =
    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
/* The README of filippo.io/age. */
static const char known_recipient[] =
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

static dv_result to_buf(void *data, dv_slice bytes, dv_error *error)
{
    return dv_buf_append(data, bytes);
}

static dv_result from_slice(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    enum { FEW = 1000 }; /* as a pipe gives them */
    dv_slice *rest = data;
    size_t len = DV_MIN(DV_MIN(rest->len, room), (size_t)FEW);
    if (len > 0) {
        memcpy(out, rest->ptr, len);
    }
    *rest = dv_slice_sub(*rest, len, rest->len);
    *ret_len = len;
    return DV_OK;
}

static dv_result seal(const dv_age_lock *lock, dv_slice plain, dv_buf *out)
{
    dv_age_sink sink = {.put = to_buf, .data = out};
    dv_auto(age_writer) dv_age_writer *writer = NULL;
    DV_TRY(dv_age_writer_new(lock, &sink, &writer, NULL));
    DV_TRY(dv_age_put(writer, dv_slice_sub(plain, 0, plain.len / 3), NULL));
    DV_TRY(dv_age_put(writer, dv_slice_sub(plain, plain.len / 3, plain.len), NULL));
    return dv_age_finish(writer, NULL);
}

static dv_result unseal(const dv_age_lock *lock, dv_slice sealed, dv_buf *out, dv_error *error)
{
    uint8_t bytes[1 << 15];
    size_t len = 0;
    dv_age_source source = {.get = from_slice, .data = &sealed};
    dv_auto(age_reader) dv_age_reader *reader = NULL;
    DV_TRY(dv_age_reader_new(lock, &source, &reader, error));
    do {
        DV_TRY(dv_age_get(reader, bytes, sizeof(bytes), &len, error));
        DV_TRY(dv_buf_append(out, dv_slice_of(bytes, len)));
    } while (len > 0);
    return DV_OK;
}

static void test_keys_as_text(void **state)
{
    char text[DV_AGE_TEXT_MAX];
    dv_age_key key, again;
    for (size_t i = 0; i < sizeof(key.bytes); i++) {
        key.bytes[i] = 0x42;
    }
    dv_age_identity_format(&key, text);
    assert_string_equal(text, known_identity);
    assert_int_equal(dv_age_identity_parse(dv_slice_str(text), &again), DV_OK);
    assert_memory_equal(&key, &again, sizeof(key));
    assert_int_equal(dv_age_recipient_parse(dv_slice_str(known_recipient), &key), DV_OK);
    dv_age_recipient_format(&key, text);
    assert_string_equal(text, known_recipient);
    assert_int_equal(dv_age_identity_parse(dv_slice_str(known_recipient), &key), DV_ERR_INVALID);
    for (size_t i = 0; i < sizeof(known_recipient) - 1; i++) {
        assert_int_equal(dv_age_recipient_parse(dv_slice_of(known_recipient, i), &key),
                         DV_ERR_INVALID);
        for (int other = 1; other < 128; other++) {
            memcpy(text, known_recipient, sizeof(known_recipient));
            text[i] ^= (char)other;
            assert_int_equal(
                dv_age_recipient_parse(dv_slice_of(text, strlen(known_recipient)), &key),
                DV_ERR_INVALID);
        }
    }
}

static void round_trip(size_t len)
{
    dv_age_key recipients[2], identities[2];
    dv_auto(buf) dv_buf plain = dv_buf_init(ROOM), sealed = dv_buf_init(ROOM),
                        opened = dv_buf_init(ROOM);
    assert_int_equal(dv_age_keypair(&recipients[0], &identities[0]), DV_OK);
    assert_int_equal(dv_age_keypair(&recipients[1], &identities[1]), DV_OK);
    assert_int_equal(dv_buf_reserve(&plain, len + 1), DV_OK);
    dv_random(plain.ptr, len);
    plain.len = len;
    dv_age_lock lock = {.keys = recipients, .count = 2};
    assert_int_equal(seal(&lock, dv_buf_slice(&plain), &sealed), DV_OK);
    for (size_t i = 0; i < 2; i++) {
        dv_buf_clear(&opened);
        dv_age_lock key = {.keys = &identities[i], .count = 1};
        assert_int_equal(unseal(&key, dv_buf_slice(&sealed), &opened, NULL), DV_OK);
        assert_true(dv_slice_eq(dv_buf_slice(&plain), dv_buf_slice(&opened)));
    }
    for (size_t cut = 1; cut < sealed.len && cut < 40; cut++) { /* an end that is missing */
        dv_age_lock key = {.keys = identities, .count = 1};
        dv_slice less = dv_slice_sub(dv_buf_slice(&sealed), 0, sealed.len - cut);
        dv_buf_clear(&opened);
        assert_int_equal(unseal(&key, less, &opened, NULL), DV_ERR_CORRUPT);
    }
}

static void test_there_and_back(void **state)
{
    static const size_t lengths[] = {0,         1,         CHUNK - 1,     CHUNK,
                                     CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 300000};
    for (size_t i = 0; i < DV_ARRAY_LEN(lengths); i++) {
        round_trip(lengths[i]);
    }
}

/* Chunks can't be left out, repeated or put into another order. */
static void test_chunks_have_their_places(void **state)
{
    enum { TAG = 16, LEN = 3 * CHUNK };
    dv_age_key recipient, identity;
    dv_auto(buf) dv_buf plain = dv_buf_init(ROOM), sealed = dv_buf_init(ROOM),
                        opened = dv_buf_init(ROOM), other = dv_buf_init(ROOM);
    assert_int_equal(dv_age_keypair(&recipient, &identity), DV_OK);
    assert_int_equal(dv_buf_reserve(&plain, LEN), DV_OK);
    memset(plain.ptr, 0, LEN);
    plain.len = LEN;
    dv_age_lock lock = {.keys = &recipient, .count = 1}, key = {.keys = &identity, .count = 1};
    assert_int_equal(seal(&lock, dv_buf_slice(&plain), &sealed), DV_OK);
    size_t head = sealed.len - 3 * (size_t)(CHUNK + TAG), chunk = CHUNK + TAG;
    static const int orders[][3] = {{1, 0, 2}, {0, 0, 2}, {0, 2, -1}, {0, 1, -1}, {2, -1, -1}};
    for (size_t i = 0; i < DV_ARRAY_LEN(orders); i++) {
        dv_buf_clear(&other);
        dv_buf_clear(&opened);
        assert_int_equal(dv_buf_append(&other, dv_slice_of(sealed.ptr, head)), DV_OK);
        for (size_t k = 0; k < 3 && orders[i][k] >= 0; k++) {
            dv_slice part = dv_slice_of(sealed.ptr + head + (size_t)orders[i][k] * chunk, chunk);
            assert_int_equal(dv_buf_append(&other, part), DV_OK);
        }
        assert_int_equal(unseal(&key, dv_buf_slice(&other), &opened, NULL), DV_ERR_CORRUPT);
    }
}

static void test_every_byte(void **state)
{
    dv_age_key recipient, identity;
    dv_age_lock locks[2] = {{.keys = &recipient, .count = 1},
                            {.passphrase = DV_LIT("correct horse"), .work = QUICK}};
    dv_age_lock keys[2] = {{.keys = &identity, .count = 1},
                           {.passphrase = DV_LIT("correct horse")}};
    assert_int_equal(dv_age_keypair(&recipient, &identity), DV_OK);
    for (size_t way = 0; way < 2; way++) {
        dv_auto(buf) dv_buf sealed = dv_buf_init(ROOM), opened = dv_buf_init(ROOM);
        assert_int_equal(seal(&locks[way], DV_LIT("some text"), &sealed), DV_OK);
        assert_int_equal(unseal(&keys[way], dv_buf_slice(&sealed), &opened, NULL), DV_OK);
        for (size_t i = 0; i < sealed.len; i++) {
            sealed.ptr[i] ^= 1;
            dv_result result = unseal(&keys[way], dv_buf_slice(&sealed), &opened, NULL);
            assert_true(result == DV_ERR_CORRUPT || result == DV_ERR_FORBIDDEN);
            sealed.ptr[i] ^= 1;
            result = unseal(&keys[way], dv_slice_of(sealed.ptr, i), &opened, NULL);
            assert_int_equal(result, DV_ERR_CORRUPT);
        }
        assert_int_equal(dv_buf_append_byte(&sealed, 0), DV_OK);
        assert_int_equal(unseal(&keys[way], dv_buf_slice(&sealed), &opened, NULL), DV_ERR_CORRUPT);
    }
}

static void test_another_key(void **state)
{
    dv_age_key recipient, identity, other, other_identity;
    dv_error error = {0};
    dv_auto(buf) dv_buf sealed = dv_buf_init(ROOM), opened = dv_buf_init(ROOM);
    assert_int_equal(dv_age_keypair(&recipient, &identity), DV_OK);
    assert_int_equal(dv_age_keypair(&other, &other_identity), DV_OK);
    dv_age_lock lock = {.keys = &recipient, .count = 1};
    dv_age_lock wrong = {.keys = &other_identity, .count = 1};
    dv_age_lock passphrase = {.passphrase = DV_LIT("right"), .work = QUICK};
    dv_age_lock wrong_passphrase = {.passphrase = DV_LIT("wrong")};
    assert_int_equal(seal(&lock, DV_LIT("text"), &sealed), DV_OK);
    assert_int_equal(unseal(&wrong, dv_buf_slice(&sealed), &opened, &error), DV_ERR_FORBIDDEN);
    assert_int_equal(unseal(&passphrase, dv_buf_slice(&sealed), &opened, &error), DV_ERR_FORBIDDEN);
    dv_buf_clear(&sealed);
    assert_int_equal(seal(&passphrase, DV_LIT("text"), &sealed), DV_OK);
    assert_int_equal(unseal(&wrong_passphrase, dv_buf_slice(&sealed), &opened, NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(unseal(&wrong, dv_buf_slice(&sealed), &opened, NULL), DV_ERR_FORBIDDEN);
    assert_int_equal(opened.len, 0);
}

static void expect_head(const char *head, dv_result wanted)
{
    dv_auto(buf) dv_buf opened = dv_buf_init(ROOM);
    dv_age_key identity = {{1}};
    dv_age_lock key = {.keys = &identity, .count = 1};
    dv_age_lock passphrase = {.passphrase = DV_LIT("a")};
    bool is_scrypt = strstr(head, "scrypt") != NULL;
    assert_int_equal(unseal(is_scrypt ? &passphrase : &key, dv_slice_str(head), &opened, NULL),
                     wanted);
}

#define HEAD "age-encryption.org/v1\n"
#define B43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define MAC "--- " B43 "\n0123456789abcdef0123456789abcdef"

static void test_heads(void **state)
{
    expect_head("", DV_ERR_CORRUPT);
    expect_head(HEAD MAC, DV_ERR_CORRUPT);
    expect_head("age-encryption.org/v2\n-> X 1\n\n" MAC, DV_ERR_CORRUPT);
    expect_head(HEAD "-> other 1 2 3 4\n\n" MAC, DV_ERR_FORBIDDEN); /* of another kind */
    expect_head(HEAD "-> other\n" MAC, DV_ERR_CORRUPT);
    expect_head(HEAD "-> \n\n" MAC, DV_ERR_CORRUPT);
    expect_head(HEAD "-> X25519\n" B43 "\n" MAC, DV_ERR_CORRUPT);
    expect_head(HEAD "-> X25519 " B43 "\n" B43 "\n" MAC, DV_ERR_CORRUPT); /* low order */
    expect_head(HEAD "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 21\n" B43 "\n" MAC, DV_ERR_UNSUPPORTED);
    expect_head(HEAD "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 99\n" B43 "\n" MAC, DV_ERR_UNSUPPORTED);
    expect_head(HEAD "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 01\n" B43 "\n" MAC, DV_ERR_CORRUPT);
    expect_head(HEAD "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 2x\n" B43 "\n" MAC, DV_ERR_CORRUPT);
    expect_head(HEAD "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 100\n" B43 "\n" MAC, DV_ERR_CORRUPT);
    /* A passphrase stands alone. */
    expect_head(HEAD "-> scrypt AAAAAAAAAAAAAAAAAAAAAA 2\n" B43 "\n-> X 1\n\n" MAC, DV_ERR_CORRUPT);
}

static void test_limits(void **state)
{
    dv_age_key keys[DV_AGE_RECIPIENTS_MAX + 1] = {{{1}}};
    dv_auto(buf) dv_buf out = dv_buf_init(ROOM);
    dv_age_lock lock = {.keys = keys, .count = DV_AGE_RECIPIENTS_MAX + 1};
    assert_int_equal(seal(&lock, DV_LIT("a"), &out), DV_ERR_INVALID);
    lock = (dv_age_lock){.count = 0};
    assert_int_equal(seal(&lock, DV_LIT("a"), &out), DV_ERR_INVALID);
    dv_buf_clear(&out);
    assert_int_equal(dv_buf_append_str(&out, HEAD), DV_OK);
    for (int i = 0; i <= DV_AGE_STANZAS_MAX; i++) {
        assert_int_equal(dv_buf_append_str(&out, "-> other\n\n"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&out, MAC), DV_OK);
    expect_head(dv_buf_cstr(&out), DV_ERR_CORRUPT);
    dv_buf_clear(&out);
    assert_int_equal(dv_buf_append_str(&out, HEAD "-> other\n"), DV_OK);
    while (out.len <= DV_AGE_HEADER_MAX) {
        assert_int_equal(dv_buf_append_str(&out, B43 "AAAAAAAAAAAAAAAAAAAAA\n"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&out, "\n" MAC), DV_OK);
    expect_head(dv_buf_cstr(&out), DV_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_as_text),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_chunks_have_their_places),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_another_key),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
