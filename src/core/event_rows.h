/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to core/event_rows*.c: the words in which the tables of fields are written. */

#include "core/event_view.h"

#define SHORT DV_EVENT_SHORT /* bytes of the free texts */
#define MEDIUM DV_EVENT_MEDIUM
#define LONG DV_EVENT_LONG

#define PUBLIC DV_SENSITIVITY_PUBLIC
#define INTERNAL DV_SENSITIVITY_INTERNAL
#define PERSONAL DV_SENSITIVITY_PERSONAL

#define OPEN(n, t)                                                                                 \
    {                                                                                              \
        .kind = DV_ROW_OPEN, DV_ROW_NAME(n), DV_ROW_LITERAL(t)                                     \
    }
#define ITEM(t)                                                                                    \
    {                                                                                              \
        .kind = DV_ROW_OPEN, DV_ROW_LITERAL(t)                                                     \
    }
#define CLOSE(t)                                                                                   \
    {                                                                                              \
        .kind = DV_ROW_CLOSE, DV_ROW_LITERAL(t)                                                    \
    }
#define FIXED(n, t)                                                                                \
    {                                                                                              \
        .kind = DV_ROW_FIXED, DV_ROW_NAME(n), DV_ROW_LITERAL(t)                                    \
    }
#define TAG(n, t)                                                                                  \
    {                                                                                              \
        .kind = DV_ROW_TAG, DV_ROW_NAME(n), DV_ROW_LITERAL(t)                                      \
    }
#define FIELD(v, k, n, f, m, s)                                                                    \
    {                                                                                              \
        .kind = (k), DV_ROW_NAME(n), .offset = offsetof(v, f), .max = (m), .sensitivity = (s),     \
        .noted = (s) == PERSONAL || offsetof(v, f) == offsetof(dv_event_view, time_ms)             \
    }
#define CALL(n, c, s)                                                                              \
    {                                                                                              \
        .kind = DV_ROW_CALL, DV_ROW_NAME(n), .call = (c), .sensitivity = (s)                       \
    }

/* Fields of dv_event_view. */
#define TEXT(n, f, m, s) FIELD(dv_event_view, DV_ROW_TEXT, n, f, m, s)
#define INT(n, f, s) FIELD(dv_event_view, DV_ROW_INT, n, f, 0, s)
#define FLAG(n, f, s) FIELD(dv_event_view, DV_ROW_FLAG, n, f, 0, s)
#define JSON(n, f, s) FIELD(dv_event_view, DV_ROW_JSON, n, f, 0, s)
/* Fields of dv_event_wide_view. */
#define WIDE_TEXT(n, f, m, s) FIELD(dv_event_wide_view, DV_ROW_TEXT, n, f, m, s)
#define WIDE_INT(n, f, s) FIELD(dv_event_wide_view, DV_ROW_INT, n, f, 0, s)
#define WIDE_FLAG(n, f, s) FIELD(dv_event_wide_view, DV_ROW_FLAG, n, f, 0, s)

/* In a function of a row of kind CALL. */
#define PUT_NAME(writer, n) dv_event_put_name(writer, "\"" n "\":", sizeof("\"" n "\":") - 1)
#define PUT(writer, t) dv_event_put(writer, t, sizeof(t) - 1)

void dv_event_put_truncated(dv_event_writer *writer, const void *view);
void dv_event_put_policies(dv_event_writer *writer, const void *view);
void dv_event_put_groups(dv_event_writer *writer, const void *view);
void dv_event_put_sightings(dv_event_writer *writer, const void *view);

/* The profile list is per class; metadata always comes first and begins with the version. */
#define ROWS_HEAD(profiles)                                                                        \
    OPEN("metadata", "{"), FIXED("version", "\"" DV_OCSF_VERSION "\""),                            \
        FIXED("product",                                                                           \
              "{\"name\":\"Dvara\",\"vendor_name\":\"Dvara\",\"version\":\"" DV_VERSION "\"}"),    \
        FIXED("profiles", profiles), FIXED("log_name", "\"audit\""),                               \
        TEXT("event_code", event_code, SHORT, PUBLIC),                                             \
        TEXT("correlation_uid", request_id, SHORT, PUBLIC),                                        \
        CALL("is_truncated", dv_event_put_truncated, PUBLIC), CLOSE("}"),                          \
        INT("time", time_ms, PUBLIC), INT("class_uid", class_uid, PUBLIC),                         \
        INT("category_uid", category_uid, PUBLIC), INT("type_uid", type_uid, PUBLIC),              \
        INT("activity_id", activity_id, PUBLIC), INT("severity_id", severity_id, PUBLIC),          \
        INT("status_id", status_id, PUBLIC), TEXT("status_code", status_code, SHORT, PUBLIC),      \
        TEXT("status_detail", status_detail, LONG, PERSONAL),                                      \
        TEXT("message", message, LONG, PERSONAL)

#define ROWS_DECISION                                                                              \
    INT("action_id", action_id, PUBLIC), INT("disposition_id", disposition_id, PUBLIC),            \
        OPEN("policy", "{"), TEXT("uid", policy, SHORT, INTERNAL), TAG("is_applied", "true"),      \
        CLOSE("}")

#define ROWS_ACTOR                                                                                 \
    OPEN("actor", "{"), OPEN("user", "{"), TEXT("name", user_name, MEDIUM, PERSONAL),              \
        TEXT("uid", user_uid, MEDIUM, PERSONAL), INT("type_id", user_type, INTERNAL),              \
        CALL("groups", dv_event_put_groups, INTERNAL), OPEN("programmatic_credentials", "[{"),     \
        TEXT("uid", credential_id, SHORT, PERSONAL), TEXT("type", credential_kind, SHORT, PUBLIC), \
        CLOSE("}]"), CLOSE("}"), CLOSE("}")

#define ROWS_SOURCE                                                                                \
    OPEN("src_endpoint", "{"), TEXT("ip", address, SHORT, PERSONAL), INT("port", port, PERSONAL),  \
        TEXT("name", endpoint_name, SHORT, INTERNAL), CLOSE("}")

#define ROWS_API                                                                                   \
    OPEN("api", "{"), TEXT("operation", operation, SHORT, PUBLIC), OPEN("request", "{"),           \
        TEXT("uid", request_id, SHORT, PUBLIC), CLOSE("}"), OPEN("response", "{"),                 \
        INT("code", status, PUBLIC), CLOSE("}"), CLOSE("}")

#define ROWS_HTTP                                                                                  \
    OPEN("http_request", "{"), TEXT("http_method", method, SHORT, PUBLIC), OPEN("url", "{"),       \
        TEXT("path", path, LONG, INTERNAL), CLOSE("}"),                                            \
        TEXT("version", http_version, SHORT, PUBLIC),                                              \
        TEXT("user_agent", user_agent, MEDIUM, PERSONAL), INT("body_length", body_bytes, PUBLIC),  \
        CLOSE("}")

/* The route and the model that a request asked for. */
#define ROWS_WANTED                                                                                \
    OPEN("resources", "["), ITEM("{"), TEXT("name", route, SHORT, PUBLIC),                         \
        TAG("type", "\"route\""), CLOSE("}"), ITEM("{"), TEXT("name", model, MEDIUM, PUBLIC),      \
        TAG("type", "\"model\""), CLOSE("}"), CLOSE("]")
#define ROWS_MODEL                                                                                 \
    OPEN("ai_model", "{"), TEXT("name", model, MEDIUM, PUBLIC),                                    \
        TEXT("ai_provider", provider, MEDIUM, INTERNAL), CLOSE("}")

/* Whom the event is about: a user, a service account or, of a grant, a group. */
#define ROWS_USER                                                                                  \
    OPEN("user", "{"), TEXT("name", target_name, MEDIUM, PERSONAL),                                \
        TEXT("uid", target_uid, MEDIUM, PERSONAL), INT("type_id", target_type, INTERNAL),          \
        TEXT("type", target_type_name, SHORT, INTERNAL), CLOSE("}")

/* What the event is about, a person's where it has a uid. */
#define ROWS_TARGET                                                                                \
    OPEN("resources", "[{"), TEXT("name", target_name, MEDIUM, PERSONAL),                          \
        TEXT("uid", target_uid, MEDIUM, PERSONAL), CLOSE("}]")

/* The machine of a finding: one Dvara is one device, whatever it runs on. */
#define ROWS_DEVICE FIXED("device", "{\"type_id\":1,\"name\":\"Dvara\"}")

#define ROWS_UNMAPPED OPEN("unmapped", "{"), OPEN("dvara", "{")
#define ROWS_WHEN INT("time_ns", time_ns, PUBLIC), TEXT("via", via, SHORT, PUBLIC)
#define ROWS_UNMAPPED_END CLOSE("}"), CLOSE("}")

#define PROFILES_NONE "[]"
#define PROFILES_GATE "[\"security_control\",\"ai_operation\"]"
#define PROFILES_CONTROLLED "[\"security_control\"]"
#define PROFILES_ACTOR "[\"host\"]"

#define DV_EVENT_CLASS(rows)                                                                       \
    {                                                                                              \
        rows, DV_ARRAY_LEN(rows)                                                                   \
    }

/* event_rows.c: requests at the gate. */
extern const dv_event_class dv_event_class_open, dv_event_class_close, dv_event_class_refusals;
/* event_rows_control.c: what is done to and by the control plane, and what never became a request.
 */
extern const dv_event_class dv_event_class_operation, dv_event_class_account, dv_event_class_access,
    dv_event_class_session, dv_event_class_entity, dv_event_class_authentication,
    dv_event_class_config, dv_event_class_config_state, dv_event_class_lifecycle,
    dv_event_class_data, dv_event_class_network;
/* event_rows_findings.c: what somebody should look at, and what was seen and done. */
extern const dv_event_class dv_event_class_alarm, dv_event_class_incident,
    dv_event_class_data_finding, dv_event_class_compliance, dv_event_class_evidence,
    dv_event_class_remediation;
