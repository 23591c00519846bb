/* SPDX-License-Identifier: Apache-2.0 */
/* The request's body: read, checked, inspected, replaced (DESIGN section 4, steps 4 to 6). What is
 * computed over a large one is computed by a thread. */
#include "base/multipart.h"
#include "gateway/request.h"

#include <fcntl.h>

enum {
    PATIENCE = 60 * 1000, /* milliseconds that a body may wait for a thread */
};

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

static bool take_boundary(dv_request *request, const ngx_table_elt_t *type)
{
    dv_error error = {0};
    dv_slice boundary = {NULL, 0};
    dv_slice value = type != NULL ? dv_ngx_slice(type->value) : (dv_slice){NULL, 0};
    if (dv_multipart_boundary(value, &boundary, &error) != DV_OK) {
        return dv_request_deny(request, DV_REASON_BAD_CONTENT_TYPE, error.message);
    }
    return dv_arena_copy(request->arena, boundary, &request->work.boundary) == DV_OK ||
           dv_request_deny(request, DV_REASON_INTERNAL, "");
}

/* What the headers say of the body, before a byte of it is read. */
static bool check_head(dv_request *request)
{
    const ngx_http_request_t *r = request->r;
    const dv_api_route *route = request->route;
    const ngx_table_elt_t *type = r->headers_in.content_type;
    if (!has_body(r)) {
        return !route->protocol->object_body ||
               dv_request_deny(request, DV_REASON_BAD_REQUEST, "a JSON body is needed");
    }
    if (route->body_limit == 0) {
        return dv_request_deny(request, DV_REASON_BAD_REQUEST, "this route takes no body");
    }
    if (r->headers_in.content_length_n > (off_t)route->body_limit) {
        return dv_request_deny(request, DV_REASON_BODY_TOO_LARGE, "");
    }
    if (!dv_work_reads(route)) {
        return true;
    }
    if (find_header(r, "content-encoding") != NULL) {
        return dv_request_deny(request, DV_REASON_BAD_ENCODING, "");
    }
    if (route->protocol->form) {
        return take_boundary(request, type);
    }
    return (type != NULL && dv_api_type_is_json(dv_ngx_slice(type->value))) ||
           dv_request_deny(request, DV_REASON_BAD_CONTENT_TYPE, "send application/json");
}

static size_t chain_size(ngx_chain_t *chain)
{
    size_t size = 0;
    for (; chain != NULL; chain = chain->next) {
        size += (size_t)ngx_buf_size(chain->buf);
    }
    return size;
}

static size_t count_links(const ngx_chain_t *chain)
{
    size_t count = 0;
    for (; chain != NULL; chain = chain->next) {
        count++;
    }
    return count;
}

/* The descriptor is nginx's, which closes it when the request ends; a thread may read longer. */
static bool open_spilled(dv_work *work, const ngx_buf_t *buffer)
{
    if (work->file < 0) {
        work->file = fcntl(buffer->file->fd, F_DUPFD_CLOEXEC, 0);
    }
    return work->file >= 0;
}

/* What is in memory is copied; what nginx spilled to its one file is noted, to be read later. */
static bool copy_chain(dv_work *work, const ngx_chain_t *chain, uint8_t *out)
{
    dv_work_piece *pieces =
        dv_arena_alloc_raw(work->arena, count_links(chain) * sizeof(dv_work_piece));
    if (pieces == NULL) {
        return false;
    }
    work->pieces = pieces;
    for (; chain != NULL; chain = chain->next) {
        const ngx_buf_t *buffer = chain->buf;
        size_t size = (size_t)ngx_buf_size(buffer);
        if (size == 0) {
            continue; /* the end of a chunked body */
        }
        if (ngx_buf_in_memory(buffer)) {
            memcpy(out, buffer->pos, size);
        } else if (open_spilled(work, buffer)) {
            pieces[work->piece_count++] = (dv_work_piece){out, size, buffer->file_pos};
        } else {
            return false;
        }
        out += size;
    }
    return true;
}

static bool gather(dv_request *request)
{
    ngx_http_request_body_t *body = request->r->request_body;
    ngx_chain_t *chain = body != NULL ? body->bufs : NULL;
    size_t size = chain_size(chain);
    dv_work *work = &request->work;
    work->arena = request->arena;
    if (size > request->route->body_limit) {
        return dv_request_deny(request, DV_REASON_BODY_TOO_LARGE, "");
    }
    if (size <= DV_WORK_LARGE && chain != NULL && chain->next == NULL &&
        ngx_buf_in_memory(chain->buf)) {
        work->bytes = dv_slice_of(chain->buf->pos, size);
        return true;
    }
    uint8_t *bytes = dv_arena_alloc_raw(request->arena, size + 1);
    if (bytes == NULL || (size > 0 && !copy_chain(work, chain, bytes))) {
        return dv_request_deny(request, DV_REASON_INTERNAL, "");
    }
    work->bytes = dv_slice_of(bytes, size);
    return true;
}

/* The work said yes, or no; when it said neither it was not done, and that is a no. */
static bool take_checked(dv_request *request)
{
    const dv_work *work = &request->work;
    request->body = work->body;
    request->param = work->body.param;
    if (work->verdict.reason != DV_REASON_UNSET) {
        request->verdict = work->verdict;
        return false;
    }
    return work->checked || dv_request_deny(request, DV_REASON_INTERNAL, "");
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
        return dv_request_deny(request, DV_REASON_BAD_CREDENTIAL, "");
    }
    request->generation = worker->generation;
    return dv_access_authorize(request);
}

static bool permit_model(dv_request *request)
{
    if (request->body.entity.len == 0) {
        return dv_request_deny(request, DV_REASON_INTERNAL, "");
    }
    dv_access_ask(request, &request->identity, request->body.entity, request->arena,
                  &request->verdict);
    return request->verdict.decision == DV_ALLOW ||
           dv_request_deny(request, DV_REASON_NOT_PERMITTED, "");
}

static bool permit_route(dv_request *request)
{
    if (!request->route_permitted) {
        return dv_request_deny(request, DV_REASON_NOT_PERMITTED, "");
    }
    dv_verdict_allow(&request->verdict, request->route_policy);
    request->verdict.others = request->route_others;
    request->verdict.unnamed = request->route_unnamed;
    return true;
}

/* The one place where the request's verdict becomes allow. */
static bool is_permitted(dv_request *request)
{
    request->permitted = dv_time_monotonic();
    return renew(request) &&
           (request->route->protocol->has_model ? permit_model(request) : permit_route(request));
}

static bool permit(dv_request *request)
{
    if (!dv_access_enter(request)) {
        return false;
    }
    bool permitted = is_permitted(request) && dv_limits_reserve(request);
    dv_worker_leave(&request->main->worker);
    return permitted;
}

/* A large body may wait a minute for a thread: what was withdrawn since counts. */
static bool permit_again(dv_request *request)
{
    if (dv_access_is_fresh(request)) {
        return true;
    }
    if (!dv_access_enter(request)) {
        return false;
    }
    bool permitted = is_permitted(request);
    dv_worker_leave(&request->main->worker);
    return permitted;
}

/* What was seen in the head stands before what was in the body: a record lists the first. */
static dv_result add_head_seen(dv_request *request)
{
    dv_data_outcome *seen = &request->seen;
    size_t head = request->head_seen_count;
    if (head == 0) {
        return DV_OK;
    }
    dv_data_sighting *all =
        dv_arena_alloc_raw(request->arena, (head + seen->sighting_count) * sizeof(*all));
    if (all == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(all, request->head_seen, head * sizeof(*all));
    if (seen->sighting_count > 0) {
        memcpy(all + head, seen->sightings, seen->sighting_count * sizeof(*all));
    }
    seen->sightings = all;
    seen->sighting_count += head;
    return DV_OK;
}

static bool take_inspected(dv_request *request)
{
    const dv_work *work = &request->work;
    if (work->outcome.body.len > 0) {
        request->seen = work->outcome;
    }
    dv_result added = add_head_seen(request);
    return dv_request_judged(request, work->result != DV_OK ? work->result : added, &work->verdict);
}

/* Appends a part of the body for the upstream, if it has bytes. */
static ngx_int_t add_part(ngx_pool_t *pool, dv_slice text, ngx_chain_t ***last)
{
    if (text.len == 0) {
        return NGX_OK;
    }
    ngx_buf_t *buffer = ngx_calloc_buf(pool);
    ngx_chain_t *chain = ngx_alloc_chain_link(pool);
    if (buffer == NULL || chain == NULL) {
        return NGX_ERROR;
    }
    buffer->start = buffer->pos = (u_char *)text.ptr;
    buffer->end = buffer->last = buffer->pos + text.len;
    buffer->memory = 1;
    *chain = (ngx_chain_t){buffer, NULL};
    **last = chain;
    *last = &chain->next;
    return NGX_OK;
}

/* The parts of the body around what the gate says in it; *length grows with it. */
static ngx_int_t add_parts(dv_request *request, ngx_chain_t ***last, size_t *length)
{
    const dv_work *work = &request->work;
    dv_slice body = request->seen.body;
    ngx_pool_t *pool = request->r->pool;
    size_t done = 0;
    for (size_t i = 0; i < work->insert_count; i++) {
        const dv_api_insert *insert = &work->inserts[i];
        if (add_part(pool, dv_slice_sub(body, done, insert->at - done), last) != NGX_OK ||
            add_part(pool, insert->text, last) != NGX_OK) {
            return NGX_ERROR;
        }
        done = insert->at + insert->len;
        *length += insert->text.len - insert->len;
    }
    return add_part(pool, dv_slice_sub(body, done, body.len), last);
}

/* The upstream gets the inspected text, and its length. */
static bool replace(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    size_t length = request->seen.body.len;
    ngx_chain_t *chain = NULL;
    ngx_chain_t **last = &chain;
    if (length == 0) {
        return true;
    }
    if (add_parts(request, &last, &length) != NGX_OK) {
        request->verdict = (dv_verdict){0};
        return dv_request_deny(request, DV_REASON_INTERNAL, "");
    }
    r->request_body->bufs = chain;
    r->request_body->buf = NULL;
    r->headers_in.content_length_n = (off_t)length;
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
    return dv_request_deny(request, DV_REASON_AUDIT_UNAVAILABLE, "");
}

/* Each step may compute something over the body first. */
typedef struct step {
    void (*compute)(dv_work *work);
    bool (*run)(dv_request *request);
} step;

static const step steps[] = {
    {NULL, gather},
    {dv_work_check, take_checked},
    {NULL, permit},
    {NULL, dv_head_inspect},
    {dv_work_inspect, take_inspected},
    {NULL, permit_again},
    {NULL, dv_volume_request},
    {NULL, replace},
    {NULL, record},
};

/* -- waiting ----------------------------------------------------------------------------------- */

void dv_body_prepare_work(dv_request *request)
{
    dv_work *work = &request->work;
    work->gate = request->main->worker.data;
    work->arena = request->arena;
    work->config = request->config;
    work->route = request->route;
    work->context = request->context;
    work->request_policy = request->request_policy;
    work->answer_policy = request->answer_policy;
    work->effort = DV_WORK_EFFORT;
    work->outcome = (dv_data_outcome){0};
    dv_verdict_reset(&work->verdict);
    work->result = DV_OK;
}

static void stop_timer(dv_request *request)
{
    if (request->timer.timer_set) {
        ngx_del_timer(&request->timer);
    }
}

static void start_timer(dv_request *request, ngx_event_handler_pt handler, ngx_msec_t after)
{
    request->timer.data = request;
    request->timer.handler = handler;
    request->timer.log = request->r->connection->log;
    ngx_add_timer(&request->timer, after);
}

/* From a timer's handler. */
static void deny_late(dv_request *request, dv_reason reason)
{
    ngx_connection_t *connection = request->r->connection;
    ngx_http_set_log_request(connection->log, request->r);
    request->verdict = (dv_verdict){0};
    (void)dv_request_deny(request, reason, "");
    ngx_http_finalize_request(request->r, dv_access_deny(request));
    ngx_http_run_posted_requests(connection);
}

/* The timer also keeps a worker that shuts down from ending before this request. */
static void waited_long(ngx_event_t *event)
{
    dv_request *request = event->data;
    if (dv_pool_withdraw(request)) {
        deny_late(request, DV_REASON_OVERLOADED);
        return;
    }
    start_timer(request, waited_long, PATIENCE); /* it runs: that takes no more than a while */
}

static void advance(dv_request *request);

static void was_computed(dv_request *request)
{
    stop_timer(request);
    request->computed = true;
    advance(request);
}

/* A caller that goes away meanwhile is noticed. */
static ngx_int_t compute_in_thread(dv_request *request, void (*compute)(dv_work *work), bool begun)
{
    dv_work *work = &request->work;
    dv_body_prepare_work(request);
    work->effort = 0;
    if (work->bytes.len <= DV_WORK_LARGE && dv_work_own(work) != DV_OK) {
        request->verdict = (dv_verdict){0};
        (void)dv_request_deny(request, DV_REASON_INTERNAL, "");
        return NGX_ERROR;
    }
    if (!dv_pool_post(request, compute, was_computed, begun)) {
        request->verdict = (dv_verdict){0};
        (void)dv_request_deny(request, DV_REASON_OVERLOADED, "");
        return NGX_ERROR;
    }
    request->r->read_event_handler = ngx_http_test_reading;
    request->r->write_event_handler = ngx_http_request_empty_handler;
    start_timer(request, waited_long, PATIENCE);
    return NGX_AGAIN;
}

/* -- running ----------------------------------------------------------------------------------- */

/* False: a thread must, the body is too large or takes too long. */
static bool compute_at_once(dv_work *work, void (*compute)(dv_work *work))
{
    if (work->bytes.len <= DV_WORK_LARGE) {
        compute(work);
    }
    return work->bytes.len <= DV_WORK_LARGE && work->result != DV_ERR_AGAIN;
}

/* NGX_AGAIN: a thread computes, and the rest comes later. */
static ngx_int_t run_steps(dv_request *request)
{
    bool begun = false;
    for (; request->step < DV_ARRAY_LEN(steps); request->step++) {
        const step *next = &steps[request->step];
        if (next->compute != NULL && !request->computed) {
            dv_body_prepare_work(request);
            if (!compute_at_once(&request->work, next->compute)) {
                return compute_in_thread(request, next->compute, begun);
            }
        }
        begun = begun || request->computed;
        request->computed = false;
        if (!next->run(request)) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

/* Goes on with the phases, or denies. */
static void advance(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    switch (run_steps(request)) {
    case NGX_AGAIN:
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

static void body_was_read(ngx_http_request_t *r)
{
    dv_request *request = dv_request_get(r);
    stop_timer(request);
    request->body_bytes = chain_size(r->request_body != NULL ? r->request_body->bufs : NULL);
    advance(request);
}

/* nginx limits the time between two reads alone, so that a byte now and then would last. */
static void body_is_late(ngx_event_t *event)
{
    dv_request *request = event->data;
    request->r->keepalive = 0; /* what may still come is no request */
    deny_late(request, DV_REASON_BODY_TIMEOUT);
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
    if (rc == NGX_AGAIN) {
        start_timer(request, body_is_late, request->main->body_timeout);
    }
    ngx_http_finalize_request(r, NGX_DONE);
    return NGX_DONE;
}
