/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "engine/case/case_type.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_arena *arena;
static dv_error error;

static int set_up(void **state)
{
    arena = dv_arena_new(16 << 20);
    return arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    dv_arena_free(arena);
    return 0;
}

/* A good type, one line a key, so that a test can put another line in its place. */
static const char *const GOOD[] = {
    /* 1 */ "id: request",
    /* 2 */ "name: request",
    /* 3 */ "doc: Somebody asks.",
    /* 4 */ "assignee: approver",
    /* 5 */ "deadline: {default: 3d, least: 1h, most: 30d}",
    /* 6 */ "items_max: 10",
    /* 7 */ "open_max: 5",
    /* 8 */ "case:",
    /* 9 */ "  states: [open, late, done]",
    /* 10 */ "  steps:",
    /* 11 */ "    expire: {from: [open], to: late, when: deadline, alarm: true}",
    /* 12 */ "    finish: {from: [open, late], to: done, when: decided}",
    /* 13 */ "item:",
    /* 14 */ "  states: [asked, granted, refused]",
    /* 15 */ "  steps:",
    /* 16 */ "    grant: {from: [asked], to: granted, who: [assignee], never: [subject]}",
    /* 17 */ "    refuse: {from: [asked], to: refused, who: [assignee, clock], reason: true}",
    /* 18 */ "at_deadline:",
    /* 19 */ "  wait: null",
    /* 20 */ "  refuse: refuse",
};

static dv_result parse_with(size_t line, const char *text, const dv_case_type **ret_type)
{
    dv_auto(buf) dv_buf yaml = dv_buf_init(1 << 20);
    for (size_t i = 0; i < DV_ARRAY_LEN(GOOD); i++) {
        assert_int_equal(dv_buf_append_str(&yaml, i + 1 == line ? text : GOOD[i]), DV_OK);
        assert_int_equal(dv_buf_append_str(&yaml, "\n"), DV_OK);
    }
    memset(&error, 0, sizeof(error));
    return dv_case_type_parse(dv_buf_slice(&yaml), arena, ret_type, &error);
}

static void a_type_is_read(void **state)
{
    const dv_case_type *type = NULL;
    assert_int_equal(parse_with(0, NULL, &type), DV_OK);
    assert_string_equal(type->id, "request");
    assert_string_equal(type->assignee, "approver");
    assert_int_equal(type->deadline_least, 3600 * DV_SECOND);
    assert_int_equal(type->cases.state_count, 3);
    const dv_case_step *grant = dv_case_step_named(&type->items, "grant");
    assert_non_null(grant);
    assert_int_equal(grant->who, DV_CASE_ASSIGNEE);
    assert_int_equal(grant->never, DV_CASE_SUBJECT);
    assert_false(grant->reason);
    assert_true(dv_case_step_leaves(&type->items, grant, "asked"));
    assert_false(dv_case_step_leaves(&type->items, grant, "granted"));
    assert_false(dv_case_step_leaves(&type->items, grant, "nothing"));
    assert_true(dv_case_state_is_final(&type->items, 1));
    assert_false(dv_case_state_is_final(&type->items, 0));
    assert_string_equal(dv_case_step_when(&type->cases, "open", DV_CASE_DEADLINE)->name, "expire");
    assert_null(dv_case_step_when(&type->cases, "late", DV_CASE_DEADLINE));
    assert_string_equal(dv_case_choice_named(type, NULL)->name, "wait");
    assert_string_equal(dv_case_choice_named(type, "refuse")->step, "refuse");
    assert_null(dv_case_choice_named(type, "explode"));
    assert_null(dv_case_step_named(&type->items, "explode"));
}

static void a_bad_type_is_refused_with_line_and_reason(void **state)
{
    static const struct {
        size_t line;
        const char *text;
        int told;
        const char *words;
    } bad[] = {
        {1, "id: Request", 1, "begins with a-z"},
        {1, "id: a234567890123456789012345678901234", 1, "begins with a-z"},
        {2, "names: request", 2, "names"},
        {3, "", 1, "doc is missing"},
        {5, "deadline: {default: 3d, least: 4d, most: 30d}", 5, "least <= default"},
        {5, "deadline: {default: 3d, least: 0s, most: 30d}", 5, "least <= default"},
        {5, "deadline: {default: soon, least: 1h, most: 30d}", 5, "soon"},
        {5, "deadline: {default: 3d, most: 30d}", 5, "least is missing"},
        {6, "items_max: 5001", 6, "5000"},
        {7, "open_max: 1001", 7, "1000"},
        {7, "open_max: 0", 7, "1"},
        {9, "  states: [open, late, done, lost]", 9, "no step leads to the state lost"},
        {9, "  states: [open, late, done, open]", 9, "stands twice"},
        {9, "  states: []", 9, "a list that is not empty"},
        {11, "    expire: {from: [open], to: later, when: deadline}", 11,
         "there is no state later"},
        {11, "    expire: {from: [opened], to: late, when: deadline}", 11, "no state opened"},
        {11, "    expire: {from: [open], to: late}", 11, "wants either who or when"},
        {11, "    expire: {from: [open], to: late, who: [owner], when: deadline}", 11,
         "wants either who or when"},
        {11, "    expire: {from: [open], to: late, when: gone}", 11, "\"gone\""},
        {11, "    expire: {from: [open], to: open, when: deadline}", 11,
         "leads to where it begins"},
        {11, "    expire: {from: [open], to: late, when: deadline, alarm: perhaps}", 11, "alarm"},
        {11, "    expire: {from: [open], to: late, when: deadline, allarm: true}", 11, "allarm"},
        {11, "    ex-pire: {from: [open], to: late, when: deadline}", 11, "begins with a-z"},
        {12, "    finish: {from: [open, late, done], to: open, when: decided}", 12,
         "leads to where it begins"},
        {16, "    grant: {from: [asked], to: granted, who: [everybody]}", 16, "\"everybody\""},
        {16, "    grant: {from: [asked], to: granted, who: [assignee], never: [manger]}", 16,
         "\"manger\""},
        {16, "    grant: {to: granted, who: [assignee]}", 16, "from is missing"},
        {17, "    refuse: {from: [asked], to: refused, who: [assignee]}", 20, "clock may not take"},
        {20, "  refuse: repel", 20, "items have no step repel"},
        {20, "  wait: refuse", 20, ""},
        {20, "  - refuse", 20, ""},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        const dv_case_type *type = NULL;
        dv_result result = parse_with(bad[i].line, bad[i].text, &type);
        if (result != DV_ERR_INVALID || error.line != bad[i].told ||
            strstr(error.message, bad[i].words) == NULL) {
            fail_msg("\"%s\": %s, line %d: %s", bad[i].text, dv_result_name(result), error.line,
                     error.message);
        }
        assert_null(type);
    }
}

static void a_type_that_never_ends_is_refused(void **state)
{
    const dv_case_type *type = NULL;
    assert_int_equal(parse_with(12,
                                "    finish: {from: [open, late], to: done, when: decided}\n"
                                "    reopen: {from: [done], to: open, who: [owner]}",
                                &type),
                     DV_ERR_INVALID);
    assert_int_equal(error.line, 9);
    assert_non_null(strstr(error.message, "never end"));
}

/* Line 9, 11 or 20 with one more than there may be. */
static void limits_hold(void **state)
{
    const dv_case_type *type = NULL;
    char text[8192];
    size_t len = (size_t)snprintf(text, sizeof(text), "  states: [open, late, done");
    for (int i = 3; i <= DV_LIMIT_CASE_STATES; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, ", s%d", i);
    }
    snprintf(text + len, sizeof(text) - len, "]");
    assert_int_equal(parse_with(9, text, &type), DV_ERR_TOO_LARGE);
    assert_int_equal(error.line, 9);
    len = (size_t)snprintf(text, sizeof(text), "%s", GOOD[10]);
    for (int i = 2; i <= DV_LIMIT_CASE_STEPS; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len,
                                "\n    s%d: {from: [open], to: late, who: [owner]}", i);
    }
    assert_int_equal(parse_with(11, text, &type), DV_ERR_TOO_LARGE);
    len = (size_t)snprintf(text, sizeof(text), "%s", GOOD[19]);
    for (int i = 2; i <= DV_LIMIT_CASE_CHOICES; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\n  c%d: null", i);
    }
    assert_int_equal(parse_with(20, text, &type), DV_ERR_TOO_LARGE);
    assert_int_equal(error.line, 19 + DV_LIMIT_CASE_CHOICES);
}

static void every_type_of_ours_is_good(void **state)
{
    assert_true(DV_CASE_TYPE_FILE_COUNT > 0);
    for (size_t i = 0; i < DV_CASE_TYPE_FILE_COUNT; i++) {
        const dv_case_type *type = NULL;
        const char *id = DV_CASE_TYPE_FILES[i].id;
        if (dv_case_type_load(id, arena, &type, &error) != DV_OK) {
            fail_msg("%s.yaml line %d: %s", id, error.line, error.message);
        }
        assert_string_equal(type->id, id);
    }
    const dv_case_type *none = NULL;
    assert_int_equal(dv_case_type_load("nothing", arena, &none, &error), DV_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_type_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_type_is_refused_with_line_and_reason, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_type_that_never_ends_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_type_of_ours_is_good, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
