/* SPDX-License-Identifier: Apache-2.0 */
#include "room/api/gate/api_config.h"

#include "base/caps.h"
#include "room/api/gate/api_request.h"

#include <stdio.h>

/* What reading passes along. `where` names the member for messages: "routes/3". */
typedef struct reader {
    dv_json json;
    dv_arena *arena;
    dv_error *error;
    char where[64];
} reader;

static dv_result wrong(const reader *r, const char *member, const char *wanted)
{
    return dv_error_set(r->error, DV_ERR_INVALID, "gateway configuration: %s%s%s must be %s",
                        r->where, r->where[0] != '\0' ? "/" : "", member, wanted);
}

static dv_json_type type_of(const reader *r, uint32_t token)
{
    return (dv_json_type)r->json.tokens[token].type;
}

static uint32_t children(const reader *r, uint32_t container)
{
    uint32_t count = 0;
    uint32_t end = r->json.tokens[container].next;
    for (uint32_t i = container + 1; i < end; i = r->json.tokens[i].next) {
        count++;
    }
    return count;
}

/* A needed member of that type. */
static dv_result member(const reader *r, uint32_t object, const char *name, dv_json_type type,
                        const char *wanted, uint32_t *ret_token)
{
    uint32_t token = dv_json_member(&r->json, object, name);
    if (token == 0 || type_of(r, token) != type) {
        return wrong(r, name, wanted);
    }
    *ret_token = token;
    return DV_OK;
}

static dv_result check_members(const reader *r, uint32_t object, const char *const known[])
{
    uint32_t end = r->json.tokens[object].next;
    for (uint32_t key = object + 1; key < end; key = r->json.tokens[key].next) {
        dv_slice name = dv_json_raw(&r->json, key);
        size_t i = 0;
        while (known[i] != NULL && !dv_slice_eq_str(name, known[i])) {
            i++;
        }
        if (known[i] == NULL) {
            return dv_error_set(r->error, DV_ERR_INVALID,
                                "gateway configuration: %s has an unknown member \"%.*s\"",
                                r->where[0] != '\0' ? r->where : "it",
                                (int)DV_MIN(name.len, (size_t)64), (const char *)name.ptr);
        }
    }
    return DV_OK;
}

static bool is_name(dv_slice text)
{
    if (text.len == 0 || text.len > DV_LIMIT_NAME) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return true;
}

static dv_result read_name(const reader *r, uint32_t object, const char *key, dv_slice *ret_name)
{
    uint32_t token = 0;
    DV_TRY(member(r, object, key, DV_JSON_STRING, "a name", &token));
    dv_slice name = dv_json_raw(&r->json, token);
    if (!is_name(name)) {
        return wrong(r, key, "1 to 128 letters, digits, '-', '_' or '.'");
    }
    *ret_name = name;
    return DV_OK;
}

static dv_result read_count(const reader *r, uint32_t object, const char *key, int64_t min,
                            int64_t max, int64_t *ret_value)
{
    uint32_t token = 0;
    int64_t value = 0;
    DV_TRY(member(r, object, key, DV_JSON_NUMBER, "a whole number", &token));
    if (dv_json_int(&r->json, token, &value) != DV_OK || value < min || value > max) {
        return dv_error_set(r->error, DV_ERR_INVALID,
                            "gateway configuration: %s/%s must be from %lld to %lld", r->where, key,
                            (long long)min, (long long)max);
    }
    *ret_value = value;
    return DV_OK;
}

static int by_length(const void *a, const void *b)
{
    const dv_slice *x = a, *y = b;
    return (x->len > y->len) - (x->len < y->len);
}

/* Names are 1 to DV_LIMIT_NAME bytes long. */
static void sort_names(dv_api_names *names, dv_slice *items)
{
    qsort(items, names->count, sizeof(*items), by_length);
    size_t at = 0;
    for (size_t len = 0; len < DV_ARRAY_LEN(names->shorter); len++) {
        while (at < names->count && items[at].len < len) {
            at++;
        }
        names->shorter[len] = (uint16_t)at;
    }
    names->items = items;
}

static dv_result read_names(const reader *r, uint32_t array, const char *key,
                            dv_api_names *ret_names)
{
    uint32_t count = children(r, array);
    if (count > DV_API_FIELDS_MAX) {
        return wrong(r, key, "at most 256 names");
    }
    dv_slice *items = dv_arena_alloc(r->arena, (count + 1) * sizeof(*items));
    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uint32_t token = array + 1;
    for (uint32_t i = 0; i < count; i++, token = r->json.tokens[token].next) {
        if (type_of(r, token) != DV_JSON_STRING) {
            return wrong(r, key, "a list of strings");
        }
        DV_TRY(dv_json_string(&r->json, token, r->arena, &items[i]));
        if (items[i].len == 0 || items[i].len > DV_LIMIT_NAME) {
            return wrong(r, key, "a list of names of 1 to 128 bytes");
        }
    }
    *ret_names = (dv_api_names){.count = count};
    sort_names(ret_names, items);
    return DV_OK;
}

static const struct {
    const char *name;
    dv_api_method bit;
} methods[] = {
    {"GET", DV_METHOD_GET},         {"HEAD", DV_METHOD_HEAD},   {"POST", DV_METHOD_POST},
    {"PUT", DV_METHOD_PUT},         {"PATCH", DV_METHOD_PATCH}, {"DELETE", DV_METHOD_DELETE},
    {"OPTIONS", DV_METHOD_OPTIONS},
};

unsigned dv_api_method_bit(dv_slice name)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(methods); i++) {
        if (dv_slice_eq_str(name, methods[i].name)) {
            return methods[i].bit;
        }
    }
    return 0;
}

bool dv_api_names_have_nocase(const dv_api_names *names, dv_slice name)
{
    if (name.len > DV_LIMIT_NAME) {
        return false;
    }
    for (size_t i = names->shorter[name.len]; i < names->shorter[name.len + 1]; i++) {
        const uint8_t *item = names->items[i].ptr;
        if (((item[0] ^ name.ptr[0]) & 0xdf) == 0 &&
            dv_slice_same_nocase(item, name.ptr, name.len)) {
            return true;
        }
    }
    return false;
}

bool dv_api_names_have(const dv_api_names *names, dv_slice name)
{
    if (name.len > DV_LIMIT_NAME) {
        return false;
    }
    for (size_t i = names->shorter[name.len]; i < names->shorter[name.len + 1]; i++) {
        const uint8_t *item = names->items[i].ptr;
        if (item[0] == name.ptr[0] && memcmp(item, name.ptr, name.len) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result read_methods(const reader *r, uint32_t object, dv_api_route *route)
{
    uint32_t array = 0;
    dv_api_names names = {0};
    DV_TRY(member(r, object, "methods", DV_JSON_ARRAY, "a list of methods", &array));
    DV_TRY(read_names(r, array, "methods", &names));
    for (size_t i = 0; i < names.count; i++) {
        unsigned bit = dv_api_method_bit(names.items[i]);
        if (bit == 0) {
            return wrong(r, "methods", "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
        }
        route->methods |= bit;
    }
    return route->methods != 0 ? DV_OK : wrong(r, "methods", "one method at least");
}

static dv_result read_path(const reader *r, uint32_t object, dv_api_route *route)
{
    uint32_t token = 0;
    DV_TRY(member(r, object, "path", DV_JSON_STRING, "a path", &token));
    DV_TRY(dv_json_string(&r->json, token, r->arena, &route->path));
    if (!dv_api_path_is_normal(route->path)) {
        return wrong(r, "path", "a normalised path that begins with '/'");
    }
    DV_TRY(member(r, object, "match", DV_JSON_STRING, "\"exact\" or \"prefix\"", &token));
    dv_slice match = dv_json_raw(&r->json, token);
    route->prefix = dv_slice_eq_str(match, "prefix");
    return route->prefix || dv_slice_eq_str(match, "exact")
               ? DV_OK
               : wrong(r, "match", "\"exact\" or \"prefix\"");
}

static int policy_index(const dv_api_config *config, dv_slice name)
{
    for (size_t i = 0; i < config->policy_count; i++) {
        if (dv_slice_eq(config->policies[i].name, name)) {
            return (int)i;
        }
    }
    return -1;
}

static dv_result read_policy(const reader *r, const dv_api_config *config, uint32_t object,
                             const char *key, int *ret_index)
{
    uint32_t token = dv_json_member(&r->json, object, key);
    if (token != 0 && type_of(r, token) == DV_JSON_NULL) {
        *ret_index = -1;
        return DV_OK;
    }
    if (token == 0 || type_of(r, token) != DV_JSON_STRING) {
        return wrong(r, key, "the name of a data policy or null");
    }
    int index = policy_index(config, dv_json_raw(&r->json, token));
    if (index < 0) {
        return wrong(r, key, "one of data_policies");
    }
    *ret_index = index;
    return DV_OK;
}

static dv_result read_fields(const reader *r, uint32_t object, dv_api_route *route)
{
    uint32_t token = dv_json_member(&r->json, object, "fields");
    if (token != 0 && type_of(r, token) == DV_JSON_NULL) {
        route->any_field = true;
        return DV_OK;
    }
    if (token == 0 || type_of(r, token) != DV_JSON_ARRAY) {
        return wrong(r, "fields", "a list of names or null");
    }
    return read_names(r, token, "fields", &route->fields);
}

static dv_result read_ask_usage(const reader *r, uint32_t object, dv_api_route *route)
{
    uint32_t token = dv_json_member(&r->json, object, "ask_usage");
    if (token != 0 && type_of(r, token) != DV_JSON_TRUE && type_of(r, token) != DV_JSON_FALSE) {
        return wrong(r, "ask_usage", "true or false");
    }
    route->ask_usage = token == 0 || type_of(r, token) == DV_JSON_TRUE;
    return DV_OK;
}

static dv_result read_protocol(const reader *r, uint32_t object, dv_api_route *route)
{
    uint32_t token = 0;
    DV_TRY(member(r, object, "protocol", DV_JSON_STRING, "a protocol", &token));
    route->protocol = dv_api_protocol_find(dv_json_raw(&r->json, token));
    return route->protocol != NULL
               ? DV_OK
               : wrong(r, "protocol",
                       "openai_chat, openai_completions, openai_responses, openai_embeddings, "
                       "openai_models, anthropic_messages or json");
}

static dv_result read_cap(const reader *r, uint32_t object, dv_api_route *route)
{
    dv_slice name = {0};
    if (dv_json_member(&r->json, object, "max_tokens_name") != 0) {
        DV_TRY(read_name(r, object, "max_tokens_name", &name));
    }
    route->cap = dv_api_protocol_cap(route->protocol, name);
    return route->cap != NULL || name.len == 0 || dv_slice_eq_str(name, "none")
               ? DV_OK
               : wrong(r, "max_tokens_name", "a member of its protocol, or none");
}

static dv_result read_names_of_route(const reader *r, uint32_t object, dv_api_route *route)
{
    DV_TRY(read_name(r, object, "name", &route->name));
    DV_TRY(read_name(r, object, "action", &route->action));
    route->upstream = DV_LIT("default");
    if (dv_json_member(&r->json, object, "upstream") != 0) {
        DV_TRY(read_name(r, object, "upstream", &route->upstream));
    }
    const char *resource = dv_arena_printf(r->arena, "Route::\"%.*s\"", DV_SLICE_ARGS(route->name));
    if (resource == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    route->resource = dv_slice_str(resource);
    return DV_OK;
}

static dv_result read_route(const reader *r, const dv_api_config *config, uint32_t object,
                            dv_api_route *route)
{
    static const char *const known[] = {
        "name",          "path",       "match",           "methods",   "protocol",
        "action",        "upstream",   "body_limit",      "fields",    "request_policy",
        "answer_policy", "max_tokens", "max_tokens_name", "ask_usage", NULL};
    if (type_of(r, object) != DV_JSON_OBJECT) {
        return wrong(r, "", "an object");
    }
    DV_TRY(check_members(r, object, known));
    DV_TRY(read_names_of_route(r, object, route));
    DV_TRY(read_path(r, object, route));
    DV_TRY(read_methods(r, object, route));
    DV_TRY(read_protocol(r, object, route));
    DV_TRY(read_cap(r, object, route));
    DV_TRY(read_fields(r, object, route));
    DV_TRY(read_ask_usage(r, object, route));
    int64_t limit = 0;
    DV_TRY(read_count(r, object, "body_limit", 0, DV_API_BODY_LIMIT_MAX, &limit));
    route->body_limit = (uint64_t)limit;
    if (dv_json_member(&r->json, object, "max_tokens") != 0) {
        DV_TRY(read_count(r, object, "max_tokens", 1, DV_API_TOKENS_MAX, &limit));
        route->max_tokens = (uint64_t)limit;
    }
    DV_TRY(read_policy(r, config, object, "request_policy", &route->request_policy));
    return read_policy(r, config, object, "answer_policy", &route->answer_policy);
}

static dv_result read_routes(reader *r, dv_api_config *config)
{
    uint32_t array = 0;
    DV_TRY(member(r, 0, "routes", DV_JSON_ARRAY, "a list", &array));
    uint32_t count = children(r, array);
    if (count > DV_API_ROUTES_MAX) {
        return wrong(r, "routes", "at most 256 routes");
    }
    dv_api_route *routes = dv_arena_alloc(r->arena, (count + 1) * sizeof(*routes));
    if (routes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uint32_t token = array + 1;
    for (uint32_t i = 0; i < count; i++, token = r->json.tokens[token].next) {
        (void)snprintf(r->where, sizeof(r->where), "routes/%u", i);
        DV_TRY(read_route(r, config, token, &routes[i]));
    }
    r->where[0] = '\0';
    config->routes = routes;
    config->route_count = count;
    return DV_OK;
}

static dv_result read_policies(reader *r, dv_api_config *config)
{
    uint32_t object = 0;
    DV_TRY(member(r, 0, "data_policies", DV_JSON_OBJECT, "an object", &object));
    uint32_t count = children(r, object);
    if (count > DV_API_POLICIES_MAX) {
        return wrong(r, "data_policies", "at most 16 policies");
    }
    dv_api_policy *policies = dv_arena_alloc(r->arena, (count + 1) * sizeof(*policies));
    if (policies == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uint32_t key = object + 1;
    for (uint32_t i = 0; i < count; i++, key = r->json.tokens[key].next) {
        policies[i].name = dv_json_raw(&r->json, key);
        policies[i].json = dv_json_raw(&r->json, key + 1);
        if (!is_name(policies[i].name) || type_of(r, key + 1) != DV_JSON_OBJECT) {
            return wrong(r, "data_policies", "objects by name");
        }
    }
    config->policies = policies;
    config->policy_count = count;
    return DV_OK;
}

static dv_result read_unit(const reader *r, uint32_t object, dv_limit_unit *ret_unit)
{
    static const char *const units[] = {"requests", "tokens", "cost"};
    uint32_t token = dv_json_member(&r->json, object, "unit");
    *ret_unit = DV_LIMIT_REQUESTS;
    if (token == 0) {
        return DV_OK;
    }
    for (unsigned i = 0; i < DV_ARRAY_LEN(units); i++) {
        if (dv_slice_eq_str(dv_json_raw(&r->json, token), units[i])) {
            *ret_unit = (dv_limit_unit)i;
            return DV_OK;
        }
    }
    return wrong(r, "unit", "requests, tokens or cost");
}

static dv_result read_rate(const reader *r, uint32_t object, dv_api_limit *limit)
{
    static const char *const known[] = {"count", "period_ns", "burst", "unit", NULL};
    int64_t count = 0;
    int64_t period = 0;
    int64_t burst = 0;
    DV_TRY(check_members(r, object, known));
    DV_TRY(read_count(r, object, "count", 1, INT32_MAX, &count));
    DV_TRY(read_count(r, object, "period_ns", 1, INT64_MAX / 4, &period));
    DV_TRY(read_count(r, object, "burst", 0, INT32_MAX, &burst));
    limit->rate = (dv_limit_rate){(uint64_t)count, period, (uint64_t)burst};
    return dv_limit_rate_check(&limit->rate, r->error);
}

static dv_result read_max(const reader *r, uint32_t object, dv_api_limit *limit)
{
    static const char *const known[] = {"max", "period", "unit", NULL};
    uint32_t token = 0;
    int64_t max = 0;
    DV_TRY(check_members(r, object, known));
    DV_TRY(member(r, object, "period", DV_JSON_STRING, "day, month or at_once", &token));
    dv_slice period = dv_json_raw(&r->json, token);
    bool at_once = dv_slice_eq_str(period, "at_once");
    limit->kind = at_once ? DV_LIMIT_CONCURRENT : DV_LIMIT_BUDGET;
    limit->period = dv_slice_eq_str(period, "month") ? DV_LIMIT_MONTH : DV_LIMIT_DAY;
    if (!at_once && limit->period == DV_LIMIT_DAY && !dv_slice_eq_str(period, "day")) {
        return wrong(r, "period", "day, month or at_once");
    }
    if (at_once != (limit->unit == DV_LIMIT_REQUESTS)) {
        return wrong(r, "unit", "tokens or cost for a budget, none for what runs at once");
    }
    int64_t most = at_once ? DV_LIMIT_CONCURRENT_MAX : (int64_t)DV_LIMIT_BUDGET_MAX;
    DV_TRY(read_count(r, object, "max", 1, most, &max));
    limit->max = (uint64_t)max;
    return DV_OK;
}

static dv_result read_limit(const reader *r, uint32_t object, dv_api_limit *ret_limit)
{
    dv_api_limit limit = {0};
    if (type_of(r, object) != DV_JSON_OBJECT) {
        return wrong(r, "", "a list of objects");
    }
    DV_TRY(read_unit(r, object, &limit.unit));
    DV_TRY(dv_json_member(&r->json, object, "max") != 0 ? read_max(r, object, &limit)
                                                        : read_rate(r, object, &limit));
    *ret_limit = limit;
    return DV_OK;
}

static dv_result read_limits_of(reader *r, uint32_t limits, dv_api_limit_kind kind,
                                dv_api_limits *out)
{
    const char *name = dv_api_limit_kind_name(kind);
    uint32_t array = dv_json_member(&r->json, limits, name);
    (void)snprintf(r->where, sizeof(r->where), "limits/%s", name);
    if (array == 0) {
        return DV_OK;
    }
    if (kind == DV_API_LIMIT_NETWORK || type_of(r, array) != DV_JSON_ARRAY ||
        children(r, array) > DV_API_LIMITS_MAX) {
        return wrong(r, "", "a list of at most 8 limits");
    }
    uint32_t end = r->json.tokens[array].next;
    for (uint32_t limit = array + 1; limit < end; limit = r->json.tokens[limit].next) {
        DV_TRY(read_limit(r, limit, &out->items[out->count]));
        out->count++;
    }
    return DV_OK;
}

static dv_result read_limits(reader *r, dv_api_config *config)
{
    static const char *const known[] = {"key",     "user",  "group", "address",
                                        "network", "model", "route", NULL};
    uint32_t limits = 0;
    DV_TRY(member(r, 0, "limits", DV_JSON_OBJECT, "an object", &limits));
    DV_TRY(check_members(r, limits, known));
    for (unsigned kind = 0; kind < DV_API_LIMIT_KINDS; kind++) {
        DV_TRY(read_limits_of(r, limits, (dv_api_limit_kind)kind, &config->limits[kind]));
        for (size_t i = 0; i < config->limits[kind].count; i++) {
            bool reserved = config->limits[kind].items[i].unit != DV_LIMIT_REQUESTS;
            config->due[reserved] |= 1U << kind;
        }
    }
    r->where[0] = '\0';
    return DV_OK;
}

static int compare_prices(const void *a, const void *b)
{
    return dv_slice_cmp(((const dv_api_price *)a)->model, ((const dv_api_price *)b)->model);
}

static dv_result read_price(reader *r, uint32_t key, dv_api_price *price)
{
    static const char *const known[] = {"input", "output", NULL};
    int64_t input = 0;
    int64_t output = 0;
    dv_slice name = {0};
    DV_TRY(dv_json_string(&r->json, key, r->arena, &name));
    DV_TRY(dv_api_model_counted(name, r->arena, &price->model));
    if (type_of(r, key + 1) != DV_JSON_OBJECT || price->model.len > DV_LIMIT_NAME) {
        return wrong(r, "prices", "objects by model");
    }
    DV_TRY(check_members(r, key + 1, known));
    DV_TRY(read_count(r, key + 1, "input", 0, INT64_C(1) << 40, &input));
    DV_TRY(read_count(r, key + 1, "output", 0, INT64_C(1) << 40, &output));
    price->input = (uint64_t)input;
    price->output = (uint64_t)output;
    return DV_OK;
}

static dv_result read_prices(reader *r, dv_api_config *config)
{
    uint32_t object = dv_json_member(&r->json, 0, "prices");
    if (object == 0) {
        return DV_OK;
    }
    if (type_of(r, object) != DV_JSON_OBJECT || children(r, object) > DV_API_PRICES_MAX) {
        return wrong(r, "prices", "an object of at most 1024 models");
    }
    uint32_t count = children(r, object);
    dv_api_price *prices = dv_arena_alloc(r->arena, (count + 1) * sizeof(*prices));
    if (prices == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uint32_t key = object + 1;
    for (uint32_t i = 0; i < count; i++, key = r->json.tokens[key].next) {
        DV_TRY(read_price(r, key, &prices[i]));
    }
    qsort(prices, count, sizeof(*prices), compare_prices);
    for (uint32_t i = 1; i < count; i++) {
        if (dv_slice_eq(prices[i - 1].model, prices[i].model)) {
            return wrong(r, "prices", "of models that differ in more than their letters' case");
        }
    }
    config->prices = prices;
    config->price_count = count;
    return DV_OK;
}

static const dv_api_price *price_of(const dv_api_config *config, dv_slice model)
{
    dv_api_price key = {.model = model};
    return config->price_count == 0
               ? NULL
               : bsearch(&key, config->prices, config->price_count, sizeof(key), compare_prices);
}

const dv_api_price *dv_api_price_find(const dv_api_config *config, dv_slice model)
{
    const dv_api_price *price = price_of(config, model);
    return price != NULL ? price : price_of(config, DV_LIT("*"));
}

static dv_result read_warn(reader *r, dv_api_config *config)
{
    uint32_t array = dv_json_member(&r->json, 0, "warn");
    int64_t before = 0;
    if (array == 0) {
        config->warn = (dv_limit_thresholds){{80, 100}};
        return DV_OK;
    }
    if (type_of(r, array) != DV_JSON_ARRAY || children(r, array) > DV_LIMIT_THRESHOLDS_MAX) {
        return wrong(r, "warn", "a list of at most 4 percentages");
    }
    uint32_t item = array + 1;
    for (uint32_t i = 0; i < children(r, array); i++, item = r->json.tokens[item].next) {
        int64_t percent = 0;
        if (type_of(r, item) != DV_JSON_NUMBER || dv_json_int(&r->json, item, &percent) != DV_OK ||
            percent <= before || percent > 100) {
            return wrong(r, "warn", "ascending percentages");
        }
        config->warn.percent[i] = (uint8_t)percent;
        before = percent;
    }
    return DV_OK;
}

static dv_result read_all(reader *r, dv_api_config *config)
{
    static const char *const known[] = {"routes", "data_policies", "limits", "refused_fields",
                                        "prices", "warn",          NULL};
    if (type_of(r, 0) != DV_JSON_OBJECT) {
        return dv_error_set(r->error, DV_ERR_INVALID, "gateway configuration: must be an object");
    }
    DV_TRY(check_members(r, 0, known));
    DV_TRY(read_policies(r, config));
    DV_TRY(read_routes(r, config));
    DV_TRY(read_limits(r, config));
    DV_TRY(read_prices(r, config));
    DV_TRY(read_warn(r, config));
    uint32_t array = 0;
    DV_TRY(member(r, 0, "refused_fields", DV_JSON_ARRAY, "a list of names", &array));
    return read_names(r, array, "refused_fields", &config->refused_fields);
}

dv_result dv_api_config_parse(dv_slice json, dv_api_config **ret_config, dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = 16, .tokens = 1 << 17, .refuse_duplicate_keys = true};
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    dv_api_config *config = arena != NULL ? dv_arena_alloc(arena, sizeof(*config)) : NULL;
    if (config == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    reader r = {.arena = arena, .error = error};
    dv_slice text = {0};
    DV_TRY(dv_arena_copy(arena, json, &text));
    DV_TRY(dv_json_scan(text, &limits, arena, &r.json, error));
    DV_TRY(read_all(&r, config));
    config->arena = arena;
    arena = NULL;
    *ret_config = config;
    return DV_OK;
}

void dv_api_config_free(dv_api_config *config)
{
    if (config != NULL) {
        dv_arena_free(config->arena);
    }
}

static bool covers(const dv_api_route *route, dv_slice path)
{
    if (!route->prefix) {
        return dv_slice_eq(route->path, path);
    }
    if (!dv_slice_starts_with(path, route->path)) {
        return false;
    }
    return path.len == route->path.len || route->path.ptr[route->path.len - 1] == '/' ||
           path.ptr[route->path.len] == '/';
}

/* An exact route goes before every prefix; among prefixes the longest. */
static bool nearer(const dv_api_route *a, const dv_api_route *b)
{
    if (b == NULL || a->prefix != b->prefix) {
        return b == NULL || !a->prefix;
    }
    return a->path.len > b->path.len;
}

const dv_api_route *dv_api_route_find(const dv_api_config *config, unsigned method, dv_slice path)
{
    const dv_api_route *found = NULL;
    for (size_t i = 0; i < config->route_count; i++) {
        const dv_api_route *route = &config->routes[i];
        if ((route->methods & method) != 0 && covers(route, path) && nearer(route, found)) {
            found = route;
        }
    }
    return found;
}
