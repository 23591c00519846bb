/* SPDX-License-Identifier: Apache-2.0 */
/* The body filter of event streams: what comes is fed to the data room's stream, what that releases
 * goes on. While the caller takes nothing, nothing more is read: the queue `in` keeps the
 * upstream's buffers unread, and nginx stops reading from it. */
#include "gateway/request.h"

enum {
    STREAM_OUT_MAX = 1 << 20, /* released by one buffer at most */
    STREAM_BUFFER = 4096,     /* bytes of ours that a stream keeps for what it sends */
    WATCH_INTERVAL = 500,     /* milliseconds */
    WATCH_TURN = 64,          /* streams that one turn of the event loop asks about */
    STREAM_TURN = 4 << 10,    /* bytes that one turn of the event loop feeds */
    STREAM_BUFFERED = 0x40,   /* a bit of connection->buffered that nginx does not use */
};

static ngx_buf_tag_t const stream_tag = (ngx_buf_tag_t)&ngx_http_dvara_module;

static dv_stream_format format_of(const dv_request *request)
{
    switch (request->route->protocol->stream) {
    case DV_API_STREAM_OPENAI:
        return DV_STREAM_OPENAI;
    case DV_API_STREAM_RESPONSES:
        return DV_STREAM_RESPONSES;
    case DV_API_STREAM_ANTHROPIC:
        return DV_STREAM_ANTHROPIC;
    case DV_API_STREAM_TEXT:
        break;
    }
    return DV_STREAM_TEXT;
}

/* ---- sending ---- */

/* A buffer of ours that holds the text: a sent one if it is large enough. */
static ngx_chain_t *make_link(dv_request *request, dv_slice text)
{
    ngx_pool_t *pool = request->r->pool;
    ngx_chain_t *link = ngx_chain_get_free_buf(pool, &request->free);
    if (link == NULL) {
        return NULL;
    }
    ngx_buf_t *buffer = link->buf;
    size_t room = buffer->start != NULL ? (size_t)(buffer->end - buffer->start) : 0;
    u_char *start = buffer->start;
    if (room < text.len || (room > STREAM_BUFFER && text.len <= STREAM_BUFFER)) {
        if (start != NULL) {
            (void)ngx_pfree(pool, start);
        }
        room = DV_MAX(text.len, (size_t)STREAM_BUFFER);
        start = ngx_palloc(pool, room);
        if (start == NULL) {
            return NULL;
        }
    }
    u_char *end = start != NULL ? start + room : NULL;
    *buffer = (ngx_buf_t){.tag = stream_tag, .start = start, .end = end};
    buffer->pos = start;
    buffer->last = text.len > 0 ? ngx_cpymem(start, text.ptr, text.len) : start;
    buffer->temporary = text.len > 0;
    buffer->flush = 1;
    return link;
}

static ngx_int_t release(dv_request *request, dv_slice text, bool last)
{
    ngx_chain_t *link = NULL;
    if (text.len > 0 || last) {
        link = make_link(request, text);
        if (link == NULL) {
            return NGX_ERROR;
        }
        link->buf->last_buf = last;
        link->buf->last_in_chain = last;
    }
    /* nginx takes it ill to be asked for nothing while our own bit says that something waits. */
    if (link == NULL && request->busy == NULL &&
        (request->r->connection->buffered & ~STREAM_BUFFERED) == 0) {
        return NGX_OK;
    }
    request->answer_bytes += text.len;
    ngx_int_t rc = dv_filter_next_body(request->r, link);
    ngx_chain_update_chains(request->r->pool, &request->free, &request->busy, &link, stream_tag);
    return rc;
}

void dv_stream_take_outcome(dv_request *request)
{
    if (request->stream != NULL) {
        dv_data_stream_outcome(request->stream, &request->answer, &request->input_tokens,
                               &request->output_tokens);
    }
}

static ngx_int_t end(dv_request *request, dv_slice text)
{
    request->answer_bytes += text.len;
    dv_result result = dv_record_close(request, (int)request->r->headers_out.status, false);
    request->answer_bytes -= text.len;
    return result == DV_OK ? release(request, text, true) : NGX_ERROR;
}

/* The head is gone already: the text ends with an error event, then the upstream is cut off. */
static ngx_int_t break_off(dv_request *request, const dv_verdict *verdict, dv_slice text)
{
    request->answer_verdict = *verdict;
    request->stage = DV_STAGE_DONE;
    (void)end(request, text);
    return NGX_ERROR;
}

/* A denial of our own. */
static ngx_int_t deny(dv_request *request, const dv_verdict *verdict)
{
    dv_auto(buf) dv_buf text = dv_buf_init(8 << 10);
    dv_api_denial denial = {.verdict = verdict, .request_id = request->id};
    if (dv_api_denial_render_event(&denial, dv_request_shape(request), &text) != DV_OK) {
        return NGX_ERROR;
    }
    return break_off(request, verdict, dv_buf_slice(&text));
}

/* ---- permits that end ---- */

/* One timer for all streams: it looks at the snapshot's generation and the clock, and at the
 * streams only when one of them moved past what they were last held against. */

static void begin_watch(dv_request *request)
{
    dv_main_conf *main = request->main;
    ngx_queue_insert_tail(&main->streams, &request->stream_link);
    request->watched = true;
    main->stream_count++;
    main->watched_until = DV_MIN(main->watched_until, request->identity.expires);
    if (!main->watch.timer_set) {
        main->watch.log = ngx_cycle->log;
        main->watched_generation = main->worker.generation;
        ngx_add_timer(&main->watch, WATCH_INTERVAL);
    }
}

void dv_stream_unwatch(dv_request *request)
{
    if (request->watched) {
        ngx_queue_remove(&request->stream_link);
        request->watched = false;
        request->main->stream_count--;
    }
}

static void withdraw(dv_request *request, const dv_verdict *verdict)
{
    ngx_connection_t *connection = request->r->connection;
    (void)deny(request, verdict);
    ngx_http_finalize_request(request->r, NGX_ERROR);
    ngx_http_run_posted_requests(connection);
}

/* Asks about the stream at the front, which then stands at the back. */
static void check_front(dv_main_conf *main, dv_time now)
{
    ngx_queue_t *link = ngx_queue_head(&main->streams);
    dv_request *request = ngx_queue_data(link, dv_request, stream_link);
    ngx_queue_remove(link);
    ngx_queue_insert_tail(&main->streams, link);
    if (request->stage != DV_STAGE_STREAM) {
        return;
    }
    if (dv_worker_enter(&main->worker, NULL) != DV_OK) {
        main->watched_generation = 0; /* nothing can be asked now: look again */
        return;
    }
    dv_verdict verdict = {0};
    bool good = dv_access_is_good(request, now, &verdict);
    dv_worker_leave(&main->worker);
    if (good) {
        main->watched_until = DV_MIN(main->watched_until, request->identity.expires);
    } else {
        withdraw(request, &verdict);
    }
}

/* Begins a look at all streams when one is due. */
static void begin_look(dv_main_conf *main, dv_time now)
{
    if (main->unchecked > 0 || dv_worker_enter(&main->worker, NULL) != DV_OK) {
        return;
    }
    dv_worker_leave(&main->worker);
    if (main->worker.generation != main->watched_generation || now >= main->watched_until) {
        main->watched_generation = main->worker.generation;
        main->watched_until = DV_TIME_NEVER;
        main->unchecked = main->stream_count;
    }
}

static void on_watch(ngx_event_t *event)
{
    dv_main_conf *main = event->data;
    dv_time now = dv_time_now();
    begin_look(main, now);
    for (size_t i = 0; i < WATCH_TURN && main->unchecked > 0; i++) {
        main->unchecked = DV_MIN(main->unchecked, main->stream_count);
        if (main->unchecked > 0) {
            main->unchecked--;
            check_front(main, now);
        }
    }
    if (main->stream_count > 0) {
        ngx_add_timer(event, main->unchecked > 0 ? 1 : WATCH_INTERVAL);
    }
}

void dv_stream_watch_init(dv_main_conf *main)
{
    ngx_queue_init(&main->streams);
    main->watched_until = DV_TIME_NEVER;
    main->watch.handler = on_watch;
    main->watch.data = main;
    main->watch.cancelable = 1; /* keeps no worker from ending */
}

/* ---- the filter ---- */

ngx_int_t dv_stream_begin(dv_request *request)
{
    if (dv_data_stream_new(request->main->worker.data, request->answer_policy, request->context,
                           format_of(request), request->arena, &request->stream) != DV_OK) {
        dv_verdict_deny(&request->answer_verdict, DV_REASON_INTERNAL, "%s", "");
        return dv_answer_denial(request, 0);
    }
    if (request->work.asks_usage) {
        dv_data_stream_hide_usage(request->stream);
    }
    if (!dv_access_may_go_on(request, &request->answer_verdict)) {
        return dv_answer_denial(request, 0);
    }
    request->stage = DV_STAGE_STREAM;
    begin_watch(request);
    return dv_filter_next_header(request->r);
}

static ngx_int_t feed(dv_request *request, dv_slice bytes, bool last)
{
    dv_auto(buf) dv_buf out = dv_buf_init(STREAM_OUT_MAX);
    dv_verdict verdict = {0};
    if (!dv_access_may_go_on(request, &verdict)) {
        return deny(request, &verdict);
    }
    dv_verdict_allow(&verdict, "");
    dv_result result = dv_data_stream_feed(request->stream, bytes, last, &out, &verdict);
    if (verdict.decision != DV_ALLOW) {
        return break_off(request, &verdict, dv_buf_slice(&out));
    }
    if (result != DV_OK) {
        dv_verdict_reset(&verdict);
        dv_verdict_deny(&verdict, DV_REASON_ANSWER_UNREADABLE, "the stream could not be inspected");
        return deny(request, &verdict);
    }
    dv_verdict_reset(&verdict);
    if (!dv_volume_answer(request, dv_data_stream_values(request->stream), &verdict)) {
        return deny(request, &verdict);
    }
    if (!last && dv_data_stream_is_over(request->stream)) {
        /* Clients stop reading here, so here it is recorded; what may follow is swallowed. */
        request->stage = DV_STAGE_DONE;
        last = true;
    }
    return last ? end(request, dv_buf_slice(&out)) : release(request, dv_buf_slice(&out), false);
}

/* Feeds of a buffer what this turn has room for, and marks it as read. */
static ngx_int_t feed_buffer(dv_request *request, ngx_buf_t *buffer)
{
    bool memory = ngx_buf_in_memory(buffer);
    size_t size = memory ? (size_t)ngx_buf_size(buffer) : 0;
    size_t len = DV_MIN(size, (size_t)STREAM_TURN - request->fed);
    dv_slice bytes = size > 0 ? dv_slice_of(buffer->pos, len) : DV_LIT("");
    bool last = buffer->last_buf && len == size;
    if (size == 0 && !last) {
        return release(request, DV_LIT(""), false);
    }
    request->fed += len;
    ngx_int_t rc = feed(request, bytes, last);
    if (memory) {
        buffer->pos += len;
    }
    return rc;
}

/* The others had their turn. */
static void go_on(ngx_event_t *event)
{
    dv_request *request = event->data;
    ngx_connection_t *connection = request->r->connection;
    ngx_http_set_log_request(connection->log, request->r);
    request->fed = 0;
    if (request->in != NULL) {
        request->r->write_event_handler(request->r);
        ngx_http_run_posted_requests(connection);
    }
}

/* A model server that sends much at once does not keep the event loop from the others. */
static void rest(dv_request *request)
{
    request->turn.data = request;
    request->turn.handler = go_on;
    request->turn.log = request->r->connection->log;
    ngx_post_event(&request->turn, &ngx_posted_next_events);
}

/* What came behind the end. */
static void drop_rest(dv_request *request)
{
    while (request->in != NULL) {
        ngx_chain_t *link = request->in;
        request->in = link->next;
        link->buf->pos = link->buf->last;
        ngx_free_chain(request->r->pool, link);
    }
}

ngx_int_t dv_stream_filter(dv_request *request, ngx_chain_t *in)
{
    ngx_http_request_t *r = request->r;
    if (in != NULL && ngx_chain_add_copy(r->pool, &request->in, in) != NGX_OK) {
        return NGX_ERROR;
    }
    ngx_int_t rc = NGX_OK;
    if (request->busy != NULL || request->in == NULL) {
        rc = release(request, DV_LIT(""), false);
    }
    while (rc != NGX_ERROR && request->stage == DV_STAGE_STREAM && request->busy == NULL &&
           request->in != NULL && request->fed < STREAM_TURN) {
        ngx_chain_t *link = request->in;
        rc = feed_buffer(request, link->buf);
        if (ngx_buf_size(link->buf) == 0) {
            request->in = link->next;
            ngx_free_chain(r->pool, link);
        }
    }
    if (request->stage == DV_STAGE_DONE) {
        drop_rest(request);
    } else if (rc != NGX_ERROR && request->fed >= STREAM_TURN && !request->turn.posted) {
        rest(request);
    }
    if (request->in != NULL) {
        r->connection->buffered |= STREAM_BUFFERED;
    } else {
        r->connection->buffered &= ~STREAM_BUFFERED;
    }
    return rc;
}
