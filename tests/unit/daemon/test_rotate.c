/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the log's signing key, with a death or a full disk at every change to the disk. */
#include "base/file.h"
#include "daemon/logd_rotate.h"
#include "engine/log/rotation.h"
#include "engine/log/search.h"
#include "engine/log/verify.h"

#include "../log/fault.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static char root[64], log_folder[80], spool_folder[80];

/* One life of the log. */
typedef struct life {
    dv_logd_keys keys;
    dv_sequencer *sequencer;
    dv_logd_rotate_on on;
} life;

static int make_root(void **state)
{
    snprintf(root, sizeof(root), "%s/dvara-rotate-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(root) == NULL) {
        return -1;
    }
    snprintf(log_folder, sizeof(log_folder), "%s/log", root);
    snprintf(spool_folder, sizeof(spool_folder), "%s/spool", root);
    return mkdir(spool_folder, 0700);
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int remove_root(void **state)
{
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* As dvara-logd does it. */
static dv_result begin(life *l, dv_error *error)
{
    DV_TRY(dv_logd_keys_load(root, &l->keys, error));
    const dv_sequencer_options options = {.log_folder = log_folder,
                                          .spools = {spool_folder, NULL},
                                          .keys = &l->keys.box,
                                          .signer = &l->keys.signer,
                                          .batch_bytes = 1 << 20};
    DV_TRY(dv_sequencer_open(&options, &l->sequencer, error));
    l->on = (dv_logd_rotate_on){
        .state_dir = root, .log_folder = log_folder, .keys = &l->keys, .sequencer = l->sequencer};
    return dv_logd_rotate_resume(&l->on, error);
}

static void end(life *l)
{
    if (l->sequencer != NULL) {
        dv_sequencer_close(l->sequencer);
    }
    dv_logd_keys_wipe(&l->keys);
}

/* A new key, and the old one gone. */
static dv_result change_and_retire(life *l, dv_error *error)
{
    dv_logd_rotate_plan plan = {.overlap = DV_SECOND};
    if (!l->keys.signer.overlaps) {
        DV_TRY(dv_logd_rotate_carry_out(&l->on, &plan, error));
    }
    plan.retire = true;
    plan.key_id = l->keys.signer.old_verifier.key_id;
    return dv_logd_rotate_carry_out(&l->on, &plan, error);
}

typedef struct named {
    dv_note_verifier keys[512];
    size_t count;
} named;

static dv_result note_named(void *data, uint64_t index, dv_slice entry)
{
    named *all = data;
    dv_note_verifier key;
    if (dv_rotation_read(entry, &key) == DV_OK) {
        assert_true(all->count < DV_ARRAY_LEN(all->keys));
        for (size_t i = 0; i < all->count; i++) {
            assert_int_not_equal(all->keys[i].key_id, key.key_id); /* once */
        }
        all->keys[all->count++] = key;
    }
    return DV_OK;
}

/* The whole log verifies, from the first key of all; each key that followed is named once. Returns
 * how many there were. */
static size_t check(const dv_note_verifier *first)
{
    static named all;
    dv_note_verifier now;
    dv_log_report report;
    dv_error error = {0};
    size_t steps;
    all.count = 0;
    dv_result result = dv_rotation_follow(log_folder, first, &now, &steps, &error);
    if (result != DV_OK) {
        fail_msg("%s", error.message);
    }
    result = dv_log_verify(log_folder, &now, NULL, NULL, &report);
    if (result != DV_OK) {
        fail_msg("%s", report.problem);
    }
    assert_int_equal(dv_log_read(log_folder, report.size, 0, UINT64_MAX, note_named, &all, &error),
                     DV_OK);
    assert_true(steps <= all.count);
    if (steps > 0) {
        assert_int_equal(all.keys[steps - 1].key_id, now.key_id);
    }
    return all.count;
}

/* The checkpoint bears the signatures of the keys that sign now, and no others. */
static void check_signatures(const life *l)
{
    char path[PATH_MAX];
    dv_note parts;
    dv_checkpoint checkpoint;
    dv_auto(note_signature) dv_note_signature line = {.key_id = 0};
    dv_auto(buf) dv_buf note = dv_buf_init(DV_NOTE_MAX);
    const dv_tree_signer *signer = &l->keys.signer;
    size_t lines = 0;
    snprintf(path, sizeof(path), "%s/checkpoint", log_folder);
    assert_int_equal(dv_file_read(path, &note, NULL), DV_OK);
    assert_int_equal(dv_checkpoint_open(dv_buf_slice(&note), &signer->verifier, &checkpoint),
                     DV_OK);
    assert_int_equal(dv_note_split(dv_buf_slice(&note), &parts), DV_OK);
    while (dv_note_next(&parts.signatures, &line) == DV_OK) {
        lines++;
    }
    assert_int_equal(lines, signer->overlaps ? 2 : 1);
}

static int change_and_die(long step)
{
    dv_error error = {0};
    life l = {0};
    if (begin(&l, &error) != DV_OK) {
        return 3;
    }
    fault_arm(FAULT_KILL, step);
    return change_and_retire(&l, &error) == DV_OK ? 0 : 4;
}

static void first_key(dv_note_verifier *ret_key)
{
    dv_error error = {0};
    life l = {0};
    assert_int_equal(begin(&l, &error), DV_OK);
    *ret_key = l.keys.signer.verifier;
    end(&l);
}

static void test_a_death_at_every_change_to_the_disk(void **state)
{
    dv_note_verifier first;
    int last = FAULT_EXIT;
    first_key(&first);
    for (long step = 1; last == FAULT_EXIT; step++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            _exit(change_and_die(step));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        last = WEXITSTATUS(status);
        assert_true(last == FAULT_EXIT || last == 0);
        check(&first); /* before the next life mends anything */
        dv_error error = {0};
        life l = {0};
        dv_result result = begin(&l, &error);
        if (result != DV_OK) {
            fail_msg("step %ld: %s", step, error.message);
        }
        assert_false(l.keys.changing);
        check_signatures(&l);
        if (l.keys.signer.overlaps) { /* brought to its end, so that the next one begins anew */
            assert_int_equal(change_and_retire(&l, &error), DV_OK);
        }
        end(&l);
        check(&first);
        assert_true(step < 200);
    }
}

static void test_a_full_disk_and_another_try(void **state)
{
    dv_note_verifier first;
    first_key(&first);
    bool reached = true;
    for (long step = 1; reached; step++) {
        dv_error error = {0};
        life l = {0};
        assert_int_equal(begin(&l, &error), DV_OK);
        fault_arm(FAULT_ENOSPC, step);
        dv_result result = change_and_retire(&l, &error);
        reached = fault_countdown <= 0;
        fault_arm(FAULT_NONE, 0);
        if (result != DV_OK) {
            check(&first);
            error = (dv_error){0};
            result = change_and_retire(&l, &error);
        }
        if (result != DV_OK) {
            fail_msg("step %ld: %s", step, error.message);
        }
        end(&l);
        check(&first);
        assert_true(step < 200);
    }
}

static void test_files_of_keys(void **state)
{
    char path[PATH_MAX];
    dv_error error = {0};
    life l = {0};
    dv_logd_rotate_plan plan = {.overlap = 0};
    assert_int_equal(begin(&l, &error), DV_OK);
    assert_int_equal(dv_logd_rotate_carry_out(&l.on, &plan, &error), DV_OK);
    assert_int_equal(dv_logd_rotate_carry_out(&l.on, &plan, &error), DV_ERR_CONFLICT);
    plan.retire = true;
    plan.key_id = l.keys.signer.verifier.key_id; /* the new one */
    assert_int_equal(dv_logd_rotate_carry_out(&l.on, &plan, &error), DV_ERR_CONFLICT);
    end(&l);
    /* Half destroyed: a death came between the overwriting and the removal. */
    snprintf(path, sizeof(path), "%s/keys/log/signing.old", root);
    static const uint8_t zeros[1024];
    assert_int_equal(dv_file_write_atomic(path, dv_slice_of(zeros, sizeof(zeros)), 0600, &error),
                     DV_OK);
    l = (life){0};
    assert_int_equal(begin(&l, &error), DV_OK);
    assert_false(l.keys.signer.overlaps);
    assert_int_equal(access(path, F_OK), -1);
    end(&l);
    assert_int_equal(dv_file_write_atomic(path, DV_LIT("no key\n"), 0600, &error), DV_OK);
    l = (life){0};
    assert_int_equal(begin(&l, &error), DV_ERR_CORRUPT);
    end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_death_at_every_change_to_the_disk, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(test_a_full_disk_and_another_try, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_files_of_keys, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
