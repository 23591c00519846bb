/* SPDX-License-Identifier: Apache-2.0 */
/* Asking that what is due may go, and answering. A request is a case of the type data_disposal
 * (rules/case_types/data_disposal.yaml) with an item for each approval that its rules want.
 *
 * 1. Who asked answers nothing; no one answers twice; services answer nothing.
 * 2. What is listed does not change after it was asked for.
 * 3. A request that has ended lets nothing go, a run of it that is under way neither. */
#include "base/caps.h"
#include "room/data/control/access/access.h"
#include "room/data/control/data_control.h"
#include "room/data/control/disposal/disposal.h"

#include "api/operations.h"

enum { LOOK_MEMORY = 1 << 20 };

static const dv_case_kind KIND = {.type = DV_DISPOSAL_CASE};

static dv_result case_read(dv_call *call, const char *id, dv_case *ret_case, dv_error *error)
{
    const dv_case_type *type;
    DV_TRY(dv_case_type_load(DV_DISPOSAL_CASE, call->arena, &type, error));
    return dv_case_read(call, type, id, ret_case, error);
}

/* The router releases the answer, also after an error. */
static dv_result answer(dv_call *call, const char *id, dv_error *error)
{
    dv_disposal_request request;
    dv_case c;
    json_t *answers = NULL;
    char deadline[DV_TIME_TEXT_MAX];
    DV_TRY(dv_disposal_request_find(call, id, &request, error));
    DV_TRY(case_read(call, id, &c, error));
    call->answer = dv_disposal_request_json(&request);
    DV_TRY(call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_case_answers(call, &c, &answers, error));
    dv_time_format(c.deadline, deadline);
    return json_object_set_new(call->answer, "answers", answers) == 0 &&
                   json_object_set_new(call->answer, "deadline", json_string(deadline)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* --- asking ---------------------------------------------------------------------------------- */

typedef struct asking {
    char id[DV_DATA_ID_MAX]; /* of the case, once it is open */
    const char *source;      /* "" any */
    const char *rule;
    int64_t count;
    int64_t approvals; /* the most that one of them wants */
    int64_t asked;     /* that other requests have */
    bool more;         /* than a request has room for */
} asking;

/* Whether another request that may still be good lists it as it is, by these terms. */
static dv_result is_asked_for(dv_call *call, const dv_disposal_asset *asset, const char *terms,
                              bool *ret_is, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM data_disposal_request_item i JOIN data_disposal_request r"
                          " ON r.id = i.request WHERE i.asset = ?1 AND i.stamp = ?2 AND i.run = ''"
                          " AND i.terms = ?4"
                          " AND (r.state = 'pending' OR (r.state = 'approved' AND r.expires > ?3))"
                          " LIMIT 1",
                          "ttit", asset->id, asset->stamp, call->now, terms));
    dv_result result = dv_statement_step(row, error);
    *ret_is = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Listed under the number 0 of no request, until the case is open and has an id. */
static dv_result list_item(dv_call *call, dv_arena *arena, asking *a,
                           const dv_disposal_asset *asset, const dv_disposal_judgement *j,
                           dv_error *error)
{
    bool asked = false;
    const char *terms = NULL;
    DV_TRY(dv_disposal_terms(arena, j->rule, &terms));
    DV_TRY(is_asked_for(call, asset, terms, &asked, error));
    a->asked += asked;
    if (asked || a->count == DV_LIMIT_DISPOSAL_ITEMS) {
        a->more = a->more || !asked;
        return DV_OK;
    }
    DV_TRY(dv_store_run(call->services->store, error,
                        "INSERT INTO data_disposal_request_item (request, n, asset, source, name,"
                        " stamp, terms, before, run) VALUES ('', ?1, ?2, ?3, ?4, ?5, ?6, ?7,"
                        " '')",
                        "ittttti", a->count, asset->id, asset->source, asset->name, asset->stamp,
                        terms, j->before));
    a->count++;
    a->approvals = DV_MAX(a->approvals, j->approvals);
    return DV_OK;
}

/* All that is due and wants an approval. */
static dv_result list_items(dv_call *call, asking *a, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(LOOK_MEMORY);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    DV_TRY(result);
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_DISPOSAL_ASSET_COLUMNS
                          " FROM data_asset WHERE gone = 0 AND (?1 = '' OR source = ?1)"
                          " ORDER BY id",
                          "t", a->source));
    while (!a->more && (result = dv_statement_step(rows, error)) == DV_OK) {
        dv_disposal_asset asset;
        dv_disposal_judgement j;
        dv_arena_reset(arena);
        DV_TRY(dv_disposal_asset_read(rows, arena, &asset));
        DV_TRY(dv_disposal_judge(call->services, arena, call->now, &asset, &j, error));
        if (j.standing == DV_DISPOSAL_DUE && j.approvals > 0 &&
            (a->rule[0] == '\0' || strcmp(a->rule, j.rule->name) == 0)) {
            DV_TRY(list_item(call, arena, a, &asset, &j, error));
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result room_check(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT count(*) FROM data_disposal_request WHERE requester = ?1"
                          " AND state = 'pending'",
                          "t", call->caller));
    DV_TRY(dv_statement_step(row, error));
    return dv_column_int(row, 0) < DV_LIMIT_DISPOSAL_PENDING
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "%d of your requests wait for an answer: cancel some",
                              DV_LIMIT_DISPOSAL_PENDING);
}

static dv_result open_case(dv_call *call, const asking *a, const char **ret_id, dv_error *error)
{
    dv_case_item items[DV_LIMIT_DATA_APPROVALS];
    dv_case c = {.owner = call->caller};
    json_t *details =
        json_pack("{s:s, s:s, s:I, s:s}", "source", a->source, "rule", a->rule, "files",
                  (json_int_t)a->count, "purpose", dv_call_field(call, "reason"));
    dv_auto(free) char *text = details == NULL ? NULL : json_dumps(details, JSON_COMPACT);
    json_decref(details);
    c.details = text;
    c.title = dv_arena_printf(call->arena, "%.180s asks to destroy %lld files", call->caller,
                              (long long)a->count);
    DV_TRY(c.title == NULL || text == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_case_type_load(DV_DISPOSAL_CASE, call->arena, &c.type, error));
    c.deadline = call->now + c.type->deadline_default;
    for (int64_t i = 0; i < a->approvals; i++) {
        items[i] = (dv_case_item){.kind = "approval",
                                  .subject = call->caller,
                                  .object = c.title,
                                  .assignee = "",
                                  .details = "{}"};
    }
    return dv_case_open(call, &c, items, (size_t)a->approvals, ret_id, error);
}

static dv_result insert(dv_call *call, const asking *a, const char *id, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_request_item SET request = ?1 WHERE request = ''",
                        "t", id));
    return dv_store_run(call->services->store, error,
                        "INSERT INTO data_disposal_request (id, source, rule, requester, reason,"
                        " approvals, items, state, created, expires) VALUES (?1, ?2, ?3, ?4, ?5,"
                        " ?6, ?7, 'pending', ?8, 0)",
                        "tttttiii", id, a->source, a->rule, call->caller,
                        dv_call_field(call, "reason"), a->approvals, a->count, call->now);
}

static dv_result ask(dv_call *call, dv_error *error)
{
    const char *source = dv_call_field(call, "source"), *rule = dv_call_field(call, "rule");
    const char *id = NULL;
    asking a = {.source = source != NULL ? source : "", .rule = rule != NULL ? rule : ""};
    DV_TRY(room_check(call, error));
    DV_TRY(list_items(call, &a, error));
    if (a.count == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            a.asked > 0
                                ? "%lld files wait in other requests (`dvara data disposal "
                                  "requests`), and nothing else that is due needs an approval"
                                : "nothing that is due needs an approval",
                            (long long)a.asked);
    }
    DV_TRY(open_case(call, &a, &id, error));
    DV_TRY(insert(call, &a, id, error));
    DV_TRY(answer(call, id, error));
    return json_object_set_new(call->answer, "more", json_boolean(a.more)) == 0 ? DV_OK
                                                                                : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_disposal_request(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, ask, error);
}

/* --- looking --------------------------------------------------------------------------------- */

dv_result dv_op_data_disposal_request_list(dv_call *call, dv_error *error)
{
    int64_t limit = json_integer_value(json_object_get(call->params, "limit"));
    const char *last = NULL;
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_disposal_request_each(call, dv_call_param(call, "status"),
                                    dv_call_param(call, "cursor"), limit, items, &last, error));
    return (int64_t)json_array_size(items) < limit ||
                   json_object_set_new(call->answer, "next", json_string(last)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_disposal_request_show(dv_call *call, dv_error *error)
{
    return answer(call, dv_call_param(call, "id"), error);
}

/* One file of the request: a row of the plan, with how it stands. */
static dv_result file_json(dv_call *call, dv_arena *arena, dv_statement *row,
                           const dv_disposal_request *request, json_t **ret_json, dv_error *error)
{
    dv_slice texts[6];
    dv_disposal_now now;
    for (int i = 0; i < 6; i++) {
        DV_TRY(dv_arena_copy(arena, dv_column_slice(row, i + 1), &texts[i]));
    }
    const dv_disposal_claim claim = {.asset = (const char *)texts[0].ptr,
                                     .stamp = (const char *)texts[3].ptr,
                                     .terms = (const char *)texts[4].ptr,
                                     .before = dv_column_int(row, 7)};
    /* What waits for its answer is shown as it would stand with one. */
    dv_disposal_request as_if = *request;
    if (strcmp(request->state, "pending") == 0) {
        as_if.state = "approved";
        as_if.expires = DV_TIME_NEVER;
    }
    DV_TRY(dv_disposal_look(call, arena, &claim, &as_if, &now, error));
    now.j.before = claim.before; /* as it was asked for */
    now.j.approvals = 0;         /* its why would tell of it */
    bool run = texts[5].len > 0, has_rule = now.there && now.j.rule != NULL;
    json_t *json = has_rule ? dv_disposal_plan_json(&now.asset, &now.j, call->now) : json_object();
    bool rows = now.why[0] == '\0' && claim.before > 0 && !run; /* which the plan's why says */
    const char *why = rows ? json_string_value(json_object_get(json, "why")) : now.why;
    json_t *own = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "asset", claim.asset, "source", texts[1].ptr,
        "name", texts[2].ptr, "stamp", claim.stamp, "status",
        run                  ? "run"
        : now.why[0] == '\0' ? "due"
                             : "waits",
        "why", run ? "" : why, "run", texts[5].ptr, "approvals", (json_int_t)request->approvals);
    if (json_object_update_new(json, own) != 0) {
        json_decref(json);
        return DV_ERR_NO_MEMORY;
    }
    *ret_json = json;
    return DV_OK;
}

/* The cursor is the last number. */
dv_result dv_op_data_disposal_request_files(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(LOOK_MEMORY);
    dv_disposal_request request;
    dv_result result = DV_OK;
    int64_t last = 0, limit = json_integer_value(json_object_get(call->params, "limit"));
    const char *cursor = dv_call_param(call, "cursor");
    json_t *items = json_array(), *one = NULL;
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer == NULL || arena == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_disposal_request_find(call, dv_call_param(call, "id"), &request, error));
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT n, asset, source, name, stamp, terms, run, before FROM"
                          " data_disposal_request_item WHERE request = ?1 AND n > ?2 ORDER BY n"
                          " LIMIT ?3",
                          "tii", request.id,
                          (int64_t)(cursor != NULL ? strtoll(cursor, NULL, 10) : -1), limit));
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        dv_arena_reset(arena);
        last = dv_column_int(rows, 0);
        DV_TRY(file_json(call, arena, rows, &request, &one, error));
        DV_TRY(json_array_append_new(items, one) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
    }
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    char next[24];
    (void)snprintf(next, sizeof(next), "%lld", (long long)last);
    return (int64_t)json_array_size(items) < limit ||
                   json_object_set_new(call->answer, "next", json_string(next)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* --- answering ------------------------------------------------------------------------------- */

/* Ends it, if it is as it was read. expires 0: it lets nothing go. */
static dv_result set_state(dv_call *call, const dv_disposal_request *request, const char *state,
                           dv_time expires, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_request SET state = ?2, expires = ?3 WHERE id = ?1"
                        " AND state = ?4",
                        "ttit", request->id, state, expires, request->state));
    if (dv_store_changes(call->services->store) != 1) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the request is %s", request->state);
    }
    return strcmp(state, "approved") == 0
               ? DV_OK
               : dv_store_run(call->services->store, error,
                              "DELETE FROM data_disposal_request_item WHERE request = ?1", "t",
                              request->id);
}

static dv_result item_take(dv_call *call, const char *id, const char *step, size_t *ret_left,
                           dv_error *error)
{
    dv_case c;
    dv_case_item item;
    dv_case_actor actor = {.name = call->caller, .manager = true};
    if (!dv_data_caller_is_person(call)) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "people answer requests, not services");
    }
    DV_TRY(call->services->people->entities(call, call->caller, &actor.entities,
                                            &actor.entity_count, error));
    DV_TRY(case_read(call, id, &c, error));
    DV_TRY(dv_case_item_free(call, &c, &item, ret_left, error));
    return dv_case_item_step(call, &KIND, &c, &item, step, &actor, dv_call_field(call, "reason"),
                             error);
}

static dv_result case_end(dv_call *call, const char *id, const char *step, const char *reason,
                          dv_error *error)
{
    dv_case c;
    const dv_case_actor clock = {.name = call->caller, .clock = true};
    DV_TRY(case_read(call, id, &c, error));
    return dv_case_step_take(call, &c, step, &clock, reason, error);
}

static dv_result approve(dv_call *call, dv_error *error)
{
    dv_disposal_request request;
    size_t left = 0;
    dv_time lasts = dv_disposal_approval_lasts(call->services->disposal_rules);
    DV_TRY(dv_disposal_request_find(call, dv_call_param(call, "id"), &request, error));
    DV_TRY(item_take(call, request.id, "approve", &left, error));
    if (left == 1) { /* the last yes that was wanted */
        DV_TRY(case_end(call, request.id, "approve", NULL, error));
        DV_TRY(set_state(call, &request, "approved", call->now + lasts, error));
    }
    return answer(call, request.id, error);
}

dv_result dv_op_data_disposal_approve(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, approve, error);
}

static dv_result reject(dv_call *call, dv_error *error)
{
    dv_disposal_request request;
    size_t left = 0;
    DV_TRY(dv_disposal_request_find(call, dv_call_param(call, "id"), &request, error));
    DV_TRY(item_take(call, request.id, "reject", &left, error));
    DV_TRY(case_end(call, request.id, "reject", dv_call_field(call, "reason"), error));
    DV_TRY(set_state(call, &request, "rejected", 0, error));
    return answer(call, request.id, error);
}

dv_result dv_op_data_disposal_reject(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, reject, error);
}

/* Also what was approved: from then on nothing goes by it, in a run that is under way neither. */
static dv_result cancel(dv_call *call, dv_error *error)
{
    dv_disposal_request request;
    const char *reason = dv_call_field(call, "reason");
    DV_TRY(dv_disposal_request_find(call, dv_call_param(call, "id"), &request, error));
    if (strcmp(request.state, "pending") == 0) {
        DV_TRY(case_end(call, request.id, "cancel", reason, error));
    } else if (strcmp(request.state, "approved") == 0 || strcmp(request.state, "used") == 0) {
        json_t *change = json_pack("{s:s, s:s?}", "step", "cancel", "reason", reason);
        dv_result result = change == NULL
                               ? DV_ERR_NO_MEMORY
                               : dv_audit_entity(call, DV_ENTITY_UPDATE, DV_DISPOSAL_CASE,
                                                 request.id, NULL, change, error);
        json_decref(change);
        DV_TRY(result);
    } else {
        return dv_error_set(error, DV_ERR_CONFLICT, "the request is %s", request.state);
    }
    DV_TRY(set_state(call, &request, "cancelled", 0, error));
    return answer(call, request.id, error);
}

dv_result dv_op_data_disposal_cancel(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, cancel, error);
}

/* --- certificates ---------------------------------------------------------------------------- */

static json_t *told_answers(const json_t *answers)
{
    size_t i;
    const json_t *one;
    json_t *told = json_array();
    json_array_foreach(answers, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "answer")), "approved") == 0 &&
            json_array_append_new(told, json_pack("{s:O, s:O}", "by", json_object_get(one, "by"),
                                                  "when", json_object_get(one, "when"))) != 0) {
            json_decref(told);
            return NULL;
        }
    }
    return told;
}

dv_result dv_disposal_request_told(dv_call *call, const char *id, json_t **ret_json,
                                   dv_error *error)
{
    dv_disposal_request request;
    dv_case c;
    json_t *answers = NULL;
    char asked[DV_TIME_TEXT_MAX];
    DV_TRY(dv_disposal_request_find(call, id, &request, error));
    DV_TRY(case_read(call, id, &c, error));
    DV_TRY(dv_case_answers(call, &c, &answers, error));
    dv_time_format(request.created, asked);
    *ret_json = json_pack("{s:s, s:s, s:s, s:o}", "id", request.id, "asked_by", request.requester,
                          "asked", asked, "approvals", told_answers(answers));
    json_decref(answers);
    return *ret_json != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* --- the clock ------------------------------------------------------------------------------- */

enum { ROUND = 256 };

/* Requests that nobody answered in time; the lists of those that are over. */
static dv_result clock_work(dv_call *call, dv_error *error)
{
    const dv_case_type *type;
    const char **ids = NULL;
    size_t count = 0;
    DV_TRY(dv_case_type_load(DV_DISPOSAL_CASE, call->arena, &type, error));
    DV_TRY(dv_case_due(call, type, &ids, &count, error));
    for (size_t i = 0; i < DV_MIN(count, (size_t)ROUND); i++) {
        dv_disposal_request request;
        DV_TRY(dv_case_clock(call, &KIND, ids[i], error));
        DV_TRY(dv_disposal_request_find(call, ids[i], &request, error));
        DV_TRY(set_state(call, &request, "lapsed", 0, error));
    }
    return dv_store_run(call->services->store, error,
                        "DELETE FROM data_disposal_request_item WHERE request IN (SELECT id FROM"
                        " data_disposal_request WHERE state IN ('approved', 'used')"
                        " AND expires <= ?1)",
                        "i", call->now);
}

static dv_result is_something_due(dv_call *call, bool *ret_is, dv_error *error)
{
    const dv_case_type *type;
    const char **ids = NULL;
    size_t count = 0;
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM data_disposal_request r WHERE r.state IN ('approved',"
                          " 'used') AND r.expires <= ?1 AND EXISTS (SELECT 1 FROM"
                          " data_disposal_request_item i WHERE i.request = r.id) LIMIT 1",
                          "i", call->now));
    dv_result result = dv_statement_step(row, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    DV_TRY(dv_case_type_load(DV_DISPOSAL_CASE, call->arena, &type, error));
    DV_TRY(dv_case_due(call, type, &ids, &count, error));
    *ret_is = result == DV_OK || count > 0;
    return DV_OK;
}

static dv_result tick(dv_call *call, dv_error *error)
{
    bool due = false;
    DV_TRY(is_something_due(call, &due, error));
    return due ? dv_audit_change(call, clock_work, error) : DV_OK;
}

dv_result dv_disposal_tick(dv_services *services, dv_error *error)
{
    dv_call call;
    DV_TRY(dv_call_system(services, &call));
    dv_result result = tick(&call, error);
    dv_call_system_end(&call);
    return result;
}
