/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/list.h"

dv_result dv_cedar_list_add(dv_arena *arena, dv_cedar_list *list, const void *item,
                            size_t item_size)
{
    void *items = dv_arena_grow(arena, list->items, list->count, &list->capacity, item_size, 4);
    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    list->items = items;
    memcpy((uint8_t *)list->items + list->count * item_size, item, item_size);
    list->count++;
    return DV_OK;
}
