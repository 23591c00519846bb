/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the gate itself says to a caller. */

#include "base/buf.h"
#include "core/verdict.h"
#include "room/api/gate/api_protocol.h"

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
