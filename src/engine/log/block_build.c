/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block.h"
#include "engine/log/block_template.h"
#include "engine/log/intern.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/json.h"

#include <stdlib.h>
#include <zstd.h>

enum {
    TEXTS_MAX = DV_BLOCK_LEAVES * UINT16_MAX,
    SHAPES_MAX = 64 << 20,
    PATHS_MAX = DV_BLOCK_COLUMNS_MAX * (DV_BLOCK_PATH_MAX + 1),
    ARENA_MAX = 16 << 20,
    RECENT = 4, /* templates that are tried before a leaf is cut */
    NONE = UINT32_MAX,
};
#define UNNUMBERED (-1) /* a text's number is not known yet */

typedef struct building_column {
    dv_column column;
    uint32_t capacity;
    uint32_t last; /* number of the last text; NONE */
} building_column;

typedef struct building_template {
    dv_template shape;
    uint8_t *memory; /* pieces */
    dv_slot *slots;
    uint32_t follower; /* that came behind it the last time */
} building_template;

struct dv_block_builder {
    dv_intern texts, uuids, paths, shapes;
    building_column *columns;
    building_template *templates;
    uint32_t column_count, column_capacity, template_count;
    uint32_t whole;     /* the template of what can't be cut; NONE */
    uint32_t last;      /* the last leaf's template; NONE */
    uint32_t last_uuid; /* NONE */
    uint32_t recent[RECENT];
    uint32_t count;
    uint16_t rows[DV_BLOCK_LEAVES];
    int64_t earliest, latest;
    dv_cut cut;
    dv_buf scratch;
    dv_arena *arena;
    ZSTD_CCtx *zstd;
};

/* -- columns and templates --------------------------------------------------------------------- */

static dv_result add_column(dv_block_builder *builder, dv_slot_type type)
{
    if (builder->column_count == DV_BLOCK_COLUMNS_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    if (builder->column_count == builder->column_capacity) {
        uint32_t capacity = DV_MAX(64u, builder->column_capacity * 2);
        building_column *columns = realloc(builder->columns, capacity * sizeof(*columns));
        if (columns == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        builder->columns = columns;
        builder->column_capacity = capacity;
    }
    builder->columns[builder->column_count++] =
        (building_column){.column = {.type = type}, .last = NONE};
    return DV_OK;
}

/* A dv_column_of: the path's name among the paths is its type and itself. */
static dv_result column_of(void *data, dv_slice path, dv_slot_type type, uint32_t *ret_column)
{
    dv_block_builder *builder = data;
    dv_buf *key = &builder->scratch;
    uint32_t number;
    dv_buf_clear(key);
    DV_TRY(dv_buf_append_byte(key, (uint8_t)type));
    DV_TRY(dv_buf_append(key, path));
    if (builder->paths.count == DV_BLOCK_COLUMNS_MAX - 1) {
        return DV_ERR_TOO_LARGE; /* the last one is kept for what can't be cut */
    }
    DV_TRY(dv_intern_put(&builder->paths, dv_buf_slice(key), &number));
    if (number == builder->column_count) {
        DV_TRY(add_column(builder, type));
    }
    *ret_column = number;
    return DV_OK;
}

static dv_result keep_template(dv_block_builder *builder, const dv_template *shape)
{
    building_template *kept = &builder->templates[builder->template_count];
    *kept = (building_template){.shape = *shape, .follower = NONE};
    kept->memory = malloc(shape->pieces_len + 1);
    kept->slots = malloc((shape->slot_count + 1) * sizeof(*kept->slots));
    if (kept->memory == NULL || kept->slots == NULL) {
        free(kept->memory);
        free(kept->slots);
        return DV_ERR_NO_MEMORY;
    }
    if (shape->pieces_len > 0) {
        memcpy(kept->memory, shape->pieces, shape->pieces_len);
    }
    memcpy(kept->slots, shape->slots, shape->slot_count * sizeof(*kept->slots));
    kept->shape.pieces = kept->memory;
    kept->shape.slots = kept->slots;
    builder->template_count++;
    return DV_OK;
}

/* The number of a template, which is kept when it is new. */
static dv_result template_of(dv_block_builder *builder, const dv_template *shape,
                             uint32_t *ret_template)
{
    uint32_t number;
    dv_buf *key = &builder->scratch;
    dv_buf_clear(key);
    DV_TRY(dv_template_write(shape, key));
    DV_TRY(dv_intern_put(&builder->shapes, dv_buf_slice(key), &number));
    if (number == builder->template_count) {
        DV_TRY(keep_template(builder, shape));
    }
    *ret_template = number;
    return DV_OK;
}

/* -- leaves ------------------------------------------------------------------------------------ */

static dv_result push(building_column *into, uint32_t row, int64_t value)
{
    dv_column *column = &into->column;
    if (column->count == into->capacity) {
        uint32_t capacity = DV_MAX(64u, into->capacity * 2);
        int64_t *values = realloc(column->values, capacity * sizeof(*values));
        column->values = values != NULL ? values : column->values;
        uint16_t *rows = realloc(column->rows, capacity * sizeof(*rows));
        column->rows = rows != NULL ? rows : column->rows;
        if (values == NULL || rows == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        into->capacity = capacity;
    }
    column->values[column->count] = value;
    column->rows[column->count++] = (uint16_t)row;
    return DV_OK;
}

/* A leaf names its request more than once. */
static dv_result number_uuid(dv_block_builder *builder, const uint8_t *uuid, uint32_t *ret_number)
{
    dv_slice bytes = dv_slice_of(uuid, DV_BLOCK_UUID);
    if (builder->last_uuid == NONE ||
        !dv_slice_eq(dv_intern_get(&builder->uuids, builder->last_uuid), bytes)) {
        DV_TRY(dv_intern_put(&builder->uuids, bytes, &builder->last_uuid));
    }
    *ret_number = builder->last_uuid;
    return DV_OK;
}

static dv_result add_value(dv_block_builder *builder, const dv_slot *slot,
                           const dv_cut_value *value)
{
    uint32_t number;
    building_column *column = &builder->columns[slot->column];
    if (slot->type == DV_SLOT_INT) {
        return push(column, builder->count, value->number);
    }
    if (slot->type == DV_SLOT_UUID) {
        DV_TRY(number_uuid(builder, value->uuid, &number));
        return push(column, builder->count, number);
    }
    column->last = (uint32_t)value->number;
    if (value->number == UNNUMBERED) {
        DV_TRY(dv_intern_put(&builder->texts, value->text, &column->last));
    }
    return push(column, builder->count, column->last);
}

static dv_result add_values(dv_block_builder *builder, const dv_template *shape,
                            const dv_cut_value *values)
{
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        DV_TRY(add_value(builder, &shape->slots[i], &values[i]));
    }
    return DV_OK;
}

/* JSON as it should be; a leaf that is not is kept as it is, so that columns never say what its
 * text does not. */
static bool is_json(dv_block_builder *builder, dv_slice leaf)
{
    static const dv_json_limits limits = {
        .depth = DV_LIMIT_JSON_DEPTH, .tokens = UINT16_MAX, .refuse_duplicate_keys = true};
    dv_json json;
    bool good = dv_json_scan(leaf, &limits, builder->arena, &json, NULL) == DV_OK;
    dv_arena_reset(builder->arena);
    return good;
}

/* Most texts are those of the leaf before: their values get its numbers. Whether all of them may
 * stand between quotes: those that were there before may. */
static bool find_texts(const dv_block_builder *builder, const dv_template *shape,
                       dv_cut_value *values)
{
    bool plain = true;
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        dv_slot_type type = shape->slots[i].type;
        if (type == DV_SLOT_INT || type == DV_SLOT_UUID) {
            continue;
        }
        uint32_t last = builder->columns[shape->slots[i].column].last;
        bool is_last =
            last != NONE && dv_slice_eq(dv_intern_get(&builder->texts, last), values[i].text);
        values[i].number = is_last ? (int64_t)last : UNNUMBERED;
        plain = plain && (is_last || type != DV_SLOT_TEXT || dv_block_is_plain(values[i].text));
    }
    return plain;
}

static bool matches(dv_block_builder *builder, uint32_t number, dv_slice leaf, dv_cut_value *values)
{
    if (number == NONE || number == builder->whole) {
        return false;
    }
    const dv_template *shape = &builder->templates[number].shape;
    return dv_template_match(shape, leaf, values) &&
           (find_texts(builder, shape, values) || is_json(builder, leaf));
}

/* Leaves follow each other in habits: what came behind the last one's template before, that
 * template itself, then those of late. NONE: cut it. */
static uint32_t guess(dv_block_builder *builder, dv_slice leaf, dv_cut_value *values)
{
    if (builder->last != NONE) {
        uint32_t follower = builder->templates[builder->last].follower;
        if (matches(builder, follower, leaf, values)) {
            return follower;
        }
    }
    for (size_t i = 0; i < RECENT; i++) {
        if (matches(builder, builder->recent[i], leaf, values)) {
            return builder->recent[i];
        }
    }
    return NONE;
}

static dv_result cut_whole(dv_block_builder *builder, dv_slice leaf)
{
    dv_cut *cut = &builder->cut;
    dv_buf_clear(&cut->pieces);
    cut->slot_count = 1;
    cut->values[0].text = leaf;
    cut->slots[0] = (dv_slot){0, DV_SLOT_WHOLE, 0};
    dv_result result = column_of(builder, DV_LIT(""), DV_SLOT_WHOLE, &cut->slots[0].column);
    if (result != DV_ERR_TOO_LARGE) {
        return result;
    }
    cut->slots[0].column = DV_BLOCK_COLUMNS_MAX - 1;
    return builder->column_count == DV_BLOCK_COLUMNS_MAX ? DV_OK
                                                         : add_column(builder, DV_SLOT_WHOLE);
}

static dv_result cut(dv_block_builder *builder, dv_slice leaf)
{
    dv_result result = builder->template_count >= DV_BLOCK_TEMPLATES_MAX || !is_json(builder, leaf)
                           ? DV_ERR_TOO_LARGE
                           : dv_cut_leaf(leaf, column_of, builder, &builder->cut);
    return result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE ? cut_whole(builder, leaf)
                                                                  : result;
}

static dv_result template_by_cutting(dv_block_builder *builder, dv_slice leaf,
                                     uint32_t *ret_template)
{
    DV_TRY(cut(builder, leaf));
    dv_template shape = {builder->cut.pieces.ptr, builder->cut.pieces.len, builder->cut.slots,
                         builder->cut.slot_count};
    DV_TRY(template_of(builder, &shape, ret_template));
    if (shape.slot_count == 1 && shape.slots[0].type == DV_SLOT_WHOLE) {
        builder->whole = *ret_template;
    }
    (void)find_texts(builder, &shape, builder->cut.values);
    return DV_OK;
}

static void remember(dv_block_builder *builder, uint32_t number)
{
    if (builder->last != NONE) {
        builder->templates[builder->last].follower = number;
    }
    if (number != builder->last) {
        size_t at = 0;
        while (at < RECENT - 1 && builder->recent[at] != number) {
            at++;
        }
        memmove(builder->recent + 1, builder->recent, at * sizeof(*builder->recent));
        builder->recent[0] = number;
    }
    builder->last = number;
}

/* The leaf's "time", for the header. */
static void note_time(dv_block_builder *builder, const dv_template *shape,
                      const dv_cut_value *values)
{
    int64_t time = 0;
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        const dv_slot *slot = &shape->slots[i];
        if (slot->type == DV_SLOT_INT &&
            dv_slice_eq(dv_slice_sub(dv_intern_get(&builder->paths, slot->column), 1, SIZE_MAX),
                        DV_LIT("time"))) {
            time = values[i].number;
            break;
        }
    }
    if (builder->count == 0 || time < builder->earliest) {
        builder->earliest = time;
    }
    if (builder->count == 0 || time > builder->latest) {
        builder->latest = time;
    }
}

dv_result dv_block_builder_add(dv_block_builder *builder, dv_slice leaf)
{
    if (builder->count == DV_BLOCK_LEAVES || leaf.len == 0 || leaf.len > UINT16_MAX) {
        return DV_ERR_INVALID;
    }
    dv_cut_value *values = builder->cut.values;
    uint32_t number = guess(builder, leaf, values);
    if (number == NONE) {
        DV_TRY(template_by_cutting(builder, leaf, &number));
    }
    const dv_template *shape = &builder->templates[number].shape;
    DV_TRY(add_values(builder, shape, values));
    note_time(builder, shape, values);
    remember(builder, number);
    builder->rows[builder->count++] = (uint16_t)number;
    return DV_OK;
}

uint32_t dv_block_builder_count(const dv_block_builder *builder)
{
    return builder->count;
}

/* -- the block --------------------------------------------------------------------------------- */

/* A block being written: the table is filled while sections are appended. */
typedef struct writer {
    dv_block_builder *builder;
    dv_buf *out;
    size_t start; /* of the block in out */
    size_t section;
    int level;
} writer;

static dv_result write_section(writer *w, dv_slice raw)
{
    size_t bound = ZSTD_compressBound(raw.len);
    uint8_t row[DV_BLOCK_TABLE_ROW];
    DV_TRY(dv_buf_reserve(w->out, DV_MAX(bound, raw.len)));
    uint8_t *at = w->out->ptr + w->out->len;
    size_t len = raw.len == 0 ? 0
                              : ZSTD_compressCCtx(w->builder->zstd, at, w->out->cap - w->out->len,
                                                  raw.ptr, raw.len, w->level);
    if (raw.len > 0 && (ZSTD_isError(len) || len >= raw.len)) {
        memcpy(at, raw.ptr, raw.len);
        len = raw.len;
    }
    dv_put_u32(row, (uint32_t)len);
    dv_put_u32(row + 4, (uint32_t)raw.len);
    dv_put_u32(row + 8, dv_crc32c(0, dv_slice_of(at, len)));
    w->out->len += len;
    memcpy(w->out->ptr + w->start + DV_BLOCK_HEADER + w->section * DV_BLOCK_TABLE_ROW, row,
           sizeof(row));
    w->section++;
    return DV_OK;
}

static dv_result write_scratch(writer *w)
{
    return write_section(w, dv_buf_slice(&w->builder->scratch));
}

static dv_result write_columns(writer *w)
{
    dv_block_builder *builder = w->builder;
    dv_buf_clear(&builder->scratch);
    for (uint32_t i = 0; i < builder->column_count; i++) {
        dv_column column = builder->columns[i].column;
        if (i < builder->paths.count) {
            column.path = dv_slice_sub(dv_intern_get(&builder->paths, i), 1, SIZE_MAX);
        }
        DV_TRY(dv_column_write(&column, &builder->scratch));
    }
    return write_scratch(w);
}

static dv_result write_rows(writer *w)
{
    dv_block_builder *builder = w->builder;
    bool two = builder->template_count > 256;
    dv_buf_clear(&builder->scratch);
    for (uint32_t i = 0; i < builder->count; i++) {
        DV_TRY(dv_buf_append_byte(&builder->scratch, (uint8_t)builder->rows[i]));
    }
    for (uint32_t i = 0; i < builder->count && two; i++) {
        DV_TRY(dv_buf_append_byte(&builder->scratch, (uint8_t)(builder->rows[i] >> 8)));
    }
    return write_scratch(w);
}

static dv_result write_texts(writer *w)
{
    dv_block_builder *builder = w->builder;
    dv_buf_clear(&builder->scratch);
    for (uint32_t i = 0; i < builder->texts.count; i++) {
        DV_TRY(dv_block_put_number(&builder->scratch, dv_intern_get(&builder->texts, i).len));
    }
    DV_TRY(write_scratch(w));
    return write_section(w, dv_buf_slice(&builder->texts.bytes));
}

static dv_result write_uuids(writer *w)
{
    dv_block_builder *builder = w->builder;
    const dv_intern *uuids = &builder->uuids;
    dv_buf_clear(&builder->scratch);
    DV_TRY(dv_buf_reserve(&builder->scratch, uuids->bytes.len + 1));
    for (size_t plane = 0; plane < DV_BLOCK_UUID; plane++) {
        for (uint32_t i = 0; i < uuids->count; i++) {
            builder->scratch.ptr[builder->scratch.len++] =
                uuids->bytes.ptr[i * DV_BLOCK_UUID + plane];
        }
    }
    return write_scratch(w);
}

static dv_result write_values(writer *w, const dv_column *columns)
{
    dv_block_builder *builder = w->builder;
    for (uint32_t i = 0; i < builder->column_count; i++) {
        dv_buf_clear(&builder->scratch);
        DV_TRY(dv_column_encode(columns, i, &builder->scratch));
        DV_TRY(write_scratch(w));
    }
    return DV_OK;
}

static void write_header(const writer *w, uint64_t first)
{
    const dv_block_builder *builder = w->builder;
    uint8_t *header = w->out->ptr + w->start;
    memset(header, 0, DV_BLOCK_HEADER);
    memcpy(header, DV_BLOCK_MAGIC, 8);
    dv_put_u64(header + 8, first);
    dv_put_u64(header + 16, (uint64_t)builder->earliest);
    dv_put_u64(header + 24, (uint64_t)builder->latest);
    dv_put_u32(header + 32, builder->count);
    dv_put_u32(header + 36, builder->column_count);
    dv_put_u32(header + 40, builder->template_count);
    dv_put_u32(header + 44, builder->texts.count);
    dv_put_u32(header + 48, builder->uuids.count);
    dv_put_u32(header + 52, (uint32_t)(w->out->len - w->start));
    dv_put_u32(header + 60, dv_crc32c(0, dv_slice_of(header, DV_BLOCK_HEADER +
                                                                 w->section * DV_BLOCK_TABLE_ROW)));
}

static dv_result write_block(writer *w, const dv_column *columns, uint64_t first)
{
    dv_block_builder *builder = w->builder;
    size_t front =
        DV_BLOCK_HEADER + (DV_SECTION_FIXED + builder->column_count) * DV_BLOCK_TABLE_ROW;
    DV_TRY(dv_buf_reserve(w->out, front));
    w->out->len += front;
    DV_TRY(write_section(w, dv_buf_slice(&builder->shapes.bytes)));
    DV_TRY(write_columns(w));
    DV_TRY(write_rows(w));
    DV_TRY(write_texts(w));
    DV_TRY(write_uuids(w));
    DV_TRY(write_values(w, columns));
    write_header(w, first);
    return DV_OK;
}

dv_result dv_block_builder_finish(dv_block_builder *builder, uint64_t first, int level, dv_buf *out)
{
    writer w = {builder, out, out->len, 0, level};
    dv_auto(free) dv_column *columns = calloc(builder->column_count + 1, sizeof(*columns));
    if (columns == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < builder->column_count; i++) {
        columns[i] = builder->columns[i].column;
        dv_column_plan(columns, i);
        builder->columns[i].column = columns[i];
    }
    dv_result result = write_block(&w, columns, first);
    if (result != DV_OK) {
        out->len = w.start;
    }
    return result;
}

/* -- the builder ------------------------------------------------------------------------------- */

void dv_block_builder_clear(dv_block_builder *builder)
{
    for (uint32_t i = 0; i < builder->column_count; i++) {
        free(builder->columns[i].column.values);
        free(builder->columns[i].column.rows);
    }
    for (uint32_t i = 0; i < builder->template_count; i++) {
        free(builder->templates[i].memory);
        free(builder->templates[i].slots);
    }
    dv_intern_clear(&builder->texts);
    dv_intern_clear(&builder->uuids);
    dv_intern_clear(&builder->paths);
    dv_intern_clear(&builder->shapes);
    builder->column_count = 0;
    builder->template_count = 0;
    builder->count = 0;
    builder->whole = NONE;
    builder->last = NONE;
    builder->last_uuid = NONE;
    for (size_t i = 0; i < RECENT; i++) {
        builder->recent[i] = NONE;
    }
}

dv_result dv_block_builder_new(dv_block_builder **ret_builder)
{
    dv_block_builder *builder = calloc(1, sizeof(*builder));
    if (builder == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_intern_init(&builder->texts, TEXTS_MAX);
    dv_intern_init(&builder->uuids, UINT32_MAX);
    dv_intern_init(&builder->paths, PATHS_MAX);
    dv_intern_init(&builder->shapes, SHAPES_MAX);
    builder->scratch = dv_buf_init(DV_BLOCK_LEN_MAX);
    builder->cut.pieces = dv_buf_init(UINT16_MAX);
    dv_block_builder_clear(builder);
    builder->zstd = ZSTD_createCCtx();
    builder->arena = dv_arena_new(ARENA_MAX);
    builder->templates = calloc(DV_BLOCK_TEMPLATES_MAX + 1, sizeof(*builder->templates));
    if (builder->zstd == NULL || builder->arena == NULL || builder->templates == NULL ||
        dv_buf_reserve(&builder->cut.pieces, 1) != DV_OK) { /* no pieces are somewhere, too */
        dv_block_builder_free(builder);
        return DV_ERR_NO_MEMORY;
    }
    *ret_builder = builder;
    return DV_OK;
}

void dv_block_builder_free(dv_block_builder *builder)
{
    if (builder == NULL) {
        return;
    }
    dv_block_builder_clear(builder);
    dv_intern_release(&builder->texts);
    dv_intern_release(&builder->uuids);
    dv_intern_release(&builder->paths);
    dv_intern_release(&builder->shapes);
    free(builder->columns);
    free(builder->templates);
    dv_buf_release(&builder->cut.pieces);
    dv_buf_release(&builder->scratch);
    dv_arena_free(builder->arena);
    ZSTD_freeCCtx(builder->zstd);
    free(builder);
}
