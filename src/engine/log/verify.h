/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Verification of a whole log folder without trusting whoever wrote it: every entry is hashed,
 * every tile compared, the root recomputed, the checkpoint's signature checked; each entry must be
 * well-formed JSON, and each writer's sequence must be without gap and repetition. Of packs every
 * byte is checked, and that their columns, the catalogue
 * and its list of names lead a search to what the entries say.
 * Large fields must be there as their entries name them, and no others.
 * The logs of other classes beside the main one are verified with it. */

#include "engine/log/tiles.h"

typedef struct dv_log_report {
    bool ok;
    char origin[DV_NOTE_NAME_MAX + 1];
    char signer[DV_NOTE_NAME_MAX + 96]; /* vkey of the checkpoint's signature */
    uint64_t size;                      /* of the main log's tree, by the checkpoint */
    dv_hash root;
    uint64_t logs;
    uint64_t entries;                   /* that were checked, of all logs */
    uint64_t tiles;                     /* hash tiles, bundles and blocks */
    uint64_t blobs;                     /* large fields, every byte of them */
    uint64_t blobs_missing;             /* that a copy has not */
    uint64_t writers;                   /* segments seen */
    uint64_t pruned;                    /* entries before the logs' minimum indexes */
    char problem[DV_ERROR_MESSAGE_MAX]; /* what is wrong and where; "" when ok */
} dv_log_report;

typedef void (*dv_log_progress)(void *data, uint64_t done, uint64_t total);

/* verifier NULL: the folder's own "vkey" (which proves less: compare the signer). progress may be
 * NULL. The report is written whatever the result. Errors: DV_ERR_CORRUPT (report->problem says
 * what and where), DV_ERR_NOT_FOUND (no log there), DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_log_verify(const char *folder, const dv_note_verifier *verifier,
                                dv_log_progress progress, void *data, dv_log_report *ret_report);

/* The same of a copy of another node's log (replica.h), which holds no large fields: those that are
 * not there are counted. The caller knows that it is a copy; the folder can not say so itself, or
 * whoever removes large fields of a log would. */
dv_must dv_result dv_log_verify_copy(const char *folder, const dv_note_verifier *verifier,
                                     dv_log_progress progress, void *data,
                                     dv_log_report *ret_report);

/* The same of a folder that an archive was unpacked into (archive.h), which holds a part of one
 * log: of these entries, and that they are where the archive says. A folder counts as an archive
 * only for who asks for one, so that none can stand where a log is expected. */
dv_must dv_result dv_log_verify_archive(const char *folder, const dv_note_verifier *verifier,
                                        dv_log_progress progress, void *data,
                                        dv_log_report *ret_report);
