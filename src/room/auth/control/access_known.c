/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"
#include "room/auth/control/known.h"

#include "api/operations.h"
#include "base/codec.h"
#include "engine/cedar/describe.h"
#include "engine/cedar/uid.h"
#include "room/auth/control/policies.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/resources.h"

/* What there is to ask about. Known actions: those of the API, of roles, and those that policies
 * name. Known things: Dvara itself, the roles, the models and routes of dvara.yaml, what policies
 * name, and a model that nothing names. */

enum { CURSOR_MAX = 16 << 10 };

/* --- lists ----------------------------------------------------------------------------------- */

dv_result dv_uid_list_add(void *data, dv_slice uid)
{
    dv_uid_list *list = data;
    dv_slice *items =
        dv_arena_grow(list->arena, list->items, list->count, &list->cap, sizeof(*items), 64);
    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    list->items = items;
    list->items[list->count++] = uid;
    return DV_OK;
}

dv_result dv_uid_list_add_named(dv_uid_list *list, const char *type, const char *name)
{
    dv_slice uid;
    DV_TRY(dv_cedar_uid(list->arena, dv_slice_str(type), dv_slice_str(name), &uid));
    return dv_uid_list_add(list, uid);
}

static int order(const void *a, const void *b)
{
    return dv_slice_cmp(*(const dv_slice *)a, *(const dv_slice *)b);
}

void dv_uid_list_arrange(dv_uid_list *list)
{
    size_t kept = 0;
    if (list->count > 1) {
        qsort(list->items, list->count, sizeof(*list->items), order);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || !dv_slice_eq(list->items[kept - 1], list->items[i])) {
            list->items[kept++] = list->items[i];
        }
    }
    list->count = kept;
}

/* --- what is known --------------------------------------------------------------------------- */

static dv_result stored_add(dv_call *call, const char *type, const char *sql, dv_uid_list *list,
                            dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error, sql, ""));
    DV_TRY(dv_auth_read_names(statement, call->arena, &names, error));
    for (size_t i = 0; i < names.count; i++) {
        DV_TRY(dv_uid_list_add_named(list, type, names.items[i]));
    }
    return DV_OK;
}

dv_result dv_known_actions(dv_call *call, const dv_cedar_policy_set *policies, dv_uid_list *list,
                           dv_error *error)
{
    for (size_t i = 0; i < dv_auth_own_action_count; i++) {
        DV_TRY(dv_uid_list_add_named(list, "Action", dv_auth_own_actions[i].name));
    }
    DV_TRY(stored_add(call, "Action",
                      "SELECT DISTINCT permission FROM auth_role_permission"
                      " WHERE permission <> '*'",
                      list, error));
    for (size_t i = 0; i < dv_operation_count; i++) {
        DV_TRY(dv_uid_list_add_named(list, "Action", dv_operations[i].permission));
    }
    return dv_cedar_scope_uids(policies, DV_CEDAR_PART_ACTION, dv_uid_list_add, list);
}

/* In conditions, too: [Model::"a", Model::"b"].contains(resource). */
static dv_result mention_add(void *data, const dv_cedar_mention *mention)
{
    dv_slice type;
    DV_TRY(dv_cedar_uid_type(mention->uid, &type));
    bool wanted = dv_slice_eq_str(type, "Model") || dv_slice_eq_str(type, "Route");
    return wanted ? dv_uid_list_add(data, mention->uid) : DV_OK;
}

dv_result dv_known_resources(dv_call *call, const dv_cedar_policy_set *policies, dv_uid_list *list,
                             dv_error *error)
{
    DV_TRY(dv_uid_list_add_named(list, "System", "dvara"));
    DV_TRY(dv_uid_list_add_named(list, "Model", "any-other"));
    DV_TRY(dv_resources_each(dv_auth_gate_resources(call->services->gate), dv_uid_list_add, list));
    DV_TRY(stored_add(call, "Role", "SELECT name FROM auth_role", list, error));
    DV_TRY(dv_cedar_scope_uids(policies, DV_CEDAR_PART_RESOURCE, dv_uid_list_add, list));
    return dv_cedar_mentions(policies, mention_add, list);
}

dv_result dv_access_known_actions(const dv_access *access, dv_access_uids *ret_uids,
                                  dv_error *error)
{
    dv_uid_list list = {.arena = access->call->arena};
    DV_TRY(dv_known_actions(access->call, access->policies, &list, error));
    dv_uid_list_arrange(&list);
    *ret_uids = (dv_access_uids){list.items, list.count};
    return DV_OK;
}

dv_result dv_access_known_resources(const dv_access *access, dv_access_uids *ret_uids,
                                    dv_error *error)
{
    dv_uid_list list = {.arena = access->call->arena};
    DV_TRY(dv_known_resources(access->call, access->policies, &list, error));
    dv_uid_list_arrange(&list);
    *ret_uids = (dv_access_uids){list.items, list.count};
    return DV_OK;
}

const char *dv_access_action_name(dv_slice action, dv_arena *arena)
{
    dv_slice type, id;
    bool plain =
        dv_cedar_uid_read(action, arena, &type, &id) == DV_OK && dv_slice_eq_str(type, "Action");
    return plain ? dv_arena_printf(arena, "%.*s", DV_SLICE_ARGS(id)) : NULL;
}

bool dv_access_applies(const char *action, dv_slice resource)
{
    dv_slice type;
    return dv_cedar_uid_type(resource, &type) == DV_OK &&
           (!dv_auth_schema_has_type(type) || dv_auth_schema_applies(action, type));
}

/* --- where a walk goes on -------------------------------------------------------------------- */

/* Base64url of the uids with newlines between them, which no uid has. */
dv_result dv_known_cursor_write(const dv_slice *uids, size_t count, dv_arena *arena,
                                const char **ret_cursor)
{
    dv_auto(buf) dv_buf plain = dv_buf_init(CURSOR_MAX);
    dv_auto(buf) dv_buf coded = dv_buf_init((size_t)2 * CURSOR_MAX);
    dv_slice cursor;
    for (size_t i = 0; i < count; i++) {
        DV_TRY(i == 0 ? DV_OK : dv_buf_append_byte(&plain, '\n'));
        DV_TRY(dv_buf_append(&plain, uids[i]));
    }
    DV_TRY(dv_base64url_encode(dv_buf_slice(&plain), &coded));
    DV_TRY(dv_arena_copy(arena, dv_buf_slice(&coded), &cursor));
    *ret_cursor = (const char *)cursor.ptr;
    return DV_OK;
}

dv_result dv_known_cursor_read(const char *cursor, size_t count, dv_arena *arena,
                               dv_slice *ret_uids)
{
    dv_auto(buf) dv_buf plain = dv_buf_init(CURSOR_MAX);
    dv_slice rest;
    size_t parts = 1;
    if (dv_base64url_decode(dv_slice_str(cursor), &plain) != DV_OK) {
        return DV_ERR_INVALID;
    }
    for (size_t i = 0; i < plain.len; i++) {
        parts += plain.ptr[i] == '\n';
    }
    if (parts != count) {
        return DV_ERR_INVALID;
    }
    DV_TRY(dv_arena_copy(arena, dv_buf_slice(&plain), &rest));
    for (size_t i = 0; i + 1 < count; i++) {
        (void)dv_slice_split(&rest, '\n', &ret_uids[i]);
    }
    ret_uids[count - 1] = rest;
    return DV_OK;
}

/* --- what may be asked about --------------------------------------------------------------- */

static dv_result named_visit(void *data, dv_slice uid)
{
    const dv_slice *wanted = data;
    return dv_slice_eq(uid, *wanted) ? DV_ERR_EXISTS : DV_OK;
}

static dv_result permission_exists(dv_call *call, dv_slice name, bool *ret_exists, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM auth_role_permission WHERE permission = ?1 LIMIT 1", "s",
                          name));
    dv_result result = dv_statement_step(row, error);
    *ret_exists = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* A slip of the pen would otherwise be answered with those who may do anything. */
dv_result dv_access_action_check(const dv_access *access, const char *field, dv_slice action,
                                 dv_error *error)
{
    dv_slice uid;
    dv_call *call = access->call;
    bool known = false;
    for (size_t i = 0; i < dv_auth_own_action_count && !known; i++) {
        known = dv_slice_eq_str(action, dv_auth_own_actions[i].name);
    }
    for (size_t i = 0; i < dv_operation_count && !known; i++) {
        known = dv_slice_eq_str(action, dv_operations[i].permission);
    }
    DV_TRY(known ? DV_OK : permission_exists(call, action, &known, error));
    if (!known && dv_cedar_uid(call->arena, DV_LIT("Action"), action, &uid) == DV_OK) {
        known = dv_cedar_scope_uids(access->policies, DV_CEDAR_PART_ACTION, named_visit, &uid) ==
                DV_ERR_EXISTS;
    }
    return known ? DV_OK
                 : dv_call_invalid(call, field, error,
                                   "action: no operation, role or policy names %.*s.",
                                   DV_SLICE_ARGS(action));
}
