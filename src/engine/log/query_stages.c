/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a search, behind its bars: what is counted, by what, in which order. */
#include "engine/log/query_internal.h"

#include <inttypes.h>

static const int64_t over_least_ms = 1000;
static const uint64_t limit_most = 1000000;

static dv_result name_here(dv_query_parser *parser, const char *what, dv_query_piece *ret_piece)
{
    dv_query_skip_space(parser);
    DV_TRY(dv_query_take_piece(parser, ",", ret_piece));
    if (ret_piece->text.len == 0) {
        return dv_query_fail(parser, ret_piece->start, DV_ERR_INVALID, "%s was expected here",
                             what);
    }
    return DV_OK;
}

static dv_result find_field(dv_query_parser *parser, const dv_query_piece *piece,
                            const dv_query_field **ret_field)
{
    dv_result result = dv_query_field_find(piece->text, parser->arena, ret_field, parser->error);
    if (result != DV_OK && parser->error != NULL) {
        parser->error->line = 1;
        parser->error->column = (int)piece->start + 1;
    }
    return result;
}

static bool more(dv_query_parser *parser)
{
    dv_query_skip_space(parser);
    return dv_query_take_byte(parser, ',');
}

/* ---- measures ---- */

/* "p95", "p99.9": the quantile; false when it is none. */
static bool read_quantile(dv_slice word, double *ret_quantile)
{
    dv_query_number percent;
    if (word.len < 2 || (word.ptr[0] | 0x20) != 'p' ||
        !dv_query_number_read(dv_slice_sub(word, 1, word.len), &percent)) {
        return false;
    }
    *ret_quantile = percent.real / 100;
    return percent.real >= 0 && percent.real <= 100;
}

static bool read_function(dv_slice word, dv_query_measure *out)
{
    static const struct {
        const char *name;
        dv_query_function function;
    } names[] = {{"count", DV_QUERY_COUNT}, {"sum", DV_QUERY_SUM},  {"avg", DV_QUERY_AVG},
                 {"min", DV_QUERY_LEAST},   {"max", DV_QUERY_MOST}, {"median", DV_QUERY_QUANTILE}};
    out->quantile = 0.5;
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_nocase(word, dv_slice_str(names[i].name))) {
            out->function = names[i].function;
            return true;
        }
    }
    out->function = DV_QUERY_QUANTILE;
    return read_quantile(word, &out->quantile);
}

static dv_result name_measure(dv_query_parser *parser, dv_slice word, dv_query_measure *out)
{
    dv_slice lower;
    if (dv_query_lower(parser->arena, word, &lower) != DV_OK) {
        return dv_query_no_memory(parser);
    }
    const dv_slice parts[] = {lower, DV_LIT("("), out->field != NULL ? out->field->name : lower,
                              DV_LIT(")")};
    return dv_arena_concat(parser->arena, parts, out->field != NULL ? DV_ARRAY_LEN(parts) : 1,
                           &out->name) == DV_OK
               ? DV_OK
               : dv_query_no_memory(parser);
}

static dv_result parse_measured(dv_query_parser *parser, dv_query_measure *out)
{
    dv_query_piece piece;
    size_t open = parser->at;
    if (!dv_query_take_byte(parser, '(')) {
        return dv_query_fail(parser, parser->at, DV_ERR_INVALID,
                             "a field in parentheses was expected here, as in sum(tokens)");
    }
    DV_TRY(name_here(parser, "a field", &piece));
    DV_TRY(find_field(parser, &piece, &out->field));
    if (out->field->type == DV_QUERY_TEXT || out->field->type == DV_QUERY_ADDRESS) {
        return dv_query_fail(parser, piece.start, DV_ERR_INVALID, "%.*s holds no numbers",
                             DV_SLICE_ARGS(out->field->name));
    }
    dv_query_skip_space(parser);
    return dv_query_take_byte(parser, ')')
               ? DV_OK
               : dv_query_fail(parser, open, DV_ERR_INVALID, "this parenthesis is never closed");
}

static dv_result parse_measure(dv_query_parser *parser, const dv_query_piece *word,
                               dv_query_stages *stages)
{
    dv_query_measure measure = {.field = NULL};
    if (!read_function(word->text, &measure)) {
        return dv_query_fail(parser, word->start, DV_ERR_INVALID,
                             "there is no stage %.*s: known are count, sum(f), avg(f), min(f), "
                             "max(f), p50(f) to p99.9(f), top, sort and limit",
                             (int)DV_MIN(word->text.len, (size_t)64), (const char *)word->text.ptr);
    }
    if (measure.function != DV_QUERY_COUNT) {
        DV_TRY(parse_measured(parser, &measure));
    }
    if (stages->measure_count == DV_LIMIT_QUERY_MEASURES) {
        return dv_query_fail(parser, word->start, DV_ERR_TOO_LARGE,
                             "at most %d things are measured", DV_LIMIT_QUERY_MEASURES);
    }
    DV_TRY(name_measure(parser, word->text, &measure));
    stages->measures[stages->measure_count++] = measure;
    return DV_OK;
}

/* ---- by and over ---- */

static dv_result parse_by(dv_query_parser *parser, dv_query_stages *stages)
{
    do {
        dv_query_piece piece;
        DV_TRY(name_here(parser, "a field to group by", &piece));
        if (stages->by_count == DV_LIMIT_QUERY_BY) {
            return dv_query_fail(parser, piece.start, DV_ERR_TOO_LARGE,
                                 "a search groups by at most %d fields", DV_LIMIT_QUERY_BY);
        }
        DV_TRY(find_field(parser, &piece, &stages->by[stages->by_count]));
        stages->by_count++;
    } while (more(parser));
    return DV_OK;
}

static dv_result parse_over(dv_query_parser *parser, dv_query_stages *stages)
{
    dv_query_piece piece;
    dv_time duration;
    DV_TRY(name_here(parser, "a duration", &piece));
    if (dv_duration_parse(piece.text, &duration) != DV_OK ||
        duration / DV_MILLISECOND < over_least_ms) {
        return dv_query_fail(parser, piece.start, DV_ERR_INVALID,
                             "over needs a duration of at least a second, such as 5m or 1h");
    }
    stages->over_ms = duration / DV_MILLISECOND;
    return DV_OK;
}

/* What may follow the measures, in any order, each once. */
static dv_result parse_grouping(dv_query_parser *parser, dv_query_stages *stages)
{
    for (;;) {
        dv_query_skip_space(parser);
        size_t start = parser->at;
        if (dv_query_keyword(parser, "by") && stages->by_count == 0) {
            DV_TRY(parse_by(parser, stages));
        } else if (dv_query_keyword(parser, "over") && stages->over_ms == 0) {
            DV_TRY(parse_over(parser, stages));
        } else if (dv_query_peek(parser) == 0 || dv_query_peek(parser) == '|') {
            return DV_OK;
        } else {
            return dv_query_fail(parser, start, DV_ERR_INVALID,
                                 "`by FIELD`, `over DURATION` or another stage behind | was "
                                 "expected here");
        }
    }
}

static dv_result only_once(dv_query_parser *parser, const dv_query_piece *word,
                           const dv_query_stages *stages)
{
    return stages->measure_count == 0
               ? DV_OK
               : dv_query_fail(parser, word->start, DV_ERR_INVALID,
                               "the events are aggregated already: only sort and limit may follow");
}

static dv_result parse_aggregate(dv_query_parser *parser, const dv_query_piece *first,
                                 dv_query_stages *stages)
{
    dv_query_piece word = *first;
    DV_TRY(only_once(parser, first, stages));
    DV_TRY(parse_measure(parser, &word, stages));
    while (more(parser)) {
        DV_TRY(name_here(parser, "count, sum(f) or the like", &word));
        DV_TRY(parse_measure(parser, &word, stages));
    }
    return parse_grouping(parser, stages);
}

/* ---- sort, limit, top ---- */

static size_t time_columns(const dv_query_stages *stages)
{
    return stages->over_ms != 0 ? 1 : 0;
}

/* A column by its name; the time of the buckets is called time. */
static bool find_column(const dv_query_stages *stages, dv_slice name, size_t *ret_column)
{
    size_t before = time_columns(stages);
    if (before == 1 && dv_slice_eq_nocase(name, DV_LIT("time"))) {
        *ret_column = 0;
        return true;
    }
    for (size_t i = 0; i < stages->by_count; i++) {
        if (dv_slice_eq_nocase(name, stages->by[i]->name)) {
            *ret_column = before + i;
            return true;
        }
    }
    for (size_t i = 0; i < stages->measure_count; i++) {
        if (dv_slice_eq_nocase(name, stages->measures[i].name)) {
            *ret_column = before + stages->by_count + i;
            return true;
        }
    }
    return false;
}

/* "sum(tokens)" is a word, a parenthesis, a word, a parenthesis. */
static dv_result column_name_here(dv_query_parser *parser, dv_query_piece *ret_piece)
{
    DV_TRY(name_here(parser, "a column", ret_piece));
    if (dv_query_peek(parser) == '(') {
        while (dv_query_peek(parser) != ')' && dv_query_peek(parser) != 0) {
            parser->at++;
        }
        (void)dv_query_take_byte(parser, ')');
        ret_piece->text =
            dv_slice_sub(parser->text, ret_piece->start, parser->at - ret_piece->start);
    }
    return DV_OK;
}

static dv_result parse_sort(dv_query_parser *parser, const dv_query_piece *word,
                            dv_query_stages *stages)
{
    if (stages->measure_count == 0) {
        return dv_query_fail(parser, word->start, DV_ERR_INVALID,
                             "events come newest first; sort orders what count and the like give");
    }
    stages->sort_count = 0;
    do {
        dv_query_piece piece;
        dv_query_sort *key = &stages->sort[stages->sort_count];
        dv_query_skip_space(parser);
        size_t start = parser->at;
        bool descending = dv_query_take_byte(parser, '-');
        DV_TRY(column_name_here(parser, &piece));
        if (stages->sort_count == DV_QUERY_SORT_MAX) {
            return dv_query_fail(parser, start, DV_ERR_TOO_LARGE, "sort takes at most %d columns",
                                 DV_QUERY_SORT_MAX);
        }
        if (!find_column(stages, piece.text, &key->column)) {
            return dv_query_fail(
                parser, piece.start, DV_ERR_INVALID, "there is no column %.*s to sort by",
                (int)DV_MIN(piece.text.len, (size_t)64), (const char *)piece.text.ptr);
        }
        key->descending = descending;
        stages->sort_count++;
    } while (more(parser));
    return DV_OK;
}

static dv_result parse_number(dv_query_parser *parser, uint64_t *ret_number)
{
    dv_query_piece piece;
    dv_query_number number;
    DV_TRY(name_here(parser, "a number", &piece));
    if (!dv_query_number_read(piece.text, &number) || !number.is_whole || number.whole < 1 ||
        (uint64_t)number.whole > limit_most) {
        return dv_query_fail(parser, piece.start, DV_ERR_INVALID,
                             "a number from 1 to %" PRIu64 " was expected here", limit_most);
    }
    *ret_number = (uint64_t)number.whole;
    return DV_OK;
}

/* "top 10 user" is "count by user | sort -count | limit 10". */
static dv_result parse_top(dv_query_parser *parser, const dv_query_piece *word,
                           dv_query_stages *stages)
{
    dv_query_measure count = {.function = DV_QUERY_COUNT, .name = DV_LIT("count")};
    DV_TRY(only_once(parser, word, stages));
    DV_TRY(parse_number(parser, &stages->limit));
    DV_TRY(parse_by(parser, stages));
    stages->measures[stages->measure_count++] = count;
    stages->sort[0] = (dv_query_sort){stages->by_count, true};
    stages->sort_count = 1;
    return DV_OK;
}

static dv_result parse_stage(dv_query_parser *parser, dv_query_stages *stages)
{
    dv_query_piece word;
    DV_TRY(name_here(parser, "a stage such as count, top, sort or limit", &word));
    if (dv_slice_eq_nocase(word.text, DV_LIT("limit"))) {
        return parse_number(parser, &stages->limit);
    }
    if (dv_slice_eq_nocase(word.text, DV_LIT("sort"))) {
        return parse_sort(parser, &word, stages);
    }
    return dv_slice_eq_nocase(word.text, DV_LIT("top")) ? parse_top(parser, &word, stages)
                                                        : parse_aggregate(parser, &word, stages);
}

dv_result dv_query_parse_stages(dv_query_parser *parser, dv_query_stages *stages)
{
    dv_query_skip_space(parser);
    while (dv_query_take_byte(parser, '|')) {
        DV_TRY(parse_stage(parser, stages));
        dv_query_skip_space(parser);
    }
    return dv_query_peek(parser) == 0 ? DV_OK
                                      : dv_query_fail(parser, parser->at, DV_ERR_INVALID,
                                                      "| or the end was expected here");
}
