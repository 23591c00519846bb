/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/yaml.h"

#include <jansson.h>

/* A file of YAML or JSON as JSON: plain true and false are booleans, plain decimal numbers
 * integers, every other scalar a string. *ret_json is a new reference. Errors: DV_ERR_NO_MEMORY,
 * DV_ERR_INVALID. */
dv_must dv_result dv_yaml_to_json(const dv_yaml *node, json_t **ret_json, dv_error *error);
