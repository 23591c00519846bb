/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"
#include "fixture.h"
#include "room/auth/gate/record.h"

typedef dv_result (*section_fn)(fixture *f, const dv_yaml *section);

static dv_result check_section(fixture *f, const dv_yaml *section)
{
    return dv_auth_rbac_section.check(section, &f->error);
}

static dv_result apply_section(fixture *f, const dv_yaml *section)
{
    return dv_auth_rbac_section.apply(section, &f->services, &f->error);
}

/* The text of dvara.yaml; its rbac: goes to run. */
static dv_result with_yaml(fixture *f, const char *text, section_fn run)
{
    const dv_yaml *root;
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    memset(&f->error, 0, sizeof(f->error));
    dv_result result = dv_yaml_parse(dv_slice_str(text), arena, &root, &f->error);
    if (result != DV_OK) {
        fail_msg("%s", f->error.message);
    }
    const dv_yaml *section = dv_yaml_get(root, "rbac");
    return run(f, section);
}

static void assert_policies(fixture *f, const char *with, const char *without)
{
    dv_slice text;
    assert_int_equal(dv_snapshot_begin(f->services.snapshot), DV_OK);
    assert_int_equal(
        dv_snapshot_get(f->services.snapshot, DV_TABLE_POLICIES, DV_POLICIES_TEXT, &text), DV_OK);
    if (with != NULL) {
        assert_true(dv_slice_find(text, dv_slice_str(with)) >= 0);
    }
    if (without != NULL) {
        assert_true(dv_slice_find(text, dv_slice_str(without)) < 0);
    }
    dv_snapshot_end(f->services.snapshot);
}

/* As users have it (BASE: "The configuration that users already have"). */
static const char USERS_HAVE[] =
    "rbac:\n"
    "  roles:\n"
    "    admin: {permissions: [\"*\"]}\n"
    "    data_scientist: {permissions: [\"read_data\", \"train_models\", \"view_metrics\"]}\n"
    "    viewer: {permissions: [\"view_dashboards\", \"view_metrics\"]}\n";

static void section_of_the_manual_works(void **state)
{
    fixture *f = *state;
    assert_int_equal(with_yaml(f, USERS_HAVE, check_section), DV_OK);
    assert_int_equal(with_yaml(f, USERS_HAVE, apply_section), DV_OK);
    assert_policies(f,
                    "@id(\"role:data_scientist\")\n"
                    "permit(principal in Role::\"data_scientist\", action in "
                    "[Action::\"read_data\", Action::\"train_models\", "
                    "Action::\"view_metrics\"], resource);\n",
                    NULL);
    assert_policies(f,
                    "permit(principal in Role::\"viewer\", action in [Action::\"view_dashboards\", "
                    "Action::\"view_metrics\"], resource);",
                    "view_status\", resource");
}

static void unchanged_section_writes_nothing(void **state)
{
    fixture *f = *state;
    uint64_t before;
    uint64_t after;
    assert_int_equal(with_yaml(f, USERS_HAVE, apply_section), DV_OK);
    size_t events = f->event_count;
    assert_int_equal(dv_snapshot_change_sequence(f->services.snapshot, &before), DV_OK);
    assert_int_equal(with_yaml(f, USERS_HAVE, apply_section), DV_OK);
    assert_int_equal(dv_snapshot_change_sequence(f->services.snapshot, &after), DV_OK);
    assert_int_equal(before, after);
    assert_int_equal(f->event_count, events);
}

static void roles_of_the_file_are_its_own(void **state)
{
    fixture *f = *state;
    assert_int_equal(with_yaml(f, USERS_HAVE, apply_section), DV_OK);
    assert_int_equal(
        call_op(f, dv_op_role_update, "{'name':'data_scientist'}", "{'permissions':['x']}"),
        DV_ERR_CONFLICT);
    assert_non_null(strstr(f->error.message, "dvara.yaml"));
    assert_int_equal(call_op(f, dv_op_role_delete, "{'name':'data_scientist'}", NULL),
                     DV_ERR_CONFLICT);
    assert_non_null(strstr(f->error.message, "dvara.yaml"));
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'data_scientist'}", "{'user':'admin'}"),
                     DV_OK);
}

static void what_leaves_the_file_goes(void **state)
{
    fixture *f = *state;
    assert_int_equal(with_yaml(f, USERS_HAVE, apply_section), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'data_scientist'}", "{'user':'admin'}"),
                     DV_OK);
    assert_int_equal(with_yaml(f, "listen: x\n", apply_section), DV_OK);
    assert_policies(f, "role:viewer", "data_scientist");
    assert_policies(f, "Action::\"view_status\"", NULL); /* the built-in viewer is back */
    assert_int_equal(call_op(f, dv_op_role_show, "{'name':'data_scientist'}", NULL),
                     DV_ERR_NOT_FOUND);
    fixture_restart(f);
    assert_policies(f, "Action::\"view_status\"", "data_scientist");
}

static void overruled_builtins_survive_a_restart(void **state)
{
    fixture *f = *state;
    assert_int_equal(with_yaml(f, USERS_HAVE, apply_section), DV_OK);
    fixture_restart(f);
    assert_policies(
        f, "Role::\"viewer\", action in [Action::\"view_dashboards\", Action::\"view_metrics\"]",
        NULL);
}

static void inheritance_may_be_turned_round(void **state)
{
    fixture *f = *state;
    assert_int_equal(with_yaml(f,
                               "rbac: {roles: {a: {permissions: [x], inherits: [b]},"
                               " b: {permissions: [y], inherits: [viewer]}}}",
                               apply_section),
                     DV_OK);
    assert_int_equal(with_yaml(f,
                               "rbac: {roles: {a: {permissions: [x]},"
                               " b: {permissions: [y], inherits: [a]}}}",
                               apply_section),
                     DV_OK);
    json_t *role = ask(f, dv_op_role_show, "{'name':'b'}", NULL);
    assert_string_equal(json_string_value(json_array_get(json_object_get(role, "inherits"), 0)),
                        "a");
    json_decref(role);
    role = ask(f, dv_op_role_show, "{'name':'a'}", NULL);
    assert_int_equal(json_array_size(json_object_get(role, "inherits")), 0);
    json_decref(role);
}

static void the_file_takes_a_role_over(void **state)
{
    fixture *f = *state;
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'ops','permissions':['mine']}"),
                     DV_OK);
    assert_int_equal(with_yaml(f, "rbac: {roles: {ops: {permissions: [theirs]}}}", apply_section),
                     DV_OK);
    assert_policies(f, "Action::\"theirs\"", "Action::\"mine\"");
    assert_int_equal(call_op(f, dv_op_role_delete, "{'name':'ops'}", NULL), DV_ERR_CONFLICT);
}

typedef struct bad_section {
    const char *text;
    int line;
    const char *says;
} bad_section;

static void errors_name_the_line(void **state)
{
    fixture *f = *state;
    static const bad_section BAD[] = {
        {"rbac: []\n", 1, "roles"},
        {"rbac:\n  rolls: {}\n", 2, "rolls"},
        {"rbac:\n  roles: [a]\n", 2, "map"},
        {"rbac:\n  roles:\n    a: [x]\n", 3, "map"},
        {"rbac:\n  roles:\n    a: {permission: [x]}\n", 3, "permission"},
        {"rbac:\n  roles:\n    a: {permissions: x}\n", 3, "list"},
        {"rbac:\n  roles:\n    a:\n      permissions: [x, 'a b']\n", 4, "permissions"},
        {"rbac:\n  roles:\n    a:\n      permissions:\n        - [x]\n", 5, ""},
        {"rbac:\n  roles:\n    'a b': {permissions: [x]}\n", 3, "name"},
        {"rbac:\n  roles:\n    admin: {permissions: [use_model]}\n", 3, "admin"},
        {"rbac:\n  roles:\n    b: {}\n    a: {inherits: [a]}\n", 4, "circle"},
        {"rbac:\n  roles:\n    a: {inherits: [b]}\n    b: {inherits: [c]}\n    c: {inherits: "
         "[a]}\n",
         3, "circle"},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(BAD); i++) {
        assert_int_equal(with_yaml(f, BAD[i].text, check_section), DV_ERR_INVALID);
        assert_int_equal(f->error.line, BAD[i].line);
        assert_non_null(strstr(f->error.message, BAD[i].says));
        assert_int_equal(with_yaml(f, BAD[i].text, apply_section), DV_ERR_INVALID);
    }
    assert_int_equal(with_yaml(f, "rbac:\n  roles:\n    a: {inherits: [nobody]}\n", apply_section),
                     DV_ERR_NOT_FOUND);
    assert_int_equal(f->error.line, 3);
    assert_int_equal(call_op(f, dv_op_role_show, "{'name':'a'}", NULL), DV_ERR_NOT_FOUND);
}

static void sizes_are_limited(void **state)
{
    fixture *f = *state;
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    assert_int_equal(dv_buf_append_str(&text, "rbac:\n  roles:\n    a:\n      permissions:\n"),
                     DV_OK);
    for (int i = 0; i < 1025; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "        - p%d\n", i), DV_OK);
    }
    assert_int_equal(with_yaml(f, dv_buf_cstr(&text), check_section), DV_ERR_INVALID);
    assert_int_equal(f->error.line, 1029);
    dv_buf_clear(&text);
    assert_int_equal(dv_buf_append_str(&text, "rbac:\n  roles:\n"), DV_OK);
    for (int i = 0; i < 1001; i++) {
        assert_int_equal(dv_buf_append_printf(&text, "    r%d: {permissions: [x]}\n", i), DV_OK);
    }
    assert_int_equal(with_yaml(f, dv_buf_cstr(&text), check_section), DV_ERR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(section_of_the_manual_works),
        TEST(unchanged_section_writes_nothing),
        TEST(roles_of_the_file_are_its_own),
        TEST(what_leaves_the_file_goes),
        TEST(overruled_builtins_survive_a_restart),
        TEST(inheritance_may_be_turned_round),
        TEST(the_file_takes_a_role_over),
        TEST(errors_name_the_line),
        TEST(sizes_are_limited),
    };
    return cmocka_run_group_tests_name("auth-rbac", tests, NULL, NULL);
}
