/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/list.h"

dv_result dv_cedar_list_add(dv_arena *arena, dv_cedar_list *list, const void *item,
                            size_t item_size)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 4 : list->capacity * 2;
        void *larger = dv_arena_alloc_raw(arena, capacity * item_size);
        if (larger == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        if (list->count > 0) {
            memcpy(larger, list->items, list->count * item_size);
        }
        list->items = larger;
        list->capacity = capacity;
    }
    memcpy((uint8_t *)list->items + list->count * item_size, item, item_size);
    list->count++;
    return DV_OK;
}
