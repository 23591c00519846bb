/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The inventory: what its parts share. Tables: migrations/0010-data.sql. */

#include "core/operation.h"

/* 0 to 3 of "public", "internal", "confidential", "restricted" (checked by the schema); -1: NULL.
 */
int64_t dv_data_level_number(const char *name);
const char *dv_data_level_word(int64_t number);

/* A list of words as the store keeps it, "a,b", in the arena; NULL when memory is out. */
const char *dv_data_words_text(dv_arena *arena, const json_t *words);
/* And back. Each is a new reference; NULL when memory is out. */
json_t *dv_data_words_json(dv_slice text);
json_t *dv_data_column_text(dv_statement *row, int column);
/* RFC 3339; null where there is none: 0 and DV_TIME_NEVER. */
json_t *dv_data_time_json(dv_time time);
json_t *dv_data_column_time(dv_statement *row, int column);

/* A column's text in the arena; NULL of the store is "". Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_column_copy(dv_statement *row, int column, dv_arena *arena,
                                      const char **ret_text);

/* Steps through the rows and sets call->answer to a page of them, the cursor being the last row's
 * first column. */
dv_must dv_result dv_data_answer_rows(dv_call *call, dv_statement *rows,
                                      json_t *(*json)(dv_statement *row), dv_error *error);

/* The gateway's configuration as it is in force (core/resources.h); a new reference, NULL: there is
 * none yet. */
dv_must dv_result dv_data_gateway_config(dv_call *call, json_t **ret_config, dv_error *error);

enum { DV_DATA_ID_MAX = 37 };
void dv_data_new_id(dv_time now, char out[DV_DATA_ID_MAX]);
