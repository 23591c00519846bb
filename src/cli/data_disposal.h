/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What removing files and deleting rows share: both do what a running Dvara says is due. */

#include "cli/cli.h"

#include <jansson.h>

typedef struct dv_disposal_job {
    dv_cli *cli;
    const char *rule;     /* or NULL */
    const char *root;     /* --root, or NULL */
    const char *request;  /* that was approved, or NULL */
    const char *interest; /* the source that the user named, or NULL */
    const char *database; /* the URL, or NULL: files */
    bool try_only;
    bool yes;
    json_t *done;  /* rows that are printed */
    uint64_t left; /* due, and there still */
} dv_disposal_job;

typedef dv_result (*dv_disposal_row)(dv_disposal_job *d, const json_t *row, void *data,
                                     dv_error *error);

/* Calls row() for all rows of a list. params is borrowed. */
dv_must dv_result dv_disposal_each(dv_disposal_job *d, const char *operation, const json_t *params,
                                   dv_disposal_row row, void *data, dv_error *error);
/* Of what is due: by the plan, or of the request. */
dv_must dv_result dv_disposal_each_due(dv_disposal_job *d, dv_disposal_row row, void *data,
                                       dv_error *error);
/* Whether a row of the plan or of a request is to go by what the user asked for. */
bool dv_disposal_goes(const dv_disposal_job *d, const json_t *row);
/* Asks on the terminal. Errors: DV_ERR_CONFLICT: no; DV_ERR_INVALID: nobody is there. */
dv_must dv_result dv_disposal_confirm(const dv_disposal_job *d, const char *what, dv_error *error);
/* Tells Dvara; *ret_answer is the caller's. */
dv_must dv_result dv_disposal_tell(dv_disposal_job *d, const char *run, json_t *items,
                                   json_t **ret_answer, dv_error *error);
/* Ends a run; *ret_ended is the caller's. */
dv_must dv_result dv_disposal_end(dv_disposal_job *d, const char *run, json_t **ret_ended,
                                  dv_error *error);
/* DV_ERR_CONFLICT where something needs an approval, with what to do: no fault of the rest. */
dv_must dv_result dv_disposal_tell_held(const dv_disposal_job *d, uint64_t held, dv_error *error);

/* --- rows of tables (data_disposal_tables.c) ------------------------------------------------- */

dv_must dv_result dv_disposal_tables(dv_disposal_job *d, dv_error *error);
dv_must dv_result dv_disposal_tables_print(const dv_disposal_job *d, const json_t *all);
