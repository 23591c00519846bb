/* SPDX-License-Identifier: Apache-2.0 */
/* Which members a body may have. A denial names the member by its JSON pointer (RFC 6901). */
#include "room/api/gate/api_request.h"

#include "base/caps.h"
#include "room/api/gate/api_url.h"

enum { CHOICES_MAX = 128, PARTS_DEPTH = 4 };

typedef struct checker {
    const dv_api_config *config;
    const dv_api_route *route;
    const dv_json *json;
    dv_arena *arena;
    dv_api_body *body;
    dv_verdict *verdict;
} checker;

static dv_json_type type_of(const checker *c, uint32_t token)
{
    return (dv_json_type)c->json->tokens[token].type;
}

static uint32_t next_of(const checker *c, uint32_t token)
{
    return c->json->tokens[token].next;
}

/* Appends the step from the container to its child that holds the target; a key stands for its
 * member. */
static dv_result descend(const checker *c, uint32_t *at, uint32_t target, dv_buf *out)
{
    bool object = type_of(c, *at) == DV_JSON_OBJECT;
    uint32_t child = *at + 1;
    uint32_t index = 0;
    while (next_of(c, child) <= target) {
        child = next_of(c, child);
        index++;
    }
    if (!object) {
        *at = child;
        return dv_buf_append_printf(out, "/%u", index);
    }
    dv_slice name = {0};
    DV_TRY(dv_json_string(c->json, child, c->arena, &name));
    *at = child == target ? target : child + 1;
    return dv_json_append_step(out, name);
}

/* The pointer to a token, cut where it gets too long to be told. */
static dv_slice pointer_to(const checker *c, uint32_t target)
{
    dv_auto(buf) dv_buf out = dv_buf_init(DV_API_POINTER_MAX);
    dv_slice copy = {0};
    uint32_t at = 0;
    size_t whole = 0; /* half a name could be half a secret, which nobody would find */
    while (at != target && descend(c, &at, target, &out) == DV_OK) {
        whole = dv_buf_slice(&out).len;
    }
    return dv_arena_copy(c->arena, dv_slice_sub(dv_buf_slice(&out), 0, whole), &copy) == DV_OK
               ? copy
               : DV_LIT("");
}

dv_result dv_api_body_deny(const dv_api_body *body, const char *why, dv_verdict *verdict)
{
    dv_verdict_deny(verdict, DV_REASON_BAD_FIELD, "%.*s%s%s", DV_SLICE_ARGS(body->param),
                    body->param.len > 0 ? ": " : "", why);
    return DV_ERR_INVALID;
}

static dv_result deny(const checker *c, uint32_t token, const char *why)
{
    c->body->param = pointer_to(c, token);
    return dv_api_body_deny(c->body, why, c->verdict);
}

static dv_result deny_top(const checker *c, dv_slice name, const char *why)
{
    const char *pointer = dv_arena_printf(c->arena, "/%.*s", DV_SLICE_ARGS(name));
    c->body->param = dv_slice_str(pointer);
    return dv_api_body_deny(c->body, why, c->verdict);
}

/* The schema of a tool's parameters names the caller's own things: /tools/N/function/parameters
 * (OpenAI), /tools/N/parameters (its responses) and /tools/N/input_schema (Anthropic). */
static bool is_tool_schema(const checker *c, uint32_t key, uint32_t tools)
{
    if (tools == 0 || key < tools || key >= next_of(c, tools)) {
        return false;
    }
    unsigned depth = c->json->tokens[key].depth - c->json->tokens[tools].depth;
    dv_slice name = dv_json_raw(c->json, key);
    bool parameters = dv_slice_eq_str(name, "parameters");
    return depth == 3 ? parameters
                      : depth == 2 && (parameters || dv_slice_eq_str(name, "input_schema"));
}

static bool is_private_url(const checker *c, uint32_t key, dv_slice name)
{
    dv_slice value = {0};
    return type_of(c, key + 1) == DV_JSON_STRING && dv_api_url_names(name) &&
           (dv_json_string(c->json, key + 1, c->arena, &value) != DV_OK ||
            dv_api_url_is_private(value));
}

static inline bool is_ascii(dv_slice name)
{
    uint32_t any = 0;
    uint32_t word = 0;
    if (name.len < sizeof(word)) {
        return name.len == 0 ||
               ((name.ptr[0] | name.ptr[name.len / 2] | name.ptr[name.len - 1]) & 0x80) == 0;
    }
    for (size_t at = 0; at < name.len; at += sizeof(word)) {
        memcpy(&word, name.ptr + DV_MIN(at, name.len - sizeof(word)), sizeof(word));
        any |= word;
    }
    return (any & 0x80808080) == 0;
}

/* Some programs match names as Unicode folds their letters (Go's JSON): the long s (U+017F) and the
 * Kelvin sign (U+212A) are s and k to them. Those become these here. */
static dv_result fold_letters(const checker *c, dv_slice *name)
{
    uint8_t *out = dv_arena_alloc_raw(c->arena, name->len);
    size_t len = 0;
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (dv_slice rest = *name; rest.len > 0;) {
        bool s = dv_slice_starts_with(rest, DV_LIT("\xc5\xbf"));
        bool k = dv_slice_starts_with(rest, DV_LIT("\xe2\x84\xaa"));
        out[len++] = s ? 's' : k ? 'k' : rest.ptr[0];
        rest = dv_slice_sub(rest, s ? 2 : k ? 3 : 1, rest.len);
    }
    *name = dv_slice_of(out, len);
    return DV_OK;
}

static dv_result check_key(const checker *c, uint32_t key)
{
    dv_slice name = {0};
    if (dv_json_string(c->json, key, c->arena, &name) != DV_OK ||
        (!is_ascii(name) && fold_letters(c, &name) != DV_OK) ||
        dv_api_names_have_nocase(&c->config->refused_fields, name)) {
        return deny(c, key, "this field is not allowed");
    }
    if (is_private_url(c, key, name)) {
        return deny(c, key, "this URL does not lead to the public internet");
    }
    return DV_OK;
}

static dv_result check_refused(const checker *c)
{
    bool object = type_of(c, 0) == DV_JSON_OBJECT;
    uint32_t tools = object ? dv_json_member(c->json, 0, "tools") : 0;
    uint32_t i = 0;
    while (i < c->json->count) {
        if (type_of(c, i) != DV_JSON_KEY) {
            i++;
            continue;
        }
        DV_TRY(check_key(c, i));
        i = is_tool_schema(c, i, tools) ? next_of(c, i) : i + 1;
    }
    return DV_OK;
}

static dv_result check_allowed(const checker *c)
{
    if (c->route->any_field) {
        return DV_OK;
    }
    for (uint32_t key = 1; key < c->json->count; key = next_of(c, key)) {
        dv_slice name = {0};
        DV_TRY(dv_json_string(c->json, key, c->arena, &name));
        if (!dv_api_names_have(&c->route->fields, name)) {
            return deny(c, key, "the route does not know this field");
        }
    }
    return DV_OK;
}

static bool has_type(const checker *c, uint32_t token, unsigned types)
{
    int64_t number = 0;
    switch (type_of(c, token)) {
    case DV_JSON_OBJECT:
        return (types & DV_TYPE_OBJECT) != 0;
    case DV_JSON_ARRAY:
        return (types & DV_TYPE_ARRAY) != 0;
    case DV_JSON_STRING:
        return (types & DV_TYPE_STRING) != 0;
    case DV_JSON_TRUE:
    case DV_JSON_FALSE:
        return (types & DV_TYPE_BOOL) != 0;
    case DV_JSON_NULL:
        return (types & DV_TYPE_NULL) != 0;
    case DV_JSON_NUMBER:
        return (types & DV_TYPE_NUMBER) != 0 ||
               ((types & DV_TYPE_INT) != 0 && dv_json_int(c->json, token, &number) == DV_OK &&
                number >= 0);
    case DV_JSON_KEY:
        break;
    }
    return false;
}

static bool is_known_part(const checker *c, uint32_t type)
{
    const char *const *parts = c->route->protocol->parts;
    if (type == 0 || type_of(c, type) != DV_JSON_STRING) {
        return false;
    }
    for (size_t i = 0; parts[i] != NULL; i++) {
        if (dv_slice_eq_str(dv_json_raw(c->json, type), parts[i])) {
            return true;
        }
    }
    return false;
}

static dv_result deny_folded(const checker *c, uint32_t key)
{
    return deny(c, key, "is another member's name in other letters");
}

enum { FIELDS_MAX = 5 };

/* Finds members of an object in one walk. Of one that a model server might take for another the
 * gate could not say which of the two counts. */
static dv_result find_fields(const checker *c, uint32_t object, const dv_slice *names,
                             uint32_t values[FIELDS_MAX])
{
    uint32_t end = next_of(c, object);
    for (uint32_t key = object + 1; key < end; key = next_of(c, key)) {
        dv_slice name = {0};
        size_t i = 0;
        DV_TRY(dv_json_string(c->json, key, c->arena, &name));
        while (names[i].len > 0 && !dv_slice_eq(name, names[i])) {
            i++;
        }
        if (names[i].len > 0) {
            values[i] = key + 1;
            continue;
        }
        if (!is_ascii(name)) {
            DV_TRY(fold_letters(c, &name));
        }
        for (i = 0; names[i].len > 0; i++) {
            if (dv_slice_eq_nocase(name, names[i])) {
                return deny_folded(c, key);
            }
        }
    }
    return DV_OK;
}

static dv_result check_parts(const checker *c, uint32_t parts, unsigned depth);

/* Images, audio and files can't be inspected here, so an inspected route refuses them. */
static dv_result check_part(const checker *c, uint32_t part, unsigned depth)
{
    if (type_of(c, part) != DV_JSON_OBJECT) {
        return deny(c, part, "a content part must be an object");
    }
    static const dv_slice names[] = {DV_LIT("type"), DV_LIT("content"), {NULL, 0}};
    uint32_t values[FIELDS_MAX] = {0};
    DV_TRY(find_fields(c, part, names, values));
    uint32_t type = values[0];
    if (!is_known_part(c, type)) {
        return deny(c, type != 0 ? type : part, "this kind of content can not be inspected");
    }
    return values[1] != 0 ? check_parts(c, values[1], depth + 1) : DV_OK;
}

/* Text, nothing, or a list of parts. */
static dv_result check_parts(const checker *c, uint32_t parts, unsigned depth)
{
    if (depth > PARTS_DEPTH) {
        return deny(c, parts, "content is nested too deeply");
    }
    if (type_of(c, parts) == DV_JSON_STRING || type_of(c, parts) == DV_JSON_NULL) {
        return DV_OK;
    }
    if (type_of(c, parts) != DV_JSON_ARRAY) {
        return deny(c, parts, "content must be a string or a list of parts");
    }
    uint32_t end = next_of(c, parts);
    for (uint32_t part = parts + 1; part < end; part = next_of(c, part)) {
        DV_TRY(check_part(c, part, depth));
    }
    return DV_OK;
}

static dv_result check_message(const checker *c, uint32_t turn)
{
    static const dv_slice names[] = {DV_LIT("role"), DV_LIT("content"), {NULL, 0}};
    uint32_t values[FIELDS_MAX] = {0};
    if (type_of(c, turn) != DV_JSON_OBJECT) {
        return deny(c, turn, "a message must be an object");
    }
    DV_TRY(find_fields(c, turn, names, values));
    uint32_t role = values[0];
    if (role == 0 || type_of(c, role) != DV_JSON_STRING) {
        return deny(c, role != 0 ? role : turn, "a message needs a role");
    }
    bool inspected = c->route->request_policy >= 0;
    return values[1] != 0 && inspected ? check_parts(c, values[1], 0) : DV_OK;
}

static dv_result check_messages(const checker *c, uint32_t messages)
{
    uint32_t end = next_of(c, messages);
    if (end == messages + 1) {
        return deny(c, messages, "must not be empty");
    }
    for (uint32_t turn = messages + 1; turn < end; turn = next_of(c, turn)) {
        DV_TRY(check_message(c, turn));
    }
    return DV_OK;
}

/* One item of a conversation. Those that stand for what lies at the model server (item_reference)
 * and pictures of screens can't be inspected. */
static dv_result check_item(const checker *c, uint32_t item)
{
    static const char *const types[] = {
        "message",          "function_call",           "reasoning",       "function_call_output",
        "custom_tool_call", "custom_tool_call_output", "web_search_call", "file_search_call"};
    enum { TYPE, ROLE, LISTS };
    static const dv_slice names[] = {DV_LIT("type"),    DV_LIT("role"),   DV_LIT("content"),
                                     DV_LIT("summary"), DV_LIT("output"), {NULL, 0}};
    uint32_t values[FIELDS_MAX] = {0};
    if (type_of(c, item) != DV_JSON_OBJECT) {
        return deny(c, item, "an item must be an object");
    }
    DV_TRY(find_fields(c, item, names, values));
    uint32_t type = values[TYPE];
    bool known = type == 0 && values[ROLE] != 0;
    for (size_t i = 0; type != 0 && i < DV_ARRAY_LEN(types); i++) {
        known |= type_of(c, type) == DV_JSON_STRING &&
                 dv_slice_eq_str(dv_json_raw(c->json, type), types[i]);
    }
    if (!known) {
        return deny(c, type != 0 ? type : item, "this kind of item can not be inspected");
    }
    for (size_t i = LISTS; i < FIELDS_MAX; i++) {
        if (values[i] != 0) {
            DV_TRY(check_parts(c, values[i], 0));
        }
    }
    return DV_OK;
}

static dv_result check_items(const checker *c, uint32_t value)
{
    if (type_of(c, value) != DV_JSON_ARRAY || c->route->request_policy < 0) {
        return DV_OK;
    }
    uint32_t end = next_of(c, value);
    for (uint32_t item = value + 1; item < end; item = next_of(c, item)) {
        DV_TRY(check_item(c, item));
    }
    return DV_OK;
}

/* More of an answer: what is known to be text, and not the text again in tokens. */
static dv_result check_include(const checker *c, uint32_t value)
{
    static const char *const names[] = {"reasoning.encrypted_content", "file_search_call.results",
                                        "web_search_call.results", "web_search_call.action.sources",
                                        "code_interpreter_call.outputs"};
    bool inspected = c->route->request_policy >= 0 || c->route->answer_policy >= 0;
    if (type_of(c, value) != DV_JSON_ARRAY || !inspected) {
        return DV_OK;
    }
    uint32_t end = next_of(c, value);
    for (uint32_t item = value + 1; item < end; item = next_of(c, item)) {
        bool known = false;
        for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
            known |= type_of(c, item) == DV_JSON_STRING &&
                     dv_slice_eq_str(dv_json_raw(c->json, item), names[i]);
        }
        if (!known) {
            return deny(c, item, "what it would add can not be inspected");
        }
    }
    return DV_OK;
}

/* Each text of a list is answered apart; a list of token ids is one text. */
static void count_prompts(const checker *c, uint32_t value)
{
    uint32_t end = next_of(c, value);
    if (type_of(c, value) != DV_JSON_ARRAY) {
        return;
    }
    for (uint32_t item = value + 1; item < end; item = next_of(c, item)) {
        c->body->prompts += type_of(c, item) != DV_JSON_NUMBER;
    }
    c->body->prompts -= c->body->prompts > 1;
}

static dv_result check_text(const checker *c, uint32_t value)
{
    count_prompts(c, value);
    if (type_of(c, value) != DV_JSON_ARRAY || c->route->request_policy < 0) {
        return DV_OK;
    }
    uint32_t end = next_of(c, value);
    for (uint32_t item = value + 1; item < end; item = next_of(c, item)) {
        if (type_of(c, item) != DV_JSON_STRING) {
            return deny(c, item, "must be text: token ids can not be inspected");
        }
    }
    return DV_OK;
}

static dv_result check_leak(const checker *c, uint32_t value)
{
    bool inspected = c->route->request_policy >= 0 || c->route->answer_policy >= 0;
    dv_json_type type = type_of(c, value);
    if (!inspected || type == DV_JSON_FALSE || type == DV_JSON_NULL) {
        return DV_OK;
    }
    return deny(c, value, "must be off: what it returns can not be inspected");
}

static dv_result read_model(const checker *c, uint32_t value)
{
    DV_TRY(dv_json_string(c->json, value, c->arena, &c->body->model));
    DV_TRY(dv_api_model_counted(c->body->model, c->arena, &c->body->counted));
    dv_result result = dv_api_model_entity(c->body->model, c->arena, &c->body->entity);
    return result == DV_ERR_INVALID ? deny(c, value, "is no model name") : result;
}

/* A model server may heed the largest of them, or its own alone. */
static dv_result read_bound(const checker *c, uint32_t value, dv_slice name)
{
    int64_t number = 0;
    if (type_of(c, value) != DV_JSON_NUMBER) {
        return DV_OK;
    }
    DV_TRY(dv_json_int(c->json, value, &number));
    if (number < 1) { /* servers take 0 for no bound */
        return deny(c, value, "must be at least 1");
    }
    if (c->route->max_tokens > 0 && (uint64_t)number > c->route->max_tokens) {
        return deny(c, value, "is more than the route allows");
    }
    c->body->max_tokens = DV_MAX(c->body->max_tokens, number);
    c->body->cap_said |= c->route->cap != NULL && dv_slice_eq_str(name, c->route->cap);
    return DV_OK;
}

static dv_result read_choices(const checker *c, uint32_t value)
{
    int64_t number = 0;
    if (type_of(c, value) != DV_JSON_NUMBER) {
        return DV_OK;
    }
    DV_TRY(dv_json_int(c->json, value, &number));
    if (number < 1 || number > CHOICES_MAX) {
        return deny(c, value, "must be from 1 to 128");
    }
    c->body->choices = DV_MAX(c->body->choices, number);
    return DV_OK;
}

static dv_result check_role(const checker *c, const dv_api_member *member, uint32_t value)
{
    switch (member->role) {
    case DV_ROLE_PLAIN:
        return DV_OK;
    case DV_ROLE_MODEL:
        return read_model(c, value);
    case DV_ROLE_STREAM:
        c->body->stream = type_of(c, value) == DV_JSON_TRUE;
        return DV_OK;
    case DV_ROLE_MAX_TOKENS:
        return read_bound(c, value, member->name);
    case DV_ROLE_CHOICES:
        return read_choices(c, value);
    case DV_ROLE_MESSAGES:
        return check_messages(c, value);
    case DV_ROLE_PARTS:
        return c->route->request_policy >= 0 ? check_parts(c, value, 0) : DV_OK;
    case DV_ROLE_TEXT:
        return check_text(c, value);
    case DV_ROLE_ITEMS:
        return check_items(c, value);
    case DV_ROLE_INCLUDE:
        return check_include(c, value);
    case DV_ROLE_LEAK:
        return check_leak(c, value);
    }
    return DV_ERR_INTERNAL;
}

static dv_result check_member(const checker *c, const dv_api_member *member, uint32_t value)
{
    if (value == 0) {
        return member->needed ? deny_top(c, member->name, "is needed") : DV_OK;
    }
    if (!has_type(c, value, member->types)) {
        return deny(c, value, "has the wrong type");
    }
    return check_role(c, member, value);
}

static dv_result check_unknown(const checker *c, uint32_t key, dv_slice name)
{
    const dv_api_member *members = c->route->protocol->members;
    if (!is_ascii(name)) {
        DV_TRY(fold_letters(c, &name));
    }
    for (size_t i = 0; members[i].name.len > 0; i++) {
        if (dv_slice_eq_nocase(name, members[i].name)) {
            return deny_folded(c, key);
        }
    }
    return DV_OK;
}

/* Finds the members' values in one walk; of duplicates the last one, as dv_json_member does. */
static dv_result find_members(const checker *c, uint32_t values[DV_API_MEMBERS_MAX])
{
    const dv_api_member *members = c->route->protocol->members;
    for (uint32_t key = 1; key < c->json->count; key = next_of(c, key)) {
        dv_slice name = {0};
        size_t i = 0;
        DV_TRY(dv_json_string(c->json, key, c->arena, &name));
        while (members[i].name.len > 0 && !dv_slice_eq(members[i].name, name)) {
            i++;
        }
        if (members[i].name.len > 0) {
            values[i] = key + 1;
        } else if (c->route->any_field) {
            DV_TRY(check_unknown(c, key, name));
        }
    }
    return DV_OK;
}

static dv_result check_members(const checker *c)
{
    const dv_api_member *members = c->route->protocol->members;
    uint32_t values[DV_API_MEMBERS_MAX] = {0};
    DV_TRY(find_members(c, values));
    for (size_t i = 0; members[i].name.len > 0; i++) {
        DV_TRY(check_member(c, &members[i], values[i]));
    }
    return DV_OK;
}

dv_result dv_api_body_check(const dv_api_config *config, const dv_api_route *route,
                            const dv_json *json, dv_arena *arena, dv_api_body *ret_body,
                            dv_verdict *verdict)
{
    dv_api_body body = {.max_tokens = -1, .choices = 1, .prompts = 1};
    checker c = {config, route, json, arena, ret_body, verdict};
    *ret_body = body;
    if (type_of(&c, 0) != DV_JSON_OBJECT) {
        if (route->protocol->object_body || !route->any_field) {
            dv_verdict_deny(verdict, DV_REASON_BAD_REQUEST, "the body must be a JSON object");
            return DV_ERR_INVALID;
        }
        return check_refused(&c);
    }
    DV_TRY(check_refused(&c));
    DV_TRY(check_allowed(&c));
    return check_members(&c);
}
