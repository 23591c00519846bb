/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include "base/buf.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    URL_MAX = 16 << 10,
    ANSWER_MAX = 256 << 20,
    CONNECT_SECONDS = 10,
    CALL_SECONDS = 120,
    HEADER_MAX = 512,
};

struct dv_client {
    CURL *curl;
    const char *base; /* "http://dvara" or the caller's */
    const char *state_dir;
    struct curl_slist *headers;
    int runtime_fd; /* keeps the socket's folder open, so that its path is short; -1: remote */
};

/* A state directory that nothing serves. */
static dv_result not_running(const char *state_dir, dv_error *error)
{
    return dv_error_set(error, DV_ERR_UNAVAILABLE,
                        "no Dvara runs with the state %s: start it with `dvara up --state %s`, or "
                        "name another one with --state",
                        state_dir, state_dir);
}

static dv_result use_socket(dv_client *client, dv_error *error)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/runtime", client->state_dir);
    client->runtime_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (client->runtime_fd < 0 && errno == EACCES) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "%s belongs to another user: run this as that user or as root",
                            client->state_dir);
    }
    if (client->runtime_fd < 0) {
        return not_running(client->state_dir, error);
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d/control.sock", client->runtime_fd);
    curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, path);
    client->base = "http://dvara";
    return DV_OK;
}

static bool is_loopback(const char *url)
{
    static const char *const hosts[] = {"http://127.", "http://localhost:", "http://localhost/",
                                        "http://[::1]"};
    for (size_t i = 0; i < DV_ARRAY_LEN(hosts); i++) {
        if (strncmp(url, hosts[i], strlen(hosts[i])) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result add_header(dv_client *client, const char *line)
{
    struct curl_slist *grown = curl_slist_append(client->headers, line);
    if (grown == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    client->headers = grown;
    return DV_OK;
}

static dv_result use_url(dv_client *client, const char *url, const char *api_key, dv_error *error)
{
    char header[HEADER_MAX];
    if (strncmp(url, "https://", 8) != 0 && !is_loopback(url)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--url must begin with https:// (http:// only for this machine)");
    }
    if (api_key == NULL || api_key[0] == '\0') {
        return dv_error_set(error, DV_ERR_UNAUTHENTICATED,
                            "put an API key into DVARA_API_KEY to speak with %s", url);
    }
    if (snprintf(header, sizeof(header), "x-api-key: %s", api_key) >= (int)sizeof(header) ||
        strpbrk(api_key, "\r\n") != NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "DVARA_API_KEY is no API key");
    }
    const char *bundle = getenv("DVARA_CA_FILE");
    if (bundle != NULL) {
        curl_easy_setopt(client->curl, CURLOPT_CAINFO, bundle);
    }
    client->base = url;
    return add_header(client, header);
}

static dv_result prepare(dv_client *client, const char *url, const char *api_key, dv_error *error)
{
    client->curl = curl_easy_init();
    if (client->curl == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(client->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(client->curl, CURLOPT_TIMEOUT, (long)CALL_SECONDS);
    curl_easy_setopt(client->curl, CURLOPT_USERAGENT, "dvara/" DV_VERSION);
    DV_TRY(add_header(client, "Content-Type: application/json"));
    DV_TRY(add_header(client, "Expect:"));
    return url == NULL ? use_socket(client, error) : use_url(client, url, api_key, error);
}

dv_result dv_client_open(const char *state_dir, const char *url, const char *api_key,
                         dv_client **ret_client, dv_error *error)
{
    dv_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    client->state_dir = state_dir;
    client->runtime_fd = -1;
    dv_result result = prepare(client, url, api_key, error);
    if (result != DV_OK) {
        dv_client_close(client);
        return result;
    }
    *ret_client = client;
    return DV_OK;
}

void dv_client_close(dv_client *client)
{
    if (client != NULL) {
        curl_slist_free_all(client->headers);
        curl_easy_cleanup(client->curl);
        dv_fd_close(&client->runtime_fd);
        free(client);
    }
}

/* --- the target ----------------------------------------------------------------------------- */

/* Everything but unreserved characters is escaped (RFC 3986 section 2.3). */
static dv_result append_escaped(dv_buf *url, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL) {
            DV_TRY(dv_buf_append_byte(url, (uint8_t)*text));
        } else {
            DV_TRY(dv_buf_append_printf(url, "%%%02X", (unsigned)(uint8_t)*text));
        }
    }
    return DV_OK;
}

static dv_result append_value(dv_buf *url, const json_t *value)
{
    char number[32];
    if (json_is_string(value)) {
        return append_escaped(url, json_string_value(value));
    }
    size_t len = json_dumpb(value, number, sizeof(number) - 1, JSON_ENCODE_ANY);
    if (len >= sizeof(number)) {
        return DV_ERR_TOO_LARGE;
    }
    number[len] = '\0';
    return append_escaped(url, number);
}

static dv_result append_path(dv_buf *url, const dv_operation *operation, const json_t *params)
{
    dv_slice rest = dv_slice_str(operation->path + 1), part;
    while (dv_slice_split(&rest, '/', &part)) {
        DV_TRY(dv_buf_append_byte(url, '/'));
        if (part.ptr[0] != '{') {
            DV_TRY(dv_buf_append(url, part));
            continue;
        }
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)part.len - 2, (const char *)part.ptr + 1);
        DV_TRY(append_value(url, json_object_get(params, name)));
    }
    return DV_OK;
}

static dv_result append_pair(dv_buf *url, const char *name, const json_t *value, char *separator)
{
    DV_TRY(dv_buf_append_byte(url, (uint8_t)*separator));
    DV_TRY(append_escaped(url, name));
    DV_TRY(dv_buf_append_byte(url, '='));
    *separator = '&';
    return append_value(url, value);
}

static dv_result append_query(dv_buf *url, const dv_operation *operation, const json_t *params)
{
    char separator = '?';
    for (size_t i = 0; i < operation->params->field_count; i++) {
        const dv_schema_field *field = &operation->params->fields[i];
        const json_t *value = json_object_get(params, field->name);
        if (value == NULL || field->in_path) {
            continue;
        }
        for (size_t j = 0; j < json_array_size(value); j++) {
            DV_TRY(append_pair(url, field->name, json_array_get(value, j), &separator));
        }
        if (!json_is_array(value)) {
            DV_TRY(append_pair(url, field->name, value, &separator));
        }
    }
    return DV_OK;
}

/* --- the exchange --------------------------------------------------------------------------- */

static size_t take_answer(char *data, size_t size, size_t count, void *user)
{
    return dv_buf_append(user, dv_slice_of(data, size * count)) == DV_OK ? size * count : 0;
}

static dv_result unreachable(const dv_client *client, CURLcode code, dv_error *error)
{
    if (client->runtime_fd >= 0 && code == CURLE_COULDNT_CONNECT) {
        return not_running(client->state_dir, error);
    }
    return dv_error_set(error, DV_ERR_UNAVAILABLE, "%s does not answer: %s", client->base,
                        curl_easy_strerror(code));
}

static dv_result result_of(long status)
{
    switch (status) {
    case 400:
    case 405:
    case 415:
        return DV_ERR_INVALID;
    case 401:
        return DV_ERR_UNAUTHENTICATED;
    case 403:
        return DV_ERR_FORBIDDEN;
    case 404:
        return DV_ERR_NOT_FOUND;
    case 409:
    case 412:
        return DV_ERR_CONFLICT;
    case 413:
        return DV_ERR_TOO_LARGE;
    case 422:
        return DV_ERR_UNSUPPORTED;
    case 429:
        return DV_ERR_LIMITED;
    case 503:
        return DV_ERR_UNAVAILABLE;
    default:
        return DV_ERR_INTERNAL;
    }
}

/* Whether the words name the field themselves, as such or as a flag. */
static bool names_field(const char *message, const char *field)
{
    const char *flag = strstr(message, "--");
    while (flag != NULL && strncmp(flag + 2, field, strlen(field)) != 0) {
        flag = strstr(flag + 2, "--");
    }
    return flag != NULL || strncmp(message, field, strlen(field)) == 0;
}

/* The server's words, with the field that they are about; the request id when only its log can tell
 * more. */
static dv_result refused(long status, const json_t *answer, dv_error *error)
{
    const json_t *told = json_object_get(answer, "error");
    const char *message = json_string_value(json_object_get(told, "message"));
    const char *id = json_string_value(json_object_get(told, "request_id"));
    const char *field = json_string_value(json_object_get(told, "field"));
    if (message == NULL) {
        return dv_error_set(error, result_of(status), "the server answered %ld", status);
    }
    if (status >= 500 && id != NULL) {
        return dv_error_set(error, result_of(status), "%s (request %s)", message, id);
    }
    return field != NULL && !names_field(message, field)
               ? dv_error_set(error, result_of(status), "%s: %s", field, message)
               : dv_error_set(error, result_of(status), "%s", message);
}

static dv_result read_answer(long status, dv_slice text, json_t **ret_answer, dv_error *error)
{
    json_t *answer = NULL;
    if (text.len > 0) {
        json_error_t detail;
        answer = json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY, &detail);
    }
    if (status < 200 || status > 299) {
        dv_result result = refused(status, answer, error);
        json_decref(answer);
        return result;
    }
    if (text.len > 0 && answer == NULL) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the server's answer is no JSON");
    }
    *ret_answer = answer;
    return DV_OK;
}

static dv_result exchange(dv_client *client, const char *method, const char *url, const char *body,
                          dv_buf *answer, long *ret_status, dv_error *error)
{
    CURL *curl = client->curl;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    if (body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK) {
        return unreachable(client, code, error);
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    return DV_OK;
}

static dv_result make_url(const dv_client *client, const dv_operation *operation,
                          const json_t *params, dv_buf *url)
{
    size_t len = strlen(client->base);
    while (len > 0 && client->base[len - 1] == '/') {
        len--;
    }
    DV_TRY(dv_buf_append(url, dv_slice_of(client->base, len)));
    DV_TRY(append_path(url, operation, params));
    return append_query(url, operation, params);
}

dv_result dv_client_call(dv_client *client, const dv_operation *operation, const json_t *params,
                         const json_t *body, json_t **ret_answer, dv_error *error)
{
    dv_auto(buf) dv_buf url = dv_buf_init(URL_MAX);
    dv_auto(secret_buf) dv_buf answer = dv_buf_init(ANSWER_MAX);
    dv_auto(free) char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    long status = 0;
    DV_TRY(make_url(client, operation, params, &url));
    const char *target = dv_buf_cstr(&url);
    if (target == NULL || (body != NULL && text == NULL)) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(exchange(client, operation->method, target, text, &answer, &status, error));
    return read_answer(status, dv_buf_slice(&answer), ret_answer, error);
}

dv_result dv_client_page(dv_client *client, const char *path, dv_buf *out, dv_error *error)
{
    dv_auto(buf) dv_buf url = dv_buf_init(URL_MAX);
    long status = 0;
    size_t before = out->len;
    DV_TRY(dv_buf_append_str(&url, client->base));
    DV_TRY(dv_buf_append_str(&url, path));
    const char *target = dv_buf_cstr(&url);
    if (target == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(exchange(client, "GET", target, NULL, out, &status, error));
    if (status != 200) {
        out->len = before;
        return dv_error_set(error, result_of(status), "the server answered %ld", status);
    }
    return DV_OK;
}
