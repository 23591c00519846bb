/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/logd_socket.h"

#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 64, SOCKET_MODE = 0660 };

dv_result dv_logd_socket_open(const char *runtime_dir, dv_logd_socket *ret_socket, dv_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat about;
    int len = snprintf(ret_socket->path, sizeof(ret_socket->path), "%s/logd.sock", runtime_dir);
    if (len < 0 || (size_t)len >= sizeof(ret_socket->path)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long for a socket",
                            runtime_dir);
    }
    memcpy(address.sun_path, ret_socket->path, sizeof(ret_socket->path));
    unlink(ret_socket->path); /* left over by a kill */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        stat(runtime_dir, &about) != 0 || chmod(ret_socket->path, SOCKET_MODE) != 0 ||
        chown(ret_socket->path, (uid_t)-1, about.st_gid) != 0 || listen(fd, BACKLOG) != 0) {
        dv_result result = dv_error_set(error, DV_ERR_IO, "can not serve on %s: %s",
                                        ret_socket->path, strerror(errno));
        dv_fd_close(&fd);
        return result;
    }
    ret_socket->fd = fd;
    return DV_OK;
}

static bool owns(uid_t uid, const char *runtime_dir, const char *name)
{
    char path[PATH_MAX];
    struct stat about;
    int len = snprintf(path, sizeof(path), "%s/%s", runtime_dir, name);
    return len > 0 && (size_t)len < sizeof(path) && stat(path, &about) == 0 && about.st_uid == uid;
}

static bool peer_of(struct MHD_Connection *connection, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        return false;
    }
    *ret_uid = peer.uid;
    return true;
}

bool dv_logd_peer_may_post(const char *runtime_dir, struct MHD_Connection *connection)
{
    uid_t uid;
    return peer_of(connection, &uid) &&
           (uid == 0 || uid == geteuid() || owns(uid, runtime_dir, ".."));
}

bool dv_logd_peer_may_read_events(const char *runtime_dir, struct MHD_Connection *connection)
{
    uid_t uid;
    return dv_logd_peer_may_post(runtime_dir, connection) ||
           (peer_of(connection, &uid) && owns(uid, runtime_dir, "../export"));
}
