/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Speaks with a control plane: over control.sock of a state directory, or over HTTPS with an API
 * key. One connection, kept between calls. */

#include "base/buf.h"
#include "cli/cli.h"
#include "core/operation.h"

typedef struct dv_client dv_client;

/* url NULL: the Dvara of state_dir. Otherwise https, or http on a loopback address; api_key is then
 * needed. Strings are borrowed. Errors: DV_ERR_INVALID, DV_ERR_UNAVAILABLE (nothing runs there). */
dv_must dv_result dv_client_open(const char *state_dir, const char *url, const char *api_key,
                                 dv_client **ret_client, dv_error *error);
void dv_client_close(dv_client *client);
DV_DEFINE_AUTO_PTR(client, dv_client, dv_client_close)

/* Calls the operation. *ret_answer is a new reference, NULL when the answer has no body. Errors:
 * the server's, by its status, with its message; DV_ERR_UNAVAILABLE when it can't be reached;
 * DV_ERR_CORRUPT when its answer is none of ours. */
dv_must dv_result dv_client_call(dv_client *client, const dv_operation *operation,
                                 const json_t *params, const json_t *body, json_t **ret_answer,
                                 dv_error *error);

/* Appends a page that is no operation: "/metrics". Errors: as above; out's. */
dv_must dv_result dv_client_page(dv_client *client, const char *path, dv_buf *out, dv_error *error);
