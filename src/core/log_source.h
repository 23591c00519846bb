/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How other rooms read the audit log: the audit room asks dvara-logd. Wired up in daemon/. */

#include "core/operation.h"

/* A part of a search, from the newest event on. Texts but the query may be NULL. */
typedef struct dv_log_page {
    const char *query; /* docs/search.md, without stages */
    const char *since; /* a time, or a duration back from now; wrong ones name the field "since" */
    const char *until;
    const char *cursor; /* of the part before */
    int64_t limit;      /* events, 1000 at most */
} dv_log_page;

typedef struct dv_log_source {
    /* Looks for half a second at most. *ret_events: an array of events, *ret_next: the cursor of
     * what is left, NULL at the end; new references both. Errors: those of a search over REST. */
    dv_result (*events)(dv_call *call, const dv_log_page *page, json_t **ret_events,
                        json_t **ret_next, dv_error *error);
    /* How many seconds dvara-logd still waits, since the clock was set or the machine was off,
     * until anything may go by its age; 0: it trusts the clock. Errors: it does not answer. */
    dv_result (*clock_settles_in)(const dv_call *call, int64_t *ret_seconds, dv_error *error);
} dv_log_source;
