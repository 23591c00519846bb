/* SPDX-License-Identifier: Apache-2.0 */
/* engine/detect/anonymize/hierarchy: built-in ones, files, what is refused, limits. */
#include "engine/detect/anonymize/hierarchy.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static dv_result read_yaml(const char *text, dv_arena *arena, dv_hierarchy *h)
{
    const dv_yaml *root = NULL;
    dv_error error = {0};
    assert_int_equal(dv_yaml_parse(dv_slice_str(text), arena, &root, &error), DV_OK);
    dv_result result = dv_hierarchy_read(dv_yaml_get(root, "h"), DV_DATE_MDY, arena, h, &error);
    assert_true(result == DV_OK || error.message[0] != '\0');
    return result;
}

static void check_path(const dv_hierarchy *h, const char *value, const char *expected)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_auto(buf) dv_buf told = dv_buf_init(4096);
    dv_slice levels[DV_HIERARCHY_LEVELS_MAX];
    assert_int_equal(dv_hierarchy_path(h, dv_slice_str(value), arena, levels), DV_OK);
    for (size_t i = 0; i < h->levels; i++) {
        assert_int_equal(dv_buf_append_str(&told, i > 0 ? " " : ""), DV_OK);
        assert_int_equal(dv_buf_append(&told, levels[i]), DV_OK);
    }
    assert_string_equal(dv_buf_cstr(&told), expected);
}

static void built_in(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *value, *levels;
    } cases[] = {
        {"h: dates", "05/12/1980", "1980-05-12 1980-05 1980 1980s"},
        {"h: dates", "1989-12-31 23:59", "1989-12-31 1989-12 1989 1980s"},
        {"h: dates", "soon", "* * * *"},
        {"h: dates", "", "* * * *"},
        {"h: zip", " 94110", "9411* 941** 94*** 9**** * * * * *"},
        {"h: zip", "SW1A 1AA",
         "SW1A 1A* SW1A 1** SW1A *** SW1A**** SW1***** SW****** S******* * *"},
        {"h: zip", "9", "* * * * * * * * *"},
        {"h: ages", "37", "35-39 30-39 30-59"},
        {"h: ages", "0", "0-4 0-9 0-29"},
        {"h: ages", "89.5", "85-89 80-89 60-89"},
        {"h: ages", "91", "90+ 90+ 90+"},
        {"h: ages", "-1", "* * *"},
        {"h: ip", "192.0.2.77", "192.0.2.0/24 192.0.0.0/16 192.0.0.0/8"},
        {"h: ip", "2001:db8:1:2::3", "2001:db8:1::/48 2001:db8::/32 2001::/16"},
        {"h: ip", "300.1.1.1", "* * *"},
        {"h: {intervals: [10, 50]}", "49.9", "40-<50 0-<50"},
        {"h: {intervals: [10, 50]}", "-0.1", "-10-<0 -50-<0"},
        {"h: {intervals: [10]}", "1e99", "*"},
        {"h: {rows: [[a, b, c], [d, b, c]]}", "d ", "b c"},
        {"h: {rows: [[a, b, c], [d, b, c]]}", "", "* *"},
        {"h: {rows: [['', none, c], [d, b, c]]}", "", "none c"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        dv_hierarchy h;
        assert_int_equal(read_yaml(cases[i].yaml, arena, &h), DV_OK);
        check_path(&h, cases[i].value, cases[i].levels);
    }
}

static void refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "h: cities",
        "h: {}",
        "h: {intervals: [10], rows: [[a, b]]}",
        "h: {intervals: [10, 15]}",
        "h: {intervals: [10, 10]}",
        "h: {intervals: []}",
        "h: {intervals: [0]}",
        "h: {intervals: 10}",
        ("h: {intervals: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384,"
         " 32768, 65536]}"),
        "h: {rows: []}",
        "h: {rows: [[a]]}",
        "h: {rows: [a]}",
        "h: {rows: [[a, b], [c, d, e]]}",
        "h: {rows: [[a, b], [a, c]]}",
        "h: {rows: [[a, b, c], [d, b, e]]}",
        "h: {file: [a]}",
        "h: [zip]",
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
        dv_hierarchy h;
        assert_int_equal(read_yaml(cases[i], arena, &h), DV_ERR_INVALID);
    }
}

static dv_result read_file(dv_slice text, dv_arena *arena, dv_hierarchy *h)
{
    dv_error error = {0};
    *h = (dv_hierarchy){.kind = DV_HIERARCHY_ROWS};
    dv_result result = dv_hierarchy_read_csv(text, arena, h, &error);
    assert_true(result == DV_OK || error.message[0] != '\0');
    return result;
}

static void files(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    dv_hierarchy h;
    dv_slice levels[DV_HIERARCHY_LEVELS_MAX];
    assert_int_equal(
        read_file(DV_LIT("Oslo;Norway;*\n\"Bergen\";Norway;*\nPune, old;India;*\n\n"), arena, &h),
        DV_OK);
    assert_int_equal(h.levels, 2);
    check_path(&h, "Pune, old", "India *");
    check_path(&h, "Bergen", "Norway *");
    assert_int_equal(dv_hierarchy_path(&h, DV_LIT("Rome"), arena, levels), DV_ERR_NOT_FOUND);
    assert_int_equal(read_file(DV_LIT("a,b\nc,d\na,b\n"), arena, &h), DV_OK);
    check_path(&h, "c", "d");
    assert_int_equal(read_file(DV_LIT(""), arena, &h), DV_ERR_INVALID);
    assert_int_equal(read_file(DV_LIT("a\nb\n"), arena, &h), DV_ERR_INVALID);
    assert_int_equal(read_file(DV_LIT("a;b\nc;d;e\n"), arena, &h), DV_ERR_INVALID);
    assert_int_equal(read_file(DV_LIT("a;b\na;c\n"), arena, &h), DV_ERR_INVALID);
    assert_int_equal(read_file(DV_LIT("a;\"b\n"), arena, &h), DV_ERR_INVALID);
    assert_int_equal(read_file(DV_LIT("a;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17\n"), arena, &h),
                     DV_ERR_INVALID);
}

static void limits(void **state)
{
    (void)state;
    dv_auto(arena) dv_arena *arena = dv_arena_new(512 << 20);
    dv_auto(buf) dv_buf text = dv_buf_init(DV_HIERARCHY_FILE_MAX + 1024);
    dv_hierarchy h;
    for (size_t i = 0; i <= DV_HIERARCHY_TEXT_MAX; i++) {
        assert_int_equal(dv_buf_append_byte(&text, 'a'), DV_OK);
    }
    assert_int_equal(dv_buf_append_str(&text, ";b\n"), DV_OK);
    assert_int_equal(read_file(dv_slice_sub(dv_buf_slice(&text), 1, SIZE_MAX), arena, &h), DV_OK);
    assert_int_equal(read_file(dv_buf_slice(&text), arena, &h), DV_ERR_TOO_LARGE);
    dv_buf_clear(&text);
    for (int i = 0; i <= DV_HIERARCHY_ROWS_MAX; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "%d;b\n", i), DV_OK);
    }
    assert_int_equal(read_file(dv_buf_slice(&text), arena, &h), DV_ERR_TOO_LARGE);
    text.len -= strlen("1000000;b\n");
    assert_int_equal(read_file(dv_buf_slice(&text), arena, &h), DV_OK);
    assert_int_equal(h.count, DV_HIERARCHY_ROWS_MAX);
    while (text.len <= DV_HIERARCHY_FILE_MAX) {
        assert_int_equal(dv_buf_append_str(&text, "0;b                                  \n"),
                         DV_OK);
    }
    assert_int_equal(read_file(dv_buf_slice(&text), arena, &h), DV_ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in),
        cmocka_unit_test(refuses),
        cmocka_unit_test(files),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
