/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/short_hash.h"
#include "engine/limit/limit.h"

#include "tests/unit/limit/scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const dv_time now = 1700000000 * DV_SECOND;

/* Charges one of two permits an hour. */
static dv_limit_state charge_key(scratch *s, const char *key, bool address, dv_time at)
{
    dv_limit_charge charge = {dv_slice_str(key), {2, 3600 * DV_SECOND, 2}, 1, address};
    dv_limit_state state;

    assert_int_equal(dv_limit_charge_all(s->counters, &charge, 1, at, &state), DV_OK);
    return state;
}

static void reopened_file_keeps_its_state(void **unused)
{
    scratch s = scratch_new(100);

    assert_int_equal(charge_key(&s, "k", false, now).remaining, 1);
    dv_counters_close(s.counters);
    scratch_open(&s, 100);
    assert_false(s.replaced);
    assert_int_equal(charge_key(&s, "k", false, now).remaining, 0);
    assert_false(charge_key(&s, "k", false, now).admitted);
    scratch_end(&s);
}

static void two_mappings_count_together(void **unused)
{
    scratch s = scratch_new(100), other = s;

    scratch_open(&other, 100);
    assert_false(other.replaced);
    assert_true(charge_key(&s, "k", false, now).admitted);
    assert_true(charge_key(&other, "k", false, now).admitted);
    assert_false(charge_key(&s, "k", false, now).admitted);
    dv_counters_close(other.counters);
    scratch_end(&s);
}

static void write_at(const char *path, off_t offset, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, offset), len);
    close(fd);
}

static void damaged_header_is_replaced_and_says_so(void **unused)
{
    /* Each byte of the header up to its checksum counts. */
    for (off_t offset = 0; offset < 60; offset += 7) {
        scratch s = scratch_new(100);
        uint8_t byte = 0;

        assert_true(charge_key(&s, "k", false, now).admitted);
        dv_counters_close(s.counters);
        int fd = open(s.path, O_RDONLY);
        assert_int_equal(pread(fd, &byte, 1, offset), 1);
        close(fd);
        byte ^= 0x5a;
        write_at(s.path, offset, &byte, 1);
        scratch_open(&s, 100);
        assert_true(s.replaced);
        assert_int_equal(charge_key(&s, "k", false, now).remaining, 1);
        scratch_end(&s);
    }
}

static void file_of_another_size_is_replaced(void **unused)
{
    scratch s = scratch_new(100);
    struct stat small, large;

    assert_int_equal(stat(s.path, &small), 0);
    dv_counters_close(s.counters);
    scratch_open(&s, 100000);
    assert_true(s.replaced);
    assert_int_equal(stat(s.path, &large), 0);
    assert_true(large.st_size > 3 * 2 * 100000 * 24 && small.st_size < 1 << 20);
    assert_true(large.st_blocks * 512 >= large.st_size); /* the space is taken */
    dv_counters_close(s.counters);
    assert_int_equal(truncate(s.path, large.st_size - 1), 0);
    scratch_open(&s, 100000);
    assert_true(s.replaced);
    scratch_end(&s);
}

static void file_in_use_is_left_alone(void **unused)
{
    scratch s = scratch_new(100), other = s;
    dv_error error = {0};

    assert_true(charge_key(&s, "k", false, now).admitted);
    scratch_open(&other, 5000); /* another size: joins the one that is there */
    assert_false(other.replaced);
    assert_int_equal(charge_key(&other, "k", false, now).remaining, 0);
    dv_counters_close(other.counters);

    write_at(s.path, 0, "garbage", 7);
    assert_int_equal(dv_counters_open(s.path, 100, &other.counters, &other.replaced, &error),
                     DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "damaged"));
    scratch_end(&s);
}

static void refuses_what_is_no_file(void **unused)
{
    scratch s = scratch_new(100);
    dv_counters *counters = NULL;
    bool replaced = false;
    char link[100];
    dv_error error = {0};

    assert_int_equal(dv_counters_open(s.folder, 100, &counters, &replaced, &error), DV_ERR_IO);
    assert_int_equal(dv_counters_open("/dev/null", 100, &counters, &replaced, &error),
                     DV_ERR_INVALID);
    assert_int_equal(dv_counters_open("/nowhere/at/all", 100, &counters, &replaced, &error),
                     DV_ERR_IO);
    assert_non_null(strstr(error.message, "/nowhere/at/all"));
    snprintf(link, sizeof(link), "%s-link", s.path);
    assert_int_equal(symlink(s.path, link), 0);
    assert_int_equal(dv_counters_open(link, 100, &counters, &replaced, &error), DV_ERR_IO);
    unlink(link);
    assert_int_equal(dv_counters_open(s.path, 0, &counters, &replaced, &error), DV_ERR_INVALID);
    assert_int_equal(dv_counters_open(s.path, (1 << 26) + 1, &counters, &replaced, &error),
                     DV_ERR_INVALID);
    assert_null(counters);
    scratch_end(&s);
}

/* Fills a table with keys until one is refused; returns how many were taken. */
static int fill(scratch *s, bool address)
{
    char key[32];

    for (int i = 0; i < 100000; i++) {
        snprintf(key, sizeof(key), "k/%d", i);
        dv_limit_state state = charge_key(s, key, address, now);
        if (!state.admitted) {
            assert_true(state.full);
            assert_true(state.retry_after > 0 && state.retry_after <= 1802 * DV_SECOND);
            return i;
        }
    }
    return -1;
}

static void full_table_refuses_new_keys_and_keeps_the_old(void **unused)
{
    scratch s = scratch_new(250);
    int taken = fill(&s, false);

    assert_true(taken >= 250);
    assert_int_equal(charge_key(&s, "k/0", false, now).remaining, 0);
    assert_false(charge_key(&s, "k/0", false, now).full);
    /* The other table has room of its own. */
    assert_true(charge_key(&s, "10.0.0.1", true, now).admitted);
    /* When their time has passed, the keys give way. */
    char key[32];
    snprintf(key, sizeof(key), "k/%d", taken);
    assert_true(charge_key(&s, key, false, now + 1801 * DV_SECOND).full);
    assert_true(charge_key(&s, key, false, now + 1801 * DV_SECOND + 1).admitted);
    scratch_end(&s);
}

static void full_table_of_addresses_spares_the_keys(void **unused)
{
    scratch s = scratch_new(250);

    assert_true(fill(&s, true) >= 250);
    assert_true(charge_key(&s, "user/alice", false, now).admitted);
    scratch_end(&s);
}

/* Two new keys of one request never get the same place, and a request with no room for one of its
 * keys takes nothing from the others. */
static void full_table_refuses_the_request_whole(void **unused)
{
    scratch s = scratch_new(250);
    int taken = fill(&s, true);
    dv_limit_charge charges[2] = {{DV_LIT("user/a"), {2, DV_SECOND, 2}, 1, false}, {.cost = 1}};
    dv_limit_state state;
    char key[32];

    snprintf(key, sizeof(key), "k/%d", taken);
    charges[1] = (dv_limit_charge){dv_slice_str(key), {2, 3600 * DV_SECOND, 2}, 1, true};
    assert_int_equal(dv_limit_charge_all(s.counters, charges, 2, now, &state), DV_OK);
    assert_false(state.admitted);
    assert_true(state.full);
    assert_int_equal(state.decided_by, 1);
    assert_int_equal(dv_limit_charge_all(s.counters, charges, 1, now, &state), DV_OK);
    assert_int_equal(state.remaining, 1);
    scratch_end(&s);
}

static void large_table_holds_as_many_as_promised(void **unused)
{
    scratch s = scratch_new(50000);
    char key[32];

    for (int i = 0; i < 50000; i++) {
        snprintf(key, sizeof(key), "k/%d", i);
        assert_true(charge_key(&s, key, false, now).admitted);
    }
    for (int i = 0; i < 50000; i++) {
        snprintf(key, sizeof(key), "k/%d", i);
        assert_int_equal(charge_key(&s, key, false, now).remaining, 0);
    }
    scratch_end(&s);
}

/* A claimed but never charged key (its time has passed) is not taken for another key of the same
 * session: sixteen new keys get sixteen places. */
static void session_keeps_its_places_apart(void **unused)
{
    enum { KEYS = 16 };
    scratch s = scratch_new(250);
    dv_counter_key keys[KEYS];
    dv_counter *claimed[KEYS];
    dv_counters_session session;
    dv_time room_at = 0;

    dv_counters_prepare(s.counters, &session);
    for (uint8_t i = 0; i < KEYS; i++) {
        keys[i] = dv_counters_key(s.counters, dv_slice_of(&i, 1), (dv_counters_table)(i % 2));
        keys[i].hash[0] = 1000 * 4096 + (uint64_t)i * 4096; /* all want the same place */
        dv_counters_want(&session, &keys[i]);
    }
    assert_int_equal(dv_counters_lock(&session), DV_OK);
    for (size_t i = 0; i < KEYS; i++) {
        assert_int_equal(dv_counters_claim(&session, &keys[i], now, &claimed[i], &room_at), DV_OK);
        for (size_t j = 0; j < i; j++) {
            assert_ptr_not_equal(claimed[i], claimed[j]);
        }
    }
    for (size_t i = KEYS; i < DV_COUNTERS_SESSION_MAX; i++) {
        assert_int_equal(dv_counters_claim(&session, &keys[0], now, &claimed[0], &room_at), DV_OK);
    }
    assert_int_equal(dv_counters_claim(&session, &keys[0], now, &claimed[0], &room_at),
                     DV_ERR_TOO_LARGE);
    dv_counters_end(&session);
    scratch_end(&s);
}

/* Another process dies, or stands still, with the lock held. */
static pid_t hold_lock_in_child(scratch *s, bool die)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();

    if (child == 0) {
        dv_counter_key key = dv_counters_key(s->counters, DV_LIT("any"), DV_COUNTERS_KEYS);
        dv_counters_session session;
        dv_counters_prepare(s->counters, &session);
        dv_counters_want(&session, &key);
        if (dv_counters_lock(&session) != DV_OK || write(ready[1], "x", 1) != 1) {
            _exit(1);
        }
        if (die) {
            _exit(0);
        }
        pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void dead_owner_of_a_lock_is_survived(void **unused)
{
    scratch s = scratch_new(100); /* one shard a table: everyone wants the same lock */
    int status = 0;

    for (int i = 0; i < 3; i++) {
        pid_t child = hold_lock_in_child(&s, true);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(charge_key(&s, "k", false, now).admitted, i < 2);
    }
    scratch_end(&s);
}

static void stopped_owner_of_a_lock_refuses(void **unused)
{
    scratch s = scratch_new(100);
    pid_t child = hold_lock_in_child(&s, false);
    dv_limit_charge charge = {DV_LIT("k"), {2, DV_SECOND, 2}, 1, false};
    dv_limit_state state = {.admitted = true};

    assert_int_equal(dv_limit_charge_all(s.counters, &charge, 1, now, &state), DV_ERR_UNAVAILABLE);
    assert_false(state.admitted);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(dv_limit_charge_all(s.counters, &charge, 1, now, &state), DV_OK);
    assert_true(state.admitted);
    scratch_end(&s);
}

/* The first of the reference's vectors: key 00..0f, nothing to hash. */
static void hash_is_siphash_2_4_128(void **unused)
{
    static const uint8_t wanted[DV_SHORT_HASH_LEN] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25,
                                                      0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14,
                                                      0xc7, 0x55, 0x02, 0x93};
    uint8_t key[DV_SHORT_HASH_KEY_LEN], out[DV_SHORT_HASH_LEN];

    for (uint8_t i = 0; i < sizeof(key); i++) {
        key[i] = i;
    }
    dv_short_hash(key, (dv_slice){0}, out);
    assert_memory_equal(out, wanted, sizeof(wanted));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_is_siphash_2_4_128),
        cmocka_unit_test(reopened_file_keeps_its_state),
        cmocka_unit_test(two_mappings_count_together),
        cmocka_unit_test(damaged_header_is_replaced_and_says_so),
        cmocka_unit_test(file_of_another_size_is_replaced),
        cmocka_unit_test(file_in_use_is_left_alone),
        cmocka_unit_test(refuses_what_is_no_file),
        cmocka_unit_test(full_table_refuses_new_keys_and_keeps_the_old),
        cmocka_unit_test(full_table_of_addresses_spares_the_keys),
        cmocka_unit_test(full_table_refuses_the_request_whole),
        cmocka_unit_test(large_table_holds_as_many_as_promised),
        cmocka_unit_test(session_keeps_its_places_apart),
        cmocka_unit_test(dead_owner_of_a_lock_is_survived),
        cmocka_unit_test(stopped_owner_of_a_lock_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
