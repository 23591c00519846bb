/* SPDX-License-Identifier: Apache-2.0 */
/* Types of calls (specs: syntax-operators, functions and methods of sets, tags, and of the
 * extension types). */
#include "engine/cedar/function.h"
#include "engine/cedar/typecheck.h"

enum { SHOWN = 160 };

/* What a function of the extension types takes and gives. */
typedef struct signature {
    const char *name;
    uint8_t gives; /* dv_cedar_type */
    uint8_t takes[DV_CEDAR_ARGS_MAX];
    bool constructor; /* takes a string that is known to be well-formed */
} signature;

static const signature signatures[] = {
    {"ip", DV_CEDAR_IPADDR, {DV_CEDAR_STRING}, true},
    {"decimal", DV_CEDAR_DECIMAL, {DV_CEDAR_STRING}, true},
    {"datetime", DV_CEDAR_DATETIME, {DV_CEDAR_STRING}, true},
    {"duration", DV_CEDAR_DURATION, {DV_CEDAR_STRING}, true},
    {"lessThan", DV_CEDAR_BOOL, {DV_CEDAR_DECIMAL, DV_CEDAR_DECIMAL}, false},
    {"lessThanOrEqual", DV_CEDAR_BOOL, {DV_CEDAR_DECIMAL, DV_CEDAR_DECIMAL}, false},
    {"greaterThan", DV_CEDAR_BOOL, {DV_CEDAR_DECIMAL, DV_CEDAR_DECIMAL}, false},
    {"greaterThanOrEqual", DV_CEDAR_BOOL, {DV_CEDAR_DECIMAL, DV_CEDAR_DECIMAL}, false},
    {"isIpv4", DV_CEDAR_BOOL, {DV_CEDAR_IPADDR}, false},
    {"isIpv6", DV_CEDAR_BOOL, {DV_CEDAR_IPADDR}, false},
    {"isLoopback", DV_CEDAR_BOOL, {DV_CEDAR_IPADDR}, false},
    {"isMulticast", DV_CEDAR_BOOL, {DV_CEDAR_IPADDR}, false},
    {"isInRange", DV_CEDAR_BOOL, {DV_CEDAR_IPADDR, DV_CEDAR_IPADDR}, false},
    {"offset", DV_CEDAR_DATETIME, {DV_CEDAR_DATETIME, DV_CEDAR_DURATION}, false},
    {"durationSince", DV_CEDAR_DURATION, {DV_CEDAR_DATETIME, DV_CEDAR_DATETIME}, false},
    {"toDate", DV_CEDAR_DATETIME, {DV_CEDAR_DATETIME}, false},
    {"toTime", DV_CEDAR_DURATION, {DV_CEDAR_DATETIME}, false},
    {"toMilliseconds", DV_CEDAR_LONG, {DV_CEDAR_DURATION}, false},
    {"toSeconds", DV_CEDAR_LONG, {DV_CEDAR_DURATION}, false},
    {"toMinutes", DV_CEDAR_LONG, {DV_CEDAR_DURATION}, false},
    {"toHours", DV_CEDAR_LONG, {DV_CEDAR_DURATION}, false},
    {"toDays", DV_CEDAR_LONG, {DV_CEDAR_DURATION}, false},
};

static const signature *find_signature(const dv_cedar_function *function)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(signatures); i++) {
        if (strcmp(signatures[i].name, function->name) == 0) {
            return &signatures[i];
        }
    }
    return NULL;
}

/* Strict mode: "extension constructors may not be called with non-literal expressions", and the
 * literal must be one that the constructor takes. */
static dv_result check_constructor(dv_cedar_checker *checker, const dv_cedar_node *node)
{
    const dv_cedar_node *arg = dv_cedar_node_written(&node->operands[0]);
    dv_cedar_value made;

    if (arg->kind != DV_CEDAR_NODE_VALUE) {
        return dv_cedar_tell(checker, node, "%s() takes a literal string, so that it cannot fail",
                             node->function->name);
    }
    if (arg->value->type == DV_CEDAR_STRING &&
        node->function->run(NULL, arg->value, &made) != DV_OK) {
        return dv_cedar_tell(checker, node, "%s() does not take this string", node->function->name);
    }
    return DV_OK;
}

static dv_result type_extension(dv_cedar_checker *checker, const dv_cedar_node *node,
                                const signature *s, const dv_cedar_capabilities *prior,
                                dv_cedar_typing *ret_typing)
{
    bool fits = node->count == node->function->arity;

    *ret_typing = (dv_cedar_typing){.type = dv_cedar_static_plain(s->gives)};
    for (uint32_t i = 0; i < node->count; i++) {
        dv_cedar_typing arg;
        DV_TRY(fits ? dv_cedar_expect(checker, &node->operands[i], prior, s->takes[i], NULL, &arg)
                    : dv_cedar_typecheck(checker, &node->operands[i], prior, &arg));
    }
    if (!fits) {
        int receiver = node->function->method ? 1 : 0;
        return dv_cedar_tell(checker, node, "%s() takes %d arguments, not %d", node->function->name,
                             node->function->arity - receiver, (int)node->count - receiver);
    }
    return s->constructor ? check_constructor(checker, node) : DV_OK;
}

static dv_result type_contains(dv_cedar_checker *checker, const dv_cedar_node *node,
                               const dv_cedar_capabilities *prior)
{
    dv_cedar_typing set, item;

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_SET, NULL, &set));
    DV_TRY(dv_cedar_typecheck(checker, &node->operands[1], prior, &item));
    if (set.type == NULL || item.type == NULL) {
        return DV_OK;
    }
    return dv_cedar_fit(checker, node, set.type->element, item.type,
                        "what is in the set and what is looked for");
}

static dv_result type_contains_many(dv_cedar_checker *checker, const dv_cedar_node *node,
                                    const dv_cedar_capabilities *prior)
{
    dv_cedar_typing a, b;

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_SET, NULL, &a));
    DV_TRY(dv_cedar_expect(checker, &node->operands[1], prior, DV_CEDAR_SET,
                           "for one item use contains", &b));
    if (a.type == NULL || b.type == NULL) {
        return DV_OK;
    }
    return dv_cedar_fit(checker, node, a.type, b.type, "both sets");
}

static dv_result type_is_empty(dv_cedar_checker *checker, const dv_cedar_node *node,
                               const dv_cedar_capabilities *prior)
{
    dv_cedar_typing set;

    return dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_SET,
                           "compare a string with \"\"", &set);
}

/* An entity and the name of a tag; ret_type is NULL when one has no type. */
static dv_result type_tagged(dv_cedar_checker *checker, const dv_cedar_node *node,
                             const dv_cedar_capabilities *prior,
                             const dv_cedar_entity_type **ret_type,
                             dv_cedar_capability *ret_capability)
{
    dv_cedar_typing entity, name;

    DV_TRY(dv_cedar_expect(checker, &node->operands[0], prior, DV_CEDAR_ENTITY, NULL, &entity));
    DV_TRY(dv_cedar_expect(checker, &node->operands[1], prior, DV_CEDAR_STRING, NULL, &name));
    *ret_type = entity.type == NULL || name.type == NULL ? NULL : entity.type->entity;
    DV_TRY(
        dv_cedar_capability_of(checker->types.arena, &node->operands[0], NULL, 0, ret_capability));
    ret_capability->tag = &node->operands[1];
    return DV_OK;
}

static dv_result type_has_tag(dv_cedar_checker *checker, const dv_cedar_node *node,
                              const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    dv_cedar_known_bool known = DV_CEDAR_EITHER;
    const dv_cedar_entity_type *type = NULL;
    dv_cedar_capability tag;

    DV_TRY(type_tagged(checker, node, prior, &type, &tag));
    if (type != NULL && type->tags == NULL) {
        known = DV_CEDAR_NEVER;
    } else if (dv_cedar_capability_has(prior, &tag, checker->types.steps)) {
        known = DV_CEDAR_ALWAYS;
    }
    *ret_typing = (dv_cedar_typing){.type = dv_cedar_static_bool(known)};
    return dv_cedar_capability_add(checker->types.arena, &tag, &ret_typing->gained);
}

static dv_result type_get_tag(dv_cedar_checker *checker, const dv_cedar_node *node,
                              const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    const dv_cedar_entity_type *type = NULL;
    dv_cedar_capability tag;

    DV_TRY(type_tagged(checker, node, prior, &type, &tag));
    *ret_typing = (dv_cedar_typing){0};
    if (type == NULL) {
        return DV_OK;
    }
    if (type->tags == NULL) {
        return dv_cedar_tell(checker, node, "%.*s has no tags in the schema",
                             DV_SLICE_ARGS(dv_slice_sub(type->name, 0, 100)));
    }
    ret_typing->type = type->tags;
    if (dv_cedar_capability_has(prior, &tag, checker->types.steps)) {
        return DV_OK;
    }
    return dv_cedar_tell(checker, node,
                         "a tag may be absent: ask with hasTag of the same name && in front");
}

typedef dv_result (*type_set_method)(dv_cedar_checker *checker, const dv_cedar_node *node,
                                     const dv_cedar_capabilities *prior);

dv_result dv_cedar_typecheck_call(dv_cedar_checker *checker, const dv_cedar_node *node,
                                  const dv_cedar_capabilities *prior, dv_cedar_typing *ret_typing)
{
    static const struct {
        const char *name;
        type_set_method type;
    } methods[] = {{"contains", type_contains},
                   {"containsAll", type_contains_many},
                   {"containsAny", type_contains_many},
                   {"isEmpty", type_is_empty}};
    const signature *s = find_signature(node->function);

    if (s != NULL) {
        return type_extension(checker, node, s, prior, ret_typing);
    }
    if (strcmp(node->function->name, "hasTag") == 0) {
        return type_has_tag(checker, node, prior, ret_typing);
    }
    if (strcmp(node->function->name, "getTag") == 0) {
        return type_get_tag(checker, node, prior, ret_typing);
    }
    *ret_typing = (dv_cedar_typing){.type = dv_cedar_static_bool(DV_CEDAR_EITHER)};
    for (size_t i = 0; i < DV_ARRAY_LEN(methods); i++) {
        if (strcmp(node->function->name, methods[i].name) == 0) {
            return methods[i].type(checker, node, prior);
        }
    }
    return DV_ERR_INTERNAL; /* a function that has no row here */
}
