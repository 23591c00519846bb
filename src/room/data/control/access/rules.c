/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/access/rules.h"

#include "base/caps.h"
#include "room/data/control/inventory.h"

enum { RULES_MEMORY = 1 << 20 };

static const dv_time a_day = 86400 * DV_SECOND;

/* What a rule does not say of an asset fits any. */
typedef struct rule {
    int64_t level;        /* -1: any */
    bool says;            /* how many approvals */
    const char *category; /* or NULL */
    const char *label;    /* or NULL */
    dv_data_wants wants;
} rule;

struct dv_data_rules {
    dv_arena *arena;
    rule *items;
    size_t count;
    dv_time longest;
    dv_data_period period;
};

static dv_result rules_init(dv_data_rules *ret_rules)
{
    dv_data_rules rules = {.arena = dv_arena_new(RULES_MEMORY),
                           .longest = 90 * a_day,
                           .period = {.deadline = 14 * a_day}};
    rules.items = rules.arena == NULL
                      ? NULL
                      : dv_arena_alloc(rules.arena, DV_LIMIT_DATA_RULES * sizeof(*rules.items));
    if (rules.items == NULL) {
        dv_arena_free(rules.arena);
        return DV_ERR_NO_MEMORY;
    }
    *ret_rules = rules;
    return DV_OK;
}

dv_result dv_data_rules_new(dv_data_rules **ret_rules)
{
    dv_data_rules *rules = calloc(1, sizeof(*rules));
    dv_result result = rules == NULL ? DV_ERR_NO_MEMORY : rules_init(rules);
    if (result != DV_OK) {
        free(rules);
        return result;
    }
    *ret_rules = rules;
    return DV_OK;
}

void dv_data_rules_free(dv_data_rules *rules)
{
    if (rules != NULL) {
        dv_arena_free(rules->arena);
        free(rules);
    }
}

/* --- reading --------------------------------------------------------------------------------- */

/* Absent: as it was. */
static dv_result time_read(const dv_yaml *map, const char *key, int days, dv_time *time,
                           dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    dv_time read = 0;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(node, &read, error));
    if (read < DV_SECOND || read > days * a_day) {
        return dv_yaml_refuse(node, error, "data_access: %s is from 1s to %dd", key, days);
    }
    *time = read;
    return DV_OK;
}

static dv_result longest_read(const dv_yaml *map, dv_time *longest, dv_error *error)
{
    return time_read(map, "longest", DV_LIMIT_DATA_GRANT_DAYS, longest, error);
}

static dv_result period_read(const dv_yaml *map, dv_data_period *period, dv_error *error)
{
    enum { YEAR = 365 };
    static const char *const keys[] = {"every", "deadline", NULL};
    if (map == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(time_read(map, "every", DV_LIMIT_DATA_GRANT_DAYS, &period->every, error));
    DV_TRY(time_read(map, "deadline", YEAR, &period->deadline, error));
    return period->every != 0
               ? DV_OK
               : dv_yaml_refuse(map, error, "data_access: review says how often: every");
}

/* A word as the inventory keeps them, or a group's name; absent: NULL. */
static dv_result text_read(dv_arena *arena, const dv_yaml *map, const char *key, bool word,
                           const char **ret_text, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    const char *text;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    const char *letters = word ? "abcdefghijklmnopqrstuvwxyz0123456789_-"
                               : "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@"
                                 "-";
    if (*text == '\0' || strlen(text) > 128 || text[strspn(text, letters)] != '\0') {
        return dv_yaml_refuse(node, error, "data_access: \"%.64s\" is no %s", text,
                              word ? "word of small letters, digits, _ and -" : "group's name");
    }
    *ret_text = dv_arena_printf(arena, "%s", text);
    return *ret_text == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result level_read(const dv_yaml *map, int64_t *ret_level, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "sensitivity");
    const char *name = NULL;
    DV_TRY(node == NULL ? DV_OK : dv_yaml_string(node, &name, error));
    *ret_level = dv_data_level_number(name);
    return node == NULL || *ret_level >= 0
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "data_access: sensitivity is public, internal, confidential or "
                                "restricted");
}

static dv_result wants_read(dv_arena *arena, const dv_yaml *map, dv_data_wants *wants,
                            dv_error *error)
{
    const dv_yaml *approvals = dv_yaml_get(map, "approvals"), *grant = dv_yaml_get(map, "grant");
    DV_TRY(approvals == NULL
               ? DV_OK
               : dv_yaml_int(approvals, 0, DV_LIMIT_DATA_APPROVALS, &wants->approvals, error));
    DV_TRY(grant == NULL ? DV_OK : dv_yaml_bool(grant, &wants->grant, error));
    DV_TRY(longest_read(map, &wants->longest, error));
    return text_read(arena, map, "approvers", false, &wants->approvers, error);
}

static dv_result rule_read(dv_data_rules *rules, const dv_yaml *map, dv_error *error)
{
    static const char *const keys[] = {"sensitivity", "category", "label",     "approvals",
                                       "grant",       "longest",  "approvers", NULL};
    if (rules->count == DV_LIMIT_DATA_RULES) {
        return dv_yaml_refuse(map, error, "data_access: more than %d rules", DV_LIMIT_DATA_RULES);
    }
    rule *r = &rules->items[rules->count];
    *r = (rule){.wants = {.approvals = 1, .grant = true, .longest = rules->longest}};
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(level_read(map, &r->level, error));
    DV_TRY(text_read(rules->arena, map, "category", true, &r->category, error));
    DV_TRY(text_read(rules->arena, map, "label", true, &r->label, error));
    DV_TRY(wants_read(rules->arena, map, &r->wants, error));
    r->says = dv_yaml_get(map, "approvals") != NULL;
    if (r->level < 0 && r->category == NULL && r->label == NULL) {
        return dv_yaml_refuse(map, error,
                              "data_access: a rule says what it is for: sensitivity, category or "
                              "label");
    }
    rules->count++;
    return DV_OK;
}

static dv_result section_read(dv_data_rules *rules, const dv_yaml *section, dv_error *error)
{
    static const char *const keys[] = {"longest", "review", "rules", NULL};
    if (section == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(section, keys, error));
    DV_TRY(longest_read(section, &rules->longest, error));
    DV_TRY(period_read(dv_yaml_get(section, "review"), &rules->period, error));
    const dv_yaml *list = dv_yaml_get(section, "rules");
    if (list != NULL && list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "data_access: rules is a list");
    }
    for (const dv_yaml *node = list == NULL ? NULL : list->first; node != NULL; node = node->next) {
        DV_TRY(rule_read(rules, node, error));
    }
    return DV_OK;
}

dv_result dv_data_rules_set(dv_data_rules *rules, const dv_yaml *section, dv_error *error)
{
    dv_data_rules wanted;
    DV_TRY(rules_init(&wanted));
    dv_result result = section_read(&wanted, section, error);
    if (result != DV_OK) {
        dv_arena_free(wanted.arena);
        return result;
    }
    dv_arena_free(rules->arena);
    *rules = wanted;
    return DV_OK;
}

/* --- asking ---------------------------------------------------------------------------------- */

static bool has_word(dv_slice words, const char *wanted)
{
    dv_slice word;
    while (words.len > 0 && dv_slice_split(&words, ',', &word)) {
        if (dv_slice_eq_str(word, wanted)) {
            return true;
        }
    }
    return false;
}

static bool fits(const rule *r, const dv_data_labelled *asset)
{
    return (r->level < 0 || r->level == asset->level) &&
           (r->category == NULL || has_word(asset->categories, r->category)) &&
           (r->label == NULL || has_word(asset->labels, r->label));
}

/* Without any rule. */
static int64_t approvals_of(int64_t level)
{
    return level == 0 ? 0 : level == 3 ? 2 : 1;
}

/* A rule about something else than approvals makes them no fewer. */
static void stricter(const rule *r, int64_t level, dv_data_wants *wants)
{
    const dv_data_wants *one = &r->wants;
    int64_t approvals = r->says ? one->approvals : DV_MAX(approvals_of(level), one->approvals);
    wants->approvals = DV_MAX(wants->approvals, approvals);
    wants->grant = wants->grant || one->grant;
    wants->longest = DV_MIN(wants->longest, one->longest);
    wants->approvers = wants->approvers != NULL ? wants->approvers : one->approvers;
}

dv_data_wants dv_data_rules_wants(const dv_data_rules *rules, const dv_data_labelled *asset)
{
    dv_data_wants wants = {.longest = rules->longest};
    bool some = false;
    for (size_t i = 0; i < rules->count; i++) {
        if (fits(&rules->items[i], asset)) {
            stricter(&rules->items[i], asset->level, &wants);
            some = true;
        }
    }
    if (!some) {
        wants.grant = asset->level != 0;
        wants.approvals = approvals_of(asset->level);
    }
    return wants;
}

dv_data_period dv_data_rules_period(const dv_data_rules *rules)
{
    return rules->period;
}

/* --- the section ----------------------------------------------------------------------------- */

static dv_result check(const dv_yaml *section, dv_error *error)
{
    dv_data_rules *rules = NULL;
    DV_TRY(dv_data_rules_new(&rules));
    dv_result result = dv_data_rules_set(rules, section, error);
    dv_data_rules_free(rules);
    return result;
}

static dv_result apply(const dv_yaml *section, dv_services *services, dv_error *error)
{
    return services->data_rules == NULL ? DV_OK
                                        : dv_data_rules_set(services->data_rules, section, error);
}

const dv_config_section dv_data_config_access = {"data_access", check, apply};
