/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Prints one figure as a line of JSON, which bench/run gathers. ratio: value against something real
 * measured in the same run; 0: none. */
static inline void bench_row(const char *name, double value, const char *unit, double ratio)
{
    printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"ratio_to\": ", name, value,
           unit);
    if (ratio > 0) {
        printf("%.3f}\n", ratio);
    } else {
        printf("null}\n");
    }
}

/* CPU time of this process in nanoseconds. */
static inline double bench_cpu_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Ends the bench, for what can only fail when the bench itself is wrong. */
static inline void bench_must(const char *program, dv_result result)
{
    if (result != DV_OK) {
        fprintf(stderr, "%s: %s\n", program, dv_result_name(result));
        exit(1);
    }
}
