/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_scanner.h"

#include "cli/data_tools.h"

#include "base/file.h"
#include "cli/data_asset.h"
#include "engine/detect/detect.h"

#include <inttypes.h>
#include <stdlib.h>

enum { SHOWN_MAX = 100000, RULES_ARENA = 16 << 20, ASSET_ARENA = 16 << 20 };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static json_int_t number_param(const json_t *params, const char *name)
{
    return json_integer_value(json_object_get(params, name));
}

/* ---- one asset ---- */

static dv_result show(dv_data_scanner *s, json_t *asset)
{
    if (s->shown == NULL) {
        return dv_cli_print(s->cli, asset, NULL, NULL);
    }
    return json_array_size(s->shown) < SHOWN_MAX && json_array_append(s->shown, asset) == 0
               ? DV_OK
               : DV_ERR_TOO_LARGE;
}

static dv_result tell(dv_data_scanner *s, const dv_scan_item *item,
                      const dv_data_part *const *parts, size_t count, const dv_data_class *class)
{
    bool shown = s->all || class->count > 0 || item->problem[0] != '\0';
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
static void judge(dv_data_scanner *s, const dv_scan_item *item, const dv_data_class *class)
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
    dv_data_scanner *s = data;
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

static dv_result read_rules(dv_data_scanner *s, dv_error *error)
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

dv_result dv_data_scanner_open(dv_data_scanner *s, dv_error *error)
{
    dv_data_finder_options options = {
        .detectors = json_is_true(json_object_get(s->params, "standard")) ? *dv_detect_standard()
                                                                          : dv_detect_all,
        .names = json_is_true(json_object_get(s->params, "names")),
        .least = (uint8_t)number_param(s->params, "min_score"),
        .done = on_asset,
        .data = s,
    };
    s->error = error;
    s->limits = dv_scan_limits_usual;
    s->limits.bytes = (uint64_t)number_param(s->params, "max_bytes");
    s->limits.file_time = number_param(s->params, "max_seconds") * DV_SECOND;
    s->bar = dv_progress_bar_of(s->cli, "bytes");
    s->rules_arena = dv_arena_new(RULES_ARENA);
    s->arena = dv_arena_new(ASSET_ARENA);
    if (s->cli->output != DV_OUTPUT_JSONL) {
        s->shown = json_array();
    }
    if (s->rules_arena == NULL || s->arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_data_custom_open(s->params, NULL, &options.detectors, &s->custom, error));
    dv_data_kinds_use(s->custom);
    DV_TRY(read_rules(s, error));
    return dv_data_finder_new(&options, &s->finder, error);
}

static void release(dv_data_scanner *s)
{
    dv_data_save_free(s->save);
    dv_data_finder_free(s->finder);
    dv_data_kinds_use(NULL);
    dv_detect_custom_free(s->custom);
    dv_arena_free(s->arena);
    dv_arena_free(s->rules_arena);
    json_decref(s->shown);
}

/* ---- at the end ---- */

json_t *dv_data_scanner_summary(const dv_data_scanner *s)
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

dv_result dv_data_scanner_print(dv_data_scanner *s, const json_t *summary)
{
    static const char *const columns[] = {"name",   "kind",       "sensitivity", "confidence",
                                          "values", "categories", "problem",     NULL};
    dv_progress_end(&s->bar);
    if (s->shown == NULL) {
        return DV_OK;
    }
    json_t *all = json_pack("{s:O, s:O}", "summary", summary, "items", s->shown);
    dv_result result = all == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(s->cli, all, "items", columns);
    json_decref(all);
    return result;
}

void dv_data_scanner_say(const dv_data_scanner *s, const char *done)
{
    fprintf(s->cli->err,
            "%s %" PRIu64 " (%" PRIu64 " bytes): %" PRIu64 " restricted, %" PRIu64
            " confidential, %" PRIu64 " not read in full",
            done, s->totals.items, s->totals.bytes, s->found[DV_DATA_RESTRICTED],
            s->found[DV_DATA_CONFIDENTIAL], s->problems);
}

bool dv_data_scanner_has_gaps(const dv_data_scanner *s)
{
    const dv_scan_totals *t = &s->totals;
    return t->stopped[0] != '\0' || t->unreadable > 0 || t->deep > 0 || t->devices > 0;
}

static bool must_fail(const dv_data_scanner *s)
{
    return s->failed || (text_param(s->params, "fail_on") != NULL && dv_data_scanner_has_gaps(s));
}

static int exit_status(const dv_data_scanner *s, dv_result result, dv_error *error)
{
    if (result == DV_ERR_TOO_LARGE && error->message[0] == '\0') {
        (void)dv_error_set(error, result, "there is more than this format shows: --output jsonl");
    }
    error->result = result;
    return result != DV_OK ? dv_cli_fail(s->cli, error)
           : must_fail(s)  ? DV_EXIT_FAILED
                           : DV_EXIT_DONE;
}

int dv_data_scanner_run(dv_cli *cli, const json_t *params,
                        dv_result (*work)(dv_data_scanner *, dv_error *))
{
    dv_error error = {0};
    dv_data_scanner *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        error.result = DV_ERR_NO_MEMORY;
        return dv_cli_fail(cli, &error);
    }
    s->cli = cli;
    s->params = params;
    dv_result result = work(s, &error);
    int status = exit_status(s, result, &error);
    release(s);
    free(s);
    return status;
}
