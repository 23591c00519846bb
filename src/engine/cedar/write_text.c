/* SPDX-License-Identifier: Apache-2.0 */
/* Policies as text (specs: syntax-grammar), with parentheses only where the tree needs them. */
#include "engine/cedar/formats.h"
#include "engine/cedar/function.h"
#include "engine/cedar/policy_set.h"
#include "engine/cedar/uid.h"

#include <inttypes.h>

/* The rules of the grammar from loosest to tightest: an operand below what its place takes is put
 * into parentheses. */
typedef enum rank {
    RANK_IF,
    RANK_OR,
    RANK_AND,
    RANK_RELATION,
    RANK_SUM,
    RANK_PRODUCT,
    RANK_UNARY,
    RANK_MEMBER,
} rank;

static rank rank_of(const dv_cedar_node *node)
{
    switch ((dv_cedar_kind)node->kind) {
    case DV_CEDAR_NODE_IF:
        return RANK_IF;
    case DV_CEDAR_NODE_OR:
        return RANK_OR;
    case DV_CEDAR_NODE_AND:
        return RANK_AND;
    case DV_CEDAR_NODE_EQUAL:
    case DV_CEDAR_NODE_UNEQUAL:
    case DV_CEDAR_NODE_LESS:
    case DV_CEDAR_NODE_LESS_EQUAL:
    case DV_CEDAR_NODE_GREATER:
    case DV_CEDAR_NODE_GREATER_EQUAL:
    case DV_CEDAR_NODE_IN:
    case DV_CEDAR_NODE_IS:
    case DV_CEDAR_NODE_HAS:
    case DV_CEDAR_NODE_LIKE:
        return RANK_RELATION;
    case DV_CEDAR_NODE_SUM:
        return RANK_SUM;
    case DV_CEDAR_NODE_PRODUCT:
        return RANK_PRODUCT;
    case DV_CEDAR_NODE_NOT:
    case DV_CEDAR_NODE_NEGATE:
        return RANK_UNARY;
    case DV_CEDAR_NODE_VALUE: /* a minus makes a number unary */
        return node->value->type == DV_CEDAR_LONG && node->value->number < 0 ? RANK_UNARY
                                                                             : RANK_MEMBER;
    case DV_CEDAR_NODE_VARIABLE:
    case DV_CEDAR_NODE_ATTRIBUTE:
    case DV_CEDAR_NODE_CALL:
    case DV_CEDAR_NODE_SET:
    case DV_CEDAR_NODE_RECORD:
        break;
    }
    return RANK_MEMBER;
}

static dv_result put_node(dv_buf *out, const dv_cedar_node *node);

static dv_result put_in_parentheses(dv_buf *out, const dv_cedar_node *node)
{
    DV_TRY(dv_buf_append_byte(out, '('));
    DV_TRY(put_node(out, node));
    return dv_buf_append_byte(out, ')');
}

static dv_result put_operand(dv_buf *out, const dv_cedar_node *node, rank least)
{
    node = dv_cedar_node_written(node);
    return rank_of(node) < least ? put_in_parentheses(out, node) : put_node(out, node);
}

static dv_result put_quoted(dv_buf *out, dv_slice text)
{
    DV_TRY(dv_buf_append_byte(out, '"'));
    DV_TRY(dv_cedar_escape(out, text, false));
    return dv_buf_append_byte(out, '"');
}

/* IDENT | STR */
static dv_result put_name(dv_buf *out, dv_slice name)
{
    return dv_cedar_ident_valid(name) ? dv_buf_append(out, name) : put_quoted(out, name);
}

static dv_result put_value(dv_buf *out, const dv_cedar_value *value)
{
    switch ((int)value->type) {
    case DV_CEDAR_BOOL:
        return dv_buf_append_str(out, value->boolean ? "true" : "false");
    case DV_CEDAR_LONG:
        return dv_buf_append_printf(out, "%" PRId64, value->number);
    case DV_CEDAR_STRING:
        return put_quoted(out, value->text);
    case DV_CEDAR_ENTITY: /* the canonical uid is what stands in a policy */
        return dv_buf_append(out, value->text);
    default: /* others stay as they were written: dv_cedar_node_written */
        return DV_ERR_INTERNAL;
    }
}

/* A sign; a second one, and a number behind a minus, stand in parentheses: `-1` is a literal. */
static dv_result put_unary(dv_buf *out, const dv_cedar_node *node)
{
    const dv_cedar_node *operand = dv_cedar_node_written(&node->operands[0]);
    bool negative = node->kind == DV_CEDAR_NODE_NEGATE;
    bool number =
        operand->kind == DV_CEDAR_NODE_VALUE && operand->value->type == DV_CEDAR_LONG && negative;

    DV_TRY(dv_buf_append_byte(out, negative ? '-' : '!'));
    return number ? put_in_parentheses(out, operand) : put_operand(out, operand, RANK_MEMBER);
}

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

static dv_result put_chain(dv_buf *out, const dv_cedar_node *node)
{
    rank least = (rank)(rank_of(node) + 1);

    for (uint32_t i = 0; i < node->count; i++) {
        if (i > 0) {
            DV_TRY(dv_buf_append_printf(out, " %s ", operator_at(node, i)));
        }
        DV_TRY(put_operand(out, &node->operands[i], least));
    }
    return DV_OK;
}

static dv_result put_comparison(dv_buf *out, const dv_cedar_node *node)
{
    static const char *const names[] = {
        [DV_CEDAR_NODE_EQUAL] = "==",  [DV_CEDAR_NODE_UNEQUAL] = "!=",
        [DV_CEDAR_NODE_LESS] = "<",    [DV_CEDAR_NODE_LESS_EQUAL] = "<=",
        [DV_CEDAR_NODE_GREATER] = ">", [DV_CEDAR_NODE_GREATER_EQUAL] = ">=",
        [DV_CEDAR_NODE_IN] = "in",
    };

    DV_TRY(put_operand(out, &node->operands[0], RANK_SUM));
    DV_TRY(dv_buf_append_printf(out, " %s ", names[node->kind]));
    return put_operand(out, &node->operands[1], RANK_SUM);
}

static dv_result put_is(dv_buf *out, const dv_cedar_node *node)
{
    DV_TRY(put_operand(out, &node->operands[0], RANK_SUM));
    DV_TRY(dv_buf_append_str(out, " is "));
    DV_TRY(dv_buf_append(out, node->name));
    if (node->count == 2) {
        DV_TRY(dv_buf_append_str(out, " in "));
        DV_TRY(put_operand(out, &node->operands[1], RANK_SUM));
    }
    return DV_OK;
}

static dv_result put_has(dv_buf *out, const dv_cedar_node *node)
{
    DV_TRY(put_operand(out, &node->operands[0], RANK_SUM));
    DV_TRY(dv_buf_append_str(out, " has "));
    for (uint32_t i = 0; i < node->name_count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? "." : ""));
        DV_TRY(put_name(out, node->names[i]));
    }
    return DV_OK;
}

static dv_result put_like(dv_buf *out, const dv_cedar_node *node)
{
    DV_TRY(put_operand(out, &node->operands[0], RANK_SUM));
    DV_TRY(dv_buf_append_str(out, " like \""));
    for (uint32_t i = 0; i < node->name_count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? "*" : ""));
        DV_TRY(dv_cedar_escape(out, node->names[i], true));
    }
    return dv_buf_append_byte(out, '"');
}

static dv_result put_if(dv_buf *out, const dv_cedar_node *node)
{
    static const char *const words[] = {"if ", " then ", " else "};

    for (uint32_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        DV_TRY(dv_buf_append_str(out, words[i]));
        DV_TRY(put_operand(out, &node->operands[i], RANK_IF));
    }
    return DV_OK;
}

/* Access */
static dv_result put_attribute(dv_buf *out, const dv_cedar_node *node)
{
    bool plain = dv_cedar_ident_valid(node->name);

    DV_TRY(put_operand(out, &node->operands[0], RANK_MEMBER));
    DV_TRY(dv_buf_append_byte(out, plain ? '.' : '['));
    DV_TRY(put_name(out, node->name));
    return plain ? DV_OK : dv_buf_append_byte(out, ']');
}

/* ExprList */
static dv_result put_list(dv_buf *out, const dv_cedar_node *nodes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? ", " : ""));
        DV_TRY(put_operand(out, &nodes[i], RANK_IF));
    }
    return DV_OK;
}

static dv_result put_call(dv_buf *out, const dv_cedar_node *node)
{
    uint32_t receiver = node->function->method ? 1 : 0;

    if (receiver > 0) {
        DV_TRY(put_operand(out, &node->operands[0], RANK_MEMBER));
        DV_TRY(dv_buf_append_byte(out, '.'));
    }
    DV_TRY(dv_buf_append_str(out, node->function->name));
    DV_TRY(dv_buf_append_byte(out, '('));
    DV_TRY(put_list(out, node->operands + receiver, node->count - receiver));
    return dv_buf_append_byte(out, ')');
}

static dv_result put_set(dv_buf *out, const dv_cedar_node *node)
{
    DV_TRY(dv_buf_append_byte(out, '['));
    DV_TRY(put_list(out, node->operands, node->count));
    return dv_buf_append_byte(out, ']');
}

/* RecInits */
static dv_result put_record(dv_buf *out, const dv_cedar_node *node)
{
    DV_TRY(dv_buf_append_byte(out, '{'));
    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? ", " : ""));
        DV_TRY(put_name(out, node->names[i]));
        DV_TRY(dv_buf_append_str(out, ": "));
        DV_TRY(put_operand(out, &node->operands[i], RANK_IF));
    }
    return dv_buf_append_byte(out, '}');
}

static dv_result put_node(dv_buf *out, const dv_cedar_node *node)
{
    static const char *const variables[] = {"principal", "action", "resource", "context"};

    switch ((dv_cedar_kind)node->kind) {
    case DV_CEDAR_NODE_VALUE:
        return put_value(out, node->value);
    case DV_CEDAR_NODE_VARIABLE:
        return dv_buf_append_str(out, variables[node->variable]);
    case DV_CEDAR_NODE_NOT:
    case DV_CEDAR_NODE_NEGATE:
        return put_unary(out, node);
    case DV_CEDAR_NODE_AND:
    case DV_CEDAR_NODE_OR:
    case DV_CEDAR_NODE_SUM:
    case DV_CEDAR_NODE_PRODUCT:
        return put_chain(out, node);
    case DV_CEDAR_NODE_IF:
        return put_if(out, node);
    case DV_CEDAR_NODE_EQUAL:
    case DV_CEDAR_NODE_UNEQUAL:
    case DV_CEDAR_NODE_LESS:
    case DV_CEDAR_NODE_LESS_EQUAL:
    case DV_CEDAR_NODE_GREATER:
    case DV_CEDAR_NODE_GREATER_EQUAL:
    case DV_CEDAR_NODE_IN:
        return put_comparison(out, node);
    case DV_CEDAR_NODE_IS:
        return put_is(out, node);
    case DV_CEDAR_NODE_HAS:
        return put_has(out, node);
    case DV_CEDAR_NODE_LIKE:
        return put_like(out, node);
    case DV_CEDAR_NODE_ATTRIBUTE:
        return put_attribute(out, node);
    case DV_CEDAR_NODE_CALL:
        return put_call(out, node);
    case DV_CEDAR_NODE_SET:
        return put_set(out, node);
    case DV_CEDAR_NODE_RECORD:
        return put_record(out, node);
    }
    return DV_ERR_INTERNAL;
}

static dv_result put_uids(dv_buf *out, const dv_cedar_scope *scope)
{
    DV_TRY(dv_buf_append_str(out, scope->list ? "[" : ""));
    for (size_t i = 0; i < scope->uid_count; i++) {
        DV_TRY(dv_buf_append_str(out, i > 0 ? ", " : ""));
        DV_TRY(dv_buf_append(out, scope->uids[i]));
    }
    return dv_buf_append_str(out, scope->list ? "]" : "");
}

static dv_result put_scope(dv_buf *out, const dv_cedar_scope *scope, const char *word)
{
    DV_TRY(dv_buf_append_str(out, word));
    if (scope->type.len > 0) {
        DV_TRY(dv_buf_append_str(out, " is "));
        DV_TRY(dv_buf_append(out, scope->type));
    }
    if (scope->kind == DV_CEDAR_SCOPE_ANY) {
        return DV_OK;
    }
    DV_TRY(dv_buf_append_str(out, scope->kind == DV_CEDAR_SCOPE_EQUAL ? " == " : " in "));
    return scope->slot ? dv_buf_append_printf(out, "?%s", word) : put_uids(out, scope);
}

static dv_result put_annotations(dv_buf *out, const dv_cedar_policy *policy, bool without_id)
{
    for (size_t i = 0; i < policy->annotation_count; i++) {
        const dv_cedar_annotation *annotation = &policy->annotations[i];
        if (without_id && dv_slice_eq_str(annotation->name, "id")) {
            continue;
        }
        DV_TRY(dv_buf_append_byte(out, '@'));
        DV_TRY(dv_buf_append(out, annotation->name));
        if (annotation->text.ptr != NULL) {
            DV_TRY(dv_buf_append_byte(out, '('));
            DV_TRY(put_quoted(out, annotation->text));
            DV_TRY(dv_buf_append_byte(out, ')'));
        }
        DV_TRY(dv_buf_append_byte(out, ' '));
    }
    return DV_OK;
}

static dv_result put_policy(dv_buf *out, const dv_cedar_policy *policy)
{
    static const char *const words[] = {"principal", "action", "resource"};

    DV_TRY(dv_buf_append_str(out, policy->forbid ? "forbid (" : "permit ("));
    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        DV_TRY(dv_buf_append_str(out, d > 0 ? ", " : ""));
        DV_TRY(put_scope(out, &policy->scope[d], words[d]));
    }
    DV_TRY(dv_buf_append_byte(out, ')'));
    for (size_t i = 0; i < policy->condition_count; i++) {
        DV_TRY(dv_buf_append_str(out, policy->conditions[i].unless ? " unless { " : " when { "));
        DV_TRY(put_operand(out, &policy->conditions[i].expression, RANK_IF));
        DV_TRY(dv_buf_append_str(out, " }"));
    }
    return dv_buf_append_str(out, ";\n");
}

/* Whether the policy would get another id when it is read at that place. */
static bool needs_id(const dv_cedar_policy *policy, size_t number)
{
    char given[32];

    for (size_t i = 0; i < policy->annotation_count; i++) {
        if (dv_slice_eq_str(policy->annotations[i].name, "id")) {
            return false;
        }
    }
    snprintf(given, sizeof(given), "policy%zu", number);
    return !dv_slice_eq_str(policy->id, given);
}

static dv_result put_id(dv_buf *out, dv_slice id)
{
    DV_TRY(dv_buf_append_str(out, "@id("));
    DV_TRY(put_quoted(out, id));
    return dv_buf_append_str(out, ") ");
}

static dv_result put_policies(dv_buf *out, const dv_cedar_policy *policies, size_t count,
                              size_t *number)
{
    for (size_t i = 0; i < count; i++) {
        if (policies[i].linked != NULL) {
            continue;
        }
        if (needs_id(&policies[i], (*number)++)) {
            DV_TRY(put_id(out, policies[i].id));
        }
        DV_TRY(put_annotations(out, &policies[i], false));
        DV_TRY(put_policy(out, &policies[i]));
    }
    return DV_OK;
}

dv_result dv_cedar_text_write(const dv_cedar_policy_set *set, dv_buf *out)
{
    size_t number = 0;

    DV_TRY(put_policies(out, set->policies, set->count, &number));
    return put_policies(out, set->templates, set->template_count, &number);
}

static dv_result put_named(dv_buf *out, const dv_cedar_policy *policies, size_t count, bool linked)
{
    for (size_t i = 0; i < count; i++) {
        if ((policies[i].linked != NULL) != linked) {
            continue;
        }
        DV_TRY(put_id(out, policies[i].id));
        DV_TRY(put_annotations(out, &policies[i], true));
        DV_TRY(put_policy(out, &policies[i]));
    }
    return DV_OK;
}

dv_result dv_cedar_text_write_named(const dv_cedar_policy_set *set, bool linked, dv_buf *out)
{
    DV_TRY(put_named(out, set->policies, set->count, linked));
    return put_named(out, set->templates, set->template_count, linked);
}
