/* SPDX-License-Identifier: Apache-2.0 */
#include "base/multipart.h"

#include "base/macros.h"
#include "base/utf8.h"

enum { LENGTH_DIGITS = 12 };

/* What is read of a header field's value. */
typedef struct value {
    dv_slice rest;
} value;

typedef struct parameter {
    dv_slice name;
    dv_slice text; /* without its quotes */
    bool quoted;
} parameter;

/* RFC 9110 section 5.6.2 */
static bool is_token_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static dv_slice take_token(value *v)
{
    size_t len = 0;
    while (len < v->rest.len && is_token_byte(v->rest.ptr[len])) {
        len++;
    }
    dv_slice token = dv_slice_sub(v->rest, 0, len);
    v->rest = dv_slice_sub(v->rest, len, v->rest.len);
    return token;
}

static bool take_byte(value *v, uint8_t byte)
{
    bool there = v->rest.len > 0 && v->rest.ptr[0] == byte;
    v->rest = dv_slice_sub(v->rest, there ? 1 : 0, v->rest.len);
    return there;
}

static void skip_blanks(value *v)
{
    while (take_byte(v, ' ') || take_byte(v, '\t')) {
    }
}

/* Text between quotes; some programs read a backslash as itself, others as an escape. */
static bool take_quoted(value *v, dv_slice *ret_text)
{
    ptrdiff_t end = dv_slice_find_byte(v->rest, '"');
    if (end < 0) {
        return false;
    }
    *ret_text = dv_slice_sub(v->rest, 0, (size_t)end);
    v->rest = dv_slice_sub(v->rest, (size_t)end + 1, v->rest.len);
    return dv_slice_find_byte(*ret_text, '\\') < 0;
}

/* `; name=token` or `; name="text"`; false: it is neither. */
static bool take_parameter(value *v, parameter *ret)
{
    skip_blanks(v);
    if (!take_byte(v, ';')) {
        return false;
    }
    skip_blanks(v);
    ret->name = take_token(v);
    if (ret->name.len == 0 || !take_byte(v, '=')) {
        return false;
    }
    ret->quoted = take_byte(v, '"');
    if (ret->quoted ? !take_quoted(v, &ret->text) : (ret->text = take_token(v)).len == 0) {
        return false;
    }
    skip_blanks(v);
    return true;
}

/* ---- the boundary ---- */

static bool is_boundary(dv_slice text, bool quoted)
{
    if (text.len == 0 || text.len > DV_MULTIPART_BOUNDARY_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c != '\0' && strchr("'+_-.", c) != NULL);
        if (!plain && !(quoted && c != '\0' && strchr("(),/:=?", c) != NULL)) {
            return false;
        }
    }
    return true;
}

static bool is_utf8_name(dv_slice text)
{
    return dv_slice_eq_nocase(text, DV_LIT("utf-8")) ||
           dv_slice_eq_nocase(text, DV_LIT("us-ascii"));
}

/* "multipart/form-data" of a value, in any case. */
static bool take_form_data(value *v)
{
    dv_slice type = take_token(v);
    return take_byte(v, '/') && dv_slice_eq_nocase(type, DV_LIT("multipart")) &&
           dv_slice_eq_nocase(take_token(v), DV_LIT("form-data"));
}

dv_result dv_multipart_boundary(dv_slice content_type, dv_slice *ret_boundary, dv_error *error)
{
    value v = {dv_slice_trim(content_type)};
    dv_slice boundary = {NULL, 0};
    if (!take_form_data(&v)) {
        return dv_error_set(error, DV_ERR_UNSUPPORTED, "send multipart/form-data");
    }
    while (v.rest.len > 0) {
        parameter p = {{NULL, 0}};
        bool read = take_parameter(&v, &p);
        bool names = read && dv_slice_eq_nocase(p.name, DV_LIT("boundary"));
        if (names && boundary.ptr == NULL && is_boundary(p.text, p.quoted)) {
            boundary = p.text;
        } else if (!read || names || !dv_slice_eq_nocase(p.name, DV_LIT("charset")) ||
                   !is_utf8_name(p.text)) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "its Content-Type can be read in two ways, or is not of UTF-8");
        }
    }
    if (boundary.ptr == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "its Content-Type names no boundary");
    }
    *ret_boundary = boundary;
    return DV_OK;
}

/* ---- header fields of a part ---- */

typedef struct reading {
    dv_multipart_part *part;
    size_t number; /* of the part, from 1 */
    bool disposed; /* has a Content-Disposition */
    bool typed;
    bool encoded;
    size_t length; /* that it tells */
    dv_error *error;
} reading;

static dv_result refuse(const reading *r, const char *why)
{
    return dv_error_set(r->error, DV_ERR_INVALID, "part %zu of the form: %s", r->number, why);
}

/* A field's name: whatever has to be escaped somewhere is left out. */
static bool is_name(dv_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~' || text.ptr[i] == '%') {
            return false;
        }
    }
    return text.len > 0 && text.len <= DV_MULTIPART_NAME_MAX;
}

static dv_result read_disposition(reading *r, dv_slice text)
{
    value v = {text};
    if (r->disposed || !dv_slice_eq_nocase(take_token(&v), DV_LIT("form-data"))) {
        return refuse(r, "it needs one Content-Disposition: form-data");
    }
    r->disposed = true;
    while (v.rest.len > 0) {
        parameter p = {{NULL, 0}};
        bool whole = take_parameter(&v, &p);
        bool apostrophe = !p.quoted && dv_slice_find_byte(p.text, '\'') >= 0; /* a quote to some */
        if (!whole || (apostrophe && dv_slice_find_byte(p.name, '*') < 0)) {
            return refuse(r, "its Content-Disposition can be read in two ways");
        }
        if (dv_slice_eq_nocase(p.name, DV_LIT("name")) && r->part->name.ptr == NULL) {
            r->part->name = p.text;
        } else if (dv_slice_eq_nocase(p.name, DV_LIT("filename")) &&
                   r->part->filename.ptr == NULL) {
            r->part->filename = p.text;
        } else {
            return refuse(r, "its Content-Disposition may have one name and one filename; "
                             "filename* is not for forms (RFC 7578 section 4.2)");
        }
    }
    return is_name(r->part->name) ? DV_OK
                                  : refuse(r, "its name must be printable ASCII without \", \\ "
                                              "and %, of 1 to 256 bytes");
}

/* One media type; a form in a form, or another charset, would be read by nobody here. */
static dv_result read_type(reading *r, dv_slice text)
{
    value v = {text};
    dv_slice type = take_token(&v);
    bool whole = take_byte(&v, '/') && take_token(&v).len > 0 && type.len > 0;
    if (r->typed || !whole || dv_slice_eq_nocase(type, DV_LIT("multipart"))) {
        return refuse(r, "it may have one Content-Type, which is no multipart");
    }
    r->typed = true;
    r->part->type = text;
    while (v.rest.len > 0) {
        parameter p = {{NULL, 0}};
        if (!take_parameter(&v, &p) || dv_slice_find_byte(p.name, '*') >= 0) {
            return refuse(r, "its Content-Type can be read in two ways");
        }
        if (dv_slice_eq_nocase(p.name, DV_LIT("charset")) && !is_utf8_name(p.text)) {
            return refuse(r, "its text must be UTF-8");
        }
    }
    return DV_OK;
}

/* Obsolete (RFC 7578 section 4.7); these three change nothing. */
static dv_result read_encoding(reading *r, dv_slice text)
{
    bool plain = dv_slice_eq_nocase(text, DV_LIT("binary")) ||
                 dv_slice_eq_nocase(text, DV_LIT("8bit")) ||
                 dv_slice_eq_nocase(text, DV_LIT("7bit"));
    if (r->encoded || !plain) {
        return refuse(r, "its Content-Transfer-Encoding must be binary, 8bit or 7bit");
    }
    r->encoded = true;
    return DV_OK;
}

static dv_result read_length(reading *r, dv_slice line, dv_slice text)
{
    bool number = text.len > 0 && text.len <= LENGTH_DIGITS && r->part->length.ptr == NULL;
    for (size_t i = 0; number && i < text.len; i++) {
        number = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        r->length = r->length * 10 + (size_t)(text.ptr[i] - '0');
    }
    r->part->length = line;
    return number ? DV_OK : refuse(r, "it may have one Content-Length, which is a number");
}

static bool is_clean_line(dv_slice line)
{
    for (size_t i = 0; i < line.len; i++) {
        if ((line.ptr[i] < ' ' && line.ptr[i] != '\t') || line.ptr[i] == 0x7f) {
            return false;
        }
    }
    return dv_utf8_prefix(line) == line.len;
}

/* line: with its end. */
static dv_result read_field(reading *r, dv_slice line)
{
    value v = {dv_slice_sub(line, 0, line.len - 2)};
    if (!is_clean_line(v.rest)) {
        return refuse(r, "its header fields must be lines of UTF-8 that end with CR LF");
    }
    dv_slice name = take_token(&v);
    if (name.len == 0 || !take_byte(&v, ':')) {
        return refuse(r, "a line of its head is no header field");
    }
    dv_slice text = dv_slice_trim(v.rest);
    if (dv_slice_eq_nocase(name, DV_LIT("content-disposition"))) {
        return read_disposition(r, text);
    }
    if (dv_slice_eq_nocase(name, DV_LIT("content-type"))) {
        return read_type(r, text);
    }
    if (dv_slice_eq_nocase(name, DV_LIT("content-transfer-encoding"))) {
        return read_encoding(r, text);
    }
    if (dv_slice_eq_nocase(name, DV_LIT("content-length"))) {
        return read_length(r, line, text);
    }
    return refuse(r, "its head may have Content-Disposition, Content-Type, Content-Length and "
                     "Content-Transfer-Encoding, and nothing else");
}

/* text: all between two delimiters. */
static dv_result read_part(reading *r, dv_slice text)
{
    for (size_t at = 0;;) {
        dv_slice rest = dv_slice_sub(text, at, DV_MULTIPART_HEAD_MAX + 2 - at);
        ptrdiff_t end = dv_slice_find(rest, DV_LIT("\r\n"));
        if (end < 0) {
            return refuse(r, "its head does not end, or is longer than 4096 bytes");
        }
        if (end == 0) {
            r->part->data = dv_slice_sub(text, at + 2, text.len);
            break;
        }
        DV_TRY(read_field(r, dv_slice_sub(rest, 0, (size_t)end + 2)));
        at += (size_t)end + 2;
    }
    if (!r->disposed) {
        return refuse(r, "it needs one Content-Disposition: form-data");
    }
    if (r->part->length.ptr != NULL && r->length != r->part->data.len) {
        return refuse(r, "its Content-Length is not the length of what it holds");
    }
    return DV_OK;
}

/* ---- parts ---- */

typedef enum delimiter { DELIMITS, ENDS, WRONG } delimiter;

/* What the boundary at that place of the body is: a delimiter of the form stands on a line of its
 * own. */
static delimiter kind_of(dv_slice body, size_t at, size_t len)
{
    dv_slice before = dv_slice_sub(body, at < 2 ? 0 : at - 2, at < 2 ? at : 2);
    dv_slice after = dv_slice_sub(body, at + len, body.len);
    if (at > 0 && !dv_slice_eq(before, DV_LIT("\r\n"))) {
        return WRONG;
    }
    if (dv_slice_starts_with(after, DV_LIT("\r\n"))) {
        return DELIMITS;
    }
    return dv_slice_eq(after, DV_LIT("--")) || dv_slice_eq(after, DV_LIT("--\r\n")) ? ENDS : WRONG;
}

static dv_result read_next(dv_slice text, dv_multipart_part *parts, size_t *count, dv_error *error)
{
    if (*count == DV_MULTIPART_PARTS_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the form has more than %d parts",
                            DV_MULTIPART_PARTS_MAX);
    }
    parts[*count] = (dv_multipart_part){{NULL, 0}};
    reading r = {.part = &parts[*count], .number = *count + 1, .error = error};
    (*count)++;
    return read_part(&r, text);
}

dv_result dv_multipart_parse(dv_slice body, dv_slice boundary,
                             dv_multipart_part parts[DV_MULTIPART_PARTS_MAX], size_t *ret_count,
                             dv_error *error)
{
    uint8_t bytes[DV_MULTIPART_BOUNDARY_MAX + 2] = "--";
    if (boundary.len == 0 || boundary.len > DV_MULTIPART_BOUNDARY_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "the form has no boundary");
    }
    memcpy(bytes + 2, boundary.ptr, boundary.len);
    dv_slice line = dv_slice_of(bytes, boundary.len + 2);
    size_t count = 0;
    if (!dv_slice_starts_with(body, line) || kind_of(body, 0, line.len) != DELIMITS) {
        return dv_error_set(error, DV_ERR_INVALID, "the form does not begin with its boundary");
    }
    for (size_t start = line.len + 2;;) {
        ptrdiff_t found = dv_slice_find(dv_slice_sub(body, start, body.len), line);
        size_t at = found < 0 ? 0 : start + (size_t)found;
        delimiter kind = found < 0 ? WRONG : kind_of(body, at, line.len);
        if (kind == WRONG || at < start + 2) {
            return dv_error_set(error, DV_ERR_INVALID,
                                found < 0 ? "the form is cut short"
                                          : "the form's boundary stands within a part");
        }
        DV_TRY(read_next(dv_slice_sub(body, start, at - 2 - start), parts, &count, error));
        if (kind == ENDS) {
            *ret_count = count;
            return DV_OK;
        }
        start = at + line.len + 2;
    }
}
