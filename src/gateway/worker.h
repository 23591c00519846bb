/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What one nginx worker holds open, without nginx's types. Everything is opened after fork, in the
 * worker; while anything is missing the gate refuses (NOT_READY) and tries again once a second. */

#include "core/metrics.h"
#include "engine/limit/limit.h"
#include "engine/log/spool.h"
#include "room/api/gate/api_told.h"
#include "room/auth/gate/auth_gate.h"
#include "room/data/gate/data_gate.h"
#include "store/snapshot.h"

enum { DV_WORKER_ARENAS = 64 };

/* Folders and files, absolute, NUL-terminated; live as long as the worker. */
typedef struct dv_worker_paths {
    const char *runtime;
    const char *spool;
    const char *counters;
} dv_worker_paths;

/* The counter of one kind of outcome, so that its name is made once. */
typedef struct dv_outcome_cell {
    const dv_api_route *route;
    int status;
    const char *decision;
    dv_metric *cell; /* NULL: free */
} dv_outcome_cell;

enum { DV_OUTCOME_CELLS = 64 };

/* One configuration, kept by every request that began under it. */
typedef struct dv_gate_config {
    unsigned references;
    dv_api_config *api;
    dv_data_policy *policies[DV_API_POLICIES_MAX]; /* as api->policies */
    dv_outcome_cell cells[DV_OUTCOME_CELLS];       /* by hash, the last one stays */
} dv_gate_config;

typedef struct dv_worker {
    dv_worker_paths paths;
    const dv_data_detectors *detectors; /* NULL: it makes its own */
    dv_snapshot *snapshot;
    dv_spool *spool;
    dv_counters *counters;
    dv_metrics *metrics;
    dv_auth_gate *auth;
    dv_data_gate *data;
    dv_gate_config *config;
    dv_buf config_text; /* what config was made from */
    dv_api_named named; /* who has limits of its own */
    bool notes_usage;
    bool loaded; /* config is that of `generation` */
    uint64_t generation;
    dv_time retry_at; /* monotonic */
    dv_time sit_at;   /* monotonic: when to ask for a seat again */
    dv_limit_owed owed;
    dv_api_policies policies;
    dv_arena *arenas[DV_WORKER_ARENAS];
    size_t arena_count;
    dv_buf held;         /* for the next answer that is gathered; may be empty */
    dv_buf record;       /* room for one audit record */
    uint64_t unrecorded; /* refusals that the spool did not take, not told yet */
    dv_time unrecorded_since;
} dv_worker;

/* Prepares a worker; opens nothing yet. paths and detectors (NULL: it makes its own) are borrowed.
 * Can't fail: nginx never starts a worker again that failed to begin. */
void dv_worker_init(dv_worker *worker, const dv_worker_paths *paths,
                    const dv_data_detectors *detectors);
/* Marks the spool's segment as finished and closes all. */
void dv_worker_release(dv_worker *worker);

/* Opens what is not open, begins to read the snapshot and takes over what changed in it. On DV_OK
 * the caller must dv_worker_leave before it returns to the event loop. Errors: DV_ERR_UNAVAILABLE
 * (what is missing stands in error, empty when it was told less than a second ago). */
dv_must dv_result dv_worker_enter(dv_worker *worker, dv_error *error);
void dv_worker_leave(dv_worker *worker);

dv_gate_config *dv_gate_config_ref(dv_gate_config *config);
void dv_gate_config_unref(dv_gate_config *config); /* NULL is left alone */

/* Memory of one request, reused; NULL when memory is out. */
dv_arena *dv_worker_arena_get(dv_worker *worker);
void dv_worker_arena_put(dv_worker *worker, dv_arena *arena);

/* Lends an empty buffer memory that an earlier one left, if there is any; its maximum stays. */
void dv_worker_held_get(dv_worker *worker, dv_buf *held);
/* Releases it, or keeps its memory for the next one. */
void dv_worker_held_put(dv_worker *worker, dv_buf *held);
