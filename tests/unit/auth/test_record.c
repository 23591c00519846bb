/* SPDX-License-Identifier: Apache-2.0 */
#include "base/codec.h"
#include "room/auth/gate/api_key.h"
#include "room/auth/gate/record.h"
#include "room/auth/gate/usage.h"
#include "unit/temp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* --- keys ------------------------------------------------------------------------------------ */

static const char ID[] = "Ab3dEf9h";
static const char RANDOM[] = "0123456789abcdefghijABCDEFGHIJ";

static void key_is_what_it_says(void **state)
{
    char key[DV_API_KEY_LEN + 1];
    char check[7] = "";
    dv_slice id;
    assert_int_equal(dv_api_key_format(dv_slice_str(ID), dv_slice_str(RANDOM), key), DV_OK);
    assert_int_equal(strlen(key), 49);
    assert_memory_equal(key, "dvk_Ab3dEf9h_0123456789abcdefghijABCDEFGHIJ", 43);
    assert_int_equal(dv_base62_encode(dv_crc32(0, dv_slice_of(key, 43)), 6, check), DV_OK);
    assert_string_equal(key + 43, check);
    assert_int_equal(dv_api_key_parse(dv_slice_str(key), &id), DV_OK);
    assert_true(dv_slice_eq_str(id, ID));
}

static void any_changed_character_is_junk(void **state)
{
    char key[DV_API_KEY_LEN + 2];
    dv_slice id;
    assert_int_equal(dv_api_key_format(dv_slice_str(ID), dv_slice_str(RANDOM), key), DV_OK);
    for (size_t i = 0; i < DV_API_KEY_LEN; i++) {
        for (int c = 0; c < 256; c++) {
            char good = key[i];
            if ((char)c == good) {
                continue;
            }
            key[i] = (char)c;
            assert_int_equal(dv_api_key_parse(dv_slice_str(key), &id), DV_ERR_INVALID);
            assert_int_equal(dv_api_key_parse(dv_slice_of(key, DV_API_KEY_LEN), &id),
                             DV_ERR_INVALID);
            key[i] = good;
        }
    }
    for (size_t len = 0; len < DV_API_KEY_LEN; len++) {
        assert_int_equal(dv_api_key_parse(dv_slice_of(key, len), &id), DV_ERR_INVALID);
    }
    key[DV_API_KEY_LEN] = 'x';
    assert_int_equal(dv_api_key_parse(dv_slice_of(key, DV_API_KEY_LEN + 1), &id), DV_ERR_INVALID);
}

static void bad_parts_make_no_key(void **state)
{
    char key[DV_API_KEY_LEN + 1];
    assert_int_equal(dv_api_key_format(DV_LIT("short"), dv_slice_str(RANDOM), key), DV_ERR_INVALID);
    assert_int_equal(dv_api_key_format(DV_LIT("Ab3dEf9_"), dv_slice_str(RANDOM), key),
                     DV_ERR_INVALID);
    assert_int_equal(dv_api_key_format(dv_slice_str(ID), DV_LIT("short"), key), DV_ERR_INVALID);
}

/* --- names ----------------------------------------------------------------------------------- */

static void names_are_plain(void **state)
{
    static const char *const GOOD[] = {"a", "A", "0", "john.doe", "a@b.example", "x_y-z"};
    static const char *const BAD[] = {"",    ".",   "_a",  "@a",  "-a",       "a b",
                                      "a\"", "a\\", "a:b", "a/b", "\xc3\xa4", "*"};
    char longest[130];
    for (size_t i = 0; i < DV_ARRAY_LEN(GOOD); i++) {
        assert_true(dv_auth_name_ok(dv_slice_str(GOOD[i])));
        assert_true(dv_auth_permission_ok(dv_slice_str(GOOD[i])));
    }
    for (size_t i = 0; i < DV_ARRAY_LEN(BAD); i++) {
        assert_false(dv_auth_name_ok(dv_slice_str(BAD[i])));
    }
    assert_false(dv_auth_name_ok(dv_slice_of("a\0b", 3)));
    memset(longest, 'x', sizeof(longest));
    assert_true(dv_auth_name_ok(dv_slice_of(longest, 128)));
    assert_false(dv_auth_name_ok(dv_slice_of(longest, 129)));
    assert_true(dv_auth_permission_ok(DV_LIT("*")));
    assert_true(dv_auth_permission_ok(DV_LIT("tool:read:file")));
    assert_false(dv_auth_permission_ok(DV_LIT("tool:")));
    assert_false(dv_auth_permission_ok(DV_LIT(":tool")));
    assert_false(dv_auth_permission_ok(DV_LIT("")));
    assert_false(dv_auth_permission_ok(dv_slice_of(longest, 129)));
}

/* --- records --------------------------------------------------------------------------------- */

static void credentials_come_back(void **state)
{
    dv_slice scopes[2] = {DV_LIT("use_model"), DV_LIT("read_data")};
    dv_credential_record in = {.owner_type = DV_PRINCIPAL_SERVICE,
                               .owner = DV_LIT("ci"),
                               .expires = DV_TIME_NEVER,
                               .previous_expires = 5,
                               .scope_count = 2};
    dv_credential_record out;
    const dv_slice *read;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 16);
    memset(in.secret, 7, sizeof(in.secret));
    memset(in.previous, 9, sizeof(in.previous));
    assert_int_equal(dv_credential_encode(&in, scopes, &bytes), DV_OK);
    assert_int_equal(dv_credential_decode(dv_buf_slice(&bytes), &out), DV_OK);
    assert_int_equal(out.owner_type, DV_PRINCIPAL_SERVICE);
    assert_true(dv_slice_eq_str(out.owner, "ci"));
    assert_true(out.expires == DV_TIME_NEVER && out.previous_expires == 5);
    assert_memory_equal(out.secret, in.secret, 32);
    assert_memory_equal(out.previous, in.previous, 32);
    assert_int_equal(dv_credential_scopes(&out, arena, &read), DV_OK);
    assert_true(dv_slice_eq_str(read[0], "use_model") && dv_slice_eq_str(read[1], "read_data"));
    for (size_t len = 0; len < bytes.len; len++) {
        assert_int_equal(dv_credential_decode(dv_slice_of(bytes.ptr, len), &out), DV_ERR_CORRUPT);
    }
    assert_int_equal(dv_buf_append_byte(&bytes, 0), DV_OK);
    assert_int_equal(dv_credential_decode(dv_buf_slice(&bytes), &out), DV_ERR_CORRUPT);
    in.scope_count = DV_CREDENTIAL_SCOPES_MAX + 1;
    assert_int_equal(dv_credential_encode(&in, scopes, &bytes), DV_ERR_INVALID);
}

static void principals_come_back(void **state)
{
    dv_time next;
    dv_slice ancestors[3] = {DV_LIT("Group::\"ml\""), DV_LIT("Group::\"all\""),
                             DV_LIT("Role::\"viewer\"")};
    dv_principal out;
    bool active = true;
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_int_equal(
        dv_principal_encode(DV_PRINCIPAL_USER, DV_LIT("alice"), false, ancestors, 3, 2, &bytes),
        DV_OK);
    assert_int_equal(dv_principal_decode_at(dv_buf_slice(&bytes), 0, arena, &out, &active, &next),
                     DV_OK);
    assert_false(active);
    assert_true(dv_slice_eq_str(out.name, "alice"));
    assert_true(dv_slice_eq_str(out.entity, "User::\"alice\""));
    assert_int_equal(out.ancestor_count, 3);
    assert_int_equal(out.group_count, 2);
    assert_true(dv_slice_eq_str(out.groups[0], "ml") && dv_slice_eq_str(out.groups[1], "all"));
    assert_true(dv_slice_eq(out.ancestors[2], ancestors[2]));
    for (size_t len = 0; len < bytes.len; len++) {
        assert_int_equal(
            dv_principal_decode_at(dv_slice_of(bytes.ptr, len), 0, arena, &out, &active, &next),
            DV_ERR_CORRUPT);
    }
    bytes.ptr[2] = 0; /* neither active nor suspended */
    assert_int_equal(dv_principal_decode_at(dv_buf_slice(&bytes), 0, arena, &out, &active, &next),
                     DV_ERR_CORRUPT);
}

/* A role is one until its time, exactly; the others close up, and the next ending is told. */
static void roles_end_in_records(void **state)
{
    const dv_slice ancestors[] = {DV_LIT("Group::\"ml\""), DV_LIT("Role::\"a\""),
                                  DV_LIT("Role::\"b\""), DV_LIT("Role::\"c\"")};
    const dv_time until[] = {DV_TIME_NEVER, 100, DV_TIME_NEVER, 200};
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    dv_principal out;
    dv_time next;
    bool active;
    assert_int_equal(dv_principal_encode_until(DV_PRINCIPAL_USER, DV_LIT("alice"), true, ancestors,
                                               until, 4, 1, &bytes),
                     DV_OK);
    const struct {
        dv_time now;
        size_t count;
        dv_time next;
    } cases[] = {{99, 4, 100}, {100, 3, 200}, {199, 3, 200}, {200, 2, DV_TIME_NEVER}};
    for (size_t i = 0; i < DV_ARRAY_LEN(cases); i++) {
        assert_int_equal(
            dv_principal_decode_at(dv_buf_slice(&bytes), cases[i].now, arena, &out, &active, &next),
            DV_OK);
        assert_int_equal(out.ancestor_count, cases[i].count);
        assert_int_equal(out.group_count, 1);
        assert_int_equal(next, cases[i].next);
        assert_true(dv_slice_eq_str(out.ancestors[0], "Group::\"ml\""));
    }
    assert_true(dv_slice_eq_str(out.ancestors[1], "Role::\"b\""));
    for (size_t len = bytes.len - 19; len < bytes.len; len++) {
        dv_result expected = len == bytes.len - 10 ? DV_OK : DV_ERR_CORRUPT;
        assert_int_equal(
            dv_principal_decode_at(dv_slice_of(bytes.ptr, len), 0, arena, &out, &active, &next),
            expected);
    }
    /* Groups do not end, and places lie within the ancestors. */
    dv_put_u16(bytes.ptr + bytes.len - 10, 0);
    assert_int_equal(dv_principal_decode_at(dv_buf_slice(&bytes), 0, arena, &out, &active, &next),
                     DV_ERR_CORRUPT);
    dv_put_u16(bytes.ptr + bytes.len - 10, 4);
    assert_int_equal(dv_principal_decode_at(dv_buf_slice(&bytes), 0, arena, &out, &active, &next),
                     DV_ERR_CORRUPT);
}

static void ancestors_have_a_limit(void **state)
{
    dv_slice many[257];
    dv_auto(buf) dv_buf bytes = dv_buf_init(DV_RECORD_MAX);
    for (size_t i = 0; i < DV_ARRAY_LEN(many); i++) {
        many[i] = DV_LIT("Role::\"r\"");
    }
    assert_int_equal(
        dv_principal_encode(DV_PRINCIPAL_USER, DV_LIT("a"), true, many, 256, 0, &bytes), DV_OK);
    assert_int_equal(
        dv_principal_encode(DV_PRINCIPAL_USER, DV_LIT("a"), true, many, 257, 0, &bytes),
        DV_ERR_TOO_LARGE);
}

/* --- last use -------------------------------------------------------------------------------- */

typedef struct seen {
    size_t count;
    char id[9];
    dv_time time;
} seen;

static void see(void *data, dv_slice id, dv_time time)
{
    seen *s = data;
    s->count++;
    s->time = time;
    snprintf(s->id, sizeof(s->id), "%.*s", DV_SLICE_ARGS(id));
}

static void marks_are_read_once(void **state)
{
    temp_dir dir;
    char path[PATH_MAX];
    struct stat st;
    seen s = {0};
    temp_dir_make(&dir);
    temp_path(&dir, "usage", path);
    dv_auto(usage) dv_usage *writer = NULL;
    dv_auto(usage) dv_usage *reader = NULL;
    assert_int_equal(dv_usage_open(path, false, &writer, NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(dv_usage_open(path, true, &reader, NULL), DV_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(dv_usage_open(path, false, &writer, NULL), DV_OK);
    dv_usage_mark(writer, dv_slice_str(ID), 5);
    dv_usage_mark(writer, dv_slice_str(ID), 7);
    dv_usage_mark(writer, DV_LIT("short"), 7);
    dv_usage_drain(reader, see, &s);
    assert_int_equal(s.count, 1);
    assert_string_equal(s.id, ID);
    assert_int_equal(s.time, 7);
    dv_usage_drain(reader, see, &s);
    assert_int_equal(s.count, 1);
    temp_dir_remove(&dir);
}

static void a_hundred_thousand_keys_are_noted(void **state)
{
    temp_dir dir;
    char path[PATH_MAX];
    char id[16];
    seen s = {0};
    temp_dir_make(&dir);
    dv_auto(usage) dv_usage *owner = NULL;
    dv_auto(usage) dv_usage *worker = NULL;
    assert_int_equal(dv_usage_open(temp_path(&dir, "usage", path), true, &owner, NULL), DV_OK);
    assert_int_equal(dv_usage_open(path, false, &worker, NULL), DV_OK);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100000; i++) {
            snprintf(id, sizeof(id), "%08d", i + round * 400000);
            dv_usage_mark(worker, dv_slice_str(id), 1 + i);
        }
        s.count = 0;
        dv_usage_drain(owner, see, &s);
        assert_int_equal(s.count, 100000);
    }
    temp_dir_remove(&dir);
}

/* What a worker that was taken over can do. */
static void a_shortened_file_ends_nobody(void **state)
{
    temp_dir dir;
    char path[PATH_MAX];
    seen s = {0};
    temp_dir_make(&dir);
    dv_auto(usage) dv_usage *owner = NULL;
    dv_auto(usage) dv_usage *again = NULL;
    dv_auto(usage) dv_usage *worker = NULL;
    assert_int_equal(dv_usage_open(temp_path(&dir, "usage", path), true, &owner, NULL), DV_OK);
    for (off_t len = 5000; len >= 0; len -= 5000) {
        assert_int_equal(truncate(path, len), 0);
        dv_usage_drain(owner, see, &s);
        assert_int_equal(s.count, 0);
    }
    assert_int_equal(dv_usage_open(path, true, &again, NULL), DV_OK);
    assert_int_equal(dv_usage_open(path, false, &worker, NULL), DV_OK);
    dv_usage_mark(worker, dv_slice_str(ID), 5);
    dv_usage_drain(owner, see, &s);
    assert_int_equal(s.count, 1);
    temp_dir_remove(&dir);
}

static void foreign_usage_files_are_made_anew(void **state)
{
    temp_dir dir;
    char path[PATH_MAX];
    dv_usage *usage = NULL;
    temp_dir_make(&dir);
    temp_path(&dir, "usage", path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs("something else", file) >= 0);
    fclose(file);
    assert_int_equal(dv_usage_open(path, false, &usage, NULL), DV_ERR_CORRUPT);
    assert_int_equal(dv_usage_open(path, true, &usage, NULL), DV_OK);
    seen s = {0};
    dv_usage_drain(usage, see, &s);
    assert_int_equal(s.count, 0);
    dv_usage_close(usage);
    assert_int_equal(dv_usage_open(path, false, &usage, NULL), DV_OK);
    dv_usage_close(usage);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_is_what_it_says),
        cmocka_unit_test(any_changed_character_is_junk),
        cmocka_unit_test(bad_parts_make_no_key),
        cmocka_unit_test(names_are_plain),
        cmocka_unit_test(credentials_come_back),
        cmocka_unit_test(principals_come_back),
        cmocka_unit_test(roles_end_in_records),
        cmocka_unit_test(ancestors_have_a_limit),
        cmocka_unit_test(marks_are_read_once),
        cmocka_unit_test(a_hundred_thousand_keys_are_noted),
        cmocka_unit_test(a_shortened_file_ends_nobody),
        cmocka_unit_test(foreign_usage_files_are_made_anew),
    };
    return cmocka_run_group_tests_name("auth-record", tests, NULL, NULL);
}
