/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block_column.h"

enum {
    SAMPLE = 256,       /* values that a way of coding is judged by */
    REFERENCES_MAX = 6, /* columns before this one that are tried */
    TOO_MANY_BITS = 1 << 30,
};

/* All arithmetic is modulo 2^64, so that every prediction can be taken back. */

static uint64_t u64(int64_t value)
{
    return (uint64_t)value;
}

/* -- prediction -------------------------------------------------------------------------------- */

/* Walks a column's values together with those that they are predicted from. */
typedef struct walk {
    const dv_column *column;
    const dv_column *reference;
    uint32_t at;        /* in the reference */
    uint64_t last, top; /* the value before; one more than the largest before */
} walk;

static void walk_begin(const dv_column *columns, uint32_t index, walk *w)
{
    *w = (walk){.column = &columns[index], .reference = NULL};
    if (w->column->predictor == DV_PREDICT_COLUMN) {
        w->reference = &columns[w->column->reference];
    }
}

/* The first value of the reference in that leaf; 0 when there is none. */
static uint64_t value_beside(walk *w, uint16_t row)
{
    const dv_column *other = w->reference;
    while (w->at < other->count && other->rows[w->at] < row) {
        w->at++;
    }
    return w->at < other->count && other->rows[w->at] == row ? u64(other->values[w->at]) : 0;
}

static uint64_t predict(walk *w, uint32_t i)
{
    uint64_t base = u64(w->column->base);
    switch (w->column->predictor) {
    case DV_PREDICT_LAST:
        return base + w->last;
    case DV_PREDICT_NEXT:
        return base + w->top;
    case DV_PREDICT_COLUMN:
        return base + u64(w->column->scale) * value_beside(w, w->column->rows[i]);
    default:
        return base;
    }
}

static void walk_on(walk *w, uint64_t value)
{
    w->last = value;
    if ((int64_t)(value + 1) > (int64_t)w->top) {
        w->top = value + 1;
    }
}

static bool is_folded(dv_predictor predictor)
{
    return predictor != DV_PREDICT_BASE;
}

static uint64_t rest_of(walk *w, uint32_t i)
{
    uint64_t value = u64(w->column->values[i]);
    uint64_t rest = value - predict(w, i);
    walk_on(w, value);
    return is_folded(w->column->predictor) ? dv_fold(rest) : rest;
}

/* -- choosing ---------------------------------------------------------------------------------- */

static uint32_t bits(uint64_t value)
{
    return value == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(value);
}

/* What the first values would take this way. */
static uint32_t cost_of(const dv_column *columns, uint32_t index)
{
    walk w;
    uint32_t sum = 0, count = DV_MIN(columns[index].count, (uint32_t)SAMPLE);
    walk_begin(columns, index, &w);
    for (uint32_t i = 0; i < count; i++) {
        sum += bits(rest_of(&w, i));
    }
    return sum;
}

typedef struct plan {
    dv_column *columns;
    uint32_t index;
    uint32_t cost;
    dv_column best;
} plan;

static void try_plan(plan *p, dv_predictor predictor, uint32_t reference, int64_t scale)
{
    dv_column *column = &p->columns[p->index];
    dv_column saved = *column;
    column->predictor = predictor;
    column->reference = reference;
    column->scale = scale;
    uint32_t cost = cost_of(p->columns, p->index);
    if (cost < p->cost) {
        p->cost = cost;
        p->best = *column;
    }
    *column = saved;
}

/* A time in nanoseconds beside one in milliseconds. */
static void try_scaled(plan *p, uint32_t reference)
{
    static const int64_t scales[] = {1000, 1000000, 1000000000};
    int64_t mine = p->columns[p->index].values[0];
    int64_t theirs = p->columns[reference].values[0];
    for (size_t i = 0; i < DV_ARRAY_LEN(scales); i++) {
        if (theirs > 0 && mine / scales[i] >= theirs - theirs / 8 &&
            mine / scales[i] <= theirs + theirs / 8) {
            try_plan(p, DV_PREDICT_COLUMN, reference, scales[i]);
        }
    }
}

/* Numbers are compared with numbers, places in a dictionary with places in the same one. */
static int kind_of(const dv_column *column)
{
    return column->type == DV_SLOT_INT ? 0 : column->type == DV_SLOT_UUID ? 1 : 2;
}

static void try_references(plan *p)
{
    const dv_column *column = &p->columns[p->index];
    int tried = 0;
    for (uint32_t i = p->index; i > 0 && tried < REFERENCES_MAX && p->cost > 0; i--) {
        const dv_column *other = &p->columns[i - 1];
        if (kind_of(other) == kind_of(column) && other->count >= column->count / 2) {
            try_plan(p, DV_PREDICT_COLUMN, i - 1, 1);
            tried++;
            if (column->type == DV_SLOT_INT) {
                try_scaled(p, i - 1);
            }
        }
    }
}

static void take_base(dv_column *column, bool *ret_constant)
{
    int64_t least = column->values[0], most = column->values[0];
    for (uint32_t i = 1; i < column->count; i++) {
        least = DV_MIN(least, column->values[i]);
        most = DV_MAX(most, column->values[i]);
    }
    column->predictor = DV_PREDICT_BASE;
    column->base = least;
    *ret_constant = least == most;
}

static uint8_t width_of(const dv_column *columns, uint32_t index)
{
    walk w;
    uint64_t all = 0;
    walk_begin(columns, index, &w);
    for (uint32_t i = 0; i < columns[index].count; i++) {
        all |= rest_of(&w, i);
    }
    return (uint8_t)((bits(all) + 7) / 8);
}

void dv_column_plan(dv_column *columns, uint32_t index)
{
    dv_column *column = &columns[index];
    bool constant = true;
    column->reference = 0;
    column->scale = 0;
    column->base = 0;
    column->width = 0;
    if (column->count > 0) {
        take_base(column, &constant);
    }
    if (constant) {
        column->predictor = DV_PREDICT_CONSTANT;
        return;
    }
    plan p = {columns, index, cost_of(columns, index), *column};
    column->base = 0;
    try_plan(&p, DV_PREDICT_LAST, 0, 0);
    if (column->type != DV_SLOT_INT) {
        try_plan(&p, DV_PREDICT_NEXT, 0, 0);
    }
    try_references(&p);
    *column = p.best;
    column->width = width_of(columns, index);
}

/* -- planes ------------------------------------------------------------------------------------ */

dv_result dv_column_encode(const dv_column *columns, uint32_t index, dv_buf *out)
{
    walk w;
    const dv_column *column = &columns[index];
    size_t count = column->count;
    DV_TRY(dv_buf_reserve(out, column->width * count));
    uint8_t *planes = out->ptr + out->len;
    if (column->width == 0) {
        return DV_OK;
    }
    walk_begin(columns, index, &w);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t rest = rest_of(&w, i);
        for (size_t plane = 0; plane < column->width; plane++) {
            planes[plane * count + i] = (uint8_t)(rest >> (8 * plane));
        }
    }
    out->len += column->width * count;
    return DV_OK;
}

/* What was taken from the predictions. Plane after plane, so that each loop is a simple one. */
static void gather(const uint8_t *planes, uint32_t count, uint8_t width, int64_t *out)
{
    if (width == 0) {
        memset(out, 0, count * sizeof(*out));
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        out[i] = planes[i];
    }
    for (uint8_t plane = 1; plane < width; plane++) {
        const uint8_t *bytes = planes + (size_t)plane * count;
        for (uint32_t i = 0; i < count; i++) {
            out[i] |= (int64_t)((uint64_t)bytes[i] << (8 * plane));
        }
    }
}

static void add_last(int64_t *values, uint32_t count, uint64_t base)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < count; i++) {
        last += base + dv_unfold(u64(values[i]));
        values[i] = (int64_t)last;
    }
}

static void add_next(int64_t *values, uint32_t count, uint64_t base)
{
    uint64_t top = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = base + top + dv_unfold(u64(values[i]));
        values[i] = (int64_t)value;
        top = (int64_t)(value + 1) > (int64_t)top ? value + 1 : top;
    }
}

static void add_beside(const dv_column *columns, uint32_t index)
{
    walk w;
    const dv_column *column = &columns[index];
    walk_begin(columns, index, &w);
    for (uint32_t i = 0; i < column->count; i++) {
        uint64_t beside = value_beside(&w, column->rows[i]);
        column->values[i] = (int64_t)(u64(column->base) + u64(column->scale) * beside +
                                      dv_unfold(u64(column->values[i])));
    }
}

void dv_column_decode(const dv_column *columns, uint32_t index, const uint8_t *planes)
{
    const dv_column *column = &columns[index];
    gather(planes, column->count, column->width, column->values);
    switch (column->predictor) {
    case DV_PREDICT_LAST:
        add_last(column->values, column->count, u64(column->base));
        break;
    case DV_PREDICT_NEXT:
        add_next(column->values, column->count, u64(column->base));
        break;
    case DV_PREDICT_COLUMN:
        add_beside(columns, index);
        break;
    default: /* a constant has nothing that was taken from it */
        for (uint32_t i = 0; i < column->count; i++) {
            column->values[i] = (int64_t)(u64(column->base) + u64(column->values[i]));
        }
        break;
    }
}

/* -- on disk ----------------------------------------------------------------------------------- */

dv_result dv_column_write(const dv_column *column, dv_buf *out)
{
    DV_TRY(dv_block_put_number(out, column->path.len));
    DV_TRY(dv_buf_append(out, column->path));
    DV_TRY(dv_buf_append_byte(out, (uint8_t)column->type));
    DV_TRY(dv_buf_append_byte(out, (uint8_t)column->predictor));
    DV_TRY(dv_block_put_number(out, column->reference));
    DV_TRY(dv_block_put_number(out, u64(column->scale)));
    DV_TRY(dv_block_put_number(out, dv_fold(u64(column->base))));
    DV_TRY(dv_buf_append_byte(out, column->width));
    return dv_block_put_number(out, column->count);
}

static bool take_small(dv_slice *rest, uint8_t below, uint8_t *ret_byte)
{
    dv_slice byte;
    if (!dv_block_take_bytes(rest, 1, &byte) || byte.ptr[0] >= below) {
        return false;
    }
    *ret_byte = byte.ptr[0];
    return true;
}

dv_result dv_column_read(dv_slice *rest, uint32_t index, dv_column *ret_column)
{
    uint64_t path, reference, scale, base, count;
    uint8_t type, predictor, width;
    dv_column column = {.count = 0};
    if (!dv_block_take_number(rest, &path) || path > DV_BLOCK_PATH_MAX ||
        !dv_block_take_bytes(rest, path, &column.path) || !take_small(rest, DV_SLOT_TYPES, &type) ||
        !take_small(rest, DV_PREDICTORS, &predictor) || !dv_block_take_number(rest, &reference) ||
        !dv_block_take_number(rest, &scale) || !dv_block_take_number(rest, &base) ||
        !take_small(rest, 9, &width) || !dv_block_take_number(rest, &count) ||
        count > UINT32_MAX / 8 ||
        (predictor == DV_PREDICT_COLUMN ? reference >= index : reference != 0)) {
        return DV_ERR_CORRUPT;
    }
    column.type = (dv_slot_type)type;
    column.predictor = (dv_predictor)predictor;
    column.reference = (uint32_t)reference;
    column.scale = (int64_t)scale;
    column.base = (int64_t)dv_unfold(base);
    column.width = width;
    column.count = (uint32_t)count;
    *ret_column = column;
    return DV_OK;
}
