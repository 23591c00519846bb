/* SPDX-License-Identifier: Apache-2.0 */
/* Policies in JSON (specs: json-format): each kind of expression both ways, links, what is refused
 * and where, and every limit. */
#include "base/caps.h"
#include "engine/cedar/formats.h"

#include "tests/unit/cedar/world.h"

#define ANY                                                                                        \
    "\"principal\":{\"op\":\"All\"},\"action\":{\"op\":\"All\"},\"resource\":{\"op\":\"All\"}"
#define HEAD "{\"effect\":\"permit\"," ANY ",\"conditions\":["

/* The one policy of the text as JSON. */
static void expect_written(const char *text, const char *wanted)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20), again = dv_buf_init(1 << 20);
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};
    world w = world_new(text);

    assert_int_equal(dv_cedar_policy_json_write(w.set, DV_LIT("policy0"), &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), wanted);
    if (dv_cedar_json_parse(dv_buf_slice(&out), &set, &error) != DV_OK) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(dv_cedar_policy_json_write(set, DV_LIT("policy0"), &again), DV_OK);
    assert_string_equal(dv_buf_cstr(&again), wanted);
    dv_cedar_policy_set_free(set);
    world_end(&w);
}

static void expect_expression(const char *expression, const char *body)
{
    char text[1024], json[2048];

    snprintf(text, sizeof(text), "permit(principal, action, resource) when { %s };", expression);
    snprintf(json, sizeof(json), HEAD "{\"kind\":\"when\",\"body\":%s}]}", body);
    expect_written(text, json);
}

#define VALUE(x) "{\"Value\":" x "}"
#define PAIR(key, left, right) "{\"" key "\":{\"left\":" left ",\"right\":" right "}}"

static void expressions_go_both_ways(void **unused)
{
    expect_expression("true", VALUE("true"));
    expect_expression("-9223372036854775808 == 1",
                      PAIR("==", VALUE("-9223372036854775808"), VALUE("1")));
    expect_expression("\"a\\\"\\n\" != A::B::\"c\\0\"",
                      PAIR("!=", VALUE("\"a\\\"\\n\""),
                           VALUE("{\"__entity\":{\"type\":\"A::B\",\"id\":\"c\\u0000\"}}")));
    expect_expression("!(-(1) < context.a)",
                      "{\"!\":{\"arg\":" PAIR("<", "{\"neg\":{\"arg\":" VALUE("1") "}}",
                                              "{\".\":{\"left\":{\"Var\":\"context\"},"
                                              "\"attr\":\"a\"}}") "}}");
    expect_expression("1 - 2 + 3 == 4 * 5",
                      PAIR("==", PAIR("+", PAIR("-", VALUE("1"), VALUE("2")), VALUE("3")),
                           PAIR("*", VALUE("4"), VALUE("5"))));
    expect_expression(
        "true && (false && true) && false || true",
        PAIR("||",
             PAIR("&&", PAIR("&&", VALUE("true"), PAIR("&&", VALUE("false"), VALUE("true"))),
                  VALUE("false")),
             VALUE("true")));
    expect_expression("principal is A in B::\"c\"",
                      "{\"is\":{\"left\":{\"Var\":\"principal\"},\"entity_type\":\"A\",\"in\":"
                      "{\"Value\":{\"__entity\":{\"type\":\"B\",\"id\":\"c\"}}}}}");
    expect_expression("context has a.b",
                      "{\"has\":{\"left\":{\"Var\":\"context\"},\"attr\":[\"a\",\"b\"]}}");
    expect_expression("context has \"a b\"",
                      "{\"has\":{\"left\":{\"Var\":\"context\"},\"attr\":\"a b\"}}");
    expect_expression(
        "\"x\" like \"*a\\*b**\"",
        "{\"like\":{\"left\":" VALUE("\"x\"") ",\"pattern\":[\"Wildcard\","
                                              "{\"Literal\":\"a*b\"},\"Wildcard\",\"Wildcard\"]}}");
    expect_expression("if true then 1 else 2",
                      "{\"if-then-else\":{\"if\":" VALUE("true") ",\"then\":" VALUE(
                          "1") ",\"else\":" VALUE("2") "}}");
    expect_expression(
        "[2, 1, 1].contains(1)",
        PAIR("contains", "{\"Set\":[" VALUE("2") "," VALUE("1") "," VALUE("1") "]}", VALUE("1")));
    expect_expression("[].isEmpty()", "{\"isEmpty\":{\"arg\":{\"Set\":[]}}}");
    expect_expression("{b: 1, \"a b\": {}} == {}",
                      PAIR("==", "{\"Record\":{\"a b\":{\"Record\":{}},\"b\":" VALUE("1") "}}",
                           "{\"Record\":{}}"));
    expect_expression(
        "ip(\"::1\").isInRange(ip(\"x\"))",
        "{\"isInRange\":[{\"ip\":[" VALUE("\"::1\"") "]},{\"ip\":[" VALUE("\"x\"") "]}]}");
    expect_expression("ip()", "{\"ip\":[]}");
}

static void scopes_and_annotations_go_both_ways(void **unused)
{
    expect_written(
        "@a @b(\"\") @if(\"x\") forbid(principal == A::\"b\", action == Action::\"c\", "
        "resource in D::\"e\") unless { true };",
        "{\"effect\":\"forbid\",\"principal\":{\"op\":\"==\",\"entity\":{\"type\":\"A\","
        "\"id\":\"b\"}},\"action\":{\"op\":\"==\",\"entity\":{\"type\":\"Action\",\"id\":"
        "\"c\"}},\"resource\":{\"op\":\"in\",\"entity\":{\"type\":\"D\",\"id\":\"e\"}},"
        "\"conditions\":[{\"kind\":\"unless\",\"body\":{\"Value\":true}}],"
        "\"annotations\":{\"a\":null,\"b\":\"\",\"if\":\"x\"}}");
    expect_written(
        "permit(principal is A, action in [Action::\"a\", Action::\"b\"], "
        "resource is B::C in ?resource);",
        "{\"effect\":\"permit\",\"principal\":{\"op\":\"is\",\"entity_type\":\"A\"},"
        "\"action\":{\"op\":\"in\",\"entities\":[{\"type\":\"Action\",\"id\":\"a\"},"
        "{\"type\":\"Action\",\"id\":\"b\"}]},\"resource\":{\"op\":\"is\",\"entity_type\":"
        "\"B::C\",\"in\":{\"slot\":\"?resource\"}},\"conditions\":[]}");
    expect_written(
        "permit(principal in ?principal, action in [], resource == ?resource);",
        "{\"effect\":\"permit\",\"principal\":{\"op\":\"in\",\"slot\":\"?principal\"},"
        "\"action\":{\"op\":\"in\",\"entities\":[]},\"resource\":{\"op\":\"==\",\"slot\":"
        "\"?resource\"},\"conditions\":[]}");
}

static const char set_text[] =
    "{\"staticPolicies\":{\"root\":{\"effect\":\"permit\",\"principal\":{\"op\":\"==\",\"entity\":"
    "{\"type\":\"User\",\"id\":\"root\"}},\"action\":{\"op\":\"All\"},\"resource\":{\"op\":\"All\"}"
    ","
    "\"conditions\":[]}},\"templates\":{\"stop\":{\"effect\":\"forbid\",\"principal\":{\"op\":\"=="
    "\","
    "\"slot\":\"?principal\"},\"action\":{\"op\":\"All\"},\"resource\":{\"op\":\"in\",\"slot\":"
    "\"?resource\"},\"conditions\":[]}},\"templateLinks\":[{\"templateId\":\"stop\",\"newId\":"
    "\"l\","
    "\"values\":{\"?principal\":{\"type\":\"User\",\"id\":\"root\"},\"?resource\":{\"type\":"
    "\"Box\","
    "\"id\":\"b\"}}}]}";

static void sets_decide_with_their_links(void **unused)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    world w = {.arena = dv_arena_new(1 << 20)};

    assert_int_equal(dv_cedar_json_parse(dv_slice_str(set_text), &w.set, NULL), DV_OK);
    assert_int_equal(world_decide(&w, "User::\"root\"", "Action::\"a\"", "Box::\"c\"", NULL),
                     DV_ALLOW);
    assert_true(dv_slice_eq_str(w.answer.reasons[0], "root"));
    assert_int_equal(world_decide(&w, "User::\"root\"", "Action::\"a\"", "Box::\"b\"", NULL),
                     DV_DENY);
    assert_true(dv_slice_eq_str(w.answer.reasons[0], "l"));
    assert_int_equal(dv_cedar_json_write(w.set, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), set_text);
    assert_int_equal(dv_cedar_policy_json_write(w.set, DV_LIT("l"), &out), DV_ERR_NOT_FOUND);
    world_end(&w);
}

static void values_are_read_as_in_entities(void **unused)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_cedar_policy_set *set = NULL;

    assert_int_equal(
        dv_cedar_json_parse(
            DV_LIT(HEAD
                   "{\"kind\":\"when\",\"body\":{\"Value\":{\"a\":[1,{\"__extn\":{\"fn\":"
                   "\"decimal\",\"arg\":\"1.0\"}}],\"b\":{\"__extn\":{\"fn\":\"isInRange\","
                   "\"args\":[\"x\",2]}},\"c\":{\"__entity\":{\"type\":\"T\",\"id\":\"i\"}}}}}]}"),
            &set, NULL),
        DV_OK);
    assert_int_equal(dv_cedar_text_write(set, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out),
                        "permit (principal, action, resource) when { {a: [1, decimal(\"1.0\")], "
                        "b: \"x\".isInRange(2), c: T::\"i\"} };\n");
    dv_cedar_policy_set_free(set);
}

static void expect_refused(const char *json, const char *pointer, const char *message)
{
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};
    char place[200];

    snprintf(place, sizeof(place), "(at %s)", pointer);
    assert_int_equal(dv_cedar_json_parse(dv_slice_str(json), &set, &error), DV_ERR_INVALID);
    assert_null(set);
    if (strstr(error.message, message) == NULL || strstr(error.message, place) == NULL) {
        fail_msg("%s: '%s' is not '%s' %s", json, error.message, message, place);
    }
    assert_int_not_equal(error.line, 0);
}

static void expect_bad_body(const char *body, const char *pointer, const char *message)
{
    char json[2048], place[200];

    snprintf(json, sizeof(json), HEAD "{\"kind\":\"when\",\"body\":%s}]}", body);
    snprintf(place, sizeof(place), "/conditions/0/body%s", pointer);
    expect_refused(json, place, message);
}

static void bad_expressions_are_refused_with_their_place(void **unused)
{
    expect_bad_body("1", "", "an expression");
    expect_bad_body("{}", "", "one member");
    expect_bad_body("{\"Value\":1,\"Var\":\"context\"}", "", "one member");
    expect_bad_body("{\"Value\":null}", "/Value", "no null");
    expect_bad_body("{\"Value\":[1.5]}", "/Value/0", "whole");
    expect_bad_body("{\"Value\":{\"__expr\":\"1\"}}", "/Value", "__expr");
    expect_bad_body("{\"Value\":{\"a\":{\"__entity\":{\"type\":\"a b\",\"id\":\"\"}}}}",
                    "/Value/a/__entity/type", "no entity type");
    expect_bad_body("{\"Value\":{\"__entity\":{\"type\":\"A\",\"id\":\"\"},\"x\":1}}", "/Value/x",
                    "no member");
    expect_bad_body("{\"Value\":{\"__extn\":{\"fn\":\"contains\",\"arg\":1}}}", "/Value/__extn",
                    "extension value");
    expect_bad_body("{\"Value\":{\"__extn\":{\"fn\":\"ip\"}}}", "/Value/__extn", "extension value");
    expect_bad_body("{\"Var\":\"me\"}", "/Var", "principal, action");
    expect_bad_body("{\"Slot\":\"?principal\"}", "/Slot", "scope only");
    expect_bad_body("{\"Unknown\":[]}", "/Unknown", "no such operator");
    expect_bad_body("{\"==\":{\"left\":{\"Value\":1}}}", "/==", "'right' is missing");
    expect_bad_body("{\"&&\":{\"left\":{\"Value\":1},\"right\":{\"Var\":1}}}", "/&&/right/Var",
                    "a string");
    expect_bad_body("{\"!\":{\"arg\":{\"Value\":1},\"left\":2}}", "/!/left", "no member");
    expect_bad_body("{\"isEmpty\":[{\"Value\":1}]}", "/isEmpty", "an object");
    expect_bad_body("{\"ip\":{\"Value\":1}}", "/ip", "a list");
    expect_bad_body("{\"a/b~\":1}", "/a~1b~0", "no such operator");
    expect_bad_body("{\"has\":{\"left\":{\"Var\":\"context\"},\"attr\":[]}}", "/has/attr",
                    "at least");
    expect_bad_body("{\"has\":{\"left\":{\"Var\":\"context\"},\"attr\":[\"a\",\"b c\"]}}",
                    "/has/attr/1", "identifiers");
    expect_bad_body("{\"like\":{\"left\":{\"Var\":\"context\"},\"pattern\":[\"a\"]}}",
                    "/like/pattern/0", "Wildcard");
    expect_bad_body("{\"like\":{\"left\":{\"Var\":\"context\"},\"pattern\":\"a*\"}}",
                    "/like/pattern", "a list");
    expect_bad_body("{\"is\":{\"left\":{\"Var\":\"context\"},\"entity_type\":\"A B\"}}",
                    "/is/entity_type", "no entity type");
}

static void bad_policies_are_refused_with_their_place(void **unused)
{
    expect_refused("[]", "the top", "an object");
    expect_refused("{\"policies\":{}}", "/policies", "no member");
    expect_refused("{\"staticPolicies\":{\"p\":{}}}", "/staticPolicies/p", "'effect' is missing");
    expect_refused("{\"effect\":\"Permit\"," ANY ",\"conditions\":[]}", "/effect",
                   "permit and forbid");
    expect_refused(HEAD "{\"kind\":\"if\",\"body\":{}}]}", "/conditions/0/kind", "when and unless");
    expect_refused(HEAD "],\"annotations\":{\"a b\":\"\"}}", "/annotations/a b", "identifier");
    expect_refused(HEAD "],\"annotations\":{\"a\":1}}", "/annotations/a", "a string");
    expect_refused("{\"staticPolicies\":{\"\":" HEAD "]}}}", "/staticPolicies/", "1 to 128");
    expect_refused("{\"templates\":{\"t\":" HEAD "]}}}", "/templates/t", "has a slot");
}

static void expect_bad_scope(const char *principal, const char *action, const char *pointer,
                             const char *message)
{
    char json[2048];

    snprintf(json, sizeof(json),
             "{\"effect\":\"permit\",\"principal\":%s,\"action\":%s,\"resource\":{\"op\":\"All\"},"
             "\"conditions\":[]}",
             principal, action);
    expect_refused(json, pointer, message);
}

#define ALL "{\"op\":\"All\"}"
#define USER "{\"type\":\"User\",\"id\":\"a\"}"

static void bad_scopes_are_refused_with_their_place(void **unused)
{
    expect_bad_scope("{}", ALL, "/principal", "'op' is missing");
    expect_bad_scope("{\"op\":\"!=\"}", ALL, "/principal/op", "no such op");
    expect_bad_scope("{\"op\":\"All\",\"entity\":" USER "}", ALL, "/principal/entity", "no member");
    expect_bad_scope("{\"op\":\"==\"}", ALL, "/principal", "one of entity, slot");
    expect_bad_scope("{\"op\":\"==\",\"entity\":" USER ",\"slot\":\"?principal\"}", ALL,
                     "/principal", "one of");
    expect_bad_scope("{\"op\":\"==\",\"slot\":\"?resource\"}", ALL, "/principal/slot", "slots are");
    expect_bad_scope("{\"op\":\"in\",\"entities\":[]}", ALL, "/principal/entities", "no member");
    expect_bad_scope("{\"op\":\"is\"}", ALL, "/principal", "'entity_type' is missing");
    expect_bad_scope("{\"op\":\"is\",\"entity_type\":\"A\",\"in\":{}}", ALL, "/principal/in",
                     "one of");
    expect_bad_scope(ALL, "{\"op\":\"is\",\"entity_type\":\"Action\"}", "/action/op", "no such op");
    expect_bad_scope(ALL, "{\"op\":\"==\",\"entity\":" USER "}", "/action/entity",
                     "must be Action");
    expect_bad_scope(ALL, "{\"op\":\"in\",\"entities\":[" USER "]}", "/action/entities/0",
                     "must be Action");
    expect_bad_scope(ALL, "{\"op\":\"in\",\"slot\":\"?principal\"}", "/action/slot", "slots are");
}

static void mistakes_of_json_and_links_are_told(void **unused)
{
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};

    assert_int_equal(dv_cedar_json_parse(DV_LIT("{\"a\":1,\"a\":2}"), &set, &error),
                     DV_ERR_INVALID);
    assert_int_equal(dv_cedar_json_parse(DV_LIT("{"), &set, &error), DV_ERR_INVALID);
    assert_int_equal(
        dv_cedar_json_parse(DV_LIT("{\"templateLinks\":[{\"templateId\":\"t\",\"newId\":\"l\","
                                   "\"values\":{}}]}"),
                            &set, &error),
        DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "no template 't'"));
    assert_int_equal(dv_cedar_json_parse(DV_LIT("{\"staticPolicies\":{\"t\":" HEAD
                                                "],\"annotations\":{\"id\":\"x\"}}}}"),
                                         &set, &error),
                     DV_OK);
    assert_int_equal(dv_cedar_policy_count(set), 1);
    dv_cedar_policy_set_free(set);
}

/* {"!":{"arg": ... }} so many times around a value, or && nested to the left. */
static dv_result parse_nested(const char *open, const char *close, size_t times, dv_error *error)
{
    dv_auto(buf) dv_buf json = dv_buf_init(16 << 20);
    dv_cedar_policy_set *set = NULL;

    assert_int_equal(dv_buf_append_str(&json, HEAD "{\"kind\":\"when\",\"body\":"), DV_OK);
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(dv_buf_append_str(&json, open), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&json, "{\"Value\":true}"), DV_OK);
    for (size_t i = 0; i < times; i++) {
        assert_int_equal(dv_buf_append_str(&json, close), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&json, "}]}"), DV_OK);
    dv_result result = dv_cedar_json_parse(dv_buf_slice(&json), &set, error);
    dv_cedar_policy_set_free(set);
    return result;
}

static void depth_is_bounded(void **unused)
{
    static const char left[] = "{\"&&\":{\"left\":", right[] = ",\"right\":{\"Value\":true}}}";
    dv_error error = {0};

    assert_int_equal(parse_nested("{\"!\":{\"arg\":", "}}", DV_LIMIT_CEDAR_DEPTH - 1, &error),
                     DV_OK);
    assert_int_equal(parse_nested("{\"!\":{\"arg\":", "}}", DV_LIMIT_CEDAR_DEPTH, &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "levels deep"));
    assert_int_equal(error.line, 1);
    assert_int_equal(parse_nested("{\"Set\":[", "]}", DV_LIMIT_CEDAR_DEPTH, &error),
                     DV_ERR_INVALID);
    assert_int_equal(parse_nested(left, right, 5000, &error), DV_OK);
    assert_int_equal(parse_nested(left, right, DV_LIMIT_CEDAR_JSON_DEPTH, &error),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(error.line, 1);
    assert_in_range(error.column, DV_LIMIT_CEDAR_JSON_DEPTH,
                    strlen(left) * DV_LIMIT_CEDAR_JSON_DEPTH);
}

/* Sixteen million numbers in a list, and one more. */
static void tokens_are_bounded(void **unused)
{
    size_t len = ((size_t)DV_LIMIT_CEDAR_JSON_TOKENS + 1) * 2;
    dv_auto(free) char *json = malloc(len + 1);
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};

    assert_non_null(json);
    for (size_t i = 0; i < len; i += 2) {
        memcpy(json + i, "0,", 2);
    }
    json[0] = '[';
    json[1] = '\n';
    assert_int_equal(dv_cedar_json_parse(dv_slice_of(json, len), &set, &error), DV_ERR_TOO_LARGE);
    assert_int_equal(error.line, 2);
    assert_in_range(error.column, len / 2, len);
}

static void size_and_names_are_bounded(void **unused)
{
    dv_auto(free) char *large = calloc(1, DV_LIMIT_CEDAR_JSON + 1);
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};
    char json[16384], id[DV_LIMIT_NAME + 2] = {0};
    size_t len = 0;

    assert_non_null(large);
    assert_int_equal(dv_cedar_json_parse(dv_slice_of(large, DV_LIMIT_CEDAR_JSON + 1), &set, &error),
                     DV_ERR_TOO_LARGE);
    memset(id, 'x', sizeof(id) - 1);
    snprintf(json, sizeof(json), "{\"staticPolicies\":{\"%s\":" HEAD "]}}}", id);
    assert_int_equal(dv_cedar_json_parse(dv_slice_str(json), &set, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "1 to 128 bytes"));
    len = (size_t)snprintf(json, sizeof(json), HEAD "],\"annotations\":{\"a\":\"\"");
    for (int i = 0; i < DV_LIMIT_CEDAR_ANNOTATIONS; i++) {
        len += (size_t)snprintf(json + len, sizeof(json) - len, ",\"a%d\":\"\"", i);
    }
    snprintf(json + len, sizeof(json) - len, "}}");
    assert_int_equal(dv_cedar_json_parse(dv_slice_str(json), &set, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "up to 512 annotations"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expressions_go_both_ways),
        cmocka_unit_test(scopes_and_annotations_go_both_ways),
        cmocka_unit_test(sets_decide_with_their_links),
        cmocka_unit_test(values_are_read_as_in_entities),
        cmocka_unit_test(bad_expressions_are_refused_with_their_place),
        cmocka_unit_test(bad_policies_are_refused_with_their_place),
        cmocka_unit_test(bad_scopes_are_refused_with_their_place),
        cmocka_unit_test(mistakes_of_json_and_links_are_told),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(tokens_are_bounded),
        cmocka_unit_test(size_and_names_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
