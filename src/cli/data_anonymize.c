/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data anonymize`, without a server. What was made is read back and measured before it gets
 * its name. */
#include "api/commands.h"
#include "base/caps.h"
#include "base/file.h"
#include "cli/data_output.h"
#include "cli/data_read.h"
#include "cli/data_risk.h"
#include "crypto/random.h"

#include <errno.h>

enum { RULES_ARENA = 512 << 20 };

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

/* ---- rules ---- */

/* Files of hierarchies lie beside the rules unless their path says otherwise. */
static dv_result read_hierarchy(const char *rules_path, dv_hierarchy *h, dv_arena *arena,
                                dv_error *error)
{
    const char *slash = strrchr(rules_path, '/');
    int folder = h->file[0] == '/' || slash == NULL ? 0 : (int)(slash - rules_path + 1);
    const char *path = dv_arena_printf(arena, "%.*s%s", folder, rules_path, h->file);
    dv_auto(buf) dv_buf file = dv_buf_init(DV_HIERARCHY_FILE_MAX);
    if (path == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_file_read(path, &file, error));
    dv_result result = dv_hierarchy_read_csv(dv_buf_slice(&file), arena, h, error);
    if (result != DV_OK && error->message[0] != '\0') {
        char message[DV_ERROR_MESSAGE_MAX];
        (void)snprintf(message, sizeof(message), "%s", error->message);
        return dv_error_set_at(error, result, error->line, 0, "%.100s: %.380s", h->file, message);
    }
    return result;
}

static dv_result read_rules(const json_t *params, dv_arena *arena, dv_anonymize_rules *ret_rules,
                            dv_error *error)
{
    const dv_yaml *root = NULL;
    const char *path = text_param(params, "rules");
    dv_slice text;
    dv_auto(buf) dv_buf file = dv_buf_init(DV_LIMIT_CONFIG);
    DV_TRY(dv_file_read(path, &file, error));
    DV_TRY(dv_arena_copy(arena, dv_buf_slice(&file), &text));
    DV_TRY(dv_yaml_parse(text, arena, &root, error));
    DV_TRY(dv_anonymize_rules_read(root, arena, ret_rules, error));
    for (size_t i = 0; i < ret_rules->quasi_count; i++) {
        dv_hierarchy *h = &ret_rules->hierarchies[i];
        DV_TRY(h->file == NULL ? DV_OK : read_hierarchy(path, h, arena, error));
    }
    return DV_OK;
}

/* ---- what became of it ---- */

static json_t *losses_json(const dv_anonymize_rules *rules, const dv_anonymize_report *report)
{
    json_t *list = json_array();
    for (size_t i = 0; i < rules->quasi_count; i++) {
        json_array_append_new(
            list, json_pack("{s:s, s:f}", "name", rules->quasi[i], "loss", report->losses[i]));
    }
    return list;
}

static dv_result show(dv_cli *cli, const dv_anonymize_rules *rules,
                      const dv_anonymize_report *report, const dv_risk_answer *answer)
{
    json_t *value =
        json_pack("{s:I, s:I, s:o, s:o, s:f, s:o}", "records", (json_int_t)report->records,
                  "suppressed", (json_int_t)report->suppressed, "before",
                  dv_data_risk_json(&report->before), "after", dv_data_risk_json(&answer->risk),
                  "loss", report->loss, "columns", losses_json(rules, report));
    bool whole =
        value != NULL && dv_data_risk_add(value, answer, rules->sensitive, rules->sensitive_count);
    dv_result result = whole ? dv_cli_print(cli, value, NULL, NULL) : DV_ERR_NO_MEMORY;
    json_decref(value);
    return result;
}

/* Knows nothing of how the table was made. */
static dv_result measure(const json_t *params, const dv_anonymize_rules *rules,
                         const dv_anonymize_report *report, FILE *made, dv_arena *arena,
                         dv_risk_answer *ret_answer, dv_error *error)
{
    const dv_walk_source source = {dv_data_read_file, made};
    const dv_risk_question question = {
        .quasi = rules->quasi,
        .quasi_count = rules->quasi_count,
        .sensitive = rules->sensitive,
        .ordered = rules->ordered,
        .sensitive_count = rules->sensitive_count,
        .l = rules->spread.l,
        .separator = report->separator,
        .threshold = (double)json_integer_value(json_object_get(params, "threshold")) / 100,
        .population = (uint64_t)json_integer_value(json_object_get(params, "population")),
    };
    DV_TRY(dv_risk_csv(&question, &source, arena, ret_answer, error));
    DV_TRY(dv_risk_check(rules, ret_answer, error));
    bool right = report->records - report->suppressed == ret_answer->records &&
                 (double)report->suppressed <= rules->suppress * (double)report->records + 1e-9;
    return right ? DV_OK
                 : dv_error_set(error, DV_ERR_CONFLICT,
                                "the result has %llu records of %llu, more are left out than may "
                                "be",
                                (unsigned long long)ret_answer->records,
                                (unsigned long long)report->records);
}

/* ---- doing it ---- */

static dv_result copy_out(FILE *from, dv_data_output *place)
{
    uint8_t piece[64 << 10];
    size_t len;
    rewind(from);
    while ((len = fread(piece, 1, sizeof(piece), from)) > 0) {
        DV_TRY(dv_data_output_put(place, dv_slice_of(piece, len)));
    }
    return ferror(from) ? DV_ERR_IO : DV_OK;
}

static dv_result spool_failed(dv_error *error)
{
    return dv_error_set(error, DV_ERR_IO, "can not keep the result in a temporary file: %s",
                        strerror(errno));
}

/* made: a file without a name. */
static dv_result make(dv_cli *cli, const json_t *params, FILE *in, FILE *made,
                      dv_data_output *place, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(RULES_ARENA);
    dv_data_output spool = {.file = made, .error = error};
    const dv_walk_source source = {dv_data_read_file, in};
    const dv_transform_sink sink = {dv_data_output_put, &spool};
    dv_anonymize_rules rules;
    dv_anonymize_report report = {0};
    dv_risk_answer answer;
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(read_rules(params, arena, &rules, error));
    DV_TRY(dv_anonymize_csv(&rules, &source, &sink, &report, error));
    if (fflush(made) != 0) {
        return spool_failed(error);
    }
    rewind(made);
    DV_TRY(measure(params, &rules, &report, made, arena, &answer, error));
    DV_TRY(copy_out(made, place));
    DV_TRY(dv_data_output_commit(place, error));
    return place->path == NULL ? DV_OK : show(cli, &rules, &report, &answer);
}

static dv_result anonymize(dv_cli *cli, const json_t *params, dv_error *error)
{
    FILE *in = NULL;
    dv_data_output place = {.file = NULL};
    DV_TRY(dv_process_undumpable());
    DV_TRY(dv_data_open(text_param(params, "input"), &in, error));
    dv_result result = dv_data_output_open(cli, text_param(params, "out"), &place, error);
    FILE *made = result == DV_OK ? tmpfile() : NULL;
    if (result == DV_OK) {
        result = made == NULL ? spool_failed(error) : make(cli, params, in, made, &place, error);
    }
    if (made != NULL) {
        (void)fclose(made);
    }
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
