/* SPDX-License-Identifier: Apache-2.0 */
/* Names in rules that nobody has: a rule for a misspelt role masks nothing. */
#include "api/operations.h"
#include "core/data_access.h"
#include "core/resources.h"
#include "room/data/control/data_control.h"
#include "room/data/control/inventory.h"

#include <string.h>

/* ---- from dvara.yaml ---- */

static const char *const lists[][2] = {
    {"roles", "Role"}, {"groups", "Group"}, {"users", "User"}, {"services", "Service"}};

static void add_list(const dv_yaml *rule, size_t list, const dv_yaml *roles, json_t *who)
{
    const dv_yaml *names = dv_yaml_get(rule, lists[list][0]);
    for (const dv_yaml *node = names == NULL ? NULL : names->first; node != NULL;
         node = node->next) {
        bool comes = list == 0 && node->text != NULL && dv_yaml_get(roles, node->text) != NULL;
        if (node->text != NULL && !comes) {
            (void)json_array_append_new(who,
                                        json_sprintf("%s::\"%s\"", lists[list][1], node->text));
        }
    }
}

static void add_rules(const dv_yaml *list, const char *section, const dv_yaml *roles, json_t *all)
{
    size_t number = 0;
    for (const dv_yaml *rule = list == NULL ? NULL : list->first; rule != NULL;
         rule = rule->next, number++) {
        json_t *who = json_array();
        for (size_t i = 0; i < DV_ARRAY_LEN(lists); i++) {
            add_list(rule, i, roles, who);
        }
        if (json_array_size(who) > 0) {
            (void)json_array_append_new(all, json_pack("{s:o, s:O}", "at",
                                                       json_sprintf("%s[%zu]", section, number),
                                                       "who", who));
        }
        json_decref(who);
    }
}

struct json_t *dv_data_masking_names(const dv_yaml *root)
{
    const dv_yaml *roles = dv_yaml_get(dv_yaml_get(root, "rbac"), "roles");
    json_t *all = json_array();
    if (all != NULL) {
        add_rules(dv_yaml_get(dv_yaml_get(root, "masking"), "rules"), "masking: rules", roles, all);
        add_rules(dv_yaml_get(dv_yaml_get(root, "loss_prevention"), "volume"),
                  "loss_prevention: volume", roles, all);
    }
    return all;
}

/* ---- of what is in force ---- */

static dv_result add_in_force(const json_t *list, const char *section, json_t *all)
{
    size_t i;
    const json_t *rule;
    json_array_foreach(list, i, rule)
    {
        int number = (int)json_integer_value(json_object_get(rule, "n"));
        json_t *at = json_sprintf("%s[%d]", section, number);
        json_t *one = json_pack("{s:o, s:O}", "at", at, "who", json_object_get(rule, "who"));
        if (one == NULL || json_array_append_new(all, one) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result rules_in_force(dv_call *call, json_t *all, dv_error *error)
{
    const char *direction;
    json_t *policy, *config = NULL;
    dv_result result = dv_data_gateway_config(call, &config, error);
    json_object_foreach(json_object_get(config, "data_policies"), direction, policy)
    {
        result = result == DV_OK
                     ? add_in_force(json_object_get(policy, "rules"), "masking: rules", all)
                     : result;
        result = result == DV_OK ? add_in_force(json_object_get(policy, "volumes"),
                                                "loss_prevention: volume", all)
                                 : result;
    }
    json_decref(config);
    return result;
}

/* ---- looking up ---- */

/* Splits Role::"support"; false: it is no such text. */
static bool split(const char *entity, dv_arena *arena, const char **ret_type, const char **ret_name)
{
    const char *colon = strstr(entity, "::\"");
    size_t len = strlen(entity);
    if (colon == NULL || len < (size_t)(colon - entity) + 4 || entity[len - 1] != '"') {
        return false;
    }
    *ret_type = dv_arena_printf(arena, "%.*s", (int)(colon - entity), entity);
    *ret_name =
        dv_arena_printf(arena, "%.*s", (int)(len - (size_t)(colon - entity) - 4), colon + 3);
    return *ret_type != NULL && *ret_name != NULL;
}

static json_t *warning_of(const char *at, const char *type, const char *name, const char *near)
{
    char kind[16];
    dv_slice_copy(dv_slice_str(type), kind, sizeof(kind));
    kind[0] = (char)(kind[0] | 0x20);
    json_t *text = near != NULL
                       ? json_sprintf("%s: no %s %s; did you mean %s?", at, kind, name, near)
                       : json_sprintf("%s: no %s %s", at, kind, name);
    return json_pack("{s:s, s:s, s:s, s:s?, s:o}", "at", at, "type", kind, "name", name, "near",
                     near, "warning", text);
}

/* The directions of a policy repeat a rule: one place is told once. */
static bool is_told(const json_t *items, const json_t *item)
{
    size_t i;
    const json_t *other;
    json_array_foreach(items, i, other)
    {
        if (json_equal(other, item)) {
            return true;
        }
    }
    return false;
}

static dv_result check_name(dv_call *call, const char *at, const char *entity, json_t *items,
                            dv_error *error)
{
    const char *type = NULL, *name = NULL, *near = NULL;
    bool known = false;
    if (!split(entity, call->arena, &type, &name)) {
        return dv_call_invalid(call, "rules", error, "'%.64s' is no Role::\"name\"", entity);
    }
    DV_TRY(call->services->people->known(call, type, name, &known, &near, error));
    if (known) {
        return DV_OK;
    }
    json_t *item = warning_of(at, type, name, near);
    if (item == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    int failed = is_told(items, item) ? 0 : json_array_append(items, item);
    json_decref(item);
    return failed == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result check_rules(dv_call *call, const json_t *rules, json_t *items, dv_error *error)
{
    size_t i, k;
    const json_t *rule, *who;
    json_array_foreach(rules, i, rule)
    {
        const char *at = json_string_value(json_object_get(rule, "at"));
        json_array_foreach(json_object_get(rule, "who"), k, who)
        {
            DV_TRY(check_name(call, at != NULL ? at : "", json_string_value(who), items, error));
        }
    }
    return DV_OK;
}

dv_result dv_op_masking_check(dv_call *call, dv_error *error)
{
    json_t *given = json_object_get(call->body, "rules");
    json_t *rules = given != NULL ? json_incref(given) : json_array();
    json_t *items = json_array();
    dv_result result = rules == NULL || items == NULL ? DV_ERR_NO_MEMORY
                       : given == NULL                ? rules_in_force(call, rules, error)
                                                      : DV_OK;
    if (result == DV_OK) {
        result = check_rules(call, rules, items, error);
    }
    json_decref(rules);
    if (result != DV_OK) {
        json_decref(items);
        return result;
    }
    call->answer = json_pack("{s:o}", "items", items);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}
