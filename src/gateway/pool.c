/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request.h"

#include "base/thread.h"

#include <sys/resource.h>
#include <unistd.h>

enum {
    WAITING_MAX = 256,    /* jobs of a worker */
    WAITING_ONE_MAX = 32, /* the same, of one principal */
    NICENESS = 10,        /* the event loop goes first where both share a processor */
};

struct dv_job {
    dv_work work;
    void (*compute)(dv_work *work);
    void (*done)(dv_request *request);
    ngx_thread_task_t task;
    ngx_queue_t link;
    dv_pool *pool;
    dv_worker *worker;
    dv_request *request; /* NULL: it ended */
    dv_gate_config *config;
    dv_buf held;        /* when the request ended: the answer that is read */
    dv_arena *spare;    /* the request's when it ends before the job, which keeps its own */
    dv_slice principal; /* in the arena */
    size_t round;       /* how many of its principal's were there before it */
    size_t slot;        /* the thread's gate */
    bool running;
};

static dv_job *job_at(const ngx_queue_t *at)
{
    return ngx_queue_data(at, dv_job, link);
}

ngx_int_t dv_pool_init(dv_pool *pool, ngx_cycle_t *cycle)
{
    ngx_str_t name = ngx_string("dvara");
    ngx_queue_init(&pool->waiting);
    ngx_queue_init(&pool->running);
    pool->threads = ngx_thread_pool_get(cycle, &name);
    return pool->threads != NULL ? NGX_OK : NGX_ERROR;
}

/* The request, or with it gone the job, keeps the arena. */
static void job_free(dv_job *job)
{
    ngx_queue_remove(&job->link);
    if (job->request != NULL) {
        job->request->job = NULL;
        dv_worker_arena_put(job->worker, job->spare);
    } else {
        dv_worker_arena_put(job->worker, job->work.arena);
    }
    dv_work_release(&job->work);
    dv_buf_release(&job->held);
    dv_gate_config_unref(job->config);
    free(job);
}

void dv_pool_release(dv_pool *pool, dv_worker *worker)
{
    ngx_queue_t *queues[] = {&pool->waiting, &pool->running};
    for (size_t i = 0; i < DV_ARRAY_LEN(queues); i++) {
        while (!ngx_queue_empty(queues[i])) {
            job_free(job_at(ngx_queue_head(queues[i])));
        }
    }
    for (size_t i = 0; i < DV_POOL_THREADS; i++) {
        if (pool->gates[i] != NULL) {
            dv_data_gate_free(pool->gates[i]);
            pool->gates[i] = NULL;
        }
    }
}

/* -- whose turn it is -------------------------------------------------------------------------- */

static size_t count_of(const ngx_queue_t *queue, dv_slice principal)
{
    size_t count = 0;
    for (const ngx_queue_t *at = ngx_queue_head(queue); at != queue; at = ngx_queue_next(at)) {
        count += dv_slice_eq(job_at(at)->principal, principal) ? 1 : 0;
    }
    return count;
}

/* Behind those of its own round: everybody's first job stands before anybody's second. */
static void put_in_line(dv_pool *pool, dv_job *job)
{
    ngx_queue_t *at = ngx_queue_head(&pool->waiting);
    while (at != &pool->waiting && job_at(at)->round <= job->round) {
        at = ngx_queue_next(at);
    }
    ngx_queue_insert_tail(at, &job->link); /* before `at` */
    pool->waiting_count++;
}

static dv_job *next_job(dv_pool *pool)
{
    ngx_queue_t *at = ngx_queue_head(&pool->waiting);
    for (; at != &pool->waiting; at = ngx_queue_next(at)) {
        dv_job *job = job_at(at);
        if (count_of(&pool->running, job->principal) == 0) {
            return job;
        }
    }
    return NULL;
}

/* -- running ----------------------------------------------------------------------------------- */

/* In a thread. */
static void run_job(void *data, ngx_log_t *log)
{
    dv_job *job = data;
    /* Asked and not remembered: where memory is out, the first use of a thread's own variable in a
     * library ends the process. */
    if (getpriority(PRIO_PROCESS, (id_t)gettid()) != NICENESS) {
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
        dv_thread_steps_aside();
    }
    if (!ngx_terminate) { /* nobody waits for the rest then */
        job->compute(&job->work);
    }
}

static void start_jobs(dv_pool *pool);

static void job_was_run(ngx_event_t *event)
{
    dv_job *job = event->data;
    dv_pool *pool = job->pool;
    dv_request *request = job->request;
    void (*done)(dv_request *) = job->done;
    pool->busy[job->slot] = false;
    if (request == NULL) {
        job_free(job);
        start_jobs(pool);
        return;
    }
    ngx_connection_t *connection = request->r->connection;
    ngx_http_set_log_request(connection->log, request->r);
    request->work = job->work;
    job->work.file = -1; /* the request's now */
    job_free(job);
    done(request);
    start_jobs(pool);
    ngx_http_run_posted_requests(connection);
}

static bool start_job(dv_pool *pool, dv_job *job, size_t slot)
{
    if (pool->gates[slot] == NULL &&
        dv_data_gate_share(job->worker->data, &pool->gates[slot]) != DV_OK) {
        return false;
    }
    job->slot = slot;
    job->work.gate = pool->gates[slot];
    job->task = (ngx_thread_task_t){.ctx = job, .handler = run_job};
    job->task.event.data = job;
    job->task.event.handler = job_was_run;
    job->task.event.log = ngx_cycle->log;
    if (ngx_thread_task_post(pool->threads, &job->task) != NGX_OK) {
        return false;
    }
    ngx_queue_remove(&job->link);
    ngx_queue_insert_tail(&pool->running, &job->link);
    pool->waiting_count--;
    job->running = true;
    pool->busy[slot] = true;
    return true;
}

/* What can't be started now waits for the next job's end, or until its request runs out of time. */
static void start_jobs(dv_pool *pool)
{
    for (size_t slot = 0; slot < DV_POOL_THREADS; slot++) {
        dv_job *job = pool->busy[slot] ? NULL : next_job(pool);
        if (job != NULL && !start_job(pool, job, slot)) {
            return;
        }
    }
}

/* -- a request's job --------------------------------------------------------------------------- */

bool dv_pool_post(dv_request *request, void (*compute)(dv_work *work),
                  void (*done)(dv_request *request), bool begun)
{
    dv_pool *pool = &request->main->pool;
    dv_slice principal = request->identity.principal.entity;
    size_t others = count_of(&pool->waiting, principal) + count_of(&pool->running, principal);
    if (!begun && (pool->waiting_count >= WAITING_MAX || others >= WAITING_ONE_MAX)) {
        return false;
    }
    dv_job *job = calloc(1, sizeof(*job));
    dv_arena *spare = job != NULL ? dv_worker_arena_get(&request->main->worker) : NULL;
    if (spare == NULL) {
        free(job);
        return false;
    }
    *job = (dv_job){
        .work = request->work,
        .compute = compute,
        .done = done,
        .pool = pool,
        .worker = &request->main->worker,
        .request = request,
        .config = dv_gate_config_ref(request->config),
        .spare = spare,
        .principal = principal,
        .round = begun ? 0 : others,
    };
    request->work.file = -1; /* the job's now */
    request->job = job;
    put_in_line(pool, job);
    start_jobs(pool);
    return true;
}

bool dv_pool_withdraw(dv_request *request)
{
    if (request->job->running) {
        return false;
    }
    request->main->pool.waiting_count--;
    job_free(request->job);
    return true;
}

void dv_pool_abandon(dv_request *request)
{
    dv_job *job = request->job;
    if (job == NULL || dv_pool_withdraw(request)) {
        return;
    }
    job->request = NULL;
    job->held = request->held;
    request->held = dv_buf_init(0);
    request->job = NULL;
    request->arena = job->spare;
}
