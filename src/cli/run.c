/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run.h"

#include "cli/client.h"
#include "cli/help.h"
#include "cli/parse.h"
#include "cli/state.h"
#include "cli/visible.h"

#include <unistd.h>

enum { FOLLOW_MS = 500 };

/* Who acts stands in the records: a key that is not used must not look as if it were. */
static void warn_of_unused_key(const dv_cli *cli, const char *api_key)
{
    if (cli->url == NULL && api_key != NULL && api_key[0] != '\0') {
        fputs("dvara: DVARA_API_KEY is not used: without --url (or DVARA_URL) you act as the one "
              "who is logged in on this machine\n",
              cli->err);
    }
}

/* Opened at the first call, closed with the command. */
static dv_result connect_once(dv_cli *cli, dv_error *error)
{
    if (cli->client != NULL) {
        return DV_OK;
    }
    const char *api_key = getenv("DVARA_API_KEY");
    warn_of_unused_key(cli, api_key);
    return dv_client_open(cli->state_dir, cli->url, api_key, &cli->client, error);
}

static const dv_operation *find_operation(const char *id)
{
    for (size_t i = 0; i < dv_operation_count; i++) {
        if (strcmp(dv_operations[i].id, id) == 0) {
            return &dv_operations[i];
        }
    }
    return NULL;
}

dv_result dv_cli_call(dv_cli *cli, const char *operation_id, const json_t *params,
                      const json_t *body, json_t **ret_answer, dv_error *error)
{
    const dv_operation *operation = find_operation(operation_id);
    if (operation == NULL) {
        return dv_error_set(error, DV_ERR_INTERNAL, "no operation %s", operation_id);
    }
    DV_TRY(connect_once(cli, error));
    return dv_client_call(cli->client, operation, params, body, ret_answer, error);
}

/* What is followed has no end to wait for. */
static bool prints_as_it_comes(const dv_cli *cli, const dv_cli_line *line)
{
    return line->follow || cli->output == DV_OUTPUT_JSONL;
}

/* A list of what the log holds may begin later than it was asked to. */
static void tell_pruned(const dv_cli *cli, const json_t *page)
{
    const json_t *pruned = json_object_get(page, "pruned");
    if (json_is_integer(pruned)) {
        fprintf(cli->err, "dvara: events before %lld are pruned: it begins there\n",
                (long long)json_integer_value(pruned));
    }
}

/* Prints one page of a list as it comes, or keeps its rows for the end. */
static dv_result take_page(dv_cli *cli, const dv_cli_line *line, const json_t *page, json_t *all)
{
    const dv_cli_command *command = line->command;
    const json_t *rows = json_object_get(page, command->rows);
    tell_pruned(cli, page);
    if (prints_as_it_comes(cli, line)) {
        if (json_array_size(rows) == 0) {
            return DV_OK;
        }
        DV_TRY(dv_cli_print(cli, page, command->rows, command->columns));
        cli->headless = true;
        return fflush(cli->out) == 0 ? DV_OK : DV_ERR_IO;
    }
    return json_array_extend(all, (json_t *)(uintptr_t)rows) == 0 ? DV_OK : DV_ERR_CORRUPT;
}

/* Asks page by page until there is no next one, or for ever when following. */
static dv_result fetch_pages(dv_cli *cli, const dv_cli_line *line, json_t *all, dv_error *error)
{
    const dv_cli_command *command = line->command;
    bool one_page = json_object_get(line->params, "limit") != NULL && !line->follow;
    for (;;) {
        json_t *page = NULL;
        DV_TRY(dv_client_call(cli->client, command->operation, line->params, NULL, &page, error));
        dv_result result = take_page(cli, line, page, all);
        json_t *next = json_incref(json_object_get(page, "next"));
        bool empty = json_array_size(json_object_get(page, command->rows)) == 0;
        json_decref(page);
        if (result != DV_OK || next == NULL || one_page || (empty && !line->follow)) {
            json_decref(next);
            return result;
        }
        json_object_set_new(line->params, "cursor", next);
        if (empty) {
            usleep(FOLLOW_MS * 1000);
        }
    }
}

static dv_result run_list(dv_cli *cli, const dv_cli_line *line, dv_error *error)
{
    json_t *all = json_array();
    json_t *whole = all != NULL ? json_pack("{s:o}", line->command->rows, all) : NULL;
    if (whole == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    dv_result result = fetch_pages(cli, line, all, error);
    if (result == DV_OK && !prints_as_it_comes(cli, line)) {
        result = dv_cli_print(cli, whole, line->command->rows, line->command->columns);
    }
    json_decref(whole);
    return result;
}

static dv_result run_single(dv_cli *cli, const dv_cli_line *line, dv_error *error)
{
    const dv_cli_command *command = line->command;
    json_t *answer = NULL;
    DV_TRY(
        dv_client_call(cli->client, command->operation, line->params, line->body, &answer, error));
    dv_result result = DV_OK;
    if (answer != NULL) {
        result = dv_cli_print(cli, answer, command->rows, command->columns);
    }
    json_decref(answer);
    return result;
}

static int run_operation(dv_cli *cli, const dv_cli_line *line)
{
    dv_error error = {0};
    dv_result result = connect_once(cli, &error);
    if (result == DV_OK) {
        result = line->command->operation->list ? run_list(cli, line, &error)
                                                : run_single(cli, line, &error);
    }
    if (result == DV_OK) {
        return DV_EXIT_DONE;
    }
    error.result = result;
    return dv_cli_fail(cli, &error);
}

static int run_command(dv_cli *cli, const dv_cli_line *line)
{
    char *state_dir = dv_cli_state_dir(line->globals.state, &cli->state_said);
    if (state_dir == NULL) {
        fputs("dvara: where is the state? Say --state DIR.\n", cli->err);
        return DV_EXIT_USAGE;
    }
    cli->state_dir = state_dir;
    cli->follow = line->follow;
    int status = line->command->run != NULL ? line->command->run(cli, line->params)
                                            : run_operation(cli, line);
    dv_client_close(cli->client);
    free(state_dir);
    return status;
}

static int usage_error(const dv_cli *cli, const dv_cli_line *line, const dv_error *error)
{
    fputs("dvara: ", cli->err);
    dv_visible_write(cli->err, error->message);
    fputc('\n', cli->err);
    if (line->command != NULL) {
        fprintf(cli->err, "example: %s\n", line->command->example);
    }
    return error->result == DV_ERR_INVALID ? DV_EXIT_USAGE : DV_EXIT_FAILED;
}

static int show_help(const dv_cli *cli, const dv_cli_line *line)
{
    if (line->command != NULL) {
        dv_help_command(cli->out, line->command);
    } else if (line->noun != NULL) {
        dv_help_noun(cli->out, line->noun, line->head);
    } else {
        dv_help_overview(cli->out);
    }
    return fflush(cli->out) == 0 ? DV_EXIT_DONE : DV_EXIT_FAILED;
}

int dv_cli_main(int argc, char **argv, FILE *out, FILE *err)
{
    dv_auto(cli_line) dv_cli_line line = {0};
    dv_error error = {0};
    dv_cli cli = {.program = argv[0], .out = out, .err = err};
    dv_result result = dv_cli_parse(argc, argv, &line, &error);
    if (result != DV_OK) {
        error.result = result;
        return usage_error(&cli, &line, &error);
    }
    cli.output = line.globals.output;
    cli.output_said = line.globals.output_said;
    cli.url = line.globals.url != NULL ? line.globals.url : getenv("DVARA_URL");
    cli.colour = isatty(fileno(out)) && getenv("NO_COLOR") == NULL;
    if (line.globals.help || line.noun == NULL) {
        return show_help(&cli, &line);
    }
    if (line.command == NULL) {
        dv_help_noun(err, line.noun, line.head);
        return DV_EXIT_USAGE;
    }
    return run_command(&cli, &line);
}
