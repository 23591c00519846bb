/* SPDX-License-Identifier: Apache-2.0 */
/* The open and close records of a request. */
#include "gateway/request.h"

#include "core/event.h"

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

static bool limit_of(const dv_request *request, dv_event_limit *limit)
{
    if (!request->limited || request->limit.decided_by >= request->charges.count) {
        return false;
    }
    *limit = (dv_event_limit){
        .key = request->charges.charges[request->limit.decided_by].key,
        .limit = request->limit.limit,
        .remaining = request->limit.remaining,
        .now = request->limit.now,
        .tat = request->limit.tat,
        .admitted = request->limit.admitted,
    };
    return true;
}

static dv_event_request event_of(const dv_request *request, dv_event_limit *limit)
{
    const ngx_http_request_t *r = request->r;
    const ngx_table_elt_t *agent = r->headers_in.user_agent;
    return (dv_event_request){
        .request_id = dv_slice_of(request->id, DV_UUID_TEXT_LEN),
        .time = request->time,
        .principal = request->authenticated ? &request->identity.principal : NULL,
        .credential = request->authenticated ? &request->identity.credential : NULL,
        .address = dv_ngx_slice(r->connection->addr_text),
        .port = ngx_inet_get_port(r->connection->sockaddr),
        .route = request->route != NULL ? request->route->name : DV_LIT(""),
        .method = dv_ngx_slice(r->method_name),
        .path = dv_ngx_slice(r->unparsed_uri),
        .http_version = version_of(r),
        .user_agent = agent != NULL ? dv_ngx_slice(agent->value) : DV_LIT(""),
        .action = request->route != NULL ? request->route->action : DV_LIT(""),
        .model = request->body.model,
        .upstream = request->target != NULL ? dv_ngx_slice(request->target->name) : DV_LIT(""),
        .verdict = &request->verdict,
        .sightings = request->seen.sightings,
        .sighting_count = request->seen.sighting_count,
        .limit = limit_of(request, limit) ? limit : NULL,
        .body_bytes = request->body_bytes.len,
    };
}

static dv_result append_open(dv_request *request, bool reserved)
{
    dv_worker *worker = &request->main->worker;
    dv_event_limit limit;
    dv_event_request event = event_of(request, &limit);
    dv_buf_clear(&worker->record);
    DV_TRY(dv_event_request_open(&worker->record, &event));
    return dv_spool_append(worker->spool, dv_buf_slice(&worker->record), reserved);
}

dv_result dv_record_open(dv_request *request)
{
    dv_worker *worker = &request->main->worker;
    DV_TRY(dv_spool_reserve(worker->spool, 2));
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

static void count(const dv_request *request, int status, const dv_verdict *verdict)
{
    char series[DV_METRIC_NAME_MAX];
    const char *decision =
        verdict->decision == DV_ALLOW ? "allow" : dv_reason_name(verdict->reason);
    dv_slice route = request->route != NULL ? request->route->name : DV_LIT("");
    (void)snprintf(series, sizeof(series),
                   "dvara_requests_total{route=\"%.*s\",status=\"%d\",verdict=\"%s\"}",
                   (int)DV_MIN(route.len, (size_t)40), (const char *)route.ptr, status, decision);
    dv_metric_add(dv_metrics_cell(request->main->worker.metrics, series), 1);
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
        dv_metric_add(cell, 1);
    }
}

static dv_result append_close(dv_request *request, int status, bool aborted)
{
    dv_worker *worker = &request->main->worker;
    bool answered = request->answer_verdict.reason != DV_REASON_UNSET;
    const dv_verdict *verdict = answered ? &request->answer_verdict : &request->verdict;
    dv_event_limit limit;
    dv_event_request event = event_of(request, &limit);
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
        .verdict = verdict,
        .sightings = request->answer.sightings,
        .sighting_count = request->answer.sighting_count,
    };
    count(request, status, verdict);
    count_sightings(request, "request", event.sightings, event.sighting_count);
    count_sightings(request, "answer", outcome.sightings, outcome.sighting_count);
    dv_buf_clear(&worker->record);
    DV_TRY(dv_event_request_close(&worker->record, &event, &outcome));
    return dv_spool_append(worker->spool, dv_buf_slice(&worker->record), request->reserved);
}

dv_result dv_record_close(dv_request *request, int status, bool aborted)
{
    if (request->closed || !request->opened) {
        return DV_OK;
    }
    request->closed = true;
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
    if (request->main->worker.spool == NULL || request->mode != DV_MODE_GATE) {
        return;
    }
    if (append_open(request, false) != DV_OK || append_close(request, status, false) != DV_OK) {
        ngx_log_error(NGX_LOG_CRIT, request->r->connection->log, 0,
                      "dvara: the denial of %s can not be recorded", request->id);
    }
}
