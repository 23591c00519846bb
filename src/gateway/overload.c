/* SPDX-License-Identifier: Apache-2.0 */
/* What comes too often from one address, in this worker: connections are closed before anything is
 * read from them or a handshake is computed, refusals are counted instead of recorded each. What
 * was counted is told to the log once a second.
 *
 * A worker counts for itself, because what a flood eats (its table of connections, its processor)
 * is the worker's own. */
#include "gateway/request.h"

#include "core/event.h"

enum {
    SLOTS = 4096, /* addresses that are told apart; of connections as many as there may be */
    SLOTS_MAX = 1 << 16,
    BURST_SECONDS = 2,
    REFUSALS_BURST = 5, /* seconds' worth of refusals that are recorded each before some are not */
    TELL_MS = 1000,
};

static dv_main_conf *counting; /* of this worker; nginx hands no data to a listener's handler */
static ngx_connection_handler_pt accept_next;

/* -- telling ----------------------------------------------------------------------------------- */

/* "address/2001:db8::/64" as an address. */
static dv_slice address_of(dv_slice key)
{
    ptrdiff_t begin = dv_slice_find_byte(key, '/');
    dv_slice rest = begin < 0 ? key : dv_slice_sub(key, (size_t)begin + 1, key.len);
    ptrdiff_t end = dv_slice_find_byte(rest, '/');
    return end < 0 ? rest : dv_slice_sub(rest, 0, (size_t)end);
}

/* Kinds beyond the reasons of requests. */
static unsigned network_kind(dv_network_reason reason)
{
    return (unsigned)DV_REASON_COUNT + (unsigned)reason;
}
_Static_assert((unsigned)DV_REASON_COUNT + (unsigned)DV_NETWORK_REASON_COUNT <=
                   (unsigned)DV_FLOOD_KINDS,
               "each counts by itself");

static dv_result append(dv_worker *worker, dv_result built)
{
    DV_TRY(built);
    return dv_spool_append(worker->spool, dv_buf_slice(&worker->record), false);
}

static dv_result tell_refused(dv_worker *worker, const dv_event_refused *refused)
{
    dv_buf_clear(&worker->record);
    return append(worker, dv_event_refusals(&worker->record, refused));
}

static dv_result tell_network(dv_worker *worker, const dv_event_network *refused)
{
    dv_buf_clear(&worker->record);
    return append(worker, dv_event_network_refusal(&worker->record, refused));
}

static dv_result tell(dv_main_conf *main, const dv_flood_excess *excess, unsigned kind)
{
    dv_worker *worker = &main->worker;
    dv_time now = dv_time_now();
    dv_time since = now - (dv_time_monotonic() - excess->since);
    if (worker->spool == NULL) {
        return DV_ERR_UNAVAILABLE;
    }
    if (kind < DV_REASON_COUNT) {
        const dv_event_refused refused = {.address = address_of(excess->name),
                                          .reason = (dv_reason)kind,
                                          .count = excess->count,
                                          .since = since,
                                          .until = now};
        return tell_refused(worker, &refused);
    }
    const dv_event_network refused = {.address = address_of(excess->name),
                                      .reason = (dv_network_reason)(kind - DV_REASON_COUNT),
                                      .count = excess->count,
                                      .since = since,
                                      .until = now};
    return tell_network(worker, &refused);
}

static dv_result tell_refusals(void *data, const dv_flood_excess *excess)
{
    return tell(data, excess, excess->kind);
}

static dv_result tell_connections(void *data, const dv_flood_excess *excess)
{
    return tell(data, excess, network_kind(DV_NETWORK_CONNECTIONS));
}

static size_t tell_all(dv_main_conf *main, dv_time before)
{
    const dv_overload *overload = &main->overload;
    size_t left = 0;
    if (overload->connections != NULL) {
        dv_flood_tell(overload->connections, before, tell_connections, main);
        left += dv_flood_pending(overload->connections);
    }
    if (overload->refusals != NULL) {
        dv_flood_tell(overload->refusals, before, tell_refusals, main);
        left += dv_flood_pending(overload->refusals);
    }
    return left;
}

static void tell_later(dv_main_conf *main)
{
    if (!main->overload.telling.timer_set) {
        ngx_add_timer(&main->overload.telling, TELL_MS);
    }
}

static void on_timer(ngx_event_t *event)
{
    dv_main_conf *main = event->data;
    dv_time half_a_period_ago = dv_time_monotonic() - TELL_MS * DV_MILLISECOND / 2;
    if (tell_all(main, half_a_period_ago) > 0) {
        tell_later(main);
    }
}

/* -- connections ------------------------------------------------------------------------------- */

typedef struct held_connection {
    ngx_connection_t *connection;
    dv_flood_entry *entry; /* NULL: connections are not counted */
} held_connection;

/* The connection's pool goes after nginx has let go of it; its struct is not used again before. */
static void connection_gone(void *data)
{
    const held_connection *held = data;
    if (held->entry != NULL) {
        dv_flood_release(held->entry);
    }
    dv_network_connection_ended(counting, held->connection);
}

static bool hold(ngx_connection_t *connection)
{
    char text[DV_LIMIT_ADDRESS_KEY_MAX];
    dv_slice address = {0};
    dv_flood *connections = counting->overload.connections;
    if (dv_limit_address_key(dv_ngx_slice(connection->addr_text), text, &address) != DV_OK) {
        return true; /* no address: a unix socket */
    }
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(connection->pool, sizeof(held_connection));
    if (cleanup == NULL) {
        return false;
    }
    held_connection *held = cleanup->data;
    *held = (held_connection){.connection = connection};
    if (connections != NULL) {
        held->entry = dv_flood_hold(connections, address, 0, dv_time_monotonic());
        if (held->entry == NULL) {
            tell_later(counting);
            return false;
        }
    }
    cleanup->handler = connection_gone;
    return true;
}

static void on_accept(ngx_connection_t *connection)
{
    if (hold(connection)) {
        accept_next(connection);
    } else {
        ngx_http_close_connection(connection);
    }
}

static void take_listeners(ngx_cycle_t *cycle)
{
    ngx_listening_t *listeners = cycle->listening.elts;
    for (ngx_uint_t i = 0; i < cycle->listening.nelts; i++) {
        if (listeners[i].handler == ngx_http_init_connection) {
            accept_next = listeners[i].handler;
            listeners[i].handler = on_accept;
        }
    }
}

/* -- refusals ---------------------------------------------------------------------------------- */

/* Whoever is refused without end pays for each further refusal with a connection, and those are
 * bounded. */
static void end_connection(ngx_http_request_t *r)
{
    r->keepalive = 0;
#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        r->stream->connection->connection->requests = NGX_MAX_INT_T_VALUE; /* GOAWAY at the next */
    }
#endif
}

/* Whether one more of a kind gets a record of its own; otherwise it was counted. */
static bool is_recorded(dv_main_conf *main, const ngx_connection_t *connection, unsigned kind)
{
    char text[DV_LIMIT_ADDRESS_KEY_MAX];
    dv_slice address = DV_LIT("");
    if (main->overload.refusals == NULL ||
        dv_limit_address_key(dv_ngx_slice(connection->addr_text), text, &address) != DV_OK ||
        dv_flood_take(main->overload.refusals, address, kind, dv_time_monotonic()) != NULL) {
        return true;
    }
    tell_later(main);
    return false;
}

bool dv_overload_records(dv_request *request)
{
    const dv_verdict *verdict = request->answer_verdict.reason != DV_REASON_UNSET
                                    ? &request->answer_verdict
                                    : &request->verdict;
    if (is_recorded(request->main, request->r->connection, verdict->reason)) {
        return true;
    }
    end_connection(request->r);
    return false;
}

void dv_overload_network(dv_main_conf *main, const ngx_connection_t *connection,
                         dv_network_reason reason, int status)
{
    dv_worker *worker = &main->worker;
    dv_time now = dv_time_now();
    const dv_event_network refused = {.address = dv_ngx_slice(connection->addr_text),
                                      .port = ngx_inet_get_port(connection->sockaddr),
                                      .reason = reason,
                                      .status = status,
                                      .count = 1,
                                      .since = now,
                                      .until = now};
    if (worker->spool == NULL || !is_recorded(main, connection, network_kind(reason))) {
        return;
    }
    if (tell_network(worker, &refused) != DV_OK) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0, "dvara: a refusal can not be recorded");
    }
}

/* -- the worker's life ------------------------------------------------------------------------- */

static size_t slots_for(const ngx_cycle_t *cycle)
{
    size_t slots = SLOTS;
    while (slots < cycle->connection_n && slots < SLOTS_MAX) {
        slots *= 2;
    }
    return slots;
}

void dv_overload_init(dv_main_conf *main, ngx_cycle_t *cycle)
{
    dv_overload *overload = &main->overload;
    const dv_flood_limits connections = {
        .per_second = (uint32_t)main->new_connections,
        .burst = (uint32_t)DV_MAX(main->new_connections * BURST_SECONDS, (ngx_uint_t)1),
        .held = (uint32_t)main->connections,
        .strangers_pass = true,
    };
    const dv_flood_limits refusals = {
        .per_second = (uint32_t)main->recorded_refusals,
        .burst = (uint32_t)(main->recorded_refusals * REFUSALS_BURST),
    };
    overload->telling =
        (ngx_event_t){.handler = on_timer, .data = main, .log = cycle->log, .cancelable = 1};
    counting = main;
    take_listeners(cycle);
    if ((main->connections != 0 || main->new_connections != 0) &&
        dv_flood_new(slots_for(cycle), &connections, &overload->connections) != DV_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "dvara: connections are not counted");
    }
    if (main->recorded_refusals != 0 &&
        dv_flood_new(SLOTS, &refusals, &overload->refusals) != DV_OK) {
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "dvara: every refusal is recorded by itself");
    }
}

void dv_overload_release(dv_main_conf *main)
{
    (void)tell_all(main, DV_TIME_NEVER);
    dv_flood_free(main->overload.refusals);
    main->overload.refusals = NULL;
    /* The other stays: connections that are still open point into it until the process ends. */
}
