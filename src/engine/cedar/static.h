/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Relations between types (specs: validation, strict mode); private to the engine. */

#include "engine/cedar/schema_form.h"

/* What types cost: common types can stand in a type many times over, so that walking two of them
 * is bounded by steps. */
typedef struct dv_cedar_types {
    dv_arena *arena; /* for types that are made */
    uint64_t *steps; /* left */
} dv_cedar_types;

/* The least type that both are; ret_type is NULL when there is none. In strict mode entities,
 * records and extension types fit only their own like, sets and attributes when what is in them
 * fits; booleans of which different things are known make a plain one. Errors: DV_ERR_TOO_LARGE
 * (steps), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_static_join(const dv_cedar_types *types, const dv_cedar_static *a,
                                       const dv_cedar_static *b, const dv_cedar_static **ret_type);

/* What messages call it: "Long", "a set". */
const char *dv_cedar_type_name(dv_cedar_type type);

/* The type of a boolean of which this is known. */
const dv_cedar_static *dv_cedar_static_bool(dv_cedar_known_bool known);

/* The types that have nothing in them: BOOL, LONG, STRING, DECIMAL, DATETIME, DURATION, IPADDR. */
const dv_cedar_static *dv_cedar_static_plain(dv_cedar_type type);
