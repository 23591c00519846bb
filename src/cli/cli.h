/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What commands of the CLI work with. REST commands come whole from api/ROOM.yaml; a command under
 * `commands:` there with the id "up" is the function dv_command_up, declared by the generator. */

#include "base/result.h"
#include "core/schema.h"

#include <jansson.h>
#include <stdio.h>

enum { DV_EXIT_DONE = 0, DV_EXIT_FAILED = 1, DV_EXIT_USAGE = 2 };

typedef enum dv_output {
    DV_OUTPUT_TABLE,
    DV_OUTPUT_JSON,
    DV_OUTPUT_JSONL, /* one line for each row */
    DV_OUTPUT_YAML,
    DV_OUTPUT_CSV, /* the table's columns, as RFC 4180 has them */
} dv_output;

typedef struct dv_cli {
    const char *state_dir; /* --state, DVARA_STATE or what cli/state.h says */
    bool state_said;       /* by --state or DVARA_STATE */
    const char *url;       /* --url or DVARA_URL: remote; NULL: control.sock of the state */
    const char *program;   /* argv[0], for starting our other programs beside it */
    dv_output output;
    bool output_said; /* by --output */
    bool colour;      /* standard output is a terminal and NO_COLOR is not set */
    bool headless;    /* tables without the heading: the further pages of a list that is followed */
    bool follow;      /* --follow */
    FILE *out;
    FILE *err;
    struct dv_client *client; /* the connection, once there is one */
} dv_cli;

/* A command of our own: params is a checked object with defaults filled in. Returns the exit code;
 * says on cli->err what went wrong and what to do. */
typedef int (*dv_command_run)(dv_cli *cli, const json_t *params);

/* Prints a value in the chosen format. Tables: columns is a NULL-ended list of fields (NULL: one
 * line for each field); rows names the field that holds the rows (NULL: value itself, or an
 * array). Errors: DV_ERR_IO when standard output does not take it. */
dv_must dv_result dv_cli_print(dv_cli *cli, const json_t *value, const char *rows,
                               const char *const *columns);

/* Prints "dvara: message" on cli->err and returns DV_EXIT_FAILED. */
int dv_cli_fail(dv_cli *cli, const dv_error *error);

/* Calls an operation by its id. params and body may be NULL. On DV_OK *ret_answer is a new
 * reference (NULL: the answer had no body). Errors: the server's, as its results;
 * DV_ERR_UNAVAILABLE with advice when no server answers. */
dv_must dv_result dv_cli_call(dv_cli *cli, const char *operation_id, const json_t *params,
                              const json_t *body, json_t **ret_answer, dv_error *error);
