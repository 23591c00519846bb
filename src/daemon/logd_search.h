/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* POST /search of dvara-logd's socket.
 *
 * The request is one JSON object:
 *   query      the search (engine/log/query.h)
 *   log        name of the log that is searched; all of them when not given
 *   limit      events of one page, 1 to 1000 (100 when not given), or rows of an aggregation
 *   cursor     what an earlier page gave as "next"
 *   now_ms     what the search's relative times count from
 *   since_ms, until_ms   further bounds on the events' time
 *   order      "newest" (first; when not given) or "oldest"
 *   budget_ms  how long it may look, 1 to 10000 (1000 when not given)
 *   state      true: an aggregation gives its mergeable state, not its rows
 * The answer is lines of JSON: {"index":N,"event":{...}} for each event of the page, of another log
 * than main {"index":N,"log":NAME,"event":{...}}; those of several logs stand in the order of their
 * time, those of one in the order of the log. Or one line
 * {"columns":...} or {"state":...} of an aggregation; and last
 *   {"stats":{"scanned":N,"matched":N,"complete":true},"next":"..."}
 * where "next" is there when the search did not come to its end, and always with "oldest", so that
 * what comes later can be asked for. The first page of "newest" also has "newer", the cursor with
 * which "oldest" goes on behind what there is. An aggregation that is not complete tells of what
 * was looked at until then: whoever needs all of it asks for the states, page by page, and merges
 * them. */

#include "base/buf.h"
#include "engine/log/state.h"
#include "engine/log/subjects.h"

enum { DV_LOGD_SEARCH_MAX = 16 << 10 }; /* bytes of a request */

/* The logs that are there. subjects NULL: what is sealed stays sealed. */
typedef struct dv_logd_searched {
    const char *folder; /* of the main log */
    const dv_log_tree *logs;
    size_t log_count;
    dv_subjects *subjects;
} dv_logd_searched;

/* Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE (the request), DV_ERR_NOT_FOUND (no such log), what the
 * log says. */
dv_must dv_result dv_logd_search(const dv_logd_searched *logs, dv_slice request, dv_buf *out,
                                 dv_error *error);
