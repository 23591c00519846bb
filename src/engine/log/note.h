/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* C2SP signed notes and tlog-checkpoints, with Ed25519 keys (signature type 0x01). */

#include "base/buf.h"
#include "engine/log/merkle.h"

enum {
    DV_NOTE_NAME_MAX = 128, /* bytes of a key name or origin */
    DV_NOTE_MAX = 64 << 10, /* bytes of a whole note */
    DV_NOTE_SIGNATURES_MAX = 64,
};

/* What others verify with: "<name>+<key id>+<base64>". */
typedef struct dv_note_verifier {
    char name[DV_NOTE_NAME_MAX + 1];
    uint32_t key_id;
    uint8_t public_key[32];
} dv_note_verifier;

/* Derives name and key id; the name must be a non-empty one without spaces and '+'. */
dv_must dv_result dv_note_verifier_init(const char *name, const uint8_t public_key[32],
                                        dv_note_verifier *ret_verifier);
/* Reads and writes the vkey text (no newline). Errors: DV_ERR_INVALID, DV_ERR_UNSUPPORTED (another
 * signature type). */
dv_must dv_result dv_note_verifier_parse(dv_slice text, dv_note_verifier *ret_verifier);
dv_must dv_result dv_note_verifier_format(const dv_note_verifier *verifier, dv_buf *out);

/* Appends the signed note over `text`, which ends with a newline. seed: 32 bytes of Ed25519. */
dv_must dv_result dv_note_sign(dv_slice text, const dv_note_verifier *verifier,
                               const uint8_t seed[32], dv_buf *out);
/* Checks form and signature; ret_text borrows from the note. Signatures of other keys are ignored.
 * Errors: DV_ERR_INVALID (form), DV_ERR_NOT_FOUND (not signed by this key), DV_ERR_CORRUPT (its
 * signature does not verify). */
dv_must dv_result dv_note_verify(dv_slice note, const dv_note_verifier *verifier,
                                 dv_slice *ret_text);

typedef struct dv_checkpoint {
    char origin[DV_NOTE_NAME_MAX + 1];
    uint64_t size;
    dv_hash root;
} dv_checkpoint;

/* The three lines of a checkpoint's text. Extension lines are refused on reading. */
dv_must dv_result dv_checkpoint_format(const dv_checkpoint *checkpoint, dv_buf *out);
dv_must dv_result dv_checkpoint_parse(dv_slice text, dv_checkpoint *ret_checkpoint);

/* Both together; the origin must be the verifier's name. */
dv_must dv_result dv_checkpoint_sign(const dv_checkpoint *checkpoint,
                                     const dv_note_verifier *verifier, const uint8_t seed[32],
                                     dv_buf *out);
dv_must dv_result dv_checkpoint_open(dv_slice note, const dv_note_verifier *verifier,
                                     dv_checkpoint *ret_checkpoint);
