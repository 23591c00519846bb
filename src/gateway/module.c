/* SPDX-License-Identifier: Apache-2.0 */
/* Directives, variables and the life of a worker. */
#include "gateway/request.h"

#include "base/caps.h"
#include "base/crash.h"
#include "crypto/random.h"

#include <sys/prctl.h>

static ngx_conf_enum_t modes[] = {
    {ngx_string("off"), DV_MODE_OFF},
    {ngx_string("gate"), DV_MODE_GATE},
    {ngx_string("admin"), DV_MODE_ADMIN},
    {ngx_null_string, 0},
};

/* dvara_upstream NAME SCHEME HOST TLS_NAME BASE; */
static char *set_upstream(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    dv_main_conf *main = conf;
    ngx_str_t *value = cf->args->elts;
    if (main->targets == NULL) {
        main->targets = ngx_array_create(cf->pool, 4, sizeof(dv_target));
    }
    dv_target *target = main->targets != NULL ? ngx_array_push(main->targets) : NULL;
    if (target == NULL) {
        return NGX_CONF_ERROR;
    }
    *target = (dv_target){value[1], value[2], value[3], value[4], value[5]};
    return NGX_CONF_OK;
}

/* dvara_connections AT_ONCE A_SECOND; */
static char *set_connections(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    dv_main_conf *main = conf;
    ngx_str_t *value = cf->args->elts;
    ngx_int_t at_once = ngx_atoi(value[1].data, value[1].len);
    ngx_int_t a_second = ngx_atoi(value[2].data, value[2].len);
    if (at_once < 0 || a_second < 0) {
        return "wants two numbers";
    }
    main->connections = (ngx_uint_t)at_once;
    main->new_connections = (ngx_uint_t)a_second;
    return NGX_CONF_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("dvara"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, ngx_conf_set_enum_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(dv_loc_conf, mode), modes},
    {ngx_string("dvara_runtime"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(dv_main_conf, runtime), NULL},
    {ngx_string("dvara_spool"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(dv_main_conf, spool), NULL},
    {ngx_string("dvara_counters"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_str_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(dv_main_conf, counters), NULL},
    {ngx_string("dvara_body_timeout"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_msec_slot,
     NGX_HTTP_MAIN_CONF_OFFSET, offsetof(dv_main_conf, body_timeout), NULL},
    {ngx_string("dvara_connections"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, set_connections,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("dvara_recorded_refusals"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
     ngx_conf_set_num_slot, NGX_HTTP_MAIN_CONF_OFFSET, offsetof(dv_main_conf, recorded_refusals),
     NULL},
    {ngx_string("dvara_upstream"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, set_upstream,
     NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    ngx_null_command,
};

static void *create_main_conf(ngx_conf_t *cf)
{
    dv_main_conf *conf = ngx_pcalloc(cf->pool, sizeof(dv_main_conf));
    if (conf != NULL) {
        conf->body_timeout = NGX_CONF_UNSET_MSEC;
        conf->recorded_refusals = NGX_CONF_UNSET_UINT;
    }
    return conf;
}

static char *init_main_conf(ngx_conf_t *cf, void *data)
{
    dv_main_conf *conf = data;
    ngx_conf_init_uint_value(conf->recorded_refusals, 0);
    ngx_conf_init_msec_value(conf->body_timeout, DV_LIMIT_BODY_SECONDS * 1000);
    return NGX_CONF_OK;
}

static void *create_loc_conf(ngx_conf_t *cf)
{
    dv_loc_conf *conf = ngx_pcalloc(cf->pool, sizeof(*conf));
    if (conf != NULL) {
        conf->mode = NGX_CONF_UNSET_UINT;
    }
    return conf;
}

static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    dv_loc_conf *previous = parent;
    dv_loc_conf *conf = child;
    ngx_conf_merge_uint_value(conf->mode, previous->mode, DV_MODE_OFF);
    return NGX_CONF_OK;
}

dv_request *dv_request_get(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r->main, ngx_http_dvara_module);
}

static void request_end(void *data)
{
    dv_request *request = data;
    if (request->timer.timer_set) {
        ngx_del_timer(&request->timer);
    }
    dv_stream_unwatch(request);
    if (request->turn.posted) {
        ngx_delete_posted_event(&request->turn);
    }
    dv_pool_abandon(request);
    dv_work_release(&request->work);
    if (request->opened && !request->closed) {
        /* Nothing more can be done here when it fails: dvara-logd sees an open record alone. */
        if (dv_record_close(request, (int)request->r->headers_out.status, true) != DV_OK) {
            ngx_log_error(NGX_LOG_CRIT, request->r->connection->log, 0,
                          "dvara: the close record of %s can not be written", request->id);
        }
    }
    dv_limits_settle(request, true);
    dv_limits_release(request);
    dv_worker_held_put(&request->main->worker, &request->held);
    if (request->main->worker.spool != NULL) {
        dv_spool_get_ready(request->main->worker.spool);
    }
    dv_gate_config_unref(request->config);
    dv_worker_arena_put(&request->main->worker, request->arena);
}

dv_request *dv_request_make(ngx_http_request_t *r, dv_mode mode)
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);
    dv_request *request = ngx_palloc(r->pool, sizeof(*request));
    if (cleanup == NULL || request == NULL) {
        return NULL;
    }
    memset(request, 0, offsetof(dv_request, verdict));
    dv_verdict_reset(&request->verdict);
    dv_verdict_reset(&request->answer_verdict);
    request->r = r;
    request->main = ngx_http_get_module_main_conf(r, ngx_http_dvara_module);
    request->mode = mode;
    request->http_version = r->http_version;
    request->time = dv_time_now();
    request->began = dv_time_monotonic();
    request->upstream_head = -1;
    request->input_tokens = -1;
    request->output_tokens = -1;
    request->body = (dv_api_body){.max_tokens = -1, .choices = 1, .prompts = 1};
    request->work.file = -1;
    request->held = dv_buf_init(DV_LIMIT_ANSWER_DEFAULT);
    request->arena = dv_worker_arena_get(&request->main->worker);
    if (request->arena == NULL) {
        return NULL; /* before anybody can find it: a request without an arena is none */
    }
    dv_uuid uuid = dv_uuid_new(request->time);
    dv_uuid_format(&uuid, request->id);
    cleanup->handler = request_end;
    cleanup->data = request;
    ngx_http_set_ctx(r, request, ngx_http_dvara_module);
    return request;
}

dv_api_shape dv_request_shape(const dv_request *request)
{
    return request->route != NULL ? request->route->protocol->shape : DV_SHAPE_OPENAI;
}

static ngx_int_t set_value(ngx_http_variable_value_t *value, dv_slice text)
{
    value->valid = 1;
    value->no_cacheable = 1;
    value->not_found = 0;
    value->len = (unsigned)text.len;
    value->data = (u_char *)text.ptr;
    return NGX_OK;
}

/* data: the offset of a text in dv_target. */
static ngx_int_t get_target_text(ngx_http_request_t *r, ngx_http_variable_value_t *value,
                                 uintptr_t data)
{
    const dv_request *request = dv_request_get(r);
    if (request == NULL || request->target == NULL) {
        return set_value(value, DV_LIT(""));
    }
    const ngx_str_t *text = (const ngx_str_t *)((const char *)request->target + data);
    return set_value(value, dv_ngx_slice(*text));
}

static ngx_int_t get_fields(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t data)
{
    const dv_request *request = dv_request_get(r);
    return set_value(value, request != NULL ? request->fields : DV_LIT(""));
}

/* Where proxy_pass goes. Empty unless every step allowed it: nginx then fails with 500. */
static ngx_int_t get_target(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t data)
{
    const dv_request *request = dv_request_get(r);
    if (request == NULL || request->stage != DV_STAGE_FORWARD || !request->opened ||
        request->verdict.decision != DV_ALLOW) {
        return set_value(value, DV_LIT(""));
    }
    const dv_target *target = request->target;
    const dv_slice parts[] = {
        dv_ngx_slice(target->scheme), DV_LIT("://dvara_to_"),        dv_ngx_slice(target->name),
        dv_ngx_slice(target->base),   dv_ngx_slice(r->unparsed_uri),
    };
    dv_slice url = {0};
    return dv_arena_concat(request->arena, parts, DV_ARRAY_LEN(parts), &url) == DV_OK
               ? set_value(value, url)
               : NGX_ERROR;
}

static ngx_http_variable_t variables[] = {
    {ngx_string("dvara_target"), NULL, get_target, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("dvara_upstream_fields"), NULL, get_fields, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("dvara_upstream_name"), NULL, get_target_text, offsetof(dv_target, tls_name),
     NGX_HTTP_VAR_NOCACHEABLE, 0},
};

static ngx_int_t preconfiguration(ngx_conf_t *cf)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(variables); i++) {
        ngx_http_variable_t *variable =
            ngx_http_add_variable(cf, &variables[i].name, variables[i].flags);
        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = variables[i].get_handler;
        variable->data = variables[i].data;
    }
    return NGX_OK;
}

/* The phase before `access`, so that no `satisfy any` can go around it. */
static ngx_int_t postconfiguration(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *handler = ngx_array_push(&core->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }
    *handler = dv_access_handler;
    return dv_network_init(cf) == NGX_OK ? dv_filter_init(cf) : NGX_ERROR;
}

static dv_main_conf *main_conf_of(ngx_cycle_t *cycle)
{
    return ngx_get_conf(cycle->conf_ctx, ngx_http_module) != NULL
               ? ngx_http_cycle_get_module_main_conf(cycle, ngx_http_dvara_module)
               : NULL;
}

static bool serves_requests(void)
{
    return ngx_process == NGX_PROCESS_WORKER || ngx_process == NGX_PROCESS_SINGLE;
}

/* A worker ends with its master. */
static bool follow_master(void)
{
    return ngx_process != NGX_PROCESS_WORKER || prctl(PR_SET_PDEATHSIG, SIGTERM) == 0;
}

/* The master ended before the signal was asked for. */
static bool is_orphan(void)
{
    return ngx_process == NGX_PROCESS_WORKER && getppid() != ngx_parent;
}

static void free_detectors(void *data)
{
    dv_data_detectors_free(data);
}

/* In the master, before it forks: each worker, also one that stands in for another that died, has
 * the detectors at once, and all of them hold their memory together. Where that fails each makes
 * its own, and says why it can't: an error here would end a master that serves already. */
static ngx_int_t init_module(ngx_cycle_t *cycle)
{
    dv_main_conf *main = main_conf_of(cycle);
    if (main == NULL || main->runtime.len == 0 || ngx_test_config) {
        return NGX_OK;
    }
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cycle->pool, 0);
    dv_error error = {0};
    if (cleanup == NULL || dv_data_detectors_new(&main->detectors, &error) != DV_OK) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "dvara: the detectors can not be made beforehand: %s", error.message);
        return NGX_OK;
    }
    cleanup->handler = free_detectors;
    cleanup->data = main->detectors;
    return NGX_OK;
}

static ngx_int_t init_process(ngx_cycle_t *cycle)
{
    dv_main_conf *main = main_conf_of(cycle);
    if (main == NULL || main->runtime.len == 0 || !serves_requests()) {
        return NGX_OK;
    }
    ngx_queue_init(&main->requests);
    dv_stream_watch_init(main);
    dv_worker_paths paths = {(const char *)main->runtime.data, (const char *)main->spool.data,
                             (const char *)main->counters.data};
    /* No core dump or debugger may see keys and prompts; no worker outlives its master, whose port
     * and rules it would keep. */
    if (dv_process_undumpable() != DV_OK || !follow_master()) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "dvara: the worker can not be sealed off");
        return NGX_ERROR;
    }
    if (is_orphan()) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0, "dvara: the worker's master is gone");
        return NGX_ERROR;
    }
    dv_crash_watch("nginx");
    (void)signal(SIGXFSZ, SIG_IGN); /* a spool that may not grow is an error, not the end */
    dv_worker_init(&main->worker, &paths, main->detectors);
    dv_overload_init(main, cycle);
    dv_limits_init(main, cycle);
    if (dv_pool_init(&main->pool, cycle) != NGX_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "dvara: there is no `thread_pool dvara`");
        return NGX_ERROR;
    }
    dv_error error = {0};
    if (dv_worker_enter(&main->worker, &error) != DV_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "dvara: not ready yet: %s", error.message);
        return NGX_OK;
    }
    dv_worker_leave(&main->worker);
    return NGX_OK;
}

/* What is still open when the worker ends was aborted, and the log says so. */
static void exit_process(ngx_cycle_t *cycle)
{
    dv_main_conf *main = main_conf_of(cycle);
    if (main == NULL || main->runtime.len == 0 || !serves_requests()) {
        return;
    }
    while (!ngx_queue_empty(&main->requests)) {
        dv_request *request = ngx_queue_data(ngx_queue_head(&main->requests), dv_request, link);
        if (dv_record_close(request, (int)request->r->headers_out.status, true) != DV_OK) {
            ngx_log_error(NGX_LOG_CRIT, cycle->log, 0,
                          "dvara: the close record of %s can not be written", request->id);
        }
    }
    dv_overload_release(main);
    dv_pool_release(&main->pool, &main->worker);
    dv_worker_release(&main->worker);
}

static ngx_http_module_t module_context = {
    .preconfiguration = preconfiguration,
    .postconfiguration = postconfiguration,
    .create_main_conf = create_main_conf,
    .init_main_conf = init_main_conf,
    .create_loc_conf = create_loc_conf,
    .merge_loc_conf = merge_loc_conf,
};

ngx_module_t ngx_http_dvara_module = {
    NGX_MODULE_V1,
    .ctx = &module_context,
    .commands = commands,
    .type = NGX_HTTP_MODULE,
    .init_module = init_module,
    .init_process = init_process,
    .exit_process = exit_process,
};

/* What `ngx_module_type=HTTP_AUX_FILTER` makes of a module: before the copy filter, so that bodies
 * reach us in memory. */
DV_EXPORT ngx_module_t *ngx_modules[] = {&ngx_http_dvara_module, NULL};
DV_EXPORT char *ngx_module_names[] = {"ngx_http_dvara_module", NULL};
DV_EXPORT char *ngx_module_order[] = {"ngx_http_dvara_module", "ngx_http_copy_filter_module", NULL};
