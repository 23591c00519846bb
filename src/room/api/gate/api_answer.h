/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gate itself says to a caller. */

#include "base/buf.h"
#include "core/verdict.h"
#include "room/api/gate/api_limits.h"

typedef struct dv_api_denial {
    const dv_verdict *verdict;
    int status;             /* of the answer; 0: the reason's own */
    dv_slice param;         /* JSON pointer of the member at fault, or empty */
    const char *request_id; /* UUIDv7 text */
} dv_api_denial;

/* Appends the error body in the shape of the caller's API:
 *   OpenAI     {"error":{"message","type","param","code"},"request_id"}
 *   Anthropic  {"type":"error","error":{"type","message"},"request_id"} */
dv_must dv_result dv_api_denial_render(const dv_api_denial *denial, dv_api_shape shape,
                                       dv_buf *out);

/* The same as an event of a stream that has begun: an SSE event of the API's error shape. */
dv_must dv_result dv_api_denial_render_event(const dv_api_denial *denial, dv_api_shape shape,
                                             dv_buf *out);

/* What is told of the limits that a request met: those of both of its charges, of what it did at
 * once and of what it reserved; either may be NULL. */
typedef struct dv_api_told {
    const dv_api_charges *charges[2];
} dv_api_told;

/* The value of `RateLimit` (draft-ietf-httpapi-ratelimit-headers): of each unit the limit that is
 * nearest to its end: "key";r=59;t=1, "group-tokens-month";r=20000;t=86400. A budget of cost is not
 * told: its units are no caller's business. */
dv_must dv_result dv_api_ratelimit_render(const dv_api_told *told, dv_buf *out);
/* The value of `RateLimit-Policy`: "key";q=60;w=60, "key-tokens";q=90000;w=60;qu="tokens" */
dv_must dv_result dv_api_ratelimit_policy_render(const dv_api_told *told, dv_buf *out);
/* The value of `Retry-After` (RFC 9110 section 10.2.3): whole seconds, rounded up, 1 at least; 0:
 * waiting does not help. */
uint64_t dv_api_retry_after(const dv_limit_state *state);

/* The headers in which an API's own clients look for limits of requests and tokens, as lines of
 * "name: value" with LF: x-ratelimit-limit-requests, ... of OpenAI,
 * anthropic-ratelimit-requests-limit, ... of Anthropic. Empty without such limits. */
dv_must dv_result dv_api_ratelimit_client_render(const dv_api_told *told, dv_api_shape shape,
                                                 dv_time now, dv_buf *out);
