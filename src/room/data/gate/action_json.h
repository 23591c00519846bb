/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An action as a policy's JSON has it: "mask", or with the settings of the engine's actions
 * {"action":"fpe","keep_first":6,"keep_last":4,"keep_said":1,"luhn":1}. Written by
 * room/data/control, read here. */

#include "base/buf.h"
#include "base/json.h"
#include "core/finding.h"
#include "engine/detect/action/action.h"

/* What the engine calls it; false: it is none of the engine's. */
bool dv_data_action_kind(dv_content_action action, dv_action_kind *ret_kind);

/* settings: of one of the engine's actions; NULL: none. Settings that are zero are left out. */
dv_must dv_result dv_data_action_append(dv_content_action action, const dv_action *settings,
                                        dv_buf *out);

/* *ret_settings is zero but for its kind where there are none. The names are decoded in the arena.
 * where: for errors. Errors: DV_ERR_INVALID. */
dv_must dv_result dv_data_action_parse(const dv_json *json, uint32_t token, const char *where,
                                       dv_arena *arena, dv_content_action *ret_action,
                                       dv_action *ret_settings, dv_error *error);
/* Whether both do the same. */
bool dv_data_action_same(const dv_action *a, const dv_action *b);
