/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Headers of a caller that a model server gets, once body.c has inspected their values: the name
 * and nginx's variable. The caller's User-Agent is not among them: it tells of the caller's machine
 * and no model server needs it. */
#define DV_FORWARDED_HEADERS(X)                                                                    \
    X("Accept", "$http_accept")                                                                    \
    X("Accept-Language", "$http_accept_language")                                                  \
    X("Content-Type", "$content_type")                                                             \
    X("Idempotency-Key", "$http_idempotency_key")                                                  \
    X("OpenAI-Beta", "$http_openai_beta")                                                          \
    X("OpenAI-Organization", "$http_openai_organization")                                          \
    X("OpenAI-Project", "$http_openai_project")                                                    \
    X("Anthropic-Version", "$http_anthropic_version")                                              \
    X("Anthropic-Beta", "$http_anthropic_beta")                                                    \
    X("Traceparent", "$http_traceparent")                                                          \
    X("Tracestate", "$http_tracestate")
