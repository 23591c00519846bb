/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The lines that the processes write: put together, cleaned of secrets, given a prefix. */

#include "base/buf.h"

enum { DV_LOG_LINE_MAX = 8192, DV_LOG_TAIL_LINES = 12, DV_LOG_TAIL_LINE = 240 };

/* Appends the text with what looks like a credential overwritten: Dvara's keys behind their id,
 * what follows "Bearer" or "Basic", values of x-api-key, keys of the known providers ("sk-...",
 * "ghp_..."); control characters become '?'. */
dv_must dv_result dv_log_mask(dv_slice line, dv_buf *out);

/* Gathers one process's output into lines. */
typedef struct dv_log_lines {
    const char *name; /* prefix */
    size_t len;
    char line[DV_LOG_LINE_MAX]; /* what goes over it is dropped */
} dv_log_lines;

/* Where lines go, and the last few, for an error message. */
typedef struct dv_log_out {
    int fd;
    bool stamp; /* begin each line with the time */
    size_t next;
    char tail[DV_LOG_TAIL_LINES][DV_LOG_TAIL_LINE];
} dv_log_out;

/* Feeds bytes as they come; whole lines go out. last: also what has no newline yet. */
void dv_log_feed(dv_log_lines *lines, dv_slice bytes, bool last, dv_log_out *out);

/* One line of the supervisor's own. */
void dv_log_say(dv_log_out *out, const char *format, ...) dv_printf(2, 3);

/* Appends the last lines, oldest first, each indented by two spaces. */
dv_must dv_result dv_log_tail(const dv_log_out *out, dv_buf *text);
