/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

/* Reads a whole regular file; more than out's maximum is DV_ERR_TOO_LARGE. */
dv_must dv_result dv_file_read(const char *path, dv_buf *out, dv_error *error);

/* Reads the one line of a file that holds a secret, without the white space around it; out is one
 * that is wiped, of 4096 bytes at least. Errors: those; DV_ERR_NOT_FOUND, DV_ERR_FORBIDDEN (others
 * may read it), DV_ERR_INVALID (empty, more than one line). */
dv_must dv_result dv_file_read_secret(const char *path, dv_buf *out, dv_error *error);

/* Makes the file, which is whole and on the disk then; none where something fails. Errors:
 * DV_ERR_EXISTS (it is left as it is), DV_ERR_IO. */
dv_must dv_result dv_file_write_new(const char *path, dv_slice bytes, mode_t mode, dv_error *error);

/* dv_file_read of a file that only its owner may read, its group not either. Errors: those;
 * DV_ERR_FORBIDDEN. */
dv_must dv_result dv_file_read_private(const char *path, dv_buf *out, dv_error *error);

/* Refuses a regular file whose mode has one of these bits (S_IRWXO, S_IRWXG); pipes pass. Errors:
 * DV_ERR_FORBIDDEN, with what to do; DV_ERR_IO. */
dv_must dv_result dv_fd_check_secret(int fd, const char *path, mode_t others, dv_error *error);
/* Replaces a file in one step: temporary file beside it, fsync, rename, fsync of the folder. */
dv_must dv_result dv_file_write_atomic(const char *path, dv_slice bytes, mode_t mode,
                                       dv_error *error);

/* Makes a folder and its missing parents (0755); the last one gets the mode, whatever the umask.
 * One that is there is left as it is. Errors: DV_ERR_CONFLICT when something else has the name. */
dv_must dv_result dv_dir_make(const char *path, mode_t mode, dv_error *error);

/* Makes the name of a file durable that was made, renamed or removed: syncs its folder. */
dv_must dv_result dv_file_sync_folder(const char *path);

/* Writes all bytes, whatever write() cuts short. */
dv_must dv_result dv_fd_write_all(int fd, dv_slice bytes);
