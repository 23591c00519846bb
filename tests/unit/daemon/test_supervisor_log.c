/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_log.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static dv_masker masker;

static int start_masker(void **state)
{
    (void)state;
    dv_masker_start(&masker, false, dv_slice_str(NULL));
    return masker.pid > 0 ? 0 : -1;
}

static int stop_masker(void **state)
{
    (void)state;
    dv_masker_stop(&masker);
    return 0;
}

static size_t read_back(int fd, char *out, size_t size)
{
    ssize_t len = read(fd, out, size - 1);
    assert_true(len >= 0);
    out[len] = '\0';
    return (size_t)len;
}

static void test_lines_are_put_together(void **state)
{
    int ends[2];
    char text[64 << 10];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    static dv_log_lines lines;
    static dv_log_out out;
    lines.name = "dvarad";
    out.fd = ends[1];
    out.masker = &masker;
    dv_log_feed(&lines, DV_LIT("one\ntw"), false, &out);
    dv_log_feed(&lines, DV_LIT("o dvk_Ab3dEf9h_01234"), false, &out);
    dv_log_feed(&lines, DV_LIT("56789\nthree"), false, &out);
    dv_log_feed(&lines, dv_slice_str(NULL), true, &out);
    read_back(ends[0], text, sizeof text);
    assert_string_equal(text, "dvarad: one\ndvarad: two dvk_Ab3dEf9h[secret]\ndvarad: three\n");
    close(ends[0]);
    close(ends[1]);
}

/* nginx cuts a line at 2048 bytes and does not say so. */
static void test_what_nginx_cut_ends_before_the_value(void **state)
{
    int ends[2];
    char bytes[2048];
    char text[8192];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    static dv_log_lines lines;
    static dv_log_out out;
    lines.name = "nginx";
    out.fd = ends[1];
    out.masker = &masker;
    memset(bytes, '/', sizeof bytes);
    memcpy(bytes + 2047 - 15, "411111111111111", 15);
    bytes[2047] = '\n';
    dv_log_feed(&lines, dv_slice_of((const uint8_t *)bytes, sizeof bytes), false, &out);
    read_back(ends[0], text, sizeof text);
    assert_null(strstr(text, "41111"));
    assert_non_null(strstr(text, "// [cut]\n"));
    close(ends[0]);
    close(ends[1]);
}

static void test_a_name_is_not_said_twice(void **state)
{
    int ends[2];
    char text[256];
    static dv_log_lines lines = {.name = "dvarad"};
    static dv_log_out out;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    out.fd = ends[1];
    out.masker = &masker;
    dv_log_feed(&lines, DV_LIT("dvarad: serves\ndvarad\n"), false, &out);
    read_back(ends[0], text, sizeof text);
    assert_string_equal(text, "dvarad: serves\ndvarad: dvarad\n");
    close(ends[0]);
    close(ends[1]);
}

static void test_long_lines_are_cut(void **state)
{
    int ends[2];
    static char bytes[DV_LINE_MAX + 1000];
    static char text[64 << 10];
    static dv_log_lines lines = {.name = "x"};
    static dv_log_out out;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    out.fd = ends[1];
    out.masker = &masker;
    memset(bytes, ' ', sizeof bytes);
    dv_log_feed(&lines, dv_slice_of(bytes, sizeof bytes), false, &out);
    dv_log_feed(&lines, DV_LIT("\nnext\n"), false, &out);
    size_t len = read_back(ends[0], text, sizeof text);
    assert_int_equal(len, strlen("x: ") + DV_LINE_MAX + strlen(" [cut]\n") + strlen("x: next\n"));
    close(ends[0]);
    close(ends[1]);
}

static void test_tail_is_the_last_lines(void **state)
{
    int ends[2];
    static dv_log_out out;
    dv_auto(buf) dv_buf text = dv_buf_init(16 << 10);
    (void)state;
    assert_int_equal(pipe(ends), 0);
    out.fd = ends[1];
    out.masker = &masker;
    for (int i = 0; i < DV_LOG_TAIL_LINES + 3; i++) {
        dv_log_say(&out, "line %d", i);
    }
    assert_int_equal(dv_log_tail(&out, &text), DV_OK);
    const char *whole = dv_buf_cstr(&text);
    assert_non_null(whole);
    assert_null(strstr(whole, "line 2\n"));
    assert_int_equal(strncmp(whole, "  dvara: line 3\n", 16), 0);
    assert_non_null(strstr(whole, "line 14\n"));
    close(ends[0]);
    close(ends[1]);
}

/* A value in a line of one that is withheld: of the lines after it, none is lost. */
static void test_without_the_masker_lines_are_withheld(void **state)
{
    int ends[2];
    char text[4096];
    static dv_log_lines lines = {.name = "nginx"};
    static dv_log_out out;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    out.fd = ends[1];
    out.masker = &masker;
    uint64_t before = masker.withheld;
    assert_int_equal(kill(masker.pid, SIGKILL), 0);
    assert_int_equal(waitpid(masker.pid, NULL, 0), masker.pid);
    dv_masker_died(&masker, masker.pid);
    masker.retry_at = INT64_MAX;
    dv_log_feed(&lines, DV_LIT("of bob@example.com\n"), false, &out);
    assert_int_equal(masker.withheld, before + 1);
    masker.retry_at = 1;
    dv_log_feed(&lines, DV_LIT("of bob@example.com\n"), false, &out);
    assert_int_equal(masker.withheld, before + 1);
    read_back(ends[0], text, sizeof text);
    assert_string_equal(text, "nginx: [a line of 18 bytes is withheld: it can not be searched for "
                              "what must be hidden]\nnginx: of [email]\n");
    close(ends[0]);
    close(ends[1]);
}

/* It dies while it has the line. */
static void test_a_death_withholds_the_line(void **state)
{
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    (void)state;
    assert_true(dv_masker_run(&masker, DV_LIT("ready"), false, &out));
    pid_t pid = masker.pid;
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(shutdown(masker.fd, SHUT_RD), 0);
    dv_buf_clear(&out);
    assert_false(dv_masker_run(&masker, DV_LIT("lost"), false, &out));
    assert_int_equal(out.len, 0);
    assert_int_equal(masker.pid, 0);
    assert_int_equal(kill(pid, 0), -1);
    masker.retry_at = 1;
    assert_true(dv_masker_run(&masker, DV_LIT("again"), false, &out));
}

/* Nobody waits for the one that takes over, and no line is withheld. */
static void test_another_takes_over(void **state)
{
    pid_t first = masker.pid;
    uint64_t before = masker.withheld;
    (void)state;
    dv_masker_restart(&masker, DV_LIT("upstream: http://10.20.30.40:1"));
    while (masker.pid == first) {
        dv_auto(buf) dv_buf out = dv_buf_init(4096);
        assert_true(dv_masker_run(&masker, DV_LIT("to 10.20.30.40"), false, &out));
        bool shown = strcmp(dv_buf_cstr(&out), "to 10.20.30.40") == 0;
        assert_int_equal(shown, masker.pid != first);
    }
    assert_int_equal(kill(first, 0), -1);
    assert_int_equal(masker.next_pid, 0);
    dv_masker_restart(&masker, dv_slice_str(NULL));
    assert_int_equal(kill(masker.next_pid, SIGKILL), 0);
    pid_t second = masker.next_pid;
    assert_int_equal(waitpid(second, NULL, 0), second);
    dv_masker_died(&masker, second);
    assert_int_equal(masker.next_fd, -1);
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    assert_true(dv_masker_run(&masker, DV_LIT("still"), false, &out));
    assert_int_equal(masker.withheld, before);
}

static void test_texts_for_elsewhere_are_masked(void **state)
{
    dv_auto(buf) dv_buf text = dv_buf_init(4096);
    dv_log_out out = {.masker = &masker};
    (void)state;
    assert_int_equal(dv_log_masked(&out, "bad value\nof bob@example.com", &text), DV_OK);
    assert_string_equal(dv_buf_cstr(&text), "bad value\nof [email]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_put_together),
        cmocka_unit_test(test_what_nginx_cut_ends_before_the_value),
        cmocka_unit_test(test_a_name_is_not_said_twice),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_tail_is_the_last_lines),
        cmocka_unit_test(test_without_the_masker_lines_are_withheld),
        cmocka_unit_test(test_a_death_withholds_the_line),
        cmocka_unit_test(test_another_takes_over),
        cmocka_unit_test(test_texts_for_elsewhere_are_masked),
    };
    return cmocka_run_group_tests(tests, start_masker, stop_masker);
}
