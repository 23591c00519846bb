/* SPDX-License-Identifier: Apache-2.0 */
/* Schemas back into either syntax, from the tree that both are read into. */
#include "engine/cedar/schema_form.h"
#include "engine/cedar/uid.h"

typedef struct printer {
    const dv_cedar_schema *schema;
    const dv_cedar_decl_namespace *ns;
    dv_buf *out;
    unsigned indent; /* steps of two blanks */
} printer;

static dv_result put(const printer *p, const char *text)
{
    return dv_buf_append_str(p->out, text);
}

static dv_result put_indent(const printer *p)
{
    for (unsigned i = 0; i < p->indent; i++) {
        DV_TRY(put(p, "  "));
    }
    return DV_OK;
}

/* A comma in front of all but the first, and a new line. */
static dv_result put_next(const printer *p, bool first)
{
    DV_TRY(put(p, first ? "\n" : ",\n"));
    return put_indent(p);
}

/* ---- Cedar's own syntax (human-readable-schema-grammar) ---- */

static dv_result put_quoted(const printer *p, dv_slice text)
{
    DV_TRY(put(p, "\""));
    DV_TRY(dv_cedar_escape(p->out, text, false));
    return put(p, "\"");
}

/* Name := IDENT | STR */
static dv_result put_name(const printer *p, dv_slice name)
{
    return dv_cedar_ident_valid(name) ? dv_buf_append(p->out, name) : put_quoted(p, name);
}

static dv_result text_annotations(const printer *p, const dv_cedar_annotations *annotations)
{
    for (size_t i = 0; i < annotations->count; i++) {
        const dv_cedar_annotation *one = &annotations->items[i];
        DV_TRY(put_indent(p));
        DV_TRY(put(p, "@"));
        DV_TRY(dv_buf_append(p->out, one->name));
        if (one->text.ptr != NULL) {
            DV_TRY(put(p, "("));
            DV_TRY(put_quoted(p, one->text));
            DV_TRY(put(p, ")"));
        }
        DV_TRY(put(p, "\n"));
    }
    return DV_OK;
}

/* A name with the namespace in front; empty when it is too long. */
static dv_slice full_name(const printer *p, dv_slice name, char *room, size_t size)
{
    int len =
        snprintf(room, size, "%.*s::%.*s", DV_SLICE_ARGS(p->ns->name.text), DV_SLICE_ARGS(name));

    return dv_slice_of(room, len < (int)size ? (size_t)len : 0);
}

static bool is_common(const printer *p, dv_slice name)
{
    char room[1024];
    dv_slice full = full_name(p, name, room, sizeof(room));

    return full.len == 0 || dv_cedar_schema_has_common(p->schema, full) ||
           dv_cedar_schema_has_common(p->schema, name);
}

static bool is_entity(const printer *p, dv_slice name)
{
    char room[1024];
    dv_slice full = full_name(p, name, room, sizeof(room));

    return full.len == 0 || dv_cedar_schema_type(p->schema, full) != NULL ||
           dv_cedar_schema_type(p->schema, name) != NULL;
}

/* What JSON says and Cedar's syntax cannot: which of two of the same name is meant. */
static bool is_ambiguous(const printer *p, const dv_cedar_decl_type *type)
{
    if (type->kind == DV_CEDAR_DECL_ENTITY) {
        return is_common(p, type->name);
    }
    return type->kind == DV_CEDAR_DECL_COMMON && !is_common(p, type->name) &&
           is_entity(p, type->name);
}

static dv_result text_type(printer *p, const dv_cedar_decl_type *type);

static dv_result text_record(printer *p, const dv_cedar_decl_type *type)
{
    DV_TRY(put(p, "{"));
    p->indent++;
    for (uint32_t i = 0; i < type->count; i++) {
        const dv_cedar_decl_field *field = &type->fields[i];
        DV_TRY(put(p, "\n"));
        DV_TRY(text_annotations(p, &field->annotations));
        DV_TRY(put_indent(p));
        DV_TRY(put_name(p, field->name));
        DV_TRY(put(p, field->optional ? "?: " : ": "));
        DV_TRY(text_type(p, &field->type));
        DV_TRY(put(p, ","));
    }
    p->indent--;
    if (type->count > 0) {
        DV_TRY(put(p, "\n"));
        DV_TRY(put_indent(p));
    }
    return put(p, "}");
}

static dv_result text_type(printer *p, const dv_cedar_decl_type *type)
{
    if (type->kind == DV_CEDAR_DECL_RECORD) {
        return text_record(p, type);
    }
    if (type->kind == DV_CEDAR_DECL_SET) {
        DV_TRY(put(p, "Set<"));
        DV_TRY(text_type(p, type->element));
        return put(p, ">");
    }
    return is_ambiguous(p, type) ? DV_ERR_UNSUPPORTED : dv_buf_append(p->out, type->name);
}

static dv_result text_names(const printer *p, const dv_cedar_decl_names *names)
{
    DV_TRY(put(p, "["));
    for (size_t i = 0; i < names->count; i++) {
        DV_TRY(put(p, i == 0 ? "" : ", "));
        DV_TRY(dv_buf_append(p->out, names->items[i].text));
    }
    return put(p, "]");
}

static dv_result text_choices(const printer *p, const dv_cedar_decl_entity *entity)
{
    DV_TRY(put(p, " enum ["));
    for (size_t i = 0; i < entity->choice_count; i++) {
        DV_TRY(put(p, i == 0 ? "" : ", "));
        DV_TRY(put_quoted(p, entity->choices[i]));
    }
    return put(p, "]");
}

static dv_result text_entity_body(printer *p, const dv_cedar_decl_entity *entity)
{
    if (entity->choice_count > 0) {
        return text_choices(p, entity);
    }
    if (entity->parents.count > 0) {
        DV_TRY(put(p, " in "));
        DV_TRY(text_names(p, &entity->parents));
    }
    if (entity->shape != NULL) {
        /* A shape that JSON names can only be written out as a record here. */
        if (entity->shape->kind != DV_CEDAR_DECL_RECORD) {
            return DV_ERR_UNSUPPORTED;
        }
        DV_TRY(put(p, " = "));
        DV_TRY(text_type(p, entity->shape));
    }
    if (entity->tags != NULL) {
        DV_TRY(put(p, " tags "));
        DV_TRY(text_type(p, entity->tags));
    }
    return DV_OK;
}

static dv_result text_entity(printer *p, const dv_cedar_decl_entity *entity)
{
    DV_TRY(text_annotations(p, &entity->annotations));
    DV_TRY(put_indent(p));
    DV_TRY(put(p, "entity "));
    DV_TRY(dv_buf_append(p->out, entity->name.text));
    DV_TRY(text_entity_body(p, entity));
    return put(p, ";\n");
}

static dv_result text_parents(const printer *p, const dv_cedar_decl_action *action)
{
    for (size_t i = 0; i < action->parent_count; i++) {
        const dv_cedar_decl_parent *parent = &action->parents[i];
        DV_TRY(put(p, i == 0 ? " in [" : ", "));
        if (parent->type.len == 0) {
            DV_TRY(put_name(p, parent->id));
        } else {
            DV_TRY(dv_buf_append(p->out, parent->type));
            DV_TRY(put(p, "::"));
            DV_TRY(put_quoted(p, parent->id));
        }
    }
    return action->parent_count > 0 ? put(p, "]") : DV_OK;
}

/* An action that applies to nothing on one side applies to nothing at all. */
static dv_result text_applies_to(printer *p, const dv_cedar_decl_action *action)
{
    if (action->principals.count == 0 || action->resources.count == 0) {
        return DV_OK;
    }
    DV_TRY(put(p, " appliesTo {\n"));
    p->indent++;
    DV_TRY(put_indent(p));
    DV_TRY(put(p, "principal: "));
    DV_TRY(text_names(p, &action->principals));
    DV_TRY(put_next(p, false));
    DV_TRY(put(p, "resource: "));
    DV_TRY(text_names(p, &action->resources));
    if (action->context != NULL) {
        DV_TRY(put_next(p, false));
        DV_TRY(put(p, "context: "));
        DV_TRY(text_type(p, action->context));
    }
    p->indent--;
    DV_TRY(put_next(p, true));
    return put(p, "}");
}

static dv_result text_action(printer *p, const dv_cedar_decl_action *action)
{
    DV_TRY(text_annotations(p, &action->annotations));
    DV_TRY(put_indent(p));
    DV_TRY(put(p, "action "));
    DV_TRY(put_name(p, action->name.text));
    DV_TRY(text_parents(p, action));
    DV_TRY(text_applies_to(p, action));
    return put(p, ";\n");
}

static dv_result text_common(printer *p, const dv_cedar_decl_common *common)
{
    DV_TRY(text_annotations(p, &common->annotations));
    DV_TRY(put_indent(p));
    DV_TRY(put(p, "type "));
    DV_TRY(dv_buf_append(p->out, common->name.text));
    DV_TRY(put(p, " = "));
    DV_TRY(text_type(p, &common->type));
    return put(p, ";\n");
}

static dv_result text_decls(printer *p)
{
    for (size_t i = 0; i < p->ns->common_count; i++) {
        DV_TRY(text_common(p, &p->ns->commons[i]));
    }
    for (size_t i = 0; i < p->ns->entity_count; i++) {
        DV_TRY(text_entity(p, &p->ns->entities[i]));
    }
    for (size_t i = 0; i < p->ns->action_count; i++) {
        DV_TRY(text_action(p, &p->ns->actions[i]));
    }
    return DV_OK;
}

dv_result dv_cedar_schema_write_text(const dv_cedar_schema *schema, dv_buf *out)
{
    printer p = {.schema = schema, .out = out};

    for (size_t i = 0; i < schema->written.count; i++) {
        p.ns = &schema->written.namespaces[i];
        if (p.ns->name.text.len == 0) {
            DV_TRY(text_decls(&p));
            continue;
        }
        DV_TRY(text_annotations(&p, &p.ns->annotations));
        DV_TRY(put(&p, "namespace "));
        DV_TRY(dv_buf_append(out, p.ns->name.text));
        DV_TRY(put(&p, " {\n"));
        p.indent++;
        DV_TRY(text_decls(&p));
        p.indent--;
        DV_TRY(put(&p, "}\n"));
    }
    return DV_OK;
}

/* ---- JSON (json-schema-grammar) ---- */

static dv_result put_json(const printer *p, dv_slice text)
{
    return dv_buf_append_json_string(p->out, text);
}

/* "name": value, with the value to follow. */
static dv_result put_key(const printer *p, bool first, dv_slice name)
{
    DV_TRY(put_next(p, first));
    DV_TRY(put_json(p, name));
    return put(p, ": ");
}

static dv_result open_object(printer *p, bool first, const char *name)
{
    DV_TRY(put_key(p, first, dv_slice_str(name)));
    p->indent++;
    return put(p, "{");
}

static dv_result close_object(printer *p)
{
    p->indent--;
    DV_TRY(put_next(p, true));
    return put(p, "}");
}

static dv_result json_annotations(printer *p, bool first, const dv_cedar_annotations *annotations)
{
    if (annotations->count == 0) {
        return DV_OK;
    }
    DV_TRY(open_object(p, first, "annotations"));
    for (size_t i = 0; i < annotations->count; i++) {
        DV_TRY(put_key(p, i == 0, annotations->items[i].name));
        DV_TRY(annotations->items[i].text.ptr == NULL ? put(p, "null")
                                                      : put_json(p, annotations->items[i].text));
    }
    return close_object(p);
}

static dv_result json_type_members(printer *p, const dv_cedar_decl_type *type);

/* A type in braces, alone. */
static dv_result json_type(printer *p, const dv_cedar_decl_type *type)
{
    p->indent++;
    DV_TRY(put(p, "{"));
    DV_TRY(json_type_members(p, type));
    return close_object(p);
}

static dv_result json_record(printer *p, const dv_cedar_decl_type *type)
{
    DV_TRY(put(p, "\"Record\""));
    DV_TRY(open_object(p, false, "attributes"));
    for (uint32_t i = 0; i < type->count; i++) {
        const dv_cedar_decl_field *field = &type->fields[i];
        DV_TRY(put_key(p, i == 0, field->name));
        p->indent++;
        DV_TRY(put(p, "{"));
        DV_TRY(json_type_members(p, &field->type));
        if (field->optional) {
            DV_TRY(put_key(p, false, DV_LIT("required")));
            DV_TRY(put(p, "false"));
        }
        DV_TRY(json_annotations(p, false, &field->annotations));
        DV_TRY(close_object(p));
    }
    return close_object(p);
}

/* The words that JSON has for a built-in type; NULL: it is none. */
static const char *json_builtin(dv_slice name)
{
    static const char *const words[][2] = {{"__cedar::Long", "\"Long\""},
                                           {"__cedar::String", "\"String\""},
                                           {"__cedar::Bool", "\"Boolean\""}};

    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        if (dv_slice_eq_str(name, words[i][0])) {
            return words[i][1];
        }
    }
    return NULL;
}

static dv_result json_named(printer *p, const dv_cedar_decl_type *type)
{
    const dv_slice prefix = DV_LIT("__cedar::");
    bool builtin = dv_slice_starts_with(type->name, prefix);
    const char *word = json_builtin(type->name);

    if (word != NULL) {
        return put(p, word);
    }
    if (type->kind == DV_CEDAR_DECL_COMMON && !builtin) {
        return put_json(p, type->name);
    }
    DV_TRY(put(p, builtin                              ? "\"Extension\""
                  : type->kind == DV_CEDAR_DECL_ENTITY ? "\"Entity\""
                                                       : "\"EntityOrCommon\""));
    DV_TRY(put_key(p, false, DV_LIT("name")));
    return put_json(p, builtin ? dv_slice_sub(type->name, prefix.len, type->name.len) : type->name);
}

static dv_result json_type_members(printer *p, const dv_cedar_decl_type *type)
{
    DV_TRY(put_key(p, true, DV_LIT("type")));
    if (type->kind == DV_CEDAR_DECL_RECORD) {
        return json_record(p, type);
    }
    if (type->kind == DV_CEDAR_DECL_SET) {
        DV_TRY(put(p, "\"Set\""));
        DV_TRY(put_key(p, false, DV_LIT("element")));
        return json_type(p, type->element);
    }
    return json_named(p, type);
}

static dv_result json_names(const printer *p, bool first, const char *key,
                            const dv_cedar_decl_names *names)
{
    DV_TRY(put_key(p, first, dv_slice_str(key)));
    DV_TRY(put(p, "["));
    for (size_t i = 0; i < names->count; i++) {
        DV_TRY(put(p, i == 0 ? "" : ", "));
        DV_TRY(put_json(p, names->items[i].text));
    }
    return put(p, "]");
}

static dv_result json_choices(const printer *p, const dv_cedar_decl_entity *entity)
{
    DV_TRY(put_key(p, true, DV_LIT("enum")));
    DV_TRY(put(p, "["));
    for (size_t i = 0; i < entity->choice_count; i++) {
        DV_TRY(put(p, i == 0 ? "" : ", "));
        DV_TRY(put_json(p, entity->choices[i]));
    }
    return put(p, "]");
}

static dv_result json_entity(printer *p, bool first, const dv_cedar_decl_entity *entity)
{
    DV_TRY(put_key(p, first, entity->name.text));
    p->indent++;
    DV_TRY(put(p, "{"));
    DV_TRY(entity->choice_count > 0 ? json_choices(p, entity)
                                    : json_names(p, true, "memberOfTypes", &entity->parents));
    if (entity->shape != NULL) {
        DV_TRY(put_key(p, false, DV_LIT("shape")));
        DV_TRY(json_type(p, entity->shape));
    }
    if (entity->tags != NULL) {
        DV_TRY(put_key(p, false, DV_LIT("tags")));
        DV_TRY(json_type(p, entity->tags));
    }
    DV_TRY(json_annotations(p, false, &entity->annotations));
    return close_object(p);
}

static dv_result json_parents(const printer *p, const dv_cedar_decl_action *action)
{
    DV_TRY(put_key(p, true, DV_LIT("memberOf")));
    DV_TRY(put(p, "["));
    for (size_t i = 0; i < action->parent_count; i++) {
        const dv_cedar_decl_parent *parent = &action->parents[i];
        DV_TRY(put(p, i == 0 ? "{\"id\": " : ", {\"id\": "));
        DV_TRY(put_json(p, parent->id));
        if (parent->type.len > 0) {
            DV_TRY(put(p, ", \"type\": "));
            DV_TRY(put_json(p, parent->type));
        }
        DV_TRY(put(p, "}"));
    }
    return put(p, "]");
}

static dv_result json_action(printer *p, bool first, const dv_cedar_decl_action *action)
{
    DV_TRY(put_key(p, first, action->name.text));
    p->indent++;
    DV_TRY(put(p, "{"));
    DV_TRY(json_parents(p, action));
    DV_TRY(open_object(p, false, "appliesTo"));
    DV_TRY(json_names(p, true, "principalTypes", &action->principals));
    DV_TRY(json_names(p, false, "resourceTypes", &action->resources));
    if (action->context != NULL) {
        DV_TRY(put_key(p, false, DV_LIT("context")));
        DV_TRY(json_type(p, action->context));
    }
    DV_TRY(close_object(p));
    DV_TRY(json_annotations(p, false, &action->annotations));
    return close_object(p);
}

static dv_result json_common(printer *p, bool first, const dv_cedar_decl_common *common)
{
    DV_TRY(put_key(p, first, common->name.text));
    p->indent++;
    DV_TRY(put(p, "{"));
    DV_TRY(json_type_members(p, &common->type));
    DV_TRY(json_annotations(p, false, &common->annotations));
    return close_object(p);
}

static dv_result json_namespace(printer *p, bool first)
{
    DV_TRY(put_key(p, first, p->ns->name.text));
    p->indent++;
    DV_TRY(put(p, "{"));
    DV_TRY(open_object(p, true, "commonTypes"));
    for (size_t i = 0; i < p->ns->common_count; i++) {
        DV_TRY(json_common(p, i == 0, &p->ns->commons[i]));
    }
    DV_TRY(close_object(p));
    DV_TRY(open_object(p, false, "entityTypes"));
    for (size_t i = 0; i < p->ns->entity_count; i++) {
        DV_TRY(json_entity(p, i == 0, &p->ns->entities[i]));
    }
    DV_TRY(close_object(p));
    DV_TRY(open_object(p, false, "actions"));
    for (size_t i = 0; i < p->ns->action_count; i++) {
        DV_TRY(json_action(p, i == 0, &p->ns->actions[i]));
    }
    DV_TRY(close_object(p));
    DV_TRY(json_annotations(p, false, &p->ns->annotations));
    return close_object(p);
}

dv_result dv_cedar_schema_write_json(const dv_cedar_schema *schema, dv_buf *out)
{
    printer p = {.schema = schema, .out = out, .indent = 1};
    bool first = true;

    DV_TRY(put(&p, "{"));
    for (size_t i = 0; i < schema->written.count; i++) {
        p.ns = &schema->written.namespaces[i];
        if (p.ns->name.text.len > 0 || p.ns->entity_count + p.ns->action_count > 0 ||
            p.ns->common_count > 0) {
            DV_TRY(json_namespace(&p, first));
            first = false;
        }
    }
    DV_TRY(close_object(&p));
    return put(&p, "\n");
}
