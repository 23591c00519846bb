/* SPDX-License-Identifier: Apache-2.0 */
#include "room/auth/control/review.h"
#include "room/auth/control/policies.h"

#include "api/operations.h"
#include "base/utf8.h"

/* Access reviews: a case (engine/case, rules/case_types/access_review.yaml) whose items are the
 * grants that were in force when it began. Whether an item's grant is still there is asked before
 * each step; revoking one takes it away. */

#define REVIEW "access_review"

/* --- the kind -------------------------------------------------------------------------------- */

static dv_result refs_read(dv_call *call, const dv_case_item *item, dv_auth_ref *ret_subject,
                           dv_auth_ref *ret_object)
{
    DV_TRY(dv_auth_ref_parse(item->subject, call->arena, ret_subject));
    return dv_auth_ref_parse(item->object, call->arena, ret_object);
}

/* Errors: DV_ERR_NOT_FOUND: the role or membership has ended. */
static dv_result row_check(dv_call *call, const dv_case_item *item, dv_error *error)
{
    dv_auth_ref subject, object;
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(refs_read(call, item, &subject, &object));
    const char *sql = object.kind == DV_AUTH_ROLE
                          ? "SELECT 1 FROM auth_assignment WHERE role = ?1 AND kind = ?2"
                            " AND name = ?3 AND (expires IS NULL OR expires > ?4)"
                          : "SELECT 1 FROM auth_member WHERE group_name = ?1 AND member_kind = ?2"
                            " AND member_name = ?3 AND created <= ?4";
    DV_TRY(dv_store_query(call->services->store, &row, error, sql, "ttti", object.name,
                          dv_auth_kind_name(subject.kind), subject.name, call->now));
    return dv_statement_step(row, error);
}

static bool is_revoke(const dv_case_step *step)
{
    return strcmp(step->name, "revoke") == 0;
}

/* A policy that permits nothing at the moment (its subject is suspended, something forbids it for
 * now, it was narrowed) is still there: whoever keeps it keeps it, and revoked it is not. */
static dv_result policy_check(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                              dv_error *error)
{
    bool there = false, permitted = false;
    DV_TRY(dv_review_policy_is_there(call, item, &there, error));
    if (!there) {
        return DV_ERR_NOT_FOUND;
    }
    if (!is_revoke(step)) {
        return DV_OK;
    }
    DV_TRY(dv_review_permitted(call, item, &permitted, error));
    return permitted ? dv_error_set(error, DV_ERR_CONFLICT,
                                    "the policy \"%s\" still permits this: delete it (dvara "
                                    "policy), then revoke, or narrow it and attest what is left",
                                    item->object)
                     : dv_error_set(error, DV_ERR_CONFLICT,
                                    "the policy \"%s\" does not permit this now, but it is still "
                                    "there: delete it (dvara policy), then revoke, or attest it",
                                    item->object);
}

/* Nobody looks at what the clock takes away, so it leaves Dvara its last administrator. */
static dv_result last_check(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                            dv_error *error)
{
    dv_auth_ref subject, object;
    bool last = false;
    bool clock = dv_slice_starts_with(dv_slice_str(call->caller), DV_LIT("System::"));
    if (!is_revoke(step) || !clock) {
        return DV_OK;
    }
    DV_TRY(refs_read(call, item, &subject, &object));
    DV_TRY(dv_auth_is_last_for_all(call, subject, object, &last, error));
    return last ? dv_error_set(error, DV_ERR_CONFLICT,
                               "without this nobody could do everything any more")
                : DV_OK;
}

static dv_result review_check(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                              dv_error *error)
{
    if (strcmp(item->kind, DV_REVIEW_POLICY) == 0) {
        return policy_check(call, item, step, error);
    }
    DV_TRY(row_check(call, item, error));
    return last_check(call, item, step, error);
}

static dv_result review_effect(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                               dv_error *error)
{
    dv_auth_ref subject, object;
    if (!is_revoke(step)) {
        return DV_OK;
    }
    DV_TRY(refs_read(call, item, &subject, &object));
    return object.kind == DV_AUTH_ROLE ? dv_auth_unassign(call, object.name, subject, error)
                                       : dv_auth_member_delete(call, object.name, subject, error);
}

static const dv_case_kind KIND = {.type = REVIEW, .check = review_check, .effect = review_effect};

/* --- who calls ------------------------------------------------------------------------------- */

/* Whether he may manage all reviews is asked only when nothing else lets him. */
static dv_result actor_read(dv_call *call, const dv_case *c, const dv_case_item *item,
                            dv_case_actor *ret_actor, dv_error *error)
{
    dv_case_actor actor = {.name = call->caller};
    DV_TRY(dv_auth_entities_of(call, call->caller, &actor.entities, &actor.entity_count, error));
    actor.manager = dv_auth_caller_is_the_machine(call);
    bool named =
        (dv_case_who_is(c, item, &actor) & (uint32_t)(DV_CASE_OWNER | DV_CASE_ASSIGNEE)) != 0;
    if (!actor.manager && !named) {
        DV_TRY(dv_auth_caller_may(call, "manage_access_reviews", "System::\"dvara\"",
                                  &actor.manager, error));
    }
    *ret_actor = actor;
    return DV_OK;
}

static dv_result type_load(dv_call *call, const dv_case_type **ret_type, dv_error *error)
{
    return dv_case_type_load(REVIEW, call->arena, ret_type, error);
}

/* The review that the path names. */
static dv_result review_read(dv_call *call, dv_case *ret_case, dv_error *error)
{
    const dv_case_type *type;
    DV_TRY(type_load(call, &type, error));
    return dv_case_read(call, type, dv_call_param(call, "id"), ret_case, error);
}

/* --- start ----------------------------------------------------------------------------------- */

/* The entity of the field's user or group, if it is there; absent: as it was. */
static dv_result entity_field(dv_call *call, const char *field, dv_auth_kind kind,
                              const char **entity, dv_error *error)
{
    dv_auth_ref ref = {kind, dv_call_field(call, field)};
    if (ref.name == NULL) {
        return DV_OK;
    }
    dv_result result = dv_auth_require(call->services->store, ref, error);
    if (result != DV_OK) {
        call->error_field = field;
        return result;
    }
    *entity = dv_auth_entity(call->arena, ref);
    return *entity == NULL ? DV_ERR_NO_MEMORY : DV_OK;
}

/* "ml=lena": both must be there. */
static dv_result pair_check(dv_call *call, const char *pair, dv_error *error)
{
    const char *equals = strchr(pair, '=');
    const char *group = dv_arena_printf(call->arena, "%.*s", (int)(equals - pair), pair);
    if (group == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_auth_require(call->services->store, (dv_auth_ref){DV_AUTH_GROUP, group}, error));
    return dv_auth_require(call->services->store, (dv_auth_ref){DV_AUTH_USER, equals + 1}, error);
}

static dv_result deciders_read(dv_call *call, dv_review_deciders *ret_deciders, dv_error *error)
{
    dv_review_deciders deciders = {.owner = call->caller};
    bool both =
        dv_call_field(call, "reviewer") != NULL && dv_call_field(call, "reviewer_group") != NULL;
    if (both) {
        return dv_call_invalid(call, "reviewer", error, "name one: reviewer or reviewer_group");
    }
    DV_TRY(entity_field(call, "owner", DV_AUTH_USER, &deciders.owner, error));
    deciders.reviewer = deciders.owner;
    DV_TRY(entity_field(call, "reviewer", DV_AUTH_USER, &deciders.reviewer, error));
    DV_TRY(entity_field(call, "reviewer_group", DV_AUTH_GROUP, &deciders.reviewer, error));
    DV_TRY(dv_auth_field_names(call, "group_reviewers", &deciders.by_group));
    for (size_t i = 0; i < deciders.by_group.count; i++) {
        dv_result result = pair_check(call, deciders.by_group.items[i], error);
        if (result != DV_OK) {
            call->error_field = dv_arena_printf(call->arena, "group_reviewers.%zu", i);
            return result;
        }
    }
    *ret_deciders = deciders;
    return DV_OK;
}

static dv_result scope_read(dv_call *call, dv_auth_ref *ref, dv_review_scope *ret_scope,
                            dv_error *error)
{
    const char *group = dv_call_field(call, "group"), *role = dv_call_field(call, "role");
    dv_review_scope scope = {.action = dv_call_field(call, "action"),
                             .resource = dv_call_field(call, "resource")};
    if ((group != NULL) + (role != NULL) + (scope.action != NULL) > 1) {
        return dv_call_invalid(call, "group", error, "name one at most: group, role or action");
    }
    if (scope.resource != NULL && scope.action == NULL) {
        return dv_call_invalid(call, "resource", error, "a resource wants an action");
    }
    if (group != NULL || role != NULL) {
        *ref =
            group != NULL ? (dv_auth_ref){DV_AUTH_GROUP, group} : (dv_auth_ref){DV_AUTH_ROLE, role};
        DV_TRY(dv_auth_require(call->services->store, *ref, error));
        scope.ref = ref;
    }
    *ret_scope = scope;
    return DV_OK;
}

/* For people; NULL when memory is out. */
static const char *scope_text(dv_call *call, const dv_review_scope *scope)
{
    if (scope->ref != NULL) {
        return dv_arena_printf(call->arena, "%s %s", dv_auth_kind_name(scope->ref->kind),
                               scope->ref->name);
    }
    if (scope->action == NULL) {
        return "all";
    }
    return dv_arena_printf(call->arena, "action %s%s%s", scope->action,
                           scope->resource == NULL ? "" : " on ",
                           scope->resource == NULL ? "" : scope->resource);
}

/* {"scope": "group ml"}, in the arena. */
static dv_result details_write(dv_call *call, const char *scope, const char **ret_details)
{
    dv_slice copy;
    json_t *json = json_pack("{s:s}", "scope", scope);
    dv_auto(free) char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (text == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_arena_copy(call->arena, dv_slice_str(text), &copy));
    *ret_details = (const char *)copy.ptr;
    return DV_OK;
}

static dv_result review_wanted(dv_call *call, const dv_review_scope *scope,
                               const dv_review_deciders *deciders, dv_case *ret_case,
                               dv_error *error)
{
    dv_case c = {.owner = deciders->owner,
                 .title = dv_call_field(call, "title"),
                 .at_deadline = dv_call_field(call, "at_deadline")};
    const char *text = scope_text(call, scope);
    DV_TRY(type_load(call, &c.type, error));
    DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : details_write(call, text, &c.details));
    DV_TRY(dv_auth_field_time(call, "deadline", &c.deadline, error));
    c.deadline = c.deadline == 0 ? call->now + c.type->deadline_default : c.deadline;
    if (c.title == NULL) {
        dv_slice cut = dv_slice_sub(dv_slice_str(text), 0, DV_LIMIT_CASE_TITLE);
        c.title = dv_arena_printf(call->arena, "%.*s", (int)dv_utf8_prefix(cut), text);
        DV_TRY(c.title == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    }
    *ret_case = c;
    return DV_OK;
}

/* Taking somebody out of a group may permit him something, where a policy forbids it to the group:
 * a person who revokes is asked for what he could give (grant.c), the clock is not. So who sets it
 * must be one who may change policies. */
static dv_result deadline_check(dv_call *call, const dv_case *c, dv_error *error)
{
    const dv_case_choice *choice = dv_case_choice_named(c->type, c->at_deadline);
    bool may = choice == NULL || choice->step == NULL || dv_auth_caller_is_the_machine(call);
    if (!may) {
        DV_TRY(dv_auth_caller_may(call, "manage_policies", "System::\"dvara\"", &may, error));
    }
    return may ? DV_OK
               : dv_error_set(error, DV_ERR_FORBIDDEN,
                              "what a deadline takes away nobody looks at: this needs the "
                              "permission manage_policies, too");
}

static dv_result review_start(dv_call *call, dv_error *error)
{
    dv_auth_ref ref;
    dv_review_scope scope = {0};
    dv_review_deciders deciders = {0};
    dv_case c;
    const dv_case_item *items;
    size_t count = 0;
    const char *id;
    DV_TRY(scope_read(call, &ref, &scope, error));
    DV_TRY(deciders_read(call, &deciders, error));
    DV_TRY(review_wanted(call, &scope, &deciders, &c, error));
    DV_TRY(deadline_check(call, &c, error));
    DV_TRY(dv_review_collect(call, &scope, &deciders, c.type->items_max, &items, &count, error));
    if (count == 0) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "no grant is in this scope: there is nothing to review");
    }
    DV_TRY(dv_case_open(call, &c, items, count, &id, error));
    DV_TRY(dv_case_read(call, c.type, id, &c, error));
    return dv_case_json(call, &c, &call->answer, error);
}

dv_result dv_op_review_start(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, review_start, error);
}

/* --- looking --------------------------------------------------------------------------------- */

dv_result dv_op_review_list(dv_call *call, dv_error *error)
{
    const dv_case_type *type;
    DV_TRY(type_load(call, &type, error));
    return dv_case_list(call, type, dv_call_param(call, "state"), error);
}

dv_result dv_op_review_show(dv_call *call, dv_error *error)
{
    dv_case c;
    DV_TRY(review_read(call, &c, error));
    return dv_case_json(call, &c, &call->answer, error);
}

dv_result dv_op_review_items(dv_call *call, dv_error *error)
{
    dv_case c;
    const char *user = dv_call_param(call, "reviewer");
    const char *group = dv_call_param(call, "reviewer_group");
    DV_TRY(review_read(call, &c, error));
    if (user != NULL && group != NULL) {
        return dv_call_invalid(call, "reviewer", error, "name one: reviewer or reviewer_group");
    }
    dv_auth_ref ref = {user != NULL ? DV_AUTH_USER : DV_AUTH_GROUP, user != NULL ? user : group};
    const char *assignee = ref.name == NULL ? NULL : dv_auth_entity(call->arena, ref);
    return dv_case_item_list(call, &c, dv_call_param(call, "state"), assignee, error);
}

dv_result dv_op_review_report(dv_call *call, dv_error *error)
{
    dv_case c;
    DV_TRY(review_read(call, &c, error));
    return dv_case_report(call, &c, error);
}

/* --- deciding -------------------------------------------------------------------------------- */

static dv_result item_decide(dv_call *call, const char *step, dv_error *error)
{
    dv_case c;
    dv_case_item item;
    dv_case_actor actor;
    const dv_case_type *type;
    const char *id;
    int64_t number;
    DV_TRY(type_load(call, &type, error));
    DV_TRY(dv_case_item_id_parse(call, dv_call_param(call, "item"), &id, &number, error));
    DV_TRY(dv_case_read(call, type, id, &c, error));
    DV_TRY(dv_case_item_read(call, &c, number, &item, error));
    DV_TRY(actor_read(call, &c, &item, &actor, error));
    DV_TRY(dv_case_item_step(call, &KIND, &c, &item, step, &actor, dv_call_field(call, "reason"),
                             error));
    DV_TRY(dv_case_item_read(call, &c, number, &item, error));
    return dv_case_item_json(&c, &item, &call->answer);
}

static dv_result review_attest(dv_call *call, dv_error *error)
{
    return item_decide(call, "attest", error);
}

dv_result dv_op_review_attest(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, review_attest, error);
}

static dv_result review_revoke(dv_call *call, dv_error *error)
{
    return item_decide(call, "revoke", error);
}

dv_result dv_op_review_revoke(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, review_revoke, error);
}

static dv_result review_cancel(dv_call *call, dv_error *error)
{
    dv_case c;
    dv_case_actor actor;
    DV_TRY(review_read(call, &c, error));
    DV_TRY(actor_read(call, &c, NULL, &actor, error));
    DV_TRY(dv_case_step_take(call, &c, "cancel", &actor, dv_call_field(call, "reason"), error));
    DV_TRY(dv_case_read(call, c.type, c.id, &c, error));
    return dv_case_json(call, &c, &call->answer, error);
}

dv_result dv_op_review_cancel(dv_call *call, dv_error *error)
{
    return dv_auth_change(call, review_cancel, error);
}

/* --- what nobody asks for -------------------------------------------------------------------- */

dv_result dv_review_note_gone(dv_call *call, const dv_auth_ref *subject, const dv_auth_ref *object,
                              dv_error *error)
{
    const char *texts[2] = {NULL, NULL};
    const dv_auth_ref *refs[2] = {subject, object};
    for (size_t i = 0; i < 2; i++) {
        texts[i] = refs[i] == NULL ? NULL : dv_auth_entity(call->arena, *refs[i]);
        if (refs[i] != NULL && texts[i] == NULL) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return dv_case_gone(call, REVIEW, texts[0], texts[1], error);
}

static dv_result gone_rest(dv_call *call, dv_error *error)
{
    return dv_case_gone_rest(call, REVIEW, error);
}

static dv_result gone_tick(dv_call *call, dv_error *error)
{
    bool waits = false;
    DV_TRY(dv_case_gone_waits(call, REVIEW, &waits, error));
    return waits ? dv_auth_change(call, gone_rest, error) : DV_OK;
}

/* A review whose time has come; the call is first, so that it is found from there. */
typedef struct due_call {
    dv_call call;
    const char *id;
} due_call;

static dv_result review_clock(dv_call *call, dv_error *error)
{
    return dv_case_clock(call, &KIND, ((const due_call *)call)->id, error);
}

static dv_result due_end(dv_services *services, const char *id, dv_error *error)
{
    due_call due = {.id = id};
    DV_TRY(dv_call_system(services, &due.call));
    dv_result result = dv_auth_change(&due.call, review_clock, error);
    dv_call_system_end(&due.call);
    return result;
}

/* Each for itself: one that can't be ended now keeps no other waiting. When it takes long the rest
 * is left to the next round, but each round ends one at least, however many fail before it. */
static dv_result dues_end(dv_services *services, const char *const *ids, size_t count,
                          dv_error *error)
{
    const dv_time until = dv_time_monotonic() + 250 * DV_MILLISECOND;
    dv_result result = DV_OK;
    bool some = false;
    for (size_t i = 0; i < count && (!some || dv_time_monotonic() < until); i++) {
        dv_result ended = due_end(services, ids[i], error);
        some = some || ended == DV_OK;
        result = ended == DV_OK ? result : ended;
    }
    return result;
}

static dv_result tick(dv_call *call, dv_error *error)
{
    const dv_case_type *type;
    const char **ids = NULL;
    size_t count = 0;
    dv_result noted = gone_tick(call, error);
    DV_TRY(type_load(call, &type, error));
    DV_TRY(dv_case_due(call, type, &ids, &count, error));
    dv_result ended = dues_end(call->services, ids, count, error);
    return ended == DV_OK ? noted : ended;
}

dv_result dv_review_tick(dv_services *services, dv_error *error)
{
    dv_call call;
    DV_TRY(dv_call_system(services, &call));
    dv_result result = tick(&call, error);
    dv_call_system_end(&call);
    return result;
}
