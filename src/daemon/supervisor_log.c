/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_log.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "daemon/line_mask.h"

#include <stdarg.h>

static void remember(dv_log_out *out, const char *line)
{
    snprintf(out->tail[out->next], DV_LOG_TAIL_LINE, "%s", line);
    out->next = (out->next + 1) % DV_LOG_TAIL_LINES;
}

static bool says(dv_slice line, const char *name)
{
    size_t own = strlen(name);
    return line.len > own + 1 && line.ptr[own] == ':' &&
           dv_slice_eq_nocase(dv_slice_sub(line, 0, own), dv_slice_str(name));
}

static dv_result compose(dv_log_out *out, const char *name, dv_slice line, bool cut, dv_buf *text)
{
    if (out->stamp) {
        char stamp[DV_TIME_TEXT_MAX];
        dv_time_format(dv_time_now(), stamp);
        DV_TRY(dv_buf_append_printf(text, "%s ", stamp));
    }
    DV_TRY(dv_buf_append_printf(text, "%s: ", name));
    if (says(line, name)) {
        line =
            dv_slice_trim(dv_slice_sub(line, strlen(name) + 1, line.len)); /* it says so itself */
    }
    if (line.len == 0 || dv_masker_run(out->masker, line, cut, text)) {
        return DV_OK;
    }
    return dv_buf_append_printf(
        text, "[a line of %zu bytes is withheld: it can not be searched for what must be hidden]",
        line.len);
}

/* A line that can't be written has no other place to go. */
static void put_line(dv_log_out *out, const char *name, dv_slice line, bool cut)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LINE_MASKED_MAX + 1024);
    if (compose(out, name, line, cut, &text) != DV_OK) {
        return;
    }
    const char *whole = dv_buf_cstr(&text);
    if (whole != NULL) {
        remember(out, whole);
    }
    if (dv_buf_append_byte(&text, '\n') == DV_OK) {
        (void)!dv_fd_write_all(out->fd, dv_buf_slice(&text));
    }
}

/* nginx cuts its lines at NGX_MAX_ERROR_STR, newline included, and says nothing of it. */
static bool was_cut(const dv_log_lines *lines)
{
    enum { NGINX_LINE = 2047 };
    return lines->cut || (lines->len == NGINX_LINE && strcmp(lines->name, "nginx") == 0);
}

static void end_line(dv_log_lines *lines, dv_log_out *out)
{
    dv_slice line = dv_slice_of(lines->line, lines->len);
    if (out->crashed != NULL && dv_slice_starts_with(line, DV_LIT(DV_CRASH_MARK))) {
        out->crashed(out->data, lines->name, line);
    } else {
        put_line(out, lines->name, line, was_cut(lines));
    }
    lines->len = 0;
    lines->cut = false;
}

void dv_log_feed(dv_log_lines *lines, dv_slice bytes, bool last, dv_log_out *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '\n') {
            end_line(lines, out);
        } else if (lines->len < DV_LINE_MAX) {
            lines->line[lines->len++] = (char)bytes.ptr[i];
        } else {
            lines->cut = true;
        }
    }
    if (last && lines->len > 0) {
        end_line(lines, out);
    }
}

void dv_log_say(dv_log_out *out, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    put_line(out, "dvara", dv_slice_str(line), len >= (int)sizeof line);
}

dv_result dv_log_masked(dv_log_out *out, const char *text, dv_buf *ret_text)
{
    dv_slice rest = dv_slice_str(text);
    dv_slice line;
    while (dv_slice_split(&rest, '\n', &line)) {
        if (!dv_masker_run(out->masker, line, false, ret_text)) {
            DV_TRY(dv_buf_append_str(ret_text, "[withheld: it can not be searched for what must "
                                               "be hidden]"));
        }
        if (rest.ptr != NULL) {
            DV_TRY(dv_buf_append_byte(ret_text, '\n'));
        }
    }
    return DV_OK;
}

dv_result dv_log_tail(const dv_log_out *out, dv_buf *text)
{
    for (size_t i = 0; i < DV_LOG_TAIL_LINES; i++) {
        const char *line = out->tail[(out->next + i) % DV_LOG_TAIL_LINES];
        if (line[0] != '\0') {
            DV_TRY(dv_buf_append_printf(text, "  %s\n", line));
        }
    }
    return DV_OK;
}
