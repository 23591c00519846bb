/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: there and back around the borders of segments, and whatever was done to them. That Tink
 * reads and writes the same: tests/integration/data/test_seal.py. */
#include "base/buf.h"
#include "crypto/aead.h"
#include "crypto/random.h"
#include "crypto/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    SEGMENT = DV_STREAM_SEGMENT,
    TAG = DV_AEAD_TAG_LEN,
    FULL = SEGMENT - TAG,              /* plaintext of a segment */
    FIRST = FULL - DV_STREAM_HEAD_LEN, /* of the first one */
    ROOM = 5 * SEGMENT,
};

static const uint8_t key[DV_STREAM_KEY_LEN] = {1, 2, 3};

typedef struct reading {
    dv_slice rest;
    size_t most; /* at once, as pipes give it */
    bool fails;  /* at the end */
} reading;

static dv_result get(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    reading *from = data;
    size_t len = DV_MIN(DV_MIN(from->rest.len, room), from->most);
    if (len == 0 && from->fails) {
        return DV_ERR_IO;
    }
    if (len > 0) {
        memcpy(out, from->rest.ptr, len);
    }
    from->rest = dv_slice_sub(from->rest, len, from->rest.len);
    *ret_len = len;
    return DV_OK;
}

static dv_result put(void *data, dv_slice bytes, dv_error *error)
{
    return dv_buf_append(data, bytes);
}

static dv_result seal(dv_slice associated, dv_slice plain, size_t most, dv_buf *out)
{
    reading from = {plain, most, false};
    const dv_stream_source source = {get, &from};
    const dv_stream_sink sink = {put, out};
    dv_buf_clear(out);
    return dv_stream_seal(key, associated, &source, &sink, NULL);
}

static dv_result unseal(const uint8_t *with, dv_slice associated, dv_slice sealed, dv_buf *out)
{
    reading from = {sealed, SIZE_MAX, false};
    const dv_stream_source source = {get, &from};
    const dv_stream_sink sink = {put, out};
    dv_buf_clear(out);
    return dv_stream_open(with, associated, &source, &sink, NULL);
}

typedef struct texts {
    dv_buf plain, sealed, opened, other;
} texts;

static int setup(void **state)
{
    texts *t = calloc(1, sizeof(*t));
    t->plain = dv_buf_init(ROOM);
    t->sealed = dv_buf_init(2 * (size_t)ROOM);
    t->opened = dv_buf_init(ROOM);
    t->other = dv_buf_init(2 * (size_t)ROOM);
    *state = t;
    return dv_buf_reserve(&t->plain, ROOM);
}

static int teardown(void **state)
{
    texts *t = *state;
    dv_buf_release(&t->plain);
    dv_buf_release(&t->sealed);
    dv_buf_release(&t->opened);
    dv_buf_release(&t->other);
    free(t);
    return 0;
}

static void fill(texts *t, size_t len)
{
    dv_random(t->plain.ptr, len);
    t->plain.len = len;
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {
        0, 1, FIRST - 1, FIRST, FIRST + 1, FULL, FIRST + FULL, FIRST + FULL + 1, SEGMENT, 3 * FULL};
    texts *t = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(sizes); i++) {
        fill(t, sizes[i]);
        dv_slice plain = dv_buf_slice(&t->plain);
        size_t segments = sizes[i] <= FIRST ? 1 : 1 + (sizes[i] - FIRST + FULL - 1) / FULL;
        assert_int_equal(seal(DV_LIT("for"), plain, i % 2 == 0 ? SIZE_MAX : 100003, &t->sealed),
                         DV_OK);
        assert_int_equal(t->sealed.len, DV_STREAM_HEAD_LEN + sizes[i] + segments * TAG);
        assert_int_equal(unseal(key, DV_LIT("for"), dv_buf_slice(&t->sealed), &t->opened), DV_OK);
        assert_true(dv_slice_eq(dv_buf_slice(&t->opened), plain));
    }
}

static void refused(texts *t, dv_slice sealed)
{
    assert_int_equal(unseal(key, DV_LIT("for"), sealed, &t->opened), DV_ERR_CORRUPT);
    assert_true(t->opened.len <= t->plain.len); /* what came out is the beginning of it */
    assert_true(dv_slice_eq(dv_buf_slice(&t->opened),
                            dv_slice_sub(dv_buf_slice(&t->plain), 0, t->opened.len)));
    assert_true(t->opened.len < t->plain.len || t->plain.len == 0);
}

static void test_changes(void **state)
{
    texts *t = *state;
    fill(t, FIRST + FULL + 1000);
    assert_int_equal(seal(DV_LIT("for"), dv_buf_slice(&t->plain), SIZE_MAX, &t->sealed), DV_OK);
    const size_t places[] = {0,           1,
                             32,          33,
                             39,          40,
                             SEGMENT - 1, SEGMENT,
                             SEGMENT + 5, 2 * SEGMENT - 1,
                             2 * SEGMENT, t->sealed.len - 1};
    for (size_t i = 0; i < DV_ARRAY_LEN(places); i++) {
        for (int bit = 0; bit < 8; bit += 7) {
            t->sealed.ptr[places[i]] ^= (uint8_t)(1 << bit);
            refused(t, dv_buf_slice(&t->sealed));
            t->sealed.ptr[places[i]] ^= (uint8_t)(1 << bit);
        }
    }
    const size_t ends[] = {
        0, 1, 39, 40, 55, 56, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, t->sealed.len - 1};
    for (size_t i = 0; i < DV_ARRAY_LEN(ends); i++) {
        refused(t, dv_slice_sub(dv_buf_slice(&t->sealed), 0, ends[i]));
    }
    assert_int_equal(dv_buf_append_byte(&t->sealed, 0), DV_OK); /* something behind its end */
    refused(t, dv_buf_slice(&t->sealed));
}

/* Segments can not be left out, repeated, put elsewhere, or taken from another stream. */
static void test_segments_have_their_places(void **state)
{
    static const int orders[][4] = {{0, 2, 1, 3},  {0, 1, 1, 3},   {0, 2, 3, -1}, {1, 0, 2, 3},
                                    {0, 1, 3, -1}, {0, 3, -1, -1}, {0, 1, 2, 2}};
    texts *t = *state;
    fill(t, FIRST + 2 * (size_t)FULL + 5);
    assert_int_equal(seal(DV_LIT("for"), dv_buf_slice(&t->plain), SIZE_MAX, &t->sealed), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(orders); i++) {
        dv_buf_clear(&t->other);
        for (size_t k = 0; k < 4 && orders[i][k] >= 0; k++) {
            assert_int_equal(
                dv_buf_append(&t->other, dv_slice_sub(dv_buf_slice(&t->sealed),
                                                      (size_t)orders[i][k] * SEGMENT, SEGMENT)),
                DV_OK);
        }
        refused(t, dv_buf_slice(&t->other));
    }
    assert_int_equal(seal(DV_LIT("for"), dv_buf_slice(&t->plain), SIZE_MAX, &t->other), DV_OK);
    memcpy(t->sealed.ptr + SEGMENT, t->other.ptr + SEGMENT, SEGMENT);
    refused(t, dv_buf_slice(&t->sealed));
}

static void test_wrong_key_and_associated_data(void **state)
{
    static const uint8_t other[DV_STREAM_KEY_LEN] = {1, 2, 4};
    texts *t = *state;
    fill(t, 100);
    assert_int_equal(seal(DV_LIT("for"), dv_buf_slice(&t->plain), SIZE_MAX, &t->sealed), DV_OK);
    dv_slice sealed = dv_buf_slice(&t->sealed);
    assert_int_equal(unseal(other, DV_LIT("for"), sealed, &t->opened), DV_ERR_CORRUPT);
    assert_int_equal(t->opened.len, 0);
    assert_int_equal(unseal(key, DV_LIT("fo"), sealed, &t->opened), DV_ERR_CORRUPT);
    assert_int_equal(unseal(key, DV_LIT(""), sealed, &t->opened), DV_ERR_CORRUPT);
    assert_int_equal(t->opened.len, 0);
}

static void test_limits_and_failures(void **state)
{
    texts *t = *state;
    fill(t, DV_STREAM_ASSOCIATED_MAX + 1);
    dv_slice most = dv_slice_sub(dv_buf_slice(&t->plain), 0, DV_STREAM_ASSOCIATED_MAX);
    assert_int_equal(seal(dv_buf_slice(&t->plain), DV_LIT("x"), SIZE_MAX, &t->sealed),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(seal(most, DV_LIT("x"), SIZE_MAX, &t->sealed), DV_OK);
    assert_int_equal(unseal(key, most, dv_buf_slice(&t->sealed), &t->opened), DV_OK);
    reading from = {DV_LIT("a part"), SIZE_MAX, true};
    const dv_stream_source source = {get, &from};
    const dv_stream_sink sink = {put, &t->sealed};
    assert_int_equal(dv_stream_seal(key, most, &source, &sink, NULL), DV_ERR_IO);
    dv_buf narrow = dv_buf_init(DV_STREAM_HEAD_LEN + 1); /* a full disk */
    const dv_stream_sink full = {put, &narrow};
    from = (reading){DV_LIT("a part"), SIZE_MAX, false};
    assert_int_equal(dv_stream_seal(key, most, &source, &full, NULL), DV_ERR_TOO_LARGE);
    dv_buf_release(&narrow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_segments_have_their_places),
        cmocka_unit_test(test_wrong_key_and_associated_data),
        cmocka_unit_test(test_limits_and_failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
