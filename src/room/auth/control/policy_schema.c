/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "api/operations.h"
#include "core/data_access.h"

/* The schema that policies are checked against: what there is, and what the gate tells of it
 * (gate/context.h). Actions are those that Dvara asks for and the permissions of all roles: naming
 * one in rbac: declares it. */

enum { SCHEMA_MAX = 4 << 20 };

/* What dvara.yaml says of a model or route; empty: nothing (core/resources.h). */
#define RESOURCE "tier: String, classification: String, labels: Set<String>"

static const char TYPES[] = "// Who and what there is.\n"
                            "entity Role in [Role];\n"
                            "entity Group in [Group, Role];\n"
                            "entity User in [Group, Role];\n"
                            "entity Service in [Group, Role];\n"
                            "entity ModelGroup;\n"
                            "entity Model in [ModelGroup] = {" RESOURCE "};\n"
                            "entity Route = {" RESOURCE "};\n"
                            "entity System;\n"
                            "entity DataVault;\n"
                            "\n"
                            "// What the gate tells of a request.\n"
                            "type Request = {\n"
                            "  now: datetime,\n"
                            "  weekday: Long,\n"
                            "  address?: ipaddr,\n"
                            "  credential: String,\n"
                            "  mfa: Bool,\n"
                            "  scopes: Set<String>,\n"
                            "};\n"
                            "\n";

bool dv_auth_schema_has_type(dv_slice type)
{
    static const char *const types[] = {"Role",  "Group",  "User",   "Service",    "Model",
                                        "Route", "System", "Action", "ModelGroup", "DataVault"};
    bool found = false;
    for (size_t i = 0; i < DV_ARRAY_LEN(types) && !found; i++) {
        found = dv_slice_eq_str(type, types[i]);
    }
    return found;
}

const dv_auth_own_action dv_auth_own_actions[] = {
    {"use_model", "Model, Route"}, {"break_glass", "Role"}, {"detokenize", DV_DATA_VAULT_TYPE}};
const size_t dv_auth_own_action_count = DV_ARRAY_LEN(dv_auth_own_actions);

static int order(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_operation(const char *action)
{
    bool found = false;
    for (size_t i = 0; i < dv_operation_count && !found; i++) {
        found = strcmp(dv_operations[i].permission, action) == 0;
    }
    return found;
}

static const char *resources_of(const char *action)
{
    for (size_t i = 0; i < dv_auth_own_action_count; i++) {
        if (strcmp(action, dv_auth_own_actions[i].name) == 0) {
            return dv_auth_own_actions[i].resources;
        }
    }
    return is_operation(action) ? "System" : "Model, Route, System, Role";
}

bool dv_auth_schema_applies(const char *action, dv_slice type)
{
    dv_slice rest = dv_slice_str(resources_of(action)), one;
    bool found = false;
    while (!found && dv_slice_split(&rest, ',', &one)) {
        found = dv_slice_eq(dv_slice_trim(one), type);
    }
    return found;
}

static dv_result actions_write(const char *const *names, size_t count, dv_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        bool again = i > 0 && strcmp(names[i - 1], names[i]) == 0;
        if (again || strcmp(names[i], "*") == 0) {
            continue;
        }
        DV_TRY(dv_buf_append_printf(out,
                                    "action \"%s\" appliesTo {principal: [User, Service], "
                                    "resource: [%s], context: Request};\n",
                                    names[i], resources_of(names[i])));
    }
    return DV_OK;
}

dv_result dv_auth_schema_write(dv_auth_names declared, dv_arena *arena, dv_buf *out)
{
    size_t count = 0;
    size_t most = dv_operation_count + declared.count + dv_auth_own_action_count;
    const char **names = dv_arena_alloc(arena, most * sizeof(*names));
    if (names == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < dv_auth_own_action_count; i++) {
        names[count++] = dv_auth_own_actions[i].name;
    }
    for (size_t i = 0; i < dv_operation_count; i++) {
        names[count++] = dv_operations[i].permission;
    }
    for (size_t i = 0; i < declared.count; i++) {
        names[count++] = declared.items[i];
    }
    qsort(names, count, sizeof(*names), order);
    DV_TRY(dv_buf_append_str(out, TYPES));
    return actions_write(names, count, out);
}

static dv_result store_schema_write(dv_store *store, dv_arena *arena, dv_buf *out, dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(store, &statement, error,
                          "SELECT DISTINCT permission FROM auth_role_permission", ""));
    DV_TRY(dv_auth_read_names(statement, arena, &names, error));
    return dv_auth_schema_write(names, arena, out);
}

dv_result dv_auth_schema_read(dv_store *store, dv_arena *arena, dv_cedar_schema **ret_schema,
                              dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(SCHEMA_MAX);
    DV_TRY(store_schema_write(store, arena, &text, error));
    return dv_cedar_schema_parse(dv_buf_slice(&text), ret_schema, error);
}

dv_result dv_op_policy_schema(dv_call *call, dv_error *error)
{
    dv_auto(buf) dv_buf text = dv_buf_init(SCHEMA_MAX);
    DV_TRY(store_schema_write(call->services->store, call->arena, &text, error));
    call->answer = json_pack("{s:s%}", "text", (const char *)text.ptr, text.len);
    return call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}
