/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One entry of the REST API. The table of them is generated from api/ROOM.yaml; the handler of
 * operationId "user_create" is the function dv_op_user_create of its room's control part. */

#include "base/arena.h"
#include "base/result.h"
#include "core/principal.h"
#include "core/schema.h"
#include "core/services.h"
#include "core/verdict.h"

#include <jansson.h>

typedef struct dv_operation {
    const char *id;          /* "user_create" */
    const char *method;      /* "POST" */
    const char *path;        /* "/v1/users/{name}" */
    const char *permission;  /* Cedar action: "manage_users" */
    int success;             /* 200, 201, 204 */
    bool list;               /* limit and cursor in, items and next out */
    const dv_schema *params; /* an object of the path and query parameters */
    const dv_schema *body;   /* NULL: takes none */
} dv_operation;

typedef struct dv_call {
    const dv_operation *operation;
    dv_services *services;
    dv_arena *arena; /* of this call */
    dv_time now;
    const char *request_id;          /* UUIDv7 text */
    const char *caller;              /* entity: User::"alice"; Local::"root" on control.sock */
    const dv_credential *credential; /* what proved the caller; NULL on control.sock */
    const dv_verdict *verdict;       /* on the call itself; NULL: nobody was asked (control.sock) */
    const char *via;                 /* "control" or "api" */
    const char *address;             /* of the caller, or "" */
    const char *base_url;            /* where the caller reached the API, "https://host"; or "" */
    const char *caller_request_id;   /* what the caller calls the request (X-Request-ID), or "" */
    const json_t *params;    /* path and query parameters by name: checked, typed, defaults set */
    const json_t *body;      /* checked object, or NULL */
    json_t *answer;          /* set by the handler; the router owns and releases it */
    int status;              /* preset to the operation's success status */
    const char *error_field; /* set beside an error: the field that is wrong; lives as the arena */
    const struct dv_event_data *read; /* set by the handler: what data the answer holds, in the
                                       * arena; the call's record then says that (core/audit.h) */
    struct dv_audit_queue *held;      /* of the change that runs (core/audit.h), or NULL */
} dv_call;

/* Does the work: store, snapshot, event. Errors become the API's error body:
 * {"error":{"code","message","field"?}}; results map to 400, 404, 409, ... (api/README.md) */
typedef dv_result (*dv_operation_handler)(dv_call *call, dv_error *error);

/* Text of a checked parameter or body field; NULL when it is absent or null. */
const char *dv_call_param(const dv_call *call, const char *name);
const char *dv_call_field(const dv_call *call, const char *name);

/* Refuses what the schema could not: DV_ERR_INVALID with the field's name in the answer. field
 * lives as long as the call ("roles.0"). */
dv_result dv_call_invalid(dv_call *call, const char *field, dv_error *error, const char *format,
                          ...) dv_printf(4, 5);

/* For what can't be undone: DV_OK where the body's field `yes` is true, else DV_ERR_INVALID with
 * what would happen (a clause, and sentences that say how to see more) and how to confirm it. */
dv_must dv_result dv_call_confirmed(dv_call *call, const char *what, dv_error *error);

/* For steps that no caller asked for: System::"dvarad", with a request id of its own by which its
 * records are found. Ends with dv_call_system_end. */
dv_must dv_result dv_call_system(dv_services *services, dv_call *ret_call);
void dv_call_system_end(dv_call *call);

/* The table, in the order of the files (generated). */
extern const dv_operation dv_operations[];
extern const size_t dv_operation_count;
