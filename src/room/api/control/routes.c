/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caps.h"
#include "room/api/control/internal.h"

static const char *const route_keys[] = {
    "name",       "path",   "match",          "methods",       "protocol",   "action",
    "body_limit", "fields", "request_policy", "answer_policy", "max_tokens", "max_tokens_name",
    "ask_usage",  "tier",   "classification", "labels",        NULL};
static const char *const protocols[] = {"openai_chat",
                                        "openai_completions",
                                        "openai_responses",
                                        "openai_embeddings",
                                        "openai_models",
                                        "anthropic_messages",
                                        "upload",
                                        "json",
                                        NULL};
static const char *const matches[] = {"exact", "prefix", NULL};
static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", NULL};
static const char *const policies[] = {"request", "answer", "none", NULL};

static const char name_bytes[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

static bool one_of(const char *text, const char *const *list)
{
    for (size_t i = 0; list[i] != NULL; i++) {
        if (strcmp(text, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Reads an optional choice; absent: the fallback. */
static dv_result read_choice(const dv_yaml *route, const char *key, const char *const *choices,
                             const char *fallback, const char **ret_text, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, key);
    if (node == NULL) {
        *ret_text = fallback;
        return DV_OK;
    }
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    if (one_of(text, choices)) {
        *ret_text = text;
        return DV_OK;
    }
    dv_auto(buf) dv_buf list = dv_buf_init(512);
    for (size_t i = 0; choices[i] != NULL; i++) {
        DV_TRY(dv_buf_append_printf(&list, "%s%s", i == 0 ? "" : ", ", choices[i]));
    }
    return dv_api_error_at(node, error, "'%s' can not be '%.64s': it is one of %s", key, text,
                           dv_buf_cstr(&list));
}

static dv_result read_name(const dv_yaml *route, const char *key, const char *fallback,
                           const char **ret_text, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, key);
    const char *text = fallback;
    if (node == NULL && fallback == NULL) {
        return dv_api_error_at(route, error, "this route lacks '%s'", key);
    }
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &text, error));
    }
    size_t len = strlen(text);
    if (len == 0 || len > DV_LIMIT_NAME || strspn(text, name_bytes) != len) {
        return dv_api_error_at(node, error, "'%s' must be 1 to %d letters, digits, '_', '.' or '-'",
                               key, DV_LIMIT_NAME);
    }
    *ret_text = text;
    return DV_OK;
}

/* A path that callers could spell in two ways would be matched in one and forwarded in the other:
 * only unreserved bytes, no empty, "." or ".." segments (RFC 3986 sections 2.3 and 3.3). "/" is all
 * paths when it is a prefix. */
static bool path_is_normal(const char *path)
{
    if (path[0] != '/' || strlen(path) > 1024) {
        return false;
    }
    dv_slice rest = path[1] == '\0' ? dv_slice_str(NULL) : dv_slice_str(path + 1);
    dv_slice segment;
    while (dv_slice_split(&rest, '/', &segment)) {
        if (segment.len == 0 || dv_slice_eq_str(segment, ".") || dv_slice_eq_str(segment, "..")) {
            return false;
        }
        for (size_t i = 0; i < segment.len; i++) {
            if (strchr(name_bytes, segment.ptr[i]) == NULL) {
                return false;
            }
        }
    }
    return true;
}

static dv_result read_path(const dv_yaml *route, const char **ret_path, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, "path");
    if (node == NULL) {
        return dv_api_error_at(route, error, "this route lacks 'path'");
    }
    const char *path = NULL;
    DV_TRY(dv_yaml_string(node, &path, error));
    if (!path_is_normal(path)) {
        return dv_api_error_at(
            node, error,
            "'path' must begin with '/' and hold only letters, digits, '_', "
            "'.', '-' and single '/', without '.' and '..' segments and '/' at the end");
    }
    *ret_path = path;
    return DV_OK;
}

static dv_result methods_json(const dv_yaml *route, const char *protocol, json_t **ret_array,
                              dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, "methods");
    if (node == NULL) {
        const char *fallback = strcmp(protocol, "openai_models") == 0 ? "GET" : "POST";
        *ret_array = json_pack("[s]", fallback);
        return *ret_array == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    }
    json_t *array = NULL;
    DV_TRY(dv_api_names_json(node, "methods", &array, error));
    size_t count = 0;
    for (const dv_yaml *entry = node->first; entry != NULL; entry = entry->next, count++) {
        if (!one_of(entry->text, methods)) {
            json_decref(array);
            return dv_api_error_at(
                entry, error, "'%.32s' is no method: GET, POST, PUT, PATCH or DELETE", entry->text);
        }
    }
    if (count == 0) {
        json_decref(array);
        return dv_api_error_at(node, error, "'methods' needs at least one");
    }
    *ret_array = array;
    return DV_OK;
}

/* fields: a list, or "any"; absent: the protocol's own. JSON null is any. */
static dv_result fields_json(const dv_yaml *route, const char *protocol, json_t **ret_fields,
                             dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, "fields");
    if (node != NULL && node->type == DV_YAML_LIST) {
        return dv_api_names_json(node, "fields", ret_fields, error);
    }
    if (node != NULL) {
        if (node->type != DV_YAML_SCALAR || strcmp(node->text, "any") != 0) {
            return dv_api_error_at(node, error, "'fields' wants a list of names, or any");
        }
        *ret_fields = json_null();
        return DV_OK;
    }
    const char *const *own = dv_api_protocol_fields(protocol);
    json_t *fields = own == NULL ? json_null() : json_array();
    for (size_t i = 0; own != NULL && own[i] != NULL; i++) {
        if (json_array_append_new(fields, json_string(own[i])) != 0) {
            json_decref(fields);
            return DV_ERR_NO_MEMORY;
        }
    }
    *ret_fields = fields;
    return DV_OK;
}

static dv_result body_limit(const dv_yaml *route, uint64_t *ret_bytes, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, "body_limit");
    if (node == NULL) {
        *ret_bytes = DV_LIMIT_BODY_DEFAULT;
        return DV_OK;
    }
    uint64_t bytes = 0;
    DV_TRY(dv_yaml_size(node, DV_API_BODY_LIMIT_MAX, &bytes, error));
    if (bytes == 0) {
        return dv_api_error_at(node, error, "'body_limit' must be at least 1 byte");
    }
    *ret_bytes = bytes;
    return DV_OK;
}

static dv_result set_max_tokens(const dv_yaml *route, json_t *object, dv_error *error)
{
    int64_t max = 0;
    const dv_yaml *node = dv_yaml_get(route, "max_tokens");
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_int(node, 1, DV_API_TOKENS_MAX, &max, error));
    return json_object_set_new(object, "max_tokens", json_integer(max)) == 0 ? DV_OK
                                                                             : DV_ERR_NO_MEMORY;
}

/* Which member bounds an answer where the caller does not; absent: the protocol's usual one. */
static dv_result set_max_tokens_name(const dv_yaml *route, const char *protocol, json_t *object,
                                     dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, "max_tokens_name");
    const dv_api_protocol *row = dv_api_protocol_find(dv_slice_str(protocol));
    const char *name = NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &name, error));
    bool known =
        row != NULL && name[0] != '\0' && dv_api_protocol_cap(row, dv_slice_str(name)) != NULL;
    if (!known && strcmp(name, "none") != 0) {
        return dv_api_error_at(
            node, error, "'max_tokens_name': '%.64s' is no member of %s that bounds an answer",
            name, protocol);
    }
    return json_object_set_new(object, "max_tokens_name", json_string(name)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

static int set_policy(json_t *object, const char *key, const char *policy)
{
    bool none = strcmp(policy, "none") == 0;
    return json_object_set_new(object, key, none ? json_null() : json_string(policy));
}

typedef struct route_words {
    const char *name;
    const char *path;
    const char *match;
    const char *protocol;
    const char *action;
    const char *request_policy;
    const char *answer_policy;
} route_words;

static dv_result read_words(const dv_yaml *route, route_words *words, dv_error *error)
{
    DV_TRY(read_name(route, "name", NULL, &words->name, error));
    DV_TRY(read_path(route, &words->path, error));
    DV_TRY(read_choice(route, "match", matches, "exact", &words->match, error));
    DV_TRY(read_choice(route, "protocol", protocols, "json", &words->protocol, error));
    DV_TRY(read_name(route, "action", "use_model", &words->action, error));
    DV_TRY(
        read_choice(route, "request_policy", policies, "request", &words->request_policy, error));
    return read_choice(route, "answer_policy", policies, "answer", &words->answer_policy, error);
}

static dv_result read_ask_usage(const dv_yaml *route, bool *ret_ask, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(route, "ask_usage");
    return node != NULL ? dv_yaml_bool(node, ret_ask, error) : DV_OK;
}

/* They are for policies, not for the gate (resources.c). */
static dv_result check_attributes(const dv_yaml *route, dv_error *error)
{
    json_t *attrs = json_object();
    dv_result result =
        attrs == NULL ? DV_ERR_NO_MEMORY : dv_api_attributes_json(route, attrs, error);
    json_decref(attrs);
    return result;
}

static dv_result route_json(const dv_yaml *route, json_t *object, dv_error *error)
{
    if (route->type != DV_YAML_MAP) {
        return dv_api_error_at(route, error,
                               "a route looks like {name: chat, path: /v1/chat/completions, "
                               "protocol: openai_chat}");
    }
    DV_TRY(dv_yaml_check_keys(route, route_keys, error));
    DV_TRY(check_attributes(route, error));
    route_words words = {0};
    DV_TRY(read_words(route, &words, error));
    uint64_t limit = 0;
    DV_TRY(body_limit(route, &limit, error));
    DV_TRY(set_max_tokens(route, object, error));
    DV_TRY(set_max_tokens_name(route, words.protocol, object, error));
    json_t *list = NULL;
    DV_TRY(methods_json(route, words.protocol, &list, error));
    int failed = json_object_set_new(object, "methods", list);
    bool ask_usage = true;
    DV_TRY(read_ask_usage(route, &ask_usage, error));
    failed |= json_object_set_new(object, "ask_usage", json_boolean(ask_usage));
    DV_TRY(fields_json(route, words.protocol, &list, error));
    failed |= json_object_set_new(object, "fields", list);
    failed |= json_object_set_new(object, "name", json_string(words.name));
    failed |= json_object_set_new(object, "path", json_string(words.path));
    failed |= json_object_set_new(object, "match", json_string(words.match));
    failed |= json_object_set_new(object, "protocol", json_string(words.protocol));
    failed |= json_object_set_new(object, "action", json_string(words.action));
    failed |= json_object_set_new(object, "body_limit", json_integer((json_int_t)limit));
    failed |= set_policy(object, "request_policy", words.request_policy);
    failed |= set_policy(object, "answer_policy", words.answer_policy);
    return failed == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static bool share_method(const json_t *a, const json_t *b)
{
    size_t i = 0;
    size_t k = 0;
    json_t *left = NULL;
    json_t *right = NULL;
    json_array_foreach(json_object_get(a, "methods"), i, left)
    {
        json_array_foreach(json_object_get(b, "methods"), k, right)
        {
            if (json_equal(left, right)) {
                return true;
            }
        }
    }
    return false;
}

/* Two routes that one request could match alike would leave it to chance which one guards it. */
static dv_result check_distinct(const dv_yaml *node, const json_t *routes, const json_t *added,
                                dv_error *error)
{
    size_t i = 0;
    json_t *other = NULL;
    json_array_foreach(routes, i, other)
    {
        if (other == added) {
            continue;
        }
        const char *name = json_string_value(json_object_get(other, "name"));
        if (json_equal(json_object_get(other, "name"), json_object_get(added, "name"))) {
            return dv_api_error_at(node, error, "there is a route '%s' already", name);
        }
        if (json_equal(json_object_get(other, "path"), json_object_get(added, "path")) &&
            json_equal(json_object_get(other, "match"), json_object_get(added, "match")) &&
            share_method(other, added)) {
            return dv_api_error_at(node, error, "route '%s' has this path and method already",
                                   name);
        }
    }
    return DV_OK;
}

dv_result dv_api_routes_json(const dv_yaml *routes, json_t *config, dv_error *error)
{
    if (routes->type != DV_YAML_LIST) {
        return dv_api_error_at(routes, error, "'routes' wants a list");
    }
    json_t *array = json_array();
    if (json_object_set_new(config, "routes", array) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    for (const dv_yaml *route = routes->first; route != NULL; route = route->next) {
        if (json_array_size(array) >= DV_API_ROUTES_MAX) {
            return dv_api_error_at(route, error, "more than %d routes", DV_API_ROUTES_MAX);
        }
        json_t *object = json_object();
        if (json_array_append_new(array, object) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(route_json(route, object, error));
        DV_TRY(check_distinct(route, array, object, error));
    }
    return DV_OK;
}
