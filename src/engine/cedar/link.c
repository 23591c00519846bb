/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of policies: drafts, templates and what is linked to them (specs: templates). */
#include "engine/cedar/lexer.h"
#include "engine/cedar/policy_set.h"
#include "engine/cedar/uid.h"

#include "base/caps.h"

static const char *const slot_names[DV_CEDAR_DIMENSIONS] = {"?principal", NULL, "?resource"};

dv_result dv_cedar_draft_begin(dv_slice text, dv_cedar_draft *ret_draft)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = calloc(1, sizeof(*set));

    if (set == NULL || (set->arena = dv_arena_new(DV_LIMIT_CEDAR_MEMORY)) == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_arena_copy(set->arena, text, &set->text));
    *ret_draft = (dv_cedar_draft){.set = set};
    set = NULL;
    return DV_OK;
}

static dv_result name_policy(const dv_cedar_draft *draft, dv_cedar_policy *policy)
{
    size_t number = draft->policies.count + draft->templates.count;
    const char *id = dv_arena_printf(draft->set->arena, "policy%zu", number);

    if (id == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    policy->id = dv_slice_str(id);
    return DV_OK;
}

static bool has_typed_scope(const dv_cedar_policy *policy)
{
    for (int i = 0; i < DV_CEDAR_DIMENSIONS; i++) {
        const dv_cedar_scope *scope = &policy->scope[i];
        if (scope->type.len > 0 && scope->kind != DV_CEDAR_SCOPE_ANY) {
            return true;
        }
    }
    return false;
}

/* No deeper than DV_LIMIT_CEDAR_DEPTH. */
static bool names_context(const dv_cedar_node *node)
{
    bool found = node->kind == DV_CEDAR_NODE_VARIABLE && node->variable == DV_CEDAR_CONTEXT;

    for (uint32_t i = 0; i < node->count && !found; i++) {
        found = names_context(&node->operands[i]);
    }
    return found;
}

static bool asks_context(const dv_cedar_policy *policy)
{
    bool found = false;

    for (size_t i = 0; i < policy->condition_count && !found; i++) {
        found = names_context(&policy->conditions[i].expression);
    }
    return found;
}

dv_result dv_cedar_draft_add(dv_cedar_draft *draft, dv_cedar_policy *policy)
{
    bool template = dv_cedar_policy_is_template(policy);

    policy->typed = has_typed_scope(policy);
    policy->asks_context = asks_context(policy);
    if (policy->id.len == 0) {
        DV_TRY(name_policy(draft, policy));
    }
    return dv_cedar_list_add(draft->set->arena, template ? &draft->templates : &draft->policies,
                             policy, sizeof(*policy));
}

static int order_policies(const void *a, const void *b)
{
    return dv_slice_cmp(((const dv_cedar_policy *)a)->id, ((const dv_cedar_policy *)b)->id);
}

static const dv_cedar_policy *find_template(const dv_cedar_policy_set *set, dv_slice id)
{
    const dv_cedar_policy wanted = {.id = id};

    return set->template_count == 0 ? NULL
                                    : bsearch(&wanted, set->templates, set->template_count,
                                              sizeof(wanted), order_policies);
}

/* Each slot has a value, and each value a slot. */
static dv_result fill_slot(dv_arena *arena, const dv_cedar_link *link, int dimension, dv_slice uid,
                           dv_cedar_scope *scope, dv_error *error)
{
    dv_slice type = {0};
    dv_slice *copy = NULL;

    if (scope->slot != (uid.len > 0)) {
        return dv_error_set(error, DV_ERR_INVALID, "link '%.*s': %s has %s",
                            DV_SLICE_ARGS(dv_slice_sub(link->id, 0, DV_LIMIT_NAME)),
                            slot_names[dimension],
                            scope->slot ? "no value" : "a value, but the template no such slot");
    }
    if (!scope->slot) {
        return DV_OK;
    }
    if (dv_cedar_uid_type(uid, &type) != DV_OK) {
        return dv_error_set(error, DV_ERR_INVALID, "link '%.*s': the value of %s is no entity",
                            DV_SLICE_ARGS(dv_slice_sub(link->id, 0, DV_LIMIT_NAME)),
                            slot_names[dimension]);
    }
    copy = dv_arena_alloc(arena, sizeof(*copy));
    if (copy == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_arena_copy(arena, uid, copy));
    scope->slot = false;
    scope->uids = copy;
    scope->uid_count = 1;
    return DV_OK;
}

static dv_result add_link(dv_cedar_draft *draft, const dv_cedar_link *link, dv_error *error)
{
    dv_arena *arena = draft->set->arena;
    const dv_cedar_policy *template = find_template(draft->set, link->template_id);

    if (link->id.len == 0 || link->id.len > DV_LIMIT_NAME) {
        return dv_error_set(error, DV_ERR_INVALID, "a link's id has 1 to %d bytes", DV_LIMIT_NAME);
    }
    if (template == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "link '%.*s': there is no template '%.*s'",
                            DV_SLICE_ARGS(link->id),
                            DV_SLICE_ARGS(dv_slice_sub(link->template_id, 0, DV_LIMIT_NAME)));
    }
    dv_cedar_policy policy = *template;
    policy.linked = template;
    DV_TRY(dv_arena_copy(arena, link->id, &policy.id));
    DV_TRY(fill_slot(arena, link, DV_CEDAR_PRINCIPAL, link->principal,
                     &policy.scope[DV_CEDAR_PRINCIPAL], error));
    DV_TRY(fill_slot(arena, link, DV_CEDAR_RESOURCE, link->resource,
                     &policy.scope[DV_CEDAR_RESOURCE], error));
    return dv_cedar_list_add(arena, &draft->policies, &policy, sizeof(policy));
}

/* From here on the templates stay where they are. */
static void settle_templates(dv_cedar_draft *draft)
{
    dv_cedar_list *templates = &draft->templates;

    if (templates->count > 1) {
        qsort(templates->items, templates->count, sizeof(dv_cedar_policy), order_policies);
    }
    draft->set->templates = templates->items;
    draft->set->template_count = templates->count;
}

/* By id, then as they are written. */
static int order_ids(const void *a, const void *b)
{
    const dv_cedar_policy *x = *(const dv_cedar_policy *const *)a;
    const dv_cedar_policy *y = *(const dv_cedar_policy *const *)b;
    int order = dv_slice_cmp(x->id, y->id);

    return order != 0 ? order : (x->offset > y->offset) - (x->offset < y->offset);
}

/* At the second of them; what is linked stands nowhere in the text. */
static dv_result refuse_id(const dv_cedar_policy_set *set, const dv_cedar_policy *second,
                           dv_error *error)
{
    const dv_cedar_lexer place = {.text = set->text, .error = error};
    static const char what[] = "two policies have the id '%.*s'";

    return second->linked != NULL
               ? dv_error_set(error, DV_ERR_INVALID, what, DV_SLICE_ARGS(second->id))
               : dv_cedar_error_at(&place, second->offset, what, DV_SLICE_ARGS(second->id));
}

static dv_result check_ids(const dv_cedar_policy_set *set, dv_error *error)
{
    size_t count = set->count + set->template_count;
    const dv_cedar_policy **all = dv_arena_alloc_raw(set->arena, (count + 1) * sizeof(*all));

    if (all == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = i < set->count ? &set->policies[i] : &set->templates[i - set->count];
    }
    if (count > 1) {
        qsort(all, count, sizeof(*all), order_ids);
    }
    for (size_t i = 1; i < count; i++) {
        if (dv_slice_eq(all[i - 1]->id, all[i]->id)) {
            return refuse_id(set, all[i], error);
        }
    }
    return DV_OK;
}

dv_result dv_cedar_draft_finish(dv_cedar_draft *draft, const dv_cedar_link *links,
                                size_t link_count, dv_error *error)
{
    dv_cedar_policy_set *set = draft->set;

    if (link_count > DV_LIMIT_CEDAR_LINKS) {
        return dv_error_set(error, DV_ERR_INVALID, "a set may have %d links, this one has %zu",
                            DV_LIMIT_CEDAR_LINKS, link_count);
    }
    settle_templates(draft);
    for (size_t i = 0; i < link_count; i++) {
        DV_TRY(add_link(draft, &links[i], error));
    }
    set->policies = draft->policies.items;
    set->count = draft->policies.count;
    DV_TRY(check_ids(set, error));
    return dv_cedar_index_build(set->policies, set->count, set->arena, &set->index);
}

bool dv_cedar_is_action(dv_slice uid)
{
    dv_slice type = {0};

    return dv_cedar_uid_type(uid, &type) == DV_OK &&
           (dv_slice_eq_str(type, "Action") || dv_slice_ends_with(type, DV_LIT("::Action")));
}

void dv_cedar_policy_set_free(dv_cedar_policy_set *set)
{
    if (set != NULL) {
        dv_arena_free(set->arena);
        free(set);
    }
}

size_t dv_cedar_policy_count(const dv_cedar_policy_set *set)
{
    return set->count;
}

size_t dv_cedar_template_count(const dv_cedar_policy_set *set)
{
    return set->template_count;
}
