/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/line_marks.h"

#include <ctype.h>

/* A part to hide: `shown` bytes stay in front of it. */
typedef struct part {
    size_t shown;
    size_t hidden;
    const char *instead;
} part;

enum { SECRET_MIN = 4 }; /* fewer bytes are a word of a sentence rather than a credential */

static const char blanks[] = " \t";
static const char quotes[] = "\"'";

/* What may stand between a credential's name and itself. */
typedef enum joint {
    JOINT_NONE,   /* they are one */
    JOINT_BLANK,  /* blanks */
    JOINT_COLON,  /* ':' or '=', blanks and quotes */
    JOINT_HEADER, /* as that; all that follows is its value: schemes, parameters, more cookies */
    JOINT_EQUALS, /* '=', blanks and quotes: in sentences a ':' follows, too */
} joint;

static const struct {
    const char *begin;
    size_t shown; /* bytes behind `begin` that are no secret */
    joint joint;
    bool word; /* no letter or digit stands before it */
} marks[] = {
    {"dvk_", 8, JOINT_NONE, false},
    {"bearer", 0, JOINT_BLANK, true},
    {"basic", 0, JOINT_BLANK, true},
    {"digest", 0, JOINT_BLANK, true},
    {"x-api-key", 0, JOINT_COLON, false},
    {"api-key", 0, JOINT_COLON, false},
    {"authorization", 0, JOINT_HEADER, false},
    {"cookie", 0, JOINT_HEADER, false},
    {"password", 0, JOINT_COLON, false},
    {"passwd", 0, JOINT_COLON, false},
    {"passphrase", 0, JOINT_COLON, false},
    {"pwd", 0, JOINT_EQUALS, false},
    {"token", 0, JOINT_EQUALS, false},
    {"secret", 0, JOINT_EQUALS, false},
    {"api_key", 0, JOINT_EQUALS, false},
    {"apikey", 0, JOINT_EQUALS, false},
    {"private_key", 0, JOINT_EQUALS, false},
    {"AGE-SECRET-KEY-", 0, JOINT_NONE, false},
    {"sk-", 0, JOINT_NONE, true},
    {"ghp_", 0, JOINT_NONE, false},
    {"github_pat_", 0, JOINT_NONE, false},
    {"xoxb-", 0, JOINT_NONE, false},
    {"AKIA", 0, JOINT_NONE, true},
};

/* A scheme's name behind "authorization:" is no secret, but the word behind it is. */
static const char *const schemes[] = {"bearer", "basic", "digest"};

/* Where nginx quotes what others sent. Its quotes are not escaped, so the end is what follows. */
static const struct {
    const char *begin;
    bool named; /* up to the ':' it is a name */
} quoted[] = {
    {"header line: \"", true},
    {"invalid header: \"", true},
    {"previous value: \"", true},
    {"referrer: \"", false},
};

static const char *const quote_ends[] = {
    "\" while ",    "\", client: ",     "\", server: ",     "\", request: \"",
    "\", host: \"", "\", referrer: \"", "\", upstream: \"", "\", previous value: \""};

static bool is_one_of(uint8_t byte, const char *bytes)
{
    return byte != '\0' && strchr(bytes, byte) != NULL;
}

static bool begins(dv_slice text, const char *word)
{
    dv_slice head = dv_slice_sub(text, 0, strlen(word));
    return head.len == strlen(word) && dv_slice_eq_nocase(head, dv_slice_str(word));
}

static size_t run_of(dv_slice text, size_t from, const char *bytes)
{
    size_t at = from;
    while (at < text.len && is_one_of(text.ptr[at], bytes)) {
        at++;
    }
    return at - from;
}

static size_t run_until(dv_slice text, size_t from, const char *bytes)
{
    size_t at = from;
    while (at < text.len && !is_one_of(text.ptr[at], bytes)) {
        at++;
    }
    return at - from;
}

/* ---- Credentials ---- */

static size_t token_len(dv_slice text, size_t from)
{
    size_t at = from;
    while (at < text.len && (isalnum(text.ptr[at]) != 0 || is_one_of(text.ptr[at], "_-.+/=~"))) {
        at++;
    }
    return at - from;
}

/* Bytes of the joint that stands at `from`; false: none does. */
static bool read_joint(dv_slice text, size_t from, joint kind, size_t *ret_len)
{
    size_t len = run_of(text, from, kind == JOINT_BLANK ? blanks : " \t\"'");
    if (kind == JOINT_BLANK) {
        *ret_len = len;
        return len > 0;
    }
    size_t marks_len = run_of(text, from + len, kind == JOINT_EQUALS ? "=" : ":=");
    *ret_len = len + marks_len + run_of(text, from + len + marks_len, blanks);
    return marks_len > 0;
}

static size_t scheme_len(dv_slice text, size_t from)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);
        size_t gap = run_of(text, from + len, blanks);
        if (begins(dv_slice_sub(text, from, text.len), schemes[i]) && gap > 0) {
            return len + gap;
        }
    }
    return 0;
}

/* What stands behind a name and its joint: up to the quote that ends it, or as a word. before: the
 * quote that stands before the name, or 0. */
static part read_value(dv_slice text, size_t from, joint kind, uint8_t before)
{
    part found = {.shown = from, .instead = "[secret]"};
    if (from < text.len && is_one_of(text.ptr[from], quotes)) {
        const char quote[] = {(char)text.ptr[from], '\0'};
        found.shown += 1 + scheme_len(text, from + 1);
        found.hidden = run_until(text, found.shown, quote);
        return found;
    }
    found.shown += scheme_len(text, from);
    if (kind == JOINT_HEADER) {
        const char quote[] = {(char)before, '\0'};
        found.hidden = run_until(text, found.shown, quote);
        return found;
    }
    found.hidden = run_until(text, found.shown, " \t\"',;&<>()[]{}");
    return found;
}

static bool find_credential(dv_slice line, size_t at, part *ret_part)
{
    dv_slice text = dv_slice_sub(line, at, line.len);
    for (size_t i = 0; i < DV_ARRAY_LEN(marks); i++) {
        if (!begins(text, marks[i].begin) ||
            (marks[i].word && at > 0 && isalnum(line.ptr[at - 1]) != 0)) {
            continue;
        }
        size_t shown = DV_MIN(strlen(marks[i].begin) + marks[i].shown, text.len);
        size_t gap = 0;
        part found = {.shown = shown, .instead = "[secret]"};
        if (marks[i].joint == JOINT_NONE) {
            found.hidden = token_len(text, shown);
        } else if (read_joint(text, shown, marks[i].joint, &gap)) {
            bool in_quotes = at > 0 && is_one_of(line.ptr[at - 1], quotes);
            found = read_value(text, shown + gap, marks[i].joint, in_quotes ? line.ptr[at - 1] : 0);
        }
        if (found.hidden >= SECRET_MIN) {
            *ret_part = found;
            return true;
        }
    }
    return false;
}

/* ---- URLs ---- */

static bool find_user(dv_slice text, part *ret_part)
{
    if (!begins(text, "://")) {
        return false;
    }
    size_t len = run_until(text, 3, "/?# \t\"'<>");
    dv_slice authority = dv_slice_sub(text, 3, len);
    while (authority.len > 0 && authority.ptr[authority.len - 1] != '@') {
        authority.len--;
    }
    if (authority.len < 2 || dv_slice_eq_str(authority, "[secret]@")) {
        return false;
    }
    *ret_part = (part){.shown = 3, .hidden = authority.len - 1, .instead = "[secret]"};
    return true;
}

/* path: a '/' stands before it in the same word. */
static bool find_query(dv_slice text, bool path, part *ret_part)
{
    if (!path || text.ptr[0] != '?') {
        return false;
    }
    /* A quote may be part of it: nginx shows a request as it came. Only those at its end are not.
     */
    size_t len = run_until(text, 1, blanks);
    while (len > 0 && is_one_of(text.ptr[len], "\"'<>,;.")) {
        len--;
    }
    if (len == 0 || dv_slice_eq_str(dv_slice_sub(text, 1, len), "[query]")) {
        return false;
    }
    *ret_part = (part){.shown = 1, .hidden = len, .instead = "[query]"};
    return true;
}

/* Whether a '/' stood in the word that these bytes end in. */
static bool in_path(bool path, dv_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        path = bytes.ptr[i] == '/' || (path && !is_one_of(bytes.ptr[i], blanks));
    }
    return path;
}

/* ---- What nginx quotes ---- */

static size_t quote_len(dv_slice text, size_t from)
{
    for (size_t at = from; at < text.len; at++) {
        dv_slice rest = dv_slice_sub(text, at, text.len);
        for (size_t i = 0; i < DV_ARRAY_LEN(quote_ends); i++) {
            if (begins(rest, quote_ends[i])) {
                return at - from;
            }
        }
    }
    bool closed = text.len > from && text.ptr[text.len - 1] == '"';
    return text.len - from - (closed ? 1 : 0);
}

static bool find_quoted(dv_slice text, part *ret_part)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(quoted); i++) {
        if (!begins(text, quoted[i].begin)) {
            continue;
        }
        size_t begin = strlen(quoted[i].begin);
        size_t len = quote_len(text, begin);
        size_t name = token_len(text, begin);
        if (quoted[i].named && name < len && text.ptr[begin + name] == ':') {
            name += 1 + run_of(text, begin + name + 1, blanks);
        } else {
            name = 0;
        }
        dv_slice value = dv_slice_sub(text, begin + name, len - DV_MIN(name, len));
        if (value.len == 0 || dv_slice_eq_str(value, "[value]")) {
            return false;
        }
        *ret_part = (part){.shown = begin + name, .hidden = value.len, .instead = "[value]"};
        return true;
    }
    return false;
}

dv_result dv_line_marks(dv_slice line, dv_buf *out)
{
    size_t at = 0;
    bool path = false;
    while (at < line.len) {
        part found = {.shown = 1, .instead = ""};
        dv_slice rest = dv_slice_sub(line, at, line.len);
        if (!find_quoted(rest, &found) && !find_credential(line, at, &found) &&
            !find_user(rest, &found)) {
            (void)find_query(rest, path, &found);
        }
        DV_TRY(dv_buf_append(out, dv_slice_sub(rest, 0, found.shown)));
        DV_TRY(dv_buf_append_str(out, found.instead));
        path = in_path(path, dv_slice_sub(rest, 0, found.shown + found.hidden));
        at += found.shown + found.hidden;
    }
    return DV_OK;
}
