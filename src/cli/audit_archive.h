/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* `dvara audit verify --archive PATH`: a file, or the folder that one was unpacked into. Returns
 * the exit code. */
int dv_audit_verify_archive(dv_cli *cli, const json_t *params);
