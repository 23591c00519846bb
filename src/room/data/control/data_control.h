/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The control plane's side of data security: the `masking:` section of dvara.yaml and the detector
 * operations (api/data.yaml). */

#include "core/config.h"
#include "core/masking.h"

/* masking:
 *   request: {default: placeholder, detectors: {ip_address: alert}, off: [phone]}
 *   answer:  {default: mask}
 *   decode:  true
 *   key_file: /etc/dvara/masking.key
 *   rules:
 *     - {roles: [support], categories: [personal], action: allow}
 * Actions: those of core/finding.h, with the settings of the engine's (masking_action.h). What is
 * not named keeps its default. */
extern const dv_config_section dv_data_config_masking;

/* loss_prevention:
 *   volume:
 *     - {name: many-cards, categories: [payment], values: 500, per: 1h, action: block}
 *   fingerprints:
 *     - {name: customers, file: /etc/dvara/customers.dvfp, action: monitor|alert|block,
 *        direction: request|response|both, routes: [openai-chat]} */
extern const dv_config_section dv_data_config_loss;

/* Whom the rules of both sections name, for the operation masking_check: [{"at": "masking:
 * rules[2]", "who": ["Role::\"support\""]}]; a new reference, NULL when memory is out. root: all of
 * dvara.yaml; roles of its `rbac:` are left out, they are there when it is in force. */
struct json_t;
struct json_t *dv_data_masking_names(const dv_yaml *root);

/* data_access: which data wants which approvals (access/rules.h). */
extern const dv_config_section dv_data_config_access;
struct dv_data_rules;
dv_must dv_result dv_data_rules_new(struct dv_data_rules **ret_rules);
void dv_data_rules_free(struct dv_data_rules *rules);

/* data_retention: how long data is kept, by its labels (disposal/rules.h). */
extern const dv_config_section dv_data_config_retention;
struct dv_disposal_rules;
dv_must dv_result dv_disposal_rules_new(struct dv_disposal_rules **ret_rules);
void dv_disposal_rules_free(struct dv_disposal_rules *rules);

/* Recurring work: ends requests for a disposal that nobody answered. */
dv_must dv_result dv_disposal_tick(dv_services *services, dv_error *error);

/* Closed cases go when their time is over (disposal/disposal.h): where a pass over them is, and the
 * recurring work, which does a bounded piece of it. */
typedef struct dv_case_disposal dv_case_disposal;
dv_must dv_result dv_case_disposal_new(dv_case_disposal **ret_disposal);
void dv_case_disposal_free(dv_case_disposal *disposal);
dv_must dv_result dv_case_disposal_tick(dv_services *services, dv_error *error);

/* data_vaults: vaults of tokens whose values dvarad tells (vaults.h). */
extern const dv_config_section dv_data_config_vaults;
struct dv_data_vaults;
dv_must dv_result dv_data_vaults_new(struct dv_data_vaults **ret_vaults);
void dv_data_vaults_free(struct dv_data_vaults *vaults);

/* What decisions see of grants (core/data_access.h). */
struct dv_data_access_source;
extern const struct dv_data_access_source dv_data_access;

/* Recurring work: tells of grants that have ended, ends requests that nobody answered and reviews
 * whose time has come. Grants end without it. */
dv_must dv_result dv_data_access_tick(dv_services *services, dv_error *error);

/* Turns both sections into the gateway's policies. */
extern const dv_masking_source dv_data_masking;
/* Removes the copies of sets of fingerprints that it made in the runtime folder and that the
 * gateway's configuration does not name. Whoever has one open keeps it. */
void dv_data_loss_clean(const char *runtime, dv_slice gateway_json);
