/* SPDX-License-Identifier: Apache-2.0 */
#include "room/audit/collect/syslog.h"

#include "room/audit/collect/times.h"

enum { PRIORITY_MAX = 191, TAG_MAX = 128, HOST_MAX = 255, ELEMENTS_MAX = 64 };

static dv_slice rest_from(dv_slice text, size_t at)
{
    return dv_slice_sub(text, at, text.len);
}

static dv_slice skip_spaces(dv_slice text)
{
    size_t at = 0;
    while (at < text.len && text.ptr[at] == ' ') {
        at++;
    }
    return rest_from(text, at);
}

/* Takes the text up to the next space off the front. */
static dv_slice take_word(dv_slice *rest)
{
    ptrdiff_t space = dv_slice_find_byte(*rest, ' ');
    size_t len = space < 0 ? rest->len : (size_t)space;
    dv_slice word = dv_slice_sub(*rest, 0, len);
    *rest = rest_from(*rest, len + (space >= 0));
    return word;
}

/* RFC 5424 section 6: "-" is NILVALUE. */
static dv_slice unless_nil(dv_slice word)
{
    return dv_slice_eq_str(word, "-") ? (dv_slice){NULL, 0} : word;
}

/* RFC 5424 section 6.2.1: "<" 1 to 3 digits ">". */
static bool take_priority(dv_slice *rest, dv_line *line)
{
    unsigned value = 0;
    size_t at = 1;
    if (rest->len < 3 || rest->ptr[0] != '<') {
        return false;
    }
    while (at < rest->len && at <= 3 && rest->ptr[at] >= '0' && rest->ptr[at] <= '9') {
        value = value * 10 + (unsigned)(rest->ptr[at++] - '0');
    }
    if (at == 1 || at >= rest->len || rest->ptr[at] != '>' || value > PRIORITY_MAX) {
        return false;
    }
    line->facility = (int)(value / 8);
    line->severity = (int)(value % 8);
    *rest = rest_from(*rest, at + 1);
    return true;
}

/* ---- RFC 5424 ---- */

/* Section 6.3: elements in brackets; in a parameter's value a backslash takes the next byte along.
 * Returns its length; 0: it is broken. */
static size_t structured_len(dv_slice text)
{
    size_t at = 0;
    for (int elements = 0; at < text.len && text.ptr[at] == '[' && elements < ELEMENTS_MAX;
         elements++) {
        bool quoted = false;
        for (at++; at < text.len && (quoted || text.ptr[at] != ']'); at++) {
            if (quoted && text.ptr[at] == '\\') {
                at++;
            } else if (text.ptr[at] == '"') {
                quoted = !quoted;
            }
        }
        if (at >= text.len) {
            return 0;
        }
        at++;
    }
    return at;
}

static void read_time(dv_slice word, dv_line *line)
{
    dv_time time = 0;
    if (dv_time_parse(word, &time) == DV_OK) {
        line->time = time;
    }
}

static dv_slice without_bom(dv_slice text)
{
    return dv_slice_starts_with(text, DV_LIT("\xEF\xBB\xBF")) ? rest_from(text, 3) : text;
}

/* Behind "<PRI>1 ". */
static bool read_5424(dv_slice rest, dv_line *line)
{
    dv_slice time = take_word(&rest);
    dv_slice host = take_word(&rest);
    dv_slice program = take_word(&rest);
    dv_slice pid = take_word(&rest);
    dv_slice id = take_word(&rest);
    size_t structured = rest.len > 0 && rest.ptr[0] == '-' ? 1 : structured_len(rest);
    if (structured == 0 || (structured < rest.len && rest.ptr[structured] != ' ')) {
        return false;
    }
    read_time(time, line);
    line->host = unless_nil(host);
    line->program = unless_nil(program);
    line->pid = unless_nil(pid);
    line->message_id = unless_nil(id);
    line->structured = unless_nil(dv_slice_sub(rest, 0, structured));
    line->text = without_bom(rest_from(rest, structured + (structured < rest.len)));
    return true;
}

/* ---- RFC 3164 ---- */

static bool take_time(dv_slice *rest, dv_line *line)
{
    static const char *const patterns[] = {"%b %d %H:%M:%S%f", "%b %d %Y %H:%M:%S%f",
                                           "%Y-%m-%dT%H:%M:%S%f%z"};
    for (size_t i = 0; i < DV_ARRAY_LEN(patterns); i++) {
        size_t len = 0;
        dv_time time = 0;
        if (dv_log_time_parse(*rest, patterns[i], line->now, &time, &len) == DV_OK &&
            len < rest->len && (rest->ptr[len] == ' ' || rest->ptr[len] == ':')) {
            line->time = time;
            *rest = skip_spaces(rest_from(*rest, len + 1));
            return true;
        }
    }
    return false;
}

static bool is_tag_byte(uint8_t byte)
{
    return byte > ' ' && byte < 0x7f && strchr("[]:<>", byte) == NULL;
}

/* "sshd[123]: ", "sudo: ", "postfix/smtpd[7]: ". */
static bool take_tag(dv_slice *rest, dv_line *line)
{
    size_t at = 0;
    dv_slice pid = {NULL, 0};
    while (at < rest->len && at < TAG_MAX && is_tag_byte(rest->ptr[at])) {
        at++;
    }
    dv_slice tag = dv_slice_sub(*rest, 0, at);
    if (at < rest->len && rest->ptr[at] == '[') {
        ptrdiff_t end = dv_slice_find_byte(dv_slice_sub(*rest, at, 32), ']');
        if (end < 2) {
            return false;
        }
        pid = dv_slice_sub(*rest, at + 1, (size_t)end - 1);
        at += (size_t)end + 1;
    }
    if (tag.len == 0 || at >= rest->len || rest->ptr[at] != ':') {
        return false;
    }
    line->program = tag;
    line->pid = pid;
    *rest = rest_from(*rest, at + 1 + (at + 1 < rest->len && rest->ptr[at + 1] == ' '));
    return true;
}

static bool is_host(dv_slice word)
{
    for (size_t i = 0; i < word.len; i++) {
        uint8_t byte = word.ptr[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool digit = byte >= '0' && byte <= '9';
        if (!letter && !digit && (byte == 0 || strchr(".-_:%", byte) == NULL)) {
            return false;
        }
    }
    return word.len > 0 && word.len <= HOST_MAX && word.ptr[word.len - 1] != ':';
}

/* Some leave the host away, so the first word is one only when a tag follows it. */
static bool take_host_and_tag(dv_slice *rest, dv_line *line)
{
    dv_slice behind = *rest;
    dv_slice word = take_word(&behind);
    if (is_host(word) && take_tag(&behind, line)) {
        line->host = word;
        *rest = behind;
        return true;
    }
    return take_tag(rest, line);
}

static void read_3164(dv_slice rest, dv_line *line)
{
    if (take_time(&rest, line) || rest.len > 0) {
        (void)take_host_and_tag(&rest, line);
    }
    line->text = rest;
}

static bool read_file_line(dv_slice message, dv_line *line)
{
    dv_line read = *line;
    dv_slice rest = message;
    if (!take_time(&rest, &read) || !take_host_and_tag(&rest, &read)) {
        return false;
    }
    read.text = rest;
    *line = read;
    return true;
}

bool dv_syslog_read(dv_slice message, bool wire, dv_line *line)
{
    dv_slice rest = message;
    bool priority = take_priority(&rest, line);
    if (!priority && !wire) {
        return read_file_line(message, line);
    }
    if (priority && dv_slice_starts_with(rest, DV_LIT("1 "))) {
        if (!read_5424(rest_from(rest, 2), line)) {
            line->text = rest;
        }
        return true;
    }
    read_3164(rest, line);
    return true;
}
