/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/control/nodes_http.h"

#include "base/file.h"
#include "crypto/random.h"

#include <curl/curl.h>
#include <jansson.h>
#include <pwd.h>
#include <unistd.h>

enum { CONNECT_MS = 5000, KEY_MAX = 4096, TOLD_MAX = 160, TOLD_VALUES = 1024 };

struct dv_node_http {
    const dv_node *node;
    const bool *cancelled;
    CURL *curl;
    char errors[CURL_ERROR_SIZE];
};

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    return dv_buf_append(data, dv_slice_of(bytes, size * count)) == DV_OK ? size * count : 0;
}

static int look_up(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const bool *cancelled = data;
    return __atomic_load_n(cancelled, __ATOMIC_RELAXED) ? 1 : 0;
}

static bool set_tls(CURL *curl, const dv_node *node)
{
    return curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           (node->ca[0] == '\0' || (curl_easy_setopt(curl, CURLOPT_CAINFO, node->ca) == CURLE_OK &&
                                    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK));
}

static bool set_up(dv_node_http *http)
{
    CURL *curl = http->curl;
    return curl != NULL && curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, http->errors) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "dvara") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, http->cancelled) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           set_tls(curl, http->node);
}

dv_result dv_node_http_new(const dv_node *node, const bool *cancelled, dv_node_http **ret_http)
{
    dv_node_http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    http->node = node;
    http->cancelled = cancelled;
    http->curl = curl_easy_init();
    if (!set_up(http)) {
        dv_node_http_free(http);
        return DV_ERR_NO_MEMORY;
    }
    *ret_http = http;
    return DV_OK;
}

void dv_node_http_free(dv_node_http *http)
{
    if (http != NULL) {
        curl_easy_cleanup(http->curl);
        free(http);
    }
}

/* -- headers: one of them is a secret ---------------------------------------------------------- */

static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *at = list; at != NULL; at = at->next) {
        dv_wipe(at->data, strlen(at->data));
    }
    curl_slist_free_all(list);
}

static dv_result add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *list = longer;
    return DV_OK;
}

/* The key is read by dvarad, not by whoever wrote dvara.yaml. */
static dv_result tell_reader(dv_result result, const dv_error *wrong, dv_error *error)
{
    char room[4096];
    struct passwd entry, *found = NULL;
    bool named = getpwuid_r(geteuid(), &entry, room, sizeof(room), &found) == 0 && found != NULL;
    return named
               ? dv_error_set(error, result,
                              "api_key_file: %.300s; dvarad reads it as the user %.64s: give it to "
                              "that user, with the mode 0600",
                              wrong->message, entry.pw_name)
               : dv_error_set(error, result,
                              "api_key_file: %.300s; dvarad reads it as the user with the id %ld: "
                              "give it to that user, with the mode 0600",
                              wrong->message, (long)geteuid());
}

static dv_result add_key(const dv_node *node, struct curl_slist **list, dv_error *error)
{
    dv_error wrong = {0};
    dv_auto(secret_buf) dv_buf line = dv_buf_init(2 * KEY_MAX);
    DV_TRY(dv_buf_reserve(&line, 2 * KEY_MAX)); /* at once: growing leaves copies behind */
    DV_TRY(dv_buf_append_str(&line, "x-api-key: "));
    dv_result result = dv_file_read_secret(node->api_key_file, &line, &wrong);
    if (result != DV_OK) {
        return tell_reader(result, &wrong, error);
    }
    const char *text = dv_buf_cstr(&line);
    return text != NULL ? add_header(list, text) : DV_ERR_NO_MEMORY;
}

static dv_result make_headers(const dv_node *node, const dv_node_request *request,
                              struct curl_slist **list, dv_error *error)
{
    char line[128];
    DV_TRY(add_header(list, "Expect:"));
    if (request->body != NULL) {
        DV_TRY(add_header(list, "Content-Type: application/json"));
    }
    if (request->request_id != NULL) {
        snprintf(line, sizeof(line), "X-Request-ID: %.64s", request->request_id);
        DV_TRY(add_header(list, line));
    }
    return add_key(node, list, error);
}

/* -- question and answer ----------------------------------------------------------------------- */

static bool aim(dv_node_http *http, const dv_node_request *request, struct curl_slist *headers,
                dv_buf *body)
{
    char url[2 * DV_NODE_URL_MAX];
    CURL *curl = http->curl;
    int len = snprintf(url, sizeof(url), "%s%s", http->node->url, request->path);
    return len > 0 && (size_t)len < sizeof(url) &&
           curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) == CURLE_OK &&
           (request->body == NULL
                ? curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L) == CURLE_OK
                : curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
                      curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body) == CURLE_OK &&
                      curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(request->body)) ==
                          CURLE_OK);
}

/* Of JSON, how many values and names it has at most: each but the first stands behind a mark. */
static size_t count_values(dv_slice text)
{
    size_t marks = 1;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '"') {
            quoted = !quoted;
        } else if (quoted) {
            i += byte == '\\';
        } else {
            marks += byte == ',' || byte == ':' || byte == '[' || byte == '{';
        }
    }
    return marks;
}

json_t *dv_node_json(dv_slice text, size_t most)
{
    return text.len > 0 && count_values(text) <= most
               ? json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL)
               : NULL;
}

/* The node's words, for people: printable, in one line. */
static void told_by(const dv_buf *body, char out[TOLD_MAX])
{
    json_t *answer = dv_node_json(dv_buf_slice(body), TOLD_VALUES);
    const char *message =
        json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
    snprintf(out, TOLD_MAX, "%.*s", TOLD_MAX - 1, message != NULL ? message : "");
    for (char *at = out; *at != '\0'; at++) {
        *at = *at < ' ' || *at > '~' ? '?' : *at;
    }
    json_decref(answer);
}

static dv_result judge(long status, const dv_buf *body, dv_error *error)
{
    char told[TOLD_MAX];
    static const struct {
        long status;
        dv_result result;
        const char *hint;
    } known[] = {
        {400, DV_ERR_INVALID, "it refuses what was asked"},
        {401, DV_ERR_UNAUTHENTICATED, "it does not know the API key"},
        {403, DV_ERR_FORBIDDEN, "the API key may not do that"},
        {404, DV_ERR_NOT_FOUND, "it has nothing there"},
        {413, DV_ERR_INVALID, "it refuses what was asked"},
    };
    if (status == 200) {
        return DV_OK;
    }
    told_by(body, told);
    for (size_t i = 0; i < DV_ARRAY_LEN(known); i++) {
        if (known[i].status == status) {
            return dv_error_set(error, known[i].result, "%s (%ld)%s%s", known[i].hint, status,
                                told[0] != '\0' ? ": " : "", told);
        }
    }
    return dv_error_set(error, DV_ERR_UNAVAILABLE, "it answers %ld%s%s", status,
                        told[0] != '\0' ? ": " : "", told);
}

static dv_result perform(dv_node_http *http, const dv_node_request *request,
                         struct curl_slist *headers, dv_buf *body, dv_error *error)
{
    long status = 0;
    dv_buf_clear(body);
    http->errors[0] = '\0';
    if (!aim(http, request, headers, body)) {
        return DV_ERR_NO_MEMORY;
    }
    CURLcode code = curl_easy_perform(http->curl);
    (void)curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, NULL);
    if (code == CURLE_WRITE_ERROR) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "its answer is larger than %zu bytes",
                            body->max);
    }
    if (code != CURLE_OK ||
        curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "%.200s",
                            http->errors[0] != '\0' ? http->errors : curl_easy_strerror(code));
    }
    return judge(status, body, error);
}

dv_result dv_node_http_ask(dv_node_http *http, const dv_node_request *request, dv_buf *body,
                           dv_error *error)
{
    struct curl_slist *headers = NULL;
    dv_result result = make_headers(http->node, request, &headers, error);
    if (result == DV_OK) {
        result = perform(http, request, headers, body, error);
    }
    free_headers(headers);
    return result;
}
