/* SPDX-License-Identifier: Apache-2.0 */
/* Scans into the inventory, piece by piece, and what changed from one to the next.
 *
 * 1. What a person set is never touched.
 * 2. A file that could not be read in full keeps the higher of its old and new sensitivity, and all
 *    categories and labels; so do two of one scan whose names are the same as text.
 * 3. Only a scan that saw everything makes what it missed gone.
 * 4. The first scan of a source changes nothing: all of it is new.
 * 5. Of a source one scan is under way. A newer one takes the place of one that has not ended,
 * whose program may be gone. */
#include "core/audit.h"
#include "room/data/control/disposal/kept.h"
#include "room/data/control/inventory.h"

#include "api/operations.h"

#include <stdlib.h>

enum {
    DETAILS_MAX = 64 << 10,
    SCANS_KEPT = 1000,
    CONFIDENTIAL = 2,
    SUPERSEDED = -1, /* where it would say when it finished */
};

typedef struct scan {
    char id[DV_DATA_ID_MAX];
    const char *source; /* in the call's arena */
    bool first;
    int64_t assets;
} scan;

/* What the inventory knows of an asset. */
typedef struct known {
    char id[DV_DATA_ID_MAX];
    int64_t sensitivity;
    const char *categories; /* in the call's arena */
    const char *labels;
    bool gone;
    bool seen; /* by this very scan: names that are no UTF-8 may become one */
} known;

/* ---- scans ---- */

static dv_result forget_old(dv_call *call, dv_error *error)
{
    DV_TRY(dv_store_run(call->services->store, error,
                        "DELETE FROM data_drift WHERE scan IN (SELECT id FROM data_scan"
                        " ORDER BY id DESC LIMIT 1000000 OFFSET ?1)",
                        "i", (int64_t)SCANS_KEPT));
    return dv_store_run(call->services->store, error,
                        "DELETE FROM data_scan WHERE id IN (SELECT id FROM data_scan"
                        " ORDER BY id DESC LIMIT 1000000 OFFSET ?1)",
                        "i", (int64_t)SCANS_KEPT);
}

static dv_result known_source(dv_call *call, const char *source, bool *ret_known, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT 1 FROM data_scan WHERE source = ?1 AND finished > 0 LIMIT 1", "t",
                          source));
    dv_result result = dv_statement_step(row, error);
    *ret_known = result == DV_OK;
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

static dv_result begin_scan(dv_call *call, scan *s, dv_error *error)
{
    bool before = false;
    s->source = dv_call_field(call, "source");
    if (s->source == NULL) {
        return dv_call_invalid(call, "source", error, "the first piece names the source");
    }
    if (dv_disposal_is_kept_source(s->source)) {
        return dv_call_invalid(call, "source", error, "names of vaults and cases are no sources");
    }
    DV_TRY(known_source(call, s->source, &before, error));
    s->first = !before;
    dv_data_new_id(call->now, s->id);
    DV_TRY(forget_old(call, error));
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_scan SET finished = ?2 WHERE source = ?1 AND finished = 0",
                        "ti", s->source, (int64_t)SUPERSEDED));
    return dv_store_run(call->services->store, error,
                        "INSERT INTO data_scan (id, source, caller, started, finished, complete,"
                        " first, assets) VALUES (?1, ?2, ?3, ?4, 0, 0, ?5, 0)",
                        "tttii", s->id, s->source, call->caller, call->now, (int64_t)s->first);
}

static dv_result find_scan(dv_call *call, const char *id, scan *s, dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_slice source;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT source, first, finished, caller FROM data_scan WHERE id = ?1",
                          "t", id));
    dv_result result = dv_statement_step(row, error);
    if (result == DV_ERR_NOT_FOUND) {
        return dv_error_set(error, result, "there is no scan %s", id);
    }
    DV_TRY(result);
    if (!dv_slice_eq_str(dv_column_slice(row, 3), call->caller)) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no scan %s of yours", id);
    }
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 0), &source));
    if (dv_column_int(row, 2) == SUPERSEDED) {
        return dv_error_set(error, DV_ERR_CONFLICT,
                            "another scan of %.200s began meanwhile and counts: this one is not "
                            "kept any further",
                            (const char *)source.ptr);
    }
    if (dv_column_int(row, 2) != 0) {
        return dv_error_set(error, DV_ERR_CONFLICT, "the scan %s has ended", id);
    }
    s->source = (const char *)source.ptr;
    s->first = dv_column_int(row, 1) != 0;
    dv_slice_copy(dv_slice_str(id), s->id, sizeof(s->id));
    return DV_OK;
}

/* ---- drift ---- */

static const char *summary(dv_arena *arena, int64_t sensitivity, const char *categories)
{
    return dv_arena_printf(arena, "%s%s%s", dv_data_level_word(sensitivity),
                           categories[0] != '\0' ? " " : "", categories);
}

static dv_result note_drift(dv_call *call, const scan *s, const char *asset, const char *name,
                            const char *change, const char *before, const char *after,
                            dv_error *error)
{
    char id[DV_DATA_ID_MAX];
    dv_data_new_id(call->now, id);
    return before == NULL || after == NULL
               ? DV_ERR_NO_MEMORY
               : dv_store_run(call->services->store, error,
                              "INSERT INTO data_drift (id, scan, asset, source, name, change,"
                              " before, after, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                              "tttttttti", id, s->id, asset, s->source, name, change, before, after,
                              call->now);
}

/* ---- one asset ---- */

/* DV_ERR_NOT_FOUND: never seen. */
static dv_result find_asset(dv_call *call, const scan *s, const char *name, known *old,
                            dv_error *error)
{
    dv_auto(statement) dv_statement *row = NULL;
    dv_slice categories, labels;
    DV_TRY(dv_store_query(call->services->store, &row, error,
                          "SELECT id, sensitivity, categories, gone, labels, scan FROM data_asset"
                          " WHERE source = ?1 AND name = ?2",
                          "tt", s->source, name));
    DV_TRY(dv_statement_step(row, error));
    dv_slice_copy(dv_column_slice(row, 0), old->id, sizeof(old->id));
    old->sensitivity = dv_column_int(row, 1);
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 2), &categories));
    old->categories = (const char *)categories.ptr;
    old->gone = dv_column_int(row, 3) != 0;
    DV_TRY(dv_arena_copy(call->arena, dv_column_slice(row, 4), &labels));
    old->labels = (const char *)labels.ptr;
    old->seen = dv_slice_eq_str(dv_column_slice(row, 5), s->id);
    return DV_OK;
}

static const char *text_of(const json_t *asset, const char *field)
{
    const char *text = json_string_value(json_object_get(asset, field));
    return text != NULL ? text : "";
}

static int64_t number_of(const json_t *asset, const char *field)
{
    return json_integer_value(json_object_get(asset, field));
}

static dv_result details_of(dv_call *call, const json_t *asset, const char **ret_text,
                            dv_error *error)
{
    const json_t *details = json_object_get(asset, "details");
    char *text = details == NULL ? NULL : json_dumps(details, JSON_COMPACT);
    dv_slice copy = DV_LIT("{}");
    size_t len = text != NULL ? strlen(text) : 0;
    dv_result result = DV_OK;
    if (len > DETAILS_MAX) {
        result = dv_call_invalid(call, "assets", error, "details of %.100s have more than %d bytes",
                                 text_of(asset, "name"), DETAILS_MAX);
    } else if (text != NULL) {
        result = dv_arena_copy(call->arena, dv_slice_str(text), &copy);
    }
    free(text);
    *ret_text = (const char *)copy.ptr;
    return result;
}

/* What is written of it, whether it is new or not. */
typedef struct row {
    const char *name;
    const char *kind;
    const char *categories;
    const char *labels;
    const char *details;
    const char *problem;
    int64_t sensitivity;
    int64_t confidence;
    int64_t size;
    int64_t rows;
    int64_t found;
    int64_t modified;
    const char *stamp; /* "": two are called the same, or it has none */
} row;

/* Whether the stamp (engine/scan/scan.h) has that time of writing: a file is as old as it is, not
 * as somebody says. */
static bool stamp_tells(const char *stamp, int64_t modified)
{
    dv_slice part, rest = dv_slice_str(stamp);
    char *end = NULL;
    char number[24];
    for (int i = 0; i < 3; i++) { /* inode, size, time of writing */
        if (!dv_slice_split(&rest, '.', &part)) {
            return false;
        }
    }
    if (part.len == 0 || part.len >= sizeof(number)) {
        return false;
    }
    dv_slice_copy(part, number, sizeof(number));
    int64_t told = strtoll(number, &end, 10);
    return *end == '\0' && told / DV_MILLISECOND == modified / DV_MILLISECOND;
}

/* Whether it is one of a table: three numbers. */
static bool stamp_names_table(const char *stamp)
{
    const char *at = stamp;
    for (int i = 0; i < 3; i++) {
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || at[digits] != (i < 2 ? '.' : '\0')) {
            return false;
        }
        at += digits + 1;
    }
    return true;
}

/* Whether it may be what it is said to be of. */
static bool stamp_good(const row *r)
{
    return strcmp(r->kind, "table") == 0 ? stamp_names_table(r->stamp)
                                         : stamp_tells(r->stamp, r->modified);
}

static dv_result row_of(dv_call *call, const json_t *asset, row *out, dv_error *error)
{
    *out = (row){
        .name = text_of(asset, "name"),
        .kind = text_of(asset, "kind"),
        .categories = dv_data_words_text(call->arena, json_object_get(asset, "categories")),
        .labels = dv_data_words_text(call->arena, json_object_get(asset, "labels")),
        .problem = text_of(asset, "problem"),
        .sensitivity = dv_data_level_number(text_of(asset, "sensitivity")),
        .confidence = number_of(asset, "confidence"),
        .size = number_of(asset, "size"),
        .rows = number_of(asset, "rows"),
        .found = number_of(asset, "values"),
        .stamp = text_of(asset, "stamp"),
    };
    const char *modified = text_of(asset, "modified");
    if (modified[0] != '\0' && dv_time_parse(dv_slice_str(modified), &out->modified) != DV_OK) {
        return dv_call_invalid(call, "assets", error, "\"%.64s\" is no time", modified);
    }
    out->stamp = stamp_good(out) ? out->stamp : "";
    if (out->categories == NULL || out->labels == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    return details_of(call, asset, &out->details, error);
}

static dv_result insert_asset(dv_call *call, const scan *s, const row *r, dv_error *error)
{
    char id[DV_DATA_ID_MAX];
    dv_data_new_id(call->now, id);
    DV_TRY(dv_store_run(
        call->services->store, error,
        "INSERT INTO data_asset (id, source, name, kind, size, rows_read, found, sensitivity,"
        " confidence, categories, labels, details, problem, set_at, first_seen, last_seen, scan,"
        " gone, modified, stamp) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
        " 0, ?14, ?14, ?15, 0, ?16, ?17)",
        "ttttiiiiittttitit", id, s->source, r->name, r->kind, r->size, r->rows, r->found,
        r->sensitivity, r->confidence, r->categories, r->labels, r->details, r->problem, call->now,
        s->id, r->modified, r->stamp));
    const char *after = summary(call->arena, r->sensitivity, r->categories);
    return s->first ? DV_OK : note_drift(call, s, id, r->name, "new", "", after, error);
}

static bool has_word(dv_slice list, dv_slice wanted)
{
    dv_slice word;
    while (list.len > 0 && dv_slice_split(&list, ',', &word)) {
        if (dv_slice_eq(word, wanted)) {
            return true;
        }
    }
    return false;
}

/* The words of the first list, and those of the second that are not in it; NULL when memory is
 * out. */
static const char *both_words(dv_arena *arena, const char *first, const char *second)
{
    dv_slice word, rest = dv_slice_str(second);
    while (first != NULL && rest.len > 0 && dv_slice_split(&rest, ',', &word)) {
        if (!has_word(dv_slice_str(first), word)) {
            first = dv_arena_printf(arena, "%s%s%.*s", first, first[0] != '\0' ? "," : "",
                                    DV_SLICE_ARGS(word));
        }
    }
    return first;
}

/* What was in the part that was not read this time may be there still, and of two that are called
 * the same neither hides the other. */
static dv_result keep_old(dv_call *call, const known *old, row *r)
{
    if (r->problem[0] == '\0' && !old->seen) {
        return DV_OK;
    }
    r->stamp = old->seen ? "" : r->stamp; /* which of them it is nobody knows */
    r->sensitivity = DV_MAX(r->sensitivity, old->sensitivity);
    r->categories = both_words(call->arena, old->categories, r->categories);
    r->labels = both_words(call->arena, old->labels, r->labels);
    return r->categories != NULL && r->labels != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result update_asset(dv_call *call, const scan *s, const known *old, row *r,
                              dv_error *error)
{
    DV_TRY(keep_old(call, old, r));
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_asset SET kind = ?2, size = ?3, rows_read = ?4, found = ?5,"
                        " sensitivity = ?6, confidence = ?7, categories = ?8, labels = ?9,"
                        " details = ?10, problem = ?11, last_seen = ?12, scan = ?13, gone = 0,"
                        " modified = ?14, stamp = ?15 WHERE id = ?1",
                        "ttiiiiittttitit", old->id, r->kind, r->size, r->rows, r->found,
                        r->sensitivity, r->confidence, r->categories, r->labels, r->details,
                        r->problem, call->now, s->id, r->modified, r->stamp));
    const char *before = summary(call->arena, old->sensitivity, old->categories);
    const char *after = summary(call->arena, r->sensitivity, r->categories);
    if (before == NULL || after == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    if (old->gone) {
        return note_drift(call, s, old->id, r->name, "back", before, after, error);
    }
    return strcmp(before, after) == 0
               ? DV_OK
               : note_drift(call, s, old->id, r->name, "changed", before, after, error);
}

static dv_result keep_asset(dv_call *call, const scan *s, const json_t *asset, dv_error *error)
{
    row r;
    known old;
    DV_TRY(row_of(call, asset, &r, error));
    dv_result result = find_asset(call, s, r.name, &old, error);
    if (result == DV_ERR_NOT_FOUND) {
        return insert_asset(call, s, &r, error);
    }
    DV_TRY(result);
    return update_asset(call, s, &old, &r, error);
}

static dv_result keep_assets(dv_call *call, const scan *s, dv_error *error)
{
    size_t i;
    const json_t *asset;
    const json_t *assets = json_object_get(call->body, "assets");
    json_array_foreach(assets, i, asset)
    {
        DV_TRY(keep_asset(call, s, asset, error));
    }
    return dv_store_run(call->services->store, error,
                        "UPDATE data_scan SET assets = assets + ?2 WHERE id = ?1", "ti", s->id,
                        (int64_t)json_array_size(assets));
}

/* ---- the end ---- */

/* last: the name after which it looks; becomes the one that was found. */
static dv_result next_missed(dv_call *call, const scan *s, dv_arena *arena, dv_buf *last,
                             known *old, const char **ret_name, dv_error *error)
{
    dv_auto(statement) dv_statement *found = NULL;
    dv_slice name, categories;
    DV_TRY(dv_store_query(call->services->store, &found, error,
                          "SELECT id, name, sensitivity, categories FROM data_asset"
                          " WHERE source = ?1 AND scan <> ?2 AND gone = 0 AND name > ?3"
                          " ORDER BY name LIMIT 1",
                          "tts", s->source, s->id, dv_buf_slice(last)));
    DV_TRY(dv_statement_step(found, error));
    dv_slice_copy(dv_column_slice(found, 0), old->id, sizeof(old->id));
    DV_TRY(dv_arena_copy(arena, dv_column_slice(found, 1), &name));
    DV_TRY(dv_arena_copy(arena, dv_column_slice(found, 3), &categories));
    old->sensitivity = dv_column_int(found, 2);
    old->categories = (const char *)categories.ptr;
    *ret_name = (const char *)name.ptr;
    dv_buf_clear(last);
    return dv_buf_append(last, name);
}

static dv_result mark_gone(dv_call *call, const scan *s, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(1 << 20); /* of one: there may be many */
    dv_auto(buf) dv_buf last = dv_buf_init(64 << 10);
    known old;
    const char *name = NULL;
    dv_result result = arena == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    while (result == DV_OK) {
        dv_arena_reset(arena);
        result = next_missed(call, s, arena, &last, &old, &name, error);
        if (result != DV_OK) {
            break;
        }
        const char *before = summary(arena, old.sensitivity, old.categories);
        DV_TRY(dv_store_run(call->services->store, error,
                            "UPDATE data_asset SET gone = ?2 WHERE id = ?1", "ti", old.id,
                            call->now));
        DV_TRY(note_drift(call, s, old.id, name, "gone", before, "", error));
    }
    return result == DV_ERR_NOT_FOUND ? DV_OK : result;
}

/* Data that matters and that nobody owns raises an alarm. */
static dv_result warn_of_unowned(dv_call *call, const scan *s, dv_error *error)
{
    dv_auto(statement) dv_statement *found = NULL;
    DV_TRY(dv_store_query(call->services->store, &found, error,
                          "SELECT count(*) FROM data_asset WHERE source = ?1 AND gone = 0"
                          " AND owner IS NULL AND COALESCE(own_sensitivity, sensitivity) >= ?2",
                          "ti", s->source, (int64_t)CONFIDENTIAL));
    DV_TRY(dv_statement_step(found, error));
    int64_t count = dv_column_int(found, 0);
    const char *title = dv_arena_printf(
        call->arena,
        "%lld files or tables of %.200s are confidential or restricted, and nobody owns them",
        (long long)count, s->source);
    if (title == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    return count == 0 ? DV_OK : dv_audit_alarm(call, "data.unowned", title, error);
}

static dv_result end_scan(dv_call *call, const scan *s, dv_error *error)
{
    bool complete = json_is_true(json_object_get(call->body, "complete"));
    if (complete) {
        DV_TRY(mark_gone(call, s, error));
    }
    DV_TRY(dv_store_run(call->services->store, error,
                        "UPDATE data_scan SET finished = ?2, complete = ?3 WHERE id = ?1", "tii",
                        s->id, call->now, (int64_t)complete));
    DV_TRY(warn_of_unowned(call, s, error));
    json_t *now = json_pack("{s:s, s:b}", "source", s->source, "complete", (int)complete);
    dv_result result =
        dv_audit_entity(call, DV_ENTITY_CREATE, "data_scan", s->id, NULL, now, error);
    json_decref(now);
    return result;
}

/* ---- the operations ---- */

#define SCAN_COLUMNS                                                                               \
    "id, source, caller, started, finished, complete, assets,"                                     \
    " (SELECT count(*) FROM data_drift d WHERE d.scan = s.id AND d.change = 'new'),"               \
    " (SELECT count(*) FROM data_drift d WHERE d.scan = s.id AND d.change = 'gone'),"              \
    " (SELECT count(*) FROM data_drift d WHERE d.scan = s.id AND d.change = 'back'),"              \
    " (SELECT count(*) FROM data_drift d WHERE d.scan = s.id AND d.change = 'changed')"

static json_t *scan_json(dv_statement *found)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:I, s:I}", "id",
        dv_data_column_text(found, 0), "source", dv_data_column_text(found, 1), "caller",
        dv_data_column_text(found, 2), "started", dv_data_column_time(found, 3), "finished",
        dv_data_column_time(found, 4), "complete", (int)(dv_column_int(found, 5) != 0), "assets",
        (json_int_t)dv_column_int(found, 6), "new", (json_int_t)dv_column_int(found, 7), "gone",
        (json_int_t)dv_column_int(found, 8), "back", (json_int_t)dv_column_int(found, 9), "changed",
        (json_int_t)dv_column_int(found, 10));
}

static dv_result answer_scan(dv_call *call, const scan *s, dv_error *error)
{
    dv_auto(statement) dv_statement *found = NULL;
    DV_TRY(dv_store_query(call->services->store, &found, error,
                          "SELECT " SCAN_COLUMNS " FROM data_scan s WHERE id = ?1", "t", s->id));
    DV_TRY(dv_statement_step(found, error));
    call->answer = scan_json(found);
    return call->answer != NULL ? DV_OK : DV_ERR_NO_MEMORY;
}

static dv_result keep(dv_call *call, dv_error *error)
{
    scan s = {.id = ""};
    const char *id = dv_call_field(call, "scan");
    DV_TRY(id != NULL ? find_scan(call, id, &s, error) : begin_scan(call, &s, error));
    DV_TRY(keep_assets(call, &s, error));
    if (json_is_true(json_object_get(call->body, "last"))) {
        DV_TRY(end_scan(call, &s, error));
    }
    return answer_scan(call, &s, error);
}

dv_result dv_op_data_scan_keep(dv_call *call, dv_error *error)
{
    return dv_audit_change(call, keep, error);
}

static const char *cursor_of(const dv_call *call)
{
    const char *cursor = dv_call_param(call, "cursor");
    return cursor != NULL ? cursor : "g"; /* behind all hex digits */
}

dv_result dv_op_data_scan_list(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT " SCAN_COLUMNS " FROM data_scan s WHERE id < ?1"
                          " ORDER BY id DESC LIMIT ?2",
                          "ti", cursor_of(call),
                          json_integer_value(json_object_get(call->params, "limit"))));
    return dv_data_answer_rows(call, rows, scan_json, error);
}

static json_t *drift_json(dv_statement *found)
{
    static const char *const fields[] = {"scan",   "asset",  "source", "name",
                                         "change", "before", "after"};
    json_t *json = json_object();
    for (size_t i = 0; i < DV_ARRAY_LEN(fields); i++) {
        json_object_set_new(json, fields[i], dv_data_column_text(found, (int)i + 1));
    }
    json_object_set_new(json, "seen", dv_data_column_time(found, 8));
    return json;
}

dv_result dv_op_data_drift_list(dv_call *call, dv_error *error)
{
    dv_auto(statement) dv_statement *rows = NULL;
    const char *id = dv_call_param(call, "scan");
    DV_TRY(dv_store_query(call->services->store, &rows, error,
                          "SELECT id, scan, asset, source, name, change, before, after, seen"
                          " FROM data_drift WHERE id < ?1 AND (?2 = '' OR scan = ?2)"
                          " ORDER BY id DESC LIMIT ?3",
                          "tti", cursor_of(call), id != NULL ? id : "",
                          json_integer_value(json_object_get(call->params, "limit"))));
    return dv_data_answer_rows(call, rows, drift_json, error);
}
