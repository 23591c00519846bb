/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/log/folder.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static dv_result io_error(dv_error *error, const char *what, const char *path)
{
    dv_result result = errno == ENOSPC || errno == EDQUOT ? DV_ERR_UNAVAILABLE : DV_ERR_IO;
    return dv_error_set(error, result, "can not %s %s: %s", what, path, strerror(errno));
}

/* Without slashes at its end. */
static dv_result clean(const char *folder, char out[PATH_MAX], dv_error *error)
{
    enum { ENDING = 8 };
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/') {
        len--;
    }
    if (len == 0 || len + ENDING >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_INVALID, "the path '%s' is empty or too long", folder);
    }
    snprintf(out, PATH_MAX, "%.*s", (int)len, folder);
    return DV_OK;
}

/* Of the folder that the path is in. */
static void parent_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(out, PATH_MAX, "%.*s", slash == NULL ? 1 : (int)DV_MAX(slash - path, (ptrdiff_t)1),
             slash == NULL ? "." : path);
}

dv_result dv_folder_begin(const char *folder, mode_t mode, char ret_part[PATH_MAX], dv_error *error)
{
    char path[PATH_MAX], parent[PATH_MAX], part[PATH_MAX];
    struct stat about;
    DV_TRY(clean(folder, path, error));
    if (lstat(path, &about) == 0 && rmdir(path) != 0) {
        return dv_error_set(error, DV_ERR_EXISTS, "%s is there already: name a folder that is not",
                            path);
    }
    parent_of(path, parent);
    DV_TRY(dv_dir_make(parent, 0755, error));
    snprintf(part, sizeof(part), "%.*s.XXXXXX", PATH_MAX - 8, path);
    if (mkdtemp(part) == NULL || chmod(part, mode) != 0) {
        return io_error(error, "make", part);
    }
    memcpy(ret_part, part, sizeof(part));
    return DV_OK;
}

/* Open to as many as the file is. */
static dv_result make_parents(char *path, size_t from, mode_t mode, dv_error *error)
{
    mode_t folder_mode = (mode & 0077) != 0 ? 0755 : 0700;
    for (char *slash = strchr(path + from, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, folder_mode) != 0 && errno != EEXIST) {
            return io_error(error, "make", path);
        }
        *slash = '/';
    }
    return DV_OK;
}

dv_result dv_folder_open(const char *part, const char *name, mode_t mode, int *ret_fd,
                         dv_error *error)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", part, name);
    if (len < 0 || len >= PATH_MAX) {
        return dv_error_set(error, DV_ERR_TOO_LARGE, "the path %s is too long", part);
    }
    DV_TRY(make_parents(path, strlen(part) + 1, mode, error));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return io_error(error, "write", path);
    }
    *ret_fd = fd;
    return DV_OK;
}

dv_result dv_folder_put(const char *part, const char *name, dv_slice bytes, mode_t mode,
                        dv_error *error)
{
    dv_auto(fd) int fd = -1;
    DV_TRY(dv_folder_open(part, name, mode, &fd, error));
    return dv_fd_write_all(fd, bytes) == DV_OK ? DV_OK : io_error(error, "write", name);
}

dv_result dv_folder_sync(const char *part, dv_error *error)
{
    dv_auto(fd) int fd = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || syncfs(fd) != 0 ? io_error(error, "sync", part) : DV_OK;
}

dv_result dv_folder_finish(const char *part, const char *folder, dv_error *error)
{
    char path[PATH_MAX], parent[PATH_MAX];
    DV_TRY(clean(folder, path, error));
    if (rename(part, path) != 0) {
        return errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR
                   ? dv_error_set(error, DV_ERR_EXISTS, "%s is there already", path)
                   : io_error(error, "make", path);
    }
    parent_of(path, parent);
    dv_auto(fd) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) != 0 ? io_error(error, "sync", parent) : DV_OK;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    return remove(path);
}

void dv_folder_remove(const char *part)
{
    enum { OPEN = 16 };
    (void)nftw(part, remove_one, OPEN, FTW_DEPTH | FTW_PHYS);
}
