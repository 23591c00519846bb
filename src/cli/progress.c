/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <inttypes.h>
#include <unistd.h>

enum { WIDTH = 100, SHOWN = 30 };

dv_progress_bar dv_progress_bar_of(dv_cli *cli, const char *what)
{
    return (dv_progress_bar){
        .cli = cli, .what = what, .shown = isatty(fileno(cli->err)) == 1, .filled = WIDTH + 1};
}

void dv_progress_end(dv_progress_bar *bar)
{
    if (bar->shown && bar->filled <= WIDTH) {
        fputs("\r\033[K", bar->cli->err);
    }
    bar->filled = WIDTH + 1;
}

void dv_progress_show(void *data, uint64_t done, uint64_t total)
{
    dv_progress_bar *bar = data;
    unsigned filled = total == 0 ? WIDTH : (unsigned)(done * WIDTH / total);
    if (!bar->shown || done >= total) {
        dv_progress_end(bar);
        return;
    }
    if (filled != bar->filled) {
        int marks = (int)(filled * SHOWN / WIDTH);
        bar->filled = filled;
        fprintf(bar->cli->err, "\r[%.*s%*s] %" PRIu64 " of %" PRIu64 " %s", marks,
                "##############################", SHOWN - marks, "", done, total, bar->what);
    }
}
