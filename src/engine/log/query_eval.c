/* SPDX-License-Identifier: Apache-2.0 */
/* Whether one event matches: its bytes are looked at first, its JSON is read only when they do not
 * decide, and once. */
#include "engine/log/query_internal.h"

enum { TOKENS_MAX = 1 << 16 }; /* more than a leaf can hold */

/* ---- bytes alone ---- */

/* Whether a text may stand in the event otherwise than dv_query_json_escape writes it: RFC 8259
 * section 7 lets a writer put any character as \uXXXX, and a slash as \/. */
static bool has_odd_escapes(dv_slice event)
{
    if (event.len == 0) {
        return false;
    }
    const uint8_t *at = event.ptr, *end = event.ptr + event.len;
    while (at < end && (at = memchr(at, '\\', (size_t)(end - at))) != NULL && end - at >= 2) {
        if (at[1] == 'u' || at[1] == '/') {
            return true;
        }
        at += 2;
    }
    return false;
}

static bool may_hold(const dv_query_node *node, dv_slice event)
{
    return node->needle.len == 0 || dv_query_find(event, node->needle) >= 0 ||
           has_odd_escapes(event);
}

static bool may_match(const dv_query_node *node, dv_slice event)
{
    const dv_query_node *child = node->first;
    switch (node->op) {
    case DV_QUERY_AND:
        while (child != NULL && may_match(child, event)) {
            child = child->next;
        }
        return child == NULL;
    case DV_QUERY_OR:
        while (child != NULL && !may_match(child, event)) {
            child = child->next;
        }
        return child != NULL;
    case DV_QUERY_HAS:
    case DV_QUERY_IS:
    case DV_QUERY_LIKE:
        return may_hold(node, event);
    default:
        return true;
    }
}

bool dv_query_may_match(const dv_query *query, dv_slice event)
{
    return may_match(query->root, event);
}

/* ---- values ---- */

static bool is_scalar(uint8_t type)
{
    return type == DV_JSON_STRING || type == DV_JSON_NUMBER || type == DV_JSON_TRUE ||
           type == DV_JSON_FALSE;
}

typedef struct walk {
    const dv_json *json;
    const dv_query_path *path;
    bool objects; /* are visited, too */
    dv_query_visit visit;
    void *data;
    bool seen;
} walk;

static bool walk_from(walk *w, uint32_t token, size_t segment);

/* "12": an element's place; false when it is a name. */
static bool read_place(dv_slice segment, uint32_t *ret_place)
{
    uint32_t place = 0;
    if (segment.len > 6) {
        return false;
    }
    for (size_t i = 0; i < segment.len; i++) {
        if (segment.ptr[i] < '0' || segment.ptr[i] > '9') {
            return false;
        }
        place = place * 10 + (uint32_t)(segment.ptr[i] - '0');
    }
    *ret_place = place;
    return true;
}

static bool walk_array(walk *w, uint32_t array, size_t segment)
{
    const dv_json_token *tokens = w->json->tokens;
    uint32_t place = 0, index = 0;
    bool one = segment < w->path->count && read_place(w->path->segments[segment], &place);
    for (uint32_t at = array + 1; at < tokens[array].next; at = tokens[at].next, index++) {
        if (one && index == place) {
            return walk_from(w, at, segment + 1);
        }
        if (!one && !walk_from(w, at, segment)) {
            return false;
        }
    }
    return true;
}

/* Of the elements, those whose `type` is the selector. */
static bool walk_selected(walk *w, uint32_t token, dv_slice selector, size_t segment)
{
    const dv_json_token *tokens = w->json->tokens;
    bool array = tokens[token].type == DV_JSON_ARRAY;
    uint32_t end = array ? tokens[token].next : token + 1;
    for (uint32_t at = array ? token + 1 : token; at < end; at = tokens[at].next) {
        uint32_t type = dv_json_member(w->json, at, "type");
        if (type != 0 && tokens[type].type == DV_JSON_STRING &&
            dv_slice_eq_nocase(dv_json_raw(w->json, type), selector) &&
            !walk_from(w, at, segment)) {
            return false;
        }
    }
    return true;
}

static bool walk_object(walk *w, uint32_t object, size_t segment)
{
    dv_slice name = w->path->segments[segment];
    ptrdiff_t open = name.ptr[name.len - 1] == ']' ? dv_slice_find_byte(name, '[') : -1;
    dv_slice member_name = open < 0 ? name : dv_slice_sub(name, 0, (size_t)open);
    uint32_t member = dv_json_member_named(w->json, object, member_name);
    if (member == 0) {
        return true;
    }
    if (open < 0) {
        return walk_from(w, member, segment + 1);
    }
    size_t begin = (size_t)open + 1;
    return walk_selected(w, member, dv_slice_sub(name, begin, name.len - begin - 1), segment + 1);
}

/* False: the visit ended it. */
static bool walk_from(walk *w, uint32_t token, size_t segment)
{
    uint8_t type = w->json->tokens[token].type;
    if (type == DV_JSON_ARRAY) {
        return walk_array(w, token, segment);
    }
    if (segment < w->path->count) {
        return type != DV_JSON_OBJECT || walk_object(w, token, segment);
    }
    if (!is_scalar(type) && !(w->objects && type == DV_JSON_OBJECT)) {
        return true;
    }
    w->seen = true;
    return w->visit(w->data, w->json, token);
}

static bool walk_field(const dv_query_field *field, bool first, walk *w)
{
    for (size_t i = 0; i < field->path_count && w->json->count > 0; i++) {
        w->path = &field->paths[i];
        if (!walk_from(w, 0, 0)) {
            return false;
        }
        if (first && w->seen) {
            return true;
        }
    }
    return true;
}

bool dv_query_values(const dv_query_field *field, bool first, const dv_json *json,
                     dv_query_visit visit, void *data)
{
    walk w = {.json = json, .visit = visit, .data = data};
    return walk_field(field, first, &w);
}

/* ---- terms ---- */

typedef struct test {
    const dv_query_node *node;
    dv_arena *arena;
    dv_result result;
    bool matches;
} test;

/* The pieces of a pattern, one behind the other, the first at the front, the last at the end. */
static bool is_like(dv_slice text, const dv_slice *pieces, size_t count)
{
    dv_slice first = pieces[0], last = pieces[count - 1];
    if (count == 1) {
        return dv_slice_eq_nocase(text, first);
    }
    if (text.len < first.len + last.len ||
        !dv_slice_eq_nocase(dv_slice_sub(text, 0, first.len), first) ||
        !dv_slice_eq_nocase(dv_slice_sub(text, text.len - last.len, last.len), last)) {
        return false;
    }
    dv_slice rest = dv_slice_sub(text, first.len, text.len - first.len - last.len);
    for (size_t i = 1; i + 1 < count; i++) {
        ptrdiff_t at = dv_query_find(rest, pieces[i]);
        if (at < 0) {
            return false;
        }
        rest = dv_slice_sub(rest, (size_t)at + pieces[i].len, rest.len);
    }
    return true;
}

static bool is_within(dv_slice text, const dv_query_node *node)
{
    dv_address address;
    if (dv_address_parse(text, &address) != DV_OK) {
        return false;
    }
    size_t bytes = node->prefix / 8, bits = node->prefix % 8;
    if (memcmp(address.bytes, node->network.bytes, bytes) != 0) {
        return false;
    }
    uint8_t mask = (uint8_t)(0xff00U >> bits);
    return bits == 0 || ((address.bytes[bytes] ^ node->network.bytes[bytes]) & mask) == 0;
}

static bool is_between(dv_slice text, const dv_query_node *node)
{
    dv_query_number number;
    if (!dv_query_number_read(text, &number)) {
        return false;
    }
    int low = node->has_low ? dv_query_number_cmp(&number, &node->low) : 1;
    int high = node->has_high ? dv_query_number_cmp(&number, &node->high) : -1;
    return (low > 0 || (low == 0 && !node->low_open)) &&
           (high < 0 || (high == 0 && !node->high_open));
}

static bool is_equal(dv_slice text, uint8_t type, const dv_query_node *node)
{
    dv_query_number number;
    if (type == DV_JSON_NUMBER) {
        return node->has_low && dv_query_number_read(text, &number) &&
               dv_query_number_cmp(&number, &node->low) == 0;
    }
    return dv_slice_eq_nocase(text, node->text);
}

bool dv_query_term_holds(const dv_query_node *node, dv_slice text, dv_json_type type)
{
    switch (node->op) {
    case DV_QUERY_IS:
        return is_equal(text, type, node);
    case DV_QUERY_LIKE:
        return is_like(text, node->pieces, node->piece_count);
    case DV_QUERY_BETWEEN:
        return type == DV_JSON_NUMBER && is_between(text, node);
    case DV_QUERY_WITHIN:
        return type == DV_JSON_STRING && is_within(text, node);
    case DV_QUERY_HAS:
        return dv_query_find(text, node->text) >= 0;
    default:
        return node->op == DV_QUERY_EXISTS;
    }
}

/* The text of a value: strings decoded, all else as it is written. */
static dv_result value_text(const dv_json *json, uint32_t token, dv_arena *arena,
                            dv_slice *ret_text)
{
    if (json->tokens[token].type == DV_JSON_STRING) {
        return dv_json_string(json, token, arena, ret_text);
    }
    *ret_text = dv_json_raw(json, token);
    return DV_OK;
}

static bool test_value(void *data, const dv_json *json, uint32_t token)
{
    test *t = data;
    dv_slice text = {NULL, 0};
    uint8_t type = json->tokens[token].type;
    if (t->node->op == DV_QUERY_EXISTS) {
        t->matches = true;
        return false;
    }
    t->result = value_text(json, token, t->arena, &text);
    t->matches = t->result == DV_OK && dv_query_term_holds(t->node, text, type);
    return t->result == DV_OK && !t->matches;
}

static dv_result test_field(const dv_query_node *node, const dv_json *json, dv_arena *arena,
                            bool *ret_matches)
{
    test t = {.node = node, .arena = arena, .result = DV_OK};
    walk w = {
        .json = json, .objects = node->op == DV_QUERY_EXISTS, .visit = test_value, .data = &t};
    (void)walk_field(node->field, false, &w);
    *ret_matches = t.matches;
    return t.result;
}

/* Every value of the event, wherever it stands. */
static dv_result test_all(const dv_query_node *node, const dv_json *json, bool escaped_alone,
                          dv_arena *arena, bool *ret_matches)
{
    test t = {.node = node, .arena = arena, .result = DV_OK};
    for (uint32_t i = 0; i < json->count && !t.matches && t.result == DV_OK; i++) {
        if (is_scalar(json->tokens[i].type) && (json->tokens[i].escaped || !escaped_alone)) {
            (void)test_value(&t, json, i);
        }
    }
    *ret_matches = t.matches;
    return t.result;
}

/* The token that the byte lies in, or the last one before it. */
static uint32_t token_at(const dv_json *json, size_t offset)
{
    uint32_t low = 0, high = json->count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (json->tokens[middle].start <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Where the needle stands in the text, it stands in a value, a name or in between; a value with
 * escapes is looked at as it reads. */
static dv_result test_text(const dv_query_node *node, const dv_json *json, dv_arena *arena,
                           bool *ret_matches)
{
    dv_slice rest = json->text;
    ptrdiff_t found;
    while ((found = dv_query_find(rest, node->needle)) >= 0) {
        size_t offset = (size_t)(rest.ptr - json->text.ptr) + (size_t)found;
        uint32_t token = token_at(json, offset);
        const dv_json_token *t = &json->tokens[token];
        if (is_scalar(t->type) && !t->escaped && offset + node->needle.len <= t->start + t->len) {
            *ret_matches = true;
            return DV_OK;
        }
        rest = dv_slice_sub(json->text, offset + 1, json->text.len);
    }
    return test_all(node, json, true, arena, ret_matches);
}

/* What is no JSON has no fields; its bytes can be searched. */
static bool test_damaged(const dv_query_node *node, dv_slice event)
{
    return node->op == DV_QUERY_HAS && dv_query_find(event, node->text) >= 0;
}

static dv_result test_term(const dv_query_node *node, dv_query_event *event, dv_arena *arena,
                           bool *ret_matches)
{
    const dv_json *json;
    DV_TRY(dv_query_event_json(event, arena, &json));
    if (json == NULL) {
        *ret_matches = test_damaged(node, event->text);
        return DV_OK;
    }
    if (node->field != NULL) {
        return test_field(node, json, arena, ret_matches);
    }
    return node->op == DV_QUERY_HAS ? test_text(node, json, arena, ret_matches)
                                    : test_all(node, json, false, arena, ret_matches);
}

/* ---- the tree ---- */

static dv_result test_node(const dv_query_node *node, dv_query_event *event, dv_arena *arena,
                           bool *ret_matches)
{
    bool any = node->op == DV_QUERY_OR;
    switch (node->op) {
    case DV_QUERY_ALL:
        *ret_matches = true;
        return DV_OK;
    case DV_QUERY_NOT:
        DV_TRY(test_node(node->first, event, arena, ret_matches));
        *ret_matches = !*ret_matches;
        return DV_OK;
    case DV_QUERY_AND:
    case DV_QUERY_OR:
        for (const dv_query_node *child = node->first; child != NULL; child = child->next) {
            DV_TRY(test_node(child, event, arena, ret_matches));
            if (*ret_matches == any) {
                return DV_OK;
            }
        }
        return DV_OK;
    default:
        return test_term(node, event, arena, ret_matches);
    }
}

dv_result dv_query_event_json(dv_query_event *event, dv_arena *arena, const dv_json **ret_json)
{
    static const dv_json_limits limits = {.depth = DV_LIMIT_JSON_DEPTH, .tokens = TOKENS_MAX};
    if (!event->scanned) {
        dv_result result = dv_json_scan(event->text, &limits, arena, &event->json, NULL);
        if (result == DV_ERR_NO_MEMORY) {
            return result;
        }
        event->scanned = true;
        event->damaged = result != DV_OK;
    }
    *ret_json = event->damaged ? NULL : &event->json;
    return DV_OK;
}

dv_result dv_query_matches(const dv_query *query, dv_query_event *event, dv_arena *arena,
                           bool *ret_matches)
{
    bool matches = false;
    if (may_match(query->root, event->text)) {
        DV_TRY(test_node(query->root, event, arena, &matches));
    }
    *ret_matches = matches;
    return DV_OK;
}
