/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* `dvara data disposal run --cases`: what `dvara data disposal run` does with it. */
int dv_data_disposal_cases(dv_cli *cli, const json_t *params);
