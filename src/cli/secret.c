/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/secret.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static dv_result read_all(int fd, const char *name, dv_buf *out, dv_error *error)
{
    DV_TRY(dv_buf_reserve(out, DV_SECRET_MAX)); /* at once: no copies are left behind */
    for (;;) {
        ssize_t got = read(fd, out->ptr + out->len, DV_SECRET_MAX - out->len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return dv_error_set(error, DV_ERR_IO, "%s: %s", name, strerror(errno));
        }
        if (got == 0) {
            return DV_OK;
        }
        out->len += (size_t)got;
        if (out->len == DV_SECRET_MAX) {
            return dv_error_set(error, DV_ERR_TOO_LARGE, "%s holds more than %d bytes", name,
                                DV_SECRET_MAX);
        }
    }
}

static dv_result check(dv_buf *out, const char *name, dv_error *error)
{
    while (out->len > 0 && (out->ptr[out->len - 1] == '\n' || out->ptr[out->len - 1] == '\r')) {
        out->len--;
    }
    return out->len > 0 ? DV_OK : dv_error_set(error, DV_ERR_INVALID, "%s is empty", name);
}

/* systemd keeps others away itself, and what it lets in stands where a group's rights would. */
static bool is_credential(const char *path)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t len = folder == NULL ? 0 : strlen(folder);
    return len > 0 && strncmp(path, folder, len) == 0 && path[len] == '/';
}

dv_result dv_secret_read(const char *path, dv_buf *out, dv_error *error)
{
    if (strcmp(path, "-") == 0) {
        DV_TRY(read_all(STDIN_FILENO, "standard input", out, error));
        return check(out, "standard input", error);
    }
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    const mode_t others = is_credential(path) ? 0 : S_IRWXG | S_IRWXO;
    DV_TRY(dv_fd_check_secret(fd, path, others, error));
    DV_TRY(read_all(fd, path, out, error));
    return check(out, path, error);
}

/* One line, without echo; the terminal is as before afterwards. */
static dv_result read_line(int fd, dv_buf *out, dv_error *error)
{
    struct termios before, quiet;
    if (tcgetattr(fd, &before) != 0) {
        return dv_error_set(error, DV_ERR_IO, "the terminal: %s", strerror(errno));
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    dv_result result = dv_buf_reserve(out, DV_SECRET_MAX);
    if (result == DV_OK && tcsetattr(fd, TCSAFLUSH, &quiet) == 0) {
        ssize_t got = read(fd, out->ptr, DV_SECRET_MAX);
        out->len = got > 0 ? (size_t)got : 0;
        tcsetattr(fd, TCSAFLUSH, &before);
    }
    return result;
}

dv_result dv_secret_ask(const char *name, dv_buf *out, dv_error *error)
{
    dv_auto(fd) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        return dv_error_set(error, DV_ERR_INVALID,
                            "--%s-file is missing (a file, or - for standard input)", name);
    }
    dprintf(fd, "%s: ", name);
    DV_TRY(read_line(fd, out, error));
    dprintf(fd, "\n");
    return check(out, name, error);
}
