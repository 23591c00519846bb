/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One copy, as its parts share it. */

#include "cli/cli.h"
#include "cli/data_copy_leaks.h"
#include "cli/data_tools.h"

typedef struct dv_copy {
    const char *source, *target;
    bool replace; /* what is there */
    dv_data_tools *tools;
    dv_copy_plan *plan;
    dv_copy_leaks *leaks;
    uint64_t places; /* files, or 1 */
    dv_transform_counts counts;
    uint64_t large_objects; /* that were left out */
} dv_copy;

/* Whether the target may be written: DV_ERR_CONFLICT (something is there, or it is the source),
 * DV_ERR_FORBIDDEN (what can't be masked). Changes nothing. */
dv_must dv_result dv_copy_tables_check(dv_copy *copy, dv_error *error);
dv_must dv_result dv_copy_files_check(dv_copy *copy, dv_error *error);

/* Copies, and looks at the copy. Where something has leaked (dv_copy_leaks_count), or after an
 * error, the target is as it was, or empty. */
dv_must dv_result dv_copy_tables(dv_copy *copy, dv_error *error);
dv_must dv_result dv_copy_files(dv_copy *copy, dv_error *error);

/* A setup to look at a copy with: all is searched, nothing is kept or hidden by column. The rules
 * lie in the arena. */
dv_must dv_result dv_copy_look_setup(const dv_copy *copy, const dv_transform_watch *watch,
                                     dv_arena *arena, dv_transform_setup *ret_setup);
/* A sink that nothing comes out of. */
extern const dv_transform_sink dv_copy_nowhere;
