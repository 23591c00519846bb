/* SPDX-License-Identifier: Apache-2.0 */
/* A request's parts as a caller sends them: the first line is the path and query, the second the
 * credential header, the rest the body. What is refused must say why; what is accepted must be what
 * it claims. */
#include "base/caps.h"
#include "room/api/gate/api_answer.h"
#include "room/api/gate/api_request.h"

#define ROUTE(name, path, protocol, policy)                                                        \
    "{\"name\":\"" name "\",\"path\":\"" path "\",\"match\":\"prefix\",\"methods\":[\"POST\"],"    \
    "\"protocol\":\"" protocol "\",\"action\":\"use_model\",\"body_limit\":1000000,"               \
    "\"fields\":null,\"request_policy\":" policy ",\"answer_policy\":null}"

static const char config_text[] =
    "{\"routes\":[" ROUTE("chat", "/v1/chat", "openai_chat", "\"p\"") "," ROUTE(
        "completions", "/v1/completions", "openai_completions",
        "\"p\"") "," ROUTE("embeddings", "/v1/embeddings", "openai_embeddings",
                           "\"p\"") "," ROUTE("messages", "/v1/messages", "anthropic_messages",
                                              "\"p\"") "," ROUTE("any", "/", "json",
                                                                 "null") "],\"data_policies\":{"
                                                                         "\"p\":{}},\"limits\":{},"
                                                                         "\"refused_fields\":["
                                                                         "\"api_base\"]}";

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static dv_slice take_line(dv_slice *rest)
{
    dv_slice line = {0};
    return dv_slice_split(rest, '\n', &line) ? line : DV_LIT("");
}

static void try_credential(dv_slice value)
{
    dv_api_presented presented = {0};
    dv_verdict verdict = {0};
    dv_slice credential = {0};
    dv_api_presented_add(&presented, DV_LIT("Authorization"), value);
    if (dv_api_presented_get(&presented, &credential, &verdict) == DV_OK) {
        require(credential.len > 0 && dv_slice_find_byte(credential, ' ') < 0);
        dv_slice behind = dv_slice_sub(value, sizeof("bearer ") - 1, value.len);
        require(dv_slice_find(behind, credential) >= 0);
    } else {
        require(verdict.reason == DV_REASON_BAD_CREDENTIAL);
    }
}

static void try_query(const dv_api_config *config, dv_slice query, dv_arena *arena)
{
    dv_slice text = {0};
    dv_verdict verdict = {0};
    if (dv_api_query_check(config, query, arena, &text, &verdict) == DV_OK) {
        require(dv_slice_find(text, DV_LIT("dvk_")) < 0 && text.len <= query.len);
    } else {
        require(verdict.reason != DV_REASON_UNSET);
    }
}

static void try_denial(const dv_verdict *verdict, dv_slice param, dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = 8, .tokens = 100, .refuse_duplicate_keys = true};
    dv_auto(buf) dv_buf out = dv_buf_init(8 << 10);
    dv_json json = {0};
    dv_api_denial denial = {.verdict = verdict, .param = param, .request_id = "id"};
    require(dv_api_denial_render(&denial, DV_SHAPE_OPENAI, &out) == DV_OK);
    require(dv_json_scan(dv_buf_slice(&out), &limits, arena, &json, NULL) == DV_OK);
}

static void try_body(const dv_api_config *config, const dv_api_route *route, dv_slice text,
                     dv_arena *arena)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_JSON_TOKENS,
                                          .refuse_duplicate_keys = true};
    dv_json json = {0};
    dv_api_body body = {0};
    dv_verdict verdict = {0};
    dv_slice entity = {0};
    if (dv_json_scan(text, &limits, arena, &json, NULL) != DV_OK) {
        return;
    }
    if (dv_api_body_check(config, route, &json, arena, &body, &verdict) != DV_OK) {
        require(verdict.reason == DV_REASON_BAD_FIELD || verdict.reason == DV_REASON_BAD_REQUEST);
        try_denial(&verdict, body.param, arena);
        return;
    }
    require(verdict.decision == DV_DENY && verdict.reason == DV_REASON_UNSET);
    if (route->protocol->has_model) {
        require(dv_api_model_entity(body.model, arena, &entity) == DV_OK);
    }
}

static void try_request(const dv_api_config *config, dv_slice input, dv_arena *arena)
{
    dv_slice target = take_line(&input);
    ptrdiff_t mark = dv_slice_find_byte(target, '?');
    dv_slice path = mark < 0 ? target : dv_slice_sub(target, 0, (size_t)mark);
    try_credential(take_line(&input));
    if (mark >= 0) {
        try_query(config, dv_slice_sub(target, (size_t)mark + 1, target.len), arena);
    }
    if (!dv_api_path_is_normal(path)) {
        return;
    }
    require(dv_slice_find(path, DV_LIT("..")) < 0 || dv_slice_find(path, DV_LIT("/../")) < 0);
    require(dv_slice_find(path, DV_LIT("//")) < 0 && dv_slice_find_byte(path, '%') < 0);
    const dv_api_route *route = dv_api_route_find(config, DV_METHOD_POST, path);
    require(route != NULL && dv_slice_starts_with(path, route->path));
    try_body(config, route, input, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dv_api_config *config;
    if (config == NULL) {
        require(dv_api_config_parse(dv_slice_str(config_text), &config, NULL) == DV_OK);
    }
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 20);
    require(arena != NULL);
    try_request(config, dv_slice_of(data, size), arena);
    return 0;
}
