/* SPDX-License-Identifier: Apache-2.0 */
/* Cedar's own schema syntax (specs: human-readable-schema-grammar). One function a rule. The words
 * of the grammar (entity, type, in a place of a name) are no reserved words. */
#include "engine/cedar/parser.h"
#include "engine/cedar/schema_tree.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

/* The declarations of one namespace as they are read. */
typedef struct draft {
    dv_cedar_decl_name name;
    dv_cedar_list entities;
    dv_cedar_list actions;
    dv_cedar_list commons;
    dv_cedar_annotations annotations;
} draft;

static int order_fields(const void *a, const void *b)
{
    return dv_slice_cmp(((const dv_cedar_decl_field *)a)->name,
                        ((const dv_cedar_decl_field *)b)->name);
}

void dv_cedar_decl_fields_sort(dv_cedar_decl_field *fields, size_t count,
                               const dv_cedar_decl_field **ret_twice)
{
    *ret_twice = NULL;
    if (count > 1) {
        qsort(fields, count, sizeof(*fields), order_fields);
    }
    for (size_t i = 1; i < count; i++) {
        if (dv_slice_eq(fields[i - 1].name, fields[i].name)) {
            *ret_twice = &fields[i];
        }
    }
}

static dv_result copy_to_arena(dv_cedar_parser *parser, const void *item, size_t size,
                               const void **ret_copy)
{
    void *copy = dv_arena_alloc_raw(parser->arena, size);

    if (copy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(copy, item, size);
    *ret_copy = copy;
    return DV_OK;
}

/* IDENT, where __cedar may be written. */
static dv_result parse_ident(dv_cedar_parser *parser, dv_slice *ret_ident)
{
    dv_slice text = parser->token.text;

    if (parser->token.kind != DV_CEDAR_TOKEN_IDENT ||
        (!dv_cedar_ident_valid(text) && !dv_slice_eq_str(text, "__cedar"))) {
        return dv_cedar_parser_error(parser, "a name that is not reserved");
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    *ret_ident = text;
    return DV_OK;
}

/* Name := IDENT | STR */
static dv_result parse_name(dv_cedar_parser *parser, dv_cedar_decl_name *ret_name)
{
    ret_name->offset = (uint32_t)parser->token.offset;
    return parser->token.kind == DV_CEDAR_TOKEN_STRING
               ? dv_cedar_parse_string(parser, &ret_name->text)
               : parse_ident(parser, &ret_name->text);
}

static dv_result append_ident(dv_cedar_parser *parser, dv_slice *path)
{
    dv_slice ident = {0};
    const char *joined = NULL;

    DV_TRY(parse_ident(parser, &ident));
    if (path->len == 0) {
        *path = ident;
        return DV_OK;
    }
    if (path->len + ident.len > DV_LIMIT_CEDAR_UID) {
        return dv_cedar_parser_error(parser, "a shorter name");
    }
    joined =
        dv_arena_printf(parser->arena, "%.*s::%.*s", DV_SLICE_ARGS(*path), DV_SLICE_ARGS(ident));
    if (joined == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *path = dv_slice_str(joined);
    return DV_OK;
}

/* Path := IDENT {'::' IDENT} */
static dv_result parse_path(dv_cedar_parser *parser, dv_cedar_decl_name *ret_path)
{
    dv_cedar_decl_name path = {.offset = (uint32_t)parser->token.offset};
    bool more = true;

    while (more) {
        DV_TRY(append_ident(parser, &path.text));
        DV_TRY(dv_cedar_parser_accept(parser, "::", &more));
    }
    *ret_path = path;
    return DV_OK;
}

/* Ref := Path '::' STR | Name */
static dv_result parse_ref(dv_cedar_parser *parser, dv_cedar_decl_parent *ret_ref)
{
    dv_cedar_decl_parent ref = {.offset = (uint32_t)parser->token.offset};
    dv_slice path = {0};
    size_t idents = 0;
    bool more = parser->token.kind == DV_CEDAR_TOKEN_IDENT;

    while (more && (parser->token.kind != DV_CEDAR_TOKEN_STRING || idents == 0)) {
        DV_TRY(append_ident(parser, &path));
        idents++;
        DV_TRY(dv_cedar_parser_accept(parser, "::", &more));
    }
    if (idents == 1 && !more) {
        ref.id = path;
    } else if (idents > 0 && !more) {
        return dv_cedar_parser_error(parser, "'::' and the action's id");
    } else {
        ref.type = path;
        DV_TRY(dv_cedar_parse_string(parser, &ref.id));
    }
    *ret_ref = ref;
    return DV_OK;
}

/* X {',' X}, at least one. */
static dv_result parse_names(dv_cedar_parser *parser,
                             dv_result (*parse)(dv_cedar_parser *parser,
                                                dv_cedar_decl_name *ret_name),
                             dv_cedar_decl_names *ret_names)
{
    dv_cedar_list list = {0};
    bool more = true;

    while (more) {
        dv_cedar_decl_name name = {0};
        DV_TRY(parse(parser, &name));
        DV_TRY(dv_cedar_list_add(parser->arena, &list, &name, sizeof(name)));
        DV_TRY(dv_cedar_parser_accept(parser, ",", &more));
    }
    *ret_names = (dv_cedar_decl_names){list.items, list.count};
    return DV_OK;
}

/* EntOrTyps := EntType | '[' [EntTypes] ']' */
static dv_result parse_types(dv_cedar_parser *parser, dv_cedar_decl_names *ret_names)
{
    bool list = false, empty = false;

    DV_TRY(dv_cedar_parser_accept(parser, "[", &list));
    if (!list) {
        dv_cedar_decl_name one = {0};
        const void *copy = NULL;
        DV_TRY(parse_path(parser, &one));
        DV_TRY(copy_to_arena(parser, &one, sizeof(one), &copy));
        *ret_names = (dv_cedar_decl_names){copy, 1};
        return DV_OK;
    }
    DV_TRY(dv_cedar_parser_accept(parser, "]", &empty));
    if (empty) {
        *ret_names = (dv_cedar_decl_names){0};
        return DV_OK;
    }
    DV_TRY(parse_names(parser, parse_path, ret_names));
    return dv_cedar_parser_expect(parser, "]");
}

static dv_result parse_type(dv_cedar_parser *parser, dv_cedar_decl_type *ret_type);

/* AttrDecls := Annotations Name ['?'] ':' Type */
static dv_result parse_field(dv_cedar_parser *parser, dv_cedar_decl_field *ret_field)
{
    dv_cedar_decl_field field = {0};
    dv_cedar_decl_name name = {0};

    DV_TRY(dv_cedar_parse_annotations(parser, &field.annotations));
    DV_TRY(parse_name(parser, &name));
    field.name = name.text;
    if (parser->token.kind == DV_CEDAR_TOKEN_SLOT && dv_slice_eq_str(parser->token.text, "?")) {
        field.optional = true;
        DV_TRY(dv_cedar_parser_advance(parser));
    }
    DV_TRY(dv_cedar_parser_expect(parser, ":"));
    DV_TRY(parse_type(parser, &field.type));
    *ret_field = field;
    return DV_OK;
}

/* RecType := '{' [AttrDecls] '}', where a comma may stand in front of the end. */
static dv_result parse_record(dv_cedar_parser *parser, dv_cedar_decl_type *ret_type)
{
    dv_cedar_list fields = {0};
    uint32_t offset = (uint32_t)parser->token.offset;
    const dv_cedar_decl_field *twice = NULL;
    bool more = true;

    DV_TRY(dv_cedar_parser_expect(parser, "{"));
    while (more && !dv_cedar_parser_at(parser, "}")) {
        dv_cedar_decl_field field = {0};
        DV_TRY(parse_field(parser, &field));
        DV_TRY(dv_cedar_list_add(parser->arena, &fields, &field, sizeof(field)));
        DV_TRY(dv_cedar_parser_accept(parser, ",", &more));
    }
    DV_TRY(dv_cedar_parser_expect(parser, "}"));
    dv_cedar_decl_fields_sort(fields.items, fields.count, &twice);
    if (twice != NULL) {
        return dv_cedar_error_at(&parser->lexer, offset,
                                 "this record has the attribute '%.*s' twice",
                                 DV_SLICE_ARGS(dv_slice_sub(twice->name, 0, 40)));
    }
    *ret_type = (dv_cedar_decl_type){.kind = DV_CEDAR_DECL_RECORD,
                                     .offset = offset,
                                     .count = (uint32_t)fields.count,
                                     .fields = fields.items};
    return DV_OK;
}

/* SetType := 'Set' '<' Type '>', behind the first word. */
static dv_result parse_set(dv_cedar_parser *parser, uint32_t offset, dv_cedar_decl_type *ret_type)
{
    dv_cedar_decl_type element = {0};
    const void *copy = NULL;

    DV_TRY(dv_cedar_parser_expect(parser, "<"));
    DV_TRY(parse_type(parser, &element));
    DV_TRY(dv_cedar_parser_expect(parser, ">"));
    DV_TRY(copy_to_arena(parser, &element, sizeof(element), &copy));
    *ret_type = (dv_cedar_decl_type){.kind = DV_CEDAR_DECL_SET, .offset = offset, .element = copy};
    return DV_OK;
}

static dv_result parse_named_type(dv_cedar_parser *parser, dv_cedar_decl_type *ret_type)
{
    dv_cedar_decl_name name = {0};

    DV_TRY(parse_path(parser, &name));
    if (dv_slice_eq_str(name.text, "Set") && dv_cedar_parser_at(parser, "<")) {
        return parse_set(parser, name.offset, ret_type);
    }
    *ret_type =
        (dv_cedar_decl_type){.kind = DV_CEDAR_DECL_NAME, .offset = name.offset, .name = name.text};
    return DV_OK;
}

/* Type := Path | SetType | RecType */
static dv_result parse_type(dv_cedar_parser *parser, dv_cedar_decl_type *ret_type)
{
    if (parser->depth >= DV_LIMIT_CEDAR_DEPTH) {
        return dv_cedar_error_at(&parser->lexer, parser->token.offset,
                                 "types may be %d levels deep", DV_LIMIT_CEDAR_DEPTH);
    }
    parser->depth++;
    dv_result result = dv_cedar_parser_at(parser, "{") ? parse_record(parser, ret_type)
                                                       : parse_named_type(parser, ret_type);
    parser->depth--;
    return result;
}

static dv_result parse_type_copy(dv_cedar_parser *parser, const dv_cedar_decl_type **ret_type)
{
    dv_cedar_decl_type type = {0};
    const void *copy = NULL;

    DV_TRY(parse_type(parser, &type));
    DV_TRY(copy_to_arena(parser, &type, sizeof(type), &copy));
    *ret_type = copy;
    return DV_OK;
}

/* 'enum' '[' STR {',' STR} ']', behind the word. */
static dv_result parse_choices(dv_cedar_parser *parser, dv_cedar_decl_entity *entity)
{
    dv_cedar_list list = {0};
    bool more = true;

    DV_TRY(dv_cedar_parser_expect(parser, "["));
    while (more) {
        dv_slice id = {0};
        DV_TRY(dv_cedar_parse_string(parser, &id));
        DV_TRY(dv_cedar_list_add(parser->arena, &list, &id, sizeof(id)));
        DV_TRY(dv_cedar_parser_accept(parser, ",", &more));
    }
    entity->choices = list.items;
    entity->choice_count = list.count;
    return dv_cedar_parser_expect(parser, "]");
}

/* ['in' EntOrTyps] [['='] RecType] ['tags' Type] */
static dv_result parse_entity_body(dv_cedar_parser *parser, dv_cedar_decl_entity *entity)
{
    bool in = false, equals = false, tags = false;

    DV_TRY(dv_cedar_parser_accept(parser, "in", &in));
    if (in) {
        DV_TRY(parse_types(parser, &entity->parents));
    }
    DV_TRY(dv_cedar_parser_accept(parser, "=", &equals));
    if (equals && !dv_cedar_parser_at(parser, "{")) {
        return dv_cedar_parser_error(parser, "'{'");
    }
    if (dv_cedar_parser_at(parser, "{")) {
        DV_TRY(parse_type_copy(parser, &entity->shape));
    }
    DV_TRY(dv_cedar_parser_accept(parser, "tags", &tags));
    return tags ? parse_type_copy(parser, &entity->tags) : DV_OK;
}

/* Entity := 'entity' Idents body ';' | 'entity' Idents 'enum' ... ';', behind the first word. */
static dv_result parse_entity(dv_cedar_parser *parser, const dv_cedar_annotations *annotations,
                              draft *d)
{
    dv_cedar_decl_entity entity = {.annotations = *annotations};
    dv_cedar_decl_names names = {0};
    bool choices = false;

    DV_TRY(parse_names(parser, parse_path, &names));
    DV_TRY(dv_cedar_parser_accept(parser, "enum", &choices));
    DV_TRY(choices ? parse_choices(parser, &entity) : parse_entity_body(parser, &entity));
    if (!dv_cedar_parser_at(parser, ";")) {
        return dv_cedar_parser_error(parser, "'in', attributes in braces, 'tags', 'enum' or ';'");
    }
    for (size_t i = 0; i < names.count; i++) {
        entity.name = names.items[i];
        DV_TRY(dv_cedar_list_add(parser->arena, &d->entities, &entity, sizeof(entity)));
    }
    return dv_cedar_parser_advance(parser);
}

/* ['in' RefOrRefs] */
static dv_result parse_parents(dv_cedar_parser *parser, dv_cedar_decl_action *action)
{
    dv_cedar_list list = {0};
    bool in = false, bracket = false, more = true;

    DV_TRY(dv_cedar_parser_accept(parser, "in", &in));
    if (!in) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_parser_accept(parser, "[", &bracket));
    while (more && !(bracket && list.count == 0 && dv_cedar_parser_at(parser, "]"))) {
        dv_cedar_decl_parent ref = {0};
        DV_TRY(parse_ref(parser, &ref));
        DV_TRY(dv_cedar_list_add(parser->arena, &list, &ref, sizeof(ref)));
        more = false;
        if (bracket) {
            DV_TRY(dv_cedar_parser_accept(parser, ",", &more));
        }
    }
    action->parents = list.items;
    action->parent_count = list.count;
    return bracket ? dv_cedar_parser_expect(parser, "]") : DV_OK;
}

/* ('principal' | 'resource') ':' EntOrTyps; each once, and not empty. */
static dv_result parse_applicable(dv_cedar_parser *parser, dv_cedar_decl_names *names)
{
    uint32_t offset = (uint32_t)parser->token.offset;

    if (names->count > 0) {
        return dv_cedar_parser_error(parser, "each of principal, resource and context once,");
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parser_expect(parser, ":"));
    DV_TRY(parse_types(parser, names));
    return names->count > 0 ? DV_OK
                            : dv_cedar_error_at(&parser->lexer, offset,
                                                "name at least one entity type, or leave out "
                                                "appliesTo");
}

/* 'context' ':' (Path | RecType) */
static dv_result parse_context(dv_cedar_parser *parser, dv_cedar_decl_action *action)
{
    if (action->context != NULL) {
        return dv_cedar_parser_error(parser, "each of principal, resource and context once,");
    }
    DV_TRY(dv_cedar_parser_advance(parser));
    DV_TRY(dv_cedar_parser_expect(parser, ":"));
    return parse_type_copy(parser, &action->context);
}

/* AppDecls, one of them. */
static dv_result parse_app_decl(dv_cedar_parser *parser, dv_cedar_decl_action *action)
{
    if (dv_cedar_parser_at(parser, "principal")) {
        return parse_applicable(parser, &action->principals);
    }
    if (dv_cedar_parser_at(parser, "resource")) {
        return parse_applicable(parser, &action->resources);
    }
    if (dv_cedar_parser_at(parser, "context")) {
        return parse_context(parser, action);
    }
    return dv_cedar_parser_error(parser, "'principal', 'resource' or 'context'");
}

/* AppliesTo := 'appliesTo' '{' AppDecls '}', behind the word. */
static dv_result parse_applies_to(dv_cedar_parser *parser, dv_cedar_decl_action *action)
{
    bool more = true;

    DV_TRY(dv_cedar_parser_expect(parser, "{"));
    while (more && !dv_cedar_parser_at(parser, "}")) {
        DV_TRY(parse_app_decl(parser, action));
        DV_TRY(dv_cedar_parser_accept(parser, ",", &more));
    }
    if (action->principals.count == 0 || action->resources.count == 0) {
        return dv_cedar_parser_error(parser,
                                     action->principals.count == 0
                                         ? "'principal:' and the types that the action applies to"
                                         : "'resource:' and the types that the action applies to");
    }
    return dv_cedar_parser_expect(parser, "}");
}

/* Action := 'action' Names ['in' RefOrRefs] [AppliesTo] ['attributes' '{' '}'] ';', behind the
 * first word. */
static dv_result parse_action(dv_cedar_parser *parser, const dv_cedar_annotations *annotations,
                              draft *d)
{
    dv_cedar_decl_action action = {.annotations = *annotations};
    dv_cedar_decl_names names = {0};
    bool applies = false, attributes = false;

    DV_TRY(parse_names(parser, parse_name, &names));
    DV_TRY(parse_parents(parser, &action));
    DV_TRY(dv_cedar_parser_accept(parser, "appliesTo", &applies));
    if (applies) {
        DV_TRY(parse_applies_to(parser, &action));
    }
    DV_TRY(dv_cedar_parser_accept(parser, "attributes", &attributes));
    if (attributes) {
        DV_TRY(dv_cedar_parser_expect(parser, "{"));
        DV_TRY(dv_cedar_parser_expect(parser, "}"));
    }
    if (!dv_cedar_parser_at(parser, ";")) {
        return dv_cedar_parser_error(parser, "'in', 'appliesTo' or ';'");
    }
    for (size_t i = 0; i < names.count; i++) {
        action.name = names.items[i];
        DV_TRY(dv_cedar_list_add(parser->arena, &d->actions, &action, sizeof(action)));
    }
    return dv_cedar_parser_advance(parser);
}

/* TypeDecl := 'type' TYPENAME '=' Type ';', behind the first word. */
static dv_result parse_common(dv_cedar_parser *parser, const dv_cedar_annotations *annotations,
                              draft *d)
{
    dv_cedar_decl_common common = {.annotations = *annotations};

    DV_TRY(parse_path(parser, &common.name));
    DV_TRY(dv_cedar_parser_expect(parser, "="));
    DV_TRY(parse_type(parser, &common.type));
    DV_TRY(dv_cedar_parser_expect(parser, ";"));
    return dv_cedar_list_add(parser->arena, &d->commons, &common, sizeof(common));
}

/* Decl := Entity | Action | TypeDecl, behind the annotations. */
static dv_result parse_decl(dv_cedar_parser *parser, const dv_cedar_annotations *annotations,
                            draft *d, const char *expected)
{
    static const struct {
        const char *word;
        dv_result (*parse)(dv_cedar_parser *parser, const dv_cedar_annotations *annotations,
                           draft *d);
    } kinds[] = {{"entity", parse_entity}, {"action", parse_action}, {"type", parse_common}};

    for (size_t i = 0; i < DV_ARRAY_LEN(kinds); i++) {
        if (dv_cedar_parser_at(parser, kinds[i].word)) {
            DV_TRY(dv_cedar_parser_advance(parser));
            return kinds[i].parse(parser, annotations, d);
        }
    }
    return dv_cedar_parser_error(parser, expected);
}

/* Namespace := Annotations 'namespace' Path '{' {Decl} '}', behind the first word. */
static dv_result parse_namespace(dv_cedar_parser *parser, draft *d)
{
    bool end = false;

    DV_TRY(parse_path(parser, &d->name));
    DV_TRY(dv_cedar_parser_expect(parser, "{"));
    for (;;) {
        dv_cedar_annotations annotations = {0};
        DV_TRY(dv_cedar_parser_accept(parser, "}", &end));
        if (end) {
            return DV_OK;
        }
        DV_TRY(dv_cedar_parse_annotations(parser, &annotations));
        DV_TRY(parse_decl(parser, &annotations, d, "'entity', 'action', 'type' or '}'"));
    }
}

static dv_result add_namespace(dv_cedar_parser *parser, dv_cedar_list *list, const draft *d)
{
    dv_cedar_decl_namespace one = {.name = d->name,
                                   .entities = d->entities.items,
                                   .entity_count = d->entities.count,
                                   .actions = d->actions.items,
                                   .action_count = d->actions.count,
                                   .commons = d->commons.items,
                                   .common_count = d->commons.count,
                                   .annotations = d->annotations};

    return dv_cedar_list_add(parser->arena, list, &one, sizeof(one));
}

/* Schema := {Namespace}; what stands in none belongs to the one without a name. */
static dv_result parse_schema(dv_cedar_parser *parser, dv_cedar_list *list)
{
    draft unnamed = {0};

    while (parser->token.kind != DV_CEDAR_TOKEN_END) {
        draft d = {0};
        bool named = false;
        DV_TRY(dv_cedar_parse_annotations(parser, &d.annotations));
        DV_TRY(dv_cedar_parser_accept(parser, "namespace", &named));
        if (named) {
            DV_TRY(parse_namespace(parser, &d));
            DV_TRY(add_namespace(parser, list, &d));
        } else {
            DV_TRY(parse_decl(parser, &d.annotations, &unnamed,
                              "'namespace', 'entity', 'action' or 'type'"));
        }
    }
    return add_namespace(parser, list, &unnamed);
}

dv_result dv_cedar_schema_read_text(dv_slice text, dv_arena *arena,
                                    dv_cedar_decl_schema *ret_schema, dv_error *error)
{
    dv_cedar_parser parser = {.lexer = {.text = text, .error = error}, .arena = arena};
    dv_cedar_list list = {0};

    DV_TRY(dv_cedar_parser_advance(&parser));
    DV_TRY(parse_schema(&parser, &list));
    *ret_schema = (dv_cedar_decl_schema){list.items, list.count};
    return DV_OK;
}
