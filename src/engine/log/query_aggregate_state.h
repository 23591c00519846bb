/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between query_aggregate.c, which collects, and query_rows.c, which tells. */

#include "engine/log/query_aggregate.h"
#include "engine/log/query_sketch.h"

#define DV_NO_BUCKET INT64_MIN

/* What was measured of one group. */
typedef struct dv_cell {
    uint64_t count; /* events, or values of the field */
    double sum;
    double least; /* of count > 0 */
    double most;
    dv_sketch sketch; /* of quantiles alone */
} dv_cell;

typedef struct dv_group {
    uint64_t hash;
    int64_t bucket_ms;
    dv_slice values; /* JSON array of the fields' values */
    dv_cell cells[]; /* one for each measure */
} dv_group;

struct dv_aggregate {
    const dv_query_stages *stages;
    dv_arena *arena; /* groups, their values and sketches */
    dv_group **groups;
    size_t count, capacity;
    uint32_t *slots; /* 1 + index of the group; 0: free */
    size_t slot_count;
    uint64_t others;
    dv_buf key;             /* of the group that is looked for */
    dv_aggregate_note note; /* or NULL */
    void *note_data;
};

/* -- one event: what it is grouped by and what is measured of it ------------------------------- */

enum { DV_AGGREGATE_VALUES = 16 }; /* of one field in one event */

/* Of a field that is grouped by: different ones, as JSON. */
typedef struct dv_aggregate_values {
    dv_slice texts[DV_AGGREGATE_VALUES];
    size_t count; /* without any: "null" */
} dv_aggregate_values;

typedef struct dv_aggregate_numbers {
    double *list;
    size_t count, capacity;
} dv_aggregate_numbers;

typedef struct dv_aggregate_row {
    dv_aggregate_values by[DV_LIMIT_QUERY_BY];
    dv_aggregate_numbers measures[DV_LIMIT_QUERY_MEASURES];
    int64_t bucket_ms;
} dv_aggregate_row;

/* Adds the value unless it is there. False: no more are taken. */
bool dv_aggregate_value_add(dv_aggregate_values *values, dv_slice text);
/* One form for one value: 200 and 2e2 are one group, and so are "\u0061" and "a". text: decoded,
 * or as it is written. */
dv_must dv_result dv_aggregate_value_write(const dv_query_field *field, dv_slice text,
                                           dv_json_type type, dv_buf *out);
/* Where an event's time stands. */
const dv_query_field *dv_aggregate_time_field(void);
/* time: of the event in ms; below 0: it has none. */
int64_t dv_aggregate_bucket(const dv_query_stages *stages, int64_t time);
dv_must dv_result dv_aggregate_add_row(dv_aggregate *aggregate, const dv_aggregate_row *row);

/* A measure's result; false when it has none (the average of nothing). */
bool dv_cell_value(const dv_query_measure *measure, const dv_cell *cell, double *ret_value);
