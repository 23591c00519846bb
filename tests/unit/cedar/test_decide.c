/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/cedar/world.h"

static const dv_slice alice_above[] = {
    {(const uint8_t *)"Group::\"ml\"", 11},
    {(const uint8_t *)"Role::\"user\"", 12},
};
static const dv_slice view_above[] = {{(const uint8_t *)"Action::\"read\"", 14}};
static const dv_slice photo_above[] = {{(const uint8_t *)"Album::\"trip\"", 13}};

static const dv_cedar_entity entities[] = {
    {{(const uint8_t *)"User::\"alice\"", 13}, alice_above, 2, NULL, NULL},
    {{(const uint8_t *)"Action::\"view\"", 14}, view_above, 1, NULL, NULL},
    {{(const uint8_t *)"Photo::\"p1\"", 11}, photo_above, 1, NULL, NULL},
};

static dv_decision decide(const char *policies, const char *principal, const char *action,
                          const char *resource)
{
    world w = world_new(policies);

    w.entities = entities;
    w.entity_count = DV_ARRAY_LEN(entities);
    dv_decision decision = world_decide(&w, principal, action, resource, NULL);
    world_end(&w);
    return decision;
}

/* Alice views photo p1. */
static dv_decision alice(const char *policies)
{
    return decide(policies, "User::\"alice\"", "Action::\"view\"", "Photo::\"p1\"");
}

static void default_is_deny(void **unused)
{
    assert_int_equal(alice(""), DV_DENY);
    assert_int_equal(alice("// nothing\n"), DV_DENY);
    assert_int_equal(alice("permit(principal == User::\"bob\", action, resource);"), DV_DENY);
}

static void forbid_wins(void **unused)
{
    assert_int_equal(alice("permit(principal, action, resource);"), DV_ALLOW);
    assert_int_equal(alice("permit(principal, action, resource);"
                           "forbid(principal, action, resource);"),
                     DV_DENY);
    assert_int_equal(alice("forbid(principal, action, resource) when { false };"
                           "permit(principal, action, resource);"),
                     DV_ALLOW);
}

static void every_scope_form_holds_where_it_should(void **unused)
{
    static const struct {
        const char *scope;
        dv_decision wanted;
    } cases[] = {
        {"principal, action, resource", DV_ALLOW},
        {"principal == User::\"alice\", action, resource", DV_ALLOW},
        {"principal == Group::\"ml\", action, resource", DV_DENY},
        {"principal in User::\"alice\", action, resource", DV_ALLOW},
        {"principal in Group::\"ml\", action, resource", DV_ALLOW},
        {"principal in Role::\"user\", action, resource", DV_ALLOW},
        {"principal in Role::\"admin\", action, resource", DV_DENY},
        {"principal is User, action, resource", DV_ALLOW},
        {"principal is Use, action, resource", DV_DENY},
        {"principal is N::User, action, resource", DV_DENY},
        {"principal is User in Group::\"ml\", action, resource", DV_ALLOW},
        {"principal is User in Group::\"x\", action, resource", DV_DENY},
        {"principal is Group in Group::\"ml\", action, resource", DV_DENY},
        {"principal, action == Action::\"view\", resource", DV_ALLOW},
        {"principal, action == Action::\"read\", resource", DV_DENY},
        {"principal, action in Action::\"read\", resource", DV_ALLOW},
        {"principal, action in [Action::\"edit\", Action::\"view\"], resource", DV_ALLOW},
        {"principal, action in [Action::\"edit\", Action::\"read\"], resource", DV_ALLOW},
        {"principal, action in [Action::\"edit\"], resource", DV_DENY},
        {"principal, action in [], resource", DV_DENY},
        {"principal, action, resource == Photo::\"p1\"", DV_ALLOW},
        {"principal, action, resource == Album::\"trip\"", DV_DENY},
        {"principal, action, resource in Album::\"trip\"", DV_ALLOW},
        {"principal, action, resource is Photo in Album::\"trip\"", DV_ALLOW},
        {"principal, action, resource is Album in Album::\"trip\"", DV_DENY},
        {"principal in Role::\"user\", action in [Action::\"x\", Action::\"view\", "
         "Action::\"read\"], resource in Album::\"trip\"",
         DV_ALLOW},
    };
    char policy[256];

    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        snprintf(policy, sizeof(policy), "permit(%s);", cases[i].scope);
        if (alice(policy) != cases[i].wanted) {
            fail_msg("%s", cases[i].scope);
        }
    }
}

static void unknown_entities_are_in_themselves(void **unused)
{
    assert_int_equal(decide("permit(principal in U::\"x\", action, resource);", "U::\"x\"",
                            "Action::\"a\"", "R::\"r\""),
                     DV_ALLOW);
    assert_int_equal(decide("permit(principal in U::\"y\", action, resource);", "U::\"x\"",
                            "Action::\"a\"", "R::\"r\""),
                     DV_DENY);
}

static void answer_names_the_determining_and_the_failing(void **unused)
{
    world w = world_new("@id(\"one\") permit(principal, action, resource);\n"
                        "permit(principal, action, resource) when { 1 };\n"
                        "permit(principal, action, resource) when { context.missing };\n"
                        "@id(\"four\") permit(principal, action, resource);\n"
                        "@id(\"five\") forbid(principal, action, resource) when { false };");

    assert_int_equal(dv_cedar_policy_count(w.set), 5);
    assert_int_equal(world_decide(&w, "U::\"u\"", "Action::\"a\"", "R::\"r\"", NULL), DV_ALLOW);
    assert_int_equal(w.answer.reason_count, 2);
    assert_true(dv_slice_eq_str(w.answer.reasons[0], "one"));
    assert_true(dv_slice_eq_str(w.answer.reasons[1], "four"));
    assert_int_equal(w.answer.error_count, 2);
    assert_true(dv_slice_eq_str(w.answer.errors[0], "policy1"));
    assert_true(dv_slice_eq_str(w.answer.errors[1], "policy2"));
    world_end(&w);
}

static void failing_requests_stay_denied(void **unused)
{
    world w = world_new("permit(principal, action, resource);");
    dv_cedar_value number = dv_cedar_long(1);
    dv_cedar_request request = {DV_LIT("alice"), DV_LIT("Action::\"a\""), DV_LIT("R::\"r\""), NULL};
    dv_cedar_answer answer = {.decision = DV_ALLOW};

    assert_int_equal(dv_cedar_decide(w.set, &request, world_lookup, &w, w.arena, &answer),
                     DV_ERR_INVALID);
    assert_int_equal(answer.decision, DV_DENY);
    request.principal = DV_LIT("User::\"a\"");
    request.context = &number;
    answer.decision = DV_ALLOW;
    assert_int_equal(dv_cedar_decide(w.set, &request, world_lookup, &w, w.arena, &answer),
                     DV_ERR_INVALID);
    assert_int_equal(answer.decision, DV_DENY);
    world_end(&w);
}

/* Whether another context could get another answer: that decides what may be remembered. */
static void answers_tell_whether_the_context_was_asked(void **unused)
{
    static const struct {
        const char *condition;
        bool conditional;
    } cases[] = {
        {"", false},
        {"when { principal == U::\"a\" }", false},
        {"when { [R::\"r\"].contains(resource) } unless { principal in G::\"g\" }", false},
        {"when { context has mfa }", true},
        {"unless { context has mfa && context.mfa }", true},
        {"when { principal == U::\"a\" || context.now > 3 }", true},
        {"when { if principal == U::\"b\" then context.x else true }", true},
        {"when { [1, 2].containsAny([3, {a: context}.a.b]) || true }", true},
    };

    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        char text[256];
        snprintf(text, sizeof(text), "permit(principal, action == Action::\"x\", resource) %s;",
                 cases[i].condition);
        world w = world_new(text);
        (void)world_decide(&w, "U::\"a\"", "Action::\"x\"", "R::\"r\"", NULL);
        assert_int_equal(w.answer.conditional, cases[i].conditional);
        (void)world_decide(&w, "U::\"a\"", "Action::\"y\"", "R::\"r\"", NULL);
        assert_false(w.answer.conditional); /* another action: the condition is not asked */
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_tell_whether_the_context_was_asked),
        cmocka_unit_test(default_is_deny),
        cmocka_unit_test(forbid_wins),
        cmocka_unit_test(every_scope_form_holds_where_it_should),
        cmocka_unit_test(unknown_entities_are_in_themselves),
        cmocka_unit_test(answer_names_the_determining_and_the_failing),
        cmocka_unit_test(failing_requests_stay_denied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
