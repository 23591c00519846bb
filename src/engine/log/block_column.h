/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: one column of a block, a list of numbers and the leaves that they are in.
 */

#include "engine/log/block_format.h"

typedef struct dv_column {
    dv_slot_type type;
    dv_slice path;
    uint32_t count;
    int64_t *values;
    uint16_t *rows; /* the leaf of each value; ascending */
    /* How it is coded. */
    dv_predictor predictor;
    uint32_t reference; /* a column before this one */
    int64_t scale;
    int64_t base;
    uint8_t width; /* planes, 0 to 8 */
} dv_column;

/* Finds a good way to code the column; those before it may be referred to. */
void dv_column_plan(dv_column *columns, uint32_t index);
/* Appends its planes. */
dv_must dv_result dv_column_encode(const dv_column *columns, uint32_t index, dv_buf *out);
/* The values from their planes; rows are there, and the reference is decoded. */
void dv_column_decode(const dv_column *columns, uint32_t index, const uint8_t *planes);

/* The column's row in its section. */
dv_must dv_result dv_column_write(const dv_column *column, dv_buf *out);
/* Errors: DV_ERR_CORRUPT. The path is borrowed. */
dv_must dv_result dv_column_read(dv_slice *rest, uint32_t index, dv_column *ret_column);
