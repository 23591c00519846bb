/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What other parts of the control plane may know of the audit log. */

#include "base/clock.h"
#include "base/result.h"
#include "core/config.h"
#include "core/services.h"
#include "engine/log/places.h"

/* How dvara-logd is. */
typedef struct dv_audit_log {
    uint64_t entries;  /* in the published tree */
    uint64_t segments; /* of the spool that are not read to their end */
    uint64_t waiting;  /* of the spool that are not read at all yet */
    uint64_t refused;  /* records that could not be opened */
    bool blocked;      /* it can not go on; problem says why */
    char problem[DV_ERROR_MESSAGE_MAX];
} dv_audit_log;

/* Asks dvara-logd, for a second at most. Errors: DV_ERR_UNAVAILABLE, DV_ERR_CORRUPT. */
dv_must dv_result dv_audit_log_status(const char *runtime_dir, dv_audit_log *ret_log,
                                      dv_error *error);

/* For other rooms (core/log_source.h). */
struct dv_log_source;
extern const struct dv_log_source dv_audit_log_events;

/* Row for daemon/config.c's table: the section `audit:`. dvarad reads it, so apply is NULL. */
extern const dv_config_section dv_audit_config_section;

/* Recurring work: records what the threads of witnesses and nodes found. */
dv_must dv_result dv_audit_control_tick(dv_services *services, dv_error *error);

/* How far the log was looked at for alerts; zeroed at the start. */
typedef struct dv_audit_place {
    bool known;
    dv_places next;
    int64_t watermark; /* ms */
    int64_t saved_ms;
} dv_audit_place;

/* Looks on in the log for the alerts, for some hundredths of a second at most. *ret_more: there is
 * more to look at already. Errors: what the store or dvara-logd says; it is tried again. */
dv_must dv_result dv_audit_alerts_tick(dv_services *services, dv_audit_place *place, dv_time now,
                                       bool *ret_more, dv_error *error);

/* One destination that the log is sent to, for the metrics. Borrowed for the call. */
typedef struct dv_audit_export {
    const char *name;
    const char *log;
    bool failing;
    uint64_t behind; /* events */
    uint64_t behind_seconds, sent, refused, lost;
} dv_audit_export;

/* Calls each() for every destination, as dvara-export last told; none when it does not run. */
void dv_audit_exports_each(const char *runtime_dir,
                           void (*each)(void *data, const dv_audit_export *one), void *data);
