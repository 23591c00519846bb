/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/search_ahead.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

typedef struct job {
    uint64_t block;
    enum { UNWANTED, WAITING, BEGUN, DONE } state;
    dv_result result;
    dv_error error;
    dv_rows sure, maybe;
    bool has_leaves;
    dv_buf leaves;
    uint32_t leaf_ends[DV_AHEAD_LEAVES];
} job;

typedef struct helper {
    dv_ahead *ahead;
    pthread_t thread;
    dv_pack_reader *packs;
    const dv_search_reader *eyes;
} helper;

struct dv_ahead {
    const dv_query *query;
    const dv_search_reader *reader;
    bool leaves;
    pthread_mutex_t lock; /* of all below, but what only the search's thread changes is read freely
                             by it: given, taken */
    pthread_cond_t work, done;
    bool ends;
    uint64_t given, taken, begun; /* jobs so far; begun: before it, no job waits */
    job jobs[DV_AHEAD_BLOCKS];
    helper self; /* the search's own thread, while it would wait */
    size_t count;
    helper helpers[DV_AHEAD_HELPERS_MAX];
};

static job *job_of(dv_ahead *ahead, uint64_t number)
{
    return &ahead->jobs[number % DV_AHEAD_BLOCKS];
}

/* -- helpers ----------------------------------------------------------------------------------- */

/* What can't be kept is read from the block again. */
static dv_result keep_leaves(dv_block *block, job *work)
{
    uint32_t count = 0;
    dv_buf_clear(&work->leaves);
    for (uint32_t row = 0; row < DV_BLOCK_LEAVES; row++) {
        if (dv_rows_has(&work->maybe, row)) {
            dv_result result = dv_block_leaf(block, row, &work->leaves, &work->error);
            if (result != DV_OK) {
                return result == DV_ERR_CORRUPT ? result : DV_OK;
            }
            work->leaf_ends[count++] = (uint32_t)work->leaves.len;
        }
    }
    work->has_leaves = true;
    return DV_OK;
}

static dv_result look(const helper *h, job *work)
{
    dv_block *block;
    const dv_block_opener *opener =
        h->eyes != NULL && h->eyes->opener.open != NULL ? &h->eyes->opener : NULL;
    DV_TRY(dv_pack_block(h->packs, work->block, &block, &work->error));
    DV_TRY(dv_block_search(block, h->ahead->query->root, opener, &work->sure, &work->maybe,
                           &work->error));
    uint32_t count = dv_rows_count(&work->maybe);
    return h->ahead->leaves && count > 0 && count <= DV_AHEAD_LEAVES ? keep_leaves(block, work)
                                                                     : DV_OK;
}

/* The oldest job that nobody has begun, or NULL. Under the lock. */
static job *begin_job(dv_ahead *ahead)
{
    ahead->begun = DV_MAX(ahead->begun, ahead->taken);
    while (ahead->begun < ahead->given) {
        job *next = job_of(ahead, ahead->begun++);
        if (next->state == WAITING) {
            next->state = BEGUN;
            return next;
        }
    }
    return NULL;
}

/* Under the lock, which is open meanwhile. */
static void do_job(const helper *h, job *work)
{
    pthread_mutex_unlock(&h->ahead->lock);
    dv_result result = look(h, work);
    pthread_mutex_lock(&h->ahead->lock);
    work->result = result;
    work->state = DONE;
}

static void *help(void *data)
{
    const helper *h = data;
    dv_ahead *ahead = h->ahead;
    pthread_mutex_lock(&ahead->lock);
    while (!ahead->ends) {
        job *work = begin_job(ahead);
        if (work != NULL) {
            do_job(h, work);
            pthread_cond_signal(&ahead->done);
        } else {
            pthread_cond_wait(&ahead->work, &ahead->lock);
        }
    }
    pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

static void helper_release(helper *h)
{
    dv_pack_reader_free(h->packs);
    if (h->eyes != NULL) {
        h->ahead->reader->drop_twin(h->eyes);
    }
}

static dv_result helper_start(dv_ahead *ahead, helper *h, const char *folder)
{
    *h = (helper){.ahead = ahead};
    dv_result result = dv_pack_reader_new(folder, &h->packs);
    if (result == DV_OK && ahead->reader != NULL) {
        result = ahead->reader->twin(ahead->reader->data, &h->eyes);
    }
    if (result == DV_OK && pthread_create(&h->thread, NULL, help, h) != 0) {
        result = DV_ERR_AGAIN;
    }
    if (result != DV_OK) {
        helper_release(h);
    }
    return result;
}

/* Processors that this process may use beside the caller's. */
static size_t helpers_wanted(void)
{
    cpu_set_t set;
    size_t count = sched_getaffinity(0, sizeof(set), &set) == 0 ? (size_t)CPU_COUNT(&set) : 1;
    return count <= 1 ? 0 : DV_MIN(count - 1, (size_t)DV_AHEAD_HELPERS_MAX);
}

/* -- the search -------------------------------------------------------------------------------- */

dv_ahead *dv_ahead_new(const char *folder, const dv_query *query, const dv_search_reader *reader,
                       dv_pack_reader *packs, bool leaves)
{
    size_t wanted = helpers_wanted();
    dv_ahead *ahead = NULL;
    if (wanted > 0 && (reader == NULL || reader->twin != NULL)) {
        ahead = calloc(1, sizeof(*ahead));
    }
    if (ahead == NULL) {
        return NULL;
    }
    ahead->query = query;
    ahead->reader = reader;
    ahead->leaves = leaves;
    for (size_t i = 0; i < DV_AHEAD_BLOCKS; i++) {
        ahead->jobs[i].leaves = dv_buf_init(DV_AHEAD_LEAVES * UINT16_MAX);
    }
    ahead->self = (helper){.ahead = ahead, .packs = packs, .eyes = reader};
    pthread_mutex_init(&ahead->lock, NULL);
    pthread_cond_init(&ahead->work, NULL);
    pthread_cond_init(&ahead->done, NULL);
    while (ahead->count < wanted &&
           helper_start(ahead, &ahead->helpers[ahead->count], folder) == DV_OK) {
        ahead->count++;
    }
    if (ahead->count == 0) {
        dv_ahead_free(ahead);
        return NULL;
    }
    return ahead;
}

void dv_ahead_free(dv_ahead *ahead)
{
    if (ahead == NULL) {
        return;
    }
    pthread_mutex_lock(&ahead->lock);
    ahead->ends = true;
    pthread_cond_broadcast(&ahead->work);
    pthread_mutex_unlock(&ahead->lock);
    for (size_t i = 0; i < ahead->count; i++) {
        pthread_join(ahead->helpers[i].thread, NULL);
        helper_release(&ahead->helpers[i]);
    }
    for (size_t i = 0; i < DV_AHEAD_BLOCKS; i++) {
        dv_buf_release(&ahead->jobs[i].leaves);
    }
    pthread_cond_destroy(&ahead->done);
    pthread_cond_destroy(&ahead->work);
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}

size_t dv_ahead_room(const dv_ahead *ahead)
{
    return DV_AHEAD_BLOCKS - (size_t)(ahead->given - ahead->taken);
}

bool dv_ahead_has(const dv_ahead *ahead, uint64_t block)
{
    return ahead->taken < ahead->given &&
           ahead->jobs[ahead->taken % DV_AHEAD_BLOCKS].block == block;
}

void dv_ahead_give(dv_ahead *ahead, uint64_t block, bool wanted)
{
    pthread_mutex_lock(&ahead->lock);
    job *next = job_of(ahead, ahead->given++);
    next->block = block;
    next->state = wanted ? WAITING : UNWANTED;
    next->error = (dv_error){0};
    next->has_leaves = false;
    if (wanted) {
        pthread_cond_signal(&ahead->work);
    }
    pthread_mutex_unlock(&ahead->lock);
}

/* Somebody has begun with it: what comes behind is looked at meanwhile. */
static void wait_for(dv_ahead *ahead, const job *work)
{
    while (work->state == BEGUN) {
        job *other = begin_job(ahead);
        if (other != NULL) {
            do_job(&ahead->self, other);
        } else {
            pthread_cond_wait(&ahead->done, &ahead->lock);
        }
    }
}

dv_result dv_ahead_take(dv_ahead *ahead, uint64_t block, dv_ahead_found *ret_found, dv_error *error)
{
    dv_result result = DV_OK;
    if (!dv_ahead_has(ahead, block)) {
        return dv_error_set(error, DV_ERR_INTERNAL, "a search lost its place among the blocks");
    }
    pthread_mutex_lock(&ahead->lock);
    const job *work = job_of(ahead, ahead->taken);
    wait_for(ahead, work);
    if (work->state == DONE) {
        result = work->result;
        ret_found->state = DV_AHEAD_LOOKED_AT;
        ret_found->sure = work->sure;
        ret_found->maybe = work->maybe;
        ret_found->leaves = work->has_leaves ? work->leaves.ptr : NULL;
        ret_found->leaf_ends = work->leaf_ends;
    } else {
        ret_found->state = work->state == WAITING ? DV_AHEAD_NOT_BEGUN : DV_AHEAD_UNWANTED;
    }
    if (result != DV_OK && error != NULL) {
        *error = work->error;
    }
    ahead->taken++; /* who looks for work passes over it from now on */
    pthread_mutex_unlock(&ahead->lock);
    return result;
}
