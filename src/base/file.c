/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static dv_result io_error(dv_error *error, const char *what, const char *path)
{
    dv_result result = errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO;
    return dv_error_set(error, result, "%s %s: %s", what, path, strerror(errno));
}

static dv_result read_to_end(int fd, dv_buf *out)
{
    for (;;) {
        uint8_t chunk[16384];
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got == 0) {
            return DV_OK;
        }
        if (got > 0) {
            dv_result result = dv_buf_append(out, dv_slice_of(chunk, (size_t)got));
            explicit_bzero(chunk, (size_t)got); /* the file may be a key */
            DV_TRY(result);
        } else if (errno != EINTR) {
            return DV_ERR_IO;
        }
    }
}

dv_result dv_fd_check_secret(int fd, const char *path, mode_t others, dv_error *error)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return io_error(error, "can not read", path);
    }
    return !S_ISREG(info.st_mode) || (info.st_mode & others) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_FORBIDDEN,
                              "%s holds a secret and others may read it: chmod %s %s", path,
                              others == S_IRWXO ? "o-rwx" : "600", path);
}

/* others: the bits that its mode must not have. */
static dv_result read_file(const char *path, mode_t others, dv_buf *out, dv_error *error)
{
    struct stat info;
    dv_auto(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) {
        return io_error(error, "can not read", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is not a regular file", path);
    }
    DV_TRY(dv_fd_check_secret(fd, path, others, error));
    /* At once, so that a secret leaves no copies behind in outgrown buffers. */
    size_t size = info.st_size < 0 ? 0 : (size_t)info.st_size;
    dv_result result = dv_buf_reserve(out, size);
    if (result == DV_OK) {
        result = read_to_end(fd, out);
    }
    if (result == DV_ERR_TOO_LARGE) {
        return dv_error_set(error, result, "%s is larger than %zu bytes", path, out->max);
    }
    return result == DV_OK ? DV_OK : io_error(error, "can not read", path);
}

dv_result dv_file_read(const char *path, dv_buf *out, dv_error *error)
{
    return read_file(path, 0, out, error);
}

dv_result dv_file_read_private(const char *path, dv_buf *out, dv_error *error)
{
    return read_file(path, S_IRWXG | S_IRWXO, out, error);
}

dv_result dv_file_read_secret(const char *path, dv_buf *out, dv_error *error)
{
    enum { SECRET_MAX = 4096 };
    dv_auto(secret_buf) dv_buf text = dv_buf_init(SECRET_MAX);
    DV_TRY(read_file(path, S_IRWXO, &text, error));
    dv_slice secret = dv_slice_trim(dv_buf_slice(&text));
    for (size_t i = 0; i < secret.len; i++) {
        if (secret.ptr[i] < ' ') {
            return dv_error_set(error, DV_ERR_INVALID, "%s holds more than one line", path);
        }
    }
    if (secret.len == 0) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is empty", path);
    }
    return dv_buf_append(out, secret);
}

dv_result dv_fd_write_all(int fd, dv_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t written = write(fd, bytes.ptr, bytes.len);
        if (written >= 0) {
            bytes = dv_slice_sub(bytes, (size_t)written, bytes.len);
        } else if (errno != EINTR) {
            return DV_ERR_IO;
        }
    }
    return DV_OK;
}

dv_result dv_file_write_new(const char *path, dv_slice bytes, mode_t mode, dv_error *error)
{
    dv_auto(fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return dv_error_set(error, errno == EEXIST ? DV_ERR_EXISTS : DV_ERR_IO, "%s: %s", path,
                            strerror(errno));
    }
    if (dv_fd_write_all(fd, bytes) != DV_OK || fsync(fd) != 0 ||
        dv_file_sync_folder(path) != DV_OK) {
        dv_result result = io_error(error, "can not write", path);
        unlink(path);
        return result;
    }
    return DV_OK;
}

/* A rename is durable only once its folder is. */
dv_result dv_file_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        snprintf(folder, sizeof(folder), ".");
    } else {
        snprintf(folder, sizeof(folder), "%.*s", (int)DV_MAX(slash - path, (ptrdiff_t)1), path);
    }
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? DV_ERR_IO : DV_OK;
}

static dv_result write_temporary(int fd, dv_slice bytes, mode_t mode)
{
    if (fchmod(fd, mode) != 0) {
        return DV_ERR_IO;
    }
    DV_TRY(dv_fd_write_all(fd, bytes));
    return fsync(fd) != 0 ? DV_ERR_IO : DV_OK;
}

dv_result dv_file_write_atomic(const char *path, dv_slice bytes, mode_t mode, dv_error *error)
{
    char temporary[PATH_MAX];
    int len = snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
    if (len < 0 || (size_t)len >= sizeof(temporary)) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", path);
    }
    dv_auto(fd) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        return io_error(error, "can not write", path);
    }
    dv_result result = write_temporary(fd, bytes, mode);
    if (result == DV_OK && rename(temporary, path) != 0) {
        result = DV_ERR_IO;
    }
    if (result != DV_OK) {
        result = io_error(error, "can not write", path);
        unlink(temporary);
        return result;
    }
    return dv_file_sync_folder(path) == DV_OK ? DV_OK : io_error(error, "can not sync", path);
}

/* mkdir obeys the umask, so the mode is set again; only for folders made here. */
static dv_result make_one(const char *path, mode_t mode, dv_error *error)
{
    struct stat info;
    if (mkdir(path, mode) == 0) {
        return chmod(path, mode) == 0 ? DV_OK : io_error(error, "can not set the mode of", path);
    }
    if (errno != EEXIST) {
        return io_error(error, "can not make the folder", path);
    }
    if (stat(path, &info) != 0) {
        return io_error(error, "can not look at", path);
    }
    return S_ISDIR(info.st_mode) ? DV_OK
                                 : dv_error_set(error, DV_ERR_CONFLICT, "%s is no folder", path);
}

dv_result dv_dir_make(const char *path, mode_t mode, dv_error *error)
{
    char partial[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(partial)) {
        return dv_error_set(error, DV_ERR_INVALID, "the path '%s' is empty or too long", path);
    }
    for (size_t i = 1; i < len; i++) {
        if (path[i] == '/' && path[i - 1] != '/') {
            memcpy(partial, path, i);
            partial[i] = '\0';
            DV_TRY(make_one(partial, 0755, error));
        }
    }
    return make_one(path, mode, error);
}
