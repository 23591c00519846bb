/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which policies can apply to a request; private to the engine.
 *
 * A policy stands under each (principal, action, resource) that its scope names, with the type
 * where it says `is` alone and "any" where it says nothing. A request asks for every combination of
 * its entities, their types, their ancestors and "any", but only for what some scope names and for
 * shapes of scopes that some policy has. */

#include "engine/cedar/ast.h"

typedef struct dv_cedar_index {
    struct dv_cedar_name *names; /* uids and types in scopes, by hash */
    uint32_t name_mask;
    struct dv_cedar_bucket *buckets;
    uint32_t bucket_mask;
    const uint32_t *policies; /* of the buckets that hold several */
    uint8_t shapes[8];        /* those that exist: bit d is set where dimension d is not "any" */
    uint32_t shape_count;
} dv_cedar_index;

/* Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_cedar_index_build(const dv_cedar_policy *policies, size_t count,
                                       dv_arena *arena, dv_cedar_index *ret_index);

/* The numbers of uids and types; 0: no scope names it. */
void dv_cedar_index_find(const dv_cedar_index *index, const dv_slice *texts, size_t count,
                         uint32_t *ret_numbers);

/* The numbers of one of a request's entities, of its type and its ancestors: those that scopes
 * name. */
typedef struct dv_cedar_keys {
    const uint32_t *numbers;
    size_t count;
    uint32_t own; /* the entity's; 0: no scope names it */
} dv_cedar_keys;

/* How many look-ups dv_cedar_index_visit makes. */
size_t dv_cedar_index_cost(const dv_cedar_index *index,
                           const dv_cedar_keys keys[DV_CEDAR_DIMENSIONS]);

/* Calls visit for each policy whose `in` and `==` hold, and its `is` where it stands alone, some of
 * them more than once. Stops at the first result that is not DV_OK and returns it. */
dv_must dv_result dv_cedar_index_visit(const dv_cedar_index *index,
                                       const dv_cedar_keys keys[DV_CEDAR_DIMENSIONS],
                                       dv_result (*visit)(void *data, uint32_t policy), void *data);
