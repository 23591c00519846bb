/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/capability.h"

#include "engine/cedar/value.h"

dv_result dv_cedar_capability_of(dv_arena *arena, const dv_cedar_node *node, const dv_slice *more,
                                 size_t count, dv_cedar_capability *ret_capability)
{
    size_t own = 0;

    for (const dv_cedar_node *n = node; n->kind == DV_CEDAR_NODE_ATTRIBUTE; n = n->operands) {
        own++;
    }
    dv_slice *path = dv_arena_alloc_raw(arena, (own + count + 1) * sizeof(*path));
    if (path == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = own; i > 0; i--, node = node->operands) {
        path[i - 1] = node->name;
    }
    for (size_t i = 0; i < count; i++) {
        path[own + i] = more[i];
    }
    *ret_capability = (dv_cedar_capability){.base = node, .path = path, .count = own + count};
    return DV_OK;
}

dv_result dv_cedar_capability_add(dv_arena *arena, const dv_cedar_capability *one,
                                  const dv_cedar_capabilities **list)
{
    dv_cedar_capabilities *item = dv_arena_alloc_raw(arena, sizeof(*item));

    if (item == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *item = (dv_cedar_capabilities){.one = *one, .next = *list};
    *list = item;
    return DV_OK;
}

dv_result dv_cedar_capability_join(dv_arena *arena, const dv_cedar_capabilities *front,
                                   const dv_cedar_capabilities **list)
{
    if (*list == NULL || front == *list) {
        *list = front;
        return DV_OK;
    }
    for (; front != NULL; front = front->next) {
        DV_TRY(dv_cedar_capability_add(arena, &front->one, list));
    }
    return DV_OK;
}

static bool same_names(const dv_slice *a, const dv_slice *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!dv_slice_eq(a[i], b[i])) {
            return false;
        }
    }
    return true;
}

/* What a node holds beside its operands. */
static bool same_label(const dv_cedar_node *a, const dv_cedar_node *b)
{
    switch ((dv_cedar_kind)a->kind) {
    case DV_CEDAR_NODE_VALUE:
        return dv_cedar_compare(a->value, b->value) == 0;
    case DV_CEDAR_NODE_VARIABLE:
        return a->variable == b->variable;
    case DV_CEDAR_NODE_HAS:
    case DV_CEDAR_NODE_LIKE:
    case DV_CEDAR_NODE_RECORD:
        return a->name_count == b->name_count && same_names(a->names, b->names, a->name_count);
    case DV_CEDAR_NODE_ATTRIBUTE:
    case DV_CEDAR_NODE_IS:
        return dv_slice_eq(a->name, b->name);
    case DV_CEDAR_NODE_SUM:
        return memcmp(a->operators, b->operators, a->count) == 0;
    case DV_CEDAR_NODE_CALL:
        return a->function == b->function;
    default:
        return true;
    }
}

/* Whether two expressions are written alike. */
static bool same_node(const dv_cedar_node *a, const dv_cedar_node *b, uint64_t *steps)
{
    a = dv_cedar_node_written(a);
    b = dv_cedar_node_written(b);
    if (*steps == 0) {
        return false;
    }
    --*steps;
    if (a == b) {
        return true;
    }
    if (a->kind != b->kind || a->count != b->count || !same_label(a, b)) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (!same_node(&a->operands[i], &b->operands[i], steps)) {
            return false;
        }
    }
    return true;
}

static bool same(const dv_cedar_capability *a, const dv_cedar_capability *b, uint64_t *steps)
{
    if (a->count != b->count || (a->tag == NULL) != (b->tag == NULL) ||
        !same_names(a->path, b->path, a->count)) {
        return false;
    }
    return same_node(a->base, b->base, steps) &&
           (a->tag == NULL || same_node(a->tag, b->tag, steps));
}

bool dv_cedar_capability_has(const dv_cedar_capabilities *list, const dv_cedar_capability *one,
                             uint64_t *steps)
{
    for (; list != NULL && *steps > 0; list = list->next) {
        --*steps;
        if (same(&list->one, one, steps)) {
            return true;
        }
    }
    return false;
}

dv_result dv_cedar_capability_both(dv_arena *arena, const dv_cedar_capabilities *a,
                                   const dv_cedar_capabilities *b, uint64_t *steps,
                                   const dv_cedar_capabilities **ret_list)
{
    const dv_cedar_capabilities *list = NULL;

    for (; a != NULL; a = a->next) {
        if (dv_cedar_capability_has(b, &a->one, steps)) {
            DV_TRY(dv_cedar_capability_add(arena, &a->one, &list));
        }
    }
    *ret_list = list;
    return DV_OK;
}
