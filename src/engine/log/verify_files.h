/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The files beside what a checkpoint needs: tiles of older widths, which are still served, the
 * checkpoint that witnesses cosigned, the state file, the verifier keys. After the log itself. */

#include "engine/log/frontier.h"
#include "engine/log/state.h"

/* A log whose entries gave the signed root. All borrowed. */
typedef struct dv_verified {
    const char *folder;
    const char *prefix;       /* of file names in messages */
    const char *name;         /* in the state file */
    const char *state_folder; /* where that lies */
    const dv_note_verifier *verifier;
    const dv_checkpoint *checkpoint;
    const dv_frontier *frontier;
    dv_slice last_bundle; /* the entries of the rightmost tile of level 0 */
    uint64_t minimum;
} dv_verified;

/* DV_ERR_CORRUPT: the message says what and where. What a living dvara-logd changes meanwhile is no
 * error. *tiles counts those that were compared. */
dv_must dv_result dv_verify_files(const dv_verified *log, uint64_t *tiles, dv_error *error);
