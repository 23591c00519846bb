/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reads the files of a store through their seals, without SQLite over them. */

#include "store/sealed_file.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct sealed_reader {
    dv_sealed_files *files;
    sqlite3_vfs *vfs;
    sqlite3_file *file; /* NULL: could not be opened */
    char *name;         /* as SQLite passes names on */
} sealed_reader;

static inline int sealed_reader_open(sealed_reader *r, const uint8_t *key, const char *path,
                                     int kind)
{
    assert_int_equal(dv_sealed_files_new(key, &r->files), DV_OK);
    r->vfs = sqlite3_vfs_find(dv_sealed_files_name(r->files));
    assert_non_null(r->vfs);
    r->file = calloc(1, (size_t)r->vfs->szOsFile);
    r->name = (char *)(uintptr_t)sqlite3_create_filename(path, "", "", 0, NULL);
    int rc = r->vfs->xOpen(r->vfs, r->name, r->file, SQLITE_OPEN_READWRITE | kind, NULL);
    if (rc != SQLITE_OK) {
        free(r->file);
        r->file = NULL;
    }
    return rc;
}

static inline void sealed_reader_must_open(sealed_reader *r, const uint8_t *key, const char *path,
                                           int kind)
{
    if (sealed_reader_open(r, key, path, kind) != SQLITE_OK || r->file == NULL) {
        fail_msg("%s does not open", path);
        abort(); /* not reached */
    }
}

static inline void sealed_reader_close(sealed_reader *r)
{
    if (r->file != NULL) {
        r->file->pMethods->xClose(r->file);
        free(r->file);
    }
    sqlite3_free_filename(r->name);
    dv_sealed_files_free(r->files);
}
