/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Small counters by key in a file-backed mapping that every worker of the node shares and that
 * outlives them: sharded robust process-shared mutexes, open addressing, keys by 128-bit hash. An
 * entry is a time, or a word, or (in a table of its own) what each process holds. */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"

typedef struct dv_counters dv_counters;

/* How many keys the product's file holds. */
enum { DV_COUNTERS_SLOTS = 1 << 17 };

/* Opens or makes the file (mode 0660, cut by the umask). slots: how many keys fit at least, 1 to
 * 2^26; addresses and models get tables of the same size. A file of another layout or with a bad
 * header is replaced (counting starts anew, and *ret_replaced says so). While another process has
 * the file open, its number of slots stays as it is, and a bad header is DV_ERR_CORRUPT. The disk
 * space is taken at once, so that a full disk can't end a process later. */
dv_must dv_result dv_counters_open(const char *path, uint32_t slots, dv_counters **ret_counters,
                                   bool *ret_replaced, dv_error *error);
void dv_counters_close(dv_counters *counters);
DV_DEFINE_AUTO_PTR(counters, dv_counters, dv_counters_close)

/* A time with its part of a nanosecond: ns + part / (what the owner of the counter divides by). */
typedef struct dv_counter_time {
    dv_time ns;
    uint64_t part;
} dv_counter_time;

/* Which table a key lies in: addresses and names of models, of which a caller can have many, fill
 * only their own. */
typedef enum dv_counters_table {
    DV_COUNTERS_KEYS = 0,
    DV_COUNTERS_ADDRESSES,
    DV_COUNTERS_MODELS,
    DV_COUNTERS_LEASES,
    DV_COUNTERS_TABLES
} dv_counters_table;

/* Names one counter: its table and the keyed hash of its name. */
typedef struct dv_counter_key {
    uint64_t hash[2];
    uint32_t shard; /* of its table */
    dv_counters_table table;
} dv_counter_key;

typedef struct dv_counter dv_counter; /* one entry of a table */
typedef struct dv_lease dv_lease;     /* one entry of the table of leases */

enum {
    DV_COUNTERS_SESSION_MAX = 1088, /* entries in one session */
    DV_COUNTERS_SEATS = 512,        /* processes that can hold leases at once: old and new
                                       workers of a reload, as many as there may be */
};

/* The counters of one request, under their locks. */
typedef struct dv_counters_session {
    dv_counters *counters;
    uint64_t shards[DV_COUNTERS_TABLES]; /* a bit each: to be locked, then locked */
    size_t claimed_count;
    const void *claimed[DV_COUNTERS_SESSION_MAX]; /* written up to claimed_count only */
} dv_counters_session;

/* Hashes the name under the file's random key, so that nobody can choose names that collide.
 * Remembers names: for one thread only. */
dv_counter_key dv_counters_key(const dv_counters *counters, dv_slice name, dv_counters_table table);

/* A session: prepare, want each key, lock, claim, end. */
void dv_counters_prepare(dv_counters *counters, dv_counters_session *session);
void dv_counters_want(dv_counters_session *session, const dv_counter_key *key);
/* Locks the shards of all wanted keys, always in the same order. A lock whose owner died is taken
 * over: every entry is whole at any instruction. Errors: DV_ERR_UNAVAILABLE (held for over a
 * second, or broken); then nothing is locked. */
dv_must dv_result dv_counters_lock(dv_counters_session *session);
void dv_counters_end(dv_counters_session *session);

/* The key's entry; a new one, with time and word 0, takes a free place or that of an entry whose
 * time passed more than a second ago. At most DV_COUNTERS_SESSION_MAX calls in a session. Errors:
 * DV_ERR_NOT_FOUND: no room, and *ret_room_at is when the first of the entries in the way will have
 * passed. */
dv_must dv_result dv_counters_claim(dv_counters_session *session, const dv_counter_key *key,
                                    dv_time now, dv_counter **ret_counter, dv_time *ret_room_at);
/* The key's entry, or NULL: makes none. For every table but that of leases. */
dv_counter *dv_counters_find(const dv_counters_session *session, const dv_counter_key *key);

dv_counter_time dv_counter_get(const dv_counter *counter);
/* Sets the time. A process killed halfway leaves one at most two nanoseconds later. */
void dv_counter_set(dv_counter *counter, dv_counter_time time);

/* The same entry read as one word, which changes in one instruction. The entry gives way when
 * `keep` has passed. */
uint64_t dv_counter_word(const dv_counter *counter);
void dv_counter_set_word(dv_counter *counter, uint64_t word, dv_time keep);

/* What tells one life of an entry from another: a new one comes with every new key in its place and
 * with every renewal, and never again. */
uint64_t dv_counter_generation(const dv_counter *counter);
void dv_counter_renew(const dv_counters *counters, dv_counter *counter);

/* Leases: how many of something each process holds. A process takes a seat once, after fork; when
 * it dies, however it does, its leases count no more as soon as the next one takes a seat. Errors:
 * DV_ERR_UNAVAILABLE (no seat is free), DV_ERR_IO. */
dv_must dv_result dv_counters_sit(dv_counters *counters);
bool dv_counters_sits(const dv_counters *counters);
/* As dv_counters_claim; an entry of which nobody holds anything gives way. Errors: DV_ERR_NOT_FOUND
 * (no room), DV_ERR_UNAVAILABLE (this process has no seat). */
dv_must dv_result dv_leases_claim(dv_counters_session *session, const dv_counter_key *key,
                                  dv_lease **ret_lease);
/* The key's entry, or NULL: makes none. */
dv_lease *dv_leases_find(const dv_counters_session *session, const dv_counter_key *key);
/* What all processes hold together. */
uint64_t dv_lease_total(const dv_counters *counters, const dv_lease *lease);
/* Adds to what this process holds, one instruction; never below 0. */
void dv_lease_add(const dv_counters *counters, dv_lease *lease, int delta);

/* When the file was made; another time than before means that everything was forgotten. */
dv_time dv_counters_created(const dv_counters *counters);
/* Asks for the disk to have everything that was written until now; blocks. */
dv_must dv_result dv_counters_sync(const dv_counters *counters);
