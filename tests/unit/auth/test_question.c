/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that people ask of policies: how they are read, decided, explained, and run as tests.
 * JSON is written here with ' for its quotes and ` for those inside them. */
#include "base/buf.h"
#include "engine/cedar/entities.h"
#include "room/auth/control/question.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW (INT64_C(1700000000) * DV_SECOND) /* 2023-11-14T22:13:20Z, a Tuesday */

#define WHO "'principal': 'User::`alice`', 'action': 'use_model', 'resource': 'Model::`m`'"

typedef struct asked {
    dv_arena *arena;
    dv_error error;
    dv_auth_question question;
} asked;

static int set_up(void **state)
{
    asked *a = calloc(1, sizeof(*a));
    assert_non_null(a);
    a->arena = dv_arena_new(256 << 20);
    assert_non_null(a->arena);
    *state = a;
    return 0;
}

static int tear_down(void **state)
{
    asked *a = *state;
    dv_arena_free(a->arena);
    free(a);
    return 0;
}

static json_t *json_of(const char *text)
{
    dv_auto(buf) dv_buf quoted = dv_buf_init(1 << 16);
    for (const char *c = text; *c != '\0'; c++) {
        char byte[] = {*c, '\0'};
        const char *written = *c == '\'' ? "\"" : *c == '`' ? "\\\"" : byte;
        assert_int_equal(dv_buf_append_str(&quoted, written), DV_OK);
    }
    json_t *json = json_loadb((const char *)quoted.ptr, quoted.len, 0, NULL);
    if (json == NULL) {
        fail_msg("no JSON: %s", text);
    }
    return json;
}

static dv_result read_question(asked *a, const char *text)
{
    json_t *json = json_of(text);
    a->error = (dv_error){0};
    dv_result result = dv_auth_question_read(json, NOW, a->arena, &a->question, &a->error);
    json_decref(json);
    return result;
}

static void expect_said(const asked *a, const char *words)
{
    if (strstr(a->error.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", a->error.message, words);
    }
}

static void expect_uid(dv_slice uid, const char *expected)
{
    if (!dv_slice_eq_str(uid, expected)) {
        fail_msg("%.*s, not %s", DV_SLICE_ARGS(uid), expected);
    }
}

/* --- reading --------------------------------------------------------------------------------- */

static void actions_are_written_in_short_or_whole(void **state)
{
    asked *a = *state;
    assert_int_equal(read_question(a, "{" WHO "}"), DV_OK);
    expect_uid(a->question.principal, "User::\"alice\"");
    expect_uid(a->question.action, "Action::\"use_model\"");
    expect_uid(a->question.resource, "Model::\"m\"");
    assert_int_equal(read_question(a, "{'principal': 'A::B::`x`', 'action': 'C::Action::`y z`', "
                                      "'resource': 'D::``'}"),
                     DV_OK);
    expect_uid(a->question.principal, "A::B::\"x\"");
    expect_uid(a->question.action, "C::Action::\"y z\"");
    expect_uid(a->question.resource, "D::\"\"");
}

static void what_is_no_entity_is_refused(void **state)
{
    static const char *const bad[][2] = {
        {"{'action': 'x', 'resource': 'M::`m`'}", "principal is missing"},
        {"{'principal': 7, 'action': 'x', 'resource': 'M::`m`'}", "principal is missing"},
        {"{'principal': 'alice', 'action': 'x', 'resource': 'M::`m`'}", "write Type::\"id\""},
        {"{'principal': '::`a`', 'action': 'x', 'resource': 'M::`m`'}", "no entity"},
        {"{'principal': 'U::`a', 'action': 'x', 'resource': 'M::`m`'}", "no entity"},
        {"{'principal': 'U::`a`b`', 'action': 'x', 'resource': 'M::`m`'}", "no entity"},
        {"{'principal': 'U::`a\\\\n`', 'action': 'x', 'resource': 'M::`m`'}", "no entity"},
        {"{'principal': 'if::`a`', 'action': 'x', 'resource': 'M::`m`'}", "no entity"},
        {"{'principal': 'U::`a`', 'resource': 'M::`m`'}", "action is missing"},
        {"{'principal': 'U::`a`', 'action': 'no::`way', 'resource': 'M::`m`'}", "no entity"},
        {"{'principal': 'U::`a`', 'action': 'x'}", "resource is missing"},
    };
    asked *a = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(read_question(a, bad[i][0]), DV_ERR_INVALID);
        expect_said(a, bad[i][1]);
    }
}

static const dv_cedar_value *attribute(const asked *a, const char *name)
{
    return dv_cedar_get(&a->question.context, dv_slice_str(name));
}

/* As the gate makes it: gate/context.h. */
static void without_a_context_it_is_that_of_a_plain_key_now(void **state)
{
    asked *a = *state;
    assert_int_equal(read_question(a, "{" WHO "}"), DV_OK);
    assert_int_equal(attribute(a, "now")->number, NOW / DV_MILLISECOND);
    assert_int_equal(attribute(a, "weekday")->number, 2);
    assert_false(attribute(a, "mfa")->boolean);
    assert_true(dv_slice_eq_str(attribute(a, "credential")->text, "api_key"));
    assert_int_equal(attribute(a, "scopes")->count, 0);
    assert_null(attribute(a, "address"));
}

static void a_context_is_written_plainly(void **state)
{
    asked *a = *state;
    dv_cedar_value ip;
    assert_int_equal(dv_cedar_ip_parse(DV_LIT("10.1.2.3"), &ip), DV_OK);
    assert_int_equal(read_question(a, "{" WHO
                                      ", 'context': {'now': '2026-01-31T09:00:00Z', 'address': "
                                      "'10.1.2.3', 'mfa': true, 'credential': 'session', 'scopes': "
                                      "['b', 'a', 'b'], 'more': {'x': [1]}}}"),
                     DV_OK);
    assert_int_equal(attribute(a, "weekday")->number, 6); /* follows `now` */
    assert_int_equal(dv_cedar_compare(attribute(a, "address"), &ip), 0);
    assert_true(attribute(a, "mfa")->boolean);
    assert_true(dv_slice_eq_str(attribute(a, "credential")->text, "session"));
    assert_int_equal(attribute(a, "scopes")->count, 2);
    assert_int_equal(attribute(a, "more")->type, DV_CEDAR_RECORD);
}

/* The API takes what has no fixed shape as text; and Cedar's escapes say themselves what they are.
 */
static void a_context_may_be_a_text_and_have_escapes(void **state)
{
    asked *a = *state;
    json_t *json = json_of("{" WHO ", 'context': '{}'}");
    json_object_set_new(json, "context", json_string("{\"mfa\": true}"));
    assert_int_equal(dv_auth_question_read(json, NOW, a->arena, &a->question, NULL), DV_OK);
    json_decref(json);
    assert_true(attribute(a, "mfa")->boolean);
    assert_int_equal(read_question(a, "{" WHO ", 'context': {'now': {'__extn': {'fn': 'datetime', "
                                      "'arg': '2026-01-31'}}}}"),
                     DV_OK);
    assert_int_equal(attribute(a, "now")->type, DV_CEDAR_DATETIME);
    assert_int_equal(attribute(a, "now")->number, INT64_C(1769817600000));
}

/* What was overlooked would be answered as something else than what was asked. */
static void a_context_that_is_not_understood_is_refused(void **state)
{
    static const char *const bad[][2] = {
        {"7", "context is a JSON object"},
        {"'no JSON'", "context is a JSON object"},
        {"{'now': 'today'}", "no time like"},
        {"{'now': 5}", "context.now is a time"},
        {"{'address': 'here'}", "no address"},
        {"{'address': ['10.0.0.1']}", "context.address is an address"},
        {"{'scopes': 'use_model'}", "context.scopes is a list"},
        {"{'scopes': [7]}", "context.scopes is a list"},
        {"{'mfa': 'yes'}", "context.mfa is true or false"},
        {"{'credential': 1}", "context.credential is a text"},
        {"{'more': 1.5}", ""},
        {"{'more': null}", ""},
    };
    asked *a = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        const char *text = dv_arena_printf(a->arena, "{" WHO ", 'context': %s}", bad[i][0]);
        assert_int_equal(read_question(a, text), DV_ERR_INVALID);
        assert_true(a->error.message[0] != '\0');
        expect_said(a, bad[i][1]);
    }
}

/* --- entities -------------------------------------------------------------------------------- */

static dv_result read_entities(asked *a, const char *text, const dv_cedar_entities **ret_entities)
{
    json_t *json = text == NULL ? NULL : json_of(text);
    a->error = (dv_error){0};
    dv_result result = dv_auth_entities_read(json, a->arena, ret_entities, &a->error);
    json_decref(json);
    return result;
}

static void entities_are_in_each_other_and_have_attributes(void **state)
{
    asked *a = *state;
    const dv_cedar_entities *entities = NULL;
    dv_cedar_entity alice;
    assert_int_equal(read_entities(a,
                                   "{'User::`alice`': {'in': ['Group::`vision`'], 'attributes': "
                                   "{'level': 3}}, 'Group::`vision`': {'in': ['Group::`ml`']}}",
                                   &entities),
                     DV_OK);
    assert_true(
        dv_cedar_entities_lookup((void *)(uintptr_t)entities, DV_LIT("User::\"alice\""), &alice));
    assert_int_equal(alice.ancestor_count, 2);
    assert_int_equal(dv_cedar_get(alice.attributes, DV_LIT("level"))->number, 3);
    assert_int_equal(read_entities(a, NULL, &entities), DV_OK);
    assert_int_equal(dv_cedar_entities_count(entities), 0);
}

static void entities_that_are_not_understood_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"[]", "entities is a JSON object"},
        {"{'alice': {}}", "write Type::\"id\""},
        {"{'User::`a`': 5}", "an object with in and attributes"},
        {"{'User::`a`': {'in': 'Group::`g`'}}", "in is a list"},
        {"{'User::`a`': {'in': ['g']}}", "no entity"},
        {"{'User::`a`': {'in': [7]}}", "no entity"},
        {"{'User::`a`': {'attrs': {}}}", "not attrs"},
        {"{'User::`a`': {'attributes': []}}", ""},
        {"{'User::`a`': {'in': ['Group::`g`']}, 'Group::`g`': {'in': ['User::`a`']}}",
         "its own ancestor"},
    };
    asked *a = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        const dv_cedar_entities *entities = NULL;
        assert_int_equal(read_entities(a, bad[i][0], &entities), DV_ERR_INVALID);
        assert_true(a->error.message[0] != '\0');
        expect_said(a, bad[i][1]);
    }
}

static void ten_thousand_entities_at_most(void **state)
{
    enum { LIMIT = 10000 };
    asked *a = *state;
    const dv_cedar_entities *entities = NULL;
    json_t *json = json_object();
    for (int i = 0; i <= LIMIT; i++) {
        if (i == LIMIT) {
            assert_int_equal(dv_auth_entities_read(json, a->arena, &entities, NULL), DV_OK);
        }
        json_object_set_new(json, dv_arena_printf(a->arena, "User::\"u%d\"", i), json_object());
    }
    assert_int_equal(dv_auth_entities_read(json, a->arena, &entities, &a->error), DV_ERR_TOO_LARGE);
    expect_said(a, "more than 10000 entities");
    json_decref(json);
}

/* --- deciding and explaining ----------------------------------------------------------------- */

static bool know_nothing(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    (void)data, (void)uid, (void)ret_entity;
    return false;
}

static dv_auth_world world_of(const char *policies, dv_cedar_policy_set **set)
{
    dv_error error = {0};
    if (dv_cedar_parse(dv_slice_str(policies), set, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    return (dv_auth_world){*set, know_nothing, NULL};
}

/* Explains a question, and expects what stands there as compact JSON. */
static void expect_explained(asked *a, const char *policies, const char *question,
                             const char *expected)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auth_world world = world_of(policies, &set);
    json_t *json = NULL, *wanted = json_of(expected);
    assert_int_equal(read_question(a, question), DV_OK);
    assert_int_equal(dv_auth_question_explain(&world, &a->question, a->arena, &json, &a->error),
                     DV_OK);
    if (!json_equal(json, wanted)) {
        fail_msg("%s\nexplains %s\nand not %s", policies, json_dumps(json, JSON_COMPACT),
                 json_dumps(wanted, JSON_COMPACT));
    }
    json_decref(json);
    json_decref(wanted);
}

static void a_permission_names_what_permits(void **state)
{
    expect_explained(*state,
                     "@id(\"p\")permit(principal == User::\"alice\", action, resource);"
                     "@id(\"q\")permit(principal == User::\"bob\", action, resource);",
                     "{" WHO "}",
                     "{'decision': 'allow', 'policies': ['p'], 'errors': [], 'differ': [{'policy': "
                     "'p', 'effect': 'permit', 'failed': false, 'lacks': []}]}");
}

static void a_refusal_names_the_forbids(void **state)
{
    expect_explained(
        *state,
        "@id(\"p\")permit(principal, action, resource);"
        "@id(\"f\")forbid(principal, action, resource) when { !context.mfa };",
        "{" WHO "}",
        "{'decision': 'deny', 'policies': ['f'], 'errors': [], 'differ': [{'policy': 'f', "
        "'effect': 'forbid', 'failed': false, 'lacks': []}]}");
}

/* Conditions are told to the end of their line. Of permits that do not hold, those that lack least;
 * the rest would only be noise. */
static void a_refusal_without_forbids_names_the_nearest_permits(void **state)
{
    expect_explained(
        *state,
        "@id(\"far\")permit(principal == User::\"bob\", action == Action::\"x\", resource);"
        "@id(\"near\")permit(principal == User::\"bob\", action, resource);"
        "@id(\"none\")permit(principal == User::\"b\", action == Action::\"x\", resource == "
        "Model::\"n\");",
        "{" WHO "}",
        "{'decision': 'deny', 'policies': [], 'errors': [], 'differ': [{'policy': 'near', "
        "'effect': 'permit', 'failed': false, 'lacks': ['principal']}]}");
    expect_explained(
        *state, "@id(\"p\")permit(principal, action, resource) unless {\ncontext.weekday < 6\n};",
        "{" WHO "}",
        "{'decision': 'deny', 'policies': [], 'errors': [], 'differ': [{'policy': 'p', 'effect': "
        "'permit', 'failed': false, 'lacks': ['condition'], 'condition': 'context.weekday < 6', "
        "'unless': true}]}");
}

/* As the gate does: what fails could have been the one that forbids. */
static void a_policy_that_fails_refuses(void **state)
{
    expect_explained(
        *state,
        "@id(\"p\")permit(principal, action, resource);"
        "@id(\"e\")forbid(principal, action, resource) when {\ncontext.absent\n};",
        "{" WHO "}",
        "{'decision': 'deny', 'policies': ['p'], 'errors': ['e'], 'differ': [{'policy': 'e', "
        "'effect': 'forbid', 'failed': true, 'lacks': ['condition'], 'condition': "
        "'context.absent', 'unless': false}]}");
}

static void twenty_policies_are_named_at_most(void **state)
{
    enum { LIMIT = 20 };
    asked *a = *state;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    json_t *json = NULL;
    for (int i = 0; i <= LIMIT; i++) {
        assert_int_equal(
            dv_buf_append_str(&text, "permit(principal == User::\"b\", action, resource);"), DV_OK);
    }
    assert_int_equal(dv_buf_append_byte(&text, '\0'), DV_OK);
    dv_auth_world world = world_of((const char *)text.ptr, &set);
    assert_int_equal(read_question(a, "{" WHO "}"), DV_OK);
    assert_int_equal(dv_auth_question_explain(&world, &a->question, a->arena, &json, &a->error),
                     DV_OK);
    assert_int_equal(json_array_size(json_object_get(json, "differ")), LIMIT);
    json_decref(json);
}

/* The policies of one who has more groups than a decision takes steps. */
static void a_question_that_takes_too_long_is_refused(void **state)
{
    enum { TERMS = 60 };
    asked *a = *state;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_cedar_answer answer;
    for (int i = 0; i < 6000; i++) {
        assert_int_equal(dv_buf_append_str(&text, "permit(principal,action,resource)when{"), DV_OK);
        for (int j = 0; j < TERMS; j++) {
            assert_int_equal(dv_buf_append_str(&text, "1+"), DV_OK);
        }
        assert_int_equal(dv_buf_append_str(&text, "1>1};"), DV_OK);
    }
    assert_int_equal(dv_buf_append_byte(&text, '\0'), DV_OK);
    dv_auth_world world = world_of((const char *)text.ptr, &set);
    assert_int_equal(read_question(a, "{" WHO "}"), DV_OK);
    assert_int_equal(dv_auth_question_decide(&world, &a->question, a->arena, &answer, &a->error),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(answer.decision, DV_DENY);
    expect_said(a, "could not be evaluated");
}

/* --- tests ----------------------------------------------------------------------------------- */

static dv_result test_all(asked *a, const char *tests, json_t **ret_report)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auth_world world =
        world_of("@id(\"p\")permit(principal == User::\"alice\", action, resource);"
                 "@id(\"e\")permit(principal == User::\"eve\", action, resource) when "
                 "{ context.absent };",
                 &set);
    json_t *json = json_of(tests);
    a->error = (dv_error){0};
    dv_result result =
        dv_auth_tests_run(&world, json, NOW, DV_TIME_NEVER, a->arena, ret_report, &a->error);
    json_decref(json);
    return result;
}

/* The problem that one test has; "": none. */
static void expect_problem(asked *a, const char *test, const char *expected)
{
    json_t *report = NULL;
    assert_int_equal(test_all(a, dv_arena_printf(a->arena, "[%s]", test), &report), DV_OK);
    const json_t *result = json_array_get(json_object_get(report, "results"), 0);
    assert_string_equal(json_string_value(json_object_get(result, "problem")), expected);
    assert_int_equal(json_is_true(json_object_get(result, "ok")), expected[0] == '\0');
    assert_int_equal(json_integer_value(json_object_get(report, "failed")), expected[0] != '\0');
    assert_int_equal(json_integer_value(json_object_get(report, "total")), 1);
    json_decref(report);
}

static void tests_tell_what_is_not_as_expected(void **state)
{
    asked *a = *state;
    expect_problem(a, "{" WHO ", 'expect': 'allow'}", "");
    expect_problem(a, "{" WHO ", 'expect': 'allow', 'policy': 'p'}", "");
    expect_problem(a, "{" WHO ", 'expect': 'allow', 'policy': 'q'}", "q did not decide");
    expect_problem(a, "{" WHO ", 'expect': 'deny'}", "expected deny");
    expect_problem(a,
                   "{'principal': 'User::`bob`', 'action': 'x', 'resource': 'M::`m`', 'expect': "
                   "'allow'}",
                   "expected allow");
    expect_problem(a,
                   "{'principal': 'User::`eve`', 'action': 'x', 'resource': 'M::`m`', 'expect': "
                   "'allow'}",
                   "policy e could not be evaluated");
}

static void tests_without_a_name_are_numbered(void **state)
{
    asked *a = *state;
    json_t *report = NULL;
    assert_int_equal(
        test_all(a, "[{" WHO ", 'expect': 'allow', 'name': 'first'}, {" WHO ", 'expect': 'deny'}]",
                 &report),
        DV_OK);
    const json_t *results = json_object_get(report, "results");
    assert_string_equal(json_string_value(json_object_get(json_array_get(results, 0), "name")),
                        "first");
    assert_string_equal(json_string_value(json_object_get(json_array_get(results, 1), "name")),
                        "test 2");
    assert_int_equal(json_integer_value(json_object_get(report, "failed")), 1);
    json_decref(report);
}

/* A test that can't be run is no test that passed. */
static void tests_that_are_not_understood_are_named(void **state)
{
    asked *a = *state;
    json_t *report = NULL;
    assert_int_equal(test_all(a, "[]", &report), DV_ERR_INVALID);
    assert_int_equal(test_all(a, "{}", &report), DV_ERR_INVALID);
    assert_int_equal(test_all(a, "[{" WHO "}]", &report), DV_ERR_INVALID);
    expect_said(a, "test 1: expect is allow or deny");
    assert_int_equal(test_all(a, "[{" WHO ", 'expect': 'maybe', 'name': 'odd'}]", &report),
                     DV_ERR_INVALID);
    expect_said(a, "odd: expect is");
    assert_int_equal(test_all(a, "[{" WHO ", 'expect': 'deny', 'context': {'mfa': 1}}]", &report),
                     DV_ERR_INVALID);
    expect_said(a, "test 1: context.mfa");
    assert_null(report);
}

static void ten_thousand_tests_at_most(void **state)
{
    enum { LIMIT = 10000 };
    asked *a = *state;
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auth_world world = world_of("permit(principal, action, resource);", &set);
    json_t *tests = json_array(), *test = json_of("{" WHO ", 'expect': 'allow'}"), *report = NULL;
    for (int i = 0; i < LIMIT; i++) {
        json_array_append(tests, test);
    }
    assert_int_equal(
        dv_auth_tests_run(&world, tests, NOW, DV_TIME_NEVER, a->arena, &report, &a->error), DV_OK);
    assert_int_equal(json_integer_value(json_object_get(report, "total")), LIMIT);
    json_decref(report);
    json_array_append(tests, test);
    assert_int_equal(
        dv_auth_tests_run(&world, tests, NOW, DV_TIME_NEVER, a->arena, &report, &a->error),
        DV_ERR_INVALID);
    expect_said(a, "1 to 10000");
    json_decref(tests);
    json_decref(test);
}

static void one_test_is_run_when_time_is_up(void **state)
{
    asked *a = *state;
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_auth_world world = world_of("permit(principal, action, resource);", &set);
    json_t *tests = json_array(), *test = json_of("{" WHO ", 'expect': 'allow'}"), *report = NULL;
    for (int i = 0; i < 5; i++) {
        json_array_append(tests, test);
    }
    assert_int_equal(dv_auth_tests_run(&world, tests, NOW, 0, a->arena, &report, &a->error), DV_OK);
    assert_int_equal(json_integer_value(json_object_get(report, "total")), 1);
    assert_int_equal(json_integer_value(json_object_get(report, "rest")), 4);
    assert_int_equal(json_array_size(json_object_get(report, "results")), 1);
    json_decref(report);
    json_decref(tests);
    json_decref(test);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(actions_are_written_in_short_or_whole),
        TEST(what_is_no_entity_is_refused),
        TEST(without_a_context_it_is_that_of_a_plain_key_now),
        TEST(a_context_is_written_plainly),
        TEST(a_context_may_be_a_text_and_have_escapes),
        TEST(a_context_that_is_not_understood_is_refused),
        TEST(entities_are_in_each_other_and_have_attributes),
        TEST(entities_that_are_not_understood_are_refused),
        TEST(ten_thousand_entities_at_most),
        TEST(a_permission_names_what_permits),
        TEST(a_refusal_names_the_forbids),
        TEST(a_refusal_without_forbids_names_the_nearest_permits),
        TEST(a_policy_that_fails_refuses),
        TEST(twenty_policies_are_named_at_most),
        TEST(a_question_that_takes_too_long_is_refused),
        TEST(tests_tell_what_is_not_as_expected),
        TEST(tests_without_a_name_are_numbered),
        TEST(tests_that_are_not_understood_are_named),
        TEST(ten_thousand_tests_at_most),
        TEST(one_test_is_run_when_time_is_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
