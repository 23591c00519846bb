/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

/* From now on the calling thread lets every other thread that wakes on its processor go first, and
 * makes up for it later: for work in bulk beside threads that somebody waits for. Its share of the
 * processor stays the same. Costs one system call. Where the kernel knows no such thing (Linux
 * before 6.12, a filter), nothing changes. */
void dv_thread_steps_aside(void);
