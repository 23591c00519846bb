/* SPDX-License-Identifier: Apache-2.0 */
/* The header and body filters: every answer passes here, ours, nginx's own and the upstream's
 * (DESIGN section 4, steps 7 and 8). */
#include "gateway/request.h"

#include "base/caps.h"
#include "base/codec.h"

enum {
    SWALLOW_MAX = 1 << 20, /* of an answer that was denied, before its upstream is cut off */
    HELD_BUFFERED = 0x80,  /* a bit of connection->buffered that nginx does not use */
};

static ngx_http_output_header_filter_pt next_header_filter;
static ngx_http_output_body_filter_pt next_body_filter;

ngx_int_t dv_filter_next_header(ngx_http_request_t *r)
{
    return next_header_filter(r);
}

ngx_int_t dv_filter_next_body(ngx_http_request_t *r, ngx_chain_t *chain)
{
    return next_body_filter(r, chain);
}

/* -- denials ----------------------------------------------------------------------------------- */

static ngx_int_t deny(dv_request *request, dv_reason reason, int status, const char *detail)
{
    request->answer_verdict = (dv_verdict){0};
    dv_verdict_deny(&request->answer_verdict, reason, "%s", detail);
    return dv_answer_denial(request, status);
}

/* What nginx itself refused, as a reason of ours. */
static dv_reason reason_of(ngx_uint_t status)
{
    switch (status) {
    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return DV_REASON_BODY_TOO_LARGE;
    case NGX_HTTP_BAD_GATEWAY:
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return DV_REASON_UPSTREAM;
    case NGX_HTTP_NOT_IMPLEMENTED:
    case NGX_HTTP_VERSION_NOT_SUPPORTED:
        return DV_REASON_BAD_REQUEST;
    default:
        return status < NGX_HTTP_INTERNAL_SERVER_ERROR ? DV_REASON_BAD_REQUEST : DV_REASON_INTERNAL;
    }
}

static ngx_int_t replace_error(dv_request *request)
{
    ngx_uint_t status = request->r->headers_out.status;
    switch (status) {
    case NGX_HTTP_REQUEST_URI_TOO_LARGE:
        return deny(request, DV_REASON_BAD_REQUEST, 414, "the URI is too long");
    case NGX_HTTP_NOT_ALLOWED:
        return deny(request, DV_REASON_BAD_REQUEST, 405, "the method is not accepted");
    case NGX_HTTP_BAD_REQUEST:
        return deny(request, DV_REASON_BAD_REQUEST, 0, "its line or header fields");
    default:
        return deny(request, reason_of(status), (int)status, "");
    }
}

/* -- the head of an upstream's answer ---------------------------------------------------------- */

static void drop_header(ngx_table_elt_t **header)
{
    if (*header != NULL) {
        (*header)->hash = 0;
        *header = NULL;
    }
}

/* Headers that a model server may say to a caller; the others could carry what nobody inspects, or
 * steer the caller's client. A '*' stands for the rest of a name. */
static const char *const known_headers[] = {
    "content-type", "cache-control", "retry-after",   "content-language",
    "openai-*",     "anthropic-*",   "x-ratelimit-*", "x-should-retry",
};

static bool is_known_header(dv_slice name)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(known_headers); i++) {
        dv_slice known = dv_slice_str(known_headers[i]);
        bool rest = known.ptr[known.len - 1] == '*';
        known.len -= rest;
        if (dv_slice_eq_nocase(rest ? dv_slice_sub(name, 0, known.len) : name, known)) {
            return true;
        }
    }
    return false;
}

/* A header can't be rewritten; one in which the answer's policy finds something is dropped. */
static bool is_clean(dv_request *request, dv_slice value)
{
    dv_data_outcome outcome = {0};
    dv_verdict verdict;
    const dv_data_policy *policy = request->answer_policy;
    if (value.len == 0) {
        return true;
    }
    dv_verdict_reset(&verdict);
    dv_verdict_allow(&verdict, "");
    return dv_utf8_valid(value) &&
           dv_data_gate_text(request->main->worker.data, policy, request->context, true, value,
                             request->arena, &outcome, &verdict) == DV_OK &&
           verdict.decision == DV_ALLOW && !outcome.changed;
}

static void drop_headers(dv_request *request)
{
    ngx_list_part_t *part = &request->r->headers_out.headers.part;
    for (; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (!is_known_header(dv_ngx_slice(headers[i].key)) ||
                !is_clean(request, dv_ngx_slice(headers[i].value))) {
                headers[i].hash = 0;
            }
        }
    }
}

/* A rewritten answer has other bytes than these speak of. */
static void drop_validators(ngx_http_request_t *r)
{
    drop_header(&r->headers_out.etag);
    drop_header(&r->headers_out.content_range);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_content_length(r);
    r->allow_ranges = 0;
    r->disable_not_modified = 1;
}

static bool is_encoded(const ngx_http_request_t *r)
{
    const ngx_table_elt_t *encoding = r->headers_out.content_encoding;
    return encoding != NULL && encoding->value.len > 0 &&
           !dv_slice_eq_nocase(dv_ngx_slice(encoding->value), DV_LIT("identity"));
}

static bool has_no_body(const ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_HEAD || r->headers_out.status == NGX_HTTP_NO_CONTENT ||
           r->headers_out.content_length_n == 0;
}

static ngx_int_t unreadable(dv_request *request, const char *detail)
{
    return deny(request, DV_REASON_ANSWER_UNREADABLE, 0, detail);
}

/* An answer without a body: its close record stands before its head. */
static ngx_int_t send_bodiless(dv_request *request)
{
    request->stage = DV_STAGE_PASS;
    if (dv_record_close(request, (int)request->r->headers_out.status, false) != DV_OK) {
        return deny(request, DV_REASON_AUDIT_UNAVAILABLE, 0, "");
    }
    return next_header_filter(request->r);
}

static ngx_int_t hold(dv_request *request, bool text)
{
    off_t length = request->r->headers_out.content_length_n;
    if (length > DV_LIMIT_ANSWER_DEFAULT) {
        return unreadable(request, "it is too large");
    }
    dv_worker_held_get(&request->main->worker, &request->held);
    if (length > 0 && dv_buf_reserve(&request->held, (size_t)length) != DV_OK) {
        return deny(request, DV_REASON_INTERNAL, 0, "");
    }
    request->stage = DV_STAGE_HELD;
    request->work.text = text;
    drop_validators(request->r);
    return NGX_OK;
}

static ngx_int_t inspect_head(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    dv_slice type = dv_ngx_slice(r->headers_out.content_type);
    r->filter_need_in_memory = 1;
    if (!is_clean(request, type)) {
        return unreadable(request, "its content type is not known");
    }
    if (dv_api_type_is_json(type)) {
        return hold(request, false);
    }
    if (dv_api_type_is(type, "text/event-stream")) {
        drop_validators(r);
        return dv_stream_begin(request);
    }
    if (dv_api_type_is_text(type) || request->route->protocol->form) {
        return hold(request, true);
    }
    return unreadable(request, "its content type is not known");
}

static ngx_int_t answer_head(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    ngx_uint_t status = r->headers_out.status;
    if (r->http_version != request->http_version) {
        r->http_version = request->http_version;
        return deny(request, DV_REASON_UPSTREAM, 0, "it does not speak HTTP/1.1");
    }
    request->upstream_status = (int)status;
    request->upstream_head = dv_time_monotonic() - request->forwarded;
    if (status < NGX_HTTP_OK || status == NGX_HTTP_PARTIAL_CONTENT || r->upstream->upgrade) {
        return unreadable(request, "its status is not one that was asked for");
    }
    if (status >= NGX_HTTP_SPECIAL_RESPONSE && status < NGX_HTTP_BAD_REQUEST) {
        return deny(request, DV_REASON_UPSTREAM, 0, "it sent a redirect");
    }
    ngx_str_null(&r->headers_out.status_line); /* the upstream's own text */
    bool inspected = request->route->answer_policy >= 0;
    bool encoded = is_encoded(r);
    if (inspected) {
        drop_headers(request);
    }
    if (dv_answer_headers(request) != NGX_OK) {
        return NGX_ERROR;
    }
    if (has_no_body(r)) {
        return send_bodiless(request);
    }
    if (inspected) {
        return encoded ? unreadable(request, "it is encoded") : inspect_head(request);
    }
    /* In chunks, so that the answer's end is not told by a length before its record is written. */
    ngx_http_clear_content_length(r);
    request->stage = DV_STAGE_PASS;
    return next_header_filter(r);
}

static dv_mode mode_of(ngx_http_request_t *r)
{
    const dv_main_conf *main = ngx_http_get_module_main_conf(r, ngx_http_dvara_module);
    const dv_loc_conf *conf = ngx_http_get_module_loc_conf(r, ngx_http_dvara_module);
    if (conf->mode != DV_MODE_OFF) {
        return (dv_mode)conf->mode;
    }
    /* Refused before a location was found. */
    return main->runtime.len > 0 ? DV_MODE_GATE : DV_MODE_OFF;
}

static ngx_int_t header_filter(ngx_http_request_t *r)
{
    dv_mode mode = mode_of(r);
    if (mode == DV_MODE_OFF) {
        return next_header_filter(r);
    }
    if (r != r->main) {
        return NGX_ERROR;
    }
    dv_request *request = dv_request_get(r);
    if (request == NULL && (request = dv_request_make(r, mode)) == NULL) {
        return NGX_ERROR;
    }
    if (request->stage == DV_STAGE_DONE) {
        return NGX_ERROR; /* we answered already */
    }
    if (r->err_status != 0 || r->upstream == NULL) {
        return replace_error(request);
    }
    if (request->mode == DV_MODE_ADMIN) {
        request->stage = DV_STAGE_PASS; /* dvarad gives its own request id */
        return next_header_filter(r);
    }
    return request->stage == DV_STAGE_FORWARD ? answer_head(request) : NGX_ERROR;
}

/* -- the body ---------------------------------------------------------------------------------- */

/* Marks buffers as read, so that the upstream's reader goes on. Returns their bytes. */
static size_t consume(ngx_chain_t *in, bool *ret_last)
{
    size_t bytes = 0;
    for (; in != NULL; in = in->next) {
        bytes += (size_t)ngx_buf_size(in->buf);
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
        *ret_last = *ret_last || in->buf->last_buf;
    }
    return bytes;
}

/* What comes after our own answer. */
static ngx_int_t swallow(dv_request *request, ngx_chain_t *in)
{
    bool last = false;
    if (in == NULL) {
        return next_body_filter(request->r, NULL);
    }
    request->swallowed += consume(in, &last);
    return request->swallowed > SWALLOW_MAX ? NGX_ERROR : NGX_OK;
}

/* The upstream's connection is closed and its end never came: nginx flushes instead of ending. */
static bool was_cut_off(const dv_request *request, const ngx_chain_t *in)
{
    for (; in != NULL; in = in->next) {
        if (in->buf->flush && ngx_buf_special(in->buf) && !in->buf->last_buf &&
            request->r->upstream->cleanup == NULL) {
            return true;
        }
    }
    return false;
}

static dv_result gather(dv_request *request, ngx_chain_t *in)
{
    for (; in != NULL; in = in->next) {
        if (ngx_buf_in_memory(in->buf)) {
            DV_TRY(dv_buf_append(&request->held,
                                 dv_slice_of(in->buf->pos, (size_t)ngx_buf_size(in->buf))));
        }
    }
    return DV_OK;
}

static ngx_int_t send_held(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    dv_slice body = request->answer.body;
    ngx_buf_t *buffer = ngx_calloc_buf(r->pool);
    if (buffer == NULL) {
        return NGX_ERROR;
    }
    request->answer_bytes = body.len;
    if (dv_record_close(request, (int)r->headers_out.status, false) != DV_OK) {
        return deny(request, DV_REASON_AUDIT_UNAVAILABLE, 0, "");
    }
    request->stage = DV_STAGE_DONE;
    r->headers_out.content_length_n = (off_t)body.len;
    ngx_int_t rc = next_header_filter(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    buffer->start = buffer->pos = (u_char *)body.ptr;
    buffer->end = buffer->last = buffer->pos + body.len;
    buffer->memory = body.len > 0;
    buffer->last_buf = 1;
    buffer->last_in_chain = 1;
    ngx_chain_t chain = {buffer, NULL};
    return next_body_filter(r, &chain);
}

static ngx_int_t answer_held(dv_request *request)
{
    const dv_work *work = &request->work;
    request->answer = work->outcome;
    request->input_tokens = work->input_tokens;
    request->output_tokens = work->output_tokens;
    request->text_bytes = work->text_bytes;
    if (!dv_access_is_fresh(request) && !dv_access_may_go_on(request, &request->answer_verdict)) {
        return dv_answer_denial(request, 0);
    }
    if (work->verdict.decision != DV_ALLOW) {
        return deny(request, DV_REASON_ANSWER_BLOCKED, 0, work->verdict.detail);
    }
    if (work->result != DV_OK) {
        return unreadable(request, work->text ? "it is no UTF-8 text" : "it is no valid JSON");
    }
    if (!dv_volume_answer(request, work->outcome.values, &request->answer_verdict)) {
        return dv_answer_denial(request, 0);
    }
    return send_held(request);
}

/* nginx waits for what is buffered, and then for its writer to be called. */
static void was_inspected(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    r->connection->buffered &= ~HELD_BUFFERED;
    if (answer_held(request) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }
    r->write_event_handler(r);
}

static ngx_int_t finish_held(dv_request *request)
{
    dv_work *work = &request->work;
    dv_body_prepare_work(request);
    work->bytes = dv_buf_slice(&request->held);
    work->input_tokens = -1;
    work->output_tokens = -1;
    if (work->bytes.len <= DV_WORK_LARGE) {
        dv_work_answer(work);
    }
    if (work->bytes.len <= DV_WORK_LARGE && work->result != DV_ERR_AGAIN) {
        return answer_held(request);
    }
    dv_body_prepare_work(request);
    work->effort = 0;
    if (!dv_pool_post(request, dv_work_answer, was_inspected, true)) {
        return deny(request, DV_REASON_INTERNAL, 0, "");
    }
    request->r->connection->buffered |= HELD_BUFFERED;
    return NGX_AGAIN;
}

static ngx_int_t hold_body(dv_request *request, ngx_chain_t *in)
{
    bool last = false;
    bool cut_off = was_cut_off(request, in);
    dv_result result = gather(request, in);
    (void)consume(in, &last);
    if (result != DV_OK) {
        ngx_int_t rc = unreadable(request, "it is too large");
        return rc == NGX_OK ? NGX_ERROR : rc; /* ends the upstream's connection */
    }
    if (cut_off) {
        return deny(request, DV_REASON_UPSTREAM, 0, "its answer was cut off");
    }
    return last ? finish_held(request) : NGX_OK;
}

static bool has_last(const ngx_chain_t *in)
{
    for (; in != NULL; in = in->next) {
        if (in->buf->last_buf) {
            return true;
        }
    }
    return false;
}

static ngx_int_t pass_body(dv_request *request, ngx_chain_t *in)
{
    for (ngx_chain_t *link = in; link != NULL; link = link->next) {
        request->answer_bytes += (uint64_t)ngx_buf_size(link->buf);
    }
    if (has_last(in) &&
        dv_record_close(request, (int)request->r->headers_out.status, false) != DV_OK) {
        return NGX_ERROR;
    }
    return next_body_filter(request->r, in);
}

static ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    dv_request *request = dv_request_get(r);
    if (request == NULL) {
        return mode_of(r) == DV_MODE_OFF ? next_body_filter(r, in) : NGX_ERROR;
    }
    switch (request->stage) {
    case DV_STAGE_DONE:
        return swallow(request, in);
    case DV_STAGE_HELD:
        return hold_body(request, in);
    case DV_STAGE_STREAM:
        return dv_stream_filter(request, in);
    case DV_STAGE_PASS:
        return pass_body(request, in);
    case DV_STAGE_NEW:
    case DV_STAGE_BODY:
    case DV_STAGE_FORWARD:
        break;
    }
    /* Nothing may be sent before a head was. */
    return in == NULL ? next_body_filter(r, NULL) : NGX_ERROR;
}

ngx_int_t dv_filter_init(ngx_conf_t *cf)
{
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
    return NGX_OK;
}
