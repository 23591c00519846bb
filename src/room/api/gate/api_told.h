/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a caller is told of its limits. A budget of cost and what runs at once are not told: those
 * are no caller's business. */

#include "room/api/gate/api_limits.h"

enum {
    DV_API_TOLD_LIMITS = 8,   /* named in RateLimit-Policy */
    DV_API_TOLD_HEADERS = 8,  /* of one answer */
    DV_API_TOLD_TEXT = 1024,  /* bytes of all values together */
    DV_API_POLICIES_KEPT = 16 /* texts of RateLimit-Policy, of as many kinds of callers */
};

/* What a request met: the charges of what it did at once and of what it reserved; either may be
 * NULL. */
typedef struct dv_api_told {
    const dv_api_charges *charges[2];
    dv_api_shape shape;
    dv_time now; /* of the decision */
} dv_api_told;

/* Values of RateLimit-Policy, which are the same for all whose limits have the same numbers. Zeroed
 * before its first use; one thread's. */
typedef struct dv_api_policies {
    struct {
        uint64_t numbers[3 * DV_API_TOLD_LIMITS]; /* that the text was made of */
        size_t count;                             /* 0: free */
        size_t len;
        uint8_t text[DV_API_TOLD_TEXT];
    } kept[DV_API_POLICIES_KEPT];
} dv_api_policies;

typedef struct dv_api_header {
    dv_slice name; /* a constant, NUL-terminated */
    dv_slice value;
} dv_api_header;

/* The headers that tell of limits; values lie in the arena:
 *
 *   RateLimit-Policy   "key";q=60;w=60, "key-tokens";q=90000;w=60;qu="tokens"
 *   RateLimit          "key";r=59;t=1, "key-tokens";r=20000;t=30
 *                      (draft-ietf-httpapi-ratelimit-headers: of each unit the limit that is
 *                      nearest to its end, "key-2" the second of its name)
 *   x-ratelimit-limit-requests, ... where OpenAI's clients look,
 * anthropic-ratelimit-requests-limit,
 *   ... where Anthropic's do: of the same limits
 *
 * Of more than DV_API_TOLD_LIMITS limits those are named that are nearest to their end, then those
 * of the caller's key and user, then the first of the others. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_api_told_headers(const dv_api_told *told, dv_api_policies *policies,
                                      dv_arena *arena, dv_api_header headers[DV_API_TOLD_HEADERS],
                                      size_t *ret_count);

/* The value of `Retry-After` (RFC 9110 section 10.2.3): whole seconds, rounded up, 1 at least; 0:
 * waiting does not help. */
uint64_t dv_api_retry_after(const dv_limit_state *state);
