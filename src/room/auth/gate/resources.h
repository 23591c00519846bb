/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Models and routes as policies see them (core/resources.h): their attributes and groups, read when
 * the snapshot's record changed. Looking one up allocates nothing. */

#include "engine/cedar/cedar.h"
#include "store/snapshot.h"

typedef struct dv_resources dv_resources;

dv_must dv_result dv_resources_new(dv_resources **ret_resources);
void dv_resources_free(dv_resources *resources);

/* Reads the record anew when it is another one; a snapshot without one has none to tell of. Call
 * within dv_snapshot_begin/end. Errors: DV_ERR_CORRUPT and those of dv_cedar_entities_parse; what
 * was read before stays, and must not be used. */
dv_must dv_result dv_resources_refresh(dv_resources *resources, dv_snapshot *snapshot,
                                       dv_error *error);

/* True for every Model and Route, known or not: those that are not have empty attributes, or those
 * of Model::"*". A model is known in whatever case its name is written. What is returned lives
 * until the next refresh; its uid is the one given. */
bool dv_resources_find(const dv_resources *resources, dv_slice uid, dv_cedar_entity *ret_entity);

/* The same without anything known: for questions that are asked without a server. */
bool dv_resource_unknown(dv_slice uid, dv_cedar_entity *ret_entity);

/* Calls visit with the uid of each that is known, without Model::"*". Stops at the first result
 * that is not DV_OK and returns it. */
dv_must dv_result dv_resources_each(const dv_resources *resources,
                                    dv_result (*visit)(void *data, dv_slice uid), void *data);
