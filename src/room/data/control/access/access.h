/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this folder share: requests for data and the grants that become of them. The
 * table: store/migrations/0011-data-access.sql. Texts lie in the call's arena. */

#include "core/audit.h"
#include "core/data_access.h"
#include "engine/case/case.h"
#include "room/data/control/access/rules.h"
#include "room/data/control/inventory.h"

#define DV_DATA_ACCESS_CASE "data_access"
#define DV_DATA_REVIEW_CASE "data_review"

/* One row. States: those of the case, then of a grant "revoked" and "expired". */
typedef struct dv_data_request {
    const char *id;
    const char *asset;
    const char *source; /* the asset's */
    const char *name;
    const char *subject; /* entities */
    const char *requester;
    const char *approver; /* "" nobody is named */
    const char *actions;  /* "read,write" */
    const char *purpose;
    const char *role; /* of a database, or NULL */
    const char *state;
    const char *ended_by; /* or NULL, as the reason */
    const char *reason;
    dv_time lasts;
    dv_time until;
    dv_time created;
    dv_time began;
    dv_time expires;
    dv_time ended;
    int64_t approvals;
} dv_data_request;

/* Of the inventory. */
typedef struct dv_data_thing {
    const char *id;
    const char *source;
    const char *name;
    const char *owner; /* a user's or group's name, or NULL */
    dv_data_labelled labelled;
    bool gone;
} dv_data_thing;

/* Who calls. */
typedef struct dv_data_person {
    const char *const *entities; /* himself and all that he is in */
    size_t count;
    bool manages; /* has manage_data_access */
    bool views;   /* has that or view_data_access */
} dv_data_person;

/* --- rows (store.c) -------------------------------------------------------------------------- */

/* ?1 is the time now. */
#define DV_DATA_REQUEST_COLUMNS                                                                    \
    "r.id, r.asset, r.source, r.name, r.subject, r.requester, r.approver, r.actions, r.purpose,"   \
    " CASE WHEN r.state = 'granted' AND r.expires <= ?1 THEN 'expired' ELSE r.state END,"          \
    " r.ended_by, r.reason, r.role, r.lasts, r.until, r.created, r.began, r.expires, r.ended, "    \
    "r.approvals"
/* Steps to the next row. Errors: DV_ERR_NOT_FOUND: there is none. */
dv_must dv_result dv_data_request_next(dv_statement *rows, dv_arena *arena,
                                       dv_data_request *ret_request, dv_error *error);
/* Errors: DV_ERR_NOT_FOUND with a sentence. */
dv_must dv_result dv_data_request_read(dv_call *call, const char *id, dv_data_request *ret_request,
                                       dv_error *error);
dv_must dv_result dv_data_request_insert(dv_call *call, const dv_data_request *request,
                                         dv_error *error);
/* Ends it, now and by the caller. Errors: DV_ERR_CONFLICT: it is not in the state that it was read
 * in. */
dv_must dv_result dv_data_request_end(dv_call *call, const dv_data_request *request,
                                      const char *state, const char *reason, dv_error *error);
/* When the request or the grant that became of it ended, and why it has to stay all the same: "" it
 * has not. Without a row of that id *ret_ended is 0 and nothing needs it. */
dv_must dv_result dv_data_request_closed(dv_call *call, const char *id, dv_time *ret_ended,
                                         const char **ret_needed, dv_error *error);
/* Removes the row, if there is one. */
dv_must dv_result dv_data_request_remove(dv_call *call, const char *id, dv_error *error);
json_t *dv_data_request_json(const dv_data_request *request);
/* Errors: DV_ERR_NOT_FOUND with a sentence. */
dv_must dv_result dv_data_thing_read(const dv_services *services, dv_arena *arena, dv_slice id,
                                     dv_data_thing *ret_thing, dv_error *error);

/* --- who may (who.c) ------------------------------------------------------------------------- */

dv_must dv_result dv_data_person_read(dv_call *call, dv_data_person *ret_person, dv_error *error);
bool dv_data_person_is(const dv_data_person *person, const char *entity);
/* A service is nobody who looks at anything, and who has a second identity would be four eyes. */
bool dv_data_caller_is_person(const dv_call *call);
/* Whether it is his to answer requests for the thing; NULL: it is no longer there. */
bool dv_data_person_decides(const dv_call *call, const dv_data_person *person,
                            const dv_data_thing *thing);
/* Whose it is to answer, as an entity: the rule's group, or the owner, who may be a user or a group
 * that is there; "": nobody is named. */
dv_must dv_result dv_data_approver(dv_call *call, const dv_data_thing *thing,
                                   const char **ret_approver, dv_error *error);

/* --- grants (grant.c) ------------------------------------------------------------------------ */

/* The last approval was given: the grant begins. Errors: DV_ERR_CONFLICT: it would have ended. */
dv_must dv_result dv_data_grant_begin(dv_call *call, const dv_data_request *request,
                                      dv_time longest, dv_error *error);
/* A living grant ends: "revoked" or "expired", with its records; items of reviews about it are
 * decided. */
dv_must dv_result dv_data_grant_end(dv_call *call, const dv_data_request *request,
                                    const char *state, const char *reason, dv_error *error);
/* A request that nobody answered ends: "cancelled". actor: who takes that step of its case. */
dv_must dv_result dv_data_request_withdraw(dv_call *call, const dv_data_request *request,
                                           const dv_case_actor *actor, const char *reason,
                                           dv_error *error);
/* Whatever was asked for or given of the asset ends. */
dv_must dv_result dv_data_access_asset_gone(dv_call *call, const char *asset, dv_error *error);

/* --- reviews (review.c) ---------------------------------------------------------------------- */

/* Deadlines. */
dv_must dv_result dv_data_review_tick(dv_call *call, dv_error *error);
