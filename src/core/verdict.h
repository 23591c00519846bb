/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/arena.h"
#include "base/macros.h"

/* The answer to "may this happen?". Zero is deny: a verdict that nobody set refuses. */
typedef enum dv_decision { DV_DENY = 0, DV_ALLOW = 1 } dv_decision;

/* Why. The first refusal wins; names are stable: they stand in events, in `dvara why` and in the
 * error's "code". */
#define DV_REASONS(X)                                                                              \
    X(UNSET, "not_decided", 403, "No part of Dvara decided this request.")                         \
    X(OK, "ok", 200, "Allowed.")                                                                   \
    X(NO_ROUTE, "no_route", 404, "No route matches this path and method.")                         \
    X(BAD_PATH, "bad_path", 400, "The path does not normalise to itself.")                         \
    X(NO_CREDENTIAL, "no_credential", 401, "No credential was presented.")                         \
    X(BAD_CREDENTIAL, "bad_credential", 401, "The credential is not valid.")                       \
    X(NOT_PERMITTED, "not_permitted", 403, "No policy permits this.")                              \
    X(FORBIDDEN, "forbidden_by_policy", 403, "A policy forbids this.")                             \
    X(SCOPE, "outside_scope", 403, "The key's scopes do not cover this.")                          \
    X(RATE_LIMIT, "rate_limited", 429, "Too many requests.")                                       \
    X(BUDGET, "budget_exceeded", 429, "The token budget is used up.")                              \
    X(LIMITS_FULL, "limits_unavailable", 503, "The limit table has no room.")                      \
    X(BODY_TIMEOUT, "body_timeout", 408, "The body took too long to come.")                        \
    X(BODY_TOO_LARGE, "body_too_large", 413, "The body is larger than the route allows.")          \
    X(BAD_JSON, "bad_json", 400, "The body is not acceptable JSON.")                               \
    X(BAD_FIELD, "bad_field", 400, "The body has a field that the route does not allow.")          \
    X(BAD_CONTENT_TYPE, "bad_content_type", 415, "The route does not accept this content type.")   \
    X(BAD_ENCODING, "bad_encoding", 415, "Encoded bodies are not accepted on this route.")         \
    X(BAD_REQUEST, "bad_request", 400, "The request is malformed.")                                \
    X(SENSITIVE_DATA, "sensitive_data", 400, "The content holds data that policy blocks.")         \
    X(ANSWER_BLOCKED, "answer_blocked", 502, "The answer holds data that policy blocks.")          \
    X(ANSWER_UNREADABLE, "answer_unreadable", 502, "The answer can not be inspected.")             \
    X(DATA_VOLUME, "data_volume", 429, "Too many values of protected data in a while.")            \
    X(UPSTREAM, "upstream_failed", 502, "The model server did not answer.")                        \
    X(AUDIT_UNAVAILABLE, "audit_unavailable", 503, "The request can not be logged.")               \
    X(OVERLOADED, "overloaded", 503, "Too many large bodies wait to be inspected.")                \
    X(NOT_READY, "not_ready", 503, "Dvara has no valid configuration loaded.")                     \
    X(INTERNAL, "internal", 500, "Dvara failed.")

typedef enum dv_reason {
#define DV_REASON_ENUM(id, name, status, text) DV_REASON_##id,
    DV_REASONS(DV_REASON_ENUM)
#undef DV_REASON_ENUM
        DV_REASON_COUNT
} dv_reason;

enum { DV_VERDICT_DETAIL_MAX = 192, DV_VERDICT_POLICY_MAX = 64, DV_VERDICT_OTHERS_MAX = 512 };

typedef struct dv_verdict {
    dv_decision decision;
    dv_reason reason;
    char policy[DV_VERDICT_POLICY_MAX]; /* id of the (first) determining policy or limit, or "" */
    uint16_t unnamed;                   /* determining policies that others has no room for */
    dv_slice others; /* ids of those behind the first, with newlines between them; borrowed from the
                      * arena of the decision; nearly always empty */
    char detail[DV_VERDICT_DETAIL_MAX]; /* for the caller: names the field, never a value */
} dv_verdict;

/* As if nobody had decided. Cheaper than zeroing the room of its texts. */
static inline void dv_verdict_reset(dv_verdict *verdict)
{
    verdict->decision = DV_DENY;
    verdict->reason = DV_REASON_UNSET;
    verdict->policy[0] = '\0';
    verdict->others = (dv_slice){NULL, 0};
    verdict->detail[0] = '\0';
}

const char *dv_reason_name(dv_reason reason);
int dv_reason_status(dv_reason reason);
const char *dv_reason_text(dv_reason reason);

/* Sets deny with the reason and an optional detail; keeps an earlier denial. */
void dv_verdict_deny(dv_verdict *verdict, dv_reason reason, const char *format, ...)
    dv_printf(3, 4);

/* Sets allow; does nothing to a verdict that was denied. policy may be NULL. */
void dv_verdict_allow(dv_verdict *verdict, const char *policy);

/* Names the determining policies, in place of those that were named before. The first of them is
 * verdict->policy; what others says lies in the arena. Ids that are too long are cut. */
void dv_verdict_policies(dv_verdict *verdict, const dv_slice *ids, size_t count, dv_arena *arena);

/* Takes the next id off the front of others; false: there is none. */
bool dv_verdict_others_next(dv_slice *rest, dv_slice *ret_id);
