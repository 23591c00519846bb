/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/access.h"

#include "api/operations.h"
#include "base/caps.h"
#include "engine/cedar/entities.h"

/* Entities of other systems. They are asked for by decisions of dvarad alone, one by one, so the
 * snapshot does not hold them.
 *
 * A type that is Dvara's own can't be registered, and can't be a parent: who may register entities
 * would otherwise hand out what roles permit. */

static const char *const OWN_TYPES[] = {"User",   "Service",    "Group",    "Role",
                                        "Model",  "Route",      "System",   "Local",
                                        "Action", "ModelGroup", "DataVault"};

/* --- reading what is given ------------------------------------------------------------------- */

static dv_result own_refuse(dv_slice type, dv_error *error)
{
    for (size_t i = 0; i < DV_ARRAY_LEN(OWN_TYPES); i++) {
        if (dv_slice_eq_str(type, OWN_TYPES[i])) {
            return dv_error_set(
                error, DV_ERR_INVALID,
                "%s is a type of Dvara's own: entities of other systems have others", OWN_TYPES[i]);
        }
    }
    return DV_OK;
}

/* {"type", "id"}, or with {"__entity"} around it. */
static dv_result uid_read(dv_call *call, const json_t *json, dv_slice *ret_type, dv_slice *ret_id,
                          dv_slice *ret_uid, dv_error *error)
{
    const json_t *inner = json_object_get(json, "__entity");
    const json_t *uid = inner != NULL ? inner : json;
    dv_slice type = dv_slice_str(json_string_value(json_object_get(uid, "type")));
    dv_slice id = dv_slice_str(json_string_value(json_object_get(uid, "id")));
    if (type.len == 0 || id.len == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "an entity's uid has a type and an id");
    }
    DV_TRY(own_refuse(type, error));
    dv_result result = dv_cedar_uid(call->arena, type, id, ret_uid);
    *ret_type = type;
    *ret_id = id;
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result == DV_ERR_NO_MEMORY ? result : DV_ERR_INVALID,
                              "the type must be identifiers joined by \"::\", the id at most %d "
                              "bytes",
                              DV_LIMIT_CEDAR_UID);
}

/* A record as its text, which Cedar has read once. */
static dv_result record_text(dv_call *call, const json_t *record, const char *name,
                             dv_slice *ret_text, dv_error *error)
{
    dv_cedar_value value;
    if (record == NULL) {
        *ret_text = DV_LIT("{}");
        return DV_OK;
    }
    char *text = dv_arena_alloc_raw(call->arena, DV_LIMIT_ENTITY_RECORD);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    size_t len = json_dumpb(record, text, DV_LIMIT_ENTITY_RECORD, JSON_COMPACT | JSON_SORT_KEYS);
    if (len > DV_LIMIT_ENTITY_RECORD) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "%s has more than %d bytes", name,
                            DV_LIMIT_ENTITY_RECORD);
    }
    dv_error detail = {0};
    *ret_text = dv_slice_of(text, len);
    dv_result result = dv_cedar_record_parse(*ret_text, call->arena, &value, &detail);
    return result == DV_OK || detail.message[0] == '\0'
               ? result
               : dv_error_set(error, result, "%s: %s", name, detail.message);
}

/* --- writing --------------------------------------------------------------------------------- */

typedef struct external {
    dv_slice uid;
    dv_slice type;
    dv_slice id;
    dv_slice attrs;
    dv_slice tags;
} external;

static dv_result parents_write(dv_call *call, const external *e, const json_t *parents,
                               dv_error *error)
{
    dv_store *store = call->services->store;
    DV_TRY(
        dv_store_run(store, error, "DELETE FROM auth_external_parent WHERE uid = ?1", "s", e->uid));
    for (size_t i = 0; i < json_array_size(parents); i++) {
        dv_slice type, id, uid;
        DV_TRY(uid_read(call, json_array_get(parents, i), &type, &id, &uid, error));
        DV_TRY(dv_store_run(store, error,
                            "INSERT INTO auth_external_parent (uid, parent) VALUES (?1, ?2)"
                            " ON CONFLICT DO NOTHING",
                            "ss", e->uid, uid));
    }
    return DV_OK;
}

/* *ret_new: it was not known. */
static dv_result row_write(dv_call *call, const external *e, bool *ret_new, dv_error *error)
{
    dv_store *store = call->services->store;
    DV_TRY(dv_store_run(store, error,
                        "UPDATE auth_external SET attrs = ?2, tags = ?3, updated = ?4"
                        " WHERE uid = ?1",
                        "sssi", e->uid, e->attrs, e->tags, call->now));
    *ret_new = dv_store_changes(store) == 0;
    return *ret_new ? dv_store_run(store, error,
                                   "INSERT INTO auth_external (uid, type, id, attrs, tags,"
                                   " created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
                                   "sssssi", e->uid, e->type, e->id, e->attrs, e->tags, call->now)
                    : DV_OK;
}

static dv_result entity_write(dv_call *call, const json_t *json, external *e, bool *ret_new,
                              dv_error *error)
{
    DV_TRY(uid_read(call, json_object_get(json, "uid"), &e->type, &e->id, &e->uid, error));
    DV_TRY(record_text(call, json_object_get(json, "attrs"), "attrs", &e->attrs, error));
    DV_TRY(record_text(call, json_object_get(json, "tags"), "tags", &e->tags, error));
    DV_TRY(row_write(call, e, ret_new, error));
    return parents_write(call, e, json_object_get(json, "parents"), error);
}

/* Looked at when all are written, since they may be each other's parents. */
static dv_result ancestors_check(dv_call *call, const external *e, dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(
        call->services->store, &statement, error,
        "WITH RECURSIVE up (uid) AS (SELECT parent FROM auth_external_parent WHERE uid = ?1"
        " UNION SELECT p.parent FROM auth_external_parent p JOIN up ON p.uid = up.uid LIMIT ?2)"
        " SELECT uid FROM up",
        "si", e->uid, (int64_t)DV_LIMIT_ANCESTORS + 1));
    DV_TRY(dv_auth_read_names(statement, call->arena, &names, error));
    for (size_t i = 0; i < names.count; i++) {
        if (dv_slice_eq_str(e->uid, names.items[i])) {
            return dv_error_set(error, DV_ERR_CONFLICT, "%.*s would be its own ancestor",
                                DV_SLICE_ARGS(dv_slice_sub(e->uid, 0, 200)));
        }
    }
    return names.count > DV_LIMIT_ANCESTORS
               ? dv_error_set(error, DV_ERR_TOO_LARGE, "%.*s would have more than %d ancestors",
                              DV_SLICE_ARGS(dv_slice_sub(e->uid, 0, 200)), DV_LIMIT_ANCESTORS)
               : DV_OK;
}

static dv_result total_check(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT count(*) FROM auth_external", ""));
    DV_TRY(dv_statement_step(statement, error));
    return dv_column_int(statement, 0) > DV_LIMIT_ENTITIES
               ? dv_error_set(error, DV_ERR_TOO_LARGE, "there would be more than %d entities",
                              DV_LIMIT_ENTITIES)
               : DV_OK;
}

static dv_result apply_audit(dv_call *call, const external *entities, size_t count, dv_error *error)
{
    enum { NAMED = 20 }; /* in the record */
    json_t *uids = json_array();
    for (size_t i = 0; uids != NULL && i < DV_MIN(count, (size_t)NAMED); i++) {
        json_array_append_new(uids, json_stringn((const char *)entities[i].uid.ptr,
                                                 DV_MIN(entities[i].uid.len, (size_t)512)));
    }
    json_t *change = json_pack("{s:I, s:o}", "count", (json_int_t)count, "first", uids);
    if (change == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result =
        dv_audit_entity(call, DV_ENTITY_UPDATE, "entities", call->request_id, NULL, change, error);
    json_decref(change);
    return result;
}

/* Names the entity that is wrong. */
static dv_result item_refuse(dv_call *call, size_t index, dv_result result)
{
    call->error_field = dv_arena_printf(call->arena, "entities.%zu", index);
    return result;
}

static dv_result entities_apply(dv_call *call, dv_error *error)
{
    const json_t *list = json_object_get(call->body, "entities");
    size_t count = json_array_size(list);
    json_int_t created = 0;
    external *entities = dv_arena_alloc(call->arena, (count + 1) * sizeof(*entities));
    if (entities == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        bool is_new = false;
        dv_result result =
            entity_write(call, json_array_get(list, i), &entities[i], &is_new, error);
        if (result != DV_OK) {
            return item_refuse(call, i, result);
        }
        created += is_new;
    }
    for (size_t i = 0; i < count; i++) {
        dv_result result = ancestors_check(call, &entities[i], error);
        if (result != DV_OK) {
            return item_refuse(call, i, result);
        }
    }
    DV_TRY(total_check(call, error));
    call->answer =
        json_pack("{s:I, s:I}", "created", created, "updated", (json_int_t)count - created);
    return call->answer == NULL ? DV_ERR_NO_MEMORY : apply_audit(call, entities, count, error);
}

/* The snapshot holds none of it, so that the store's transaction is all there is. */
static dv_result change(dv_call *call, dv_auth_work work, dv_error *error)
{
    dv_store *store = call->services->store;
    DV_TRY(dv_store_begin(store, error));
    dv_result result = work(call, error);
    if (result == DV_OK) {
        result = dv_store_commit(store, error);
    }
    if (result != DV_OK) {
        dv_store_rollback(store);
    }
    return result;
}

dv_result dv_op_entity_apply(dv_call *call, dv_error *error)
{
    return change(call, entities_apply, error);
}

/* --- showing --------------------------------------------------------------------------------- */

static json_t *column_json(dv_statement *row, int column)
{
    dv_slice text = dv_column_slice(row, column);
    return json_loadb((const char *)text.ptr, text.len, 0, NULL);
}

static json_t *column_text(dv_statement *row, int column)
{
    dv_slice text = dv_column_slice(row, column);
    return json_stringn((const char *)text.ptr, text.len);
}

static json_t *row_json(dv_statement *row, dv_auth_names parents)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "type", column_text(row, 0), "id",
                     column_text(row, 1), "attrs", column_json(row, 2), "tags", column_json(row, 3),
                     "parents", dv_auth_json_names(parents), "created",
                     dv_auth_json_time(dv_column_int(row, 4)), "updated",
                     dv_auth_json_time(dv_column_int(row, 5)));
}

static dv_result missing(dv_call *call, dv_slice id, dv_error *error)
{
    return dv_error_set(error, DV_ERR_NOT_FOUND, "no entity of type %s has the id %.*s",
                        dv_call_param(call, "type"), DV_SLICE_ARGS(dv_slice_sub(id, 0, 200)));
}

static dv_result external_json(dv_call *call, const char *id, json_t **ret_json, dv_error *error)
{
    dv_auth_names parents;
    dv_store *store = call->services->store;
    dv_auto(statement) dv_statement *row = NULL;
    dv_auto(statement) dv_statement *above = NULL;
    DV_TRY(dv_store_query(store, &row, error,
                          "SELECT type, id, attrs, tags, created, updated FROM auth_external"
                          " WHERE type = ?1 AND id = ?2",
                          "tt", dv_call_param(call, "type"), id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return missing(call, dv_slice_str(id), error);
    }
    DV_TRY(result);
    DV_TRY(dv_store_query(store, &above, error,
                          "SELECT parent FROM auth_external_parent p JOIN auth_external e"
                          " ON p.uid = e.uid WHERE e.type = ?1 AND e.id = ?2 ORDER BY parent",
                          "tt", dv_call_param(call, "type"), id));
    DV_TRY(dv_auth_read_names(above, call->arena, &parents, error));
    json_t *json = row_json(row, parents);
    if (json == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    *ret_json = json;
    return DV_OK;
}

dv_result dv_op_entity_show(dv_call *call, dv_error *error)
{
    return external_json(call, dv_call_param(call, "id"), &call->answer, error);
}

dv_result dv_op_entity_list(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *page = NULL;
    DV_TRY(dv_store_query(call->services->store, &page, error,
                          "SELECT id FROM auth_external WHERE type = ?1 AND id > ?2 ORDER BY id"
                          " LIMIT ?3",
                          "tti", dv_call_param(call, "type"), dv_auth_list_cursor(call),
                          dv_auth_list_limit(call) + 1));
    return dv_auth_list_answer(call, page, external_json, error);
}

static dv_result external_delete(dv_call *call, dv_error *error)
{
    dv_store *store = call->services->store;
    const char *type = dv_call_param(call, "type");
    const char *id = dv_call_param(call, "id");
    const char *name = dv_arena_printf(call->arena, "%s::%s", type, id);
    DV_TRY(dv_store_run(store, error, "DELETE FROM auth_external WHERE type = ?1 AND id = ?2", "tt",
                        type, id));
    if (dv_store_changes(store) == 0) {
        return missing(call, dv_slice_str(id), error);
    }
    return dv_audit_entity(call, DV_ENTITY_DELETE, "entity", name, NULL, NULL, error);
}

dv_result dv_op_entity_delete(dv_call *call, dv_error *error)
{
    return change(call, external_delete, error);
}
