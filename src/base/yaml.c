/* SPDX-License-Identifier: Apache-2.0 */
#include "base/yaml.h"

#include "base/buf.h"
#include "base/caps.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <limits.h>
#include <yaml.h>

/* One open list or map. In a map `key` is the name that waits for its value. */
typedef struct frame {
    dv_yaml *container;
    dv_yaml **tail;
    const char *key;
    int key_line;
    int key_column;
} frame;

typedef struct builder {
    yaml_parser_t parser;
    dv_slice text;
    dv_arena *arena;
    dv_error *error;
    dv_yaml *root;
    size_t nodes;
    size_t depth;
    frame frames[DV_LIMIT_YAML_DEPTH];
} builder;

static void builder_release(builder *b)
{
    yaml_parser_delete(&b->parser);
}
DV_DEFINE_AUTO(builder, builder, builder_release)
DV_DEFINE_AUTO(yaml_event, yaml_event_t, yaml_event_delete)

/* ---- errors ---- */

enum { SHOWN_MAX = 40 };

typedef struct shown {
    char text[SHOWN_MAX + 4];
} shown;

/* What a message shows of the file's own text: short, and without control characters. */
static shown show(const char *text)
{
    shown out = {0};
    dv_slice whole = dv_slice_str(text);
    size_t len = whole.len;
    if (len > SHOWN_MAX) {
        len = dv_utf8_prefix(dv_slice_sub(whole, 0, SHOWN_MAX));
        memcpy(out.text + len, "...", 4);
    }
    for (size_t i = 0; i < len; i++) {
        out.text[i] = whole.ptr[i] < 0x20 || whole.ptr[i] == 0x7f ? '?' : (char)whole.ptr[i];
    }
    return out;
}

static int from_zero_based(size_t value)
{
    return value >= INT_MAX ? INT_MAX : (int)value + 1;
}

static dv_result refuse(builder *b, yaml_mark_t mark, dv_result result, const char *what)
{
    return dv_error_set_at(b->error, result, from_zero_based(mark.line),
                           from_zero_based(mark.column), "%s", what);
}

static dv_result no_memory(builder *b)
{
    return dv_error_set(b->error, DV_ERR_NO_MEMORY, "no memory for the YAML text");
}

static dv_result refuse_byte(builder *b, size_t offset, const char *what)
{
    dv_slice before = dv_slice_sub(b->text, 0, offset);
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < before.len; i++) {
        bool line_ends = before.ptr[i] == '\n';
        mark.line += line_ends;
        mark.column = line_ends ? 0 : mark.column + 1;
    }
    return refuse(b, mark, DV_ERR_INVALID, what);
}

static dv_result refuse_syntax(builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        return no_memory(b);
    }
    const char *problem = p->problem == NULL ? "it cannot be read" : p->problem;
    if (p->error == YAML_READER_ERROR) {
        return refuse_byte(b, p->problem_offset, problem);
    }
    return refuse(b, p->problem_mark, DV_ERR_INVALID, problem);
}

/* ---- nodes ---- */

static bool is_one_of(const char *text, const char *const words[])
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_null_word(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(text, words);
}

static frame *innermost(builder *b)
{
    return b->depth == 0 ? NULL : &b->frames[b->depth - 1];
}

static bool wants_key(builder *b)
{
    const frame *f = innermost(b);
    return f != NULL && f->container->type == DV_YAML_MAP && f->key == NULL;
}

static dv_result node_new(builder *b, yaml_mark_t mark, dv_yaml_type type, dv_yaml **ret_node)
{
    if (b->nodes >= DV_LIMIT_YAML_NODES) {
        return refuse(b, mark, DV_ERR_TOO_LARGE, "the YAML text has too many values");
    }
    dv_yaml *node = dv_arena_alloc(b->arena, sizeof(*node));
    if (node == NULL) {
        return no_memory(b);
    }
    b->nodes++;
    node->type = type;
    node->line = from_zero_based(mark.line);
    node->column = from_zero_based(mark.column);
    *ret_node = node;
    return DV_OK;
}

/* Puts the node where the text has it: under the waiting key, at the list's end, or at the top. */
static void node_place(builder *b, dv_yaml *node)
{
    frame *f = innermost(b);
    if (f == NULL) {
        b->root = node;
        return;
    }
    node->key = f->key;
    node->key_line = f->key_line;
    node->key_column = f->key_column;
    *f->tail = node;
    f->tail = &node->next;
    f->key = NULL;
    f->key_line = 0;
    f->key_column = 0;
}

/* Anchors exist for aliases, which could make a small file huge; other tags would need meaning. */
static dv_result check_properties(builder *b, const yaml_event_t *event, const yaml_char_t *anchor,
                                  const yaml_char_t *tag, const char *const allowed[])
{
    if (anchor != NULL) {
        return refuse(b, event->start_mark, DV_ERR_INVALID, "anchors are not supported");
    }
    if (tag != NULL && !is_one_of((const char *)tag, allowed)) {
        return refuse(b, event->start_mark, DV_ERR_INVALID, "this tag is not supported here");
    }
    return DV_OK;
}

static dv_result take_key(builder *b, const yaml_event_t *event, const char *text)
{
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (text[0] == '\0') {
        return refuse(b, event->start_mark, DV_ERR_INVALID, "a key is missing before ':'");
    }
    if (plain && strcmp(text, "<<") == 0) {
        return refuse(b, event->start_mark, DV_ERR_INVALID, "merge keys (<<) are not supported");
    }
    frame *f = innermost(b);
    f->key = text;
    f->key_line = from_zero_based(event->start_mark.line);
    f->key_column = from_zero_based(event->start_mark.column);
    return DV_OK;
}

static dv_result take_scalar(builder *b, const yaml_event_t *event)
{
    static const char *const tags[] = {"!",           YAML_STR_TAG, YAML_INT_TAG, YAML_FLOAT_TAG,
                                       YAML_BOOL_TAG, NULL};
    const char *tag = (const char *)event->data.scalar.tag;
    DV_TRY(check_properties(b, event, event->data.scalar.anchor, event->data.scalar.tag, tags));
    dv_slice bytes = dv_slice_of(event->data.scalar.value, event->data.scalar.length);
    if (dv_slice_find_byte(bytes, 0) >= 0) {
        return refuse(b, event->start_mark, DV_ERR_INVALID, "NUL characters are not supported");
    }
    dv_slice copy;
    if (dv_arena_copy(b->arena, bytes, &copy) != DV_OK) {
        return no_memory(b);
    }
    const char *text = (const char *)copy.ptr;
    if (wants_key(b)) {
        return take_key(b, event, text);
    }
    bool string_tag = tag != NULL && (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0);
    bool quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE || string_tag;
    bool null = !quoted && tag == NULL && is_null_word(text);
    dv_yaml *node;
    DV_TRY(node_new(b, event->start_mark, null ? DV_YAML_NULL : DV_YAML_SCALAR, &node));
    node->quoted = quoted;
    node->text = null ? NULL : text;
    node_place(b, node);
    return DV_OK;
}

static dv_result open_container(builder *b, yaml_mark_t mark, dv_yaml_type type)
{
    if (wants_key(b)) {
        return refuse(b, mark, DV_ERR_INVALID, "a key must be text, not a list or a map");
    }
    if (b->depth == DV_LIMIT_YAML_DEPTH) {
        return refuse(b, mark, DV_ERR_TOO_LARGE, "the YAML text is nested too deeply");
    }
    dv_yaml *node;
    DV_TRY(node_new(b, mark, type, &node));
    node_place(b, node);
    b->frames[b->depth++] = (frame){.container = node, .tail = &node->first};
    return DV_OK;
}

static dv_result open_list(builder *b, const yaml_event_t *event)
{
    static const char *const tags[] = {"!", YAML_SEQ_TAG, NULL};
    DV_TRY(check_properties(b, event, event->data.sequence_start.anchor,
                            event->data.sequence_start.tag, tags));
    return open_container(b, event->start_mark, DV_YAML_LIST);
}

static dv_result open_map(builder *b, const yaml_event_t *event)
{
    static const char *const tags[] = {"!", YAML_MAP_TAG, NULL};
    DV_TRY(check_properties(b, event, event->data.mapping_start.anchor,
                            event->data.mapping_start.tag, tags));
    return open_container(b, event->start_mark, DV_YAML_MAP);
}

/* ---- duplicate keys ---- */

static int compare_keys(const void *left, const void *right)
{
    const dv_yaml *a = *(const dv_yaml *const *)left;
    const dv_yaml *b = *(const dv_yaml *const *)right;
    int order = strcmp(a->key, b->key);
    if (order == 0) {
        order = a->key_line - b->key_line;
    }
    return order != 0 ? order : a->key_column - b->key_column;
}

static dv_result check_sorted_keys(builder *b, const dv_yaml *const *nodes, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (strcmp(nodes[i - 1]->key, nodes[i]->key) == 0) {
            return dv_error_set_at(b->error, DV_ERR_INVALID, nodes[i]->key_line,
                                   nodes[i]->key_column, "key '%s' is already used on line %d",
                                   show(nodes[i]->key).text, nodes[i - 1]->key_line);
        }
    }
    return DV_OK;
}

/* Sorts a list of the members, so that no choice of keys makes it slow. */
static dv_result check_unique_keys(builder *b, const dv_yaml *map)
{
    size_t count = 0;
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        count++;
    }
    if (count < 2) {
        return DV_OK;
    }
    dv_auto(free) const dv_yaml **nodes = malloc(count * sizeof(const dv_yaml *));
    if (nodes == NULL) {
        return no_memory(b);
    }
    size_t filled = 0;
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        nodes[filled++] = node;
    }
    qsort(nodes, count, sizeof(const dv_yaml *), compare_keys);
    return check_sorted_keys(b, nodes, count);
}

static dv_result close_map(builder *b)
{
    b->depth--;
    return check_unique_keys(b, b->frames[b->depth].container);
}

/* ---- the event stream ---- */

static dv_result take_event(builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_list(b, event);
    case YAML_MAPPING_START_EVENT:
        return open_map(b, event);
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return DV_OK;
    case YAML_MAPPING_END_EVENT:
        return close_map(b);
    case YAML_ALIAS_EVENT:
        return refuse(b, event->start_mark, DV_ERR_INVALID, "aliases are not supported");
    case YAML_DOCUMENT_START_EVENT:
        if (b->root != NULL) {
            return refuse(b, event->start_mark, DV_ERR_INVALID,
                          "only one YAML document is supported");
        }
        return DV_OK;
    default:
        return DV_OK;
    }
}

static dv_result build(builder *b)
{
    for (;;) {
        dv_auto(yaml_event) yaml_event_t event = {0};
        if (!yaml_parser_parse(&b->parser, &event)) {
            return refuse_syntax(b);
        }
        if (event.type == YAML_STREAM_END_EVENT) {
            return DV_OK;
        }
        DV_TRY(take_event(b, &event));
    }
}

/* Nothing at all, or only comments, is an empty map. */
static dv_result finish(builder *b, const dv_yaml **ret_root)
{
    if (b->root == NULL || b->root->type == DV_YAML_NULL) {
        yaml_mark_t start = {0};
        DV_TRY(node_new(b, start, DV_YAML_MAP, &b->root));
    }
    *ret_root = b->root;
    return DV_OK;
}

dv_result dv_yaml_parse(dv_slice text, dv_arena *arena, const dv_yaml **ret_root, dv_error *error)
{
    dv_auto(builder) builder b = {.text = text, .arena = arena, .error = error};
    if (text.len > DV_LIMIT_CONFIG) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the YAML text is over %d bytes",
                            DV_LIMIT_CONFIG);
    }
    size_t valid = dv_utf8_prefix(text);
    if (valid != text.len) {
        return refuse_byte(&b, valid, "the YAML text is not UTF-8");
    }
    if (!yaml_parser_initialize(&b.parser)) {
        return no_memory(&b);
    }
    static const uint8_t nothing[1];
    yaml_parser_set_input_string(&b.parser, text.len == 0 ? nothing : text.ptr, text.len);
    DV_TRY(build(&b));
    return finish(&b, ret_root);
}

/* ---- reading the tree ---- */

const dv_yaml *dv_yaml_get(const dv_yaml *map, const char *key)
{
    if (map == NULL || map->type != DV_YAML_MAP) {
        return NULL;
    }
    const dv_yaml *node = map->first;
    while (node != NULL && strcmp(node->key, key) != 0) {
        node = node->next;
    }
    return node;
}

/* "'port' must be a number, not 'abc'". */
static dv_result refuse_value(const dv_yaml *node, dv_result result, const char *wanted,
                              dv_error *error)
{
    static const char *const kinds[] = {[DV_YAML_NULL] = "nothing",
                                        [DV_YAML_SCALAR] = "text in quotes",
                                        [DV_YAML_LIST] = "a list",
                                        [DV_YAML_MAP] = "a map"};
    bool plain = node->type == DV_YAML_SCALAR && !node->quoted;
    const char *mark = node->key == NULL ? "" : "'";
    return dv_error_set_at(error, result, node->line, node->column,
                           plain ? "%s%s%s must be %s, not '%s'" : "%s%s%s must be %s, not %s",
                           mark, node->key == NULL ? "this value" : show(node->key).text, mark,
                           wanted, plain ? show(node->text).text : kinds[node->type]);
}

dv_result dv_yaml_string(const dv_yaml *node, const char **ret_text, dv_error *error)
{
    if (node->type != DV_YAML_SCALAR) {
        return refuse_value(node, DV_ERR_INVALID, "text", error);
    }
    *ret_text = node->text;
    return DV_OK;
}

static bool read_digits(const char *text, const char **ret_end, uint64_t *ret_value)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value)) {
            return false;
        }
    }
    bool leading_zero = text[0] == '0' && p - text > 1;
    *ret_end = p;
    *ret_value = value;
    return p != text && !leading_zero;
}

static bool read_int(const char *text, int64_t *ret_value)
{
    bool negative = text[0] == '-';
    const char *end;
    uint64_t magnitude;
    if (!read_digits(text + (negative || text[0] == '+'), &end, &magnitude) || *end != '\0') {
        return false;
    }
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    *ret_value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

dv_result dv_yaml_int(const dv_yaml *node, int64_t min, int64_t max, int64_t *ret_value,
                      dv_error *error)
{
    int64_t value;
    bool plain = node->type == DV_YAML_SCALAR && !node->quoted;
    if (!plain || !read_int(node->text, &value) || value < min || value > max) {
        char wanted[80];
        snprintf(wanted, sizeof(wanted), "a number from %lld to %lld", (long long)min,
                 (long long)max);
        return refuse_value(node, DV_ERR_INVALID, wanted, error);
    }
    *ret_value = value;
    return DV_OK;
}

dv_result dv_yaml_bool(const dv_yaml *node, bool *ret_value, dv_error *error)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes",
                                      "YES",  "on",   "On",   "ON",  NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no",  "No",
                                     "NO",    "off",   "Off",   "OFF", NULL};
    bool plain = node->type == DV_YAML_SCALAR && !node->quoted;
    bool is_yes = plain && is_one_of(node->text, yes);
    if (!is_yes && !(plain && is_one_of(node->text, no))) {
        return refuse_value(node, DV_ERR_INVALID, "true or false", error);
    }
    *ret_value = is_yes;
    return DV_OK;
}

dv_result dv_yaml_tls_version(const dv_yaml *node, bool *ret_is_12, dv_error *error)
{
    static const char *const known[] = {"1.2", "1.3", NULL};
    if (node != NULL && (node->type != DV_YAML_SCALAR || !is_one_of(node->text, known))) {
        return refuse_value(node, DV_ERR_INVALID, "\"1.3\" or \"1.2\"", error);
    }
    *ret_is_12 = node != NULL && strcmp(node->text, "1.2") == 0;
    return DV_OK;
}

static bool unit_factor(const char *unit, uint64_t *ret_factor)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"kB", 1000},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"KiB", UINT64_C(1) << 10},
        {"MiB", UINT64_C(1) << 20},
        {"GiB", UINT64_C(1) << 30},
        {"TiB", UINT64_C(1) << 40},
    };
    for (size_t i = 0; i < DV_ARRAY_LEN(units); i++) {
        if (strcmp(unit, units[i].name) == 0) {
            *ret_factor = units[i].factor;
            return true;
        }
    }
    return false;
}

dv_result dv_yaml_size(const dv_yaml *node, uint64_t max, uint64_t *ret_bytes, dv_error *error)
{
    const char *unit;
    uint64_t bytes;
    uint64_t factor;
    if (node->type != DV_YAML_SCALAR || !read_digits(node->text, &unit, &bytes) ||
        !unit_factor(unit, &factor)) {
        return refuse_value(node, DV_ERR_INVALID, "a size like 512, 64KiB or 10MB", error);
    }
    if (__builtin_mul_overflow(bytes, factor, &bytes) || bytes > max) {
        char wanted[80];
        snprintf(wanted, sizeof(wanted), "at most %llu bytes", (unsigned long long)max);
        return refuse_value(node, DV_ERR_TOO_LARGE, wanted, error);
    }
    *ret_bytes = bytes;
    return DV_OK;
}

dv_result dv_yaml_duration(const dv_yaml *node, int64_t *ret_nanoseconds, dv_error *error)
{
    if (node->type != DV_YAML_SCALAR ||
        dv_duration_parse(dv_slice_str(node->text), ret_nanoseconds) != DV_OK) {
        return refuse_value(node, DV_ERR_INVALID, "a duration like 500ms, 30s, 5m, 12h or 90d",
                            error);
    }
    return DV_OK;
}

/* ---- unknown keys ---- */

enum { NEAR_MAX = 48 }; /* longer names get no suggestion */

/* How many letters must be changed, added, dropped or swapped with their neighbour (optimal string
 * alignment); a large number for long names. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    if (a_len > NEAR_MAX || b_len > NEAR_MAX) {
        return SIZE_MAX;
    }
    size_t d[NEAR_MAX + 1][NEAR_MAX + 1];
    for (size_t i = 0; i <= a_len; i++) {
        for (size_t j = 0; j <= b_len; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t changed = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            d[i][j] = DV_MIN(changed, DV_MIN(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                d[i][j] = DV_MIN(d[i][j], d[i - 2][j - 2] + 1);
            }
        }
    }
    return d[a_len][b_len];
}

/* The known key that was probably meant, or NULL: at most a third of it may differ. */
static const char *nearest_key(const char *key, const char *const known[])
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; known[i] != NULL; i++) {
        size_t distance = edit_distance(key, known[i]);
        if (distance < least && distance <= strlen(known[i]) / 3 + 1) {
            nearest = known[i];
            least = distance;
        }
    }
    return nearest;
}

static dv_result refuse_key(const dv_yaml *node, const char *const known[], dv_error *error)
{
    const char *nearest = nearest_key(node->key, known);
    if (nearest != NULL) {
        return dv_error_set_at(error, DV_ERR_INVALID, node->key_line, node->key_column,
                               "unknown key '%s': did you mean '%s'?", show(node->key).text,
                               nearest);
    }
    dv_auto(buf) dv_buf list = dv_buf_init(DV_ERROR_MESSAGE_MAX);
    for (size_t i = 0; known[i] != NULL; i++) {
        if (dv_buf_append_printf(&list, "%s%s", i == 0 ? "" : ", ", known[i]) != DV_OK) {
            break; /* the message would be cut here anyhow */
        }
    }
    return dv_error_set_at(error, DV_ERR_INVALID, node->key_line, node->key_column,
                           "unknown key '%s'; known here: %.*s", show(node->key).text,
                           DV_SLICE_ARGS(dv_buf_slice(&list)));
}

dv_result dv_yaml_check_keys(const dv_yaml *map, const char *const known[], dv_error *error)
{
    if (map->type != DV_YAML_MAP) {
        return refuse_value(map, DV_ERR_INVALID, "a map of keys and values", error);
    }
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        if (!is_one_of(node->key, known)) {
            return refuse_key(node, known, error);
        }
    }
    return DV_OK;
}
