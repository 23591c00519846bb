/* SPDX-License-Identifier: Apache-2.0 */
/* What a second person let go: requests as they are kept, and whether something may go by one. */
#include "room/data/control/disposal/disposal.h"

#define REQUEST_COLUMNS                                                                            \
    "id, source, rule, requester, reason, approvals, items, created, expires,"                     \
    " CASE WHEN state = 'approved' AND expires <= ?1 THEN 'expired' ELSE state END"

static dv_result request_read(dv_statement *row, dv_arena *arena, dv_disposal_request *ret_request)
{
    dv_disposal_request request = {.approvals = dv_column_int(row, 5),
                                   .items = dv_column_int(row, 6),
                                   .created = dv_column_int(row, 7),
                                   .expires = dv_column_int(row, 8)};
    const char **const texts[] = {&request.id, &request.source, &request.rule, &request.requester,
                                  &request.reason};
    for (size_t i = 0; i < DV_ARRAY_LEN(texts); i++) {
        DV_TRY(dv_data_column_copy(row, (int)i, arena, texts[i]));
    }
    DV_TRY(dv_data_column_copy(row, 9, arena, &request.state));
    *ret_request = request;
    return DV_OK;
}

dv_result dv_disposal_request_find(dv_call *call, const char *id, dv_disposal_request *ret_request,
                                   dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT " REQUEST_COLUMNS " FROM data_disposal_request WHERE id = ?2",
                          "it", call->now, id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result,
                            "there is no request for a disposal %s: see `dvara data disposal "
                            "requests`",
                            id);
    }
    DV_TRY(result);
    return request_read(row, call->arena, ret_request);
}

dv_result dv_disposal_request_each(dv_call *call, const char *state, const char *before,
                                   int64_t limit, json_t *items, const char **ret_last,
                                   dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_disposal_request request;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " REQUEST_COLUMNS " FROM data_disposal_request"
                          " WHERE (?2 IS NULL OR id < ?2) AND (?3 IS NULL OR ?3 = CASE"
                          " WHEN state = 'approved' AND expires <= ?1 THEN 'expired' ELSE state"
                          " END) ORDER BY id DESC LIMIT ?4",
                          "itti", call->now, before, state, limit));
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        DV_TRY(request_read(rows, call->arena, &request));
        if (json_array_append_new(items, dv_disposal_request_json(&request)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        *ret_last = request.id;
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

json_t *dv_disposal_request_json(const dv_disposal_request *request)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "id", request->id,
                     "status", request->state, "source", request->source, "rule", request->rule,
                     "requester", request->requester, "reason", request->reason, "approvals",
                     (json_int_t)request->approvals, "files", (json_int_t)request->items, "created",
                     dv_data_time_json(request->created), "expires",
                     dv_data_time_json(request->expires));
}

/* --- what may go by it ----------------------------------------------------------------------- */

dv_result dv_disposal_request_check(const dv_disposal_request *request, dv_error *error)
{
    if (strcmp(request->state, "approved") == 0) {
        return DV_OK;
    }
    const char *what = strcmp(request->state, "pending") == 0
                           ? "it waits for an answer: `dvara data disposal approve`, by another "
                             "person"
                       : strcmp(request->state, "used") == 0
                           ? "all that it lists has been in a run: ask for the rest anew"
                           : "ask anew: `dvara data disposal request`";
    return dv_error_set(error, DV_ERR_CONFLICT, "the request %s is %s; %s", request->id,
                        request->state, what);
}

dv_result dv_disposal_terms(dv_arena *arena, const dv_disposal_rule *rule, const char **ret_terms)
{
    json_t *json = dv_disposal_rule_json(rule);
    dv_auto(free) char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    json_decref(json);
    *ret_terms = text == NULL ? NULL : dv_arena_printf(arena, "%s", text);
    return *ret_terms != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* What is wrong with what is due now, by what was asked for and answered; "": nothing. */
static dv_result approval_why(const dv_call *call, dv_arena *arena, const dv_disposal_claim *claim,
                              const dv_disposal_request *request, const dv_disposal_judgement *j,
                              const char **ret_why)
{
    const char *terms = NULL;
    if (request == NULL) {
        *ret_why = j->approvals > 0 ? "it needs an approval by now" : "";
        return DV_OK;
    }
    DV_TRY(dv_disposal_terms(arena, j->rule, &terms));
    bool living = strcmp(request->state, "approved") == 0 || strcmp(request->state, "used") == 0;
    *ret_why = !living || request->expires <= call->now ? "its approval is over"
               : strcmp(terms, claim->terms) != 0 ? "its rule is another than when it was asked for"
               : j->approvals > request->approvals ? "it needs more approvals by now"
                                                   : "";
    return DV_OK;
}

/* What is wrong with a table's rows that were due: the rule of now may keep them. */
static const char *rows_why(const dv_disposal_claim *claim, const dv_disposal_judgement *j)
{
    if (claim->before == 0) {
        return j->before == 0 ? "" : "it was a file";
    }
    return j->before == 0 || claim->before > j->before ? "its rows are kept longer by now"
           : claim->column != NULL && strcmp(claim->column, j->rule->column) != 0
               ? "its rule names another column by now"
               : "";
}

dv_result dv_disposal_look(dv_call *call, dv_arena *arena, const dv_disposal_claim *claim,
                           const dv_disposal_request *request, dv_disposal_now *ret_now,
                           dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_disposal_now now = {.why = "the inventory does not know it any more"};
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT " DV_DISPOSAL_ASSET_COLUMNS " FROM data_asset WHERE id = ?1", "t",
                          claim->asset));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        *ret_now = now;
        return DV_OK;
    }
    DV_TRY(result);
    DV_TRY(dv_disposal_asset_read(row, arena, &now.asset));
    /* A scan misses what a run that was killed had renamed. */
    now.asset.gone = now.asset.gone && !claim->ready;
    DV_TRY(dv_disposal_judge(call->services, arena, call->now, &now.asset, &now.j, error));
    now.there = true;
    now.why = now.j.standing == DV_DISPOSAL_WAITS          ? now.j.why
              : now.j.standing == DV_DISPOSAL_LATER        ? "its time is not over any more"
              : now.asset.gone                             ? "it is gone"
              : now.j.standing == DV_DISPOSAL_NO_RULE      ? "no rule is for it any more"
              : strcmp(now.asset.stamp, claim->stamp) != 0 ? "it changed, and was scanned again"
                                                           : "";
    now.why = now.why[0] == '\0' ? rows_why(claim, &now.j) : now.why;
    if (now.why[0] == '\0') {
        DV_TRY(approval_why(call, arena, claim, request, &now.j, &now.why));
    }
    *ret_now = now;
    return DV_OK;
}

/* --- runs of it ------------------------------------------------------------------------------ */

dv_result dv_disposal_request_claim(dv_call *call, const char *request, const char *asset,
                                    dv_disposal_claim *claim, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    claim->terms = "";
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT terms FROM data_disposal_request_item"
                          " WHERE asset = ?1 AND request = ?2",
                          "tt", asset, request));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    return dv_data_column_copy(row, 0, call->arena, &claim->terms);
}

dv_result dv_disposal_request_use(dv_call *call, const dv_disposal_request *request,
                                  const char *run, int64_t items, dv_error *error)
{
    json_t *change =
        json_pack("{s:s, s:s, s:I}", "step", "run", "run", run, "files", (json_int_t)items);
    dv_result result = change == NULL ? DV_ERR_NO_MEMORY
                                      : dv_audit_entity(call, DV_ENTITY_UPDATE, DV_DISPOSAL_CASE,
                                                        request->id, NULL, change, error);
    json_decref(change);
    DV_TRY(result);
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_request SET state = 'used' WHERE id = ?1"
                        " AND state = 'approved' AND NOT EXISTS (SELECT 1 FROM"
                        " data_disposal_request_item WHERE request = ?1 AND run = '')",
                        "t", request->id);
}

dv_result dv_disposal_request_give_back(dv_call *call, const char *request, const char *asset,
                                        const char *run, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_request_item SET run = '' WHERE request = ?1"
                        " AND asset = ?2 AND run = ?3",
                        "ttt", request, asset, run));
    return dv_store_changes(call->services->store) == 0
               ? DV_OK
               : dv_store_run(call->services->store, error,
                              "UPDATE data_disposal_request SET state = 'approved' WHERE id = ?1"
                              " AND state = 'used'",
                              "t", request);
}

/* --- when it is needed no more --------------------------------------------------------------- */

/* A certificate names who approved, and is written when its run ends. */
dv_result dv_disposal_request_closed(dv_call *call, const char *id, dv_time *ret_over,
                                     const char **ret_needed, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    *ret_over = 0;
    *ret_needed = "";
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT r.state, r.expires, EXISTS (SELECT 1 FROM data_disposal d WHERE"
                          " d.approval = r.id AND d.state <> 'finished')"
                          " FROM data_disposal_request r WHERE r.id = ?1",
                          "t", id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK;
    }
    DV_TRY(result);
    bool open = dv_slice_eq_str(dv_column_slice(row, 0), "pending");
    *ret_over = dv_column_int(row, 1);
    *ret_needed = dv_column_int(row, 2) != 0 ? "a disposal by it is not finished"
                  : open                     ? "it waits for an answer"
                                             : "";
    return DV_OK;
}

dv_result dv_disposal_request_remove(dv_call *call, const char *id, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "DELETE FROM data_disposal_request_item WHERE request = ?1", "t", id));
    return dv_store_run(call->services->store, error,
                        "DELETE FROM data_disposal_request WHERE id = ?1", "t", id);
}
