/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* C2SP tlog-proof: a file that shows without any server that one entry is in a log. It holds the
 * entry's index, the inclusion proof and the checkpoint with its signatures; not the entry. */

#include "engine/log/policy.h"

enum {
    DV_TLOG_PROOF_HASHES_MAX = 64,
    DV_TLOG_PROOF_EXTRA_MAX = 64 << 10, /* bytes of the extra line's base64 */
    DV_TLOG_PROOF_MAX = DV_NOTE_MAX + DV_TLOG_PROOF_EXTRA_MAX + (8 << 10), /* bytes of the file */
};

typedef struct dv_tlog_proof {
    uint64_t index;
    dv_hash hashes[DV_TLOG_PROOF_HASHES_MAX];
    size_t hash_count;
    dv_slice extra;      /* base64 text, borrowed: not authenticated; empty: none */
    dv_slice checkpoint; /* the signed note, borrowed */
} dv_tlog_proof;

dv_must dv_result dv_tlog_proof_format(const dv_tlog_proof *proof, dv_buf *out);
/* Borrows from the text; nothing is verified. Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_tlog_proof_parse(dv_slice text, dv_tlog_proof *ret_proof, dv_error *error);
/* Does the proof lead from that entry to the checkpoint's root? The checkpoint's signatures are
 * checked before, by the caller. Errors: DV_ERR_INVALID (no such leaf, wrong length),
 * DV_ERR_CORRUPT (another entry, or another place). */
dv_must dv_result dv_tlog_proof_verify(const dv_tlog_proof *proof, dv_slice entry,
                                       const dv_checkpoint *checkpoint);
