/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/control: asking dvara-logd, and reading OCSF events. */

#include "base/buf.h"
#include "core/operation.h"
#include "engine/log/tiles.h"
#include "room/audit/control/summary.h"

#include <inttypes.h>

/* One answer of dvara-logd. */
typedef struct dv_logd_answer {
    dv_buf body;
    uint64_t next;   /* Dvara-Next, or UINT64_MAX */
    uint64_t pruned; /* Dvara-Pruned: what came before that index is gone; 0: nothing was asked */
} dv_logd_answer;

void dv_logd_answer_release(dv_logd_answer *answer);
DV_DEFINE_AUTO(logd_answer, dv_logd_answer, dv_logd_answer_release)

/* GETs a path of RUNTIME/logd.sock; wait_ms is what the path asks it to wait. Errors:
 * DV_ERR_UNAVAILABLE (it does not answer), DV_ERR_NOT_FOUND, DV_ERR_INVALID, DV_ERR_CORRUPT. */
dv_must dv_result dv_logd_get(const char *runtime_dir, const char *path, unsigned wait_ms,
                              dv_logd_answer *ret_answer, dv_error *error);

/* POSTs a body there. Errors: those; DV_ERR_INVALID, DV_ERR_FORBIDDEN, DV_ERR_CONFLICT with what
 * dvara-logd says. */
dv_must dv_result dv_logd_post(const char *runtime_dir, const char *path, dv_slice body,
                               dv_logd_answer *ret_answer, dv_error *error);

/* Tiles of a log, for proofs. data: a dv_logd_log. */
typedef struct dv_logd_log {
    const char *runtime_dir;
    const char *name; /* "main"; of a-z, 0-9 and '-' */
} dv_logd_log;
dv_must dv_result dv_logd_tile(void *data, int level, uint64_t index, uint32_t width,
                               dv_hash ret_hashes[DV_TILE_WIDTH], dv_error *error);

/* The same, for work that may not hold dvarad: waits no longer than that in all. */
dv_must dv_result dv_logd_get_quickly(const char *runtime_dir, const char *path, unsigned most_ms,
                                      dv_logd_answer *ret_answer, dv_error *error);

dv_must dv_result dv_logd_post_quickly(const char *runtime_dir, const char *path, const char *body,
                                       unsigned most_ms, dv_logd_answer *ret_answer,
                                       dv_error *error);

/* The logs that there are, an array of {"name","origin","vkey","size","minimum"}, main first: a new
 * reference. */
dv_must dv_result dv_logd_logs(const char *runtime_dir, json_t **ret_logs, dv_error *error);

/* POSTs a JSON body that dvara-logd may need up to wait_ms for. */
dv_must dv_result dv_logd_post_json(const char *runtime_dir, const char *path, const char *body,
                                    unsigned wait_ms, dv_logd_answer *ret_answer, dv_error *error);

/* The lines of the feed as an array of {"index","event"}, with "log" where it is not main: a new
 * reference. */
dv_must dv_result dv_logd_lines(dv_slice body, json_t **ret_lines, dv_error *error);

/* What another program of ours tells of itself, once a second, in RUNTIME/file; `list` is an array
 * in it. A new reference, or NULL: it does not run. */
json_t *dv_program_status(const char *runtime_dir, const char *file, const char *list, dv_time now);

/* The call's answer holds events: which were asked for, and how many there were. Its record says
 * so.
 */
dv_must dv_result dv_audit_reading(dv_call *call, const char *query, size_t rows);

/* dv_log_source.clock_settles_in. */
dv_must dv_result dv_audit_clock_settles_in(const dv_call *call, int64_t *ret_seconds,
                                            dv_error *error);

/* The explanation of one request from its events (lines of the feed). A new reference. */
dv_must dv_result dv_event_explain(const char *request_id, const json_t *lines, json_t **ret_why);
