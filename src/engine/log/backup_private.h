/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Private to engine/log: the words of a backup's first file. */

#include "engine/log/backup.h"

#define DV_BACKUP_MANIFEST "backup"
#define DV_BACKUP_LOG "log/"
#define DV_BACKUP_NODE "node/"
#define DV_BACKUP_KEYS "keys/log/"
#define DV_BACKUP_SUBJECTS "keys/log/subjects/"

enum {
    DV_BACKUP_MANIFEST_MAX = 4 << 10,
    DV_BACKUP_SMALL_MAX = 4 << 20 /* bytes of a small file */
};

/* What a backup says of itself first. */
typedef struct dv_backup_manifest {
    char made[40]; /* RFC 3339 */
    bool subject_root, node;
} dv_backup_manifest;

dv_must dv_result dv_backup_manifest_format(const dv_backup_manifest *manifest, dv_buf *out);
/* Errors: DV_ERR_CORRUPT, DV_ERR_UNSUPPORTED (a section that is unknown). */
dv_must dv_result dv_backup_manifest_parse(dv_slice text, dv_backup_manifest *ret_manifest,
                                           dv_error *error);

/* Parts of a-z, 0-9, '-', '.' and '_' between '/', none of which begins with '.': such a name leads
 * nowhere but down. Files of other names are in no backup: what a write that was not finished left
 * behind. */
bool dv_backup_name_is(dv_slice name);

/* Whether a file of the node may have that name in the state directory: one that is there already
 * by another section may not. */
bool dv_backup_node_name_is(const char *name);

/* Which file of the folder of subjects' keys it is. */
bool dv_backup_is_root(const char *name);
bool dv_backup_is_directory(const char *name);
