/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/auth_control.h"
#include "room/auth/control/policies.h"

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

static dv_result caller_may(dv_call *call, const char *action, bool *ret_may, dv_error *error)
{
    if (dv_auth_caller_is_the_machine(call)) {
        *ret_may = true;
        return DV_OK;
    }
    return dv_auth_caller_may(call, action, "System::\"dvara\"", ret_may, error);
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

const dv_people_source dv_auth_people = {
    .caller_may = caller_may, .entities = entities, .active = active};
