/* SPDX-License-Identifier: Apache-2.0 */
/* What the gate answers by itself, and the headers that every answer gets. */
#include "gateway/request.h"

#include "base/codec.h"

enum { DENIAL_MAX = 8 << 10 };

ngx_int_t dv_answer_header(ngx_http_request_t *r, const char *name, dv_slice value)
{
    ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
    u_char *copy = ngx_pnalloc(r->pool, value.len + 1);
    if (header == NULL || copy == NULL) {
        return NGX_ERROR;
    }
    memcpy(copy, value.ptr, value.len);
    *header = (ngx_table_elt_t){
        .hash = 1,
        .key = {strlen(name), (u_char *)name},
        .value = {value.len, copy},
    };
    return NGX_OK;
}

ngx_int_t dv_answer_headers(dv_request *request)
{
    /* A Server header that is set, but not in the list, keeps nginx from adding its own. */
    static ngx_table_elt_t no_server;
    request->r->headers_out.server = &no_server;
    dv_slice id = dv_slice_of(request->id, DV_UUID_TEXT_LEN);
    if (dv_answer_header(request->r, "x-request-id", id) != NGX_OK) {
        return NGX_ERROR;
    }
    /* Where Anthropic's clients look for it. */
    if (dv_request_shape(request) == DV_SHAPE_ANTHROPIC &&
        dv_answer_header(request->r, "request-id", id) != NGX_OK) {
        return NGX_ERROR;
    }
    return dv_limits_headers(request);
}

static const dv_verdict *denial_of(const dv_request *request)
{
    return request->answer_verdict.reason != DV_REASON_UNSET ? &request->answer_verdict
                                                             : &request->verdict;
}

/* Of a refusal by a rule on volume; limits tell their own. */
static ngx_int_t add_retry_after(dv_request *request)
{
    char room[DV_DECIMAL_MAX];
    uint64_t seconds = dv_volume_retry_after(request);
    return seconds == 0
               ? NGX_OK
               : dv_answer_header(request->r, "Retry-After", dv_decimal_write(seconds, room));
}

static ngx_int_t send_head(dv_request *request, int status, size_t length)
{
    ngx_http_request_t *r = request->r;
    ngx_http_clean_header(r);
    r->headers_out.status = (ngx_uint_t)status;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_length_n = (off_t)length;
    /* RFC 9110 section 11.6.1: a 401 names the scheme. */
    if (status == NGX_HTTP_UNAUTHORIZED &&
        dv_answer_header(r, "WWW-Authenticate", DV_LIT("Bearer realm=\"dvara\"")) != NGX_OK) {
        return NGX_ERROR;
    }
    if (add_retry_after(request) != NGX_OK || dv_answer_headers(request) != NGX_OK) {
        return NGX_ERROR;
    }
    return dv_filter_next_header(r);
}

static ngx_int_t send_body(dv_request *request, dv_slice text)
{
    ngx_http_request_t *r = request->r;
    ngx_buf_t *buffer = ngx_create_temp_buf(r->pool, text.len);
    if (buffer == NULL) {
        return NGX_ERROR;
    }
    buffer->last = ngx_cpymem(buffer->last, text.ptr, text.len);
    buffer->last_buf = 1;
    buffer->last_in_chain = 1;
    ngx_chain_t chain = {buffer, NULL};
    return dv_filter_next_body(r, &chain);
}

ngx_int_t dv_answer_denial(dv_request *request, int status)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DENIAL_MAX);
    dv_api_denial denial = {
        .verdict = denial_of(request),
        .status = status,
        .param = request->param,
        .request_id = request->id,
    };
    status = status != 0 ? status : dv_reason_status(denial.verdict->reason);
    request->stage = DV_STAGE_DONE;
    if (dv_api_denial_render(&denial, dv_request_shape(request), &text) != DV_OK) {
        return NGX_ERROR;
    }
    request->answer_bytes = text.len;
    dv_record_denial(request, status);
    ngx_int_t rc = send_head(request, status, text.len);
    if (rc == NGX_ERROR || rc > NGX_OK || request->r->header_only) {
        return rc;
    }
    return send_body(request, dv_buf_slice(&text));
}
