/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/histogram.h"

#include "base/clock.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINES_MAX = 2000, WIDTH_DEFAULT = 80, WIDTH_LEAST = 40, WIDTH_MOST = 200, BESIDE = 34 };

static int terminal_width(FILE *out)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (isatty(fileno(out)) == 1 && ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return DV_MIN(DV_MAX((int)size.ws_col, (int)WIDTH_LEAST), (int)WIDTH_MOST);
    }
    long said = columns != NULL ? strtol(columns, NULL, 10) : 0;
    return said >= WIDTH_LEAST && said <= WIDTH_MOST ? (int)said : WIDTH_DEFAULT;
}

/* A bar in eighths of a column; in plain # where the terminal may not know blocks. */
static void print_bar(dv_cli *cli, int64_t eighths, bool blocks)
{
    static const char *const parts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    for (int64_t i = 0; i < eighths / 8; i++) {
        fputs(blocks ? "█" : "#", cli->out);
    }
    if (blocks) {
        fputs(parts[eighths % 8], cli->out);
    } else if (eighths > 0 && eighths < 8) {
        fputc('#', cli->out);
    }
}

static void print_line(dv_cli *cli, int64_t ms, int64_t count, int64_t most, int width)
{
    char when[32];
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &parts);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &parts);
    fprintf(cli->out, "%s  %10lld  ", when, (long long)count);
    print_bar(cli, most == 0 ? 0 : (count * 8 * width + most - 1) / most,
              isatty(fileno(cli->out)) == 1);
    fputc('\n', cli->out);
}

static int64_t time_of(const json_t *row)
{
    dv_time time;
    const char *text = json_string_value(json_object_get(row, "time"));
    return text != NULL && dv_time_parse(dv_slice_str(text), &time) == DV_OK ? time / DV_MILLISECOND
                                                                             : -1;
}

dv_result dv_histogram_print(dv_cli *cli, const json_t *rows, int64_t bucket_ms)
{
    int64_t most = 0, next = -1, lines = 0;
    int width = terminal_width(cli->out) - BESIDE;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        int64_t count = json_integer_value(json_object_get(json_array_get(rows, i), "count"));
        most = DV_MAX(most, count);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        int64_t time = time_of(row);
        for (; next >= 0 && next < time && lines < LINES_MAX; next += bucket_ms, lines++) {
            print_line(cli, next, 0, most, width);
        }
        if (time >= 0) {
            print_line(cli, time, json_integer_value(json_object_get(row, "count")), most, width);
            next = time + bucket_ms;
        }
    }
    return fflush(cli->out) == 0 && !ferror(cli->out) ? DV_OK : DV_ERR_IO;
}

/* How far back the search looks, or a day. */
static dv_time span_of(const char *since, const char *query)
{
    dv_time span = 86400 * DV_SECOND;
    const char *last = strstr(query, "last:");
    if (since != NULL && dv_duration_parse(dv_slice_str(since), &span) == DV_OK) {
        return span;
    }
    if (last != NULL) {
        last += strlen("last:");
        (void)!dv_duration_parse(dv_slice_of(last, strcspn(last, " )")), &span);
    }
    return span;
}

const char *dv_histogram_width(const char *since, const char *query)
{
    enum { LINES = 40 };
    static const struct {
        int64_t seconds;
        const char *text;
    } widths[] = {{1, "1s"},     {5, "5s"},      {15, "15s"},     {60, "1m"},    {300, "5m"},
                  {900, "15m"},  {1800, "30m"},  {3600, "1h"},    {10800, "3h"}, {21600, "6h"},
                  {86400, "1d"}, {604800, "7d"}, {2592000, "30d"}};
    int64_t seconds = span_of(since, query) / DV_SECOND;
    for (size_t i = 0; i < DV_ARRAY_LEN(widths); i++) {
        if (seconds / widths[i].seconds <= LINES) {
            return widths[i].text;
        }
    }
    return "30d";
}
