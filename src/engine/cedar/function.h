/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Functions and methods of the language; private to the engine. */

#include "engine/cedar/value.h"

struct dv_cedar_evaluation;

enum { DV_CEDAR_ARGS_MAX = 2 };

typedef struct dv_cedar_function {
    const char *name;
    bool method;   /* written receiver.name(...); the receiver is the first argument */
    uint8_t arity; /* receiver included; at most DV_CEDAR_ARGS_MAX */
    bool pure;     /* of literals only: can be worked out when the policy is read */
    /* Errors: DV_ERR_INVALID is an error of the policy. evaluation is NULL for a pure one. */
    dv_result (*run)(struct dv_cedar_evaluation *evaluation, const dv_cedar_value *args,
                     dv_cedar_value *ret_value);
} dv_cedar_function;

/* By name; NULL when there is none. */
const dv_cedar_function *dv_cedar_function_find(dv_slice name);

/* Set and tag methods, which need the evaluation (evaluate.c). */
dv_must dv_result dv_cedar_run_contains(struct dv_cedar_evaluation *evaluation,
                                        const dv_cedar_value *args, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_run_contains_all(struct dv_cedar_evaluation *evaluation,
                                            const dv_cedar_value *args, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_run_contains_any(struct dv_cedar_evaluation *evaluation,
                                            const dv_cedar_value *args, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_run_is_empty(struct dv_cedar_evaluation *evaluation,
                                        const dv_cedar_value *args, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_run_has_tag(struct dv_cedar_evaluation *evaluation,
                                       const dv_cedar_value *args, dv_cedar_value *ret_value);
dv_must dv_result dv_cedar_run_get_tag(struct dv_cedar_evaluation *evaluation,
                                       const dv_cedar_value *args, dv_cedar_value *ret_value);
