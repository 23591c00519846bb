/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What commands that change values work with: rules, key, vault and detectors, as their flags
 * (rules, key_file, vault, subject, all, names, decode) say. */

#include "cli/data_names.h"
#include "engine/detect/action/transform.h"
#include "engine/detect/action/vault.h"
#include "engine/detect/custom.h"

#include <jansson.h>

typedef struct dv_data_tools {
    dv_arena *arena; /* of the rules */
    dv_action_rules *rules;
    dv_vault *vault; /* NULL: none */
    dv_action_tools *actions;
    dv_detect_rules *detect; /* NULL: nothing is searched */
    dv_detect_scratch *scratch;
    dv_detect_custom *custom; /* NULL: none */
    dv_data_names *names;
    dv_data_extra extra;
    dv_transform_setup setup; /* with all of these; borrowed by whoever transforms */
} dv_data_tools;

/* fallback: the action unless the rules say one. reverse: values are turned back, nothing is
 * searched. The tools stay where they are from here on. To be closed also after an error. Errors:
 * those of the files, DV_ERR_INVALID (a flag that is missing, with what to do). */
dv_must dv_result dv_data_tools_open(const json_t *params, const dv_action *fallback, bool reverse,
                                     dv_data_tools *tools, dv_error *error);
void dv_data_tools_close(dv_data_tools *tools);

/* The detectors of the file that `custom_detectors` names, which the scratch (if any) then looks
 * for and the set has, too; NULL: it names none. The caller frees them. Errors name the file and
 * its line. */
dv_must dv_result dv_data_custom_open(const json_t *params, dv_detect_scratch *scratch,
                                      dv_detector_set *set, dv_detect_custom **ret_custom,
                                      dv_error *error);

/* "csv" of "people.csv"; "" where a name has none. */
const char *dv_data_ending(const char *path);
/* Who transforms a format: csv, tsv, jsonl, ndjson, json, sql; NULL: another. */
dv_transform_run dv_data_run_for(const char *format);
/* What rules call a file: "customers" of "data/customers.csv". */
dv_slice dv_data_table_name(const char *path);
