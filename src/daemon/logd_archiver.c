/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_archiver.h"

#include <pthread.h>

typedef enum archiver_state { IDLE, WORKING, DONE } archiver_state;

struct dv_logd_archiver {
    pthread_mutex_t lock; /* of state, result and error */
    archiver_state state;
    dv_result result;
    dv_error error;
    dv_logd_archiving task; /* of the thread while it works */
    dv_archive_report report;
};

dv_result dv_logd_archiver_new(dv_logd_archiver **ret_archiver)
{
    dv_logd_archiver *archiver = calloc(1, sizeof(*archiver));
    if (archiver == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    pthread_mutex_init(&archiver->lock, NULL);
    *ret_archiver = archiver;
    return DV_OK;
}

static archiver_state state_of(dv_logd_archiver *archiver)
{
    pthread_mutex_lock(&archiver->lock);
    archiver_state state = archiver->state;
    pthread_mutex_unlock(&archiver->lock);
    return state;
}

void dv_logd_archiver_free(dv_logd_archiver *archiver)
{
    if (archiver != NULL && state_of(archiver) != WORKING) {
        pthread_mutex_destroy(&archiver->lock);
        free(archiver);
    }
}

static void *work(void *data)
{
    dv_logd_archiver *archiver = data;
    dv_error error = {0};
    const dv_logd_archiving *task = &archiver->task;
    const dv_archive_source source = {.folder = task->folder,
                                      .main_folder = task->main_folder,
                                      .log = task->log,
                                      .from = task->from,
                                      .to = task->to};
    dv_result result =
        dv_archive_keep(&source, task->output_dir, NULL, NULL, &archiver->report, &error);
    pthread_mutex_lock(&archiver->lock);
    archiver->result = result;
    archiver->error = error;
    archiver->state = DONE;
    pthread_mutex_unlock(&archiver->lock);
    return NULL;
}

static dv_result begin(dv_logd_archiver *archiver, const dv_logd_archiving *wanted, dv_error *error)
{
    pthread_t thread;
    archiver->task = *wanted;
    archiver->state = WORKING; /* nobody else looks at it now */
    if (pthread_create(&thread, NULL, work, archiver) != 0) {
        archiver->state = IDLE;
        return dv_error_set(error, DV_ERR_NO_MEMORY, "no thread to archive what is to be pruned");
    }
    (void)pthread_detach(thread);
    return DV_OK;
}

static bool is_of(const dv_logd_archiver *archiver, const dv_logd_archiving *wanted)
{
    const dv_logd_archiving *task = &archiver->task;
    return strcmp(task->folder, wanted->folder) == 0 &&
           strcmp(task->output_dir, wanted->output_dir) == 0 && task->from == wanted->from;
}

dv_result dv_logd_archiver_ask(dv_logd_archiver *archiver, const dv_logd_archiving *wanted,
                               uint64_t *ret_to, dv_error *error)
{
    archiver_state state = state_of(archiver);
    *ret_to = wanted->from;
    if (state == WORKING) {
        return DV_OK;
    }
    if (state == DONE && is_of(archiver, wanted)) {
        archiver->state = archiver->result == DV_OK ? DONE : IDLE;
        if (archiver->result != DV_OK) {
            return dv_error_set(error, archiver->result, "%s", archiver->error.message);
        }
        *ret_to = archiver->task.to;
        return DV_OK;
    }
    return begin(archiver, wanted, error);
}
