/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/data_output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

/* A rename would put a file in the place of a device or pipe: /dev/null, /dev/stdout. */
static dv_result check_place(const char *path, dv_error *error)
{
    struct stat about;
    return stat(path, &about) != 0 || S_ISREG(about.st_mode)
               ? DV_OK
               : dv_error_set(error, DV_ERR_INVALID,
                              "%s is no regular file: --out - writes to standard output", path);
}

dv_result dv_data_output_open(dv_cli *cli, const char *path, dv_data_output *ret_output,
                              dv_error *error)
{
    *ret_output = (dv_data_output){.file = cli->out, .error = error};
    if (strcmp(path, "-") == 0) {
        return DV_OK;
    }
    DV_TRY(check_place(path, error));
    dv_data_output output = {.path = strdup(path), .error = error};
    if (output.path == NULL || asprintf(&output.temporary, "%s.XXXXXX", path) < 0) {
        free(output.path);
        return DV_ERR_NO_MEMORY;
    }
    int fd = mkostemp(output.temporary, O_CLOEXEC);
    output.file = fd < 0 ? NULL : fdopen(fd, "w");
    if (output.file == NULL) {
        dv_result result =
            dv_error_set(error, DV_ERR_IO, "can not write %s: %s", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
            unlink(output.temporary);
        }
        free(output.path);
        free(output.temporary);
        return result;
    }
    *ret_output = output;
    return DV_OK;
}

dv_result dv_data_output_put(void *data, dv_slice bytes)
{
    dv_data_output *output = data;
    if (bytes.len == 0 || fwrite(bytes.ptr, 1, bytes.len, output->file) == bytes.len) {
        return DV_OK;
    }
    return dv_error_set(output->error, DV_ERR_IO, "can not write %s: %s",
                        output->path == NULL ? "standard output" : output->path, strerror(errno));
}

/* A rename is durable only once its folder is. */
static bool sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy == NULL ? -1 : open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    free(copy);
    return ok;
}

dv_result dv_data_output_commit(dv_data_output *output, dv_error *error)
{
    if (output->path == NULL) {
        return fflush(output->file) == 0
                   ? DV_OK
                   : dv_error_set(error, DV_ERR_IO, "standard output can't be written");
    }
    bool ok = fflush(output->file) == 0 && fsync(fileno(output->file)) == 0 &&
              rename(output->temporary, output->path) == 0;
    if (!ok) {
        return dv_error_set(error, DV_ERR_IO, "can not write %s: %s", output->path,
                            strerror(errno));
    }
    free(output->temporary);
    output->temporary = NULL;
    return sync_folder(output->path)
               ? DV_OK
               : dv_error_set(error, DV_ERR_IO, "can not sync the folder of %s", output->path);
}

void dv_data_output_close(dv_data_output *output)
{
    if (output->path != NULL) {
        if (output->file != NULL) {
            (void)fclose(output->file);
        }
        if (output->temporary != NULL) {
            unlink(output->temporary);
        }
        free(output->temporary);
        free(output->path);
    }
    *output = (dv_data_output){.file = NULL};
}
