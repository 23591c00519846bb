/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvarad serves beside the API's operations: health for load balancers, metrics, the API
 * page. */

#include "base/buf.h"
#include "daemon/dvarad_exchange.h"

typedef enum dv_page_access {
    DV_PAGE_KEY = 0, /* a credential with the page's permission */
    DV_PAGE_OPEN,    /* everyone */
    DV_PAGE_METRICS, /* open to the same machine unless the configuration wants a key */
} dv_page_access;

typedef struct dv_page {
    const char *path;
    const char *content_type;
    const char *permission;
    dv_page_access access;
    /* Appends the body to out; *status is preset to 200. */
    dv_result (*render)(dv_control *control, dv_buf *out, int *status, dv_error *error);
} dv_page;

/* The page at that path (a query behind it is ignored), or NULL. */
const dv_page *dv_page_find(dv_slice target);

/* One part that requests depend on. */
typedef struct dv_health_check {
    const char *name;
    bool ok;
    char detail[DV_ERROR_MESSAGE_MAX];
} dv_health_check;

enum { DV_HEALTH_CHECKS = 3 };

/* Looks at store, snapshot and audit; true when all are well. */
bool dv_health_look(dv_services *services, dv_health_check ret_checks[DV_HEALTH_CHECKS]);
