/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include "room/auth/gate/api_key.h"
#include "room/auth/gate/record.h"

#include <errno.h>

/* --- helpers --------------------------------------------------------------------------------- */

/* Ancestors of a principal in the snapshot, with a space between them; "" none; NULL no record. */
static const char *ancestors_of(fixture *f, const char *entity, char out[8192])
{
    dv_slice bytes;
    dv_principal principal;
    dv_time until;
    bool active;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_int_equal(dv_snapshot_begin(f->services.snapshot), DV_OK);
    dv_result result =
        dv_snapshot_get(f->services.snapshot, DV_TABLE_PRINCIPALS, dv_slice_str(entity), &bytes);
    if (result == DV_OK) {
        assert_int_equal(
            dv_principal_decode_at(bytes, dv_time_now(), arena, &principal, &active, &until),
            DV_OK);
        size_t len = 0;
        out[0] = '\0';
        for (size_t i = 0; i < principal.ancestor_count; i++) {
            len += (size_t)snprintf(out + len, 8192 - len, "%s%.*s", i > 0 ? " " : "",
                                    DV_SLICE_ARGS(principal.ancestors[i]));
        }
    }
    dv_snapshot_end(f->services.snapshot);
    return result == DV_OK ? out : NULL;
}

static const char *policies_of(fixture *f, char out[8192])
{
    dv_slice text;
    assert_int_equal(dv_snapshot_begin(f->services.snapshot), DV_OK);
    assert_int_equal(
        dv_snapshot_get(f->services.snapshot, DV_TABLE_POLICIES, DV_POLICIES_TEXT, &text), DV_OK);
    snprintf(out, 8192, "%.*s", DV_SLICE_ARGS(text));
    dv_snapshot_end(f->services.snapshot);
    return out;
}

static bool has_credential(fixture *f, const char *id)
{
    dv_slice bytes;
    assert_int_equal(dv_snapshot_begin(f->services.snapshot), DV_OK);
    dv_result result =
        dv_snapshot_get(f->services.snapshot, DV_TABLE_CREDENTIALS, dv_slice_str(id), &bytes);
    dv_snapshot_end(f->services.snapshot);
    return result == DV_OK;
}

static void assert_shown(fixture *f)
{
    uint64_t last;
    uint64_t forgotten;
    uint64_t shown;
    assert_int_equal(dv_change_range(f->services.store, &last, &forgotten, NULL), DV_OK);
    assert_int_equal(dv_snapshot_change_sequence(f->services.snapshot, &shown), DV_OK);
    assert_int_equal(shown, last);
}

#define assert_refused(f, result, expected, words)                                                 \
    do {                                                                                           \
        assert_int_equal(result, expected);                                                        \
        if (strstr((f)->error.message, words) == NULL) {                                           \
            fail_msg("\"%s\" does not say \"%s\"", (f)->error.message, words);                     \
        }                                                                                          \
    } while (0)

/* --- the first start ------------------------------------------------------------------------- */

static void first_start_makes_admin_and_builtins(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    char text[8192];
    struct stat st;
    dv_auto(buf) dv_buf file = dv_buf_init(4096);
    temp_path(&f->dir, "state/admin-credentials", path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(dv_file_read(path, &file, NULL), DV_OK);
    ptrdiff_t at = dv_slice_find(dv_buf_slice(&file), DV_LIT("DVARA_API_KEY="));
    assert_true(at > 0);
    dv_slice key = dv_slice_trim(dv_slice_sub(dv_buf_slice(&file), (size_t)at + 14, file.len));
    dv_slice id;
    assert_int_equal(dv_api_key_parse(key, &id), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"admin\"", text), "Role::\"admin\"");
    assert_non_null(strstr(policies_of(f, text),
                           "@id(\"role:admin\")\n"
                           "permit(principal in Role::\"admin\", action, resource);\n"));
    assert_non_null(strstr(text, "@id(\"role:model_user\")\n"
                                 "permit(principal in Role::\"model_user\", action in "
                                 "[Action::\"use_model\"], resource);\n"));
    assert_true(fixture_said(f, "User::\\\"admin\\\"") || fixture_said(f, "admin"));
    assert_false(dv_slice_find(dv_buf_slice(&f->events), key) >= 0);
    assert_int_equal(stat(temp_path(&f->dir, "state/keys/pepper", path), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_shown(f);
}

static void second_start_changes_nothing(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    uint64_t before;
    uint64_t after;
    assert_int_equal(unlink(temp_path(&f->dir, "state/admin-credentials", path)), 0);
    assert_int_equal(dv_snapshot_change_sequence(f->services.snapshot, &before), DV_OK);
    size_t events = f->event_count;
    fixture_restart(f);
    assert_int_equal(dv_snapshot_change_sequence(f->services.snapshot, &after), DV_OK);
    assert_int_equal(before, after);
    assert_int_equal(f->event_count, events);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void deleted_admin_stays_deleted(void **state)
{
    fixture *f = *state;
    char text[8192];
    assert_int_equal(call_op(f, dv_op_user_delete, "{'name':'admin'}", NULL), DV_OK);
    fixture_restart(f);
    assert_null(ancestors_of(f, "User::\"admin\"", text));
}

static void missing_pepper_is_not_replaced(void **state)
{
    fixture *f = *state;
    char path[PATH_MAX];
    assert_int_equal(unlink(temp_path(&f->dir, "state/keys/pepper", path)), 0);
    assert_refused(f, dv_auth_control_start(&f->services, &f->error), DV_ERR_NOT_FOUND, "pepper");
    assert_int_not_equal(access(path, F_OK), 0);
}

/* --- users ----------------------------------------------------------------------------------- */

static void users_live(void **state)
{
    fixture *f = *state;
    char text[8192];
    char secret[64];
    char id[16];
    json_t *user = ask(f, dv_op_user_create, NULL, "{'name':'alice','email':'a@example.org'}");
    assert_string_equal(json_string_value(json_object_get(user, "status")), "active");
    assert_int_equal(strlen(json_string_value(json_object_get(user, "id"))), 36);
    json_decref(user);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "");
    make_key(f, "{'user':'alice'}", secret, id);
    user = ask(f, dv_op_user_update, "{'name':'alice'}", "{'email':null}");
    assert_true(json_is_null(json_object_get(user, "email")));
    json_decref(user);
    user = ask(f, dv_op_user_suspend, "{'name':'alice'}", NULL);
    assert_string_equal(json_string_value(json_object_get(user, "status")), "suspended");
    json_decref(user);
    user = ask(f, dv_op_user_activate, "{'name':'alice'}", NULL);
    json_decref(user);
    assert_true(has_credential(f, id));
    assert_int_equal(call_op(f, dv_op_user_delete, "{'name':'alice'}", NULL), DV_OK);
    assert_false(has_credential(f, id));
    assert_null(ancestors_of(f, "User::\"alice\"", text));
    assert_refused(f, call_op(f, dv_op_user_show, "{'name':'alice'}", NULL), DV_ERR_NOT_FOUND,
                   "alice");
    assert_refused(f, call_op(f, dv_op_apikey_show, "{'id':'00000000'}", NULL), DV_ERR_NOT_FOUND,
                   "00000000");
    assert_shown(f);
}

static void bad_names_are_refused(void **state)
{
    fixture *f = *state;
    char body[256];
    char name[160];
    static const char *const BAD[] = {"",    ".a",       "-a",       "a b", "a\\\"b",
                                      "a/b", "a\\u0000", "\\u00e9a", "a:b", "a\\n"};
    for (size_t i = 0; i < DV_ARRAY_LEN(BAD); i++) {
        snprintf(body, sizeof(body), "{'name':'%s'}", BAD[i]);
        for (char *c = body; *c != '\0'; c++) {
            *c = *c == '\'' ? '"' : *c;
        }
        if (strstr(body, "u0000") != NULL) {
            continue; /* jansson refuses it before us */
        }
        assert_refused(f, call_op(f, dv_op_user_create, NULL, body), DV_ERR_INVALID, "name");
        assert_int_equal(call_op(f, dv_op_role_create, NULL, body), DV_ERR_INVALID);
    }
    memset(name, 'x', sizeof(name));
    snprintf(body, sizeof(body), "{'name':'%.*s'}", 129, name);
    assert_refused(f, call_op(f, dv_op_user_create, NULL, body), DV_ERR_INVALID, "128");
    snprintf(body, sizeof(body), "{'name':'%.*s'}", 128, name);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, body), DV_OK);
    assert_refused(f, call_op(f, dv_op_user_create, NULL, "{'name':'Admin'}"), DV_ERR_EXISTS,
                   "upper or lower");
    assert_shown(f);
}

static void lists_come_in_pages(void **state)
{
    fixture *f = *state;
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'bob'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'carol'}"), DV_OK);
    json_t *page = ask(f, dv_op_user_list, "{'limit':2}", NULL);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 2);
    assert_string_equal(json_string_value(json_object_get(page, "next")), "bob");
    json_decref(page);
    page = ask(f, dv_op_user_list, "{'limit':2,'cursor':'bob'}", NULL);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 1);
    assert_null(json_object_get(page, "next"));
    json_decref(page);
}

static void keys_are_listed_by_owner(void **state)
{
    fixture *f = *state;
    char secret[64];
    char id[16];
    assert_int_equal(call_op(f, dv_op_service_create, NULL, "{'name':'ci'}"), DV_OK);
    make_key(f, "{'service':'ci'}", secret, id);
    json_t *page = ask(f, dv_op_apikey_list, "{'limit':100}", NULL);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 2);
    json_decref(page);
    page = ask(f, dv_op_apikey_list, "{'limit':100,'service':'ci'}", NULL);
    json_t *key = json_array_get(json_object_get(page, "items"), 0);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 1);
    assert_string_equal(json_string_value(json_object_get(key, "id")), id);
    json_decref(page);
    page = ask(f, dv_op_apikey_list, "{'limit':100,'user':'ci'}", NULL);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 0);
    json_decref(page);
    assert_int_equal(call_op(f, dv_op_apikey_list, "{'limit':1,'user':'a','service':'b'}", NULL),
                     DV_ERR_INVALID);
}

/* --- groups ---------------------------------------------------------------------------------- */

static void groups_nest_nearest_first(void **state)
{
    fixture *f = *state;
    char text[8192];
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'all'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'zlab','groups':['all']}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice','groups':['zlab']}"),
                     DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "Group::\"zlab\" Group::\"all\"");
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'viewer'}", "{'group':'all'}"), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text),
                        "Group::\"zlab\" Group::\"all\" Role::\"viewer\"");
    assert_int_equal(call_op(f, dv_op_group_remove_member, "{'name':'all','group':'zlab'}", NULL),
                     DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "Group::\"zlab\"");
    assert_int_equal(call_op(f, dv_op_group_add_member, "{'name':'all'}", "{'group':'zlab'}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_group_delete, "{'name':'all'}", NULL), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "Group::\"zlab\"");
    assert_int_equal(call_op(f, dv_op_group_delete, "{'name':'zlab'}", NULL), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "");
    assert_shown(f);
}

static void group_circles_are_refused(void **state)
{
    fixture *f = *state;
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'a'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'b','groups':['a']}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'c','groups':['b']}"), DV_OK);
    assert_refused(f, call_op(f, dv_op_group_add_member, "{'name':'c'}", "{'group':'a'}"),
                   DV_ERR_CONFLICT, "circle");
    assert_refused(f, call_op(f, dv_op_group_add_member, "{'name':'a'}", "{'group':'a'}"),
                   DV_ERR_CONFLICT, "circle");
    assert_refused(f, call_op(f, dv_op_group_add_member, "{'name':'a'}", "{'user':'nobody'}"),
                   DV_ERR_NOT_FOUND, "nobody");
    assert_refused(f, call_op(f, dv_op_group_add_member, "{'name':'a'}", "{}"), DV_ERR_INVALID,
                   "exactly one");
    assert_refused(f, call_op(f, dv_op_group_remove_member, "{'name':'a','user':'admin'}", NULL),
                   DV_ERR_NOT_FOUND, "not directly");
}

/* DV_LIMIT_ANCESTORS: one more is refused, and the refusal leaves no trace. */
static void too_many_ancestors_are_refused(void **state)
{
    fixture *f = *state;
    char body[64];
    char params[64];
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_OK);
    for (int i = 0; i < 257; i++) {
        snprintf(body, sizeof(body), "{'name':'g%d'}", i);
        assert_int_equal(call_op(f, dv_op_group_create, NULL, body), DV_OK);
        snprintf(params, sizeof(params), "{'name':'g%d'}", i);
        dv_result result = call_op(f, dv_op_group_add_member, params, "{'user':'alice'}");
        if (i < 256) {
            assert_int_equal(result, DV_OK);
        } else {
            assert_refused(f, result, DV_ERR_TOO_LARGE, "256");
        }
    }
    json_t *group = ask(f, dv_op_group_show, "{'name':'g256'}", NULL);
    assert_int_equal(json_array_size(json_object_get(group, "members")), 0);
    json_decref(group);
    assert_shown(f);
}

/* --- roles ----------------------------------------------------------------------------------- */

static void roles_inherit(void **state)
{
    fixture *f = *state;
    char text[8192];
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'john.doe'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_create, NULL,
                             "{'name':'data_scientist','permissions':['read_data','train_models'],"
                             "'inherits':['viewer']}"),
                     DV_OK);
    assert_int_equal(
        call_op(f, dv_op_role_assign, "{'role':'data_scientist'}", "{'user':'john.doe'}"), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"john.doe\"", text),
                        "Role::\"data_scientist\" Role::\"viewer\"");
    assert_non_null(strstr(policies_of(f, text),
                           "@id(\"role:data_scientist\")\n"
                           "permit(principal in Role::\"data_scientist\", action in "
                           "[Action::\"read_data\", Action::\"train_models\"], resource);\n"));
    assert_int_equal(call_op(f, dv_op_role_update, "{'name':'data_scientist'}",
                             "{'permissions':['read_data'],'inherits':[]}"),
                     DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"john.doe\"", text), "Role::\"data_scientist\"");
    assert_null(strstr(policies_of(f, text), "train_models"));
    assert_int_equal(
        call_op(f, dv_op_role_unassign, "{'role':'data_scientist','user':'john.doe'}", NULL),
        DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"john.doe\"", text), "");
    assert_refused(
        f, call_op(f, dv_op_role_unassign, "{'role':'data_scientist','user':'john.doe'}", NULL),
        DV_ERR_NOT_FOUND, "data_scientist");
    assert_shown(f);
}

static void deleted_roles_leave_their_holders(void **state)
{
    fixture *f = *state;
    char text[8192];
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'base','permissions':['x']}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'top','inherits':['base']}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'top'}", "{'user':'alice'}"), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "Role::\"top\" Role::\"base\"");
    assert_int_equal(call_op(f, dv_op_role_delete, "{'name':'base'}", NULL), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "Role::\"top\"");
    assert_null(strstr(policies_of(f, text), "role:base"));
    assert_int_equal(call_op(f, dv_op_role_delete, "{'name':'top'}", NULL), DV_OK);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "");
}

static void role_misuse_is_refused(void **state)
{
    fixture *f = *state;
    assert_refused(f, call_op(f, dv_op_role_delete, "{'name':'admin'}", NULL), DV_ERR_CONFLICT,
                   "built in");
    assert_refused(f, call_op(f, dv_op_role_update, "{'name':'viewer'}", "{'permissions':['*']}"),
                   DV_ERR_CONFLICT, "built in");
    assert_refused(f, call_op(f, dv_op_role_create, NULL, "{'name':'admin'}"), DV_ERR_EXISTS,
                   "admin");
    assert_refused(f, call_op(f, dv_op_role_create, NULL, "{'name':'ADMIN'}"), DV_ERR_EXISTS,
                   "upper or lower");
    assert_refused(f, call_op(f, dv_op_role_create, NULL, "{'name':'r','permissions':['a b']}"),
                   DV_ERR_INVALID, "permission");
    assert_refused(f, call_op(f, dv_op_role_create, NULL, "{'name':'r','inherits':['nope']}"),
                   DV_ERR_NOT_FOUND, "nope");
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'a'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_create, NULL, "{'name':'b','inherits':['a']}"), DV_OK);
    assert_refused(f, call_op(f, dv_op_role_update, "{'name':'a'}", "{'inherits':['b']}"),
                   DV_ERR_CONFLICT, "circle");
    assert_refused(f, call_op(f, dv_op_role_update, "{'name':'a'}", "{'inherits':['a']}"),
                   DV_ERR_CONFLICT, "circle");
    assert_shown(f);
}

static void nobody_hands_out_more_than_he_has(void **state)
{
    fixture *f = *state;
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'helper'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_create, NULL,
                             "{'name':'desk','permissions':['manage_roles','manage_users',"
                             "'manage_api_keys','use_model']}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'desk'}", "{'user':'helper'}"), DV_OK);
    static const char *const HELPER = "User::\"helper\"";
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_assign, "{'role':'admin'}", "{'user':'helper'}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, HELPER, dv_op_apikey_create, NULL, "{'user':'admin'}", NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_create, NULL, "{'name':'mine','permissions':['*']}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_create, NULL, "{'name':'mine','inherits':['auditor']}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'bosses'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'admin'}", "{'group':'bosses'}"),
                     DV_OK);
    assert_int_equal(
        call_as(f, HELPER, dv_op_group_add_member, "{'name':'bosses'}", "{'user':'helper'}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_user_create, NULL, "{'name':'h2','groups':['bosses']}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_assign, "{'role':'model_user'}", "{'user':'helper'}", NULL),
        DV_OK);
    assert_int_equal(call_as(f, HELPER, dv_op_apikey_create, NULL, "{'user':'helper'}", NULL),
                     DV_OK);
    /* Nor by changing what he has already, or by putting those down who have more. */
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_create, NULL, "{'name':'e','permissions':[]}", NULL), DV_OK);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_assign, "{'role':'e'}", "{'user':'helper'}", NULL), DV_OK);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_update, "{'name':'e'}", "{'permissions':['*']}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_update, "{'name':'e'}", "{'inherits':['admin']}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_update, "{'name':'desk'}", "{'permissions':['*']}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, HELPER, dv_op_user_suspend, "{'name':'admin'}", NULL, NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, HELPER, dv_op_user_delete, "{'name':'admin'}", NULL, NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, HELPER, dv_op_user_update, "{'name':'admin'}",
                             "{'email':'x@example.org'}", NULL),
                     DV_ERR_FORBIDDEN);
    /* A key that is confined to some permissions hands out no others. */
    const dv_slice scopes[] = {DV_LIT("manage_api_keys"), DV_LIT("manage_roles")};
    f->credential = (dv_credential){.scopes = scopes, .scope_count = DV_ARRAY_LEN(scopes)};
    assert_int_equal(call_as(f, HELPER, dv_op_apikey_create, NULL, "{'user':'helper'}", NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(
        call_as(f, HELPER, dv_op_role_assign, "{'role':'model_user'}", "{'user':'helper'}", NULL),
        DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, "User::\"admin\"", dv_op_role_assign, "{'role':'admin'}",
                             "{'user':'helper'}", NULL),
                     DV_ERR_FORBIDDEN);
    f->credential = (dv_credential){0};
    assert_int_equal(call_as(f, "User::\"ghost\"", dv_op_role_assign, "{'role':'model_user'}",
                             "{'user':'helper'}", NULL),
                     DV_ERR_FORBIDDEN);
    assert_int_equal(call_as(f, "User::\"admin\"", dv_op_role_assign, "{'role':'admin'}",
                             "{'user':'helper'}", NULL),
                     DV_OK);
}

/* --- keys ------------------------------------------------------------------------------------ */

static void keys_keep_no_secret(void **state)
{
    fixture *f = *state;
    char secret[64];
    char id[16];
    char path[PATH_MAX];
    static const char *const FILES[] = {"state/dvara.db", "state/dvara.db-wal",
                                        "run/snapshot/data.mdb"};
    make_key(f, "{'user':'admin','name':'k','expires':'90d','scopes':['use_model']}", secret, id);
    assert_int_equal(strlen(secret), DV_API_KEY_LEN);
    assert_memory_equal(secret + 4, id, 8);
    for (size_t i = 0; i < DV_ARRAY_LEN(FILES); i++) {
        dv_auto(buf) dv_buf file = dv_buf_init(64 << 20);
        assert_int_equal(dv_file_read(temp_path(&f->dir, FILES[i], path), &file, NULL), DV_OK);
        assert_int_equal(dv_slice_find(dv_buf_slice(&file), dv_slice_of(secret + 13, 30)), -1);
    }
    assert_false(fixture_said(f, secret));
}

static void keys_end(void **state)
{
    fixture *f = *state;
    char secret[64];
    char id[16];
    char params[64];
    make_key(f, "{'user':'admin'}", secret, id);
    snprintf(params, sizeof(params), "{'id':'%s'}", id);
    json_t *key = ask(f, dv_op_apikey_rotate, params, "{'overlap':'1h'}");
    assert_string_not_equal(json_string_value(json_object_get(key, "secret")), secret);
    assert_string_equal(json_string_value(json_object_get(key, "id")), id);
    assert_true(json_is_string(json_object_get(key, "old_secret_until")));
    json_decref(key);
    key = ask(f, dv_op_apikey_show, params, NULL);
    assert_null(json_object_get(key, "secret"));
    assert_string_equal(json_string_value(json_object_get(key, "status")), "active");
    json_decref(key);
    key = ask(f, dv_op_apikey_revoke, params, NULL);
    assert_string_equal(json_string_value(json_object_get(key, "status")), "revoked");
    json_decref(key);
    assert_false(has_credential(f, id));
    assert_int_equal(call_op(f, dv_op_apikey_revoke, params, NULL), DV_OK);
    assert_refused(f, call_op(f, dv_op_apikey_rotate, params, "{}"), DV_ERR_CONFLICT, "revoked");
    fixture_restart(f);
    assert_false(has_credential(f, id));
}

static void bad_key_wishes_are_refused(void **state)
{
    fixture *f = *state;
    assert_refused(f, call_op(f, dv_op_apikey_create, NULL, "{}"), DV_ERR_INVALID, "exactly one");
    assert_refused(f, call_op(f, dv_op_apikey_create, NULL, "{'user':'admin','service':'admin'}"),
                   DV_ERR_INVALID, "exactly one");
    assert_refused(f, call_op(f, dv_op_apikey_create, NULL, "{'user':'nobody'}"), DV_ERR_NOT_FOUND,
                   "nobody");
    static const char *const EXPIRES[] = {"yesterday", "2001-01-01T00:00:00Z", "-1d",
                                          "99999999999w"};
    for (size_t i = 0; i < DV_ARRAY_LEN(EXPIRES); i++) {
        char body[128];
        snprintf(body, sizeof(body), "{'user':'admin','expires':'%s'}", EXPIRES[i]);
        assert_refused(f, call_op(f, dv_op_apikey_create, NULL, body), DV_ERR_INVALID, "90d");
    }
    assert_refused(f, call_op(f, dv_op_apikey_create, NULL, "{'user':'admin','scopes':['*']}"),
                   DV_ERR_INVALID, "permission");
    char many[4096] = "{'user':'admin','scopes':[";
    size_t len = strlen(many);
    for (int i = 0; i < 65; i++) {
        len += (size_t)snprintf(many + len, sizeof(many) - len, "%s's%d'", i > 0 ? "," : "", i);
    }
    snprintf(many + len, sizeof(many) - len, "]}");
    assert_refused(f, call_op(f, dv_op_apikey_create, NULL, many), DV_ERR_INVALID, "64");
}

/* --- changes that fail ----------------------------------------------------------------------- */

static void unrecorded_changes_are_undone(void **state)
{
    fixture *f = *state;
    f->events_fail = true;
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_ERR_UNAVAILABLE);
    f->events_fail = false;
    assert_int_equal(call_op(f, dv_op_user_show, "{'name':'alice'}", NULL), DV_ERR_NOT_FOUND);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_OK);
    assert_shown(f);
}

/* What a crash between the two commits leaves: the store is ahead. */
static void store_ahead(fixture *f)
{
    dv_store *store = f->services.store;
    assert_int_equal(dv_store_begin(store, NULL), DV_OK);
    assert_int_equal(dv_store_run(store, NULL,
                                  "UPDATE auth_entity SET status = 'suspended' WHERE kind = 'user'"
                                  " AND name = 'alice'",
                                  ""),
                     DV_OK);
    assert_int_equal(dv_change_append(store, "user", DV_LIT("alice"), NULL), DV_OK);
    assert_int_equal(dv_store_commit(store, NULL), DV_OK);
}

static bool is_active(fixture *f, const char *entity)
{
    dv_slice bytes;
    dv_principal principal;
    dv_time until;
    bool active = false;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    assert_int_equal(dv_snapshot_begin(f->services.snapshot), DV_OK);
    assert_int_equal(
        dv_snapshot_get(f->services.snapshot, DV_TABLE_PRINCIPALS, dv_slice_str(entity), &bytes),
        DV_OK);
    assert_int_equal(
        dv_principal_decode_at(bytes, dv_time_now(), arena, &principal, &active, &until), DV_OK);
    dv_snapshot_end(f->services.snapshot);
    return active;
}

static void crash_between_commits_is_replayed(void **state)
{
    fixture *f = *state;
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_OK);
    store_ahead(f);
    assert_true(is_active(f, "User::\"alice\""));
    fixture_restart(f);
    assert_false(is_active(f, "User::\"alice\""));
    assert_shown(f);
}

static void tick_and_next_change_replay_too(void **state)
{
    fixture *f = *state;
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_OK);
    store_ahead(f);
    assert_int_equal(dv_auth_control_tick(&f->services, dv_time_now(), &f->error), DV_OK);
    assert_false(is_active(f, "User::\"alice\""));
    assert_int_equal(call_op(f, dv_op_user_activate, "{'name':'alice'}", NULL), DV_OK);
    store_ahead(f);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'bob'}"), DV_OK);
    assert_false(is_active(f, "User::\"alice\""));
    assert_shown(f);
}

static void lost_snapshot_is_rebuilt(void **state)
{
    fixture *f = *state;
    char text[8192];
    char path[PATH_MAX];
    char secret[64];
    char id[16];
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'viewer'}", "{'user':'alice'}"), DV_OK);
    make_key(f, "{'user':'alice'}", secret, id);
    fixture_close(f);
    assert_int_equal(unlink(temp_path(&f->dir, "run/snapshot/data.mdb", path)), 0);
    fixture_open(f);
    assert_null(ancestors_of(f, "User::\"alice\"", text));
    fixture_start(f);
    assert_string_equal(ancestors_of(f, "User::\"alice\"", text), "Role::\"viewer\"");
    assert_true(has_credential(f, id));
    assert_non_null(strstr(policies_of(f, text), "role:admin"));
    assert_shown(f);
}

/* A backup of the store was put back: the snapshot knows changes that never were. */
static void snapshot_of_another_store_is_rebuilt(void **state)
{
    fixture *f = *state;
    char text[8192];
    char path[PATH_MAX];
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'alice'}"), DV_OK);
    fixture_close(f);
    assert_int_equal(unlink(temp_path(&f->dir, "state/dvara.db", path)), 0);
    assert_int_equal(unlink(temp_path(&f->dir, "state/dvara.db-wal", path)) == 0 || errno == ENOENT,
                     1);
    assert_int_equal(unlink(temp_path(&f->dir, "state/dvara.db-shm", path)) == 0 || errno == ENOENT,
                     1);
    fixture_open(f);
    fixture_start(f);
    assert_null(ancestors_of(f, "User::\"alice\"", text));
    assert_string_equal(ancestors_of(f, "User::\"admin\"", text), "Role::\"admin\"");
    assert_shown(f);
}

/* --- access audit ---------------------------------------------------------------------------- */

static void access_audit_says_through_what(void **state)
{
    fixture *f = *state;
    assert_int_equal(call_op(f, dv_op_group_create, NULL, "{'name':'ml'}"), DV_OK);
    assert_int_equal(call_op(f, dv_op_user_create, NULL, "{'name':'john.doe','groups':['ml']}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_role_create, NULL,
                             "{'name':'data_scientist','permissions':['read_data'],"
                             "'inherits':['model_user']}"),
                     DV_OK);
    assert_int_equal(call_op(f, dv_op_role_assign, "{'role':'data_scientist'}", "{'group':'ml'}"),
                     DV_OK);
    json_t *access = ask(f, dv_op_access_audit, "{'user':'john.doe'}", NULL);
    json_t *permissions = json_object_get(access, "permissions");
    assert_int_equal(json_array_size(permissions), 2);
    json_t *first = json_array_get(permissions, 0);
    json_t *second = json_array_get(permissions, 1);
    assert_string_equal(json_string_value(json_object_get(first, "permission")), "read_data");
    assert_string_equal(json_string_value(json_object_get(first, "way")),
                        "group ml > role data_scientist");
    assert_string_equal(json_string_value(json_object_get(second, "permission")), "use_model");
    assert_string_equal(json_string_value(json_object_get(second, "policy")), "role:model_user");
    assert_string_equal(json_string_value(json_object_get(second, "way")),
                        "group ml > role data_scientist > role model_user");
    json_decref(access);
    assert_refused(f, call_op(f, dv_op_access_audit, "{'user':'nobody'}", NULL), DV_ERR_NOT_FOUND,
                   "nobody");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(first_start_makes_admin_and_builtins),
        TEST(second_start_changes_nothing),
        TEST(deleted_admin_stays_deleted),
        TEST(missing_pepper_is_not_replaced),
        TEST(users_live),
        TEST(bad_names_are_refused),
        TEST(lists_come_in_pages),
        TEST(keys_are_listed_by_owner),
        TEST(groups_nest_nearest_first),
        TEST(group_circles_are_refused),
        TEST(too_many_ancestors_are_refused),
        TEST(roles_inherit),
        TEST(deleted_roles_leave_their_holders),
        TEST(role_misuse_is_refused),
        TEST(nobody_hands_out_more_than_he_has),
        TEST(keys_keep_no_secret),
        TEST(keys_end),
        TEST(bad_key_wishes_are_refused),
        TEST(unrecorded_changes_are_undone),
        TEST(crash_between_commits_is_replayed),
        TEST(tick_and_next_change_replay_too),
        TEST(lost_snapshot_is_rebuilt),
        TEST(snapshot_of_another_store_is_rebuilt),
        TEST(access_audit_says_through_what),
    };
    return cmocka_run_group_tests_name("auth-control", tests, NULL, NULL);
}
