/* SPDX-License-Identifier: Apache-2.0 */
/* Counters in shared memory. Invariants:
 *
 * 1. An entry is read and written only under its shard's lock.
 * 2. A process may die between any two instructions: what it leaves is a key with its time before
 *    or after the change (at most two nanoseconds later), or a place that counts as free.
 * 3. A key lies within WINDOW entries from where its hash points, and no entry before it is one
 *    where no key ever lay. Such an entry ends the search.
 * 4. Only the entry of a key whose time has passed a while ago gives way (`settled`: to a worker
 * that looked at the clock a moment earlier it has not passed), and never one that the same session
 *    has claimed. */
#include "store/counters_file.h"

#include "crypto/short_hash.h"

#include <errno.h>

#include <fcntl.h>

enum { WINDOW = 64, LOCK_WAIT_SECONDS = 1, LOCK_SLICES = 100 };
static const dv_time settled = DV_SECOND;
enum { HASH_NEVER_USED = 0, HASH_IN_CHANGE = 1, HASH_FIRST = 2 };

/* Where a table's shards begin among the locks, and how many it has. */
static uint32_t shard_base(const dv_counters_header *header, dv_counters_table table)
{
    return (uint32_t)table * header->shards;
}

static uint32_t shard_count(const dv_counters_header *header, dv_counters_table table)
{
    return table == DV_COUNTERS_LEASES ? DV_COUNTERS_LEASE_SHARDS : header->shards;
}

static dv_counter_key make_key(const dv_counters *counters, dv_slice name, dv_counters_table table)
{
    dv_counter_key key = {.table = table};
    const dv_counters_header *header = counters->header;
    uint8_t hash[DV_SHORT_HASH_LEN];

    dv_short_hash(header->seed, name, hash);
    memcpy(key.hash, hash, sizeof(hash));
    if (key.hash[0] < HASH_FIRST) {
        key.hash[0] += HASH_FIRST;
    }
    key.shard = (uint32_t)(key.hash[1] & (shard_count(header, table) - 1));
    return key;
}

/* Quick, and good enough to tell the names of one process apart: who finds others that share a
 * place makes the hash above be computed again. */
static dv_counters_memo *memo_of(const dv_counters *counters, dv_slice name)
{
    uint64_t mixed = name.len;
    for (size_t i = 0; i + 8 <= name.len; i += 8) {
        uint64_t word;
        memcpy(&word, name.ptr + i, sizeof(word));
        mixed = (mixed ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        mixed ^= mixed >> 32;
    }
    uint64_t last;
    memcpy(&last, name.ptr + name.len - 8, sizeof(last));
    mixed = (mixed ^ last) * UINT64_C(0x9e3779b97f4a7c15);
    return &counters->memo[mixed >> 32 & (DV_COUNTERS_MEMO - 1)];
}

dv_counter_key dv_counters_key(const dv_counters *counters, dv_slice name, dv_counters_table table)
{
    if (name.len < 8 || name.len > DV_COUNTERS_MEMO_NAME) {
        return make_key(counters, name, table);
    }
    dv_counters_memo *memo = memo_of(counters, name);
    if (memo->len != name.len || memo->key.table != table ||
        memcmp(memo->name, name.ptr, name.len) != 0) {
        memo->key = make_key(counters, name, table);
        memcpy(memo->name, name.ptr, name.len);
        memo->len = name.len;
    }
    return memo->key;
}

void dv_counters_prepare(dv_counters *counters, dv_counters_session *session)
{
    session->counters = counters;
    session->claimed_count = 0;
    memset(session->shards, 0, sizeof(session->shards));
}

void dv_counters_want(dv_counters_session *session, const dv_counter_key *key)
{
    session->shards[key->table] |= UINT64_C(1) << key->shard;
}

/* Waits only where another process holds the lock, and not for ever: its owner may be stopped. In
 * slices: a waiter that is killed as it is woken, and another that takes the lock before it could,
 * leave those who wait behind it asleep with nobody to wake them. */
static dv_result lock_shard(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_trylock(mutex);

    for (int slice = 0; slice < LOCK_SLICES && (failed == EBUSY || failed == ETIMEDOUT); slice++) {
        dv_time until = dv_time_monotonic() + LOCK_WAIT_SECONDS * DV_SECOND / LOCK_SLICES;
        struct timespec at = {.tv_sec = until / DV_SECOND, .tv_nsec = until % DV_SECOND};

        failed = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &at);
    }
    if (failed == EOWNERDEAD) { /* invariant 2: there is nothing to mend */
        failed = pthread_mutex_consistent(mutex);
    }
    return failed == 0 ? DV_OK : DV_ERR_UNAVAILABLE;
}

static pthread_mutex_t *mutex_of(const dv_counters *counters, size_t table, int shard)
{
    uint32_t base = shard_base(counters->header, (dv_counters_table)table);

    return &counters->shards[base + (uint32_t)shard].mutex;
}

/* Unlocks those of the table whose bits are set. */
static void unlock_shards(const dv_counters *counters, size_t table, uint64_t bits)
{
    for (; bits != 0; bits &= bits - 1) {
        pthread_mutex_unlock(mutex_of(counters, table, __builtin_ctzll(bits)));
    }
}

dv_result dv_counters_lock(dv_counters_session *session)
{
    uint64_t locked[DV_COUNTERS_TABLES] = {0};

    for (size_t table = 0; table < DV_COUNTERS_TABLES; table++) {
        for (uint64_t bits = session->shards[table]; bits != 0; bits &= bits - 1) {
            if (lock_shard(mutex_of(session->counters, table, __builtin_ctzll(bits))) != DV_OK) {
                memcpy(session->shards, locked, sizeof(locked));
                dv_counters_end(session);
                return DV_ERR_UNAVAILABLE;
            }
            locked[table] |= bits & -bits;
        }
    }
    return DV_OK;
}

void dv_counters_end(dv_counters_session *session)
{
    for (size_t table = DV_COUNTERS_TABLES; table > 0; table--) {
        unlock_shards(session->counters, table - 1, session->shards[table - 1]);
        session->shards[table - 1] = 0;
    }
    session->claimed_count = 0;
}

static bool is_claimed(const dv_counters_session *session, const void *entry)
{
    for (size_t i = 0; i < session->claimed_count; i++) {
        if (session->claimed[i] == entry) {
            return true;
        }
    }
    return false;
}

static bool gives_way(const dv_counters_session *session, const dv_counter *counter, dv_time now)
{
    if (counter->hash[0] < HASH_FIRST) {
        return true;
    }
    return counter->ns < now - settled && !is_claimed(session, counter);
}

/* The fields one after the other, in this order, whatever the compiler would like (invariant 2). */
static void put_u64(uint64_t *field, uint64_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELEASE);
}

uint64_t dv_counter_generation(const dv_counter *counter)
{
    return counter->generation;
}

void dv_counter_renew(const dv_counters *counters, dv_counter *counter)
{
    uint64_t next = __atomic_add_fetch(&counters->header->generations, 1, __ATOMIC_RELAXED);

    put_u64(&counter->generation, next);
}

static void place_key(const dv_counters *counters, dv_counter *counter, const dv_counter_key *key)
{
    put_u64(&counter->hash[0], HASH_IN_CHANGE);
    __atomic_store_n(&counter->ns, 0, __ATOMIC_RELEASE);
    put_u64(&counter->part, 0);
    dv_counter_renew(counters, counter);
    put_u64(&counter->hash[1], key->hash[1]);
    put_u64(&counter->hash[0], key->hash[0]);
}

static dv_counter *shard_of(const dv_counters *counters, const dv_counter_key *key)
{
    uint64_t shard = shard_base(counters->header, key->table) + key->shard;

    return counters->entries + shard * counters->header->entries_per_shard;
}

/* Looks the window through: the key's entry, or else the first that gives way, or else NULL. */
static dv_counter *find_place(const dv_counters_session *session, const dv_counter_key *key,
                              dv_time now, bool *ret_found, dv_time *room_at)
{
    uint64_t mask = session->counters->header->entries_per_shard - 1;
    dv_counter *shard = shard_of(session->counters, key);
    dv_counter *place = NULL;

    for (uint64_t i = 0; i < WINDOW; i++) {
        dv_counter *counter = &shard[(key->hash[0] + i) & mask];
        if (counter->hash[0] == key->hash[0] && counter->hash[1] == key->hash[1]) {
            *ret_found = true;
            return counter;
        }
        if (place == NULL && gives_way(session, counter, now)) {
            place = counter;
        }
        if (counter->hash[0] == HASH_NEVER_USED) {
            break;
        }
        if (counter->ns >= now - settled) {
            *room_at = DV_MIN(*room_at, counter->ns);
        }
    }
    return place;
}

dv_result dv_counters_claim(dv_counters_session *session, const dv_counter_key *key, dv_time now,
                            dv_counter **ret_counter, dv_time *ret_room_at)
{
    bool found = false;
    dv_time room_at = DV_TIME_NEVER;

    if (session->claimed_count == DV_COUNTERS_SESSION_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_counter *counter = find_place(session, key, now, &found, &room_at);
    if (counter == NULL) {
        *ret_room_at = room_at < DV_TIME_NEVER - settled ? room_at + settled + 1 : DV_TIME_NEVER;
        return DV_ERR_NOT_FOUND;
    }
    if (!found) {
        place_key(session->counters, counter, key);
    }
    session->claimed[session->claimed_count++] = counter;
    *ret_counter = counter;
    return DV_OK;
}

dv_counter *dv_counters_find(const dv_counters_session *session, const dv_counter_key *key)
{
    uint64_t mask = session->counters->header->entries_per_shard - 1;
    dv_counter *shard = shard_of(session->counters, key);

    for (uint64_t i = 0; i < WINDOW; i++) {
        dv_counter *counter = &shard[(key->hash[0] + i) & mask];
        if (counter->hash[0] == key->hash[0] && counter->hash[1] == key->hash[1]) {
            return counter;
        }
        if (counter->hash[0] == HASH_NEVER_USED) {
            break;
        }
    }
    return NULL;
}

dv_counter_time dv_counter_get(const dv_counter *counter)
{
    return (dv_counter_time){counter->ns, counter->part};
}

void dv_counter_set(dv_counter *counter, dv_counter_time time)
{
    /* Never earlier than the new time in between: a part is less than a nanosecond. */
    __atomic_store_n(&counter->ns, time.ns + 1, __ATOMIC_RELEASE);
    put_u64(&counter->part, time.part);
    __atomic_store_n(&counter->ns, time.ns, __ATOMIC_RELEASE);
}

uint64_t dv_counter_word(const dv_counter *counter)
{
    return counter->part;
}

void dv_counter_set_word(dv_counter *counter, uint64_t word, dv_time keep)
{
    __atomic_store_n(&counter->ns, keep, __ATOMIC_RELEASE);
    put_u64(&counter->part, word);
}
