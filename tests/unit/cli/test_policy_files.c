/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a command takes for policies, what they are called, and what is refused. */
#include "base/buf.h"
#include "cli/policy_files.h"
#include "unit/temp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

typedef struct folder {
    temp_dir dir;
    dv_arena *arena;
    dv_policy_files files;
    dv_error error;
} folder;

static int set_up(void **state)
{
    folder *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    temp_dir_make(&f->dir);
    f->arena = dv_arena_new((size_t)1 << 30);
    assert_non_null(f->arena);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    folder *f = *state;
    temp_dir_remove(&f->dir);
    dv_arena_free(f->arena);
    free(f);
    return 0;
}

static void write_bytes(folder *f, const char *name, const char *bytes, size_t len)
{
    char path[PATH_MAX];
    FILE *file = fopen(temp_path(&f->dir, name, path), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void write_text(folder *f, const char *name, const char *text)
{
    write_bytes(f, name, text, strlen(text));
}

/* Reads the names, which are meant from the folder; "" is the folder itself. */
static dv_result read_paths(folder *f, const char *const *names, size_t count)
{
    json_t *paths = json_array();
    char path[PATH_MAX];
    for (size_t i = 0; i < count; i++) {
        const char *whole = names[i][0] == '\0' ? f->dir.path : temp_path(&f->dir, names[i], path);
        assert_int_equal(json_array_append_new(paths, json_string(whole)), 0);
    }
    f->error = (dv_error){0};
    dv_result result = dv_policy_files_read(paths, f->arena, &f->files, &f->error);
    json_decref(paths);
    return result;
}

#define READ(f, ...)                                                                               \
    read_paths(f, (const char *const[]){__VA_ARGS__},                                              \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void expect_refused(folder *f, dv_result result, dv_result expected, const char *words)
{
    assert_int_equal(result, expected);
    if (strstr(f->error.message, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", f->error.message, words);
    }
}

static void a_folder_gives_its_policies_by_name(void **state)
{
    folder *f = *state;
    char path[PATH_MAX];
    write_text(f, "b.cedar", "bee");
    write_text(f, "a.cedar", "");
    write_text(f, "notes.txt", "no policy");
    write_text(f, ".hidden.cedar", "no policy");
    assert_int_equal(mkdir(temp_path(&f->dir, "deeper", path), 0700), 0);
    write_text(f, "deeper/c.cedar", "not looked for");
    assert_int_equal(READ(f, ""), DV_OK);
    assert_int_equal(f->files.count, 2);
    assert_string_equal(f->files.items[0].name, "a");
    assert_int_equal(f->files.items[0].text.len, 0);
    assert_string_equal(f->files.items[1].name, "b");
    assert_true(dv_slice_eq_str(f->files.items[1].text, "bee"));
    assert_string_equal(dv_policy_files_path(&f->files, DV_LIT("b")),
                        dv_arena_printf(f->arena, "%s/b.cedar", f->dir.path));
    assert_null(dv_policy_files_path(&f->files, DV_LIT("c")));
}

static void files_are_policies_whatever_they_end_in(void **state)
{
    folder *f = *state;
    write_text(f, "hours", "one");
    write_text(f, "night.cedar.txt", "two");
    assert_int_equal(READ(f, "hours", "night.cedar.txt"), DV_OK);
    assert_string_equal(f->files.items[0].name, "hours");
    assert_string_equal(f->files.items[1].name, "night.cedar.txt");
}

static void texts_go_out_as_they_came(void **state)
{
    folder *f = *state;
    write_text(f, "a.cedar", "permit(principal, action, resource); // caf\xc3\xa9\n");
    write_text(f, "b.cedar", "");
    assert_int_equal(READ(f, ""), DV_OK);
    json_t *json = dv_policy_files_json(&f->files);
    const json_t *first = json_array_get(json, 0), *second = json_array_get(json, 1);
    assert_int_equal(json_array_size(json), 2);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "a");
    assert_string_equal(json_string_value(json_object_get(first, "text")),
                        "permit(principal, action, resource); // caf\xc3\xa9\n");
    assert_string_equal(json_string_value(json_object_get(second, "text")), "");
    json_decref(json);
}

static void text_is_utf8(void **state)
{
    folder *f = *state;
    write_text(f, "a.cedar", "permit \xff");
    expect_refused(f, READ(f, "a.cedar"), DV_ERR_INVALID, "a.cedar is not UTF-8");
}

static void what_is_not_there_is_said(void **state)
{
    folder *f = *state;
    char path[PATH_MAX];
    assert_int_equal(mkdir(temp_path(&f->dir, "empty", path), 0700), 0);
    expect_refused(f, READ(f, "empty"), DV_ERR_NOT_FOUND, "no file that ends in .cedar");
    assert_int_not_equal(READ(f, "absent.cedar"), DV_OK);
    assert_non_null(strstr(f->error.message, "absent.cedar"));
}

static void bad_names_are_refused(void **state)
{
    static const char *const bad[] = {"-a.cedar", "a b.cedar", "caf\xc3\xa9.cedar", "_a.cedar"};
    folder *f = *state;
    char name[160];
    for (size_t i = 0; i < DV_ARRAY_LEN(bad); i++) {
        write_text(f, bad[i], "x");
        expect_refused(f, READ(f, bad[i]), DV_ERR_INVALID, "named after its file");
    }
    memset(name, 'n', sizeof(name));
    snprintf(name + 129, sizeof(name) - 129, ".cedar");
    write_text(f, name, "x");
    expect_refused(f, READ(f, name), DV_ERR_INVALID, "up to 128");
    snprintf(name + 128, sizeof(name) - 128, ".cedar");
    write_text(f, name, "x");
    assert_int_equal(READ(f, name), DV_OK);
}

static void a_name_stands_once(void **state)
{
    folder *f = *state;
    write_text(f, "a.cedar", "x");
    write_text(f, "a", "y");
    expect_refused(f, READ(f, "a.cedar", "a"), DV_ERR_INVALID, "would both be the policy a");
}

static void a_file_is_a_mebibyte_at_most(void **state)
{
    enum { LIMIT = 1 << 20 };
    folder *f = *state;
    char *bytes = malloc(LIMIT + 1);
    assert_non_null(bytes);
    memset(bytes, ' ', LIMIT + 1);
    write_bytes(f, "a.cedar", bytes, LIMIT);
    assert_int_equal(READ(f, "a.cedar"), DV_OK);
    assert_int_equal(f->files.items[0].text.len, LIMIT);
    write_bytes(f, "a.cedar", bytes, LIMIT + 1);
    assert_int_equal(READ(f, "a.cedar"), DV_ERR_TOO_LARGE);
    free(bytes);
}

static void a_thousand_files_at_most(void **state)
{
    enum { LIMIT = 1000 };
    folder *f = *state;
    char name[32];
    for (int i = 0; i < LIMIT; i++) {
        snprintf(name, sizeof(name), "p%d.cedar", i);
        write_text(f, name, "x");
    }
    assert_int_equal(READ(f, ""), DV_OK);
    assert_int_equal(f->files.count, LIMIT);
    write_text(f, "one-more.cedar", "x");
    expect_refused(f, READ(f, ""), DV_ERR_TOO_LARGE, "more than 1000 files");
}

/* Problems come with the policy's name in front, and people look for the file. */
static void problems_are_placed_in_files(void **state)
{
    static const struct {
        const char *message;
        bool placed;
    } cases[] = {{"a:3:1: a mistake", true},
                 {"b:3:1: of another", false},
                 {"no colon", false},
                 {": nothing in front", false}};
    folder *f = *state;
    write_text(f, "a.cedar", "x");
    assert_int_equal(READ(f, "a.cedar"), DV_OK);
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        dv_error error = {0};
        const char *expected =
            cases[i].placed ? dv_arena_printf(f->arena, "%s/a.cedar:3:1: a mistake", f->dir.path)
                            : cases[i].message;
        (void)dv_error_set(&error, DV_ERR_INVALID, "%s", cases[i].message);
        dv_policy_files_place(&f->files, &error);
        assert_string_equal(error.message, expected);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_gives_its_policies_by_name),
        TEST(files_are_policies_whatever_they_end_in),
        TEST(texts_go_out_as_they_came),
        TEST(text_is_utf8),
        TEST(what_is_not_there_is_said),
        TEST(bad_names_are_refused),
        TEST(a_name_stands_once),
        TEST(a_file_is_a_mebibyte_at_most),
        TEST(a_thousand_files_at_most),
        TEST(problems_are_placed_in_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
