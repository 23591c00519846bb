/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data anonymize`, without a server. */
#include "api/commands.h"
#include "base/caps.h"
#include "base/file.h"
#include "cli/data_output.h"
#include "cli/data_read.h"
#include "crypto/random.h"
#include "engine/detect/action/anonymize.h"

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

static dv_result read_rules(const json_t *params, dv_arena *arena, dv_anonymize_rules *ret_rules,
                            dv_error *error)
{
    const dv_yaml *root = NULL;
    dv_slice text;
    dv_auto(buf) dv_buf file = dv_buf_init(DV_LIMIT_CONFIG);
    DV_TRY(dv_file_read(text_param(params, "rules"), &file, error));
    DV_TRY(dv_arena_copy(arena, dv_buf_slice(&file), &text));
    DV_TRY(dv_yaml_parse(text, arena, &root, error));
    return dv_anonymize_rules_read(root, ret_rules, error);
}

static json_t *risk_json(const dv_anonymize_risk *risk)
{
    return json_pack("{s:I, s:I, s:I, s:f, s:f}", "groups", (json_int_t)risk->groups, "smallest",
                     (json_int_t)risk->smallest, "unique", (json_int_t)risk->unique, "highest_risk",
                     risk->highest, "average_risk", risk->average);
}

static dv_result show(dv_cli *cli, const dv_anonymize_report *report)
{
    json_t *value = json_pack("{s:I, s:o, s:o, s:f}", "records", (json_int_t)report->records,
                              "before", risk_json(&report->before), "after",
                              risk_json(&report->after), "loss", report->loss);
    dv_result result = value == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, value, NULL, NULL);
    json_decref(value);
    return result;
}

static dv_result write_table(dv_cli *cli, const json_t *params, const dv_anonymize_rules *rules,
                             FILE *in, dv_data_output *place, dv_error *error)
{
    const dv_walk_source source = {dv_data_read_file, in};
    const dv_transform_sink sink = {dv_data_output_put, place};
    dv_anonymize_report report = {0};
    DV_TRY(dv_data_output_open(cli, text_param(params, "out"), place, error));
    DV_TRY(dv_anonymize_csv(rules, &source, &sink, &report, error));
    DV_TRY(dv_data_output_commit(place, error));
    return place->path == NULL ? DV_OK : show(cli, &report);
}

static dv_result anonymize(dv_cli *cli, const json_t *params, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    dv_anonymize_rules rules;
    const char *input = text_param(params, "input");
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_process_undumpable());
    DV_TRY(read_rules(params, arena, &rules, error));
    FILE *in = NULL;
    DV_TRY(dv_data_open(input, &in, error));
    dv_data_output place = {.file = NULL};
    dv_result result = write_table(cli, params, &rules, in, &place, error);
    dv_data_output_close(&place);
    dv_data_close(in);
    return result;
}

int dv_command_data_anonymize(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_result result = anonymize(cli, params, &error);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
