/* SPDX-License-Identifier: Apache-2.0 */
/* The sections `limits:` and `prices:` of dvara.yaml. */
#include "engine/limit/limit.h"
#include "room/api/control/internal.h"
#include "room/api/control/limit_words.h"

#include "base/caps.h"

static const char *const keys[] = {"key",   "user",  "group", "address",
                                   "model", "route", "warn",  NULL};
static const char *const words_keys[] = {"count", "tokens", "cost", "concurrent",
                                         "per",   "burst",  NULL};

/* -- one limit --------------------------------------------------------------------------------- */

static dv_result read_number(const dv_yaml *map, const char *key, int64_t *number, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    return node == NULL ? DV_OK : dv_yaml_int(node, 1, (int64_t)DV_LIMIT_BUDGET_MAX, number, error);
}

static dv_result read_text(const dv_yaml *map, const char *key, const char **text, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    return node == NULL ? DV_OK : dv_yaml_string(node, text, error);
}

static dv_result read_limit(const dv_yaml *node, dv_api_limit *ret_limit, dv_error *error)
{
    dv_limit_words words = DV_LIMIT_WORDS_NONE;
    const char *field = NULL;
    dv_error cause = {0};
    if (node->type != DV_YAML_MAP) {
        return dv_api_error_at(node, error, "a limit looks like {count: 60, per: 1m, burst: 10}");
    }
    DV_TRY(dv_yaml_check_keys(node, words_keys, error));
    DV_TRY(read_number(node, "count", &words.count, error));
    DV_TRY(read_number(node, "tokens", &words.tokens, error));
    DV_TRY(read_number(node, "concurrent", &words.concurrent, error));
    DV_TRY(read_number(node, "burst", &words.burst, error));
    DV_TRY(read_text(node, "cost", &words.cost, error));
    DV_TRY(read_text(node, "per", &words.per, error));
    if (dv_limit_words_read(&words, ret_limit, &field, &cause) != DV_OK) {
        const dv_yaml *at = dv_yaml_get(node, field);
        return dv_api_error_at(at != NULL ? at : node, error, "%s", cause.message);
    }
    bool nothing = ret_limit->kind == DV_LIMIT_BUDGET && ret_limit->max == 0;
    return nothing ? dv_api_error_at(node, error, "a budget must be more than 0") : DV_OK;
}

static json_t *limit_json(const dv_api_limit *limit)
{
    static const char *const units[] = {"requests", "tokens", "cost"};
    if (limit->kind == DV_LIMIT_CONCURRENT) {
        return json_pack("{s:I, s:s}", "max", (json_int_t)limit->max, "period", "at_once");
    }
    if (limit->kind == DV_LIMIT_BUDGET) {
        return json_pack("{s:I, s:s, s:s}", "max", (json_int_t)limit->max, "period",
                         limit->period == DV_LIMIT_DAY ? "day" : "month", "unit",
                         units[limit->unit]);
    }
    return json_pack("{s:I, s:I, s:I, s:s}", "count", (json_int_t)limit->rate.count, "period_ns",
                     (json_int_t)limit->rate.period, "burst", (json_int_t)limit->rate.burst, "unit",
                     units[limit->unit]);
}

/* -- limits: ----------------------------------------------------------------------------------- */

static dv_result append_limit(const dv_yaml *node, json_t *array, dv_error *error)
{
    dv_api_limit limit = {0};
    DV_TRY(read_limit(node, &limit, error));
    return json_array_append_new(array, limit_json(&limit)) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* One kind: a list of limits, or a single one. */
static dv_result append_kind(const dv_yaml *node, json_t *array, dv_error *error)
{
    if (node->type == DV_YAML_MAP) {
        return append_limit(node, array, error);
    }
    if (node->type != DV_YAML_LIST) {
        return dv_api_error_at(node, error, "'%s' wants a list of limits; [] is none", node->key);
    }
    for (const dv_yaml *entry = node->first; entry != NULL; entry = entry->next) {
        if (json_array_size(array) >= DV_API_LIMITS_MAX) {
            return dv_api_error_at(entry, error, "more than %d limits for '%s'", DV_API_LIMITS_MAX,
                                   node->key);
        }
        DV_TRY(append_limit(entry, array, error));
    }
    return DV_OK;
}

static dv_result append_warn(const dv_yaml *node, json_t *array, dv_error *error)
{
    int64_t before = 0;
    if (node->type != DV_YAML_LIST) {
        return dv_api_error_at(node, error, "'warn' wants a list of percentages; [] is none");
    }
    for (const dv_yaml *entry = node->first; entry != NULL; entry = entry->next) {
        int64_t percent = 0;
        DV_TRY(dv_yaml_int(entry, before + 1, 100, &percent, error));
        if (json_array_size(array) >= DV_LIMIT_THRESHOLDS_MAX) {
            return dv_api_error_at(entry, error, "more than %d percentages for 'warn'",
                                   DV_LIMIT_THRESHOLDS_MAX);
        }
        if (json_array_append_new(array, json_integer(percent)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        before = percent;
    }
    return DV_OK;
}

static dv_result add_section(const char *key, const dv_yaml *node, json_t *config, json_t *limits,
                             dv_error *error)
{
    bool warn = strcmp(key, "warn") == 0;
    json_t *array = json_array();
    if (json_object_set_new(warn ? config : limits, key, array) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    return warn ? append_warn(node, array, error) : append_kind(node, array, error);
}

dv_result dv_api_limits_json(const dv_yaml *limits, const dv_yaml *defaults, json_t *config,
                             dv_error *error)
{
    if (limits != NULL) {
        if (limits->type != DV_YAML_MAP) {
            return dv_api_error_at(limits, error,
                                   "'limits' wants key, user, group, address, model or route");
        }
        DV_TRY(dv_yaml_check_keys(limits, keys, error));
    }
    json_t *object = json_object();
    if (json_object_set_new(config, "limits", object) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; keys[i] != NULL; i++) {
        const dv_yaml *node = limits == NULL ? NULL : dv_yaml_get(limits, keys[i]);
        DV_TRY(add_section(keys[i], node == NULL ? dv_yaml_get(defaults, keys[i]) : node, config,
                           object, error));
    }
    return DV_OK;
}

/* -- prices: ----------------------------------------------------------------------------------- */

static dv_result read_price(const dv_yaml *map, const char *key, json_t *price, dv_error *error)
{
    const char *text = NULL;
    uint64_t millionths = 0;
    const dv_yaml *node = dv_yaml_get(map, key);
    if (node == NULL) {
        return dv_api_error_at(map, error, "this price lacks '%s'", key);
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    if (dv_decimal_millionths(text, UINT64_C(1000000000000), &millionths) != DV_OK) {
        return dv_api_error_at(node, error,
                               "'%s' must be what a million tokens cost, from 0 to 1000000 with "
                               "six places at most",
                               key);
    }
    return json_object_set_new(price, key, json_integer((json_int_t)millionths)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

static dv_result add_price(const dv_yaml *node, json_t *prices, dv_error *error)
{
    static const char *const known[] = {"input", "output", NULL};
    json_t *price = json_object();
    if (node->type != DV_YAML_MAP || strlen(node->key) > DV_LIMIT_NAME) {
        json_decref(price);
        return dv_api_error_at(node, error, "a price looks like MODEL: {input: 2.50, output: 10}");
    }
    if (json_object_size(prices) >= DV_API_PRICES_MAX) {
        json_decref(price);
        return dv_api_error_at(node, error, "more than %d prices", DV_API_PRICES_MAX);
    }
    if (json_object_set_new(prices, node->key, price) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_yaml_check_keys(node, known, error));
    DV_TRY(read_price(node, "input", price, error));
    return read_price(node, "output", price, error);
}

dv_result dv_api_prices_json(const dv_yaml *prices, json_t *config, dv_error *error)
{
    json_t *object = json_object();
    if (json_object_set_new(config, "prices", object) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    if (prices == NULL) {
        return DV_OK;
    }
    if (prices->type != DV_YAML_MAP) {
        return dv_api_error_at(prices, error, "'prices' wants MODEL: {input: 2.50, output: 10}");
    }
    for (const dv_yaml *node = prices->first; node != NULL; node = node->next) {
        DV_TRY(add_price(node, object, error));
    }
    return DV_OK;
}
