/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static void masked(const char *line, const char *want)
{
    dv_auto(buf) dv_buf out = dv_buf_init(4096);
    assert_int_equal(dv_log_mask(dv_slice_str(line), &out), DV_OK);
    const char *text = dv_buf_cstr(&out);
    assert_non_null(text);
    assert_string_equal(text, want);
}

static void test_keys_are_hidden(void **state)
{
    (void)state;
    masked("key dvk_Ab3dEf9h_0123456789abcdefghijABCDEFGHIJ123456 refused",
           "key dvk_Ab3dEf9h*** refused");
    masked("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***");
    masked("authorization=\"bearer tok123\"", "authorization=\"bearer ***\"");
    masked("header 'x-api-key: sk-1234567890'", "header 'x-api-key: ***'");
    masked("using sk-proj-abcdefgh now", "using sk-*** now");
    masked("token ghp_0123456789abcdef", "token ghp_***");
    masked("password=hunter22 ok", "password=*** ok");
    masked("BASIC dXNlcjpwYXNz", "BASIC ***");
}

static void test_other_text_stays(void **state)
{
    (void)state;
    masked("the bearer is me", "the bearer is me");
    masked("2026/11/21 [notice] 12#12: start", "2026/11/21 [notice] 12#12: start");
    masked("dvk_", "dvk_");
    masked("", "");
}

static void test_control_characters_can_not_forge_lines(void **state)
{
    (void)state;
    masked("a\rb\x1b[31mc", "a?b?[31mc");
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
    dv_log_feed(&lines, DV_LIT("one\ntw"), false, &out);
    dv_log_feed(&lines, DV_LIT("o dvk_Ab3dEf9h_01234"), false, &out);
    dv_log_feed(&lines, DV_LIT("56789\nthree"), false, &out);
    dv_log_feed(&lines, dv_slice_str(NULL), true, &out);
    read_back(ends[0], text, sizeof text);
    assert_string_equal(text, "dvarad: one\ndvarad: two dvk_Ab3dEf9h***\ndvarad: three\n");
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
    dv_log_feed(&lines, DV_LIT("dvarad: serves\ndvarad\n"), false, &out);
    read_back(ends[0], text, sizeof text);
    assert_string_equal(text, "dvarad: serves\ndvarad: dvarad\n");
    close(ends[0]);
    close(ends[1]);
}

static void test_long_lines_are_cut(void **state)
{
    int ends[2];
    static char bytes[DV_LOG_LINE_MAX + 1000];
    static char text[64 << 10];
    static dv_log_lines lines = {.name = "x"};
    static dv_log_out out;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    out.fd = ends[1];
    memset(bytes, 'a', sizeof bytes);
    dv_log_feed(&lines, dv_slice_of(bytes, sizeof bytes), false, &out);
    dv_log_feed(&lines, DV_LIT("\nnext\n"), false, &out);
    size_t len = read_back(ends[0], text, sizeof text);
    assert_int_equal(len, strlen("x: ") + DV_LOG_LINE_MAX + 1 + strlen("x: next\n"));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_hidden),
        cmocka_unit_test(test_other_text_stays),
        cmocka_unit_test(test_control_characters_can_not_forge_lines),
        cmocka_unit_test(test_lines_are_put_together),
        cmocka_unit_test(test_a_name_is_not_said_twice),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_tail_is_the_last_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
