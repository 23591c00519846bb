/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/slice.h"
#include "cli/cli.h"

/* A file that is written as a stream and appears whole or not at all; "-" is standard output, where
 * only the exit status tells that it is whole. */
typedef struct dv_data_output {
    FILE *file;
    char *path;      /* NULL: standard output */
    char *temporary; /* beside it */
    dv_error *error; /* told what a put fails of; lives as long */
} dv_data_output;

/* Mode 0600. Errors: DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_output_open(dv_cli *cli, const char *path, dv_data_output *ret_output,
                                      dv_error *error);
/* A sink's put. */
dv_must dv_result dv_data_output_put(void *output, dv_slice bytes);
/* On disk under its name once this returns DV_OK. */
dv_must dv_result dv_data_output_commit(dv_data_output *output, dv_error *error);
/* Removes what was not committed. */
void dv_data_output_close(dv_data_output *output);
