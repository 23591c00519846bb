/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit export`: a part of the log into a file, page by page through the REST API. */
#include "api/commands.h"
#include "base/clock.h"
#include "base/file.h"
#include "room/audit/export/format.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 1000, EVENT_ARENA = 64 << 20, LINE_MAX_LEN = 1 << 20, BAR = 30 };

/* What a table of events shows. */
static const char *const columns[] = {"index",   "when",    "event",   "who",      "what",
                                      "outcome", "request", "address", "severity", NULL};
/* What the API puts in front of an event. */
static const char *const summary[] = {"index", "log",  "when",    "event",
                                      "who",   "what", "outcome", "request"};

typedef struct export_run {
    dv_cli *cli;
    const char *format;
    const char *log; /* NULL: main */
    const char *origin;
    uint64_t minimum; /* what comes before is pruned */
    dv_cli file;      /* as cli, but for where and how it prints */
    dv_arena *arena;
    uint64_t from, to;
    bool bar; /* somebody looks */
} export_run;

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* -- where it begins and ends ------------------------------------------------------------------ */

/* One page of the log. A new reference. */
static dv_result get_page(const export_run *run, uint64_t from, uint64_t limit, json_t **ret_page,
                          dv_error *error)
{
    json_t *params = json_pack("{s:I, s:I, s:s}", "from", (json_int_t)from, "limit",
                               (json_int_t)limit, "log", run->log == NULL ? "main" : run->log);
    if (params == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_cli_call(run->cli, "audit_tail", params, NULL, ret_page, error);
    json_decref(params);
    return result;
}

/* When the log took the event, in milliseconds. It goes back only where the node's clock was set
 * back (audit.clock): there a time may lead to another place than the first of that time. */
static dv_result logged_time(const export_run *run, uint64_t index, int64_t *ret_time,
                             dv_error *error)
{
    json_t *page = NULL;
    DV_TRY(get_page(run, index, 1, &page, error));
    json_t *item = json_array_get(json_object_get(page, "items"), 0);
    *ret_time =
        json_integer_value(json_object_get(json_object_get(item, "metadata"), "logged_time"));
    json_decref(page);
    return DV_OK;
}

/* The first event that the log took at that time or later. */
static dv_result find_time(const export_run *run, int64_t wanted, uint64_t size,
                           uint64_t *ret_index, dv_error *error)
{
    uint64_t low = run->minimum, high = size;
    while (low < high) {
        int64_t time = 0;
        uint64_t middle = low + (high - low) / 2;
        DV_TRY(logged_time(run, middle, &time, error));
        if (time < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *ret_index = low;
    return DV_OK;
}

/* An index or a time. */
static dv_result find_place(const export_run *run, const char *name, const char *text,
                            uint64_t size, uint64_t *ret_index, dv_error *error)
{
    dv_time time;
    if (strspn(text, "0123456789") == strlen(text) && text[0] != '\0' && strlen(text) < 19) {
        *ret_index = DV_MIN(strtoull(text, NULL, 10), (unsigned long long)size);
        return DV_OK;
    }
    if (dv_time_parse(dv_slice_str(text), &time) != DV_OK) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--%s is an index such as 1200 or a time such as 2026-01-31T00:00:00Z",
                            name);
    }
    return find_time(run, time / DV_MILLISECOND, size, ret_index, error);
}

/* -- lines ------------------------------------------------------------------------------------- */

static dv_result write_line(FILE *out, dv_slice line)
{
    return fwrite(line.ptr, 1, line.len, out) == line.len && fputc('\n', out) != EOF ? DV_OK
                                                                                     : DV_ERR_IO;
}

/* item: an event behind its summary, which is taken off. */
static dv_result put_event(export_run *run, json_t *item, dv_buf *line)
{
    dv_export_event event = {
        .origin = run->origin,
        .index = (uint64_t)json_integer_value(json_object_get(item, "index")),
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(summary); i++) {
        (void)json_object_del(item, summary[i]);
    }
    dv_auto(free) char *text = json_dumps(item, JSON_COMPACT);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    event.text = dv_slice_str(text);
    dv_buf_clear(line);
    if (strcmp(run->format, "jsonl") == 0) {
        return dv_export_put_json(line, &event);
    }
    dv_arena_reset(run->arena);
    DV_TRY(dv_export_event_read(&event, run->arena, NULL));
    return dv_export_put_cef(line, &event, run->arena);
}

static dv_result write_events(export_run *run, const json_t *items)
{
    size_t i;
    json_t *item;
    dv_auto(buf) dv_buf line = dv_buf_init(LINE_MAX_LEN);
    json_array_foreach((json_t *)(uintptr_t)items, i, item)
    {
        DV_TRY(put_event(run, item, &line));
        DV_TRY(write_line(run->file.out, dv_buf_slice(&line)));
    }
    return DV_OK;
}

static void copy_member(json_t *item, const char *name, const char *object, const char *member)
{
    json_t *value = json_object_get(object == NULL ? item : json_object_get(item, object), member);
    (void)json_object_set(item, name, value);
}

static dv_result write_table(export_run *run, json_t *page)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(page, "items"), i, item)
    {
        copy_member(item, "address", "src_endpoint", "ip");
        copy_member(item, "severity", NULL, "severity_id");
    }
    DV_TRY(dv_cli_print(&run->file, page, "items", columns));
    run->file.headless = true;
    return DV_OK;
}

/* -- the whole --------------------------------------------------------------------------------- */

static void show_progress(const export_run *run, uint64_t at)
{
    uint64_t whole = DV_MAX(run->to - run->from, UINT64_C(1)), done = at - run->from;
    int filled = (int)(done * BAR / whole);
    if (run->bar && at < run->to) {
        fprintf(run->cli->err, "\r[%.*s%*s] %" PRIu64 " of %" PRIu64 " events", filled,
                "##############################", BAR - filled, "", done, whole);
    } else if (run->bar) {
        fputs("\r\033[K", run->cli->err);
    }
}

static dv_result write_page(export_run *run, json_t *page)
{
    if (strcmp(run->format, "csv") == 0) {
        return write_table(run, page);
    }
    return write_events(run, json_object_get(page, "items"));
}

static dv_result write_all(export_run *run, dv_error *error)
{
    uint64_t at = run->from;
    while (at < run->to) {
        json_t *page = NULL;
        show_progress(run, at);
        DV_TRY(get_page(run, at, DV_MIN(run->to - at, (uint64_t)PAGE), &page, error));
        if (json_object_get(page, "pruned") != NULL) { /* meanwhile */
            json_decref(page);
            return dv_error_set(error, DV_ERR_CONFLICT,
                                "event %" PRIu64 " was pruned while the log was read: begin again",
                                at);
        }
        const char *next = json_string_value(json_object_get(page, "next"));
        uint64_t after = next == NULL ? at : strtoull(next, NULL, 10);
        dv_result result = after > at ? write_page(run, page) : DV_ERR_CORRUPT;
        json_decref(page);
        if (result != DV_OK) {
            return dv_error_set(error, result, "stopped at event %" PRIu64 ": %s", at,
                                result == DV_ERR_IO ? strerror(errno) : dv_result_name(result));
        }
        at = after;
    }
    show_progress(run, run->to);
    return DV_OK;
}

static dv_result finish(FILE *out, dv_error *error)
{
    return fflush(out) == 0 && fsync(fileno(out)) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "writing: %s", strerror(errno));
}

/* Under another name until it is whole. */
static dv_result write_file(export_run *run, const char *path, dv_error *error)
{
    char part[PATH_MAX];
    int len = snprintf(part, sizeof(part), "%s.part", path);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path of the file is too long");
    }
    /* Personal values stand open in it. */
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    run->file.out = fd < 0 || fchmod(fd, 0600) != 0 ? NULL : fdopen(fd, "w");
    if (run->file.out == NULL) {
        dv_fd_close(&fd);
        return dv_error_set(error, DV_ERR_IO, "%s: %s", part, strerror(errno));
    }
    dv_result result = write_all(run, error);
    if (result == DV_OK) {
        result = finish(run->file.out, error);
    }
    (void)fclose(run->file.out);
    if (result == DV_OK && rename(part, path) != 0) {
        result = dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    if (result != DV_OK) {
        unlink(part);
    }
    return result;
}

static dv_result find_range(export_run *run, const json_t *params, uint64_t size, dv_error *error)
{
    const char *to = text_param(params, "to");
    DV_TRY(find_place(run, "from", text_param(params, "from"), size, &run->from, error));
    run->to = size;
    if (to != NULL) {
        DV_TRY(find_place(run, "to", to, size, &run->to, error));
    }
    if (run->from < run->minimum && run->minimum > 0) {
        fprintf(run->cli->err, "dvara: events before %" PRIu64 " are pruned: it begins there\n",
                run->minimum);
        run->from = run->minimum;
    }
    run->to = DV_MAX(run->to, run->from);
    return DV_OK;
}

static dv_result export_log(export_run *run, const json_t *params, const json_t *status,
                            dv_error *error)
{
    const char *path = text_param(params, "file");
    run->origin = json_string_value(json_object_get(status, "origin"));
    run->minimum = (uint64_t)json_integer_value(json_object_get(status, "minimum"));
    if (run->origin == NULL) {
        return dv_error_set(error, DV_ERR_CORRUPT, "the log's status is none");
    }
    DV_TRY(find_range(run, params, (uint64_t)json_integer_value(json_object_get(status, "size")),
                      error));
    run->arena = dv_arena_new(EVENT_ARENA);
    if (run->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = path != NULL ? write_file(run, path, error) : write_all(run, error);
    dv_arena_free(run->arena);
    return result;
}

int dv_command_audit_export(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *status = NULL;
    export_run run = {.cli = cli, .format = text_param(params, "format"), .file = *cli};
    run.file.output = DV_OUTPUT_CSV;
    run.bar = text_param(params, "file") != NULL && isatty(fileno(cli->err)) == 1;
    run.log = text_param(params, "log");
    json_t *asked = json_pack("{s:s*}", "log", run.log);
    dv_result result = asked == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_cli_call(cli, "audit_status", asked, NULL, &status, &error);
    json_decref(asked);
    if (result == DV_OK) {
        result = export_log(&run, params, status, &error);
    }
    json_decref(status);
    if (result != DV_OK) {
        error.result = result;
        return dv_cli_fail(cli, &error);
    }
    if (text_param(params, "file") != NULL) {
        fprintf(cli->err, "%" PRIu64 " events, %" PRIu64 " to %" PRIu64 "\n", run.to - run.from,
                run.from, run.to);
    }
    return DV_EXIT_DONE;
}
