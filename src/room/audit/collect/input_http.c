/* SPDX-License-Identifier: Apache-2.0 */
/* Events over HTTP: a POST holds one JSON object, an array of them, a list in "Records"
 * (CloudTrail) or "items" (Kubernetes' webhook), or a line each (application/x-ndjson,
 * text/plain). The answer says how many are in the spool; 200 means all of them. */
#include "base/arena.h"
#include "base/caps.h"
#include "base/file.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "room/audit/collect/input.h"
#include "room/audit/collect/syslog.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 64,
    IDLE_SECONDS = 30,
    MEMORY_MAX = 32 << 10, /* head of a request */
    BODY_MAX = 8 << 20,
    BODIES_MAX = 64 << 20, /* all that are being received */
    TOKENS_MAX = 2000000,
    TOKEN_FILE_MAX = 4096,
    ROUNDS = 32, /* of one turn: about a mebibyte */
    ARENA = 256 << 20,
};

typedef struct http_input {
    dv_watch watch; /* of the library's own epoll descriptor */
    struct MHD_Daemon *daemon;
    uint8_t token_hash[DV_SHA256_LEN];
    dv_arena *arena;
    size_t bodies; /* bytes held */
} http_input;

typedef struct request {
    dv_buf body;
    unsigned status; /* of a refusal that was decided; 0: none */
} request;

typedef struct taking {
    dv_input *input;
    char peer[INET6_ADDRSTRLEN];
    uint64_t taken;
    uint64_t offered;
    bool stopped;
} taking;

/* ---- Answers ---- */

static const char *text_of(unsigned status)
{
    switch (status) {
    case MHD_HTTP_OK:
        return "";
    case MHD_HTTP_UNAUTHORIZED:
        return "give the token: Authorization: Bearer TOKEN";
    case MHD_HTTP_METHOD_NOT_ALLOWED:
        return "POST events";
    case MHD_HTTP_CONTENT_TOO_LARGE:
        return "at most 8 MiB in one request";
    case MHD_HTTP_TOO_MANY_REQUESTS:
        return "more than this input's rate: send what was not taken once more";
    case MHD_HTTP_SERVICE_UNAVAILABLE:
        return "the log takes nothing for now: send what was not taken once more";
    default:
        return "this is neither JSON nor lines of it";
    }
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, uint64_t taken)
{
    char text[256];
    int len = status == MHD_HTTP_OK
                  ? snprintf(text, sizeof text, "{\"taken\":%llu}\n", (unsigned long long)taken)
                  : snprintf(text, sizeof text, "{\"error\":\"%s\",\"taken\":%llu}\n",
                             text_of(status), (unsigned long long)taken);
    struct MHD_Response *response =
        MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) {
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "application/json");
    if (status == MHD_HTTP_UNAUTHORIZED) {
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    }
    if (status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE) {
        MHD_add_response_header(response, "Retry-After", "1");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- Events ---- */

static void take_one(taking *t, dv_slice event)
{
    const dv_frame frame = {.bytes = event, .size = event.len};
    dv_line line = dv_input_line(t->input, &frame);
    t->offered++;
    if (t->stopped || line.raw.len == 0) {
        t->taken += !t->stopped;
        return;
    }
    line.peer = dv_slice_str(t->peer);
    if (line.raw.ptr[0] != '{') {
        (void)dv_syslog_read(line.raw, false, &line);
    }
    t->stopped = dv_input_take(t->input, &line, 0, NULL) != DV_OK;
    t->taken += !t->stopped;
}

static void take_elements(taking *t, const dv_json *json, uint32_t array)
{
    for (uint32_t at = array + 1; at < json->tokens[array].next; at = json->tokens[at].next) {
        take_one(t, dv_json_raw(json, at));
    }
}

/* A list within an object, where all of it is that. */
static uint32_t list_in(const dv_json *json)
{
    static const char *const names[] = {"Records", "items"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        uint32_t list = dv_json_member(json, 0, names[i]);
        if (list != 0 && json->tokens[list].type == DV_JSON_ARRAY) {
            return list;
        }
    }
    return 0;
}

static bool take_json(taking *t, dv_slice body)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = TOKENS_MAX};
    http_input *h = t->input->state;
    dv_json json;
    dv_arena_recycle(h->arena);
    if (dv_json_scan(body, &limits, h->arena, &json, NULL) != DV_OK) {
        return false;
    }
    uint8_t type = json.tokens[0].type;
    uint32_t list = type == DV_JSON_OBJECT ? list_in(&json) : 0;
    if (type == DV_JSON_ARRAY || list != 0) {
        take_elements(t, &json, list);
    } else {
        take_one(t, body);
    }
    return type == DV_JSON_ARRAY || type == DV_JSON_OBJECT;
}

/* Every line of a body that says it is JSON must be an object: half a body is refused whole. */
static bool lines_are_objects(taking *t, dv_slice body)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_COLLECT_TOKENS};
    http_input *h = t->input->state;
    dv_slice line;
    while (dv_slice_split(&body, '\n', &line)) {
        dv_json json;
        dv_arena_recycle(h->arena);
        line = dv_slice_trim(line);
        if (line.len > 0 &&
            (line.ptr[0] != '{' || dv_json_scan(line, &limits, h->arena, &json, NULL) != DV_OK)) {
            return false;
        }
    }
    return true;
}

static void take_lines(taking *t, dv_slice body)
{
    dv_slice line;
    while (dv_slice_split(&body, '\n', &line)) {
        if (line.len > 0) {
            take_one(t, line);
        }
    }
}

static void peer_of(struct MHD_Connection *connection, char out[INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info == NULL ? NULL : info->client_addr;
    out[0] = '\0';
    if (address != NULL && address->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out, INET6_ADDRSTRLEN);
    } else if (address != NULL && address->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, out,
                  INET6_ADDRSTRLEN);
    }
}

static bool has_type(struct MHD_Connection *connection, const char *type)
{
    const char *said =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    return said != NULL && strncasecmp(said, type, strlen(type)) == 0;
}

static enum MHD_Result take_body(dv_input *input, struct MHD_Connection *connection, dv_slice body)
{
    taking t = {.input = input};
    peer_of(connection, t.peer);
    if (!dv_input_may_take(input)) {
        input->counts.refused++;
        return answer(connection,
                      dv_collector_is_blocked(input->collector) ? MHD_HTTP_SERVICE_UNAVAILABLE
                                                                : MHD_HTTP_TOO_MANY_REQUESTS,
                      0);
    }
    dv_slice trimmed = dv_slice_trim(body);
    if (has_type(connection, "text/plain")) {
        take_lines(&t, body);
    } else if (!take_json(&t, trimmed)) {
        if (trimmed.len == 0 || !lines_are_objects(&t, trimmed)) {
            input->counts.refused++;
            return answer(connection, MHD_HTTP_BAD_REQUEST, 0);
        }
        take_lines(&t, trimmed);
    }
    return answer(connection, t.stopped ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK, t.taken);
}

/* ---- Requests ---- */

static bool has_token(const http_input *h, struct MHD_Connection *connection)
{
    static const char scheme[] = "Bearer ";
    uint8_t hash[DV_SHA256_LEN];
    const char *said =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (said == NULL || strncasecmp(said, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    dv_sha256(dv_slice_trim(dv_slice_str(said + sizeof scheme - 1)), (dv_slice){NULL, 0},
              (dv_slice){NULL, 0}, hash);
    return dv_equal_constant_time(dv_slice_of(hash, sizeof hash),
                                  dv_slice_of(h->token_hash, sizeof h->token_hash));
}

/* Decided before any of the body is kept. */
static unsigned refusal(const http_input *h, struct MHD_Connection *connection, const char *method)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    if (!has_token(h, connection)) {
        return MHD_HTTP_UNAUTHORIZED;
    }
    if (strcmp(method, "POST") != 0) {
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    return length != NULL && strtoull(length, NULL, 10) > BODY_MAX ? MHD_HTTP_CONTENT_TOO_LARGE : 0;
}

static void keep_piece(http_input *h, request *r, dv_slice piece)
{
    if (r->status != 0) {
        return;
    }
    if (h->bodies + piece.len > BODIES_MAX) {
        r->status = MHD_HTTP_SERVICE_UNAVAILABLE;
    } else if (dv_buf_append(&r->body, piece) != DV_OK) {
        r->status = MHD_HTTP_CONTENT_TOO_LARGE;
    } else {
        h->bodies += piece.len;
    }
}

static enum MHD_Result handle(void *data, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state)
{
    dv_input *input = data;
    http_input *h = input->state;
    request *r = *state;
    if (r == NULL) {
        r = calloc(1, sizeof *r);
        if (r == NULL) {
            return MHD_NO;
        }
        r->body = dv_buf_init(BODY_MAX);
        r->status = refusal(h, connection, method);
        *state = r;
        if (r->status != 0) {
            input->counts.refused++;
            return answer(connection, r->status, 0);
        }
        return MHD_YES;
    }
    if (*upload_size > 0) {
        keep_piece(h, r, dv_slice_of(upload, *upload_size));
        *upload_size = 0;
        return MHD_YES;
    }
    if (r->status != 0) {
        input->counts.refused++;
        return answer(connection, r->status, 0);
    }
    return take_body(input, connection, dv_buf_slice(&r->body));
}

static void completed(void *data, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode why)
{
    dv_input *input = data;
    http_input *h = input->state;
    request *r = *state;
    if (r != NULL) {
        h->bodies -= DV_MIN(h->bodies, r->body.len);
        dv_buf_release(&r->body);
        free(r);
        *state = NULL;
    }
}

/* ---- The kind ---- */

/* The library reads a piece of each body and then waits to be called again, though no descriptor
 * tells so. */
static void serve(const dv_input *input)
{
    const http_input *h = input->state;
    for (int i = 0; i < ROUNDS; i++) {
        MHD_UNSIGNED_LONG_LONG wait = 0;
        (void)MHD_run(h->daemon);
        if (MHD_get_timeout(h->daemon, &wait) != MHD_YES || wait > 0) {
            return;
        }
    }
    dv_collector_busy(input->collector); /* others first */
}

static void http_ready(dv_watch *watch, uint32_t events)
{
    serve(watch->input);
}

static dv_result read_token(const dv_input *input, http_input *h, dv_error *error)
{
    dv_auto(secret_buf) dv_buf text = dv_buf_init(TOKEN_FILE_MAX);
    if (input->config->has_token_hash) {
        memcpy(h->token_hash, input->config->token_hash, sizeof h->token_hash);
        return DV_OK;
    }
    DV_TRY(dv_buf_reserve(&text, TOKEN_FILE_MAX));
    DV_TRY(dv_file_read(input->config->token_file, &text, error));
    dv_slice token = dv_slice_trim(dv_buf_slice(&text));
    if (token.len < 16) {
        return dv_error_set(error, DV_ERR_INVALID, "%s: a token has 16 characters at least",
                            input->config->token_file);
    }
    dv_sha256(token, (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, h->token_hash);
    return DV_OK;
}

static dv_result start(dv_input *input, http_input *h, dv_error *error)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
    unsigned flags = MHD_USE_EPOLL;
    if (inet_pton(AF_INET, input->config->host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(input->config->port);
    } else {
        flags |= MHD_USE_IPv6;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(input->config->port);
        (void)inet_pton(AF_INET6, input->config->host, &six->sin6_addr);
    }
    h->daemon = MHD_start_daemon(
        flags, input->config->port, NULL, NULL, handle, input, MHD_OPTION_SOCK_ADDR, &address,
        MHD_OPTION_NOTIFY_COMPLETED, completed, input, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_MAX, MHD_OPTION_END);
    if (h->daemon == NULL) {
        return dv_error_set(error, DV_ERR_CONFLICT, "can not listen on %s", input->config->listen);
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    h->watch.fd = info == NULL ? -1 : info->epoll_fd;
    return dv_watch_start(&h->watch, EPOLLIN);
}

static dv_result http_open(dv_input *input, dv_error *error)
{
    http_input *h = calloc(1, sizeof *h);
    input->state = h;
    if (h == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    h->watch = (dv_watch){.fd = -1, .input = input, .ready = http_ready};
    h->arena = dv_arena_new(ARENA);
    if (h->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_token(input, h, error));
    return start(input, h, error);
}

static void http_close(dv_input *input)
{
    http_input *h = input->state;
    dv_watch_stop(&h->watch);
    if (h->daemon != NULL) {
        MHD_stop_daemon(h->daemon);
    }
    dv_arena_free(h->arena);
    free(h);
    input->state = NULL;
}

static void http_pause(dv_input *input, bool paused)
{
    /* It goes on answering: 429 or 503. */
}

/* The library's time-outs. */
static void http_tick(dv_input *input)
{
    serve(input);
}

const dv_input_kind dv_input_http = {http_open, http_close, http_pause, http_tick};
