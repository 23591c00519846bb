/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The layout of the counters' file; private to store/counters*.c.
 *
 *   header (one page) | shards: their locks | entries of keys | entries of addresses
 *
 * A shard owns a run of entries in each table. */

#include "store/counters.h"

#include <pthread.h>

enum {
    DV_COUNTERS_VERSION = 1,
    DV_COUNTERS_PAGE = 4096,
    DV_COUNTERS_SHARDS_MAX = 64,     /* of each table */
    DV_COUNTERS_SHARD_ENTRIES = 512, /* at least, or the last entries of a shard would be unequal */
    DV_COUNTERS_SLOTS_MAX = 1 << 26,
};

/* Integers are in the machine's order: the file never leaves the machine, and the magic tells. */
typedef struct dv_counters_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_size;
    uint32_t shard_size; /* of the lock: tells another C library */
    uint32_t entry_size;
    uint32_t slots;             /* asked for */
    uint32_t shards;            /* of each table, a power of two */
    uint64_t entries_per_shard; /* a power of two */
    uint8_t seed[16];           /* of the key hash */
    uint32_t checksum;          /* CRC-32C of all before it */
} dv_counters_header;

typedef struct dv_counters_shard {
    _Alignas(64) pthread_mutex_t mutex; /* a cache line of its own */
} dv_counters_shard;

/* hash[0] is 0 where no key ever lay, and 1 while one key takes the place of another. */
struct dv_counter {
    uint64_t hash[2];
    dv_time ns;
    uint64_t part;
};

struct dv_counters {
    int fd; /* holds the lock that says "in use" */
    dv_counters_header *header;
    dv_counters_shard *shards; /* keys' first, then addresses' */
    dv_counter *entries;       /* of shard i: from i * entries_per_shard */
    size_t size;               /* of the mapping */
};
