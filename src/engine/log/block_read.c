/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block_private.h"

#include "base/codec.h"

#include <stdlib.h>
#include <zstd.h>

typedef struct reading_template {
    dv_template shape;
    size_t pieces_at, slots_at; /* until the memory does not move any more */
} reading_template;

struct dv_block {
    dv_slice bytes;
    dv_block_info info;
    size_t *starts; /* of the sections' bytes */
    dv_column *columns;
    dv_buf paths; /* what the columns' paths are borrowed from */
    reading_template *templates;
    dv_buf pieces;
    dv_slot *slots;
    size_t slot_count;
    uint16_t *rows; /* template of each leaf */
    uint32_t *text_ends;
    dv_buf texts, uuids;
    bool has_texts, has_uuids;
    /* Of the last leaf that was read: how many values of each column come before it. */
    uint32_t place;
    uint32_t *cursors;
    /* Values of all columns, then their rows; the block that is opened next takes it over. */
    uint8_t *slab;
    size_t slab_len, value_count;
    size_t *offsets; /* of the columns, in values */
    dv_buf planes;
    ZSTD_DCtx *zstd;
};

static dv_result corrupt(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "a block's %s", what);
}

/* -- header and sections ----------------------------------------------------------------------- */

dv_result dv_block_info_read(dv_slice bytes, dv_block_info *ret_info)
{
    if (bytes.len < DV_BLOCK_HEADER || memcmp(bytes.ptr, DV_BLOCK_MAGIC, 8) != 0) {
        return DV_ERR_CORRUPT;
    }
    dv_block_info info = {
        .first = dv_get_u64(bytes.ptr + 8),
        .earliest = (int64_t)dv_get_u64(bytes.ptr + 16),
        .latest = (int64_t)dv_get_u64(bytes.ptr + 24),
        .leaves = dv_get_u32(bytes.ptr + 32),
        .columns = dv_get_u32(bytes.ptr + 36),
        .templates = dv_get_u32(bytes.ptr + 40),
        .texts = dv_get_u32(bytes.ptr + 44),
        .uuids = dv_get_u32(bytes.ptr + 48),
        .length = dv_get_u32(bytes.ptr + 52),
    };
    uint32_t values_max = DV_BLOCK_LEAVES * UINT16_MAX;
    if (info.leaves == 0 || info.leaves > DV_BLOCK_LEAVES || info.columns > DV_BLOCK_COLUMNS_MAX ||
        info.templates > DV_BLOCK_TEMPLATES_MAX + 1 || info.texts > values_max ||
        info.uuids > values_max || info.length > DV_BLOCK_LEN_MAX ||
        dv_get_u32(bytes.ptr + 56) != 0) {
        return DV_ERR_CORRUPT;
    }
    *ret_info = info;
    return DV_OK;
}

static size_t section_count(const dv_block *block)
{
    return DV_SECTION_FIXED + block->info.columns;
}

static const uint8_t *table_row(const dv_block *block, size_t section)
{
    return block->bytes.ptr + DV_BLOCK_HEADER + section * DV_BLOCK_TABLE_ROW;
}

static dv_result check_header(const dv_block *block, dv_error *error)
{
    uint8_t zero[4] = {0};
    size_t front = DV_BLOCK_HEADER + section_count(block) * DV_BLOCK_TABLE_ROW;
    if (block->info.length != block->bytes.len || front > block->bytes.len) {
        return corrupt(error, "length is wrong");
    }
    uint32_t crc = dv_crc32c(0, dv_slice_of(block->bytes.ptr, DV_BLOCK_HEADER - 4));
    crc = dv_crc32c(crc, dv_slice_of(zero, sizeof(zero)));
    crc = dv_crc32c(crc, dv_slice_of(block->bytes.ptr + DV_BLOCK_HEADER, front - DV_BLOCK_HEADER));
    return crc == dv_get_u32(block->bytes.ptr + DV_BLOCK_HEADER - 4)
               ? DV_OK
               : corrupt(error, "header is damaged");
}

static dv_result find_sections(dv_block *block, dv_error *error)
{
    size_t at = DV_BLOCK_HEADER + section_count(block) * DV_BLOCK_TABLE_ROW;
    uint64_t unpacked = 0;
    block->starts = malloc(section_count(block) * sizeof(*block->starts));
    if (block->starts == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < section_count(block); i++) {
        uint32_t stored = dv_get_u32(table_row(block, i));
        block->starts[i] = at;
        at += DV_MIN((size_t)stored, block->bytes.len);
        unpacked += dv_get_u32(table_row(block, i) + 4);
    }
    return at == block->bytes.len && unpacked <= DV_BLOCK_LEN_MAX
               ? DV_OK
               : corrupt(error, "parts do not add up");
}

static size_t raw_len(const dv_block *block, size_t section)
{
    return dv_get_u32(table_row(block, section) + 4);
}

/* Appends a section's bytes as they were before they were packed. */
static dv_result unpack(dv_block *block, size_t section, dv_buf *out, dv_error *error)
{
    size_t stored = dv_get_u32(table_row(block, section)), raw = raw_len(block, section);
    dv_slice bytes = dv_slice_of(block->bytes.ptr + block->starts[section], stored);
    if (dv_crc32c(0, bytes) != dv_get_u32(table_row(block, section) + 8)) {
        return corrupt(error, "part is damaged");
    }
    if (stored == raw) {
        return dv_buf_append(out, bytes);
    }
    DV_TRY(dv_buf_reserve(out, DV_MAX(raw, (size_t)1)));
    size_t got = ZSTD_decompressDCtx(block->zstd, out->ptr + out->len, raw, bytes.ptr, bytes.len);
    if (stored > raw || ZSTD_isError(got) || got != raw) {
        return corrupt(error, "part can not be unpacked");
    }
    out->len += raw;
    return DV_OK;
}

/* -- templates, columns, rows ------------------------------------------------------------------ */

static dv_result read_columns(dv_block *block, dv_error *error)
{
    block->columns = calloc(block->info.columns + 1, sizeof(*block->columns));
    if (block->columns == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(unpack(block, DV_SECTION_COLUMNS, &block->paths, error));
    dv_slice rest = dv_buf_slice(&block->paths);
    for (uint32_t i = 0; i < block->info.columns; i++) {
        dv_column *column = &block->columns[i];
        if (dv_column_read(&rest, i, column) != DV_OK ||
            raw_len(block, DV_SECTION_FIXED + i) != (size_t)column->width * column->count) {
            return corrupt(error, "columns are malformed");
        }
    }
    return rest.len == 0 ? DV_OK : corrupt(error, "columns are malformed");
}

static dv_result add_slots(dv_block *block, const dv_slot *slots, uint32_t count)
{
    dv_slot *grown = realloc(block->slots, (block->slot_count + count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    block->slots = grown;
    memcpy(grown + block->slot_count, slots, count * sizeof(*grown));
    block->slot_count += count;
    return DV_OK;
}

/* A slot's type is its column's. */
static bool slots_agree(const dv_block *block, const dv_slot *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (block->columns[slots[i].column].type != slots[i].type) {
            return false;
        }
    }
    return true;
}

static dv_result read_templates(dv_block *block, dv_error *error)
{
    dv_slot slots[DV_BLOCK_SLOTS_MAX] = {{0}};
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_BLOCK_LEN_MAX);
    block->templates = calloc(block->info.templates + 1, sizeof(*block->templates));
    if (block->templates == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(unpack(block, DV_SECTION_TEMPLATES, &bytes, error));
    DV_TRY(dv_buf_reserve(&block->pieces, 1));
    DV_TRY(add_slots(block, slots, 0));
    dv_slice rest = dv_buf_slice(&bytes);
    for (uint32_t i = 0; i < block->info.templates; i++) {
        reading_template *t = &block->templates[i];
        t->pieces_at = block->pieces.len;
        t->slots_at = block->slot_count;
        if (dv_template_read(&rest, block->info.columns, &block->pieces, slots,
                             &t->shape.slot_count) != DV_OK ||
            !slots_agree(block, slots, t->shape.slot_count)) {
            return corrupt(error, "templates are malformed");
        }
        t->shape.pieces_len = block->pieces.len - t->pieces_at;
        DV_TRY(add_slots(block, slots, t->shape.slot_count));
    }
    for (uint32_t i = 0; i < block->info.templates; i++) {
        block->templates[i].shape.pieces = block->pieces.ptr + block->templates[i].pieces_at;
        block->templates[i].shape.slots = block->slots + block->templates[i].slots_at;
    }
    return rest.len == 0 ? DV_OK : corrupt(error, "templates are malformed");
}

static dv_result read_rows(dv_block *block, dv_error *error)
{
    uint32_t leaves = block->info.leaves;
    bool two = block->info.templates > 256;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_BLOCK_LEN_MAX);
    block->rows = malloc(leaves * sizeof(*block->rows));
    if (block->rows == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(unpack(block, DV_SECTION_ROWS, &bytes, error));
    if (bytes.len != (size_t)leaves * (two ? 2 : 1)) {
        return corrupt(error, "rows are malformed");
    }
    for (uint32_t i = 0; i < leaves; i++) {
        block->rows[i] =
            (uint16_t)(bytes.ptr[i] | (two ? (unsigned)bytes.ptr[leaves + i] << 8 : 0u));
        if (block->rows[i] >= block->info.templates) {
            return corrupt(error, "rows are malformed");
        }
    }
    return DV_OK;
}

/* Each column must have as many values as its slots in all leaves. */
static dv_result check_counts(dv_block *block, dv_error *error)
{
    dv_auto(free) uint32_t *uses = calloc(block->info.templates + 1, sizeof(*uses));
    dv_auto(free) uint64_t *counts = calloc(block->info.columns + 1, sizeof(*counts));
    if (uses == NULL || counts == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < block->info.leaves; i++) {
        uses[block->rows[i]]++;
    }
    for (uint32_t i = 0; i < block->info.templates; i++) {
        const dv_template *shape = &block->templates[i].shape;
        for (uint32_t slot = 0; slot < shape->slot_count; slot++) {
            counts[shape->slots[slot].column] += uses[i];
        }
    }
    for (uint32_t i = 0; i < block->info.columns; i++) {
        if (counts[i] != block->columns[i].count) {
            return corrupt(error, "columns do not fit its templates");
        }
    }
    return DV_OK;
}

static dv_result place_columns(dv_block *block)
{
    block->offsets = malloc((block->info.columns + (size_t)1) * sizeof(*block->offsets));
    if (block->offsets == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    block->value_count = 0;
    for (uint32_t i = 0; i < block->info.columns; i++) {
        block->offsets[i] = block->value_count;
        block->value_count += block->columns[i].count;
    }
    return DV_OK;
}

static dv_result open_block(dv_block *block, dv_error *error)
{
    if (block->zstd == NULL) {
        block->zstd = ZSTD_createDCtx();
    }
    if (block->zstd == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (dv_block_info_read(block->bytes, &block->info) != DV_OK) {
        return corrupt(error, "header is no block's");
    }
    DV_TRY(check_header(block, error));
    DV_TRY(find_sections(block, error));
    DV_TRY(read_columns(block, error));
    DV_TRY(read_templates(block, error));
    DV_TRY(read_rows(block, error));
    DV_TRY(check_counts(block, error));
    return place_columns(block);
}

dv_result dv_block_open(dv_slice bytes, dv_block **ret_block, dv_error *error)
{
    dv_block *block = calloc(1, sizeof(*block));
    if (block == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    block->bytes = bytes;
    block->paths = dv_buf_init(DV_BLOCK_LEN_MAX);
    block->pieces = dv_buf_init(DV_BLOCK_LEN_MAX);
    block->texts = dv_buf_init(DV_BLOCK_LEN_MAX);
    block->uuids = dv_buf_init(DV_BLOCK_LEN_MAX);
    block->planes = dv_buf_init(DV_BLOCK_LEN_MAX);
    dv_result result = open_block(block, error);
    if (result != DV_OK) {
        dv_block_close(block);
        return result;
    }
    *ret_block = block;
    return DV_OK;
}

/* All that is of one block alone. */
static void forget(dv_block *block)
{
    free(block->starts);
    free(block->columns);
    free(block->templates);
    free(block->slots);
    free(block->rows);
    free(block->text_ends);
    free(block->cursors);
    free(block->offsets);
}

dv_result dv_block_reopen(dv_block *block, dv_slice bytes, dv_error *error)
{
    dv_block next = {.bytes = bytes,
                     .paths = block->paths,
                     .pieces = block->pieces,
                     .texts = block->texts,
                     .uuids = block->uuids,
                     .planes = block->planes,
                     .slab = block->slab,
                     .slab_len = block->slab_len,
                     .zstd = block->zstd};
    forget(block);
    dv_buf_clear(&next.paths);
    dv_buf_clear(&next.pieces);
    *block = next;
    return open_block(block, error);
}

void dv_block_close(dv_block *block)
{
    if (block == NULL) {
        return;
    }
    forget(block);
    free(block->slab);
    dv_buf_release(&block->paths);
    dv_buf_release(&block->pieces);
    dv_buf_release(&block->texts);
    dv_buf_release(&block->uuids);
    dv_buf_release(&block->planes);
    ZSTD_freeDCtx(block->zstd);
    free(block);
}

const dv_block_info *dv_block_about(const dv_block *block)
{
    return &block->info;
}

/* -- dictionaries ------------------------------------------------------------------------------ */

static dv_result read_text_ends(dv_block *block, dv_error *error)
{
    uint64_t len, end = 0;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_BLOCK_LEN_MAX);
    uint32_t *ends = malloc((block->info.texts + (size_t)1) * sizeof(*ends));
    if (ends == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    block->text_ends = ends;
    DV_TRY(unpack(block, DV_SECTION_TEXT_LENGTHS, &bytes, error));
    dv_slice rest = dv_buf_slice(&bytes);
    for (uint32_t i = 0; i < block->info.texts; i++) {
        if (!dv_block_take_number(&rest, &len) || len > UINT16_MAX) {
            return corrupt(error, "texts are malformed");
        }
        end += len;
        ends[i] = (uint32_t)DV_MIN(end, (uint64_t)UINT32_MAX);
    }
    return rest.len == 0 && end == raw_len(block, DV_SECTION_TEXTS)
               ? DV_OK
               : corrupt(error, "texts are malformed");
}

dv_result dv_block_texts(dv_block *block, const uint32_t **ret_ends, const uint8_t **ret_bytes,
                         dv_error *error)
{
    if (!block->has_texts) {
        free(block->text_ends);
        block->text_ends = NULL;
        dv_buf_clear(&block->texts);
        DV_TRY(dv_buf_reserve(&block->texts, 1)); /* so that empty texts are somewhere, too */
        DV_TRY(read_text_ends(block, error));
        DV_TRY(unpack(block, DV_SECTION_TEXTS, &block->texts, error));
        block->has_texts = true;
    }
    *ret_ends = block->text_ends;
    *ret_bytes = block->texts.ptr;
    return DV_OK;
}

dv_result dv_block_uuids(dv_block *block, const uint8_t **ret_uuids, dv_error *error)
{
    uint32_t count = block->info.uuids;
    dv_auto(buf) dv_buf planes = dv_buf_init(DV_BLOCK_LEN_MAX);
    if (!block->has_uuids) {
        dv_buf_clear(&block->uuids);
        DV_TRY(unpack(block, DV_SECTION_UUIDS, &planes, error));
        if (planes.len != (size_t)count * DV_BLOCK_UUID) {
            return corrupt(error, "UUIDs are malformed");
        }
        DV_TRY(dv_buf_reserve(&block->uuids, planes.len + 1));
        for (uint32_t i = 0; i < count; i++) {
            for (size_t plane = 0; plane < DV_BLOCK_UUID; plane++) {
                block->uuids.ptr[i * (size_t)DV_BLOCK_UUID + plane] = planes.ptr[plane * count + i];
            }
        }
        block->uuids.len = planes.len;
        block->has_uuids = true;
    }
    *ret_uuids = block->uuids.ptr;
    return DV_OK;
}

/* -- columns ----------------------------------------------------------------------------------- */

const dv_column *dv_block_column_about(const dv_block *block, uint32_t index)
{
    return &block->columns[index];
}

/* Room for everything at once: what columns take and give back, one by one, costs more than to
 * unpack them. */
static dv_result need_slab(dv_block *block)
{
    size_t each = sizeof(*block->columns->values) + sizeof(*block->columns->rows);
    size_t len = (block->value_count + 1) * each;
    if (block->slab_len >= len) {
        return DV_OK;
    }
    for (uint32_t i = 0; i < block->info.columns; i++) {
        if (block->columns[i].values != NULL || block->columns[i].rows != NULL) {
            return DV_ERR_INTERNAL; /* it does not grow within a block */
        }
    }
    free(block->slab);
    block->slab = malloc(len);
    block->slab_len = block->slab == NULL ? 0 : len;
    return block->slab == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static int64_t *values_of(const dv_block *block, uint32_t index)
{
    return (int64_t *)(void *)block->slab + block->offsets[index];
}

static uint16_t *rows_of(const dv_block *block, uint32_t index)
{
    int64_t *behind = (int64_t *)(void *)block->slab + block->value_count;
    return (uint16_t *)(void *)behind + block->offsets[index];
}

/* The leaf of each of the column's values. */
static dv_result find_rows(dv_block *block, uint32_t index)
{
    uint32_t at = 0;
    dv_column *column = &block->columns[index];
    dv_auto(free) uint32_t *uses = calloc(block->info.templates + 1, sizeof(*uses));
    if (uses == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(need_slab(block));
    column->rows = rows_of(block, index);
    for (uint32_t i = 0; i < block->info.templates; i++) {
        const dv_template *shape = &block->templates[i].shape;
        for (uint32_t slot = 0; slot < shape->slot_count; slot++) {
            uses[i] += shape->slots[slot].column == index;
        }
    }
    for (uint32_t row = 0; row < block->info.leaves; row++) {
        for (uint32_t n = uses[block->rows[row]]; n > 0; n--) {
            column->rows[at++] = (uint16_t)row;
        }
    }
    return DV_OK;
}

/* Numbers of a dictionary must be in it. */
static dv_result check_values(const dv_block *block, const dv_column *column, dv_error *error)
{
    uint32_t limit = column->type == DV_SLOT_UUID ? block->info.uuids : block->info.texts;
    for (uint32_t i = 0; column->type != DV_SLOT_INT && i < column->count; i++) {
        if (column->values[i] < 0 || column->values[i] >= limit) {
            return corrupt(error, "values are not in its dictionary");
        }
    }
    return DV_OK;
}

static dv_result fill_column(dv_block *block, uint32_t index, dv_error *error)
{
    dv_column *column = &block->columns[index];
    DV_TRY(need_slab(block));
    dv_buf_clear(&block->planes);
    DV_TRY(unpack(block, DV_SECTION_FIXED + index, &block->planes, error));
    column->values = values_of(block, index);
    dv_column_decode(block->columns, index, block->planes.ptr);
    dv_result result = check_values(block, column, error);
    if (result != DV_OK) {
        column->values = NULL;
    }
    return result;
}

/* The values alone; rows only where values are predicted by them. */
static dv_result need_values(dv_block *block, uint32_t index, dv_error *error)
{
    dv_column *column = &block->columns[index];
    if (column->values != NULL) {
        return DV_OK;
    }
    if (column->predictor == DV_PREDICT_COLUMN) { /* one that stands before it: this ends */
        const dv_column *reference;
        DV_TRY(dv_block_column(block, column->reference, &reference, error));
        if (column->rows == NULL) {
            DV_TRY(find_rows(block, index));
        }
    }
    return fill_column(block, index, error);
}

dv_result dv_block_column_values(dv_block *block, uint32_t index, const dv_column **ret_column,
                                 dv_error *error)
{
    DV_TRY(need_values(block, index, error));
    *ret_column = &block->columns[index];
    return DV_OK;
}

dv_result dv_block_column(dv_block *block, uint32_t index, const dv_column **ret_column,
                          dv_error *error)
{
    dv_column *column = &block->columns[index];
    DV_TRY(need_values(block, index, error));
    if (column->rows == NULL) {
        DV_TRY(find_rows(block, index));
    }
    *ret_column = column;
    return DV_OK;
}

/* -- leaves ------------------------------------------------------------------------------------ */

/* Adds what a leaf has of each column to the cursors, or takes it off. */
static void move_cursors(dv_block *block, uint32_t place, uint32_t by)
{
    const dv_template *shape = &block->templates[block->rows[place]].shape;
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        block->cursors[shape->slots[i].column] += by;
    }
}

/* To a place far away: by how often each template comes before it. */
static dv_result jump_to(dv_block *block, uint32_t place)
{
    dv_auto(free) uint32_t *uses = calloc(block->info.templates + 1, sizeof(*uses));
    if (uses == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < place; i++) {
        uses[block->rows[i]]++;
    }
    memset(block->cursors, 0, block->info.columns * sizeof(*block->cursors));
    for (uint32_t i = 0; i < block->info.templates; i++) {
        const dv_template *shape = &block->templates[i].shape;
        for (uint32_t slot = 0; uses[i] > 0 && slot < shape->slot_count; slot++) {
            block->cursors[shape->slots[slot].column] += uses[i];
        }
    }
    block->place = place;
    return DV_OK;
}

/* Leaf by leaf, in either direction: searches read backwards. */
static dv_result go_to(dv_block *block, uint32_t place)
{
    enum { FAR = 32 };
    if (block->cursors == NULL) {
        block->cursors = calloc(block->info.columns + 1, sizeof(*block->cursors));
        if (block->cursors == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        block->place = 0;
    }
    if (DV_MAX(place, block->place) - DV_MIN(place, block->place) > FAR) {
        return jump_to(block, place);
    }
    while (block->place < place) {
        move_cursors(block, block->place++, 1);
    }
    while (block->place > place) {
        move_cursors(block, --block->place, UINT32_MAX); /* one less */
    }
    return DV_OK;
}

/* A leaf being written, into room for the longest one. */
typedef struct leaf_writer {
    uint8_t *at, *end;
} leaf_writer;

static inline bool put_bytes(leaf_writer *w, const uint8_t *from, size_t len)
{
    if ((size_t)(w->end - w->at) < len) {
        return false;
    }
    memcpy(w->at, from, len);
    w->at += len;
    return true;
}

static bool put_uuid(const dv_block *block, int64_t number, leaf_writer *w)
{
    enum { TEXT = 36 };
    if (w->end - w->at < TEXT) {
        return false;
    }
    dv_block_uuid_write(block->uuids.ptr + number * DV_BLOCK_UUID, w->at);
    w->at += TEXT;
    return true;
}

static bool put_int(int64_t value, leaf_writer *w)
{
    char room[DV_DECIMAL_MAX];
    dv_slice digits = dv_decimal_write(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, room);
    return (value >= 0 || put_bytes(w, (const uint8_t *)"-", 1)) &&
           put_bytes(w, digits.ptr, digits.len);
}

static bool put_text(const dv_block *block, int64_t number, leaf_writer *w)
{
    uint32_t start = number == 0 ? 0 : block->text_ends[number - 1];
    return put_bytes(w, block->texts.ptr + start, block->text_ends[number] - start);
}

/* What the values of a column are read from. */
static dv_result need_column(dv_block *block, const dv_slot *slot, dv_error *error)
{
    const uint32_t *ends;
    const uint8_t *bytes;
    if (block->columns[slot->column].values == NULL) {
        DV_TRY(need_values(block, slot->column, error));
    }
    if (slot->type == DV_SLOT_INT) {
        return DV_OK;
    }
    if (slot->type == DV_SLOT_UUID) {
        return block->has_uuids ? DV_OK : dv_block_uuids(block, &bytes, error);
    }
    return block->has_texts ? DV_OK : dv_block_texts(block, &ends, &bytes, error);
}

static bool put_value(dv_block *block, const dv_slot *slot, leaf_writer *w)
{
    int64_t value = block->columns[slot->column].values[block->cursors[slot->column]++];
    if (slot->type == DV_SLOT_INT) {
        return put_int(value, w);
    }
    return slot->type == DV_SLOT_UUID ? put_uuid(block, value, w) : put_text(block, value, w);
}

static dv_result put_slots(dv_block *block, leaf_writer *w, dv_error *error)
{
    const dv_template *shape = &block->templates[block->rows[block->place]].shape;
    const uint8_t *piece = shape->pieces;
    bool good = true;
    for (uint32_t i = 0; i < shape->slot_count && good; i++) {
        const dv_slot *slot = &shape->slots[i];
        DV_TRY(need_column(block, slot, error));
        good = put_bytes(w, piece, slot->piece_len) && put_value(block, slot, w);
        piece += slot->piece_len;
    }
    good = good && put_bytes(w, piece, (size_t)(shape->pieces + shape->pieces_len - piece));
    return good ? DV_OK : corrupt(error, "leaf has a wrong length");
}

static dv_result put_leaf(dv_block *block, dv_buf *out, dv_error *error)
{
    DV_TRY(dv_buf_reserve(out, UINT16_MAX));
    leaf_writer w = {out->ptr + out->len, out->ptr + out->len + UINT16_MAX};
    DV_TRY(put_slots(block, &w, error));
    out->len = (size_t)(w.at - out->ptr);
    return DV_OK;
}

dv_result dv_block_leaf(dv_block *block, uint32_t place, dv_buf *out, dv_error *error)
{
    size_t start = out->len;
    if (place >= block->info.leaves) {
        return DV_ERR_NOT_FOUND;
    }
    DV_TRY(go_to(block, place));
    dv_result result = put_leaf(block, out, error);
    if (result != DV_OK || out->len == start) {
        out->len = start;
        free(block->cursors); /* they are somewhere in the leaf */
        block->cursors = NULL;
        return result != DV_OK ? result : corrupt(error, "leaf has a wrong length");
    }
    block->place++;
    return DV_OK;
}

const dv_template *dv_block_template(const dv_block *block, uint32_t number)
{
    return &block->templates[number].shape;
}

uint32_t dv_block_template_of(const dv_block *block, uint32_t place)
{
    return block->rows[place];
}
