/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of policy text, and trees written as text. */
#include "engine/cedar/formats.h"

#include "tests/unit/cedar/world.h"

static void expect_layout(const char *text, const char *wanted)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf again = dv_buf_init(1 << 20);
    dv_error error = {0};

    if (dv_cedar_format(dv_slice_str(text), &out, &error) != DV_OK) {
        fail_msg("%d:%d: %s", error.line, error.column, error.message);
    }
    assert_string_equal(dv_buf_cstr(&out), wanted);
    assert_int_equal(dv_cedar_format(dv_buf_slice(&out), &again, &error), DV_OK);
    assert_string_equal(dv_buf_cstr(&again), wanted);
}

static void short_policies_take_one_line(void **unused)
{
    expect_layout("permit(principal,action,resource);", "permit (principal, action, resource);\n");
    expect_layout("@id ( \"a\" )@x\nforbid( principal in?principal , action,resource)when{ 1<2 };",
                  "@id(\"a\")\n@x\nforbid (principal in ?principal, action, resource)\n"
                  "when { 1 < 2 };\n");
    expect_layout("", "");
    expect_layout(" \n\t", "");
}

static void blanks_are_made_anew(void **unused)
{
    expect_layout(
        "permit(principal==User :: \"a\",action in[Action::\"a\",Action::\"b\"],resource is N "
        "::T)\n"
        "unless{-1-(-context . n)*2==- - 3&&!context[\"x\"].contains( {a:1 ,\"b\":{ }} , )};",
        "permit (\n"
        "  principal == User::\"a\",\n"
        "  action in [Action::\"a\", Action::\"b\"],\n"
        "  resource is N::T\n"
        ")\n"
        "unless {\n"
        "  -1 - (-context.n) * 2 == --3 && !context[\"x\"].contains({ a: 1, \"b\": {} },)\n"
        "};\n");
    expect_layout("permit(principal,action,resource)when{principal in[]||ip(\"::1\") .isIpv6()};",
                  "permit (principal, action, resource)\n"
                  "when { principal in [] || ip(\"::1\").isIpv6() };\n");
}

static void long_lines_are_broken_at_operators(void **unused)
{
    expect_layout(
        "permit(principal,action,resource)when{context.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa == 1 && "
        "context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb == 2 || "
        "[\"cccccccccccccccccccccccccccccccccccccc\","
        "\"dddddddddddddddddddddddddddddddddddd\"].contains(context.e)};",
        "permit (principal, action, resource)\n"
        "when {\n"
        "  context.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa == 1 &&\n"
        "    context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb == 2 ||\n"
        "  [\n"
        "    \"cccccccccccccccccccccccccccccccccccccc\",\n"
        "    \"dddddddddddddddddddddddddddddddddddd\"\n"
        "  ].contains(context.e)\n"
        "};\n");
    expect_layout(
        "permit(principal,action,resource)when{if context.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
        "then context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb else if true then 1 else "
        "context.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc};",
        "permit (principal, action, resource)\n"
        "when {\n"
        "  if context.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
        "  then context.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
        "  else if true\n"
        "  then 1\n"
        "  else context.ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n"
        "};\n");
}

static void comments_are_kept(void **unused)
{
    expect_layout("//   top  \n\n\n// first\npermit(principal,action,resource);// behind\n"
                  "forbid(principal,action,resource)when{// why\r\n"
                  "true&&// both\n\n// or\nfalse // last\n};\n// end\n// of it",
                  "//   top\n"
                  "\n"
                  "// first\n"
                  "permit (principal, action, resource); // behind\n"
                  "\n"
                  "forbid (principal, action, resource)\n"
                  "when { // why\n"
                  "  true && // both\n"
                  "  // or\n"
                  "  false // last\n"
                  "};\n"
                  "\n"
                  "// end\n"
                  "// of it\n");
    expect_layout("// only this", "// only this\n");
    expect_layout("@a // note\n(\"x\") permit(principal,action// who\n,resource // what\n);",
                  "@a // note\n"
                  "(\"x\")\n"
                  "permit (\n"
                  "  principal,\n"
                  "  action // who\n"
                  "  ,\n"
                  "  resource // what\n"
                  ");\n");
}

static void refuses_what_is_no_policy(void **unused)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20), small = dv_buf_init(8);
    dv_error error = {0};

    assert_int_equal(dv_cedar_format(DV_LIT("permit(\n  principal"), &out, &error), DV_ERR_INVALID);
    assert_int_equal(error.line, 2);
    assert_int_equal(out.len, 0);
    assert_int_equal(dv_cedar_format(DV_LIT("permit(principal,action,resource);"), &small, &error),
                     DV_ERR_TOO_LARGE);
    assert_int_equal(small.len, 0);
}

static void expect_text(const char *text, const char *wanted)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf before = dv_buf_init(1 << 20), after = dv_buf_init(1 << 20);
    dv_cedar_policy_set *again = NULL;
    world w = world_new(text);

    assert_int_equal(dv_cedar_text_write(w.set, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out), wanted);
    assert_int_equal(dv_cedar_parse(dv_buf_slice(&out), &again, NULL), DV_OK);
    assert_int_equal(dv_cedar_json_write(w.set, &before), DV_OK);
    assert_int_equal(dv_cedar_json_write(again, &after), DV_OK);
    assert_string_equal(dv_buf_cstr(&before), dv_buf_cstr(&after));
    dv_cedar_policy_set_free(again);
    world_end(&w);
}

#define ANY "permit (principal, action, resource)"

static void expect_expression(const char *expression, const char *wanted)
{
    char text[1024], line[1024];

    snprintf(text, sizeof(text), ANY " when { %s };", expression);
    snprintf(line, sizeof(line), ANY " when { %s };\n", wanted);
    expect_text(text, line);
}

static void trees_are_written_with_the_parentheses_they_need(void **unused)
{
    expect_expression("((1 + 2)) * 3 == (4 * 5) + 6", "(1 + 2) * 3 == 4 * 5 + 6");
    expect_expression("(a::\"x\" == b::\"y\") == true", "(a::\"x\" == b::\"y\") == true");
    expect_expression("(true && false) && (true || false)", "(true && false) && (true || false)");
    expect_expression("!(!true) || !(1 < 2)", "!(!true) || !(1 < 2)");
    expect_expression("-(1) == -1 && -(-1) == --1", "-(1) == -1 && -(-1) == -(-1)");
    expect_expression("(-1).a == -1.a", "(-1).a == -1.a");
    expect_expression("(if true then 1 else 2) == 1", "(if true then 1 else 2) == 1");
    expect_expression("context[\"a\"][\"b c\"][\"if\"]", "context.a[\"b c\"][\"if\"]");
    expect_expression("context has a.b.c && context has \"d e\" && context has \"f\"",
                      "context has a.b.c && context has \"d e\" && context has f");
    expect_expression("\"\\u{61}*\\n\" like \"*a\\*\\x2a\\n\"", "\"a*\\n\" like \"*a\\**\\n\"");
}

static void whole_policies_are_written(void **unused)
{
    expect_text(
        "@id(\"x\")@n forbid(principal is A in B::\"c\",action in [Action::\"q\"],resource);"
        "permit(principal == ?principal, action == Action::\"v\", resource) unless { "
        "[1,1]==[ip(\"a\")] };",
        "@id(\"x\") @n forbid (principal is A in B::\"c\", action in [Action::\"q\"], resource);\n"
        "permit (principal == ?principal, action == Action::\"v\", resource) unless { [1, 1] == "
        "[ip(\"a\")] };\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_policies_take_one_line),
        cmocka_unit_test(blanks_are_made_anew),
        cmocka_unit_test(long_lines_are_broken_at_operators),
        cmocka_unit_test(comments_are_kept),
        cmocka_unit_test(refuses_what_is_no_policy),
        cmocka_unit_test(trees_are_written_with_the_parentheses_they_need),
        cmocka_unit_test(whole_policies_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
