/* SPDX-License-Identifier: Apache-2.0 */
#include "core/resources.h"
#include "base/caps.h"
#include "crypto/hash.h"
#include "room/api/control/internal.h"
#include "room/api/gate/api_request.h"

/* `models:` of dvara.yaml, and what `routes:` says of the same kind: tier, classification, labels
 * and groups, as the entities that policies see (core/resources.h). */

enum { RESOURCES_ARENA = 4 << 20 };

/* A name; absent: the empty one. */
static dv_result set_word(const dv_yaml *node, const char *key, json_t *attrs, dv_error *error)
{
    const dv_yaml *value = dv_yaml_get(node, key);
    const char *text = "";
    if (value != NULL) {
        DV_TRY(dv_yaml_string(value, &text, error));
        if (!dv_api_is_name(text)) {
            return dv_api_error_at(value, error, "'%s' must be 1 to %d letters, digits, _ . or -",
                                   key, DV_LIMIT_NAME);
        }
    }
    return json_object_set_new(attrs, key, json_string(text)) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* A list of distinct names; absent: none. */
static dv_result read_words(const dv_yaml *node, const char *key, json_t **ret_words,
                            dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(node, key);
    json_t *words = NULL;
    if (list == NULL) {
        *ret_words = json_array();
        return *ret_words == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    }
    DV_TRY(dv_api_names_json(list, key, &words, error));
    if (json_array_size(words) > DV_LIMIT_RESOURCE_WORDS) {
        json_decref(words);
        return dv_api_error_at(list, error, "'%s' has more than %d names", key,
                               DV_LIMIT_RESOURCE_WORDS);
    }
    *ret_words = words;
    return DV_OK;
}

dv_result dv_api_attributes_json(const dv_yaml *node, json_t *attrs, dv_error *error)
{
    json_t *labels = NULL;
    DV_TRY(set_word(node, "tier", attrs, error));
    DV_TRY(set_word(node, "classification", attrs, error));
    DV_TRY(read_words(node, "labels", &labels, error));
    return json_object_set_new(attrs, "labels", labels) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result add_entity(const dv_yaml *node, const char *type, const char *id,
                            const json_t *groups, json_t *entities, dv_error *error)
{
    size_t i = 0;
    json_t *group = NULL;
    json_t *attrs = json_object(), *parents = json_array();
    json_t *entity = json_pack("{s:{s:s, s:s}, s:o, s:o}", "uid", "type", type, "id", id, "attrs",
                               attrs, "parents", parents);
    if (json_array_append_new(entities, entity) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    json_array_foreach(groups, i, group)
    {
        json_t *uid = json_pack("{s:s, s:O}", "type", "ModelGroup", "id", group);
        if (json_array_append_new(parents, uid) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return dv_api_attributes_json(node, attrs, error);
}

/* Names count in whatever case they are written, and so must stand there once. */
static dv_result read_model_name(const dv_yaml *model, dv_arena *arena, json_t *seen,
                                 const char **ret_name, dv_error *error)
{
    dv_slice entity, lower, copy;
    if (dv_api_model_entity(dv_slice_str(model->key), arena, &entity) != DV_OK) {
        return dv_api_error_at(model, error,
                               "'%.64s' can be no model: 1 to %d printable characters without "
                               "quotes and backslashes",
                               model->key, DV_LIMIT_NAME);
    }
    DV_TRY(dv_api_model_counted(dv_slice_str(model->key), arena, &lower));
    DV_TRY(dv_arena_copy(arena, lower, &copy));
    const char *name = (const char *)copy.ptr;
    if (json_object_get(seen, name) != NULL) {
        return dv_api_error_at(model, error, "there is a model '%s' already", name);
    }
    *ret_name = name;
    return json_object_set_new(seen, name, json_true()) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result add_model(const dv_yaml *model, dv_arena *arena, json_t *seen, json_t *entities,
                           dv_error *error)
{
    static const char *const known[] = {"tier", "classification", "labels", "groups", NULL};
    const char *name = NULL;
    json_t *groups = NULL;
    if (model->type != DV_YAML_MAP) {
        return dv_api_error_at(model, error,
                               "a model looks like NAME: {tier: premium, groups: [frontier]}");
    }
    DV_TRY(dv_yaml_check_keys(model, known, error));
    DV_TRY(read_model_name(model, arena, seen, &name, error));
    DV_TRY(read_words(model, "groups", &groups, error));
    dv_result result = add_entity(model, "Model", name, groups, entities, error);
    json_decref(groups);
    return result;
}

static dv_result add_models(const dv_yaml *models, dv_arena *arena, json_t *seen, json_t *entities,
                            dv_error *error)
{
    if (models->type != DV_YAML_MAP) {
        return dv_api_error_at(models, error, "'models' wants models by name");
    }
    for (const dv_yaml *model = models->first; model != NULL; model = model->next) {
        if (json_object_size(seen) >= DV_LIMIT_MODELS) {
            return dv_api_error_at(model, error, "more than %d models", DV_LIMIT_MODELS);
        }
        DV_TRY(add_model(model, arena, seen, entities, error));
    }
    return DV_OK;
}

dv_result dv_api_models_json(const dv_yaml *models, json_t *entities, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(RESOURCES_ARENA);
    json_t *seen = json_object();
    dv_result result = arena == NULL || seen == NULL
                           ? DV_ERR_NO_MEMORY
                           : add_models(models, arena, seen, entities, error);
    json_decref(seen);
    return result;
}

dv_result dv_api_route_entities_json(const dv_yaml *routes, json_t *entities, dv_error *error)
{
    for (const dv_yaml *route = routes->first; route != NULL; route = route->next) {
        const char *name = NULL;
        DV_TRY(dv_yaml_string(dv_yaml_get(route, "name"), &name, error));
        DV_TRY(add_entity(route, "Route", name, NULL, entities, error));
    }
    return DV_OK;
}

dv_result dv_api_resources_write(const json_t *entities, dv_buf *out)
{
    uint8_t digest[DV_SHA256_LEN];
    dv_auto(free) char *text = json_dumps(entities, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_sha256(dv_slice_str(text), (dv_slice){0}, (dv_slice){0}, digest);
    DV_TRY(dv_buf_append(out, dv_slice_of(digest, sizeof(digest))));
    return dv_buf_append_str(out, text);
}
