/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Principals, models and routes as the snapshot has them, for questions that are asked of policies
 * (policy_ask.c). */

#include "engine/cedar/entities.h"
#include "room/auth/control/internal.h"
#include "room/auth/gate/resources.h"

typedef struct dv_live_world {
    dv_snapshot *snapshot;          /* between dv_access_begin and end */
    const dv_cedar_entities *given; /* first; or NULL */
    const dv_resources *resources;  /* models and routes, the gate's */
    dv_time now;
    dv_arena *arena;  /* what is found lies in it */
    dv_result failed; /* the first look-up that could not be made; DV_OK: none */
} dv_live_world;

/* A dv_cedar_lookup. Who can't be read is no stranger, since a forbid may name what he is in:
 * whoever asked calls dv_live_check before he believes an answer. */
bool dv_live_lookup(void *world, dv_slice uid, dv_cedar_entity *ret_entity);
/* DV_ERR_UNAVAILABLE with a sentence when a look-up failed. */
dv_must dv_result dv_live_check(const dv_live_world *world, dv_error *error);
