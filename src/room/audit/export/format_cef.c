/* SPDX-License-Identifier: Apache-2.0 */
/* ArcSight Common Event Format, as its implementation standard (revision 25) says: the header's
 * fields are separated by pipes, the extension is key=value with a space between. In the header
 * pipes and backslashes are escaped, in values equals signs, backslashes and ends of lines. */
#include "room/audit/export/format.h"

#include <inttypes.h>

typedef enum value_kind {
    TEXT,
    NUMBER,
    IPV4,     /* an address with dots */
    IPV6,     /* an address with colons */
    ACTION,   /* OCSF action_id in words */
    OUTCOME,  /* OCSF status_id in words */
    LABELLED, /* a text in one of CEF's own fields, whose meaning a label tells */
    LABELLED_NUMBER,
} value_kind;

/* From OCSF to CEF's key dictionary. */
static const struct {
    const char *key;
    const char *path;
    value_kind kind;
    const char *label;
} fields[] = {
    {"rt", "time", NUMBER, NULL},
    {"start", "start_time", NUMBER, NULL},
    {"end", "end_time", NUMBER, NULL},
    {"cnt", "count", NUMBER, NULL},
    {"act", "action_id", ACTION, NULL},
    {"outcome", "status_id", OUTCOME, NULL},
    {"reason", "status_code", TEXT, NULL},
    {"suser", "actor.user.name", TEXT, NULL},
    {"suid", "actor.user.uid", TEXT, NULL},
    {"duser", "user.name", TEXT, NULL},
    {"duid", "user.uid", TEXT, NULL},
    {"src", "src_endpoint.ip", IPV4, NULL},
    {"c6a2", "src_endpoint.ip", IPV6, "Source IPv6 Address"},
    {"spt", "src_endpoint.port", NUMBER, NULL},
    {"shost", "src_endpoint.name", TEXT, NULL},
    {"dst", "dst_endpoint.ip", IPV4, NULL},
    {"c6a3", "dst_endpoint.ip", IPV6, "Destination IPv6 Address"},
    {"dpt", "dst_endpoint.port", NUMBER, NULL},
    {"dhost", "dst_endpoint.name", TEXT, NULL},
    {"requestMethod", "http_request.http_method", TEXT, NULL},
    {"request", "http_request.url.path", TEXT, NULL},
    {"requestClientApplication", "http_request.user_agent", TEXT, NULL},
    {"in", "http_request.body_length", NUMBER, NULL},
    {"out", "http_response.body_length", NUMBER, NULL},
    {"sproc", "app.name", TEXT, NULL},
    {"cs1", "metadata.correlation_uid", LABELLED, "requestId"},
    {"cs2", "ai_model.name", LABELLED, "model"},
    {"cs3", "policy.uid", LABELLED, "policy"},
    {"cs4", "api.operation", LABELLED, "operation"},
    {"cs5", "finding_info.uid", LABELLED, "finding"},
    {"cs6", "metadata.log_source", LABELLED, "writer"},
    {"cn1", "http_response.code", LABELLED_NUMBER, "status"},
    {"cn2", "message_context.prompt_tokens", LABELLED_NUMBER, "inputTokens"},
    {"cn3", "message_context.completion_tokens", LABELLED_NUMBER, "outputTokens"},
};

/* 0 to 10, by OCSF severity_id: unknown, informational, low, medium, high, critical, fatal. */
static int cef_severity(int64_t severity_id)
{
    static const int severities[] = {0, 1, 3, 5, 7, 9, 10};
    return severity_id >= 0 && severity_id < (int64_t)DV_ARRAY_LEN(severities)
               ? severities[severity_id]
               : 0;
}

static dv_result put_header(dv_buf *out, dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '|' || byte == '\\') {
            DV_TRY(dv_buf_append_byte(out, '\\'));
        }
        DV_TRY(dv_buf_append_byte(out, byte < ' ' ? ' ' : byte));
    }
    return dv_buf_append_byte(out, '|');
}

static dv_result put_value(dv_buf *out, dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '=' || byte == '\\') {
            DV_TRY(dv_buf_append_byte(out, '\\'));
        }
        if (byte == '\n' || byte == '\r') {
            DV_TRY(dv_buf_append_str(out, byte == '\n' ? "\\n" : "\\r"));
        } else {
            DV_TRY(dv_buf_append_byte(out, byte < ' ' ? ' ' : byte));
        }
    }
    return DV_OK;
}

static dv_result put_text(dv_buf *out, const char *key, dv_slice text)
{
    if (text.len == 0) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_printf(out, " %s=", key));
    return put_value(out, text);
}

static dv_slice action_word(int64_t id)
{
    static const char *const words[] = {"", "Allowed", "Denied", "Observed", "Modified"};
    return dv_slice_str(id > 0 && id < (int64_t)DV_ARRAY_LEN(words) ? words[id] : "");
}

static dv_slice outcome_word(int64_t id)
{
    return dv_slice_str(id == 1 ? "success" : id == 2 ? "failure" : "");
}

static dv_result put_label(dv_buf *out, const char *key, const char *label)
{
    return dv_buf_append_printf(out, " %sLabel=%s", key, label);
}

static dv_result put_number(dv_buf *out, const char *key, int64_t number)
{
    return dv_buf_append_printf(out, " %s=%" PRId64, key, number);
}

static dv_result put_field(dv_buf *out, const dv_export_event *event, size_t row, dv_arena *arena)
{
    const char *key = fields[row].key, *path = fields[row].path, *label = fields[row].label;
    value_kind kind = fields[row].kind;
    if (dv_export_event_at(event, path) == 0) {
        return DV_OK;
    }
    if (kind == NUMBER || kind == LABELLED_NUMBER) {
        DV_TRY(put_number(out, key, dv_export_event_int(event, path)));
        return label == NULL ? DV_OK : put_label(out, key, label);
    }
    if (kind == ACTION || kind == OUTCOME) {
        int64_t id = dv_export_event_int(event, path);
        return put_text(out, key, kind == ACTION ? action_word(id) : outcome_word(id));
    }
    dv_slice text = dv_export_event_text(event, path, arena);
    bool colon = dv_slice_find_byte(text, ':') >= 0;
    if (text.len == 0 || (kind == IPV4 && colon) || (kind == IPV6 && !colon)) {
        return DV_OK;
    }
    DV_TRY(put_text(out, key, text));
    return label == NULL ? DV_OK : put_label(out, key, label);
}

/* A finding's title, or the kind. */
static dv_slice name_of(const dv_export_event *event, dv_slice kind, dv_arena *arena)
{
    dv_slice title = dv_export_event_text(event, "finding_info.title", arena);
    return title.len > 0 ? title : kind;
}

dv_result dv_export_put_cef(dv_buf *out, const dv_export_event *event, dv_arena *arena)
{
    char uid[DV_EXPORT_UID_MAX];
    dv_slice kind = dv_export_event_text(event, "metadata.event_code", arena);
    dv_slice message = dv_export_event_text(event, "message", arena);
    dv_export_event_uid(event, uid);
    DV_TRY(dv_buf_append_str(out, "CEF:0|Dvara|Dvara|" DV_VERSION "|"));
    DV_TRY(put_header(out, kind.len > 0 ? kind : DV_LIT("unknown")));
    DV_TRY(put_header(out, name_of(event, kind.len > 0 ? kind : DV_LIT("unknown"), arena)));
    DV_TRY(dv_buf_append_printf(
        out, "%d|externalId=", cef_severity(dv_export_event_int(event, "severity_id"))));
    DV_TRY(put_value(out, dv_slice_str(uid)));
    DV_TRY(put_number(out, "cat", dv_export_event_int(event, "class_uid")));
    for (size_t i = 0; i < DV_ARRAY_LEN(fields); i++) {
        DV_TRY(put_field(out, event, i, arena));
    }
    if (message.len == 0) {
        message = dv_export_event_text(event, "status_detail", arena);
    }
    return put_text(out, "msg", message);
}
