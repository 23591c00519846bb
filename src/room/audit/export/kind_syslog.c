/* SPDX-License-Identifier: Apache-2.0 */
/* Syslog (RFC 5424) over TLS (RFC 5425) or TCP (RFC 6587, octet counting).
 *
 * Syslog acknowledges nothing. What is taken as received: what the receiver's kernel acknowledged
 * (TCP) two seconds ago, on a connection that is still there. When a connection ends, everything
 * younger is sent again on the next one. What a receiver had in its socket's buffer for longer than
 * that and lost is lost: no sender can know it.
 *
 *   marks: [ index, offset in the stream, when acknowledged ] ... oldest first */
#include "room/audit/export/format.h"
#include "room/audit/export/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum {
    BODY_MAX = 64 << 20,
    EVENTS_MAX = 5000,
    URL_MAX = 4096,
    MARKS_MAX = 256,
    WRITE_STEP_MS = 200,
    STALLED_MS = 30000, /* without a byte going out */
};

#define SETTLE_TIME (2 * DV_SECOND)

typedef struct mark {
    uint64_t next;   /* index behind the last event before it */
    uint64_t offset; /* in the connection's stream, of TCP */
    dv_time acked;   /* monotonic; 0: not yet */
} mark;

typedef struct syslog_sender {
    const dv_export_context *context;
    CURL *curl; /* NULL: no connection */
    int fd;
    dv_buf body;
    mark marks[MARKS_MAX];
    size_t mark_count;
    char errors[CURL_ERROR_SIZE];
} syslog_sender;

static void disconnect(syslog_sender *sender)
{
    if (sender->curl != NULL) {
        curl_easy_cleanup(sender->curl);
    }
    sender->curl = NULL;
    sender->fd = -1;
}

static dv_result syslog_open(const dv_export_context *context, void **ret_sender, dv_error *error)
{
    syslog_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    sender->context = context;
    sender->fd = -1;
    sender->body = dv_buf_init(BODY_MAX);
    *ret_sender = sender;
    return DV_OK;
}

static void syslog_close(void *data)
{
    syslog_sender *sender = data;
    if (sender != NULL) {
        disconnect(sender);
        dv_buf_release(&sender->body);
        free(sender);
    }
}

/* -- the connection ---------------------------------------------------------------------------- */

/* curl makes the connection and its TLS; HTTP is not spoken. */
static bool set_up(syslog_sender *sender)
{
    char url[URL_MAX];
    const char *said = sender->context->destination->url;
    bool with_tls = strncmp(said, "tls://", 6) == 0;
    CURL *curl = sender->curl;
    int len = snprintf(url, sizeof(url), "%s%s", with_tls ? "https://" : "http://", said + 6);
    return curl != NULL && len > 0 && len < URL_MAX &&
           dv_export_curl_set_up(curl, sender->context, sender->errors) &&
           curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK;
}

static dv_result connect_to(syslog_sender *sender, dv_error *error)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    unsigned stalled = STALLED_MS;
    sender->curl = curl_easy_init();
    sender->errors[0] = '\0';
    if (!set_up(sender)) {
        disconnect(sender);
        return dv_error_set(error, DV_ERR_NO_MEMORY, "curl can not be set up for syslog");
    }
    CURLcode code = curl_easy_perform(sender->curl);
    if (code != CURLE_OK ||
        curl_easy_getinfo(sender->curl, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK ||
        fd == CURL_SOCKET_BAD) {
        disconnect(sender);
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "%s",
                            sender->errors[0] != '\0' ? sender->errors : curl_easy_strerror(code));
    }
    sender->fd = fd;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stalled, sizeof(stalled));
    return DV_OK;
}

/* Receivers send nothing but TLS's own messages; whatever else comes is read away. */
static bool peer_is_there(syslog_sender *sender)
{
    char bytes[4096];
    size_t got = 0;
    CURLcode code = CURLE_OK;
    while (sender->curl != NULL && code == CURLE_OK) {
        code = curl_easy_recv(sender->curl, bytes, sizeof(bytes), &got);
        if (code == CURLE_OK && got == 0) {
            return false;
        }
    }
    return sender->curl != NULL && code == CURLE_AGAIN;
}

/* What is not settled is to be sent again. */
static dv_result lost(syslog_sender *sender, const char *why, dv_error *error)
{
    disconnect(sender);
    sender->mark_count = 0;
    return dv_error_set(error, DV_ERR_UNAVAILABLE, "the connection ended: %s", why);
}

/* -- sending ----------------------------------------------------------------------------------- */

static dv_result wait_for_room(syslog_sender *sender, int *stalled_ms, dv_error *error)
{
    struct pollfd fd = {.fd = sender->fd, .events = POLLOUT};
    int ready = poll(&fd, 1, WRITE_STEP_MS);
    *stalled_ms += ready == 0 ? WRITE_STEP_MS : 0;
    if (atomic_load_explicit(sender->context->stop, memory_order_relaxed)) {
        return lost(sender, "this process ends", error);
    }
    if (*stalled_ms >= STALLED_MS) {
        return lost(sender, "the receiver takes nothing", error);
    }
    return DV_OK;
}

static dv_result write_body(syslog_sender *sender, dv_error *error)
{
    dv_slice rest = dv_buf_slice(&sender->body);
    int stalled_ms = 0;
    while (rest.len > 0) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(sender->curl, rest.ptr, rest.len, &sent);
        if (code == CURLE_OK) {
            rest = dv_slice_sub(rest, sent, rest.len);
            stalled_ms = 0;
        } else if (code == CURLE_AGAIN) {
            DV_TRY(wait_for_room(sender, &stalled_ms, error));
        } else {
            return lost(sender, curl_easy_strerror(code), error);
        }
    }
    return DV_OK;
}

/* How much of the stream the receiver's kernel acknowledged; all: everything that was written. */
static uint64_t acknowledged(const syslog_sender *sender, bool *ret_all, uint64_t *ret_written)
{
    int unacknowledged = 0;
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);
    /* In this order: what is acknowledged between the two counts twice, and is waited for. */
    bool known = ioctl(sender->fd, SIOCOUTQ, &unacknowledged) == 0 &&
                 getsockopt(sender->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0;
    *ret_all = known && unacknowledged == 0;
    *ret_written = known ? info.tcpi_bytes_acked + (uint64_t)unacknowledged : UINT64_MAX;
    return known ? info.tcpi_bytes_acked : 0;
}

static void set_mark(syslog_sender *sender, uint64_t next)
{
    bool all;
    uint64_t written;
    (void)acknowledged(sender, &all, &written);
    /* With no room left the last one stands for more: it is settled later, never earlier. */
    size_t at = DV_MIN(sender->mark_count, (size_t)MARKS_MAX - 1);
    sender->marks[at] = (mark){next, written, 0};
    sender->mark_count = at + 1;
}

static dv_result syslog_send(void *data, dv_export_chunk *chunk, dv_error *error)
{
    syslog_sender *sender = data;
    const dv_export_context *context = sender->context;
    dv_buf_clear(&sender->body);
    for (size_t i = 0; i < chunk->count; i++) {
        DV_TRY(dv_export_put_syslog(&sender->body, &chunk->items[i]->event,
                                    context->destination->cef, context->host, chunk->arena));
    }
    if (sender->curl == NULL) {
        DV_TRY(connect_to(sender, error));
    }
    if (!peer_is_there(sender)) {
        return lost(sender, "the receiver closed it", error);
    }
    DV_TRY(write_body(sender, error));
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->items[i]->state = DV_EXPORT_DONE;
    }
    set_mark(sender, chunk->items[chunk->count - 1]->event.index + 1);
    return DV_OK;
}

/* -- what was received ------------------------------------------------------------------------- */

static void note_acknowledged(syslog_sender *sender, dv_time now)
{
    bool all;
    uint64_t written;
    uint64_t acked = acknowledged(sender, &all, &written);
    for (size_t i = 0; i < sender->mark_count; i++) {
        mark *one = &sender->marks[i];
        if (one->acked == 0 && (all || acked >= one->offset)) {
            one->acked = now;
        }
    }
}

static dv_result syslog_settle(void *data, uint64_t next, uint64_t *ret_next, dv_error *error)
{
    syslog_sender *sender = data;
    size_t settled = 0;
    if (sender->mark_count == 0) {
        *ret_next = next;
        return DV_OK;
    }
    if (!peer_is_there(sender)) {
        return lost(sender, "the receiver closed it", error);
    }
    dv_time now = dv_time_monotonic();
    note_acknowledged(sender, now);
    while (settled < sender->mark_count && sender->marks[settled].acked != 0 &&
           now - sender->marks[settled].acked >= SETTLE_TIME) {
        *ret_next = sender->marks[settled++].next;
    }
    sender->mark_count -= settled;
    memmove(sender->marks, sender->marks + settled, sender->mark_count * sizeof(mark));
    if (sender->mark_count == 0) {
        *ret_next = next;
    }
    return DV_OK;
}

const dv_export_kind dv_export_kind_syslog = {.open = syslog_open,
                                              .send = syslog_send,
                                              .settle = syslog_settle,
                                              .close = syslog_close,
                                              .events_max = EVENTS_MAX};
