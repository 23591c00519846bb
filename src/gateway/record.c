/* SPDX-License-Identifier: Apache-2.0 */
/* The open and close records of a request. */
#include "gateway/request.h"

#include "base/codec.h"
#include "core/event_code.h"
#include "core/event_findings.h"

static dv_slice version_of(const ngx_http_request_t *r)
{
    switch (r->http_version) {
    case NGX_HTTP_VERSION_20:
        return DV_LIT("2");
    case NGX_HTTP_VERSION_11:
        return DV_LIT("1.1");
    case NGX_HTTP_VERSION_10:
        return DV_LIT("1.0");
    default:
        return DV_LIT("");
    }
}

/* What can not be searched is not recorded. */
static dv_slice show(dv_request *request, dv_slice text)
{
    dv_slice shown = {0};
    dv_data_gate *gate = request->main->worker.data;
    if (text.len == 0) {
        return text;
    }
    return gate != NULL && dv_data_gate_clean(gate, text, request->arena, &shown) == DV_OK
               ? shown
               : DV_LIT("[not shown]");
}

/* Escapes would hide an address from the detectors; broken ones stay as they are. */
static dv_slice unescape(const dv_request *request, dv_slice path)
{
    uint8_t *out = dv_arena_alloc_raw(request->arena, path.len + 1);
    size_t len = 0;
    if (out == NULL) {
        return path;
    }
    for (size_t i = 0; i < path.len; len++) {
        bool escape = path.ptr[i] == '%' && path.len - i > 2 &&
                      dv_hex_decode(dv_slice_sub(path, i + 1, 2), out + len, 1) == DV_OK;
        if (!escape) {
            out[len] = path.ptr[i];
        }
        i += escape ? 3 : 1;
    }
    return dv_slice_of(out, len);
}

/* As it came, unless it says what must not be recorded. */
static dv_slice show_path(dv_request *request)
{
    dv_slice path = dv_ngx_slice(request->r->unparsed_uri);
    dv_slice plain = unescape(request, path);
    dv_slice shown = show(request, plain);
    return dv_slice_eq(shown, plain) ? path : shown;
}

static void make_shown(dv_request *request)
{
    const ngx_table_elt_t *agent = request->r->headers_in.user_agent;
    if (request->shown_made) {
        return;
    }
    request->shown_path = show_path(request);
    request->shown_agent = show(request, agent != NULL ? dv_ngx_slice(agent->value) : DV_LIT(""));
    request->shown_model = show(request, request->body.model);
    request->shown_made = true;
}

/* A reason can name the caller's own fields. */
static dv_verdict show_verdict(dv_request *request, const dv_verdict *verdict)
{
    dv_verdict shown = *verdict;
    dv_slice detail = show(request, dv_slice_str(verdict->detail));
    dv_slice_copy(detail, shown.detail, sizeof(shown.detail));
    return shown;
}

/* What the event borrows. */
typedef struct event_room {
    dv_event_limit limit;
    dv_verdict verdict;
    dv_event_volume sent[DV_EVENT_VOLUMES_MAX];
    dv_event_volume got[DV_EVENT_VOLUMES_MAX];
} event_room;

static dv_event_request event_of(dv_request *request, event_room *room)
{
    const ngx_http_request_t *r = request->r;
    make_shown(request);
    room->verdict = show_verdict(request, &request->verdict);
    return (dv_event_request){
        .request_id = dv_slice_of(request->id, DV_UUID_TEXT_LEN),
        .time = request->time,
        .principal = request->authenticated ? &request->identity.principal : NULL,
        .credential = request->authenticated ? &request->identity.credential : NULL,
        .address = dv_ngx_slice(r->connection->addr_text),
        .port = ngx_inet_get_port(r->connection->sockaddr),
        .route = request->route != NULL ? request->route->name : DV_LIT(""),
        .method = dv_ngx_slice(r->method_name),
        .path = request->shown_path,
        .http_version = version_of(r),
        .user_agent = request->shown_agent,
        .action = request->route != NULL ? request->route->action : DV_LIT(""),
        .model = request->shown_model,
        .upstream = request->target != NULL ? dv_ngx_slice(request->target->name) : DV_LIT(""),
        .verdict = &room->verdict,
        .sightings = request->seen.sightings,
        .sighting_count = request->seen.sighting_count,
        .limit = dv_limits_event(request, &room->limit) ? &room->limit : NULL,
        .body_bytes = request->body_bytes,
        .volumes = room->sent,
        .volume_count = dv_volume_sent(request, room->sent),
    };
}

static dv_result append_open(dv_request *request, bool reserved)
{
    dv_worker *worker = &request->main->worker;
    event_room room;
    dv_event_request event = event_of(request, &room);
    dv_buf_clear(&worker->record);
    DV_TRY(dv_event_code_open(&worker->record, &event));
    return dv_spool_append(worker->spool, dv_buf_slice(&worker->record), reserved);
}

/* There is room again: what was refused without a record is told by its number. */
static void tell_unrecorded(dv_worker *worker)
{
    const dv_event_refused refused = {.reason = DV_REASON_AUDIT_UNAVAILABLE,
                                      .count = worker->unrecorded,
                                      .since = worker->unrecorded_since,
                                      .until = dv_time_now()};
    dv_buf_clear(&worker->record);
    if (dv_event_refusals(&worker->record, &refused) == DV_OK &&
        dv_spool_append(worker->spool, dv_buf_slice(&worker->record), false) == DV_OK) {
        worker->unrecorded = 0;
    }
}

dv_result dv_record_open(dv_request *request)
{
    dv_worker *worker = &request->main->worker;
    DV_TRY(dv_spool_reserve(worker->spool, 2));
    if (worker->unrecorded > 0) {
        tell_unrecorded(worker);
    }
    dv_result result = append_open(request, true);
    if (result != DV_OK) {
        dv_spool_unreserve(worker->spool, 2);
        return result;
    }
    request->reserved = true;
    request->opened = true;
    ngx_queue_insert_tail(&request->main->requests, &request->link);
    return DV_OK;
}

static dv_metric *find_cell(const dv_request *request, int status, const char *decision)
{
    char series[DV_METRIC_NAME_MAX];
    dv_slice route = request->route != NULL ? request->route->name : DV_LIT("");
    (void)snprintf(series, sizeof(series),
                   "dvara_requests_total{route=\"%.*s\",status=\"%d\",verdict=\"%s\"}",
                   (int)DV_MIN(route.len, (size_t)40), (const char *)route.ptr, status, decision);
    return dv_metrics_cell(request->main->worker.metrics, series);
}

/* decision: one of the constant names. */
static void count(const dv_request *request, int status, const dv_verdict *verdict)
{
    const char *decision =
        verdict->decision == DV_ALLOW ? "allow" : dv_reason_name(verdict->reason);
    if (request->config == NULL) {
        dv_metric_add(find_cell(request, status, decision), 1);
        return;
    }
    uintptr_t hash = (uintptr_t)request->route / sizeof(dv_api_route) + (uintptr_t)status;
    dv_outcome_cell *cell = &request->config->cells[hash % DV_OUTCOME_CELLS];
    if (cell->cell == NULL || cell->route != request->route || cell->status != status ||
        cell->decision != decision) {
        *cell = (dv_outcome_cell){request->route, status, decision,
                                  find_cell(request, status, decision)};
    }
    dv_metric_add(cell->cell, 1);
}

/* What detectors saw, by what was done about it. */
static void count_sightings(const dv_request *request, const char *side,
                            const dv_sighting *sightings, size_t sighting_count)
{
    char series[DV_METRIC_NAME_MAX];
    dv_metric *cell = NULL;
    for (size_t i = 0; i < sighting_count; i++) {
        const dv_sighting *seen = &sightings[i];
        const dv_sighting *before = i > 0 ? &sightings[i - 1] : seen;
        /* Thousands of the same kind are one look-up. */
        if (cell == NULL || seen->detector != before->detector || seen->action != before->action) {
            (void)snprintf(series, sizeof(series),
                           "dvara_findings_total{detector=\"%s\",action=\"%s\",side=\"%s\"}",
                           seen->detector, dv_content_action_name(seen->action), side);
            cell = dv_metrics_cell(request->main->worker.metrics, series);
        }
        dv_metric_add(cell, DV_MAX(seen->times, (uint32_t)1));
    }
}

/* Whether the content is why a request or its answer was not let through. */
static bool is_blocked_content(const dv_verdict *verdict)
{
    return verdict->decision == DV_DENY && (verdict->reason == DV_REASON_SENSITIVE_DATA ||
                                            verdict->reason == DV_REASON_ANSWER_BLOCKED);
}

/* Whether policy wants somebody to be told of what passed. */
static bool is_told(const dv_sighting *sightings, size_t sighting_count)
{
    for (size_t i = 0; i < sighting_count; i++) {
        if (sightings[i].tells) {
            return true;
        }
    }
    return false;
}

/* A finding of its own for whoever watches over data. Only of what was blocked, and of own data
 * where policy says so: what is masked is every day's work, and the request's records tell of it
 * (docs/adr/0022). */
static void append_finding(const dv_request *request, const dv_event_request *event,
                           const dv_event_outcome *outcome, bool in_answer)
{
    dv_worker *worker = &request->main->worker;
    bool passed = !in_answer && event->verdict->decision == DV_ALLOW;
    const dv_event_data_finding finding = {
        .request = event,
        .in_answer = in_answer,
        .time = outcome->time,
        .verdict = passed ? event->verdict : outcome->verdict, /* whatever became of the answer */
        .sightings = in_answer ? outcome->sightings : event->sightings,
        .sighting_count = in_answer ? outcome->sighting_count : event->sighting_count,
    };
    dv_buf_clear(&worker->record);
    if (dv_event_data_security(&worker->record, &finding) != DV_OK ||
        dv_spool_append(worker->spool, dv_buf_slice(&worker->record), false) != DV_OK) {
        ngx_log_error(NGX_LOG_ERR, request->r->connection->log, 0,
                      "dvara: the finding of %s can not be written", request->id);
    }
}

static dv_result append_close(dv_request *request, int status, bool aborted)
{
    dv_worker *worker = &request->main->worker;
    bool answered = request->answer_verdict.reason != DV_REASON_UNSET;
    const dv_verdict *verdict = answered ? &request->answer_verdict : &request->verdict;
    event_room room;
    dv_limits_settle(request, aborted);
    dv_event_request event = event_of(request, &room);
    dv_verdict shown = show_verdict(request, verdict);
    dv_event_outcome outcome = {
        .time = dv_time_now(),
        .status = status,
        .upstream_status = request->upstream_status,
        .latency = dv_time_monotonic() - request->began,
        .upstream_latency = request->upstream_head,
        .input_tokens = request->input_tokens,
        .output_tokens = request->output_tokens,
        .answer_bytes = request->answer_bytes,
        .aborted = aborted,
        .verdict = &shown,
        .sightings = request->answer.sightings,
        .sighting_count = request->answer.sighting_count,
        .volumes = room.got,
        .volume_count = dv_volume_got(request, room.got),
    };
    count(request, status, verdict);
    count_sightings(request, "request", event.sightings, event.sighting_count);
    count_sightings(request, "answer", outcome.sightings, outcome.sighting_count);
    dv_buf_clear(&worker->record);
    DV_TRY(dv_event_code_close(&worker->record, &event, &outcome));
    DV_TRY(dv_spool_append(worker->spool, dv_buf_slice(&worker->record), request->reserved));
    bool blocked = is_blocked_content(&shown);
    bool in_answer = shown.reason == DV_REASON_ANSWER_BLOCKED;
    if ((blocked && !in_answer) || is_told(event.sightings, event.sighting_count)) {
        append_finding(request, &event, &outcome, false);
    }
    if ((blocked && in_answer) || is_told(outcome.sightings, outcome.sighting_count)) {
        append_finding(request, &event, &outcome, true);
    }
    return DV_OK;
}

dv_result dv_record_close(dv_request *request, int status, bool aborted)
{
    if (request->closed || !request->opened) {
        return DV_OK;
    }
    request->closed = true;
    dv_stream_take_outcome(request);
    ngx_queue_remove(&request->link);
    dv_result result = append_close(request, status, aborted);
    if (result != DV_OK && request->reserved) {
        dv_spool_unreserve(request->main->worker.spool, 1);
    }
    request->reserved = false;
    return result;
}

void dv_record_denial(dv_request *request, int status)
{
    if (request->opened) {
        if (dv_record_close(request, status, false) != DV_OK) {
            ngx_log_error(NGX_LOG_CRIT, request->r->connection->log, 0,
                          "dvara: the close record of %s can not be written", request->id);
        }
        return;
    }
    if (request->main->worker.spool == NULL || request->mode != DV_MODE_GATE ||
        !dv_overload_records(request)) {
        return;
    }
    bool opens = append_open(request, false) == DV_OK;
    if (!opens) {
        count(request, status, &request->verdict);
    }
    if (!opens || append_close(request, status, false) != DV_OK) {
        dv_worker *worker = &request->main->worker;
        worker->unrecorded_since =
            worker->unrecorded == 0 ? dv_time_now() : worker->unrecorded_since;
        worker->unrecorded++;
        ngx_log_error(NGX_LOG_CRIT, request->r->connection->log, 0,
                      "dvara: the denial of %s can not be recorded", request->id);
    }
}
