/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gate itself says to a caller. */

#include "base/buf.h"
#include "core/verdict.h"
#include "room/api/gate/api_request.h"

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

/* The value of `RateLimit` (draft-ietf-httpapi-ratelimit-headers): "key";r=59;t=1 */
dv_must dv_result dv_api_ratelimit_render(const dv_api_charges *charges,
                                          const dv_limit_state *state, dv_buf *out);
/* The value of `RateLimit-Policy`: "key";q=60;w=60, "user";q=600;w=60 */
dv_must dv_result dv_api_ratelimit_policy_render(const dv_api_charges *charges, dv_buf *out);
/* The value of `Retry-After` (RFC 9110 section 10.2.3): whole seconds, rounded up, 1 at least. */
uint64_t dv_api_retry_after(const dv_limit_state *state);
