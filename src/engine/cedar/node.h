/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Making expressions, whatever they are read from; private to the engine. All of them answer
 * DV_ERR_TOO_LARGE when the tree gets deeper than DV_LIMIT_CEDAR_DEPTH, and DV_ERR_NO_MEMORY. */

#include "engine/cedar/ast.h"
#include "engine/cedar/list.h"

/* A node over up to three operands, which are copied into the arena. */
dv_must dv_result dv_cedar_node_over(dv_arena *arena, dv_cedar_kind kind,
                                     const dv_cedar_node *operands, uint32_t count,
                                     dv_cedar_node *ret_node);

/* A node over a list of nodes, which it keeps. */
dv_must dv_result dv_cedar_node_list(dv_cedar_kind kind, const dv_cedar_list *operands,
                                     dv_cedar_node *ret_node);

dv_must dv_result dv_cedar_node_value(dv_arena *arena, dv_cedar_value value,
                                      dv_cedar_node *ret_node);

/* A set; one of literals is made once, here. */
dv_must dv_result dv_cedar_node_set(dv_arena *arena, const dv_cedar_list *items,
                                    dv_cedar_node *ret_node);

/* A call. One of a pure function with literals is worked out here; when it fails, it stays a call,
 * which fails whenever it is reached. */
dv_must dv_result dv_cedar_node_call(dv_arena *arena, const struct dv_cedar_function *function,
                                     const dv_cedar_list *args, dv_cedar_node *ret_node);

typedef struct dv_cedar_field {
    dv_slice name;
    dv_cedar_node node;
} dv_cedar_field;

/* A record of a list of fields, which are sorted by name, as records are. Errors: DV_ERR_EXISTS
 * when a name stands there twice (ret_twice). */
dv_must dv_result dv_cedar_node_record(dv_arena *arena, dv_cedar_list *fields,
                                       dv_cedar_node *ret_node, dv_slice *ret_twice);

/* Says where the node begins. */
static inline void dv_cedar_node_place(dv_cedar_node *node, size_t offset)
{
    node->offset = (uint32_t)offset;
    if (node->kind == DV_CEDAR_NODE_VALUE && node->operands != NULL) {
        node->operands->offset = (uint32_t)offset;
    }
}
