/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The kinds of values that policies speak of: the detectors, and behind them what the tagger names
 * (people, places, addresses ...), which takes part only where a policy says so. */

#include "engine/detect/detect.h"

size_t dv_masking_kind_count(void);
const dv_detector_info *dv_masking_kind(size_t index);
/* Index by id ("email", "person"), or -1. */
ptrdiff_t dv_masking_kind_index(const char *id);
/* What `names: true` of a policy looks for: people and addresses. */
void dv_data_names_standard(dv_detector_set *set);
/* Whether the set has any kind of name. */
bool dv_data_names_meant(const dv_detector_set *set);
