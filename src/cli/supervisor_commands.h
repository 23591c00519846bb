/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

#include <limits.h>

/* The folder of dvarad, dvara-logd and the module: beside this program, or PREFIX/libexec/dvara.
 * Errors: DV_ERR_NOT_FOUND, DV_ERR_IO. */
dv_must dv_result dv_find_programs(char ret_folder[PATH_MAX], dv_error *error);

/* dv_link_ask of the supervisor of this state. Errors: DV_ERR_NOT_FOUND (none runs),
 * DV_ERR_UNAVAILABLE. */
dv_must dv_result dv_ask_supervisor(const dv_cli *cli, const char *request, int seconds,
                                    json_t **ret_answer, dv_error *error);
