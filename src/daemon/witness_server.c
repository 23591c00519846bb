/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/witness_server.h"

#include "base/clock.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 128,
    THREADS = 4,
    CONNECTIONS_MAX = 256,
    CONNECTIONS_PER_ADDRESS = 64, /* one proxy may stand before it */
    IDLE_SECONDS = 30,
    HEAD_MAX = 32 << 10, /* bytes of memory for a connection's head */
    ANSWER_MAX = DV_NOTE_MAX,
};

struct dv_witness_server {
    dv_witness *witness;
    struct MHD_Daemon *daemon;
};

/* What comes before the answer is made. */
typedef struct request {
    dv_buf body;
    bool too_large;
} request;

typedef struct answer {
    unsigned status;
    const char *type;
    dv_buf body;
} answer;

static const char plain[] = "text/plain; charset=utf-8";

/* -- answers ----------------------------------------------------------------------------------- */

static void answer_text(answer *out, unsigned status, const char *text)
{
    dv_buf_clear(&out->body);
    out->status = status;
    if (dv_buf_append_printf(&out->body, "%s\n", text) != DV_OK) {
        dv_buf_clear(&out->body);
    }
}

static void answer_add(dv_witness_server *server, const request *taken, answer *out)
{
    uint64_t now = (uint64_t)(dv_time_now() / DV_SECOND);
    if (taken->too_large) {
        answer_text(out, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
        return;
    }
    out->status = dv_witness_add(server->witness, dv_buf_slice(&taken->body), now, &out->body);
    if (out->status == DV_WITNESS_OTHER_SIZE) {
        out->type = "text/x.tlog.size";
    } else if (out->status == DV_WITNESS_INCONSISTENT || out->status == DV_WITNESS_FAILED) {
        fprintf(stderr, "dvara-witness: %u: %.*s", out->status,
                DV_SLICE_ARGS(dv_buf_slice(&out->body)));
    }
}

/* "/<64 digits>/checkpoint" */
static void answer_get(dv_witness_server *server, const char *url, answer *out)
{
    static const char ending[] = "/checkpoint";
    dv_slice path = dv_slice_str(url);
    if (strcmp(url, "/healthz") == 0) {
        answer_text(out, MHD_HTTP_OK, "ok");
        return;
    }
    if (path.len != 1 + DV_ORIGIN_HASH_LEN + sizeof(ending) - 1 ||
        !dv_slice_ends_with(path, dv_slice_str(ending)) ||
        dv_witness_get(server->witness, dv_slice_sub(path, 1, DV_ORIGIN_HASH_LEN), &out->body) !=
            DV_OK) {
        answer_text(out, MHD_HTTP_NOT_FOUND, "there is nothing here");
    }
}

static void answer_request(dv_witness_server *server, const char *url, const char *method,
                           const request *taken, answer *out)
{
    bool adds = strcmp(url, "/add-checkpoint") == 0;
    if (adds && strcmp(method, MHD_HTTP_METHOD_POST) == 0) {
        answer_add(server, taken, out);
    } else if (!adds && strcmp(method, MHD_HTTP_METHOD_GET) == 0) {
        answer_get(server, url, out);
    } else {
        answer_text(out, MHD_HTTP_METHOD_NOT_ALLOWED, "POST /add-checkpoint, or GET");
    }
}

/* -- requests ---------------------------------------------------------------------------------- */

static enum MHD_Result send_answer(struct MHD_Connection *connection, answer *out)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        out->body.len, out->body.len > 0 ? (void *)out->body.ptr : (void *)"",
        MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, out->type);
    enum MHD_Result queued = MHD_queue_response(connection, out->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **held)
{
    request *taken = *held;
    if (taken == NULL) { /* the head only; the answer follows with a later call */
        taken = calloc(1, sizeof(*taken));
        if (taken == NULL) {
            return MHD_NO;
        }
        taken->body = dv_buf_init(DV_WITNESS_REQUEST_MAX);
        *held = taken;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        taken->too_large = taken->too_large ||
                           dv_buf_append(&taken->body, dv_slice_of(upload, *upload_len)) != DV_OK;
        *upload_len = 0;
        return MHD_YES;
    }
    answer out = {MHD_HTTP_OK, plain, dv_buf_init(ANSWER_MAX)};
    answer_request(data, url, method, taken, &out);
    enum MHD_Result sent = send_answer(connection, &out);
    dv_buf_release(&out.body);
    return sent;
}

static void forget(void *data, struct MHD_Connection *connection, void **held,
                   enum MHD_RequestTerminationCode why)
{
    request *taken = *held;
    if (taken != NULL) {
        dv_buf_release(&taken->body);
        free(taken);
        *held = NULL;
    }
}

/* -- the socket -------------------------------------------------------------------------------- */

/* The last colon stands before the port; brackets around an IPv6 address. */
static bool split_address(const char *listen, char host[64], char port[8])
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) >= 8) {
        return false;
    }
    dv_slice text = dv_slice_of(listen, (size_t)(colon - listen));
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        text = dv_slice_sub(text, 1, text.len - 2);
    }
    dv_slice_copy(text, host, 64);
    snprintf(port, 8, "%s", colon + 1);
    return text.len > 0 && text.len < 64;
}

static dv_result resolve(const char *listen, struct addrinfo **ret_info, dv_error *error)
{
    char host[64], port[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    if (!split_address(listen, host, port) || getaddrinfo(host, port, &hints, ret_info) != 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "'%.64s' is no address to listen on, such as 127.0.0.1:7380", listen);
    }
    return DV_OK;
}

static dv_result open_socket(const char *listen_on, int *ret_fd, dv_error *error)
{
    const int yes = 1;
    struct addrinfo *info;
    DV_TRY(resolve(listen_on, &info, error));
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool open = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
                bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
    freeaddrinfo(info);
    if (!open) {
        dv_result result = dv_error_set(error, DV_ERR_IO, "can not listen on %.64s: %s", listen_on,
                                        strerror(errno));
        dv_fd_close(&fd);
        return result;
    }
    *ret_fd = fd;
    return DV_OK;
}

dv_result dv_witness_server_open(dv_witness *witness, const char *listen,
                                 dv_witness_server **ret_server, dv_error *error)
{
    int fd = -1;
    dv_auto(free) dv_witness_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    server->witness = witness;
    DV_TRY(open_socket(listen, &fd, error));
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, handle, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_MAX, MHD_OPTION_END);
    if (server->daemon == NULL) {
        dv_fd_close(&fd);
        return dv_error_set(error, DV_ERR_IO, "can not serve on %.64s", listen);
    }
    *ret_server = server;
    server = NULL;
    return DV_OK;
}

void dv_witness_server_close(dv_witness_server *server)
{
    if (server != NULL) {
        MHD_stop_daemon(server->daemon); /* closes the socket */
        free(server);
    }
}
