/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/intern.h"

#include "base/siphash.h"

#include <stdlib.h>

enum { FIRST_BUCKETS = 256 };

void dv_intern_init(dv_intern *intern, size_t max_bytes)
{
    *intern = (dv_intern){.bytes = dv_buf_init(DV_MIN(max_bytes, (size_t)UINT32_MAX))};
}

void dv_intern_release(dv_intern *intern)
{
    dv_buf_release(&intern->bytes);
    free(intern->ends);
    free(intern->buckets);
    intern->ends = NULL;
    intern->buckets = NULL;
}

void dv_intern_clear(dv_intern *intern)
{
    dv_buf_clear(&intern->bytes);
    intern->count = 0;
    if (intern->buckets != NULL) {
        memset(intern->buckets, 0, (intern->mask + 1) * sizeof(*intern->buckets));
    }
}

/* Outsiders choose some of the strings, so the hash has a key. */
static dv_result hash_of(dv_slice bytes, uint64_t *ret_hash)
{
    const uint8_t *key;
    DV_TRY(dv_siphash_process_key(&key));
    *ret_hash = dv_siphash(key, bytes);
    return DV_OK;
}

static uint32_t *bucket_of(const dv_intern *intern, dv_slice bytes, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & intern->mask;
    while (intern->buckets[at] != 0 &&
           !dv_slice_eq(dv_intern_get(intern, intern->buckets[at] - 1), bytes)) {
        at = (at + 1) & intern->mask;
    }
    return &intern->buckets[at];
}

/* Twice the room: the tables are at most half full. */
static dv_result grow(dv_intern *intern)
{
    uint32_t buckets = intern->buckets == NULL ? FIRST_BUCKETS : (intern->mask + 1) * 2;
    DV_TRY(dv_buf_reserve(&intern->bytes, 1)); /* so that empty strings are somewhere, too */
    uint32_t *ends = realloc(intern->ends, buckets / 2 * sizeof(*ends));
    if (ends == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    intern->ends = ends;
    uint32_t *fresh = calloc(buckets, sizeof(*fresh));
    if (fresh == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    free(intern->buckets);
    intern->buckets = fresh;
    intern->mask = buckets - 1;
    intern->capacity = buckets / 2;
    for (uint32_t i = 0; i < intern->count; i++) {
        uint64_t hash;
        DV_TRY(hash_of(dv_intern_get(intern, i), &hash));
        *bucket_of(intern, dv_intern_get(intern, i), hash) = i + 1;
    }
    return DV_OK;
}

dv_result dv_intern_put(dv_intern *intern, dv_slice bytes, uint32_t *ret_number)
{
    uint64_t hash;
    DV_TRY(hash_of(bytes, &hash));
    if (intern->count == intern->capacity) {
        DV_TRY(grow(intern));
    }
    uint32_t *bucket = bucket_of(intern, bytes, hash);
    if (*bucket == 0) {
        DV_TRY(dv_buf_append(&intern->bytes, bytes));
        intern->ends[intern->count] = (uint32_t)intern->bytes.len;
        *bucket = ++intern->count;
    }
    *ret_number = *bucket - 1;
    return DV_OK;
}
