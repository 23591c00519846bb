/* SPDX-License-Identifier: Apache-2.0 */
/* What a request reserves, what the model server is told of it, and what of it was taken. */
#include "room/api/gate/api_limits.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fixture.h"

static const struct {
    const char *name, *protocol, *more;
} route_rows[] = {
    {"chat", "openai_chat", ""},
    {"short", "openai_chat", ",\"max_tokens\":70"},
    {"new", "openai_chat", ",\"max_tokens_name\":\"max_completion_tokens\""},
    {"unbound", "openai_chat", ",\"max_tokens_name\":\"none\""},
    {"text", "openai_completions", ""},
    {"native", "openai_completions", ",\"max_tokens_name\":\"n_predict\""},
    {"responses", "openai_responses", ""},
    {"messages", "anthropic_messages", ""},
    {"embeddings", "openai_embeddings", ""},
    {"models", "openai_models", ""},
    {"json", "json", ""},
    {"json-long", "json", ",\"max_tokens\":9000"},
};

static dv_slice write_config(const char *routes, char *out, size_t room)
{
    int len = snprintf(out, room,
                       "{\"routes\":[%s],\"data_policies\":{},\"limits\":{},"
                       "\"refused_fields\":[],\"prices\":{\"GPT-4o\":{\"input\":2500000,"
                       "\"output\":10000000},\"*\":{\"input\":1000000,\"output\":1}}}",
                       routes);
    return dv_slice_of(out, (size_t)len);
}

static size_t write_route(char *out, size_t room, const char *name, const char *protocol,
                          const char *more)
{
    return (size_t)snprintf(out, room,
                            "{\"name\":\"%s\",\"path\":\"/%s\",\"match\":\"exact\",\"methods\":"
                            "[\"POST\"],\"protocol\":\"%s\",\"action\":\"use_model\","
                            "\"body_limit\":1000,\"fields\":null,\"request_policy\":null,"
                            "\"answer_policy\":null%s}",
                            name, name, protocol, more);
}

static int setup(void **state)
{
    char routes[4096];
    char config[8192];
    size_t len = 0;
    for (size_t i = 0; i < DV_ARRAY_LEN(route_rows); i++) {
        len += (size_t)snprintf(routes + len, sizeof(routes) - len, "%s", i > 0 ? "," : "");
        len += write_route(routes + len, sizeof(routes) - len, route_rows[i].name,
                           route_rows[i].protocol, route_rows[i].more);
    }
    return fixture_make(state, write_config(routes, config, sizeof(config)));
}

static const dv_api_route *route_of(const fixture *f, const char *name)
{
    for (size_t i = 0; i < f->config->route_count; i++) {
        if (dv_slice_eq_str(f->config->routes[i].name, name)) {
            return &f->config->routes[i];
        }
    }
    fail_msg("no route %s", name);
    return NULL;
}

static void reserves_what_may_come(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *route;
        int64_t max_tokens, choices;
        uint64_t prompts, bytes, output, cap;
        bool said;
    } rows[] = {
        {"chat", -1, 1, 1, 500, DV_API_TOKENS_DEFAULT, DV_API_TOKENS_DEFAULT},
        {"chat", 100, 1, 1, 500, 100, 0, true},
        {"chat", 0, 1, 1, 500, 0, 0, true},
        {"chat", 100, 3, 1, 500, 300, 0, true},
        {"short", -1, 2, 1, 500, 140, 70},
        {"short", 60, 1, 1, 500, 60, 0, true},
        {"chat", 9000, 3, 1, 500, 27000, 9000}, /* with another member */
        {"short", 60, 2, 1, 500, 120, 60},
        {"text", -1, 2, 5, 500, 10 * DV_API_TOKENS_DEFAULT, DV_API_TOKENS_DEFAULT},
        {"text", 7, 2, 0, 500, 14, 0, true},
        {"responses", -1, 1, 1, 500, DV_API_TOKENS_DEFAULT, DV_API_TOKENS_DEFAULT},
        {"embeddings", -1, 1, 50, 500, 0, 0},
        {"models", -1, 1, 1, 0, 0, 0},
        {"json", -1, 1, 1, 500, DV_API_TOKENS_DEFAULT, DV_API_TOKENS_DEFAULT},
        {"json", -1, 1, 1, 0, 0, 0}, /* nothing was asked */
        {"json-long", -1, 1, 1, 500, 9000, 9000},
        {"chat", INT64_MAX, 128, UINT64_MAX, 500, UINT64_C(1) << 60, 0, true},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(rows); i++) {
        const dv_api_route *route = route_of(f, rows[i].route);
        dv_api_body body = {.max_tokens = rows[i].max_tokens,
                            .cap_said = rows[i].said,
                            .choices = rows[i].choices,
                            .prompts = rows[i].prompts};
        dv_api_amount amount = dv_api_reserve(f->config, route, &body, rows[i].bytes);
        assert_int_equal(amount.input, rows[i].bytes);
        assert_int_equal(amount.output, rows[i].output);
        assert_int_equal(dv_api_cap(route, &body, rows[i].bytes), rows[i].cap);
    }
}

static void prices_know_a_model_in_any_case(void **state)
{
    const fixture *f = *state;
    dv_api_body body = {.max_tokens = 100, .choices = 1, .prompts = 1};
    static const char *const names[] = {"gpt-4o", "GPT-4O", "Gpt-4o"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        assert_int_equal(dv_api_model_counted(dv_slice_str(names[i]), f->arena, &body.counted),
                         DV_OK);
        assert_true(dv_slice_eq_str(body.counted, "gpt-4o"));
        dv_api_amount amount = dv_api_reserve(f->config, route_of(f, "chat"), &body, 10);
        assert_int_equal(amount.cost, 10 * 5 / 2 + 100 * 10);
    }
    body.counted = DV_LIT("other");
    assert_int_equal(dv_api_reserve(f->config, route_of(f, "chat"), &body, 10).cost, 11);
    assert_int_equal(body.counted.len, 5);
}

/* The amounts below are what is left of a reservation of 1000 and 100 tokens. */
static void settles_what_was_taken(void **state)
{
    static const struct {
        const char *what;
        dv_api_spent spent;
        uint64_t input, output;
    } rows[] = {
        {"never sent", {.sent = false, .status = 0, .input = -1, .output = -1}, 0, 0},
        {"refused", {.sent = true, .whole = true, .status = 400, .input = -1, .output = -1}, 0, 0},
        {"refused, but it took something",
         {.sent = true, .whole = true, .status = 500, .input = 7, .output = 0},
         7,
         0},
        {"told", {.sent = true, .whole = true, .status = 200, .input = 12, .output = 25}, 12, 25},
        {"told more than was reserved",
         {.sent = true, .whole = true, .status = 200, .input = 5000, .output = 2500},
         5000,
         2500},
        {"told what no model takes",
         {.sent = true, .whole = true, .status = 200, .input = INT64_MAX, .output = 1 << 25},
         1000,
         100},
        {"told less than its text proves",
         {.sent = true,
          .whole = true,
          .status = 200,
          .input = 12,
          .output = 0,
          .text_bytes = 801,
          .seen_bytes = 801},
         12,
         101},
        {"told nothing: a token a byte",
         {.sent = true,
          .whole = true,
          .status = 200,
          .input = -1,
          .output = -1,
          .text_bytes = 60,
          .seen_bytes = 60},
         1000,
         60},
        {"told nothing: what was reserved at most",
         {.sent = true,
          .whole = true,
          .status = 200,
          .input = -1,
          .output = -1,
          .text_bytes = 200,
          .seen_bytes = 200},
         1000,
         100},
        {"of no known form: its length, and its text at least",
         {.sent = true,
          .whole = true,
          .status = 200,
          .input = -1,
          .output = -1,
          .text_bytes = 4000,
          .seen_bytes = 90000},
         1000,
         500},
        {"a stream cut off by its caller",
         {.sent = true,
          .left = true,
          .streamed = true,
          .status = 200,
          .input = -1,
          .output = 3,
          .text_bytes = 50,
          .seen_bytes = 50},
         1000,
         50},
        {"a stream of which more was told than seen",
         {.sent = true,
          .left = true,
          .streamed = true,
          .status = 200,
          .input = 30,
          .output = 70,
          .text_bytes = 50,
          .seen_bytes = 50},
         30,
         70},
        {"left before the head of an answer",
         {.sent = true, .asked = true, .left = true, .status = 0, .input = -1, .output = -1},
         1000,
         100},
        {"left before all of it was sent",
         {.sent = true, .left = true, .status = 0, .input = -1, .output = -1},
         1000,
         0},
        {"left an answer that came before all was sent",
         {.sent = true, .left = true, .status = 200, .input = -1, .output = -1},
         1000,
         100},
        {"out of time",
         {.sent = true, .asked = true, .timed_out = true, .status = 0, .input = -1, .output = -1},
         1000,
         100},
        {"out of time before all of it was sent",
         {.sent = true, .timed_out = true, .status = 0, .input = -1, .output = -1},
         1000,
         0},
        {"the server's own word that it was out of time",
         {.sent = true, .whole = true, .timed_out = true, .status = 504, .input = -1, .output = -1},
         1000,
         100},
        {"a stream out of time",
         {.sent = true,
          .timed_out = true,
          .streamed = true,
          .status = 200,
          .input = -1,
          .output = -1,
          .text_bytes = 24,
          .seen_bytes = 24},
         1000,
         24},
        {"no answer at all",
         {.sent = true, .asked = true, .status = 0, .input = -1, .output = -1},
         1000,
         0},
        {"blocked after it came",
         {.sent = true, .status = 200, .input = -1, .output = -1, .text_bytes = 8, .seen_bytes = 8},
         1000,
         100},
    };
    const dv_api_amount reserved = {.input = 1000, .output = 100};
    for (size_t i = 0; i < DV_ARRAY_LEN(rows); i++) {
        dv_api_amount amount = dv_api_settle(&reserved, &rows[i].spent);
        if (amount.input != rows[i].input || amount.output != rows[i].output) {
            fail_msg("%s: %llu and %llu", rows[i].what, (unsigned long long)amount.input,
                     (unsigned long long)amount.output);
        }
    }
}

static void cost_is_rounded_up_and_never_overflows(void **state)
{
    const dv_api_price price = {.input = 1, .output = UINT64_C(1) << 40};
    const dv_api_amount reserved = {.input = 10, .output = UINT64_C(1) << 60, .price = &price};
    dv_api_spent spent = {.sent = true, .whole = true, .status = 200, .input = 1, .output = 0};
    assert_int_equal(dv_api_settle(&reserved, &spent).cost, 1);
    spent.output = INT64_MAX;
    assert_int_equal(dv_api_settle(&reserved, &spent).cost, UINT64_C(1) << 60);
}

static const char *put_cap(const fixture *f, const char *text, const char *route)
{
    dv_json json = scan_body(f, text);
    dv_api_insert cap = {0};
    if (dv_api_cap_put(&json, route_of(f, route), 70, f->arena, &cap) != DV_OK) {
        return NULL;
    }
    return with_insert(f, text, &cap);
}

static void bodies_bound_their_answers(void **state)
{
    const fixture *f = *state;
    assert_string_equal(put_cap(f, " { \"model\" : 1.0 }", "chat"),
                        " {\"max_tokens\":70, \"model\" : 1.0 }");
    assert_string_equal(put_cap(f, "{}", "new"), "{\"max_completion_tokens\":70}");
    assert_string_equal(put_cap(f, "{\"a\":1,\"max_tokens\": null,\"b\":2}", "text"),
                        "{\"a\":1,\"max_tokens\": 70,\"b\":2}");
    assert_string_equal(put_cap(f, "{\"a\":1}", "responses"), "{\"max_output_tokens\":70,\"a\":1}");
    assert_null(put_cap(f, "[]", "chat"));
    assert_null(route_of(f, "unbound")->cap);
    assert_null(route_of(f, "json")->cap);
    assert_null(route_of(f, "embeddings")->cap);
}

#define TURN "\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
#define PROMPT "\"model\":\"m\",\"prompt\":\"x\""
#define INPUT "\"model\":\"m\",\"input\":\"x\""

/* A bound in a member that the model server ignores is none: the route's own says it instead, and
 * what is reserved is what the server is told. */
static void a_bound_is_said_with_the_routes_member(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *route, *body, *sent; /* NULL: as it came */
        uint64_t output;
    } rows[] = {
        {"chat", "{\"max_completion_tokens\":50," TURN "}", "{\"max_tokens\":50," TURN "}", 50},
        {"chat", "{" TURN ",\"n_predict\" : 50,\"n\":3}", "{" TURN ",\"max_tokens\" : 50,\"n\":3}",
         150},
        {"chat", "{\"max_\\u0074okens\":50," TURN "}", NULL, 50},
        {"chat", "{\"max_tokens\":5,\"max_completion_tokens\":50,\"n\":2," TURN "}", NULL, 100},
        {"chat", "{\"max_tokens\":50,\"max_completion_tokens\":5," TURN "}", NULL, 50},
        {"chat", "{\"max_tokens\":null,\"max_completion_tokens\":50," TURN "}",
         "{\"max_tokens\":50,\"max_completion_tokens\":50," TURN "}", 50},
        {"chat", "{\"max_completion_tokens\":null," TURN "}",
         "{\"max_tokens\":4096,\"max_completion_tokens\":null," TURN "}", 4096},
        {"short", "{\"max_completion_tokens\":70," TURN "}", "{\"max_tokens\":70," TURN "}", 70},
        {"new", "{\"max_tokens\":50," TURN "}", "{\"max_completion_tokens\":50," TURN "}", 50},
        {"new", "{\"max_completion_tokens\":50," TURN "}", NULL, 50},
        {"unbound", "{\"max_tokens\":50," TURN "}", NULL, 50},
        {"text", "{\"n_predict\":50,\"best_of\":4," PROMPT "}",
         "{\"max_tokens\":50,\"best_of\":4," PROMPT "}", 200},
        {"native", "{\"max_tokens\":50," PROMPT "}", "{\"n_predict\":50," PROMPT "}", 50},
        {"native", "{\"n_predict\":50," PROMPT "}", NULL, 50},
        {"responses", "{\"max_output_tokens\":50," INPUT "}", NULL, 50},
        {"messages", "{\"max_tokens\":50," TURN "}", NULL, 50},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(rows); i++) {
        const dv_api_route *route = route_of(f, rows[i].route);
        dv_json json = scan_body(f, rows[i].body);
        dv_api_body body = {0};
        dv_verdict verdict = {0};
        assert_int_equal(dv_api_body_check(f->config, route, &json, f->arena, &body, &verdict),
                         DV_OK);
        assert_int_equal(dv_api_reserve(f->config, route, &body, 500).output, rows[i].output);
        uint64_t cap = dv_api_cap(route, &body, 500);
        dv_api_insert insert = {0};
        assert_int_equal(cap == 0 || route->cap == NULL, rows[i].sent == NULL);
        if (rows[i].sent != NULL) {
            assert_int_equal(dv_api_cap_put(&json, route, cap, f->arena, &insert), DV_OK);
            assert_string_equal(with_insert(f, rows[i].body, &insert), rows[i].sent);
        }
    }
}

static void refuses_names_that_bound_nothing(void **state)
{
    static const char *const bad[] = {",\"max_tokens_name\":\"temperature\"",
                                      ",\"max_tokens_name\":\"max_output_tokens\"",
                                      ",\"max_tokens_name\":7", ",\"max_tokens_name\":\"\""};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        char route[1024];
        char text[2048];
        dv_api_config *config = NULL;
        dv_error error = {0};
        write_route(route, sizeof(route), "a", "openai_chat", bad[i]);
        assert_int_equal(
            dv_api_config_parse(write_config(route, text, sizeof(text)), &config, &error),
            DV_ERR_INVALID);
        assert_non_null(strstr(error.message, "max_tokens_name"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserves_what_may_come),
        cmocka_unit_test(prices_know_a_model_in_any_case),
        cmocka_unit_test(settles_what_was_taken),
        cmocka_unit_test(cost_is_rounded_up_and_never_overflows),
        cmocka_unit_test(bodies_bound_their_answers),
        cmocka_unit_test(a_bound_is_said_with_the_routes_member),
        cmocka_unit_test(refuses_names_that_bound_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
