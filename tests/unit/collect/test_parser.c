/* SPDX-License-Identifier: Apache-2.0 */
/* The examples in rules/parsers/ are the tests of the parsers. With an argument the events are
 * written out, one a line, for tests/ocsf/validate.py. */
#include "base/caps.h"
#include "room/audit/collect/parser.h"
#include "room/audit/collect/syslog.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static dv_parsers *parsers;
static const dv_time now = 1795363300 * DV_SECOND; /* 2026-11-22T16:01:40Z */

static dv_line line_of(dv_slice raw)
{
    dv_line line = {.text = raw,
                    .raw = raw,
                    .raw_size = raw.len,
                    .facility = -1,
                    .severity = -1,
                    .now = now,
                    .input = DV_LIT("test"),
                    .keep_raw = true};
    (void)dv_syslog_read(raw, false, &line);
    return line;
}

static json_t *event_of(const dv_line *line, const char *parser, dv_parse_outcome *outcome)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
    const dv_parser *chosen =
        parser == NULL ? NULL : dv_parsers_find(parsers, dv_slice_str(parser));
    dv_result result = dv_parsers_event(parsers, chosen, line, NULL, &out, outcome);
    assert_int_equal(result, DV_OK);
    assert_true(out.len <= DV_LIMIT_RECORD);
    json_error_t problem;
    json_t *event = json_loadb((const char *)out.ptr, out.len, JSON_REJECT_DUPLICATES, &problem);
    if (event == NULL) {
        fail_msg("%s: %.*s", problem.text, DV_SLICE_ARGS(dv_buf_slice(&out)));
    }
    return event;
}

/* Objects may hold more; everything else is equal. */
static bool holds(const json_t *event, const json_t *expected)
{
    const char *key;
    json_t *value;
    size_t i;
    if (json_is_object(expected)) {
        json_object_foreach((json_t *)expected, key, value)
        {
            if (!holds(json_object_get(event, key), value)) {
                return false;
            }
        }
        return json_is_object(event);
    }
    if (json_is_array(expected)) {
        json_array_foreach(expected, i, value)
        {
            if (!holds(json_array_get(event, i), value)) {
                return false;
            }
        }
        return json_array_size(event) == json_array_size(expected);
    }
    return json_equal(event, expected) != 0;
}

static void check_example(const dv_parser_example *one)
{
    dv_line line = line_of(dv_slice_str(one->text));
    dv_parse_outcome outcome;
    if (one->program != NULL) {
        line.program = dv_slice_str(one->program);
    }
    json_t *event = event_of(&line, one->parser, &outcome);
    const char *kind =
        json_string_value(json_object_get(json_object_get(event, "metadata"), "event_code"));
    if (one->kind == NULL) {
        assert_string_equal(kind, "collected.raw");
        json_decref(event);
        return;
    }
    json_t *expected = json_loads(one->expected, JSON_ALLOW_NUL, NULL);
    assert_non_null(expected);
    if (strcmp(kind, one->kind) != 0 || !holds(event, expected)) {
        fail_msg("%s\n  gives %s\n  wanted %s", one->text, json_dumps(event, 0), one->expected);
    }
    json_decref(event);
    json_decref(expected);
}

static void examples_are_what_they_say(void **state)
{
    dv_parser_example one;
    size_t count = 0;
    for (; dv_parser_example_get(count, &one); count++) {
        check_example(&one);
    }
    assert_true(count > 60);
}

/* Without being told, by the program's name or by its shape. */
static void auto_finds_the_parser(void **state)
{
    dv_parser_example one;
    for (size_t i = 0; dv_parser_example_get(i, &one); i++) {
        dv_parse_outcome outcome;
        dv_line line = line_of(dv_slice_str(one.text));
        if (one.program != NULL) {
            line.program = dv_slice_str(one.program);
        }
        json_decref(event_of(&line, NULL, &outcome));
        if (one.kind != NULL && strcmp(outcome.parser, one.parser) != 0) {
            fail_msg("%s is taken for %s", one.text, outcome.parser);
        }
    }
}

static int print_events(void)
{
    dv_parser_example one;
    for (size_t i = 0; dv_parser_example_get(i, &one); i++) {
        dv_parse_outcome outcome;
        dv_auto(buf) dv_buf out = dv_buf_init(DV_LIMIT_RECORD);
        dv_line line = line_of(dv_slice_str(one.text));
        if (one.program != NULL) {
            line.program = dv_slice_str(one.program);
        }
        if (dv_parsers_event(parsers, dv_parsers_find(parsers, dv_slice_str(one.parser)), &line,
                             NULL, &out, &outcome) != DV_OK) {
            return 1;
        }
        printf("%.*s\n", DV_SLICE_ARGS(dv_buf_slice(&out)));
    }
    return 0;
}

/* ---- Whatever comes is kept ---- */

static void a_line_over_the_record_is_cut_with_size_and_hash(void **state)
{
    static char text[1 << 20];
    dv_parse_outcome outcome;
    memset(text, 'x', sizeof text);
    dv_line line = line_of(dv_slice_of(text, sizeof text));
    json_t *event = event_of(&line, NULL, &outcome);
    assert_true(outcome.truncated);
    assert_int_equal(json_integer_value(json_object_get(event, "raw_data_size")), sizeof text);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(event, "raw_data_hash"), "value")),
        "8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b");
    assert_true(json_is_true(json_object_get(json_object_get(event, "metadata"), "is_truncated")));
    assert_true(json_string_length(json_object_get(event, "raw_data")) > 40000);
    json_decref(event);
}

static void a_long_field_is_cut_and_the_line_is_whole(void **state)
{
    dv_parse_outcome outcome;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    assert_int_equal(dv_buf_append_str(&text, "192.0.2.7 - - [22/Nov/2026:16:01:02 +0000] \"GET /"),
                     DV_OK);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(dv_buf_append_byte(&text, 'a'), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, " HTTP/1.1\" 200 612 \"-\" \"curl\""), DV_OK);
    dv_line line = line_of(dv_buf_slice(&text));
    json_t *event = event_of(&line, "nginx", &outcome);
    assert_true(outcome.understood && !outcome.truncated);
    assert_int_equal(json_string_length(json_object_get(event, "raw_data")), text.len);
    json_decref(event);
}

static void bytes_that_are_no_text_are_kept_in_base64(void **state)
{
    dv_parse_outcome outcome;
    dv_line line = line_of(DV_LIT("<13>Nov 22 16:01:02 web1 app: a\xff\x00z"));
    line.keep_raw = false;
    json_t *event = event_of(&line, NULL, &outcome);
    assert_true(outcome.invalid_utf8);
    assert_string_equal(json_string_value(json_object_get(event, "raw_data")),
                        "PDEzPk5vdiAyMiAxNjowMTowMiB3ZWIxIGFwcDogYf8Aeg==");
    json_t *marks = json_object_get(json_object_get(event, "unmapped"), "dvara");
    assert_string_equal(json_string_value(json_object_get(marks, "raw_encoding")), "base64");
    json_decref(event);
}

static void a_clock_that_is_off_is_told(void **state)
{
    dv_parse_outcome outcome;
    dv_line line = line_of(DV_LIT("<13>1 2031-01-01T00:00:00Z web1 app - - - x"));
    (void)dv_syslog_read(line.raw, true, &line);
    json_t *event = event_of(&line, NULL, &outcome);
    assert_true(outcome.clock_off);
    assert_int_equal(json_integer_value(json_object_get(event, "time")), 1924992000000);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(event, "metadata"), "processed_time")),
        now / DV_MILLISECOND);
    json_decref(event);
}

static void the_raw_line_is_left_away_where_it_was_understood(void **state)
{
    dv_parse_outcome outcome;
    dv_line line =
        line_of(DV_LIT("192.0.2.7 - - [22/Nov/2026:16:01:02 +0000] \"GET / HTTP/1.0\" 304 -"));
    line.keep_raw = false;
    json_t *event = event_of(&line, NULL, &outcome);
    assert_null(json_object_get(event, "raw_data"));
    json_decref(event);
}

static void lines_are_joined_as_the_parser_says(void **state)
{
    const dv_parser *audit = dv_parsers_find(parsers, DV_LIT("auditd"));
    const dv_parser *postgres = dv_parsers_find(parsers, DV_LIT("postgresql"));
    assert_true(dv_parser_joins(parsers, audit, DV_LIT("type=A msg=audit(1.2:3): x"),
                                DV_LIT("type=B msg=audit(1.2:3): y")));
    assert_false(dv_parser_joins(parsers, audit, DV_LIT("type=A msg=audit(1.2:3): x"),
                                 DV_LIT("type=B msg=audit(1.2:4): y")));
    assert_true(dv_parser_joins(parsers, postgres, DV_LIT("x"), DV_LIT("\tWHERE a = 1")));
    assert_true(dv_parser_joins(parsers, postgres, DV_LIT("x"),
                                DV_LIT("2026-11-22 16:01:02.345 UTC [8] a@b STATEMENT:  select")));
    assert_false(dv_parser_joins(parsers, postgres, DV_LIT("x"),
                                 DV_LIT("2026-11-22 16:01:02.345 UTC [8] a@b LOG:  select")));
}

static int set_up(void **state)
{
    dv_error error = {0};
    if (dv_parsers_new(&parsers, &error) != DV_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    return 0;
}

static int tear_down(void **state)
{
    dv_parsers_free(parsers);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_are_what_they_say),
        cmocka_unit_test(auto_finds_the_parser),
        cmocka_unit_test(a_line_over_the_record_is_cut_with_size_and_hash),
        cmocka_unit_test(a_long_field_is_cut_and_the_line_is_whole),
        cmocka_unit_test(bytes_that_are_no_text_are_kept_in_base64),
        cmocka_unit_test(a_clock_that_is_off_is_told),
        cmocka_unit_test(the_raw_line_is_left_away_where_it_was_understood),
        cmocka_unit_test(lines_are_joined_as_the_parser_says),
    };
    setenv("TZ", "UTC", 1);
    if (argc > 1) {
        return set_up(NULL) == 0 ? print_events() : 1;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
