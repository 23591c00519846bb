/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"
#include "room/auth/control/policies.h"

#include "engine/cedar/describe.h"

/* Nobody hands out more than he has, or takes away what he could not give.
 *
 * Permissions of roles are compared one by one. What policies give or deny to a group, a role or a
 * principal by its name can't be compared, since it may hang on anything: who may change policies
 * may hand it out, and nobody else. */

/* --- permissions ----------------------------------------------------------------------------- */

/* User::"alice" and Service::"ci" are looked up; Local and System are the machine's own. */
static bool caller_ref(const dv_call *call, dv_auth_ref *ret_ref)
{
    return dv_auth_ref_parse(call->caller, call->arena, ret_ref) == DV_OK &&
           ret_ref->kind <= DV_AUTH_SERVICE;
}

bool dv_auth_caller_is_the_machine(const dv_call *call)
{
    dv_slice caller = dv_slice_str(call->caller);
    return dv_slice_eq_str(dv_slice_str(call->via), "control") &&
           (dv_slice_starts_with(caller, DV_LIT("Local::")) ||
            dv_slice_starts_with(caller, DV_LIT("System::")));
}

/* Neither more than the caller has, nor more than the key that was presented is good for. */
static bool may_hand_out(const dv_call *call, dv_auth_names own, const char *permission)
{
    const dv_credential *credential = call->credential;
    bool covered = credential != NULL && credential->scope_count == 0;
    for (size_t i = 0; !covered && credential != NULL && i < credential->scope_count; i++) {
        covered = dv_slice_eq_str(credential->scopes[i], permission);
    }
    return covered && (dv_auth_names_have(own, "*") || dv_auth_names_have(own, permission));
}

dv_result dv_auth_grantor_read(dv_call *call, dv_time at, dv_auth_grantor *ret_grantor,
                               dv_error *error)
{
    dv_auth_ref caller;
    dv_auth_grantor grantor = {.all = dv_auth_caller_is_the_machine(call)};
    if (!grantor.all) {
        if (!caller_ref(call, &caller)) {
            return dv_error_set(error, DV_ERR_FORBIDDEN,
                                "the caller has no permissions to hand out");
        }
        DV_TRY(dv_auth_permissions(call->services->store, caller, at, call->arena, &grantor.own,
                                   error));
    }
    *ret_grantor = grantor;
    return DV_OK;
}

dv_result dv_auth_grantor_check(dv_call *call, const dv_auth_grantor *grantor, dv_auth_ref ref,
                                dv_error *error)
{
    dv_auth_names given;
    if (grantor->all) {
        return DV_OK;
    }
    DV_TRY(
        dv_auth_permissions(call->services->store, ref, dv_time_now(), call->arena, &given, error));
    for (size_t i = 0; i < given.count; i++) {
        if (!may_hand_out(call, grantor->own, given.items[i])) {
            return dv_error_set(error, DV_ERR_FORBIDDEN,
                                "%s %s has the permission %s, which your key does not have itself",
                                dv_auth_kind_name(ref.kind), ref.name, given.items[i]);
        }
    }
    return DV_OK;
}

dv_result dv_auth_check_permissions(dv_call *call, dv_auth_ref ref, dv_time at, dv_error *error)
{
    dv_auth_grantor grantor;
    DV_TRY(dv_auth_grantor_read(call, at, &grantor, error));
    return dv_auth_grantor_check(call, &grantor, ref, error);
}

/* --- names in policies ----------------------------------------------------------------------- */

typedef struct name_search {
    const dv_auth_walk *walk;
    dv_slice uids[1 + DV_LIMIT_ANCESTORS]; /* of the walk's nodes */
    const char *policy;                    /* the first that names one of them, or NULL */
    const dv_auth_node *named;
    dv_arena *arena;
} name_search;

/* What roles permit is compared by permissions. */
static bool mention_matters(const dv_cedar_mention *mention)
{
    return !mention->itself && !dv_slice_starts_with(mention->policy, DV_LIT(DV_AUTH_ROLE_POLICY));
}

/* DV_ERR_EXISTS ends the search. */
static dv_result mention_visit(void *data, const dv_cedar_mention *mention)
{
    name_search *search = data;
    size_t i = 0;
    while (i < search->walk->count && !dv_slice_eq(search->uids[i], mention->uid)) {
        i++;
    }
    if (i == search->walk->count || !mention_matters(mention)) {
        return DV_OK;
    }
    search->named = &search->walk->nodes[i];
    search->policy = dv_arena_printf(search->arena, "%.*s", DV_SLICE_ARGS(mention->policy));
    return search->policy == NULL ? DV_ERR_NO_MEMORY : DV_ERR_EXISTS;
}

static dv_result search_run(dv_call *call, name_search *search, dv_error *error)
{
    dv_auto(access) dv_access access = {0};
    for (size_t i = 0; i < search->walk->count; i++) {
        const char *uid = dv_auth_entity(call->arena, search->walk->nodes[i].ref);
        if (uid == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        search->uids[i] = dv_slice_str(uid);
    }
    DV_TRY(dv_access_begin(call, &access, error));
    dv_result result = dv_cedar_mentions(access.policies, mention_visit, search);
    return result == DV_ERR_EXISTS ? DV_OK : result;
}

static dv_result named_refuse(const name_search *search, dv_error *error)
{
    dv_auth_ref asked = search->walk->nodes[0].ref, named = search->named->ref;
    const char *kind = dv_auth_kind_name(named.kind);
    const char *advice = "so that this needs the permission manage_policies, too: ask somebody who "
                         "may change policies";
    return search->named == &search->walk->nodes[0]
               ? dv_error_set(error, DV_ERR_FORBIDDEN, "the policy \"%s\" names %s %s, %s",
                              search->policy, kind, named.name, advice)
               : dv_error_set(error, DV_ERR_FORBIDDEN,
                              "the policy \"%s\" names %s %s, which is over %s %s, %s",
                              search->policy, kind, named.name, dv_auth_kind_name(asked.kind),
                              asked.name, advice);
}

dv_result dv_auth_check_named(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    bool may = false;
    dv_auth_walk walk;
    name_search search = {.walk = &walk, .arena = call->arena};
    if (dv_auth_caller_is_the_machine(call)) {
        return DV_OK;
    }
    DV_TRY(dv_auth_walk_up(call->services->store, ref, call->arena, &walk, error));
    DV_TRY(search_run(call, &search, error));
    if (search.policy == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_auth_caller_may(call, "manage_policies", "System::\"dvara\"", &may, error));
    return may ? DV_OK : named_refuse(&search, error);
}

/* --- what operations ask --------------------------------------------------------------------- */

dv_result dv_auth_check_grant(dv_call *call, dv_auth_ref ref, dv_time at, dv_error *error)
{
    DV_TRY(dv_auth_check_permissions(call, ref, at, error));
    return dv_auth_check_named(call, ref, error);
}

static bool scopes_lie_within(dv_slice scopes, const dv_credential *credential)
{
    bool within = scopes.len > 0;
    dv_slice scope;
    while (within && scopes.len > 0 && dv_slice_split(&scopes, ' ', &scope)) {
        within = false;
        for (size_t i = 0; i < credential->scope_count && !within; i++) {
            within = dv_slice_eq(credential->scopes[i], scope);
        }
    }
    return within;
}

dv_result dv_auth_check_key(dv_call *call, dv_auth_ref owner, dv_slice scopes, dv_error *error)
{
    dv_auth_ref caller;
    bool own = caller_ref(call, &caller) && caller.name != NULL && caller.kind == owner.kind &&
               strcmp(caller.name, owner.name) == 0;
    /* Whatever gives the caller more than roles do, his own key is good for no more than this. */
    if (call->credential != NULL && call->credential->scope_count > 0 &&
        !scopes_lie_within(scopes, call->credential)) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "your key is confined to its scopes: say scopes among these for a key "
                            "that it makes");
    }
    DV_TRY(dv_auth_check_permissions(call, owner, own ? dv_time_now() : DV_AUTH_FOR_GOOD, error));
    return own ? DV_OK : dv_auth_check_named(call, owner, error);
}
