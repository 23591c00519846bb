/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* On a terminal, how far a long piece of work is; elsewhere nothing. */
typedef struct dv_progress_bar {
    dv_cli *cli;
    const char *what; /* "events" */
    bool shown;       /* somebody looks */
    unsigned filled;  /* of its width, as it was drawn last */
} dv_progress_bar;

dv_progress_bar dv_progress_bar_of(dv_cli *cli, const char *what);
/* A dv_log_progress. At the end the bar is taken away. */
void dv_progress_show(void *bar, uint64_t done, uint64_t total);
/* Takes it away, where the work ended early. */
void dv_progress_end(dv_progress_bar *bar);
