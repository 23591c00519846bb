/* SPDX-License-Identifier: Apache-2.0 */
/* Runs: what is about to be removed is written down before, and what became of it after. */
#include "crypto/hash.h"
#include "room/data/control/disposal/disposal.h"
#include "room/data/control/disposal/kept.h"

#include "api/operations.h"
#include "core/log_source.h"

enum { PLAN_MEMORY = 64 << 20, LOOK_MEMORY = 1 << 20 };

/* --- one run --------------------------------------------------------------------------------- */

dv_result dv_disposal_run_read(dv_statement *row, dv_arena *arena, dv_disposal_run *ret_run)
{
    dv_disposal_run run = {.rows = dv_column_int(row, 13),
                           .started = dv_column_int(row, 5),
                           .finished = dv_column_int(row, 6),
                           .items = dv_column_int(row, 8),
                           .destroyed = dv_column_int(row, 9)};
    const struct {
        int column;
        const char **text;
    } texts[] = {{0, &run.id},       {1, &run.source},      {2, &run.caller},
                 {3, &run.rules},    {4, &run.state},       {10, &run.sha256},
                 {11, &run.request}, {7, &run.finished_by}, {12, &run.approval}};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        DV_TRY(dv_data_column_copy(row, texts[i].column, arena, texts[i].text));
    }
    *ret_run = run;
    return DV_OK;
}

static dv_result run_where(dv_call *call, const char *sql, const char *value,
                           dv_disposal_run *ret_run, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error, sql, "t", value));
    DV_TRY(dv_statement_step(row, error));
    return dv_disposal_run_read(row, call->arena, ret_run);
}

dv_result dv_disposal_run_find(dv_call *call, const char *id, dv_disposal_run *ret_run,
                               dv_error *error)
{
    dv_result result =
        run_where(call, "SELECT " DV_DISPOSAL_RUN_COLUMNS " FROM data_disposal WHERE id = ?1", id,
                  ret_run, error);
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result,
                              "there is no disposal %s: see `dvara data disposal list`", id)
               : result;
}

json_t *dv_disposal_run_json(const dv_disposal_run *run)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:I, s:I, s:s, s:s, s:s, s:I}", "id",
                     run->id, "state", run->state, "source", run->source, "ordered_by", run->caller,
                     "started", dv_data_time_json(run->started), "finished",
                     dv_data_time_json(run->finished), "finished_by", run->finished_by, "files",
                     (json_int_t)run->items, "destroyed", (json_int_t)run->destroyed, "sha256",
                     run->sha256, "request", run->request, "approval", run->approval, "rows",
                     (json_int_t)run->rows);
}

/* --- it begins ------------------------------------------------------------------------------- */

typedef struct planning {
    dv_disposal_run run;
    char id[DV_DATA_ID_MAX];
    const char *rule; /* only this one; NULL: all */
    int64_t limit;
    const dv_disposal_request *request; /* what it lists; NULL: what wants no approval */
    int64_t held;                       /* that want one */
    const json_t *tables;               /* ids of those that are meant; NULL: files */
} planning;

/* Rows go where somebody can reach their database, files where they lie: no run has both. */
static bool is_meant(const planning *p, const dv_disposal_asset *asset)
{
    size_t i;
    const json_t *one;
    if (!asset->table) {
        return p->tables == NULL;
    }
    json_array_foreach(p->tables, i, one)
    {
        if (strcmp(json_string_value(one), asset->id) == 0) {
            return true;
        }
    }
    return false;
}

static dv_result plan_item(dv_call *call, const planning *p, const dv_disposal_asset *asset,
                           const dv_disposal_judgement *j, dv_error *error)
{
    return dv_store_run(
        call->services->store, error,
        "INSERT INTO data_disposal_item (run, n, asset, name, size, modified, stamp, rule,"
        " sensitivity, categories, labels, state, sha256, why, at, date_column, before) VALUES (?1,"
        " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'planned', '', '', ?12, ?13, ?14)",
        "tittiittittiti", p->id, p->run.items, asset->id, asset->name, asset->size, asset->modified,
        asset->stamp, j->rule->name, asset->level, asset->categories, asset->labels, call->now,
        asset->table ? j->rule->column : "", j->before);
}

/* All that is due in the source, up to the limit. */
static dv_result plan_items(dv_call *call, planning *p, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(LOOK_MEMORY);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    DV_TRY(result);
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_DISPOSAL_ASSET_COLUMNS
                          " FROM data_asset WHERE source = ?1 AND gone = 0 ORDER BY id",
                          "t", p->run.source));
    while (p->run.items < p->limit && (result = dv_statement_step(rows, error)) == DV_OK) {
        dv_disposal_asset asset;
        dv_disposal_judgement j;
        dv_arena_reset(arena);
        DV_TRY(dv_disposal_asset_read(rows, arena, &asset));
        DV_TRY(dv_disposal_judge(call->services, arena, call->now, &asset, &j, error));
        if (j.standing != DV_DISPOSAL_DUE || !is_meant(p, &asset) ||
            (p->rule != NULL && strcmp(p->rule, j.rule->name) != 0)) {
            continue;
        }
        if (j.approvals > 0) {
            p->held++;
            continue;
        }
        DV_TRY(plan_item(call, p, &asset, &j, error));
        p->run.items++;
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* One that the request lists: it goes if it is as it was. */
static dv_result plan_listed(dv_call *call, planning *p, dv_arena *arena, dv_statement *row,
                             dv_error *error)
{
    dv_disposal_claim claim = {.before = dv_column_int(row, 4)};
    dv_disposal_now now;
    DV_TRY(dv_data_column_copy(row, 1, arena, &claim.asset));
    DV_TRY(dv_data_column_copy(row, 2, arena, &claim.stamp));
    DV_TRY(dv_data_column_copy(row, 3, arena, &claim.terms));
    DV_TRY(dv_disposal_look(call, arena, &claim, p->request, &now, error));
    if (now.why[0] != '\0' || !is_meant(p, &now.asset) ||
        (p->rule != NULL && strcmp(p->rule, now.j.rule->name) != 0)) {
        return DV_OK;
    }
    now.j.before = claim.before; /* as it was approved */
    DV_TRY(plan_item(call, p, &now.asset, &now.j, error));
    p->run.items++;
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_request_item SET run = ?3 WHERE request = ?1"
                        " AND n = ?2",
                        "tit", p->request->id, dv_column_int(row, 0), p->id);
}

/* What the request lists of the source and no run had yet, up to the limit. */
static dv_result plan_request(dv_call *call, planning *p, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(LOOK_MEMORY);
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    int64_t last = -1;
    DV_TRY(result);
    while (p->run.items < p->limit) { /* asked anew for each, since its row changes */
        DV_TRY(
            dv_store_query(call->services->store, &rows, error,
                           "SELECT n, asset, stamp, terms, before FROM data_disposal_request_item"
                           " WHERE request = ?1 AND source = ?2 AND run = '' AND n > ?3"
                           " ORDER BY n LIMIT 1",
                           "tti", p->request->id, p->run.source, last));
        dv_arena_reset(arena);
        result = dv_statement_step(rows, error);
        if (result != DV_OK) {
            return result == DV_ERR_NOT_FOUND ? DV_OK : result;
        }
        last = dv_column_int(rows, 0);
        DV_TRY(plan_listed(call, p, arena, rows, error));
        dv_statement_done(rows);
        rows = NULL;
    }
    return DV_OK;
}

/* Those that are in force, as the certificate tells them. */
static dv_result rules_text(dv_call *call, const char **ret_text)
{
    const dv_disposal_rules *rules = call->services->disposal_rules;
    json_t *list = json_array();
    for (size_t i = 0; i < dv_disposal_rule_count(rules); i++) {
        if (json_array_append_new(list, dv_disposal_rule_json(dv_disposal_rule_at(rules, i))) !=
            0) {
            json_decref(list);
            return DV_ERR_NO_MEMORY;
        }
    }
    dv_auto(free) char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    dv_slice copy;
    DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_arena_copy(call->arena, dv_slice_str(text), &copy));
    *ret_text = (const char *)copy.ptr;
    return DV_OK;
}

dv_result dv_disposal_run_insert(dv_call *call, const dv_disposal_run *run, dv_error *error)
{
    const dv_event_disposal event = {.id = dv_slice_str(run->id), .files = run->items};
    DV_TRY(dv_store_run(call->services->store, error,
                        "INSERT INTO data_disposal (id, source, caller, rules, state, started,"
                        " finished, finished_by, items, destroyed, document, sha256, request,"
                        " approval)"
                        " VALUES (?1, ?2, ?3, ?4, 'running', ?5, 0, '', ?6, 0, '', '', '', ?7)",
                        "ttttiit", run->id, run->source, call->caller, run->rules, call->now,
                        run->items, run->approval));
    return dv_audit_disposal(call, &event, error);
}

dv_result dv_disposal_run_open(dv_call *call, const char *source, dv_disposal_run *ret_run,
                               dv_error *error)
{
    return run_where(call,
                     "SELECT " DV_DISPOSAL_RUN_COLUMNS
                     " FROM data_disposal WHERE source = ?1 AND state <> 'finished'",
                     source, ret_run, error);
}

/* A clock that was set ahead makes everything old. */
dv_result dv_disposal_check_clock(const dv_call *call, dv_error *error)
{
    int64_t seconds = 0;
    DV_TRY(call->services->log->clock_settles_in(call, &seconds, error));
    return seconds == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "the clock was set, or the machine was off: nothing goes by its age "
                              "for %lld more seconds, or until the clock is right again",
                              (long long)seconds);
}

/* One that is under way is gone on with, unless another was asked for. */
static dv_result go_on(dv_call *call, const dv_disposal_run *run, dv_error *error)
{
    const char *request = dv_call_field(call, "request");
    if (request != NULL && strcmp(request, run->approval) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the disposal %s of this source is not finished, and it is none of "
                            "this request: go on with it without --request, or give it up with "
                            "`dvara data disposal finish %s --abandon`",
                            run->id, run->id);
    }
    call->answer = dv_disposal_run_json(run);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result nothing(dv_call *call, const planning *p, dv_error *error)
{
    if (p->held > 0) {
        return dv_error_set(
            error, DV_ERR_CONFLICT,
            "%lld files or tables need the approval of somebody else: `dvara data disposal "
            "request --source %.300s` asks for it, and `dvara data disposal run "
            "--request ID` destroys what was approved",
            (long long)p->held, p->run.source);
    }
    call->answer = json_pack("{s:i}", "files", 0);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* With a request what it lists; without, what wants no approval. */
static dv_result plan(dv_call *call, planning *p, dv_error *error)
{
    const char *id = dv_call_field(call, "request");
    dv_disposal_request *request = dv_arena_alloc(call->arena, sizeof(*request));
    DV_TRY(request == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    if (id == NULL) {
        return plan_items(call, p, error);
    }
    DV_TRY(dv_disposal_request_find(call, id, request, error));
    p->request = request;
    p->run.approval = request->id;
    if (strcmp(request->state, "used") == 0) { /* all of it is done */
        return DV_OK;
    }
    DV_TRY(dv_disposal_request_check(request, error));
    return plan_request(call, p, error);
}

/* One that was not finished is gone on with; where nothing is due there is none. */
static dv_result begin(dv_call *call, dv_error *error)
{
    planning p = {.run = {.state = "running",
                          .source = dv_call_field(call, "source"),
                          .caller = call->caller,
                          .started = call->now,
                          .finished_by = "",
                          .sha256 = "",
                          .request = "",
                          .approval = ""},
                  .rule = dv_call_field(call, "rule"),
                  .tables = json_object_get(call->body, "tables"),
                  .limit = json_integer_value(json_object_get(call->body, "limit"))};
    dv_disposal_run old;
    dv_result result = dv_disposal_run_open(call, p.run.source, &old, error);
    if (result != DV_ERR_NOT_FOUND) {
        DV_TRY(result);
        return go_on(call, &old, error);
    }
    DV_TRY(dv_disposal_check_clock(call, error));
    dv_data_new_id(call->now, p.id);
    p.run.id = p.id;
    DV_TRY(plan(call, &p, error));
    if (p.run.items == 0) {
        return nothing(call, &p, error);
    }
    DV_TRY(rules_text(call, &p.run.rules));
    DV_TRY(dv_disposal_run_insert(call, &p.run, error));
    DV_TRY(p.request == NULL ? DV_OK
                             : dv_disposal_request_use(call, p.request, p.id, p.run.items, error));
    call->answer = dv_disposal_run_json(&p.run);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_disposal_begin(dv_call *call, dv_error *error)
{
    if (dv_disposal_is_kept_source(dv_call_field(call, "source"))) {
        return dv_call_invalid(call, "source", error, "no scan has sources of vaults or cases");
    }
    return dv_audit_change(call, begin, error);
}

/* --- its files ------------------------------------------------------------------------------- */

static json_t *item_json(dv_statement *row)
{
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "n",
                     (json_int_t)dv_column_int(row, 0), "asset", dv_data_column_text(row, 1),
                     "name", dv_data_column_text(row, 2), "stamp", dv_data_column_text(row, 3),
                     "state", dv_data_column_text(row, 4), "rule", dv_data_column_text(row, 5),
                     "sha256", dv_data_column_text(row, 6), "column", dv_data_column_text(row, 7),
                     "before", dv_data_column_time(row, 8), "xact", dv_data_column_text(row, 9),
                     "rows", (json_int_t)dv_column_int(row, 10), "undated",
                     (json_int_t)dv_column_int(row, 11), "why", dv_data_column_text(row, 12));
}

/* The cursor is the last number. */
dv_result dv_op_data_disposal_items(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_disposal_run run;
    const char *cursor = dv_call_param(call, "cursor");
    DV_TRY(dv_disposal_run_find(call, dv_call_param(call, "id"), &run, error));
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT n, asset, name, stamp, state, rule, sha256, date_column,"
                          " before, xact, row_count, undated, why FROM data_disposal_item WHERE "
                          "run = ?1 AND n > ?2 ORDER BY n LIMIT ?3",
                          "tii", run.id, (int64_t)(cursor != NULL ? strtoll(cursor, NULL, 10) : -1),
                          json_integer_value(json_object_get(call->params, "limit"))));
    return dv_data_answer_rows(call, rows, item_json, error);
}

/* --- what became of them --------------------------------------------------------------------- */

typedef struct item {
    int64_t n;
    const char *asset;
    const char *state;
    const char *stamp;
    const char *sha256;
    const char *column; /* of a table */
    const char *xact;   /* "" it was not yet about to go */
    dv_time before;     /* 0: a file */
} item;

static dv_result item_find(dv_call *call, const char *run, int64_t n, item *ret_item,
                           dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    item found = {.n = n};
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT asset, state, stamp, sha256, date_column, xact, before"
                          " FROM data_disposal_item"
                          " WHERE run = ?1 AND n = ?2",
                          "ti", run, n));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "the disposal has no file %lld", (long long)n);
    }
    DV_TRY(result);
    DV_TRY(dv_data_column_copy(row, 0, call->arena, &found.asset));
    DV_TRY(dv_data_column_copy(row, 1, call->arena, &found.state));
    DV_TRY(dv_data_column_copy(row, 2, call->arena, &found.stamp));
    DV_TRY(dv_data_column_copy(row, 3, call->arena, &found.sha256));
    DV_TRY(dv_data_column_copy(row, 4, call->arena, &found.column));
    DV_TRY(dv_data_column_copy(row, 5, call->arena, &found.xact));
    found.before = dv_column_int(row, 6);
    *ret_item = found;
    return DV_OK;
}

static dv_result item_set(dv_call *call, const char *run, const item *i, const char *state,
                          const char *sha256, const char *why, dv_error *error)
{
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_item SET state = ?3, sha256 = ?4, why = ?5, at = ?6"
                        " WHERE run = ?1 AND n = ?2",
                        "tittti", run, i->n, state, sha256, why, call->now);
}

/* Whether it still may go: what the run was planned by may have changed. */
static dv_result still_due(dv_call *call, const dv_disposal_run *run, const item *i,
                           const char **ret_why, dv_error *error)
{
    dv_disposal_claim claim = {.asset = i->asset,
                               .stamp = i->stamp,
                               .ready = strcmp(i->state, "ready") == 0,
                               .column = i->before != 0 ? i->column : NULL,
                               .before = i->before};
    dv_disposal_request request;
    dv_disposal_now now;
    bool by_request = run->approval[0] != '\0';
    if (by_request) {
        DV_TRY(dv_disposal_request_find(call, run->approval, &request, error));
        DV_TRY(dv_disposal_request_claim(call, request.id, i->asset, &claim, error));
    }
    DV_TRY(dv_disposal_look(call, call->arena, &claim, by_request ? &request : NULL, &now, error));
    *ret_why = now.why;
    return DV_OK;
}

static bool is_open(const char *state)
{
    return strcmp(state, "planned") == 0 || strcmp(state, "ready") == 0;
}

static dv_result tell_ready(dv_call *call, const dv_disposal_run *run, const item *i,
                            const char *sha256, dv_error *error)
{
    const char *why = NULL;
    if (strlen(sha256) != 2 * (size_t)DV_SHA256_LEN) {
        return dv_call_invalid(call, "items", error,
                               "what is ready needs the SHA-256 of its contents");
    }
    if (i->sha256[0] != '\0' && strcmp(i->sha256, sha256) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "file %lld was ready with other contents",
                            (long long)i->n);
    }
    DV_TRY(still_due(call, run, i, &why, error));
    return why[0] == '\0' ? item_set(call, run->id, i, "ready", sha256, "", error)
                          : item_set(call, run->id, i, "kept", sha256, why, error);
}

/* What is destroyed was ready before; what was told once stays. What is not as the scan saw it
 * waits for the next one: no run gets stuck with it. */
static dv_result tell_end(dv_call *call, const char *run, const item *i, const char *state,
                          const char *why, dv_error *error)
{
    bool was_ready = strcmp(i->state, "ready") == 0;
    if (strcmp(state, "missing") == 0 && (was_ready || strcmp(i->state, "gone") == 0)) {
        state = "gone"; /* whether this run removed it or somebody else did nobody knows */
        why = dv_arena_printf(call->arena, "the run was about to remove it and was interrupted; %s",
                              why[0] != '\0' ? why : "it is not there any more");
        DV_TRY(why == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    }
    if (strcmp(i->state, state) == 0) {
        return DV_OK;
    }
    if (!is_open(i->state) || (strcmp(state, "destroyed") == 0 && !was_ready)) {
        return dv_error_set(error, DV_ERR_CONFLICT, "file %lld is %s and can't become %s",
                            (long long)i->n, i->state, state);
    }
    DV_TRY(item_set(call, run, i, state, i->sha256, why, error));
    if (strcmp(state, "destroyed") == 0 || strcmp(state, "gone") == 0) {
        return dv_store_run(call->services->store, error,
                            "UPDATE data_asset SET gone = ?2 WHERE id = ?1 AND gone = 0", "ti",
                            i->asset, call->now);
    }
    return dv_store_run(call->services->store, error,
                        "UPDATE data_asset SET stamp = '' WHERE id = ?1 AND stamp = ?2", "tt",
                        i->asset, i->stamp);
}

/* --- of a table ------------------------------------------------------------------------------ */

static dv_result other_xact(const item *i, dv_error *error)
{
    return dv_error_set(error, DV_ERR_CONFLICT,
                        "table %lld is about to go in another transaction: wait for another `dvara "
                        "data disposal run` of it, and run it again",
                        (long long)i->n);
}

static dv_result table_ready(dv_call *call, const dv_disposal_run *run, const item *i,
                             const json_t *told, dv_error *error)
{
    const char *why = NULL, *xact = json_string_value(json_object_get(told, "xact"));
    int64_t rows = json_integer_value(json_object_get(told, "rows"));
    if (xact[0] == '\0' || rows == 0) {
        return dv_call_invalid(call, "items", error,
                               "rows that are ready need their transaction and how many they are");
    }
    if (i->xact[0] != '\0' && strcmp(i->xact, xact) != 0) {
        return other_xact(i, error);
    }
    DV_TRY(still_due(call, run, i, &why, error));
    if (why[0] != '\0') {
        return item_set(call, run->id, i, "kept", "", why, error);
    }
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_item SET state = 'ready', xact = ?3, row_count = ?4,"
                        " undated = ?5, at = ?6 WHERE run = ?1 AND n = ?2",
                        "titiii", run->id, i->n, xact, rows,
                        json_integer_value(json_object_get(told, "undated")), call->now);
}

/* Its database says that nothing of it happened: its turn comes again. */
static dv_result table_undone(dv_call *call, const char *run, const item *i, dv_error *error)
{
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_item SET state = 'planned', xact = '', row_count = 0,"
                        " undated = 0, at = ?3 WHERE run = ?1 AND n = ?2",
                        "tii", run, i->n, call->now);
}

/* Nothing of it went, for a reason of its database's: while the approval lasts it may go by it yet.
 */
static dv_result table_stayed(dv_call *call, const dv_disposal_run *run, const item *i,
                              const json_t *told, dv_error *error)
{
    DV_TRY(item_set(call, run->id, i, json_string_value(json_object_get(told, "state")), "",
                    json_string_value(json_object_get(told, "why")), error));
    return run->approval[0] == '\0'
               ? DV_OK
               : dv_disposal_request_give_back(call, run->approval, i->asset, run->id, error);
}

/* What was committed was ready. Of what is ready nobody tells more but who knows its transaction:
 * a second run that found nothing must not undo what the first is about to tell. */
static dv_result table_end(dv_call *call, const dv_disposal_run *run, const item *i,
                           const json_t *told, dv_error *error)
{
    const char *state = json_string_value(json_object_get(told, "state"));
    const char *xact = json_string_value(json_object_get(told, "xact"));
    bool undone = strcmp(state, "undone") == 0, ready = strcmp(i->state, "ready") == 0;
    bool of_ready = undone || strcmp(state, "destroyed") == 0 || strcmp(state, "unknown") == 0;
    if (strcmp(i->state, state) == 0 || (undone && strcmp(i->state, "planned") == 0)) {
        return DV_OK;
    }
    if (!is_open(i->state) || (of_ready && !ready)) {
        return dv_error_set(error, DV_ERR_CONFLICT, "table %lld is %s and can't become %s",
                            (long long)i->n, i->state, state);
    }
    if (ready && strcmp(xact, i->xact) != 0) {
        return other_xact(i, error);
    }
    if (undone) {
        return table_undone(call, run->id, i, error);
    }
    return of_ready ? item_set(call, run->id, i, state, "",
                               json_string_value(json_object_get(told, "why")), error)
                    : table_stayed(call, run, i, told, error);
}

static dv_result tell_table(dv_call *call, const dv_disposal_run *run, const item *i,
                            const json_t *told, dv_error *error)
{
    const char *state = json_string_value(json_object_get(told, "state"));
    if (strcmp(state, "changed") == 0 || strcmp(state, "linked") == 0) {
        return dv_call_invalid(call, "items", error, "a table is never %s", state);
    }
    return strcmp(state, "ready") == 0 && is_open(i->state) ? table_ready(call, run, i, told, error)
                                                            : table_end(call, run, i, told, error);
}

static dv_result tell_file(dv_call *call, const dv_disposal_run *run, const item *i,
                           const json_t *told, dv_error *error)
{
    const char *state = json_string_value(json_object_get(told, "state"));
    if (strcmp(state, "kept") == 0 || strcmp(state, "unknown") == 0 ||
        strcmp(state, "undone") == 0) {
        return dv_call_invalid(call, "items", error, "a file is never told as %s", state);
    }
    return strcmp(state, "ready") == 0 && is_open(i->state)
               ? tell_ready(call, run, i, json_string_value(json_object_get(told, "sha256")), error)
               : tell_end(call, run->id, i, state, json_string_value(json_object_get(told, "why")),
                          error);
}

static dv_result tell_one(dv_call *call, const dv_disposal_run *run, const json_t *told,
                          json_t *items, dv_error *error)
{
    item i;
    DV_TRY(item_find(call, run->id, json_integer_value(json_object_get(told, "n")), &i, error));
    DV_TRY(i.before != 0 ? tell_table(call, run, &i, told, error)
                         : tell_file(call, run, &i, told, error));
    DV_TRY(item_find(call, run->id, i.n, &i, error));
    return json_array_append_new(
               items, json_pack("{s:I, s:s}", "n", (json_int_t)i.n, "state", i.state)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

static bool any_ready(const json_t *body)
{
    size_t n;
    const json_t *told;
    json_array_foreach(json_object_get(body, "items"), n, told)
    {
        if (strcmp(json_string_value(json_object_get(told, "state")), "ready") == 0) {
            return true;
        }
    }
    return false;
}

static dv_result tell(dv_call *call, dv_error *error)
{
    size_t n;
    const json_t *told;
    dv_disposal_run run;
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_disposal_run_find(call, dv_call_param(call, "id"), &run, error));
    if (strcmp(run.state, "running") != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the disposal %s has ended", run.id);
    }
    DV_TRY(any_ready(call->body) ? dv_disposal_check_clock(call, error) : DV_OK);
    json_array_foreach(json_object_get(call->body, "items"), n, told)
    {
        DV_TRY(tell_one(call, &run, told, items, error));
    }
    return DV_OK;
}

dv_result dv_op_data_disposal_tell(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, tell, error);
}

/* --- it ends --------------------------------------------------------------------------------- */

/* Of a table that was ready nobody asked its database: that is not known either. */
static dv_result give_up(dv_call *call, const char *run, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_item SET state = 'not_done', at = ?2,"
                        " why = 'the run was given up' WHERE run = ?1 AND state = 'planned'",
                        "ti", run, call->now));
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_item SET state = 'unknown', at = ?2,"
                        " why = 'it was about to be removed when the run was given up'"
                        " WHERE run = ?1 AND state = 'ready'",
                        "ti", run, call->now);
}

static dv_result check_closed(dv_call *call, const char *run, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT count(*) FROM data_disposal_item WHERE run = ?1"
                          " AND state IN ('planned', 'ready')",
                          "t", run));
    DV_TRY(dv_statement_step(row, error));
    return dv_column_int(row, 0) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT,
                              "%lld files of it are open: `dvara data disposal run` goes on with "
                              "them where they are, --abandon gives them up",
                              (long long)dv_column_int(row, 0));
}

static void hash_text(const char *text, char out[2 * DV_SHA256_LEN + 1])
{
    uint8_t hash[DV_SHA256_LEN];
    dv_sha256(dv_slice_str(text), (dv_slice){NULL, 0}, (dv_slice){NULL, 0}, hash);
    for (size_t i = 0; i < sizeof(hash); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", hash[i]);
    }
}

static dv_result close_files(dv_call *call, const dv_disposal_run *run, bool abandon,
                             char **ret_text, int64_t *ret_destroyed, dv_error *error)
{
    DV_TRY(abandon ? give_up(call, run->id, error) : DV_OK);
    DV_TRY(check_closed(call, run->id, error));
    return dv_disposal_certificate(call, run, ret_text, ret_destroyed, error);
}

/* It is the same from here on, also if the next step has to be done twice. */
dv_result dv_disposal_document_keep(dv_call *call, const char *id, const char *text,
                                    int64_t destroyed, dv_error *error)
{
    char sha256[2 * DV_SHA256_LEN + 1];
    hash_text(text, sha256);
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal SET state = 'closing', finished = ?2,"
                        " finished_by = ?3, destroyed = ?4, document = ?5, sha256 = ?6,"
                        " row_count = (SELECT COALESCE(sum(row_count), 0) FROM data_disposal_item"
                        " WHERE run = ?1 AND state = 'destroyed') WHERE id = ?1",
                        "titits", id, call->now, call->caller, destroyed, text,
                        dv_slice_str(sha256));
}

static dv_result write_document(dv_call *call, const dv_disposal_run *run, char **ret_text,
                                int64_t *ret_destroyed, dv_error *error)
{
    bool abandon = json_is_true(json_object_get(call->body, "abandon"));
    if (dv_disposal_is_cases(run)) {
        return dv_error_set(error, DV_ERR_CONFLICT, "dvarad itself goes on with it");
    }
    return dv_disposal_is_vault(run)
               ? dv_disposal_vault_close(call, run, abandon, ret_text, ret_destroyed, error)
               : close_files(call, run, abandon, ret_text, ret_destroyed, error);
}

static dv_result close_run(dv_call *call, dv_error *error)
{
    dv_disposal_run run;
    int64_t destroyed = 0;
    dv_auto(free) char *text = NULL;
    DV_TRY(dv_disposal_run_find(call, dv_call_param(call, "id"), &run, error));
    if (strcmp(run.state, "running") != 0) {
        return DV_OK;
    }
    DV_TRY(write_document(call, &run, &text, &destroyed, error));
    DV_TRY(dv_disposal_document_keep(call, run.id, text, destroyed, error));
    return dv_store_run(call->services->store, error,
                        "DELETE FROM data_disposal_item WHERE run = ?1", "t", run.id);
}

dv_result dv_disposal_publish(dv_call *call, const dv_disposal_run *run, dv_error *error)
{
    const dv_event_disposal event = {.ended = true,
                                     .id = dv_slice_str(run->id),
                                     .sha256 = dv_slice_str(run->sha256),
                                     .files = run->destroyed};
    if (strcmp(run->state, "closing") != 0) {
        return DV_OK;
    }
    DV_TRY(dv_audit_disposal(call, &event, error));
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal SET state = 'finished', request = ?2 WHERE id = ?1",
                        "tt", run->id, call->request_id);
}

static dv_result publish(dv_call *call, dv_error *error)
{
    dv_disposal_run run;
    DV_TRY(dv_disposal_run_find(call, dv_call_param(call, "id"), &run, error));
    return dv_disposal_publish(call, &run, error);
}

dv_result dv_op_data_disposal_finish(dv_call *call, dv_error *error)
{
    dv_disposal_run run;
    DV_TRY(dv_audit_change(call, close_run, error));
    DV_TRY(dv_audit_change(call, publish, error));
    DV_TRY(dv_disposal_run_find(call, dv_call_param(call, "id"), &run, error));
    call->answer = dv_disposal_run_json(&run);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}
