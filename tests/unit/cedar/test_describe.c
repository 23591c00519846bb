/* SPDX-License-Identifier: Apache-2.0 */
/* What a set tells of itself. */
#include "base/buf.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_mention_what_they_name),
        cmocka_unit_test(conditions_mention_what_stands_anywhere_in_them),
        cmocka_unit_test(a_template_mentions_nothing_until_it_is_linked),
        cmocka_unit_test(an_empty_id_is_told),
        cmocka_unit_test(the_first_result_that_is_not_ok_ends_it),
    };
    return cmocka_run_group_tests_name("cedar-describe", tests, NULL, NULL);
}
