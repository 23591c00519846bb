/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A unix socket that speaks HTTP/1.1 (libmicrohttpd), without threads: the caller polls the
 * descriptor and runs the server. */

#include "daemon/dvarad_exchange.h"

#include <sys/types.h>

typedef struct dv_server dv_server;

enum { DV_SERVER_CONNECTIONS = 128, DV_SERVER_IDLE_SECONDS = 60 };

/* Makes the socket at path with that mode, in place of an older one. local: control.sock, whose
 * callers the kernel names; only root and the user of this process are served there. group: who
 * may connect to the other one; (gid_t)-1 leaves it. */
dv_must dv_result dv_server_open(dv_control *control, const char *path, bool local, gid_t group,
                                 dv_server **ret_server, dv_error *error);
void dv_server_close(dv_server *server);
DV_DEFINE_AUTO_PTR(server, dv_server, dv_server_close)

/* Becomes readable when there is something to do. */
int dv_server_fd(const dv_server *server);
/* Milliseconds until dv_server_run must be called anyway; -1: never. */
int dv_server_timeout(const dv_server *server);
void dv_server_run(dv_server *server);
