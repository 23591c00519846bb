/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

/* One policy for each role that has permissions of its own:
 *
 *   @id("role:admin")
 *   permit(principal in Role::"admin", action, resource);
 *
 * Inheritance is not in the text: a principal has the inherited roles among its ancestors. Names
 * and permissions hold nothing that Cedar's strings would escape (dv_auth_name_ok). */

static dv_result policy_begin(dv_buf *out, const char *role, bool everything)
{
    return dv_buf_append_printf(out, "@id(\"role:%s\")\npermit(principal in Role::\"%s\", action%s",
                                role, role, everything ? ", resource);\n" : " in [");
}

static dv_result actions_write(dv_buf *out, dv_auth_names permissions)
{
    for (size_t i = 0; i < permissions.count; i++) {
        DV_TRY(
            dv_buf_append_printf(out, "%sAction::\"%s\"", i > 0 ? ", " : "", permissions.items[i]));
    }
    return dv_buf_append_str(out, "], resource);\n");
}

dv_result dv_auth_role_policy_write(const char *role, dv_auth_names permissions, dv_buf *out)
{
    bool everything = false;
    for (size_t i = 0; i < permissions.count && !everything; i++) {
        everything = strcmp(permissions.items[i], "*") == 0;
    }
    if (permissions.count == 0) {
        return DV_OK;
    }
    DV_TRY(policy_begin(out, role, everything));
    return everything ? DV_OK : actions_write(out, permissions);
}

static dv_result role_write(dv_store *store, const char *role, dv_buf *out, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_RECORD_MAX * 16);
    dv_auto(statement) dv_statement *statement = NULL;
    dv_auth_names permissions;
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_query(store, &statement, error,
                          "SELECT permission FROM auth_role_permission WHERE role = ?1"
                          " ORDER BY permission",
                          "t", role));
    DV_TRY(dv_auth_read_names(statement, arena, &permissions, error));
    return dv_auth_role_policy_write(role, permissions, out);
}

dv_result dv_auth_policies_write(dv_store *store, dv_buf *out, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(DV_RECORD_MAX * 64);
    dv_auto(statement) dv_statement *statement = NULL;
    dv_auth_names roles;
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(
        dv_store_query(store, &statement, error, "SELECT name FROM auth_role ORDER BY name", ""));
    DV_TRY(dv_auth_read_names(statement, arena, &roles, error));
    for (size_t i = 0; i < roles.count; i++) {
        dv_result result = role_write(store, roles.items[i], out, error);
        if (result != DV_OK) {
            return dv_error_set(error, result, "the policies of all roles together are too large");
        }
    }
    return DV_OK;
}
