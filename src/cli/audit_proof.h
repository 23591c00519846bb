/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

/* `dvara audit verify --proof FILE`: one event, offline. Returns the exit code. */
int dv_audit_verify_proof(dv_cli *cli, const json_t *params);

/* The same for what builds on it. params: `proof` and `event` (files), `key` or `policy`. Appends
 * the event's bytes; *ret_report is a new reference. *ret_read says, also beside an error, whether
 * all that is to be judged was read. Errors: DV_ERR_CORRUPT and others, with a message. */
dv_must dv_result dv_audit_proof_check(const json_t *params, dv_buf *event, json_t **ret_report,
                                       bool *ret_read, dv_error *error);

/* Whether the log's "checkpoint.cosigned" bears the signatures that the policy (a file, C2SP
 * tlog-policy) asks for. Errors: DV_ERR_CORRUPT (says why), those of reading the policy. */
dv_must dv_result dv_audit_check_cosigned(const char *folder, const char *policy_file,
                                          dv_error *error);
