/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A process of its own that masks the lines of the log (line_mask.h). They hold what strangers
 * sent, and the supervisor may be root: so what searches them has no files, no rights and no name.
 *
 * 1. It gets one line and answers it, in turn. It outlives no supervisor.
 * 2. Without an answer in time the line is withheld, the process is killed, and another one
 *    started after a pause: nothing is ever passed on unmasked, and nobody waits for long. */

#include "base/buf.h"
#include "base/clock.h"

#include <sys/types.h>

typedef struct dv_masker {
    pid_t pid;         /* 0: none */
    int fd;            /* to it; -1: none */
    pid_t next_pid;    /* of the one that takes over once it has the detectors; 0: none */
    int next_fd;       /* -1: none */
    bool ready;        /* it has the detectors */
    bool separate;     /* it becomes a user of its own */
    dv_slice known;    /* borrowed; addresses in it are shown */
    dv_time retry_at;  /* monotonic: no other one before that */
    uint64_t withheld; /* lines, since the begin */
} dv_masker;

/* Begins; the detectors are compiled beside. separate: we are root, and it is to be nobody's user.
 * known: as dv_line_mask_know has it, lives until the next call or the stop. A failure shows as
 * withheld lines. */
void dv_masker_start(dv_masker *masker, bool separate, dv_slice known);
/* Of another configuration: another process takes over when it is ready, nobody waits for it. */
void dv_masker_restart(dv_masker *masker, dv_slice known);
/* Ends it; one that was never started is left alone. */
void dv_masker_stop(dv_masker *masker);
/* A child of ours has been buried. */
void dv_masker_died(dv_masker *masker, pid_t pid);

/* Appends the line as it may be shown; cut: it was longer. False: it must not be shown (counted).
 */
dv_must bool dv_masker_run(dv_masker *masker, dv_slice line, bool cut, dv_buf *out);
