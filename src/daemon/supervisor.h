/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `dvara up`, `down`, `status`, `reload`: starts nginx, dvarad and dvara-logd, keeps them alive and
 * ends them. (The commands themselves, dv_command_up and so on, are declared by api/daemon.yaml.)
 *
 * What it promises the processes it starts:
 *   dvara-logd --state STATE --runtime RUNTIME/log
 *   dvarad     --state STATE --runtime RUNTIME --config FILE
 *   nginx      -c RUNTIME/nginx/nginx.conf
 * each in its own session, stdin /dev/null, stdout and stderr a pipe to the supervisor (which masks
 * personal data and secrets and prefixes lines), NOTIFY_SOCKET set (daemon/notify.h), a death
 * signal, the order dvara-logd ready, dvarad ready, nginx. SIGTERM ends them, SIGHUP has dvarad
 * read its configuration anew. FILE is the supervisor's own copy of what it checked. RUNTIME/spool,
 * RUNTIME/counters, RUNTIME/log.pub and RUNTIME/logd.sock are links to where these lie. */

#include "base/buf.h"
#include "daemon/supervisor_layout.h"

/* What `dvara up` was told. Strings are borrowed for the run; NULL: not said. */
typedef struct dv_up_options {
    const char *state_dir;
    const char *config;   /* absolute */
    bool config_optional; /* no such file means all defaults */
    const char *listen;
    const char *admin_listen;
    const char *upstream;
    int64_t workers;      /* 0: not said */
    const char *programs; /* folder of dvarad, dvara-logd and the module */
    bool detached;        /* log to STATE/dvara.log instead of stderr */
} dv_up_options;

/* Called once: with DV_OK and the status JSON when everything is ready, or with the error. */
typedef void (*dv_up_report)(void *data, dv_result result, const char *text);

/* Starts everything and stays until it is told to end (SIGINT, SIGTERM, `dvara down`). Returns the
 * exit code. The process must be single-threaded. */
int dv_supervisor_run(const dv_up_options *options, dv_up_report report, void *data);
