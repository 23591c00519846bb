/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cedar/describe.h"

#include "engine/cedar/evaluate.h"
#include "engine/cedar/policy_set.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

void dv_cedar_text_place(dv_slice text, size_t offset, int *ret_line, int *ret_column)
{
    size_t line_start = 0;

    *ret_line = 1;
    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            (*ret_line)++;
            line_start = i + 1;
        }
    }
    *ret_column = (int)(offset - line_start) + 1;
}

static const dv_cedar_annotation *id_annotation(const dv_cedar_policy *policy)
{
    const dv_cedar_annotation *found = NULL;

    for (size_t i = 0; i < policy->annotation_count && found == NULL; i++) {
        found = dv_slice_eq_str(policy->annotations[i].name, "id") ? &policy->annotations[i] : NULL;
    }
    return found;
}

dv_slice dv_cedar_scope_type(const dv_cedar_scope *scope)
{
    dv_slice type = scope->type;

    if (type.len == 0 && scope->uid_count > 0 &&
        dv_cedar_uid_type(scope->uids[0], &type) != DV_OK) {
        type = (dv_slice){0};
    }
    return type;
}

void dv_cedar_policy_describe(const dv_cedar_policy_set *set, size_t index,
                              dv_cedar_policy_info *ret_info)
{
    bool template = index >= set->count;
    const dv_cedar_policy *policy =
        template ? &set->templates[index - set->count] : &set->policies[index];
    const dv_cedar_annotation *id = id_annotation(policy);

    *ret_info = (dv_cedar_policy_info){
        .id = policy->id,
        .named = policy->linked != NULL || id != NULL,
        .nameless = policy->linked == NULL && id != NULL && id->text.len == 0,
        .forbid = policy->forbid,
        .template = template,
        .principal_type = dv_cedar_scope_type(&policy->scope[DV_CEDAR_PRINCIPAL]),
        .resource_type = dv_cedar_scope_type(&policy->scope[DV_CEDAR_RESOURCE]),
        .offset = policy->offset};
}

static const int dimensions[] = {[DV_CEDAR_PART_PRINCIPAL] = DV_CEDAR_PRINCIPAL,
                                 [DV_CEDAR_PART_ACTION] = DV_CEDAR_ACTION,
                                 [DV_CEDAR_PART_RESOURCE] = DV_CEDAR_RESOURCE};

bool dv_cedar_policy_names(const dv_cedar_policy_set *set, dv_slice id, dv_cedar_part part,
                           dv_slice *ret_uid)
{
    for (size_t i = 0; i < set->count; i++) {
        const dv_cedar_scope *scope = &set->policies[i].scope[dimensions[part]];
        if (dv_slice_eq(set->policies[i].id, id)) {
            *ret_uid = scope->uid_count > 0 ? scope->uids[0] : *ret_uid;
            return scope->uid_count > 0;
        }
    }
    return false;
}

dv_result dv_cedar_scope_uids(const dv_cedar_policy_set *set, dv_cedar_part part,
                              dv_result (*visit)(void *data, dv_slice uid), void *data)
{
    for (size_t i = 0; i < set->count; i++) {
        const dv_cedar_scope *scope = &set->policies[i].scope[dimensions[part]];
        for (size_t j = 0; j < scope->uid_count; j++) {
            DV_TRY(visit(data, scope->uids[j]));
        }
    }
    return DV_OK;
}

/* --- mentions -------------------------------------------------------------------------------- */

typedef struct mention_walk {
    dv_result (*visit)(void *data, const dv_cedar_mention *mention);
    void *data;
    dv_slice policy;
} mention_walk;

/* No deeper than DV_LIMIT_CEDAR_DEPTH. What was written, so that a set of literals is a list of
 * nodes and every value is a single one. */
static dv_result mentions_in_node(const mention_walk *walk, const dv_cedar_node *node)
{
    const dv_cedar_node *written = dv_cedar_node_written(node);

    if (written->kind == DV_CEDAR_NODE_VALUE && written->value->type == DV_CEDAR_ENTITY) {
        const dv_cedar_mention mention = {.policy = walk->policy, .uid = written->value->text};
        return walk->visit(walk->data, &mention);
    }
    for (uint32_t i = 0; i < written->count; i++) {
        DV_TRY(mentions_in_node(walk, &written->operands[i]));
    }
    return DV_OK;
}

static dv_result mentions_in_scope(const mention_walk *walk, const dv_cedar_scope *scope,
                                   bool resource)
{
    for (size_t i = 0; i < scope->uid_count; i++) {
        const dv_cedar_mention mention = {.policy = walk->policy,
                                          .uid = scope->uids[i],
                                          .itself =
                                              resource && scope->kind == DV_CEDAR_SCOPE_EQUAL};
        DV_TRY(walk->visit(walk->data, &mention));
    }
    return DV_OK;
}

static dv_result mentions_in_policy(const mention_walk *walk, const dv_cedar_policy *policy)
{
    for (int d = 0; d < DV_CEDAR_DIMENSIONS; d++) {
        DV_TRY(mentions_in_scope(walk, &policy->scope[d], d == DV_CEDAR_RESOURCE));
    }
    for (size_t i = 0; i < policy->condition_count; i++) {
        DV_TRY(mentions_in_node(walk, &policy->conditions[i].expression));
    }
    return DV_OK;
}

dv_result dv_cedar_mentions(const dv_cedar_policy_set *set,
                            dv_result (*visit)(void *data, const dv_cedar_mention *mention),
                            void *data)
{
    for (size_t i = 0; i < set->count; i++) {
        const mention_walk walk = {visit, data, set->policies[i].id};
        DV_TRY(mentions_in_policy(&walk, &set->policies[i]));
    }
    return DV_OK;
}

/* --- explaining ------------------------------------------------------------------------------ */

typedef struct explanation {
    const dv_cedar_policy_set *set;
    dv_cedar_evaluation evaluation;
    dv_slice types[DV_CEDAR_DIMENSIONS];
} explanation;

static dv_result know(explanation *e, int dimension, dv_slice uid)
{
    dv_cedar_known *known = &e->evaluation.known[dimension];

    DV_TRY(dv_cedar_uid_type(uid, &e->types[dimension]));
    known->uid = uid;
    if (!e->evaluation.lookup(e->evaluation.lookup_data, uid, &known->entity)) {
        known->entity = (dv_cedar_entity){0};
    }
    return DV_OK;
}

static bool lies_in(const dv_cedar_known *known, dv_slice uid)
{
    bool found = dv_slice_eq(known->uid, uid);

    for (size_t i = 0; i < known->entity.ancestor_count && !found; i++) {
        found = dv_slice_eq(known->entity.ancestors[i], uid);
    }
    return found;
}

static bool scope_holds(const explanation *e, const dv_cedar_policy *policy, int dimension)
{
    const dv_cedar_scope *scope = &policy->scope[dimension];
    const dv_cedar_known *known = &e->evaluation.known[dimension];
    bool holds = scope->kind == DV_CEDAR_SCOPE_ANY;

    if (scope->type.len > 0 && !dv_slice_eq(scope->type, e->types[dimension])) {
        return false;
    }
    for (size_t i = 0; i < scope->uid_count && !holds; i++) {
        holds = scope->kind == DV_CEDAR_SCOPE_EQUAL ? dv_slice_eq(scope->uids[i], known->uid)
                                                    : lies_in(known, scope->uids[i]);
    }
    return holds;
}

/* From the place to the end of its line. */
static dv_slice written_at(dv_slice text, size_t offset)
{
    dv_slice rest = dv_slice_sub(text, offset, text.len);
    ptrdiff_t end = dv_slice_find_byte(rest, '\n');

    return dv_slice_trim(end < 0 ? rest : dv_slice_sub(rest, 0, (size_t)end));
}

static dv_result truth(explanation *e, const dv_cedar_node *node, bool *ret_true)
{
    dv_cedar_value value;

    DV_TRY(dv_cedar_evaluate(&e->evaluation, node, &value));
    if (value.type != DV_CEDAR_BOOL) {
        return DV_ERR_INVALID;
    }
    *ret_true = value.boolean;
    return DV_OK;
}

/* Of a && b && c, the first that is false or fails: the whole of it tells too little. */
static const dv_cedar_node *culprit_of(explanation *e, const dv_cedar_node *node)
{
    const dv_cedar_node *culprit = node;
    bool holds = true;

    for (uint32_t i = 0; node->kind == DV_CEDAR_NODE_AND && holds && i < node->count; i++) {
        culprit = &node->operands[i];
        holds = truth(e, culprit, &holds) == DV_OK && holds;
    }
    return culprit;
}

static void blame(explanation *e, const dv_cedar_condition *condition,
                  dv_cedar_judgement *judgement)
{
    const dv_cedar_node *culprit =
        condition->unless ? &condition->expression : culprit_of(e, &condition->expression);

    judgement->unless = condition->unless;
    judgement->condition = written_at(e->set->text, culprit->offset);
    dv_cedar_text_place(e->set->text, culprit->offset, &judgement->line, &judgement->column);
}

static dv_result judge_conditions(explanation *e, const dv_cedar_policy *policy,
                                  dv_cedar_judgement *judgement)
{
    judgement->satisfied = true;
    for (size_t i = 0; i < policy->condition_count && judgement->satisfied; i++) {
        const dv_cedar_condition *condition = &policy->conditions[i];
        bool holds = false;
        dv_result result = truth(e, &condition->expression, &holds);
        if (result != DV_OK && result != DV_ERR_INVALID) {
            return result;
        }
        judgement->failed = result == DV_ERR_INVALID;
        if (judgement->failed || holds == condition->unless) {
            judgement->satisfied = false;
            blame(e, condition, judgement);
        }
    }
    return DV_OK;
}

static dv_result judge(explanation *e, const dv_cedar_policy *policy,
                       dv_cedar_judgement *ret_judgement)
{
    dv_cedar_judgement judgement = {.id = policy->id,
                                    .forbid = policy->forbid,
                                    .principal = scope_holds(e, policy, DV_CEDAR_PRINCIPAL),
                                    .action = scope_holds(e, policy, DV_CEDAR_ACTION),
                                    .resource = scope_holds(e, policy, DV_CEDAR_RESOURCE)};

    e->evaluation.steps = DV_LIMIT_CEDAR_STEPS;
    if (judgement.principal && judgement.action && judgement.resource) {
        DV_TRY(judge_conditions(e, policy, &judgement));
    }
    *ret_judgement = judgement;
    return DV_OK;
}

dv_result dv_cedar_explain(const dv_cedar_policy_set *set, const dv_cedar_request *request,
                           dv_cedar_lookup lookup, void *lookup_data, dv_arena *arena,
                           dv_result (*visit)(void *data, const dv_cedar_judgement *judgement),
                           void *data)
{
    explanation e = {
        .set = set,
        .evaluation = {
            .request = request, .lookup = lookup, .lookup_data = lookup_data, .arena = arena}};

    if (request->context != NULL && request->context->type != DV_CEDAR_RECORD) {
        return DV_ERR_INVALID;
    }
    DV_TRY(know(&e, DV_CEDAR_PRINCIPAL, request->principal));
    DV_TRY(know(&e, DV_CEDAR_ACTION, request->action));
    DV_TRY(know(&e, DV_CEDAR_RESOURCE, request->resource));
    for (size_t i = 0; i < set->count; i++) {
        dv_cedar_judgement judgement;
        DV_TRY(judge(&e, &set->policies[i], &judgement));
        DV_TRY(visit(data, &judgement));
    }
    return DV_OK;
}
