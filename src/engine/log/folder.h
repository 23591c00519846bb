/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: a folder that is filled under another name and gets its own when all in it
 * is durable. */

#include "base/result.h"
#include "base/slice.h"

#include <limits.h>
#include <sys/types.h>

/* Makes an empty folder beside the one that is to come, which must not be there or be empty.
 * Errors: DV_ERR_EXISTS, DV_ERR_UNAVAILABLE (the disk is full), DV_ERR_IO. */
dv_must dv_result dv_folder_begin(const char *folder, mode_t mode, char ret_part[PATH_MAX],
                                  dv_error *error);
/* Writes a file into it, with the folders above. name is relative, of ours, without "..". It is
 * not synced: see dv_folder_sync. */
dv_must dv_result dv_folder_put(const char *part, const char *name, dv_slice bytes, mode_t mode,
                                dv_error *error);
/* The same of a file that the caller writes, and closes. */
dv_must dv_result dv_folder_open(const char *part, const char *name, mode_t mode, int *ret_fd,
                                 dv_error *error);
/* Makes everything in its file system durable. */
dv_must dv_result dv_folder_sync(const char *part, dv_error *error);
/* Gives it its name. */
dv_must dv_result dv_folder_finish(const char *part, const char *folder, dv_error *error);
/* Removes it with all that is in it, as far as that goes. */
void dv_folder_remove(const char *part);
