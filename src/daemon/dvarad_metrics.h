/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The page that Prometheus reads (text format 0.0.4). */

#include "base/buf.h"
#include "daemon/dvarad_exchange.h"

/* Appends everything: the counters of workers and dvarad, gauges of snapshot, spool and log, this
 * process. What can't be read is left out. */
dv_must dv_result dv_metrics_render(dv_control *control, dv_buf *out, dv_error *error);

typedef struct dv_series dv_series;

/* Collects series, in any order. */
typedef struct dv_series_list {
    dv_series *entries;
    size_t count;
    size_t capacity;
    bool failed; /* memory was out */
} dv_series_list;

void dv_series_add(dv_series_list *list, bool gauge, const char *series, double value);
/* Sorts, adds equal ones up, and appends them with their TYPE lines; buckets in the order of their
 * bounds. */
dv_must dv_result dv_series_write(dv_series_list *list, dv_buf *out);
void dv_series_release(dv_series_list *list);
DV_DEFINE_AUTO(series_list, dv_series_list, dv_series_release)
