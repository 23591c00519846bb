/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON schema syntax (specs: json-schema-grammar). One function a rule. */
#include "engine/cedar/json_reader.h"
#include "engine/cedar/schema_tree.h"

#include "base/caps.h"

/* A level of a type takes up to three levels of JSON: itself, "attributes", the attribute. */
enum { JSON_DEPTH = 4 * DV_LIMIT_CEDAR_DEPTH };

typedef struct reading {
    dv_cedar_reader r;
    unsigned depth; /* of the type being read */
} reading;

static uint32_t offset_of(const reading *r, uint32_t token)
{
    return r->r.json.tokens[token].start;
}

static dv_result allocate(reading *r, size_t count, size_t size, void *ret_items)
{
    void *items = dv_arena_alloc(r->r.arena, (count + 1) * size);

    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(ret_items, &items, sizeof(items));
    return DV_OK;
}

static dv_result read_key(const reading *r, uint32_t key, dv_cedar_decl_name *ret_name)
{
    ret_name->offset = offset_of(r, key);
    return dv_json_string(&r->r.json, key, r->r.arena, &ret_name->text);
}

static dv_result read_array(const reading *r, uint32_t token)
{
    return dv_cedar_reader_is(&r->r, token, DV_JSON_ARRAY)
               ? DV_OK
               : dv_cedar_reader_refuse(&r->r, token, "a list is wanted here");
}

static dv_result read_object(const reading *r, uint32_t token, const char *what)
{
    return dv_cedar_reader_is(&r->r, token, DV_JSON_OBJECT)
               ? DV_OK
               : dv_cedar_reader_refuse(&r->r, token, "%s is an object", what);
}

static dv_result read_names(reading *r, uint32_t token, dv_cedar_decl_names *ret_names)
{
    dv_cedar_decl_name *names = NULL;
    size_t count = 0;

    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(read_array(r, token));
    DV_TRY(allocate(r, dv_cedar_reader_count(&r->r, token), sizeof(*names), &names));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(&r->r, token);
         i = dv_cedar_reader_next(&r->r, i)) {
        names[count].offset = offset_of(r, i);
        DV_TRY(dv_cedar_reader_text(&r->r, i, &names[count].text));
        count++;
    }
    *ret_names = (dv_cedar_decl_names){names, count};
    return DV_OK;
}

/* {NAME: TEXT, ...} */
static dv_result read_annotations(reading *r, uint32_t token, dv_cedar_annotations *ret)
{
    dv_cedar_annotation *items = NULL;
    size_t count = 0;

    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(read_object(r, token, "annotations"));
    if (dv_cedar_reader_count(&r->r, token) > DV_LIMIT_CEDAR_ANNOTATIONS) {
        return dv_cedar_reader_refuse(&r->r, token, "there may be %d annotations",
                                      DV_LIMIT_CEDAR_ANNOTATIONS);
    }
    DV_TRY(allocate(r, dv_cedar_reader_count(&r->r, token), sizeof(*items), &items));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(&r->r, token);
         i = dv_cedar_reader_next(&r->r, i)) {
        dv_cedar_decl_name name = {0};
        DV_TRY(read_key(r, i, &name));
        items[count].name = name.text;
        if (!dv_cedar_reader_is(&r->r, i + 1, DV_JSON_NULL)) {
            DV_TRY(dv_cedar_reader_text(&r->r, i + 1, &items[count].text));
        }
        count++;
    }
    *ret = (dv_cedar_annotations){items, count};
    return DV_OK;
}

static dv_result read_bool(const reading *r, uint32_t token, bool absent, bool *ret_bool)
{
    bool yes = token == 0 ? absent : dv_cedar_reader_is(&r->r, token, DV_JSON_TRUE);

    if (token != 0 && !yes && !dv_cedar_reader_is(&r->r, token, DV_JSON_FALSE)) {
        return dv_cedar_reader_refuse(&r->r, token, "true or false is wanted here");
    }
    *ret_bool = yes;
    return DV_OK;
}

/* The members that a type may have, beside those of the attribute that it may belong to. */
enum { TYPE, ELEMENT, ATTRIBUTES, ADDITIONAL, NAME, REQUIRED, ANNOTATIONS, MEMBERS };

/* What a type may be part of decides which members it may have. */
typedef enum place { PLACE_TYPE, PLACE_COMMON, PLACE_ATTRIBUTE } place;

static dv_result read_type(reading *r, uint32_t token, place where, uint32_t members[MEMBERS],
                           dv_cedar_decl_type *ret_type);

/* RecordAttr ::= STR ': {' Type [',' '"required"' ':' ( true | false )] '}' */
static dv_result read_field(reading *r, uint32_t key, dv_cedar_decl_field *ret_field)
{
    dv_cedar_decl_name name = {0};
    uint32_t members[MEMBERS];
    bool required = true;

    DV_TRY(read_key(r, key, &name));
    ret_field->name = name.text;
    DV_TRY(read_type(r, key + 1, PLACE_ATTRIBUTE, members, &ret_field->type));
    DV_TRY(read_bool(r, members[REQUIRED], true, &required));
    ret_field->optional = !required;
    return read_annotations(r, members[ANNOTATIONS], &ret_field->annotations);
}

/* Record ::= '"type": "Record", "attributes": {' [ RecordAttr { ',' RecordAttr } ] '}' */
static dv_result read_record(reading *r, uint32_t token, const uint32_t members[MEMBERS],
                             dv_cedar_decl_type *type)
{
    dv_cedar_decl_field *fields = NULL;
    const dv_cedar_decl_field *twice = NULL;
    uint32_t list = members[ATTRIBUTES];
    bool open = false;

    DV_TRY(read_bool(r, members[ADDITIONAL], false, &open));
    if (open) {
        return dv_cedar_reader_refuse(&r->r, members[ADDITIONAL],
                                      "records name all their attributes: set this to false");
    }
    if (list == 0) {
        return dv_cedar_reader_refuse(&r->r, token, "a record has \"attributes\", perhaps empty");
    }
    DV_TRY(read_object(r, list, "attributes"));
    type->count = (uint32_t)dv_cedar_reader_count(&r->r, list);
    DV_TRY(allocate(r, type->count, sizeof(*fields), &fields));
    for (uint32_t i = list + 1, n = 0; n < type->count; i = dv_cedar_reader_next(&r->r, i)) {
        DV_TRY(read_field(r, i, &fields[n++]));
    }
    dv_cedar_decl_fields_sort(fields, type->count, &twice); /* the scan saw that none is twice */
    type->kind = DV_CEDAR_DECL_RECORD;
    type->fields = fields;
    return DV_OK;
}

/* Set ::= '"type": "Set", "element": ' TypeJson */
static dv_result read_set(reading *r, uint32_t token, const uint32_t members[MEMBERS],
                          dv_cedar_decl_type *type)
{
    dv_cedar_decl_type *element = NULL;
    uint32_t inner[MEMBERS];

    if (members[ELEMENT] == 0) {
        return dv_cedar_reader_refuse(&r->r, token, "a set has an \"element\"");
    }
    DV_TRY(allocate(r, 1, sizeof(*element), &element));
    DV_TRY(read_type(r, members[ELEMENT], PLACE_TYPE, inner, element));
    type->kind = DV_CEDAR_DECL_SET;
    type->element = element;
    return DV_OK;
}

/* EntityRef, EntityOrCommon ::= '"type": ..., "name": "' Name '"' */
static dv_result read_reference(reading *r, uint32_t token, const uint32_t members[MEMBERS],
                                dv_cedar_decl_kind kind, const char *prefix,
                                dv_cedar_decl_type *type)
{
    dv_slice name = {0};

    if (members[NAME] == 0) {
        return dv_cedar_reader_refuse(&r->r, token, "this type has a \"name\"");
    }
    DV_TRY(dv_cedar_reader_text(&r->r, members[NAME], &name));
    const dv_slice parts[] = {dv_slice_str(prefix), name};
    type->kind = kind;
    type->offset = offset_of(r, members[NAME]);
    return dv_arena_concat(r->r.arena, parts, DV_ARRAY_LEN(parts), &type->name);
}

/* Extension ::= '"type": "Extension", "name": "' Name '"' */
static dv_result read_extension(reading *r, uint32_t token, const uint32_t members[MEMBERS],
                                dv_cedar_decl_type *type)
{
    static const char *const names[] = {"decimal", "datetime", "duration", "ipaddr"};
    dv_slice name = {0};

    DV_TRY(read_reference(r, token, members, DV_CEDAR_DECL_COMMON, "__cedar::", type));
    name = dv_slice_sub(type->name, sizeof("__cedar::") - 1, type->name.len);
    for (size_t i = 0; i < DV_ARRAY_LEN(names); i++) {
        if (dv_slice_eq_str(name, names[i])) {
            return DV_OK;
        }
    }
    return dv_cedar_reader_refuse(&r->r, members[NAME], "there is no such extension type");
}

/* Primitive, or a common type by its name. */
static dv_result read_simple(reading *r, dv_slice name, dv_cedar_decl_type *type)
{
    static const struct {
        const char *name;
        const char *type;
    } primitives[] = {
        {"Long", "__cedar::Long"}, {"String", "__cedar::String"}, {"Boolean", "__cedar::Bool"}};

    type->kind = DV_CEDAR_DECL_COMMON;
    type->name = name;
    for (size_t i = 0; i < DV_ARRAY_LEN(primitives); i++) {
        if (dv_slice_eq_str(name, primitives[i].name)) {
            type->name = dv_slice_str(primitives[i].type);
        }
    }
    return DV_OK;
}

/* Each kind of type has members of its own, and no others. */
static dv_result check_members(const reading *r, uint32_t token, const uint32_t members[MEMBERS],
                               unsigned allowed)
{
    for (unsigned i = 0; i < MEMBERS; i++) {
        if (members[i] != 0 && (allowed & (1u << i)) == 0) {
            return dv_cedar_reader_refuse(&r->r, members[i],
                                          "a type of this kind has no such "
                                          "member");
        }
    }
    return members[TYPE] == 0
               ? dv_cedar_reader_refuse(&r->r, token, "a type has the member \"type\"")
               : DV_OK;
}

/* Type ::= Primitive | Set | EntityRef | Record | Extension | EntityOrCommon */
static dv_result read_kind(reading *r, uint32_t token, place where, const uint32_t members[MEMBERS],
                           dv_cedar_decl_type *type)
{
    unsigned allowed = 1u << TYPE;
    dv_slice name = {0};

    allowed |= where == PLACE_ATTRIBUTE ? 1u << REQUIRED : 0;
    allowed |= where != PLACE_TYPE ? 1u << ANNOTATIONS : 0;
    if (members[TYPE] == 0) {
        return check_members(r, token, members, ~0u);
    }
    DV_TRY(dv_cedar_reader_text(&r->r, members[TYPE], &name));
    type->offset = offset_of(r, members[TYPE]);
    if (dv_slice_eq_str(name, "Record")) {
        DV_TRY(check_members(r, token, members, allowed | 1u << ATTRIBUTES | 1u << ADDITIONAL));
        return read_record(r, token, members, type);
    }
    if (dv_slice_eq_str(name, "Set")) {
        DV_TRY(check_members(r, token, members, allowed | 1u << ELEMENT));
        return read_set(r, token, members, type);
    }
    if (dv_slice_eq_str(name, "Entity") || dv_slice_eq_str(name, "EntityOrCommon")) {
        DV_TRY(check_members(r, token, members, allowed | 1u << NAME));
        bool entity = dv_slice_eq_str(name, "Entity");
        return read_reference(r, token, members, entity ? DV_CEDAR_DECL_ENTITY : DV_CEDAR_DECL_NAME,
                              "", type);
    }
    if (dv_slice_eq_str(name, "Extension")) {
        DV_TRY(check_members(r, token, members, allowed | 1u << NAME));
        return read_extension(r, token, members, type);
    }
    DV_TRY(check_members(r, token, members, allowed));
    return read_simple(r, name, type);
}

/* TypeJson ::= '{' Type '}' */
static dv_result read_type(reading *r, uint32_t token, place where, uint32_t members[MEMBERS],
                           dv_cedar_decl_type *ret_type)
{
    static const char *const names[MEMBERS] = {
        "type", "element", "attributes", "additionalAttributes", "name", "required", "annotations"};

    if (r->depth >= DV_LIMIT_CEDAR_DEPTH) {
        return dv_cedar_reader_refuse(&r->r, token, "types may be %d levels deep",
                                      DV_LIMIT_CEDAR_DEPTH);
    }
    r->depth++;
    DV_TRY(dv_cedar_reader_members(&r->r, token, "a type", names, MEMBERS, members));
    DV_TRY(read_kind(r, token, where, members, ret_type));
    r->depth--;
    return DV_OK;
}

static dv_result read_type_copy(reading *r, uint32_t token, const dv_cedar_decl_type **ret_type)
{
    dv_cedar_decl_type *type = NULL;
    uint32_t members[MEMBERS];

    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(allocate(r, 1, sizeof(*type), &type));
    DV_TRY(read_type(r, token, PLACE_TYPE, members, type));
    *ret_type = type;
    return DV_OK;
}

static dv_result read_choices(reading *r, uint32_t token, dv_cedar_decl_entity *entity)
{
    dv_slice *ids = NULL;

    DV_TRY(read_array(r, token));
    if (dv_cedar_reader_count(&r->r, token) == 0) {
        return dv_cedar_reader_refuse(&r->r, token, "an enumerated type has at least one id");
    }
    DV_TRY(allocate(r, dv_cedar_reader_count(&r->r, token), sizeof(*ids), &ids));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(&r->r, token);
         i = dv_cedar_reader_next(&r->r, i)) {
        DV_TRY(dv_cedar_reader_text(&r->r, i, &ids[entity->choice_count++]));
    }
    entity->choices = ids;
    return DV_OK;
}

/* EntityType ::= IDENT ':' '{' memberOfTypes, shape, tags '}' | IDENT ':' '{' enum '}' */
static dv_result read_entity(reading *r, uint32_t key, void *ret_item)
{
    enum { PARENTS, SHAPE, TAGS, ENUM, NOTES, COUNT };
    static const char *const names[COUNT] = {"memberOfTypes", "shape", "tags", "enum",
                                             "annotations"};
    dv_cedar_decl_entity *entity = ret_item;
    uint32_t members[COUNT];

    DV_TRY(read_key(r, key, &entity->name));
    DV_TRY(dv_cedar_reader_members(&r->r, key + 1, "an entity type", names, COUNT, members));
    DV_TRY(read_annotations(r, members[NOTES], &entity->annotations));
    if (members[ENUM] != 0) {
        if (members[PARENTS] != 0 || members[SHAPE] != 0 || members[TAGS] != 0) {
            return dv_cedar_reader_refuse(&r->r, key, "an enumerated type has nothing but its ids");
        }
        return read_choices(r, members[ENUM], entity);
    }
    DV_TRY(read_names(r, members[PARENTS], &entity->parents));
    DV_TRY(read_type_copy(r, members[SHAPE], &entity->shape));
    return read_type_copy(r, members[TAGS], &entity->tags);
}

/* {"id": ..., "type": ...} */
static dv_result read_parent(reading *r, uint32_t token, dv_cedar_decl_parent *ret_parent)
{
    enum { ID, ACTION_TYPE, COUNT };
    static const char *const names[COUNT] = {"id", "type"};
    uint32_t members[COUNT];

    ret_parent->offset = offset_of(r, token);
    DV_TRY(dv_cedar_reader_members(&r->r, token, "an action group", names, COUNT, members));
    if (members[ID] == 0) {
        return dv_cedar_reader_refuse(&r->r, token, "an action group has an id");
    }
    DV_TRY(dv_cedar_reader_text(&r->r, members[ID], &ret_parent->id));
    return members[ACTION_TYPE] == 0
               ? DV_OK
               : dv_cedar_reader_text(&r->r, members[ACTION_TYPE], &ret_parent->type);
}

/* '"memberOf"' ':' '[' ... ']' */
static dv_result read_parents(reading *r, uint32_t token, dv_cedar_decl_action *action)
{
    dv_cedar_decl_parent *parents = NULL;

    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(read_array(r, token));
    DV_TRY(allocate(r, dv_cedar_reader_count(&r->r, token), sizeof(*parents), &parents));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(&r->r, token);
         i = dv_cedar_reader_next(&r->r, i)) {
        DV_TRY(read_parent(r, i, &parents[action->parent_count++]));
    }
    action->parents = parents;
    return DV_OK;
}

/* '"appliesTo"' ':' '{' PrincipalTypes ',' ResourceTypes [',' Context] '}' */
static dv_result read_applies_to(reading *r, uint32_t token, dv_cedar_decl_action *action)
{
    enum { PRINCIPALS, RESOURCES, CONTEXT, COUNT };
    static const char *const names[COUNT] = {"principalTypes", "resourceTypes", "context"};
    uint32_t members[COUNT];

    if (token == 0) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_reader_members(&r->r, token, "appliesTo", names, COUNT, members));
    if (members[PRINCIPALS] == 0 || members[RESOURCES] == 0) {
        return dv_cedar_reader_refuse(&r->r, token,
                                      "appliesTo has principalTypes and resourceTypes");
    }
    DV_TRY(read_names(r, members[PRINCIPALS], &action->principals));
    DV_TRY(read_names(r, members[RESOURCES], &action->resources));
    return read_type_copy(r, members[CONTEXT], &action->context);
}

/* Action ::= STR ':' '{' memberOf, appliesTo '}' */
static dv_result read_action(reading *r, uint32_t key, void *ret_item)
{
    enum { PARENTS, APPLIES, ATTRS, NOTES, COUNT };
    static const char *const names[COUNT] = {"memberOf", "appliesTo", "attributes", "annotations"};
    dv_cedar_decl_action *action = ret_item;
    uint32_t members[COUNT];

    DV_TRY(read_key(r, key, &action->name));
    DV_TRY(dv_cedar_reader_members(&r->r, key + 1, "an action", names, COUNT, members));
    if (members[ATTRS] != 0 && dv_cedar_reader_count(&r->r, members[ATTRS]) > 0) {
        return dv_cedar_reader_refuse(&r->r, members[ATTRS], "actions have no attributes");
    }
    DV_TRY(read_annotations(r, members[NOTES], &action->annotations));
    DV_TRY(read_parents(r, members[PARENTS], action));
    return read_applies_to(r, members[APPLIES], action);
}

/* CommonType ::= TYPENAME ':' TypeJson */
static dv_result read_common(reading *r, uint32_t key, void *ret_item)
{
    dv_cedar_decl_common *common = ret_item;
    uint32_t members[MEMBERS];

    DV_TRY(read_key(r, key, &common->name));
    DV_TRY(read_type(r, key + 1, PLACE_COMMON, members, &common->type));
    return read_annotations(r, members[ANNOTATIONS], &common->annotations);
}

/* The members of an object, each read by that function into an item of that size. */
static dv_result read_items(reading *r, uint32_t token, const char *what, size_t size,
                            dv_result (*read)(reading *r, uint32_t key, void *ret_item),
                            void *ret_items, size_t *ret_count)
{
    uint8_t *items = NULL;
    size_t count = 0;

    DV_TRY(read_object(r, token, what));
    DV_TRY(allocate(r, dv_cedar_reader_count(&r->r, token), size, &items));
    for (uint32_t i = token + 1; i < dv_cedar_reader_next(&r->r, token);
         i = dv_cedar_reader_next(&r->r, i)) {
        DV_TRY(read(r, i, items + count * size));
        count++;
    }
    memcpy(ret_items, &items, sizeof(items));
    *ret_count = count;
    return DV_OK;
}

/* Namespace ':' '{' EntityTypes ',' Actions [',' CommonTypes] '}' */
static dv_result read_namespace(reading *r, uint32_t key, void *ret_item)
{
    enum { ENTITIES, ACTIONS, COMMONS, NOTES, COUNT };
    static const char *const names[COUNT] = {"entityTypes", "actions", "commonTypes",
                                             "annotations"};
    dv_cedar_decl_namespace *ns = ret_item;
    uint32_t members[COUNT];

    DV_TRY(read_key(r, key, &ns->name));
    DV_TRY(dv_cedar_reader_members(&r->r, key + 1, "a namespace", names, COUNT, members));
    if (members[ENTITIES] == 0 || members[ACTIONS] == 0) {
        return dv_cedar_reader_refuse(&r->r, key, "a namespace has entityTypes and actions");
    }
    DV_TRY(read_annotations(r, members[NOTES], &ns->annotations));
    DV_TRY(read_items(r, members[ENTITIES], "entityTypes", sizeof(*ns->entities), read_entity,
                      &ns->entities, &ns->entity_count));
    DV_TRY(read_items(r, members[ACTIONS], "actions", sizeof(*ns->actions), read_action,
                      &ns->actions, &ns->action_count));
    return members[COMMONS] == 0
               ? DV_OK
               : read_items(r, members[COMMONS], "commonTypes", sizeof(*ns->commons), read_common,
                            &ns->commons, &ns->common_count);
}

dv_result dv_cedar_schema_read_json(dv_slice text, dv_arena *arena,
                                    dv_cedar_decl_schema *ret_schema, dv_error *error)
{
    dv_cedar_decl_schema schema = {0};
    reading r = {0};

    DV_TRY(dv_cedar_reader_init(&r.r, text, DV_LIMIT_CEDAR_SCHEMA, JSON_DEPTH, arena, error));
    DV_TRY(read_items(&r, 0, "a schema", sizeof(*schema.namespaces), read_namespace,
                      &schema.namespaces, &schema.count));
    *ret_schema = schema;
    return DV_OK;
}
