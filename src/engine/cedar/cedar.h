/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Cedar policy language: parse, decide. Total, no allocation outside the given arena, bounded
 * in depth and steps. Knows no room: entities come through a look-up function. */

#include "base/arena.h"
#include "core/verdict.h"
#include "engine/cedar/value.h"

typedef struct dv_cedar_policy_set dv_cedar_policy_set; /* compiled, read-only */

/* Reads policies and templates in Cedar's text (specs: syntax-policy, syntax-grammar, templates). A
 * set with any error is refused whole, with line and column: Cedar would skip a policy that errors,
 * a forbid included. The id of a policy or template is its @id annotation, otherwise "policy0",
 * "policy1", ... by its place. A template that nothing links decides nothing.
 * Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE (16 MiB of text), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_parse(dv_slice text, dv_cedar_policy_set **ret_set, dv_error *error);

/* A policy made from a template: what its slots stand for. All are borrowed for the call. */
typedef struct dv_cedar_link {
    dv_slice template_id;
    dv_slice id;        /* of the new policy */
    dv_slice principal; /* ?principal: a canonical uid; empty: not given */
    dv_slice resource;  /* ?resource */
    size_t offset;      /* where it begins in JSON; otherwise 0 */
} dv_cedar_link;

/* The same with links. DV_ERR_INVALID, besides, for a template that is not there, an id that is
 * taken, a slot without a value, a value without a slot, and over 100,000 links. */
dv_must dv_result dv_cedar_parse_linked(dv_slice text, const dv_cedar_link *links, size_t count,
                                        dv_cedar_policy_set **ret_set, dv_error *error);

/* Frees a set; NULL is left alone. */
void dv_cedar_policy_set_free(dv_cedar_policy_set *set);
DV_DEFINE_AUTO_PTR(cedar_policy_set, dv_cedar_policy_set, dv_cedar_policy_set_free)

/* Policies that decide: static ones and linked ones. */
size_t dv_cedar_policy_count(const dv_cedar_policy_set *set);
size_t dv_cedar_template_count(const dv_cedar_policy_set *set);

/* An entity's id and ancestors in canonical text (dv_cedar_uid in engine/cedar/value.h). */
typedef struct dv_cedar_entity {
    dv_slice uid;
    const dv_slice *ancestors; /* transitive */
    size_t ancestor_count;
    const dv_cedar_value *attributes; /* a record, or NULL: none */
    const dv_cedar_value *tags;       /* a record, or NULL: none */
} dv_cedar_entity;

/* Looks an entity up by its canonical uid; false: not known (it then has no ancestors and no
 * attributes, as Cedar says). */
typedef bool (*dv_cedar_lookup)(void *data, dv_slice uid, dv_cedar_entity *ret_entity);

typedef struct dv_cedar_request {
    dv_slice principal; /* canonical uids, all three */
    dv_slice action;    /* Action::"use_model" */
    dv_slice resource;
    const dv_cedar_value *context; /* a record, or NULL: empty */
} dv_cedar_request;

/* Determining and failing policies (ids, borrowed from the set), in the arena. */
typedef struct dv_cedar_answer {
    dv_decision decision; /* deny unless some permit and no forbid is satisfied */
    const dv_slice *reasons;
    size_t reason_count;
    const dv_slice *errors;
    size_t error_count;
    bool conditional; /* a condition that names the context was asked: another context may get
                       * another answer */
} dv_cedar_answer;

/* Decides (specs: authorization). What lookup returns must live as long as the arena. Allocates
 * nothing outside the arena. Any result but DV_OK leaves ret_answer at deny: DV_ERR_TOO_LARGE when
 * the policies take more than the limit of steps, DV_ERR_NO_MEMORY when the arena is full,
 * DV_ERR_INVALID when a uid of the request is not one. */
dv_must dv_result dv_cedar_decide(const dv_cedar_policy_set *set, const dv_cedar_request *request,
                                  dv_cedar_lookup lookup, void *lookup_data, dv_arena *arena,
                                  dv_cedar_answer *ret_answer);
