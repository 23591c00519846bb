/* SPDX-License-Identifier: Apache-2.0 */
/* Types of expressions and attributes: joining, checking values, printing. */
#include "engine/cedar/static.h"

#include <stdarg.h>

const char *dv_cedar_type_name(dv_cedar_type type)
{
    static const char *const names[] = {
        [DV_CEDAR_BOOL] = "Bool",         [DV_CEDAR_LONG] = "Long",
        [DV_CEDAR_STRING] = "String",     [DV_CEDAR_ENTITY] = "an entity",
        [DV_CEDAR_SET] = "a set",         [DV_CEDAR_RECORD] = "a record",
        [DV_CEDAR_DECIMAL] = "decimal",   [DV_CEDAR_DATETIME] = "datetime",
        [DV_CEDAR_DURATION] = "duration", [DV_CEDAR_IPADDR] = "ipaddr",
    };

    return names[type];
}

const dv_cedar_static *dv_cedar_static_bool(dv_cedar_known_bool known)
{
    static const dv_cedar_static bools[] = {
        {.type = DV_CEDAR_BOOL, .known = DV_CEDAR_EITHER, .depth = 1},
        {.type = DV_CEDAR_BOOL, .known = DV_CEDAR_ALWAYS, .depth = 1},
        {.type = DV_CEDAR_BOOL, .known = DV_CEDAR_NEVER, .depth = 1},
    };

    return &bools[known];
}

const dv_cedar_static *dv_cedar_static_plain(dv_cedar_type type)
{
    static const dv_cedar_static plain[] = {
        [DV_CEDAR_BOOL] = {.type = DV_CEDAR_BOOL, .depth = 1},
        [DV_CEDAR_LONG] = {.type = DV_CEDAR_LONG, .depth = 1},
        [DV_CEDAR_STRING] = {.type = DV_CEDAR_STRING, .depth = 1},
        [DV_CEDAR_DECIMAL] = {.type = DV_CEDAR_DECIMAL, .depth = 1},
        [DV_CEDAR_DATETIME] = {.type = DV_CEDAR_DATETIME, .depth = 1},
        [DV_CEDAR_DURATION] = {.type = DV_CEDAR_DURATION, .depth = 1},
        [DV_CEDAR_IPADDR] = {.type = DV_CEDAR_IPADDR, .depth = 1},
    };

    return &plain[type];
}

static dv_result join_sets(const dv_cedar_types *types, const dv_cedar_static *a,
                           const dv_cedar_static *b, const dv_cedar_static **ret_type)
{
    const dv_cedar_static *element = NULL;

    DV_TRY(dv_cedar_static_join(types, a->element, b->element, &element));
    if (element == NULL || element == a->element) {
        *ret_type = element == NULL ? NULL : a;
        return DV_OK;
    }
    dv_cedar_static *type = dv_arena_alloc(types->arena, sizeof(*type));
    if (type == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *type = *a;
    type->element = element;
    *ret_type = type;
    return DV_OK;
}

/* One attribute of both records; joined->type is NULL when it does not fit. */
static dv_result join_attribute(const dv_cedar_types *types, const dv_cedar_attribute *a,
                                const dv_cedar_attribute *b, dv_cedar_attribute *joined)
{
    *joined = (dv_cedar_attribute){.name = a->name, .optional = a->optional};
    if (a->optional != b->optional || !dv_slice_eq(a->name, b->name)) {
        return DV_OK;
    }
    return dv_cedar_static_join(types, a->type, b->type, &joined->type);
}

static dv_result join_records(const dv_cedar_types *types, const dv_cedar_static *a,
                              const dv_cedar_static *b, const dv_cedar_static **ret_type)
{
    dv_cedar_static *type = dv_arena_alloc(types->arena, sizeof(*type));
    dv_cedar_attribute *joined = dv_arena_alloc(types->arena, (a->count + 1) * sizeof(*joined));
    bool same = true;

    if (type == NULL || joined == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_type = NULL;
    if (a->count != b->count) {
        return DV_OK;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        DV_TRY(join_attribute(types, &a->attributes[i], &b->attributes[i], &joined[i]));
        if (joined[i].type == NULL) {
            return DV_OK;
        }
        same = same && joined[i].type == a->attributes[i].type;
    }
    *type = *a;
    type->attributes = joined;
    *ret_type = same ? a : type;
    return DV_OK;
}

dv_result dv_cedar_static_join(const dv_cedar_types *types, const dv_cedar_static *a,
                               const dv_cedar_static *b, const dv_cedar_static **ret_type)
{
    if (*types->steps == 0) {
        return DV_ERR_TOO_LARGE;
    }
    --*types->steps;
    if (a->type != b->type) {
        *ret_type = NULL;
        return DV_OK;
    }
    switch (a->type) {
    case DV_CEDAR_BOOL:
        *ret_type = a->known == b->known ? a : dv_cedar_static_bool(DV_CEDAR_EITHER);
        return DV_OK;
    case DV_CEDAR_ENTITY:
        *ret_type = a->entity == b->entity ? a : NULL;
        return DV_OK;
    case DV_CEDAR_SET:
        return join_sets(types, a, b, ret_type);
    case DV_CEDAR_RECORD:
        return a == b ? (*ret_type = a, DV_OK) : join_records(types, a, b, ret_type);
    default:
        *ret_type = a;
        return DV_OK;
    }
}

/* ---- values ---- */

static dv_result check_set(const dv_cedar_schema *schema, const dv_cedar_static *type,
                           const dv_cedar_value *value, const char *path, dv_error *error)
{
    for (uint32_t i = 0; i < value->count; i++) {
        DV_TRY(dv_cedar_static_check(schema, type->element, &value->items[i], path, error));
    }
    return DV_OK;
}

static dv_result check_entity(const dv_cedar_schema *schema, const dv_cedar_static *type,
                              const dv_cedar_value *value, const char *path, dv_error *error)
{
    dv_slice shown = dv_slice_sub(value->text, 0, 200);
    const dv_cedar_entity_type *actual = dv_cedar_schema_type_of(schema, value->text);

    if (actual != type->entity) {
        return dv_error_set(error, DV_ERR_INVALID, "%s: %.*s is not of type %.*s", path,
                            DV_SLICE_ARGS(shown),
                            DV_SLICE_ARGS(dv_slice_sub(type->entity->name, 0, 100)));
    }
    if (!dv_cedar_schema_has_choice(actual, value->text)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s: there is no %.*s: its type lists its ids",
                            path, DV_SLICE_ARGS(shown));
    }
    return DV_OK;
}

/* Both lists are sorted by name, so that one walk over the two finds all that differs. */
static dv_result check_record(const dv_cedar_schema *schema, const dv_cedar_static *type,
                              const dv_cedar_value *value, const char *path, dv_error *error)
{
    char inner[DV_ERROR_MESSAGE_MAX / 2];
    uint32_t found = 0;

    for (uint32_t i = 0; i < type->count; i++) {
        const dv_cedar_attribute *attribute = &type->attributes[i];
        const dv_cedar_value *item = dv_cedar_get(value, attribute->name);
        dv_slice shown = dv_slice_sub(attribute->name, 0, 40);
        if (item == NULL && !attribute->optional) {
            return dv_error_set(error, DV_ERR_INVALID, "%s lacks the attribute '%.*s'", path,
                                DV_SLICE_ARGS(shown));
        }
        if (item != NULL) {
            found++;
            snprintf(inner, sizeof(inner), "%s.%.*s", path, DV_SLICE_ARGS(shown));
            DV_TRY(dv_cedar_static_check(schema, attribute->type, item, inner, error));
        }
    }
    for (uint32_t i = 0; found < value->count && i < value->count; i++) {
        if (dv_cedar_static_attribute(type, value->attrs[i].name) == NULL) {
            return dv_error_set(error, DV_ERR_INVALID, "%s has no attribute '%.*s' in the schema",
                                path, DV_SLICE_ARGS(dv_slice_sub(value->attrs[i].name, 0, 40)));
        }
    }
    return DV_OK;
}

dv_result dv_cedar_static_check(const dv_cedar_schema *schema, const dv_cedar_static *type,
                                const dv_cedar_value *value, const char *path, dv_error *error)
{
    if (type->type != value->type) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is %s where the schema has %s", path,
                            dv_cedar_type_name(value->type), dv_cedar_type_name(type->type));
    }
    switch (type->type) {
    case DV_CEDAR_SET:
        return check_set(schema, type, value, path, error);
    case DV_CEDAR_RECORD:
        return check_record(schema, type, value, path, error);
    case DV_CEDAR_ENTITY:
        return check_entity(schema, type, value, path, error);
    default:
        return DV_OK;
    }
}

/* ---- printing ---- */

/* Text that is cut where its room ends. */
typedef struct printer {
    char *out;
    size_t size;
    size_t len;
} printer;

static void put(printer *p, const char *format, ...) dv_printf(2, 3);
static void put(printer *p, const char *format, ...)
{
    va_list args;

    if (p->len + 1 >= p->size) {
        return;
    }
    va_start(args, format);
    int len = vsnprintf(p->out + p->len, p->size - p->len, format, args);
    va_end(args);
    if (len > 0) {
        p->len = DV_MIN(p->len + (size_t)len, p->size - 1);
    }
}

static void print(printer *p, const dv_cedar_static *type)
{
    if (p->len + 1 >= p->size) {
        return;
    }
    if (type->type == DV_CEDAR_SET) {
        put(p, "Set<");
        print(p, type->element);
        put(p, ">");
    } else if (type->type == DV_CEDAR_RECORD) {
        put(p, "{");
        for (uint32_t i = 0; i < type->count && p->len + 1 < p->size; i++) {
            const dv_cedar_attribute *attribute = &type->attributes[i];
            put(p, "%s%.*s%s: ", i == 0 ? "" : ", ", DV_SLICE_ARGS(attribute->name),
                attribute->optional ? "?" : "");
            print(p, attribute->type);
        }
        put(p, "}");
    } else if (type->type == DV_CEDAR_ENTITY) {
        put(p, "%.*s", DV_SLICE_ARGS(type->entity->name));
    } else {
        put(p, "%s", dv_cedar_type_name(type->type));
    }
}

void dv_cedar_static_print(const dv_cedar_static *type, char *out, size_t size)
{
    printer p = {.out = out, .size = size};

    out[0] = '\0';
    print(&p, type);
}
