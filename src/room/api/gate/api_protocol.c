/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_protocol.h"

enum { STRING_OR_LIST = DV_TYPE_STRING | DV_TYPE_ARRAY, SWITCH = DV_TYPE_BOOL | DV_TYPE_NULL };

static const dv_api_member openai_chat_members[] = {
    {"model", DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {"messages", DV_ROLE_MESSAGES, DV_TYPE_ARRAY, true},
    {"stream", DV_ROLE_STREAM, SWITCH, false},
    {"max_tokens", DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"max_completion_tokens", DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"n", DV_ROLE_CHOICES, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"tools", DV_ROLE_PLAIN, DV_TYPE_ARRAY | DV_TYPE_NULL, false},
    {"stream_options", DV_ROLE_PLAIN, DV_TYPE_OBJECT | DV_TYPE_NULL, false},
    {"logprobs", DV_ROLE_LEAK, SWITCH, false},
    {"top_logprobs", DV_ROLE_LEAK, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"prompt_logprobs", DV_ROLE_LEAK, DV_TYPE_INT | SWITCH, false},
    {"echo", DV_ROLE_LEAK, SWITCH, false},
    {"return_token_ids", DV_ROLE_LEAK, SWITCH, false},
    {"return_tokens_as_token_ids", DV_ROLE_LEAK, SWITCH, false},
    {NULL},
};

static const dv_api_member openai_completions_members[] = {
    {"model", DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {"prompt", DV_ROLE_TEXT, STRING_OR_LIST, true},
    {"suffix", DV_ROLE_PLAIN, DV_TYPE_STRING | DV_TYPE_NULL, false},
    {"stream", DV_ROLE_STREAM, SWITCH, false},
    {"stream_options", DV_ROLE_PLAIN, DV_TYPE_OBJECT | DV_TYPE_NULL, false},
    {"max_tokens", DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"n_predict", DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"n", DV_ROLE_CHOICES, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"best_of", DV_ROLE_CHOICES, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"logprobs", DV_ROLE_LEAK, DV_TYPE_INT | SWITCH, false},
    {"prompt_logprobs", DV_ROLE_LEAK, DV_TYPE_INT | SWITCH, false},
    {"echo", DV_ROLE_LEAK, SWITCH, false},
    {"return_token_ids", DV_ROLE_LEAK, SWITCH, false},
    {"return_tokens_as_token_ids", DV_ROLE_LEAK, SWITCH, false},
    {NULL},
};

static const dv_api_member openai_embeddings_members[] = {
    {"model", DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {"input", DV_ROLE_TEXT, STRING_OR_LIST, true},
    {"dimensions", DV_ROLE_PLAIN, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"encoding_format", DV_ROLE_PLAIN, DV_TYPE_STRING | DV_TYPE_NULL, false},
    {NULL},
};

static const dv_api_member openai_responses_members[] = {
    {"model", DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {"input", DV_ROLE_ITEMS, STRING_OR_LIST, true},
    {"instructions", DV_ROLE_PLAIN, DV_TYPE_STRING | DV_TYPE_NULL, false},
    {"stream", DV_ROLE_STREAM, SWITCH, false},
    {"max_output_tokens", DV_ROLE_MAX_TOKENS, DV_TYPE_INT | DV_TYPE_NULL, false},
    {"tools", DV_ROLE_PLAIN, DV_TYPE_ARRAY | DV_TYPE_NULL, false},
    {"include", DV_ROLE_INCLUDE, DV_TYPE_ARRAY | DV_TYPE_NULL, false},
    {"stream_options", DV_ROLE_PLAIN, DV_TYPE_OBJECT | DV_TYPE_NULL, false},
    {"top_logprobs", DV_ROLE_LEAK, DV_TYPE_INT | DV_TYPE_NULL, false},
    {NULL},
};

static const dv_api_member anthropic_messages_members[] = {
    {"model", DV_ROLE_MODEL, DV_TYPE_STRING, true},
    {"messages", DV_ROLE_MESSAGES, DV_TYPE_ARRAY, true},
    {"system", DV_ROLE_PARTS, STRING_OR_LIST, false},
    {"max_tokens", DV_ROLE_MAX_TOKENS, DV_TYPE_INT, true},
    {"stream", DV_ROLE_STREAM, DV_TYPE_BOOL, false},
    {"tools", DV_ROLE_PLAIN, DV_TYPE_ARRAY, false},
    {NULL},
};

static const dv_api_member no_members[] = {{NULL}};

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
    {.name = "json",
     .shape = DV_SHAPE_OPENAI,
     .stream = DV_API_STREAM_TEXT,
     .members = no_members,
     .parts = no_parts},
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
