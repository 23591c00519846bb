/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/entities.h"

#include "engine/cedar/function.h"
#include "engine/cedar/hash.h"
#include "engine/cedar/json_reader.h"
#include "engine/cedar/static.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

/* An entity as it stands in the list. */
typedef struct member {
    dv_cedar_entity entity;
    uint32_t token; /* where it stands */
    const dv_slice *parents;
    size_t parent_count;
} member;

struct dv_cedar_entities {
    member *members;
    size_t count;
    uint32_t *table; /* of numbers + 1; 0: free */
    size_t mask;
};

typedef struct reader {
    dv_cedar_reader r;
    const dv_cedar_schema *schema; /* NULL: none, values need their escapes */
} reader;

static dv_result reader_init(reader *r, dv_slice text, const dv_cedar_schema *schema,
                             dv_arena *arena, dv_error *error)
{
    r->schema = schema;
    return dv_cedar_reader_init(&r->r, text, DV_LIMIT_CEDAR_ENTITIES, DV_LIMIT_CEDAR_DEPTH, arena,
                                error);
}

static dv_result refuse(const reader *r, uint32_t token, const char *what)
{
    return dv_cedar_reader_refuse(&r->r, token, "%s", what);
}

static dv_result refuse_name(const reader *r, uint32_t token, dv_slice name, const char *what)
{
    return dv_cedar_reader_refuse(&r->r, token, "'%.*s' %s",
                                  DV_SLICE_ARGS(dv_slice_sub(name, 0, 200)), what);
}

static bool is_type(const reader *r, uint32_t token, dv_json_type type)
{
    return dv_cedar_reader_is(&r->r, token, type);
}

static uint32_t next_of(const reader *r, uint32_t token)
{
    return dv_cedar_reader_next(&r->r, token);
}

static size_t count_of(const reader *r, uint32_t token)
{
    return dv_cedar_reader_count(&r->r, token);
}

static uint32_t member_of(const reader *r, uint32_t token, const char *name)
{
    return is_type(r, token, DV_JSON_OBJECT) ? dv_json_member(&r->r.json, token, name) : 0;
}

static dv_result read_string(const reader *r, uint32_t token, dv_slice *ret_text)
{
    return dv_cedar_reader_text(&r->r, token, ret_text);
}

static dv_result read_key(const reader *r, uint32_t token, dv_slice *ret_text)
{
    return dv_json_string(&r->r.json, token, r->r.arena, ret_text);
}

/* {"type": ..., "id": ...} */
static dv_result read_type_and_id(const reader *r, uint32_t token, dv_slice *ret_uid)
{
    uint32_t type_token = member_of(r, token, "type"), id_token = member_of(r, token, "id");
    dv_slice type = {0}, id = {0};

    if (type_token == 0 || id_token == 0 || count_of(r, token) != 2) {
        return refuse(r, token, "an entity is an object with type and id, and nothing else");
    }
    DV_TRY(read_string(r, type_token, &type));
    DV_TRY(read_string(r, id_token, &id));
    dv_result result = dv_cedar_uid(r->r.arena, type, id, ret_uid);
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        return refuse(r, type_token, "this is no entity type, or the id is too long");
    }
    return result;
}

/* The same, or with {"__entity": ...} around it. */
static dv_result read_uid(const reader *r, uint32_t token, dv_slice *ret_uid)
{
    uint32_t inner = member_of(r, token, "__entity");

    if (inner != 0 && count_of(r, token) == 1) {
        token = inner;
    }
    return read_type_and_id(r, token, ret_uid);
}

static dv_result read_value(const reader *r, uint32_t token, const dv_cedar_static *type,
                            dv_cedar_value *ret_value);

/* The arguments of an extension call: "arg": value, or "args": [values]. */
static dv_result read_args(const reader *r, uint32_t token, dv_cedar_value args[DV_CEDAR_ARGS_MAX],
                           size_t *ret_count)
{
    uint32_t one = member_of(r, token, "arg"), list = member_of(r, token, "args");

    if (one != 0) {
        *ret_count = 1;
        return read_value(r, one, NULL, &args[0]);
    }
    if (list == 0 || !is_type(r, list, DV_JSON_ARRAY) || count_of(r, list) > DV_CEDAR_ARGS_MAX) {
        return refuse(r, token, "an extension value has fn and arg");
    }
    *ret_count = 0;
    for (uint32_t i = list + 1; i < next_of(r, list); i = next_of(r, i)) {
        DV_TRY(read_value(r, i, NULL, &args[(*ret_count)++]));
    }
    return DV_OK;
}

/* {"fn": ..., "arg": ...} */
static dv_result read_extension(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    dv_cedar_value args[DV_CEDAR_ARGS_MAX];
    dv_slice name = {0};
    size_t count = 0;
    uint32_t fn = member_of(r, token, "fn");

    if (fn == 0 || count_of(r, token) != 2) {
        return refuse(r, token, "an extension value has fn and arg");
    }
    DV_TRY(read_string(r, fn, &name));
    const dv_cedar_function *function = dv_cedar_function_find(name);
    if (function == NULL || !function->pure) {
        return refuse(r, fn, "there is no such extension function");
    }
    DV_TRY(read_args(r, token, args, &count));
    if (count != function->arity || function->run(NULL, args, ret_value) != DV_OK) {
        return refuse(r, token, "the extension function does not take this");
    }
    return DV_OK;
}

static dv_result read_set(const reader *r, uint32_t token, const dv_cedar_static *element,
                          dv_cedar_value *ret_value)
{
    size_t count = 0;
    dv_cedar_value *items =
        dv_arena_alloc_raw(r->r.arena, (count_of(r, token) + 1) * sizeof(*items));

    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        DV_TRY(read_value(r, i, element, &items[count++]));
    }
    *ret_value = dv_cedar_set(items, count);
    return DV_OK;
}

/* The type of one attribute, where the record's type is known; NULL: it is not. */
static dv_result find_attribute(const reader *r, uint32_t token, const dv_cedar_static *record,
                                dv_slice name, const dv_cedar_static **ret_type)
{
    const dv_cedar_attribute *attribute = NULL;

    *ret_type = NULL;
    if (record == NULL) {
        return DV_OK;
    }
    attribute = dv_cedar_static_attribute(record, name);
    if (attribute == NULL) {
        return refuse_name(r, token, name, "is no attribute that the schema has here");
    }
    *ret_type = attribute->type;
    return DV_OK;
}

static dv_result check_required(const reader *r, uint32_t token, const dv_cedar_static *record,
                                const dv_cedar_value *value)
{
    for (uint32_t i = 0; record != NULL && i < record->count; i++) {
        const dv_cedar_attribute *attribute = &record->attributes[i];
        if (!attribute->optional && dv_cedar_get(value, attribute->name) == NULL) {
            return refuse_name(r, token, attribute->name, "is missing, which the schema requires");
        }
    }
    return DV_OK;
}

static dv_result read_record(const reader *r, uint32_t token, const dv_cedar_static *record,
                             dv_cedar_value *ret_value)
{
    size_t count = 0;
    dv_cedar_attr *attrs =
        dv_arena_alloc_raw(r->r.arena, (count_of(r, token) + 1) * sizeof(*attrs));

    if (attrs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        const dv_cedar_static *type = NULL;
        DV_TRY(read_key(r, i, &attrs[count].name));
        DV_TRY(find_attribute(r, i, record, attrs[count].name, &type));
        DV_TRY(read_value(r, i + 1, type, &attrs[count++].value));
    }
    DV_TRY(dv_cedar_record(attrs, count, ret_value));
    return check_required(r, token, record, ret_value);
}

/* An escape stands alone in its object; one among other members is a mistake, not a record. */
static dv_result read_object(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    static const char *const escapes[] = {"__entity", "__extn", "__expr"};
    dv_slice uid = {0};

    for (size_t i = 0; i < DV_ARRAY_LEN(escapes); i++) {
        uint32_t inner = member_of(r, token, escapes[i]);
        if (inner == 0) {
            continue;
        }
        if (i == 2 || count_of(r, token) != 1) {
            return refuse(r, token, "an escape stands alone, and __expr is not supported");
        }
        if (i == 1) {
            return read_extension(r, inner, ret_value);
        }
        DV_TRY(read_type_and_id(r, inner, &uid));
        *ret_value = dv_cedar_entity_ref(uid);
        return DV_OK;
    }
    return read_record(r, token, NULL, ret_value);
}

static dv_result read_number(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    int64_t number = 0;

    if (dv_json_int(&r->r.json, token, &number) != DV_OK) {
        return refuse(r, token, "numbers are whole and fit 64 bits");
    }
    *ret_value = dv_cedar_long(number);
    return DV_OK;
}

/* A value whose type is not known, or one that JSON shows by itself. */
static dv_result read_plain(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    dv_slice text = {0};

    switch ((dv_json_type)r->r.json.tokens[token].type) {
    case DV_JSON_OBJECT:
        return read_object(r, token, ret_value);
    case DV_JSON_ARRAY:
        return read_set(r, token, NULL, ret_value);
    case DV_JSON_STRING:
        DV_TRY(read_string(r, token, &text));
        *ret_value = dv_cedar_string(text);
        return DV_OK;
    case DV_JSON_NUMBER:
        return read_number(r, token, ret_value);
    case DV_JSON_TRUE:
    case DV_JSON_FALSE:
        *ret_value = dv_cedar_bool(is_type(r, token, DV_JSON_TRUE));
        return DV_OK;
    case DV_JSON_NULL:
    case DV_JSON_KEY:
        break;
    }
    return refuse(r, token, "Cedar has no null");
}

/* An entity where the schema has one: the escape may be left out. */
static dv_result read_reference(const reader *r, uint32_t token, const dv_cedar_entity_type *type,
                                dv_cedar_value *ret_value)
{
    dv_slice uid = {0};

    DV_TRY(read_uid(r, token, &uid));
    if (dv_cedar_schema_type_of(r->schema, uid) != type) {
        return refuse_name(r, token, uid, "has another type than the schema has here");
    }
    if (!dv_cedar_schema_has_choice(type, uid)) {
        return refuse_name(r, token, uid, "is none of the ids that its type lists");
    }
    *ret_value = dv_cedar_entity_ref(uid);
    return DV_OK;
}

/* An extension value where the schema has one: escape and call may be left out. */
static dv_result read_extension_of(const reader *r, uint32_t token, dv_cedar_type type,
                                   dv_cedar_value *ret_value)
{
    static const struct {
        dv_cedar_type type;
        dv_result (*parse)(dv_slice text, dv_cedar_value *ret_value);
    } constructors[] = {{DV_CEDAR_DECIMAL, dv_cedar_decimal_parse},
                        {DV_CEDAR_DATETIME, dv_cedar_datetime_parse},
                        {DV_CEDAR_DURATION, dv_cedar_duration_parse},
                        {DV_CEDAR_IPADDR, dv_cedar_ip_parse}};
    uint32_t escaped = member_of(r, token, "__extn");
    dv_slice text = {0};

    if (is_type(r, token, DV_JSON_OBJECT)) {
        bool alone = escaped != 0 && count_of(r, token) == 1;
        return read_extension(r, alone ? escaped : token, ret_value);
    }
    DV_TRY(read_string(r, token, &text));
    for (size_t i = 0; i < DV_ARRAY_LEN(constructors); i++) {
        if (constructors[i].type == type && constructors[i].parse(text, ret_value) == DV_OK) {
            return DV_OK;
        }
    }
    return dv_cedar_reader_refuse(&r->r, token, "this is no %s", dv_cedar_type_name(type));
}

/* A value by the type that the schema has for it, where the type decides how it is read. */
static dv_result read_typed(const reader *r, uint32_t token, const dv_cedar_static *type,
                            dv_cedar_value *ret_value)
{
    switch (type->type) {
    case DV_CEDAR_ENTITY:
        return read_reference(r, token, type->entity, ret_value);
    case DV_CEDAR_SET:
        return is_type(r, token, DV_JSON_ARRAY) ? read_set(r, token, type->element, ret_value)
                                                : read_plain(r, token, ret_value);
    case DV_CEDAR_RECORD:
        return is_type(r, token, DV_JSON_OBJECT) ? read_record(r, token, type, ret_value)
                                                 : read_plain(r, token, ret_value);
    case DV_CEDAR_DECIMAL:
    case DV_CEDAR_DATETIME:
    case DV_CEDAR_DURATION:
    case DV_CEDAR_IPADDR:
        return read_extension_of(r, token, type->type, ret_value);
    case DV_CEDAR_BOOL:
    case DV_CEDAR_LONG:
    case DV_CEDAR_STRING:
        break;
    }
    return read_plain(r, token, ret_value);
}

static dv_result read_value(const reader *r, uint32_t token, const dv_cedar_static *type,
                            dv_cedar_value *ret_value)
{
    if (type == NULL) {
        return read_plain(r, token, ret_value);
    }
    DV_TRY(read_typed(r, token, type, ret_value));
    if (ret_value->type != type->type) {
        return dv_cedar_reader_refuse(&r->r, token, "%s is wanted here, this is %s",
                                      dv_cedar_type_name(type->type),
                                      dv_cedar_type_name(ret_value->type));
    }
    return DV_OK;
}

/* A record in the arena; NULL when the member is not there and nothing is required. */
static dv_result read_attributes(const reader *r, uint32_t entity, uint32_t token,
                                 const dv_cedar_static *shape, const dv_cedar_value **ret_record)
{
    static const dv_cedar_value nothing = {.type = DV_CEDAR_RECORD};

    if (token == 0) {
        return check_required(r, entity, shape, &nothing);
    }
    if (!is_type(r, token, DV_JSON_OBJECT)) {
        return refuse(r, token, "attributes and tags are an object");
    }
    dv_cedar_value *record = dv_arena_alloc(r->r.arena, sizeof(*record));
    if (record == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_record(r, token, shape, record));
    *ret_record = record;
    return DV_OK;
}

/* Any names, each with a value of one type. */
static dv_result read_tags(const reader *r, uint32_t token, const dv_cedar_entity_type *type,
                           const dv_cedar_value **ret_record)
{
    size_t count = token == 0 || !is_type(r, token, DV_JSON_OBJECT) ? 0 : count_of(r, token);

    if (type == NULL || count == 0) {
        return read_attributes(r, 0, token, NULL, ret_record);
    }
    if (type->tags == NULL) {
        return refuse_name(r, token, type->name, "has no tags in the schema");
    }
    dv_cedar_attr *attrs = dv_arena_alloc_raw(r->r.arena, count * sizeof(*attrs));
    dv_cedar_value *record = dv_arena_alloc(r->r.arena, sizeof(*record));
    if (attrs == NULL || record == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    count = 0;
    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        DV_TRY(read_key(r, i, &attrs[count].name));
        DV_TRY(read_value(r, i + 1, type->tags, &attrs[count++].value));
    }
    *ret_record = record;
    return dv_cedar_record(attrs, count, record);
}

/* "Schemas may also specify the expected hierarchical relationships among entities" */
static dv_result check_parent(const reader *r, uint32_t token, const dv_cedar_entity_type *type,
                              dv_slice parent)
{
    const dv_cedar_entity_type *above =
        r->schema == NULL ? NULL : dv_cedar_schema_type_of(r->schema, parent);

    if (type == NULL || type->action) {
        return DV_OK;
    }
    if (above == NULL || !dv_cedar_bit(type->ancestors, above->number)) {
        return refuse_name(r, token, parent, "cannot be a parent of this entity in the schema");
    }
    return dv_cedar_schema_has_choice(above, parent)
               ? DV_OK
               : refuse_name(r, token, parent, "is none of the ids that its type lists");
}

static dv_result read_parents(const reader *r, uint32_t token, const dv_cedar_entity_type *type,
                              member *m)
{
    if (token == 0) {
        return DV_OK;
    }
    if (!is_type(r, token, DV_JSON_ARRAY)) {
        return refuse(r, token, "parents are a list");
    }
    dv_slice *parents = dv_arena_alloc(r->r.arena, (count_of(r, token) + 1) * sizeof(*parents));
    if (parents == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    m->parents = parents;
    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        DV_TRY(read_uid(r, i, &parents[m->parent_count]));
        DV_TRY(check_parent(r, i, type, parents[m->parent_count]));
        m->parent_count++;
    }
    return DV_OK;
}

static dv_result check_members(const reader *r, uint32_t token)
{
    static const char *const known[] = {"uid", "attrs", "parents", "tags"};

    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        dv_slice name = {0};
        bool found = false;
        DV_TRY(read_key(r, i, &name));
        for (size_t k = 0; k < DV_ARRAY_LEN(known); k++) {
            found |= dv_slice_eq_str(name, known[k]);
        }
        if (!found) {
            return refuse(r, i, "an entity has uid, attrs, parents and tags");
        }
    }
    return DV_OK;
}

/* The type of an entity, which must be declared. */
static dv_result find_type(const reader *r, uint32_t token, dv_slice uid,
                           const dv_cedar_entity_type **ret_type)
{
    const dv_cedar_entity_type *type = dv_cedar_schema_type_of(r->schema, uid);

    if (type == NULL || (type->action && dv_cedar_schema_action(r->schema, uid) == NULL)) {
        return refuse_name(r, token, uid, "is not declared in the schema");
    }
    if (!dv_cedar_schema_has_choice(type, uid)) {
        return refuse_name(r, token, uid, "is none of the ids that its type lists");
    }
    *ret_type = type;
    return DV_OK;
}

static dv_result read_member(const reader *r, uint32_t token, member *m)
{
    const dv_cedar_entity_type *type = NULL;

    if (!is_type(r, token, DV_JSON_OBJECT)) {
        return refuse(r, token, "an entity is an object");
    }
    DV_TRY(check_members(r, token));
    uint32_t uid = member_of(r, token, "uid");
    if (uid == 0) {
        return refuse(r, token, "this entity has no uid");
    }
    m->token = token;
    DV_TRY(read_uid(r, uid, &m->entity.uid));
    if (r->schema != NULL) {
        DV_TRY(find_type(r, uid, m->entity.uid, &type));
    }
    DV_TRY(read_attributes(r, token, member_of(r, token, "attrs"),
                           type == NULL ? NULL : type->shape, &m->entity.attributes));
    DV_TRY(read_tags(r, member_of(r, token, "tags"), type, &m->entity.tags));
    return read_parents(r, member_of(r, token, "parents"), type, m);
}

/* The uid's place in the table, or the free one where it belongs. */
static uint32_t *place_of(const dv_cedar_entities *e, dv_slice uid)
{
    for (size_t i = dv_cedar_hash(uid);; i++) {
        uint32_t *place = &e->table[i & e->mask];
        if (*place == 0 || dv_slice_eq(e->members[*place - 1].entity.uid, uid)) {
            return place;
        }
    }
}

static const member *find_member(const dv_cedar_entities *e, dv_slice uid)
{
    uint32_t number = *place_of(e, uid);

    return number == 0 ? NULL : &e->members[number - 1];
}

static dv_result entities_init(dv_cedar_entities *e, size_t count, dv_arena *arena)
{
    size_t size = 8;

    while (size < 2 * count) {
        size *= 2;
    }
    e->mask = size - 1;
    e->table = dv_arena_alloc(arena, size * sizeof(*e->table));
    e->members = dv_arena_alloc(arena, (count + 1) * sizeof(*e->members));
    return e->table == NULL || e->members == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result read_members(const reader *r, dv_cedar_entities *e)
{
    if (!is_type(r, 0, DV_JSON_ARRAY)) {
        return refuse(r, 0, "entities are a list");
    }
    size_t actions = r->schema == NULL ? 0 : r->schema->action_count;
    DV_TRY(entities_init(e, count_of(r, 0) + actions, r->r.arena));
    for (uint32_t i = 1; i < next_of(r, 0); i = next_of(r, i)) {
        member *m = &e->members[e->count];
        DV_TRY(read_member(r, i, m));
        uint32_t *place = place_of(e, m->entity.uid);
        if (*place != 0) {
            return refuse(r, i, "this entity stands here twice");
        }
        *place = (uint32_t)++e->count;
    }
    return DV_OK;
}

static bool has_uid(const dv_slice *uids, size_t count, dv_slice uid)
{
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq(uids[i], uid)) {
            return true;
        }
    }
    return false;
}

/* Breadth first; the list of those found is the queue of those to look at. */
static dv_result find_ancestors(const dv_cedar_entities *e, const member *from,
                                dv_slice found[DV_LIMIT_ANCESTORS], size_t *ret_count,
                                dv_error *error)
{
    const member *m = from;
    size_t count = 0, next = 0;

    for (;;) {
        for (size_t i = 0; m != NULL && i < m->parent_count; i++) {
            if (dv_slice_eq(m->parents[i], from->entity.uid)) {
                return dv_error_set(error, DV_ERR_INVALID, "%.*s is its own ancestor",
                                    DV_SLICE_ARGS(dv_slice_sub(from->entity.uid, 0, 200)));
            }
            if (has_uid(found, count, m->parents[i])) {
                continue;
            }
            if (count == DV_LIMIT_ANCESTORS) {
                return dv_error_set(error, DV_ERR_TOO_LARGE, "an entity may have %d ancestors",
                                    DV_LIMIT_ANCESTORS);
            }
            found[count++] = m->parents[i];
        }
        if (next == count) {
            break;
        }
        m = find_member(e, found[next++]);
    }
    *ret_count = count;
    return DV_OK;
}

static dv_result close_hierarchy(dv_cedar_entities *e, dv_arena *arena, dv_error *error)
{
    dv_slice found[DV_LIMIT_ANCESTORS];

    for (size_t i = 0; i < e->count; i++) {
        dv_cedar_entity *entity = &e->members[i].entity;
        size_t count = 0;
        DV_TRY(find_ancestors(e, &e->members[i], found, &count, error));
        if (count == 0) {
            continue;
        }
        dv_slice *ancestors = dv_arena_alloc_raw(arena, count * sizeof(*ancestors));
        if (ancestors == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        memcpy(ancestors, found, count * sizeof(*ancestors));
        entity->ancestors = ancestors;
        entity->ancestor_count = count;
    }
    return DV_OK;
}

/* An action that is listed must be just as the schema has it. */
static dv_result check_action(const reader *r, const member *m)
{
    const dv_cedar_action *action = dv_cedar_schema_action(r->schema, m->entity.uid);
    bool same = action != NULL && action->ancestor_count == m->entity.ancestor_count;

    for (size_t i = 0; same && i < action->ancestor_count; i++) {
        same = has_uid(m->entity.ancestors, m->entity.ancestor_count, action->ancestor_uids[i]);
    }
    return same ? DV_OK
                : refuse_name(r, m->token, m->entity.uid,
                              "has other parents here than in the schema");
}

/* The schema's actions are entities, too, listed or not. */
static dv_result add_actions(const reader *r, dv_cedar_entities *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const dv_cedar_entity_type *type =
            dv_cedar_schema_type_of(r->schema, e->members[i].entity.uid);
        if (type->action) {
            DV_TRY(check_action(r, &e->members[i]));
        }
    }
    for (size_t i = 0; i < r->schema->action_count; i++) {
        const dv_cedar_action *action = &r->schema->actions[i];
        uint32_t *place = place_of(e, action->uid);
        if (*place == 0) {
            e->members[e->count].entity =
                (dv_cedar_entity){.uid = action->uid,
                                  .ancestors = action->ancestor_uids,
                                  .ancestor_count = action->ancestor_count};
            *place = (uint32_t)++e->count;
        }
    }
    return DV_OK;
}

dv_result dv_cedar_entities_parse(dv_slice text, const dv_cedar_schema *schema, dv_arena *arena,
                                  const dv_cedar_entities **ret_entities, dv_error *error)
{
    reader r = {0};
    dv_cedar_entities *e = dv_arena_alloc(arena, sizeof(*e));

    if (e == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(reader_init(&r, text, schema, arena, error));
    DV_TRY(read_members(&r, e));
    DV_TRY(close_hierarchy(e, arena, error));
    if (schema != NULL) {
        DV_TRY(add_actions(&r, e));
    }
    *ret_entities = e;
    return DV_OK;
}

size_t dv_cedar_entities_count(const dv_cedar_entities *entities)
{
    return entities->count;
}

dv_slice dv_cedar_entities_uid(const dv_cedar_entities *entities, size_t index)
{
    return entities->members[index].entity.uid;
}

bool dv_cedar_entities_lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    const member *m = find_member(data, uid);

    if (m == NULL) {
        return false;
    }
    *ret_entity = m->entity;
    return true;
}

static dv_result parse_record(dv_slice text, const dv_cedar_schema *schema,
                              const dv_cedar_static *type, dv_arena *arena,
                              dv_cedar_value *ret_record, dv_error *error)
{
    reader r = {0};

    DV_TRY(reader_init(&r, text, schema, arena, error));
    if (!is_type(&r, 0, DV_JSON_OBJECT)) {
        return refuse(&r, 0, "a record is an object");
    }
    return read_record(&r, 0, type, ret_record);
}

dv_result dv_cedar_record_parse(dv_slice text, dv_arena *arena, dv_cedar_value *ret_record,
                                dv_error *error)
{
    return parse_record(text, NULL, NULL, arena, ret_record, error);
}

dv_result dv_cedar_context_parse(dv_slice text, const dv_cedar_schema *schema, dv_slice action,
                                 dv_arena *arena, dv_cedar_value *ret_record, dv_error *error)
{
    const dv_cedar_action *declared = dv_cedar_schema_action(schema, action);

    if (declared == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "the action %.*s is not declared",
                            DV_SLICE_ARGS(dv_slice_sub(action, 0, 200)));
    }
    return parse_record(text, schema, declared->context, arena, ret_record, error);
}
