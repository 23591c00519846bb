/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sends the log's events to all destinations of a configuration: a thread for each destination and
 * log, so that one that is down holds up no other. */

#include "room/audit/export/config.h"

typedef struct dv_exporter dv_exporter;

typedef struct dv_exporter_options {
    const char *state_dir;   /* STATE: positions go to STATE/export, alarms to STATE/spool */
    const char *runtime_dir; /* RUNTIME: logd.sock, log.pub; the status goes to RUNTIME/export */
    void (*say)(const char *format, ...) dv_printf(1, 2); /* one line for the operator */
} dv_exporter_options;

/* Reads `audit: export:` of the text and starts. Everything is borrowed until the end but the text.
 * Errors: DV_ERR_INVALID with the line; DV_ERR_UNAVAILABLE, DV_ERR_IO. */
dv_must dv_result dv_exporter_start(const dv_exporter_options *options, dv_slice config,
                                    dv_exporter **ret_exporter, dv_error *error);
/* Once a second: looks how far the log is, writes RUNTIME/export/status.json, raises alarms. */
void dv_exporter_tick(dv_exporter *exporter);
/* Ends the threads, which note their positions, and frees it; NULL is left alone. */
void dv_exporter_free(dv_exporter *exporter);
