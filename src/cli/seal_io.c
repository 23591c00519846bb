/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/seal_io.h"

#include "base/file.h"
#include "crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0600, SUFFIX = 6 };

/* -- reading ----------------------------------------------------------------------------------- */

dv_result dv_seal_input_open(dv_cli *cli, const char *path, dv_seal_input *ret_input,
                             dv_error *error)
{
    struct stat about;
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) != 0) {
        return dv_error_set(error, errno == ENOENT ? DV_ERR_NOT_FOUND : DV_ERR_IO, "%s: %s", path,
                            strerror(errno));
    }
    if (S_ISDIR(about.st_mode)) {
        close(fd);
        return dv_error_set(error, DV_ERR_INVALID, "%s is a folder", path);
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    *ret_input = (dv_seal_input){.name = standard ? "standard input" : path,
                                 .fd = fd,
                                 .size = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0,
                                 .bar = dv_progress_bar_of(cli, "bytes")};
    return DV_OK;
}

void dv_seal_input_close(dv_seal_input *input)
{
    if (input->fd >= 0) {
        dv_progress_end(&input->bar);
        if (input->fd != STDIN_FILENO) {
            close(input->fd);
        }
        input->fd = -1;
    }
}

dv_result dv_seal_input_get(void *data, uint8_t *out, size_t room, size_t *ret_len, dv_error *error)
{
    dv_seal_input *input = data;
    ssize_t got;
    do {
        got = read(input->fd, out, room);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return dv_error_set(error, DV_ERR_IO, "%s: %s", input->name, strerror(errno));
    }
    input->done += (uint64_t)got;
    if (input->size > 0) {
        dv_progress_show(&input->bar, input->done, input->size);
    }
    *ret_len = (size_t)got;
    return DV_OK;
}

/* -- writing ----------------------------------------------------------------------------------- */

static dv_result io_error(const dv_seal_output *output, dv_error *error)
{
    return dv_error_set(error, DV_ERR_IO, "can not write %s: %s", output->path, strerror(errno));
}

static int folder_of(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return snprintf(folder, PATH_MAX, ".");
    }
    return snprintf(folder, PATH_MAX, "%.*s", (int)DV_MAX(slash - path, (ptrdiff_t)1), path);
}

/* A name in the same folder, however long the file's own is. */
static void part_name(const char *folder, const char *suffix, dv_seal_output *output)
{
    snprintf(output->part, sizeof(output->part), "%s/.dvara.%s", folder, suffix);
}

static dv_result make_part(dv_seal_output *output, dv_error *error)
{
    char folder[PATH_MAX];
    folder_of(output->path, folder);
    output->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, FILE_MODE);
    if (output->fd < 0) {
        part_name(folder, "XXXXXX", output);
        output->fd = mkostemp(output->part, O_CLOEXEC);
    }
    if (output->fd < 0) {
        output->part[0] = '\0';
        return io_error(output, error);
    }
    return DV_OK;
}

/* A link is followed: what it leads to is replaced. */
static dv_result open_file(const char *path, dv_seal_output *output, dv_error *error)
{
    struct stat about;
    dv_auto(free) char *real = realpath(path, NULL);
    const char *place = real != NULL ? real : path;
    if (snprintf(output->path, sizeof(output->path), "%s", place) >= (int)sizeof(output->path)) {
        return dv_error_set(error, DV_ERR_INVALID, "the path %.100s... is too long", path);
    }
    if (stat(place, &about) == 0 && S_ISDIR(about.st_mode)) {
        return dv_error_set(error, DV_ERR_INVALID, "%s is a folder", path);
    }
    if (real != NULL && !S_ISREG(about.st_mode)) {
        output->fd = open(path, O_WRONLY | O_CLOEXEC);
        return output->fd >= 0 ? DV_OK : io_error(output, error);
    }
    output->file = true;
    return make_part(output, error);
}

dv_result dv_seal_output_open(const char *path, dv_seal_output *ret_output, dv_error *error)
{
    *ret_output = (dv_seal_output){.fd = -1};
    if (strcmp(path, "-") == 0) {
        snprintf(ret_output->path, sizeof(ret_output->path), "standard output");
        ret_output->fd = STDOUT_FILENO;
        return DV_OK;
    }
    return open_file(path, ret_output, error);
}

void dv_seal_output_close(dv_seal_output *output)
{
    if (output->part[0] != '\0') {
        unlink(output->part);
    }
    if (output->fd > STDERR_FILENO) {
        close(output->fd);
    }
    output->fd = -1;
}

dv_result dv_seal_output_put(void *data, dv_slice bytes, dv_error *error)
{
    dv_seal_output *output = data;
    return dv_fd_write_all(output->fd, bytes) == DV_OK ? DV_OK : io_error(output, error);
}

/* linkat() replaces nothing, so the file gets a name of its own first. */
static dv_result name_part(dv_seal_output *output)
{
    enum { TRIES = 10 };
    char here[64], folder[PATH_MAX], suffix[SUFFIX + 1] = "";
    folder_of(output->path, folder);
    snprintf(here, sizeof(here), "/proc/self/fd/%d", output->fd);
    for (int i = 0; i < TRIES; i++) {
        dv_random_base62(suffix, SUFFIX);
        part_name(folder, suffix, output);
        if (linkat(AT_FDCWD, here, AT_FDCWD, output->part, AT_SYMLINK_FOLLOW) == 0) {
            return DV_OK;
        }
        output->part[0] = '\0';
        if (errno != EEXIST) {
            return DV_ERR_IO;
        }
    }
    return DV_ERR_IO;
}

dv_result dv_seal_output_finish(dv_seal_output *output, dv_error *error)
{
    char folder[PATH_MAX];
    if (!output->file) {
        return DV_OK;
    }
    if (fsync(output->fd) != 0 || (output->part[0] == '\0' && name_part(output) != DV_OK) ||
        rename(output->part, output->path) != 0) {
        return io_error(output, error);
    }
    output->part[0] = '\0';
    folder_of(output->path, folder);
    dv_auto(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? DV_OK : io_error(output, error);
}
