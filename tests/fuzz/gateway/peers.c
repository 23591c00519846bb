/* SPDX-License-Identifier: Apache-2.0 */
/* Callers and the model server: sockets that never block. */
#include "fuzz/gateway/gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CALLERS_MAX = 4,
    UPSTREAMS_MAX = 16,
    REPLIES_MAX = 256,
    IN_MAX = 4 << 20,
    TURNS_MAX = 20000,
    BRIEF_TURNS = 100,
    THREAD_MS = 20000,
    PIECE_MS = 100,
    RECEIVE_BUFFER = 8 << 10, /* small, so that a caller that reads nothing is felt */
};

typedef struct caller {
    int fd;
    bool paused;
    bool ended; /* nothing more will come */
    dv_buf in;
} caller;

typedef struct upstream {
    int fd;
    bool has_head; /* of the request that is coming in */
    size_t length; /* of its body */
    size_t at;     /* of `in`: where it begins */
    unsigned owed; /* requests without an answer */
    dv_buf in;
} upstream;

typedef struct reply {
    reply_kind kind;
    dv_slice bytes; /* of the input, which outlives it */
} reply;

static caller callers[CALLERS_MAX];
static size_t caller_count;
static upstream upstreams[UPSTREAMS_MAX];
static size_t upstream_count;
static reply replies[REPLIES_MAX];
static size_t reply_count;
static size_t reply_next;
static reply last; /* never REPLY_AGAIN */
static bool scripted;
static dv_buf text = {.max = IN_MAX};

static void must(dv_result result)
{
    if (result != DV_OK) {
        gate_fail("the target's own buffers are too small");
    }
}

static void send_all(int fd, dv_slice bytes)
{
    if (fd >= 0 && bytes.len > 0) {
        (void)!send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

/* Without what TCP keeps for a minute; a run makes more connections than there are ports. */
static void reset(int *fd)
{
    struct linger now = {.l_onoff = 1};
    if (*fd >= 0) {
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        (void)close(*fd);
        *fd = -1;
    }
}

static void leave(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* False: the end. Who was sent more than there is room for goes away: a reply may be said again two
 * hundred times, which is no fault of the gate. */
static bool receive(int fd, dv_buf *in)
{
    uint8_t bytes[16 << 10];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0 && dv_buf_append(in, dv_slice_of(bytes, (size_t)n)) != DV_OK) {
        return false;
    }
    return n > 0 || (n < 0 && errno == EAGAIN);
}

void peers_fill(dv_slice bytes, dv_buf *out)
{
    static const char words[] = "a river, a field and a well behind the old house of the village ";
    size_t kilobytes = bytes.len > 0 ? bytes.ptr[0] : 1;
    for (size_t i = 0; i < kilobytes << 4; i++) {
        must(dv_buf_append(out, dv_slice_of(words, 64)));
    }
}

/* ---- callers ---- */

void caller_connect(void)
{
    int size = RECEIVE_BUFFER;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)gate.port),
                                  .sin_addr.s_addr = inet_addr(gate.address)};
    if (caller_count == CALLERS_MAX) {
        return;
    }
    caller *made = &callers[caller_count];
    made->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    made->paused = false;
    made->ended = false;
    (void)setsockopt(made->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (made->fd < 0 || (connect(made->fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
                         errno != EINPROGRESS)) {
        gate_fail("no connection to the gate: %s", strerror(errno));
    }
    made->in.max = IN_MAX;
    dv_buf_clear(&made->in);
    caller_count++;
}

static caller *current(void)
{
    if (caller_count == 0) {
        caller_connect();
    }
    return &callers[caller_count - 1];
}

void caller_send(dv_slice bytes)
{
    send_all(current()->fd, bytes);
}

void caller_half_close(void)
{
    (void)shutdown(current()->fd, SHUT_WR);
}

void caller_close(void)
{
    leave(&current()->fd);
}

void caller_reset(void)
{
    reset(&current()->fd);
}

void caller_pause(bool paused)
{
    current()->paused = paused;
}

size_t callers_known(void)
{
    return caller_count;
}

dv_slice caller_received(size_t index)
{
    return dv_buf_slice(&callers[index].in);
}

/* ---- the model server ---- */

static size_t content_length(dv_slice head)
{
    static const dv_slice name = {(const uint8_t *)"\r\nContent-Length: ", 18};
    ptrdiff_t at = dv_slice_find(head, name);
    return at < 0 ? 0 : strtoul((const char *)head.ptr + at + name.len, NULL, 10);
}

/* Takes in what has come whole. What of a body came is looked at in any case. */
static void read_requests(upstream *server)
{
    for (;;) {
        dv_slice in = dv_slice_sub(dv_buf_slice(&server->in), server->at, server->in.len);
        ptrdiff_t end = dv_slice_find(in, DV_LIT("\r\n\r\n"));
        if (end < 0) {
            return;
        }
        dv_slice head = dv_slice_sub(in, 0, (size_t)end + 4);
        server->length = content_length(head);
        dv_slice body = dv_slice_sub(in, head.len, server->length);
        oracle_check_request(head, body);
        server->has_head = body.len < server->length;
        if (server->has_head) {
            return;
        }
        server->at += head.len + body.len;
        server->owed++;
    }
}

static void accept_upstream(void)
{
    int fd = accept4(gate.upstream_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || upstream_count == UPSTREAMS_MAX) {
        reset(&fd);
        return;
    }
    upstream *server = &upstreams[upstream_count++];
    dv_buf in = server->in;
    *server = (upstream){.fd = fd, .in = in};
    server->in.max = IN_MAX;
    dv_buf_clear(&server->in);
}

/* The one that an answer is for. */
static upstream *waiting(void)
{
    for (size_t i = upstream_count; i > 0; i--) {
        upstream *server = &upstreams[i - 1];
        if (server->fd >= 0 && (server->owed > 0 || server->has_head)) {
            return server;
        }
    }
    return NULL;
}

static void make_mirror(const upstream *server)
{
    dv_slice in = dv_buf_slice(&server->in);
    dv_slice body =
        dv_slice_sub(in, server->at - DV_MIN(server->at, server->length), server->length);
    must(dv_buf_append_str(&text, "{\"choices\":[{\"index\":0,\"message\":{\"content\":"));
    must(dv_buf_append_json_string(&text, body));
    must(dv_buf_append_str(&text, "}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"));
}

static void send_body(upstream *server, dv_slice body)
{
    dv_auto(buf) dv_buf out = dv_buf_init(IN_MAX);
    must(dv_buf_append_printf(&out, "Content-Length: %zu\r\n\r\n", body.len));
    must(dv_buf_append(&out, body));
    send_all(server->fd, dv_buf_slice(&out));
    server->owed -= server->owed > 0;
}

static void send_mirror(upstream *server)
{
    dv_buf_clear(&text);
    make_mirror(server);
    send_all(server->fd, DV_LIT("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"));
    send_body(server, dv_buf_slice(&text));
}

static void send_chunk(upstream *server, dv_slice bytes)
{
    dv_buf_clear(&text);
    must(dv_buf_append_printf(&text, "%zx\r\n", bytes.len));
    must(dv_buf_append(&text, bytes));
    must(dv_buf_append_str(&text, "\r\n"));
    send_all(server->fd, dv_buf_slice(&text));
}

static void send_filler(upstream *server, dv_slice bytes)
{
    dv_buf_clear(&text);
    peers_fill(bytes, &text);
    send_all(server->fd, dv_buf_slice(&text));
}

static void send_reply(upstream *server, const reply *next)
{
    switch (next->kind) {
    case REPLY_BYTES:
        send_all(server->fd, next->bytes);
        break;
    case REPLY_BODY:
        send_body(server, next->bytes);
        break;
    case REPLY_CHUNK:
        send_chunk(server, next->bytes);
        server->owed -= next->bytes.len == 0 && server->owed > 0;
        break;
    case REPLY_MIRROR:
        send_mirror(server);
        break;
    case REPLY_FILLER:
        send_filler(server, next->bytes);
        break;
    case REPLY_AGAIN:
        for (size_t i = next->bytes.len > 0 ? next->bytes.ptr[0] : 0; i > 0; i--) {
            send_reply(server, &last);
        }
        break;
    case REPLY_CLOSE:
        leave(&server->fd);
        break;
    case REPLY_RESET:
        reset(&server->fd);
        break;
    }
}

void upstream_reply(reply_kind kind, dv_slice bytes)
{
    scripted = true;
    if (reply_count < REPLIES_MAX) {
        replies[reply_count++] = (reply){kind, bytes};
    }
}

static bool give_reply(void)
{
    upstream *server = waiting();
    if (server == NULL || (scripted && reply_next == reply_count)) {
        return false;
    }
    if (!scripted) {
        send_mirror(server);
        return true;
    }
    const reply *next = &replies[reply_next++];
    send_reply(server, next);
    last = next->kind == REPLY_AGAIN ? last : *next;
    return true;
}

/* ---- both ---- */

static void watch(struct pollfd *fds, size_t *count, int fd)
{
    fds[(*count)++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void read_caller(caller *from)
{
    if (!receive(from->fd, &from->in)) {
        from->ended = true;
    }
}

static void read_upstream(upstream *server)
{
    if (!receive(server->fd, &server->in)) {
        leave(&server->fd);
    }
    read_requests(server);
}

/* Looks who has something to do, and lets it. False: nobody has, for that many milliseconds. */
static bool turn(int patience)
{
    struct pollfd fds[2 + CALLERS_MAX + UPSTREAMS_MAX];
    size_t count = 0;
    size_t known = upstream_count;
    watch(fds, &count, gate_poll_fd());
    watch(fds, &count, gate.upstream_fd);
    for (size_t i = 0; i < caller_count; i++) {
        watch(fds, &count, callers[i].paused || callers[i].ended ? -1 : callers[i].fd);
    }
    for (size_t i = 0; i < known; i++) {
        watch(fds, &count, upstreams[i].fd);
    }
    bool posted = gate_has_posted();
    int ready = poll(fds, count, posted ? 0 : patience);
    if (ready < 0) {
        return errno == EINTR; /* libFuzzer's alarm */
    }
    if (ready == 0 && !posted) {
        return false;
    }
    if (fds[0].revents != 0 || posted) {
        gate_turn();
    }
    if (fds[1].revents != 0) {
        accept_upstream();
    }
    for (size_t i = 0; i < caller_count; i++) {
        if (fds[2 + i].revents != 0) {
            read_caller(&callers[i]);
        }
    }
    for (size_t i = 0; i < known; i++) {
        if (fds[2 + caller_count + i].revents != 0) {
            read_upstream(&upstreams[i]);
        }
    }
    return true;
}

/* Waits in pieces, so that a time in which the whole process was stopped counts little. */
static bool turn_of_a_thread(void)
{
    for (unsigned waited = 0; waited < THREAD_MS; waited += PIECE_MS) {
        if (turn(PIECE_MS)) {
            return true;
        }
    }
    return false;
}

void peers_pump(void)
{
    unsigned turns = 0;
    while (turn(0) || give_reply() || (gate_computes() && turn_of_a_thread())) {
        if (++turns == TURNS_MAX) {
            gate_fail("nginx does not come to rest");
        }
    }
    if (gate_computes()) {
        gate_fail("a thread does not end");
    }
}

void peers_pump_briefly(void)
{
    for (unsigned turns = 0; turns < BRIEF_TURNS && (turn(0) || give_reply()); turns++) {
    }
}

void peers_begin(void)
{
    caller_count = 0;
    upstream_count = 0;
    reply_count = 0;
    reply_next = 0;
    scripted = false;
    last = (reply){.kind = REPLY_BYTES};
    oracle_reset();
}

/* Everyone leaves, then every timer of nginx has passed. */
void peers_end(void)
{
    for (size_t i = 0; i < caller_count; i++) {
        reset(&callers[i].fd);
    }
    peers_pump();
    for (size_t i = 0; i < upstream_count; i++) {
        reset(&upstreams[i].fd);
    }
    peers_pump();
    for (unsigned i = 0; i < 4; i++) {
        gate_pass_time(400 * 1000);
        peers_pump();
    }
    for (size_t i = 0; i < upstream_count; i++) {
        reset(&upstreams[i].fd);
    }
    peers_pump();
}
