/* SPDX-License-Identifier: Apache-2.0 */
/* The request's body: read, checked, inspected, replaced (DESIGN section 4, steps 4 to 6). Each
 * step is one turn of the event loop when the body is large. */
#include "gateway/request.h"

#include "base/caps.h"
#include "base/codec.h"
#include "gateway/forwarded.h"

enum { TURN_MAX = 128 << 10 }; /* bytes that all steps together may take in one turn */

const dv_json_limits dv_body_limits = {
    .depth = DV_LIMIT_JSON_DEPTH,
    .tokens = DV_LIMIT_JSON_TOKENS,
    .refuse_duplicate_keys = true,
};

static bool deny(dv_request *request, dv_reason reason, const char *detail)
{
    dv_verdict_deny(&request->verdict, reason, "%s", detail);
    return false;
}

static const ngx_table_elt_t *find_header(const ngx_http_request_t *r, const char *name)
{
    const ngx_list_part_t *part = &r->headers_in.headers.part;
    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (dv_slice_eq_nocase(dv_ngx_slice(headers[i].key), dv_slice_str(name))) {
                return &headers[i];
            }
        }
    }
    return NULL;
}

static bool has_body(const ngx_http_request_t *r)
{
    return r->headers_in.content_length_n > 0 || r->headers_in.chunked;
}

/* A body that no rule speaks of is passed on as it is. */
static bool is_read(const dv_api_route *route)
{
    return route->request_policy >= 0 || route->protocol->object_body || !route->any_field;
}

/* What the headers say of the body, before a byte of it is read. */
static bool check_head(dv_request *request)
{
    const ngx_http_request_t *r = request->r;
    const dv_api_route *route = request->route;
    const ngx_table_elt_t *type = r->headers_in.content_type;
    if (!has_body(r)) {
        return !route->protocol->object_body ||
               deny(request, DV_REASON_BAD_REQUEST, "a JSON body is needed");
    }
    if (route->body_limit == 0) {
        return deny(request, DV_REASON_BAD_REQUEST, "this route takes no body");
    }
    if (r->headers_in.content_length_n > (off_t)route->body_limit) {
        return deny(request, DV_REASON_BODY_TOO_LARGE, "");
    }
    if (!is_read(route)) {
        return true;
    }
    if (find_header(r, "content-encoding") != NULL) {
        return deny(request, DV_REASON_BAD_ENCODING, "");
    }
    return (type != NULL && dv_api_type_is_json(dv_ngx_slice(type->value))) ||
           deny(request, DV_REASON_BAD_CONTENT_TYPE, "send application/json");
}

static size_t chain_size(ngx_chain_t *chain)
{
    size_t size = 0;
    for (; chain != NULL; chain = chain->next) {
        size += (size_t)ngx_buf_size(chain->buf);
    }
    return size;
}

/* Copies a buffer; what nginx spilled lies on tmpfs, so that reading it does not block. */
static bool copy_buffer(const ngx_buf_t *buffer, uint8_t *out)
{
    size_t size = (size_t)ngx_buf_size(buffer);
    if (ngx_buf_in_memory(buffer)) {
        memcpy(out, buffer->pos, size);
        return true;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n =
            pread(buffer->file->fd, out + done, size - done, buffer->file_pos + (off_t)done);
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

static bool gather(dv_request *request)
{
    ngx_http_request_body_t *body = request->r->request_body;
    ngx_chain_t *chain = body != NULL ? body->bufs : NULL;
    size_t size = chain_size(chain);
    if (size > request->route->body_limit) {
        return deny(request, DV_REASON_BODY_TOO_LARGE, "");
    }
    if (chain != NULL && chain->next == NULL && ngx_buf_in_memory(chain->buf)) {
        request->body_bytes = dv_slice_of(chain->buf->pos, size);
        return true;
    }
    uint8_t *bytes = dv_arena_alloc_raw(request->arena, size + 1);
    if (bytes == NULL) {
        return deny(request, DV_REASON_INTERNAL, "");
    }
    request->body_bytes = dv_slice_of(bytes, size);
    for (; chain != NULL; chain = chain->next) {
        if (!copy_buffer(chain->buf, bytes)) {
            return deny(request, DV_REASON_INTERNAL, "");
        }
        bytes += ngx_buf_size(chain->buf);
    }
    return true;
}

static bool scan(dv_request *request)
{
    dv_error error = {0};
    if (!is_read(request->route)) {
        return true;
    }
    if (request->body_bytes.len == 0) {
        return !request->route->protocol->object_body ||
               deny(request, DV_REASON_BAD_REQUEST, "a JSON body is needed");
    }
    dv_result result =
        dv_json_scan(request->body_bytes, &dv_body_limits, request->arena, &request->json, &error);
    if (result == DV_OK) {
        return true;
    }
    if (result != DV_ERR_INVALID && result != DV_ERR_TOO_LARGE) {
        return deny(request, DV_REASON_INTERNAL, "");
    }
    dv_verdict_deny(&request->verdict, DV_REASON_BAD_JSON, "line %d column %d: %s", error.line,
                    error.column, error.message);
    return false;
}

static bool check_rules(dv_request *request)
{
    if (request->json.count == 0) {
        return true;
    }
    dv_result result = dv_api_body_check(request->config->api, request->route, &request->json,
                                         request->arena, &request->body, &request->verdict);
    request->param = request->body.param;
    return result == DV_OK || deny(request, DV_REASON_INTERNAL, "");
}

/* A body may come long after its head: a key revoked or expired since, or a role withdrawn, counts.
 */
static bool renew(dv_request *request)
{
    dv_worker *worker = &request->main->worker;
    dv_time now = dv_time_now();
    if (worker->generation == request->generation && now < request->identity.expires) {
        return true;
    }
    if (dv_auth_gate_renew(worker->auth, worker->snapshot, &request->identity, now, request->arena,
                           &request->identity) != DV_OK) {
        return deny(request, DV_REASON_BAD_CREDENTIAL, "");
    }
    request->generation = worker->generation;
    return dv_access_authorize(request);
}

static bool permit_model(dv_request *request)
{
    dv_worker *worker = &request->main->worker;
    dv_slice entity = {0};
    if (dv_api_model_entity(request->body.model, request->arena, &entity) != DV_OK) {
        return deny(request, DV_REASON_INTERNAL, "");
    }
    dv_auth_request question = {
        .action = request->route->action,
        .resource = entity,
        .address = dv_ngx_slice(request->r->connection->addr_text),
        .now = dv_time_now(),
    };
    dv_verdict verdict = {0};
    dv_auth_gate_authorize(worker->auth, worker->snapshot, &request->identity, &question,
                           request->arena, &verdict);
    request->verdict = verdict;
    return verdict.decision == DV_ALLOW || deny(request, DV_REASON_NOT_PERMITTED, "");
}

static bool permit_route(dv_request *request)
{
    if (!request->route_permitted) {
        return deny(request, DV_REASON_NOT_PERMITTED, "");
    }
    dv_verdict_allow(&request->verdict, request->route_policy);
    return true;
}

/* The one place where the request's verdict becomes allow. */
static bool permit(dv_request *request)
{
    if (!dv_access_enter(request)) {
        return false;
    }
    bool permitted =
        renew(request) &&
        (request->route->protocol->has_model ? permit_model(request) : permit_route(request));
    dv_worker_leave(&request->main->worker);
    return permitted;
}

/* Takes an inspection's result over: true when the text may go on. The verdict went in allowed. */
static bool judged(dv_request *request, dv_result result, const dv_verdict *verdict)
{
    if (verdict->decision == DV_ALLOW && result == DV_OK) {
        return true;
    }
    request->verdict = verdict->decision == DV_DENY ? *verdict : (dv_verdict){0};
    return deny(request, DV_REASON_INTERNAL, "the content could not be inspected");
}

/* Inspects a text that can't be rewritten: what would be masked in a body is refused here. */
static bool inspect_line(dv_request *request, const dv_data_policy *policy, dv_slice text,
                         const char *where)
{
    dv_verdict verdict = {0};
    dv_data_outcome outcome = {0};
    if (text.len == 0 || policy == NULL) {
        return true;
    }
    dv_verdict_allow(&verdict, "");
    dv_result result = dv_data_gate_text(request->main->worker.data, policy, request->context,
                                         false, text, request->arena, &outcome, &verdict);
    bool blocked = verdict.decision == DV_DENY && verdict.reason == DV_REASON_SENSITIVE_DATA;
    if (result == DV_OK && (outcome.changed || blocked)) {
        request->seen = outcome;
        request->verdict = (dv_verdict){0};
        return deny(request, DV_REASON_SENSITIVE_DATA, where);
    }
    return judged(request, result, &verdict);
}

static bool inspect_query(dv_request *request, const dv_data_policy *policy)
{
    dv_slice text = {0};
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "");
    dv_result result = dv_api_query_check(request->config->api, dv_ngx_slice(request->r->args),
                                          request->arena, &text, &verdict);
    return judged(request, result, &verdict) &&
           inspect_line(request, policy, text, "in the query string");
}

static bool is_forwarded(dv_slice name)
{
#define NAME(name, variable) name,
    static const char *const names[] = {DV_FORWARDED_HEADERS(NAME)};
#undef NAME
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_nocase(name, dv_slice_str(names[i]))) {
            return true;
        }
    }
    return false;
}

static bool inspect_header(dv_request *request, const dv_data_policy *policy,
                           const ngx_table_elt_t *header)
{
    char where[64];
    dv_slice name = dv_ngx_slice(header->key);
    dv_slice value = dv_ngx_slice(header->value);
    if (!is_forwarded(name)) {
        return true;
    }
    (void)snprintf(where, sizeof(where), "in the header %.*s", DV_SLICE_ARGS(name));
    if (!dv_utf8_valid(value) || dv_slice_find(value, DV_LIT("dvk_")) >= 0) {
        request->verdict = (dv_verdict){0};
        return deny(request, DV_REASON_BAD_REQUEST, where);
    }
    return inspect_line(request, policy, value, where);
}

/* What a model server gets besides the body. */
static bool inspect_headers(dv_request *request, const dv_data_policy *policy)
{
    const ngx_list_part_t *part = &request->r->headers_in.headers.part;
    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (!inspect_header(request, policy, &headers[i])) {
                return false;
            }
        }
    }
    return true;
}

static const dv_data_policy *request_policy(const dv_request *request)
{
    int index = request->route->request_policy;
    return index >= 0 ? request->config->policies[index] : NULL;
}

static bool inspect(dv_request *request)
{
    dv_worker *worker = &request->main->worker;
    const dv_data_policy *policy = request_policy(request);
    request->seen.body = request->body_bytes;
    if (dv_data_context_new(worker->data, request->identity.principal.entity, request->arena,
                            &request->context) != DV_OK) {
        request->verdict = (dv_verdict){0};
        return deny(request, DV_REASON_INTERNAL, "");
    }
    if (!inspect_query(request, policy) || !inspect_headers(request, policy)) {
        return false;
    }
    if (policy == NULL || request->json.count == 0) {
        return true;
    }
    dv_verdict verdict = {0};
    dv_verdict_allow(&verdict, "");
    dv_result result = dv_data_gate_request(worker->data, policy, request->context, &request->json,
                                            request->arena, &request->seen, &verdict);
    return judged(request, result, &verdict);
}

/* The upstream gets the inspected text, and its length. */
static bool replace(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    if (request->seen.body.len == 0) {
        return true;
    }
    ngx_buf_t *buffer = ngx_calloc_buf(r->pool);
    ngx_chain_t *chain = ngx_alloc_chain_link(r->pool);
    if (buffer == NULL || chain == NULL) {
        request->verdict = (dv_verdict){0};
        return deny(request, DV_REASON_INTERNAL, "");
    }
    buffer->start = buffer->pos = (u_char *)request->seen.body.ptr;
    buffer->end = buffer->last = buffer->pos + request->seen.body.len;
    buffer->memory = 1;
    *chain = (ngx_chain_t){buffer, NULL};
    r->request_body->bufs = chain;
    r->request_body->buf = NULL;
    r->headers_in.content_length_n = (off_t)request->seen.body.len;
    r->headers_in.chunked = 0;
    return true;
}

/* Failing closed is decided here, before anything is disclosed. */
static bool record(dv_request *request)
{
    if (dv_record_open(request) == DV_OK) {
        return true;
    }
    request->verdict = (dv_verdict){0};
    return deny(request, DV_REASON_AUDIT_UNAVAILABLE, "");
}

static bool (*const steps[])(dv_request *request) = {gather,  scan,    check_rules, permit,
                                                     inspect, replace, record};

/* Runs the steps, all at once or one a turn. Returns NGX_AGAIN when there are more. */
static ngx_int_t run_steps(dv_request *request)
{
    while (request->step < DV_ARRAY_LEN(steps)) {
        if (!steps[request->step](request)) {
            return NGX_ERROR;
        }
        request->step++;
        if (request->body_bytes.len > TURN_MAX && request->step < DV_ARRAY_LEN(steps)) {
            return NGX_AGAIN;
        }
    }
    return NGX_OK;
}

static void post_step(dv_request *request);

/* Goes on with the phases, or denies. */
static void advance(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    switch (run_steps(request)) {
    case NGX_AGAIN:
        post_step(request);
        return;
    case NGX_OK:
        request->stage = DV_STAGE_FORWARD;
        request->forwarded = dv_time_monotonic();
        r->preserve_body = 1;
        r->write_event_handler = ngx_http_core_run_phases;
        ngx_http_core_run_phases(r);
        return;
    default:
        ngx_http_finalize_request(r, dv_access_deny(request));
    }
}

static void run_posted_step(ngx_event_t *event)
{
    dv_request *request = event->data;
    ngx_connection_t *connection = request->r->connection;
    request->posted = false;
    advance(request);
    ngx_http_run_posted_requests(connection);
}

static void post_step(dv_request *request)
{
    request->event.data = request;
    request->event.handler = run_posted_step;
    request->event.log = request->r->connection->log;
    request->posted = true;
    request->r->read_event_handler = ngx_http_block_reading;
    request->r->write_event_handler = ngx_http_request_empty_handler;
    ngx_post_event(&request->event, &ngx_posted_next_events);
}

static void body_was_read(ngx_http_request_t *r)
{
    advance(dv_request_get(r));
}

ngx_int_t dv_body_read(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    if (!check_head(request)) {
        ngx_http_finalize_request(r, dv_access_deny(request));
        return NGX_DONE;
    }
    ngx_int_t rc = ngx_http_read_client_request_body(r, body_was_read);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }
    ngx_http_finalize_request(r, NGX_DONE);
    return NGX_DONE;
}
