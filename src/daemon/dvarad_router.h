/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Finds the operation that a request names, and reads and checks its parameters and body. Knows no
 * socket; all input is the caller's and believed in nothing. */

#include "core/operation.h"
#include "daemon/dvarad_check.h"

enum {
    DV_ROUTE_TARGET_MAX = 8192, /* bytes of path and query */
    DV_ROUTE_SEGMENTS_MAX = 16,
    DV_ROUTE_QUERY_MAX = 64, /* parameters */
};

/* A path's segments, percent-decoded, in the arena. */
typedef struct dv_route_path {
    dv_slice segments[DV_ROUTE_SEGMENTS_MAX];
    size_t count;
    dv_slice query; /* raw, without '?' */
} dv_route_path;

/* Takes a request target apart (RFC 9112 section 3.2.1, origin form). Refused: no '/' in front,
 * empty segments, "." and "..", bad escapes, control characters, bytes that are not UTF-8.
 * Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_route_parse(dv_slice target, dv_arena *arena, dv_route_path *ret_path,
                                 dv_error *error);

/* The operation for the method and path; literal segments win over parameters. NULL: none. */
const dv_operation *dv_route_find(dv_slice method, const dv_route_path *path);

/* The methods that the path knows, as an Allow header's value (RFC 9110 section 10.2.1) in the
 * arena; NULL when it knows none. */
const char *dv_route_allowed(const dv_route_path *path, dv_arena *arena);

/* Reads and checks path and query parameters; *ret_params is a new reference. On an error field
 * names the parameter. */
dv_must dv_result dv_route_params(const dv_operation *operation, const dv_route_path *path,
                                  dv_arena *arena, json_t **ret_params, char field[DV_FIELD_MAX],
                                  dv_error *error);

/* Reads and checks the body (RFC 8259; no duplicate names, DV_LIMIT_JSON_DEPTH). An operation
 * without a body takes an empty one only; *ret_body is NULL then, otherwise a new reference. */
dv_must dv_result dv_route_body(const dv_operation *operation, dv_slice text, dv_arena *arena,
                                json_t **ret_body, char field[DV_FIELD_MAX], dv_error *error);

/* One for each operation, in the same order (generated). */
extern const dv_operation_handler dv_operation_handlers[];
