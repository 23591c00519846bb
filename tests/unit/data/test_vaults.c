/* SPDX-License-Identifier: Apache-2.0 */
/* The section `data_vaults:`: every limit of it, and vaults whose files are not there. */
#include "base/buf.h"
#include "base/caps.h"
#include "room/data/control/vaults.h"

#include <setjmp.h>
#include <stdarg.h>

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
    assert_int_equal(dv_data_vaults_set(vaults, NULL, &error), DV_OK);
    assert_int_equal(dv_data_vault_count(vaults), 0);
}

static void slips_are_refused_and_change_nothing(void **state)
{
    (void)state;
    assert_int_equal(set("- {name: customers, file: /a, key: /k}\n"), DV_OK);
    assert_refused("name: customers\n", "is a list");
    assert_refused("- customers\n", "");
    assert_refused("- {name: a, file: /a}\n", "a name, a file and a key");
    assert_refused("- {file: /a, key: /k}\n", "a name, a file and a key");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vaults_have_names),
        TEST(slips_are_refused_and_change_nothing),
        TEST(limits),
        TEST(files_that_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
