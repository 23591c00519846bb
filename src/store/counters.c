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

enum { WINDOW = 64, LOCK_WAIT_SECONDS = 1 };
static const dv_time settled = DV_SECOND;
enum { HASH_NEVER_USED = 0, HASH_IN_CHANGE = 1, HASH_FIRST = 2 };

dv_counter_key dv_counters_key(const dv_counters *counters, dv_slice name, bool address)
{
    dv_counter_key key = {.address = address};
    const dv_counters_header *header = counters->header;
    uint8_t hash[DV_SHORT_HASH_LEN];

    dv_short_hash(header->seed, name, hash);
    memcpy(key.hash, hash, sizeof(hash));
    if (key.hash[0] < HASH_FIRST) {
        key.hash[0] += HASH_FIRST;
    }
    key.shard = (uint32_t)(key.hash[1] & (header->shards - 1)) + (address ? header->shards : 0);
    return key;
}

/* Inserts the shard into the sorted list, unless it is there. */
static void add_shard(dv_counters_session *session, uint32_t shard)
{
    size_t at = session->shard_count;

    while (at > 0 && session->shards[at - 1] > shard) {
        at--;
    }
    if (at > 0 && session->shards[at - 1] == shard) {
        return;
    }
    memmove(&session->shards[at + 1], &session->shards[at],
            (session->shard_count - at) * sizeof(session->shards[0]));
    session->shards[at] = shard;
    session->shard_count++;
}

/* Waits only where another process holds the lock, and not for ever: its owner may be stopped. */
static dv_result lock_shard(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_trylock(mutex);

    if (failed == EBUSY) {
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOCK_WAIT_SECONDS;
        failed = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
    }
    if (failed == EOWNERDEAD) { /* invariant 2: there is nothing to mend */
        failed = pthread_mutex_consistent(mutex);
    }
    return failed == 0 ? DV_OK : DV_ERR_UNAVAILABLE;
}

static void unlock_shards(dv_counters *counters, const uint32_t *shards, size_t count)
{
    while (count > 0) {
        count--;
        pthread_mutex_unlock(&counters->shards[shards[count]].mutex);
    }
}

dv_result dv_counters_begin(dv_counters *counters, const dv_counter_key *keys, size_t count,
                            dv_counters_session *ret_session)
{
    dv_counters_session session = {.counters = counters};

    if (count > DV_COUNTERS_SESSION_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    for (size_t i = 0; i < count; i++) {
        add_shard(&session, keys[i].shard);
    }
    for (size_t i = 0; i < session.shard_count; i++) {
        dv_result result = lock_shard(&counters->shards[session.shards[i]].mutex);
        if (result != DV_OK) {
            unlock_shards(counters, session.shards, i);
            return result;
        }
    }
    *ret_session = session;
    return DV_OK;
}

void dv_counters_end(dv_counters_session *session)
{
    unlock_shards(session->counters, session->shards, session->shard_count);
    session->shard_count = 0;
    session->claimed_count = 0;
}

static bool is_claimed(const dv_counters_session *session, const dv_counter *counter)
{
    for (size_t i = 0; i < session->claimed_count; i++) {
        if (session->claimed[i] == counter) {
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

static void place_key(dv_counter *counter, const dv_counter_key *key)
{
    put_u64(&counter->hash[0], HASH_IN_CHANGE);
    __atomic_store_n(&counter->ns, 0, __ATOMIC_RELEASE);
    put_u64(&counter->part, 0);
    put_u64(&counter->hash[1], key->hash[1]);
    put_u64(&counter->hash[0], key->hash[0]);
}

/* Looks the window through: the key's entry, or else the first that gives way, or else NULL. */
static dv_counter *find_place(const dv_counters_session *session, const dv_counter_key *key,
                              dv_time now, bool *ret_found, dv_time *room_at)
{
    uint64_t mask = session->counters->header->entries_per_shard - 1;
    dv_counter *shard = session->counters->entries + key->shard * (mask + 1);
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
        place_key(counter, key);
    }
    session->claimed[session->claimed_count++] = counter;
    *ret_counter = counter;
    return DV_OK;
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
