/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long the logs keep what, on dvara-logd's side: the classes' logs, holds, and pruning.
 *
 * dvarad tells what dvara.yaml says (POST /retention) and what people ask for (POST /hold, /prune);
 * all of it is written into LOG/retention first (engine/log/retention.h), so that it holds also
 * while nobody tells it. The main thread does it, between commits; a round of pruning removes a few
 * packs of one log at most.
 *
 * Invariants:
 * 1. Nothing is pruned but whole packs of a log's beginning, all of whose events are older than its
 *    class keeps, by a clock that did not jump (retention_clock.h), and none of which is held.
 * 2. The main log tells of it before (sequencer.h), and again of every erasure whose event would go
 *    with its own beginning.
 * 3. Where witnesses cosign the logs, nothing goes that they have not cosigned: from what is left,
 *    nobody could prove to them that the log only grew.
 * 4. A hold is in force before anybody is told so, and is over only after the log says so.
 * 5. A class whose log has events can't be left out: it would be kept for ever, or for no time. */

#include "engine/log/retention.h"
#include "engine/log/retention_clock.h"

#define DV_HOLD_KIND "audit.hold"

typedef struct dv_logd_retention dv_logd_retention;

/* What it works on; borrowed. */
typedef struct dv_logd_retention_on {
    const char *log_folder;  /* of the main log */
    const char *runtime_dir; /* where dvarad says which witnesses there are */
    dv_sequencer *sequencer;
} dv_logd_retention_on;

/* Opens the classes' logs as LOG/retention says. Errors: DV_ERR_CORRUPT (that file), those of
 * opening a log. */
dv_must dv_result dv_logd_retention_new(const dv_logd_retention_on *on,
                                        dv_logd_retention **ret_retention, dv_error *error);
/* Whoever waits or comes is told that it is too late; then the server can be closed, then this. */
void dv_logd_retention_close(dv_logd_retention *retention);
void dv_logd_retention_free(dv_logd_retention *retention);

/* In the main thread, between commits. True: the logs have changed. *say: a line for the operator,
 * or "". */
bool dv_logd_retention_serve(dv_logd_retention *retention, char say[DV_ERROR_MESSAGE_MAX]);

/* -- from threads of the server ---------------------------------------------------------------- */

/* POST /retention[?check=1]: classes and kinds as dv_retention_format writes them; holds in it are
 * passed over. With check nothing changes; logs: what there is. Errors: DV_ERR_INVALID,
 * DV_ERR_CORRUPT, DV_ERR_CONFLICT (a class with events is not named any more), DV_ERR_UNAVAILABLE.
 */
dv_must dv_result dv_logd_retention_put(dv_logd_retention *retention, dv_slice body,
                                        dv_error *error);
dv_must dv_result dv_logd_retention_check(const dv_log_tree *logs, size_t log_count, dv_slice body,
                                          dv_error *error);
/* POST /hold: {"action":"create"|"release","name":"case-7","log":"","from_ms":0,"to_ms":0,
 * "reason":"...","actor":"...","request_id":"...","via":"...","address":"..."}. log absent: all;
 * to_ms 0: no end. Errors: DV_ERR_INVALID, DV_ERR_NOT_FOUND (no such log or hold), DV_ERR_CONFLICT,
 * DV_ERR_TOO_LARGE, DV_ERR_UNAVAILABLE. */
dv_must dv_result dv_logd_retention_hold(dv_logd_retention *retention, dv_slice body,
                                         dv_error *error);
/* POST /prune: prunes what can go now, whatever the clock did before. Returns after the first
 * round; the others follow. */
dv_must dv_result dv_logd_retention_prune(dv_logd_retention *retention, dv_error *error);

/* GET /retention: {"settled_in_ms":0,"logs":[...],"holds":[...]} of these logs. */
dv_must dv_result dv_logd_retention_tell(dv_logd_retention *retention, const dv_log_tree *logs,
                                         size_t log_count, dv_buf *out, dv_error *error);
/* How long that log keeps its events; 0: for ever. */
int64_t dv_logd_retention_keep_ms(dv_logd_retention *retention, const char *log);
