/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/dvarad_router.h"

#include "base/caps.h"
#include "base/codec.h"
#include "base/json.h"

/* Decodes %XX; in queries '+' is a space (WHATWG URL, application/x-www-form-urlencoded). */
static dv_result decode(dv_slice raw, bool query, dv_arena *arena, dv_slice *ret_text,
                        dv_error *error)
{
    uint8_t *out = dv_arena_alloc_raw(arena, raw.len + 1);
    if (out == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t byte = raw.ptr[i];
        if (byte == '%') {
            if (dv_hex_decode(dv_slice_sub(raw, i + 1, 2), &byte, 1) != DV_OK) {
                return dv_error_set(error, DV_ERR_INVALID, "The path has a %% that is no escape.");
            }
            i += 2;
        } else if (byte == '+' && query) {
            byte = ' ';
        }
        if (byte < 0x20 || byte == 0x7f) {
            return dv_error_set(error, DV_ERR_INVALID, "The path has a control character.");
        }
        out[len++] = byte;
    }
    if (!dv_utf8_valid(dv_slice_of(out, len))) {
        return dv_error_set(error, DV_ERR_INVALID, "The path is not UTF-8.");
    }
    *ret_text = dv_slice_of(out, len);
    return DV_OK;
}

dv_result dv_route_parse(dv_slice target, dv_arena *arena, dv_route_path *ret_path, dv_error *error)
{
    if (target.len > DV_ROUTE_TARGET_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "The path is too long.");
    }
    if (target.len < 2 || target.ptr[0] != '/') {
        return dv_error_set(error, DV_ERR_INVALID, "The path must begin with /.");
    }
    dv_route_path path = {0};
    dv_slice rest = dv_slice_sub(target, 1, target.len), part;
    ptrdiff_t question = dv_slice_find_byte(rest, '?');
    if (question >= 0) {
        path.query = dv_slice_sub(rest, (size_t)question + 1, rest.len);
        rest = dv_slice_sub(rest, 0, (size_t)question);
    }
    while (dv_slice_split(&rest, '/', &part)) {
        if (path.count == DV_ROUTE_SEGMENTS_MAX) {
            return dv_error_set(error, DV_ERR_TOO_LARGE, "The path has too many segments.");
        }
        dv_slice *segment = &path.segments[path.count++];
        DV_TRY(decode(part, false, arena, segment, error));
        if (segment->len == 0 || dv_slice_eq_str(*segment, ".") ||
            dv_slice_eq_str(*segment, "..")) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "The path has an empty segment, \".\" or \"..\".");
        }
    }
    *ret_path = path;
    return DV_OK;
}

/* How well the operation's path fits: -1 not at all, otherwise the number of literal segments. */
static int fit(const dv_operation *operation, const dv_route_path *path)
{
    dv_slice rest = dv_slice_str(operation->path + 1), part;
    size_t i = 0;
    int literals = 0;
    for (; dv_slice_split(&rest, '/', &part); i++) {
        if (i == path->count) {
            return -1;
        }
        if (part.ptr[0] == '{') {
            continue;
        }
        if (!dv_slice_eq(part, path->segments[i])) {
            return -1;
        }
        literals++;
    }
    return i == path->count ? literals : -1;
}

const dv_operation *dv_route_find(dv_slice method, const dv_route_path *path)
{
    const dv_operation *best = NULL;
    int best_fit = -1;
    for (size_t i = 0; i < dv_operation_count; i++) {
        int literals = fit(&dv_operations[i], path);
        if (literals > best_fit && dv_slice_eq_str(method, dv_operations[i].method)) {
            best = &dv_operations[i];
            best_fit = literals;
        }
    }
    return best;
}

const char *dv_route_allowed(const dv_route_path *path, dv_arena *arena)
{
    const char *allowed = NULL;
    for (size_t i = 0; i < dv_operation_count; i++) {
        const char *method = dv_operations[i].method;
        if (fit(&dv_operations[i], path) >= 0 && (allowed == NULL || !strstr(allowed, method))) {
            allowed = allowed == NULL ? method : dv_arena_printf(arena, "%s, %s", allowed, method);
        }
    }
    return allowed;
}

static const dv_schema_field *find_field(const dv_schema *schema, dv_slice name)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        if (dv_slice_eq_str(name, schema->fields[i].name)) {
            return &schema->fields[i];
        }
    }
    return NULL;
}

/* Notes the parameter's name for the error. */
static dv_result refuse(char field[DV_FIELD_MAX], dv_slice name, dv_error *error, const char *what)
{
    snprintf(field, DV_FIELD_MAX, "%.*s", (int)DV_MIN(name.len, DV_FIELD_MAX - 1), name.ptr);
    return dv_error_set(error, DV_ERR_INVALID, "The parameter %s %s.", field, what);
}

/* Adds one parameter; a list that is repeated grows. */
static dv_result add_param(const dv_schema_field *declared, dv_slice text, json_t *params,
                           char field[DV_FIELD_MAX], dv_error *error)
{
    json_t *value = NULL;
    dv_error detail = {0};
    dv_result result = dv_check_read(declared->schema, text, &value, &detail);
    if (result != DV_OK) {
        return result == DV_ERR_NO_MEMORY
                   ? result
                   : refuse(field, dv_slice_str(declared->name), error, detail.message);
    }
    json_t *before = json_object_get(params, declared->name);
    if (before == NULL) {
        return json_object_set_new(params, declared->name, value) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
    }
    if (json_is_array(before)) {
        int failed = json_array_extend(before, value);
        json_decref(value);
        return failed ? DV_ERR_NO_MEMORY : DV_OK;
    }
    json_decref(value);
    return refuse(field, dv_slice_str(declared->name), error, "stands twice");
}

static dv_result read_path(const dv_operation *operation, const dv_route_path *path, json_t *params,
                           char field[DV_FIELD_MAX], dv_error *error)
{
    dv_slice rest = dv_slice_str(operation->path + 1), part;
    for (size_t i = 0; dv_slice_split(&rest, '/', &part) && i < path->count; i++) {
        if (part.ptr[0] != '{') {
            continue;
        }
        dv_slice name = dv_slice_sub(part, 1, part.len - 2);
        const dv_schema_field *declared = find_field(operation->params, name);
        if (declared == NULL) {
            return DV_ERR_INTERNAL; /* the generator refuses such a declaration */
        }
        DV_TRY(add_param(declared, path->segments[i], params, field, error));
    }
    return DV_OK;
}

static dv_result read_query(const dv_operation *operation, dv_slice query, dv_arena *arena,
                            json_t *params, char field[DV_FIELD_MAX], dv_error *error)
{
    dv_slice pair, name, value;
    for (size_t count = 0; query.len > 0 && dv_slice_split(&query, '&', &pair); count++) {
        if (count == DV_ROUTE_QUERY_MAX) {
            return dv_error_set(error, DV_ERR_TOO_LARGE, "There are too many parameters.");
        }
        dv_slice rest = pair;
        if (!dv_slice_split(&rest, '=', &name)) {
            name = (dv_slice){0};
        }
        DV_TRY(decode(name, true, arena, &name, error));
        DV_TRY(decode(rest, true, arena, &value, error));
        const dv_schema_field *declared = find_field(operation->params, name);
        if (declared == NULL || declared->in_path) {
            return refuse(field, name, error, "is unknown");
        }
        DV_TRY(add_param(declared, value, params, field, error));
    }
    return DV_OK;
}

dv_result dv_route_params(const dv_operation *operation, const dv_route_path *path, dv_arena *arena,
                          json_t **ret_params, char field[DV_FIELD_MAX], dv_error *error)
{
    field[0] = '\0';
    json_t *params = json_object();
    if (params == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = read_path(operation, path, params, field, error);
    if (result == DV_OK) {
        result = read_query(operation, path->query, arena, params, field, error);
    }
    if (result == DV_OK) {
        result = dv_check_value(operation->params, params, field, error);
    }
    if (result != DV_OK) {
        json_decref(params);
        return result;
    }
    *ret_params = params;
    return DV_OK;
}

/* The strict scanner finds what is wrong, and where; jansson then makes the tree. */
static dv_result parse_body(dv_slice text, dv_arena *arena, json_t **ret_body, dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = DV_LIMIT_JSON_DEPTH,
        .tokens = DV_LIMIT_JSON_TOKENS,
        .refuse_duplicate_keys = true,
    };
    dv_json json;
    json_error_t detail;
    DV_TRY(dv_json_scan(text, &limits, arena, &json, error));
    json_t *body = json_loadb((const char *)text.ptr, text.len, 0, &detail);
    if (body == NULL) {
        return dv_error_set_at(error, DV_ERR_INVALID, detail.line, detail.column,
                               "The body is not acceptable JSON: %s.", detail.text);
    }
    *ret_body = body;
    return DV_OK;
}

dv_result dv_route_body(const dv_operation *operation, dv_slice text, dv_arena *arena,
                        json_t **ret_body, char field[DV_FIELD_MAX], dv_error *error)
{
    field[0] = '\0';
    if (operation->body == NULL && text.len > 0) {
        return dv_error_set(error, DV_ERR_INVALID, "The operation takes no body.");
    }
    if (operation->body == NULL) {
        *ret_body = NULL;
        return DV_OK;
    }
    if (text.len > DV_LIMIT_CONTROL_BODY) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "The body is larger than %d bytes.",
                            DV_LIMIT_CONTROL_BODY);
    }
    json_t *body = NULL;
    DV_TRY(parse_body(text, arena, &body, error));
    dv_result result = dv_check_value(operation->body, body, field, error);
    if (result != DV_OK) {
        json_decref(body);
        return result;
    }
    *ret_body = body;
    return DV_OK;
}
