/* SPDX-License-Identifier: Apache-2.0 */
#include "base/multipart.h"
#include "room/api/gate/api_answer.h"
#include "room/api/gate/api_told.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "fixture.h"

#define ROUTE(name, path, match, protocol, fields)                                                 \
    "{\"name\":\"" name "\",\"path\":\"" path "\",\"match\":\"" match                              \
    "\",\"methods\":[\"POST\"],\"protocol\":\"" protocol "\",\"action\":\"use_model\","            \
    "\"body_limit\":1000,\"fields\":" fields                                                       \
    ",\"request_policy\":\"request\",\"answer_policy\":null}"

#define CONFIG(routes)                                                                             \
    "{\"routes\":[" routes "],\"data_policies\":{\"request\":{\"default\":\"mask\"}},"             \
    "\"limits\":{\"key\":[{\"count\":60,\"period_ns\":60000000000,\"burst\":10},"                  \
    "{\"count\":1000,\"period_ns\":3600000000000,\"burst\":0}],"                                   \
    "\"group\":[{\"count\":5,\"period_ns\":1000000000,\"burst\":5}],"                              \
    "\"address\":[{\"count\":9,\"period_ns\":1000000000,\"burst\":9}]},"                           \
    "\"refused_fields\":[\"api_base\",\"base_url\"]}"

#define CHAT                                                                                       \
    ROUTE("chat", "/v1/chat/completions", "exact", "openai_chat",                                  \
          "[\"model\",\"messages\",\"stream\",\"max_tokens\",\"n\",\"logprobs\",\"metadata\","     \
          "\"tools\"]")

static int setup(void **state)
{
    dv_slice text = DV_LIT(CONFIG(CHAT "," ROUTE("any", "/api", "prefix", "json", "null") "," ROUTE(
        "deep", "/api/deep", "prefix", "json",
        "null") "," ROUTE("messages", "/v1/messages", "exact", "anthropic_messages",
                          "null") "," ROUTE("embeddings", "/v1/embeddings", "exact",
                                            "openai_embeddings",
                                            "null") "," ROUTE("responses", "/v1/responses", "exact",
                                                              "openai_responses", "null")));
    return fixture_make(state, text);
}

static void test_paths(void **state)
{
    static const char *const good[] = {"/", "/v1/chat", "/v1/models/a:b@c", "/a/", "/~x/$1"};
    static const char *const bad[] = {"",        "v1",     "//",    "/a//b",  "/./a", "/a/..",
                                      "/a/../b", "/a%2fb", "/a\\b", "/a;b=c", "/a?b", "/a#b",
                                      "/a b",    "/\x80",  "/a\n",  "/..",    "/a/.", "/%2e%2e"};
    for (size_t i = 0; i < DV_ARRAY_LEN(good); i++) {
        assert_true(dv_api_path_is_normal(dv_slice_str(good[i])));
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_false(dv_api_path_is_normal(dv_slice_str(bad[i])));
    }
    assert_false(dv_api_path_is_normal(dv_slice_of("/a\0b", 4)));
}

static void expect_route(const fixture *f, const char *method, const char *path, const char *name)
{
    const dv_api_route *route =
        dv_api_route_find(f->config, dv_api_method_bit(dv_slice_str(method)), dv_slice_str(path));
    if (name == NULL) {
        assert_null(route);
        return;
    }
    assert_non_null(route);
    assert_true(dv_slice_eq_str(route->name, name));
}

static void test_routes(void **state)
{
    const fixture *f = *state;
    expect_route(f, "POST", "/v1/chat/completions", "chat");
    expect_route(f, "POST", "/v1/chat/completions/", NULL);
    expect_route(f, "GET", "/v1/chat/completions", NULL);
    expect_route(f, "post", "/v1/chat/completions", NULL);
    expect_route(f, "POST", "/V1/chat/completions", NULL);
    expect_route(f, "POST", "/api", "any");
    expect_route(f, "POST", "/api/x", "any");
    expect_route(f, "POST", "/apix", NULL);
    expect_route(f, "POST", "/api/deep/x", "deep");
    expect_route(f, "TRACE", "/api", NULL);
    assert_true(dv_slice_eq_str(f->config->routes[0].resource, "Route::\"chat\""));
}

static void expect_bad_config(const char *text, const char *message)
{
    dv_api_config *config = NULL;
    dv_error error = {0};
    assert_int_not_equal(dv_api_config_parse(dv_slice_str(text), &config, &error), DV_OK);
    assert_null(config);
    if (strstr(error.message, message) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", error.message, message);
    }
}

static void test_bad_configurations(void **state)
{
    expect_bad_config("", "");
    expect_bad_config("[]", "must be an object");
    expect_bad_config("{\"routes\":[],\"x\":1}", "unknown member \"x\"");
    expect_bad_config(CONFIG("1"), "routes/0");
    expect_bad_config(CONFIG(ROUTE("a b", "/", "exact", "json", "null")), "routes/0/name");
    expect_bad_config(CONFIG(ROUTE("a", "/..", "exact", "json", "null")), "routes/0/path");
    expect_bad_config(CONFIG(ROUTE("a", "/", "glob", "json", "null")), "routes/0/match");
    expect_bad_config(CONFIG(ROUTE("a", "/", "exact", "soap", "null")), "routes/0/protocol");
    expect_bad_config(CONFIG(CHAT "," ROUTE("a", "/", "exact", "json", "3")), "routes/1/fields");
    expect_bad_config("{\"routes\":[],\"data_policies\":{},\"limits\":{\"key\":[{\"count\":0,"
                      "\"period_ns\":1,\"burst\":1}]},\"refused_fields\":[]}",
                      "limits/key/count");
    expect_bad_config("{\"routes\":[],\"data_policies\":{},\"limits\":{\"yey\":[]},"
                      "\"refused_fields\":[]}",
                      "unknown member \"yey\"");
    expect_bad_config("{\"routes\":[],\"data_policies\":{},\"limits\":{}}", "refused_fields");
}

static dv_result present(const char *authorization, const char *api_key, dv_slice *ret,
                         dv_verdict *verdict)
{
    dv_api_presented p = {0};
    dv_api_presented_add(&p, DV_LIT("Host"), DV_LIT("x"));
    if (authorization != NULL) {
        dv_api_presented_add(&p, DV_LIT("authorization"), dv_slice_str(authorization));
    }
    if (api_key != NULL) {
        dv_api_presented_add(&p, DV_LIT("X-API-Key"), dv_slice_str(api_key));
    }
    return dv_api_presented_get(&p, ret, verdict);
}

static void test_credentials(void **state)
{
    static const struct {
        const char *authorization;
        const char *api_key;
        dv_reason reason;
        const char *credential;
    } cases[] = {
        {NULL, NULL, DV_REASON_NO_CREDENTIAL, NULL},
        {"Bearer dvk_a", NULL, DV_REASON_UNSET, "dvk_a"},
        {"bEARER   dvk_a ", NULL, DV_REASON_UNSET, "dvk_a"},
        {NULL, " dvk_a", DV_REASON_UNSET, "dvk_a"},
        {"Bearer dvk_a", "dvk_a", DV_REASON_UNSET, "dvk_a"},
        {"Bearer dvk_a", "dvk_b", DV_REASON_BAD_CREDENTIAL, NULL},
        {"Basic eA==", NULL, DV_REASON_BAD_CREDENTIAL, NULL},
        {"Basic eA==", "dvk_a", DV_REASON_BAD_CREDENTIAL, NULL},
        {"Bearer", NULL, DV_REASON_BAD_CREDENTIAL, NULL},
        {"Bearer ", NULL, DV_REASON_BAD_CREDENTIAL, NULL},
        {"Bearer a b", NULL, DV_REASON_BAD_CREDENTIAL, NULL},
        {NULL, "", DV_REASON_BAD_CREDENTIAL, NULL},
        {"dvk_a", NULL, DV_REASON_BAD_CREDENTIAL, NULL},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_slice found = {0};
        dv_verdict verdict = {0};
        dv_result result = present(cases[i].authorization, cases[i].api_key, &found, &verdict);
        assert_int_equal(verdict.reason, cases[i].reason);
        assert_int_equal(verdict.decision, DV_DENY);
        assert_int_equal(result, cases[i].credential != NULL ? DV_OK : DV_ERR_UNAUTHENTICATED);
        assert_true(cases[i].credential == NULL || dv_slice_eq_str(found, cases[i].credential));
    }
}

static void test_a_credential_header_twice(void **state)
{
    dv_api_presented p = {0};
    dv_slice found = {0};
    dv_verdict verdict = {0};
    dv_api_presented_add(&p, DV_LIT("Authorization"), DV_LIT("Bearer dvk_a"));
    dv_api_presented_add(&p, DV_LIT("Authorization"), DV_LIT("Bearer dvk_a"));
    assert_int_equal(dv_api_presented_get(&p, &found, &verdict), DV_ERR_UNAUTHENTICATED);
    assert_int_equal(verdict.reason, DV_REASON_BAD_CREDENTIAL);
}

static void test_queries(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *query;
        dv_reason reason;
        const char *text;
    } cases[] = {
        {"", DV_REASON_UNSET, ""},
        {"beta=true&a=b+c%21", DV_REASON_UNSET, "beta=true\na=b c!"},
        {"key=dvk_abc", DV_REASON_BAD_CREDENTIAL, NULL},
        {"key=%64vk%5Fabc", DV_REASON_BAD_CREDENTIAL, NULL},
        {"API%5Fbase=http://x", DV_REASON_BAD_FIELD, NULL},
        {"a=1&base_url", DV_REASON_BAD_FIELD, NULL},
        {"a=1;api_base=2", DV_REASON_BAD_FIELD, NULL},
        {"a=1;b=2", DV_REASON_UNSET, "a=1\nb=2"},
        {"a=1%3Bapi_base=2", DV_REASON_UNSET, "a=1;api_base=2"},
        {"a=%", DV_REASON_BAD_REQUEST, NULL},
        {"a=%4", DV_REASON_BAD_REQUEST, NULL},
        {"a=%zz", DV_REASON_BAD_REQUEST, NULL},
        {"a=%ff", DV_REASON_BAD_REQUEST, NULL},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_slice text = {0};
        dv_verdict verdict = {0};
        dv_result result =
            dv_api_query_check(f->config, dv_slice_str(cases[i].query), f->arena, &text, &verdict);
        assert_int_equal(verdict.reason, cases[i].reason);
        assert_int_equal(result == DV_OK, cases[i].text != NULL);
        assert_true(cases[i].text == NULL || dv_slice_eq_str(text, cases[i].text));
    }
}

static dv_result check_body(const fixture *f, const char *path, const char *text, dv_api_body *body,
                            dv_verdict *verdict)
{
    const dv_api_route *route = dv_api_route_find(f->config, DV_METHOD_POST, dv_slice_str(path));
    dv_json json = scan_body(f, text);
    return dv_api_body_check(f->config, route, &json, f->arena, body, verdict);
}

static void test_good_bodies(void **state)
{
    const fixture *f = *state;
    dv_api_body body = {0};
    dv_verdict verdict = {0};
    const char *chat = "{\"model\":\"gpt\\u002d4o\",\"messages\":[{\"role\":\"user\",\"content\":"
                       "[{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":\"assistant\","
                       "\"content\":null,\"tool_calls\":[]}],\"stream\":true,\"max_tokens\":7,"
                       "\"n\":2,\"logprobs\":false,\"tools\":[{\"type\":\"function\",\"function\":"
                       "{\"name\":\"x\",\"parameters\":{\"properties\":{\"base_url\":{}}}}}]}";
    assert_int_equal(check_body(f, "/v1/chat/completions", chat, &body, &verdict), DV_OK);
    assert_true(dv_slice_eq_str(body.model, "gpt-4o"));
    assert_true(body.stream);
    assert_int_equal(body.max_tokens, 7);
    assert_int_equal(body.choices, 2);
    const char *claude = "{\"model\":\"c\",\"max_tokens\":1,\"system\":\"s\",\"messages\":[{"
                         "\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                         "\"tool_use_id\":\"t\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]}"
                         "],\"tools\":[{\"name\":\"f\",\"input_schema\":{\"base_url\":1}}]}";
    assert_int_equal(check_body(f, "/v1/messages", claude, &body, &verdict), DV_OK);
    const char *response =
        "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"x\"},{\"type\":\"message\","
        "\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"x\"}]},{\"type\":"
        "\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},{\"type\":"
        "\"function_call_output\",\"call_id\":\"c\",\"output\":\"x\"},{\"type\":\"reasoning\","
        "\"id\":"
        "\"r\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"x\"}]}],\"instructions\":\"x\","
        "\"max_output_tokens\":9,\"include\":[\"reasoning.encrypted_content\"],\"stream\":true,"
        "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"base_url\":1}}]}";
    assert_int_equal(check_body(f, "/v1/responses", response, &body, &verdict), DV_OK);
    assert_int_equal(body.max_tokens, 9);
    assert_true(body.stream);
    assert_int_equal(
        check_body(f, "/v1/responses", "{\"model\":\"m\",\"input\":\"x\"}", &body, &verdict),
        DV_OK);
    assert_int_equal(check_body(f, "/api", "[1,{\"x\":[]}]", &body, &verdict), DV_OK);
    const char *image = "{\"image\":{\"url\":\"https://example.org/cat.png\"}}";
    assert_int_equal(check_body(f, "/api", image, &body, &verdict), DV_OK);
    assert_int_equal(body.max_tokens, -1);
    assert_int_equal(verdict.decision, DV_DENY);
    assert_int_equal(verdict.reason, DV_REASON_UNSET);
}

static void expect_asked(const fixture *f, const char *text, const char *wanted)
{
    dv_json json = scan_body(f, text);
    dv_api_insert ask = {0};
    assert_int_equal(dv_api_usage_ask(&json, &ask), wanted != NULL);
    if (wanted != NULL) {
        assert_string_equal(with_insert(f, text, &ask), wanted);
    }
}

static void test_streams_are_asked_for_usage(void **state)
{
    const fixture *f = *state;
    expect_asked(f, " { \"model\" : 1.0 }",
                 " {\"stream_options\":{\"include_usage\":true}, \"model\" : 1.0 }");
    expect_asked(f, "{}", "{\"stream_options\":{\"include_usage\":true}}");
    expect_asked(f, "{\"stream_options\":null,\"x\":1}",
                 "{\"stream_options\":{\"include_usage\":true},\"x\":1}");
    expect_asked(f, "{\"a\":[{}],\"stream_options\":{ }}",
                 "{\"a\":[{}],\"stream_options\":{\"include_usage\":true }}");
    expect_asked(f, "{\"stream_options\":{\"include_obfuscation\":false}}",
                 "{\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}");
    expect_asked(f, "{\"stream_options\":{\"include_usage\":false}}",
                 "{\"stream_options\":{\"include_usage\":true}}");
    expect_asked(f, "{\"stream_options\":{\"include_usage\":null}}",
                 "{\"stream_options\":{\"include_usage\":true}}");
    expect_asked(f, "{\"stream_options\":{\"include_usage\":true}}", NULL);
    expect_asked(f, "{\"stream_options\":{\"include_usage\":1}}", NULL);
    expect_asked(f, "[]", NULL);
}

#define TURN "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static void test_bad_bodies(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *path;
        const char *text;
        const char *param;
    } cases[] = {
        {"/v1/chat/completions", "{" TURN "}", "/model"},
        {"/v1/chat/completions", "{\"model\":\"m\"}", "/messages"},
        {"/v1/chat/completions", "{\"model\":1," TURN "}", "/model"},
        {"/v1/chat/completions", "{\"model\":\"a\\\"b\"," TURN "}", "/model"},
        {"/v1/chat/completions", "{\"model\":\"\"," TURN "}", "/model"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"messages\":[]}", "/messages"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"messages\":[3]}", "/messages/0"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"messages\":[{\"role\":1}]}",
         "/messages/0/role"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"mystery\":1," TURN "}", "/mystery"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"api_base\":1," TURN "}", "/api_base"},
        {"/v1/chat/completions",
         "{\"model\":\"m\",\"metadata\":[{\"a/b~\":{\"API_base\":1}}]," TURN "}",
         "/metadata/0/a~1b~0/API_base"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"metadata\":{\"\\u0061pi_base\":1}," TURN "}",
         "/metadata/api_base"},
        {"/v1/chat/completions",
         "{\"model\":\"m\",\"tools\":[{\"function\":{\"base_url\":1}}]," TURN "}",
         "/tools/0/function/base_url"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"n\":129," TURN "}", "/n"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"n\":0," TURN "}", "/n"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"max_tokens\":-1," TURN "}", "/max_tokens"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"max_tokens\":1e3," TURN "}", "/max_tokens"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"logprobs\":true," TURN "}", "/logprobs"},
        {"/v1/chat/completions", "{\"model\":\"m\",\"stream\":1," TURN "}", "/stream"},
        {"/v1/chat/completions",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}"
         "]}",
         "/messages/0/content/0/type"},
        {"/v1/chat/completions",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[\"x\"]}]}",
         "/messages/0/content/0"},
        {"/v1/chat/completions",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":{}}]}",
         "/messages/0/content"},
        {"/v1/messages", "{\"model\":\"m\"," TURN "}", "/max_tokens"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":[1,2]}", "/input/0"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":[\"a\",[1]]}", "/input/1"},
        {"/v1/responses", "{\"model\":\"m\"}", "/input"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":7}", "/input"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":[\"x\"]}", "/input/0"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\"}]}",
         "/input/0/type"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":[{\"id\":\"x\"}]}", "/input/0"},
        {"/v1/responses",
         "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]"
         "}",
         "/input/0/content/0/type"},
        {"/v1/responses",
         "{\"model\":\"m\",\"input\":[{\"type\":\"function_call_output\",\"output\":[{\"type\":"
         "\"input_file\"}]}]}",
         "/input/0/output/0/type"},
        {"/v1/responses",
         "{\"model\":\"m\",\"input\":\"x\",\"include\":[\"message.output_text.logprobs\"]}",
         "/include/0"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":\"x\",\"top_logprobs\":2}", "/top_logprobs"},
        {"/v1/responses",
         "{\"model\":\"m\",\"input\":\"x\",\"tools\":[{\"type\":\"mcp\",\"server_url\":"
         "\"http://10.0.0.1/\"}]}",
         "/tools/0/server_url"},
        {"/api", "[{\"base_url\":1}]", "/0/base_url"},
        {"/api", "{\"image\":{\"url\":\"http://169.254.169.254/\"}}", "/image/url"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_api_body body = {0};
        dv_verdict verdict = {0};
        dv_result result = check_body(f, cases[i].path, cases[i].text, &body, &verdict);
        assert_int_equal(result, DV_ERR_INVALID);
        assert_int_equal(verdict.reason, DV_REASON_BAD_FIELD);
        if (!dv_slice_eq_str(body.param, cases[i].param)) {
            fail_msg("%s: %.*s", cases[i].text, DV_SLICE_ARGS(body.param));
        }
        assert_non_null(strstr(verdict.detail, cases[i].param));
    }
    dv_api_body body = {0};
    dv_verdict verdict = {0};
    assert_int_equal(check_body(f, "/v1/messages", "[]", &body, &verdict), DV_ERR_INVALID);
    assert_int_equal(verdict.reason, DV_REASON_BAD_REQUEST);
}

/* Go's JSON takes each of these names for the one that the gate knows. */
static void names_in_other_letters_are_refused(void **state)
{
    const fixture *f = *state;
    static const struct {
        const char *path, *text, *param;
    } cases[] = {
        {"/v1/messages",
         "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
         "\"content\":\"x\",\"Content\":[{\"type\":\"image\"}]}]}",
         "/messages/0/Content"},
        {"/v1/chat/completions",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"C\\u004fNTENT\":[]}]}",
         "/messages/0/CONTENT"},
        {"/v1/chat/completions",
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","
         "\"text\":\"x\",\"tYpe\":\"image_url\"}]}]}",
         "/messages/0/content/0/tYpe"},
        {"/v1/messages",
         "{\"model\":\"m\",\"max_tokens\":1," TURN ",\"\xc5\xbfystem\":[{\"type\":\"image\"}]}",
         "/\xc5\xbfystem"},
        {"/v1/messages",
         "{\"model\":\"m\",\"max_tokens\":1," TURN ",\"max_To\xe2\x84\xaa"
         "en\\u017f\":99}",
         "/max_To\xe2\x84\xaa"
         "en\xc5\xbf"},
        {"/v1/responses", "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"\\u017fummary\":[]}]}",
         "/input/0/\xc5\xbfummary"},
        {"/api",
         "{\"a\":[{\"ba\xc5\xbf"
         "e_URL\":1}]}",
         "/a/0/ba\xc5\xbf"
         "e_URL"},
        {"/api",
         "{\"\xc5\xbf"
         "erver_url\":\"http://10.0.0.1/\"}",
         "/\xc5\xbf"
         "erver_url"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_api_body body = {0};
        dv_verdict verdict = {0};
        dv_result result = check_body(f, cases[i].path, cases[i].text, &body, &verdict);
        assert_int_equal(result, DV_ERR_INVALID);
        assert_int_equal(verdict.reason, DV_REASON_BAD_FIELD);
        assert_true(dv_slice_eq_str(body.param, cases[i].param));
    }
}

static void names_that_are_only_alike_pass(void **state)
{
    const fixture *f = *state;
    dv_api_body body = {0};
    dv_verdict verdict = {0};
    const char *text = "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
                       "\"content\":[{\"type\":\"text\",\"text\":\"x\",\"types\":1,"
                       "\"t\xc3\xbfpe\":2,\"\":3}],\"contents\":4,\"conten\":5}],"
                       "\"\xc5\xbf\":6,\"tool\xc5\xbf_\":7,\"\":8}";
    assert_int_equal(check_body(f, "/v1/messages", text, &body, &verdict), DV_OK);
}

static void test_long_names_do_not_overflow(void **state)
{
    const fixture *f = *state;
    char text[2000];
    char name[1500];
    memset(name, 'n', sizeof(name));
    (void)snprintf(text, sizeof(text), "{\"%.*s\":{\"api_base\":1}}", (int)sizeof(name), name);
    dv_api_body body = {0};
    dv_verdict verdict = {0};
    assert_int_equal(check_body(f, "/api", text, &body, &verdict), DV_ERR_INVALID);
    assert_int_equal(body.param.len, 0);
    assert_string_equal(verdict.detail, "this field is not allowed");
}

static void check_form(const fixture *f, const char *name, dv_api_body *ret_body,
                       dv_verdict *verdict)
{
    const dv_api_route *route = dv_api_route_find(f->config, DV_METHOD_POST, DV_LIT("/api"));
    const char *form = dv_arena_printf(
        f->arena, "--b\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\nx\r\n--b--\r\n", name);
    assert_int_equal(dv_api_form_check(f->config, route, dv_slice_str(form), DV_LIT("b"), f->arena,
                                       ret_body, verdict),
                     DV_ERR_INVALID);
    assert_int_equal(verdict->reason, DV_REASON_BAD_FIELD);
}

/* RFC 6901 section 3 */
static void fields_of_forms_are_named_by_pointers(void **state)
{
    const fixture *f = *state;
    dv_api_body body = {0};
    dv_verdict verdict = {0};
    check_form(f, "a/b~[api_base]", &body, &verdict);
    assert_true(dv_slice_eq_str(body.param, "/a~1b~0[api_base]"));
    assert_string_equal(verdict.detail, "/a~1b~0[api_base]: this field is not allowed");
}

/* Half a name could be half a secret, which nobody would find. */
static void fields_of_forms_are_named_whole_or_not(void **state)
{
    const fixture *f = *state;
    static const char end[] = "[api_base]";
    char name[DV_MULTIPART_NAME_MAX + 1];
    for (size_t len = 140; len < sizeof(name); len++) {
        dv_api_body body = {0};
        dv_verdict verdict = {0};
        memset(name, 'n', len);
        memcpy(name + len - strlen(end), end, sizeof(end));
        check_form(f, name, &body, &verdict);
        bool fits = len + 1 <= DV_API_POINTER_MAX;
        assert_int_equal(body.param.len, fits ? len + 1 : 0);
        const char *told = dv_arena_printf(f->arena, "/%s: this field", name);
        assert_true(dv_slice_starts_with(dv_slice_str(verdict.detail),
                                         dv_slice_str(fits ? told : "this field is not allowed")));
    }
}

static void test_models(void **state)
{
    const fixture *f = *state;
    dv_slice entity = {0};
    char name[DV_LIMIT_NAME + 1];
    memset(name, 'm', sizeof(name));
    assert_int_equal(dv_api_model_entity(DV_LIT("org/m:1@b c"), f->arena, &entity), DV_OK);
    assert_true(dv_slice_eq_str(entity, "Model::\"org/m:1@b c\""));
    assert_int_equal(dv_api_model_entity(dv_slice_of(name, DV_LIMIT_NAME), f->arena, &entity),
                     DV_OK);
    assert_int_equal(dv_api_model_entity(dv_slice_of(name, sizeof(name)), f->arena, &entity),
                     DV_ERR_INVALID);
    assert_int_equal(dv_api_model_entity(DV_LIT("a\\"), f->arena, &entity), DV_ERR_INVALID);
    assert_int_equal(dv_api_model_entity(DV_LIT("\xc3\xa9"), f->arena, &entity), DV_ERR_INVALID);
}

static void test_media_types(void **state)
{
    assert_true(dv_api_type_is_json(DV_LIT("application/json")));
    assert_true(dv_api_type_is_json(DV_LIT("Application/JSON ; charset=\"UTF-8\"")));
    assert_true(dv_api_type_is_json(DV_LIT("application/problem+json")));
    assert_false(dv_api_type_is_json(DV_LIT("application/json; charset=utf-16")));
    assert_false(dv_api_type_is_json(DV_LIT("application/jsonx")));
    assert_false(dv_api_type_is_json(DV_LIT("text/json")));
    assert_false(dv_api_type_is_json(DV_LIT("")));
    assert_true(dv_api_type_is(DV_LIT("text/event-stream; x=y"), "text/event-stream"));
}

static dv_api_policies policies;

static const char *told_of(const fixture *f, const dv_api_charges *charges, dv_api_shape shape,
                           const char *name)
{
    const dv_api_told told = {{NULL, charges}, shape, (dv_time)1700000000 * DV_SECOND};
    dv_api_header headers[DV_API_TOLD_HEADERS];
    size_t count = 0;
    assert_int_equal(dv_api_told_headers(&told, &policies, f->arena, headers, &count), DV_OK);
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq_str(headers[i].name, name)) {
            return dv_arena_printf(f->arena, "%.*s", DV_SLICE_ARGS(headers[i].value));
        }
    }
    return NULL;
}

static void add_charges(const fixture *f, dv_api_limit_kind kind, const char *type,
                        const char *name, dv_api_charges *charges)
{
    dv_slice subject = {0};
    assert_int_equal(dv_api_subject(f->arena, dv_slice_str(type), dv_slice_str(name), &subject),
                     DV_OK);
    assert_int_equal(dv_api_charges_add(charges, kind, dv_api_subject_key(subject),
                                        &f->config->limits[kind], NULL, DV_API_AT_ONCE, NULL),
                     DV_OK);
}

static void test_charges(void **state)
{
    const fixture *f = *state;
    dv_api_charges charges = {.arena = f->arena};
    add_charges(f, DV_API_LIMIT_KEY, "key", "Ab3dEf9h", &charges);
    add_charges(f, DV_API_LIMIT_USER, "user", "alice", &charges);
    add_charges(f, DV_API_LIMIT_GROUP, "group", "ml", &charges);
    assert_int_equal(charges.count, 3);
    assert_true(dv_slice_eq_str(charges.charges[0].key, "key/Ab3dEf9h"));
    assert_true(dv_slice_eq_str(charges.charges[2].key, "group/ml"));
    assert_int_equal(charges.charges[0].cost, 1);
    assert_string_equal(told_of(f, &charges, DV_SHAPE_OPENAI, "RateLimit-Policy"),
                        "\"key\";q=60;w=60, \"key-2\";q=1000;w=3600, \"group\";q=5;w=1");
    charges.charges[0].remaining = 7;
    charges.charges[1].remaining = 3;
    charges.charges[1].reset_after = DV_SECOND + 1;
    charges.charges[2].remaining = 4;
    assert_string_equal(told_of(f, &charges, DV_SHAPE_OPENAI, "RateLimit"), "\"key-2\";r=3;t=2");
    dv_limit_state limit = {.retry_after = 0};
    assert_int_equal(dv_api_retry_after(&limit), 1);
    limit.retry_after = 2 * DV_SECOND + 1;
    assert_int_equal(dv_api_retry_after(&limit), 3);
    limit.retry_after = DV_TIME_NEVER;
    assert_int_equal(dv_api_retry_after(&limit), 0);
    while (charges.count < DV_LIMIT_CHARGES_MAX) {
        add_charges(f, DV_API_LIMIT_GROUP, "group", "ml", &charges);
    }
    assert_int_equal(dv_api_charges_add(&charges, DV_API_LIMIT_GROUP, DV_LIT("group/ml"),
                                        &f->config->limits[DV_API_LIMIT_GROUP], NULL,
                                        DV_API_AT_ONCE, NULL),
                     DV_ERR_TOO_LARGE);
}

static dv_limit_charge told_rate(uint64_t count, dv_limit_unit unit, uint64_t remaining)
{
    return (dv_limit_charge){.rate = {count, 60 * DV_SECOND, 2 * count},
                             .unit = unit,
                             .remaining = remaining,
                             .reset_after = 90 * DV_SECOND + 1};
}

static void test_clients_find_their_headers(void **state)
{
    const fixture *f = *state;
    dv_limit_charge list[] = {
        told_rate(60, DV_LIMIT_REQUESTS, 59),
        told_rate(9000, DV_LIMIT_TOKENS, 500),
        {.kind = DV_LIMIT_BUDGET, .unit = DV_LIMIT_COST, .max = 5, .period = DV_LIMIT_DAY},
        {.kind = DV_LIMIT_CONCURRENT, .max = 5},
        {.kind = DV_LIMIT_BUDGET,
         .unit = DV_LIMIT_TOKENS,
         .max = 100000,
         .remaining = 700,
         .period = DV_LIMIT_MONTH,
         .label = 682,
         .reset_after = 12 * DV_MILLISECOND},
    };
    uint8_t kinds[] = {DV_API_LIMIT_KEY, DV_API_LIMIT_USER, DV_API_LIMIT_USER, DV_API_LIMIT_USER,
                       DV_API_LIMIT_GROUP};
    const dv_api_charges charges = {.charges = list, .kinds = kinds, .count = DV_ARRAY_LEN(list)};
    static const struct {
        dv_api_shape shape;
        const char *name, *value;
    } rows[] = {
        {DV_SHAPE_OPENAI, "RateLimit-Policy",
         "\"key\";q=60;w=60, \"user-tokens\";q=9000;w=60;qu=\"tokens\", "
         "\"group-tokens-month\";q=100000;w=2592000;qu=\"tokens\""},
        {DV_SHAPE_OPENAI, "RateLimit", "\"key\";r=59;t=91, \"user-tokens\";r=500;t=91"},
        {DV_SHAPE_OPENAI, "x-ratelimit-limit-requests", "120"},
        {DV_SHAPE_OPENAI, "x-ratelimit-remaining-requests", "59"},
        {DV_SHAPE_OPENAI, "x-ratelimit-reset-requests", "1m31s"},
        {DV_SHAPE_RESPONSES, "x-ratelimit-remaining-tokens", "500"},
        {DV_SHAPE_OPENAI, "anthropic-ratelimit-tokens-limit", NULL},
        {DV_SHAPE_ANTHROPIC, "anthropic-ratelimit-tokens-limit", "18000"},
        {DV_SHAPE_ANTHROPIC, "anthropic-ratelimit-tokens-remaining", "500"},
        {DV_SHAPE_ANTHROPIC, "anthropic-ratelimit-requests-reset", "2023-11-14T22:14:51Z"},
    };
    for (size_t i = 0; i < 2 * DV_ARRAY_LEN(rows); i++) { /* the second time from what is kept */
        size_t row = i % DV_ARRAY_LEN(rows);
        const char *value = told_of(f, &charges, rows[row].shape, rows[row].name);
        if (rows[row].value == NULL) {
            assert_null(value);
        } else {
            assert_string_equal(value, rows[row].value);
        }
    }
    list[4].remaining = 0;
    list[4].label++; /* a month of 31 days */
    assert_non_null(strstr(told_of(f, &charges, DV_SHAPE_OPENAI, "RateLimit-Policy"), "w=2678400"));
    assert_string_equal(told_of(f, &charges, DV_SHAPE_OPENAI, "x-ratelimit-reset-tokens"), "12ms");
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++) {
        count++;
    }
    return count;
}

/* However many groups somebody is in: the nearest, the caller's own, and no more than there is room
 * for. */
static void test_many_limits_are_few_headers(void **state)
{
    enum { MANY = 500 };
    const fixture *f = *state;
    static dv_limit_charge list[MANY];
    static uint8_t kinds[MANY];
    for (size_t i = 0; i < MANY; i++) {
        list[i] = told_rate(UINT64_MAX / 8 - i, DV_LIMIT_TOKENS, UINT64_MAX - i);
        list[i].rate.period = DV_TIME_NEVER;
        list[i].reset_after = DV_TIME_NEVER;
        kinds[i] = DV_API_LIMIT_NETWORK;
    }
    kinds[400] = DV_API_LIMIT_KEY;
    kinds[401] = DV_API_LIMIT_USER;
    list[402].remaining = 3;
    const dv_api_charges charges = {.charges = list, .kinds = kinds, .count = MANY};
    const char *policy = told_of(f, &charges, DV_SHAPE_OPENAI, "RateLimit-Policy");
    assert_int_equal(count_of(policy, ";q="), DV_API_TOLD_LIMITS);
    assert_int_equal(count_of(policy, ";qu=\"tokens\""), DV_API_TOLD_LIMITS); /* nothing is cut */
    assert_int_equal(count_of(policy, "\"key-tokens\""), 1);
    assert_int_equal(count_of(policy, "\"user-tokens\""), 1);
    assert_int_equal(count_of(policy, "\"network-tokens-6\""), 1);
    assert_non_null(
        strstr(told_of(f, &charges, DV_SHAPE_OPENAI, "RateLimit"), "\"network-tokens-6\";r=3;t="));
}

static void test_denials(void **state)
{
    dv_verdict verdict = {0};
    dv_verdict_deny(&verdict, DV_REASON_BAD_FIELD, "/a\"b: %s", "no");
    dv_api_denial denial = {.verdict = &verdict, .param = DV_LIT("/a\"b"), .request_id = "id"};
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    assert_int_equal(dv_api_denial_render(&denial, DV_SHAPE_OPENAI, &out), DV_OK);
    assert_true(dv_slice_eq_str(
        dv_buf_slice(&out),
        "{\"error\":{\"message\":\"The body has a field that the route does not allow. "
        "(/a\\\"b: no)\",\"type\":\"invalid_request_error\",\"param\":\"/a\\\"b\","
        "\"code\":\"bad_field\"},\"request_id\":\"id\"}"));
    dv_buf_clear(&out);
    denial.status = 429;
    assert_int_equal(dv_api_denial_render_event(&denial, DV_SHAPE_ANTHROPIC, &out), DV_OK);
    assert_true(dv_slice_starts_with(
        dv_buf_slice(&out), DV_LIT("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                                   "\"rate_limit_error\",\"message\":")));
    assert_true(dv_slice_ends_with(dv_buf_slice(&out), DV_LIT(",\"request_id\":\"id\"}\n\n")));
    dv_buf_clear(&out);
    assert_int_equal(dv_api_denial_render_event(&denial, DV_SHAPE_RESPONSES, &out), DV_OK);
    assert_true(dv_slice_starts_with(
        dv_buf_slice(&out), DV_LIT("event: error\ndata: {\"type\":\"error\",\"code\":\"bad_field\","
                                   "\"param\":null,\"message\":\"")));
    assert_true(dv_slice_ends_with(dv_buf_slice(&out), DV_LIT(",\"request_id\":\"id\"}\n\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
        cmocka_unit_test(test_bad_configurations),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_a_credential_header_twice),
        cmocka_unit_test_setup_teardown(test_queries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_are_asked_for_usage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_good_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(names_in_other_letters_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_are_only_alike_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_names_do_not_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_of_forms_are_named_by_pointers, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_of_forms_are_named_whole_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_models, setup, teardown),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test_setup_teardown(test_charges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_find_their_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_limits_are_few_headers, setup, teardown),
        cmocka_unit_test(test_denials),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
