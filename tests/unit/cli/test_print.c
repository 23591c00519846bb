/* SPDX-License-Identifier: Apache-2.0 */
/* The four output formats; and that nothing printed for people can command their terminal. */
#include "cli/cli.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const columns[] = {"name", "created_at", NULL};

/* What is printed for the JSON text; malloc'd. */
static char *print(dv_output output, bool colour, const char *json, const char *rows,
                   const char *const *wanted)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    dv_cli cli = {.output = output, .colour = colour, .out = out, .err = out};
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    assert_int_equal(dv_cli_print(&cli, value, rows, wanted), DV_OK);
    json_decref(value);
    fclose(out);
    return text;
}

static void assert_prints(dv_output output, const char *json, const char *rows,
                          const char *const *wanted, const char *expected)
{
    char *text = print(output, false, json, rows, wanted);
    assert_string_equal(text, expected);
    free(text);
}

static void tables_are_aligned_by_what_is_seen(void **state)
{
    assert_prints(DV_OUTPUT_TABLE,
                  "{\"items\":[{\"name\":\"\u00f6\u00f6\",\"created_at\":1},"
                  "{\"name\":\"\u65e5\u672c\",\"created_at\":null},{\"name\":\"e\u0301\"}]}",
                  "items", columns,
                  "NAME  CREATED AT\n"
                  "\u00f6\u00f6    1\n"
                  "\u65e5\u672c  -\n"
                  "e\u0301     -\n");
}

static void cells_show_lists_and_objects(void **state)
{
    assert_prints(DV_OUTPUT_TABLE,
                  "[{\"name\":[\"a\",\"b\"],\"created_at\":{\"x\":true}},{\"name\":[],"
                  "\"created_at\":false}]",
                  NULL, columns, "NAME  CREATED AT\na,b   {\"x\":true}\n-     false\n");
}

static void single_things_have_a_line_for_each_field(void **state)
{
    static const char *const some[] = {"b", "none", NULL};
    assert_prints(DV_OUTPUT_TABLE, "{\"a\":1,\"long_name\":\"x\"}", NULL, NULL,
                  "a          1\nlong_name  x\n");
    assert_prints(DV_OUTPUT_TABLE, "{\"a\":1,\"b\":2}", NULL, some, "b  2\n");
}

static void an_empty_table_is_its_heading(void **state)
{
    assert_prints(DV_OUTPUT_TABLE, "{\"items\":[]}", "items", columns, "NAME  CREATED AT\n");
    assert_prints(DV_OUTPUT_TABLE, "[]", NULL, NULL, "");
    assert_prints(DV_OUTPUT_JSONL, "{\"items\":[]}", "items", columns, "");
}

static void columns_are_found_when_none_are_named(void **state)
{
    assert_prints(DV_OUTPUT_TABLE, "[{\"x\":1,\"y\":2}]", NULL, NULL, "X  Y\n1  2\n");
}

/* Escape sequences, carriage returns, C1 controls and bidirectional overrides are shown, not sent.
 */
static void terminals_are_not_commanded(void **state)
{
    assert_prints(DV_OUTPUT_TABLE,
                  "{\"a\":\"\\u001b[2Jx\",\"b\":\"1\\r2\\n3\",\"c\":\"\\u009b\\u202e\\u200b\"}",
                  NULL, NULL, "a  \\u001b[2Jx\nb  1\\u000d2\\n3\nc  \\u009b\\u202e\\u200b\n");
}

/* Programs read the same text out of it. */
static void nor_by_what_programs_read(void **state)
{
    static const char hidden[] =
        "{\"a\":[\"\\u007f\\u009b\\u061c\\u200f\\u2028\\u202e\\u2069\\ufeff"
        "\\u00ad\\u2060\\udb40\\udc41\\u001b\u00e9\"]}";
    assert_prints(DV_OUTPUT_JSON, hidden, NULL, NULL,
                  "{\n  \"a\": [\n    \"\\u007f\\u009b\\u061c\\u200f\\u2028\\u202e\\u2069\\ufeff"
                  "\\u00ad\\u2060\\udb40\\udc41\\u001B\u00e9\"\n  ]\n}\n");
    char *yaml = print(DV_OUTPUT_YAML, false, hidden, NULL, NULL);
    for (const char *c = yaml; *c != '\0'; c++) {
        assert_true((uint8_t)*c >= 0x20 || *c == '\n');
    }
    assert_non_null(strstr(yaml, "\\u200f"));
    assert_non_null(strstr(yaml, "\u00e9"));
    free(yaml);
}

static void errors_command_no_terminal(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    dv_cli cli = {.out = out, .err = out};
    const dv_error error = {.message = "no \033[2J\xc2\x9b\xe2\x80\xae\x9b\nx"};
    assert_int_equal(dv_cli_fail(&cli, &error), DV_EXIT_FAILED);
    fclose(out);
    assert_string_equal(text, "dvara: no \\u001b[2J\\u009b\\u202e\\x9b\nx\n");
    free(text);
}

static void colour_only_when_told(void **state)
{
    char *text = print(DV_OUTPUT_TABLE, true, "[{\"name\":\"x\"}]", NULL, columns);
    assert_non_null(strstr(text, "\033[1mNAME\033[0m"));
    free(text);
    text = print(DV_OUTPUT_JSON, true, "[{\"name\":\"x\"}]", NULL, columns);
    assert_null(strchr(text, '\033'));
    free(text);
}

static void json_keeps_everything(void **state)
{
    assert_prints(DV_OUTPUT_JSON, "{\"items\":[{\"name\":\"x\",\"other\":1}],\"n\":null}", "items",
                  columns,
                  "{\n  \"items\": [\n    {\n      \"name\": \"x\",\n      \"other\": 1\n"
                  "    }\n  ],\n  \"n\": null\n}\n");
    assert_prints(DV_OUTPUT_JSONL, "{\"items\":[{\"a\":1},{\"b\":[2]}]}", "items", columns,
                  "{\"a\":1}\n{\"b\":[2]}\n");
    assert_prints(DV_OUTPUT_JSONL, "{\"a\":1}", NULL, NULL, "{\"a\":1}\n");
}

/* Texts that YAML readers take for something else are quoted. */
static void yaml_keeps_types(void **state)
{
    assert_prints(
        DV_OUTPUT_YAML,
        "{\"a\":\"yes\",\"b\":\"1\",\"c\":1,\"d\":true,\"e\":null,\"no\":[\"x\",{\"k\":1.5}],"
        "\"f\":\"\",\"g\":\"a\\nb: c\"}",
        NULL, NULL,
        "a: \"yes\"\nb: \"1\"\nc: 1\nd: true\ne: null\n\"no\":\n- \"x\"\n- k: 1.5\n"
        "f: \"\"\ng: \"a\\nb: c\"\n");
}

/* RFC 4180: quotes are doubled, lines end with CRLF. What a spreadsheet would run is made a text.
 */
static void csv_has_the_columns_and_runs_nothing(void **state)
{
    assert_prints(DV_OUTPUT_CSV,
                  "{\"items\":[{\"name\":\"a \\\"b\\\", c\",\"created_at\":-5},"
                  "{\"name\":\"=cmd()\",\"created_at\":null},"
                  "{\"name\":\"x\\ny\\u001b[2J\",\"created_at\":[\"p\",\"q\"]},"
                  "{\"name\":\"\",\"created_at\":\"@x\"}]}",
                  "items", columns,
                  "\"name\",\"created_at\"\r\n\"a \"\"b\"\", c\",\"-5\"\r\n\"'=cmd()\",\"\"\r\n"
                  "\"x\\ny\\u001b[2J\",\"p,q\"\r\n\"\",\"'@x\"\r\n");
    assert_prints(DV_OUTPUT_CSV, "{\"items\":[]}", "items", columns, "\"name\",\"created_at\"\r\n");
    assert_prints(DV_OUTPUT_CSV, "{\"a\":1,\"b\":\"x\"}", NULL, NULL,
                  "\"a\",\"b\"\r\n\"1\",\"x\"\r\n");
    assert_prints(DV_OUTPUT_CSV, "{\"items\":[]}", "items", NULL, "");
}

static void a_full_device_is_told(void **state)
{
    FILE *out = fopen("/dev/full", "we");
    dv_cli cli = {.output = DV_OUTPUT_JSON, .out = out, .err = out};
    json_t *value = json_string("x");
    assert_int_equal(dv_cli_print(&cli, value, NULL, NULL), DV_ERR_IO);
    json_decref(value);
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_aligned_by_what_is_seen),
        cmocka_unit_test(cells_show_lists_and_objects),
        cmocka_unit_test(single_things_have_a_line_for_each_field),
        cmocka_unit_test(an_empty_table_is_its_heading),
        cmocka_unit_test(columns_are_found_when_none_are_named),
        cmocka_unit_test(terminals_are_not_commanded),
        cmocka_unit_test(nor_by_what_programs_read),
        cmocka_unit_test(errors_command_no_terminal),
        cmocka_unit_test(colour_only_when_told),
        cmocka_unit_test(json_keeps_everything),
        cmocka_unit_test(yaml_keeps_types),
        cmocka_unit_test(csv_has_the_columns_and_runs_nothing),
        cmocka_unit_test(a_full_device_is_told),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
