/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to the SQL transformer: which columns the tables of a dump have, for rows that name
 * none. */

#include "engine/detect/action/sql_lexer.h"

typedef struct dv_sql_table {
    dv_slice name, path; /* the path with its schema */
    dv_slice *columns;
    size_t count;
    bool unclear; /* it may have more columns, or in another order */
    struct dv_sql_table *next;
} dv_sql_table;

typedef struct dv_sql_tables {
    dv_arena *arena;
    dv_sql_table *first; /* the latest */
    size_t count;
} dv_sql_tables;

/* The columns up to the closing parenthesis, c is behind the opening one. typed: with types and
 * constraints, as in CREATE TABLE, else names alone. Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE (more
 * than DV_TRANSFORM_COLUMNS_MAX), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_sql_columns(dv_sql_cursor *c, dv_arena *arena, bool typed,
                                 dv_sql_table *table);

/* CREATE TABLE name (column type, ..., CONSTRAINT ...), c is behind TABLE. Errors: DV_ERR_TOO_LARGE
 * (columns, or more than DV_TRANSFORM_TABLES_MAX tables), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_sql_tables_note(dv_sql_tables *tables, dv_sql_cursor c);

/* What follows ALTER: a table that gets other columns is unclear from now on. */
dv_must dv_result dv_sql_tables_alter(dv_sql_tables *tables, dv_sql_cursor c, dv_arena *arena);

/* The table of that path, the latest. Where a path has no schema, any table that is called so may
 * be meant: NULL unless all have the same columns. NULL: its columns are not known. */
const dv_sql_table *dv_sql_tables_find(const dv_sql_tables *tables, const dv_sql_table *wanted);
