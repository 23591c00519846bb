/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/services.h"
#include "engine/log/spool.h"

/* Makes the control plane's event sink of a spool: appends from any thread, one after the other.
 * The spool must outlive it. */
typedef struct dv_spool_sink dv_spool_sink;

dv_must dv_result dv_spool_sink_new(dv_spool *spool, dv_spool_sink **ret_sink);
void dv_spool_sink_free(dv_spool_sink *sink);
DV_DEFINE_AUTO_PTR(spool_sink, dv_spool_sink, dv_spool_sink_free)
dv_event_sink dv_spool_sink_events(dv_spool_sink *sink);
