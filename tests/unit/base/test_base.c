/* SPDX-License-Identifier: Apache-2.0 */
/* The plain parts of base: slices, buffers, arenas, codecs, times, ids, files. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/uuid.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void slices_compare_and_split(void **state)
{
    dv_slice rest = DV_LIT("a,,b"), part;
    assert_true(dv_slice_split(&rest, ',', &part) && dv_slice_eq_str(part, "a"));
    assert_true(dv_slice_split(&rest, ',', &part) && part.len == 0);
    assert_true(dv_slice_split(&rest, ',', &part) && dv_slice_eq_str(part, "b"));
    assert_false(dv_slice_split(&rest, ',', &part));
    assert_true(dv_slice_cmp(DV_LIT("ab"), DV_LIT("abc")) < 0);
    assert_true(dv_slice_cmp(DV_LIT("b"), DV_LIT("abc")) > 0);
    assert_int_equal(dv_slice_find(DV_LIT("hello"), DV_LIT("llo")), 2);
    assert_int_equal(dv_slice_find(DV_LIT("hello"), DV_LIT("hellos")), -1);
    assert_int_equal(dv_slice_find((dv_slice){0}, DV_LIT("")), 0);
    assert_true(dv_slice_eq_nocase(DV_LIT("Content-TYPE"), DV_LIT("content-type")));
    assert_true(dv_slice_eq_str(dv_slice_trim(DV_LIT(" \t x y\r\n")), "x y"));
    assert_int_equal(dv_slice_sub(DV_LIT("abc"), 5, 1).len, 0);
    assert_true(dv_slice_ends_with(DV_LIT("abc"), DV_LIT("bc")));
}

static void buffers_stop_at_their_maximum(void **state)
{
    dv_auto(buf) dv_buf buf = dv_buf_init(8);
    assert_int_equal(dv_buf_append_str(&buf, "12345678"), DV_OK);
    assert_int_equal(dv_buf_append_byte(&buf, '9'), DV_ERR_TOO_LARGE);
    assert_int_equal(buf.len, 8);
    assert_string_equal(dv_buf_cstr(&buf), "12345678");
    dv_buf_clear(&buf);
    assert_int_equal(dv_buf_append_printf(&buf, "%d-%s", 12, "34567"), DV_OK);
    assert_string_equal(dv_buf_cstr(&buf), "12-34567");
    assert_int_equal(dv_buf_append_printf(&buf, "%s", "x"), DV_ERR_TOO_LARGE);
    dv_buf none = dv_buf_init(0);
    assert_int_equal(dv_buf_append_byte(&none, 'x'), DV_ERR_TOO_LARGE);
}

static void json_strings_are_escaped(void **state)
{
    dv_auto(buf) dv_buf buf = dv_buf_init(256);
    dv_slice text = DV_LIT("a\"\\\n\x01\xc3\xa9\xff"
                           "z");
    assert_int_equal(dv_buf_append_json_string(&buf, text), DV_OK);
    assert_string_equal(dv_buf_cstr(&buf), "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbdz\"");
}

static int cleanups_run;

static void note_cleanup(void *data)
{
    cleanups_run = cleanups_run * 10 + *(int *)data;
}

static void arenas_bound_align_and_clean_up(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(100000);
    int *one = dv_arena_alloc(arena, sizeof(int)), *two = dv_arena_alloc(arena, sizeof(int));
    assert_int_equal((uintptr_t)one % 16, 0);
    assert_int_equal((uintptr_t)two % 16, 0);
    *one = 1;
    *two = 2;
    assert_int_equal(dv_arena_on_free(arena, note_cleanup, one), DV_OK);
    assert_int_equal(dv_arena_on_free(arena, note_cleanup, two), DV_OK);
    assert_null(dv_arena_alloc(arena, 100000));
    assert_non_null(dv_arena_alloc(arena, 90000));
    assert_null(dv_arena_alloc(arena, 20000));
    volatile size_t absurd = SIZE_MAX - 8; /* hidden from the compiler, which would refuse it */
    assert_null(dv_arena_alloc(arena, absurd));
    cleanups_run = 0;
    dv_arena_reset(arena);
    assert_int_equal(cleanups_run, 21);
    assert_non_null(dv_arena_alloc(arena, 90000));
    assert_string_equal(dv_arena_printf(arena, "%s/%d", "a", 7), "a/7");
}

static void arrays_in_an_arena_grow(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(100000);
    size_t capacity = 0;
    int *list = NULL;
    for (int i = 0; i < 1000; i++) {
        int *grown = dv_arena_grow(arena, list, (size_t)i, &capacity, sizeof(*list), 3);
        assert_non_null(grown);
        assert_true(grown == list || i == 0 || capacity == 2 * (size_t)i);
        list = grown;
        list[i] = i;
    }
    assert_int_equal(capacity, 1536);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(list[i], i);
    }
    assert_ptr_equal(dv_arena_grow(arena, list, 1000, &capacity, sizeof(*list), 3), list);
    /* No memory, or more items than there are numbers: the array is as before. */
    assert_null(dv_arena_grow(arena, list, 1536, &capacity, 100, 3));
    assert_int_equal(capacity, 1536);
    volatile size_t absurd = SIZE_MAX / 2; /* hidden from the compiler, as above */
    size_t full = absurd;
    assert_null(dv_arena_grow(arena, list, full, &full, sizeof(*list), 3));
    full = absurd + 1;
    assert_null(dv_arena_grow(arena, list, full, &full, sizeof(*list), 3));
}

static void arenas_hold_many_small_objects(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    uint8_t *last = NULL;
    for (int i = 0; i < 3000; i++) {
        uint8_t *object = dv_arena_alloc(arena, 33);
        assert_non_null(object);
        for (int j = 0; j < 33; j++) {
            assert_int_equal(object[j], 0);
        }
        memset(object, 0xff, 33);
        assert_ptr_not_equal(object, last);
        last = object;
    }
}

static void recycled_arenas_keep_one_block(void **state)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    uint8_t *before[5]; /* one in the first block, four in the next */
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < DV_ARRAY_LEN(before); i++) {
            uint8_t *object = dv_arena_alloc(arena, 4000);
            assert_non_null(object);
            assert_int_equal(object[0] | object[3999], 0);
            memset(object, 0xff, 4000);
#ifndef DV_SANITIZED
            if (round > 0) {
                assert_ptr_equal(object, before[i]);
            }
#endif
            before[i] = object;
        }
        cleanups_run = 0;
        int one = 1;
        assert_int_equal(dv_arena_on_free(arena, note_cleanup, &one), DV_OK);
        dv_arena_recycle(arena);
        assert_int_equal(cleanups_run, 1);
    }
    assert_null(dv_arena_alloc(arena, (1 << 20) + 1));
    assert_non_null(dv_arena_alloc(arena, (1 << 20) - 64));
    dv_arena_recycle(arena);
    dv_arena_reset(arena);
    assert_non_null(dv_arena_alloc(arena, 5000));
}

static void base64_vectors_of_rfc_4648(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < DV_ARRAY_LEN(pairs); i++) {
        dv_auto(buf) dv_buf out = dv_buf_init(64);
        assert_int_equal(dv_base64_encode(dv_slice_str(pairs[i][0]), &out), DV_OK);
        assert_true(dv_slice_eq_str(dv_buf_slice(&out), pairs[i][1]));
        dv_buf_clear(&out);
        assert_int_equal(dv_base64_decode(dv_slice_str(pairs[i][1]), &out), DV_OK);
        assert_true(dv_slice_eq_str(dv_buf_slice(&out), pairs[i][0]));
    }
    static const char *const bad[] = {
        "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9", "Zm9v\n"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        dv_auto(buf) dv_buf out = dv_buf_init(64);
        assert_int_equal(dv_base64_decode(dv_slice_str(bad[i]), &out), DV_ERR_INVALID);
        assert_int_equal(out.len, 0);
    }
    dv_auto(buf) dv_buf url = dv_buf_init(64);
    assert_int_equal(dv_base64url_encode(DV_LIT("\xfb\xff"), &url), DV_OK);
    assert_true(dv_slice_eq_str(dv_buf_slice(&url), "-_8"));
}

static void base62_round_trips_and_bounds(void **state)
{
    char text[6];
    uint64_t value;
    assert_int_equal(dv_base62_encode(UINT32_MAX, 6, text), DV_OK);
    assert_int_equal(dv_base62_decode(dv_slice_of(text, 6), &value), DV_OK);
    assert_int_equal(value, UINT32_MAX);
    assert_int_equal(dv_base62_encode(UINT32_MAX, 5, text), DV_ERR_TOO_LARGE);
    assert_int_equal(dv_base62_decode(DV_LIT("zzzzzzzzzzzz"), &value), DV_ERR_INVALID);
    assert_int_equal(dv_base62_decode(DV_LIT("a-b"), &value), DV_ERR_INVALID);
    assert_int_equal(dv_base62_decode(DV_LIT(""), &value), DV_ERR_INVALID);
}

/* The check value of both catalogues: the CRC of "123456789". */
static void crcs_have_their_check_values(void **state)
{
    assert_int_equal(dv_crc32(0, DV_LIT("123456789")), 0xcbf43926);
    assert_int_equal(dv_crc32c(0, DV_LIT("123456789")), 0xe3069283);
    uint8_t zeros[32] = {0}; /* RFC 3720, B.4 */
    assert_int_equal(dv_crc32c(0, dv_slice_of(zeros, sizeof(zeros))), 0x8a9136aa);
    uint32_t piecewise = dv_crc32c(dv_crc32c(0, DV_LIT("1234")), DV_LIT("56789"));
    assert_int_equal(piecewise, 0xe3069283);
}

static void utf8_is_strict(void **state)
{
    static const char *const good[] = {
        "", "abc", "\xc3\xa9", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf", "12345678\xe2\x82\xac"};
    static const char *const bad[] = {"\x80",         "\xc0\xaf",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x82",     "\xf8\x88\x80\x80\x80",
                                      "\xe0\x80\xaf", "12345678\xff"};
    for (size_t i = 0; i < DV_ARRAY_LEN(good); i++) {
        assert_true(dv_utf8_valid(dv_slice_str(good[i])));
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_false(dv_utf8_valid(dv_slice_str(bad[i])));
    }
    for (uint32_t point = 0; point <= 0x110000; point += 97) {
        uint8_t bytes[4];
        uint32_t back;
        size_t len = dv_utf8_encode(point, bytes);
        bool valid = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        assert_int_equal(len > 0, valid);
        if (len > 0) {
            assert_int_equal(dv_utf8_decode(dv_slice_of(bytes, len), &back), len);
            assert_int_equal(back, point);
        }
    }
}

static void times_follow_rfc_3339(void **state)
{
    char text[DV_TIME_TEXT_MAX];
    dv_time time;
    assert_int_equal(dv_time_parse(DV_LIT("2024-02-29T23:59:59.123456789+05:30"), &time), DV_OK);
    dv_time_format(time, text);
    assert_string_equal(text, "2024-02-29T18:29:59.123456Z");
    assert_int_equal(dv_time_parse(DV_LIT("1990-12-31T23:59:60Z"), &time), DV_OK);
    dv_time_format(time, text);
    assert_string_equal(text, "1991-01-01T00:00:00.000000Z");
    static const char *const bad[] = {"2023-02-29T00:00:00Z",  "2024-01-01T24:00:00Z",
                                      "2024-01-01T00:00:00",   "2024-13-01T00:00:00Z",
                                      "2024-01-01T00:00:00.Z", "1969-12-31T23:59:59Z",
                                      "2024-01-01T00:00:00Zx", "9999-01-01T00:00:00Z"};
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        assert_int_equal(dv_time_parse(dv_slice_str(bad[i]), &time), DV_ERR_INVALID);
    }
    assert_int_equal(dv_duration_parse(DV_LIT("90d"), &time), DV_OK);
    assert_int_equal(time, 90 * 86400 * DV_SECOND);
    assert_int_equal(dv_duration_parse(DV_LIT("250ms"), &time), DV_OK);
    assert_int_equal(time, 250 * DV_MILLISECOND);
    assert_int_equal(dv_duration_parse(DV_LIT("5"), &time), DV_ERR_INVALID);
    assert_int_equal(dv_duration_parse(DV_LIT("-5s"), &time), DV_ERR_INVALID);
    assert_int_equal(dv_duration_parse(DV_LIT("99999999999999999w"), &time), DV_ERR_INVALID);
}

static void every_day_survives_the_calendar(void **state)
{
    for (dv_time day = 0; day < 106000; day++) {
        char text[DV_TIME_TEXT_MAX];
        dv_time back;
        size_t len = dv_time_format(day * 86400 * DV_SECOND, text);
        assert_int_equal(dv_time_parse(dv_slice_of(text, len), &back), DV_OK);
        assert_int_equal(back, day * 86400 * DV_SECOND);
    }
}

static void a_clock_that_is_set_is_told(void **state)
{
    dv_clock_watch watch = {0};
    const dv_time hour = 3600 * DV_SECOND;
    assert_int_equal(dv_clock_watch_look(&watch, 10 * hour, hour), 0); /* the first look */
    assert_int_equal(dv_clock_watch_look(&watch, 11 * hour, 2 * hour), 0);
    assert_int_equal(dv_clock_watch_look(&watch, 11 * hour + 2 * DV_SECOND, 2 * hour), 0);
    assert_true(dv_clock_watch_look(&watch, 12 * hour, 2 * hour) == hour - 2 * DV_SECOND);
    assert_int_equal(dv_clock_watch_look(&watch, 12 * hour, 2 * hour), 0); /* told once */
    assert_true(dv_clock_watch_look(&watch, hour, 2 * hour) == -11 * hour);
}

static void uuids_sort_by_time_and_round_trip(void **state)
{
    dv_uuid early = dv_uuid_new(1700000000000 * DV_MILLISECOND);
    dv_uuid late = dv_uuid_new(1700000000000 * DV_MILLISECOND + 500000);
    char text[DV_UUID_TEXT_LEN + 1];
    dv_uuid back;
    assert_true(memcmp(&early, &late, sizeof(early)) < 0);
    dv_uuid_format(&early, text);
    assert_int_equal(strlen(text), DV_UUID_TEXT_LEN);
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    assert_int_equal(dv_uuid_parse(dv_slice_str(text), &back), DV_OK);
    assert_memory_equal(&back, &early, sizeof(back));
    text[8] = 'a';
    assert_int_equal(dv_uuid_parse(dv_slice_str(text), &back), DV_ERR_INVALID);
}

static void forked_children_make_other_uuids(void **state)
{
    int pipes[2];
    dv_uuid mine = dv_uuid_new(1), theirs;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        dv_uuid made = dv_uuid_new(1);
        _exit(write(pipes[1], &made, sizeof(made)) == sizeof(made) ? 0 : 1);
    }
    mine = dv_uuid_new(1);
    assert_int_equal(read(pipes[0], &theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_memory_not_equal(&mine, &theirs, sizeof(mine));
    close(pipes[0]);
    close(pipes[1]);
}

static void files_are_replaced_whole(void **state)
{
    char folder[] = "/tmp/dvara-base-XXXXXX", path[64], deep[64];
    struct stat info;
    dv_error error;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    snprintf(deep, sizeof(deep), "%s/a/b", folder);
    assert_int_equal(dv_file_write_atomic(path, DV_LIT("one"), 0600, &error), DV_OK);
    assert_int_equal(dv_file_write_atomic(path, DV_LIT("second"), 0640, &error), DV_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0640);
    dv_auto(buf) dv_buf text = dv_buf_init(6), small = dv_buf_init(5);
    assert_int_equal(dv_file_read(path, &text, &error), DV_OK);
    assert_true(dv_slice_eq_str(dv_buf_slice(&text), "second"));
    assert_int_equal(dv_file_read(path, &small, &error), DV_ERR_TOO_LARGE);
    assert_int_equal(dv_file_read(folder, &text, &error), DV_ERR_INVALID);
    assert_int_equal(dv_file_read("/nonexistent", &text, &error), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_dir_make(deep, 0700, &error), DV_OK);
    assert_int_equal(dv_dir_make(deep, 0700, &error), DV_OK);
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(dv_dir_make(path, 0700, &error), DV_ERR_CONFLICT);
    unlink(path);
    rmdir(deep);
    snprintf(deep, sizeof(deep), "%s/a", folder);
    rmdir(deep);
    assert_int_equal(rmdir(folder), 0);
}

static void errors_keep_their_place_and_are_cut(void **state)
{
    dv_error error;
    char text[2 * DV_ERROR_MESSAGE_MAX];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(dv_error_set_at(&error, DV_ERR_INVALID, 3, 7, "%s", text), DV_ERR_INVALID);
    assert_int_equal(error.line, 3);
    assert_int_equal(error.column, 7);
    assert_int_equal(strlen(error.message), DV_ERROR_MESSAGE_MAX - 1);
    assert_int_equal(dv_error_set(NULL, DV_ERR_IO, "nobody listens"), DV_ERR_IO);
    assert_string_equal(dv_result_name(DV_ERR_TOO_LARGE), "too_large");
    assert_string_equal(dv_result_name((dv_result)999), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_and_split),
        cmocka_unit_test(buffers_stop_at_their_maximum),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(arenas_bound_align_and_clean_up),
        cmocka_unit_test(arrays_in_an_arena_grow),
        cmocka_unit_test(arenas_hold_many_small_objects),
        cmocka_unit_test(recycled_arenas_keep_one_block),
        cmocka_unit_test(base64_vectors_of_rfc_4648),
        cmocka_unit_test(base62_round_trips_and_bounds),
        cmocka_unit_test(crcs_have_their_check_values),
        cmocka_unit_test(utf8_is_strict),
        cmocka_unit_test(times_follow_rfc_3339),
        cmocka_unit_test(every_day_survives_the_calendar),
        cmocka_unit_test(a_clock_that_is_set_is_told),
        cmocka_unit_test(uuids_sort_by_time_and_round_trip),
        cmocka_unit_test(forked_children_make_other_uuids),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(errors_keep_their_place_and_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
