/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/index.h"

#include "engine/cedar/hash.h"

/* With many policies the tables do not fit the caches that are near, and what a look-up costs is
 * how often it waits for memory. So look-ups go in batches, whose places are fetched all at once
 * before they are read; and a name stands in its place with its text, a policy that is alone under
 * its key in the key's. */
enum { BATCH = 16, CACHE_LINE = 64 };

enum { ANY = 0 };

/* A policy's number above what its bucket does not say. Bit d: it says `==` in dimension d. */
enum { LAST_OF_BUCKET = 1 << DV_CEDAR_DIMENSIONS, WORD_SHIFT = DV_CEDAR_DIMENSIONS + 1 };

/* In a bucket, in place of where its words begin: its only word. */
#define ALONE (UINT32_C(1) << 31)

struct dv_cedar_name {
    dv_slice text; /* NULL: free; in `near` when it fits */
    uint32_t hash;
    uint32_t number;
    uint8_t near[40];
};

struct dv_cedar_bucket {
    uint32_t key[DV_CEDAR_DIMENSIONS];
    uint32_t first; /* in index->policies, or ALONE and a word; 0: free */
};

/* One policy under one key, while the index is built. */
typedef struct entry {
    uint32_t key[DV_CEDAR_DIMENSIONS];
    uint32_t word;
} entry;

typedef struct builder {
    dv_arena *arena;
    dv_cedar_index index;
    entry *entries;
    size_t entry_count;
    uint32_t *words;
    uint32_t name_count;
} builder;

/* --- names ----------------------------------------------------------------------------------- */

/* The name's place, or the free one where it belongs. */
static struct dv_cedar_name *name_place(const dv_cedar_index *index, uint32_t hash, dv_slice text)
{
    for (uint32_t i = hash;; i++) {
        struct dv_cedar_name *name = &index->names[i & index->name_mask];
        if (name->text.ptr == NULL || (name->hash == hash && dv_slice_eq(name->text, text))) {
            return name;
        }
    }
}

static void find_batch(const dv_cedar_index *index, const dv_slice *texts, size_t count,
                       uint32_t *ret_numbers)
{
    uint32_t hashes[BATCH];

    for (size_t i = 0; i < count; i++) {
        hashes[i] = (uint32_t)dv_cedar_hash(texts[i]);
        __builtin_prefetch(&index->names[hashes[i] & index->name_mask]);
    }
    for (size_t i = 0; i < count; i++) {
        ret_numbers[i] = name_place(index, hashes[i], texts[i])->number;
    }
}

void dv_cedar_index_find(const dv_cedar_index *index, const dv_slice *texts, size_t count,
                         uint32_t *ret_numbers)
{
    for (size_t i = 0; i < count; i += BATCH) {
        find_batch(index, texts + i, DV_MIN(count - i, (size_t)BATCH), ret_numbers + i);
    }
}

/* --- building -------------------------------------------------------------------------------- */

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

static bool is_typed(const dv_cedar_scope *scope)
{
    return scope->kind == DV_CEDAR_SCOPE_ANY && scope->type.len > 0;
}

/* Keys that the scope stands under: what it names, or one for "any" and for a type. */
static size_t keys_of(const dv_cedar_scope *scope)
{
    return scope->kind == DV_CEDAR_SCOPE_ANY ? 1 : scope->uid_count;
}

static size_t entries_of(const dv_cedar_policy *policy)
{
    return keys_of(&policy->scope[0]) * keys_of(&policy->scope[1]) * keys_of(&policy->scope[2]);
}

/* A zeroed table whose places begin where cache lines do. */
static void *table_new(dv_arena *arena, uint32_t mask, size_t size)
{
    uint8_t *table = dv_arena_alloc(arena, ((size_t)mask + 1) * size + CACHE_LINE);

    return table == NULL ? NULL : table + (CACHE_LINE - (uintptr_t)table % CACHE_LINE);
}

/* Room for everything: one entry for each combination that a scope names. */
static dv_result make_room(builder *b, const dv_cedar_policy *policies, size_t count)
{
    size_t entries = 0, names = 0;

    for (size_t i = 0; i < count; i++) {
        entries += entries_of(&policies[i]);
        for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
            names += policies[i].scope[d].uid_count + is_typed(&policies[i].scope[d]);
        }
    }
    DV_TRY(table_mask(names, &b->index.name_mask));
    DV_TRY(table_mask(entries, &b->index.bucket_mask));
    b->index.names = table_new(b->arena, b->index.name_mask, sizeof(*b->index.names));
    b->index.buckets = table_new(b->arena, b->index.bucket_mask, sizeof(*b->index.buckets));
    b->entries = dv_arena_alloc_raw(b->arena, (entries + 1) * sizeof(*b->entries));
    return b->index.names == NULL || b->index.buckets == NULL || b->entries == NULL
               ? DV_ERR_NO_MEMORY
               : DV_OK;
}

static dv_result name_init(builder *b, struct dv_cedar_name *name, uint32_t hash, dv_slice text)
{
    if (text.len > sizeof(name->near)) {
        DV_TRY(dv_arena_copy(b->arena, text, &name->text));
    } else {
        memcpy(name->near, text.ptr, text.len);
        name->text = dv_slice_of(name->near, text.len);
    }
    name->hash = hash;
    name->number = ++b->name_count;
    return DV_OK;
}

static dv_result number_of(builder *b, const dv_cedar_scope *scope, size_t i, uint32_t *ret_number)
{
    if (scope->kind == DV_CEDAR_SCOPE_ANY && !is_typed(scope)) {
        *ret_number = ANY;
        return DV_OK;
    }
    dv_slice text = is_typed(scope) ? scope->type : scope->uids[i];
    uint32_t hash = (uint32_t)dv_cedar_hash(text);
    struct dv_cedar_name *name = name_place(&b->index, hash, text);
    if (name->text.ptr == NULL) {
        DV_TRY(name_init(b, name, hash, text));
    }
    *ret_number = name->number;
    return DV_OK;
}

static uint32_t word_of(const dv_cedar_policy *policy, uint32_t number)
{
    uint32_t word = number << WORD_SHIFT;

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        word |= (uint32_t)(policy->scope[d].kind == DV_CEDAR_SCOPE_EQUAL) << d;
    }
    return word;
}

static dv_result add_policy(builder *b, const dv_cedar_policy *policy, uint32_t number)
{
    for (size_t i = 0; i < entries_of(policy); i++) {
        entry *e = &b->entries[b->entry_count++];
        size_t rest = i;
        e->word = word_of(policy, number);
        for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
            size_t keys = keys_of(&policy->scope[d]);
            DV_TRY(number_of(b, &policy->scope[d], rest % keys, &e->key[d]));
            rest /= keys;
        }
    }
    return DV_OK;
}

static int order_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        if (x->key[d] != y->key[d]) {
            return x->key[d] < y->key[d] ? -1 : 1;
        }
    }
    return x->word < y->word ? -1 : x->word > y->word;
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

/* The key's bucket, or the free one where it belongs. */
static struct dv_cedar_bucket *bucket_place(const dv_cedar_index *index, const uint32_t *key,
                                            uint32_t hash)
{
    for (uint32_t i = hash;; i++) {
        struct dv_cedar_bucket *bucket = &index->buckets[i & index->bucket_mask];
        if (bucket->first == 0 || memcmp(bucket->key, key, sizeof(bucket->key)) == 0) {
            return bucket;
        }
    }
}

static uint32_t hash_key(const uint32_t key[DV_CEDAR_DIMENSIONS])
{
    uint64_t hash = ((uint64_t)key[0] << 32 | key[1]) * UINT64_C(0x9e3779b97f4a7c15);

    return (uint32_t)dv_cedar_mix(hash ^ key[2]);
}

static bool same_key(const entry *a, const entry *b)
{
    return memcmp(a->key, b->key, sizeof(a->key)) == 0;
}

/* Makes the bucket of the entries that begin with `e`; returns how many they are. */
static size_t fill_bucket(builder *b, const entry *e, uint32_t *words)
{
    struct dv_cedar_bucket *bucket = bucket_place(&b->index, e->key, hash_key(e->key));
    const entry *end = b->entries + b->entry_count;
    size_t count = 0;

    for (; e + count < end && same_key(e, e + count); count++) {
        words[count] = e[count].word;
    }
    words[count - 1] |= LAST_OF_BUCKET;
    memcpy(bucket->key, e->key, sizeof(bucket->key));
    bucket->first = count == 1 ? ALONE | words[0] : (uint32_t)(words - b->words);
    note_shape(&b->index, bucket->key);
    return count;
}

/* Entries with one key lie together once sorted. Word 0 is not used: who began there would be free.
 */
static dv_result fill_buckets(builder *b)
{
    b->words = dv_arena_alloc(b->arena, (b->entry_count + 1) * sizeof(*b->words));
    if (b->words == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (b->entry_count > 1) {
        qsort(b->entries, b->entry_count, sizeof(*b->entries), order_entries);
    }
    for (size_t i = 0; i < b->entry_count;) {
        i += fill_bucket(b, &b->entries[i], &b->words[i + 1]);
    }
    b->index.policies = b->words;
    return DV_OK;
}

dv_result dv_cedar_index_build(const dv_cedar_policy *policies, size_t count, dv_arena *arena,
                               dv_cedar_index *ret_index)
{
    builder b = {.arena = arena};

    if (count >= ALONE >> WORD_SHIFT) {
        return DV_ERR_TOO_LARGE;
    }
    DV_TRY(make_room(&b, policies, count));
    for (size_t i = 0; i < count; i++) {
        DV_TRY(add_policy(&b, &policies[i], (uint32_t)i));
    }
    DV_TRY(fill_buckets(&b));
    *ret_index = b.index;
    return DV_OK;
}

/* --- asking ---------------------------------------------------------------------------------- */

/* Keys that are looked up together. */
typedef struct probes {
    const dv_cedar_index *index;
    const dv_cedar_keys *keys;
    dv_result (*visit)(void *data, uint32_t policy);
    void *data;
    uint32_t key[BATCH][DV_CEDAR_DIMENSIONS];
    uint32_t hash[BATCH];
    size_t count;
} probes;

/* Under an ancestor of the request's entity stand policies that say `in`, and some that say `==`
 * and mean that ancestor alone. */
static dv_result visit_bucket(const probes *p, const struct dv_cedar_bucket *bucket)
{
    const uint32_t alone = bucket->first & ~ALONE, *key = bucket->key;
    const uint32_t *word = alone == bucket->first ? &p->index->policies[bucket->first] : &alone;
    uint32_t above = 0;

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        above |= (uint32_t)(key[d] != p->keys[d].own) << d;
    }
    for (;; word++) {
        if ((*word & above) == 0) {
            DV_TRY(p->visit(p->data, *word >> WORD_SHIFT));
        }
        if ((*word & LAST_OF_BUCKET) != 0) {
            return DV_OK;
        }
    }
}

static dv_result flush(probes *p)
{
    size_t count = p->count;

    p->count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct dv_cedar_bucket *bucket = bucket_place(p->index, p->key[i], p->hash[i]);
        if (bucket->first != 0) {
            DV_TRY(visit_bucket(p, bucket));
        }
    }
    return DV_OK;
}

static dv_result probe(probes *p, uint32_t principal, uint32_t action, uint32_t resource)
{
    uint32_t *key = p->key[p->count];

    key[DV_CEDAR_PRINCIPAL] = principal;
    key[DV_CEDAR_ACTION] = action;
    key[DV_CEDAR_RESOURCE] = resource;
    p->hash[p->count] = hash_key(key);
    __builtin_prefetch(&p->index->buckets[p->hash[p->count] & p->index->bucket_mask]);
    return ++p->count == BATCH ? flush(p) : DV_OK;
}

/* The request's keys in the shape's dimensions, "any" in the others. */
static void lists_of_shape(uint8_t shape, const dv_cedar_keys *keys,
                           dv_cedar_keys ret_lists[DV_CEDAR_DIMENSIONS])
{
    static const uint32_t any[] = {ANY};

    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        bool named = (shape >> d & 1) != 0;
        ret_lists[d] = named ? keys[d] : (dv_cedar_keys){any, 1, ANY};
    }
}

/* Every combination of them. */
static dv_result probe_shape(probes *p, uint8_t shape)
{
    dv_cedar_keys lists[DV_CEDAR_DIMENSIONS];

    lists_of_shape(shape, p->keys, lists);
    for (size_t i = 0; i < lists[0].count; i++) {
        for (size_t j = 0; j < lists[1].count; j++) {
            for (size_t k = 0; k < lists[2].count; k++) {
                DV_TRY(probe(p, lists[0].numbers[i], lists[1].numbers[j], lists[2].numbers[k]));
            }
        }
    }
    return DV_OK;
}

size_t dv_cedar_index_cost(const dv_cedar_index *index,
                           const dv_cedar_keys keys[DV_CEDAR_DIMENSIONS])
{
    dv_cedar_keys lists[DV_CEDAR_DIMENSIONS];
    size_t cost = 0;

    for (uint32_t i = 0; i < index->shape_count; i++) {
        lists_of_shape(index->shapes[i], keys, lists);
        cost += lists[0].count * lists[1].count * lists[2].count;
    }
    return cost;
}

dv_result dv_cedar_index_visit(const dv_cedar_index *index,
                               const dv_cedar_keys keys[DV_CEDAR_DIMENSIONS],
                               dv_result (*visit)(void *data, uint32_t policy), void *data)
{
    probes p;

    p.index = index;
    p.keys = keys;
    p.visit = visit;
    p.data = data;
    p.count = 0;
    for (uint32_t i = 0; i < index->shape_count; i++) {
        DV_TRY(probe_shape(&p, index->shapes[i]));
    }
    return flush(&p);
}
