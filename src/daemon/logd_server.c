/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_server.h"

#include "base/codec.h"
#include "base/file.h"
#include "daemon/logd_copy.h"
#include "daemon/logd_cosignature.h"
#include "daemon/logd_logs.h"
#include "daemon/logd_search.h"
#include "daemon/logd_socket.h"
#include "daemon/logd_tile.h"
#include "engine/log/blob_read.h"
#include "engine/log/seal.h"
#include "engine/log/search.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <microhttpd.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 256,
    IDLE_SECONDS = 120,
    WAIT_MS_MAX = 30000,
    FEED_LIMIT_DEFAULT = 100,
    FEED_LIMIT_MAX = 10000,
    ANSWER_MAX = 8 << 20, /* a feed answer ends before it would be longer */
    REQUEST_ID_MAX = 128,
    VKEYS_MAX = 2 * (DV_NOTE_NAME_MAX + 96),
    POST_MAX = DV_NOTE_MAX, /* bytes of a body */
    DAYS_MAX = 3650,
};

struct dv_logd_server {
    const char *log_folder;
    const char *runtime_dir;
    dv_logd_rotate *rotate;
    dv_logd_erase *erase;
    dv_logd_retention *retention; /* NULL: everything is kept for ever */
    dv_subjects *subjects;
    char vkeys[VKEYS_MAX]; /* under the lock: one a line */
    char origin[DV_NOTE_NAME_MAX + 1];
    dv_logd_socket socket;
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

dv_result dv_logd_server_rekey(dv_logd_server *server, const dv_logd_keys *keys)
{
    dv_auto(buf) dv_buf vkeys = dv_buf_init(sizeof(server->vkeys) - 1);
    DV_TRY(dv_logd_keys_vkeys(keys, &vkeys));
    pthread_mutex_lock(&server->lock);
    dv_slice_copy(dv_buf_slice(&vkeys), server->vkeys, sizeof(server->vkeys));
    pthread_mutex_unlock(&server->lock);
    return DV_OK;
}

static void current_vkeys(dv_logd_server *server, char out[VKEYS_MAX])
{
    pthread_mutex_lock(&server->lock);
    memcpy(out, server->vkeys, VKEYS_MAX);
    pthread_mutex_unlock(&server->lock);
}

static dv_sequencer_status current_status(dv_logd_server *server)
{
    pthread_mutex_lock(&server->lock);
    dv_sequencer_status status = server->status;
    pthread_mutex_unlock(&server->lock);
    return status;
}

/* Of one log, or of all. */
enum { ALL_LOGS = DV_LOG_TREES_MAX };

static uint64_t size_of(const dv_sequencer_status *status, size_t log)
{
    uint64_t size = 0;
    for (size_t i = 0; i < status->log_count; i++) {
        size += i == log || log == ALL_LOGS ? status->logs[i].size : 0;
    }
    return size;
}

/* Waits until the log has more than `size` entries or the (monotonic) time is over. Who waits asks
 * for nothing meanwhile. */
static dv_sequencer_status wait_for_growth(dv_logd_server *server, size_t log, uint64_t size,
                                           dv_time until)
{
    struct timespec end = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};
    __atomic_sub_fetch(&server->asked, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&server->lock);
    int timed_out = 0;
    while (size_of(&server->status, log) <= size && !server->closing && timed_out == 0) {
        timed_out = pthread_cond_clockwait(&server->grown, &server->lock, CLOCK_MONOTONIC, &end);
    }
    dv_sequencer_status now = server->status;
    pthread_mutex_unlock(&server->lock);
    __atomic_add_fetch(&server->asked, 1, __ATOMIC_RELAXED);
    return now;
}

/* -- answers ----------------------------------------------------------------------------------- */

typedef struct answer {
    unsigned status;
    const char *type;
    dv_buf body;
    uint64_t next;         /* for Dvara-Next; UINT64_MAX: none */
    uint64_t pruned;       /* for Dvara-Pruned: the index that the feed goes on with; 0: none */
    const char *log;       /* that entries are told to be of; NULL: main */
    dv_subjects *subjects; /* whose values are opened for readers */
} answer;

static const char json_lines[] = "application/x-ndjson";
static const char json[] = "application/json";
static const char plain[] = "text/plain; charset=utf-8";
static const char not_theirs[] = "this is for Dvara's own processes alone";

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

/* Between JSON's tokens an end of line is a blank like others. Here it would begin another entry,
 * which a writer that was taken over could make up. */
static void keep_one_line(uint8_t *text, size_t len)
{
    for (uint8_t *at = text; (at = memchr(at, '\n', (size_t)(text + len - at))) != NULL;) {
        *at = ' ';
    }
}

static dv_result add_entry(void *data, uint64_t index, dv_slice entry)
{
    answer *out = data;
    if (out->body.len > 0 && out->body.len + entry.len + 64 > ANSWER_MAX) {
        return DV_ERR_AGAIN; /* enough for one answer */
    }
    DV_TRY(dv_buf_append_printf(&out->body, "{\"index\":%" PRIu64 "%s%s%s,\"event\":", index,
                                out->log == NULL ? "" : ",\"log\":\"",
                                out->log == NULL ? "" : out->log, out->log == NULL ? "" : "\""));
    size_t start = out->body.len;
    DV_TRY(dv_event_open(out->subjects, entry, &out->body));
    keep_one_line(out->body.ptr + start, out->body.len - start);
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

/* The log that ?log= names, main without it; 404 and false when there is none of the name. */
static bool log_parameter(dv_logd_server *server, struct MHD_Connection *connection,
                          size_t *ret_log, char folder[PATH_MAX], answer *out)
{
    dv_error error = {0};
    dv_sequencer_status status = current_status(server);
    const char *name = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "log");
    name = name == NULL ? DV_LOG_MAIN : name;
    for (size_t i = 0; i < status.log_count; i++) {
        if (strcmp(name, status.logs[i].name) == 0 &&
            dv_logd_log_folder(server->log_folder, name, folder, &error) == DV_OK) {
            *ret_log = i;
            return true;
        }
    }
    answer_error(out, MHD_HTTP_NOT_FOUND, "there is no log of that name");
    return false;
}

/* -- events ------------------------------------------------------------------------------------ */

/* What is pruned while it is read is passed over, as if it had been before. */
static void answer_feed(dv_logd_server *server, size_t log, const char *folder, uint64_t from,
                        uint64_t limit, dv_time until, answer *out)
{
    dv_error error = {0};
    dv_result result = DV_OK;
    dv_sequencer_status status = wait_for_growth(server, log, from, until);
    uint64_t minimum;
    out->type = json_lines;
    do {
        minimum = status.logs[log].minimum;
        out->pruned = from < minimum ? minimum : out->pruned;
        from = DV_MAX(from, minimum);
        out->next = from;
        dv_buf_clear(&out->body);
        result = dv_log_read(folder, size_of(&status, log), from, limit, add_entry, out, &error);
        status = current_status(server);
    } while (result != DV_OK && result != DV_ERR_AGAIN && status.logs[log].minimum > minimum);
    if (result != DV_OK && result != DV_ERR_AGAIN) {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, error.message);
    }
}

static dv_result find_in_log(const dv_logd_server *server, const dv_log_tree *log,
                             dv_slice request_id, answer *out, dv_error *error)
{
    char folder[PATH_MAX];
    DV_TRY(dv_logd_log_folder(server->log_folder, log->name, folder, error));
    out->log = strcmp(log->name, DV_LOG_MAIN) == 0 ? NULL : log->name;
    dv_result result =
        dv_log_find(folder, log->minimum, log->size, request_id, add_entry, out, error);
    out->log = NULL;
    return result;
}

static dv_result find_request(const dv_logd_server *server, const dv_sequencer_status *status,
                              size_t only, dv_slice request_id, answer *out, dv_error *error)
{
    dv_buf_clear(&out->body);
    for (size_t i = 0; i < status->log_count; i++) {
        if (only == ALL_LOGS || only == i) {
            DV_TRY(find_in_log(server, &status->logs[i], request_id, out, error));
        }
    }
    return DV_OK;
}

/* The request's events may still be on their way: looks again whenever a log has grown. */
static void answer_request(dv_logd_server *server, size_t log, dv_slice request_id, dv_time until,
                           answer *out)
{
    dv_error error = {0};
    dv_sequencer_status status = current_status(server);
    out->type = json_lines;
    for (int tries = 0;;) {
        uint64_t size = size_of(&status, log);
        dv_result result = find_request(server, &status, log, request_id, out, &error);
        if (result != DV_OK && result != DV_ERR_AGAIN) {
            if (tries++ == 0) { /* some of it may have been pruned just now */
                status = current_status(server);
                continue;
            }
            answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, error.message);
            return;
        }
        if (out->body.len > 0 || dv_time_monotonic() >= until) {
            return;
        }
        status = wait_for_growth(server, log, size, until);
        if (size_of(&status, log) == size) {
            return;
        }
    }
}

static void answer_events(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    size_t log;
    char folder[PATH_MAX];
    uint64_t from, limit, wait_ms;
    const char *id = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "request_id");
    bool all = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "log") == NULL;
    if (!number_parameter(connection, "wait_ms", WAIT_MS_MAX, 0, &wait_ms, out) ||
        !number_parameter(connection, "from", INT64_MAX, 0, &from, out) ||
        !number_parameter(connection, "limit", FEED_LIMIT_MAX, FEED_LIMIT_DEFAULT, &limit, out) ||
        !log_parameter(server, connection, &log, folder, out)) {
        return;
    }
    dv_time until = dv_time_monotonic() + (dv_time)wait_ms * DV_MILLISECOND;
    if (id == NULL) {
        answer_feed(server, log, folder, from, limit, until, out);
    } else if (id[0] == '\0' || strlen(id) > REQUEST_ID_MAX) {
        answer_error(out, MHD_HTTP_BAD_REQUEST, "request_id must have 1 to 128 characters");
    } else {
        answer_request(server, all ? ALL_LOGS : log, dv_slice_str(id), until, out);
    }
}

static unsigned status_of(dv_result result)
{
    switch (result) {
    case DV_OK:
        return MHD_HTTP_OK;
    case DV_ERR_INVALID:
    case DV_ERR_CORRUPT:
        return MHD_HTTP_BAD_REQUEST;
    case DV_ERR_FORBIDDEN:
        return MHD_HTTP_FORBIDDEN;
    case DV_ERR_NOT_FOUND:
        return MHD_HTTP_NOT_FOUND;
    case DV_ERR_CONFLICT:
        return MHD_HTTP_CONFLICT;
    case DV_ERR_UNAVAILABLE:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

static void answer_result(answer *out, dv_result result, const dv_error *error)
{
    if (result != DV_OK) {
        answer_error(out, status_of(result),
                     error->message[0] != '\0' ? error->message : dv_result_name(result));
    }
}

/* The large field of the event with that index, whole. */
static void answer_field(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    size_t log;
    uint64_t index;
    char folder[PATH_MAX];
    dv_error error = {0};
    if (!number_parameter(connection, "index", INT64_MAX, UINT64_MAX, &index, out) ||
        !log_parameter(server, connection, &log, folder, out)) {
        return;
    }
    dv_sequencer_status status = current_status(server);
    dv_result result = dv_blob_field_read(folder, size_of(&status, log), index, server->subjects,
                                          &out->body, &error);
    out->type = "application/octet-stream";
    if (result == DV_ERR_CONFLICT) {
        answer_error(out, MHD_HTTP_GONE, error.message);
    } else if (result == DV_ERR_CORRUPT) {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, error.message);
    } else {
        answer_result(out, result, &error);
    }
}

/* -- what there is ----------------------------------------------------------------------------- */

static dv_result add_vkeys(dv_logd_server *server, const char *log, dv_buf *out)
{
    char vkeys[VKEYS_MAX];
    current_vkeys(server, vkeys);
    return dv_logd_log_vkeys(dv_slice_str(vkeys), log, out);
}

/* The members that say which log it is and how far, without braces. */
static dv_result add_log(dv_logd_server *server, const dv_log_tree *log, dv_buf *out)
{
    dv_auto(buf) dv_buf vkeys = dv_buf_init(2 * VKEYS_MAX);
    int64_t keep_ms =
        server->retention == NULL ? 0 : dv_logd_retention_keep_ms(server->retention, log->name);
    DV_TRY(add_vkeys(server, log->name, &vkeys));
    const char *newest = dv_buf_cstr(&vkeys);
    if (newest == NULL) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(dv_buf_append_str(out, "\"origin\":\""));
    DV_TRY(dv_logd_log_origin(server->origin, log->name, out));
    return dv_buf_append_printf(out,
                                "\",\"vkey\":\"%.*s\",\"size\":%" PRIu64 ",\"minimum\":%" PRIu64
                                ",\"keep_seconds\":%" PRId64,
                                (int)strcspn(newest, "\n"), newest, log->size, log->minimum,
                                (keep_ms + 999) / 1000);
}

static dv_result write_status(dv_logd_server *server, const dv_sequencer_status *status, size_t log,
                              dv_buf *out)
{
    DV_TRY(dv_buf_append_byte(out, '{'));
    DV_TRY(add_log(server, &status->logs[log], out));
    DV_TRY(dv_buf_append_printf(
        out,
        ",\"logs\":%zu,\"entries\":%" PRIu64 ",\"segments\":%" PRIu64 ",\"waiting\":%" PRIu64
        ",\"refused\":%" PRIu64 ",\"blocked\":%s,\"problem\":",
        status->log_count, size_of(status, ALL_LOGS), status->segments, status->waiting,
        status->refused, status->blocked ? "true" : "false"));
    DV_TRY(dv_buf_append_json_string(out, dv_slice_str(status->problem)));
    return dv_buf_append_str(out, "}\n");
}

static void answer_status(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    size_t log;
    char folder[PATH_MAX];
    dv_sequencer_status status = current_status(server);
    out->type = json;
    if (log_parameter(server, connection, &log, folder, out) &&
        write_status(server, &status, log, &out->body) != DV_OK) {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, "the status does not fit");
    }
}

static dv_result write_logs(dv_logd_server *server, dv_buf *out)
{
    dv_sequencer_status status = current_status(server);
    for (size_t i = 0; i < status.log_count; i++) {
        const dv_log_tree *log = &status.logs[i];
        DV_TRY(dv_buf_append_printf(out, "%s{\"name\":\"%s\",", i == 0 ? "[" : ",\n", log->name));
        DV_TRY(add_log(server, log, out));
        DV_TRY(dv_buf_append_byte(out, '}'));
    }
    return dv_buf_append_str(out, "]\n");
}

static void answer_logs(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    out->type = json;
    if (write_logs(server, &out->body) != DV_OK) {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, "the list of logs does not fit");
    }
}

static void answer_file(dv_logd_server *server, struct MHD_Connection *connection, const char *name,
                        answer *out)
{
    size_t log;
    char folder[PATH_MAX], path[PATH_MAX];
    dv_error error = {0};
    if (!log_parameter(server, connection, &log, folder, out)) {
        return;
    }
    int len = snprintf(path, sizeof(path), "%s%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof(path) || dv_file_read(path, &out->body, &error) != DV_OK) {
        answer_error(out, MHD_HTTP_NOT_FOUND, "there is no such part of the log");
        return;
    }
    out->type = plain;
}

/* As a file of the log or out of a pack, whichever it is. */
static void answer_tile(dv_logd_server *server, struct MHD_Connection *connection, const char *url,
                        answer *out)
{
    size_t log;
    char folder[PATH_MAX];
    dv_logd_tile_name name;
    dv_error error = {0};
    if (!log_parameter(server, connection, &log, folder, out)) {
        return;
    }
    dv_result result = dv_logd_tile_parse(url, &name);
    if (result == DV_OK) {
        result = dv_logd_tile_read(folder, &name, &out->body, &error);
    }
    if (result == DV_OK) {
        out->type = "application/octet-stream";
    } else if (result == DV_ERR_INVALID || result == DV_ERR_NOT_FOUND) {
        answer_error(out, MHD_HTTP_NOT_FOUND, "there is no such part of the log");
    } else {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, error.message);
    }
}

static void answer_copy(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    size_t log;
    char folder[PATH_MAX];
    uint64_t from, to, most;
    dv_error error = {0};
    if (!number_parameter(connection, "from", INT64_MAX, 0, &from, out) ||
        !number_parameter(connection, "to", INT64_MAX, INT64_MAX, &to, out) ||
        !number_parameter(connection, "most", DV_LOGD_COPY_MAX, DV_LOGD_COPY_MAX, &most, out) ||
        !log_parameter(server, connection, &log, folder, out)) {
        return;
    }
    dv_sequencer_status status = current_status(server);
    out->type = "application/octet-stream";
    dv_result result = dv_logd_copy(folder, from, DV_MIN(to, size_of(&status, log)), most,
                                    &out->body, &out->next, &error);
    if (result != DV_OK) {
        bool gone = result == DV_ERR_NOT_FOUND;
        out->next = UINT64_MAX;
        answer_error(out, gone ? MHD_HTTP_NOT_FOUND : MHD_HTTP_INTERNAL_SERVER_ERROR,
                     error.message);
    }
}

static void answer_vkeys(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    size_t log;
    char folder[PATH_MAX];
    out->type = plain;
    if (log_parameter(server, connection, &log, folder, out) &&
        add_vkeys(server, current_status(server).logs[log].name, &out->body) != DV_OK) {
        answer_error(out, MHD_HTTP_INTERNAL_SERVER_ERROR, "the keys do not fit");
    }
}

static void answer_retention(dv_logd_server *server, struct MHD_Connection *connection, answer *out)
{
    dv_error error = {0};
    dv_sequencer_status status = current_status(server);
    dv_result result = server->retention == NULL
                           ? DV_ERR_NOT_FOUND
                           : dv_logd_retention_tell(server->retention, status.logs,
                                                    status.log_count, &out->body, &error);
    if (result != DV_OK) { /* once more: what it looked at may have been pruned just now */
        status = current_status(server);
        dv_buf_clear(&out->body);
        result = server->retention == NULL
                     ? result
                     : dv_logd_retention_tell(server->retention, status.logs, status.log_count,
                                              &out->body, &error);
    }
    answer_result(out, result, &error);
}

static const struct {
    const char *url;
    void (*answer)(dv_logd_server *server, struct MHD_Connection *connection, answer *out);
    bool (*may)(const char *runtime_dir, struct MHD_Connection *connection); /* NULL: all */
} parts[] = {{"/copy", answer_copy, dv_logd_peer_may_post},
             {"/events", answer_events, dv_logd_peer_may_read_events},
             {"/field", answer_field, dv_logd_peer_may_post},
             {"/logs", answer_logs, NULL},
             {"/retention", answer_retention, dv_logd_peer_may_read_events},
             {"/status", answer_status, NULL},
             {"/vkey", answer_vkeys, NULL}};

static void answer_get(dv_logd_server *server, struct MHD_Connection *connection, const char *url,
                       answer *out)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(parts); i++) {
        if (strcmp(url, parts[i].url) == 0) {
            if (parts[i].may != NULL && !parts[i].may(server->runtime_dir, connection)) {
                answer_error(out, MHD_HTTP_FORBIDDEN, not_theirs);
            } else {
                parts[i].answer(server, connection, out);
            }
            return;
        }
    }
    if (strcmp(url, "/checkpoint") == 0 || strcmp(url, "/checkpoint.cosigned") == 0) {
        answer_file(server, connection, url, out);
    } else if (strncmp(url, "/tile/", 6) == 0) {
        answer_tile(server, connection, url, out);
    } else {
        answer_error(out, MHD_HTTP_NOT_FOUND, "there is nothing here");
    }
}

/* -- POST -------------------------------------------------------------------------------------- */

static void post_cosignature(dv_logd_server *server, struct MHD_Connection *connection,
                             dv_slice body, answer *out)
{
    size_t log;
    char folder[PATH_MAX];
    dv_error error = {0};
    dv_auto(buf) dv_buf vkeys = dv_buf_init(2 * VKEYS_MAX);
    if (!log_parameter(server, connection, &log, folder, out)) {
        return;
    }
    dv_result result = add_vkeys(server, current_status(server).logs[log].name, &vkeys);
    const char *text = result == DV_OK ? dv_buf_cstr(&vkeys) : NULL;
    if (text != NULL) {
        result = dv_logd_cosignature_take(folder, server->runtime_dir, text, body, &error);
    }
    answer_result(out, text == NULL ? DV_ERR_NO_MEMORY : result, &error);
}

static bool read_key_id(const char *text, uint32_t *ret_key_id)
{
    uint8_t id[4];
    if (strlen(text) != 2 * sizeof(id) || dv_hex_decode(dv_slice_str(text), id, 4) != DV_OK) {
        return false;
    }
    *ret_key_id = (uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3];
    return true;
}

static void post_rotate(dv_logd_server *server, struct MHD_Connection *connection, dv_slice body,
                        answer *out)
{
    uint64_t days;
    dv_error error = {0};
    dv_logd_rotate_plan plan = {.retire = false};
    const char *retire = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "retire");
    if (!number_parameter(connection, "overlap_days", DAYS_MAX, 0, &days, out)) {
        return;
    }
    plan.overlap = (dv_time)days * 86400 * DV_SECOND;
    plan.retire = retire != NULL;
    if (plan.retire && !read_key_id(retire, &plan.key_id)) {
        answer_error(out, MHD_HTTP_BAD_REQUEST, "retire wants a key id of 8 hexadecimal digits");
        return;
    }
    dv_result result = dv_logd_rotate_ask(server->rotate, &plan, &error);
    answer_result(out, result, &error);
    if (result == DV_OK) {
        out->type = plain;
        answer_result(out, add_vkeys(server, DV_LOG_MAIN, &out->body), &error);
    }
}

static void post_erase(dv_logd_server *server, struct MHD_Connection *connection, dv_slice body,
                       answer *out)
{
    dv_error error = {0};
    dv_sequencer_status status = current_status(server);
    dv_result result =
        dv_logd_erase_post(server->erase, body, status.logs, status.log_count, &out->body, &error);
    answer_result(out, result, &error);
}

static void post_search(dv_logd_server *server, struct MHD_Connection *connection, dv_slice body,
                        answer *out)
{
    dv_error error = {0};
    dv_sequencer_status status = current_status(server);
    dv_logd_searched logs = {server->log_folder, status.logs, status.log_count, server->subjects};
    out->type = json_lines;
    dv_result result = dv_logd_search(&logs, body, &out->body, &error);
    bool theirs =
        result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE || result == DV_ERR_NOT_FOUND;
    if (result != DV_OK && !theirs) { /* once more: some of it may have been pruned just now */
        status = current_status(server);
        dv_buf_clear(&out->body);
        result = dv_logd_search(&logs, body, &out->body, &error);
    }
    if (result != DV_OK) {
        answer_error(out, theirs ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_INTERNAL_SERVER_ERROR,
                     error.message);
    }
}

static void post_retention(dv_logd_server *server, struct MHD_Connection *connection, dv_slice body,
                           answer *out)
{
    dv_error error = {0};
    dv_sequencer_status status = current_status(server);
    bool check = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "check") != NULL;
    dv_result result = check ? dv_logd_retention_check(status.logs, status.log_count, body, &error)
                             : dv_logd_retention_put(server->retention, body, &error);
    answer_result(out, result, &error);
}

static void post_hold(dv_logd_server *server, struct MHD_Connection *connection, dv_slice body,
                      answer *out)
{
    dv_error error = {0};
    dv_result result = dv_logd_retention_hold(server->retention, body, &error);
    answer_result(out, result, &error);
}

static void post_prune(dv_logd_server *server, struct MHD_Connection *connection, dv_slice body,
                       answer *out)
{
    dv_error error = {0};
    dv_result result = dv_logd_retention_prune(server->retention, &error);
    answer_result(out, result, &error);
}

static const struct {
    const char *url;
    void (*answer)(dv_logd_server *server, struct MHD_Connection *connection, dv_slice body,
                   answer *out);
} posts[] = {{"/cosignature", post_cosignature},
             {"/erase", post_erase},
             {"/hold", post_hold},
             {"/prune", post_prune},
             {"/retention", post_retention},
             {"/rotate", post_rotate},
             {"/search", post_search}};

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
    if (out->pruned > 0) {
        snprintf(next, sizeof(next), "%" PRIu64, out->pruned);
        MHD_add_response_header(response, "Dvara-Pruned", next);
    }
    enum MHD_Result queued = MHD_queue_response(connection, out->status, response);
    MHD_destroy_response(response);
    return queued;
}

/* What comes before the answer is made. */
typedef struct request {
    dv_buf body;
    bool too_large;
} request;

/* GET has no body; one that comes all the same is passed over. */
static void take_upload(request *taken, const char *upload, size_t len)
{
    taken->too_large =
        taken->too_large || dv_buf_append(&taken->body, dv_slice_of(upload, len)) != DV_OK;
}

static void answer_post(dv_logd_server *server, struct MHD_Connection *connection, const char *url,
                        const request *taken, answer *out)
{
    size_t i = 0;
    while (i < DV_ARRAY_LEN(posts) && strcmp(url, posts[i].url) != 0) {
        i++;
    }
    if (i == DV_ARRAY_LEN(posts)) {
        answer_error(out, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is served here");
    } else if (!dv_logd_peer_may_post(server->runtime_dir, connection)) {
        answer_error(out, MHD_HTTP_FORBIDDEN, not_theirs);
    } else if (taken->too_large) {
        answer_error(out, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large");
    } else {
        posts[i].answer(server, connection, dv_buf_slice(&taken->body), out);
    }
}

static void answer_request_whole(dv_logd_server *server, struct MHD_Connection *connection,
                                 const char *url, const char *method, const request *taken,
                                 answer *out)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0) {
        answer_get(server, connection, url, out);
    } else if (strcmp(method, MHD_HTTP_METHOD_POST) != 0) {
        answer_error(out, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and POST are served");
    } else {
        answer_post(server, connection, url, taken, out);
    }
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **held)
{
    dv_logd_server *server = data;
    request *taken = *held;
    if (taken == NULL) { /* the head only; the answer follows with a later call */
        taken = calloc(1, sizeof(*taken));
        if (taken == NULL) {
            return MHD_NO;
        }
        taken->body = dv_buf_init(POST_MAX);
        *held = taken;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        take_upload(taken, upload, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    answer out = {.status = MHD_HTTP_OK,
                  .type = json,
                  .body = dv_buf_init(ANSWER_MAX + (64 << 10)),
                  .next = UINT64_MAX,
                  .subjects = server->subjects};
    __atomic_add_fetch(&server->asked, 1, __ATOMIC_RELAXED);
    answer_request_whole(server, connection, url, method, taken, &out);
    enum MHD_Result sent = send_answer(connection, &out);
    __atomic_sub_fetch(&server->asked, 1, __ATOMIC_RELAXED);
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

static dv_result start(dv_logd_server *server, const char *runtime_dir, dv_error *error)
{
    DV_TRY(dv_logd_socket_open(runtime_dir, &server->socket, error));
    server->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, handle,
        server, MHD_OPTION_LISTEN_SOCKET, server->socket.fd, MHD_OPTION_NOTIFY_COMPLETED, forget,
        NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_END);
    if (server->daemon == NULL) {
        dv_fd_close(&server->socket.fd);
        return dv_error_set(error, DV_ERR_IO, "can not serve on %s", server->socket.path);
    }
    return DV_OK;
}

dv_result dv_logd_server_open(const char *log_folder, const char *runtime_dir,
                              const dv_logd_keys *keys, dv_logd_rotate *rotate,
                              dv_logd_erase *erase, dv_logd_retention *retention,
                              dv_subjects *subjects, dv_logd_server **ret_server, dv_error *error)
{
    dv_logd_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    server->log_folder = log_folder;
    server->runtime_dir = runtime_dir;
    server->rotate = rotate;
    server->erase = erase;
    server->retention = retention;
    server->subjects = subjects;
    memcpy(server->origin, keys->signer.verifier.name, sizeof(server->origin));
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->grown, NULL);
    dv_result result = dv_logd_server_rekey(server, keys);
    if (result == DV_OK) {
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
        unlink(server->socket.path);
    }
    pthread_cond_destroy(&server->grown);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
