/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The layout of the counters' file; private to store/counters*.c.
 *
 *   header (one page) | shards: their locks | entries of keys | of addresses | of models | leases
 *
 * A shard owns a run of entries in each table. */

#include "store/counters.h"

#include <pthread.h>

enum {
    DV_COUNTERS_VERSION = 3,
    DV_COUNTERS_PAGE = 4096,
    DV_COUNTERS_SHARDS_MAX = 64,     /* of each table */
    DV_COUNTERS_SHARD_ENTRIES = 512, /* at least, or the last entries of a shard would be unequal */
    DV_COUNTERS_SLOTS_MAX = 1 << 26,
    DV_COUNTERS_LEASE_SHARDS = 16,
    DV_COUNTERS_LEASES_MIN = 512, /* entries */
    DV_COUNTERS_LEASES_OF = 16,   /* one for so many slots */
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
    uint64_t leases_per_shard;  /* a power of two */
    uint32_t lease_size;
    uint32_t seats;
    uint8_t seed[16]; /* of the key hash */
    dv_time created;
    uint32_t checksum; /* CRC-32C of all before it */

    uint32_t seats_used;  /* no seat from here on was ever taken: its columns are empty */
    uint64_t generations; /* given out so far; grows in one instruction */
} dv_counters_header;

typedef struct dv_counters_shard {
    _Alignas(64) pthread_mutex_t mutex; /* a cache line of its own */
} dv_counters_shard;

/* hash[0] is 0 where no key ever lay, and 1 while one key takes the place of another. */
struct dv_counter {
    uint64_t hash[2];
    dv_time ns;
    uint64_t part;
    uint64_t generation;
};

struct dv_lease {
    uint64_t hash[2];
    uint16_t held[DV_COUNTERS_SEATS]; /* by seat */
};

/* Locks of the open file description, by byte; they end with the process, however it ends. */
enum { DV_COUNTERS_LOCK_OPENING = 0, DV_COUNTERS_LOCK_IN_USE = 1, DV_COUNTERS_LOCK_SEATS = 16 };

/* type: F_WRLCK, F_RDLCK, F_UNLCK. Returns 0, or -1 with errno. */
int dv_counters_lock_byte(int fd, short type, int byte, bool wait);

/* Hashes of names that were asked for before, in this process: a name is compared whole, so that a
 * place that two of them share costs time only. */
enum { DV_COUNTERS_MEMO = 256, DV_COUNTERS_MEMO_NAME = 128 };
typedef struct dv_counters_memo {
    dv_counter_key key;
    size_t len; /* 0: free */
    uint8_t name[DV_COUNTERS_MEMO_NAME];
} dv_counters_memo;

struct dv_counters {
    int fd; /* holds the lock that says "in use" */
    dv_counters_header *header;
    dv_counters_shard *shards; /* keys' first, then as the tables' numbers say */
    dv_counter *entries;       /* of shard i: from i * entries_per_shard */
    dv_lease *leases;          /* of shard i: from i * leases_per_shard */
    int seat;                  /* of this process; -1: none */
    size_t size;               /* of the mapping */
    dv_counters_memo *memo;    /* DV_COUNTERS_MEMO of them */
};
