/* SPDX-License-Identifier: Apache-2.0 */
/* Policies against a schema (specs: validation), in strict mode. */
#include "engine/cedar/validate.h"

#include "base/buf.h"
#include "base/caps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define WORLD                                                                                      \
    "entity User in [Group] { name: String, age: Long, nick?: String, boss?: User,"                \
    " work: {site?: String, floor: Long, desk?: {no: Long}}, roles: Set<String>, ip: ipaddr,"      \
    " since: datetime, limit: decimal, admin: Bool } tags Long;"                                   \
    "entity Group in [Group] { owner: User }; entity Robot; entity Level enum [\"low\", "          \
    "\"high\"];"                                                                                   \
    "entity Doc in [Folder] { owner: User, level: Level, readers: Set<User> }; entity Folder;"     \
    "action all; action read, write in [all] appliesTo {principal: User, resource: Doc,"           \
    " context: {mfa: Bool, why?: String}};"                                                        \
    "action poll in [all] appliesTo {principal: [Robot], resource: [Doc, Folder]}; action idle;"

typedef struct outcome {
    dv_cedar_schema *schema;
    dv_cedar_policy_set *set;
    dv_arena *arena;
    dv_cedar_report report;
    dv_result result;
} outcome;

static outcome validated(const char *schema, const char *policies, const dv_cedar_link *links,
                         size_t link_count)
{
    outcome o = {.arena = dv_arena_new(16 << 20)};
    dv_error error = {0};

    if (dv_cedar_schema_parse(dv_slice_str(schema), &o.schema, &error) != DV_OK ||
        dv_cedar_parse_linked(dv_slice_str(policies), links, link_count, &o.set, &error) != DV_OK) {
        fail_msg("%d:%d: %s in %s", error.line, error.column, error.message, policies);
    }
    o.result = dv_cedar_validate(o.set, o.schema, o.arena, &o.report);
    return o;
}

static void outcome_end(outcome *o)
{
    dv_cedar_policy_set_free(o->set);
    dv_cedar_schema_free(o->schema);
    dv_arena_free(o->arena);
}

static void valid(const char *policies)
{
    outcome o = validated(WORLD, policies, NULL, 0);

    assert_int_equal(o.result, DV_OK);
    if (o.report.count > 0) {
        fail_msg("%.*s in %s", DV_SLICE_ARGS(o.report.problems[0].message), policies);
    }
    outcome_end(&o);
}

/* The first problem stands at that place and has these words. */
static void told(const char *policies, int line, int column, bool warning, const char *words)
{
    outcome o = validated(WORLD, policies, NULL, 0);

    assert_int_equal(o.result, DV_OK);
    if (o.report.count == 0) {
        fail_msg("nothing was told of %s", policies);
    }
    const dv_cedar_problem *p = &o.report.problems[0];
    assert_int_equal(o.report.error_count == 0, warning);
    if (dv_slice_find(p->message, dv_slice_str(words)) < 0 || p->line != line ||
        p->column != column || p->warning != warning) {
        fail_msg("%d:%d: %.*s, not %d:%d: %s in %s", p->line, p->column, DV_SLICE_ARGS(p->message),
                 line, column, words, policies);
    }
    outcome_end(&o);
}

/* A condition of users reading documents. */
#define READ(condition)                                                                            \
    "permit(principal, action in [Action::\"read\", Action::\"write\"], resource)\nwhen "          \
    "{ " condition " };"
#define GOOD(condition) valid(READ(condition))
#define BAD(condition, column, words) told(READ(condition), 2, 8 + (column), false, words)
#define NEVER(condition) told(READ(condition), 1, 1, true, "can never apply")

static void checks_scopes(void **unused)
{
    valid("permit(principal, action, resource);");
    valid(
        "permit(principal == User::\"a\", action == Action::\"read\", resource in Folder::\"f\");");
    valid("permit(principal in Group::\"g\", action in Action::\"all\", resource is Doc);");
    valid("forbid(principal is User in Group::\"g\", action in [Action::\"read\"], resource);");
    told("permit(principal == Usr::\"a\", action, resource);", 1, 8, false, "did you mean User?");
    told("permit(principal is Usre, action, resource);", 1, 8, false, "did you mean User?");
    told("permit(principal, action == Action::\"raed\", resource);", 1, 19, false,
         "did you mean Action::\"read\"?");
    told("permit(principal, action, resource in Level::\"mid\");", 1, 27, false,
         "no entity Level::\"mid\"");
    told("permit(principal == Robot::\"r\", action == Action::\"read\", resource);", 1, 1, false,
         "no action of this scope applies");
    told("permit(principal, action == Action::\"idle\", resource);", 1, 1, false, "no action");
    told("permit(principal == Group::\"g\", action, resource);", 1, 1, false, "write `in`");
    told("permit(principal, action in [], resource);", 1, 1, false, "no action of this scope");
    told("\n\n  permit(principal is Folder, action, resource);", 3, 3, false, "no action");
}

static void checks_names_everywhere(void **unused)
{
    BAD("false && principal == Usr::\"a\"", 22, "no entity type Usr");
    BAD("principal is Thing", 0, "no entity type Thing");
    BAD("[Doc::\"a\", Dok::\"b\"].contains(resource)", 11, "did you mean Doc?");
    BAD("resource.level == Level::\"hihg\"", 18, "did you mean Level::\"high\"?");
    BAD("action == Action::\"write2\"", 10, "did you mean Action::\"write\"?");
}

static void types_logical_operators(void **unused)
{
    GOOD("principal.admin && !context.mfa || true");
    GOOD("if context.mfa then principal.admin else false");
    GOOD("(if context.mfa then 1 else 2) == principal.age");
    BAD("principal.age", 0, "Bool is wanted here, this is Long");
    BAD("context.mfa && 1", 15, "Bool is wanted");
    BAD("1 || context.mfa", 0, "Bool is wanted");
    BAD("!principal.name", 1, "Bool is wanted");
    BAD("if 1 then true else false", 3, "Bool is wanted");
    BAD("(if context.mfa then 1 else \"a\") == 1", 1, "the branches of an if");
    /* What cannot be reached is not looked at. */
    GOOD("true || principal.nothing");
    GOOD("if true then context.mfa else principal.nothing");
    NEVER("false && principal.nothing");
    NEVER("if false then principal.nothing else false");
    NEVER("principal is Robot && principal.nothing");
    NEVER("!(context has mfa)");
    NEVER("context.mfa && false && principal.nothing");
}

static void types_comparisons_and_arithmetic(void **unused)
{
    GOOD("principal.age + 1 * 2 - -principal.age < 10 && principal.age >= 3");
    GOOD("principal.since < datetime(\"2024-01-01\") && duration(\"1h\") <= duration(\"2h\")");
    GOOD("principal == resource.owner && principal.name != \"x\"");
    GOOD("principal.roles == [\"a\"]");
    BAD("principal.age < \"1\"", 0, "two of Long, datetime or duration");
    BAD("principal.limit < decimal(\"1.0\")", 0, "use lessThan");
    BAD("principal.since < duration(\"1h\")", 0, "datetime and duration");
    BAD("principal.name + \"x\" == \"y\"", 0, "Long is wanted here, this is String");
    BAD("principal.age * \"x\" == 1", 16, "Long is wanted");
    BAD("-principal.name == 1", 1, "Long is wanted");
    BAD("principal.age == principal.name", 0, "these are Long and String");
    BAD("principal.roles == [1]", 0, "Set<String> and Set<Long>");
    BAD("principal.work == {floor: 1}", 0, "both sides");
    NEVER("principal == resource");
    NEVER("1 == 2");
    NEVER("1 == \"a\"");
    NEVER("action == Action::\"poll\"");
    GOOD("action == Action::\"read\" || action != Action::\"poll\"");
}

static void types_membership(void **unused)
{
    GOOD("principal in Group::\"g\" && resource in [Folder::\"a\", Folder::\"b\"]");
    GOOD("action in [Action::\"all\"] && action in Action::\"read\" || action in action");
    GOOD("principal in resource.readers && principal is User in Group::\"g\"");
    BAD("principal in \"g\"", 13, "an entity or a set of entities");
    BAD("principal.name in Group::\"g\"", 0, "an entity is wanted");
    BAD("principal in principal.roles", 13, "use contains");
    BAD("principal in [Group::\"a\", Folder::\"b\"]", 13, "all that is in a set");
    NEVER("principal in Folder::\"f\"");
    NEVER("action in Action::\"poll\"");
    NEVER("!(action in [Action::\"poll\", Action::\"all\"]) || false");
    NEVER("principal is Robot in Group::\"g\"");
    BAD("principal.name is User", 0, "an entity is wanted");
}

/* "Unsafe access to optional attributes" */
static void wants_guards_for_optional_attributes(void **unused)
{
    GOOD("principal has nick && principal.nick == \"a\"");
    GOOD("principal has \"nick\" && principal[\"nick\"] == \"a\"");
    GOOD("if principal has nick then principal.nick == \"a\" else false");
    GOOD("principal has boss.nick && principal.boss.nick like \"a*\" && principal.boss.age > 1");
    GOOD("principal has work.desk.no && principal.work.desk.no == 1");
    GOOD("(principal has nick || principal has nick && context.mfa) && principal.nick == \"a\"");
    GOOD("(if context.mfa then principal has nick else principal has nick) && "
         "principal.nick == \"\"");
    GOOD("(true && principal has nick) && principal.nick == \"\"");
    valid("permit(principal is User, action, resource) when { principal has nick } "
          "when { principal.nick == \"a\" };");
    BAD("principal.nick == \"a\"", 0, "optional: ask with `has nick &&`");
    BAD("principal.nick == \"a\" && principal has nick", 0, "optional");
    BAD("(principal has nick || context.mfa) && principal.nick == \"a\"", 39, "optional");
    BAD("!(principal has nick) && principal.nick == \"a\"", 25, "optional");
    BAD("principal has boss && principal.boss.boss == principal", 22, "optional");
    BAD("resource.owner has nick && principal.nick == \"a\"", 27, "optional");
    told("permit(principal is User, action, resource) unless { principal has nick } "
         "when { principal.nick == \"a\" };",
         1, 82, false, "optional");
    BAD("principal.nik == \"a\"", 0, "has no attribute 'nik', but 'nick'");
    BAD("context.mfaa", 0, "but 'mfa'");
    BAD("action.name == \"a\"", 0, "has no attribute 'name'");
    BAD("principal.name.first == \"a\"", 0, "an entity or a record");
    BAD("principal.roles has a", 0, "use contains");
    BAD("principal has name.first", 0, "'name' is String, which has no attributes");
    NEVER("principal has nickname");
    NEVER("principal has work.car.doors");
}

static void wants_guards_for_tags(void **unused)
{
    GOOD("principal.hasTag(\"a\") && principal.getTag(\"a\") > 1");
    GOOD("principal.hasTag(principal.name) && principal.getTag(principal.name) == 1");
    GOOD("principal has boss && principal.boss.hasTag(\"a\") && principal.boss.getTag(\"a\") == 1");
    BAD("principal.getTag(\"a\") == 1", 0, "a tag may be absent");
    BAD("principal.hasTag(\"a\") && principal.getTag(\"b\") == 1", 25, "a tag may be absent");
    BAD("resource.getTag(\"a\") == 1", 0, "Doc has no tags");
    BAD("principal.hasTag(1)", 17, "String is wanted");
    BAD("principal.name.hasTag(\"a\")", 0, "an entity is wanted");
    NEVER("resource.hasTag(\"a\") && resource.getTag(\"a\") == 1");
}

static void types_sets_records_and_calls(void **unused)
{
    GOOD("principal.roles.contains(\"a\") && [1, 2].containsAll([principal.age])");
    GOOD("resource.readers.containsAny([principal]) && !principal.roles.isEmpty()");
    GOOD("{a: principal.age, b: {c: \"d\"}}.b.c == principal.name");
    GOOD("principal.name like \"a*\"");
    GOOD("principal.ip.isInRange(ip(\"10.0.0.0/8\")) && principal.ip.isIpv4()");
    GOOD("principal.limit.lessThan(decimal(\"1.5\"))");
    GOOD("principal.since.offset(duration(\"1h\")).toDate().durationSince(principal.since)"
         ".toDays() == 3");
    GOOD("[ip(\"::1\")].contains(principal.ip)");
    BAD("principal.roles == []", 19, "an empty set has no type");
    BAD("[1, \"a\"].contains(1)", 0, "all that is in a set must have the same type");
    BAD("principal.roles.contains(1)", 0, "String and Long");
    BAD("principal.roles.containsAll([1])", 0, "both sets");
    BAD("principal.roles.containsAny(\"a\")", 28, "for one item use contains");
    BAD("principal.name.contains(\"a\")", 0, "a set is wanted");
    BAD("principal.name.isEmpty()", 0, "compare a string");
    BAD("principal.age like \"a*\"", 0, "String is wanted");
    BAD("ip(principal.name).isIpv4()", 0, "takes a literal string");
    BAD("ip(\"10.0.0.256\").isIpv4()", 0, "does not take this string");
    BAD("ip(1).isIpv4()", 3, "String is wanted");
    BAD("principal.ip.isInRange(\"10.0.0.0/8\")", 23, "ipaddr is wanted");
    BAD("principal.limit.lessThan(1)", 25, "decimal is wanted");
    BAD("principal.since.offset(1) == principal.since", 23, "duration is wanted");
    BAD("principal.ip.isIpv4(1)", 0, "takes 0 arguments, not 1");
    BAD("{a: 1}.b == 1", 0, "{a: Long} has no attribute 'b'");
}

static void checks_every_kind_of_request(void **unused)
{
    /* Robots have no name: only in the requests that they make is that wrong. */
    told("permit(principal, action, resource) when { principal.name == \"a\" };", 1, 44, false,
         "Robot does Action::\"poll\" to Doc");
    valid("permit(principal, action, resource) when { principal is User && principal.name == "
          "\"a\" };");
    valid("permit(principal, action == Action::\"read\", resource) when { principal.name == \"a\" "
          "};");
    valid("permit(principal, action, resource) when { principal has name && principal.name == "
          "\"a\" };");
}

static void checks_templates_and_links(void **unused)
{
    const char *text = "@id(\"t\") permit(principal in ?principal, action == Action::\"read\", "
                       "resource == ?resource) when { principal.age > 1 };";
    dv_cedar_link link = {DV_LIT("t"), DV_LIT("l"), DV_LIT("Group::\"g\""), DV_LIT("Doc::\"d\"")};
    outcome o = validated(WORLD, text, &link, 1);

    assert_int_equal(o.report.count, 0);
    outcome_end(&o);
    link.principal = DV_LIT("Grop::\"g\"");
    o = validated(WORLD, text, &link, 1);
    assert_true(dv_slice_eq_str(o.report.problems[0].policy, "l"));
    assert_true(dv_slice_find(o.report.problems[0].message, DV_LIT("did you mean Group?")) >= 0);
    outcome_end(&o);
    link.principal = DV_LIT("Folder::\"f\"");
    o = validated(WORLD, text, &link, 1);
    assert_int_equal(o.report.error_count, 1);
    assert_true(dv_slice_find(o.report.problems[0].message, DV_LIT("no action of this")) >= 0);
    outcome_end(&o);
    told("permit(principal == ?principal, action, resource) when { principal.nothing };", 1, 58,
         false, "no attribute");
}

static void tells_all_mistakes_and_each_once(void **unused)
{
    outcome o =
        validated(WORLD,
                  "@id(\"one\") permit(principal, action, resource) when { principal.x == 1 "
                  "&& principal.y == 2 };\n@id(\"two\") permit(principal is Usr, action, "
                  "resource);\npermit(principal, action, resource);",
                  NULL, 0);

    assert_int_equal(o.report.count, 4); /* x, y, Usr, and that nothing applies */
    assert_true(dv_slice_eq_str(o.report.problems[1].policy, "one"));
    assert_int_equal(o.report.problems[1].column, 75);
    assert_true(dv_slice_eq_str(o.report.problems[2].policy, "two"));
    assert_int_equal(o.report.problems[2].line, 2);
    assert_false(o.report.cut);
    outcome_end(&o);
}

static void knows_namespaces(void **unused)
{
    outcome o = validated("namespace N { entity U in G { a?: M::V }; entity G; action a in "
                          "[M::Action::\"b\"] appliesTo {principal: U, resource: G}; } "
                          "namespace M { entity V enum [\"x\"]; action b; }",
                          "permit(principal is N::U in N::G::\"g\", action in M::Action::\"b\", "
                          "resource == N::G::\"g\") when { principal has a && principal.a == "
                          "M::V::\"x\" && action in [M::Action::\"b\"] };",
                          NULL, 0);

    assert_int_equal(o.report.count, 0);
    outcome_end(&o);
}

static void bounds_what_is_told(void **unused)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);

    for (int i = 0; i <= DV_LIMIT_CEDAR_PROBLEMS; i++) {
        assert_int_equal(dv_buf_append_str(&text, "permit(principal is X, action, resource);\n"),
                         DV_OK);
    }
    outcome o = validated(WORLD, dv_buf_cstr(&text), NULL, 0);
    assert_int_equal(o.report.count, DV_LIMIT_CEDAR_PROBLEMS);
    assert_true(o.report.error_count > DV_LIMIT_CEDAR_PROBLEMS);
    assert_true(o.report.cut);
    outcome_end(&o);
}

/* Types that double with each name: comparing two of them would take 2^60 steps. */
static void bounds_steps(void **unused)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);

    for (int side = 0; side < 2; side++) {
        assert_int_equal(dv_buf_append_printf(&text, "type T%d_0 = Long;", side), DV_OK);
        for (int i = 1; i <= 60; i++) {
            assert_int_equal(dv_buf_append_printf(&text, "type T%d_%d = {a: T%d_%d, b: T%d_%d};",
                                                  side, i, side, i - 1, side, i - 1),
                             DV_OK);
        }
    }
    assert_int_equal(dv_buf_append_str(&text, "entity U {x: T0_60, y: T1_60}; action a appliesTo "
                                              "{principal: U, resource: U};"),
                     DV_OK);
    outcome o = validated(
        dv_buf_cstr(&text),
        "permit(principal, action, resource) when { principal.x == principal.y };", NULL, 0);
    assert_int_not_equal(o.result, DV_OK);
    outcome_end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_scopes),
        cmocka_unit_test(checks_names_everywhere),
        cmocka_unit_test(types_logical_operators),
        cmocka_unit_test(types_comparisons_and_arithmetic),
        cmocka_unit_test(types_membership),
        cmocka_unit_test(wants_guards_for_optional_attributes),
        cmocka_unit_test(wants_guards_for_tags),
        cmocka_unit_test(types_sets_records_and_calls),
        cmocka_unit_test(checks_every_kind_of_request),
        cmocka_unit_test(checks_templates_and_links),
        cmocka_unit_test(tells_all_mistakes_and_each_once),
        cmocka_unit_test(knows_namespaces),
        cmocka_unit_test(bounds_what_is_told),
        cmocka_unit_test(bounds_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
