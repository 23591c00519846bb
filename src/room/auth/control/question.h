/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Questions that people ask of policies: may this one do that, and why? Needs no store, so that
 * the command line asks them of files, too. JSON as in docs/authorization.md. */

#include "base/clock.h"
#include "engine/cedar/cedar.h"

#include <jansson.h>

/* What a question is asked of. lookup: as dv_cedar_decide wants it. */
typedef struct dv_auth_world {
    const dv_cedar_policy_set *set;
    dv_cedar_lookup lookup;
    void *lookup_data;
} dv_auth_world;

typedef struct dv_auth_question {
    dv_slice principal; /* canonical uids */
    dv_slice action;
    dv_slice resource;
    dv_cedar_value context;
} dv_auth_question;

/* Reads {"principal", "action", "resource", "context"?} into the arena. An action may be written
 * without Action::"...". The context has what the gate would give (gate/context.h), with what is
 * given in its place; now is an RFC 3339 text, address an address, scopes a list; anything else is
 * as Cedar writes JSON. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_auth_question_read(const json_t *json, dv_time now, dv_arena *arena,
                                        dv_auth_question *ret_question, dv_error *error);

/* One entity as people write it: Type::"id", or with a type a plain id of that type (NULL: none).
 * Errors: DV_ERR_INVALID. */
dv_must dv_result dv_auth_uid_read(const json_t *text, const char *type, dv_arena *arena,
                                   dv_slice *ret_uid, dv_error *error);
/* Type::"id" in its two parts, which are borrowed; false: it is none, or its id has escapes. */
bool dv_auth_uid_split(dv_slice text, dv_slice *ret_type, dv_slice *ret_id);

/* Entities as people write them: {"User::\"alice\"": {"in": ["Group::\"ml\""], "attributes": {}}}.
 * What models and routes lack of their attributes is empty. json NULL: none. Errors:
 * DV_ERR_INVALID.
 */
struct dv_cedar_entities;
dv_must dv_result dv_auth_entities_read(const json_t *json, dv_arena *arena,
                                        const struct dv_cedar_entities **ret_entities,
                                        dv_error *error);

/* A dv_cedar_lookup over such entities, without a server: any other model and route is known with
 * empty attributes. data is a const struct dv_cedar_entities. */
bool dv_auth_entities_find(void *data, dv_slice uid, dv_cedar_entity *ret_entity);

/* Decides as the gate does: a policy that fails refuses. Errors: as dv_cedar_decide. */
dv_must dv_result dv_auth_question_decide(const dv_auth_world *world,
                                          const dv_auth_question *question, dv_arena *arena,
                                          dv_cedar_answer *ret_answer, dv_error *error);

/* {"decision", "policies", "errors", "differ": [{"policy", "effect", "lacks", "condition",
 * "line"}]}: differ names the policies that would have had to judge otherwise, those that lack
 * least first. */
dv_must dv_result dv_auth_question_explain(const dv_auth_world *world,
                                           const dv_auth_question *question, dv_arena *arena,
                                           json_t **ret_json, dv_error *error);

/* Runs a list of {"name"?, question, "expect": "allow" | "deny", "policy"?} and reports
 * {"total", "failed", "rest", "results": [{"name", "ok", "expected", "decision", "policies",
 * "errors", "problem"}]}. end: on dv_time_monotonic's clock, when it stops after a test, the first
 * one at least; the rest, those at the end of the list, were not asked then. Errors:
 * DV_ERR_INVALID, which names the test. */
dv_must dv_result dv_auth_tests_run(const dv_auth_world *world, const json_t *tests, dv_time now,
                                    dv_time end, dv_arena *arena, json_t **ret_report,
                                    dv_error *error);
