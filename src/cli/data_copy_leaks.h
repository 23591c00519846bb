/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whether a value that a copy hid stands in it all the same. While the copy is made it learns which
 * values were hidden and what came of them; then it looks at all that is in the copy. A value that
 * was hidden, and that no hidden value became, has leaked. Keeps hashes, no values. */

#include "cli/data_copy_plan.h"
#include "engine/detect/action/transform.h"

typedef struct dv_copy_leaks dv_copy_leaks;

/* The plan is borrowed: what it accepts is no leak. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_copy_leaks_new(const dv_copy_plan *plan, dv_copy_leaks **ret_leaks);
void dv_copy_leaks_free(dv_copy_leaks *leaks);

/* What a transformer tells while the copy is made, and while it is looked at. Their data is the
 * leaks. Errors: DV_ERR_TOO_LARGE (more values than can be remembered). */
dv_transform_watch dv_copy_leaks_learn(dv_copy_leaks *leaks);
dv_transform_watch dv_copy_leaks_look(dv_copy_leaks *leaks);

/* Which file is read from here on; a dump says its tables itself. */
void dv_copy_leaks_enter(dv_copy_leaks *leaks, const char *file);

/* Values that have leaked. */
uint64_t dv_copy_leaks_count(const dv_copy_leaks *leaks);
/* [{place, column, kind, values}]: a new reference; NULL: no memory. */
json_t *dv_copy_leaks_json(const dv_copy_leaks *leaks);
