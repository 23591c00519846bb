/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The spool's segment files, as dvara-logd reads them (the writer is spool.h).
 *
 * Header, 192 bytes: magic, segment id (UUIDv7), time made, source, the log's public key, the
 * segment's AES-256-GCM key in a box for the log, CRC-32C.
 * Record: length of the sealed bytes, CRC-32C of length and sequence, sequence, sealed bytes
 * (nonce: the sequence; associated data: the segment id). A sealed empty text marks the end.
 * Integers are little-endian. A writer holds an exclusive flock on its segment as long as it lives;
 * the space that it reserved lies behind the records as zeros, and a record's length is written
 * after everything else of it.
 *
 * Invariants of the reader:
 * 1. A record is returned at most once, in order, only when its header, its sequence and its seal
 * are right.
 * 2. What a dying writer left half written at the end is no record; anything else that does not
 *    check out is DV_ERR_CORRUPT, and nothing behind it is returned.
 * 3. While the writer lives, missing bytes mean "not yet". */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"
#include "base/uuid.h"

#include <sys/types.h>

enum {
    DV_SEGMENT_HEADER_LEN = 192,
    DV_SEGMENT_RECORD_HEADER_LEN = 16,
    DV_SEGMENT_SOURCE_MAX = 31, /* bytes of a source's name */
};

#define DV_SEGMENT_SUFFIX ".seg"
#define DV_SEGMENT_NEW_SUFFIX ".new"         /* until the header is whole */
#define DV_SEGMENT_REFUSED_SUFFIX ".refused" /* behind the other one */

/* The file that goes with the record of that number (dv_spool_attach): "<segment>.<number>.blob" in
 * the same folder. It is of its segment: without it, it is nothing. */
#define DV_SEGMENT_BLOB_SUFFIX ".blob"
enum { DV_SEGMENT_BLOB_NAME_MAX = 72 };

typedef struct dv_segment dv_segment;

/* The log's own box keys. */
typedef struct dv_log_keys {
    uint8_t public_key[32];
    uint8_t secret_key[32];
} dv_log_keys;

typedef struct dv_segment_info {
    dv_uuid id;
    dv_time created;
    char source[DV_SEGMENT_SOURCE_MAX + 1];
} dv_segment_info;

typedef struct dv_segment_record {
    uint64_t sequence; /* 0, 1, 2, ... within the segment */
    uint64_t end;      /* offset behind it */
    dv_slice text;     /* valid until the next call */
} dv_segment_record;

/* Opens a segment and its key. path: as of openat(2), from that folder. Errors: DV_ERR_CORRUPT
 * (header, key not for this log, a link, nobody may read it), DV_ERR_NOT_FOUND, DV_ERR_IO,
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_segment_open_at(int folder, const char *path, const dv_log_keys *keys,
                                     dv_segment **ret_segment, dv_error *error);
dv_must dv_result dv_segment_open(const char *path, const dv_log_keys *keys,
                                  dv_segment **ret_segment, dv_error *error);
void dv_segment_close(dv_segment *segment);
DV_DEFINE_AUTO_PTR(segment, dv_segment, dv_segment_close)

const dv_segment_info *dv_segment_about(const dv_segment *segment);
/* Whose file it is: asked of the file that is open, so that no name can be changed under it. */
uid_t dv_segment_owner(const dv_segment *segment);

/* Goes on behind what was consumed before: the next record has this sequence and lies there. */
void dv_segment_seek(dv_segment *segment, uint64_t sequence, uint64_t offset);

/* The next record. Errors: DV_ERR_AGAIN (the writer lives and has written no more),
 * DV_ERR_NOT_FOUND (the segment is at its end for good), DV_ERR_CORRUPT (error says where). */
dv_must dv_result dv_segment_next(dv_segment *segment, dv_segment_record *ret_record,
                                  dv_error *error);

/* After DV_ERR_NOT_FOUND: whether half a record was left behind by a writer that died. */
bool dv_segment_was_torn(const dv_segment *segment);

void dv_segment_blob_name(const dv_uuid *segment, uint64_t sequence,
                          char out[DV_SEGMENT_BLOB_NAME_MAX]);

/* False once no process holds the segment open for writing. path: as of openat(2). */
bool dv_segment_has_writer(int folder, const char *path);
/* The same of one that is open. */
bool dv_segment_is_written(const dv_segment *segment);
