/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/control/internal.h"

const char dv_api_defaults[] =
    "routes:\n"
    "  - {name: openai-chat, path: /v1/chat/completions, protocol: openai_chat}\n"
    "  - {name: openai-completions, path: /v1/completions, protocol: openai_completions}\n"
    "  - {name: openai-responses, path: /v1/responses, protocol: openai_responses}\n"
    "  - {name: openai-embeddings, path: /v1/embeddings, protocol: openai_embeddings}\n"
    "  - {name: openai-models, path: /v1/models, match: prefix, protocol: openai_models}\n"
    "  - {name: anthropic-messages, path: /v1/messages, protocol: anthropic_messages}\n"
    "  - {name: json-predict, path: /predict, protocol: json}\n"
    "  - {name: json-invocations, path: /invocations, protocol: json}\n"
    "limits:\n"
    "  key: [{count: 600, per: 1m}]\n"
    "  user: [{count: 1200, per: 1m}]\n"
    "  group: []\n"
    "  address: [{count: 3000, per: 1m}]\n"
    "  model: []\n"
    "  route: []\n"
    "  warn: [80, 100]\n"
    /* With one of these a caller would choose where the request, or its credential, goes. */
    "refused_fields: [api_base, base_url, api_base_url, api_key, api_version, endpoint_url,\n"
    "  custom_llm_provider, model_list, fallbacks, callbacks, success_callback,\n"
    "  failure_callback, aws_access_key_id, aws_secret_access_key, aws_bedrock_runtime_endpoint,\n"
    "  vertex_credentials, extra_headers, mock_response, proxy]\n";

/* The public APIs' own fields, and those that the common local servers (vLLM, llama.cpp, Ollama)
 * add to them and that choose only how to sample. */
#define DV_SAMPLING_FIELDS                                                                         \
    "model", "temperature", "top_p", "top_k", "min_p", "typical_p", "n", "seed", "stop",           \
        "stop_token_ids", "max_tokens", "min_tokens", "stream", "stream_options", "user",          \
        "presence_penalty", "frequency_penalty", "repetition_penalty", "repeat_penalty",           \
        "logit_bias", "logprobs", "ignore_eos", "skip_special_tokens", "cache_prompt",             \
        "guided_json", "guided_regex", "guided_choice", "guided_grammar", "grammar", "json_schema"

static const char *const openai_chat_fields[] = {
    DV_SAMPLING_FIELDS,
    "messages",
    "max_completion_tokens",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "modalities",
    "prediction",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "chat_template_kwargs",
    "add_generation_prompt",
    "continue_final_message",
    NULL,
};

static const char *const openai_completions_fields[] = {
    DV_SAMPLING_FIELDS, "prompt", "suffix", "echo", "best_of", "n_predict", NULL,
};

/* Without those that go on with what lies at the model server (previous_response_id, conversation,
 * prompt, background): the gate has not seen it, and whoever knows its id could have it. */
static const char *const openai_responses_fields[] = {
    "model",
    "input",
    "instructions",
    "stream",
    "stream_options",
    "max_output_tokens",
    "max_tool_calls",
    "temperature",
    "top_p",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "include",
    "truncation",
    "metadata",
    "store",
    "service_tier",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    NULL,
};

static const char *const openai_embeddings_fields[] = {
    "model", "input", "encoding_format", "dimensions", "user", "truncate_prompt_tokens", NULL,
};

static const char *const anthropic_messages_fields[] = {
    "model",          "messages",     "system",      "max_tokens",
    "stop_sequences", "stream",       "temperature", "top_p",
    "top_k",          "tools",        "tool_choice", "metadata",
    "thinking",       "service_tier", "container",   "context_management",
    "output_config",  NULL,
};

static const struct {
    const char *protocol;
    const char *const *fields;
} protocol_fields[] = {
    {"openai_chat", openai_chat_fields},
    {"openai_completions", openai_completions_fields},
    {"openai_responses", openai_responses_fields},
    {"openai_embeddings", openai_embeddings_fields},
    {"anthropic_messages", anthropic_messages_fields},
};

const char *const *dv_api_protocol_fields(const char *protocol)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(protocol_fields); i++) {
        if (strcmp(protocol_fields[i].protocol, protocol) == 0) {
            return protocol_fields[i].fields;
        }
    }
    return NULL;
}
