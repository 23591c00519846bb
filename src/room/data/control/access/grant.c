/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/access/access.h"

#include "room/data/control/data_control.h"

/* Grants: how they begin and end, and what decisions see of them.
 *
 * Invariants
 *
 * 1. A grant is good while its row says "granted" and its time has not come, by the clock of the
 *    moment that is asked: nothing has to run for it to end.
 * 2. Each beginning and end is in the audit log, written in the transaction that makes it so.
 * 3. Every grant has an end.
 */

enum { ROUND = 256 };

/* --- records --------------------------------------------------------------------------------- */

static dv_result step_audit(dv_call *call, const dv_data_request *r, const char *step,
                            const char *reason, dv_error *error)
{
    json_t *change = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?}", "step", step, "asset",
                               r->asset, "name", r->name, "subject", r->subject, "actions",
                               r->actions, "purpose", r->purpose, "reason", reason);
    if (change == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_audit_entity(call, DV_ENTITY_UPDATE, DV_DATA_ACCESS_CASE, r->id,
                                       r->subject, change, error);
    json_decref(change);
    return result;
}

/* As for roles: who may do what to what, until when. */
static dv_result access_audit(dv_call *call, const dv_data_request *r, dv_access_activity activity,
                              dv_time until, const char *reason, dv_error *error)
{
    dv_slice privileges[DV_EVENT_NAMES_MAX];
    dv_slice rest = dv_slice_str(r->actions), action;
    size_t count = 0;
    while (rest.len > 0 && count < DV_ARRAY_LEN(privileges) &&
           dv_slice_split(&rest, ',', &action)) {
        const char *text = dv_arena_printf(call->arena, "Action::\"%.*s\" on DataAsset::\"%s\"",
                                           DV_SLICE_ARGS(action), r->asset);
        DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : DV_OK);
        privileges[count++] = dv_slice_str(text);
    }
    const dv_event_access access = {.holder = dv_slice_str(r->subject),
                                    .privileges = privileges,
                                    .privilege_count = count,
                                    .until = until,
                                    .reason = dv_slice_str(reason)};
    return dv_audit_access(call, activity, &access, error);
}

/* --- beginning ------------------------------------------------------------------------------- */

dv_result dv_data_grant_begin(dv_call *call, const dv_data_request *request, dv_time longest,
                              dv_error *error)
{
    dv_time expires = request->until != 0 ? request->until : call->now + request->lasts;
    expires = DV_MIN(expires, call->now + longest);
    if (expires <= call->now) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the time that was asked for has passed");
    }
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_access SET state = 'granted', began = ?2, expires = ?3"
                        " WHERE id = ?1 AND state = 'pending'",
                        "tii", request->id, call->now, expires));
    if (dv_store_changes(call->services->store) != 1) {
        return dv_error_set(error, DV_ERR_CONFLICT, "it is decided");
    }
    return access_audit(call, request, DV_ACCESS_GRANT, expires, request->purpose, error);
}

/* --- ending ---------------------------------------------------------------------------------- */

dv_result dv_data_grant_end(dv_call *call, const dv_data_request *request, const char *state,
                            const char *reason, dv_error *error)
{
    bool expired = strcmp(state, "expired") == 0;
    DV_TRY(dv_data_request_end(call, request, state, reason, error));
    DV_TRY(step_audit(call, request, expired ? "expire" : "revoke", reason, error));
    DV_TRY(access_audit(call, request, DV_ACCESS_REVOKE, 0, reason, error));
    return dv_case_gone(call, DV_DATA_REVIEW_CASE, NULL, request->id, error);
}

dv_result dv_data_request_withdraw(dv_call *call, const dv_data_request *request,
                                   const dv_case_actor *actor, const char *reason, dv_error *error)
{
    const dv_case_type *type;
    dv_case c;
    DV_TRY(dv_case_type_load(DV_DATA_ACCESS_CASE, call->arena, &type, error));
    DV_TRY(dv_case_read(call, type, request->id, &c, error));
    DV_TRY(dv_case_step_take(call, &c, "cancel", actor, reason, error));
    return dv_data_request_end(call, request, "cancelled", reason, error);
}

/* All that is pending or granted of an asset, or for a subject. */
static dv_result all_end(dv_call *call, const char *column, const char *value, const char *reason,
                         dv_error *error)
{
    const dv_case_actor clock = {.name = call->caller, .clock = true};
    const char *sql =
        dv_arena_printf(call->arena,
                        "SELECT " DV_DATA_REQUEST_COLUMNS " FROM data_access r WHERE r.%s = ?2"
                        " AND r.state IN ('pending', 'granted') ORDER BY r.id LIMIT 1",
                        column);
    for (;;) {
        dv_data_request request;
        dv_auto(statement) dv_statement *row = NULL;
        DV_TRY(sql == NULL ? DV_ERR_NO_MEMORY : DV_OK);
        DV_TRY(dv_store_query(call->services->store, &row, error, sql, "it", call->now, value));
        dv_result result = dv_data_request_next(row, call->arena, &request, error);
        dv_statement_done(row);
        row = NULL;
        if (result == DV_ERR_NOT_FOUND) {
            return DV_OK;
        }
        DV_TRY(result);
        DV_TRY(request.began == 0 ? dv_data_request_withdraw(call, &request, &clock, reason, error)
                                  : dv_data_grant_end(call, &request, "revoked", reason, error));
    }
}

dv_result dv_data_access_asset_gone(dv_call *call, const char *asset, dv_error *error)
{
    return all_end(call, "asset", asset, "the asset was deleted", error);
}

/* The name in User::"alice" or Group::"crew"; the inventory's owners are plain names. Empty: it is
 * neither. *ret_other: the type that may have that name, too. */
static dv_slice owner_name(const char *entity, const char **ret_other)
{
    static const char *const types[][2] = {{"User::\"", "Group"}, {"Group::\"", "User"}};
    dv_slice whole = dv_slice_str(entity);
    for (size_t i = 0; i < DV_ARRAY_LEN(types); i++) {
        size_t len = strlen(types[i][0]);
        if (dv_slice_starts_with(whole, dv_slice_str(types[i][0]))) {
            *ret_other = types[i][1];
            return dv_slice_sub(whole, len, whole.len - len - 1);
        }
    }
    return (dv_slice){NULL, 0};
}

/* Who owns data answers for it: a later one of the same name is not asked. */
static dv_result ownership_end(dv_call *call, const char *entity, dv_error *error)
{
    const char *const *unused, *type = NULL;
    size_t count;
    dv_slice name = owner_name(entity, &type);
    const char *other =
        dv_arena_printf(call->arena, "%s::\"%.*s\"", type != NULL ? type : "", DV_SLICE_ARGS(name));
    DV_TRY(other == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    if (name.len == 0) {
        return DV_OK;
    }
    dv_result found = call->services->people->entities(call, other, &unused, &count, error);
    if (found != DV_ERR_NOT_FOUND) { /* a group and a user of one name own the same */
        return found;
    }
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_asset SET owner = NULL, set_by = ?2, set_at = ?3"
                        " WHERE owner = ?1",
                        "sti", name, call->caller, call->now));
    int64_t changes = dv_store_changes(call->services->store);
    if (changes == 0) {
        return DV_OK;
    }
    json_t *change = json_pack("{s:s, s:I}", "step", "unowned", "assets", (json_int_t)changes);
    dv_result result = change == NULL ? DV_ERR_NO_MEMORY
                                      : dv_audit_entity(call, DV_ENTITY_UPDATE, "data_owner",
                                                        entity, NULL, change, error);
    json_decref(change);
    return result;
}

static dv_result subject_gone(dv_call *call, const char *entity, dv_error *error)
{
    DV_TRY(all_end(call, "subject", entity, "whom it was for was deleted", error));
    return ownership_end(call, entity, error);
}

/* --- what decisions see ---------------------------------------------------------------------- */

static bool concerns(const dv_data_asker *asker, dv_slice subject)
{
    bool found = false;
    for (size_t i = 0; i < asker->count && !found; i++) {
        found = dv_slice_eq(asker->uids[i], subject);
    }
    return found;
}

/* Subjects, ids and actions hold nothing that Cedar's strings would escape. */
static dv_result policy_write(dv_statement *row, dv_buf *out)
{
    dv_slice id = dv_column_slice(row, 0), asset = dv_column_slice(row, 2), action;
    dv_slice subject = dv_column_slice(row, 1), actions = dv_column_slice(row, 3);
    DV_TRY(dv_buf_append_printf(out,
                                "@id(\"" DV_DATA_GRANT_POLICY "%.*s\")\n"
                                "permit(principal in %.*s, action in [",
                                DV_SLICE_ARGS(id), DV_SLICE_ARGS(subject)));
    const char *comma = "";
    while (actions.len > 0 && dv_slice_split(&actions, ',', &action)) {
        DV_TRY(dv_buf_append_printf(out, "%sAction::\"%.*s\"", comma, DV_SLICE_ARGS(action)));
        comma = ", ";
    }
    return dv_buf_append_printf(out, "], resource == " DV_DATA_ASSET_TYPE "::\"%.*s\");\n",
                                DV_SLICE_ARGS(asset));
}

/* What the inventory does not know nobody was granted, and nothing says that it needs no grant. */
static dv_result needed_read(const dv_services *services, dv_slice asset, bool *ret_needed,
                             dv_error *error)
{
    dv_data_thing thing;
    dv_error unused = {0};
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20);
    *ret_needed = true;
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_data_thing_read(services, arena, asset, &thing, &unused);
    if (result == DV_OK) {
        *ret_needed = dv_data_rules_wants(services->data_rules, &thing.labelled).grant;
    }
    return result == DV_OK || result == DV_ERR_NOT_FOUND
               ? DV_OK
               : dv_error_set(error, result, "%s", unused.message);
}

static dv_result compile(const dv_services *services, dv_slice asset, const dv_data_asker *asker,
                         dv_buf *out, bool *ret_needed, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_result result;
    DV_TRY(needed_read(services, asset, ret_needed, error));
    DV_TRY(dv_store_query(services->store, &rows, error,
                          "SELECT r.id, r.subject, r.asset, r.actions FROM data_access r"
                          " JOIN data_asset a ON a.id = r.asset WHERE r.asset = ?1"
                          " AND r.state = 'granted' AND r.began <= ?2 AND r.expires > ?2"
                          " ORDER BY r.id",
                          "si", asset, asker->at));
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        DV_TRY(concerns(asker, dv_column_slice(rows, 1)) ? policy_write(rows, out) : DV_OK);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

const dv_data_access_source dv_data_access = {.compile = compile, .subject_gone = subject_gone};

/* --- the clock ------------------------------------------------------------------------------- */

/* Tells what has ended by itself; some of it, when it is much. */
static dv_result expired_tell(dv_call *call, dv_error *error)
{
    dv_result result = DV_OK;
    for (int i = 0; i < ROUND && result == DV_OK; i++) {
        dv_data_request request;
        dv_auto(statement) dv_statement *row = NULL;
        DV_TRY(dv_store_query(call->services->store, &row, error,
                              "SELECT " DV_DATA_REQUEST_COLUMNS " FROM data_access r"
                              " WHERE r.state = 'granted' AND r.expires <= ?1"
                              " ORDER BY r.expires LIMIT 1",
                              "i", call->now));
        result = dv_data_request_next(row, call->arena, &request, error);
        dv_statement_done(row);
        row = NULL;
        DV_TRY(result == DV_OK
                   ? dv_data_grant_end(call, &request, "expired", "its time was over", error)
                   : DV_OK);
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static const dv_case_kind KIND = {.type = DV_DATA_ACCESS_CASE};

/* Requests that nobody answered in time. */
static dv_result lapsed_end(dv_call *call, dv_error *error)
{
    const dv_case_type *type;
    const char **ids = NULL;
    size_t count = 0;
    DV_TRY(dv_case_type_load(DV_DATA_ACCESS_CASE, call->arena, &type, error));
    DV_TRY(dv_case_due(call, type, &ids, &count, error));
    for (size_t i = 0; i < DV_MIN(count, (size_t)ROUND); i++) {
        dv_data_request request;
        DV_TRY(dv_case_clock(call, &KIND, ids[i], error));
        DV_TRY(dv_data_request_read(call, ids[i], &request, error));
        DV_TRY(dv_data_request_end(call, &request, "lapsed", "nobody answered in time", error));
    }
    return DV_OK;
}

static dv_result clock_work(dv_call *call, dv_error *error)
{
    DV_TRY(expired_tell(call, error));
    return lapsed_end(call, error);
}

static dv_result is_something_due(dv_call *call, bool *ret_is, dv_error *error)
{
    const dv_case_type *type;
    const char **ids = NULL;
    size_t count = 0;
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM data_access WHERE state = 'granted' AND expires <= ?1"
                          " LIMIT 1",
                          "i", call->now));
    dv_result result = dv_statement_step(row, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    DV_TRY(dv_case_type_load(DV_DATA_ACCESS_CASE, call->arena, &type, error));
    DV_TRY(dv_case_due(call, type, &ids, &count, error));
    *ret_is = result == DV_OK || count > 0;
    return DV_OK;
}

static dv_result tick(dv_call *call, dv_error *error)
{
    bool due = false;
    DV_TRY(is_something_due(call, &due, error));
    DV_TRY(due ? dv_audit_change(call, clock_work, error) : DV_OK);
    return dv_data_review_tick(call, error);
}

dv_result dv_data_access_tick(dv_services *services, dv_error *error)
{
    dv_call call;
    DV_TRY(dv_call_system(services, &call));
    dv_result result = tick(&call, error);
    dv_call_system_end(&call);
    return result;
}
