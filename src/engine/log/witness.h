/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* C2SP tlog-witness: who remembers the largest tree of each log, cosigns only what continues it,
 * and so makes it impossible to take a log back or to show two of it. A client's and a witness'
 * side.
 *
 * What a witness remembers is in FOLDER/logs/<SHA-256 of the origin in hex>: the checkpoint with
 * the log's and its own signature.
 *
 * Invariants:
 * 1. A cosignature leaves only after the checkpoint that it is over is durable.
 * 2. Reading what is remembered, comparing with it and replacing it is one step for each origin.
 * 3. What is remembered only grows. A file that is not the witness' own work stops it. */

#include "engine/log/cosignature.h"
#include "engine/log/witness_logs.h"

enum {
    DV_WITNESS_PROOF_MAX = 63,                        /* hashes, by the protocol */
    DV_WITNESS_REQUEST_MAX = DV_NOTE_MAX + (8 << 10), /* bytes */
};

/* The body of POST add-checkpoint. */
typedef struct dv_witness_request {
    uint64_t old_size;
    dv_hash proof[DV_WITNESS_PROOF_MAX];
    size_t proof_len;
    dv_slice note; /* borrowed */
} dv_witness_request;

dv_must dv_result dv_witness_request_format(const dv_witness_request *request, dv_buf *out);
/* Checks the form, of the note too. Errors: DV_ERR_INVALID, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_witness_request_parse(dv_slice body, dv_witness_request *ret_request);

/* Statuses of HTTP that a witness answers with. */
typedef enum dv_witness_status {
    DV_WITNESS_COSIGNED = 200,   /* body: signature lines */
    DV_WITNESS_MALFORMED = 400,  /* body: why, as with all below but 409 */
    DV_WITNESS_UNSIGNED = 403,   /* no good signature by a key that is trusted for the origin */
    DV_WITNESS_UNKNOWN = 404,    /* the origin */
    DV_WITNESS_OTHER_SIZE = 409, /* body: the size that is remembered */
    DV_WITNESS_INCONSISTENT = 422,
    DV_WITNESS_FAILED = 500,
} dv_witness_status;

typedef struct dv_witness dv_witness;

typedef struct dv_witness_signer {
    dv_note_verifier cosigner;
    uint8_t seed[32];
} dv_witness_signer;

/* Opens what is remembered of all logs. Takes the list; the signer is copied. Safe for threads from
 * here on. Errors: DV_ERR_CORRUPT (a file that is not ours, or damaged), DV_ERR_IO. */
dv_must dv_result dv_witness_open(const char *folder, const dv_witness_signer *signer,
                                  dv_witness_logs *logs, dv_witness **ret_witness, dv_error *error);
/* Replaces the list; a log that is no longer in it is not forgotten on disk. */
dv_must dv_result dv_witness_relist(dv_witness *witness, dv_witness_logs *logs, dv_error *error);
void dv_witness_close(dv_witness *witness);
DV_DEFINE_AUTO_PTR(witness, dv_witness, dv_witness_close)

/* POST add-checkpoint. time: POSIX seconds. Appends the answer's body. */
dv_witness_status dv_witness_add(dv_witness *witness, dv_slice body, uint64_t time, dv_buf *out);
/* GET <origin hash>/checkpoint: what was cosigned last. Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_witness_get(dv_witness *witness, dv_slice origin_hash, dv_buf *out);

/* "<SHA-256 of the origin in hex>" and its NUL. */
enum { DV_ORIGIN_HASH_LEN = 64 };
void dv_witness_origin_hash(const char *origin, char out[DV_ORIGIN_HASH_LEN + 1]);
