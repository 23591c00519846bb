/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data scan`: what lies in files and tables, and how sensitive that makes them. */
#include "api/commands.h"
#include "cli/data_scanner.h"
#include "engine/scan/postgres.h"

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static json_int_t number_param(const json_t *params, const char *name)
{
    return json_integer_value(json_object_get(params, name));
}

/* ---- setting out ---- */

static void set_limits(dv_data_scanner *s)
{
    const json_t *params = s->params;
    s->limits.depth = (uint32_t)number_param(params, "max_depth");
    s->limits.files = (uint64_t)number_param(params, "max_files");
    s->limits.rows = (uint64_t)number_param(params, "rows");
    s->limits.cross_devices = json_is_true(json_object_get(params, "cross_devices"));
}

static dv_result prepare_save(dv_data_scanner *s, const char *path, dv_error *error)
{
    const char *said = text_param(s->params, "source");
    if (!json_is_true(json_object_get(s->params, "save"))) {
        return DV_OK;
    }
    return said != NULL ? dv_data_save_new(s->cli, said, &s->save, error)
                        : dv_data_save_new_at(s->cli, path, &s->save, error);
}

/* ---- the scan ---- */

static dv_result scan_files(dv_data_scanner *s, const char *path, const dv_scan_visitor *visitor,
                            dv_error *error)
{
    dv_scan_totals expected = {0};
    if (s->bar.shown) {
        DV_TRY(dv_scan_count(path, &s->limits, &expected, error));
        s->expected = expected.bytes;
    }
    return dv_scan_path(path, &s->limits, visitor, &s->totals, error);
}

static dv_result scan_tables(dv_data_scanner *s, const char *url, const dv_scan_visitor *visitor,
                             dv_error *error)
{
    const dv_scan_postgres_options options = {
        .views = json_is_true(json_object_get(s->params, "views")),
    };
    return dv_scan_postgres(url, &options, &s->limits, visitor, &s->totals, error);
}

static dv_result report(dv_data_scanner *s, const json_t *summary)
{
    const dv_scan_totals *t = &s->totals;
    DV_TRY(dv_data_scanner_print(s, summary));
    dv_data_scanner_say(s, "scanned");
    fprintf(s->cli->err, "%s%s%s\n",
            t->devices > 0 ? "; other file systems passed over (--cross-devices enters them)" : "",
            t->stopped[0] != '\0' ? "; ended early: " : "", t->stopped);
    return DV_OK;
}

static dv_result scan(dv_data_scanner *s, dv_error *error)
{
    const char *path = text_param(s->params, "path");
    s->all = json_is_true(json_object_get(s->params, "all"));
    DV_TRY(dv_data_scanner_open(s, error));
    set_limits(s);
    DV_TRY(prepare_save(s, path, error));
    dv_scan_visitor visitor = dv_data_finder_visitor(s->finder);
    DV_TRY(dv_scan_is_postgres(path) ? scan_tables(s, path, &visitor, error)
                                     : scan_files(s, path, &visitor, error));
    json_t *summary = dv_data_scanner_summary(s);
    dv_result result = summary == NULL ? DV_ERR_NO_MEMORY : DV_OK;
    if (result == DV_OK && s->save != NULL) {
        result = dv_data_save_end(s->save, !dv_data_scanner_has_gaps(s), summary, error);
    }
    result = result == DV_OK ? report(s, summary) : result;
    json_decref(summary);
    return result;
}

int dv_command_data_scan(dv_cli *cli, const json_t *params)
{
    return dv_data_scanner_run(cli, params, scan);
}
