/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/gate/auth_gate.h"

#include "crypto/hash.h"
#include "crypto/random.h"
#include "engine/cedar/cedar.h"
#include "room/auth/gate/api_key.h"
#include "room/auth/gate/callers.h"
#include "room/auth/gate/context.h"
#include "room/auth/gate/record.h"
#include "room/auth/gate/resources.h"
#include "room/auth/gate/usage.h"

/* Invariants
 *
 * 1. Nothing is permitted by a gate that is not ready: its pepper and policies are those of the
 *    snapshot's generation that is read.
 * 2. The policy set is parsed again only when its version moved; a set that can't be parsed leaves
 *    the gate not ready.
 * 3. Both live secrets of a key are always compared, each in constant time.
 * 4. A verdict is allowed in one place only, dv_auth_gate_authorize, after scopes and Cedar, or as
 *    they decided before at the same generation (callers.h).
 */

enum { PEPPER_LEN = DV_HMAC_KEY_LEN };

struct dv_auth_gate {
    bool ready;
    uint64_t generation; /* that pepper and policies were last compared with */
    dv_hmac *hmac;
    uint8_t pepper[PEPPER_LEN];
    dv_cedar_policy_set *policies;
    uint8_t policies_version[DV_SHA256_LEN];
    dv_resources *resources;
    dv_usage *usage;
    dv_callers *callers;
};

dv_result dv_auth_gate_new(dv_auth_gate **ret_gate)
{
    dv_auth_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_callers_new(&gate->callers);
    if (result == DV_OK) {
        result = dv_resources_new(&gate->resources);
    }
    if (result != DV_OK) {
        dv_auth_gate_free(gate);
        return result;
    }
    *ret_gate = gate;
    return DV_OK;
}

void dv_auth_gate_free(dv_auth_gate *gate)
{
    if (gate == NULL) {
        return;
    }
    dv_hmac_free(gate->hmac);
    dv_cedar_policy_set_free(gate->policies);
    dv_resources_free(gate->resources);
    dv_usage_close(gate->usage);
    dv_callers_free(gate->callers);
    dv_wipe(gate, sizeof(*gate));
    free(gate);
}

dv_result dv_auth_gate_note_usage(dv_auth_gate *gate, const char *path, dv_error *error)
{
    dv_usage *usage = NULL;
    DV_TRY(dv_usage_open(path, false, &usage, error));
    dv_usage_close(gate->usage);
    gate->usage = usage;
    return DV_OK;
}

/* --- what is prepared from the snapshot ------------------------------------------------------ */

static dv_result pepper_load(dv_auth_gate *gate, dv_snapshot *snapshot, dv_error *error)
{
    dv_slice pepper;
    dv_result result = dv_snapshot_get(snapshot, DV_TABLE_META, DV_META_PEPPER, &pepper);
    if (result != DV_OK || pepper.len != PEPPER_LEN) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "the snapshot has no pepper");
    }
    if (gate->hmac != NULL &&
        dv_equal_constant_time(pepper, dv_slice_of(gate->pepper, PEPPER_LEN))) {
        return DV_OK;
    }
    dv_hmac *hmac = NULL;
    DV_TRY(dv_hmac_new(pepper.ptr, &hmac));
    dv_hmac_free(gate->hmac);
    gate->hmac = hmac;
    memcpy(gate->pepper, pepper.ptr, PEPPER_LEN);
    return DV_OK;
}

static dv_result policies_load(dv_auth_gate *gate, dv_snapshot *snapshot, dv_error *error)
{
    dv_slice version;
    dv_slice text;
    if (dv_snapshot_get(snapshot, DV_TABLE_POLICIES, DV_POLICIES_VERSION, &version) != DV_OK ||
        version.len != DV_SHA256_LEN ||
        dv_snapshot_get(snapshot, DV_TABLE_POLICIES, DV_POLICIES_TEXT, &text) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "the snapshot has no policies");
    }
    if (gate->policies != NULL &&
        dv_slice_eq(version, dv_slice_of(gate->policies_version, DV_SHA256_LEN))) {
        return DV_OK;
    }
    dv_cedar_policy_set *policies = NULL;
    DV_TRY(dv_cedar_parse(text, &policies, error));
    dv_cedar_policy_set_free(gate->policies);
    gate->policies = policies;
    memcpy(gate->policies_version, version.ptr, DV_SHA256_LEN);
    return DV_OK;
}

dv_result dv_auth_gate_refresh(dv_auth_gate *gate, dv_snapshot *snapshot, dv_error *error)
{
    uint64_t generation = dv_snapshot_generation(snapshot);
    if (gate->ready && generation == gate->generation && generation != 0) {
        return DV_OK;
    }
    gate->ready = false;
    if (generation == 0) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "the snapshot is not being read");
    }
    DV_TRY(pepper_load(gate, snapshot, error));
    DV_TRY(policies_load(gate, snapshot, error));
    DV_TRY(dv_resources_refresh(gate->resources, snapshot, error));
    gate->generation = generation;
    gate->ready = true;
    return DV_OK;
}

/* The gate must have been refreshed for what is read now. */
static bool gate_ready(const dv_auth_gate *gate, dv_snapshot *snapshot)
{
    return gate->ready && gate->generation == dv_snapshot_generation(snapshot);
}

/* --- who ------------------------------------------------------------------------------------- */

/* Both secrets are compared whatever the first says, and also when the record is unknown (zeros),
 * so that time tells nothing (invariant 3). */
static bool secret_ok(const dv_credential_record *record, const uint8_t mac[DV_SHA256_LEN],
                      dv_time now, dv_time *ret_until)
{
    dv_slice presented = dv_slice_of(mac, DV_SHA256_LEN);
    bool current = dv_equal_constant_time(presented, dv_slice_of(record->secret, DV_SHA256_LEN));
    bool previous = dv_equal_constant_time(presented, dv_slice_of(record->previous, DV_SHA256_LEN));
    *ret_until = current ? record->expires : DV_MIN(record->expires, record->previous_expires);
    return (current & (record->owner.len > 0)) | (previous & (now < record->previous_expires));
}

static dv_result credential_read(dv_snapshot *snapshot, dv_slice id,
                                 dv_credential_record *ret_record)
{
    dv_slice bytes;
    DV_TRY(dv_snapshot_get(snapshot, DV_TABLE_CREDENTIALS, id, &bytes));
    return dv_credential_decode(bytes, ret_record);
}

dv_result dv_auth_gate_principal(dv_snapshot *snapshot, dv_principal_type type, dv_slice name,
                                 dv_time now, dv_arena *arena, dv_principal *ret_principal,
                                 dv_time *ret_until)
{
    char text[DV_ENTITY_TEXT_MAX];
    dv_slice entity;
    dv_slice bytes;
    dv_principal principal;
    bool active = false;
    DV_TRY(dv_entity_text(dv_principal_type_name(type), name, text, &entity));
    DV_TRY(dv_snapshot_get(snapshot, DV_TABLE_PRINCIPALS, entity, &bytes));
    DV_TRY(dv_arena_copy(arena, bytes, &bytes));
    DV_TRY(dv_principal_decode_at(bytes, now, arena, &principal, &active, ret_until));
    if (!active || !dv_slice_eq(principal.entity, entity)) {
        return DV_ERR_UNAUTHENTICATED;
    }
    *ret_principal = principal;
    return DV_OK;
}

/* A key whose secret is right. */
typedef struct checked_key {
    dv_slice id;
    dv_credential_record record;
    uint8_t mac[DV_SHA256_LEN]; /* of the secret that was presented */
    dv_time until; /* how long that one is good: a replaced secret ends with the overlap */
} checked_key;

/* The identity ends with the first of its roles that ends, too; it is then read again. */
static dv_result identity_make(dv_snapshot *snapshot, const checked_key *key, dv_time now,
                               dv_arena *arena, dv_identity *ret_identity)
{
    const dv_credential_record *record = &key->record;
    dv_time roles_until;
    dv_identity identity = {0};
    DV_TRY(dv_auth_gate_principal(snapshot, record->owner_type, record->owner, now, arena,
                                  &identity.principal, &roles_until));
    identity.expires = DV_MIN(key->until, roles_until);
    memcpy(identity.secret, key->mac, DV_SHA256_LEN);
    identity.credential.kind = DV_LIT("api_key");
    identity.credential.scope_count = record->scope_count;
    DV_TRY(dv_arena_copy(arena, key->id, &identity.credential.id));
    DV_TRY(dv_credential_scopes(record, arena, &identity.credential.scopes));
    *ret_identity = identity;
    return DV_OK;
}

/* The file has a mark a second of each caller and worker. */
static void note_use(dv_auth_gate *gate, const dv_identity *identity, dv_time now)
{
    if (gate->usage != NULL && dv_caller_use(identity->caller, now)) {
        dv_usage_mark(gate->usage, identity->credential.id, now);
    }
}

/* The identity, and what the next request of this caller is spared. */
static dv_result caller_make(dv_auth_gate *gate, dv_snapshot *snapshot, const checked_key *key,
                             dv_slice presented, dv_time now, dv_arena *arena,
                             dv_identity *ret_identity)
{
    dv_identity identity;
    dv_caller *caller = dv_caller_new();
    if (caller == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = identity_make(snapshot, key, now, dv_caller_arena(caller), &identity);
    if (result == DV_OK) {
        dv_callers_add(gate->callers, caller, &identity, presented, gate->generation,
                       identity.expires);
        result = dv_caller_lend(caller, arena, ret_identity);
    }
    dv_caller_unref(caller);
    return result;
}

static dv_result api_key_check(dv_auth_gate *gate, dv_snapshot *snapshot, dv_slice presented,
                               dv_time now, dv_arena *arena, dv_identity *ret_identity)
{
    checked_key key = {0};
    DV_TRY(dv_api_key_parse(presented, &key.id));
    dv_hmac_sign(gate->hmac, presented, key.mac);
    dv_result found = credential_read(snapshot, key.id, &key.record);
    bool same = secret_ok(&key.record, key.mac, now, &key.until);
    DV_TRY(found);
    if (!same || now >= key.record.expires) {
        return DV_ERR_UNAUTHENTICATED;
    }
    DV_TRY(caller_make(gate, snapshot, &key, presented, now, arena, ret_identity));
    note_use(gate, ret_identity, now);
    return DV_OK;
}

/* What a key in steady use costs. */
static bool caller_is_known(dv_auth_gate *gate, dv_slice presented, dv_time now, dv_arena *arena,
                            dv_identity *ret_identity)
{
    dv_caller *caller = dv_callers_find(gate->callers, presented, gate->generation, now);
    if (caller == NULL || dv_caller_lend(caller, arena, ret_identity) != DV_OK) {
        return false;
    }
    note_use(gate, ret_identity, now);
    return true;
}

dv_result dv_auth_gate_api_key(dv_auth_gate *gate, dv_snapshot *snapshot, dv_slice presented,
                               dv_time now, dv_arena *arena, dv_identity *ret_identity,
                               dv_verdict *verdict)
{
    if (!gate_ready(gate, snapshot)) {
        dv_verdict_deny(verdict, DV_REASON_NOT_READY, NULL);
        return DV_ERR_UNAVAILABLE;
    }
    if (presented.len == 0) {
        dv_verdict_deny(verdict, DV_REASON_NO_CREDENTIAL, NULL);
        return DV_ERR_UNAUTHENTICATED;
    }
    if (!caller_is_known(gate, presented, now, arena, ret_identity) &&
        api_key_check(gate, snapshot, presented, now, arena, ret_identity) != DV_OK) {
        dv_verdict_deny(verdict, DV_REASON_BAD_CREDENTIAL, NULL);
        return DV_ERR_UNAUTHENTICATED;
    }
    return DV_OK;
}

dv_result dv_auth_gate_renew(dv_auth_gate *gate, dv_snapshot *snapshot, const dv_identity *identity,
                             dv_time now, dv_arena *arena, dv_identity *ret_identity)
{
    checked_key key = {.id = identity->credential.id};
    const dv_credential_record *record = &key.record;
    if (!gate_ready(gate, snapshot)) {
        return DV_ERR_UNAVAILABLE;
    }
    memcpy(key.mac, identity->secret, DV_SHA256_LEN);
    if (credential_read(snapshot, key.id, &key.record) != DV_OK ||
        !secret_ok(record, key.mac, now, &key.until) || now >= record->expires ||
        record->owner_type != identity->principal.type ||
        !dv_slice_eq(record->owner, identity->principal.name)) {
        return DV_ERR_UNAUTHENTICATED;
    }
    dv_identity made;
    if (identity_make(snapshot, &key, now, arena, &made) != DV_OK) {
        return DV_ERR_UNAUTHENTICATED;
    }
    *ret_identity = made;
    return DV_OK;
}

const dv_cedar_policy_set *dv_auth_gate_policies(const dv_auth_gate *gate)
{
    return gate->ready ? gate->policies : NULL;
}

const dv_resources *dv_auth_gate_resources(const dv_auth_gate *gate)
{
    return gate->ready ? gate->resources : NULL;
}

/* --- may he ---------------------------------------------------------------------------------- */

bool dv_auth_scope_covers(const dv_credential *credential, dv_slice action)
{
    bool covers = credential->scope_count == 0;
    for (size_t i = 0; i < credential->scope_count && !covers; i++) {
        covers = dv_slice_eq(credential->scopes[i], action);
    }
    return covers;
}

/* What a decision of the gate knows: the caller, models and routes. */
typedef struct world {
    const dv_principal *principal;
    const dv_resources *resources;
} world;

static bool entity_lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    const world *w = data;
    const dv_principal *principal = w->principal;
    if (!dv_slice_eq(uid, principal->entity)) {
        return dv_resources_find(w->resources, uid, ret_entity);
    }
    *ret_entity = (dv_cedar_entity){.uid = principal->entity,
                                    .ancestors = principal->ancestors,
                                    .ancestor_count = principal->ancestor_count};
    return true;
}

static dv_result decide(dv_auth_gate *gate, const dv_identity *identity,
                        const dv_auth_request *request, dv_arena *arena,
                        dv_cedar_answer *ret_answer)
{
    dv_cedar_value context;
    dv_cedar_request question = {.principal = identity->principal.entity,
                                 .resource = request->resource,
                                 .context = &context};
    DV_TRY(dv_cedar_uid(arena, DV_LIT("Action"), request->action, &question.action));
    DV_TRY(dv_auth_context_make(&identity->credential, request, arena, &context));
    world known = {&identity->principal, gate->resources};
    return dv_cedar_decide(gate->policies, &question, entity_lookup, &known, arena, ret_answer);
}

dv_result dv_auth_gate_ask(dv_auth_gate *gate, const dv_identity *identity,
                           const dv_auth_request *request, dv_arena *arena,
                           dv_cedar_answer *ret_answer)
{
    return gate->ready ? decide(gate, identity, request, arena, ret_answer) : DV_ERR_UNAVAILABLE;
}

/* Cedar leaves a policy out that errors; it may have been the one that forbids, so any error
 * refuses. */
static void answer_apply(const dv_cedar_answer *answer, dv_slice action, dv_arena *arena,
                         dv_verdict *verdict)
{
    bool failed = answer->error_count > 0;
    if (failed) {
        dv_verdict_deny(verdict, DV_REASON_INTERNAL, "Policy %.*s could not be evaluated.",
                        DV_SLICE_ARGS(answer->errors[0]));
    } else if (answer->decision == DV_ALLOW) {
        dv_verdict_allow(verdict, "");
    } else if (answer->reason_count > 0) {
        dv_verdict_deny(verdict, DV_REASON_FORBIDDEN, NULL);
    } else {
        dv_verdict_deny(verdict, DV_REASON_NOT_PERMITTED, "No role of the caller permits %.*s.",
                        DV_SLICE_ARGS(action));
    }
    dv_verdict_policies(verdict, failed ? answer->errors : answer->reasons,
                        failed ? answer->error_count : answer->reason_count, arena);
}

void dv_auth_gate_authorize(dv_auth_gate *gate, dv_snapshot *snapshot, const dv_identity *identity,
                            const dv_auth_request *request, dv_arena *arena, dv_verdict *verdict)
{
    dv_cedar_answer answer = {0};
    if (!gate_ready(gate, snapshot)) {
        dv_verdict_deny(verdict, DV_REASON_NOT_READY, NULL);
    } else if (identity->caller != NULL &&
               dv_caller_permit(identity->caller, gate->generation, request, verdict)) {
        return;
    } else if (!dv_auth_scope_covers(&identity->credential, request->action)) {
        dv_verdict_deny(verdict, DV_REASON_SCOPE, "The key's scopes do not include %.*s.",
                        DV_SLICE_ARGS(request->action));
    } else if (decide(gate, identity, request, arena, &answer) != DV_OK) {
        dv_verdict_deny(verdict, DV_REASON_INTERNAL, "The policies could not be evaluated.");
    } else {
        answer_apply(&answer, request->action, arena, verdict);
        if (identity->caller != NULL && verdict->decision == DV_ALLOW && !answer.conditional) {
            dv_caller_permit_add(identity->caller, gate->generation, request, verdict);
        }
    }
}

void dv_auth_gate_check(dv_auth_gate *gate, dv_snapshot *snapshot, dv_slice presented,
                        const dv_auth_request *request, dv_arena *arena, dv_identity *ret_identity,
                        dv_verdict *verdict)
{
    *ret_identity = (dv_identity){0};
    if (dv_snapshot_begin(snapshot) != DV_OK) {
        dv_verdict_deny(verdict, DV_REASON_NOT_READY, NULL);
        return;
    }
    if (dv_auth_gate_refresh(gate, snapshot, NULL) != DV_OK) {
        dv_verdict_deny(verdict, DV_REASON_NOT_READY, NULL);
    } else if (dv_auth_gate_api_key(gate, snapshot, presented, request->now, arena, ret_identity,
                                    verdict) == DV_OK) {
        dv_auth_gate_authorize(gate, snapshot, ret_identity, request, arena, verdict);
    }
    dv_snapshot_end(snapshot);
}
