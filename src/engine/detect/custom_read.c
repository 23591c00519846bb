/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a user's detectors. */
#include "engine/detect/custom_private.h"

#include "base/buf.h"
#include "base/yaml.h"

enum {
    ID_MAX = 48,
    LABEL_MAX = 24, /* as of built-in ones */
    NAME_MAX_BYTES = 128,
    DISTANCE = 48,
    DISTANCE_MAX = 128, /* streams keep 160 bytes of what went out */
    SCORE = 80,
    WORDS_TEXT = 16 << 10,
};

static const char *const top_keys[] = {"detectors", NULL};
static const char *const keys[] = {
    "id",    "name",    "category", "label",     "match",    "words",    "context",
    "check", "entropy", "score",    "keep_last", "actions",  "examples", "counter_examples",
    "doc",   "type",    "region",   "distance",  "caseless", NULL};
static const char *const action_keys[] = {"request", "answer", NULL};
static const char *const categories[] = {"personal",   "payment", "government_id",
                                         "credential", "health",  "network"};

/* Kinds of names that the tagger finds (engine/detect/tagger), as policies call them. */
static const char *const names[] = {"person",    "location", "organization", "address",
                                    "date_time", "age",      "nrp",          "title"};

#define OPEN "\xe2\x9f\xa6"  /* U+27E6 */
#define CLOSE "\xe2\x9f\xa7" /* U+27E7 */

/* ---- words of a detector ---- */

static dv_result read_check(const dv_yaml *map, dv_custom_rule *rule, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "check");
    const char *name = NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &name, error));
    rule->check = dv_custom_check(name, &rule->check_name);
    if (rule->check != NULL) {
        return DV_OK;
    }
    return dv_yaml_refuse(node, error, "no check is called '%.64s'; luhn and verhoeff are two",
                          name);
}

/* Letters of which programs make names: a to z, digits, and what else is given. */
static bool is_word(const char *text, size_t max, const char *bytes)
{
    size_t len = strlen(text);
    return len > 0 && len <= max && strspn(text, bytes) == len;
}

/* It stands in messages and in JSON as it is. */
static bool is_plain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((uint8_t)*c < ' ' || *c == '"' || *c == '\\' || *c == 0x7f) {
            return false;
        }
    }
    return true;
}

static dv_result copy(dv_detect_custom *custom, const char *text, const char **ret_copy)
{
    *ret_copy = dv_arena_printf(custom->arena, "%s", text);
    return *ret_copy != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result read_text(dv_detect_custom *custom, const dv_yaml *map, const char *key,
                           const char *fallback, const char **ret_text, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    const char *text = fallback;
    if (node == NULL && fallback == NULL) {
        return dv_yaml_refuse(map, error, "a detector needs '%s'", key);
    }
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &text, error));
    }
    if (strlen(text) > NAME_MAX_BYTES || !is_plain(text)) {
        return dv_yaml_refuse(node, error,
                              "'%s' has at most %d bytes, none of them \", \\ or a "
                              "control character",
                              key, NAME_MAX_BYTES);
    }
    return copy(custom, text, ret_text);
}

static dv_result read_id(dv_detect_custom *custom, const dv_yaml *map, dv_custom_rule *rule,
                         dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "id");
    DV_TRY(read_text(custom, map, "id", NULL, &rule->info.id, error));
    const char *id = rule->info.id;
    if (!is_word(id, ID_MAX, "abcdefghijklmnopqrstuvwxyz0123456789_")) {
        return dv_yaml_refuse(node, error, "'id' is 1 to %d of a to z, 0 to 9 and '_'", ID_MAX);
    }
    bool is_known = dv_detect_index(id) >= 0;
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        is_known |= strcmp(names[i], id) == 0;
    }
    for (size_t i = 0; i < custom->count; i++) {
        is_known |= strcmp(custom->rules[i].info.id, id) == 0;
    }
    return is_known ? dv_error_set_at(error, DV_ERR_CONFLICT, node->line, node->column,
                                      "there is a detector '%s' already", id)
                    : DV_OK;
}

static dv_result read_label(dv_detect_custom *custom, const dv_yaml *map, dv_custom_rule *rule,
                            dv_error *error)
{
    char capitals[LABEL_MAX + 1] = "";
    for (size_t i = 0; i < LABEL_MAX && rule->info.id[i] != '\0'; i++) {
        char c = rule->info.id[i];
        capitals[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    DV_TRY(read_text(custom, map, "label", capitals, &rule->info.label, error));
    DV_TRY(read_text(custom, map, "type", rule->info.label, &rule->info.type, error));
    static const char bytes[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    const char *wrong = !is_word(rule->info.label, LABEL_MAX, bytes)  ? "label"
                        : !is_word(rule->info.type, LABEL_MAX, bytes) ? "type"
                                                                      : NULL;
    return wrong == NULL
               ? DV_OK
               : dv_yaml_refuse(dv_yaml_get(map, wrong), error,
                                "'%s' is 1 to %d of A to Z, 0 to 9 and '_'", wrong, LABEL_MAX);
}

static dv_result read_category(dv_detect_custom *custom, const dv_yaml *map, dv_custom_rule *rule,
                               dv_error *error)
{
    DV_TRY(read_text(custom, map, "category", "personal", &rule->info.category, error));
    for (size_t i = 0; i < DV_ARRAY_LEN(categories); i++) {
        if (strcmp(categories[i], rule->info.category) == 0) {
            return DV_OK;
        }
    }
    return dv_yaml_refuse(dv_yaml_get(map, "category"), error,
                          "'category' is personal, payment, government_id, credential, health or "
                          "network");
}

static dv_result read_number(const dv_yaml *map, const char *key, int64_t min, int64_t max,
                             int64_t fallback, int64_t *ret_number, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, key);
    *ret_number = fallback;
    return node != NULL ? dv_yaml_int(node, min, max, ret_number, error) : DV_OK;
}

static dv_result read_action(const dv_yaml *map, const char *key, dv_content_action fallback,
                             uint8_t *ret_action, dv_error *error)
{
    const dv_yaml *node = map == NULL ? NULL : dv_yaml_get(map, key);
    const char *name = NULL;
    dv_content_action action = fallback;
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &name, error));
        bool known = dv_content_action_read_policy(dv_slice_str(name), &action);
        bool plain = action == DV_ACTION_BLOCK || action == DV_ACTION_MASK ||
                     action == DV_ACTION_ALERT ||
                     (action == DV_ACTION_PLACEHOLDER && fallback == DV_ACTION_PLACEHOLDER);
        if (!known || !plain) {
            return dv_yaml_refuse(node, error,
                                  "'%s' is block, mask, alert or, for requests, "
                                  "placeholder; others stand in masking:",
                                  key);
        }
    }
    *ret_action = (uint8_t)action;
    return DV_OK;
}

static dv_result read_actions(const dv_yaml *map, dv_custom_rule *rule, dv_error *error)
{
    const dv_yaml *actions = dv_yaml_get(map, "actions");
    DV_TRY(actions == NULL ? DV_OK : dv_yaml_check_keys(actions, action_keys, error));
    DV_TRY(
        read_action(actions, "request", DV_ACTION_PLACEHOLDER, &rule->info.request_action, error));
    return read_action(actions, "answer", DV_ACTION_MASK, &rule->info.answer_action, error);
}

/* "3.25": bits, as hundredths. */
static dv_result read_entropy(const dv_yaml *map, dv_custom_rule *rule, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "entropy");
    const char *text = NULL;
    if (node == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    char *end = NULL;
    double bits = strtod(text, &end);
    if (end == text || *end != '\0' || !(bits >= 0 && bits <= 8)) {
        return dv_yaml_refuse(node, error, "'entropy' is a number of bits from 0 to 8");
    }
    rule->entropy = (uint16_t)(bits * 100);
    return DV_OK;
}

static dv_result read_settings(const dv_yaml *map, dv_custom_rule *rule, dv_error *error)
{
    const dv_yaml *caseless = dv_yaml_get(map, "caseless");
    int64_t score = 0, keep = 0;
    DV_TRY(read_number(map, "score", 1, 100, SCORE, &score, error));
    DV_TRY(read_number(map, "keep_last", 0, 4, 0, &keep, error));
    DV_TRY(caseless == NULL ? DV_OK : dv_yaml_bool(caseless, &rule->caseless, error));
    rule->info.score = (uint8_t)score;
    rule->info.keep_last = (uint8_t)keep;
    rule->info.standard = true;
    DV_TRY(read_check(map, rule, error));
    DV_TRY(read_entropy(map, rule, error));
    return read_actions(map, rule, error);
}

/* ---- expressions ---- */

/* Bytes of a class, from its '[' on: a ']' that stands first is a member, and so is a '['. */
static size_t class_len(const char *class)
{
    size_t at = class[1] == '^' ? 2 : 1;
    at += class[at] == ']' ? 1 : 0;
    while (class[at] != '\0' && class[at] != ']') {
        const char *named =
            class[at] == '[' && class[at + 1] == ':' ? strstr(class + at, ":]") : NULL;
        if (named != NULL && strspn(class + at + 2, "^abcdefghijklmnopqrstuvwxyz") ==
                                 (size_t)(named - class) - at - 2) {
            at = (size_t)(named - class) + 2;
        } else {
            at += class[at] == '\\' && class[at + 1] != '\0' ? 2 : 1;
        }
    }
    return at + (class[at] == ']' ? 1 : 0);
}

/* Bytes of what stands there as one: an escape, a class, a comment, or one byte. */
static size_t item_len(const char *text)
{
    if (text[0] == '\\') {
        return text[1] != '\0' ? 2 : 1;
    }
    if (text[0] == '[') {
        return class_len(text);
    }
    if (strncmp(text, "(?#", 3) == 0) {
        const char *end = strchr(text, ')');
        return end != NULL ? (size_t)(end - text) + 1 : strlen(text);
    }
    return 1;
}

/* What would mean something else in each piece of a text: where it begins and ends, where the last
 * search ended, what steers PCRE2 itself, and escapes that hide what follows them. */
static bool depends_on_pieces(const char *match)
{
    for (const char *c = match; *c != '\0'; c += item_len(c)) {
        bool escape = *c == '\\' && (c[1] == '\0' || strchr("AzZGKQECXRc", c[1]) != NULL);
        bool group = *c == '(' && (c[1] == '*' || (c[1] == '?' && (c[2] == 'C' || c[2] == 'R')));
        if (escape || group || *c == '^' || *c == '$') {
            return true;
        }
        for (size_t i = 1; *c == '[' && i + 1 < item_len(c); i++) {
            if (c[i] == '\\' && strchr("QEc", c[i + 1]) != NULL) {
                return true;
            }
            i += c[i] == '\\' ? 1 : 0;
        }
    }
    return false;
}

/* The expression as if it took in what it only looks at behind a value. */
static dv_result take_in_ahead(dv_arena *arena, const char *match, const char **ret_ahead)
{
    char *ahead = dv_arena_alloc(arena, strlen(match) + 1);
    if (ahead == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(ahead, match, strlen(match));
    for (char *c = ahead; *c != '\0'; c += item_len(c)) {
        if (c[0] == '(' && c[1] == '?' && (c[2] == '=' || c[2] == '!')) {
            c[2] = ':';
        }
    }
    *ret_ahead = ahead;
    return DV_OK;
}

static dv_result read_match(dv_detect_custom *custom, const dv_yaml *map, dv_custom_rule *rule,
                            dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "match");
    const char *text = NULL;
    if (node == NULL) {
        return dv_yaml_refuse(map, error, "a detector needs 'match'");
    }
    DV_TRY(dv_yaml_string(node, &text, error));
    size_t len = strlen(text);
    if (len == 0 || len > DV_CUSTOM_MATCH_MAX) {
        return dv_yaml_refuse(node, error, "'match' has 1 to %d bytes", DV_CUSTOM_MATCH_MAX);
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return dv_yaml_refuse(node, error,
                                  "'match' is an expression over bytes, of printable "
                                  "ASCII; other bytes are \\xHH");
        }
    }
    if (depends_on_pieces(text)) {
        return dv_yaml_refuse(node, error,
                              "texts come in pieces, so 'match' may have no ^, $, \\A, "
                              "\\z, \\G, \\K, \\Q, \\R, \\X, \\c, verbs, callouts and "
                              "recursion; \\b and (?<![A-Za-z0-9]) bound a value");
    }
    rule->line = node->line;
    DV_TRY(copy(custom, text, &rule->match));
    return take_in_ahead(custom->arena, text, &rule->ahead);
}

/* ---- words around ---- */

/* As text: within \Q and \E nothing means anything. */
static dv_result append_word(const dv_yaml *node, dv_buf *out, dv_error *error)
{
    const char *word = NULL;
    DV_TRY(dv_yaml_string(node, &word, error));
    size_t len = strlen(word);
    if (len == 0 || len > DV_CUSTOM_WORD_MAX || strstr(word, "\\E") != NULL) {
        return dv_yaml_refuse(node, error, "a word has 1 to %d bytes, and no \\E",
                              DV_CUSTOM_WORD_MAX);
    }
    return dv_buf_append_printf(out, "\\Q%s\\E", word);
}

static dv_result append_words(const dv_yaml *list, dv_buf *out, dv_error *error)
{
    size_t count = 0;
    if (list->type != DV_YAML_LIST || list->first == NULL) {
        return dv_yaml_refuse(list, error, "'words' wants a list of words");
    }
    DV_TRY(dv_buf_append_str(out, "(?i)(?<![A-Za-z0-9])(?:"));
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        if (++count > DV_CUSTOM_WORDS_MAX) {
            return dv_yaml_refuse(node, error, "more than %d words", DV_CUSTOM_WORDS_MAX);
        }
        DV_TRY(dv_buf_append_str(out, count > 1 ? "|" : ""));
        DV_TRY(append_word(node, out, error));
    }
    return dv_buf_append_str(out, ")(?![A-Za-z0-9])");
}

static dv_result read_context(const dv_yaml *map, dv_custom_rule *rule, dv_error *error)
{
    const dv_yaml *node = dv_yaml_get(map, "context");
    const char *text = "required";
    int64_t distance = 0;
    if (node != NULL) {
        DV_TRY(dv_yaml_string(node, &text, error));
    }
    rule->required = strcmp(text, "required") == 0;
    if (!rule->required && strcmp(text, "optional") != 0) {
        return dv_yaml_refuse(node, error, "'context' is required or optional");
    }
    DV_TRY(read_number(map, "distance", 1, DISTANCE_MAX, DISTANCE, &distance, error));
    rule->distance = (uint16_t)distance;
    return DV_OK;
}

static dv_result read_words(dv_detect_custom *custom, const dv_yaml *map, dv_custom_rule *rule,
                            dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(map, "words");
    dv_auto(buf) dv_buf out = dv_buf_init(WORDS_TEXT);
    if (list == NULL) {
        const dv_yaml *node = dv_yaml_get(map, "context");
        node = node != NULL ? node : dv_yaml_get(map, "distance");
        return node == NULL ? DV_OK : dv_yaml_refuse(node, error, "'%s' wants 'words'", node->key);
    }
    DV_TRY(append_words(list, &out, error));
    DV_TRY(read_context(map, rule, error));
    return copy(custom, dv_buf_cstr(&out), &rule->words);
}

/* ---- examples ---- */

/* "badge ⟦EMP-004711⟧": the text, and where its value stands. */
static dv_result read_example(dv_detect_custom *custom, const dv_yaml *node, bool marked,
                              dv_detector_example *ret_example, dv_error *error)
{
    const char *text = NULL;
    DV_TRY(dv_yaml_string(node, &text, error));
    const char *open = strstr(text, OPEN);
    const char *close = open != NULL ? strstr(open, CLOSE) : NULL;
    if (!marked) {
        ret_example->start = (uint32_t)node->line; /* for errors */
        return copy(custom, text, &ret_example->text);
    }
    if (close == NULL) {
        return dv_yaml_refuse(node, error,
                              "an example marks its value: \"badge " OPEN "EMP-004711" CLOSE "\"");
    }
    size_t before = (size_t)(open - text);
    size_t len = (size_t)(close - open) - strlen(OPEN);
    ret_example->text = dv_arena_printf(custom->arena, "%.*s%.*s%s", (int)before, text, (int)len,
                                        open + strlen(OPEN), close + strlen(CLOSE));
    ret_example->start = (uint32_t)before;
    ret_example->end = (uint32_t)(before + len);
    return ret_example->text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result read_examples(dv_detect_custom *custom, const dv_yaml *map, const char *key,
                               bool marked, const dv_detector_example **ret_examples,
                               size_t *ret_count, dv_error *error)
{
    const dv_yaml *list = dv_yaml_get(map, key);
    dv_detector_example *examples =
        dv_arena_alloc(custom->arena, DV_CUSTOM_EXAMPLES_MAX * sizeof(*examples));
    if (examples == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_examples = examples;
    if (list == NULL && !marked) {
        return DV_OK;
    }
    if (list == NULL || list->type != DV_YAML_LIST || list->first == NULL) {
        return dv_yaml_refuse(list == NULL ? map : list, error,
                              "'%s' wants a list of texts: they are the detector's tests", key);
    }
    for (const dv_yaml *node = list->first; node != NULL; node = node->next) {
        if (*ret_count == DV_CUSTOM_EXAMPLES_MAX) {
            return dv_yaml_refuse(node, error, "more than %d examples", DV_CUSTOM_EXAMPLES_MAX);
        }
        DV_TRY(read_example(custom, node, marked, &examples[(*ret_count)++], error));
    }
    return DV_OK;
}

/* ---- the file ---- */

static dv_result read_rule(dv_detect_custom *custom, const dv_yaml *map, dv_error *error)
{
    dv_custom_rule *rule = &custom->rules[custom->count];
    dv_detector_info *info = &rule->info;
    DV_TRY(dv_yaml_check_keys(map, keys, error));
    DV_TRY(read_id(custom, map, rule, error));
    DV_TRY(read_text(custom, map, "name", info->id, &info->name, error));
    DV_TRY(read_text(custom, map, "doc", info->name, &info->doc, error));
    DV_TRY(read_text(custom, map, "region", "any", &info->region, error));
    DV_TRY(read_category(custom, map, rule, error));
    DV_TRY(read_label(custom, map, rule, error));
    DV_TRY(read_match(custom, map, rule, error));
    DV_TRY(read_settings(map, rule, error));
    DV_TRY(read_words(custom, map, rule, error));
    DV_TRY(
        read_examples(custom, map, "examples", true, &info->examples, &info->example_count, error));
    DV_TRY(read_examples(custom, map, "counter_examples", false, &info->counter_examples,
                         &info->counter_example_count, error));
    custom->count++;
    return DV_OK;
}

static dv_result parse(dv_detect_custom *custom, dv_error *error)
{
    const dv_yaml *root = NULL;
    DV_TRY(dv_yaml_parse(custom->text, custom->arena, &root, error));
    DV_TRY(dv_yaml_check_keys(root, top_keys, error));
    const dv_yaml *list = dv_yaml_get(root, "detectors");
    if (list == NULL || list->type != DV_YAML_LIST || list->first == NULL) {
        return dv_yaml_refuse(list == NULL ? root : list, error,
                              "a file of detectors is 'detectors:' with a list of them");
    }
    for (const dv_yaml *map = list->first; map != NULL; map = map->next) {
        if (custom->count == DV_CUSTOM_MAX) {
            return dv_error_set_at(error, DV_ERR_TOO_LARGE, map->line, map->column,
                                   "more than %d detectors", DV_CUSTOM_MAX);
        }
        DV_TRY(read_rule(custom, map, error));
    }
    return DV_OK;
}

/* Everything that a file is held against; what is made of it is written into out. */
static dv_result read_file(dv_detect_custom *custom, dv_buf *out, dv_error *error)
{
    DV_TRY(parse(custom, error));
    DV_TRY(dv_custom_compile(custom, error));
    DV_TRY(dv_custom_try(custom, error));
    return dv_custom_write(custom, out);
}

dv_result dv_detect_custom_read(dv_slice yaml, dv_detect_custom **ret_custom, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(DV_CUSTOM_MADE_MAX);
    dv_detect_custom *read = NULL;
    if (yaml.len > DV_CUSTOM_TEXT_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "a file of detectors has at most 64 KiB");
    }
    DV_TRY(dv_custom_new(yaml, &read));
    dv_result result = read_file(read, &text, error);
    dv_custom_destroy(read);
    DV_TRY(result);
    return dv_detect_custom_take(dv_buf_slice(&text), ret_custom, error);
}
