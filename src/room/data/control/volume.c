/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/volume.h"

#include "base/clock.h"
#include "room/data/control/scope.h"
#include "room/data/gate/data_gate.h"

enum { VALUES_MAX = 1000 * 1000 * 1000, TEXT_MAX = 64 << 10 };
static const dv_time per_min = DV_SECOND;
static const dv_time per_max = 366 * 24 * 3600 * DV_SECOND;

static const char *const keys[] = {DV_DATA_SCOPE_KEYS, "name", "direction", "values", "per",
                                   "action",           NULL};
static const char *const actions[] = {"block", "alert", "monitor"};

static bool is_name(const char *text)
{
    static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t len = strlen(text);
    return len > 0 && len <= DV_DATA_VOLUME_NAME && strspn(text, bytes) == len;
}

static dv_result wanted(const dv_yaml *rule, const char *key, const dv_yaml **ret_node,
                        dv_error *error)
{
    *ret_node = dv_yaml_get(rule, key);
    return *ret_node != NULL ? DV_OK
                             : dv_yaml_refuse(rule, error,
                                              "volume: '%s' is missing: a rule looks like {name: "
                                              "many-cards, categories: [payment], values: 500, "
                                              "per: 1h, action: alert}",
                                              key);
}

static dv_result read_name(const dv_yaml *rule, const char **ret_name, dv_error *error)
{
    const dv_yaml *node = NULL;
    DV_TRY(wanted(rule, "name", &node, error));
    DV_TRY(dv_yaml_string(node, ret_name, error));
    return is_name(*ret_name) ? DV_OK
                              : dv_yaml_refuse(node, error,
                                               "volume: '%.64s' is no name: 1 to %d letters, "
                                               "digits, _ . -",
                                               *ret_name, DV_DATA_VOLUME_NAME);
}

static dv_result read_action(const dv_yaml *rule, const char **ret_action, dv_error *error)
{
    const dv_yaml *node = NULL;
    const char *text = NULL;
    DV_TRY(wanted(rule, "action", &node, error));
    DV_TRY(dv_yaml_string(node, &text, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(actions); i++) {
        if (strcmp(text, actions[i]) == 0) {
            *ret_action = actions[i];
            return DV_OK;
        }
    }
    return dv_yaml_refuse(
        node, error, "volume: '%.32s' is no action of a volume: monitor, alert or block", text);
}

static dv_result read_per(const dv_yaml *rule, dv_time *ret_per, dv_error *error)
{
    const dv_yaml *node = NULL;
    DV_TRY(wanted(rule, "per", &node, error));
    DV_TRY(dv_yaml_duration(node, ret_per, error));
    return *ret_per >= per_min && *ret_per <= per_max
               ? DV_OK
               : dv_yaml_refuse(node, error, "volume: 'per' is from 1s to 366d");
}

/* Whether the rule is about that direction; both, when it does not say. */
static dv_result speaks_of(const dv_yaml *rule, bool answer, bool *ret_speaks, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(rule, "direction");
    const char *text = "both";
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &text, error));
    }
    bool both = strcmp(text, "both") == 0;
    bool requests = strcmp(text, "request") == 0;
    bool answers = strcmp(text, "response") == 0 || strcmp(text, "answer") == 0;
    *ret_speaks = both || (answer ? answers : requests);
    return both || requests || answers
               ? DV_OK
               : dv_yaml_refuse(node, error, "volume: 'direction' is request, response or both");
}

/* Checks the whole rule, whatever its direction, and appends it. */
static dv_result append_rule(const dv_yaml *rule, size_t number, dv_buf *out, dv_error *error)
{
    const dv_yaml *values = NULL;
    const char *name = NULL;
    const char *action = NULL;
    int64_t count = 0;
    dv_time per = 0;
    DV_TRY(dv_yaml_check_keys(rule, keys, error));
    DV_TRY(read_name(rule, &name, error));
    DV_TRY(wanted(rule, "values", &values, error));
    DV_TRY(dv_yaml_int(values, 1, VALUES_MAX, &count, error));
    DV_TRY(read_per(rule, &per, error));
    DV_TRY(read_action(rule, &action, error));
    DV_TRY(dv_buf_append_printf(out, "{\"n\":%zu,", number));
    DV_TRY(dv_data_scope_append(rule, "volume", NULL, out, error));
    return dv_buf_append_printf(
        out, "\"name\":\"%s\",\"values\":%lld,\"per_ns\":%lld,\"action\":\"%s\"}", name,
        (long long)count, (long long)per, action);
}

/* The name is the counter's: two rules of one name would count each other's values. */
static dv_result check_twice(const dv_yaml *list, const dv_yaml *rule, dv_error *error)
{
    const char *name = NULL;
    const char *before = NULL;
    DV_TRY(read_name(rule, &name, error));
    for (const dv_yaml *other = list->first; other != rule; other = other->next) {
        DV_TRY(read_name(other, &before, error));
        if (strcmp(before, name) == 0) {
            return dv_yaml_refuse(rule, error, "volume: two rules are called '%s'", name);
        }
    }
    return DV_OK;
}

dv_result dv_data_volume_append(const dv_yaml *list, bool answer, dv_buf *out, dv_error *error)
{
    size_t count = 0, written = 0;
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "loss_prevention: 'volume' wants a list of rules");
    }
    DV_TRY(dv_buf_append_str(out, ",\"volumes\":["));
    for (const dv_yaml *rule = list->first; rule != NULL; rule = rule->next) {
        bool speaks = false;
        if (rule->type != DV_YAML_MAP || ++count > DV_DATA_VOLUMES_MAX) {
            return dv_yaml_refuse(rule, error, "loss_prevention: 'volume' wants at most %d rules",
                                  DV_DATA_VOLUMES_MAX);
        }
        DV_TRY(speaks_of(rule, answer, &speaks, error));
        DV_TRY(check_twice(list, rule, error));
        if (speaks) {
            DV_TRY(dv_buf_append_str(out, written++ > 0 ? "," : ""));
            DV_TRY(append_rule(rule, count - 1, out, error));
        }
    }
    return dv_buf_append_str(out, "]");
}

dv_result dv_data_volume_check(const dv_yaml *list, dv_error *error)
{
    dv_auto(buf) dv_buf unused = dv_buf_init(2 * TEXT_MAX);
    DV_TRY(dv_data_volume_append(list, false, &unused, error));
    return dv_data_volume_append(list, true, &unused, error);
}
