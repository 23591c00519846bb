/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/control: asking dvara-logd, and reading OCSF events. */

#include "base/buf.h"
#include "core/operation.h"

#include <inttypes.h>

/* One answer of dvara-logd. */
typedef struct dv_logd_answer {
    dv_buf body;
    uint64_t next; /* Dvara-Next, or UINT64_MAX */
} dv_logd_answer;

void dv_logd_answer_release(dv_logd_answer *answer);
DV_DEFINE_AUTO(logd_answer, dv_logd_answer, dv_logd_answer_release)

/* GETs a path of RUNTIME/logd.sock; wait_ms is what the path asks it to wait. Errors:
 * DV_ERR_UNAVAILABLE (it does not answer), DV_ERR_NOT_FOUND, DV_ERR_INVALID, DV_ERR_CORRUPT. */
dv_must dv_result dv_logd_get(const char *runtime_dir, const char *path, unsigned wait_ms,
                              dv_logd_answer *ret_answer, dv_error *error);

/* The lines of the feed as an array of {"index","event"}: a new reference. */
dv_must dv_result dv_logd_lines(dv_slice body, json_t **ret_lines, dv_error *error);

/* A member by its path "actor.user.name"; NULL when there is none. Borrowed. */
json_t *dv_event_at(const json_t *event, const char *path);
/* The same as text; "" when it is absent or no text. */
const char *dv_event_text(const json_t *event, const char *path);
int64_t dv_event_int(const json_t *event, const char *path);
bool dv_event_is(const json_t *event, const char *code);

/* The event with a summary in front: index, when, event, who, what, outcome, request. A new
 * reference, or NULL when memory is out. */
json_t *dv_event_summarize(const json_t *line);

/* The explanation of one request from its events (lines of the feed). A new reference. */
dv_must dv_result dv_event_explain(const char *request_id, const json_t *lines, json_t **ret_why);
