/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/disposal/rules.h"

#include "base/caps.h"
#include "base/nearest.h"
#include "room/data/control/inventory.h"
#include "room/data/scan/classify.h"

enum { RULES_MEMORY = 4 << 20, KNOWN_MAX = 512, WORD_MAX = 64, SOURCE_MAX = 4096, COLUMN_MAX = 63 };
enum { KEPT_MAX = 2 * DV_LIMIT_DATA_RULES /* rules and holds */ };

static const dv_time a_day = 86400 * DV_SECOND;
static const int keep_days_max = 36500;
static const int approval_days = 7, approval_days_max = 90;

/* Words that rules may name. */
typedef struct known_words {
    const char *items[KNOWN_MAX];
    size_t count;
} known_words;

struct dv_disposal_rules {
    dv_arena *arena;
    known_words labels;
    known_words categories;
    dv_disposal_rule *rules;
    size_t rule_count;
    dv_disposal_hold *holds;
    size_t hold_count;
    dv_kept_rules kept;
    bool names_hidden;
    int64_t approvals; /* of a rule that does not say */
    dv_time approval_lasts;
};

static dv_result rules_init(dv_disposal_rules *out)
{
    *out = (dv_disposal_rules){.arena = dv_arena_new(RULES_MEMORY),
                               .approval_lasts = approval_days * a_day};
    if (out->arena != NULL) {
        out->rules = dv_arena_alloc(out->arena, DV_LIMIT_DATA_RULES * sizeof(*out->rules));
        out->holds = dv_arena_alloc(out->arena, DV_LIMIT_DATA_RULES * sizeof(*out->holds));
        out->kept.items = dv_arena_alloc(out->arena, KEPT_MAX * sizeof(*out->kept.items));
    }
    if (out->rules == NULL || out->holds == NULL || out->kept.items == NULL) {
        dv_arena_free(out->arena);
        return DV_ERR_NO_MEMORY;
    }
    return DV_OK;
}

dv_result dv_disposal_rules_new(dv_disposal_rules **ret_rules)
{
    dv_disposal_rules *rules = calloc(1, sizeof(*rules));
    dv_result result = rules == NULL ? DV_ERR_NO_MEMORY : rules_init(rules);
    if (result != DV_OK) {
        free(rules);
        return result;
    }
    *ret_rules = rules;
    return DV_OK;
}

void dv_disposal_rules_free(dv_disposal_rules *rules)
{
    if (rules != NULL) {
        dv_arena_free(rules->arena);
        free(rules);
    }
}

/* --- the words that there are ---------------------------------------------------------------- */

static bool is_known(const known_words *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++) {
        if (strcmp(words->items[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result know(dv_arena *arena, known_words *words, const char *word)
{
    if (is_known(words, word)) {
        return DV_OK;
    }
    const char *copy = dv_arena_printf(arena, "%s", word);
    if (copy == NULL || words->count == KNOWN_MAX) {
        return copy == NULL ? DV_ERR_NO_MEMORY : DV_ERR_TOO_LARGE;
    }
    words->items[words->count++] = copy;
    return DV_OK;
}

/* What one built-in rule of classification calls what it finds. */
static dv_result know_file(dv_disposal_rules *rules, const dv_data_rule_file *file, dv_error *error)
{
    const dv_yaml *root = NULL;
    const char *word = NULL;
    DV_TRY(dv_yaml_parse(dv_slice_str(file->text), rules->arena, &root, error));
    DV_TRY(dv_yaml_string(dv_yaml_get(root, "category"), &word, error));
    DV_TRY(know(rules->arena, &rules->categories, word));
    const dv_yaml *labels = dv_yaml_get(root, "labels");
    for (const dv_yaml *one = labels == NULL ? NULL : labels->first; one != NULL; one = one->next) {
        DV_TRY(dv_yaml_string(one, &word, error));
        DV_TRY(know(rules->arena, &rules->labels, word));
    }
    return DV_OK;
}

static dv_result word_read(const dv_yaml *node, const char **ret_word, dv_error *error)
{
    DV_TRY(dv_yaml_string(node, ret_word, error));
    size_t good = strspn(*ret_word, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return good > 0 && good <= WORD_MAX && (*ret_word)[good] == '\0'
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "data_retention: \"%.64s\" is no word of small letters, digits, _ "
                                "and -",
                                *ret_word);
}

static dv_result own_read(dv_arena *arena, const dv_yaml *list, known_words *words, dv_error *error)
{
    const char *word = NULL;
    if (list != NULL && list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "data_retention: words are lists");
    }
    for (const dv_yaml *one = list == NULL ? NULL : list->first; one != NULL; one = one->next) {
        DV_TRY(word_read(one, &word, error));
        dv_result result = know(arena, words, word);
        if (result == DV_ERR_TOO_LARGE) {
            return dv_yaml_refuse(one, error, "data_retention: more than %d words", KNOWN_MAX);
        }
        DV_TRY(result);
    }
    return DV_OK;
}

static dv_result words_known(dv_disposal_rules *rules, const dv_yaml *own, dv_error *error)
{
    static const char *const keys[] = {"labels", "categories", NULL};
    for (size_t i = 0; i < DV_DATA_RULE_FILE_COUNT; i++) {
        DV_TRY(know_file(rules, &DV_DATA_RULE_FILES[i], error));
    }
    if (own == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(own, keys, error));
    DV_TRY(own_read(rules->arena, dv_yaml_get(own, "labels"), &rules->labels, error));
    return own_read(rules->arena, dv_yaml_get(own, "categories"), &rules->categories, error);
}

static const char *known_name(const void *data, size_t index)
{
    return ((const known_words *)data)->items[index];
}

/* --- what a rule or hold is for -------------------------------------------------------------- */

/* The items of a list, each of which check() refuses or not. */
dv_result dv_disposal_list_read(const dv_yaml *map, const char *key, const dv_yaml **ret_first,
                                dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(map, key);
    size_t count = 0;
    *ret_first = NULL;
    if (list == NULL) {
        return DV_OK;
    }
    if (list->type != DV_YAML_LIST || list->first == NULL) {
        return dv_yaml_refuse(list, error, "data_retention: %s is a list that is not empty", key);
    }
    for (const dv_yaml *one = list->first; one != NULL; one = one->next) {
        if (++count > DV_DISPOSAL_WORDS) {
            return dv_yaml_refuse(one, error, "data_retention: %s has more than %d", key,
                                  DV_DISPOSAL_WORDS);
        }
    }
    *ret_first = list->first;
    return DV_OK;
}

static dv_result keep_text(dv_arena *arena, const char *text, dv_disposal_words *words)
{
    words->items[words->count] = dv_arena_printf(arena, "%s", text);
    return words->items[words->count] != NULL ? (words->count++, DV_OK) : DV_ERR_NO_MEMORY;
}

static dv_result words_read(dv_arena *arena, const dv_yaml *map, const char *key,
                            const known_words *known, dv_disposal_words *words, dv_error *error)
{
    const dv_yaml *one = NULL;
    const char *word = NULL;
    DV_TRY(dv_disposal_list_read(map, key, &one, error));
    for (; one != NULL; one = one->next) {
        DV_TRY(word_read(one, &word, error));
        if (!is_known(known, word)) {
            const char *near = dv_nearest(word, known->count, known_name, known);
            return dv_yaml_refuse(one, error,
                                  "data_retention: nothing is called %s under %s%s%s%s; your own "
                                  "words stand under words: {%s: [...]}",
                                  word, key, near != NULL ? "; did you mean " : "",
                                  near != NULL ? near : "", near != NULL ? "?" : "", key);
        }
        DV_TRY(keep_text(arena, word, words));
    }
    return DV_OK;
}

/* Whether a place in a database is called as scans call it, with its port and without an account:
 * else a hold would keep nothing. Hosts may be addresses with colons, and folders of sockets. */
static bool is_place(const char *text)
{
    if (strncmp(text, "postgres://", 11) == 0) {
        return false;
    }
    if (strncmp(text, "postgresql://", 13) != 0) {
        return true;
    }
    for (const char *at = text + 13; *at != '\0' && *at != '@' && *at != '?'; at++) {
        size_t port =
            *at == ':' ? strspn(at + 1, "0123456789,") : 0; /* of several hosts: several */
        if (port > 0 && (at[1 + port] == '/' || at[1 + port] == '\0')) {
            return true;
        }
    }
    return false;
}

static dv_result sources_read(dv_arena *arena, const dv_yaml *map, dv_disposal_words *words,
                              dv_error *error)
{
    const dv_yaml *one = NULL;
    const char *text = NULL;
    DV_TRY(dv_disposal_list_read(map, "sources", &one, error));
    for (; one != NULL; one = one->next) {
        DV_TRY(dv_yaml_string(one, &text, error));
        size_t len = strlen(text);
        if (len == 0 || len > SOURCE_MAX || text[len - 1] == '/' || text[0] == '/') {
            return dv_yaml_refuse(one, error,
                                  "data_retention: a source is what `dvara data scans` calls it "
                                  "(file://host/srv/share), or a folder or file below one, without "
                                  "a / at its end");
        }
        if (!is_place(text)) {
            return dv_yaml_refuse(
                one, error,
                "data_retention: a database is called as `dvara data scans` calls "
                "it, with its port and without an account: "
                "postgresql://host:5432/database, with /schema.table behind it "
                "for a table");
        }
        DV_TRY(keep_text(arena, text, words));
    }
    return DV_OK;
}

static dv_result scope_read(dv_disposal_rules *rules, const dv_yaml *map, dv_disposal_scope *scope,
                            dv_error *error)
{
    const dv_yaml *level = dv_yaml_get(map, "sensitivity");
    const char *name = NULL;
    DV_TRY(words_read(rules->arena, map, "labels", &rules->labels, &scope->labels, error));
    DV_TRY(
        words_read(rules->arena, map, "categories", &rules->categories, &scope->categories, error));
    DV_TRY(sources_read(rules->arena, map, &scope->sources, error));
    DV_TRY(level == NULL ? DV_OK : dv_yaml_string(level, &name, error));
    scope->level = dv_data_level_number(name);
    return level == NULL || scope->level >= 0
               ? DV_OK
               : dv_yaml_refuse(level, error,
                                "data_retention: sensitivity is public, internal, confidential or "
                                "restricted");
}

dv_result dv_disposal_name_read(dv_arena *arena, const dv_yaml *map, const char **ret_name,
                                dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "name");
    const char *word = NULL;
    if (node == NULL) {
        return dv_yaml_refuse(map, error, "data_retention: each rule and hold needs a name");
    }
    DV_TRY(word_read(node, &word, error));
    *ret_name = dv_arena_printf(arena, "%s", word);
    return *ret_name != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* --- rules and holds ------------------------------------------------------------------------- */

/* "2y"; other durations are read as everywhere. A year counts 366 days: two of them are not shorter
 * than two of the calendar. */
static bool years_read(const char *text, dv_time *ret_keep)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || strcmp(text + digits, "y") != 0) {
        return false;
    }
    *ret_keep = strtol(text, NULL, 10) * 366 * a_day;
    return true;
}

dv_result dv_disposal_keep_read(dv_arena *arena, const dv_yaml *map, const char **ret_kept,
                                dv_time *ret_keep, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "keep");
    const char *text = NULL;
    if (node == NULL) {
        return dv_yaml_refuse(map, error, "data_retention: a rule says how long: keep");
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    *ret_kept = dv_arena_printf(arena, "%s", text);
    *ret_keep = DV_TIME_NEVER;
    if (*ret_kept == NULL || strcmp(text, "forever") == 0) {
        return *ret_kept == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    }
    DV_TRY(years_read(text, ret_keep) ? DV_OK : dv_yaml_duration(node, ret_keep, error));
    return *ret_keep >= a_day && *ret_keep <= keep_days_max * a_day
               ? DV_OK
               : dv_yaml_refuse(node, error, "data_retention: keep is from 1d to %dd, or forever",
                                keep_days_max);
}

static dv_result since_read(const dv_yaml *map, bool *ret_seen, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "since");
    const char *text = "changed";
    DV_TRY(node == NULL ? DV_OK : dv_yaml_string(node, &text, error));
    *ret_seen = strcmp(text, "seen") == 0;
    return *ret_seen || strcmp(text, "changed") == 0
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "data_retention: since is changed (when the file was written "
                                "last) or seen (when a scan saw it first, if that is later)");
}

static dv_result kind_read(const dv_yaml *map, bool *ret_tables, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "of");
    const char *text = dv_yaml_get(map, "column") != NULL ? "tables" : "files";
    DV_TRY(node == NULL ? DV_OK : dv_yaml_string(node, &text, error));
    *ret_tables = strcmp(text, "tables") == 0;
    return *ret_tables || strcmp(text, "files") == 0
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "data_retention: rules are of files or of tables; events of the "
                                "log have audit: retention");
}

/* As the database calls it, with its capitals. */
static dv_result column_read(dv_arena *arena, const dv_yaml *map, dv_disposal_rule *rule,
                             dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "column");
    const char *text = NULL;
    if (node == NULL) {
        return !rule->tables || rule->keep == DV_TIME_NEVER
                   ? DV_OK
                   : dv_yaml_refuse(map, error,
                                    "data_retention: a rule of tables names the column that tells "
                                    "a row's age: column");
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        len = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? 0 : len;
    }
    if (!rule->tables || len == 0 || len > COLUMN_MAX) {
        return dv_yaml_refuse(node, error,
                              "data_retention: column is the name of a column, for rules of "
                              "tables, in at most %d bytes",
                              COLUMN_MAX);
    }
    rule->column = dv_arena_printf(arena, "%s", text);
    return rule->column != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result since_check(const dv_yaml *map, const dv_disposal_rule *rule, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "since");
    return node == NULL || !rule->tables
               ? DV_OK
               : dv_yaml_refuse(node, error,
                                "data_retention: since is for files; a row is as old as its "
                                "column says");
}

static dv_result flag_read(const dv_yaml *map, const char *key, bool *flag, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    return node == NULL ? DV_OK : dv_yaml_bool(node, flag, error);
}

/* Absent: as it was. */
static dv_result approvals_read(const dv_yaml *map, int64_t *approvals, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "approvals");
    return node == NULL ? DV_OK : dv_yaml_int(node, 0, DV_LIMIT_DATA_APPROVALS, approvals, error);
}

static dv_result approval_lasts_read(const dv_yaml *map, dv_time *lasts, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "approval_lasts");
    dv_time read = 0;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_duration(node, &read, error));
    if (read < DV_SECOND || read > approval_days_max * a_day) {
        return dv_yaml_refuse(node, error, "data_retention: approval_lasts is from 1s to %dd",
                              approval_days_max);
    }
    *lasts = read;
    return DV_OK;
}

static dv_result name_unused(const dv_disposal_rules *rules, const dv_yaml *map, const char *name,
                             dv_error *error)
{
    bool used = false;
    for (size_t i = 0; i < rules->rule_count; i++) {
        used = used || strcmp(rules->rules[i].name, name) == 0;
    }
    for (size_t i = 0; i < rules->kept.count; i++) {
        used = used || (!rules->kept.items[i].hold && strcmp(rules->kept.items[i].name, name) == 0);
    }
    return used ? dv_yaml_refuse(map, error, "data_retention: two rules are called %s", name)
                : DV_OK;
}

/* Nobody can be asked about vaults and cases: what wants approvals is refused, not passed over. */
static dv_result no_approvals(const dv_disposal_rules *rules, const dv_yaml *map, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "approvals");
    int64_t approvals = rules->approvals;
    DV_TRY(approvals_read(map, &approvals, error));
    if (approvals == 0) {
        return DV_OK;
    }
    return node != NULL
               ? dv_yaml_refuse(node, error,
                                "data_retention: approvals are for files and tables; entries of "
                                "vaults and cases go without: approvals: 0")
               : dv_yaml_refuse(map, error,
                                "data_retention: approvals: %lld is for files and tables; a rule "
                                "of vaults or cases says that it goes without: approvals: 0",
                                (long long)approvals);
}

/* Of vaults or cases. */
static dv_result kept_read(dv_disposal_rules *rules, const dv_yaml *map, bool hold, dv_error *error)
{
    const char *name = NULL;
    DV_TRY(hold ? DV_OK : no_approvals(rules, map, error));
    DV_TRY(dv_disposal_name_read(rules->arena, map, &name, error));
    DV_TRY(hold ? DV_OK : name_unused(rules, map, name, error));
    return dv_kept_read(&rules->kept, KEPT_MAX, rules->arena, map, hold, error);
}

static dv_result rule_read(dv_disposal_rules *rules, const dv_yaml *map, dv_error *error)
{
    static const char *const keys[] = {"name",      "of",     "labels",  "categories",  "sources",
                                       "keep",      "since",  "unowned", "sensitivity", "unread",
                                       "approvals", "column", NULL};
    if (dv_kept_is_one(map)) {
        return kept_read(rules, map, false, error);
    }
    if (rules->rule_count == DV_LIMIT_DATA_RULES) {
        return dv_yaml_refuse(map, error, "data_retention: more than %d rules",
                              DV_LIMIT_DATA_RULES);
    }
    dv_disposal_rule *rule = &rules->rules[rules->rule_count];
    *rule = (dv_disposal_rule){.approvals = rules->approvals};
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(dv_disposal_name_read(rules->arena, map, &rule->name, error));
    DV_TRY(name_unused(rules, map, rule->name, error));
    DV_TRY(kind_read(map, &rule->tables, error));
    DV_TRY(scope_read(rules, map, &rule->scope, error));
    if (rule->scope.labels.count + rule->scope.categories.count + rule->scope.sources.count == 0) {
        return dv_yaml_refuse(map, error,
                              "data_retention: a rule says what it is for: labels, categories or "
                              "sources; vaults; or cases");
    }
    DV_TRY(dv_disposal_keep_read(rules->arena, map, &rule->kept, &rule->keep, error));
    DV_TRY(column_read(rules->arena, map, rule, error));
    DV_TRY(since_check(map, rule, error));
    DV_TRY(since_read(map, &rule->seen, error));
    DV_TRY(flag_read(map, "unowned", &rule->unowned, error));
    DV_TRY(flag_read(map, "unread", &rule->unread, error));
    DV_TRY(approvals_read(map, &rule->approvals, error));
    rules->rule_count++;
    return DV_OK;
}

static dv_result hold_read(dv_disposal_rules *rules, const dv_yaml *map, dv_error *error)
{
    static const char *const keys[] = {"name",        "labels", "categories", "sources",
                                       "sensitivity", "reason", NULL};
    if (dv_kept_is_one(map)) {
        return kept_read(rules, map, true, error);
    }
    if (rules->hold_count == DV_LIMIT_DATA_RULES) {
        return dv_yaml_refuse(map, error, "data_retention: more than %d holds",
                              DV_LIMIT_DATA_RULES);
    }
    dv_disposal_hold *hold = &rules->holds[rules->hold_count];
    *hold = (dv_disposal_hold){.name = NULL};
    const char *reason = NULL;
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(dv_disposal_name_read(rules->arena, map, &hold->name, error));
    const dv_yaml *node = dv_yaml_get(map, "reason");
    DV_TRY(node == NULL ? DV_OK : dv_yaml_string(node, &reason, error));
    DV_TRY(scope_read(rules, map, &hold->scope, error));
    rules->hold_count++;
    return DV_OK;
}

static dv_result each(dv_disposal_rules *rules, const dv_yaml *section, const char *key,
                      dv_result (*read)(dv_disposal_rules *, const dv_yaml *, dv_error *),
                      dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(section, key);
    if (list != NULL && list->type != DV_YAML_LIST) {
        return dv_yaml_refuse(list, error, "data_retention: %s is a list", key);
    }
    for (const dv_yaml *one = list == NULL ? NULL : list->first; one != NULL; one = one->next) {
        DV_TRY(read(rules, one, error));
    }
    return DV_OK;
}

static dv_result certificates_read(const dv_yaml *map, bool *ret_hidden, dv_error *error)
{
    static const char *const keys[] = {"names", NULL};
    const char *text = "masked";
    if (map == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    const dv_yaml *names = dv_yaml_get(map, "names");
    DV_TRY(names == NULL ? DV_OK : dv_yaml_string(names, &text, error));
    *ret_hidden = strcmp(text, "hidden") == 0;
    return *ret_hidden || strcmp(text, "masked") == 0
               ? DV_OK
               : dv_yaml_refuse(names, error, "data_retention: names is masked or hidden");
}

static dv_result section_read(dv_disposal_rules *rules, const dv_yaml *section, dv_error *error)
{
    static const char *const keys[] = {"words",     "certificates",   "rules", "holds",
                                       "approvals", "approval_lasts", NULL};
    if (section == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_check_keys(section, keys, error));
    DV_TRY(words_known(rules, dv_yaml_get(section, "words"), error));
    DV_TRY(certificates_read(dv_yaml_get(section, "certificates"), &rules->names_hidden, error));
    DV_TRY(approvals_read(section, &rules->approvals, error));
    DV_TRY(approval_lasts_read(section, &rules->approval_lasts, error));
    DV_TRY(each(rules, section, "rules", rule_read, error));
    return each(rules, section, "holds", hold_read, error);
}

dv_result dv_disposal_rules_set(dv_disposal_rules *rules, const dv_yaml *section, dv_error *error)
{
    dv_disposal_rules wanted;
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

static bool any_word(const dv_disposal_words *wanted, dv_slice words)
{
    dv_slice word;
    while (words.len > 0 && dv_slice_split(&words, ',', &word)) {
        for (size_t i = 0; i < wanted->count; i++) {
            if (dv_slice_eq_str(word, wanted->items[i])) {
                return true;
            }
        }
    }
    return wanted->count == 0;
}

/* Whether the text is that place, or something below it. */
static bool is_below(dv_slice text, dv_slice place)
{
    return dv_slice_starts_with(text, place) &&
           (text.len == place.len || text.ptr[place.len] == '/');
}

/* Whether the file lies in the place: its source, a folder or file below that, or a folder above.
 */
static bool lies_in(const dv_disposal_file *file, dv_slice place)
{
    if (is_below(file->source, place)) {
        return true;
    }
    return is_below(place, file->source) &&
           is_below(file->name, dv_slice_sub(place, file->source.len + 1, place.len));
}

static bool any_source(const dv_disposal_words *wanted, const dv_disposal_file *file)
{
    for (size_t i = 0; i < wanted->count; i++) {
        if (lies_in(file, dv_slice_str(wanted->items[i]))) {
            return true;
        }
    }
    return wanted->count == 0;
}

static bool fits(const dv_disposal_scope *scope, const dv_disposal_file *file)
{
    return file->level >= scope->level && any_word(&scope->labels, file->labels) &&
           any_word(&scope->categories, file->categories) && any_source(&scope->sources, file);
}

static bool is_for(const dv_disposal_rule *rule, const dv_disposal_file *file)
{
    return rule->tables == file->table && fits(&rule->scope, file);
}

bool dv_disposal_columns_differ(const dv_disposal_rules *rules, const dv_disposal_file *table)
{
    const char *first = NULL;
    for (size_t i = 0; i < rules->rule_count; i++) {
        const dv_disposal_rule *rule = &rules->rules[i];
        if (rule->column == NULL || !is_for(rule, table)) {
            continue;
        }
        if (first != NULL && strcmp(first, rule->column) != 0) {
            return true;
        }
        first = rule->column;
    }
    return false;
}

dv_time dv_disposal_due(const dv_disposal_rule *rule, const dv_disposal_file *file)
{
    if (rule->tables) {
        return rule->keep;
    }
    dv_time from = rule->seen ? DV_MAX(file->changed, file->seen) : file->changed;
    return rule->keep > DV_TIME_NEVER - from ? DV_TIME_NEVER : from + rule->keep;
}

/* Whether the rule keeps the file longer than the other; of two that end together, whether it lets
 * less go. */
static bool keeps_longer(const dv_disposal_rule *rule, const dv_disposal_rule *other,
                         const dv_disposal_file *file)
{
    dv_time due = dv_disposal_due(rule, file), other_due = dv_disposal_due(other, file);
    return due != other_due ? due > other_due
                            : rule->unowned + rule->unread < other->unowned + other->unread;
}

const dv_disposal_rule *dv_disposal_rule_for(const dv_disposal_rules *rules,
                                             const dv_disposal_file *file)
{
    const dv_disposal_rule *longest = NULL;
    for (size_t i = 0; i < rules->rule_count; i++) {
        const dv_disposal_rule *rule = &rules->rules[i];
        if (is_for(rule, file) && (longest == NULL || keeps_longer(rule, longest, file))) {
            longest = rule;
        }
    }
    return longest;
}

int64_t dv_disposal_approvals_for(const dv_disposal_rules *rules, const dv_disposal_file *file)
{
    int64_t most = 0;
    for (size_t i = 0; i < rules->rule_count; i++) {
        const dv_disposal_rule *rule = &rules->rules[i];
        most = is_for(rule, file) ? DV_MAX(most, rule->approvals) : most;
    }
    return most;
}

const dv_disposal_hold *dv_disposal_hold_for(const dv_disposal_rules *rules,
                                             const dv_disposal_file *file)
{
    for (size_t i = 0; i < rules->hold_count; i++) {
        if (fits(&rules->holds[i].scope, file)) {
            return &rules->holds[i];
        }
    }
    return NULL;
}

size_t dv_disposal_rule_count(const dv_disposal_rules *rules)
{
    return rules->rule_count;
}

const dv_disposal_rule *dv_disposal_rule_at(const dv_disposal_rules *rules, size_t index)
{
    return &rules->rules[index];
}

dv_time dv_disposal_approval_lasts(const dv_disposal_rules *rules)
{
    return rules->approval_lasts;
}

const dv_kept_rules *dv_disposal_kept(const dv_disposal_rules *rules)
{
    return &rules->kept;
}

const char *dv_disposal_held(const dv_disposal_rules *rules, dv_kept_kind kind, const char *thing)
{
    const dv_kept_rule *hold = dv_kept_hold_for(&rules->kept, kind, thing);
    for (size_t i = 0; hold == NULL && i < rules->hold_count; i++) {
        const dv_disposal_scope *scope = &rules->holds[i].scope;
        if (scope->labels.count + scope->categories.count + scope->sources.count == 0 &&
            scope->level < 0) {
            return rules->holds[i].name;
        }
    }
    return hold != NULL ? hold->name : NULL;
}

bool dv_disposal_names_hidden(const dv_disposal_rules *rules)
{
    return rules->names_hidden;
}

static json_t *words_json(const dv_disposal_words *words)
{
    json_t *list = json_array();
    for (size_t i = 0; i < words->count; i++) {
        if (json_array_append_new(list, json_string(words->items[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *dv_disposal_rule_json(const dv_disposal_rule *rule)
{
    const dv_disposal_scope *scope = &rule->scope;
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:s?, s:s, s:s, s:b, s:b, s:I, s:s*}", "name", rule->name, "of",
        rule->tables ? "tables" : "files", "labels", words_json(&scope->labels), "categories",
        words_json(&scope->categories), "sources", words_json(&scope->sources), "sensitivity",
        scope->level < 0 ? NULL : dv_data_level_word(scope->level), "keep", rule->kept, "since",
        rule->seen ? "seen" : "changed", "unowned", (int)rule->unowned, "unread", (int)rule->unread,
        "approvals", (json_int_t)rule->approvals, "column", rule->column);
}

size_t dv_disposal_hold_count(const dv_disposal_rules *rules)
{
    return rules->hold_count;
}

const dv_disposal_hold *dv_disposal_hold_at(const dv_disposal_rules *rules, size_t index)
{
    return &rules->holds[index];
}

json_t *dv_disposal_hold_json(const dv_disposal_hold *hold)
{
    const dv_disposal_scope *scope = &hold->scope;
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:s?, s:s}", "name", hold->name, "of", "all",
                     "labels", words_json(&scope->labels), "categories",
                     words_json(&scope->categories), "sources", words_json(&scope->sources),
                     "sensitivity", scope->level < 0 ? NULL : dv_data_level_word(scope->level),
                     "keep", "hold");
}

/* --- the section ----------------------------------------------------------------------------- */

static dv_result check(const dv_yaml *section, dv_error *error)
{
    dv_disposal_rules *rules = NULL;
    DV_TRY(dv_disposal_rules_new(&rules));
    dv_result result = dv_disposal_rules_set(rules, section, error);
    dv_disposal_rules_free(rules);
    return result;
}

static dv_result apply(const dv_yaml *section, dv_services *services, dv_error *error)
{
    return services->disposal_rules == NULL
               ? DV_OK
               : dv_disposal_rules_set(services->disposal_rules, section, error);
}

const dv_config_section dv_data_config_retention = {"data_retention", check, apply};
