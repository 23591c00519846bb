/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event_rows.h"

/* The records of requests at the gate. */

/* What the rest of a record can need; sightings that would reach into it are only counted. */
enum { TAIL_ROOM = 16 << 10 };

static void put_limit(dv_event_writer *writer, const void *data);
static void put_volumes(dv_event_writer *writer, const void *data);

#define ROWS_DETAIL                                                                                \
    TEXT("phase", phase, SHORT, PUBLIC), ROWS_WHEN, TEXT("method", odd_method, SHORT, PUBLIC),     \
        CALL("policies", dv_event_put_policies, INTERNAL),                                         \
        TEXT("upstream", upstream, MEDIUM, INTERNAL),                                              \
        INT("sighting_count", sighting_count, INTERNAL), CALL("volumes", put_volumes, INTERNAL),   \
        CALL("sightings", dv_event_put_sightings, INTERNAL), CALL("limit", put_limit, PERSONAL)

static const dv_event_row open_rows[] = {
    ROWS_HEAD(PROFILES_GATE),
    ROWS_DECISION,
    ROWS_ACTOR,
    ROWS_SOURCE,
    ROWS_API,
    ROWS_HTTP,
    ROWS_WANTED,
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
    ROWS_WANTED,
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
    INT("answer_bytes", big_answer, PUBLIC),
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

const dv_event_class dv_event_class_open = DV_EVENT_CLASS(open_rows);
const dv_event_class dv_event_class_close = DV_EVENT_CLASS(close_rows);
const dv_event_class dv_event_class_refusals = DV_EVENT_CLASS(refusals_rows);

void dv_event_put_truncated(dv_event_writer *writer, const void *data)
{
    const dv_event_view *view = data;
    if (view->cut) {
        dv_event_put_name(writer, "\"is_truncated\":true", sizeof("\"is_truncated\":true") - 1);
    }
}

/* All that determined a decision, where policy.uid does not tell it. */
void dv_event_put_policies(dv_event_writer *writer, const void *data)
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

void dv_event_put_groups(dv_event_writer *writer, const void *data)
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
void dv_event_put_sightings(dv_event_writer *writer, const void *data)
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

static void put_volume(dv_event_writer *writer, const dv_event_volume *volume)
{
    PUT(writer, "{\"rule\":");
    dv_event_put_text(writer, volume->rule, DV_EVENT_VOLUME_RULE);
    PUT(writer, ",\"action\":");
    dv_event_put_text(writer, dv_slice_str(volume->action), DV_EVENT_VOLUME_ACTION);
    PUT(writer, ",\"values\":");
    dv_event_put_int(writer, (int64_t)volume->values);
    PUT(writer, ",\"limit\":");
    dv_event_put_int(writer, (int64_t)volume->limit);
    PUT(writer, ",\"per_ns\":");
    dv_event_put_int(writer, volume->per);
    if (volume->uncounted) {
        PUT(writer, ",\"uncounted\":true");
    }
    PUT(writer, "}");
}

/* The rules on volume that were passed: nearly always none. */
static void put_volumes(dv_event_writer *writer, const void *data)
{
    const dv_event_view *view = data;
    size_t count = DV_MIN(view->volume_count, (size_t)DV_EVENT_VOLUMES_MAX);
    if (count == 0) {
        return;
    }
    PUT_NAME(writer, "volumes");
    PUT(writer, "[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            PUT(writer, ",");
        }
        put_volume(writer, &view->volumes[i]);
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
    const uint8_t *key = writer->at;
    dv_event_put_text(writer, limit->key, MEDIUM);
    dv_event_note(writer, DV_EVENT_FIELD_LIMIT_KEY, key - (sizeof("\"key\":") - 1), key);
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
