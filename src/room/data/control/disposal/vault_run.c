/* SPDX-License-Identifier: Apache-2.0 */
/* Entries of vaults: which are due, runs, and their certificates (disposal.h). */
#include "room/data/control/disposal/disposal.h"

#include "api/operations.h"
#include "room/data/control/vaults.h"

#include <sys/stat.h>

static const char scheme[] = "vault://";

bool dv_disposal_is_vault(const dv_disposal_run *run)
{
    return strncmp(run->source, scheme, sizeof(scheme) - 1) == 0;
}

/* NULL where it is 0. A new reference. */
/* --- which there are ------------------------------------------------------------------------- */

/* "" where none is under way. */
static dv_result find_open(dv_call *call, const char *vault, const char **ret_id, dv_error *error)
{
    dv_disposal_run run = {.id = ""};
    const char *source = dv_arena_printf(call->arena, "%s%s", scheme, vault);
    DV_TRY(source == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    dv_result result = dv_disposal_run_open(call, source, &run, error);
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    *ret_id = run.id;
    return DV_OK;
}

static json_t *vault_json(const dv_call *call, const dv_data_vault *vault, const char *run)
{
    const dv_disposal_rules *rules = call->services->disposal_rules;
    const dv_kept_rule *rule =
        dv_kept_rule_for(dv_disposal_kept(rules), DV_KEPT_VAULTS, vault->name);
    struct stat about;
    return json_pack("{s:s, s:s, s:b, s:s?, s:s?, s:o, s:s?, s:s}", "name", vault->name, "file",
                     vault->file, "there", (int)(stat(vault->file, &about) == 0), "rule",
                     rule != NULL ? rule->name : NULL, "keep", rule != NULL ? rule->kept : NULL,
                     "made_before", dv_data_time_json(dv_kept_cutoff(rule, call->now)), "hold",
                     dv_disposal_held(rules, DV_KEPT_VAULTS, vault->name), "run", run);
}

dv_result dv_op_data_disposal_vaults(dv_call *call, dv_error *error)
{
    const char *run = NULL;
    dv_data_vaults *vaults = call->services->vaults;
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY);
    for (size_t i = 0; i < dv_data_vault_count(vaults); i++) {
        const dv_data_vault *vault = dv_data_vault_at(vaults, i);
        if (vault->file[0] == '\0') {
            continue; /* nothing is kept */
        }
        DV_TRY(find_open(call, vault->name, &run, error));
        if (json_array_append_new(items, vault_json(call, vault, run)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

static bool is_vault_known(const dv_call *call, const char *name)
{
    return dv_data_vault_find_file(call->services->vaults, name) != NULL;
}

/* Vaults that data_vaults does not name: a rule for them does nothing, and a hold keeps nothing. */
static dv_result unknown_vaults(const dv_call *call, const dv_kept_rule *rule, json_t *unknown)
{
    for (size_t i = 0; rule->kind == DV_KEPT_VAULTS && i < rule->count; i++) {
        if (!is_vault_known(call, rule->things[i]) &&
            json_array_append_new(unknown, json_sprintf("%s%s", scheme, rule->things[i])) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

dv_result dv_disposal_kept_tell(const dv_call *call, json_t *items)
{
    const dv_kept_rules *rules = dv_disposal_kept(call->services->disposal_rules);
    for (size_t i = 0; i < rules->count; i++) {
        json_t *one = dv_kept_rule_json(&rules->items[i]), *unknown = json_array();
        if (json_array_append_new(items, one) != 0 ||
            json_object_set_new(one, "unknown_sources", unknown) != 0) {
            return DV_ERR_NO_MEMORY;
        }
        DV_TRY(unknown_vaults(call, &rules->items[i], unknown));
    }
    return DV_OK;
}

/* --- whether it may ----------------------------------------------------------------------------
 */

static dv_result check_held(const dv_call *call, const char *vault, dv_error *error)
{
    const char *hold = dv_disposal_held(call->services->disposal_rules, DV_KEPT_VAULTS, vault);
    return hold == NULL ? DV_OK
                        : dv_error_set(error, DV_ERR_CONFLICT, "the hold %s keeps the vault %s",
                                       hold, vault);
}

/* What is not newer than *ret_cutoff goes by its age now. */
static dv_result find_cutoff(const dv_call *call, const char *vault, const dv_kept_rule **ret_rule,
                             dv_time *ret_cutoff, dv_error *error)
{
    const dv_kept_rule *rule =
        dv_kept_rule_for(dv_disposal_kept(call->services->disposal_rules), DV_KEPT_VAULTS, vault);
    dv_time cutoff = dv_kept_cutoff(rule, call->now);
    if (cutoff == 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            rule == NULL ? "no rule of data_retention is for the vault %s"
                                         : "the entries of the vault %s are kept for ever",
                            vault);
    }
    DV_TRY(dv_disposal_check_clock(call, error));
    *ret_rule = rule;
    *ret_cutoff = cutoff;
    return DV_OK;
}

/* --- it begins ------------------------------------------------------------------------------- */

typedef struct vault_run {
    const char *vault;
    bool forget;
    dv_time cutoff;
    const char *state;
    int64_t entries;
    int64_t remaining;
    dv_time oldest;
    dv_time newest;
    bool checked;
    const char *why;
} vault_run;

static json_t *run_json(const dv_disposal_run *run, const vault_run *v, bool earlier)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:b, s:o, s:s, s:s, s:b}", "id", run->id, "state",
                     run->state, "started", dv_data_time_json(run->started), "vault", v->vault,
                     "forget", (int)v->forget, "made_before", dv_data_time_json(v->cutoff),
                     "outcome", v->state, "why", v->why, "earlier", (int)earlier);
}

static dv_result run_read(dv_call *call, const char *id, vault_run *ret_run, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT vault, forget, cutoff, state, entries, remaining, oldest, newest,"
                          " checked, why FROM data_disposal_vault WHERE run = ?1",
                          "t", id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "the disposal %s is of no vault, or has ended", id);
    }
    DV_TRY(result);
    vault_run run = {.forget = dv_column_int(row, 1) != 0,
                     .cutoff = dv_column_int(row, 2),
                     .entries = dv_column_int(row, 4),
                     .remaining = dv_column_int(row, 5),
                     .oldest = dv_column_int(row, 6),
                     .newest = dv_column_int(row, 7),
                     .checked = dv_column_int(row, 8) != 0};
    DV_TRY(dv_data_column_copy(row, 0, call->arena, &run.vault));
    DV_TRY(dv_data_column_copy(row, 3, call->arena, &run.state));
    DV_TRY(dv_data_column_copy(row, 9, call->arena, &run.why));
    *ret_run = run;
    return DV_OK;
}

static dv_result rule_text(dv_call *call, const dv_kept_rule *rule, const char **ret_text)
{
    json_t *list = rule == NULL ? json_array() : json_pack("[o]", dv_kept_rule_json(rule));
    dv_auto(free) char *text = list == NULL ? NULL : json_dumps(list, JSON_COMPACT);
    json_decref(list);
    *ret_text = text == NULL ? NULL : dv_arena_printf(call->arena, "%s", text);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result answer_earlier(dv_call *call, const dv_disposal_run *run, dv_error *error)
{
    vault_run v = {.state = "", .why = "", .vault = ""};
    if (strcmp(run->state, "running") == 0) {
        DV_TRY(run_read(call, run->id, &v, error));
    }
    call->answer = run_json(run, &v, true);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result insert(dv_call *call, const dv_disposal_run *run, const vault_run *v,
                        dv_error *error)
{
    DV_TRY(dv_disposal_run_insert(call, run, error));
    return dv_store_run(call->services->store, error,
                        "INSERT INTO data_disposal_vault (run, vault, forget, cutoff, state,"
                        " entries, remaining, oldest, newest, checked, why, at) VALUES"
                        " (?1, ?2, ?3, ?4, 'planned', 0, 0, 0, 0, 0, '', ?5)",
                        "ttiii", run->id, v->vault, (int64_t)v->forget, v->cutoff, call->now);
}

/* One that has not ended is told first: who has the vault knows what became of it. */
static dv_result begin(dv_call *call, dv_error *error)
{
    char id[DV_DATA_ID_MAX];
    const dv_kept_rule *rule = NULL;
    const dv_data_vault *vault =
        dv_data_vault_find_file(call->services->vaults, dv_call_param(call, "name"));
    if (vault == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND,
                            "data_vaults: of dvara.yaml has no vault %s with a file",
                            dv_call_param(call, "name"));
    }
    dv_disposal_run run = {
        .id = id,
        .source = dv_arena_printf(call->arena, "%s%s", scheme, vault->name),
        .state = "running",
        .approval = "",
        .items = json_integer_value(json_object_get(call->body, "entries")),
    };
    vault_run v = {.vault = vault->name,
                   .forget = json_is_true(json_object_get(call->body, "forget")),
                   .state = "planned",
                   .why = ""};
    DV_TRY(run.source == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    dv_result result = dv_disposal_run_open(call, run.source, &run, error);
    if (result != DV_ERR_NOT_FOUND) {
        return result != DV_OK ? result : answer_earlier(call, &run, error);
    }
    DV_TRY(check_held(call, vault->name, error));
    DV_TRY(v.forget ? DV_OK : find_cutoff(call, vault->name, &rule, &v.cutoff, error));
    DV_TRY(rule_text(call, rule, &run.rules));
    dv_data_new_id(call->now, id);
    DV_TRY(insert(call, &run, &v, error));
    call->answer = run_json(&run, &v, false);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_disposal_vault_begin(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, begin, error);
}

/* --- what became of it ----------------------------------------------------------------------- */

/* What the vault itself says of the run; nothing, where it can't be read here. *ret_entries: how
 * many went, where it says yes. */
static dv_vault_word ask_vault(dv_call *call, const dv_disposal_run *run, const vault_run *v,
                               int64_t *ret_entries)
{
    dv_error unused = {0};
    const dv_vault_removal *removal = NULL;
    dv_data_vault *vault = dv_data_vault_find_file(call->services->vaults, v->vault);
    if (vault == NULL || dv_data_vault_ready(vault, &unused) != DV_OK) {
        return DV_VAULT_SAYS_NOTHING;
    }
    dv_vault_word says = dv_vault_ask(vault->open, run->id, run->started, &removal);
    *ret_entries = removal != NULL ? (int64_t)removal->entries : *ret_entries;
    return says;
}

static dv_result set_state(dv_call *call, const char *run, const char *state, bool checked,
                           const char *why, dv_error *error)
{
    return dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_vault SET state = ?2, checked = ?3, why = ?4, at = ?5"
                        " WHERE run = ?1",
                        "ttiti", run, state, (int64_t)checked, why, call->now);
}

/* It ended so. Where the vault says how many went, that counts. */
static dv_result set_end(dv_call *call, const char *run, const char *state, bool checked,
                         int64_t entries, const char *why, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_vault SET entries = ?2 WHERE run = ?1", "ti", run,
                        entries));
    return set_state(call, run, state, checked, why, error);
}

/* Whether it still may go: "" or why not. Errors: the clock. */
static dv_result still_due(dv_call *call, const vault_run *v, const char **ret_why, dv_error *error)
{
    const dv_disposal_rules *rules = call->services->disposal_rules;
    const char *hold = dv_disposal_held(rules, DV_KEPT_VAULTS, v->vault);
    const dv_kept_rule *rule = dv_kept_rule_for(dv_disposal_kept(rules), DV_KEPT_VAULTS, v->vault);
    *ret_why = "";
    if (hold != NULL) {
        *ret_why = dv_arena_printf(call->arena, "the hold %s keeps it", hold);
        return *ret_why != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    }
    if (v->forget) {
        return DV_OK;
    }
    DV_TRY(dv_disposal_check_clock(call, error));
    *ret_why = dv_kept_cutoff(rule, call->now) < v->cutoff ? "its time is not over any more" : "";
    return DV_OK;
}

static dv_time told_time(const dv_call *call, const char *field)
{
    dv_time time = 0;
    const char *text = dv_call_field(call, field);
    return text != NULL && dv_time_parse(dv_slice_str(text), &time) == DV_OK ? time : 0;
}

static int64_t told_count(const dv_call *call, const char *field)
{
    return json_integer_value(json_object_get(call->body, field));
}

/* Up to when entries go in truth, which may be less than they might: who removes them asked a
 * little earlier. */
static dv_result told_cutoff(dv_call *call, const vault_run *v, dv_time *ret_cutoff,
                             dv_error *error)
{
    dv_time told = 0;
    const char *text = dv_call_field(call, "made_before");
    *ret_cutoff = v->cutoff;
    if (text == NULL) {
        return DV_OK;
    }
    if (v->forget || dv_time_parse(dv_slice_str(text), &told) != DV_OK || told <= 0) {
        return dv_call_invalid(call, "made_before", error,
                               v->forget ? "what is asked for goes by no time"
                                         : "it is no time such as 2026-01-31T12:00:00Z");
    }
    *ret_cutoff = told;
    return told <= v->cutoff ? DV_OK
                             : dv_error_set(error, DV_ERR_CONFLICT,
                                            "the run goes up to an earlier time, and what was made "
                                            "later stays");
}

static dv_result tell_ready(dv_call *call, const char *run, const vault_run *v, dv_error *error)
{
    const char *why = NULL;
    dv_time cutoff = 0;
    DV_TRY(told_cutoff(call, v, &cutoff, error));
    DV_TRY(still_due(call, v, &why, error));
    if (why[0] != '\0') {
        return set_state(call, run, "kept", false, why, error);
    }
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_disposal_vault SET entries = ?2, remaining = ?3, oldest = ?4,"
                        " newest = ?5, cutoff = ?6 WHERE run = ?1",
                        "tiiiii", run, told_count(call, "entries"), told_count(call, "remaining"),
                        told_time(call, "oldest"), told_time(call, "newest"), cutoff));
    return set_state(call, run, "ready", false, "", error);
}

static dv_result tell_end(dv_call *call, const dv_disposal_run *run, const vault_run *v,
                          const char *state, dv_error *error)
{
    int64_t entries = v->entries;
    dv_vault_word says = ask_vault(call, run, v, &entries);
    bool destroyed = strcmp(state, "destroyed") == 0;
    if (destroyed && strcmp(v->state, "ready") != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the vault was not ready");
    }
    bool known = says != DV_VAULT_SAYS_NOTHING;
    if (known && (says == DV_VAULT_SAYS_YES) != destroyed) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the vault %s itself says that its entries were %s", v->vault,
                            destroyed ? "not removed" : "removed");
    }
    const char *why = dv_call_field(call, "why");
    return set_end(call, run->id, state, known, entries, why != NULL ? why : "", error);
}

static bool is_open(const vault_run *v)
{
    return strcmp(v->state, "planned") == 0 || strcmp(v->state, "ready") == 0;
}

static dv_result tell(dv_call *call, dv_error *error)
{
    dv_disposal_run run;
    vault_run v;
    const char *state = dv_call_field(call, "state");
    DV_TRY(dv_disposal_run_find(call, dv_call_param(call, "id"), &run, error));
    DV_TRY(run_read(call, run.id, &v, error));
    if (!is_open(&v) && strcmp(v.state, state) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the vault's entries are %s and can't become %s", v.state, state);
    }
    if (is_open(&v)) {
        DV_TRY(strcmp(state, "ready") == 0 ? tell_ready(call, run.id, &v, error)
                                           : tell_end(call, &run, &v, state, error));
        DV_TRY(run_read(call, run.id, &v, error));
    }
    call->answer = run_json(&run, &v, false);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_disposal_vault_tell(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, tell, error);
}

/* --- it ends --------------------------------------------------------------------------------- */

static const char method[] =
    "rewrite: the vault was written anew without the entries, and the new file took the old one's "
    "name. The old file was unlinked, not overwritten: disks, file systems that copy on write, "
    "snapshots and backups may keep its blocks, in which the values are sealed under the vault's "
    "key.";

static json_t *document(dv_call *call, const dv_disposal_run *run, const vault_run *v)
{
    bool gone = strcmp(v->state, "destroyed") == 0;
    return json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:I, s:o, s:o, s:o, s:s,"
        " s:s, s:b}",
        "type", "dvara certificate of destruction", "version", 2, "of", "vault", "id", run->id,
        "vault", v->vault, "because", v->forget ? "asked for" : "its time is over", "ordered_by",
        run->caller, "carried_out_by", call->caller, "started", dv_data_time_json(run->started),
        "finished", dv_data_time_json(call->now), "method", method, "rules",
        json_loads(run->rules, 0, NULL), "made_before", dv_data_time_json(v->cutoff), "destroyed",
        (json_int_t)(gone ? v->entries : 0), "remaining",
        gone ? json_integer(v->remaining) : json_null(), "oldest",
        gone ? dv_data_time_json(v->oldest) : json_null(), "newest",
        gone ? dv_data_time_json(v->newest) : json_null(), "outcome", v->state, "why", v->why,
        "seen_by_dvarad", (int)v->checked);
}

/* What nobody goes on with: the vault may say that it was done. That it says nothing of it yet is
 * no proof: whoever was told "ready" may still exchange the files, or another removal came after.
 */
static dv_result give_up(dv_call *call, const dv_disposal_run *run, vault_run *v, dv_error *error)
{
    int64_t entries = v->entries;
    bool ready = strcmp(v->state, "ready") == 0;
    bool done = ready && ask_vault(call, run, v, &entries) == DV_VAULT_SAYS_YES;
    const char *state = done ? "destroyed" : ready ? "unknown" : "not_done";
    DV_TRY(set_end(call, run->id, state, done, entries, "the run was given up", error));
    return run_read(call, run->id, v, error);
}

dv_result dv_disposal_vault_close(dv_call *call, const dv_disposal_run *run, bool abandon,
                                  char **ret_text, int64_t *ret_destroyed, dv_error *error)
{
    vault_run v;
    DV_TRY(run_read(call, run->id, &v, error));
    if (is_open(&v) && !abandon) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the vault %s is open: `dvara data disposal run --vault %s` goes on "
                            "where it is, --abandon gives it up",
                            v.vault, v.vault);
    }
    DV_TRY(is_open(&v) ? give_up(call, run, &v, error) : DV_OK);
    json_t *whole = document(call, run, &v);
    char *text = whole == NULL ? NULL : json_dumps(whole, JSON_INDENT(1));
    json_decref(whole);
    DV_TRY(text == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    dv_result result = dv_store_run(call->services->store, error,
                                    "DELETE FROM data_disposal_vault WHERE run = ?1", "t", run->id);
    if (result != DV_OK) {
        free(text);
        return result;
    }
    *ret_text = text;
    *ret_destroyed = strcmp(v.state, "destroyed") == 0 ? v.entries : 0;
    return DV_OK;
}
