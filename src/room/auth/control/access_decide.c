/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "core/data_access.h"
#include "engine/cedar/entities.h"
#include "engine/cedar/uid.h"
#include "engine/cedar/value.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/resources.h"

/* Invariants
 *
 * 1. The policies are the gate's, of the generation that the snapshot shows now.
 * 2. Dvara's own users, services, models and routes are what the snapshot says of them, as for the
 *    gate; groups and roles what the store says; all other types are registered entities.
 * 3. What could not be read was not decided: a failed look-up fails the decision.
 * 4. Properties of a request never change what is known: a stored attribute of that name stays.
 * 5. Of data, the grants that live at this moment by Dvara's own clock are policies beside those in
 *    force; where one is needed, nothing else permits. A forbid outranks them as it does all.
 */

/* One entity that was looked up in this decision. */
typedef struct seen_entity {
    dv_slice uid;
    bool known;
    dv_cedar_entity entity;
} seen_entity;

typedef struct decider {
    const dv_access *access;
    const dv_access_question *question;
    dv_arena *arena;
    dv_error *error;
    dv_result failed; /* DV_OK as long as every look-up went well */
    bool suspended;
    seen_entity seen[DV_LIMIT_LOOKUPS];
    size_t seen_count;
} decider;

dv_result dv_access_begin(dv_call *call, dv_access *ret_access, dv_error *error)
{
    dv_services *services = call->services;
    if (services->gate == NULL || dv_snapshot_begin(services->snapshot) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "the policies can not be read now");
    }
    dv_result result = dv_auth_gate_refresh(services->gate, services->snapshot, error);
    if (result != DV_OK) {
        dv_snapshot_end(services->snapshot);
        return result;
    }
    *ret_access = (dv_access){call, dv_auth_gate_policies(services->gate), call->now};
    return DV_OK;
}

void dv_access_end(dv_access *access)
{
    if (access->call != NULL) {
        dv_snapshot_end(access->call->services->snapshot);
        access->call = NULL;
    }
}

/* --- Dvara's own entities -------------------------------------------------------------------- */

/* The name in User::"alice"; names hold nothing that is escaped. Empty: another type. */
static dv_slice name_in(dv_slice uid, const char *type)
{
    size_t len = strlen(type);
    dv_slice head = dv_slice_sub(uid, 0, len);
    dv_slice rest = dv_slice_sub(uid, len, uid.len);
    return dv_slice_eq_str(head, type) && dv_slice_starts_with(rest, DV_LIT("::\""))
               ? dv_slice_sub(rest, 3, rest.len - 4)
               : (dv_slice){0};
}

static dv_result principal_load(decider *d, dv_slice uid, dv_cedar_entity *ret_entity,
                                bool *ret_known)
{
    dv_slice bytes;
    dv_principal principal;
    dv_time until;
    bool active = false;
    dv_result result =
        dv_snapshot_get(d->access->call->services->snapshot, DV_TABLE_PRINCIPALS, uid, &bytes);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    DV_TRY(dv_arena_copy(d->arena, bytes, &bytes));
    DV_TRY(dv_principal_decode_at(bytes, d->access->now, d->arena, &principal, &active, &until));
    if (!active && dv_slice_eq(uid, d->question->principal)) {
        d->suspended = true;
    }
    *ret_entity = (dv_cedar_entity){
        .uid = uid, .ancestors = principal.ancestors, .ancestor_count = principal.ancestor_count};
    *ret_known = true;
    return DV_OK;
}

static dv_result node_load(decider *d, dv_slice uid, dv_auth_ref ref, dv_cedar_entity *ret_entity,
                           bool *ret_known)
{
    dv_auth_walk walk;
    DV_TRY(dv_auth_walk_up(d->access->call->services->store, ref, d->arena, &walk, d->error));
    dv_slice *ancestors = dv_arena_alloc(d->arena, walk.count * sizeof(*ancestors));
    if (ancestors == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 1; i < walk.count; i++) {
        const char *text = dv_auth_entity(d->arena, walk.nodes[i].ref);
        if (text == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        ancestors[i - 1] = dv_slice_str(text);
    }
    *ret_entity =
        (dv_cedar_entity){.uid = uid, .ancestors = ancestors, .ancestor_count = walk.count - 1};
    *ret_known = true;
    return DV_OK;
}

/* *ret_own: the type is Dvara's. */
static dv_result own_load(decider *d, dv_slice uid, dv_cedar_entity *ret_entity, bool *ret_known,
                          bool *ret_own)
{
    *ret_own = true;
    if (dv_resources_find(dv_auth_gate_resources(d->access->call->services->gate), uid,
                          ret_entity)) {
        *ret_known = true;
        return DV_OK;
    }
    for (int kind = 0; kind < DV_AUTH_KIND_COUNT; kind++) {
        dv_slice name = name_in(uid, dv_auth_kind_type((dv_auth_kind)kind));
        if (name.ptr == NULL) {
            continue;
        }
        if (kind == DV_AUTH_USER || kind == DV_AUTH_SERVICE) {
            return principal_load(d, uid, ret_entity, ret_known);
        }
        const char *text = dv_arena_printf(d->arena, "%.*s", DV_SLICE_ARGS(name));
        return text == NULL ? DV_ERR_NO_MEMORY
                            : node_load(d, uid, (dv_auth_ref){(dv_auth_kind)kind, text}, ret_entity,
                                        ret_known);
    }
    *ret_own = false;
    return DV_OK;
}

/* --- registered entities --------------------------------------------------------------------- */

static dv_result parents_add(decider *d, dv_slice uid, dv_slice ancestors[DV_LIMIT_ANCESTORS],
                             size_t *count)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(d->access->call->services->store, &statement, d->error,
                          "SELECT parent FROM auth_external_parent WHERE uid = ?1 ORDER BY parent",
                          "s", uid));
    DV_TRY(dv_auth_read_names(statement, d->arena, &names, d->error));
    for (size_t i = 0; i < names.count; i++) {
        dv_slice parent = dv_slice_str(names.items[i]);
        bool found = false;
        for (size_t k = 0; k < *count && !found; k++) {
            found = dv_slice_eq(ancestors[k], parent);
        }
        if (!found && *count == DV_LIMIT_ANCESTORS) {
            return dv_error_set(d->error, DV_ERR_TOO_LARGE, "%.*s has more than %d ancestors",
                                DV_SLICE_ARGS(dv_slice_sub(uid, 0, 200)), DV_LIMIT_ANCESTORS);
        }
        if (!found) {
            ancestors[(*count)++] = parent;
        }
    }
    return DV_OK;
}

/* Breadth first; what was found is the queue of what to look at. */
static dv_result ancestors_load(decider *d, dv_slice uid, dv_cedar_entity *entity)
{
    size_t count = 0;
    dv_slice *ancestors = dv_arena_alloc(d->arena, DV_LIMIT_ANCESTORS * sizeof(*ancestors));
    if (ancestors == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(parents_add(d, uid, ancestors, &count));
    for (size_t i = 0; i < count; i++) {
        DV_TRY(parents_add(d, ancestors[i], ancestors, &count));
    }
    entity->ancestors = ancestors;
    entity->ancestor_count = count;
    return DV_OK;
}

/* "{}" is most of them. */
static dv_result column_record(decider *d, dv_statement *row, int column,
                               const dv_cedar_value **ret_record)
{
    dv_slice text = dv_column_slice(row, column);
    if (dv_slice_eq_str(text, "{}")) {
        return DV_OK;
    }
    dv_cedar_value *record = dv_arena_alloc(d->arena, sizeof(*record));
    if (record == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_record = record;
    return dv_cedar_record_parse(text, d->arena, record, d->error);
}

static dv_result external_load(decider *d, dv_slice uid, dv_cedar_entity *ret_entity,
                               bool *ret_known)
{
    dv_cedar_entity entity = {.uid = uid};
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(d->access->call->services->store, &row, d->error,
                          "SELECT attrs, tags FROM auth_external WHERE uid = ?1", "s", uid));
    dv_result result = dv_statement_step(row, d->error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    DV_TRY(column_record(d, row, 0, &entity.attributes));
    DV_TRY(column_record(d, row, 1, &entity.tags));
    DV_TRY(ancestors_load(d, uid, &entity));
    *ret_entity = entity;
    *ret_known = true;
    return DV_OK;
}

/* --- what the request adds ------------------------------------------------------------------- */

dv_result dv_access_merge(const dv_cedar_value *stored, const dv_cedar_value *extra,
                          dv_arena *arena, const dv_cedar_value **ret_merged)
{
    size_t count = stored == NULL ? 0 : stored->count;
    dv_cedar_value *merged = dv_arena_alloc(arena, sizeof(*merged));
    dv_cedar_attr *attrs = dv_arena_alloc(arena, (count + extra->count + 1) * sizeof(*attrs));
    if (merged == NULL || attrs == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (count > 0) {
        memcpy(attrs, stored->attrs, count * sizeof(*attrs));
    }
    for (uint32_t i = 0; i < extra->count; i++) {
        if (stored == NULL || dv_cedar_get(stored, extra->attrs[i].name) == NULL) {
            attrs[count++] = extra->attrs[i];
        }
    }
    DV_TRY(dv_cedar_record(attrs, count, merged));
    *ret_merged = merged;
    return DV_OK;
}

static dv_result extra_add(decider *d, dv_slice uid, const dv_cedar_value *extra, dv_slice whose,
                           seen_entity *seen)
{
    if (extra == NULL || !dv_slice_eq(uid, whose)) {
        return DV_OK;
    }
    seen->known = true;
    seen->entity.uid = uid;
    return dv_access_merge(seen->entity.attributes, extra, d->arena, &seen->entity.attributes);
}

/* --- the look-up ----------------------------------------------------------------------------- */

static dv_result entity_load(decider *d, dv_slice uid, seen_entity *seen)
{
    bool own = false;
    const dv_access_question *question = d->question;
    DV_TRY(own_load(d, uid, &seen->entity, &seen->known, &own));
    if (!own) {
        DV_TRY(external_load(d, uid, &seen->entity, &seen->known));
    }
    DV_TRY(extra_add(d, uid, question->principal_extra, question->principal, seen));
    return extra_add(d, uid, question->resource_extra, question->resource, seen);
}

static const seen_entity *find_seen(const decider *d, dv_slice uid)
{
    for (size_t i = 0; i < d->seen_count; i++) {
        if (dv_slice_eq(d->seen[i].uid, uid)) {
            return &d->seen[i];
        }
    }
    return NULL;
}

static const seen_entity *see(decider *d, dv_slice uid)
{
    seen_entity *seen = &d->seen[d->seen_count];
    if (d->seen_count == DV_LIMIT_LOOKUPS) {
        d->failed = dv_error_set(d->error, DV_ERR_TOO_LARGE,
                                 "the decision asks for more than %d entities", DV_LIMIT_LOOKUPS);
        return NULL;
    }
    *seen = (seen_entity){.uid = uid};
    d->failed = entity_load(d, uid, seen);
    d->seen_count++;
    return d->failed == DV_OK ? seen : NULL;
}

static bool lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    decider *d = data;
    if (d->failed != DV_OK) {
        return false;
    }
    const seen_entity *seen = find_seen(d, uid);
    if (seen == NULL) {
        seen = see(d, uid);
    }
    if (seen == NULL || !seen->known) {
        return false;
    }
    *ret_entity = seen->entity;
    return true;
}

/* Like the gate: a policy that errs may have been the one that forbids. */
static void verdict_make(const decider *d, const dv_cedar_answer *answer,
                         dv_access_verdict *ret_verdict)
{
    *ret_verdict = (dv_access_verdict){
        .allowed = answer->decision == DV_ALLOW && answer->error_count == 0 && !d->suspended,
        .suspended = d->suspended,
        .policies = answer->reasons,
        .policy_count = answer->reason_count,
        .errors = answer->errors,
        .error_count = answer->error_count,
        .conditional = answer->conditional,
    };
}

/* --- grants for data ------------------------------------------------------------------------- */

enum { GRANTS_TEXT_MAX = 1 << 20 };

/* Whether the thing is data, and which. */
static dv_result asset_of(const decider *d, dv_slice resource, dv_slice *ret_asset, bool *ret_is)
{
    dv_slice type;
    DV_TRY(dv_cedar_uid_read(resource, d->arena, &type, ret_asset));
    *ret_is = dv_slice_eq_str(type, DV_DATA_ASSET_TYPE);
    return DV_OK;
}

/* The principal itself and all that it is in. */
static dv_result asker_read(decider *d, dv_data_asker *ret_asker)
{
    dv_cedar_entity principal = {0};
    bool known = lookup(d, d->question->principal, &principal);
    size_t above = known ? principal.ancestor_count : 0;
    dv_slice *uids = dv_arena_alloc(d->arena, (above + 1) * sizeof(*uids));
    DV_TRY(d->failed);
    if (uids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    uids[0] = d->question->principal;
    for (size_t i = 0; i < above; i++) {
        uids[i + 1] = principal.ancestors[i];
    }
    *ret_asker = (dv_data_asker){uids, above + 1, d->access->now};
    return DV_OK;
}

/* Ids of both answers, of which those of the grants die with their set. */
static dv_result reasons_join(dv_arena *arena, const dv_cedar_answer *grants,
                              dv_cedar_answer *answer)
{
    size_t count = answer->decision == DV_ALLOW ? answer->reason_count : 0;
    dv_slice *reasons = dv_arena_alloc(arena, (count + grants->reason_count) * sizeof(*reasons));
    if (reasons == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        reasons[i] = answer->reasons[i];
    }
    for (size_t i = 0; i < grants->reason_count; i++) {
        DV_TRY(dv_arena_copy(arena, grants->reasons[i], &reasons[count + i]));
    }
    answer->reasons = reasons;
    answer->reason_count = count + grants->reason_count;
    answer->decision = DV_ALLOW;
    return DV_OK;
}

/* What the policies in force said becomes what they and the grants say. */
static dv_result grants_apply(decider *d, const dv_cedar_request *request, dv_slice policies,
                              bool needed, dv_cedar_answer *answer)
{
    static const dv_slice NEEDED[] = {
        {(const uint8_t *)DV_DATA_GRANT_NEEDED, sizeof(DV_DATA_GRANT_NEEDED) - 1}};
    dv_auto(cedar_policy_set) dv_cedar_policy_set *set = NULL;
    dv_cedar_answer grants = {0};
    DV_TRY(dv_cedar_parse(policies, &set, d->error));
    DV_TRY(dv_cedar_decide(set, request, lookup, d, d->arena, &grants));
    DV_TRY(d->failed);
    if (grants.decision == DV_ALLOW && grants.error_count == 0) {
        return reasons_join(d->arena, &grants, answer);
    }
    if (needed) {
        answer->decision = DV_DENY;
        answer->reasons = NEEDED;
        answer->reason_count = 1;
    }
    return DV_OK;
}

static dv_result grants_decide(decider *d, const dv_cedar_request *request, dv_cedar_answer *answer)
{
    dv_auto(buf) dv_buf policies = dv_buf_init(GRANTS_TEXT_MAX);
    dv_data_asker asker = {0};
    dv_slice asset;
    bool is_data = false, needed = true;
    const dv_services *services = d->access->call->services;
    bool forbidden = answer->decision != DV_ALLOW && answer->reason_count > 0;
    DV_TRY(asset_of(d, request->resource, &asset, &is_data));
    if (!is_data || forbidden || answer->error_count > 0) {
        return DV_OK;
    }
    if (services->data_access == NULL) {
        return dv_error_set(d->error, DV_ERR_UNAVAILABLE, "grants for data can not be read now");
    }
    DV_TRY(asker_read(d, &asker));
    DV_TRY(services->data_access->compile(services, asset, &asker, &policies, &needed, d->error));
    return grants_apply(d, request, dv_buf_slice(&policies), needed, answer);
}

/* --- deciding -------------------------------------------------------------------------------- */

dv_result dv_access_decide(const dv_access *access, const dv_access_question *question,
                           dv_arena *arena, dv_access_verdict *ret_verdict, dv_error *error)
{
    dv_cedar_answer answer = {0};
    dv_cedar_request request = {question->principal, question->action, question->resource,
                                question->context};
    decider *d = dv_arena_alloc(arena, sizeof(*d));
    if (d == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    d->access = access;
    d->question = question;
    d->arena = arena;
    d->error = error;
    dv_result result = dv_cedar_decide(access->policies, &request, lookup, d, arena, &answer);
    if (d->failed != DV_OK) {
        return d->failed;
    }
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "the policies take too many steps for this question");
    }
    DV_TRY(result);
    DV_TRY(grants_decide(d, &request, &answer));
    verdict_make(d, &answer, ret_verdict);
    return DV_OK;
}
