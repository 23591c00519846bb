/* SPDX-License-Identifier: Apache-2.0 */
/* The receivers that take batches over HTTP: OTLP, ClickHouse, OpenSearch. */
#include "crypto/random.h"
#include "room/audit/export/bulk.h"
#include "room/audit/export/format.h"
#include "room/audit/export/http.h"

#include <inttypes.h>

enum { BODY_MAX = 64 << 20, URL_MAX = 4096, EVENTS_MAX = 5000 };

typedef struct http_sender {
    const dv_export_context *context;
    dv_export_http *http;
    dv_buf body;
    char url[URL_MAX];
} http_sender;

static void http_close(void *data)
{
    http_sender *sender = data;
    if (sender != NULL) {
        dv_export_http_free(sender->http);
        dv_buf_release(&sender->body);
        free(sender);
    }
}

/* url: what is put behind the destination's own, from the '/' on. */
static dv_result open_with(const dv_export_context *context, const char *path, void **ret_sender,
                           dv_error *error)
{
    http_sender *sender = calloc(1, sizeof(*sender));
    const char *base = context->destination->url;
    size_t len = strlen(base);
    if (sender == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    sender->context = context;
    sender->body = dv_buf_init(BODY_MAX);
    len -= *path != '\0' && len > 0 && base[len - 1] == '/' ? 1 : 0;
    int length = snprintf(sender->url, URL_MAX, "%.*s%s", (int)len, base, path);
    dv_result result = length < 0 || length >= URL_MAX
                           ? dv_error_set(error, DV_ERR_TOO_LARGE, "the export's url is too long")
                           : dv_export_http_new(context, sender->url, &sender->http, error);
    if (result != DV_OK) {
        http_close(sender);
        return result;
    }
    *ret_sender = sender;
    return DV_OK;
}

static void mark_all(dv_export_chunk *chunk, dv_export_state state)
{
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->items[i]->state = state;
    }
}

/* POSTs sender->body and judges the answer. */
static dv_result post(http_sender *sender, const char *type, dv_export_chunk *chunk,
                      dv_export_answer *ret_answer, dv_error *error)
{
    dv_auto(secret_buf) dv_buf authorization = dv_buf_init(64 << 10);
    DV_TRY(dv_export_authorization(sender->context->destination, &authorization, error));
    const char *headers[] = {type, authorization.len > 0 ? dv_buf_cstr(&authorization) : NULL,
                             NULL};
    DV_TRY(
        dv_export_http_post(sender->http, headers, dv_buf_slice(&sender->body), ret_answer, error));
    return dv_export_http_judge(sender->http, ret_answer, chunk, error);
}

/* -- OTLP/HTTP (opentelemetry-proto, docs/specification.md "OTLP/HTTP") ------------------------ */

static dv_result otlp_open(const dv_export_context *context, void **ret_sender, dv_error *error)
{
    return open_with(context, "", ret_sender, error);
}

static dv_result otlp_body(http_sender *sender, dv_export_chunk *chunk)
{
    dv_buf *body = &sender->body;
    dv_buf_clear(body);
    DV_TRY(dv_export_put_otlp_head(body, chunk->items[0]->event.origin));
    for (size_t i = 0; i < chunk->count; i++) {
        DV_TRY(i == 0 ? DV_OK : dv_buf_append_byte(body, ','));
        DV_TRY(dv_export_put_otlp(body, &chunk->items[i]->event, chunk->arena));
    }
    return dv_export_put_otlp_end(body);
}

/* A partial success must not be sent again ("Partial Success"): it tells how many were rejected,
 * not which. */
static dv_result otlp_send(void *data, dv_export_chunk *chunk, dv_error *error)
{
    http_sender *sender = data;
    dv_export_answer answer;
    DV_TRY(otlp_body(sender, chunk));
    DV_TRY(post(sender, "Content-Type: application/json", chunk, &answer, error));
    chunk->rejected = dv_otlp_rejected(answer.body, chunk->arena, chunk->why);
    chunk->rejected = DV_MIN(chunk->rejected, (uint64_t)chunk->count);
    mark_all(chunk, DV_EXPORT_DONE);
    return DV_OK;
}

/* -- ClickHouse's HTTP interface --------------------------------------------------------------- */

static dv_result clickhouse_open(const dv_export_context *context, void **ret_sender,
                                 dv_error *error)
{
    return open_with(context, "", ret_sender, error);
}

static dv_result put_query(dv_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || strchr("-._~", *text) != NULL;
        DV_TRY(plain ? dv_buf_append_byte(out, (uint8_t)*text)
                     : dv_buf_append_printf(out, "%%%02X", (unsigned char)*text));
    }
    return DV_OK;
}

/* The token is the same whenever the same events are sent: a table that keeps tokens drops the
 * second insert. wait_end_of_query: an error later than the head of the answer becomes its status.
 */
static dv_result clickhouse_url(const http_sender *sender, const dv_export_chunk *chunk,
                                dv_buf *out)
{
    char token[DV_EXPORT_UID_MAX + 32], statement[512];
    const dv_export_event *first = &chunk->items[0]->event;
    const dv_export_event *last = &chunk->items[chunk->count - 1]->event;
    snprintf(statement, sizeof(statement), "INSERT INTO %s FORMAT JSONEachRow",
             sender->context->destination->table);
    dv_export_event_uid(first, token);
    snprintf(token + strlen(token), 32, "-%" PRIu64, last->index);
    DV_TRY(dv_buf_append_printf(out, "%s%cquery=", sender->url,
                                strchr(sender->url, '?') == NULL ? '?' : '&'));
    DV_TRY(put_query(out, statement));
    DV_TRY(dv_buf_append_str(out, "&input_format_skip_unknown_fields=1&wait_end_of_query=1"
                                  "&wait_for_async_insert=1&insert_deduplication_token="));
    return put_query(out, token);
}

static dv_result clickhouse_send(void *data, dv_export_chunk *chunk, dv_error *error)
{
    http_sender *sender = data;
    dv_export_answer answer;
    dv_auto(buf) dv_buf url = dv_buf_init(2 * URL_MAX);
    DV_TRY(clickhouse_url(sender, chunk, &url));
    DV_TRY(dv_export_http_aim(sender->http, dv_buf_cstr(&url)));
    dv_buf_clear(&sender->body);
    for (size_t i = 0; i < chunk->count; i++) {
        DV_TRY(dv_export_put_clickhouse(&sender->body, &chunk->items[i]->event, chunk->arena));
    }
    DV_TRY(post(sender, "Content-Type: application/x-ndjson", chunk, &answer, error));
    mark_all(chunk, DV_EXPORT_DONE);
    return DV_OK;
}

/* -- OpenSearch's bulk API --------------------------------------------------------------------- */

static dv_result opensearch_open(const dv_export_context *context, void **ret_sender,
                                 dv_error *error)
{
    char path[URL_MAX];
    snprintf(path, sizeof(path), "/%s/_bulk", context->destination->index);
    return open_with(context, path, ret_sender, error);
}

static dv_result opensearch_send(void *data, dv_export_chunk *chunk, dv_error *error)
{
    http_sender *sender = data;
    dv_export_answer answer;
    dv_buf_clear(&sender->body);
    for (size_t i = 0; i < chunk->count; i++) {
        DV_TRY(dv_export_put_opensearch(&sender->body, &chunk->items[i]->event));
    }
    DV_TRY(post(sender, "Content-Type: application/x-ndjson", chunk, &answer, error));
    return dv_bulk_apply(answer.body, chunk, error);
}

/* Formatting fails for want of memory alone; the same chunk comes again. */
const dv_export_kind dv_export_kind_otlp = {
    .open = otlp_open, .send = otlp_send, .close = http_close, .events_max = EVENTS_MAX};
const dv_export_kind dv_export_kind_clickhouse = {.open = clickhouse_open,
                                                  .send = clickhouse_send,
                                                  .close = http_close,
                                                  .events_max = EVENTS_MAX};
const dv_export_kind dv_export_kind_opensearch = {.open = opensearch_open,
                                                  .send = opensearch_send,
                                                  .close = http_close,
                                                  .events_max = EVENTS_MAX};
