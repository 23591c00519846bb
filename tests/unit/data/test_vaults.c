/* SPDX-License-Identifier: Apache-2.0 */
/* The section `data_vaults:`: every limit of it, and vaults whose files are not there. */
#include "base/buf.h"
#include "base/caps.h"
#include "room/data/control/vaults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static dv_arena *arena;
static dv_data_vaults *vaults;
static dv_error error;

static int set_up(void **state)
{
    (void)state;
    arena = dv_arena_new(16 << 20);
    return arena == NULL || dv_data_vaults_new(&vaults) != DV_OK ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    dv_data_vaults_free(vaults);
    dv_arena_free(arena);
    return 0;
}

static dv_result set(const char *yaml)
{
    const dv_yaml *root = NULL;
    memset(&error, 0, sizeof(error));
    assert_int_equal(dv_yaml_parse(dv_slice_str(yaml), arena, &root, &error), DV_OK);
    return dv_data_vaults_set(vaults, root, &error);
}

static void assert_refused(const char *yaml, const char *why)
{
    size_t before = dv_data_vault_count(vaults);
    assert_int_equal(set(yaml), DV_ERR_INVALID);
    if (strstr(error.message, why) == NULL) {
        fail_msg("no \"%s\" in: %s", why, error.message);
    }
    assert_true(error.line > 0);
    assert_int_equal(dv_data_vault_count(vaults), before);
}

static void vaults_have_names(void **state)
{
    (void)state;
    assert_int_equal(set("- {name: customers, file: /a, key: /k}\n- {name: 2-b.c_d, file: /b, key: "
                         "/k}\n"),
                     DV_OK);
    assert_int_equal(dv_data_vault_count(vaults), 2);
    assert_string_equal(dv_data_vault_find(vaults, "2-b.c_d")->file, "/b");
    assert_string_equal(dv_data_vault_at(vaults, 0)->key, "/k");
    assert_null(dv_data_vault_find(vaults, "custome"));
    assert_int_equal(set("- {name: chat, key: /k}\n- {name: b, key: /k}\n"), DV_OK);
    assert_string_equal(dv_data_vault_find(vaults, "b")->file, "");
    assert_null(dv_data_vault_find_file(vaults, "b"));
    assert_null(dv_data_vault_find_file(vaults, "customers"));
    assert_int_equal(dv_data_vaults_set(vaults, NULL, &error), DV_OK);
    assert_int_equal(dv_data_vault_count(vaults), 0);
}

static void slips_are_refused_and_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(set("- {name: customers, file: /a, key: /k}\n"), DV_OK);
    assert_refused("name: customers\n", "is a list");
    assert_refused("- customers\n", "");
    assert_refused("- {name: a, file: /a}\n", "a name and a key, and a file");
    assert_refused("- {file: /a, key: /k}\n", "a name and a key, and a file");
    assert_refused("- {name: a, fil: /a, key: /k}\n", "file");
    assert_refused("- {name: a, file: a, key: /k}\n", "file is a whole path");
    assert_refused("- {name: a, file: /a, key: k}\n", "key is a whole path");
    assert_refused("- {name: a, file: [/a], key: /k}\n", "");
    assert_refused("- {name: a, file: /a, key: /k}\n- {name: a, file: /b, key: /k}\n",
                   "two vaults are called a");
    static const char *const names[] = {"''", "A", "-a", "a b", "a/b", "a\\\"", "_a", "'a\"'"};
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        char yaml[128];
        snprintf(yaml, sizeof(yaml), "- {name: %s, file: /a, key: /k}\n", names[i]);
        assert_refused(yaml, "a name has");
    }
}

static const char *many(size_t count, size_t name_len, size_t path_len)
{
    static char yaml[64 << 10];
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(yaml + len, sizeof(yaml) - len,
                                "- {name: %0*zu, file: /%0*zu, key: /k}\n", (int)name_len, i,
                                (int)path_len - 1, i);
    }
    return yaml;
}

static void limits(void **state)
{
    (void)state;
    assert_int_equal(set(many(DV_LIMIT_DATA_VAULTS, 64, 3)), DV_OK);
    assert_int_equal(dv_data_vault_count(vaults), DV_LIMIT_DATA_VAULTS);
    assert_refused(many(DV_LIMIT_DATA_VAULTS + 1, 64, 3), "more than 16 vaults");
    assert_refused(many(1, 65, 3), "a name has 64");
    assert_int_equal(set(many(1, 1, 4000)), DV_OK);
    assert_refused(many(1, 1, 4001), "file is a whole path");
}

/* The configuration is good without them; whoever wants a value is told. */
static void files_that_are_not_there(void **state)
{
    (void)state;
    assert_int_equal(set("- {name: a, file: /nowhere/vault, key: /nowhere/key}\n"), DV_OK);
    dv_data_vault *vault = dv_data_vault_find(vaults, "a");
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_ERR_UNAVAILABLE);
    assert_string_equal(
        error.message,
        "the vault a can't be read: can not read /nowhere/key: No such file or directory");
    assert_null(vault->open);
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_ERR_UNAVAILABLE);
}

typedef struct place {
    char folder[32];
    char file[64], key[64], yaml[256];
} place;

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

/* A vault of one value, and its configuration. */
static void make_place(place *p)
{
    static const uint8_t key[DV_ACTION_KEY_LEN];
    dv_vault *vault = NULL;
    dv_auto(buf) dv_buf token = dv_buf_init(64);
    *p = (place){.folder = "/tmp/dvara-vaults-XXXXXX"};
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof(p->file), "%s/vault", p->folder);
    snprintf(p->key, sizeof(p->key), "%s/key", p->folder);
    snprintf(p->yaml, sizeof(p->yaml), "- {name: a, file: %s, key: %s}\n", p->file, p->key);
    write_file(p->key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 44);
    assert_int_equal(dv_vault_open(p->file, key, true, &vault, &error), DV_OK);
    assert_int_equal(dv_vault_token(vault, DV_LIT("bob@example.com"), &token), DV_OK);
    assert_int_equal(dv_vault_commit(vault, &error), DV_OK);
    dv_vault_free(vault);
    assert_int_equal(set(p->yaml), DV_OK);
}

static void remove_place(const place *p)
{
    assert_int_equal(unlink(p->file), 0);
    assert_int_equal(unlink(p->key), 0);
    assert_int_equal(rmdir(p->folder), 0);
}

/* Changes the last byte in place. */
static void flip(const place *p)
{
    FILE *file = fopen(p->file, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    int last = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(last ^ 1, file), last ^ 1);
    assert_int_equal(fclose(file), 0);
}

static void damage_is_looked_for_once(void **state)
{
    (void)state;
    place p;
    struct stat file;
    make_place(&p);
    dv_data_vault *vault = dv_data_vault_find(vaults, "a");
    flip(&p);
    do { /* until a further change would show */
        (void)usleep(100000);
        assert_int_equal(dv_data_vault_ready(vault, &error), DV_ERR_UNAVAILABLE);
        assert_non_null(strstr(error.message, "is damaged at byte"));
    } while (vault->damaged.st_ino == 0);
    assert_int_equal(stat(p.file, &file), 0);
    assert_int_equal(vault->damaged.st_ino, file.st_ino);
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_ERR_UNAVAILABLE);
    assert_non_null(strstr(error.message, "is damaged at byte"));
    flip(&p);
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_OK);
    assert_int_equal(dv_vault_count(vault->open), 1);
    remove_place(&p);
}

static void without_its_key_it_is_closed(void **state)
{
    (void)state;
    place p;
    make_place(&p);
    dv_data_vault *vault = dv_data_vault_find(vaults, "a");
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_OK);
    assert_int_equal(chmod(p.key, 0644), 0);
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_ERR_UNAVAILABLE);
    assert_null(vault->open);
    write_file(p.key, "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 44);
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_ERR_UNAVAILABLE);
    assert_non_null(strstr(error.message, "another key"));
    write_file(p.key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 44);
    assert_int_equal(dv_data_vault_ready(vault, &error), DV_OK);
    remove_place(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vaults_have_names),
        TEST(slips_are_refused_and_change_nothing),
        TEST(limits),
        TEST(files_that_are_not_there),
        TEST(damage_is_looked_for_once),
        TEST(without_its_key_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
