/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How the api room gets the data room's policies: it writes the gateway's configuration, the data
 * room alone knows what `masking:` and `loss_prevention:` of dvara.yaml mean. Wired up in
 * daemon/. */

#include "base/buf.h"
#include "base/yaml.h"

typedef struct dv_masking_source {
    /* Appends the object for "data_policies" of the gateway's configuration:
     * {"request":{...},"answer":{...}}. masking and loss are the nodes of `masking:` and
     * `loss_prevention:`; NULL: not in the file, so the defaults. Errors name the line. */
    dv_result (*policies)(const dv_yaml *masking, const dv_yaml *loss, const char *runtime,
                          dv_buf *out, dv_error *error);
    /* The key of its actions that `masking:` names; *ret_said false: it names none, and the
     * installation's is taken. Errors name the line. */
    dv_result (*key)(const dv_yaml *masking, uint8_t ret_key[32], bool *ret_said, dv_error *error);
} dv_masking_source;
