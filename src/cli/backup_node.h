/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a backup of a node holds beside its log: the control plane's database, dvara.yaml, and the
 * files in STATE/keys, STATE/keystore and STATE/tls. */

#include "cli/cli.h"
#include "engine/log/backup.h"

enum { DV_NODE_FILES_MAX = 64, DV_NODE_NAME_MAX = 80 };

typedef struct dv_node_files {
    dv_backup_file list[DV_NODE_FILES_MAX];
    char names[DV_NODE_FILES_MAX][DV_NODE_NAME_MAX];
    size_t count;
    int lock; /* of the state, where Dvara does not run: it is not started meanwhile; -1: none */
} dv_node_files;

/* Opens all of them. Of a running Dvara the database is a copy that dvarad makes of it; the log has
 * grown since when this returns, so that it tells of what the database holds. None where there is
 * no database (count is 0). Errors: DV_ERR_CONFLICT (Dvara is starting or does not answer),
 * dvarad's, DV_ERR_TOO_LARGE, DV_ERR_IO. */
dv_must dv_result dv_node_files_open(dv_cli *cli, dv_node_files *ret_files, dv_error *error);
void dv_node_files_close(dv_node_files *files);
DV_DEFINE_AUTO(node_files, dv_node_files, dv_node_files_close)

/* dv_backup_open.check: whether the database and its keys are whole. Run by root, hands what was
 * unpacked to the users whose it is. data: the dv_cli. */
dv_must dv_result dv_node_check(void *data, const char *folder, bool node, dv_error *error);
