/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A temporary folder of a test, removed with all that is in it. */

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct temp_dir {
    char path[64];
} temp_dir;

static inline void temp_dir_make(temp_dir *dir)
{
    snprintf(dir->path, sizeof(dir->path), "/tmp/dvara-test-XXXXXX");
    if (mkdtemp(dir->path) == NULL) {
        abort();
    }
}

static inline int temp_remove_one(const char *path, const struct stat *st, int type,
                                  struct FTW *place)
{
    (void)st, (void)type, (void)place;
    return remove(path);
}

static inline void temp_dir_remove(const temp_dir *dir)
{
    nftw(dir->path, temp_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *temp_path(const temp_dir *dir, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%s/%s", dir->path, name);
    return out;
}
