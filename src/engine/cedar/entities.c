/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/entities.h"

#include "engine/cedar/function.h"
#include "engine/cedar/hash.h"
#include "engine/cedar/lexer.h"

#include "base/caps.h"
#include "base/json.h"

enum { TOKENS_MAX = 1 << 24 };

/* An entity as it stands in the list. */
typedef struct member {
    dv_cedar_entity entity;
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
    dv_json json;
    dv_arena *arena;
    dv_cedar_lexer place; /* for errors */
} reader;

static dv_result reader_init(reader *r, dv_slice text, dv_arena *arena, dv_error *error)
{
    static const dv_json_limits limits = {
        .depth = DV_LIMIT_CEDAR_DEPTH, .tokens = TOKENS_MAX, .refuse_duplicate_keys = true};

    if (text.len > DV_LIMIT_CEDAR_ENTITIES) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "entities may have %d bytes, these have %zu",
                            DV_LIMIT_CEDAR_ENTITIES, text.len);
    }
    r->arena = arena;
    r->place.error = error;
    DV_TRY(dv_arena_copy(arena, text, &r->place.text));
    return dv_json_scan(r->place.text, &limits, arena, &r->json, error);
}

static dv_result refuse(const reader *r, uint32_t token, const char *what)
{
    return dv_cedar_error_at(&r->place, r->json.tokens[token].start, "%s", what);
}

static bool is_type(const reader *r, uint32_t token, dv_json_type type)
{
    return r->json.tokens[token].type == type;
}

static uint32_t next_of(const reader *r, uint32_t token)
{
    return r->json.tokens[token].next;
}

/* Members of an object or elements of an array. */
static size_t count_of(const reader *r, uint32_t token)
{
    size_t count = 0;

    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        count++;
    }
    return count;
}

static dv_result read_string(const reader *r, uint32_t token, dv_slice *ret_text)
{
    if (!is_type(r, token, DV_JSON_STRING)) {
        return refuse(r, token, "a string is wanted here");
    }
    return dv_json_string(&r->json, token, r->arena, ret_text);
}

/* {"type": ..., "id": ...} */
static dv_result read_type_and_id(const reader *r, uint32_t token, dv_slice *ret_uid)
{
    dv_slice type = {0}, id = {0};

    if (!is_type(r, token, DV_JSON_OBJECT)) {
        return refuse(r, token, "an entity is an object with type and id");
    }
    uint32_t type_token = dv_json_member(&r->json, token, "type");
    uint32_t id_token = dv_json_member(&r->json, token, "id");
    if (type_token == 0 || id_token == 0 || count_of(r, token) != 2) {
        return refuse(r, token, "an entity has a type and an id, and nothing else");
    }
    DV_TRY(read_string(r, type_token, &type));
    DV_TRY(read_string(r, id_token, &id));
    dv_result result = dv_cedar_uid(r->arena, type, id, ret_uid);
    if (result == DV_ERR_INVALID || result == DV_ERR_TOO_LARGE) {
        return refuse(r, type_token, "this is no entity type, or the id is too long");
    }
    return result;
}

/* The same, or with {"__entity": ...} around it. */
static dv_result read_uid(const reader *r, uint32_t token, dv_slice *ret_uid)
{
    uint32_t inner =
        is_type(r, token, DV_JSON_OBJECT) ? dv_json_member(&r->json, token, "__entity") : 0;

    if (inner != 0 && count_of(r, token) == 1) {
        token = inner;
    }
    return read_type_and_id(r, token, ret_uid);
}

static dv_result read_value(const reader *r, uint32_t token, dv_cedar_value *ret_value);

/* The arguments of an extension call: "arg": value, or "args": [values]. */
static dv_result read_args(const reader *r, uint32_t token, dv_cedar_value args[DV_CEDAR_ARGS_MAX],
                           size_t *ret_count)
{
    uint32_t one = dv_json_member(&r->json, token, "arg");
    uint32_t list = dv_json_member(&r->json, token, "args");

    if (one != 0) {
        *ret_count = 1;
        return read_value(r, one, &args[0]);
    }
    if (list == 0 || !is_type(r, list, DV_JSON_ARRAY) || count_of(r, list) > DV_CEDAR_ARGS_MAX) {
        return refuse(r, token, "an extension value has fn and arg");
    }
    *ret_count = 0;
    for (uint32_t i = list + 1; i < next_of(r, list); i = next_of(r, i)) {
        DV_TRY(read_value(r, i, &args[(*ret_count)++]));
    }
    return DV_OK;
}

/* {"fn": ..., "arg": ...} */
static dv_result read_extension(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    dv_cedar_value args[DV_CEDAR_ARGS_MAX];
    dv_slice name = {0};
    size_t count = 0;
    uint32_t fn = is_type(r, token, DV_JSON_OBJECT) ? dv_json_member(&r->json, token, "fn") : 0;

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

static dv_result read_set(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    size_t count = 0;
    dv_cedar_value *items = dv_arena_alloc_raw(r->arena, (count_of(r, token) + 1) * sizeof(*items));

    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        DV_TRY(read_value(r, i, &items[count++]));
    }
    *ret_value = dv_cedar_set(items, count);
    return DV_OK;
}

static dv_result read_record(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    size_t count = 0;
    dv_cedar_attr *attrs = dv_arena_alloc_raw(r->arena, (count_of(r, token) + 1) * sizeof(*attrs));

    if (attrs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        DV_TRY(dv_json_string(&r->json, i, r->arena, &attrs[count].name));
        DV_TRY(read_value(r, i + 1, &attrs[count++].value));
    }
    return dv_cedar_record(attrs, count, ret_value);
}

/* An escape stands alone in its object; one among other members is a mistake, not a record. */
static dv_result read_object(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    static const char *const escapes[] = {"__entity", "__extn", "__expr"};
    dv_slice uid = {0};

    for (size_t i = 0; i < DV_ARRAY_LEN(escapes); i++) {
        uint32_t inner = dv_json_member(&r->json, token, escapes[i]);
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
    return read_record(r, token, ret_value);
}

static dv_result read_number(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    int64_t number = 0;

    if (dv_json_int(&r->json, token, &number) != DV_OK) {
        return refuse(r, token, "numbers are whole and fit 64 bits");
    }
    *ret_value = dv_cedar_long(number);
    return DV_OK;
}

static dv_result read_value(const reader *r, uint32_t token, dv_cedar_value *ret_value)
{
    dv_slice text = {0};

    switch ((dv_json_type)r->json.tokens[token].type) {
    case DV_JSON_OBJECT:
        return read_object(r, token, ret_value);
    case DV_JSON_ARRAY:
        return read_set(r, token, ret_value);
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

/* A record in the arena; NULL when the member is not there. */
static dv_result read_attributes(const reader *r, uint32_t token, const dv_cedar_value **ret_record)
{
    if (token == 0) {
        return DV_OK;
    }
    if (!is_type(r, token, DV_JSON_OBJECT)) {
        return refuse(r, token, "attributes and tags are an object");
    }
    dv_cedar_value *record = dv_arena_alloc(r->arena, sizeof(*record));
    if (record == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_record(r, token, record));
    *ret_record = record;
    return DV_OK;
}

static dv_result read_parents(const reader *r, uint32_t token, member *m)
{
    if (token == 0) {
        return DV_OK;
    }
    if (!is_type(r, token, DV_JSON_ARRAY)) {
        return refuse(r, token, "parents are a list");
    }
    dv_slice *parents = dv_arena_alloc(r->arena, (count_of(r, token) + 1) * sizeof(*parents));
    if (parents == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    m->parents = parents;
    for (uint32_t i = token + 1; i < next_of(r, token); i = next_of(r, i)) {
        DV_TRY(read_uid(r, i, &parents[m->parent_count]));
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
        DV_TRY(dv_json_string(&r->json, i, r->arena, &name));
        for (size_t k = 0; k < DV_ARRAY_LEN(known); k++) {
            found |= dv_slice_eq_str(name, known[k]);
        }
        if (!found) {
            return refuse(r, i, "an entity has uid, attrs, parents and tags");
        }
    }
    return DV_OK;
}

static dv_result read_member(const reader *r, uint32_t token, member *m)
{
    if (!is_type(r, token, DV_JSON_OBJECT)) {
        return refuse(r, token, "an entity is an object");
    }
    DV_TRY(check_members(r, token));
    uint32_t uid = dv_json_member(&r->json, token, "uid");
    if (uid == 0) {
        return refuse(r, token, "this entity has no uid");
    }
    DV_TRY(read_uid(r, uid, &m->entity.uid));
    DV_TRY(read_attributes(r, dv_json_member(&r->json, token, "attrs"), &m->entity.attributes));
    DV_TRY(read_attributes(r, dv_json_member(&r->json, token, "tags"), &m->entity.tags));
    return read_parents(r, dv_json_member(&r->json, token, "parents"), m);
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
    DV_TRY(entities_init(e, count_of(r, 0), r->arena));
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

dv_result dv_cedar_entities_parse(dv_slice text, dv_arena *arena,
                                  const dv_cedar_entities **ret_entities, dv_error *error)
{
    reader r = {0};
    dv_cedar_entities *e = dv_arena_alloc(arena, sizeof(*e));

    if (e == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(reader_init(&r, text, arena, error));
    DV_TRY(read_members(&r, e));
    DV_TRY(close_hierarchy(e, arena, error));
    *ret_entities = e;
    return DV_OK;
}

size_t dv_cedar_entities_count(const dv_cedar_entities *entities)
{
    return entities->count;
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

dv_result dv_cedar_record_parse(dv_slice text, dv_arena *arena, dv_cedar_value *ret_record,
                                dv_error *error)
{
    reader r = {0};

    DV_TRY(reader_init(&r, text, arena, error));
    if (!is_type(&r, 0, DV_JSON_OBJECT)) {
        return refuse(&r, 0, "a record is an object");
    }
    return read_record(&r, 0, ret_record);
}
