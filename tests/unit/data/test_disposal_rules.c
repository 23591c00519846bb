/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/caps.h"
#include "room/data/control/disposal/rules.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const dv_time a_day = 86400 * DV_SECOND;
static dv_arena *arena;
static dv_disposal_rules *rules;
static dv_error error;

static int set_up(void **state)
{
    (void)state;
    arena = dv_arena_new(16 << 20);
    return arena == NULL || dv_disposal_rules_new(&rules) != DV_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    dv_disposal_rules_free(rules);
    dv_arena_free(arena);
    return 0;
}

static dv_result set(const char *yaml)
{
    const dv_yaml *root = NULL;
    memset(&error, 0, sizeof(error));
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, &error), DV_OK);
    return dv_disposal_rules_set(rules, root, &error);
}

static dv_disposal_file file_of(const char *source, const char *name, const char *labels)
{
    return (dv_disposal_file){dv_slice_str(source), dv_slice_str(name), DV_LIT("personal"),
                              dv_slice_str(labels), 2};
}

static const char *rule_for(const char *source, const char *name, const char *labels)
{
    const dv_disposal_file file = file_of(source, name, labels);
    const dv_disposal_rule *rule = dv_disposal_rule_for(rules, &file);
    return rule != NULL ? rule->name : "";
}

static const char *hold_for(const char *source, const char *name, const char *labels)
{
    const dv_disposal_file file = file_of(source, name, labels);
    const dv_disposal_hold *hold = dv_disposal_hold_for(rules, &file);
    return hold != NULL ? hold->name : "";
}

static void without_a_section_nothing_goes(void **state)
{
    (void)state;
    assert_int_equal(dv_disposal_rules_set(rules, NULL, &error), DV_OK);
    assert_string_equal(rule_for("file://h/a", "b", "gdpr"), "");
}

static void the_rule_that_keeps_longest_counts(void **state)
{
    (void)state;
    assert_int_equal(set("rules:\n"
                         "  - {name: short, labels: [gdpr], keep: 30d}\n"
                         "  - {name: long, categories: [personal], keep: 10000d}\n"
                         "  - {name: ever, labels: [secret], keep: forever}\n"),
                     DV_OK);
    assert_string_equal(rule_for("s", "n", "gdpr"), "long");
    assert_string_equal(rule_for("s", "n", "gdpr,secret"), "ever");
    assert_string_equal(rule_for("s", "n", ""), "long");
    assert_int_equal(dv_disposal_rule_at(rules, 0)->keep, 30 * a_day);
    assert_true(dv_disposal_rule_at(rules, 2)->keep == DV_TIME_NEVER);
}

static const char *rule_at(dv_time changed, dv_time seen)
{
    dv_disposal_file file = file_of("s", "n", "gdpr");
    file.changed = changed;
    file.seen = seen;
    const dv_disposal_rule *rule = dv_disposal_rule_for(rules, &file);
    return rule != NULL ? rule->name : "";
}

/* A shorter time may end later, when it begins later. */
static void what_ends_last_counts(void **state)
{
    (void)state;
    assert_int_equal(set("rules:\n"
                         "  - {name: written, labels: [gdpr], keep: 90d}\n"
                         "  - {name: seen, labels: [gdpr], keep: 30d, since: seen}\n"),
                     DV_OK);
    assert_string_equal(rule_at(100 * a_day, 100 * a_day), "written");
    assert_string_equal(rule_at(100 * a_day, 200 * a_day), "seen");
    assert_string_equal(rule_at(100 * a_day, 50 * a_day), "written");
}

static void of_two_that_end_together_the_more_careful_counts(void **state)
{
    (void)state;
    assert_int_equal(set("rules:\n"
                         "  - {name: careless, labels: [gdpr], keep: 90d, unowned: true}\n"
                         "  - {name: careful, labels: [gdpr], keep: 90d}\n"
                         "  - {name: other, labels: [gdpr], keep: 90d, unread: true}\n"),
                     DV_OK);
    assert_string_equal(rule_at(100 * a_day, 100 * a_day), "careful");
}

static int64_t approvals(const char *labels)
{
    const dv_disposal_file file = file_of("s", "n", labels);
    return dv_disposal_approvals_for(rules, &file);
}

/* Whichever rule counts for the time: one that ends before may be the stricter one. */
static void the_most_approvals_that_a_rule_wants_count(void **state)
{
    (void)state;
    assert_int_equal(set("rules: [{name: a, labels: [gdpr], keep: 90d}]"), DV_OK);
    assert_int_equal(approvals("gdpr"), 0);
    assert_true(dv_disposal_approval_lasts(rules) == 7 * a_day);
    assert_int_equal(set("approvals: 1\n"
                         "approval_lasts: 36h\n"
                         "rules:\n"
                         "  - {name: strict, labels: [gdpr], keep: 30d, approvals: 3}\n"
                         "  - {name: long, labels: [gdpr, hipaa], keep: 90d}\n"
                         "  - {name: free, labels: [secret], keep: 90d, approvals: 0}\n"),
                     DV_OK);
    assert_string_equal(rule_for("s", "n", "gdpr"), "long");
    assert_int_equal(approvals("gdpr"), 3);
    assert_int_equal(approvals("hipaa"), 1);
    assert_int_equal(approvals("secret"), 0);
    assert_int_equal(approvals("sox"), 0);
    assert_true(dv_disposal_approval_lasts(rules) == 36 * a_day / 24);
}

static dv_disposal_file table_of(const char *source, const char *name, const char *labels)
{
    dv_disposal_file table = file_of(source, name, labels);
    table.table = true;
    return table;
}

static void rules_of_tables_are_for_tables(void **state)
{
    (void)state;
    const dv_disposal_file table = table_of("postgresql://h:5432/d", "public.t", "gdpr");
    const dv_disposal_file other = table_of("postgresql://h:5432/d", "public.t", "secret");
    assert_int_equal(set("rules:\n"
                         "  - {name: files, labels: [gdpr], keep: 9000d}\n"
                         "  - {name: short, labels: [gdpr], keep: 30d, column: created_at}\n"
                         "  - {name: long, of: tables, labels: [gdpr], keep: 90d, column: "
                         "\"created_at\", approvals: 2}\n"
                         "  - {name: torn, labels: [secret], keep: 10d, column: Created At}\n"
                         "  - {name: apart, labels: [secret], keep: 20d, column: updated}\n"
                         "holds: [{name: court, sources: [\"postgresql://h:5432/d/public.t\"]}]\n"),
                     DV_OK);
    assert_string_equal(rule_for("s", "n", "gdpr"), "files");
    const dv_disposal_rule *rule = dv_disposal_rule_for(rules, &table);
    assert_non_null(rule);
    assert_string_equal(rule->name, "long");
    assert_string_equal(rule->column, "created_at");
    assert_int_equal(dv_disposal_approvals_for(rules, &table), 2);
    assert_false(dv_disposal_columns_differ(rules, &table));
    assert_true(dv_disposal_columns_differ(rules, &other));
    assert_non_null(dv_disposal_hold_for(rules, &table));
    assert_int_equal(set("rules:\n"
                         "  - {name: ever, of: tables, labels: [gdpr], keep: forever}\n"
                         "  - {name: short, labels: [gdpr], keep: 30d, column: created_at}\n"),
                     DV_OK);
    assert_string_equal(dv_disposal_rule_for(rules, &table)->name, "ever");
}

static void all_that_a_rule_names_has_to_fit(void **state)
{
    (void)state;
    assert_int_equal(set("words: {labels: [board]}\n"
                         "rules:\n"
                         "  - {name: a, labels: [board, gdpr], categories: [payment, personal], "
                         "sensitivity: confidential, keep: 1d}\n"
                         "  - {name: b, labels: [secret], categories: [payment], keep: 1d}\n"
                         "  - {name: c, labels: [hipaa], sensitivity: restricted, keep: 1d}\n"),
                     DV_OK);
    assert_string_equal(rule_for("s", "n", "board"), "a");
    assert_string_equal(rule_for("s", "n", "gdpr,x"), "a");
    assert_string_equal(rule_for("s", "n", "boar"), "");
    assert_string_equal(rule_for("s", "n", "secret"), "");
    assert_string_equal(rule_for("s", "n", "hipaa"), "");
}

static void a_source_is_a_place_and_no_beginning_of_a_name(void **state)
{
    static const struct {
        const char *source;
        const char *name;
        bool held;
    } files[] = {
        {"file://h/srv/share/legal", "a.txt", true}, {"file://h/srv/share", "legal/a.txt", true},
        {"file://h/srv", "share/legal/b/c", true},   {"file://h/srv/share/legal/b", "c", true},
        {"file://h/srv/share", "legal", true},       {"file://h/srv/share", "legally/a", false},
        {"file://h/srv/share/leg", "al/a", false},   {"file://h/srv/share", "x/legal/a", false},
        {"file://g/srv/share/legal", "a", false},    {"file://h/srv/share/legal2", "a", false},
    };
    (void)state;
    assert_int_equal(set("holds: [{name: dbs, sources: [\"postgresql://::1:5432/d\","
                         " \"postgresql://a,b:5432,5433/d/s.t@x?\", \"postgresql://h:1\","
                         " \"postgresql:///run/postgresql:5432/d\"]}]"),
                     DV_OK);
    assert_int_equal(set("holds: [{name: case-7, sources: [\"file://h/srv/share/legal\"]}]"),
                     DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(files); i++) {
        assert_string_equal(hold_for(files[i].source, files[i].name, ""),
                            files[i].held ? "case-7" : "");
    }
}

static void a_hold_that_names_nothing_keeps_all(void **state)
{
    (void)state;
    assert_int_equal(set("holds: [{name: everything, reason: the court}]"), DV_OK);
    assert_string_equal(hold_for("s", "n", ""), "everything");
    assert_int_equal(set("holds: [{name: cards, labels: [pci-dss]}]"), DV_OK);
    assert_string_equal(hold_for("s", "n", "gdpr"), "");
    assert_string_equal(hold_for("s", "n", "gdpr,pci-dss"), "cards");
}

static void what_is_wrong_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *yaml;
        const char *says;
    } wrong[] = {
        {"rules: {}", "rules is a list"},
        {"holds: x", "holds is a list"},
        {"rulse: []", "rules"},
        {"rules: [{labels: [gdpr], keep: 1d}]", "needs a name"},
        {"rules: [{name: A, labels: [gdpr], keep: 1d}]", "small letters"},
        {"rules: [{name: a, labels: [], keep: 1d}]", "not empty"},
        {"rules: [{name: a, labels: gdpr, keep: 1d}]", "not empty"},
        {"rules: [{name: a, labels: [gdrp], keep: 1d}]", "did you mean gdpr?"},
        {"rules: [{name: a, labels: [board], keep: 1d}]", "words: {labels"},
        {"rules: [{name: a, categories: [pesonal], keep: 1d}]", "did you mean personal?"},
        {"rules: [{name: a, sources: [/srv], keep: 1d}]", "file://host"},
        {"rules: [{name: a, sources: [\"file://h/srv/\"], keep: 1d}]", "without a /"},
        {"holds: [{name: a, sources: [\"postgresql://db1/shop\"]}]", "with its port"},
        {"holds: [{name: a, sources: [\"postgresql://db1:x/shop\"]}]", "with its port"},
        {"holds: [{name: a, sources: [\"postgresql://me@db1:5432/shop\"]}]", "without an account"},
        {"holds: [{name: a, sources: [\"postgresql://h?port=:5\"]}]",
         "as `dvara data scans` calls"},
        {"holds: [{name: a, sources: [\"postgres://db1:5432/shop\"]}]", "postgresql://host:5432"},
        {"rules: [{name: a, sensitivity: restricted, keep: 1d}]", "what it is for"},
        {"rules: [{name: a, labels: [gdpr], sensitivity: secret, keep: 1d}]", "public, internal"},
        {"rules: [{name: a, labels: [gdpr], keep: 23h}]", "from 1d"},
        {"rules: [{name: a, labels: [gdpr], keep: 36501d}]", "from 1d"},
        {"rules: [{name: a, labels: [gdpr], keep: soon}]", "keep"},
        {"rules: [{name: a, labels: [gdpr]}]", "how long"},
        {"rules: [{name: a, of: vault, labels: [gdpr], keep: 1d}]", "of files"},
        {"rules: [{name: a, vaults: [B], keep: 1d}]", "no name of a vault"},
        {"rules: [{name: a, vaults: customers, keep: 1d}]", "not empty"},
        {"rules: [{name: a, vaults: [v], of: files, keep: 1d}]", "of vaults"},
        {"rules: [{name: a, vaults: [v], labels: [gdpr], keep: 1d}]", "labels"},
        {"rules: [{name: a, vaults: [v], cases: [data_access], keep: 1d}]", "not both"},
        {"rules: [{name: a, vaults: [v], keep: 0y}]", "from 1d"},
        {"rules: [{name: a, vaults: [v], keep: 100y}]", "from 1d"},
        {"rules: [{name: a, vaults: [v], keep: 1y2}]", "duration"},
        {"rules: [{name: a, cases: [disposals], keep: 1d}]", "data_disposal"},
        {"rules: [{name: a, vaults: [v], keep: 1d}, {name: a, cases: [data_access], keep: 1d}]",
         "two rules"},
        {"holds: [{name: h, vaults: [v], keep: 1d}]", "keep"},
        {"holds: [{name: h, vaults: [v], approvals: 0}]", "approvals"},
        {"rules: [{name: a, vaults: [v], keep: 1d, approvals: 1}]", "files and tables"},
        {"rules: [{name: a, cases: [data_access], keep: 1d, approvals: 5}]", "files and tables"},
        {"rules: [{name: a, labels: [gdpr], keep: 1d, since: born}]", "changed"},
        {"rules: [{name: a, labels: [gdpr], keep: 1d, unowned: maybe}]", "unowned"},
        {"rules: [{name: a, labels: [gdpr], keep: 1d, unread: [x]}]", "unread"},
        {"rules: [{name: a, labels: [gdpr], keep: 1d, approvals: 6}]", "5"},
        {"approvals: -1", "0"},
        {"rules: [{name: a, of: tables, labels: [gdpr], keep: 1d}]", "names the column"},
        {"rules: [{name: a, of: files, labels: [gdpr], keep: 1d, column: c}]",
         "for rules of tables"},
        {"rules: [{name: a, labels: [gdpr], keep: 1d, column: \"\"}]", "name of a column"},
        {"rules: [{name: a, labels: [gdpr], keep: 1d, column: \"a\\tb\"}]", "name of a column"},
        {("rules: [{name: a, labels: [gdpr], keep: 1d, column: "
          "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcd}]"),
         "63 bytes"},
        {"rules: [{name: a, labels: [gdpr], keep: 1d, column: c, since: seen}]", "for files"},
        {"approvals: two", "approvals"},
        {"approval_lasts: 91d", "90d"},
        {"approval_lasts: 0s", "from 1s"},
        {"certificates: {names: shown}", "masked or hidden"},
        {"words: {labels: {}}", "lists"},
        {"holds: [{name: h, keep: 1d}]", "keep"},
    };
    (void)state;
    assert_int_equal(set("rules: [{name: old, labels: [gdpr], keep: 1d}]"), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(wrong); i++) {
        assert_int_equal(set(wrong[i].yaml), DV_ERR_INVALID);
        if (strstr(error.message, wrong[i].says) == NULL) {
            fail_msg("%s: %s", wrong[i].yaml, error.message);
        }
        assert_int_equal(error.line, 1);
    }
    assert_string_equal(rule_for("s", "n", "gdpr"), "old"); /* as before */
}

static const char *kept_for(dv_kept_kind kind, const char *thing)
{
    const dv_kept_rule *rule = dv_kept_rule_for(dv_disposal_kept(rules), kind, thing);
    return rule == NULL ? "" : rule->name;
}

static const char *held(dv_kept_kind kind, const char *thing)
{
    const char *hold = dv_disposal_held(rules, kind, thing);
    return hold == NULL ? "" : hold;
}

static void vaults_and_cases_have_rules_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(set("rules:\n"
                         "  - {name: files, labels: [gdpr], keep: 30d}\n"
                         "  - {name: short, vaults: [customers, b.2], keep: 1d}\n"
                         "  - {name: long, of: vaults, vaults: [customers], keep: 2y}\n"
                         "  - {name: ever, vaults: [old], keep: forever}\n"
                         "  - {name: cases, cases: [access_review, data_access], keep: 3y}\n"
                         "holds:\n"
                         "  - {name: h, vaults: [b.2], reason: x}\n"
                         "  - {name: c, cases: [data_review]}\n"),
                     DV_OK);
    assert_string_equal(kept_for(DV_KEPT_VAULTS, "customers"), "long");
    assert_string_equal(kept_for(DV_KEPT_VAULTS, "b.2"), "short");
    assert_string_equal(kept_for(DV_KEPT_VAULTS, "other"), "");
    assert_string_equal(kept_for(DV_KEPT_VAULTS, "access_review"), "");
    assert_string_equal(kept_for(DV_KEPT_CASES, "access_review"), "cases");
    assert_string_equal(kept_for(DV_KEPT_CASES, "data_review"), "");
    assert_string_equal(held(DV_KEPT_VAULTS, "b.2"), "h");
    assert_string_equal(held(DV_KEPT_VAULTS, "customers"), "");
    assert_string_equal(held(DV_KEPT_CASES, "data_review"), "c");
    const dv_kept_rules *kept = dv_disposal_kept(rules);
    assert_int_equal(kept->count, 6);
    const dv_kept_rule *two_years = dv_kept_rule_for(kept, DV_KEPT_VAULTS, "customers");
    assert_true(two_years->keep == 732 * a_day); /* never shorter than those of the calendar */
    assert_true(dv_kept_cutoff(two_years, 1000 * a_day) == 268 * a_day);
    assert_true(dv_kept_cutoff(two_years, 700 * a_day) == 0);
    assert_true(dv_kept_cutoff(dv_kept_rule_for(kept, DV_KEPT_VAULTS, "old"), INT64_MAX) == 0);
    assert_true(dv_kept_cutoff(NULL, INT64_MAX) == 0);
    assert_string_equal(rule_for("s", "n", "gdpr"), "files"); /* files are none of theirs */
    assert_string_equal(hold_for("s", "n", "gdpr"), "");
    assert_int_equal(set("holds: [{name: everything}]"), DV_OK);
    assert_string_equal(held(DV_KEPT_VAULTS, "any"), "everything");
    assert_string_equal(held(DV_KEPT_CASES, "data_access"), "everything");
    assert_int_equal(set("holds: [{name: some, sensitivity: public}]"), DV_OK);
    assert_string_equal(held(DV_KEPT_VAULTS, "any"), "");
}

static void vaults_and_cases_say_that_they_go_without_approvals(void **state)
{
    (void)state;
    assert_int_equal(set("approvals: 1\n"
                         "rules:\n"
                         "  - {name: files, labels: [gdpr], keep: 30d}\n"
                         "  - {name: v, vaults: [customers], keep: 1d, approvals: 0}\n"
                         "  - {name: c, cases: [data_access], keep: 1d, approvals: 0}\n"),
                     DV_OK);
    assert_int_equal(approvals("gdpr"), 1);
    assert_string_equal(kept_for(DV_KEPT_VAULTS, "customers"), "v");
    /* One that does not say is refused with its line, and the rules stay as they were. */
    static const char *const silent[] = {"vaults: [other]", "cases: [data_review]"};
    for (size_t i = 0; i < DV_ARRAY_LEN(silent); i++) {
        char yaml[128];
        (void)snprintf(yaml, sizeof(yaml), "approvals: 1\nrules:\n  - {name: v, %s, keep: 1d}\n",
                       silent[i]);
        assert_int_equal(set(yaml), DV_ERR_INVALID);
        assert_int_equal(error.line, 3);
        assert_non_null(strstr(error.message, "approvals: 0"));
    }
    assert_string_equal(kept_for(DV_KEPT_VAULTS, "customers"), "v");
    assert_string_equal(kept_for(DV_KEPT_VAULTS, "other"), "");
    /* A hold lets nothing go, and so needs none. */
    assert_int_equal(set("approvals: 1\nholds: [{name: h, vaults: [v]}]"), DV_OK);
}

static void there_are_limits_of_vaults_and_cases(void **state)
{
    (void)state;
    dv_buf yaml = dv_buf_init(1 << 20);
    assert_int_equal(dv_buf_append_str(&yaml, "rules:\n"), DV_OK);
    for (int i = 0; i <= 2 * DV_LIMIT_DATA_RULES; i++) {
        if (i == 2 * DV_LIMIT_DATA_RULES) {
            assert_int_equal(set(dv_buf_cstr(&yaml)), DV_OK);
        }
        assert_int_equal(dv_buf_append_printf(&yaml, "  - {name: r%d, vaults: [v], keep: 1d}\n", i),
                         DV_OK);
    }
    assert_int_equal(set(dv_buf_cstr(&yaml)), DV_ERR_INVALID);
    dv_buf_clear(&yaml);
    assert_int_equal(dv_buf_append_str(&yaml, "holds: [{name: h, vaults: [x"), DV_OK);
    for (int i = 0; i < DV_KEPT_THINGS; i++) {
        assert_int_equal(dv_buf_append_printf(&yaml, ", s%d", i), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&yaml, "]}]"), DV_OK);
    assert_int_equal(set(dv_buf_cstr(&yaml)), DV_ERR_INVALID);
    dv_buf_release(&yaml);
}

static void there_are_limits(void **state)
{
    (void)state;
    dv_buf yaml = dv_buf_init(1 << 20);
    assert_int_equal(dv_buf_append_str(&yaml, "rules:\n"), DV_OK);
    for (int i = 0; i <= DV_LIMIT_DATA_RULES; i++) {
        if (i == DV_LIMIT_DATA_RULES) {
            assert_int_equal(set(dv_buf_cstr(&yaml)), DV_OK);
        }
        assert_int_equal(
            dv_buf_append_printf(&yaml, "  - {name: r%d, labels: [gdpr], keep: 1d}\n", i), DV_OK);
    }
    assert_int_equal(set(dv_buf_cstr(&yaml)), DV_ERR_INVALID);
    dv_buf_clear(&yaml);
    assert_int_equal(dv_buf_append_str(&yaml, "holds: [{name: h, sources: [x"), DV_OK);
    for (int i = 0; i < DV_DISPOSAL_WORDS; i++) {
        assert_int_equal(dv_buf_append_printf(&yaml, ", s%d", i), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&yaml, "]}]"), DV_OK);
    assert_int_equal(set(dv_buf_cstr(&yaml)), DV_ERR_INVALID);
    dv_buf_release(&yaml);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_section_nothing_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_rule_that_keeps_longest_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_ends_last_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_two_that_end_together_the_more_careful_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_most_approvals_that_a_rule_wants_count, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(rules_of_tables_are_for_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_that_a_rule_names_has_to_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_source_is_a_place_and_no_beginning_of_a_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hold_that_names_nothing_keeps_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_refused_with_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(vaults_and_cases_have_rules_of_their_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(vaults_and_cases_say_that_they_go_without_approvals, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(there_are_limits_of_vaults_and_cases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(there_are_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
