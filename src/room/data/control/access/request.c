/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/access/access.h"

#include "api/operations.h"
#include "base/caps.h"

/* Asking for data, looking at what was asked for, and answering. A request is a case of the type
 * data_access (rules/case_types/data_access.yaml) with an item for each approval that it wants.
 *
 * Invariants
 *
 * 1. Who asked and whom it is for (a group: all who are in it) answer nothing, whatever else they
 *    are; no one answers twice; services answer nothing.
 * 2. Whose answer counts is asked at the moment of the answer.
 * 3. What the data wants is asked again with each approval: labelled more strictly since, it is
 *    asked for anew.
 */

static const dv_case_kind KIND = {.type = DV_DATA_ACCESS_CASE};

static dv_result case_read(dv_call *call, const char *id, dv_case *ret_case, dv_error *error)
{
    const dv_case_type *type;
    DV_TRY(dv_case_type_load(DV_DATA_ACCESS_CASE, call->arena, &type, error));
    return dv_case_read(call, type, id, ret_case, error);
}

/* --- asking ---------------------------------------------------------------------------------- */

/* *ret_subject: NULL: none is named. */
static dv_result subject_named(dv_call *call, const json_t *from, const char **ret_subject,
                               dv_error *error)
{
    static const char *const words[][2] = {
        {"user", "User"}, {"service", "Service"}, {"group", "Group"}};
    const char *subject = NULL;
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        const char *name = json_string_value(json_object_get(from, words[i][0]));
        if (name != NULL && subject != NULL) {
            return dv_call_invalid(call, words[i][0], error, "name one: user, service or group");
        }
        if (name != NULL) {
            subject = dv_arena_printf(call->arena, "%s::\"%s\"", words[i][1], name);
            DV_TRY(subject == NULL ? DV_ERR_NO_MEMORY : DV_OK);
        }
    }
    *ret_subject = subject;
    return DV_OK;
}

static dv_result subject_read(dv_call *call, const dv_data_person *person, const char **ret_subject,
                              dv_error *error)
{
    const char *subject = NULL, *const * unused;
    size_t count;
    DV_TRY(subject_named(call, call->body, &subject, error));
    if (subject == NULL) {
        dv_slice caller = dv_slice_str(call->caller);
        bool somebody = dv_slice_starts_with(caller, DV_LIT("User::")) ||
                        dv_slice_starts_with(caller, DV_LIT("Service::"));
        *ret_subject = call->caller;
        return somebody
                   ? DV_OK
                   : dv_call_invalid(call, "user", error, "say for whom: user, service or group");
    }
    if (strcmp(subject, call->caller) != 0 && !person->manages) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "to ask for others needs the permission manage_data_access");
    }
    *ret_subject = subject;
    return call->services->people->entities(call, subject, &unused, &count, error);
}

/* A duration from the last approval, or a time. */
static dv_result expiry_read(dv_call *call, dv_time longest, dv_data_request *request,
                             dv_error *error)
{
    const char *text = dv_call_field(call, "expires");
    dv_time lasts = 0, until = 0;
    if (dv_duration_parse(dv_slice_str(text), &lasts) != DV_OK &&
        (dv_time_parse(dv_slice_str(text), &until) != DV_OK || until <= call->now)) {
        return dv_call_invalid(call, "expires", error,
                               "expires is a duration (7d) or a time to come "
                               "(2026-01-31T18:00:00Z)");
    }
    dv_time asked = until != 0 ? until - call->now : lasts;
    if (asked <= 0 || asked > longest) {
        return dv_call_invalid(call, "expires", error,
                               "a grant for this ends after %lld seconds at most, and not at once",
                               (long long)(longest / DV_SECOND));
    }
    request->lasts = asked;
    request->until = until;
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

/* Of a database, for a table of one; it can read and nothing else. Whose role it is only people
 * know: where nobody approves, somebody would give and take what is others'. */
static dv_result role_read(dv_call *call, const dv_data_person *person, const dv_data_thing *thing,
                           dv_data_request *request, dv_error *error)
{
    const char *role = dv_call_field(call, "role");
    bool table = dv_slice_starts_with(dv_slice_str(thing->source), DV_LIT("postgresql://"));
    if (role != NULL && (!table || strcmp(request->actions, "read") != 0)) {
        return dv_call_invalid(call, "role", error,
                               "a role is for reading a table of a database, and nothing else");
    }
    if (role != NULL && request->approvals == 0 && !person->manages) {
        return dv_call_invalid(call, "role", error,
                               "this data wants nobody's approval, so that nobody would look whose "
                               "role that is: who may manage_data_access can name one");
    }
    request->role = role;
    return DV_OK;
}

/* sql: counts those of the requester ?1 at the time ?2. */
static dv_result count_check(dv_call *call, const char *sql, int most, const char *why,
                             dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error, sql, "ti", call->caller, call->now));
    DV_TRY(dv_statement_step(row, error));
    return dv_column_int(row, 0) < most
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "%d of your %s", most, why);
}

/* What nobody has to look at has a bound, too: a review holds them all, and they end in one change
 * with whom they are for. */
static dv_result room_check(dv_call *call, int64_t approvals, dv_error *error)
{
    DV_TRY(count_check(call,
                       "SELECT count(*) FROM data_access WHERE requester = ?1"
                       " AND state = 'pending' AND ?2 > 0",
                       DV_LIMIT_DATA_PENDING, "requests wait for an answer: cancel some", error));
    return approvals > 0
               ? DV_OK
               : count_check(call,
                             "SELECT count(*) FROM data_access WHERE requester = ?1"
                             " AND state = 'granted' AND approvals = 0 AND expires > ?2",
                             DV_LIMIT_DATA_UNASKED,
                             "grants that nobody approved live: give some back (revoke)", error);
}

/* What the case says besides, and so the record of its opening; in the arena. */
static dv_result details_write(dv_call *call, const dv_data_request *r, const char **ret_details)
{
    dv_slice copy;
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?}", "asset", r->asset, "name", r->name,
                  "subject", r->subject, "actions", r->actions, "purpose", r->purpose, "expires",
                  dv_call_field(call, "expires"), "role", r->role);
    dv_auto(free) char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_arena_copy(call->arena, dv_slice_str(text), &copy));
    *ret_details = (const char *)copy.ptr;
    return DV_OK;
}

static dv_result request_open(dv_call *call, dv_data_request *request, dv_error *error)
{
    dv_case_item items[DV_LIMIT_DATA_APPROVALS];
    dv_case c = {.owner = call->caller};
    const char *object =
        dv_arena_printf(call->arena, DV_DATA_ASSET_TYPE "::\"%s\"", request->asset);
    c.title = dv_arena_printf(call->arena, "%.180s asks for %s", request->subject, request->asset);
    DV_TRY(c.title == NULL || object == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_case_type_load(DV_DATA_ACCESS_CASE, call->arena, &c.type, error));
    DV_TRY(deadline_read(call, c.type, &c.deadline, error));
    DV_TRY(details_write(call, request, &c.details));
    for (int64_t i = 0; i < request->approvals; i++) {
        items[i] = (dv_case_item){.kind = "approval",
                                  .subject = request->subject,
                                  .object = object,
                                  .assignee = request->approver,
                                  .details = "{}"};
    }
    DV_TRY(dv_case_open(call, &c, items, (size_t)request->approvals, &request->id, error));
    return dv_data_request_insert(call, request, error);
}

/* The last yes was said, or none is wanted. */
static dv_result grant(dv_call *call, const dv_data_request *request, const dv_data_wants *wants,
                       dv_error *error)
{
    dv_case c;
    const dv_case_actor clock = {.name = call->caller, .clock = true};
    DV_TRY(case_read(call, request->id, &c, error));
    DV_TRY(dv_case_step_take(call, &c, "grant", &clock, NULL, error));
    return dv_data_grant_begin(call, request, wants->longest, error);
}

static dv_result thing_wanted(dv_call *call, dv_data_thing *ret_thing, dv_error *error)
{
    dv_result result = dv_data_thing_read(
        call->services, call->arena, dv_slice_str(dv_call_field(call, "asset")), ret_thing, error);
    call->error_field = result == DV_ERR_NOT_FOUND ? "asset" : call->error_field;
    DV_TRY(result);
    return ret_thing->gone
               ? dv_error_set(error, DV_ERR_CONFLICT, "the last scan did not see it any more")
               : DV_OK;
}

static dv_result answer(dv_call *call, const char *id, dv_error *error);

static dv_result request_do(dv_call *call, dv_error *error)
{
    dv_data_person person;
    dv_data_thing thing;
    dv_data_request r = {.requester = call->caller, .purpose = dv_call_field(call, "purpose")};
    const json_t *actions = json_object_get(call->body, "actions");
    DV_TRY(dv_data_person_read(call, &person, error));
    DV_TRY(thing_wanted(call, &thing, error));
    DV_TRY(subject_read(call, &person, &r.subject, error));
    const dv_data_wants wants = dv_data_rules_wants(call->services->data_rules, &thing.labelled);
    DV_TRY(room_check(call, wants.approvals, error));
    DV_TRY(expiry_read(call, wants.longest, &r, error));
    r.asset = thing.id;
    r.source = thing.source;
    r.name = thing.name;
    r.approvals = wants.approvals;
    r.actions = actions == NULL ? "read" : dv_data_words_text(call->arena, actions);
    DV_TRY(r.actions == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(role_read(call, &person, &thing, &r, error));
    DV_TRY(dv_data_approver(call, &thing, &r.approver, error));
    DV_TRY(request_open(call, &r, error));
    DV_TRY(r.approvals == 0 ? grant(call, &r, &wants, error) : DV_OK);
    return answer(call, r.id, error);
}

dv_result dv_op_data_access_request(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, request_do, error);
}

/* --- looking --------------------------------------------------------------------------------- */

/* What a caller has to do with one request. */
typedef struct business {
    dv_data_person person;
    dv_data_request request;
    dv_data_thing thing;
    bool there;   /* the thing */
    bool own;     /* he asked, or it is for him or a group of his */
    bool decides; /* it is his to answer */
} business;

/* The request that the path names. What is none of his business is not there. */
static dv_result business_read(dv_call *call, business *ret_business, dv_error *error)
{
    business b = {0};
    const char *id = dv_call_param(call, "id");
    DV_TRY(dv_data_person_read(call, &b.person, error));
    DV_TRY(dv_data_request_read(call, id, &b.request, error));
    dv_result found = dv_data_thing_read(call->services, call->arena, dv_slice_str(b.request.asset),
                                         &b.thing, error);
    DV_TRY(found == DV_ERR_NOT_FOUND ? DV_OK : found);
    b.there = found == DV_OK;
    b.own = dv_data_person_is(&b.person, b.request.requester) ||
            dv_data_person_is(&b.person, b.request.subject);
    b.decides = dv_data_person_decides(call, &b.person, b.there ? &b.thing : NULL);
    if (!b.own && !b.decides && !b.person.views) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no request for data %s", id);
    }
    *ret_business = b;
    return DV_OK;
}

static dv_result answers_add(dv_call *call, const dv_case *c, json_t *json, dv_error *error)
{
    json_t *answers = NULL;
    char deadline[DV_TIME_TEXT_MAX];
    dv_time_format(c->deadline, deadline);
    DV_TRY(dv_case_answers(call, c, &answers, error));
    return json_object_set_new(json, "answers", answers) == 0 &&
                   json_object_set_new(json, "deadline", json_string(deadline)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* The router releases the answer, also after an error. */
static dv_result answer(dv_call *call, const char *id, dv_error *error)
{
    dv_data_request request;
    dv_case c;
    DV_TRY(dv_data_request_read(call, id, &request, error));
    DV_TRY(case_read(call, id, &c, error));
    call->answer = dv_data_request_json(&request);
    return call->answer == NULL ? DV_ERR_NO_MEMORY : answers_add(call, &c, call->answer, error);
}

dv_result dv_op_data_access_show(dv_call *call, dv_error *error)
{
    business b;
    DV_TRY(business_read(call, &b, error));
    return answer(call, b.request.id, error);
}

/* Whether a row is the caller's business; things are read once for each row, pages are small. */
static dv_result is_business(dv_call *call, const dv_data_person *person, const dv_data_request *r,
                             bool *ret_is, dv_error *error)
{
    dv_data_thing thing;
    *ret_is = person->views || dv_data_person_is(person, r->requester) ||
              dv_data_person_is(person, r->subject);
    if (*ret_is) {
        return DV_OK;
    }
    dv_result found =
        dv_data_thing_read(call->services, call->arena, dv_slice_str(r->asset), &thing, error);
    *ret_is = found == DV_OK && dv_data_person_decides(call, person, &thing);
    return found == DV_ERR_NOT_FOUND ? DV_OK : found;
}

static dv_result rows_answer(dv_call *call, const dv_data_person *person, dv_statement *rows,
                             dv_error *error)
{
    enum { LOOKED_AT = 2000 }; /* rows of others in one page, which then ends early */
    size_t limit = (size_t)json_integer_value(json_object_get(call->params, "limit"));
    json_t *items = json_array();
    dv_data_request r;
    dv_result result = DV_OK;
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    for (size_t looked = 0; (result = dv_data_request_next(rows, call->arena, &r, error)) == DV_OK;
         looked++) {
        bool is = false;
        DV_TRY(is_business(call, person, &r, &is, error));
        if (is && json_array_append_new(items, dv_data_request_json(&r)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        if (json_array_size(items) == limit || looked == LOOKED_AT) {
            return json_object_set_new(call->answer, "next", json_string(r.id)) == 0
                       ? DV_OK
                       : DV_ERR_NO_MEMORY;
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

dv_result dv_op_data_access_list(dv_call *call, dv_error *error)
{
    dv_data_person person;
    const char *subject = NULL;
    dv_auto(statement) dv_statement *rows = NULL;
    DV_TRY(dv_data_person_read(call, &person, error));
    DV_TRY(subject_named(call, call->params, &subject, error));
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_DATA_REQUEST_COLUMNS " FROM data_access r"
                          " WHERE (?2 IS NULL OR r.id < ?2) AND (?3 IS NULL OR r.asset = ?3)"
                          " AND (?4 IS NULL OR r.subject = ?4) AND (?5 IS NULL OR ?5 = CASE"
                          " WHEN r.state = 'granted' AND r.expires <= ?1 THEN 'expired'"
                          " ELSE r.state END) ORDER BY r.id DESC",
                          "itttt", call->now, dv_call_param(call, "cursor"),
                          dv_call_param(call, "asset"), subject, dv_call_param(call, "status")));
    return rows_answer(call, &person, rows, error);
}

/* One table and role for one of whom it was granted to: for all of them one item. Who is suspended
 * has nothing, here neither. */
static dv_result role_add(dv_call *call, dv_statement *row, json_t *items, dv_error *error)
{
    dv_slice subject, table = dv_column_slice(row, 0), role = dv_column_slice(row, 1);
    bool living = dv_column_int(row, 3) == 1;
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 2), &subject));
    if (living) {
        DV_TRY(call->services->people->active(call, (const char *)subject.ptr, &living, error));
    }
    json_t *last = json_array_get(items, json_array_size(items) - 1);
    const char *last_table = json_string_value(json_object_get(last, "table"));
    const char *last_role = json_string_value(json_object_get(last, "role"));
    if (last_table != NULL && dv_slice_eq_str(table, last_table) && last_role != NULL &&
        dv_slice_eq_str(role, last_role)) {
        return !living || json_object_set_new(last, "living", json_true()) == 0 ? DV_OK
                                                                                : DV_ERR_NO_MEMORY;
    }
    json_t *item = json_pack("{s:o, s:o, s:b}", "table", dv_data_column_text(row, 0), "role",
                             dv_data_column_text(row, 1), "living", (int)living);
    return json_array_append_new(items, item) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* What a database is to let whom read, for `dvara data access sync`: what was granted once, and
 * whether a grant of it lives. What was never granted is none of Dvara's there. */
dv_result dv_op_data_access_roles(dv_call *call, dv_error *error)
{
    enum { MOST = 10000 };
    dv_auto(statement) dv_statement *rows = NULL;
    dv_result result = DV_OK;
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT name, role, subject, MAX(CASE WHEN state = 'granted'"
                          " AND expires > ?1 THEN 1 ELSE 0 END) FROM data_access"
                          " WHERE source = ?2 AND role IS NOT NULL AND began <> 0"
                          " GROUP BY name, role, subject ORDER BY name, role, subject",
                          "it", call->now, dv_call_param(call, "source")));
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        DV_TRY(role_add(call, rows, items, error));
        if (json_array_size(items) > MOST) {
            return dv_error_set(error, DV_ERR_TOO_LARGE, "more than %d roles and tables", MOST);
        }
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* --- answering ------------------------------------------------------------------------------- */

static dv_result decider_check(const dv_call *call, const business *b, dv_error *error)
{
    if (!dv_data_caller_is_person(call)) {
        return dv_error_set(error, DV_ERR_FORBIDDEN, "people answer requests, not services");
    }
    return b->decides ? DV_OK
                      : dv_error_set(error, DV_ERR_FORBIDDEN,
                                     "this is for the owner of the data or who may "
                                     "manage_data_access");
}

/* A step of one item, by the caller. *ret_left: how many were undecided before it. */
static dv_result item_take(dv_call *call, const business *b, const char *step, size_t *ret_left,
                           dv_error *error)
{
    dv_case c;
    dv_case_item item;
    const dv_case_actor actor = {.name = call->caller,
                                 .entities = b->person.entities,
                                 .entity_count = b->person.count,
                                 .manager = true};
    DV_TRY(decider_check(call, b, error));
    DV_TRY(case_read(call, b->request.id, &c, error));
    DV_TRY(dv_case_item_free(call, &c, &item, ret_left, error));
    return dv_case_item_step(call, &KIND, &c, &item, step, &actor, dv_call_field(call, "reason"),
                             error);
}

/* As it is labelled now, and for somebody who is there. */
static dv_result wants_check(dv_call *call, const business *b, dv_data_wants *ret_wants,
                             dv_error *error)
{
    const char *const *unused;
    size_t count;
    if (!b->there || b->thing.gone) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the data is no longer there");
    }
    DV_TRY(call->services->people->entities(call, b->request.subject, &unused, &count, error));
    *ret_wants = dv_data_rules_wants(call->services->data_rules, &b->thing.labelled);
    return ret_wants->approvals <= b->request.approvals
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "the data wants %lld approvals by now: it must be asked for anew",
                              (long long)ret_wants->approvals);
}

static dv_result approve(dv_call *call, dv_error *error)
{
    business b;
    dv_data_wants wants;
    size_t left = 0;
    DV_TRY(business_read(call, &b, error));
    DV_TRY(decider_check(call, &b, error));
    DV_TRY(wants_check(call, &b, &wants, error));
    DV_TRY(item_take(call, &b, "approve", &left, error));
    DV_TRY(left == 1 ? grant(call, &b.request, &wants, error) : DV_OK);
    return answer(call, b.request.id, error);
}

dv_result dv_op_data_access_approve(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, approve, error);
}

static dv_result reject(dv_call *call, dv_error *error)
{
    business b;
    dv_case c;
    size_t left = 0;
    const char *reason = dv_call_field(call, "reason");
    const dv_case_actor clock = {.name = call->caller, .clock = true};
    DV_TRY(business_read(call, &b, error));
    DV_TRY(item_take(call, &b, "reject", &left, error));
    DV_TRY(case_read(call, b.request.id, &c, error));
    DV_TRY(dv_case_step_take(call, &c, "reject", &clock, reason, error));
    DV_TRY(dv_data_request_end(call, &b.request, "rejected", reason, error));
    return answer(call, b.request.id, error);
}

dv_result dv_op_data_access_reject(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, reject, error);
}

static dv_result revoke(dv_call *call, dv_error *error)
{
    business b;
    DV_TRY(business_read(call, &b, error));
    bool gives_back = strcmp(b.request.subject, call->caller) == 0 ||
                      strcmp(b.request.requester, call->caller) == 0;
    DV_TRY(gives_back ? DV_OK : decider_check(call, &b, error));
    if (strcmp(b.request.state, "granted") != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "it is %s, no living grant", b.request.state);
    }
    DV_TRY(dv_data_grant_end(call, &b.request, "revoked", dv_call_field(call, "reason"), error));
    return answer(call, b.request.id, error);
}

dv_result dv_op_data_access_revoke(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, revoke, error);
}

static dv_result cancel(dv_call *call, dv_error *error)
{
    business b;
    DV_TRY(business_read(call, &b, error));
    const dv_case_actor actor = {.name = call->caller,
                                 .entities = b.person.entities,
                                 .entity_count = b.person.count,
                                 .manager = b.person.manages};
    DV_TRY(
        dv_data_request_withdraw(call, &b.request, &actor, dv_call_field(call, "reason"), error));
    return answer(call, b.request.id, error);
}

dv_result dv_op_data_access_cancel(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, cancel, error);
}
