/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a request: charged in up to three acquisitions (address before anything else,
 * caller when it is known, tokens and cost when the body is), settled before its close record. */
#include "gateway/request.h"

#include "base/codec.h"
#include "core/event_findings.h"

enum { PAY_MS = 1000 }; /* until a lease that could not be given back is tried again */

/* -- gathering --------------------------------------------------------------------------------- */

/* One acquisition on its way. */
typedef struct gathering {
    dv_request *request;
    dv_api_charges *charges;
    dv_api_when when;
    const dv_api_amount *amount;
} gathering;

/* The subject's own limits; NULL: it has none. */
static dv_result find_own(const gathering *g, dv_slice subject, dv_api_limits *room,
                          const dv_api_limits **ret_own)
{
    dv_slice record = {0};
    dv_result result =
        dv_snapshot_get(g->request->main->worker.snapshot, DV_TABLE_ROUTES, subject, &record);
    *ret_own = NULL;
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    DV_TRY(dv_api_limits_decode(record, room));
    *ret_own = room;
    return DV_OK;
}

/* Whether a subject of that kind can have limits that are due. */
static bool applies(const gathering *g, dv_api_limit_kind kind)
{
    return g->request->main->worker.named.kinds[kind] ||
           (g->request->config->api->due[g->when] >> kind & 1) != 0;
}

/* type: how the key begins; services are users of another type. */
static dv_result add(const gathering *g, dv_api_limit_kind kind, dv_slice type, dv_slice name)
{
    const dv_api_limits *of_kind = &g->request->config->api->limits[kind];
    bool named = g->request->main->worker.named.kinds[kind];
    dv_api_limits room;
    const dv_api_limits *own = NULL;
    if (!applies(g, kind)) {
        return DV_OK;
    }
    dv_slice subject = {0};
    DV_TRY(dv_api_subject(g->request->arena, type, name, &subject));
    if (named) {
        DV_TRY(find_own(g, subject, &room, &own));
    }
    return dv_api_charges_add(g->charges, kind, dv_api_subject_key(subject), of_kind, own, g->when,
                              g->amount);
}

static dv_result add_networks(const gathering *g)
{
    const dv_api_named *named = &g->request->main->worker.named;
    dv_address address;
    if (named->network_count == 0) {
        return DV_OK;
    }
    DV_TRY(dv_address_parse(dv_ngx_slice(g->request->r->connection->addr_text), &address));
    for (size_t i = 0; i < named->network_count; i++) {
        if (dv_api_network_has(&named->networks[i], &address)) {
            DV_TRY(add(g, DV_API_LIMIT_NETWORK, DV_LIT("network"), named->networks[i].text));
        }
    }
    return DV_OK;
}

static dv_result add_address(const gathering *g)
{
    if (!applies(g, DV_API_LIMIT_ADDRESS)) {
        return add_networks(g);
    }
    char text[DV_LIMIT_ADDRESS_KEY_MAX];
    dv_slice key = {0};
    DV_TRY(dv_limit_address_key(dv_ngx_slice(g->request->r->connection->addr_text), text, &key));
    DV_TRY(add(g, DV_API_LIMIT_ADDRESS, DV_LIT("address"),
               dv_slice_sub(key, sizeof("address/") - 1, key.len)));
    return add_networks(g);
}

static dv_result add_caller(const gathering *g)
{
    const dv_identity *identity = &g->request->identity;
    const dv_principal *principal = &identity->principal;
    dv_slice who = principal->type == DV_PRINCIPAL_SERVICE ? DV_LIT("service") : DV_LIT("user");
    DV_TRY(add(g, DV_API_LIMIT_KEY, DV_LIT("key"), identity->credential.id));
    DV_TRY(add(g, DV_API_LIMIT_USER, who, principal->name));
    for (size_t i = 0; i < principal->group_count; i++) {
        DV_TRY(add(g, DV_API_LIMIT_GROUP, DV_LIT("group"), principal->groups[i]));
    }
    return add(g, DV_API_LIMIT_ROUTE, DV_LIT("route"), g->request->route->name);
}

static dv_result add_model(const gathering *g)
{
    dv_slice model = g->request->body.counted;
    return model.len > 0 ? add(g, DV_API_LIMIT_MODEL, DV_LIT("model"), model) : DV_OK;
}

static bool any_reserved(const gathering *g)
{
    bool any = g->request->config->api->due[DV_API_RESERVED] != 0;
    for (size_t kind = 0; !any && kind < DV_API_LIMIT_KINDS; kind++) {
        any = g->request->main->worker.named.kinds[kind];
    }
    return any;
}

/* The model's own requests, then tokens and cost of all. */
static dv_result add_body(const gathering *at_once, const gathering *reserved)
{
    DV_TRY(add_model(at_once));
    if (!any_reserved(reserved)) {
        return DV_OK;
    }
    DV_TRY(add_address(reserved));
    DV_TRY(add_caller(reserved));
    return add_model(reserved);
}

/* -- charging ---------------------------------------------------------------------------------- */

static bool refuse(dv_request *request, const dv_api_charges *charges)
{
    const dv_limit_state *state = &request->limits.state;
    const dv_limit_charge *charge = &charges->charges[state->decided_by];
    char text[DV_API_LIMIT_TEXT_MAX];
    char detail[DV_API_LIMIT_TEXT_MAX + 64];
    if (state->full) {
        return dv_request_deny(request, DV_REASON_LIMITS_FULL, "");
    }
    dv_api_limit_text((dv_api_limit_kind)charges->kinds[state->decided_by], charge, text);
    (void)snprintf(detail, sizeof(detail), "%s%s", text,
                   state->retry_after == DV_TIME_NEVER ? ": it never holds so much" : "");
    bool rate = charge->kind != DV_LIMIT_BUDGET;
    return dv_request_deny(request, rate ? DV_REASON_RATE_LIMIT : DV_REASON_BUDGET, detail);
}

/* A permission may stand in the verdict already. */
static bool charge(dv_request *request, dv_api_charges *charges, dv_result gathered, dv_time now)
{
    dv_request_limits *limits = &request->limits;
    if (gathered == DV_ERR_NOT_FOUND) {
        request->verdict = (dv_verdict){0};
        return dv_request_deny(request, DV_REASON_BUDGET, "the model has no price");
    }
    if (gathered == DV_OK && charges->count == 0) {
        return true;
    }
    dv_limit_state state = {0};
    dv_result result = gathered;
    if (result == DV_OK) {
        result = dv_limit_charge_all(request->main->worker.counters, charges->charges,
                                     charges->count, now, &state);
    }
    if (result == DV_OK) {
        limits->state = state;
        limits->decided = charges;
    }
    if (result == DV_OK && state.admitted) {
        return true;
    }
    request->verdict = (dv_verdict){0};
    if (result == DV_OK) {
        return refuse(request, charges);
    }
    return dv_request_deny(request, DV_REASON_LIMITS_FULL,
                           result == DV_ERR_TOO_LARGE ? "too many limits apply to this caller"
                                                      : "");
}

bool dv_limits_address(dv_request *request)
{
    dv_api_charges *charges = &request->limits.address;
    charges->arena = request->arena;
    request->limits.called_at = dv_time_now();
    dv_result result = add_address(&(gathering){request, charges, DV_API_AT_ONCE, NULL});
    return charge(request, charges, result, request->limits.called_at);
}

bool dv_limits_caller(dv_request *request)
{
    dv_api_charges *charges = &request->limits.caller;
    charges->arena = request->arena;
    dv_result result = add_caller(&(gathering){request, charges, DV_API_AT_ONCE, NULL});
    return charge(request, charges, result, request->limits.called_at);
}

/* What the model server is told to hold to, so that it takes no more than was reserved; and to the
 * route's own bound in any case. */
static uint64_t cap_of(const dv_request *request)
{
    const dv_api_charges *charges = &request->limits.body;
    bool counted = request->route->max_tokens > 0;
    for (size_t i = 0; i < charges->count; i++) {
        counted = counted || charges->charges[i].unit != DV_LIMIT_REQUESTS;
    }
    return counted ? dv_api_cap(request->route, &request->body, request->body_bytes) : 0;
}

bool dv_limits_reserve(dv_request *request)
{
    dv_request_limits *limits = &request->limits;
    dv_api_charges *charges = &limits->body;
    charges->arena = request->arena;
    limits->reserved =
        dv_api_reserve(request->config->api, request->route, &request->body, request->body_bytes);
    dv_result result = add_body(&(gathering){request, charges, DV_API_AT_ONCE, NULL},
                                &(gathering){request, charges, DV_API_RESERVED, &limits->reserved});
    dv_time now = charges->count > 0 ? dv_time_now() : 0;
    if (!charge(request, charges, result, now)) {
        return false;
    }
    limits->reserved_at = now;
    request->work.cap = cap_of(request);
    request->work.count_text = now != 0;
    return true;
}

/* -- settling ---------------------------------------------------------------------------------- */

static bool was_sent(const ngx_http_request_t *r)
{
    if (r->upstream != NULL && r->upstream->request_sent) {
        return true;
    }
    const ngx_http_upstream_state_t *states =
        r->upstream_states != NULL ? r->upstream_states->elts : NULL;
    for (ngx_uint_t i = 0; states != NULL && i < r->upstream_states->nelts; i++) {
        if (states[i].bytes_sent > 0) {
            return true;
        }
    }
    return false;
}

/* A server that was asked before, and left for another, may have had all of it. */
static bool was_asked(const ngx_http_request_t *r)
{
    const ngx_http_upstream_state_t *states =
        r->upstream_states != NULL ? r->upstream_states->elts : NULL;
    for (ngx_uint_t i = 0; states != NULL && i + 1 < r->upstream_states->nelts; i++) {
        if (states[i].bytes_sent > 0) {
            return true;
        }
    }
    return r->upstream != NULL && r->upstream->request_body_sent;
}

/* The last model server that was asked did not answer in time, or said that another did not. */
static bool is_timed_out(const ngx_http_request_t *r)
{
    const ngx_http_upstream_state_t *states =
        r->upstream_states != NULL ? r->upstream_states->elts : NULL;
    ngx_uint_t count = states != NULL ? r->upstream_states->nelts : 0;
    return count > 0 && states[count - 1].status == NGX_HTTP_GATEWAY_TIME_OUT;
}

static dv_api_spent spent_of(dv_request *request, bool aborted)
{
    bool stream = request->stream != NULL;
    if (stream && aborted) { /* nobody has asked it yet */
        dv_data_stream_outcome(request->stream, &request->answer, &request->input_tokens,
                               &request->output_tokens);
    }
    bool held = !stream && request->route->answer_policy >= 0;
    uint64_t text = stream ? request->answer.text_bytes : held ? request->text_bytes : 0;
    bool all_text = stream || (held && !request->route->protocol->any_text);
    uint64_t length = request->upstream_status != 0 ? request->answer_bytes : 0;
    return (dv_api_spent){
        .sent = request->forwarded != 0 && was_sent(request->r),
        .asked = was_asked(request->r),
        .whole = !aborted && request->answer_verdict.reason == DV_REASON_UNSET,
        .left = aborted,
        .timed_out = is_timed_out(request->r),
        .streamed = stream || (request->body.stream && !held && request->upstream_status != 0),
        .status = request->upstream_status,
        .input = request->input_tokens,
        .output = request->output_tokens,
        .text_bytes = text,
        .seen_bytes = all_text ? text : DV_MAX(length, text),
    };
}

/* A budget of one principal's own; others are of many (group, model) or of nobody (address). */
static bool is_of_caller(const dv_request *request, dv_slice key)
{
    return request->authenticated && (dv_slice_starts_with(key, DV_LIT("user/")) ||
                                      dv_slice_starts_with(key, DV_LIT("key/")));
}

static void warn(dv_request *request, const dv_limit_warning *warning)
{
    dv_worker *worker = &request->main->worker;
    const dv_limit_charge *charge = &request->limits.body.charges[warning->charge];
    char label[DV_LIMIT_LABEL_TEXT_MAX];
    char title[256];
    const dv_event_actor actor = {.request_id = dv_slice_of(request->id, DV_UUID_TEXT_LEN),
                                  .time = dv_time_now(),
                                  .entity = DV_LIT("System::\"gateway\""),
                                  .via = DV_LIT("gate")};
    dv_limit_label_text(charge->period, charge->label, label);
    (void)snprintf(title, sizeof(title), "%.*s used %u %% of its %s of %s",
                   DV_SLICE_ARGS(charge->key), warning->percent,
                   charge->unit == DV_LIMIT_COST ? "cost budget" : "token budget", label);
    dv_event_detection detection = {
        .rule = DV_LIT("limit.budget"), .title = dv_slice_str(title), .severity = DV_SEVERITY_HIGH};
    if (is_of_caller(request, charge->key)) {
        detection.about = request->identity.principal.entity;
    }
    dv_buf_clear(&worker->record);
    if (dv_event_detection_finding(&worker->record, &actor, &detection) != DV_OK ||
        dv_spool_append(worker->spool, dv_buf_slice(&worker->record), false) != DV_OK) {
        ngx_log_error(NGX_LOG_ERR, request->r->connection->log, 0,
                      "dvara: the warning of a budget can not be written");
    }
}

/* What the budgets had no room for was not charged. */
static dv_api_amount charged_of(dv_api_amount amount, const uint64_t units[3])
{
    uint64_t excess = amount.input + amount.output - units[DV_LIMIT_TOKENS];
    uint64_t of_output = DV_MIN(excess, amount.output);
    amount.output -= of_output;
    amount.input -= excess - of_output;
    amount.cost = units[DV_LIMIT_COST];
    return amount;
}

void dv_limits_settle(dv_request *request, bool aborted)
{
    dv_request_limits *limits = &request->limits;
    dv_limit_warning warnings[DV_LIMIT_CHARGES_MAX];
    size_t count = 0;
    if (limits->reserved_at == 0 || limits->is_settled) {
        return;
    }
    dv_api_spent spent = spent_of(request, aborted);
    dv_api_amount amount = dv_api_settle(&limits->reserved, &spent);
    uint64_t units[3] = {
        [DV_LIMIT_TOKENS] = amount.input + amount.output, [DV_LIMIT_COST] = amount.cost};
    limits->settled = limits->reserved;
    limits->is_settled = true;
    if (dv_limit_settle_all(request->main->worker.counters, limits->body.charges,
                            limits->body.count, units, limits->reserved_at, dv_time_now(),
                            &request->config->api->warn, warnings, &count) == DV_OK) {
        limits->settled = charged_of(amount, units);
    }
    for (size_t i = 0; i < count && request->main->worker.spool != NULL; i++) {
        warn(request, &warnings[i]);
    }
}

static void pay_later(dv_main_conf *main)
{
    if (!main->paying.timer_set) {
        ngx_add_timer(&main->paying, PAY_MS);
    }
}

static void on_pay(ngx_event_t *event)
{
    dv_main_conf *main = event->data;
    dv_limit_pay(main->worker.counters, &main->worker.owed);
    if (main->worker.owed.count > 0) {
        pay_later(main);
    }
}

void dv_limits_init(dv_main_conf *main, ngx_cycle_t *cycle)
{
    main->paying =
        (ngx_event_t){.handler = on_pay, .data = main, .log = cycle->log, .cancelable = 1};
}

static void release(dv_request *request, dv_api_charges *charges)
{
    dv_worker *worker = &request->main->worker;
    if (!charges->held || dv_limit_settle_all(worker->counters, charges->charges, charges->count,
                                              NULL, 0, 0, NULL, NULL, NULL) == DV_OK) {
        return;
    }
    if (dv_limit_owe(&worker->owed, charges->charges, charges->count) != DV_OK) {
        ngx_log_error(NGX_LOG_ERR, request->r->connection->log, 0,
                      "dvara: what a request held of its limits can not be given back");
    }
    pay_later(request->main);
}

void dv_limits_release(dv_request *request)
{
    release(request, &request->limits.address);
    release(request, &request->limits.caller);
    release(request, &request->limits.body);
}

/* -- telling ----------------------------------------------------------------------------------- */

/* The server's own counts would contradict ours. */
static bool is_foreign(dv_slice name)
{
    static const dv_slice prefixes[] = {DV_LIT("x-ratelimit-"), DV_LIT("anthropic-ratelimit-"),
                                        DV_LIT("ratelimit")};
    for (size_t i = 0; i < DV_ARRAY_LEN(prefixes); i++) {
        if (name.len >= prefixes[i].len && (name.ptr[0] | 0x20) == prefixes[i].ptr[0] &&
            dv_slice_eq_nocase(dv_slice_sub(name, 0, prefixes[i].len), prefixes[i])) {
            return true;
        }
    }
    return false;
}

static void drop_foreign(ngx_http_request_t *r)
{
    ngx_list_part_t *part = &r->headers_out.headers.part;
    for (; part != NULL; part = part->next) {
        ngx_table_elt_t *headers = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (is_foreign(dv_ngx_slice(headers[i].key))) {
                headers[i].hash = 0;
            }
        }
    }
}

/* The arena lives as long as the request, so that nothing is copied. */
static ngx_int_t add_headers(ngx_http_request_t *r, const dv_api_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
        if (header == NULL) {
            return NGX_ERROR;
        }
        *header = (ngx_table_elt_t){
            .hash = 1,
            .key = {headers[i].name.len, (u_char *)headers[i].name.ptr},
            .value = {headers[i].value.len, (u_char *)headers[i].value.ptr},
        };
    }
    return NGX_OK;
}

static ngx_int_t add_retry_after(dv_request *request)
{
    char room[DV_DECIMAL_MAX];
    uint64_t seconds = dv_api_retry_after(&request->limits.state);
    if (request->limits.state.admitted || seconds == 0) {
        return NGX_OK;
    }
    return dv_answer_header(request->r, "Retry-After", dv_decimal_write(seconds, room));
}

ngx_int_t dv_limits_headers(dv_request *request)
{
    const dv_request_limits *limits = &request->limits;
    dv_api_header headers[DV_API_TOLD_HEADERS];
    size_t count = 0;
    if (limits->decided == NULL) {
        return NGX_OK;
    }
    const dv_api_charges *first = limits->caller.count > 0 ? &limits->caller : &limits->address;
    dv_api_told told = {{first, &limits->body}, dv_request_shape(request), limits->state.now};
    drop_foreign(request->r);
    if (dv_api_told_headers(&told, &request->main->worker.policies, request->arena, headers,
                            &count) != DV_OK ||
        add_headers(request->r, headers, count) != NGX_OK) {
        return NGX_ERROR;
    }
    return add_retry_after(request);
}

bool dv_limits_event(const dv_request *request, dv_event_limit *limit)
{
    const dv_request_limits *limits = &request->limits;
    if (limits->decided == NULL) {
        return false;
    }
    static const char *const units[] = {"requests", "tokens", "cost"};
    const dv_limit_charge *charge = &limits->decided->charges[limits->state.decided_by];
    bool at_body = limits->decided == &limits->body;
    *limit = (dv_event_limit){
        .key = charge->key,
        .unit = charge->kind == DV_LIMIT_CONCURRENT ? "concurrent" : units[charge->unit],
        .limit = limits->state.limit,
        .remaining = limits->state.remaining,
        .now = limits->state.now,
        .tat = limits->state.tat,
        .called_at = limits->called_at,
        .admitted = limits->state.admitted,
        .reserved_at = at_body ? limits->state.now : 0,
        .reserved_tokens = limits->reserved.input + limits->reserved.output,
        .reserved_cost = limits->reserved.cost,
        .settled = limits->is_settled,
        .settled_tokens = limits->settled.input + limits->settled.output,
        .settled_cost = limits->settled.cost,
    };
    return true;
}
