/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/detect/action/rules.h"

/* -- one action -------------------------------------------------------------------------------- */

static const char *const detail_names[DV_DETAIL_COUNT] = {
    "shape", "year", "month", "age", "band", "zip", "network", "domain",
};

static dv_result read_kind(const dv_yaml *node, dv_action *action, bool *ret_detect,
                           dv_error *error)
{
    const char *name = NULL;
    DV_TRY(dv_yaml_string(node, &name, error));
    if (ret_detect != NULL && strcmp(name, "detect") == 0) {
        *ret_detect = true;
        return DV_OK;
    }
    for (int kind = 0; kind < DV_ACT_KINDS; kind++) {
        if (strcmp(name, dv_action_kind_name((dv_action_kind)kind)) == 0) {
            action->kind = (uint8_t)kind;
            return DV_OK;
        }
    }
    return dv_yaml_refuse(node, error,
                          "'%s' is no action: redact, remove, mask, hash, pseudonym, token, fpe, "
                          "date_shift, generalise, keep",
                          name);
}

static dv_result read_kind_of(const dv_yaml *map, dv_action *action, bool *ret_detect,
                              dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "action");
    return node == NULL ? dv_yaml_refuse(map, error, "action is missing: {action: mask}")
                        : read_kind(node, action, ret_detect, error);
}

dv_result dv_action_order_read(const dv_yaml *node, dv_date_order *ret_order, dv_error *error)
{
    const char *name = NULL;
    DV_TRY(dv_yaml_string(node, &name, error));
    if (strcmp(name, "mdy") != 0 && strcmp(name, "dmy") != 0) {
        return dv_yaml_refuse(node, error, "date_order is dmy or mdy, not '%s'", name);
    }
    *ret_order = name[0] == 'm' ? DV_DATE_MDY : DV_DATE_DMY;
    return DV_OK;
}

static dv_result read_detail(const dv_yaml *node, dv_action *action, dv_error *error)
{
    const char *name = NULL;
    DV_TRY(dv_yaml_string(node, &name, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(detail_names); i++) {
        if (strcmp(name, detail_names[i]) == 0) {
            action->detail = (uint8_t)i;
            return DV_OK;
        }
    }
    return dv_yaml_refuse(node, error,
                          "'%s' is nothing to generalise to: year, month, age, band, zip, network, "
                          "domain",
                          name);
}

static dv_result read_fill(const dv_yaml *node, dv_action *action, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    if (strlen(text) != 1 || text[0] <= ' ' || strchr("'\"\\,;<>&", text[0]) != NULL) {
        return dv_yaml_refuse(node, error, "fill is one character, such as *, X or #");
    }
    action->fill = text[0];
    return DV_OK;
}

/* One number, in *ret where it is said. */
static dv_result read_count(const dv_yaml *map, const char *key, int64_t least, int64_t most,
                            int64_t *ret, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    return node == NULL ? DV_OK : dv_yaml_int(node, least, most, ret, error);
}

static dv_result read_numbers(const dv_yaml *map, dv_action *action, dv_error *error)
{
    int64_t first = 0, last = 0, length = 0, days = 0, width = 0;
    DV_TRY(read_count(map, "keep_first", 0, 32, &first, error));
    DV_TRY(read_count(map, "keep_last", 0, 32, &last, error));
    DV_TRY(read_count(map, "length", 8, 64, &length, error));
    DV_TRY(read_count(map, "days", 1, 36500, &days, error));
    DV_TRY(read_count(map, "width", 1, 1000000000, &width, error));
    action->keep_first = (uint8_t)first;
    action->keep_last = (uint8_t)last;
    action->keep_said =
        dv_yaml_get(map, "keep_first") != NULL || dv_yaml_get(map, "keep_last") != NULL;
    action->length = (uint8_t)length;
    action->days = (uint16_t)days;
    action->width = (uint32_t)width;
    return DV_OK;
}

static dv_result read_settings(const dv_yaml *map, dv_action *action, dv_error *error)
{
    const dv_yaml *node = NULL;
    DV_TRY(read_numbers(map, action, error));
    if ((node = dv_yaml_get(map, "luhn")) != NULL) {
        DV_TRY(dv_yaml_bool(node, &action->luhn, error));
    }
    if ((node = dv_yaml_get(map, "letters")) != NULL) {
        DV_TRY(dv_yaml_bool(node, &action->letters, error));
    }
    if ((node = dv_yaml_get(map, "sealed")) != NULL) {
        DV_TRY(dv_yaml_bool(node, &action->sealed, error));
    }
    if (action->sealed && action->kind != DV_ACT_TOKEN) {
        return dv_yaml_refuse(map, error, "sealed is for tokens: {action: token, sealed: true}");
    }
    if (action->luhn && action->letters) {
        return dv_yaml_refuse(map, error, "luhn is for digits: it can't go with letters");
    }
    if ((node = dv_yaml_get(map, "to")) != NULL) {
        DV_TRY(read_detail(node, action, error));
    }
    if ((node = dv_yaml_get(map, "fill")) != NULL) {
        DV_TRY(read_fill(node, action, error));
    }
    if ((node = dv_yaml_get(map, "date_order")) != NULL) {
        dv_date_order order;
        DV_TRY(dv_action_order_read(node, &order, error));
        action->order = (uint8_t)order;
    }
    return DV_OK;
}

static const char *const action_keys[] = {
    "action", "keep_first", "keep_last", "luhn",       "letters", "length", "to",
    "width",  "days",       "fill",      "date_order", "sealed",  NULL};

dv_result dv_action_read(const dv_yaml *node, dv_date_order order, dv_action *ret_action,
                         dv_error *error)
{
    dv_action action = {.order = (uint8_t)order};
    if (node->type != DV_YAML_MAP) {
        DV_TRY(read_kind(node, &action, NULL, error));
    } else {
        DV_TRY(dv_yaml_check_keys(node, action_keys, error));
        DV_TRY(read_kind_of(node, &action, NULL, error));
        DV_TRY(read_settings(node, &action, error));
    }
    *ret_action = action;
    return DV_OK;
}

/* -- columns ----------------------------------------------------------------------------------- */

static dv_result read_column_map(const dv_yaml *node, dv_column_rule *rule, dv_error *error)
{
    static const char *const keys[] = {
        "action", "keep_first", "keep_last",  "luhn",   "letters", "length", "to",       "width",
        "days",   "fill",       "date_order", "sealed", "subject", "type",   "optional", NULL};
    const dv_yaml *value = NULL;
    DV_TRY(dv_yaml_check_keys(node, keys, error));
    DV_TRY(read_kind_of(node, &rule->action, &rule->detect, error));
    DV_TRY(read_settings(node, &rule->action, error));
    if ((value = dv_yaml_get(node, "subject")) != NULL) {
        DV_TRY(dv_yaml_string(value, &rule->subject, error));
    }
    if ((value = dv_yaml_get(node, "optional")) != NULL) {
        DV_TRY(dv_yaml_bool(value, &rule->optional, error));
    }
    if ((value = dv_yaml_get(node, "type")) != NULL) {
        const char *type = NULL;
        DV_TRY(dv_yaml_string(value, &type, error));
        ptrdiff_t index = dv_detect_index(type);
        if (index < 0) {
            return dv_yaml_refuse(value, error,
                                  "no detector is called '%s': see `dvara data detectors`", type);
        }
        rule->label = dv_detect_info((size_t)index)->label;
    }
    return DV_OK;
}

static dv_result read_columns(const dv_yaml *map, dv_action_rules *rules, dv_arena *arena,
                              dv_error *error)
{
    size_t room = 0;
    if (map->type != DV_YAML_MAP) {
        return dv_yaml_refuse(map, error, "columns is a map of names and actions");
    }
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        if (rules->column_count == DV_COLUMNS_MAX) {
            return dv_yaml_refuse(node, error, "more than %d columns are named", DV_COLUMNS_MAX);
        }
        if (rules->column_count == room) {
            rules->columns = dv_arena_grow(arena, rules->columns, rules->column_count, &room,
                                           sizeof(*rules->columns), 16);
            if (rules->columns == NULL) {
                return DV_ERR_NO_MEMORY;
            }
        }
        dv_column_rule rule = {.name = node->key, .action = {.order = (uint8_t)rules->order}};
        DV_TRY(node->type == DV_YAML_MAP ? read_column_map(node, &rule, error)
                                         : read_kind(node, &rule.action, &rule.detect, error));
        rules->columns[rules->column_count++] = rule;
    }
    return DV_OK;
}

/* -- the file ---------------------------------------------------------------------------------- */

static bool is_category(const char *name)
{
    for (size_t i = 0; i < dv_detect_count(); i++) {
        if (strcmp(dv_detect_info(i)->category, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_detector(const char *name)
{
    return dv_detect_index(name) >= 0;
}

static bool is_name_type(const char *name)
{
    static const char *const types[] = {"PERSON",    "LOCATION", "ORGANIZATION", "STREET_ADDRESS",
                                        "DATE_TIME", "AGE",      "NRP",          "TITLE"};
    for (size_t i = 0; i < DV_ARRAY_LEN(types); i++) {
        if (strcmp(types[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result read_map(const dv_yaml *root, const char *key, bool (*known)(const char *),
                          dv_date_order order, dv_arena *arena, dv_named_action **ret_list,
                          size_t *ret_count, dv_error *error)
{
    const dv_yaml *map = dv_yaml_get(root, key);
    size_t room = 0;
    if (map == NULL || map->type == DV_YAML_NULL) {
        return DV_OK;
    }
    if (map->type != DV_YAML_MAP) {
        return dv_yaml_refuse(map, error, "%s is a map of names and actions", key);
    }
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        if (!known(node->key)) {
            return dv_yaml_refuse(node, error, "%s: there is none called '%s'", key, node->key);
        }
        if (*ret_count == room) {
            *ret_list = dv_arena_grow(arena, *ret_list, *ret_count, &room, sizeof(**ret_list), 16);
            if (*ret_list == NULL) {
                return DV_ERR_NO_MEMORY;
            }
        }
        dv_named_action named = {.name = node->key};
        DV_TRY(dv_action_read(node, order, &named.action, error));
        (*ret_list)[(*ret_count)++] = named;
    }
    return DV_OK;
}

static dv_result read_file(const dv_yaml *root, dv_action_rules *rules, dv_arena *arena,
                           dv_error *error)
{
    static const char *const keys[] = {"default", "date_order", "categories", "detectors",
                                       "names",   "columns",    NULL};
    dv_date_order order = DV_DATE_DMY;
    const dv_yaml *node = NULL;
    DV_TRY(dv_yaml_check_keys(root, keys, error));
    if ((node = dv_yaml_get(root, "date_order")) != NULL) {
        DV_TRY(dv_action_order_read(node, &order, error));
        rules->order = order;
        rules->fallback.order = (uint8_t)order;
    }
    if ((node = dv_yaml_get(root, "default")) != NULL) {
        DV_TRY(dv_action_read(node, rules->order, &rules->fallback, error));
    }
    DV_TRY(read_map(root, "categories", is_category, rules->order, arena, &rules->categories,
                    &rules->category_count, error));
    DV_TRY(read_map(root, "detectors", is_detector, rules->order, arena, &rules->detectors,
                    &rules->detector_count, error));
    DV_TRY(read_map(root, "names", is_name_type, rules->order, arena, &rules->names,
                    &rules->name_count, error));
    node = dv_yaml_get(root, "columns");
    return node == NULL || node->type == DV_YAML_NULL ? DV_OK
                                                      : read_columns(node, rules, arena, error);
}

dv_result dv_action_rules_read(const dv_yaml *root, const dv_action *fallback, dv_arena *arena,
                               dv_action_rules **ret_rules, dv_error *error)
{
    dv_action_rules *rules = dv_arena_alloc(arena, sizeof(*rules));
    if (rules == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    rules->fallback = *fallback;
    if (root != NULL) {
        DV_TRY(read_file(root, rules, arena, error));
    }
    *ret_rules = rules;
    return DV_OK;
}

/* -- asking ------------------------------------------------------------------------------------ */

static const dv_action *named(const dv_named_action *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i].action;
        }
    }
    return NULL;
}

static const dv_action *for_detector(const dv_action_rules *rules, const dv_detector_info *info)
{
    const dv_action *action = named(rules->detectors, rules->detector_count, info->id);
    if (action == NULL) {
        action = named(rules->categories, rules->category_count, info->category);
    }
    return action == NULL ? &rules->fallback : action;
}

const dv_action *dv_action_rules_for(const dv_action_rules *rules, const dv_finding *finding)
{
    ptrdiff_t index = dv_detect_index(finding->detector);
    if (index < 0) {
        const dv_action *action = named(rules->names, rules->name_count, finding->detector);
        return action == NULL ? &rules->fallback : action;
    }
    const dv_action *action = for_detector(rules, dv_detect_info((size_t)index));
    for (size_t i = 0; action->kind == DV_ACT_KEEP && i < dv_detect_count(); i++) {
        if (dv_detector_set_has(&finding->detectors, i)) { /* another value is within */
            action = for_detector(rules, dv_detect_info(i));
        }
    }
    return action;
}

void dv_action_rules_enable(const dv_action_rules *rules, bool all, dv_detector_set *ret_set)
{
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const dv_detector_info *info = dv_detect_info(i);
        bool said = named(rules->detectors, rules->detector_count, info->id) != NULL;
        if ((all || info->standard || said) && for_detector(rules, info)->kind != DV_ACT_KEEP) {
            dv_detector_set_add(ret_set, i);
        }
    }
}

dv_column_rule *dv_action_rules_column(const dv_action_rules *rules, dv_slice table,
                                       dv_slice column)
{
    dv_column_rule *found = NULL;
    for (size_t i = 0; i < rules->column_count; i++) {
        dv_column_rule *rule = &rules->columns[i];
        dv_slice name = dv_slice_str(rule->name);
        dv_slice before = dv_slice_sub(name, 0, table.len);
        if (table.len > 0 && name.len == table.len + 1 + column.len &&
            dv_slice_eq_nocase(before, table) && name.ptr[table.len] == '.' &&
            dv_slice_eq_nocase(dv_slice_sub(name, table.len + 1, SIZE_MAX), column)) {
            rule->seen = true;
            return rule;
        }
        if (dv_slice_eq_nocase(name, column)) {
            found = rule;
        }
    }
    if (found != NULL) {
        found->seen = true;
    }
    return found;
}

const char *dv_action_rules_unseen(const dv_action_rules *rules)
{
    for (size_t i = 0; i < rules->column_count; i++) {
        if (!rules->columns[i].seen && !rules->columns[i].optional) {
            return rules->columns[i].name;
        }
    }
    return NULL;
}

static bool any(const dv_action_rules *rules, bool (*is)(const dv_action *action))
{
    const dv_named_action *const lists[] = {rules->detectors, rules->categories, rules->names};
    const size_t counts[] = {rules->detector_count, rules->category_count, rules->name_count};
    bool found = is(&rules->fallback);
    for (size_t l = 0; l < DV_ARRAY_LEN(lists); l++) {
        for (size_t i = 0; i < counts[l]; i++) {
            found = found || is(&lists[l][i].action);
        }
    }
    for (size_t i = 0; i < rules->column_count; i++) {
        found = found || is(&rules->columns[i].action);
    }
    return found;
}

static bool needs_key(const dv_action *action)
{
    return dv_action_needs_key((dv_action_kind)action->kind);
}

static bool needs_vault(const dv_action *action)
{
    return action->kind == DV_ACT_TOKEN && !action->sealed;
}

bool dv_action_rules_need_key(const dv_action_rules *rules)
{
    return any(rules, needs_key);
}

bool dv_action_rules_need_vault(const dv_action_rules *rules)
{
    return any(rules, needs_vault);
}
