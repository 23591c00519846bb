/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* Runs one command line and returns the exit code (DV_EXIT_*). */
int dv_cli_main(int argc, char **argv, FILE *out, FILE *err);
