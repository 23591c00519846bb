/* SPDX-License-Identifier: Apache-2.0 */
#include "core/event.h"

#include "core/event_view.h"

/* What every record has. */
static dv_event_view view_of(int64_t class_uid, int64_t activity, dv_time time)
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

static void view_policies(dv_event_view *view, const dv_verdict *verdict)
{
    view->policy = dv_slice_str(verdict->policy);
    view->others = verdict->others;
    view->unnamed = verdict->others.len > 0 ? verdict->unnamed : 0;
}

/* Allowed, modified or denied; how bad it is for whoever reads the log. */
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

static dv_event_view view_request(const dv_event_request *request, dv_time time)
{
    dv_event_view view = view_of(6003, method_activity(request->method), time);
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
    dv_event_view view = view_request(request, request->time);
    view.event_code = DV_LIT("request.open");
    view.phase = DV_LIT("open");
    const seen_in seen = {request->sightings, request->sighting_count, request->unlisted,
                          request->unlisted_rewrote};
    view_decision(&view, request->verdict, &seen);
    return dv_event_put_view(out, DV_EVENT_OPEN, &view);
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
    dv_event_view view = view_request(request, outcome->time);
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
    return dv_event_put_view(out, DV_EVENT_CLOSE, &view);
}

dv_result dv_event_refusals(dv_buf *out, const dv_event_refused *refused)
{
    enum { ACTIVITY_OTHER = 99 };
    const dv_verdict verdict = {.decision = DV_DENY, .reason = refused->reason};
    const dv_event_request request = {
        .time = refused->until, .address = refused->address, .verdict = &verdict};
    dv_event_view view = view_request(&request, refused->until);
    view.activity_id = ACTIVITY_OTHER;
    view.event_code = DV_LIT("refusals");
    view.message = DV_LIT("Refusals that were counted, not recorded each.");
    view.operation = DV_LIT("any");
    view.count = (int64_t)refused->count;
    view.start_ms = refused->since / DV_MILLISECOND;
    view.end_ms = refused->until / DV_MILLISECOND;
    view_decision(&view, &verdict, &(const seen_in){.listed = 0});
    view.sighting_count = DV_EVENT_UNKNOWN;
    return dv_event_put_view(out, DV_EVENT_REFUSALS, &view);
}

/* -- the control plane ------------------------------------------------------------------------- */

static dv_event_view view_actor(const dv_event_actor *actor, int64_t class_uid, int64_t activity)
{
    dv_event_view view = view_of(class_uid, activity, actor->time);
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
    dv_event_view view = view_actor(actor, 6003, method_activity(call->method));
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
    return dv_event_put_view(out, DV_EVENT_OPERATION, &view);
}

dv_result dv_event_account_change(dv_buf *out, const dv_event_actor *actor,
                                  dv_account_activity activity, dv_slice account, dv_slice object)
{
    dv_event_view view = view_actor(actor, 3001, activity);
    view.event_code = DV_LIT("account.change");
    view.target_uid = account;
    view.target_name = entity_name(account);
    view.target_type = entity_user_type(account);
    view.object = object;
    return dv_event_put_view(out, DV_EVENT_ACCOUNT, &view);
}

dv_result dv_event_entity_change(dv_buf *out, const dv_event_actor *actor,
                                 dv_entity_activity activity, const dv_event_entity *entity)
{
    dv_event_view view = view_actor(actor, 3004, activity);
    view.event_code = DV_LIT("entity.change");
    view.entity_type = entity->type;
    view.entity_id = entity->id;
    view.entity_owner = entity->owner;
    view.entity_change = entity->change;
    return dv_event_put_view(out, DV_EVENT_ENTITY, &view);
}

dv_result dv_event_authentication(dv_buf *out, const dv_event_actor *actor, bool logon,
                                  dv_slice account, dv_slice method, dv_slice credential_id)
{
    dv_event_view view = view_actor(actor, 3002, logon ? 1 : 2);
    view.event_code = logon ? DV_LIT("authentication.logon") : DV_LIT("authentication.logoff");
    view.target_uid = account;
    view.target_name = account.len > 0 ? entity_name(account) : DV_LIT("unknown");
    view.target_type = entity_user_type(account);
    view.auth_method = method;
    view.credential_id = credential_id;
    return dv_event_put_view(out, DV_EVENT_AUTHENTICATION, &view);
}

dv_result dv_event_config_change(dv_buf *out, const dv_event_actor *actor, dv_slice what,
                                 dv_slice digest)
{
    enum { ACTIVITY_LOG = 1 };
    dv_event_view view = view_actor(actor, 5019, ACTIVITY_LOG);
    view.event_code = DV_LIT("config.change");
    view.what = what;
    view.digest = digest;
    return dv_event_put_view(out, DV_EVENT_CONFIG, &view);
}

dv_result dv_event_lifecycle(dv_buf *out, const dv_event_actor *actor,
                             dv_lifecycle_activity activity, dv_slice process)
{
    dv_event_view view = view_actor(actor, 6002, activity);
    view.event_code = DV_LIT("lifecycle");
    view.process = process;
    return dv_event_put_view(out, DV_EVENT_LIFECYCLE, &view);
}

dv_result dv_event_alarm(dv_buf *out, const dv_event_actor *actor, dv_slice rule, dv_slice title)
{
    enum { ACTIVITY_CREATE = 1, SEVERITY_HIGH = 4, STATUS_NEW = 1 };
    dv_event_view view = view_actor(actor, 2004, ACTIVITY_CREATE);
    view.event_code = DV_LIT("alarm");
    view.severity_id = SEVERITY_HIGH;
    view.status_id = STATUS_NEW;
    view.is_alert = true;
    view.rule = rule;
    view.title = title;
    view.message = title;
    return dv_event_put_view(out, DV_EVENT_ALARM, &view);
}
