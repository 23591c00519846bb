/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a handler of the control plane leaves its record: one call beside the work, inside its
 * transaction. Without a queue the record is kept when the call returns. A change that may still be
 * refused after its first record holds them in a queue and has them kept right before its commit,
 * so that the log never says of what was refused that it was done. When a record can't be kept the
 * operation fails (DV_ERR_UNAVAILABLE) and must be rolled back. */

#include "base/buf.h"
#include "core/event_access.h"
#include "core/event_findings.h"
#include "core/operation.h"

/* The records of a change that is not committed yet. */
typedef struct dv_audit_queue {
    dv_buf lines; /* one record each */
    size_t count;
} dv_audit_queue;

/* From here on the call's records wait in the queue, which outlives the change. Ends with
 * dv_audit_drop. */
void dv_audit_hold(dv_call *call, dv_audit_queue *queue);
/* How many records wait; 0 without a queue. */
size_t dv_audit_held(const dv_call *call);
/* Appends what waits to the audit log, in order: the last step before the commit. */
dv_must dv_result dv_audit_keep(dv_call *call, dv_error *error);
/* Ends the holding: what was not kept is forgotten, and the next record is kept at once. */
void dv_audit_drop(dv_call *call);

/* The whole of it where only rows are changed: work and its records in one transaction of the
 * store, so that they stand or fall together. */
typedef dv_result (*dv_audit_work)(dv_call *call, dv_error *error);
dv_must dv_result dv_audit_change(dv_call *call, dv_audit_work work, dv_error *error);

/* Who calls and how, for the builders in core/event.h. Borrowed from the call. */
dv_event_actor dv_audit_actor(const dv_call *call, dv_result result, const char *detail);

/* One event of a managed thing: dv_audit_entity(call, DV_ENTITY_CREATE, "role", name, NULL, NULL,
 * error). owner: entity text or NULL; change: a JSON object of what is different now, or NULL; no
 * secret may be in it. */
dv_must dv_result dv_audit_entity(const dv_call *call, dv_entity_activity activity,
                                  const char *type, const char *id, const char *owner,
                                  const json_t *change, dv_error *error);

/* The same where the thing's name is that of its owner, whose it is then: a limit "user/alice". */
dv_must dv_result dv_audit_named(const dv_call *call, dv_entity_activity activity, const char *type,
                                 const char *name, const char *owner, const json_t *change,
                                 dv_error *error);

/* One event of a user or service account; account: User::"alice"; object: the role concerned, or
 * NULL. */
dv_must dv_result dv_audit_account(const dv_call *call, dv_account_activity activity,
                                   const char *account, const char *object, dv_error *error);

/* A role or permission was granted or revoked. */
dv_must dv_result dv_audit_access(const dv_call *call, dv_access_activity activity,
                                  const dv_event_access *access, dv_error *error);

/* Data whose time is over is about to go, or went. */
dv_must dv_result dv_audit_disposal(const dv_call *call, const dv_event_disposal *disposal,
                                    dv_error *error);

/* What a new credential may do was decided. */
dv_must dv_result dv_audit_session(const dv_call *call, const dv_event_session *session,
                                   dv_error *error);

/* One finding that someone must look at: rule "auth.break_glass"; title in one line. */
dv_must dv_result dv_audit_alarm(const dv_call *call, const char *rule, const char *title,
                                 dv_error *error);
/* The same about somebody, User::"alice". */
dv_must dv_result dv_audit_alarm_about(const dv_call *call, const char *rule, const char *title,
                                       const char *about, dv_error *error);

/* The record of one REST call, which dvarad's router leaves for every operation: who, which, with
 * what result (API Activity); of one that read data (call->read) which, and how much (Datastore
 * Activity). detail: the error's message, or NULL. An unsafe operation's call must
 * be kept before its answer is sent. */
dv_must dv_result dv_audit_call(const dv_call *call, int status, dv_result result,
                                const char *detail, dv_error *error);
