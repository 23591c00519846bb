/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor_link.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { DV_LINK_LINE_MAX = 64, DV_LINK_ANSWER_MAX = 64 << 10, DV_NOTICE_MAX = 4096 };

static dv_result fill_address(const char *path, struct sockaddr_un *out, dv_error *error)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (snprintf(out->sun_path, sizeof out->sun_path, "%s", path) >= (int)sizeof out->sun_path) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "too long a path for a socket: %s", path);
    }
    return DV_OK;
}

static dv_result bind_at(int fd, const char *path, mode_t mode, dv_error *error)
{
    struct sockaddr_un address;
    DV_TRY(fill_address(path, &address, error));
    unlink(path);
    mode_t old = umask(0777 & ~mode);
    int failed = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(old);
    if (failed != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not make the socket %s: %s", path,
                            strerror(errno));
    }
    return DV_OK;
}

dv_result dv_link_listen(const char *runtime_dir, dv_link *ret_link, dv_error *error)
{
    dv_link link = {.fd = -1};
    if (snprintf(link.path, sizeof link.path, "%s/supervisor.sock", runtime_dir) >=
        (int)sizeof link.path) {
        return DV_ERR_TOO_LARGE;
    }
    dv_auto(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "socket: %s", strerror(errno));
    }
    DV_TRY(bind_at(fd, link.path, 0600, error));
    if (listen(fd, 16) != 0) {
        return dv_error_set(error, DV_ERR_IO, "listen: %s", strerror(errno));
    }
    link.fd = fd;
    fd = -1;
    *ret_link = link;
    return DV_OK;
}

void dv_link_close(dv_link *link)
{
    if (link->fd >= 0) {
        unlink(link->path);
        dv_fd_close(&link->fd);
        link->fd = -1;
    }
}

static void set_timeouts(int fd, time_t seconds, long microseconds);

static bool peer_is_trusted(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static dv_slice read_line(int fd, char *out, size_t max)
{
    size_t len = 0;
    ssize_t got = 0;
    while (len < max && (got = read(fd, out + len, max - len)) > 0) {
        len += (size_t)got;
        if (memchr(out, '\n', len) != NULL) {
            break;
        }
    }
    return dv_slice_trim(dv_slice_of(out, len));
}

dv_link_request dv_link_accept(dv_link *link, int *ret_client)
{
    static const struct {
        const char *word;
        dv_link_request request;
    } words[] = {{"status", DV_LINK_STATUS}, {"reload", DV_LINK_RELOAD}, {"down", DV_LINK_DOWN}};
    char line[DV_LINK_LINE_MAX];
    int client = accept4(link->fd, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) {
        return DV_LINK_NONE;
    }
    set_timeouts(client, 0, 500000);
    if (!peer_is_trusted(client)) {
        dv_link_answer(&client, DV_ERR_FORBIDDEN, "another user runs this Dvara", NULL);
        return DV_LINK_NONE;
    }
    dv_slice said = read_line(client, line, sizeof line);
    for (size_t i = 0; i < DV_ARRAY_LEN(words); i++) {
        if (dv_slice_eq_str(said, words[i].word)) {
            *ret_client = client;
            return words[i].request;
        }
    }
    dv_link_answer(&client, DV_ERR_INVALID, "not understood", NULL);
    return DV_LINK_NONE;
}

void dv_link_answer(int *client, dv_result result, const char *message, json_t *status)
{
    if (*client < 0) {
        return;
    }
    json_t *answer = json_pack("{s:s, s:s}", "result",
                               result == DV_OK ? "ok" : dv_result_name(result), "message", message);
    if (status != NULL) {
        json_object_set(answer, "status", status);
    }
    char *text = json_dumps(answer, JSON_COMPACT);
    if (text != NULL && dv_fd_write_all(*client, dv_slice_str(text)) == DV_OK) {
        shutdown(*client, SHUT_WR);
    }
    free(text);
    json_decref(answer);
    dv_fd_close(client);
    *client = -1;
}

static dv_result ask(int fd, const char *request, dv_buf *answer)
{
    char bytes[4096];
    ssize_t len = 0;
    DV_TRY(dv_fd_write_all(fd, dv_slice_str(request)));
    DV_TRY(dv_fd_write_all(fd, DV_LIT("\n")));
    while ((len = read(fd, bytes, sizeof bytes)) > 0) {
        DV_TRY(dv_buf_append(answer, dv_slice_of(bytes, (size_t)len)));
    }
    return len == 0 ? DV_OK : DV_ERR_UNAVAILABLE;
}

static dv_result connect_to(const char *runtime_dir, int *ret_fd, dv_error *error)
{
    char path[PATH_MAX];
    struct sockaddr_un address;
    snprintf(path, sizeof path, "%s/supervisor.sock", runtime_dir);
    DV_TRY(fill_address(path, &address, error));
    dv_auto(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "socket: %s", strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        bool none = errno == ENOENT || errno == ECONNREFUSED;
        return dv_error_set(error, none ? DV_ERR_NOT_FOUND : DV_ERR_UNAVAILABLE, "%s",
                            none ? "Dvara is not running" : strerror(errno));
    }
    *ret_fd = fd;
    fd = -1;
    return DV_OK;
}

dv_result dv_link_ask(const char *runtime_dir, const char *request, int timeout_s,
                      json_t **ret_answer, dv_error *error)
{
    dv_auto(fd) int fd = -1;
    dv_auto(buf) dv_buf text = dv_buf_init(DV_LINK_ANSWER_MAX);
    DV_TRY(connect_to(runtime_dir, &fd, error));
    set_timeouts(fd, timeout_s, 0);
    if (ask(fd, request, &text) != DV_OK) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "Dvara's supervisor does not answer");
    }
    json_t *answer =
        text.len == 0 ? json_object() : json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (answer == NULL) {
        return dv_error_set(error, DV_ERR_UNAVAILABLE, "Dvara's supervisor answers nonsense");
    }
    *ret_answer = answer;
    return DV_OK;
}

static void set_timeouts(int fd, time_t seconds, long microseconds)
{
    struct timeval limit = {.tv_sec = seconds, .tv_usec = microseconds};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

dv_result dv_link_open_notify(const char *path, const gid_t *group, int *ret_fd, dv_error *error)
{
    int on = 1;
    dv_auto(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
        return dv_error_set(error, DV_ERR_IO, "socket: %s", strerror(errno));
    }
    DV_TRY(bind_at(fd, path, group == NULL ? 0600 : 0620, error));
    if (group != NULL && chown(path, (uid_t)-1, *group) != 0) {
        return dv_error_set(error, DV_ERR_IO, "can not hand over %s: %s", path, strerror(errno));
    }
    *ret_fd = fd;
    fd = -1;
    return DV_OK;
}

static pid_t sender_of(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
            struct ucred credentials;
            memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
            return credentials.pid;
        }
    }
    return 0;
}

static void read_fields(dv_slice text, dv_link_notice *notice)
{
    const dv_slice failed = DV_LIT("X_DVARA_RELOAD_FAILED=");
    dv_slice line;
    while (dv_slice_split(&text, '\n', &line)) {
        if (dv_slice_eq_str(line, "READY=1")) {
            notice->ready = true;
        } else if (dv_slice_starts_with(line, failed)) {
            dv_slice why = dv_slice_sub(line, failed.len, line.len);
            snprintf(notice->reload_failed, sizeof notice->reload_failed, "%.*s",
                     DV_SLICE_ARGS(why));
        }
    }
}

bool dv_link_read_notice(int fd, dv_link_notice *ret_notice)
{
    char bytes[DV_NOTICE_MAX];
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0) {
        return false;
    }
    *ret_notice = (dv_link_notice){.pid = sender_of(&message)};
    read_fields(dv_slice_of(bytes, (size_t)len), ret_notice);
    return true;
}
