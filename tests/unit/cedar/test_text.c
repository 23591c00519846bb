/* SPDX-License-Identifier: Apache-2.0 */
/* Policy text that is refused, with its place, and every limit. */
#include "base/caps.h"

#include "tests/unit/cedar/world.h"

static void expect_refused(const char *text, int line, int column, const char *message)
{
    dv_cedar_policy_set *set = NULL;
    dv_error error = {0};

    assert_int_equal(dv_cedar_parse(dv_slice_str(text), &set, &error), DV_ERR_INVALID);
    assert_null(set);
    if (error.line != line || error.column != column || strstr(error.message, message) == NULL) {
        fail_msg("%s: refused at %d:%d with '%s', not at %d:%d with '%s'", text, error.line,
                 error.column, error.message, line, column, message);
    }
}

static void says_what_is_wrong_and_where(void **unused)
{
    expect_refused("allow(principal, action, resource);", 1, 1, "'permit' or 'forbid'");
    expect_refused("permit(principal, action, resource)", 1, 36, "';'");
    expect_refused("permit(principal, action, resource);\n\n forbid principal", 3, 9, "'('");
    expect_refused("permit(action, principal, resource);", 1, 8, "'principal'");
    expect_refused("permit(principal, action);", 1, 25, "','");
    expect_refused("permit(principal, action, resource,,);", 1, 36, "')'");
    expect_refused("permit(principal == User, action, resource);", 1, 25, "'::'");
    expect_refused("permit(principal == \"x\", action, resource);", 1, 21, "a name");
    expect_refused("permit(principal == ?resource, action, resource);", 1, 21, "'?principal'");
    expect_refused("permit(principal, action == ?action, resource);", 1, 29, "only principal");
    expect_refused("permit(principal, action, resource in ?principal);", 1, 39, "'?resource'");
    expect_refused("permit(principal is ?principal, action, resource);", 1, 21, "a name");
    expect_refused("permit(principal is User::\"a\", action, resource);", 1, 30, "a type");
    expect_refused("permit(principal is User == User::\"a\", action, resource);", 1, 26, "','");
    expect_refused("permit(principal in [User::\"a\"], action, resource);", 1, 21, "a name");
    expect_refused("permit(principal, action is Action, resource);", 1, 26, "','");
    expect_refused("permit(principal, action == User::\"a\", resource);", 1, 26, "Action");
    expect_refused("permit(principal, action in [Action::\"a\",,], resource);", 1, 42, "a name");
    expect_refused("permit(principal, action == [Action::\"a\"], resource);", 1, 29, "a name");
    expect_refused("permit(principal == __cedar::U::\"a\", action, resource);", 1, 21, "reserved");
    expect_refused("permit(principal == if::\"a\", action, resource);", 1, 21, "reserved");
    expect_refused("@a @a permit(principal, action, resource);", 1, 5, "once");
    expect_refused("@a(1) permit(principal, action, resource);", 1, 4, "a string");
    expect_refused("@1 permit(principal, action, resource);", 1, 2, "annotation");
    expect_refused("permit(principal, action, resource) when true;", 1, 42, "'{'");
    expect_refused("permit(principal, action, resource) where { true };", 1, 37, "'when'");
    expect_refused("permit(principal, action, resource) # x", 1, 37, "no meaning");
    expect_refused("@id(\"x\")permit(principal, action, resource);\n"
                   "@id(\"x\")permit(principal, action, resource);",
                   2, 1, "the id 'x'");
    expect_refused("@id(\"policy1\")permit(principal, action, resource);\n"
                   " permit(principal, action, resource);",
                   2, 2, "the id 'policy1'");
    expect_refused("permit(principal, action, resource)\nwhen { \"\xc3\xa9\xff\" };", 2, 11,
                   "UTF-8");
}

/* The column is where the expression begins plus the offset in it. */
static void expect_bad_expression(const char *expression, int offset, const char *message)
{
    char policy[2048];

    snprintf(policy, sizeof(policy), "permit(principal, action, resource)\nwhen { %s };",
             expression);
    expect_refused(policy, 2, 8 + offset, message);
}

static void refuses_bad_expressions(void **unused)
{
    expect_bad_expression("", 1, "an expression");
    expect_bad_expression("1 +", 4, "an expression");
    expect_bad_expression("1 < 2 < 3", 6, "parentheses");
    expect_bad_expression("1 == 2 == 3", 7, "parentheses");
    expect_bad_expression("1 = 1", 2, "'=='");
    expect_bad_expression("4 / 2", 2, "does not divide");
    expect_bad_expression("4 % 2", 2, "does not divide");
    expect_bad_expression("!!!!!true", 5, "four signs");
    expect_bad_expression("-----1", 5, "four signs");
    expect_bad_expression("!-1", 1, "an expression");
    expect_bad_expression("9223372036854775808", 0, "64 bits");
    expect_bad_expression("-9223372036854775809", 1, "64 bits");
    expect_bad_expression("99999999999999999999999", 0, "64 bits");
    expect_bad_expression("foo", 0, "no variable");
    expect_bad_expression("a::b", 0, "no variable");
    expect_bad_expression("foo(1)", 0, "no function 'foo'");
    expect_bad_expression("a::ip(\"\")", 0, "no function 'a::ip'");
    expect_bad_expression("contains([1], 1)", 0, "no function 'contains'");
    expect_bad_expression("\"x\".ip()", 4, "no method 'ip'");
    expect_bad_expression("[1].foo()", 4, "no method 'foo'");
    expect_bad_expression("[1].contains()", 4, "takes 1 arguments, not 0");
    expect_bad_expression("[1].isEmpty(1)", 4, "takes 0 arguments, not 1");
    expect_bad_expression("principal.if", 10, "name");
    expect_bad_expression("principal.\"a\"", 10, "name");
    expect_bad_expression("principal[1]", 10, "a string");
    expect_bad_expression("principal[\"a\"", 14, "']'");
    expect_bad_expression("principal has 1", 14, "name");
    expect_bad_expression("principal has if", 14, "name");
    expect_bad_expression("principal has a.\"b\"", 16, "name");
    expect_bad_expression("principal like a", 15, "pattern");
    expect_bad_expression("principal is \"a\"", 13, "a name");
    expect_bad_expression("principal is User::\"a\"", 23, "a type");
    expect_bad_expression("{a: 1, a: 2}", 0, "two values for 'a'");
    expect_bad_expression("{a: 1, \"a\": 2}", 0, "two values for 'a'");
    expect_bad_expression("{1: 1}", 1, "name");
    expect_bad_expression("{if: 1}", 1, "name");
    expect_bad_expression("{a 1}", 3, "':'");
    expect_bad_expression("{a: 1,,}", 6, "name");
    expect_bad_expression("{,}", 1, "name");
    expect_bad_expression("[1,,]", 3, "an expression");
    expect_bad_expression("[,]", 1, "an expression");
    expect_bad_expression("ip(,)", 3, "an expression");
    expect_bad_expression("[1 2]", 3, "']'");
    expect_bad_expression("(1", 3, "')'");
    expect_bad_expression("if true then 1", 15, "'else'");
    expect_bad_expression("if true 1", 8, "'then'");
    expect_bad_expression("?principal == principal", 0, "placeholder");
    expect_bad_expression("true && if true then true else false", 8, "reserved");
}

static void refuses_bad_strings(void **unused)
{
    expect_bad_expression("\"a", 0, "no end");
    expect_bad_expression("\"a\r\nb\" == 1", 2, "carriage return");
    expect_bad_expression("\"\\q\" == 1", 1, "no escape");
    expect_bad_expression("\"a\\*\" == 1", 2, "no escape");
    expect_bad_expression("\"\\x80\" == 1", 1, "no escape");
    expect_bad_expression("\"\\x4\" == 1", 1, "no escape");
    expect_bad_expression("\"\\u{}\" == 1", 1, "no escape");
    expect_bad_expression("\"\\u{110000}\" == 1", 1, "no escape");
    expect_bad_expression("\"\\u{d800}\" == 1", 1, "no escape");
    expect_bad_expression("\"\\u{1234567}\" == 1", 1, "no escape");
    expect_bad_expression("\"\\u41\" == 1", 1, "no escape");
    expect_bad_expression("\"\\u{41\" == 1", 1, "no escape");
}

static char *repeat(const char *before, const char *part, size_t times, const char *after)
{
    size_t size = strlen(before) + strlen(part) * times + strlen(after) + 1, at = 0;
    char *text = malloc(size);

    assert_non_null(text);
    at += (size_t)snprintf(text, size, "%s", before);
    for (size_t i = 0; i < times; i++) {
        at += (size_t)snprintf(text + at, size - at, "%s", part);
    }
    snprintf(text + at, size - at, "%s", after);
    return text;
}

static dv_result parse_repeated(const char *before, const char *part, size_t times,
                                const char *after, dv_error *error)
{
    dv_auto(free) char *text = repeat(before, part, times, after);
    dv_cedar_policy_set *set = NULL;
    dv_result result = dv_cedar_parse(dv_slice_str(text), &set, error);

    dv_cedar_policy_set_free(set);
    return result;
}

#define WHEN "permit(principal, action, resource) when { "

/* A million levels are refused where they become too deep, not at their end. */
static void expect_depth_limit(const char *before, const char *part, const char *after)
{
    const int last = (int)(strlen(before) + (DV_LIMIT_CEDAR_DEPTH + 1) * strlen(part));
    dv_error error = {0};

    assert_int_equal(parse_repeated(before, part, DV_LIMIT_CEDAR_DEPTH - 8, after, NULL),
                     DV_ERR_INVALID); /* unbalanced on purpose, but not too deep */
    assert_int_equal(parse_repeated(before, part, 1000000, after, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "levels deep"));
    assert_int_equal(error.line, 1);
    assert_in_range(error.column, strlen(before) + 1, last);
}

static void bounds_depth(void **unused)
{
    dv_error error = {0};

    expect_depth_limit(WHEN, "(", "");
    expect_depth_limit(WHEN, "[", "");
    expect_depth_limit(WHEN, "{a:", "");
    expect_depth_limit(WHEN, "if ", "");
    expect_depth_limit(WHEN, "ip(", "");
    expect_depth_limit(WHEN, "!(", "");
    /* A chain of accesses is a deep tree without any nesting in the text. */
    assert_int_equal(parse_repeated(WHEN "principal", ".a", DV_LIMIT_CEDAR_DEPTH - 1, " };", NULL),
                     DV_OK);
    assert_int_equal(parse_repeated(WHEN "principal", ".a", DV_LIMIT_CEDAR_DEPTH, " };", &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "levels deep"));
    /* Long lists of operands are flat. */
    assert_int_equal(parse_repeated(WHEN "true", " && true", 20000, " };", NULL), DV_OK);
    assert_int_equal(parse_repeated(WHEN "1", " + 1", 20000, " == 1 };", NULL), DV_OK);
    assert_int_equal(parse_repeated(WHEN "[1", ", 1", 20000, "].isEmpty() };", NULL), DV_OK);
}

static void bounds_text_names_and_annotations(void **unused)
{
    dv_error error = {0};

    assert_int_equal(parse_repeated("", "// padding\n", DV_LIMIT_CEDAR_TEXT / 11 + 1, "", &error),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(parse_repeated("permit(principal == U::\"", "x", DV_LIMIT_CEDAR_UID,
                                    "\", action, resource);", &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "too long"));
    assert_int_equal(parse_repeated("permit(principal is U", "::abcdefgh",
                                    DV_LIMIT_CEDAR_UID / 10 + 1, ", action, resource);", &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "shorter name"));
    assert_int_equal(parse_repeated("@id(\"", "x", DV_LIMIT_NAME + 1,
                                    "\")permit(principal, action, resource);", &error),
                     DV_ERR_INVALID);
    char text[16 * DV_LIMIT_CEDAR_ANNOTATIONS];
    size_t at = 0;
    for (int i = 0; i <= DV_LIMIT_CEDAR_ANNOTATIONS; i++) {
        at += (size_t)snprintf(text + at, sizeof(text) - at, "@a%d ", i);
    }
    snprintf(text + at, sizeof(text) - at, "permit(principal, action, resource);");
    dv_cedar_policy_set *set = NULL;
    assert_int_equal(dv_cedar_parse(dv_slice_str(text), &set, &error), DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "fewer annotations"));
}

/* Little text makes much of it, and is refused where it had become too much. */
static void bounds_memory(void **unused)
{
    dv_error error = {0};

    assert_int_equal(parse_repeated("// line 1\n" WHEN "[", "[],", DV_LIMIT_CEDAR_TEXT / 3 - 64,
                                    "]==1};", &error),
                     DV_ERR_NO_MEMORY);
    assert_non_null(strstr(error.message, "more memory"));
    assert_int_equal(error.line, 2);
    assert_in_range(error.column, 1 << 20, DV_LIMIT_CEDAR_TEXT);
}

static bool know_nothing(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    return false;
}

static void bounds_steps(void **unused)
{
    dv_auto(free) char *text = repeat(WHEN "1", " + 1", DV_LIMIT_CEDAR_STEPS, " == 1 };");
    world w = world_new(text);
    dv_cedar_request request = {DV_LIT("U::\"u\""), DV_LIT("Action::\"a\""), DV_LIT("R::\"r\""),
                                NULL};
    dv_cedar_answer answer = {.decision = DV_ALLOW};
    dv_arena *arena = dv_arena_new(64 << 20);

    assert_int_equal(dv_cedar_decide(w.set, &request, know_nothing, NULL, arena, &answer),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(answer.decision, DV_DENY);
    dv_arena_free(arena);
    world_end(&w);
}

/* Little text can compare much data: what lies in the values counts. */
static void bounds_steps_over_data(void **unused)
{
    enum { INNER = 1000 };
    static dv_cedar_value inner[INNER];
    dv_cedar_attr attr = {DV_LIT("big"), {0}};
    dv_cedar_value context, one[1];
    dv_auto(free) char *text = repeat(WHEN "true", " && context.big == context.big",
                                      2 * DV_LIMIT_CEDAR_STEPS / INNER, " };");
    world w = world_new(text);
    dv_cedar_request request = {DV_LIT("U::\"u\""), DV_LIT("Action::\"a\""), DV_LIT("R::\"r\""),
                                &context};
    dv_cedar_answer answer;

    for (int i = 0; i < INNER; i++) {
        inner[i] = dv_cedar_long(i);
    }
    one[0] = dv_cedar_set(inner, INNER);
    attr.value = dv_cedar_set(one, 1);
    assert_int_equal(dv_cedar_record(&attr, 1, &context), DV_OK);
    assert_int_equal(dv_cedar_decide(w.set, &request, know_nothing, NULL, w.arena, &answer),
                     DV_ERR_TOO_LARGE);
    world_end(&w);
}

static void fails_closed_without_memory(void **unused)
{
    world w =
        world_new("permit(principal, action, resource) when { [context, 2, 3].contains(2) };");
    dv_cedar_request request = {DV_LIT("U::\"u\""), DV_LIT("Action::\"a\""), DV_LIT("R::\"r\""),
                                NULL};
    bool succeeded = false;

    for (size_t bytes = 0; !succeeded; bytes += 16) {
        dv_cedar_answer answer = {.decision = DV_ALLOW};
        dv_arena *arena = dv_arena_new(bytes);
        dv_result result = dv_cedar_decide(w.set, &request, know_nothing, NULL, arena, &answer);
        assert_true(result == DV_OK || result == DV_ERR_NO_MEMORY);
        succeeded = result == DV_OK;
        assert_int_equal(answer.decision, succeeded ? DV_ALLOW : DV_DENY);
        assert_true(bytes > 0 || !succeeded);
        dv_arena_free(arena);
    }
    world_end(&w);
}

static void takes_every_blank(void **unused)
{
    world w = world_new("\xc2\xa0\xe2\x80\xa8permit\v(\f principal,\raction\t,\nresource) // x\r;");

    assert_int_equal(dv_cedar_policy_count(w.set), 1);
    world_end(&w);
}

static void words_are_names_where_they_may(void **unused)
{
    world w =
        world_new("@if @permit(\"x\") permit(principal == permit::when::\"a\", action, resource)"
                  " when { {permit: 1, principal: 2}.principal == 2 && context has when };");

    assert_int_equal(dv_cedar_policy_count(w.set), 1);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_is_wrong_and_where),
        cmocka_unit_test(refuses_bad_expressions),
        cmocka_unit_test(refuses_bad_strings),
        cmocka_unit_test(bounds_depth),
        cmocka_unit_test(bounds_text_names_and_annotations),
        cmocka_unit_test(bounds_memory),
        cmocka_unit_test(bounds_steps),
        cmocka_unit_test(bounds_steps_over_data),
        cmocka_unit_test(fails_closed_without_memory),
        cmocka_unit_test(takes_every_blank),
        cmocka_unit_test(words_are_names_where_they_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
