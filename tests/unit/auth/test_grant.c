/* SPDX-License-Identifier: Apache-2.0 */
/* Who may hand out, and take away, what policies give by name. */
#include "fixture.h"

#define HELPER "User::\"helper\"" /* manages users, roles and keys */
#define CHIEF "User::\"chief\""   /* and policies */

static void must(fixture *f, dv_operation_handler handler, const char *params, const char *body)
{
    dv_result result = call_op(f, handler, params, body);
    if (result != DV_OK) {
        fail_msg("%s: %s", dv_result_name(result), f->error.message);
    }
}

/* Group ml lies in group staff; role deep inherits from base; bob is in no group. */
static void people(fixture *f)
{
    must(f, dv_op_role_create, NULL,
         "{'name':'desk','permissions':['manage_roles','manage_users','manage_api_keys']}");
    must(f, dv_op_role_create, NULL,
         "{'name':'boss','permissions':['manage_policies'],'inherits':['desk']}");
    must(f, dv_op_user_create, NULL, "{'name':'helper'}");
    must(f, dv_op_user_create, NULL, "{'name':'chief'}");
    must(f, dv_op_user_create, NULL, "{'name':'bob'}");
    must(f, dv_op_user_create, NULL, "{'name':'carl'}");
    must(f, dv_op_role_assign, "{'role':'desk'}", "{'user':'helper'}");
    must(f, dv_op_role_assign, "{'role':'boss'}", "{'user':'chief'}");
    must(f, dv_op_group_create, NULL, "{'name':'staff'}");
    must(f, dv_op_group_create, NULL, "{'name':'ml'}");
    must(f, dv_op_group_create, NULL, "{'name':'other'}");
    must(f, dv_op_group_add_member, "{'name':'staff'}", "{'group':'ml'}");
    must(f, dv_op_group_add_member, "{'name':'ml'}", "{'user':'carl'}");
    must(f, dv_op_role_create, NULL, "{'name':'base','permissions':[]}");
    must(f, dv_op_role_create, NULL, "{'name':'deep','permissions':[],'inherits':['base']}");
    must(f, dv_op_role_assign, "{'role':'deep'}", "{'user':'carl'}");
    must(f, dv_op_role_create, NULL, "{'name':'free','permissions':[]}");
}

/* The text's ' stand for quotes. */
static void put_policy(fixture *f, const char *text)
{
    char body[1024], escaped[512];
    size_t len = 0;
    for (const char *c = text; *c != '\0'; c++) {
        escaped[len] = '\\';
        len += *c == '\'';
        escaped[len++] = *c;
    }
    escaped[len] = '\0';
    snprintf(body, sizeof(body), "{'policies':[{'name':'p','text':'%s'}],'replace_all':true}",
             escaped);
    must(f, dv_op_policy_apply, NULL, body);
}

static const struct {
    dv_operation_handler handler;
    const char *params;
    const char *body;
} GIVE_AND_TAKE[] =
    {
        {dv_op_group_add_member, "{'name':'ml'}", "{'user':'bob'}"},
        {dv_op_group_add_member, "{'name':'ml'}", "{'group':'other'}"},
        {dv_op_user_create, NULL, "{'name':'new','groups':['ml']}"},
        {dv_op_group_create, NULL, "{'name':'new','groups':['ml']}"},
        {dv_op_group_remove_member, "{'name':'ml'}", "{'user':'carl'}"},
        {dv_op_group_delete, "{'name':'ml'}", NULL},
        {dv_op_apikey_create, NULL, "{'user':'carl'}"},
},
  ROLES[] = {
      {dv_op_role_assign, "{'role':'deep'}", "{'user':'bob'}"},
      {dv_op_role_assign, "{'role':'deep'}", "{'group':'ml','until':'1h'}"},
      {dv_op_role_unassign, "{'role':'deep'}", "{'user':'carl'}"},
      {dv_op_role_create, NULL, "{'name':'new','permissions':[],'inherits':['deep']}"},
      {dv_op_role_update, "{'name':'free'}", "{'inherits':['deep']}"},
      {dv_op_role_update, "{'name':'deep'}", "{'inherits':[]}"},
      {dv_op_role_delete, "{'name':'deep'}", NULL},
      {dv_op_apikey_create, NULL, "{'user':'carl'}"},
};

#define expect_refusals(f, calls, words)                                                           \
    for (size_t i_ = 0; i_ < DV_ARRAY_LEN(calls); i_++) {                                          \
        dv_result result_ =                                                                        \
            call_as(f, HELPER, (calls)[i_].handler, (calls)[i_].params, (calls)[i_].body, NULL);   \
        if (result_ != DV_ERR_FORBIDDEN || strstr((f)->error.message, words) == NULL) {            \
            fail_msg("call %zu: %s: %s", i_, dv_result_name(result_), (f)->error.message);         \
        }                                                                                          \
    }

static void groups_that_policies_name_ask_for_more(void **state)
{
    static const struct {
        const char *policy, *words;
    } cases[] = {
        {"permit(principal in Group::'ml', action, resource);", "names group ml, "},
        {"permit(principal is User in Group::'ml', action, resource);", "names group ml, "},
        {"permit(principal == Group::'ml', action, resource is Paper);", "names group ml, "},
        {"forbid(principal in Group::'staff', action, resource);", "names group staff, which is"},
        {"forbid(principal, action, resource) unless {context.mfa || principal in Group::'ml'};",
         "names group ml, "},
        {"permit(principal, action, resource) when {principal in [Group::'x', Group::'staff']};",
         "names group staff, which is over"},
        {"permit(principal, action, resource) when {principal is User in Group::'ml'};",
         "names group ml, "},
    };
    fixture *f = *state;
    people(f);
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        char words[128];
        put_policy(f, cases[i].policy);
        snprintf(words, sizeof(words), "the policy \"p\" %s", cases[i].words);
        expect_refusals(f, GIVE_AND_TAKE, words);
        expect_refusals(f, GIVE_AND_TAKE, "manage_policies");
        assert_int_equal(call_as(f, HELPER, dv_op_apikey_create, NULL, "{'user':'carl'}", NULL),
                         DV_ERR_FORBIDDEN);
    }
}

static void roles_that_policies_name_ask_for_more(void **state)
{
    fixture *f = *state;
    people(f);
    put_policy(f, "permit(principal in Role::'deep', action, resource);");
    assert_int_equal(call_as(f, HELPER, dv_op_role_update, "{'name':'deep'}",
                             "{'description':'what it is for'}", NULL),
                     DV_OK);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_assign, "{'role':'base'}", "{'user':'bob'}", NULL), DV_OK);
    put_policy(f, "forbid(principal, action, resource) when {principal in Role::'base'};");
    expect_refusals(f, ROLES, "the policy \"p\" names role base");
}

static void who_may_change_policies_may_do_it(void **state)
{
    fixture *f = *state;
    people(f);
    put_policy(f, "permit(principal in Group::'staff', action, resource)"
                  " unless {principal in Role::'base'};");
    const dv_slice narrow[] = {DV_LIT("manage_users"), DV_LIT("manage_roles")};
    const dv_slice wide[] = {DV_LIT("manage_users"), DV_LIT("manage_policies")};
    f->credential = (dv_credential){.scopes = narrow, .scope_count = DV_ARRAY_LEN(narrow)};
    assert_int_equal(
        call_as(f, CHIEF, dv_op_group_add_member, "{'name':'ml'}", "{'user':'bob'}", NULL),
        DV_ERR_FORBIDDEN);
    f->credential = (dv_credential){.scopes = wide, .scope_count = DV_ARRAY_LEN(wide)};
    assert_int_equal(
        call_as(f, CHIEF, dv_op_group_add_member, "{'name':'ml'}", "{'user':'bob'}", NULL), DV_OK);
    f->credential = (dv_credential){0};
    assert_int_equal(
        call_as(f, CHIEF, dv_op_group_remove_member, "{'name':'ml'}", "{'user':'bob'}", NULL),
        DV_OK);
    assert_int_equal(
        call_as(f, CHIEF, dv_op_role_unassign, "{'role':'deep'}", "{'user':'carl'}", NULL), DV_OK);
    assert_int_equal(
        call_as(f, "User::\"admin\"", dv_op_role_assign, "{'role':'deep'}", "{'user':'bob'}", NULL),
        DV_OK);
    assert_int_equal(call_as(f, "User::\"admin\"", dv_op_group_delete, "{'name':'ml'}", NULL, NULL),
                     DV_OK);
}

static void what_no_policy_names_stays_as_it_was(void **state)
{
    fixture *f = *state;
    people(f);
    /* Neither the roles' own policies nor what only names the role as the thing that is asked for.
     */
    put_policy(f, "permit(principal in Group::'other', action == Action::'break_glass',"
                  " resource == Role::'deep') when {context.credential == 'Group::'};");
    for (size_t i = 0; i < DV_ARRAY_LEN(ROLES) - 2; i++) {
        assert_int_equal(call_as(f, HELPER, ROLES[i].handler, ROLES[i].params, ROLES[i].body, NULL),
                         DV_OK);
    }
    assert_int_equal(
        call_as(f, HELPER, dv_op_group_add_member, "{'name':'ml'}", "{'user':'bob'}", NULL), DV_OK);
    assert_int_equal(
        call_as(f, HELPER, dv_op_group_remove_member, "{'name':'ml'}", "{'user':'bob'}", NULL),
        DV_OK);
}

/* A policy may name a user, too: his key is good for what it gives. */
static void keys_of_those_whom_policies_name_are_not_anybodys(void **state)
{
    fixture *f = *state;
    people(f);
    put_policy(f, "permit(principal == User::'bob', action, resource);");
    assert_int_equal(call_as(f, HELPER, dv_op_apikey_create, NULL, "{'user':'bob'}", NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, CHIEF, dv_op_apikey_create, NULL, "{'user':'bob'}", NULL), DV_OK);
    put_policy(f, "permit(principal == User::'helper', action, resource);");
    assert_int_equal(call_as(f, HELPER, dv_op_apikey_create, NULL, "{'user':'helper'}", NULL),
                     DV_OK);
}

static void a_confined_key_makes_no_other_scopes(void **state)
{
    fixture *f = *state;
    char secret[64], wide[16], narrow[16], params[2][64];
    const dv_slice scopes[] = {DV_LIT("manage_roles"), DV_LIT("manage_users"),
                               DV_LIT("manage_api_keys")};
    people(f);
    /* All that roles give him, but not what policies give to everybody. */
    put_policy(f, "permit(principal, action == Action::'use_model', resource);");
    make_key(f, "{'user':'helper'}", secret, wide);
    make_key(f, "{'user':'helper','scopes':['manage_users']}", secret, narrow);
    snprintf(params[0], sizeof(params[0]), "{'id':'%s'}", wide);
    snprintf(params[1], sizeof(params[1]), "{'id':'%s'}", narrow);
    f->credential = (dv_credential){.scopes = scopes, .scope_count = DV_ARRAY_LEN(scopes)};
    static const struct {
        const char *body;
        dv_result expected;
    } cases[] = {
        {"{'user':'helper'}", DV_ERR_FORBIDDEN},
        {"{'user':'helper','scopes':['use_model']}", DV_ERR_FORBIDDEN},
        {"{'user':'helper','scopes':['manage_users','use_model']}", DV_ERR_FORBIDDEN},
        {"{'user':'helper','scopes':['manage_users']}", DV_OK},
        {"{'user':'helper','scopes':['manage_api_keys','manage_roles']}", DV_OK},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        assert_int_equal(call_as(f, HELPER, dv_op_apikey_create, NULL, cases[i].body, NULL),
                         cases[i].expected);
    }
    assert_int_equal(call_as(f, HELPER, dv_op_apikey_rotate, params[0], "{}", NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, HELPER, dv_op_apikey_rotate, params[1], "{}", NULL), DV_OK);
}

static void nobody_takes_away_what_he_could_not_give(void **state)
{
    fixture *f = *state;
    people(f);
    must(f, dv_op_role_assign, "{'role':'boss'}", "{'group':'staff'}");
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_unassign, "{'role':'admin'}", "{'user':'admin'}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_group_remove_member, "{'name':'ml'}", "{'user':'carl'}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, HELPER, dv_op_role_delete, "{'name':'boss'}", NULL, NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, CHIEF, dv_op_group_remove_member, "{'name':'ml'}", "{'user':'carl'}", NULL),
        DV_OK);
}

/* --- who can't be read ----------------------------------------------------------------------- */

static void damage(fixture *f, const char *entity)
{
    uint64_t last;
    assert_int_equal(dv_snapshot_change_sequence(f->services.snapshot, &last), DV_OK);
    assert_int_equal(dv_snapshot_write_begin(f->services.snapshot, &f->error), DV_OK);
    assert_int_equal(dv_snapshot_put(f->services.snapshot, DV_TABLE_PRINCIPALS,
                                     dv_slice_str(entity), DV_LIT("\x7f no record")),
                     DV_OK);
    assert_int_equal(dv_snapshot_commit(f->services.snapshot, last), DV_OK);
}

static void who_can_not_be_read_is_no_stranger(void **state)
{
    fixture *f = *state;
    people(f);
    put_policy(f, "permit(principal, action, resource);"
                  "forbid(principal in Group::'ml', action, resource);");
    static const char QUESTION[] = "{'principal':'User::\\\"carl\\\"','action':'use_model',"
                                   "'resource':'Model::\\\"m\\\"'}";
    static const char TESTS[] = "{'tests':[{'principal':'User::\\\"carl\\\"','action':'use_model',"
                                "'resource':'Model::\\\"m\\\"','expect':'deny'}]}";
    static const char DIFF[] = "{'policies':[{'name':'q','text':'permit(principal,action,resource);"
                               "'}],'dry_run':true}";
    json_t *answer = ask(f, dv_op_policy_explain, NULL, QUESTION);
    assert_string_equal(json_string_value(json_object_get(answer, "decision")), "deny");
    json_decref(answer);
    damage(f, "User::\"carl\"");
    assert_int_equal(call_op(f, dv_op_policy_explain, NULL, QUESTION), DV_ERR_UNAVAILABLE);
    assert_int_equal(call_op(f, dv_op_policy_test, NULL, TESTS), DV_ERR_UNAVAILABLE);
    assert_int_equal(call_op(f, dv_op_policy_diff, NULL, DIFF), DV_ERR_UNAVAILABLE);
    assert_int_equal(call_op(f, dv_op_policy_apply, NULL, DIFF), DV_ERR_UNAVAILABLE);
    damage(f, "User::\"chief\"");
    assert_int_equal(
        call_as(f, CHIEF, dv_op_group_add_member, "{'name':'ml'}", "{'user':'bob'}", NULL),
        DV_ERR_UNAVAILABLE);
}

/* --- breaking the glass ---------------------------------------------------------------------- */

static dv_result break_glass(fixture *f)
{
    return call_as(f, HELPER, dv_op_role_assign, "{'role':'boss'}",
                   "{'user':'helper','break_glass':true,'reason':'fire'}", NULL);
}

static void breaking_the_glass_is_asked_with_the_calls_own_context(void **state)
{
    fixture *f = *state;
    const dv_slice scopes[] = {DV_LIT("break_glass"), DV_LIT("manage_roles")};
    people(f);
    put_policy(f, "permit(principal, action == Action::'break_glass', resource == Role::'boss')"
                  " when {context.scopes.contains('manage_roles') && context has address &&"
                  " context.address == ip('192.0.2.1') && context.credential == 'api_key'};");
    f->credential = (dv_credential){.kind = DV_LIT("api_key")};
    assert_int_equal(break_glass(f), DV_ERR_FORBIDDEN);
    f->credential.scopes = scopes;
    f->credential.scope_count = 1;
    assert_int_equal(break_glass(f), DV_ERR_FORBIDDEN);
    f->credential.scope_count = 2;
    assert_int_equal(break_glass(f), DV_OK);
    put_policy(f, "permit(principal, action == Action::'break_glass', resource);"
                  "forbid(principal, action, resource) unless {context.scopes.isEmpty()};");
    assert_int_equal(break_glass(f), DV_ERR_FORBIDDEN);
    f->credential.scope_count = 0;
    assert_int_equal(break_glass(f), DV_OK);
}

/* Who may break the glass, and nothing else, makes no role of somebody else end sooner. */
static void breaking_the_glass_shortens_nothing(void **state)
{
    static const char BREAK[] = "{'user':'bob','break_glass':true,'reason':'fire','until':'%s'}";
    fixture *f = *state;
    char body[256];
    people(f);
    put_policy(f, "permit(principal == User::'helper', action == Action::'break_glass',"
                  " resource == Role::'boss');");
    must(f, dv_op_role_assign, "{'role':'boss'}", "{'user':'bob','until':'2090-01-01T00:00:00Z'}");
    snprintf(body, sizeof(body), BREAK, "1s");
    assert_int_equal(call_as(f, HELPER, dv_op_role_assign, "{'role':'boss'}", body, NULL),
                     DV_ERR_CONFLICT);
    assert_non_null(strstr(f->error.message, "user bob has the role boss until 2090-01-01"));
    assert_false(fixture_said(f, "auth.break_glass"));
    snprintf(body, sizeof(body), BREAK, "24h");
    assert_int_equal(call_as(f, HELPER, dv_op_role_assign, "{'role':'boss'}", body, NULL),
                     DV_ERR_CONFLICT);
    assert_non_null(strstr(f->error.message, "until 2090-01-01")); /* still */
    must(f, dv_op_role_assign, "{'role':'boss'}", "{'user':'bob','until':'1h'}");
    snprintf(body, sizeof(body), BREAK, "2h");
    assert_int_equal(call_as(f, HELPER, dv_op_role_assign, "{'role':'boss'}", body, NULL), DV_OK);
    must(f, dv_op_role_unassign, "{'role':'boss'}", "{'user':'bob'}");
    must(f, dv_op_role_assign, "{'role':'boss'}", "{'user':'bob'}");
    assert_int_equal(call_as(f, HELPER, dv_op_role_assign, "{'role':'boss'}", body, NULL),
                     DV_ERR_CONFLICT);
    assert_non_null(strstr(f->error.message, "user bob has the role boss for good"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(groups_that_policies_name_ask_for_more),
        TEST(roles_that_policies_name_ask_for_more),
        TEST(who_may_change_policies_may_do_it),
        TEST(what_no_policy_names_stays_as_it_was),
        TEST(keys_of_those_whom_policies_name_are_not_anybodys),
        TEST(a_confined_key_makes_no_other_scopes),
        TEST(nobody_takes_away_what_he_could_not_give),
        TEST(who_can_not_be_read_is_no_stranger),
        TEST(breaking_the_glass_is_asked_with_the_calls_own_context),
        TEST(breaking_the_glass_shortens_nothing),
    };
    return cmocka_run_group_tests_name("auth-grant", tests, NULL, NULL);
}
