/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event.h"

#include "core/event_writer.h"

#include <limits.h>

/* Everything that any record can hold, flat; the tables below say where it stands. Texts that are
 * empty and integers that are DV_EVENT_UNKNOWN are left out. */
typedef struct event_view {
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
} event_view;

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
        .kind = (k), DV_ROW_NAME(n), .offset = offsetof(event_view, f), .max = (m),                \
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
enum table_id {
    OPEN_TABLE,
    CLOSE_TABLE,
    REFUSALS_TABLE,
    OPERATION_TABLE,
    ACCOUNT_TABLE,
    ENTITY_TABLE,
    AUTHENTICATION_TABLE,
    CONFIG_TABLE,
    LIFECYCLE_TABLE,
    ALARM_TABLE,
    TABLE_COUNT
};
static const event_table tables[TABLE_COUNT] = {
    TABLE(open_rows),      TABLE(close_rows),  TABLE(refusals_rows),       TABLE(operation_rows),
    TABLE(account_rows),   TABLE(entity_rows), TABLE(authentication_rows), TABLE(config_rows),
    TABLE(lifecycle_rows), TABLE(alarm_rows),
};

static void put_truncated(dv_event_writer *writer, const void *data)
{
    const event_view *view = data;
    if (view->cut) {
        dv_event_put_name(writer, "\"is_truncated\":true", sizeof("\"is_truncated\":true") - 1);
    }
}

#define PUT_NAME(writer, n) dv_event_put_name(writer, "\"" n "\":", sizeof("\"" n "\":") - 1)
#define PUT(writer, t) dv_event_put(writer, t, sizeof(t) - 1)

/* All that determined a decision, where policy.uid does not tell it. */
static void put_policies(dv_event_writer *writer, const void *data)
{
    const event_view *view = data;
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
    const event_view *view = data;
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
    const event_view *view = data;
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
    const dv_event_limit *limit = ((const event_view *)data)->limit;
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

static dv_result write_event(dv_buf *out, enum table_id id, event_view *view)
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

/* What every record has. */
static event_view view_of(int64_t class_uid, int64_t activity, dv_time time)
{
    return (event_view){
        .class_uid = class_uid,
        .category_uid = class_uid / 1000,
        .activity_id = activity,
        .time_ms = time / DV_MILLISECOND,
        .time_ns = time,
        .severity_id = 1,
        .action_id = DV_EVENT_UNKNOWN,
        .disposition_id = DV_EVENT_UNKNOWN,
        .user_type = DV_EVENT_UNKNOWN,
        .target_type = DV_EVENT_UNKNOWN,
        .port = DV_EVENT_UNKNOWN,
        .body_bytes = DV_EVENT_UNKNOWN,
        .status = DV_EVENT_UNKNOWN,
        .sighting_count = DV_EVENT_UNKNOWN,
        .count = DV_EVENT_UNKNOWN,
        .start_ms = DV_EVENT_UNKNOWN,
        .end_ms = DV_EVENT_UNKNOWN,
    };
}

/* OCSF's user.type_id by the entity's type: 1 user, 4 service, 3 system (also local root). */
static int64_t entity_user_type(dv_slice entity)
{
    if (dv_slice_starts_with(entity, DV_LIT("User::"))) {
        return 1;
    }
    if (dv_slice_starts_with(entity, DV_LIT("Service::"))) {
        return 4;
    }
    return entity.len > 0 ? 3 : 0;
}

/* The name between the quotes of User::"alice"; the whole text when there are none. */
static dv_slice entity_name(dv_slice entity)
{
    ptrdiff_t quote = dv_slice_find_byte(entity, '"');
    if (quote < 0 || entity.len < (size_t)quote + 2) {
        return entity;
    }
    return dv_slice_sub(entity, (size_t)quote + 1, entity.len - (size_t)quote - 2);
}

/* -- requests at the gate ---------------------------------------------------------------------- */

/* OCSF's API Activity: 1 create, 2 read, 3 update, 4 delete, 99 other. */
static int64_t method_activity(dv_slice method)
{
    static const struct {
        const char *method;
        int64_t activity;
    } known[] = {{"POST", 1}, {"GET", 2}, {"HEAD", 2}, {"PUT", 3}, {"PATCH", 3}, {"DELETE", 4}};
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        if (dv_slice_eq_str(method, known[i].method)) {
            return known[i].activity;
        }
    }
    return 99;
}

static void view_caller(event_view *view, const dv_event_request *request)
{
    view->principal = request->principal;
    if (request->principal != NULL) {
        view->user_name = request->principal->name;
        view->user_uid = request->principal->entity;
        view->user_type = request->principal->type == DV_PRINCIPAL_SERVICE ? 4 : 1;
    } else {
        view->user_name = DV_LIT("anonymous");
        view->user_type = 0;
    }
    if (request->credential != NULL) {
        view->credential_id = request->credential->id;
        view->credential_kind = request->credential->kind;
    }
    view->address = request->address;
    view->endpoint_name = request->address.len == 0 ? DV_LIT("unknown") : (dv_slice){NULL, 0};
    view->port = request->port == 0 ? DV_EVENT_UNKNOWN : request->port;
}

/* OCSF's disposition of a refusal: unauthorized, rejected (malformed), an error, or blocked. */
static int64_t refusal_disposition(dv_reason reason)
{
    switch (reason) {
    case DV_REASON_NO_CREDENTIAL:
    case DV_REASON_BAD_CREDENTIAL:
    case DV_REASON_NOT_PERMITTED:
    case DV_REASON_FORBIDDEN:
    case DV_REASON_SCOPE:
        return 26;
    case DV_REASON_NO_ROUTE:
    case DV_REASON_BAD_PATH:
    case DV_REASON_BODY_TOO_LARGE:
    case DV_REASON_BAD_JSON:
    case DV_REASON_BAD_FIELD:
    case DV_REASON_BAD_CONTENT_TYPE:
    case DV_REASON_BAD_ENCODING:
    case DV_REASON_BAD_REQUEST:
        return 25;
    case DV_REASON_UPSTREAM:
    case DV_REASON_INTERNAL:
    case DV_REASON_NOT_READY:
    case DV_REASON_AUDIT_UNAVAILABLE:
    case DV_REASON_LIMITS_FULL:
    case DV_REASON_ANSWER_UNREADABLE:
        return 27;
    default:
        return 2;
    }
}

bool dv_event_rewrote(const dv_sighting *sightings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (sightings[i].action == DV_ACTION_MASK || sightings[i].action == DV_ACTION_PLACEHOLDER) {
            return true;
        }
    }
    return false;
}

/* What was seen in a body, whole or as far as it is listed. */
typedef struct seen_in {
    const dv_sighting *sightings;
    size_t listed;
    uint64_t unlisted;
    bool unlisted_rewrote;
} seen_in;

static void view_policies(event_view *view, const dv_verdict *verdict)
{
    view->policy = dv_slice_str(verdict->policy);
    view->others = verdict->others;
    view->unnamed = verdict->others.len > 0 ? verdict->unnamed : 0;
}

/* Allowed, modified or denied; how bad it is for whoever reads the log. */
static void view_decision(event_view *view, const dv_verdict *verdict, const seen_in *seen)
{
    static const dv_verdict undecided = {.decision = DV_DENY, .reason = DV_REASON_UNSET};
    verdict = verdict == NULL ? &undecided : verdict;
    bool allowed = verdict->decision == DV_ALLOW;
    bool rewrote = seen->unlisted_rewrote || dv_event_rewrote(seen->sightings, seen->listed);
    view->sightings = seen->sightings;
    view->listed = seen->listed;
    view->sighting_count = (int64_t)(seen->listed + seen->unlisted);
    view->status_id = allowed ? 1 : 2;
    view->status_code = dv_slice_str(dv_reason_name(verdict->reason));
    view->status_detail = dv_slice_str(verdict->detail);
    view_policies(view, verdict);
    view->action_id = !allowed ? 2 : rewrote ? 4 : 1;
    view->disposition_id = allowed ? 1 : refusal_disposition(verdict->reason);
    view->severity_id = allowed ? (view->sighting_count > 0 ? 2 : 1) : 3;
}

dv_slice dv_event_path(dv_slice path)
{
    ptrdiff_t mark = dv_slice_find_byte(path, '?');
    return mark < 0 ? path : dv_slice_sub(path, 0, (size_t)mark);
}

static event_view view_request(const dv_event_request *request, dv_time time)
{
    event_view view = view_of(6003, method_activity(request->method), time);
    view.request_id = request->request_id;
    view_caller(&view, request);
    view.operation = request->action.len > 0 ? request->action : request->method;
    if (view.operation.len == 0) {
        view.operation = DV_LIT("unknown");
    }
    view.route = request->route;
    view.method = request->method;
    view.path = dv_event_path(request->path);
    view.http_version = request->http_version;
    view.user_agent = request->user_agent;
    view.body_bytes = (int64_t)request->body_bytes;
    view.model = request->model;
    view.upstream = request->upstream;
    if (request->model.len > 0) {
        view.provider = request->upstream.len > 0 ? request->upstream : DV_LIT("unknown");
    }
    view.limit = request->limit;
    return view;
}

dv_result dv_event_request_open(dv_buf *out, const dv_event_request *request)
{
    event_view view = view_request(request, request->time);
    view.event_code = DV_LIT("request.open");
    view.phase = DV_LIT("open");
    const seen_in seen = {request->sightings, request->sighting_count, request->unlisted,
                          request->unlisted_rewrote};
    view_decision(&view, request->verdict, &seen);
    return write_event(out, OPEN_TABLE, &view);
}

static int64_t known(int64_t value)
{
    return value < 0 ? DV_EVENT_UNKNOWN : value;
}

static int64_t total_tokens(const dv_event_outcome *outcome)
{
    if (outcome->input_tokens < 0 || outcome->output_tokens < 0 ||
        outcome->input_tokens > INT64_MAX - outcome->output_tokens) {
        return DV_EVENT_UNKNOWN;
    }
    return outcome->input_tokens + outcome->output_tokens;
}

dv_result dv_event_request_close(dv_buf *out, const dv_event_request *request,
                                 const dv_event_outcome *outcome)
{
    enum { CALLER_WENT_AWAY = 499 }; /* nginx's own number for it */
    event_view view = view_request(request, outcome->time);
    view.event_code = DV_LIT("request.close");
    view.phase = DV_LIT("close");
    const seen_in seen = {outcome->sightings, outcome->sighting_count, outcome->unlisted,
                          outcome->unlisted_rewrote};
    view_decision(&view, outcome->verdict != NULL ? outcome->verdict : request->verdict, &seen);
    view.status = outcome->status == 0 ? CALLER_WENT_AWAY : outcome->status;
    view.answer_bytes = (int64_t)outcome->answer_bytes;
    view.latency_ms = outcome->latency / DV_MILLISECOND;
    view.latency_ns = outcome->latency;
    view.upstream_latency_ns = known(outcome->upstream_latency);
    view.upstream_status = outcome->upstream_status;
    view.input_tokens = known(outcome->input_tokens);
    view.output_tokens = known(outcome->output_tokens);
    view.total_tokens = total_tokens(outcome);
    view.service = request->upstream.len > 0 ? request->upstream : DV_LIT("unknown");
    view.aborted = outcome->aborted;
    return write_event(out, CLOSE_TABLE, &view);
}

dv_result dv_event_refusals(dv_buf *out, const dv_event_refused *refused)
{
    enum { ACTIVITY_OTHER = 99 };
    const dv_verdict verdict = {.decision = DV_DENY, .reason = refused->reason};
    const dv_event_request request = {
        .time = refused->until, .address = refused->address, .verdict = &verdict};
    event_view view = view_request(&request, refused->until);
    view.activity_id = ACTIVITY_OTHER;
    view.event_code = DV_LIT("refusals");
    view.message = DV_LIT("Refusals that were counted, not recorded each.");
    view.operation = DV_LIT("any");
    view.count = (int64_t)refused->count;
    view.start_ms = refused->since / DV_MILLISECOND;
    view.end_ms = refused->until / DV_MILLISECOND;
    view_decision(&view, &verdict, &(const seen_in){.listed = 0});
    view.sighting_count = DV_EVENT_UNKNOWN;
    return write_event(out, REFUSALS_TABLE, &view);
}

/* -- the control plane ------------------------------------------------------------------------- */

static event_view view_actor(const dv_event_actor *actor, int64_t class_uid, int64_t activity)
{
    event_view view = view_of(class_uid, activity, actor->time);
    view.request_id = actor->request_id;
    view.user_uid = actor->entity;
    view.user_name = actor->entity.len > 0 ? entity_name(actor->entity) : DV_LIT("anonymous");
    view.user_type = entity_user_type(actor->entity);
    view.address = actor->address;
    view.endpoint_name = actor->address.len == 0 ? DV_LIT("local") : (dv_slice){NULL, 0};
    view.via = actor->via;
    view.status_id = actor->result == DV_OK ? 1 : 2;
    view.status_code =
        actor->result == DV_OK ? DV_LIT("ok") : dv_slice_str(dv_result_name(actor->result));
    view.status_detail = actor->detail;
    view.severity_id = actor->result == DV_OK ? 1 : 2;
    return view;
}

dv_result dv_event_operation(dv_buf *out, const dv_event_actor *actor, const dv_event_call *call)
{
    event_view view = view_actor(actor, 6003, method_activity(call->method));
    view.event_code = DV_LIT("control.call");
    view.operation = call->operation;
    view.method = call->method;
    view.path = call->path;
    view.target_name = call->target;
    view.status = call->status;
    view.only_here = true;
    if (call->verdict != NULL) {
        view_policies(&view, call->verdict);
    }
    return write_event(out, OPERATION_TABLE, &view);
}

dv_result dv_event_account_change(dv_buf *out, const dv_event_actor *actor,
                                  dv_account_activity activity, dv_slice account, dv_slice object)
{
    event_view view = view_actor(actor, 3001, activity);
    view.event_code = DV_LIT("account.change");
    view.target_uid = account;
    view.target_name = entity_name(account);
    view.target_type = entity_user_type(account);
    view.object = object;
    return write_event(out, ACCOUNT_TABLE, &view);
}

dv_result dv_event_entity_change(dv_buf *out, const dv_event_actor *actor,
                                 dv_entity_activity activity, const dv_event_entity *entity)
{
    event_view view = view_actor(actor, 3004, activity);
    view.event_code = DV_LIT("entity.change");
    view.entity_type = entity->type;
    view.entity_id = entity->id;
    view.entity_owner = entity->owner;
    view.entity_change = entity->change;
    return write_event(out, ENTITY_TABLE, &view);
}

dv_result dv_event_authentication(dv_buf *out, const dv_event_actor *actor, bool logon,
                                  dv_slice account, dv_slice method, dv_slice credential_id)
{
    event_view view = view_actor(actor, 3002, logon ? 1 : 2);
    view.event_code = logon ? DV_LIT("authentication.logon") : DV_LIT("authentication.logoff");
    view.target_uid = account;
    view.target_name = account.len > 0 ? entity_name(account) : DV_LIT("unknown");
    view.target_type = entity_user_type(account);
    view.auth_method = method;
    view.credential_id = credential_id;
    return write_event(out, AUTHENTICATION_TABLE, &view);
}

dv_result dv_event_config_change(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                 dv_slice digest)
{
    enum { ACTIVITY_LOG = 1 };
    event_view view = view_actor(actor, 5019, ACTIVITY_LOG);
    view.event_code = DV_LIT("config.change");
    view.what = what;
    view.digest = digest;
    return write_event(out, CONFIG_TABLE, &view);
}

dv_result dv_event_lifecycle(dv_buf *out, const dv_event_actor *actor,
                             dv_lifecycle_activity activity, dv_slice process)
{
    event_view view = view_actor(actor, 6002, activity);
    view.event_code = DV_LIT("lifecycle");
    view.process = process;
    return write_event(out, LIFECYCLE_TABLE, &view);
}

dv_result dv_event_alarm(dv_buf *out, const dv_event_actor *actor, dv_slice rule, dv_slice title)
{
    enum { ACTIVITY_CREATE = 1, SEVERITY_HIGH = 4, STATUS_NEW = 1 };
    event_view view = view_actor(actor, 2004, ACTIVITY_CREATE);
    view.event_code = DV_LIT("alarm");
    view.severity_id = SEVERITY_HIGH;
    view.status_id = STATUS_NEW;
    view.is_alert = true;
    view.rule = rule;
    view.title = title;
    view.message = title;
    return write_event(out, ALARM_TABLE, &view);
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
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        found = DV_MAX(found, table_sensitivity(&tables[i], path));
    }
    return found < 0 ? DV_SENSITIVITY_PERSONAL : (dv_sensitivity)found;
}
