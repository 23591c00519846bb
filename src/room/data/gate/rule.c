/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/gate/gate_private.h"

/* Rules of a policy: which action is taken for whom, on which route.
 *
 * 1. For a detector, the rules that match and speak of it take the place of what the policy says;
 * of several the strictest action, unless some of them override: then the strictest of those.
 * 2. Who matches no rule, or none that speaks of the detector, gets what the policy says.
 * 3. What was made of a policy for some rules is kept, since many callers match the same. It is
 *    made by one thread and only read by others. */

/* ---- reading ---- */

static dv_result wrong(dv_error *error, const char *what)
{
    return dv_error_set(error, DV_ERR_INVALID, "data policy: a rule's %s", what);
}

/* The strings of a rule's list; absent: none. */
static dv_result read_list(const dv_json *json, uint32_t rule, const char *name, dv_arena *arena,
                           const dv_slice **ret_items, size_t *ret_count, dv_error *error)
{
    uint32_t list = dv_json_member(json, rule, name);
    size_t count = 0;
    *ret_count = 0;
    if (list == 0) {
        return DV_OK;
    }
    if (json->tokens[list].type != DV_JSON_ARRAY) {
        return wrong(error, "lists hold strings");
    }
    dv_slice *items = dv_arena_alloc(arena, (json->tokens[list].next - list) * sizeof(*items));
    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t item = list + 1; item < json->tokens[list].next; item = json->tokens[item].next) {
        if (json->tokens[item].type != DV_JSON_STRING) {
            return wrong(error, "lists hold strings");
        }
        dv_slice text;
        DV_TRY(dv_json_string(json, item, arena, &text));
        DV_TRY(dv_arena_copy(arena, text, &items[count]));
        count++;
    }
    *ret_items = items;
    *ret_count = count;
    return DV_OK;
}

static bool is_one_of(const char *text, const dv_slice *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq_str(list[i], text)) {
            return true;
        }
    }
    return false;
}

/* Detectors by name, and the standard ones of categories and labels; all that take part when the
 * rule says nothing of them. */
static dv_result read_detectors(const dv_json *json, uint32_t rule, dv_arena *arena,
                                const dv_data_policy *policy, const dv_detector_set *enabled,
                                dv_detector_set *ret_set, dv_error *error)
{
    const dv_slice *lists[3] = {NULL};
    size_t counts[3], matched = 0;
    DV_TRY(read_list(json, rule, "detectors", arena, &lists[0], &counts[0], error));
    DV_TRY(read_list(json, rule, "categories", arena, &lists[1], &counts[1], error));
    DV_TRY(read_list(json, rule, "labels", arena, &lists[2], &counts[2], error));
    if (counts[0] + counts[1] + counts[2] == 0) {
        *ret_set = *enabled;
        return DV_OK;
    }
    for (size_t i = 0; i < dv_data_kind_end(policy); i++) {
        const dv_detector_info *info = dv_data_kind(policy, i);
        if (info == NULL) {
            continue;
        }
        bool named = is_one_of(info->id, lists[0], counts[0]);
        bool kind = is_one_of(info->category, lists[1], counts[1]) ||
                    is_one_of(info->label, lists[2], counts[2]);
        matched += named;
        if (named || (kind && dv_detector_set_has(enabled, i))) {
            dv_detector_set_add(ret_set, i);
        }
    }
    return matched == counts[0] ? DV_OK : wrong(error, "detector is not known, or named twice");
}

dv_result dv_data_scope_read(const dv_json *json, uint32_t rule, dv_arena *arena,
                             const dv_data_policy *policy, const dv_detector_set *enabled,
                             dv_data_scope *scope, dv_error *error)
{
    DV_TRY(read_detectors(json, rule, arena, policy, enabled, &scope->detectors, error));
    DV_TRY(read_list(json, rule, "who", arena, &scope->who, &scope->who_count, error));
    return read_list(json, rule, "routes", arena, &scope->routes, &scope->route_count, error);
}

/* Where the rule stands in dvara.yaml, if that is told: for people. */
static dv_result read_place(const dv_json *json, uint32_t rule, uint32_t *number, dv_error *error)
{
    uint32_t token = dv_json_member(json, rule, "n");
    int64_t value = 0;
    if (token == 0) {
        return DV_OK;
    }
    if (json->tokens[token].type != DV_JSON_NUMBER || dv_json_int(json, token, &value) != DV_OK ||
        value < 0 || value > UINT16_MAX) {
        return wrong(error, "place is no number");
    }
    *number = (uint32_t)value;
    return DV_OK;
}

static dv_result read_rule(const dv_json *json, uint32_t token, dv_arena *arena,
                           dv_data_policy *policy, dv_data_rule *rule, dv_error *error)
{
    if (json->tokens[token].type != DV_JSON_OBJECT) {
        return wrong(error, "place holds no object");
    }
    uint32_t action = dv_json_member(json, token, "action");
    uint32_t overrides = dv_json_member(json, token, "override");
    DV_TRY(dv_data_scope_read(json, token, arena, policy, &policy->enabled, &rule->scope, error));
    DV_TRY(read_place(json, token, &rule->number, error));
    rule->overrides = overrides != 0 && json->tokens[overrides].type == DV_JSON_TRUE;
    return action == 0 ? wrong(error, "action is missing")
                       : dv_data_action_read(json, action, "a rule", policy, arena, &rule->action,
                                             &rule->setting, error);
}

dv_result dv_data_rules_read(const dv_json *json, dv_data_policy *policy, dv_error *error)
{
    uint32_t list = dv_json_member(json, 0, "rules");
    if (list == 0) {
        return DV_OK;
    }
    if (json->tokens[list].type != DV_JSON_ARRAY) {
        return dv_error_set(error, DV_ERR_INVALID, "data policy: 'rules' is no list");
    }
    dv_arena *arena = NULL;
    DV_TRY(dv_data_policy_arena(policy, &arena));
    policy->rules = dv_arena_alloc(arena, DV_DATA_RULES_MAX * sizeof(*policy->rules));
    if (policy->rules == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (uint32_t item = list + 1; item < json->tokens[list].next; item = json->tokens[item].next) {
        if (policy->rule_count == DV_DATA_RULES_MAX) {
            return dv_error_set(error, DV_ERR_INVALID, "data policy: more than %d rules",
                                DV_DATA_RULES_MAX);
        }
        policy->rules[policy->rule_count].number = (uint32_t)policy->rule_count;
        DV_TRY(read_rule(json, item, arena, policy, &policy->rules[policy->rule_count], error));
        policy->rule_count++;
    }
    return DV_OK;
}

/* ---- choosing ---- */

static bool has(const dv_slice *list, size_t count, dv_slice text)
{
    for (size_t i = 0; i < count; i++) {
        if (dv_slice_eq(list[i], text)) {
            return true;
        }
    }
    return false;
}

static bool is_meant(const dv_data_scope *scope, const dv_principal *principal)
{
    if (scope->who_count == 0 || principal == NULL) {
        return scope->who_count == 0;
    }
    bool meant = has(scope->who, scope->who_count, principal->entity);
    for (size_t i = 0; i < principal->ancestor_count && !meant; i++) {
        meant = has(scope->who, scope->who_count, principal->ancestors[i]);
    }
    return meant;
}

bool dv_data_scope_meets(const dv_data_scope *scope, const dv_principal *principal, dv_slice route)
{
    bool here = scope->route_count == 0 || has(scope->routes, scope->route_count, route);
    return here && is_meant(scope, principal);
}

static uint64_t matching(const dv_data_policy *policy, const dv_principal *principal,
                         dv_slice route)
{
    uint64_t met = 0;
    _Static_assert(DV_DATA_RULES_MAX == 64, "a bit each");
    for (size_t i = 0; i < policy->rule_count; i++) {
        met |= (uint64_t)dv_data_scope_meets(&policy->rules[i].scope, principal, route) << i;
    }
    return met;
}

/* From passing to refusing. What comes back later hides less than what does not, what leaves a part
 * less than what leaves none; what tells which values are the same, less than what does not. */
static unsigned strictness(uint8_t action)
{
    static const uint8_t order[] = {
        [DV_ACTION_ALLOW] = 0,       [DV_ACTION_MONITOR] = 1,    [DV_ACTION_ALERT] = 1,
        [DV_ACTION_PLACEHOLDER] = 2, [DV_ACTION_GENERALISE] = 3, [DV_ACTION_DATE_SHIFT] = 4,
        [DV_ACTION_FPE] = 5,         [DV_ACTION_TOKEN] = 6,      [DV_ACTION_PSEUDONYM] = 7,
        [DV_ACTION_HASH] = 8,        [DV_ACTION_MASK] = 9,       [DV_ACTION_REDACT] = 10,
        [DV_ACTION_BLOCK] = 11,
    };
    return action < DV_ARRAY_LEN(order) ? order[action] : UINT8_MAX;
}

/* The rule that decides about the detector; NULL: none does. */
static const dv_data_rule *decider(const dv_data_policy *policy, uint64_t met, size_t detector)
{
    const dv_data_rule *best = NULL;
    for (; met != 0; met &= met - 1) {
        const dv_data_rule *rule = &policy->rules[__builtin_ctzll(met)];
        if (!dv_detector_set_has(&rule->scope.detectors, detector)) {
            continue;
        }
        bool stricter = best == NULL || strictness(rule->action) > strictness(best->action);
        if (best == NULL || rule->overrides > best->overrides ||
            (rule->overrides == best->overrides && stricter)) {
            best = rule;
        }
    }
    return best;
}

static void apply(const dv_data_policy *policy, uint64_t met, uint32_t loss, dv_data_policy *made)
{
    *made = *policy;
    made->arena = NULL;
    made->loss_on = loss;
    for (size_t i = 0; i < dv_data_kind_end(policy); i++) {
        const dv_data_rule *rule = decider(policy, met, i);
        if (rule != NULL) {
            made->actions[i] = rule->action;
            made->setting[i] = rule->setting;
            dv_detector_set_add(&made->enabled, i);
        }
    }
    dv_data_policy_complete(made);
}

dv_result dv_data_policy_for(dv_data_policy *policy, const dv_principal *principal, dv_slice route,
                             dv_arena *arena, const dv_data_policy **ret_policy)
{
    uint64_t met = policy->rule_count == 0 ? 0 : matching(policy, principal, route);
    uint32_t loss = dv_data_loss_on(policy->loss, route);
    if (met == 0 && loss == policy->loss_on) {
        *ret_policy = policy;
        return DV_OK;
    }
    for (size_t i = 0; i < policy->made_count; i++) {
        if (policy->made[i].rules == met && policy->made[i].loss == loss) {
            *ret_policy = policy->made[i].policy;
            return DV_OK;
        }
    }
    bool keep = policy->made_count < DV_DATA_MADE_MAX && policy->arena != NULL;
    dv_data_policy *made = dv_arena_alloc_raw(keep ? policy->arena : arena, sizeof(*made));
    if (made == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    apply(policy, met, loss, made);
    if (keep) {
        policy->made[policy->made_count++] = (dv_data_made){met, loss, made};
    }
    *ret_policy = made;
    return DV_OK;
}

/* ---- explaining ---- */

size_t dv_data_policy_explain(const dv_data_policy *policy, const dv_principal *principal,
                              dv_slice route, size_t detector,
                              dv_data_reason reasons[DV_DATA_RULES_MAX],
                              dv_content_action *ret_action, bool *ret_searched)
{
    uint64_t met = matching(policy, principal, route);
    const dv_data_rule *decides = decider(policy, met, detector);
    dv_data_policy made;
    for (size_t i = 0; i < policy->rule_count; i++) {
        const dv_data_rule *rule = &policy->rules[i];
        const dv_data_scope *scope = &rule->scope;
        reasons[i] = (dv_data_reason){
            .rule = rule->number,
            .action = (dv_content_action)rule->action,
            .overrides = rule->overrides,
            .speaks = dv_detector_set_has(&scope->detectors, detector),
            .here = scope->route_count == 0 || has(scope->routes, scope->route_count, route),
            .meant = is_meant(scope, principal),
            .decides = rule == decides,
        };
    }
    apply(policy, met, dv_data_loss_on(policy->loss, route), &made);
    *ret_action = (dv_content_action)made.actions[detector];
    *ret_searched = dv_detector_set_has(&made.enabled, detector);
    return policy->rule_count;
}
