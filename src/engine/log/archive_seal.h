/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: what stands behind an archive, so that any damage is found and placed
 * before anything in it is unpacked. A skippable frame (RFC 8878, section 3.1.2), which zstd passes
 * over:
 *
 *   4   0x184D2A5E                 little-endian, as all numbers here
 *   4   bytes that follow
 *   32  SHA-256 of each MiB of the body, the last one being shorter; any number
 *   8   bytes of the body
 *   32  SHA-256 of the hashes and that number
 */

#include "base/buf.h"
#include "engine/log/archive_tar.h"

enum { DV_ARCHIVE_PIECE = 1 << 20, DV_ARCHIVE_PIECES_MAX = 1 << 22 /* 4 TiB */ };

/* The body as it is written into an open file. */
typedef struct dv_archive_file {
    int fd;           /* borrowed */
    const char *path; /* for messages, borrowed */
    uint64_t body;    /* bytes */
    dv_buf hashes;    /* of the pieces that are full */
    dv_buf piece;     /* the one that is not */
} dv_archive_file;

dv_must dv_result dv_archive_file_init(int fd, const char *path, dv_archive_file *ret_file);
void dv_archive_file_release(dv_archive_file *file);
DV_DEFINE_AUTO(archive_file, dv_archive_file, dv_archive_file_release)
/* Errors: DV_ERR_UNAVAILABLE (the disk is full), DV_ERR_IO, DV_ERR_TOO_LARGE. */
dv_must dv_result dv_archive_file_put(dv_archive_file *file, dv_slice bytes, dv_error *error);
/* Writes the seal and syncs the file. */
dv_must dv_result dv_archive_file_finish(dv_archive_file *file, dv_error *error);

/* Checks every byte of an open file against its seal. *ret_body: where the seal begins. Errors:
 * DV_ERR_CORRUPT (with the bytes that are wrong), DV_ERR_IO. */
dv_must dv_result dv_archive_seal_check(int fd, uint64_t *ret_body, dv_error *error);

/* Reads up to `len` bytes from there; 0 at the end. Errors: DV_ERR_IO. */
dv_must dv_result dv_archive_read_at(int fd, uint64_t at, uint8_t *out, size_t len, size_t *ret_len,
                                     dv_error *error);
