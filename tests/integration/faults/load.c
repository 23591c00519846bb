/* SPDX-License-Identifier: Apache-2.0 */
/* A caller that keeps a ledger: sends requests over keep-alive connections until it is told to end,
 * and prints one line for each: "MARK KIND STATUS REQUEST-ID MICROSECONDS". STATUS is 0 when no
 * whole answer came; then nothing was acknowledged.
 *
 *   fault_load PORT KEY CONNECTIONS REQUESTS-A-SECOND PREFIX */
#include "base/clock.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, ANSWER_MAX = 64 << 10, REQUEST_MAX = 4 << 10, PATIENCE_S = 20 };

typedef enum kind { CHAT, STREAM, DENIED, KIND_COUNT } kind;

static const char *const kind_names[] = {"chat", "stream", "denied"};
static const char *const paths[] = {"/v1/chat/completions", "/v1/completions",
                                    "/v1/chat/completions"};
/* What stands around the text that every request holds: its mark, and a card number that no model
 * server may see. */
static const char chat_head[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"";
static const char *const heads[] = {chat_head, "{\"model\":\"m\",\"stream\":true,\"prompt\":\"",
                                    chat_head};
static const char *const tails[] = {"\"}]}", "\"}", "\"}]}"};

typedef struct caller {
    int fd; /* -1: not connected */
    bool busy;
    kind kind;
    char mark[64];
    dv_time began;
    dv_time not_before; /* monotonic, of the next request */
    size_t len;
    char answer[ANSWER_MAX + 1];
} caller;

static volatile sig_atomic_t ending;
static const char *key;
static const char *prefix;
static struct sockaddr_in address = {.sin_family = AF_INET};
static unsigned long sent;

static void on_signal(int number)
{
    ending = 1;
}

static void settle(caller *c, int status, const char *id)
{
    printf("%s %s %d %s %lld\n", c->mark, kind_names[c->kind], status, id,
           (long long)((dv_time_monotonic() - c->began) / 1000));
    c->busy = false;
    c->len = 0;
}

static void hang_up(caller *c)
{
    if (c->busy) {
        settle(c, 0, "-");
    }
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->not_before = dv_time_monotonic() + 5 * DV_MILLISECOND;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void begin(caller *c)
{
    char body[REQUEST_MAX];
    char request[2 * REQUEST_MAX];
    c->kind = (kind)(sent % 8 == 7 ? DENIED : sent % 4 == 3 ? STREAM : CHAT);
    snprintf(c->mark, sizeof c->mark, "%s%lu", prefix, sent++);
    c->began = dv_time_monotonic();
    c->busy = true;
    int len = snprintf(body, sizeof body, "%sMARK-%s my card is 4111 1111 1111 1111%s",
                       heads[c->kind], c->mark, tails[c->kind]);
    len = snprintf(request, sizeof request,
                   "POST %s HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s%s\r\n"
                   "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                   paths[c->kind], key, c->kind == DENIED ? "x" : "", len, body);
    if (!send_all(c->fd, request, (size_t)len)) {
        hang_up(c);
    }
}

static void dial(caller *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        hang_up(c);
    }
}

/* The value of a header of the answer's head, which ends at `end`. */
static dv_slice header(const caller *c, const char *end, const char *name)
{
    dv_slice rest = dv_slice_of(c->answer, (size_t)(end - c->answer));
    dv_slice line;
    while (dv_slice_split(&rest, '\n', &line)) {
        dv_slice head = dv_slice_sub(line, 0, strlen(name));
        if (dv_slice_eq_nocase(head, dv_slice_str(name))) {
            return dv_slice_trim(dv_slice_sub(line, strlen(name), line.len));
        }
    }
    return (dv_slice){0};
}

/* Whether all of the answer's body is there. */
static bool is_whole(const caller *c, const char *body, bool chunked, dv_slice length)
{
    size_t got = c->len - (size_t)(body - c->answer);
    if (chunked) {
        return got >= 5 && memcmp(c->answer + c->len - 5, "0\r\n\r\n", 5) == 0;
    }
    char digits[24];
    snprintf(digits, sizeof digits, "%.*s", DV_SLICE_ARGS(length));
    return got >= strtoul(digits, NULL, 10);
}

static void look(caller *c)
{
    char id[64];
    c->answer[c->len] = '\0';
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) {
        return;
    }
    dv_slice length = header(c, end + 2, "content-length:");
    if (!is_whole(c, end + 4, length.len == 0, length)) {
        return;
    }
    bool closes = dv_slice_eq_nocase(header(c, end + 2, "connection:"), DV_LIT("close"));
    snprintf(id, sizeof id, "%.*s", DV_SLICE_ARGS(header(c, end + 2, "x-request-id:")));
    settle(c, (int)strtol(c->answer + strlen("HTTP/1.1 "), NULL, 10), id[0] != '\0' ? id : "-");
    if (closes) {
        hang_up(c);
    }
}

static void listen_to(caller *c)
{
    ssize_t n = recv(c->fd, c->answer + c->len, ANSWER_MAX - c->len, MSG_DONTWAIT);
    if (n > 0) {
        c->len += (size_t)n;
        look(c);
    } else if (n == 0 || errno != EAGAIN) {
        hang_up(c);
    }
}

static void step(caller *c, dv_time now, dv_time interval)
{
    if (c->busy && now - c->began > PATIENCE_S * DV_SECOND) {
        hang_up(c);
    }
    if (c->busy || ending != 0 || now < c->not_before) {
        return;
    }
    c->not_before = now + interval;
    if (c->fd < 0) {
        dial(c);
    }
    if (c->fd >= 0) {
        begin(c);
    }
}

/* After the signal, what is under way may still be answered for a while. */
static void run(caller *callers, size_t count, dv_time interval)
{
    struct pollfd fds[CONNECTIONS_MAX];
    dv_time end = 0;
    for (bool busy = true; ending == 0 || (busy && dv_time_monotonic() < end);) {
        end = ending != 0 && end == 0 ? dv_time_monotonic() + 3 * DV_SECOND : end;
        busy = false;
        for (size_t i = 0; i < count; i++) {
            step(&callers[i], dv_time_monotonic(), interval);
            fds[i] = (struct pollfd){.fd = callers[i].fd, .events = POLLIN};
            busy = busy || callers[i].busy;
        }
        if (poll(fds, count, 2) <= 0) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            if (fds[i].revents != 0 && callers[i].fd >= 0) {
                listen_to(&callers[i]);
            }
        }
    }
}

int main(int argc, char **argv)
{
    static caller callers[CONNECTIONS_MAX];
    if (argc != 6) {
        fputs("usage: fault_load PORT KEY CONNECTIONS REQUESTS-A-SECOND PREFIX\n", stderr);
        return 2;
    }
    key = argv[2];
    prefix = argv[5];
    size_t count = strtoul(argv[3], NULL, 10);
    count = DV_MAX((size_t)1, DV_MIN(count, (size_t)CONNECTIONS_MAX));
    address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGTERM, on_signal);
    for (size_t i = 0; i < count; i++) {
        callers[i].fd = -1;
    }
    unsigned long rate = strtoul(argv[4], NULL, 10);
    run(callers, count, (dv_time)count * DV_SECOND / (dv_time)DV_MAX(rate, 1UL));
    for (size_t i = 0; i < count; i++) {
        hang_up(&callers[i]);
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
