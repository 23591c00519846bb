/* SPDX-License-Identifier: Apache-2.0 */
/* From a schema as it is written to one whose names are looked up (specs: human-readable-schema,
 * "Type name disambiguation").
 *
 * Everything that is declared goes into a table under its full name. A name that is used in
 * namespace N means, in this order: the common type N::name, the entity type N::name, the common
 * type, the entity type, the built-in type of that name. A name with a path means just that one. */
#include "engine/cedar/hash.h"
#include "engine/cedar/lexer.h"
#include "engine/cedar/schema_form.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

/* A common type: looked up when it is first needed, so that a cycle shows. */
typedef struct common {
    dv_slice name; /* full */
    const dv_cedar_decl_namespace *ns;
    const dv_cedar_decl_common *decl;
    const dv_cedar_static *type; /* NULL: not yet */
    bool open;                   /* being looked up */
} common;

/* An entity type or an action with its declaration; entity types by themselves have none when they
 * are some namespace's Action. */
typedef struct entity_source {
    dv_cedar_entity_type *type;
    const dv_cedar_decl_namespace *ns;
    const dv_cedar_decl_entity *decl;
} entity_source;

typedef struct action_source {
    dv_cedar_action *action;
    const dv_cedar_decl_namespace *ns;
    const dv_cedar_decl_action *decl;
} action_source;

typedef struct resolver {
    dv_cedar_schema *schema;
    dv_arena *arena;
    dv_cedar_lexer place;
    common *commons; /* sorted by name */
    size_t common_count;
    unsigned depth;          /* of the type being looked up */
    entity_source *entities; /* beside schema->types */
    action_source *actions;  /* beside schema->actions */
} resolver;

/* An error about something that has a name. Never DV_OK, which analyzers see here. */
static dv_result refuse(const resolver *r, uint32_t offset, dv_slice name, const char *what)
{
    dv_result result = dv_cedar_error_at(&r->place, offset, "'%.*s' %s",
                                         DV_SLICE_ARGS(dv_slice_sub(name, 0, 100)), what);

    return result == DV_OK ? DV_ERR_INTERNAL : result;
}

static dv_result too_many(const resolver *r, const char *what)
{
    return dv_error_set(r->place.error, DV_ERR_TOO_LARGE, "a schema may have %d %s",
                        DV_LIMIT_CEDAR_DECLARED, what);
}

static dv_result allocate(const resolver *r, size_t count, size_t size, void *ret_items)
{
    void *items = dv_arena_alloc(r->arena, (count + 1) * size);

    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(ret_items, &items, sizeof(items));
    return DV_OK;
}

/* NS::name, or the name alone in the empty namespace. */
static dv_result qualify(const resolver *r, dv_slice ns, dv_slice name, dv_slice *ret_full)
{
    const dv_slice parts[] = {ns, DV_LIT("::"), name};

    if (ns.len == 0) {
        *ret_full = name;
        return DV_OK;
    }
    return dv_arena_concat(r->arena, parts, DV_ARRAY_LEN(parts), ret_full);
}

static bool has_path(dv_slice name)
{
    return dv_slice_find(name, DV_LIT("::")) >= 0;
}

/* ---- what is declared ---- */

static int order_commons(const void *a, const void *b)
{
    return dv_slice_cmp(((const common *)a)->name, ((const common *)b)->name);
}

static int order_entities(const void *a, const void *b)
{
    return dv_slice_cmp(((const entity_source *)a)->type->name,
                        ((const entity_source *)b)->type->name);
}

static int order_actions(const void *a, const void *b)
{
    return dv_slice_cmp(((const action_source *)a)->action->uid,
                        ((const action_source *)b)->action->uid);
}

static common *find_common(const resolver *r, dv_slice name)
{
    const common key = {.name = name};

    return r->common_count == 0
               ? NULL
               : bsearch(&key, r->commons, r->common_count, sizeof(key), order_commons);
}

/* RESERVED of the schema grammar, which no common type may be called. */
static bool is_schema_word(dv_slice name)
{
    static const char *const words[] = {"Bool", "Boolean", "Entity", "Extension",
                                        "Long", "Record",  "Set",    "String"};

    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        if (dv_slice_eq_str(name, words[i])) {
            return true;
        }
    }
    return false;
}

static dv_result check_ident(const resolver *r, const dv_cedar_decl_name *name)
{
    return dv_cedar_ident_valid(name->text)
               ? DV_OK
               : refuse(r, name->offset, name->text, "is no name, or a reserved one");
}

static dv_result add_common(resolver *r, const dv_cedar_decl_namespace *ns,
                            const dv_cedar_decl_common *decl)
{
    common *c = &r->commons[r->common_count];

    DV_TRY(check_ident(r, &decl->name));
    if (is_schema_word(decl->name.text)) {
        return refuse(r, decl->name.offset, decl->name.text,
                      "is a word of schemas: call this type something else");
    }
    *c = (common){.ns = ns, .decl = decl};
    r->common_count++;
    return qualify(r, ns->name.text, decl->name.text, &c->name);
}

static dv_result add_entity(resolver *r, const dv_cedar_decl_namespace *ns,
                            const dv_cedar_decl_entity *decl)
{
    entity_source *e = &r->entities[r->schema->type_count];

    DV_TRY(check_ident(r, &decl->name));
    if (dv_slice_eq_str(decl->name.text, "Action")) {
        return refuse(r, decl->name.offset, decl->name.text,
                      "is the type of actions: declare actions");
    }
    DV_TRY(allocate(r, 1, sizeof(*e->type), &e->type));
    e->ns = ns;
    e->decl = decl;
    r->schema->type_count++;
    return qualify(r, ns->name.text, decl->name.text, &e->type->name);
}

static dv_result add_action(resolver *r, const dv_cedar_decl_namespace *ns, dv_slice type,
                            const dv_cedar_decl_action *decl)
{
    action_source *a = &r->actions[r->schema->action_count];

    DV_TRY(allocate(r, 1, sizeof(*a->action), &a->action));
    dv_result made = dv_cedar_uid(r->arena, type, decl->name.text, &a->action->uid);
    if (made == DV_ERR_INVALID || made == DV_ERR_TOO_LARGE) {
        return refuse(r, decl->name.offset, decl->name.text, "is too long for an action");
    }
    a->ns = ns;
    a->decl = decl;
    r->schema->action_count++;
    return made;
}

/* A namespace's actions, and their type, which is declared by there being any. */
static dv_result add_actions(resolver *r, const dv_cedar_decl_namespace *ns)
{
    entity_source *e = &r->entities[r->schema->type_count];
    dv_slice type = {0};

    if (ns->action_count == 0) {
        return DV_OK;
    }
    DV_TRY(qualify(r, ns->name.text, DV_LIT("Action"), &type));
    DV_TRY(allocate(r, 1, sizeof(*e->type), &e->type));
    e->ns = ns;
    e->decl = NULL;
    e->type->name = type;
    e->type->action = true;
    r->schema->type_count++;
    for (size_t i = 0; i < ns->action_count; i++) {
        DV_TRY(add_action(r, ns, type, &ns->actions[i]));
    }
    return DV_OK;
}

static dv_result check_namespace(const resolver *r, const dv_cedar_decl_namespace *ns)
{
    const dv_cedar_decl_namespace *all = r->schema->written.namespaces;

    if (ns->name.text.len > 0 && !dv_cedar_path_valid(ns->name.text)) {
        return refuse(r, ns->name.offset, ns->name.text,
                      "is no name of a namespace, or a reserved one");
    }
    for (const dv_cedar_decl_namespace *other = all; other < ns; other++) {
        if (dv_slice_eq(other->name.text, ns->name.text)) {
            return refuse(r, ns->name.offset, ns->name.text,
                          "is declared twice: put all of a namespace in one place");
        }
    }
    return ns->name.text.len == 0 && ns->annotations.count > 0
               ? refuse(r, ns->name.offset, ns->name.text,
                        "is the empty namespace, which has no annotations")
               : DV_OK;
}

static dv_result declare_namespace(resolver *r, const dv_cedar_decl_namespace *ns)
{
    DV_TRY(check_namespace(r, ns));
    for (size_t i = 0; i < ns->common_count; i++) {
        DV_TRY(add_common(r, ns, &ns->commons[i]));
    }
    for (size_t i = 0; i < ns->entity_count; i++) {
        DV_TRY(add_entity(r, ns, &ns->entities[i]));
    }
    return add_actions(r, ns);
}

/* Room for all that is declared, so that nothing moves. */
static dv_result make_room(resolver *r)
{
    const dv_cedar_decl_schema *written = &r->schema->written;
    size_t entities = 0, actions = 0, commons = 0;

    for (size_t i = 0; i < written->count; i++) {
        entities += written->namespaces[i].entity_count + 1; /* and its Action */
        actions += written->namespaces[i].action_count;
        commons += written->namespaces[i].common_count;
    }
    if (entities > DV_LIMIT_CEDAR_DECLARED) {
        return too_many(r, "entity types");
    }
    if (actions > DV_LIMIT_CEDAR_DECLARED) {
        return too_many(r, "actions");
    }
    if (commons > DV_LIMIT_CEDAR_DECLARED) {
        return too_many(r, "common types");
    }
    DV_TRY(allocate(r, commons, sizeof(*r->commons), &r->commons));
    DV_TRY(allocate(r, entities, sizeof(*r->entities), &r->entities));
    return allocate(r, actions, sizeof(*r->actions), &r->actions);
}

static dv_result note_commons(const resolver *r)
{
    dv_slice *names = NULL;

    DV_TRY(allocate(r, r->common_count, sizeof(*names), &names));
    for (size_t i = 0; i < r->common_count; i++) {
        names[i] = r->commons[i].name;
    }
    r->schema->commons = names;
    r->schema->common_count = r->common_count;
    return DV_OK;
}

static dv_result sort_commons(resolver *r)
{
    if (r->common_count > 1) {
        qsort(r->commons, r->common_count, sizeof(*r->commons), order_commons);
    }
    for (size_t i = 1; i < r->common_count; i++) {
        if (dv_slice_eq(r->commons[i - 1].name, r->commons[i].name)) {
            return refuse(r, r->commons[i].decl->name.offset, r->commons[i].name,
                          "is declared twice as a common type");
        }
    }
    return note_commons(r);
}

/* Sorts the types and puts them into one list, whose places are their numbers. */
static dv_result sort_types(resolver *r)
{
    dv_cedar_entity_type *types = NULL;
    size_t count = r->schema->type_count;

    DV_TRY(allocate(r, count, sizeof(*types), &types));
    if (count > 1) {
        qsort(r->entities, count, sizeof(*r->entities), order_entities);
    }
    for (size_t i = 0; i < count; i++) {
        entity_source *e = &r->entities[i];
        if (i > 0 && dv_slice_eq(types[i - 1].name, e->type->name)) {
            return refuse(r, e->decl->name.offset, e->type->name,
                          "is declared twice as an entity type");
        }
        e->type->number = (uint32_t)i;
        types[i] = *e->type;
        types[i].reference =
            (dv_cedar_static){.type = DV_CEDAR_ENTITY, .depth = 1, .entity = &types[i]};
        e->type = &types[i];
    }
    r->schema->types = types;
    return DV_OK;
}

static dv_result sort_actions(resolver *r)
{
    dv_cedar_action *actions = NULL;
    size_t count = r->schema->action_count;

    DV_TRY(allocate(r, count, sizeof(*actions), &actions));
    if (count > 1) {
        qsort(r->actions, count, sizeof(*r->actions), order_actions);
    }
    for (size_t i = 0; i < count; i++) {
        action_source *a = &r->actions[i];
        if (i > 0 && dv_slice_eq(actions[i - 1].uid, a->action->uid)) {
            return refuse(r, a->decl->name.offset, a->action->uid, "is declared twice");
        }
        a->action->number = (uint32_t)i;
        actions[i] = *a->action;
        a->action = &actions[i];
    }
    r->schema->actions = actions;
    return DV_OK;
}

/* "We do not allow defining entity types or common types that would shadow definitions ... in the
 * empty namespace", nor actions. */
static dv_result check_shadowing(const resolver *r)
{
    for (size_t i = 0; i < r->common_count; i++) {
        const common *c = &r->commons[i];
        dv_slice name = c->decl->name.text;
        if (c->ns->name.text.len > 0 &&
            (find_common(r, name) != NULL || dv_cedar_schema_type(r->schema, name) != NULL)) {
            return refuse(r, c->decl->name.offset, name,
                          "would hide the type of that name outside of namespaces");
        }
    }
    for (size_t i = 0; i < r->schema->type_count; i++) {
        const entity_source *e = &r->entities[i];
        dv_slice name = e->decl == NULL ? (dv_slice){0} : e->decl->name.text;
        if (e->decl != NULL && e->ns->name.text.len > 0 &&
            (find_common(r, name) != NULL || dv_cedar_schema_type(r->schema, name) != NULL)) {
            return refuse(r, e->decl->name.offset, name,
                          "would hide the type of that name outside of namespaces");
        }
    }
    for (size_t i = 0; i < r->schema->action_count; i++) {
        const action_source *a = &r->actions[i];
        dv_slice plain = {0};
        DV_TRY(dv_cedar_uid(r->arena, DV_LIT("Action"), a->decl->name.text, &plain));
        if (a->ns->name.text.len > 0 && dv_cedar_schema_action(r->schema, plain) != NULL) {
            return refuse(r, a->decl->name.offset, a->decl->name.text,
                          "would hide the action of that name outside of namespaces");
        }
    }
    return DV_OK;
}

static dv_result declare(resolver *r)
{
    const dv_cedar_decl_schema *written = &r->schema->written;

    DV_TRY(make_room(r));
    for (size_t i = 0; i < written->count; i++) {
        DV_TRY(declare_namespace(r, &written->namespaces[i]));
    }
    DV_TRY(sort_commons(r));
    DV_TRY(sort_types(r));
    DV_TRY(sort_actions(r));
    return check_shadowing(r);
}

/* ---- what names mean ---- */

static const dv_cedar_static *builtin(dv_slice name)
{
    static const struct {
        const char *name;
        dv_cedar_static type;
    } types[] = {
        {"Bool", {.type = DV_CEDAR_BOOL, .depth = 1}},
        {"Long", {.type = DV_CEDAR_LONG, .depth = 1}},
        {"String", {.type = DV_CEDAR_STRING, .depth = 1}},
        {"decimal", {.type = DV_CEDAR_DECIMAL, .depth = 1}},
        {"datetime", {.type = DV_CEDAR_DATETIME, .depth = 1}},
        {"duration", {.type = DV_CEDAR_DURATION, .depth = 1}},
        {"ipaddr", {.type = DV_CEDAR_IPADDR, .depth = 1}},
    };

    for (size_t i = 0; i < DV_ARRAY_LEN(types); i++) {
        if (dv_slice_eq_str(name, types[i].name)) {
            return &types[i].type;
        }
    }
    return NULL;
}

static dv_result resolve_type(resolver *r, const dv_cedar_decl_namespace *ns,
                              const dv_cedar_decl_type *decl, const dv_cedar_static **ret_type);

static dv_result resolve_common(resolver *r, uint32_t offset, common *c,
                                const dv_cedar_static **ret_type)
{
    if (c->type == NULL) {
        if (c->open) {
            return refuse(r, offset, c->name, "is a common type made of itself");
        }
        c->open = true;
        DV_TRY(resolve_type(r, c->ns, &c->decl->type, &c->type));
        c->open = false;
    }
    *ret_type = c->type;
    return DV_OK;
}

/* One full name; ret_type stays NULL when nothing is called that. */
static dv_result look_up(resolver *r, const dv_cedar_decl_type *decl, dv_slice full,
                         const dv_cedar_static **ret_type)
{
    common *c = decl->kind == DV_CEDAR_DECL_ENTITY ? NULL : find_common(r, full);

    if (c != NULL) {
        return resolve_common(r, decl->offset, c, ret_type);
    }
    const dv_cedar_entity_type *entity =
        decl->kind == DV_CEDAR_DECL_COMMON ? NULL : dv_cedar_schema_type(r->schema, full);
    if (entity != NULL) {
        *ret_type = &entity->reference;
    }
    return DV_OK;
}

/* The built-in type of that name, where no type of the empty namespace has taken it: __cedar::X is
 * always the built-in one. */
static const dv_cedar_static *look_up_builtin(const resolver *r, dv_slice name)
{
    if (dv_slice_starts_with(name, DV_LIT("__cedar::"))) {
        return builtin(dv_slice_sub(name, 9, name.len));
    }
    return find_common(r, name) == NULL && dv_cedar_schema_type(r->schema, name) == NULL
               ? builtin(name)
               : NULL;
}

static dv_result resolve_name(resolver *r, const dv_cedar_decl_namespace *ns,
                              const dv_cedar_decl_type *decl, const dv_cedar_static **ret_type)
{
    const dv_cedar_static *type = NULL;
    dv_slice full = {0};

    if (!has_path(decl->name)) {
        DV_TRY(qualify(r, ns->name.text, decl->name, &full));
        DV_TRY(look_up(r, decl, full, &type));
    }
    if (type == NULL) {
        DV_TRY(look_up(r, decl, decl->name, &type));
    }
    if (type == NULL && decl->kind != DV_CEDAR_DECL_ENTITY) {
        type = look_up_builtin(r, decl->name);
    }
    if (type == NULL) {
        return refuse(r, decl->offset, decl->name,
                      decl->kind == DV_CEDAR_DECL_ENTITY ? "is not declared as an entity type"
                                                         : "is not declared as a type");
    }
    *ret_type = type;
    return DV_OK;
}

static dv_result too_deep(const resolver *r, uint32_t offset)
{
    return dv_cedar_error_at(&r->place, offset,
                             "types may be %d levels deep, common types counted with what they "
                             "are made of",
                             DV_LIMIT_CEDAR_DEPTH);
}

/* Sets how deep a type is, whatever common types it is made of. */
static dv_result seal(const resolver *r, uint32_t offset, unsigned below, dv_cedar_static *type)
{
    if (below >= DV_LIMIT_CEDAR_DEPTH) {
        return too_deep(r, offset);
    }
    type->depth = (uint16_t)(below + 1);
    return DV_OK;
}

static dv_result resolve_set(resolver *r, const dv_cedar_decl_namespace *ns,
                             const dv_cedar_decl_type *decl, const dv_cedar_static **ret_type)
{
    dv_cedar_static *type = NULL;

    DV_TRY(allocate(r, 1, sizeof(*type), &type));
    type->type = DV_CEDAR_SET;
    DV_TRY(resolve_type(r, ns, decl->element, &type->element));
    *ret_type = type;
    return seal(r, decl->offset, type->element->depth, type);
}

static dv_result resolve_record(resolver *r, const dv_cedar_decl_namespace *ns,
                                const dv_cedar_decl_type *decl, const dv_cedar_static **ret_type)
{
    dv_cedar_attribute *attributes = NULL;
    dv_cedar_static *type = NULL;
    unsigned below = 0;

    DV_TRY(allocate(r, 1, sizeof(*type), &type));
    DV_TRY(allocate(r, decl->count, sizeof(*attributes), &attributes));
    for (uint32_t i = 0; i < decl->count; i++) {
        const dv_cedar_decl_field *field = &decl->fields[i];
        attributes[i] = (dv_cedar_attribute){.name = field->name, .optional = field->optional};
        DV_TRY(resolve_type(r, ns, &field->type, &attributes[i].type));
        below = DV_MAX(below, attributes[i].type->depth);
    }
    *type =
        (dv_cedar_static){.type = DV_CEDAR_RECORD, .count = decl->count, .attributes = attributes};
    *ret_type = type;
    return seal(r, decl->offset, below, type);
}

static dv_result resolve_kind(resolver *r, const dv_cedar_decl_namespace *ns,
                              const dv_cedar_decl_type *decl, const dv_cedar_static **ret_type)
{
    switch (decl->kind) {
    case DV_CEDAR_DECL_SET:
        return resolve_set(r, ns, decl, ret_type);
    case DV_CEDAR_DECL_RECORD:
        return resolve_record(r, ns, decl, ret_type);
    case DV_CEDAR_DECL_NAME:
    case DV_CEDAR_DECL_COMMON:
    case DV_CEDAR_DECL_ENTITY:
        break;
    }
    return resolve_name(r, ns, decl, ret_type);
}

static dv_result resolve_type(resolver *r, const dv_cedar_decl_namespace *ns,
                              const dv_cedar_decl_type *decl, const dv_cedar_static **ret_type)
{
    if (r->depth >= DV_LIMIT_CEDAR_DEPTH) {
        return too_deep(r, decl->offset);
    }
    r->depth++;
    dv_result result = resolve_kind(r, ns, decl, ret_type);
    r->depth--;
    return result;
}

/* A shape or a context: a record, and an empty one when none is written. */
static dv_result resolve_shape(resolver *r, const dv_cedar_decl_namespace *ns,
                               const dv_cedar_decl_type *decl, const dv_cedar_static **ret_type)
{
    static const dv_cedar_static empty = {.type = DV_CEDAR_RECORD, .depth = 1};

    if (decl == NULL) {
        *ret_type = &empty;
        return DV_OK;
    }
    DV_TRY(resolve_type(r, ns, decl, ret_type));
    return (*ret_type)->type == DV_CEDAR_RECORD
               ? DV_OK
               : dv_cedar_error_at(&r->place, decl->offset,
                                   "a record is wanted here, or a common type that is one");
}

/* An entity type where nothing else may stand. */
static dv_result resolve_entity(resolver *r, const dv_cedar_decl_namespace *ns,
                                const dv_cedar_decl_name *name,
                                const dv_cedar_entity_type **ret_type)
{
    const dv_cedar_decl_type decl = {
        .kind = DV_CEDAR_DECL_ENTITY, .offset = name->offset, .name = name->text};
    const dv_cedar_static *type = NULL;

    DV_TRY(resolve_name(r, ns, &decl, &type));
    if (type == NULL || type->entity->action) {
        return refuse(r, name->offset, name->text, "is a type of actions, which cannot stand here");
    }
    *ret_type = type->entity;
    return DV_OK;
}

/* ---- entity types ---- */

static int order_slices(const void *a, const void *b)
{
    return dv_slice_cmp(*(const dv_slice *)a, *(const dv_slice *)b);
}

static dv_result resolve_choices(const resolver *r, entity_source *e)
{
    dv_slice *uids = NULL;

    DV_TRY(allocate(r, e->decl->choice_count, sizeof(*uids), &uids));
    for (size_t i = 0; i < e->decl->choice_count; i++) {
        dv_result made = dv_cedar_uid(r->arena, e->type->name, e->decl->choices[i], &uids[i]);
        if (made == DV_ERR_INVALID || made == DV_ERR_TOO_LARGE) {
            return refuse(r, e->decl->name.offset, e->decl->name.text,
                          "has an id that is too long");
        }
        DV_TRY(made);
    }
    if (e->decl->choice_count > 1) {
        qsort(uids, e->decl->choice_count, sizeof(*uids), order_slices);
    }
    e->type->choices = uids;
    e->type->choice_count = e->decl->choice_count;
    return DV_OK;
}

static dv_result resolve_entity_type(resolver *r, entity_source *e)
{
    const dv_cedar_decl_type *shape = e->decl == NULL ? NULL : e->decl->shape;

    DV_TRY(resolve_shape(r, e->ns, shape, &e->type->shape));
    if (e->decl == NULL) {
        return DV_OK;
    }
    if (e->decl->tags != NULL) {
        DV_TRY(resolve_type(r, e->ns, e->decl->tags, &e->type->tags));
    }
    return e->decl->choice_count > 0 ? resolve_choices(r, e) : DV_OK;
}

/* ---- hierarchies ---- */

/* A relation over numbers: the parents of each, and its transitive closure as bits. */
typedef struct relation {
    size_t count;
    size_t words; /* of a row of bits */
    uint64_t *bits;
    const uint32_t **parents;
    size_t *parent_counts;
    uint32_t *queue;
} relation;

static dv_result relation_init(const resolver *r, size_t count, relation *ret)
{
    relation rel = {.count = count, .words = count / 64 + 1};

    DV_TRY(allocate(r, count * rel.words, sizeof(*rel.bits), &rel.bits));
    DV_TRY(allocate(r, count, sizeof(*rel.parents), &rel.parents));
    DV_TRY(allocate(r, count, sizeof(*rel.parent_counts), &rel.parent_counts));
    DV_TRY(allocate(r, count, sizeof(*rel.queue), &rel.queue));
    *ret = rel;
    return DV_OK;
}

static void visit_parents(const relation *rel, size_t number, uint64_t *row, size_t *queued)
{
    for (size_t i = 0; i < rel->parent_counts[number]; i++) {
        uint32_t parent = rel->parents[number][i];
        if (!dv_cedar_bit(row, parent)) {
            row[parent / 64] |= UINT64_C(1) << (parent % 64);
            rel->queue[(*queued)++] = parent;
        }
    }
}

/* The row of one: every number that can be reached from it. */
static const uint64_t *close_row(const relation *rel, size_t number)
{
    uint64_t *row = rel->bits + number * rel->words;
    size_t queued = 0;

    visit_parents(rel, number, row, &queued);
    for (size_t next = 0; next < queued; next++) {
        visit_parents(rel, rel->queue[next], row, &queued);
    }
    return row;
}

static dv_result relate_types(resolver *r)
{
    size_t count = r->schema->type_count;
    relation rel;

    DV_TRY(relation_init(r, count, &rel));
    for (size_t i = 0; i < count; i++) {
        const entity_source *e = &r->entities[i];
        const dv_cedar_decl_names names =
            e->decl == NULL ? (dv_cedar_decl_names){0} : e->decl->parents;
        uint32_t *parents = NULL;
        DV_TRY(allocate(r, names.count, sizeof(*parents), &parents));
        for (size_t n = 0; n < names.count; n++) {
            const dv_cedar_entity_type *parent = NULL;
            DV_TRY(resolve_entity(r, e->ns, &names.items[n], &parent));
            parents[n] = parent->number;
        }
        rel.parents[i] = parents;
        rel.parent_counts[i] = names.count;
    }
    for (size_t i = 0; i < count; i++) {
        r->entities[i].type->ancestors = close_row(&rel, i);
    }
    return DV_OK;
}

/* An action by a group's name: in the same namespace, then outside of all. */
static dv_result resolve_group(resolver *r, const action_source *a,
                               const dv_cedar_decl_parent *parent, const dv_cedar_action **ret)
{
    dv_slice type = parent->type.len == 0 ? DV_LIT("Action") : parent->type;
    const dv_cedar_action *group = NULL;
    dv_slice full = {0}, uid = {0};

    if (!dv_cedar_path_valid(type)) {
        return refuse(r, parent->offset, type, "is no type of actions");
    }
    if (!has_path(type)) {
        DV_TRY(qualify(r, a->ns->name.text, type, &full));
        DV_TRY(dv_cedar_uid(r->arena, full, parent->id, &uid));
        group = dv_cedar_schema_action(r->schema, uid);
    }
    if (group == NULL) {
        dv_result made = dv_cedar_uid(r->arena, type, parent->id, &uid);
        DV_TRY(made);
        group = dv_cedar_schema_action(r->schema, uid);
    }
    *ret = group;
    return group != NULL ? DV_OK
                         : refuse(r, parent->offset, parent->id,
                                  "is not declared as an action to be a member of");
}

static dv_result note_ancestors(const resolver *r, dv_cedar_action *action)
{
    dv_slice *uids = NULL;
    size_t count = r->schema->action_count;

    for (uint32_t i = 0; i < count; i++) {
        action->ancestor_count += dv_cedar_bit(action->ancestors, i);
    }
    DV_TRY(allocate(r, action->ancestor_count, sizeof(*uids), &uids));
    for (uint32_t i = 0, n = 0; i < count; i++) {
        if (dv_cedar_bit(action->ancestors, i)) {
            uids[n++] = r->schema->actions[i].uid;
        }
    }
    action->ancestor_uids = uids;
    return DV_OK;
}

static dv_result close_actions(resolver *r, const relation *rel)
{
    for (uint32_t i = 0; i < rel->count; i++) {
        dv_cedar_action *action = r->actions[i].action;
        action->ancestors = close_row(rel, i);
        if (dv_cedar_bit(action->ancestors, i)) {
            return refuse(r, r->actions[i].decl->name.offset, action->uid, "is a member of itself");
        }
        DV_TRY(note_ancestors(r, action));
    }
    return DV_OK;
}

static dv_result relate_actions(resolver *r)
{
    size_t count = r->schema->action_count;
    relation rel;

    DV_TRY(relation_init(r, count, &rel));
    for (size_t i = 0; i < count; i++) {
        const action_source *a = &r->actions[i];
        uint32_t *parents = NULL;
        DV_TRY(allocate(r, a->decl->parent_count, sizeof(*parents), &parents));
        for (size_t n = 0; n < a->decl->parent_count; n++) {
            const dv_cedar_action *group = NULL;
            DV_TRY(resolve_group(r, a, &a->decl->parents[n], &group));
            parents[n] = group->number;
        }
        rel.parents[i] = parents;
        rel.parent_counts[i] = a->decl->parent_count;
    }
    return close_actions(r, &rel);
}

/* ---- actions ---- */

/* The types that an action applies to, each once. */
static dv_result resolve_applicable(resolver *r, const dv_cedar_decl_namespace *ns,
                                    const dv_cedar_decl_names *names,
                                    const dv_cedar_entity_type *const **ret_types,
                                    size_t *ret_count)
{
    uint64_t seen[DV_LIMIT_CEDAR_DECLARED / 64 + 1] = {0};
    const dv_cedar_entity_type **types = NULL;
    size_t count = 0;

    DV_TRY(allocate(r, names->count, sizeof(const dv_cedar_entity_type *), &types));
    for (size_t i = 0; i < names->count; i++) {
        const dv_cedar_entity_type *type = NULL;
        DV_TRY(resolve_entity(r, ns, &names->items[i], &type));
        if (!dv_cedar_bit(seen, type->number)) {
            seen[type->number / 64] |= UINT64_C(1) << (type->number % 64);
            types[count++] = type;
        }
    }
    *ret_types = types;
    *ret_count = count;
    return DV_OK;
}

static dv_result resolve_action(resolver *r, action_source *a)
{
    dv_cedar_action *action = a->action;

    action->type = dv_cedar_schema_type_of(r->schema, action->uid);
    DV_TRY(resolve_applicable(r, a->ns, &a->decl->principals, &action->principals,
                              &action->principal_count));
    DV_TRY(resolve_applicable(r, a->ns, &a->decl->resources, &action->resources,
                              &action->resource_count));
    return resolve_shape(r, a->ns, a->decl->context, &action->context);
}

dv_result dv_cedar_schema_resolve(dv_cedar_schema *schema, dv_slice text, dv_error *error)
{
    resolver r = {
        .schema = schema, .arena = schema->arena, .place = {.text = text, .error = error}};

    DV_TRY(declare(&r));
    for (size_t i = 0; i < r.common_count; i++) {
        const dv_cedar_static *type = NULL;
        DV_TRY(resolve_common(&r, r.commons[i].decl->name.offset, &r.commons[i], &type));
    }
    for (size_t i = 0; i < schema->type_count; i++) {
        DV_TRY(resolve_entity_type(&r, &r.entities[i]));
    }
    for (size_t i = 0; i < schema->action_count; i++) {
        DV_TRY(resolve_action(&r, &r.actions[i]));
    }
    DV_TRY(relate_types(&r));
    return relate_actions(&r);
}
