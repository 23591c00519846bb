/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One search over several nodes. Each is asked in a thread of its own, by the API that it has for
 * everyone, with the key that this node holds for it; dvarad's own thread waits some tenths of a
 * second and otherwise says to come again. So two nodes that ask each other do not block one
 * another. Events are merged by time, aggregations by their states, which merge exactly.
 *
 * A search that is not at its end is kept for some minutes, for the one who began it. */

#include "room/audit/control/nodes.h"
#include "room/audit/control/search.h"

typedef struct dv_node_searches dv_node_searches;

dv_must dv_result dv_node_searches_new(const char *runtime_dir, dv_node_searches **ret_searches);
void dv_node_searches_free(dv_node_searches *searches);
DV_DEFINE_AUTO_PTR(node_searches, dv_node_searches, dv_node_searches_free)

/* Recurring work: forgets what nobody came back for. */
void dv_node_searches_tick(dv_node_searches *searches);

/* Answers a search whose body says `nodes`. query: the checked search, for how it counts. Errors:
 * DV_ERR_INVALID (an unknown node, a cursor that is not or no more known), DV_ERR_LIMITED. */
dv_must dv_result dv_audit_search_nodes(dv_call *call, const dv_audit_search *search,
                                        dv_error *error);

/* Of the events that the lists begin with: the list whose one comes first, by `time`; the earlier
 * list of two. heads: NULL: it has none. Returns count when there is none at all. */
size_t dv_node_search_first(json_t *const *heads, size_t count, bool oldest_first);
