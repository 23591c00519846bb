/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"
#include "base/slice.h"

/* Memory of one request (or one command): allocated piece by piece, freed at once. Nothing in it
 * outlives it. Under sanitizers each object is a malloc of its own, so that overflows show. */
typedef struct dv_arena dv_arena;

/* Makes an arena that may hold max_bytes in all; NULL when memory is out. Small requests cost one
 * malloc: the first block holds the arena itself and 4 KiB. */
dv_arena *dv_arena_new(size_t max_bytes);

/* Runs the cleanups (last added first) and frees everything; NULL is left alone. */
void dv_arena_free(dv_arena *arena);
DV_DEFINE_AUTO_PTR(arena, dv_arena, dv_arena_free)

/* Runs the cleanups and forgets everything, but keeps the first block for the next request. */
void dv_arena_reset(dv_arena *arena);

/* The same, and keeps a further block of 16 KiB, if it had one: for arenas that are used again
 * soon.
 */
void dv_arena_recycle(dv_arena *arena);

/* Zeroed, aligned to 16 bytes; NULL when memory or max_bytes is out. */
void *dv_arena_alloc(dv_arena *arena, size_t size) __attribute__((malloc, alloc_size(2)));

/* The same without zeroing, for bytes that are written at once. */
void *dv_arena_alloc_raw(dv_arena *arena, size_t size) __attribute__((malloc, alloc_size(2)));

/* Room for one more item of an array that lives in the arena: `items` while there is some, a copy
 * of twice the size (*capacity items; `least`, the first time) once there is none. NULL when memory
 * is out: the array stays as it was. */
void *dv_arena_grow(dv_arena *arena, void *items, size_t count, size_t *capacity, size_t item_size,
                    size_t least);

/* A copy with a NUL behind it (which does not count in len). */
dv_must dv_result dv_arena_copy(dv_arena *arena, dv_slice bytes, dv_slice *ret_copy);

/* The parts one after the other, with a NUL behind. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_arena_concat(dv_arena *arena, const dv_slice *parts, size_t count,
                                  dv_slice *ret_text);

/* A formatted string; NULL when memory is out. */
const char *dv_arena_printf(dv_arena *arena, const char *format, ...) dv_printf(2, 3);

/* Calls run(data) when the arena ends. */
dv_must dv_result dv_arena_on_free(dv_arena *arena, void (*run)(void *data), void *data);
