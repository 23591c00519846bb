/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Builders of audit records: OCSF 1.8 events as JSON text, written into the caller's buffer. The
 * fields of every class, with their sensitivity, stand in tables (event_rows*.c); a record never
 * holds a credential, a query string or a value that a detector found. More builders:
 * event_access.h, event_network.h, event_findings.h. Whose the personal values are:
 * event_personal.h.
 *
 * Every record begins with `{"metadata":{` so that dvara-logd can add to it where it came from.
 * Free texts are cut at their limit; a cut record says so (metadata.is_truncated). A record is at
 * most DV_LIMIT_RECORD. When the buffer already has that much room nothing is allocated. All
 * builders append to the buffer. Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE (the buffer's own
 * maximum; it is left as it was). */

#include "base/buf.h"
#include "base/clock.h"
#include "core/finding.h"
#include "core/principal.h"
#include "core/verdict.h"

#define DV_OCSF_VERSION "1.8.0"

/* How many of a list stand in a record; of sightings, those beyond are counted. */
enum { DV_EVENT_GROUPS_MAX = 16, DV_EVENT_SIGHTINGS_MAX = 100, DV_EVENT_VOLUMES_MAX = 16 };
/* Bytes of the texts of a rule on volume. */
enum { DV_EVENT_VOLUME_RULE = 64, DV_EVENT_VOLUME_ACTION = 16 };

/* How much a field tells of a person; dvara-logd keeps the personal ones under keys of theirs. */
typedef enum dv_sensitivity {
    DV_SENSITIVITY_PUBLIC = 0,
    DV_SENSITIVITY_INTERNAL,
    DV_SENSITIVITY_PERSONAL,
} dv_sensitivity;

/* The sensitivity of a field by its path ("actor.user.name"); a path that no table row names is
 * personal. */
dv_sensitivity dv_event_sensitivity(dv_slice path);

/* Visits every field of every class, some more than once; its members may be more fields that no
 * row names. */
void dv_event_fields(void (*visit)(void *data, dv_slice path, dv_sensitivity sensitivity),
                     void *data);

/* What the limits said of a request, so that an oracle can recheck it. */
typedef struct dv_event_limit {
    dv_slice key;     /* "key/Ab3dEf9h": of the limit that decided, or is nearest to its end */
    const char *unit; /* of that one: "requests", "tokens", "cost", "concurrent" */
    uint64_t limit;
    uint64_t remaining;
    dv_time now;       /* what the decision used */
    dv_time tat;       /* the theoretical arrival time after it; a budget's end */
    dv_time called_at; /* `now` of the limits of address and caller */
    bool admitted;
    dv_time reserved_at;      /* `now` of the limits of tokens and cost; 0: nothing below holds */
    uint64_t reserved_tokens; /* or asked for, where those did not admit it */
    uint64_t reserved_cost;   /* millionths */
    bool settled;             /* otherwise the two below are not known yet */
    uint64_t settled_tokens;
    uint64_t settled_cost;
} dv_event_limit;

/* A rule on how many values may leave over time, and that it was passed. */
typedef struct dv_event_volume {
    dv_slice rule;
    const char *action; /* "block", "alert", "monitor" */
    uint64_t values;    /* in this body, as far as it was counted */
    uint64_t limit;
    dv_time per;
    bool uncounted; /* it could not be charged, which is taken for passed */
} dv_event_volume;

/* A request at the gate, as far as it is known when it is decided. Absent texts are empty. */
typedef struct dv_event_request {
    dv_slice request_id;             /* UUIDv7 text */
    dv_time time;                    /* when the request came */
    const dv_principal *principal;   /* NULL: nobody was authenticated */
    const dv_credential *credential; /* NULL: none */
    dv_slice address;                /* of the caller, IPv4 or IPv6 text */
    uint16_t port;                   /* of the caller; 0: not known */
    dv_slice route;                  /* its name */
    dv_slice method;
    dv_slice path;         /* a query string behind it is left out */
    dv_slice http_version; /* "1.1", "2" */
    dv_slice user_agent;
    dv_slice action; /* Cedar action: "use_model" */
    dv_slice model;
    dv_slice upstream;         /* name or address of the model server, without credentials */
    const dv_verdict *verdict; /* NULL is told as not decided */
    const dv_sighting *sightings;
    size_t sighting_count;
    const dv_event_limit *limit; /* NULL: no limit applied */
    uint64_t body_bytes;
    uint64_t unlisted;              /* sightings beyond these, known by their number alone */
    bool unlisted_rewrote;          /* one of them was masked or replaced */
    const dv_event_volume *volumes; /* passed by the request; DV_EVENT_VOLUMES_MAX at most */
    size_t volume_count;
} dv_event_request;

/* How it ended. -1 stands for "not known" in the numbers that can be. */
typedef struct dv_event_outcome {
    dv_time time;                 /* when the record is made */
    int status;                   /* told to the caller; 0: the caller went away before */
    int upstream_status;          /* 0: was not asked or did not answer */
    dv_time latency;              /* whole, nanoseconds */
    dv_time upstream_latency;     /* until the answer's head; -1 */
    int64_t input_tokens;         /* -1 */
    int64_t output_tokens;        /* -1 */
    uint64_t answer_bytes;        /* sent to the caller */
    bool aborted;                 /* the caller or the upstream went away midway */
    const dv_verdict *verdict;    /* on the answer; NULL: as the request's */
    const dv_sighting *sightings; /* in the answer */
    size_t sighting_count;
    uint64_t unlisted; /* as in the request */
    bool unlisted_rewrote;
    const dv_event_volume *volumes; /* passed by the answer */
    size_t volume_count;
} dv_event_outcome;

/* API Activity (6003). The open record carries the decision on the request; the close record, with
 * the same request id, what became of it. About a microsecond each. */
dv_must dv_result dv_event_request_open(dv_buf *out, const dv_event_request *request);
dv_must dv_result dv_event_request_close(dv_buf *out, const dv_event_request *request,
                                         const dv_event_outcome *outcome);

/* Refusals of one address for one reason that were counted, not recorded each. */
typedef struct dv_event_refused {
    dv_slice address; /* empty: of several */
    dv_reason reason;
    uint64_t count;
    dv_time since;
    dv_time until;
} dv_event_refused;

/* API Activity (6003) with OCSF's count, start_time and end_time. */
dv_must dv_result dv_event_refusals(dv_buf *out, const dv_event_refused *refused);

/* Who did something in the control plane, and whether it went well. */
typedef struct dv_event_actor {
    dv_slice request_id; /* UUIDv7 text, or empty */
    dv_time time;
    dv_slice entity;          /* User::"alice", Local::"root", System::"dvarad" */
    dv_slice via;             /* "control", "api", "gate" */
    dv_slice address;         /* or empty: local */
    dv_result result;         /* DV_OK: done */
    dv_slice detail;          /* what a person should know; never a secret */
    dv_slice credential_kind; /* "api_key"; or empty */
    dv_slice credential_id;   /* what proved the entity, not secret; or empty */
} dv_event_actor;

/* API Activity (6003) of the control plane: one REST call. status: HTTP. */
typedef struct dv_event_call {
    dv_slice operation; /* "user_create" */
    dv_slice method;
    dv_slice path;   /* the operation's template, "/v1/users/{name}" */
    dv_slice target; /* what the path names, or empty */
    int status;
    const dv_verdict *verdict; /* whose policies are named; or NULL */
    dv_slice target_uid;       /* where the target is a person: User::"bob"; or empty */
} dv_event_call;

dv_must dv_result dv_event_operation(dv_buf *out, const dv_event_actor *actor,
                                     const dv_event_call *call);

/* Account Change (3001): users and service accounts. Values are OCSF's activity_id. */
typedef enum dv_account_activity {
    DV_ACCOUNT_CREATE = 1,
    DV_ACCOUNT_ENABLE = 2,
    DV_ACCOUNT_PASSWORD_CHANGE = 3,
    DV_ACCOUNT_PASSWORD_RESET = 4,
    DV_ACCOUNT_DISABLE = 5,
    DV_ACCOUNT_DELETE = 6,
    DV_ACCOUNT_ATTACH_POLICY = 7, /* of roles see core/event_access.h */
    DV_ACCOUNT_DETACH_POLICY = 8,
    DV_ACCOUNT_LOCK = 9,
    DV_ACCOUNT_MFA_ENABLE = 10,
    DV_ACCOUNT_MFA_DISABLE = 11,
    DV_ACCOUNT_UNLOCK = 12,
    DV_ACCOUNT_OTHER = 99,
} dv_account_activity;

/* account: User::"alice" or Service::"ci"; object: role or policy concerned, or empty. */
dv_must dv_result dv_event_account_change(dv_buf *out, const dv_event_actor *actor,
                                          dv_account_activity activity, dv_slice account,
                                          dv_slice object);

/* Entity Management (3004): groups, roles, keys, policies, routes... OCSF's activity_id. */
typedef enum dv_entity_activity {
    DV_ENTITY_CREATE = 1,
    DV_ENTITY_READ = 2,
    DV_ENTITY_UPDATE = 3,
    DV_ENTITY_DELETE = 4,
    DV_ENTITY_ENABLE = 8,
    DV_ENTITY_DISABLE = 9,
    DV_ENTITY_OTHER = 99,
} dv_entity_activity;

/* type: "api_key", "role", "group"; id: its name or public id; owner: entity it belongs to, or
 * empty; change: what is different now as one JSON value, or empty (no secrets). */
typedef struct dv_event_entity {
    dv_slice type;
    dv_slice id;
    dv_slice owner;
    dv_slice change;
    dv_slice kind; /* metadata.event_code; empty: "entity.change" */
    dv_slice name; /* in place of the id, where that would name the owner: "user/alice" */
} dv_event_entity;

dv_must dv_result dv_event_entity_change(dv_buf *out, const dv_event_actor *actor,
                                         dv_entity_activity activity,
                                         const dv_event_entity *entity);

/* Authentication (3002) against the control plane or the gate: logon (1) or logoff (2).
 * method: "api_key", "password", "peer". */
dv_must dv_result dv_event_authentication(dv_buf *out, const dv_event_actor *actor, bool logon,
                                          dv_slice account, dv_slice method,
                                          dv_slice credential_id);

/* Device Config State Change (5019): a configuration was put in force. what: "dvara.yaml",
 * "routes"; digest: hex SHA-256 of it, or empty. */
dv_must dv_result dv_event_config_change(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                         dv_slice digest);

/* The same of a part of it, with what it says: setting is JSON, and must fit a record. */
dv_must dv_result dv_event_setting_change(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                          dv_slice setting);

/* Device Config State (5002): what is in force, told at each start. As above. */
dv_must dv_result dv_event_config_state(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                        dv_slice digest);

/* Application Lifecycle (6002). */
typedef enum dv_lifecycle_activity {
    DV_LIFECYCLE_START = 3,
    DV_LIFECYCLE_STOP = 4,
    DV_LIFECYCLE_RESTART = 5,
} dv_lifecycle_activity;

/* process: "dvarad", "dvara-logd", "gateway". */
dv_must dv_result dv_event_lifecycle(dv_buf *out, const dv_event_actor *actor,
                                     dv_lifecycle_activity activity, dv_slice process);

/* Detection Finding (2004) that someone must look at: rule "audit.gap"; title in one line. */
dv_must dv_result dv_event_alarm(dv_buf *out, const dv_event_actor *actor, dv_slice rule,
                                 dv_slice title);

/* Entity Management (3004) of the log's own signing key, kind "audit.key_rotated": a new one signs
 * from now on (create), the old one is destroyed (delete). vkey: C2SP verifier key of that one,
 * which stands in entity.uid, where it is never sealed: verifiers follow it. */
dv_must dv_result dv_event_key_rotated(dv_buf *out, const dv_event_actor *actor, bool retired,
                                       dv_slice vkey, dv_slice message);
