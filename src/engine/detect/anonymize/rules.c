/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/anonymize/anonymize.h"

static dv_result read_list(const dv_yaml *root, const char *key, const char **names, size_t *count,
                           dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(root, key);
    if (list == NULL || list->type == DV_YAML_NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "%s is a list of columns: [zip, age]", key);
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        if (*count == DV_ANONYMIZE_COLUMNS_MAX) {
            return dv_yaml_refuse(node, error, "%s: more than %d columns", key,
                                  DV_ANONYMIZE_COLUMNS_MAX);
        }
        DV_TRY(dv_yaml_string(node, &names[(*count)++], error));
    }
    return DV_OK;
}

static dv_result read_real(const dv_yaml *root, const char *key, double least, double most,
                           double *ret, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(root, key);
    const char *text = NULL;
    char *end = NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= most)) {
        return dv_yaml_refuse(node, error, "%s is a number from %g to %g, not '%s'", key, least,
                              most, text);
    }
    *ret = number;
    return DV_OK;
}

/* "3", or {entropy: 3}, or {recursive: 3, c: 2}. */
static dv_result read_diversity(const dv_yaml *node, dv_spread_demand *demand, dv_error *error)
{
    static const char *const keys[] = {"distinct", "entropy", "recursive", "c", NULL};
    int64_t l = 1;
    if (node == NULL) {
        return DV_OK;
    }
    if (node->type != DV_YAML_MAP) {
        DV_TRY(dv_yaml_int(node, 1, 1000, &l, error));
        demand->l = (uint32_t)l;
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(node, keys, error));
    size_t said = 0;
    for (size_t i = 0; i < 3; i++) {
        const dv_yaml *one = dv_yaml_get(node, keys[i]);
        DV_TRY(one == NULL ? DV_OK : dv_yaml_int(one, i == 2 ? 2 : 1, 1000, &l, error));
        demand->kind = one == NULL ? demand->kind : (dv_spread_kind)i;
        said += one != NULL;
    }
    demand->l = (uint32_t)l;
    DV_TRY(read_real(node, "c", 0.001, 1000000, &demand->c, error));
    bool recursive = demand->kind == DV_SPREAD_RECURSIVE;
    return said == 1 && recursive == (dv_yaml_get(node, "c") != NULL)
               ? DV_OK
               : dv_yaml_refuse(node, error, "l is a number, {entropy: 3} or {recursive: 3, c: 2}");
}

static ptrdiff_t place_of(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq_nocase(dv_slice_str(names[i]), dv_slice_str(name))) {
            return (ptrdiff_t)i;
        }
    }
    return -1;
}

static dv_result read_ordered(const dv_yaml *root, dv_anonymize_rules *rules, dv_error *error)
{
    const char *names[DV_ANONYMIZE_COLUMNS_MAX];
    size_t count = 0;
    DV_TRY(read_list(root, "ordered", names, &count, error));
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t at = place_of(rules->sensitive, rules->sensitive_count, names[i]);
        if (at < 0) {
            return dv_yaml_refuse(dv_yaml_get(root, "ordered"), error,
                                  "'%s' is not one of sensitive", names[i]);
        }
        rules->ordered[at] = true;
    }
    return DV_OK;
}

static dv_result read_hierarchies(const dv_yaml *root, dv_arena *arena, dv_anonymize_rules *rules,
                                  dv_error *error)
{
    const dv_yaml *map = dv_yaml_get(root, "hierarchies"), *node = dv_yaml_get(root, "date_order");
    dv_date_order order = DV_DATE_DMY;
    if (node != NULL) {
        const char *name = NULL;
        DV_TRY(dv_yaml_string(node, &name, error));
        if (strcmp(name, "mdy") != 0 && strcmp(name, "dmy") != 0) {
            return dv_yaml_refuse(node, error, "date_order is dmy or mdy, not '%s'", name);
        }
        order = name[0] == 'm' ? DV_DATE_MDY : DV_DATE_DMY;
    }
    if (map == NULL || map->type == DV_YAML_NULL) {
        return DV_OK;
    }
    if (map->type != DV_YAML_MAP) {
        return dv_yaml_refuse(map, error, "hierarchies are by column: {zip: zip}");
    }
    for (node = map->first; node != NULL; node = node->next) {
        ptrdiff_t at = place_of(rules->quasi, rules->quasi_count, node->key);
        if (at < 0) {
            return dv_yaml_refuse(node, error, "'%s' is not one of quasi", node->key);
        }
        DV_TRY(dv_hierarchy_read(node, order, arena, &rules->hierarchies[at], error));
    }
    return DV_OK;
}

/* A column in two lists would be told in one way and judged in another. */
static dv_result check_lists(const dv_yaml *root, const dv_anonymize_rules *rules, dv_error *error)
{
    const char *all[3 * DV_ANONYMIZE_COLUMNS_MAX];
    size_t count = 0;
    const char *const *const lists[] = {rules->quasi, rules->sensitive, rules->remove};
    const size_t counts[] = {rules->quasi_count, rules->sensitive_count, rules->remove_count};
    for (size_t l = 0; l < DV_ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < counts[l]; i++) {
            if (place_of(all, count, lists[l][i]) >= 0) {
                return dv_yaml_refuse(
                    root, error, "'%s' is named twice in quasi, sensitive and remove", lists[l][i]);
            }
            all[count++] = lists[l][i];
        }
    }
    return DV_OK;
}

dv_result dv_anonymize_rules_read(const dv_yaml *root, dv_arena *arena,
                                  dv_anonymize_rules *ret_rules, dv_error *error)
{
    static const char *const keys[] = {"k",           "l",          "t",       "quasi",
                                       "sensitive",   "remove",     "ordered", "suppress",
                                       "hierarchies", "date_order", NULL};
    dv_anonymize_rules rules = {.spread = {.l = 1, .t = 1}};
    int64_t k = 5;
    DV_TRY(dv_yaml_check_keys(root, keys, error));
    const dv_yaml *node = dv_yaml_get(root, "k");
    DV_TRY(node == NULL ? DV_OK : dv_yaml_int(node, 2, 1000000, &k, error));
    DV_TRY(read_diversity(dv_yaml_get(root, "l"), &rules.spread, error));
    DV_TRY(read_real(root, "t", 0, 1, &rules.spread.t, error));
    DV_TRY(read_real(root, "suppress", 0, 0.5, &rules.suppress, error));
    DV_TRY(read_list(root, "quasi", rules.quasi, &rules.quasi_count, error));
    DV_TRY(read_list(root, "sensitive", rules.sensitive, &rules.sensitive_count, error));
    DV_TRY(read_list(root, "remove", rules.remove, &rules.remove_count, error));
    DV_TRY(check_lists(root, &rules, error));
    DV_TRY(read_ordered(root, &rules, error));
    DV_TRY(read_hierarchies(root, arena, &rules, error));
    rules.k = (uint32_t)k;
    if (rules.quasi_count == 0) {
        return dv_yaml_refuse(root, error,
                              "quasi is missing: the columns by which somebody could "
                              "be known again");
    }
    if ((rules.spread.l > 1 || rules.spread.t < 1) && rules.sensitive_count == 0) {
        return dv_yaml_refuse(root, error, "l and t ask for columns in sensitive");
    }
    *ret_rules = rules;
    return DV_OK;
}
