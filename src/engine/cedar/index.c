/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/index.h"

#include "engine/cedar/hash.h"

enum { ANY = 0 };

struct dv_cedar_name {
    dv_slice uid; /* NULL: free */
    uint32_t number;
};

struct dv_cedar_bucket {
    uint32_t key[DV_CEDAR_DIMENSIONS];
    uint32_t first; /* in index->policies */
    uint32_t count; /* 0: free */
};

/* One policy under one key, while the index is built. */
typedef struct entry {
    uint32_t key[DV_CEDAR_DIMENSIONS];
    uint32_t policy;
} entry;

typedef struct builder {
    dv_arena *arena;
    dv_cedar_index index;
    entry *entries;
    size_t entry_count;
    uint32_t name_count;
} builder;

static uint64_t hash_key(const uint32_t key[DV_CEDAR_DIMENSIONS])
{
    uint64_t hash = ((uint64_t)key[0] << 32 | key[1]) * UINT64_C(0x9e3779b97f4a7c15);

    return dv_cedar_mix(hash ^ key[2]);
}

/* The place of the uid, or the free one where it belongs. */
static struct dv_cedar_name *name_place(const dv_cedar_index *index, dv_slice uid)
{
    for (uint64_t i = dv_cedar_hash(uid);; i++) {
        struct dv_cedar_name *name = &index->names[i & index->name_mask];
        if (name->uid.ptr == NULL || dv_slice_eq(name->uid, uid)) {
            return name;
        }
    }
}

static struct dv_cedar_bucket *bucket_place(const dv_cedar_index *index, const uint32_t *key)
{
    for (uint64_t i = hash_key(key);; i++) {
        struct dv_cedar_bucket *bucket = &index->buckets[i & index->bucket_mask];
        if (bucket->count == 0 || memcmp(bucket->key, key, sizeof(bucket->key)) == 0) {
            return bucket;
        }
    }
}

uint32_t dv_cedar_index_name(const dv_cedar_index *index, dv_slice uid)
{
    return name_place(index, uid)->number;
}

/* A power of two that leaves at least half free. */
static dv_result table_mask(size_t count, uint32_t *ret_mask)
{
    uint32_t size = 8;

    if (count > (UINT32_MAX >> 3)) {
        return DV_ERR_TOO_LARGE;
    }
    while (size < 2 * count) {
        size *= 2;
    }
    *ret_mask = size - 1;
    return DV_OK;
}

static size_t uids_of(const dv_cedar_scope *scope)
{
    return scope->kind == DV_CEDAR_SCOPE_ANY ? 1 : scope->uid_count;
}

static size_t entries_of(const dv_cedar_policy *policy)
{
    return uids_of(&policy->scope[0]) * uids_of(&policy->scope[1]) * uids_of(&policy->scope[2]);
}

/* Room for everything: one entry for each combination that a scope names. */
static dv_result make_room(builder *b, const dv_cedar_policy *policies, size_t count)
{
    size_t entries = 0, names = 0;

    for (size_t i = 0; i < count; i++) {
        entries += entries_of(&policies[i]);
        for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
            names += policies[i].scope[d].uid_count;
        }
    }
    DV_TRY(table_mask(names, &b->index.name_mask));
    DV_TRY(table_mask(entries, &b->index.bucket_mask));
    b->index.names =
        dv_arena_alloc(b->arena, ((size_t)b->index.name_mask + 1) * sizeof(*b->index.names));
    b->index.buckets =
        dv_arena_alloc(b->arena, ((size_t)b->index.bucket_mask + 1) * sizeof(*b->index.buckets));
    b->entries = dv_arena_alloc_raw(b->arena, (entries + 1) * sizeof(*b->entries));
    return b->index.names == NULL || b->index.buckets == NULL || b->entries == NULL
               ? DV_ERR_NO_MEMORY
               : DV_OK;
}

static uint32_t number_of(builder *b, const dv_cedar_scope *scope, size_t i)
{
    if (scope->kind == DV_CEDAR_SCOPE_ANY) {
        return ANY;
    }
    struct dv_cedar_name *name = name_place(&b->index, scope->uids[i]);
    if (name->uid.ptr == NULL) {
        *name = (struct dv_cedar_name){scope->uids[i], ++b->name_count};
    }
    return name->number;
}

static void add_policy(builder *b, const dv_cedar_policy *policy, uint32_t number)
{
    size_t count[DV_CEDAR_DIMENSIONS];

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        count[d] = uids_of(&policy->scope[d]);
    }
    for (size_t i = 0; i < entries_of(policy); i++) {
        entry *e = &b->entries[b->entry_count++];
        size_t rest = i;
        e->policy = number;
        for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
            e->key[d] = number_of(b, &policy->scope[d], rest % count[d]);
            rest /= count[d];
        }
    }
}

static int order_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        if (x->key[d] != y->key[d]) {
            return x->key[d] < y->key[d] ? -1 : 1;
        }
    }
    return x->policy < y->policy ? -1 : x->policy > y->policy;
}

static void note_shape(dv_cedar_index *index, const uint32_t key[DV_CEDAR_DIMENSIONS])
{
    uint8_t shape = 0;

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        shape |= (uint8_t)((key[d] != ANY) << d);
    }
    if (memchr(index->shapes, shape, index->shape_count) == NULL) {
        index->shapes[index->shape_count++] = shape;
    }
}

/* Entries with one key lie together once sorted, and become its bucket. */
static dv_result fill_buckets(builder *b)
{
    uint32_t *policies = dv_arena_alloc_raw(b->arena, (b->entry_count + 1) * sizeof(*policies));

    if (policies == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (b->entry_count > 1) {
        qsort(b->entries, b->entry_count, sizeof(*b->entries), order_entries);
    }
    for (size_t i = 0; i < b->entry_count; i++) {
        struct dv_cedar_bucket *bucket = bucket_place(&b->index, b->entries[i].key);
        if (bucket->count == 0) {
            memcpy(bucket->key, b->entries[i].key, sizeof(bucket->key));
            bucket->first = (uint32_t)i;
            note_shape(&b->index, bucket->key);
        }
        bucket->count++;
        policies[i] = b->entries[i].policy;
    }
    b->index.policies = policies;
    return DV_OK;
}

dv_result dv_cedar_index_build(const dv_cedar_policy *policies, size_t count, dv_arena *arena,
                               dv_cedar_index *ret_index)
{
    builder b = {.arena = arena};

    if (count > UINT32_MAX >> 3) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(make_room(&b, policies, count));
    for (size_t i = 0; i < count; i++) {
        add_policy(&b, &policies[i], (uint32_t)i);
    }
    DV_TRY(fill_buckets(&b));
    *ret_index = b.index;
    return DV_OK;
}

static dv_result visit_bucket(const dv_cedar_index *index, const uint32_t *key,
                              dv_result (*visit)(void *data, uint32_t policy), void *data)
{
    const struct dv_cedar_bucket *bucket = bucket_place(index, key);

    for (uint32_t i = 0; i < bucket->count; i++) {
        DV_TRY(visit(data, index->policies[bucket->first + i]));
    }
    return DV_OK;
}

/* Every combination of the request's keys in the shape's dimensions. */
static dv_result visit_shape(const dv_cedar_index *index, uint8_t shape, const dv_cedar_keys *keys,
                             dv_result (*visit)(void *data, uint32_t policy), void *data)
{
    static const uint32_t any[] = {ANY};
    dv_cedar_keys lists[DV_CEDAR_DIMENSIONS];

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        lists[d] = (shape >> d & 1) != 0 ? keys[d] : (dv_cedar_keys){any, 1};
    }
    for (size_t i = 0; i < lists[0].count; i++) {
        for (size_t j = 0; j < lists[1].count; j++) {
            for (size_t k = 0; k < lists[2].count; k++) {
                uint32_t key[] = {lists[0].numbers[i], lists[1].numbers[j], lists[2].numbers[k]};
                DV_TRY(visit_bucket(index, key, visit, data));
            }
        }
    }
    return DV_OK;
}

dv_result dv_cedar_index_visit(const dv_cedar_index *index,
                               const dv_cedar_keys keys[DV_CEDAR_DIMENSIONS],
                               dv_result (*visit)(void *data, uint32_t policy), void *data)
{
    for (uint32_t i = 0; i < index->shape_count; i++) {
        DV_TRY(visit_shape(index, index->shapes[i], keys, visit, data));
    }
    return DV_OK;
}
