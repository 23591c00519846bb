/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A file system for SQLite in which every page is sealed: what is written to the database and to
 * its log (WAL) is AES-256-GCM (NIST SP 800-38D), what is read is what was written, or an error.
 *
 * A page of the file, 4096 bytes:
 *
 *   0     the page, 4056 bytes, sealed; SQLite leaves the rest free (its "reserved bytes")
 *   4056  GCM's tag, 16 bytes
 *   4072  the session that wrote it, 16 random bytes; its key is HKDF(key, session)
 *   4088  the page's number in that session, 8 bytes, little-endian: GCM's nonce
 *
 * So no nonce comes twice under one key, however often a store is opened and written. Bound to the
 * page are its number and, in the log, its place there. Clear are SQLite's heads in the log (page
 * numbers and salts; the check sums of frames, which tell of what is in them, are sealed), and how
 * many pages there are. In the log's index (-shm) is the check sum of the last commit.
 *
 * It hides, and finds changed bytes, moved and missing pages. It does not tell an old page from a
 * new one: who can write to the disk can put the database of last week there, or a page of it.
 *
 * Only databases in WAL mode with pages of 4096 bytes and 40 reserved ones. No other file is opened
 * here: a rollback journal or a temporary file would hold pages in clear. */

#include "base/result.h"

#include <stdint.h>

enum {
    DV_SEALED_KEY_LEN = 32,
    DV_SEALED_PAGE = 4096,
    DV_SEALED_RESERVED = 40,
};

typedef struct dv_sealed_files dv_sealed_files;

/* Makes the file system known to SQLite. The key is copied, and wiped in the end.
 * Errors: DV_ERR_NO_MEMORY, DV_ERR_INTERNAL. */
dv_must dv_result dv_sealed_files_new(const uint8_t key[DV_SEALED_KEY_LEN],
                                      dv_sealed_files **ret_files);
/* Behind the last database that uses it. */
void dv_sealed_files_free(dv_sealed_files *files);
/* Its name, for sqlite3_open_v2(). */
const char *dv_sealed_files_name(const dv_sealed_files *files);
