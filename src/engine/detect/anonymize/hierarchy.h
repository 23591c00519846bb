/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a value is told as when it is told less exactly, step by step: "94110", "9411*", ... "*".
 * Levels go upwards from the value itself, which is none of them, to below the `*` that stands over
 * all. Each is a tree: what is one thing on a level is one thing on all above. */

#include "base/yaml.h"
#include "engine/detect/action/shape.h"

enum {
    DV_HIERARCHY_LEVELS_MAX = 16,
    DV_HIERARCHY_ROWS_MAX = 1000000,
    DV_HIERARCHY_TEXT_MAX = 1024, /* bytes of one value */
    DV_HIERARCHY_FILE_MAX = 64 << 20,
};

typedef enum dv_hierarchy_kind {
    DV_HIERARCHY_NONE = 0,
    DV_HIERARCHY_ROWS,      /* listed: value;level1;level2... */
    DV_HIERARCHY_DATES,     /* day, month, year, decade */
    DV_HIERARCHY_ZIP,       /* 9411*, 941**, ... */
    DV_HIERARCHY_AGES,      /* 5, 10 and 30 years; 90+ */
    DV_HIERARCHY_IP,        /* /24, /16, /8 of IPv4; /48, /32, /16 of IPv6 */
    DV_HIERARCHY_INTERVALS, /* numbers, by widths */
} dv_hierarchy_kind;

typedef struct dv_hierarchy {
    dv_hierarchy_kind kind;
    dv_date_order order;
    uint32_t levels;
    int64_t widths[DV_HIERARCHY_LEVELS_MAX];
    const char *file; /* of the rows, which its caller reads; NULL: none */
    dv_slice *rows;   /* count * (levels + 1), by their first */
    size_t count;
} dv_hierarchy;

/* A name (dates, zip, ages, ip) or one of {file: F}, {rows: [[value, level1, ...], ...]} and
 * {intervals: [10, 100]}. Lives in the arena and borrows the tree's texts.
 * Errors: DV_ERR_INVALID and DV_ERR_TOO_LARGE with the line. */
dv_must dv_result dv_hierarchy_read(const dv_yaml *node, dv_date_order order, dv_arena *arena,
                                    dv_hierarchy *ret_hierarchy, dv_error *error);

/* The rows of a file, one for each value: value;level1;level2... (as ARX has them). Semicolons
 * where the first line has one, otherwise the separator that it has most of. Errors: DV_ERR_INVALID
 * (rows of different lengths, what is no tree) and DV_ERR_TOO_LARGE with the line. */
dv_must dv_result dv_hierarchy_read_csv(dv_slice text, dv_arena *arena, dv_hierarchy *hierarchy,
                                        dv_error *error);

/* What a value is on each level, levels of them. What is empty or is not of the kind (no date, no
 * number) is `*` on all. Errors: DV_ERR_NOT_FOUND (listed hierarchies: it is not in it). */
dv_must dv_result dv_hierarchy_path(const dv_hierarchy *hierarchy, dv_slice value, dv_arena *arena,
                                    dv_slice *ret_levels);
