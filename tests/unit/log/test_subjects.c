/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of subjects: what is sealed opens, what is destroyed never does, whenever this process is
 * killed and whatever the disk takes. */
#include "base/caps.h"
#include "base/file.h"
#include "core/event.h"
#include "crypto/random.h"
#include "engine/log/seal.h"
#include "engine/log/subjects_file.h"
#include "fault.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static char root[64], folder[80];

static int make_folder(void **state)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    fault_arm(FAULT_NONE, 0);
    snprintf(root, sizeof(root), "%s/dvara-subjects-XXXXXX", base);
    if (mkdtemp(root) == NULL) {
        return -1;
    }
    snprintf(folder, sizeof(folder), "%s/subjects", root);
    return 0;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int remove_folder(void **state)
{
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static dv_subjects *open_subjects(void)
{
    dv_subjects *subjects = NULL;
    dv_error error = {0};
    dv_result result = dv_subjects_open(folder, &subjects, &error);
    if (result != DV_OK) {
        print_message("%s\n", error.message);
    }
    assert_int_equal(result, DV_OK);
    return subjects;
}

/* -- values -------------------------------------------------------------------------------------
 */

static dv_slice subject_text(unsigned number, char out[64])
{
    int len = snprintf(out, 64, "User::\"person-%u\"", number);
    return dv_slice_of(out, (size_t)len);
}

/* Seals one value of a subject; with its quotes off. */
static void seal_value(dv_subjects *subjects, dv_slice subject, dv_slice value, dv_buf *out)
{
    uint32_t key;
    dv_subjects_lock(subjects);
    assert_int_equal(dv_subjects_key(subjects, subject, &key), DV_OK);
    assert_int_equal(dv_subjects_seal(subjects, &key, 1, value, out), DV_OK);
    dv_subjects_unlock(subjects);
    assert_int_equal(out->len, dv_subjects_sealed_len(1, value.len));
    memmove(out->ptr, out->ptr + 1, out->len - 2);
    out->len -= 2;
}

static dv_result unseal(dv_subjects *subjects, const dv_buf *sealed, dv_slice expected)
{
    dv_auto(buf) dv_buf out = dv_buf_init(1 << 20);
    dv_subjects_lock(subjects);
    dv_result result = dv_subjects_unseal(subjects, dv_buf_slice(sealed), &out);
    dv_subjects_unlock(subjects);
    if (result == DV_OK) {
        assert_true(dv_slice_eq(dv_buf_slice(&out), expected));
    }
    return result;
}

static dv_result destroy(dv_subjects *subjects, dv_slice subject)
{
    char id[DV_SUBJECT_ID_TEXT + 1];
    DV_TRY(dv_subjects_find(subjects, subject, id));
    dv_slice text = dv_slice_str(id);
    return dv_subjects_destroy(subjects, &text, 1, NULL);
}

static void test_values_of_a_destroyed_key_do_not_open(void **state)
{
    dv_auto(subjects) dv_subjects *subjects = open_subjects();
    dv_auto(buf) dv_buf a = dv_buf_init(4096), b = dv_buf_init(4096), again = dv_buf_init(4096);
    dv_slice alice = DV_LIT("User::\"alice\""), bob = DV_LIT("User::\"bob\"");
    dv_slice value = DV_LIT("\"192.0.2.7\"");
    seal_value(subjects, alice, value, &a);
    seal_value(subjects, bob, value, &b);
    seal_value(subjects, alice, value, &again);
    assert_true(dv_slice_eq(dv_buf_slice(&a), dv_buf_slice(&again)));
    assert_false(dv_slice_eq(dv_buf_slice(&a), dv_buf_slice(&b)));
    assert_int_equal(unseal(subjects, &a, value), DV_OK);
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
    assert_int_equal(destroy(subjects, alice), DV_OK);
    assert_int_equal(destroy(subjects, alice), DV_ERR_NOT_FOUND);
    assert_int_equal(unseal(subjects, &a, value), DV_ERR_NOT_FOUND);
    assert_int_equal(unseal(subjects, &b, value), DV_OK);
    dv_buf_clear(&again);
    seal_value(subjects, alice, value, &again); /* she comes back */
    assert_false(dv_slice_eq(dv_buf_slice(&a), dv_buf_slice(&again)));
    assert_int_equal(unseal(subjects, &again, value), DV_OK);
    assert_int_equal(unseal(subjects, &a, value), DV_ERR_NOT_FOUND);
}

static void test_keys_outlive_the_process(void **state)
{
    enum { SUBJECTS = 10000 };
    char text[64], id[DV_SUBJECT_ID_TEXT + 1];
    dv_auto(buf) dv_buf first = dv_buf_init(4096), last = dv_buf_init(4096);
    dv_subjects *subjects = open_subjects();
    uint32_t key;
    seal_value(subjects, subject_text(0, text), DV_LIT("1"), &first);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        dv_subjects_lock(subjects);
        assert_int_equal(dv_subjects_key(subjects, subject_text(i, text), &key), DV_OK);
        dv_subjects_unlock(subjects);
        assert_int_equal(key, i);
        if (i % 777 == 0) {
            assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
        }
    }
    seal_value(subjects, subject_text(SUBJECTS - 1, text), DV_LIT("2"), &last);
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
    dv_subjects_close(subjects);
    subjects = open_subjects();
    assert_int_equal(dv_subjects_count(subjects), SUBJECTS);
    assert_int_equal(unseal(subjects, &first, DV_LIT("1")), DV_OK);
    assert_int_equal(unseal(subjects, &last, DV_LIT("2")), DV_OK);
    for (unsigned i = 0; i < SUBJECTS; i++) {
        assert_int_equal(dv_subjects_find(subjects, subject_text(i, text), id), DV_OK);
    }
    assert_int_equal(destroy(subjects, subject_text(5000, text)), DV_OK);
    dv_subjects_close(subjects);
    subjects = open_subjects();
    assert_int_equal(dv_subjects_count(subjects), SUBJECTS - 1);
    assert_int_equal(dv_subjects_find(subjects, subject_text(5000, text), id), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_subjects_find(subjects, subject_text(5001, text), id), DV_OK);
    dv_subjects_close(subjects);
}

/* A segment whose every row is erased has no file any more. */
static void test_a_segment_of_erased_rows_goes(void **state)
{
    enum { SUBJECTS = DV_SUBJECT_ROWS + 1 };
    static char ids[SUBJECTS][DV_SUBJECT_ID_TEXT + 1];
    static dv_slice texts[SUBJECTS];
    char text[64];
    uint32_t key;
    dv_subjects *subjects = open_subjects();
    for (unsigned i = 0; i < SUBJECTS; i++) {
        dv_subjects_lock(subjects);
        assert_int_equal(dv_subjects_key(subjects, subject_text(i, text), &key), DV_OK);
        dv_subjects_unlock(subjects);
        assert_int_equal(dv_subjects_find(subjects, subject_text(i, text), ids[i]), DV_OK);
        texts[i] = dv_slice_str(ids[i]);
    }
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
    assert_int_equal(dv_subjects_destroy(subjects, texts, DV_SUBJECT_ROWS, NULL), DV_OK);
    assert_int_equal(dv_subjects_count(subjects), 1);
    for (int i = 0; i < 2; i++) {
        dv_subjects_close(subjects);
        subjects = open_subjects();
        assert_int_equal(dv_subjects_count(subjects), 1);
        dv_auto(buf) dv_buf sealed = dv_buf_init(4096);
        seal_value(subjects, DV_LIT("User::\"new\""), DV_LIT("1"), &sealed);
        assert_int_equal(destroy(subjects, DV_LIT("User::\"new\"")), DV_OK);
    }
    dv_subjects_close(subjects);
}

/* -- what is on disk ----------------------------------------------------------------------------
 */

static void read_all(dv_buf *out)
{
    char path[PATH_MAX];
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            dv_auto(buf) dv_buf file = dv_buf_init(1 << 20);
            assert_int_equal(dv_file_read(path, &file, NULL), DV_OK);
            assert_int_equal(dv_buf_append(out, dv_buf_slice(&file)), DV_OK);
        }
    }
    closedir(dir);
}

/* Neither names nor keys, and after an erasure none of the keys that were there before: what a
 * disk kept of the old files can be opened by nothing that is still there. */
static void test_files_tell_nothing(void **state)
{
    dv_auto(buf) dv_buf before = dv_buf_init(1 << 20), after = dv_buf_init(1 << 20);
    dv_auto(buf) dv_buf sealed = dv_buf_init(4096);
    dv_subject_table table;
    uint8_t old_root[DV_SUBJECT_KEY_LEN], old_key[DV_SUBJECT_KEY_LEN];
    dv_subjects *subjects = open_subjects();
    seal_value(subjects, DV_LIT("User::\"xanthippe\""), DV_LIT("1"), &sealed);
    dv_buf_clear(&sealed);
    seal_value(subjects, DV_LIT("User::\"bob\""), DV_LIT("1"), &sealed);
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
    dv_subjects_close(subjects);
    read_all(&before);
    assert_true(dv_slice_find(dv_buf_slice(&before), DV_LIT("xanthippe")) < 0);
    assert_int_equal(dv_subject_table_open(folder, &table, NULL), DV_OK);
    memcpy(old_root, table.root, sizeof(old_root));
    memcpy(old_key, table.segments[0].key, sizeof(old_key));
    assert_true(dv_slice_find(dv_buf_slice(&before),
                              dv_slice_of(table.segments[0].rows[0].key, DV_SUBJECT_KEY_LEN)) < 0);
    assert_true(dv_slice_find(dv_buf_slice(&before), dv_slice_of(old_root, sizeof(old_root))) >= 0);
    dv_subject_table_release(&table);
    subjects = open_subjects();
    assert_int_equal(destroy(subjects, DV_LIT("User::\"xanthippe\"")), DV_OK);
    dv_subjects_close(subjects);
    read_all(&after);
    assert_true(dv_slice_find(dv_buf_slice(&after), dv_slice_of(old_root, sizeof(old_root))) < 0);
    assert_int_equal(dv_subject_table_open(folder, &table, NULL), DV_OK);
    assert_memory_not_equal(table.root, old_root, sizeof(old_root));
    assert_memory_not_equal(table.segments[0].key, old_key, sizeof(old_key));
    assert_null(dv_subject_table_row(&table, 0));
    assert_non_null(dv_subject_table_row(&table, 1));
    dv_subject_table_release(&table);
}

/* Each file, damaged: it is said, never passed over. */
static void test_damage_is_told(void **state)
{
    char path[PATH_MAX];
    dv_auto(buf) dv_buf sealed = dv_buf_init(4096);
    dv_subjects *subjects = open_subjects();
    seal_value(subjects, DV_LIT("User::\"alice\""), DV_LIT("1"), &sealed);
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
    assert_int_equal(destroy(subjects, DV_LIT("User::\"alice\"")), DV_OK);
    dv_subjects_close(subjects);
    static const char *const names[] = {"root.0000000000000002", "directory.0000000000000002",
                                        "00000000-00000001.keys"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        dv_auto(buf) dv_buf file = dv_buf_init(1 << 20);
        dv_error error = {0};
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        assert_int_equal(dv_file_read(path, &file, NULL), DV_OK);
        file.ptr[file.len - 20] ^= 1;
        assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&file), 0600, NULL), DV_OK);
        assert_int_equal(dv_subjects_open(folder, &subjects, &error), DV_ERR_CORRUPT);
        assert_non_null(strstr(error.message, names[i]));
        file.ptr[file.len - 20] ^= 1;
        assert_int_equal(dv_file_write_atomic(path, dv_buf_slice(&file), 0600, NULL), DV_OK);
    }
    dv_subjects_close(open_subjects());
}

/* A backup without its root, put back as it is: nothing is thrown away for that. */
static void test_keys_without_their_root(void **state)
{
    char path[PATH_MAX], aside[PATH_MAX];
    dv_error error = {0};
    dv_auto(buf) dv_buf sealed = dv_buf_init(4096);
    dv_subjects *subjects = open_subjects();
    seal_value(subjects, DV_LIT("User::\"alice\""), DV_LIT("1"), &sealed);
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
    dv_subjects_close(subjects);
    snprintf(path, sizeof(path), "%s/root.0000000000000001", folder);
    snprintf(aside, sizeof(aside), "%s/aside", folder);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(dv_subjects_open(folder, &subjects, &error), DV_ERR_CORRUPT);
    assert_non_null(strstr(error.message, "root.*"));
    assert_int_equal(rename(aside, path), 0);
    dv_subjects_close(open_subjects());
}

/* -- ends ---------------------------------------------------------------------------------------
 */

enum { PEOPLE = 5 };

/* One life: a key more, and the erasure of person 2. */
static dv_result live(void)
{
    char text[64];
    uint32_t key;
    dv_auto(subjects) dv_subjects *subjects = NULL;
    DV_TRY(dv_subjects_open(folder, &subjects, NULL));
    dv_subjects_lock(subjects);
    dv_result result = dv_subjects_key(subjects, subject_text(PEOPLE, text), &key);
    dv_subjects_unlock(subjects);
    DV_TRY(result);
    DV_TRY(dv_subjects_store(subjects, NULL));
    return destroy(subjects, subject_text(2, text));
}

static bool killed_at(long step)
{
    pid_t child = fork();
    if (child == 0) {
        fault_arm(FAULT_KILL, step);
        _exit(live() == DV_OK ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == FAULT_EXIT;
}

/* All but person 2, whose value opens or is gone for good; the erasure can be finished. */
static void check_people(dv_buf sealed[PEOPLE], bool acknowledged)
{
    char text[64];
    for (int life = 0; life < 2; life++) {
        dv_auto(subjects) dv_subjects *subjects = open_subjects();
        for (unsigned i = 0; i < PEOPLE; i++) {
            dv_result result = unseal(subjects, &sealed[i], DV_LIT("\"value\""));
            bool gone = result == DV_ERR_NOT_FOUND && i == 2;
            assert_true(result == DV_OK || gone);
            assert_true(i != 2 || !acknowledged || gone);
        }
        dv_result result = destroy(subjects, subject_text(2, text));
        assert_true(result == DV_OK || result == DV_ERR_NOT_FOUND);
        acknowledged = true;
    }
}

static void begin_people(dv_buf sealed[PEOPLE])
{
    char text[64];
    dv_auto(subjects) dv_subjects *subjects = open_subjects();
    for (unsigned i = 0; i < PEOPLE; i++) {
        sealed[i] = dv_buf_init(4096);
        seal_value(subjects, subject_text(i, text), DV_LIT("\"value\""), &sealed[i]);
    }
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
}

static void end_people(dv_buf sealed[PEOPLE])
{
    for (unsigned i = 0; i < PEOPLE; i++) {
        dv_buf_release(&sealed[i]);
    }
}

static void test_kill_at_every_step_of_an_erasure(void **state)
{
    dv_buf sealed[PEOPLE];
    bool killed = true;
    long step = 1;
    for (; killed; step++) {
        assert_int_equal(make_folder(NULL), 0);
        begin_people(sealed);
        killed = killed_at(step);
        check_people(sealed, !killed);
        end_people(sealed);
        assert_int_equal(remove_folder(NULL), 0);
    }
    print_message("killed at each of %ld steps\n", step - 2);
    assert_true(step > 15);
}

/* An error is an error, and the next life finds it wholly there or erased. */
static void test_full_disk_at_every_step_of_an_erasure(void **state)
{
    dv_buf sealed[PEOPLE];
    char text[64];
    bool failed = true;
    long step = 1;
    for (; failed; step++) {
        assert_int_equal(make_folder(NULL), 0);
        begin_people(sealed);
        dv_subjects *subjects = open_subjects();
        fault_arm(FAULT_ENOSPC, step);
        dv_result result = destroy(subjects, subject_text(2, text));
        failed = fault_countdown <= 0;
        fault_arm(FAULT_NONE, 0);
        assert_int_equal(unseal(subjects, &sealed[2], DV_LIT("\"value\"")), DV_ERR_NOT_FOUND);
        dv_subjects_close(subjects);
        check_people(sealed, result == DV_OK);
        end_people(sealed);
        assert_int_equal(remove_folder(NULL), 0);
    }
    print_message("a full disk at each of %ld steps\n", step - 2);
    assert_true(step > 10);
}

/* A failed erasure that is tried again in the same life, and one more that fails in between. */
static void test_an_erasure_is_made_good(void **state)
{
    char text[64];
    dv_buf sealed[PEOPLE];
    for (long step = 1; step < 16; step++) {
        assert_int_equal(make_folder(NULL), 0);
        begin_people(sealed);
        dv_subjects *subjects = open_subjects();
        for (long second = 0; second < 2; second++) {
            fault_arm(FAULT_ENOSPC, step + second);
            dv_result result = destroy(subjects, subject_text(2, text));
            if (result == DV_OK || result == DV_ERR_NOT_FOUND) {
                result = dv_subjects_store(subjects, NULL);
            }
            print_message("%s ", dv_result_name(result));
            fault_arm(FAULT_NONE, 0);
        }
        assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
        dv_subjects_close(subjects);
        check_people(sealed, true);
        end_people(sealed);
        assert_int_equal(remove_folder(NULL), 0);
    }
}

/* An older copy of the folder has the key again, but has not seen the erasure either. */
static void test_an_older_copy_has_not_seen_the_erasure(void **state)
{
    char command[256];
    dv_buf sealed[PEOPLE];
    begin_people(sealed);
    snprintf(command, sizeof(command), "cp -r %s %s.old", folder, folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): two names of ours */
    dv_subjects *subjects = open_subjects();
    char text[64];
    assert_int_equal(destroy(subjects, subject_text(2, text)), DV_OK);
    dv_subjects_set_seen(subjects, 1 << 20);
    assert_int_equal(dv_subjects_store(subjects, NULL), DV_OK);
    dv_subjects_close(subjects);
    subjects = open_subjects();
    assert_int_equal(dv_subjects_seen(subjects), 1 << 20);
    dv_subjects_close(subjects);
    snprintf(command, sizeof(command), "rm -r %s && mv %s.old %s", folder, folder, folder);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
    subjects = open_subjects();
    assert_int_equal(dv_subjects_seen(subjects), 0);
    assert_int_equal(unseal(subjects, &sealed[2], DV_LIT("\"value\"")), DV_OK);
    dv_subjects_close(subjects);
    end_people(sealed);
}

/* -- memory -------------------------------------------------------------------------------------
 */

/* What this process holds of a text, in all memory that it can write. */
static unsigned in_memory(dv_slice wanted)
{
    static const unsigned long LARGEST = 1UL << 32; /* bytes; a sanitizer's shadow is larger */
    char line[512];
    unsigned long from, to;
    unsigned found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    dv_auto(fd) int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_non_null(maps);
    assert_true(memory >= 0);
    while (fgets(line, sizeof(line), maps) != NULL) {
        /* NOLINTNEXTLINE(cert-err34-c): the kernel's own text */
        if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || strstr(line, " rw-p ") == NULL ||
            strstr(line, "[stack]") != NULL || to - from > LARGEST) {
            continue;
        }
        static uint8_t page[4096 + 64];
        for (unsigned long at = from; at < to; at += 4096) {
            size_t len = DV_MIN(sizeof(page), to - at);
            if (pread(memory, page, len, (off_t)at) == (ssize_t)len) {
                for (dv_slice rest = dv_slice_of(page, len);;) {
                    ptrdiff_t place = dv_slice_find(rest, wanted);
                    if (place < 0 || (size_t)(rest.ptr - page) + (size_t)place >= 4096) {
                        break;
                    }
                    found +=
                        at + (size_t)(rest.ptr - page) + (size_t)place != (unsigned long)wanted.ptr;
                    rest = dv_slice_sub(rest, (size_t)place + 1, rest.len);
                }
                dv_wipe(page, sizeof(page));
            }
        }
    }
    (void)fclose(maps);
    return found;
}

static void test_a_destroyed_key_is_in_no_memory(void **state)
{
    char text[64];
    uint8_t key[DV_SUBJECT_KEY_LEN];
    dv_buf sealed[PEOPLE];
    begin_people(sealed);
    dv_subject_table table;
    assert_int_equal(dv_subject_table_open(folder, &table, NULL), DV_OK);
    /* Held the other way round, so that this copy is not found. */
    for (int i = 0; i < DV_SUBJECT_KEY_LEN; i++) {
        key[i] = (uint8_t)~table.segments[0].rows[2].key[i];
    }
    dv_subject_table_release(&table);
    dv_subjects *subjects = open_subjects();
    assert_int_equal(unseal(subjects, &sealed[2], DV_LIT("\"value\"")), DV_OK);
    uint8_t *wanted = malloc(DV_SUBJECT_KEY_LEN);
    for (int i = 0; i < DV_SUBJECT_KEY_LEN; i++) {
        wanted[i] = (uint8_t)~key[i];
    }
    assert_true(in_memory(dv_slice_of(wanted, DV_SUBJECT_KEY_LEN)) > 0);
    assert_int_equal(destroy(subjects, subject_text(2, text)), DV_OK);
    assert_int_equal(in_memory(dv_slice_of(wanted, DV_SUBJECT_KEY_LEN)), 0);
    free(wanted);
    dv_subjects_close(subjects);
    end_people(sealed);
}

#define SUBJECT_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUBJECT_TEST(test_values_of_a_destroyed_key_do_not_open),
        SUBJECT_TEST(test_keys_outlive_the_process),
        SUBJECT_TEST(test_a_segment_of_erased_rows_goes),
        SUBJECT_TEST(test_files_tell_nothing),
        SUBJECT_TEST(test_damage_is_told),
        SUBJECT_TEST(test_keys_without_their_root),
        cmocka_unit_test(test_kill_at_every_step_of_an_erasure),
        cmocka_unit_test(test_full_disk_at_every_step_of_an_erasure),
        cmocka_unit_test(test_an_erasure_is_made_good),
        SUBJECT_TEST(test_an_older_copy_has_not_seen_the_erasure),
        SUBJECT_TEST(test_a_destroyed_key_is_in_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
