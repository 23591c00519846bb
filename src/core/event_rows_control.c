/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_access.h"
#include "core/event_rows.h"

/* The records of what is done to and by the control plane, and of what came over the network and
 * never became a request. */

static void put_privileges(dv_event_writer *writer, const void *data);
static void put_labels(dv_event_writer *writer, const void *data);

#define ROWS_DETAIL ROWS_UNMAPPED, ROWS_WHEN, ROWS_UNMAPPED_END

static const dv_event_row operation_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_API,
    ROWS_HTTP,
    ROWS_TARGET,
    ROWS_UNMAPPED,
    ROWS_WHEN,
    CALL("policies", dv_event_put_policies, INTERNAL),
    ROWS_UNMAPPED_END,
};

static const dv_event_row account_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_USER,
    OPEN("policies", "[{"),
    TEXT("uid", object, MEDIUM, INTERNAL),
    CLOSE("}]"),
    ROWS_DETAIL,
};

static const dv_event_row access_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_USER,
    CALL("privileges", put_privileges, INTERNAL),
    ROWS_UNMAPPED,
    ROWS_WHEN,
    WIDE_INT("expires", expires_ms, PUBLIC),
    WIDE_TEXT("reason", reason, LONG, PERSONAL),
    WIDE_FLAG("break_glass", break_glass, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row session_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_USER,
    CALL("privileges", put_privileges, INTERNAL),
    OPEN("session", "{"),
    WIDE_TEXT("credential_uid", session_credential, SHORT, PERSONAL),
    WIDE_INT("expiration_time", expires_ms, PUBLIC),
    WIDE_FLAG("is_mfa", mfa, PUBLIC),
    CLOSE("}"),
    ROWS_DETAIL,
};

static const dv_event_row entity_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_SOURCE,
    OPEN("entity", "{"),
    TEXT("uid", entity_id, MEDIUM, INTERNAL),
    WIDE_TEXT("name", entity_name, MEDIUM, PERSONAL),
    TEXT("type", entity_type, SHORT, PUBLIC),
    JSON("data", entity_change, PERSONAL),
    OPEN("user", "{"),
    TEXT("uid", entity_owner, MEDIUM, PERSONAL),
    CLOSE("}"),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_WHEN,
    TEXT("sha256", digest, SHORT, PUBLIC),
    WIDE_INT("files", rows, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row authentication_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_USER,
    FIXED("auth_protocol_id", "99"),
    TEXT("auth_protocol", auth_method, SHORT, PUBLIC),
    FIXED("service", "{\"name\":\"Dvara\"}"),
    OPEN("session", "{"),
    WIDE_TEXT("credential_uid", session_credential, SHORT, PERSONAL),
    CLOSE("}"),
    ROWS_DETAIL,
};

static const dv_event_row config_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_DEVICE,
    FIXED("state_id", "99"),
    FIXED("state", "\"Put in force\""),
    ROWS_UNMAPPED,
    ROWS_WHEN,
    TEXT("what", what, SHORT, PUBLIC),
    TEXT("sha256", digest, SHORT, PUBLIC),
    JSON("setting", entity_change, INTERNAL),
    ROWS_UNMAPPED_END,
};

static const dv_event_row config_state_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_DEVICE,
    ROWS_UNMAPPED,
    ROWS_WHEN,
    TEXT("what", what, SHORT, PUBLIC),
    TEXT("sha256", digest, SHORT, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row lifecycle_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    OPEN("app", "{"),
    TEXT("name", process, SHORT, PUBLIC),
    FIXED("version", "\"" DV_VERSION "\""),
    CLOSE("}"),
    ROWS_DETAIL,
};

static const dv_event_row data_rows[] = {
    ROWS_HEAD(PROFILES_NONE),
    ROWS_ACTOR,
    ROWS_SOURCE,
    WIDE_INT("type_id", store_type, PUBLIC),
    OPEN("database", "{"),
    WIDE_TEXT("name", database, MEDIUM, INTERNAL),
    TAG("type_id", "0"),
    CLOSE("}"),
    OPEN("table", "{"),
    WIDE_TEXT("name", table, MEDIUM, INTERNAL),
    CLOSE("}"),
    OPEN("query_info", "{"),
    WIDE_TEXT("query_string", query, LONG, PERSONAL),
    TAG("name", "\"query\""),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_WHEN,
    TEXT("operation", operation, SHORT, PUBLIC),
    CALL("policies", dv_event_put_policies, INTERNAL),
    WIDE_TEXT("reason", reason, LONG, PERSONAL),
    WIDE_INT("rows", rows, PUBLIC),
    WIDE_INT("missing", missing, PUBLIC),
    WIDE_INT("bytes", bytes, PUBLIC),
    CALL("labels", put_labels, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row network_rows[] = {
    ROWS_HEAD(PROFILES_CONTROLLED),
    INT("count", count, PUBLIC),
    INT("start_time", start_ms, PUBLIC),
    INT("end_time", end_ms, PUBLIC),
    ROWS_DECISION,
    ROWS_SOURCE,
    OPEN("http_request", "{"),
    WIDE_INT("length", bytes, PUBLIC),
    CLOSE("}"),
    OPEN("http_response", "{"),
    INT("code", status, PUBLIC),
    CLOSE("}"),
    WIDE_TEXT("app_protocol_name", protocol, SHORT, PUBLIC),
    FIXED("connection_info", "{\"direction_id\":1,\"protocol_name\":\"tcp\",\"protocol_num\":6}"),
    ROWS_DETAIL,
};

const dv_event_class dv_event_class_operation = DV_EVENT_CLASS(operation_rows);
const dv_event_class dv_event_class_account = DV_EVENT_CLASS(account_rows);
const dv_event_class dv_event_class_access = DV_EVENT_CLASS(access_rows);
const dv_event_class dv_event_class_session = DV_EVENT_CLASS(session_rows);
const dv_event_class dv_event_class_entity = DV_EVENT_CLASS(entity_rows);
const dv_event_class dv_event_class_authentication = DV_EVENT_CLASS(authentication_rows);
const dv_event_class dv_event_class_config = DV_EVENT_CLASS(config_rows);
const dv_event_class dv_event_class_config_state = DV_EVENT_CLASS(config_state_rows);
const dv_event_class dv_event_class_lifecycle = DV_EVENT_CLASS(lifecycle_rows);
const dv_event_class dv_event_class_data = DV_EVENT_CLASS(data_rows);
const dv_event_class dv_event_class_network = DV_EVENT_CLASS(network_rows);

/* A list of texts; those that have no room are left out, and the record says so. */
static void put_list(dv_event_writer *writer, const dv_slice *items, size_t count, size_t max)
{
    PUT(writer, "[");
    for (size_t i = 0; i < DV_MIN(count, (size_t)DV_EVENT_NAMES_MAX); i++) {
        if (i > 0) {
            PUT(writer, ",");
        }
        writer->cut = writer->cut || items[i].len > max;
        dv_event_put_text(writer, items[i], max);
    }
    PUT(writer, "]");
    writer->cut = writer->cut || count > DV_EVENT_NAMES_MAX;
}

static void put_privileges(dv_event_writer *writer, const void *data)
{
    const dv_event_wide_view *view = data;
    PUT_NAME(writer, "privileges");
    put_list(writer, view->names, view->name_count, MEDIUM);
}

static void put_labels(dv_event_writer *writer, const void *data)
{
    const dv_event_wide_view *view = data;
    if (view->label_count > 0) {
        PUT_NAME(writer, "labels");
        put_list(writer, view->labels, view->label_count, SHORT);
    }
}
