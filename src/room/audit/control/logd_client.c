/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/audit_control.h"
#include "room/audit/control/internal.h"

#include <curl/curl.h>
#include <limits.h>

enum {
    BODY_MAX = 10 << 20,
    TIMEOUT_MS = 10000,
    STATUS_TIMEOUT_MS = 1000,
    HTTP_OK = 200,
    HTTP_NOT_FOUND = 404
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

static size_t take_header(char *bytes, size_t size, size_t count, void *data)
{
    static const char name[] = "Dvara-Next: ";
    dv_logd_answer *answer = data;
    char number[32];
    dv_slice line = dv_slice_of(bytes, size * count);
    if (line.len > sizeof(name) - 1 &&
        dv_slice_eq_nocase(dv_slice_sub(line, 0, sizeof(name) - 1), dv_slice_str(name))) {
        snprintf(number, sizeof(number), "%.*s",
                 DV_SLICE_ARGS(dv_slice_sub(line, sizeof(name) - 1, sizeof(number) - 1)));
        answer->next = strtoull(number, NULL, 10);
    }
    return size * count;
}

static dv_result perform(CURL *curl, const char *socket, const char *url, long timeout_ms,
                         dv_logd_answer *answer, long *ret_status)
{
    bool set = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket) == CURLE_OK &&
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

static dv_result of_status(long status, dv_error *error)
{
    switch (status) {
    case HTTP_OK:
        return DV_OK;
    case HTTP_NOT_FOUND:
        return dv_error_set(error, DV_ERR_NOT_FOUND, "the audit log has no such part");
    default:
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "dvara-logd answers with status %ld",
                            status);
    }
}

static dv_result get(const char *runtime_dir, const char *path, long timeout_ms,
                     dv_logd_answer *ret_answer, dv_error *error)
{
    char socket[PATH_MAX], url[1024];
    long status = 0;
    dv_logd_answer answer = {dv_buf_init(BODY_MAX), UINT64_MAX};
    int a = snprintf(socket, sizeof(socket), "%s/logd.sock", runtime_dir);
    int b = snprintf(url, sizeof(url), "http://logd%s", path);
    if (a < 0 || a >= PATH_MAX || b < 0 || (size_t)b >= sizeof(url)) {
        return DV_ERR_TOO_LARGE;
    }
    CURL *curl = curl_easy_init();
    if (curl == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = perform(curl, socket, url, timeout_ms, &answer, &status);
    curl_easy_cleanup(curl);
    if (result != DV_OK) {
        result = dv_error_set(error, result, "dvara-logd does not answer on %s", socket);
    } else {
        result = of_status(status, error);
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
    return get(runtime_dir, path, (long)TIMEOUT_MS + (long)wait_ms, ret_answer, error);
}

dv_result dv_audit_log_status(const char *runtime_dir, dv_audit_log *ret_log, dv_error *error)
{
    dv_auto(logd_answer) dv_logd_answer answer = {0};
    DV_TRY(get(runtime_dir, "/status", STATUS_TIMEOUT_MS, &answer, error));
    json_t *status = json_loadb((const char *)answer.body.ptr, answer.body.len, 0, NULL);
    json_int_t entries, segments, refused;
    int blocked;
    const char *problem;
    if (json_unpack(status, "{s:I, s:I, s:I, s:b, s:s}", "size", &entries, "segments", &segments,
                    "refused", &refused, "blocked", &blocked, "problem", &problem) != 0) {
        json_decref(status);
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd's status is none");
    }
    *ret_log = (dv_audit_log){.entries = (uint64_t)entries,
                              .segments = (uint64_t)segments,
                              .refused = (uint64_t)refused,
                              .blocked = blocked != 0};
    snprintf(ret_log->problem, sizeof(ret_log->problem), "%s", problem);
    json_decref(status);
    return DV_OK;
}

dv_result dv_logd_lines(dv_slice body, json_t **ret_lines, dv_error *error)
{
    dv_slice line;
    json_t *lines = json_array();
    while (lines != NULL && body.len > 0 && dv_slice_split(&body, '\n', &line)) {
        json_t *item = json_loadb((const char *)line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
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
