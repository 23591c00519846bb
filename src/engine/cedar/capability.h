/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is known to be there once an expression is true (specs: validation, "Unsafe access to
 * optional attributes"); private to the engine. Lists are never changed, only put in front of, so
 * that they are shared. */

#include "base/arena.h"
#include "engine/cedar/ast.h"

/* base.path[0].path[1]... is there; with a tag, that entity has the tag of that name. */
typedef struct dv_cedar_capability {
    const dv_cedar_node *base; /* no attribute access */
    const dv_slice *path;
    size_t count;
    const dv_cedar_node *tag; /* NULL: an attribute */
} dv_cedar_capability;

typedef struct dv_cedar_capabilities {
    dv_cedar_capability one;
    const struct dv_cedar_capabilities *next;
} dv_cedar_capabilities;

/* base and path of an expression with more names behind it; the tag is NULL. Errors:
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_capability_of(dv_arena *arena, const dv_cedar_node *node,
                                         const dv_slice *more, size_t count,
                                         dv_cedar_capability *ret_capability);

/* Puts one in front of a list. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_capability_add(dv_arena *arena, const dv_cedar_capability *one,
                                          const dv_cedar_capabilities **list);

/* Both lists, the shorter one in front by whoever calls: it is copied. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_capability_join(dv_arena *arena, const dv_cedar_capabilities *front,
                                           const dv_cedar_capabilities **list);

/* True when the list has it. steps (left) bounds the comparing; at 0 the answer is false. */
bool dv_cedar_capability_has(const dv_cedar_capabilities *list, const dv_cedar_capability *one,
                             uint64_t *steps);

/* Those of a that b has. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_capability_both(dv_arena *arena, const dv_cedar_capabilities *a,
                                           const dv_cedar_capabilities *b, uint64_t *steps,
                                           const dv_cedar_capabilities **ret_list);
