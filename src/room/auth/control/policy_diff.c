/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"
#include "room/auth/control/known.h"
#include "room/auth/control/live.h"
#include "room/auth/control/policies.h"
#include "room/auth/control/question.h"
#include "room/auth/gate/auth_gate.h"

/* Who would gain or lose what between two sets of policies: every principal, action and resource
 * that is known to either, or that the question names, is decided by both. */

enum { PRINCIPALS_MAX = 1000, DIFFERENCES_MAX = 1000, SCRATCH_ARENA = 64 << 20 };

typedef enum part { PRINCIPAL, ACTION, RESOURCE, PARTS } part;

typedef struct comparison {
    dv_call *call;
    dv_auth_world worlds[2];
    dv_live_world live;
    dv_uid_list lists[PARTS];  /* arranged */
    dv_slice after[PARTS];     /* what was decided last; empty: nothing yet */
    dv_auth_question question; /* its context is that of a plain key now */
    json_t *differences;       /* borrowed from the answer */
    size_t decided;
    bool cut;     /* there are more principals than are asked about */
    bool stopped; /* the page is full, or its time is up */
    dv_time end;
    dv_arena *scratch;
    dv_error *error;
} comparison;

/* --- what to ask about ----------------------------------------------------------------------- */

static dv_result principals_known(comparison *c)
{
    dv_auth_refs refs;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(c->call->services->store, &statement, c->error,
                          "SELECT kind, name FROM auth_entity WHERE kind <> 'group'"
                          " ORDER BY kind DESC, name LIMIT ?1",
                          "i", (int64_t)PRINCIPALS_MAX + 1));
    DV_TRY(dv_auth_read_refs(statement, c->call->arena, &refs, c->error));
    c->cut = refs.count > PRINCIPALS_MAX;
    for (size_t i = 0; i < DV_MIN(refs.count, (size_t)PRINCIPALS_MAX); i++) {
        DV_TRY(dv_uid_list_add_named(&c->lists[PRINCIPAL], dv_auth_kind_type(refs.items[i].kind),
                                     refs.items[i].name));
    }
    return DV_OK;
}

static dv_result known_read(comparison *c, part which)
{
    dv_uid_list *list = &c->lists[which];
    if (which == PRINCIPAL) {
        return principals_known(c);
    }
    for (size_t i = 0; i < 2; i++) {
        const dv_cedar_policy_set *set = c->worlds[i].set;
        DV_TRY(which == ACTION ? dv_known_actions(c->call, set, list, c->error)
                               : dv_known_resources(c->call, set, list, c->error));
    }
    return DV_OK;
}

/* Those that the body names, or else all that are known. */
static dv_result list_read(comparison *c, part which)
{
    static const char *const fields[PARTS] = {"principals", "actions", "resources"};
    const json_t *said = json_object_get(c->call->body, fields[which]);
    c->lists[which].arena = c->call->arena;
    for (size_t i = 0; i < json_array_size(said); i++) {
        dv_slice uid;
        dv_result result =
            dv_auth_uid_read(json_array_get(said, i), which == ACTION ? "Action" : NULL,
                             c->call->arena, &uid, c->error);
        if (result != DV_OK) {
            c->call->error_field = dv_arena_printf(c->call->arena, "%s.%zu", fields[which], i);
            return result;
        }
        DV_TRY(dv_uid_list_add(&c->lists[which], uid));
    }
    DV_TRY(json_array_size(said) > 0 ? DV_OK : known_read(c, which));
    dv_uid_list_arrange(&c->lists[which]);
    return DV_OK;
}

static dv_result cursor_read(comparison *c)
{
    const char *cursor = dv_call_field(c->call, "cursor");
    if (cursor != NULL && dv_known_cursor_read(cursor, PARTS, c->call->arena, c->after) != DV_OK) {
        return dv_call_invalid(c->call, "cursor", c->error, "cursor: give the next of an answer.");
    }
    return DV_OK;
}

static dv_result question_make(comparison *c)
{
    json_t *json = json_pack("{s:s, s:s, s:s}", "principal", "User::\"x\"", "action", "x",
                             "resource", "System::\"dvara\"");
    dv_result result =
        dv_auth_question_read(json, c->call->now, c->call->arena, &c->question, c->error);
    json_decref(json);
    return result;
}

/* --- comparing ------------------------------------------------------------------------------- */

static dv_result difference_add(comparison *c, const dv_cedar_answer answers[2])
{
    bool gains = answers[1].decision == DV_ALLOW;
    const dv_auth_question *q = &c->question;
    /* What permits it, or forbids it now; a permission that is simply gone has what permitted it.
     */
    const dv_cedar_answer *told = answers[1].reason_count > 0 ? &answers[1] : &answers[0];
    dv_slice policy = told->reason_count > 0 ? told->reasons[0] : DV_LIT("");
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
    dv_arena_reset(c->scratch);
    for (size_t i = 0; i < 2; i++) {
        DV_TRY(dv_auth_question_decide(&c->worlds[i], &c->question, c->scratch, &answers[i],
                                       c->error));
    }
    DV_TRY(dv_live_check(&c->live, c->error));
    return answers[0].decision == answers[1].decision ? DV_OK : difference_add(c, answers);
}

/* Of a walk in order, whether this is still to come. */
static bool is_behind(const comparison *c, const dv_slice uids[PARTS])
{
    int order = 0;
    for (size_t i = 0; i < PARTS && order == 0; i++) {
        order = dv_slice_cmp(uids[i], c->after[i]);
    }
    return order > 0;
}

static dv_result compare_at(comparison *c, const dv_slice uids[PARTS])
{
    if (!is_behind(c, uids)) {
        return DV_OK;
    }
    c->question.principal = uids[PRINCIPAL];
    c->question.action = uids[ACTION];
    c->question.resource = uids[RESOURCE];
    DV_TRY(compare_one(c));
    memcpy(c->after, uids, sizeof(c->after));
    c->decided++;
    c->stopped =
        json_array_size(c->differences) == DIFFERENCES_MAX || dv_time_monotonic() >= c->end;
    return DV_OK;
}

static dv_result compare_action(comparison *c, dv_slice principal, dv_slice action)
{
    const dv_uid_list *resources = &c->lists[RESOURCE];
    const char *name = dv_access_action_name(action, c->call->arena);
    for (size_t i = 0; i < resources->count && !c->stopped; i++) {
        const dv_slice uids[PARTS] = {principal, action, resources->items[i]};
        if (name == NULL || dv_access_applies(name, uids[RESOURCE])) {
            DV_TRY(compare_at(c, uids));
        }
    }
    return DV_OK;
}

static dv_result compare(comparison *c)
{
    const dv_uid_list *principals = &c->lists[PRINCIPAL], *actions = &c->lists[ACTION];
    c->end = dv_time_monotonic() + DV_KNOWN_PAGE_TIME;
    for (size_t i = 0; i < principals->count && !c->stopped; i++) {
        bool done = dv_slice_cmp(principals->items[i], c->after[PRINCIPAL]) < 0;
        for (size_t j = 0; j < actions->count && !done && !c->stopped; j++) {
            DV_TRY(compare_action(c, principals->items[i], actions->items[j]));
        }
    }
    return DV_OK;
}

/* --- the answer ------------------------------------------------------------------------------ */

static dv_result comparison_make(comparison *c)
{
    for (int i = 0; i < PARTS; i++) {
        DV_TRY(list_read(c, (part)i));
    }
    DV_TRY(cursor_read(c));
    return question_make(c);
}

static dv_result comparison_answer(const comparison *c, json_t *answer)
{
    const char *next = NULL;
    DV_TRY(dv_auth_json_set(answer, "decided", json_integer((json_int_t)c->decided)));
    DV_TRY(dv_auth_json_set(answer, "complete", json_boolean(!c->cut && !c->stopped)));
    if (!c->stopped) {
        return DV_OK;
    }
    DV_TRY(dv_known_cursor_write(c->after, PARTS, c->call->arena, &next));
    return dv_auth_json_set(answer, "next", json_string(next));
}

static dv_result comparison_run(comparison *c, json_t *answer)
{
    dv_auto(access) dv_access access = {0};
    DV_TRY(dv_access_begin(c->call, &access, c->error));
    c->live.resources = dv_auth_gate_resources(c->call->services->gate);
    DV_TRY(comparison_make(c));
    DV_TRY(dv_auth_json_set(answer, "access", json_array()));
    c->differences = json_object_get(answer, "access");
    DV_TRY(compare(c));
    return comparison_answer(c, answer);
}

dv_result dv_auth_access_compare(dv_call *call, const dv_auth_documents *before,
                                 const dv_auth_documents *after, json_t *answer, dv_error *error)
{
    dv_auto(cedar_policy_set) dv_cedar_policy_set *old = NULL;
    dv_auto(cedar_policy_set) dv_cedar_policy_set *new = NULL;
    dv_auto(arena) dv_arena *scratch = dv_arena_new(SCRATCH_ARENA);
    if (scratch == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_auth_set_parse(call->services->store, before, &old, error));
    DV_TRY(dv_auth_set_parse(call->services->store, after, &new, error));
    comparison c = {.call = call, .scratch = scratch, .error = error};
    c.live =
        (dv_live_world){.snapshot = call->services->snapshot, .now = call->now, .arena = scratch};
    c.worlds[0] = (dv_auth_world){old, dv_live_lookup, &c.live};
    c.worlds[1] = (dv_auth_world){new, dv_live_lookup, &c.live};
    return comparison_run(&c, answer);
}
