/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara audit archive`, `restore-archive`, `search-archive` and `verify --archive`: none needs a
 * server. */
#include "cli/audit_archive.h"

#include "api/commands.h"
#include "base/clock.h"
#include "cli/audit_verdict.h"
#include "cli/progress.h"
#include "engine/log/archive.h"
#include "engine/log/blob_entry.h"
#include "engine/log/blob_store.h"
#include "engine/log/pack.h"
#include "engine/log/search.h"
#include "engine/log/sequencer.h"
#include "engine/log/subjects.h"
#include "room/audit/control/summary.h"

#include <inttypes.h>
#include <sys/stat.h>

enum { QUERY_MEMORY = 4 << 20 };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static dv_result read_key(const json_t *params, dv_note_verifier *key,
                          const dv_note_verifier **ret_key, dv_error *error)
{
    const char *text = text_param(params, "key");
    *ret_key = NULL;
    if (text == NULL) {
        return DV_OK;
    }
    dv_result result = dv_note_verifier_parse(dv_slice_str(text), key);
    *ret_key = key;
    return result == DV_OK
               ? DV_OK
               : dv_error_set(error, result,
                              "--key is no Ed25519 verifier key such as name+1a2b3c4d+AbC...");
}

/* -- reports ----------------------------------------------------------------------------------- */

static const char *time_text(int64_t ms, char out[DV_TIME_TEXT_MAX + 1])
{
    out[0] = '\0';
    if (ms > 0 && ms < INT64_MAX / DV_MILLISECOND) {
        out[dv_time_format(ms * DV_MILLISECOND, out)] = '\0';
    }
    return out;
}

static json_t *report_json(const dv_archive_report *report)
{
    char earliest[DV_TIME_TEXT_MAX + 1], latest[DV_TIME_TEXT_MAX + 1];
    dv_auto(buf) dv_buf root = dv_buf_init(64);
    if (dv_hash_format(&report->root, &root) != DV_OK) {
        return NULL;
    }
    return json_pack("{s:s,s:b,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:s,s:s,s:I,s:s%,s:s,s:I,s:I}", "result",
                     "ok", "ok", 1, "file", report->path, "origin", report->origin, "log",
                     report->log, "from", (json_int_t)report->from, "to", (json_int_t)report->to,
                     "events", (json_int_t)report->to - (json_int_t)report->from, "large_fields",
                     (json_int_t)report->blobs, "earliest",
                     time_text(report->earliest_ms, earliest), "latest",
                     time_text(report->latest_ms, latest), "size", (json_int_t)report->size, "root",
                     root.ptr, root.len, "signer", report->signer, "bytes",
                     (json_int_t)report->bytes, "unpacked", (json_int_t)report->unpacked);
}

/* folder: where it was unpacked, or NULL. */
static int print_report(dv_cli *cli, const dv_archive_report *report, const char *folder)
{
    dv_error error = {0};
    json_t *json = report_json(report);
    if (json != NULL && folder != NULL) {
        json_object_set_new(json, "folder", json_string(folder));
    }
    error.result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
    json_decref(json);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

/* -- archive ----------------------------------------------------------------------------------- */

static dv_result name_folder(const dv_cli *cli, const char *log, char out[PATH_MAX],
                             dv_error *error)
{
    int len = strcmp(log, DV_LOG_MAIN) == 0
                  ? snprintf(out, PATH_MAX, "%s/log", cli->state_dir)
                  : snprintf(out, PATH_MAX, "%s/log/" DV_LOG_OTHERS "/%s", cli->state_dir, log);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "the path of the log is too long");
}

static dv_result read_tree(const dv_cli *cli, const char *log, dv_log_tree *ret_tree,
                           dv_error *error)
{
    char folder[PATH_MAX];
    dv_auto(free) dv_log_state *state = calloc(1, sizeof(*state));
    if (state == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(name_folder(cli, DV_LOG_MAIN, folder, error));
    DV_TRY(dv_log_state_load(folder, state, error));
    const dv_log_tree *tree = dv_log_state_tree(state, log);
    if (tree == NULL) {
        return dv_error_set(error, DV_ERR_NOT_FOUND, "there is no log %s in %s", log, folder);
    }
    *ret_tree = *tree;
    return DV_OK;
}

/* Whether all events of a pack are older. */
static dv_result pack_is_older(const char *folder, uint64_t pack, int64_t before_ms, bool *ret_is,
                               dv_error *error)
{
    uint64_t offset;
    dv_block_info info;
    *ret_is = true;
    for (uint64_t i = 0; i < DV_PACK_BLOCKS && *ret_is; i++) {
        DV_TRY(dv_pack_place(folder, pack * DV_PACK_BLOCKS + i, &offset, &info, error));
        *ret_is = info.latest < before_ms;
    }
    return DV_OK;
}

/* The last end of a pack before which every event is older. */
static dv_result find_before(const char *folder, const dv_log_tree *tree, uint64_t from,
                             const char *text, uint64_t *ret_to, dv_error *error)
{
    bool older = true;
    int64_t width, before_ms = 0;
    uint64_t to = from;
    if (dv_query_time_parse(dv_slice_str(text), dv_time_now(), &before_ms, &width) != DV_OK) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--before is a time such as 2026-01-31T00:00:00Z, or -90d");
    }
    while (older && to + DV_PACK_LEAVES <= tree->packed) {
        DV_TRY(pack_is_older(folder, to / DV_PACK_LEAVES, before_ms, &older, error));
        to += older ? DV_PACK_LEAVES : 0;
    }
    *ret_to = to;
    return to > from ? DV_OK
                     : dv_error_set(error, DV_ERR_NOT_FOUND,
                                    "no %d events that follow each other are all older than that; "
                                    "--to INDEX archives fewer",
                                    DV_PACK_LEAVES);
}

/* What the checkpoint covers. */
static dv_result find_end(const char *folder, uint64_t *ret_to, dv_error *error)
{
    dv_note_verifier key;
    dv_checkpoint checkpoint;
    DV_TRY(dv_tiles_vkey(folder, &key, error));
    DV_TRY(dv_tiles_checkpoint(folder, &key, &checkpoint, error));
    *ret_to = checkpoint.size;
    return DV_OK;
}

static dv_result find_range(const dv_cli *cli, const json_t *params, dv_archive_source *source,
                            dv_error *error)
{
    dv_log_tree tree;
    const json_t *from = json_object_get(params, "from"), *to = json_object_get(params, "to");
    const char *before = text_param(params, "before");
    if (to != NULL && before != NULL) {
        return dv_error_set(error, DV_ERR_INVALID, "say --to or --before, not both");
    }
    DV_TRY(read_tree(cli, source->log, &tree, error));
    source->from = from == NULL ? tree.minimum : (uint64_t)json_integer_value(from);
    source->to = (uint64_t)json_integer_value(to);
    if (before != NULL) {
        return find_before(source->folder, &tree, source->from, before, &source->to, error);
    }
    return to != NULL ? DV_OK : find_end(source->folder, &source->to, error);
}

int dv_command_audit_archive(dv_cli *cli, const json_t *params)
{
    char folder[PATH_MAX], main_folder[PATH_MAX];
    dv_error error = {0};
    dv_archive_report report;
    dv_progress_bar bar = dv_progress_bar_of(cli, "events");
    dv_archive_source source = {
        .folder = folder, .main_folder = main_folder, .log = text_param(params, "log")};
    dv_result result = name_folder(cli, source.log, folder, &error);
    if (result == DV_OK) {
        result = name_folder(cli, DV_LOG_MAIN, main_folder, &error);
    }
    if (result == DV_OK) {
        result = find_range(cli, params, &source, &error);
    }
    if (result == DV_OK) {
        result = dv_archive_keep(&source, text_param(params, "output_dir"), dv_progress_show, &bar,
                                 &report, &error);
        dv_progress_end(&bar);
    }
    error.result = result;
    return result == DV_OK ? print_report(cli, &report, NULL) : dv_cli_fail(cli, &error);
}

/* -- verify ------------------------------------------------------------------------------------ */

static int verify_folder(dv_cli *cli, const char *path, const dv_note_verifier *key)
{
    dv_error error = {0};
    dv_log_report report;
    dv_progress_bar bar = dv_progress_bar_of(cli, "events");
    error.result = dv_log_verify_archive(path, key, dv_progress_show, &bar, &report);
    dv_progress_end(&bar);
    if (error.result != DV_OK) {
        snprintf(error.message, sizeof(error.message), "%s", report.problem);
        return dv_audit_refute(cli, "folder", path, &error, error.result != DV_ERR_NOT_FOUND);
    }
    json_int_t to = (json_int_t)report.pruned + (json_int_t)report.entries;
    json_t *json = json_pack("{s:s,s:b,s:s,s:s,s:I,s:I,s:I,s:I,s:s}", "result", "ok", "ok", 1,
                             "folder", path, "origin", report.origin, "from",
                             (json_int_t)report.pruned, "to", to, "size", (json_int_t)report.size,
                             "large_fields", (json_int_t)report.blobs, "signer", report.signer);
    error.result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
    json_decref(json);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}

static int verify_file(dv_cli *cli, const char *path, const dv_note_verifier *key)
{
    dv_error error = {0};
    dv_archive_report report;
    dv_progress_bar bar = dv_progress_bar_of(cli, "events");
    error.result = dv_archive_verify(path, key, dv_progress_show, &bar, &report, &error);
    dv_progress_end(&bar);
    return error.result == DV_OK
               ? print_report(cli, &report, NULL)
               : dv_audit_refute(cli, "file", path, &error, error.result != DV_ERR_NOT_FOUND);
}

int dv_audit_verify_archive(dv_cli *cli, const json_t *params)
{
    struct stat about;
    dv_error error = {0};
    dv_note_verifier room;
    const dv_note_verifier *key = NULL;
    const char *path = text_param(params, "archive");
    bool more = text_param(params, "policy") != NULL || text_param(params, "log") != NULL ||
                json_integer_value(json_object_get(params, "at_least")) > 0;
    error.result = more ? dv_error_set(&error, DV_ERR_INVALID,
                                       "--archive takes --key alone: --policy, --at-least and "
                                       "--log say nothing about an archive")
                        : read_key(params, &room, &key, &error);
    if (error.result != DV_OK) {
        return dv_audit_refute(cli, "file", path, &error, false);
    }
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode) ? verify_folder(cli, path, key)
                                                             : verify_file(cli, path, key);
}

/* -- restore ----------------------------------------------------------------------------------- */

int dv_command_audit_restore_archive(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_note_verifier room;
    const dv_note_verifier *key;
    dv_archive_report report;
    dv_progress_bar bar = dv_progress_bar_of(cli, "events");
    const char *folder = text_param(params, "to");
    dv_result result = read_key(params, &room, &key, &error);
    if (result == DV_OK) {
        result = dv_archive_restore(text_param(params, "file"), key, folder, dv_progress_show, &bar,
                                    &report, &error);
        dv_progress_end(&bar);
    }
    error.result = result;
    return result == DV_OK ? print_report(cli, &report, folder) : dv_cli_fail(cli, &error);
}

/* -- search ------------------------------------------------------------------------------------ */

typedef struct searching {
    const char *folder;
    dv_error *error;
    json_t *items;
    json_int_t left;
    bool oldest;
} searching;

/* What an event that is found refers to must be there as it says. */
static dv_result check_large_field(const searching *s, uint64_t index, dv_slice entry,
                                   dv_arena *arena)
{
    dv_blob_place place;
    if (!dv_blob_find(entry, arena, &place)) {
        return DV_OK;
    }
    dv_auto(buf) dv_buf stored = dv_buf_init(DV_BLOB_STORED_MAX);
    dv_result result = dv_blob_store_read(s->folder, index, &stored, NULL);
    if (result == DV_ERR_NO_MEMORY ||
        (result == DV_OK && dv_blob_fits(&place.ref, dv_buf_slice(&stored)))) {
        return result;
    }
    return dv_error_set(s->error, DV_ERR_CORRUPT,
                        "the large field of event %" PRIu64 " %s: `dvara audit verify --archive` "
                        "tells what else is wrong with %s",
                        index, result == DV_OK ? "was changed" : "is missing, or can not be read",
                        s->folder);
}

/* A copy without the sealed texts, which say nothing to anyone here. */
static json_t *without_sealed(const json_t *value)
{
    size_t i;
    const char *name;
    json_t *one, *out;
    if (json_is_string(value)) {
        dv_slice text = dv_slice_of(json_string_value(value), json_string_length(value));
        return dv_subjects_is_sealed(text) ? json_string("(sealed)") : json_deep_copy(value);
    }
    if (json_is_object(value)) {
        out = json_object();
        json_object_foreach((json_t *)(uintptr_t)value, name, one)
        {
            json_object_set_new(out, name, without_sealed(one));
        }
        return out;
    }
    if (!json_is_array(value)) {
        return json_deep_copy(value);
    }
    out = json_array();
    json_array_foreach(value, i, one)
    {
        json_array_append_new(out, without_sealed(one));
    }
    return out;
}

/* The summary of `dvara audit tail`, and the event as it stands in the archive. */
static json_t *make_item(uint64_t index, json_t *event)
{
    json_t *line =
        json_pack("{s:I,s:o}", "index", (json_int_t)index, "event", without_sealed(event));
    json_t *item = line == NULL ? NULL : dv_event_summarize(line);
    const char *code = json_string_value(json_object_get(item, "event"));
    json_t *kind = code == NULL ? NULL : json_string(code);
    bool good = kind != NULL && json_object_update_existing(item, event) == 0 &&
                json_object_set(item, "event", kind) == 0;
    json_decref(kind);
    json_decref(line);
    if (!good) {
        json_decref(item);
        return NULL;
    }
    return item;
}

static dv_result take_event(void *data, uint64_t index, dv_query_event *event, dv_arena *arena)
{
    searching *s = data;
    DV_TRY(check_large_field(s, index, event->text, arena));
    json_t *own = json_loadb((const char *)event->text.ptr, event->text.len, 0, NULL);
    json_t *item = own == NULL ? NULL : make_item(index, own);
    json_decref(own);
    if (item == NULL || json_array_append_new(s->items, item) != 0) {
        return DV_ERR_NO_MEMORY;
    }
    return --s->left == 0 ? DV_ERR_AGAIN : DV_OK;
}

/* Where the archive lies in its log, by its own word: searching proves nothing. */
static dv_result open_folder(const char *folder, dv_archive_range *ret_range, dv_error *error)
{
    dv_result result = dv_archive_range_of(folder, ret_range, error);
    return result == DV_ERR_NOT_FOUND
               ? dv_error_set(error, result,
                              "%s is no unpacked archive: see `dvara audit restore-archive`",
                              folder)
               : result;
}

static dv_result search_folder(const json_t *params, dv_arena *arena, searching *s, dv_error *error)
{
    dv_archive_range range;
    const dv_query *query;
    dv_search_stats stats;
    const char *folder = text_param(params, "folder");
    dv_query_options options = {.now = dv_time_now(), .filter_alone = true};
    DV_TRY(
        dv_query_parse(dv_slice_str(text_param(params, "query")), &options, arena, &query, error));
    DV_TRY(open_folder(folder, &range, error));
    dv_search search = {.query = query,
                        .size = range.to,
                        .minimum = range.from,
                        .from = s->oldest ? range.from : range.to,
                        .oldest_first = s->oldest,
                        .visit = take_event,
                        .data = s};
    return dv_log_search(folder, &search, &stats, error);
}

int dv_command_audit_search_archive(dv_cli *cli, const json_t *params)
{
    static const char *const columns[] = {"index", "when", "event", "who", "what", "outcome", NULL};
    dv_error error = {0};
    searching s = {.items = json_array(),
                   .folder = text_param(params, "folder"),
                   .error = &error,
                   .left = json_integer_value(json_object_get(params, "limit")),
                   .oldest = json_is_true(json_object_get(params, "oldest"))};
    dv_auto(arena) dv_arena *arena = dv_arena_new(QUERY_MEMORY);
    dv_result result = s.items == NULL || arena == NULL ? DV_ERR_NO_MEMORY
                                                        : search_folder(params, arena, &s, &error);
    json_t *answer = json_pack("{s:o}", "items", s.items);
    if (result == DV_OK) {
        result = answer == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, answer, "items", columns);
    }
    json_decref(answer);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
