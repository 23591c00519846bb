/* SPDX-License-Identifier: Apache-2.0 */
/* A schema as its users see it: reading, looking up, checking requests. */
#include "engine/cedar/lexer.h"
#include "engine/cedar/schema_form.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

static dv_result read_written(dv_cedar_schema *schema, dv_slice text, dv_error *error)
{
    dv_slice trimmed = dv_slice_trim(text);
    bool json = trimmed.len > 0 && trimmed.ptr[0] == '{';

    DV_TRY(json ? dv_cedar_schema_read_json(text, schema->arena, &schema->written, error)
                : dv_cedar_schema_read_text(text, schema->arena, &schema->written, error));
    return dv_cedar_schema_resolve(schema, text, error);
}

dv_result dv_cedar_schema_parse(dv_slice text, dv_cedar_schema **ret_schema, dv_error *error)
{
    if (text.len > DV_LIMIT_CEDAR_SCHEMA) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "a schema may have %d bytes, this has %zu",
                            DV_LIMIT_CEDAR_SCHEMA, text.len);
    }
    DV_TRY(dv_cedar_check_utf8(&(dv_cedar_lexer){.text = text, .error = error}, "the schema is"));
    dv_auto(cedar_schema) dv_cedar_schema *schema = calloc(1, sizeof(*schema));
    if (schema == NULL || (schema->arena = dv_arena_new(DV_LIMIT_CEDAR_FORM)) == NULL) {
        return dv_error_set(error, DV_ERR_NO_MEMORY, "out of memory");
    }
    dv_result result = dv_arena_copy(schema->arena, text, &text);
    if (result == DV_OK) {
        result = read_written(schema, text, error);
    }
    if (result == DV_ERR_NO_MEMORY) {
        return dv_error_set(error, result, "the schema takes more memory than it may");
    }
    DV_TRY(result);
    *ret_schema = schema;
    schema = NULL;
    return DV_OK;
}

void dv_cedar_schema_free(dv_cedar_schema *schema)
{
    if (schema != NULL) {
        dv_arena_free(schema->arena);
        free(schema);
    }
}

const dv_cedar_entity_type *dv_cedar_schema_type(const dv_cedar_schema *schema, dv_slice name)
{
    size_t low = 0, high = schema->type_count;

    while (schema->types != NULL && low < high) {
        size_t middle = low + (high - low) / 2;
        int order = dv_slice_cmp(schema->types[middle].name, name);
        if (order == 0) {
            return &schema->types[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const dv_cedar_action *dv_cedar_schema_action(const dv_cedar_schema *schema, dv_slice uid)
{
    size_t low = 0, high = schema->action_count;

    while (schema->actions != NULL && low < high) {
        size_t middle = low + (high - low) / 2;
        int order = dv_slice_cmp(schema->actions[middle].uid, uid);
        if (order == 0) {
            return &schema->actions[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const dv_cedar_entity_type *dv_cedar_schema_type_of(const dv_cedar_schema *schema, dv_slice uid)
{
    dv_slice type = {0};

    return dv_cedar_uid_type(uid, &type) == DV_OK ? dv_cedar_schema_type(schema, type) : NULL;
}

const dv_cedar_attribute *dv_cedar_static_attribute(const dv_cedar_static *record, dv_slice name)
{
    uint32_t low = 0, high = record->type == DV_CEDAR_RECORD ? record->count : 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = dv_slice_cmp(record->attributes[middle].name, name);
        if (order == 0) {
            return &record->attributes[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static bool has_name(const dv_slice *sorted, size_t count, dv_slice name)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = dv_slice_cmp(sorted[middle], name);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

bool dv_cedar_schema_has_choice(const dv_cedar_entity_type *type, dv_slice uid)
{
    return type->choice_count == 0 || has_name(type->choices, type->choice_count, uid);
}

bool dv_cedar_schema_has_common(const dv_cedar_schema *schema, dv_slice name)
{
    return has_name(schema->commons, schema->common_count, name);
}

/* An action can be in an action of another type when any of its type is. */
static bool actions_can_be_in(const dv_cedar_schema *schema, const dv_cedar_entity_type *type,
                              const dv_cedar_entity_type *ancestor)
{
    for (size_t i = 0; i < schema->action_count; i++) {
        const dv_cedar_action *action = &schema->actions[i];
        for (uint32_t k = 0; action->type == type && k < schema->action_count; k++) {
            if (dv_cedar_bit(action->ancestors, k) && schema->actions[k].type == ancestor) {
                return true;
            }
        }
    }
    return false;
}

bool dv_cedar_schema_can_be_in(const dv_cedar_schema *schema, const dv_cedar_entity_type *type,
                               const dv_cedar_entity_type *ancestor)
{
    if (type == ancestor || dv_cedar_bit(type->ancestors, ancestor->number)) {
        return true;
    }
    return type->action && ancestor->action && actions_can_be_in(schema, type, ancestor);
}

bool dv_cedar_is_action_type(dv_slice type)
{
    return dv_slice_eq_str(type, "Action") || dv_slice_ends_with(type, DV_LIT("::Action"));
}

static dv_result check_place(const dv_cedar_schema *schema, const char *what, dv_slice uid,
                             const dv_cedar_action *action,
                             const dv_cedar_entity_type *const *types, size_t count,
                             dv_error *error)
{
    const dv_cedar_entity_type *type = dv_cedar_schema_type_of(schema, uid);

    if (type == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "the %s %.*s has a type that is not declared",
                            what, DV_SLICE_ARGS(dv_slice_sub(uid, 0, 200)));
    }
    if (!dv_cedar_schema_has_choice(type, uid)) {
        return dv_error_set(error, DV_ERR_INVALID, "there is no %.*s: its type lists its ids",
                            DV_SLICE_ARGS(dv_slice_sub(uid, 0, 200)));
    }
    for (size_t i = 0; i < count; i++) {
        if (types[i] == type) {
            return DV_OK;
        }
    }
    return dv_error_set(error, DV_ERR_INVALID, "%.*s does not apply to a %s of type %.*s",
                        DV_SLICE_ARGS(dv_slice_sub(action->uid, 0, 200)), what,
                        DV_SLICE_ARGS(dv_slice_sub(type->name, 0, 100)));
}

dv_result dv_cedar_schema_check_request(const dv_cedar_schema *schema,
                                        const dv_cedar_request *request, dv_error *error)
{
    static const dv_cedar_value nothing = {.type = DV_CEDAR_RECORD};
    const dv_cedar_action *action = dv_cedar_schema_action(schema, request->action);

    if (action == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "the action %.*s is not declared",
                            DV_SLICE_ARGS(dv_slice_sub(request->action, 0, 200)));
    }
    DV_TRY(check_place(schema, "principal", request->principal, action, action->principals,
                       action->principal_count, error));
    DV_TRY(check_place(schema, "resource", request->resource, action, action->resources,
                       action->resource_count, error));
    return dv_cedar_static_check(schema, action->context,
                                 request->context == NULL ? &nothing : request->context, "context",
                                 error);
}
