/* SPDX-License-Identifier: Apache-2.0 */
/* Removing single files: only what a scan read, whatever stands there instead, and after a kill. */
#include "engine/scan/remove.h"
#include "unit/temp.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char mark[] = "0190b8a4-1111-7000-8000-000000000001-7";
static const char own[] = ".dvara-disposal-0190b8a4-1111-7000-8000-000000000001-7";

typedef struct fixture {
    temp_dir dir;
    int root;
    char why[DV_REMOVE_WHY_MAX];
    char stamp[DV_SCAN_STAMP_MAX];
} fixture;

static fixture f;

static const char *path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    return temp_path(&f.dir, name, paths[next++ % 4]);
}

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool is_there(const char *name)
{
    struct stat about;
    return lstat(path_of(name), &about) == 0;
}

static void stamp_of(const char *name)
{
    struct stat about;
    assert_int_equal(lstat(path_of(name), &about), 0);
    dv_scan_stamp(&about, f.stamp);
}

static int set_up(void **state)
{
    dv_error error;
    (void)state;
    temp_dir_make(&f.dir);
    return dv_remove_open(f.dir.path, &f.root, &error) == DV_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    close(f.root);
    temp_dir_remove(&f.dir);
    return 0;
}

static dv_remove_outcome take(const char *name)
{
    return dv_remove_file(f.root, name, f.stamp, mark, f.why);
}

static void what_is_as_it_was_goes_with_its_hash_known(void **state)
{
    /* SHA-256 of "abc", FIPS 180-4 */
    static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf};
    uint8_t hash[DV_SHA256_LEN];
    (void)state;
    assert_int_equal(mkdir(path_of("sub"), 0700), 0);
    write_text("sub/a", "abc");
    stamp_of("sub/a");
    assert_int_equal(dv_remove_look(f.root, "sub/a", f.stamp, f.why), DV_REMOVE_SAME);
    assert_int_equal(dv_remove_hash(f.root, "sub/a", f.stamp, mark, hash, f.why), DV_REMOVE_SAME);
    assert_memory_equal(hash, abc, sizeof(abc));
    assert_true(is_there("sub/a"));
    assert_int_equal(take("sub/a"), DV_REMOVE_DONE);
    assert_false(is_there("sub/a"));
    assert_int_equal(take("sub/a"), DV_REMOVE_MISSING);
}

static void what_changed_or_was_replaced_stays(void **state)
{
    uint8_t hash[DV_SHA256_LEN];
    (void)state;
    write_text("a", "abc");
    stamp_of("a");
    write_text("a", "abcd");
    assert_int_equal(take("a"), DV_REMOVE_CHANGED);
    assert_int_equal(dv_remove_hash(f.root, "a", f.stamp, mark, hash, f.why), DV_REMOVE_CHANGED);
    stamp_of("a");
    assert_int_equal(chmod(path_of("a"), 0400), 0); /* only the time of its change */
    struct stat about;
    assert_int_equal(stat(path_of("a"), &about), 0);
    char now[DV_SCAN_STAMP_MAX];
    dv_scan_stamp(&about, now);
    assert_int_equal(take("a"), strcmp(now, f.stamp) == 0 ? DV_REMOVE_DONE : DV_REMOVE_CHANGED);
    assert_int_equal(dv_remove_look(f.root, "a", "", f.why),
                     is_there("a") ? DV_REMOVE_CHANGED : DV_REMOVE_MISSING);
}

static void links_are_neither_followed_nor_removed(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("real"), 0700), 0);
    write_text("real/a", "abc");
    stamp_of("real/a");
    assert_int_equal(symlink("real/a", path_of("link")), 0);
    assert_int_equal(symlink("real", path_of("way")), 0);
    assert_int_equal(take("link"), DV_REMOVE_CHANGED);
    assert_int_equal(take("way/a"), DV_REMOVE_CHANGED);
    assert_int_equal(take("real/../real/a"), DV_REMOVE_DONE); /* below the folder all the same */
    assert_true(is_there("link") && is_there("way"));
}

static void nothing_outside_is_reached(void **state)
{
    static const char *const names[] = {"..",        ".",   "", "../a", "/etc/hostname",
                                        "a/../../b", "sub/"};
    (void)state;
    dv_slice_copy(DV_LIT("1.1.1.1"), f.stamp, sizeof(f.stamp));
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        dv_remove_outcome outcome = take(names[i]);
        assert_true(outcome != DV_REMOVE_DONE && outcome != DV_REMOVE_SAME);
    }
    /* A folder above, with the very stamp. */
    struct stat about;
    char inner[PATH_MAX];
    int fd = -1;
    dv_error error;
    write_text("a", "abc");
    assert_int_equal(mkdir(temp_path(&f.dir, "inner", inner), 0700), 0);
    assert_int_equal(dv_remove_open(inner, &fd, &error), DV_OK);
    assert_int_equal(stat(path_of("a"), &about), 0);
    dv_scan_stamp(&about, f.stamp);
    assert_true(dv_remove_file(fd, "../a", f.stamp, mark, f.why) != DV_REMOVE_DONE);
    close(fd);
    assert_true(is_there("a"));
}

static void several_names_keep_a_file(void **state)
{
    (void)state;
    write_text("a", "abc");
    assert_int_equal(link(path_of("a"), path_of("b")), 0);
    stamp_of("a");
    assert_int_equal(take("a"), DV_REMOVE_LINKED);
    assert_true(is_there("a") && is_there("b") && !is_there(own));
}

static void special_files_are_not_opened_for_good(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    stamp_of("pipe");
    assert_int_equal(take("pipe"), DV_REMOVE_CHANGED);
    assert_int_equal(mkdir(path_of("folder"), 0700), 0);
    stamp_of("folder");
    assert_int_equal(take("folder"), DV_REMOVE_CHANGED);
}

static void a_removal_that_was_killed_is_gone_on_with(void **state)
{
    uint8_t hash[DV_SHA256_LEN];
    (void)state;
    write_text("a", "abc");
    stamp_of("a");
    assert_int_equal(rename(path_of("a"), path_of(own)), 0);
    assert_int_equal(dv_remove_hash(f.root, "a", f.stamp, mark, hash, f.why), DV_REMOVE_SAME);
    write_text("a", "somebody else's"); /* under the old name */
    assert_int_equal(take("a"), DV_REMOVE_DONE);
    assert_true(is_there("a") && !is_there(own));
}

static void what_has_our_name_and_is_another_stays(void **state)
{
    (void)state;
    write_text("a", "abc");
    stamp_of("a");
    write_text(own, "abc");
    assert_int_equal(take("a"), DV_REMOVE_CHANGED);
    assert_true(is_there("a") && is_there(own));
}

static void what_is_to_stay_gets_its_name_back(void **state)
{
    (void)state;
    write_text("a", "abc");
    stamp_of("a");
    assert_int_equal(dv_remove_restore(f.root, "a", f.stamp, mark), DV_OK);
    assert_int_equal(rename(path_of("a"), path_of(own)), 0);
    assert_int_equal(dv_remove_restore(f.root, "a", f.stamp, mark), DV_OK);
    assert_true(is_there("a") && !is_there(own));
    stamp_of("a");
    assert_int_equal(rename(path_of("a"), path_of(own)), 0);
    write_text("a", "somebody else's");
    assert_int_equal(dv_remove_restore(f.root, "a", f.stamp, mark), DV_ERR_IO);
    assert_true(is_there("a") && is_there(own)); /* nothing was written over */
}

static void what_was_written_into_meanwhile_gets_its_name_back_too(void **state)
{
    (void)state;
    write_text("a", "abc");
    stamp_of("a");
    assert_int_equal(rename(path_of("a"), path_of(own)), 0);
    write_text(own, "abcdef");
    assert_int_equal(dv_remove_restore(f.root, "a", f.stamp, mark), DV_OK);
    assert_true(is_there("a") && !is_there(own));
    assert_int_equal(rename(path_of("a"), path_of(own)), 0);
    assert_int_equal(dv_remove_restore(f.root, "a", "1.6.1.1", mark), DV_ERR_IO); /* another one */
    assert_true(!is_there("a") && is_there(own));
}

static void one_run_works_in_a_folder(void **state)
{
    int fd = -1;
    dv_error error = {0};
    char link_path[PATH_MAX];
    (void)state;
    assert_int_equal(dv_remove_open(f.dir.path, &fd, &error), DV_ERR_CONFLICT);
    assert_int_equal(dv_remove_open(path_of("none"), &fd, &error), DV_ERR_NOT_FOUND);
    write_text("file", "abc");
    assert_int_equal(dv_remove_open(path_of("file"), &fd, &error), DV_ERR_INVALID);
    assert_int_equal(mkdir(path_of("real"), 0700), 0);
    assert_int_equal(mkdir(path_of("real/in"), 0700), 0);
    assert_int_equal(symlink("real", path_of("way")), 0);
    assert_int_equal(dv_remove_open(temp_path(&f.dir, "way/in", link_path), &fd, &error),
                     DV_ERR_INVALID);
    assert_non_null(strstr(error.message, "symbolic link"));
    assert_int_equal(fd, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_as_it_was_goes_with_its_hash_known, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_changed_or_was_replaced_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_are_neither_followed_nor_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_outside_is_reached, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_names_keep_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(special_files_are_not_opened_for_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removal_that_was_killed_is_gone_on_with, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_has_our_name_and_is_another_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_to_stay_gets_its_name_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_written_into_meanwhile_gets_its_name_back_too,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_run_works_in_a_folder, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
