/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From one signing key of a log to the next. The log itself names the new key, in an event of kind
 * "audit.key_rotated" that the old key's last checkpoint covers. FOLDER/rotated/<old key id> keeps
 * what shows that, as C2SP tlog-proof with the event beside it, for whoever noted the old key. */

#include "engine/log/proof.h"
#include "engine/log/tiles.h"

/* Is the entry such an event of dvara-logd's own, and which key does it name? Errors:
 * DV_ERR_NOT_FOUND (it is none), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_rotation_read(dv_slice entry, dv_note_verifier *ret_key);

/* Names of the two files of a former key, in the log's folder. */
enum { DV_ROTATION_NAME_MAX = 64 };
void dv_rotation_names(uint32_t key_id, char ret_event[DV_ROTATION_NAME_MAX],
                       char ret_proof[DV_ROTATION_NAME_MAX]);
/* What these two hold, under any checkpoint that covers the event: which key follows. `key` must
 * have signed that checkpoint; NULL: any may have. Errors: DV_ERR_CORRUPT, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_rotation_check(dv_slice event, dv_slice proof, const dv_note_verifier *key,
                                    dv_note_verifier *ret_next);

/* Leaves the proof for the event of that index, under the folder's checkpoint, which the old key
 * signed. */
dv_must dv_result dv_rotation_leave(const char *folder, const dv_note_verifier *old, uint64_t index,
                                    dv_error *error);

/* From a key that is trusted to the one that signs the folder's checkpoint now; itself when it is
 * that one. *ret_steps: keys in between. Errors: DV_ERR_NOT_FOUND (no proof leads on from the key:
 * the log is not its), DV_ERR_CORRUPT (a proof that proves nothing). */
dv_must dv_result dv_rotation_follow(const char *folder, const dv_note_verifier *trusted,
                                     dv_note_verifier *ret_key, size_t *ret_steps, dv_error *error);

/* The last key that the folder's proofs lead to from the trusted one; that one itself when none
 * leads on. Errors: DV_ERR_CORRUPT (a proof that proves nothing). */
dv_must dv_result dv_rotation_last(const char *folder, const dv_note_verifier *trusted,
                                   dv_note_verifier *ret_key, dv_error *error);
