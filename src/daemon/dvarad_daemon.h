/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What dvarad opens at its start, in order, and closes at its end. */

#include "daemon/dvarad_exchange.h"
#include "daemon/service.h"

#include <sys/types.h>

typedef struct dv_daemon dv_daemon;

/* No core dumps, no ptrace, death with the parent. First of all. */
dv_must dv_result dv_daemon_harden(dv_error *error);

/* Opens keys, store, snapshot, spool and metrics, starts the rooms, applies the configuration. The
 * folders must belong to this user. Waits up to ten seconds for dvara-logd's key. */
dv_must dv_result dv_daemon_open(const dv_service_options *options, dv_daemon **ret_daemon,
                                 dv_error *error);
void dv_daemon_close(dv_daemon *daemon);

dv_control *dv_daemon_control(dv_daemon *daemon);
/* Who shares the runtime directory with us: nginx's workers. */
gid_t dv_daemon_group(const dv_daemon *daemon);

/* Reads the configuration anew; with any error what was in force stays. */
dv_must dv_result dv_daemon_reload(dv_daemon *daemon, dv_error *error);
