/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The types of expressions in one kind of request (specs: validation, strict mode); private to the
 * engine. */

#include "engine/cedar/capability.h"
#include "engine/cedar/static.h"

struct dv_cedar_problems;

typedef struct dv_cedar_checker {
    const dv_cedar_schema *schema;
    dv_cedar_types types; /* with an arena that is emptied between requests */
    /* The kind of request: an action and the types of what it is asked for. */
    const dv_cedar_action *action;
    const dv_cedar_entity_type *principal;
    const dv_cedar_entity_type *resource;
    struct dv_cedar_problems *problems;
} dv_cedar_checker;

/* What an expression is. */
typedef struct dv_cedar_typing {
    const dv_cedar_static *type;         /* NULL: it has none, which was told */
    const dv_cedar_capabilities *gained; /* what is there when it is true */
} dv_cedar_typing;

/* Types an expression, with what is known to be there. What is wrong with it is told; a part that
 * can never be reached is not looked at. Errors: DV_ERR_TOO_LARGE (steps), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_typecheck(dv_cedar_checker *checker, const dv_cedar_node *node,
                                     const dv_cedar_capabilities *prior,
                                     dv_cedar_typing *ret_typing);

/* The same where one type is wanted: the typing has it or none. help, or NULL, is what to do when
 * it is another. */
dv_must dv_result dv_cedar_expect(dv_cedar_checker *checker, const dv_cedar_node *node,
                                  const dv_cedar_capabilities *prior, dv_cedar_type wanted,
                                  const char *help, dv_cedar_typing *ret_typing);

/* A call (typecheck_call.c). */
dv_must dv_result dv_cedar_typecheck_call(dv_cedar_checker *checker, const dv_cedar_node *node,
                                          const dv_cedar_capabilities *prior,
                                          dv_cedar_typing *ret_typing);

/* One step of `&&`: what left && right is, left's capabilities counted in when right was typed. */
dv_must dv_result dv_cedar_typing_and(dv_cedar_checker *checker, const dv_cedar_typing *right,
                                      dv_cedar_typing *left);

/* Tells that two types do not fit, unless they do. Errors: as dv_cedar_typecheck. */
dv_must dv_result dv_cedar_fit(dv_cedar_checker *checker, const dv_cedar_node *node,
                               const dv_cedar_static *a, const dv_cedar_static *b,
                               const char *what);

/* Tells what is wrong at a node, in this kind of request. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cedar_tell(dv_cedar_checker *checker, const dv_cedar_node *node,
                                const char *format, ...) dv_printf(3, 4);

/* True when a boolean is known to be that. */
static inline bool dv_cedar_typing_is(const dv_cedar_typing *typing, dv_cedar_known_bool known)
{
    return typing->type != NULL && typing->type->type == DV_CEDAR_BOOL &&
           typing->type->known == known;
}
