/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/sink.h"

#include <pthread.h>

struct dv_spool_sink {
    dv_spool *spool; /* borrowed */
    pthread_mutex_t lock;
};

dv_result dv_spool_sink_new(dv_spool *spool, dv_spool_sink **ret_sink)
{
    dv_spool_sink *sink = malloc(sizeof(*sink));
    if (sink == NULL) {
        return DV_ERR_NO_MEMORY;
    }
    sink->spool = spool;
    if (pthread_mutex_init(&sink->lock, NULL) != 0) {
        free(sink);
        return DV_ERR_NO_MEMORY;
    }
    *ret_sink = sink;
    return DV_OK;
}

void dv_spool_sink_free(dv_spool_sink *sink)
{
    if (sink != NULL) {
        pthread_mutex_destroy(&sink->lock);
        free(sink);
    }
}

static dv_result append(void *data, dv_slice record)
{
    dv_spool_sink *sink = data;
    pthread_mutex_lock(&sink->lock);
    dv_result result = dv_spool_append(sink->spool, record, false);
    pthread_mutex_unlock(&sink->lock);
    return result;
}

dv_event_sink dv_spool_sink_events(dv_spool_sink *sink)
{
    return (dv_event_sink){append, sink};
}
