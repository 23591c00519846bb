/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data scan`: what lies in files and tables, and how sensitive that makes them. */
#include "api/commands.h"
#include "base/file.h"
#include "cli/data_asset.h"
#include "cli/data_save.h"
#include "cli/progress.h"
#include "engine/detect/detect.h"
#include "engine/scan/postgres.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { SHOWN_MAX = 100000, RULES_ARENA = 16 << 20, ASSET_ARENA = 16 << 20 };

typedef struct scanning {
    dv_cli *cli;
    const json_t *params;
    dv_scan_limits limits;
    dv_data_rules rules;
    dv_arena *rules_arena;
    dv_arena *arena; /* of one asset */
    dv_data_finder *finder;
    dv_scan_totals totals;
    dv_progress_bar bar;
    uint64_t expected; /* bytes, where somebody looks */
    uint64_t done;
    uint64_t
        found[DV_DATA_LEVELS]; /* assets by sensitivity, without those where nothing is known */
    uint64_t problems;
    json_t *shown; /* NULL: each is printed as it comes */
    bool failed;   /* --fail-on */
    dv_error *error;
    dv_data_save *save; /* NULL: not asked for */
} scanning;

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static json_int_t number_param(const json_t *params, const char *name)
{
    return json_integer_value(json_object_get(params, name));
}

/* ---- one asset ---- */

static dv_result show(scanning *s, json_t *asset)
{
    if (s->shown == NULL) {
        return dv_cli_print(s->cli, asset, NULL, NULL);
    }
    return json_array_size(s->shown) < SHOWN_MAX && json_array_append(s->shown, asset) == 0
               ? DV_OK
               : DV_ERR_TOO_LARGE;
}

static dv_result tell(scanning *s, const dv_scan_item *item, const dv_data_part *const *parts,
                      size_t count, const dv_data_class *class)
{
    bool all = json_is_true(json_object_get(s->params, "all"));
    bool shown = all || class->count > 0 || item->problem[0] != '\0';
    if (!shown && s->save == NULL) {
        return DV_OK;
    }
    json_t *asset = dv_data_asset_json(item, parts, count, class);
    dv_result result = asset == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK && s->save != NULL) {
        result = dv_data_save_add(s->save, asset, s->error);
    }
    if (result == DV_OK && shown) {
        dv_progress_end(&s->bar);
        result = show(s, asset);
    }
    json_decref(asset);
    return result;
}

/* With --fail-on, what could not be read is as bad as what must not be there. */
static void judge(scanning *s, const dv_scan_item *item, const dv_data_class *class)
{
    dv_data_level limit = DV_DATA_LEVELS;
    const char *fail_on = text_param(s->params, "fail_on");
    s->found[class->sensitivity] += class->count > 0;
    s->problems += item->problem[0] != '\0';
    if (fail_on != NULL && dv_data_level_parse(fail_on, &limit) == DV_OK) {
        s->failed |= (class->count > 0 && class->sensitivity >= limit) || item->problem[0] != '\0';
    }
}

static dv_result on_asset(void *data, const dv_scan_item *item, const dv_data_part *const *parts,
                          size_t count)
{
    scanning *s = data;
    dv_data_class class;
    uint8_t least = (uint8_t)number_param(s->params, "min_confidence");
    dv_arena_reset(s->arena);
    DV_TRY(dv_data_classify(&s->rules, parts, count, least, s->arena, &class));
    judge(s, item, &class);
    DV_TRY(tell(s, item, parts, count, &class));
    s->done += item->size;
    if (s->expected > 0) {
        dv_progress_show(&s->bar, s->done, s->expected);
    }
    return DV_OK;
}

/* ---- setting out ---- */

static void set_limits(scanning *s)
{
    const json_t *params = s->params;
    s->limits = dv_scan_limits_usual;
    s->limits.depth = (uint32_t)number_param(params, "max_depth");
    s->limits.files = (uint64_t)number_param(params, "max_files");
    s->limits.bytes = (uint64_t)number_param(params, "max_bytes");
    s->limits.rows = (uint64_t)number_param(params, "rows");
    s->limits.file_time = number_param(params, "max_seconds") * DV_SECOND;
    s->limits.cross_devices = json_is_true(json_object_get(params, "cross_devices"));
}

static dv_result read_rules(scanning *s, dv_error *error)
{
    const char *path = text_param(s->params, "rules");
    dv_auto(buf) dv_buf text = dv_buf_init(1 << 20);
    DV_TRY(dv_data_rules_builtin(&s->rules, s->rules_arena, error));
    if (path == NULL) {
        return DV_OK;
    }
    DV_TRY(dv_file_read(path, &text, error));
    dv_slice copy;
    DV_TRY(dv_arena_copy(s->rules_arena, dv_buf_slice(&text), &copy));
    return dv_data_rules_add(&s->rules, copy, s->rules_arena, error);
}

static dv_result prepare_save(scanning *s, const char *path, dv_error *error)
{
    const char *said = text_param(s->params, "source");
    if (!json_is_true(json_object_get(s->params, "save"))) {
        return DV_OK;
    }
    return said != NULL ? dv_data_save_new(s->cli, said, &s->save, error)
                        : dv_data_save_new_at(s->cli, path, &s->save, error);
}

static dv_result prepare(scanning *s, dv_error *error)
{
    dv_data_finder_options options = {
        .detectors = json_is_true(json_object_get(s->params, "standard")) ? *dv_detect_standard()
                                                                          : dv_detect_all,
        .names = json_is_true(json_object_get(s->params, "names")),
        .least = (uint8_t)number_param(s->params, "min_score"),
        .done = on_asset,
        .data = s,
    };
    set_limits(s);
    s->bar = dv_progress_bar_of(s->cli, "bytes");
    s->rules_arena = dv_arena_new(RULES_ARENA);
    s->arena = dv_arena_new(ASSET_ARENA);
    if (s->cli->output != DV_OUTPUT_JSONL) {
        s->shown = json_array();
    }
    if (s->rules_arena == NULL || s->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_rules(s, error));
    return dv_data_finder_new(&options, &s->finder, error);
}

/* ---- the scan ---- */

static dv_result scan_files(scanning *s, const char *path, const dv_scan_visitor *visitor,
                            dv_error *error)
{
    dv_scan_totals expected = {0};
    if (s->bar.shown) {
        DV_TRY(dv_scan_count(path, &s->limits, &expected, error));
        s->expected = expected.bytes;
    }
    return dv_scan_path(path, &s->limits, visitor, &s->totals, error);
}

/* There may be more than was seen. */
static bool has_gaps(const dv_scan_totals *t)
{
    return t->stopped[0] != '\0' || t->unreadable > 0 || t->deep > 0 || t->devices > 0;
}

static dv_result scan_tables(scanning *s, const char *url, const dv_scan_visitor *visitor,
                             dv_error *error)
{
    const dv_scan_postgres_options options = {
        .views = json_is_true(json_object_get(s->params, "views")),
    };
    return dv_scan_postgres(url, &options, &s->limits, visitor, &s->totals, error);
}

static json_t *summary_json(const scanning *s)
{
    const dv_scan_totals *t = &s->totals;
    uint64_t passed = t->links + t->specials + t->devices + t->deep;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "scanned", (json_int_t)t->items,
                     "bytes", (json_int_t)t->bytes, "restricted",
                     (json_int_t)s->found[DV_DATA_RESTRICTED], "confidential",
                     (json_int_t)s->found[DV_DATA_CONFIDENTIAL], "not_read_in_full",
                     (json_int_t)s->problems, "unreadable", (json_int_t)t->unreadable,
                     "passed_over", (json_int_t)passed, "stopped", t->stopped);
}

static dv_result report(scanning *s, const json_t *summary)
{
    static const char *const columns[] = {"name",   "kind",       "sensitivity", "confidence",
                                          "values", "categories", "problem",     NULL};
    const dv_scan_totals *t = &s->totals;
    dv_progress_end(&s->bar);
    if (s->shown != NULL) {
        json_t *all = json_pack("{s:O, s:O}", "summary", summary, "items", s->shown);
        dv_result result =
            all == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(s->cli, all, "items", columns);
        json_decref(all);
        DV_TRY(result);
    }
    fprintf(s->cli->err,
            "scanned %" PRIu64 " (%" PRIu64 " bytes): %" PRIu64 " restricted, %" PRIu64
            " confidential, %" PRIu64 " not read in full%s%s%s\n",
            t->items, t->bytes, s->found[DV_DATA_RESTRICTED], s->found[DV_DATA_CONFIDENTIAL],
            s->problems,
            t->devices > 0 ? "; other file systems passed over (--cross-devices enters them)" : "",
            t->stopped[0] != '\0' ? "; ended early: " : "", t->stopped);
    return DV_OK;
}

/* A scan that could not see everything is no proof that there is nothing. */
static bool must_fail(const scanning *s)
{
    return s->failed || (text_param(s->params, "fail_on") != NULL && has_gaps(&s->totals));
}

static dv_result scan(scanning *s, dv_error *error)
{
    const char *path = text_param(s->params, "path");
    s->error = error;
    DV_TRY(prepare(s, error));
    DV_TRY(prepare_save(s, path, error));
    dv_scan_visitor visitor = dv_data_finder_visitor(s->finder);
    DV_TRY(dv_scan_is_postgres(path) ? scan_tables(s, path, &visitor, error)
                                     : scan_files(s, path, &visitor, error));
    json_t *summary = summary_json(s);
    dv_result result = summary == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK && s->save != NULL) {
        result = dv_data_save_end(s->save, !has_gaps(&s->totals), summary, error);
    }
    result = result == DV_OK ? report(s, summary) : result;
    json_decref(summary);
    return result;
}

int dv_command_data_scan(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    scanning *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        error.result = DV_ERR_NO_MEMORY;
        return dv_cli_fail(cli, &error);
    }
    s->cli = cli;
    s->params = params;
    dv_result result = scan(s, &error);
    bool fail = result == DV_OK && must_fail(s);
    dv_data_save_free(s->save);
    dv_data_finder_free(s->finder);
    dv_arena_free(s->arena);
    dv_arena_free(s->rules_arena);
    json_decref(s->shown);
    free(s);
    if (result == DV_ERR_TOO_LARGE && error.message[0] == '\0') {
        (void)dv_error_set(&error, result, "there is more than this format shows: --output jsonl");
    }
    error.result = result;
    return result != DV_OK ? dv_cli_fail(cli, &error) : fail ? DV_EXIT_FAILED : DV_EXIT_DONE;
}
