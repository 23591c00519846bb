/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "api/operations.h"
#include "engine/cedar/describe.h"
#include "engine/cedar/uid.h"
#include "room/auth/control/policies.h"
#include "room/auth/gate/auth_gate.h"
#include "room/auth/gate/resources.h"

/* What there is to ask about. Known actions: those of the API, of roles, and those that policies
 * name. Known things: Dvara itself, the roles, the models and routes of dvara.yaml, what policies
 * name, and a model that nothing names. */

typedef struct uid_list {
    dv_arena *arena;
    dv_slice *items;
    size_t count;
    size_t cap;
} uid_list;

static dv_result uid_add(void *data, dv_slice uid)
{
    uid_list *list = data;
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? 64 : 2 * list->cap;
        dv_slice *larger = dv_arena_alloc_raw(list->arena, cap * sizeof(*larger));
        if (larger == NULL) {
            return DV_ERR_NO_MEMORY;
        }
        if (list->count > 0) {
            memcpy(larger, list->items, list->count * sizeof(*larger));
        }
        list->items = larger;
        list->cap = cap;
    }
    list->items[list->count++] = uid;
    return DV_OK;
}

static int order(const void *a, const void *b)
{
    return dv_slice_cmp(*(const dv_slice *)a, *(const dv_slice *)b);
}

static void arrange(uid_list *list)
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

static dv_result named_add(uid_list *list, const char *type, const char *name)
{
    dv_slice uid;
    DV_TRY(dv_cedar_uid(list->arena, dv_slice_str(type), dv_slice_str(name), &uid));
    return uid_add(list, uid);
}

static dv_result stored_add(dv_call *call, const char *type, const char *sql, uid_list *list,
                            dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error, sql, ""));
    DV_TRY(dv_auth_read_names(statement, call->arena, &names, error));
    for (size_t i = 0; i < names.count; i++) {
        DV_TRY(named_add(list, type, names.items[i]));
    }
    return DV_OK;
}

dv_result dv_access_known_actions(const dv_access *access, dv_access_uids *ret_uids,
                                  dv_error *error)
{
    uid_list list = {.arena = access->call->arena};
    DV_TRY(named_add(&list, "Action", "use_model"));
    DV_TRY(named_add(&list, "Action", "break_glass"));
    DV_TRY(stored_add(access->call, "Action",
                      "SELECT DISTINCT permission FROM auth_role_permission"
                      " WHERE permission <> '*'",
                      &list, error));
    for (size_t i = 0; i < dv_operation_count; i++) {
        DV_TRY(named_add(&list, "Action", dv_operations[i].permission));
    }
    DV_TRY(dv_cedar_scope_uids(access->policies, DV_CEDAR_PART_ACTION, uid_add, &list));
    arrange(&list);
    *ret_uids = (dv_access_uids){list.items, list.count};
    return DV_OK;
}

/* In conditions, too: [Model::"a", Model::"b"].contains(resource). */
static dv_result mention_add(void *data, const dv_cedar_mention *mention)
{
    dv_slice type;
    DV_TRY(dv_cedar_uid_type(mention->uid, &type));
    bool wanted = dv_slice_eq_str(type, "Model") || dv_slice_eq_str(type, "Route");
    return wanted ? uid_add(data, mention->uid) : DV_OK;
}

dv_result dv_access_known_resources(const dv_access *access, dv_access_uids *ret_uids,
                                    dv_error *error)
{
    dv_call *call = access->call;
    uid_list list = {.arena = call->arena};
    DV_TRY(named_add(&list, "System", "dvara"));
    DV_TRY(named_add(&list, "Model", "any-other"));
    DV_TRY(dv_resources_each(dv_auth_gate_resources(call->services->gate), uid_add, &list));
    DV_TRY(stored_add(call, "Role", "SELECT name FROM auth_role", &list, error));
    DV_TRY(dv_cedar_scope_uids(access->policies, DV_CEDAR_PART_RESOURCE, uid_add, &list));
    DV_TRY(dv_cedar_mentions(access->policies, mention_add, &list));
    arrange(&list);
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
