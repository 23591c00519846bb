/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"
#include "room/auth/control/policies.h"
#include "room/auth/control/question.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/context.h"
#include "room/auth/gate/resources.h"

#include "engine/cedar/describe.h"
#include "engine/cedar/entities.h"

#include "api/operations.h"

/* Questions about the policies in force: why, whether tests hold, and who would gain or lose what.
 * Principals are those of the snapshot, so that what is told is what the gates do. */

enum {
    PRINCIPALS_MAX = 1000,
    DECISIONS_MAX = 50000, /* of each set, in one comparison */
    DIFFERENCES_MAX = 1000,
    SCRATCH_ARENA = 64 << 20,
};

/* --- who there is ---------------------------------------------------------------------------- */

typedef struct live_world {
    dv_snapshot *snapshot;
    const dv_cedar_entities *given; /* first; or NULL */
    const dv_resources *resources;  /* models and routes */
    dv_time now;
    dv_arena *arena;
    dv_result failed; /* the first look-up that could not be made; DV_OK: none */
} live_world;

static dv_result live_read(live_world *world, dv_slice uid, dv_cedar_entity *ret_entity)
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

/* Who can't be read is no stranger: whoever asked has to look at `failed` (live_check), since a
 * forbid may name what he is in. */
static bool live_lookup(void *data, dv_slice uid, dv_cedar_entity *ret_entity)
{
    live_world *world = data;
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

static dv_result live_check(const live_world *world, dv_error *error)
{
    return world->failed == DV_OK
               ? DV_OK
               : dv_error_set(error, DV_ERR_UNAVAILABLE,
                              "who belongs to what can't be read (%s), so that nothing is decided",
                              dv_result_name(world->failed));
}

/* The body's entities, texts and version, as far as they are there. */
typedef struct asked {
    live_world live;
    dv_auth_world world;
    dv_cedar_policy_set *set;
} asked;

static void asked_release(asked *a)
{
    dv_cedar_policy_set_free(a->set);
}
DV_DEFINE_AUTO(asked, asked, asked_release)

static dv_result asked_read(dv_call *call, asked *a, dv_error *error)
{
    dv_auth_documents documents;
    int64_t version = 0;
    *a = (asked){
        .live = {.snapshot = call->services->snapshot, .now = call->now, .arena = call->arena}};
    DV_TRY(dv_auth_version_last(call->services->store, &version, error));
    DV_TRY(dv_auth_documents_read(call->services->store, version, call->arena, &documents, error));
    DV_TRY(dv_auth_entities_read(json_object_get(call->body, "entities"), call->arena,
                                 &a->live.given, error));
    DV_TRY(dv_auth_set_parse(call->services->store, &documents, &a->set, error));
    a->world = (dv_auth_world){a->set, live_lookup, &a->live};
    return DV_OK;
}

/* Asks with the snapshot open. */
static dv_result ask(dv_call *call, dv_result (*question)(dv_call *call, asked *a, dv_error *error),
                     dv_error *error)
{
    dv_auto(asked) asked a = {0};
    dv_auto(access) dv_access access = {0};
    DV_TRY(asked_read(call, &a, error));
    DV_TRY(dv_access_begin(call, &access, error));
    a.live.resources = dv_auth_gate_resources(call->services->gate);
    dv_result result = question(call, &a, error);
    DV_TRY(live_check(&a.live, error));
    return result;
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
                             call->arena, &call->answer, error);
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
    live_world live = {
        .snapshot = call->services->snapshot, .now = call->now, .arena = call->arena};
    if (!scope_covers(call, action)) {
        *ret_may = false;
        return DV_OK;
    }
    DV_TRY(caller_question(call, action, resource, &question));
    DV_TRY(dv_access_begin(call, &access, error));
    live.resources = dv_auth_gate_resources(call->services->gate);
    const dv_auth_world world = {access.policies, live_lookup, &live};
    DV_TRY(dv_auth_question_decide(&world, &question, call->arena, &answer, error));
    DV_TRY(live_check(&live, error));
    *ret_may = answer.decision == DV_ALLOW;
    return DV_OK;
}

/* --- diff: what there is to ask about -------------------------------------------------------- */

typedef struct uid_list {
    dv_arena *arena;
    dv_slice *items;
    size_t count;
    size_t cap;
} uid_list;

static dv_result uid_add(void *data, dv_slice uid)
{
    uid_list *list = data;
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? 64 : 2 * list->cap;
        dv_slice *larger = dv_arena_alloc_raw(list->arena, cap * sizeof(*larger));
        if (larger == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        if (list->count > 0) {
            memcpy(larger, list->items, list->count * sizeof(*larger));
        }
        list->items = larger;
        list->cap = cap;
    }
    list->items[list->count++] = uid;
    return DV_OK;
}

static int order_uids(const void *a, const void *b)
{
    return dv_slice_cmp(*(const dv_slice *)a, *(const dv_slice *)b);
}

static void uids_unique(uid_list *list)
{
    size_t kept = 0;
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof(*list->items), order_uids);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || !dv_slice_eq(list->items[kept - 1], list->items[i])) {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
}

static dv_result action_add(uid_list *list, const char *name)
{
    dv_slice uid;
    DV_TRY(dv_cedar_uid(list->arena, DV_LIT("Action"), dv_slice_str(name), &uid));
    return uid_add(list, uid);
}

/* Those that the API asks for, that roles permit, and that policies name. */
static dv_result actions_read(dv_call *call, const dv_cedar_policy_set *const sets[2],
                              uid_list *list, dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT DISTINCT permission FROM auth_role_permission"
                          " WHERE permission <> '*'",
                          ""));
    DV_TRY(dv_auth_read_names(statement, call->arena, &names, error));
    for (size_t i = 0; i < names.count; i++) {
        DV_TRY(action_add(list, names.items[i]));
    }
    for (size_t i = 0; i < dv_operation_count; i++) {
        DV_TRY(action_add(list, dv_operations[i].permission));
    }
    for (size_t i = 0; i < 2; i++) {
        DV_TRY(dv_cedar_scope_uids(sets[i], DV_CEDAR_PART_ACTION, uid_add, list));
    }
    uids_unique(list);
    return DV_OK;
}

/* Those that dvara.yaml describes and that policies name; Dvara itself; and a model that nothing
 * names. */
static dv_result resources_read(const dv_cedar_policy_set *const sets[2], const dv_resources *known,
                                uid_list *list)
{
    DV_TRY(dv_resources_each(known, uid_add, list));
    DV_TRY(uid_add(list, DV_LIT("System::\"dvara\"")));
    DV_TRY(uid_add(list, DV_LIT("Model::\"any-other\"")));
    for (size_t i = 0; i < 2; i++) {
        DV_TRY(dv_cedar_scope_uids(sets[i], DV_CEDAR_PART_RESOURCE, uid_add, list));
    }
    uids_unique(list);
    return DV_OK;
}

static dv_result principals_read(dv_call *call, uid_list *list, dv_error *error)
{
    dv_auth_refs refs;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT kind, name FROM auth_entity WHERE kind <> 'group'"
                          " ORDER BY kind DESC, name LIMIT ?1",
                          "i", (int64_t)PRINCIPALS_MAX + 1));
    DV_TRY(dv_auth_read_refs(statement, call->arena, &refs, error));
    for (size_t i = 0; i < refs.count; i++) {
        const char *entity = dv_auth_entity(call->arena, refs.items[i]);
        if (entity == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(uid_add(list, dv_slice_str(entity)));
    }
    return DV_OK;
}

/* --- diff: comparing ------------------------------------------------------------------------- */

typedef struct comparison {
    dv_call *call;
    dv_auth_world worlds[2];
    live_world live;
    uid_list principals, actions, resources;
    dv_auth_question question; /* its context is that of a plain key now */
    json_t *differences;
    size_t decisions;
    bool complete;
    dv_arena *scratch;
    dv_error *error;
} comparison;

static dv_result difference_add(comparison *c, const dv_cedar_answer answers[2])
{
    bool gains = answers[1].decision == DV_ALLOW;
    const dv_auth_question *q = &c->question;
    /* What permits it, or forbids it now; a permission that is simply gone has what permitted it.
     */
    const dv_cedar_answer *told = answers[1].reason_count > 0 ? &answers[1] : &answers[0];
    dv_slice policy = told->reason_count > 0 ? told->reasons[0] : DV_LIT("");
    if (json_array_size(c->differences) == DIFFERENCES_MAX) {
        c->complete = false;
        return DV_OK;
    }
    json_t *json = json_pack("{s:s%, s:s, s:s%, s:s%, s:s%}", "principal",
                             (const char *)q->principal.ptr, q->principal.len, "change",
                             gains ? "gains" : "loses", "action", (const char *)q->action.ptr,
                             q->action.len, "resource", (const char *)q->resource.ptr,
                             q->resource.len, "policy", (const char *)policy.ptr, policy.len);
    return json_array_append_new(c->differences, json) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result compare_one(comparison *c)
{
    dv_cedar_answer answers[2];
    for (size_t i = 0; i < 2; i++) {
        DV_TRY(dv_auth_question_decide(&c->worlds[i], &c->question, c->scratch, &answers[i],
                                       c->error));
    }
    DV_TRY(live_check(&c->live, c->error));
    return answers[0].decision == answers[1].decision ? DV_OK : difference_add(c, answers);
}

static dv_result compare_principal(comparison *c)
{
    for (size_t i = 0; i < c->actions.count; i++) {
        for (size_t j = 0; j < c->resources.count; j++) {
            if (c->decisions++ >= DECISIONS_MAX) {
                c->complete = false;
                return DV_OK;
            }
            c->question.action = c->actions.items[i];
            c->question.resource = c->resources.items[j];
            DV_TRY(compare_one(c));
            dv_arena_reset(c->scratch);
        }
    }
    return DV_OK;
}

static dv_result compare(comparison *c)
{
    c->complete = c->principals.count <= PRINCIPALS_MAX;
    for (size_t i = 0; i < c->principals.count && c->decisions <= DECISIONS_MAX; i++) {
        c->question.principal = c->principals.items[i];
        DV_TRY(compare_principal(c));
    }
    return DV_OK;
}

static dv_result question_make(comparison *c)
{
    dv_error detail;
    json_t *json = json_pack("{s:s, s:s, s:s}", "principal", "User::\"x\"", "action", "x",
                             "resource", "System::\"dvara\"");
    dv_result result =
        dv_auth_question_read(json, c->call->now, c->call->arena, &c->question, &detail);
    json_decref(json);
    return result;
}

static dv_result comparison_run(dv_call *call, const dv_cedar_policy_set *const sets[2],
                                json_t **ret_differences, bool *ret_complete, dv_error *error)
{
    dv_auto(arena) dv_arena *scratch = dv_arena_new(SCRATCH_ARENA);
    dv_auto(access) dv_access access = {0};
    comparison c = {.call = call,
                    .scratch = scratch,
                    .error = error,
                    .principals = {.arena = call->arena},
                    .actions = {.arena = call->arena},
                    .resources = {.arena = call->arena}};
    if (scratch == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    c.live = (live_world){.snapshot = call->services->snapshot, .now = call->now, .arena = scratch};
    for (size_t i = 0; i < 2; i++) {
        c.worlds[i] = (dv_auth_world){sets[i], live_lookup, &c.live};
    }
    DV_TRY(question_make(&c));
    DV_TRY(principals_read(call, &c.principals, error));
    DV_TRY(actions_read(call, sets, &c.actions, error));
    DV_TRY(dv_access_begin(call, &access, error));
    c.live.resources = dv_auth_gate_resources(call->services->gate);
    DV_TRY(resources_read(sets, c.live.resources, &c.resources));
    c.differences = json_array();
    dv_result result = c.differences == NULL ? DV_ERR_NO_MEMORY : compare(&c);
    if (result != DV_OK) {
        json_decref(c.differences);
        return result;
    }
    *ret_differences = c.differences;
    *ret_complete = c.complete;
    return DV_OK;
}

dv_result dv_auth_access_compare(dv_call *call, const dv_auth_documents *before,
                                 const dv_auth_documents *after, json_t *answer, dv_error *error)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *old = NULL;
    dv_auto(cedar_policy_set) dv_cedar_policy_set *new = NULL;
    json_t *differences = NULL;
    bool complete = false;
    DV_TRY(dv_auth_set_parse(call->services->store, before, &old, error));
    DV_TRY(dv_auth_set_parse(call->services->store, after, &new, error));
    const dv_cedar_policy_set *const sets[2] = {old, new};
    DV_TRY(comparison_run(call, sets, &differences, &complete, error));
    DV_TRY(dv_auth_json_set(answer, "access", differences));
    return dv_auth_json_set(answer, "complete", json_boolean(complete));
}
