/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/control: searching through dvara-logd. */

#include "engine/log/query.h"
#include "room/audit/control/internal.h"

/* What is asked of dvara-logd. Texts may be NULL. */
typedef struct dv_audit_search {
    const char *query;
    const char *since; /* a time of the language, or a duration back from now */
    const char *until;
    const char *cursor;
    const char *log;   /* NULL: all of them, by time */
    const char *order; /* "newest", "oldest" */
    int64_t limit;
    bool state;
} dv_audit_search;

/* Checks the search as the API does: a mistake names the body's field and tells the column. */
dv_must dv_result dv_audit_query_check(dv_call *call, const char *field, const char *text,
                                       bool filter_alone, const dv_query **ret_query,
                                       dv_error *error);

/* Asks dvara-logd, for half a second at most. *ret_lines: the lines of its answer, the last one
 * with the stats; a new reference. */
dv_must dv_result dv_audit_search_run(dv_call *call, const dv_audit_search *search,
                                      json_t **ret_lines, dv_error *error);

/* The request for dvara-logd's /search; a new reference. */
dv_must dv_result dv_audit_search_request(dv_call *call, const dv_audit_search *search,
                                          json_t **ret_request, dv_error *error);

/* Puts what the lines of dvara-logd's answer say into the API's answer. */
dv_must dv_result dv_audit_search_answer(const json_t *lines, bool aggregated, dv_time took,
                                         json_t *answer);

/* Reads "2026-11-22T10:00", "now-1h" or "2h"; NULL gives 0. */
dv_must dv_result dv_audit_time_read(dv_call *call, const char *field, const char *text,
                                     dv_time now, int64_t *ret_ms, dv_error *error);

/* Writes a text as one quoted value of the language. */
dv_must dv_result dv_audit_quote(const char *text, dv_buf *out);
