/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an encrypted file: its slots, every bit of them, and its limits. */
#include "base/codec.h"
#include "crypto/envelope.h"
#include "crypto/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CRC_AT = DV_ENVELOPE_SLOT - 4, SECRET = DV_ENVELOPE_SECRET_LEN };

typedef struct sealed {
    dv_envelope envelope;
    uint8_t secret[SECRET];
    dv_age_key recipient, identity;
    uint8_t head[DV_ENVELOPE_HEAD];
} sealed;

static void make(sealed *s, size_t recipients)
{
    memset(s, 0, sizeof(*s));
    dv_envelope_begin(&s->envelope, s->secret);
    assert_int_equal(dv_age_keypair(&s->recipient, &s->identity), DV_OK);
    for (size_t i = 0; i < recipients; i++) {
        assert_int_equal(dv_envelope_add_x25519(&s->envelope, s->secret, &s->recipient), DV_OK);
    }
    assert_int_equal(dv_envelope_bind(&s->envelope, s->secret, DV_LIT("patient/4711")), DV_OK);
    assert_int_equal(dv_envelope_write(&s->envelope, s->secret, s->head), DV_OK);
}

static void mend_crc(uint8_t *slot)
{
    dv_put_u32(slot + CRC_AT, dv_crc32c(0, dv_slice_of(slot, CRC_AT)));
}

static dv_result check(const sealed *s, dv_slice associated)
{
    unsigned slot = 9;
    dv_envelope read;
    uint8_t secret[SECRET];
    dv_result result = dv_envelope_read(s->head, &read, &slot, NULL);
    if (result == DV_OK) {
        result = dv_envelope_open_x25519(&read, &read.recipients[0], &s->identity, secret);
    }
    return result == DV_OK ? dv_envelope_check(&read, secret, &associated, NULL) : result;
}

static void test_there_and_back(void **state)
{
    unsigned slot = 9;
    dv_envelope read;
    sealed s;
    uint8_t secret[SECRET];
    dv_age_key other, stranger;
    make(&s, DV_ENVELOPE_RECIPIENTS_MAX);
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_OK);
    assert_int_equal(slot, 0);
    assert_int_equal(read.count, DV_ENVELOPE_RECIPIENTS_MAX);
    for (size_t i = 0; i < read.count; i++) {
        assert_int_equal(dv_envelope_open_x25519(&read, &read.recipients[i], &s.identity, secret),
                         DV_OK);
        assert_memory_equal(secret, s.secret, SECRET);
    }
    assert_int_equal(dv_age_keypair(&other, &stranger), DV_OK);
    assert_int_equal(dv_envelope_open_x25519(&read, &read.recipients[0], &stranger, secret),
                     DV_ERR_NOT_FOUND);
    assert_int_equal(check(&s, DV_LIT("patient/4711")), DV_OK);
    assert_int_equal(check(&s, DV_LIT("patient/4712")), DV_ERR_FORBIDDEN);
    assert_int_equal(check(&s, DV_LIT("")), DV_ERR_FORBIDDEN);
}

/* A sealed secret is worth nothing in another file's head. */
static void test_recipients_belong_to_their_file(void **state)
{
    sealed a, b;
    make(&a, 1);
    make(&b, 1);
    b.identity = a.identity;
    b.envelope.recipients[0] = a.envelope.recipients[0];
    assert_int_equal(dv_envelope_write(&b.envelope, b.secret, b.head), DV_OK);
    assert_int_equal(check(&b, DV_LIT("patient/4711")), DV_ERR_NOT_FOUND);
}

static void test_every_bit_counts(void **state)
{
    sealed s;
    make(&s, 1);
    for (size_t at = 0; at < DV_ENVELOPE_HEAD; at++) {
        for (int bit = 0; bit < 8; bit += at < 256 ? 1 : 7) {
            s.head[at] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(check(&s, DV_LIT("patient/4711")), DV_OK);
            if (at < CRC_AT) { /* one who knows the format, but not the secret */
                mend_crc(s.head);
                assert_int_not_equal(check(&s, DV_LIT("patient/4711")), DV_OK);
            }
            s.head[at] ^= (uint8_t)(1 << bit);
            mend_crc(s.head);
        }
    }
    assert_int_equal(check(&s, DV_LIT("patient/4711")), DV_OK);
}

/* At each step of a rewrap there is a head to read. */
static void test_slots(void **state)
{
    unsigned slot = 9;
    dv_envelope read;
    sealed s;
    uint8_t *second;
    make(&s, 1);
    second = s.head + DV_ENVELOPE_SLOT;
    s.envelope.generation++;
    assert_int_equal(dv_envelope_write(&s.envelope, s.secret, second), DV_OK);
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_OK);
    assert_int_equal(slot, 1);
    memset(second + 300, 0, DV_ENVELOPE_SLOT - 300); /* half of it came to the disk */
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_ERR_CONFLICT);
    assert_int_equal(slot, 0);
    assert_int_equal(read.generation, 1);
    assert_int_equal(dv_envelope_write(&s.envelope, s.secret, second), DV_OK);
    memset(s.head, 0, 300); /* half of the old one was zeroed */
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_ERR_CONFLICT);
    assert_int_equal(slot, 1);
    assert_int_equal(read.generation, 2);
    memset(s.head, 0, DV_ENVELOPE_SLOT);
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_OK);
    memset(s.head, 0, DV_ENVELOPE_HEAD);
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_ERR_CORRUPT);
}

static void test_limits(void **state)
{
    static const uint8_t zero_point[DV_AGE_KEY_LEN];
    unsigned slot;
    dv_envelope read;
    sealed s;
    dv_age_key small;
    uint8_t associated[DV_ENVELOPE_ASSOCIATED_MAX + 1] = {0};
    make(&s, DV_ENVELOPE_RECIPIENTS_MAX);
    assert_int_equal(dv_envelope_add_x25519(&s.envelope, s.secret, &s.recipient), DV_ERR_TOO_LARGE);
    assert_int_equal(
        dv_envelope_bind(&s.envelope, s.secret, dv_slice_of(associated, sizeof(associated))),
        DV_ERR_TOO_LARGE);
    for (unsigned count = 0; count < 65536; count += count < 20 ? 1 : 4099) {
        dv_put_u16(s.head + 10, (uint16_t)count);
        mend_crc(s.head);
        assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL) == DV_OK,
                         count == DV_ENVELOPE_RECIPIENTS_MAX);
    }
    make(&s, 1);
    memcpy(small.bytes, zero_point, sizeof(small.bytes));
    assert_int_equal(dv_envelope_add_x25519(&s.envelope, s.secret, &small), DV_ERR_INVALID);
    s.head[64] = 3; /* a kind of recipient to come */
    mend_crc(s.head);
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_ERR_UNSUPPORTED);
    make(&s, 1);
    s.head[8] = 2; /* a version to come */
    mend_crc(s.head);
    assert_int_equal(dv_envelope_read(s.head, &read, &slot, NULL), DV_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_recipients_belong_to_their_file),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
