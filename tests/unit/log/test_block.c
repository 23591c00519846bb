/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks: every leaf comes back byte for byte, whatever it is, and damage is told. */
#include "base/uuid.h"
#include "engine/log/block.h"
#include "engine/log/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_block_builder *builder;
static dv_buf bytes;
static uint64_t random_state = 88172645463325252;

static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static int make_builder(void **state)
{
    bytes = dv_buf_init(DV_BLOCK_LEN_MAX);
    return dv_block_builder_new(&builder) == DV_OK ? 0 : -1;
}

static int free_builder(void **state)
{
    dv_block_builder_free(builder);
    dv_buf_release(&bytes);
    return 0;
}

static void add(dv_slice leaf)
{
    assert_int_equal(dv_block_builder_add(builder, leaf), DV_OK);
}

static dv_block *finish(void)
{
    dv_block *block = NULL;
    dv_error error = {0};
    dv_buf_clear(&bytes);
    assert_int_equal(dv_block_builder_finish(builder, 4096, 3, &bytes), DV_OK);
    if (dv_block_open(dv_buf_slice(&bytes), &block, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    return block;
}

static void expect_leaf(dv_block *block, uint32_t place, dv_slice wanted)
{
    dv_auto(buf) dv_buf leaf = dv_buf_init(UINT16_MAX);
    assert_int_equal(dv_block_leaf(block, place, &leaf, NULL), DV_OK);
    if (!dv_slice_eq(dv_buf_slice(&leaf), wanted)) {
        fail_msg("leaf %u is \"%.*s\", not \"%.*s\"", place, DV_SLICE_ARGS(dv_buf_slice(&leaf)),
                 DV_SLICE_ARGS(wanted));
    }
}

/* What looks like JSON, what nearly does, and what does not. */
static const char *const texts[] = {
    "{}",
    "[]",
    "\"text\"",
    "0",
    "-0",
    "01",
    "-",
    "1.50",
    "1e9",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "true",
    "nul",
    " { \"a\" : 1 , \"b\" : [ 1 , 2 , { \"c\" : null } ] } ",
    "{\"a\":\"\"}",
    "{\"a\":\"\\\\\"}",
    "{\"a\":\"\\\"}",
    "{\"a\":\"\\\\\\\"x\"}",
    "{\"a\":1}{\"a\":2}",
    "{\"a\":1,}",
    "{\"a\":1,\"a\":2}",
    "{\"a.b\":{\"c\":1},\"a\":{\"b.c\":2}}",
    "{\"\":1}",
    "{a:1}",
    "[[[[[[1]]]]]]",
    "[1,\"1\",1.0,true,null,[],{}]",
    "{\"id\":\"0198c0de-0000-7000-8000-0123456789ab\"}",
    "{\"id\":\"0198C0DE-0000-7000-8000-0123456789AB\"}",
    "{\"id\":\"0198c0de-0000-7000-8000-0123456789abc\"}",
    "{\"id\":0198c0de-0000-7000-8000-0123456789ab}",
    "{\"time\":1,\"time\":\"x\"}",
    "{\"n\":1 }",
    "{\"n\":-5}",
    "{\"n\":007}",
    "not JSON at all \xff\xfe\x01",
    "\"",
    "{\"a\":",
    "{\"a\":\"b",
    "{\"a\"",
    "{",
    "}",
    "[",
    "[1,",
    ",",
    "{\"a\":tr\"ue}",
    "{\"a\":-}",
    "{\"a\":1.}",
    "{\"a\":1e}",
    "{\"a\":1.5e+7}",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"\\q\"}",
    "{\"a\":\"\t\"}",
    "{\"\\u0061\":1}",
};

static void test_every_text_comes_back(void **state)
{
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
            add(dv_slice_str(texts[i]));
        }
    }
    dv_auto(block) dv_block *block = finish();
    assert_int_equal(dv_block_about(block)->leaves, 3 * DV_ARRAY_LEN(texts));
    for (uint32_t i = 0; i < 3 * DV_ARRAY_LEN(texts); i++) {
        expect_leaf(block, i, dv_slice_str(texts[i % DV_ARRAY_LEN(texts)]));
    }
    /* Backwards, from the end, which moves the cursors to and fro. */
    for (uint32_t i = 3 * DV_ARRAY_LEN(texts); i-- > 0;) {
        expect_leaf(block, i, dv_slice_str(texts[i % DV_ARRAY_LEN(texts)]));
    }
}

static void test_any_bytes_come_back(void **state)
{
    enum { LEAVES = 500, LONGEST = 300 };
    static uint8_t leaves[LEAVES][LONGEST];
    static size_t lens[LEAVES];
    static const char alphabet[] = "{}[]\":,\\ 0123456789-.etrufalsn\n";
    for (size_t i = 0; i < LEAVES; i++) {
        lens[i] = 1 + random_u64() % LONGEST;
        for (size_t j = 0; j < lens[i]; j++) {
            leaves[i][j] = i % 5 == 0 ? (uint8_t)random_u64()
                                      : (uint8_t)alphabet[random_u64() % (sizeof(alphabet) - 1)];
        }
        add(dv_slice_of(leaves[i], lens[i]));
    }
    dv_auto(block) dv_block *block = finish();
    for (uint32_t i = 0; i < LEAVES; i++) {
        expect_leaf(block, i, dv_slice_of(leaves[i], lens[i]));
    }
}

/* Events with every kind of column: constant, counting, jumping, referring, of few and of many. */
static size_t event_text(uint64_t seed, char *out, size_t size)
{
    uint64_t r = seed * 0x9e3779b97f4a7c15;
    dv_uuid uuid = {{(uint8_t)r, (uint8_t)(r >> 8), 3, 4, 5, 6, 0x70, 8, 0x80, (uint8_t)(r >> 16)}};
    char id[DV_UUID_TEXT_LEN + 1];
    dv_uuid_format(&uuid, id);
    int64_t ms = 1700000000000 + (int64_t)(seed * 7);
    return (size_t)snprintf(
        out, size,
        "{\"metadata\":{\"sequence\":%llu,\"correlation_uid\":\"%s\"},\"time\":%lld,\"ns\":%lld,"
        "\"user\":{\"name\":\"user%llu\",\"uid\":\"User::\\\"user%llu\\\"\"},\"big\":%lld,"
        "\"again\":\"%s\",\"ok\":%s%s}",
        (unsigned long long)seed, id, (long long)ms, (long long)ms * 1000000 + (long long)(r >> 45),
        (unsigned long long)(r % 97), (unsigned long long)(r % 97),
        seed % 11 == 0 ? (long long)INT64_MAX : -(long long)(r >> 2), id,
        seed % 3 == 0 ? "true" : "false", seed % 5 == 0 ? ",\"groups\":[\"a\",\"b\"]" : "");
}

static void test_a_full_block(void **state)
{
    char text[1024];
    for (uint64_t i = 0; i < DV_BLOCK_LEAVES; i++) {
        add(dv_slice_of(text, event_text(i, text, sizeof(text))));
    }
    assert_int_equal(dv_block_builder_add(builder, DV_LIT("{}")), DV_ERR_INVALID);
    dv_auto(block) dv_block *block = finish();
    assert_int_equal(dv_block_about(block)->first, 4096);
    assert_int_equal(dv_block_about(block)->earliest, 1700000000000);
    assert_int_equal(dv_block_about(block)->latest, 1700000000000 + 4095 * 7);
    for (uint32_t i = 0; i < DV_BLOCK_LEAVES; i++) {
        expect_leaf(block, i, dv_slice_of(text, event_text(i, text, sizeof(text))));
    }
    for (int i = 0; i < 200; i++) {
        uint32_t place = (uint32_t)(random_u64() % DV_BLOCK_LEAVES);
        expect_leaf(block, place, dv_slice_of(text, event_text(place, text, sizeof(text))));
    }
    assert_int_equal(dv_block_leaf(block, DV_BLOCK_LEAVES, &bytes, NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_block_check(block, NULL), DV_OK);
    assert_true(bytes.len < DV_BLOCK_LEAVES * 30);
}

static void test_a_builder_is_used_again(void **state)
{
    for (int round = 0; round < 3; round++) {
        char text[1024];
        dv_block_builder_clear(builder);
        for (uint64_t i = 0; i < 300; i++) {
            add(dv_slice_of(text, event_text(i * (unsigned)(round + 1), text, sizeof(text))));
        }
        dv_auto(block) dv_block *block = finish();
        assert_int_equal(dv_block_about(block)->leaves, 300);
        expect_leaf(
            block, 299,
            dv_slice_of(text, event_text(299u * (unsigned)(round + 1), text, sizeof(text))));
    }
}

/* Names that outsiders choose make templates and columns without end: leaves are kept whole then.
 */
static void test_limits(void **state)
{
    enum { LEAVES = 4000, DEEP = 200, WIDE = 2000 };
    char text[8 * WIDE];
    for (int i = 0; i < LEAVES; i++) {
        snprintf(text, sizeof(text), "{\"key%d\":%d,\"other%d\":\"x\"}", i, i, i);
        add(dv_slice_str(text));
    }
    memset(text, '[', DEEP);
    add(dv_slice_of(text, DEEP));
    size_t len = 1;
    for (int i = 0; i < WIDE; i++) {
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%d%s", i, i + 1 < WIDE ? "," : "]");
    }
    add(dv_slice_of(text, len));
    static uint8_t longest[UINT16_MAX];
    memset(longest, 'x', sizeof(longest));
    add(dv_slice_of(longest, sizeof(longest)));
    assert_int_equal(dv_block_builder_add(builder, dv_slice_of(longest, 0)), DV_ERR_INVALID);
    dv_auto(block) dv_block *block = finish();
    assert_true(dv_block_about(block)->templates <= DV_BLOCK_TEMPLATES_MAX + 1);
    assert_true(dv_block_about(block)->columns <= DV_BLOCK_COLUMNS_MAX);
    expect_leaf(block, LEAVES + 1, dv_slice_of(text, len));
    expect_leaf(block, LEAVES + 2, dv_slice_of(longest, sizeof(longest)));
    for (int i = 0; i < LEAVES; i += 13) {
        snprintf(text, sizeof(text), "{\"key%d\":%d,\"other%d\":\"x\"}", i, i, i);
        expect_leaf(block, (uint32_t)i, dv_slice_str(text));
    }
    assert_int_equal(dv_block_check(block, NULL), DV_OK);
}

/* Whether the bytes make a block that says the same as the right one. */
static bool passes(dv_slice changed)
{
    dv_auto(block) dv_block *block = NULL;
    return dv_block_open(changed, &block, NULL) == DV_OK && dv_block_check(block, NULL) == DV_OK;
}

static void test_every_changed_byte_is_noticed(void **state)
{
    char text[1024];
    for (uint64_t i = 0; i < 40; i++) {
        add(dv_slice_of(text, event_text(i, text, sizeof(text))));
    }
    dv_auto(block) dv_block *block = finish();
    assert_int_equal(dv_block_about(block)->leaves, 40);
    assert_true(passes(dv_buf_slice(&bytes)));
    for (size_t i = 8; i < 16; i++) {
        bytes.ptr[i] ^= 1; /* "first" is in the header's sum like all else */
        assert_false(passes(dv_buf_slice(&bytes)));
        bytes.ptr[i] ^= 1;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.ptr[i] ^= 1;
        if (passes(dv_buf_slice(&bytes))) {
            fail_msg("byte %zu of %zu", i, bytes.len);
        }
        bytes.ptr[i] ^= 1;
        assert_false(passes(dv_slice_of(bytes.ptr, i)));
    }
}

static void test_filters(void **state)
{
    static uint8_t row_bytes[DV_CATALOGUE_ROW];
    char text[1024], value[64];
    int mistakes = 0;
    for (uint64_t i = 0; i < DV_BLOCK_LEAVES; i++) {
        add(dv_slice_of(text, event_text(i, text, sizeof(text))));
    }
    dv_auto(block) dv_block *block = finish();
    assert_int_equal(dv_catalogue_row_make(block, row_bytes, NULL), DV_OK);
    dv_catalogue_row row = {row_bytes, 0, 0};
    for (int i = 0; i < 97; i++) {
        snprintf(value, sizeof(value), "user%d", i);
        assert_true(dv_catalogue_may_have(&row, dv_catalogue_token_of(dv_slice_str(value))));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(value, sizeof(value), "nobody%d", i);
        mistakes += dv_catalogue_may_have(&row, dv_catalogue_token_of(dv_slice_str(value)));
    }
    assert_true(mistakes < 200);
}

#define BLOCK_TEST(name) cmocka_unit_test_setup_teardown(name, make_builder, free_builder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BLOCK_TEST(test_every_text_comes_back),
        BLOCK_TEST(test_any_bytes_come_back),
        BLOCK_TEST(test_a_full_block),
        BLOCK_TEST(test_a_builder_is_used_again),
        BLOCK_TEST(test_limits),
        BLOCK_TEST(test_every_changed_byte_is_noticed),
        BLOCK_TEST(test_filters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
