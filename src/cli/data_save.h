/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* Brings a scan's assets into the inventory of a running Dvara, some at a time. */
typedef struct dv_data_save dv_data_save;

/* source: what the inventory calls the place. Errors: DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_save_new(dv_cli *cli, const char *source, dv_data_save **ret_save,
                                   dv_error *error);
/* The same for a path of this machine ("file://host/srv/share") or a database's URL. */
dv_must dv_result dv_data_save_new_at(dv_cli *cli, const char *path, dv_data_save **ret_save,
                                      dv_error *error);
void dv_data_save_free(dv_data_save *save);

/* asset: of dv_data_asset_json. Errors: the server's. */
dv_must dv_result dv_data_save_add(dv_data_save *save, const json_t *asset, dv_error *error);
/* complete: nothing was missed, so what is not there is gone. What changed goes into summary. */
dv_must dv_result dv_data_save_end(dv_data_save *save, bool complete, json_t *summary,
                                   dv_error *error);
