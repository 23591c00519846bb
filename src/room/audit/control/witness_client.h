/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asks witnesses to cosign the log's checkpoints (C2SP tlog-witness), in a thread of dvarad's: the
 * process that holds the signing key never speaks with the network, and the control plane's own
 * thread waits for nobody. What a quorum cosigned is handed to dvara-logd, which checks it again.
 *
 * A witness that saw a larger log than there is, or another one, tells that the log was taken back
 * or forked: that is an alarm in the log (audit.witness), and stays in the status. */

#include "room/audit/control/witness_config.h"

#include <jansson.h>

typedef struct dv_witness_client dv_witness_client;
struct dv_services;

/* runtime_dir is borrowed. */
dv_must dv_result dv_witness_client_new(const char *runtime_dir, dv_witness_client **ret_client);
/* Ends the thread, within a second whatever it waits for. */
void dv_witness_client_free(dv_witness_client *client);
DV_DEFINE_AUTO_PTR(witness_client, dv_witness_client, dv_witness_client_free)

/* Puts the section `audit:` (NULL: none) into force, leaves the policy where dvara-logd reads it,
 * and begins a round at once. */
dv_must dv_result dv_witness_client_set(dv_witness_client *client, const dv_yaml *section,
                                        dv_error *error);
/* {"quorum","cosigned","policy","items":[...]}: a new reference, or NULL when memory is out. */
json_t *dv_witness_client_status(dv_witness_client *client);

/* Takes one alarm that is not in the log yet; false: there is none. */
enum { DV_WITNESS_ALARM_MAX = 512 };
bool dv_witness_client_alarm(dv_witness_client *client, char out[DV_WITNESS_ALARM_MAX]);
