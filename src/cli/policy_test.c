/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara policy test`: expected decisions in a file, asked of files or of the policies in force. */
#include "api/commands.h"
#include "base/file.h"
#include "cli/policy_files.h"
#include "cli/yaml_json.h"
#include "engine/cedar/entities.h"
#include "room/auth/control/policies.h"
#include "room/auth/control/question.h"

#include <limits.h>

enum { TEST_ARENA = 512 << 20, TEST_FILE_MAX = 1 << 20, SET_MAX = 8 << 20 };

/* --- the file -------------------------------------------------------------------------------- */

static dv_result read_json(const char *path, json_t **ret_json, dv_error *error)
{
    static const char *const known[] = {"policies", "roles", "entities", "tests", NULL};
    const dv_yaml *root;
    dv_auto(arena) dv_arena *arena = dv_arena_new(TEST_ARENA);
    dv_auto(buf) dv_buf text = dv_buf_init(TEST_FILE_MAX);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_file_read(path, &text, error));
    DV_TRY(dv_yaml_parse(dv_buf_slice(&text), arena, &root, error));
    DV_TRY(dv_yaml_check_keys(root, known, error));
    return dv_yaml_to_json(root, ret_json, error);
}

/* Paths in the file are meant from its folder. */
static json_t *paths_from(const char *file, const json_t *paths)
{
    const char *slash = strrchr(file, '/');
    int folder = slash == NULL ? 0 : (int)(slash - file) + 1;
    json_t *array = json_array();
    for (size_t i = 0; array != NULL && i < json_array_size(paths); i++) {
        const char *path = json_string_value(json_array_get(paths, i));
        char whole[PATH_MAX];
        int len =
            snprintf(whole, sizeof(whole), "%.*s%s", path != NULL && path[0] == '/' ? 0 : folder,
                     file, path == NULL ? "" : path);
        if (len < 0 || len >= PATH_MAX || json_array_append_new(array, json_string(whole)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* --- asked of files -------------------------------------------------------------------------- */

static dv_result role_write(const char *name, const json_t *role, dv_buf *out, dv_error *error)
{
    const char *permissions[DV_LIMIT_ROLE_PERMISSIONS];
    const json_t *list = json_object_get(role, "permissions");
    dv_auth_names names = {permissions, json_array_size(list)};
    if (!dv_auth_name_ok(dv_slice_str(name)) || names.count > DV_ARRAY_LEN(permissions)) {
        return dv_error_set(error, DV_ERR_INVALID, "roles: %.100s: no such role can be", name);
    }
    for (size_t i = 0; i < names.count; i++) {
        permissions[i] = json_string_value(json_array_get(list, i));
        if (permissions[i] == NULL || !dv_auth_permission_ok(dv_slice_str(permissions[i]))) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "roles: %.100s: permissions is a list of names", name);
        }
    }
    return dv_auth_role_policy_write(name, names, out);
}

/* The built-in roles, but those that the file says otherwise; then the file's. */
static dv_result roles_write(const json_t *roles, dv_buf *out, dv_error *error)
{
    const char *name;
    json_t *role;
    for (size_t i = 0; i < DV_AUTH_BUILTIN_ROLE_COUNT; i++) {
        const dv_auth_role *builtin = &DV_AUTH_BUILTIN_ROLES[i];
        if (json_object_get(roles, builtin->name) == NULL) {
            DV_TRY(dv_auth_role_policy_write(builtin->name, builtin->permissions, out));
        }
    }
    json_object_foreach((json_t *)(uintptr_t)roles, name, role)
    {
        DV_TRY(role_write(name, role, out, error));
    }
    return DV_OK;
}

static dv_result documents_write(const dv_policy_files *files, dv_arena *arena, dv_buf *out,
                                 dv_error *error)
{
    dv_auth_documents documents = {
        .items = dv_arena_alloc(arena, (files->count + 1) * sizeof(*documents.items))};
    if (documents.items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (; documents.count < files->count; documents.count++) {
        const dv_policy_file *file = &files->items[documents.count];
        documents.items[documents.count] =
            (dv_auth_document){.name = file->name, .text = file->text};
    }
    dv_auth_documents_sort(&documents);
    return dv_auth_documents_compile(&documents, NULL, out, error);
}

/* Roles inherit by being in each other. */
static json_t *entities_with_roles(const json_t *file)
{
    const char *name;
    json_t *role;
    json_t *entities = json_object_get(file, "entities");
    json_t *all = entities == NULL ? json_object() : json_copy(entities);
    json_object_foreach(json_object_get(file, "roles"), name, role)
    {
        char uid[512];
        json_t *above = json_array();
        const json_t *inherits = json_object_get(role, "inherits");
        for (size_t i = 0; i < json_array_size(inherits); i++) {
            snprintf(uid, sizeof(uid), "Role::\"%.200s\"",
                     json_string_value(json_array_get(inherits, i)));
            (void)json_array_append_new(above, json_string(uid));
        }
        snprintf(uid, sizeof(uid), "Role::\"%.200s\"", name);
        (void)json_object_set_new(all, uid, json_pack("{s:o}", "in", above));
    }
    return all;
}

static dv_result ask_files(const json_t *file, const json_t *paths, dv_arena *arena,
                           json_t **ret_report, dv_error *error)
{
    dv_policy_files files;
    const dv_cedar_entities *entities = NULL;
    dv_auto(buf) dv_buf text = dv_buf_init(SET_MAX);
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    DV_TRY(dv_policy_files_read(paths, arena, &files, error));
    DV_TRY(roles_write(json_object_get(file, "roles"), &text, error));
    dv_result result = documents_write(&files, arena, &text, error);
    if (result != DV_OK) {
        dv_policy_files_place(&files, error);
        return result;
    }
    DV_TRY(dv_cedar_parse(dv_buf_slice(&text), &set, error));
    json_t *all = entities_with_roles(file);
    result = dv_auth_entities_read(all, arena, &entities, error);
    json_decref(all);
    DV_TRY(result);
    dv_auth_world world = {set, dv_auth_entities_find, (void *)(uintptr_t)entities};
    return dv_auth_tests_run(&world, json_object_get(file, "tests"), dv_time_now(), DV_TIME_NEVER,
                             arena, ret_report, error);
}

/* --- asked of the server --------------------------------------------------------------------- */

/* The API takes contexts and entities as texts. */
static int set_text(json_t *object, const char *name, const json_t *value)
{
    dv_auto(free) char *text = json_dumps(value, JSON_COMPACT);
    return text == NULL ? -1 : json_object_set_new(object, name, json_string(text));
}

/* By its place in the file, wherever it stands in what is asked. */
static bool name_set(json_t *test, size_t index)
{
    return !json_is_object(test) || json_object_get(test, "name") != NULL ||
           json_object_set_new(test, "name", json_sprintf("test %zu", index + 1)) == 0;
}

/* What the API is asked: the file's tests and entities. */
static dv_result server_body(const json_t *file, json_t **ret_body, dv_error *error)
{
    const json_t *entities = json_object_get(file, "entities");
    json_t *tests = json_deep_copy(json_object_get(file, "tests"));
    json_t *body = json_pack("{s:o}", "tests", tests == NULL ? json_array() : tests);
    bool ok = body != NULL && (entities == NULL || set_text(body, "entities", entities) == 0);
    for (size_t i = 0; ok && i < json_array_size(tests); i++) {
        json_t *test = json_array_get(tests, i);
        const json_t *context = json_object_get(test, "context");
        ok = (context == NULL || set_text(test, "context", context) == 0) && name_set(test, i);
    }
    if (!ok || json_object_get(file, "roles") != NULL) {
        json_decref(body);
        return dv_error_set(error, DV_ERR_INVALID,
                            "roles go with policies: those in force have the server's roles");
    }
    *ret_body = body;
    return DV_OK;
}

/* Adds a report to what was reported before. */
static dv_result report_add(json_t *whole, const json_t *part)
{
    static const char *const counts[] = {"total", "failed"};
    for (size_t i = 0; i < DV_ARRAY_LEN(counts); i++) {
        json_int_t sum = json_integer_value(json_object_get(whole, counts[i])) +
                         json_integer_value(json_object_get(part, counts[i]));
        if (json_object_set_new(whole, counts[i], json_integer(sum)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    bool ok = json_array_extend(json_object_get(whole, "results"),
                                json_object_get(part, "results")) == 0 &&
              json_object_set(whole, "rest", json_object_get(part, "rest")) == 0;
    return ok ? DV_OK : DV_ERR_NO_MEMORY;
}

/* What the server did not come to is asked again. */
static dv_result ask_rest(dv_cli *cli, json_t *body, json_t *report, dv_error *error)
{
    json_t *tests = json_object_get(body, "tests");
    for (size_t done = json_array_size(json_object_get(report, "results"));
         json_integer_value(json_object_get(report, "rest")) > 0 && done > 0;) {
        json_t *part = NULL;
        for (; done > 0 && json_array_size(tests) > 0; done--) {
            (void)json_array_remove(tests, 0);
        }
        DV_TRY(dv_cli_call(cli, "policy_test", NULL, body, &part, error));
        done = json_array_size(json_object_get(part, "results"));
        dv_result result = report_add(report, part);
        json_decref(part);
        DV_TRY(result);
    }
    return DV_OK;
}

static dv_result ask_server(dv_cli *cli, const json_t *file, json_t **ret_report, dv_error *error)
{
    json_t *body = NULL;
    DV_TRY(server_body(file, &body, error));
    dv_result result = dv_cli_call(cli, "policy_test", NULL, body, ret_report, error);
    if (result == DV_OK) {
        result = ask_rest(cli, body, *ret_report, error);
    }
    json_decref(body);
    return result;
}

/* --- the report ------------------------------------------------------------------------------ */

static dv_result print_report(dv_cli *cli, const json_t *report)
{
    static const char *const columns[] = {"ok",       "name",    "expected", "decision",
                                          "policies", "problem", NULL};
    if (cli->output != DV_OUTPUT_TABLE) {
        return dv_cli_print(cli, report, NULL, NULL);
    }
    DV_TRY(dv_cli_print(cli, report, "results", columns));
    fprintf(cli->out, "%lld of %lld as expected\n",
            (long long)(json_integer_value(json_object_get(report, "total")) -
                        json_integer_value(json_object_get(report, "failed"))),
            (long long)json_integer_value(json_object_get(report, "total")));
    return fflush(cli->out) == 0 ? DV_OK : DV_ERR_IO;
}

/* --policies, or what the file names. */
static json_t *paths_of(const json_t *params, const char *path, const json_t *file)
{
    json_t *said = json_object_get(params, "policies");
    json_t *named = json_object_get(file, "policies");
    return said != NULL ? json_incref(said) : named != NULL ? paths_from(path, named) : NULL;
}

static dv_result test(dv_cli *cli, const json_t *params, bool *ret_passed, dv_error *error)
{
    const char *path = json_string_value(json_object_get(params, "file"));
    json_t *file = NULL;
    json_t *report = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(TEST_ARENA);
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_json(path, &file, error));
    json_t *paths = paths_of(params, path, file);
    dv_result result = paths != NULL ? ask_files(file, paths, arena, &report, error)
                                     : ask_server(cli, file, &report, error);
    if (result == DV_OK) {
        *ret_passed = json_integer_value(json_object_get(report, "failed")) == 0;
        result = print_report(cli, report);
    }
    json_decref(report);
    json_decref(paths);
    json_decref(file);
    return result;
}

int dv_command_policy_test(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    bool passed = false;
    dv_result result = test(cli, params, &passed, &error);
    if (result != DV_OK) {
        error.result = result;
        return dv_cli_fail(cli, &error);
    }
    return passed ? DV_EXIT_DONE : DV_EXIT_FAILED;
}
