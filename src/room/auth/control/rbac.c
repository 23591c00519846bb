/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/auth_control.h"
#include "room/auth/control/internal.h"

#include "base/caps.h"

/* The rbac: section of dvara.yaml. Its roles are put into the store as they stand there, each time
 * the file is applied; what is no longer there goes, or falls back to what is built in. */

static const char *const SECTION_KEYS[] = {"roles", NULL};
static const char *const ROLE_KEYS[] = {"permissions", "inherits", "description", NULL};

/* --- reading --------------------------------------------------------------------------------- */

static dv_result at(dv_error *error, const dv_yaml *node, const char *what)
{
    return dv_error_set_at(error, DV_ERR_INVALID, node->line, node->column, "rbac: %s", what);
}

static dv_result map_expect(const dv_yaml *node, const char *const keys[], const char *what,
                            dv_error *error)
{
    if (node->type != DV_YAML_MAP) {
        return at(error, node, what);
    }
    return keys == NULL ? DV_OK : dv_yaml_check_keys(node, keys, error);
}

/* A list of names, each good by `ok`. Absent: none. */
static dv_result names_read(const dv_yaml *list, bool (*ok)(dv_slice), const char *what,
                            dv_arena *arena, dv_auth_names *ret_names, dv_error *error)
{
    const char *names[DV_LIMIT_ROLE_PERMISSIONS];
    size_t count = 0;
    if (list != NULL && list->type != DV_YAML_LIST) {
        return at(error, list, what);
    }
    for (const dv_yaml *item = list == NULL ? NULL : list->first; item != NULL; item = item->next) {
        const char *name;
        DV_TRY(dv_yaml_string(item, &name, error));
        if (!ok(dv_slice_str(name))) {
            return at(error, item, what);
        }
        if (count == DV_ARRAY_LEN(names)) {
            return at(error, item, "more than 1024 names in one list");
        }
        names[count++] = name;
    }
    const char **kept = dv_arena_alloc(arena, (count + 1) * sizeof(*kept));
    if (kept == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    memcpy(kept, names, count * sizeof(*kept));
    *ret_names = (dv_auth_names){kept, count};
    return DV_OK;
}

static bool grants_all(dv_auth_names permissions)
{
    bool all = false;
    for (size_t i = 0; i < permissions.count && !all; i++) {
        all = strcmp(permissions.items[i], "*") == 0;
    }
    return all;
}

static dv_result role_read(const dv_yaml *node, dv_arena *arena, dv_auth_role *ret_role,
                           dv_error *error)
{
    dv_auth_role role = {.name = node->key, .source = "yaml"};
    if (!dv_auth_name_ok(dv_slice_str(node->key))) {
        return at(error, node, "a role's name has up to 128 of A-Z a-z 0-9 . _ @ -");
    }
    DV_TRY(map_expect(node, ROLE_KEYS, "a role is a map: {permissions: [...]}", error));
    const dv_yaml *description = dv_yaml_get(node, "description");
    if (description != NULL) {
        DV_TRY(dv_yaml_string(description, &role.description, error));
    }
    DV_TRY(names_read(dv_yaml_get(node, "permissions"), dv_auth_permission_ok,
                      "permissions is a list of names (A-Z a-z 0-9 . _ @ - :) or \"*\"", arena,
                      &role.permissions, error));
    DV_TRY(names_read(dv_yaml_get(node, "inherits"), dv_auth_name_ok,
                      "inherits is a list of names of roles", arena, &role.parents, error));
    if (strcmp(role.name, "admin") == 0 && !grants_all(role.permissions)) {
        return at(error, node, "the role admin has the permission \"*\"");
    }
    *ret_role = role;
    return DV_OK;
}

typedef struct role_list {
    dv_auth_role *items;
    const dv_yaml **nodes;
    size_t count;
} role_list;

static size_t children(const dv_yaml *map)
{
    size_t count = 0;
    for (const dv_yaml *node = map->first; node != NULL; node = node->next) {
        count++;
    }
    return count;
}

static dv_result section_read(const dv_yaml *section, dv_arena *arena, role_list *ret_roles,
                              dv_error *error)
{
    role_list roles = {0};
    const dv_yaml *map = section == NULL ? NULL : dv_yaml_get(section, "roles");
    if (section != NULL) {
        DV_TRY(map_expect(section, SECTION_KEYS, "wants {roles: {NAME: {permissions: [...]}}}",
                          error));
    }
    if (map != NULL) {
        DV_TRY(map_expect(map, NULL, "roles is a map of names to roles", error));
        roles.items = dv_arena_alloc(arena, (children(map) + 1) * sizeof(*roles.items));
        roles.nodes = dv_arena_alloc(arena, (children(map) + 1) * sizeof(*roles.nodes));
        if (roles.items == NULL || roles.nodes == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    for (const dv_yaml *node = map == NULL ? NULL : map->first; node != NULL; node = node->next) {
        DV_TRY(role_read(node, arena, &roles.items[roles.count], error));
        roles.nodes[roles.count++] = node;
    }
    *ret_roles = roles;
    return DV_OK;
}

/* --- checking alone -------------------------------------------------------------------------- */

static ptrdiff_t find(const role_list *roles, const char *name)
{
    ptrdiff_t found = -1;
    for (size_t i = 0; i < roles->count && found < 0; i++) {
        if (strcmp(roles->items[i].name, name) == 0) {
            found = (ptrdiff_t)i;
        }
    }
    return found;
}

/* Whether `name` can be reached from the parents of role i; marks[] keeps it linear. */
static bool inherits_from(const role_list *roles, size_t i, const char *name, bool *marks)
{
    bool found = false;
    const dv_auth_names *parents = &roles->items[i].parents;
    marks[i] = true;
    for (size_t p = 0; p < parents->count && !found; p++) {
        ptrdiff_t next = find(roles, parents->items[p]);
        found = strcmp(parents->items[p], name) == 0 ||
                (next >= 0 && !marks[next] && inherits_from(roles, (size_t)next, name, marks));
    }
    return found;
}

static dv_result circles_check(const role_list *roles, dv_arena *arena, dv_error *error)
{
    bool *marks = dv_arena_alloc(arena, roles->count + 1);
    if (marks == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < roles->count; i++) {
        memset(marks, 0, roles->count);
        if (inherits_from(roles, i, roles->items[i].name, marks)) {
            return dv_error_set_at(
                error, DV_ERR_INVALID, roles->nodes[i]->line, roles->nodes[i]->column,
                "rbac: role %s inherits from itself in a circle", roles->items[i].name);
        }
    }
    return DV_OK;
}

enum { RBAC_ARENA = 64 << 20, ROLES_MAX = 1000 };

static dv_result section_check(const dv_yaml *section, dv_arena *arena, role_list *ret_roles,
                               dv_error *error)
{
    DV_TRY(section_read(section, arena, ret_roles, error));
    if (ret_roles->count > ROLES_MAX) {
        return at(error, section, "more than 1000 roles");
    }
    return circles_check(ret_roles, arena, error);
}

static dv_result check(const dv_yaml *section, dv_error *error)
{
    role_list roles;
    dv_auto(arena) dv_arena *arena = dv_arena_new(RBAC_ARENA);
    return arena == NULL ? DV_ERR_NO_MEMORY : section_check(section, arena, &roles, error);
}

/* --- putting it into force ------------------------------------------------------------------- */

/* Handlers take a call only; this one's work needs its roles, too. */
typedef struct rbac_call {
    dv_call call; /* first */
    role_list roles;
} rbac_call;

/* First round: new roles exist (so that the order in the file does not matter), and changed ones
 * have lost their old parents, which could form a circle with new ones that the file does not have.
 */
static dv_result role_prepare(dv_call *call, const dv_auth_role *role,
                              dv_auth_difference *ret_difference, dv_error *error)
{
    DV_TRY(dv_auth_role_compare(call, role, ret_difference, error));
    dv_auth_role bare = {.name = role->name, .source = role->source};
    switch (*ret_difference) {
    case DV_AUTH_NEW:
        return dv_auth_role_write(call, &bare, true, error);
    case DV_AUTH_CHANGED:
        return dv_store_run(call->services->store, error,
                            "DELETE FROM auth_role_parent WHERE role = ?1", "t", role->name);
    default:
        return DV_OK;
    }
}

static dv_result gone_remove(dv_call *call, const role_list *roles, dv_error *error)
{
    dv_auth_names old;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT name FROM auth_role WHERE source = 'yaml' ORDER BY name", ""));
    DV_TRY(dv_auth_read_names(statement, call->arena, &old, error));
    for (size_t i = 0; i < old.count; i++) {
        const dv_auth_role *builtin = dv_auth_builtin_role(old.items[i]);
        if (find(roles, old.items[i]) >= 0) {
            continue;
        }
        DV_TRY(builtin != NULL ? dv_auth_role_put(call, builtin, error)
                               : dv_auth_role_remove(call, old.items[i], error));
    }
    return DV_OK;
}

static dv_result roles_put(dv_call *call, const role_list *roles, dv_error *error)
{
    dv_auth_difference *differences =
        dv_arena_alloc(call->arena, (roles->count + 1) * sizeof(*differences));
    if (differences == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < roles->count; i++) {
        DV_TRY(role_prepare(call, &roles->items[i], &differences[i], error));
    }
    for (size_t i = 0; i < roles->count; i++) {
        dv_result result = differences[i] == DV_AUTH_SAME
                               ? DV_OK
                               : dv_auth_role_write(call, &roles->items[i], false, error);
        if (result != DV_OK && error != NULL) {
            error->line = roles->nodes[i]->line;
            error->column = roles->nodes[i]->column;
        }
        DV_TRY(result);
    }
    return DV_OK;
}

static dv_result rbac_work(dv_call *call, dv_error *error)
{
    const role_list *roles = &((rbac_call *)call)->roles;
    DV_TRY(gone_remove(call, roles, error));
    return roles_put(call, roles, error);
}

static dv_result apply(const dv_yaml *section, dv_services *services, dv_error *error)
{
    rbac_call rbac = {0};
    DV_TRY(dv_call_system(services, &rbac.call));
    dv_result result = section_check(section, rbac.call.arena, &rbac.roles, error);
    if (result == DV_OK) {
        result = dv_auth_change(&rbac.call, rbac_work, error);
    }
    dv_call_system_end(&rbac.call);
    return result;
}

const dv_config_section dv_auth_rbac_section = {.key = "rbac", .check = check, .apply = apply};
