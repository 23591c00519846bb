/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The compiled set and how it is put together; private to the engine. */

#include "engine/cedar/ast.h"
#include "engine/cedar/index.h"
#include "engine/cedar/list.h"

struct dv_cedar_policy_set {
    dv_arena *arena; /* holds all but this struct */
    dv_slice text;   /* what it was read from, policies or JSON */
    const dv_cedar_policy *policies;
    size_t count;
    const dv_cedar_policy *templates; /* by id; they decide nothing until they are linked */
    size_t template_count;
    dv_cedar_index index;
};

/* Policies and templates as they are read. */
typedef struct dv_cedar_draft {
    dv_cedar_policy_set *set;
    dv_cedar_list policies;
    dv_cedar_list templates;
} dv_cedar_draft;

/* Begins a set that keeps a copy of the text. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_draft_begin(dv_slice text, dv_cedar_draft *ret_draft);

/* Adds a policy or a template, whose id may be empty: it is then named by its number. */
dv_must dv_result dv_cedar_draft_add(dv_cedar_draft *draft, dv_cedar_policy *policy);

/* Links, checks that each id stands once, and makes the index. A second call is a mistake. Errors:
 * as dv_cedar_parse_linked. */
dv_must dv_result dv_cedar_draft_finish(dv_cedar_draft *draft, const dv_cedar_link *links,
                                        size_t link_count, dv_error *error);

/* True when the uid's type is Action, in whatever namespace. */
bool dv_cedar_is_action(dv_slice uid);

/* The entity type that a scope names, by itself or with an entity; empty: any. */
dv_slice dv_cedar_scope_type(const dv_cedar_scope *scope);
