/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "api/operations.h"

/* What a user is and has: groups, roles and their permissions, with the way to each (of several the
 * shortest), and keys; then what all policies together make of it (access_all.c). */

typedef struct access_walk {
    dv_call *call;
    dv_auth_walk up;
} access_walk;

/* {"permission", "role", "policy", "way", "until"} for each permission of the role. */
static dv_result grants_add(access_walk *w, size_t index, json_t *grants, dv_error *error)
{
    const char *role = w->up.nodes[index].ref.name;
    const char *way = dv_access_way(&w->up, index, w->call->arena);
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    const char *policy = dv_arena_printf(w->call->arena, "role:%s", role);
    DV_TRY(dv_store_query(w->call->services->store, &statement, error,
                          "SELECT permission FROM auth_role_permission WHERE role = ?1"
                          " ORDER BY permission",
                          "t", role));
    DV_TRY(dv_auth_read_names(statement, w->call->arena, &names, error));
    for (size_t i = 0; i < names.count; i++) {
        json_t *grant = json_pack("{s:s, s:s, s:s, s:s, s:o}", "permission", names.items[i], "role",
                                  role, "policy", policy, "way", way, "until",
                                  dv_auth_json_time(w->up.nodes[index].until));
        if (json_array_append_new(grants, grant) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static dv_result nodes_set(access_walk *w, dv_auth_kind kind, const char *field, json_t *json)
{
    json_t *array = json_array();
    for (size_t i = 1; i < w->up.count; i++) {
        if (w->up.nodes[i].ref.kind == kind &&
            json_array_append_new(
                array, json_pack("{s:s, s:s, s:o}", "name", w->up.nodes[i].ref.name, "way",
                                 dv_access_way(&w->up, i, w->call->arena), "until",
                                 dv_auth_json_time(w->up.nodes[i].until))) != 0) {
            json_decref(array);
            return DV_ERR_NO_MEMORY;
        }
    }
    return dv_auth_json_set(json, field, array);
}

static dv_result grants_set(access_walk *w, json_t *json, dv_error *error)
{
    json_t *grants = json_array();
    dv_result result = grants == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    for (size_t i = 1; i < w->up.count && result == DV_OK; i++) {
        if (w->up.nodes[i].ref.kind == DV_AUTH_ROLE) {
            result = grants_add(w, i, grants, error);
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
    dv_result result = dv_store_query(call->services->store, &row, error,
                                      "SELECT id, scopes, expires FROM auth_api_key WHERE kind = "
                                      "?1 AND owner = ?2 AND revoked IS NULL"
                                      " AND (expires IS NULL OR expires > ?3) ORDER BY id",
                                      "tti", dv_auth_kind_name(ref.kind), ref.name, call->now);
    while (result == DV_OK && (result = dv_statement_step(row, error)) == DV_OK) {
        dv_slice id = dv_column_slice(row, 0);
        dv_slice scopes = dv_column_slice(row, 1);
        dv_time expires = dv_column_is_null(row, 2) ? DV_TIME_NEVER : dv_column_int(row, 2);
        json_t *key = json_pack("{s:s%, s:s%, s:o}", "id", (const char *)id.ptr, id.len, "scopes",
                                scopes.len == 0 ? "" : (const char *)scopes.ptr, scopes.len,
                                "expires", dv_auth_json_time(expires));
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
    access_walk w = {.call = call};
    DV_TRY(dv_auth_walk_up(call->services->store, ref, call->arena, &w.up, error));
    DV_TRY(dv_auth_json_set(json, dv_auth_kind_name(ref.kind), json_string(ref.name)));
    DV_TRY(status_read(call, ref, json, error));
    DV_TRY(nodes_set(&w, DV_AUTH_GROUP, "groups", json));
    DV_TRY(nodes_set(&w, DV_AUTH_ROLE, "roles", json));
    DV_TRY(grants_set(&w, json, error));
    DV_TRY(keys_set(call, ref, json, error));
    return dv_access_all_set(call, ref, &w.up, json, error);
}

dv_result dv_op_access_audit(dv_call *call, dv_error *error)
{
    dv_auth_ref ref;
    DV_TRY(dv_auth_field_ref(call, DV_AUTH_SERVICE, &ref, error));
    DV_TRY(dv_auth_require(call->services->store, ref, error));
    call->answer = json_object();
    return call->answer == NULL ? DV_ERR_NO_MEMORY : access_fill(call, ref, call->answer, error);
}
