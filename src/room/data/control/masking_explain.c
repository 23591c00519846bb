/* SPDX-License-Identifier: Apache-2.0 */
/* Which rule of `masking:` decides about values, for whom, and why the others do not. */
#include "api/operations.h"
#include "core/data_access.h"
#include "room/data/control/data_control.h"
#include "room/data/control/inventory.h"
#include "room/data/gate/data_gate.h"
#include "room/data/gate/names.h"

enum { POLICY_MAX = 1 << 20 };

/* What is asked. */
typedef struct question {
    dv_call *call;
    dv_principal principal;
    const char *who;
    const char *route;
    const char *direction;
    const char *detector; /* its id, */
    size_t kind;          /* and its index in the policy */
} question;

/* ---- asking ---- */

/* Himself and all that he is in. */
static dv_result read_who(question *q, dv_error *error)
{
    const char *user = dv_call_param(q->call, "user");
    const char *service = dv_call_param(q->call, "service");
    const char *const *entities = NULL;
    size_t count = 0;
    if ((user == NULL) == (service == NULL)) {
        return dv_call_invalid(q->call, "user", error, "say one of user and service");
    }
    q->who = dv_arena_printf(q->call->arena, "%s::\"%s\"", user != NULL ? "User" : "Service",
                             user != NULL ? user : service);
    if (q->who == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(q->call->services->people->entities(q->call, q->who, &entities, &count, error));
    dv_slice *all = dv_arena_alloc(q->call->arena, (count + 1) * sizeof(*all));
    if (all == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = dv_slice_str(entities[i]);
    }
    q->principal = (dv_principal){.type = user != NULL ? DV_PRINCIPAL_USER : DV_PRINCIPAL_SERVICE,
                                  .name = dv_slice_str(user != NULL ? user : service),
                                  .entity = dv_slice_str(q->who),
                                  .ancestors = all,
                                  .ancestor_count = count};
    return DV_OK;
}

static dv_result read_question(dv_call *call, question *q, dv_error *error)
{
    *q = (question){.call = call,
                    .route = dv_call_param(call, "route"),
                    .direction = dv_call_param(call, "direction")};
    q->detector = dv_call_param(call, "detector");
    return read_who(q, error);
}

/* ---- the policy ---- */

static const json_t *find_route(const json_t *config, const char *name)
{
    size_t i;
    const json_t *route;
    json_array_foreach(json_object_get(config, "routes"), i, route)
    {
        const char *other = json_string_value(json_object_get(route, "name"));
        if (other != NULL && strcmp(other, name) == 0) {
            return route;
        }
    }
    return NULL;
}

/* The policy, of which sets of fingerprints are no part here: no rule speaks of them, and the gate
 * reads each whole. */
static char *write_policy(const json_t *config, const char *name)
{
    const json_t *json = json_object_get(json_object_get(config, "data_policies"), name);
    json_t *copy = json != NULL ? json_copy((json_t *)(uintptr_t)json) : NULL;
    char *text = NULL;
    if (copy != NULL) {
        (void)json_object_del(copy, "fingerprints");
        text = json_dumps(copy, JSON_COMPACT);
    }
    json_decref(copy);
    return text;
}

/* The route's policy for the direction; NULL: it is not inspected. */
static dv_result find_policy(const question *q, const json_t *config, const char **ret_name,
                             dv_data_policy **ret_policy, dv_error *error)
{
    const json_t *route = find_route(config, q->route);
    bool answer = strcmp(q->direction, "answer") == 0;
    if (route == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "no route is called '%.64s'", q->route);
    }
    *ret_name =
        json_string_value(json_object_get(route, answer ? "answer_policy" : "request_policy"));
    if (*ret_name == NULL) {
        *ret_policy = NULL;
        return DV_OK;
    }
    char *text = write_policy(config, *ret_name);
    if (text == NULL) {
        return dv_error_set(error, DV_ERR_INTERNAL, "the policy '%.64s' is not there", *ret_name);
    }
    dv_result result = dv_data_policy_parse(NULL, dv_slice_str(text), ret_policy, error);
    free(text);
    return result;
}

/* ---- the answer ---- */

static const char *why(const dv_data_reason *reason)
{
    return reason->decides   ? reason->overrides ? "decides: it overrides the others"
                                                 : "decides: the strictest that matches"
           : !reason->speaks ? "does not speak of the detector"
           : !reason->here   ? "is for other routes"
           : !reason->meant  ? "is for others"
                             : "matches, but another one decides";
}

static json_t *row_of(const char *rule, const char *action, bool decides, const char *reason)
{
    return json_pack("{s:s, s:s, s:b, s:s}", "rule", rule, "action", action, "decides", decides,
                     "why", reason);
}

/* Its index in the policy, which may have detectors of its own. */
static dv_result find_kind(question *q, const dv_data_policy *policy, dv_error *error)
{
    ptrdiff_t index = policy != NULL ? dv_data_policy_kind(policy, q->detector)
                                     : dv_masking_kind_index(q->detector);
    if (index < 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "no detector is called '%.64s'", q->detector);
    }
    q->kind = (size_t)index;
    return DV_OK;
}

/* The rules, and behind them what counts without any. *ret_by: what decides. */
static json_t *rows_of(const question *q, const dv_data_policy *policy, const char *name,
                       const char **ret_action, const char **ret_by)
{
    dv_data_reason reasons[DV_DATA_RULES_MAX];
    dv_content_action action = DV_ACTION_BLOCK;
    bool searched = false;
    json_t *rows = json_array();
    size_t count = dv_data_policy_explain(policy, &q->principal, dv_slice_str(q->route), q->kind,
                                          reasons, &action, &searched);
    *ret_by = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *rule = dv_arena_printf(q->call->arena, "rules[%u]", reasons[i].rule);
        *ret_by = reasons[i].decides ? rule : *ret_by;
        (void)json_array_append_new(rows, row_of(rule, dv_content_action_name(reasons[i].action),
                                                 reasons[i].decides, why(&reasons[i])));
    }
    *ret_action = searched || action == DV_ACTION_ALLOW ? dv_content_action_name(action) : "none";
    bool alone = *ret_by == NULL;
    *ret_by = alone ? name : *ret_by;
    (void)json_array_append_new(rows,
                                row_of(name, alone ? *ret_action : "-", alone,
                                       alone ? searched ? "no rule decides" : "it is not looked for"
                                             : "counts where no rule decides"));
    return rows;
}

dv_result dv_op_masking_explain(dv_call *call, dv_error *error)
{
    question q;
    json_t *config = NULL;
    const char *name = NULL, *action = "none", *by = "not inspected";
    dv_data_policy *policy = NULL;
    DV_TRY(read_question(call, &q, error));
    DV_TRY(dv_data_gateway_config(call, &config, error));
    dv_result result = find_policy(&q, config, &name, &policy, error);
    if (result == DV_OK) {
        result = find_kind(&q, policy, error);
    }
    if (result == DV_OK) {
        json_t *rows = policy != NULL ? rows_of(&q, policy, name, &action, &by) : json_array();
        call->answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "who", q.who, "route",
                                 q.route, "detector", q.detector, "direction", q.direction,
                                 "action", action, "decided_by", by, "rules", rows);
        result = call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    }
    dv_data_policy_free(policy);
    json_decref(config);
    return result;
}
