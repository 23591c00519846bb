/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_server.h"

#include "base/file.h"
#include "engine/log/search.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <microhttpd.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BACKLOG = 64,
    CONNECTIONS_MAX = 64,
    IDLE_SECONDS = 120,
    WAIT_MS_MAX = 30000,
    FEED_LIMIT_DEFAULT = 100,
    FEED_LIMIT_MAX = 10000,
    ANSWER_MAX = 8 << 20, /* a feed answer ends before it would be longer */
    REQUEST_ID_MAX = 128,
    STATUS_MAX = 4096,
};

struct dv_logd_server {
    const char *log_folder;
    char vkey[DV_NOTE_NAME_MAX + 96];
    char origin[DV_NOTE_NAME_MAX + 1];
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    pthread_cond_t grown;
    dv_sequencer_status status; /* under the lock */
    bool closing;               /* under the lock */
    unsigned asked;             /* atomic: answers that are being made */
};

/* -- what there is ----------------------------------------------------------------------------- */

void dv_logd_server_update(dv_logd_server *server, const dv_sequencer_status *status)
{
    pthread_mutex_lock(&server->lock);
    server->status = *status;
    pthread_cond_broadcast(&server->grown);
    pthread_mutex_unlock(&server->lock);
}

bool dv_logd_server_is_asked(const dv_logd_server *server)
{
    return __atomic_load_n(&server->asked, __ATOMIC_RELAXED) > 0;
}

static dv_sequencer_status current_status(dv_logd_server *server)
{
    pthread_mutex_lock(&server->lock);
    dv_sequencer_status status = server->status;
    pthread_mutex_unlock(&server->lock);
    return status;
}

/* Waits until the log has more than `size` entries or the time is over; returns its size. Who waits
 * asks for nothing meanwhile. */
static uint64_t wait_for_growth(dv_logd_server *server, uint64_t size, dv_time until)
{
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    __atomic_sub_fetch(&server->asked, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&server->lock);
    int timed_out = 0;
    while (server->status.size <= size && !server->closing && timed_out == 0) {
        timed_out = pthread_cond_timedwait(&server->grown, &server->lock, &end);
    }
    uint64_t now = server->status.size;
    pthread_mutex_unlock(&server->lock);
    __atomic_add_fetch(&server->asked, 1, __ATOMIC_RELAXED);
    return now;
}

/* -- answers ----------------------------------------------------------------------------------- */

typedef struct answer {
    unsigned status;
    const char *type;
    dv_buf body;
    uint64_t next; /* for Dvara-Next; UINT64_MAX: none */
} answer;

static const char json_lines[] = "application/x-ndjson";
static const char json[] = "application/json";

static void answer_error(answer *out, unsigned status, const char *message)
{
    dv_buf_clear(&out->body);
    out->status = status;
    out->type = json;
    if (dv_buf_append_str(&out->body, "{\"error\":{\"message\":") != DV_OK ||
        dv_buf_append_json_string(&out->body, dv_slice_str(message)) != DV_OK ||
        dv_buf_append_str(&out->body, "}}\n") != DV_OK) {
        dv_buf_clear(&out->body);
    }
}

static dv_result add_entry(void *data, uint64_t index, dv_slice entry)
{
    answer *out = data;
    if (out->body.len > 0 && out->body.len + entry.len + 64 > ANSWER_MAX) {
        return DV_ERR_AGAIN; /* enough for one answer */
    }
    DV_TRY(dv_buf_append_printf(&out->body, "{\"index\":%" PRIu64 ",\"event\":", index));
    DV_TRY(dv_buf_append(&out->body, entry));
    DV_TRY(dv_buf_append_str(&out->body, "}\n"));
    out->next = index + 1;
    return DV_OK;
}

/* Gives 400 and false when the parameter is there and no number in range. */
static bool number_parameter(struct MHD_Connection *connection, const char *name, uint64_t most,
                             uint64_t fallback, uint64_t *ret_number, answer *out)
{
    const char *text = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
    char *end;
    *ret_number = fallback;
    if (text == NULL) {
        return true;
    }
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > most) {
        char message[128];
        snprintf(message, sizeof(message), "%s must be a number of at most %" PRIu64, name, most);
        answer_error(out, MHD_HTTP_BAD_REQUEST, message);
        return false;
    }
    *ret_number = number;
    return true;
}

static void answer_feed(dv_logd_server *server, uint64_t from, uint64_t limit, dv_time until,
                        answer *out)
{
    dv_error error = {0};
    uint64_t size = wait_for_growth(server, from, until);
    out->type = json_lines;
    out->next = from;
    dv_result result = dv_log_read(server->log_folder, size, from, limit, add_entry, out, &error);
    if (result != DV_OK && result != DV_ERR_AGAIN) {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, error.message);
    }
}

/* The request's events may still be on their way: looks again whenever the log has grown. */
static void answer_request(dv_logd_server *server, dv_slice request_id, dv_time until, answer *out)
{
    dv_error error = {0};
    uint64_t size = current_status(server).size;
    out->type = json_lines;
    for (;;) {
        dv_result result =
            dv_log_find(server->log_folder, size, request_id, add_entry, out, &error);
        if (result != DV_OK && result != DV_ERR_AGAIN) {
            answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, error.message);
            return;
        }
        if (out->body.len > 0 || dv_time_now() >= until) {
            return;
        }
        uint64_t grown = wait_for_growth(server, size, until);
        if (grown == size) {
            return;
        }
        size = grown;
    }
}

static void answer_events(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    uint64_t from, limit, wait_ms;
    const char *id = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "request_id");
    if (!number_parameter(connection, "wait_ms", WAIT_MS_MAX, 0, &wait_ms, out) ||
        !number_parameter(connection, "from", INT64_MAX, 0, &from, out) ||
        !number_parameter(connection, "limit", FEED_LIMIT_MAX, FEED_LIMIT_DEFAULT, &limit, out)) {
        return;
    }
    dv_time until = dv_time_now() + (dv_time)wait_ms * DV_MILLISECOND;
    if (id == NULL) {
        answer_feed(server, from, limit, until, out);
    } else if (id[0] == '\0' || strlen(id) > REQUEST_ID_MAX) {
        answer_error(out, MHD_HTTP_BAD_REQUEST, "request_id must have 1 to 128 characters");
    } else {
        answer_request(server, dv_slice_str(id), until, out);
    }
}

static void answer_status(dv_logd_server *server, answer *out)
{
    dv_sequencer_status status = current_status(server);
    out->type = json;
    dv_result result = dv_buf_append_printf(
        &out->body,
        "{\"origin\":\"%s\",\"vkey\":\"%s\",\"size\":%" PRIu64 ",\"segments\":%" PRIu64
        ",\"refused\":%" PRIu64 ",\"blocked\":%s,\"problem\":",
        server->origin, server->vkey, status.size, status.segments, status.refused,
        status.blocked ? "true" : "false");
    if (result != DV_OK ||
        dv_buf_append_json_string(&out->body, dv_slice_str(status.problem)) != DV_OK ||
        dv_buf_append_str(&out->body, "}\n") != DV_OK) {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, "the status does not fit");
    }
}

/* Only what dv_tile_path can have written: no way out of the folder. */
static bool is_tile_path(const char *path)
{
    size_t len = strlen(path);
    return strncmp(path, "/tile/", 6) == 0 && len < DV_TILE_PATH_MAX &&
           strspn(path + 6, "0123456789x/.pentris") == len - 6 && strstr(path, "..") == NULL;
}

static void answer_file(dv_logd_server *server, const char *name, const char *type, answer *out)
{
    char path[PATH_MAX];
    dv_error error = {0};
    int len = snprintf(path, sizeof(path), "%s%s", server->log_folder, name);
    if (len < 0 || (size_t)len >= sizeof(path) || dv_file_read(path, &out->body, &error) != DV_OK) {
        answer_error(out, MHD_HTTP_NOT_FOUND, "there is no such part of the log");
        return;
    }
    out->type = type;
}

static void answer_get(dv_logd_server *server, struct MHD_Connection *connection, const char *url,
                       answer *out)
{
    if (strcmp(url, "/events") == 0) {
        answer_events(server, connection, out);
    } else if (strcmp(url, "/status") == 0) {
        answer_status(server, out);
    } else if (strcmp(url, "/checkpoint") == 0) {
        answer_file(server, url, "text/plain; charset=utf-8", out);
    } else if (is_tile_path(url)) {
        answer_file(server, url, "application/octet-stream", out);
    } else {
        answer_error(out, MHD_HTTP_NOT_FOUND, "there is nothing here");
    }
}

/* -- the socket -------------------------------------------------------------------------------- */

static enum MHD_Result send_answer(struct MHD_Connection *connection, answer *out)
{
    char next[32];
    struct MHD_Response *response = MHD_create_response_from_buffer(
        out->body.len, out->body.len > 0 ? (void *)out->body.ptr : (void *)"",
        MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, out->type);
    if (out->next != UINT64_MAX) {
        snprintf(next, sizeof(next), "%" PRIu64, out->next);
        MHD_add_response_header(response, "Dvara-Next", next);
    }
    enum MHD_Result queued = MHD_queue_response(connection, out->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **request)
{
    static int seen;
    dv_logd_server *server = data;
    answer out = {MHD_HTTP_OK, json, dv_buf_init(ANSWER_MAX + (64 << 10)), UINT64_MAX};
    if (*request == NULL) { /* the head only; the answer follows with the next call */
        *request = &seen;
        return MHD_YES;
    }
    if (*upload_len > 0) { /* no request of ours has a body */
        *upload_len = 0;
        return MHD_YES;
    }
    __atomic_add_fetch(&server->asked, 1, __ATOMIC_RELAXED);
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0) {
        answer_get(server, connection, url, &out);
    } else {
        answer_error(&out, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served");
    }
    enum MHD_Result sent = send_answer(connection, &out);
    __atomic_sub_fetch(&server->asked, 1, __ATOMIC_RELAXED);
    dv_buf_release(&out.body);
    return sent;
}

static dv_result socket_error(dv_error *error, const char *path)
{
    return dv_error_set(error, DV_ERR_IO, "can not serve on %s: %s", path, strerror(errno));
}

static dv_result open_socket(dv_logd_server *server, const char *runtime_dir, int *ret_fd,
                             dv_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat about;
    int len = snprintf(server->path, sizeof(server->path), "%s/logd.sock", runtime_dir);
    if (len < 0 || (size_t)len >= sizeof(server->path)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long for a socket",
                            runtime_dir);
    }
    memcpy(address.sun_path, server->path, sizeof(server->path));
    unlink(server->path); /* left over by a kill */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        stat(runtime_dir, &about) != 0 || chmod(server->path, 0660) != 0 ||
        chown(server->path, (uid_t)-1, about.st_gid) != 0 || listen(fd, BACKLOG) != 0) {
        dv_result result = socket_error(error, server->path);
        dv_fd_close(&fd);
        return result;
    }
    *ret_fd = fd;
    return DV_OK;
}

static dv_result start(dv_logd_server *server, const char *runtime_dir, dv_error *error)
{
    int fd = -1;
    DV_TRY(open_socket(server, runtime_dir, &fd, error));
    server->daemon =
        MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL,
                         NULL, handle, server, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS, MHD_OPTION_END);
    if (server->daemon == NULL) {
        dv_result result = socket_error(error, server->path);
        dv_fd_close(&fd);
        return result;
    }
    return DV_OK;
}

dv_result dv_logd_server_open(const char *log_folder, const char *runtime_dir,
                              const dv_note_verifier *verifier, dv_logd_server **ret_server,
                              dv_error *error)
{
    dv_auto(buf) dv_buf vkey = dv_buf_init(sizeof((*ret_server)->vkey) - 1);
    dv_logd_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    server->log_folder = log_folder;
    memcpy(server->origin, verifier->name, sizeof(server->origin));
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->grown, NULL);
    dv_result result = dv_note_verifier_format(verifier, &vkey);
    if (result == DV_OK) {
        memcpy(server->vkey, vkey.ptr, vkey.len);
        result = start(server, runtime_dir, error);
    }
    if (result != DV_OK) {
        dv_logd_server_close(server);
        return result;
    }
    *ret_server = server;
    return DV_OK;
}

void dv_logd_server_close(dv_logd_server *server)
{
    if (server == NULL) {
        return;
    }
    pthread_mutex_lock(&server->lock);
    server->closing = true;
    pthread_cond_broadcast(&server->grown);
    pthread_mutex_unlock(&server->lock);
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon); /* closes the socket */
        unlink(server->path);
    }
    pthread_cond_destroy(&server->grown);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
