/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The event of an alert on a search: Detection Finding (2004), `alert.raised` when a threshold was
 * crossed, `alert.resolved` when it is so no more. */

#include "base/buf.h"
#include "base/clock.h"

/* JSON parts are written as they are. */
typedef struct dv_event_alert {
    dv_time time;
    bool resolved;
    const char *name;  /* of the alert */
    const char *uid;   /* of alert, group and window: the same whenever the same is told again */
    const char *title; /* one line for people */
    const char *query; /* what was searched for */
    const char *threshold; /* "> 5" */
    int severity_id;       /* OCSF's: 1 to 6 */
    double value;          /* what crossed it */
    int64_t start_ms;      /* of the window, [start, end) */
    int64_t end_ms;
    dv_slice group;    /* JSON object of the fields that it is grouped by: {"user":"alice"} */
    dv_slice notify;   /* JSON array of names of destinations */
    dv_slice evidence; /* JSON array: {"index":N,"request":"..."} of events that counted */
} dv_event_alert;

/* Appends the record. Errors: DV_ERR_NO_MEMORY, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_event_alert_write(dv_buf *out, const dv_event_alert *alert);
