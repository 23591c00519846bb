/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells dvara-logd how long it is to keep what, as dvara.yaml says. It remembers that by itself;
 * what could not be told is told again. */

#include "base/clock.h"
#include "base/yaml.h"

typedef struct dv_retention_client dv_retention_client;
struct dv_services;

/* runtime_dir is borrowed. */
dv_must dv_result dv_retention_client_new(const char *runtime_dir,
                                          dv_retention_client **ret_client);
void dv_retention_client_free(dv_retention_client *client);
DV_DEFINE_AUTO_PTR(retention_client, dv_retention_client, dv_retention_client_free)

/* Whether dvara-logd would take the section `audit:` (NULL: none). One that does not
 * answer is told later. Errors: DV_ERR_CONFLICT (a class with events is missing), DV_ERR_INVALID.
 */
dv_must dv_result dv_retention_client_check(const dv_retention_client *client, const dv_yaml *audit,
                                            dv_error *error);
/* Puts it into force, now or with a later tick. Errors: DV_ERR_NO_MEMORY, what is wrong with it. */
dv_must dv_result dv_retention_client_set(dv_retention_client *client, const dv_yaml *audit,
                                          dv_error *error);
/* Recurring: tells what was not taken yet. A refusal is an alarm in the log, once. */
dv_must dv_result dv_retention_client_tick(dv_retention_client *client,
                                           const struct dv_services *services, dv_error *error);
/* Why dvara.yaml's word is not in force; "" when it is. */
const char *dv_retention_client_problem(const dv_retention_client *client);
