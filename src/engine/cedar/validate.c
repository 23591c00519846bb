/* SPDX-License-Identifier: Apache-2.0 */
/* Policies against a schema (specs: validation, "Supported validation checks"): first every name
 * in a policy, then whether its scope fits any request at all, then the types of its conditions in
 * each kind of request that its scope can hold for. */
#include "engine/cedar/validate.h"

#include "engine/cedar/lexer.h"
#include "engine/cedar/nearest.h"
#include "engine/cedar/policy_set.h"
#include "engine/cedar/typecheck.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

#include <stdarg.h>

enum { SCRATCH_MAX = 64 << 20, SHOWN = 200 };

typedef struct dv_cedar_problems {
    const dv_cedar_policy_set *set;
    const dv_cedar_policy *policy; /* the one that is looked at */
    dv_arena *arena;
    dv_cedar_list list;
    size_t first; /* of this policy */
    size_t errors;
    bool cut;
} dv_cedar_problems;

typedef struct validation {
    dv_cedar_checker checker;
    dv_cedar_problems problems;
    uint64_t steps;
    bool (*leaves_out)(dv_slice principal_type, dv_slice resource_type);
    bool possible; /* some kind of request may satisfy the policy */
} validation;

/* ---- telling ---- */

static bool is_told(const dv_cedar_problems *p, const dv_error *place)
{
    const dv_cedar_problem *told = p->list.items;

    for (size_t i = p->first; i < p->list.count; i++) {
        if (told[i].line == place->line && told[i].column == place->column && !told[i].warning) {
            return true;
        }
    }
    return false;
}

/* Each place once: the same mistake shows in many kinds of request. */
static dv_result tell(dv_cedar_problems *p, uint32_t offset, bool warning, const char *message)
{
    dv_error place = {0};
    const dv_cedar_lexer lexer = {.text = p->set->text, .error = &place};
    dv_cedar_problem problem = {.policy = p->policy->id, .warning = warning};

    p->errors += !warning;
    if (dv_cedar_error_at(&lexer, offset, "%s", message) == DV_OK || is_told(p, &place)) {
        return DV_OK;
    }
    if (p->list.count == DV_LIMIT_CEDAR_PROBLEMS) {
        p->cut = true;
        return DV_OK;
    }
    problem.line = place.line;
    problem.column = place.column;
    DV_TRY(dv_arena_copy(p->arena, dv_slice_str(message), &problem.message));
    return dv_cedar_list_add(p->arena, &p->list, &problem, sizeof(problem));
}

dv_result dv_cedar_tell(dv_cedar_checker *checker, const dv_cedar_node *node, const char *format,
                        ...)
{
    char what[DV_ERROR_MESSAGE_MAX / 2], message[DV_ERROR_MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    snprintf(message, sizeof(message), "%s (when %.*s does %.*s to %.*s)", what,
             DV_SLICE_ARGS(dv_slice_sub(checker->principal->name, 0, 64)),
             DV_SLICE_ARGS(dv_slice_sub(checker->action->uid, 0, 96)),
             DV_SLICE_ARGS(dv_slice_sub(checker->resource->name, 0, 64)));
    return tell(checker->problems, node->offset, false, message);
}

/* A name that is not declared, with the closest one that is. */
static dv_result tell_name(validation *v, uint32_t offset, const char *what, dv_slice name,
                           const dv_cedar_nearest *nearest)
{
    char message[DV_ERROR_MESSAGE_MAX];
    bool close = nearest->best.len > 0;

    snprintf(message, sizeof(message), "there is no %s %.*s in the schema%s%.*s%s", what,
             DV_SLICE_ARGS(dv_slice_sub(name, 0, SHOWN)), close ? ": did you mean " : "",
             DV_SLICE_ARGS(nearest->best), close ? "?" : "");
    return tell(&v->problems, offset, false, message);
}

/* ---- names: entity types, actions, ids of enumerated types ---- */

static dv_result check_type_name(validation *v, uint32_t offset, dv_slice name)
{
    const dv_cedar_schema *schema = v->checker.schema;
    dv_cedar_nearest nearest = dv_cedar_nearest_to(name);

    if (dv_cedar_is_action_type(name) || dv_cedar_schema_type(schema, name) != NULL) {
        return DV_OK;
    }
    for (size_t i = 0; i < schema->type_count; i++) {
        dv_cedar_nearest_try(&nearest, schema->types[i].name);
    }
    return tell_name(v, offset, "entity type", name, &nearest);
}

static dv_result check_action_uid(validation *v, uint32_t offset, dv_slice uid)
{
    const dv_cedar_schema *schema = v->checker.schema;
    dv_cedar_nearest nearest = dv_cedar_nearest_to(uid);

    if (dv_cedar_schema_action(schema, uid) != NULL) {
        return DV_OK;
    }
    for (size_t i = 0; i < schema->action_count; i++) {
        dv_cedar_nearest_try(&nearest, schema->actions[i].uid);
    }
    return tell_name(v, offset, "action", uid, &nearest);
}

static dv_result check_uid(validation *v, uint32_t offset, dv_slice uid)
{
    const dv_cedar_entity_type *type = dv_cedar_schema_type_of(v->checker.schema, uid);
    dv_cedar_nearest nearest = dv_cedar_nearest_to(uid);
    dv_slice name = {0};

    DV_TRY(dv_cedar_uid_type(uid, &name));
    if (dv_cedar_is_action_type(name)) {
        return check_action_uid(v, offset, uid);
    }
    if (type == NULL) {
        return check_type_name(v, offset, name);
    }
    if (dv_cedar_schema_has_choice(type, uid)) {
        return DV_OK;
    }
    for (size_t i = 0; i < type->choice_count; i++) {
        dv_cedar_nearest_try(&nearest, type->choices[i]);
    }
    return tell_name(v, offset, "entity", uid, &nearest);
}

/* Every name in an expression, also where it is never reached. */
static dv_result check_names(validation *v, const dv_cedar_node *node)
{
    node = dv_cedar_node_written(node);
    if (v->steps == 0) {
        return DV_ERR_TOO_LARGE;
    }
    v->steps--;
    if (node->kind == DV_CEDAR_NODE_VALUE && node->value->type == DV_CEDAR_ENTITY) {
        return check_uid(v, node->offset, node->value->text);
    }
    if (node->kind == DV_CEDAR_NODE_IS) {
        DV_TRY(check_type_name(v, node->offset, node->name));
    }
    for (uint32_t i = 0; i < node->count; i++) {
        DV_TRY(check_names(v, &node->operands[i]));
    }
    return DV_OK;
}

static dv_result check_scope_names(validation *v, const dv_cedar_scope *scope)
{
    if (scope->type.len > 0) {
        DV_TRY(check_type_name(v, scope->offset, scope->type));
    }
    for (size_t i = 0; i < scope->uid_count; i++) {
        DV_TRY(check_uid(v, scope->offset, scope->uids[i]));
    }
    return DV_OK;
}

static dv_result check_policy_names(validation *v, const dv_cedar_policy *policy)
{
    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        DV_TRY(check_scope_names(v, &policy->scope[d]));
    }
    for (size_t i = 0; policy->linked == NULL && i < policy->condition_count; i++) {
        DV_TRY(check_names(v, &policy->conditions[i].expression));
    }
    return DV_OK;
}

/* ---- scopes ---- */

/* Whether a principal or resource of that type can be in the scope. A slot can be filled so that
 * it is. */
static bool scope_allows(const dv_cedar_schema *schema, const dv_cedar_scope *scope,
                         const dv_cedar_entity_type *type)
{
    const dv_cedar_entity_type *named =
        scope->uid_count == 0 ? NULL : dv_cedar_schema_type_of(schema, scope->uids[0]);

    if (scope->type.len > 0 && !dv_slice_eq(scope->type, type->name)) {
        return false;
    }
    if (scope->slot || scope->kind == DV_CEDAR_SCOPE_ANY) {
        return true;
    }
    if (named == NULL) {
        return false;
    }
    return scope->kind == DV_CEDAR_SCOPE_EQUAL ? type == named
                                               : dv_cedar_schema_can_be_in(schema, type, named);
}

static bool scope_allows_action(const dv_cedar_schema *schema, const dv_cedar_scope *scope,
                                const dv_cedar_action *action)
{
    bool any = scope->kind == DV_CEDAR_SCOPE_ANY;

    for (size_t i = 0; !any && i < scope->uid_count; i++) {
        const dv_cedar_action *named = dv_cedar_schema_action(schema, scope->uids[i]);
        any = named != NULL &&
              (scope->kind == DV_CEDAR_SCOPE_EQUAL ? named == action
                                                   : dv_cedar_action_in(action, named));
    }
    return any;
}

/* ---- conditions ---- */

/* The types of the conditions, of which each may use what those in front of it show. */
static dv_result check_conditions(validation *v, const dv_cedar_policy *policy,
                                  dv_cedar_typing *all)
{
    const dv_cedar_capabilities *prior = NULL;

    for (size_t i = 0; i < policy->condition_count; i++) {
        const dv_cedar_condition *condition = &policy->conditions[i];
        dv_cedar_typing one;
        if (dv_cedar_typing_is(all, DV_CEDAR_NEVER)) {
            return DV_OK;
        }
        DV_TRY(dv_cedar_expect(&v->checker, &condition->expression, prior, DV_CEDAR_BOOL,
                               "a condition is true or false", &one));
        if (condition->unless) {
            one.gained = NULL;
            if (one.type != NULL && one.type->known != DV_CEDAR_EITHER) {
                one.type = dv_cedar_static_bool(one.type->known == DV_CEDAR_NEVER ? DV_CEDAR_ALWAYS
                                                                                  : DV_CEDAR_NEVER);
            }
        }
        DV_TRY(dv_cedar_capability_join(v->checker.types.arena, one.gained, &prior));
        DV_TRY(dv_cedar_typing_and(&v->checker, &one, all));
    }
    return DV_OK;
}

/* One kind of request. */
static dv_result check_request_kind(validation *v, const dv_cedar_policy *policy)
{
    dv_cedar_typing all = {.type = dv_cedar_static_bool(DV_CEDAR_ALWAYS)};

    if (v->steps == 0) {
        return DV_ERR_TOO_LARGE;
    }
    v->steps--;
    dv_arena_reset(v->checker.types.arena);
    DV_TRY(check_conditions(v, policy, &all));
    v->possible = v->possible || !dv_cedar_typing_is(&all, DV_CEDAR_NEVER);
    return DV_OK;
}

/* Each kind of request with this action that the scope can hold for. ret_applies: there is one. */
static dv_result check_action(validation *v, const dv_cedar_policy *policy,
                              const dv_cedar_action *action, bool *ret_applies)
{
    const dv_cedar_schema *schema = v->checker.schema;

    v->checker.action = action;
    for (size_t p = 0; p < action->principal_count; p++) {
        if (!scope_allows(schema, &policy->scope[DV_CEDAR_PRINCIPAL], action->principals[p])) {
            continue;
        }
        v->checker.principal = action->principals[p];
        for (size_t r = 0; r < action->resource_count; r++) {
            if (!scope_allows(schema, &policy->scope[DV_CEDAR_RESOURCE], action->resources[r])) {
                continue;
            }
            *ret_applies = true;
            v->checker.resource = action->resources[r];
            if (policy->linked == NULL) {
                DV_TRY(check_request_kind(v, policy));
            }
        }
    }
    return DV_OK;
}

/* "Action applied to unsupported principal or resource" */
static dv_result check_application(validation *v, const dv_cedar_policy *policy)
{
    const dv_cedar_schema *schema = v->checker.schema;
    bool applies = false;

    for (size_t i = 0; i < schema->action_count; i++) {
        if (scope_allows_action(schema, &policy->scope[DV_CEDAR_ACTION], &schema->actions[i])) {
            DV_TRY(check_action(v, policy, &schema->actions[i], &applies));
        }
    }
    if (applies) {
        return DV_OK;
    }
    return tell(&v->problems, policy->offset, false,
                "no action of this scope applies to such a principal and resource: see appliesTo "
                "in the schema, or write `in` where == stands");
}

static dv_result check_policy(validation *v, const dv_cedar_policy *policy)
{
    size_t errors = v->problems.errors;

    v->problems.policy = policy;
    v->problems.first = v->problems.list.count;
    v->possible = policy->linked != NULL; /* its template tells */
    DV_TRY(check_policy_names(v, policy));
    DV_TRY(check_application(v, policy));
    if (v->possible || v->problems.errors > errors) {
        return DV_OK;
    }
    return tell(&v->problems, policy->offset, true,
                "this policy can never apply: its conditions are false in every request that the "
                "schema allows");
}

static dv_result check_policies(validation *v, const dv_cedar_policy *policies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const dv_cedar_scope *scope = policies[i].scope;
        if (v->leaves_out == NULL ||
            !v->leaves_out(dv_cedar_scope_type(&scope[DV_CEDAR_PRINCIPAL]),
                           dv_cedar_scope_type(&scope[DV_CEDAR_RESOURCE]))) {
            DV_TRY(check_policy(v, &policies[i]));
        }
    }
    return DV_OK;
}

static dv_result validate(validation *v, const dv_cedar_policy_set *set,
                          dv_cedar_report *ret_report)
{
    DV_TRY(check_policies(v, set->templates, set->template_count));
    DV_TRY(check_policies(v, set->policies, set->count));
    *ret_report = (dv_cedar_report){.problems = v->problems.list.items,
                                    .count = v->problems.list.count,
                                    .error_count = v->problems.errors,
                                    .cut = v->problems.cut};
    return DV_OK;
}

dv_result dv_cedar_validate_part(const dv_cedar_policy_set *set, dv_cedar_validation *part,
                                 dv_arena *arena, dv_cedar_report *ret_report)
{
    dv_auto(arena) dv_arena *scratch = dv_arena_new(SCRATCH_MAX);
    validation v = {.problems = {.set = set, .arena = arena},
                    .steps = part->steps,
                    .leaves_out = part->leaves_out};

    if (scratch == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    v.checker = (dv_cedar_checker){.schema = part->schema,
                                   .types = {.arena = scratch, .steps = &v.steps},
                                   .problems = &v.problems};
    dv_result result = validate(&v, set, ret_report);
    part->steps = v.steps;
    return result;
}

dv_result dv_cedar_validate(const dv_cedar_policy_set *set, const dv_cedar_schema *schema,
                            dv_arena *arena, dv_cedar_report *ret_report)
{
    dv_cedar_validation all = {.schema = schema, .steps = DV_LIMIT_CEDAR_CHECKS};

    return dv_cedar_validate_part(set, &all, arena, ret_report);
}
