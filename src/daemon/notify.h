/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/result.h"

/* How a daemon tells its supervisor (`dvara up` or systemd) how it is: datagrams of lines
 * "NAME=value" to the unix socket in the environment's NOTIFY_SOCKET, as sd_notify(3) documents.
 * Without that variable nothing happens and that is no error. Sets no global state.
 *
 * A daemon: at start dv_notify_ready() once it serves; on SIGHUP dv_notify_reloading(), reads its
 * configuration anew, then dv_notify_ready(), or dv_notify_reload_failed(why) when it keeps the
 * old one; on SIGTERM dv_notify_stopping(). */
void dv_notify_ready(void);
void dv_notify_reloading(void);
/* why: one line; longer than 400 bytes is cut. The daemon goes on with what it had. */
void dv_notify_reload_failed(const char *why);
void dv_notify_stopping(void);
