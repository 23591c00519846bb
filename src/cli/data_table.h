/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Some columns of a table in a file: CSV with a head, or one JSON object a line. */

#include "base/slice.h"
#include "cli/data_read.h"

enum { DV_DATA_TABLE_COLUMNS = 8 };

typedef struct dv_data_table {
    const char
        *columns[DV_DATA_TABLE_COLUMNS]; /* of JSON a member's name, or its path (user.email) */
    size_t column_count;
    bool json;
    /* One cell for each column, empty where there is none; done: bytes of the input so far. */
    dv_result (*record)(void *data, const dv_slice *cells, uint64_t done);
    void *data;
} dv_data_table;

/* Reads all of it. Errors: DV_ERR_INVALID (no such column, not CSV, not JSON), with the line, the
 * callback's. */
dv_must dv_result dv_data_table_read(const dv_data_table *table, FILE *in, dv_error *error);
