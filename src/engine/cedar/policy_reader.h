/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What policies and expressions in JSON are read with; private to the engine. */

#include "engine/cedar/ast.h"
#include "engine/cedar/json_reader.h"

/* Refuses a token of another type. */
dv_must dv_result dv_cedar_policy_reader_want(const dv_cedar_reader *r, uint32_t token,
                                              dv_json_type type, const char *what);

/* The object has these members, NULL-ended, and no others; those behind the first `required` may be
 * missing. ret_values: their tokens, 0 where one is not there. */
dv_must dv_result dv_cedar_policy_reader_members(const dv_cedar_reader *r, uint32_t object,
                                                 const char *const *names, size_t required,
                                                 uint32_t *ret_values);

/* {"type": ..., "id": ...}, or that within {"__entity": ...}, as a canonical uid. */
dv_must dv_result dv_cedar_policy_reader_uid(const dv_cedar_reader *r, uint32_t token,
                                             dv_slice *ret_uid);

/* The name of an entity type. */
dv_must dv_result dv_cedar_policy_reader_type(const dv_cedar_reader *r, uint32_t token,
                                              dv_slice *ret_type);

/* JsonExpr (specs: json-format). */
dv_must dv_result dv_cedar_policy_reader_expression(dv_cedar_reader *r, uint32_t token,
                                                    dv_cedar_node *ret_node);
