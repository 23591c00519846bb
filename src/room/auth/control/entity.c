/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/internal.h"

#include "base/uuid.h"
#include "core/data_access.h"

#include "api/operations.h"

/* Users, service accounts and groups: rows, membership, and what the API shows of them. */

dv_result dv_auth_require(dv_store *store, dv_auth_ref ref, dv_error *error)
{
    const char *sql = ref.kind == DV_AUTH_ROLE
                          ? "SELECT 1 FROM auth_role WHERE name = ?2 AND ?1 = 'role'"
                          : "SELECT 1 FROM auth_entity WHERE kind = ?1 AND name = ?2";
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(
        dv_store_query(store, &statement, error, sql, "tt", dv_auth_kind_name(ref.kind), ref.name));
    dv_result result = dv_statement_step(statement, error);
    return result == DV_ERR_NOT_FOUND ? dv_error_set(error, result, "there is no %s named %s",
                                                     dv_auth_kind_name(ref.kind), ref.name)
                                      : result;
}

dv_result dv_auth_entity_insert(dv_call *call, dv_auth_ref ref, const char *email,
                                const char *description, dv_error *error)
{
    char id[DV_UUID_TEXT_LEN + 1];
    dv_uuid uuid = dv_uuid_new(call->now);
    dv_uuid_format(&uuid, id);
    if (!dv_auth_name_ok(dv_slice_str(ref.name))) {
        return dv_call_invalid(call, "name", error,
                               "a name has up to 128 of A-Z a-z 0-9 . _ @ - and begins with a "
                               "letter or digit");
    }
    dv_result result = dv_store_run(
        call->services->store, error,
        "INSERT INTO auth_entity (kind, name, id, email, description, status, created, updated)"
        " VALUES (?1, ?2, ?3, ?4, ?5, 'active', ?6, ?6)",
        "ttttti", dv_auth_kind_name(ref.kind), ref.name, id, email, description, call->now);
    if (result == DV_ERR_EXISTS) {
        return dv_error_set(error, result, "a %s named %s exists (upper or lower case)",
                            dv_auth_kind_name(ref.kind), ref.name);
    }
    DV_TRY(result);
    return ref.kind == DV_AUTH_GROUP ? DV_OK : dv_auth_touch(call, ref, error);
}

/* --- membership ------------------------------------------------------------------------------ */

static json_t *member_change(const char *verb, const char *member)
{
    return json_pack("{s:s}", verb, member);
}

static dv_result member_audit(dv_call *call, const char *group, dv_auth_ref member,
                              const char *verb, dv_error *error)
{
    const char *entity = dv_auth_entity(call->arena, member);
    json_t *change = entity == NULL ? NULL : member_change(verb, entity);
    if (change == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result =
        dv_audit_entity(call, DV_ENTITY_UPDATE, "group", group, entity, change, error);
    json_decref(change);
    return result;
}

dv_result dv_auth_member_insert(dv_call *call, const char *group, dv_auth_ref member,
                                dv_error *error)
{
    dv_store *store = call->services->store;
    dv_auth_ref group_ref = {DV_AUTH_GROUP, group};
    DV_TRY(dv_auth_require(store, group_ref, error));
    DV_TRY(dv_auth_require(store, member, error));
    DV_TRY(dv_auth_check_grant(call, group_ref, DV_AUTH_FOR_GOOD, error));
    if (member.kind == DV_AUTH_GROUP) {
        DV_TRY(dv_auth_check_group_edge(store, group, member.name, error));
    }
    DV_TRY(dv_store_run(store, error,
                        "INSERT INTO auth_member (group_kind, group_name, member_kind,"
                        " member_name, created) VALUES ('group', ?1, ?2, ?3, ?4)"
                        " ON CONFLICT DO NOTHING",
                        "ttti", group, dv_auth_kind_name(member.kind), member.name, call->now));
    DV_TRY(dv_auth_touch(call, member, error));
    return member_audit(call, group, member, "member_added", error);
}

dv_result dv_auth_member_delete(dv_call *call, const char *group, dv_auth_ref member,
                                dv_error *error)
{
    dv_store *store = call->services->store;
    dv_auth_ref group_ref = {DV_AUTH_GROUP, group};
    DV_TRY(dv_auth_require(store, group_ref, error));
    DV_TRY(dv_auth_check_grant(call, group_ref, dv_time_now(), error));
    DV_TRY(dv_store_run(store, error,
                        "DELETE FROM auth_member WHERE group_name = ?1 AND member_kind = ?2"
                        " AND member_name = ?3",
                        "ttt", group, dv_auth_kind_name(member.kind), member.name));
    if (dv_store_changes(store) == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "%s %s is not directly in group %s",
                            dv_auth_kind_name(member.kind), member.name, group);
    }
    DV_TRY(dv_auth_touch(call, member, error));
    DV_TRY(dv_review_note_gone(call, &member, &(dv_auth_ref){DV_AUTH_GROUP, group}, error));
    return member_audit(call, group, member, "member_removed", error);
}

/* --- as JSON --------------------------------------------------------------------------------- */

static dv_result names_set(dv_call *call, json_t *json, const char *field, const char *sql,
                           dv_auth_ref ref, dv_error *error)
{
    dv_auth_names names;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error, sql, "tt",
                          dv_auth_kind_name(ref.kind), ref.name));
    DV_TRY(dv_auth_read_names(statement, call->arena, &names, error));
    return dv_auth_json_set(json, field, dv_auth_json_names(names));
}

/* Direct members as entity texts. */
static dv_result members_set(dv_call *call, json_t *json, dv_auth_ref ref, dv_error *error)
{
    return names_set(call, json, "members",
                     "SELECT CASE member_kind WHEN 'user' THEN 'User::\"' WHEN 'service' THEN"
                     " 'Service::\"' ELSE 'Group::\"' END || member_name || '\"' FROM auth_member"
                     " WHERE ?1 = 'group' AND group_name = ?2 ORDER BY member_kind, member_name",
                     ref, error);
}

static json_t *column_text(dv_statement *row, int column)
{
    dv_slice text = dv_column_slice(row, column);
    return dv_column_is_null(row, column) ? json_null()
                                          : json_stringn((const char *)text.ptr, text.len);
}

static dv_result columns_set(json_t *json, dv_auth_ref ref, dv_statement *row)
{
    DV_TRY(dv_auth_json_set(json, "name", json_string(ref.name)));
    DV_TRY(dv_auth_json_set(json, "id", column_text(row, 0)));
    if (ref.kind == DV_AUTH_USER) {
        DV_TRY(dv_auth_json_set(json, "email", column_text(row, 1)));
    } else {
        DV_TRY(dv_auth_json_set(json, "description", column_text(row, 2)));
    }
    if (ref.kind != DV_AUTH_GROUP) {
        DV_TRY(dv_auth_json_set(json, "status", column_text(row, 3)));
    }
    DV_TRY(dv_auth_json_set(json, "created", dv_auth_json_time(dv_column_int(row, 4))));
    return dv_auth_json_set(json, "updated", dv_auth_json_time(dv_column_int(row, 5)));
}

static dv_result relations_set(dv_call *call, json_t *json, dv_auth_ref ref, dv_error *error)
{
    DV_TRY(names_set(call, json, "groups",
                     "SELECT group_name FROM auth_member WHERE member_kind = ?1"
                     " AND member_name = ?2 ORDER BY group_name",
                     ref, error));
    DV_TRY(names_set(call, json, "roles",
                     "SELECT role FROM auth_assignment WHERE kind = ?1 AND name = ?2 ORDER BY role",
                     ref, error));
    return ref.kind == DV_AUTH_GROUP ? members_set(call, json, ref, error) : DV_OK;
}

static dv_result entity_fill(dv_call *call, dv_auth_ref ref, json_t *json, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_auth_require(call->services->store, ref, error));
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT id, email, description, status, created, updated"
                          " FROM auth_entity WHERE kind = ?1 AND name = ?2",
                          "tt", dv_auth_kind_name(ref.kind), ref.name));
    DV_TRY(dv_statement_step(row, error));
    DV_TRY(columns_set(json, ref, row));
    return relations_set(call, json, ref, error);
}

dv_result dv_auth_entity_json(dv_call *call, dv_auth_ref ref, json_t **ret_json, dv_error *error)
{
    json_t *json = json_object();
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : entity_fill(call, ref, json, error);
    if (result != DV_OK) {
        json_decref(json);
        return result;
    }
    *ret_json = json;
    return DV_OK;
}

/* --- what the three kinds' operations share -------------------------------------------------- */

static dv_result answer_entity(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    return dv_auth_entity_json(call, ref, &call->answer, error);
}

static dv_auth_ref target(dv_call *call, dv_auth_kind kind)
{
    return (dv_auth_ref){kind, dv_call_param(call, "name")};
}

static dv_result account_audit(dv_call *call, dv_account_activity activity, dv_auth_ref ref,
                               dv_error *error)
{
    const char *entity = dv_auth_entity(call->arena, ref);
    return entity == NULL ? DV_ERR_NO_MEMORY
                          : dv_audit_account(call, activity, entity, NULL, error);
}

static dv_result created_audit(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    return ref.kind == DV_AUTH_GROUP
               ? dv_audit_entity(call, DV_ENTITY_CREATE, "group", ref.name, NULL, NULL, error)
               : account_audit(call, DV_ACCOUNT_CREATE, ref, error);
}

static dv_result groups_join(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    dv_auth_names groups;
    DV_TRY(dv_auth_field_names(call, "groups", &groups));
    for (size_t i = 0; i < groups.count; i++) {
        dv_result result = dv_auth_member_insert(call, groups.items[i], ref, error);
        if (result != DV_OK) {
            call->error_field = dv_arena_printf(call->arena, "groups.%zu", i);
            return result;
        }
    }
    return DV_OK;
}

static dv_result entity_create(dv_call *call, dv_auth_kind kind, dv_error *error)
{
    dv_auth_ref ref = {kind, dv_call_field(call, "name")};
    DV_TRY(dv_auth_entity_insert(call, ref, dv_call_field(call, "email"),
                                 dv_call_field(call, "description"), error));
    DV_TRY(groups_join(call, ref, error));
    DV_TRY(created_audit(call, ref, error));
    return answer_entity(call, ref, error);
}

/* Who loses something when it goes: its members (a group's), or itself. */
static dv_result entity_delete_touch(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    dv_auth_refs members;
    dv_auto(statement) dv_statement *statement = NULL;
    if (ref.kind != DV_AUTH_GROUP) {
        return dv_auth_touch(call, ref, error);
    }
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT member_kind, member_name FROM auth_member WHERE group_name = ?1",
                          "t", ref.name));
    DV_TRY(dv_auth_read_refs(statement, call->arena, &members, error));
    for (size_t i = 0; i < members.count; i++) {
        DV_TRY(dv_auth_touch(call, members.items[i], error));
    }
    return DV_OK;
}

static dv_result entity_keys_touch(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    dv_auth_names keys;
    dv_auto(statement) dv_statement *statement = NULL;
    DV_TRY(dv_store_query(call->services->store, &statement, error,
                          "SELECT id FROM auth_api_key WHERE kind = ?1 AND owner = ?2", "tt",
                          dv_auth_kind_name(ref.kind), ref.name));
    DV_TRY(dv_auth_read_names(statement, call->arena, &keys, error));
    for (size_t i = 0; i < keys.count; i++) {
        DV_TRY(dv_auth_touch_key(call, keys.items[i], error));
    }
    return DV_OK;
}

/* The one that the path names, if the caller may lay hands on it: who has more than the caller is
 * not his to suspend, delete or change. */
static dv_result own_target(dv_call *call, dv_auth_kind kind, dv_auth_ref *ret_ref, dv_error *error)
{
    dv_auth_ref ref = target(call, kind);
    DV_TRY(dv_auth_require(call->services->store, ref, error));
    DV_TRY(dv_auth_check_permissions(call, ref, dv_time_now(), error));
    *ret_ref = ref;
    return DV_OK;
}

/* Grants for data end with whom they are for. */
static dv_result data_access_end(dv_call *call, dv_auth_ref ref, dv_error *error)
{
    const dv_data_access_source *source = call->services->data_access;
    const char *entity = dv_auth_entity(call->arena, ref);
    if (entity == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    return source == NULL ? DV_OK : source->subject_gone(call, entity, error);
}

static dv_result entity_delete(dv_call *call, dv_auth_kind kind, dv_error *error)
{
    dv_auth_ref ref;
    DV_TRY(own_target(call, kind, &ref, error));
    /* With a group go all its memberships. */
    DV_TRY(kind == DV_AUTH_GROUP ? dv_auth_check_named(call, ref, error) : DV_OK);
    DV_TRY(entity_delete_touch(call, ref, error));
    DV_TRY(entity_keys_touch(call, ref, error));
    DV_TRY(dv_review_note_gone(call, &ref, NULL, error));
    if (kind == DV_AUTH_GROUP) {
        DV_TRY(dv_review_note_gone(call, NULL, &ref, error));
    }
    DV_TRY(data_access_end(call, ref, error));
    DV_TRY(dv_store_run(call->services->store, error,
                        "DELETE FROM auth_entity WHERE kind = ?1 AND name = ?2", "tt",
                        dv_auth_kind_name(kind), ref.name));
    return kind == DV_AUTH_GROUP
               ? dv_audit_entity(call, DV_ENTITY_DELETE, "group", ref.name, NULL, NULL, error)
               : account_audit(call, DV_ACCOUNT_DELETE, ref, error);
}

static dv_result status_set(dv_call *call, dv_auth_kind kind, bool active, dv_error *error)
{
    dv_auth_ref ref;
    DV_TRY(own_target(call, kind, &ref, error));
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE auth_entity SET status = ?3, updated = ?4 WHERE kind = ?1"
                        " AND name = ?2",
                        "ttti", dv_auth_kind_name(kind), ref.name, active ? "active" : "suspended",
                        call->now));
    DV_TRY(dv_auth_touch(call, ref, error));
    DV_TRY(account_audit(call, active ? DV_ACCOUNT_ENABLE : DV_ACCOUNT_DISABLE, ref, error));
    return answer_entity(call, ref, error);
}

/* --- operations: users ----------------------------------------------------------------------- */

static dv_result user_create(dv_call *call, dv_error *error)
{
    return entity_create(call, DV_AUTH_USER, error);
}

dv_result dv_op_user_create(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, user_create, error);
}

static dv_result user_item(dv_call *call, const char *name, json_t **ret_json, dv_error *error)
{
    return dv_auth_entity_json(call, (dv_auth_ref){DV_AUTH_USER, name}, ret_json, error);
}

dv_result dv_op_user_list(dv_call *call, dv_error *error)
{
    return dv_auth_list(call,
                        "SELECT name FROM auth_entity WHERE kind = 'user' AND name > ?1"
                        " ORDER BY name LIMIT ?2",
                        user_item, error);
}

dv_result dv_op_user_show(dv_call *call, dv_error *error)
{
    return answer_entity(call, target(call, DV_AUTH_USER), error);
}

static dv_result user_update(dv_call *call, dv_error *error)
{
    dv_auth_ref ref;
    DV_TRY(own_target(call, DV_AUTH_USER, &ref, error));
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE auth_entity SET email = ?2, updated = ?3 WHERE kind = 'user'"
                        " AND name = ?1",
                        "tti", ref.name, dv_call_field(call, "email"), call->now));
    DV_TRY(account_audit(call, DV_ACCOUNT_OTHER, ref, error));
    return answer_entity(call, ref, error);
}

dv_result dv_op_user_update(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, user_update, error);
}

static dv_result user_suspend(dv_call *call, dv_error *error)
{
    return status_set(call, DV_AUTH_USER, false, error);
}

dv_result dv_op_user_suspend(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, user_suspend, error);
}

static dv_result user_activate(dv_call *call, dv_error *error)
{
    return status_set(call, DV_AUTH_USER, true, error);
}

dv_result dv_op_user_activate(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, user_activate, error);
}

static dv_result user_delete(dv_call *call, dv_error *error)
{
    return entity_delete(call, DV_AUTH_USER, error);
}

dv_result dv_op_user_delete(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, user_delete, error);
}

/* --- operations: service accounts ------------------------------------------------------------ */

static dv_result service_create(dv_call *call, dv_error *error)
{
    return entity_create(call, DV_AUTH_SERVICE, error);
}

dv_result dv_op_service_create(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, service_create, error);
}

static dv_result service_item(dv_call *call, const char *name, json_t **ret_json, dv_error *error)
{
    return dv_auth_entity_json(call, (dv_auth_ref){DV_AUTH_SERVICE, name}, ret_json, error);
}

dv_result dv_op_service_list(dv_call *call, dv_error *error)
{
    return dv_auth_list(call,
                        "SELECT name FROM auth_entity WHERE kind = 'service' AND name > ?1"
                        " ORDER BY name LIMIT ?2",
                        service_item, error);
}

dv_result dv_op_service_show(dv_call *call, dv_error *error)
{
    return answer_entity(call, target(call, DV_AUTH_SERVICE), error);
}

static dv_result service_delete(dv_call *call, dv_error *error)
{
    return entity_delete(call, DV_AUTH_SERVICE, error);
}

dv_result dv_op_service_delete(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, service_delete, error);
}

/* --- operations: groups ---------------------------------------------------------------------- */

static dv_result group_create(dv_call *call, dv_error *error)
{
    return entity_create(call, DV_AUTH_GROUP, error);
}

dv_result dv_op_group_create(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, group_create, error);
}

static dv_result group_item(dv_call *call, const char *name, json_t **ret_json, dv_error *error)
{
    return dv_auth_entity_json(call, (dv_auth_ref){DV_AUTH_GROUP, name}, ret_json, error);
}

dv_result dv_op_group_list(dv_call *call, dv_error *error)
{
    return dv_auth_list(call,
                        "SELECT name FROM auth_entity WHERE kind = 'group' AND name > ?1"
                        " ORDER BY name LIMIT ?2",
                        group_item, error);
}

dv_result dv_op_group_show(dv_call *call, dv_error *error)
{
    return answer_entity(call, target(call, DV_AUTH_GROUP), error);
}

static dv_result group_delete(dv_call *call, dv_error *error)
{
    return entity_delete(call, DV_AUTH_GROUP, error);
}

dv_result dv_op_group_delete(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, group_delete, error);
}

static dv_result group_add_member(dv_call *call, dv_error *error)
{
    dv_auth_ref group = target(call, DV_AUTH_GROUP);
    dv_auth_ref member;
    DV_TRY(dv_auth_field_ref(call, DV_AUTH_GROUP, &member, error));
    DV_TRY(dv_auth_member_insert(call, group.name, member, error));
    return answer_entity(call, group, error);
}

dv_result dv_op_group_add_member(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, group_add_member, error);
}

static dv_result group_remove_member(dv_call *call, dv_error *error)
{
    dv_auth_ref group = target(call, DV_AUTH_GROUP);
    dv_auth_ref member;
    DV_TRY(dv_auth_field_ref(call, DV_AUTH_GROUP, &member, error));
    DV_TRY(dv_auth_member_delete(call, group.name, member, error));
    return answer_entity(call, group, error);
}

dv_result dv_op_group_remove_member(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, group_remove_member, error);
}
