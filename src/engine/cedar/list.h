/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A list that grows in an arena; private to the engine. */

#include "base/arena.h"

typedef struct dv_cedar_list {
    void *items;
    size_t count;
    size_t capacity;
} dv_cedar_list;

/* Adds a copy of the item. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_list_add(dv_arena *arena, dv_cedar_list *list, const void *item,
                                    size_t item_size);
