/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reports of crashes: STATE/crashes/TIME-PROGRAM-PID.txt (0600), made of what a dying process says
 * on its standard error (base/crash.h). What it says is not believed further than that: it has a
 * form, or there is no report. */

#include "base/buf.h"
#include "base/clock.h"

#include <limits.h>

enum { DV_CRASH_REPORTS = 32 }; /* that are kept: the oldest go */

#define DV_CRASH_FOLDER "crashes"

/* Writes the report of a line that begins with DV_CRASH_MARK. program: whose line it is. The folder
 * must be there, and ours. Errors: DV_ERR_INVALID (the line has not the form), DV_ERR_FORBIDDEN
 * (the folder is another's), DV_ERR_IO. */
dv_must dv_result dv_crash_keep(const char *state, const char *program, dv_slice line, dv_time now,
                                char ret_name[NAME_MAX + 1], dv_error *error);

/* How many there are. */
size_t dv_crash_count(const char *state);
