/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_crash.h"

#include "base/crash.h"
#include "base/file.h"
#include "unit/temp.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char good[] = DV_CRASH_MARK "dvarad 4711 11 3f0ce1 dvarad+0x1f3a2 libc.so.6+0x3bfd0";

static void make_state(temp_dir *dir, char path[PATH_MAX])
{
    temp_dir_make(dir);
    snprintf(path, PATH_MAX, "%s/" DV_CRASH_FOLDER, dir->path);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void test_a_report(void **state)
{
    temp_dir dir;
    char path[PATH_MAX];
    char name[NAME_MAX + 1];
    char file[PATH_MAX + NAME_MAX + 2];
    struct stat status;
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    (void)state;
    make_state(&dir, path);
    assert_int_equal(dv_crash_keep(dir.path, "dvarad", dv_slice_str(good), 0, name, NULL), DV_OK);
    snprintf(file, sizeof file, "%s/%s", path, name);
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(dv_file_read(file, &text, NULL), DV_OK);
    assert_non_null(strstr(dv_buf_cstr(&text), "program dvarad\npid 4711\nsignal 11 SIGSEGV\n"));
    assert_non_null(strstr(dv_buf_cstr(&text), "\n  dvarad+0x1f3a2\n  libc.so.6+0x3bfd0\n"));
    assert_int_equal(dv_crash_count(dir.path), 1);
    temp_dir_remove(&dir);
}

/* A process that was taken over may say anything. */
static void test_what_has_not_the_form_is_refused(void **state)
{
    static const char *const bad[] = {
        "dvara-crash 2 dvarad 1 11 ab a+0x1",
        DV_CRASH_MARK,
        DV_CRASH_MARK "dvarad 1 11",
        DV_CRASH_MARK "dvarad x 11 ab a+0x1",
        DV_CRASH_MARK "dvarad 1/../2 11 ab a+0x1",
        DV_CRASH_MARK "dvarad 1 111 ab a+0x1",
        DV_CRASH_MARK "dvarad 1 11 secret a+0x1",
        DV_CRASH_MARK "dvarad 1 11 ab bob@example.com",
        DV_CRASH_MARK "dvarad 1 11 ab a+0x1 ",
    };
    temp_dir dir;
    char path[PATH_MAX];
    char name[NAME_MAX + 1];
    char long_line[DV_CRASH_LINE + 2];
    (void)state;
    make_state(&dir, path);
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_crash_keep(dir.path, "dvarad", dv_slice_str(bad[i]), 0, name, NULL),
                         DV_ERR_INVALID);
    }
    memset(long_line, 'a', sizeof long_line);
    memcpy(long_line, good, sizeof good - 1);
    assert_int_equal(
        dv_crash_keep(dir.path, "dvarad", dv_slice_of(long_line, sizeof long_line), 0, name, NULL),
        DV_ERR_INVALID);
    assert_int_equal(dv_crash_count(dir.path), 0);
    temp_dir_remove(&dir);
}

static void test_the_oldest_go(void **state)
{
    temp_dir dir;
    char path[PATH_MAX];
    char first[NAME_MAX + 1];
    char name[NAME_MAX + 1];
    char file[PATH_MAX + NAME_MAX + 2];
    (void)state;
    make_state(&dir, path);
    assert_int_equal(dv_crash_keep(dir.path, "dvarad", dv_slice_str(good), 0, first, NULL), DV_OK);
    for (int i = 1; i <= DV_CRASH_REPORTS; i++) {
        assert_int_equal(
            dv_crash_keep(dir.path, "dvarad", dv_slice_str(good), i * DV_SECOND, name, NULL),
            DV_OK);
    }
    assert_int_equal(dv_crash_count(dir.path), DV_CRASH_REPORTS);
    snprintf(file, sizeof file, "%s/%s", path, first);
    assert_int_equal(access(file, F_OK), -1);
    temp_dir_remove(&dir);
}

static void test_a_link_is_not_followed(void **state)
{
    temp_dir dir;
    char path[PATH_MAX];
    char name[NAME_MAX + 1];
    (void)state;
    make_state(&dir, path);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_int_equal(dv_crash_keep(dir.path, "dvarad", dv_slice_str(good), 0, name, NULL),
                     DV_ERR_FORBIDDEN);
    temp_dir_remove(&dir);
}

#ifndef DV_SANITIZED

/* Runs over its stack, unless a signal is given. */
static int overrun(volatile int *depth)
{
    volatile char room[4096];
    room[0] = (char)(*depth)++;
    return *depth < 0 ? 0 : overrun(depth) + room[0]; /* it never is */
}

static void die(int number, int output)
{
    volatile int depth = 0;
    dup2(output, STDERR_FILENO);
    dv_crash_watch("/usr/bin/test-program");
    if (number == 0) {
        _exit(overrun(&depth));
    }
    raise(number);
    _exit(0);
}

static void dies_telling(int number, int want)
{
    int ends[2];
    int status = 0;
    char text[8192];
    char begin[128];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        die(number, ends[1]);
    }
    close(ends[1]);
    ssize_t len = read(ends[0], text, sizeof text - 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), want);
    assert_in_range(len, 1, DV_CRASH_LINE);
    text[len] = '\0';
    snprintf(begin, sizeof begin, DV_CRASH_MARK "test-program %ld %d ", (long)pid, want);
    assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
    assert_non_null(strstr(text, " test-program+0x"));
    assert_int_equal(text[len - 1], '\n');
    close(ends[0]);
}

static void test_faults_are_told(void **state)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    (void)state;
    for (size_t i = 0; i < DV_ARRAY_LEN(faults); i++) {
        dies_telling(faults[i], faults[i]);
    }
    dies_telling(0, SIGSEGV);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_report),
        cmocka_unit_test(test_what_has_not_the_form_is_refused),
        cmocka_unit_test(test_the_oldest_go),
        cmocka_unit_test(test_a_link_is_not_followed),
#ifndef DV_SANITIZED
        cmocka_unit_test(test_faults_are_told),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
