/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A small world of entities for the tests of this folder, and one call to decide in it. */

#include "engine/cedar/cedar.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct world {
    dv_cedar_policy_set *set;
    dv_arena *arena;
    const dv_cedar_entity *entities;
    size_t entity_count;
    dv_cedar_answer answer;
} world;

static inline bool world_lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    const world *w = data;

    for (size_t i = 0; i < w->entity_count; i++) {
        if (dv_slice_eq(w->entities[i].uid, uid)) {
            *ret_entity = w->entities[i];
            return true;
        }
    }
    return false;
}

static inline world world_new(const char *policies)
{
    world w = {.arena = dv_arena_new(1 << 20)};
    dv_error error = {0};

    assert_non_null(w.arena);
    if (dv_cedar_parse(dv_slice_str(policies), &w.set, &error) != DV_OK) {
        fail_msg("line %d column %d: %s", error.line, error.column, error.message);
    }
    return w;
}

static inline void world_end(world *w)
{
    dv_cedar_policy_set_free(w->set);
    dv_arena_free(w->arena);
}

static inline dv_decision world_decide(world *w, const char *principal, const char *action,
                                       const char *resource, const dv_cedar_value *context)
{
    dv_cedar_request request = {dv_slice_str(principal), dv_slice_str(action),
                                dv_slice_str(resource), context};

    assert_int_equal(dv_cedar_decide(w->set, &request, world_lookup, w, w->arena, &w->answer),
                     DV_OK);
    return w->answer.decision;
}
