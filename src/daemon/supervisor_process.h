/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One process under supervision: how it is started, and what becomes of those it leaves behind. */

#include "base/buf.h"
#include "base/clock.h"
#include "daemon/supervisor_layout.h"

enum { DV_PROCESS_ARGS_MAX = 12 };

typedef struct dv_process_plan {
    const char *program;                   /* absolute path */
    const char *args[DV_PROCESS_ARGS_MAX]; /* argv, NULL-ended */
    const dv_account *account;             /* NULL: stays who the supervisor is */
    const char *notify;                    /* path for NOTIFY_SOCKET, or NULL */
    int death_signal;                      /* when the supervisor dies */
} dv_process_plan;

/* Starts it in a session of its own with nothing of ours open but the pipe that it writes its
 * output to, whose reading end the caller gets (non-blocking). Errors: DV_ERR_IO, DV_ERR_NOT_FOUND
 * (no such program). What fails after the fork shows as exit code 126 and a line in the pipe. */
dv_must dv_result dv_process_start(const dv_process_plan *plan, const dv_layout *layout,
                                   pid_t *ret_pid, int *ret_output, dv_error *error);

/* Starts it, waits at most the time (then kills it), and gives its exit code (128 + signal when it
 * was killed) and its output. */
dv_must dv_result dv_process_run(const dv_process_plan *plan, const dv_layout *layout,
                                 dv_time timeout, dv_buf *output, int *ret_code, dv_error *error);

/* A process group whose leader is gone may still hold ports and files: ends it (SIGKILL) and waits
 * until it is empty, at most the time. Members must be ours or children of ours. */
dv_must dv_result dv_process_end_group(pid_t group, dv_time timeout);

/* Notes the groups of this run in RUNTIME/processes, so that a later supervisor finds what a killed
 * one left behind. */
dv_must dv_result dv_process_note_groups(const dv_layout *layout, const pid_t *groups, size_t count,
                                         dv_error *error);
/* Ends what the noted groups still hold. Only processes that are certainly of that run. */
dv_must dv_result dv_process_end_orphans(const dv_layout *layout, dv_error *error);

/* How many processes have this parent, and the highest pid among them. */
size_t dv_process_children(pid_t parent, pid_t *ret_newest);
