/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event.h"

#include "core/event_view.h"

dv_event_view dv_event_view_of(int64_t class_uid, int64_t activity, dv_time time)
{
    return (dv_event_view){
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

/* -- requests at the gate ---------------------------------------------------------------------- */

/* The methods that OCSF 1.8 names, those that requests have first. */
static const struct known_method {
    const char *method;
    int64_t activity;
} known_methods[] = {{"POST", 1},   {"GET", 2},      {"HEAD", 2},   {"PUT", 3},     {"PATCH", 3},
                     {"DELETE", 4}, {"OPTIONS", 99}, {"TRACE", 99}, {"CONNECT", 99}};

static const struct known_method *known_method_of(dv_slice method)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(known_methods); i++) {
        if (dv_slice_eq_str(method, known_methods[i].method)) {
            return &known_methods[i];
        }
    }
    return NULL;
}

void dv_event_view_method(dv_event_view *view, dv_slice method)
{
    enum { ACTIVITY_OTHER = 99 };
    const struct known_method *known = known_method_of(method);
    view->activity_id = known != NULL ? known->activity : ACTIVITY_OTHER;
    if (known != NULL) {
        view->method = method;
    } else {
        view->odd_method = method;
    }
}

static void view_caller(dv_event_view *view, const dv_event_request *request)
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

int64_t dv_event_disposition(dv_reason reason)
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
        if (dv_content_action_rewrites(sightings[i].action)) {
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

void dv_event_view_policies(dv_event_view *view, const dv_verdict *verdict)
{
    view->policy = dv_slice_str(verdict->policy);
    view->others = verdict->others;
    view->unnamed = verdict->others.len > 0 ? verdict->unnamed : 0;
}

static void view_decision(dv_event_view *view, const dv_verdict *verdict, const seen_in *seen)
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
    dv_event_view_policies(view, verdict);
    view->action_id = !allowed ? 2 : rewrote ? 4 : 1;
    view->disposition_id = allowed ? 1 : dv_event_disposition(verdict->reason);
    view->severity_id = allowed ? (view->sighting_count > 0 ? 2 : 1) : 3;
}

void dv_event_view_decision(dv_event_view *view, const dv_verdict *verdict,
                            const dv_sighting *sightings, size_t count)
{
    view_decision(view, verdict, &(const seen_in){.sightings = sightings, .listed = count});
}

dv_slice dv_event_path(dv_slice path)
{
    ptrdiff_t mark = dv_slice_find_byte(path, '?');
    return mark < 0 ? path : dv_slice_sub(path, 0, (size_t)mark);
}

dv_event_view dv_event_view_request(const dv_event_request *request, dv_time time)
{
    dv_event_view view = dv_event_view_of(6003, 0, time);
    view.request_id = request->request_id;
    view_caller(&view, request);
    view.operation = request->action.len > 0 ? request->action : request->method;
    if (view.operation.len == 0) {
        view.operation = DV_LIT("unknown");
    }
    view.route = request->route;
    dv_event_view_method(&view, request->method);
    view.path = dv_event_path(request->path);
    view.http_version = request->http_version;
    view.user_agent = request->user_agent;
    view.body_bytes = dv_event_small((int64_t)request->body_bytes);
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
    return dv_event_put_open(out, request, NULL);
}

dv_result dv_event_put_open(dv_buf *out, const dv_event_request *request, dv_event_spots *spots)
{
    dv_event_view view = dv_event_view_request(request, request->time);
    view.event_code = DV_LIT("request.open");
    view.phase = DV_LIT("open");
    const seen_in seen = {request->sightings, request->sighting_count, request->unlisted,
                          request->unlisted_rewrote};
    view_decision(&view, request->verdict, &seen);
    view.volumes = request->volumes;
    view.volume_count = request->volume_count;
    view.spots = spots;
    return dv_event_put_view(out, DV_EVENT_OPEN, &view);
}

int64_t dv_event_small(int64_t value)
{
    return value < 0 || value > INT32_MAX ? DV_EVENT_UNKNOWN : value;
}

static int64_t known(int64_t value)
{
    return value < 0 ? DV_EVENT_UNKNOWN : value;
}

static int64_t total_tokens(const dv_event_view *view)
{
    if (view->input_tokens == DV_EVENT_UNKNOWN || view->output_tokens == DV_EVENT_UNKNOWN) {
        return DV_EVENT_UNKNOWN;
    }
    return dv_event_small(view->input_tokens + view->output_tokens);
}

dv_result dv_event_request_close(dv_buf *out, const dv_event_request *request,
                                 const dv_event_outcome *outcome)
{
    return dv_event_put_close(out, request, outcome, NULL);
}

dv_result dv_event_put_close(dv_buf *out, const dv_event_request *request,
                             const dv_event_outcome *outcome, dv_event_spots *spots)
{
    enum { CALLER_WENT_AWAY = 499 }; /* nginx's own number for it */
    dv_event_view view = dv_event_view_request(request, outcome->time);
    view.event_code = DV_LIT("request.close");
    view.phase = DV_LIT("close");
    const seen_in seen = {outcome->sightings, outcome->sighting_count, outcome->unlisted,
                          outcome->unlisted_rewrote};
    view_decision(&view, outcome->verdict != NULL ? outcome->verdict : request->verdict, &seen);
    view.status = outcome->status == 0 ? CALLER_WENT_AWAY : outcome->status;
    view.answer_bytes = dv_event_small((int64_t)outcome->answer_bytes);
    view.big_answer =
        view.answer_bytes == DV_EVENT_UNKNOWN ? (int64_t)outcome->answer_bytes : DV_EVENT_UNKNOWN;
    view.latency_ms = dv_event_small(outcome->latency / DV_MILLISECOND);
    view.latency_ns = outcome->latency;
    view.upstream_latency_ns = known(outcome->upstream_latency);
    view.upstream_status = outcome->upstream_status;
    view.input_tokens = dv_event_small(outcome->input_tokens);
    view.output_tokens = dv_event_small(outcome->output_tokens);
    view.total_tokens = total_tokens(&view);
    view.service = request->upstream.len > 0 ? request->upstream : DV_LIT("unknown");
    view.aborted = outcome->aborted;
    view.volumes = outcome->volumes;
    view.volume_count = outcome->volume_count;
    view.spots = spots;
    return dv_event_put_view(out, DV_EVENT_CLOSE, &view);
}

dv_result dv_event_refusals(dv_buf *out, const dv_event_refused *refused)
{
    enum { ACTIVITY_OTHER = 99 };
    const dv_verdict verdict = {.decision = DV_DENY, .reason = refused->reason};
    const dv_event_request request = {
        .time = refused->until, .address = refused->address, .verdict = &verdict};
    dv_event_view view = dv_event_view_request(&request, refused->until);
    view.activity_id = ACTIVITY_OTHER;
    view.event_code = DV_LIT("refusals");
    view.message = DV_LIT("Refusals that were counted, not recorded each.");
    view.operation = DV_LIT("any");
    view.count = (int64_t)DV_MIN(refused->count, (uint64_t)INT32_MAX);
    view.start_ms = refused->since / DV_MILLISECOND;
    view.end_ms = refused->until / DV_MILLISECOND;
    view_decision(&view, &verdict, &(const seen_in){.listed = 0});
    view.sighting_count = DV_EVENT_UNKNOWN;
    return dv_event_put_view(out, DV_EVENT_REFUSALS, &view);
}
