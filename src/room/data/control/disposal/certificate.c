/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of destruction: what they say, and handing them out. A certificate holds no personal
 * value: what detectors find in a path or a source is hidden in it, and the asset's id says which
 * file it was to who may see the inventory. */
#include "engine/detect/detect.h"
#include "room/data/control/disposal/disposal.h"

#include "api/operations.h"

#include <ctype.h>

enum { MASK_MEMORY = 16 << 20 };

/* --- hiding what is personal ----------------------------------------------------------------- */

typedef struct mask {
    dv_detect_rules *rules;
    dv_detect_scratch *scratch;
    dv_arena *arena; /* of one text */
    dv_arena *place;
    dv_detector_set detectors;
} mask;

static void mask_release(mask *m)
{
    dv_detect_scratch_free(m->scratch);
    dv_detect_rules_free(m->rules);
    dv_arena_free(m->arena);
    dv_arena_free(m->place);
}
DV_DEFINE_AUTO(mask, mask, mask_release)

static dv_result mask_init(mask *m, dv_error *error)
{
    m->arena = dv_arena_new(MASK_MEMORY);
    m->place = dv_arena_new(64 << 10);
    DV_TRY(m->arena == NULL || m->place == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    for (size_t i = 0; i < dv_detect_count(); i++) {
        const char *id = dv_detect_info(i)->id; /* machines' names are no one's */
        if (strcmp(id, "url") != 0 && strcmp(id, "domain") != 0) {
            dv_detector_set_add(&m->detectors, i);
        }
    }
    DV_TRY(dv_detect_rules_builtin(&m->rules, error));
    return dv_detect_scratch_new(m->rules, &m->scratch);
}

static bool goes_on(unsigned char byte)
{
    return (byte & 0xC0) == 0x80; /* a character that began before (RFC 3629) */
}

/* Letters and digits of what is found in the text become stars in out, whole characters alone. */
static dv_result hide_found(mask *m, dv_slice text, char *out)
{
    const dv_finding *found = NULL;
    size_t count = 0;
    DV_TRY(dv_detect_scan(m->rules, m->scratch, text, 0, &m->detectors, m->arena, &found, &count));
    for (size_t i = 0; i < count; i++) {
        size_t start = found[i].start, end = DV_MIN(found[i].end, text.len);
        while (start > 0 && goes_on(text.ptr[start])) {
            start--;
        }
        while (end < text.len && goes_on(text.ptr[end])) {
            end++;
        }
        for (size_t at = start; at < end; at++) {
            out[at] = isalnum(text.ptr[at]) || text.ptr[at] >= 0x80 ? '*' : out[at];
        }
    }
    return DV_OK;
}

/* What stands between '/' and '_' is looked at by itself, too: a name such as
 * cards_4111111111111111.csv is one word to a detector. */
static dv_result hide_text(mask *m, const char *text, dv_slice *ret_hidden)
{
    dv_slice copy, apart;
    dv_arena_reset(m->arena);
    DV_TRY(dv_arena_copy(m->arena, dv_slice_str(text), &copy));
    DV_TRY(dv_arena_copy(m->arena, dv_slice_str(text), &apart));
    char *out = (char *)(uintptr_t)copy.ptr, *words = (char *)(uintptr_t)apart.ptr;
    for (size_t i = 0; i < apart.len; i++) {
        words[i] = words[i] == '/' || words[i] == '_' ? ' ' : words[i];
    }
    DV_TRY(hide_found(m, dv_slice_str(text), out));
    DV_TRY(hide_found(m, apart, out));
    *ret_hidden = copy;
    return DV_OK;
}

/* A new reference; null where a name was made so that it can't be searched within bounds. */
static dv_result hide(mask *m, const char *text, json_t **ret_json)
{
    dv_slice hidden = {NULL, 0};
    dv_result result = hide_text(m, text, &hidden);
    DV_TRY(result == DV_ERR_TOO_LARGE ? DV_OK : result);
    *ret_json = result == DV_OK && hidden.len > 0
                    ? json_stringn((const char *)hidden.ptr, hidden.len)
                    : json_null();
    return *ret_json != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

/* --- writing it ------------------------------------------------------------------------------ */

#define ITEM_COLUMNS                                                                               \
    "n, asset, name, size, modified, rule, sensitivity, categories, labels, state, sha256, why, "  \
    "at, date_column, before, row_count, undated"

typedef struct tally {
    json_t *items;
    json_t *outcomes; /* how many of each */
    int64_t destroyed;
    int64_t bytes;
    int64_t rows;
    bool tables; /* and no files */
} tally;

/* What a file's and a table's entry have in common. */
static json_t *entry_json(dv_statement *row, json_t *name)
{
    return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "asset",
                     dv_data_column_text(row, 1), "name", name, "rule", dv_data_column_text(row, 5),
                     "sensitivity", dv_data_level_word(dv_column_int(row, 6)), "categories",
                     dv_data_words_json(dv_column_slice(row, 7)), "labels",
                     dv_data_words_json(dv_column_slice(row, 8)), "outcome",
                     dv_data_column_text(row, 9), "why", dv_data_column_text(row, 11), "at",
                     dv_data_column_time(row, 12));
}

static json_t *file_json(dv_statement *row, bool destroyed)
{
    dv_slice sha256 = dv_column_slice(row, 10);
    return json_pack("{s:I, s:o, s:o, s:s?}", "size", (json_int_t)dv_column_int(row, 3), "modified",
                     dv_data_column_time(row, 4), "sha256",
                     sha256.len > 0 ? dv_data_column_text(row, 10) : json_null(), "method",
                     destroyed ? "unlink" : NULL);
}

/* How many rows went, and how many have no age and stay. */
static json_t *table_json(dv_statement *row, json_t *column, bool destroyed)
{
    json_int_t rows = destroyed ? dv_column_int(row, 15) : 0;
    return json_pack("{s:s, s:o, s:o, s:I, s:I, s:s?}", "kind", "table", "column", column, "before",
                     dv_data_column_time(row, 14), "rows", rows, "undated",
                     (json_int_t)dv_column_int(row, 16), "method", destroyed ? "delete" : NULL);
}

static dv_result count_outcome(tally *t, dv_statement *row, bool destroyed)
{
    char state[32];
    dv_slice_copy(dv_column_slice(row, 9), state, sizeof(state));
    json_int_t before = json_integer_value(json_object_get(t->outcomes, state));
    t->destroyed += destroyed;
    bool table = dv_column_int(row, 14) != 0;
    t->tables = t->tables || table;
    t->bytes += destroyed && !table ? dv_column_int(row, 3) : 0;
    t->rows += destroyed && table ? dv_column_int(row, 15) : 0;
    return json_object_set_new(t->outcomes, state, json_integer(before + 1)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

/* A name in the row, hidden as it has to be. */
static dv_result name_json(mask *m, dv_statement *row, int column, bool hidden, json_t **ret_json)
{
    dv_slice text;
    dv_auto(arena) dv_arena *arena = dv_arena_new(64 << 10);
    *ret_json = json_null();
    if (hidden) {
        return DV_OK;
    }
    DV_TRY(arena == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_arena_copy(arena, dv_column_slice(row, column), &text));
    return hide(m, (const char *)text.ptr, ret_json);
}

static dv_result add_item(mask *m, dv_statement *row, bool hidden, tally *t)
{
    json_t *name = NULL, *column = NULL;
    bool destroyed = dv_slice_eq_str(dv_column_slice(row, 9), "destroyed");
    bool table = dv_column_int(row, 14) != 0;
    DV_TRY(name_json(m, row, 2, hidden, &name));
    dv_result result = name_json(m, row, 13, hidden, &column);
    if (result != DV_OK) {
        json_decref(name);
        return result;
    }
    json_t *entry = entry_json(row, name);
    json_t *own =
        table ? table_json(row, json_incref(column), destroyed) : file_json(row, destroyed);
    json_decref(column);
    if (json_object_update_new(entry, own) != 0 || json_array_append_new(t->items, entry) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    return count_outcome(t, row, destroyed);
}

static dv_result add_items(dv_call *call, const dv_disposal_run *run, mask *m, tally *t,
                           dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_result result = DV_OK;
    bool hidden = dv_disposal_names_hidden(call->services->disposal_rules);
    DV_TRY(dv_store_query(
        call->services->store, &row, error,
        "SELECT " ITEM_COLUMNS " FROM data_disposal_item WHERE run = ?1 ORDER BY n", "t", run->id));
    while ((result = dv_statement_step(row, error)) == DV_OK) {
        DV_TRY(add_item(m, row, hidden, t));
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* The place without what could name somebody: the text with stars, or up to the machine alone. */
static dv_result place_json(mask *m, const char *text, bool hidden, json_t **ret_json)
{
    const char *host = strstr(text, "://"), *path = host != NULL ? strchr(host + 3, '/') : NULL;
    dv_slice machine = {NULL, 0};
    if (!hidden) {
        return hide(m, text, ret_json);
    }
    if (path == NULL) {
        *ret_json = json_null();
        return DV_OK;
    }
    dv_arena_reset(m->place);
    DV_TRY(dv_arena_copy(m->place, dv_slice_of(text, (size_t)(path - text)), &machine));
    return hide(m, (const char *)machine.ptr, ret_json);
}

static bool is_used(const json_t *rule, const json_t *items)
{
    size_t i;
    const json_t *item;
    json_array_foreach(items, i, item)
    {
        if (json_equal(json_object_get(item, "rule"), json_object_get(rule, "name"))) {
            return true;
        }
    }
    return false;
}

static dv_result hide_places(mask *m, json_t *rule, bool hidden)
{
    size_t i;
    const json_t *place, *column = json_object_get(rule, "column");
    json_t *told = NULL;
    if (column != NULL) {
        DV_TRY(hidden ? (told = json_null(), DV_OK) : hide(m, json_string_value(column), &told));
        DV_TRY(json_object_set_new(rule, "column", told) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
    }
    json_array_foreach(json_object_get(rule, "sources"), i, place)
    {
        DV_TRY(place_json(m, json_string_value(place), hidden, &told));
        DV_TRY(json_array_set_new(json_object_get(rule, "sources"), i, told) == 0
                   ? DV_OK
                   : DV_ERR_NO_MEMORY);
    }
    return DV_OK;
}

/* Only those of the rules that a file went by, into used. */
static dv_result used_rules(mask *m, const dv_disposal_run *run, bool hidden, const json_t *items,
                            json_t *used)
{
    size_t i;
    json_t *rule, *all = json_loads(run->rules, 0, NULL);
    dv_result result = all != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    json_array_foreach(all, i, rule)
    {
        if (result == DV_OK && is_used(rule, items)) {
            result = hide_places(m, rule, hidden);
            result =
                result == DV_OK && json_array_append(used, rule) != 0 ? DV_ERR_NO_MEMORY : result;
        }
    }
    json_decref(all);
    return result;
}

static const char unlink_method[] =
    "unlink: the name was removed and the folder synced, and the file had no other name. Its "
    "blocks "
    "were released, not overwritten: disks, file systems that copy on write, snapshots and backups "
    "may keep them until they are used again.";

static const char delete_method[] =
    "delete: the rows were deleted, all of a table in one transaction that the database committed. "
    "Their space is used again after VACUUM, not overwritten: until then, in its write-ahead log, "
    "replicas and backups they may be kept.";

/* Version 2 knows tables. */
static json_t *document(dv_call *call, const dv_disposal_run *run, json_t *source, json_t *request,
                        json_t *rules, const tally *t)
{
    json_t *whole = json_pack(
        "{s:s, s:i, s:s, s:o, s:s, s:s, s:o*, s:o, s:o, s:s, s:o, s:I, s:O, s:O}", "type",
        "dvara certificate of destruction", "version", t->tables ? 2 : 1, "id", run->id, "source",
        source, "ordered_by", run->caller, "carried_out_by", call->caller, "request", request,
        "started", dv_data_time_json(run->started), "finished", dv_data_time_json(call->now),
        "method", t->tables ? delete_method : unlink_method, "rules", rules, "destroyed",
        (json_int_t)t->destroyed, "outcomes", t->outcomes, "items", t->items);
    const char *amount = t->tables ? "rows_destroyed" : "bytes_destroyed";
    if (json_object_set_new(whole, amount, json_integer(t->tables ? t->rows : t->bytes)) != 0) {
        json_decref(whole);
        return NULL;
    }
    return whole;
}

static dv_result write_all(dv_call *call, const dv_disposal_run *run, tally *t, char **ret_text,
                           dv_error *error)
{
    dv_auto(mask) mask m = {.rules = NULL};
    json_t *source = NULL;
    bool hidden = dv_disposal_names_hidden(call->services->disposal_rules);
    DV_TRY(mask_init(&m, error));
    DV_TRY(add_items(call, run, &m, t, error));
    DV_TRY(place_json(&m, run->source, hidden, &source));
    json_t *rules = json_array();
    dv_result result = used_rules(&m, run, hidden, t->items, rules);
    if (result != DV_OK) {
        json_decref(source);
        json_decref(rules);
        return result;
    }
    json_t *request = NULL; /* who asked, who approved */
    result = run->approval[0] != '\0'
                 ? dv_disposal_request_told(call, run->approval, &request, error)
                 : DV_OK;
    if (result != DV_OK) {
        json_decref(source);
        json_decref(rules);
        return result;
    }
    json_t *whole = document(call, run, source, request, rules, t);
    *ret_text = whole == NULL ? NULL : json_dumps(whole, JSON_INDENT(1));
    json_decref(whole);
    return *ret_text != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

dv_result dv_disposal_certificate(dv_call *call, const dv_disposal_run *run, char **ret_text,
                                  int64_t *ret_destroyed, dv_error *error)
{
    tally t = {.items = json_array(), .outcomes = json_object()};
    char *text = NULL;
    dv_result result = t.items == NULL || t.outcomes == NULL
                           ? DV_ERR_NO_MEMORY
                           : write_all(call, run, &t, &text, error);
    json_decref(t.items);
    json_decref(t.outcomes);
    DV_TRY(result);
    *ret_text = text;
    *ret_destroyed = t.destroyed;
    return DV_OK;
}

/* --- handing them out ------------------------------------------------------------------------ */

/* The newest first. */
dv_result dv_op_data_disposal_list(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    const char *cursor = dv_call_param(call, "cursor");
    size_t limit = (size_t)json_integer_value(json_object_get(call->params, "limit"));
    dv_result result = DV_OK;
    dv_disposal_run run = {.id = ""};
    json_t *items = json_array();
    call->answer = json_pack("{s:o}", "items", items);
    DV_TRY(call->answer == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " DV_DISPOSAL_RUN_COLUMNS
                          " FROM data_disposal WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
                          "ti", cursor != NULL ? cursor : "g", (int64_t)limit));
    while ((result = dv_statement_step(rows, error)) == DV_OK) {
        DV_TRY(dv_disposal_run_read(rows, call->arena, &run));
        if (json_array_append_new(items, dv_disposal_run_json(&run)) != 0) {
            return DV_ERR_NO_MEMORY;
        }
    }
    DV_TRY(result == DV_ERR_NOT_FOUND ? DV_OK : result);
    return json_array_size(items) < limit ||
                   json_object_set_new(call->answer, "next", json_string(run.id)) == 0
               ? DV_OK
               : DV_ERR_NO_MEMORY;
}

dv_result dv_op_data_disposal_certificate_show(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_disposal_run run;
    DV_TRY(dv_disposal_run_find(call, dv_call_param(call, "id"), &run, error));
    if (strcmp(run.state, "finished") != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "the disposal is not finished: `dvara data disposal run` goes on with "
                            "it where its files are");
    }
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT document FROM data_disposal WHERE id = ?1", "t", run.id));
    DV_TRY(dv_statement_step(row, error));
    json_t *answer = dv_disposal_run_json(&run);
    if (json_object_set_new(answer, "document", dv_data_column_text(row, 0)) != 0) {
        json_decref(answer);
        return DV_ERR_NO_MEMORY;
    }
    call->answer = answer;
    return DV_OK;
}
