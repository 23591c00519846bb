/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Archives what is to be pruned (engine/log/archive.h), in a thread of its own, for that takes
 * about a second for each pack. One part of one log at a time; only what was read back and verified
 * is done. For the main thread alone. */

#include "engine/log/archive.h"

typedef struct dv_logd_archiver dv_logd_archiver;

dv_must dv_result dv_logd_archiver_new(dv_logd_archiver **ret_archiver);
/* Leaves a thread that is at work to the end of the process: what it wrote has no name yet. */
void dv_logd_archiver_free(dv_logd_archiver *archiver);
DV_DEFINE_AUTO_PTR(logd_archiver, dv_logd_archiver, dv_logd_archiver_free)

/* What is to be in an archive. */
typedef struct dv_logd_archiving {
    char folder[PATH_MAX];      /* of the log */
    char main_folder[PATH_MAX]; /* of the main one */
    char log[DV_LOG_NAME_MAX + 1];
    char output_dir[PATH_MAX];
    uint64_t from, to;
} dv_logd_archiving;

/* Has it archived from `from` on: *ret_to tells up to where that is done, which is `from` while it
 * is not. Begins it, up to `to`, when nothing else is under way. Errors: those of dv_archive_keep,
 * once; then it is begun anew. */
dv_must dv_result dv_logd_archiver_ask(dv_logd_archiver *archiver, const dv_logd_archiving *wanted,
                                       uint64_t *ret_to, dv_error *error);
