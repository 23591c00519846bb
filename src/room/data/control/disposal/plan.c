/* SPDX-License-Identifier: Apache-2.0 */
/* Which files' time is over, and what keeps them all the same. */
#include "room/data/control/disposal/disposal.h"

#include "api/operations.h"
#include "engine/scan/remove.h"

enum { LOOKED_MAX = 20000 /* rows that one page looks at */ };

static const char keep_label[] = "keep";

/* --- one file -------------------------------------------------------------------------------- */

enum column {
    ID,
    SOURCE,
    NAME,
    STAMP,
    CATEGORIES,
    LABELS,
    LEVEL,
    SIZE,
    MODIFIED,
    FIRST_SEEN,
    KIND,
    OWNED,
    PARTLY,
    LABELLED,
    GONE,
};

dv_result dv_disposal_asset_read(dv_statement *row, dv_arena *arena, dv_disposal_asset *ret_asset)
{
    dv_slice kind = dv_column_slice(row, KIND);
    dv_disposal_asset asset = {
        .level = dv_column_int(row, LEVEL),
        .size = dv_column_int(row, SIZE),
        .modified = dv_column_int(row, MODIFIED),
        .first_seen = dv_column_int(row, FIRST_SEEN),
        .file = !dv_slice_eq_str(kind, "table") && !dv_slice_eq_str(kind, "view"),
        .table = dv_slice_eq_str(kind, "table"),
        .owned = dv_column_int(row, OWNED) != 0,
        .partly = dv_column_int(row, PARTLY) != 0,
        .labelled = dv_column_int(row, LABELLED) != 0,
        .gone = dv_column_int(row, GONE) != 0,
    };
    DV_TRY(dv_data_column_copy(row, ID, arena, &asset.id));
    DV_TRY(dv_data_column_copy(row, SOURCE, arena, &asset.source));
    DV_TRY(dv_data_column_copy(row, NAME, arena, &asset.name));
    DV_TRY(dv_data_column_copy(row, STAMP, arena, &asset.stamp));
    DV_TRY(dv_data_column_copy(row, CATEGORIES, arena, &asset.categories));
    DV_TRY(dv_data_column_copy(row, LABELS, arena, &asset.labels));
    *ret_asset = asset;
    return DV_OK;
}

static bool has_word(const char *words, const char *wanted)
{
    dv_slice word, rest = dv_slice_str(words);
    while (rest.len > 0 && dv_slice_split(&rest, ',', &word)) {
        if (dv_slice_eq_str(word, wanted)) {
            return true;
        }
    }
    return false;
}

static dv_disposal_file file_of(const dv_disposal_asset *asset)
{
    return (dv_disposal_file){.source = dv_slice_str(asset->source),
                              .name = dv_slice_str(asset->name),
                              .categories = dv_slice_str(asset->categories),
                              .labels = dv_slice_str(asset->labels),
                              .table = asset->table,
                              .level = asset->level,
                              .changed = asset->modified,
                              .seen = asset->first_seen};
}

/* Whether an earlier run gave the file this name, as a scan in between saw. */
static bool is_being_removed(const char *name)
{
    const char *last = strrchr(name, '/');
    return dv_slice_starts_with(dv_slice_str(last != NULL ? last + 1 : name),
                                DV_LIT(DV_REMOVE_GIVEN));
}

/* What keeps a file whose time is over, as this row has it; "": nothing, NULL: no memory. */
static const char *keeps(const dv_services *services, dv_arena *arena, const dv_disposal_file *file,
                         const dv_disposal_asset *asset, const dv_disposal_rule *rule)
{
    const dv_disposal_hold *hold = dv_disposal_hold_for(services->disposal_rules, file);
    if (hold != NULL) {
        return dv_arena_printf(arena, "the hold %s keeps it", hold->name);
    }
    if (has_word(asset->labels, keep_label)) {
        return "its label keep keeps it";
    }
    if (asset->file && (asset->stamp[0] == '\0' || asset->modified <= 0)) {
        return "it is not known as it is now: scan it again";
    }
    if (asset->file && is_being_removed(asset->name)) {
        return "its name is one that runs give to what they remove: `dvara data disposal run` ends "
               "an interrupted run; otherwise give it another name";
    }
    if (asset->table && asset->stamp[0] == '\0') {
        return "which table it is is not known, or two are called so: scan it again";
    }
    if (asset->table && dv_disposal_columns_differ(services->disposal_rules, file)) {
        return "several rules are for it, and they name different columns";
    }
    if (asset->partly && !asset->labelled && !rule->unread) {
        return "not all of it was read: somebody has to label it";
    }
    return !asset->owned && !rule->unowned ? "nobody owns it" : "";
}

/* By this row alone. */
static dv_result judge_row(const dv_services *services, dv_arena *arena, dv_time now,
                           const dv_disposal_asset *asset, dv_disposal_judgement *out)
{
    const dv_disposal_file file = file_of(asset);
    *out = (dv_disposal_judgement){.why = "", .due = DV_TIME_NEVER};
    if ((!asset->file && !asset->table) || asset->gone) {
        return DV_OK;
    }
    out->rule = dv_disposal_rule_for(services->disposal_rules, &file);
    if (out->rule == NULL) {
        return DV_OK;
    }
    if (asset->table) { /* it always has rows that are old, or may have */
        out->before = out->rule->keep < now ? now - out->rule->keep : 0;
        out->due = out->before > 0 ? now : DV_TIME_NEVER;
    } else {
        out->due = dv_disposal_due(out->rule, &file);
    }
    out->approvals = dv_disposal_approvals_for(services->disposal_rules, &file);
    out->standing = DV_DISPOSAL_LATER;
    if (out->due > now) {
        return DV_OK;
    }
    out->why = keeps(services, arena, &file, asset, out->rule);
    out->standing = out->why != NULL && out->why[0] == '\0' ? DV_DISPOSAL_DUE : DV_DISPOSAL_WAITS;
    return out->why != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* Whether the rules of the same table under another name let less of it go. */
static bool keeps_rows(const dv_disposal_asset *twin, const dv_disposal_judgement *other,
                       const dv_disposal_judgement *judgement)
{
    const char *column = judgement->rule->column; /* NULL: a file that is called like a table */
    return twin->table && column != NULL && other->rule != NULL &&
           (other->before < judgement->before ||
            (other->rule->column != NULL && strcmp(other->rule->column, column) != 0));
}

/* Of a row of the same file in another source: sets *judgement when that is more careful, or wants
 * more approvals. Without a rule of its own it says nothing, but holds and labels do. waiting: so
 * does what waits there. */
static dv_result heed(dv_services *services, dv_arena *arena, dv_time now, dv_statement *row,
                      bool waiting, const dv_disposal_asset *asset,
                      dv_disposal_judgement *judgement)
{
    dv_disposal_asset twin;
    dv_disposal_judgement other;
    DV_TRY(dv_disposal_asset_read(row, arena, &twin));
    if (strcmp(twin.id, asset->id) == 0) {
        return DV_OK;
    }
    DV_TRY(judge_row(services, arena, now, &twin, &other));
    const dv_disposal_file file = file_of(&twin);
    bool kept = has_word(twin.labels, keep_label) || other.standing == DV_DISPOSAL_LATER ||
                (waiting && other.standing == DV_DISPOSAL_WAITS) ||
                keeps_rows(&twin, &other, judgement) ||
                dv_disposal_hold_for(services->disposal_rules, &file) != NULL;
    judgement->approvals = DV_MAX(judgement->approvals, other.approvals);
    if (kept) {
        judgement->standing = DV_DISPOSAL_WAITS;
        judgement->why =
            dv_arena_printf(arena, "it is in another source, too, and stays there (%s)", twin.id);
    }
    return judgement->why != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* The row of the same file in another source, of which this one is a part or the other way round.
 */
static dv_result judge_twin(dv_services *services, dv_arena *arena, dv_time now, dv_slice source,
                            dv_slice name, const dv_disposal_asset *asset,
                            dv_disposal_judgement *judgement, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(services->store, &row, error,
                          "SELECT " DV_DISPOSAL_ASSET_COLUMNS
                          " FROM data_asset WHERE source = ?1 AND name = ?2 AND gone = 0",
                          "ss", source, name));
    dv_result result = dv_statement_step(row, error);
    return result == DV_OK              ? heed(services, arena, now, row, true, asset, judgement)
           : result == DV_ERR_NOT_FOUND ? DV_OK
                                        : result;
}

/* Rows with the same stamp: the file under the name of another machine, mount or share, the table
 * under that of another host. They may be old, and so only what keeps it on purpose counts. */
static dv_result judge_stamp(dv_services *services, dv_arena *arena, dv_time now,
                             const dv_disposal_asset *asset, dv_disposal_judgement *judgement,
                             dv_error *error)
{
    enum { SAME_MAX = 64 };
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result = DV_OK;
    DV_TRY(dv_store_query(services->store, &row, error,
                          "SELECT " DV_DISPOSAL_ASSET_COLUMNS
                          " FROM data_asset WHERE stamp = ?1 AND stamp <> '' AND id <> ?2"
                          " AND gone = 0 LIMIT ?3",
                          "tti", asset->stamp, asset->id, (int64_t)SAME_MAX));
    for (size_t i = 0; i < SAME_MAX && judgement->standing == DV_DISPOSAL_DUE; i++) {
        result = dv_statement_step(row, error);
        if (result != DV_OK) {
            return result == DV_ERR_NOT_FOUND ? DV_OK : result;
        }
        DV_TRY(heed(services, arena, now, row, false, asset, judgement));
    }
    if (judgement->standing == DV_DISPOSAL_DUE) {
        judgement->standing = DV_DISPOSAL_WAITS;
        judgement->why = "it is in too many sources";
    }
    return DV_OK;
}

/* "file://fs1/srv/share" and "a/b" may also be "file://fs1/srv" and "share/a/b", or
 * "file://fs1/srv/share/a" and "b"; a file that was scanned by itself is a source, too. */
static dv_result judge_twins(dv_services *services, dv_arena *arena, dv_time now,
                             const dv_disposal_asset *asset, dv_disposal_judgement *judgement,
                             dv_error *error)
{
    const char *whole = dv_arena_printf(arena, "%s/%s", asset->source, asset->name);
    if (whole == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_slice path = dv_slice_str(whole);
    size_t name = 0;
    for (size_t i = 1; i + 1 < path.len && judgement->standing == DV_DISPOSAL_DUE; i++) {
        if (path.ptr[i] == '/') {
            name = i + 1;
            DV_TRY(judge_twin(services, arena, now, dv_slice_sub(path, 0, i),
                              dv_slice_sub(path, name, path.len), asset, judgement, error));
        }
    }
    return judgement->standing != DV_DISPOSAL_DUE
               ? DV_OK
               : judge_twin(services, arena, now, path, dv_slice_sub(path, name, path.len), asset,
                            judgement, error);
}

/* Whether a scan sees what lies there. */
static dv_result is_seen(dv_services *services, const char *source, const char *name, bool *ret_is,
                         dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(services->store, &row, error,
                          "SELECT 1 FROM data_asset WHERE source = ?1 AND name = ?2 AND gone = 0",
                          "tt", source, name));
    dv_result result = dv_statement_step(row, error);
    *ret_is = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Parts of a partitioned table go with it, and no scan tells of them. A hold that names something
 * of this database that no scan sees may mean one. */
static dv_result judge_parts(dv_services *services, dv_arena *arena, const dv_disposal_asset *asset,
                             dv_disposal_judgement *judgement, dv_error *error)
{
    const size_t len = strlen(asset->source);
    for (size_t i = 0; i < dv_disposal_hold_count(services->disposal_rules); i++) {
        const dv_disposal_hold *hold = dv_disposal_hold_at(services->disposal_rules, i);
        for (size_t p = 0; p < hold->scope.sources.count; p++) {
            const char *place = hold->scope.sources.items[p];
            bool seen = strncmp(place, asset->source, len) != 0 || place[len] != '/';
            DV_TRY(seen ? DV_OK : is_seen(services, asset->source, place + len + 1, &seen, error));
            if (!seen) {
                judgement->standing = DV_DISPOSAL_WAITS;
                judgement->why = dv_arena_printf(
                    arena, "the hold %s names %s, which no scan sees and may be a part of it",
                    hold->name, place + len + 1);
                return judgement->why != NULL ? DV_OK : DV_ERR_NO_MEMORY;
            }
        }
    }
    return DV_OK;
}

dv_result dv_disposal_judge(dv_services *services, dv_arena *arena, dv_time now,
                            const dv_disposal_asset *asset, dv_disposal_judgement *ret_judgement,
                            dv_error *error)
{
    dv_disposal_judgement judgement;
    DV_TRY(judge_row(services, arena, now, asset, &judgement));
    if (judgement.standing == DV_DISPOSAL_DUE) {
        DV_TRY(judge_twins(services, arena, now, asset, &judgement, error));
    }
    if (judgement.standing == DV_DISPOSAL_DUE) {
        DV_TRY(judge_stamp(services, arena, now, asset, &judgement, error));
    }
    if (judgement.standing == DV_DISPOSAL_DUE && asset->table) {
        DV_TRY(judge_parts(services, arena, asset, &judgement, error));
    }
    *ret_judgement = judgement;
    return DV_OK;
}

/* --- the plan -------------------------------------------------------------------------------- */

static const char *const standings[] = {"none", "later", "waits", "due"};

/* What is said of something that is due. */
static const char *due_why(const dv_disposal_judgement *j, char *room, size_t size)
{
    char text[DV_TIME_TEXT_MAX];
    if (j->standing != DV_DISPOSAL_DUE) {
        return j->why;
    }
    room[0] = '\0';
    if (j->before > 0) {
        dv_time_format(j->before, text);
        (void)snprintf(room, size, "rows whose %.63s is before %.19sZ", j->rule->column, text);
    }
    if (j->approvals > 0) {
        size_t used = strlen(room);
        (void)snprintf(room + used, size - used,
                       "%sit needs an approval: `dvara data disposal request`",
                       used > 0 ? "; " : "");
    }
    return room;
}

json_t *dv_disposal_plan_json(const dv_disposal_asset *asset, const dv_disposal_judgement *j,
                              dv_time now)
{
    enum { DAY = 86400, WHY_MAX = 256 };
    char room[WHY_MAX];
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:I, s:o, s:o, s:o, s:s, s:s, s:s, s:I, s:s}",
        "asset", asset->id, "source", asset->source, "name", asset->name, "rule", j->rule->name,
        "keep", j->rule->kept, "labels", dv_data_words_json(dv_slice_str(asset->labels)),
        "categories", dv_data_words_json(dv_slice_str(asset->categories)), "sensitivity",
        dv_data_level_word(asset->level), "size", (json_int_t)asset->size, "modified",
        dv_data_time_json(asset->modified), "age_days",
        asset->table
            ? json_null()
            : json_integer((json_int_t)(DV_MAX(now - asset->modified, 0) / (DAY * DV_SECOND))),
        "due", dv_data_time_json(j->due), "status", standings[j->standing], "why",
        due_why(j, room, sizeof(room)), "stamp", asset->stamp, "approvals",
        (json_int_t)j->approvals, "kind", asset->table ? "table" : "file");
    if (json != NULL && asset->table &&
        json_object_update_new(json, json_pack("{s:s?, s:o}", "column", j->rule->column, "before",
                                               dv_data_time_json(j->before))) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static bool is_asked(const dv_call *call, const dv_disposal_judgement *j)
{
    const char *status = dv_call_param(call, "status"), *rule = dv_call_param(call, "rule");
    if (j->standing == DV_DISPOSAL_NO_RULE || (rule != NULL && strcmp(rule, j->rule->name) != 0)) {
        return false;
    }
    return status != NULL ? strcmp(status, standings[j->standing]) == 0
                          : j->standing != DV_DISPOSAL_LATER;
}

static dv_result plan_rows(dv_call *call, dv_arena *arena, dv_statement *rows, json_t *items,
                           char last[DV_DATA_ID_MAX], bool *ret_more, dv_error *error)
{
    size_t limit = (size_t)json_integer_value(json_object_get(call->params, "limit"));
    dv_result result = DV_OK;
    for (size_t looked = 0; looked < LOOKED_MAX && json_array_size(items) < limit; looked++) {
        dv_disposal_asset asset;
        dv_disposal_judgement judgement;
        dv_arena_reset(arena);
        result = dv_statement_step(rows, error);
        if (result != DV_OK) {
            *ret_more = false;
            return result == DV_ERR_NOT_FOUND ? DV_OK : result;
        }
        DV_TRY(dv_disposal_asset_read(rows, arena, &asset));
        DV_TRY(dv_disposal_judge(call->services, arena, call->now, &asset, &judgement, error));
        dv_slice_copy(dv_slice_str(asset.id), last, DV_DATA_ID_MAX);
        if (is_asked(call, &judgement) &&
            json_array_append_new(items, dv_disposal_plan_json(&asset, &judgement, call->now)) !=
                0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    *ret_more = true;
    return DV_OK;
}

dv_result dv_op_data_disposal_plan(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20); /* of one row */
    const char *cursor = dv_call_param(call, "cursor"), *source = dv_call_param(call, "source");
    char last[DV_DATA_ID_MAX] = "";
    bool more = false;
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    if (arena == NULL || call->answer == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_DISPOSAL_ASSET_COLUMNS
                          " FROM data_asset WHERE id > ?1 AND gone = 0 AND (?2 = '' OR source = ?2)"
                          " ORDER BY id",
                          "tt", cursor != NULL ? cursor : "", source != NULL ? source : ""));
    DV_TRY(plan_rows(call, arena, rows, items, last, &more, error));
    return !more || json_object_set_new(call->answer, "next", json_string(last)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* --- the rules ------------------------------------------------------------------------------- */

/* What lies there, or a source that it is or has below: without, a rule does nothing, and a hold
 * keeps nothing. */
static dv_result source_known(dv_call *call, const char *place, bool *ret_known, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM data_scan WHERE source = ?1 OR"
                          " substr(source, 1, length(?1) + 1) = ?1 || '/' OR"
                          " (substr(?1, 1, length(source) + 1) = source || '/' AND EXISTS"
                          " (SELECT 1 FROM data_asset a WHERE a.source = data_scan.source AND"
                          " (a.name = substr(?1, length(data_scan.source) + 2) OR"
                          " substr(a.name, 1, length(?1) - length(data_scan.source)) ="
                          " substr(?1, length(data_scan.source) + 2) || '/'))) LIMIT 1",
                          "t", place));
    dv_result result = dv_statement_step(row, error);
    *ret_known = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result unknown_sources(dv_call *call, const dv_disposal_scope *scope, json_t *unknown,
                                 dv_error *error)
{
    for (size_t i = 0; i < scope->sources.count; i++) {
        bool known = false;
        DV_TRY(source_known(call, scope->sources.items[i], &known, error));
        if (!known && json_array_append_new(unknown, json_string(scope->sources.items[i])) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    return DV_OK;
}

/* one: a new reference. */
static dv_result tell_rule(dv_call *call, json_t *items, json_t *one,
                           const dv_disposal_scope *scope, dv_error *error)
{
    json_t *unknown = json_array();
    if (json_array_append_new(items, one) != 0) {
        json_decref(unknown);
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(json_object_set_new(one, "unknown_sources", unknown) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
    return unknown_sources(call, scope, unknown, error);
}

dv_result dv_op_data_disposal_rules(dv_call *call, dv_error *error)
{
    const dv_disposal_rules *rules = call->services->disposal_rules;
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY);
    for (size_t i = 0; i < dv_disposal_hold_count(rules); i++) {
        const dv_disposal_hold *hold = dv_disposal_hold_at(rules, i);
        DV_TRY(tell_rule(call, items, dv_disposal_hold_json(hold), &hold->scope, error));
    }
    for (size_t i = 0; i < dv_disposal_rule_count(rules); i++) {
        const dv_disposal_rule *rule = dv_disposal_rule_at(rules, i);
        DV_TRY(tell_rule(call, items, dv_disposal_rule_json(rule), &rule->scope, error));
    }
    return dv_disposal_kept_tell(call, items);
}
