/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Threads for large bodies, so that nobody else waits for them.
 *
 * 1. A thread sees a job's dv_work alone. Snapshot, spool, counters, nginx's memory and the request
 *    stay with the event loop.
 * 2. While a job is out the request's arena belongs to it. A request that ends meanwhile leaves it
 *    the arena and goes on with another.
 * 3. Of one principal at most one job runs in a worker, and whoever has fewer waiting comes first:
 *    nobody's large bodies keep others' waiting for longer than one job.
 * 4. What was begun is never turned away; what begins is, when too much waits. */

#include "gateway/ngx.h"
#include "gateway/work.h"

#include <ngx_thread_pool.h>

enum { DV_POOL_THREADS = 2 };

struct dv_request;

typedef struct dv_pool {
    ngx_thread_pool_t *threads;
    dv_data_gate *gates[DV_POOL_THREADS]; /* made when first needed */
    bool busy[DV_POOL_THREADS];
    ngx_queue_t waiting; /* of dv_job */
    ngx_queue_t running;
    size_t waiting_count;
} dv_pool;

typedef struct dv_job dv_job;

/* Errors: NGX_ERROR when nginx.conf has no `thread_pool dvara`. */
ngx_int_t dv_pool_init(dv_pool *pool, ngx_cycle_t *cycle);
/* When the threads have ended. */
void dv_pool_release(dv_pool *pool, dv_worker *worker);

/* Has compute(&request->work) done by a thread, then done(request) called on the event loop. begun:
 * the request had a job before, or is answered. False: too much waits already, or memory is out;
 * nothing happened then. */
dv_must bool dv_pool_post(struct dv_request *request, void (*compute)(dv_work *work),
                          void (*done)(struct dv_request *request), bool begun);
/* Takes a job that still waits back; false: it runs. */
bool dv_pool_withdraw(struct dv_request *request);
/* The request ends: its job, if it has one, is withdrawn or left alone with the arena. */
void dv_pool_abandon(struct dv_request *request);
