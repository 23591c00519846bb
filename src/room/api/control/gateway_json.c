/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "base/nearest.h"
#include "room/api/control/internal.h"

enum { DV_DEFAULTS_ARENA = 256 << 10 };

bool dv_api_is_name(const char *text)
{
    static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = strlen(text);
    return len > 0 && len <= DV_LIMIT_NAME && strspn(text, bytes) == len;
}

static bool array_holds(const json_t *array, const char *text)
{
    size_t i = 0;
    json_t *value = NULL;
    json_array_foreach(array, i, value)
    {
        if (strcmp(json_string_value(value), text) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result append_name(const dv_yaml *node, const char *what, json_t *array, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    if (!dv_api_is_name(text)) {
        return dv_api_error_at(node, error, "'%s': '%.64s' is no name of letters, digits, _ . -",
                               what, text);
    }
    if (array_holds(array, text)) {
        return dv_api_error_at(node, error, "'%s' names %s twice", what, text);
    }
    if (json_array_size(array) >= DV_API_FIELDS_MAX) {
        return dv_api_error_at(node, error, "'%s' has more than %d names", what, DV_API_FIELDS_MAX);
    }
    return json_array_append_new(array, json_string(text)) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_api_names_json(const dv_yaml *list, const char *what, json_t **ret_array,
                            dv_error *error)
{
    if (list->type != DV_YAML_LIST) {
        return dv_api_error_at(list, error, "'%s' wants a list of names", what);
    }
    json_t *array = json_array();
    if (array == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        dv_result result = append_name(node, what, array, error);
        if (result != DV_OK) {
            json_decref(array);
            return result;
        }
    }
    *ret_array = array;
    return DV_OK;
}

static dv_result parse_defaults(dv_arena *arena, const dv_yaml **ret_root, dv_error *error)
{
    return dv_yaml_parse(dv_slice_str(dv_api_defaults), arena, ret_root, error);
}

static const dv_yaml *section(const dv_yaml *root, const dv_yaml *defaults, const char *key)
{
    const dv_yaml *node = root == NULL ? NULL : dv_yaml_get(root, key);
    return node != NULL ? node : dv_yaml_get(defaults, key);
}

/* Everything of this room: routes, limits, refused fields. */
static dv_result own_json(const dv_yaml *root, const dv_yaml *defaults, json_t *config,
                          dv_error *error)
{
    DV_TRY(dv_api_routes_json(section(root, defaults, "routes"), config, error));
    const dv_yaml *limits = root == NULL ? NULL : dv_yaml_get(root, "limits");
    DV_TRY(dv_api_limits_json(limits, dv_yaml_get(defaults, "limits"), config, error));
    const dv_yaml *prices = root == NULL ? NULL : dv_yaml_get(root, "prices");
    DV_TRY(dv_api_prices_json(prices, config, error));
    json_t *refused = NULL;
    DV_TRY(dv_api_names_json(section(root, defaults, "refused_fields"), "refused_fields", &refused,
                             error));
    return json_object_set_new(config, "refused_fields", refused) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result add_policies(const dv_yaml *root, const dv_masking_source *masking,
                              const char *runtime, json_t *config, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_API_GATEWAY_JSON_MAX);
    const dv_yaml *node = root == NULL ? NULL : dv_yaml_get(root, "masking");
    const dv_yaml *loss = root == NULL ? NULL : dv_yaml_get(root, "loss_prevention");
    DV_TRY(masking->policies(node, loss, runtime, &text, error));
    json_t *policies = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(policies)) {
        json_decref(policies);
        return dv_error_set(error, DV_ERR_INTERNAL, "the data policies are no JSON object");
    }
    return json_object_set_new(config, "data_policies", policies) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Rules of other sections that name routes. */
static const char *const rule_lists[][2] = {
    {"masking", "rules"}, {"loss_prevention", "volume"}, {"loss_prevention", "fingerprints"}};

static const char *route_name(const void *data, size_t index)
{
    return json_string_value(json_object_get(json_array_get(data, index), "name"));
}

static dv_result check_route(const json_t *routes, const dv_yaml *node, const char *section,
                             dv_error *error)
{
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    size_t count = json_array_size(routes);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(route_name(routes, i), text) == 0) {
            return DV_OK;
        }
    }
    const char *near = dv_nearest(text, count, route_name, routes);
    return dv_api_error_at(node, error, "%s: no route is called '%.64s'%s%s%s", section, text,
                           near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                           near != NULL ? "'?" : "");
}

/* A route that is not there never will be without this file: a rule for it is a mistake. */
static dv_result check_rules(const dv_yaml *root, const json_t *routes, dv_error *error)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(rule_lists); i++) {
        const dv_yaml *list = dv_yaml_get(dv_yaml_get(root, rule_lists[i][0]), rule_lists[i][1]);
        for (const dv_yaml *rule = list == NULL ? NULL : list->first; rule != NULL;
             rule = rule->next) {
            const dv_yaml *names = dv_yaml_get(rule, "routes");
            for (const dv_yaml *node = names == NULL ? NULL : names->first; node != NULL;
                 node = node->next) {
                DV_TRY(check_route(routes, node, rule_lists[i][0], error));
            }
        }
    }
    return DV_OK;
}

static dv_result dump(const json_t *config, dv_buf *out)
{
    char *text = json_dumps(config, JSON_COMPACT);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_buf_append_str(out, text);
    free(text);
    return result;
}

static dv_result build(const dv_yaml *root, const dv_masking_source *masking, const char *runtime,
                       json_t *config, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_DEFAULTS_ARENA);
    const dv_yaml *defaults = NULL;
    if (arena == NULL || config == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(parse_defaults(arena, &defaults, error));
    DV_TRY(own_json(root, defaults, config, error));
    DV_TRY(root == NULL ? DV_OK : check_rules(root, json_object_get(config, "routes"), error));
    return masking == NULL ? DV_OK : add_policies(root, masking, runtime, config, error);
}

dv_result dv_api_gateway_json(const dv_yaml *root, const dv_masking_source *masking,
                              const char *runtime, dv_buf *out, dv_error *error)
{
    json_t *config = json_object();
    dv_result result = build(root, masking, runtime, config, error);
    if (result == DV_OK) {
        result = dump(config, out);
    }
    json_decref(config);
    return result;
}

static dv_result resources_build(const dv_yaml *root, json_t *entities, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_DEFAULTS_ARENA);
    const dv_yaml *defaults = NULL;
    const dv_yaml *models = root == NULL ? NULL : dv_yaml_get(root, "models");
    if (arena == NULL || entities == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(parse_defaults(arena, &defaults, error));
    DV_TRY(models == NULL ? DV_OK : dv_api_models_json(models, entities, error));
    return dv_api_route_entities_json(section(root, defaults, "routes"), entities, error);
}

dv_result dv_api_resources(const dv_yaml *root, dv_buf *out, dv_error *error)
{
    json_t *entities = json_array();
    dv_result result = resources_build(root, entities, error);
    if (result == DV_OK) {
        result = dv_api_resources_write(entities, out);
    }
    json_decref(entities);
    return result;
}

dv_result dv_api_body_max(const dv_yaml *root, uint64_t *ret_bytes, dv_error *error)
{
    json_t *config = json_object();
    dv_result result = build(root, NULL, NULL, config, error);
    uint64_t max = 1;
    size_t i = 0;
    json_t *route = NULL;
    json_array_foreach(json_object_get(config, "routes"), i, route)
    {
        max = DV_MAX(max, (uint64_t)json_integer_value(json_object_get(route, "body_limit")));
    }
    json_decref(config);
    if (result == DV_OK) {
        *ret_bytes = max;
    }
    return result;
}

/* A section alone is checked as part of a file that has nothing else. */
static dv_result check_routes(const dv_yaml *node, dv_error *error)
{
    json_t *config = json_object();
    dv_result result = config == NULL ? DV_ERR_NO_MEMORY : dv_api_routes_json(node, config, error);
    json_decref(config);
    return result;
}

static dv_result check_limits(const dv_yaml *node, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_DEFAULTS_ARENA);
    const dv_yaml *defaults = NULL;
    json_t *config = json_object();
    dv_result result = arena == NULL || config == NULL ? DV_ERR_NO_MEMORY
                                                       : parse_defaults(arena, &defaults, error);
    if (result == DV_OK) {
        result = dv_api_limits_json(node, dv_yaml_get(defaults, "limits"), config, error);
    }
    json_decref(config);
    return result;
}

static dv_result check_prices(const dv_yaml *node, dv_error *error)
{
    json_t *config = json_object();
    dv_result result = config == NULL ? DV_ERR_NO_MEMORY : dv_api_prices_json(node, config, error);
    json_decref(config);
    return result;
}

static dv_result check_models(const dv_yaml *node, dv_error *error)
{
    json_t *entities = json_array();
    dv_result result =
        entities == NULL ? DV_ERR_NO_MEMORY : dv_api_models_json(node, entities, error);
    json_decref(entities);
    return result;
}

static dv_result check_refused(const dv_yaml *node, dv_error *error)
{
    json_t *names = NULL;
    DV_TRY(dv_api_names_json(node, "refused_fields", &names, error));
    json_decref(names);
    return DV_OK;
}

/* None has an apply of its own: they go into force together, by dv_api_publish. */
const dv_config_section dv_api_config_routes = {"routes", check_routes, NULL};
const dv_config_section dv_api_config_limits = {"limits", check_limits, NULL};
const dv_config_section dv_api_config_prices = {"prices", check_prices, NULL};
const dv_config_section dv_api_config_models = {"models", check_models, NULL};
const dv_config_section dv_api_config_refused_fields = {"refused_fields", check_refused, NULL};
