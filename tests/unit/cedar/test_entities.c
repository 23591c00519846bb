/* SPDX-License-Identifier: Apache-2.0 */
/* Entities and contexts in JSON (specs: entities-syntax), and canonical uids. */
#include "engine/cedar/entities.h"

#include "base/buf.h"
#include "base/caps.h"

#include "tests/unit/cedar/world.h"

static dv_arena *arena;

static int setup(void **unused)
{
    arena = dv_arena_new((size_t)256 << 20);
    return arena == NULL;
}

static int teardown(void **unused)
{
    dv_arena_free(arena);
    return 0;
}

static const dv_cedar_entities *parse(const char *text)
{
    const dv_cedar_entities *entities = NULL;
    dv_error error = {0};

    if (dv_cedar_entities_parse(dv_slice_str(text), NULL, arena, &entities, &error) != DV_OK) {
        fail_msg("%d:%d: %s", error.line, error.column, error.message);
    }
    return entities;
}

static void reads_entities_with_everything(void **unused)
{
    const dv_cedar_entities *entities = parse(
        "[{\"uid\":{\"__entity\":{\"type\":\"N::User\",\"id\":\"a\\\"b\\n\"}},"
        "  "
        "\"parents\":[{\"type\":\"G\",\"id\":\"1\"},{\"__entity\":{\"type\":\"G\",\"id\":\"2\"}}],"
        "  "
        "\"attrs\":{\"b\":true,\"l\":-5,\"s\":\"x\",\"e\":{\"__entity\":{\"type\":\"U\",\"id\":"
        "\"u\"}},"
        "    "
        "\"d\":{\"__extn\":{\"fn\":\"decimal\",\"arg\":\"1.5\"}},\"set\":[2,1,2],\"r\":{\"k\":1}},"
        "  \"tags\":{\"t\":\"v\"}},"
        " {\"uid\":{\"type\":\"G\",\"id\":\"1\"},\"parents\":[{\"type\":\"G\",\"id\":\"3\"}]}]");
    dv_cedar_entity entity = {0};

    assert_int_equal(dv_cedar_entities_count(entities), 2);
    assert_true(
        dv_cedar_entities_lookup((void *)entities, DV_LIT("N::User::\"a\\\"b\\n\""), &entity));
    assert_int_equal(entity.ancestor_count, 3);
    assert_true(dv_slice_eq_str(entity.ancestors[2], "G::\"3\""));
    assert_int_equal(entity.attributes->count, 7);
    assert_true(dv_cedar_get(entity.attributes, DV_LIT("b"))->boolean);
    assert_int_equal(dv_cedar_get(entity.attributes, DV_LIT("l"))->number, -5);
    assert_int_equal(dv_cedar_get(entity.attributes, DV_LIT("d"))->number, 15000);
    assert_int_equal(dv_cedar_get(entity.attributes, DV_LIT("set"))->count, 2);
    assert_true(dv_slice_eq_str(dv_cedar_get(entity.attributes, DV_LIT("e"))->text, "U::\"u\""));
    assert_null(dv_cedar_get(entity.attributes, DV_LIT("x")));
    assert_true(dv_slice_eq_str(dv_cedar_get(entity.tags, DV_LIT("t"))->text, "v"));
    assert_false(dv_cedar_entities_lookup((void *)entities, DV_LIT("G::\"3\""), &entity));
}

static void expect_refused(const char *text, int line, int column, const char *message)
{
    const dv_cedar_entities *entities = NULL;
    dv_error error = {0};

    assert_int_equal(dv_cedar_entities_parse(dv_slice_str(text), NULL, arena, &entities, &error),
                     DV_ERR_INVALID);
    if (error.line != line || error.column != column || strstr(error.message, message) == NULL) {
        fail_msg("%s: refused at %d:%d with '%s'", text, error.line, error.column, error.message);
    }
}

#define UID "{\"uid\":{\"type\":\"U\",\"id\":\"u\"}"

static void refuses_bad_entities(void **unused)
{
    expect_refused("{}", 1, 1, "a list");
    expect_refused("[1]", 1, 2, "an object");
    expect_refused("[{}]", 1, 2, "no uid");
    expect_refused("[{\"uid\":\"U\"}]", 1, 10, "type and id");
    expect_refused("[{\"uid\":{\"type\":\"U\"}}]", 1, 9, "and nothing else");
    expect_refused("[{\"uid\":{\"type\":\"U\",\"id\":\"u\",\"x\":1}}]", 1, 9, "and nothing else");
    expect_refused("[{\"uid\":{\"type\":\"U \",\"id\":\"u\"}}]", 1, 18, "no entity type");
    expect_refused("[{\"uid\":{\"type\":\"__cedar::U\",\"id\":\"u\"}}]", 1, 18, "no entity type");
    expect_refused("[{\"uid\":{\"type\":\"U\",\"id\":1}}]", 1, 26, "a string");
    expect_refused("[" UID ",\"attr\":{}}]", 1, 32, "attrs, parents and tags");
    expect_refused("[" UID ",\"attrs\":[]}]", 1, 39, "an object");
    expect_refused("[" UID ",\"tags\":1}]", 1, 38, "an object");
    expect_refused("[" UID ",\"parents\":{}}]", 1, 41, "a list");
    expect_refused("[" UID ",\"parents\":[1]}]", 1, 42, "type and id");
    expect_refused("[" UID ",\"attrs\":{\"a\":null}}]", 1, 44, "no null");
    expect_refused("[" UID ",\"attrs\":{\"a\":1.5}}]", 1, 44, "whole");
    expect_refused("[" UID ",\"attrs\":{\"a\":9223372036854775808}}]", 1, 44, "64 bits");
    expect_refused("[" UID ",\"attrs\":{\"a\":{\"__expr\":\"1\"}}}]", 1, 44, "__expr");
    expect_refused("[" UID ",\"attrs\":{\"a\":{\"__entity\":{},\"b\":1}}}]", 1, 44, "alone");
    expect_refused("[" UID ",\"attrs\":{\"a\":{\"__extn\":{\"fn\":\"ip\"}}}}]", 1, 54,
                   "fn and arg");
    expect_refused("[" UID ",\"attrs\":{\"a\":{\"__extn\":{\"fn\":\"x\",\"arg\":\"1\"}}}}]", 1, 61,
                   "no such");
    expect_refused("[" UID ",\"attrs\":{\"a\":{\"__extn\":{\"fn\":\"contains\",\"arg\":\"1\"}}}}]",
                   1, 61, "no such");
    expect_refused("[" UID ",\"attrs\":{\"a\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"1\"}}}}]", 1, 54,
                   "does not take");
    expect_refused("[" UID ",\n\"attrs\":{\"a\":1,\"a\":2}}]", 2, 16, "");
    expect_refused("[" UID "},\n" UID "}]", 2, 1, "twice");
    expect_refused("[" UID ",\"parents\":[{\"type\":\"U\",\"id\":\"u\"}]}]", 0, 0,
                   "its own ancestor");
    expect_refused(
        "[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"parents\":[{\"type\":\"A\",\"id\":\"2\"}]},"
        "{\"uid\":{\"type\":\"A\",\"id\":\"2\"},\"parents\":[{\"type\":\"A\",\"id\":\"1\"}]}]",
        0, 0, "its own ancestor");
}

static void bounds_ancestors_depth_and_size(void **unused)
{
    dv_auto(buf) dv_buf text = dv_buf_init(100 << 20);
    const dv_cedar_entities *entities = NULL;
    dv_error error = {0};

    assert_int_equal(dv_buf_append_str(&text, "[" UID ",\"parents\":["), DV_OK);
    for (int i = 0; i <= DV_LIMIT_ANCESTORS; i++) {
        assert_int_equal(
            dv_buf_append_printf(&text, "%s{\"type\":\"G\",\"id\":\"%d\"}", i == 0 ? "" : ",", i),
            DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, "]}]"), DV_OK);
    assert_int_equal(dv_cedar_entities_parse(dv_buf_slice(&text), NULL, arena, &entities, &error),
                     DV_ERR_TOO_LARGE);
    assert_non_null(strstr(error.message, "256 ancestors"));

    dv_buf_clear(&text);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(dv_buf_append_byte(&text, '['), DV_OK);
    }
    assert_int_not_equal(
        dv_cedar_entities_parse(dv_buf_slice(&text), NULL, arena, &entities, &error), DV_OK);
    assert_int_equal(error.line, 1);
    assert_in_range(error.column, 2, 1000);
    assert_int_equal(dv_buf_reserve(&text, DV_LIMIT_CEDAR_ENTITIES), DV_OK);
    assert_int_equal(dv_cedar_entities_parse(dv_slice_of(text.ptr, DV_LIMIT_CEDAR_ENTITIES + 1),
                                             NULL, arena, &entities, &error),
                     DV_ERR_TOO_LARGE);
}

static void reads_contexts(void **unused)
{
    dv_cedar_value record;
    dv_error error = {0};

    assert_int_equal(dv_cedar_record_parse(DV_LIT("{\"b\":1,\"a\":{}}"), arena, &record, &error),
                     DV_OK);
    assert_int_equal(record.count, 2);
    assert_int_equal(dv_cedar_record_parse(DV_LIT("[]"), arena, &record, &error), DV_ERR_INVALID);
    assert_int_equal(dv_cedar_record_parse(DV_LIT("{"), arena, &record, &error), DV_ERR_INVALID);
}

static void offsets_reach_datetimes_no_text_can(void **unused)
{
    dv_cedar_value record;

    assert_int_equal(
        dv_cedar_record_parse(
            DV_LIT("{\"d\":{\"__extn\":{\"fn\":\"offset\",\"args\":["
                   "{\"__extn\":{\"fn\":\"datetime\",\"arg\":\"1970-01-01\"}},"
                   "{\"__extn\":{\"fn\":\"duration\",\"arg\":\"9223372036854775807ms\"}}]}}}"),
            arena, &record, NULL),
        DV_OK);
    assert_int_equal(dv_cedar_get(&record, DV_LIT("d"))->type, DV_CEDAR_DATETIME);
    assert_int_equal(dv_cedar_get(&record, DV_LIT("d"))->number, INT64_MAX);
}

static void uids_have_one_text(void **unused)
{
    dv_slice uid = {0};

    assert_int_equal(
        dv_cedar_uid(arena, DV_LIT("A::B"), DV_LIT("q\"b\\n\n\r\t\0\x01\x7f\xc3\xa9"), &uid),
        DV_OK);
    assert_true(dv_slice_eq_str(uid, "A::B::\"q\\\"b\\\\n\\n\\r\\t\\0\\u{1}\\u{7f}\xc3\xa9\""));
    assert_int_equal(dv_cedar_uid(arena, DV_LIT("A"), DV_LIT(""), &uid), DV_OK);
    assert_true(dv_slice_eq_str(uid, "A::\"\""));
    assert_int_equal(dv_cedar_uid(arena, DV_LIT("A"), DV_LIT("\xff"), &uid), DV_ERR_INVALID);
    static const char *const bad[] = {"",    "1A", "A::",        "::A", "A:B",
                                      "A B", "if", "A::__cedar", "A\""};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_cedar_uid(arena, dv_slice_str(bad[i]), DV_LIT("x"), &uid),
                         DV_ERR_INVALID);
    }
    dv_auto(buf) dv_buf id = dv_buf_init(1 << 20);
    assert_int_equal(dv_buf_reserve(&id, DV_LIMIT_CEDAR_UID), DV_OK);
    memset(id.ptr, 'x', DV_LIMIT_CEDAR_UID);
    assert_int_equal(
        dv_cedar_uid(arena, DV_LIT("A"), dv_slice_of(id.ptr, DV_LIMIT_CEDAR_UID - 5), &uid), DV_OK);
    assert_int_equal(
        dv_cedar_uid(arena, DV_LIT("A"), dv_slice_of(id.ptr, DV_LIMIT_CEDAR_UID - 4), &uid),
        DV_ERR_TOO_LARGE);
}

static void records_refuse_a_name_twice(void **unused)
{
    dv_cedar_attr attrs[2] = {{DV_LIT("a"), dv_cedar_long(1)}, {DV_LIT("a"), dv_cedar_long(2)}};
    dv_cedar_value record;

    assert_int_equal(dv_cedar_record(attrs, 2, &record), DV_ERR_INVALID);
    attrs[1].name = DV_LIT("A");
    assert_int_equal(dv_cedar_record(attrs, 2, &record), DV_OK);
    assert_int_equal(dv_cedar_get(&record, DV_LIT("A"))->number, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_entities_with_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_entities, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_ancestors_depth_and_size, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_contexts, setup, teardown),
        cmocka_unit_test_setup_teardown(offsets_reach_datetimes_no_text_can, setup, teardown),
        cmocka_unit_test_setup_teardown(uids_have_one_text, setup, teardown),
        cmocka_unit_test_setup_teardown(records_refuse_a_name_twice, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
