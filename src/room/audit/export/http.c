/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/export/http.h"

#include "base/codec.h"
#include "base/file.h"
#include "crypto/random.h"

#include <curl/curl.h>

enum {
    ANSWER_MAX = 16 << 20,
    CONNECT_MS = 10000,
    TIMEOUT_MS = 60000,
    SECRET_MAX = 4096,
    RETRY_AFTER_MAX = 300, /* seconds that a receiver may ask for */
};

struct dv_export_http {
    const dv_export_context *context;
    CURL *curl;
    dv_buf body;
    char errors[CURL_ERROR_SIZE];
};

/* -- secrets ----------------------------------------------------------------------------------- */

dv_result dv_export_secret(const char *path, dv_buf *out, dv_error *error)
{
    return dv_file_read_secret(path, out, error);
}

static dv_result put_basic(const dv_export_destination *destination, dv_buf *out, dv_error *error)
{
    dv_auto(secret_buf) dv_buf pair = dv_buf_init(2 * SECRET_MAX);
    DV_TRY(dv_buf_reserve(&pair, 2 * SECRET_MAX));
    DV_TRY(dv_buf_append_printf(&pair, "%s:", destination->user));
    DV_TRY(dv_export_secret(destination->password_file, &pair, error));
    DV_TRY(dv_buf_append_str(out, "Authorization: Basic "));
    return dv_base64_encode(dv_buf_slice(&pair), out);
}

dv_result dv_export_authorization(const dv_export_destination *destination, dv_buf *out,
                                  dv_error *error)
{
    DV_TRY(dv_buf_reserve(out, 4 * SECRET_MAX));
    if (destination->user != NULL) {
        return put_basic(destination, out, error);
    }
    if (destination->token_file != NULL) {
        DV_TRY(dv_buf_append_str(out, "Authorization: Bearer "));
        return dv_export_secret(destination->token_file, out, error);
    }
    return DV_OK;
}

/* -- the handle -------------------------------------------------------------------------------- */

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    dv_export_http *http = data;
    dv_slice part = dv_slice_of(bytes, size * count);
    return dv_buf_append(&http->body, part) == DV_OK ? part.len : 0;
}

static int watch(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const dv_export_context *context = data;
    return atomic_load_explicit(context->stop, memory_order_relaxed) ? 1 : 0;
}

static bool set_tls(CURL *curl, const dv_export_destination *destination)
{
    long version = destination->tls_12 ? CURL_SSLVERSION_TLSv1_2 : CURL_SSLVERSION_TLSv1_3;
    return curl_easy_setopt(curl, CURLOPT_SSLVERSION, version) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           (destination->ca == NULL ||
            (curl_easy_setopt(curl, CURLOPT_CAINFO, destination->ca) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK)) &&
           (destination->certificate == NULL ||
            (curl_easy_setopt(curl, CURLOPT_SSLCERT, destination->certificate) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_SSLKEY, destination->certificate_key) == CURLE_OK));
}

bool dv_export_curl_set_up(void *handle, const dv_export_context *context, char *errors)
{
    CURL *curl = handle;
    return curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, errors) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_XFERINFODATA, context) == CURLE_OK &&
           set_tls(curl, context->destination);
}

static bool set_up(dv_export_http *http, const char *url)
{
    CURL *curl = http->curl;
    return curl != NULL && dv_export_curl_set_up(curl, http->context, http->errors) &&
           curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "dvara-export") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, http) == CURLE_OK;
}

dv_result dv_export_http_new(const dv_export_context *context, const char *url,
                             dv_export_http **ret_http, dv_error *error)
{
    dv_export_http *http = calloc(1, sizeof(*http));
    if (http == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    http->context = context;
    http->curl = curl_easy_init();
    http->body = dv_buf_init(ANSWER_MAX);
    if (!set_up(http, url)) {
        dv_export_http_free(http);
        return dv_error_set(error, DV_ERR_NO_MEMORY, "curl can not be set up for %s", url);
    }
    *ret_http = http;
    return DV_OK;
}

void dv_export_http_free(dv_export_http *http)
{
    if (http != NULL) {
        curl_easy_cleanup(http->curl);
        dv_buf_release(&http->body);
        free(http);
    }
}

dv_result dv_export_http_aim(dv_export_http *http, const char *url)
{
    return url != NULL && curl_easy_setopt(http->curl, CURLOPT_URL, url) == CURLE_OK
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* Copies of headers may be secrets: curl frees its own, we wipe ours. */
static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *at = list; at != NULL; at = at->next) {
        dv_wipe(at->data, strlen(at->data));
    }
    curl_slist_free_all(list);
}

static dv_result perform(dv_export_http *http, struct curl_slist *headers, dv_slice body,
                         dv_export_answer *ret_answer, dv_error *error)
{
    CURL *curl = http->curl;
    long status = 0;
    dv_buf_clear(&http->body);
    http->errors[0] = '\0';
    if (curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len) != CURLE_OK ||
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.ptr) != CURLE_OK) {
        return DV_ERR_NO_MEMORY;
    }
    CURLcode code = curl_easy_perform(curl);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    if (code != CURLE_OK || curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "%s",
                            http->errors[0] != '\0' ? http->errors : curl_easy_strerror(code));
    }
    *ret_answer = (dv_export_answer){status, dv_buf_slice(&http->body)};
    return DV_OK;
}

dv_result dv_export_http_post(dv_export_http *http, const char *const *headers, dv_slice body,
                              dv_export_answer *ret_answer, dv_error *error)
{
    struct curl_slist *list =
        curl_slist_append(NULL, "Expect:"); /* no round trip before the body */
    for (size_t i = 0; headers[i] != NULL && list != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(list, headers[i]);
        if (longer == NULL) {
            free_headers(list);
        }
        list = longer;
    }
    if (list == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = perform(http, list, body, ret_answer, error);
    free_headers(list);
    return result;
}

/* One line of what the receiver said. */
static void front_of(dv_slice body, char out[160])
{
    dv_slice_copy(dv_slice_trim(body), out, 160);
    for (char *at = out; *at != '\0'; at++) {
        *at = (unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at;
    }
}

dv_result dv_export_http_judge(dv_export_http *http, const dv_export_answer *answer,
                               dv_export_chunk *chunk, dv_error *error)
{
    char said[160];
    curl_off_t seconds = 0;
    front_of(answer->body, said);
    dv_result result = answer->status >= 200 && answer->status < 300    ? DV_OK
                       : answer->status == 413                          ? DV_ERR_TOO_LARGE
                       : answer->status == 400 || answer->status == 422 ? DV_ERR_INVALID
                                                                        : DV_ERR_UNAVAILABLE;
    if (result == DV_OK) {
        return DV_OK;
    }
    if (curl_easy_getinfo(http->curl, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0) {
        chunk->retry_after = (dv_time)DV_MIN(seconds, (curl_off_t)RETRY_AFTER_MAX) * DV_SECOND;
    }
    return dv_error_set(error, result, "the receiver answers with status %ld: %s", answer->status,
                        said);
}
