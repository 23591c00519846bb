/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "core/data_access.h"
#include "engine/cedar/describe.h"
#include "engine/cedar/uid.h"
#include "room/auth/control/policies.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/context.h"

/* Decisions about users and service accounts for those who review them. What is told here is what
 * the gate does: the same function makes the context and asks Cedar. */

/* --- circumstances --------------------------------------------------------------------------- */

static dv_result time_read(dv_call *call, dv_time *ret_at, dv_error *error)
{
    const char *text = dv_call_param(call, "at");
    if (text == NULL) {
        *ret_at = call->now;
        return DV_OK;
    }
    return dv_time_parse(dv_slice_str(text), ret_at) == DV_OK
               ? DV_OK
               : dv_call_invalid(call, "at", error, "at: write a time like 2026-01-31T09:00:00Z.");
}

dv_result dv_access_when_read(dv_call *call, dv_access_when *ret_when, dv_error *error)
{
    dv_cedar_value ip;
    dv_access_when when = {.address = dv_slice_str(dv_call_param(call, "address")),
                           .mfa = json_is_true(json_object_get(call->params, "mfa"))};
    DV_TRY(time_read(call, &when.at, error));
    if (when.address.len > 0 && dv_cedar_ip_parse(when.address, &ip) != DV_OK) {
        return dv_call_invalid(call, "address", error, "address: write one like 10.0.0.1.");
    }
    *ret_when = when;
    return DV_OK;
}

json_t *dv_access_when_json(const dv_access_when *when, const dv_slice *scopes, size_t scope_count)
{
    json_t *address = when->address.len == 0
                          ? json_null()
                          : json_stringn((const char *)when->address.ptr, when->address.len);
    return json_pack("{s:o, s:o, s:b, s:s, s:o}", "at", dv_auth_json_time(when->at), "address",
                     address, "mfa", when->mfa, "credential", "api_key", "scopes",
                     dv_auth_json_ids(scopes, scope_count));
}

dv_result dv_access_scopes_split(dv_slice text, dv_arena *arena, const dv_slice **ret_scopes,
                                 size_t *ret_count)
{
    dv_slice *scopes = dv_arena_alloc(arena, DV_CREDENTIAL_SCOPES_MAX * sizeof(*scopes));
    size_t count = 0;
    dv_slice rest;
    if (scopes == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_arena_copy(arena, text, &rest));
    while (rest.len > 0 && count < DV_CREDENTIAL_SCOPES_MAX &&
           dv_slice_split(&rest, ' ', &scopes[count])) {
        count++;
    }
    *ret_scopes = scopes;
    *ret_count = count;
    return rest.len == 0 ? DV_OK : DV_ERR_CORRUPT;
}

/* --- deciding -------------------------------------------------------------------------------- */

static dv_result gate_ask(const dv_access *access, const dv_identity *identity,
                          const dv_auth_request *request, dv_arena *arena,
                          dv_access_verdict *ret_verdict)
{
    dv_cedar_answer answer = {0};
    DV_TRY(dv_auth_gate_ask(access->call->services->gate, identity, request, arena, &answer));
    *ret_verdict =
        (dv_access_verdict){.allowed = answer.decision == DV_ALLOW && answer.error_count == 0,
                            .policies = answer.reasons,
                            .policy_count = answer.reason_count,
                            .errors = answer.errors,
                            .error_count = answer.error_count,
                            .conditional = answer.conditional};
    return DV_OK;
}

static dv_result others_ask(const dv_access *access, const dv_identity *identity,
                            const dv_auth_request *request, dv_arena *arena,
                            dv_access_verdict *ret_verdict, dv_error *error)
{
    dv_cedar_value context;
    dv_access_question question = {.principal = identity->principal.entity,
                                   .resource = request->resource,
                                   .context = &context};
    DV_TRY(dv_cedar_uid(arena, DV_LIT("Action"), request->action, &question.action));
    DV_TRY(dv_auth_context_make(&identity->credential, request, arena, &context));
    return dv_access_decide(access, &question, arena, ret_verdict, error);
}

dv_result dv_access_ask(const dv_access *access, const dv_access_when *when,
                        const dv_access_asked *asked, dv_arena *arena,
                        dv_access_verdict *ret_verdict, dv_error *error)
{
    dv_slice type = {0};
    const dv_identity identity = {.principal = *asked->principal,
                                  .credential = {.kind = DV_LIT("api_key"),
                                                 .scopes = asked->scopes,
                                                 .scope_count = asked->scope_count,
                                                 .mfa = when->mfa}};
    const dv_auth_request request = {.action = asked->action,
                                     .resource = asked->resource,
                                     .address = when->address,
                                     .now = when->at};
    *ret_verdict = (dv_access_verdict){0};
    if (!dv_auth_scope_covers(&identity.credential, asked->action)) {
        return DV_OK;
    }
    DV_TRY(dv_cedar_uid_type(asked->resource, &type));
    dv_result result = dv_auth_schema_has_type(type)
                           ? gate_ask(access, &identity, &request, arena, ret_verdict)
                           : others_ask(access, &identity, &request, arena, ret_verdict, error);
    return result == DV_ERR_TOO_LARGE ? DV_OK : result;
}

/* --- through what ---------------------------------------------------------------------------- */

const char *dv_access_way(const dv_auth_walk *up, size_t index, dv_arena *arena)
{
    const dv_auth_node *node = &up->nodes[index];
    const char *before = node->from == 0 ? "" : dv_access_way(up, node->from, arena);
    if (before == NULL) {
        return NULL;
    }
    return dv_arena_printf(arena, "%s%s%s %s", before, node->from == 0 ? "" : " > ",
                           dv_auth_kind_name(node->ref.kind), node->ref.name);
}

/* Which node a policy's scope names; count: none of them. */
static size_t node_of(const dv_auth_walk *up, dv_slice uid, dv_arena *arena)
{
    size_t i = 0;
    for (; i < up->count; i++) {
        const char *entity = dv_auth_entity(arena, up->nodes[i].ref);
        if (entity != NULL && dv_slice_eq_str(uid, entity)) {
            break;
        }
    }
    return i;
}

/* One policy's {"policy", "way", "until"}: the group or role that its scope names, the principal
 * itself, or anyone. Grants for data are no policies in force and tell their end themselves. */
static json_t *through_json(const dv_access *access, const dv_auth_walk *up, dv_slice policy,
                            dv_arena *arena, dv_time *ret_until)
{
    dv_slice uid;
    const char *way = "anyone";
    dv_time until = DV_TIME_NEVER;
    if (dv_slice_starts_with(policy, DV_LIT(DV_DATA_GRANT_POLICY))) {
        way = "a grant (`dvara data access show`)";
    } else if (dv_cedar_policy_names(access->policies, policy, DV_CEDAR_PART_PRINCIPAL, &uid)) {
        size_t node = node_of(up, uid, arena);
        way = node < up->count ? dv_access_way(up, node, arena) : "";
        until = node < up->count ? up->nodes[node].until : DV_TIME_NEVER;
    }
    *ret_until = until;
    return way == NULL ? NULL
                       : json_pack("{s:s%, s:s, s:o}", "policy", (const char *)policy.ptr,
                                   policy.len, "way", way, "until", dv_auth_json_time(until));
}

dv_result dv_access_through_set(const dv_access *access, const dv_auth_walk *up,
                                const dv_access_verdict *verdict, dv_arena *arena, json_t *json)
{
    json_t *through = json_array();
    dv_time last = 0, until = 0;
    for (size_t i = 0; verdict->allowed && i < verdict->policy_count; i++) {
        json_t *one = through_json(access, up, verdict->policies[i], arena, &until);
        if (json_array_append_new(through, one) != 0) {
            json_decref(through);
            return DV_ERR_NO_MEMORY;
        }
        last = DV_MAX(last, until);
    }
    DV_TRY(dv_auth_json_set(json, "through", through));
    DV_TRY(dv_auth_json_set(json, "until", dv_auth_json_time(last)));
    return dv_auth_json_set(json, "policies",
                            dv_auth_json_ids(verdict->policies, verdict->policy_count));
}
