/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to logd_retention.c and logd_retention_tell.c. */

#include "daemon/logd_archiver.h"
#include "daemon/logd_retention.h"

#include <pthread.h>

typedef enum dv_retention_task { TASK_PUT, TASK_HOLD, TASK_RELEASE, TASK_PRUNE } dv_retention_task;

/* Who asks, for the event. */
typedef struct dv_retention_actor {
    char entity[513], request_id[64], via[32], address[64];
} dv_retention_actor;

typedef struct dv_retention_plan {
    dv_retention_task task;
    dv_retention *classes;  /* of TASK_PUT; the task's */
    dv_retention_hold hold; /* of a release, the name and the reason alone */
    dv_retention_actor actor;
} dv_retention_plan;

struct dv_logd_retention {
    dv_logd_retention_on on;
    pthread_mutex_t lock; /* of all up to `error` */
    pthread_cond_t changed;
    char problem[DV_ERROR_MESSAGE_MAX]; /* why nothing is pruned; "" */
    dv_retention *current; /* written by the main thread alone, so that it reads it without */
    int64_t unsettled_ms;
    bool asked;
    bool done;
    bool abandoned; /* nobody waits any more */
    bool closed;
    dv_retention_plan plan;
    dv_result result;
    dv_error error;
    /* Of the main thread: */
    dv_retention_clock clock;
    dv_retention *next; /* what is to be in force: saved first, then taken over */
    dv_time next_look;  /* monotonic: at the clock, and for what is old */
    dv_logd_archiver *archiver;
    dv_prune_memory *memory; /* of all threads */
    bool jumped;             /* the clock, since the last life: not told yet */
    bool seen;               /* this life wrote down what time it was */
    bool archiving;          /* what is to go is not in an archive yet */
    bool forgets;            /* files of what was pruned, once readers know */
    bool pruning;            /* as somebody asked, whatever the clock did */
    bool waited_for;         /* somebody waits for its first round */
};

/* A copy for a reader, who frees it. */
dv_must dv_result dv_logd_retention_copy(dv_logd_retention *retention, dv_retention **ret_copy,
                                         int64_t *ret_unsettled_ms);
/* Classes, kinds and archive in JSON. */
dv_must dv_result dv_logd_retention_describe(const dv_retention *retention, dv_buf *out);
/* Up to which index the log may be pruned, whatever its events' age. *ret_waits: what for, or "".
 */
dv_must dv_result dv_logd_retention_bound(const dv_logd_retention_on *on, const char *folder,
                                          uint64_t *ret_end, const char **ret_waits,
                                          dv_error *error);
