/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Policies as trees; private to the engine. All of it lies in the policy set's arena. */

#include "engine/cedar/cedar.h"

typedef enum dv_cedar_kind {
    DV_CEDAR_NODE_VALUE,
    DV_CEDAR_NODE_VARIABLE,
    DV_CEDAR_NODE_NOT,
    DV_CEDAR_NODE_NEGATE,
    DV_CEDAR_NODE_AND, /* two operands or more */
    DV_CEDAR_NODE_OR,
    DV_CEDAR_NODE_IF,
    DV_CEDAR_NODE_EQUAL,
    DV_CEDAR_NODE_UNEQUAL,
    DV_CEDAR_NODE_LESS,
    DV_CEDAR_NODE_LESS_EQUAL,
    DV_CEDAR_NODE_GREATER,
    DV_CEDAR_NODE_GREATER_EQUAL,
    DV_CEDAR_NODE_IN,
    DV_CEDAR_NODE_IS,   /* name: the type; a second operand is what it must lie in */
    DV_CEDAR_NODE_HAS,  /* names: a path of attributes */
    DV_CEDAR_NODE_LIKE, /* names: the literal pieces between the wildcards */
    DV_CEDAR_NODE_SUM,  /* operators: '+' or '-' in front of each operand but the first */
    DV_CEDAR_NODE_PRODUCT,
    DV_CEDAR_NODE_ATTRIBUTE, /* name */
    DV_CEDAR_NODE_CALL,
    DV_CEDAR_NODE_SET,
    DV_CEDAR_NODE_RECORD, /* names: one for each operand */
} dv_cedar_kind;

typedef enum dv_cedar_variable {
    DV_CEDAR_PRINCIPAL,
    DV_CEDAR_ACTION,
    DV_CEDAR_RESOURCE,
    DV_CEDAR_CONTEXT,
} dv_cedar_variable;

typedef struct dv_cedar_node dv_cedar_node;
struct dv_cedar_function;

struct dv_cedar_node {
    uint8_t kind;   /* dv_cedar_kind */
    uint16_t depth; /* of the tree below, this node included */
    uint32_t count; /* operands */
    uint32_t name_count;
    uint32_t offset; /* where it begins in the text; JSON: of the token */
    /* A value that was worked out when it was read has count 0 and here what was written, a set or
     * a call (dv_cedar_node_written); other values have NULL. */
    dv_cedar_node *operands;
    union {
        const dv_slice *names;
        dv_slice name;
        const uint8_t *operators;
        const struct dv_cedar_function *function;
        dv_cedar_variable variable;
        const dv_cedar_value *value;
    };
};

/* The node as it was written, before a set or a call of literals became a value. */
static inline const dv_cedar_node *dv_cedar_node_written(const dv_cedar_node *node)
{
    bool folded = node->kind == DV_CEDAR_NODE_VALUE && node->operands != NULL;

    return folded ? node->operands : node;
}

/* What a policy's scope says of one of principal, action, resource. */
typedef enum dv_cedar_scope_kind {
    DV_CEDAR_SCOPE_ANY,
    DV_CEDAR_SCOPE_EQUAL,
    DV_CEDAR_SCOPE_IN, /* one or, for actions, several */
} dv_cedar_scope_kind;

typedef struct dv_cedar_scope {
    dv_cedar_scope_kind kind;
    bool slot;       /* a template's ?principal or ?resource: no uids */
    bool list;       /* `in` with brackets */
    uint32_t offset; /* where it begins, as in a node */
    dv_slice type;   /* `is`; empty: any */
    const dv_slice *uids;
    size_t uid_count;
} dv_cedar_scope;

typedef struct dv_cedar_condition {
    dv_cedar_node expression;
    bool unless;
} dv_cedar_condition;

typedef struct dv_cedar_annotation {
    dv_slice name;
    dv_slice text; /* ptr NULL: none was written, which means the empty one */
} dv_cedar_annotation;

typedef struct dv_cedar_annotations {
    const dv_cedar_annotation *items;
    size_t count;
} dv_cedar_annotations;

enum { DV_CEDAR_DIMENSIONS = 3 }; /* DV_CEDAR_PRINCIPAL, DV_CEDAR_ACTION, DV_CEDAR_RESOURCE */

/* A policy, a template (some scope has a slot), or a template with its slots filled in. */
typedef struct dv_cedar_policy {
    dv_slice id; /* from here to `typed`: all that most decisions look at */
    const dv_cedar_condition *conditions;
    size_t condition_count;
    uint32_t offset; /* where it begins, as in a node */
    bool forbid;
    bool asks_context; /* some condition does */
    bool typed;        /* some scope has `is` beside `in`, which the index does not answer */
    dv_cedar_scope scope[DV_CEDAR_DIMENSIONS];
    const dv_cedar_annotation *annotations;
    size_t annotation_count;
    const struct dv_cedar_policy *linked; /* the template that this one is made from, or NULL */
} dv_cedar_policy;

static inline bool dv_cedar_policy_is_template(const dv_cedar_policy *policy)
{
    return policy->scope[DV_CEDAR_PRINCIPAL].slot || policy->scope[DV_CEDAR_RESOURCE].slot;
}
