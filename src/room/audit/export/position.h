/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How far a destination has a log: STATE/export/NAME (log "main") or STATE/export/NAME@LOG. The log
 * itself is the queue, so this is all that is kept. Written, synced and renamed after the
 * destination acknowledged: what was acknowledged and not noted is sent again, with the same uid.
 *
 *   {"version":1,"origin":"...","next":1234,"sent":1200,"refused":0,"lost":0,"repeated":3,
 *    "alerts":[{"uid":"...","index":1230,"time":1764000000000}]}
 */

#include "base/clock.h"
#include "base/result.h"
#include "base/slice.h"

enum { DV_EXPORT_ALERTS_MAX = 1024, DV_EXPORT_ALERT_UID_MAX = 128, DV_EXPORT_ORIGIN_MAX = 256 };

typedef struct dv_export_alert {
    char uid[DV_EXPORT_ALERT_UID_MAX]; /* finding_info.uid, or a hash of a longer one */
    uint64_t index;                    /* of the event that told it */
    int64_t time;                      /* of that event, in milliseconds */
} dv_export_alert;

typedef struct dv_export_position {
    char origin[DV_EXPORT_ORIGIN_MAX]; /* of the log; empty: nothing was sent yet */
    uint64_t next;                     /* index of the first event that is not acknowledged */
    uint64_t sent;                     /* events that were acknowledged */
    uint64_t refused;                  /* that the destination can never take */
    uint64_t lost;                     /* that were pruned before they could be sent */
    uint64_t repeated;                 /* alerts that were told already */
    dv_export_alert *alerts;           /* told lately; oldest first */
    size_t alert_count;
} dv_export_position;

/* Reads the file; no file is a position of nothing. Errors: DV_ERR_CORRUPT, DV_ERR_IO. The caller
 * releases it. */
dv_must dv_result dv_export_position_load(const char *path, dv_export_position *ret_position,
                                          dv_error *error);
dv_must dv_result dv_export_position_save(const char *path, const dv_export_position *position,
                                          dv_error *error);
void dv_export_position_release(dv_export_position *position);

/* Whether an earlier event told the alert of that uid less than `repeat` before this one's time
 * (milliseconds); otherwise this one is noted as the one that tells it. An event that is sent once
 * more is not held back by itself, so it may be noted before it was acknowledged. Errors:
 * DV_ERR_NO_MEMORY. */
dv_must dv_result dv_export_alert_note(dv_export_position *position, dv_slice uid, uint64_t index,
                                       int64_t time, dv_time repeat, bool *ret_told);
