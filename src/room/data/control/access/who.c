/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/access/access.h"

/* Who calls, and what is his to decide. Always asked anew: an owner of yesterday decides nothing.
 */

dv_result dv_data_person_read(dv_call *call, dv_data_person *ret_person, dv_error *error)
{
    dv_data_person person = {0};
    const dv_people_source *people = call->services->people;
    DV_TRY(people->entities(call, call->caller, &person.entities, &person.count, error));
    DV_TRY(people->caller_may(call, "manage_data_access", NULL, &person.manages, error));
    person.views = person.manages;
    if (!person.views) {
        DV_TRY(people->caller_may(call, "view_data_access", NULL, &person.views, error));
    }
    *ret_person = person;
    return DV_OK;
}

bool dv_data_person_is(const dv_data_person *person, const char *entity)
{
    bool is = false;
    for (size_t i = 0; i < person->count && !is; i++) {
        is = strcmp(person->entities[i], entity) == 0;
    }
    return is;
}

bool dv_data_caller_is_person(const dv_call *call)
{
    dv_slice caller = dv_slice_str(call->caller);
    return dv_slice_starts_with(caller, DV_LIT("User::")) ||
           dv_slice_starts_with(caller, DV_LIT("Local::"));
}

/* The inventory's owners are plain names. */
static bool is_named(const dv_call *call, const dv_data_person *person, const char *type,
                     const char *name)
{
    const char *entity = dv_arena_printf(call->arena, "%s::\"%s\"", type, name);
    return entity != NULL && dv_data_person_is(person, entity);
}

bool dv_data_person_decides(const dv_call *call, const dv_data_person *person,
                            const dv_data_thing *thing)
{
    if (person->manages || thing == NULL) {
        return person->manages;
    }
    dv_data_wants wants = dv_data_rules_wants(call->services->data_rules, &thing->labelled);
    if (wants.approvers != NULL) {
        return is_named(call, person, "Group", wants.approvers);
    }
    return thing->owner != NULL && (is_named(call, person, "User", thing->owner) ||
                                    is_named(call, person, "Group", thing->owner));
}

/* *ret_entity stays as it is when there is nobody of that name. */
static dv_result entity_find(dv_call *call, const char *type, const char *name,
                             const char **ret_entity, dv_error *error)
{
    const char *const *unused;
    size_t count;
    const char *entity = dv_arena_printf(call->arena, "%s::\"%s\"", type, name);
    if (entity == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = call->services->people->entities(call, entity, &unused, &count, error);
    *ret_entity = result == DV_OK ? entity : *ret_entity;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_data_approver(dv_call *call, const dv_data_thing *thing, const char **ret_approver,
                           dv_error *error)
{
    const char *approver = "";
    dv_data_wants wants = dv_data_rules_wants(call->services->data_rules, &thing->labelled);
    if (wants.approvers != NULL) {
        DV_TRY(entity_find(call, "Group", wants.approvers, &approver, error));
    } else if (thing->owner != NULL) {
        DV_TRY(entity_find(call, "Group", thing->owner, &approver, error));
        DV_TRY(entity_find(call, "User", thing->owner, &approver, error));
    }
    *ret_approver = approver;
    return DV_OK;
}
