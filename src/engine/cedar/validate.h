/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Checking policies against a schema (specs: validation), in Cedar's strict mode: whatever passes
 * cannot err when it is decided with requests and entities that keep to the schema, but for
 * overflow and entities that are not there. */

#include "engine/cedar/schema.h"

typedef struct dv_cedar_problem {
    dv_slice policy; /* its id */
    int line;        /* in the text that the set was read from; 1-based, in bytes */
    int column;
    bool warning; /* suspicious, but no error: the policy can never apply */
    dv_slice message;
} dv_cedar_problem;

/* What is wrong, policy by policy; each place once. */
typedef struct dv_cedar_report {
    const dv_cedar_problem *problems;
    size_t count;
    size_t error_count; /* those that are no warnings; 0: the policies are valid */
    bool cut;           /* there are more than DV_LIMIT_CEDAR_PROBLEMS */
} dv_cedar_report;

/* Checks every policy, template and link of the set in every kind of request that the schema has:
 * each action with each type of principal and resource that it applies to. The report lies in the
 * arena and borrows from the set. Errors: DV_ERR_TOO_LARGE when that takes more than
 * DV_LIMIT_CEDAR_CHECKS steps: nothing is known then, so take it for invalid; DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_validate(const dv_cedar_policy_set *set, const dv_cedar_schema *schema,
                                    dv_arena *arena, dv_cedar_report *ret_report);

/* What a part of a set is held against the schema with. */
typedef struct dv_cedar_validation {
    const dv_cedar_schema *schema;
    uint64_t steps; /* left of a budget over several sets; what is used is taken off */
    /* Whether a policy whose scope names these types (empty: none) is left out. NULL: none is. */
    bool (*leaves_out)(dv_slice principal_type, dv_slice resource_type);
} dv_cedar_validation;

/* The same, of a part of the set and with the steps that are left. */
dv_must dv_result dv_cedar_validate_part(const dv_cedar_policy_set *set, dv_cedar_validation *part,
                                         dv_arena *arena, dv_cedar_report *ret_report);
