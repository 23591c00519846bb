/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"
#include "room/auth/control/known.h"
#include "room/auth/control/live.h"
#include "room/auth/control/policies.h"
#include "room/auth/control/question.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/context.h"
#include "room/auth/gate/resources.h"

#include "engine/cedar/describe.h"
#include "engine/cedar/entities.h"

#include "api/operations.h"

/* Questions about the policies in force: why, and whether tests hold. Principals are those of the
 * snapshot, so that what is told is what the gates do. */

/* --- who there is ---------------------------------------------------------------------------- */

static dv_result live_read(dv_live_world *world, dv_slice uid, dv_cedar_entity *ret_entity)
{
    dv_slice bytes;
    dv_principal principal;
    bool active = false;
    dv_time until;
    DV_TRY(dv_snapshot_get(world->snapshot, DV_TABLE_PRINCIPALS, uid, &bytes));
    DV_TRY(dv_arena_copy(world->arena, bytes, &bytes));
    if (dv_principal_decode_at(bytes, world->now, world->arena, &principal, &active, &until) !=
        DV_OK) {
        return DV_ERR_CORRUPT;
    }
    *ret_entity = (dv_cedar_entity){.uid = principal.entity,
                                    .ancestors = principal.ancestors,
                                    .ancestor_count = principal.ancestor_count};
    return DV_OK;
}

bool dv_live_lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    dv_live_world *world = data;
    if (world->given != NULL &&
        dv_cedar_entities_lookup((void *)(uintptr_t)world->given, uid, ret_entity)) {
        return true;
    }
    if (dv_resources_find(world->resources, uid, ret_entity)) {
        return true;
    }
    dv_result result = live_read(world, uid, ret_entity);
    if (result != DV_OK && result != DV_ERR_NOT_FOUND && world->failed == DV_OK) {
        world->failed = result;
    }
    return result == DV_OK;
}

dv_result dv_live_check(const dv_live_world *world, dv_error *error)
{
    return world->failed == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_UNAVAILABLE,
                              "who belongs to what can't be read (%s), so that nothing is decided",
                              dv_result_name(world->failed));
}

/* The policies in force, and the body's entities. */
typedef struct asked {
    dv_live_world live;
    dv_auth_world world;
} asked;

/* Asks with the snapshot open. */
static dv_result ask(dv_call *call, dv_result (*question)(dv_call *call, asked *a, dv_error *error),
                     dv_error *error)
{
    dv_auto(access) dv_access access = {0};
    asked a = {
        .live = {.snapshot = call->services->snapshot, .now = call->now, .arena = call->arena}};
    DV_TRY(dv_auth_entities_read(json_object_get(call->body, "entities"), call->arena,
                                 &a.live.given, error));
    DV_TRY(dv_access_begin(call, &access, error));
    a.live.resources = dv_auth_gate_resources(call->services->gate);
    a.world = (dv_auth_world){access.policies, dv_live_lookup, &a.live};
    DV_TRY(question(call, &a, error));
    return dv_live_check(&a.live, error);
}

/* --- explain --------------------------------------------------------------------------------- */

static json_t *ancestors_json(const dv_auth_world *world, dv_slice uid)
{
    dv_cedar_entity entity = {0};
    json_t *array = json_array();
    bool known = world->lookup(world->lookup_data, uid, &entity);
    for (size_t i = 0; array != NULL && known && i < entity.ancestor_count; i++) {
        dv_slice text = entity.ancestors[i];
        if (json_array_append_new(array, json_stringn((const char *)text.ptr, text.len)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static dv_result explain(dv_call *call, asked *a, dv_error *error)
{
    dv_auth_question question;
    DV_TRY(dv_auth_question_read(call->body, call->now, call->arena, &question, error));
    DV_TRY(dv_auth_question_explain(&a->world, &question, call->arena, &call->answer, error));
    return dv_auth_json_set(call->answer, "ancestors",
                            ancestors_json(&a->world, question.principal));
}

dv_result dv_op_policy_explain(dv_call *call, dv_error *error)
{
    return ask(call, explain, error);
}

/* --- test ------------------------------------------------------------------------------------ */

static dv_result test(dv_call *call, asked *a, dv_error *error)
{
    return dv_auth_tests_run(&a->world, json_object_get(call->body, "tests"), call->now,
                             dv_time_monotonic() + DV_KNOWN_PAGE_TIME, call->arena, &call->answer,
                             error);
}

dv_result dv_op_policy_test(dv_call *call, dv_error *error)
{
    return ask(call, test, error);
}

/* --- one question of a handler's ------------------------------------------------------------- */

static bool scope_covers(const dv_call *call, const char *action)
{
    const dv_credential *credential = call->credential;
    bool covers = credential != NULL && credential->scope_count == 0;
    for (size_t i = 0; !covers && credential != NULL && i < credential->scope_count; i++) {
        covers = dv_slice_eq_str(credential->scopes[i], action);
    }
    return covers;
}

/* With what the gate would be told of this call. */
static dv_result caller_question(const dv_call *call, const char *action, const char *resource,
                                 dv_auth_question *ret_question)
{
    dv_auth_question question = {.principal = dv_slice_str(call->caller),
                                 .resource = dv_slice_str(resource)};
    const dv_auth_request request = {.address = dv_slice_str(call->address), .now = call->now};
    DV_TRY(dv_cedar_uid(call->arena, DV_LIT("Action"), dv_slice_str(action), &question.action));
    DV_TRY(dv_auth_context_make(call->credential, &request, call->arena, &question.context));
    *ret_question = question;
    return DV_OK;
}

dv_result dv_auth_caller_may(dv_call *call, const char *action, const char *resource, bool *ret_may,
                             dv_error *error)
{
    dv_auth_question question;
    dv_cedar_answer answer = {0};
    dv_auto(access) dv_access access = {0};
    dv_live_world live = {
        .snapshot = call->services->snapshot, .now = call->now, .arena = call->arena};
    if (!scope_covers(call, action)) {
        *ret_may = false;
        return DV_OK;
    }
    DV_TRY(caller_question(call, action, resource, &question));
    DV_TRY(dv_access_begin(call, &access, error));
    live.resources = dv_auth_gate_resources(call->services->gate);
    const dv_auth_world world = {access.policies, dv_live_lookup, &live};
    DV_TRY(dv_auth_question_decide(&world, &question, call->arena, &answer, error));
    DV_TRY(dv_live_check(&live, error));
    *ret_may = answer.decision == DV_ALLOW;
    return DV_OK;
}
