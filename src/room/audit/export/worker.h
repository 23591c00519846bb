/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One destination's thread for one log.
 *
 * Invariants:
 *
 * 1. position.next never passes an event that is neither acknowledged, nor refused and told, nor
 *    unwanted: whatever dies, the next start sends it.
 * 2. An event that is sent again has the same uid.
 * 3. What the destination refuses is in STATE/export/NAME.refused before the position passes it,
 *    and an alarm tells of it.
 * 4. Memory: one answer of the feed (8 MiB) and one batch, whatever is behind.
 *
 *   READ ──batch──► SEND ──all done──► NOTE ──► READ
 *                    │ fails
 *                    └──pause──► SEND (or READ from the position: receivers without answers)
 */

#include "room/audit/export/config.h"

#include <pthread.h>
#include <stdatomic.h>

/* What workers share. Under the lock: all but the pointers. */
typedef struct dv_export_shared {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* stop was set */
    atomic_bool stop;
    const char *folder;      /* STATE/export */
    const char *feed_socket; /* RUNTIME/logd.sock */
    const char *host;        /* of this machine */
    void (*say)(const char *format, ...) dv_printf(1, 2);
    /* Leaves an alarm in the log. Thread-safe. */
    void (*alarm)(void *data, const char *rule, const char *title);
    void *alarm_data;
} dv_export_shared;

/* What can be told of a worker. */
typedef struct dv_export_stats {
    uint64_t next, sent, refused, lost, repeated;
    bool failing;
    dv_time last_sent; /* wall clock; 0: not since the start */
    char problem[256]; /* the last trouble; empty: none, or it is over */
} dv_export_stats;

typedef struct dv_export_worker dv_export_worker;

/* Starts the thread. All is borrowed. Errors: DV_ERR_NO_MEMORY, DV_ERR_CORRUPT (the position). */
dv_must dv_result dv_export_worker_start(const dv_export_destination *destination, const char *log,
                                         dv_export_shared *shared, dv_export_worker **ret_worker,
                                         dv_error *error);
/* Waits for its end; stop was set. Frees it. */
void dv_export_worker_end(dv_export_worker *worker);

void dv_export_worker_stats(dv_export_worker *worker, dv_export_stats *ret_stats);
