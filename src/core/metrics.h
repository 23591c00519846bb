/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Counters that several processes add to and dvarad reads for /metrics: a file-backed mapping,
 * RUNTIME/metrics, of named 64-bit cells. A name is a whole Prometheus series:
 *   dvara_requests_total{route="openai-chat",status="200",verdict="allow"}
 * so that a writer looks its cell up once and then only adds to it. */

#include "base/result.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <sys/types.h>

enum {
    DV_METRIC_NAME_MAX = 120, /* bytes, with the NUL */
    DV_METRICS_SLOTS = 8192,
};

typedef struct dv_metrics dv_metrics;
typedef _Atomic uint64_t dv_metric;

/* Maps the file, and makes it (with that mode, all zero) when it is missing or of another layout;
 * one of another layout is replaced, not cut, so that who still maps it goes on. Counters go on
 * from where they were. Open it after fork, once a process; dvarad makes it before workers start.
 * Errors: DV_ERR_IO. */
dv_must dv_result dv_metrics_open(const char *path, mode_t mode, dv_metrics **ret_metrics,
                                  dv_error *error);
void dv_metrics_close(dv_metrics *metrics);
DV_DEFINE_AUTO_PTR(metrics, dv_metrics, dv_metrics_close)

/* The cell of that series, claimed when it is new. Never NULL: when the table is full or the name
 * is too long, a cell that dvarad reports as dvara_metrics_dropped_total. No lock, no allocation;
 * valid until close. Label values must already be escaped (quotes, backslashes and newlines with a
 * backslash). */
dv_metric *dv_metrics_cell(dv_metrics *metrics, const char *series);

static inline void dv_metric_add(dv_metric *metric, uint64_t amount)
{
    atomic_fetch_add_explicit(metric, amount, memory_order_relaxed);
}

/* Calls each(data, series, value) for every cell in use, in no order. Reads the file without
 * mapping it and believes nothing in it, because less trusted processes write it: they could cut
 * it short. A name that is no series is left out. Errors: DV_ERR_IO, DV_ERR_CORRUPT (layout). */
dv_must dv_result dv_metrics_read(const char *path,
                                  void (*each)(void *data, const char *series, uint64_t value),
                                  void *data, dv_error *error);
