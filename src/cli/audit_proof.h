/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* `dvara audit verify --proof FILE`: one event, offline. Returns the exit code. */
int dv_audit_verify_proof(dv_cli *cli, const json_t *params);

/* Whether the log's "checkpoint.cosigned" bears the signatures that the policy (a file, C2SP
 * tlog-policy) asks for. Errors: DV_ERR_CORRUPT (says why), those of reading the policy. */
dv_must dv_result dv_audit_check_cosigned(const char *folder, const char *policy_file,
                                          dv_error *error);
