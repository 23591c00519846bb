/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `dvara audit verify` says of a proof or an archive that is not believed. */

#include "cli/cli.h"

/* Prints, unless for people, {"result","ok":false,kind: path,"problem"}, and in any case the
 * problem on cli->err; returns DV_EXIT_FAILED. result is "failed" when it was looked at and does
 * not hold, "error" when nobody can tell (a file that can't be read, a key that is none). kind:
 * "proof", "file" or "folder". */
int dv_audit_refute(dv_cli *cli, const char *kind, const char *path, const dv_error *error,
                    bool looked_at);
