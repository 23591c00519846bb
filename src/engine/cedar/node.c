/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/node.h"

#include "engine/cedar/function.h"

#include "base/caps.h"

static dv_result seal(dv_cedar_node *node)
{
    unsigned below = 0;

    for (uint32_t i = 0; i < node->count; i++) {
        below = DV_MAX(below, node->operands[i].depth);
    }
    if (below >= DV_LIMIT_CEDAR_DEPTH) {
        return DV_ERR_TOO_LARGE;
    }
    node->depth = (uint16_t)(below + 1);
    return DV_OK;
}

dv_result dv_cedar_node_over(dv_arena *arena, dv_cedar_kind kind, const dv_cedar_node *operands,
                             uint32_t count, dv_cedar_node *ret_node)
{
    dv_cedar_node node = {.kind = (uint8_t)kind, .count = count, .offset = operands[0].offset};

    node.operands = dv_arena_alloc_raw(arena, count * sizeof(node));
    if (node.operands == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(node.operands, operands, count * sizeof(node));
    DV_TRY(seal(&node));
    *ret_node = node;
    return DV_OK;
}

dv_result dv_cedar_node_list(dv_cedar_kind kind, const dv_cedar_list *operands,
                             dv_cedar_node *ret_node)
{
    dv_cedar_node node = {
        .kind = (uint8_t)kind, .count = (uint32_t)operands->count, .operands = operands->items};

    node.offset = node.count == 0 ? 0 : node.operands[0].offset;
    DV_TRY(seal(&node));
    *ret_node = node;
    return DV_OK;
}

dv_result dv_cedar_node_value(dv_arena *arena, dv_cedar_value value, dv_cedar_node *ret_node)
{
    dv_cedar_value *copy = dv_arena_alloc_raw(arena, sizeof(*copy));

    if (copy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *copy = value;
    *ret_node = (dv_cedar_node){.kind = DV_CEDAR_NODE_VALUE, .depth = 1, .value = copy};
    return DV_OK;
}

static bool all_values(const dv_cedar_list *list)
{
    const dv_cedar_node *nodes = list->items;

    for (size_t i = 0; i < list->count; i++) {
        if (nodes[i].kind != DV_CEDAR_NODE_VALUE) {
            return false;
        }
    }
    return true;
}

static dv_result copy_values(dv_arena *arena, const dv_cedar_list *list,
                             dv_cedar_value **ret_values)
{
    const dv_cedar_node *nodes = list->items;
    dv_cedar_value *values = dv_arena_alloc(arena, (list->count + 1) * sizeof(*values));

    if (values == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < list->count; i++) {
        values[i] = *nodes[i].value;
    }
    *ret_values = values;
    return DV_OK;
}

/* The value in place of what was written, which keeps the depth: both bound whoever walks it. */
static dv_result fold(dv_arena *arena, const dv_cedar_node *written, dv_cedar_value value,
                      dv_cedar_node *ret_node)
{
    dv_cedar_node node;
    dv_cedar_node *kept = dv_arena_alloc_raw(arena, sizeof(*kept));

    if (kept == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_cedar_node_value(arena, value, &node));
    *kept = *written;
    node.operands = kept;
    node.depth = written->depth;
    node.offset = written->offset;
    *ret_node = node;
    return DV_OK;
}

dv_result dv_cedar_node_set(dv_arena *arena, const dv_cedar_list *items, dv_cedar_node *ret_node)
{
    dv_cedar_value *values = NULL;
    dv_cedar_node written;

    DV_TRY(dv_cedar_node_list(DV_CEDAR_NODE_SET, items, &written));
    if (!all_values(items)) {
        *ret_node = written;
        return DV_OK;
    }
    DV_TRY(copy_values(arena, items, &values));
    return fold(arena, &written, dv_cedar_set(values, items->count), ret_node);
}

dv_result dv_cedar_node_call(dv_arena *arena, const dv_cedar_function *function,
                             const dv_cedar_list *args, dv_cedar_node *ret_node)
{
    dv_cedar_value *values = NULL, result;
    dv_cedar_node written;

    DV_TRY(dv_cedar_node_list(DV_CEDAR_NODE_CALL, args, &written));
    written.function = function;
    if (function->pure && args->count == function->arity && all_values(args)) {
        DV_TRY(copy_values(arena, args, &values));
        if (function->run(NULL, values, &result) == DV_OK) {
            return fold(arena, &written, result, ret_node);
        }
    }
    *ret_node = written;
    return DV_OK;
}

static int order_fields(const void *a, const void *b)
{
    return dv_slice_cmp(((const dv_cedar_field *)a)->name, ((const dv_cedar_field *)b)->name);
}

dv_result dv_cedar_node_record(dv_arena *arena, dv_cedar_list *fields, dv_cedar_node *ret_node,
                               dv_slice *ret_twice)
{
    dv_cedar_field *sorted = fields->items;
    dv_cedar_node node = {.kind = DV_CEDAR_NODE_RECORD, .count = (uint32_t)fields->count};
    dv_slice *names = dv_arena_alloc(arena, (fields->count + 1) * sizeof(*names));

    node.operands = dv_arena_alloc(arena, (fields->count + 1) * sizeof(node));
    if (names == NULL || node.operands == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (fields->count > 1) {
        qsort(sorted, fields->count, sizeof(*sorted), order_fields);
    }
    for (size_t i = 0; i < fields->count; i++) {
        if (i > 0 && dv_slice_eq(sorted[i - 1].name, sorted[i].name)) {
            *ret_twice = sorted[i].name;
            return DV_ERR_EXISTS;
        }
        names[i] = sorted[i].name;
        node.operands[i] = sorted[i].node;
    }
    node.names = names;
    node.name_count = node.count;
    DV_TRY(seal(&node));
    *ret_node = node;
    return DV_OK;
}
