/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Builders of the records about who may do what, and who read which data. As in core/event.h. */

#include "core/event.h"

/* Texts beyond this many of a list are not named; `unnamed` counts them. */
enum { DV_EVENT_NAMES_MAX = 32 };

/* User Access Management (3005): a role or a permission was granted or revoked. Values are OCSF's
 * activity_id; roles are told as privileges, because 1.8 has no other place for them. */
typedef enum dv_access_activity {
    DV_ACCESS_GRANT = 1,
    DV_ACCESS_REVOKE = 2,
} dv_access_activity;

typedef struct dv_event_access {
    dv_slice holder;            /* User::"alice", Service::"ci", Group::"ml" */
    const dv_slice *privileges; /* Role::"analyst", Action::"use_model"; at least one */
    size_t privilege_count;
    dv_time until;    /* when it ends by itself; 0: it does not */
    dv_slice reason;  /* in the giver's words, or empty */
    bool break_glass; /* given by someone who did not have it */
} dv_event_access;

dv_must dv_result dv_event_user_access(dv_buf *out, const dv_event_actor *actor,
                                       dv_access_activity activity, const dv_event_access *access);

/* Authorize Session (3003): what a credential or session may do was decided when it was made. */
typedef struct dv_event_session {
    dv_slice holder;            /* User::"alice", Service::"ci" */
    dv_slice credential_id;     /* not secret: a key's 8 characters */
    const dv_slice *privileges; /* actions that it is confined to; none: all of its holder's */
    size_t privilege_count;
    dv_time until; /* 0: it does not end by itself */
    bool mfa;
} dv_event_session;

dv_must dv_result dv_event_session_authorize(dv_buf *out, const dv_event_actor *actor,
                                             const dv_event_session *session);

/* Entity Management (3004) of the disposal of data whose time is over, kind "data.disposal": a run
 * begins (entity.type "disposal", create), or has ended and its certificate is there ("certificate
 * of destruction", delete). Nothing in it but the actor is ever sealed, so that a stranger can
 * check a certificate against it. */
typedef struct dv_event_disposal {
    bool ended;
    dv_slice id;     /* of the run, and of its certificate */
    dv_slice sha256; /* of the certificate, hexadecimal; empty at the beginning */
    int64_t files;   /* that are planned; that were destroyed */
} dv_event_disposal;

dv_must dv_result dv_event_disposal_write(dv_buf *out, const dv_event_actor *actor,
                                          const dv_event_disposal *disposal);

/* Datastore Activity (6005): who read or changed data, where, and how much. OCSF's activity_id. */
typedef enum dv_data_activity {
    DV_DATA_READ = 1,
    DV_DATA_UPDATE = 2,
    DV_DATA_CONNECT = 3,
    DV_DATA_QUERY = 4,
    DV_DATA_WRITE = 5,
    DV_DATA_CREATE = 6,
    DV_DATA_DELETE = 7,
    DV_DATA_LIST = 8,
    DV_DATA_ENCRYPT = 9,
    DV_DATA_DECRYPT = 10,
} dv_data_activity;

typedef struct dv_event_data {
    dv_slice database;      /* "audit log", "orders"; of these two at least one */
    dv_slice table;         /* "main", "public.customers": a table or a dataset */
    dv_slice query;         /* what was asked, without the values in it; or empty */
    int64_t rows;           /* -1: not known */
    int64_t bytes;          /* -1: not known */
    const dv_slice *labels; /* of the data: "personal", "restricted" */
    size_t label_count;
    dv_slice reason;           /* what it was wanted for, as who asked says; or empty */
    int64_t missing;           /* beside a reason: what was asked for and is not there */
    dv_slice operation;        /* of the REST API by which it was done, or empty */
    const dv_verdict *verdict; /* whose policies are named; or NULL */
} dv_event_data;

dv_must dv_result dv_event_data_access(dv_buf *out, const dv_event_actor *actor,
                                       dv_data_activity activity, const dv_event_data *data);
