/* SPDX-License-Identifier: Apache-2.0 */
#include "core/audit.h"
#include "engine/case/case_store.h"

/* What nobody asks for: deadlines that pass, and what is decided because it is no longer there. */

/* --- deadlines ------------------------------------------------------------------------------- */

/* Whether it is past its deadline and in a state that the deadline ends. */
static bool is_due(const dv_case *c, dv_time now)
{
    return c->ended == 0 && c->deadline <= now &&
           dv_case_step_when(&c->type->cases, c->state, DV_CASE_DEADLINE) != NULL;
}

dv_result dv_case_due(const dv_call *call, const dv_case_type *type, const char ***ret_ids,
                      size_t *ret_count, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_case c;
    size_t count = 0;
    dv_result result = DV_OK;
    const char **ids = dv_arena_alloc(call->arena, type->open_max * sizeof(*ids));
    if (ids == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_CASE_COLUMNS " FROM case_case WHERE type = ?1"
                          " AND ended IS NULL AND deadline <= ?2 ORDER BY deadline, id",
                          "ti", type->id, call->now));
    while (count < type->open_max &&
           (result = dv_case_next(rows, type, call->arena, &c, error)) == DV_OK) {
        ids[count] = c.id;
        count += is_due(&c, call->now);
    }
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_ids = ids;
    *ret_count = count;
    return DV_OK;
}

/* All undecided items; the type bounds how many there are. */
static dv_result undecided_read(dv_call *call, const dv_case *c, dv_case_item **ret_items,
                                size_t *ret_count, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    size_t count = 0, room = c->type->items_max;
    dv_result result = DV_OK;
    dv_case_item *items = dv_arena_alloc(call->arena, room * sizeof(*items));
    if (items == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          DV_CASE_ITEM_SELECT " WHERE i.case_id = ?1 AND i.decided = 0"
                                              " ORDER BY i.number",
                          "t", c->id));
    while (count < room &&
           (result = dv_case_item_next(rows, call->arena, &items[count], error)) == DV_OK) {
        count++;
    }
    *ret_items = items;
    *ret_count = count;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Takes the choice's step for each; one that can't be taken (DV_ERR_CONFLICT) stays undecided. */
static dv_result choice_take(dv_call *call, const dv_case_kind *kind, const dv_case *c,
                             const char *step, const dv_case_actor *clock, bool *ret_more,
                             dv_error *error)
{
    dv_case_item *items = NULL;
    size_t count = 0, taken = 0;
    DV_TRY(undecided_read(call, c, &items, &count, error));
    for (size_t i = 0; i < count && taken < DV_CASE_ROUND; i++) {
        dv_result result = dv_case_item_step(call, kind, c, &items[i], step, clock,
                                             "nobody decided before the deadline", error);
        taken += result == DV_OK;
        DV_TRY(result == DV_ERR_CONFLICT ? DV_OK : result);
    }
    *ret_more = taken == DV_CASE_ROUND;
    return DV_OK;
}

/* What is left undecided makes the case what its type says. */
static dv_result deadline_end(dv_call *call, const dv_case *before, const dv_case_actor *clock,
                              dv_error *error)
{
    dv_case c;
    DV_TRY(dv_case_read(call, before->type, before->id, &c, error));
    const dv_case_step *step = dv_case_step_when(&c.type->cases, c.state, DV_CASE_DEADLINE);
    return c.ended != 0 || step == NULL
               ? DV_OK
               : dv_case_step_take(call, &c, step->name, clock, NULL, error);
}

dv_result dv_case_clock(dv_call *call, const dv_case_kind *kind, const char *id, dv_error *error)
{
    const dv_case_type *type;
    dv_case c;
    bool more = false;
    dv_case_actor clock = {.name = call->caller, .clock = true};
    DV_TRY(dv_case_type_load(kind->type, call->arena, &type, error));
    DV_TRY(dv_case_read(call, type, id, &c, error));
    if (!is_due(&c, call->now)) {
        return DV_OK;
    }
    const dv_case_choice *choice = dv_case_choice_named(type, c.at_deadline);
    if (choice != NULL && choice->step != NULL) {
        DV_TRY(choice_take(call, kind, &c, choice->step, &clock, &more, error));
    }
    return more ? DV_OK : deadline_end(call, &c, &clock, error);
}

/* --- what is no longer there ----------------------------------------------------------------- */

/* What went: the subject or the object may be NULL (any), not both. */
typedef struct gone_thing {
    const char *subject;
    const char *object;
    dv_time when; /* cases that began later are not about it */
} gone_thing;

typedef struct gone_items {
    dv_case_item *items;
    const char **case_ids;
    size_t count;
} gone_items;

enum { GONE_ROUND = 64 };

/* Some of the items about it, whatever their case. */
static dv_result gone_read(dv_call *call, const char *type, const gone_thing *thing,
                           gone_items *ret_gone, dv_error *error)
{
    static const char BY_SUBJECT[] = DV_CASE_ITEM_SELECT
        " JOIN case_case c ON c.id = i.case_id WHERE i.decided = 0 AND c.ended IS NULL"
        " AND c.type = ?1 AND i.subject = ?2 AND (?3 IS NULL OR i.object = ?3)"
        " AND c.created <= ?4 LIMIT ?5";
    static const char BY_OBJECT[] = DV_CASE_ITEM_SELECT
        " JOIN case_case c ON c.id = i.case_id WHERE i.decided = 0 AND c.ended IS NULL"
        " AND c.type = ?1 AND ?2 IS NULL AND i.object = ?3 AND c.created <= ?4 LIMIT ?5";
    dv_auto(statement) dv_statement *rows = NULL;
    dv_result result = DV_OK;
    size_t count = 0;
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          thing->subject != NULL ? BY_SUBJECT : BY_OBJECT, "tttii", type,
                          thing->subject, thing->object, thing->when, (int64_t)GONE_ROUND));
    while (count < GONE_ROUND &&
           (result = dv_case_item_next(rows, call->arena, &ret_gone->items[count], error)) ==
               DV_OK) {
        dv_slice id;
        DV_TRY(dv_arena_copy(call->arena, dv_column_slice(rows, 11), &id));
        ret_gone->case_ids[count++] = (const char *)id.ptr;
    }
    ret_gone->count = count;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result gone_take(dv_call *call, const dv_case_type *type, const gone_items *gone,
                           dv_error *error)
{
    static const dv_case_kind nothing = {0};
    dv_case_actor clock = {.name = call->caller, .clock = true};
    for (size_t i = 0; i < gone->count; i++) {
        dv_case c;
        const dv_case_item *item = &gone->items[i];
        DV_TRY(dv_case_read(call, type, gone->case_ids[i], &c, error));
        const dv_case_step *step = dv_case_step_when(&type->items, item->state, DV_CASE_GONE);
        if (step == NULL) {
            return dv_error_set(error, DV_ERR_INTERNAL, "%s items that are %s can not be gone",
                                type->id, item->state);
        }
        DV_TRY(dv_case_item_step(call, &nothing, &c, item, step->name, &clock, NULL, error));
    }
    return DV_OK;
}

/* How many items the change may still decide so. */
static size_t gone_room(const dv_call *call, size_t taken)
{
    size_t done = DV_MAX(dv_audit_held(call), taken);
    return done < DV_CASE_GONE_MAX ? DV_CASE_GONE_MAX - done : 0;
}

/* Decides items about it as long as there is room. */
static dv_result gone_decide(dv_call *call, const char *type_id, const gone_thing *thing,
                             bool *ret_more, dv_error *error)
{
    dv_case_item items[GONE_ROUND];
    const char *case_ids[GONE_ROUND];
    gone_items gone = {items, case_ids, 0};
    const dv_case_type *type = NULL;
    bool more = true;
    for (size_t taken = 0; more && gone_room(call, taken) > 0; taken += gone.count) {
        DV_TRY(gone_read(call, type_id, thing, &gone, error));
        if (gone.count > 0 && type == NULL) {
            DV_TRY(dv_case_type_load(type_id, call->arena, &type, error));
        }
        DV_TRY(gone_take(call, type, &gone, error));
        more = gone.count == GONE_ROUND;
    }
    *ret_more = more;
    return DV_OK;
}

dv_result dv_case_gone(dv_call *call, const char *type, const char *subject, const char *object,
                       dv_error *error)
{
    bool more = false;
    DV_TRY(gone_decide(call, type, &(gone_thing){subject, object, call->now}, &more, error));
    return more ? dv_store_run(call->services->store, error,
                               "INSERT INTO case_gone (type, subject, object, time)"
                               " VALUES (?1, coalesce(?2, ''), coalesce(?3, ''), ?4)"
                               " ON CONFLICT (type, subject, object) DO UPDATE SET time = ?4",
                               "ttti", type, subject, object, call->now)
                : DV_OK;
}

/* The oldest of what waits. Errors: DV_ERR_NOT_FOUND: nothing does. */
static dv_result waiting_read(const dv_call *call, const char *type, gone_thing *ret_thing,
                              dv_error *error)
{
    dv_slice subject, object;
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT subject, object, time FROM case_gone WHERE type = ?1"
                          " ORDER BY time, subject, object LIMIT 1",
                          "t", type));
    DV_TRY(dv_statement_step(row, error));
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 0), &subject));
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 1), &object));
    *ret_thing =
        (gone_thing){subject.len == 0 ? NULL : (const char *)subject.ptr,
                     object.len == 0 ? NULL : (const char *)object.ptr, dv_column_int(row, 2)};
    return DV_OK;
}

dv_result dv_case_gone_waits(const dv_call *call, const char *type, bool *ret_waits,
                             dv_error *error)
{
    gone_thing thing;
    dv_result result = waiting_read(call, type, &thing, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_waits = result == DV_OK;
    return DV_OK;
}

dv_result dv_case_gone_rest(dv_call *call, const char *type, dv_error *error)
{
    gone_thing thing;
    dv_result result = DV_OK;
    bool more = false;
    while (!more && (result = waiting_read(call, type, &thing, error)) == DV_OK) {
        DV_TRY(gone_decide(call, type, &thing, &more, error));
        DV_TRY(more ? DV_OK
                    : dv_store_run(call->services->store, error,
                                   "DELETE FROM case_gone WHERE type = ?1 AND subject ="
                                   " coalesce(?2, '') AND object = coalesce(?3, '')",
                                   "ttt", type, thing.subject, thing.object));
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}
