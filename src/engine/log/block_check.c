/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/block_private.h"
#include "engine/log/intern.h"

#include <stdlib.h>

typedef struct checker {
    dv_block *block;
    dv_intern paths;
    uint32_t *column_paths; /* number of each column's path */
    dv_cut cut;
    dv_buf leaf;
} checker;

static dv_result corrupt(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_CORRUPT, "a block's %s", what);
}

static dv_result unpack_all(dv_block *block, dv_error *error)
{
    const uint32_t *ends;
    const uint8_t *bytes;
    const dv_column *column;
    DV_TRY(dv_block_texts(block, &ends, &bytes, error));
    DV_TRY(dv_block_uuids(block, &bytes, error));
    for (uint32_t i = 0; i < dv_block_about(block)->columns; i++) {
        DV_TRY(dv_block_column(block, i, &column, error));
    }
    return DV_OK;
}

/* -- times ------------------------------------------------------------------------------------- */

static dv_result note_times(dv_block *block, int64_t times[DV_BLOCK_LEAVES], dv_error *error)
{
    for (uint32_t i = 0; i < dv_block_about(block)->columns; i++) {
        const dv_column *column = dv_block_column_about(block, i);
        if (column->type == DV_SLOT_INT && dv_slice_eq_str(column->path, "time")) {
            DV_TRY(dv_block_column(block, i, &column, error));
            for (uint32_t value = column->count; value > 0; value--) { /* the first one stays */
                times[column->rows[value - 1]] = column->values[value - 1];
            }
        }
    }
    return DV_OK;
}

static dv_result check_times(dv_block *block, dv_error *error)
{
    int64_t times[DV_BLOCK_LEAVES] = {0};
    const dv_block_info *info = dv_block_about(block);
    DV_TRY(note_times(block, times, error));
    int64_t earliest = times[0], latest = times[0];
    for (uint32_t i = 1; i < info->leaves; i++) {
        earliest = DV_MIN(earliest, times[i]);
        latest = DV_MAX(latest, times[i]);
    }
    return earliest == info->earliest && latest == info->latest
               ? DV_OK
               : corrupt(error, "times are not those of its events");
}

/* -- paths ------------------------------------------------------------------------------------- */

/* A dv_column_of: the cut's columns are numbers of paths. */
static dv_result path_number(void *data, dv_slice path, dv_slot_type type, uint32_t *ret_column)
{
    checker *c = data;
    return dv_intern_put(&c->paths, path, ret_column);
}

static bool paths_agree(const checker *c, const dv_template *shape)
{
    for (uint32_t i = 0; i < shape->slot_count; i++) {
        if (shape->slots[i].piece_len != c->cut.slots[i].piece_len ||
            c->column_paths[shape->slots[i].column] != c->cut.slots[i].column) {
            return false;
        }
    }
    return true;
}

/* What is not cut is searched as it is, so only a template that cuts can mislead. */
static bool is_whole(const dv_template *shape)
{
    return shape->slot_count == 1 && shape->slots[0].type == DV_SLOT_WHOLE &&
           shape->pieces_len == 0;
}

static dv_result check_template(checker *c, uint32_t number, uint32_t place, dv_error *error)
{
    const dv_template *shape = dv_block_template(c->block, number);
    if (is_whole(shape)) {
        return DV_OK;
    }
    dv_buf_clear(&c->leaf);
    DV_TRY(dv_block_leaf(c->block, place, &c->leaf, error));
    dv_result result = dv_cut_leaf(dv_buf_slice(&c->leaf), path_number, c, &c->cut);
    if (result == DV_ERR_NO_MEMORY) {
        return result;
    }
    return result == DV_OK && shape->slot_count == c->cut.slot_count && paths_agree(c, shape)
               ? DV_OK
               : corrupt(error, "columns bear other names than its events");
}

/* All leaves of a template have the same paths: one of each is looked at. */
static dv_result check_templates(checker *c, dv_error *error)
{
    const dv_block_info *info = dv_block_about(c->block);
    dv_auto(free) bool *seen = calloc(info->templates + 1, sizeof(*seen));
    if (seen == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < info->leaves; i++) {
        uint32_t number = dv_block_template_of(c->block, i);
        if (!seen[number]) {
            seen[number] = true;
            DV_TRY(check_template(c, number, i, error));
        }
    }
    return DV_OK;
}

static dv_result check_paths(checker *c, dv_error *error)
{
    uint32_t columns = dv_block_about(c->block)->columns;
    c->column_paths = calloc(columns + 1, sizeof(*c->column_paths));
    if (c->column_paths == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < columns; i++) {
        DV_TRY(dv_intern_put(&c->paths, dv_block_column_about(c->block, i)->path,
                             &c->column_paths[i]));
    }
    return check_templates(c, error);
}

dv_result dv_block_check(dv_block *block, dv_error *error)
{
    DV_TRY(unpack_all(block, error));
    DV_TRY(check_times(block, error));
    dv_auto(free) checker *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    c->block = block;
    dv_intern_init(&c->paths, UINT32_MAX);
    c->cut.pieces = dv_buf_init(UINT16_MAX);
    c->leaf = dv_buf_init(UINT16_MAX);
    dv_result result = check_paths(c, error);
    dv_intern_release(&c->paths);
    dv_buf_release(&c->cut.pieces);
    dv_buf_release(&c->leaf);
    free(c->column_paths);
    return result;
}
