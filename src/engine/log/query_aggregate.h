/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a search makes of the events that match: groups, buckets of time, counts, sums, quantiles.
 * The state of one log can be written as JSON and merged into that of another, in any order.
 *
 * Bounds: DV_LIMIT_QUERY_GROUPS groups and DV_LIMIT_QUERY_MEMORY bytes; events of groups beyond
 * them are counted as others. Sums are exact up to 2^53. An event with several values of a field
 * that it is grouped by counts once for each of them (16 at most). Quantiles are within 1 %. */

#include "engine/log/query.h"

typedef struct dv_aggregate dv_aggregate;

/* For a query that measures something; the query outlives the aggregate. */
dv_must dv_result dv_aggregate_new(const dv_query *query, dv_aggregate **ret_aggregate);
void dv_aggregate_free(dv_aggregate *aggregate);
DV_DEFINE_AUTO_PTR(aggregate, dv_aggregate, dv_aggregate_free)

/* Adds an event that matches. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_aggregate_add(dv_aggregate *aggregate, dv_query_event *event, dv_arena *arena);

/* Has `note` called for each group that an event is added to: its bucket of time and its values. */
typedef void (*dv_aggregate_note)(void *data, int64_t bucket_ms, dv_slice values);
void dv_aggregate_watch(dv_aggregate *aggregate, dv_aggregate_note note, void *data);

/* The state as one line of JSON, for dv_aggregate_merge of the same query. */
dv_must dv_result dv_aggregate_save(const dv_aggregate *aggregate, dv_buf *out);
/* Errors: DV_ERR_INVALID (no state of such a query), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_aggregate_merge(dv_aggregate *aggregate, dv_slice state, dv_error *error);

/* Appends {"columns":[...],"rows":[{...},...],"groups":N,"others":N}: the rows sorted and cut as
 * the query says, at most `most` of them. groups: how many rows there are in all; others: events
 * that belong to none of them. */
dv_must dv_result dv_aggregate_rows(const dv_aggregate *aggregate, uint64_t most, dv_buf *out);

/* Calls visit for every group: its bucket of time (INT64_MIN: none), its values as a JSON array,
 * and the first measure's value. */
typedef void (*dv_aggregate_visit)(void *data, int64_t bucket_ms, dv_slice values, double value);
void dv_aggregate_each(const dv_aggregate *aggregate, dv_aggregate_visit visit, void *data);
