/* SPDX-License-Identifier: Apache-2.0 */
/* Policies as JSON (specs: json-format). The recursion is as deep as the tree; lists of operands
 * are flat in it, and nest to the left in JSON. */
#include "engine/cedar/formats.h"
#include "engine/cedar/function.h"
#include "engine/cedar/policy_set.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

#include <inttypes.h>

typedef struct writer {
    dv_buf *out;
    dv_arena *arena; /* for ids read from uids */
} writer;

static dv_result put(const writer *w, const char *text)
{
    return dv_buf_append_str(w->out, text);
}

static dv_result put_string(const writer *w, dv_slice text)
{
    return dv_buf_append_json_string(w->out, text);
}

/* {"type": ..., "id": ...} */
static dv_result put_entity(const writer *w, dv_slice uid)
{
    dv_slice type = {0}, id = {0};

    DV_TRY(dv_cedar_uid_read(uid, w->arena, &type, &id));
    DV_TRY(put(w, "{\"type\":"));
    DV_TRY(put_string(w, type));
    DV_TRY(put(w, ",\"id\":"));
    DV_TRY(put_string(w, id));
    return put(w, "}");
}

static dv_result put_node(const writer *w, const dv_cedar_node *node);

/* Value */
static dv_result put_value(const writer *w, const dv_cedar_value *value)
{
    DV_TRY(put(w, "{\"Value\":"));
    switch ((int)value->type) {
    case DV_CEDAR_BOOL:
        DV_TRY(put(w, value->boolean ? "true" : "false"));
        break;
    case DV_CEDAR_LONG:
        DV_TRY(dv_buf_append_printf(w->out, "%" PRId64, value->number));
        break;
    case DV_CEDAR_STRING:
        DV_TRY(put_string(w, value->text));
        break;
    case DV_CEDAR_ENTITY:
        DV_TRY(put(w, "{\"__entity\":"));
        DV_TRY(put_entity(w, value->text));
        DV_TRY(put(w, "}"));
        break;
    default: /* others stay as they were written: dv_cedar_node_written */
        return DV_ERR_INTERNAL;
    }
    return put(w, "}");
}

/* Var */
static dv_result put_variable(const writer *w, const dv_cedar_node *node)
{
    static const char *const names[] = {"principal", "action", "resource", "context"};

    return dv_buf_append_printf(w->out, "{\"Var\":\"%s\"}", names[node->variable]);
}

/* An object with one operand under a name, left open. */
static dv_result open_with(const writer *w, const char *key, const char *name,
                           const dv_cedar_node *operand)
{
    DV_TRY(dv_buf_append_printf(w->out, "{\"%s\":{\"%s\":", key, name));
    return put_node(w, operand);
}

/* !, neg, isEmpty */
static dv_result put_unary(const writer *w, const char *key, const dv_cedar_node *node)
{
    DV_TRY(open_with(w, key, "arg", &node->operands[0]));
    return put(w, "}}");
}

/* The operator in front of the operand of a list. */
static const char *operator_at(const dv_cedar_node *node, uint32_t i)
{
    switch ((int)node->kind) {
    case DV_CEDAR_NODE_AND:
        return "&&";
    case DV_CEDAR_NODE_OR:
        return "||";
    case DV_CEDAR_NODE_PRODUCT:
        return "*";
    default:
        return node->operators[i] == '+' ? "+" : "-";
    }
}

/* a && b && c is (a && b) && c: the last operator is the outermost. */
static dv_result put_chain(const writer *w, const dv_cedar_node *node)
{
    for (uint32_t i = node->count - 1; i > 0; i--) {
        DV_TRY(dv_buf_append_printf(w->out, "{\"%s\":{\"left\":", operator_at(node, i)));
    }
    DV_TRY(put_node(w, &node->operands[0]));
    for (uint32_t i = 1; i < node->count; i++) {
        DV_TRY(put(w, ",\"right\":"));
        DV_TRY(put_node(w, &node->operands[i]));
        DV_TRY(put(w, "}}"));
    }
    return DV_OK;
}

static dv_result put_binary(const writer *w, const char *key, const dv_cedar_node *node)
{
    DV_TRY(open_with(w, key, "left", &node->operands[0]));
    DV_TRY(put(w, ",\"right\":"));
    DV_TRY(put_node(w, &node->operands[1]));
    return put(w, "}}");
}

static dv_result put_comparison(const writer *w, const dv_cedar_node *node)
{
    static const char *const names[] = {
        [DV_CEDAR_NODE_EQUAL] = "==",  [DV_CEDAR_NODE_UNEQUAL] = "!=",
        [DV_CEDAR_NODE_LESS] = "<",    [DV_CEDAR_NODE_LESS_EQUAL] = "<=",
        [DV_CEDAR_NODE_GREATER] = ">", [DV_CEDAR_NODE_GREATER_EQUAL] = ">=",
        [DV_CEDAR_NODE_IN] = "in",
    };

    return put_binary(w, names[node->kind], node);
}

/* The member `.` */
static dv_result put_attribute(const writer *w, const dv_cedar_node *node)
{
    DV_TRY(open_with(w, ".", "left", &node->operands[0]));
    DV_TRY(put(w, ",\"attr\":"));
    DV_TRY(put_string(w, node->name));
    return put(w, "}}");
}

/* has: one attribute, or a list of them */
static dv_result put_has(const writer *w, const dv_cedar_node *node)
{
    bool list = node->name_count > 1;

    DV_TRY(open_with(w, "has", "left", &node->operands[0]));
    DV_TRY(put(w, list ? ",\"attr\":[" : ",\"attr\":"));
    for (uint32_t i = 0; i < node->name_count; i++) {
        DV_TRY(put(w, i > 0 ? "," : ""));
        DV_TRY(put_string(w, node->names[i]));
    }
    return put(w, list ? "]}}" : "}}");
}

/* like: pieces with a wildcard between two */
static dv_result put_like(const writer *w, const dv_cedar_node *node)
{
    bool first = true;

    DV_TRY(open_with(w, "like", "left", &node->operands[0]));
    DV_TRY(put(w, ",\"pattern\":["));
    for (uint32_t i = 0; i < node->name_count; i++) {
        if (i > 0) {
            DV_TRY(put(w, first ? "\"Wildcard\"" : ",\"Wildcard\""));
            first = false;
        }
        if (node->names[i].len > 0) {
            DV_TRY(put(w, first ? "{\"Literal\":" : ",{\"Literal\":"));
            DV_TRY(put_string(w, node->names[i]));
            DV_TRY(put(w, "}"));
            first = false;
        }
    }
    return put(w, "]}}");
}

static dv_result put_is(const writer *w, const dv_cedar_node *node)
{
    DV_TRY(open_with(w, "is", "left", &node->operands[0]));
    DV_TRY(put(w, ",\"entity_type\":"));
    DV_TRY(put_string(w, node->name));
    if (node->count == 2) {
        DV_TRY(put(w, ",\"in\":"));
        DV_TRY(put_node(w, &node->operands[1]));
    }
    return put(w, "}}");
}

static dv_result put_if(const writer *w, const dv_cedar_node *node)
{
    DV_TRY(open_with(w, "if-then-else", "if", &node->operands[0]));
    DV_TRY(put(w, ",\"then\":"));
    DV_TRY(put_node(w, &node->operands[1]));
    DV_TRY(put(w, ",\"else\":"));
    DV_TRY(put_node(w, &node->operands[2]));
    return put(w, "}}");
}

/* A list under a key: sets and extension calls. */
static dv_result put_list(const writer *w, const char *key, const dv_cedar_node *node)
{
    DV_TRY(dv_buf_append_printf(w->out, "{\"%s\":[", key));
    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(put(w, i > 0 ? "," : ""));
        DV_TRY(put_node(w, &node->operands[i]));
    }
    return put(w, "]}");
}

static dv_result put_record(const writer *w, const dv_cedar_node *node)
{
    DV_TRY(put(w, "{\"Record\":{"));
    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(put(w, i > 0 ? "," : ""));
        DV_TRY(put_string(w, node->names[i]));
        DV_TRY(put(w, ":"));
        DV_TRY(put_node(w, &node->operands[i]));
    }
    return put(w, "}}");
}

/* Methods that are operators in JSON, and "any other key". */
static dv_result put_call(const writer *w, const dv_cedar_node *node)
{
    const dv_cedar_function *function = node->function;

    if (function->pure) {
        return put_list(w, function->name, node);
    }
    return function->arity == 1 ? put_unary(w, function->name, node)
                                : put_binary(w, function->name, node);
}

static dv_result put_node(const writer *w, const dv_cedar_node *node)
{
    node = dv_cedar_node_written(node);
    switch ((dv_cedar_kind)node->kind) {
    case DV_CEDAR_NODE_VALUE:
        return put_value(w, node->value);
    case DV_CEDAR_NODE_VARIABLE:
        return put_variable(w, node);
    case DV_CEDAR_NODE_NOT:
        return put_unary(w, "!", node);
    case DV_CEDAR_NODE_NEGATE:
        return put_unary(w, "neg", node);
    case DV_CEDAR_NODE_AND:
    case DV_CEDAR_NODE_OR:
    case DV_CEDAR_NODE_SUM:
    case DV_CEDAR_NODE_PRODUCT:
        return put_chain(w, node);
    case DV_CEDAR_NODE_IF:
        return put_if(w, node);
    case DV_CEDAR_NODE_EQUAL:
    case DV_CEDAR_NODE_UNEQUAL:
    case DV_CEDAR_NODE_LESS:
    case DV_CEDAR_NODE_LESS_EQUAL:
    case DV_CEDAR_NODE_GREATER:
    case DV_CEDAR_NODE_GREATER_EQUAL:
    case DV_CEDAR_NODE_IN:
        return put_comparison(w, node);
    case DV_CEDAR_NODE_IS:
        return put_is(w, node);
    case DV_CEDAR_NODE_HAS:
        return put_has(w, node);
    case DV_CEDAR_NODE_LIKE:
        return put_like(w, node);
    case DV_CEDAR_NODE_ATTRIBUTE:
        return put_attribute(w, node);
    case DV_CEDAR_NODE_CALL:
        return put_call(w, node);
    case DV_CEDAR_NODE_SET:
        return put_list(w, "Set", node);
    case DV_CEDAR_NODE_RECORD:
        return put_record(w, node);
    }
    return DV_ERR_INTERNAL;
}

/* "entity": {...}, "entities": [...] or "slot": "?..."; one action in brackets is one entity. */
static dv_result put_target(const writer *w, const dv_cedar_scope *scope, int dimension)
{
    if (scope->slot) {
        return put(w, dimension == DV_CEDAR_PRINCIPAL ? "\"slot\":\"?principal\""
                                                      : "\"slot\":\"?resource\"");
    }
    if (scope->uid_count == 1) {
        DV_TRY(put(w, "\"entity\":"));
        return put_entity(w, scope->uids[0]);
    }
    DV_TRY(put(w, "\"entities\":["));
    for (size_t i = 0; i < scope->uid_count; i++) {
        DV_TRY(put(w, i > 0 ? "," : ""));
        DV_TRY(put_entity(w, scope->uids[i]));
    }
    return put(w, "]");
}

/* principal, action, resource */
static dv_result put_scope(const writer *w, const dv_cedar_scope *scope, int dimension)
{
    static const char *const names[] = {"principal", "action", "resource"};

    DV_TRY(dv_buf_append_printf(w->out, ",\"%s\":{\"op\":", names[dimension]));
    if (scope->type.len > 0) {
        DV_TRY(put(w, "\"is\",\"entity_type\":"));
        DV_TRY(put_string(w, scope->type));
        if (scope->kind == DV_CEDAR_SCOPE_IN) {
            DV_TRY(put(w, ",\"in\":{"));
            DV_TRY(put_target(w, scope, dimension));
            DV_TRY(put(w, "}"));
        }
    } else if (scope->kind == DV_CEDAR_SCOPE_ANY) {
        DV_TRY(put(w, "\"All\""));
    } else {
        DV_TRY(put(w, scope->kind == DV_CEDAR_SCOPE_EQUAL ? "\"==\"," : "\"in\","));
        DV_TRY(put_target(w, scope, dimension));
    }
    return put(w, "}");
}

static dv_result put_conditions(const writer *w, const dv_cedar_policy *policy)
{
    DV_TRY(put(w, ",\"conditions\":["));
    for (size_t i = 0; i < policy->condition_count; i++) {
        const dv_cedar_condition *condition = &policy->conditions[i];
        DV_TRY(dv_buf_append_printf(w->out, "%s{\"kind\":\"%s\",\"body\":", i > 0 ? "," : "",
                                    condition->unless ? "unless" : "when"));
        DV_TRY(put_node(w, &condition->expression));
        DV_TRY(put(w, "}"));
    }
    return put(w, "]");
}

static dv_result put_annotations(const writer *w, const dv_cedar_policy *policy)
{
    if (policy->annotation_count == 0) {
        return DV_OK;
    }
    for (size_t i = 0; i < policy->annotation_count; i++) {
        const dv_cedar_annotation *annotation = &policy->annotations[i];
        DV_TRY(put(w, i > 0 ? "," : ",\"annotations\":{"));
        DV_TRY(put_string(w, annotation->name));
        DV_TRY(put(w, ":"));
        DV_TRY(annotation->text.ptr == NULL ? put(w, "null") : put_string(w, annotation->text));
    }
    return put(w, "}");
}

static dv_result put_policy(const writer *w, const dv_cedar_policy *policy)
{
    DV_TRY(put(w, policy->forbid ? "{\"effect\":\"forbid\"" : "{\"effect\":\"permit\""));
    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        DV_TRY(put_scope(w, &policy->scope[d], d));
    }
    DV_TRY(put_conditions(w, policy));
    DV_TRY(put_annotations(w, policy));
    return put(w, "}");
}

/* "id": policy, ... of those that are not linked */
static dv_result put_policies(const writer *w, const dv_cedar_policy *policies, size_t count)
{
    bool first = true;

    for (size_t i = 0; i < count; i++) {
        if (policies[i].linked == NULL) {
            DV_TRY(put(w, first ? "" : ","));
            DV_TRY(put_string(w, policies[i].id));
            DV_TRY(put(w, ":"));
            DV_TRY(put_policy(w, &policies[i]));
            first = false;
        }
    }
    return DV_OK;
}

/* templateId, newId, values */
static dv_result put_link(const writer *w, const dv_cedar_policy *policy)
{
    const dv_cedar_scope *slots = policy->linked->scope;
    bool both = slots[DV_CEDAR_PRINCIPAL].slot && slots[DV_CEDAR_RESOURCE].slot;

    DV_TRY(put(w, "{\"templateId\":"));
    DV_TRY(put_string(w, policy->linked->id));
    DV_TRY(put(w, ",\"newId\":"));
    DV_TRY(put_string(w, policy->id));
    DV_TRY(put(w, ",\"values\":{"));
    if (slots[DV_CEDAR_PRINCIPAL].slot) {
        DV_TRY(put(w, "\"?principal\":"));
        DV_TRY(put_entity(w, policy->scope[DV_CEDAR_PRINCIPAL].uids[0]));
    }
    DV_TRY(put(w, both ? "," : ""));
    if (slots[DV_CEDAR_RESOURCE].slot) {
        DV_TRY(put(w, "\"?resource\":"));
        DV_TRY(put_entity(w, policy->scope[DV_CEDAR_RESOURCE].uids[0]));
    }
    return put(w, "}}");
}

static dv_result put_links(const writer *w, const dv_cedar_policy_set *set)
{
    bool first = true;

    for (size_t i = 0; i < set->count; i++) {
        if (set->policies[i].linked != NULL) {
            DV_TRY(put(w, first ? "" : ","));
            DV_TRY(put_link(w, &set->policies[i]));
            first = false;
        }
    }
    return DV_OK;
}

static dv_result put_set(const writer *w, const dv_cedar_policy_set *set)
{
    DV_TRY(put(w, "{\"staticPolicies\":{"));
    DV_TRY(put_policies(w, set->policies, set->count));
    DV_TRY(put(w, "},\"templates\":{"));
    DV_TRY(put_policies(w, set->templates, set->template_count));
    DV_TRY(put(w, "},\"templateLinks\":["));
    DV_TRY(put_links(w, set));
    return put(w, "]}");
}

dv_result dv_cedar_json_write(const dv_cedar_policy_set *set, dv_buf *out)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_CEDAR_MEMORY);
    const writer w = {out, arena};

    return arena == NULL ? DV_ERR_NO_MEMORY : put_set(&w, set);
}

dv_result dv_cedar_policy_json_write(const dv_cedar_policy_set *set, dv_slice id, dv_buf *out)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_LIMIT_CEDAR_MEMORY);
    const writer w = {out, arena};

    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < set->count + set->template_count; i++) {
        const dv_cedar_policy *policy =
            i < set->count ? &set->policies[i] : &set->templates[i - set->count];
        if (policy->linked == NULL && dv_slice_eq(policy->id, id)) {
            return put_policy(&w, policy);
        }
    }
    return DV_ERR_NOT_FOUND;
}
