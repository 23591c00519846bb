/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Checks values against the generated schema tables (JSON Schema 2020-12, the part that
 * core/schema.h names). */

#include "base/result.h"
#include "base/slice.h"
#include "core/schema.h"

#include <jansson.h>

enum { DV_FIELD_MAX = 256 };

/* Checks the value and fills in the defaults of absent fields of its objects. field comes with the
 * name of what is checked ("": the whole request). On an error it has the place ("roles.0") and
 * error says what is wrong there, without showing the value. Errors: DV_ERR_INVALID,
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_check_value(const dv_schema *schema, json_t *value, char field[DV_FIELD_MAX],
                                 dv_error *error);

/* Turns a parameter's text into the value that the schema speaks of: whole numbers, true and
 * false, comma lists; all else is text. Errors: DV_ERR_INVALID, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_check_read(const dv_schema *schema, dv_slice text, json_t **ret_value,
                                dv_error *error);
