/* SPDX-License-Identifier: Apache-2.0 */
/* Types of expressions (specs: validation; syntax-operators for what each operator takes). One
 * function a kind of node. Where an operand has no type, which was told, its neighbours are still
 * looked at, so that a policy's mistakes are told together. */
#include "engine/cedar/typecheck.h"

#include "engine/cedar/nearest.h"

enum { SHOWN = 160 };

static dv_cedar_typing typing_of(const dv_cedar_static *type)
{
    return (dv_cedar_typing){.type = type};
}

static dv_cedar_typing typing_bool(dv_cedar_known_bool known)
{
    return typing_of(dv_cedar_static_bool(known));
}

dv_result dv_cedar_expect(dv_cedar_checker *checker, const dv_cedar_node *node,
                          const dv_cedar_capabilities *prior, dv_cedar_type wanted,
                          const char *help, dv_cedar_typing *ret_typing)
{
    char shown[SHOWN];

    DV_TRY(dv_cedar_typecheck(checker, node, prior, ret_typing));
    if (ret_typing->type == NULL || ret_typing->type->type == wanted) {
        return DV_OK;
    }
    dv_cedar_static_print(ret_typing->type, shown, sizeof(shown));
    *ret_typing = typing_of(NULL);
    return dv_cedar_tell(checker, node, "%s is wanted here, this is %s%s%s",
                         dv_cedar_type_name(wanted), shown, help == NULL ? "" : ": ",
                         help == NULL ? "" : help);
}

/* What stands here: an entity or a record, which have attributes. */
static dv_result expect_attributes(dv_cedar_checker *checker, const dv_cedar_node *node,
                                   const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    char shown[SHOWN];

    DV_TRY(dv_cedar_typecheck(checker, node, prior, ret_typing));
    if (ret_typing->type == NULL || ret_typing->type->type == DV_CEDAR_ENTITY ||
        ret_typing->type->type == DV_CEDAR_RECORD) {
        return DV_OK;
    }
    const char *help = ret_typing->type->type == DV_CEDAR_SET      ? ": use contains"
                       : ret_typing->type->type == DV_CEDAR_STRING ? ": use like"
                                                                   : "";
    dv_cedar_static_print(ret_typing->type, shown, sizeof(shown));
    *ret_typing = typing_of(NULL);
    return dv_cedar_tell(checker, node, "an entity or a record is wanted here, this is %s%s", shown,
                         help);
}

dv_result dv_cedar_fit(dv_cedar_checker *checker, const dv_cedar_node *node,
                       const dv_cedar_static *a, const dv_cedar_static *b, const char *what)
{
    const dv_cedar_static *joined = NULL;
    char shown_a[SHOWN], shown_b[SHOWN];

    DV_TRY(dv_cedar_static_join(&checker->types, a, b, &joined));
    if (joined != NULL) {
        return DV_OK;
    }
    dv_cedar_static_print(a, shown_a, sizeof(shown_a));
    dv_cedar_static_print(b, shown_b, sizeof(shown_b));
    return dv_cedar_tell(checker, node, "%s must have the same type, these are %s and %s", what,
                         shown_a, shown_b);
}

/* ---- literals and variables ---- */

/* An entity by its uid. One that is not declared has no type; whoever goes over a policy's names
 * tells so. */
static dv_cedar_typing type_uid(const dv_cedar_checker *checker, dv_slice uid)
{
    const dv_cedar_entity_type *type = dv_cedar_schema_type_of(checker->schema, uid);

    if (type == NULL || (type->action && dv_cedar_schema_action(checker->schema, uid) == NULL)) {
        return typing_of(NULL);
    }
    return typing_of(&type->reference);
}

static dv_cedar_typing type_value(const dv_cedar_checker *checker, const dv_cedar_value *value)
{
    if (value->type == DV_CEDAR_BOOL) {
        return typing_bool(value->boolean ? DV_CEDAR_ALWAYS : DV_CEDAR_NEVER);
    }
    if (value->type == DV_CEDAR_ENTITY) {
        return type_uid(checker, value->text);
    }
    return typing_of(dv_cedar_static_plain(value->type));
}

static dv_cedar_typing type_variable(const dv_cedar_checker *checker, dv_cedar_variable variable)
{
    switch (variable) {
    case DV_CEDAR_PRINCIPAL:
        return typing_of(&checker->principal->reference);
    case DV_CEDAR_ACTION:
        return typing_of(&checker->action->type->reference);
    case DV_CEDAR_RESOURCE:
        return typing_of(&checker->resource->reference);
    case DV_CEDAR_CONTEXT:
        break;
    }
    return typing_of(checker->action->context);
}

/* The value of a literal, or of the variable action, which is known in a kind of request. False:
 * it is worked out later. */
static bool literal_of(const dv_cedar_checker *checker, const dv_cedar_node *node,
                       dv_cedar_value *ret_value)
{
    node = dv_cedar_node_written(node);
    if (node->kind == DV_CEDAR_NODE_VALUE) {
        *ret_value = *node->value;
        return true;
    }
    if (node->kind == DV_CEDAR_NODE_VARIABLE && node->variable == DV_CEDAR_ACTION) {
        *ret_value = dv_cedar_entity_ref(checker->action->uid);
        return true;
    }
    return false;
}

/* ---- &&, ||, if, ! (syntax-operators: logical operators; they stop at what decides) ---- */

dv_result dv_cedar_typing_and(dv_cedar_checker *checker, const dv_cedar_typing *right,
                              dv_cedar_typing *left)
{
    if (dv_cedar_typing_is(right, DV_CEDAR_NEVER)) {
        *left = typing_bool(DV_CEDAR_NEVER);
        return DV_OK;
    }
    if (left->type == NULL || right->type == NULL) {
        *left = typing_bool(DV_CEDAR_EITHER);
        return DV_OK;
    }
    if (left->type->known == DV_CEDAR_ALWAYS) {
        left->type = right->type;
    } else if (right->type->known != DV_CEDAR_ALWAYS) {
        left->type = dv_cedar_static_bool(DV_CEDAR_EITHER);
    }
    return dv_cedar_capability_join(checker->types.arena, right->gained, &left->gained);
}

/* The right side is reached only when the left one is true: it may use what that shows. */
static dv_result type_and(dv_cedar_checker *checker, const dv_cedar_node *node,
                          const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_typing all = typing_bool(DV_CEDAR_ALWAYS);

    for (uint32_t i = 0; i < node->count && !dv_cedar_typing_is(&all, DV_CEDAR_NEVER); i++) {
        dv_cedar_typing one;
        DV_TRY(dv_cedar_expect(checker, &node->operands[i], prior, DV_CEDAR_BOOL, NULL, &one));
        DV_TRY(dv_cedar_capability_join(checker->types.arena, one.gained, &prior));
        DV_TRY(dv_cedar_typing_and(checker, &one, &all));
    }
    *ret_typing = all;
    return DV_OK;
}

/* What is true when one of two is true, nobody knows which: what both show. */
static dv_result typing_or(dv_cedar_checker *checker, const dv_cedar_typing *right,
                           dv_cedar_typing *left)
{
    if (left->type == NULL || right->type == NULL) {
        *left = typing_bool(dv_cedar_typing_is(right, DV_CEDAR_ALWAYS) ? DV_CEDAR_ALWAYS
                                                                       : DV_CEDAR_EITHER);
        return DV_OK;
    }
    if (right->type->known == DV_CEDAR_ALWAYS || left->type->known == DV_CEDAR_NEVER) {
        *left = *right;
        return DV_OK;
    }
    if (right->type->known == DV_CEDAR_NEVER) {
        return DV_OK;
    }
    left->type = dv_cedar_static_bool(DV_CEDAR_EITHER);
    return dv_cedar_capability_both(checker->types.arena, left->gained, right->gained,
                                    checker->types.steps, &left->gained);
}

static dv_result type_or(dv_cedar_checker *checker, const dv_cedar_node *node,
                         const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_typing any;

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_BOOL, NULL, &any));
    for (uint32_t i = 1; i < node->count && !dv_cedar_typing_is(&any, DV_CEDAR_ALWAYS); i++) {
        dv_cedar_typing one;
        DV_TRY(dv_cedar_expect(checker, &node->operands[i], prior, DV_CEDAR_BOOL, NULL, &one));
        DV_TRY(typing_or(checker, &one, &any));
    }
    *ret_typing = any;
    return DV_OK;
}

/* Both branches can be reached: they must have one type. */
static dv_result join_branches(dv_cedar_checker *checker, const dv_cedar_node *node,
                               const dv_cedar_typing *yes, const dv_cedar_typing *no,
                               dv_cedar_typing *ret_typing)
{
    *ret_typing = typing_of(NULL);
    if (yes->type == NULL || no->type == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_static_join(&checker->types, yes->type, no->type, &ret_typing->type));
    if (ret_typing->type == NULL) {
        return dv_cedar_fit(checker, node, yes->type, no->type, "the branches of an if");
    }
    return dv_cedar_capability_both(checker->types.arena, yes->gained, no->gained,
                                    checker->types.steps, &ret_typing->gained);
}

static dv_result type_if(dv_cedar_checker *checker, const dv_cedar_node *node,
                         const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    const dv_cedar_capabilities *known = prior;
    dv_cedar_typing test, yes = {0}, no = {0};

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_BOOL, NULL, &test));
    bool never = dv_cedar_typing_is(&test, DV_CEDAR_NEVER);
    bool always = dv_cedar_typing_is(&test, DV_CEDAR_ALWAYS);
    if (!never) {
        DV_TRY(dv_cedar_capability_join(checker->types.arena, test.gained, &known));
        DV_TRY(dv_cedar_typecheck(checker, &node->operands[1], known, &yes));
        DV_TRY(dv_cedar_capability_join(checker->types.arena, test.gained, &yes.gained));
    }
    if (!always) {
        DV_TRY(dv_cedar_typecheck(checker, &node->operands[2], prior, &no));
    }
    if (never || always) {
        *ret_typing = never ? no : yes;
        return DV_OK;
    }
    return join_branches(checker, node, &yes, &no, ret_typing);
}

static dv_cedar_typing negated(const dv_cedar_typing *typing)
{
    if (dv_cedar_typing_is(typing, DV_CEDAR_ALWAYS)) {
        return typing_bool(DV_CEDAR_NEVER);
    }
    return typing_bool(dv_cedar_typing_is(typing, DV_CEDAR_NEVER) ? DV_CEDAR_ALWAYS
                                                                  : DV_CEDAR_EITHER);
}

static dv_result type_not(dv_cedar_checker *checker, const dv_cedar_node *node,
                          const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_typing operand;

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_BOOL, NULL, &operand));
    *ret_typing = negated(&operand);
    return DV_OK;
}

/* ---- ==, <, + (syntax-operators: comparison and arithmetic operators) ---- */

/* What is known of an equality before it is worked out. */
static dv_cedar_known_bool known_equality(const dv_cedar_checker *checker,
                                          const dv_cedar_node *node, const dv_cedar_static *a,
                                          const dv_cedar_static *b)
{
    dv_cedar_value left, right;

    if (a->type == DV_CEDAR_ENTITY && b->type == DV_CEDAR_ENTITY && a->entity != b->entity) {
        return DV_CEDAR_NEVER;
    }
    if (literal_of(checker, &node->operands[0], &left) &&
        literal_of(checker, &node->operands[1], &right)) {
        return dv_cedar_compare(&left, &right) == 0 ? DV_CEDAR_ALWAYS : DV_CEDAR_NEVER;
    }
    return DV_CEDAR_EITHER;
}

/* Strict mode: what is compared must be able to be equal, or known not to be. */
static dv_result type_equality(dv_cedar_checker *checker, const dv_cedar_node *node,
                               const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_known_bool known = DV_CEDAR_EITHER;
    dv_cedar_typing a, b;

    DV_TRY(dv_cedar_typecheck(checker, &node->operands[0], prior, &a));
    DV_TRY(dv_cedar_typecheck(checker, &node->operands[1], prior, &b));
    if (a.type != NULL && b.type != NULL) {
        known = known_equality(checker, node, a.type, b.type);
        if (known == DV_CEDAR_EITHER) {
            DV_TRY(dv_cedar_fit(checker, node, a.type, b.type, "both sides of this comparison"));
        }
    }
    *ret_typing = typing_bool(known);
    if (node->kind == DV_CEDAR_NODE_UNEQUAL) {
        *ret_typing = negated(ret_typing);
    }
    return DV_OK;
}

static bool has_order(const dv_cedar_static *type)
{
    return type->type == DV_CEDAR_LONG || type->type == DV_CEDAR_DATETIME ||
           type->type == DV_CEDAR_DURATION;
}

static dv_result type_order(dv_cedar_checker *checker, const dv_cedar_node *node,
                            const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    char shown_a[SHOWN], shown_b[SHOWN];
    dv_cedar_typing a, b;

    DV_TRY(dv_cedar_typecheck(checker, &node->operands[0], prior, &a));
    DV_TRY(dv_cedar_typecheck(checker, &node->operands[1], prior, &b));
    *ret_typing = typing_bool(DV_CEDAR_EITHER);
    if (a.type == NULL || b.type == NULL || (a.type->type == b.type->type && has_order(a.type))) {
        return DV_OK;
    }
    dv_cedar_static_print(a.type, shown_a, sizeof(shown_a));
    dv_cedar_static_print(b.type, shown_b, sizeof(shown_b));
    bool decimal = a.type->type == DV_CEDAR_DECIMAL;
    return dv_cedar_tell(checker, node,
                         "two of Long, datetime or duration are wanted here, these are %s and %s%s",
                         shown_a, shown_b, decimal ? ": use lessThan and its like" : "");
}

/* Sums, products, and the sign. */
static dv_result type_arithmetic(dv_cedar_checker *checker, const dv_cedar_node *node,
                                 const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    for (uint32_t i = 0; i < node->count; i++) {
        dv_cedar_typing one;
        DV_TRY(dv_cedar_expect(checker, &node->operands[i], prior, DV_CEDAR_LONG,
                               "Cedar counts with whole numbers only", &one));
    }
    *ret_typing = typing_of(dv_cedar_static_plain(DV_CEDAR_LONG));
    return DV_OK;
}

/* ---- in, is (syntax-operators: in, is) ---- */

/* An entity, or a set of them. */
static dv_result expect_entities(dv_cedar_checker *checker, const dv_cedar_node *node,
                                 const dv_cedar_capabilities *prior,
                                 const dv_cedar_entity_type **ret_type)
{
    dv_cedar_typing typing;
    char shown[SHOWN];

    *ret_type = NULL;
    DV_TRY(dv_cedar_typecheck(checker, node, prior, &typing));
    const dv_cedar_static *type = typing.type;
    if (type != NULL && type->type == DV_CEDAR_SET) {
        type = type->element;
    }
    if (type == NULL || type->type == DV_CEDAR_ENTITY) {
        *ret_type = type == NULL ? NULL : type->entity;
        return DV_OK;
    }
    dv_cedar_static_print(typing.type, shown, sizeof(shown));
    return dv_cedar_tell(checker, node,
                         "an entity or a set of entities is wanted here, this is %s%s", shown,
                         typing.type->type == DV_CEDAR_SET ? ": use contains" : "");
}

/* Whether an action is in those that are written here. Other entities never hold an action. False:
 * they are not all literals, or one is not declared. */
static bool known_membership(const dv_cedar_checker *checker, dv_slice uid,
                             const dv_cedar_node *groups, dv_cedar_known_bool *ret_known)
{
    const dv_cedar_action *action = dv_cedar_schema_action(checker->schema, uid);
    const dv_cedar_node *written = dv_cedar_node_written(groups);
    bool set = written->kind == DV_CEDAR_NODE_SET;
    uint32_t count = set ? written->count : 1;

    *ret_known = DV_CEDAR_NEVER;
    for (uint32_t i = 0; action != NULL && i < count; i++) {
        dv_cedar_value group;
        if (!literal_of(checker, set ? &written->operands[i] : written, &group)) {
            return false;
        }
        const dv_cedar_action *one = dv_cedar_schema_action(checker->schema, group.text);
        if (one != NULL && dv_cedar_action_in(action, one)) {
            *ret_known = DV_CEDAR_ALWAYS;
        }
    }
    return action != NULL;
}

static dv_result type_membership(dv_cedar_checker *checker, const dv_cedar_node *operands,
                                 const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_known_bool known = DV_CEDAR_EITHER;
    const dv_cedar_entity_type *in = NULL;
    dv_cedar_value left;
    dv_cedar_typing one;

    DV_TRY(dv_cedar_expect(checker, &operands[0], prior, DV_CEDAR_ENTITY, "use contains", &one));
    DV_TRY(expect_entities(checker, &operands[1], prior, &in));
    if (one.type != NULL && in != NULL) {
        bool literal = one.type->entity->action && literal_of(checker, &operands[0], &left);
        if (literal && known_membership(checker, left.text, &operands[1], &known)) {
            *ret_typing = typing_bool(known);
            return DV_OK;
        }
        known = dv_cedar_schema_can_be_in(checker->schema, one.type->entity, in) ? DV_CEDAR_EITHER
                                                                                 : DV_CEDAR_NEVER;
    }
    *ret_typing = typing_bool(known);
    return DV_OK;
}

static dv_result type_in(dv_cedar_checker *checker, const dv_cedar_node *node,
                         const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    return type_membership(checker, node->operands, prior, ret_typing);
}

/* `x is T in y` is `x is T && x in y`. */
static dv_result type_is(dv_cedar_checker *checker, const dv_cedar_node *node,
                         const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_known_bool known = DV_CEDAR_EITHER;
    dv_cedar_typing one, in;

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_ENTITY, NULL, &one));
    if (one.type != NULL) {
        known = dv_slice_eq(one.type->entity->name, node->name) ? DV_CEDAR_ALWAYS : DV_CEDAR_NEVER;
    }
    *ret_typing = typing_bool(known);
    if (node->count < 2 || known == DV_CEDAR_NEVER) {
        return DV_OK;
    }
    DV_TRY(type_membership(checker, node->operands, prior, &in));
    return dv_cedar_typing_and(checker, &in, ret_typing);
}

/* ---- attributes (syntax-operators: has; validation: optional attributes) ---- */

static const dv_cedar_attribute *attribute_of(const dv_cedar_static *type, dv_slice name)
{
    return dv_cedar_static_attribute(type->type == DV_CEDAR_ENTITY ? type->entity->shape : type,
                                     name);
}

static dv_result tell_unknown_attribute(dv_cedar_checker *checker, const dv_cedar_node *node,
                                        const dv_cedar_static *type, dv_slice name)
{
    const dv_cedar_static *record = type->type == DV_CEDAR_ENTITY ? type->entity->shape : type;
    dv_cedar_nearest nearest = dv_cedar_nearest_to(name);
    char shown[SHOWN];

    for (uint32_t i = 0; i < record->count; i++) {
        dv_cedar_nearest_try(&nearest, record->attributes[i].name);
    }
    dv_cedar_static_print(type, shown, sizeof(shown));
    return dv_cedar_tell(checker, node, "%s has no attribute '%.*s'%s%.*s%s", shown,
                         DV_SLICE_ARGS(dv_slice_sub(name, 0, 64)),
                         nearest.best.len > 0 ? ", but '" : "", DV_SLICE_ARGS(nearest.best),
                         nearest.best.len > 0 ? "'" : "");
}

/* x.name: the attribute is always there, or it was asked for in front. */
static dv_result type_attribute(dv_cedar_checker *checker, const dv_cedar_node *node,
                                const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_capability wanted;
    dv_cedar_typing object;

    DV_TRY(expect_attributes(checker, &node->operands[0], prior, &object));
    *ret_typing = typing_of(NULL);
    if (object.type == NULL) {
        return DV_OK;
    }
    const dv_cedar_attribute *attribute = attribute_of(object.type, node->name);
    if (attribute == NULL) {
        return tell_unknown_attribute(checker, node, object.type, node->name);
    }
    *ret_typing = typing_of(attribute->type);
    if (!attribute->optional) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_capability_of(checker->types.arena, node, NULL, 0, &wanted));
    if (dv_cedar_capability_has(prior, &wanted, checker->types.steps)) {
        return DV_OK;
    }
    dv_slice shown = dv_slice_sub(node->name, 0, 64);
    return dv_cedar_tell(checker, node,
                         "the attribute '%.*s' is optional: ask with `has %.*s &&` in front",
                         DV_SLICE_ARGS(shown), DV_SLICE_ARGS(shown));
}

/* One name of `x has a.b.c`; ret_inner is the attribute's type, NULL when it is never there. */
static dv_result type_has_step(dv_cedar_checker *checker, const dv_cedar_node *node,
                               uint32_t number, const dv_cedar_static *type,
                               const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing,
                               const dv_cedar_static **ret_inner)
{
    const dv_cedar_attribute *attribute = attribute_of(type, node->names[number]);
    dv_cedar_capability shown;

    *ret_inner = NULL;
    *ret_typing = typing_bool(DV_CEDAR_NEVER);
    if (attribute == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_capability_of(checker->types.arena, node->operands, node->names, number + 1,
                                  &shown));
    /* An entity that is named need not be there: only of records the schema promises. */
    bool always = (type->type == DV_CEDAR_RECORD && !attribute->optional) ||
                  dv_cedar_capability_has(prior, &shown, checker->types.steps);
    *ret_typing = typing_bool(always ? DV_CEDAR_ALWAYS : DV_CEDAR_EITHER);
    *ret_inner = attribute->type;
    return dv_cedar_capability_add(checker->types.arena, &shown, &ret_typing->gained);
}

/* `x has a.b` is `x has a && x.a has b`. */
static dv_result type_has(dv_cedar_checker *checker, const dv_cedar_node *node,
                          const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_typing object, all = typing_bool(DV_CEDAR_ALWAYS), one;
    char shown[SHOWN];

    DV_TRY(expect_attributes(checker, &node->operands[0], prior, &object));
    *ret_typing = typing_bool(DV_CEDAR_EITHER);
    const dv_cedar_static *type = object.type;
    for (uint32_t i = 0; type != NULL && i < node->name_count; i++) {
        if (type->type != DV_CEDAR_ENTITY && type->type != DV_CEDAR_RECORD) {
            dv_cedar_static_print(type, shown, sizeof(shown));
            return dv_cedar_tell(checker, node, "'%.*s' is %s, which has no attributes",
                                 DV_SLICE_ARGS(dv_slice_sub(node->names[i - 1], 0, 64)), shown);
        }
        DV_TRY(type_has_step(checker, node, i, type, prior, &one, &type));
        DV_TRY(dv_cedar_capability_join(checker->types.arena, one.gained, &prior));
        DV_TRY(dv_cedar_typing_and(checker, &one, &all));
    }
    if (object.type != NULL) {
        *ret_typing = all;
    }
    return DV_OK;
}

/* ---- like, sets, records ---- */

static dv_result type_like(dv_cedar_checker *checker, const dv_cedar_node *node,
                           const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_typing text;

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_STRING, NULL, &text));
    *ret_typing = typing_bool(DV_CEDAR_EITHER);
    return DV_OK;
}

/* Strict mode: one type for all, and so at least one. */
static dv_result type_set(dv_cedar_checker *checker, const dv_cedar_node *node,
                          const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    const dv_cedar_static *element = NULL, *joined = NULL;
    bool typed = node->count > 0;

    *ret_typing = typing_of(NULL);
    if (node->count == 0) {
        return dv_cedar_tell(checker, node,
                             "an empty set has no type: compare with isEmpty, or leave this out");
    }
    for (uint32_t i = 0; i < node->count; i++) {
        dv_cedar_typing one;
        DV_TRY(dv_cedar_typecheck(checker, &node->operands[i], prior, &one));
        typed = typed && one.type != NULL;
        if (!typed) {
            continue;
        }
        joined = one.type;
        if (element != NULL) {
            DV_TRY(dv_cedar_static_join(&checker->types, element, one.type, &joined));
        }
        if (joined == NULL) {
            typed = false;
            DV_TRY(dv_cedar_fit(checker, node, element, one.type, "all that is in a set"));
        }
        element = joined;
    }
    dv_cedar_static *type = dv_arena_alloc(checker->types.arena, sizeof(*type));
    if (type == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *type = (dv_cedar_static){.type = DV_CEDAR_SET, .depth = node->depth, .element = element};
    *ret_typing = typing_of(typed ? type : NULL);
    return DV_OK;
}

static dv_result type_record(dv_cedar_checker *checker, const dv_cedar_node *node,
                             const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_arena *arena = checker->types.arena;
    dv_cedar_static *type = dv_arena_alloc(arena, sizeof(*type));
    dv_cedar_attribute *attributes = dv_arena_alloc(arena, (node->count + 1) * sizeof(*attributes));
    bool typed = true;

    if (type == NULL || attributes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < node->count; i++) {
        dv_cedar_typing one;
        DV_TRY(dv_cedar_typecheck(checker, &node->operands[i], prior, &one));
        attributes[i] = (dv_cedar_attribute){.name = node->names[i], .type = one.type};
        typed = typed && one.type != NULL;
    }
    *type = (dv_cedar_static){.type = DV_CEDAR_RECORD,
                              .depth = node->depth,
                              .count = node->count,
                              .attributes = attributes};
    *ret_typing = typing_of(typed ? type : NULL);
    return DV_OK;
}

/* ---- all of them ---- */

typedef dv_result (*type_kind)(dv_cedar_checker *checker, const dv_cedar_node *node,
                               const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing);

static const type_kind kinds[] = {
    [DV_CEDAR_NODE_NOT] = type_not,
    [DV_CEDAR_NODE_NEGATE] = type_arithmetic,
    [DV_CEDAR_NODE_AND] = type_and,
    [DV_CEDAR_NODE_OR] = type_or,
    [DV_CEDAR_NODE_IF] = type_if,
    [DV_CEDAR_NODE_EQUAL] = type_equality,
    [DV_CEDAR_NODE_UNEQUAL] = type_equality,
    [DV_CEDAR_NODE_LESS] = type_order,
    [DV_CEDAR_NODE_LESS_EQUAL] = type_order,
    [DV_CEDAR_NODE_GREATER] = type_order,
    [DV_CEDAR_NODE_GREATER_EQUAL] = type_order,
    [DV_CEDAR_NODE_IN] = type_in,
    [DV_CEDAR_NODE_IS] = type_is,
    [DV_CEDAR_NODE_HAS] = type_has,
    [DV_CEDAR_NODE_LIKE] = type_like,
    [DV_CEDAR_NODE_SUM] = type_arithmetic,
    [DV_CEDAR_NODE_PRODUCT] = type_arithmetic,
    [DV_CEDAR_NODE_ATTRIBUTE] = type_attribute,
    [DV_CEDAR_NODE_CALL] = dv_cedar_typecheck_call,
    [DV_CEDAR_NODE_SET] = type_set,
    [DV_CEDAR_NODE_RECORD] = type_record,
};

dv_result dv_cedar_typecheck(dv_cedar_checker *checker, const dv_cedar_node *node,
                             const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    node = dv_cedar_node_written(node);
    if (*checker->types.steps == 0) {
        return DV_ERR_TOO_LARGE;
    }
    --*checker->types.steps;
    if (node->kind == DV_CEDAR_NODE_VALUE) {
        *ret_typing = type_value(checker, node->value);
        return node->value->type > DV_CEDAR_ENTITY ? DV_ERR_INTERNAL : DV_OK; /* is not written */
    }
    if (node->kind == DV_CEDAR_NODE_VARIABLE) {
        *ret_typing = type_variable(checker, node->variable);
        return DV_OK;
    }
    return kinds[node->kind](checker, node, prior, ret_typing);
}
