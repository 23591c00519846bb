/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to core/event.c and core/event_rows.c: what a record can hold, and the classes of records
 * (OCSF 1.8) that it is written as. */

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
    dv_slice operation, route, method, path, http_version, user_agent, model, provider, upstream;
    int64_t body_bytes, status, answer_bytes, latency_ms;
    int64_t input_tokens, output_tokens, total_tokens;
    dv_slice service, phase, reason, detail;
    int64_t upstream_status, latency_ns, upstream_latency_ns, sighting_count;
    const dv_sighting *sightings;
    size_t listed; /* of the sightings */
    const dv_event_limit *limit;
    dv_slice target_name, target_uid, object, entity_type, entity_id, entity_owner, entity_change;
    int64_t target_type;
    dv_slice auth_method, what, digest, process, rule, title, via;
    int64_t count, start_ms, end_ms;
} dv_event_view;

typedef enum dv_event_table {
    DV_EVENT_OPEN,
    DV_EVENT_CLOSE,
    DV_EVENT_REFUSALS,
    DV_EVENT_OPERATION,
    DV_EVENT_ACCOUNT,
    DV_EVENT_ENTITY,
    DV_EVENT_AUTHENTICATION,
    DV_EVENT_CONFIG,
    DV_EVENT_LIFECYCLE,
    DV_EVENT_ALARM,
    DV_EVENT_TABLES
} dv_event_table;

/* Appends the view as a record of the table's class, or leaves out as it was. A record in which a
 * text was cut says so (metadata.is_truncated). */
dv_must dv_result dv_event_put_view(dv_buf *out, dv_event_table table, dv_event_view *view);
