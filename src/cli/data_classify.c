/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data classify`: what single files, or standard input, hold; nothing is kept. */
#include "api/commands.h"
#include "base/buf.h"
#include "cli/data_scanner.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLACES_SHOWN = 3 };

/* ---- reading ---- */

/* A device is not opened, since that may do something; a pipe is, without waiting for who writes
 * into it: it has its time as any other. -1: *ret_why says why it can't be read. */
static int open_file(const char *path, const char **ret_why)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        *ret_why = strerror(errno);
        return -1;
    }
    *ret_why = S_ISDIR(about.st_mode) ? "is a folder: `dvara data scan` reads folders"
                                      : "is neither a file nor a pipe";
    if (!S_ISFIFO(about.st_mode) && !S_ISREG(about.st_mode)) {
        return -1;
    }
    int fd = open(path, O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    *ret_why = fd < 0 ? strerror(errno) : "";
    return fd;
}

/* Of several files the others are told all the same. */
static dv_result skip(dv_data_scanner *s, const char *path, const char *why,
                      const dv_scan_visitor *visitor)
{
    char problem[DV_SCAN_PROBLEM_MAX];
    s->failed = true;
    s->totals.unreadable++;
    (void)snprintf(
        problem, sizeof(problem), "%s%s",
        dv_slice_starts_with(dv_slice_str(why), DV_LIT("is ")) ? "" : "could not be opened: ", why);
    return dv_scan_tell_unread(path, problem, visitor);
}

static dv_result classify_fd(dv_data_scanner *s, int fd, const char *name,
                             const dv_scan_visitor *visitor, dv_error *error)
{
    uint64_t size = 0;
    DV_TRY(dv_scan_stream(fd, name, &s->limits, visitor, &size, error));
    s->totals.items++;
    s->totals.bytes += size;
    return DV_OK;
}

static dv_result classify_file(dv_data_scanner *s, const char *path, const dv_scan_visitor *visitor,
                               dv_error *error)
{
    struct stat about;
    const char *why = "";
    if (strcmp(path, "-") == 0) {
        bool folder = fstat(STDIN_FILENO, &about) == 0 && S_ISDIR(about.st_mode);
        return folder ? skip(s, path, "is a folder: `dvara data scan` reads folders", visitor)
                      : classify_fd(s, STDIN_FILENO, path, visitor, error);
    }
    dv_auto(fd) int fd = open_file(path, &why);
    return fd < 0 ? skip(s, path, why, visitor) : classify_fd(s, fd, path, visitor, error);
}

/* ---- tables of what was found, and why ---- */

/* "email, phone, ...": where it was found. */
static dv_result add_places(const json_t *findings, const char *detector, dv_buf *out)
{
    size_t i, count = 0;
    const json_t *finding;
    json_array_foreach(findings, i, finding)
    {
        const char *place = json_string_value(json_object_get(finding, "place"));
        const char *by = json_string_value(json_object_get(finding, "detector"));
        if (place == NULL || place[0] == '\0' || strcmp(by, detector) != 0) {
            continue;
        }
        count++;
        if (count <= PLACES_SHOWN) {
            DV_TRY(dv_buf_append_printf(out, "%s%s", count > 1 ? ", " : "", place));
        }
    }
    return count > PLACES_SHOWN ? dv_buf_append_str(out, ", ...") : DV_OK;
}

static dv_result add_types(const json_t *item, json_t *rows)
{
    size_t i;
    json_t *type;
    json_array_foreach(json_object_get(item, "types"), i, type)
    {
        dv_auto(buf) dv_buf places = dv_buf_init(1 << 20);
        const char *detector = json_string_value(json_object_get(type, "detector"));
        json_t *row = json_copy(type);
        DV_TRY(add_places(json_object_get(item, "findings"), detector, &places));
        if (row == NULL || json_object_set(row, "name", json_object_get(item, "name")) != 0 ||
            json_object_set_new(row, "places", json_string(dv_buf_cstr(&places))) != 0 ||
            json_array_append_new(rows, row) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result add_reasons(const json_t *item, json_t *rows)
{
    size_t i, k;
    json_t *reason;
    const json_t *why;
    json_array_foreach(json_object_get(item, "reasons"), i, reason)
    {
        dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
        json_t *row = json_copy(reason);
        json_array_foreach(json_object_get(reason, "why"), k, why)
        {
            DV_TRY(dv_buf_append_printf(&text, "%s%s", k > 0 ? "; " : "", json_string_value(why)));
        }
        if (row == NULL || json_object_set(row, "name", json_object_get(item, "name")) != 0 ||
            json_object_set_new(row, "why", json_string(dv_buf_cstr(&text))) != 0 ||
            json_array_append_new(rows, row) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result print_rows(dv_data_scanner *s, dv_result (*add)(const json_t *, json_t *),
                            const char *const *columns)
{
    size_t i;
    const json_t *item;
    json_t *rows = json_array();
    dv_result result = rows == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    json_array_foreach(s->shown, i, item)
    {
        result = result == DV_OK ? add(item, rows) : result;
    }
    if (result == DV_OK && json_array_size(rows) > 0) {
        fputc('\n', s->cli->out);
        result = dv_cli_print(s->cli, rows, NULL, columns);
    }
    json_decref(rows);
    return result;
}

static dv_result report(dv_data_scanner *s, const json_t *summary)
{
    static const char *const types[] = {"name",   "detector",      "type",   "category",
                                        "values", "average_score", "places", NULL};
    static const char *const reasons[] = {"name",       "rule", "category", "sensitivity",
                                          "confidence", "why",  NULL};
    DV_TRY(dv_data_scanner_print(s, summary));
    if (s->cli->output == DV_OUTPUT_TABLE) {
        DV_TRY(print_rows(s, add_types, types));
        DV_TRY(print_rows(s, add_reasons, reasons));
    }
    dv_data_scanner_say(s, "classified");
    fputc('\n', s->cli->err);
    return DV_OK;
}

/* ---- the command ---- */

static dv_result classify(dv_data_scanner *s, dv_error *error)
{
    size_t i;
    const json_t *file, *files = json_object_get(s->params, "files");
    s->all = true;
    DV_TRY(dv_data_scanner_open(s, error));
    dv_scan_visitor visitor = dv_data_finder_visitor(s->finder);
    if (json_array_size(files) == 0) {
        DV_TRY(classify_file(s, "-", &visitor, error));
    }
    json_array_foreach(files, i, file)
    {
        DV_TRY(classify_file(s, json_string_value(file), &visitor, error));
    }
    json_t *summary = dv_data_scanner_summary(s);
    dv_result result = summary == NULL ? DV_ERR_NO_MEMORY : report(s, summary);
    json_decref(summary);
    return result;
}

int dv_command_data_classify(dv_cli *cli, const json_t *params)
{
    return dv_data_scanner_run(cli, params, classify);
}
