/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* `volume:` of `loss_prevention:`: how many values may leave over time. */

#include "base/buf.h"
#include "base/yaml.h"

/* Says whether the list is good: names that differ, and all that a direction's policies need.
 * Errors: DV_ERR_INVALID with the line. */
dv_must dv_result dv_data_volume_check(const dv_yaml *list, dv_error *error);

/* Appends ,"volumes":[...] with the rules of one direction, as the gate reads it
 * (room/data/gate/data_gate.h); nothing where the list is NULL. Errors: as above, DV_ERR_TOO_LARGE
 * (out's maximum), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_volume_append(const dv_yaml *list, bool answer, dv_buf *out,
                                        dv_error *error);
