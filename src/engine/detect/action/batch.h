/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the transformers: the cells of one record. Those that are searched are joined, each
 * behind the name of its column, and searched at once (ADR 9). */

#include "engine/detect/action/transform.h"

typedef struct dv_cell {
    const dv_column_rule *rule; /* NULL, or one that says detect: searched */
    dv_slice name;              /* of its column */
    dv_slice text;
    dv_slice subject;
    size_t start; /* in the joined text; SIZE_MAX: not searched */
} dv_cell;

typedef struct dv_batch {
    const dv_transform_setup *setup;
    dv_slice table; /* of the cells, for who watches */
    dv_walk walk;
    dv_arena *arena;
    dv_buf joined;
    dv_cell *cells;
    size_t count, room;
    const dv_finding *found;
    size_t found_count, found_at;
    dv_transform_counts counts;
} dv_batch;

dv_must dv_result dv_batch_init(dv_batch *batch, const dv_transform_setup *setup);
void dv_batch_release(dv_batch *batch);
DV_DEFINE_AUTO(batch, dv_batch, dv_batch_release)

void dv_batch_clear(dv_batch *batch);
/* Name and text are borrowed until the batch is cleared. */
dv_must dv_result dv_batch_add(dv_batch *batch, const dv_column_rule *rule, dv_slice name,
                               dv_slice text, dv_slice subject);
/* Once all cells are there. */
dv_must dv_result dv_batch_search(dv_batch *batch);
/* Appends what the cell became. Cells are asked for in their order. ret_changed: it is another text
 * now, or an action was applied. */
dv_must dv_result dv_batch_write(dv_batch *batch, size_t cell, dv_buf *out, bool *ret_changed);

/* DV_ERR_INVALID when a column that the rules name was nowhere. */
dv_must dv_result dv_batch_check_seen(const dv_transform_setup *setup, dv_error *error);
/* Says what an action's failure means. */
dv_must dv_result dv_batch_explain(dv_result result, uint64_t line, dv_error *error);

/* One finding of a text. where: its table and column, for who watches; else left alone. */
dv_must dv_result dv_batch_apply(const dv_transform_setup *setup, const dv_transform_seen *where,
                                 dv_slice value, const dv_finding *finding, dv_slice subject,
                                 dv_buf *out);

/* Appends the text with the tokens that the vault or the key knows opened, and counts them, and
 * those that stay. */
dv_must dv_result dv_batch_open_tokens(const dv_transform_setup *setup, dv_slice text, dv_buf *out,
                                       dv_transform_counts *counts);

/* Lines of an input, in memory of one line. */
typedef struct dv_lines {
    const dv_walk_source *source;
    dv_buf bytes;
    size_t at; /* where the next line begins */
    uint64_t number;
    bool ended;
} dv_lines;

void dv_lines_init(dv_lines *lines, const dv_walk_source *source);
void dv_lines_release(dv_lines *lines);
DV_DEFINE_AUTO(lines, dv_lines, dv_lines_release)
/* The next line with its line end, valid until the next one. Errors: DV_ERR_NOT_FOUND (no more),
 * DV_ERR_TOO_LARGE. */
dv_must dv_result dv_lines_next(dv_lines *lines, dv_slice *ret_line, dv_error *error);
