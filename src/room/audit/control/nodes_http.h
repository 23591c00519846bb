/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Requests to the REST API of another node, over one connection that is kept. No redirects, no
 * proxies; TLS 1.2 at least, the node's certificate always checked. The API key is read from its
 * file for each request, so that a changed one needs no restart, and goes nowhere else. */

#include "base/buf.h"
#include "room/audit/control/nodes_config.h"

#include <jansson.h>

typedef struct dv_node_http dv_node_http;

/* node and cancelled (atomic: give up now) are borrowed. */
dv_must dv_result dv_node_http_new(const dv_node *node, const bool *cancelled,
                                   dv_node_http **ret_http);
void dv_node_http_free(dv_node_http *http);
DV_DEFINE_AUTO_PTR(node_http, dv_node_http, dv_node_http_free)

typedef struct dv_node_request {
    const char *path;       /* with its query */
    const char *body;       /* JSON to POST; NULL: GET */
    const char *request_id; /* what this node calls what it asks for; NULL: nothing */
    unsigned timeout_ms;
} dv_node_request;

/* A node's JSON, or NULL: it is none, or has more than `most` values and names. A node that means
 * ill can make a value of three bytes, for which jansson takes fifty times as much memory. */
json_t *dv_node_json(dv_slice text, size_t most);

/* The answer's body replaces what is in *body, whose maximum bounds it. Errors:
 * DV_ERR_UNAVAILABLE (no answer, a broken one, its trouble), DV_ERR_UNAUTHENTICATED,
 * DV_ERR_FORBIDDEN, DV_ERR_NOT_FOUND, DV_ERR_INVALID with what it says, each in one line that may
 * be shown; of the file with the key those of dv_file_read_secret. */
dv_must dv_result dv_node_http_ask(dv_node_http *http, const dv_node_request *request, dv_buf *body,
                                   dv_error *error);
