/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/case/case.h"

#include "base/uuid.h"
#include "core/audit.h"
#include "engine/case/case_store.h"

/* Invariants
 *
 * 1. A case and its items are in a state of their type, and change it only by a step of the type
 *    that leaves that state, taken by somebody who may. What is not said is refused.
 * 2. Each step is one row of the history and one record of the audit log, written in the
 *    transaction that moves the state. Rows of the history are only ever added.
 * 3. Whom an item is about takes no step that says `never: [subject]`, whatever else he is.
 * 4. `decided` and `ended` are kept with the state: 1 or a time when no step leaves it.
 *
 *   open --(steps of items)--> no item is undecided --(when: decided)--> final
 *     '----(deadline)--> choice for each undecided item --(when: deadline)--> ...
 */

/* --- records --------------------------------------------------------------------------------- */

/* Takes over `change`; NULL: memory was out. */
static dv_result audit(dv_call *call, dv_entity_activity activity, const char *type, const char *id,
                       const char *owner, json_t *change, dv_error *error)
{
    if (change == NULL || type == NULL || id == NULL) {
        json_decref(change);
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = dv_audit_entity(call, activity, type, id, owner, change, error);
    json_decref(change);
    return result;
}

static dv_result item_audit(dv_call *call, const dv_case *c, const dv_case_item *item,
                            const dv_case_entry *entry, dv_error *error)
{
    return audit(
        call, DV_ENTITY_UPDATE, dv_arena_printf(call->arena, "%s_item", c->type->id),
        dv_arena_printf(call->arena, "%s.%lld", c->id, (long long)item->number), item->subject,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?}", "step", entry->step, "from", entry->from, "to",
                  entry->to, "kind", item->kind, "object", item->object, "reason", entry->reason),
        error);
}

/* --- opening --------------------------------------------------------------------------------- */

static dv_result deadline_check(const dv_call *call, const dv_case *wanted, dv_error *error)
{
    const dv_case_type *type = wanted->type;
    dv_time left = wanted->deadline - call->now;
    long long seconds = type->deadline_least / DV_SECOND;
    return left >= type->deadline_least && left <= type->deadline_most
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID,
                              "the deadline of an %s lies from %lld second%s to %lld days ahead",
                              type->name, seconds, seconds == 1 ? "" : "s",
                              (long long)(type->deadline_most / (86400 * DV_SECOND)));
}

static dv_result open_check(dv_call *call, const dv_case *wanted, size_t count, dv_error *error)
{
    const dv_case_type *type = wanted->type;
    size_t title = strlen(wanted->title), open = 0;
    if (title == 0 || title > DV_LIMIT_CASE_TITLE) {
        return dv_error_set(error, DV_ERR_INVALID, "a title has from 1 to %d bytes",
                            DV_LIMIT_CASE_TITLE);
    }
    if (dv_case_choice_named(type, wanted->at_deadline) == NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "at its deadline an %s knows no \"%s\"",
                            type->name, wanted->at_deadline);
    }
    if (count > type->items_max) {
        return dv_error_set(error, DV_ERR_TOO_LARGE,
                            "an %s has %zu items at most: take a narrower scope", type->name,
                            type->items_max);
    }
    DV_TRY(deadline_check(call, wanted, error));
    DV_TRY(dv_case_open_count(call->services->store, type->id, &open, error));
    return open < type->open_max
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "%zu of the type %s are open: end one first",
                              open, type->name);
}

static dv_result details_check(const char *details, dv_error *error)
{
    return strlen(details) <= DV_LIMIT_CASE_DETAILS
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "details of more than %d bytes",
                              DV_LIMIT_CASE_DETAILS);
}

static dv_result items_insert(dv_call *call, const dv_case *c, const dv_case_item *items,
                              size_t count, dv_error *error)
{
    for (size_t i = 0; i < count; i++) {
        dv_case_item item = items[i];
        item.state = c->type->items.states[0];
        DV_TRY(details_check(item.details, error));
        DV_TRY(dv_case_item_insert(call->services->store, c->id, (int64_t)i + 1, &item, error));
    }
    return DV_OK;
}

static dv_result opened_audit(dv_call *call, const dv_case *c, size_t count, dv_error *error)
{
    char deadline[DV_TIME_TEXT_MAX];
    dv_time_format(c->deadline, deadline);
    return audit(call, DV_ENTITY_CREATE, c->type->id, c->id, c->owner,
                 json_pack("{s:s, s:s, s:s, s:I, s:o}", "title", c->title, "deadline", deadline,
                           "at_deadline", c->at_deadline, "items", (json_int_t)count, "details",
                           json_loads(c->details, 0, NULL)),
                 error);
}

dv_result dv_case_open(dv_call *call, const dv_case *wanted, const dv_case_item *items,
                       size_t count, const char **ret_id, dv_error *error)
{
    dv_case c = *wanted;
    char id[DV_UUID_TEXT_LEN + 1];
    dv_uuid uuid = dv_uuid_new(call->now);
    DV_TRY(open_check(call, wanted, count, error));
    DV_TRY(details_check(c.details, error));
    dv_uuid_format(&uuid, id);
    c.id = dv_arena_printf(call->arena, "%s", id);
    c.state = c.type->cases.states[0];
    c.at_deadline = dv_case_choice_named(c.type, c.at_deadline)->name;
    c.created = call->now;
    if (c.id == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_case_insert(call->services->store, &c, error));
    DV_TRY(items_insert(call, &c, items, count, error));
    DV_TRY(dv_case_history_add(
        call, &(dv_case_entry){c.id, 0, "open", "", c.state, call->caller, NULL}, error));
    DV_TRY(opened_audit(call, &c, count, error));
    *ret_id = c.id;
    return DV_OK;
}

/* --- who may --------------------------------------------------------------------------------- */

static bool is_among(const dv_case_actor *actor, const char *entity)
{
    bool found = false;
    for (size_t i = 0; i < actor->entity_count && !found; i++) {
        found = strcmp(actor->entities[i], entity) == 0;
    }
    return found;
}

uint32_t dv_case_who_is(const dv_case *c, const dv_case_item *item, const dv_case_actor *actor)
{
    uint32_t who = actor->clock ? DV_CASE_CLOCK : 0;
    who |= actor->manager ? DV_CASE_MANAGER : 0;
    who |= is_among(actor, c->owner) ? DV_CASE_OWNER : 0;
    if (item != NULL) {
        who |= is_among(actor, item->assignee) ? DV_CASE_ASSIGNEE : 0;
        who |= is_among(actor, item->subject) ? DV_CASE_SUBJECT : 0;
    }
    return who;
}

static dv_result who_check(const dv_case *c, const dv_case_step *step, uint32_t who,
                           dv_error *error)
{
    if ((who & step->never) != 0) {
        return dv_error_set(error, DV_ERR_FORBIDDEN,
                            "nobody takes the step %s where it is about himself", step->name);
    }
    return (who & step->who) != 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_FORBIDDEN,
                              "you are neither %s nor owner of this %s, and may not manage it",
                              c->type->assignee, c->type->name);
}

static dv_result reason_check(const dv_case_step *step, const char *reason, dv_error *error)
{
    if (step->reason && (reason == NULL || *reason == '\0')) {
        return dv_error_set(error, DV_ERR_INVALID, "the step %s wants a reason", step->name);
    }
    return reason == NULL || strlen(reason) <= DV_LIMIT_CASE_REASON
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID, "a reason has %d bytes at most",
                              DV_LIMIT_CASE_REASON);
}

/* --- steps of a case ------------------------------------------------------------------------- */

static dv_result case_alarm(dv_call *call, const dv_case *c, const dv_case_step *step,
                            dv_error *error)
{
    size_t undecided = 0;
    DV_TRY(dv_case_undecided_count(call->services->store, c->id, &undecided, error));
    const char *rule = dv_arena_printf(call->arena, "%s.%s", c->type->id, step->name);
    const char *title =
        dv_arena_printf(call->arena, "%s \"%s\" (%s) is %s with %zu undecided items", c->type->name,
                        c->title, c->id, c->type->cases.states[step->to], undecided);
    return rule == NULL || title == NULL ? DV_ERR_NO_MEMORY
                                         : dv_audit_alarm(call, rule, title, error);
}

static dv_result case_move(dv_call *call, const dv_case *c, const dv_case_step *step,
                           const char *by, const char *reason, dv_error *error)
{
    const char *to = c->type->cases.states[step->to];
    bool ends = dv_case_state_is_final(&c->type->cases, step->to);
    DV_TRY(dv_case_state_set(call, c, to, ends, error));
    DV_TRY(dv_case_history_add(
        call, &(dv_case_entry){c->id, 0, step->name, c->state, to, by, reason}, error));
    DV_TRY(audit(call, DV_ENTITY_UPDATE, c->type->id, c->id, c->owner,
                 json_pack("{s:s, s:s, s:s, s:s?}", "step", step->name, "from", c->state, "to", to,
                           "reason", reason),
                 error));
    return step->alarm ? case_alarm(call, c, step, error) : DV_OK;
}

static dv_result state_check(const dv_case_machine *machine, const dv_case_step *step,
                             const char *state, dv_error *error)
{
    return dv_case_step_leaves(machine, step, state)
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "it is %s: there is no %s from there", state,
                              step->name);
}

dv_result dv_case_step_take(dv_call *call, const dv_case *c, const char *name,
                            const dv_case_actor *actor, const char *reason, dv_error *error)
{
    const dv_case_step *step = dv_case_step_named(&c->type->cases, name);
    if (step == NULL) {
        return dv_error_set(error, DV_ERR_INTERNAL, "%s has no step %s", c->type->id, name);
    }
    DV_TRY(who_check(c, step, dv_case_who_is(c, NULL, actor), error));
    DV_TRY(state_check(&c->type->cases, step, c->state, error));
    DV_TRY(reason_check(step, reason, error));
    return case_move(call, c, step, actor->name, reason, error);
}

/* The case follows when its last item is decided. */
static dv_result settle(dv_call *call, const dv_case *c, const char *by, dv_error *error)
{
    bool undecided = true;
    const dv_case_step *step = dv_case_step_when(&c->type->cases, c->state, DV_CASE_DECIDED);
    DV_TRY(dv_case_has_undecided(call->services->store, c->id, &undecided, error));
    return undecided || step == NULL ? DV_OK : case_move(call, c, step, by, NULL, error);
}

/* --- steps of an item ------------------------------------------------------------------------ */

static dv_result item_move(dv_call *call, const dv_case *c, const dv_case_item *item,
                           const dv_case_step *step, const char *by, const char *reason,
                           dv_error *error)
{
    const char *to = c->type->items.states[step->to];
    bool decided = dv_case_state_is_final(&c->type->items, step->to);
    dv_case_entry entry = {c->id, item->number, step->name, item->state, to, by, reason};
    DV_TRY(dv_case_item_state_set(call, c, item, to, decided, error));
    DV_TRY(dv_case_history_add(call, &entry, error));
    return item_audit(call, c, item, &entry, error);
}

/* A step that is asked for, or the one for what is no longer there. */
static dv_result item_do(dv_call *call, const dv_case_kind *kind, const dv_case *c,
                         const dv_case_item *item, const dv_case_step *step, const char *by,
                         const char *reason, dv_error *error)
{
    const dv_case_step *gone = dv_case_step_when(&c->type->items, item->state, DV_CASE_GONE);
    dv_result there = kind->check == NULL ? DV_OK : kind->check(call, item, step, error);
    if (there == DV_ERR_NOT_FOUND && gone != NULL) {
        return item_move(call, c, item, gone, by, reason, error);
    }
    DV_TRY(there);
    DV_TRY(item_move(call, c, item, step, by, reason, error));
    return kind->effect == NULL ? DV_OK : kind->effect(call, item, step, error);
}

dv_result dv_case_item_step(dv_call *call, const dv_case_kind *kind, const dv_case *c,
                            const dv_case_item *item, const char *name, const dv_case_actor *actor,
                            const char *reason, dv_error *error)
{
    const dv_case_step *step = dv_case_step_named(&c->type->items, name);
    if (step == NULL) {
        return dv_error_set(error, DV_ERR_INTERNAL, "%s has no step %s", c->type->id, name);
    }
    DV_TRY(who_check(c, step, dv_case_who_is(c, item, actor), error));
    if (c->ended != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the %s is %s", c->type->name, c->state);
    }
    DV_TRY(state_check(&c->type->items, step, item->state, error));
    DV_TRY(reason_check(step, reason, error));
    DV_TRY(item_do(call, kind, c, item, step, actor->name, reason, error));
    return settle(call, c, actor->name, error);
}
