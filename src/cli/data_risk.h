/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/detect/anonymize/risk.h"

#include <jansson.h>

/* "groups", "smallest", "unique", "highest_risk", "average_risk". NULL: no memory. */
json_t *dv_data_risk_json(const dv_anonymize_risk *risk);
/* Adds what an answer says beside its sets and its plain risk: "over_threshold", "journalist",
 * "marketer" and "sensitive", with these names. False: no memory. */
bool dv_data_risk_add(json_t *json, const dv_risk_answer *answer, const char *const *sensitive,
                      size_t count);
