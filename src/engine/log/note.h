/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* C2SP signed notes and tlog-checkpoints. What signs them is an Ed25519 key of one of two types: a
 * log's (0x01), which signs the text, or a cosigner's (0x04; cosignature.h), which signs the text
 * and the time. */

#include "base/buf.h"
#include "engine/log/merkle.h"

enum {
    DV_NOTE_NAME_MAX = 128, /* bytes of a key name or origin */
    DV_NOTE_MAX = 64 << 10, /* bytes of a whole note */
    DV_NOTE_SIGNATURES_MAX = 64,
};

/* C2SP signed-note, "Signature types"; all others are ignored. */
typedef enum dv_signature_type {
    DV_SIGNATURE_ED25519 = 0x01,
    DV_SIGNATURE_COSIGNATURE = 0x04,
} dv_signature_type;

/* What others verify with: "<name>+<key id>+<base64>". */
typedef struct dv_note_verifier {
    dv_signature_type type;
    char name[DV_NOTE_NAME_MAX + 1];
    uint32_t key_id;
    uint8_t public_key[32];
} dv_note_verifier;

/* Derives name and key id of a log's key; the name must be a non-empty one without spaces and '+'.
 */
dv_must dv_result dv_note_verifier_init(const char *name, const uint8_t public_key[32],
                                        dv_note_verifier *ret_verifier);
/* The same for a key of either type. */
dv_must dv_result dv_note_verifier_init_type(dv_signature_type type, const char *name,
                                             const uint8_t public_key[32],
                                             dv_note_verifier *ret_verifier);
/* Reads and writes the vkey text (no newline) of a log's key. Errors: DV_ERR_INVALID,
 * DV_ERR_UNSUPPORTED (another signature type). */
dv_must dv_result dv_note_verifier_parse(dv_slice text, dv_note_verifier *ret_verifier);
/* The same for a key of the wanted type. */
dv_must dv_result dv_note_verifier_parse_type(dv_slice text, dv_signature_type type,
                                              dv_note_verifier *ret_verifier);
dv_must dv_result dv_note_verifier_format(const dv_note_verifier *verifier, dv_buf *out);

/* Appends the signed note over `text`, which ends with a newline. seed: 32 bytes of Ed25519. */
dv_must dv_result dv_note_sign(dv_slice text, const dv_note_verifier *verifier,
                               const uint8_t seed[32], dv_buf *out);
/* A note's parts, borrowed from it: the text with its last newline, and the signature lines. */
typedef struct dv_note {
    dv_slice text;
    dv_slice signatures;
} dv_note;

/* One signature line, borrowed from the note. */
typedef struct dv_note_signature {
    dv_slice line; /* without its newline */
    dv_slice name;
    uint32_t key_id;
    dv_buf bytes; /* behind the key id; owned */
} dv_note_signature;

void dv_note_signature_release(dv_note_signature *signature);
DV_DEFINE_AUTO(note_signature, dv_note_signature, dv_note_signature_release)

/* Splits a note and checks the form of all its lines, of DV_NOTE_SIGNATURES_MAX at most. Nothing is
 * verified. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_note_split(dv_slice note, dv_note *ret_note);
/* Takes the next line off the front; what *signature held is released. Errors: DV_ERR_NOT_FOUND at
 * the end, DV_ERR_INVALID. */
dv_must dv_result dv_note_next(dv_slice *signatures, dv_note_signature *signature);
/* Is the line of this key? */
bool dv_note_signed_by(const dv_note_signature *signature, const dv_note_verifier *verifier);
/* Appends "— name base64(key ID || bytes)" and a newline. */
dv_must dv_result dv_note_put_signature(const dv_note_verifier *verifier, dv_slice bytes,
                                        dv_buf *out);
/* Appends a log key's signature line over the text. */
dv_must dv_result dv_note_add_signature(dv_slice text, const dv_note_verifier *verifier,
                                        const uint8_t seed[32], dv_buf *out);

/* Checks form and signature by a log's key; ret_text borrows from the note. Signatures of other
 * keys are ignored. Errors: DV_ERR_INVALID (form), DV_ERR_NOT_FOUND (not signed by this key),
 * DV_ERR_CORRUPT (its signature does not verify). */
dv_must dv_result dv_note_verify(dv_slice note, const dv_note_verifier *verifier,
                                 dv_slice *ret_text);

typedef struct dv_checkpoint {
    char origin[DV_NOTE_NAME_MAX + 1];
    uint64_t size;
    dv_hash root;
} dv_checkpoint;

/* The three lines of a checkpoint's text. Extension lines are refused on reading: ours has none. */
dv_must dv_result dv_checkpoint_format(const dv_checkpoint *checkpoint, dv_buf *out);
dv_must dv_result dv_checkpoint_parse(dv_slice text, dv_checkpoint *ret_checkpoint);
/* Of any log: extension lines are passed over, and the origin may hold spaces. */
dv_must dv_result dv_checkpoint_parse_any(dv_slice text, dv_checkpoint *ret_checkpoint);

/* ASCII decimal without leading zeros, at most 2^63 - 1. */
dv_must dv_result dv_decimal_parse(dv_slice text, uint64_t *ret_number);
/* One hash in base64. */
dv_must dv_result dv_hash_parse(dv_slice text, dv_hash *ret_hash);
dv_must dv_result dv_hash_format(const dv_hash *hash, dv_buf *out);

/* Both together; the origin must be the verifier's name. */
dv_must dv_result dv_checkpoint_sign(const dv_checkpoint *checkpoint,
                                     const dv_note_verifier *verifier, const uint8_t seed[32],
                                     dv_buf *out);
dv_must dv_result dv_checkpoint_open(dv_slice note, const dv_note_verifier *verifier,
                                     dv_checkpoint *ret_checkpoint);
