/* SPDX-License-Identifier: Apache-2.0 */
/* Targets, operations, parameters and bodies against the fixture's API: what is found, and that
 * every refusal names its field. */
#include "base/caps.h"
#include "daemon/dvarad_router.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct fixture {
    dv_arena *arena;
    dv_error error;
    char field[DV_FIELD_MAX];
    json_t *value;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    f->arena = dv_arena_new(16 << 20);
    *state = f;
    return f->arena == NULL;
}

static int teardown(void **state)
{
    fixture *f = *state;
    json_decref(f->value);
    dv_arena_free(f->arena);
    free(f);
    return 0;
}

static dv_result parse(fixture *f, const char *target, dv_route_path *path)
{
    return dv_route_parse(dv_slice_str(target), f->arena, path, &f->error);
}

static const dv_operation *find(fixture *f, const char *method, const char *target)
{
    dv_route_path path;
    assert_int_equal(parse(f, target, &path), DV_OK);
    return dv_route_find(dv_slice_str(method), &path);
}

/* Reads the parameters of a GET of that target. */
static dv_result params(fixture *f, const char *target)
{
    dv_route_path path;
    assert_int_equal(parse(f, target, &path), DV_OK);
    const dv_operation *operation = dv_route_find(DV_LIT("GET"), &path);
    assert_non_null(operation);
    json_decref(f->value);
    f->value = NULL;
    f->error.message[0] = '\0';
    return dv_route_params(operation, &path, f->arena, &f->value, f->field, &f->error);
}

static dv_result body(fixture *f, const char *text)
{
    json_decref(f->value);
    f->value = NULL;
    f->error.message[0] = '\0';
    return dv_route_body(find(f, "POST", "/v1/pets"), dv_slice_str(text), f->arena, &f->value,
                         f->field, &f->error);
}

static void assert_refused(fixture *f, dv_result result, const char *field, const char *words)
{
    assert_int_equal(result, DV_ERR_INVALID);
    assert_string_equal(f->field, field);
    if (strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->error.message, words);
    }
}

static void finds_operations(void **state)
{
    fixture *f = *state;
    assert_string_equal(find(f, "GET", "/v1/pets")->id, "pet_list");
    assert_string_equal(find(f, "POST", "/v1/pets")->id, "pet_create");
    assert_string_equal(find(f, "GET", "/v1/pets/Tom?x=1")->id, "pet_get");
    assert_string_equal(find(f, "DELETE", "/v1/pets/Tom")->id, "pet_delete");
    assert_null(find(f, "PUT", "/v1/pets/Tom"));
    assert_null(find(f, "get", "/v1/pets"));
    assert_null(find(f, "GET", "/v1/pets/Tom/toys"));
    assert_null(find(f, "GET", "/v1"));
    assert_null(find(f, "GET", "/v1/petsx"));
}

static void literal_segments_win(void **state)
{
    fixture *f = *state;
    assert_string_equal(find(f, "GET", "/v1/pets/oldest")->id, "pet_oldest");
    assert_string_equal(find(f, "DELETE", "/v1/pets/oldest")->id, "pet_delete");
}

static void tells_the_methods_of_a_path(void **state)
{
    fixture *f = *state;
    dv_route_path path;
    assert_int_equal(parse(f, "/v1/pets/Tom", &path), DV_OK);
    assert_string_equal(dv_route_allowed(&path, f->arena), "GET, DELETE");
    assert_int_equal(parse(f, "/v1/none", &path), DV_OK);
    assert_null(dv_route_allowed(&path, f->arena));
}

static void an_escaped_slash_stays_in_its_segment(void **state)
{
    fixture *f = *state;
    dv_route_path path;
    assert_int_equal(parse(f, "/v1/pets/a%2Fb", &path), DV_OK);
    assert_int_equal(path.count, 3);
    assert_true(dv_slice_eq_str(path.segments[2], "a/b"));
    assert_null(find(f, "GET", "/v1%2Fpets"));
}

static void refuses_bad_targets(void **state)
{
    static const char *const bad[] = {
        "",
        "/",
        "v1/pets",
        "http://x/v1/pets",
        "*",
        "/v1//pets",
        "/v1/pets/",
        "/v1/./pets",
        "/v1/../pets",
        "/v1/%2e%2e/pets",
        "/v1/%2E/x",
        "/v1/pets/%",
        "/v1/pets/%4",
        "/v1/pets/%zz",
        "/v1/pets/%00",
        "/v1/pets/%0a",
        "/v1/pets/%ff",
        "/v1/pets/%c0%af",
        "/v1/pets/a\nb",
    };
    fixture *f = *state;
    dv_route_path path;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        f->error.message[0] = '\0';
        if (parse(f, bad[i], &path) != DV_ERR_INVALID || f->error.message[0] == '\0') {
            fail_msg("\"%s\" is not refused", bad[i]);
        }
    }
}

static void refuses_long_targets(void **state)
{
    fixture *f = *state;
    dv_route_path path;
    char target[DV_ROUTE_TARGET_MAX + 2];
    memset(target, 'a', sizeof(target));
    target[0] = '/';
    target[sizeof(target) - 1] = '\0';
    assert_int_equal(parse(f, target, &path), DV_ERR_TOO_LARGE);
    target[sizeof(target) - 2] = '\0';
    assert_int_equal(parse(f, target, &path), DV_OK);
    char deep[2 * (DV_ROUTE_SEGMENTS_MAX + 1) + 1] = "";
    for (size_t i = 0; i <= DV_ROUTE_SEGMENTS_MAX; i++) {
        memcpy(deep + 2 * i, "/a", 3);
    }
    assert_int_equal(parse(f, deep, &path), DV_ERR_TOO_LARGE);
    assert_int_equal(parse(f, deep + 2, &path), DV_OK);
}

static void reads_parameters(void **state)
{
    fixture *f = *state;
    assert_int_equal(params(f, "/v1/pets?kind=cat,dog&tame=false&older=7&kind=cat"), DV_OK);
    assert_int_equal(json_array_size(json_object_get(f->value, "kind")), 3);
    assert_true(json_is_false(json_object_get(f->value, "tame")));
    assert_int_equal(json_integer_value(json_object_get(f->value, "older")), 7);
    assert_int_equal(json_integer_value(json_object_get(f->value, "limit")), 100);
    assert_null(json_object_get(f->value, "cursor"));
    assert_int_equal(params(f, "/v1/pets?cursor=a%2Bb+c%26d"), DV_OK);
    assert_string_equal(json_string_value(json_object_get(f->value, "cursor")), "a+b c&d");
    assert_int_equal(params(f, "/v1/pets/T%C3%B6m"), DV_OK);
    assert_string_equal(json_string_value(json_object_get(f->value, "name")), "T\303\266m");
    assert_int_equal(params(f, "/v1/pets?"), DV_OK);
}

static void refuses_bad_parameters(void **state)
{
    fixture *f = *state;
    assert_refused(f, params(f, "/v1/pets?colour=red"), "colour", "is unknown");
    assert_refused(f, params(f, "/v1/pets/Tom?name=Jim"), "name", "is unknown");
    assert_refused(f, params(f, "/v1/pets?older=7&older=8"), "older", "stands twice");
    assert_refused(f, params(f, "/v1/pets?older=x"), "older", "whole number");
    assert_refused(f, params(f, "/v1/pets?older=7.0"), "older", "whole number");
    assert_refused(f, params(f, "/v1/pets?older=007"), "older", "whole number");
    assert_refused(f, params(f, "/v1/pets?older=-"), "older", "whole number");
    assert_refused(f, params(f, "/v1/pets?older="), "older", "whole number");
    assert_refused(f, params(f, "/v1/pets?older=99999999999999999999"), "older", "that fits");
    assert_refused(f, params(f, "/v1/pets?older=100"), "older", "at most 99");
    assert_refused(f, params(f, "/v1/pets?older=-1"), "older", "at least 0");
    assert_refused(f, params(f, "/v1/pets?limit=0"), "limit", "at least 1");
    assert_refused(f, params(f, "/v1/pets?limit=1001"), "limit", "at most 1000");
    assert_refused(f, params(f, "/v1/pets?tame=yes"), "tame", "true or false");
    assert_refused(f, params(f, "/v1/pets?tame"), "tame", "true or false");
    assert_refused(f, params(f, "/v1/pets?kind=cow"), "kind.0", "one of cat, dog");
    assert_refused(f, params(f, "/v1/pets?since=yesterday"), "since", "RFC 3339");
    assert_refused(f, params(f, "/v1/pets/tom1"), "name", "must match");
    assert_refused(f, params(f, "/v1/pets/Abcdefghijk"), "name", "at most 10 characters");
    assert_int_equal(params(f, "/v1/pets?kind=%ff"), DV_ERR_INVALID);
}

static void limits_the_number_of_parameters(void **state)
{
    fixture *f = *state;
    char target[32 + 10 * (DV_ROUTE_QUERY_MAX + 1)] = "/v1/pets?kind=cat";
    for (size_t i = 1; i < DV_ROUTE_QUERY_MAX; i++) {
        memcpy(target + strlen(target), "&kind=cat", 10);
    }
    assert_int_equal(params(f, target), DV_OK);
    memcpy(target + strlen(target), "&kind=cat", 10);
    assert_int_equal(params(f, target), DV_ERR_TOO_LARGE);
}

static void reads_bodies(void **state)
{
    fixture *f = *state;
    assert_int_equal(body(f, "{\"name\":\"Tom\",\"kind\":\"cat\"}"), DV_OK);
    assert_true(json_is_true(json_object_get(f->value, "tame"))); /* the default */
    assert_int_equal(body(f, "{\"name\":\"T\\u00f6m\",\"kind\":\"dog\",\"age\":null,\"weight\":4.5,"
                             "\"tags\":[\"a\",\"b\"],\"tame\":false,\"sleeps\":\"9h\","
                             "\"chip\":\"0190b6b0-0000-7000-8000-000000000000\","
                             "\"born\":\"2024-02-29T00:00:00Z\",\"owner\":{\"name\":\"Al\"},"
                             "\"extra\":{\"any\":1},\"secret\":\"s\"}"),
                     DV_OK);
    assert_int_equal(body(f, "{\"name\":\"Tom\",\"kind\":\"cat\",\"weight\":4}"), DV_OK);
}

#define PET "{\"name\":\"Tom\",\"kind\":\"cat\","

static void refuses_bad_fields(void **state)
{
    fixture *f = *state;
    assert_refused(f, body(f, "{\"kind\":\"cat\"}"), "name", "is missing");
    assert_refused(f, body(f, "[]"), "", "must be an object");
    assert_refused(f, body(f, PET "\"nmae\":1}"), "nmae", "is unknown");
    assert_refused(f, body(f, "{\"name\":1,\"kind\":\"cat\"}"), "name", "must be a string");
    assert_refused(f, body(f, "{\"name\":\"\",\"kind\":\"cat\"}"), "name", "at least 1");
    assert_refused(f, body(f, "{\"name\":\"tom\\n\",\"kind\":\"cat\"}"), "name", "must match");
    assert_refused(f, body(f, "{\"name\":null,\"kind\":\"cat\"}"), "name", "must be a string");
    assert_refused(f, body(f, "{\"name\":\"Tom\",\"kind\":\"cow\"}"), "kind", "one of cat, dog");
    assert_refused(f, body(f, PET "\"age\":100}"), "age", "at most 99");
    assert_refused(f, body(f, PET "\"age\":1.0}"), "age", "whole number");
    assert_refused(f, body(f, PET "\"weight\":100.5}"), "weight", "at most 100");
    assert_refused(f, body(f, PET "\"tame\":1}"), "tame", "true or false");
    assert_refused(f, body(f, PET "\"tags\":[]}"), "tags", "at least 1 entries");
    assert_refused(f, body(f, PET "\"tags\":[\"a\",\"b\",\"c\",\"d\"]}"), "tags", "at most 3");
    assert_refused(f, body(f, PET "\"tags\":[\"a\",\"b\",\"a\"]}"), "tags.2", "stands twice");
    assert_refused(f, body(f, PET "\"tags\":[\"a\",2]}"), "tags.1", "must be a string");
    assert_refused(f, body(f, PET "\"chip\":\"x\"}"), "chip", "UUID");
    assert_refused(f, body(f, PET "\"born\":\"2023-02-29T00:00:00Z\"}"), "born", "RFC 3339");
    assert_refused(f, body(f, PET "\"sleeps\":\"9\"}"), "sleeps", "duration");
    assert_refused(f, body(f, PET "\"owner\":{}}"), "owner.name", "is missing");
    assert_refused(f, body(f, PET "\"owner\":{\"name\":\"A\",\"x\":1}}"), "owner.x", "unknown");
    assert_refused(f, body(f, PET "\"extra\":{\"any\":\"1\"}}"), "extra.any", "whole number");
}

/* Characters are counted, not bytes. */
static void counts_characters(void **state)
{
    fixture *f = *state;
    assert_int_equal(body(f, PET "\"tags\":[\"\303\266\303\266\303\266\303\266\303\266\"]}"),
                     DV_OK);
    assert_refused(f, body(f, PET "\"tags\":[\"\303\266\303\266\303\266\303\266\303\266x\"]}"),
                   "tags.0", "at most 5 characters");
}

static void refuses_bad_json(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "nul",
        (PET "}"),
        "{\"name\":\"Tom\",\"kind\":\"cat\"} {}",
        "{\"name\":\"Tom\",\"name\":\"Tim\",\"kind\":\"cat\"}",
        "{\"name\":\"Tom\",\"n\\u0061me\":\"Tim\",\"kind\":\"cat\"}",
        "{\"name\":\"T\\u0000m\",\"kind\":\"cat\"}",
        "{\"name\":\"T\377m\",\"kind\":\"cat\"}",
    };
    fixture *f = *state;
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_result result = body(f, bad[i]);
        if (result != DV_ERR_INVALID || f->error.message[0] == '\0') {
            fail_msg("\"%s\" gives %s", bad[i], dv_result_name(result));
        }
    }
}

static void refuses_deep_and_large_bodies(void **state)
{
    fixture *f = *state;
    char deep[2 * (DV_LIMIT_JSON_DEPTH + 2) + 1] = "";
    memset(deep, '[', DV_LIMIT_JSON_DEPTH + 1);
    memset(deep + DV_LIMIT_JSON_DEPTH + 1, ']', DV_LIMIT_JSON_DEPTH + 1);
    assert_int_equal(body(f, deep), DV_ERR_TOO_LARGE);
    char *large = calloc(1, DV_LIMIT_CONTROL_BODY + 2);
    memset(large, ' ', DV_LIMIT_CONTROL_BODY + 1);
    assert_int_equal(body(f, large), DV_ERR_TOO_LARGE);
    free(large);
}

static void an_operation_without_a_body_takes_none(void **state)
{
    fixture *f = *state;
    const dv_operation *get = find(f, "GET", "/v1/pets/Tom");
    assert_int_equal(dv_route_body(get, DV_LIT("{}"), f->arena, &f->value, f->field, &f->error),
                     DV_ERR_INVALID);
    assert_int_equal(dv_route_body(get, (dv_slice){0}, f->arena, &f->value, f->field, &f->error),
                     DV_OK);
    assert_null(f->value);
}

/* What was sent is never shown: it may be a secret. */
static void errors_do_not_show_values(void **state)
{
    fixture *f = *state;
    assert_refused(f, body(f, "{\"name\":\"hunter22\",\"kind\":\"cat\"}"), "name", "must match");
    assert_null(strstr(f->error.message, "hunter22"));
    assert_refused(f, body(f, PET "\"chip\":\"hunter22\"}"), "chip", "UUID");
    assert_null(strstr(f->error.message, "hunter22"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_operations, setup, teardown),
        cmocka_unit_test_setup_teardown(literal_segments_win, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_the_methods_of_a_path, setup, teardown),
        cmocka_unit_test_setup_teardown(an_escaped_slash_stays_in_its_segment, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_targets, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_long_targets, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_the_number_of_parameters, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_json, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_deep_and_large_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(an_operation_without_a_body_takes_none, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_do_not_show_values, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
