/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

#include "base/caps.h"

#include "api/operations.h"

/* What a user may do, and through what: walks from the user up through groups and roles, breadth
 * first, and keeps for each the way by which it was reached first (the shortest). */

typedef struct node {
    dv_auth_ref ref;
    const char *way; /* "group ml > role data_scientist" */
} node;

typedef struct walk {
    dv_call *call;
    node nodes[DV_LIMIT_ANCESTORS + 1];
    size_t count;
} walk;

static bool seen(const walk *w, dv_auth_ref ref)
{
    bool found = false;
    for (size_t i = 0; i < w->count && !found; i++) {
        found = w->nodes[i].ref.kind == ref.kind && strcmp(w->nodes[i].ref.name, ref.name) == 0;
    }
    return found;
}

static dv_result reach(walk *w, const node *from, dv_auth_ref to)
{
    if (seen(w, to)) {
        return DV_OK;
    }
    if (w->count == DV_ARRAY_LEN(w->nodes)) {
        return DV_ERR_TOO_LARGE;
    }
    const char *way =
        dv_arena_printf(w->call->arena, "%s%s%s %s", from->way, from->way[0] == '\0' ? "" : " > ",
                        dv_auth_kind_name(to.kind), to.name);
    if (way == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    w->nodes[w->count++] = (node){to, way};
    return DV_OK;
}

/* Groups it is in, roles it has, roles it inherits from. */
static dv_result step(walk *w, const node *from, dv_error *error)
{
    dv_auth_refs above;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(w->call->services->store, &statement, error,
                          "SELECT 'group', group_name FROM auth_member"
                          " WHERE member_kind = ?1 AND member_name = ?2"
                          " UNION SELECT 'role', role FROM auth_assignment"
                          " WHERE kind = ?1 AND name = ?2"
                          " UNION SELECT 'role', parent FROM auth_role_parent"
                          " WHERE ?1 = 'role' AND role = ?2 ORDER BY 1, 2",
                          "tt", dv_auth_kind_name(from->ref.kind), from->ref.name));
    DV_TRY(dv_auth_read_refs(statement, w->call->arena, &above, error));
    for (size_t i = 0; i < above.count; i++) {
        DV_TRY(reach(w, from, above.items[i]));
    }
    return DV_OK;
}

static dv_result walk_up(walk *w, dv_auth_ref start, dv_error *error)
{
    w->nodes[0] = (node){start, ""};
    w->count = 1;
    for (size_t i = 0; i < w->count; i++) {
        node from = w->nodes[i];
        DV_TRY(step(w, &from, error));
    }
    return DV_OK;
}

/* {"permission", "role", "policy", "way"} for each permission of the role. */
static dv_result grants_add(walk *w, const node *role, json_t *grants, dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    const char *policy = dv_arena_printf(w->call->arena, "role:%s", role->ref.name);
    DV_TRY(dv_store_query(w->call->services->store, &statement, error,
                          "SELECT permission FROM auth_role_permission WHERE role = ?1"
                          " ORDER BY permission",
                          "t", role->ref.name));
    DV_TRY(dv_auth_read_names(statement, w->call->arena, &names, error));
    for (size_t i = 0; i < names.count; i++) {
        json_t *grant = json_pack("{s:s, s:s, s:s, s:s}", "permission", names.items[i], "role",
                                  role->ref.name, "policy", policy, "way", role->way);
        if (json_array_append_new(grants, grant) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result nodes_set(walk *w, dv_auth_kind kind, const char *field, json_t *json)
{
    json_t *array = json_array();
    for (size_t i = 1; i < w->count; i++) {
        if (w->nodes[i].ref.kind == kind &&
            json_array_append_new(array, json_pack("{s:s, s:s}", "name", w->nodes[i].ref.name,
                                                   "way", w->nodes[i].way)) != 0) {
            json_decref(array);
            return DV_ERR_NO_MEMORY;
        }
    }
    return dv_auth_json_set(json, field, array);
}

static dv_result grants_set(walk *w, json_t *json, dv_error *error)
{
    json_t *grants = json_array();
    dv_result result = grants == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    for (size_t i = 1; i < w->count && result == DV_OK; i++) {
        if (w->nodes[i].ref.kind == DV_AUTH_ROLE) {
            result = grants_add(w, &w->nodes[i], grants, error);
        }
    }
    if (result != DV_OK) {
        json_decref(grants);
        return result;
    }
    return dv_auth_json_set(json, "permissions", grants);
}

/* Keys by which it can call now, and what confines them. */
static dv_result keys_set(dv_call *call, dv_auth_ref ref, json_t *json, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    json_t *keys = json_array();
    dv_result result = dv_store_query(
        call->services->store, &row, error,
        "SELECT id, scopes FROM auth_api_key WHERE kind = ?1 AND owner = ?2 AND revoked IS NULL"
        " AND (expires IS NULL OR expires > ?3) ORDER BY id",
        "tti", dv_auth_kind_name(ref.kind), ref.name, call->now);
    while (result == DV_OK && (result = dv_statement_step(row, error)) == DV_OK) {
        dv_slice id = dv_column_slice(row, 0);
        dv_slice scopes = dv_column_slice(row, 1);
        json_t *key = json_pack("{s:s%, s:s%}", "id", (const char *)id.ptr, id.len, "scopes",
                                scopes.len == 0 ? "" : (const char *)scopes.ptr, scopes.len);
        result = json_array_append_new(keys, key) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
    }
    if (result != DV_ERR_NOT_FOUND) {
        json_decref(keys);
        return result;
    }
    return dv_auth_json_set(json, "api_keys", keys);
}

static dv_result status_read(dv_call *call, dv_auth_ref ref, json_t *json, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT status FROM auth_entity WHERE kind = ?1 AND name = ?2", "tt",
                          dv_auth_kind_name(ref.kind), ref.name));
    DV_TRY(dv_statement_step(row, error));
    dv_slice status = dv_column_slice(row, 0);
    return dv_auth_json_set(json, "status", json_stringn((const char *)status.ptr, status.len));
}

static dv_result access_fill(dv_call *call, dv_auth_ref ref, json_t *json, dv_error *error)
{
    walk w = {.call = call};
    DV_TRY(walk_up(&w, ref, error));
    DV_TRY(dv_auth_json_set(json, dv_auth_kind_name(ref.kind), json_string(ref.name)));
    DV_TRY(status_read(call, ref, json, error));
    DV_TRY(nodes_set(&w, DV_AUTH_GROUP, "groups", json));
    DV_TRY(nodes_set(&w, DV_AUTH_ROLE, "roles", json));
    DV_TRY(grants_set(&w, json, error));
    return keys_set(call, ref, json, error);
}

dv_result dv_op_access_audit(dv_call *call, dv_error *error)
{
    dv_auth_ref ref;
    DV_TRY(dv_auth_field_ref(call, DV_AUTH_SERVICE, &ref, error));
    DV_TRY(dv_auth_require(call->services->store, ref, error));
    call->answer = json_object();
    return call->answer == NULL ? DV_ERR_NO_MEMORY : access_fill(call, ref, call->answer, error);
}
