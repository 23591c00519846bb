/* SPDX-License-Identifier: Apache-2.0 */
#include "room/data/control/loss_sets.h"

#include "base/codec.h"
#include "base/file.h"
#include "room/data/control/data_control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ID_DIGITS = 2 * DV_FINGERPRINT_ID_LEN };

static const char sets_folder[] = "sets";
static const char unfinished[] = "unfinished";

static dv_result path_of(const char *runtime, const char *name, char path[PATH_MAX],
                         dv_error *error)
{
    int len = snprintf(path, PATH_MAX, "%s/%s/%s", runtime, sets_folder, name);
    return len > 0 && len < PATH_MAX
               ? DV_OK
               : dv_error_set(error, DV_ERR_TOO_LARGE, "%s: the path is too long", runtime);
}

/* As the runtime folder: its group are those who serve requests. */
static dv_result make_folder(const char *runtime, dv_error *error)
{
    char path[PATH_MAX];
    struct stat above;
    DV_TRY(path_of(runtime, "", path, error));
    DV_TRY(dv_dir_make(path, 0750, error));
    if (stat(runtime, &above) != 0 || chown(path, (uid_t)-1, above.st_gid) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return DV_OK;
}

static dv_result copy_all(int from, int to, const char *path, dv_error *error)
{
    ssize_t moved = 1;
    while (moved > 0) {
        moved = sendfile(to, from, NULL, 1 << 30);
    }
    return moved == 0 ? DV_OK
                      : dv_error_set(error, DV_ERR_IO, "can not copy %s for the gate: %s", path,
                                     strerror(errno));
}

/* A copy that nobody uses yet, whole or not: whoever opens it finds out. */
static dv_result copy_file(const char *file, const char *copy, gid_t group, dv_error *error)
{
    dv_auto(fd) int from = -1;
    DV_TRY(dv_fingerprint_file_open(file, &from, error));
    if (unlink(copy) != 0 && errno != ENOENT) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", copy, strerror(errno));
    }
    dv_auto(fd) int to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0 || fchown(to, (uid_t)-1, group) != 0 || fchmod(to, 0640) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", copy, strerror(errno));
    }
    return copy_all(from, to, file, error);
}

/* Gives the copy its name, unless there is one of that name already: workers have that open. */
static dv_result keep(const char *runtime, const char *copy, const char *id, char path[PATH_MAX],
                      dv_error *error)
{
    DV_TRY(path_of(runtime, id, path, error));
    if (access(path, F_OK) == 0) {
        (void)unlink(copy);
        return DV_OK;
    }
    return rename(copy, path) == 0
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "%s: %s", path, strerror(errno));
}

static dv_result open_copy(const char *file, const char *copy, dv_fingerprint_set **ret_set,
                           dv_error *error)
{
    dv_error why = {0};
    dv_result result = dv_fingerprint_set_open(copy, ret_set, &why);
    size_t len = strlen(copy);
    if (result == DV_OK || strncmp(why.message, copy, len) != 0) {
        return result == DV_OK ? DV_OK : dv_error_set(error, result, "%s", why.message);
    }
    return dv_error_set(error, result, "%s%s", file, why.message + len);
}

dv_result dv_data_loss_keep(const char *file, const char *runtime, char path[PATH_MAX],
                            uint8_t id[DV_FINGERPRINT_ID_LEN], dv_error *error)
{
    char copy[PATH_MAX];
    struct stat above;
    dv_auto(fingerprint_set) dv_fingerprint_set *set = NULL;
    dv_auto(buf) dv_buf name = dv_buf_init(ID_DIGITS + 1);
    DV_TRY(make_folder(runtime, error));
    DV_TRY(path_of(runtime, unfinished, copy, error));
    if (stat(runtime, &above) != 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", runtime, strerror(errno));
    }
    dv_result result = copy_file(file, copy, above.st_gid, error);
    if (result == DV_OK) {
        result = open_copy(file, copy, &set, error);
    }
    if (result == DV_OK) {
        memcpy(id, dv_fingerprint_set_about(set)->id, DV_FINGERPRINT_ID_LEN);
        result = dv_hex_encode(dv_slice_of(id, DV_FINGERPRINT_ID_LEN), &name);
    }
    if (result == DV_OK) {
        result = keep(runtime, copy, dv_buf_cstr(&name), path, error);
    }
    if (result != DV_OK) {
        (void)unlink(copy);
    }
    return result;
}

static bool is_named(dv_slice text, const char *name)
{
    return memmem(text.ptr, text.len, name, strlen(name)) != NULL;
}

void dv_data_loss_clean(const char *runtime, dv_slice gateway_json)
{
    char path[PATH_MAX];
    if (path_of(runtime, "", path, NULL) != DV_OK) {
        return;
    }
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return; /* none was ever made */
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] != '.' && !is_named(gateway_json, entry->d_name) &&
            path_of(runtime, entry->d_name, path, NULL) == DV_OK) {
            (void)unlink(path);
        }
    }
    (void)closedir(folder);
}
