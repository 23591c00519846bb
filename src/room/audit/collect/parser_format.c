/* SPDX-License-Identifier: Apache-2.0 */
/* Takes lines apart: named groups, key=value, JSON, CSV. Bytes of outside: each reader goes forward
 * only, and what it finds are slices of the line or copies in the line's arena. */
#include "base/caps.h"
#include "base/json.h"
#include "room/audit/collect/parser_private.h"

enum { PAIRS_MAX = 2000, NESTED_MAX = 2, NAME_MAX_BYTES = 96 };

static void set_field(dv_parsers *parsers, uint8_t field, dv_slice text, bool bare)
{
    bool wanted = field >= DV_FIELD_FIRST && field < DV_PARSE_FIELDS_MAX;
    if (wanted && !parsers->fields[field].there) {
        parsers->fields[field] = (dv_field){.text = text, .there = true, .bare = bare};
    }
}

/* ---- Patterns ---- */

bool dv_pattern_fits(const dv_parsers *parsers, const pcre2_code *code, dv_slice text,
                     pcre2_match_data *match)
{
    const uint8_t *bytes = text.ptr == NULL ? (const uint8_t *)"" : text.ptr;
    return text.len <= DV_PARSE_REGEX_MAX &&
           pcre2_match(code, bytes, text.len, 0, 0, match, parsers->context) > 0;
}

static bool take_pattern(dv_parsers *parsers, const dv_format_code *format, dv_slice text)
{
    if (!dv_pattern_fits(parsers, format->code, text, parsers->match)) {
        return false;
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(parsers->match);
    uint32_t pairs = pcre2_get_ovector_count(parsers->match);
    for (size_t i = 0; i < format->count; i++) {
        size_t group = format->groups[i];
        if (group < pairs && ends[2 * group] != PCRE2_UNSET &&
            ends[2 * group + 1] > ends[2 * group]) {
            size_t len = ends[2 * group + 1] - ends[2 * group];
            set_field(parsers, format->fields[i], dv_slice_sub(text, ends[2 * group], len), true);
        }
    }
    return true;
}

/* ---- key=value ---- */

typedef struct pairs {
    dv_parsers *parsers;
    const dv_parse_table *table;
    uint8_t section_field;
    dv_slice section; /* value of the section's key, or empty */
    size_t left;      /* pairs that may still come */
} pairs;

static void set_named(pairs *p, dv_slice name, dv_slice value, bool bare)
{
    for (uint8_t i = DV_FIELD_FIRST; i < p->table->field_count; i++) {
        if (dv_slice_eq_str(name, p->table->fields[i])) {
            set_field(p->parsers, i, value, bare);
            return;
        }
    }
}

static void set_pair(pairs *p, dv_slice name, dv_slice value, bool bare)
{
    char both[NAME_MAX_BYTES];
    bool opens = p->section_field != DV_PARSE_NO_FIELD &&
                 dv_slice_eq_str(name, p->table->fields[p->section_field]);
    p->section = opens ? value : p->section;
    set_named(p, name, value, bare);
    if (!opens && p->section.len > 0 && p->section.len + name.len + 2 <= sizeof both) {
        int len = snprintf(both, sizeof both, "%.*s.%.*s", DV_SLICE_ARGS(p->section),
                           DV_SLICE_ARGS(name));
        set_named(p, dv_slice_of(both, (size_t)len), value, bare);
    }
}

static bool is_gap(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == ',' || byte == 0x1d;
}

/* Until the closing quote; a backslash takes the next byte along (logfmt). */
static size_t quoted_end(dv_slice text, size_t from, uint8_t quote)
{
    size_t at = from;
    while (at < text.len && text.ptr[at] != quote) {
        at += quote == '"' && text.ptr[at] == '\\' && at + 1 < text.len ? 2 : 1;
    }
    return DV_MIN(at, text.len);
}

static bool take_pairs(pairs *p, dv_slice text, unsigned level);

static size_t take_value(pairs *p, dv_slice text, dv_slice name, size_t at, unsigned level)
{
    uint8_t quote = at < text.len ? text.ptr[at] : 0;
    if (quote == '"' || quote == '\'') {
        size_t end = quoted_end(text, at + 1, quote);
        dv_slice value = dv_slice_sub(text, at + 1, end - at - 1);
        set_pair(p, name, value, false);
        if (quote == '\'' && level < NESTED_MAX) {
            (void)take_pairs(p, value, level + 1);
        }
        return DV_MIN(end + 1, text.len);
    }
    size_t end = at;
    while (end < text.len && !is_gap(text.ptr[end])) {
        end++;
    }
    set_pair(p, name, dv_slice_sub(text, at, end - at), true);
    return end;
}

/* True when there was a pair at all. */
static bool take_pairs(pairs *p, dv_slice text, unsigned level)
{
    bool any = false;
    size_t at = 0;
    while (at < text.len && p->left > 0) {
        size_t start = at;
        while (at < text.len && !is_gap(text.ptr[at]) && text.ptr[at] != '=') {
            at++;
        }
        if (at < text.len && text.ptr[at] == '=' && at > start) {
            dv_slice name = dv_slice_sub(text, start, at - start);
            p->left--;
            any = true;
            at = take_value(p, text, name, at + 1, level);
        } else {
            at++;
        }
    }
    return any;
}

/* ---- JSON ---- */

static uint32_t array_element(const dv_json *json, uint32_t array, dv_slice index)
{
    uint32_t wanted = 0;
    for (size_t i = 0; i < index.len; i++) {
        if (index.ptr[i] < '0' || index.ptr[i] > '9' || wanted > 1000) {
            return 0;
        }
        wanted = wanted * 10 + (uint32_t)(index.ptr[i] - '0');
    }
    uint32_t at = array + 1;
    for (uint32_t i = 0; at < json->tokens[array].next; i++, at = json->tokens[at].next) {
        if (i == wanted) {
            return at;
        }
    }
    return 0;
}

/* "objectRef.resource", "records.0.name". */
static uint32_t token_at(const dv_json *json, const char *path)
{
    dv_slice rest = dv_slice_str(path);
    dv_slice part;
    uint32_t at = 0;
    while (dv_slice_split(&rest, '.', &part)) {
        uint8_t type = json->tokens[at].type;
        at = type == DV_JSON_OBJECT  ? dv_json_member_named(json, at, part)
             : type == DV_JSON_ARRAY ? array_element(json, at, part)
                                     : 0;
        if (at == 0) {
            return 0;
        }
    }
    return at;
}

static void take_token(dv_parsers *parsers, const dv_json *json, uint32_t token, uint8_t field)
{
    dv_slice text = dv_json_raw(json, token);
    uint8_t type = json->tokens[token].type;
    if (type == DV_JSON_NULL ||
        (type == DV_JSON_STRING && dv_json_string(json, token, parsers->arena, &text) != DV_OK)) {
        return;
    }
    set_field(parsers, field, text, type != DV_JSON_STRING);
    parsers->fields[field].json = type == DV_JSON_OBJECT || type == DV_JSON_ARRAY;
}

/* Some forwarders write a mark before the object ("@cee:{...}"). */
static dv_slice object_in(dv_slice text)
{
    static const dv_slice mark = DV_LIT("@cee:");
    dv_slice body = dv_slice_trim(text);
    return dv_slice_starts_with(body, mark)
               ? dv_slice_trim(dv_slice_sub(body, mark.len, body.len - mark.len))
               : body;
}

static bool take_json(dv_parsers *parsers, const dv_parse_table *table, dv_slice text)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH,
                                          .tokens = DV_LIMIT_COLLECT_TOKENS,
                                          .refuse_duplicate_keys = true};
    dv_json json;
    dv_slice body = object_in(text);
    if (body.len == 0 || body.ptr[0] != '{' ||
        dv_json_scan(body, &limits, parsers->arena, &json, NULL) != DV_OK) {
        return false;
    }
    for (uint8_t i = DV_FIELD_FIRST; i < table->field_count; i++) {
        uint32_t token = token_at(&json, table->fields[i]);
        if (token != 0) {
            take_token(parsers, &json, token, i);
        }
    }
    return true;
}

/* ---- CSV (RFC 4180) ---- */

/* A quoted column, with its doubled quotes made single. *at: behind the opening quote. */
static bool take_quoted(dv_parsers *parsers, dv_slice text, size_t *at, dv_slice *ret_value)
{
    uint8_t *copy = dv_arena_alloc_raw(parsers->arena, text.len - *at + 1);
    size_t len = 0;
    while (copy != NULL && *at < text.len) {
        uint8_t byte = text.ptr[(*at)++];
        bool quote = byte == '"';
        if (quote && (*at >= text.len || text.ptr[*at] != '"')) {
            *ret_value = dv_slice_of(copy, len);
            return true;
        }
        *at += quote;
        copy[len++] = byte;
    }
    return false; /* no end */
}

static bool take_csv(dv_parsers *parsers, const dv_parse_format *format, dv_slice text)
{
    size_t at = 0;
    size_t column = 0;
    for (bool more = true; more; column++) {
        dv_slice value = {NULL, 0};
        bool quoted = at < text.len && text.ptr[at] == '"';
        if (quoted) {
            at++;
            if (!take_quoted(parsers, text, &at, &value)) {
                return false;
            }
        } else {
            size_t end = at;
            while (end < text.len && text.ptr[end] != ',') {
                end++;
            }
            value = dv_slice_sub(text, at, end - at);
            at = end;
        }
        if (value.len > 0 && column < format->column_count) {
            set_field(parsers, format->columns[column], value, !quoted);
        }
        more = at < text.len;
        if (more && text.ptr[at++] != ',') {
            return false;
        }
    }
    return column >= format->at_least;
}

/* ---- All of them ---- */

static bool has_required(const dv_parsers *parsers, const dv_parse_format *format)
{
    for (const uint8_t *field = format->requires; *field != DV_PARSE_NO_FIELD; field++) {
        if (!parsers->fields[*field].there) {
            return false;
        }
    }
    return true;
}

static bool take_kind(dv_parsers *parsers, const dv_parser *parser, size_t index, dv_slice text)
{
    const dv_parse_format *format = &parser->table->formats[index];
    pairs p = {.parsers = parsers,
               .table = parser->table,
               .section_field = format->section,
               .left = PAIRS_MAX};
    switch ((dv_parse_kind)format->kind) {
    case DV_PARSE_ANY:
    case DV_PARSE_REGEX:
        return true;
    case DV_PARSE_PAIRS:
        return take_pairs(&p, text, 0);
    case DV_PARSE_JSON:
        return take_json(parsers, parser->table, text);
    case DV_PARSE_CSV:
        return take_csv(parsers, format, text);
    }
    return false;
}

/* What one field says, taken apart once more. */
static void refine(dv_parsers *parsers, const dv_parser *parser)
{
    uint8_t field = parser->table->refined;
    bool done = field == DV_PARSE_NO_FIELD || !parsers->fields[field].there;
    for (size_t i = 0; i < parser->refinement_count && !done; i++) {
        done = take_pattern(parsers, &parser->refinements[i], parsers->fields[field].text);
    }
}

bool dv_format_take(dv_parsers *parsers, const dv_parser *parser, size_t index, dv_slice text)
{
    const dv_parse_format *format = &parser->table->formats[index];
    const dv_format_code *code = &parser->formats[index];
    memset(parsers->fields + DV_FIELD_FIRST, 0,
           (parser->table->field_count - DV_FIELD_FIRST) * sizeof parsers->fields[0]);
    bool taken = (code->code == NULL || take_pattern(parsers, code, text)) &&
                 take_kind(parsers, parser, index, text) && has_required(parsers, format);
    if (taken) {
        refine(parsers, parser);
    }
    return taken;
}
