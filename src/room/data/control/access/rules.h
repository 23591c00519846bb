/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which data wants what of those who ask for it: the section `data_access:` of dvara.yaml.
 *
 * data_access:
 *   longest: 90d
 *   review: {every: 90d, deadline: 14d}
 *   rules:
 *     - {label: board, approvals: 2, approvers: board_office, longest: 7d}
 *     - {sensitivity: internal, approvals: 0}
 *
 * All rules that fit an asset count, and of them the strictest; where none fits, that of its
 * sensitivity: restricted wants two approvals, confidential and internal one, public needs no
 * grant. A rule that says no approvals wants those of the sensitivity, at least one. */

#include "core/config.h"

typedef struct dv_data_rules dv_data_rules;

/* How an asset is labelled; lists are words with commas between. */
typedef struct dv_data_labelled {
    int64_t level; /* 0 public to 3 restricted */
    dv_slice categories;
    dv_slice labels;
} dv_data_labelled;

typedef struct dv_data_wants {
    int64_t approvals;     /* people who say yes, 0 to DV_LIMIT_DATA_APPROVALS */
    bool grant;            /* without a living grant access is refused */
    dv_time longest;       /* of a grant */
    const char *approvers; /* a group that answers instead of the owner, or NULL; borrowed until the
                            * rules are set */
} dv_data_wants;

/* Begins with the built-in rules. */
dv_must dv_result dv_data_rules_new(dv_data_rules **ret_rules);
void dv_data_rules_free(dv_data_rules *rules);

/* Takes the section; NULL: the built-in rules alone. Errors: DV_ERR_INVALID, with the place; then
 * the rules are as before. */
dv_must dv_result dv_data_rules_set(dv_data_rules *rules, const dv_yaml *section, dv_error *error);

dv_data_wants dv_data_rules_wants(const dv_data_rules *rules, const dv_data_labelled *asset);

/* How often all living grants are reviewed, and for how long each time. */
typedef struct dv_data_period {
    dv_time every; /* 0: only when somebody starts it */
    dv_time deadline;
} dv_data_period;

dv_data_period dv_data_rules_period(const dv_data_rules *rules);

extern const dv_config_section dv_data_config_access;
