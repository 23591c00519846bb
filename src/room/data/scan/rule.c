/* SPDX-License-Identifier: Apache-2.0 */
/* Reading rules of classification. What a rule names must be there: a typing error would leave data
 * without its label, and nothing would show it. */
#include "room/data/scan/classify.h"

static const char *const level_names[DV_DATA_LEVELS] = {
    [DV_DATA_PUBLIC] = "public",
    [DV_DATA_INTERNAL] = "internal",
    [DV_DATA_CONFIDENTIAL] = "confidential",
    [DV_DATA_RESTRICTED] = "restricted",
};

const char *dv_data_level_name(dv_data_level level)
{
    return level_names[level];
}

dv_result dv_data_level_parse(const char *name, dv_data_level *ret_level)
{
    for (size_t i = 0; i < DV_DATA_LEVELS; i++) {
        if (strcmp(level_names[i], name) == 0) {
            *ret_level = (dv_data_level)i;
            return DV_OK;
        }
    }
    return DV_ERR_NOT_FOUND;
}

/* ---- pieces ---- */

static dv_result read_text(const dv_yaml *map, const char *key, const char **ret_text,
                           dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    return node == NULL ? dv_yaml_refuse(map, error, "a rule needs '%s'", key)
                        : dv_yaml_string(node, ret_text, error);
}

static dv_result read_words(const dv_yaml *rule, const char *key, dv_data_words *words,
                            dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(rule, key);
    if (list != NULL && list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "'%s' wants a list of words", key);
    }
    for (const dv_yaml *word = list == NULL ? NULL : list->first; word != NULL; word = word->next) {
        if (words->count == DV_DATA_WORDS_MAX) {
            return dv_yaml_refuse(word, error, "'%s' has more than %d words", key,
                                  DV_DATA_WORDS_MAX);
        }
        DV_TRY(dv_yaml_string(word, &words->items[words->count], error));
        if (words->items[words->count][0] == '\0') {
            return dv_yaml_refuse(word, error, "'%s' has an empty word", key);
        }
        words->count++;
    }
    return DV_OK;
}

static dv_result read_level(const dv_yaml *map, dv_data_level *ret_level, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "sensitivity");
    const char *name = NULL;
    DV_TRY(read_text(map, "sensitivity", &name, error));
    return dv_data_level_parse(name, ret_level) == DV_OK
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "'sensitivity' is public, internal, confidential or restricted");
}

static dv_result read_number(const dv_yaml *map, const char *key, int64_t max, int64_t *value,
                             dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    return node == NULL ? DV_OK : dv_yaml_int(node, 0, max, value, error);
}

/* Lower-case words that others can quote: ids, categories, labels. */
static dv_result check_word(const dv_yaml *rule, const char *what, const char *word,
                            dv_error *error)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t good = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return good > 0 && strchr(first, word[0]) != NULL && good <= 64 && word[good] == '\0'
               ? DV_OK
               : dv_yaml_refuse(rule, error, "'%s' wants words of small letters, digits, _ and -",
                                what);
}

/* ---- which values ---- */

static dv_result set_kinds(const dv_yaml *rule, const char *key, bool value, bool *kinds,
                           dv_error *error)
{
    dv_data_words words = {.count = 0};
    DV_TRY(read_words(rule, key, &words, error));
    for (size_t i = 0; i < words.count; i++) {
        ptrdiff_t kind = dv_data_kind_find(words.items[i]);
        if (kind < 0) {
            return dv_yaml_refuse(dv_yaml_get(rule, key), error,
                                  "no detector is called '%.64s': see `dvara data detectors`",
                                  words.items[i]);
        }
        kinds[kind] = value;
    }
    return DV_OK;
}

static dv_result set_categories(const dv_yaml *rule, bool *kinds, dv_error *error)
{
    dv_data_words words = {.count = 0};
    DV_TRY(read_words(rule, "find_categories", &words, error));
    for (size_t i = 0; i < words.count; i++) {
        size_t found = 0;
        for (size_t kind = 0; kind < dv_data_kind_count(); kind++) {
            if (strcmp(dv_data_kind_category(kind), words.items[i]) == 0) {
                kinds[kind] = true;
                found++;
            }
        }
        if (found == 0) {
            return dv_yaml_refuse(dv_yaml_get(rule, "find_categories"), error,
                                  "no detector has the category '%.64s'", words.items[i]);
        }
    }
    return DV_OK;
}

static dv_result read_kinds(const dv_yaml *rule, dv_arena *arena, bool **ret_kinds, dv_error *error)
{
    bool *kinds = dv_arena_alloc(arena, dv_data_kind_count() * sizeof(*kinds));
    if (kinds == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(set_kinds(rule, "find", true, kinds, error));
    DV_TRY(set_categories(rule, kinds, error));
    DV_TRY(set_kinds(rule, "except", false, kinds, error));
    *ret_kinds = kinds;
    return DV_OK;
}

/* ---- one rule ---- */

static dv_result read_numbers(const dv_yaml *node, dv_data_rule *rule, dv_error *error)
{
    static const char *const many_keys[] = {"values", "sensitivity", NULL};
    const dv_yaml *many = dv_yaml_get(node, "many");
    int64_t score = 50, least = 1, values = 0;
    DV_TRY(read_number(node, "score", 100, &score, error));
    DV_TRY(read_number(node, "least", INT32_MAX, &least, error));
    rule->score = (uint8_t)score;
    rule->least = (uint64_t)DV_MAX(least, 1);
    if (many == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(many, many_keys, error));
    DV_TRY(read_number(many, "values", INT32_MAX, &values, error));
    if (values == 0) {
        return dv_yaml_refuse(many, error, "'many' needs 'values', 1 or more");
    }
    rule->many = (uint64_t)values;
    return read_level(many, &rule->level, error);
}

static dv_result read_rule(const dv_yaml *node, dv_arena *arena, dv_data_rule *rule,
                           dv_error *error)
{
    static const char *const keys[] = {"id",    "doc",    "category", "labels", "sensitivity",
                                       "find",  "except", "columns",  "score",  "find_categories",
                                       "least", "many",   NULL};
    DV_TRY(dv_yaml_check_keys(node, keys, error));
    DV_TRY(read_text(node, "id", &rule->id, error));
    DV_TRY(check_word(node, "id", rule->id, error));
    DV_TRY(read_text(node, "doc", &rule->doc, error));
    DV_TRY(read_text(node, "category", &rule->category, error));
    DV_TRY(check_word(node, "category", rule->category, error));
    DV_TRY(read_words(node, "labels", &rule->labels, error));
    for (size_t i = 0; i < rule->labels.count; i++) {
        DV_TRY(check_word(node, "labels", rule->labels.items[i], error));
    }
    DV_TRY(read_words(node, "columns", &rule->columns, error));
    DV_TRY(read_level(node, &rule->sensitivity, error));
    DV_TRY(read_kinds(node, arena, &rule->kinds, error));
    return read_numbers(node, rule, error);
}

static dv_result add_rule(dv_data_rules *rules, const dv_yaml *node, dv_arena *arena,
                          dv_error *error)
{
    dv_data_rule *rule = dv_arena_alloc(arena, sizeof(*rule));
    if (rule == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_rule(node, arena, rule, error));
    for (size_t i = 0; i < rules->count; i++) {
        if (strcmp(rules->items[i]->id, rule->id) == 0) {
            rules->items[i] = rule;
            return DV_OK;
        }
    }
    if (rules->count == DV_DATA_RULES_MAX) {
        return dv_yaml_refuse(node, error, "there are more than %d rules", DV_DATA_RULES_MAX);
    }
    rules->items[rules->count++] = rule;
    return DV_OK;
}

dv_result dv_data_rules_add(dv_data_rules *rules, dv_slice yaml, dv_arena *arena, dv_error *error)
{
    const dv_yaml *root = NULL;
    DV_TRY(dv_yaml_parse(yaml, arena, &root, error));
    if (root->type != DV_YAML_LIST) {
        return add_rule(rules, root, arena, error);
    }
    for (const dv_yaml *node = root->first; node != NULL; node = node->next) {
        DV_TRY(add_rule(rules, node, arena, error));
    }
    return DV_OK;
}

dv_result dv_data_rules_builtin(dv_data_rules *rules, dv_arena *arena, dv_error *error)
{
    for (size_t i = 0; i < DV_DATA_RULE_FILE_COUNT; i++) {
        DV_TRY(dv_data_rules_add(rules, dv_slice_str(DV_DATA_RULE_FILES[i].text), arena, error));
    }
    return DV_OK;
}
