/* SPDX-License-Identifier: Apache-2.0 */
/* The filter part of a search: from its text to the tree. */
#include "base/codec.h"
#include "base/utf8.h"
#include "engine/log/query_internal.h"

/* ---- bytes ---- */

dv_result dv_query_no_memory(dv_query_parser *parser)
{
    return dv_error_set(parser->error, DV_ERR_NO_MEMORY, "no memory for the search");
}

/* 0 at the end; a search holds no NUL. */
uint8_t dv_query_peek(const dv_query_parser *parser)
{
    return parser->at < parser->text.len ? parser->text.ptr[parser->at] : 0;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

void dv_query_skip_space(dv_query_parser *parser)
{
    while (is_space(dv_query_peek(parser))) {
        parser->at++;
    }
}

bool dv_query_take_byte(dv_query_parser *parser, uint8_t byte)
{
    if (dv_query_peek(parser) != byte) {
        return false;
    }
    parser->at++;
    return true;
}

static bool ends_word(uint8_t byte)
{
    return byte == 0 || is_space(byte) || byte == '(' || byte == ')' || byte == '|';
}

/* Whether the keyword stands here, as a word of its own. */
static bool at_keyword(const dv_query_parser *parser, const char *keyword)
{
    dv_slice word = dv_slice_str(keyword);
    dv_slice here = dv_slice_sub(parser->text, parser->at, word.len);
    size_t end = parser->at + word.len;
    return dv_slice_eq_nocase(here, word) &&
           ends_word(end < parser->text.len ? parser->text.ptr[end] : 0);
}

bool dv_query_keyword(dv_query_parser *parser, const char *keyword)
{
    if (!at_keyword(parser, keyword)) {
        return false;
    }
    parser->at += strlen(keyword);
    return true;
}

/* ---- pieces ---- */

/* A quoted text: \" and \\ are a quote and a backslash. */
static dv_result take_quoted(dv_query_parser *parser, dv_query_piece *ret_piece)
{
    size_t start = parser->at++;
    uint8_t *out = dv_arena_alloc_raw(parser->arena, parser->text.len - start + 1);
    size_t len = 0;
    if (out == NULL) {
        return dv_query_no_memory(parser);
    }
    while (dv_query_peek(parser) != '"') {
        uint8_t byte = dv_query_peek(parser);
        if (byte == 0) {
            return dv_query_fail(parser, start, DV_ERR_INVALID,
                                 "this quote is never closed: a quote within a text is written "
                                 "\\\"");
        }
        uint8_t next = parser->at + 1 < parser->text.len ? parser->text.ptr[parser->at + 1] : 0;
        if (byte == '\\' && (next == '"' || next == '\\')) {
            parser->at++;
            byte = next;
        }
        out[len++] = byte;
        parser->at++;
    }
    parser->at++;
    *ret_piece = (dv_query_piece){dv_slice_of(out, len), start, true};
    return DV_OK;
}

/* A word goes on through a quoted part: User::"alice". */
static bool pass_quoted_part(dv_query_parser *parser)
{
    size_t start = parser->at++;
    while (dv_query_peek(parser) != '"') {
        if (dv_query_peek(parser) == 0) {
            parser->at = start;
            return false;
        }
        parser->at++;
    }
    parser->at++;
    return true;
}

dv_result dv_query_take_piece(dv_query_parser *parser, const char *stops, dv_query_piece *ret_piece)
{
    size_t start = parser->at;
    if (dv_query_peek(parser) == '"') {
        return take_quoted(parser, ret_piece);
    }
    while (!ends_word(dv_query_peek(parser)) && strchr(stops, dv_query_peek(parser)) == NULL) {
        uint8_t byte = dv_query_peek(parser);
        if (byte == '\\' && parser->at + 1 < parser->text.len) {
            parser->at += 2;
        } else if (byte != '"') {
            parser->at++;
        } else if (!pass_quoted_part(parser)) {
            return dv_query_fail(parser, parser->at, DV_ERR_INVALID, "this quote is never closed");
        }
    }
    *ret_piece =
        (dv_query_piece){dv_slice_sub(parser->text, start, parser->at - start), start, false};
    return DV_OK;
}

dv_result dv_query_lower(dv_arena *arena, dv_slice text, dv_slice *ret_lower)
{
    uint8_t *lower = dv_arena_alloc_raw(arena, text.len + 1);
    if (lower == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < text.len; i++) {
        lower[i] = dv_query_lower_byte(text.ptr[i]);
    }
    *ret_lower = dv_slice_of(lower, text.len);
    return DV_OK;
}

dv_result dv_query_json_escape(dv_arena *arena, dv_slice text, dv_slice *ret_escaped)
{
    static const char names[256] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                    ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    uint8_t *out = dv_arena_alloc_raw(arena, 2 * text.len + 1);
    size_t len = 0;
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (names[byte] != 0) {
            out[len++] = '\\';
            byte = (uint8_t)names[byte];
        }
        out[len++] = byte;
    }
    *ret_escaped = dv_slice_of(out, len);
    return DV_OK;
}

/* ---- the tree ---- */

dv_result dv_query_term(dv_query_parser *parser, dv_query_op op, const dv_query_field *field,
                        size_t start, dv_query_node **ret_node)
{
    dv_query_node *node = dv_arena_alloc(parser->arena, sizeof(*node));
    if (node == NULL) {
        return dv_query_no_memory(parser);
    }
    if (++parser->terms > DV_LIMIT_QUERY_TERMS) {
        return dv_query_fail(parser, start, DV_ERR_TOO_LARGE,
                             "a search has at most %d words, phrases and values",
                             DV_LIMIT_QUERY_TERMS);
    }
    *node = (dv_query_node){.op = op, .field = field, .column = (int)start + 1};
    *ret_node = node;
    return DV_OK;
}

/* A list of children that becomes a node when there are two. */
typedef struct children {
    dv_query_node *first, *last;
    size_t count;
    int column;
} children;

/* Nodes come from the arena as we made them; only here do they get a sibling. */
static dv_result add_child(dv_query_parser *parser, children *list, const dv_query_node *node)
{
    dv_query_node *copy = dv_arena_alloc(parser->arena, sizeof(*copy));
    if (copy == NULL) {
        return dv_query_no_memory(parser);
    }
    *copy = *node;
    copy->next = NULL;
    if (list->last != NULL) {
        list->last->next = copy;
    } else {
        list->first = copy;
        list->column = node->column;
    }
    list->last = copy;
    list->count++;
    return DV_OK;
}

static dv_result close_list(dv_query_parser *parser, const children *list, dv_query_op op,
                            const dv_query_node **ret_node)
{
    if (list->count == 1) {
        *ret_node = list->first;
        return DV_OK;
    }
    dv_query_node *node = dv_arena_alloc(parser->arena, sizeof(*node));
    if (node == NULL) {
        return dv_query_no_memory(parser);
    }
    *node = (dv_query_node){.op = op, .first = list->first, .column = list->column};
    *ret_node = node;
    return DV_OK;
}

static dv_result parse_or(dv_query_parser *parser, const dv_query_node **ret_node);

static bool is_name_start(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
}

/* The name before a colon, or the empty slice. */
static dv_slice field_name_here(const dv_query_parser *parser)
{
    dv_slice rest = dv_slice_sub(parser->text, parser->at, parser->text.len);
    size_t len = 0;
    if (rest.len == 0 || !is_name_start(rest.ptr[0])) {
        return (dv_slice){NULL, 0};
    }
    while (len < rest.len &&
           (is_name_start(rest.ptr[len]) || (rest.ptr[len] >= '0' && rest.ptr[len] <= '9') ||
            strchr(".-[]", rest.ptr[len]) != NULL)) {
        len++;
    }
    return len < rest.len && rest.ptr[len] == ':' ? dv_slice_sub(rest, 0, len)
                                                  : (dv_slice){NULL, 0};
}

/* "last:1h": the time since then. */
static dv_result parse_last(dv_query_parser *parser, size_t start, const dv_query_node **ret_node)
{
    dv_query_piece piece;
    dv_time duration;
    dv_query_node *node;
    const dv_query_field *field;
    DV_TRY(dv_query_take_piece(parser, "", &piece));
    if (dv_duration_parse(piece.text, &duration) != DV_OK) {
        return dv_query_fail(parser, piece.start, DV_ERR_INVALID,
                             "last: needs a duration such as 30m, 24h or 7d");
    }
    DV_TRY(dv_query_field_find(DV_LIT("time"), parser->arena, &field, parser->error));
    DV_TRY(dv_query_term(parser, DV_QUERY_BETWEEN, field, start, &node));
    node->has_low = true;
    node->low.whole = parser->now_ms - duration / DV_MILLISECOND;
    node->low.real = (double)node->low.whole;
    node->low.is_whole = true;
    *ret_node = node;
    return DV_OK;
}

static dv_result parse_field(dv_query_parser *parser, dv_slice name, bool *ret_is_field,
                             const dv_query_node **ret_node)
{
    size_t start = parser->at;
    const dv_query_field *field;
    parser->at += name.len + 1;
    *ret_is_field = true;
    if (dv_slice_eq_nocase(name, DV_LIT("last"))) {
        return parse_last(parser, start, ret_node);
    }
    dv_result result = dv_query_field_find(name, parser->arena, &field, parser->error);
    bool entity = dv_query_peek(parser) == ':' /* User::"alice" is a text, ip:::1 an address */
                  && (result != DV_OK || field->type != DV_QUERY_ADDRESS);
    if (entity && result != DV_ERR_NO_MEMORY) {
        parser->at = start;
        *ret_is_field = false;
        return DV_OK;
    }
    if (result != DV_OK) {
        if (parser->error != NULL) {
            parser->error->line = 1;
            parser->error->column = (int)start + 1;
        }
        return result;
    }
    return dv_query_parse_value(parser, field, start, ret_node);
}

/* A field with its value, a word or a phrase. */
static dv_result parse_term(dv_query_parser *parser, const dv_query_node **ret_node)
{
    dv_query_piece piece;
    dv_slice name = field_name_here(parser);
    bool is_field = false;
    if (name.len > 0) {
        DV_TRY(parse_field(parser, name, &is_field, ret_node));
    }
    if (is_field) {
        return DV_OK;
    }
    DV_TRY(dv_query_take_piece(parser, "", &piece));
    if (piece.text.len == 0) {
        return piece.quoted ? dv_query_fail(parser, piece.start, DV_ERR_INVALID,
                                            "there is nothing between the quotes")
                            : dv_query_fail(parser, piece.start, DV_ERR_INVALID,
                                            "a word or field:value was expected here");
    }
    return dv_query_free_text(parser, &piece, ret_node);
}

static dv_result enter(dv_query_parser *parser)
{
    return ++parser->depth <= DV_LIMIT_QUERY_DEPTH
               ? DV_OK
               : dv_query_fail(parser, parser->at, DV_ERR_TOO_LARGE,
                               "parentheses and nots may lie within one another %d times",
                               DV_LIMIT_QUERY_DEPTH);
}

static dv_result parse_group(dv_query_parser *parser, const dv_query_node **ret_node)
{
    size_t start = parser->at++;
    DV_TRY(enter(parser));
    DV_TRY(parse_or(parser, ret_node));
    dv_query_skip_space(parser);
    if (!dv_query_take_byte(parser, ')')) {
        return dv_query_fail(parser, start, DV_ERR_INVALID, "this parenthesis is never closed");
    }
    parser->depth--;
    return DV_OK;
}

static dv_result parse_one(dv_query_parser *parser, const dv_query_node **ret_node);

static dv_result parse_not(dv_query_parser *parser, size_t start, const dv_query_node **ret_node)
{
    const dv_query_node *child;
    dv_query_node *node = dv_arena_alloc(parser->arena, sizeof(*node));
    if (node == NULL) {
        return dv_query_no_memory(parser);
    }
    DV_TRY(enter(parser));
    DV_TRY(parse_one(parser, &child));
    parser->depth--;
    *node = (dv_query_node){.op = DV_QUERY_NOT, .first = child, .column = (int)start + 1};
    *ret_node = node;
    return DV_OK;
}

/* A sign before a word says not; one that stands alone says nothing. */
static bool take_minus(dv_query_parser *parser)
{
    if (dv_query_peek(parser) != '-' || parser->at + 1 >= parser->text.len) {
        return false;
    }
    uint8_t next = parser->text.ptr[parser->at + 1];
    if (is_space(next) || next == ')' || next == '|') {
        return false;
    }
    parser->at++;
    return true;
}

static dv_result parse_one(dv_query_parser *parser, const dv_query_node **ret_node)
{
    dv_query_skip_space(parser);
    size_t start = parser->at;
    if (dv_query_keyword(parser, "not") || take_minus(parser)) {
        return parse_not(parser, start, ret_node);
    }
    if (dv_query_peek(parser) == '(') {
        return parse_group(parser, ret_node);
    }
    if (at_keyword(parser, "and") || at_keyword(parser, "or")) {
        return dv_query_fail(parser, start, DV_ERR_INVALID,
                             "something must stand on both sides of this word; quote it to search "
                             "for it");
    }
    return parse_term(parser, ret_node);
}

static bool all_ends(const dv_query_parser *parser)
{
    uint8_t byte = dv_query_peek(parser);
    return byte == 0 || byte == ')' || byte == '|' || at_keyword(parser, "or");
}

static dv_result parse_and(dv_query_parser *parser, const dv_query_node **ret_node)
{
    children list = {.count = 0};
    do {
        const dv_query_node *node;
        DV_TRY(parse_one(parser, &node));
        DV_TRY(add_child(parser, &list, node));
        dv_query_skip_space(parser);
        if (dv_query_keyword(parser, "and")) {
            dv_query_skip_space(parser);
            if (all_ends(parser)) {
                return dv_query_fail(parser, parser->at, DV_ERR_INVALID,
                                     "something must follow `and`");
            }
        }
    } while (!all_ends(parser));
    return close_list(parser, &list, DV_QUERY_AND, ret_node);
}

static dv_result parse_or(dv_query_parser *parser, const dv_query_node **ret_node)
{
    children list = {.count = 0};
    do {
        const dv_query_node *node;
        DV_TRY(parse_and(parser, &node));
        DV_TRY(add_child(parser, &list, node));
        dv_query_skip_space(parser);
    } while (dv_query_keyword(parser, "or"));
    return close_list(parser, &list, DV_QUERY_OR, ret_node);
}

/* ---- time ---- */

typedef struct span {
    int64_t from, to; /* [from, to) */
} span;

static const span always = {INT64_MIN, INT64_MAX};

static bool is_event_time(const dv_query_field *field)
{
    return field != NULL && field->path_count == 1 && dv_slice_eq_str(field->paths[0].text, "time");
}

static span span_of_term(const dv_query_node *node)
{
    span out = always;
    if (node->op != DV_QUERY_BETWEEN || !is_event_time(node->field)) {
        return always;
    }
    if (node->has_low) {
        out.from = node->low.whole + (node->low_open && node->low.whole < INT64_MAX ? 1 : 0);
    }
    if (node->has_high) {
        out.to = node->high_open || node->high.whole == INT64_MAX ? node->high.whole
                                                                  : node->high.whole + 1;
    }
    return out;
}

static span span_of(const dv_query_node *node)
{
    span out = node->op == DV_QUERY_OR ? (span){INT64_MAX, INT64_MIN} : always;
    if (node->op != DV_QUERY_AND && node->op != DV_QUERY_OR) {
        return span_of_term(node);
    }
    for (const dv_query_node *child = node->first; child != NULL; child = child->next) {
        span one = span_of(child);
        if (node->op == DV_QUERY_AND) {
            out = (span){DV_MAX(out.from, one.from), DV_MIN(out.to, one.to)};
        } else {
            out = (span){DV_MIN(out.from, one.from), DV_MAX(out.to, one.to)};
        }
    }
    return out;
}

/* The tree and the bounds that came beside the text. */
static dv_result add_bounds(dv_query_parser *parser, const dv_query_options *options,
                            const dv_query_node **root)
{
    children list = {.count = 0};
    const dv_query_field *field;
    dv_query_node *node;
    if (options->since_ms == 0 && options->until_ms == 0) {
        return DV_OK;
    }
    if ((*root)->op != DV_QUERY_ALL) {
        DV_TRY(add_child(parser, &list, *root));
    }
    DV_TRY(dv_query_field_find(DV_LIT("time"), parser->arena, &field, parser->error));
    node = dv_arena_alloc(parser->arena, sizeof(*node));
    if (node == NULL) {
        return dv_query_no_memory(parser);
    }
    *node = (dv_query_node){
        .op = DV_QUERY_BETWEEN,
        .field = field,
        .has_low = options->since_ms != 0,
        .has_high = options->until_ms != 0,
        .high_open = true,
        .low = {(double)options->since_ms, options->since_ms, true},
        .high = {(double)options->until_ms, options->until_ms, true},
    };
    DV_TRY(add_child(parser, &list, node));
    return close_list(parser, &list, DV_QUERY_AND, root);
}

/* ---- all of it ---- */

static dv_result parse_filter(dv_query_parser *parser, const dv_query_node **ret_root)
{
    dv_query_node *all = dv_arena_alloc(parser->arena, sizeof(*all));
    if (all == NULL) {
        return dv_query_no_memory(parser);
    }
    dv_query_skip_space(parser);
    all->op = DV_QUERY_ALL;
    all->column = 1;
    *ret_root = all;
    if (dv_query_peek(parser) == 0 || dv_query_peek(parser) == '|') {
        return DV_OK;
    }
    DV_TRY(parse_or(parser, ret_root));
    if (dv_query_peek(parser) == ')') {
        return dv_query_fail(parser, parser->at, DV_ERR_INVALID,
                             "no parenthesis is open that this one could close");
    }
    return DV_OK;
}

static dv_result check_text(dv_query_parser *parser)
{
    if (parser->text.len > DV_LIMIT_QUERY_TEXT) {
        return dv_query_fail(parser, DV_LIMIT_QUERY_TEXT, DV_ERR_TOO_LARGE,
                             "a search has at most %d bytes", DV_LIMIT_QUERY_TEXT);
    }
    size_t valid = dv_utf8_prefix(parser->text);
    ptrdiff_t nul = dv_slice_find_byte(parser->text, 0);
    if (valid != parser->text.len || nul >= 0) {
        return dv_query_fail(parser, nul >= 0 ? (size_t)nul : valid, DV_ERR_INVALID,
                             "a search is UTF-8 text");
    }
    return DV_OK;
}

static dv_result parse_all(dv_query_parser *parser, const dv_query_options *options,
                           dv_query *query)
{
    DV_TRY(parse_filter(parser, &query->root));
    DV_TRY(add_bounds(parser, options, &query->root));
    if (dv_query_peek(parser) == '|' && options->filter_alone) {
        return dv_query_fail(parser, parser->at, DV_ERR_INVALID,
                             "only a filter is taken here, nothing behind a bar");
    }
    DV_TRY(dv_query_parse_stages(parser, &query->stages));
    span bounds = span_of(query->root);
    query->from_ms = bounds.from;
    query->to_ms = bounds.to;
    query->terms = parser->terms;
    return DV_OK;
}

dv_result dv_query_parse(dv_slice text, const dv_query_options *options, dv_arena *arena,
                         const dv_query **ret_query, dv_error *error)
{
    dv_query_parser parser = {
        .text = text,
        .now_ms = options->now / DV_MILLISECOND,
        .arena = arena,
        .error = error,
    };
    DV_TRY(check_text(&parser));
    dv_query *query = dv_arena_alloc(arena, sizeof(*query));
    if (query == NULL || dv_arena_copy(arena, text, &query->text) != DV_OK) {
        return dv_query_no_memory(&parser);
    }
    parser.text = query->text;
    DV_TRY(parse_all(&parser, options, query));
    *ret_query = query;
    return DV_OK;
}

dv_result dv_query_point_at(dv_slice text, const dv_error *error, dv_buf *out)
{
    size_t before = error->column > 0 ? (size_t)error->column - 1 : 0;
    DV_TRY(dv_buf_append(out, text));
    DV_TRY(dv_buf_append_byte(out, '\n'));
    for (size_t at = 0; at < before && at < text.len; at++) {
        if ((text.ptr[at] & 0xc0) != 0x80) { /* one column for each character */
            DV_TRY(dv_buf_append_byte(out, text.ptr[at] == '\t' ? '\t' : ' '));
        }
    }
    return dv_buf_append_str(out, "^\n");
}
