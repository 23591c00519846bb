/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_alert.h"

#include "core/event.h"

enum { CREATE = 1, CLOSE = 3, STATUS_NEW = 1, STATUS_RESOLVED = 4, RULE = 1 };

static dv_result put(dv_buf *out, const char *before, const char *text)
{
    DV_TRY(dv_buf_append_str(out, before));
    return dv_buf_append_json_string(out, dv_slice_str(text));
}

static dv_result put_json(dv_buf *out, const char *before, dv_slice json)
{
    DV_TRY(dv_buf_append_str(out, before));
    return json.len > 0 ? dv_buf_append(out, json) : dv_buf_append_str(out, "null");
}

static dv_result put_head(dv_buf *out, const dv_event_alert *alert)
{
    int activity = alert->resolved ? CLOSE : CREATE;
    DV_TRY(dv_buf_append_printf(
        out,
        "{\"metadata\":{\"version\":\"" DV_OCSF_VERSION "\",\"product\":{\"name\":\"Dvara\","
        "\"vendor_name\":\"Dvara\",\"version\":\"" DV_VERSION "\"},"
        "\"profiles\":[\"security_control\"],\"log_name\":\"audit\",\"event_code\":\"%s\"},"
        "\"time\":%lld,\"class_uid\":2004,\"category_uid\":2,\"type_uid\":%d,\"activity_id\":%d,"
        "\"severity_id\":%d,\"status_id\":%d",
        alert->resolved ? "alert.resolved" : "alert.raised",
        (long long)(alert->time / DV_MILLISECOND), 200400 + activity, activity, alert->severity_id,
        alert->resolved ? STATUS_RESOLVED : STATUS_NEW));
    DV_TRY(put(out, ",\"message\":", alert->title));
    return dv_buf_append_printf(out, ",\"is_alert\":%s,\"start_time\":%lld,\"end_time\":%lld",
                                alert->resolved ? "false" : "true", (long long)alert->start_ms,
                                (long long)alert->end_ms);
}

static dv_result put_finding(dv_buf *out, const dv_event_alert *alert)
{
    DV_TRY(put(out, ",\"finding_info\":{\"uid\":", alert->uid));
    DV_TRY(put(out, ",\"title\":", alert->title));
    DV_TRY(put(out, ",\"analytic\":{\"name\":", alert->name));
    return dv_buf_append_printf(out, ",\"type_id\":%d,\"type\":\"Rule\"}}", RULE);
}

static dv_result put_detail(dv_buf *out, const dv_event_alert *alert)
{
    DV_TRY(put(out, ",\"unmapped\":{\"dvara\":{\"alert\":{\"name\":", alert->name));
    DV_TRY(put(out, ",\"query\":", alert->query));
    DV_TRY(put(out, ",\"threshold\":", alert->threshold));
    DV_TRY(dv_buf_append_printf(out, ",\"value\":%.10g", alert->value));
    DV_TRY(put_json(out, ",\"group\":", alert->group));
    DV_TRY(put_json(out, ",\"evidence\":", alert->evidence));
    DV_TRY(put_json(out, "},\"notify\":", alert->notify));
    return dv_buf_append_printf(out, ",\"time_ns\":%lld}}}", (long long)alert->time);
}

dv_result dv_event_alert_write(dv_buf *out, const dv_event_alert *alert)
{
    DV_TRY(put_head(out, alert));
    DV_TRY(put_finding(out, alert));
    return put_detail(out, alert);
}
