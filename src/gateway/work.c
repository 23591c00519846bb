/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/work.h"

#include "base/caps.h"

#include <unistd.h>

static const dv_json_limits request_limits = {
    .depth = DV_LIMIT_JSON_DEPTH,
    .tokens = DV_LIMIT_JSON_TOKENS,
    .refuse_duplicate_keys = true,
};

static const dv_json_limits answer_limits = {
    .depth = DV_LIMIT_JSON_DEPTH,
    .tokens = DV_LIMIT_JSON_TOKENS,
    .skip_array_scalars = true, /* embeddings */
};

bool dv_work_reads(const dv_api_route *route)
{
    return route->request_policy >= 0 || route->protocol->object_body || !route->any_field;
}

void dv_work_release(dv_work *work)
{
    if (work->file >= 0) {
        (void)close(work->file);
        work->file = -1;
    }
}

/* Tokens are offsets, so a scanned body may move. */
dv_result dv_work_own(dv_work *work)
{
    DV_TRY(dv_arena_copy(work->arena, work->bytes, &work->bytes));
    work->json.text = work->bytes;
    return DV_OK;
}

/* -- a request's body -------------------------------------------------------------------------- */

static bool deny(dv_work *work, dv_reason reason, const char *detail)
{
    dv_verdict_deny(&work->verdict, reason, "%s", detail);
    return false;
}

static bool read_piece(int file, const dv_work_piece *piece)
{
    for (size_t done = 0; done < piece->len;) {
        ssize_t n = pread(file, piece->to + done, piece->len - done, piece->at + (off_t)done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* What nginx spilled lies on tmpfs. */
static bool read_pieces(dv_work *work)
{
    bool whole = true;
    for (size_t i = 0; whole && i < work->piece_count; i++) {
        whole = read_piece(work->file, &work->pieces[i]);
    }
    dv_work_release(work);
    return whole || deny(work, DV_REASON_INTERNAL, "");
}

static bool scan(dv_work *work)
{
    dv_error error = {0};
    dv_result result = dv_json_scan(work->bytes, &request_limits, work->arena, &work->json, &error);
    if (result == DV_OK) {
        return true;
    }
    if (result != DV_ERR_INVALID && result != DV_ERR_TOO_LARGE) {
        return deny(work, DV_REASON_INTERNAL, "");
    }
    dv_verdict_deny(&work->verdict, DV_REASON_BAD_JSON, "line %d column %d: %s", error.line,
                    error.column, error.message);
    return false;
}

static bool check_rules(dv_work *work)
{
    dv_result result = dv_api_body_check(work->config->api, work->route, &work->json, work->arena,
                                         &work->body, &work->verdict);
    return result == DV_OK || deny(work, DV_REASON_INTERNAL, "");
}

static bool check_form(dv_work *work)
{
    dv_result result = dv_api_form_check(work->config->api, work->route, work->bytes,
                                         work->boundary, work->arena, &work->body, &work->verdict);
    return result == DV_OK || deny(work, DV_REASON_INTERNAL, "");
}

static bool check(dv_work *work)
{
    if (!read_pieces(work)) {
        return false;
    }
    if (!dv_work_reads(work->route)) {
        return true;
    }
    if (work->bytes.len > 0) {
        return work->route->protocol->form ? check_form(work) : scan(work) && check_rules(work);
    }
    return !work->route->protocol->object_body ||
           deny(work, DV_REASON_BAD_REQUEST, "a JSON body is needed");
}

void dv_work_check(dv_work *work)
{
    work->checked = check(work) && work->verdict.reason == DV_REASON_UNSET;
}

/* What a stream used is told at its end when that is asked for. */
static bool may_ask(const dv_work *work)
{
    const dv_api_route *route = work->route;
    return route->ask_usage && route->protocol->asks_usage && route->answer_policy >= 0 &&
           work->body.stream;
}

static dv_result add_inserts(dv_work *work, const dv_json *json, bool caps, bool asks)
{
    dv_api_insert *inserts = work->inserts;
    size_t count = 0;
    if (caps) {
        DV_TRY(dv_api_cap_put(json, work->route, work->cap, work->arena, &inserts[count]));
        count++;
    }
    work->asks_usage = asks && dv_api_usage_ask(json, &inserts[count]);
    count += work->asks_usage;
    if (count == 2 && inserts[1].at < inserts[0].at) {
        dv_api_insert first = inserts[1];
        inserts[1] = inserts[0];
        inserts[0] = first;
    }
    work->insert_count = count;
    return DV_OK;
}

/* What is put at the front of the body stands there whatever was masked; members that are there
 * already have to be looked for again. */
static dv_result find_inserts(dv_work *work)
{
    const dv_json *json = &work->json;
    dv_json rewritten = {0};
    bool caps = work->cap > 0 && work->route->cap != NULL && json->count > 0;
    bool asks = may_ask(work) && json->count > 0;
    if (!caps && !asks) {
        return DV_OK;
    }
    bool within =
        (asks && dv_json_member(json, 0, "stream_options") != 0) ||
        (caps && (work->body.max_tokens >= 0 || dv_json_member(json, 0, work->route->cap) != 0));
    if (work->outcome.changed && within) {
        DV_TRY(dv_json_scan(work->outcome.body, &request_limits, work->arena, &rewritten, NULL));
        json = &rewritten;
    }
    return add_inserts(work, json, caps, asks);
}

/* Files take their time, which is a thread's. */
static dv_result inspect_form(dv_work *work)
{
    return work->effort != 0
               ? DV_ERR_AGAIN
               : dv_data_gate_form(work->gate, work->request_policy, work->context, work->bytes,
                                   work->boundary, work->arena, &work->outcome, &work->verdict);
}

void dv_work_inspect(dv_work *work)
{
    dv_verdict_allow(&work->verdict, "");
    work->result = DV_OK;
    if (work->request_policy != NULL && work->route->protocol->form && work->bytes.len > 0) {
        work->result = inspect_form(work);
    } else if (work->request_policy != NULL && work->json.count > 0) {
        dv_data_gate_hurry(work->gate, work->effort);
        work->result =
            dv_data_gate_request(work->gate, work->request_policy, work->context, &work->json,
                                 work->arena, &work->outcome, &work->verdict);
        dv_data_gate_hurry(work->gate, 0);
    }
    if (work->result == DV_OK && work->verdict.decision == DV_ALLOW) {
        work->result = find_inserts(work);
    }
}

/* -- an answer's body -------------------------------------------------------------------------- */

static int64_t usage_of(const dv_json *json, uint32_t usage, const char *name)
{
    int64_t value = -1;
    uint32_t token = dv_json_member(json, usage, name);
    if (token == 0 || json->tokens[token].type != DV_JSON_NUMBER ||
        dv_json_int(json, token, &value) != DV_OK || value < 0) {
        return -1;
    }
    return value;
}

/* Anthropic counts what lies in its cache apart. Counts that no model has are as good as none. */
static int64_t input_of(const dv_json *json, uint32_t usage)
{
    static const char *const cached[] = {"cache_creation_input_tokens", "cache_read_input_tokens"};
    int64_t input = usage_of(json, usage, "input_tokens");
    for (size_t i = 0; input >= 0 && i < DV_ARRAY_LEN(cached); i++) {
        int64_t more = usage_of(json, usage, cached[i]);
        if (more > 0 && __builtin_add_overflow(input, more, &input)) {
            return -1;
        }
    }
    return input;
}

/* OpenAI says prompt_tokens and completion_tokens, Anthropic input_tokens and output_tokens. */
static void read_usage(dv_work *work, const dv_json *json)
{
    if (json->tokens[0].type != DV_JSON_OBJECT) {
        return;
    }
    uint32_t usage = dv_json_member(json, 0, "usage");
    if (usage == 0 || json->tokens[usage].type != DV_JSON_OBJECT) {
        return;
    }
    int64_t input = usage_of(json, usage, "prompt_tokens");
    int64_t output = usage_of(json, usage, "completion_tokens");
    work->input_tokens = input >= 0 ? input : input_of(json, usage);
    work->output_tokens = output >= 0 ? output : usage_of(json, usage, "output_tokens");
}

static bool is_generated(dv_slice name)
{
    static const char *const names[] = {"content",   "text",     "arguments", "reasoning_content",
                                        "reasoning", "thinking", "refusal"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_str(name, names[i])) {
            return true;
        }
    }
    return false;
}

/* Bytes of a string when its escapes are undone, or a little less. */
static uint64_t decoded_length(dv_slice raw)
{
    uint64_t length = 0;
    for (size_t i = 0; i < raw.len; length++) {
        bool escape = raw.ptr[i] == '\\' && i + 1 < raw.len;
        i += !escape ? 1 : raw.ptr[i + 1] == 'u' ? 6 : 2;
    }
    return length;
}

/* Where answers have no known form, every text may be what was generated. */
static uint64_t count_text(const dv_json *json, bool any)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < json->count; i++) {
        bool key = i > 0 && json->tokens[i - 1].type == DV_JSON_KEY;
        if (json->tokens[i].type == DV_JSON_STRING &&
            (any || (key && is_generated(dv_json_raw(json, i - 1))))) {
            bytes += decoded_length(dv_json_raw(json, i));
        }
    }
    return bytes;
}

static dv_result inspect_answer(dv_work *work, const dv_data_policy *policy)
{
    dv_json json = {0};
    if (work->text && work->route->protocol->form) {
        work->text_bytes = work->bytes.len;
        return work->effort != 0 ? DV_ERR_AGAIN
                                 : dv_data_gate_file(work->gate, policy, work->context, work->bytes,
                                                     work->arena, &work->outcome, &work->verdict);
    }
    if (work->text) {
        work->text_bytes = work->bytes.len;
        return dv_data_gate_text(work->gate, policy, work->context, true, work->bytes, work->arena,
                                 &work->outcome, &work->verdict);
    }
    DV_TRY(dv_json_scan(work->bytes, &answer_limits, work->arena, &json, NULL));
    read_usage(work, &json);
    if (work->count_text) {
        work->text_bytes = count_text(&json, work->route->protocol->any_text);
    }
    return dv_data_gate_answer(work->gate, policy, work->context, &json, work->arena,
                               &work->outcome, &work->verdict);
}

void dv_work_answer(dv_work *work)
{
    dv_verdict_allow(&work->verdict, "");
    dv_data_gate_hurry(work->gate, work->effort);
    work->result = inspect_answer(work, work->answer_policy);
    dv_data_gate_hurry(work->gate, 0);
}
