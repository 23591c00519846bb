/* SPDX-License-Identifier: Apache-2.0 */
/* `dvara data disposal run --cases`: has dvarad remove its closed cases whose time is over now. */
#include "cli/data_disposal_cases.h"

#include "api/commands.h"
#include "base/slice.h"

#include <string.h>
#include <unistd.h>

typedef struct job {
    dv_cli *cli;
    json_t *rows; /* of the plan, or the runs */
    uint64_t due;
} job;

static dv_result take_page(job *j, const json_t *page)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(page, "items"), i, one)
    {
        const char *status = json_string_value(json_object_get(one, "status"));
        j->due += status != NULL && strcmp(status, "due") == 0;
        DV_TRY(json_array_append(j->rows, one) == 0 ? DV_OK : DV_ERR_NO_MEMORY);
    }
    return DV_OK;
}

static dv_result read_plan(job *j, dv_error *error)
{
    json_t *params = json_pack("{s:i}", "limit", 1000), *next = NULL;
    dv_result result = params != NULL ? DV_OK : DV_ERR_NO_MEMORY;
    do {
        json_t *page = NULL;
        result = result == DV_OK
                     ? dv_cli_call(j->cli, "data_disposal_cases", params, NULL, &page, error)
                     : result;
        result = result == DV_OK ? take_page(j, page) : result;
        next = json_incref(json_object_get(page, "next"));
        if (next != NULL && json_object_set_new(params, "cursor", next) != 0) {
            result = DV_ERR_NO_MEMORY;
        }
        json_decref(page);
    } while (result == DV_OK && next != NULL);
    json_decref(params);
    return result;
}

static dv_result ask(const job *j, dv_error *error)
{
    char line[16] = "";
    if (isatty(STDIN_FILENO) != 1) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "%llu closed cases would be destroyed and never come back: --dry-run "
                            "lists them, --yes does it",
                            (unsigned long long)j->due);
    }
    fprintf(j->cli->err,
            "%llu closed cases are destroyed and never come back (--dry-run lists them). Type "
            "\"destroy\" to go on: ",
            (unsigned long long)j->due);
    fflush(j->cli->err);
    dv_slice typed = fgets(line, sizeof(line), stdin) != NULL ? dv_slice_trim(dv_slice_str(line))
                                                              : dv_slice_str("");
    return dv_slice_eq_str(typed, "destroy")
               ? DV_OK
               : dv_error_set(error, DV_ERR_CONFLICT, "nothing was destroyed");
}

/* Round by round, until dvarad has looked at all of them. */
static dv_result run_all(job *j, dv_error *error)
{
    bool more = true;
    json_array_clear(j->rows);
    for (bool go_on = false; more; go_on = true) {
        json_t *run = NULL, *body = json_pack("{s:b}", "go_on", (int)go_on);
        dv_result result =
            body == NULL ? DV_ERR_NO_MEMORY
                         : dv_cli_call(j->cli, "data_disposal_cases_run", NULL, body, &run, error);
        json_decref(body);
        DV_TRY(result);
        more = json_is_true(json_object_get(run, "more"));
        bool some = json_integer_value(json_object_get(run, "files")) > 0;
        result = some && json_array_append(j->rows, run) != 0 ? DV_ERR_NO_MEMORY : DV_OK;
        json_decref(run);
        DV_TRY(result);
    }
    return DV_OK;
}

static dv_result print(const job *j, bool dry)
{
    static const char *const run_columns[] = {"id", "files", "destroyed", "source", NULL};
    static const char *const dry_columns[] = {"status", "case", "type", "closed",
                                              "rule",   "why",  NULL};
    json_t *all = json_pack("{s:O}", "items", j->rows);
    dv_result result = all == NULL
                           ? DV_ERR_NO_MEMORY
                           : dv_cli_print(j->cli, all, "items", dry ? dry_columns : run_columns);
    json_decref(all);
    return result;
}

/* What is for other things changes nothing here, and so is not taken. */
static dv_result refuse_others(const json_t *params, dv_error *error)
{
    static const char *const others[] = {"database", "source",   "root", "rule",
                                         "request",  "key_file", "file"};
    for (size_t i = 0; i < DV_ARRAY_LEN(others); i++) {
        if (json_object_get(params, others[i]) != NULL) {
            return dv_error_set(error, DV_ERR_INVALID, "%s is not for --cases", others[i]);
        }
    }
    return DV_OK;
}

static dv_result run_cases(job *j, const json_t *params, dv_error *error)
{
    bool dry = json_is_true(json_object_get(params, "dry_run"));
    DV_TRY(j->rows == NULL ? DV_ERR_NO_MEMORY : DV_OK);
    DV_TRY(refuse_others(params, error));
    DV_TRY(read_plan(j, error));
    if (!dry) {
        DV_TRY(j->due == 0 || json_is_true(json_object_get(params, "yes")) ? DV_OK : ask(j, error));
        DV_TRY(run_all(j, error));
    }
    return print(j, dry);
}

int dv_data_disposal_cases(dv_cli *cli, const json_t *params)
{
    dv_error error = {0};
    job j = {.cli = cli, .rows = json_array()};
    error.result = run_cases(&j, params, &error);
    json_decref(j.rows);
    return error.result == DV_OK ? DV_EXIT_DONE : dv_cli_fail(cli, &error);
}
