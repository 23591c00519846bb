/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_exchange.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/uuid.h"
#include "core/audit.h"
#include "crypto/hash.h"
#include "daemon/dvarad_log.h"
#include "daemon/dvarad_pages.h"
#include "daemon/dvarad_router.h"

enum {
    ARENA_MAX = 64 << 20,
    PAGE_MAX = 16 << 20,
    RESERVED_RECORDS = 8, /* the record of the call and those of its handler */
};

/* What every operation of the control plane is about, for Cedar. */
#define CONTROL_RESOURCE DV_LIT("System::\"dvara\"")

struct dv_exchange {
    dv_control *control;
    dv_exchange_head head;
    dv_arena *arena;
    dv_route_path path;
    dv_identity identity; /* api.sock */
    dv_verdict verdict;   /* api.sock */
    dv_call call;
    json_t *params;
    json_t *body;
    char *text; /* the answer's body, malloc'd by jansson */
    dv_buf page;
    char request_id[DV_UUID_TEXT_LEN + 1];
    dv_exchange_answer answer;
};

static dv_result append_event(void *data, dv_slice record)
{
    dv_control *control = data;
    bool reserved = control->reserved > 0;
    DV_TRY(dv_spool_append(control->spool, record, reserved));
    control->reserved -= reserved;
    return DV_OK;
}

dv_event_sink dv_control_events(dv_control *control)
{
    return (dv_event_sink){append_event, control};
}

static bool is_made_of(dv_slice text, const char *punctuation)
{
    bool ok = text.len > 0;
    for (size_t i = 0; i < text.len && ok; i++) {
        uint8_t c = text.ptr[i];
        ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             (c != 0 && strchr(punctuation, c) != NULL);
    }
    return ok;
}

/* What the caller calls his request, as it may stand in a header and in a record; NULL: nothing. */
static const char *echo_id_of(dv_slice id, dv_arena *arena)
{
    enum { ECHO_MAX = 128 };
    return id.len <= ECHO_MAX && is_made_of(id, "-_.:+/=@~")
               ? dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(id))
               : NULL;
}

/* Tells a caller only what he said himself: the host that he asked. */
static const char *base_url_of(const dv_exchange_head *head, dv_arena *arena)
{
    enum { HOST_MAX = 300 };
    const char *url = NULL;
    if (head->host.len <= HOST_MAX && is_made_of(head->host, "-.:[]")) {
        url = dv_arena_printf(arena, "%s://%.*s",
                              dv_slice_eq_str(head->scheme, "http") ? "http" : "https",
                              DV_SLICE_ARGS(head->host));
    }
    return url == NULL ? "" : url;
}

dv_exchange *dv_exchange_new(dv_control *control, const dv_exchange_head *head)
{
    dv_arena *arena = dv_arena_new(ARENA_MAX);
    dv_exchange *exchange = arena != NULL ? dv_arena_alloc(arena, sizeof(*exchange)) : NULL;
    if (exchange == NULL) {
        dv_arena_free(arena);
        return NULL;
    }
    exchange->control = control;
    exchange->head = *head;
    exchange->arena = arena;
    exchange->page = dv_buf_init(PAGE_MAX);
    dv_time now = dv_time_now();
    dv_uuid id = dv_uuid_new(now);
    dv_uuid_format(&id, exchange->request_id);
    exchange->answer.request_id = exchange->request_id;
    exchange->call = (dv_call){
        .services = &control->services,
        .arena = arena,
        .now = now,
        .request_id = exchange->request_id,
        .caller = head->local != NULL ? head->local : "",
        .via = head->local != NULL ? "control" : "api",
        .address = "",
        .base_url = base_url_of(head, arena),
        .caller_request_id = "",
    };
    exchange->answer.echo_id = echo_id_of(head->request_id, arena);
    if (exchange->answer.echo_id != NULL) {
        exchange->call.caller_request_id = exchange->answer.echo_id;
    }
    return exchange;
}

void dv_exchange_free(dv_exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    json_decref(exchange->params);
    json_decref(exchange->body);
    json_decref(exchange->call.answer);
    free(exchange->text);
    dv_buf_wipe(&exchange->page);
    dv_arena_free(exchange->arena);
}

const dv_exchange_answer *dv_exchange_get_answer(const dv_exchange *exchange)
{
    return &exchange->answer;
}

/* --- answers ------------------------------------------------------------------------------- */

/* Makes value the answer's body; takes the reference. */
static void answer_json(dv_exchange *exchange, int status, json_t *value)
{
    exchange->text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    exchange->answer.status = exchange->text != NULL ? status : 500;
    exchange->answer.content_type = exchange->text != NULL ? "application/json" : NULL;
    exchange->answer.body = dv_slice_str(exchange->text);
}

/* {"error":{"code","message","field"?,"request_id"}} */
static void answer_error(dv_exchange *exchange, int status, const char *code, const char *message,
                         const char *field)
{
    json_t *error = json_pack("{s:s, s:s, s:s*, s:s}", "code", code, "message", message, "field",
                              field != NULL && field[0] != '\0' ? field : NULL, "request_id",
                              exchange->request_id);
    exchange->answer.etag[0] = '\0';
    answer_json(exchange, status, error != NULL ? json_pack("{s:o}", "error", error) : NULL);
}

static void answer_reason(dv_exchange *exchange, dv_reason reason, const char *detail)
{
    answer_error(exchange, dv_reason_status(reason), dv_reason_name(reason),
                 detail != NULL && detail[0] != '\0' ? detail : dv_reason_text(reason), NULL);
}

static int status_of(dv_result result)
{
    switch (result) {
    case DV_ERR_INVALID:
        return 400;
    case DV_ERR_UNAUTHENTICATED:
        return 401;
    case DV_ERR_FORBIDDEN:
        return 403;
    case DV_ERR_NOT_FOUND:
        return 404;
    case DV_ERR_EXISTS:
    case DV_ERR_CONFLICT:
        return 409;
    case DV_ERR_TOO_LARGE:
        return 413;
    case DV_ERR_UNSUPPORTED:
        return 422;
    case DV_ERR_LIMITED:
        return 429;
    case DV_ERR_UNAVAILABLE:
        return 503;
    default:
        return 500;
    }
}

/* An error as the API tells it. What is Dvara's own fault goes to its log, not to the caller. */
static void answer_failure(dv_exchange *exchange, dv_result result, const dv_error *error,
                           const char *field)
{
    int status = status_of(result);
    const char *message = error->message[0] != '\0' ? error->message : dv_result_name(result);
    if (status == 500) {
        dv_log_line("request %s failed: %s: %s", exchange->request_id, dv_result_name(result),
                    message);
        message = "Dvara failed; its own log tells more under this request id.";
    }
    if (status < 500 && error->line > 0) {
        char placed[DV_ERROR_MESSAGE_MAX + 48];
        snprintf(placed, sizeof(placed), "%s (line %d, column %d)", message, error->line,
                 error->column);
        answer_error(exchange, status, dv_result_name(result), placed, field);
        return;
    }
    answer_error(exchange, status, status == 500 ? "internal" : dv_result_name(result), message,
                 field);
}

/* --- who, and may they ---------------------------------------------------------------------- */

static bool is_safe(dv_slice method)
{
    return dv_slice_eq_str(method, "GET") || dv_slice_eq_str(method, "HEAD");
}

/* A browser says where a page came from; only pages that the configuration names may change
 * anything. Exact comparison (RFC 6454 section 5). */
static bool origin_allowed(const dv_exchange *exchange)
{
    const dv_control_settings *settings = &exchange->control->settings;
    if (is_safe(exchange->head.method) || exchange->head.origin.ptr == NULL) {
        return true;
    }
    for (size_t i = 0; i < settings->origin_count; i++) {
        if (dv_slice_eq_str(exchange->head.origin, settings->origins[i])) {
            return true;
        }
    }
    return false;
}

/* The presented key; empty when there is none or when it is not clear which one is meant. */
static dv_slice presented_key(const dv_exchange_head *head)
{
    dv_slice authorization = head->authorization;
    if (head->repeated || (authorization.ptr != NULL && head->api_key.ptr != NULL)) {
        return (dv_slice){0};
    }
    if (authorization.ptr == NULL) {
        return head->api_key;
    }
    if (!dv_slice_eq_nocase(dv_slice_sub(authorization, 0, 7), DV_LIT("Bearer "))) {
        return (dv_slice){0};
    }
    return dv_slice_sub(authorization, 7, authorization.len);
}

/* Looks the key up and, when permission is not NULL, asks whether its owner may. */
static void judge(dv_exchange *exchange, const char *permission, dv_verdict *verdict)
{
    dv_control *control = exchange->control;
    dv_snapshot *snapshot = control->services.snapshot;
    dv_error error = {0};
    dv_slice key = presented_key(&exchange->head);
    if (key.len == 0) {
        dv_verdict_deny(verdict, DV_REASON_NO_CREDENTIAL, NULL);
        return;
    }
    if (dv_snapshot_begin(snapshot) != DV_OK) {
        dv_verdict_deny(verdict, DV_REASON_NOT_READY, NULL);
        return;
    }
    if (dv_auth_gate_refresh(control->gate, snapshot, &error) != DV_OK) {
        dv_log_line("the identities can not be read: %s", error.message);
        dv_verdict_deny(verdict, DV_REASON_NOT_READY, NULL);
    } else if (dv_auth_gate_api_key(control->gate, snapshot, key, exchange->call.now,
                                    exchange->arena, &exchange->identity, verdict) == DV_OK) {
        exchange->call.caller = dv_arena_printf(exchange->arena, "%.*s",
                                                DV_SLICE_ARGS(exchange->identity.principal.entity));
        exchange->call.credential = &exchange->identity.credential;
        if (permission == NULL) {
            dv_verdict_allow(verdict, "");
        } else {
            dv_auth_request request = {
                .action = dv_slice_str(permission),
                .resource = CONTROL_RESOURCE,
                .address = dv_slice_str(exchange->call.address),
                .now = exchange->call.now,
            };
            dv_auth_gate_authorize(control->gate, snapshot, &exchange->identity, &request,
                                   exchange->arena, verdict);
        }
    } else {
        dv_verdict_deny(verdict, DV_REASON_BAD_CREDENTIAL, NULL);
    }
    dv_snapshot_end(snapshot);
    if (exchange->call.caller == NULL) {
        verdict->decision = DV_DENY;
    }
}

/* Records that somebody could not prove who they are. */
static void record_stranger(dv_exchange *exchange, const char *why)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    dv_event_actor actor = dv_audit_actor(&exchange->call, DV_ERR_UNAUTHENTICATED, why);
    dv_event_sink events = exchange->control->services.events;
    if (dv_event_authentication(&record, &actor, true, (dv_slice){0}, DV_LIT("api_key"),
                                (dv_slice){0}) != DV_OK ||
        events.append(events.data, dv_buf_slice(&record)) != DV_OK) {
        dv_log_line("a refused credential could not be recorded");
    }
}

/* A person who begins to work here; what can't be recorded is not let in. */
static bool record_logon(dv_exchange *exchange)
{
    dv_auto(buf) dv_buf record = dv_buf_init(DV_LIMIT_RECORD);
    const dv_call *call = &exchange->call;
    dv_event_sink events = exchange->control->services.events;
    dv_logons *logons = &exchange->control->logons;
    if (exchange->identity.principal.type != DV_PRINCIPAL_USER ||
        !dv_logons_note(logons, call->credential->id, call->address, call->now)) {
        return true;
    }
    dv_event_actor actor = dv_audit_actor(call, DV_OK, "");
    if (dv_event_authentication(&record, &actor, true, dv_slice_str(call->caller),
                                call->credential->kind, call->credential->id) == DV_OK &&
        events.append(events.data, dv_buf_slice(&record)) == DV_OK) {
        return true;
    }
    dv_logons_forget(logons, call->credential->id, call->address);
    return false;
}

/* True when the caller is known and has the permission (NULL: any caller). Otherwise the answer is
 * there. */
static bool admit(dv_exchange *exchange, const char *permission)
{
    dv_verdict *verdict = &exchange->verdict;
    if (exchange->head.local != NULL) {
        return true;
    }
    judge(exchange, permission, verdict);
    exchange->call.verdict = verdict;
    if (exchange->call.caller != NULL && !record_logon(exchange)) {
        answer_reason(exchange, DV_REASON_AUDIT_UNAVAILABLE, NULL);
        return false;
    }
    if (verdict->decision == DV_ALLOW) {
        return true;
    }
    if (dv_reason_status(verdict->reason) == 401) {
        record_stranger(exchange, dv_reason_name(verdict->reason));
    }
    answer_reason(exchange, verdict->reason, verdict->detail);
    return false;
}

/* --- pages ---------------------------------------------------------------------------------- */

static bool is_same_machine(dv_slice address)
{
    return dv_slice_starts_with(address, DV_LIT("127.")) || dv_slice_eq_str(address, "::1");
}

static bool page_is_open(const dv_exchange *exchange, const dv_page *page)
{
    return page->access == DV_PAGE_OPEN ||
           (page->access == DV_PAGE_METRICS && !exchange->control->settings.metrics_need_key &&
            is_same_machine(exchange->head.address));
}

static void serve_page(dv_exchange *exchange, const dv_page *page)
{
    dv_error error = {0};
    if (!is_safe(exchange->head.method)) {
        exchange->answer.allow = "GET, HEAD";
        answer_error(exchange, 405, "bad_method", "This page is only read.", NULL);
        return;
    }
    if (!page_is_open(exchange, page) && !admit(exchange, page->permission)) {
        return;
    }
    int status = 200;
    dv_result result = page->render(exchange->control, &exchange->page, &status, &error);
    if (result != DV_OK) {
        answer_failure(exchange, result, &error, NULL);
        return;
    }
    exchange->answer.status = status;
    exchange->answer.content_type = page->content_type;
    exchange->answer.body = dv_buf_slice(&exchange->page);
}

/* --- operations ----------------------------------------------------------------------------- */

/* Finds the operation; false: the answer is there. A stranger is told nothing of what exists. */
static bool find_operation(dv_exchange *exchange)
{
    dv_error error = {0};
    dv_result result =
        dv_route_parse(exchange->head.target, exchange->arena, &exchange->path, &error);
    if (result == DV_OK) {
        exchange->call.operation = dv_route_find(exchange->head.method, &exchange->path);
    }
    if (exchange->call.operation != NULL) {
        return true;
    }
    if (!admit(exchange, NULL)) {
        return false;
    }
    if (result != DV_OK) {
        answer_failure(exchange, result, &error, NULL);
        return false;
    }
    exchange->answer.allow = dv_route_allowed(&exchange->path, exchange->arena);
    if (exchange->answer.allow != NULL) {
        answer_error(exchange, 405, "bad_method", "This path does not know the method.", NULL);
    } else {
        answer_error(exchange, 404, "no_route", "There is no such path.", NULL);
    }
    return false;
}

static void count(dv_exchange *exchange)
{
    char series[DV_METRIC_NAME_MAX];
    snprintf(series, sizeof(series), "dvara_control_requests_total{operation=\"%s\",status=\"%d\"}",
             exchange->call.operation->id, exchange->answer.status);
    dv_metric_add(dv_metrics_cell(exchange->control->metrics, series), 1);
}

/* Leaves the record of the call; what can't be recorded is answered with 503. */
static void conclude(dv_exchange *exchange, dv_result result, const char *detail)
{
    dv_error error = {0};
    if (dv_audit_call(&exchange->call, exchange->answer.status, result, detail, &error) != DV_OK) {
        dv_log_line("request %s: %s", exchange->request_id, error.message);
        free(exchange->text);
        exchange->text = NULL;
        answer_reason(exchange, DV_REASON_AUDIT_UNAVAILABLE, NULL);
    }
    count(exchange);
}

static void fail(dv_exchange *exchange, dv_result result, const dv_error *error, const char *field)
{
    answer_failure(exchange, result, error, field);
    conclude(exchange, result, error->message);
}

bool dv_exchange_begin(dv_exchange *exchange)
{
    const dv_exchange_head *head = &exchange->head;
    if (head->address.len > 0 && head->address.len < 64 && dv_utf8_valid(head->address)) {
        exchange->call.address =
            dv_arena_printf(exchange->arena, "%.*s", DV_SLICE_ARGS(head->address));
    }
    if (exchange->call.address == NULL) {
        answer_error(exchange, 500, "internal", "Out of memory.", NULL);
        return false;
    }
    const dv_page *page = dv_page_find(head->target);
    if (page != NULL) {
        serve_page(exchange, page);
        return false;
    }
    if (!find_operation(exchange)) {
        return false;
    }
    if (!origin_allowed(exchange)) {
        answer_error(exchange, 403, "bad_origin", "This origin may not change anything.", NULL);
        conclude(exchange, DV_ERR_FORBIDDEN, "bad_origin");
        return false;
    }
    if (!admit(exchange, exchange->call.operation->permission)) {
        if (exchange->answer.status != 401) {
            conclude(exchange, DV_ERR_FORBIDDEN, dv_reason_name(exchange->verdict.reason));
        }
        return false;
    }
    return true;
}

static dv_result read_request(dv_exchange *exchange, dv_slice body, char field[DV_FIELD_MAX],
                              dv_error *error)
{
    const dv_operation *operation = exchange->call.operation;
    DV_TRY(dv_route_params(operation, &exchange->path, exchange->arena, &exchange->params, field,
                           error));
    exchange->call.params = exchange->params;
    DV_TRY(dv_route_body(operation, body, exchange->arena, &exchange->body, field, error));
    exchange->call.body = exchange->body;
    return DV_OK;
}

/* "application/json" with any parameter (RFC 9110 section 8.3.1). Also what keeps a page of another
 * origin from sending a body without the browser asking first. */
static bool is_json(dv_slice content_type)
{
    ptrdiff_t end = dv_slice_find_byte(content_type, ';');
    if (end >= 0) {
        content_type = dv_slice_sub(content_type, 0, (size_t)end);
    }
    return dv_slice_eq_nocase(dv_slice_trim(content_type), DV_LIT("application/json"));
}

/* A strong validator over the body (RFC 9110 section 8.8.3). */
static void make_etag(const char *text, char out[DV_ETAG_MAX])
{
    enum { BYTES = 16 };
    uint8_t digest[DV_SHA256_LEN];
    dv_sha256(dv_slice_str(text), (dv_slice){0}, (dv_slice){0}, digest);
    size_t len = 0;
    out[len++] = '"';
    for (size_t i = 0; i < BYTES; i++) {
        len += (size_t)snprintf(out + len, DV_ETAG_MAX - len, "%02x", digest[i]);
    }
    out[len++] = '"';
    out[len] = '\0';
}

/* Does a list of entity tags (or *) hold this one? (RFC 9110 section 13.1.1.) */
static bool etag_listed(dv_slice list, const char *etag)
{
    dv_slice part;
    while (dv_slice_split(&list, ',', &part)) {
        part = dv_slice_trim(part);
        if (dv_slice_eq_str(part, "*") || dv_slice_eq_str(part, etag)) {
            return true;
        }
    }
    return false;
}

static dv_operation_handler handler_of(const dv_operation *operation)
{
    return dv_operation_handlers[operation - dv_operations];
}

/* The tag of what the path shows now: what its GET answers to this caller. */
static dv_result current_etag(dv_exchange *exchange, char ret_etag[DV_ETAG_MAX], dv_error *error)
{
    const dv_operation *get = dv_route_find(DV_LIT("GET"), &exchange->path);
    if (get == NULL) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED, "If-Match is not for this path.");
    }
    char field[DV_FIELD_MAX];
    json_t *params = NULL;
    DV_TRY(dv_route_params(get, &exchange->path, exchange->arena, &params, field, error));
    dv_call call = exchange->call;
    call.operation = get;
    call.params = params;
    call.body = NULL;
    dv_result result = handler_of(get)(&call, error);
    char *text = result == DV_OK ? json_dumps(call.answer, JSON_COMPACT) : NULL;
    if (text != NULL) {
        make_etag(text, ret_etag);
    } else if (result == DV_OK) {
        result = DV_ERR_NO_MEMORY;
    }
    free(text);
    json_decref(call.answer);
    json_decref(params);
    return result;
}

/* False: the answer (412 or an error) is there. */
static bool precondition_holds(dv_exchange *exchange)
{
    char etag[DV_ETAG_MAX];
    dv_error error = {0};
    if (exchange->head.if_match.ptr == NULL || is_safe(exchange->head.method)) {
        return true;
    }
    dv_result result = current_etag(exchange, etag, &error);
    if (result != DV_OK) {
        fail(exchange, result, &error, NULL);
        return false;
    }
    if (etag_listed(exchange->head.if_match, etag)) {
        return true;
    }
    answer_error(exchange, 412, "changed", "It was changed by someone else: read it again.", NULL);
    conclude(exchange, DV_ERR_CONFLICT, "changed");
    return false;
}

static void answer_success(dv_exchange *exchange)
{
    dv_call *call = &exchange->call;
    exchange->answer.status = call->status;
    if (call->status == 204) {
        return;
    }
    answer_json(exchange, call->status, json_incref(call->answer));
    if (exchange->text == NULL || !is_safe(exchange->head.method)) {
        return;
    }
    make_etag(exchange->text, exchange->answer.etag);
    if (exchange->head.if_none_match.ptr != NULL &&
        etag_listed(exchange->head.if_none_match, exchange->answer.etag)) {
        exchange->answer.status = 304;
        exchange->answer.content_type = NULL;
        exchange->answer.body = (dv_slice){0};
    }
}

static void run(dv_exchange *exchange)
{
    dv_call *call = &exchange->call;
    dv_error error = {0};
    call->status = call->operation->success;
    dv_result result = handler_of(call->operation)(call, &error);
    if (result == DV_OK && call->answer == NULL && call->status != 204) {
        result = dv_error_set(&error, DV_ERR_INTERNAL, "the handler gave no answer");
    }
    if (result != DV_OK) {
        fail(exchange, result, &error, call->error_field);
        return;
    }
    answer_success(exchange);
    conclude(exchange, DV_OK, NULL);
}

/* Runs with room for the records kept free. */
static void run_reserved(dv_exchange *exchange)
{
    dv_control *control = exchange->control;
    if (dv_spool_reserve(control->spool, RESERVED_RECORDS) != DV_OK) {
        answer_reason(exchange, DV_REASON_AUDIT_UNAVAILABLE, NULL);
        count(exchange);
        return;
    }
    control->reserved = RESERVED_RECORDS;
    if (precondition_holds(exchange)) {
        run(exchange);
    }
    dv_spool_unreserve(control->spool, control->reserved);
    control->reserved = 0;
}

/* AuthZEN knows 400 alone for what is wrong with a request (section 10.1.2). */
static void refuse_content_type(dv_exchange *exchange)
{
    static const char MESSAGE[] = "Send Content-Type: application/json.";
    if (dv_slice_starts_with(dv_slice_str(exchange->call.operation->path), DV_LIT("/access/"))) {
        answer_error(exchange, 400, dv_reason_name(DV_REASON_BAD_CONTENT_TYPE), MESSAGE, NULL);
    } else {
        answer_reason(exchange, DV_REASON_BAD_CONTENT_TYPE, MESSAGE);
    }
}

void dv_exchange_finish(dv_exchange *exchange, dv_slice body, bool too_large)
{
    char field[DV_FIELD_MAX] = "";
    dv_error error = {0};
    if (too_large) {
        dv_result result = dv_error_set(&error, DV_ERR_TOO_LARGE,
                                        "The body is larger than %d bytes.", DV_LIMIT_CONTROL_BODY);
        fail(exchange, result, &error, NULL);
        return;
    }
    if (body.len > 0 && !is_json(exchange->head.content_type)) {
        refuse_content_type(exchange);
        conclude(exchange, DV_ERR_INVALID, "bad_content_type");
        return;
    }
    dv_result result = read_request(exchange, body, field, &error);
    if (result != DV_OK) {
        fail(exchange, result, &error, field);
        return;
    }
    run_reserved(exchange);
}
