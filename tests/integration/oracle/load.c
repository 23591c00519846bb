/* SPDX-License-Identifier: Apache-2.0 */
/* Callers that ask as fast as they can, from several addresses, with many keys, and in every way
 * that matters to limits: with and without max_tokens, several choices, streams, streams and whole
 * answers that nobody waits for.
 *
 *   oracle_load PORT KEYS-FILE CONNECTIONS REQUESTS
 *
 * Prints "STATUS COUNT" for each status in the end; 0 stands for no whole answer. */
#include "base/clock.h"
#include "base/slice.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 512,
    KEYS_MAX = 1024,
    KEY_LEN = 64,
    ANSWER_MAX = 64 << 10,
    ADDRESSES = 8,
    PATIENCE_S = 20,
};

typedef enum way { WHOLE, LEAVES_STREAM, LEAVES_AT_ONCE } way;

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}]"

#define PROMPT "\"prompt\":\"hello there\""
#define CHAT "/v1/chat/completions"
#define STREAM "/v1/completions"

static const struct {
    const char *path;
    const char *body;
    way way;
} kinds[] = {
    {CHAT, "{\"model\":\"m\"," MESSAGES "}", WHOLE},
    {CHAT, "{\"model\":\"m\",\"max_tokens\":50," MESSAGES "}", WHOLE},
    {CHAT, "{\"model\":\"m\",\"max_tokens\":50," MESSAGES "}", WHOLE},
    {CHAT, "{\"model\":\"m\",\"max_tokens\":40,\"n\":3," MESSAGES "}", WHOLE},
    {STREAM, "{\"model\":\"m\",\"max_tokens\":200,\"stream\":true," PROMPT "}", WHOLE},
    {STREAM, "{\"model\":\"m\",\"max_tokens\":900,\"stream\":true," PROMPT "}", LEAVES_STREAM},
    {CHAT, "{\"model\":\"m\",\"max_tokens\":60," MESSAGES "}", LEAVES_AT_ONCE},
    {STREAM, "{\"model\":\"m\",\"max_tokens\":60,\"stream\":true," PROMPT "}", LEAVES_AT_ONCE},
};

typedef struct caller {
    int fd; /* -1: not connected */
    bool busy;
    way way;
    unsigned number;
    dv_time began;
    dv_time not_before;
    size_t len;
    char answer[ANSWER_MAX + 1];
} caller;

static char keys[KEYS_MAX][KEY_LEN];
static unsigned key_count;
static unsigned long sent, wanted;
static unsigned long counts[600];
static struct sockaddr_in address = {.sin_family = AF_INET};
static uint64_t seed = 88172645463325252;

static unsigned pick(unsigned count)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 20) % count;
}

static void settle(caller *c, int status)
{
    counts[status > 0 && status < 600 ? status : 0]++;
    c->busy = false;
    c->len = 0;
}

static void hang_up(caller *c, dv_time pause)
{
    if (c->busy) {
        settle(c, 0);
    }
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
    }
    c->not_before = dv_time_monotonic() + pause;
}

static bool dial(caller *c)
{
    int yes = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->number % ADDRESSES);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        return false;
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) {
        hang_up(c, 20 * DV_MILLISECOND);
        return false;
    }
    return true;
}

static void ask(caller *c)
{
    char request[1024];
    unsigned kind = pick(DV_ARRAY_LEN(kinds));
    int len = snprintf(request, sizeof(request),
                       "POST %s HTTP/1.1\r\nHost: gate\r\n"
                       "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       kinds[kind].path, keys[pick(key_count)], strlen(kinds[kind].body),
                       kinds[kind].body);
    if (c->fd < 0 && !dial(c)) {
        return;
    }
    c->busy = true;
    c->way = kinds[kind].way;
    c->began = dv_time_monotonic();
    c->len = 0;
    sent++;
    if (write(c->fd, request, (size_t)len) != len) {
        hang_up(c, 20 * DV_MILLISECOND);
    } else if (c->way == LEAVES_AT_ONCE && pick(2) == 0) {
        hang_up(c, 0);
    }
}

/* The whole answer is there, by its length or its last chunk. */
static bool is_whole(const caller *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) {
        return false;
    }
    const char *length = strcasestr(c->answer, "\r\ncontent-length:");
    if (length != NULL && length < end) {
        return c->len >= (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
    }
    return c->len >= 5 && memcmp(c->answer + c->len - 5, "0\r\n\r\n", 5) == 0;
}

static void hear(caller *c)
{
    ssize_t got = read(c->fd, c->answer + c->len, ANSWER_MAX - c->len);
    if (got <= 0) {
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            hang_up(c, 5 * DV_MILLISECOND);
        }
        return;
    }
    c->len += (size_t)got;
    c->answer[c->len] = '\0';
    if (c->way == LEAVES_STREAM && strstr(c->answer, "\"text\"") != NULL) {
        hang_up(c, 0);
    } else if (is_whole(c)) {
        settle(c, (int)strtol(c->answer + 9, NULL, 10));
    } else if (c->len == ANSWER_MAX) {
        hang_up(c, 0);
    }
}

static unsigned begin_all(caller *callers, unsigned count)
{
    unsigned busy = 0;
    dv_time now = dv_time_monotonic();
    for (unsigned i = 0; i < count; i++) {
        caller *c = &callers[i];
        if (c->busy && now - c->began > PATIENCE_S * DV_SECOND) {
            hang_up(c, 0);
        }
        if (!c->busy && sent < wanted && now >= c->not_before) {
            ask(c);
        }
        busy += c->busy;
    }
    return busy;
}

static void run(caller *callers, unsigned count)
{
    static struct pollfd polls[CONNECTIONS_MAX];
    while (begin_all(callers, count) > 0 || sent < wanted) {
        for (unsigned i = 0; i < count; i++) {
            polls[i] = (struct pollfd){callers[i].busy ? callers[i].fd : -1, POLLIN, 0};
        }
        if (poll(polls, count, 5) <= 0) {
            continue;
        }
        for (unsigned i = 0; i < count; i++) {
            if (polls[i].revents != 0 && callers[i].busy) {
                hear(&callers[i]);
            }
        }
    }
}

static bool read_keys(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return false;
    }
    while (key_count < KEYS_MAX && fgets(keys[key_count], KEY_LEN, file) != NULL) {
        keys[key_count][strcspn(keys[key_count], "\n")] = '\0';
        key_count++;
    }
    (void)fclose(file);
    return key_count > 0;
}

int main(int argc, char **argv)
{
    unsigned count = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (count == 0 || count > CONNECTIONS_MAX || !read_keys(argv[2])) {
        (void)fputs("usage: oracle_load PORT KEYS-FILE CONNECTIONS REQUESTS\n", stderr);
        return 2;
    }
    caller *callers = calloc(count, sizeof(*callers));
    if (callers == NULL) {
        return 1;
    }
    address.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    wanted = strtoul(argv[4], NULL, 10);
    for (unsigned i = 0; i < count; i++) {
        callers[i].fd = -1;
        callers[i].number = i;
    }
    run(callers, count);
    for (int status = 0; status < 600; status++) {
        if (counts[status] > 0) {
            (void)printf("%d %lu\n", status, counts[status]);
        }
    }
    free(callers);
    return 0;
}
