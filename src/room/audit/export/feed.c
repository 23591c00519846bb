/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/feed.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <jansson.h>

enum { ANSWER_MAX = 16 << 20, TIMEOUT_MS = 20000, URL_MAX = 512, HTTP_OK = 200, HTTP_NONE = 404 };

struct dv_export_feed {
    const char *log;
    const atomic_bool *stop;
    CURL *curl;
    dv_buf body;
};

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    dv_export_feed *feed = data;
    dv_slice part = dv_slice_of(bytes, size * count);
    return dv_buf_append(&feed->body, part) == DV_OK ? part.len : 0;
}

static int watch(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const dv_export_feed *feed = data;
    return atomic_load_explicit(feed->stop, memory_order_relaxed) ? 1 : 0;
}

static bool set_up(dv_export_feed *feed, const char *socket)
{
    CURL *curl = feed->curl;
    return curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, feed) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, feed) == CURLE_OK;
}

dv_result dv_export_feed_new(const char *socket, const char *log, const atomic_bool *stop,
                             dv_export_feed **ret_feed)
{
    dv_export_feed *feed = calloc(1, sizeof(*feed));
    if (feed == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *feed = (dv_export_feed){log, stop, curl_easy_init(), dv_buf_init(ANSWER_MAX)};
    if (feed->curl == NULL || !set_up(feed, socket)) {
        dv_export_feed_free(feed);
        return DV_ERR_NO_MEMORY;
    }
    *ret_feed = feed;
    return DV_OK;
}

void dv_export_feed_free(dv_export_feed *feed)
{
    if (feed != NULL) {
        curl_easy_cleanup(feed->curl);
        dv_buf_release(&feed->body);
        free(feed);
    }
}

/* The answer lies in feed->body. */
static dv_result get(dv_export_feed *feed, const char *url, long timeout_ms, dv_error *error)
{
    long status = 0;
    dv_buf_clear(&feed->body);
    if (curl_easy_setopt(feed->curl, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(feed->curl, CURLOPT_TIMEOUT_MS, timeout_ms) != CURLE_OK) {
        return DV_ERR_NO_MEMORY;
    }
    CURLcode code = curl_easy_perform(feed->curl);
    if (code != CURLE_OK ||
        curl_easy_getinfo(feed->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "dvara-logd does not answer: %s",
                            curl_easy_strerror(code));
    }
    if (status == HTTP_NONE) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "dvara-logd has no log '%s'", feed->log);
    }
    return status == HTTP_OK ? DV_OK
                             : dv_error_set(error, DV_ERR_UNAVAILABLE,
                                            "dvara-logd answers with status %ld", status);
}

/* main is the log that is meant when none is said. */
static const char *log_parameter(const dv_export_feed *feed)
{
    return strcmp(feed->log, "main") == 0 ? "" : feed->log;
}

dv_result dv_export_feed_status(dv_export_feed *feed, dv_export_log *ret_log, dv_error *error)
{
    char url[URL_MAX];
    const char *origin;
    json_int_t size, minimum = 0, keep_seconds = 0;
    const char *log = log_parameter(feed);
    snprintf(url, sizeof(url), "http://logd/status%s%s", *log != '\0' ? "?log=" : "", log);
    DV_TRY(get(feed, url, TIMEOUT_MS, error));
    json_t *root = json_loadb((const char *)feed->body.ptr, feed->body.len, 0, NULL);
    if (json_unpack(root, "{s:s, s:I, s?I, s?I}", "origin", &origin, "size", &size, "minimum",
                    &minimum, "keep_seconds", &keep_seconds) != 0 ||
        strlen(origin) >= sizeof(ret_log->origin) || size < 0 || minimum < 0 || keep_seconds < 0) {
        json_decref(root);
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd's status is none");
    }
    ret_log->size = (uint64_t)size;
    ret_log->minimum = (uint64_t)minimum;
    ret_log->keep_seconds = (uint64_t)keep_seconds;
    memcpy(ret_log->origin, origin, strlen(origin) + 1);
    json_decref(root);
    return DV_OK;
}

dv_result dv_export_feed_read(dv_export_feed *feed, uint64_t from, unsigned limit, unsigned wait_ms,
                              dv_slice *ret_lines, dv_error *error)
{
    char url[URL_MAX];
    const char *log = log_parameter(feed);
    snprintf(url, sizeof(url), "http://logd/events?from=%" PRIu64 "&limit=%u&wait_ms=%u%s%s", from,
             limit, wait_ms, *log != '\0' ? "&log=" : "", log);
    DV_TRY(get(feed, url, (long)TIMEOUT_MS + (long)wait_ms, error));
    *ret_lines = dv_buf_slice(&feed->body);
    return DV_OK;
}

static bool take_text(dv_slice *line, const char *text)
{
    if (!dv_slice_starts_with(*line, dv_slice_str(text))) {
        return false;
    }
    *line = dv_slice_sub(*line, strlen(text), line->len);
    return true;
}

static bool take_number(dv_slice *line, uint64_t *ret_number)
{
    uint64_t number = 0;
    size_t digits = 0;
    while (digits < line->len && digits < 19 && line->ptr[digits] >= '0' &&
           line->ptr[digits] <= '9') {
        number = number * 10 + (uint64_t)(line->ptr[digits++] - '0');
    }
    *line = dv_slice_sub(*line, digits, line->len);
    *ret_number = number;
    return digits > 0;
}

dv_result dv_export_feed_line(dv_slice *lines, uint64_t *ret_index, dv_slice *ret_event,
                              dv_error *error)
{
    dv_slice line;
    uint64_t index;
    if (lines->len == 0 || !dv_slice_split(lines, '\n', &line)) {
        return DV_ERR_NOT_FOUND;
    }
    if (!take_text(&line, "{\"index\":") || !take_number(&line, &index) ||
        !take_text(&line, ",\"event\":") || line.len < 3 || line.ptr[line.len - 1] != '}') {
        return dv_error_set(error, DV_ERR_CORRUPT, "dvara-logd sent a line that is no event");
    }
    *ret_index = index;
    *ret_event = dv_slice_sub(line, 0, line.len - 1);
    return DV_OK;
}

dv_result dv_export_feed_logs(dv_export_feed *feed, dv_buf *out, dv_error *error)
{
    size_t i;
    json_t *item;
    dv_result result = get(feed, "http://logd/logs", TIMEOUT_MS, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_buf_append_str(out, "main\n");
    }
    DV_TRY(result);
    json_t *root = json_loadb((const char *)feed->body.ptr, feed->body.len, 0, NULL);
    json_array_foreach(root, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        result = name == NULL ? DV_ERR_CORRUPT : dv_buf_append_printf(out, "%s\n", name);
        if (result != DV_OK) {
            break;
        }
    }
    json_decref(root);
    return result == DV_OK && out->len == 0 ? DV_ERR_CORRUPT : result;
}
