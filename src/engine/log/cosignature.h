/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* C2SP tlog-cosignature, "cosignature/v1": a timestamped Ed25519 signature (type 0x04) of a witness
 * that says: at that time this was the largest tree of that log that I saw, and it continues all
 * that I saw before. */

#include "engine/log/note.h"

/* A witness' key. */
dv_must dv_result dv_cosigner_init(const char *name, const uint8_t public_key[32],
                                   dv_note_verifier *ret_cosigner);
/* Reads the vkey text. Errors: DV_ERR_INVALID, DV_ERR_UNSUPPORTED (no cosigner's key). */
dv_must dv_result dv_cosigner_parse(dv_slice text, dv_note_verifier *ret_cosigner);

/* Appends the signature line over a checkpoint's text. time: POSIX seconds, not 0. */
dv_must dv_result dv_cosignature_sign(dv_slice text, const dv_note_verifier *cosigner,
                                      const uint8_t seed[32], uint64_t time, dv_buf *out);
/* One line over that text. Errors: DV_ERR_NOT_FOUND (of another key), DV_ERR_CORRUPT. */
dv_must dv_result dv_cosignature_check(const dv_note_signature *line, dv_slice text,
                                       const dv_note_verifier *cosigner, uint64_t *ret_time);
/* Checks the note's form and the cosigner's lines in it. *ret_time: of the newest. Errors:
 * DV_ERR_INVALID (form), DV_ERR_NOT_FOUND (not cosigned by this key), DV_ERR_CORRUPT (its
 * signature does not verify). */
dv_must dv_result dv_cosignature_verify(dv_slice note, const dv_note_verifier *cosigner,
                                        uint64_t *ret_time);
