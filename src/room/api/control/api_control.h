/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Routes, upstreams, limits and the transport sections of dvara.yaml: their defaults, their
 * checks, and the gateway's configuration made from them. */

#include "base/buf.h"
#include "core/config.h"

/* Rows for daemon/config.c's table: "routes", "limits", "upstream", "upstreams",
 * "refused_fields". */
extern const dv_config_section dv_api_config_sections[];
extern const size_t dv_api_config_section_count;

enum { DV_API_SERVERS_MAX = 16, DV_API_UPSTREAMS_MAX = 64 };

/* One group of model servers, as nginx_conf needs it. Strings live as long as the arena. */
typedef struct dv_api_upstream {
    const char *name; /* "default" */
    const char *servers[DV_API_SERVERS_MAX]; /* "http://127.0.0.1:9000/base" */
    size_t server_count;
    int64_t connect_timeout; /* nanoseconds */
    int64_t answer_timeout;  /* nanoseconds between two reads */
} dv_api_upstream;

/* The upstreams of the sections (either may be NULL). option: the value of --upstream, which
 * outranks `upstream`, or NULL. */
dv_must dv_result dv_api_upstreams(const dv_yaml *upstream, const dv_yaml *upstreams,
                                   const char *option, dv_arena *arena,
                                   const dv_api_upstream **ret_upstreams, size_t *ret_count,
                                   dv_error *error);

/* Writes the gateway's configuration (the JSON that room/api/gate reads): routes, limits and
 * refused fields of the sections or their defaults. data_policies: the JSON object text of the
 * data room: {"request":{...},"answer":{...}}. root: the file's top map, or NULL. */
dv_must dv_result dv_api_gateway_json(const dv_yaml *root, dv_slice data_policies, dv_buf *out,
                                      dv_error *error);
