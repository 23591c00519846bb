/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_protocol.h"

enum { STRING_OR_LIST = DV_TYPE_STRING | DV_TYPE_ARRAY, SWITCH = DV_TYPE_BOOL | DV_TYPE_NULL };

static const dv_api_member openai_chat_members[] = {
    {DV_LIT("model"), DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {DV_LIT("messages"), DV_ROLE_MESSAGES, DV_TYPE_ARRAY, true},
    {DV_LIT("stream"), DV_ROLE_STREAM, SWITCH, false},
    {DV_LIT("max_tokens"), DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("max_completion_tokens"), DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("n_predict"), DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false}, /* llama.cpp */
    {DV_LIT("n"), DV_ROLE_CHOICES, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("tools"), DV_ROLE_PLAIN, DV_TYPE_ARRAY | DV_TYPE_NULL, false},
    {DV_LIT("stream_options"), DV_ROLE_PLAIN, DV_TYPE_OBJECT | DV_TYPE_NULL, false},
    {DV_LIT("logprobs"), DV_ROLE_LEAK, SWITCH, false},
    {DV_LIT("top_logprobs"), DV_ROLE_LEAK, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("prompt_logprobs"), DV_ROLE_LEAK, DV_TYPE_INT | SWITCH, false},
    {DV_LIT("echo"), DV_ROLE_LEAK, SWITCH, false},
    {DV_LIT("return_token_ids"), DV_ROLE_LEAK, SWITCH, false},
    {DV_LIT("return_tokens_as_token_ids"), DV_ROLE_LEAK, SWITCH, false},
    {{NULL, 0}},
};

static const dv_api_member openai_completions_members[] = {
    {DV_LIT("model"), DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {DV_LIT("prompt"), DV_ROLE_TEXT, STRING_OR_LIST, true},
    {DV_LIT("suffix"), DV_ROLE_PLAIN, DV_TYPE_STRING | DV_TYPE_NULL, false},
    {DV_LIT("stream"), DV_ROLE_STREAM, SWITCH, false},
    {DV_LIT("stream_options"), DV_ROLE_PLAIN, DV_TYPE_OBJECT | DV_TYPE_NULL, false},
    {DV_LIT("max_tokens"), DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("n_predict"), DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("n"), DV_ROLE_CHOICES, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("best_of"), DV_ROLE_CHOICES, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("logprobs"), DV_ROLE_LEAK, DV_TYPE_INT | SWITCH, false},
    {DV_LIT("prompt_logprobs"), DV_ROLE_LEAK, DV_TYPE_INT | SWITCH, false},
    {DV_LIT("echo"), DV_ROLE_LEAK, SWITCH, false},
    {DV_LIT("return_token_ids"), DV_ROLE_LEAK, SWITCH, false},
    {DV_LIT("return_tokens_as_token_ids"), DV_ROLE_LEAK, SWITCH, false},
    {{NULL, 0}},
};

static const dv_api_member openai_embeddings_members[] = {
    {DV_LIT("model"), DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {DV_LIT("input"), DV_ROLE_TEXT, STRING_OR_LIST, true},
    {DV_LIT("dimensions"), DV_ROLE_PLAIN, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("encoding_format"), DV_ROLE_PLAIN, DV_TYPE_STRING | DV_TYPE_NULL, false},
    {{NULL, 0}},
};

static const dv_api_member openai_responses_members[] = {
    {DV_LIT("model"), DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {DV_LIT("input"), DV_ROLE_ITEMS, STRING_OR_LIST, true},
    {DV_LIT("instructions"), DV_ROLE_PLAIN, DV_TYPE_STRING | DV_TYPE_NULL, false},
    {DV_LIT("stream"), DV_ROLE_STREAM, SWITCH, false},
    {DV_LIT("max_output_tokens"), DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {DV_LIT("tools"), DV_ROLE_PLAIN, DV_TYPE_ARRAY | DV_TYPE_NULL, false},
    {DV_LIT("include"), DV_ROLE_INCLUDE, DV_TYPE_ARRAY | DV_TYPE_NULL, false},
    {DV_LIT("stream_options"), DV_ROLE_PLAIN, DV_TYPE_OBJECT | DV_TYPE_NULL, false},
    {DV_LIT("top_logprobs"), DV_ROLE_LEAK, DV_TYPE_INT | DV_TYPE_NULL, false},
    {{NULL, 0}},
};

static const dv_api_member anthropic_messages_members[] = {
    {DV_LIT("model"), DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {DV_LIT("messages"), DV_ROLE_MESSAGES, DV_TYPE_ARRAY, true},
    {DV_LIT("system"), DV_ROLE_PARTS, STRING_OR_LIST, false},
    {DV_LIT("max_tokens"), DV_ROLE_MAX_TOKENS, DV_TYPE_INT, true},
    {DV_LIT("stream"), DV_ROLE_STREAM, DV_TYPE_BOOL, false},
    {DV_LIT("tools"), DV_ROLE_PLAIN, DV_TYPE_ARRAY, false},
    {{NULL, 0}},
};

static const dv_api_member no_members[] = {{{NULL, 0}}};

#define FITS(members) _Static_assert(DV_ARRAY_LEN(members) <= DV_API_MEMBERS_MAX + 1, "one more")
FITS(openai_chat_members);
FITS(openai_completions_members);
FITS(openai_embeddings_members);
FITS(openai_responses_members);
FITS(anthropic_messages_members);
#undef FITS

static const char *const openai_parts[] = {"text", "refusal", NULL};
static const char *const responses_parts[] = {"input_text",   "output_text",    "refusal",
                                              "summary_text", "reasoning_text", NULL};
static const char *const anthropic_parts[] = {"text",     "tool_use",          "tool_result",
                                              "thinking", "redacted_thinking", NULL};
static const char *const no_parts[] = {NULL};

static const dv_api_protocol protocols[] = {
    {.name = "openai_chat",
     .shape = DV_SHAPE_OPENAI,
     .stream = DV_API_STREAM_OPENAI,
     .object_body = true,
     .has_model = true,
     .members = openai_chat_members,
     .parts = openai_parts,
     .asks_usage = true},
    {.name = "openai_completions",
     .shape = DV_SHAPE_OPENAI,
     .stream = DV_API_STREAM_OPENAI,
     .object_body = true,
     .has_model = true,
     .members = openai_completions_members,
     .parts = no_parts,
     .asks_usage = true},
    {.name = "openai_responses",
     .shape = DV_SHAPE_RESPONSES,
     .stream = DV_API_STREAM_RESPONSES,
     .object_body = true,
     .has_model = true,
     .members = openai_responses_members,
     .parts = responses_parts},
    {.name = "openai_embeddings",
     .shape = DV_SHAPE_OPENAI,
     .stream = DV_API_STREAM_TEXT,
     .object_body = true,
     .has_model = true,
     .members = openai_embeddings_members,
     .parts = no_parts},
    {.name = "openai_models",
     .shape = DV_SHAPE_OPENAI,
     .stream = DV_API_STREAM_TEXT,
     .members = no_members,
     .parts = no_parts},
    {.name = "anthropic_messages",
     .shape = DV_SHAPE_ANTHROPIC,
     .stream = DV_API_STREAM_ANTHROPIC,
     .object_body = true,
     .has_model = true,
     .members = anthropic_messages_members,
     .parts = anthropic_parts},
    {.name = "upload",
     .shape = DV_SHAPE_OPENAI,
     .stream = DV_API_STREAM_TEXT,
     .members = no_members,
     .parts = no_parts,
     .form = true,
     .any_text = true},
    {.name = "json",
     .shape = DV_SHAPE_OPENAI,
     .stream = DV_API_STREAM_TEXT,
     .members = no_members,
     .parts = no_parts,
     .any_text = true},
};

const dv_api_protocol *dv_api_protocol_find(dv_slice name)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(protocols); i++) {
        if (dv_slice_eq_str(name, protocols[i].name)) {
            return &protocols[i];
        }
    }
    return NULL;
}

const char *dv_api_protocol_cap(const dv_api_protocol *protocol, dv_slice name)
{
    for (const dv_api_member *m = protocol->members; m->name.len > 0; m++) {
        if (m->role == DV_ROLE_MAX_TOKENS && (name.len == 0 || dv_slice_eq(name, m->name))) {
            return (const char *)m->name.ptr; /* a literal */
        }
    }
    return NULL;
}
