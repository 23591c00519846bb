/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/auth_control.h"
#include "room/auth/control/policies.h"

#include "base/nearest.h"
#include "core/data_access.h"

/* Who is who, for this room and for others (core/data_access.h). */

dv_result dv_auth_entities_of(dv_call *call, const char *entity, const char *const **ret_entities,
                              size_t *ret_count, dv_error *error)
{
    dv_auth_ref ref;
    dv_auth_walk walk = {.count = 1};
    if (dv_auth_ref_parse(entity, call->arena, &ref) == DV_OK) {
        DV_TRY(dv_auth_walk_up(call->services->store, ref, call->arena, &walk, error));
    }
    const char **entities = dv_arena_alloc(call->arena, walk.count * sizeof(*entities));
    if (entities == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    entities[0] = entity;
    for (size_t i = 1; i < walk.count; i++) {
        entities[i] = dv_auth_entity(call->arena, walk.nodes[i].ref);
        if (entities[i] == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    *ret_entities = entities;
    *ret_count = walk.count;
    return DV_OK;
}

static dv_result caller_may(dv_call *call, const char *action, const char *resource, bool *ret_may,
                            dv_error *error)
{
    if (dv_auth_caller_is_the_machine(call)) {
        *ret_may = true;
        return DV_OK;
    }
    return dv_auth_caller_may(call, action, resource != NULL ? resource : "System::\"dvara\"",
                              ret_may, error);
}

/* Who is in the store is asked for, too: a name that nobody has yet is nobody's. */
static dv_result entities(dv_call *call, const char *entity, const char *const **ret_entities,
                          size_t *ret_count, dv_error *error)
{
    dv_auth_ref ref;
    if (dv_auth_ref_parse(entity, call->arena, &ref) == DV_OK) {
        DV_TRY(dv_auth_require(call->services->store, ref, error));
    }
    return dv_auth_entities_of(call, entity, ret_entities, ret_count, error);
}

static dv_result active(dv_call *call, const char *entity, bool *ret_active, dv_error *error)
{
    dv_auth_ref ref;
    dv_auto(statement) dv_statement *row = NULL;
    if (dv_auth_ref_parse(entity, call->arena, &ref) != DV_OK) {
        *ret_active = false;
        return DV_OK;
    }
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM auth_entity WHERE kind = ?1 AND name = ?2"
                          " AND (status = 'active' OR kind = 'group')",
                          "tt", dv_auth_kind_name(ref.kind), ref.name));
    dv_result result = dv_statement_step(row, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_active = result == DV_OK;
    return DV_OK;
}

/* ---- names ---- */

enum { NEAR_MAX = 5000 }; /* names among which the nearest is looked for */

/* Names of one type, as the store has them. kind: NULL is roles. */
typedef struct naming {
    dv_call *call;
    const char *kind;
    const char *name;
} naming;

static dv_result find_name(const naming *n, dv_statement **row, dv_error *error)
{
    dv_store *store = n->call->services->store;
    return n->kind == NULL
               ? dv_store_query(store, row, error, "SELECT 1 FROM auth_role WHERE name = ?1", "t",
                                n->name)
               : dv_store_query(store, row, error,
                                "SELECT 1 FROM auth_entity WHERE kind = ?1 AND name = ?2", "tt",
                                n->kind, n->name);
}

/* Those of about the same length. */
static dv_result find_alike(const naming *n, dv_statement **row, dv_error *error)
{
    dv_store *store = n->call->services->store;
    int64_t length = (int64_t)strlen(n->name);
    return n->kind == NULL
               ? dv_store_query(store, row, error,
                                "SELECT name FROM auth_role WHERE abs(length(name) - ?1) <= 3"
                                " ORDER BY name LIMIT ?2",
                                "ii", length, (int64_t)NEAR_MAX)
               : dv_store_query(store, row, error,
                                "SELECT name FROM auth_entity WHERE kind = ?1"
                                " AND abs(length(name) - ?2) <= 3 ORDER BY name LIMIT ?3",
                                "tii", n->kind, length, (int64_t)NEAR_MAX);
}

static const char *name_at(const void *data, size_t index)
{
    return ((const char *const *)data)[index];
}

static dv_result nearest(const naming *n, const char **ret_near, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    const char **names = dv_arena_alloc(n->call->arena, NEAR_MAX * sizeof(*names));
    size_t count = 0;
    dv_result result = names != NULL ? find_alike(n, &row, error) : DV_ERR_NO_MEMORY;
    while (result == DV_OK && (result = dv_statement_step(row, error)) == DV_OK) {
        dv_slice name = dv_column_slice(row, 0);
        names[count] = dv_arena_printf(n->call->arena, "%.*s", DV_SLICE_ARGS(name));
        result = names[count++] != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    }
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_near = dv_nearest(n->name, count, name_at, names);
    return DV_OK;
}

static dv_result known(dv_call *call, const char *type, const char *name, bool *ret_known,
                       const char **ret_near, dv_error *error)
{
    static const char *const kinds[][2] = {
        {"User", "user"}, {"Service", "service"}, {"Group", "group"}, {"Role", NULL}};
    dv_auto(statement) dv_statement *row = NULL;
    naming n = {.call = call, .name = name};
    size_t i = 0;
    while (i < DV_ARRAY_LEN(kinds) && strcmp(kinds[i][0], type) != 0) {
        i++;
    }
    if (i == DV_ARRAY_LEN(kinds)) {
        return dv_error_set(error, DV_ERR_INVALID, "'%.32s' is no type of a principal", type);
    }
    n.kind = kinds[i][1];
    DV_TRY(find_name(&n, &row, error));
    dv_result result = dv_statement_step(row, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_known = result == DV_OK;
    *ret_near = NULL;
    return *ret_known ? DV_OK : nearest(&n, ret_near, error);
}

const dv_people_source dv_auth_people = {
    .caller_may = caller_may, .entities = entities, .known = known, .active = active};
