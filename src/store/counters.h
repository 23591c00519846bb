/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Timestamps by key in a file-backed mapping that every worker of the node shares and that
 * outlives them: sharded robust process-shared mutexes, open addressing, keys by 128-bit hash. */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"

typedef struct dv_counters dv_counters;

/* Opens or makes the file (mode 0660, cut by the umask). slots: how many keys fit at least, 1 to
 * 2^26; addresses get a table of the same size. A file of another layout or with a bad header is
 * replaced (counting starts anew, and *ret_replaced says so). While another process has the file
 * open, its number of slots stays as it is, and a bad header is DV_ERR_CORRUPT. The disk space is
 * taken at once, so that a full disk can't end a process later. */
dv_must dv_result dv_counters_open(const char *path, uint32_t slots, dv_counters **ret_counters,
                                   bool *ret_replaced, dv_error *error);
void dv_counters_close(dv_counters *counters);
DV_DEFINE_AUTO_PTR(counters, dv_counters, dv_counters_close)

/* A time with its part of a nanosecond: ns + part / (what the owner of the counter divides by). */
typedef struct dv_counter_time {
    dv_time ns;
    uint64_t part;
} dv_counter_time;

/* Names one counter: its table and the keyed hash of its name. */
typedef struct dv_counter_key {
    uint64_t hash[2];
    uint32_t shard; /* of both tables, in the order of locking */
    bool address;
} dv_counter_key;

typedef struct dv_counter dv_counter; /* one entry of a table */

enum { DV_COUNTERS_SESSION_MAX = 16 };

/* The counters of one request, under their locks. */
typedef struct dv_counters_session {
    dv_counters *counters;
    uint32_t shards[DV_COUNTERS_SESSION_MAX]; /* locked: sorted, each once */
    size_t shard_count;
    dv_counter *claimed[DV_COUNTERS_SESSION_MAX];
    size_t claimed_count;
} dv_counters_session;

/* Hashes the name under the file's random key, so that nobody can choose names that collide. */
dv_counter_key dv_counters_key(const dv_counters *counters, dv_slice name, bool address);

/* Locks the shards of all keys, always in the same order. count is at most
 * DV_COUNTERS_SESSION_MAX. A lock whose owner died is taken over: every entry is whole at any
 * instruction. Errors: DV_ERR_UNAVAILABLE (held for over a second, or broken). */
dv_must dv_result dv_counters_begin(dv_counters *counters, const dv_counter_key *keys, size_t count,
                                    dv_counters_session *ret_session);
void dv_counters_end(dv_counters_session *session);

/* The key's entry; a new one, with time 0, takes a free place or that of an entry whose time passed
 * more than a second ago. At most DV_COUNTERS_SESSION_MAX calls in a session. Errors:
 * DV_ERR_NOT_FOUND: no room, and *ret_room_at is when the first of the entries in the way will have
 * passed. */
dv_must dv_result dv_counters_claim(dv_counters_session *session, const dv_counter_key *key,
                                    dv_time now, dv_counter **ret_counter, dv_time *ret_room_at);
dv_counter_time dv_counter_get(const dv_counter *counter);

/* Sets the time. A process killed halfway leaves one at most two nanoseconds later. */
void dv_counter_set(dv_counter *counter, dv_counter_time time);
