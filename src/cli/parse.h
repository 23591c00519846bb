/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads a command line by the generated table. */

#include "cli/command.h"

typedef struct dv_cli_globals {
    dv_output output;
    bool output_said;
    const char *state; /* --state, or NULL */
    const char *url;   /* --url, or NULL */
    bool help;
} dv_cli_globals;

typedef struct dv_cli_line {
    dv_cli_globals globals;
    const dv_cli_noun *noun;       /* NULL: no command was given */
    const char *head;              /* the first word of a verb of two, or NULL */
    const dv_cli_command *command; /* NULL: no verb was given */
    json_t *params;                /* of path, query or command; owned */
    json_t *body;                  /* owned; NULL: none */
    bool follow;
} dv_cli_line;

/* Reads argv[1..]. Secrets come from files, standard input or a prompt, never from argv.
 * Errors: DV_ERR_INVALID: the line is wrong, the message says how and what to do; DV_ERR_IO: a file
 * that it names; DV_ERR_NO_MEMORY. With --help nothing is checked but the command's name. What was
 * read before an error stays in *line, for the help that follows; release it in any case. */
dv_must dv_result dv_cli_parse(int argc, char **argv, dv_cli_line *line, dv_error *error);
void dv_cli_line_release(dv_cli_line *line);
DV_DEFINE_AUTO(cli_line, dv_cli_line, dv_cli_line_release)
