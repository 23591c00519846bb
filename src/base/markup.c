/* SPDX-License-Identifier: Apache-2.0 */
#include "base/markup.h"

#include "base/macros.h"

enum { CDATA = sizeof("<![CDATA[") - 1 };

bool dv_markup_is(dv_slice text)
{
    if (dv_slice_starts_with(text, DV_LIT("\xef\xbb\xbf"))) {
        text = dv_slice_sub(text, 3, text.len);
    }
    size_t at = 0;
    while (at < text.len && text.ptr[at] <= ' ') {
        at++;
    }
    return at < text.len && text.ptr[at] == '<';
}

bool dv_markup_ends_line(dv_slice name)
{
    static const char *const ends[] = {"p",  "br", "cr",  "tab",        "h",          "tr",   "tc",
                                       "si", "c",  "row", "line-break", "table-cell", "td",   "th",
                                       "li", "dt", "dd",  "h1",         "h2",         "h3",   "h4",
                                       "h5", "h6", "div", "hr",         "pre",        "title"};
    for (size_t i = 0; i < DV_ARRAY_LEN(ends); i++) {
        if (dv_slice_eq_nocase(name, dv_slice_str(ends[i]))) {
            return true;
        }
    }
    return false;
}

/* Bytes up to the end of `end`; 0: it never comes. */
static size_t until(dv_slice rest, size_t from, dv_slice end)
{
    ptrdiff_t at = dv_slice_find(dv_slice_sub(rest, from, rest.len), end);
    return at < 0 ? 0 : from + (size_t)at + end.len;
}

static bool is_name_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
           c == '_' || c == '.' || c >= 0x80;
}

/* The name behind `<` or `</`, without its prefix. */
static dv_slice name_of(dv_slice tag)
{
    size_t start = tag.len > 1 && tag.ptr[1] == '/' ? 2 : 1;
    size_t end = start;
    for (; end < tag.len && (is_name_byte(tag.ptr[end]) || tag.ptr[end] == ':'); end++) {
        start = tag.ptr[end] == ':' ? end + 1 : start;
    }
    return dv_slice_sub(tag, start, end - start);
}

/* Up to the '>' that no attribute's quotes hold; 0: it never comes. */
static size_t tag_len(dv_slice rest)
{
    uint8_t quote = 0;
    uint8_t last = 0; /* that is no blank */
    for (size_t i = 1; i < rest.len; i++) {
        uint8_t c = rest.ptr[i];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '>') {
            return i + 1;
        } else if (last == '=' && (c == '"' || c == '\'')) {
            quote = c;
        }
        last = c <= ' ' ? last : c;
    }
    return 0;
}

static bool begins_tag(dv_slice rest)
{
    return rest.len > 1 && (rest.ptr[1] == '/' || rest.ptr[1] == '!' || rest.ptr[1] == '?' ||
                            (is_name_byte(rest.ptr[1]) && (rest.ptr[1] | 0x20) >= 'a'));
}

/* What stands between tags and is none: comments, and the inside of CDATA, which is text. */
static size_t skip_other(dv_slice rest, dv_slice *ret_text)
{
    if (dv_slice_starts_with(rest, DV_LIT("<!--"))) {
        return until(rest, 4, DV_LIT("-->"));
    }
    size_t len = until(rest, CDATA, DV_LIT("]]>"));
    *ret_text = dv_slice_sub(rest, CDATA, len > 0 ? len - CDATA - 3 : 0);
    return len;
}

/* What stands at `rest`, which begins with '<': its length, and what of it is text. What does not
 * end is text, all of it. */
static size_t skip_tag(dv_slice rest, dv_slice *ret_text, bool *ret_line)
{
    bool other = dv_slice_starts_with(rest, DV_LIT("<!--")) ||
                 dv_slice_starts_with(rest, DV_LIT("<![CDATA["));
    *ret_line = false;
    if (!begins_tag(rest)) {
        *ret_text = dv_slice_sub(rest, 0, 1);
        return 1;
    }
    *ret_text = dv_slice_sub(rest, 0, 0);
    size_t len = other ? skip_other(rest, ret_text) : tag_len(rest);
    if (len == 0) {
        *ret_text = rest;
        return rest.len;
    }
    if (!other) {
        dv_slice tag = dv_slice_sub(rest, 0, len);
        dv_slice name = name_of(tag);
        bool closes = tag.ptr[1] == '/' || dv_slice_ends_with(tag, DV_LIT("/>")) ||
                      dv_slice_eq_nocase(name, DV_LIT("br")) ||
                      dv_slice_eq_nocase(name, DV_LIT("hr"));
        *ret_line = closes && dv_markup_ends_line(name);
    }
    return len;
}

dv_result dv_markup_text(dv_slice markup, dv_arena *arena, dv_slice *ret_text)
{
    uint8_t *out = dv_arena_alloc_raw(arena, markup.len + 1);
    size_t len = 0;
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t at = 0; at < markup.len;) {
        dv_slice rest = dv_slice_sub(markup, at, markup.len);
        ptrdiff_t tag = dv_slice_find_byte(rest, '<');
        dv_slice text = dv_slice_sub(rest, 0, tag < 0 ? rest.len : (size_t)tag);
        bool line = false;
        at += text.len;
        if (text.len == 0) {
            at += skip_tag(rest, &text, &line);
        }
        if (text.len > 0) {
            memcpy(out + len, text.ptr, text.len);
        }
        len += text.len;
        out[len] = '\n';
        len += line ? 1 : 0;
    }
    *ret_text = dv_slice_of(out, len);
    return DV_OK;
}
