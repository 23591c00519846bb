/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data entities`: the inventory's labels as Cedar's JSON of entities, for `dvara entity
 * apply`. */
#include "api/commands.h"

enum { PAGE = 500, ENTITIES_MAX = 1000000 };

/* Comparable: policies say `resource.level >= 2`. */
static int level_of(const char *sensitivity)
{
    static const char *const levels[] = {"public", "internal", "confidential", "restricted"};
    for (size_t i = 0; i < DV_ARRAY_LEN(levels); i++) {
        if (strcmp(levels[i], sensitivity) == 0) {
            return (int)i;
        }
    }
    return (int)DV_ARRAY_LEN(levels) - 1;
}

static json_t *entity_of(const json_t *asset)
{
    const char *sensitivity = json_string_value(json_object_get(asset, "sensitivity"));
    const char *owner = json_string_value(json_object_get(asset, "owner"));
    json_t *attrs = json_pack("{s:s, s:i, s:s}", "sensitivity", sensitivity, "level",
                              level_of(sensitivity != NULL ? sensitivity : ""), "owner",
                              owner != NULL ? owner : "");
    static const char *const copied[] = {"name", "source", "kind", "categories", "labels"};
    for (size_t i = 0; i < DV_ARRAY_LEN(copied); i++) {
        json_object_set(attrs, copied[i], json_object_get(asset, copied[i]));
    }
    return json_pack("{s:{s:s, s:O}, s:o, s:[]}", "uid", "type", "DataAsset", "id",
                     json_object_get(asset, "id"), "attrs", attrs, "parents");
}

static dv_result add_page(dv_cli *cli, json_t *list, json_t **cursor, dv_error *error)
{
    size_t i;
    const json_t *asset;
    json_t *answer = NULL, *params = json_pack("{s:i}", "limit", PAGE);
    if (*cursor != NULL) {
        json_object_set(params, "cursor", *cursor);
    }
    dv_result result = dv_cli_call(cli, "data_asset_list", params, NULL, &answer, error);
    json_decref(params);
    DV_TRY(result);
    json_array_foreach(json_object_get(answer, "items"), i, asset)
    {
        json_t *entity = entity_of(asset);
        if (json_array_append_new(list, entity) != 0) {
            result = DV_ERR_NO_MEMORY;
        }
    }
    json_decref(*cursor);
    *cursor = json_incref(json_object_get(answer, "next"));
    json_decref(answer);
    return result;
}

static dv_result list_all(dv_cli *cli, json_t *list, dv_error *error)
{
    json_t *cursor = NULL;
    dv_result result = add_page(cli, list, &cursor, error);
    while (result == DV_OK && cursor != NULL) {
        result = json_array_size(list) >= ENTITIES_MAX
                     ? dv_error_set(error, DV_ERR_TOO_LARGE, "there are more than %d assets",
                                    ENTITIES_MAX)
                     : add_page(cli, list, &cursor, error);
    }
    json_decref(cursor);
    return result;
}

int dv_command_data_entities(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    json_t *list = json_array();
    dv_result result = list_all(cli, list, &error);
    if (result == DV_OK) { /* a table of entities helps nobody */
        cli->output = cli->output == DV_OUTPUT_TABLE ? DV_OUTPUT_JSON : cli->output;
        result = dv_cli_print(cli, list, NULL, NULL);
    }
    json_decref(list);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
