/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Counts over time as bars in the terminal. */

#include "cli/cli.h"

/* Prints rows {"time","count"}, in order of time, one line each; buckets without events get a line,
 * too, as long as there are not too many. */
dv_must dv_result dv_histogram_print(dv_cli *cli, const json_t *rows, int64_t bucket_ms);

/* A length of the buckets that gives some dozens of lines: "1h". since: --since, or NULL; query: in
 * which a last:DURATION may stand. */
const char *dv_histogram_width(const char *since, const char *query);
