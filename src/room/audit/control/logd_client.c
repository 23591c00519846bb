/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/note.h"
#include "room/audit/control/audit_control.h"
#include "room/audit/control/internal.h"

#include <curl/curl.h>
#include <limits.h>

enum {
    BODY_MAX = 10 << 20,
    TIMEOUT_MS = 10000,
    STATUS_TIMEOUT_MS = 1000,
    POST_TIMEOUT_MS = 40000,
    HTTP_OK = 200,
    HTTP_BAD_REQUEST = 400,
    HTTP_FORBIDDEN = 403,
    HTTP_NOT_FOUND = 404,
    HTTP_CONFLICT = 409,
    HTTP_GONE = 410
};

void dv_logd_answer_release(dv_logd_answer *answer)
{
    dv_buf_release(&answer->body);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    dv_logd_answer *answer = data;
    return dv_buf_append(&answer->body, dv_slice_of(bytes, size * count)) == DV_OK ? size * count
                                                                                   : 0;
}

/* The number behind the name, where the line begins with it. */
static void read_header(dv_slice line, dv_slice name, uint64_t *number)
{
    char text[32];
    if (line.len > name.len && dv_slice_eq_nocase(dv_slice_sub(line, 0, name.len), name)) {
        snprintf(text, sizeof(text), "%.*s",
                 DV_SLICE_ARGS(dv_slice_sub(line, name.len, sizeof(text) - 1)));
        *number = strtoull(text, NULL, 10);
    }
}

static size_t take_header(char *bytes, size_t size, size_t count, void *data)
{
    dv_logd_answer *answer = data;
    dv_slice line = dv_slice_of(bytes, size * count);
    read_header(line, DV_LIT("Dvara-Next: "), &answer->next);
    read_header(line, DV_LIT("Dvara-Pruned: "), &answer->pruned);
    return size * count;
}

/* body NULL: GET. */
static bool set_body(CURL *curl, const dv_slice *body)
{
    return body == NULL ||
           (curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
            curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body->len) == CURLE_OK &&
            curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                             body->len > 0 ? (const char *)body->ptr : "") == CURLE_OK);
}

static dv_result perform(CURL *curl, const char *socket, const char *url, const dv_slice *body,
                         long timeout_ms, dv_logd_answer *answer, long *ret_status)
{
    bool set = set_body(curl, body) &&
               curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
               curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer) == CURLE_OK;
    if (!set || curl_easy_perform(curl) != CURLE_OK ||
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status) != CURLE_OK) {
        return DV_ERR_UNAVAILABLE;
    }
    return DV_OK;
}

/* {"error":{"message":...}}, when dvara-logd says why; or NULL: a new reference. */
static json_t *reason_of(const dv_logd_answer *answer)
{
    json_t *body = json_loadb((const char *)answer->body.ptr, answer->body.len, 0, NULL);
    json_t *message = json_incref(json_object_get(json_object_get(body, "error"), "message"));
    json_decref(body);
    return message;
}

static dv_result refused(const dv_logd_answer *answer, dv_result result, dv_error *error)
{
    json_t *message = reason_of(answer);
    const char *text = json_string_value(message);
    dv_error_write(error, result, 0, 0, "%s", text != NULL ? text : "dvara-logd refuses it");
    json_decref(message);
    return result;
}

static dv_result of_status(long status, bool posted, const dv_logd_answer *answer, dv_error *error)
{
    switch (status) {
    case HTTP_OK:
        return DV_OK;
    case HTTP_BAD_REQUEST:
        return refused(answer, DV_ERR_INVALID, error);
    case HTTP_FORBIDDEN:
        return refused(answer, DV_ERR_FORBIDDEN, error);
    case HTTP_CONFLICT:
    case HTTP_GONE:
        return refused(answer, DV_ERR_CONFLICT, error);
    case HTTP_NOT_FOUND:
        return posted ? refused(answer, DV_ERR_NOT_FOUND, error)
                      : dv_error_set(error, DV_ERR_NOT_FOUND, "the audit log has no such part");
    default:
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "dvara-logd answers with status %ld",
                            status);
    }
}

static dv_result ask(const char *runtime_dir, const char *path, const dv_slice *posted,
                     long timeout_ms, dv_logd_answer *ret_answer, dv_error *error)
{
    char socket[PATH_MAX], url[1024];
    long status = 0;
    dv_logd_answer answer = {dv_buf_init(BODY_MAX), UINT64_MAX, 0};
    int a = snprintf(socket, sizeof(socket), "%s/logd.sock", runtime_dir);
    int b = snprintf(url, sizeof(url), "http://logd%s", path);
    if (a < 0 || a >= PATH_MAX || b < 0 || (size_t)b >= sizeof(url)) {
        return DV_ERR_TOO_LARGE;
    }
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = perform(curl, socket, url, posted, timeout_ms, &answer, &status);
    curl_easy_cleanup(curl);
    if (result != DV_OK) {
        result = dv_error_set(error, result, "dvara-logd does not answer on %s", socket);
    } else {
        result = of_status(status, posted != NULL, &answer, error);
    }
    if (result != DV_OK) {
        dv_logd_answer_release(&answer);
        return result;
    }
    *ret_answer = answer;
    return DV_OK;
}

dv_result dv_logd_get(const char *runtime_dir, const char *path, unsigned wait_ms,
                      dv_logd_answer *ret_answer, dv_error *error)
{
    return ask(runtime_dir, path, NULL, (long)TIMEOUT_MS + (long)wait_ms, ret_answer, error);
}

dv_result dv_logd_post(const char *runtime_dir, const char *path, dv_slice body,
                       dv_logd_answer *ret_answer, dv_error *error)
{
    return ask(runtime_dir, path, &body, POST_TIMEOUT_MS, ret_answer, error);
}

dv_result dv_logd_get_quickly(const char *runtime_dir, const char *path, unsigned most_ms,
                              dv_logd_answer *ret_answer, dv_error *error)
{
    return ask(runtime_dir, path, NULL, (long)most_ms, ret_answer, error);
}

dv_result dv_logd_post_json(const char *runtime_dir, const char *path, const char *body,
                            unsigned wait_ms, dv_logd_answer *ret_answer, dv_error *error)
{
    const dv_slice bytes = dv_slice_str(body);
    return ask(runtime_dir, path, &bytes, (long)TIMEOUT_MS + (long)wait_ms, ret_answer, error);
}

dv_result dv_logd_post_quickly(const char *runtime_dir, const char *path, const char *body,
                               unsigned most_ms, dv_logd_answer *ret_answer, dv_error *error)
{
    const dv_slice bytes = dv_slice_str(body);
    return ask(runtime_dir, path, &bytes, (long)most_ms, ret_answer, error);
}

dv_result dv_logd_logs(const char *runtime_dir, json_t **ret_logs, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(dv_logd_get(runtime_dir, "/logs", 0, &answer, error));
    *ret_logs = json_loadb((const char *)answer.body.ptr, answer.body.len, 0, NULL);
    if (!json_is_array(*ret_logs) || json_array_size(*ret_logs) == 0) {
        json_decref(*ret_logs);
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd's list of logs is none");
    }
    return DV_OK;
}

static dv_result get_tile(const dv_logd_log *log, int level, uint64_t index, uint32_t width,
                          dv_logd_answer *ret_answer, dv_error *error)
{
    char tile[DV_TILE_PATH_MAX], path[DV_TILE_PATH_MAX + 64];
    dv_tile_path(level, index, width, tile);
    snprintf(path, sizeof(path), "/%s?log=%.32s", tile, log->name);
    return dv_logd_get(log->runtime_dir, path, 0, ret_answer, error);
}

/* The partial tile of that width may have become a full one since. */
dv_result dv_logd_tile(void *data, int level, uint64_t index, uint32_t width,
                       dv_hash ret_hashes[DV_TILE_WIDTH], dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    dv_result result = get_tile(data, level, index, width, &answer, error);
    if (result == DV_ERR_NOT_FOUND && width < DV_TILE_WIDTH) {
        result = get_tile(data, level, index, DV_TILE_WIDTH, &answer, error);
    }
    DV_TRY(result);
    if (answer.body.len < width * sizeof(dv_hash)) {
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a short tile");
    }
    memcpy(ret_hashes, answer.body.ptr, width * sizeof(dv_hash));
    return DV_OK;
}

dv_result dv_audit_log_status(const char *runtime_dir, dv_audit_log *ret_log, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(ask(runtime_dir, "/status", NULL, STATUS_TIMEOUT_MS, &answer, error));
    json_t *status = json_loadb((const char *)answer.body.ptr, answer.body.len, 0, NULL);
    json_int_t entries, segments, waiting, refused;
    int blocked;
    const char *problem;
    if (json_unpack(status, "{s:I, s:I, s:I, s:I, s:b, s:s}", "entries", &entries, "segments",
                    &segments, "waiting", &waiting, "refused", &refused, "blocked", &blocked,
                    "problem", &problem) != 0) {
        json_decref(status);
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd's status is none");
    }
    *ret_log = (dv_audit_log){.entries = (uint64_t)entries,
                              .segments = (uint64_t)segments,
                              .waiting = (uint64_t)waiting,
                              .refused = (uint64_t)refused,
                              .blocked = blocked != 0};
    snprintf(ret_log->problem, sizeof(ret_log->problem), "%s", problem);
    json_decref(status);
    return DV_OK;
}

/* {"index":N,"event":... of which the event is none that JSON readers take: it is named in its
 * place, so that the others are seen. NULL: not even that. */
static json_t *unreadable(dv_slice line, const char *why)
{
    static const char begin[] = "{\"index\":";
    uint64_t index;
    dv_slice rest, number;
    if (!dv_slice_starts_with(line, dv_slice_str(begin))) {
        return NULL;
    }
    rest = dv_slice_sub(line, strlen(begin), line.len);
    if (!dv_slice_split(&rest, ',', &number) || dv_decimal_parse(number, &index) != DV_OK) {
        return NULL;
    }
    return json_pack("{s:I, s:{s:{s:s}, s:s}}", "index", (json_int_t)index, "event", "metadata",
                     "event_code", "unreadable", "message", why);
}

static json_t *read_line(dv_slice line)
{
    json_error_t why;
    json_t *item = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, &why);
    return item != NULL ? item : unreadable(line, why.text);
}

dv_result dv_logd_lines(dv_slice body, json_t **ret_lines, dv_error *error)
{
    dv_slice line;
    json_t *lines = json_array();
    while (lines != NULL && body.len > 0 && dv_slice_split(&body, '\n', &line)) {
        json_t *item = read_line(line);
        if (item == NULL || json_array_append_new(lines, item) != 0) {
            json_decref(lines);
            return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a line that is no JSON");
        }
    }
    if (lines == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_lines = lines;
    return DV_OK;
}
