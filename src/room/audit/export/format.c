/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/format.h"

#include "base/codec.h"

#include <inttypes.h>
#include <time.h>

#ifndef DV_VERSION
#error "the build says which version this is"
#endif

/* -- JSON -------------------------------------------------------------------------------------- */

static const char metadata[] = "{\"metadata\":{";

/* The front of an event with its uid; what follows is ret_rest. Every event begins with its
 * metadata (core/event.h); anything else is put inside one that does. */
static dv_result put_front(dv_buf *out, const dv_export_event *event, dv_slice *ret_rest)
{
    char uid[DV_EXPORT_UID_MAX];
    dv_export_event_uid(event, uid);
    DV_TRY(dv_buf_reserve(out, event->text.len + DV_EXPORT_UID_MAX + 64));
    DV_TRY(dv_buf_append_str(out, "\"metadata\":{\"uid\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(uid)));
    if (!dv_slice_starts_with(event->text, dv_slice_str(metadata))) {
        DV_TRY(dv_buf_append_str(out, "},\"raw_data\":"));
        DV_TRY(dv_buf_append_json_string(out, event->text));
        *ret_rest = DV_LIT("}");
        return DV_OK;
    }
    *ret_rest = dv_slice_trim(dv_slice_sub(event->text, sizeof(metadata) - 1, event->text.len));
    return ret_rest->len > 0 && ret_rest->ptr[0] == '}' ? DV_OK : dv_buf_append_byte(out, ',');
}

dv_result dv_export_put_json(dv_buf *out, const dv_export_event *event)
{
    dv_slice rest;
    DV_TRY(dv_buf_append_byte(out, '{'));
    DV_TRY(put_front(out, event, &rest));
    return dv_buf_append(out, rest);
}

dv_result dv_export_put_opensearch(dv_buf *out, const dv_export_event *event)
{
    char uid[DV_EXPORT_UID_MAX];
    dv_slice rest;
    dv_export_event_uid(event, uid);
    DV_TRY(dv_buf_append_str(out, "{\"create\":{\"_id\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(uid)));
    DV_TRY(
        dv_buf_append_printf(out, "}}\n{\"@timestamp\":%" PRId64 ",", dv_export_event_time(event)));
    DV_TRY(put_front(out, event, &rest));
    DV_TRY(dv_buf_append(out, rest));
    return dv_buf_append_byte(out, '\n');
}

/* -- syslog ------------------------------------------------------------------------------------ */

/* RFC 5424 table 2, by OCSF severity_id: unknown, informational, low, medium, high, critical,
 * fatal. */
static int syslog_severity(int64_t severity_id)
{
    static const int severities[] = {6, 6, 5, 4, 3, 2, 1};
    return severity_id >= 0 && severity_id < (int64_t)DV_ARRAY_LEN(severities)
               ? severities[severity_id]
               : 5;
}

/* A field of the header: printable US-ASCII without spaces, so long at most; "-" for none. */
static dv_result put_word(dv_buf *out, dv_slice text, size_t max)
{
    if (text.len == 0) {
        return dv_buf_append_byte(out, '-');
    }
    for (size_t i = 0; i < DV_MIN(text.len, max); i++) {
        uint8_t byte = text.ptr[i];
        DV_TRY(dv_buf_append_byte(out, byte > ' ' && byte < 0x7f ? byte : '_'));
    }
    return DV_OK;
}

/* A PARAM-VALUE (RFC 5424 section 6.3.3). */
static dv_result put_param(dv_buf *out, const char *name, dv_slice value)
{
    DV_TRY(dv_buf_append_printf(out, " %s=\"", name));
    for (size_t i = 0; i < value.len; i++) {
        if (strchr("\"\\]", value.ptr[i]) != NULL && value.ptr[i] != '\0') {
            DV_TRY(dv_buf_append_byte(out, '\\'));
        }
        DV_TRY(dv_buf_append_byte(out, value.ptr[i]));
    }
    return dv_buf_append_byte(out, '"');
}

/* Dvara has no private enterprise number of its own: 32473 is the one for examples (RFC 5612). */
static dv_result put_message(dv_buf *out, const dv_export_event *event, bool cef, const char *host,
                             dv_arena *arena)
{
    enum { FACILITY_AUDIT = 13, HOST_MAX = 255, MSGID_MAX = 32 };
    char when[DV_TIME_TEXT_MAX], index[DV_DECIMAL_MAX];
    int severity = syslog_severity(dv_export_event_int(event, "severity_id"));
    dv_time_format(dv_export_event_time(event) * DV_MILLISECOND, when);
    DV_TRY(dv_buf_append_printf(out, "<%d>1 %s ", FACILITY_AUDIT * 8 + severity, when));
    DV_TRY(put_word(out, dv_slice_str(host), HOST_MAX));
    DV_TRY(dv_buf_append_str(out, " dvara - "));
    DV_TRY(put_word(out, dv_export_event_text(event, "metadata.event_code", arena), MSGID_MAX));
    DV_TRY(dv_buf_append_str(out, " [dvara@32473"));
    DV_TRY(put_param(out, "origin", dv_slice_str(event->origin)));
    DV_TRY(put_param(out, "index", dv_decimal_write(event->index, index)));
    DV_TRY(dv_buf_append_str(out, "] "));
    return cef ? dv_export_put_cef(out, event, arena) : dv_export_put_json(out, event);
}

dv_result dv_export_put_syslog(dv_buf *out, const dv_export_event *event, bool cef,
                               const char *host, dv_arena *arena)
{
    dv_auto(buf) dv_buf message = dv_buf_init(1 << 20);
    DV_TRY(put_message(&message, event, cef, host, arena));
    DV_TRY(dv_buf_append_u64(out, message.len));
    DV_TRY(dv_buf_append_byte(out, ' '));
    return dv_buf_append(out, dv_buf_slice(&message));
}

/* -- members that several forms have ----------------------------------------------------------- */

static dv_result put_text_member(dv_buf *out, const char *name, dv_slice text)
{
    DV_TRY(dv_buf_append_printf(out, ",\"%s\":", name));
    return dv_buf_append_json_string(out, text);
}

/* -- ClickHouse -------------------------------------------------------------------------------- */

typedef struct column {
    const char *name;
    const char *path;
    bool number;
} column;

static const column columns[] = {
    {"kind", "metadata.event_code", false},
    {"class_uid", "class_uid", true},
    {"activity_id", "activity_id", true},
    {"severity_id", "severity_id", true},
    {"status_id", "status_id", true},
    {"who", "actor.user.name", false},
    {"address", "src_endpoint.ip", false},
    {"model", "ai_model.name", false},
    {"request_id", "metadata.correlation_uid", false},
    {"message", "message", false},
};

/* What DateTime64(3) reads: "2026-01-31 23:59:59.123". */
static void clickhouse_time(int64_t time_ms, char out[DV_TIME_TEXT_MAX])
{
    dv_time_format(time_ms * DV_MILLISECOND, out);
    out[10] = ' ';
    out[23] = '\0';
}

dv_result dv_export_put_clickhouse(dv_buf *out, const dv_export_event *event, dv_arena *arena)
{
    char when[DV_TIME_TEXT_MAX];
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    clickhouse_time(dv_export_event_time(event), when);
    DV_TRY(dv_buf_append_str(out, "{\"log_origin\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(event->origin)));
    DV_TRY(dv_buf_append_printf(out, ",\"log_index\":%" PRIu64 ",\"time\":\"%s\"", event->index,
                                when));
    for (size_t i = 0; i < DV_ARRAY_LEN(columns); i++) {
        if (columns[i].number) {
            DV_TRY(dv_buf_append_printf(out, ",\"%s\":%" PRId64, columns[i].name,
                                        dv_export_event_int(event, columns[i].path)));
        } else {
            DV_TRY(put_text_member(out, columns[i].name,
                                   dv_export_event_text(event, columns[i].path, arena)));
        }
    }
    DV_TRY(dv_export_put_json(&text, event));
    DV_TRY(put_text_member(out, "event", dv_buf_slice(&text)));
    return dv_buf_append_str(out, "}\n");
}

/* -- OTLP -------------------------------------------------------------------------------------- */

/* Attributes beside those of every record. Names of OpenTelemetry's conventions where there are
 * some. */
static const column attributes[] = {
    {"ocsf.class_uid", "class_uid", true},
    {"ocsf.activity_id", "activity_id", true},
    {"ocsf.status_id", "status_id", true},
    {"user.name", "actor.user.name", false},
    {"client.address", "src_endpoint.ip", false},
    {"http.request.method", "http_request.http_method", false},
    {"url.path", "http_request.url.path", false},
    {"http.response.status_code", "http_response.code", true},
    {"gen_ai.request.model", "ai_model.name", false},
    {"gen_ai.usage.input_tokens", "message_context.prompt_tokens", true},
    {"gen_ai.usage.output_tokens", "message_context.completion_tokens", true},
    {"dvara.request_id", "metadata.correlation_uid", false},
};

/* SeverityNumber (logs data model, "severity fields"), by OCSF severity_id. */
static const struct {
    int number;
    const char *text;
} otlp_severities[] = {{0, ""},       {9, "INFO"},    {10, "INFO2"}, {13, "WARN"},
                       {17, "ERROR"}, {18, "ERROR2"}, {21, "FATAL"}};

static dv_result put_attribute_text(dv_buf *out, const char *name, dv_slice value)
{
    DV_TRY(dv_buf_append_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", name));
    DV_TRY(dv_buf_append_json_string(out, value));
    return dv_buf_append_str(out, "}}");
}

/* 64-bit integers are strings in protobuf's JSON. */
static dv_result put_attribute_int(dv_buf *out, const char *name, int64_t value)
{
    return dv_buf_append_printf(out, ",{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRId64 "\"}}",
                                name, value);
}

static dv_result put_attribute(dv_buf *out, const dv_export_event *event, const column *attribute,
                               dv_arena *arena)
{
    if (dv_export_event_at(event, attribute->path) == 0) {
        return DV_OK;
    }
    if (attribute->number) {
        return put_attribute_int(out, attribute->name, dv_export_event_int(event, attribute->path));
    }
    DV_TRY(dv_buf_append_byte(out, ','));
    return put_attribute_text(out, attribute->name,
                              dv_export_event_text(event, attribute->path, arena));
}

static dv_result put_attributes(dv_buf *out, const dv_export_event *event, dv_slice kind,
                                dv_arena *arena)
{
    char uid[DV_EXPORT_UID_MAX];
    dv_export_event_uid(event, uid);
    DV_TRY(dv_buf_append_str(out, "\"attributes\":["));
    DV_TRY(put_attribute_text(out, "log.record.uid", dv_slice_str(uid)));
    DV_TRY(put_attribute_int(out, "dvara.log.index", (int64_t)event->index));
    DV_TRY(dv_buf_append_byte(out, ','));
    DV_TRY(put_attribute_text(out, "event.name", kind));
    for (size_t i = 0; i < DV_ARRAY_LEN(attributes); i++) {
        DV_TRY(put_attribute(out, event, &attributes[i], arena));
    }
    return dv_buf_append_byte(out, ']');
}

dv_result dv_export_put_otlp_head(dv_buf *out, const char *origin)
{
    DV_TRY(dv_buf_append_str(out, "{\"resourceLogs\":[{\"resource\":{\"attributes\":["));
    DV_TRY(put_attribute_text(out, "service.name", DV_LIT("dvara")));
    DV_TRY(dv_buf_append_byte(out, ','));
    DV_TRY(put_attribute_text(out, "service.version", DV_LIT(DV_VERSION)));
    DV_TRY(dv_buf_append_byte(out, ','));
    DV_TRY(put_attribute_text(out, "dvara.log.origin", dv_slice_str(origin)));
    return dv_buf_append_str(out, "]},\"scopeLogs\":[{\"scope\":{\"name\":\"dvara.audit\","
                                  "\"version\":\"" DV_VERSION "\"},\"logRecords\":[");
}

dv_result dv_export_put_otlp(dv_buf *out, const dv_export_event *event, dv_arena *arena)
{
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    int64_t severity = dv_export_event_int(event, "severity_id");
    size_t level =
        severity > 0 && severity < (int64_t)DV_ARRAY_LEN(otlp_severities) ? (size_t)severity : 0;
    int64_t time = dv_export_event_time(event);
    int64_t time_ns = dv_export_event_int(event, "unmapped.dvara.time_ns");
    dv_slice kind = dv_export_event_text(event, "metadata.event_code", arena);
    DV_TRY(dv_buf_append_str(out, "{\"timeUnixNano\":\""));
    DV_TRY(time_ns > 0 ? dv_buf_append_printf(out, "%" PRId64, time_ns)
                       : dv_buf_append_printf(out, "%" PRId64 "000000", time));
    DV_TRY(dv_buf_append_printf(out, "\",\"observedTimeUnixNano\":\"%" PRId64 "000000\",",
                                dv_export_event_logged(event)));
    DV_TRY(dv_buf_append_printf(out, "\"severityNumber\":%d,\"severityText\":\"%s\"",
                                otlp_severities[level].number, otlp_severities[level].text));
    DV_TRY(put_text_member(out, "eventName", kind));
    DV_TRY(dv_export_put_json(&text, event));
    DV_TRY(dv_buf_append_str(out, ",\"body\":{\"stringValue\":"));
    DV_TRY(dv_buf_append_json_string(out, dv_buf_slice(&text)));
    DV_TRY(dv_buf_append_str(out, "},"));
    DV_TRY(put_attributes(out, event, kind, arena));
    return dv_buf_append_byte(out, '}');
}

dv_result dv_export_put_otlp_end(dv_buf *out)
{
    return dv_buf_append_str(out, "]}]}]}");
}
