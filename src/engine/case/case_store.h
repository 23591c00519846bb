/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The tables of cases, for the files of this folder. */

#include "engine/case/case.h"

/* One row of the history. */
typedef struct dv_case_entry {
    const char *case_id;
    int64_t item; /* 0: the case itself */
    const char *step;
    const char *from;
    const char *to;
    const char *by;
    const char *reason; /* or NULL */
} dv_case_entry;

dv_must dv_result dv_case_insert(dv_store *store, const dv_case *c, dv_error *error);
dv_must dv_result dv_case_item_insert(dv_store *store, const char *case_id, int64_t number,
                                      const dv_case_item *item, dv_error *error);
/* Adds to the history, with the call's time and request id. */
dv_must dv_result dv_case_history_add(dv_call *call, const dv_case_entry *entry, dv_error *error);

/* Moves from one state to the other. Errors: DV_ERR_CONFLICT: it is no longer in the first one. */
dv_must dv_result dv_case_state_set(dv_call *call, const dv_case *c, const char *to, bool ends,
                                    dv_error *error);
dv_must dv_result dv_case_item_state_set(dv_call *call, const dv_case *c, const dv_case_item *item,
                                         const char *to, bool decided, dv_error *error);

dv_must dv_result dv_case_has_undecided(dv_store *store, const char *case_id, bool *ret_has,
                                        dv_error *error);
/* How many cases of the type have not ended; how many items of the case are undecided. */
dv_must dv_result dv_case_open_count(dv_store *store, const char *type, size_t *ret_count,
                                     dv_error *error);
dv_must dv_result dv_case_undecided_count(dv_store *store, const char *case_id, size_t *ret_count,
                                          dv_error *error);

/* The rows of a query that begins with the columns of DV_CASE_COLUMNS or DV_CASE_ITEM_SELECT.
 * Errors: DV_ERR_NOT_FOUND: there are no more. */
#define DV_CASE_COLUMNS                                                                            \
    "id, title, owner, state, at_deadline, details, created, deadline, coalesce(ended, 0)"
#define DV_CASE_ITEM_SELECT                                                                        \
    "SELECT i.number, i.kind, i.subject, i.object, i.assignee, i.state, i.details, h.actor,"       \
    " h.reason, h.request_id, h.time, i.case_id FROM case_item i LEFT JOIN case_history h"         \
    " ON h.case_id = i.case_id AND h.item = i.number AND h.sequence = (SELECT max(sequence)"       \
    " FROM case_history WHERE case_id = i.case_id AND item = i.number)"
dv_must dv_result dv_case_next(dv_statement *rows, const dv_case_type *type, dv_arena *arena,
                               dv_case *ret_case, dv_error *error);
dv_must dv_result dv_case_item_next(dv_statement *rows, dv_arena *arena, dv_case_item *ret_item,
                                    dv_error *error);
