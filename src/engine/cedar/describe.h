/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a compiled set holds and how its policies judge one request, for those who show it to
 * people. Not for the request path. */

#include "engine/cedar/cedar.h"

typedef struct dv_cedar_policy_info {
    dv_slice id;             /* borrowed from the set */
    bool named;              /* by an @id annotation, not by its place */
    bool nameless;           /* its @id is empty, so that its place names it all the same */
    bool forbid;             /* otherwise permit */
    bool template;           /* decides nothing until it is linked */
    dv_slice principal_type; /* that the scope names, by `is` or by an entity; empty: none */
    dv_slice resource_type;
    size_t offset; /* in the text that the set was read from: where the policy begins */
} dv_cedar_policy_info;

/* Line and column of a place in a text, both from 1, columns in bytes. Reads all before it. */
void dv_cedar_text_place(dv_slice text, size_t offset, int *ret_line, int *ret_column);

/* Describes the policy of that number: those that decide first, in the order of the text, then the
 * templates. index < dv_cedar_policy_count + dv_cedar_template_count. */
void dv_cedar_policy_describe(const dv_cedar_policy_set *set, size_t index,
                              dv_cedar_policy_info *ret_info);

typedef enum dv_cedar_part {
    DV_CEDAR_PART_PRINCIPAL,
    DV_CEDAR_PART_ACTION,
    DV_CEDAR_PART_RESOURCE
} dv_cedar_part;

/* Calls visit with each entity (canonical uid, borrowed from the set) that a scope names in that
 * part, once for each time it stands there. Stops at the first result that is not DV_OK and returns
 * it. */
dv_must dv_result dv_cedar_scope_uids(const dv_cedar_policy_set *set, dv_cedar_part part,
                                      dv_result (*visit)(void *data, dv_slice uid), void *data);

/* An entity that a policy names; both are borrowed from the set. */
typedef struct dv_cedar_mention {
    dv_slice policy;
    dv_slice uid; /* canonical */
    bool
        itself; /* by `resource == uid` in the scope: what lies in the entity makes no difference */
} dv_cedar_mention;

/* Calls visit with each entity that a policy names, in its scope or anywhere in its conditions,
 * once for each time it stands there. Templates decide nothing and are left out; what conditions
 * take from attributes or from the context is no name. Stops as dv_cedar_scope_uids. */
dv_must dv_result dv_cedar_mentions(const dv_cedar_policy_set *set,
                                    dv_result (*visit)(void *data, const dv_cedar_mention *mention),
                                    void *data);

/* The first entity that the scope of the policy with that id names in that part, borrowed from the
 * set; false: it names none there, or nothing that decides has the id. Looks at every policy. */
bool dv_cedar_policy_names(const dv_cedar_policy_set *set, dv_slice id, dv_cedar_part part,
                           dv_slice *ret_uid);

/* How one policy judges a request. */
typedef struct dv_cedar_judgement {
    dv_slice id;
    bool forbid;
    bool principal; /* whether that part of the scope holds */
    bool action;
    bool resource;
    bool satisfied;     /* scope and all conditions */
    bool failed;        /* a condition could not be evaluated: the policy is left out */
    dv_slice condition; /* what did not hold or failed, as it is written, to the end of its line;
                         * empty: none, or the scope did not hold */
    bool unless;        /* that one stands behind `unless` */
    int line;           /* of it, 1-based; 0: none */
    int column;
} dv_cedar_judgement;

/* Judges the request by every policy of the set, in the order of the text, whatever the others say
 * (specs: authorization). Slices are borrowed from the set. Errors: as dv_cedar_decide, and the
 * first result of visit that is not DV_OK. */
dv_must dv_result dv_cedar_explain(const dv_cedar_policy_set *set, const dv_cedar_request *request,
                                   dv_cedar_lookup lookup, void *lookup_data, dv_arena *arena,
                                   dv_result (*visit)(void *data,
                                                      const dv_cedar_judgement *judgement),
                                   void *data);
