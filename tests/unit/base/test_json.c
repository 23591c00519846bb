/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const dv_json_limits usual = {.depth = 64, .tokens = 1 << 20};
static const dv_json_limits strict = {
    .depth = 64, .tokens = 1 << 20, .refuse_duplicate_keys = true};

static dv_arena *arena;

static int set_up(void **state)
{
    arena = dv_arena_new(256 << 20);
    return arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    dv_arena_free(arena);
    return 0;
}

static dv_json scan(const char *text)
{
    dv_json json = {0};
    dv_error error = {0};
    dv_result result = dv_json_scan(dv_slice_str(text), &usual, arena, &json, &error);
    if (result != DV_OK) {
        print_error("%s: line %d column %d: %s\n", text, error.line, error.column, error.message);
    }
    assert_int_equal(result, DV_OK);
    return json;
}

static void refuse_with(dv_slice text, const dv_json_limits *limits, dv_result result, int line,
                        int column)
{
    dv_json json = {.count = 77};
    dv_error error = {0};
    assert_int_equal(dv_json_scan(text, limits, arena, &json, &error), result);
    assert_int_equal(json.count, 77);
    assert_int_equal(error.result, result);
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
    assert_true(error.message[0] != '\0');
    assert_int_equal(dv_json_scan(text, limits, arena, &json, NULL), result);
}

static void refuse(const char *text, int line, int column)
{
    refuse_with(dv_slice_str(text), &usual, DV_ERR_INVALID, line, column);
}

static void expect_token(const dv_json *json, uint32_t at, dv_json_type type, const char *raw,
                         uint32_t next, uint16_t depth)
{
    assert_true(at < json->count);
    assert_int_equal(json->tokens[at].type, type);
    assert_int_equal(json->tokens[at].next, next);
    assert_int_equal(json->tokens[at].depth, depth);
    assert_true(dv_slice_eq_str(dv_json_raw(json, at), raw));
}

static void test_tape(void **state)
{
    dv_json json = scan(" {\"a\" : [1, \"x\\n\", {}], \"b\":{\"c\":null},\"d\":true} ");
    assert_int_equal(json.count, 12);
    expect_token(&json, 0, DV_JSON_OBJECT,
                 "{\"a\" : [1, \"x\\n\", {}], \"b\":{\"c\":null},\"d\":true}", 12, 0);
    expect_token(&json, 1, DV_JSON_KEY, "a", 6, 1);
    expect_token(&json, 2, DV_JSON_ARRAY, "[1, \"x\\n\", {}]", 6, 1);
    expect_token(&json, 3, DV_JSON_NUMBER, "1", 4, 2);
    expect_token(&json, 4, DV_JSON_STRING, "x\\n", 5, 2);
    assert_true(json.tokens[4].escaped && !json.tokens[1].escaped);
    expect_token(&json, 5, DV_JSON_OBJECT, "{}", 6, 2);
    expect_token(&json, 6, DV_JSON_KEY, "b", 10, 1);
    expect_token(&json, 7, DV_JSON_OBJECT, "{\"c\":null}", 10, 1);
    expect_token(&json, 8, DV_JSON_KEY, "c", 10, 2);
    expect_token(&json, 9, DV_JSON_NULL, "null", 10, 2);
    expect_token(&json, 10, DV_JSON_KEY, "d", 12, 1);
    expect_token(&json, 11, DV_JSON_TRUE, "true", 12, 1);
}

static void test_top_scalars(void **state)
{
    dv_json json = scan("false");
    expect_token(&json, 0, DV_JSON_FALSE, "false", 1, 0);
    json = scan("\n-0.5E+10\t");
    expect_token(&json, 0, DV_JSON_NUMBER, "-0.5E+10", 1, 0);
    json = scan("\"\"");
    expect_token(&json, 0, DV_JSON_STRING, "", 1, 0);
    json = scan("[]");
    expect_token(&json, 0, DV_JSON_ARRAY, "[]", 1, 0);
}

static void test_array_scalars_skipped(void **state)
{
    dv_json_limits limits = usual;
    limits.skip_array_scalars = true;
    dv_json json;
    dv_slice text = DV_LIT("{\"v\":[0.25,-1,true,null,\"s\",[2],{\"n\":3}]}");
    assert_int_equal(dv_json_scan(text, &limits, arena, &json, NULL), DV_OK);
    assert_int_equal(json.count, 8);
    expect_token(&json, 3, DV_JSON_STRING, "s", 4, 2);
    expect_token(&json, 4, DV_JSON_ARRAY, "[2]", 5, 2);
    expect_token(&json, 7, DV_JSON_NUMBER, "3", 8, 3);
    text = DV_LIT("[1234567,12345678,-123456789.5,0.123456789]");
    assert_int_equal(dv_json_scan(text, &limits, arena, &json, NULL), DV_OK);
    assert_int_equal(json.count, 3);
    expect_token(&json, 1, DV_JSON_NUMBER, "12345678", 2, 1);
    expect_token(&json, 2, DV_JSON_NUMBER, "-123456789.5", 3, 1);
    refuse_with(DV_LIT("[1,,2]"), &limits, DV_ERR_INVALID, 1, 4);
    refuse_with(DV_LIT("[01]"), &limits, DV_ERR_INVALID, 1, 3);
    refuse_with(DV_LIT("[1 2]"), &limits, DV_ERR_INVALID, 1, 4);
}

static void test_places_of_errors(void **state)
{
    refuse("", 1, 1);
    refuse("  ", 1, 3);
    refuse("{\n \"a\": tru\n}", 2, 7);
    refuse("{\n\n\"a\" 1}", 3, 5);
    refuse("[1\n,2\n,]", 3, 2);
    refuse("{\"a\":1,}", 1, 8);
    refuse("[1]]", 1, 4);
    refuse("[1}", 1, 3);
    refuse("{\"a\":1]", 1, 7);
    refuse("\"a\nb\"", 1, 3);
    refuse("\"a\\x\"", 1, 4);
    refuse("\"a\\u12g4\"", 1, 7);
    refuse("\"abc", 1, 5);
    refuse("[1.]", 1, 4);
    refuse("-", 1, 2);
    refuse("1e+", 1, 4);
    refuse("{,}", 1, 2);
    refuse("nul", 1, 1);
    refuse("\xef\xbb\xbf{}", 1, 1);
    refuse_with(dv_slice_of("[1]\0", 4), &usual, DV_ERR_INVALID, 1, 4);
}

static void test_utf8_is_checked(void **state)
{
    dv_json json = scan("[\"\xe0\xa4\xa6\xe0\xa5\x8d\xe0\xa4\xb5\xe0\xa4\xbe\xe0\xa4\xb0\"]");
    assert_int_equal(json.tokens[1].len, 15);
    refuse("[\"ab\xff\"]", 1, 5);
    refuse("[\"\xc0\xaf\"]", 1, 3);
    refuse("[\"\xed\xa0\x80\"]", 1, 3);
    refuse("[\"\xf4\x90\x80\x80\"]", 1, 3);
    refuse("[\"\xe2\x82", 1, 3);
    refuse("\n[\"0123456789012345678901234567890123456789012345678901234567890\xe2\x82\"]", 2, 64);
}

static void test_depth_limit(void **state)
{
    dv_json_limits limits = usual;
    limits.depth = 3;
    dv_json json;
    assert_int_equal(dv_json_scan(DV_LIT("[[[1]]]"), &limits, arena, &json, NULL), DV_OK);
    refuse_with(DV_LIT("[[[{}]]]"), &limits, DV_ERR_TOO_LARGE, 1, 4);
    limits.depth = 0;
    assert_int_equal(dv_json_scan(DV_LIT("1"), &limits, arena, &json, NULL), DV_OK);
    refuse_with(DV_LIT("[]"), &limits, DV_ERR_TOO_LARGE, 1, 1);
}

/* A token's depth has 16 bits, whatever the caller asks for. */
static void test_depth_never_wraps(void **state)
{
    dv_json_limits limits = usual;
    limits.depth = UINT32_MAX;
    enum { DEEP = 70000 };
    dv_auto(free) char *text = malloc(DEEP);
    assert_non_null(text);
    memset(text, '[', DEEP);
    refuse_with(dv_slice_of(text, DEEP), &limits, DV_ERR_TOO_LARGE, 1, UINT16_MAX + 1);
}

static void test_token_limit(void **state)
{
    dv_json_limits limits = usual;
    limits.tokens = 4;
    dv_json json;
    assert_int_equal(dv_json_scan(DV_LIT("[1,2,3]"), &limits, arena, &json, NULL), DV_OK);
    refuse_with(DV_LIT("[1,2,3,4]"), &limits, DV_ERR_TOO_LARGE, 1, 8);
    limits.tokens = 100;
    dv_auto(buf) dv_buf text = dv_buf_init(1000);
    assert_int_equal(dv_buf_append_str(&text, "[0"), DV_OK);
    for (int i = 1; i < 99; i++) {
        assert_int_equal(dv_buf_append_str(&text, ",0"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "]"), DV_OK);
    assert_int_equal(dv_json_scan(dv_buf_slice(&text), &limits, arena, &json, NULL), DV_OK);
    assert_int_equal(json.count, 100);
    limits.tokens = 99;
    refuse_with(dv_buf_slice(&text), &limits, DV_ERR_TOO_LARGE, 1, 198);
}

/* The length is refused before a byte is read. */
static void test_size_limit(void **state)
{
    dv_json json;
    dv_error error;
    dv_slice text = dv_slice_of("[]", (size_t)UINT32_MAX + 1);
    assert_int_equal(dv_json_scan(text, &usual, arena, &json, &error), DV_ERR_TOO_LARGE);
}

static void test_memory_limit(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(100000);
    assert_int_equal(dv_buf_append_str(&text, "[0"), DV_OK);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(dv_buf_append_str(&text, ",0"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "]"), DV_OK);
    dv_auto(arena) dv_arena *small = dv_arena_new(16000);
    assert_non_null(small);
    dv_json json;
    dv_error error;
    assert_int_equal(dv_json_scan(dv_buf_slice(&text), &usual, small, &json, &error),
                     DV_ERR_NO_MEMORY);
    assert_int_equal(error.result, DV_ERR_NO_MEMORY);
}

static void refuse_duplicate(const char *text, int line, int column)
{
    dv_json json;
    assert_int_equal(dv_json_scan(dv_slice_str(text), &usual, arena, &json, NULL), DV_OK);
    refuse_with(dv_slice_str(text), &strict, DV_ERR_INVALID, line, column);
}

static void accept_strictly(const char *text)
{
    dv_json json;
    assert_int_equal(dv_json_scan(dv_slice_str(text), &strict, arena, &json, NULL), DV_OK);
}

static void test_duplicate_names(void **state)
{
    refuse_duplicate("{\"a\":1,\n\"a\":2}", 2, 1);
    refuse_duplicate("{\"a\":1,\"\\u0061\":2}", 1, 8);
    refuse_duplicate("{\"\\u00e9\":1,\"\xc3\xa9\":2}", 1, 13);
    refuse_duplicate("[{\"x\":{\"\":[],\"\":{}}}]", 1, 14);
    accept_strictly("{\"a\":{\"a\":{\"a\":1}},\"A\":[{\"a\":1},{\"a\":1}]}");
    accept_strictly("{\"a\":1,\"a\\u0000\":2,\"\":3}");
    /* Alike in length and at both ends. */
    accept_strictly("{\"a1b\":1,\"a2b\":2,\"a3b\":3,\"a\\u0034b\":4}");
    refuse_duplicate("{\"a1b\":1,\"a2b\":2,\"a3b\":3,\"a\\u0032b\":4}", 1, 26);
}

static dv_result scan_many_names(int count, const char *last)
{
    dv_auto(buf) dv_buf text = dv_buf_init(4 << 20);
    assert_int_equal(dv_buf_append_str(&text, "{"), DV_OK);
    for (int i = 0; i < count; i++) {
        char member[64];
        snprintf(member, sizeof(member), i % 3 == 0 ? "\"n\\u0061%d\":[{}]," : "\"na%d\":1,", i);
        assert_int_equal(dv_buf_append_str(&text, member), DV_OK);
    }
    assert_int_equal(dv_buf_append_printf(&text, "\"%s\":null}", last), DV_OK);
    dv_json json;
    return dv_json_scan(dv_buf_slice(&text), &strict, arena, &json, NULL);
}

static void test_many_names(void **state)
{
    for (int count = 1; count < 70; count++) {
        assert_int_equal(scan_many_names(count, "other"), DV_OK);
        assert_int_equal(scan_many_names(count, "na0"), DV_ERR_INVALID);
        assert_int_equal(scan_many_names(count, "\\u006ea0"), DV_ERR_INVALID);
    }
    assert_int_equal(scan_many_names(50000, "na"), DV_OK);
    assert_int_equal(scan_many_names(50000, "na49999"), DV_ERR_INVALID);
    assert_int_equal(scan_many_names(50000, "na25001"), DV_ERR_INVALID);
}

static void test_member(void **state)
{
    dv_json json = scan("{\"model\":\"m\",\"n\":{\"model\":1},\"m\\u006fdel\":2,\"\\u0000\":3,"
                        "\"\xf0\x9f\x98\x80\":4,\"\\uD83D\\uDE01\":5}");
    uint32_t model = dv_json_member(&json, 0, "model");
    expect_token(&json, model, DV_JSON_NUMBER, "2", model + 1, 1);
    uint32_t inner = dv_json_member(&json, 0, "n");
    expect_token(&json, dv_json_member(&json, inner, "model"), DV_JSON_NUMBER, "1", inner + 3, 2);
    expect_token(&json, dv_json_member(&json, 0, "\xf0\x9f\x98\x81"), DV_JSON_NUMBER, "5",
                 json.count, 1);
    assert_int_equal(dv_json_member(&json, 0, "mode"), 0);
    assert_int_equal(dv_json_member(&json, 0, "models"), 0);
    assert_int_equal(dv_json_member(&json, 0, ""), 0);
    assert_int_equal(dv_json_member(&json, inner + 1, "model"), 0);
    assert_int_equal(dv_json_member(&json, json.count, "model"), 0);
}

static dv_slice decode(const char *text)
{
    dv_json json = scan(text);
    dv_slice decoded = {0};
    assert_int_equal(dv_json_string(&json, 0, arena, &decoded), DV_OK);
    return decoded;
}

static void test_string(void **state)
{
    assert_true(dv_slice_eq_str(decode("\"plain\""), "plain"));
    assert_true(dv_slice_eq_str(decode("\"\""), ""));
    assert_true(dv_slice_eq_str(decode("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t"));
    assert_true(dv_slice_eq_str(decode("\"x\\u00e9y\\u0915\\uD83d\\ude00z\""),
                                "x\xc3\xa9y\xe0\xa4\x95\xf0\x9f\x98\x80z"));
    assert_true(dv_slice_eq(decode("\"a\\u0000b\""), DV_LIT("a\0b")));
    dv_json json = scan("[1]");
    dv_slice text;
    assert_int_equal(dv_json_string(&json, 0, arena, &text), DV_ERR_INVALID);
    assert_int_equal(dv_json_string(&json, 1, arena, &text), DV_ERR_INVALID);
}

static void test_lone_surrogates(void **state)
{
    assert_true(dv_slice_eq_str(decode("\"a\\ud800b\""), "a\xef\xbf\xbd"
                                                         "b"));
    assert_true(dv_slice_eq_str(decode("\"\\udc00\""), "\xef\xbf\xbd"));
    assert_true(
        dv_slice_eq_str(decode("\"\\ud800\\ud83d\\ude00\""), "\xef\xbf\xbd\xf0\x9f\x98\x80"));
    assert_true(dv_slice_eq_str(decode("\"\\ud800\\n\""), "\xef\xbf\xbd\n"));
}

static void test_plain_string_is_borrowed(void **state)
{
    const char *text = "\"plain\"";
    dv_json json = scan(text);
    dv_slice decoded;
    assert_int_equal(dv_json_string(&json, 0, arena, &decoded), DV_OK);
    assert_ptr_equal(decoded.ptr, text + 1);
}

static void test_string_out_of_memory(void **state)
{
    dv_json json = scan("\"\\n1234567890123456\"");
    dv_auto(arena) dv_arena *small = dv_arena_new(8);
    assert_non_null(small);
    dv_slice decoded;
    assert_int_equal(dv_json_string(&json, 0, small, &decoded), DV_ERR_NO_MEMORY);
}

static void test_raw_offset(void **state)
{
    /* raw:     0 1  2    4         10   (pair) 16           28 29
     * decoded: a \n \u00e9 \ud83d\ude00 b */
    dv_slice raw = dv_slice_str("a\\n\\u00e9\\ud83d\\ude00b");
    static const size_t raw_of[] = {0, 1, 3, 3, 9, 9, 9, 9, 21, 22};
    for (size_t i = 0; i < DV_ARRAY_LEN(raw_of); i++) {
        assert_int_equal(dv_json_raw_offset(raw, i), raw_of[i]);
    }
    assert_int_equal(dv_json_raw_offset(raw, 1000), raw.len);
    dv_json_place place = {0, 0};
    for (size_t i = 0; i < DV_ARRAY_LEN(raw_of); i++) {
        assert_int_equal(dv_json_raw_offset_from(raw, &place, i), raw_of[i]);
    }
    assert_int_equal(dv_json_raw_offset_from(raw, &place, 2), 3);
    assert_int_equal(dv_json_raw_offset((dv_slice){NULL, 0}, 0), 0);
    assert_int_equal(dv_json_raw_offset(dv_slice_str("na\xc3\xafve"), 3), 3);
}

/* Slices that never were in a scanned text give no read past their end. */
static void test_raw_offset_of_broken_text(void **state)
{
    assert_int_equal(dv_json_raw_offset(dv_slice_str("\\"), 1), 1);
    assert_int_equal(dv_json_raw_offset(dv_slice_str("\\u12"), 4), 4);
    assert_int_equal(dv_json_raw_offset(dv_slice_str("\\ud800\\u"), 9), 8);
}

static dv_result int_of(const char *text, int64_t *value)
{
    dv_json json = scan(text);
    return dv_json_int(&json, 0, value);
}

static void test_int(void **state)
{
    int64_t value = 5;
    assert_int_equal(int_of("9223372036854775807", &value), DV_OK);
    assert_true(value == INT64_MAX);
    assert_int_equal(int_of("-9223372036854775808", &value), DV_OK);
    assert_true(value == INT64_MIN);
    assert_int_equal(int_of("-0", &value), DV_OK);
    assert_int_equal(value, 0);
    assert_int_equal(int_of("42", &value), DV_OK);
    static const char *const bad[] = {
        "9223372036854775808",           "-9223372036854775809", "1.0", "1e2", "\"1\"", "true",
        "123456789012345678901234567890"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(int_of(bad[i], &value), DV_ERR_INVALID);
        assert_int_equal(value, 42);
    }
}

/* Every special byte at every place around the 16-byte steps. */
static void test_strings_of_all_lengths(void **state)
{
    char text[128];
    for (size_t len = 0; len < 100; len++) {
        memset(text, 'x', sizeof(text));
        text[0] = '"';
        text[len + 1] = '"';
        dv_json json;
        assert_int_equal(dv_json_scan(dv_slice_of(text, len + 2), &usual, arena, &json, NULL),
                         DV_OK);
        assert_int_equal(json.tokens[0].len, len);
        text[len + 1] = '\x1f';
        refuse_with(dv_slice_of(text, len + 2), &usual, DV_ERR_INVALID, 1, (int)len + 2);
        refuse_with(dv_slice_of(text, len + 1), &usual, DV_ERR_INVALID, 1, (int)len + 2);
    }
}

/* The same with much behind the string, where it is searched in larger blocks. */
static void test_ends_in_larger_blocks(void **state)
{
    static const char ends[] = {'"', '\\', '\x1f', '\0'};
    char text[512];
    for (size_t len = 0; len < 300; len++) {
        for (size_t i = 0; i < sizeof(ends); i++) {
            memset(text, 'x', len + 1);
            memset(text + len + 1, ' ', sizeof(text) - len - 1);
            text[0] = '"';
            text[len + 1] = ends[i];
            dv_json json;
            if (ends[i] == '"') {
                assert_int_equal(
                    dv_json_scan(dv_slice_of(text, sizeof(text)), &usual, arena, &json, NULL),
                    DV_OK);
                assert_int_equal(json.tokens[0].len, len);
                assert_int_equal(json.tokens[0].escaped, 0);
            } else {
                refuse_with(dv_slice_of(text, sizeof(text)), &usual, DV_ERR_INVALID, 1,
                            (int)len + (ends[i] == '\\' ? 3 : 2));
            }
        }
    }
}

static void test_numbers_of_all_lengths(void **state)
{
    char text[128];
    for (size_t len = 1; len < 100; len++) {
        memset(text, '7', sizeof(text));
        dv_json json;
        assert_int_equal(dv_json_scan(dv_slice_of(text, len), &usual, arena, &json, NULL), DV_OK);
        assert_int_equal(json.tokens[0].len, len);
        text[len] = '/';
        refuse_with(dv_slice_of(text, len + 1), &usual, DV_ERR_INVALID, 1, (int)len + 1);
        text[len] = ':';
        refuse_with(dv_slice_of(text, len + 1), &usual, DV_ERR_INVALID, 1, (int)len + 1);
    }
}

/* RFC 6901 section 3 */
static void test_steps_of_pointers(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"a", "/a"},
                                           {"", "/"},
                                           {"~", "/~0"},
                                           {"/", "/~1"},
                                           {"~1", "/~01"},
                                           {"a/b~c/", "/a~1b~0c~1"},
                                           {"\xc3\xa9 \"", "/\xc3\xa9 \""}};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        dv_auto(buf) dv_buf pointer = dv_buf_init(64);
        assert_int_equal(dv_buf_append_str(&pointer, "/0"), DV_OK);
        assert_int_equal(dv_json_append_step(&pointer, dv_slice_str(names[i][0])), DV_OK);
        assert_true(dv_slice_starts_with(dv_buf_slice(&pointer), DV_LIT("/0")));
        assert_string_equal(dv_buf_cstr(&pointer) + 2, names[i][1]);
    }
    dv_auto(buf) dv_buf small = dv_buf_init(4);
    assert_int_equal(dv_json_append_step(&small, DV_LIT("a~")), DV_OK);
    dv_buf_clear(&small);
    assert_int_equal(dv_json_append_step(&small, DV_LIT("ab~")), DV_ERR_TOO_LARGE);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tape),
        cmocka_unit_test(test_top_scalars),
        cmocka_unit_test(test_array_scalars_skipped),
        cmocka_unit_test(test_places_of_errors),
        cmocka_unit_test(test_utf8_is_checked),
        cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_depth_never_wraps),
        cmocka_unit_test(test_token_limit),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_duplicate_names),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_member),
        cmocka_unit_test(test_string),
        cmocka_unit_test(test_lone_surrogates),
        cmocka_unit_test(test_plain_string_is_borrowed),
        cmocka_unit_test(test_string_out_of_memory),
        cmocka_unit_test(test_raw_offset),
        cmocka_unit_test(test_raw_offset_of_broken_text),
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_strings_of_all_lengths),
        cmocka_unit_test(test_ends_in_larger_blocks),
        cmocka_unit_test(test_numbers_of_all_lengths),
        cmocka_unit_test(test_steps_of_pointers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
