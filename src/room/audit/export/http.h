/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* POSTs to a destination, over one connection that is kept. No redirects, no proxies; TLS 1.2 at
 * least, the receiver's certificate always checked. */

#include "room/audit/export/kind.h"

typedef struct dv_export_http dv_export_http;

enum { DV_EXPORT_HEADERS_MAX = 8 };

typedef struct dv_export_answer {
    long status;
    dv_slice body; /* until the next call */
} dv_export_answer;

/* url: borrowed for the call. */
dv_must dv_result dv_export_http_new(const dv_export_context *context, const char *url,
                                     dv_export_http **ret_http, dv_error *error);
void dv_export_http_free(dv_export_http *http);

/* Another URL for the next calls; copied. */
dv_must dv_result dv_export_http_aim(dv_export_http *http, const char *url);

/* headers: "Name: value" lines, NULL-ended; secrets are added by the caller as headers, too.
 * Errors: DV_ERR_UNAVAILABLE (no answer), with what to look at. */
dv_must dv_result dv_export_http_post(dv_export_http *http, const char *const *headers,
                                      dv_slice body, dv_export_answer *ret_answer, dv_error *error);

/* What a status means for what was sent: 2xx DV_OK; 413 DV_ERR_TOO_LARGE; 400 and 422
 * DV_ERR_INVALID; all else DV_ERR_UNAVAILABLE, with Retry-After in the chunk. The error holds the
 * front of the answer's body. */
dv_must dv_result dv_export_http_judge(dv_export_http *http, const dv_export_answer *answer,
                                       dv_export_chunk *chunk, dv_error *error);

/* Options that every curl handle of a destination has (also for mail and syslog): TLS with the
 * destination's files, no proxies, limits of time, an eye on stop. errors: CURL_ERROR_SIZE bytes
 * that outlive the handle. False when memory is out. */
bool dv_export_curl_set_up(void *curl, const dv_export_context *context, char *errors);

/* "Authorization: Basic|Bearer ..." from the destination's files, read anew at each call, so that a
 * changed secret needs no restart; empty when it has none. */
dv_must dv_result dv_export_authorization(const dv_export_destination *destination, dv_buf *out,
                                          dv_error *error);
