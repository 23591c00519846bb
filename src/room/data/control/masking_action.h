/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Actions, their key, and users' detectors in `masking:` of dvara.yaml. */

#include "base/yaml.h"
#include "engine/detect/action/action.h"
#include "engine/detect/custom.h"

typedef struct dv_masking_action {
    const char *name; /* "fpe" */
    char json[256];   /* as the gate reads it (room/data/gate/action_json.h) */
} dv_masking_action;

/* The action of that name, without settings. */
void dv_masking_action_plain(const char *name, dv_masking_action *ret_action);
/* "mask", or {action: fpe, keep_last: 4}, with the settings that `dvara data` knows. order: of
 * dates, unless the settings say so. Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_masking_action_read(const dv_yaml *node, dv_date_order order,
                                         dv_masking_action *ret_action, dv_error *error);
/* section: of masking, or NULL; days first unless it says so. */
dv_must dv_result dv_masking_order(const dv_yaml *section, dv_date_order *ret_order,
                                   dv_error *error);
/* What `key_file` of the section holds; *ret_said: it is there. Errors: DV_ERR_INVALID with the
 * line, whatever is wrong with the file. */
dv_must dv_result dv_masking_key(const dv_yaml *section, uint8_t ret_key[32], bool *ret_said,
                                 dv_error *error);
/* The detectors of the file that `custom_detectors` names; NULL: it does not. The caller frees
 * them. Errors: DV_ERR_INVALID with the line of dvara.yaml and that of the file. */
dv_must dv_result dv_masking_custom(const dv_yaml *section, dv_detect_custom **ret_custom,
                                    dv_error *error);
