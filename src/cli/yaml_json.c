/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/yaml_json.h"

static json_t *scalar(const dv_yaml *node)
{
    int64_t number = 0;
    if (!node->quoted && strcmp(node->text, "true") == 0) {
        return json_true();
    }
    if (!node->quoted && strcmp(node->text, "false") == 0) {
        return json_false();
    }
    if (!node->quoted && dv_yaml_int(node, INT64_MIN, INT64_MAX, &number, NULL) == DV_OK) {
        return json_integer(number);
    }
    return json_string(node->text);
}

/* The tree's depth is bounded by its reader. */
static json_t *convert(const dv_yaml *node)
{
    if (node->type == DV_YAML_NULL) {
        return json_null();
    }
    if (node->type == DV_YAML_SCALAR) {
        return scalar(node);
    }
    json_t *json = node->type == DV_YAML_LIST ? json_array() : json_object();
    for (const dv_yaml *child = node->first; json != NULL && child != NULL; child = child->next) {
        json_t *value = convert(child);
        int failed = node->type == DV_YAML_LIST ? json_array_append_new(json, value)
                                                : json_object_set_new(json, child->key, value);
        if (failed) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

dv_result dv_yaml_to_json(const dv_yaml *node, json_t **ret_json, dv_error *error)
{
    json_t *json = convert(node);
    if (json == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "the file is not UTF-8, or memory is out");
    }
    *ret_json = json;
    return DV_OK;
}
