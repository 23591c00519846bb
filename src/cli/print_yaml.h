/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"

#include <jansson.h>
#include <stdio.h>

/* Prints the value as one YAML 1.1 document. Every string value is quoted, so that no reader takes
 * it for another type. Errors: DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_cli_print_yaml(FILE *out, const json_t *value);
