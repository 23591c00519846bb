/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/caps.h"
#include "room/data/control/access/rules.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const dv_time a_day = 86400 * DV_SECOND;
static dv_arena *arena;
static dv_data_rules *rules;
static dv_error error;

static int set_up(void **state)
{
    (void)state;
    arena = dv_arena_new(16 << 20);
    return arena == NULL || dv_data_rules_new(&rules) != DV_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    dv_data_rules_free(rules);
    dv_arena_free(arena);
    return 0;
}

static dv_result set(const char *yaml)
{
    const dv_yaml *root = NULL;
    memset(&error, 0, sizeof(error));
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, &error), DV_OK);
    return dv_data_rules_set(rules, root, &error);
}

static dv_data_wants wants(int64_t level, const char *categories, const char *labels)
{
    const dv_data_labelled asset = {level, dv_slice_str(categories), dv_slice_str(labels)};
    return dv_data_rules_wants(rules, &asset);
}

static void without_rules_sensitivity_says_it(void **state)
{
    static const int64_t approvals[] = {0, 1, 1, 2};
    (void)state;
    for (int64_t level = 0; level < 4; level++) {
        dv_data_wants w = wants(level, "payment", "pci-dss");
        assert_int_equal(w.approvals, approvals[level]);
        assert_int_equal(w.grant, level > 0);
        assert_int_equal(w.longest, 90 * a_day);
        assert_null(w.approvers);
    }
}

static void of_rules_that_fit_the_strictest_counts(void **state)
{
    (void)state;
    assert_int_equal(set("longest: 30d\n"
                         "rules:\n"
                         "- {label: board, approvals: 2, longest: 7d}\n"
                         "- {category: payment, approvers: office, grant: false}\n"
                         "- {sensitivity: restricted, label: press, approvals: 0, grant: false}\n"),
                     DV_OK);
    dv_data_wants w = wants(3, "personal,payment", "board,press");
    assert_int_equal(w.approvals, 2);
    assert_true(w.grant);
    assert_int_equal(w.longest, 7 * a_day);
    assert_string_equal(w.approvers, "office");
    w = wants(3, "", "press");
    assert_int_equal(w.approvals, 0);
    assert_false(w.grant);
    assert_int_equal(w.longest, 30 * a_day);
    /* A part of a word is none, and a rule that names two things wants both. */
    assert_int_equal(wants(3, "", "boards").approvals, 2);
    assert_null(wants(2, "payments", "press").approvers);
    assert_true(wants(2, "", "press").grant);
}

/* Who shortens grants of restricted data wants no fewer approvals with it. */
static void a_rule_that_says_no_approvals_takes_none_away(void **state)
{
    (void)state;
    assert_int_equal(set("rules: [{category: payment, longest: 7d}]"), DV_OK);
    assert_int_equal(wants(3, "payment", "").approvals, 2);
    assert_int_equal(wants(2, "payment", "").approvals, 1);
    assert_int_equal(wants(0, "payment", "").approvals, 1);
    assert_int_equal(set("rules: [{category: payment, longest: 7d}, {sensitivity: restricted,"
                         " approvals: 1}]"),
                     DV_OK);
    assert_int_equal(wants(3, "payment", "").approvals, 2);
    assert_int_equal(wants(3, "", "").approvals, 1);
}

static void reviews_have_a_period(void **state)
{
    (void)state;
    assert_int_equal(dv_data_rules_period(rules).every, 0);
    assert_int_equal(set("review: {every: 90d}"), DV_OK);
    assert_int_equal(dv_data_rules_period(rules).every, 90 * a_day);
    assert_int_equal(dv_data_rules_period(rules).deadline, 14 * a_day);
    assert_int_equal(set("review: {every: 1d, deadline: 366d}"), DV_ERR_INVALID);
    assert_int_equal(set("review: {deadline: 3d}"), DV_ERR_INVALID);
    assert_int_equal(dv_data_rules_period(rules).every, 90 * a_day);
}

static void what_is_wrong_leaves_the_rules_as_they_were(void **state)
{
    (void)state;
    assert_int_equal(set("rules: [{label: a, approvals: 5}]"), DV_OK);
    assert_int_equal(set("rules: [{label: a, approvals: 1}, {label: b, approvals: -1}]"),
                     DV_ERR_INVALID);
    assert_int_equal(error.line, 1);
    assert_int_equal(set("longest: 3651d"), DV_ERR_INVALID);
    assert_int_equal(set("rules: [x]"), DV_ERR_INVALID);
    assert_int_equal(wants(1, "", "a").approvals, 5);
    assert_int_equal(dv_data_rules_set(rules, NULL, &error), DV_OK);
    assert_int_equal(wants(1, "", "a").approvals, 1);
}

static void there_are_only_so_many_rules(void **state)
{
    dv_auto(buf) dv_buf yaml = dv_buf_init(1 << 16);
    (void)state;
    assert_int_equal(dv_buf_append_str(&yaml, "rules:\n"), DV_OK);
    for (int i = 0; i < DV_LIMIT_DATA_RULES; i++) {
        assert_int_equal(dv_buf_append_printf(&yaml, "- {label: l%d}\n", i), DV_OK);
    }
    dv_slice text;
    assert_int_equal(dv_arena_copy(arena, dv_buf_slice(&yaml), &text), DV_OK);
    assert_int_equal(set((const char *)text.ptr), DV_OK);
    assert_int_equal(dv_buf_append_str(&yaml, "- {label: more}\n"), DV_OK);
    assert_int_equal(dv_arena_copy(arena, dv_buf_slice(&yaml), &text), DV_OK);
    assert_int_equal(set((const char *)text.ptr), DV_ERR_INVALID);
    assert_int_equal(error.line, DV_LIMIT_DATA_RULES + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_rules_sensitivity_says_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_rules_that_fit_the_strictest_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_leaves_the_rules_as_they_were, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_rule_that_says_no_approvals_takes_none_away, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reviews_have_a_period, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_are_only_so_many_rules, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
