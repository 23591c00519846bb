/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data copy`: a masked copy of a database or of files, without a server. */
#include "cli/data_copy.h"

#include "api/commands.h"
#include "crypto/random.h"
#include "engine/scan/postgres.h"

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static bool is_set(const json_t *params, const char *name)
{
    return json_is_true(json_object_get(params, name));
}

static dv_result drop(void *data, dv_slice bytes)
{
    (void)data;
    (void)bytes;
    return DV_OK;
}

const dv_transform_sink dv_copy_nowhere = {drop, NULL};

dv_result dv_copy_look_setup(const dv_copy *copy, const dv_transform_watch *watch, dv_arena *arena,
                             dv_transform_setup *ret_setup)
{
    static const dv_action redact = {.kind = DV_ACT_REDACT};
    dv_action_rules *rules = NULL;
    dv_error none = {0};
    DV_TRY(dv_action_rules_read(NULL, &redact, arena, &rules, &none));
    *ret_setup = copy->tools->setup;
    ret_setup->rules = rules;
    ret_setup->watch = watch;
    return DV_OK;
}

/* ---- what is told ---- */

static dv_result show_plan(dv_cli *cli, const dv_copy_plan *plan)
{
    static const char *const columns[] = {"place", "column",    "sensitivity", "state",
                                          "rule",  "suggested", "why",         NULL};
    json_t *json = dv_copy_plan_json(plan);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, "items", columns);
    json_decref(json);
    return result;
}

static dv_result show_leaks(dv_cli *cli, const dv_copy_leaks *leaks)
{
    static const char *const columns[] = {"place", "column", "kind", "values", NULL};
    json_t *json = json_pack("{s:o}", "items", dv_copy_leaks_json(leaks));
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, "items", columns);
    json_decref(json);
    return result;
}

static dv_result show_done(dv_cli *cli, const dv_copy *copy)
{
    json_t *json = json_pack("{s:I, s:I, s:I, s:I, s:b}", "places", (json_int_t)copy->places,
                             "records", (json_int_t)copy->counts.records, "values_hidden",
                             (json_int_t)copy->counts.values, "large_objects_left_out",
                             (json_int_t)copy->large_objects, "looked_at", 1);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, NULL, NULL);
    json_decref(json);
    return result;
}

/* ---- doing it ---- */

static dv_result check_flags(const dv_copy *copy, dv_error *error)
{
    return dv_scan_is_postgres(copy->source) == dv_scan_is_postgres(copy->target)
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID,
                              "a database is copied to a database, files to a folder or file");
}

/* Values that do not stand in clear are looked for, too: bytea is hexadecimal in a dump. */
static dv_result open_tools(const json_t *params, dv_data_tools *tools, dv_error *error)
{
    const dv_action redact = {.kind = DV_ACT_REDACT};
    json_t *own = json_copy((json_t *)(uintptr_t)params);
    dv_result result = own == NULL || json_object_set_new(own, "decode", json_true()) != 0
                           ? DV_ERR_NO_MEMORY
                           : dv_data_tools_open(own, &redact, false, tools, error);
    json_decref(own);
    return result;
}

/* ret_refused: told, and nothing was done. */
static dv_result plan_copy(dv_cli *cli, const json_t *params, dv_copy *copy, bool *ret_refused,
                           dv_error *error)
{
    json_int_t rows = json_integer_value(json_object_get(params, "rows"));
    DV_TRY(dv_copy_plan_new(copy->tools->rules, text_param(params, "accept"),
                            &copy->tools->setup.walk.enabled, is_set(params, "names"), &copy->plan,
                            error));
    DV_TRY(dv_copy_plan_scan(copy->plan, copy->source, (uint64_t)rows, error));
    DV_TRY((dv_scan_is_postgres(copy->source) ? dv_copy_tables_check : dv_copy_files_check)(copy,
                                                                                            error));
    (void)dv_copy_plan_accepts(copy->plan, DV_LIT("definitions"), (dv_slice){NULL, 0});
    const char *unknown = dv_copy_plan_unknown(copy->plan);
    if (unknown != NULL) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--accept names '%s', and the source has no such column or file",
                            unknown);
    }
    size_t refused = dv_copy_plan_refused(copy->plan);
    *ret_refused = refused > 0;
    if (refused > 0 || is_set(params, "check")) {
        DV_TRY(show_plan(cli, copy->plan));
    }
    if (refused > 0) {
        (void)fprintf(cli->err,
                      "dvara: refused: %zu would go out as they are (state open or unread): give "
                      "each column a rule under columns:, or --accept it\n",
                      refused);
    }
    return DV_OK;
}

static dv_result copy_all(dv_cli *cli, const json_t *params, dv_copy *copy, bool *ret_failed,
                          dv_error *error)
{
    dv_transform_watch watch;
    DV_TRY(dv_process_undumpable()); /* keys and values */
    DV_TRY(check_flags(copy, error));
    DV_TRY(open_tools(params, copy->tools, error));
    DV_TRY(plan_copy(cli, params, copy, ret_failed, error));
    if (*ret_failed || is_set(params, "check")) {
        return DV_OK;
    }
    DV_TRY(dv_copy_leaks_new(copy->plan, &copy->leaks));
    watch = dv_copy_leaks_learn(copy->leaks);
    copy->tools->setup.watch = &watch;
    dv_result result =
        (dv_scan_is_postgres(copy->source) ? dv_copy_tables : dv_copy_files)(copy, error);
    copy->tools->setup.watch = NULL;
    DV_TRY(result);
    uint64_t leaked = dv_copy_leaks_count(copy->leaks);
    *ret_failed = leaked > 0;
    if (leaked == 0) {
        return show_done(cli, copy);
    }
    DV_TRY(show_leaks(cli, copy->leaks));
    (void)fprintf(cli->err,
                  "dvara: %llu values that were hidden stand in the copy all the same, so there is "
                  "none: give these columns a rule, or --accept them\n",
                  (unsigned long long)leaked);
    return DV_OK;
}

int dv_command_data_copy(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_data_tools tools = {.arena = NULL};
    bool failed = false;
    dv_copy copy = {.source = text_param(params, "source"),
                    .target = text_param(params, "target"),
                    .replace = is_set(params, "replace"),
                    .tools = &tools};
    dv_result result = copy_all(cli, params, &copy, &failed, &error);
    dv_copy_leaks_free(copy.leaks);
    dv_copy_plan_free(copy.plan);
    dv_data_tools_close(&tools);
    if (result == DV_ERR_TOO_LARGE && error.message[0] == '\0') {
        (void)dv_error_set(&error, result, "more values are hidden than can be looked for");
    }
    error.result = result;
    return result != DV_OK ? dv_cli_fail(cli, &error) : failed ? DV_EXIT_FAILED : DV_EXIT_DONE;
}
