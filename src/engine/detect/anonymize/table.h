/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A CSV file in memory, and its columns as codes. Private to this folder. */

#include "base/arena.h"
#include "engine/detect/anonymize/anonymize.h"

/* What some values have in common. */
typedef struct dv_table_node {
    dv_slice text;
    uint32_t values; /* of the table's that are below it */
} dv_table_node;

typedef struct dv_table_column {
    const char *name;
    size_t index;   /* in the file */
    bool number;    /* every cell is one */
    uint32_t count; /* different values of the whole table */
    double range;   /* of the whole table */
    /* With a hierarchy; levels 0: without. */
    uint32_t levels;
    uint32_t *paths; /* count * levels: the node above each value, by level from 1 */
    dv_table_node *nodes[DV_HIERARCHY_LEVELS_MAX];
} dv_table_column;

typedef struct dv_table {
    dv_arena *arena;
    dv_slice *names;
    size_t width;
    dv_slice *cells;    /* records * width */
    size_t count, room; /* records */
    uint32_t *codes;    /* records * columns: equal values have equal ones, in their order */
    dv_table_column *columns;
    size_t column_count;
    bool mark;
    char separator; /* 0 before it is read: seen from its first line */
} dv_table;

/* Reads all of it. Errors: DV_ERR_INVALID and DV_ERR_TOO_LARGE with the line, the source's. */
dv_must dv_result dv_table_read(dv_table *table, const dv_walk_source *source, dv_error *error);
/* The place of a column. Errors: DV_ERR_INVALID (none, several). */
dv_must dv_result dv_table_find(const dv_table *table, const char *name, size_t *ret_index,
                                dv_error *error);
/* Room for the codes of that many columns. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_table_begin(dv_table *table, size_t columns);

typedef enum dv_table_order {
    DV_TABLE_TEXT,       /* by their bytes */
    DV_TABLE_NUMBER,     /* each cell must be one: DV_ERR_INVALID with the record */
    DV_TABLE_NUMBER_TRY, /* by their number where all are one */
} dv_table_order;

/* Codes the next column, in the order of their values. `h` NULL: no hierarchy. Errors:
 * DV_ERR_INVALID (a column or value that is not there), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_table_code(dv_table *table, const char *name, dv_table_order order,
                                const dv_hierarchy *h, dv_error *error);

static inline uint32_t dv_table_at(const dv_table *table, uint32_t record, size_t column)
{
    return table->codes[record * table->column_count + column];
}

/* The node over a value on a level from 1 to levels. */
static inline uint32_t dv_table_above(const dv_table_column *column, uint32_t code, uint32_t level)
{
    return column->paths[(size_t)code * column->levels + level - 1];
}
