/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whom a rule is about, on which routes, and of which values: what the rules of `masking:` and of
 * `loss_prevention:` have in common. */

#include "base/buf.h"
#include "base/yaml.h"
#include "engine/detect/custom.h"

/* The keys of a rule that dv_data_scope_append reads, for a list of all of its keys. */
#define DV_DATA_SCOPE_KEYS                                                                         \
    "roles", "groups", "users", "services", "routes", "detectors", "categories", "labels"

/* Appends the members that the gate reads of them, each with a comma behind it:
 * "who":["Role::\"support\""],"routes":["chat"],"detectors":["email"],... what: the section, with
 * which messages begin. custom: users' detectors that there are; NULL: none. Errors: DV_ERR_INVALID
 * with the line, DV_ERR_TOO_LARGE (out's maximum), DV_ERR_NO_MEMORY. */
dv_must dv_result dv_data_scope_append(const dv_yaml *rule, const char *what,
                                       const dv_detect_custom *custom, dv_buf *out,
                                       dv_error *error);
