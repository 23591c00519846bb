/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* dvara-logd's socket, and who is at its other end. Everybody of the folder's group reaches it,
 * nginx's workers too; what is not for all is asked of the kernel (SO_PEERCRED). */

#include "base/result.h"

#include <microhttpd.h>
#include <sys/un.h>

typedef struct dv_logd_socket {
    int fd; /* listens; the server closes it */
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
} dv_logd_socket;

/* Makes runtime_dir/logd.sock, in place of one that a killed process left. Errors:
 * DV_ERR_TOO_LARGE (the path), DV_ERR_IO. */
dv_must dv_result dv_logd_socket_open(const char *runtime_dir, dv_logd_socket *ret_socket,
                                      dv_error *error);

/* Root, ourselves, or dvarad, who owns the folder above ours. */
bool dv_logd_peer_may_post(const char *runtime_dir, struct MHD_Connection *connection);
/* Events are read with their personal values: by those, and by dvara-export. */
bool dv_logd_peer_may_read_events(const char *runtime_dir, struct MHD_Connection *connection);
