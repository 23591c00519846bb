/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* UTC, nanoseconds since 1970. Never negative for times that Dvara makes. */
typedef int64_t dv_time;

#define DV_TIME_NEVER INT64_MAX
#define DV_MILLISECOND ((dv_time)1000000)
#define DV_SECOND ((dv_time)1000000000)

/* The wall clock. */
dv_time dv_time_now(void);

/* A clock that never goes back, for durations; its zero means nothing. */
dv_time dv_time_monotonic(void);

/* The same in steps of some milliseconds, at a fraction of the cost. */
dv_time dv_time_coarse(void);

/* Tells when somebody set the wall clock. Zeroed at first. */
typedef struct dv_clock_watch {
    dv_time offset; /* of the wall clock from the monotonic one */
    bool looked;
} dv_clock_watch;

/* By how much the clock jumped since the last look; 0 where that is two seconds or less, which is
 * what daemons that keep the time do, and at the first look. */
dv_time dv_clock_watch_look(dv_clock_watch *watch, dv_time wall, dv_time monotonic);

/* "2026-01-31T23:59:59.123456Z" and its NUL. */
enum { DV_TIME_TEXT_MAX = 32 };

/* Writes RFC 3339 section 5.6 in UTC with microseconds; returns the length. */
size_t dv_time_format(dv_time time, char out[DV_TIME_TEXT_MAX]);

/* Reads RFC 3339 with any offset; years 1970 to 2261; a leap second counts as the next one. */
dv_must dv_result dv_time_parse(dv_slice text, dv_time *ret_time);

/* Reads a duration: a whole number and one of ms, s, m, h, d, w ("90d"). Errors: DV_ERR_INVALID. */
dv_must dv_result dv_duration_parse(dv_slice text, dv_time *ret_duration);
