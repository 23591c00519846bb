/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Times as programs write them into their logs. */

#include "base/clock.h"

/* Reads a time by a pattern in the manner of strptime:
 *   %Y %m %d %H %M %S   numbers of four and two digits; %d also as " 7"
 *   %b                  Jan to Dec
 *   %f                  "." or "," and digits, or nothing: a fraction of the second
 *   %z                  Z, +hh:mm, +hhmm or +hh
 *   %Z                  UTC or GMT, a number as of %z, or a name: that is taken for local time
 *   %s                  seconds since 1970, with or without a fraction
 *   %L                  milliseconds since 1970
 * Every other byte stands for itself; what follows the pattern is left alone. Without a zone the
 * time is local; without a year it is the one that brings it nearest to `now`. Years 1970 to 2261.
 * Errors: DV_ERR_INVALID. */
dv_must dv_result dv_log_time_parse(dv_slice text, const char *pattern, dv_time now,
                                    dv_time *ret_time, size_t *ret_len);
