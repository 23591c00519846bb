/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Erasing a subject from the log (`dvara audit erase`), POST /erase:
 *
 *   {"subject":"User::\"alice\"","actor":"User::\"admin\"","request_id":"...","via":"control",
 *    "address":"","reason":"case 17","dry_run":false}
 *   -> {"key":"<id>"}, with dry_run also "events" and "events_read"
 *
 * In the main thread: what writers left before is taken into the log, so that it is erased too; the
 * event audit.erased is committed; then the key is destroyed. A death at any point leaves the
 * subject wholly there, or the event, by which the next start destroys the key. */

#include "engine/log/sequencer.h"

typedef struct dv_logd_erase dv_logd_erase;

/* What it works on; borrowed. */
typedef struct dv_logd_erase_on {
    const char *log_folder;
    dv_subjects *subjects;
    dv_sequencer *sequencer;
} dv_logd_erase_on;

dv_must dv_result dv_logd_erase_new(const dv_logd_erase_on *on, dv_logd_erase **ret_erase);
/* Whoever waits or comes is told that it is too late; then the server can be closed, then this. */
void dv_logd_erase_close(dv_logd_erase *erase);
void dv_logd_erase_free(dv_logd_erase *erase);

/* From a thread of the server: does what the body asks for. logs: what checkpoints cover of them.
 * Errors:
 * DV_ERR_INVALID, DV_ERR_NOT_FOUND (the log keeps nothing under that subject), DV_ERR_CONFLICT (an
 * erasure is under way), DV_ERR_UNAVAILABLE. */
dv_must dv_result dv_logd_erase_post(dv_logd_erase *erase, dv_slice body, const dv_log_tree *logs,
                                     size_t log_count, dv_buf *out, dv_error *error);

/* In the main thread, between commits: does what is asked, and what is owed because a disk took
 * nothing. True: the log has grown. */
bool dv_logd_erase_serve(dv_logd_erase *erase);
