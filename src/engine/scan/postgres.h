/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tables of a PostgreSQL database as a scan's items. */

#include "engine/scan/scan.h"

typedef struct dv_scan_postgres_options {
    bool views; /* also read views, which run what stands in them */
} dv_scan_postgres_options;

/* Where that is, without account and settings: "postgresql://host:5432/db"; what the URL leaves out
 * is as libpq has it (PGHOST ...). Errors: DV_ERR_INVALID, also for one that names a service. */
dv_must dv_result dv_scan_postgres_source(const char *url, char *out, size_t size, dv_error *error);

/* Whether a text means to be such a URL. */
bool dv_scan_is_postgres(const char *text);

/* Reads a sample of limits->rows rows of each table in every schema that the account may use: read
 * only, with limits->file_time for each. The password comes from PGPASSWORD, PGPASSFILE or
 * ~/.pgpass. Errors: DV_ERR_INVALID (no URL, or one with a password in it), DV_ERR_UNAVAILABLE
 * (with the server's words), the visitor's. */
dv_must dv_result dv_scan_postgres(const char *url, const dv_scan_postgres_options *options,
                                   const dv_scan_limits *limits, const dv_scan_visitor *visitor,
                                   dv_scan_totals *ret_totals, dv_error *error);
