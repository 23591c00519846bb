/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data risk`, without a server. */
#include "cli/data_risk.h"

#include "api/commands.h"
#include "cli/data_read.h"
#include "crypto/random.h"

#include <inttypes.h>
#include <math.h>

typedef struct names {
    const char *items[DV_ANONYMIZE_COLUMNS_MAX];
    size_t count;
} names;

static const char *text_param(const json_t *params, const char *name)
{
    return json_string_value(json_object_get(params, name));
}

json_t *dv_data_risk_json(const dv_anonymize_risk *risk)
{
    return json_pack("{s:I, s:I, s:I, s:f, s:f}", "groups", (json_int_t)risk->groups, "smallest",
                     (json_int_t)risk->smallest, "unique", (json_int_t)risk->unique, "highest_risk",
                     risk->highest, "average_risk", risk->average);
}

static json_t *sensitive_json(const dv_spread *spread, const char *name)
{
    json_t *ratio = isfinite(spread->ratio) ? json_real(spread->ratio) : json_null();
    return json_pack("{s:s, s:I, s:f, s:o, s:f}", "name", name, "distinct",
                     (json_int_t)spread->distinct, "entropy", spread->entropy, "ratio", ratio,
                     "distance", spread->distance);
}

bool dv_data_risk_add(json_t *json, const dv_risk_answer *answer, const char *const *sensitive,
                      size_t count)
{
    json_t *list = json_array();
    json_t *journalist = json_null();
    if (answer->journalist_highest > 0) {
        journalist = json_pack("{s:f, s:f}", "highest_risk", answer->journalist_highest,
                               "average_risk", answer->journalist_average);
    }
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, sensitive_json(&answer->worst[i], sensitive[i]));
    }
    return json_object_set_new(json, "over_threshold", json_real(answer->over)) == 0 &&
           json_object_set_new(json, "journalist", journalist) == 0 &&
           json_object_set_new(json, "marketer", json_real(answer->marketer)) == 0 &&
           json_object_set_new(json, "sensitive", list) == 0 && json_array_size(list) == count;
}

/* "age,zip": into the arena. */
static dv_result split(const char *text, const char *what, dv_arena *arena, names *ret_names,
                       dv_error *error)
{
    dv_slice rest = text == NULL ? (dv_slice){NULL, 0} : dv_slice_str(text), part;
    names found = {.count = 0};
    while (rest.len > 0 && dv_slice_split(&rest, ',', &part)) {
        part = dv_slice_trim(part);
        if (part.len == 0 || found.count == DV_ANONYMIZE_COLUMNS_MAX) {
            return dv_error_set(error, DV_ERR_INVALID,
                                "--%s is a list of up to %d columns: age,zip,sex", what,
                                DV_ANONYMIZE_COLUMNS_MAX);
        }
        DV_TRY(dv_arena_copy(arena, part, &part));
        found.items[found.count++] = (const char *)part.ptr;
    }
    *ret_names = found;
    return DV_OK;
}

static json_t *set_json(const dv_risk_set *set, const names *quasi)
{
    char columns[DV_RISK_TOGETHER_MAX * 256] = "";
    size_t len = 0;
    for (size_t i = 0; i < set->count && len < sizeof(columns); i++) {
        len += (size_t)snprintf(columns + len, sizeof(columns) - len, "%s%.200s", i > 0 ? "," : "",
                                quasi->items[set->columns[i]]);
    }
    return json_pack("{s:s, s:I, s:I, s:f, s:f}", "columns", columns, "distinct",
                     (json_int_t)set->distinct, "unique", (json_int_t)set->unique, "distinction",
                     set->distinction, "separation", set->separation);
}

static json_t *answer_json(const dv_risk_answer *answer, const names *quasi, const names *sensitive)
{
    json_t *sets = json_array();
    json_t *json = json_pack("{s:I, s:o}", "records", (json_int_t)answer->records, "prosecutor",
                             dv_data_risk_json(&answer->risk));
    for (size_t i = 0; i < answer->set_count; i++) {
        json_array_append_new(sets, set_json(&answer->sets[i], quasi));
    }
    if (json == NULL || !dv_data_risk_add(json, answer, sensitive->items, sensitive->count) ||
        json_object_set_new(json, "items", sets) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static dv_result show(dv_cli *cli, const dv_risk_answer *answer, const names *quasi,
                      const names *sensitive)
{
    static const char *const columns[] = {"columns",     "distinct",   "unique",
                                          "distinction", "separation", NULL};
    json_t *json = answer_json(answer, quasi, sensitive);
    dv_result result = json == NULL ? DV_ERR_NO_MEMORY : dv_cli_print(cli, json, "items", columns);
    json_decref(json);
    DV_TRY(result);
    (void)fprintf(cli->err,
                  "%" PRIu64 " records in %" PRIu64
                  " groups that look alike, the smallest of %" PRIu64 ", %" PRIu64
                  " alone; highest risk %.4f, average %.4f, %.1f%% above the "
                  "threshold\n",
                  answer->records, answer->risk.groups, answer->risk.smallest, answer->risk.unique,
                  answer->risk.highest, answer->risk.average, 100 * answer->over);
    return DV_OK;
}

static dv_result measure(dv_cli *cli, const json_t *params, dv_error *error)
{
    dv_auto(arena) dv_arena *arena = dv_arena_new(16 << 20);
    names quasi, sensitive, ordered;
    bool is_ordered[DV_ANONYMIZE_COLUMNS_MAX] = {false};
    if (arena == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    DV_TRY(dv_process_undumpable());
    DV_TRY(split(text_param(params, "quasi"), "quasi", arena, &quasi, error));
    DV_TRY(split(text_param(params, "sensitive"), "sensitive", arena, &sensitive, error));
    DV_TRY(split(text_param(params, "ordered"), "ordered", arena, &ordered, error));
    for (size_t i = 0; i < ordered.count; i++) {
        size_t at = 0;
        while (at < sensitive.count && strcmp(sensitive.items[at], ordered.items[i]) != 0) {
            at++;
        }
        if (at == sensitive.count) {
            return dv_error_set(error, DV_ERR_INVALID, "'%s' is not one of --sensitive",
                                ordered.items[i]);
        }
        is_ordered[at] = true;
    }
    const dv_risk_question question = {
        .quasi = quasi.items,
        .quasi_count = quasi.count,
        .sensitive = sensitive.items,
        .ordered = is_ordered,
        .sensitive_count = sensitive.count,
        .l = (uint32_t)json_integer_value(json_object_get(params, "l")),
        .threshold = (double)json_integer_value(json_object_get(params, "threshold")) / 100,
        .population = (uint64_t)json_integer_value(json_object_get(params, "population")),
        .together = (uint32_t)json_integer_value(json_object_get(params, "together")),
    };
    FILE *in = NULL;
    dv_risk_answer answer;
    DV_TRY(dv_data_open(text_param(params, "input"), &in, error));
    const dv_walk_source source = {dv_data_read_file, in};
    dv_result result = dv_risk_csv(&question, &source, arena, &answer, error);
    dv_data_close(in);
    return result == DV_OK ? show(cli, &answer, &quasi, &sensitive) : result;
}

int dv_command_data_risk(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    dv_result result = measure(cli, params, &error);
    error.result = result;
    return result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
