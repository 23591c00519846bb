/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_server.h"

#include "base/buf.h"
#include "base/caps.h"
#include "daemon/dvarad_log.h"

#include <errno.h>
#include <microhttpd.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64, CONNECTION_MEMORY = 64 << 10, LOCAL_NAME_MAX = 160 };

struct dv_server {
    struct MHD_Daemon *daemon;
    dv_control *control;
    bool local;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* One request as it comes in. */
typedef struct incoming {
    dv_exchange *exchange;       /* NULL until the head is read */
    char *target;                /* as it was sent, with its query */
    char caller[LOCAL_NAME_MAX]; /* control.sock */
    dv_buf body;
    bool done;      /* the answer is there already */
    bool too_large; /* the rest of the body is dropped */
} incoming;

static void free_incoming(incoming *request)
{
    if (request != NULL) {
        dv_exchange_free(request->exchange);
        free(request->target);
        dv_buf_wipe(&request->body);
        free(request);
    }
}

/* --- the head ------------------------------------------------------------------------------- */

static enum MHD_Result read_header(void *data, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    dv_exchange_head *head = data;
    const struct {
        const char *name;
        dv_slice *slot;
    } known[] = {
        {"Authorization", &head->authorization},
        {"X-Api-Key", &head->api_key},
        {"Origin", &head->origin},
        {"Content-Type", &head->content_type},
        {"If-Match", &head->if_match},
        {"If-None-Match", &head->if_none_match},
        {"X-Real-IP", &head->address},
        {"Host", &head->host},
        {"X-Forwarded-Proto", &head->scheme},
        {"X-Request-Id", &head->request_id},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        if (dv_slice_eq_nocase(dv_slice_str(name), dv_slice_str(known[i].name))) {
            head->repeated = head->repeated || known[i].slot->ptr != NULL;
            *known[i].slot = dv_slice_of(value != NULL ? value : "", value ? strlen(value) : 0);
        }
    }
    return MHD_YES;
}

/* The kernel says who is at the other end; everyone but root and ourselves is refused. */
static bool name_local_caller(struct MHD_Connection *connection, char out[LOCAL_NAME_MAX])
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
        (peer.uid != 0 && peer.uid != geteuid())) {
        return false;
    }
    const struct passwd *user = getpwuid(peer.uid);
    if (user != NULL && strpbrk(user->pw_name, "\"\\") == NULL) {
        snprintf(out, LOCAL_NAME_MAX, "Local::\"%s\"", user->pw_name);
    } else {
        snprintf(out, LOCAL_NAME_MAX, "Local::\"%u\"", (unsigned)peer.uid);
    }
    return true;
}

/* The target comes first, and undecoded; what is returned is the request's state from now on. */
static void *begin_target(void *data, const char *target, struct MHD_Connection *connection)
{
    incoming *request = calloc(1, sizeof(*request));
    if (request == NULL) {
        return NULL;
    }
    request->body = dv_buf_init(DV_LIMIT_CONTROL_BODY);
    request->target = strdup(target);
    return request;
}

/* False: nothing can be answered, the connection is closed. */
static bool begin_request(dv_server *server, struct MHD_Connection *connection, incoming *request,
                          const char *method)
{
    if (request->target == NULL) {
        return false;
    }
    dv_exchange_head head = {.method = dv_slice_str(method),
                             .target = dv_slice_str(request->target)};
    MHD_get_connection_values(connection, MHD_HEADER_KIND, read_header, &head);
    if (server->local) {
        if (!name_local_caller(connection, request->caller)) {
            return false;
        }
        head.local = request->caller;
        head.address = (dv_slice){0}; /* only nginx tells addresses */
    }
    request->exchange = dv_exchange_new(server->control, &head);
    if (request->exchange == NULL) {
        return false;
    }
    request->done = !dv_exchange_begin(request->exchange);
    return true;
}

/* --- the answer ----------------------------------------------------------------------------- */

static bool add_headers(struct MHD_Response *response, const dv_exchange_answer *answer)
{
    const struct {
        const char *name;
        const char *value;
    } headers[] = {
        {"Content-Type", answer->content_type},
        {"X-Request-Id", answer->echo_id != NULL ? answer->echo_id : answer->request_id},
        {"Dvara-Request-Id", answer->request_id},
        {"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
                                    "frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"},
        {"Allow", answer->allow},
        {"ETag", answer->etag[0] != '\0' ? answer->etag : NULL},
        {"WWW-Authenticate", answer->status == 401 ? "Bearer realm=\"dvara\"" : NULL},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(headers); i++) {
        if (headers[i].value != NULL &&
            MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES) {
            return false;
        }
    }
    return true;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, const incoming *request)
{
    const dv_exchange_answer *answer = dv_exchange_get_answer(request->exchange);
    /* The body lives as long as the exchange, which is freed when the request is completed. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->body.len, (void *)(uintptr_t)answer->body.ptr, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = MHD_NO;
    if (response != NULL && add_headers(response, answer)) {
        result = MHD_queue_response(connection, (unsigned)answer->status, response);
    }
    if (response != NULL) {
        MHD_destroy_response(response);
    }
    return result;
}

/* False: memory is out, and half a body is none. */
static bool take_body(incoming *request, const char *data, size_t len)
{
    dv_result result = request->too_large ? DV_ERR_TOO_LARGE
                                          : dv_buf_append(&request->body, dv_slice_of(data, len));
    request->too_large = result == DV_ERR_TOO_LARGE;
    return result == DV_OK || request->too_large;
}

/* Called by libmicrohttpd: once with the head, for each piece of the body, and at its end. */
static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **state)
{
    dv_server *server = data;
    incoming *request = *state;
    if (request == NULL) {
        return MHD_NO;
    }
    if (request->exchange == NULL) {
        if (!begin_request(server, connection, request, method)) {
            return MHD_NO;
        }
        return request->done ? send_answer(connection, request) : MHD_YES;
    }
    if (*upload_len > 0) {
        bool taken = take_body(request, upload, *upload_len);
        *upload_len = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    dv_exchange_finish(request->exchange, dv_buf_slice(&request->body), request->too_large);
    request->done = true;
    return send_answer(connection, request);
}

static void completed(void *data, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    free_incoming(*state);
    *state = NULL;
}

/* libmicrohttpd would decode the target itself; ours is decoded segment by segment. */
static size_t leave_escaped(void *data, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

dv_printf(2, 0) static void log_message(void *data, const char *format, va_list args)
{
    char message[256];
    vsnprintf(message, sizeof(message), format, args);
    dv_log_line("http: %s", message);
}

/* --- the socket ----------------------------------------------------------------------------- */

static dv_result listen_at(const char *path, mode_t mode, gid_t group, int *ret_fd, dv_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s: the path of a socket has at most %zu bytes",
                            path, sizeof(address.sun_path) - 1);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    dv_auto(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t before = umask(0177); /* nobody may connect before the mode is set */
    bool bound = fd >= 0 && (unlink(path) == 0 || errno == ENOENT) &&
                 bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    umask(before);
    if (!bound || (group != (gid_t)-1 && chown(path, (uid_t)-1, group) != 0) ||
        chmod(path, mode) != 0 || listen(fd, BACKLOG) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    *ret_fd = fd;
    fd = -1;
    return DV_OK;
}

dv_result dv_server_open(dv_control *control, const char *path, bool local, gid_t group,
                         dv_server **ret_server, dv_error *error)
{
    dv_auto(fd) int fd = -1;
    DV_TRY(listen_at(path, local ? 0600 : 0660, local ? (gid_t)-1 : group, &fd, error));
    dv_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    server->control = control;
    server->local = local;
    snprintf(server->path, sizeof(server->path), "%s", path);
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle, server,
        MHD_OPTION_EXTERNAL_LOGGER, log_message, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped,
        NULL, MHD_OPTION_URI_LOG_CALLBACK, begin_target, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)DV_SERVER_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)DV_SERVER_IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (server->daemon == NULL) {
        free(server);
        return dv_error_set(error, DV_ERR_IO, "%s: the HTTP server does not start", path);
    }
    fd = -1; /* libmicrohttpd closes it */
    *ret_server = server;
    return DV_OK;
}

void dv_server_close(dv_server *server)
{
    if (server != NULL) {
        MHD_stop_daemon(server->daemon);
        unlink(server->path);
        free(server);
    }
}

int dv_server_fd(const dv_server *server)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info != NULL ? info->epoll_fd : -1;
}

int dv_server_timeout(const dv_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout;
    if (MHD_get_timeout(server->daemon, &timeout) != MHD_YES) {
        return -1;
    }
    return (int)DV_MIN(timeout, DV_SERVER_IDLE_SECONDS * 1000ULL);
}

void dv_server_run(dv_server *server)
{
    MHD_run(server->daemon);
}
