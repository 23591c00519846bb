/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cedar schemas (specs: human-readable-schema, json-schema): which entity types and actions there
 * are, what they look like, and what applies to what. */

#include "base/buf.h"
#include "engine/cedar/cedar.h"

typedef struct dv_cedar_schema dv_cedar_schema; /* read-only, free of any text */

/* Reads a schema in either syntax: JSON begins with a brace. A schema with any error is refused
 * whole. Errors: DV_ERR_INVALID with line and column (malformed; a name that is not declared,
 * declared twice, reserved, or that hides one of the empty namespace; a cycle of common types or of
 * actions), DV_ERR_TOO_LARGE (4 MiB, 128 levels of a type, 4096 entity types, common types or
 * actions), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_schema_parse(dv_slice text, dv_cedar_schema **ret_schema,
                                        dv_error *error);
void dv_cedar_schema_free(dv_cedar_schema *schema);
DV_DEFINE_AUTO_PTR(cedar_schema, dv_cedar_schema, dv_cedar_schema_free)

/* Appends the schema in Cedar's own syntax, or in JSON; comments are lost, annotations kept. What
 * is read from it means the same. Errors: DV_ERR_TOO_LARGE (the buffer is full), DV_ERR_NO_MEMORY;
 * in text also DV_ERR_UNSUPPORTED, for what only JSON can say: an entity type whose name is a
 * common type's, too, and a shape that is a common type. */
dv_must dv_result dv_cedar_schema_write_text(const dv_cedar_schema *schema, dv_buf *out);
dv_must dv_result dv_cedar_schema_write_json(const dv_cedar_schema *schema, dv_buf *out);

/* Checks a request: the action is declared, principal and resource have types that it applies to
 * and, of enumerated types, ids that there are; the context is as the action wants it (specs:
 * validation). Errors: DV_ERR_INVALID with what to mend. */
dv_must dv_result dv_cedar_schema_check_request(const dv_cedar_schema *schema,
                                                const dv_cedar_request *request, dv_error *error);
