/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Verification of a whole log folder without trusting whoever wrote it: every entry is hashed,
 * every tile compared, the root recomputed, the checkpoint's signature checked, each entry must be
 * well-formed JSON, and each writer's sequence must be without gap and repetition. */

#include "engine/log/tiles.h"

typedef struct dv_log_report {
    bool ok;
    char origin[DV_NOTE_NAME_MAX + 1];
    char signer[DV_NOTE_NAME_MAX + 96]; /* vkey of the checkpoint's signature */
    uint64_t size;                      /* of the tree, by the checkpoint */
    dv_hash root;
    uint64_t entries;                   /* that were checked */
    uint64_t tiles;                     /* hash tiles and bundles */
    uint64_t writers;                   /* segments seen */
    char problem[DV_ERROR_MESSAGE_MAX]; /* what is wrong and where; "" when ok */
} dv_log_report;

typedef void (*dv_log_progress)(void *data, uint64_t done, uint64_t total);

/* verifier NULL: the folder's own "vkey" (which proves less: compare the signer). progress may be
 * NULL. The report is written whatever the result. Errors: DV_ERR_CORRUPT (report->problem says
 * what and where), DV_ERR_NOT_FOUND (no log there), DV_ERR_IO, DV_ERR_NO_MEMORY. */
dv_must dv_result dv_log_verify(const char *folder, const dv_note_verifier *verifier,
                                dv_log_progress progress, void *data, dv_log_report *ret_report);
