/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/sql_lexer.h"

#include "base/codec.h"
#include "engine/detect/action/shape.h"

enum { NAME_MAX_BYTES = 256 }; /* PostgreSQL keeps 63 */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool is_name_byte(uint8_t byte)
{
    return dv_is_alnum(byte) || byte == '_' || byte == '$' || byte >= 0x80;
}

static bool follows(dv_slice text, size_t at, const char *what)
{
    return dv_slice_eq_str(dv_slice_sub(text, at, strlen(what)), what);
}

/* -- where statements end ---------------------------------------------------------------------- */

/* "$tag$" at `at`; its length, or 0. */
static size_t read_tag(dv_slice text, size_t at, char *tag, size_t size)
{
    size_t end = at + 1;
    while (end < text.len && is_name_byte(text.ptr[end]) && text.ptr[end] != '$') {
        end++;
    }
    size_t len = end + 1 - at;
    if (end >= text.len || text.ptr[end] != '$' || len >= size ||
        (len > 2 && dv_is_digit(text.ptr[at + 1]))) {
        return 0;
    }
    dv_slice_copy(dv_slice_sub(text, at, len), tag, size);
    return len;
}

/* One step outside of everything; how many bytes it took. */
static size_t skip_plain(dv_sql_state *s, dv_slice text, size_t at)
{
    uint8_t byte = text.ptr[at];
    if (byte == '\'') {
        s->in = s->before == 'E' || s->before == 'e' ? DV_SQL_ESCAPED : DV_SQL_STRING;
    } else if (byte == '"') {
        s->in = DV_SQL_NAME;
    } else if (follows(text, at, "--")) {
        s->in = DV_SQL_LINE;
    } else if (follows(text, at, "/*")) {
        s->in = DV_SQL_BLOCK;
        s->depth = 1;
        return 2;
    } else if (byte == '$' && !is_name_byte(s->before)) {
        size_t len = read_tag(text, at, s->tag, sizeof(s->tag));
        s->in = len > 0 ? DV_SQL_DOLLAR : DV_SQL_PLAIN;
        return DV_MAX(len, (size_t)1);
    }
    return 1;
}

/* The same within a string, name, comment or dollar-quoted body. */
static size_t skip_within(dv_sql_state *s, dv_slice text, size_t at)
{
    uint8_t byte = text.ptr[at];
    switch (s->in) {
    case DV_SQL_ESCAPED:
        if (byte == '\\') {
            return 2;
        }
        s->in = byte == '\'' ? DV_SQL_PLAIN : s->in;
        return 1;
    case DV_SQL_STRING:
        s->in = byte == '\'' ? DV_SQL_PLAIN : s->in;
        return 1;
    case DV_SQL_NAME:
        s->in = byte == '"' ? DV_SQL_PLAIN : s->in;
        return 1;
    case DV_SQL_LINE:
        s->in = byte == '\n' ? DV_SQL_PLAIN : s->in;
        return 1;
    case DV_SQL_DOLLAR:
        if (byte == '$' && follows(text, at, s->tag)) {
            s->in = DV_SQL_PLAIN;
            return strlen(s->tag);
        }
        return 1;
    default:
        if (follows(text, at, "*/")) {
            s->in = --s->depth == 0 ? DV_SQL_PLAIN : s->in;
            return 2;
        }
        if (follows(text, at, "/*")) {
            s->depth++;
            return 2;
        }
        return 1;
    }
}

/* CREATE [OR REPLACE] and then one of two things. */
static bool creates(const dv_sql_state *s, char one, char other)
{
    const char *first = s->body.first;
    char what = first[1] == 'o' && first[2] == 'r' ? first[3] : first[1];
    return first[0] == 'c' && (what == one || what == other);
}

/* psql's own heuristic (psqlscan.l): what it takes for one statement is one here, too. */
static void take_word(dv_sql_state *s, dv_slice word)
{
    static const struct {
        const char *word;
        char letter;
    } kept[] = {{"create", 'c'},   {"or", 'o'},        {"replace", 'r'},
                {"function", 'f'}, {"procedure", 'p'}, {"rule", 'R'}};
    for (size_t i = 0; i < DV_ARRAY_LEN(kept) && s->body.words < DV_ARRAY_LEN(s->body.first); i++) {
        if (dv_slice_eq_nocase(word, dv_slice_str(kept[i].word))) {
            s->body.first[s->body.words] = kept[i].letter;
        }
    }
    s->body.words += s->body.words < DV_ARRAY_LEN(s->body.first);
    if (!creates(s, 'f', 'p') || s->body.parentheses > 0) {
        return;
    }
    if (dv_slice_eq_nocase(word, DV_LIT("begin")) ||
        (s->body.begins > 0 && dv_slice_eq_nocase(word, DV_LIT("case")))) {
        s->body.begins++;
    } else if (dv_slice_eq_nocase(word, DV_LIT("end"))) {
        s->body.begins -= s->body.begins > 0;
    }
}

/* One byte of the text outside of everything, or the first one of something else. */
static void follow_body(dv_sql_state *s, dv_slice text, size_t at)
{
    uint8_t byte = text.ptr[at];
    if (s->body.from == 0 && is_name_byte(byte) && !is_name_byte(s->before)) {
        s->body.from = dv_is_digit(byte) || byte == '$' ? 0 : at + 1;
    } else if (s->body.from > 0 && !is_name_byte(byte)) {
        take_word(s, dv_slice_sub(text, s->body.from - 1, at - (s->body.from - 1)));
        s->body.from = 0;
    }
    if (byte == '(') {
        s->body.parentheses++;
    } else if (byte == ')') {
        s->body.parentheses -= s->body.parentheses > 0;
    }
}

bool dv_sql_is_open(const dv_sql_state *s)
{
    return s->body.begins > 0 || (s->body.parentheses > 0 && creates(s, 'R', 'R'));
}

bool dv_sql_skip(dv_sql_state *s, dv_slice text, size_t *at)
{
    while (*at < text.len) {
        uint8_t byte = text.ptr[*at];
        bool plain = s->in == DV_SQL_PLAIN;
        if (plain) {
            follow_body(s, text, *at);
        }
        if (plain && byte == ';' && !dv_sql_is_open(s)) {
            ++*at;
            s->before = ';';
            memset(&s->body, 0, sizeof(s->body));
            return true;
        }
        s->command = s->command || (plain && byte == '\\');
        size_t len = plain ? skip_plain(s, text, *at) : skip_within(s, text, *at);
        /* 'e' only begins a literal where it is no name's last letter. */
        bool prefix = plain && (byte | 0x20) == 'e' && is_name_byte(s->before);
        s->before = prefix ? '_' : byte;
        *at += len;
    }
    *at = text.len;
    return false;
}

/* -- words ------------------------------------------------------------------------------------- */

void dv_sql_space(dv_sql_cursor *c)
{
    while (c->at < c->text.len) {
        dv_sql_state s = {.in = DV_SQL_PLAIN};
        if (is_space(c->text.ptr[c->at])) {
            c->at++;
        } else if (follows(c->text, c->at, "--") || follows(c->text, c->at, "/*")) {
            c->at += skip_plain(&s, c->text, c->at);
            while (c->at < c->text.len && s.in != DV_SQL_PLAIN) {
                c->at += skip_within(&s, c->text, c->at);
            }
        } else {
            return;
        }
    }
}

bool dv_sql_keyword(dv_sql_cursor *c, const char *word)
{
    dv_sql_space(c);
    size_t len = strlen(word);
    dv_slice next = dv_slice_sub(c->text, c->at, len);
    if (!dv_slice_eq_nocase(next, dv_slice_str(word)) ||
        (c->at + len < c->text.len && is_name_byte(c->text.ptr[c->at + len]))) {
        return false;
    }
    c->at += len;
    return true;
}

bool dv_sql_byte(dv_sql_cursor *c, char byte)
{
    dv_sql_space(c);
    if (c->at >= c->text.len || c->text.ptr[c->at] != (uint8_t)byte) {
        return false;
    }
    c->at++;
    return true;
}

static dv_result quoted_name(dv_sql_cursor *c, uint8_t out[NAME_MAX_BYTES], size_t *ret_len)
{
    for (c->at++; c->at < c->text.len && *ret_len < NAME_MAX_BYTES; c->at++) {
        if (c->text.ptr[c->at] == '"') {
            c->at++;
            if (c->at >= c->text.len || c->text.ptr[c->at] != '"') {
                return DV_OK;
            }
        }
        out[(*ret_len)++] = c->text.ptr[c->at];
    }
    return DV_ERR_INVALID;
}

static dv_result plain_name(dv_sql_cursor *c, uint8_t out[NAME_MAX_BYTES], size_t *ret_len)
{
    while (c->at < c->text.len && is_name_byte(c->text.ptr[c->at])) {
        uint8_t byte = c->text.ptr[c->at++];
        if (*ret_len == NAME_MAX_BYTES) {
            return DV_ERR_INVALID;
        }
        out[(*ret_len)++] = dv_is_upper(byte) ? (uint8_t)(byte + 32) : byte;
    }
    return *ret_len > 0 ? DV_OK : DV_ERR_INVALID;
}

dv_result dv_sql_name(dv_sql_cursor *c, dv_arena *arena, dv_slice *ret_name)
{
    uint8_t name[NAME_MAX_BYTES];
    size_t len = 0;
    dv_sql_space(c);
    bool quoted = c->at < c->text.len && c->text.ptr[c->at] == '"';
    DV_TRY(quoted ? quoted_name(c, name, &len) : plain_name(c, name, &len));
    if (!quoted && follows(c->text, c->at, "&\"")) {
        return DV_ERR_INVALID; /* U&"\\0061": its characters are told by their numbers */
    }
    return dv_arena_copy(arena, dv_slice_of(name, len), ret_name);
}

dv_result dv_sql_table_name(dv_sql_cursor *c, dv_arena *arena, dv_slice *ret_name,
                            dv_slice *ret_path)
{
    enum { PARTS_MAX = 4 }; /* database, schema, table */
    dv_slice parts[2 * PARTS_MAX];
    size_t count = 0;
    do {
        if (count == 2 * (size_t)PARTS_MAX) {
            return DV_ERR_INVALID;
        }
        DV_TRY(dv_sql_name(c, arena, ret_name));
        parts[count++] = *ret_name;
        parts[count++] = dv_slice_of("", 1);
    } while (dv_sql_byte(c, '.'));
    return dv_arena_concat(arena, parts, count - 1, ret_path);
}

/* One step; a byte that begins a literal's prefix or a name stays in mind. */
static void step(dv_sql_state *s, dv_sql_cursor *c)
{
    uint8_t byte = c->text.ptr[c->at];
    bool plain = s->in == DV_SQL_PLAIN;
    size_t len = plain ? skip_plain(s, c->text, c->at) : skip_within(s, c->text, c->at);
    bool prefix = plain && (byte | 0x20) == 'e' && is_name_byte(s->before);
    s->before = prefix ? '_' : byte;
    c->at = DV_MIN(c->at + len, c->text.len);
}

bool dv_sql_has_value(dv_slice text)
{
    dv_sql_cursor c = {text, 0};
    dv_sql_state s = {.in = DV_SQL_PLAIN, .before = ' '};
    while (c.at < text.len) {
        bool number =
            s.in == DV_SQL_PLAIN && dv_is_digit(text.ptr[c.at]) && !is_name_byte(s.before);
        step(&s, &c);
        if (number || s.in == DV_SQL_STRING || s.in == DV_SQL_ESCAPED || s.in == DV_SQL_DOLLAR) {
            return true;
        }
    }
    return false;
}

bool dv_sql_has_word(dv_slice text, const char *word)
{
    dv_sql_cursor c = {text, 0};
    dv_sql_state s = {.in = DV_SQL_PLAIN, .before = ' '};
    unsigned depth = 0;
    while (c.at < text.len) {
        uint8_t byte = text.ptr[c.at];
        dv_sql_cursor here = c;
        if (s.in == DV_SQL_PLAIN) {
            if (depth == 0 && is_name_byte(byte) && !is_name_byte(s.before) &&
                dv_sql_keyword(&here, word)) {
                return true;
            }
            depth += byte == '(';
            depth -= depth > 0 && byte == ')';
        }
        step(&s, &c);
    }
    return false;
}

/* An escape that stands for a character by its number. */
static bool is_number_escape(dv_slice text, size_t at)
{
    dv_slice escape = dv_slice_sub(text, at, 2);
    return escape.len == 2 && escape.ptr[0] == '\\' &&
           (dv_is_digit(escape.ptr[1]) || strchr("xXuU", escape.ptr[1]) != NULL);
}

bool dv_sql_hides(dv_slice text)
{
    dv_sql_cursor c = {text, 0};
    dv_sql_state s = {.in = DV_SQL_PLAIN, .before = ' '};
    bool unicode = false; /* within U&'...' */
    while (c.at < text.len) {
        size_t at = c.at;
        bool plain = s.in == DV_SQL_PLAIN;
        if ((s.in == DV_SQL_ESCAPED && is_number_escape(text, at)) ||
            (s.in == DV_SQL_STRING && unicode && text.ptr[at] == '\\')) {
            return true;
        }
        step(&s, &c);
        if (plain && s.in == DV_SQL_STRING) {
            unicode = at >= 2 && text.ptr[at - 1] == '&' && (text.ptr[at - 2] | 0x20) == 'u';
        } else if (!plain && s.in == DV_SQL_PLAIN && unicode) {
            dv_sql_cursor behind = c;
            unicode = false;
            if (dv_sql_keyword(&behind, "UESCAPE")) {
                return true;
            }
        }
    }
    return false;
}

dv_slice dv_sql_value(dv_sql_cursor *c)
{
    dv_sql_space(c);
    size_t start = c->at;
    unsigned depth = 0;
    dv_sql_state s = {.in = DV_SQL_PLAIN, .before = ' '};
    while (c->at < c->text.len) {
        uint8_t byte = c->text.ptr[c->at];
        bool plain = s.in == DV_SQL_PLAIN;
        if (plain && depth == 0 && (byte == ',' || byte == ')')) {
            break;
        }
        if (plain) {
            depth += byte == '(' || byte == '[';
            depth -= depth > 0 && (byte == ')' || byte == ']');
        }
        step(&s, c);
    }
    return dv_slice_trim(dv_slice_sub(c->text, start, c->at - start));
}

/* -- strings ----------------------------------------------------------------------------------- */

static int digit_of(uint8_t byte, int base)
{
    int digit = dv_is_digit(byte)      ? byte - '0'
                : (byte | 0x20) >= 'a' ? (byte | 0x20) - 'a' + 10
                                       : 99;
    return digit < base ? digit : -1;
}

/* Up to `most` digits of a base behind `at`; how many there were. */
static size_t read_digits(dv_slice text, size_t at, size_t most, int base, uint32_t *ret_number)
{
    size_t count = 0;
    *ret_number = 0;
    while (count < most && at + count < text.len && digit_of(text.ptr[at + count], base) >= 0) {
        *ret_number = *ret_number * (uint32_t)base + (uint32_t)digit_of(text.ptr[at + count], base);
        count++;
    }
    return count;
}

/* One escape; at is behind its backslash. Returns how many bytes it takes. */
static size_t unescape_one(dv_slice text, size_t at, uint8_t *out, size_t *len)
{
    static const char letters[] = "bfnrtv", values[] = "\b\f\n\r\t\v";
    uint8_t byte = text.ptr[at];
    uint32_t number;
    size_t count = 0;
    const char *letter = byte == '\0' ? NULL : strchr(letters, byte);
    if (letter != NULL) {
        out[(*len)++] = (uint8_t)values[letter - letters];
        return 1;
    }
    if ((count = read_digits(text, at, 3, 8, &number)) > 0) {
        out[(*len)++] = (uint8_t)number;
        return count;
    }
    if (byte == 'x' && (count = read_digits(text, at + 1, 2, 16, &number)) > 0) {
        out[(*len)++] = (uint8_t)number;
        return count + 1;
    }
    size_t width = byte == 'u' ? 4 : byte == 'U' ? 8 : 0;
    if (width > 0 && read_digits(text, at + 1, width, 16, &number) == width) {
        *len += dv_utf8_encode(number, out + *len); /* 6 bytes or more made at most 4 */
        return width + 1;
    }
    out[(*len)++] = byte;
    return 1;
}

dv_result dv_sql_unescape(dv_slice text, dv_arena *arena, dv_slice *ret_text)
{
    if (text.len == 0 || dv_slice_find_byte(text, '\\') < 0) {
        *ret_text = text;
        return DV_OK;
    }
    uint8_t *out = dv_arena_alloc(arena, text.len + 8);
    size_t len = 0;
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t at = 0; at < text.len;) {
        if (text.ptr[at] != '\\') {
            out[len++] = text.ptr[at++];
        } else if (at + 1 == text.len) {
            return DV_ERR_INVALID;
        } else {
            at += 1 + unescape_one(text, at + 1, out, &len);
        }
    }
    *ret_text = dv_slice_of(out, len);
    return DV_OK;
}

/* Where a literal goes on that was closed before `at`: behind the quote on a next line (the manual,
 * section 4.1.2.1). 0: it ends. */
static size_t next_part(dv_slice value, size_t at)
{
    dv_sql_cursor c = {value, at};
    dv_sql_space(&c);
    bool line = dv_slice_find_byte(dv_slice_sub(value, at, c.at - at), '\n') >= 0;
    return line && c.at < value.len && value.ptr[c.at] == '\'' ? c.at + 1 : 0;
}

dv_result dv_sql_string(dv_slice value, dv_arena *arena, dv_slice *ret_text, size_t *ret_len)
{
    bool escaped = value.len > 1 && (value.ptr[0] | 0x20) == 'e' && value.ptr[1] == '\'';
    size_t at = escaped ? 2 : 1;
    size_t len = 0;
    if (value.len == 0 || (value.ptr[0] != '\'' && !escaped)) {
        return DV_ERR_NOT_FOUND;
    }
    uint8_t *out = dv_arena_alloc(arena, value.len + 1);
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (; at < value.len; at++) {
        if (value.ptr[at] == '\'' && (at + 1 == value.len || value.ptr[at + 1] != '\'')) {
            size_t next = next_part(value, at + 1);
            if (next > 0) {
                at = next - 1;
                continue;
            }
            *ret_len = at + 1;
            *ret_text = dv_slice_of(out, len);
            return escaped ? dv_sql_unescape(*ret_text, arena, ret_text) : DV_OK;
        }
        if (value.ptr[at] == '\'') {
            at++;
        } else if (escaped && value.ptr[at] == '\\' && at + 1 < value.len) {
            out[len++] = value.ptr[at++]; /* with what it escapes, a quote perhaps */
        }
        out[len++] = value.ptr[at];
    }
    return DV_ERR_INVALID;
}
