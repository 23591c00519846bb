/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "room/auth/control/known.h"
#include "room/auth/control/policies.h"
#include "room/auth/gate/auth_gate.h"

/* All that one principal may do: every known action with every known thing that it is for, in the
 * order of their uids. A page ends when it is full, or when its time is up, since dvarad has one
 * thread; the next one goes on behind the pair that was decided last. (access_known.c: what is
 * known). */

enum { ALL_SCRATCH = 32 << 20, ALL_PAGE = 1000 };

typedef struct everything {
    dv_call *call;
    dv_access access;
    dv_access_when when;
    const dv_auth_walk *up;
    dv_principal principal;
    const dv_slice *scopes; /* of the key that is asked about; none: not confined */
    size_t scope_count;
    dv_access_uids actions, resources;
    dv_slice after_action, after_resource; /* behind which the page begins; empty: at all */
    dv_arena *scratch;                     /* of one decision */
    json_t *rows;                          /* borrowed from the answer */
    size_t decided;
    size_t depends; /* what is refused, but not without a condition having been asked */
    dv_time end;
    bool full; /* what was decided last is after_action, after_resource */
} everything;

/* --- deciding -------------------------------------------------------------------------------- */

/* "allow"; "forbid": some policy does; "error": some policy could not be evaluated, which refuses;
 * NULL: nothing permits it. */
static const char *word_of(const dv_access_verdict *verdict)
{
    return verdict->allowed            ? "allow"
           : verdict->error_count > 0  ? "error"
           : verdict->policy_count > 0 ? "forbid"
                                       : NULL;
}

static dv_result row_fill(everything *e, const char *action, dv_slice resource,
                          const dv_access_verdict *verdict, json_t *row)
{
    dv_access_verdict told = *verdict;
    if (verdict->error_count > 0) {
        told.policies = verdict->errors;
        told.policy_count = verdict->error_count;
    }
    DV_TRY(dv_auth_json_set(row, "decision", json_string(word_of(verdict))));
    DV_TRY(dv_auth_json_set(row, "action", json_string(action)));
    DV_TRY(
        dv_auth_json_set(row, "resource", json_stringn((const char *)resource.ptr, resource.len)));
    DV_TRY(dv_auth_json_set(row, "conditional", json_boolean(verdict->conditional)));
    return dv_access_through_set(&e->access, e->up, &told, e->scratch, row);
}

static dv_result pair_decide(everything *e, const char *action, dv_slice resource, dv_error *error)
{
    dv_access_verdict verdict;
    const dv_access_asked asked = {.principal = &e->principal,
                                   .scopes = e->scopes,
                                   .scope_count = e->scope_count,
                                   .action = dv_slice_str(action),
                                   .resource = resource};
    DV_TRY(dv_access_ask(&e->access, &e->when, &asked, e->scratch, &verdict, error));
    e->decided++;
    if (word_of(&verdict) == NULL) {
        e->depends += verdict.conditional;
        return DV_OK;
    }
    json_t *row = json_object();
    dv_result result =
        row == NULL ? DV_ERR_NO_MEMORY : row_fill(e, action, resource, &verdict, row);
    if (result != DV_OK) {
        json_decref(row);
        return result;
    }
    return json_array_append_new(e->rows, row) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static bool is_behind(const everything *e, dv_slice action, dv_slice resource)
{
    int order = dv_slice_cmp(action, e->after_action);
    return order > 0 || (order == 0 && dv_slice_cmp(resource, e->after_resource) > 0);
}

static dv_result action_decide(everything *e, dv_slice action, dv_error *error)
{
    const char *name = dv_access_action_name(action, e->call->arena);
    for (size_t i = 0; name != NULL && i < e->resources.count && !e->full; i++) {
        dv_slice resource = e->resources.items[i];
        if (!is_behind(e, action, resource)) {
            continue;
        }
        dv_arena_reset(e->scratch);
        DV_TRY(dv_access_applies(name, resource) ? pair_decide(e, name, resource, error) : DV_OK);
        e->full = json_array_size(e->rows) == ALL_PAGE || dv_time_monotonic() >= e->end;
        e->after_action = action;
        e->after_resource = resource;
    }
    return DV_OK;
}

/* --- the page -------------------------------------------------------------------------------- */

static dv_result cursor_read(everything *e, dv_error *error)
{
    const char *cursor = dv_auth_list_cursor(e->call);
    dv_slice after[2] = {{NULL, 0}};
    dv_result result =
        *cursor == '\0' ? DV_OK
                        : dv_known_cursor_read(cursor, DV_ARRAY_LEN(after), e->call->arena, after);
    if (result != DV_OK) {
        return dv_call_invalid(e->call, "cursor", error, "cursor: give the next of an answer.");
    }
    e->after_action = after[0];
    e->after_resource = after[1];
    return DV_OK;
}

static dv_result next_set(const everything *e, json_t *answer)
{
    const dv_slice after[2] = {e->after_action, e->after_resource};
    const char *next = NULL;
    DV_TRY(dv_known_cursor_write(after, DV_ARRAY_LEN(after), e->call->arena, &next));
    return dv_auth_json_set(answer, "next", json_string(next));
}

static dv_result all_decide(everything *e, json_t *answer, dv_error *error)
{
    DV_TRY(dv_access_known_actions(&e->access, &e->actions, error));
    DV_TRY(dv_access_known_resources(&e->access, &e->resources, error));
    e->end = dv_time_monotonic() + DV_KNOWN_PAGE_TIME;
    for (size_t i = 0; i < e->actions.count && !e->full; i++) {
        if (dv_slice_cmp(e->actions.items[i], e->after_action) >= 0) {
            DV_TRY(action_decide(e, e->actions.items[i], error));
        }
    }
    DV_TRY(dv_auth_json_set(answer, "decided", json_integer((json_int_t)e->decided)));
    DV_TRY(dv_auth_json_set(answer, "depends", json_integer((json_int_t)e->depends)));
    return e->full ? next_set(e, answer) : DV_OK;
}

/* Who is suspended may nothing; there is nothing to decide then. */
static dv_result principal_decide(everything *e, dv_auth_ref ref, json_t *answer, dv_error *error)
{
    dv_time until;
    dv_result result = dv_auth_gate_principal(
        e->call->services->snapshot,
        ref.kind == DV_AUTH_USER ? DV_PRINCIPAL_USER : DV_PRINCIPAL_SERVICE, dv_slice_str(ref.name),
        e->when.at, e->call->arena, &e->principal, &until);
    return result == DV_ERR_UNAUTHENTICATED ? DV_OK
           : result != DV_OK                ? result
                                            : all_decide(e, answer, error);
}

static dv_result key_read(everything *e, dv_auth_ref ref, dv_error *error)
{
    const char *id = dv_call_param(e->call, "api_key");
    dv_auto(statement) dv_statement *row = NULL;
    if (id == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_store_query(e->call->services->store, &row, error,
                          "SELECT scopes FROM auth_api_key WHERE id = ?1 AND kind = ?2"
                          " AND owner = ?3 AND revoked IS NULL"
                          " AND (expires IS NULL OR expires > ?4)",
                          "ttti", id, dv_auth_kind_name(ref.kind), ref.name, e->when.at));
    dv_result result = dv_statement_step(row, error);
    return result == DV_OK ? dv_access_scopes_split(dv_column_slice(row, 0), e->call->arena,
                                                    &e->scopes, &e->scope_count)
           : result == DV_ERR_NOT_FOUND ? dv_error_set(error, result, "%s %s has no live key %s.",
                                                       dv_auth_kind_name(ref.kind), ref.name, id)
                                        : result;
}

dv_result dv_access_all_set(dv_call *call, dv_auth_ref ref, const dv_auth_walk *up, json_t *answer,
                            dv_error *error)
{
    dv_auto(arena) dv_arena *scratch = dv_arena_new(ALL_SCRATCH);
    everything e = {.call = call, .up = up, .scratch = scratch, .rows = json_array()};
    DV_TRY(dv_auth_json_set(answer, "access", e.rows));
    if (scratch == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_access_when_read(call, &e.when, error));
    DV_TRY(key_read(&e, ref, error));
    DV_TRY(cursor_read(&e, error));
    DV_TRY(
        dv_auth_json_set(answer, "assumed", dv_access_when_json(&e.when, e.scopes, e.scope_count)));
    DV_TRY(dv_access_begin(call, &e.access, error));
    e.access.now = e.when.at;
    dv_result result = principal_decide(&e, ref, answer, error);
    dv_access_end(&e.access);
    return result;
}
