/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an access review is about. */

#include "engine/case/case.h"
#include "room/auth/control/internal.h"

/* Which grants: all, or those that a group or role gives, or those that permit an action. */
typedef struct dv_review_scope {
    const dv_auth_ref *ref; /* a group or role; NULL: not narrowed by one */
    const char *action;     /* NULL: any */
    const char *resource;   /* NULL: any; else as people write it: Model::"x" */
} dv_review_scope;

/* Who decides. */
typedef struct dv_review_deciders {
    const char *owner;      /* entities */
    const char *reviewer;   /* of what no other is named for */
    dv_auth_names by_group; /* "ml=lena": of group ml, user lena */
} dv_review_deciders;

/* Kinds of items. */
#define DV_REVIEW_ROLE "role"     /* object: Role::"x" */
#define DV_REVIEW_MEMBER "member" /* object: Group::"x" */
#define DV_REVIEW_POLICY "policy" /* object: the policy's id; details: action, resource */

/* The grants in the scope as items, without number and state, in the call's arena: roles, then
 * memberships, then policies. Errors: DV_ERR_TOO_LARGE: more than max, or too many decisions;
 * DV_ERR_INVALID: the action or resource is malformed; as dv_access_decide. */
dv_must dv_result dv_review_collect(dv_call *call, const dv_review_scope *scope,
                                    const dv_review_deciders *deciders, size_t max,
                                    const dv_case_item **ret_items, size_t *ret_count,
                                    dv_error *error);

/* Whether the policy is in force and its subject there, whatever it permits now. */
dv_must dv_result dv_review_policy_is_there(dv_call *call, const dv_case_item *item, bool *ret_is,
                                            dv_error *error);
/* Whether the policy is among those that permit the subject this now. */
dv_must dv_result dv_review_permitted(dv_call *call, const dv_case_item *item, bool *ret_permitted,
                                      dv_error *error);
