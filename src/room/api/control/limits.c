/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/limit/limit.h"
#include "room/api/control/internal.h"

static const char *const kinds[] = {"key", "user", "group", "address", NULL};
static const char *const rate_keys[] = {"count", "per", "burst", NULL};

enum { DV_RATE_COUNT_MAX = 1000000000 };

static dv_result required(const dv_yaml *map, const char *key, const dv_yaml **ret_node,
                          dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    if (node == NULL) {
        return dv_api_error_at(map, error, "this limit lacks '%s'", key);
    }
    *ret_node = node;
    return DV_OK;
}

static dv_result read_rate(const dv_yaml *node, dv_limit_rate *ret_rate, dv_error *error)
{
    if (node->type != DV_YAML_MAP) {
        return dv_api_error_at(node, error, "a limit looks like {count: 60, per: 1m, burst: 10}");
    }
    DV_TRY(dv_yaml_check_keys(node, rate_keys, error));
    const dv_yaml *count_node = NULL;
    const dv_yaml *per_node = NULL;
    DV_TRY(required(node, "count", &count_node, error));
    DV_TRY(required(node, "per", &per_node, error));
    int64_t count = 0;
    int64_t burst = 0;
    dv_limit_rate rate = {0};
    DV_TRY(dv_yaml_int(count_node, 1, DV_RATE_COUNT_MAX, &count, error));
    DV_TRY(dv_yaml_duration(per_node, &rate.period, error));
    if (dv_yaml_get(node, "burst") != NULL) {
        DV_TRY(dv_yaml_int(dv_yaml_get(node, "burst"), 1, DV_RATE_COUNT_MAX, &burst, error));
    }
    rate.count = (uint64_t)count;
    rate.burst = (uint64_t)(burst == 0 ? count : burst);
    dv_error cause = {0};
    if (rate.period <= 0 || dv_limit_rate_check(&rate, &cause) != DV_OK) {
        return dv_api_error_at(per_node, error, "%s",
                               rate.period <= 0 ? "'per' must be longer than nothing"
                                                : cause.message);
    }
    *ret_rate = rate;
    return DV_OK;
}

static dv_result append_rate(const dv_yaml *node, json_t *array, dv_error *error)
{
    dv_limit_rate rate = {0};
    DV_TRY(read_rate(node, &rate, error));
    json_t *entry = json_pack("{s:I, s:I, s:I}", "count", (json_int_t)rate.count, "period_ns",
                              (json_int_t)rate.period, "burst", (json_int_t)rate.burst);
    return json_array_append_new(array, entry) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* One kind: a list of rates, or a single one. */
static dv_result append_kind(const dv_yaml *node, json_t *array, dv_error *error)
{
    if (node->type == DV_YAML_MAP) {
        return append_rate(node, array, error);
    }
    if (node->type != DV_YAML_LIST) {
        return dv_api_error_at(node, error, "'%s' wants a list of limits; [] is none", node->key);
    }
    for (const dv_yaml *entry = node->first; entry != NULL; entry = entry->next) {
        if (json_array_size(array) >= DV_API_RATES_MAX) {
            return dv_api_error_at(entry, error, "more than %d limits for '%s'", DV_API_RATES_MAX,
                                   node->key);
        }
        DV_TRY(append_rate(entry, array, error));
    }
    return DV_OK;
}

dv_result dv_api_limits_json(const dv_yaml *limits, const dv_yaml *defaults, json_t *config,
                             dv_error *error)
{
    if (limits != NULL) {
        if (limits->type != DV_YAML_MAP) {
            return dv_api_error_at(limits, error, "'limits' wants key, user, group or address");
        }
        DV_TRY(dv_yaml_check_keys(limits, kinds, error));
    }
    json_t *object = json_object();
    if (json_object_set_new(config, "limits", object) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; kinds[i] != NULL; i++) {
        const dv_yaml *node = limits == NULL ? NULL : dv_yaml_get(limits, kinds[i]);
        json_t *array = json_array();
        if (json_object_set_new(object, kinds[i], array) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(append_kind(node == NULL ? dv_yaml_get(defaults, kinds[i]) : node, array, error));
    }
    return DV_OK;
}
