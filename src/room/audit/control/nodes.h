/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The other nodes of `audit: nodes:`: a thread of dvarad's keeps copies of their logs and verifies
 * them, one node after the other, and touches neither store nor spool. What is wrong is an alarm in
 * this node's own log (audit.node), recorded by dvarad's own thread, and stays in the status. */

#include "room/audit/control/nodes_config.h"

#include <jansson.h>

typedef struct dv_nodes dv_nodes;

/* state_dir is borrowed. */
dv_must dv_result dv_nodes_new(const char *state_dir, dv_nodes **ret_nodes);
/* Ends the threads, within a second whatever they wait for. */
void dv_nodes_free(dv_nodes *nodes);
DV_DEFINE_AUTO_PTR(nodes, dv_nodes, dv_nodes_free)

/* Puts the section `audit:` (NULL: none) into force and looks at each node at once. */
dv_must dv_result dv_nodes_set(dv_nodes *nodes, const dv_yaml *section, dv_error *error);
/* What is in force; until the next dv_nodes_set, for its caller's thread. */
const dv_node_settings *dv_nodes_settings(const dv_nodes *nodes);

/* {"items":[...]}: a new reference, or NULL when memory is out. */
json_t *dv_nodes_status(dv_nodes *nodes);

/* Takes one alarm that is not in the log yet; false: there is none. */
enum { DV_NODES_ALARM_MAX = 512 };
bool dv_nodes_alarm(dv_nodes *nodes, char out[DV_NODES_ALARM_MAX]);
