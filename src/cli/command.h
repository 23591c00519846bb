/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The table of commands that tools/generate makes from api/. */

#include "cli/cli.h"
#include "core/operation.h"

typedef enum dv_input_place {
    DV_INPUT_PATH,
    DV_INPUT_QUERY,
    DV_INPUT_BODY,
    DV_INPUT_OWN, /* of a command that is no operation */
} dv_input_place;

/* One argument or flag. */
typedef struct dv_cli_input {
    const char *flag;  /* "max-age" */
    const char *field; /* "max_age" */
    const char *doc;
    const dv_schema *schema;
    dv_input_place place;
    bool required;
} dv_cli_input;

typedef struct dv_cli_command {
    const char *noun;
    const char *verb; /* "": the noun is the whole command */
    const char *summary;
    const char *description;       /* or "" */
    const char *example;           /* one line or several */
    const dv_operation *operation; /* NULL: run */
    dv_command_run run;            /* NULL: operation */
    const dv_cli_input *inputs;    /* arguments first */
    size_t input_count;
    size_t arg_count;
    const char *const *columns; /* NULL-ended, or NULL */
    const char *rows;           /* field with the table's rows, or NULL */
    bool follow;
    bool remote; /* it calls the API, and so takes --url */
} dv_cli_command;

typedef struct dv_cli_noun {
    const char *name;
    const char *doc;
} dv_cli_noun;

/* Generated; commands of one noun stand together, nouns in the order of their table. */
extern const dv_cli_command dv_cli_commands[];
extern const size_t dv_cli_command_count;
extern const dv_cli_noun dv_cli_nouns[];
extern const size_t dv_cli_noun_count;
