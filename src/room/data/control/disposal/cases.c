/* SPDX-License-Identifier: Apache-2.0 */
/* Closed cases that go when their time is over (disposal.h). */
#include "room/data/control/data_control.h"
#include "room/data/control/disposal/disposal.h"

#include "api/operations.h"
#include "base/clock.h"
#include "engine/case/case.h"
#include "room/data/control/access/access.h"

/* A round ends with whichever comes first, so that nobody waits for long. */
enum { ROUND_CASES = 100, ROUND_ROWS = 10000, ROUND_LOOKS = 2000, PAGE = 64 };

static const char source[] = "cases://";
static const dv_time between_passes = 3600 * DV_SECOND;

/* Where a pass over all cases is: the type, and the last case that was looked at. */
typedef struct place {
    size_t type;
    dv_case_closed after;
} place;

struct dv_case_disposal {
    dv_time next; /* monotonic */
    place at;
    bool more;     /* the pass has not come to its end */
    bool unwashed; /* what went may stand in the store's log yet */
};

dv_result dv_case_disposal_new(dv_case_disposal **ret_disposal)
{
    *ret_disposal = calloc(1, sizeof(**ret_disposal));
    return *ret_disposal != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

void dv_case_disposal_free(dv_case_disposal *disposal)
{
    free(disposal);
}

bool dv_disposal_is_cases(const dv_disposal_run *run)
{
    return strcmp(run->source, source) == 0;
}

/* --- one case -------------------------------------------------------------------------------- */

typedef struct judgement {
    dv_time closed;
    bool over;       /* its time is */
    const char *why; /* something keeps it; "": nothing does */
} judgement;

static dv_result judge_request(dv_call *call, const char *id, judgement *j, dv_error *error)
{
    dv_time ended = 0;
    DV_TRY(dv_data_request_closed(call, id, &ended, &j->why, error));
    j->closed = DV_MAX(j->closed, ended);
    return DV_OK;
}

/* The next periodic review is counted from the newest of dvarad's own. */
static dv_result judge_review(dv_call *call, const char *id, judgement *j, dv_error *error)
{
    bool newest = true;
    DV_TRY(dv_case_is_newest(call, id, "System::\"dvarad\"", &newest, error));
    j->why = newest ? "the next review is counted from it" : "";
    return DV_OK;
}

/* By what was approved something may go until that is over. */
static dv_result judge_disposal(dv_call *call, const char *id, judgement *j, dv_error *error)
{
    dv_time over = 0;
    DV_TRY(dv_disposal_request_closed(call, id, &over, &j->why, error));
    j->closed = DV_MAX(j->closed, over);
    return DV_OK;
}

static dv_result judge(dv_call *call, const char *type, dv_time cutoff, const dv_case_closed *c,
                       judgement *out, dv_error *error)
{
    bool needed = true;
    judgement j = {.closed = c->ended, .why = ""};
    DV_TRY(strcmp(type, DV_DATA_ACCESS_CASE) == 0   ? judge_request(call, c->id, &j, error)
           : strcmp(type, DV_DATA_REVIEW_CASE) == 0 ? judge_review(call, c->id, &j, error)
           : strcmp(type, DV_DISPOSAL_CASE) == 0    ? judge_disposal(call, c->id, &j, error)
                                                    : DV_OK);
    DV_TRY(dv_case_is_object(call, c->id, &needed, error));
    j.why = needed && j.why[0] == '\0' ? "a review of it is open" : j.why;
    j.over = j.closed <= cutoff;
    *out = j;
    return DV_OK;
}

/* "" where no hold keeps cases of the type. */
static dv_result hold_text(dv_call *call, const char *type, const char **ret_why)
{
    const char *hold = dv_disposal_held(call->services->disposal_rules, DV_KEPT_CASES, type);
    *ret_why = hold == NULL ? "" : dv_arena_printf(call->arena, "the hold %s keeps it", hold);
    return *ret_why != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* --- all of them ----------------------------------------------------------------------------- */

typedef struct seen_case {
    const char *type;
    const dv_kept_rule *rule;
    const dv_case_closed *closed;
    judgement judgement;
} seen_case;

/* Sets *ret_full where the round has enough. */
typedef dv_result (*on_case)(dv_call *call, void *data, const seen_case *seen, bool *ret_full,
                             dv_error *error);

typedef struct walk {
    place *at;
    size_t looks; /* that are left */
    bool full;
    on_case each;
    void *data;
} walk;

/* A page of one type; *ret_end: there is no more of it. */
static dv_result walk_page(dv_call *call, walk *w, const char *type, const dv_kept_rule *rule,
                           dv_time cutoff, bool *ret_end, dv_error *error)
{
    dv_case_closed page[PAGE];
    size_t count = 0;
    const char *held = NULL;
    DV_TRY(hold_text(call, type, &held));
    DV_TRY(dv_case_closed_list(call, type, cutoff, &w->at->after, page, PAGE, &count, error));
    for (size_t i = 0; i < count && !w->full && w->looks > 0; i++) {
        seen_case seen = {.type = type, .rule = rule, .closed = &page[i]};
        DV_TRY(judge(call, type, cutoff, &page[i], &seen.judgement, error));
        seen.judgement.why = held[0] != '\0' ? held : seen.judgement.why;
        DV_TRY(w->each(call, w->data, &seen, &w->full, error));
        w->at->after = page[i];
        w->looks--;
    }
    *ret_end = count < PAGE && !w->full && w->looks > 0;
    return DV_OK;
}

/* Goes on at the place, which it moves. *ret_more: it did not come to the end. */
static dv_result walk_on(dv_call *call, walk *w, bool *ret_more, dv_error *error)
{
    const dv_kept_rules *rules = dv_disposal_kept(call->services->disposal_rules);
    while (w->at->type < dv_kept_case_count() && !w->full && w->looks > 0) {
        const char *type = dv_kept_case_at(w->at->type);
        const dv_kept_rule *rule = dv_kept_rule_for(rules, DV_KEPT_CASES, type);
        dv_time cutoff = dv_kept_cutoff(rule, call->now);
        bool end = cutoff == 0;
        DV_TRY(end ? DV_OK : walk_page(call, w, type, rule, cutoff, &end, error));
        if (end) {
            *w->at = (place){.type = w->at->type + 1};
        }
    }
    *ret_more = w->at->type < dv_kept_case_count();
    return DV_OK;
}

/* --- the plan -------------------------------------------------------------------------------- */

static dv_result plan_case(dv_call *call, void *data, const seen_case *seen, bool *ret_full,
                           dv_error *error)
{
    json_t *items = data;
    const judgement *j = &seen->judgement;
    (void)error;
    if (!j->over) {
        return DV_OK;
    }
    json_t *item =
        json_pack("{s:s, s:s, s:s, s:o, s:s, s:s}", "status", j->why[0] == '\0' ? "due" : "waits",
                  "case", seen->closed->id, "type", seen->type, "closed",
                  dv_data_time_json(j->closed), "rule", seen->rule->name, "why", j->why);
    DV_TRY(json_array_append_new(items, item) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
    *ret_full = json_array_size(items) >=
                (size_t)json_integer_value(json_object_get(call->params, "limit"));
    return DV_OK;
}

/* "TYPE.ENDED.ID" */
static dv_result cursor_read(dv_call *call, place *ret_at, dv_error *error)
{
    const char *cursor = dv_call_param(call, "cursor");
    char *end = NULL;
    *ret_at = (place){.type = 0};
    if (cursor == NULL) {
        return DV_OK;
    }
    ret_at->type = strtoul(cursor, &end, 10);
    ret_at->after.ended = *end == '.' ? strtoll(end + 1, &end, 10) : 0;
    if (*end != '.') {
        return dv_call_invalid(call, "cursor", error, "the cursor is none of ours");
    }
    dv_slice_copy(dv_slice_str(end + 1), ret_at->after.id, sizeof(ret_at->after.id));
    return DV_OK;
}

dv_result dv_op_data_disposal_cases(dv_call *call, dv_error *error)
{
    place at;
    bool more = false;
    json_t *items = json_array();
    walk w = {.at = &at, .looks = ROUND_LOOKS, .each = plan_case, .data = items};
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY);
    DV_TRY(cursor_read(call, &at, error));
    DV_TRY(walk_on(call, &w, &more, error));
    json_t *next =
        !more ? NULL : json_sprintf("%zu.%lld.%s", at.type, (long long)at.after.ended, at.after.id);
    return !more || json_object_set_new(call->answer, "next", next) == 0 ? DV_OK : DV_ERR_NO_MEMORY;
}

/* --- a run begins ---------------------------------------------------------------------------- */

typedef struct gathering {
    char run[DV_DATA_ID_MAX];
    int64_t count;
    size_t rows;
} gathering;

/* The clock is asked once there is something that would go by it. */
static dv_result gather(dv_call *call, void *data, const seen_case *seen, bool *ret_full,
                        dv_error *error)
{
    gathering *g = data;
    size_t rows = 0;
    if (!seen->judgement.over || seen->judgement.why[0] != '\0') {
        return DV_OK;
    }
    DV_TRY(g->count == 0 ? dv_disposal_check_clock(call, error) : DV_OK);
    DV_TRY(dv_case_size(call, seen->closed->id, &rows, error));
    g->rows += rows;
    *ret_full = g->count + 1 >= ROUND_CASES || g->rows >= ROUND_ROWS;
    return dv_store_run(call->services->store, error,
                        "INSERT INTO data_disposal_case (run, n, id, type, rule, closed)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                        "tittti", g->run, g->count++, seen->closed->id, seen->type,
                        seen->rule->name, seen->judgement.closed);
}

/* Those of cases, as the certificate tells them. */
static dv_result rules_text(dv_call *call, const char **ret_text)
{
    const dv_kept_rules *rules = dv_disposal_kept(call->services->disposal_rules);
    json_t *list = json_array();
    for (size_t i = 0; i < rules->count; i++) {
        const dv_kept_rule *rule = &rules->items[i];
        if (rule->kind == DV_KEPT_CASES && !rule->hold &&
            json_array_append_new(list, dv_kept_rule_json(rule)) != 0) {
            json_decref(list);
            return DV_ERR_NO_MEMORY;
        }
    }
    dv_auto(free) char *text = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    *ret_text = text == NULL ? NULL : dv_arena_printf(call->arena, "%s", text);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result begin(dv_call *call, dv_error *error)
{
    dv_case_disposal *state = call->services->case_disposal;
    gathering g = {.count = 0};
    place at = state->at;
    walk w = {.at = &at, .looks = ROUND_LOOKS, .each = gather, .data = &g};
    dv_data_new_id(call->now, g.run);
    DV_TRY(walk_on(call, &w, &state->more, error));
    state->at = state->more ? at : (place){.type = 0};
    if (g.count == 0) {
        return DV_OK;
    }
    dv_disposal_run run = {.id = g.run, .source = source, .approval = "", .items = g.count};
    DV_TRY(rules_text(call, &run.rules));
    return dv_disposal_run_insert(call, &run, error);
}

/* --- they go --------------------------------------------------------------------------------- */

typedef struct doomed {
    char id[DV_CASE_ID_MAX];
    char type[32];
    char rule[65];
    dv_time closed;
} doomed;

/* Whether it still may: holds, rules and what needs it may have come since. */
static dv_result still_due(dv_call *call, const doomed *one, const char **ret_why, dv_error *error)
{
    const char *type = one->type, *id = one->id;
    const dv_disposal_rules *rules = call->services->disposal_rules;
    const dv_kept_rule *rule = dv_kept_rule_for(dv_disposal_kept(rules), DV_KEPT_CASES, type);
    dv_time cutoff = dv_kept_cutoff(rule, call->now);
    dv_case_closed c = {.ended = one->closed};
    judgement j;
    bool closed = false;
    *ret_why = "it is not there any more";
    DV_TRY(dv_case_is_closed(call, id, &closed, error));
    if (!closed) {
        return DV_OK;
    }
    dv_slice_copy(dv_slice_str(id), c.id, sizeof(c.id));
    DV_TRY(judge(call, type, cutoff, &c, &j, error));
    DV_TRY(hold_text(call, type, ret_why));
    if ((*ret_why)[0] == '\0') {
        *ret_why = rule == NULL             ? "no rule is for it any more"
                   : cutoff == 0 || !j.over ? "its time is not over any more"
                                            : j.why;
    }
    return DV_OK;
}

static dv_result remove_case(dv_call *call, const char *type, const char *id, dv_error *error)
{
    DV_TRY(strcmp(type, DV_DATA_ACCESS_CASE) == 0 ? dv_data_request_remove(call, id, error)
           : strcmp(type, DV_DISPOSAL_CASE) == 0  ? dv_disposal_request_remove(call, id, error)
                                                  : DV_OK);
    return dv_case_remove(call, id, error);
}

static dv_result read_cases(dv_call *call, const char *run, doomed *cases, size_t *ret_count,
                            dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_result result = DV_OK;
    size_t count = 0;
    DV_TRY(dv_store_query(
        call->services->store, &rows, error,
        "SELECT id, type, rule, closed FROM data_disposal_case WHERE run = ?1 ORDER BY n", "t",
        run));
    while (count < ROUND_CASES && (result = dv_statement_step(rows, error)) == DV_OK) {
        doomed *one = &cases[count++];
        dv_slice_copy(dv_column_slice(rows, 0), one->id, sizeof(one->id));
        dv_slice_copy(dv_column_slice(rows, 1), one->type, sizeof(one->type));
        dv_slice_copy(dv_column_slice(rows, 2), one->rule, sizeof(one->rule));
        one->closed = dv_column_int(rows, 3);
    }
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_count = count;
    return DV_OK;
}

/* Removes what still is due, and appends what became of each. */
static dv_result remove_cases(dv_call *call, const char *run, json_t *items, int64_t *ret_destroyed,
                              dv_error *error)
{
    size_t count = 0;
    doomed *cases = dv_arena_alloc(call->arena, ROUND_CASES * sizeof(*cases));
    DV_TRY(cases == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(read_cases(call, run, cases, &count, error));
    for (size_t i = 0; i < count; i++) {
        const doomed *one = &cases[i];
        const char *why = NULL;
        DV_TRY(still_due(call, one, &why, error));
        bool goes = why[0] == '\0';
        DV_TRY(goes ? remove_case(call, one->type, one->id, error) : DV_OK);
        *ret_destroyed += goes;
        json_t *item = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s}", "case", one->id, "type",
                                 one->type, "closed", dv_data_time_json(one->closed), "rule",
                                 one->rule, "outcome", goes ? "destroyed" : "kept", "why", why);
        DV_TRY(json_array_append_new(items, item) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
    }
    return DV_OK;
}

static const char method[] =
    "delete: the case with its items and history, and the request, were deleted from dvarad's "
    "store. Its file is sealed under a key of its own and uses their pages again; backups hold "
    "what "
    "they held, and events of the audit log have a retention of their own.";

static dv_result document(dv_call *call, const dv_disposal_run *run, json_t *items,
                          int64_t destroyed, char **ret_text)
{
    json_t *whole =
        json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:I, s:O}", "type",
                  "dvara certificate of destruction", "version", 2, "of", "cases", "id", run->id,
                  "ordered_by", run->caller, "carried_out_by", call->caller, "started",
                  dv_data_time_json(run->started), "finished", dv_data_time_json(call->now),
                  "method", method, "rules", json_loads(run->rules, 0, NULL), "destroyed",
                  (json_int_t)destroyed, "items", items);
    *ret_text = whole == NULL ? NULL : json_dumps(whole, JSON_INDENT(1));
    json_decref(whole);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* What goes and the certificate that says so stand or fall together. */
static dv_result carry_out(dv_call *call, dv_error *error)
{
    dv_disposal_run run;
    int64_t destroyed = 0;
    dv_auto(free) char *text = NULL;
    DV_TRY(dv_disposal_run_open(call, source, &run, error));
    if (strcmp(run.state, "running") != 0) {
        return DV_OK;
    }
    json_t *items = json_array();
    dv_result result = remove_cases(call, run.id, items, &destroyed, error);
    result = result == DV_OK ? document(call, &run, items, destroyed, &text) : result;
    json_decref(items);
    DV_TRY(result);
    DV_TRY(dv_disposal_document_keep(call, run.id, text, destroyed, error));
    return dv_store_run(call->services->store, error,
                        "DELETE FROM data_disposal_case WHERE run = ?1", "t", run.id);
}

static dv_result publish(dv_call *call, dv_error *error)
{
    dv_disposal_run run;
    DV_TRY(dv_disposal_run_open(call, source, &run, error));
    return dv_disposal_publish(call, &run, error);
}

/* Deleted rows are overwritten in the store's file, but its log has them until it begins anew.
 * Tried again with the next round where somebody reads. */
static void wash(dv_call *call)
{
    dv_error unused = {0};
    dv_case_disposal *state = call->services->case_disposal;
    state->unwashed = state->unwashed && dv_store_scrub(call->services->store, &unused) != DV_OK;
}

/* One round: goes on with a run that was interrupted, or begins one if something is due. *ret_id:
 * of the run, in the arena, or NULL. */
static dv_result do_round(dv_call *call, const char **ret_id, dv_error *error)
{
    dv_disposal_run run;
    *ret_id = NULL;
    dv_result result = dv_disposal_run_open(call, source, &run, error);
    if (result == DV_ERR_NOT_FOUND) {
        DV_TRY(dv_audit_change(call, begin, error));
        result = dv_disposal_run_open(call, source, &run, error);
    }
    if (result == DV_ERR_NOT_FOUND) {
        return DV_OK; /* nothing is due */
    }
    DV_TRY(result);
    DV_TRY(dv_audit_change(call, carry_out, error));
    call->services->case_disposal->unwashed = true;
    result = dv_audit_change(call, publish, error);
    wash(call);
    DV_TRY(result);
    *ret_id = run.id;
    return DV_OK;
}

/* --- who asks for it ------------------------------------------------------------------------- */

dv_result dv_op_data_disposal_cases_run(dv_call *call, dv_error *error)
{
    dv_case_disposal *state = call->services->case_disposal;
    const char *id = NULL;
    dv_disposal_run run;
    if (!json_is_true(json_object_get(call->body, "go_on"))) {
        state->at = (place){.type = 0};
    }
    state->more = true; /* where an earlier run is ended first */
    DV_TRY(do_round(call, &id, error));
    if (id == NULL) {
        call->answer = json_pack("{s:i, s:b}", "files", 0, "more", (int)state->more);
        return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_disposal_run_find(call, id, &run, error));
    call->answer = dv_disposal_run_json(&run);
    return call->answer != NULL &&
                   json_object_set_new(call->answer, "more", json_boolean(state->more)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

static bool has_rules(const dv_services *services)
{
    const dv_kept_rules *rules = dv_disposal_kept(services->disposal_rules);
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i].kind == DV_KEPT_CASES && !rules->items[i].hold) {
            return true;
        }
    }
    return false;
}

/* One that was begun by rules that are gone ends, and keeps all. */
static dv_result has_work(dv_services *services, dv_call *call, bool *ret_has, dv_error *error)
{
    dv_disposal_run run;
    *ret_has = true;
    if (has_rules(services)) {
        return DV_OK;
    }
    dv_result result = dv_disposal_run_open(call, source, &run, error);
    *ret_has = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Whatever a round is called by, an error waits as long as the end of a pass. */
static dv_result tick(dv_call *call, dv_case_disposal *state, dv_error *error)
{
    const char *id = NULL;
    bool has = false;
    dv_time now = dv_time_monotonic();
    DV_TRY(has_work(call->services, call, &has, error));
    if (!has) {
        return DV_OK;
    }
    state->next = now + between_passes;
    state->more = true;
    dv_result result = do_round(call, &id, error);
    if (result == DV_OK && state->more) {
        state->next = now;
    }
    return result;
}

dv_result dv_case_disposal_tick(dv_services *services, dv_error *error)
{
    dv_call call;
    dv_case_disposal *state = services->case_disposal;
    if (dv_time_monotonic() < state->next) {
        return DV_OK;
    }
    DV_TRY(dv_call_system(services, &call));
    dv_result result = tick(&call, state, error);
    wash(&call);
    dv_call_system_end(&call);
    return result;
}
