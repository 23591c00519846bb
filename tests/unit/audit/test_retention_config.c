/* SPDX-License-Identifier: Apache-2.0 */
/* `audit: retention:` of dvara.yaml: what it may say, and what is said of the rest. */
#include "room/audit/control/retention_config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ONE(body) "retention:\n  classes:\n    - " body "\n"
#define TWO(a, b) ONE(a) "    - " b "\n"

static dv_retention retention;

static dv_result read_text(const char *text, dv_error *error)
{
    const dv_yaml *audit = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_non_null(arena);
    assert_int_equal(dv_yaml_parse(dv_slice_str(text), arena, &audit, NULL), DV_OK);
    return dv_retention_config_read(audit, &retention, error);
}

static void test_what_is_read(void **state)
{
    static const char text[] =
        "retention:\n"
        "  keep: 400d\n"
        "  classes:\n"
        "    - {name: requests, kinds: [\"request.*\", refusals], keep: 90d}\n"
        "    - {name: old, kinds: [], keep: 1d}\n";
    assert_int_equal(read_text(text, NULL), DV_OK);
    assert_int_equal(retention.class_count, 3);
    assert_string_equal(retention.classes[0].log, "main");
    assert_int_equal(retention.classes[0].keep_ms, INT64_C(400) * 86400000);
    assert_string_equal(retention.classes[1].log, "requests");
    assert_int_equal(retention.classes[1].keep_ms, INT64_C(90) * 86400000);
    assert_int_equal(retention.kind_count, 2);
    assert_string_equal(retention.kinds[1].kind, "refusals");
    assert_string_equal(retention.kinds[1].log, "requests");
}

static void test_kinds_and_folders_that_there_are(void **state)
{
    static const char text[] = "retention:\n"
                               "  archive: /tmp\n"
                               "  classes:\n"
                               "    - {name: a, kinds: [\"alert.*\", lifecycle, collected.nginx, "
                               "collected.raw], keep: 9d}\n";
    assert_int_equal(read_text(text, NULL), DV_OK);
    assert_int_equal(retention.kind_count, 4);
    assert_string_equal(retention.archive, "/tmp");
    assert_int_equal(read_text(ONE("{name: a, kinds: [\"collected.*\"], keep: 5d}"), NULL), DV_OK);
}

static void test_nothing_said_keeps_all_for_ever(void **state)
{
    static const char *const texts[] = {"quorum: 1\n", "retention: {}\n",
                                        "retention: {keep: forever, classes: []}\n"};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        assert_int_equal(read_text(texts[i], NULL), DV_OK);
        assert_int_equal(retention.class_count, 1);
        assert_int_equal(retention.classes[0].keep_ms, 0);
    }
    assert_int_equal(dv_retention_config_read(NULL, &retention, NULL), DV_OK);
    assert_int_equal(retention.class_count, 1);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
        int line;
    } cases[] = {
        {"retention: 5\n", "", 1},
        {"retention: {kept: 5d}\n", "unknown key 'kept'", 1},
        {"retention: {keep: 29d}\n", "30d at least", 1},
        {"retention: {keep: long}\n", "", 1},
        {"retention: {archive: archives}\n", "absolute path", 1},
        {"retention:\n  archive:\n", "", 2},
        {"retention: {archive: /nonexistent/archives}\n", "there is no folder", 1},
        {"retention: {archive: /dev/null}\n", "is no folder", 1},
        {"retention: {classes: {}}\n", "list of", 1},
        {ONE("{name: a, kinds: [requests.open], keep: 5d}"), "did you mean request.open?", 3},
        {ONE("{name: a, kinds: [evidence, nothing], keep: 5d}"), "ends with a star", 3},
        {ONE("{name: a, kinds: [\"nothing.*\"], keep: 5d}"), "docs/audit.md lists all", 3},
        {ONE("{name: a, kinds: [collected.ngnix], keep: 5d}"), "dvara audit parsers", 3},
        {ONE("{name: a, keep: 5d}"), "wants name, kinds (a list) and keep", 3},
        {ONE("{name: a, kinds: x, keep: 5d}"), "wants name, kinds (a list) and keep", 3},
        {ONE("{name: a, kinds: []}"), "wants name", 3},
        {ONE("{name: a, kinds: [evidence], keep: 23h}"), "1d at least", 3},
        {ONE("{name: a, kinds: [evidence], keep: 0s}"), "1d at least", 3},
        {ONE("{name: A, kinds: [evidence], keep: 5d}"), "a-z, 0-9", 3},
        {ONE("{name: main, kinds: [evidence], keep: 5d}"), "audit.retention.keep", 3},
        {ONE("{name: a, kinds: [\"audit.pruned\"], keep: 5d}"), "stay in the main log", 3},
        {ONE("{name: a, kinds: [alarm], keep: 5d}"), "stay in the main log", 3},
        {ONE("{name: a, kinds: [\"*\"], keep: 5d}"), "stay in the main log", 3},
        {ONE("{name: a, kinds: [\"\"], keep: 5d}"), "missing", 3},
        {ONE("{name: a, kinds: [\"x*y\"], keep: 5d}"), "no kind of events", 3},
        {ONE("{name: a, kinds: [\"x y\"], keep: 5d}"), "no kind of events", 3},
        {TWO("{name: a, kinds: [evidence], keep: 5d}", "{name: a, kinds: [incident], keep: 5d}"),
         "there twice", 4},
        {TWO("{name: a, kinds: [evidence], keep: 5d}", "{name: b, kinds: [evidence], keep: 5d}"),
         "belong to the class a already", 4},
        {TWO("{name: a, kinds: [\"request.*\"], keep: 5d}",
             "{name: b, kinds: [request.open], keep: 5d}"),
         "belong to the class a already", 4},
        {ONE("{name: a, kinds: [request.open, \"request.*\"], keep: 5d}"),
         "belong to the class a already", 3},
        {"retention:\n  keep: 30d\n  classes:\n    - {name: a, kinds: [evidence], keep: 31d}\n",
         "kept as long as the class a", 2},
        {"retention:\n  keep: 30d\n  classes:\n    - {name: a, kinds: [evidence], keep: forever}\n",
         "kept as long as the class a", 2},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_error error = {0};
        assert_int_equal(read_text(cases[i].text, &error), DV_ERR_INVALID);
        if (strstr(error.message, cases[i].says) == NULL || error.line != cases[i].line) {
            fail_msg("%s: line %d: %s", cases[i].text, error.line, error.message);
        }
    }
}

static void test_there_are_so_many_classes_at_most(void **state)
{
    dv_error error = {0};
    dv_auto(buf) dv_buf text = dv_buf_init(64 << 10);
    assert_int_equal(dv_buf_append_str(&text, "retention:\n  classes:\n"), DV_OK);
    for (int i = 1; i <= DV_RETENTION_CLASSES_MAX; i++) {
        bool fits = i < DV_RETENTION_CLASSES_MAX;
        assert_int_equal(dv_buf_append_printf(&text, "    - {name: c%d, kinds: [], keep: 5d}\n", i),
                         DV_OK);
        assert_int_equal(read_text(dv_buf_cstr(&text), &error), fits ? DV_OK : DV_ERR_INVALID);
    }
    assert_non_null(strstr(error.message, "there may be"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_kinds_and_folders_that_there_are),
        cmocka_unit_test(test_nothing_said_keeps_all_for_ever),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_there_are_so_many_classes_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
