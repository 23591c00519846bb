/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/caps.h"
#include "base/clock.h"
#include "base/yaml.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_arena *arena;
static dv_error error;

static int set_up(void **state)
{
    arena = dv_arena_new(64 << 20);
    return arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    dv_arena_free(arena);
    return 0;
}

static const dv_yaml *parse(const char *text)
{
    const dv_yaml *root = NULL;
    dv_result result = dv_yaml_parse(dv_slice_str(text), arena, &root, &error);
    if (result != DV_OK) {
        print_error("%s: line %d column %d: %s\n", text, error.line, error.column, error.message);
    }
    assert_int_equal(result, DV_OK);
    return root;
}

static void expect_error(dv_result result, dv_result wanted, int line, int column, const char *part)
{
    if (strstr(error.message, part) == NULL || error.line != line || error.column != column) {
        print_error("line %d column %d: %s\n", error.line, error.column, error.message);
    }
    assert_int_equal(result, wanted);
    assert_int_equal(error.result, wanted);
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
    assert_non_null(strstr(error.message, part));
}

static void refuse_bytes(dv_slice text, dv_result wanted, int line, int column, const char *part)
{
    const dv_yaml *root = NULL;
    memset(&error, 0, sizeof(error));
    expect_error(dv_yaml_parse(text, arena, &root, &error), wanted, line, column, part);
    assert_null(root);
    assert_int_equal(dv_yaml_parse(text, arena, &root, NULL), wanted);
}

static void refuse(const char *text, int line, int column, const char *part)
{
    refuse_bytes(dv_slice_str(text), DV_ERR_INVALID, line, column, part);
}

static void test_tree(void **state)
{
    const dv_yaml *root = parse("# first\nserver:\n  port: 8080\n  names: [a, 'b', \"c\\n\"]\n"
                                "empty:\nnote: |\n  two\n  lines\n");
    assert_int_equal(root->type, DV_YAML_MAP);
    const dv_yaml *server = dv_yaml_get(root, "server");
    assert_int_equal(server->type, DV_YAML_MAP);
    assert_int_equal(server->key_line, 2);
    assert_int_equal(server->key_column, 1);
    assert_int_equal(server->line, 3);
    assert_int_equal(server->column, 3);
    const dv_yaml *port = dv_yaml_get(server, "port");
    assert_string_equal(port->text, "8080");
    assert_string_equal(port->key, "port");
    assert_false(port->quoted);
    assert_int_equal(port->line, 3);
    assert_int_equal(port->column, 9);
    const dv_yaml *names = dv_yaml_get(server, "names");
    assert_int_equal(names->type, DV_YAML_LIST);
    assert_string_equal(names->first->text, "a");
    assert_null(names->first->key);
    assert_true(names->first->next->quoted);
    assert_string_equal(names->first->next->next->text, "c\n");
    assert_null(names->first->next->next->next);
    assert_int_equal(dv_yaml_get(root, "empty")->type, DV_YAML_NULL);
    assert_string_equal(dv_yaml_get(root, "note")->text, "two\nlines\n");
    assert_true(dv_yaml_get(root, "note")->quoted);
    assert_null(dv_yaml_get(root, "nothing"));
    assert_null(dv_yaml_get(port, "nothing"));
    assert_null(dv_yaml_get(NULL, "nothing"));
}

static void test_empty_texts(void **state)
{
    static const char *const texts[] = {"", "\n", "# only this\n", "---\n", "~", "\xef\xbb\xbf"};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        const dv_yaml *root = parse(texts[i]);
        assert_int_equal(root->type, DV_YAML_MAP);
        assert_null(root->first);
    }
    const dv_yaml *root;
    assert_int_equal(dv_yaml_parse((dv_slice){NULL, 0}, arena, &root, NULL), DV_OK);
}

static void test_null(void **state)
{
    const dv_yaml *root = parse("[~, null, Null, NULL, '~', \"null\", !!str null, nULL, none]");
    int at = 0;
    for (const dv_yaml *node = root->first; node != NULL; node = node->next, at++) {
        assert_int_equal(node->type, at < 4 ? DV_YAML_NULL : DV_YAML_SCALAR);
        assert_int_equal(node->text == NULL, at < 4);
    }
    assert_int_equal(at, 9);
}

static void test_refused_features(void **state)
{
    refuse("a: &x 1\n", 1, 4, "anchors");
    refuse("a: 1\nb: *x\n", 2, 4, "aliases");
    refuse("a: &x [1]\n", 1, 4, "anchors");
    refuse("&x a: 1\n", 1, 1, "anchors");
    refuse("? *x\n: 1\n", 1, 3, "aliases");
    refuse("a: !custom 1\n", 1, 4, "tag");
    refuse("a: !!binary aGk=\n", 1, 4, "tag");
    refuse("a: !!python/object:os.system x\n", 1, 4, "tag");
    refuse("a: !!str [1]\n", 1, 4, "tag");
    refuse("a: !!map [1]\n", 1, 4, "tag");
    refuse("a: !!seq {b: 1}\n", 1, 4, "tag");
    refuse("a: 1\n---\nb: 2\n", 2, 1, "one YAML document");
    refuse("~\n---\nb: 2\n", 2, 1, "one YAML document");
    refuse("<<: {a: 1}\n", 1, 1, "merge");
    refuse("[a]: 1\n", 1, 1, "must be text");
    refuse("? {a: 1}\n: 1\n", 1, 3, "must be text");
    refuse("?\n: 1\n", 1, 2, "key is missing");
    refuse("'': 1\n", 1, 1, "key is missing");
    refuse("a: \"x\\0y\"\n", 1, 4, "NUL");
    refuse("\"a\\0b\": 1\n", 1, 1, "NUL");
}

static void test_core_tags(void **state)
{
    const dv_yaml *root = parse("a: !!str yes\nb: !!int 5\nc: !!map {d: !!seq [1]}\n'<<': x\n");
    assert_true(dv_yaml_get(root, "a")->quoted);
    assert_false(dv_yaml_get(root, "b")->quoted);
    assert_int_equal(dv_yaml_get(dv_yaml_get(root, "c"), "d")->type, DV_YAML_LIST);
    assert_non_null(dv_yaml_get(root, "<<"));
}

static void test_syntax_errors(void **state)
{
    refuse("a: [1, 2\nb: 3\n", 2, 2, "expected ',' or ']'");
    refuse("a: 'x\n", 2, 1, "");
    refuse("a: b: c\n", 1, 5, "");
    refuse("\ta: 1\n", 1, 1, "");
    refuse("a: 1\nb: \x01\n", 2, 4, "control");
    refuse("a: \"\\q\"\n", 1, 5, "");
    refuse("a: 1\nb: \xff\n", 2, 4, "UTF-8");
    refuse_bytes(DV_LIT("a: 1\n\0"), DV_ERR_INVALID, 2, 1, "control");
    refuse_bytes(DV_LIT("\xff\xfe\x61\x00"), DV_ERR_INVALID, 1, 1, "UTF-8");
}

static void test_duplicate_keys(void **state)
{
    refuse("a: 1\nb: 2\na: 3\n", 3, 1, "'a' is already used on line 1");
    refuse("{x: {y: 1, 'y': 2}}", 1, 12, "'y' is already used on line 1");
    refuse("\"\\u0061\": 1\na: 2\n", 2, 1, "'a' is already used");
    const dv_yaml *root = parse("a: {a: 1}\nA: 2\n");
    assert_non_null(root);
}

static void append(dv_buf *buf, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(dv_buf_append_str(buf, text), DV_OK);
    }
}

static void test_depth_limit(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1000);
    append(&text, "[", DV_LIMIT_YAML_DEPTH);
    append(&text, "]", DV_LIMIT_YAML_DEPTH);
    const dv_yaml *root;
    assert_int_equal(dv_yaml_parse(dv_buf_slice(&text), arena, &root, &error), DV_OK);
    dv_buf_clear(&text);
    append(&text, "[", DV_LIMIT_YAML_DEPTH + 1);
    append(&text, "]", DV_LIMIT_YAML_DEPTH + 1);
    refuse_bytes(dv_buf_slice(&text), DV_ERR_TOO_LARGE, 1, DV_LIMIT_YAML_DEPTH + 1, "deeply");
    dv_buf_clear(&text);
    append(&text, "{a: ", DV_LIMIT_YAML_DEPTH + 1);
    refuse_bytes(dv_buf_slice(&text), DV_ERR_TOO_LARGE, 1, 4 * DV_LIMIT_YAML_DEPTH + 1, "deeply");
}

static void test_node_limit(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    append(&text, "- 1\n", DV_LIMIT_YAML_NODES - 1);
    const dv_yaml *root;
    assert_int_equal(dv_yaml_parse(dv_buf_slice(&text), arena, &root, &error), DV_OK);
    append(&text, "- 1\n", 1);
    refuse_bytes(dv_buf_slice(&text), DV_ERR_TOO_LARGE, DV_LIMIT_YAML_NODES, 3, "too many values");
}

static void test_size_limit(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG + 1);
    append(&text, "#", DV_LIMIT_CONFIG);
    const dv_yaml *root;
    assert_int_equal(dv_yaml_parse(dv_buf_slice(&text), arena, &root, &error), DV_OK);
    append(&text, "#", 1);
    refuse_bytes(dv_buf_slice(&text), DV_ERR_TOO_LARGE, 0, 0, "1048576 bytes");
}

static void test_many_keys(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CONFIG);
    for (int i = 0; i < 40000; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "key%d: 1\n", i), DV_OK);
    }
    const dv_yaml *root;
    assert_int_equal(dv_yaml_parse(dv_buf_slice(&text), arena, &root, &error), DV_OK);
    append(&text, "key777: 1\n", 1);
    refuse_bytes(dv_buf_slice(&text), DV_ERR_INVALID, 40001, 1,
                 "'key777' is already used on line 778");
}

static void test_memory_limit(void **state)
{
    dv_auto(arena) dv_arena *small = dv_arena_new(200);
    const dv_yaml *root;
    dv_slice text = DV_LIT("a: [1, 2, 3, 4, 5, 6, 7, 8]");
    assert_int_equal(dv_yaml_parse(text, small, &root, &error), DV_ERR_NO_MEMORY);
}

static const dv_yaml *value(const char *text)
{
    dv_auto(buf) dv_buf whole = dv_buf_init(1000);
    assert_int_equal(dv_buf_append_printf(&whole, "field: %s\n", text), DV_OK);
    memset(&error, 0, sizeof(error));
    return dv_yaml_get(parse(dv_buf_cstr(&whole)), "field");
}

static void test_string(void **state)
{
    static const char *const pairs[][2] = {{"yes", "yes"}, {"5", "5"}, {"0777", "0777"},
                                           {"'no'", "no"}, {"''", ""}, {"1:30", "1:30"}};
    const char *text = NULL;
    for (size_t i = 0; i < DV_ARRAY_LEN(pairs); i++) {
        assert_int_equal(dv_yaml_string(value(pairs[i][0]), &text, &error), DV_OK);
        assert_string_equal(text, pairs[i][1]);
    }
    expect_error(dv_yaml_string(value("[a]"), &text, &error), DV_ERR_INVALID, 1, 8,
                 "'field' must be text, not a list");
    expect_error(dv_yaml_string(value("{a: 1}"), &text, &error), DV_ERR_INVALID, 1, 8, "not a map");
    assert_int_equal(dv_yaml_string(value(""), &text, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "not nothing"));
    assert_string_equal(text, "1:30");
}

static void test_bool(void **state)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "on", "ON"};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No", "off", "Off"};
    static const char *const bad[] = {"'yes'", "\"true\"", "!!str no", "y",      "n",   "1",
                                      "0",     "tRUE",     "~",        "[true]", "yess"};
    bool read = false;
    for (size_t i = 0; i < DV_ARRAY_LEN(yes); i++) {
        assert_int_equal(dv_yaml_bool(value(yes[i]), &read, &error), DV_OK);
        assert_true(read);
        assert_int_equal(dv_yaml_bool(value(no[i]), &read, &error), DV_OK);
        assert_false(read);
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        read = true;
        assert_int_equal(dv_yaml_bool(value(bad[i]), &read, &error), DV_ERR_INVALID);
        assert_true(read);
    }
    expect_error(dv_yaml_bool(value("yess"), &read, &error), DV_ERR_INVALID, 1, 8,
                 "'field' must be true or false, not 'yess'");
    expect_error(dv_yaml_bool(value("'yes'"), &read, &error), DV_ERR_INVALID, 1, 8,
                 "not text in quotes");
}

static void test_int(void **state)
{
    int64_t read = 7;
    assert_int_equal(dv_yaml_int(value("-9223372036854775808"), INT64_MIN, INT64_MAX, &read, NULL),
                     DV_OK);
    assert_true(read == INT64_MIN);
    assert_int_equal(dv_yaml_int(value("9223372036854775807"), INT64_MIN, INT64_MAX, &read, NULL),
                     DV_OK);
    assert_true(read == INT64_MAX);
    assert_int_equal(dv_yaml_int(value("+5"), 0, 10, &read, NULL), DV_OK);
    assert_int_equal(read, 5);
    assert_int_equal(dv_yaml_int(value("0"), 0, 10, &read, NULL), DV_OK);
    static const char *const bad[] = {"11",
                                      "-1",
                                      "'5'",
                                      "05",
                                      "0x5",
                                      "0o5",
                                      "5.0",
                                      "1e1",
                                      "5 m",
                                      "1_0",
                                      "1:3",

                                      "+",
                                      "~",
                                      "[5]",
                                      "five",
                                      "9223372036854775808",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_yaml_int(value(bad[i]), 0, 10, &read, &error), DV_ERR_INVALID);
        assert_int_equal(read, 0);
    }
    expect_error(dv_yaml_int(value("70000"), 1, 65535, &read, &error), DV_ERR_INVALID, 1, 8,
                 "'field' must be a number from 1 to 65535, not '70000'");
    assert_int_equal(dv_yaml_int(value("-9223372036854775809"), INT64_MIN, INT64_MAX, &read, NULL),
                     DV_ERR_INVALID);
}

static void test_size(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"512", 512},
                {"0", 0},
                {"7B", 7},
                {"64KiB", 65536},
                {"10MB", 10000000},
                {"1kB", 1000},
                {"2GiB", 2147483648},
                {"'1MiB'", 1048576},
                {"1TB", 1000000000000}};
    uint64_t read = 9;
    for (size_t i = 0; i < DV_ARRAY_LEN(good); i++) {
        assert_int_equal(dv_yaml_size(value(good[i].text), UINT64_MAX, &read, &error), DV_OK);
        assert_true(read == good[i].bytes);
    }
    static const char *const bad[] = {
        "-1", "1.5MB", "MB", "10 MB", "10mb", "010", "~", "[1]", "99999999999999999999"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_yaml_size(value(bad[i]), UINT64_MAX, &read, &error), DV_ERR_INVALID);
    }
    expect_error(dv_yaml_size(value("65KiB"), 65536, &read, &error), DV_ERR_TOO_LARGE, 1, 8,
                 "'field' must be at most 65536 bytes, not '65KiB'");
    assert_int_equal(dv_yaml_size(value("99999999TiB"), UINT64_MAX, &read, &error),
                     DV_ERR_TOO_LARGE);
}

static void test_tls_version(void **state)
{
    static const char *const bad[] = {"1.1", "TLSv1.2", "[1.2]", "''"};
    bool is_12 = true;
    assert_int_equal(dv_yaml_tls_version(NULL, &is_12, &error), DV_OK);
    assert_false(is_12);
    assert_int_equal(dv_yaml_tls_version(value("1.2"), &is_12, &error), DV_OK);
    assert_true(is_12);
    assert_int_equal(dv_yaml_tls_version(value("'1.3'"), &is_12, &error), DV_OK);
    assert_false(is_12);
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_yaml_tls_version(value(bad[i]), &is_12, &error), DV_ERR_INVALID);
    }
}

static void test_duration(void **state)
{
    int64_t read = 0;
    assert_int_equal(dv_yaml_duration(value("90d"), &read, &error), DV_OK);
    assert_true(read == 90 * 24 * 3600 * DV_SECOND);
    assert_int_equal(dv_yaml_duration(value("'5m'"), &read, &error), DV_OK);
    assert_true(read == 300 * DV_SECOND);
    expect_error(dv_yaml_duration(value("soon"), &read, &error), DV_ERR_INVALID, 1, 8,
                 "'field' must be a duration like");
    assert_int_equal(dv_yaml_duration(value("~"), &read, &error), DV_ERR_INVALID);
}

static void test_list_values_in_messages(void **state)
{
    const dv_yaml *root = parse("- 1\n- x\n");
    int64_t read;
    expect_error(dv_yaml_int(root->first->next, 0, 1, &read, &error), DV_ERR_INVALID, 2, 3,
                 "this value must be a number from 0 to 1, not 'x'");
    root = parse("- \"\xe0\xa4\x95\"\n- x0123456789012345678901234567890123456789\n");
    expect_error(dv_yaml_int(root->first->next, 0, 1, &read, &error), DV_ERR_INVALID, 2, 3,
                 "not 'x012345678901234567890123456789012345678...'");
}

static void test_check_keys(void **state)
{
    static const char *const known[] = {"listen", "upstream", "workers", "tls", NULL};
    assert_int_equal(dv_yaml_check_keys(parse("listen: 1\ntls: 2\n"), known, &error), DV_OK);
    assert_int_equal(dv_yaml_check_keys(parse(""), known, &error), DV_OK);
    expect_error(dv_yaml_check_keys(parse("listen: 1\nupstrem:\n  x: 1\n"), known, &error),
                 DV_ERR_INVALID, 2, 1, "unknown key 'upstrem': did you mean 'upstream'?");
    expect_error(dv_yaml_check_keys(parse("{tls: 1, lsiten: 2}"), known, &error), DV_ERR_INVALID, 1,
                 10, "did you mean 'listen'?");
    expect_error(dv_yaml_check_keys(parse("Listen: 2"), known, &error), DV_ERR_INVALID, 1, 1,
                 "did you mean 'listen'?");
    expect_error(dv_yaml_check_keys(parse("zebra: 2"), known, &error), DV_ERR_INVALID, 1, 1,
                 "unknown key 'zebra'; known here: listen, upstream, workers, tls");
    expect_error(dv_yaml_check_keys(parse("[1]"), known, &error), DV_ERR_INVALID, 1, 1,
                 "must be a map");
    expect_error(dv_yaml_check_keys(parse("\"a\\e[2J\": 2"), known, &error), DV_ERR_INVALID, 1, 1,
                 "unknown key 'a?[2J';");
    const char *const few[] = {NULL};
    assert_int_equal(dv_yaml_check_keys(parse("a: 1"), few, &error), DV_ERR_INVALID);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_empty_texts),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_refused_features),
        cmocka_unit_test(test_core_tags),
        cmocka_unit_test(test_syntax_errors),
        cmocka_unit_test(test_duplicate_keys),
        cmocka_unit_test(test_depth_limit),
        cmocka_unit_test(test_node_limit),
        cmocka_unit_test(test_size_limit),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_string),
        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_int),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_tls_version),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_list_values_in_messages),
        cmocka_unit_test(test_check_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
