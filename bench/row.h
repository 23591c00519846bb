/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macros.h"

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
