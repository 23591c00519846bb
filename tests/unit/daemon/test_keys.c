/* SPDX-License-Identifier: Apache-2.0 */
/* The master key: made once, kept closed, never replaced under a store. */
#include "daemon/dvarad_keys.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_TEXT_MAX = 256 };

static int setup(void **state)
{
    char *folder = strdup("/tmp/dvara-keys-XXXXXX");
    *state = folder;
    return folder == NULL || mkdtemp(folder) == NULL;
}

static void in_folder(void **state, const char *name, char out[PATH_TEXT_MAX])
{
    snprintf(out, PATH_TEXT_MAX, "%s/%s", (const char *)*state, name);
}

static int teardown(void **state)
{
    static const char *const names[] = {"keys/master.key", "dvara.db"};
    char path[PATH_TEXT_MAX];
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        in_folder(state, names[i], path);
        unlink(path);
    }
    in_folder(state, "keys", path);
    rmdir(path);
    rmdir(*state);
    free(*state);
    return 0;
}

static void is_made_once_and_closed_to_others(void **state)
{
    uint8_t first[DV_MASTER_KEY_LEN], second[DV_MASTER_KEY_LEN];
    char path[PATH_TEXT_MAX];
    struct stat file;
    dv_error error = {0};
    assert_int_equal(dv_master_key_load(*state, first, &error), DV_OK);
    assert_int_equal(dv_master_key_load(*state, second, &error), DV_OK);
    assert_memory_equal(first, second, sizeof(first));
    in_folder(state, "keys/master.key", path);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
    assert_int_equal(file.st_size, DV_MASTER_KEY_LEN);
    in_folder(state, "keys", path);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 07777, 0700);
}

static void differs_between_states(void **state)
{
    uint8_t first[DV_MASTER_KEY_LEN], second[DV_MASTER_KEY_LEN];
    char path[PATH_TEXT_MAX];
    assert_int_equal(dv_master_key_load(*state, first, NULL), DV_OK);
    in_folder(state, "keys/master.key", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(dv_master_key_load(*state, second, NULL), DV_OK);
    assert_memory_not_equal(first, second, sizeof(first));
}

static void a_store_without_its_key_is_refused(void **state)
{
    uint8_t key[DV_MASTER_KEY_LEN];
    char path[PATH_TEXT_MAX];
    dv_error error = {0};
    in_folder(state, "dvara.db", path);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(dv_master_key_load(*state, key, &error), DV_ERR_NOT_FOUND);
    assert_non_null(strstr(error.message, "restore the key"));
    in_folder(state, "keys/master.key", path);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_key_open_to_others_is_refused(void **state)
{
    uint8_t key[DV_MASTER_KEY_LEN];
    char path[PATH_TEXT_MAX];
    dv_error error = {0};
    assert_int_equal(dv_master_key_load(*state, key, &error), DV_OK);
    in_folder(state, "keys/master.key", path);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(dv_master_key_load(*state, key, &error), DV_ERR_FORBIDDEN);
    assert_non_null(strstr(error.message, "0600"));
}

static void a_link_is_refused(void **state)
{
    uint8_t key[DV_MASTER_KEY_LEN];
    char path[PATH_TEXT_MAX];
    dv_error error = {0};
    assert_int_equal(dv_master_key_load(*state, key, &error), DV_OK);
    in_folder(state, "keys/master.key", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_int_equal(dv_master_key_load(*state, key, &error), DV_ERR_FORBIDDEN);
}

static void a_key_of_another_length_is_refused(void **state)
{
    uint8_t key[DV_MASTER_KEY_LEN];
    char path[PATH_TEXT_MAX];
    dv_error error = {0};
    assert_int_equal(dv_master_key_load(*state, key, &error), DV_OK);
    in_folder(state, "keys/master.key", path);
    assert_int_equal(truncate(path, DV_MASTER_KEY_LEN - 1), 0);
    assert_int_equal(dv_master_key_load(*state, key, &error), DV_ERR_CORRUPT);
    assert_int_equal(truncate(path, DV_MASTER_KEY_LEN + 1), 0);
    assert_int_not_equal(dv_master_key_load(*state, key, &error), DV_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(is_made_once_and_closed_to_others, setup, teardown),
        cmocka_unit_test_setup_teardown(differs_between_states, setup, teardown),
        cmocka_unit_test_setup_teardown(a_store_without_its_key_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_open_to_others_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_of_another_length_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
