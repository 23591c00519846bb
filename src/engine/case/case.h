/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Cases: anything with an owner, items that somebody must decide, a deadline and a history. Their
 * types are data (case_type.h); what a type does to the world beyond its states is a dv_case_kind.
 *
 * Functions that change something run in a transaction of the caller's and leave their records in
 * the audit log; when one fails the caller rolls back. Texts that are read lie in the call's arena.
 */

#include "core/operation.h"
#include "engine/case/case_type.h"

typedef struct dv_case {
    const dv_case_type *type;
    const char *id; /* UUIDv7 text */
    const char *title;
    const char *owner; /* entity: User::"alice" */
    const char *state;
    const char *at_deadline; /* a choice of the type */
    const char *details;     /* a JSON object of the type's own */
    dv_time created;
    dv_time deadline;
    dv_time ended; /* 0: not yet */
} dv_case;

typedef struct dv_case_item {
    int64_t number; /* from 1 */
    const char *kind;
    const char *subject;  /* whom it is about: an entity */
    const char *object;   /* what it is about: an entity, or another text of the kind's */
    const char *assignee; /* who is to decide: an entity */
    const char *state;
    const char *details; /* a JSON object of the type's own */
    /* Of the last step; NULL and 0: none was taken yet. */
    const char *by;
    const char *reason;
    const char *request_id;
    dv_time when;
} dv_case_item;

/* Who takes a step. */
typedef struct dv_case_actor {
    const char *name;            /* an entity */
    const char *const *entities; /* himself and all that he is in */
    size_t entity_count;
    bool manager; /* may manage all cases of the type */
    bool clock;   /* nobody: it is time */
} dv_case_actor;

/* What a type does beyond its states. Either function may be NULL. */
typedef struct dv_case_kind {
    const char *type; /* its id */
    /* Before an item's step: DV_ERR_NOT_FOUND: what it is about is no longer there, so that the
     * type's step for that (`when: gone`) is taken instead; DV_ERR_CONFLICT: it can't be done, with
     * a sentence, and the item stays as it is. Changes nothing. */
    dv_result (*check)(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                       dv_error *error);
    /* After the step is written: does it. */
    dv_result (*effect)(dv_call *call, const dv_case_item *item, const dv_case_step *step,
                        dv_error *error);
} dv_case_kind;

/* --- changing (case.c) ----------------------------------------------------------------------- */

/* Opens a case with its items, whose numbers follow their order. Of wanted: type, title, owner,
 * at_deadline, details, deadline; of items: kind, subject, object, assignee, details.
 * Errors: DV_ERR_INVALID: deadline, title, details; DV_ERR_TOO_LARGE: more items than the type
 * allows; DV_ERR_CONFLICT: too many cases are open. */
dv_must dv_result dv_case_open(dv_call *call, const dv_case *wanted, const dv_case_item *items,
                               size_t count, const char **ret_id, dv_error *error);

/* What the actor is to the case, and to the item if it is not NULL: bits of dv_case_who. */
uint32_t dv_case_who_is(const dv_case *c, const dv_case_item *item, const dv_case_actor *actor);

/* Takes a step of the case, or of one of its items. When no item is undecided after it, the case's
 * step for that (`when: decided`) follows.
 * Errors: DV_ERR_CONFLICT: not from this state, or the case has ended, or another was faster;
 * DV_ERR_FORBIDDEN: the actor may not; DV_ERR_INVALID: the reason is missing or too long. */
dv_must dv_result dv_case_step_take(dv_call *call, const dv_case *c, const char *step,
                                    const dv_case_actor *actor, const char *reason,
                                    dv_error *error);
dv_must dv_result dv_case_item_step(dv_call *call, const dv_case_kind *kind, const dv_case *c,
                                    const dv_case_item *item, const char *step,
                                    const dv_case_actor *actor, const char *reason,
                                    dv_error *error);

/* --- the clock and the world (case_clock.c) -------------------------------------------------- */

/* The ids of the cases of the type that are past their deadline, where something is to be done
 * about it; in the call's arena. */
dv_must dv_result dv_case_due(const dv_call *call, const dv_case_type *type, const char ***ret_ids,
                              size_t *ret_count, dv_error *error);
/* Does it, for the case of that id if it is due, and DV_CASE_ROUND of its items at most: what is
 * left is due again. */
enum { DV_CASE_ROUND = 256 };
dv_must dv_result dv_case_clock(dv_call *call, const dv_case_kind *kind, const char *id,
                                dv_error *error);

/* Notes that something is no longer there: items that are undecided and about this subject and this
 * object (NULL: any; not both) take their type's step for that. When the change has about
 * DV_CASE_GONE_MAX records the rest waits for dv_case_gone_rest. */
enum { DV_CASE_GONE_MAX = 1024 };
dv_must dv_result dv_case_gone(dv_call *call, const char *type, const char *subject,
                               const char *object, dv_error *error);
/* Whether something waits; decides as much of it as one change may. */
dv_must dv_result dv_case_gone_waits(const dv_call *call, const char *type, bool *ret_waits,
                                     dv_error *error);
dv_must dv_result dv_case_gone_rest(dv_call *call, const char *type, dv_error *error);

/* --- reading (case_store.c) ------------------------------------------------------------------ */

/* Errors: DV_ERR_NOT_FOUND with a sentence. */
dv_must dv_result dv_case_read(dv_call *call, const dv_case_type *type, const char *id,
                               dv_case *ret_case, dv_error *error);
dv_must dv_result dv_case_item_read(dv_call *call, const dv_case *c, int64_t number,
                                    dv_case_item *ret_item, dv_error *error);
/* What the caller, who may answer, answers next: the first item that nobody took a step of.
 * *ret_left: how many of them there are. Errors: DV_ERR_CONFLICT: the case has ended, its deadline
 * has passed, all are answered, or the caller answered one. */
dv_must dv_result dv_case_item_free(dv_call *call, const dv_case *c, dv_case_item *ret_item,
                                    size_t *ret_left, dv_error *error);
/* When the newest case of the type and owner was opened; 0: there was none. */
dv_must dv_result dv_case_last(const dv_call *call, const dv_case_type *type, const char *owner,
                               dv_time *ret_created, dv_error *error);
/* Reads "ID.NUMBER", as an item is called. */
dv_must dv_result dv_case_item_id_parse(dv_call *call, const char *text, const char **ret_id,
                                        int64_t *ret_number, dv_error *error);

/* --- removing (case_remove.c) ---------------------------------------------------------------- */

enum { DV_CASE_ID_MAX = 37 };

typedef struct dv_case_closed {
    char id[DV_CASE_ID_MAX];
    dv_time ended;
} dv_case_closed;

/* Cases of the type that ended until then, in the order in which they did, behind `after` (zeros:
 * from the first). */
dv_must dv_result dv_case_closed_list(const dv_call *call, const char *type, dv_time until,
                                      const dv_case_closed *after, dv_case_closed *items,
                                      size_t most, size_t *ret_count, dv_error *error);
dv_must dv_result dv_case_is_closed(const dv_call *call, const char *id, bool *ret_is,
                                    dv_error *error);
/* Whether it is that owner's, who opened none of its type later (dv_case_last goes by that one). */
dv_must dv_result dv_case_is_newest(const dv_call *call, const char *id, const char *owner,
                                    bool *ret_is, dv_error *error);
/* Whether a case that has not ended has an item about that object. */
dv_must dv_result dv_case_is_object(const dv_call *call, const char *object, bool *ret_is,
                                    dv_error *error);
/* How many rows it is. */
dv_must dv_result dv_case_size(const dv_call *call, const char *id, size_t *ret_rows,
                               dv_error *error);
/* Removes a closed case with its items and history, and leaves no record of that: its caller does.
 * Errors: DV_ERR_NOT_FOUND: no closed case has that id. */
dv_must dv_result dv_case_remove(dv_call *call, const char *id, dv_error *error);

/* --- as JSON (case_json.c) ------------------------------------------------------------------- */

/* {"id", "title", "state", "owner", "created", "deadline", "ended", "at_deadline", "undecided",
 * "counts": {"pending": 3, ...}} and the type's details. The reference is the caller's. */
dv_must dv_result dv_case_json(dv_call *call, const dv_case *c, json_t **ret_json, dv_error *error);
/* {"item", "kind", "subject", "object", assignee, "state", "by", "when", "reason", "evidence"} and
 * the type's details; evidence is the request id of the step's records in the audit log. */
dv_must dv_result dv_case_item_json(const dv_case *c, const dv_case_item *item, json_t **ret_json);

/* [{"answer", "by", "when", "reason", "evidence"}]: of the items of which a step was taken, by
 * number. The reference is the caller's. */
dv_must dv_result dv_case_answers(dv_call *call, const dv_case *c, json_t **ret_json,
                                  dv_error *error);

/* Answers a list operation with the cases of the type, newest first; state NULL: all. */
dv_must dv_result dv_case_list(dv_call *call, const dv_case_type *type, const char *state,
                               dv_error *error);
/* Answers a list operation with items of the case; state and assignee NULL: all. */
dv_must dv_result dv_case_item_list(dv_call *call, const dv_case *c, const char *state,
                                    const char *assignee, dv_error *error);
/* Answers with the whole case: as dv_case_json, with "history" (steps of the case) and "items". */
dv_must dv_result dv_case_report(dv_call *call, const dv_case *c, dv_error *error);
