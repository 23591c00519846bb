/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files of Cedar or of Cedar's JSON, as the commands of `dvara policy` take them. */

#include "base/arena.h"
#include "cli/cli.h"

typedef struct dv_policy_file {
    const char *path;
    const char *name; /* the policy's: the file's without folder and suffix */
    dv_slice text;
} dv_policy_file;

typedef struct dv_policy_files {
    dv_policy_file *items;
    size_t count;
} dv_policy_files;

/* Reads the files of an array of paths into the arena; of a folder those that end in .cedar or
 * .cedar.json, by name, without going deeper. Errors: DV_ERR_NOT_FOUND (a folder without any),
 * DV_ERR_IO, DV_ERR_INVALID (a name that no policy may have, or that stands twice; text that is not
 * UTF-8),
 * DV_ERR_TOO_LARGE (1000 files, 1 MiB each). */
dv_must dv_result dv_policy_files_read(const json_t *paths, dv_arena *arena,
                                       dv_policy_files *ret_files, dv_error *error);

/* The path of the file that holds the policy of that name, or NULL. */
const char *dv_policy_files_path(const dv_policy_files *files, dv_slice name);

/* [{"name", "text"}] as the API takes them; NULL when memory is out. */
json_t *dv_policy_files_json(const dv_policy_files *files);

/* Puts the file's path where a message begins with the policy's name: "NAME:3:1: ...". */
void dv_policy_files_place(const dv_policy_files *files, dv_error *error);
