/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `dvara policy` that read files or print Cedar. */
#include "api/commands.h"
#include "cli/policy_files.h"

enum { POLICY_ARENA = 256 << 20 };

static int fail_with(dv_cli *cli, dv_result result, dv_error *error)
{
    error->result = result;
    return dv_cli_fail(cli, error);
}

/* --- apply ----------------------------------------------------------------------------------- */

/* Copies the parameters that the operation has under the same name. */
static dv_result body_make(const json_t *params, const dv_policy_files *files, json_t **ret_body)
{
    static const char *const fields[] = {"replace_all", "dry_run", "note"};
    json_t *body = json_pack("{s:o}", "policies", dv_policy_files_json(files));
    for (size_t i = 0; body != NULL && i < DV_ARRAY_LEN(fields); i++) {
        json_t *value = json_object_get(params, fields[i]);
        if (value != NULL && json_object_set(body, fields[i], value) != 0) {
            json_decref(body);
            body = NULL;
        }
    }
    *ret_body = body;
    return body == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result apply(dv_cli *cli, const json_t *params, dv_arena *arena, dv_error *error)
{
    static const char *const columns[] = {"name", "change", "digest", NULL};
    dv_policy_files files = {0};
    json_t *body = NULL;
    json_t *answer = NULL;
    DV_TRY(dv_policy_files_read(json_object_get(params, "files"), arena, &files, error));
    DV_TRY(body_make(params, &files, &body));
    dv_result result = dv_cli_call(cli, "policy_apply", NULL, body, &answer, error);
    json_decref(body);
    if (result != DV_OK) {
        dv_policy_files_place(&files, error);
        return result;
    }
    result = dv_cli_print(cli, answer, "changes", columns);
    json_decref(answer);
    return result;
}

int dv_command_policy_apply(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(POLICY_ARENA);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : apply(cli, params, arena, &error);
    return result == DV_OK ? DV_EXIT_DONE : fail_with(cli, result, &error);
}

/* --- show ------------------------------------------------------------------------------------ */

int dv_command_policy_show(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *answer = NULL;
    dv_result result = dv_cli_call(cli, "policy_show", params, NULL, &answer, &error);
    if (result != DV_OK) {
        return fail_with(cli, result, &error);
    }
    if (cli->output == DV_OUTPUT_TABLE) {
        /* The text itself, so that it can be edited and applied again. */
        const char *text = json_string_value(json_object_get(answer, "text"));
        result =
            text != NULL && fputs(text, cli->out) >= 0 && fflush(cli->out) == 0 ? DV_OK : DV_ERR_IO;
    } else {
        result = dv_cli_print(cli, answer, NULL, NULL);
    }
    json_decref(answer);
    return result == DV_OK ? DV_EXIT_DONE : fail_with(cli, result, &error);
}
