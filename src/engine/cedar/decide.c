/* SPDX-License-Identifier: Apache-2.0 */
/* The authorization algorithm (specs: authorization). */
#include "engine/cedar/evaluate.h"
#include "engine/cedar/policy_set.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

/* Policies whose ids go into the answer. */
typedef struct id_list {
    const dv_cedar_policy **policies;
    size_t count;
} id_list;

typedef struct decision {
    const dv_cedar_policy_set *set;
    dv_cedar_evaluation evaluation;
    dv_slice types[DV_CEDAR_DIMENSIONS];
    dv_cedar_keys keys[DV_CEDAR_DIMENSIONS];
    uint32_t *candidates;
    size_t candidate_count;
    size_t candidate_capacity;
    id_list permits;
    id_list forbids;
    id_list errors;
    bool conditional;
} decision;

/* Looks an entity of the request up. */
static dv_result know_entity(decision *d, int dimension, dv_slice uid)
{
    dv_cedar_known *known = &d->evaluation.known[dimension];

    DV_TRY(dv_cedar_uid_type(uid, &d->types[dimension]));
    known->uid = uid;
    if (!d->evaluation.lookup(d->evaluation.lookup_data, uid, &known->entity)) {
        known->entity = (dv_cedar_entity){0};
    }
    return dv_cedar_step(&d->evaluation, known->entity.ancestor_count);
}

enum { OWN_NAMES = 2 }; /* uid and type, in front of the ancestors */

static size_t names_of(const decision *d, int dimension)
{
    return OWN_NAMES + d->evaluation.known[dimension].entity.ancestor_count;
}

static void write_names(const decision *d, int dimension, dv_slice *names)
{
    const dv_cedar_known *known = &d->evaluation.known[dimension];

    names[0] = known->uid;
    names[1] = d->types[dimension];
    if (known->entity.ancestor_count > 0) {
        memcpy(names + OWN_NAMES, known->entity.ancestors,
               known->entity.ancestor_count * sizeof(*names));
    }
}

/* Keeps the numbers of what scopes name. */
static dv_cedar_keys keys_of(uint32_t *numbers, size_t count)
{
    dv_cedar_keys keys = {.numbers = numbers, .own = numbers[0]};

    for (size_t i = 0; i < count; i++) {
        if (numbers[i] != 0) {
            numbers[keys.count++] = numbers[i];
        }
    }
    return keys;
}

/* Numbers the request's entities, their types and ancestors, all at once. */
static dv_result number_entities(decision *d)
{
    size_t count = 0, at = 0;

    for (int i = 0; i < DV_CEDAR_DIMENSIONS; i++) {
        count += names_of(d, i);
    }
    dv_slice *names = dv_arena_alloc_raw(d->evaluation.arena, count * sizeof(*names));
    uint32_t *numbers = dv_arena_alloc_raw(d->evaluation.arena, count * sizeof(*numbers));
    if (names == NULL || numbers == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (int i = 0; i < DV_CEDAR_DIMENSIONS; i++) {
        write_names(d, i, names + at);
        at += names_of(d, i);
    }
    dv_cedar_index_find(&d->set->index, names, count, numbers);
    for (int i = 0; i < DV_CEDAR_DIMENSIONS; i++) {
        d->keys[i] = keys_of(numbers, names_of(d, i));
        numbers += names_of(d, i);
    }
    return DV_OK;
}

static dv_result know_request(decision *d, const dv_cedar_request *request)
{
    DV_TRY(know_entity(d, DV_CEDAR_PRINCIPAL, request->principal));
    DV_TRY(know_entity(d, DV_CEDAR_ACTION, request->action));
    DV_TRY(know_entity(d, DV_CEDAR_RESOURCE, request->resource));
    return number_entities(d);
}

static dv_result add_candidate(void *data, uint32_t policy)
{
    decision *d = data;

    DV_TRY(dv_cedar_step(&d->evaluation, 1));
    if (d->candidate_count == d->candidate_capacity) {
        size_t capacity = d->candidate_capacity == 0 ? 32 : 2 * d->candidate_capacity;
        uint32_t *larger =
            dv_arena_alloc_raw(d->evaluation.arena, capacity * sizeof(*d->candidates));
        if (larger == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        if (d->candidate_count > 0) {
            memcpy(larger, d->candidates, d->candidate_count * sizeof(*larger));
        }
        d->candidates = larger;
        d->candidate_capacity = capacity;
    }
    __builtin_prefetch(&d->set->policies[policy]);
    d->candidates[d->candidate_count++] = policy;
    return DV_OK;
}

static int order_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Candidates in the order of the text, each once. */
static dv_result find_candidates(decision *d)
{
    size_t kept = 0;

    DV_TRY(dv_cedar_step(&d->evaluation, dv_cedar_index_cost(&d->set->index, d->keys)));
    DV_TRY(dv_cedar_index_visit(&d->set->index, d->keys, add_candidate, d));
    if (d->candidate_count > 1) {
        qsort(d->candidates, d->candidate_count, sizeof(*d->candidates), order_numbers);
    }
    for (size_t i = 0; i < d->candidate_count; i++) {
        if (kept == 0 || d->candidates[kept - 1] != d->candidates[i]) {
            d->candidates[kept++] = d->candidates[i];
        }
    }
    d->candidate_count = kept;
    return DV_OK;
}

/* What the index does not answer: `is` beside `in`. */
static bool types_hold(const decision *d, const dv_cedar_policy *policy)
{
    for (int i = 0; policy->typed && i < DV_CEDAR_DIMENSIONS; i++) {
        const dv_cedar_scope *scope = &policy->scope[i];
        if (scope->type.len > 0 && !dv_slice_eq(scope->type, d->types[i])) {
            return false;
        }
    }
    return true;
}

static dv_result conditions_hold(decision *d, const dv_cedar_policy *policy, bool *ret_hold)
{
    dv_cedar_value value;

    for (size_t i = 0; i < policy->condition_count; i++) {
        const dv_cedar_condition *condition = &policy->conditions[i];
        DV_TRY(dv_cedar_evaluate(&d->evaluation, &condition->expression, &value));
        if (value.type != DV_CEDAR_BOOL) {
            return DV_ERR_INVALID;
        }
        if (value.boolean == condition->unless) {
            *ret_hold = false;
            return DV_OK;
        }
    }
    *ret_hold = true;
    return DV_OK;
}

static dv_result list_init(decision *d, id_list *list)
{
    list->policies =
        dv_arena_alloc_raw(d->evaluation.arena, (d->candidate_count + 1) * sizeof(list->policies));
    return list->policies == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

static dv_result judge(decision *d, const dv_cedar_policy *policy)
{
    bool hold = false;

    if (!types_hold(d, policy)) {
        return DV_OK;
    }
    d->conditional = d->conditional || policy->asks_context;
    dv_result result = conditions_hold(d, policy, &hold);
    if (result == DV_ERR_INVALID) { /* the policy is left out, and said to be */
        d->errors.policies[d->errors.count++] = policy;
        return DV_OK;
    }
    if (result == DV_OK && hold) {
        id_list *list = policy->forbid ? &d->forbids : &d->permits;
        list->policies[list->count++] = policy;
    }
    return result;
}

static dv_result list_ids(const decision *d, const id_list *list, const dv_slice **ret_ids)
{
    dv_slice *ids = dv_arena_alloc_raw(d->evaluation.arena, (list->count + 1) * sizeof(*ids));

    if (ids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < list->count; i++) {
        ids[i] = list->policies[i]->id;
    }
    *ret_ids = ids;
    return DV_OK;
}

static dv_result answer(const decision *d, dv_cedar_answer *ret_answer)
{
    bool allow = d->forbids.count == 0 && d->permits.count > 0;
    const id_list *reasons = allow ? &d->permits : &d->forbids;
    dv_cedar_answer result = {.decision = allow ? DV_ALLOW : DV_DENY,
                              .reason_count = reasons->count,
                              .error_count = d->errors.count,
                              .conditional = d->conditional};

    DV_TRY(list_ids(d, reasons, &result.reasons));
    DV_TRY(list_ids(d, &d->errors, &result.errors));
    *ret_answer = result;
    return DV_OK;
}

dv_result dv_cedar_decide(const dv_cedar_policy_set *set, const dv_cedar_request *request,
                          dv_cedar_lookup lookup, void *lookup_data, dv_arena *arena,
                          dv_cedar_answer *ret_answer)
{
    decision d = {.set = set,
                  .evaluation = {.request = request,
                                 .lookup = lookup,
                                 .lookup_data = lookup_data,
                                 .arena = arena,
                                 .steps = DV_LIMIT_CEDAR_STEPS}};

    *ret_answer = (dv_cedar_answer){.decision = DV_DENY};
    if (request->context != NULL && request->context->type != DV_CEDAR_RECORD) {
        return DV_ERR_INVALID;
    }
    DV_TRY(know_request(&d, request));
    DV_TRY(find_candidates(&d));
    DV_TRY(list_init(&d, &d.permits));
    DV_TRY(list_init(&d, &d.forbids));
    DV_TRY(list_init(&d, &d.errors));
    for (size_t i = 0; i < d.candidate_count; i++) {
        DV_TRY(judge(&d, &set->policies[d.candidates[i]]));
    }
    return answer(&d, ret_answer);
}
