/* SPDX-License-Identifier: Apache-2.0 */
/* What comes over the network and gets no records of a request: handshakes that fail, heads that
 * never end, and what is refused at the admin listener before dvarad is asked. The log is told
 * here, by the same measure as refusals. (What the gate answers has an id and records, also when
 * nginx refused it: filter.c.) */
#include "gateway/request.h"

/* nginx leaves in the connection's log what it was about to do. */
static bool is_in_handshake(const ngx_connection_t *connection)
{
    const char *action = connection->log != NULL ? connection->log->action : NULL;
    return action != NULL && strcmp(action, "SSL handshaking") == 0;
}

void dv_network_connection_ended(dv_main_conf *main, ngx_connection_t *connection)
{
    /* One that was closed without a word, as a health check does, is no failure. */
    if (connection->requests != 0 || !is_in_handshake(connection)) {
        return;
    }
    if (connection->read->error) {
        dv_overload_network(main, connection, DV_NETWORK_TLS, 0);
    } else if (connection->read->timedout) {
        dv_overload_network(main, connection, DV_NETWORK_TLS_TIMEOUT, 0);
    }
}

static bool is_plaintext_on_tls(const ngx_http_request_t *r)
{
    return r->http_connection->ssl && r->connection->ssl == NULL;
}

/* The largest of the buffers for a head was full. */
static bool is_head_full(const ngx_http_request_t *r)
{
    return r->header_in != NULL && r->header_in->last == r->header_in->end;
}

static dv_network_reason reason_of(const ngx_http_request_t *r, ngx_uint_t status)
{
    switch (status) {
    case NGX_HTTP_REQUEST_TIME_OUT:
        return DV_NETWORK_TIMEOUT;
    case NGX_HTTP_REQUEST_URI_TOO_LARGE:
        return DV_NETWORK_TOO_LONG;
    case NGX_HTTP_FORBIDDEN:
        return DV_NETWORK_ADDRESS;
    case NGX_HTTP_BAD_REQUEST:
        return r->connection->error     ? DV_NETWORK_CUT
               : is_plaintext_on_tls(r) ? DV_NETWORK_PLAINTEXT
               : is_head_full(r)        ? DV_NETWORK_TOO_LONG
                                        : DV_NETWORK_MALFORMED;
    default:
        return DV_NETWORK_OTHER;
    }
}

static bool is_unrecorded(ngx_http_request_t *r)
{
    const dv_request *request = dv_request_get(r);
    return request == NULL || (request->mode == DV_MODE_ADMIN && request->stage == DV_STAGE_DONE);
}

/* Every request comes by here at its end. */
static ngx_int_t on_log(ngx_http_request_t *r)
{
    dv_main_conf *main = ngx_http_get_module_main_conf(r, ngx_http_dvara_module);
    ngx_uint_t status = r->err_status != 0 ? r->err_status : r->headers_out.status;
    bool refused = status >= NGX_HTTP_BAD_REQUEST && status < NGX_HTTP_INTERNAL_SERVER_ERROR;
    if (refused && main->runtime.len != 0 && r == r->main && is_unrecorded(r)) {
        dv_overload_network(main, r->connection, reason_of(r, status), (int)status);
    }
    return NGX_OK;
}

ngx_int_t dv_network_init(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *handler = ngx_array_push(&core->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }
    *handler = on_log;
    return NGX_OK;
}
