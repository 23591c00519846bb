/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* From now on the calling thread lets every other thread that wakes on its processor go first, and
 * makes up for it later: for work in bulk beside threads that somebody waits for. Its share of the
 * processor stays the same. Costs one system call. Where the kernel knows no such thing (Linux
 * before 6.12, a filter), nothing changes. */
void dv_thread_steps_aside(void);

/* Linux weighs whole sessions against each other (sched(7), "autogroup"), where it is told to:
 * niceness says nothing between processes of two sessions then. (Below a cgroup that has a CPU
 * weight, that one counts and this has no effect.) Opens the weight of the caller's
 * own session, for dv_session_yields, before the process is made undumpable; -1 where there is no
 * such thing, or the session is somebody else's. The caller closes it. */
int dv_session_open(void);

/* Lets all other sessions have the processor first (true), or takes its full share again. False
 * when the kernel does not, as when it was asked a tenth of a second ago. */
bool dv_session_yields(int session, bool yields);
