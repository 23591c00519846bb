/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"
#include "room/auth/control/known.h"

#include "api/operations.h"
#include "core/data_access.h"
#include "engine/cedar/uid.h"
#include "room/auth/gate/auth_gate.h"

/* Who may do it: decides over users and service accounts in the order of their kinds and names. A
 * page ends when it is full, after DV_LIMIT_CANDIDATES, or when its time is up, since dvarad has
 * one thread; the next one goes on behind the last that was decided. */

enum { WHO_SCRATCH = 32 << 20, KEYS_TOLD = 100 };

typedef struct who {
    dv_call *call;
    dv_access access;
    dv_access_when when;
    dv_slice action;
    dv_slice resource;
    dv_arena *scratch; /* of one principal */
    json_t *items;     /* borrowed from the answer */
    size_t depends;    /* who is refused, but not without a condition having been asked */
} who;

/* --- what is asked --------------------------------------------------------------------------- */

/* What `dvara` calls its own types. */
static const struct {
    const char *word;
    const char *type;
} OWN[] = {{"model", "Model"},
           {"route", "Route"},
           {"system", "System"},
           {"role", "Role"},
           {"vault", "DataVault"}};

static dv_result type_check(dv_call *call, dv_slice type, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM auth_external WHERE type = ?1 LIMIT 1", "s", type));
    dv_result result = dv_statement_step(row, error);
    return result != DV_ERR_NOT_FOUND
               ? result
               : dv_call_invalid(call, "resource", error,
                                 "resource: nothing is registered of the type %.*s; there are "
                                 "model/, route/, role/ and system/, or write Type::\"id\".",
                                 DV_SLICE_ARGS(dv_slice_sub(type, 0, DV_LIMIT_NAME)));
}

/* "model/gpt-x" */
static dv_result short_read(dv_call *call, dv_slice text, size_t slash, dv_slice *ret_uid,
                            dv_error *error)
{
    dv_slice type = dv_slice_sub(text, 0, slash), id = dv_slice_sub(text, slash + 1, text.len);
    bool own = false;
    for (size_t i = 0; i < DV_ARRAY_LEN(OWN) && !own; i++) {
        own = dv_slice_eq_str(type, OWN[i].word);
        type = own ? dv_slice_str(OWN[i].type) : type;
    }
    DV_TRY(own ? DV_OK : type_check(call, type, error));
    return dv_cedar_uid(call->arena, type, id, ret_uid);
}

/* Type::"id" as policies write it; the escapes in it are read, so that it is canonical. */
static dv_result long_read(dv_call *call, dv_slice text, dv_slice *ret_uid)
{
    dv_slice type, id;
    DV_TRY(dv_cedar_uid_read(text, call->arena, &type, &id));
    return dv_cedar_uid(call->arena, type, id, ret_uid);
}

static dv_result resource_read(dv_call *call, dv_slice *ret_uid, dv_error *error)
{
    dv_slice text = dv_slice_str(dv_call_param(call, "resource"));
    ptrdiff_t slash = dv_slice_find_byte(text, '/');
    bool whole = dv_slice_find(text, DV_LIT("::\"")) > 0;
    dv_result result = whole       ? long_read(call, text, ret_uid)
                       : slash > 0 ? short_read(call, text, (size_t)slash, ret_uid, error)
                                   : DV_ERR_INVALID;
    return result == DV_ERR_INVALID && call->error_field == NULL
               ? dv_call_invalid(call, "resource", error,
                                 "resource: write model/gpt-x, or Type::\"id\".")
               : result;
}

/* --- keys ------------------------------------------------------------------------------------ */

/* Whether a key with these scopes may; asked anew only when a condition could tell it apart. */
static dv_result key_ask(who *w, const dv_principal *principal, dv_slice scopes,
                         const dv_access_verdict *plain, dv_access_verdict *ret_verdict,
                         dv_error *error)
{
    dv_access_asked asked = {.principal = principal, .action = w->action, .resource = w->resource};
    DV_TRY(dv_access_scopes_split(scopes, w->scratch, &asked.scopes, &asked.scope_count));
    if (plain->conditional && asked.scope_count > 0) {
        return dv_access_ask(&w->access, &w->when, &asked, w->scratch, ret_verdict, error);
    }
    const dv_credential key = {.scopes = asked.scopes, .scope_count = asked.scope_count};
    *ret_verdict = *plain;
    ret_verdict->allowed = plain->allowed && dv_auth_scope_covers(&key, w->action);
    return DV_OK;
}

/* Ids of the live keys by which it may be done. *verdict is that of the first of them when the
 * principal himself may not. */
static dv_result keys_ask(who *w, dv_auth_ref ref, const dv_principal *principal,
                          dv_access_verdict *verdict, json_t *keys, bool *ret_more, dv_error *error)
{
    const dv_access_verdict plain = *verdict;
    dv_access_verdict own;
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(
        w->call->services->store, &row, error,
        "SELECT id, scopes FROM auth_api_key WHERE kind = ?1 AND owner = ?2 AND revoked IS NULL"
        " AND (expires IS NULL OR expires > ?3) ORDER BY id LIMIT ?4",
        "ttii", dv_auth_kind_name(ref.kind), ref.name, w->when.at, (int64_t)KEYS_TOLD + 1));
    for (size_t i = 0; (result = dv_statement_step(row, error)) == DV_OK; i++) {
        dv_slice id = dv_column_slice(row, 0);
        *ret_more = i == KEYS_TOLD;
        if (*ret_more) {
            return DV_OK;
        }
        DV_TRY(key_ask(w, principal, dv_column_slice(row, 1), &plain, &own, error));
        *verdict = own.allowed && !verdict->allowed ? own : *verdict;
        if (own.allowed &&
            json_array_append_new(keys, json_stringn((const char *)id.ptr, id.len)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* --- a page ---------------------------------------------------------------------------------- */

static dv_result row_fill(who *w, dv_auth_ref ref, const dv_principal *principal,
                          const dv_access_verdict *verdict, json_t *row, dv_error *error)
{
    dv_auth_walk up;
    DV_TRY(dv_auth_walk_up(w->call->services->store, ref, w->scratch, &up, error));
    DV_TRY(
        dv_auth_json_set(row, "principal",
                         json_stringn((const char *)principal->entity.ptr, principal->entity.len)));
    DV_TRY(dv_auth_json_set(row, "conditional", json_boolean(verdict->conditional)));
    return dv_access_through_set(&w->access, &up, verdict, w->scratch, row);
}

/* The principal's row, when he may. */
static dv_result row_make(who *w, dv_auth_ref ref, const dv_principal *principal, json_t *row,
                          bool *ret_may, dv_error *error)
{
    dv_access_verdict verdict;
    bool more = false;
    const dv_access_asked asked = {
        .principal = principal, .action = w->action, .resource = w->resource};
    json_t *keys = json_array();
    DV_TRY(dv_auth_json_set(row, "api_keys", keys));
    DV_TRY(dv_access_ask(&w->access, &w->when, &asked, w->scratch, &verdict, error));
    if (verdict.allowed || verdict.conditional) {
        DV_TRY(keys_ask(w, ref, principal, &verdict, keys, &more, error));
    }
    DV_TRY(dv_auth_json_set(row, "more_api_keys", json_boolean(more)));
    w->depends += !verdict.allowed && verdict.conditional;
    *ret_may = verdict.allowed;
    return verdict.allowed ? row_fill(w, ref, principal, &verdict, row, error) : DV_OK;
}

/* Who is suspended may nothing. */
static dv_result principal_ask(who *w, dv_auth_ref ref, dv_error *error)
{
    dv_principal principal;
    dv_time until;
    bool may = false;
    dv_result result =
        dv_auth_gate_principal(w->call->services->snapshot,
                               ref.kind == DV_AUTH_USER ? DV_PRINCIPAL_USER : DV_PRINCIPAL_SERVICE,
                               dv_slice_str(ref.name), w->when.at, w->scratch, &principal, &until);
    if (result == DV_ERR_UNAUTHENTICATED || result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    json_t *row = json_object();
    result = row == NULL ? DV_ERR_NO_MEMORY : row_make(w, ref, &principal, row, &may, error);
    if (result == DV_OK && may) {
        return json_array_append_new(w->items, row) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
    }
    json_decref(row);
    return result;
}

/* "user alice": behind whom the page begins; absent: at the beginning. */
static dv_result cursor_read(dv_call *call, dv_slice *ret_kind, dv_slice *ret_name, dv_error *error)
{
    dv_auth_kind kind;
    dv_slice rest = dv_slice_str(dv_auth_list_cursor(call));
    *ret_kind = *ret_name = DV_LIT("");
    if (rest.len == 0) {
        return DV_OK;
    }
    bool good = dv_slice_split(&rest, ' ', ret_kind) &&
                dv_auth_kind_parse(*ret_kind, &kind) == DV_OK &&
                (kind == DV_AUTH_USER || kind == DV_AUTH_SERVICE) && dv_auth_name_ok(rest);
    *ret_name = rest;
    return good ? DV_OK
                : dv_call_invalid(call, "cursor", error, "cursor: give the next of an answer.");
}

static dv_result candidates_read(dv_call *call, dv_auth_refs *ret_refs, dv_error *error)
{
    dv_slice kind, name;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(cursor_read(call, &kind, &name, error));
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT kind, name FROM auth_entity WHERE kind <> 'group'"
                          " AND (kind > ?1 OR (kind = ?1 AND name > ?2)) ORDER BY kind, name"
                          " LIMIT ?3",
                          "ssi", kind, name, (int64_t)DV_LIMIT_CANDIDATES + 1));
    return dv_auth_read_refs(statement, call->arena, ret_refs, error);
}

static dv_result page_decide(who *w, dv_error *error)
{
    dv_auth_refs refs = {0};
    size_t limit = (size_t)dv_auth_list_limit(w->call), i = 0;
    DV_TRY(candidates_read(w->call, &refs, error));
    dv_time end = dv_time_monotonic() + DV_KNOWN_PAGE_TIME;
    while (i < refs.count && i < DV_LIMIT_CANDIDATES && json_array_size(w->items) < limit &&
           (i == 0 || dv_time_monotonic() < end)) {
        dv_arena_reset(w->scratch);
        DV_TRY(principal_ask(w, refs.items[i++], error));
    }
    DV_TRY(dv_auth_json_set(w->call->answer, "decided", json_integer((json_int_t)i)));
    DV_TRY(dv_auth_json_set(w->call->answer, "depends", json_integer((json_int_t)w->depends)));
    if (i == refs.count) {
        return DV_OK;
    }
    const dv_auth_ref *last = &refs.items[i - 1];
    const char *next =
        dv_arena_printf(w->call->arena, "%s %s", dv_auth_kind_name(last->kind), last->name);
    return dv_auth_json_set(w->call->answer, "next", dv_auth_json_text(next));
}

static dv_result who_answer(who *w, dv_error *error)
{
    /* Actions with data have the names that requests for grants give them. */
    bool is_data = dv_slice_starts_with(w->resource, DV_LIT(DV_DATA_ASSET_TYPE "::\""));
    DV_TRY(is_data ? DV_OK : dv_access_action_check(&w->access, "action", w->action, error));
    w->items = json_array();
    w->call->answer =
        json_pack("{s:s%, s:s%, s:o, s:o}", "action", (const char *)w->action.ptr, w->action.len,
                  "resource", (const char *)w->resource.ptr, w->resource.len, "assumed",
                  dv_access_when_json(&w->when, NULL, 0), "items", w->items);
    return w->call->answer == NULL ? DV_ERR_NO_MEMORY : page_decide(w, error);
}

dv_result dv_op_access_who_can(dv_call *call, dv_error *error)
{
    dv_auto(arena) dv_arena *scratch = dv_arena_new(WHO_SCRATCH);
    who w = {
        .call = call, .action = dv_slice_str(dv_call_param(call, "action")), .scratch = scratch};
    if (scratch == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_access_when_read(call, &w.when, error));
    DV_TRY(resource_read(call, &w.resource, error));
    DV_TRY(dv_access_begin(call, &w.access, error));
    w.access.now = w.when.at;
    dv_result result = who_answer(&w, error);
    dv_access_end(&w.access);
    return result;
}
