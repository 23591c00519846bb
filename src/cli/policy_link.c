/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara policy link`: one link to a template, as a text of its own in Cedar's JSON. */
#include "api/commands.h"
#include "room/auth/control/question.h"

/* {"type", "id"} of the parameter, when it is there. */
static dv_result slot_set(const json_t *params, const char *name, const char *slot, json_t *values,
                          dv_error *error)
{
    dv_slice type, id;
    const char *text = json_string_value(json_object_get(params, name));
    if (text == NULL) {
        return DV_OK;
    }
    if (!dv_auth_uid_split(dv_slice_str(text), &type, &id)) {
        return dv_error_set(error, DV_ERR_INVALID, "--%s: write Type::\"id\"", name);
    }
    json_t *uid = json_pack("{s:s%, s:s%}", "type", (const char *)type.ptr, type.len, "id",
                            (const char *)id.ptr, id.len);
    return json_object_set_new(values, slot, uid) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result link_text(const json_t *params, char **ret_text, dv_error *error)
{
    json_t *values = json_object();
    json_t *set = json_pack("{s:[{s:O, s:O, s:o}]}", "templateLinks", "templateId",
                            json_object_get(params, "template"), "newId",
                            json_object_get(params, "id"), "values", values);
    dv_result result = set == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK) {
        result = slot_set(params, "principal", "?principal", values, error);
    }
    if (result == DV_OK) {
        result = slot_set(params, "resource", "?resource", values, error);
    }
    *ret_text = result == DV_OK ? json_dumps(set, JSON_INDENT(2)) : NULL;
    json_decref(set);
    return result == DV_OK && *ret_text == NULL ? DV_ERR_NO_MEMORY : result;
}

static dv_result link_put(dv_cli *cli, const json_t *params, json_t **ret_answer, dv_error *error)
{
    dv_auto(free) char *text = NULL;
    DV_TRY(link_text(params, &text, error));
    json_t *note = json_object_get(params, "note");
    json_t *body =
        json_pack("{s:[{s:O, s:s}], s:O, s:O*}", "policies", "name", json_object_get(params, "id"),
                  "text", text, "dry_run", json_object_get(params, "dry_run"), "note", note);
    dv_result result = body == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_cli_call(cli, "policy_apply", NULL, body, ret_answer, error);
    json_decref(body);
    return result;
}

int dv_command_policy_link(dv_cli *cli, const json_t *params)
{
    static const char *const columns[] = {"name", "change", "digest", NULL};
    dv_error error = {0};
    json_t *answer = NULL;
    dv_result result = link_put(cli, params, &answer, &error);
    if (result == DV_OK) {
        result = dv_cli_print(cli, answer, "changes", columns);
    }
    json_decref(answer);
    if (result == DV_OK) {
        return DV_EXIT_DONE;
    }
    error.result = result;
    return dv_cli_fail(cli, &error);
}
