/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>

/* Invariants:
 * 1. `used` counts every byte handed out or held in blocks beyond the first; it never exceeds max.
 * 2. Blocks other than the first are freed by reset; recycling keeps one of NEXT_BLOCK bytes
 * as `spare`; the first lies in the arena's own malloc.
 * 3. Under DV_SANITIZED every object is a block of its own, so that a tool sees its borders. */

enum { FIRST_BLOCK = 4096, NEXT_BLOCK = 16384, ALIGNMENT = 16 };

typedef struct block {
    struct block *previous;
    size_t size; /* of data */
    _Alignas(ALIGNMENT) uint8_t data[];
} block;

typedef struct cleanup {
    struct cleanup *previous;
    void (*run)(void *data);
    void *data;
} cleanup;

struct dv_arena {
    size_t max;
    size_t used;
    block *blocks;
    block *spare; /* for the next time; NULL: none */
    cleanup *cleanups;
    uint8_t *cursor;
    uint8_t *limit;
    _Alignas(ALIGNMENT) uint8_t first[];
};

static void rewind_to_first(dv_arena *arena)
{
    arena->cursor = arena->first;
#ifdef DV_SANITIZED
    arena->limit = arena->first;
#else
    arena->limit = arena->first + FIRST_BLOCK;
#endif
}

dv_arena *dv_arena_new(size_t max_bytes)
{
    dv_arena *arena = malloc(sizeof(*arena) + FIRST_BLOCK);
    if (arena == NULL) {
        return NULL;
    }
    arena->max = max_bytes;
    arena->used = 0;
    arena->blocks = NULL;
    arena->spare = NULL;
    arena->cleanups = NULL;
    rewind_to_first(arena);
    return arena;
}

static void forget(dv_arena *arena, bool keep_spare)
{
    while (arena->cleanups != NULL) {
        cleanup *last = arena->cleanups;
        arena->cleanups = last->previous;
        last->run(last->data);
    }
    while (arena->blocks != NULL) {
        block *last = arena->blocks;
        arena->blocks = last->previous;
        if (keep_spare && arena->spare == NULL && last->size == NEXT_BLOCK) {
            arena->spare = last;
        } else {
            free(last);
        }
    }
    arena->used = 0;
    rewind_to_first(arena);
}

void dv_arena_reset(dv_arena *arena)
{
    forget(arena, false);
    free(arena->spare);
    arena->spare = NULL;
}

void dv_arena_recycle(dv_arena *arena)
{
    forget(arena, true);
}

void dv_arena_free(dv_arena *arena)
{
    if (arena != NULL) {
        dv_arena_reset(arena);
        free(arena);
    }
}

static block *add_block(dv_arena *arena, size_t size)
{
    bool reuse = size == NEXT_BLOCK && arena->spare != NULL;
    block *added = reuse ? arena->spare : malloc(sizeof(*added) + size);
    if (reuse) {
        arena->spare = NULL;
    }
    if (added != NULL) {
        added->previous = arena->blocks;
        added->size = size;
        arena->blocks = added;
    }
    return added;
}

/* A large object gets a block of its own, so that the current block's rest is not lost. */
static void *alloc_slow(dv_arena *arena, size_t size)
{
#ifndef DV_SANITIZED
    if (size <= NEXT_BLOCK / 4) {
        block *added = add_block(arena, NEXT_BLOCK);
        if (added == NULL) {
            return NULL;
        }
        arena->cursor = added->data + size;
        arena->limit = added->data + NEXT_BLOCK;
        return added->data;
    }
#endif
    block *own = add_block(arena, size);
    return own == NULL ? NULL : own->data;
}

void *dv_arena_alloc_raw(dv_arena *arena, size_t size)
{
    if (size > arena->max - arena->used || size > SIZE_MAX / 2) {
        return NULL;
    }
#ifdef DV_SANITIZED
    size_t taken = size;
#else
    size_t taken = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
#endif
    void *object;
    if (taken <= (size_t)(arena->limit - arena->cursor)) {
        object = arena->cursor;
        arena->cursor += taken;
    } else {
        object = alloc_slow(arena, taken);
    }
    if (object != NULL) {
        arena->used += size;
    }
    return object;
}

void *dv_arena_alloc(dv_arena *arena, size_t size)
{
    void *object = dv_arena_alloc_raw(arena, size);
    if (object != NULL) {
        memset(object, 0, size);
    }
    return object;
}

void *dv_arena_grow(dv_arena *arena, void *items, size_t count, size_t *capacity, size_t item_size,
                    size_t least)
{
    if (count < *capacity) {
        return items;
    }
    size_t larger = *capacity == 0 ? least : 2 * *capacity;
    size_t bytes;
    if (larger < *capacity || __builtin_mul_overflow(larger, item_size, &bytes)) {
        return NULL;
    }
    void *copy = dv_arena_alloc_raw(arena, bytes);
    if (copy == NULL) {
        return NULL;
    }
    if (count > 0) {
        memcpy(copy, items, count * item_size);
    }
    *capacity = larger;
    return copy;
}

dv_result dv_arena_copy(dv_arena *arena, dv_slice bytes, dv_slice *ret_copy)
{
    uint8_t *copy = dv_arena_alloc_raw(arena, bytes.len + 1);
    if (copy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    copy[bytes.len] = '\0';
    *ret_copy = dv_slice_of(copy, bytes.len);
    return DV_OK;
}

dv_result dv_arena_concat(dv_arena *arena, const dv_slice *parts, size_t count, dv_slice *ret_text)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += parts[i].len;
    }
    uint8_t *text = dv_arena_alloc_raw(arena, len + 1);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uint8_t *end = text;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            memcpy(end, parts[i].ptr, parts[i].len);
            end += parts[i].len;
        }
    }
    *end = '\0';
    *ret_text = dv_slice_of(text, len);
    return DV_OK;
}

const char *dv_arena_printf(dv_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = len < 0 ? NULL : dv_arena_alloc_raw(arena, (size_t)len + 1);
    if (text != NULL) {
        vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text;
}

dv_result dv_arena_on_free(dv_arena *arena, void (*run)(void *data), void *data)
{
    cleanup *added = dv_arena_alloc_raw(arena, sizeof(*added));
    if (added == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    added->previous = arena->cleanups;
    added->run = run;
    added->data = data;
    arena->cleanups = added;
    return DV_OK;
}
