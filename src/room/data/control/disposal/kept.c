/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/disposal/kept.h"

#include "base/nearest.h"
#include "room/data/control/disposal/rules.h"

#include <string.h>

enum { THING_MAX = 64 };

static const struct {
    const char *key;
    const char *of;
    const char *scheme;
    const char *since;
} kinds[] = {
    [DV_KEPT_VAULTS] = {"vaults", "vaults", "vault://", "made"},
    [DV_KEPT_CASES] = {"cases", "cases", "cases://", "closed"},
};

/* What still needs a closed one is known for these (cases.c). */
static const char *const case_types[] = {"access_review", "data_access", "data_disposal",
                                         "data_review"};

size_t dv_kept_case_count(void)
{
    return DV_ARRAY_LEN(case_types);
}

const char *dv_kept_case_at(size_t index)
{
    return case_types[index];
}

static const char *case_name(const void *data, size_t index)
{
    (void)data;
    return case_types[index];
}

bool dv_kept_is_one(const dv_yaml *map)
{
    return map->type == DV_YAML_MAP &&
           (dv_yaml_get(map, "vaults") != NULL || dv_yaml_get(map, "cases") != NULL);
}

/* --- reading --------------------------------------------------------------------------------- */

static dv_result check_case(const dv_yaml *node, const char *text, dv_error *error)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(case_types); i++) {
        if (strcmp(case_types[i], text) == 0) {
            return DV_OK;
        }
    }
    const char *near = dv_nearest(text, DV_ARRAY_LEN(case_types), case_name, NULL);
    return dv_yaml_refuse(node, error,
                          "data_retention: cases are of access_review, data_access, data_disposal "
                          "and data_review, not %.64s%s%s",
                          text, near != NULL ? "; did you mean " : "", near != NULL ? near : "");
}

static dv_result check_vault(const dv_yaml *node, const char *text, dv_error *error)
{
    size_t good = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    return good > 0 && good <= THING_MAX && text[good] == '\0'
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "data_retention: \"%.64s\" is no name of a vault, as data_vaults "
                                "has it",
                                text);
}

static dv_result things_read(dv_kept_rule *rule, dv_arena *arena, const dv_yaml *map,
                             dv_error *error)
{
    const dv_yaml *one = NULL;
    const char *text = NULL;
    DV_TRY(dv_disposal_list_read(map, kinds[rule->kind].key, &one, error));
    for (; one != NULL; one = one->next) {
        DV_TRY(dv_yaml_string(one, &text, error));
        DV_TRY(rule->kind == DV_KEPT_CASES ? check_case(one, text, error)
                                           : check_vault(one, text, error));
        rule->things[rule->count] = dv_arena_printf(arena, "%s", text);
        DV_TRY(rule->things[rule->count] == NULL ? DV_ERR_NO_MEMORY : DV_OK);
        rule->count++;
    }
    return DV_OK;
}

static dv_result kind_read(dv_kept_rule *rule, const dv_yaml *map, dv_error *error)
{
    const dv_yaml *of = dv_yaml_get(map, "of");
    const char *text = NULL;
    if (dv_yaml_get(map, "vaults") != NULL && dv_yaml_get(map, "cases") != NULL) {
        return dv_yaml_refuse(
            map, error, "data_retention: a rule or hold is for vaults or for cases, not both");
    }
    rule->kind = dv_yaml_get(map, "vaults") != NULL ? DV_KEPT_VAULTS : DV_KEPT_CASES;
    DV_TRY(of == NULL ? DV_OK : dv_yaml_string(of, &text, error));
    return of == NULL || strcmp(text, kinds[rule->kind].of) == 0
               ? DV_OK
               : dv_yaml_refuse(of, error, "data_retention: a rule with %s is of %s",
                                kinds[rule->kind].key, kinds[rule->kind].of);
}

static dv_result rest_read(dv_kept_rule *rule, dv_arena *arena, const dv_yaml *map, dv_error *error)
{
    const dv_yaml *reason = dv_yaml_get(map, "reason");
    const char *text = NULL;
    rule->kept = "hold";
    rule->keep = DV_TIME_NEVER;
    DV_TRY(reason == NULL ? DV_OK : dv_yaml_string(reason, &text, error));
    return rule->hold ? DV_OK : dv_disposal_keep_read(arena, map, &rule->kept, &rule->keep, error);
}

dv_result dv_kept_read(dv_kept_rules *rules, size_t most, dv_arena *arena, const dv_yaml *map,
                       bool hold, dv_error *error)
{
    static const char *const rule_keys[] = {"name", "of",        "vaults", "cases",
                                            "keep", "approvals", NULL};
    static const char *const hold_keys[] = {"name", "of", "vaults", "cases", "reason", NULL};
    if (rules->count == most) {
        return dv_yaml_refuse(
            map, error, "data_retention: more than %zu rules and holds of vaults and cases", most);
    }
    dv_kept_rule *rule = &rules->items[rules->count];
    *rule = (dv_kept_rule){.hold = hold};
    DV_TRY(dv_yaml_check_keys(map, hold ? hold_keys : rule_keys, error));
    DV_TRY(dv_disposal_name_read(arena, map, &rule->name, error));
    DV_TRY(kind_read(rule, map, error));
    DV_TRY(things_read(rule, arena, map, error));
    DV_TRY(rest_read(rule, arena, map, error));
    rules->count++;
    return DV_OK;
}

/* --- asking ---------------------------------------------------------------------------------- */

static bool names(const dv_kept_rule *rule, dv_kept_kind kind, const char *thing)
{
    for (size_t i = 0; rule->kind == kind && i < rule->count; i++) {
        if (strcmp(rule->things[i], thing) == 0) {
            return true;
        }
    }
    return false;
}

const dv_kept_rule *dv_kept_rule_for(const dv_kept_rules *rules, dv_kept_kind kind,
                                     const char *thing)
{
    const dv_kept_rule *longest = NULL;
    for (size_t i = 0; i < rules->count; i++) {
        const dv_kept_rule *rule = &rules->items[i];
        if (!rule->hold && names(rule, kind, thing) &&
            (longest == NULL || rule->keep > longest->keep)) {
            longest = rule;
        }
    }
    return longest;
}

const dv_kept_rule *dv_kept_hold_for(const dv_kept_rules *rules, dv_kept_kind kind,
                                     const char *thing)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i].hold && names(&rules->items[i], kind, thing)) {
            return &rules->items[i];
        }
    }
    return NULL;
}

dv_time dv_kept_cutoff(const dv_kept_rule *rule, dv_time now)
{
    return rule == NULL || rule->keep == DV_TIME_NEVER || rule->keep >= now ? 0 : now - rule->keep;
}

json_t *dv_kept_rule_json(const dv_kept_rule *rule)
{
    char text[THING_MAX + 16];
    json_t *sources = json_array();
    for (size_t i = 0; i < rule->count; i++) {
        (void)snprintf(text, sizeof(text), "%s%s", kinds[rule->kind].scheme, rule->things[i]);
        if (json_array_append_new(sources, json_string(text)) != 0) {
            json_decref(sources);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:o, s:s, s:s}", "name", rule->name, "of", kinds[rule->kind].of,
                     "sources", sources, "keep", rule->kept, "since", kinds[rule->kind].since);
}

bool dv_disposal_is_kept_source(const char *source)
{
    dv_slice text = dv_slice_str(source);
    return dv_slice_starts_with(text, DV_LIT("vault://")) ||
           dv_slice_starts_with(text, DV_LIT("cases://"));
}
