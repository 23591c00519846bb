/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/policies.h"

#include "base/caps.h"

#include "api/operations.h"

/* Roles: named sets of permissions that inherit from others, and who has them. A role that came
 * from dvara.yaml belongs to that file. */

#define NAMES(...)                                                                                 \
    {                                                                                              \
        (const char *const[]){__VA_ARGS__}, DV_ARRAY_LEN(((const char *[]){__VA_ARGS__}))          \
    }

const dv_auth_role DV_AUTH_BUILTIN_ROLES[] = {
    {"admin", "May do everything.", "builtin", NAMES("*"), {NULL, 0}},
    {"model_user", "May call models.", "builtin", NAMES("use_model"), {NULL, 0}},
    {"auditor",
     "May read the audit log, limits and who may do what.",
     "builtin",
     NAMES("view_access", "view_api_keys", "view_audit", "view_data_access", "view_limits",
           "view_policies", "view_roles", "view_status", "view_users"),
     {NULL, 0}},
    {"viewer",
     "May look at dashboards, limits, metrics and status.",
     "builtin",
     NAMES("view_dashboards", "view_limits", "view_metrics", "view_status"),
     {NULL, 0}},
};

const size_t DV_AUTH_BUILTIN_ROLE_COUNT = DV_ARRAY_LEN(DV_AUTH_BUILTIN_ROLES);

const dv_auth_role *dv_auth_builtin_role(const char *name)
{
    for (size_t i = 0; i < DV_AUTH_BUILTIN_ROLE_COUNT; i++) {
        if (strcmp(DV_AUTH_BUILTIN_ROLES[i].name, name) == 0) {
            return &DV_AUTH_BUILTIN_ROLES[i];
        }
    }
    return NULL;
}

/* --- reading --------------------------------------------------------------------------------- */

static dv_result role_names(dv_store *store, const char *sql, const char *role, dv_arena *arena,
                            dv_auth_names *ret_names, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(store, &statement, error, sql, "t", role));
    return dv_auth_read_names(statement, arena, ret_names, error);
}

static dv_result text_column(dv_statement *row, int column, dv_arena *arena, const char **ret_text)
{
    dv_slice text;
    if (dv_column_is_null(row, column)) {
        *ret_text = NULL;
        return DV_OK;
    }
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, column), &text));
    *ret_text = (const char *)text.ptr;
    return DV_OK;
}

dv_result dv_auth_role_read(dv_store *store, const char *name, dv_arena *arena,
                            dv_auth_role *ret_role, dv_error *error)
{
    dv_auth_role role = {.name = name};
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT description, source FROM auth_role WHERE name = ?1", "t", name));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "there is no role named %s", name);
    }
    DV_TRY(result);
    DV_TRY(text_column(row, 0, arena, &role.description));
    DV_TRY(text_column(row, 1, arena, &role.source));
    DV_TRY(role_names(store,
                      "SELECT permission FROM auth_role_permission WHERE role = ?1"
                      " ORDER BY permission",
                      name, arena, &role.permissions, error));
    DV_TRY(role_names(store, "SELECT parent FROM auth_role_parent WHERE role = ?1 ORDER BY parent",
                      name, arena, &role.parents, error));
    *ret_role = role;
    return DV_OK;
}

static json_t *role_json(const dv_auth_role *role)
{
    return json_pack("{s:s, s:o, s:s, s:o, s:o}", "name", role->name, "description",
                     dv_auth_json_text(role->description), "source", role->source, "permissions",
                     dv_auth_json_names(role->permissions), "inherits",
                     dv_auth_json_names(role->parents));
}

/* --- making it so ---------------------------------------------------------------------------- */

static bool names_equal(dv_auth_names a, dv_auth_names b)
{
    bool equal = a.count == b.count;
    for (size_t i = 0; i < a.count && equal; i++) {
        equal = dv_auth_names_have(b, a.items[i]);
    }
    return equal;
}

static bool text_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool role_equal(const dv_auth_role *a, const dv_auth_role *b)
{
    return text_equal(a->description, b->description) && strcmp(a->source, b->source) == 0 &&
           names_equal(a->permissions, b->permissions) && names_equal(a->parents, b->parents);
}

static dv_result role_check(dv_call *call, const dv_auth_role *role, dv_error *error)
{
    if (!dv_auth_name_ok(dv_slice_str(role->name))) {
        return dv_call_invalid(call, "name", error,
                               "a role's name has up to 128 of A-Z a-z 0-9 . _ @ - and begins "
                               "with a letter or digit");
    }
    if (role->permissions.count > DV_LIMIT_ROLE_PERMISSIONS) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "role %s has more than %d permissions",
                            role->name, DV_LIMIT_ROLE_PERMISSIONS);
    }
    for (size_t i = 0; i < role->permissions.count; i++) {
        if (!dv_auth_permission_ok(dv_slice_str(role->permissions.items[i]))) {
            return dv_call_invalid(call, dv_arena_printf(call->arena, "permissions.%zu", i), error,
                                   "\"%s\" is no name of a permission: A-Z a-z 0-9 . _ @ - :, "
                                   "or * for all",
                                   role->permissions.items[i]);
        }
    }
    return DV_OK;
}

static dv_result permissions_write(dv_store *store, const dv_auth_role *role, dv_error *error)
{
    DV_TRY(dv_store_run(store, error, "DELETE FROM auth_role_permission WHERE role = ?1", "t",
                        role->name));
    for (size_t i = 0; i < role->permissions.count; i++) {
        DV_TRY(dv_store_run(store, error,
                            "INSERT INTO auth_role_permission (role, permission)"
                            " VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                            "tt", role->name, role->permissions.items[i]));
    }
    return DV_OK;
}

static dv_result parents_write(dv_call *call, const dv_auth_role *role, dv_error *error)
{
    dv_store *store = call->services->store;
    DV_TRY(dv_store_run(store, error, "DELETE FROM auth_role_parent WHERE role = ?1", "t",
                        role->name));
    for (size_t i = 0; i < role->parents.count; i++) {
        const char *parent = role->parents.items[i];
        dv_result result = dv_auth_require(store, (dv_auth_ref){DV_AUTH_ROLE, parent}, error);
        if (result == DV_OK) {
            result = dv_auth_check_role_edge(store, role->name, parent, error);
        }
        if (result != DV_OK) {
            call->error_field = dv_arena_printf(call->arena, "inherits.%zu", i);
            return result;
        }
        DV_TRY(dv_store_run(store, error,
                            "INSERT INTO auth_role_parent (role, parent) VALUES (?1, ?2)"
                            " ON CONFLICT DO NOTHING",
                            "tt", role->name, parent));
    }
    return DV_OK;
}

static dv_result role_audit(dv_call *call, const dv_auth_role *role, bool is_new, dv_error *error)
{
    json_t *json = role_json(role);
    if (json == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_audit_entity(call, is_new ? DV_ENTITY_CREATE : DV_ENTITY_UPDATE, "role",
                                       role->name, NULL, json, error);
    json_decref(json);
    return result;
}

static dv_result row_write(dv_call *call, const dv_auth_role *role, dv_error *error)
{
    dv_result result =
        dv_store_run(call->services->store, error,
                     "INSERT INTO auth_role (name, description, source, created, updated)"
                     " VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (name) DO UPDATE"
                     " SET description = ?2, source = ?3, updated = ?4",
                     "ttti", role->name, role->description, role->source, call->now);
    return result == DV_ERR_EXISTS
               ? dv_error_set(error, result, "a role named like %s exists (upper or lower case)",
                              role->name)
               : result;
}

static dv_result named_check(dv_call *call, dv_auth_names parents, dv_auth_names but,
                             dv_error *error)
{
    for (size_t i = 0; i < parents.count; i++) {
        if (!dv_auth_names_have(but, parents.items[i])) {
            DV_TRY(dv_auth_check_named(call, (dv_auth_ref){DV_AUTH_ROLE, parents.items[i]}, error));
        }
    }
    return DV_OK;
}

/* Who has the role gets the parents that are new and loses those that are gone. */
static dv_result parents_check(dv_call *call, const dv_auth_role *role, dv_error *error)
{
    dv_auth_names old;
    DV_TRY(role_names(call->services->store, "SELECT parent FROM auth_role_parent WHERE role = ?1",
                      role->name, call->arena, &old, error));
    DV_TRY(named_check(call, role->parents, old, error));
    return named_check(call, old, role->parents, error);
}

dv_result dv_auth_role_write(dv_call *call, const dv_auth_role *role, bool is_new, dv_error *error)
{
    dv_auth_ref ref = {DV_AUTH_ROLE, role->name};
    dv_auth_grantor grantor;
    DV_TRY(role_check(call, role, error));
    /* Before the role changes: it may be one that the caller has. */
    DV_TRY(dv_auth_grantor_read(call, DV_AUTH_FOR_GOOD, &grantor, error));
    DV_TRY(parents_check(call, role, error));
    DV_TRY(row_write(call, role, error));
    DV_TRY(permissions_write(call->services->store, role, error));
    DV_TRY(parents_write(call, role, error));
    DV_TRY(dv_auth_grantor_check(call, &grantor, ref, error));
    DV_TRY(dv_auth_touch(call, ref, error));
    DV_TRY(dv_auth_touch_policies(call, error));
    return role_audit(call, role, is_new, error);
}

dv_result dv_auth_role_compare(dv_call *call, const dv_auth_role *role,
                               dv_auth_difference *ret_difference, dv_error *error)
{
    dv_auth_role old = {0};
    dv_result found =
        dv_auth_role_read(call->services->store, role->name, call->arena, &old, error);
    if (found != DV_OK && found != DV_ERR_NOT_FOUND) {
        return found;
    }
    *ret_difference = found != DV_OK           ? DV_AUTH_NEW
                      : role_equal(&old, role) ? DV_AUTH_SAME
                                               : DV_AUTH_CHANGED;
    return DV_OK;
}

dv_result dv_auth_role_put(dv_call *call, const dv_auth_role *role, dv_error *error)
{
    dv_auth_difference difference;
    DV_TRY(dv_auth_role_compare(call, role, &difference, error));
    return difference == DV_AUTH_SAME
               ? DV_OK
               : dv_auth_role_write(call, role, difference == DV_AUTH_NEW, error);
}

/* --- removing -------------------------------------------------------------------------------- */

/* All who lose it: found before the row goes. */
static dv_result holders_touch(dv_call *call, const char *name, dv_error *error)
{
    dv_auth_refs holders;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT kind, name FROM auth_assignment WHERE role = ?1"
                          " UNION SELECT 'role', role FROM auth_role_parent WHERE parent = ?1",
                          "t", name));
    DV_TRY(dv_auth_read_refs(statement, call->arena, &holders, error));
    for (size_t i = 0; i < holders.count; i++) {
        DV_TRY(dv_auth_touch(call, holders.items[i], error));
    }
    return DV_OK;
}

dv_result dv_auth_role_remove(dv_call *call, const char *name, dv_error *error)
{
    DV_TRY(holders_touch(call, name, error));
    DV_TRY(dv_auth_touch_policies(call, error));
    DV_TRY(dv_review_note_gone(call, NULL, &(dv_auth_ref){DV_AUTH_ROLE, name}, error));
    DV_TRY(dv_store_run(call->services->store, error, "DELETE FROM auth_role WHERE name = ?1", "t",
                        name));
    return dv_audit_entity(call, DV_ENTITY_DELETE, "role", name, NULL, NULL, error);
}

/* --- assignment ------------------------------------------------------------------------------ */

/* grant: as it was given; NULL: it ended or was taken. */
static dv_result assignment_audit(dv_call *call, const char *role, dv_auth_ref holder,
                                  const dv_auth_grant *grant, dv_error *error)
{
    const char *entity = dv_auth_entity(call->arena, holder);
    const char *object = dv_auth_entity(call->arena, (dv_auth_ref){DV_AUTH_ROLE, role});
    if (entity == NULL || object == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    const dv_slice privilege = dv_slice_str(object);
    const dv_event_access access = {
        .holder = dv_slice_str(entity),
        .privileges = &privilege,
        .privilege_count = 1,
        .until = grant != NULL ? grant->until : 0,
        .reason = grant != NULL ? dv_slice_str(grant->reason) : (dv_slice){NULL, 0},
        .break_glass = grant != NULL && grant->break_glass,
    };
    return dv_audit_access(call, grant != NULL ? DV_ACCESS_GRANT : DV_ACCESS_REVOKE, &access,
                           error);
}

/* A role that is there for good is not made to end by asking for an hour of it, and breaking the
 * glass, which asks for no right to the role, shortens nobody's. */
static dv_result assignment_check(dv_call *call, const char *role, dv_auth_ref holder,
                                  const dv_auth_grant *grant, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    char until[DV_TIME_TEXT_MAX] = "";
    if (grant->until == 0) {
        return DV_OK;
    }
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT expires FROM auth_assignment WHERE role = ?1 AND kind = ?2"
                          " AND name = ?3 AND (expires IS NULL OR (?4 AND expires > ?5))",
                          "tttii", role, dv_auth_kind_name(holder.kind), holder.name,
                          (int64_t)grant->break_glass, grant->until));
    dv_result result = dv_statement_step(row, error);
    if (result != DV_OK) {
        return result == DV_ERR_NOT_FOUND ? DV_OK : result;
    }
    if (!dv_column_is_null(row, 0)) {
        dv_time_format(dv_column_int(row, 0), until);
    }
    return dv_error_set(error, DV_ERR_CONFLICT, "%s %s has the role %s %s%s",
                        dv_auth_kind_name(holder.kind), holder.name, role,
                        *until == '\0' ? "for good" : "until ", until);
}

/* In an emergency a role may be given that the giver does not have: who may, policies say, role by
 * role (permit(..., action == Action::"break_glass", resource == Role::"oncall")). */
static dv_result break_glass_check(dv_call *call, const char *role, dv_error *error)
{
    dv_auth_grantor grantor;
    bool may = false;
    const char *resource = dv_auth_entity(call->arena, (dv_auth_ref){DV_AUTH_ROLE, role});
    DV_TRY(dv_auth_grantor_read(call, dv_time_now(), &grantor, error));
    if (grantor.all) {
        return DV_OK;
    }
    if (resource == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_auth_caller_may(call, "break_glass", resource, &may, error));
    return may ? DV_OK
               : dv_error_set(error, DV_ERR_FORBIDDEN,
                              "no policy permits you break_glass on Role::\"%s\"", role);
}

static dv_result break_glass_alert(dv_call *call, const char *role, dv_auth_ref holder,
                                   const dv_auth_grant *grant, dv_error *error)
{
    char until[DV_TIME_TEXT_MAX];
    dv_time_format(grant->until, until);
    const char *title =
        dv_arena_printf(call->arena, "%s took the role %s for %s %s until %s: %s", call->caller,
                        role, dv_auth_kind_name(holder.kind), holder.name, until, grant->reason);
    const char *about = dv_auth_entity(call->arena, holder);
    return title == NULL || about == NULL
               ? DV_ERR_NO_MEMORY
               : dv_audit_alarm_about(call, "auth.break_glass", title, about, error);
}

dv_result dv_auth_assign(dv_call *call, const char *role, dv_auth_ref holder,
                         const dv_auth_grant *grant, dv_error *error)
{
    dv_store *store = call->services->store;
    dv_auth_ref role_ref = {DV_AUTH_ROLE, role};
    dv_auto(statement) dv_statement *insert = NULL;
    dv_time last = grant->until == 0 ? DV_AUTH_FOR_GOOD : grant->until - 1;
    DV_TRY(dv_auth_require(store, role_ref, error));
    DV_TRY(dv_auth_require(store, holder, error));
    if (grant->break_glass && holder.kind == DV_AUTH_GROUP) {
        return dv_call_invalid(call, "group", error,
                               "the glass is broken for one user or service, not for a group");
    }
    DV_TRY(grant->break_glass ? break_glass_check(call, role, error)
                              : dv_auth_check_grant(call, role_ref, last, error));
    DV_TRY(assignment_check(call, role, holder, grant, error));
    DV_TRY(dv_store_query(store, &insert, error,
                          "INSERT INTO auth_assignment"
                          " (role, kind, name, created, reason, break_glass, expires)"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (role, kind, name)"
                          " DO UPDATE SET reason = ?5, break_glass = ?6, expires = ?7",
                          "tttitii", role, dv_auth_kind_name(holder.kind), holder.name, call->now,
                          grant->reason, (int64_t)grant->break_glass, grant->until));
    if (grant->until == 0) {
        DV_TRY(dv_bind_null(insert, 7));
    }
    dv_result result = dv_statement_step(insert, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    DV_TRY(dv_auth_touch(call, holder, error));
    DV_TRY(assignment_audit(call, role, holder, grant, error));
    return grant->break_glass ? break_glass_alert(call, role, holder, grant, error) : DV_OK;
}

/* --- roles that end -------------------------------------------------------------------------- */

typedef struct ended {
    const char *role;
    dv_auth_ref holder;
} ended;

enum { SWEEP_MAX = 256 };

static dv_result ended_read(dv_call *call, ended items[SWEEP_MAX], size_t *ret_count,
                            dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    size_t count = 0;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT role, kind, name FROM auth_assignment WHERE expires <= ?1"
                          " ORDER BY expires LIMIT ?2",
                          "ii", call->now, (int64_t)SWEEP_MAX));
    while (count < SWEEP_MAX && (result = dv_statement_step(row, error)) == DV_OK) {
        dv_slice role, name;
        DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 0), &role));
        DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 2), &name));
        DV_TRY(dv_auth_kind_parse(dv_column_slice(row, 1), &items[count].holder.kind));
        items[count].role = (const char *)role.ptr;
        items[count++].holder.name = (const char *)name.ptr;
    }
    *ret_count = count;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result sweep(dv_call *call, dv_error *error)
{
    ended items[SWEEP_MAX];
    size_t count = 0;
    DV_TRY(ended_read(call, items, &count, error));
    for (size_t i = 0; i < count; i++) {
        const ended *one = &items[i];
        DV_TRY(dv_store_run(call->services->store, error,
                            "DELETE FROM auth_assignment WHERE role = ?1 AND kind = ?2"
                            " AND name = ?3",
                            "ttt", one->role, dv_auth_kind_name(one->holder.kind),
                            one->holder.name));
        DV_TRY(dv_auth_touch(call, one->holder, error));
        DV_TRY(dv_review_note_gone(call, &one->holder, &(dv_auth_ref){DV_AUTH_ROLE, one->role},
                                   error));
        DV_TRY(assignment_audit(call, one->role, one->holder, NULL, error));
    }
    return DV_OK;
}

dv_result dv_auth_grants_sweep(dv_services *services, dv_error *error)
{
    dv_call call;
    ended items[SWEEP_MAX];
    size_t count = 0;
    DV_TRY(dv_call_system(services, &call));
    dv_result result = ended_read(&call, items, &count, error);
    if (result == DV_OK && count > 0) {
        result = dv_auth_change(&call, sweep, error);
    }
    dv_call_system_end(&call);
    return result;
}

dv_result dv_auth_unassign(dv_call *call, const char *role, dv_auth_ref holder, dv_error *error)
{
    dv_store *store = call->services->store;
    dv_auth_ref role_ref = {DV_AUTH_ROLE, role};
    DV_TRY(dv_auth_require(store, role_ref, error));
    DV_TRY(dv_auth_check_grant(call, role_ref, dv_time_now(), error));
    DV_TRY(dv_store_run(store, error,
                        "DELETE FROM auth_assignment WHERE role = ?1 AND kind = ?2 AND name = ?3",
                        "ttt", role, dv_auth_kind_name(holder.kind), holder.name));
    if (dv_store_changes(store) == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s %s does not have the role %s itself",
                            dv_auth_kind_name(holder.kind), holder.name, role);
    }
    DV_TRY(dv_auth_touch(call, holder, error));
    DV_TRY(dv_review_note_gone(call, &holder, &(dv_auth_ref){DV_AUTH_ROLE, role}, error));
    return assignment_audit(call, role, holder, NULL, error);
}

/* --- operations ------------------------------------------------------------------------------ */

static dv_result role_item(dv_call *call, const char *name, json_t **ret_json, dv_error *error)
{
    dv_auth_role role;
    DV_TRY(dv_auth_role_read(call->services->store, name, call->arena, &role, error));
    json_t *json = role_json(&role);
    if (json == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_json = json;
    return DV_OK;
}

dv_result dv_op_role_list(dv_call *call, dv_error *error)
{
    return dv_auth_list(call, "SELECT name FROM auth_role WHERE name > ?1 ORDER BY name LIMIT ?2",
                        role_item, error);
}

dv_result dv_op_role_show(dv_call *call, dv_error *error)
{
    return role_item(call, dv_call_param(call, "name"), &call->answer, error);
}

static dv_result role_create(dv_call *call, dv_error *error)
{
    dv_auth_difference difference;
    dv_auth_role role = {.name = dv_call_field(call, "name"),
                         .description = dv_call_field(call, "description"),
                         .source = "api"};
    DV_TRY(dv_auth_role_compare(call, &role, &difference, error));
    if (difference != DV_AUTH_NEW) {
        return dv_error_set(error, DV_ERR_EXISTS, "a role named %s exists", role.name);
    }
    DV_TRY(dv_auth_field_names(call, "permissions", &role.permissions));
    DV_TRY(dv_auth_field_names(call, "inherits", &role.parents));
    DV_TRY(dv_auth_role_write(call, &role, true, error));
    return role_item(call, role.name, &call->answer, error);
}

dv_result dv_op_role_create(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, role_create, error);
}

/* dvara.yaml's roles are changed there, and the built-in ones stay what the manual says. */
static dv_result role_check_owner(const dv_auth_role *role, dv_error *error)
{
    if (strcmp(role->source, "yaml") == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "role %s comes from rbac: in dvara.yaml; change it there and reload",
                            role->name);
    }
    if (strcmp(role->source, "builtin") == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "role %s is built in; make a role of your own that inherits from it",
                            role->name);
    }
    return DV_OK;
}

static dv_result role_update(dv_call *call, dv_error *error)
{
    dv_auth_role role;
    const char *name = dv_call_param(call, "name");
    DV_TRY(dv_auth_role_read(call->services->store, name, call->arena, &role, error));
    DV_TRY(role_check_owner(&role, error));
    if (json_object_get(call->body, "description") != NULL) {
        role.description = dv_call_field(call, "description");
    }
    if (json_object_get(call->body, "permissions") != NULL) {
        DV_TRY(dv_auth_field_names(call, "permissions", &role.permissions));
    }
    if (json_object_get(call->body, "inherits") != NULL) {
        DV_TRY(dv_auth_field_names(call, "inherits", &role.parents));
    }
    DV_TRY(dv_auth_role_put(call, &role, error));
    return role_item(call, name, &call->answer, error);
}

dv_result dv_op_role_update(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, role_update, error);
}

static dv_result role_delete(dv_call *call, dv_error *error)
{
    dv_auth_role role;
    const char *name = dv_call_param(call, "name");
    DV_TRY(dv_auth_role_read(call->services->store, name, call->arena, &role, error));
    DV_TRY(role_check_owner(&role, error));
    DV_TRY(dv_auth_check_grant(call, (dv_auth_ref){DV_AUTH_ROLE, name}, dv_time_now(), error));
    return dv_auth_role_remove(call, name, error);
}

dv_result dv_op_role_delete(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, role_delete, error);
}

/* Answers with whom it was given to (or taken from) and which role. */
static dv_result assignment_answer(dv_call *call, const char *role, dv_auth_ref holder,
                                   const dv_auth_grant *grant)
{
    call->answer =
        json_pack("{s:s, s:s, s:o, s:b}", "role", role, dv_auth_kind_name(holder.kind), holder.name,
                  "until", dv_auth_json_time(grant->until), "break_glass", grant->break_glass);
    return call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

enum { BREAK_GLASS_HOURS = 24 };

static dv_result grant_read(dv_call *call, dv_auth_grant *ret_grant, dv_error *error)
{
    dv_auth_grant grant = {.reason = dv_call_field(call, "reason"),
                           .break_glass = json_is_true(json_object_get(call->body, "break_glass"))};
    DV_TRY(dv_auth_field_time(call, "until", &grant.until, error));
    if (grant.break_glass && (grant.reason == NULL || *grant.reason == '\0')) {
        return dv_call_invalid(call, "reason", error, "breaking the glass wants a reason");
    }
    if (grant.break_glass && grant.until == 0) {
        grant.until = call->now + 3600 * DV_SECOND;
    }
    if (grant.break_glass && grant.until - call->now > BREAK_GLASS_HOURS * 3600 * DV_SECOND) {
        return dv_call_invalid(call, "until", error, "breaking the glass is for %d hours at most",
                               BREAK_GLASS_HOURS);
    }
    *ret_grant = grant;
    return DV_OK;
}

static dv_result role_assign(dv_call *call, dv_error *error)
{
    dv_auth_ref holder;
    dv_auth_grant grant = {0};
    const char *role = dv_call_param(call, "role");
    DV_TRY(dv_auth_field_ref(call, DV_AUTH_GROUP, &holder, error));
    DV_TRY(grant_read(call, &grant, error));
    DV_TRY(dv_auth_assign(call, role, holder, &grant, error));
    return assignment_answer(call, role, holder, &grant);
}

dv_result dv_op_role_assign(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, role_assign, error);
}

static dv_result role_unassign(dv_call *call, dv_error *error)
{
    dv_auth_ref holder;
    const char *role = dv_call_param(call, "role");
    DV_TRY(dv_auth_field_ref(call, DV_AUTH_GROUP, &holder, error));
    return dv_auth_unassign(call, role, holder, error);
}

dv_result dv_op_role_unassign(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, role_unassign, error);
}
