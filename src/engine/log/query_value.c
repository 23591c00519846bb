/* SPDX-License-Identifier: Apache-2.0 */
/* The values of a search: texts, patterns, numbers, times, durations, addresses, words. */
#include "base/nearest.h"
#include "engine/log/query_internal.h"

enum { NUMBER_TEXT_MAX = 64 };

static const int64_t day_ms = 86400000, minute_ms = 60000, second_ms = 1000;

/* ---- numbers ---- */

static dv_query_number whole(int64_t value)
{
    return (dv_query_number){(double)value, value, true};
}

/* JSON's own form (RFC 8259 section 6), a sign before it allowed. */
static bool is_number_text(dv_slice text)
{
    size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
    size_t digits = 0;
    for (; at < text.len && ((text.ptr[at] >= '0' && text.ptr[at] <= '9') || text.ptr[at] == '.');
         at++) {
        digits += text.ptr[at] != '.';
    }
    if (digits == 0 || at == text.len) {
        return digits > 0;
    }
    if ((text.ptr[at] | 0x20) != 'e') {
        return false;
    }
    at++;
    at += at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+');
    size_t exponent = at;
    while (at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9') {
        at++;
    }
    return at == text.len && at > exponent;
}

/* Digits alone, with or without a sign, that fit. */
static bool read_whole(dv_slice text, int64_t *ret_value)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    uint64_t value = 0;
    size_t at = negative ? 1 : 0;
    if (text.len - at == 0 || text.len - at > 19) {
        return false;
    }
    for (; at < text.len; at++) {
        if (text.ptr[at] < '0' || text.ptr[at] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.ptr[at] - '0');
    }
    if (value > INT64_MAX) {
        return false;
    }
    *ret_value = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool dv_query_number_read(dv_slice text, dv_query_number *ret_number)
{
    char copy[NUMBER_TEXT_MAX];
    int64_t value;
    if (read_whole(text, &value)) {
        *ret_number = whole(value);
        return true;
    }
    if (text.len >= sizeof(copy) || !is_number_text(text)) {
        return false;
    }
    dv_slice_copy(text, copy, sizeof(copy));
    char *end;
    double real = strtod(copy, &end);
    if (*end != '\0' || real != real || real > 1e308 || real < -1e308) {
        return false;
    }
    *ret_number = (dv_query_number){.real = real};
    if (real >= -9e15 && real <= 9e15 && real == (double)(int64_t)real) {
        *ret_number = whole((int64_t)real);
    }
    return true;
}

int dv_query_number_cmp(const dv_query_number *a, const dv_query_number *b)
{
    if (a->is_whole && b->is_whole) {
        return (a->whole > b->whole) - (a->whole < b->whole);
    }
    return (a->real > b->real) - (a->real < b->real);
}

/* ---- times ---- */

/* "now", "now-1h", "-1h". */
static bool read_relative(dv_slice text, dv_time now, int64_t *ret_ms)
{
    dv_time back = 0;
    if (dv_slice_starts_with(text, DV_LIT("now"))) {
        text = dv_slice_sub(text, 3, text.len);
        if (text.len == 0) {
            *ret_ms = now / DV_MILLISECOND;
            return true;
        }
    }
    if (text.len < 2 || text.ptr[0] != '-' ||
        dv_duration_parse(dv_slice_sub(text, 1, text.len), &back) != DV_OK) {
        return false;
    }
    *ret_ms = DV_MAX((now - back) / DV_MILLISECOND, 0);
    return true;
}

/* A date, or a date and time that ends early: filled up to RFC 3339 in UTC. */
static bool read_date(dv_slice text, int64_t *ret_ms, int64_t *ret_width)
{
    static const struct {
        size_t len;
        const char *rest;
        const int64_t *width;
    } forms[] = {{10, "T00:00:00Z", &day_ms}, {16, ":00Z", &minute_ms}, {19, "Z", &second_ms}};
    char full[40];
    dv_time time;
    for (size_t i = 0; i < DV_ARRAY_LEN(forms); i++) {
        if (text.len == forms[i].len) {
            snprintf(full, sizeof(full), "%.*s%s", DV_SLICE_ARGS(text), forms[i].rest);
            if (dv_time_parse(dv_slice_str(full), &time) == DV_OK) {
                *ret_ms = time / DV_MILLISECOND;
                *ret_width = *forms[i].width;
                return true;
            }
        }
    }
    return false;
}

dv_result dv_query_time_parse(dv_slice text, dv_time now, int64_t *ret_ms, int64_t *ret_width)
{
    dv_time time;
    int64_t ms = 0, width = 1;
    if (read_relative(text, now, &ms) || read_date(text, &ms, &width)) {
        *ret_ms = ms;
        *ret_width = width;
        return DV_OK;
    }
    if (dv_time_parse(text, &time) == DV_OK) {
        ms = time / DV_MILLISECOND;
        bool has_fraction = dv_slice_find_byte(text, '.') >= 0;
        width = has_fraction ? 1 : second_ms;
    } else if (!read_whole(text, &ms) || ms < 0) {
        return DV_ERR_INVALID;
    }
    *ret_ms = ms;
    *ret_width = width;
    return DV_OK;
}

/* ---- one value by the field's type ---- */

/* What one value text names: [low, low + width), a number where width is 0. */
typedef struct quantity {
    dv_query_number low;
    int64_t width;
} quantity;

static const char *word_at(const void *data, size_t index)
{
    return ((const dv_query_field *)data)->words[index].word;
}

static dv_result word_unknown(dv_query_parser *parser, const dv_query_field *field,
                              const dv_query_piece *piece)
{
    char text[65];
    dv_slice_copy(piece->text, text, sizeof(text));
    const char *near = dv_nearest(text, field->word_count, word_at, field);
    if (near != NULL) {
        return dv_query_fail(parser, piece->start, DV_ERR_INVALID,
                             "%.*s knows no %s; did you mean %s?", DV_SLICE_ARGS(field->name), text,
                             near);
    }
    return dv_query_fail(parser, piece->start, DV_ERR_INVALID,
                         "%.*s knows no %s; it knows numbers and words such as %s",
                         DV_SLICE_ARGS(field->name), text,
                         field->words[field->word_count - 2].word);
}

static dv_result read_word(dv_query_parser *parser, const dv_query_field *field,
                           const dv_query_piece *piece, quantity *out)
{
    for (size_t i = 0; i < field->word_count; i++) {
        if (dv_slice_eq_nocase(piece->text, dv_slice_str(field->words[i].word))) {
            out->low = whole(field->words[i].number);
            return DV_OK;
        }
    }
    return dv_query_number_read(piece->text, &out->low) ? DV_OK
                                                        : word_unknown(parser, field, piece);
}

static dv_result read_duration(dv_query_parser *parser, const dv_query_piece *piece, quantity *out)
{
    dv_time duration;
    if (dv_query_number_read(piece->text, &out->low)) {
        return DV_OK;
    }
    if (dv_duration_parse(piece->text, &duration) == DV_OK) {
        out->low = whole(duration / DV_MILLISECOND);
        return DV_OK;
    }
    return dv_query_fail(parser, piece->start, DV_ERR_INVALID,
                         "a duration was expected here: milliseconds, or 500ms, 2s, 5m");
}

static dv_result read_time(dv_query_parser *parser, const dv_query_piece *piece, quantity *out)
{
    int64_t ms;
    if (dv_query_time_parse(piece->text, parser->now_ms * DV_MILLISECOND, &ms, &out->width) !=
        DV_OK) {
        return dv_query_fail(parser, piece->start, DV_ERR_INVALID,
                             "a time was expected here: 2026-11-22, 2026-11-22T10:30, an RFC 3339 "
                             "time, -1h or now");
    }
    out->low = whole(ms);
    return DV_OK;
}

static dv_result read_quantity(dv_query_parser *parser, const dv_query_field *field,
                               const dv_query_piece *piece, quantity *out)
{
    *out = (quantity){.width = 0};
    switch (field->type) {
    case DV_QUERY_WORDS:
        return read_word(parser, field, piece, out);
    case DV_QUERY_DURATION:
        return read_duration(parser, piece, out);
    case DV_QUERY_TIME:
        return read_time(parser, piece, out);
    case DV_QUERY_NUMBER:
    case DV_QUERY_AUTO:
        return dv_query_number_read(piece->text, &out->low)
                   ? DV_OK
                   : dv_query_fail(parser, piece->start, DV_ERR_INVALID,
                                   "a number was expected here");
    case DV_QUERY_TEXT:
    case DV_QUERY_ADDRESS:
        break;
    }
    return dv_query_fail(parser, piece->start, DV_ERR_INVALID,
                         "%.*s has no order: >, <, .. and [a TO b] are for numbers and times",
                         DV_SLICE_ARGS(field->name));
}

/* ---- bounds ---- */

static int64_t behind(const quantity *value)
{
    return value->low.whole > INT64_MAX - value->width ? INT64_MAX
                                                       : value->low.whole + value->width;
}

/* From the value on, or only behind all that it names. */
static void set_low(dv_query_node *node, const quantity *value, bool open)
{
    node->has_low = true;
    node->low = value->low;
    node->low_open = open;
    if (open && value->width > 0) {
        node->low = whole(behind(value));
        node->low_open = false;
    }
}

/* Up to all that the value names, or only to before it. */
static void set_high(dv_query_node *node, const quantity *value, bool open)
{
    node->has_high = true;
    node->high = value->low;
    node->high_open = open;
    if (!open && value->width > 0) {
        node->high = whole(behind(value));
        node->high_open = true;
    }
}

static dv_result check_order(dv_query_parser *parser, const dv_query_node *node)
{
    if (dv_query_number_cmp(&node->low, &node->high) > 0) {
        return dv_query_fail(parser, node->column - 1, DV_ERR_INVALID,
                             "nothing lies between these bounds: the first is the greater one");
    }
    return DV_OK;
}

/* ">=500" and its like; the parser stands on the sign. */
static dv_result parse_comparison(dv_query_parser *parser, const dv_query_field *field,
                                  size_t start, const dv_query_node **ret_node)
{
    bool greater = dv_query_peek(parser) == '>';
    dv_query_piece piece;
    dv_query_node *node;
    quantity value;
    parser->at++;
    bool open = !dv_query_take_byte(parser, '=');
    DV_TRY(dv_query_take_piece(parser, "", &piece));
    DV_TRY(read_quantity(parser, field, &piece, &value));
    DV_TRY(dv_query_term(parser, DV_QUERY_BETWEEN, field, start, &node));
    if (greater) {
        set_low(node, &value, open);
    } else {
        set_high(node, &value, open);
    }
    *ret_node = node;
    return DV_OK;
}

static bool is_star(const dv_query_piece *piece)
{
    return !piece->quoted && dv_slice_eq_str(piece->text, "*");
}

static dv_result make_range(dv_query_parser *parser, const dv_query_field *field, size_t start,
                            const dv_query_piece *low, const dv_query_piece *high,
                            const dv_query_node **ret_node)
{
    dv_query_node *node;
    quantity value;
    DV_TRY(dv_query_term(parser, DV_QUERY_BETWEEN, field, start, &node));
    if (!is_star(low)) {
        DV_TRY(read_quantity(parser, field, low, &value));
        set_low(node, &value, false);
    }
    if (!is_star(high)) {
        DV_TRY(read_quantity(parser, field, high, &value));
        set_high(node, &value, false);
    }
    if (node->has_low && node->has_high) {
        DV_TRY(check_order(parser, node));
    }
    if (!node->has_low && !node->has_high) {
        node->op = DV_QUERY_EXISTS;
    }
    *ret_node = node;
    return DV_OK;
}

/* "[400 TO 499]", "[400 TO *]"; the parser stands on the bracket. */
static dv_result parse_bracket(dv_query_parser *parser, const dv_query_field *field, size_t start,
                               const dv_query_node **ret_node)
{
    dv_query_piece low, high;
    size_t open = parser->at++;
    dv_query_skip_space(parser);
    DV_TRY(dv_query_take_piece(parser, "]", &low));
    dv_query_skip_space(parser);
    if (!dv_query_keyword(parser, "to")) {
        return dv_query_fail(parser, parser->at, DV_ERR_INVALID,
                             "TO was expected here, as in [400 TO 499]");
    }
    dv_query_skip_space(parser);
    DV_TRY(dv_query_take_piece(parser, "]", &high));
    dv_query_skip_space(parser);
    if (!dv_query_take_byte(parser, ']')) {
        return dv_query_fail(parser, open, DV_ERR_INVALID, "this bracket is never closed");
    }
    return make_range(parser, field, start, &low, &high, ret_node);
}

/* "400..499": where `..` stands, or -1. Texts and addresses may hold dots. */
static ptrdiff_t find_dots(const dv_query_field *field, const dv_query_piece *piece)
{
    if (piece->quoted || field->type == DV_QUERY_TEXT || field->type == DV_QUERY_ADDRESS) {
        return -1;
    }
    ptrdiff_t dots = dv_slice_find(piece->text, DV_LIT(".."));
    dv_query_number number;
    if (dots > 0 && field->type == DV_QUERY_AUTO &&
        !dv_query_number_read(dv_slice_sub(piece->text, 0, (size_t)dots), &number)) {
        return -1;
    }
    return dots;
}

/* ---- texts and patterns ---- */

/* Undoes the escapes of a word and splits it at its stars. */
typedef struct pattern {
    dv_slice pieces[DV_LIMIT_QUERY_STARS + 1];
    size_t count; /* stars + 1 */
    dv_slice text;
} pattern;

static bool is_escape(dv_slice text, size_t at)
{
    return text.ptr[at] == '\\' && at + 1 < text.len &&
           strchr("*\"\\()|: ", text.ptr[at + 1]) != NULL;
}

static dv_result read_pattern(dv_query_parser *parser, const dv_query_piece *piece, pattern *out)
{
    uint8_t *bytes = dv_arena_alloc_raw(parser->arena, piece->text.len + 1);
    size_t len = 0, begin = 0;
    if (bytes == NULL) {
        return dv_query_no_memory(parser);
    }
    *out = (pattern){.count = 0};
    for (size_t at = 0; at < piece->text.len; at++) {
        uint8_t byte = piece->text.ptr[at];
        if (!piece->quoted && byte == '*') {
            if (out->count == DV_LIMIT_QUERY_STARS) {
                return dv_query_fail(parser, piece->start + at, DV_ERR_TOO_LARGE,
                                     "a value has at most %d stars", DV_LIMIT_QUERY_STARS);
            }
            out->pieces[out->count++] = dv_slice_of(bytes + begin, len - begin);
            begin = len;
            continue;
        }
        if (!piece->quoted && is_escape(piece->text, at)) {
            byte = piece->text.ptr[++at];
        }
        bytes[len++] = dv_query_lower_byte(byte);
    }
    out->pieces[out->count++] = dv_slice_of(bytes + begin, len - begin);
    out->text = dv_slice_of(bytes, len);
    return DV_OK;
}

/* The longest piece, as a matching event's text must hold it. */
static dv_result set_needle(dv_query_parser *parser, const dv_slice *pieces, size_t count,
                            dv_query_node *node)
{
    dv_slice longest = {NULL, 0};
    for (size_t i = 0; i < count; i++) {
        longest = pieces[i].len > longest.len ? pieces[i] : longest;
    }
    if (longest.len == 0) {
        return DV_OK;
    }
    return dv_query_json_escape(parser->arena, longest, &node->needle) == DV_OK
               ? DV_OK
               : dv_query_no_memory(parser);
}

static dv_result make_like(dv_query_parser *parser, const dv_query_field *field, size_t start,
                           const pattern *found, const dv_query_node **ret_node)
{
    dv_query_node *node;
    dv_slice *pieces = dv_arena_alloc(parser->arena, found->count * sizeof(*pieces));
    if (pieces == NULL) {
        return dv_query_no_memory(parser);
    }
    memcpy(pieces, found->pieces, found->count * sizeof(*pieces));
    DV_TRY(dv_query_term(parser, DV_QUERY_LIKE, field, start, &node));
    node->text = found->text;
    node->pieces = pieces;
    node->piece_count = found->count;
    DV_TRY(set_needle(parser, pieces, found->count, node));
    *ret_node = node;
    return DV_OK;
}

/* ---- addresses ---- */

static bool read_prefix(dv_slice text, bool ipv4, unsigned *ret_prefix)
{
    int64_t bits;
    if (!read_whole(text, &bits) || bits < 0 || bits > (ipv4 ? 32 : 128)) {
        return false;
    }
    *ret_prefix = (unsigned)bits + (ipv4 ? 96 : 0);
    return true;
}

/* Sets the network when the text is one, or an address. */
static bool read_network(dv_slice text, dv_query_node *node)
{
    ptrdiff_t slash = dv_slice_find_byte(text, '/');
    dv_slice address = slash < 0 ? text : dv_slice_sub(text, 0, (size_t)slash);
    bool ipv4 = dv_slice_find_byte(address, ':') < 0;
    node->prefix = 128;
    return dv_address_parse(address, &node->network) == DV_OK &&
           (slash < 0 ||
            read_prefix(dv_slice_sub(text, (size_t)slash + 1, text.len), ipv4, &node->prefix));
}

static dv_result make_network(dv_query_parser *parser, const dv_query_field *field, size_t start,
                              const dv_query_piece *piece, const dv_query_node **ret_node)
{
    dv_query_node *node;
    DV_TRY(dv_query_term(parser, DV_QUERY_WITHIN, field, start, &node));
    if (!read_network(piece->text, node)) {
        return dv_query_fail(parser, piece->start, DV_ERR_INVALID,
                             "an address or a network was expected here: 10.1.2.3, 10.0.0.0/8, "
                             "2001:db8::/32 or 10.1.*");
    }
    *ret_node = node;
    return DV_OK;
}

/* ---- all of them ---- */

/* A value that names one thing. */
static dv_result make_is(dv_query_parser *parser, const dv_query_field *field, size_t start,
                         const dv_query_piece *piece, const pattern *found,
                         const dv_query_node **ret_node)
{
    dv_query_node *node;
    quantity value = {.width = 0};
    DV_TRY(dv_query_term(parser, DV_QUERY_IS, field, start, &node));
    node->text = found->text;
    *ret_node = node;
    if (field->type == DV_QUERY_TEXT || field->type == DV_QUERY_AUTO) {
        node->has_low = dv_query_number_read(piece->text, &node->low);
        return node->has_low ? DV_OK : set_needle(parser, &found->text, 1, node);
    }
    DV_TRY(read_quantity(parser, field, piece, &value));
    node->has_low = true;
    node->low = value.low;
    if (value.width > 0) { /* a day, a minute */
        node->op = DV_QUERY_BETWEEN;
        set_high(node, &value, false);
    }
    return DV_OK;
}

static dv_result make_value(dv_query_parser *parser, const dv_query_field *field, size_t start,
                            const dv_query_piece *piece, const dv_query_node **ret_node)
{
    pattern found;
    dv_query_node *node;
    ptrdiff_t dots = find_dots(field, piece);
    if (is_star(piece)) {
        DV_TRY(dv_query_term(parser, DV_QUERY_EXISTS, field, start, &node));
        *ret_node = node;
        return DV_OK;
    }
    if (dots > 0) {
        size_t second = (size_t)dots + 2;
        dv_query_piece low = {dv_slice_sub(piece->text, 0, (size_t)dots), piece->start, false};
        dv_query_piece high = {dv_slice_sub(piece->text, second, piece->text.len),
                               piece->start + second, false};
        return make_range(parser, field, start, &low, &high, ret_node);
    }
    DV_TRY(read_pattern(parser, piece, &found));
    if (found.count > 1 && field->type != DV_QUERY_TIME) {
        return make_like(parser, field, start, &found, ret_node);
    }
    return field->type == DV_QUERY_ADDRESS ? make_network(parser, field, start, piece, ret_node)
                                           : make_is(parser, field, start, piece, &found, ret_node);
}

/* "(400 or 401)"; the parser stands on the parenthesis. */
static dv_result parse_values(dv_query_parser *parser, const dv_query_field *field, size_t start,
                              const dv_query_node **ret_node)
{
    const dv_query_node **last;
    dv_query_node *any = dv_arena_alloc(parser->arena, sizeof(*any));
    size_t open = parser->at++;
    if (any == NULL) {
        return dv_query_no_memory(parser);
    }
    *any = (dv_query_node){.op = DV_QUERY_OR, .column = (int)start + 1};
    last = &any->first;
    for (;;) {
        const dv_query_node *value = NULL;
        dv_query_node *copy = dv_arena_alloc(parser->arena, sizeof(*copy));
        dv_query_skip_space(parser);
        if (dv_query_peek(parser) == '(') {
            return dv_query_fail(parser, parser->at, DV_ERR_INVALID,
                                 "a field's values hold no further parentheses");
        }
        DV_TRY(dv_query_parse_value(parser, field, parser->at, &value));
        if (copy == NULL || value == NULL) {
            return dv_query_no_memory(parser);
        }
        *copy = *value;
        *last = copy;
        last = &copy->next;
        dv_query_skip_space(parser);
        if (dv_query_take_byte(parser, ')')) {
            *ret_node = any->first->next == NULL ? any->first : any;
            return DV_OK;
        }
        if (dv_query_peek(parser) == 0 || dv_query_peek(parser) == '|') {
            return dv_query_fail(parser, open, DV_ERR_INVALID, "this parenthesis is never closed");
        }
        (void)dv_query_keyword(parser, "or");
    }
}

dv_result dv_query_parse_value(dv_query_parser *parser, const dv_query_field *field, size_t start,
                               const dv_query_node **ret_node)
{
    dv_query_piece piece;
    switch (dv_query_peek(parser)) {
    case '>':
    case '<':
        return parse_comparison(parser, field, start, ret_node);
    case '[':
        return parse_bracket(parser, field, start, ret_node);
    case '(':
        return parse_values(parser, field, start, ret_node);
    default:
        break;
    }
    DV_TRY(dv_query_take_piece(parser, "", &piece));
    if (piece.text.len == 0) {
        return dv_query_fail(parser, piece.start, DV_ERR_INVALID,
                             "a value was expected behind %.*s:, such as %.*s:\"two words\" or "
                             "%.*s:* for any",
                             DV_SLICE_ARGS(field->name), DV_SLICE_ARGS(field->name),
                             DV_SLICE_ARGS(field->name));
    }
    return make_value(parser, field, start, &piece, ret_node);
}

/* Stars at the ends of a free word say what it means anyway. */
static void trim_stars(pattern *found)
{
    while (found->count > 1 && found->pieces[found->count - 1].len == 0) {
        found->count--;
    }
    size_t front = 0;
    while (front + 1 < found->count && found->pieces[front].len == 0) {
        front++;
    }
    memmove(found->pieces, found->pieces + front, (found->count - front) * sizeof(dv_slice));
    found->count -= front;
}

dv_result dv_query_free_text(dv_query_parser *parser, const dv_query_piece *piece,
                             const dv_query_node **ret_node)
{
    pattern found = {.count = 0}, within;
    dv_query_node *node;
    DV_TRY(read_pattern(parser, piece, &found));
    trim_stars(&found);
    if (found.count == 1 && found.pieces[0].len == 0) { /* "*": everything */
        DV_TRY(dv_query_term(parser, DV_QUERY_ALL, NULL, piece->start, &node));
        *ret_node = node;
        return DV_OK;
    }
    if (found.count > 1) {
        within = (pattern){.count = found.count + 2, .text = found.text};
        if (within.count > DV_ARRAY_LEN(within.pieces)) {
            return dv_query_fail(parser, piece->start, DV_ERR_TOO_LARGE,
                                 "a word has at most %d stars", DV_LIMIT_QUERY_STARS - 2);
        }
        memcpy(within.pieces + 1, found.pieces, found.count * sizeof(dv_slice));
        return make_like(parser, NULL, piece->start, &within, ret_node);
    }
    DV_TRY(dv_query_term(parser, DV_QUERY_HAS, NULL, piece->start, &node));
    node->text = found.pieces[0];
    *ret_node = node;
    return set_needle(parser, found.pieces, 1, node);
}
