/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads the log from dvara-logd's socket, over one connection that is kept. For one thread. */

#include "base/buf.h"
#include "base/clock.h"
#include "base/result.h"

#include <stdatomic.h>

typedef struct dv_export_feed dv_export_feed;

/* socket: path of logd.sock; log: name of the log ("main"); stop: when it becomes true, calls end
 * with DV_ERR_UNAVAILABLE soon. All are borrowed. */
dv_must dv_result dv_export_feed_new(const char *socket, const char *log, const atomic_bool *stop,
                                     dv_export_feed **ret_feed);
void dv_export_feed_free(dv_export_feed *feed);

/* What the log is. */
typedef struct dv_export_log {
    char origin[256];
    uint64_t size;
    uint64_t minimum;      /* the first entry that is not pruned */
    uint64_t keep_seconds; /* what is older may be pruned; 0: never */
} dv_export_log;

/* Errors: DV_ERR_UNAVAILABLE, DV_ERR_NOT_FOUND (no such log), DV_ERR_CORRUPT. */
dv_must dv_result dv_export_feed_status(dv_export_feed *feed, dv_export_log *ret_log,
                                        dv_error *error);

/* Lines of the feed from that index on, at most `limit`; waits so long for the first. The lines are
 * the feed's until the next call; empty: nothing came. */
dv_must dv_result dv_export_feed_read(dv_export_feed *feed, uint64_t from, unsigned limit,
                                      unsigned wait_ms, dv_slice *ret_lines, dv_error *error);

/* Takes the next line: {"index":N,"event":{...}}. Errors: DV_ERR_NOT_FOUND (that was the last one),
 * DV_ERR_CORRUPT. */
dv_must dv_result dv_export_feed_line(dv_slice *lines, uint64_t *ret_index, dv_slice *ret_event,
                                      dv_error *error);

/* The names of all logs, one a line, into the buffer; "main" alone where dvara-logd knows no
 * others.
 */
dv_must dv_result dv_export_feed_logs(dv_export_feed *feed, dv_buf *out, dv_error *error);
