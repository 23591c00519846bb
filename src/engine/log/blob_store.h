/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the large fields of a log's entries lie (blob.h): in the log's folder, beside its packs,
 *
 *   blob/<pack>/<first>      pack: of the entries (pack.h); first: the index of the first of them
 *
 * both in decimal digits. A file holds the blobs of one commit, one behind the other, each as
 *
 *   index of its entry, 8 bytes | length, 4 bytes | the bytes      integers are little-endian
 *
 * Invariants:
 * 1. A commit's blobs are durable before its state is. Files that begin behind the committed size
 *    are of a commit that never was; they go when the log is opened, or are written anew.
 * 2. A file whose commit is in the state is never written again.
 * 3. Files of entries before the log's minimum go with these entries, and no others.
 * 4. What is read is outside data: only the entry's own hash says whether a blob is right. */

#include "base/uuid.h"
#include "engine/log/blob.h"

enum { DV_BLOB_FRAME_HEAD = 12 /* bytes before each blob */ };
enum { DV_BLOB_NAME_MAX = 64 };
/* The file that holds the blob of that entry alone, in a log's folder. */
void dv_blob_name(uint64_t entry, char ret_name[DV_BLOB_NAME_MAX]);
/* What stands before a blob of so many bytes. */
void dv_blob_frame_head(uint64_t entry, size_t len, uint8_t out[DV_BLOB_FRAME_HEAD]);

/* -- writing (dvara-logd) ---------------------------------------------------------------------- */

/* Blobs of entries that wait for their commit, and where their spool files are. */
typedef struct dv_blob_batch {
    struct dv_blob_pending *first, **last;
    size_t bytes;
    bool committed; /* the state has them: nothing is written any more */
} dv_blob_batch;

void dv_blob_batch_init(dv_blob_batch *batch);
void dv_blob_batch_release(dv_blob_batch *batch);

/* Takes the blob that a writer left for the record of that number (spool.h); entry is the index
 * that its entry gets. spool_fd is borrowed. Errors: DV_ERR_NOT_FOUND (there is none, or another
 * one than the reference is to: nothing is taken), DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_blob_batch_take(dv_blob_batch *batch, int spool_fd, const dv_uuid *segment,
                                     uint64_t sequence, const dv_blob_ref *ref, uint64_t entry);

/* Makes all of them durable in the log's folder. Can be called again after an error. Errors:
 * DV_ERR_UNAVAILABLE (the disk is full), DV_ERR_IO. */
dv_must dv_result dv_blob_batch_write(const dv_blob_batch *batch, const char *folder,
                                      dv_error *error);
/* The state that names them is durable: what the spool keeps of them goes. */
void dv_blob_batch_done(dv_blob_batch *batch);

/* Removes from a spool's folder the files of segments that are gone. */
void dv_blob_spool_sweep(int spool_fd);

/* Removes what a death left of entries that never were committed. */
dv_must dv_result dv_blob_store_trim(const char *folder, uint64_t size, dv_error *error);
/* Removes the blobs of pruned entries. What can't be removed is tried again at the next call. */
void dv_blob_store_prune(const char *folder, uint64_t minimum);

/* -- reading ----------------------------------------------------------------------------------- */

/* One blob as it lies there. */
typedef struct dv_blob_found {
    uint64_t entry;
    dv_slice stored; /* valid until the next call */
} dv_blob_found;

/* All blobs of the entries [from, to), in order. from: a pack's beginning. */
typedef struct dv_blob_walk dv_blob_walk;

dv_must dv_result dv_blob_walk_new(const char *folder, uint64_t from, uint64_t to,
                                   dv_blob_walk **ret_walk, dv_error *error);
void dv_blob_walk_free(dv_blob_walk *walk);
DV_DEFINE_AUTO_PTR(blob_walk, dv_blob_walk, dv_blob_walk_free)
/* Errors: DV_ERR_NOT_FOUND (that was the last one), DV_ERR_CORRUPT (with file and byte),
 * DV_ERR_IO. */
dv_must dv_result dv_blob_walk_next(dv_blob_walk *walk, dv_blob_found *ret_found, dv_error *error);
/* "blob/0/17": the file of what the last call found or refused. */
const char *dv_blob_walk_file(const dv_blob_walk *walk);

/* Appends the blob of that entry, as it is stored. Errors: DV_ERR_NOT_FOUND, DV_ERR_CORRUPT,
 * DV_ERR_IO. */
dv_must dv_result dv_blob_store_read(const char *folder, uint64_t entry, dv_buf *out,
                                     dv_error *error);
