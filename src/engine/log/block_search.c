/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block_searcher.h"

#include <stdlib.h>

uint32_t dv_rows_count(const dv_rows *rows)
{
    uint32_t count = 0;
    for (size_t i = 0; i < DV_ROWS_WORDS; i++) {
        count += (uint32_t)__builtin_popcountll(rows->words[i]);
    }
    return count;
}

uint32_t dv_rows_before(const dv_rows *rows, uint32_t row)
{
    uint32_t count = 0;
    for (size_t i = 0; i < row / 64; i++) {
        count += (uint32_t)__builtin_popcountll(rows->words[i]);
    }
    uint64_t below = ((uint64_t)1 << row % 64) - 1;
    return count + (row < DV_BLOCK_LEAVES
                        ? (uint32_t)__builtin_popcountll(rows->words[row / 64] & below)
                        : 0);
}

static void all_rows(const dv_block_searcher *s, dv_rows *rows)
{
    uint32_t leaves = dv_block_about(s->block)->leaves;
    memset(rows, 0, sizeof(*rows));
    for (uint32_t i = 0; i < leaves; i++) {
        dv_rows_add(rows, i);
    }
}

/* -- values ------------------------------------------------------------------------------------ */

dv_result dv_block_text_read(dv_block_searcher *s, dv_slice raw, dv_slice *ret_text)
{
    if (dv_slice_find_byte(raw, '\\') < 0) {
        *ret_text = raw;
        return DV_OK;
    }
    dv_json_token token = {
        .start = 0, .len = (uint32_t)raw.len, .type = DV_JSON_STRING, .escaped = 1};
    dv_json json = {raw, &token, 1};
    dv_arena_reset(s->arena);
    return dv_json_decode(&json, 0, s->arena, ret_text);
}

static dv_known judge_open(const dv_query_node *node, dv_slice text, dv_json_type type)
{
    bool scalar = type == DV_JSON_STRING || type == DV_JSON_NUMBER || type == DV_JSON_TRUE ||
                  type == DV_JSON_FALSE;
    return scalar && dv_query_term_holds(node, text, type) ? DV_KNOWN_YES : DV_KNOWN_NO;
}

bool dv_block_is_personal(dv_block_searcher *s, uint32_t index)
{
    enum { NO = 1, YES = 2 };
    if (s->opener == NULL) {
        return false;
    }
    if (s->personal[index] == 0) {
        const dv_column *column = dv_block_column_about(s->block, index);
        bool is = s->opener->is_personal(s->opener->data, column->path);
        s->personal[index] = is ? YES : NO;
    }
    return s->personal[index] == YES;
}

bool dv_block_rules_out(const dv_block_searcher *s, const dv_query_node *node, size_t raw_len)
{
    bool by_length = node->op == DV_QUERY_HAS || (node->op == DV_QUERY_IS && !node->has_low);
    return by_length && s->opener->longest(raw_len) < node->text.len &&
           !dv_query_term_holds(node, s->opener->gone, DV_JSON_STRING);
}

static dv_result judge_plain(dv_block_searcher *s, const dv_query_node *node, dv_slice raw,
                             dv_known *ret_known)
{
    dv_slice text;
    DV_TRY(dv_block_text_read(s, raw, &text));
    *ret_known = judge_open(node, text, DV_JSON_STRING);
    return DV_OK;
}

/* What looks sealed and is not, is text. */
dv_result dv_block_judge_text(dv_block_searcher *s, const dv_query_node *node, uint32_t column,
                              dv_slice raw, dv_known *ret_known)
{
    dv_slice text, path = dv_block_column_about(s->block, column)->path;
    dv_json_type type;
    DV_TRY(judge_plain(s, node, raw, ret_known));
    if (!dv_block_is_personal(s, column) || !dv_slice_starts_with(raw, s->opener->mark) ||
        (*ret_known == DV_KNOWN_NO && dv_block_rules_out(s, node, raw.len))) {
        return DV_OK;
    }
    switch (s->opener->open(s->opener->data, path, raw, &text, &type)) {
    case DV_OPENED_NOT:
        break;
    case DV_OPENED_ODD:
        *ret_known = DV_KNOWN_MAYBE;
        break;
    case DV_OPENED_VALUE:
        *ret_known = judge_open(node, text, type);
        break;
    }
    return DV_OK;
}

static dv_known judge_word(const dv_query_node *node, dv_slice raw)
{
    static const struct {
        const char *word;
        dv_json_type type;
    } words[] = {{"true", DV_JSON_TRUE}, {"false", DV_JSON_FALSE}, {"null", DV_JSON_NULL}};
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        if (dv_slice_eq_str(raw, words[i].word)) {
            return judge_open(node, raw, words[i].type);
        }
    }
    return judge_open(node, raw, DV_JSON_NUMBER);
}

static dv_result judge_number(dv_block_searcher *s, const dv_query_node *node, uint32_t index,
                              int64_t number, dv_known *ret_known)
{
    const dv_column *column = dv_block_column_about(s->block, index);
    enum { UUID_TEXT = 36 };
    const uint32_t *ends;
    const uint8_t *bytes;
    uint8_t text[UUID_TEXT];
    if (column->type == DV_SLOT_UUID) {
        DV_TRY(dv_block_uuids(s->block, &bytes, s->error));
        dv_block_uuid_write(bytes + number * DV_BLOCK_UUID, text);
        return dv_block_judge_text(s, node, index, dv_slice_of(text, sizeof(text)), ret_known);
    }
    DV_TRY(dv_block_texts(s->block, &ends, &bytes, s->error));
    uint32_t start = number == 0 ? 0 : ends[number - 1];
    dv_slice raw = dv_slice_of(bytes + start, ends[number] - start);
    if (column->type == DV_SLOT_WORD) {
        *ret_known = judge_word(node, raw);
        return DV_OK;
    }
    return dv_block_judge_text(s, node, index, raw, ret_known);
}

/* -- columns ----------------------------------------------------------------------------------- */

/* The text at that place of a column whose texts are sealed will be opened soon. */
static dv_result expect_text(dv_block_searcher *s, const dv_column *column, uint32_t place,
                             bool soon)
{
    const uint32_t *ends;
    const uint8_t *bytes;
    if (place >= column->count || s->seen[column->values[place]] != DV_KNOWN_NOTHING) {
        return DV_OK;
    }
    DV_TRY(dv_block_texts(s->block, &ends, &bytes, s->error));
    int64_t number = column->values[place];
    uint32_t start = number == 0 ? 0 : ends[number - 1];
    s->opener->expect(s->opener->data, dv_slice_of(bytes + start, ends[number] - start), soon);
    return DV_OK;
}

static dv_result judge_numbers(dv_block_searcher *s, const dv_query_node *node, uint32_t index,
                               bool exact, dv_found *rows)
{
    enum { AHEAD = 16 };
    const dv_column *column = dv_block_column_about(s->block, index);
    bool sealed = column->type == DV_SLOT_TEXT && dv_block_is_personal(s, index);
    memset(s->seen, DV_KNOWN_NOTHING, s->seen_max);
    for (uint32_t i = 0; i < column->count; i++) {
        uint8_t *seen = &s->seen[column->values[i]];
        DV_TRY(sealed ? expect_text(s, column, i + AHEAD, false) : DV_OK);
        DV_TRY(sealed ? expect_text(s, column, i + AHEAD / 2, true) : DV_OK);
        if (*seen == DV_KNOWN_NOTHING) {
            dv_known what = DV_KNOWN_NO;
            DV_TRY(judge_number(s, node, index, column->values[i], &what));
            *seen = (uint8_t)what;
        }
        dv_found_note(rows, column->rows[i], (dv_known)*seen, exact);
    }
    return DV_OK;
}

/* A column of one value is decided without unpacking it. */
static dv_result judge_constant(dv_block_searcher *s, const dv_query_node *node, uint32_t index,
                                dv_known *ret_known)
{
    const dv_column *column = dv_block_column_about(s->block, index);
    if (column->type == DV_SLOT_INT) {
        *ret_known = dv_block_judge_int(node, column->base);
        return DV_OK;
    }
    uint32_t limit = column->type == DV_SLOT_UUID ? dv_block_about(s->block)->uuids
                                                  : dv_block_about(s->block)->texts;
    if (column->base < 0 || column->base >= limit) {
        return DV_ERR_CORRUPT;
    }
    return judge_number(s, node, index, column->base, ret_known);
}

dv_result dv_block_judge_column(dv_block_searcher *s, const dv_query_node *node, uint32_t index,
                                bool exact, dv_found *rows)
{
    const dv_column *column = dv_block_column_about(s->block, index);
    dv_known what = DV_KNOWN_MAYBE;
    if (column->count == 0) {
        return DV_OK;
    }
    if (column->predictor == DV_PREDICT_CONSTANT) {
        DV_TRY(judge_constant(s, node, index, &what));
        if (what == DV_KNOWN_NO) {
            return DV_OK;
        }
    }
    if (column->type == DV_SLOT_INT) {
        return dv_block_ints_are_out(node, column)
                   ? DV_OK
                   : dv_block_judge_ints(s, node, index, exact, rows);
    }
    DV_TRY(dv_block_column(s->block, index, &column, s->error));
    return judge_numbers(s, node, index, exact, rows);
}

/* -- paths ------------------------------------------------------------------------------------- */

typedef enum fit {
    FIT_NOT,
    FIT_ODD,   /* only the event tells: a place in an array, one kind of element, an object */
    FIT_EXACT, /* each of the column's values is one of the path's */
} fit;

static void skip_each(dv_slice *rest)
{
    while (rest->len > 0 && rest->ptr[0] == DV_PATH_EACH[0]) {
        *rest = dv_slice_sub(*rest, 1, rest->len);
    }
}

static dv_slice take_name(dv_slice *rest)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != DV_PATH_EACH[0] &&
           rest->ptr[len] != DV_PATH_BELOW[0]) {
        len++;
    }
    dv_slice name = dv_slice_sub(*rest, 0, len);
    *rest = dv_slice_sub(*rest, len, rest->len);
    return name;
}

static bool is_place(dv_slice segment)
{
    for (size_t i = 0; i < segment.len; i++) {
        if (segment.ptr[i] < '0' || segment.ptr[i] > '9') {
            return false;
        }
    }
    return segment.len > 0;
}

/* "resources[model]" is one kind of the elements of resources. */
static dv_slice name_of(dv_slice segment, bool *ret_selects)
{
    ptrdiff_t open = segment.len > 0 && segment.ptr[segment.len - 1] == ']'
                         ? dv_slice_find_byte(segment, '[')
                         : -1;
    *ret_selects = open >= 0;
    return open < 0 ? segment : dv_slice_sub(segment, 0, (size_t)open);
}

static fit fit_of(const dv_query_path *path, dv_slice column)
{
    dv_slice rest = column;
    bool odd = false, selects = false;
    skip_each(&rest);
    for (size_t i = 0; i < path->count; i++) {
        if (is_place(path->segments[i])) {
            return FIT_ODD; /* of an array or a name: too seldom to be looked at more closely */
        }
        if (i > 0 && rest.len > 0 && rest.ptr[0] == DV_PATH_BELOW[0]) {
            rest = dv_slice_sub(rest, 1, rest.len);
        }
        dv_slice wanted = name_of(path->segments[i], &selects);
        if (!dv_slice_eq(take_name(&rest), wanted)) {
            return FIT_NOT;
        }
        odd = odd || selects;
        skip_each(&rest);
    }
    if (rest.len > 0) {
        return FIT_ODD; /* something below it: an object */
    }
    return odd ? FIT_ODD : FIT_EXACT;
}

static fit fit_of_field(const dv_query_field *field, dv_slice column)
{
    fit best = FIT_NOT;
    for (size_t i = 0; i < field->path_count; i++) {
        fit one = fit_of(&field->paths[i], column);
        best = DV_MAX(best, one);
    }
    return best;
}

/* -- terms ------------------------------------------------------------------------------------- */

/* Objects are there, too, also those without any value in them. */
static bool asks_for_objects(const dv_query_node *node)
{
    return node->op == DV_QUERY_EXISTS;
}

/* "entity.data.size" is not where the sealed entity.data stands. */
static bool is_sealed_object(dv_block_searcher *s, const dv_query_node *node, uint32_t index)
{
    dv_slice column = dv_block_column_about(s->block, index)->path;
    for (size_t i = 0; i < node->field->path_count; i++) {
        dv_query_path above = node->field->paths[i];
        while (--above.count > 0) {
            if (fit_of(&above, column) == FIT_EXACT) {
                return dv_block_is_personal(s, index);
            }
        }
    }
    return false;
}

/* An address that is gone reads as a name beside it. */
static bool is_renamed(dv_block_searcher *s, const dv_query_node *node, uint32_t index)
{
    dv_slice column = dv_block_column_about(s->block, index)->path;
    for (size_t i = 0; i < node->field->path_count; i++) {
        dv_query_path beside = node->field->paths[i];
        dv_slice *last = &beside.segments[beside.count - 1];
        if (dv_slice_eq_str(*last, "name") && dv_slice_ends_with(column, DV_LIT("ip"))) {
            *last = DV_LIT("ip");
            if (fit_of(&beside, column) != FIT_NOT) {
                return dv_block_is_personal(s, index);
            }
        }
    }
    return false;
}

static dv_result mark_rows(dv_block_searcher *s, uint32_t index, dv_found *rows)
{
    const dv_column *column;
    DV_TRY(dv_block_column(s->block, index, &column, s->error));
    for (uint32_t i = 0; i < column->count; i++) {
        dv_rows_add(&rows->maybe, column->rows[i]);
    }
    return DV_OK;
}

static dv_result search_field(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    for (uint32_t i = 0; i < dv_block_about(s->block)->columns; i++) {
        const dv_column *about = dv_block_column_about(s->block, i);
        if (about->type == DV_SLOT_WHOLE) {
            continue;
        }
        fit how = fit_of_field(node->field, about->path);
        if (how == FIT_NOT && (is_sealed_object(s, node, i) || is_renamed(s, node, i))) {
            DV_TRY(mark_rows(s, i, rows));
        } else if (how == FIT_ODD && asks_for_objects(node)) {
            DV_TRY(mark_rows(s, i, rows));
        } else if (how != FIT_NOT) {
            DV_TRY(dv_block_judge_column(s, node, i, how == FIT_EXACT, rows));
        }
    }
    return DV_OK;
}

/* -- terms without a field --------------------------------------------------------------------- */

static dv_result search_all(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    if (node->op == DV_QUERY_HAS && node->needle.len > 0) {
        return dv_block_search_text(s, node, rows);
    }
    for (uint32_t i = 0; i < dv_block_about(s->block)->columns; i++) {
        if (dv_block_column_about(s->block, i)->type != DV_SLOT_WHOLE) {
            DV_TRY(dv_block_judge_column(s, node, i, true, rows));
        }
    }
    return DV_OK;
}

static void add_whole(const dv_block_searcher *s, dv_found *rows)
{
    for (size_t i = 0; i < DV_ROWS_WORDS; i++) {
        rows->maybe.words[i] |= s->whole.words[i];
        rows->sure.words[i] &= ~s->whole.words[i];
    }
}

static dv_result search_term(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    memset(rows, 0, sizeof(*rows));
    if (node->op == DV_QUERY_ALL) {
        all_rows(s, &rows->sure);
        rows->maybe = rows->sure;
        return DV_OK;
    }
    if (node->field != NULL && asks_for_objects(node)) {
        /* An object without a value in it is there and in no column. */
        all_rows(s, &rows->maybe);
    }
    DV_TRY(node->field != NULL ? search_field(s, node, rows) : search_all(s, node, rows));
    add_whole(s, rows);
    return DV_OK;
}

/* -- the tree ---------------------------------------------------------------------------------- */

static dv_result search_node(dv_block_searcher *s, const dv_query_node *node, dv_found *rows);

static dv_result search_not(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    dv_found inner;
    dv_rows all;
    DV_TRY(search_node(s, node->first, &inner));
    all_rows(s, &all);
    for (size_t i = 0; i < DV_ROWS_WORDS; i++) {
        rows->sure.words[i] = all.words[i] & ~inner.maybe.words[i];
        rows->maybe.words[i] = all.words[i] & ~inner.sure.words[i];
    }
    return DV_OK;
}

static bool is_empty(const dv_rows *rows)
{
    for (size_t i = 0; i < DV_ROWS_WORDS; i++) {
        if (rows->words[i] != 0) {
            return false;
        }
    }
    return true;
}

static dv_result search_children(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    dv_found one;
    bool any = node->op == DV_QUERY_OR;
    DV_TRY(search_node(s, node->first, rows));
    for (const dv_query_node *child = node->first->next; child != NULL; child = child->next) {
        if (!any && is_empty(&rows->maybe)) {
            return DV_OK;
        }
        DV_TRY(search_node(s, child, &one));
        for (size_t i = 0; i < DV_ROWS_WORDS; i++) {
            rows->sure.words[i] = any ? rows->sure.words[i] | one.sure.words[i]
                                      : rows->sure.words[i] & one.sure.words[i];
            rows->maybe.words[i] = any ? rows->maybe.words[i] | one.maybe.words[i]
                                       : rows->maybe.words[i] & one.maybe.words[i];
        }
    }
    return DV_OK;
}

/* Deep as the search is, which its parser bounds. */
static dv_result search_node(dv_block_searcher *s, const dv_query_node *node, dv_found *rows)
{
    switch (node->op) {
    case DV_QUERY_NOT:
        return search_not(s, node, rows);
    case DV_QUERY_AND:
    case DV_QUERY_OR:
        return search_children(s, node, rows);
    default:
        return search_term(s, node, rows);
    }
}

static dv_result note_whole(dv_block_searcher *s)
{
    const dv_column *column;
    for (uint32_t i = 0; i < dv_block_about(s->block)->columns; i++) {
        if (dv_block_column_about(s->block, i)->type == DV_SLOT_WHOLE) {
            DV_TRY(dv_block_column(s->block, i, &column, s->error));
            for (uint32_t value = 0; value < column->count; value++) {
                dv_rows_add(&s->whole, column->rows[value]);
            }
        }
    }
    return DV_OK;
}

dv_result dv_block_search(dv_block *block, const dv_query_node *root, const dv_block_opener *opener,
                          dv_rows *ret_sure, dv_rows *ret_maybe, dv_error *error)
{
    enum { ARENA = 1 << 20 };
    dv_found rows;
    const dv_block_info *info = dv_block_about(block);
    dv_block_searcher s = {.block = block, .opener = opener, .error = error};
    s.seen_max = DV_MAX(info->texts, info->uuids) + (size_t)1;
    dv_auto(free) uint8_t *room = calloc(2 * s.seen_max + info->columns, 1);
    dv_auto(arena) dv_arena *arena = dv_arena_new(ARENA);
    if (room == NULL || arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    s.seen = room;
    s.opened = s.seen + s.seen_max;
    s.personal = s.opened + s.seen_max;
    s.arena = arena;
    DV_TRY(note_whole(&s));
    DV_TRY(search_node(&s, root, &rows));
    *ret_sure = rows.sure;
    *ret_maybe = rows.maybe;
    return DV_OK;
}
