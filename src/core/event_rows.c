/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_view.h"

/* What stands where in each class of record. */

enum { /* bytes of the free texts */
       SHORT = DV_EVENT_SHORT,
       MEDIUM = DV_EVENT_MEDIUM,
       LONG = DV_EVENT_LONG,
       /* What the rest of a record can need; sightings that would reach into it are only counted.
        */
       TAIL_ROOM = 16 << 10,
};

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
#define FIELD(k, n, f, m, s)                                                                       \
    {                                                                                              \
        .kind = (k), DV_ROW_NAME(n), .offset = offsetof(dv_event_view, f), .max = (m),             \
        .sensitivity = (s)                                                                         \
    }
#define TEXT(n, f, m, s) FIELD(DV_ROW_TEXT, n, f, m, s)
#define INT(n, f, s) FIELD(DV_ROW_INT, n, f, 0, s)
#define FLAG(n, f, s) FIELD(DV_ROW_FLAG, n, f, 0, s)
#define JSON(n, f, s) FIELD(DV_ROW_JSON, n, f, 0, s)
#define CALL(n, c, s)                                                                              \
    {                                                                                              \
        .kind = DV_ROW_CALL, DV_ROW_NAME(n), .call = (c), .sensitivity = (s)                       \
    }

static void put_policies(dv_event_writer *writer, const void *data);
static void put_groups(dv_event_writer *writer, const void *data);
static void put_truncated(dv_event_writer *writer, const void *data);
static void put_sightings(dv_event_writer *writer, const void *data);
static void put_limit(dv_event_writer *writer, const void *data);

/* The profile list is per class; metadata always comes first and begins with the version. */
#define ROWS_HEAD(profiles)                                                                        \
    OPEN("metadata", "{"), FIXED("version", "\"" DV_OCSF_VERSION "\""),                            \
        FIXED("product",                                                                           \
              "{\"name\":\"Dvara\",\"vendor_name\":\"Dvara\",\"version\":\"" DV_VERSION "\"}"),    \
        FIXED("profiles", profiles), FIXED("log_name", "\"audit\""),                               \
        TEXT("event_code", event_code, SHORT, PUBLIC),                                             \
        TEXT("correlation_uid", request_id, SHORT, PUBLIC),                                        \
        CALL("is_truncated", put_truncated, PUBLIC), CLOSE("}"), INT("time", time_ms, PUBLIC),     \
        INT("class_uid", class_uid, PUBLIC), INT("category_uid", category_uid, PUBLIC),            \
        INT("type_uid", type_uid, PUBLIC), INT("activity_id", activity_id, PUBLIC),                \
        INT("severity_id", severity_id, PUBLIC), INT("status_id", status_id, PUBLIC),              \
        TEXT("status_code", status_code, SHORT, PUBLIC),                                           \
        TEXT("status_detail", status_detail, LONG, INTERNAL),                                      \
        TEXT("message", message, LONG, INTERNAL)

#define ROWS_DECISION                                                                              \
    INT("action_id", action_id, PUBLIC), INT("disposition_id", disposition_id, PUBLIC),            \
        OPEN("policy", "{"), TEXT("uid", policy, SHORT, INTERNAL), TAG("is_applied", "true"),      \
        CLOSE("}")

#define ROWS_ACTOR                                                                                 \
    OPEN("actor", "{"), OPEN("user", "{"), TEXT("name", user_name, MEDIUM, PERSONAL),              \
        TEXT("uid", user_uid, MEDIUM, PERSONAL), INT("type_id", user_type, INTERNAL),              \
        CALL("groups", put_groups, INTERNAL), OPEN("programmatic_credentials", "[{"),              \
        TEXT("uid", credential_id, SHORT, INTERNAL), TEXT("type", credential_kind, SHORT, PUBLIC), \
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
        TEXT("user_agent", user_agent, MEDIUM, INTERNAL), INT("body_length", body_bytes, PUBLIC),  \
        CLOSE("}")

#define ROWS_MODEL                                                                                 \
    OPEN("resources", "["), ITEM("{"), TEXT("name", route, SHORT, PUBLIC),                         \
        TAG("type", "\"route\""), CLOSE("}"), ITEM("{"), TEXT("name", model, MEDIUM, PUBLIC),      \
        TAG("type", "\"model\""), CLOSE("}"), CLOSE("]"), OPEN("ai_model", "{"),                   \
        TEXT("name", model, MEDIUM, PUBLIC), TEXT("ai_provider", provider, MEDIUM, INTERNAL),      \
        CLOSE("}")

#define ROWS_DETAIL                                                                                \
    TEXT("phase", phase, SHORT, PUBLIC), INT("time_ns", time_ns, PUBLIC),                          \
        TEXT("via", via, SHORT, PUBLIC), CALL("policies", put_policies, INTERNAL),                 \
        TEXT("upstream", upstream, MEDIUM, INTERNAL),                                              \
        INT("sighting_count", sighting_count, INTERNAL),                                           \
        CALL("sightings", put_sightings, INTERNAL), CALL("limit", put_limit, INTERNAL)

#define ROWS_UNMAPPED OPEN("unmapped", "{"), OPEN("dvara", "{")
#define ROWS_UNMAPPED_END CLOSE("}"), CLOSE("}")

#define PROFILES_GATE "[\"security_control\",\"ai_operation\"]"
#define PROFILES_CONTROL "[]"

static const dv_event_row open_rows[] = {
    ROWS_HEAD(PROFILES_GATE),
    ROWS_DECISION,
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_API,
    ROWS_HTTP,
    ROWS_MODEL,
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

static const dv_event_row close_rows[] = {
    ROWS_HEAD(PROFILES_GATE),
    ROWS_DECISION,
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_API,
    ROWS_HTTP,
    OPEN("http_response", "{"),
    INT("code", status, PUBLIC),
    INT("body_length", answer_bytes, PUBLIC),
    INT("latency", latency_ms, PUBLIC),
    CLOSE("}"),
    ROWS_MODEL,
    OPEN("message_context", "{"),
    INT("prompt_tokens", input_tokens, PUBLIC),
    INT("completion_tokens", output_tokens, PUBLIC),
    INT("total_tokens", total_tokens, PUBLIC),
    OPEN("service", "{"),
    TEXT("name", service, MEDIUM, INTERNAL),
    CLOSE("}"),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    INT("upstream_status", upstream_status, PUBLIC),
    INT("latency_ns", latency_ns, PUBLIC),
    INT("upstream_latency_ns", upstream_latency_ns, PUBLIC),
    FLAG("aborted", aborted, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row refusals_rows[] = {
    ROWS_HEAD("[\"security_control\"]"),
    INT("count", count, PUBLIC),
    INT("start_time", start_ms, PUBLIC),
    INT("end_time", end_ms, PUBLIC),
    ROWS_DECISION,
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_API,
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

static const dv_event_row operation_rows[] = {
    ROWS_HEAD(PROFILES_CONTROL),
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_API,
    ROWS_HTTP,
    OPEN("resources", "[{"),
    TEXT("name", target_name, MEDIUM, PERSONAL),
    CLOSE("}]"),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

static const dv_event_row account_rows[] = {
    ROWS_HEAD(PROFILES_CONTROL),
    ROWS_ACTOR,
    ROWS_SOURCE,
    OPEN("user", "{"),
    TEXT("name", target_name, MEDIUM, PERSONAL),
    TEXT("uid", target_uid, MEDIUM, PERSONAL),
    INT("type_id", target_type, INTERNAL),
    CLOSE("}"),
    OPEN("policies", "[{"),
    TEXT("uid", object, MEDIUM, INTERNAL),
    CLOSE("}]"),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

static const dv_event_row entity_rows[] = {
    ROWS_HEAD(PROFILES_CONTROL),
    ROWS_ACTOR,
    ROWS_SOURCE,
    OPEN("entity", "{"),
    TEXT("uid", entity_id, MEDIUM, INTERNAL),
    TEXT("type", entity_type, SHORT, PUBLIC),
    JSON("data", entity_change, PERSONAL),
    OPEN("user", "{"),
    TEXT("uid", entity_owner, MEDIUM, PERSONAL),
    CLOSE("}"),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

static const dv_event_row authentication_rows[] = {
    ROWS_HEAD(PROFILES_CONTROL),
    ROWS_ACTOR,
    ROWS_SOURCE,
    OPEN("user", "{"),
    TEXT("name", target_name, MEDIUM, PERSONAL),
    TEXT("uid", target_uid, MEDIUM, PERSONAL),
    INT("type_id", target_type, INTERNAL),
    CLOSE("}"),
    FIXED("auth_protocol_id", "99"),
    TEXT("auth_protocol", auth_method, SHORT, PUBLIC),
    FIXED("service", "{\"name\":\"Dvara\"}"),
    OPEN("session", "{"),
    TEXT("credential_uid", credential_id, SHORT, INTERNAL),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

static const dv_event_row config_rows[] = {
    ROWS_HEAD(PROFILES_CONTROL),
    ROWS_ACTOR,
    FIXED("device", "{\"type_id\":1,\"name\":\"Dvara\"}"),
    FIXED("state_id", "99"),
    FIXED("state", "\"Put in force\""),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    TEXT("what", what, SHORT, PUBLIC),
    TEXT("sha256", digest, SHORT, PUBLIC),
    ROWS_UNMAPPED_END,
};

static const dv_event_row lifecycle_rows[] = {
    ROWS_HEAD(PROFILES_CONTROL),
    OPEN("app", "{"),
    TEXT("name", process, SHORT, PUBLIC),
    FIXED("version", "\"" DV_VERSION "\""),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

static const dv_event_row alarm_rows[] = {
    ROWS_HEAD("[\"security_control\"]"),
    FLAG("is_alert", is_alert, PUBLIC),
    OPEN("finding_info", "{"),
    TEXT("uid", rule, SHORT, PUBLIC),
    TEXT("title", title, LONG, INTERNAL),
    CLOSE("}"),
    ROWS_UNMAPPED,
    ROWS_DETAIL,
    ROWS_UNMAPPED_END,
};

typedef struct event_table {
    const dv_event_row *rows;
    size_t count;
} event_table;

#define TABLE(rows)                                                                                \
    {                                                                                              \
        rows, DV_ARRAY_LEN(rows)                                                                   \
    }
static const event_table tables[DV_EVENT_TABLES] = {
    TABLE(open_rows),      TABLE(close_rows),  TABLE(refusals_rows),       TABLE(operation_rows),
    TABLE(account_rows),   TABLE(entity_rows), TABLE(authentication_rows), TABLE(config_rows),
    TABLE(lifecycle_rows), TABLE(alarm_rows),
};

static void put_truncated(dv_event_writer *writer, const void *data)
{
    const dv_event_view *view = data;
    if (view->cut) {
        dv_event_put_name(writer, "\"is_truncated\":true", sizeof("\"is_truncated\":true") - 1);
    }
}

#define PUT_NAME(writer, n) dv_event_put_name(writer, "\"" n "\":", sizeof("\"" n "\":") - 1)
#define PUT(writer, t) dv_event_put(writer, t, sizeof(t) - 1)

/* All that determined a decision, where policy.uid does not tell it. */
static void put_policies(dv_event_writer *writer, const void *data)
{
    const dv_event_view *view = data;
    dv_slice id;
    dv_slice rest = view->others;
    if (rest.len == 0 && (view->policy.len == 0 || !view->only_here)) {
        return;
    }
    PUT_NAME(writer, "policies");
    PUT(writer, "[");
    dv_event_put_text(writer, view->policy, SHORT);
    while (dv_verdict_others_next(&rest, &id)) {
        PUT(writer, ",");
        dv_event_put_text(writer, id, SHORT);
    }
    PUT(writer, "]");
    if (view->unnamed > 0) {
        PUT(writer, ",\"policies_unnamed\":");
        dv_event_put_int(writer, view->unnamed);
    }
}

static void put_groups(dv_event_writer *writer, const void *data)
{
    const dv_event_view *view = data;
    if (view->principal == NULL || view->principal->group_count == 0) {
        return;
    }
    PUT_NAME(writer, "groups");
    PUT(writer, "[");
    for (size_t i = 0; i < DV_MIN(view->principal->group_count, (size_t)DV_EVENT_GROUPS_MAX); i++) {
        if (i > 0) {
            PUT(writer, ",");
        }
        PUT(writer, "{\"name\":");
        dv_event_put_text(writer, view->principal->groups[i], SHORT);
        PUT(writer, "}");
    }
    PUT(writer, "]");
}

static void put_sighting(dv_event_writer *writer, const dv_sighting *sighting)
{
    const char *action = dv_content_action_name(sighting->action);
    PUT(writer, "{\"detector\":");
    dv_event_put_text(writer, dv_slice_str(sighting->detector), SHORT);
    PUT(writer, ",\"place\":");
    dv_event_put_text(writer, dv_slice_str(sighting->place), MEDIUM);
    PUT(writer, ",\"action\":");
    dv_event_put_text(writer, dv_slice_str(action), SHORT);
    PUT(writer, ",\"score\":");
    dv_event_put_int(writer, sighting->score);
    if (sighting->times > 1) {
        PUT(writer, ",\"times\":");
        dv_event_put_int(writer, sighting->times);
    }
    PUT(writer, "}");
}

/* As many as there is room for; sighting_count tells how many there were. */
static void put_sightings(dv_event_writer *writer, const void *data)
{
    const dv_event_view *view = data;
    if (view->sightings == NULL || view->listed == 0) {
        return;
    }
    PUT_NAME(writer, "sightings");
    PUT(writer, "[");
    for (size_t i = 0; i < DV_MIN(view->listed, (size_t)DV_EVENT_SIGHTINGS_MAX); i++) {
        if (writer->end - writer->at < TAIL_ROOM) {
            break;
        }
        if (i > 0) {
            PUT(writer, ",");
        }
        put_sighting(writer, &view->sightings[i]);
    }
    PUT(writer, "]");
}

static void put_reservation(dv_event_writer *writer, const dv_event_limit *limit)
{
    PUT(writer, ",\"reserved_ns\":");
    dv_event_put_int(writer, limit->reserved_at);
    PUT(writer, ",\"reserved_tokens\":");
    dv_event_put_int(writer, (int64_t)limit->reserved_tokens);
    PUT(writer, ",\"reserved_cost\":");
    dv_event_put_int(writer, (int64_t)limit->reserved_cost);
    if (limit->settled) {
        PUT(writer, ",\"settled_tokens\":");
        dv_event_put_int(writer, (int64_t)limit->settled_tokens);
        PUT(writer, ",\"settled_cost\":");
        dv_event_put_int(writer, (int64_t)limit->settled_cost);
    }
}

static void put_limit(dv_event_writer *writer, const void *data)
{
    const dv_event_limit *limit = ((const dv_event_view *)data)->limit;
    if (limit == NULL) {
        return;
    }
    PUT_NAME(writer, "limit");
    PUT(writer, "{\"key\":");
    dv_event_put_text(writer, limit->key, MEDIUM);
    PUT(writer, ",\"unit\":");
    dv_event_put_text(writer, dv_slice_str(limit->unit), SHORT);
    PUT(writer, ",\"limit\":");
    dv_event_put_int(writer, (int64_t)limit->limit);
    PUT(writer, ",\"remaining\":");
    dv_event_put_int(writer, (int64_t)limit->remaining);
    PUT(writer, ",\"now_ns\":");
    dv_event_put_int(writer, limit->now);
    PUT(writer, ",\"tat_ns\":");
    dv_event_put_int(writer, limit->tat);
    PUT(writer, ",\"called_ns\":");
    dv_event_put_int(writer, limit->called_at);
    if (limit->reserved_at != 0) {
        put_reservation(writer, limit);
    }
    dv_event_put(writer, limit->admitted ? ",\"admitted\":true}" : ",\"admitted\":false}",
                 limit->admitted ? 17 : 18);
}

dv_result dv_event_put_view(dv_buf *out, dv_event_table id, dv_event_view *view)
{
    const event_table *table = &tables[id];
    view->type_uid = view->class_uid * 100 + view->activity_id;
    size_t begin = out->len;
    bool cut = false;
    DV_TRY(dv_event_write(out, table->rows, table->count, view, &cut));
    if (!cut || view->cut) {
        return DV_OK;
    }
    /* The record says so near its front, and hardly one ever does. */
    view->cut = true;
    out->len = begin;
    return dv_event_write(out, table->rows, table->count, view, &cut);
}

/* -- sensitivity ------------------------------------------------------------------------------- */

enum { PATH_ROOM = 256, PATH_DEPTH = 12 };

/* The path of the member that a walk over the rows has come to: "actor.user.name". */
typedef struct row_path {
    char text[PATH_ROOM];
    size_t len[PATH_DEPTH]; /* of the text at each depth */
    size_t depth;
} row_path;

/* Appends the row's name, without its quotes and colon; returns the new length. */
static size_t path_with(row_path *path, const dv_event_row *row)
{
    size_t len = path->len[path->depth];
    if (row->name_len == 0) {
        return len;
    }
    int added = snprintf(path->text + len, PATH_ROOM - len, "%s%.*s", len > 0 ? "." : "",
                         (int)row->name_len - 3, row->name + 2);
    return len + (size_t)added;
}

static int table_sensitivity(const event_table *table, dv_slice wanted)
{
    row_path path = {.depth = 0};
    int found = -1;
    for (size_t i = 0; i < table->count; i++) {
        const dv_event_row *row = &table->rows[i];
        if (row->kind == DV_ROW_CLOSE) {
            path.depth--;
            continue;
        }
        size_t len = path_with(&path, row);
        if (row->kind == DV_ROW_OPEN) {
            path.len[++path.depth] = len;
        } else if (dv_slice_eq(dv_slice_of(path.text, len), wanted)) {
            found = DV_MAX(found, (int)row->sensitivity);
        }
    }
    return found;
}

dv_sensitivity dv_event_sensitivity(dv_slice path)
{
    int found = -1;
    for (size_t i = 0; i < DV_EVENT_TABLES; i++) {
        found = DV_MAX(found, table_sensitivity(&tables[i], path));
    }
    return found < 0 ? DV_SENSITIVITY_PERSONAL : (dv_sensitivity)found;
}
