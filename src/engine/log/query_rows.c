/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of an aggregation: sorted, cut, as JSON. */
#include "engine/log/query_aggregate_state.h"

#include <math.h>
#include <time.h>

/* A column's value, as it is compared and written. */
typedef struct value {
    enum { VALUE_NUMBER, VALUE_TEXT, VALUE_NONE } kind;
    double number;
    dv_slice json;
} value;

typedef struct row {
    const dv_group *group;
    value *values;
} row;

typedef struct table {
    const dv_aggregate *aggregate;
    dv_arena *arena;
    row *rows;
    size_t count;
    size_t columns;
    size_t before; /* columns of time */
    dv_query_sort sort[DV_QUERY_SORT_MAX];
    size_t sort_count;
} table;

/* ---- values ---- */

static value number_value(double number)
{
    return (value){.kind = VALUE_NUMBER, .number = number};
}

static dv_result set_group_values(table *t, row *r)
{
    static const dv_json_limits limits = {.depth = 4, .tokens = 1 << 16};
    dv_json json;
    dv_query_number number;
    DV_TRY(dv_json_scan(r->group->values, &limits, t->arena, &json, NULL));
    uint32_t at = 1;
    for (size_t i = 0; i < t->aggregate->stages->by_count; i++, at = json.tokens[at].next) {
        value *v = &r->values[t->before + i];
        uint8_t type = json.tokens[at].type;
        v->json = dv_json_raw(&json, at);
        v->kind = type == DV_JSON_NULL ? VALUE_NONE : VALUE_TEXT;
        if (type == DV_JSON_NUMBER && dv_query_number_read(v->json, &number)) {
            v->kind = VALUE_NUMBER;
            v->number = number.real;
        }
        if (type == DV_JSON_STRING) { /* with its quotes */
            v->json = dv_slice_of(v->json.ptr - 1, v->json.len + 2);
        }
    }
    return DV_OK;
}

static dv_result fill_row(table *t, row *r, const dv_group *group)
{
    const dv_query_stages *stages = t->aggregate->stages;
    r->group = group;
    r->values = dv_arena_alloc(t->arena, t->columns * sizeof(*r->values));
    if (r->values == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (t->before > 0) {
        r->values[0] = number_value((double)group->bucket_ms);
        r->values[0].kind = group->bucket_ms == DV_NO_BUCKET ? VALUE_NONE : VALUE_NUMBER;
    }
    DV_TRY(set_group_values(t, r));
    for (size_t i = 0; i < stages->measure_count; i++) {
        value *v = &r->values[t->before + stages->by_count + i];
        bool known = dv_cell_value(&stages->measures[i], &group->cells[i], &v->number);
        v->kind = known ? VALUE_NUMBER : VALUE_NONE;
    }
    return DV_OK;
}

/* ---- order ---- */

static int compare_values(const value *a, const value *b)
{
    if (a->kind != b->kind) {
        return (int)a->kind - (int)b->kind;
    }
    return a->kind == VALUE_NUMBER ? (a->number > b->number) - (a->number < b->number)
                                   : dv_slice_cmp(a->json, b->json);
}

/* What is not known stands behind what is, in either direction. */
static int compare_column(const value *a, const value *b, bool descending)
{
    int order = compare_values(a, b);
    bool either_unknown = a->kind == VALUE_NONE || b->kind == VALUE_NONE;
    return descending && !either_unknown ? -order : order;
}

static int compare_rows(const void *left, const void *right, void *data)
{
    const row *a = left, *b = right;
    const table *t = data;
    for (size_t i = 0; i < t->sort_count; i++) {
        size_t column = t->sort[i].column;
        int order = compare_column(&a->values[column], &b->values[column], t->sort[i].descending);
        if (order != 0) {
            return order;
        }
    }
    int order = dv_slice_cmp(a->group->values, b->group->values);
    return order != 0 ? order
                      : (a->group->bucket_ms > b->group->bucket_ms) -
                            (a->group->bucket_ms < b->group->bucket_ms);
}

static void choose_order(table *t)
{
    const dv_query_stages *stages = t->aggregate->stages;
    if (stages->sort_count > 0) {
        memcpy(t->sort, stages->sort, sizeof(t->sort));
        t->sort_count = stages->sort_count;
        return;
    }
    if (t->before > 0) {
        t->sort[t->sort_count++] = (dv_query_sort){0, false};
    }
    t->sort[t->sort_count++] = (dv_query_sort){t->before + stages->by_count, true};
}

static dv_result make_table(table *t)
{
    const dv_aggregate *aggregate = t->aggregate;
    t->before = aggregate->stages->over_ms != 0 ? 1 : 0;
    t->columns = t->before + aggregate->stages->by_count + aggregate->stages->measure_count;
    t->rows = dv_arena_alloc(t->arena, (aggregate->count + 1) * sizeof(*t->rows));
    if (t->rows == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (; t->count < aggregate->count; t->count++) {
        DV_TRY(fill_row(t, &t->rows[t->count], aggregate->groups[t->count]));
    }
    choose_order(t);
    qsort_r(t->rows, t->count, sizeof(*t->rows), compare_rows, t);
    return DV_OK;
}

/* ---- JSON ---- */

static dv_slice column_name(const table *t, size_t column)
{
    const dv_query_stages *stages = t->aggregate->stages;
    if (column < t->before) {
        return DV_LIT("time");
    }
    column -= t->before;
    return column < stages->by_count ? stages->by[column]->name
                                     : stages->measures[column - stages->by_count].name;
}

static dv_result write_number(double number, dv_buf *out)
{
    if (fabs(number) < 9e15 && number == floor(number)) {
        return dv_buf_append_printf(out, "%.0f", number);
    }
    return dv_buf_append_printf(out, "%.10g", number);
}

static dv_result write_time(double ms, dv_buf *out)
{
    char text[40];
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        return dv_buf_append_str(out, "null");
    }
    return dv_buf_append_printf(out, "\"%s\"", text);
}

static dv_result write_value(const table *t, const value *v, size_t column, dv_buf *out)
{
    if (v->kind == VALUE_NONE) {
        return dv_buf_append_str(out, "null");
    }
    if (column < t->before) {
        return write_time(v->number, out);
    }
    return v->json.len > 0 ? dv_buf_append(out, v->json) : write_number(v->number, out);
}

static dv_result write_row(const table *t, const row *r, dv_buf *out)
{
    for (size_t i = 0; i < t->columns; i++) {
        DV_TRY(dv_buf_append_byte(out, i == 0 ? '{' : ','));
        DV_TRY(dv_buf_append_json_string(out, column_name(t, i)));
        DV_TRY(dv_buf_append_byte(out, ':'));
        DV_TRY(write_value(t, &r->values[i], i, out));
    }
    return dv_buf_append_byte(out, '}');
}

static dv_result write_table(const table *t, uint64_t most, dv_buf *out)
{
    uint64_t limit = t->aggregate->stages->limit;
    uint64_t shown = DV_MIN(limit == 0 ? most : DV_MIN(limit, most), (uint64_t)t->count);
    DV_TRY(dv_buf_append_str(out, "{\"columns\":["));
    for (size_t i = 0; i < t->columns; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? "," : ""));
        DV_TRY(dv_buf_append_json_string(out, column_name(t, i)));
    }
    DV_TRY(dv_buf_append_str(out, "],\"rows\":["));
    for (uint64_t i = 0; i < shown; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? "," : ""));
        DV_TRY(write_row(t, &t->rows[i], out));
    }
    return dv_buf_append_printf(out, "],\"groups\":%zu,\"others\":%llu}", t->count,
                                (unsigned long long)t->aggregate->others);
}

dv_result dv_aggregate_rows(const dv_aggregate *aggregate, uint64_t most, dv_buf *out)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new((size_t)4 * DV_LIMIT_QUERY_MEMORY);
    table t = {.aggregate = aggregate, .arena = arena};
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(make_table(&t));
    return write_table(&t, most, out);
}
