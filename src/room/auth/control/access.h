/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Decisions for those who ask dvarad: with the gate's own policies, and with every entity that the
 * store knows. Slices of uids are canonical (dv_cedar_uid). */

#include "engine/cedar/cedar.h"
#include "room/auth/control/internal.h"

/* --- deciding (access_decide.c) -------------------------------------------------------------- */

typedef struct dv_access_question {
    dv_slice principal;
    dv_slice action;
    dv_slice resource;
    /* Attributes for this decision only, records or NULL. What the store knows outranks them. */
    const dv_cedar_value *principal_extra;
    const dv_cedar_value *resource_extra;
    const dv_cedar_value *context; /* a record, or NULL: empty */
} dv_access_question;

typedef struct dv_access_verdict {
    bool allowed;
    bool suspended;           /* the principal may do nothing, whatever the policies say */
    const dv_slice *policies; /* that determined it; borrowed from the set */
    size_t policy_count;
    const dv_slice *errors; /* policies that could not be evaluated: any of them refuses */
    size_t error_count;
    bool conditional; /* a condition on the context was asked: in others it may be otherwise */
} dv_access_verdict;

/* Between begin and end the snapshot is read, so nothing may be written. */
typedef struct dv_access {
    dv_call *call;
    const struct dv_cedar_policy_set *policies;
    dv_time now; /* which roles have ended; the call's own unless it is set otherwise */
} dv_access;

/* Errors: DV_ERR_UNAVAILABLE: there are no policies. */
dv_must dv_result dv_access_begin(dv_call *call, dv_access *ret_access, dv_error *error);
void dv_access_end(dv_access *access);
DV_DEFINE_AUTO(access, dv_access, dv_access_end)

/* Everything is made in the arena. Errors (and then nothing is allowed): DV_ERR_TOO_LARGE when the
 * decision needs too many steps, entities or ancestors; the store's. */
dv_must dv_result dv_access_decide(const dv_access *access, const dv_access_question *question,
                                   dv_arena *arena, dv_access_verdict *ret_verdict,
                                   dv_error *error);

/* --- what may be asked about (access_candidates.c) ------------------------------------------- */

/* Ids of one type in the order of their bytes: what the store has and what policies name. */
typedef struct dv_access_candidates {
    const dv_slice *ids;
    size_t count;
    bool more; /* behind the last one */
} dv_access_candidates;

/* At most DV_LIMIT_CANDIDATES behind `after`, which may be empty. Type "Action": those that
 * policies name. */
dv_must dv_result dv_access_candidates_read(const dv_access *access, dv_slice type, dv_slice after,
                                            dv_access_candidates *ret_candidates, dv_error *error);

/* --- what there is to ask about (access_known.c) --------------------------------------------- */

/* Canonical uids in the order of their bytes, each once. */
typedef struct dv_access_uids {
    const dv_slice *items;
    size_t count;
} dv_access_uids;

/* All known actions and all known things, in the call's arena. */
dv_must dv_result dv_access_known_actions(const dv_access *access, dv_access_uids *ret_uids,
                                          dv_error *error);
dv_must dv_result dv_access_known_resources(const dv_access *access, dv_access_uids *ret_uids,
                                            dv_error *error);
/* Refuses an action that no operation, role or policy names. Errors: DV_ERR_INVALID, with the field
 * in call->error_field. */
dv_must dv_result dv_access_action_check(const dv_access *access, const char *field,
                                         dv_slice action, dv_error *error);
/* The name of an action of Dvara's namespace, in the arena; NULL: it is another's, or memory is
 * out. */
const char *dv_access_action_name(dv_slice action, dv_arena *arena);
/* Whether the question makes sense: Dvara's things are for what the schema says, those of others
 * for whatever policies name. */
bool dv_access_applies(const char *action, dv_slice resource);

/* --- what Dvara's own principals may (access_ask.c) ------------------------------------------ */

/* The circumstances that are assumed; what the gate tells policies of a request is made of them. */
typedef struct dv_access_when {
    dv_time at;
    dv_slice address; /* of the caller; empty: not told */
    bool mfa;         /* as if a second factor had been used */
} dv_access_when;

/* Reads the parameters at, address and mfa, as far as they are there. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_access_when_read(dv_call *call, dv_access_when *ret_when, dv_error *error);
/* {"at", "address", "mfa", "credential", "scopes"} for the answer; NULL when memory is out. */
json_t *dv_access_when_json(const dv_access_when *when, const dv_slice *scopes, size_t scope_count);

/* What is asked of a user or service account. */
typedef struct dv_access_asked {
    const dv_principal *principal;
    const dv_slice *scopes; /* of the key; none: it is not confined */
    size_t scope_count;
    dv_slice action;   /* its name */
    dv_slice resource; /* a canonical uid */
} dv_access_asked;

/* Decides about Dvara's own things as the gate does, by the gate's own code; about those of others
 * as dv_access_decide, with the same context. What could not be decided is refused, as there.
 * Errors: DV_ERR_NO_MEMORY, the store's. */
dv_must dv_result dv_access_ask(const dv_access *access, const dv_access_when *when,
                                const dv_access_asked *asked, dv_arena *arena,
                                dv_access_verdict *ret_verdict, dv_error *error);

/* Sets "policies", and of what is permitted "through": [{"policy", "way", "until"}], and "until",
 * when the last of these ways ends; null: never. */
dv_must dv_result dv_access_through_set(const dv_access *access, const dv_auth_walk *up,
                                        const dv_access_verdict *verdict, dv_arena *arena,
                                        json_t *json);

/* "group ml > role data_scientist", in the arena; NULL when memory is out. */
const char *dv_access_way(const dv_auth_walk *up, size_t index, dv_arena *arena);

/* The scopes of a key as the store has them. Errors: DV_ERR_CORRUPT. */
dv_must dv_result dv_access_scopes_split(dv_slice text, dv_arena *arena,
                                         const dv_slice **ret_scopes, size_t *ret_count);

/* Sets "access" (and "next" behind a full page): what of all that is known the principal may do, or
 * is forbidden by name (access_all.c). key: whose scopes confine him, or NULL. */
dv_must dv_result dv_access_all_set(dv_call *call, dv_auth_ref ref, const dv_auth_walk *up,
                                    json_t *answer, dv_error *error);

/* --- JSON to Cedar (access_value.c) ---------------------------------------------------------- */

/* An object as a record: a member that is null is left out, a fraction becomes a decimal, entities
 * and extension values need Cedar's escapes. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_access_record(const json_t *object, dv_arena *arena,
                                   const dv_cedar_value **ret_record, dv_error *error);

/* Both records in one; where a name stands in both, that of `stored` (which may be NULL). */
dv_must dv_result dv_access_merge(const dv_cedar_value *stored, const dv_cedar_value *extra,
                                  dv_arena *arena, const dv_cedar_value **ret_merged);

/* --- AuthZEN 1.0 (authzen.c, authzen_search.c) ----------------------------------------------- */

/* What stands in a request (specs: authorization-api, Information Model), in the arena. */
typedef struct dv_authzen_asked {
    dv_access_question question;
    dv_slice subject_type;
    dv_slice resource_type;
} dv_authzen_asked;

/* Which entity a search looks for: it has no id, and an action is not told at all. */
typedef enum dv_authzen_target {
    DV_AUTHZEN_NONE,
    DV_AUTHZEN_SUBJECT,
    DV_AUTHZEN_RESOURCE,
    DV_AUTHZEN_ACTION,
} dv_authzen_target;

/* Reads the four members of `request`, where they are missing those of `defaults` (NULL: none).
 * Errors: DV_ERR_INVALID, with call->error_field. */
dv_must dv_result dv_authzen_read(dv_call *call, const json_t *request, const json_t *defaults,
                                  dv_authzen_target target, dv_arena *arena,
                                  dv_authzen_asked *ret_asked, dv_error *error);
