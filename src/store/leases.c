/* SPDX-License-Identifier: Apache-2.0 */
/* What each process holds, by seat. Invariants:
 *
 * 1. A process writes only the column of its own seat, under the shard's lock. The lock of the seat
 *    (counters_file.h) belongs to the open file description, so that the kernel gives it back when
 *    the process dies, whatever it was doing.
 * 2. Whoever takes a seat first empties the columns of all seats that nobody sits on: what a dead
 *    process held counts no more. Only one process at a time takes a seat (the opening lock).
 * 3. An entry gives way only while nobody holds anything of it.
 * 4. Seats are taken from the lowest on, and header->seats_used is above each that ever was: what
 *    lies behind is zero, and nobody looks at it. It grows under the opening lock and all shards'.
 */
#include "store/counters_file.h"

#include <errno.h>
#include <fcntl.h>

enum { WINDOW = 16, HASH_NEVER_USED = 0 };

/* -- seats ------------------------------------------------------------------------------------- */

static bool try_seat(const dv_counters *counters, int seat)
{
    return dv_counters_lock_byte(counters->fd, F_WRLCK, DV_COUNTERS_LOCK_SEATS + seat, false) == 0;
}

static void leave_seat(const dv_counters *counters, int seat)
{
    (void)dv_counters_lock_byte(counters->fd, F_UNLCK, DV_COUNTERS_LOCK_SEATS + seat, false);
}

/* A file's damage must not lead outside of it. */
static int seats_used(const dv_counters *counters)
{
    return (int)DV_MIN(counters->header->seats_used, (uint32_t)DV_COUNTERS_SEATS);
}

static void empty_seats(const dv_counters *counters, const bool empty[DV_COUNTERS_SEATS])
{
    int used = seats_used(counters);
    size_t count = DV_COUNTERS_LEASE_SHARDS * counters->header->leases_per_shard;

    for (size_t i = 0; i < count; i++) {
        dv_lease *lease = &counters->leases[i];
        if (lease->hash[0] == HASH_NEVER_USED) {
            continue;
        }
        for (int seat = 0; seat < used; seat++) {
            if (empty[seat]) {
                __atomic_store_n(&lease->held[seat], 0, __ATOMIC_RELEASE);
            }
        }
    }
}

static void want_all(dv_counters_session *session)
{
    session->shards[DV_COUNTERS_LEASES] = (UINT64_C(1) << DV_COUNTERS_LEASE_SHARDS) - 1;
}

/* With the opening lock held. */
static dv_result take_seat(dv_counters *counters)
{
    bool empty[DV_COUNTERS_SEATS];
    dv_counters_session session;
    int seat = -1;

    for (int i = 0; i < DV_COUNTERS_SEATS; i++) {
        empty[i] = try_seat(counters, i);
        seat = empty[i] && seat < 0 ? i : seat;
    }
    dv_counters_prepare(counters, &session);
    want_all(&session);
    dv_result result = seat < 0 ? DV_ERR_UNAVAILABLE : dv_counters_lock(&session);
    if (result == DV_OK) {
        empty_seats(counters, empty);
        counters->header->seats_used = DV_MAX(counters->header->seats_used, (uint32_t)seat + 1);
        dv_counters_end(&session);
    }
    for (int i = 0; i < DV_COUNTERS_SEATS; i++) {
        if (empty[i] && (i != seat || result != DV_OK)) {
            leave_seat(counters, i);
        }
    }
    counters->seat = result == DV_OK ? seat : -1;
    return result;
}

bool dv_counters_sits(const dv_counters *counters)
{
    return counters->seat >= 0;
}

dv_result dv_counters_sit(dv_counters *counters)
{
    if (counters->seat >= 0) {
        return DV_OK;
    }
    if (dv_counters_lock_byte(counters->fd, F_WRLCK, DV_COUNTERS_LOCK_OPENING, true) < 0) {
        return DV_ERR_IO;
    }
    dv_result result = take_seat(counters);
    (void)dv_counters_lock_byte(counters->fd, F_UNLCK, DV_COUNTERS_LOCK_OPENING, false);
    return result;
}

/* -- entries ----------------------------------------------------------------------------------- */

static bool is_claimed(const dv_counters_session *session, const dv_lease *lease)
{
    for (size_t i = 0; i < session->claimed_count; i++) {
        if (session->claimed[i] == lease) {
            return true;
        }
    }
    return false;
}

static bool is_key(const dv_lease *lease, const dv_counter_key *key)
{
    return lease->hash[0] == key->hash[0] && lease->hash[1] == key->hash[1];
}

/* The key's entry, or the first in its window that gives way (*ret_found says which), or NULL. */
static dv_lease *find_place(const dv_counters_session *session, const dv_counter_key *key,
                            bool *ret_found)
{
    uint64_t mask = session->counters->header->leases_per_shard - 1;
    dv_lease *shard = session->counters->leases + key->shard * (mask + 1);
    dv_lease *place = NULL;

    for (uint64_t i = 0; i < WINDOW; i++) {
        dv_lease *lease = &shard[(key->hash[0] + i) & mask];
        if (is_key(lease, key)) {
            *ret_found = true;
            return lease;
        }
        if (place == NULL && dv_lease_total(session->counters, lease) == 0 &&
            !is_claimed(session, lease)) {
            place = lease;
        }
        if (lease->hash[0] == HASH_NEVER_USED) {
            break;
        }
    }
    return place;
}

dv_result dv_leases_claim(dv_counters_session *session, const dv_counter_key *key,
                          dv_lease **ret_lease)
{
    bool found = false;

    if (session->counters->seat < 0) {
        return DV_ERR_UNAVAILABLE;
    }
    if (session->claimed_count == DV_COUNTERS_SESSION_MAX) {
        return DV_ERR_TOO_LARGE;
    }
    dv_lease *lease = find_place(session, key, &found);
    if (lease == NULL) {
        return DV_ERR_NOT_FOUND;
    }
    if (!found) { /* nobody holds any of it, so that half a hash harms nobody */
        __atomic_store_n(&lease->hash[1], key->hash[1], __ATOMIC_RELEASE);
        __atomic_store_n(&lease->hash[0], key->hash[0], __ATOMIC_RELEASE);
    }
    session->claimed[session->claimed_count++] = lease;
    *ret_lease = lease;
    return DV_OK;
}

dv_lease *dv_leases_find(const dv_counters_session *session, const dv_counter_key *key)
{
    bool found = false;
    dv_lease *lease = find_place(session, key, &found);

    return found ? lease : NULL;
}

uint64_t dv_lease_total(const dv_counters *counters, const dv_lease *lease)
{
    int used = seats_used(counters);
    uint32_t total = 0;

    for (int i = 0; i < used; i++) {
        total += lease->held[i];
    }
    return total;
}

void dv_lease_add(const dv_counters *counters, dv_lease *lease, int delta)
{
    int held = lease->held[counters->seat] + delta;

    held = DV_MIN(DV_MAX(held, 0), UINT16_MAX);
    __atomic_store_n(&lease->held[counters->seat], (uint16_t)held, __ATOMIC_RELEASE);
}
