/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data disposal run DATABASE`: deletes the rows of tables that a running Dvara says are due.
 * It runs where somebody has an account there; dvarad has none.
 *
 *   planned --> deleted, not committed --> told as ready, with the transaction --> COMMIT --> told
 *
 * Killed before COMMIT, PostgreSQL undoes it; killed after, the next run asks PostgreSQL what
 * became of the transaction. So nothing is claimed that did not happen, and nothing is lost. */
#include "base/buf.h"
#include "base/utf8.h"
#include "cli/data_disposal.h"
#include "engine/scan/postgres.h"
#include "engine/scan/postgres_rows.h"

#include <time.h>

enum { SOURCE_MAX = 1024 + 1, RUN_TABLES = 1000, TRIES = 40 };

typedef struct tables {
    dv_disposal_job *job;
    char source[SOURCE_MAX];
    json_t *due;  /* rows of the plan or request; when counted, those with rows */
    json_t *open; /* ids of runs that are not finished */
    uint64_t rows;
    uint64_t held; /* tables that want an approval */
} tables;

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* What Dvara says may be longer than there is room for: cut between two characters. */
static void copy_why(const json_t *row, char out[DV_PG_WHY_MAX])
{
    dv_slice why = dv_slice_sub(dv_slice_str(text_of(row, "why")), 0, DV_PG_WHY_MAX - 1);
    dv_slice_copy(dv_slice_sub(why, 0, dv_utf8_prefix(why)), out, DV_PG_WHY_MAX);
}

static dv_result wanted_of(const json_t *row, dv_pg_rows *ret_wanted)
{
    dv_pg_rows wanted = {.table = text_of(row, "name"),
                         .stamp = text_of(row, "stamp"),
                         .column = text_of(row, "column")};
    DV_TRY(dv_time_parse(dv_slice_str(text_of(row, "before")), &wanted.before));
    *ret_wanted = wanted;
    return DV_OK;
}

/* --- what is told ---------------------------------------------------------------------------- */

/* What to the user alone is said: names of others' tables stand in no certificate. */
static dv_result tell_user(const tables *t, const json_t *row, const char *run, const char *outcome,
                           const dv_pg_rows_told *told)
{
    char why[DV_PG_WHY_MAX + DV_PG_DETAIL_MAX + 8];
    (void)snprintf(why, sizeof(why), "%s%s%s", told->why, told->detail[0] != '\0' ? ": " : "",
                   told->detail);
    json_t *one = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s}", t->job->try_only ? "would" : "outcome",
        outcome, "id", run, "name", text_of(row, "name"), "rule", text_of(row, "rule"), "column",
        text_of(row, "column"), "before", text_of(row, "before"), "rows", (json_int_t)told->rows,
        "undated", (json_int_t)told->undated, "why", why);
    return json_array_append_new(t->job->done, one) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_disposal_tables_print(const dv_disposal_job *d, const json_t *all)
{
    static const char *const run_columns[] = {"outcome", "name",   "rows", "undated",
                                              "column",  "before", "why",  NULL};
    static const char *const dry_columns[] = {"would",  "name", "rows", "undated", "column",
                                              "before", "rule", "why",  NULL};
    return dv_cli_print(d->cli, all, "items", d->try_only ? dry_columns : run_columns);
}

/* --- what is due ----------------------------------------------------------------------------- */

/* It wants an approval, or waits although it has one. */
static dv_result note_held(tables *t, const json_t *row)
{
    dv_pg_rows_told told = {.rows = 0};
    bool of_rule = t->job->rule == NULL || strcmp(text_of(row, "rule"), t->job->rule) == 0;
    if (!of_rule || strcmp(text_of(row, "status"), "run") == 0) {
        return DV_OK;
    }
    t->held += t->job->request == NULL;
    t->job->left++;
    copy_why(row, told.why);
    return t->job->try_only ? tell_user(t, row, "", "kept", &told) : DV_OK;
}

static dv_result note_due(dv_disposal_job *d, const json_t *row, void *data, dv_error *error)
{
    tables *t = data;
    (void)error;
    bool here = strcmp(text_of(row, "kind"), "table") == 0 &&
                strcmp(text_of(row, "source"), t->source) == 0;
    if (here && !dv_disposal_goes(d, row)) {
        return note_held(t, row);
    }
    if (!here) {
        return DV_OK;
    }
    return json_array_append(t->due, (json_t *)(uintptr_t)row) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result note_open(dv_disposal_job *d, const json_t *row, void *data, dv_error *error)
{
    tables *t = data;
    (void)error;
    bool other = d->request != NULL && strcmp(text_of(row, "approval"), d->request) != 0;
    if (other || strcmp(text_of(row, "source"), t->source) != 0 ||
        strcmp(text_of(row, "state"), "finished") == 0) {
        return DV_OK;
    }
    return json_array_append(t->open, json_object_get(row, "id")) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result find(tables *t, dv_error *error)
{
    json_t *all = json_object();
    dv_result result =
        all == NULL ? DV_ERR_NO_MEMORY : dv_disposal_each_due(t->job, note_due, t, error);
    if (result == DV_OK) {
        result = dv_disposal_each(t->job, "data_disposal_list", all, note_open, t, error);
    }
    json_decref(all);
    return result;
}

/* --- counting -------------------------------------------------------------------------------- */

/* Tables that have no old rows are none of a run: each night would have a certificate of nothing.
 */
static dv_result count_one(tables *t, json_t *row, json_t *some, dv_error *error)
{
    dv_pg_rows wanted;
    dv_pg_rows_told told = {0};
    dv_pg_rows_outcome outcome = DV_PG_ROWS_KEPT;
    DV_TRY(wanted_of(row, &wanted));
    DV_TRY(dv_pg_rows_count(t->job->database, &wanted, &outcome, &told, error));
    if (outcome == DV_PG_ROWS_NONE) {
        return DV_OK;
    }
    if (outcome == DV_PG_ROWS_DONE) {
        t->rows += told.rows;
        DV_TRY(json_array_append(some, row) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
        return t->job->try_only ? tell_user(t, row, "", "delete", &told) : DV_OK;
    }
    t->job->left++;
    return tell_user(t, row, "", outcome == DV_PG_ROWS_MISSING ? "missing" : "kept", &told);
}

static dv_result count_all(tables *t, dv_error *error)
{
    size_t i;
    json_t *row, *some = json_array();
    dv_result result = some == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    json_array_foreach(t->due, i, row)
    {
        result = result == DV_OK ? count_one(t, row, some, error) : result;
    }
    json_decref(t->due);
    t->due = some;
    return result;
}

/* --- a run ----------------------------------------------------------------------------------- */

typedef struct run {
    const tables *t;
    const char *id;
    json_t *items;
    json_t *details; /* number -> what else is concerned */
} run;

/* Tells one table's state; *ret_state, which may be NULL: what it is then, in the run's items. */
static dv_result tell(const run *r, const json_t *item, const char *state,
                      const dv_pg_rows_told *told, bool *ret_ready, dv_error *error)
{
    json_t *answer = NULL;
    json_t *items = json_pack("[{s:O, s:s, s:s, s:s, s:I, s:I}]", "n", json_object_get(item, "n"),
                              "state", state, "why", told->why, "xact", told->xact, "rows",
                              (json_int_t)told->rows, "undated", (json_int_t)told->undated);
    dv_result result = items == NULL ? DV_ERR_NO_MEMORY
                                     : dv_disposal_tell(r->t->job, r->id, items, &answer, error);
    if (result == DV_OK && ret_ready != NULL) {
        const json_t *now = json_array_get(json_object_get(answer, "items"), 0);
        *ret_ready = strcmp(text_of(now, "state"), "ready") == 0;
    }
    json_decref(items);
    json_decref(answer);
    return result;
}

typedef struct question {
    const run *r;
    const json_t *item;
} question;

static dv_result agree(void *data, const dv_pg_rows_told *told, bool *ret_go, dv_error *error)
{
    const question *q = data;
    return tell(q->r, q->item, "ready", told, ret_go, error);
}

/* A COMMIT that was cut off may take its time on the server. */
static dv_result ask_database(const run *r, const char *xact, dv_pg_xact_status *ret_status,
                              dv_error *error)
{
    const struct timespec pause = {.tv_nsec = 250 * DV_MILLISECOND};
    for (int i = 0; i < TRIES; i++) {
        DV_TRY(dv_pg_rows_status(r->t->job->database, xact, ret_status, error));
        if (*ret_status != DV_PG_XACT_RUNNING) {
            return DV_OK;
        }
        nanosleep(&pause, NULL);
    }
    return dv_error_set(error, DV_ERR_UNAVAILABLE,
                        "the transaction of an interrupted run is still under way in the database: "
                        "run it again when that has ended");
}

/* Where rows are as old as those that went, the number may be another transaction's: a server that
 * was put back to a copy of its disk gives numbers out twice. */
static dv_result are_there(const run *r, const json_t *item, bool *ret_are, dv_error *error)
{
    dv_pg_rows wanted;
    dv_pg_rows_told told = {.rows = 0};
    dv_pg_rows_outcome outcome = DV_PG_ROWS_KEPT;
    DV_TRY(wanted_of(item, &wanted));
    DV_TRY(dv_pg_rows_count(r->t->job->database, &wanted, &outcome, &told, error));
    *ret_are = outcome == DV_PG_ROWS_DONE;
    return DV_OK;
}

/* What was about to be committed when a run ended. *ret_again: it was undone. */
static dv_result resolve(const run *r, const json_t *item, const char *xact, bool *ret_again,
                         dv_error *error)
{
    dv_pg_xact_status status = DV_PG_XACT_UNKNOWN;
    dv_pg_rows_told told = {.rows = 0};
    bool are = false;
    DV_TRY(ask_database(r, xact, &status, error));
    *ret_again = status == DV_PG_XACT_ABORTED;
    dv_slice_copy(dv_slice_str(xact), told.xact, sizeof(told.xact));
    if (status == DV_PG_XACT_ABORTED) {
        return tell(r, item, "undone", &told, NULL, error);
    }
    DV_TRY(status == DV_PG_XACT_COMMITTED ? are_there(r, item, &are, error) : DV_OK);
    if (status == DV_PG_XACT_COMMITTED && !are) {
        return tell(r, item, "destroyed", &told, NULL, error);
    }
    (void)snprintf(told.why, sizeof(told.why), "%s",
                   are ? "the run was interrupted, and rows that are as old are there"
                       : "the run was interrupted, and the database does not know its transaction");
    return tell(r, item, "unknown", &told, NULL, error);
}

static dv_result note_detail(const run *r, const json_t *item, const dv_pg_rows_told *told)
{
    char number[24];
    (void)snprintf(number, sizeof(number), "%lld",
                   (long long)json_integer_value(json_object_get(item, "n")));
    return told->detail[0] == '\0' ||
                   json_object_set_new(r->details, number, json_string(told->detail)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* *ret_later: others refer to its rows, which may go in their turn. */
static dv_result delete_one(const run *r, const json_t *item, bool *ret_later,
                            dv_pg_rows_told *ret_told, dv_error *error)
{
    question q = {r, item};
    dv_pg_rows wanted;
    dv_pg_rows_told told = {.rows = 0};
    dv_pg_rows_outcome outcome = DV_PG_ROWS_KEPT;
    bool again = false;
    DV_TRY(wanted_of(item, &wanted));
    DV_TRY(dv_pg_rows_delete(r->t->job->database, &wanted, agree, &q, &outcome, &told, error));
    *ret_later = outcome == DV_PG_ROWS_REFERRED;
    *ret_told = told;
    DV_TRY(note_detail(r, item, &told));
    switch (outcome) {
    case DV_PG_ROWS_DONE:
        return tell(r, item, "destroyed", &told, NULL, error);
    case DV_PG_ROWS_OPEN:
        DV_TRY(resolve(r, item, told.xact, &again, error));
        return again ? dv_error_set(error, DV_ERR_UNAVAILABLE,
                                    "the connection to the database was lost and nothing of %.100s "
                                    "was deleted: run it again",
                                    wanted.table)
                     : DV_OK;
    case DV_PG_ROWS_NONE:
        (void)snprintf(told.why, sizeof(told.why), "%s", "no row of it is that old any more");
        return tell(r, item, "kept", &told, NULL, error);
    case DV_PG_ROWS_MISSING:
        return tell(r, item, "missing", &told, NULL, error);
    case DV_PG_ROWS_KEPT:
        return tell(r, item, "kept", &told, NULL, error);
    case DV_PG_ROWS_REFERRED: /* with a number: COMMIT itself was refused */
        return told.xact[0] != '\0' ? tell(r, item, "undone", &told, NULL, error) : DV_OK;
    case DV_PG_ROWS_DECLINED:
        break;
    }
    return DV_OK;
}

/* Those that are not ended; what was interrupted is cleared up first. */
static dv_result find_open(const run *r, json_t *open, dv_error *error)
{
    size_t i;
    json_t *item;
    json_array_foreach(r->items, i, item)
    {
        const char *state = text_of(item, "state");
        bool again = strcmp(state, "planned") == 0;
        if (strcmp(state, "ready") == 0) {
            DV_TRY(resolve(r, item, text_of(item, "xact"), &again, error));
        }
        if (again && json_array_append(open, item) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

/* One turn of those that are open; those to which others refer stay open. */
static dv_result one_turn(const run *r, json_t *open, bool last, dv_error *error)
{
    size_t at = 0;
    while (at < json_array_size(open)) {
        dv_pg_rows_told told = {.rows = 0};
        bool later = false;
        const json_t *item = json_array_get(open, at);
        DV_TRY(delete_one(r, item, &later, &told, error));
        if (later && last) {
            DV_TRY(tell(r, item, "kept", &told, NULL, error));
        }
        if (later && !last) {
            at++;
        } else {
            (void)json_array_remove(open, at);
        }
    }
    return DV_OK;
}

/* While a turn frees others: rows that referred to them are gone by then. */
static dv_result all_turns(const run *r, json_t *open, dv_error *error)
{
    size_t before = json_array_size(open) + 1;
    while (json_array_size(open) > 0 && json_array_size(open) < before) {
        before = json_array_size(open);
        DV_TRY(one_turn(r, open, false, error));
    }
    return one_turn(r, open, true, error);
}

static dv_result collect(dv_disposal_job *d, const json_t *row, void *data, dv_error *error)
{
    run *r = data;
    const char *state = text_of(row, "state"), *rule = text_of(row, "rule");
    bool open = strcmp(state, "planned") == 0 || strcmp(state, "ready") == 0;
    if (open && d->rule != NULL && strcmp(d->rule, rule) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the disposal %.40s is not finished and has tables of the rule %.64s: "
                            "go on with it without --rule, or give it up with `dvara data disposal "
                            "finish %.40s --abandon`",
                            r->id, rule, r->id);
    }
    return json_array_append(r->items, (json_t *)(uintptr_t)row) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result read_items(run *r, dv_error *error)
{
    json_t *params = json_pack("{s:s, s:i}", "id", r->id, "limit", RUN_TABLES);
    (void)json_array_clear(r->items);
    dv_result result = params == NULL ? DV_ERR_NO_MEMORY
                                      : dv_disposal_each(r->t->job, "data_disposal_items", params,
                                                         collect, r, error);
    json_decref(params);
    return result;
}

/* As Dvara has them in the end. */
static dv_result tell_items(const run *r)
{
    size_t i;
    const json_t *item;
    json_array_foreach(r->items, i, item)
    {
        char number[24];
        dv_pg_rows_told told = {.undated =
                                    (uint64_t)json_integer_value(json_object_get(item, "undated"))};
        bool done = strcmp(text_of(item, "state"), "destroyed") == 0;
        (void)snprintf(number, sizeof(number), "%lld",
                       (long long)json_integer_value(json_object_get(item, "n")));
        told.rows = done ? (uint64_t)json_integer_value(json_object_get(item, "rows")) : 0;
        copy_why(item, told.why);
        if (!done) {
            dv_slice_copy(dv_slice_str(text_of(r->details, number)), told.detail,
                          sizeof(told.detail));
        }
        r->t->job->left += !done;
        DV_TRY(tell_user(r->t, item, r->id, text_of(item, "state"), &told));
    }
    return DV_OK;
}

static dv_result work(run *r, dv_error *error)
{
    json_t *open = json_array(), *ended = NULL;
    dv_result result = open == NULL ? DV_ERR_NO_MEMORY : read_items(r, error);
    result = result == DV_OK ? find_open(r, open, error) : result;
    result = result == DV_OK ? all_turns(r, open, error) : result;
    result = result == DV_OK ? read_items(r, error) : result;
    result = result == DV_OK ? tell_items(r) : result;
    result = result == DV_OK ? dv_disposal_end(r->t->job, r->id, &ended, error) : result;
    json_decref(open);
    json_decref(ended);
    return result;
}

static dv_result do_run(const tables *t, const char *id, dv_error *error)
{
    run r = {.t = t, .id = id, .items = json_array(), .details = json_object()};
    dv_result result = r.items == NULL || r.details == NULL ? DV_ERR_NO_MEMORY : work(&r, error);
    json_decref(r.items);
    json_decref(r.details);
    return result;
}

/* --- all of them ----------------------------------------------------------------------------- */

/* Of the tables that are due those from the given one on, as many as one run has. */
static dv_result begin(tables *t, size_t from, dv_error *error)
{
    json_t *ids = json_array(), *answer = NULL;
    for (size_t i = from; i < from + RUN_TABLES && i < json_array_size(t->due); i++) {
        if (json_array_append(ids, json_object_get(json_array_get(t->due, i), "asset")) != 0) {
            json_decref(ids);
            return DV_ERR_NO_MEMORY;
        }
    }
    json_t *body = json_pack("{s:s, s:s*, s:s*, s:o}", "source", t->source, "rule", t->job->rule,
                             "request", t->job->request, "tables", ids);
    dv_result result =
        body == NULL ? DV_ERR_NO_MEMORY
                     : dv_cli_call(t->job->cli, "data_disposal_begin", NULL, body, &answer, error);
    const char *id = text_of(answer, "id");
    if (result == DV_OK && id[0] != '\0') {
        result = do_run(t, id, error);
    }
    json_decref(body);
    json_decref(answer);
    return result;
}

static dv_result confirm(const tables *t, dv_error *error)
{
    char what[96];
    (void)snprintf(what, sizeof(what), "%llu rows of %zu tables", (unsigned long long)t->rows,
                   json_array_size(t->due));
    return t->rows == 0 ? DV_OK : dv_disposal_confirm(t->job, what, error);
}

/* What was begun is ended first: what became of it the database may have forgotten tomorrow. */
static dv_result end_open(const tables *t, dv_error *error)
{
    size_t i;
    const json_t *id;
    DV_TRY(json_array_size(t->open) == 0
               ? DV_OK
               : dv_disposal_confirm(t->job, "The rows of an interrupted run", error));
    json_array_foreach(t->open, i, id)
    {
        DV_TRY(do_run(t, json_string_value(id), error));
    }
    return DV_OK;
}

static dv_result run_all(tables *t, dv_error *error)
{
    DV_TRY(end_open(t, error));
    DV_TRY(count_all(t, error));
    DV_TRY(confirm(t, error));
    for (size_t from = 0; from < json_array_size(t->due); from += RUN_TABLES) {
        DV_TRY(begin(t, from, error));
    }
    return dv_disposal_tell_held(t->job, t->held, error);
}

static dv_result prepare(tables *t, dv_error *error)
{
    dv_disposal_job *d = t->job;
    if (!dv_scan_is_postgres(d->database)) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "name a database: postgresql://user@host:5432/database");
    }
    DV_TRY(dv_scan_postgres_source(d->database, t->source, sizeof(t->source), error));
    if (d->interest != NULL) {
        dv_slice_copy(dv_slice_str(d->interest), t->source, sizeof(t->source));
    }
    d->interest = t->source;
    t->due = json_array();
    t->open = json_array();
    return t->due == NULL || t->open == NULL ? DV_ERR_NO_MEMORY : find(t, error);
}

dv_result dv_disposal_tables(dv_disposal_job *d, dv_error *error)
{
    tables t = {.job = d};
    dv_result result = prepare(&t, error);
    if (result == DV_OK) {
        result = d->try_only ? count_all(&t, error) : run_all(&t, error);
    }
    json_decref(t.due);
    json_decref(t.open);
    d->interest = NULL; /* it lay here */
    return result;
}
