/* SPDX-License-Identifier: Apache-2.0 */
/* Syslog over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425). */
#include "base/caps.h"
#include "crypto/tls.h"
#include "room/audit/collect/input.h"
#include "room/audit/collect/syslog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DATAGRAM_MAX = 65536,
    DATAGRAMS = 32, /* of one turn */
    SOCKET_BUFFER = 4 << 20,
    CONNECTIONS_MAX = 256,
    CHUNK = 64 << 10,
    READS = 4, /* of one turn and connection */
    PEER_MAX = INET6_ADDRSTRLEN,
};
static const dv_time handshake_max = 20 * DV_SECOND;

typedef struct connection {
    dv_watch watch;
    dv_tls *tls; /* NULL: plain TCP */
    dv_frames frames;
    uint8_t bytes[CHUNK];
    dv_slice left; /* of bytes: not yet taken apart */
    dv_frame held; /* was offered and not taken */
    bool has_held;
    bool ended;      /* nothing more will come */
    bool more;       /* the TLS layer may hold bytes that the socket does not tell of */
    bool has_spoken; /* its handshake is done */
    dv_time since;   /* monotonic */
    char peer[PEER_MAX];
    struct connection *next;
} connection;

typedef struct datagrams {
    uint8_t bytes[DATAGRAMS][DATAGRAM_MAX];
    uint8_t control[DATAGRAMS][CMSG_SPACE(sizeof(uint32_t))];
    struct iovec vectors[DATAGRAMS];
    struct sockaddr_storage peers[DATAGRAMS];
    struct mmsghdr headers[DATAGRAMS];
    size_t count; /* what was read */
    size_t at;    /* the next one to be taken */
} datagrams;

typedef struct syslog_input {
    dv_watch watch; /* of the listening, or UDP's, socket */
    datagrams *datagrams;
    uint32_t overflow; /* what the kernel counted last */
    dv_tls_server *tls;
    connection *connections;
    size_t connection_count;
} syslog_input;

/* ---- Addresses ---- */

static socklen_t make_address(const dv_collect_input *config, struct sockaddr_storage *address)
{
    struct sockaddr_in *four = (struct sockaddr_in *)address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)address;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, config->host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(config->port);
        return sizeof *four;
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(config->port);
    return inet_pton(AF_INET6, config->host, &six->sin6_addr) == 1 ? sizeof *six : 0;
}

static void peer_text(const struct sockaddr_storage *address, char out[PEER_MAX])
{
    const void *bytes = address->ss_family == AF_INET
                            ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
                            : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;
    if (inet_ntop(address->ss_family, bytes, out, PEER_MAX) == NULL) {
        out[0] = '\0';
    }
}

static dv_result open_socket(const dv_input *input, int type, int *ret_fd, dv_error *error)
{
    const int one = 1;
    const int room = SOCKET_BUFFER;
    struct sockaddr_storage address;
    socklen_t len = make_address(input->config, &address);
    dv_auto(fd) int fd = socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool stream = type == SOCK_STREAM;
    if (fd < 0 || (stream && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0) ||
        bind(fd, (const struct sockaddr *)&address, len) != 0 || (stream && listen(fd, 128) != 0)) {
        return dv_error_set(error, DV_ERR_CONFLICT, "can not listen on %s: %s",
                            input->config->listen, strerror(errno));
    }
    if (!stream) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
        (void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    }
    *ret_fd = fd;
    fd = -1;
    return DV_OK;
}

static dv_result take_message(dv_input *input, const dv_frame *frame, const char *peer)
{
    dv_line line = dv_input_line(input, frame);
    if (line.raw.len == 0) {
        return DV_OK;
    }
    line.peer = dv_slice_str(peer);
    (void)dv_syslog_read(line.raw, true, &line);
    return dv_input_take(input, &line, 0, NULL);
}

/* ---- UDP ---- */

/* What the socket's buffer could not hold since it was opened (socket(7), SO_RXQ_OVFL). */
static void note_overflow(dv_input *input, const struct msghdr *header)
{
    syslog_input *s = input->state;
    const struct cmsghdr *part = CMSG_FIRSTHDR(header);
    for (; part != NULL; part = CMSG_NXTHDR((struct msghdr *)header, (struct cmsghdr *)part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL) {
            uint32_t count = 0;
            memcpy(&count, CMSG_DATA(part), sizeof count);
            dv_trouble_add(&input->dropped, count - s->overflow);
            s->overflow = count;
        }
    }
}

static bool read_datagrams(dv_input *input)
{
    syslog_input *s = input->state;
    datagrams *d = s->datagrams;
    for (size_t i = 0; i < DATAGRAMS; i++) {
        d->vectors[i] = (struct iovec){d->bytes[i], DATAGRAM_MAX};
        d->headers[i].msg_hdr = (struct msghdr){.msg_name = &d->peers[i],
                                                .msg_namelen = sizeof d->peers[i],
                                                .msg_iov = &d->vectors[i],
                                                .msg_iovlen = 1,
                                                .msg_control = d->control[i],
                                                .msg_controllen = sizeof d->control[i]};
    }
    int count = recvmmsg(s->watch.fd, d->headers, DATAGRAMS, 0, NULL);
    d->count = count > 0 ? (size_t)count : 0;
    d->at = 0;
    for (size_t i = 0; i < d->count; i++) {
        note_overflow(input, &d->headers[i].msg_hdr);
    }
    return d->count > 0;
}

/* Over its rate, UDP is read and counted as dropped: waiting would drop it too, later and for
 * others. While blocked it is left to the kernel's buffer. */
static void take_datagrams(dv_input *input)
{
    syslog_input *s = input->state;
    datagrams *d = s->datagrams;
    for (; d->at < d->count; d->at++) {
        char peer[PEER_MAX];
        const dv_frame frame = {.bytes = {d->bytes[d->at], d->headers[d->at].msg_len},
                                .size = d->headers[d->at].msg_len};
        if (input->tokens < 1) {
            dv_trouble_add(&input->dropped, 1);
            continue;
        }
        peer_text(&d->peers[d->at], peer);
        if (take_message(input, &frame, peer) != DV_OK) {
            return;
        }
    }
}

static void datagrams_ready(dv_watch *watch, uint32_t events)
{
    dv_input *input = watch->input;
    const syslog_input *s = input->state;
    take_datagrams(input);
    if (s->datagrams->at == s->datagrams->count && read_datagrams(input)) {
        take_datagrams(input);
    }
}

/* ---- Connections ---- */

static void close_connection(connection *c)
{
    syslog_input *s = c->watch.input->state;
    connection **at = &s->connections;
    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    s->connection_count--;
    dv_watch_stop(&c->watch);
    dv_tls_free(c->tls);
    close(c->watch.fd);
    dv_frames_release(&c->frames);
    free(c);
}

/* False: it can not be taken now, and is held. */
static bool offer(connection *c, const dv_frame *frame)
{
    dv_result result = take_message(c->watch.input, frame, c->peer);
    c->has_held = result == DV_ERR_UNAVAILABLE;
    c->held = *frame;
    return !c->has_held;
}

/* Takes what was read. True: all of it is. */
static bool drain(connection *c)
{
    dv_frame frame;
    if (c->has_held && !offer(c, &c->held)) {
        return false;
    }
    while (dv_input_may_take(c->watch.input) && dv_frames_next(&c->frames, &c->left, &frame)) {
        if (!offer(c, &frame)) {
            return false;
        }
    }
    return c->left.len == 0 || c->frames.broken;
}

static dv_result read_more(connection *c, size_t *ret_len)
{
    dv_error error = {0};
    bool writes = false;
    if (c->tls != NULL) {
        dv_result result = dv_tls_read(c->tls, c->bytes, sizeof c->bytes, ret_len, &writes, &error);
        if (result == DV_ERR_AGAIN) {
            (void)!dv_watch_start(&c->watch, writes ? EPOLLOUT : EPOLLIN);
        } else if (result == DV_ERR_IO) {
            c->watch.input->counts.refused += !c->has_spoken;
            dv_collector_say(c->watch.input->collector, "%s: %s: %s", c->watch.input->config->name,
                             c->peer, error.message);
        }
        return result;
    }
    ssize_t len = recv(c->watch.fd, c->bytes, sizeof c->bytes, 0);
    if (len < 0) {
        return errno == EAGAIN || errno == EINTR ? DV_ERR_AGAIN : DV_ERR_IO;
    }
    *ret_len = (size_t)len;
    return len == 0 ? DV_ERR_NOT_FOUND : DV_OK;
}

static void finish_connection(connection *c)
{
    dv_frame frame;
    if (c->frames.broken) {
        dv_trouble_add(&c->watch.input->lost, 1);
        dv_collector_say(c->watch.input->collector, "%s: %s: what came is no syslog framing",
                         c->watch.input->config->name, c->peer);
    } else if (dv_frames_last(&c->frames, &frame) && !offer(c, &frame)) {
        return; /* once more when there is room */
    }
    close_connection(c);
}

static void connection_work(connection *c)
{
    c->more = false;
    for (int i = 0; i < READS; i++) {
        size_t len = 0;
        if (!drain(c)) {
            return;
        }
        if (c->ended || c->frames.broken) {
            finish_connection(c);
            return;
        }
        dv_result result = read_more(c, &len);
        if (result == DV_ERR_AGAIN) {
            return;
        }
        c->ended = result != DV_OK;
        c->has_spoken = true;
        c->left = dv_slice_of(c->bytes, len);
    }
    if (c->ended || c->tls != NULL) {
        c->more = true;
        dv_collector_busy(c->watch.input->collector);
    }
}

static void connection_ready(dv_watch *watch, uint32_t events)
{
    connection_work((connection *)watch); /* its first member */
}

static dv_result make_connection(dv_input *input, int fd, const struct sockaddr_storage *peer)
{
    syslog_input *s = input->state;
    connection *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    c->watch = (dv_watch){.fd = fd, .input = input, .ready = connection_ready};
    c->frames = dv_frames_init(true);
    c->since = dv_time_monotonic();
    peer_text(peer, c->peer);
    if ((s->tls != NULL && dv_tls_accept(s->tls, fd, &c->tls) != DV_OK) ||
        dv_watch_start(&c->watch, EPOLLIN) != DV_OK) {
        dv_tls_free(c->tls);
        dv_frames_release(&c->frames);
        free(c);
        return DV_ERR_NO_MEMORY;
    }
    c->next = s->connections;
    s->connections = c;
    s->connection_count++;
    return DV_OK;
}

static void listener_ready(dv_watch *watch, uint32_t events)
{
    dv_input *input = watch->input;
    const syslog_input *s = input->state;
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    const int one = 1;
    int fd = accept4(watch->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (s->connection_count >= CONNECTIONS_MAX || make_connection(input, fd, &peer) != DV_OK) {
        input->counts.refused++;
        close(fd);
    }
}

/* ---- The kind ---- */

static void syslog_close(dv_input *input)
{
    syslog_input *s = input->state;
    while (s->connections != NULL) {
        close_connection(s->connections);
    }
    dv_watch_stop(&s->watch);
    dv_fd_close(&s->watch.fd);
    dv_tls_server_free(s->tls);
    free(s->datagrams);
    free(s);
    input->state = NULL;
}

static dv_result syslog_open(dv_input *input, dv_error *error)
{
    const dv_collect_input *config = input->config;
    bool udp = config->transport == DV_COLLECT_UDP;
    syslog_input *s = calloc(1, sizeof *s);
    input->state = s;
    if (s == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    s->watch =
        (dv_watch){.fd = -1, .input = input, .ready = udp ? datagrams_ready : listener_ready};
    if (udp && (s->datagrams = calloc(1, sizeof *s->datagrams)) == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (config->transport == DV_COLLECT_TLS) {
        DV_TRY(dv_tls_server_new(config->certificate, config->key, config->client_ca,
                                 config->tls_12, &s->tls, error));
    }
    DV_TRY(open_socket(input, udp ? SOCK_DGRAM : SOCK_STREAM, &s->watch.fd, error));
    return dv_watch_start(&s->watch, EPOLLIN);
}

static void syslog_pause(dv_input *input, bool paused)
{
    syslog_input *s = input->state;
    if (s->datagrams != NULL) {
        /* Only a full disk stops the reading: see take_datagrams. */
        if (paused && dv_collector_is_blocked(input->collector)) {
            dv_watch_stop(&s->watch);
        } else {
            (void)!dv_watch_start(&s->watch, EPOLLIN);
        }
        return;
    }
    for (connection *c = s->connections; c != NULL; c = c->next) {
        if (paused) {
            dv_watch_stop(&c->watch);
        } else {
            (void)!dv_watch_start(&c->watch, EPOLLIN);
            c->more = true;
        }
    }
}

static void syslog_tick(dv_input *input)
{
    syslog_input *s = input->state;
    dv_time now = dv_time_monotonic();
    if (s->datagrams != NULL && !dv_collector_is_blocked(input->collector)) {
        (void)!dv_watch_start(&s->watch, EPOLLIN);
        take_datagrams(input);
    }
    connection *next = NULL;
    for (connection *c = s->connections; c != NULL; c = next) {
        next = c->next;
        if (c->more && !input->paused) {
            connection_work(c);
        } else if (c->tls != NULL && !c->has_spoken && now - c->since > handshake_max) {
            input->counts.refused++;
            close_connection(c);
        }
    }
}

const dv_input_kind dv_input_syslog = {syslog_open, syslog_close, syslog_pause, syslog_tick};
