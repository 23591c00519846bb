/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas in both syntaxes (specs: human-readable-schema, json-schema), requests and entities
 * against them. */
#include "engine/cedar/entities.h"
#include "engine/cedar/schema.h"

#include "base/buf.h"
#include "base/caps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_cedar_schema *schema_new(const char *text)
{
    dv_cedar_schema *schema = NULL;
    dv_error error = {0};

    if (dv_cedar_schema_parse(dv_slice_str(text), &schema, &error) != DV_OK) {
        fail_msg("%d:%d: %s in %s", error.line, error.column, error.message, text);
    }
    return schema;
}

/* Refused at that place, for a reason with these words in it. */
static void refused(const char *text, int line, int column, const char *words)
{
    dv_cedar_schema *schema = NULL;
    dv_error error = {0};

    assert_int_equal(dv_cedar_schema_parse(dv_slice_str(text), &schema, &error), DV_ERR_INVALID);
    assert_null(schema);
    if (strstr(error.message, words) == NULL || error.line != line || error.column != column) {
        fail_msg("%d:%d: %s, not %d:%d: %s in %s", error.line, error.column, error.message, line,
                 column, words, text);
    }
}

static void accepted(const char *text)
{
    dv_cedar_schema_free(schema_new(text));
}

static void reads_each_rule_of_the_grammar(void **unused)
{
    accepted("");
    accepted("// nothing but a comment\n");
    accepted("entity A; entity B in A; entity C in [A, B] = {}; entity D in [] {a: Long,} "
             "tags Set<String>;");
    accepted("entity E, F enum [\"one\", \"two\\n\"];");
    accepted("@doc(\"what\") @empty entity A { @doc(\"x\") \"a b\"?: Bool, c: {d?: Set<{}>} };");
    accepted("type T = {a: U}; type U = Set<Long>; entity A = {t: T, u: U};");
    accepted("entity U; action a; action \"b c\", d in [a] appliesTo {principal: U, "
             "resource: [U], context: {x: Long}} attributes {};");
    accepted("type C = {}; entity U; action a appliesTo {context: C, resource: U, principal: U,};");
    accepted("namespace N::M { entity A in B; entity B; action x in [y, Action::\"y\", "
             "N::M::Action::\"y\"]; action y; }");
    accepted("entity entity, action, type, namespace, in_, Set, tags, appliesTo { type: Set };");
    accepted("action \"x\" in []; entity A { a: Action, b: Set<Action> };");
}

static void reads_the_same_in_json(void **unused)
{
    accepted("{}");
    accepted("{\"\": {\"entityTypes\": {}, \"actions\": {}}}");
    accepted(
        "{\"N\": {\"annotations\": {\"doc\": \"n\"}, \"commonTypes\": {\"T\": {\"type\": \"Set\", "
        "\"element\": {\"type\": \"Long\"}, \"annotations\": {\"a\": \"\"}}}, \"entityTypes\": "
        "{\"A\": {\"memberOfTypes\": [\"B\", \"N::B\"], \"shape\": {\"type\": \"Record\", "
        "\"attributes\": {\"a\": {\"type\": \"T\", \"required\": false}, \"b\": {\"type\": "
        "\"Entity\", \"name\": \"A\"}, \"c\": {\"type\": \"EntityOrCommon\", \"name\": "
        "\"String\"}, "
        "\"d\": {\"type\": \"Extension\", \"name\": \"ipaddr\"}, \"e\": {\"type\": \"Boolean\"}}, "
        "\"additionalAttributes\": false}, \"tags\": {\"type\": \"String\"}}, \"B\": {\"enum\": "
        "[\"x\"]}}, \"actions\": {\"read\": {\"appliesTo\": null, \"memberOf\": null}, \"view\": "
        "{\"memberOf\": [{\"id\": \"read\"}, {\"type\": \"N::Action\", \"id\": \"read\"}], "
        "\"attributes\": {}, \"appliesTo\": {\"principalTypes\": [\"A\"], \"resourceTypes\": [], "
        "\"context\": {\"type\": \"Record\", \"attributes\": {}}}}}}}");
}

static void tells_where_text_is_wrong(void **unused)
{
    refused("entity A", 1, 9, "the text ends here");
    refused("entity A;\nentity B in;", 2, 12, "name");
    refused("entity if;", 1, 8, "not reserved");
    refused("entity A enum [];", 1, 16, "a string");
    refused("entity A { a: Set<Long };", 1, 24, "'>'");
    refused("entity A { a: Long, a: Bool };", 1, 10, "'a' twice");
    refused("entity A = Long;", 1, 12, "'{'");
    refused("entity A tags;", 1, 14, "name");
    refused("@a @a entity A;", 1, 5, "once");
    refused("action a appliesTo {principal: []};", 1, 21, "at least one");
    refused("entity A; action a appliesTo {principal: A};", 1, 43, "resource");
    refused("entity A; action a appliesTo {principal: A, principal: A};", 1, 45, "once");
    refused("entity A; action a appliesTo {who: A};", 1, 31, "'principal'");
    refused("namespace N { entity A; ", 1, 25, "'}'");
    refused("thing A;", 1, 1, "'namespace'");
    refused("type T = ;", 1, 10, "name");
    refused("action a in N::Action\"b\";", 1, 22, "'::' and the action's id");
}

static void tells_where_json_is_wrong(void **unused)
{
    refused("{\"\": {\"actions\": {}}}", 1, 3, "entityTypes and actions");
    refused("{\"\": {\"entityTypes\": {}, \"actions\": {}, \"more\": 1}}", 1, 42,
            "no member 'more'");
#define TYPES(types) "{\"\": {\"actions\": {}, \"entityTypes\": {" types "}}}"
    refused(TYPES("\"A\": {\"enum\": []}"), 1, 52, "at least one");
    refused(TYPES("\"A\": {\"enum\": [\"x\"], \"tags\": {\"type\": \"Long\"}}"), 1, 39,
            "nothing but");
    refused(TYPES("\"A\": {\"shape\": {\"type\": \"Long\"}}"), 1, 63, "record");
    refused(TYPES("\"A\": {\"shape\": {\"type\": \"Record\"}}"), 1, 53, "attributes");
    refused(TYPES("\"A\": {\"tags\": {\"type\": \"Set\"}}"), 1, 52, "element");
    refused(TYPES("\"A\": {\"tags\": {\"type\": \"Entity\"}}"), 1, 52, "name");
    refused(TYPES("\"A\": {\"tags\": {\"type\": \"Extension\", \"name\": \"Long\"}}"), 1, 83,
            "no such extension");
    refused(TYPES("\"A\": {\"tags\": {\"type\": \"Long\", \"element\": 1}}"), 1, 80,
            "no such member");
    refused(TYPES("\"A\": {\"tags\": {\"element\": 1}}"), 1, 52, "\"type\"");
    refused(TYPES("\"A\": {\"tags\": {\"type\": \"A\"}}"), 1, 62, "not declared as a type");
    refused(TYPES("\"A\": {}, \"A\": {}"), 1, 47, "already used");
}

/* human-readable-schema, "Type name disambiguation" */
static void resolves_names_in_their_order(void **unused)
{
    accepted("namespace Demo { entity Host { ip: ipaddr, bandwidth: decimal }; "
             "entity String { groups: Set<__cedar::String> }; "
             "type ipaddr = { repr: String, isV4: Bool }; }");
    refused("type id = Long; namespace Demo { type id = String; }", 1, 39, "hide");
    refused("entity id; namespace Demo { type id = String; }", 1, 34, "hide");
    refused("type id = Long; namespace Demo { entity id; }", 1, 41, "hide");
    refused("action a; namespace Demo { action a; }", 1, 35, "hide");
    refused("entity A { b: B };", 1, 15, "not declared as a type");
    refused("entity A in B;", 1, 13, "not declared as an entity type");
    refused("type B = {}; entity A in B;", 1, 26, "not declared as an entity type");
    refused("namespace N { entity A in M::A; }", 1, 27, "not declared");
    refused("type A = Set<B>; type B = {a: A};", 1, 31, "made of itself");
    refused("entity A { a: __cedar::Thing };", 1, 15, "not declared");
    refused("entity A { a: Boolean };", 1, 15, "not declared");
    refused("namespace N { entity Long; } entity A { a: N::Lon };", 1, 44, "not declared");
    refused("namespace __cedar { entity A; }", 1, 11, "reserved");
    refused("entity __cedar;", 1, 8, "reserved");
    refused("entity A::B;", 1, 8, "no name");
    refused("type Set = Long;", 1, 6, "word of schemas");
    refused("entity Action;", 1, 8, "type of actions");
    refused("entity A in Action; action a;", 1, 13, "type of actions");
    refused("entity A; action a appliesTo {principal: Action, resource: A};", 1, 42,
            "type of actions");
    refused("entity A; entity A;", 1, 18, "twice");
    refused("type A = Long; type A = Long;", 1, 21, "twice");
    refused("action a; action a;", 1, 18, "twice");
    refused("namespace N {} namespace N {}", 1, 26, "twice");
    refused("action a in b;", 1, 13, "not declared as an action");
    refused("action a in b; action b in a;", 1, 8, "member of itself");
    refused("entity A; action a appliesTo {principal: A, resource: A, context: Long};", 1, 67,
            "record");
}

static dv_cedar_schema *nested(const char *before, size_t levels, const char *after,
                               dv_result *ret_result, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_cedar_schema *schema = NULL;

    assert_int_equal(dv_buf_append_str(&text, before), DV_OK);
    for (size_t i = 0; i < levels; i++) {
        assert_int_equal(dv_buf_append_str(&text, "Set<"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "Long"), DV_OK);
    for (size_t i = 0; i < levels; i++) {
        assert_int_equal(dv_buf_append_str(&text, ">"), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, after), DV_OK);
    *ret_result = dv_cedar_schema_parse(dv_buf_slice(&text), &schema, error);
    return schema;
}

static void bounds_the_depth_of_types(void **unused)
{
    dv_result result = DV_ERR_INTERNAL;
    dv_error error = {0};

    dv_cedar_schema_free(nested("type T = ", DV_LIMIT_CEDAR_DEPTH - 1, ";", &result, &error));
    assert_int_equal(result, DV_OK);
    assert_null(nested("type T = ", DV_LIMIT_CEDAR_DEPTH, ";", &result, &error));
    assert_int_equal(result, DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "levels deep"));
    assert_int_equal(error.line, 1);
    assert_in_range(error.column, 4 * (DV_LIMIT_CEDAR_DEPTH - 4), 4 * (DV_LIMIT_CEDAR_DEPTH + 8));
    /* What common types are made of counts. */
    assert_null(
        nested("type A = Set<Set<T>>; type T = ", DV_LIMIT_CEDAR_DEPTH - 2, ";", &result, &error));
    assert_int_equal(result, DV_ERR_INVALID);
    assert_null(
        nested("type T = Set<Set<A>>; type A = ", DV_LIMIT_CEDAR_DEPTH - 2, ";", &result, &error));
    assert_non_null(strstr(error.message, "common types counted"));
}

static dv_result parse_many(const char *format, size_t count)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    dv_auto(cedar_schema) dv_cedar_schema *schema = NULL;
    char one[64];

    for (size_t i = 0; i < count; i++) {
        const char *at = strchr(format, '#');
        snprintf(one, sizeof(one), "%.*s%zu%s", (int)(at - format), format, i, at + 1);
        assert_int_equal(dv_buf_append_str(&text, one), DV_OK);
    }
    return dv_cedar_schema_parse(dv_buf_slice(&text), &schema, NULL);
}

static void bounds_text_and_declarations(void **unused)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LIMIT_CEDAR_SCHEMA + 16);
    dv_cedar_schema *schema = NULL;
    dv_error error = {0};

    assert_int_equal(dv_buf_reserve(&text, DV_LIMIT_CEDAR_SCHEMA + 1), DV_OK);
    memset(text.ptr, ' ', DV_LIMIT_CEDAR_SCHEMA + 1);
    assert_int_equal(
        dv_cedar_schema_parse(dv_slice_of(text.ptr, DV_LIMIT_CEDAR_SCHEMA), &schema, &error),
        DV_OK);
    dv_cedar_schema_free(schema);
    assert_int_equal(
        dv_cedar_schema_parse(dv_slice_of(text.ptr, DV_LIMIT_CEDAR_SCHEMA + 1), &schema, &error),
        DV_ERR_TOO_LARGE);
    assert_int_equal(parse_many("entity E#;", DV_LIMIT_CEDAR_DECLARED - 1), DV_OK);
    assert_int_equal(parse_many("entity E#;", DV_LIMIT_CEDAR_DECLARED), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_many("action a#;", DV_LIMIT_CEDAR_DECLARED + 1), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_many("type T# = Long;", DV_LIMIT_CEDAR_DECLARED + 1), DV_ERR_TOO_LARGE);
    assert_int_equal(parse_many("@a# ", DV_LIMIT_CEDAR_ANNOTATIONS + 1), DV_ERR_INVALID);
    assert_int_equal(dv_cedar_schema_parse(DV_LIT("entity\n \xff;"), &schema, &error),
                     DV_ERR_INVALID);
    assert_int_equal(error.line, 2);
    assert_int_equal(error.column, 2);
}

/* Records of records that a few bytes of text make huge: refused, not swallowed. */
static void bounds_memory(void **unused)
{
    dv_auto(buf) dv_buf text = dv_buf_init(2 << 20);
    dv_cedar_schema *schema = NULL;
    dv_error error = {0};

    for (int i = 0; i < 4000; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "%s e%d", i == 0 ? "entity" : ",", i), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, " {"), DV_OK);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "a%d: Long, ", i), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "};"), DV_OK);
    assert_int_equal(dv_cedar_schema_parse(dv_buf_slice(&text), &schema, &error), DV_ERR_NO_MEMORY);
    assert_non_null(strstr(error.message, "more memory"));
}

/* Written in one syntax, read, written in the other, read, and so on: the text stays the same. */
static void write_both_ways(const char *written)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 16), json = dv_buf_init(1 << 16);
    dv_auto(buf) dv_buf again = dv_buf_init(1 << 16);
    dv_auto(cedar_schema) dv_cedar_schema *schema = schema_new(written);

    assert_int_equal(dv_cedar_schema_write_json(schema, &json), DV_OK);
    dv_auto(cedar_schema) dv_cedar_schema *from_json = schema_new(dv_buf_cstr(&json));
    assert_int_equal(dv_cedar_schema_write_text(from_json, &text), DV_OK);
    dv_auto(cedar_schema) dv_cedar_schema *from_text = schema_new(dv_buf_cstr(&text));
    assert_int_equal(dv_cedar_schema_write_text(from_text, &again), DV_OK);
    assert_string_equal(dv_buf_cstr(&again), dv_buf_cstr(&text));
    dv_buf_clear(&again);
    assert_int_equal(dv_cedar_schema_write_json(from_text, &again), DV_OK);
    assert_string_equal(dv_buf_cstr(&again), dv_buf_cstr(&json));
}

static void writes_both_syntaxes(void **unused)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 16), small = dv_buf_init(8);
    dv_auto(cedar_schema) dv_cedar_schema *schema = schema_new(
        "@d(\"x\") namespace N { type T = {a?: Set<Long>}; entity A in [B] = {\"a b\": T}"
        " tags String; entity B enum [\"\\\"q\"]; action r; action \"r w\" in r appliesTo "
        "{principal: A, resource: B, context: T}; }");

    assert_int_equal(dv_cedar_schema_write_text(schema, &out), DV_OK);
    assert_string_equal(dv_buf_cstr(&out),
                        "@d(\"x\")\nnamespace N {\n  type T = {\n    a?: Set<Long>,\n  };\n"
                        "  entity A in [B] = {\n    \"a b\": T,\n  } tags String;\n"
                        "  entity B enum [\"\\\"q\"];\n  action r;\n"
                        "  action \"r w\" in [r] appliesTo {\n    principal: [A],\n"
                        "    resource: [B],\n    context: T\n  };\n}\n");
    assert_int_equal(dv_cedar_schema_write_text(schema, &small), DV_ERR_TOO_LARGE);
    write_both_ways("");
    write_both_ways("@a @b(\"\") entity A { @c(\"\\n\") x: {y?: {}} }; action a appliesTo "
                    "{principal: A, resource: A};");
    write_both_ways("namespace N { type T = __cedar::ipaddr; entity A { t: T, d: decimal, "
                    "l: __cedar::Long, b: __cedar::Bool, s: __cedar::String }; action a in "
                    "[M::Action::\"x\"]; } namespace M { action x; }");
}

static void says_what_text_cannot(void **unused)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 16);
    dv_auto(cedar_schema) dv_cedar_schema *both = schema_new(
        "{\"\": {\"actions\": {}, \"commonTypes\": {\"A\": {\"type\": \"Long\"}}, \"entityTypes\": "
        "{\"A\": {\"tags\": {\"type\": \"Entity\", \"name\": \"A\"}}}}}");
    dv_auto(cedar_schema) dv_cedar_schema *shape = schema_new(
        "{\"\": {\"actions\": {}, \"commonTypes\": {\"T\": {\"type\": \"Record\", "
        "\"attributes\": {}}}, \"entityTypes\": {\"A\": {\"shape\": {\"type\": \"T\"}}}}}");

    assert_int_equal(dv_cedar_schema_write_text(both, &out), DV_ERR_UNSUPPORTED);
    assert_int_equal(dv_cedar_schema_write_text(shape, &out), DV_ERR_UNSUPPORTED);
}

#define WORLD                                                                                      \
    "entity User in [Group] { name: String, age?: Long, boss?: User, ip: ipaddr } tags Long;"      \
    "entity Group in [Group]; entity Level enum [\"low\", \"high\"];"                              \
    "entity Doc { level: Level, seen: Set<datetime> };"                                            \
    "action all; action read, write in [all] appliesTo {principal: User, resource: Doc, "          \
    "context: {mfa: Bool, from?: ipaddr}}; action none;"

static dv_result read_entities(const char *text, const char *uid, dv_cedar_entity *ret_entity,
                               dv_error *error)
{
    static dv_arena *arena; /* what the entity points to lives until the next call */
    dv_auto(cedar_schema) dv_cedar_schema *schema = schema_new(WORLD);
    const dv_cedar_entities *entities = NULL;

    dv_arena_free(arena);
    arena = text == NULL ? NULL : dv_arena_new(1 << 20);
    if (text == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_entities_parse(dv_slice_str(text), schema, arena, &entities, error));
    assert_true(
        dv_cedar_entities_lookup((void *)entities, dv_slice_str(uid), ret_entity)); /* in arena */
    return DV_OK;
}

static void reads_entities_without_escapes(void **unused)
{
    dv_cedar_entity entity = {0};
    dv_error error = {0};
    const char *text =
        "[{\"uid\": {\"type\": \"User\", \"id\": \"a\"}, \"parents\": [{\"type\": \"Group\", "
        "\"id\": "
        "\"g\"}], \"attrs\": {\"name\": \"A\", \"boss\": {\"type\": \"User\", \"id\": \"b\"}, "
        "\"ip\": "
        "\"10.0.0.1\"}, \"tags\": {\"x\": 1}}, {\"uid\": {\"__entity\": {\"type\": \"Group\", "
        "\"id\": "
        "\"g\"}}, \"attrs\": {}, \"parents\": [{\"type\": \"Group\", \"id\": \"top\"}]}, {\"uid\": "
        "{\"type\": \"Doc\", \"id\": \"d\"}, \"attrs\": {\"level\": {\"__entity\": {\"type\": "
        "\"Level\", \"id\": \"low\"}}, \"seen\": [\"2024-01-01\", {\"fn\": \"datetime\", \"arg\": "
        "\"2024-01-02\"}, {\"__extn\": {\"fn\": \"datetime\", \"arg\": \"2024-01-03\"}}]}}]";

    assert_int_equal(read_entities(text, "User::\"a\"", &entity, &error), DV_OK);
    assert_int_equal(entity.ancestor_count, 2);
    assert_int_equal(dv_cedar_get(entity.attributes, DV_LIT("ip"))->type, DV_CEDAR_IPADDR);
    assert_int_equal(dv_cedar_get(entity.attributes, DV_LIT("boss"))->type, DV_CEDAR_ENTITY);
    assert_int_equal(dv_cedar_get(entity.tags, DV_LIT("x"))->number, 1);
    assert_int_equal(read_entities(text, "Doc::\"d\"", &entity, &error), DV_OK);
    assert_int_equal(dv_cedar_get(entity.attributes, DV_LIT("seen"))->count, 3);
    /* The schema's actions are there, with their groups. */
    assert_int_equal(read_entities("[]", "Action::\"read\"", &entity, &error), DV_OK);
    assert_int_equal(entity.ancestor_count, 1);
    assert_int_equal(read_entities(NULL, NULL, NULL, NULL), DV_OK);
}

static void refuses_entities_that_the_schema_has_otherwise(void **unused)
{
#define ENTITY(type, id, rest) "[{\"uid\": {\"type\": \"" type "\", \"id\": \"" id "\"}, " rest "}]"
#define USER(attrs) ENTITY("User", "a", "\"attrs\": {" attrs "}, \"parents\": []")
#define GOOD "\"name\": \"A\", \"ip\": \"::1\""
    static const struct {
        const char *text;
        const char *words;
    } cases[] = {
        {ENTITY("Other", "a", "\"attrs\": {}"), "not declared"},
        {ENTITY("Level", "middle", "\"attrs\": {}"), "none of the ids"},
        {ENTITY("Group", "a", "\"attrs\": {\"x\": 1}"), "no attribute that the schema has"},
        {ENTITY("Group", "a", "\"tags\": {\"x\": 1}"), "has no tags"},
        {USER("\"name\": \"A\""), "'ip' is missing"},
        {ENTITY("User", "a", "\"parents\": []"), "missing"},
        {USER("\"name\": 1, \"ip\": \"::1\""), "String is wanted here, this is Long"},
        {USER("\"name\": \"A\", \"ip\": \"nowhere\""), "this is no ipaddr"},
        {USER(GOOD ", \"age\": \"old\""), "Long is wanted"},
        {USER(GOOD ", \"age\": null"), "no null"},
        {USER(GOOD ", \"boss\": {\"type\": \"Group\", \"id\": \"g\"}"), "another type"},
        {USER(GOOD ", \"boss\": \"b\""), "type and id"},
        {ENTITY("User", "a", "\"attrs\": {" GOOD "}, \"tags\": {\"x\": \"y\"}"), "Long is wanted"},
        {ENTITY("User", "a",
                "\"attrs\": {" GOOD "}, \"parents\": [{\"type\": \"Doc\", \"id\": "
                "\"d\"}]"),
         "cannot be a parent"},
        {ENTITY("Doc", "d",
                "\"attrs\": {\"seen\": [], \"level\": {\"type\": \"Level\", \"id\": \"mid\"}}"),
         "none of the ids"},
        {ENTITY("Doc", "d",
                "\"attrs\": {\"seen\": [1], \"level\": {\"type\": \"Level\", \"id\": \"low\"}}"),
         "string"},
        {ENTITY("Action", "other", "\"attrs\": {}"), "not declared"},
        {ENTITY("Action", "read", "\"attrs\": {\"x\": 1}"), "no attribute"},
        {ENTITY("Action", "read", "\"attrs\": {}, \"parents\": []"), "other parents"},
    };

    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_cedar_entity entity = {0};
        dv_error error = {0};
        assert_int_equal(read_entities(cases[i].text, "", &entity, &error), DV_ERR_INVALID);
        if (strstr(error.message, cases[i].words) == NULL || error.line != 1) {
            fail_msg("%s: %s", cases[i].text, error.message);
        }
    }
    assert_int_equal(read_entities(NULL, NULL, NULL, NULL), DV_OK);
}

static dv_result ask(const char *principal, const char *action, const char *resource,
                     const char *context, dv_error *error)
{
    dv_auto(cedar_schema) dv_cedar_schema *schema = schema_new(WORLD);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_cedar_request request = {dv_slice_str(principal), dv_slice_str(action),
                                dv_slice_str(resource), NULL};
    dv_cedar_value value;

    if (context != NULL) {
        DV_TRY(dv_cedar_context_parse(dv_slice_str(context), schema, request.action, arena, &value,
                                      error));
        request.context = &value;
    }
    return dv_cedar_schema_check_request(schema, &request, error);
}

/* validation, "Request validation expectations" */
static void checks_requests(void **unused)
{
    static const struct {
        const char *principal, *action, *resource, *context, *words;
    } cases[] = {
        {"User::\"a\"", "Action::\"fly\"", "Doc::\"d\"", NULL, "not declared"},
        {"Usr::\"a\"", "Action::\"read\"", "Doc::\"d\"", "{\"mfa\": true}", "not declared"},
        {"Group::\"a\"", "Action::\"read\"", "Doc::\"d\"", "{\"mfa\": true}", "does not apply"},
        {"User::\"a\"", "Action::\"read\"", "User::\"d\"", "{\"mfa\": true}", "does not apply"},
        {"Level::\"no\"", "Action::\"read\"", "Doc::\"d\"", "{\"mfa\": true}", "lists its ids"},
        {"User::\"a\"", "Action::\"none\"", "Doc::\"d\"", "{}", "does not apply"},
        {"User::\"a\"", "Action::\"read\"", "Doc::\"d\"", NULL, "lacks the attribute 'mfa'"},
        {"User::\"a\"", "Action::\"read\"", "Doc::\"d\"", "{}", "'mfa' is missing"},
        {"User::\"a\"", "Action::\"read\"", "Doc::\"d\"", "{\"mfa\": true, \"x\": 1}", "'x' is no"},
    };
    dv_error error = {0};

    assert_int_equal(ask("User::\"a\"", "Action::\"read\"", "Doc::\"d\"",
                         "{\"mfa\": true, \"from\": \"10.0.0.0/8\"}", &error),
                     DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        assert_int_equal(
            ask(cases[i].principal, cases[i].action, cases[i].resource, cases[i].context, &error),
            DV_ERR_INVALID);
        if (strstr(error.message, cases[i].words) == NULL) {
            fail_msg("%zu: %s", i, error.message);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_each_rule_of_the_grammar),
        cmocka_unit_test(reads_the_same_in_json),
        cmocka_unit_test(tells_where_text_is_wrong),
        cmocka_unit_test(tells_where_json_is_wrong),
        cmocka_unit_test(resolves_names_in_their_order),
        cmocka_unit_test(bounds_the_depth_of_types),
        cmocka_unit_test(bounds_text_and_declarations),
        cmocka_unit_test(bounds_memory),
        cmocka_unit_test(writes_both_syntaxes),
        cmocka_unit_test(says_what_text_cannot),
        cmocka_unit_test(reads_entities_without_escapes),
        cmocka_unit_test(refuses_entities_that_the_schema_has_otherwise),
        cmocka_unit_test(checks_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
