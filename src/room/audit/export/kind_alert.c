/* SPDX-License-Identifier: Apache-2.0 */
/* The receivers of alerts: one message an event, to a webhook or by mail. */
#include "base/codec.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "room/audit/export/format.h"
#include "room/audit/export/http.h"

#include <curl/curl.h>
#include <inttypes.h>

enum { MESSAGE_MAX = 1 << 20, SECRET_MAX = 4096, HEADER_MAX = DV_EXPORT_UID_MAX + 64 };

/* -- webhook ----------------------------------------------------------------------------------- */

typedef struct hook {
    const dv_export_context *context;
    dv_export_http *http;
    dv_buf body;
} hook;

static void hook_close(void *data)
{
    hook *sender = data;
    if (sender != NULL) {
        dv_export_http_free(sender->http);
        dv_buf_release(&sender->body);
        free(sender);
    }
}

static dv_result hook_open(const dv_export_context *context, void **ret_sender, dv_error *error)
{
    hook *sender = calloc(1, sizeof(*sender));
    if (sender == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *sender = (hook){context, NULL, dv_buf_init(MESSAGE_MAX)};
    dv_result result = dv_export_http_new(context, context->destination->url, &sender->http, error);
    if (result != DV_OK) {
        hook_close(sender);
        return result;
    }
    *ret_sender = sender;
    return DV_OK;
}

/* "Dvara-Signature: v1=HEX": HMAC-SHA-256 over "TIMESTAMP.BODY", so that neither can be changed nor
 * an old message be sent again as a new one. Without secret_file: none. */
static dv_result sign(const hook *sender, const char *timestamp, char out[HEADER_MAX],
                      dv_error *error)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_auto(secret_buf) dv_buf secret = dv_buf_init(SECRET_MAX);
    dv_auto(buf) dv_buf message = dv_buf_init(MESSAGE_MAX + 64), hex = dv_buf_init(65);
    if (sender->context->destination->secret_file == NULL) {
        out[0] = '\0';
        return DV_OK;
    }
    DV_TRY(dv_buf_reserve(&secret, SECRET_MAX));
    DV_TRY(dv_export_secret(sender->context->destination->secret_file, &secret, error));
    DV_TRY(dv_buf_append_printf(&message, "%s.", timestamp));
    DV_TRY(dv_buf_append(&message, dv_buf_slice(&sender->body)));
    dv_hmac_sha256(dv_buf_slice(&secret), dv_buf_slice(&message), digest);
    DV_TRY(dv_hex_encode(dv_slice_of(digest, sizeof(digest)), &hex));
    snprintf(out, HEADER_MAX, "Dvara-Signature: v1=%s", dv_buf_cstr(&hex));
    return DV_OK;
}

static dv_result hook_send(void *data, dv_export_chunk *chunk, dv_error *error)
{
    hook *sender = data;
    dv_export_answer answer;
    const dv_export_event *event = &chunk->items[0]->event;
    char timestamp[24], when[HEADER_MAX], uid[DV_EXPORT_UID_MAX], id[HEADER_MAX];
    char signature[HEADER_MAX];
    dv_auto(secret_buf) dv_buf authorization = dv_buf_init(64 << 10);
    dv_buf_clear(&sender->body);
    DV_TRY(dv_export_put_json(&sender->body, event));
    DV_TRY(dv_export_authorization(sender->context->destination, &authorization, error));
    dv_export_event_uid(event, uid);
    snprintf(timestamp, sizeof(timestamp), "%" PRId64, dv_time_now() / DV_SECOND);
    snprintf(when, sizeof(when), "Dvara-Timestamp: %s", timestamp);
    snprintf(id, sizeof(id), "Dvara-Delivery: %s", uid);
    DV_TRY(sign(sender, timestamp, signature, error));
    const char *headers[DV_EXPORT_HEADERS_MAX] = {"Content-Type: application/json", when, id};
    size_t count = 3;
    if (signature[0] != '\0') {
        headers[count++] = signature;
    }
    if (authorization.len > 0) {
        headers[count] = dv_buf_cstr(&authorization);
    }
    DV_TRY(dv_export_http_post(sender->http, headers, dv_buf_slice(&sender->body), &answer, error));
    DV_TRY(dv_export_http_judge(sender->http, &answer, chunk, error));
    chunk->items[0]->state = DV_EXPORT_DONE;
    return DV_OK;
}

/* -- mail (SMTP, RFC 5321; STARTTLS, RFC 3207) ------------------------------------------------- */

typedef struct mailer {
    const dv_export_context *context;
    CURL *curl;
    struct curl_slist *recipients;
    dv_buf text;
    size_t sent; /* of the text */
    char errors[CURL_ERROR_SIZE];
} mailer;

static size_t give_text(char *out, size_t size, size_t count, void *data)
{
    mailer *sender = data;
    dv_slice part = dv_slice_sub(dv_buf_slice(&sender->text), sender->sent, size * count);
    if (part.len > 0) {
        memcpy(out, part.ptr, part.len);
    }
    sender->sent += part.len;
    return part.len;
}

static void mail_close(void *data)
{
    mailer *sender = data;
    if (sender != NULL) {
        curl_easy_cleanup(sender->curl);
        curl_slist_free_all(sender->recipients);
        dv_buf_release(&sender->text);
        free(sender);
    }
}

static bool set_recipients(mailer *sender, const dv_export_destination *destination)
{
    for (size_t i = 0; destination->to[i] != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(sender->recipients, destination->to[i]);
        if (longer == NULL) {
            return false;
        }
        sender->recipients = longer;
    }
    return curl_easy_setopt(sender->curl, CURLOPT_MAIL_RCPT, sender->recipients) == CURLE_OK;
}

/* Without TLS nothing is said, unless the configuration allows it. */
static bool set_up(mailer *sender)
{
    CURL *curl = sender->curl;
    const dv_export_destination *destination = sender->context->destination;
    return curl != NULL && dv_export_curl_set_up(curl, sender->context, sender->errors) &&
           set_recipients(sender, destination) &&
           curl_easy_setopt(curl, CURLOPT_URL, destination->url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USE_SSL,
                            (long)(destination->plaintext ? CURLUSESSL_NONE : CURLUSESSL_ALL)) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAIL_FROM, destination->from) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_text) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_READDATA, sender) == CURLE_OK;
}

static dv_result mail_open(const dv_export_context *context, void **ret_sender, dv_error *error)
{
    mailer *sender = calloc(1, sizeof(*sender));
    if (sender == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    sender->context = context;
    sender->text = dv_buf_init(MESSAGE_MAX);
    sender->curl = curl_easy_init();
    if (!set_up(sender)) {
        mail_close(sender);
        return dv_error_set(error, DV_ERR_NO_MEMORY, "curl can not be set up for mail");
    }
    *ret_sender = sender;
    return DV_OK;
}

static dv_result log_in(mailer *sender, dv_error *error)
{
    const dv_export_destination *destination = sender->context->destination;
    dv_auto(secret_buf) dv_buf password = dv_buf_init(SECRET_MAX + 1);
    if (destination->user == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_buf_reserve(&password, SECRET_MAX + 1));
    DV_TRY(dv_export_secret(destination->password_file, &password, error));
    return curl_easy_setopt(sender->curl, CURLOPT_USERNAME, destination->user) == CURLE_OK &&
                   curl_easy_setopt(sender->curl, CURLOPT_PASSWORD, dv_buf_cstr(&password)) ==
                       CURLE_OK
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* 552 and 554 at the message's end refuse this message; all else may be mended at the server. */
static dv_result judge_mail(const mailer *sender, CURLcode code, dv_error *error)
{
    long reply = 0;
    if (code == CURLE_OK) {
        return DV_OK;
    }
    (void)curl_easy_getinfo(sender->curl, CURLINFO_RESPONSE_CODE, &reply);
    bool of_message = code == CURLE_WEIRD_SERVER_REPLY && (reply == 552 || reply == 554);
    return dv_error_set(error, of_message ? DV_ERR_INVALID : DV_ERR_UNAVAILABLE,
                        "the mail server answers %ld: %s", reply,
                        sender->errors[0] != '\0' ? sender->errors : curl_easy_strerror(code));
}

static dv_result mail_send(void *data, dv_export_chunk *chunk, dv_error *error)
{
    mailer *sender = data;
    dv_buf_clear(&sender->text);
    sender->sent = 0;
    sender->errors[0] = '\0';
    DV_TRY(log_in(sender, error));
    DV_TRY(dv_export_put_mail(&sender->text, &chunk->items[0]->event, sender->context->destination,
                              dv_time_now(), chunk->arena));
    DV_TRY(judge_mail(sender, curl_easy_perform(sender->curl), error));
    chunk->items[0]->state = DV_EXPORT_DONE;
    return DV_OK;
}

const dv_export_kind dv_export_kind_webhook = {
    .open = hook_open, .send = hook_send, .close = hook_close, .events_max = 1};
const dv_export_kind dv_export_kind_email = {
    .open = mail_open, .send = mail_send, .close = mail_close, .events_max = 1};
