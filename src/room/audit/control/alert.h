/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to room/audit/control: alerts on searches, as they are stored and as they are watched. */

#include "core/audit.h"
#include "room/audit/control/search.h"
#include "store/store.h"

/* One row of audit_alert. Texts lie in an arena. */
typedef struct dv_alert {
    const char *name;
    const char *query;
    const char *threshold; /* "> 5" */
    int64_t over_ms;
    const char *by; /* fields with commas between, or "" */
    int64_t severity;
    const char *notify; /* names with commas between, or "" */
    int64_t cooldown_ms;
    const char *description; /* or NULL */
    bool enabled;
    int64_t first;            /* index of the first event of the main log that it looks at */
    const char *first_others; /* of the other logs: engine/log/places.h */
    const char *owner;
    dv_time created, updated;
} dv_alert;

typedef struct dv_alerts {
    dv_alert *items;
    size_t count;
} dv_alerts;

/* How an alert is counted: in slices of time, of which some make the window that slides. */
typedef struct dv_alert_plan {
    dv_query query;    /* its stages count in slices */
    int64_t slice_ms;  /* over_ms is a multiple of it, or less */
    int64_t threshold; /* thousandths */
    bool inclusive;    /* ">=" */
} dv_alert_plan;

enum { DV_ALERTS_MAX = 200, DV_ALERT_SLICES = 10 };

/* Alerts by name: all of them behind `after`, `limit` at most; or the enabled ones (after NULL). */
dv_must dv_result dv_alerts_read(dv_store *store, const char *after, int64_t limit, dv_arena *arena,
                                 dv_alerts *ret_alerts, dv_error *error);
/* Errors: DV_ERR_NOT_FOUND. */
dv_must dv_result dv_alert_read(dv_store *store, const char *name, dv_arena *arena,
                                dv_alert *ret_alert, dv_error *error);
dv_must dv_result dv_alert_insert(dv_store *store, const dv_alert *alert, dv_error *error);

/* Errors: DV_ERR_INVALID with what is wrong with search, threshold or fields. */
dv_must dv_result dv_alert_plan_make(const dv_alert *alert, dv_time now, dv_arena *arena,
                                     dv_alert_plan *ret_plan, dv_error *error);
bool dv_alert_crosses(const dv_alert_plan *plan, int64_t amount);

/* "10m" of milliseconds. */
json_t *dv_alert_duration_json(int64_t ms);
/* ["alice"] and the plan's fields as {"user":"alice"}; a new reference or NULL. */
json_t *dv_alert_group_json(const dv_alert_plan *plan, const char *values);
/* "a,b" as ["a","b"]. */
json_t *dv_alert_names_json(const char *names);
const char *dv_alert_severity_name(int64_t severity);

/* Forgets what was counted of a person, who is erased: groups that name the entity or its id. */
dv_must dv_result dv_alert_erase(dv_store *store, const char *subject, dv_error *error);
