/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who calls, and may they? On the request path: reads the snapshot, no SQL, no blocking. */

#include "base/arena.h"
#include "core/principal.h"
#include "core/verdict.h"
#include "store/snapshot.h"

typedef struct dv_auth_gate dv_auth_gate;

/* One for each worker. Holds the pepper's prepared HMAC and the compiled policy set. */
dv_must dv_result dv_auth_gate_new(dv_auth_gate **ret_gate);
void dv_auth_gate_free(dv_auth_gate *gate);

/* Loads what changed when the snapshot's generation moved; cheap when it did not. Call within
 * dv_snapshot_begin/end before the two functions below. On an error nothing is permitted until a
 * refresh succeeds. */
dv_must dv_result dv_auth_gate_refresh(dv_auth_gate *gate, dv_snapshot *snapshot, dv_error *error);

/* The policies that the gate decides with, for those who ask them other questions; NULL when it is
 * not ready. Good until the next refresh. */
struct dv_cedar_policy_set;
const struct dv_cedar_policy_set *dv_auth_gate_policies(const dv_auth_gate *gate);
/* The same of models and routes (gate/resources.h). */
struct dv_resources;
const struct dv_resources *dv_auth_gate_resources(const dv_auth_gate *gate);

typedef struct dv_identity {
    dv_principal principal;
    dv_credential credential;
    dv_time expires;          /* of the credential, the secret presented or a role, if sooner */
    uint8_t secret[32];       /* HMAC of what was presented, as the snapshot has it */
    struct dv_caller *caller; /* the room's own: what it knows of a caller seen before, or NULL */
} dv_identity;

/* Checks a presented API key ("dvk_..."). Junk is refused by its checksum before any look-up; the
 * secret is compared in constant time; expired, revoked, suspended and unknown are all told as
 * BAD_CREDENTIAL. The identity lives as long as the arena; the snapshot can be released.
 * Returns DV_ERR_UNAUTHENTICATED with the verdict denied. */
dv_must dv_result dv_auth_gate_api_key(dv_auth_gate *gate, dv_snapshot *snapshot,
                                       dv_slice presented, dv_time now, dv_arena *arena,
                                       dv_identity *ret_identity, dv_verdict *verdict);

/* The identity as it is now, for a decision that comes later than the one that accepted its
 * credential: the credential, its secret and its principal are still good, and scopes, roles and
 * groups are read again into the arena. identity and ret_identity may be the same. Call within
 * dv_snapshot_begin/end. Errors: DV_ERR_UNAUTHENTICATED, DV_ERR_UNAVAILABLE; any error means: stop.
 */
dv_must dv_result dv_auth_gate_renew(dv_auth_gate *gate, dv_snapshot *snapshot,
                                     const dv_identity *identity, dv_time now, dv_arena *arena,
                                     dv_identity *ret_identity);

/* Notes each accepted key's time of use in the file that dvarad reads in batches (RUNTIME/usage;
 * made by dvarad). Optional: without it keys are accepted and not noted. */
dv_must dv_result dv_auth_gate_note_usage(dv_auth_gate *gate, const char *path, dv_error *error);

/* What the decision is about. entity slices are in Cedar's text: Model::"gpt-4o", Route::"chat". */
typedef struct dv_auth_request {
    dv_slice action;   /* "use_model" */
    dv_slice resource; /* Model::"gpt-4o" */
    dv_slice address;  /* of the caller: "10.0.0.1" */
    dv_time now;
} dv_auth_request;

/* The one function that every decision passes: credential scopes, then Cedar. The verdict stays
 * deny whatever goes wrong. */
void dv_auth_gate_authorize(dv_auth_gate *gate, dv_snapshot *snapshot, const dv_identity *identity,
                            const dv_auth_request *request, dv_arena *arena, dv_verdict *verdict);

/* Whether the credential is good for the action at all; one without scopes is good for every one.
 */
bool dv_auth_scope_covers(const dv_credential *credential, dv_slice action);

/* The user or service of that name as the gate sees it at that time, with what is over it, in the
 * arena. ret_until: when the first of its roles ends. Call within dv_snapshot_begin/end. Errors:
 * DV_ERR_UNAUTHENTICATED (suspended), DV_ERR_NOT_FOUND, DV_ERR_CORRUPT, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_auth_gate_principal(dv_snapshot *snapshot, dv_principal_type type,
                                         dv_slice name, dv_time now, dv_arena *arena,
                                         dv_principal *ret_principal, dv_time *ret_until);

/* What Cedar answers to the very question that dv_auth_gate_authorize asks, with all policies that
 * determine it (engine/cedar/cedar.h), for those who show it to people: it permits nothing, and the
 * gate refuses, besides, what the scopes leave out and whatever a policy could not be evaluated
 * for. Errors: DV_ERR_UNAVAILABLE (not ready), and as dv_cedar_decide: the gate refuses then. */
struct dv_cedar_answer;
dv_must dv_result dv_auth_gate_ask(dv_auth_gate *gate, const dv_identity *identity,
                                   const dv_auth_request *request, dv_arena *arena,
                                   struct dv_cedar_answer *ret_answer);

/* Begin, refresh, API key, authorize, end: for callers that ask one question a request (the REST
 * API of dvarad, with the writer's snapshot). The identity is filled when the key was good, also
 * when the decision is deny; otherwise its names are empty. */
void dv_auth_gate_check(dv_auth_gate *gate, dv_snapshot *snapshot, dv_slice presented,
                        const dv_auth_request *request, dv_arena *arena, dv_identity *ret_identity,
                        dv_verdict *verdict);
