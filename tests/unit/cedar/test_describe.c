/* SPDX-License-Identifier: Apache-2.0 */
/* What a set tells of itself. */
#include "base/buf.h"
#include "base/caps.h"
#include "engine/cedar/describe.h"

#include "tests/unit/cedar/world.h"

/* "policy uid;" for each, with "=" where only the entity itself is meant. */
static dv_result note(void *data, const dv_cedar_mention *mention)
{
    return dv_buf_append_printf(data, "%.*s %s%.*s;", DV_SLICE_ARGS(mention->policy),
                                mention->itself ? "=" : "", DV_SLICE_ARGS(mention->uid));
}

static void expect_mentions(const char *policies, const char *expected)
{
    world w = world_new(policies);
    dv_auto(buf) dv_buf told = dv_buf_init(4096);

    assert_int_equal(dv_cedar_mentions(w.set, note, &told), DV_OK);
    if (!dv_slice_eq_str(dv_buf_slice(&told), expected)) {
        fail_msg("%s\ntells  %.*s\nand not %s", policies, (int)told.len, (const char *)told.ptr,
                 expected);
    }
    world_end(&w);
}

static void scopes_mention_what_they_name(void **unused)
{
    expect_mentions("permit(principal, action, resource);", "");
    expect_mentions("permit(principal is User, action, resource is Model);", "");
    expect_mentions("permit(principal in G::\"a\", action, resource in G::\"b\");",
                    "policy0 G::\"a\";policy0 G::\"b\";");
    expect_mentions("permit(principal is U in G::\"a\", action, resource);", "policy0 G::\"a\";");
    expect_mentions("@id(\"p\")forbid(principal == U::\"a\", action == Action::\"x\", resource == "
                    "R::\"b\");",
                    "p U::\"a\";p Action::\"x\";p =R::\"b\";");
}

static void conditions_mention_what_stands_anywhere_in_them(void **unused)
{
    static const struct {
        const char *condition;
        const char *expected;
    } cases[] = {
        {"principal in G::\"a\"", "policy0 G::\"a\";"},
        {"principal in [G::\"a\", G::\"b\"]", "policy0 G::\"a\";policy0 G::\"b\";"},
        {"[[U::\"z\"], [G::\"a\", G::\"a\"]].contains([principal])",
         "policy0 U::\"z\";policy0 G::\"a\";policy0 G::\"a\";"},
        {"principal is U in G::\"a\"", "policy0 G::\"a\";"},
        {"if context.x then !(principal in G::\"a\") else true || principal == U::\"b\"",
         "policy0 G::\"a\";policy0 U::\"b\";"},
        {"{a: 1, b: {c: G::\"a\"}}.b.c == principal", "policy0 G::\"a\";"},
        {"G::\"a\".hasTag(\"x\") && G::\"b\" has y.z && G::\"c\".name like \"*\"",
         "policy0 G::\"a\";policy0 G::\"b\";policy0 G::\"c\";"},
        {"context.s.containsAny([G::\"a\"]) && ip(\"10.0.0.1\").isLoopback()", "policy0 G::\"a\";"},
        {"\"G::\\\"a\\\"\" == context.s", ""},
        {"principal in context.s", ""},
        {"principal in G::\"a\\u{0}\\\"\"", "policy0 G::\"a\\0\\\"\";"},
    };

    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        char text[512];
        snprintf(text, sizeof(text), "forbid(principal, action, resource) unless {%s};",
                 cases[i].condition);
        expect_mentions(text, cases[i].expected);
    }
}

static void a_template_mentions_nothing_until_it_is_linked(void **unused)
{
    static const char text[] = "@id(\"t\")permit(principal in ?principal, action, resource) when "
                               "{resource in F::\"x\"};";
    const dv_cedar_link link = {DV_LIT("t"), DV_LIT("l"), DV_LIT("G::\"a\""), DV_LIT("")};
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auto(buf) dv_buf told = dv_buf_init(4096);
    dv_error error;

    expect_mentions(text, "");
    assert_int_equal(dv_cedar_parse_linked(dv_slice_str(text), &link, 1, &set, &error), DV_OK);
    assert_int_equal(dv_cedar_mentions(set, note, &told), DV_OK);
    assert_true(dv_slice_eq_str(dv_buf_slice(&told), "l G::\"a\";l F::\"x\";"));
}

static dv_result stop(void *data, const dv_cedar_mention *mention)
{
    int *count = data;

    (*count)++;
    return dv_slice_eq_str(mention->uid, "G::\"b\"") ? DV_ERR_EXISTS : DV_OK;
}

static void the_first_result_that_is_not_ok_ends_it(void **unused)
{
    int count = 0;
    world w = world_new("permit(principal in G::\"a\", action, resource) when {principal in "
                        "G::\"b\" || principal in G::\"c\"};");

    assert_int_equal(dv_cedar_mentions(w.set, stop, &count), DV_ERR_EXISTS);
    assert_int_equal(count, 2);
    world_end(&w);
}

static void an_empty_id_is_told(void **unused)
{
    static const struct {
        const char *policy;
        bool named, nameless;
    } cases[] = {
        {"permit(principal, action, resource);", false, false},
        {"@note(\"id\") permit(principal, action, resource);", false, false},
        {"@id(\"x\") permit(principal, action, resource);", true, false},
        {"@id(\"\") permit(principal, action, resource);", true, true},
        {"@note @id permit(principal, action, resource);", true, true},
    };

    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_cedar_policy_info info;
        world w = world_new(cases[i].policy);
        dv_cedar_policy_describe(w.set, 0, &info);
        assert_int_equal(info.named, cases[i].named);
        assert_int_equal(info.nameless, cases[i].nameless);
        world_end(&w);
    }
}

/* --- what a policy is ------------------------------------------------------------------------ */

static void policies_are_described_by_place_and_types(void **unused)
{
    static const char text[] =
        "permit(principal, action, resource);\n"
        "  @note(\"x\") forbid(principal is N::U, action, resource in M::\"a\")\n"
        "when { true }; permit(principal == U::\"a\", action, resource is M in G::\"g\");\n"
        "@id(\"t\") permit(principal == ?principal, action, resource in ?resource);";
    static const struct {
        const char *id, *principal, *resource;
        int line, column;
        bool forbid, template;
    } expected[] = {
        {"policy0", "", "", 1, 1, false, false},
        {"policy1", "N::U", "M", 2, 3, true, false},
        {"policy2", "U", "M", 3, 16, false, false},
        {"t", "", "", 4, 1, false, true},
    };
    world w = world_new(text);

    for (size_t i = 0; i < DV_ARRAY_LEN(expected); i++) {
        int line = 0, column = 0;
        dv_cedar_policy_info info;
        dv_cedar_policy_describe(w.set, i, &info);
        assert_true(dv_slice_eq_str(info.id, expected[i].id));
        assert_true(dv_slice_eq_str(info.principal_type, expected[i].principal));
        assert_true(dv_slice_eq_str(info.resource_type, expected[i].resource));
        dv_cedar_text_place(dv_slice_str(text), info.offset, &line, &column);
        assert_int_equal(line, expected[i].line);
        assert_int_equal(column, expected[i].column);
        assert_int_equal(info.forbid, expected[i].forbid);
        assert_int_equal(info.template, expected[i].template);
    }
    world_end(&w);
}

static dv_result note_uid(void *data, dv_slice uid)
{
    return dv_buf_append_printf(data, "%.*s;", DV_SLICE_ARGS(uid));
}

static dv_result stop_at_once(void *data, dv_slice uid)
{
    return DV_ERR_EXISTS;
}

static void scopes_tell_their_entities_part_by_part(void **unused)
{
    static const char *const expected[] = {
        "U::\"a\";G::\"g\";", "Action::\"x\";Action::\"y\";Action::\"x\";", "M::\"m\";"};
    world w = world_new("permit(principal == U::\"a\", action in [Action::\"x\", Action::\"y\"], "
                        "resource);"
                        "forbid(principal in G::\"g\", action == Action::\"x\", resource in "
                        "M::\"m\");");

    for (size_t part = 0; part < DV_ARRAY_LEN(expected); part++) {
        dv_auto(buf) dv_buf told = dv_buf_init(4096);
        assert_int_equal(dv_cedar_scope_uids(w.set, (dv_cedar_part)part, note_uid, &told), DV_OK);
        assert_true(dv_slice_eq_str(dv_buf_slice(&told), expected[part]));
    }
    assert_int_equal(dv_cedar_scope_uids(w.set, DV_CEDAR_PART_ACTION, stop_at_once, NULL),
                     DV_ERR_EXISTS);
    world_end(&w);
}

static void a_policy_is_asked_for_its_first_entity(void **unused)
{
    world w = world_new("@id(\"a\")permit(principal in G::\"g\", action, resource);"
                        "@id(\"t\")permit(principal == ?principal, action, resource == M::\"m\");");
    dv_slice uid = {0};

    assert_true(dv_cedar_policy_names(w.set, DV_LIT("a"), DV_CEDAR_PART_PRINCIPAL, &uid));
    assert_true(dv_slice_eq_str(uid, "G::\"g\""));
    assert_false(dv_cedar_policy_names(w.set, DV_LIT("a"), DV_CEDAR_PART_ACTION, &uid));
    assert_false(dv_cedar_policy_names(w.set, DV_LIT("t"), DV_CEDAR_PART_RESOURCE, &uid));
    assert_false(dv_cedar_policy_names(w.set, DV_LIT("z"), DV_CEDAR_PART_PRINCIPAL, &uid));
    world_end(&w);
}

/* --- how it judges --------------------------------------------------------------------------- */

/* "id par satisfied failed condition@line:column;": p, a, r stand for parts of the scope that hold.
 */
static dv_result note_judgement(void *data, const dv_cedar_judgement *j)
{
    DV_TRY(dv_buf_append_printf(data, "%.*s %s%s%s%s%s", DV_SLICE_ARGS(j->id),
                                j->principal ? "p" : "-", j->action ? "a" : "-",
                                j->resource ? "r" : "-", j->satisfied ? " satisfied" : "",
                                j->failed ? " failed" : ""));
    if (j->line > 0) {
        DV_TRY(dv_buf_append_printf(data, " %s%.*s@%d:%d", j->unless ? "unless " : "",
                                    DV_SLICE_ARGS(j->condition), j->line, j->column));
    }
    return dv_buf_append_byte(data, ';');
}

static void expect_judged(const char *policies, const char *expected)
{
    static const dv_slice groups[] = {{(const uint8_t *)"G::\"g\"", 6}};
    const dv_cedar_entity alice = {
        .uid = DV_LIT("U::\"a\""), .ancestors = groups, .ancestor_count = 1};
    const dv_cedar_request request = {DV_LIT("U::\"a\""), DV_LIT("Action::\"x\""),
                                      DV_LIT("M::\"m\""), NULL};
    world w = world_new(policies);
    dv_auto(buf) dv_buf told = dv_buf_init(4096);

    w.entities = &alice;
    w.entity_count = 1;
    assert_int_equal(
        dv_cedar_explain(w.set, &request, world_lookup, &w, w.arena, note_judgement, &told), DV_OK);
    if (!dv_slice_eq_str(dv_buf_slice(&told), expected)) {
        fail_msg("%s\nis judged  %.*s\nand not    %s", policies, (int)told.len,
                 (const char *)told.ptr, expected);
    }
    world_end(&w);
}

static void each_part_of_a_scope_is_judged(void **unused)
{
    expect_judged("permit(principal, action, resource);", "policy0 par satisfied;");
    expect_judged("permit(principal == U::\"a\", action == Action::\"x\", resource == M::\"m\");",
                  "policy0 par satisfied;");
    expect_judged("permit(principal in G::\"g\", action in [Action::\"y\", Action::\"x\"], "
                  "resource is M);",
                  "policy0 par satisfied;");
    expect_judged("permit(principal is U in G::\"g\", action, resource in M::\"m\");",
                  "policy0 par satisfied;");
    /* An ancestor is not the entity, and a type is one of its own. */
    expect_judged("permit(principal == G::\"g\", action == Action::\"y\", resource is N);",
                  "policy0 ---;");
    expect_judged("permit(principal is G in G::\"g\", action, resource is N::M);", "policy0 -a-;");
    expect_judged("permit(principal, action in [], resource);", "policy0 p-r;");
    expect_judged("permit(principal in G::\"h\", action, resource) when { true };"
                  "@id(\"f\") forbid(principal, action, resource);",
                  "policy0 -ar;f par satisfied;");
}

static void what_did_not_hold_is_told_with_its_place(void **unused)
{
#define ANY "permit(principal, action, resource)"
    expect_judged(ANY "\nwhen {\n1 < 2\n};", "policy0 par satisfied;");
    expect_judged(ANY "\nwhen {\n 2 < 1\n};", "policy0 par 2 < 1@3:2;");
    expect_judged(ANY "\nunless {\n1 < 2\n};", "policy0 par unless 1 < 2@3:1;");
    expect_judged(ANY " when { true } unless { false }\nwhen {\nfalse\n};",
                  "policy0 par false@3:1;");
    /* Of operands that must all hold, the first that does not. */
    expect_judged(ANY " when {\ntrue &&\n2 < 1 &&\nfalse\n};", "policy0 par 2 < 1 &&@3:1;");
    expect_judged(ANY " unless {\ntrue && 1 < 2\n};", "policy0 par unless true && 1 < 2@2:1;");
}

static void what_failed_is_told_and_is_not_satisfied(void **unused)
{
    expect_judged(ANY " when {\nprincipal.absent\n};", "policy0 par failed principal.absent@2:1;");
    expect_judged(ANY " when {\ntrue &&\n1 < \"a\"\n};", "policy0 par failed 1 < \"a\"@3:1;");
    expect_judged(ANY " unless {\n1\n};", "policy0 par failed unless 1@2:1;");
    /* What stands behind a condition that does not hold is not asked. */
    expect_judged(ANY " when {\nfalse\n} when { principal.absent };", "policy0 par false@2:1;");
}

static void questions_that_are_none_are_refused(void **unused)
{
    const dv_cedar_value number = dv_cedar_long(1);
    dv_cedar_request request = {DV_LIT("U::\"a\""), DV_LIT("Action::\"x\""), DV_LIT("M::\"m\""),
                                &number};
    dv_auto(buf) dv_buf told = dv_buf_init(4096);
    world w = world_new(ANY ";");

    assert_int_equal(
        dv_cedar_explain(w.set, &request, world_lookup, &w, w.arena, note_judgement, &told),
        DV_ERR_INVALID);
    request.context = NULL;
    request.resource = DV_LIT("m");
    assert_int_equal(
        dv_cedar_explain(w.set, &request, world_lookup, &w, w.arena, note_judgement, &told),
        DV_ERR_INVALID);
    assert_int_equal(told.len, 0);
    world_end(&w);
}

/* Each policy has the steps of a whole decision, and not one more. */
static void an_explanation_is_bounded(void **unused)
{
    const dv_cedar_request request = {DV_LIT("U::\"a\""), DV_LIT("Action::\"x\""),
                                      DV_LIT("M::\"m\""), NULL};
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20), told = dv_buf_init(4096);

    assert_int_equal(dv_buf_append_str(&text, ANY " when { 1"), DV_OK);
    for (int i = 0; i < DV_LIMIT_CEDAR_STEPS; i++) {
        assert_int_equal(dv_buf_append_str(&text, "+1"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, " == 1 };"), DV_OK);
    world w = world_new(dv_buf_cstr(&text));
    assert_int_equal(
        dv_cedar_explain(w.set, &request, world_lookup, &w, w.arena, note_judgement, &told),
        DV_ERR_TOO_LARGE);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_mention_what_they_name),
        cmocka_unit_test(conditions_mention_what_stands_anywhere_in_them),
        cmocka_unit_test(a_template_mentions_nothing_until_it_is_linked),
        cmocka_unit_test(an_empty_id_is_told),
        cmocka_unit_test(the_first_result_that_is_not_ok_ends_it),
        cmocka_unit_test(policies_are_described_by_place_and_types),
        cmocka_unit_test(scopes_tell_their_entities_part_by_part),
        cmocka_unit_test(a_policy_is_asked_for_its_first_entity),
        cmocka_unit_test(each_part_of_a_scope_is_judged),
        cmocka_unit_test(what_did_not_hold_is_told_with_its_place),
        cmocka_unit_test(what_failed_is_told_and_is_not_satisfied),
        cmocka_unit_test(questions_that_are_none_are_refused),
        cmocka_unit_test(an_explanation_is_bounded),
    };
    return cmocka_run_group_tests_name("cedar-describe", tests, NULL, NULL);
}
