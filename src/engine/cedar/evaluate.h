/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Working out expressions; private to the engine. */

#include "engine/cedar/ast.h"

/* One of a request's entities, looked up once. */
typedef struct dv_cedar_known {
    dv_slice uid;
    dv_cedar_entity entity; /* zero when not known */
} dv_cedar_known;

typedef struct dv_cedar_evaluation {
    const dv_cedar_request *request;
    dv_cedar_known known[DV_CEDAR_DIMENSIONS];
    dv_cedar_lookup lookup;
    void *lookup_data;
    dv_arena *arena;
    uint32_t steps; /* left */
} dv_cedar_evaluation;

/* Errors: DV_ERR_INVALID (an error of the policy, as Cedar means it); DV_ERR_TOO_LARGE (steps) and
 * DV_ERR_NO_MEMORY end the whole decision. */
dv_must dv_result dv_cedar_evaluate(dv_cedar_evaluation *evaluation, const dv_cedar_node *node,
                                    dv_cedar_value *ret_value);

/* Counts steps off. Errors: DV_ERR_TOO_LARGE. */
dv_must dv_result dv_cedar_step(dv_cedar_evaluation *evaluation, size_t steps);
