/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to core/event*.c: what a record can hold, and the classes of records (OCSF 1.8) that it
 * is written as. */

#include "core/event_writer.h"

/* Everything that any record can hold, flat; the tables below say where it stands. Texts that are
 * empty and integers that are DV_EVENT_UNKNOWN are left out. */
typedef struct dv_event_view {
    dv_slice event_code, request_id, message;
    int64_t time_ms, time_ns, class_uid, category_uid, type_uid, activity_id, severity_id,
        status_id;
    dv_slice status_code, status_detail;
    int64_t action_id, disposition_id;
    dv_slice policy;
    dv_slice others; /* the policies behind it */
    int64_t unnamed;
    bool only_here; /* there is no policy.uid in this class */
    bool policy_applied, cut, is_alert, aborted;
    dv_slice user_name, user_uid, credential_id, credential_kind;
    int64_t user_type;
    const dv_principal *principal;
    dv_slice address, endpoint_name;
    int64_t port;
    dv_slice operation, route, method, odd_method, path, http_version, user_agent, model, provider,
        upstream;
    int64_t body_bytes, status, answer_bytes, big_answer, latency_ms;
    int64_t input_tokens, output_tokens, total_tokens;
    dv_slice service, phase, reason, detail;
    int64_t upstream_status, latency_ns, upstream_latency_ns, sighting_count;
    const dv_sighting *sightings;
    size_t listed; /* of the sightings */
    const dv_event_volume *volumes;
    size_t volume_count;
    const dv_event_limit *limit;
    dv_slice target_name, target_uid, object, entity_type, entity_id, entity_owner, entity_change;
    int64_t target_type;
    dv_slice target_type_name; /* where target_type has no number for it */
    dv_slice auth_method, what, digest, process, rule, title, via;
    int64_t count, start_ms, end_ms;
    dv_event_spots *spots; /* to be filled; NULL */
} dv_event_view;

/* What the records hold that are not written for every request: only these pay for its size. */
typedef struct dv_event_wide_view {
    dv_event_view base; /* first: the rows of every view are offsets into it */
    dv_slice entity_name, session_credential, reason;     /* access */
    dv_slice database, table, query, protocol;            /* data, network */
    dv_slice incident, assignee_name, assignee_uid, team; /* incidents */
    dv_slice detector, side;                              /* data security */
    dv_slice standard, control, evidence, check, file;    /* compliance, evidence */
    dv_slice command, action, desc;                       /* remediation */
    int64_t expires_ms, began_ms, rows, bytes, store_type, priority_id, verdict_id, compliance_id,
        missing;
    bool break_glass, mfa, suspected_breach, dry_run;
    const dv_slice *names; /* privileges */
    size_t name_count;
    const dv_slice *labels;
    size_t label_count;
} dv_event_wide_view;

typedef struct dv_event_class {
    const dv_event_row *rows;
    size_t count;
} dv_event_class;

typedef enum dv_event_table {
    DV_EVENT_OPEN,
    DV_EVENT_CLOSE,
    DV_EVENT_REFUSALS,
    DV_EVENT_OPERATION,
    DV_EVENT_ACCOUNT,
    DV_EVENT_ACCESS,
    DV_EVENT_SESSION,
    DV_EVENT_ENTITY,
    DV_EVENT_AUTHENTICATION,
    DV_EVENT_CONFIG,
    DV_EVENT_CONFIG_STATE,
    DV_EVENT_LIFECYCLE,
    DV_EVENT_DATA,
    DV_EVENT_NETWORK,
    DV_EVENT_ALARM,
    DV_EVENT_INCIDENT,
    DV_EVENT_DATA_FINDING,
    DV_EVENT_COMPLIANCE,
    DV_EVENT_EVIDENCE,
    DV_EVENT_REMEDIATION,
    DV_EVENT_TABLES
} dv_event_table;

/* What every record has. The wide view's own integers are unknown. */
dv_event_view dv_event_view_of(int64_t class_uid, int64_t activity, dv_time time);
/* The same for what an actor of the control plane did. */
dv_event_view dv_event_view_actor(const dv_event_actor *actor, int64_t class_uid, int64_t activity);
dv_event_wide_view dv_event_wide_view_of(dv_event_view base);
/* Says the method where OCSF has a name for it, and beside it where it has none; and the activity
 * of an API call: 1 create, 2 read, 3 update, 4 delete, 99 other. */
void dv_event_view_method(dv_event_view *view, dv_slice method);
/* An integer of OCSF's 32 bits (integer_t); one that is negative or has no room there is unknown.
 */
int64_t dv_event_small(int64_t value);
/* The caller, what was asked and the limit of a request. */
dv_event_view dv_event_view_request(const dv_event_request *request, dv_time time);
/* The policies that decided. */
void dv_event_view_policies(dv_event_view *view, const dv_verdict *verdict);
/* Whom or what the record is about, by the entity's text. */
void dv_event_view_target(dv_event_view *view, dv_slice entity);
/* Allowed, modified or denied, how bad that is for whoever reads the log, and what was seen. */
void dv_event_view_decision(dv_event_view *view, const dv_verdict *verdict,
                            const dv_sighting *sightings, size_t count);
/* OCSF's disposition of a refusal: unauthorized, rejected (malformed), an error, or blocked. */
int64_t dv_event_disposition(dv_reason reason);
/* The name between the quotes of User::"alice"; the whole text when there are none. */
dv_slice dv_event_entity_name(dv_slice entity);

/* dv_event_request_open and dv_event_request_close, whose spots are filled when they are not NULL.
 */
dv_must dv_result dv_event_put_open(dv_buf *out, const dv_event_request *request,
                                    dv_event_spots *spots);
dv_must dv_result dv_event_put_close(dv_buf *out, const dv_event_request *request,
                                     const dv_event_outcome *outcome, dv_event_spots *spots);

/* Appends the view as a record of the table's class, or leaves out as it was. A record in which a
 * text was cut says so (metadata.is_truncated). */
dv_must dv_result dv_event_put_view(dv_buf *out, dv_event_table table, dv_event_view *view);
dv_must dv_result dv_event_put_wide_view(dv_buf *out, dv_event_table table,
                                         dv_event_wide_view *view);
