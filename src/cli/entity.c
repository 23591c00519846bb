/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara entity apply`: a file of entities, in parts that one request takes. */
#include "api/commands.h"
#include "base/caps.h"

enum { PART_ENTITIES = 500, PART_BYTES = DV_LIMIT_CONTROL_BODY - (16 << 10) };

static dv_result file_read(const char *path, json_t **ret_list, dv_error *error)
{
    json_error_t detail;
    json_t *list = strcmp(path, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &detail)
                                          : json_load_file(path, JSON_REJECT_DUPLICATES, &detail);
    if (list == NULL) {
        return dv_error_set_at(error, DV_ERR_INVALID, detail.line, detail.column, "%s: %s", path,
                               detail.text);
    }
    if (!json_is_array(list) || json_array_size(list) == 0) {
        json_decref(list);
        return dv_error_set(error, DV_ERR_INVALID,
                            "%s: entities are a list of {uid, attrs, "
                            "parents, tags}",
                            path);
    }
    *ret_list = list;
    return DV_OK;
}

/* As many from `at` on as one request takes, at least one. */
static json_t *part_of(const json_t *list, size_t at)
{
    size_t bytes = 0;
    json_t *part = json_array();
    for (size_t i = at; part != NULL && i < json_array_size(list) && i < at + PART_ENTITIES; i++) {
        json_t *entity = json_array_get(list, i);
        bytes += json_dumpb(entity, NULL, 0, JSON_COMPACT) + 1;
        if (i > at && bytes > PART_BYTES) {
            break;
        }
        if (json_array_append(part, entity) != 0) {
            json_decref(part);
            return NULL;
        }
    }
    return part;
}

static dv_result part_send(dv_cli *cli, json_t *part, json_int_t totals[2], dv_error *error)
{
    json_t *answer = NULL;
    json_t *body = json_pack("{s:O}", "entities", part);
    if (body == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_cli_call(cli, "entity_apply", NULL, body, &answer, error);
    json_decref(body);
    DV_TRY(result);
    totals[0] += json_integer_value(json_object_get(answer, "created"));
    totals[1] += json_integer_value(json_object_get(answer, "updated"));
    json_decref(answer);
    return DV_OK;
}

static dv_result list_send(dv_cli *cli, const json_t *list, json_int_t totals[2], dv_error *error)
{
    for (size_t at = 0; at < json_array_size(list);) {
        json_t *part = part_of(list, at);
        size_t count = json_array_size(part);
        dv_result result = part == NULL ? DV_ERR_NO_MEMORY : part_send(cli, part, totals, error);
        json_decref(part);
        DV_TRY(result);
        at += count;
    }
    return DV_OK;
}

static dv_result totals_print(dv_cli *cli, const json_int_t totals[2])
{
    json_t *json = json_pack("{s:I, s:I}", "created", totals[0], "updated", totals[1]);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
    json_decref(json);
    return result;
}

int dv_command_entity_apply(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *list = NULL;
    json_int_t totals[2] = {0, 0};
    dv_result result = file_read(json_string_value(json_object_get(params, "file")), &list, &error);
    if (result == DV_OK) {
        result = list_send(cli, list, totals, &error);
    }
    json_decref(list);
    if (result == DV_OK) {
        result = totals_print(cli, totals);
    }
    if (result == DV_OK) {
        return DV_EXIT_DONE;
    }
    error.result = result;
    return dv_cli_fail(cli, &error);
}
