/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvara-logd tells of itself in the log: that the clock was set (audit.clock), and for how
 * long the log took nothing (audit.blocked, once it does again). */

#include "engine/log/sequencer.h"

typedef struct dv_logd_watch {
    dv_clock_watch clock;
    bool blocked;
    dv_time since; /* monotonic */
    char problem[DV_ERROR_MESSAGE_MAX];
} dv_logd_watch;

/* Looks at the clocks; leaves an alarm when the wall clock was set. Returns whether it did. */
bool dv_logd_watch_clock(dv_logd_watch *watch, dv_sequencer *sequencer, dv_time wall,
                         dv_time monotonic);

/* A commit went like that. problem: why it failed. */
void dv_logd_watch_commit(dv_logd_watch *watch, dv_sequencer *sequencer, bool done,
                          const char *problem);
