/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Removes single files below a folder, each only if it still is what a scan read.
 *
 * 1. Names are resolved below the folder alone, and no symbolic link is followed, neither within it
 *    nor on the way to it (openat2).
 * 2. A file goes only while its stamp (scan.h) is the one it was read with, and while it has one
 *    name: of a hard link the contents would stay.
 * 3. What is removed is what was looked at: the file first gets a name of ours, is looked at again,
 *    and goes from there; what took its place meanwhile gets its name back.
 * 4. A removal that was killed is gone on with, or found done, by the same call.
 *
 * Removing releases the blocks; whether a disk, a file system that copies on write or a backup
 * keeps them is beyond any program's knowledge, and so nothing is overwritten here (docs/adr/0048).
 */

#include "crypto/hash.h"
#include "engine/scan/scan.h"

typedef enum dv_remove_outcome {
    DV_REMOVE_FAILED = 0, /* it could not be looked at, or is there still */
    DV_REMOVE_SAME,       /* it is there, and what it was */
    DV_REMOVE_DONE,       /* by this very call */
    DV_REMOVE_MISSING,
    DV_REMOVE_CHANGED, /* another stamp, or no regular file */
    DV_REMOVE_LINKED,  /* it has several names */
} dv_remove_outcome;

/* What the name of ours begins with. */
#define DV_REMOVE_GIVEN ".dvara-disposal-"

enum { DV_REMOVE_WHY_MAX = 128, DV_REMOVE_MARK_MAX = 64 };

/* Opens the folder for the calls below; *ret_fd is the caller's to close. One call at a time has
 * it: Errors: DV_ERR_CONFLICT (another one does), DV_ERR_NOT_FOUND, DV_ERR_INVALID (no folder, or a
 * link is on the way), DV_ERR_FORBIDDEN, DV_ERR_IO. */
dv_must dv_result dv_remove_open(const char *path, int *ret_fd, dv_error *error);

/* Whether the file is what it was. why: for people, without its name. */
dv_remove_outcome dv_remove_look(int root, const char *name, const char *stamp,
                                 char why[DV_REMOVE_WHY_MAX]);

/* The same with the hash of its contents, which is set with DV_REMOVE_SAME alone. mark: as below;
 * a file that an earlier removal had renamed already is read there. */
dv_remove_outcome dv_remove_hash(int root, const char *name, const char *stamp, const char *mark,
                                 uint8_t hash[DV_SHA256_LEN], char why[DV_REMOVE_WHY_MAX]);

/* Removes it, durably. mark: letters, digits and '-' that name this removal; the same when it is
 * tried again. DV_REMOVE_DONE, or what dv_remove_look would say. */
dv_remove_outcome dv_remove_file(int root, const char *name, const char *stamp, const char *mark,
                                 char why[DV_REMOVE_WHY_MAX]);

/* What an earlier removal, which was killed, had renamed gets its name back: it is to stay. Nothing
 * where there is no such file. Errors: DV_ERR_IO, where it stays under our name. */
dv_must dv_result dv_remove_restore(int root, const char *name, const char *stamp,
                                    const char *mark);
