/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a search counts and measures, read from a block's columns: no event is put together and
 * parsed for it. What columns can't tell (one kind of a list's elements, a sealed object, a leaf
 * that was not cut) is left to whoever looks at the event.
 *
 * Where a field's values stand is worked out once for each template: its pieces with something
 * between them are JSON, and the language's own walk over that leads to slots instead of values. */

#include "engine/log/block_search.h"
#include "engine/log/query_aggregate.h"

typedef struct dv_block_values dv_block_values;

/* For a query that measures something; query and opener (or NULL) are borrowed. Errors:
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_block_values_new(const dv_query *query, const dv_block_opener *opener,
                                      dv_block_values **ret_values);
void dv_block_values_free(dv_block_values *values);
DV_DEFINE_AUTO_PTR(block_values, dv_block_values, dv_block_values_free)

/* Goes to another block, which lives until the next call. */
dv_must dv_result dv_block_values_begin(dv_block_values *values, dv_block *block);
/* Adds a leaf that matches to the aggregate of the same query. *ret_added: false when its event has
 * to be asked. Errors: DV_ERR_CORRUPT, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_block_values_add(dv_block_values *values, uint32_t row,
                                      dv_aggregate *aggregate, bool *ret_added, dv_error *error);
