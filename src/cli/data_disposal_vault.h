/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* `dvara data disposal run --vault NAME`: what `dvara data disposal run` does with it. */
int dv_data_disposal_vault(dv_cli *cli, const json_t *params);
