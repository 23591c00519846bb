/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Of the section `audit:` of dvara.yaml:
 *   audit:
 *     witnesses:
 *       - {url: "https://witness.example.org/", key: "witness.example.org+1a2b3c4d+BAbC..."}
 *     quorum: 1              # how many must cosign; all of them when not said
 *     witness_interval: 1m   # between two rounds; 1s to 1h */

#include "base/clock.h"
#include "base/yaml.h"
#include "engine/log/policy.h"

typedef struct dv_witness_settings {
    dv_policy policy; /* the witnesses with their URLs, and the quorum; no log */
    unsigned quorum;  /* 0: there are no witnesses */
    dv_time interval;
} dv_witness_settings;

/* section NULL: no witnesses. ret_settings is on the heap (130 KB). Errors carry the line. */
dv_must dv_result dv_witness_settings_read(const dv_yaml *section,
                                           dv_witness_settings *ret_settings, dv_error *error);
/* Whether it could be read. */
dv_must dv_result dv_witness_config_check(const dv_yaml *section, dv_error *error);
/* The same as a C2SP tlog-policy, for dvara-logd and for people. */
dv_must dv_result dv_witness_policy_format(const dv_witness_settings *settings, dv_buf *out);
