/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The lines that the processes write: put together, masked, given a prefix. */

#include "base/buf.h"
#include "daemon/line_mask.h"
#include "daemon/supervisor_mask.h"

enum { DV_LOG_TAIL_LINES = 12, DV_LOG_TAIL_LINE = 240 };

/* Gathers one process's output into lines. */
typedef struct dv_log_lines {
    const char *name; /* prefix */
    size_t len;
    bool cut; /* the line is longer: what goes over DV_LINE_MAX is dropped */
    char line[DV_LINE_MAX];
} dv_log_lines;

/* Where lines go, and the last few, for an error message. */
typedef struct dv_log_out {
    int fd;
    bool stamp;        /* begin each line with the time */
    dv_masker *masker; /* borrowed */
    /* Told of a line with which a process dies (base/crash.h), instead of its being shown. */
    void (*crashed)(void *data, const char *name, dv_slice line);
    void *data;
    size_t next;
    char tail[DV_LOG_TAIL_LINES][DV_LOG_TAIL_LINE];
} dv_log_out;

/* Feeds bytes as they come; whole lines go out, masked. Of one that can't be masked goes out how
 * long it is. last: also what has no newline yet. */
void dv_log_feed(dv_log_lines *lines, dv_slice bytes, bool last, dv_log_out *out);

/* One line of the supervisor's own. */
void dv_log_say(dv_log_out *out, const char *format, ...) dv_printf(2, 3);

/* Appends the text, which goes elsewhere than to the log, masked line by line. */
dv_must dv_result dv_log_masked(dv_log_out *out, const char *text, dv_buf *ret_text);

/* Appends the last lines, oldest first, each indented by two spaces. */
dv_must dv_result dv_log_tail(const dv_log_out *out, dv_buf *text);
