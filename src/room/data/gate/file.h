/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private: files that are inspected whole. */

#include "room/data/gate/gate_private.h"

/* Files of one body, one after the other. */
typedef struct dv_data_files {
    dv_data_pass pass;   /* its temp is emptied after each piece of a text */
    dv_data_edits edits; /* of the body, their texts in pass.arena */
    dv_arena *aside;     /* what of a file has to be read otherwise; emptied after each */
    dv_slice body;       /* in which all files lie */
    size_t unpacked;     /* bytes of what was packed in all of them, at most DV_PACKED_FILE */
} dv_data_files;

/* pass: all but temp and the sightings. Errors: DV_ERR_NO_MEMORY; end it all the same. */
dv_must dv_result dv_data_files_begin(dv_data_files *files, const dv_data_pass *pass,
                                      dv_slice body);
/* Fills the outcome as dv_data_pass_finish does. */
dv_must dv_result dv_data_files_end(dv_data_files *files, dv_result result,
                                    dv_data_outcome *ret_outcome);

/* Inspects a file of the body, told by its bytes, and adds its edits. root: JSON pointer of the
 * file, which lives as long as the pass. *ret_edited: something of it changes. Denies what can't be
 * inspected, or not be rewritten where it would have to be. */
dv_must dv_result dv_data_file_inspect(dv_data_files *files, const char *root, dv_slice file,
                                       bool *ret_edited);

/* The same for a short text that is no file. */
dv_must dv_result dv_data_file_text(dv_data_files *files, const char *root, dv_slice text);
