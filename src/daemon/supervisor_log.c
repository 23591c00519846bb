/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_log.h"

#include "base/clock.h"
#include "base/file.h"

#include <stdarg.h>

static bool is_secret_byte(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || strchr("_-.+/=~", byte) != NULL;
}

/* How a credential begins, how much of it may be shown, and whether blanks, ':', '=' or quotes may
 * stand between the two. */
static const struct {
    const char *begin;
    size_t shown; /* bytes behind `begin` that are no secret */
    bool spaced;
} marks[] = {
    {"dvk_", 8, false},         {"bearer", 0, true},   {"basic ", 0, true}, {"x-api-key", 0, true},
    {"authorization", 0, true}, {"password", 0, true}, {"sk-", 0, false},   {"ghp_", 0, false},
    {"github_pat_", 0, false},  {"xoxb-", 0, false},   {"AKIA", 0, false},
};

/* A scheme's name behind "authorization:" is no secret, but the word behind it is. */
static const char *const schemes[] = {"bearer", "basic"};

static bool begins(dv_slice text, const char *word)
{
    dv_slice head = dv_slice_sub(text, 0, strlen(word));
    return head.len == strlen(word) && dv_slice_eq_nocase(head, dv_slice_str(word));
}

static size_t run_of(dv_slice text, size_t from, const char *bytes)
{
    size_t at = from;
    while (at < text.len && text.ptr[at] != '\0' && strchr(bytes, text.ptr[at]) != NULL) {
        at++;
    }
    return at - from;
}

static size_t secret_len(dv_slice text, size_t from)
{
    size_t at = from;
    while (at < text.len && text.ptr[at] != '\0' && is_secret_byte(text.ptr[at])) {
        at++;
    }
    return at - from;
}

/* When a credential begins here: *ret_shown bytes to show, *ret_hidden to hide behind them. */
static bool find_secret(dv_slice text, size_t *ret_shown, size_t *ret_hidden)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(marks); i++) {
        if (!begins(text, marks[i].begin)) {
            continue;
        }
        size_t shown = strlen(marks[i].begin);
        shown += marks[i].spaced ? run_of(text, shown, " \t:=\"'") : marks[i].shown;
        for (size_t k = 0; marks[i].spaced && k < DV_ARRAY_LEN(schemes); k++) {
            dv_slice rest = dv_slice_sub(text, shown, text.len);
            if (begins(rest, schemes[k])) {
                shown += strlen(schemes[k]);
                shown += run_of(text, shown, " \t");
            }
        }
        shown = DV_MIN(shown, text.len);
        size_t hidden = secret_len(text, shown);
        if (hidden >= 4) {
            *ret_shown = shown;
            *ret_hidden = hidden;
            return true;
        }
    }
    return false;
}

static dv_result append_plain(dv_buf *out, dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        DV_TRY(dv_buf_append_byte(out, (byte < ' ' && byte != '\t') || byte == 0x7f ? '?' : byte));
    }
    return DV_OK;
}

dv_result dv_log_mask(dv_slice line, dv_buf *out)
{
    size_t at = 0;
    while (at < line.len) {
        size_t shown = 0;
        size_t hidden = 0;
        if (find_secret(dv_slice_sub(line, at, line.len), &shown, &hidden)) {
            DV_TRY(append_plain(out, dv_slice_sub(line, at, shown)));
            DV_TRY(dv_buf_append_str(out, "***"));
            at += shown + hidden;
        } else {
            DV_TRY(append_plain(out, dv_slice_sub(line, at, 1)));
            at++;
        }
    }
    return DV_OK;
}

static void remember(dv_log_out *out, const char *line)
{
    snprintf(out->tail[out->next], DV_LOG_TAIL_LINE, "%s", line);
    out->next = (out->next + 1) % DV_LOG_TAIL_LINES;
}

/* A line that can't be written has no other place to go. */
static void put_line(dv_log_out *out, const char *name, dv_slice line)
{
    dv_auto(buf) dv_buf text = dv_buf_init(4 * DV_LOG_LINE_MAX);
    if (out->stamp) {
        char stamp[DV_TIME_TEXT_MAX];
        dv_time_format(dv_time_now(), stamp);
        (void)!dv_buf_append_printf(&text, "%s ", stamp);
    }
    size_t own = strlen(name);
    if (begins(line, name) && line.len > own + 1 && line.ptr[own] == ':') {
        line = dv_slice_trim(dv_slice_sub(line, own + 1, line.len)); /* it says so itself */
    }
    if (dv_buf_append_printf(&text, "%s: ", name) != DV_OK || dv_log_mask(line, &text) != DV_OK) {
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

static void end_line(dv_log_lines *lines, dv_log_out *out)
{
    put_line(out, lines->name, dv_slice_of(lines->line, lines->len));
    lines->len = 0;
}

void dv_log_feed(dv_log_lines *lines, dv_slice bytes, bool last, dv_log_out *out)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] == '\n') {
            end_line(lines, out);
        } else if (lines->len < DV_LOG_LINE_MAX) {
            lines->line[lines->len++] = (char)bytes.ptr[i];
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
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    put_line(out, "dvara", dv_slice_str(line));
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
