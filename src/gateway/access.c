/* SPDX-License-Identifier: Apache-2.0 */
/* The phase handler: everything that is decided before the body is read (DESIGN section 4, steps 1
 * to 3). Each step either lets the request go on or denies it; what no step allowed stays denied.
 */
#include "gateway/request.h"

static const dv_time PERMIT_HOLDS = 5 * DV_MILLISECOND;

/* A step's answer: false means denied, with the verdict set. */
typedef bool (*step)(dv_request *request);

bool dv_access_enter(dv_request *request)
{
    dv_worker *worker = &request->main->worker;
    dv_error error = {0};
    if (dv_worker_enter(worker, &error) == DV_OK) {
        return true;
    }
    if (error.message[0] != '\0') {
        ngx_log_error(NGX_LOG_ERR, request->r->connection->log, 0, "dvara: not ready: %s",
                      error.message);
    }
    return dv_request_deny(request, DV_REASON_NOT_READY, "");
}

static dv_slice raw_path(const ngx_http_request_t *r)
{
    dv_slice raw = dv_ngx_slice(r->unparsed_uri);
    ptrdiff_t mark = dv_slice_find_byte(raw, '?');
    return mark < 0 ? raw : dv_slice_sub(raw, 0, (size_t)mark);
}

/* nginx's own reading of the target must be the same one: what it leaves out of both, as it does
 * with a '#' and all behind, would be sent on unseen (RFC 9112 section 3.2.1: there is none). */
static bool check_path(dv_request *request)
{
    const ngx_http_request_t *r = request->r;
    dv_slice path = raw_path(r);
    dv_slice query = dv_slice_sub(dv_ngx_slice(r->unparsed_uri), path.len + 1, SIZE_MAX);
    if (!dv_api_path_is_normal(path) || !dv_slice_eq(path, dv_ngx_slice(r->uri)) ||
        !dv_slice_eq(query, dv_ngx_slice(r->args))) {
        return dv_request_deny(request, DV_REASON_BAD_PATH, "");
    }
    return true;
}

static const dv_target *find_target(const dv_main_conf *main, dv_slice name)
{
    const dv_target *targets = main->targets != NULL ? main->targets->elts : NULL;
    for (ngx_uint_t i = 0; targets != NULL && i < main->targets->nelts; i++) {
        if (dv_slice_eq(dv_ngx_slice(targets[i].name), name)) {
            return &targets[i];
        }
    }
    return NULL;
}

static bool find_route(dv_request *request)
{
    const ngx_http_request_t *r = request->r;
    unsigned method = dv_api_method_bit(dv_ngx_slice(r->method_name));
    request->route = dv_api_route_find(request->config->api, method, raw_path(r));
    if (request->route == NULL) {
        return dv_request_deny(request, DV_REASON_NO_ROUTE, "");
    }
    request->target = find_target(request->main, request->route->upstream);
    return request->target != NULL ||
           dv_request_deny(request, DV_REASON_NOT_READY, "the route's upstream is not loaded yet");
}

/* Upgrade would turn the connection into something that nobody inspects. */
static bool check_headers(dv_request *request)
{
    const ngx_http_request_t *r = request->r;
    if (r->headers_in.upgrade != NULL) {
        return dv_request_deny(request, DV_REASON_BAD_REQUEST, "Upgrade is not accepted");
    }
    return true;
}

static bool authenticate(dv_request *request)
{
    dv_api_presented presented = {0};
    dv_slice credential = {0};
    ngx_list_part_t *part = &request->r->headers_in.headers.part;
    for (; part != NULL; part = part->next) {
        const ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            dv_api_presented_add(&presented, dv_ngx_slice(headers[i].key),
                                 dv_ngx_slice(headers[i].value));
        }
    }
    if (dv_api_presented_get(&presented, &credential, &request->verdict) != DV_OK) {
        return false;
    }
    dv_worker *worker = &request->main->worker;
    dv_result result =
        dv_auth_gate_api_key(worker->auth, worker->snapshot, credential, dv_time_now(),
                             request->arena, &request->identity, &request->verdict);
    request->authenticated = result == DV_OK;
    return request->authenticated || dv_request_deny(request, DV_REASON_BAD_CREDENTIAL, "");
}

void dv_access_ask(dv_request *request, const dv_identity *identity, dv_slice resource,
                   dv_arena *arena, dv_verdict *ret_verdict)
{
    dv_worker *worker = &request->main->worker;
    dv_auth_request question = {
        .action = request->route->action,
        .resource = resource,
        .address = dv_ngx_slice(request->r->connection->addr_text),
        .now = dv_time_now(),
    };
    dv_verdict_reset(ret_verdict);
    dv_auth_gate_authorize(worker->auth, worker->snapshot, identity, &question, arena, ret_verdict);
}

/* Where the body names a model, that decision is the permit; here a policy that forbids the route,
 * or a key whose scopes leave it out, ends the request before its body is read. */
bool dv_access_authorize(dv_request *request)
{
    dv_verdict verdict;
    request->route_permitted = false;
    dv_access_ask(request, &request->identity, request->route->resource, request->arena, &verdict);
    if (verdict.decision == DV_ALLOW) {
        request->route_permitted = true;
        memcpy(request->route_policy, verdict.policy, sizeof(request->route_policy));
        request->route_others = verdict.others;
        request->route_unnamed = verdict.unnamed;
        return true;
    }
    if (request->route->protocol->has_model && verdict.reason == DV_REASON_NOT_PERMITTED) {
        return true;
    }
    request->verdict = verdict;
    return dv_request_deny(request, DV_REASON_NOT_PERMITTED, "");
}

/* All that was decided when the request came, with what is in force now. */
static void decide_again(dv_request *request, dv_time now, dv_arena *arena, dv_verdict *ret_verdict)
{
    dv_worker *worker = &request->main->worker;
    dv_identity identity;
    dv_verdict_reset(ret_verdict);
    if (dv_auth_gate_renew(worker->auth, worker->snapshot, &request->identity, now, arena,
                           &identity) != DV_OK) {
        dv_verdict_deny(ret_verdict, DV_REASON_BAD_CREDENTIAL,
                        "it was withdrawn while the answer ran");
        return;
    }
    request->identity.expires = identity.expires;
    dv_access_ask(request, &identity, request->route->resource, arena, ret_verdict);
    bool open = ret_verdict->decision == DV_ALLOW || ret_verdict->reason == DV_REASON_NOT_PERMITTED;
    if (open && request->route->protocol->has_model) {
        dv_access_ask(request, &identity, request->body.entity, arena, ret_verdict);
    }
}

/* The arena of the decision ends before the request does. */
static void keep_denial(dv_request *request, const dv_verdict *decided, dv_verdict *verdict)
{
    *verdict = *decided;
    if (dv_arena_copy(request->arena, decided->others, &verdict->others) != DV_OK) {
        verdict->others = (dv_slice){NULL, 0};
    }
}

bool dv_access_is_good(dv_request *request, dv_time now, dv_verdict *verdict)
{
    dv_worker *worker = &request->main->worker;
    if (worker->generation == request->generation && now < request->identity.expires) {
        return true;
    }
    dv_arena *arena = dv_worker_arena_get(worker);
    dv_verdict decided;
    request->generation = worker->generation;
    if (arena == NULL) {
        dv_verdict_deny(verdict, DV_REASON_INTERNAL, "%s", "");
        return false;
    }
    decide_again(request, now, arena, &decided);
    if (decided.decision != DV_ALLOW) {
        keep_denial(request, &decided, verdict);
    }
    dv_worker_arena_put(worker, arena);
    return decided.decision == DV_ALLOW;
}

bool dv_access_may_go_on(dv_request *request, dv_verdict *verdict)
{
    dv_worker *worker = &request->main->worker;
    if (dv_worker_enter(worker, NULL) != DV_OK) {
        dv_verdict_deny(verdict, DV_REASON_NOT_READY, "%s", "");
        return false;
    }
    bool good = dv_access_is_good(request, dv_time_now(), verdict);
    dv_worker_leave(worker);
    return good;
}

bool dv_access_is_fresh(const dv_request *request)
{
    return dv_time_monotonic() - request->permitted < PERMIT_HOLDS;
}

static bool decide_head(dv_request *request)
{
    static const step steps[] = {
        dv_limits_address, check_path,          find_route,       check_headers,
        authenticate,      dv_access_authorize, dv_limits_caller,
    };
    if (!dv_access_enter(request)) {
        return false;
    }
    request->config = dv_gate_config_ref(request->main->worker.config);
    bool allowed = true;
    for (size_t i = 0; allowed && i < DV_ARRAY_LEN(steps); i++) {
        allowed = steps[i](request);
    }
    request->generation = request->main->worker.generation;
    dv_worker_leave(&request->main->worker);
    return allowed;
}

ngx_int_t dv_access_deny(dv_request *request)
{
    ngx_http_request_t *r = request->r;
    r->expect_tested = 1; /* no 100 Continue before a denial */
    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }
    return dv_answer_denial(request, 0);
}

static ngx_int_t enter_gate(ngx_http_request_t *r)
{
    dv_request *request = dv_request_make(r, DV_MODE_GATE);
    if (request == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!decide_head(request)) {
        ngx_http_finalize_request(r, dv_access_deny(request));
        return NGX_DONE;
    }
    request->stage = DV_STAGE_BODY;
    return dv_body_read(request);
}

/* dvarad authenticates by itself; what could confuse it or nginx is kept away. */
static ngx_int_t enter_admin(ngx_http_request_t *r)
{
    dv_request *request = dv_request_get(r);
    if (request != NULL) {
        return NGX_DECLINED;
    }
    request = dv_request_make(r, DV_MODE_ADMIN);
    if (request == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!check_headers(request) || !check_path(request)) {
        ngx_http_finalize_request(r, dv_access_deny(request));
        return NGX_DONE;
    }
    return NGX_DECLINED;
}

ngx_int_t dv_access_handler(ngx_http_request_t *r)
{
    const dv_loc_conf *conf = ngx_http_get_module_loc_conf(r, ngx_http_dvara_module);
    if (conf->mode == DV_MODE_OFF) {
        return NGX_DECLINED;
    }
    const dv_main_conf *main = ngx_http_get_module_main_conf(r, ngx_http_dvara_module);
    if (main->runtime.len == 0) {
        return NGX_HTTP_SERVICE_UNAVAILABLE; /* `dvara gate` without `dvara_runtime` */
    }
    /* Nothing of ours redirects or makes subrequests; one that appears is not to be trusted. */
    if (r != r->main || r->internal) {
        return NGX_HTTP_FORBIDDEN;
    }
    if (conf->mode == DV_MODE_ADMIN) {
        return enter_admin(r);
    }
    const dv_request *request = dv_request_get(r);
    if (request == NULL) {
        return enter_gate(r);
    }
    if (request->stage == DV_STAGE_BODY) {
        return NGX_DONE; /* a stray event while the body is inspected */
    }
    return request->stage == DV_STAGE_FORWARD ? NGX_DECLINED : NGX_HTTP_FORBIDDEN;
}
