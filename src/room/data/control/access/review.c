/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/access/access.h"

#include "api/operations.h"
#include "base/caps.h"

/* Reviews: a case of the type data_review whose items are the grants that lived when it began.
 * Whether one still lives is asked before each step; revoking it ends it. */

enum { CLOCKED = 16 }; /* reviews that one change ends */

/* --- the kind -------------------------------------------------------------------------------- */

/* Errors: DV_ERR_NOT_FOUND: it has ended by other means. */
static dv_result review_check(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                              dv_error *error)
{
    dv_data_request request;
    (void)step;
    DV_TRY(dv_data_request_read(call, item->object, &request, error));
    return strcmp(request.state, "granted") == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_NOT_FOUND, "the grant is %s", request.state);
}

static dv_result review_effect(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                               dv_error *error)
{
    dv_data_request request;
    if (strcmp(step->name, "revoke") != 0) {
        return DV_OK;
    }
    DV_TRY(dv_data_request_read(call, item->object, &request, error));
    return dv_data_grant_end(call, &request, "revoked", "a review took it away", error);
}

static const dv_case_kind KIND = {
    .type = DV_DATA_REVIEW_CASE, .check = review_check, .effect = review_effect};

/* --- start ----------------------------------------------------------------------------------- */

static dv_result type_load(dv_call *call, const dv_case_type **ret_type, dv_error *error)
{
    return dv_case_type_load(DV_DATA_REVIEW_CASE, call->arena, ret_type, error);
}

/* A JSON object as text in the arena. Takes over the object; NULL: memory was out. */
static dv_result json_text(dv_call *call, json_t *json, const char **ret_text)
{
    dv_slice copy;
    dv_auto(free) char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_arena_copy(call->arena, dv_slice_str(text), &copy));
    *ret_text = (const char *)copy.ptr;
    return DV_OK;
}

/* The asset's owner, where there is one; else as it was. */
static dv_result owner_of(dv_call *call, const dv_data_request *request, const char **reviewer,
                          dv_error *error)
{
    dv_data_thing thing;
    const char *owner = "";
    dv_result found = dv_data_thing_read(call->services, call->arena, dv_slice_str(request->asset),
                                         &thing, error);
    if (found == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(found);
    DV_TRY(dv_data_approver(call, &thing, &owner, error));
    *reviewer = owner[0] == '\0' ? *reviewer : owner;
    return DV_OK;
}

static dv_result details_make(dv_call *call, const dv_data_request *request, const char *name,
                              const char *expires, const char **ret_details)
{
    return json_text(call,
                     json_pack("{s:s, s:s, s:s, s:s, s:s}", "asset", request->asset, "name", name,
                               "actions", request->actions, "purpose", request->purpose, "expires",
                               expires),
                     ret_details);
}

static dv_result item_make(dv_call *call, const dv_data_request *request, const char *reviewer,
                           dv_case_item *ret_item, dv_error *error)
{
    char expires[DV_TIME_TEXT_MAX];
    dv_case_item item = {.kind = "data_grant",
                         .subject = request->subject,
                         .object = request->id,
                         .assignee = reviewer != NULL ? reviewer : call->caller};
    dv_time_format(request->expires, expires);
    DV_TRY(reviewer == NULL ? owner_of(call, request, &item.assignee, error) : DV_OK);
    DV_TRY(details_make(call, request, request->name, expires, &item.details));
    if (strlen(item.details) > DV_LIMIT_CASE_DETAILS) { /* no name keeps a review from its start */
        DV_TRY(details_make(call, request, "", expires, &item.details));
    }
    *ret_item = item;
    return DV_OK;
}

/* Of the body's scope, behind `after` (or NULL), in the order of their ids. */
static dv_result living_read(dv_call *call, const char *after, size_t max,
                             dv_data_request **ret_requests, size_t *ret_count, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    size_t count = 0;
    dv_result result = DV_OK;
    dv_data_request *requests = dv_arena_alloc(call->arena, max * sizeof(*requests));
    DV_TRY(requests == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_DATA_REQUEST_COLUMNS " FROM data_access r"
                          " WHERE r.state = 'granted' AND r.expires > ?1"
                          " AND (?2 IS NULL OR r.asset = ?2) AND (?3 IS NULL OR r.source = ?3)"
                          " AND (?4 IS NULL OR r.id > ?4) ORDER BY r.id LIMIT ?5",
                          "ittti", call->now, dv_call_field(call, "asset"),
                          dv_call_field(call, "source"), after, (int64_t)max));
    while (count < max &&
           (result = dv_data_request_next(rows, call->arena, &requests[count], error)) == DV_OK) {
        count++;
    }
    *ret_requests = requests;
    *ret_count = count;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Opens a review of these. reviewer: of all; NULL: owners. */
static dv_result review_open(dv_call *call, dv_case *c, const char *reviewer,
                             const dv_data_request *requests, size_t count, dv_error *error)
{
    dv_case_item *items = dv_arena_alloc(call->arena, count * sizeof(*items));
    DV_TRY(items == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    for (size_t i = 0; i < count; i++) {
        DV_TRY(item_make(call, &requests[i], reviewer, &items[i], error));
    }
    return dv_case_open(call, c, items, count, &c->id, error);
}

static dv_result reviewer_read(dv_call *call, const char **ret_reviewer, dv_error *error)
{
    const char *const *unused;
    size_t count;
    const char *name = dv_call_field(call, "reviewer");
    *ret_reviewer = NULL;
    if (name == NULL) {
        return DV_OK;
    }
    call->error_field = "reviewer";
    *ret_reviewer = dv_arena_printf(call->arena, "User::\"%s\"", name);
    DV_TRY(*ret_reviewer == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(call->services->people->entities(call, *ret_reviewer, &unused, &count, error));
    call->error_field = NULL;
    return DV_OK;
}

static dv_result deadline_read(dv_call *call, const dv_case_type *type, dv_time *ret_deadline,
                               dv_error *error)
{
    const char *text = dv_call_field(call, "deadline");
    dv_time after = type->deadline_default, time = 0;
    if (text == NULL || dv_duration_parse(dv_slice_str(text), &after) == DV_OK) {
        bool far = __builtin_add_overflow(call->now, after, &time);
        *ret_deadline = far ? DV_TIME_NEVER : time;
        return DV_OK;
    }
    return dv_time_parse(dv_slice_str(text), ret_deadline) == DV_OK
               ? DV_OK
               : dv_call_invalid(call, "deadline", error,
                                 "deadline is a duration (2d) or a time (2026-01-31T18:00:00Z)");
}

static dv_result start(dv_call *call, dv_error *error)
{
    dv_case c = {.owner = call->caller,
                 .title = dv_call_field(call, "title"),
                 .at_deadline = dv_call_field(call, "at_deadline")};
    const char *reviewer, *asset = dv_call_field(call, "asset");
    const char *source = dv_call_field(call, "source");
    const char *scope = asset != NULL ? asset : source != NULL ? source : "all";
    dv_data_request *requests;
    size_t count = 0;
    c.title = c.title != NULL ? c.title : "grants for data";
    DV_TRY(type_load(call, &c.type, error));
    DV_TRY(reviewer_read(call, &reviewer, error));
    DV_TRY(deadline_read(call, c.type, &c.deadline, error));
    DV_TRY(json_text(call, json_pack("{s:s}", "scope", scope), &c.details));
    /* One more than the type allows, so that too many are seen. */
    DV_TRY(living_read(call, NULL, c.type->items_max + 1, &requests, &count, error));
    if (count == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "no grant lives in this scope: there is nothing to review");
    }
    DV_TRY(review_open(call, &c, reviewer, requests, count, error));
    DV_TRY(dv_case_read(call, c.type, c.id, &c, error));
    return dv_case_json(call, &c, &call->answer, error);
}

dv_result dv_op_data_review_start(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, start, error);
}

/* --- looking --------------------------------------------------------------------------------- */

static dv_result review_read(dv_call *call, dv_case *ret_case, dv_error *error)
{
    const dv_case_type *type;
    DV_TRY(type_load(call, &type, error));
    return dv_case_read(call, type, dv_call_param(call, "id"), ret_case, error);
}

dv_result dv_op_data_review_list(dv_call *call, dv_error *error)
{
    const dv_case_type *type;
    DV_TRY(type_load(call, &type, error));
    return dv_case_list(call, type, dv_call_param(call, "state"), error);
}

dv_result dv_op_data_review_show(dv_call *call, dv_error *error)
{
    dv_case c;
    DV_TRY(review_read(call, &c, error));
    return dv_case_json(call, &c, &call->answer, error);
}

/* Others' items are left out of a page, which may come empty with a next one. */
static dv_result others_drop(dv_call *call, const dv_data_person *person)
{
    json_t *items = json_object_get(call->answer, "items");
    for (size_t i = json_array_size(items); i > 0; i--) {
        const json_t *item = json_array_get(items, i - 1);
        const char *reviewer = json_string_value(json_object_get(item, "reviewer"));
        if (reviewer == NULL || !dv_data_person_is(person, reviewer)) {
            DV_TRY(json_array_remove(items, i - 1) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
        }
    }
    return DV_OK;
}

dv_result dv_op_data_review_items(dv_call *call, dv_error *error)
{
    dv_case c;
    dv_data_person person;
    DV_TRY(dv_data_person_read(call, &person, error));
    DV_TRY(review_read(call, &c, error));
    DV_TRY(dv_case_item_list(call, &c, dv_call_param(call, "state"), NULL, error));
    return person.views ? DV_OK : others_drop(call, &person);
}

dv_result dv_op_data_review_report(dv_call *call, dv_error *error)
{
    dv_case c;
    DV_TRY(review_read(call, &c, error));
    return dv_case_report(call, &c, error);
}

/* --- deciding -------------------------------------------------------------------------------- */

static dv_result actor_read(dv_call *call, dv_case_actor *ret_actor, dv_error *error)
{
    dv_data_person person;
    DV_TRY(dv_data_person_read(call, &person, error));
    *ret_actor = (dv_case_actor){.name = call->caller,
                                 .entities = person.entities,
                                 .entity_count = person.count,
                                 .manager = person.manages};
    return DV_OK;
}

static dv_result decide(dv_call *call, const char *step, dv_error *error)
{
    dv_case c;
    dv_case_item item;
    dv_case_actor actor;
    const dv_case_type *type;
    const char *id;
    int64_t number;
    if (strcmp(step, "keep") == 0 && !dv_data_caller_is_person(call)) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "people say that a grant stays, not services");
    }
    DV_TRY(type_load(call, &type, error));
    DV_TRY(dv_case_item_id_parse(call, dv_call_param(call, "item"), &id, &number, error));
    DV_TRY(dv_case_read(call, type, id, &c, error));
    DV_TRY(dv_case_item_read(call, &c, number, &item, error));
    DV_TRY(actor_read(call, &actor, error));
    DV_TRY(dv_case_item_step(call, &KIND, &c, &item, step, &actor, dv_call_field(call, "reason"),
                             error));
    DV_TRY(dv_case_item_read(call, &c, number, &item, error));
    return dv_case_item_json(&c, &item, &call->answer);
}

static dv_result keep(dv_call *call, dv_error *error)
{
    return decide(call, "keep", error);
}

dv_result dv_op_data_review_keep(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, keep, error);
}

static dv_result revoke(dv_call *call, dv_error *error)
{
    return decide(call, "revoke", error);
}

dv_result dv_op_data_review_revoke(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, revoke, error);
}

static dv_result cancel(dv_call *call, dv_error *error)
{
    dv_case c;
    dv_case_actor actor;
    DV_TRY(review_read(call, &c, error));
    DV_TRY(actor_read(call, &actor, error));
    DV_TRY(dv_case_step_take(call, &c, "cancel", &actor, dv_call_field(call, "reason"), error));
    DV_TRY(dv_case_read(call, c.type, c.id, &c, error));
    return dv_case_json(call, &c, &call->answer, error);
}

dv_result dv_op_data_review_cancel(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, cancel, error);
}

/* --- what nobody asks for -------------------------------------------------------------------- */

/* The call is first, so that it is found from there. */
typedef struct due_call {
    dv_call call;
    const char *id;
} due_call;

static dv_result due_work(dv_call *call, dv_error *error)
{
    return dv_case_clock(call, &KIND, ((const due_call *)call)->id, error);
}

static dv_result due_end(dv_services *services, const char *id, dv_error *error)
{
    due_call due = {.id = id};
    DV_TRY(dv_call_system(services, &due.call));
    dv_result result = dv_audit_change(&due.call, due_work, error);
    dv_call_system_end(&due.call);
    return result;
}

static dv_result gone_rest(dv_call *call, dv_error *error)
{
    return dv_case_gone_rest(call, DV_DATA_REVIEW_CASE, error);
}

/* --- periodic reviews ------------------------------------------------------------------------ */

/* As many as one review may hold. The call is first, so that it is found from there. */
typedef struct round_call {
    dv_call call;
    char after[DV_DATA_ID_MAX]; /* the last grant that is in one; "": none is */
    bool more;
} round_call;

static dv_result round_open(dv_call *call, dv_error *error)
{
    round_call *round = (round_call *)call;
    dv_data_request *requests;
    size_t count = 0;
    const dv_data_period period = dv_data_rules_period(call->services->data_rules);
    dv_case c = {.owner = call->caller,
                 .title = "periodic review of grants for data",
                 .deadline = call->now + period.deadline};
    DV_TRY(type_load(call, &c.type, error));
    DV_TRY(json_text(call, json_pack("{s:s}", "scope", "all"), &c.details));
    DV_TRY(living_read(call, round->after, c.type->items_max, &requests, &count, error));
    round->more = count == c.type->items_max;
    if (count == 0) {
        return DV_OK;
    }
    dv_slice_copy(dv_slice_str(requests[count - 1].id), round->after, sizeof(round->after));
    return review_open(call, &c, NULL, requests, count, error);
}

static dv_result periodic_start(dv_services *services, dv_error *error)
{
    round_call round = {.more = true};
    while (round.more) {
        round.more = false;
        DV_TRY(dv_call_system(services, &round.call));
        dv_result result = dv_audit_change(&round.call, round_open, error);
        dv_call_system_end(&round.call);
        DV_TRY(result);
    }
    return DV_OK;
}

/* Whether a grant lives. */
static dv_result living_is(const dv_call *call, bool *ret_is, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM data_access WHERE state = 'granted' AND expires > ?1"
                          " LIMIT 1",
                          "i", call->now));
    dv_result result = dv_statement_step(row, error);
    *ret_is = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* When the first grant of all began, also of those that have ended: none may live as long as the
 * period lasts. */
static dv_result first_read(const dv_call *call, dv_time *ret_first, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT COALESCE(min(began), 0) FROM data_access WHERE began <> 0", ""));
    DV_TRY(dv_statement_step(row, error));
    *ret_first = dv_column_int(row, 0);
    return DV_OK;
}

/* So long after the last one, or after the first grant, as dvara.yaml says. */
static dv_result periodic_tick(dv_call *call, dv_error *error)
{
    const dv_case_type *type;
    const dv_data_period period = dv_data_rules_period(call->services->data_rules);
    dv_time last = 0;
    bool living = false;
    if (period.every == 0) {
        return DV_OK;
    }
    DV_TRY(living_is(call, &living, error));
    if (!living) {
        return DV_OK;
    }
    DV_TRY(type_load(call, &type, error));
    DV_TRY(dv_case_last(call, type, call->caller, &last, error));
    DV_TRY(last == 0 ? first_read(call, &last, error) : DV_OK);
    return last <= call->now - period.every ? periodic_start(call->services, error) : DV_OK;
}

/* --- the clock ------------------------------------------------------------------------------- */

/* Each for itself: one that can't be ended now keeps no other waiting. */
dv_result dv_data_review_tick(dv_call *call, dv_error *error)
{
    const dv_case_type *type;
    const char **ids = NULL;
    size_t count = 0;
    bool waits = false;
    DV_TRY(dv_case_gone_waits(call, DV_DATA_REVIEW_CASE, &waits, error));
    dv_result result = waits ? dv_audit_change(call, gone_rest, error) : DV_OK;
    dv_result started = periodic_tick(call, error);
    result = started == DV_OK ? result : started;
    DV_TRY(type_load(call, &type, error));
    DV_TRY(dv_case_due(call, type, &ids, &count, error));
    for (size_t i = 0; i < DV_MIN(count, (size_t)CLOCKED); i++) {
        dv_result ended = due_end(call->services, ids[i], error);
        result = ended == DV_OK ? result : ended;
    }
    return result;
}
